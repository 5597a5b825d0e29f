"""Callbacks, stop rules and the history: hooks, files, states through JSON, sequences of losses that stop."""

import builtins
import csv
import json
import math

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.callbacks import HOOKS, resolve_callbacks
from fastmlp.history import maximised, monitored
from fastmlp.stopping import resolve_stop


def history_of(*records):
    """Return a history of epochs of half a second each."""
    history = fm.History()
    for record in records:
        history.append({"epoch": len(history) + 1, "seconds": 0.5, **record})
    return history


def stops(rule, key, values, has_validation=False):
    """Return (number of epochs run, reason, epochs that improved), the state taken through JSON each time."""
    state, best = rule.initial_state(), []
    for epoch, value in enumerate(values, start=1):
        record = {"epoch": epoch, "seconds": 0.5, "loss": 1.0, key: value}
        before = dict(state)
        after, reason, improved = rule.observe(state, record, has_validation)
        assert state == before
        if improved:
            best.append(epoch)
        if reason:
            return epoch, reason, best
        state = json.loads(json.dumps(after, allow_nan=False))
    return len(values), None, best


class Saved:
    """Stands for a network: remembers the paths it was saved to."""

    def __init__(self):
        self.paths = []

    def save(self, path):
        self.paths.append(str(path))


# ---- stop rules


def test_early_stopping():
    losses = [3, 2, 2, 2.5, 1, 1.5, 1, 1.2, 0.5]
    expected = (8, "early stopping: loss no better than 1 for 3 epochs", [1, 2, 5])
    assert stops(fm.EarlyStopping(patience=3), "loss", losses) == expected
    assert stops(fm.EarlyStopping(patience=4), "loss", losses) == (9, None, [1, 2, 5, 9])
    assert stops(fm.EarlyStopping(patience=1), "loss", losses)[:2] == (
        3, "early stopping: loss no better than 2 for 1 epoch",
    )  # fmt: skip


def test_early_stopping_by_more_than_min_delta():
    losses = [1.0, 0.95, 0.91, 0.89, 0.85, 0.5]
    assert stops(fm.EarlyStopping(patience=3, min_delta=0.1), "loss", losses) == (
        6,
        None,
        [1, 4, 6],
    )
    assert stops(fm.EarlyStopping(patience=2, min_delta=0.1), "loss", losses)[0] == 3


def test_early_stopping_watches_validation_where_there_is_one():
    rule = fm.EarlyStopping(patience=2)
    assert stops(rule, "val_loss", [2, 1, 1, 1, 0], has_validation=True) == (
        4, "early stopping: val_loss no better than 1 for 2 epochs", [1, 2],
    )  # fmt: skip
    assert (
        stops(fm.EarlyStopping(monitor="loss", patience=2), "val_loss", [4, 3, 2, 1], True)[0] == 3
    )


def test_early_stopping_maximises_an_accuracy():
    rule = fm.EarlyStopping(monitor="val_accuracy", patience=2)
    assert stops(rule, "val_accuracy", [0.5, 0.7, 0.7, 0.6, 0.9], True)[::2] == (4, [1, 2])


def test_early_stopping_counts_nan_as_no_improvement():
    assert stops(fm.EarlyStopping(patience=2), "loss", [math.nan, 1, math.nan, 0.5]) == (
        4,
        None,
        [2, 4],
    )
    assert stops(fm.EarlyStopping(patience=2), "loss", [math.nan] * 3)[0] == 2


def test_tolerance():
    rule = fm.Tolerance(0.1, patience=3)
    assert stops(rule, "loss", [2, 1, 0.95, 0.92, 0.95, 0.1]) == (5, "tolerance", [])
    assert stops(rule, "loss", [2, 1, 0.95, 0.8, 0.75, 0.74, 0.5]) == (7, None, [])
    # a steady fall by less than the tolerance stops, though it adds up to more
    assert stops(rule, "loss", [1.0, 0.95, 0.9, 0.85, 0.8]) == (4, "tolerance", [])
    assert stops(fm.Tolerance(0.0, patience=2), "loss", [1, 1, 1, 0])[0] == 3


def test_time_budget():
    assert stops(fm.TimeBudget(1.5), "loss", [1] * 9) == (3, "time budget", [])
    assert stops(fm.TimeBudget(1.6), "loss", [1] * 9)[0] == 4


def test_target_loss():
    assert stops(fm.TargetLoss(0.5), "loss", [1, 0.6, 0.5, 0.4]) == (3, "target loss", [])
    assert stops(fm.TargetLoss(0.9, "val_r2"), "val_r2", [0.1, 0.95, 1], True) == (
        2,
        "target loss",
        [],
    )
    assert stops(fm.TargetLoss(0.5), "loss", [1, math.nan, 0.6]) == (3, None, [])


@pytest.mark.parametrize(
    "rule", [fm.EarlyStopping(monitor="val_acuracy"), fm.TargetLoss(0.1, "val_acuracy")]
)
def test_a_quantity_that_is_not_recorded_is_an_error(rule):
    record = {"epoch": 1, "seconds": 0.1, "loss": 1.0, "accuracy": 0.5, "norms": [1.0, 2.0]}
    with pytest.raises(
        ValueError, match=r"^monitor must be 'loss' or 'accuracy', got 'val_acuracy'$"
    ):
        rule.observe(rule.initial_state(), record, True)
    with pytest.raises(ValueError, match=r"no validation set"):
        rule.observe(rule.initial_state(), record, False)
    with pytest.raises(ValueError, match=r"got 'norms'"):
        monitored(record, "norms", False)


def test_resolve_stop():
    early, budget = fm.EarlyStopping(), fm.TimeBudget(3)
    assert resolve_stop(None) == ()
    assert resolve_stop(early) == (early,)
    assert resolve_stop([budget, early]) == (budget, early)
    assert resolve_stop(("tolerance", "early_stopping")) == (fm.Tolerance(), early)
    with pytest.raises(TypeError, match=r"^stop must be 'early_stopping', "):
        resolve_stop([early, 3])
    with pytest.raises(ValueError, match=r"^stop='time_budget' has parameters without"):
        resolve_stop("time_budget")
    with pytest.raises(ValueError, match=r"^stop must have at most one EarlyStopping"):
        resolve_stop([early, fm.EarlyStopping(monitor="loss")])
    assert len(resolve_stop([early, fm.EarlyStopping(monitor="loss", restore_best=False)])) == 2


@pytest.mark.parametrize("prefix", ["", "val_"])
def test_which_quantities_are_maximised(prefix):
    for name in ("accuracy", "precision", "recall", "f1", "f1_macro", "r2", "top_3_accuracy"):
        assert maximised(prefix + name)
    for name in ("loss", "mae", "rmse", "mse", "log_loss", "gradient_norm"):
        assert not maximised(prefix + name)


# ---- history


def test_history_is_read_like_a_dict_of_lists():
    history = history_of(
        {"loss": 1, "learning_rate": 0.1}, {"loss": np.float32(0.5), "learning_rate": 0.05}
    )
    assert history["loss"] == [1.0, 0.5] and type(history["loss"][1]) is float
    assert history.epochs == [1, 2] and history.seconds == [0.5, 0.5]
    assert history.keys() == list(history) == ["loss", "learning_rate"]
    assert dict(history) == {"loss": [1.0, 0.5], "learning_rate": [0.1, 0.05]}
    assert len(history) == 2 and "loss" in history and "val_loss" not in history
    assert history.last == {"epoch": 2, "seconds": 0.5, "loss": 0.5, "learning_rate": 0.05}
    assert history.stopped_by == "" and history.best_epoch is None
    with pytest.raises(
        KeyError, match=r"'val_loss' was not recorded; there is loss, learning_rate"
    ):
        history["val_loss"]


def test_an_empty_history():
    history = fm.History()
    assert len(history) == 0 and history.last == {} and history.keys() == []
    assert repr(history) == "History of 0 epochs"
    with pytest.raises(KeyError, match=r"nothing yet"):
        history["loss"]
    assert fm.History.from_dict(history.to_dict()).to_dict() == history.to_dict()


def test_quantities_may_come_and_go():
    history = history_of({"loss": 3.0}, {"loss": 2.0, "val_loss": 2.5}, {"loss": 1.0})
    np.testing.assert_equal(history["val_loss"], [math.nan, 2.5, math.nan])
    assert "val_loss" not in history.last


def test_a_record_needs_epoch_and_seconds():
    with pytest.raises(
        ValueError, match=r"^record must have 'epoch' and 'seconds', got \['epoch', 'loss'\]"
    ):
        fm.History().append({"epoch": 1, "loss": 1.0})


def test_several_epochs_at_once_are_recorded_like_one_by_one():
    one_by_one, at_once = history_of({"val_loss": 4.0}), history_of({"val_loss": 4.0})
    for epoch, loss in ((2, 3.0), (3, 2.0)):
        one_by_one.append({"epoch": epoch, "seconds": 0.25, "loss": loss, "norms": [loss, 1.0]})
    at_once.extend(
        {
            "epoch": range(2, 4),
            "seconds": [0.25] * 2,
            "loss": [3.0, 2.0],
            "norms": [[3.0, 1.0], [2.0, 1.0]],
        }
    )
    np.testing.assert_equal(at_once.to_dict(), one_by_one.to_dict())
    assert (
        at_once.last
        == one_by_one.last
        == {"epoch": 3, "seconds": 0.25, "loss": 2.0, "norms": [2.0, 1.0]}
    )
    before = at_once.to_dict()
    at_once.extend({"epoch": [], "seconds": [], "loss": []})
    with pytest.raises(
        ValueError,
        match=r"^records must have one item for each epoch, got \{'epoch': 1, 'seconds': 2\}",
    ):
        at_once.extend({"epoch": [4], "seconds": [0.1, 0.2]})
    np.testing.assert_equal(at_once.to_dict(), before)


def test_history_survives_strict_json():
    history = history_of(
        {"loss": 1.0, "norms": np.array([1.0, math.nan])},
        {"loss": math.inf, "val_loss": 0.1, "norms": (2.0, -math.inf)},
    )
    history.stopped_by, history.best_epoch = "epochs", 1
    data = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    copy = fm.History.from_dict(data)
    assert copy.to_dict() == history.to_dict() == data
    assert copy["loss"] == [1.0, math.inf] and copy["norms"][1] == [2.0, -math.inf]
    assert math.isnan(copy["val_loss"][0]) and math.isnan(copy["norms"][0][1])
    assert copy.last == history.last and (copy.stopped_by, copy.best_epoch) == ("epochs", 1)
    copy.append({"epoch": 3, "seconds": 1.0, "loss": 0.2})
    assert len(copy) == 3 and len(history) == 2


def test_history_prints_a_short_table():
    history = history_of(*({"loss": 1 / n, "norms": [1.0, 2.0]} for n in range(1, 101)))
    history.stopped_by, history.best_epoch = "epochs", 100
    lines = repr(history).splitlines()
    assert lines[0] == "History of 100 epochs, stopped by epochs, best epoch 100"
    assert lines[1].split() == ["epoch", "seconds", "loss"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3", "...", "98", "99", "100"]
    assert len(set(map(len, lines[1:]))) == 1
    assert lines[-1].split() == ["100", "0.500", "0.01"]
    assert len(repr(history_of({"loss": 1.0})).splitlines()) == 3


def test_plot_without_matplotlib_says_what_to_install(monkeypatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"pip install fastmlp\[plot\]"):
        history_of({"loss": 1.0}).plot()


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    history = history_of(
        {"loss": 2.0, "val_loss": 3.0, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.6}
    )
    ax = history.plot()
    assert [line.get_label() for line in ax.get_lines()] == ["loss", "val_loss"]
    np.testing.assert_equal(ax.get_lines()[1].get_ydata(), [3.0, math.nan])
    history.best_epoch = 2
    _, given = pyplot.subplots()
    assert history.plot(given, keys=["accuracy"]) is given
    assert [line.get_label() for line in given.get_lines()] == ["accuracy", "best epoch"]
    with pytest.raises(KeyError, match=r"'recall' was not recorded"):
        history.plot(keys=["recall"])
    pyplot.close("all")


# ---- callbacks


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

    checkpoint, history = fm.Checkpoint(tmp_path / "net", keep_best=True), history_of({"loss": 1.0})
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
