"""Files and pickles of every format are read for ever."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import (
    DATA,
    Counts,
    changed,
    cut_within_an_epoch,
    in_resumption,
    parts,
    put_together,
)
from support import assert_same_bits, assert_same_network

import fastmlp as fm
from fastmlp.export.files import opened
from fastmlp.export.json_text import parse
from fastmlp.export.safetensors import Reader
from fastmlp.export.state import to_state

ROWS = np.linspace(-1, 1, 32).reshape(8, 4)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # the kernels of other processors round differently


def targets(net: fm.Network) -> np.ndarray:
    return np.arange(8) % net.sizes[-1] if net.sizes[-1] > 1 else np.abs(ROWS[:, :1])


# ---- format 1

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
    predictions = fm.load(path).predict(ROWS)
    np.testing.assert_allclose(predictions, expected["predictions"], **CLOSE)


@pytest.mark.parametrize("name", FORMAT_1)
def test_what_format_1_says_of_a_training_is_taken_over(name: str) -> None:
    path = DATA / "format1" / f"{name}.safetensors"
    with opened(path) as file:
        reader = Reader(file)
        before, tensors = parse(reader.metadata["fastmlp"]), reader.tensors()
    net = fm.load(path)
    after, found = to_state(net._model, net._training)
    training = before.get("training")
    for key in ("sizes", "hidden", "output", "loss", "dropout", "dtype", "seed", "init", "epochs"):
        assert after[key] == before[key]
    assert (after["training"] is None) == (training is None)
    if training is not None:
        assert after["training"]["optimizer"] == training["optimizer"]
        assert after["training"]["step"] == training["step"]
        assert after["training"]["average"] == training["averages"]
        assert net.history.to_dict() == before["history"]
    for key, tensor in tensors.items():
        if not key.startswith(("best.", "last.")):
            assert_same_bits(found.pop(key), tensor)
    assert not [key for key in found if not key.startswith("history.")]
    with pytest.raises(ValueError, match="nothing to resume"):
        net.fit(ROWS, targets(net), resume=True)


@pytest.mark.parametrize("name", FORMAT_1)
def test_a_training_of_format_1_goes_on_as_it_did_then(name: str) -> None:
    """Two epochs more of the same optimizer gave this in the version that wrote the file."""
    expected = json.loads((DATA / "format1" / "continued.json").read_text())[name]
    net = fm.load(DATA / "format1" / f"{name}.safetensors")
    optimizer = net._training.optimizer or fm.SGD(0.1)
    batch_size = None if name == "lbfgs" else 4
    history = net.fit(ROWS, targets(net), epochs=2, batch_size=batch_size, optimizer=optimizer)
    assert net.epochs == expected["epochs"]
    np.testing.assert_allclose(history["loss"], expected["loss"], **CLOSE)
    np.testing.assert_allclose(net.predict(ROWS), expected["predictions"], **CLOSE)


@pytest.mark.parametrize(("keys", "value"), [
    (("format",), True),
    (("epochs",), 2**64 - 1),
    (("epochs",), 3),
    (("history", "seconds"), [0.1]),
    (("history", "columns", "loss"), [0.1]),
    (("history", "epochs"), [2**64 - 1]),
    (("history", "best_epoch"), 10**6),
    (("training", "averages"), False),
    (("training", "averages"), 1),
    (("training", "ema"), 0),
    (("training", "ema"), -1),
    (("training", "ema"), float("nan")),
    (("training", "step"), 2**64),
    (("training", "step"), None),
    (("training", "optimizer", "name"), "lbfgs"),
    (("training", "more"), 1),
])  # fmt: skip
def test_a_description_of_format_1_that_is_not_right(
    keys: tuple[str, ...], value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    path.write_bytes((DATA / "format1" / "early_stopping_float32.safetensors").read_bytes())
    changed(path, *keys, value=value)
    with pytest.raises(fm.ModelFormatError, match="net' "):
        fm.load(path)


def test_averages_of_format_1_without_their_decay(tmp_path: Path) -> None:
    """They are kept: what was averaged does not depend on how it goes on."""
    path = tmp_path / "net"
    path.write_bytes((DATA / "format1" / "early_stopping_float32.safetensors").read_bytes())
    before = fm.load(path).averaged()
    changed(path, "training", "ema", value=None)
    net = fm.load(path)
    assert_same_network(net.averaged(), before)
    net.fit(ROWS, targets(net), epochs=1, ema=0.5, optimizer=net._training.optimizer)
    description, tensors = parts(path)
    tensors["average.bias.1"][0] = np.nan
    put_together(path, description, tensors)
    with pytest.raises(fm.ModelFormatError, match="average.bias.1 must hold finite"):
        fm.load(path)


def test_a_pickle_of_format_1() -> None:
    net = pickle.loads((DATA / "format1" / "pickled.pickle").read_bytes())
    other = fm.load(DATA / "format1" / "early_stopping_float32.safetensors")
    assert_same_network(net, other)
    assert net.history.to_dict() == other.history.to_dict()
    assert_same_network(net.averaged(), other.averaged())


def test_every_file_of_format_1_is_there() -> None:
    kinds = ["callbacks", "early_stopping_float32", "early_stopping_float64", "lbfgs"]
    assert FORMAT_1 == [*kinds, "mid_training", "untrained"]
    assert all(path.stat().st_size < 50_000 for path in (DATA / "format1").iterdir())


# ---- format 2

# Exact fractions: fingerprints of the data are compared when a training is resumed.
N = 9000
DATA_2 = (np.arange(4 * N).reshape(N, 4) * 37 % 101) / 64 - 0.75
LABELS_2 = DATA_2[:, 1].argsort(kind="stable") % 3
VALIDATION_2 = DATA_2[:30] / 2, LABELS_2[:30]


def in_resumption_2() -> dict[str, Any]:
    arguments = in_resumption(DATA / "never_written", N)
    return {**arguments, "validation": VALIDATION_2, "callbacks": [Counts(), KeepsNothing()]}


def trained_2(dtype: str) -> fm.Network:
    """With averages, moments, best weights given back, names of columns, vectors in the history."""
    pandas = pytest.importorskip("pandas")
    net = fm.Network([4, 6, 3], dtype=dtype, seed=2**64 - 1, dropout=[0.1, 0.2], l1=1e-4)
    frame = pandas.DataFrame(DATA_2[:60], columns=["a", "b", "c", "ü"])
    net.fit(
        frame, LABELS_2[:60], epochs=20, batch_size=16, ema=0.9, validation=VALIDATION_2,
        stop=fm.EarlyStopping(patience=3), optimizer=fm.Adam(0.2),
    )  # fmt: skip
    arrays = net.history.to_arrays()
    norms = np.linspace(0, 1, 2 * len(net.history)).reshape(-1, 2)
    net._training.history = fm.History.from_arrays(
        {**arrays, "norms": norms}, stopped_by=net.history.stopped_by,
        best_epoch=net.history.best_epoch,
    )  # fmt: skip
    return net


def cut_2(dtype: str) -> fm.Network:
    return cut_within_an_epoch(
        DATA / "never_written", (DATA_2, LABELS_2), in_resumption_2(), dtype=dtype
    )


MAKERS: dict[str, Callable[[], fm.Network]] = {
    "untrained": lambda: fm.Network([4, 5, 1], output="identity", loss=fm.losses.Huber(0.5)),
    "trained_float32": lambda: trained_2("float32"),
    "trained_float64": lambda: trained_2("float64"),
    "cut_within_an_epoch_float32": lambda: cut_2("float32"),
    "cut_within_an_epoch_float64": lambda: cut_2("float64"),
}


def told(net: fm.Network) -> dict[str, Any]:
    """What a file's network is expected to say, also after it has gone on."""
    found: dict[str, Any] = {
        "predictions": net.predict(ROWS).tolist(),
        "averaged": net.averaged().predict(ROWS).tolist() if net._training.trainer else None,
        "history": None if net.history is None else net.history.to_dict(),
        "columns": net._training.columns and list(net._training.columns),
        "epochs": net.epochs,
    }
    if net._training.session is not None:
        arguments = in_resumption_2()

        history = net.fit(DATA_2, LABELS_2, resume=True, **arguments)
        found["resumed"] = {"epochs": history.epochs, "loss": history["loss"]}
        found["resumed"]["best_epoch"] = history.best_epoch
        found["resumed"]["seen"] = arguments["callbacks"][0].seen
    else:
        optimizer = net._training.optimizer or "adam"
        net.fit(ROWS, targets(net), epochs=2, batch_size=4, optimizer=optimizer)
    found["afterwards"] = net.predict(ROWS).tolist()
    return found


class KeepsNothing(fm.Checkpoint):
    """Stands for a checkpoint whose file does not matter."""

    kind = "Checkpoint"

    def __init__(self) -> None:
        super().__init__("never_written", keep_best=True)

    def on_epoch_end(self, network: Any, history: Any) -> None:
        pass


@pytest.mark.parametrize("name", MAKERS)
def test_files_of_format_2(name: str) -> None:
    """They predict, go on and are resumed as in the version that wrote them."""
    expected = json.loads((DATA / "format2" / "expected.json").read_text())[name]
    path = DATA / "format2" / f"{name}.safetensors"
    with opened(path) as file:
        reader = Reader(file)
        assert reader.checked
        assert json.loads(reader.metadata["fastmlp"])["format"] == 2
    net = fm.load(path)
    exact = {key: expected.pop(key) for key in ("history", "columns", "epochs")}
    found = told(net)
    assert {key: found.pop(key) for key in exact} == exact
    assert ("resumed" in found) == ("cut" in name)
    if "resumed" in found:
        resumed, wanted = found.pop("resumed"), expected.pop("resumed")
        np.testing.assert_allclose(resumed.pop("loss"), wanted.pop("loss"), **CLOSE)
        assert resumed == wanted
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert (found[key] is None) == (value is None)
        if value is not None:
            np.testing.assert_allclose(found[key], value, **CLOSE)


def test_a_pickle_of_format_2() -> None:
    net = pickle.loads((DATA / "format2" / "pickled.pickle").read_bytes())
    expected = json.loads((DATA / "format2" / "expected.json").read_text())["trained_float32"]
    np.testing.assert_allclose(net.predict(ROWS), expected["predictions"], **CLOSE)
    np.testing.assert_allclose(net.averaged().predict(ROWS), expected["averaged"], **CLOSE)


def test_every_file_of_format_2_is_there() -> None:
    found = sorted(path.name for path in (DATA / "format2").iterdir())
    files = [f"{name}.safetensors" for name in MAKERS]
    assert found == sorted([*files, "expected.json", "pickled.pickle"])
    assert all((DATA / "format2" / name).stat().st_size < 50_000 for name in found)


def test_what_is_written_is_format_2() -> None:
    """If this fails, the format has changed: it needs another number, and files of its own here."""
    for name in MAKERS:
        description, tensors = to_state(*_parts_of(MAKERS[name]()))
        with opened(DATA / "format2" / f"{name}.safetensors") as file:
            reader = Reader(file)
            assert _shape_of(json.loads(reader.metadata["fastmlp"])) == _shape_of(description)
            assert reader.entries.keys() == tensors.keys()


def _parts_of(net: fm.Network) -> tuple[Any, Any]:
    return net._model, net._training


def _shape_of(value: Any) -> Any:
    """The keys of a description, all levels of them."""
    if isinstance(value, dict):
        return {key: _shape_of(item) for key, item in value.items()}
    return [_shape_of(item) for item in value] if isinstance(value, list | tuple) else None
