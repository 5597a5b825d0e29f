"""The reference network against finite differences, published vectors and its own promises."""

from __future__ import annotations

import ast
import doctest
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace as Option

import numpy as np
import pytest

import fastmlp.reference
from fastmlp.reference import Network, dropout_mask, philox
from fastmlp.reference.activations import ACTIVATIONS
from fastmlp.reference.losses import LOSSES

HIDDEN = list(ACTIVATIONS)
OUTPUTS = [*ACTIVATIONS, "softmax"]
MODULES = (
    "activations",
    "backpropagation",
    "inputs",
    "losses",
    "network",
    "optimizers",
    "random",
    "scalar",
)
XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def goes_with(loss: str, output: str) -> bool:
    """Whether the contract lets this loss follow this output activation."""
    return {"cross_entropy": output in ("softmax", "sigmoid"), "perceptron": output == "step"}.get(
        loss, True
    )


def problem(sizes, output, loss, seed=5, n=6):
    """Rows and targets that suit the output and the loss."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, sizes[0]))
    if loss == "cross_entropy" and output == "softmax":
        return X, random.integers(0, sizes[-1], n)
    if loss in ("cross_entropy", "perceptron"):
        return X, random.integers(0, 2, (n, sizes[-1]))
    return X, random.normal(size=(n, sizes[-1])) + (loss == "poisson")


def network(sizes, hidden, output, loss, **options):
    """A network whose biases are not zero."""
    random = np.random.default_rng(7)
    return Network(
        sizes, hidden, output, loss, biases=[random.normal(size=n) for n in sizes[1:]], **options
    )


# --- gradients against finite differences


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradients_of_every_hidden_activation_and_loss(activation, loss):
    output = next(o for o in ("identity", "softmax", "step") if goes_with(loss, o))
    for sizes in ([3, 4, 2], [3, 4, 3, 2]):
        net = network(sizes, activation, output, loss, l1=0.01, l2=0.1)
        assert net.check_gradients(*problem(sizes, output, loss)) < 2e-6


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_of_every_output_and_loss_without_hidden_layer(output, loss):
    if not goes_with(loss, output):
        with pytest.raises(ValueError, match="output must be"):
            Network([3, 2], output=output, loss=loss)
        return
    for sizes in ([3, 2], [3, 1], [2, 5]):
        net = network(sizes, "relu", output, loss)
        if output == "softmax" and sizes[-1] == 1:
            continue  # constant 1: nothing to differentiate
        assert net.check_gradients(*problem(sizes, output, loss)) < 2e-6


@pytest.mark.parametrize(
    ("hidden", "loss"),
    [
        (Option(name="leaky_relu", alpha=0.3), Option(name="huber", delta=0.4)),
        (Option(name="elu", alpha=0.6), Option(name="quantile", tau=0.8)),
    ],
)
def test_gradients_with_parameters(hidden, loss):
    net = network([3, 4, 2], [hidden], "identity", loss)
    assert net.check_gradients(*problem([3, 4, 2], "identity", loss.name)) < 2e-6
    plain = network([3, 4, 2], hidden.name, "identity", loss.name)
    assert net.cost(*problem([3, 4, 2], "identity", loss.name)) != plain.cost(
        *problem([3, 4, 2], "identity", loss.name)
    )


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_gradients_with_label_smoothing(output):
    loss = Option(name="cross_entropy", label_smoothing=0.2)
    net = network([3, 4, 3], "tanh", output, loss)
    assert net.check_gradients(*problem([3, 4, 3], output, "cross_entropy")) < 2e-6


def test_gradients_with_masks_and_sample_weights():
    sizes = [4, 6, 5, 3]
    net = network(sizes, ["tanh", "gelu"], "softmax", "cross_entropy", l2=0.1)
    X, Y = problem(sizes, "softmax", "cross_entropy", n=8)
    w = np.arange(8.0)
    masks = [dropout_mask(1, 0, layer, range(8), sizes[layer], 0.4) for layer in range(3)]
    cost, gradients = net.gradients(X, Y, w, masks)
    for layer, (dW, _) in enumerate(gradients):
        W = net.weights[layer]
        for index in [(0, 0), (2, 3)]:
            d = []
            for change in (1e-6, -2e-6):
                W[index] += change
                d.append(net.gradients(X, Y, w, masks)[0])
            W[index] += 1e-6
            assert dW[index] == pytest.approx((d[0] - d[1]) / 2e-6, rel=1e-6, abs=1e-8)
    assert cost != pytest.approx(net.cost(X, Y, w))


def test_masks_multiply_the_outputs_of_their_layers():
    net = network([3, 4, 2], "tanh", "softmax", "cross_entropy")
    X, Y = problem([3, 4, 2], "softmax", "cross_entropy")
    m0, m1 = np.array([2.0, 0.0, 1.5]), np.array([0.0, 3.0, 1.0, 0.5])
    cost, gradients = net.gradients(X, Y, masks=[np.tile(m0, (6, 1)), np.tile(m1, (6, 1))])
    net.weights = [net.weights[0] * m0, net.weights[1] * m1]  # the same function, without masks
    cost_scaled, gradients_scaled = net.gradients(X, Y)
    assert cost == pytest.approx(cost_scaled)
    for (dW, db), (dW_scaled, db_scaled), m in zip(
        gradients, gradients_scaled, (m0, m1), strict=True
    ):
        np.testing.assert_allclose(dW, dW_scaled * m, atol=1e-15)
        np.testing.assert_allclose(db, db_scaled, atol=1e-15)


@pytest.mark.parametrize(
    ("output", "loss"), [("softmax", "cross_entropy"), ("identity", "mse"), ("softmax", "mae")]
)
def test_input_gradients_are_those_of_each_rows_loss(output, loss):
    net = network([3, 5, 2], "silu", output, loss, l2=0.3)
    X, Y = problem([3, 5, 2], output, loss)
    found = net.input_gradients(X, Y)
    for i, f in np.ndindex(X.shape):
        shift = np.zeros_like(X)
        shift[i, f] = 1e-6
        rows = slice(i, i + 1)
        d = (net.loss((X + shift)[rows], Y[rows]) - net.loss((X - shift)[rows], Y[rows])) / 2e-6
        assert found[i, f] == pytest.approx(d, rel=1e-5, abs=1e-9)


def test_check_gradients_finds_a_wrong_gradient():
    net = network([3, 4, 2], "tanh", "softmax", "cross_entropy")
    X, Y = problem([3, 4, 2], "softmax", "cross_entropy")
    right = net.gradients

    def wrong(X, Y):
        cost, gradients = right(X, Y)
        gradients[0][1][1] *= 1.001
        return cost, gradients

    net.gradients = wrong
    assert net.check_gradients(X, Y) > 1e-4


# --- values


def test_subgradients_at_the_kinks():
    zero = np.zeros(1)
    at_zero = {"relu": 0.0, "leaky_relu": 0.01, "elu": 1.0, "step": 0.0}
    for name, slope in at_zero.items():
        assert ACTIVATIONS[name].derivative(zero, **ACTIVATIONS[name].parameters) == slope
    for name in ("mae", "huber", "quantile"):
        assert LOSSES[name].derivative(zero, zero, **LOSSES[name].parameters) == 0.0
    assert ACTIVATIONS["step"].function(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0, 1]


def test_nothing_overflows_far_out():
    z = np.array([-1e4, -800.0, -40.0, 40.0, 800.0, 1e4])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for activation, derivative, parameters in ACTIVATIONS.values():
            assert np.isfinite(activation(z, **parameters)).all()
            assert np.isfinite(derivative(z, **parameters)).all()
        for output, k in (("softmax", 2), ("sigmoid", 1)):
            net = Network([1, k], output=output, weights=[np.arange(k + 1.0)[-k:, None] * 1e4])
            for label in (0, 1):
                cost, gradients = net.gradients([[-1.0], [1.0]], [label, label])
                assert np.isfinite(cost) and cost > 1e3
                assert all(np.isfinite(part).all() for pair in gradients for part in pair)


def test_losses_by_their_definitions():
    y, a = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[0.5, 0.0], [2.0, 2.0]])
    expected = {
        "mse": (0.25 + 1 + 0 + 9) / 4,
        "half_mse": (0.25 + 1 + 0 + 9) / 2 / 2,
        "mae": (0.5 + 1 + 0 + 3) / 4,
        "huber": (0.125 + 0.5 + 0 + 2.5) / 4,
        "poisson": (np.exp(0.5) + 1 + np.exp(2) - 4 + np.exp(2) + 2) / 4,
        "quantile": (0.25 + 0.5 + 0 + 1.5) / 4,
    }
    for loss, value in expected.items():
        net = Network([2, 2], output="identity", loss=loss, weights=[np.eye(2)])
        assert net.loss(a, y) == pytest.approx(value, rel=1e-14)
    z = np.array([[1.0, 2.0, 4.0]])
    p = np.exp(z) / np.exp(z).sum()
    net = Network([3, 3], weights=[np.eye(3)])
    assert net.loss(z, [1]) == pytest.approx(-np.log(p[0, 1]))
    assert net.loss(z, [[0.2, 0.3, 0.5]]) == pytest.approx(-(np.log(p[0]) * [0.2, 0.3, 0.5]).sum())
    s = 1 / (1 + np.exp(-z))
    net = Network([3, 3], output="sigmoid", weights=[np.eye(3)])
    y = np.array([[0.0, 1.0, 0.25]])
    assert net.loss(z, y) == pytest.approx(-(y * np.log(s) + (1 - y) * np.log(1 - s)).sum())
    assert net.cost(z, y) == net.loss(z, y)
    net = Network([3, 3], output="sigmoid", weights=[np.eye(3)], l1=0.1, l2=0.2)
    assert net.cost(z, y) - net.loss(z, y) == pytest.approx(3 * 0.1 + 3 * 0.2 / 2)


def test_integer_weights_equal_repetition():
    net = network([3, 4, 2], "tanh", "softmax", "cross_entropy", l1=0.01)
    X, Y = problem([3, 4, 2], "softmax", "cross_entropy")
    w = np.array([0, 1, 3, 2, 1, 0])
    cost, gradients = net.gradients(X, Y, w)
    cost_repeated, gradients_repeated = net.gradients(np.repeat(X, w, axis=0), np.repeat(Y, w))
    assert cost == pytest.approx(cost_repeated)
    for pair, pair_repeated in zip(gradients, gradients_repeated, strict=True):
        for part, part_repeated in zip(pair, pair_repeated, strict=True):
            np.testing.assert_allclose(part, part_repeated, atol=1e-15)
    assert net.cost(X, Y, np.zeros(6)) == net.penalty()


def test_layers_predict_and_classify_agree():
    net = network([3, 5, 4], "elu", "softmax", "cross_entropy")
    X, _ = problem([3, 5, 4], "softmax", "cross_entropy")
    (z1, a1), (z2, a2) = net.layers(X)
    np.testing.assert_allclose(z2, a1 @ net.weights[1].T + net.biases[1])
    np.testing.assert_allclose(a2, net.predict(X))
    np.testing.assert_allclose(a2.sum(axis=1), 1.0)
    assert (net.classify(X) == z2.argmax(axis=1)).all()
    assert z1.shape == a1.shape == (6, 5)
    binary = network([3, 1], "relu", "sigmoid", "cross_entropy")
    assert (binary.classify(X) == (binary.predict(X)[:, 0] > 0.5)).all()


# --- what goes in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [3]}, "sizes must be two or more positive integers"),
        ({"sizes": [3, 0, 2]}, "sizes must be"),
        ({"sizes": [3, 2.5]}, "sizes must be"),
        ({"hidden": "rely"}, "hidden must be one of identity, .*got 'rely'"),
        ({"hidden": "softmax"}, "hidden must be one of"),
        (
            {"hidden": ["relu", "tanh"]},
            "hidden must be one activation, or one for each of 1, got 2",
        ),
        ({"output": "sign"}, "output must be one of"),
        ({"loss": "hinge"}, "loss must be one of mse"),
        ({"output": "identity"}, "output must be softmax or sigmoid for loss 'cross_entropy', "),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"max_norm": 0.0}, "max_norm must be positive, got 0.0"),
        ({"dropout": [0.1]}, "dropout must be one number or 2"),
        ({"weights": [np.zeros((4, 3))]}, "weights must have the shapes"),
        ({"biases": [np.zeros(4), np.zeros(3)]}, "biases must have the shapes"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        Network(**{"sizes": [3, 4, 2], **options})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros(3)}, r"X must have the shape \(n, 3\)"),
        ({"X": np.zeros((0, 3))}, "X must have"),
        ({"Y": [0, 1]}, r"Y must have the shape \(6, 2\), got \(2,\)"),
        ({"Y": [0, 1, 2, 0, 1, 0]}, "Y must hold integer labels from 0 to 1"),
        ({"Y": np.full((6, 2), 0.4)}, "Y must hold rows that sum to 1"),
        ({"Y": np.tile([-1.0, 2.0], (6, 1))}, r"Y must lie in \[0, 1\]"),
        ({"sample_weight": np.ones(5)}, "sample_weight must have the shape"),
        ({"sample_weight": -np.ones(6)}, "no negative entry"),
        ({"optimizer": "lion"}, "optimizer must be one of sgd"),
        ({"learning_rate": np.inf}, "learning_rate must be finite, got inf"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"order": [0, 0, 1, 2, 3, 4]}, "order must be a permutation"),
    ],
)
def test_wrong_data_leaves_the_weights(changes, message):
    net = network([3, 4, 2], "relu", "softmax", "cross_entropy")
    before = [W.copy() for W in net.weights]
    X, Y = problem([3, 4, 2], "softmax", "cross_entropy")
    arguments = {
        "X": X,
        "Y": Y,
        "epochs": 1,
        "batch_size": 3,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        net.fit(**{**arguments, **changes})
    assert all((W == V).all() for W, V in zip(net.weights, before, strict=True))


def test_wrong_types_and_masks():
    with pytest.raises(TypeError, match="loss must be a name or an object with a name"):
        Network([2, 2], loss=3)
    with pytest.raises(ValueError, match="masks must have 2 entries, got 1"):
        Network([2, 2, 2]).gradients([[0, 0]], [0], masks=[None])
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\)"):
        philox(0, 0, 0, 0, seed=-1)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\)"):
        dropout_mask(0, 0, 0, [0], 1, 1.0)


# --- the package


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_the_documentation(module):
    assert doctest.testmod(importlib.import_module(f"fastmlp.reference.{module}")).failed == 0


def test_reference_imports_only_numpy_and_the_standard_library():
    allowed = {"numpy", *sys.stdlib_module_names}
    for path in Path(fastmlp.reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom):
                # Containers become arrays in one place; what is computed with them is its own.
                of_package = node.level == 1 or (node.level == 2 and node.module == "_arrays")
                assert of_package or (node.level == 0 and node.module.split(".")[0] in allowed)
