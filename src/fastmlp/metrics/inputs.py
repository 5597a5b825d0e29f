"""The arguments of the metrics, checked: numbers, weights, probabilities, labels as 0, 1, ...."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike as Array

from .._arrays import (
    class_codes,
    column_names,
    holds_text,
    label_array,
    real_array,
    refuse_masked,
    refuse_not_finite,
    weights_of,
)


def numbers(name: str, values: Array) -> np.ndarray:
    """Finite real numbers in the dtype they came in, (n, k) with n >= 1."""
    array = real_array(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one entry a row, got shape ()")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.ndim > 2:
        raise ValueError(f"{name} must have shape (n,) or (n, k), got {array.shape}")
    refuse_not_finite(name, array, column_names(values))
    return array.reshape(len(array), -1)


def doubles(name: str, values: Array) -> np.ndarray:
    """Finite real numbers as float64, (n, k) with n >= 1."""
    array = numbers(name, values)
    refuse_not_finite(name, array, column_names(values), np.float64)  # a long double may be beyond
    return array.astype(np.float64, copy=False)


def row_weights(sample_weight: Array | None, n: int) -> np.ndarray:
    """Weights of n rows as float64, (n,), scaled so that sums of them are finite."""
    weights = weights_of("sample_weight", sample_weight, n)
    return np.ones(n) if weights is None else weights


def mean_over_rows(values: np.ndarray, sample_weight: Array | None) -> float:
    """Σ w_i v_i / Σ w_i of values (n,)."""
    return float(np.average(values, weights=row_weights(sample_weight, len(values))))


def regression_arguments(
    y_true: Array, y_pred: Array, sample_weight: Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and predictions, (n, k), and weights, (n,)."""
    true, predicted = doubles("y_true", y_true), doubles("y_pred", y_pred)
    if true.shape != predicted.shape:
        shapes = f"{np.shape(y_true)} and {np.shape(y_pred)}"
        raise ValueError(f"y_true and y_pred must have equal shapes, got {shapes}")
    return true, predicted, row_weights(sample_weight, len(true))


def probabilities(name: str, values: Array) -> tuple[np.ndarray, float]:
    """Rows of probabilities as float64, (n, k), k >= 2, and the machine epsilon of their dtype.

    One column is the probability of the second of two classes.
    """
    given = numbers(name, values)
    epsilon = float(np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps)
    if given.min() < 0 or given.max() > 1:
        raise ValueError(f"{name} must hold numbers in [0, 1], got {given.min()} to {given.max()}")
    rows = given.astype(np.float64, copy=False)
    if rows.shape[1] == 1:
        rows = np.hstack([1 - rows, rows])
    sums = rows.sum(axis=1)
    if np.abs(sums - 1).max() > epsilon**0.5:
        raise ValueError(
            f"{name} must have rows that sum to 1, got sums from {sums.min()} to {sums.max()}"
        )
    return rows, epsilon


def has_columns(name: str, values: Array) -> bool:
    """Whether values are rows of two entries or more, and not labels."""
    refuse_masked(name, values)
    try:
        shape = np.shape(values)
    except ValueError:  # rows of unlike length: left to the check of labels
        return False
    return len(shape) == 2 and shape[1] > 1


def label_pair(y_true: Array, y_pred: Array) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both arguments, (n,) each, both numbers or both text."""
    true, predicted = label_array("y_true", y_true), label_array("y_pred", y_pred)
    if len(true) != len(predicted):
        shapes = f"{true.shape} and {predicted.shape}"
        raise ValueError(
            f"y_true and y_pred must have the same number of rows, got shapes {shapes}"
        )
    _check_kind("y_pred", predicted, true)
    return true, predicted


def _check_kind(name: str, labels: np.ndarray, true: np.ndarray) -> None:
    if holds_text(labels) != holds_text(true):
        raise TypeError(f"{name} and y_true must both hold numbers or both text")


def chosen_classes(labels: Array, true: np.ndarray) -> np.ndarray:
    """The argument `labels`, checked: distinct and of the kind of y_true."""
    classes = label_array("labels", labels)
    _check_kind("labels", classes, true)
    if len(np.unique(classes)) != len(classes):
        raise ValueError("labels must be distinct")
    return classes


def encode(
    y_true: Array, y_pred: Array, labels: Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All classes, sorted, and the positions in them of y_true (n,), y_pred (n,), chosen labels."""
    true, predicted = label_pair(y_true, y_pred)
    parts = [true, predicted] if labels is None else [true, predicted, chosen_classes(labels, true)]
    classes, codes = class_codes(np.concatenate(parts))
    n = len(true)
    chosen = np.arange(len(classes)) if labels is None else codes[2 * n :]
    return classes, codes[:n], codes[n : 2 * n], chosen


def true_columns(y_true: Array, n: int, k: int, labels: Array | None, scores: str) -> np.ndarray:
    """The column, 0..k-1, of each row's true class, (n,)."""
    true = label_array("y_true", y_true)
    if len(true) != n:
        raise ValueError(
            f"y_true and {scores} must have the same number of rows, got {len(true)} and {n}"
        )
    if labels is not None:
        classes = chosen_classes(labels, true)
        if len(classes) != k or (classes[:-1] > classes[1:]).any():
            raise ValueError(
                f"labels must be the {k} classes of {scores}, sorted, got {classes.tolist()}"
            )
    elif true.dtype.kind == "i" and 0 <= true.min() and true.max() < k:
        return true
    else:
        classes = class_codes(true)[0]
        if len(classes) != k:
            raise ValueError(
                f"y_true must hold labels 0..{k - 1}, or labels must be given: "
                f"{scores} has {k} columns, y_true has {len(classes)} classes"
            )
    column = np.searchsorted(classes, true).clip(max=k - 1)
    if (classes[column] != true).any():
        raise ValueError(
            f"y_true must hold only labels of labels, got {true[classes[column] != true][0]}"
        )
    return column
