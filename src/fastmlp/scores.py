"""The metrics that fit a network's task, for evaluate and for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import metrics

if TYPE_CHECKING:
    from .network import Network


def scores(
    network: Network, y: np.ndarray, labels: bool, outputs: np.ndarray, weights: np.ndarray | None, brief: bool
) -> dict[str, float]:
    """Return the metrics of outputs (n, k) against targets; `brief` gives the first one only."""
    if network.output.name not in ("softmax", "sigmoid", "step"):
        rates = np.exp(outputs) if network.loss.name == "poisson" else outputs
        found = {"r2": metrics.r2} if brief else {"r2": metrics.r2, "mae": metrics.mae, "rmse": metrics.rmse}
        y = y.reshape(outputs.shape)
        return {name: metric(y, rates, sample_weight=weights) for name, metric in found.items()}
    if network.output.name != "softmax" and outputs.shape[1] > 1:
        right = ((outputs > 0.5) == (y > 0.5)).mean(axis=1)
        return {"accuracy": float(np.average(right, weights=weights))}
    decided = network._decide(outputs)
    true = y if labels else network._decide(y.reshape(outputs.shape))
    result = {"accuracy": metrics.accuracy(true, decided, sample_weight=weights)}
    if not brief:
        for name in ("precision", "recall", "f1"):
            result[name] = getattr(metrics, name)(true, decided, average="macro", sample_weight=weights)
    return result
