"""Files that are damaged, foreign or not there: an error that says so, and no network."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import LABELS, X, classifier, joined, parts, trained
from support import assert_same_bits

import fastmlp as fm


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory: '.*missing'"):
        fm.load(tmp_path / "missing")
    with pytest.raises(OSError):
        fm.load(tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    content = path.read_bytes()
    for length in {*range(0, 20), *range(0, len(content), 61), len(content) - 1}:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="'.*net' is not a safetensors file"):
            fm.load(path)


def test_a_damaged_header_is_a_value_error_or_a_network_that_works(tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    content = path.read_bytes()
    length = 8 + struct.unpack("<Q", content[:8])[0]
    refused, random = 0, np.random.default_rng(14)
    for _ in range(600):
        damaged, at = bytearray(content), int(random.integers(length))
        damaged[at] = random.choice([damaged[at] ^ (1 << int(random.integers(8))), *b'0-9"[{,'])
        path.write_bytes(damaged)
        try:
            net = fm.load(path)
        except ValueError as error:
            assert "net'" in str(error)
            refused += 1
        else:
            assert net.predict(X).shape == (30, 3)
            net.fit(X, LABELS, epochs=0)
            assert net.summary() and (net.history is None or repr(net.history))
    assert refused > 400


def test_foreign_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "net"
    for content in (b"", b"PK\3\4 not one of ours", b"\x80\4pickle", bytes(100), b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a safetensors file"):
            fm.load(path)
    for metadata in (None, {"format": "pt"}):
        save_file({"weights.1": np.zeros((3, 4))}, path, metadata=metadata)
        with pytest.raises(ValueError, match="holds no fastmlp network"):
            fm.load(path)
    for text in ("", "{", "[]", "null", "5", '"net"', "{}", '{"format": 1}', "[" * 100_000):
        save_file({"weights.1": np.zeros((3, 4))}, path, metadata={"fastmlp": text})
        with pytest.raises(ValueError, match="holds no network that can be read"):
            fm.load(path)


def test_a_file_of_a_later_format(tmp_path: Path) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, header, data = parts(path.read_bytes())
    path.write_bytes(joined({**description, "format": 2}, header, data))
    with pytest.raises(ValueError, match="format is 2, this version reads 1"):
        fm.load(path)


@pytest.mark.parametrize(("changes", "message"), [
    ({"sizes": [4, 7, 3]}, r"weights.1 must be float32 \(7, 4\), got float32 \(6, 4\)"),
    ({"sizes": [4, 2**31, 3]}, "weights.1 must be"),
    ({"sizes": []}, "sizes"),
    ({"sizes": None}, ""),
    ({"dtype": "float64"}, "weights.1 must be float64"),
    ({"hidden": [{"name": "rleu"}]}, "'rleu'"),
    ({"hidden": []}, "hidden"),
    ({"output": {"name": "relu"}}, "output must be"),
    ({"loss": {"name": "huber", "delta": -1.0}}, "delta must be in"),
    ({"loss": {"name": "mse", "delta": 1.0}}, "MSE has the parameters"),
    ({"dropout": [0.0, 1.0]}, "dropout"),
    ({"epochs": -1}, "epochs must be an integer"),
    ({"epochs": 1.5}, "epochs must be an integer"),
    ({"history": []}, ""),
    ({"history": {"epochs": [1]}}, ""),
    ({"training": {}}, "optimizer"),
])  # fmt: skip
def test_a_description_that_is_not_right(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, header, data = parts(path.read_bytes())
    path.write_bytes(joined({**description, **changes}, header, data))
    with pytest.raises(ValueError, match=f"holds no network that can be read: .*{message}"):
        fm.load(path)


@pytest.mark.parametrize("changes", [
    {"step": -1}, {"step": "5"}, {"optimizer": {"name": "adam", "learning_rate": -1.0}},
    {"optimizer": None}, {"schedule_state": {}}, {"schedule_state": None},
    {"stop_states": [{}, {}]}, {"stop_states": [{}]}, {"stop": [{"name": "early"}]},
    {"schedule_began": 5}, {"ema": "half"},
])  # fmt: skip
def test_a_state_of_training_that_is_not_right(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    description, header, data = parts(path.read_bytes())
    description["training"].update(changes)
    path.write_bytes(joined(description, header, data))
    with pytest.raises(ValueError, match="holds no network that can be read"):
        fm.load(path)


def test_tensors_that_are_not_right(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "net"
    trained().save(path)
    description, _, _ = parts(path.read_bytes())
    metadata, right = {"fastmlp": json.dumps(description)}, load_file(path)
    for name in sorted(right):
        tensor = right[name]
        wrong: list[np.ndarray | None] = [
            None,
            tensor[:-1],
            tensor[..., None],
            tensor.astype("f8"),
            tensor.astype("i4"),
        ]
        wrong += [tensor * np.float32(np.nan)] if name.startswith(("weights", "bias")) else []
        if name in ("best.weights.1", "last.weights.1"):  # what is not there has not been kept
            del wrong[0]
        for other in wrong:
            tensors = {key: value for key, value in right.items() if key != name}
            save_file(
                {**tensors, name: other} if other is not None else tensors, path, metadata=metadata
            )
            with pytest.raises(ValueError, match=f"holds no network that can be read: .*{name}"):
                fm.load(path)
    save_file(right, path, metadata=metadata)
    assert_same_bits(fm.load(path).weights[0], right["weights.1"])
