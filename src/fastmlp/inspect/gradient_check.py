"""Backpropagation against central differences, for a user's own network and data."""

from __future__ import annotations

import numpy as np

from .. import _options as options
from .._data.dataset import Dataset
from .._model import Model, Pair


def backpropagated(model: Model, data: Dataset) -> list[Pair]:
    """Return (dW, db) of each layer of the whole cost, as training has them."""
    return model.core.gradient(data.core, model.l1, model.l2)[1]


def check_gradients(model: Model, data: Dataset, epsilon: float, most: int) -> float:
    """Return the largest relative difference; see `Network.check_gradients`."""
    epsilon = options.real("epsilon", epsilon, 0, bounds="()")
    most = options.integer("most", most, 1)
    double = model.replica("float64")
    double.set_layers(model.get_parameters())

    def cost() -> float:
        loss: float = double.loss(data.core)[0]
        return loss + model.penalty(double.get_layer(layer) for layer in model.layers)

    gradients = backpropagated(model, data)
    largest = max(float(np.abs(g).max()) for pair in gradients for g in pair)
    worst = 0.0
    for layer, pair in zip(model.layers, gradients, strict=True):
        current = [np.array(p, np.float64) for p in double.get_layer(layer)]
        for array, gradient in zip(current, pair, strict=True):
            flat, slopes = array.reshape(-1), gradient.reshape(-1)
            for i in np.unique(np.linspace(0, flat.size - 1, min(flat.size, most)).astype(int)):
                held = flat[i]
                ends = []
                for moved in (held + epsilon, held - epsilon):
                    flat[i] = moved
                    double.set_layer(layer, *current)
                    ends.append(cost())
                flat[i] = held
                difference = (ends[0] - ends[1]) / (2 * epsilon)
                worst = max(worst, abs(difference - float(slopes[i])))
        double.set_layer(layer, *current)
    return worst / largest if largest > 0 else worst
