"""The gate of the metrics: checks their arguments, names the fault, and encodes labels as 0, 1, ...."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike as Array


def array_of_rows(name: str, values: Array) -> np.ndarray:
    """values as an array, (n, ...) with n >= 1."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array with rows of one length ({error})") from None
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one entry a row, got shape ()")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    return array


def numbers(name: str, values: Array) -> np.ndarray:
    """Finite real numbers as float64, (n, k)."""
    array = array_of_rows(name, values)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    try:
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must not hold NaN or infinity")
    if array.ndim > 2:
        raise ValueError(f"{name} must have shape (n,) or (n, k), got {array.shape}")
    return array.reshape(len(array), -1)


def label_column(name: str, values: Array) -> np.ndarray:
    """Labels as int64 or text, (n,)."""
    array = array_of_rows(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must hold one label a row, shape (n,), got {array.shape}")
    is_text = array.dtype.kind == "O" and all(isinstance(label, str) for label in array)
    if array.dtype.kind in "UST" or is_text:
        return array.astype(str)
    if array.dtype.kind not in "iu":
        array = numbers(name, array)[:, 0]
    with np.errstate(invalid="ignore"):  # a number beyond int64 is caught by the comparison
        whole = array.astype(np.int64)
    if (whole != array).any():
        raise ValueError(
            f"{name} must hold labels: whole numbers or text, got {array[whole != array][0]}"
        )
    return whole


def label_pair(y_true: Array, y_pred: Array) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = label_column("y_true", y_true), label_column("y_pred", y_pred)
    if len(true) != len(predicted):
        shapes = f"{true.shape} and {predicted.shape}"
        raise ValueError(
            f"y_true and y_pred must have the same number of rows, got shapes {shapes}"
        )
    _check_kind("y_pred", predicted, true)
    return true, predicted


def _check_kind(name: str, labels: np.ndarray, true: np.ndarray) -> None:
    if labels.dtype.kind != true.dtype.kind:
        raise TypeError(f"{name} and y_true must both hold numbers or both text")


def row_weights(sample_weight: Array | None, n: int) -> np.ndarray:
    """Weights of n rows as float64, (n,)."""
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(sample_weight)
    if weights.shape != (n,):
        raise ValueError(
            f"sample_weight must have shape ({n},), one weight a row, got {weights.shape}"
        )
    weights = numbers("sample_weight", weights)[:, 0]
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must be >= 0 in each row and > 0 in one")
    return weights


def regression_arguments(
    y_true: Array, y_pred: Array, sample_weight: Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and predictions, (n, k), and weights, (n,)."""
    true, predicted = numbers("y_true", y_true), numbers("y_pred", y_pred)
    if true.shape != predicted.shape:
        shapes = f"{np.shape(y_true)} and {np.shape(y_pred)}"
        raise ValueError(f"y_true and y_pred must have equal shapes, got {shapes}")
    return true, predicted, row_weights(sample_weight, len(true))


def probabilities(name: str, values: Array) -> tuple[np.ndarray, float]:
    """Rows of probabilities as float64, (n, k), k >= 2, and the machine epsilon of the dtype they came in.

    One column is the probability of the second of two classes.
    """
    dtype = array_of_rows(name, values).dtype
    epsilon = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    rows = numbers(name, values)
    if rows.min() < 0 or rows.max() > 1:
        raise ValueError(f"{name} must hold numbers in [0, 1], got {rows.min()} to {rows.max()}")
    if rows.shape[1] == 1:
        rows = np.hstack([1 - rows, rows])
    sums = rows.sum(axis=1)
    if np.abs(sums - 1).max() > epsilon**0.5:
        raise ValueError(
            f"{name} must have rows that sum to 1, got sums from {sums.min()} to {sums.max()}"
        )
    return rows, epsilon


def chosen_classes(labels: Array, true: np.ndarray) -> np.ndarray:
    """The argument `labels`, checked: distinct and of the kind of y_true."""
    classes = label_column("labels", labels)
    _check_kind("labels", classes, true)
    if len(np.unique(classes)) != len(classes):
        raise ValueError("labels must be distinct")
    return classes


def encode(
    y_true: Array, y_pred: Array, labels: Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All classes, sorted, and as positions in them: y_true (n,), y_pred (n,) and the chosen labels."""
    true, predicted = label_pair(y_true, y_pred)
    parts = [true, predicted] if labels is None else [true, predicted, chosen_classes(labels, true)]
    classes, codes = np.unique(np.concatenate(parts), return_inverse=True)
    n = len(true)
    chosen = np.arange(len(classes)) if labels is None else codes[2 * n :]
    return classes, codes[:n], codes[n : 2 * n], chosen


def true_columns(y_true: Array, n: int, k: int, labels: Array | None, scores: str) -> np.ndarray:
    """The column, 0..k-1, of each row's true class, (n,)."""
    true = label_column("y_true", y_true)
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
        classes = np.unique(true)
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
