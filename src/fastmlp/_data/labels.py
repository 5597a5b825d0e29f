"""Class labels, 0..k-1, and what a class weighs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._arrays import quiet, scaled_weights, weights_of
from .._options import real, shown


def class_labels(argument: str, targets: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Return the labels that targets stand for, int64 (n,), and the number of classes.

    Parameters
    ----------
    argument : str
        The argument that needs classes, for the message.
    targets : ndarray, shape (n,) or (n, k)
        int64 labels (n,) of k > 1 classes, or real targets of k outputs: 0 and 1 of one output are
        labels of two classes.
    k : int
        The number of outputs.

    Raises
    ------
    ValueError
        The targets are neither.
    """
    if targets.ndim == 1 and targets.dtype == np.int64 and k > 1:
        return targets, k
    labels = targets.reshape(-1)
    if len(labels) != len(targets) or not ((labels == 0) | (labels == 1)).all():
        raise ValueError(f"{argument} needs integer labels, or 0 and 1 for one output, as y")
    return labels.astype(np.int64), 2


@quiet()
def class_weights(
    class_weight: Any,
    labels: np.ndarray,
    k: int,
    weights: np.ndarray | None,
    rows: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the sample weights times those of every row's class.

    Parameters
    ----------
    class_weight : None, "balanced", mapping or pandas Series by label, or sequence of k weights
        "balanced" gives class c the weight n / (classes n_c), scikit-learn's (King and Zeng 2001),
        n_c the number (with sample weights: the weight) of its rows. In a mapping bools, NumPy
        scalars and floats with whole values count as integers; a label that is missing has weight
        1, one without rows in `labels` is allowed. None returns `weights` as they are.
    labels : int64 ndarray, shape (n,)
        The class of each row, 0..k-1.
    k : int
        The number of classes.
    weights : float64 ndarray, shape (n,), or None
        The sample weights, as `weights_of` returns them.
    rows : integer ndarray, optional
        The rows that count for "balanced"; None for all.

    Returns
    -------
    float64 ndarray, shape (n,), or None

    Raises
    ------
    TypeError, ValueError
        No such form; a label that no class has or that is there twice; weights that are negative,
        not finite, or 0 for all rows.
    """
    if class_weight is None:
        return weights
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight must be 'balanced', a dict or a sequence, got {class_weight!r}"
            )
        factors = _balanced(labels, k, weights, rows)
    elif isinstance(class_weight, Mapping) or hasattr(class_weight, "items"):
        factors = _by_label(class_weight, k)
    elif hasattr(class_weight, "__len__"):
        factors = weights_of("class_weight", class_weight, k)  # type: ignore[assignment]
    else:
        raise TypeError(
            f"class_weight must be 'balanced', a dict or a sequence, got {shown(class_weight)}"
        )
    product = factors[labels] if weights is None else weights * factors[labels]
    return weights_of("class_weight", product, len(labels))


def _balanced(
    labels: np.ndarray, k: int, weights: np.ndarray | None, rows: np.ndarray | None
) -> np.ndarray:
    """Return the weights of the classes, (k,), that give every class with rows the same sum."""
    counted = slice(None) if rows is None else rows
    of_rows = None if weights is None else weights[counted]
    present = np.bincount(labels[counted], of_rows, minlength=k)
    factors = np.zeros(k)
    total = present.sum() / max(np.count_nonzero(present), 1)
    return np.divide(total, present, out=factors, where=present > 0)


def _by_label(class_weight: Any, k: int) -> np.ndarray:
    """Return the weights of a mapping or of a Series as (k,)."""
    items: Iterable[tuple[Any, Any]] = class_weight.items()
    factors, seen = np.ones(k), set()
    for key, weight in items:
        label = _label(key)
        if label is None or not 0 <= label < k:
            raise ValueError(
                f"class_weight must have labels from 0 to {k - 1} as keys, got {key!r}"
            )
        if label in seen:
            raise ValueError(f"class_weight must have each label once, got {label} twice")
        seen.add(label)
        factors[label] = real(f"class_weight[{label}]", weight, 0)
    return scaled_weights(factors)


def _label(key: object) -> int | None:
    """Return the integer that a key equals, or None."""
    if isinstance(key, bool | np.bool_ | int | np.integer):
        return int(key)
    if isinstance(key, float | np.floating) and float(key).is_integer():
        return int(key)
    return None
