"""The reader and writer of safetensors: both ways with the library, damage, bounds, mutations."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits

import fastmlp as fm
from fastmlp.export.files import opened
from fastmlp.export.json_text import parse
from fastmlp.export.safetensors import CHECKSUMS, DTYPES, METADATA, Reader, write

DATA = Path(__file__).with_name("data")
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


# ---- what others write and read


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    library = pytest.importorskip("safetensors.numpy")
    path, tensors = tmp_path / "file", all_tensors()
    with open(path, "wb") as file:
        write(file, tensors, METADATA_OF_ALL)
    assert_same_tensors(library.load_file(path), tensors)
    assert_same_tensors(library.load(path.read_bytes()), tensors)
    with safetensors.safe_open(path, framework="numpy") as reader:
        metadata = reader.metadata()
    assert metadata.pop(CHECKSUMS) and metadata == METADATA_OF_ALL
    for few in ({}, {"a": np.zeros(3)}):
        assert_same_tensors(library.load(written(few)), few)


@pytest.mark.parametrize("metadata", [None, {}, {"a": "b"}, METADATA_OF_ALL])
def test_we_read_what_the_library_writes(metadata: dict[str, str] | None) -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors = all_tensors()
    reader = Reader(io.BytesIO(library.save(tensors, metadata)))
    assert_same_tensors(reader.tensors(), tensors)
    assert (reader.metadata, reader.checked) == (metadata or {}, False)


def test_checksums_still_fit_when_the_library_has_written_a_file_again() -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors, metadata = small_tensors(), {"fastmlp": "{}"}
    texts = json.loads(split(written(tensors, metadata))[0])[METADATA]
    again = library.save(dict(reversed(tensors.items())), texts)
    reader = Reader(io.BytesIO(again))
    assert reader.checked and reader.metadata == metadata
    assert_same_tensors(reader.tensors(), tensors)
    with pytest.raises(fm.ModelFormatError, match="CRC-32 of tensor 'bias.1'"):
        read(library.save({**tensors, "bias.1": tensors["bias.1"] + 1}, texts))


def test_there_and_back() -> None:
    metadata, tensors = read(written(all_tensors(), METADATA_OF_ALL))
    assert metadata == METADATA_OF_ALL
    assert_same_tensors(tensors, all_tensors())
    assert all(tensor.flags.writeable and tensor.flags.aligned for tensor in tensors.values())
    assert read(written({})) == ({}, {})


def test_any_layout_and_byte_order_of_arrays() -> None:
    array = np.arange(24.0).reshape(4, 6)
    layouts = {
        "fortran": np.asfortranarray(array),
        "negative": array[::-1, ::-2],
        "stride 0": np.broadcast_to(array[0], (3, 6)),
        "big-endian": array.astype(">f8"),
        "view": array[1:3, 2:4].T,
        "long long": array.astype(np.longlong),
    }
    for name, tensor in read(written(layouts))[1].items():
        assert_same_bits(tensor, layouts[name].astype(layouts[name].dtype.newbyteorder("=")))


def test_headers_are_padded_and_tensors_aligned() -> None:
    for length in range(20):
        content = written(small_tensors(), {"text": "x" * length})
        header, data = split(content)
        assert len(header.encode()) % 8 == 0 and header[0] == "{"
        assert header.rstrip(" ").endswith("}") and len(header) - len(header.rstrip(" ")) < 8
        at = 0
        for entry in [entry for name, entry in json.loads(header).items() if name != METADATA]:
            assert entry["data_offsets"][0] == at
            assert at % DTYPES[entry["dtype"]].itemsize == 0
            at = entry["data_offsets"][1]
        assert at == len(data)


@pytest.mark.parametrize(("tensors", "metadata", "kind", "message"), [
    ({"a": np.zeros(2, "c8")}, {}, TypeError, "tensor 'a' must be of floats.*complex64"),
    ({"a": np.zeros(2, "O")}, {}, TypeError, "object"),
    ({"a": np.zeros(2, "U3")}, {}, TypeError, "U3"),
    ({"a": np.zeros(2, "M8[s]")}, {}, TypeError, "datetime64"),
    ({"a": np.zeros(2, [("x", "f4")])}, {}, TypeError, "'x'"),
    ({1: np.zeros(2)}, {}, TypeError, "must be strings, got 1"),
    ({}, {"a": 1}, TypeError, "must be strings, got 1"),
    ({}, {1: "a"}, TypeError, "must be strings, got 1"),
    ({METADATA: np.zeros(2)}, {}, ValueError, "reserved"),
    ({}, {CHECKSUMS: "{}"}, ValueError, "reserved"),
    ({"\ud800": np.zeros(2)}, {}, ValueError, "surrogates"),
    ({}, {"a": "\udc80"}, ValueError, "surrogates"),
    ({}, {str(i): "" for i in range(1000)}, ValueError, "fewer than 1000"),
    ({}, {"a": "x" * 100_000_000}, ValueError, "more than 100000000"),
])  # fmt: skip
def test_what_cannot_be_written(tensors: Any, metadata: Any, kind: Any, message: str) -> None:
    file = io.BytesIO()
    with pytest.raises(kind, match=message):
        write(file, tensors, metadata)
    assert file.getvalue() == b""


def test_arrays_of_8_bit_floats_are_refused() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.bfloat16):
        with pytest.raises(TypeError, match="tensor 'a' must be of floats.*float"):
            written({"a": np.zeros(3, dtype)})


# ---- damage


def test_every_flipped_bit_of_the_tensors_is_found() -> None:
    tensors = {name: tensor for name, tensor in small_tensors().items()}
    tensors["weights.2"] = filled("F32", (7, 5))
    content = written(tensors, {"fastmlp": "{}"})
    begin = len(content) - len(split(content)[1])
    flips = 8 * (len(content) - begin)
    assert flips > 1500
    for bit in range(flips):
        damaged = bytearray(content)
        damaged[begin + bit // 8] ^= 1 << bit % 8
        with pytest.raises(fm.ModelFormatError, match="is damaged: the CRC-32 of tensor '"):
            read(bytes(damaged))


def test_every_flipped_bit_of_the_header_is_found_or_harmless() -> None:
    tensors, metadata = small_tensors(), {"fastmlp": '{"sizes": [4, 3], "ü": 1e-3}'}
    content = written(tensors, metadata)
    found = 0
    flips = 8 * (len(content) - len(split(content)[1]))
    for bit in range(flips):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            texts, others = read(bytes(damaged))
        except fm.ModelFormatError:
            found += 1
        else:  # the name of the checksums is not theirs any more, or a hexadecimal digit is large
            texts = {name: text for name, text in texts.items() if name in metadata}
            assert texts == metadata
            assert_same_tensors(others, tensors)
    assert found > flips - 150


def test_a_flipped_bit_in_the_file_of_a_network_is_found(tmp_path: Path) -> None:
    net, path = fm.Network([4, 6, 3]), tmp_path / "net"
    net.fit(np.eye(4), [0, 1, 2, 0], epochs=2, ema=0.9)
    net.save(path)
    content = path.read_bytes()
    begin = len(content) - len(split(content)[1])
    random = np.random.default_rng(5)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[random.integers(begin, len(content))] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(fm.ModelFormatError, match="net' is damaged: the CRC-32 of tensor"):
            fm.load(path)


def test_checksums_that_are_not_right() -> None:
    content = written({"a": np.zeros(2), "b": np.ones(2)})
    header, data = split(content)
    texts = json.loads(header)
    sums = json.loads(texts[METADATA][CHECKSUMS])
    wrong = [{**sums, "a": 1}, {**sums, "c": 1}, {"a": sums["a"]}, {}, {**sums, "a": 2**40}]
    wrong += [{**sums, "a": value} for value in (-1, 1.5, True, None, "1", [], sums)]
    for text in [*map(json.dumps, wrong), "", "null", "[]", "{", json.dumps(sums) + "x"]:
        texts[METADATA][CHECKSUMS] = text
        with pytest.raises(fm.ModelFormatError, match="the file is damaged: "):
            read(joined(texts, data))


def test_bools_are_0_or_1() -> None:
    entry = {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}
    assert read(joined({"a": entry}, b"\0\1"))[1]["a"].tolist() == [False, True]
    with pytest.raises(fm.ModelFormatError, match="tensor 'a' of bools has bytes beyond 1"):
        read(joined({"a": entry}, b"\0\2"))


def test_a_file_cut_short_at_any_byte(tmp_path: Path) -> None:
    content = written(small_tensors(), {"fastmlp": "{}"})
    for length in range(len(content)):
        with pytest.raises(fm.ModelFormatError, match="the file is not a safetensors file: "):
            Reader(io.BytesIO(content[:length]))
    with pytest.raises(fm.ModelFormatError, match="bytes of tensors, its header tells of"):
        Reader(io.BytesIO(content + b"\0"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net"
    tensors = {"a": np.ones(100_000), "b": np.ones(100_000)}
    path.write_bytes(written(tensors))
    with opened(path) as file:
        reader = Reader(file)
        os.truncate(path, 1_000_000)
        assert_same_bits(reader.tensor("a"), tensors["a"])
        with pytest.raises(fm.ModelFormatError, match="net' .*ends before the end of tensor 'b'"):
            reader.tensor("b")
        with pytest.raises(KeyError):
            reader.tensor("c")


def test_a_file_object_that_reads_little_at_a_time() -> None:
    class Slow(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[:3])

    reader = Reader(Slow(written(small_tensors())))
    assert_same_tensors(reader.tensors(), small_tensors())


# ---- headers that are not right

ENTRY = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
DEEP = "[" * 100_000


def with_entry(**changes: str) -> str:
    parts = {"dtype": '"F32"', "shape": "[2]", "data_offsets": "[0,8]", **changes}
    return '{"a":{' + ",".join(f'"{key}":{value}' for key, value in parts.items() if value) + "}}"


@pytest.mark.parametrize(("header", "message"), [
    ("", "does not begin with '{'"),
    (" {}", "does not begin with '{'"),
    ("[]", "does not begin with '{'"),
    (b"{\xff", "is not UTF-8"),
    (b"\xef\xbb\xbf{}", "does not begin with '{'"),
    ("{", "a string should stand at character 1"),
    ("{}}", "the end should stand at character 2, there is '}'"),
    ("{}\0", "the end should stand"),
    ('{"a"}', "':' should stand"),
    (f'{{"a":{ENTRY},}}', "a string should stand"),
    (f'{{"a":{ENTRY} "b":{ENTRY}}}', "'}' should stand"),
    (f'{{"a":{ENTRY},"a":{ENTRY}}}', "'a' is there twice"),
    (f'{{"a":{ENTRY},"\\u0061":{ENTRY}}}', "'a' is there twice"),
    (f'{{"{METADATA}":{{}},"{METADATA}":{{}}}}', "'__metadata__' is there twice"),
    (f'{{"{METADATA}":{{"a":"1","a":"2"}}}}', "'a' twice"),
    (f'{{"{METADATA}":{{"a":1}}}}', "a string should stand"),
    (f'{{"{METADATA}":{{"a":{{}}}}}}', "a string should stand"),
    (f'{{"{METADATA}":[]}}', "'{' should stand"),
    (f'{{"{METADATA}":null}}', "'{' should stand"),
    (f'{{"{METADATA}":{{"a":"\\ud800"}}}}', "is not JSON"),
    (f'{{"{METADATA}":{{"a":"\n"}}}}', "is not JSON"),
    (f'{{"{METADATA}":{{{",".join(f"{chr(34)}{i}{chr(34)}:{chr(34)*2}" for i in range(1001))}}}}}', "more than 1000 texts"),
    ('{"a":null}', "'{' should stand"),
    ('{"a":[]}', "'{' should stand"),
    (f'{{"a":{DEEP}', "'{' should stand"),
    ('{"a":' * 100_000, "unknown entry 'a'"),
    (DEEP, "does not begin"),
    (f'{{"{METADATA}":{{"a":{DEEP}', "a string should stand"),
    ('{"a":{}}', "must have dtype, shape and two data_offsets"),
    (with_entry(dtype=""), "must have dtype"),
    (with_entry(shape=""), "must have dtype"),
    (with_entry(data_offsets=""), "must have dtype"),
    (with_entry(more="1"), "unknown entry 'more'"),
    (with_entry(dtype='"F32","dtype":"F32"'), "'dtype' twice"),
    (with_entry(dtype="1"), "a string should stand"),
    *[(with_entry(dtype=f'"{code}"'), f"tensor 'a' is '{code}', which NumPy does not have")
      for code in ("BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "C64", "f32", "", "X" * 50)],
    *[(with_entry(shape=shape), "") for shape in (
        "2", "null", "[[2]]", "[-2]", "[2.0]", "[2e0]", "[true]", '["2"]', "[NaN]", "[Infinity]", "[-Infinity]",
        "[02]", "[+2]", "[2,]", "[,2]", "[2 1]", "[1,1", "[" + "9" * 10_000 + "]", "[0x2]", "[ 2", "[1]", "[3]", "[]", "[0]", "[1e400]", "[٢]",
        DEEP)],
    (with_entry(shape="[" + "1," * 64 + "2]"), "a list of more than 64 numbers"),
    (with_entry(shape="[4294967296,4294967296]"), "too many elements"),
    (with_entry(shape="[4611686018427387904,4]"), "too many elements"),
    (with_entry(shape="[0,4611686018427387904]", data_offsets="[0,0]"), "too many elements"),
    (with_entry(shape="[9999999999999999999]"), "too many elements"),
    *[(with_entry(data_offsets=offsets), "") for offsets in (
        "[]", "[0]", "[0,8,8]", "[8,0]", "[4,12]", "[0,7]", "[0,9]", "[-8,0]", "[0.0,8]", "[false,8]", "[0,9999999999999999999]",
        "[0,18446744073709551624]", "[1,9]", "[null,8]", '["0","8"]')],
])  # fmt: skip
def test_headers_that_are_not_right(header: str | bytes, message: str) -> None:
    assert read(joined(with_entry(), bytes(8)))[1]["a"].tolist() == [0.0, 0.0]
    content = joined(header, bytes(8))
    with pytest.raises(
        fm.ModelFormatError, match="the file is not a safetensors file: .*"
    ) as found:
        read(content)
    assert message in str(found.value)
    assert len(str(found.value)) < 600


@pytest.mark.parametrize("offsets", [
    [(0, 8), (0, 8)], [(0, 8), (4, 12)], [(0, 8), (9, 17)], [(8, 16), (8, 16)], [(8, 16), (16, 24)], [(0, 8), (8, 12)],
    [(0, 16), (8, 16)], [(8, 16), (1, 9)],
])  # fmt: skip
def test_tensors_that_overlap_or_leave_gaps(offsets: list[tuple[int, int]]) -> None:
    def header(pairs: list[tuple[int, int]]) -> dict[str, Any]:
        parts = {"dtype": "F32", "shape": [2]}
        return {f"t{i}": {**parts, "data_offsets": pair} for i, pair in enumerate(pairs)}

    data = bytes(range(16))
    assert read(joined(header([(0, 8), (8, 16)]), data))[1].keys() == {"t0", "t1"}
    turned = read(joined(header([(8, 16), (0, 8)]), data))[1]  # any order is right
    assert turned["t0"].tobytes() == data[8:]
    for size in (8, 12, 16, 17, 24):
        with pytest.raises(fm.ModelFormatError, match="tensor 't.' of |bytes of tensors"):
            read(joined(header(offsets), bytes(size)))


def test_lengths_of_the_header_that_are_not_right() -> None:
    for length in (0, 1, 16, 17, 10**6, 100_000_001, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1):
        with pytest.raises(fm.ModelFormatError, match="the file is not a safetensors file"):
            Reader(io.BytesIO(length.to_bytes(8, "little") + b"{}" + bytes(14)))
    for content in (b"", b"{}", bytes(7), bytes(8), b"PK\3\4 not one of ours", b"\x80\4pickle"):
        with pytest.raises(fm.ModelFormatError, match="the file is not a safetensors file"):
            Reader(io.BytesIO(content))


def test_white_space_and_order_do_not_matter() -> None:
    spaced = '{ "a" :\t{\n"data_offsets" : [ 0 , 8 ] ,"shape":[ 2 ],\r"dtype": "F32" } , "__metadata__" : { } }\n '
    assert read(joined(spaced, bytes(8)))[1]["a"].shape == (2,)
    assert read(joined('{"__metadata__":{"b":"c"} }'))[0] == {"b": "c"}
    assert read(joined(with_entry(shape="[ ]", data_offsets="[0,4]"), bytes(4)))[1]["a"].shape == ()


# ---- what a file may hold


def only(tensors: Mapping[str, np.ndarray]) -> Callable[[dict[str, str]], dict[str, Any]]:
    return lambda _: {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


def test_the_metadata_decide_which_tensors_there_may_be() -> None:
    tensors, metadata = {"a": np.zeros((2, 3), "f4"), "b": np.zeros(4)}, {"size": "3"}

    def expected(texts: dict[str, str]) -> dict[str, Any]:
        assert texts == metadata
        return {
            "a": ("float32", [2, int(texts["size"])]),
            "b": ("float64", (4,)),
            "c": ("bool", ()),
        }

    content = written(tensors, metadata)
    assert_same_tensors(read(content, expected)[1], tensors)
    header, data = split(content)
    entries = json.loads(header)
    last = {**{name: entries[name] for name in tensors}, METADATA: entries[METADATA]}
    assert_same_tensors(read(joined(last, data), expected)[1], tensors)
    for wrong, message in (
        ({**tensors, "d": np.zeros(1)}, "has a tensor 'd', which should not be"),
        (
            {**tensors, "a": np.zeros((3, 2), "f4")},
            r".* a must be float32 \(2, 3\), got float32 \(3, 2\)",
        ),
        (
            {**tensors, "a": np.zeros((2, 3))},
            r".* a must be float32 \(2, 3\), got float64 \(2, 3\)",
        ),
        ({**tensors, "c": np.zeros((), "u1")}, r".* c must be bool \(\), got uint8 \(\)"),
    ):
        content = written(wrong, metadata)
        entries = json.loads(split(content)[0])
        last = {**{name: entries[name] for name in wrong}, METADATA: entries[METADATA]}
        for each in (content, joined(last, split(content)[1])):
            with pytest.raises(fm.ModelFormatError, match=f"^the file {message}"):
                read(each, expected)


def test_without_metadata_there_may_be_what_no_metadata_let() -> None:
    content = joined(with_entry(), bytes(8))
    assert read(content, lambda texts: {"a": ("f4", (2,))} if texts == {} else {})[1].keys() == {
        "a"
    }
    with pytest.raises(fm.ModelFormatError, match="has a tensor 'a', which should not be"):
        read(content, lambda texts: {})


def test_what_the_caller_raises_is_passed_on() -> None:
    def expected(_: dict[str, str]) -> dict[str, Any]:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        read(written({"a": np.zeros(2)}), expected)


@pytest.mark.slow
def test_a_header_of_1_600_000_empty_tensors_takes_no_longer_than_it_may() -> None:
    names = ",".join(
        f'"{i:07}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(1_600_000)
    )
    first = f'{{"{METADATA}":{{"fastmlp":"{{}}"}},{names}}}'.encode()
    last = f'{{{names},"{METADATA}":{{"fastmlp":"{{}}"}}}}'.encode()
    del names
    for header, arguments, message in (
        (first, (only(small_tensors()),), "has a tensor '0000000', which should not be"),
        (last, (only(small_tensors()),), "more than 10000 tensors"),
        (first, (None, 1000), "more than 1000 tensors"),
    ):
        file = io.BytesIO(joined(header))
        began = time.perf_counter()
        with pytest.raises(fm.ModelFormatError, match=message):
            Reader(file, *arguments)
        assert time.perf_counter() - began < 10
        tracemalloc.start()
        with pytest.raises(fm.ModelFormatError, match=message):
            Reader(file, *arguments)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * len(header)


# ---- memory


def test_tensors_are_not_held_twice(tmp_path: Path) -> None:
    tensors = {name: np.ones((1000, 2000)) for name in "abc"}
    size, path = tensors["a"].nbytes, tmp_path / "file"
    tracemalloc.start()
    with open(path, "wb") as file:
        write(file, tensors, {})
    assert tracemalloc.get_traced_memory()[1] < 0.1 * size
    with open(path, "wb") as file:
        write(file, {name: tensor.T for name, tensor in tensors.items()}, {})
    assert tracemalloc.get_traced_memory()[1] < 1.1 * size
    tracemalloc.reset_peak()
    with opened(path) as file:
        reader = Reader(file)
        assert tracemalloc.get_traced_memory()[1] < 0.1 * size
        for name in tensors:
            reader.tensor(name)
        assert tracemalloc.get_traced_memory()[1] < 1.1 * size
        read_all = reader.tensors()
    assert tracemalloc.get_traced_memory()[1] < 3.1 * size
    tracemalloc.stop()
    assert_same_bits(read_all["b"], np.ascontiguousarray(tensors["b"].T))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory of Linux")
def test_no_memory_is_a_memory_error(tmp_path: Path) -> None:
    header = with_entry(shape="[500000000]", data_offsets="[0,2000000000]")
    path = tmp_path / "big"
    path.write_bytes(joined(header))
    os.truncate(path, 8 + len(header) + 2_000_000_000)  # takes no room on the disk
    code = f"""
import resource, numpy
from fastmlp.export.files import opened
from fastmlp.export.safetensors import Reader, write
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
with opened({str(path)!r}) as file:
    reader = Reader(file)
    try:
        reader.tensor("a")
    except MemoryError:
        print("no memory to read", end="; ")
array = numpy.zeros((500_000_000 // 8, 2), "f4").T[:, ::2]
keep = numpy.zeros(400_000_000 // 8)
try:
    with open("/dev/null", "wb") as file:
        write(file, {{"a": numpy.broadcast_to(array[:, :1], (2, 200_000_000))}})
except MemoryError:
    print("no memory to write")
"""
    environment = {**os.environ, "RUST_BACKTRACE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "no memory to read; no memory to write\n"), done


def test_the_library_is_not_needed(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["safetensors"] = None
import fastmlp as fm
fm.Network([2, 3]).save({str(tmp_path / "net")!r})
print(fm.load({str(tmp_path / "net")!r}).sizes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "(2, 3)"), done


# ---- JSON of any kind


def test_parse_returns_what_json_does() -> None:
    value = {"a": [1, -2.5, True, None, '[{\\"', {"b": []}], "ü": 2**64 - 1, "\\": '"[[[['}
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps([[value] * 100] * 20)) == [[value] * 100] * 20
    assert np.isnan(parse("[NaN]", allow_nan=True)[0])
    assert parse("[Infinity, -Infinity]", allow_nan=True) == [np.inf, -np.inf]
    assert parse('"' + "[" * 1000 + '"') == "[" * 1000


@pytest.mark.parametrize(("text", "message"), [
    ("", ""), ("{", ""), ("[1,]", ""), ("nul", ""), ("{} {}", ""), ("\ufeff{}", ""),
    ("NaN", "NaN is not a number"), ("[-Infinity]", "-Infinity is not"), ("1e999", "beyond the range"), ("[-1e309]", "beyond"),
    ("1" * 21, "more than 20 digits"), ("9" * 10**6, "more than 20 digits"), ("[-" + "9" * 5000 + "]", "more than 20"),
    ('{"a": 1, "a": 1}', "twice"), ('[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
    ("[" * 33 + "]" * 33, "inside each other"), ("[" * 10**5, "inside each other"), ('{"a":' * 10**5, "inside each other"),
    ('["\\\\", ' + "[" * 33 + "]" * 33 + "]", "inside each other"), ('["\\"", ' + "[" * 40 + '"]', "inside each other"),
    ("[" + "0," * 10**7 + "0]", "more than 10000000 values"), ("[" + "[]," * 5_000_001 + "0]", "more than"),
])  # fmt: skip
def test_parse_refuses_what_is_not_bounded_or_not_strict(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message or None):
        parse(text)
    assert parse("[" * 32 + "]" * 32) is not None


def test_deep_nesting_does_not_crash_where_recursion_is_let_go_far() -> None:
    code = """
import sys
from fastmlp.export.json_text import parse
sys.setrecursionlimit(10**8)
for text in ("[" * 10**6, '{"a":' * 10**6):
    try:
        parse(text)
    except ValueError as error:
        print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ValueError\nValueError\n"), done


# ---- mutations

WEIRD = (
    "-1", "0", "1", "8", "2.5", "1e2", "1e999", "9223372036854775807", "18446744073709551616", "9" * 5000,
    "NaN", "Infinity", "true", "null", '""', '"a"', '"F64"', '"BF16"', '"\\ud800"', '"\ud800"', "[]", "{}", "[[]]", "[0,8]", "[2,3]",
    "[" * 2000, '{"a":' * 500, '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}', "", "}", ",", " " * 50,
)  # fmt: skip
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[0-9]+|\[[0-9,]*\]|[{}\[\]:,]')


def corpus() -> list[bytes]:
    """Files that are right: with checksums and without, small and of many tensors, in any order."""
    tensors = small_tensors()
    many = {f"layer.{i}": filled("F32", (i % 3, 2)) for i in range(12)}
    files = [
        written(tensors, {"fastmlp": json.dumps({"sizes": [4, 3], "hidden": [{"name": "relu"}]})}),
        written(many, {"fastmlp": "{}", "more": "texts"}),
        written({}, {}),
    ]
    for content in files[:2]:
        header, data = split(content)
        entries = json.loads(header)
        texts = entries.pop(METADATA)
        files.append(joined({**entries, METADATA: texts}, data))
        del texts[CHECKSUMS]
        files.append(joined({METADATA: texts, **entries}, data))
    return files


def mutated(content: bytes, files: list[bytes], random: np.random.Generator) -> bytes:
    """One file changed at one to three places: bits, bytes, cuts, splices, or values of its JSON."""
    for _ in range(random.integers(1, 4)):
        kind, size = random.integers(8), len(content)
        at, to = sorted(random.integers(0, size + 1, 2)) if size else (0, 0)
        changed = bytearray(content)
        if kind == 0 and size:
            changed[min(at, size - 1)] ^= 1 << random.integers(8)
        elif kind == 1 and size:
            changed[min(at, size - 1)] = random.choice(list(b'0-9"[]{},:. \\eN\x00\xff'))
        elif kind == 2:
            del changed[random.choice([at, to]) :]
        elif kind == 3:
            changed[at:at] = content[at : min(to, at + 100)]
        elif kind == 4:
            other = files[random.integers(len(files))]
            changed[at:to] = other[at:to] if random.random() < 0.5 else other[at:]
        else:
            header, data = split_loosely(content)
            tokens = list(TOKEN.finditer(header))
            if tokens:
                token = tokens[random.integers(len(tokens))]
                new = WEIRD[random.integers(len(WEIRD))]
                if (
                    kind == 6
                ):  # another token of the same file: names, values and offsets change places
                    new = tokens[random.integers(len(tokens))][0]
                elif kind == 7:
                    new = token[0] * 2
                header = header[: token.start()] + new + header[token.end() :]
            changed = bytearray(joined(header.encode("utf-8", "replace"), data))
        content = bytes(changed)
    return content


def split_loosely(content: bytes) -> tuple[str, bytes]:
    length = min(int.from_bytes(content[:8], "little"), len(content))
    return content[8 : 8 + length].decode("utf-8", "replace"), content[8 + length :]


def check_mutations(count: int, seed: int) -> None:
    """What is read is an error of the one kind, or what the header says, or what was written."""
    random = np.random.default_rng(seed)
    files = corpus()
    contents = [read(content) for content in files]
    known = {name: (t.dtype, t.shape) for _, tensors in contents for name, t in tensors.items()}
    passed = 0
    for index in range(count):
        content = mutated(files[index % len(files)], files, random)
        expected = (lambda _: known) if random.random() < 0.5 else None
        try:
            reader = Reader(io.BytesIO(content), expected)
            tensors = reader.tensors()
        except fm.ModelFormatError as error:
            assert str(error).startswith("the file "), content
            assert len(str(error)) < 600, content
            continue
        passed += 1
        assert all(isinstance(text, str) for pair in reader.metadata.items() for text in pair)
        assert sum(tensor.nbytes for tensor in tensors.values()) <= len(content)
        for name, tensor in tensors.items():
            entry = reader.entries[name]
            assert (tensor.dtype, tensor.shape) == (DTYPES[entry.dtype], entry.shape), content
            assert expected is None or (tensor.dtype, tensor.shape) == known[name], content
        if reader.checked:
            assert any(
                texts == reader.metadata
                and others.keys() == tensors.keys()
                and all(others[name].tobytes() == tensors[name].tobytes() for name in tensors)
                for texts, others in contents
            ), content
    assert 0 < passed < count / 2


def test_mutated_files_are_refused_or_good() -> None:
    check_mutations(8000, 1)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(10))
def test_a_million_mutated_files_are_refused_or_good(seed: int) -> None:
    check_mutations(100_000, 100 + seed)


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
