"""Files that are damaged, foreign or not there: an error that says so, and no network."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import (
    LABELS,
    MANY,
    MANY_LABELS,
    X,
    changed,
    classifier,
    cut_between_epochs,
    cut_within_an_epoch,
    in_resumption,
    parts,
    put_together,
    there_and_back,
    trained,
)
from support import assert_same_bits, assert_same_network

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


@pytest.mark.parametrize("number", [3, 4, 2**63])
def test_a_file_of_a_later_format(number: int, tmp_path: Path) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    changed(path, "format", value=number)
    message = f"net' .*format is {number}, and fastmlp {fm.__version__} reads formats 1 to 2"
    with pytest.raises(fm.ModelFormatError, match=message):
        fm.load(path)


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "2", None, [2], 10**20])
def test_a_format_that_is_none(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    changed(path, "format", value=value)
    with pytest.raises(fm.ModelFormatError, match="net' holds no network .*format"):
        fm.load(path)


@pytest.mark.parametrize(("changes", "message"), [
    ({"sizes": [4, 7, 3]}, r"bias.1 must be float32 \(7,\), got float32 \(6,\)"),
    ({"sizes": [4, 2**31, 3]}, "bias.1 must be"),
    ({"sizes": [4, 2**31 + 1, 3]}, r"sizes\[1\] must be an integer in \[1, 2147483648\]"),
    ({"sizes": [2**31] * 256, "hidden": [{"name": "relu"}] * 254, "dropout": [0] * 255}, "bias.1"),
    ({"sizes": []}, "sizes must have 2 to 256 items, got 0"),
    ({"sizes": None}, "sizes must be a list, got None"),
    ({"dtype": "float64"}, "bias.1 must be float64"),
    ({"hidden": [{"name": "rleu"}]}, r"hidden\[0\]: .*'rleu'"),
    ({"hidden": []}, "hidden must have 1 items with 3 sizes, got 0"),
    ({"output": {"name": "relu"}}, "output must be"),
    ({"loss": {"name": "huber", "delta": -1.0}}, "loss: delta must be in"),
    ({"loss": {"name": "mse", "delta": 1.0}}, "loss: MSE has the parameters"),
    ({"dropout": [0.0, 1.0]}, r"dropout\[1\]"),
    ({"epochs": -1}, "epochs must be an integer"),
    ({"epochs": 1.5}, "epochs must be an integer"),
    ({"epochs": 2**64 - 1}, "epochs must be an integer"),
    ({"seed": 2**64}, "seed must be an integer"),
    ({"max_norm": float("nan")}, "max_norm must be in"),
    ({"l1": float("inf")}, "l1 must be in"),
    ({"columns": ["a", "b"]}, "columns must be 4 names"),
    ({"history": []}, "history must be a dict, got \\[\\]"),
    ({"history": {"epochs": [1]}}, "history must have 'columns'"),
    ({"training": {}}, "training must have 'optimizer'"),
    ({"unknown": 1}, "the description must not have 'unknown'"),
])  # fmt: skip
def test_a_description_that_is_not_right(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, tensors = parts(path)
    put_together(path, {**description, **changes}, tensors)
    with pytest.raises(fm.ModelFormatError, match=f"net' (holds no|has another).*{message}"):
        fm.load(path)


@pytest.mark.parametrize(("keys", "value", "message"), [
    (("training", "step"), -1, "training.step must be"),
    (("training", "step"), "5", "training.step must be"),
    (("training", "step"), 2**64, "training.step must be"),
    (("training", "average"), None, "training.average must be True or False"),
    (("training", "average"), False, "average.bias.1"),
    (("training", "optimizer"), {"name": "adam", "learning_rate": -1.0}, "training.optimizer: lea"),
    (("training", "optimizer"), {"name": "lbfgs"}, "training.step must be null"),
    (("training", "optimizer"), None, "training.optimizer must be a dict"),
    (("training",), None, "average.bias.1|training must be there"),
    (("history", "columns"), ["epoch", "seconds"], "history"),
    (("history", "columns"), ["seconds", "epoch", *"abcdef"], "history"),
    (("history", "shapes"), [[5]], "history"),
    (("history", "shapes", 0), [4], "history"),
    (("history", "shapes", 0), [2**63], "history"),
    (("history", "last"), ["nothing"], "history"),
    (("history", "best_epoch"), 0, "history"),
    (("history", "stopped_by"), 1, "history"),
    (("session",), None, "best.0.bias.1|last.bias.1|which should not be"),
    (("epochs",), 2, r"session.best\[\d\] must go with its rule and with the epochs"),
])  # fmt: skip
def test_a_training_that_is_not_right(
    keys: tuple[Any, ...], value: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    cut_between_epochs(tmp_path / "checkpoint").save(path)
    changed(path, *keys, value=value)
    with pytest.raises(fm.ModelFormatError, match=f"net' .*({message})"):
        fm.load(path)


STATES = "session.rule_states|session.schedule_state|session.best"


@pytest.mark.parametrize(("keys", "value", "message"), [
    (("spec", "epochs"), 1, "session.began"),
    (("spec", "batch_size"), 0, "session.spec.batch_size"),
    (("spec", "batch_size"), 9, "session.epoch_state must be between two batches"),
    (("spec", "optimizer"), {"name": "sgd"}, "session.spec.optimizer must be that"),
    (("spec", "schedule"), {"name": "constant"}, STATES),
    (("spec", "stop"), [], STATES),
    (("spec", "stop", 1), {"name": "time_budget", "seconds": 1.0}, "must not be a time budget"),
    (("spec", "ema"), 1.5, "session.spec.ema"),
    (("spec", "callbacks"), ["Counts"], "session.callback_states must have one"),
    (("began",), [3, 0], "session.began"),
    (("began",), [0], "session.began"),
    (("began",), [0, 2**61], "session.began"),
    (("schedule_state",), {}, STATES),
    (("schedule_state", "multiplier"), 1e300, STATES),
    (("schedule_state", "waited"), -1, STATES),
    (("rule_states",), [{}], STATES),
    (("rule_states", 0, "best"), "nan", STATES),
    (("rule_states", 0, "waited"), None, STATES),
    (("rule_states", 0, "waited"), 1.0, STATES),
    (("best", 0), {"epoch": 9, "kept": True}, STATES),
    (("best", 1), {"epoch": 1, "kept": False}, STATES),
    (("best", 0), {"epoch": 1, "kept": False}, STATES),
    (("callback_states",), [{}, {}], "session.callback_states must be a string"),
    (("callback_states",), "[1, 2]", r"session.callback_states\[0\] must be a dict"),
    (("callback_states",), "[" * 10**6, "session.callback_states is not JSON"),
    (("callback_states",), f"[{'[' * 900}{']' * 900}]", "session.callback_states is not JSON"),
    (("epoch_state",), None, "session.epoch_start"),
    (("epoch_start",), False, "session.epoch_start"),
    (("epoch_state", "position"), 7, "session.epoch_state must be between two batches"),
    (("epoch_state", "position"), 2**62, "session.epoch_state must be between two batches"),
    (("epoch_state", "steps"), 0, "session.epoch_state.steps"),
    (("epoch_state", "weight"), -1.0, "session.epoch_state.weight"),
    (("record",), {"epoch": 1, "seconds": 0.1, "loss": 0.1}, "session.record.epoch"),
    (("record",), {"epoch": 2}, "session.record must have 'seconds', 'loss'|'seconds' or 'loss'"),
    (("next_callback",), 3, "session.next_callback"),
    (("due",), 3, "session.due must be a string"),
    (("last",), True, "last.bias.1 is missing|last.weights.1 is missing"),
    (("prints", "training"), None, "session.prints.training must be a dict"),
    (("prints", "training", "X"), [[9000, 4], "<f8"], "session.prints.training.X"),
    (("prints", "training", "X", 0), [9000, 5], "session.prints.training.X"),
    (("prints", "training", "rows", 0), [9001], "session.prints.training.rows"),
    (("prints", "training", "y", 0), [8], "session.prints.training.y"),
    (("prints", "validation"), {}, "session.prints.validation must have"),
])  # fmt: skip
def test_a_session_that_is_not_right(
    keys: tuple[Any, ...], value: Any, message: str, cut_off: Path
) -> None:
    changed(cut_off, "session", *keys, value=value)
    with pytest.raises(fm.ModelFormatError, match=f"net' .*({message})"):
        fm.load(cut_off)


@pytest.fixture(scope="module")
def content_of_cut_off(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("cut")
    cut_within_an_epoch(folder / "checkpoint").save(folder / "net")
    return (folder / "net").read_bytes()


@pytest.fixture
def cut_off(content_of_cut_off: bytes, tmp_path: Path) -> Path:
    """The file of a training that was cut off within an epoch."""
    (tmp_path / "net").write_bytes(content_of_cut_off)
    return tmp_path / "net"


def test_tensors_that_are_not_right(cut_off: Path) -> None:
    description, right = parts(cut_off)
    for name in sorted(right):
        tensor = right[name]
        wrong = [None, tensor[:-1], tensor[..., None], tensor.astype("f2"), tensor.astype("i4")]
        if not name.startswith("history."):
            wrong += [np.where(np.arange(tensor.size).reshape(tensor.shape), tensor, value)
                      for value in (np.float32(np.nan), np.float32(-np.inf))]  # fmt: skip
        for other in wrong:
            tensors = {key: value for key, value in right.items() if key != name}
            if other is not None:
                tensors[name] = other
            put_together(cut_off, description, tensors)
            with pytest.raises(fm.ModelFormatError, match=f"net' .*{name}"):
                fm.load(cut_off)
    put_together(cut_off, description, {**right, "more": right["bias.1"]})
    with pytest.raises(fm.ModelFormatError, match="'more', which should not be"):
        fm.load(cut_off)
    put_together(cut_off, description, right)
    assert_same_bits(fm.load(cut_off).weights[0], right["weights.1"])


def test_a_history_that_is_not_right(cut_off: Path) -> None:
    description, right = parts(cut_off)
    assert len(right["history.0"]) == 2
    for name, values in (("history.0", [0, 1]), ("history.0", [2, 2]), ("history.0", [2, 3]),
                         ("history.1", [-1.0, 1.0]), ("history.1", [1.0, np.nan])):  # fmt: skip
        tensor = np.array(values, right[name].dtype)
        put_together(cut_off, description, {**right, name: tensor})
        with pytest.raises(fm.ModelFormatError, match="net' .*history"):
            fm.load(cut_off)


def test_moments_are_finite_but_for_what_adagrad_once_summed(tmp_path: Path) -> None:
    """Its sums stand still at the largest number; older builds left infinity, which is read."""
    path, y = tmp_path / "net", X[:, :1]
    for optimizer, scale in ((fm.Adagrad(1e-3), 1e160), (fm.RMSprop(1e-3), 1.0)):
        fits = scale > 1
        net = fm.Network([4, 6, 1], output="identity", loss="mae", dtype="float64")
        net.fit(scale * X, y, epochs=2, optimizer=optimizer)
        other = there_and_back(net, path)
        for each in (net, other):
            each.fit(scale * X, y, epochs=2, optimizer=optimizer)
        assert_same_network(other, net)
        description, tensors = parts(path)
        assert np.isfinite(tensors["moment.0.weights.1"]).all()
        if fits:
            tensors["moment.0.weights.1"][0, 0] = np.inf
            put_together(path, description, tensors)
            fm.load(path).fit(scale * X, y, epochs=1, optimizer=optimizer)
        for value in (np.nan,) if fits else (np.nan, np.inf, -np.inf):
            tensors["moment.0.weights.1"][0, 0] = value
            put_together(path, description, tensors)
            with pytest.raises(fm.ModelFormatError, match="moment.0.weights.1 must hold finite"):
                fm.load(path)


def test_a_callback_that_does_not_take_its_state(cut_off: Path) -> None:
    """The error is a ValueError, and nothing has changed."""
    for states in ('[{"seen": 2}, {}]', '[{"seen": "2"}, {"best": null}]'):
        changed(cut_off, "session", "callback_states", value=states)
        net = fm.load(cut_off)
        before = net.weights
        arguments = in_resumption(cut_off.with_name("checkpoint"), len(MANY))
        with pytest.raises(ValueError, match="state"):
            net.fit(MANY, MANY_LABELS, resume=True, **arguments)
        assert_same_bits(list(net.weights), list(before))
        assert (net.epochs, net.history.stopped_by) == (2, "interrupted")
        changed(cut_off, "session", "callback_states", value='[{"seen": 2}, {"best": null}]')
        net = fm.load(cut_off)
        net.fit(MANY, MANY_LABELS, resume=True, **arguments)
        assert net.epochs == 6


# ---- checksums


def test_files_written_anew_by_the_safetensors_library(cut_off: Path) -> None:
    """With all of the metadata they load; without checksums, or with old ones, they do not."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    net, tensors = fm.load(cut_off), load_file(cut_off)
    with safe_open(cut_off, framework="numpy") as file:
        metadata = file.metadata()
    save_file(tensors, cut_off, metadata=metadata)
    assert_same_network(fm.load(cut_off), net)
    save_file(tensors, cut_off, metadata={"fastmlp": metadata["fastmlp"]})
    with pytest.raises(fm.ModelFormatError, match="net' is damaged: it has lost its checksums"):
        fm.load(cut_off)
    text = metadata["fastmlp"].replace('"seed": 0', '"seed": 1')
    save_file(tensors, cut_off, metadata={**metadata, "fastmlp": text})
    with pytest.raises(fm.ModelFormatError, match="net' is damaged: the CRC-32 of its header"):
        fm.load(cut_off)
    tensors["weights.1"][0, 0] += 1
    save_file(tensors, cut_off, metadata=metadata)
    with pytest.raises(fm.ModelFormatError, match="CRC-32 of tensor 'weights.1' is not the one"):
        fm.load(cut_off)


def test_any_flipped_bit_is_found(cut_off: Path) -> None:
    content, random = cut_off.read_bytes(), np.random.default_rng(15)
    for at in random.integers(8 * len(content), size=1000).tolist():
        damaged = bytearray(content)
        damaged[at // 8] ^= 1 << at % 8
        cut_off.write_bytes(damaged)
        try:
            net = fm.load(cut_off)
        except fm.ModelFormatError:
            continue
        # white space between two words of the header may be another white space
        cut_off.write_bytes(content)
        assert_same_network(net, fm.load(cut_off))


# ---- time and memory in proportion


def test_what_a_description_asks_for_is_given_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, tensors = parts(path)
    for sizes in ([4, 2**31, 3], [2**31, 6, 2**31], [2**31] * 3):
        put_together(path, {**description, "sizes": sizes}, tensors)
        tracemalloc.start()
        try:
            with pytest.raises(fm.ModelFormatError, match="bias.. must be"):
                fm.load(path)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_a_long_history_is_saved_and_loaded(tmp_path: Path) -> None:
    """As tensors: the header stays small, time and memory are in proportion to the epochs."""
    path, n = tmp_path / "net", 150_000
    net = classifier()
    history = {
        "epoch": np.arange(1, n + 1), "seconds": np.full(n, 1e-6),
        "loss": 1 / np.arange(1, n + 1), "val_loss": np.full(n, np.nan),
    }  # fmt: skip
    net._training.history = fm.History.from_arrays(history, stopped_by="epochs", best_epoch=n)
    net._training.epochs = n
    tracemalloc.start()
    try:
        net.save(path)
        other = fm.load(path)
        assert tracemalloc.get_traced_memory()[1] < 200 * n  # NumPy's arrays and Python's floats
    finally:
        tracemalloc.stop()
    size, content = path.stat().st_size, path.read_bytes()
    assert size < 33 * n
    assert int.from_bytes(content[:8], "little") < 5000
    assert (other.epochs, other.history.best_epoch, len(other.history)) == (n, n, n)
    for name, column in other.history.to_arrays().items():
        assert_same_bits(column, history[name])
    other.fit(X, LABELS, epochs=1)
    assert other.epochs == n + 1
