"""Metrics of regression: squared and absolute errors, and the coefficient of determination."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike as Array

from .._arrays import quiet
from .inputs import regression_arguments

SAFE_EXPONENT = 256  # numbers within 2**±256 have squares that neither overflow nor vanish


@quiet()
def mse(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Mean squared error over rows and outputs: mean_t Σ_i w_i (y_it - ŷ_it)² / Σ_i w_i.

    Parameters
    ----------
    y_true, y_pred : array-like of real numbers, shape (n,) or (n, k)
        Targets and predictions.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float
        Infinity only where the mean itself is beyond float64.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    true, predicted, exponent = _scaled(true, predicted, None)
    mean = np.average((true - predicted) ** 2, axis=0, weights=weights).mean()
    return float(np.ldexp(mean, 2 * exponent))


@quiet()
def rmse(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Root of the mean squared error, in the unit of y: mean_t √(Σ_i w_i (y_it - ŷ_it)² / Σ_i w_i).

    Each output has its root taken, then the mean over outputs.

    Parameters
    ----------
    y_true, y_pred : array-like of real numbers, shape (n,) or (n, k)
        Targets and predictions.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    true, predicted, exponent = _scaled(true, predicted, None)
    roots = np.sqrt(np.average((true - predicted) ** 2, axis=0, weights=weights))
    return float(np.ldexp(roots.mean(), exponent))


@quiet()
def mae(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Mean absolute error over rows and outputs: mean_t Σ_i w_i |y_it - ŷ_it| / Σ_i w_i.

    Parameters
    ----------
    y_true, y_pred : array-like of real numbers, shape (n,) or (n, k)
        Targets and predictions.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float
        In the unit of y.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    true, predicted, exponent = _scaled(true, predicted, None)
    mean = np.average(np.abs(true - predicted), axis=0, weights=weights).mean()
    return float(np.ldexp(mean, exponent))


@quiet()
def r2(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Coefficient of determination: 1 - Σ_i w_i (y_i - ŷ_i)² / Σ_i w_i (y_i - ȳ)².

    The mean over outputs; ȳ is the weighted mean of y. Where an output of y_true is constant over
    the rows of weight > 0, its R² is 1.0 for a perfect prediction and 0.0 for any other.

    Parameters
    ----------
    y_true, y_pred : array-like of real numbers, shape (n,) or (n, k)
        Targets and predictions.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float
        At most 1.0; NaN for a single row, which has no spread.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    if len(true) < 2:
        return float("nan")
    counted = weights > 0
    true, predicted, weights = true[counted], predicted[counted], weights[counted]
    perfect = (true == predicted).all(axis=0)
    true, predicted, _ = _scaled(true, predicted, 0)
    residual = weights @ (true - predicted) ** 2
    # From the first row: the mean of targets far from 0 is rounded by more than they may spread.
    offset = true - true[0]
    spread = weights @ (offset - np.average(offset, axis=0, weights=weights)) ** 2
    varies = offset.any(axis=0) & (spread > 0)
    return float(np.where(varies, 1 - residual / np.where(varies, spread, 1), perfect).mean())


def _scaled(
    true: np.ndarray, predicted: np.ndarray, axis: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both arguments divided by one power of two where squares might overflow or vanish.

    Returns
    -------
    true, predicted : arrays, shape (n, k)
        Within (-1, 1) where they are scaled.
    exponent : int array
        That of the power of two: shape (k,), one an output, for axis 0, and () for None.
    """
    largest = np.maximum(np.abs(true).max(axis=axis), np.abs(predicted).max(axis=axis))
    exponent = np.frexp(largest)[1]
    exponent = np.where(np.abs(exponent) > SAFE_EXPONENT, exponent, 0)
    if not exponent.any():
        return true, predicted, exponent
    return np.ldexp(true, -exponent), np.ldexp(predicted, -exponent), exponent
