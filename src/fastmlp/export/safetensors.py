"""The safetensors format: a reader and a writer that go through a file tensor by tensor.

A file is the length of the header (8 bytes, little-endian), the header (JSON: for each tensor its
dtype, shape and place; texts under "__metadata__"), and the bytes of the tensors without gaps. The
writer adds a CRC-32 for each tensor and for the header to the metadata; the reader checks them.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import ModelFormatError
from .json_text import Scanner

METADATA = "__metadata__"
CHECKSUMS = "fastmlp.crc32"  # in the metadata: JSON of names and CRC-32; METADATA is the header's

MAX_HEADER = 100_000_000  # bytes; the safetensors library has the same limit
MAX_TEXTS = 1000
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 64  # of NumPy
MAX_BYTES = 2**63 - 1

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}  # fmt: skip
_CODES = {dtype: code for code, dtype in DTYPES.items()}

# From the metadata: which tensors the file may hold, as (dtype, shape) by name.
Expected = Callable[[dict[str, str]], Mapping[str, tuple[Any, tuple[int, ...]]]]


class Entry(NamedTuple):
    """What the header says of a tensor; its bytes are counted from the end of the header."""

    begin: int
    end: int
    dtype: str
    shape: tuple[int, ...]


def write(
    file: BinaryIO, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and texts to a file.

    At most one tensor is copied at a time, and only if it is not contiguous and little-endian.

    Parameters
    ----------
    file : binary file object
        Open for writing and buffered, at its beginning.
    tensors : mapping of str to ndarray
        Of any shape; float64 to float16, int64 to int8, uint64 to uint8 or bool.
    metadata : mapping of str to str, optional

    Raises
    ------
    TypeError
        If a tensor is of another dtype, or a text is not a string.
    ValueError
        If a name is reserved, or the header would be longer than 100 MB.
    OSError
        As the file raises it.
    """
    metadata = {} if metadata is None else dict(metadata)
    if CHECKSUMS in metadata or METADATA in tensors:
        raise ValueError(f"{CHECKSUMS!r} in metadata and a tensor {METADATA!r} are reserved")
    if len(metadata) >= MAX_TEXTS:
        raise ValueError(f"metadata must have fewer than {MAX_TEXTS} texts, got {len(metadata)}")
    for text in [*tensors, *metadata, *metadata.values()]:
        if not isinstance(text, str):
            raise TypeError(f"names and texts must be strings, got {text!r}")
        text.encode()  # a UnicodeEncodeError for half of a surrogate pair
    entries, sums, end = {}, {}, 0
    # The largest elements first, as the library does: with a header of 8 k bytes all are aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        tensor = tensors[name]
        sums[name] = zlib.crc32(_content(name, tensor).data)
        begin, end = end, end + tensor.nbytes
        entries[name] = Entry(begin, end, _CODES[tensor.dtype.newbyteorder("<")], tensor.shape)
    sums[METADATA] = _header_sum(metadata, entries, sums)
    header: dict[str, Any] = {METADATA: {**metadata, CHECKSUMS: json.dumps(sums)}}
    for name, (begin, end, code, shape) in entries.items():
        header[name] = {"dtype": code, "shape": shape, "data_offsets": (begin, end)}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    if len(encoded) > MAX_HEADER:
        raise ValueError(f"names and texts take {len(encoded)} bytes, more than {MAX_HEADER}")
    file.write(len(encoded).to_bytes(8, "little"))
    file.write(encoded)
    for name in entries:
        file.write(_content(name, tensors[name]).data)


def _content(name: str, tensor: np.ndarray) -> np.ndarray:
    """Return the bytes of a tensor as in the file, (nbytes,) uint8: a view if possible."""
    dtype = tensor.dtype.newbyteorder("<")
    if dtype not in _CODES:
        raise TypeError(f"tensor {name!r} must be of floats, integers or bool, got {tensor.dtype}")
    return np.ascontiguousarray(tensor, dtype).reshape(-1).view(np.uint8)


def _header_sum(
    metadata: Mapping[str, str], entries: Mapping[str, Entry], sums: Mapping[str, int]
) -> int:
    """Return the CRC-32 of all that the header says but where the tensors lie.

    So it still fits where another program has written the same content in another order.
    """
    tensors = [(name, entries[name].dtype, entries[name].shape, sums[name]) for name in entries]
    return zlib.crc32(json.dumps([sorted(metadata.items()), sorted(tensors)]).encode())


class Reader:
    """The header of a file, read and checked at once, and its tensors, read when asked for.

    Parameters
    ----------
    file : binary file object
        Open for reading, seekable; it must stay open while tensors are read.
    expected : callable, optional
        Called once with the metadata; returns the (dtype, shape) of each tensor that the file may
        hold, by name. Any other tensor is an error, found before memory is given to it. What it
        raises is passed on. By default any tensors are taken.
    max_tensors : int, default=10,000
        Most tensors taken without `expected`, or listed before the metadata.

    Attributes
    ----------
    metadata : dict of str to str
        The texts, without the checksums.
    entries : dict of str to Entry
        The tensors in the order of their bytes.
    checked : bool
        Whether the file has checksums; those of the header are then right.

    Raises
    ------
    ModelFormatError
        If this is no such file, or it is cut short or damaged; the message begins with its name.
    MemoryError
    OSError
        As the file raises it.
    """

    def __init__(
        self, file: BinaryIO, expected: Expected | None = None, max_tensors: int = MAX_TENSORS
    ) -> None:
        self._file = file
        name = getattr(file, "name", None)
        self.name = repr(os.fsdecode(name)) if isinstance(name, str | bytes) else "the file"
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        prefix = bytearray(8)
        self._fill(memoryview(prefix), "the length of the header")
        length = int.from_bytes(prefix, "little")
        self._start = 8 + length
        if self._start > size or length > MAX_HEADER:
            raise self._foreign(f"a header of {length} bytes in a file of {size}")
        self._scan(self._header(length), expected, max_tensors)
        self._place(size - self._start)
        self._sums = self._checksums()
        self.checked = self._sums is not None

    def _foreign(self, reason: str) -> ModelFormatError:
        return ModelFormatError(f"{self.name} is not a safetensors file: {reason}")

    def _damaged(self, reason: str) -> ModelFormatError:
        return ModelFormatError(f"{self.name} is damaged: {reason}")

    def _fill(self, view: memoryview, what: str) -> None:
        while view:
            count = self._file.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise self._foreign(f"it ends before the end of {what}")
            view = view[count:]

    def _header(self, length: int) -> str:
        content = bytearray(length)
        self._fill(memoryview(content), "the header")
        if not content.startswith(b"{"):
            raise self._foreign("the header does not begin with '{'")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise self._foreign("the header is not UTF-8") from None

    def _scan(self, text: str, expected: Expected | None, max_tensors: int) -> None:
        scanner = Scanner(text, f"{self.name} is not a safetensors file: in its header")
        self.entries: dict[str, Entry] = {}
        metadata: dict[str, str] | None = None
        allowed = None
        for name in scanner.members():
            if name == METADATA and metadata is None:
                metadata = _texts(scanner)
                if expected is not None:
                    allowed = expected(_without_checksums(metadata))
                    for earlier in self.entries:
                        self._compare(earlier, allowed)
            elif name in self.entries or name == METADATA:
                raise scanner.fail(f"{_short(name)} is there twice")
            else:
                self.entries[name] = _entry(scanner, name)
                if allowed is not None:
                    self._compare(name, allowed)
                elif len(self.entries) > max_tensors:
                    raise scanner.fail(f"more than {max_tensors} tensors")
        scanner.take("")
        if expected is not None and metadata is None:
            allowed = expected({})
            for name in self.entries:
                self._compare(name, allowed)
        self._texts = metadata or {}
        self.metadata = _without_checksums(self._texts)

    def _compare(self, name: str, allowed: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
        if name not in allowed:
            raise ModelFormatError(f"{self.name} has a tensor {_short(name)}, which should not be")
        wanted = np.dtype(allowed[name][0]).name, tuple(allowed[name][1])
        entry = self.entries[name]
        found = DTYPES[entry.dtype].name, entry.shape
        if found != wanted:
            what = f"{name} must be {wanted[0]} {wanted[1]}, got {found[0]} {found[1]}"
            raise ModelFormatError(f"{self.name} has another tensor than it should: {what}")

    def _place(self, size: int) -> None:
        """Put the entries in the order of their bytes, which they must cover without gaps."""
        self.entries = dict(sorted(self.entries.items(), key=lambda item: item[1]))
        at = 0
        for name, (begin, end, code, shape) in self.entries.items():
            nbytes = math.prod(shape) * DTYPES[code].itemsize
            if begin != at or end - begin != nbytes:
                what = f"tensor {_short(name)} of {nbytes} bytes lies at {begin} to {end}"
                raise self._foreign(f"{what}, the one before ends at {at}")
            at = end
        if at != size:
            raise self._foreign(f"it has {size} bytes of tensors, its header tells of {at}")

    def _checksums(self) -> dict[str, int] | None:
        text = self._texts.get(CHECKSUMS)
        if text is None:
            return None
        scanner = Scanner(text, f"{self.name} is damaged: in its checksums")
        sums: dict[str, int] = {}
        for name in scanner.members():
            if name in sums or (name not in self.entries and name != METADATA):
                raise scanner.fail(f"there is no tensor {_short(name)} or it is there twice")
            sums[name] = scanner.integer()
        scanner.take("")
        for name in (*self.entries, METADATA):
            if name not in sums:
                raise scanner.fail(f"{_short(name)} has none")
        if sums[METADATA] != _header_sum(self.metadata, self.entries, sums):
            raise self._damaged("the CRC-32 of its header is not the one saved with it")
        return sums

    def tensor(self, name: str) -> np.ndarray:
        """Return the tensor of that name, in a new array of its shape and dtype.

        Raises
        ------
        KeyError
            If the file has no such tensor.
        ModelFormatError
            If the file ends too early or the CRC-32 of the bytes is not the one that was saved.
        MemoryError
        """
        entry = self.entries[name]
        dtype = DTYPES[entry.dtype]
        array = np.empty(entry.shape, dtype)
        content = array.reshape(-1).view(np.uint8)
        self._file.seek(self._start + entry.begin)
        self._fill(content.data, f"tensor {_short(name)}")
        if self._sums is not None and zlib.crc32(content.data) != self._sums[name]:
            raise self._damaged(f"the CRC-32 of tensor {_short(name)} is not the one saved with it")
        if dtype == np.bool_ and content.max(initial=0) > 1:
            raise self._damaged(f"tensor {_short(name)} of bools has bytes beyond 1")
        return array.astype(dtype.newbyteorder("="), copy=False)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all tensors by name, in the order of the file."""
        return {name: self.tensor(name) for name in self.entries}


def _texts(scanner: Scanner) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in scanner.members():
        if name in texts or len(texts) == MAX_TEXTS:
            raise scanner.fail(f"metadata with {_short(name)} twice or more than {MAX_TEXTS} texts")
        texts[name] = scanner.string()
    return texts


def _without_checksums(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name != CHECKSUMS}


def _entry(scanner: Scanner, name: str) -> Entry:
    found: dict[str, Any] = {}
    for key in scanner.members():
        if key in found:
            raise scanner.fail(f"tensor {_short(name)} has {_short(key)} twice")
        if key == "dtype":
            found[key] = scanner.string()
        elif key == "shape":
            found[key] = scanner.integers(MAX_DIMENSIONS)
        elif key == "data_offsets":
            found[key] = scanner.integers(2)
        else:
            raise scanner.fail(f"tensor {_short(name)} has an unknown entry {_short(key)}")
    if len(found) < 3 or len(found["data_offsets"]) < 2:
        raise scanner.fail(f"tensor {_short(name)} must have dtype, shape and two data_offsets")
    code, shape = found["dtype"], found["shape"]
    if code not in DTYPES:
        raise scanner.fail(f"tensor {_short(name)} is {_short(code)}, which NumPy does not have")
    # NumPy takes the product without the zeros, too
    if math.prod(size or 1 for size in shape) * DTYPES[code].itemsize > MAX_BYTES:
        raise scanner.fail(f"tensor {_short(name)} has too many elements: shape {shape}")
    begin, end = found["data_offsets"]
    return Entry(begin, end, code, shape)


def _short(name: str) -> str:
    """Return a name from a file as it may stand in a message."""
    return repr(name if len(name) <= 60 else name[:57] + "...")
