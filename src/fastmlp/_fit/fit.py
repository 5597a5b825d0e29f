"""One call of fit: its arguments and its data checked, and the training run."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._data.dataset import Dataset, checked_dataset, checked_rows, checked_targets
from .._data.labels import class_labels, class_weights
from .._model import Model
from ..history import History
from ..splitting import split_indices
from . import lbfgs, minibatch
from .run import Run
from .session import Training
from .settings import FitSettings


def fit(
    owner: Any, model: Model, training: Training, X: Any, y: Any, given: dict[str, Any]
) -> History:
    """Train a model; `given` are fit's other arguments, `owner` what callbacks see."""
    settings = FitSettings.checked(model, given)
    data, validation = _checked_data(model, settings, training.columns, X, y, given)
    settings.check_rows(data.n_rows, given["batch_size"])
    settings.check_callbacks(model, validation is not None)
    if settings.uses_lbfgs:
        lbfgs.require_scipy()
    run = Run(owner, model, training, data, validation, settings)
    if settings.uses_lbfgs:
        return run.complete(lambda: lbfgs.train(run))
    run.trainer, run.trainer_settings = minibatch.trainer_for(run)
    return run.complete(lambda: minibatch.train(run))


def _checked_data(
    model: Model,
    settings: FitSettings,
    known: tuple[str, ...] | None,
    X: Any,
    y: Any,
    given: dict[str, Any],
) -> tuple[Dataset, Dataset | None]:
    """Return the rows to train on and those to validate on."""
    threads = settings.threads
    data = checked_dataset(model, X, y, given["sample_weight"], known, finite=True, threads=threads)
    rows, weights = None, data.weights
    validation: Dataset | None = None
    pair = given["validation"]
    if isinstance(pair, list | tuple):
        if len(pair) != 2:
            raise ValueError(
                f"validation must be a pair (X, y) or a share of the rows, got {len(pair)} items"
            )
        columns = known or data.columns
        Xv = checked_rows(model, "validation[0]", pair[0], columns, finite=True, threads=threads)
        yv = checked_targets(model, "validation[1]", pair[1], len(Xv), "validation[0]")
        validation = Dataset(Xv, yv)
    elif settings.validation is not None:
        rows, held = _held_out(model, settings, data)
        validation = Dataset(data.X, data.targets, weights, held)
        if weights is not None and not weights[held].any():
            raise ValueError("sample_weight must not be 0 for all rows that validation holds out")
    if given["class_weight"] is not None:
        classes = class_labels("class_weight", data.targets.array, model.sizes[-1])
        weights = class_weights(given["class_weight"], *classes, weights, rows)
    if weights is not None and rows is not None and not weights[rows].any():
        raise ValueError("sample_weight must not be 0 for all rows that are trained on")
    return Dataset(data.X, data.targets, weights, rows, data.columns), validation


def _held_out(model: Model, settings: FitSettings, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out for validation, (m,) uint32 each."""
    n, share = len(data.X), settings.validation or 0.0
    labels: np.ndarray | None = None
    if settings.stratify:
        labels, _ = class_labels("stratify", data.targets.array, model.sizes[-1])
    try:
        parts = split_indices(labels, n, (1 - share, share), settings.stratify, model.seed)
    except ValueError:
        raise ValueError(
            f"validation must leave rows on either side, got {share:g} of {n} rows"
        ) from None
    train, held = (np.sort(part).astype(np.uint32) for part in parts)
    return train, held
