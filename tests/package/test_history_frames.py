"""The history as frames, arrays and tables; the descriptions of a network."""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import time
from typing import Any

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.history import History
from fastmlp.inspect.summary import network_repr, summary, summary_html


def history_of(*records: dict[str, Any]) -> History:
    """Return a history of epochs of half a second each."""
    history = History()
    for record in records:
        history.append({"epoch": len(history) + 1, "seconds": 0.5, **record})
    return history


def example() -> History:
    """Return a history with a quantity that was missing at first, a vector, NaN and infinity."""
    history = history_of(
        {"loss": 3.0}, {"loss": 2.0, "norms": [1.0, 2.0]}, {"loss": math.inf, "norms": [3.0, 4.0]}
    )
    history.stopped_by, history.best_epoch = "time budget", 2
    return history


# ---- a dict that is read only


def test_it_is_a_dict_of_lists() -> None:
    history = example()
    assert isinstance(history, dict) and list(history) == ["loss", "norms"]
    np.testing.assert_equal(dict(history)["norms"], [[math.nan] * 2, [1.0, 2.0], [3.0, 4.0]])
    assert {**history}.keys() == {"loss", "norms"} == {key for key, _ in history.items()}
    assert len(history) == 3 and bool(history) and not History()
    assert history.get("nothing") is None and "nothing" not in history


def test_only_append_and_extend_write() -> None:
    history, before = example(), example().to_dict()
    for write in (
        lambda: history.__setitem__("loss", []),
        lambda: history.__delitem__("loss"),
        lambda: history.update(loss=[]),
        lambda: history.pop("loss"),
        lambda: history.popitem(),
        lambda: history.setdefault("other", []),
        lambda: history.clear(),
        lambda: history.__ior__({"loss": []}),
    ):
        with pytest.raises(
            TypeError, match="^a History is read like a dict: only append and extend"
        ):
            write()
    assert history.to_dict() == before


def test_equal_are_those_with_equal_quantities() -> None:
    one, other = history_of({"loss": 1.0}), history_of({"loss": 1.0})
    other.seconds[0] = 9.0
    assert one == other and one != history_of({"loss": 2.0})


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda history: pickle.loads(pickle.dumps(history))]
)
def test_a_copy_is_whole_and_shares_no_list(clone: Any) -> None:
    history = example()
    history.note = "mine"
    other = clone(history)
    assert type(other) is History and other.to_dict() == history.to_dict()
    assert other.last == history.last and other.note == "mine"
    other.append({"epoch": 4, "seconds": 0.1, "loss": 0.5, "norms": [5.0, 6.0]})
    assert len(history) == len(history["loss"]) == len(history["norms"]) == 3
    assert len(other) == len(other["loss"]) == len(other["norms"]) == 4


def test_a_quantity_keeps_its_length() -> None:
    history = example()
    for wrong in ([1.0], 1.0, [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match=r"^norms must be a number, or a vector of one length"):
            history.append({"epoch": 4, "seconds": 0.5, "loss": 1.0, "norms": wrong})
    with pytest.raises(ValueError, match="^loss must be a number"):
        history.append({"epoch": 4, "seconds": 0.5, "loss": [1.0]})
    assert len(history) == len(history["loss"]) == 3 and history["loss"][0] == 3.0
    history.append({"epoch": 4, "seconds": 0.5, "loss": 1.0})
    np.testing.assert_equal(history["norms"][3], [math.nan, math.nan])


# ---- frames and notebooks


def test_a_frame_of_pandas_has_a_row_for_every_epoch() -> None:
    pandas = pytest.importorskip("pandas")
    net = fm.Network([2, 2])
    history = net.fit([[0, 1], [1, 0]], [0, 1], epochs=4, validation=0.5)
    frame = pandas.DataFrame(net.history)
    assert list(frame.columns) == history.keys() and len(frame) == 4
    assert frame["loss"].tolist() == history["loss"] and frame.dtypes.eq("float64").all()
    frame = example().to_frame()
    assert frame.index.tolist() == [1, 2, 3] and frame.index.name == "epoch"
    assert list(frame.columns) == ["seconds", "loss", "norms"]
    assert frame["norms"][2] == [1.0, 2.0]
    assert History().to_frame().shape == (0, 1)


def test_a_frame_of_polars_where_pandas_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(example()).shape == (3, 2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    frame = example().to_frame()
    assert frame.columns == ["epoch", "seconds", "loss", "norms"] and frame.height == 3
    assert frame["norms"].to_list()[1] == [1.0, 2.0]
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pandas or Polars: pip install pandas"):
        example().to_frame()


def test_json_and_the_table_of_a_notebook() -> None:
    history = history_of({"loss": 0.25, "<b>": 1.0})
    assert json.loads(json.dumps(history)) == {"loss": [0.25], "<b>": [1.0]}
    history.stopped_by = "early stopping: <i>"
    html = history._repr_html_()
    assert html.count("<tr>") == 2 and '<td style="text-align: right">0.25</td>' in html
    assert "&lt;b&gt;" in html and "&lt;i&gt;" in html and "<b>" not in html and "<i>" not in html
    assert "<style" not in html
    assert History()._repr_html_() == "<div><div>History of 0 epochs</div></div>"
    many = history_of(*({"loss": float(i)} for i in range(50)))
    assert many._repr_html_().count("<tr>") == 8 == len(repr(many).splitlines()) - 1


# ---- arrays


def test_arrays_and_back() -> None:
    history = example()
    arrays = history.to_arrays()
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == {
        "epoch": ("int64", (3,)),
        "seconds": ("float64", (3,)),
        "loss": ("float64", (3,)),
        "norms": ("float64", (3, 2)),
    }
    back = History.from_arrays(
        arrays, stopped_by=history.stopped_by, best_epoch=2, last=list(history.last)
    )
    assert back.to_dict() == history.to_dict() and back.last == history.last
    assert type(back.epochs[0]) is int and type(back["loss"][0]) is float
    back.append({"epoch": 4, "seconds": 0.1, "loss": 1.0})
    assert len(arrays["loss"]) == 3
    assert History.from_arrays(History().to_arrays()).to_dict() == History().to_dict()
    assert History.from_arrays(arrays).last == {**history.last}


def test_the_last_record_names_what_it_had() -> None:
    history = history_of({"loss": 2.0, "val_loss": 1.0}, {"loss": 1.0})
    back = History.from_arrays(history.to_arrays(), last=list(history.last))
    assert back.last == history.last == {"epoch": 2, "seconds": 0.5, "loss": 1.0}


def spoilt(**changes: Any) -> dict[str, Any]:
    arrays = {**example().to_arrays(), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


F8 = np.ones(3)
BAD = [
    (spoilt(epoch=None), {}, "^epoch must be an array of int64"),
    (spoilt(epoch=np.array([1.0, 2.0, 3.0])), {}, "^epoch must be an array of int64"),
    (spoilt(epoch=[1, 2, 3]), {}, "^epoch must be an array"),
    (spoilt(epoch=np.array([[1], [2], [3]])), {}, "^epoch must be an array"),
    (spoilt(epoch=np.array([0, 1, 2])), {}, "^epoch must hold rising numbers from 1"),
    (spoilt(epoch=np.array([1, 3, 3])), {}, "^epoch must hold rising"),
    (spoilt(epoch=np.array([1, 2])), {}, "^seconds must have 2 rows, as epoch has, got 3"),
    (spoilt(seconds=None), {}, "^seconds must be an array of float64"),
    (spoilt(seconds=F8.astype("f4")), {}, "^seconds must be an array of float64"),
    (spoilt(seconds=np.array([1, -1, 1.0])), {}, "^seconds must hold finite numbers, none neg"),
    (spoilt(seconds=np.array([1, np.nan, 1])), {}, "^seconds must hold finite"),
    (spoilt(seconds=np.array([1, np.inf, 1])), {}, "^seconds must hold finite"),
    (spoilt(loss=np.ones(2)), {}, "^loss must have 3 rows"),
    (spoilt(loss=np.ones(3, int)), {}, "^loss must be an array of float64"),
    (spoilt(loss=np.ones((3, 1, 1))), {}, "^loss must be an array"),
    (spoilt(loss=np.float64(1)), {}, "^loss must be an array"),
    ({**spoilt(), 3: F8}, {}, "no quantity 3"),
    ({**spoilt(), "": F8}, {}, "no quantity ''"),
    ({**History().to_arrays(), "loss": np.ones(0)}, {}, "0 epochs has no quantity 'loss'"),
    (spoilt(), {"stopped_by": None}, "^stopped_by must be a string"),
    (spoilt(), {"best_epoch": 0}, "^best_epoch must be None or an int from 1"),
    (spoilt(), {"best_epoch": 2.0}, "^best_epoch must be"),
    (spoilt(), {"best_epoch": True}, "^best_epoch must be"),
    (spoilt(), {"last": ["accuracy"]}, "^last must name quantities .*'accuracy'"),
    (spoilt(), {"last": "loss"}, "^last must be a list"),
    (spoilt(), {"last": 3}, "^last must be a list"),
    (spoilt(), {"last": [["loss"]]}, "^last must name"),
]


@pytest.mark.parametrize(("arrays", "others", "message"), BAD)
def test_arrays_that_are_no_history(arrays: Any, others: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        History.from_arrays(arrays, **others)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": [1, 2]}, {"epochs": [1, 2, 2**64 - 1]}, {"epochs": [1, 2, 2.5]},
        {"epochs": None},
        {"epochs": [1, True, 3]}, {"seconds": [0.1]}, {"seconds": ["a", 1, 1]}, {"seconds": 3},
        {"columns": {"loss": [1.0]}}, {"columns": {"loss": [1.0, [1.0], [1.0, 2.0]]}},
        {"columns": {"loss": [None] * 3}}, {"columns": []}, {"columns": {"epoch": [1, 2, 3]}},
        {"last": ["nothing"]}, {"last": None}, {"last": 1}, {"best_epoch": "2"}, {"best_epoch": -1},
        {"stopped_by": 1}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_dicts_that_are_no_history(change: dict[str, Any]) -> None:
    data = {**example().to_dict(), **change}
    with pytest.raises(ValueError):
        History.from_dict(data)


def test_dicts_of_the_first_format_are_read() -> None:
    """A vector that was missing in an epoch was a single NaN there."""
    data = json.loads(json.dumps(example().to_dict(), allow_nan=False))
    data["columns"]["norms"][0] = "nan"
    assert History.from_dict(data).to_dict() == example().to_dict()


def test_millions_of_epochs_take_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        history, losses = History(), np.arange(n, dtype=float).tolist()
        began = time.process_time()
        for start in range(0, n, 4096):
            part = losses[start : start + 4096]
            numbers = range(start + 1, start + 1 + len(part))
            history.extend({"epoch": numbers, "seconds": part, "loss": part})
        back = History.from_arrays(history.to_arrays())
        took = time.process_time() - began
        assert back == history and back.last == history.last and len(back) == n
        return took

    seconds(10_000)
    assert seconds(400_000) < 40 * seconds(40_000) + 0.5


# ---- what a network says of itself


def test_repr_tells_all_that_is_not_default() -> None:
    assert repr(fm.Network([3, 2])) == (
        "Network([3, 2], output='softmax', loss='cross_entropy', dtype='float32')"
    )
    net = fm.Network(
        [3, 4, 5, 1], hidden=[fm.activations.LeakyReLU(0.2), "tanh"], output="identity",
        loss=fm.losses.Huber(0.5), l1=1e-3, l2=0.1, dropout=0.25, max_norm=2, init="zeros", seed=7,
        dtype="float64",
    )  # fmt: skip
    assert repr(net) == (
        "Network([3, 4, 5, 1], hidden=[LeakyReLU(alpha=0.2), 'tanh'], output='identity', "
        "loss=Huber(delta=0.5), l1=0.001, l2=0.1, dropout=0.25, max_norm=2.0, init='zeros', "
        "dtype='float64', seed=7)"
    )
    names = {"Network": fm.Network, "LeakyReLU": fm.activations.LeakyReLU, "Huber": fm.losses.Huber}
    clone = eval(repr(net), names)
    for name in ("sizes", "hidden", "output", "loss", "l1", "l2", "dropout", "max_norm", "seed"):
        assert getattr(clone, name) == getattr(net, name)
    assert "dropout=[0.1, 0.0]" in repr(fm.Network([3, 2, 2], dropout=[0.1, 0]))
    assert "dropout" not in repr(fm.Network([3, 2, 2], dropout=[0, 0]))
    assert "init=orthogonal" in repr(fm.Network([3, 2], init=fm.initializers.orthogonal))


def test_summary_and_its_html_say_the_same() -> None:
    net = fm.Network([3, 4, 2], dropout=[0.1, 0.5])
    text, html = summary(net, 1), summary_html(net, 1)
    assert text.splitlines()[0] == network_repr(net) == repr(net)
    assert text.splitlines()[-1] == "26 parameters, 1 epoch trained"
    for cell in ("3", "input", "0.1", "16", "relu", "0.5", "10", "softmax"):
        assert f">{cell}</td>" in html and f" {cell}" in text
    assert "1 epoch trained" in html and "'" not in html.split("<table>")[0]
    assert net._repr_html_() == summary_html(net, 0)
