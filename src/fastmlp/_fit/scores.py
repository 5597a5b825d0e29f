"""The loss and the metrics that fit a network's task, for evaluate and for validation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import metrics
from .._data.dataset import Dataset
from .._model import Model


def evaluate(
    model: Model,
    data: Dataset,
    threads: int = 0,
    *,
    brief: bool = False,
    stop: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """Return the mean loss of some rows, penalties apart, and its metrics; `brief`: the first one.

    Raises
    ------
    _core.Stopped
        `stop`, asked now and then, was true.
    """
    loss, outputs = model.core.loss(data.core, threads, stop)
    y = data.of_rows(data.targets.array)
    weights = None if data.weights is None else data.of_rows(data.weights)
    with np.errstate(all="ignore"):  # a training may be about to diverge
        return {"loss": loss, **_scores(model, y, data.targets.labels, outputs, weights, brief)}


def _scores(
    model: Model,
    y: np.ndarray,
    labels: bool,
    outputs: np.ndarray,
    weights: np.ndarray | None,
    brief: bool,
) -> dict[str, float]:
    if not model.classifies:
        return _regression_scores(model, y.reshape(outputs.shape), outputs, weights, brief)
    known = ~np.isnan(outputs).any(axis=1)
    if outputs.shape[1] > 1 and model.decides_each_output:
        right = (model.decide(outputs) == model.decide(y)).mean(axis=1) * known
        return {"accuracy": float(np.average(right, weights=weights))}
    # NaN decides nothing: such a row has a class that no target has
    decided = np.where(known, model.decide(outputs), -1)
    true = y if labels else model.decide(y.reshape(outputs.shape))
    result = {"accuracy": metrics.accuracy(true, decided, sample_weight=weights)}
    if not brief:
        chosen = None if known.all() else np.union1d(true, decided[known])
        for name in ("precision", "recall", "f1"):
            metric = getattr(metrics, name)
            result[name] = metric(
                true, decided, average="macro", labels=chosen, sample_weight=weights
            )
    return result


def _regression_scores(
    model: Model, y: np.ndarray, outputs: np.ndarray, weights: np.ndarray | None, brief: bool
) -> dict[str, float]:
    found = {"r2": metrics.r2}
    if not brief:
        found.update(mae=metrics.mae, rmse=metrics.rmse)
    rates = np.exp(outputs, dtype=np.float64) if model.loss.name == "poisson" else outputs
    if not np.isfinite(rates).all():
        return dict.fromkeys(found, math.nan)
    return {name: metric(y, rates, sample_weight=weights) for name, metric in found.items()}
