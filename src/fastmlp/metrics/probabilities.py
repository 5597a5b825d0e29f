"""Metrics of classification by probabilities and scores of the classes."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike as Array

from .._arrays import quiet
from .inputs import has_columns, mean_over_rows, numbers, probabilities, true_columns


@quiet()
def log_loss(
    y_true: Array, y_prob: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> float:
    """Mean negative log-likelihood of the true classes: -Σ_i w_i Σ_c y_ic ln p_ic / Σ_i w_i.

    Parameters
    ----------
    y_true : array-like of labels, shape (n,), or of class probabilities, shape (n, k)
        The true classes; rows of probabilities (one-hot among them) sum to 1.
    y_prob : array-like of real numbers, shape (n, k), or shape (n,) or (n, 1)
        Probability of each class, in rows that sum to 1; or of the second of two classes.
        Probabilities are clipped to [ε, 1 - ε], ε the machine epsilon of the dtype of y_prob, so
        that the loss stays finite.
    labels : array-like of labels, shape (k,), sorted, default 0..k-1, or else those that occur
        The class of each column.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float
        At least 0.0.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    prob, epsilon = probabilities("y_prob", y_prob)
    log_prob = np.log(np.clip(prob, epsilon, 1 - epsilon))
    n, k = prob.shape
    if has_columns("y_true", y_true):
        rows, _ = probabilities("y_true", y_true)
        if rows.shape != prob.shape:
            raise ValueError(
                f"y_true and y_prob must have equal shapes, got {rows.shape} and {prob.shape}"
            )
        losses = -(rows * log_prob).sum(axis=1)
    else:
        losses = -log_prob[np.arange(n), true_columns(y_true, n, k, labels, "y_prob")]
    return mean_over_rows(losses, sample_weight)


@quiet()
def top_k_accuracy(
    y_true: Array,
    y_score: Array,
    k: int = 2,
    *,
    labels: Array | None = None,
    sample_weight: Array | None = None,
) -> float:
    """Share of the rows whose true class is among the k with the highest scores.

    Parameters
    ----------
    y_true : array-like of labels, shape (n,)
        The true classes.
    y_score : array-like of real numbers, shape (n, classes), classes >= 2
        Any score that grows with the belief in a class: outputs, logits. Of equal scores the later
        column leads.
    k : int, 1..classes, default 2
        How many classes a row may name.
    labels : array-like, shape (classes,), sorted, default 0..classes-1, or else those that occur
        The class of each column.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float
        From 0.0 to 1.0.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    scores = numbers("y_score", y_score)
    n, classes = scores.shape
    if classes < 2:
        raise ValueError(
            f"y_score must have a column for each of >= 2 classes, got shape {scores.shape}"
        )
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(f"k must be an integer in 1..{classes}, got {k!r}")
    if not 1 <= k <= classes:
        raise ValueError(f"k must be an integer in 1..{classes} (the columns of y_score), got {k}")
    column = true_columns(y_true, n, classes, labels, "y_score")[:, None]
    own = np.take_along_axis(scores, column, axis=1)
    ahead = (scores > own) | ((scores == own) & (np.arange(classes) > column))
    return mean_over_rows(ahead.sum(axis=1) < k, sample_weight)
