"""Callbacks: hooks, checkpoints and logs in files, states."""

import csv
import json

import pytest

import fastmlp as fm
from fastmlp.callbacks import HOOKS, resolve_callbacks


class Saved:
    """Stands for a network: remembers the paths it was saved to."""

    def __init__(self):
        self.paths = []

    def save(self, path):
        self.paths.append(str(path))


def test_the_base_class_does_nothing():
    callback = fm.Callback()
    for hook in HOOKS:
        assert getattr(callback, hook)(None, None) is None
    assert callback.get_state() == {}
    callback.set_state({})


def test_resolve_callbacks():
    calls = []

    class Partial:
        def on_fit_start(self, network, history):
            calls.append("start")

        def get_state(self):
            return {"n": len(calls)}

    def function(network, history):
        calls.append("function")
        return True

    base = fm.Callback()
    resolved = resolve_callbacks([base, Partial(), function])
    assert (
        resolved[0] is base and resolve_callbacks(None) == () and resolve_callbacks(base) == (base,)
    )
    for callback in resolved:
        assert isinstance(callback, fm.Callback)
        callback.on_fit_start(None, None)
    assert [callback.on_epoch_end(None, None) for callback in resolved] == [None, None, True]
    assert calls == ["start", "function"]
    assert [callback.get_state() for callback in resolved] == [{}, {"n": 2}, {}]
    assert resolve_callbacks(function)[0].on_epoch_end(None, None) is True


@pytest.mark.parametrize("wrong", [3, "checkpoint", fm.CSVLog, object(), [[fm.Callback()]]])
def test_what_is_no_callback(wrong):
    with pytest.raises(
        TypeError, match=r"^callbacks must be objects with on_fit_start, on_epoch_end or "
    ):
        resolve_callbacks(wrong)


def run(callback, *records):
    """Take a callback through a training with these records; return the network."""
    network, history = Saved(), fm.History()
    callback.on_fit_start(network, history)
    for number, record in enumerate(records, start=1):
        history.append({"epoch": number, "seconds": 0.5, **record})
        assert not callback.on_epoch_end(network, history)
    callback.on_fit_end(network, history)
    return network


def test_checkpoint_every(tmp_path):
    losses = [{"loss": 1.0}] * 7
    path = tmp_path / "new" / "net-{epoch:03d}"
    expected = [str(path).format(epoch=n) for n in (3, 6)]
    assert run(fm.Checkpoint(path, every=3), *losses).paths == expected
    assert (tmp_path / "new").is_dir()
    assert run(fm.Checkpoint(tmp_path / "net"), *losses).paths == [str(tmp_path / "net")] * 7


def test_checkpoint_keep_best(tmp_path):
    path = str(tmp_path / "{epoch}")

    def saved(*numbers):
        return [path.format(epoch=n) for n in numbers]

    by_loss = [{"loss": loss} for loss in (3, 4, 2, 2, 1)]
    assert run(fm.Checkpoint(path, keep_best=True), *by_loss).paths == saved(1, 3, 5)
    by_val = [{"loss": 1.0 / n, "val_loss": loss} for n, loss in enumerate((3, 2, 4), start=1)]
    assert run(fm.Checkpoint(path, keep_best=True), *by_val).paths == saved(1, 2)
    by_accuracy = [{"loss": 1.0, "accuracy": a} for a in (0.5, 0.4, 0.6)]
    checkpoint = fm.Checkpoint(path, keep_best=True, monitor="accuracy")
    assert run(checkpoint, *by_accuracy).paths == saved(1, 3)
    with pytest.raises(ValueError, match=r"^monitor must be 'loss', got 'accuracy'"):
        run(checkpoint, {"loss": 1.0})


def test_checkpoint_goes_on_from_its_state(tmp_path):
    first = fm.Checkpoint(tmp_path / "net", keep_best=True)
    assert first.get_state() == {"best": None}
    run(first, {"loss": 2.0})
    second = fm.Checkpoint(tmp_path / "net", keep_best=True)
    second.set_state(json.loads(json.dumps(first.get_state())))
    assert run(second, {"loss": 3.0}).paths == []
    assert len(run(second, {"loss": 1.0}).paths) == 1


def test_a_save_that_fails_is_no_best(tmp_path):
    class Full(Saved):
        def save(self, path):
            raise OSError("no space left")

    checkpoint, history = fm.Checkpoint(tmp_path / "net", keep_best=True), fm.History()
    history.append({"epoch": 1, "seconds": 0.5, "loss": 1.0})
    with pytest.raises(OSError, match=r"no space left"):
        checkpoint.on_epoch_end(Full(), history)
    assert checkpoint.get_state() == {"best": None}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": 3}, TypeError, "^path must be a string or path-like, got 3"),
        ({"path": ""}, ValueError, "^path must not be an empty string"),
        ({"path": "net-{loss}"}, ValueError, "^path must have no field in braces but {epoch}"),
        ({"path": "net-{}"}, ValueError, "^path must have no field"),
        ({"path": "net-{"}, ValueError, "^path must have no field"),
        ({"path": "net", "every": 0}, ValueError, "^every must be"),
        ({"path": "net", "keep_best": 1}, TypeError, "^keep_best must be"),
        ({"path": "net", "monitor": 1}, TypeError, "^monitor must be"),
    ],
)
def test_bad_checkpoint(arguments, error, message):
    with pytest.raises(error, match=message):
        fm.Checkpoint(**arguments)


def test_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    log = fm.CSVLog(path)
    run(log, {"loss": 0.1, "val_loss": 1 / 3}, {"loss": 0.05, "val_loss": 0.25})
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == ["epoch", "seconds", "loss", "val_loss"]
    assert float(rows[0]["val_loss"]) == 1 / 3
    run(fm.CSVLog(str(path)), {"loss": 0.01, "val_loss": 0.2})
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4
    with pytest.raises(
        ValueError, match=r"^path must be a file with .*'accuracy'\], got .*log.csv with"
    ):
        run(fm.CSVLog(path), {"loss": 0.01, "accuracy": 0.2})
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4
    path.unlink()
    run(log, {"loss": 0.01})
    assert path.read_text(encoding="utf-8").splitlines()[0] == "epoch,seconds,loss"


def test_csv_log_needs_a_path():
    with pytest.raises(TypeError, match=r"^path must be"):
        fm.CSVLog(None)
