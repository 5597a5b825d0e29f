"""Metrics of classification by decided labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike as Array

from .._arrays import quiet, weights_of
from .inputs import encode, label_pair, mean_over_rows, row_weights

Average = Literal["macro", "micro", "weighted", "binary"] | None
AVERAGES = ("macro", "micro", "weighted", "binary", None)


@quiet()
def accuracy(y_true: Array, y_pred: Array, *, sample_weight: Array | None = None) -> float:
    """Share of the rows with the right label: Σ w_i [y_i = ŷ_i] / Σ w_i.

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
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
    true, predicted = label_pair(y_true, y_pred)
    return mean_over_rows(true == predicted, sample_weight)


@quiet()
def confusion_matrix(
    y_true: Array, y_pred: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> np.ndarray:
    """Count the rows of each true class (row of the matrix) by predicted class (column).

    M_tp = Σ_i w_i [y_i = class t] [ŷ_i = class p].

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    labels : array-like of distinct labels, shape (k,), default all that occur, sorted
        The classes and their order; rows of data with another label are left out.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    array, shape (k, k)
        int64 counts, or float64 sums of weights where sample_weight is given.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`; ValueError if no label of y_true is in
        labels.
    """
    classes, true, predicted, chosen = encode(y_true, y_pred, labels)
    if not np.isin(chosen, true).any():
        raise ValueError("labels must hold at least one label of y_true")
    # In their own unit: here their sums are what is asked for.
    weights = weights_of("sample_weight", sample_weight, len(true), scaled=False)
    k = len(classes)
    return np.bincount(true * k + predicted, weights, k * k).reshape(k, k)[np.ix_(chosen, chosen)]


@quiet()
def precision(
    y_true: Array,
    y_pred: Array,
    average: Average = "macro",
    *,
    labels: Array | None = None,
    pos_label: Any = 1,
    sample_weight: Array | None = None,
) -> float | np.ndarray:
    """Share of the rows predicted as a class that are of it: P_c = TP_c / (TP_c + FP_c).

    It is 0.0 where no row is predicted as the class.

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    average : {"macro", "micro", "weighted", "binary", None}, default "macro"
        "macro": the mean over classes; "weighted": the mean weighted by the rows of each true
        class; "micro": the quotient of the sums over classes; "binary": only the class pos_label,
        of at most two; None: every class.
    labels : array-like of distinct labels, shape (k,), default all that occur, sorted
        The classes to average over (not with "binary"). One that does not occur scores 0.0.
    pos_label : label, default 1
        The positive class of "binary".
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float, or float64 array of shape (k,) for average=None

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    hits, predicted, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(hits, predicted, true, average)


@quiet()
def recall(
    y_true: Array,
    y_pred: Array,
    average: Average = "macro",
    *,
    labels: Array | None = None,
    pos_label: Any = 1,
    sample_weight: Array | None = None,
) -> float | np.ndarray:
    """Share of the rows of a class that are predicted as it: R_c = TP_c / (TP_c + FN_c).

    It is 0.0 where no row is of the class.

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    average : {"macro", "micro", "weighted", "binary", None}, default "macro"
        "macro": the mean over classes; "weighted": the mean weighted by the rows of each true
        class; "micro": the quotient of the sums over classes; "binary": only the class pos_label,
        of at most two; None: every class.
    labels : array-like of distinct labels, shape (k,), default all that occur, sorted
        The classes to average over (not with "binary"). One that does not occur scores 0.0.
    pos_label : label, default 1
        The positive class of "binary".
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float, or float64 array of shape (k,) for average=None

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    hits, _, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(hits, true, true, average)


@quiet()
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

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    average : {"macro", "micro", "weighted", "binary", None}, default "macro"
        "macro": the mean over classes; "weighted": the mean weighted by the rows of each true
        class; "micro": the quotient of the sums over classes; "binary": only the class pos_label,
        of at most two; None: every class.
    labels : array-like of distinct labels, shape (k,), default all that occur, sorted
        The classes to average over (not with "binary"). One that does not occur scores 0.0.
    pos_label : label, default 1
        The positive class of "binary".
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    float, or float64 array of shape (k,) for average=None

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    hits, predicted, true = _totals(y_true, y_pred, average, labels, pos_label, sample_weight)
    return _averaged(2 * hits, predicted + true, true, average)


@quiet()
def classification_report(
    y_true: Array, y_pred: Array, *, labels: Array | None = None, sample_weight: Array | None = None
) -> str:
    """Table of precision, recall, F1 and rows by class, their averages, the accuracy.

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    labels : array-like of distinct labels, shape (k,), default all that occur, sorted
        The classes of the table and their order.
    sample_weight : array-like, shape (n,), default 1 each
        Weights of the rows.

    Returns
    -------
    str
        The table, without a newline at its end; its last column has rows, or the sum of their
        weights.

    Raises
    ------
    ValueError, TypeError
        As for all metrics, see `fastmlp.metrics`.
    """
    classes, codes, _, chosen = encode(y_true, y_pred, labels)
    hits, predicted, true = _totals(y_true, y_pred, None, labels, 1, sample_weight)
    names = [str(label) for label in classes[chosen]]
    width = max(map(len, [*names, "weighted"]))
    lines = [f"{'':{width}} {'precision':>10} {'recall':>10} {'f1':>10} {'rows':>10}"]
    quotients = [_ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, predicted + true)]
    weights = weights_of("sample_weight", sample_weight, len(codes), scaled=False)
    rows = np.bincount(codes, weights, len(classes))[chosen]
    table = [*zip(names, *quotients, rows, strict=True)]
    macro = [scores.mean() for scores in quotients]
    weighted = [_ratio(scores @ true, true.sum()) for scores in quotients]
    table += [("macro", *macro, rows.sum()), ("weighted", *weighted, rows.sum())]
    for name, *scores, count in table:
        columns = "".join(f" {score:10.4f}" for score in scores)
        lines.append(f"{name:>{width}}{columns} {count:10.7g}")
    right = accuracy(y_true, y_pred, sample_weight=sample_weight)
    return "\n".join([*lines, f"{'accuracy':>{width}} {right:10.4f}"])


def _totals(
    y_true: Array,
    y_pred: Array,
    average: Average,
    labels: Array | None,
    pos_label: Any,
    sample_weight: Array | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of each chosen class, (k,): TP, predicted (TP + FP) and true (TP + FN)."""
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
        # Compared one by one: NumPy would round integers beyond 2**53 beside a float.
        chosen = np.flatnonzero([label == pos_label for label in classes.tolist()])
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
