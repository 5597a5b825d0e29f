"""Scalar automatic differentiation: its operations, and the reference's gradients by it."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from types import SimpleNamespace as Option

import numpy as np
import pytest

from fastmlp.reference import Network, ScalarNetwork, Value, activations, losses, scalar

OPERATIONS = {
    "add": lambda x: x + x + 2,
    "radd": lambda x: 2 + x,
    "sub": lambda x: x - 3 - x * x,
    "rsub": lambda x: 3 - x,
    "mul": lambda x: x * x * 0.5,
    "div": lambda x: x / (x * x + 1),
    "rdiv": lambda x: 2 / x,
    "neg": lambda x: -x,
    "cube": lambda x: x**3,
    "zeroth power": lambda x: x**0 + x,
    "square root": lambda x: (x * x) ** 0.5,
    "numpy scalar": lambda x: np.float64(2.0) * x + np.float64(1.0),
}
METHODS = {
    "exp": math.exp,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "erf": math.erf,
    "relu": lambda x: max(0.0, x),
    "__abs__": abs,
}


@pytest.mark.parametrize("x", [-1.7, -0.3, 0.4, 2.5])
@pytest.mark.parametrize("operation", [*OPERATIONS, *METHODS, "log"])
def test_value_and_derivative_of_every_operation(operation, x):
    if operation in OPERATIONS:
        f = of_value = OPERATIONS[operation]
    elif operation == "log":
        f, of_value, x = math.log, Value.log, abs(x)
    else:
        f, of_value = METHODS[operation], lambda v: getattr(v, operation)()
    v = Value(x)
    result = of_value(v)
    result.backward()
    assert isinstance(result, Value)
    assert result.data == pytest.approx(f(x), rel=1e-14)
    assert v.grad == pytest.approx((f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rel=1e-7, abs=1e-9)


def test_uses_add_up_and_backward_starts_anew():
    x, y = Value(2.0), Value(-3.0)
    shared = x * y
    result = shared * shared + shared + x
    for _ in range(2):
        result.backward()
        assert (x.grad, y.grad) == (2 * -6 * -3 + -3 + 1, 2 * -6 * 2 + 2)
    y.backward()
    assert y.grad == 1.0


def test_kinks_have_the_derivative_zero():
    for operation in (abs, Value.relu):
        x = Value(0.0)
        operation(x).backward()
        assert x.grad == 0.0


def test_graphs_deeper_than_the_recursion_limit():
    x = Value(1.0)
    result = x
    for _ in range(20_000):
        result = result + 1e-3
    (result * x).backward()
    assert x.grad == pytest.approx(1.0 + 21.0)


def test_sigmoid_and_softplus_far_out():
    for x in (-800.0, 800.0):
        for f in (Value.sigmoid, scalar.softplus):
            v = Value(x)
            f(v).backward()
            assert math.isfinite(v.grad)
    assert repr(Value(1)) == "Value(1.0)"


def targets(loss, output, n, k, random):
    if loss == "cross_entropy" and output == "softmax":
        return random.integers(0, k, n)
    if loss in ("cross_entropy", "perceptron"):
        return random.integers(0, 2, (n, k))
    return random.normal(size=(n, k))


def assert_same_gradients(sizes, hidden, output, loss, **options):
    """`Network` and `ScalarNetwork` give the same cost and gradients."""
    name = getattr(loss, "name", loss)
    random = np.random.default_rng(3)
    biases = [random.normal(size=n) for n in sizes[1:]]
    X, w = random.normal(size=(3, sizes[0])), np.array([1.0, 0.5, 2.0])
    Y = targets(name, output, 3, sizes[-1], random)
    by_hand = Network(sizes, hidden, output, loss, seed=2, biases=biases, **options)
    automatic = ScalarNetwork(sizes, hidden, output, loss, seed=2, biases=biases, **options)
    assert all((W == V).all() for W, V in zip(by_hand.weights, automatic.weights, strict=True))
    cost, gradients = by_hand.gradients(X, Y, w)
    cost_automatic, gradients_automatic = automatic.gradients(X, Y, w)
    assert cost == pytest.approx(cost_automatic, rel=1e-12)
    assert len(gradients) == len(gradients_automatic) == len(sizes) - 1
    for pair, pair_automatic in zip(gradients, gradients_automatic, strict=True):
        for part, part_automatic in zip(pair, pair_automatic, strict=True):
            assert part.shape == part_automatic.shape
            np.testing.assert_allclose(part, part_automatic, rtol=1e-10, atol=1e-13)
    for row, row_automatic in zip(by_hand.predict(X), automatic.outputs(X), strict=True):
        np.testing.assert_allclose(row, [a.data for a in row_automatic], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("activation", activations.ACTIVATIONS)
def test_reference_gradients_of_hidden_layers(activation, loss):
    output = {"cross_entropy": "sigmoid", "perceptron": "step"}.get(loss, "softmax")
    for sizes in ([3, 4, 2], [2, 3, 3, 2]):
        assert_same_gradients(sizes, activation, output, loss, l1=0.02, l2=0.3)


@pytest.mark.parametrize("loss", ["mse", "half_mse", "mae", "huber", "poisson", "quantile"])
@pytest.mark.parametrize("activation", [*activations.ACTIVATIONS, "softmax"])
def test_reference_gradients_of_outputs(activation, loss):
    assert_same_gradients([3, 2], "relu", activation, loss)
    assert_same_gradients([3, 4, 2], "tanh", activation, loss)


@pytest.mark.parametrize(
    ("hidden", "output", "loss"),
    [
        (Option(name="leaky_relu", alpha=0.3), "identity", Option(name="huber", delta=0.3)),
        (Option(name="elu", alpha=0.7), "identity", Option(name="quantile", tau=0.9)),
        (["mish", "gelu"], "softmax", Option(name="cross_entropy", label_smoothing=0.2)),
        (["silu", "softplus"], "sigmoid", Option(name="cross_entropy", label_smoothing=0.2)),
        ("selu", "softmax", "cross_entropy"),
    ],
)
def test_reference_gradients_with_parameters(hidden, output, loss):
    assert_same_gradients(
        [3, 4, 2, 3] if isinstance(hidden, list) else [3, 4, 3], hidden, output, loss
    )


def test_step_is_gradient_descent():
    X, Y = [[0.5, -1.0], [1.0, 2.0]], [1, 0]
    by_hand, automatic = Network([2, 3, 2], "tanh"), ScalarNetwork([2, 3, 2], "tanh")
    for _ in range(5):
        cost = by_hand.step(X, Y, "sgd", learning_rate=0.3)
        assert automatic.step(X, Y, 0.3) == pytest.approx(cost, rel=1e-12)
    for W, V in zip(by_hand.weights, automatic.weights, strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-12)


def test_scalar_network_uses_no_derivative_of_the_reference():
    tree = ast.parse(Path(scalar.__file__).read_text(encoding="utf-8"))
    modules = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    }
    assert modules == {"inputs", "random"}


def test_wrong_options():
    with pytest.raises(ValueError, match="output must be softmax or sigmoid"):
        ScalarNetwork([2, 2], output="identity")
    with pytest.raises(ValueError, match="weights must have the shapes"):
        ScalarNetwork([2, 2], weights=[np.zeros((2, 3))])
