"""Metrics of classification and regression in NumPy, equal to scikit-learn's.

Classification: accuracy, precision, recall, f1, confusion_matrix, log_loss, top_k_accuracy,
classification_report. Regression: mse, rmse, mae, r2. Formulas as in T. Hastie, R. Tibshirani and
J. Friedman, The Elements of Statistical Learning (2009), and C. D. Manning, P. Raghavan and H.
Schütze, Introduction to Information Retrieval (2008, ch. 8, 13).

What all of them share: a label is an integer (a float with a whole value counts as one), a bool or
a text, one a row, shape (n,) or (n, 1); `sample_weight`, shape (n,), holds a number >= 0 a row, by
default 1 each, and weight 2 is the row given twice; the result is a Python float unless the
function says otherwise. Each raises ValueError, naming the argument, for lengths that differ, empty
arrays, NaN, infinity and impossible options, and TypeError for values of a type that it has no use
for (complex numbers, text as numbers, text mixed with numbers).
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike as Array

from fastmlp.metric_inputs import (
    encode,
    label_pair,
    numbers,
    probabilities,
    regression_arguments,
    row_weights,
    true_columns,
)

__all__ = [
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "f1",
    "log_loss",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "top_k_accuracy",
]


def __dir__() -> list[str]:
    return __all__


Average = Literal["macro", "micro", "weighted", "binary"] | None
AVERAGES = ("macro", "micro", "weighted", "binary", None)


# ---- classification: decided labels
# ------------------------------------------------------------------------


def accuracy(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Share of the rows with the right label: Σ w_i [y_i = ŷ_i] / Σ w_i.

    Parameters
    ----------
    y_true, y_pred : labels, shape (n,)
    sample_weight : shape (n,), default 1 each
    """
    true, predicted = label_pair(y_true, y_pred)
    return float(np.average(true == predicted, weights=row_weights(sample_weight, len(true))))


def confusion_matrix(
    y_true: Array, y_pred: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> np.ndarray:
    """Count the rows of each true class (row of the matrix) by predicted class (column).

    M_tp = Σ_i w_i [y_i = class t] [ŷ_i = class p].

    Parameters
    ----------
    y_true, y_pred : labels, shape (n,)
    labels : distinct labels, shape (k,), default all that occur, sorted
        The classes and their order; rows of data with another label are left out.
    sample_weight : shape (n,), default 1 each

    Returns
    -------
    array, shape (k, k)
        int64 counts, or float64 sums of weights where sample_weight is given.
    """
    classes, true, predicted, chosen = encode(y_true, y_pred, labels)
    if not np.isin(chosen, true).any():
        raise ValueError("labels must hold at least one label of y_true")
    weights = None if sample_weight is None else row_weights(sample_weight, len(true))
    k = len(classes)
    return np.bincount(true * k + predicted, weights, k * k).reshape(k, k)[np.ix_(chosen, chosen)]


def precision(
    y_true: Array,
    y_pred: Array,
    average: Average = "macro",
    *,
    labels: Array | None = None,
    pos_label: Any = 1,
    sample_weight: Array | None = None,
) -> float | np.ndarray:
    """Share of the rows predicted as a class that are of it: P_c = TP_c / (TP_c + FP_c), 0.0 for 0 / 0.

    Parameters
    ----------
    y_true, y_pred : labels, shape (n,)
    average : {"macro", "micro", "weighted", "binary", None}, default "macro"
        "macro": the mean over classes; "weighted": the mean weighted by the rows of each true
        class; "micro": the quotient of the sums over classes; "binary": only the class pos_label,
        of at most two; None: every class.
    labels : distinct labels, shape (k,), default all that occur, sorted
        The classes to average over (not with "binary"). One that does not occur scores 0.0.
    pos_label : label, default 1
        The positive class of "binary".
    sample_weight : shape (n,), default 1 each

    Returns
    -------
    float, or float64 array of shape (k,) for average=None
    """
    hits, predicted, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(hits, predicted, true, average)


def recall(
    y_true: Array,
    y_pred: Array,
    average: Average = "macro",
    *,
    labels: Array | None = None,
    pos_label: Any = 1,
    sample_weight: Array | None = None,
) -> float | np.ndarray:
    """Share of the rows of a class that are predicted as it: R_c = TP_c / (TP_c + FN_c), 0.0 for 0 / 0.

    Parameters and result: as for `precision`.
    """
    hits, _, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(hits, true, true, average)


def f1(
    y_true: Array,
    y_pred: Array,
    average: Average = "macro",
    *,
    labels: Array | None = None,
    pos_label: Any = 1,
    sample_weight: Array | None = None,
) -> float | np.ndarray:
    """Harmonic mean of precision and recall: F_c = 2 TP_c / (2 TP_c + FP_c + FN_c), 0.0 for 0 / 0.

    Parameters and result: as for `precision`.
    """
    hits, predicted, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(2 * hits, predicted + true, true, average)


def classification_report(
    y_true: Array, y_pred: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> str:
    """Table of precision, recall, F1 and rows (or their weight) by class, their averages, the accuracy.

    Parameters: as for `confusion_matrix`. Returns the text, without a newline at its end.
    """
    classes, _, _, chosen = encode(y_true, y_pred, labels)
    hits, predicted, true = _totals(y_true, y_pred, None, labels, 1, sample_weight)
    names = [str(label) for label in classes[chosen]]
    width = max(map(len, [*names, "weighted"]))
    lines = [f"{'':{width}} {'precision':>10} {'recall':>10} {'f1':>10} {'rows':>10}"]
    quotients = [_ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, predicted + true)]
    table = [*zip(names, *quotients, true, strict=True)]
    table.append(("macro", *(scores.mean() for scores in quotients), true.sum()))
    table.append(
        ("weighted", *(_ratio(scores @ true, true.sum()) for scores in quotients), true.sum())
    )
    for name, *scores, rows in table:
        lines.append(
            f"{name:>{width}}" + "".join(f" {score:10.4f}" for score in scores) + f" {rows:10.7g}"
        )
    right = accuracy(y_true, y_pred, sample_weight=sample_weight)
    return "\n".join([*lines, f"{'accuracy':>{width}} {right:10.4f}"])


# ---- classification: probabilities and scores
# --------------------------------------------------------------


def log_loss(
    y_true: Array, y_prob: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> float:
    """Mean negative log-likelihood of the true classes: -Σ_i w_i Σ_c y_ic ln p_ic / Σ_i w_i.

    Parameters
    ----------
    y_true : labels, shape (n,), or rows of class probabilities (one-hot among them), shape (n, k)
    y_prob : shape (n, k), or shape (n,) or (n, 1)
        Probability of each class, in rows that sum to 1; or of the second of two classes.
        Probabilities are clipped to [ε, 1 - ε], ε the machine epsilon of the dtype of y_prob, so
        that the loss stays finite.
    labels : shape (k,), sorted, default 0..k-1, or else the k labels that occur
        The class of each column.
    sample_weight : shape (n,), default 1 each
    """
    prob, epsilon = probabilities("y_prob", y_prob)
    log_prob = np.log(np.clip(prob, epsilon, 1 - epsilon))
    n, k = prob.shape
    shape = np.shape(y_true)
    if len(shape) == 2 and shape[1] > 1:
        rows, _ = probabilities("y_true", y_true)
        if rows.shape != prob.shape:
            raise ValueError(
                f"y_true and y_prob must have equal shapes, got {rows.shape} and {prob.shape}"
            )
        losses = -(rows * log_prob).sum(axis=1)
    else:
        losses = -log_prob[np.arange(n), true_columns(y_true, n, k, labels, "y_prob")]
    return float(np.average(losses, weights=row_weights(sample_weight, n)))


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
    y_true : labels, shape (n,)
    y_score : shape (n, classes), classes >= 2
        Any score that grows with the belief in a class: outputs, logits. Of equal scores the later
        column leads.
    k : int, 1..classes, default 2
    labels : shape (classes,), sorted, default 0..classes-1, or else the labels that occur
        The class of each column.
    sample_weight : shape (n,), default 1 each
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
    return float(np.average(ahead.sum(axis=1) < k, weights=row_weights(sample_weight, n)))


# ---- regression
# --------------------------------------------------------------------------------------------


def mse(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Mean squared error over rows and outputs: mean_t Σ_i w_i (y_it - ŷ_it)² / Σ_i w_i.

    Parameters
    ----------
    y_true, y_pred : real numbers, shape (n,) or (n, k)
    sample_weight : shape (n,), default 1 each
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    return float(np.average((true - predicted) ** 2, axis=0, weights=weights).mean())


def rmse(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Root of the mean squared error, in the unit of y: the mean over outputs of each one's root.

    mean_t √(Σ_i w_i (y_it - ŷ_it)² / Σ_i w_i). Parameters: as for `mse`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    return float(np.sqrt(np.average((true - predicted) ** 2, axis=0, weights=weights)).mean())


def mae(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Mean absolute error over rows and outputs, in the unit of y: mean_t Σ_i w_i |y_it - ŷ_it| / Σ_i w_i.

    Parameters: as for `mse`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    return float(np.average(np.abs(true - predicted), axis=0, weights=weights).mean())


def r2(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Coefficient of determination R², the mean over outputs: 1 - Σ_i w_i (y_i - ŷ_i)² / Σ_i w_i (y_i - ȳ)².

    ȳ is the weighted mean of y. Where an output of y_true is constant its R² is 1.0 for a perfect
    prediction and 0.0 for any other. NaN for a single row, which has no spread. Parameters: as for
    `mse`.
    """
    true, predicted, weights = regression_arguments(y_true, y_pred, sample_weight)
    if len(true) < 2:
        return float("nan")
    residual = weights @ (true - predicted) ** 2
    spread = weights @ (true - np.average(true, axis=0, weights=weights)) ** 2
    perfect = (residual == 0).astype(np.float64)
    return float(
        np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1), perfect).mean()
    )


# ---- shared by precision, recall and f1
# --------------------------------------------------------------------


def _totals(
    y_true: Array,
    y_pred: Array,
    average: Average,
    labels: Array | None,
    pos_label: Any,
    sample_weight: Array | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of each chosen class, (k,): predicted rightly (TP), predicted (TP + FP), true (TP + FN)."""
    if average not in AVERAGES:
        raise ValueError(
            f"average must be one of {', '.join(map(repr, AVERAGES))}, got {average!r}"
        )
    classes, true, predicted, chosen = encode(y_true, y_pred, labels)
    if average == "binary":
        if labels is not None:
            raise ValueError(
                "labels must be None for average='binary'; pos_label chooses the class"
            )
        chosen = np.flatnonzero(classes == pos_label)
        if len(classes) > 2:
            raise ValueError(f"average must be another than 'binary' for {len(classes)} classes")
        if len(classes) == 2 and not len(chosen):
            raise ValueError(f"pos_label must be one of {classes.tolist()}, got {pos_label!r}")
    weights = row_weights(sample_weight, len(true))
    right = true == predicted
    k = len(classes)
    hits = np.bincount(true[right], weights[right], k)
    return (
        hits[chosen],
        np.bincount(predicted, weights, k)[chosen],
        np.bincount(true, weights, k)[chosen],
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, 0.0 where the denominator is 0."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator != 0
    )


def _averaged(
    numerator: np.ndarray, denominator: np.ndarray, support: np.ndarray, average: Average
) -> float | np.ndarray:
    """The quotients by class, put together as `average` says."""
    if average is None:
        return _ratio(numerator, denominator)
    if average in ("micro", "binary"):
        return float(_ratio(numerator.sum(), denominator.sum()))
    quotients = _ratio(numerator, denominator)
    if average == "macro":
        return float(quotients.mean())
    return float(_ratio(quotients @ support, support.sum()))
