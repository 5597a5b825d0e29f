"""Each kernel on each instruction set and precision: as the reference, and exact on integers."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    assert_same_bits,
    error,
    gradients_error,
    instruction_set,
    network,
    problem,
    reference_of,
)

import fastmlp as fm

# Columns around the vectors (2 to 16), the column blocks (8, 16), the panels (8 to 32) and four of
# those side by side; rows around the register tiles (6, 14), the chunks of a pass (168) and of a
# gradient (1024).
SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 131, 161, 257]
ROWS = [1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 27, 28, 29, 43, 84, 127, 167, 168, 169, 337, 1025]
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}
LARGE = [([1030, 130, 9], 230), ([20, 120, 1030], 140)]
TOLERANCE = {"float32": 2e-5, "float64": 3e-14}


class Case(NamedTuple):
    """A network's options, data, and the results that it must have."""

    options: dict[str, Any]
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    layers: list[tuple[np.ndarray, np.ndarray]]
    loss: float
    cost: float
    gradients: list[tuple[np.ndarray, np.ndarray]]
    input_gradients: np.ndarray


kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)


def shapes(most_weights: int = 20_000) -> list[tuple[list[int], int]]:
    """(sizes, rows) in which every size is that of an input, of a hidden layer and of an output."""
    n, found = len(SIZES), []
    for i in range(n):
        for shift in (5, 8, 14):
            sizes = [SIZES[i], SIZES[(i + shift) % n], SIZES[(i + 3 * shift) % n]]
            if sizes[0] * sizes[1] + sizes[1] * sizes[2] <= most_weights:
                found.append((sizes, ROWS[(i + shift) % len(ROWS)]))
    for place in range(3):
        assert {sizes[place] for sizes, _ in found} == set(SIZES)
    assert {rows for _, rows in found} == set(ROWS)
    return found


SHAPES = [*shapes(), *LARGE]
TASKS = [("softmax", "cross_entropy"), ("identity", "mse"), ("sigmoid", "cross_entropy")]


@cache
def solved(case: int, dtype: str) -> Case:
    """A case and what the reference makes of it, for all instruction sets."""
    (sizes, rows), (output, loss) = SHAPES[case], TASKS[case % 3]
    output = "sigmoid" if output == "softmax" and sizes[-1] == 1 else output
    # The padding after the last unit is f(0), which some of these make 0 and others not.
    options = {
        "hidden": ("tanh", "sigmoid")[case % 2],
        "output": output,
        "loss": loss,
        "dtype": dtype,
    }
    options |= {"l1": 1e-4, "l2": 1e-3} if case % 4 > 1 else {}
    twin = reference_of(network(sizes, **options))
    X, y = problem(sizes, output, loss, rows, seed=case)
    X = X.astype(dtype)
    weight = np.random.default_rng(case).integers(1, 4, rows) if case % 5 == 0 else None
    cost, gradients = twin.gradients(X, y, weight)
    inputs = twin.input_gradients(X, y)
    return Case(
        options, X, y, weight, twin.layers(X), twin.loss(X, y, weight), cost, gradients, inputs
    )


@kernels
def test_all_passes_equal_the_references(isa, dtype):
    tolerance = TOLERANCE[dtype]
    with instruction_set(isa):
        for case, (sizes, rows) in enumerate(SHAPES):
            where, expected = (sizes, rows), solved(case, dtype)
            net, X, y = network(sizes, **expected.options), expected.X, expected.y
            assert net._model.core.isa == isa
            for ours, theirs in zip(net.layers(X), expected.layers, strict=True):
                assert max(error(*parts) for parts in zip(ours, theirs, strict=True)) < tolerance, (
                    where
                )
            assert error(net.predict(X), expected.layers[-1][1]) < tolerance, where
            loss = net.evaluate(X, y, sample_weight=expected.weight)["loss"]
            assert loss == pytest.approx(expected.loss, rel=tolerance)
            cost, gradients = net.gradients(X, y, sample_weight=expected.weight)
            assert cost == pytest.approx(expected.cost, rel=tolerance)
            # The largest component of one array may be the rest of terms that cancel.
            assert gradients_error(gradients, expected.gradients) < 10 * tolerance, where
            assert error(net.input_gradients(X, y), expected.input_gradients) < 10 * tolerance, (
                where
            )


@kernels
def test_a_step_of_every_shape_is_down_the_gradient(isa, dtype):
    rate = 64.0  # so long that the rounding of the weights does not hide an error in the step
    with instruction_set(isa):
        for case, (sizes, rows) in enumerate(SHAPES):
            expected = solved(case, dtype)
            for clip_norm in (None, 1e9):  # which has the gradient stored before it is used
                net = network(sizes, **expected.options)
                before = [
                    part for pair in zip(net.weights, net.biases, strict=True) for part in pair
                ]
                net.fit(
                    expected.X, expected.y, epochs=1, batch_size=rows, optimizer=fm.SGD(rate),
                    shuffle=False, sample_weight=expected.weight, clip_norm=clip_norm,
                )  # fmt: skip
                after = [
                    part for pair in zip(net.weights, net.biases, strict=True) for part in pair
                ]
                gradients = [part for pair in expected.gradients for part in pair]
                for old, new, gradient in zip(before, after, gradients, strict=True):
                    assert (
                        error(old.astype(float) - new, rate * gradient) < 20 * TOLERANCE[dtype]
                    ), (
                        sizes,
                        rows,
                    )


class Integers(NamedTuple):
    """A linear network of small integers, and what follows from them without rounding."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    X: np.ndarray
    y: np.ndarray
    row_weight: np.ndarray  # the sum is a power of 2, by which dividing is exact
    zs: list[np.ndarray]
    input_gradients: np.ndarray
    gradients: list[tuple[np.ndarray, np.ndarray]]  # times the sum of the row weights
    largest: float  # that any sum can be on the way, whatever the order


@cache
def integers(case: int, most_rows: int) -> Integers:
    sizes, rows = SHAPES[case][0], min(SHAPES[case][1], most_rows)
    random = np.random.default_rng([rows, *sizes])
    weights, biases, zs = [], [], []
    a = X = random.integers(-2, 3, (rows, sizes[0])).astype(float)
    largest = 0.0
    for n_in, n_out in pairwise(sizes):
        few = (
            random.random((n_out, n_in)) < 40 / n_in
        )  # or the sums would need more digits than float32 has
        weights.append(random.integers(-1, 2, (n_out, n_in)) * few.astype(float))
        biases.append(random.integers(-3, 4, n_out).astype(float))
        largest = max(largest, (abs(a) @ abs(weights[-1].T)).max())
        a = a @ weights[-1].T + biases[-1]
        zs.append(a)
    y = random.integers(-9, 10, zs[-1].shape).astype(float)
    row_weight = np.ones(rows)
    row_weight[0] += (1 << rows.bit_length()) - rows
    delta, gradients = zs[-1] - y, []
    for W, a in zip(weights[::-1], [*zs[-2::-1], X], strict=True):
        weighted = row_weight[:, None] * delta
        gradients.insert(0, (weighted.T @ a, weighted.sum(axis=0)))
        largest = max(largest, (abs(weighted).T @ abs(a)).max(), (abs(weighted) @ abs(W)).max())
        delta = delta @ W
    return Integers(weights, biases, X, y, row_weight, zs, delta, gradients, largest)


@kernels
def test_integers_give_exact_integers(isa, dtype):
    """Sums of small integers are exact in any order, so one wrong or missing term shows."""
    with instruction_set(isa):
        for case, (sizes, _) in enumerate(SHAPES):
            exact = integers(case, 1025)
            assert exact.largest < 2 ** (np.finfo(dtype).nmant + 1)  # or it would prove nothing
            net = fm.Network(
                sizes, hidden="identity", output="identity", loss="half_mse", dtype=dtype
            )
            net.weights, net.biases = exact.weights, exact.biases
            for (z, a), expected in zip(net.layers(exact.X), exact.zs, strict=True):
                np.testing.assert_array_equal(z, expected)
                np.testing.assert_array_equal(a, expected)
            np.testing.assert_array_equal(net.predict(exact.X), exact.zs[-1])
            np.testing.assert_array_equal(
                net.input_gradients(exact.X, exact.y), exact.input_gradients
            )
            _, gradients = net.gradients(exact.X, exact.y, sample_weight=exact.row_weight)
            for ours, theirs in zip(gradients, exact.gradients, strict=True):
                for part, expected in zip(ours, theirs, strict=True):
                    np.testing.assert_array_equal(part * exact.row_weight.sum(), expected)


@kernels
def test_integers_train_to_exact_integers(isa, dtype):
    """The same for a step of training, whose passes are not those of a prediction."""
    with instruction_set(isa):
        for case, (sizes, _) in enumerate(SHAPES):
            exact = integers(case, 64)
            assert exact.largest < 2 ** (np.finfo(dtype).nmant + 1)
            net = fm.Network(
                sizes, hidden="identity", output="identity", loss="half_mse", dtype=dtype
            )
            net.weights, net.biases = exact.weights, exact.biases
            net.fit(
                exact.X, exact.y, epochs=1, batch_size=64, sample_weight=exact.row_weight,
                optimizer=fm.SGD(exact.row_weight.sum()),  # undoes the mean: an integer step
            )  # fmt: skip
            for layer, (dW, db) in enumerate(exact.gradients):
                np.testing.assert_array_equal(net.weights[layer], exact.weights[layer] - dW)
                np.testing.assert_array_equal(net.biases[layer], exact.biases[layer] - db)


@kernels
def test_parameters_come_back_as_they_were_set(isa, dtype):
    random = np.random.default_rng(2)
    with instruction_set(isa):
        for sizes, _ in SHAPES:
            net = fm.Network(sizes, output="identity", loss="mse", dtype=dtype)
            weights = [random.normal(size=(o, i)).astype(dtype) for i, o in pairwise(sizes)]
            biases = [random.normal(size=n).astype(dtype) for n in sizes[1:]]
            net.weights, net.biases = weights, biases
            assert_same_bits(list(net.weights), weights)
            assert_same_bits(list(net.biases), biases)


# --- what is not finite


@kernels
def test_every_element_is_looked_at_for_nan_and_infinity(isa, dtype):
    with instruction_set(isa):
        for columns in (1, 7, 16, 37):
            net = fm.Network([columns, 2], dtype=dtype)
            for fault in (np.nan, np.inf, -np.inf):
                for row in (0, 4, 13):
                    for column in range(columns):
                        X = np.ones((14, columns), dtype)
                        X[row, column] = fault
                        with pytest.raises(ValueError, match="X must hold finite numbers"):
                            net.predict(X)
                        with pytest.raises(ValueError, match="X must hold finite numbers"):
                            net._model.core.check_finite(X, "X")


def test_the_instruction_set_is_the_one_that_was_asked_for():
    for isa in ISAS:
        with instruction_set(isa):
            assert fm.Network([2, 2])._model.core.isa == isa
    with pytest.raises(ValueError, match="no kernels"), instruction_set("none"):
        fm.Network([2, 2])
