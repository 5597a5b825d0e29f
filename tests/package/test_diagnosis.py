"""Network.diagnose against the same figures taken in NumPy from the reference's activations."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.reference.activations import ACTIVATIONS

X = np.random.default_rng(3).normal(size=(200, 6))
Y = np.random.default_rng(4).integers(0, 3, 200)


def network(hidden, **options):
    return fm.Network([6, 20, 15, 3], hidden=hidden, dtype="float64", seed=2, **options)


@pytest.mark.parametrize("hidden", [name for name in ACTIVATIONS if name != "step"])
def test_figures(hidden):
    net = network(hidden)
    net.weights = [w * 4 for w in net.weights]  # so that something saturates
    found = net.diagnose(X, Y)
    _, gradients = net.gradients(X, Y)
    activation = ACTIVATIONS[hidden]
    parameters = activation.parameters
    grid = np.abs(activation.derivative(np.linspace(-10, 10, 4001), **parameters)).max()
    for layer, (z, a) in enumerate(net.layers(X)[:2]):
        slope = np.abs(activation.derivative(z, **parameters))
        line = found[layer]
        assert (line.layer, line.units, line.activation) == (layer + 1, z.shape[1], hidden)
        assert line.saturated == pytest.approx((slope < 0.05 * grid).mean(), abs=1e-3)
        assert line.dead == pytest.approx((slope < 0.05 * grid).all(axis=0).mean(), abs=0.051)
        for name, values in (("z", z), ("a", a)):
            assert getattr(line, f"{name}_mean") == pytest.approx(values.mean(), rel=1e-9)
            assert getattr(line, f"{name}_std") == pytest.approx(values.std(), rel=1e-9)
        assert line.weight_norm == pytest.approx(np.linalg.norm(net.weights[layer]))
        assert line.gradient_norm == pytest.approx(np.linalg.norm(gradients[layer][0]))


def test_dead_units_are_found():
    net = network("relu")
    biases = list(net.biases)
    biases[0][:5] = -1e3
    net.biases = biases
    line = net.diagnose(X)[0]
    assert line.dead == 5 / 20
    assert line.saturated > 5 / 20
    assert np.isnan(line.gradient_norm)  # without targets there is no gradient


def test_saturated_sigmoids_are_found():
    net = network("sigmoid")
    before = net.diagnose(X)[0]
    assert before.saturated < 0.01
    net.weights = [net.weights[0] * 1e3, *net.weights[1:]]
    line = net.diagnose(X)[0]
    assert line.saturated > 0.99
    assert line.saturated > before.saturated


def test_the_table_has_a_row_for_each_layer():
    lines = repr(network("tanh").diagnose(X, Y)).splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:5] == ["layer", "units", "activation", "saturated", "dead"]
    assert lines[3].split()[:3] == ["3", "3", "softmax"]


def test_plot():
    pytest.importorskip("matplotlib").use("Agg")
    ax = network("relu").diagnose(X).plot()
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "1: relu",
        "2: relu",
        "3: softmax",
    ]
    heights = [bar.get_height() for bar in ax.patches]
    assert len(heights) == 6
    assert all(0 <= height <= 1 for height in heights)
