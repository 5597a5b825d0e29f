"""The training of the reference network: steps, resuming, limits, the perceptron."""

from __future__ import annotations

from types import SimpleNamespace as Option

import numpy as np
import pytest
from test_reference import network, problem

from fastmlp.reference import Network, dropout_mask

XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_fit_is_steps_over_the_batches_in_order():
    sizes, seed = [3, 8, 6, 2], 11
    X, Y = problem(sizes, "softmax", "cross_entropy", n=7)
    w = np.linspace(0.5, 2.0, 7)
    order = np.array([[6, 0, 2, 4, 1, 3, 5], [1, 2, 3, 4, 5, 6, 0]])
    adam = Option(name="adam", learning_rate=0.01)
    dropout = (0.1, 0.5, 0.4)
    fitted, stepped = (
        network(sizes, "relu", "softmax", "cross_entropy", l2=0.1, dropout=dropout, seed=seed)
        for _ in "ab"
    )
    history = fitted.fit(X, Y, 2, 3, adam, order=order, sample_weight=w)
    for epoch in range(2):
        total = 0.0
        for start in (0, 3, 6):
            batch = order[epoch, start : start + 3]
            positions = range(start, start + len(batch))
            masks = [
                dropout_mask(seed, epoch, layer, positions, sizes[layer], p)
                for layer, p in enumerate(dropout)
            ]
            penalty = stepped.penalty()
            cost = stepped.step(X[batch], Y[batch], adam, sample_weight=w[batch], masks=masks)
            total += (cost - penalty) * w[batch].sum()
        assert history[epoch] == pytest.approx(total / w.sum())
    for W, V in zip(fitted.weights + fitted.biases, stepped.weights + stepped.biases, strict=True):
        assert (W == V).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_goes_on_where_it_stopped(shuffle):
    X, Y = problem([3, 8, 2], "softmax", "cross_entropy", n=10)
    whole, parts = (
        network([3, 8, 2], "relu", "softmax", "cross_entropy", dropout=0.5) for _ in "ab"
    )
    rule = Option(name="rmsprop", learning_rate=1e-3, momentum=0.9)
    history = whole.fit(X, Y, 5, 4, rule, shuffle)
    again = Option(**vars(rule))
    assert parts.fit(X, Y, 2, 4, rule, shuffle) + parts.fit(X, Y, 3, 4, again, shuffle) == history
    assert all((W == V).all() for W, V in zip(whole.weights, parts.weights, strict=True))


def test_another_optimizer_starts_afresh():
    X, Y = problem([3, 2], "softmax", "cross_entropy")
    first, second = (network([3, 2], "relu", "softmax", "cross_entropy") for _ in "ab")
    adam = Option(name="adam", learning_rate=0.1)
    for _ in range(3):
        first.step(X, Y, adam)
    first.step(X, Y, "sgd", learning_rate=0.0)
    second.weights, second.biases = first.weights, first.biases
    first.step(X, Y, adam)
    second.step(X, Y, adam)
    assert (first.weights[0] == second.weights[0]).all()


def test_max_norm_bounds_rows_and_not_biases():
    net = network([3, 4, 2], "tanh", "identity", "mse", max_norm=0.5)
    X, Y = problem([3, 4, 2], "identity", "mse")
    before = np.linalg.norm(net.weights[0], axis=1)
    net.step(X, Y, "sgd", learning_rate=0.0)
    after = np.linalg.norm(net.weights[0], axis=1)
    np.testing.assert_allclose(after, np.minimum(before, 0.5))
    assert max(abs(net.biases[0])) > 0.5


def test_clip_norm_limits_the_whole_gradient():
    X, Y = problem([3, 4, 2], "identity", "mse")
    for c, limited in ((0.1, True), (1e3, False)):
        net = network([3, 4, 2], "tanh", "identity", "mse", l2=0.1)
        before = [*net.weights, *net.biases]
        norm = np.sqrt(sum((part**2).sum() for pair in net.gradients(X, Y)[1] for part in pair))
        net.step(X, Y, "sgd", learning_rate=1.0, clip_norm=c)
        after = [*net.weights, *net.biases]
        moved = np.sqrt(sum(((p - q) ** 2).sum() for p, q in zip(before, after, strict=True)))
        assert moved == pytest.approx(c * norm / (norm + 1e-6) if limited else norm, rel=1e-9)


def test_moving_average_starts_at_the_first_step():
    net, plain = (network([3, 2], "relu", "softmax", "cross_entropy") for _ in "ab")
    X, Y = problem([3, 2], "softmax", "cross_entropy")
    expected = None
    for _ in range(4):
        net.step(X, Y, "sgd", learning_rate=0.5, ema=0.9)
        plain.step(X, Y, "sgd", learning_rate=0.5)
        W = plain.weights[0]
        expected = W if expected is None else 0.9 * expected + 0.1 * W
    assert (net.weights[0] == plain.weights[0]).all()
    np.testing.assert_allclose(net.averaged[0][0], expected, rtol=1e-13)
    assert net.averaged[1][0].shape == (2,)


@pytest.mark.parametrize(
    ("labels", "learnt"), [([0, 0, 0, 1], True), ([0, 1, 1, 1], True), ([0, 1, 1, 0], False)]
)
def test_perceptron_learns_and_and_or_but_not_xor(labels, learnt):
    net = Network([2, 1], output="step", loss="perceptron", weights=[np.zeros((1, 2))])
    net.fit(XOR_X, labels, 50, 1, Option(name="sgd", learning_rate=1.0))
    assert (net.classify(XOR_X).tolist() == labels) is learnt


def test_perceptron_rule():
    net = Network([2, 1], output="step", loss="perceptron", weights=[[[0.5, -1.0]]], biases=[[0.2]])
    net.step([[2.0, 3.0]], [1.0], "sgd", learning_rate=0.1)  # y = 1, a = 0: w ← w + η x
    np.testing.assert_allclose(net.weights[0], [[0.7, -0.7]])
    np.testing.assert_allclose(net.biases[0], [0.3])


def test_mlp_learns_xor():
    net = Network([2, 4, 2], hidden="tanh", seed=1)
    history = net.fit(XOR_X, [0, 1, 1, 0], 200, 4, Option(name="adam", learning_rate=0.05))
    assert net.classify(XOR_X).tolist() == [0, 1, 1, 0]
    assert history[-1] < 0.05 < history[0]
