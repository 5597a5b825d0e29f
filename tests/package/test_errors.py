"""Bad X, y and parameters: an error that names the argument and the shapes; nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bad_input import (
    LABELS,
    ONE_HOT,
    REAL,
    N,
    X,
    binary,
    classifier,
    regressor,
    spoilt,
    trained,
    unchanged,
)

import fastmlp as fm

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


WITHOUT_ROWS = ("predict", "classify", "layers", "input_gradients")  # which give no rows then


@pytest.mark.parametrize("name", CALLS)
def test_rows(name: str) -> None:
    net, call = trained(classifier, LABELS), CALLS[name]
    for rows, error, message in BAD_X.values():
        if name in WITHOUT_ROWS and isinstance(rows, np.ndarray) and rows.shape[:1] == (0,):
            continue
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
    """Rows enough for several threads; every position of a row, so of a vector and of its rest."""
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
