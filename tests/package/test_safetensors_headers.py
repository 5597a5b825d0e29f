"""Headers of safetensors that are not right, JSON that is not bounded, and mutated files."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from safetensors_files import (
    filled,
    joined,
    read,
    short,
    small_tensors,
    split,
    with_entry,
    written,
)

import fastmlp as fm
from fastmlp.export.json_text import parse
from fastmlp.export.safetensors import CHECKSUMS, DTYPES, METADATA, Reader

# ---- headers that are not right

ENTRY = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
DEEP = "[" * 100_000


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
    (json.dumps({METADATA: {str(i): "" for i in range(1001)}}), "more than 1000 texts"),
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
        "2", "null", "[[2]]", "[-2]", "[2.0]", "[2e0]", "[true]", '["2"]', "[NaN]", "[Infinity]",
        "[-Infinity]", "[02]", "[+2]", "[2,]", "[,2]", "[2 1]", "[1,1", "[" + "9" * 10_000 + "]",
        "[0x2]", "[ 2", "[1]", "[3]", "[]", "[0]", "[1e400]", "[٢]", DEEP)],
    (with_entry(shape="[" + "1," * 64 + "2]"), "a list of more than 64 numbers"),
    (with_entry(shape="[4294967296,4294967296]"), "too many elements"),
    (with_entry(shape="[4611686018427387904,4]"), "too many elements"),
    (with_entry(shape="[0,4611686018427387904]", data_offsets="[0,0]"), "too many elements"),
    (with_entry(shape="[9999999999999999999]"), "too many elements"),
    *[(with_entry(data_offsets=offsets), "") for offsets in (
        "[]", "[0]", "[0,8,8]", "[8,0]", "[4,12]", "[0,7]", "[0,9]", "[-8,0]", "[0.0,8]",
        "[false,8]", "[0,9999999999999999999]", "[0,18446744073709551624]",
        "[1,9]", "[null,8]", '["0","8"]')],
], ids=short)  # fmt: skip
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
    [(0, 8), (0, 8)], [(0, 8), (4, 12)], [(0, 8), (9, 17)], [(8, 16), (8, 16)],
    [(8, 16), (16, 24)], [(0, 8), (8, 12)], [(0, 16), (8, 16)], [(8, 16), (1, 9)],
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
    entry = '{\n"data_offsets" : [ 0 , 8 ] ,"shape":[ 2 ],\r"dtype": "F32" }'
    spaced = f'{{ "a" :\t{entry} , "__metadata__" : {{ }} }}\n '
    assert read(joined(spaced, bytes(8)))[1]["a"].shape == (2,)
    assert read(joined('{"__metadata__":{"b":"c"} }'))[0] == {"b": "c"}
    assert read(joined(with_entry(shape="[ ]", data_offsets="[0,4]"), bytes(4)))[1]["a"].shape == ()


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
    ("NaN", "NaN is not a number"), ("[-Infinity]", "-Infinity is not"),
    ("1e999", "beyond the range"),
    ("[-1e309]", "beyond"), ("1" * 21, "more than 20 digits"), ("9" * 10**6, "more than 20 digits"),
    ("[-" + "9" * 5000 + "]", "more than 20"),
    ('{"a": 1, "a": 1}', "twice"), ('[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
    ("[" * 33 + "]" * 33, "inside each other"), ("[" * 10**5, "inside each other"),
    ('{"a":' * 10**5, "inside each other"), ('["\\"", ' + "[" * 40 + '"]', "inside each other"),
    ('["\\\\", ' + "[" * 33 + "]" * 33 + "]", "inside each other"),
    ("[" + "0," * 10**7 + "0]", "more than 10000000 values"),
    ("[" + "[]," * 5_000_001 + "0]", "more than"),
], ids=short)  # fmt: skip
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
    "-1", "0", "1", "8", "2.5", "1e2", "1e999", "9223372036854775807", "18446744073709551616",
    "9" * 5000, "NaN", "Infinity", "true", "null", '""', '"a"', '"F64"', '"BF16"', '"\\ud800"',
    '"\ud800"', "[]", "{}", "[[]]", "[0,8]", "[2,3]", "[" * 2000, '{"a":' * 500, "", "}", ",",
    '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}', " " * 50,
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
    """One file changed at up to three places: bits, bytes, cuts, splices, or values of its JSON."""
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
