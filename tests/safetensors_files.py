"""What the tests of safetensors share: tensors, files made of them, files taken apart."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from support import assert_same_bits

from fastmlp.export.safetensors import DTYPES, Reader, write

SHAPES = ((), (0,), (3, 0, 2), (1,), (5,), (2, 3, 4), (1, 1, 1, 7))
METADATA_OF_ALL = {"text": 'quote " backslash \\ brackets [{ ü 网 😀 \x00\n', "": "", "empty": ""}


def filled(code: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of any bits there are, NaN and −0 too."""
    random = np.random.default_rng([13, len(code), *map(ord, code), *shape])
    dtype, size = DTYPES[code], int(np.prod(shape))
    if code == "BOOL":
        return random.integers(0, 2, size).astype(bool).reshape(shape)
    return random.integers(0, 256, size * dtype.itemsize, "u1").view(dtype).reshape(shape)


def all_tensors() -> dict[str, np.ndarray]:
    return {f"{code} {shape} ü": filled(code, shape) for code in DTYPES for shape in SHAPES}


def small_tensors() -> dict[str, np.ndarray]:
    codes = {"weights.1": "F32", "bias.1": "F64", "steps": "I64", "flags": "BOOL"}
    tensors = {name: filled(code, (2, 3)) for name, code in codes.items()}
    return {**tensors, "none": filled("F16", (0, 4)), "one": filled("U8", ())}


def written(tensors: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    file = io.BytesIO()
    write(file, tensors, metadata)
    return file.getvalue()


def read(content: bytes, *arguments: Any) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    reader = Reader(io.BytesIO(content), *arguments)
    return reader.metadata, reader.tensors()


def assert_same_tensors(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert_same_bits(ours[name], tensor)


def split(content: bytes) -> tuple[str, bytes]:
    """The header and the bytes of the tensors."""
    length = int.from_bytes(content[:8], "little")
    return content[8 : 8 + length].decode(), content[8 + length :]


def joined(header: str | bytes | dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header) if isinstance(header, dict) else header
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + data


def short(value: Any) -> str:
    """What a case of a test is called."""
    return repr(value)[:30]


def with_entry(**changes: str) -> str:
    parts = {"dtype": '"F32"', "shape": "[2]", "data_offsets": "[0,8]", **changes}
    return '{"a":{' + ",".join(f'"{key}":{value}' for key, value in parts.items() if value) + "}}"
