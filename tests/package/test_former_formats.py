"""Files that former versions wrote are read for ever."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.export.files import opened
from fastmlp.export.json_text import parse
from fastmlp.export.safetensors import Reader

DATA = Path(__file__).with_name("data")

# ---- files of former formats

FORMAT_1 = sorted(path.stem for path in (DATA / "format1").glob("*.safetensors"))


@pytest.mark.parametrize("name", FORMAT_1)
def test_files_of_format_1(name: str) -> None:
    expected = json.loads((DATA / "format1" / "expected.json").read_text())[name]
    path = DATA / "format1" / f"{name}.safetensors"
    with opened(path) as file:
        reader = Reader(file)
        tensors = reader.tensors()
    assert not reader.checked
    assert list(reader.metadata) == ["fastmlp"]
    assert parse(reader.metadata["fastmlp"]) == expected["description"]
    found = {
        name: {
            "dtype": tensor.dtype.name,
            "shape": list(tensor.shape),
            "crc32": zlib.crc32(tensor.tobytes()),
            "sum": float(tensor.sum(dtype="f8")),
        }
        for name, tensor in tensors.items()
    }
    assert found == expected["tensors"]
    predictions = fm.load(path).predict(np.linspace(-1, 1, 32).reshape(8, 4))
    np.testing.assert_allclose(predictions, expected["predictions"], rtol=1e-5, atol=1e-6)


def test_every_file_of_format_1_is_there() -> None:
    kinds = ["callbacks", "early_stopping_float32", "early_stopping_float64", "lbfgs"]
    assert FORMAT_1 == [*kinds, "mid_training", "untrained"]
    assert all(path.stat().st_size < 50_000 for path in (DATA / "format1").iterdir())
