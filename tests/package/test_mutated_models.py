"""Descriptions changed at random: an error that names the file, or a network that behaves."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from model_files import (
    DATA,
    LABELS,
    MANY,
    MANY_LABELS,
    X,
    classifier,
    cut_between_epochs,
    cut_within_an_epoch,
    in_resumption,
    parts,
    put_together,
    stopped_by_a_budget,
    there_and_back,
    trained,
)

import fastmlp as fm

# ---- what is mutated


class Case(NamedTuple):
    description: dict[str, Any]
    tensors: dict[str, np.ndarray]
    n_rows: int  # of the training that was cut off


KINDS: dict[str, Callable[[Path], fm.Network]] = {
    "untrained": lambda path: classifier(),
    "trained": lambda path: trained(),
    "cut between epochs": cut_between_epochs,
    "cut within an epoch": cut_within_an_epoch,
    "out of time": stopped_by_a_budget,
    "float64": lambda path: cut_between_epochs(path, dtype="float64"),
}


@cache
def cases(folder: Path) -> list[Case]:
    found = []
    for name, make in KINDS.items():
        make(folder / "checkpoint").save(folder / "net")
        found.append(Case(*parts(folder / "net"), len(MANY if "within" in name else X)))
    found += [Case(*parts(path), len(X)) for path in (DATA / "format1").glob("*.safetensors")]
    return found


# ---- mutations: texts that JSON has or has not, fields gone, added, twice, elsewhere


class Raw(str):
    """Stands in a description as it is."""


class Twice(dict):
    """An object whose first key is there twice."""


TEXTS = [
    "null", "true", "false", "0", "-0", "1", "-1", "2", "0.5", "-0.5", "1.0", "1e300", "-1e300",
    "1e-320", "1e400", "NaN", "Infinity", "-Infinity", "2147483647", "2147483648", "4294967296",
    "9007199254740993", "4611686018427380000", "4611686018427387905",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "1" * 400, "1" * 4500, '""', '"nan"', '"inf"',
    '"-inf"', '"adam"', '"float32"', '"relu"', '"x"', '"\\ud800"', '"\\u0000"', "[]", "{}",
    "[null]", "[0]", "[1,2]", '{"name":"adam"}', '{"name":"lbfgs"}', '{"name":"early_stopping"}',
    '{"name":"time_budget","seconds":1}', '{"name":"plateau"}', '{"name":{}}', '{"name":[]}',
    '{"epoch":1,"kept":true}', '{"best":"nan","waited":0}', '{"best":null,"waited":-1}', "[" * 31,
    "[" * 31 + "]" * 31, '{"a":' * 40 + "0" + "}" * 40, "", ",", "}", "nul", "'x'", "0x1", "01",
]  # fmt: skip


def text_of(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}:{text_of(item)}" for key, item in value.items()]
        return "{" + ",".join(items[:1] * isinstance(value, Twice) + items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (list or dict, index or key) in a description."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], list | dict):
            yield from places(value[key])


def mutate(description: dict[str, Any], random: Random) -> None:
    found = list(places(description))
    if not found:
        return
    inside, key = found[random.randrange(len(found))]
    other, other_key = found[random.randrange(len(found))]
    value = inside[key]
    way = random.randrange(9)
    if key == "callback_states" and type(value) is str and way < 6:
        states: Any = [{"best": None}]
        with suppress(ValueError):  # it has been mutated before
            states = json.loads(value)
        if isinstance(states, list | dict):
            mutate(states, random)
        inside[key] = text_of(states)
    elif way < 3:
        inside[key] = Raw(random.choice(TEXTS))
    elif way == 3:
        del inside[key]
    elif way == 4 and isinstance(inside, dict):
        inside[random.choice(["x", "epoch", "name", "best", "rows"])] = Raw(random.choice(TEXTS))
    elif way == 4:
        inside.insert(key, copy.deepcopy(value))
    elif way == 5:
        inside[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(value)
    elif way == 6 and isinstance(value, dict):
        inside[key] = Twice(value)
    elif way == 6:
        inside[key] = [value]
    elif isinstance(value, int | float):
        inside[key] = value + random.choice([-1, 1, 0.5, 2**32, -value, -2 * value])
    else:
        inside[key] = copy.deepcopy(other[other_key])


def mutate_tensors(tensors: dict[str, np.ndarray], random: Random) -> None:
    name = sorted(tensors)[random.randrange(len(tensors))]
    tensor = tensors[name] = tensors[name].copy()
    way = random.randrange(5)
    if way == 0:
        del tensors[name]
    elif way == 1:
        tensors[name] = tensor[:-1] if tensor.ndim else tensor[None]
    elif way == 2:
        tensors[name] = tensor.astype("f8" if tensor.dtype == "f4" else "f4")
    elif tensor.size and tensor.dtype.kind == "f":
        tensor.flat[random.randrange(tensor.size)] = random.choice([np.nan, np.inf, -1.0, 1e38, 0])
    elif tensor.size:
        tensor.flat[random.randrange(tensor.size)] = random.choice([-1, 0, 2**63 - 1, 5])


# ---- what must hold


def check_behaviour(path: Path, case: Case) -> None:
    """The network in a file that loads can be looked at, saved and trained."""
    net = fm.load(path)
    assert net.predict(X).shape == (len(X), net.sizes[-1])
    assert net.summary() and repr(net) and repr(net.history)
    saved = path.with_name("again")
    there_and_back(net, saved)
    y = LABELS if net.sizes[-1] == 3 else LABELS % 2
    # the epoch's cost may have overflowed by what a file says of moments and rates
    expected = ValueError, fm.DivergenceError
    try:
        net.evaluate(X, y)
        data = (MANY, MANY_LABELS) if case.n_rows > len(X) else (X, y)
        arguments = in_resumption(path.with_name("checkpoint"), case.n_rows)
        net.fit(*data, resume=True, **arguments)
    except expected:
        pass
    there_and_back(net, saved)
    net = fm.load(path)
    try:
        optimizer = net._training.optimizer or "adam"
        net.fit(X, y, epochs=1, optimizer=optimizer, ema=0.5)
        assert net.epochs == fm.load(path).epochs + 1
    except expected:
        pass
    there_and_back(net, saved)


def check_mutations(folder: Path, count: int, seed: int, every: int) -> tuple[int, int]:
    """Load so many mutated files, and train one in `every` of the networks that come out."""
    random = Random(seed)
    path, loaded, behaved = folder / "mutated.net", 0, 0
    for _ in range(count):
        case = cases(folder)[random.randrange(len(cases(folder)))]
        description, tensors = json.loads(json.dumps(case.description)), dict(case.tensors)
        if random.random() < 0.1:
            mutate_tensors(tensors, random)
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            mutate(description, random)
        text = text_of(description)
        put_together(path, text, tensors)
        try:
            try:
                fm.load(path)
            except fm.ModelFormatError as error:
                assert "mutated.net'" in str(error), error
                continue
            loaded += 1
            if loaded % every == 0:
                check_behaviour(path, case)
                behaved += 1
        except Exception as error:
            raise AssertionError(f"{error!r} of {text}") from error
    return loaded, behaved


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mutated_descriptions(tmp_path: Path) -> None:
    loaded, behaved = check_mutations(tmp_path, 2000, 1, every=5)
    assert loaded < 800
    assert behaved > 20


@pytest.mark.stress
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(10))
def test_a_million_mutated_descriptions(seed: int, tmp_path: Path) -> None:
    check_mutations(tmp_path, 100_000, 100 + seed, every=5)
