"""The reader and writer of safetensors: both ways with the library, damage, bounds, memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors_files import (
    METADATA_OF_ALL,
    all_tensors,
    assert_same_tensors,
    filled,
    joined,
    read,
    short,
    small_tensors,
    split,
    with_entry,
    written,
)
from support import assert_same_bits

import fastmlp as fm
from fastmlp.export.files import opened
from fastmlp.export.safetensors import CHECKSUMS, DTYPES, METADATA, Reader, write

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
], ids=short)  # fmt: skip
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
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="ASan needs more")
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
