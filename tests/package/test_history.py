"""The history: read like a dict of lists, through JSON, printed and plotted."""

import builtins
import json
import math

import numpy as np
import pytest

import fastmlp as fm


def history_of(*records):
    """Return a history of epochs of half a second each."""
    history = fm.History()
    for record in records:
        history.append({"epoch": len(history) + 1, "seconds": 0.5, **record})
    return history


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
