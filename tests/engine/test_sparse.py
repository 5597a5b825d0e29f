"""Zero skipping: products skip what ReLU or dropout has made 0, alike on any number of threads."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    assert_same_bits,
    assert_same_network,
    gradients_error,
    instruction_set,
    network,
    openmp_threads,
    parameters_error,
    problem,
    reference_of,
)

import fastmlp as fm

pytestmark = pytest.mark.usefixtures("free_threads")
kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)
# Around the fewest ins (160), units (256) and rows (64) for which zeros are looked for, the columns
# of a row of sums (128 and less), the steps of a word (64) and the rows of a group (512).
SHAPES = [
    ([160, 256, 256, 256], 64),
    ([159, 258, 256, 257, 5], 65),
    ([161, 300, 259, 270, 1], 63),
    ([170, 255, 400, 280, 3], 127),
    ([180, 400, 257, 2], 128),
    ([260, 256, 300, 256, 7], 129),
    ([170, 273, 256, 264, 2], 513),
    ([176, 20, 258, 260, 4], 600),
    ([300, 33], 70),
]


def integers(sizes: list[int], rows: int, active: float, output: str) -> tuple[Any, ...]:
    """A ReLU network of small integers with so many zeros, its rows and exact gradients."""
    random = np.random.default_rng([rows, *sizes])
    weights, biases, values, largest = [], [], [], 0.0
    ins = (
        12 if active <= 0.5 else 4
    )  # of a unit that count, or the sums would need more digits than float32 has
    a = X = random.integers(-2, 3, (rows, sizes[0])).astype(float)
    for n_in, n_out in pairwise(sizes):
        weights.append(
            random.integers(-1, 2, (n_out, n_in))
            * (random.random((n_out, n_in)) < ins / n_in).astype(float)
        )
        z = a @ weights[-1].T
        biases.append(
            np.round(-np.quantile(z, 1 - active, axis=0)) if active < 1 else 1 - z.min(axis=0)
        )
        z += biases[-1]
        largest = max(largest, (abs(a) @ abs(weights[-1].T)).max())
        last = len(weights) == len(sizes) - 1
        a = z if last and output == "identity" else np.maximum(z, 0)
        values.append((z, a))
    y = random.integers(-2, 3, a.shape).astype(float)
    row_weight = np.ones(rows)
    row_weight[0] += (
        1 << rows.bit_length()
    ) - rows  # a sum that is a power of 2: dividing by it is exact
    delta, gradients = a - y, []
    if output == "relu":
        delta *= values[-1][0] > 0
    for layer in reversed(range(len(weights))):
        before = values[layer - 1][1] if layer else X
        weighted = row_weight[:, None] * delta
        gradients.insert(0, (weighted.T @ before, weighted.sum(axis=0)))
        largest = max(
            largest,
            (abs(weighted).T @ abs(before)).max(),
            (abs(weighted) @ abs(weights[layer])).max(),
        )
        if layer:
            delta = delta @ weights[layer] * (values[layer - 1][0] > 0)
    return weights, biases, X, y, row_weight, gradients, largest


@kernels
@pytest.mark.parametrize("active", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_integers_give_exact_integers(active, isa, dtype):
    """Sums of small integers are exact in any order, so one wrong or missing term shows."""
    with instruction_set(isa):
        for case, (sizes, rows) in enumerate(SHAPES):
            output = ("identity", "relu")[case % 2]
            weights, biases, X, y, row_weight, expected, largest = integers(
                sizes, rows, active, output
            )
            assert largest < 2 ** (np.finfo(dtype).nmant + 1)  # or it would prove nothing
            for optimizer in (fm.SGD(row_weight.sum()), fm.SGD(row_weight.sum(), momentum=0.5)):
                net = fm.Network(sizes, hidden="relu", output=output, loss="half_mse", dtype=dtype)
                net.weights, net.biases = weights, biases
                _, gradients = net.gradients(X, y, sample_weight=row_weight)
                net.fit(
                    X, y, epochs=1, batch_size=rows, sample_weight=row_weight, optimizer=optimizer
                )
                for layer, (dW, db) in enumerate(expected):
                    np.testing.assert_array_equal(
                        gradients[layer][0] * row_weight.sum(), dW, str(sizes)
                    )
                    np.testing.assert_array_equal(
                        gradients[layer][1] * row_weight.sum(), db, str(sizes)
                    )
                    np.testing.assert_array_equal(
                        net.weights[layer], weights[layer] - dW, str(sizes)
                    )
                    np.testing.assert_array_equal(net.biases[layer], biases[layer] - db, str(sizes))


@kernels
def test_gradients_equal_the_references(isa, dtype):
    with instruction_set(isa):
        for sizes, rows in SHAPES:
            net = network(sizes, dtype=dtype)
            X, y = problem(sizes, "softmax", "cross_entropy", rows)
            cost, gradients = net.gradients(X, y)
            expected_cost, expected = reference_of(net).gradients(X.astype(dtype), y)
            tolerance = {"float32": 1e-4, "float64": 1e-12}[dtype]
            assert cost == pytest.approx(expected_cost, rel=tolerance)
            assert gradients_error(gradients, expected) < tolerance, (sizes, rows)


@kernels
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_training_has_the_same_bits_at_every_number_of_threads(dropout, isa, dtype):
    sizes, n = (170, 270, 300, 260, 5), 203
    X, y = problem(sizes, "softmax", "cross_entropy", n)
    with instruction_set(isa):
        for batch_size in (
            64,
            101,
        ):  # with an odd number of rows, and a last batch too small to look for zeros
            alone = None
            for threads in (1, 2, 3, 7):
                net = network(sizes, dtype=dtype, dropout=dropout)
                net.fit(X, y, epochs=2, batch_size=batch_size, threads=threads)
                assert openmp_threads(net) in (threads, 0)
                alone = alone or net
                assert_same_network(net, alone)
                assert_same_bits(
                    net.gradients(X, y, threads=threads)[1], alone.gradients(X, y, threads=1)[1]
                )


def test_training_goes_on_to_the_same_bits():
    sizes = (170, 270, 260, 5)
    X, y = problem(sizes, "softmax", "cross_entropy", 150)
    whole, parts = network(sizes), network(sizes)
    whole.fit(X, y, epochs=3, batch_size=75)
    for _ in range(3):
        parts.fit(X, y, epochs=1, batch_size=75)
    assert_same_network(parts, whole)


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid", "gelu", "identity"])
def test_a_value_of_0_may_have_a_slope(hidden):
    """A unit that gives 0 where it was not dropped learns, and what padding holds is not read."""
    sizes, rows = (170, 260, 270, 3), 72
    X, y = problem(sizes, "softmax", "cross_entropy", rows)
    X[::3] = 0
    net = network(sizes, hidden=hidden, dropout=0.5)
    net.biases = [np.zeros(n) for n in sizes[1:]]
    twin = reference_of(net)
    net.fit(X, y, epochs=1, batch_size=rows, shuffle=False, optimizer=fm.SGD(1.0))
    twin.fit(X, y, 1, rows, fm.SGD(1.0), shuffle=False)
    assert parameters_error(net, twin) < 1e-12
