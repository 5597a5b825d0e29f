"""Bad input: a ValueError or TypeError that names the argument and the shapes, before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.activations import ACTIVATIONS
from fastmlp.losses import LOSSES

N = 40
random = np.random.default_rng(3)
X = random.normal(size=(N, 3))
LABELS = random.integers(0, 2, N)
REAL = random.normal(size=N)
ONE_HOT = np.eye(2)[LABELS]


def classifier(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 2], **options)


def binary(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 1], output="sigmoid", **options)


def regressor(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 1], output="identity", loss="mse", **options)


def trained(make: Callable[..., fm.Network], y: np.ndarray, **options: Any) -> fm.Network:
    net = make(**options)
    net.fit(X, y, epochs=1)
    return net


@contextmanager
def unchanged(net: fm.Network) -> Iterator[None]:
    """Parameters to the last bit, epochs, history and training state are after it what they were before."""

    def state() -> tuple[Any, ...]:
        parameters = [array.tobytes() for array in [*net.weights, *net.biases]]
        moments = net._training and [a.tobytes() for a in net._training.trainer.get_moment(0, 1)]
        return parameters, net.epochs, net.history, len(net.history or ()), net._training, moments

    before = state()
    yield
    assert state() == before


def spoilt(array: np.ndarray, value: Any, at: int = -1) -> np.ndarray:
    """A copy with one element, by default the last, replaced."""
    copy = array.copy()
    copy.reshape(-1)[at] = value
    return copy


# ---- options of the network

BAD_OPTIONS = [
    (
        {"hidden": "rleu"},
        ValueError,
        r"^hidden must be 'identity', 'step', .* or 'softmax'.*got 'rleu'",
    ),
    ({"hidden": 5}, TypeError, "^hidden must be 'identity'.*got 5"),
    ({"hidden": fm.activations.ReLU}, TypeError, "^hidden .*got the class ReLU"),
    (
        {"hidden": ["relu", "tanh"]},
        ValueError,
        "^hidden must be one activation or one for each of 1.*got 2",
    ),
    ({"hidden": []}, ValueError, "^hidden .*got 0"),
    ({"hidden": ["nope"]}, ValueError, r"^hidden\[0\] must be"),
    ({"hidden": "softmax"}, ValueError, "^hidden must not be 'softmax'"),
    ({"output": "sotfmax"}, ValueError, "^output must be 'identity'.*got 'sotfmax'"),
    ({"output": None}, TypeError, "^output must be"),
    (
        {"output": "relu"},
        ValueError,
        "^output must be 'softmax' or 'sigmoid' with loss '.*got 'relu'",
    ),
    ({"loss": "log"}, ValueError, "^loss must be 'mse', .*'perceptron'.*got 'log'"),
    ({"loss": "perceptron"}, ValueError, "^output must be 'step' with loss 'perceptron'"),
    ({"l1": -1e-9}, ValueError, r"^l1 must be in \[0, inf\)"),
    ({"l2": "0.1"}, TypeError, "^l2 must be a real number"),
    ({"l2": np.nan}, ValueError, "^l2 must be in"),
    ({"l2": True}, TypeError, "^l2 must be"),
    ({"dropout": 1.0}, ValueError, r"^dropout must be in \[0, 1\), got 1.0"),
    ({"dropout": -0.1}, ValueError, r"^dropout must be in \[0, 1\)"),
    ({"dropout": np.array(0.5)}, TypeError, "^dropout must be"),
    ({"dropout": [0.1]}, ValueError, "^dropout must be one number or 2.*got 1"),
    ({"dropout": [0.1, 1.0]}, ValueError, r"^dropout\[1\] must be in \[0, 1\)"),
    ({"max_norm": 0}, ValueError, r"^max_norm must be in \(0, inf\), got 0"),
    ({"max_norm": np.inf}, ValueError, "^max_norm must be in"),
    ({"init": "normal"}, ValueError, "^init must be 'auto', .*'zeros'.*got 'normal'"),
    ({"init": 3}, TypeError, "^init must be"),
    (
        {"init": lambda shape, generator: np.zeros(3)},
        ValueError,
        r"^init of layer 1 .*\(5, 3\), got \(3,\)",
    ),
    ({"init": lambda shape, generator: None}, TypeError, "^init of layer 1 "),
    (
        {"init": lambda shape, generator: np.full(shape, np.nan)},
        ValueError,
        "^init of layer 1 .*finite",
    ),
    (
        {"init": lambda shape, generator: np.full(shape, 1e300)},
        ValueError,
        "^init of layer 1 .*finite",
    ),
    ({"bias_init": "ones"}, ValueError, "^bias_init must be 'zeros'"),
    ({"bias_init": -1e300}, ValueError, "^bias_init of layer 1 .*finite"),
    (
        {"bias_init": [np.zeros(5)]},
        ValueError,
        "^bias_init must have one array for each of 2 layers.*got 1",
    ),
    (
        {"bias_init": [np.zeros(5), np.zeros(3)]},
        ValueError,
        r"^bias_init of layer 2 .*\(2,\), got \(3,\)",
    ),
    ({"dtype": "float16"}, ValueError, "^dtype must be 'float32' or 'float64', got 'float16'"),
    ({"dtype": "flaot32"}, ValueError, "^dtype must be 'float32' or 'float64', got 'flaot32'"),
    ({"dtype": int}, ValueError, "^dtype must be"),
    ({"dtype": None}, TypeError, "^dtype must be"),
    ({"dtype": 32}, TypeError, "^dtype must be"),
    ({"seed": -1}, ValueError, "^seed must be an integer in"),
    ({"seed": 1.0}, TypeError, "^seed must be an integer"),
    ({"seed": None}, TypeError, "^seed must be an integer"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS)
def test_options_of_the_network(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier(**options)


BAD_SIZES = [
    ([], ValueError, "^sizes must have at least two layers"),
    ([3], ValueError, r"^sizes must have at least two layers, input and output, got \[3\]"),
    ([3, 0], ValueError, r"^sizes\[1\] must be an integer in \[1, "),
    ([-3, 2], ValueError, r"^sizes\[0\] "),
    ([3, 2.0], TypeError, r"^sizes\[1\] must be an integer.*got 2.0 \(float\)"),
    ([3, True], TypeError, r"^sizes\[1\] "),
    ([3, "2"], TypeError, r"^sizes\[1\] "),
    ([[3, 2]], TypeError, r"^sizes\[0\] "),
    (np.array([[3, 2]]), TypeError, r"^sizes\[0\] "),
    ("32", TypeError, "^sizes must be a sequence"),
    (3, TypeError, "^sizes must be a sequence"),
    (None, TypeError, "^sizes must be a sequence"),
    ([10**30, 2], ValueError, r"^sizes\[0\] "),
    ([2**31, 2**31], (ValueError, MemoryError), "."),
    ([2**31, 2**28], (ValueError, MemoryError), "."),
]


@pytest.mark.parametrize(
    ("sizes", "error", "message"), BAD_SIZES, ids=lambda value: repr(value)[:20]
)
def test_impossible_sizes(sizes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fm.Network(sizes)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", ACTIVATIONS)
def test_a_loss_is_taken_by_the_outputs_it_is_defined_for(output: str, loss: str) -> None:
    wanted = {"cross_entropy": {"softmax", "sigmoid"}, "perceptron": {"step"}}.get(loss, {output})
    if output in wanted:
        assert fm.Network([2, 2], output=output, loss=loss).loss.name == loss
    else:
        with pytest.raises(
            ValueError, match=f"^output must be .* with loss '{loss}', got '{output}'"
        ):
            fm.Network([2, 2], output=output, loss=loss)


# ---- X

BAD_X = {
    "number": (5.0, ValueError, r"^X must have the shape \(n, 3\), got \(\)"),
    "one row": (X[0], ValueError, r"^X .*\(n, 3\), got \(3,\); for one row pass X\[None, :\]"),
    "three dimensions": (X[None], ValueError, r"^X .*\(n, 3\), got \(1, 40, 3\)"),
    "too narrow": (X[:, :2], ValueError, r"^X .*\(n, 3\), got \(40, 2\)"),
    "transposed": (X.T, ValueError, r"^X .*\(n, 3\), got \(3, 40\)"),
    "no rows": (X[:0], ValueError, r"^X must have at least one row, got \(0, 3\)"),
    "no columns": (X[:, :0], ValueError, r"^X .*\(n, 3\), got \(40, 0\)"),
    "empty list": ([], ValueError, r"^X .*\(n, 3\), got \(0,\)"),
    "ragged": ([[1, 2, 3], [4, 5]], ValueError, "^X must be an array with rows of one length"),
    "nan": (spoilt(X, np.nan), ValueError, "^X must hold finite numbers"),
    "infinity": (spoilt(X, -np.inf, 0), ValueError, "^X must hold finite numbers"),
    "beyond float32": (spoilt(X, 1e300), ValueError, "^X must hold finite numbers"),
    "float16 nan": (spoilt(X.astype("f2"), np.nan), ValueError, "^X must hold finite numbers"),
    "swapped infinity": (
        spoilt(X.astype(">f4"), np.inf),
        ValueError,
        "^X must hold finite numbers",
    ),
    "strided nan": (
        spoilt(np.ones((80, 6)), np.nan, 5)[::2, 1::2],
        ValueError,
        "^X must hold finite",
    ),
    "complex": (X + 0j, TypeError, "^X must hold real numbers, got dtype complex128"),
    "strings": (X.astype(str), TypeError, "^X must hold real numbers, got dtype <U"),
    "objects": (
        spoilt(X.astype(object), "1.5"),
        TypeError,
        r"^X must hold real numbers, got dtype object \(row \d+, column \d+ holds '1.5'\)",
    ),
    "dates": (X.astype("M8[s]"), TypeError, "^X must hold real numbers, got dtype datetime64"),
    "durations": (X.astype("m8[s]"), TypeError, "^X must hold real numbers, got dtype timedelta64"),
    "structured": (np.zeros(N, "f4,f4,f4"), TypeError, "^X must hold real numbers"),
    "huge integers": ([[10**30, 0, 0]], TypeError, "^X must hold real numbers"),
    "generator": ((row for row in X), TypeError, "^X must hold real numbers"),
    "None": (None, TypeError, "^X must hold real numbers"),
    "dict": ({"X": X}, TypeError, "^X must hold real numbers"),
    "masked": (np.ma.masked_greater(X, 1), ValueError, r"^X must have no masked values, got \d+"),
}
CALLS: dict[str, Callable[[fm.Network, Any], Any]] = {
    "fit": lambda net, X: net.fit(X, LABELS),
    "predict": lambda net, X: net.predict(X),
    "classify": lambda net, X: net.classify(X),
    "evaluate": lambda net, X: net.evaluate(X, LABELS),
    "layers": lambda net, X: net.layers(X),
    "gradients": lambda net, X: net.gradients(X, LABELS),
    "input_gradients": lambda net, X: net.input_gradients(X, LABELS),
    "check_gradients": lambda net, X: net.check_gradients(X, LABELS),
    "diagnose": lambda net, X: net.diagnose(X),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_rows(call: Callable[[fm.Network, Any], Any]) -> None:
    net = trained(classifier, LABELS)
    for rows, error, message in BAD_X.values():
        with unchanged(net), pytest.raises(error, match=message):
            call(net, rows)


def test_rows_that_are_sparse() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    net = trained(classifier, LABELS)
    for rows in (sparse.csr_matrix(X), sparse.coo_array(X)):
        with (
            unchanged(net),
            pytest.raises(TypeError, match=r"^X must be a dense array.*X.toarray\(\)"),
        ):
            net.fit(rows, LABELS)
        with pytest.raises(TypeError, match="^y must be a dense array"):
            net.evaluate(X, sparse.csr_matrix(ONE_HOT))


def test_too_many_rows_cost_nothing() -> None:
    net = trained(classifier, LABELS)
    rows = np.broadcast_to(np.float32(0), (2**32, 3))
    with unchanged(net), pytest.raises(ValueError, match=r"^X must have fewer than 2\*\*32 rows"):
        net.fit(rows, np.broadcast_to(np.int64(0), (2**32,)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "longdouble"])
def test_one_bad_number_is_found_wherever_it_is(dtype: str, value: float) -> None:
    """Rows enough for several threads; every position of a row, so of a vector and of what is left over."""
    net = fm.Network([37, 2], dtype="float64")
    rows = np.zeros((6000, 37), dtype)
    for row in (*range(38), 2999, 3000, 5999):
        rows[row, row % 37] = value
        with pytest.raises(ValueError, match="^X must hold finite numbers"):
            net.predict(rows[row : row + 1])
        if row % 999 < 3:
            with pytest.raises(ValueError, match="^X must hold finite numbers"):
                net.fit(rows, np.zeros(len(rows), int), epochs=0, threads=2)
        rows[row, row % 37] = 0


def test_finite_means_finite_in_the_precision_of_the_network() -> None:
    for value, dtype in ((3.4e38, "float32"), (1e300, "float64")):
        net = fm.Network([1, 1], output="sigmoid", dtype=dtype)
        assert np.isfinite(net.predict([[value]])).all()
    with pytest.raises(ValueError, match="^X must hold finite"):
        fm.Network([1, 1], output="sigmoid").predict([[3.5e38]])


# ---- y

BAD_Y: list[tuple[Callable[..., fm.Network], Any, type[Exception], str]] = [
    (classifier, 1, ValueError, r"^y must have the shape \(40, 2\) or \(40,\), got \(\)"),
    (classifier, LABELS[:-1], ValueError, r"^y must have as many rows as X, 40, got \(39,\)"),
    (classifier, LABELS[None], ValueError, r"^y must have as many rows as X, 40, got \(1, 40\)"),
    (classifier, ONE_HOT[:, :, None], ValueError, r"^y .*got \(40, 2, 1\)"),
    (
        classifier,
        np.eye(3)[LABELS],
        ValueError,
        r"^y must have the shape \(40, 2\) .*got \(40, 3\)",
    ),
    (classifier, [], ValueError, r"^y must have as many rows as X, 40, got \(0,\)"),
    (
        classifier,
        LABELS - 1,
        ValueError,
        "^y must hold labels from 0 to 1, got labels from -1 to 0",
    ),
    (classifier, LABELS + 1, ValueError, "^y must hold labels from 0 to 1, got labels from 1 to 2"),
    (classifier, spoilt(LABELS, -(2**63)), ValueError, "^y must hold labels from 0 to 1"),
    (classifier, np.full(N, 2**64 - 1, "u8"), ValueError, "^y must hold labels from 0 to 1"),
    (
        classifier,
        LABELS.astype(float),
        TypeError,
        "^y must be integer labels or rows of 2 probabilities",
    ),
    (classifier, LABELS + 0.5, TypeError, "^y must be integer labels"),
    (classifier, ONE_HOT * 1.01, ValueError, r"^y must be in \[0, 1\] for a softmax output"),
    (classifier, ONE_HOT * 0.9, ValueError, "^y must have rows of probabilities that sum to 1"),
    (classifier, spoilt(ONE_HOT, np.nan), ValueError, "^y must hold finite numbers"),
    (classifier, LABELS.astype(str), TypeError, "^y must hold real numbers, got dtype <U"),
    (
        classifier,
        LABELS.astype(str).astype(object),
        TypeError,
        "^y must hold real numbers, got dtype object",
    ),
    (classifier, LABELS.astype("M8[s]"), TypeError, "^y must hold real numbers"),
    (classifier, LABELS + 0j, TypeError, "^y must hold real numbers, got dtype complex128"),
    (classifier, [[0], [0, 1]] * 20, ValueError, "^y must be an array with rows of one length"),
    (classifier, np.ma.masked_equal(LABELS, 1), ValueError, "^y must have no masked values"),
    (classifier, None, TypeError, "^y must hold real numbers"),
    (classifier, iter(LABELS), TypeError, "^y must hold real numbers"),
    (
        binary,
        LABELS + 1,
        ValueError,
        r"^y must be in \[0, 1\] for a sigmoid output, got values from 1 to 2",
    ),
    (binary, 2 * LABELS - 1, ValueError, r"^y must be in \[0, 1\]"),
    (binary, ONE_HOT, ValueError, r"^y must have the shape \(40, 1\) or \(40,\), got \(40, 2\)"),
    (regressor, REAL[:5], ValueError, r"^y must have as many rows as X, 40, got \(5,\)"),
    (
        regressor,
        np.c_[REAL, REAL],
        ValueError,
        r"^y must have the shape \(40, 1\) or \(40,\), got \(40, 2\)",
    ),
    (regressor, spoilt(REAL, np.nan), ValueError, "^y must hold finite numbers"),
    (regressor, spoilt(REAL, np.inf, 0), ValueError, "^y must hold finite numbers"),
    (regressor, spoilt(REAL, -1e39), ValueError, "^y must hold finite numbers"),
    (regressor, REAL + 0j, TypeError, "^y must hold real numbers"),
]


@pytest.mark.parametrize(("make", "y", "error", "message"), BAD_Y)
def test_targets(
    make: Callable[..., fm.Network], y: Any, error: type[Exception], message: str
) -> None:
    net = make()
    for call in (net.fit, net.evaluate, net.gradients, net.input_gradients, net.check_gradients):
        with unchanged(net), pytest.raises(error, match=message):
            call(X, y)


def test_targets_of_other_outputs() -> None:
    with pytest.raises(
        ValueError, match=r"^y must have the shape \(40, 2\), got \(40,\): give one-hot rows"
    ):
        fm.Network([3, 2], output="sigmoid").fit(X, LABELS)
    with pytest.raises(ValueError, match=r"^y must be in \[0, 1\] for a step output"):
        fm.Network([3, 1], output="step", loss="perceptron").fit(X, 2 * LABELS)
    with pytest.raises(ValueError, match="^y must not be negative for the poisson loss, got -"):
        fm.Network([3, 1], output="identity", loss="poisson").fit(X, REAL)


# ---- the other arguments of fit

BAD_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"epochs": -1}, ValueError, r"^epochs must be an integer in \[0, inf\), got -1"),
    ({"epochs": 1.0}, TypeError, "^epochs must be an integer"),
    ({"epochs": True}, TypeError, "^epochs must be an integer"),
    ({"batch_size": 0}, ValueError, r"^batch_size must be an integer in \[1, inf\), got 0"),
    ({"batch_size": 2.5}, TypeError, "^batch_size must be an integer"),
    ({"batch_size": None}, TypeError, "^batch_size must be an integer"),
    (
        {"optimizer": "adamax"},
        ValueError,
        "^optimizer must be 'sgd', 'adam', .*'lbfgs'.*got 'adamax'",
    ),
    ({"optimizer": fm.Adam}, TypeError, "^optimizer must be .*got the class Adam"),
    ({"optimizer": None}, TypeError, "^optimizer must be"),
    ({"schedule": "cosin"}, ValueError, "^schedule must be 'constant', .*got 'cosin'"),
    ({"schedule": "step"}, ValueError, "^schedule='step' has parameters without a default"),
    ({"schedule": 0.1}, TypeError, "^schedule must be"),
    (
        {"schedule": fm.schedules.Plateau(monitor="val_loss")},
        ValueError,
        "^monitor .*no validation",
    ),
    ({"stop": "early"}, ValueError, "^stop must be 'early_stopping', .*got 'early'"),
    ({"stop": 3}, TypeError, "^stop must be"),
    (
        {"stop": fm.EarlyStopping(monitor="val_loss")},
        ValueError,
        "^monitor must be 'loss' or .*no validation",
    ),
    (
        {"stop": fm.EarlyStopping(monitor="accuracy"), "validation": 0.5},
        ValueError,
        "^monitor .*'val_accuracy'",
    ),
    (
        {"stop": fm.TargetLoss(0.1, "val_r2"), "validation": 0.5},
        ValueError,
        "^monitor .*'val_accuracy'",
    ),
    (
        {"callbacks": fm.Checkpoint("x", keep_best=True, monitor="los")},
        ValueError,
        "^monitor must be 'loss'",
    ),
    ({"callbacks": 5}, TypeError, "^callbacks must be objects with on_fit_start"),
    ({"callbacks": [fm.Callback]}, TypeError, "^callbacks must be .*got the class Callback"),
    ({"augment": "nois"}, ValueError, "^augment must be 'noise', 'mask' or 'affine'"),
    (
        {"augment": fm.augment.Affine((2, 2))},
        ValueError,
        r"^augment: .*3 features.*got \(2, 2\) = 4",
    ),
    ({"clip_norm": 0}, ValueError, r"^clip_norm must be in \(0, inf\)"),
    ({"ema": 1}, ValueError, r"^ema must be in \(0, 1\), got 1"),
    ({"shuffle": 1}, TypeError, "^shuffle must be True or False"),
    ({"stratify": "yes"}, TypeError, "^stratify must be True or False"),
    ({"progress": 1}, TypeError, "^progress must be True or False"),
    ({"record_norms": None}, TypeError, "^record_norms must be True or False"),
    ({"threads": 0}, ValueError, r"^threads must be an integer in \[1, "),
    ({"threads": 1.0}, TypeError, "^threads must be an integer"),
    ({"learning_rate": 0.1}, TypeError, "unexpected keyword argument 'learning_rate'"),
    (
        {"sample_weight": np.ones(39)},
        ValueError,
        r"^sample_weight must have the shape \(40,\), got \(39,\)",
    ),
    ({"sample_weight": np.ones((N, 1))}, ValueError, r"^sample_weight .*\(40,\), got \(40, 1\)"),
    ({"sample_weight": 1.0}, ValueError, r"^sample_weight .*\(40,\), got \(\)"),
    (
        {"sample_weight": spoilt(np.ones(N), -1)},
        ValueError,
        "^sample_weight must be finite, not negative",
    ),
    ({"sample_weight": spoilt(np.ones(N), np.nan)}, ValueError, "^sample_weight must be finite"),
    ({"sample_weight": spoilt(np.ones(N), np.inf)}, ValueError, "^sample_weight must be finite"),
    ({"sample_weight": np.zeros(N)}, ValueError, "^sample_weight must be .*not all 0"),
    ({"sample_weight": ["a"] * N}, TypeError, "^sample_weight must hold real numbers"),
    ({"class_weight": "balance"}, ValueError, "^class_weight must be 'balanced', .*got 'balance'"),
    (
        {"class_weight": {2: 1.0}},
        ValueError,
        "^class_weight must have labels from 0 to 1 as keys, got 2",
    ),
    ({"class_weight": {"0": 1.0}}, ValueError, "^class_weight must have labels .*got '0'"),
    ({"class_weight": {0: -1}}, ValueError, r"^class_weight\[0\] must be in \[0, inf\), got -1"),
    ({"class_weight": {0: None}}, TypeError, r"^class_weight\[0\] must be a real number"),
    ({"class_weight": {0: 0, 1: 0}}, ValueError, "^class_weight must be .*not all 0"),
    (
        {"class_weight": [1, 2, 3]},
        ValueError,
        r"^class_weight must have the shape \(2,\), got \(3,\)",
    ),
    ({"class_weight": [1, np.nan]}, ValueError, "^class_weight must be finite"),
    (
        {"class_weight": 2.0},
        TypeError,
        "^class_weight must be 'balanced', a dict or a sequence, got 2.0",
    ),
    ({"validation": 0}, ValueError, r"^validation must be in \(0, 1\), got 0"),
    ({"validation": 1.0}, ValueError, r"^validation must be in \(0, 1\), got 1.0"),
    (
        {"validation": 1e-3},
        ValueError,
        "^validation must leave rows on either side, got 0.001 of 40 rows",
    ),
    ({"validation": 0.999}, ValueError, "^validation must leave rows on either side"),
    ({"validation": True}, TypeError, "^validation must be a real number"),
    ({"validation": "20%"}, TypeError, "^validation must be a real number"),
    ({"validation": (X,)}, ValueError, r"^validation must be a pair \(X, y\) .*got 1 items"),
    (
        {"validation": (X, LABELS, np.ones(N))},
        ValueError,
        "^validation must be a pair .*got 3 items",
    ),
    ({"validation": (X[:, :2], LABELS)}, ValueError, r"^validation\[0\] .*\(n, 3\), got \(40, 2\)"),
    (
        {"validation": (X[:9], LABELS)},
        ValueError,
        r"^validation\[1\] .*validation\[0\], 9, got \(40,\)",
    ),
    (
        {"validation": (X[:0], LABELS[:0])},
        ValueError,
        r"^validation\[0\] must have at least one row",
    ),
    (
        {"validation": (spoilt(X, np.nan), LABELS)},
        ValueError,
        r"^validation\[0\] must hold finite numbers",
    ),
    ({"validation": (X, LABELS + 1)}, ValueError, r"^validation\[1\] must hold labels from 0 to 1"),
    ({"validation": (X, LABELS * 1.0)}, TypeError, r"^validation\[1\] must be integer labels"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_ARGUMENTS)
def test_arguments_of_fit(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    net = trained(classifier, LABELS)
    with unchanged(net), pytest.raises(error, match=message):
        net.fit(X, LABELS, **{"epochs": 2, **arguments})


def test_arguments_that_the_targets_do_not_suit() -> None:
    for y, net in ((REAL, regressor()), (LABELS / 2, binary()), (ONE_HOT, classifier())):
        with unchanged(net), pytest.raises(ValueError, match="^class_weight needs integer labels"):
            net.fit(X, y, class_weight="balanced")
        with unchanged(net), pytest.raises(ValueError, match="^stratify needs integer labels"):
            net.fit(X, y, validation=0.5, stratify=True)
    held_out_alone = (np.arange(N) == 0).astype(float)
    with pytest.raises(
        ValueError, match="^sample_weight must not be 0 for all rows that are trained on"
    ):
        for seed in range(50):
            classifier(seed=seed).fit(X, LABELS, validation=0.5, sample_weight=held_out_alone)


def test_arguments_that_do_not_go_with_lbfgs() -> None:
    pytest.importorskip("scipy")
    noise = fm.augment.Noise(0.1)
    given = {
        "ema": 0.5,
        "clip_norm": 1.0,
        "schedule": "cosine",
        "augment": noise,
        "record_norms": True,
    }
    for name, value in given.items():
        net = trained(classifier, LABELS)
        with unchanged(net), pytest.raises(ValueError, match=f"^{name} does not go with L-BFGS"):
            net.fit(X, LABELS, optimizer="lbfgs", **{name: value})
    for name, value in {"dropout": 0.1, "max_norm": 1.0}.items():
        with pytest.raises(ValueError, match=f"^{name} does not go with L-BFGS"):
            classifier(**{name: value}).fit(X, LABELS, optimizer="lbfgs")


def test_arguments_of_the_other_methods() -> None:
    net = classifier()
    for call in (net.predict, net.classify):
        with pytest.raises(ValueError, match=r"^threads must be an integer in \[1, "):
            call(X, threads=0)
    for call in (net.evaluate, net.gradients, net.check_gradients):
        with pytest.raises(ValueError, match=r"^sample_weight must have the shape \(40,\)"):
            call(X, LABELS, sample_weight=[1.0])
    with pytest.raises(ValueError, match=r"^epsilon must be in \(0, inf\)"):
        net.check_gradients(X, LABELS, epsilon=0)
    with pytest.raises(ValueError, match=r"^most must be an integer in \[1, "):
        net.check_gradients(X, LABELS, most=0)
    with pytest.raises(ValueError, match="no averaged parameters"):
        net.averaged()


# ---- parameters

W = [np.zeros((5, 3)), np.zeros((2, 5))]
BAD_PARAMETERS = [
    ("weights", None, TypeError, "^weights must be a sequence of arrays, got None"),
    ("weights", (w for w in W), TypeError, "^weights must be a sequence of arrays"),
    ("weights", W[:1], ValueError, "^weights must have one array for each of 2 layers, got 1"),
    (
        "weights",
        [W[0], W[1].T],
        ValueError,
        r"^weights\[1\] must have the shape \(2, 5\), got \(5, 2\)",
    ),
    ("weights", [W[0], 0.0], ValueError, r"^weights\[1\] must have the shape \(2, 5\), got \(\)"),
    ("weights", [W[0], W[1] + 0j], TypeError, r"^weights\[1\] must hold real numbers"),
    ("weights", [W[0], W[1] * np.nan], ValueError, r"^weights\[1\] must hold finite numbers"),
    (
        "weights",
        [W[0] + 1, spoilt(W[1], 1e300)],
        ValueError,
        r"^weights\[1\] must hold finite numbers",
    ),
    ("biases", [np.zeros(5), np.zeros((2, 1))], ValueError, r"^biases\[1\] .*\(2,\), got \(2, 1\)"),
    ("biases", [np.ones(5), [0, np.inf]], ValueError, r"^biases\[1\] must hold finite numbers"),
    ("biases", [np.ones(5), "ab"], TypeError, r"^biases\[1\] must hold real numbers"),
]


@pytest.mark.parametrize(("name", "values", "error", "message"), BAD_PARAMETERS)
def test_parameters(name: str, values: Any, error: type[Exception], message: str) -> None:
    """The first layer's array, which is in order, is not taken over either."""
    net = trained(classifier, LABELS)
    with unchanged(net), pytest.raises(error, match=message):
        setattr(net, name, values)


def test_items_of_parameters() -> None:
    net = trained(classifier, LABELS)
    with (
        unchanged(net),
        pytest.raises(ValueError, match=r"^weights\[0\] must have the shape \(5, 3\)"),
    ):
        net.weights[0] = np.zeros((3, 5))
    with unchanged(net), pytest.raises(IndexError):
        net.biases[2] = np.zeros(2)
    with (
        unchanged(net),
        pytest.raises(ValueError, match=r"^biases must have one array for each of 2"),
    ):
        net.biases[0:2] = [np.zeros(5)]
