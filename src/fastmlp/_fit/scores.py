"""The metrics that fit a network's task, for evaluate and for validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .. import metrics

if TYPE_CHECKING:
    from ..network import Network


def classifies(network: Network) -> bool:
    """Return whether the outputs decide on classes, so that accuracy and not R² is the metric."""
    return network.output.name in ("softmax", "sigmoid", "step")


def scores(
    network: Network,
    y: np.ndarray,
    labels: bool,
    outputs: np.ndarray,
    weights: np.ndarray | None,
    brief: bool,
) -> dict[str, float]:
    """Return the metrics of outputs (n, k) against targets; `brief` gives the first one only."""
    if not classifies(network):
        found = (
            {"r2": metrics.r2}
            if brief
            else {"r2": metrics.r2, "mae": metrics.mae, "rmse": metrics.rmse}
        )
        with np.errstate(over="ignore", invalid="ignore"):  # a training may be about to diverge
            rates = np.exp(outputs, dtype=np.float64) if network.loss.name == "poisson" else outputs
            if not np.isfinite(rates).all():
                return dict.fromkeys(found, math.nan)
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
            result[name] = getattr(metrics, name)(
                true, decided, average="macro", sample_weight=weights
            )
    return result
