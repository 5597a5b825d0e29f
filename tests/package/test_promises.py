"""What was once wrong around the engine: state, time, labels, rows; a test each."""

from __future__ import annotations

import copy
import math
import pickle
import time
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits

import fastmlp as fm

random = np.random.default_rng(7)
X = random.normal(size=(60, 4))
LABELS = random.integers(0, 3, 60)
REAL = random.normal(size=60)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 8, 3], **options)


def regressor(**options: Any) -> fm.Network:
    return fm.Network([4, 8, 1], **{"output": "identity", "loss": "mse", **options})


def shown(net: fm.Network) -> tuple[Any, ...]:
    """All that a call which is refused must leave as it was."""
    parameters = [a.tobytes() for a in (*net.weights, *net.biases)]
    return parameters, net.epochs, net.history, net._training.session


# ---- state and time


def test_rates_by_step_of_an_epoch_that_takes_longer_than_a_slice() -> None:
    """Every step moves the bias by the rate: it is their sum, over many slices of 50 ms."""
    n = 2_000_000
    net = fm.Network([1, 1], output="identity", loss="mae", init="zeros", dtype="float64")
    history = net.fit(
        np.ones((n, 1)), np.full(n, 1e9), epochs=1, batch_size=1, shuffle=False,
        optimizer=fm.SGD(1e-3), schedule=fm.schedules.Cosine(by="step"),
    )  # fmt: skip
    rates = fm.schedules.Cosine(by="step").rates(1e-3, 0, 1, 0, n)
    assert net.biases[0][0] == pytest.approx(1000.0005, abs=1e-6)
    assert history["learning_rate"] == [pytest.approx(rates.mean(), rel=1e-12)]


def test_what_is_refused_is_refused_before_anything_changes(tmp_path: Any) -> None:
    net = classifier()
    net.fit(X, LABELS, epochs=1)
    before = shown(net)
    held = np.ones(60)
    net_of_seed = np.random.Generator(np.random.Philox(0)).permutation(60)
    held[net_of_seed[-12:]] = 0  # the rows that validation=0.2 holds out
    missing = tmp_path / "no" / "log.csv"
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for arguments, error, message in (
        ({"sample_weight": held, "validation": 0.2}, ValueError, "validation holds out"),
        ({"callbacks": fm.CSVLog(missing)}, FileNotFoundError, "no"),
        ({"callbacks": fm.CSVLog(tmp_path / "other.csv")}, ValueError, "columns"),
        ({"callbacks": fm.CSVLog(tmp_path / "folder")}, IsADirectoryError, "folder"),
        ({"callbacks": fm.Checkpoint(tmp_path / "folder")}, IsADirectoryError, "folder"),
        ({"callbacks": fm.Checkpoint(tmp_path / "file" / "net")}, NotADirectoryError, "file"),
        ({"ema": 1 - 1e-9}, ValueError, "^ema must be less than 1 in float32"),
    ):
        with pytest.raises(error, match=message):
            net.fit(X, LABELS, epochs=3, **arguments)
        assert shown(net) == before
    regressor(dtype="float64").fit(X, REAL, epochs=1, ema=1 - 1e-9)


def test_seconds_are_those_of_the_clock_with_validation_and_callbacks() -> None:
    began = time.perf_counter()
    history = classifier().fit(
        X, LABELS, epochs=4, validation=0.2, callbacks=lambda net, history: time.sleep(0.05)
    )
    passed = time.perf_counter() - began
    assert 0.2 <= sum(history.seconds) <= passed
    assert history.last["seconds"] == history.seconds[-1] >= 0.05


def test_a_time_budget_counts_callbacks_and_stops_within_a_validation() -> None:
    def pause(net: Any, history: Any) -> None:
        time.sleep(0.03)

    history = classifier().fit(X, LABELS, epochs=1000, stop=fm.TimeBudget(0.1), callbacks=pause)
    assert history.stopped_by == "time budget"
    assert len(history) in (2, 3, 4)

    net = fm.Network([50, 500, 500, 3])
    rows, labels = np.ones((400_000, 50), np.float32), np.zeros(400_000, int)
    rows[0] = 0  # not constant
    began = time.perf_counter()
    history = net.fit(
        rows[:100], labels[:100], epochs=10, validation=(rows, labels), stop=fm.TimeBudget(0.005)
    )
    assert history.stopped_by == "time budget"
    assert time.perf_counter() - began < 1.0
    assert (net.epochs, len(history)) == (1, 1)


def test_lbfgs_says_what_ended_it_and_takes_no_batches() -> None:
    pytest.importorskip("scipy")
    net = regressor(dtype="float64")
    assert net.fit(X, REAL, epochs=50, optimizer=fm.LBFGS(max_iterations=3)).stopped_by == "epochs"
    assert net.epochs == 3
    easy = fm.Network([4, 1], output="identity", loss="mse", dtype="float64")
    assert easy.fit(X, REAL, epochs=500, optimizer="lbfgs").stopped_by == "tolerance"
    with pytest.raises(ValueError, match="^batch_size must be at least the number of rows, 60"):
        net.fit(X, REAL, optimizer="lbfgs", batch_size=32)
    net.fit(X, REAL, epochs=1, optimizer="lbfgs", batch_size=60)


# ---- labels and what outputs decide


def test_several_sigmoid_outputs_decide_one_by_one() -> None:
    net = fm.Network([4, 5], output="sigmoid", loss="cross_entropy")
    outputs = net.predict(X)
    assert net.classify(X).shape == (60, 5)
    assert_same_bits(net.classify(X), (outputs > 0.5).astype(np.int64))
    assert_same_bits(net.classify(X, threshold=0.7), (outputs > 0.7).astype(np.int64))
    one = fm.Network([4, 1], output="sigmoid")
    assert_same_bits(one.classify(X, threshold=0.3), (one.predict(X)[:, 0] > 0.3).astype(np.int64))
    with pytest.raises(ValueError, match="^threshold goes with sigmoid outputs"):
        classifier().classify(X, threshold=0.4)
    with pytest.raises(ValueError, match="^threshold must be"):
        one.classify(X, threshold=math.nan)


def test_metrics_follow_the_loss_not_the_output() -> None:
    coder = fm.Network([4, 3, 4], output="sigmoid", loss="mse")
    targets = 1 / (1 + np.exp(-X))
    assert set(coder.evaluate(X, targets)) == {"loss", "r2", "mae", "rmse"}
    history = coder.fit(X, targets, epochs=1, validation=0.5)
    assert "val_r2" in history and "val_accuracy" not in history
    decider = fm.Network([4, 4], output="sigmoid", loss="cross_entropy")
    assert set(decider.evaluate(X, (X > 0) * 1.0)) == {"loss", "accuracy"}


def test_an_output_that_is_no_number_decides_nothing() -> None:
    net = fm.Network([1, 2])
    net.weights = [[[1.0], [3e38]]]
    assert net.predict([[10.0]]).tolist() == [[0.0, 1.0]]
    assert net.classify([[10.0]]).tolist() == [1]
    assert net.evaluate([[10.0]], [0])["accuracy"] == 0.0
    assert net.evaluate([[10.0]], [1])["accuracy"] == 1.0
    net.weights = [[[3e38], [3e38]]]
    assert np.isnan(net.predict([[10.0]])).all()
    with pytest.raises(ValueError, match="row 1 are NaN"):
        net.classify([[0.0], [10.0]])
    for label in (0, 1):
        assert net.evaluate([[10.0]], [label])["accuracy"] == 0.0


# ---- rows


PASSES = {
    "predict": lambda net, X: net.predict(X),
    "classify": lambda net, X: net.classify(X),
    "layers": lambda net, X: net.layers(X)[0][1],
    "input_gradients": lambda net, X: net.input_gradients(X, LABELS[: len(X)]),
}


@pytest.mark.parametrize("name", PASSES)
def test_no_rows_give_no_rows(name: str) -> None:
    net = classifier()
    some, none = PASSES[name](net, X), PASSES[name](net, X[:0])
    assert none.shape == (0, *some.shape[1:]) and none.dtype == some.dtype
    assert PASSES[name](net, np.empty((0, 4))).shape == none.shape


def test_metrics_and_fit_need_a_row() -> None:
    net = classifier()
    for call in (net.evaluate, net.fit, net.gradients):
        with pytest.raises(ValueError, match="^X must have at least one row"):
            call(X[:0], LABELS[:0])


@pytest.mark.parametrize("name", PASSES)
def test_rows_in_any_layout_equal_their_copies(name: str) -> None:
    net = classifier()
    stride_0 = np.broadcast_to(X[0], (60, 4))
    for rows in (X[::-1], X[:, ::-1], np.asfortranarray(X), stride_0, X[::-2]):
        assert_same_bits(PASSES[name](net, rows), PASSES[name](net, rows.copy()))


def test_names_of_columns_are_remembered() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    net = classifier()
    net.fit(frame, LABELS, epochs=1)
    for net_ in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same_bits(net_.predict(frame), net_.predict(X))
        with pytest.raises(ValueError, match=r"in another order: column 0 is 'b', not 'a'"):
            net_.predict(frame[["b", "a", "c", "d"]])
        with pytest.raises(ValueError, match=r"without \['d'\] and with \['e'\]"):
            net_.evaluate(frame.rename(columns={"d": "e"}), LABELS)
        with pytest.raises(ValueError, match="columns"):
            net_.fit(frame[["b", "a", "c", "d"]], LABELS)
    with pytest.raises(ValueError, match=r"^validation\[0\] must have the columns"):
        net.fit(frame, LABELS, validation=(frame[["b", "a", "c", "d"]], LABELS))


def test_weights_of_classes_by_label() -> None:
    pandas = pytest.importorskip("pandas")
    by_label = {0: 1.0, 1: 2.0, 2: 3.0}
    nets = []
    for class_weight in (
        by_label,
        pandas.Series([3.0, 1.0, 2.0], index=[2, 0, 1]),
        {np.int8(2): 3, 1.0: 2, False: 1},
        {np.True_: 2.0, 2: 3.0},
    ):
        nets.append(classifier())
        nets[-1].fit(X, LABELS, epochs=2, class_weight=class_weight)
        assert_same_bits(list(nets[-1].weights), list(nets[0].weights))
    two = np.minimum(LABELS, 1)
    classifier().fit(X, two, epochs=1, class_weight=by_label)  # y happens to lack 2
    with pytest.raises(ValueError, match="class_weight"):
        classifier().fit(X, LABELS, class_weight={3: 1.0})
    with pytest.raises(ValueError, match="class_weight"):
        classifier().fit(X, LABELS, class_weight={1: 1.0, 1.5: 2.0})


def test_a_fault_in_x_is_said_by_row_and_column() -> None:
    rows = X.copy()
    rows[17, 2] = math.nan
    net = classifier()
    for call in (net.predict, net.layers, lambda x: net.fit(x, LABELS)):
        with pytest.raises(ValueError, match=r"^X .*row 17.*column 2"):
            call(rows)
    for call in (net.evaluate, net.gradients, net.input_gradients):
        with pytest.raises(ValueError, match=r"^X .*row 17.*column 2"):
            call(rows, LABELS)


# ---- arithmetic under the user's own settings


def test_errors_of_numpy_that_the_user_has_asked_for_are_not_ours() -> None:
    with np.errstate(all="raise"):
        for net, y in ((classifier(), LABELS), (regressor(loss="poisson"), np.abs(REAL))):
            net.fit(X, y, epochs=2, validation=0.2, stop=fm.EarlyStopping(), ema=0.9)
            net.evaluate(X, y)
            net.gradients(X, y)
            net.diagnose(X, y)
            net.check_gradients(X, y)
        constant = regressor()
        constant.evaluate(X, np.zeros(60))
        constant.weights = [1e-30 * w for w in constant.weights]
        constant.evaluate(X, np.full(60, 1e-300))
