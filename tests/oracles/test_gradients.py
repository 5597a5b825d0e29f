"""Gradients of the cost against the reference, differences and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from support import error, goes_with, gradients_error, network, problem, reference_of

import fastmlp as fm
from fastmlp.reference import ScalarNetwork
from fastmlp.reference.activations import ACTIVATIONS
from fastmlp.reference.losses import LOSSES

HIDDEN = list(ACTIVATIONS)
OUTPUTS = [*ACTIVATIONS, "softmax"]
PAIRS = [(output, loss) for loss in LOSSES for output in OUTPUTS if goes_with(loss, output)]
DEPTHS = {1: (4, 3), 2: (4, 5, 3), 3: (4, 5, 6, 3), 4: (4, 5, 6, 5, 3)}  # layers of weights: sizes
BATCHES = (1, 2, 7, 64)
# Taken in turn by (depth, batch), so that each meets each.
VARIANTS = [
    {},
    {"l1": 0.01, "l2": 0.1},
    {"sample_weight": True},
    {"sample_weight": True, "l1": 0.02, "l2": 0.05, "label_smoothing": 0.1},
]


def cases(hidden, output, loss, depths, batches=BATCHES):
    """(network, X, y, sample weights, a description) for every depth and batch."""
    for depth in depths:
        for i, batch in enumerate(batches):
            variant = dict(VARIANTS[(depth + i) % len(VARIANTS)])
            weighted, smoothing = (
                variant.pop("sample_weight", False),
                variant.pop("label_smoothing", 0.0),
            )
            option = fm.losses.CrossEntropy(smoothing) if loss == "cross_entropy" else loss
            net = network(DEPTHS[depth], hidden=hidden, output=output, loss=option, **variant)
            X, y = problem(net.sizes, output, loss, batch, seed=depth)
            w = (
                np.random.default_rng(batch).integers(0, 3, batch) + (np.arange(batch) == 0)
                if weighted
                else None
            )
            yield net, X, y, w, (hidden, output, loss, depth, batch)


def in_float32(net):
    """The same network in float32; the reference's twin of it has the same rounded parameters."""
    other = fm.Network(
        net.sizes,
        hidden=net.hidden,
        output=net.output,
        loss=net.loss,
        l1=net.l1,
        l2=net.l2,
        dtype="float32",
    )
    other.weights, other.biases = net.weights, net.biases
    return other


def assert_gradients_are_right(net, X, y, w, case):
    """Cost and gradients against the reference in both precisions, then by differences."""
    for ours, tolerance in ((net, 1e-9), (in_float32(net), 1e-4)):
        twin = reference_of(ours)
        x = X.astype(ours.dtype)
        target = y if y.dtype.kind == "i" else y.astype(ours.dtype)
        cost, gradients = ours.gradients(x, target, sample_weight=w)
        its_cost, its_gradients = twin.gradients(x, target, w)
        assert cost == pytest.approx(its_cost, rel=tolerance, abs=1e-30), case
        assert gradients_error(gradients, its_gradients) < tolerance, case
        assert (
            error(ours.input_gradients(x, target), twin.input_gradients(x, target)) < tolerance
        ), case
    assert net.check_gradients(X, y, sample_weight=w, most=5) < 1e-6, case


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_hidden_activation_with_every_loss(hidden, loss):
    outputs = [
        output for output in ("identity", "softmax", "sigmoid", "step") if goes_with(loss, output)
    ]
    for output in outputs[:1] if loss != "cross_entropy" else outputs:
        for case in cases(hidden, output, loss, depths=(2, 3, 4)):
            assert_gradients_are_right(*case)


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_every_output_with_every_loss(output, loss):
    for case in cases("tanh", output, loss, depths=(1, 2, 3, 4)):
        assert_gradients_are_right(*case)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_small_networks_against_automatic_differentiation(hidden):
    for output, loss in PAIRS:
        net = network((2, 3, 2, 2), hidden=hidden, output=output, loss=loss, l1=0.01, l2=0.1)
        witness = ScalarNetwork(
            net.sizes, hidden, output, loss, 0.01, 0.1, weights=net.weights, biases=net.biases
        )
        X, y = problem(net.sizes, output, loss, 3, seed=1)
        cost, gradients = net.gradients(X, y, sample_weight=[1, 2, 0.5])
        its_cost, its_gradients = witness.gradients(X, y, [1, 2, 0.5])
        assert cost == pytest.approx(its_cost, rel=1e-12)
        assert gradients_error(gradients, its_gradients) < 1e-9, (hidden, output, loss)


@pytest.mark.parametrize(
    "options",
    [
        {
            "hidden": fm.activations.LeakyReLU(alpha=0.3),
            "output": "identity",
            "loss": fm.losses.Huber(delta=0.4),
        },
        {
            "hidden": fm.activations.ELU(alpha=1.7),
            "output": "identity",
            "loss": fm.losses.Quantile(tau=0.9),
        },
        {
            "hidden": ["relu", "gelu", "sigmoid"],
            "output": "softmax",
            "loss": fm.losses.CrossEntropy(0.2),
        },
        {
            "hidden": ["mish", "step", "tanh"],
            "output": fm.activations.ELU(alpha=0.5),
            "loss": "poisson",
        },
        {"hidden": "selu", "output": "sigmoid", "loss": fm.losses.CrossEntropy(0.2)},
    ],
    ids=str,
)
def test_options_with_parameters_and_an_activation_for_each_layer(options):
    net = network((6, 17, 9, 33, 5), **options, l1=1e-3, l2=1e-2)
    X, y = problem(net.sizes, net.output.name, net.loss.name, 29, seed=1)
    w = np.random.default_rng(0).random(29)
    assert_gradients_are_right(net, X, y, w, options)


def test_integer_sample_weights_are_repetitions():
    net = network((4, 9, 3), hidden="gelu", l2=0.1)
    X, y = problem(net.sizes, "softmax", "cross_entropy", 12)
    times = np.arange(12) % 4
    cost, gradients = net.gradients(X, y, sample_weight=times)
    its_cost, its_gradients = net.gradients(X.repeat(times, axis=0), y.repeat(times))
    assert cost == pytest.approx(its_cost, rel=1e-13)
    assert gradients_error(gradients, its_gradients) < 1e-13


def test_labels_one_hot_rows_and_probabilities_are_the_same_targets():
    net = network((4, 9, 33), loss=fm.losses.CrossEntropy(0.1))
    X, y = problem(net.sizes, "softmax", "cross_entropy", 40)
    cost, gradients = net.gradients(X, y)
    for targets in (
        np.eye(33)[y],
        np.eye(33, dtype=bool)[y],
        np.eye(33, dtype=np.float16)[y],
        y[:, None],
        y.tolist(),
    ):
        its_cost, its_gradients = net.gradients(X, targets)
        assert its_cost == pytest.approx(cost, rel=1e-14)
        assert gradients_error(its_gradients, gradients) < 1e-13


def test_a_wrong_gradient_is_seen_by_check_gradients(monkeypatch):
    """The user's own check must be able to fail: one component is off by a part in 1,000."""
    net = network((4, 5, 3), hidden="tanh")
    X, y = problem(net.sizes, "softmax", "cross_entropy", 9)
    assert net.check_gradients(X, y) < 1e-8
    right = net.gradients(X, y)[1]
    for layer in range(2):
        for part in range(2):
            wrong = [tuple(each.copy() for each in pair) for pair in right]
            largest = max(abs(each).max() for pair in right for each in pair)
            wrong[layer][part].flat[0] += 1e-3 * largest
            monkeypatch.setattr(net, "gradients", lambda *_, wrong=wrong, **__: (0.0, wrong))
            assert net.check_gradients(X, y) == pytest.approx(1e-3, rel=1e-2)


def test_check_gradients_leaves_the_network_as_it_was():
    net = network((4, 5, 3), hidden="tanh")
    X, y = problem(net.sizes, "softmax", "cross_entropy", 9)
    before = net.weights, net.biases
    net.check_gradients(X, y)
    for ours, theirs in zip((net.weights, net.biases), before, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
