"""Backpropagation against central differences, for a user's own network and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .. import _options as options
from .._data.dataset import as_rows, as_sample_weight, as_targets

if TYPE_CHECKING:
    from ..network import Network


def check_gradients(
    network: Network, X: Any, y: Any, sample_weight: Any, epsilon: float, most: int
) -> float:
    """Return the largest relative difference; see `Network.check_gradients`."""
    X = as_rows("X", X, network.sizes[0])
    targets = as_targets("y", y, network, len(X))
    weights = as_sample_weight(sample_weight, len(X))
    epsilon = options.real("epsilon", epsilon, 0, bounds="()")
    most = options.integer("most", most, 1)
    twin = network._make_core("float64")
    parameters = [network._net.get_layer(layer) for layer in network._layers]
    for layer, pair in zip(network._layers, parameters, strict=True):
        twin.set_layer(layer, *pair)

    def cost() -> float:
        loss: float = twin.loss(_core.Data(X, targets.array, targets.labels, weights))[0]
        for layer in network._layers:
            w = twin.get_layer(layer)[0]
            loss += network.l1 * float(np.abs(w).sum()) + network.l2 / 2 * float((w * w).sum())
        return loss

    _, gradients = network.gradients(X, y, sample_weight=sample_weight)
    largest = max(float(np.abs(g).max()) for pair in gradients for g in pair)
    worst = 0.0
    for layer, pair in zip(network._layers, gradients, strict=True):
        current = [np.array(p, np.float64) for p in twin.get_layer(layer)]
        for array, gradient in zip(current, pair, strict=True):
            flat, slopes = array.reshape(-1), gradient.reshape(-1)
            for i in np.unique(np.linspace(0, flat.size - 1, min(flat.size, most)).astype(int)):
                held = flat[i]
                ends = []
                for moved in (held + epsilon, held - epsilon):
                    flat[i] = moved
                    twin.set_layer(layer, *current)
                    ends.append(cost())
                flat[i] = held
                worst = max(worst, abs((ends[0] - ends[1]) / (2 * epsilon) - float(slopes[i])))
        twin.set_layer(layer, *current)
    return worst / largest if largest > 0 else worst
