"""The gate for data: checks X, y and weights against the network, names the fault, copies only what it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._options import real, shown

if TYPE_CHECKING:
    from ..network import Network


@dataclass(frozen=True)
class Targets:
    """Targets as the engine takes them: int64 class labels (n,) or real numbers (n, k)."""

    array: np.ndarray
    labels: bool


def real_array(name: str, value: Any) -> np.ndarray:
    """Return a real array as it is, or made from a list or a data frame; raise an error that names it.

    Raises
    ------
    TypeError
        The values are complex, strings, objects, dates or a sparse matrix.
    ValueError
        The rows of a list differ in length, or values are masked or missing.
    """
    if hasattr(value, "toarray"):
        raise TypeError(
            f"{name} must be a dense array, got {type(value).__name__}: pass {name}.toarray()"
        )
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} must have no masked values, got {np.ma.count_masked(value)} of them"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array with rows of one length: {error}") from None
    if array.dtype.kind == "O" and hasattr(value, "dtypes"):
        array = _from_frame(name, value, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def _from_frame(name: str, frame: Any, objects: np.ndarray) -> np.ndarray:
    """Return a data frame that NumPy takes for objects as numbers, if its columns are all of real types."""
    kinds = {getattr(dtype, "kind", "O") for dtype in np.asarray(frame.dtypes, dtype=object).flat}
    if not kinds <= set("biuf"):
        return objects
    try:
        return np.asarray(frame, dtype=np.float64 if "f" in kinds else np.int64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must have no missing values") from None


def as_rows(name: str, value: Any, n_inputs: int) -> np.ndarray:
    """Return X as a real array (n, n_inputs) with n >= 1, copied only if it is no array yet."""
    array = real_array(name, value)
    if array.ndim != 2:
        index, of_one = ("[:, None]", "one input") if n_inputs == 1 else ("[None, :]", "one row")
        hint = f"; for {of_one} pass {name}{index}" if array.ndim == 1 else ""
        raise ValueError(f"{name} must have the shape (n, {n_inputs}), got {array.shape}{hint}")
    if array.shape[1] != n_inputs:
        raise ValueError(f"{name} must have the shape (n, {n_inputs}), got {array.shape}")
    if len(array) == 0:
        raise ValueError(f"{name} must have at least one row, got {array.shape}")
    if len(array) >= 2**32:
        raise ValueError(f"{name} must have fewer than 2**32 rows, got {len(array)}")
    return array


def as_targets(
    name: str, value: Any, network: Network, n_rows: int, rows_name: str = "X"
) -> Targets:
    """Return y checked against the output layer, the loss and the number of rows.

    For a softmax output integer labels (n,) or (n, 1), or rows of probabilities (n, k); for any
    other output real numbers (n, k), or (n,) where k is 1; within [0, 1] for sigmoid and step
    outputs.
    """
    array = real_array(name, value)
    k = network.sizes[-1]
    softmax = network.output.name == "softmax"
    wanted = f"({n_rows}, {k})" + (f" or ({n_rows},)" if k == 1 or softmax else "")
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if len(array) != n_rows:
        raise ValueError(
            f"{name} must have as many rows as {rows_name}, {n_rows}, got {array.shape}"
        )
    column = array.ndim == 1 or array.shape[1] == 1
    if softmax and column and not (k == 1 and array.ndim == 2):
        return Targets(_labels(name, array.reshape(n_rows), k), True)
    if array.shape[1:] != (k,) and not (column and k == 1):
        hint = ": give one-hot rows" if column and array.dtype.kind in "biu" else ""
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}{hint}")
    network._net.check_finite(array, name)
    _check_domain(name, array, network, softmax)
    return Targets(array, False)


def _labels(name: str, array: np.ndarray, k: int) -> np.ndarray:
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} must be integer labels or rows of {k} probabilities, got dtype {array.dtype}"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= k:
        raise ValueError(
            f"{name} must hold labels from 0 to {k - 1}, got labels from {low} to {high}"
        )
    return array.astype(np.int64, copy=False)


def _check_domain(name: str, array: np.ndarray, network: Network, softmax: bool) -> None:
    if softmax or network.output.name in ("sigmoid", "step"):
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must be in [0, 1] for a {network.output.name} output, got values from {low:.6g} to {high:.6g}"
            )
    if softmax:
        sums = array.sum(axis=1, dtype=np.float64)
        worst = float(np.abs(sums - 1).max())
        if worst > 1e-3:
            raise ValueError(
                f"{name} must have rows of probabilities that sum to 1, got a sum off by {worst:.6g}"
            )
    if network.loss.name == "poisson" and float(array.min()) < 0:
        raise ValueError(
            f"{name} must not be negative for the poisson loss, got {float(array.min()):.6g}"
        )


def as_sample_weight(value: Any, n_rows: int) -> np.ndarray | None:
    """Return weights (n,) as float64: finite, none negative, not all 0; None for None."""
    return None if value is None else _weights("sample_weight", value, n_rows)


def _weights(name: str, value: Any, n: int) -> np.ndarray:
    """Return weights (n,). Only their ratios count: what float32 might not hold is scaled by a power of two."""
    array = real_array(name, value)
    if array.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},), got {array.shape}")
    weights = np.ascontiguousarray(array, dtype=np.float64)
    if not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        raise ValueError(f"{name} must be finite, not negative and not all 0")
    exponent = int(np.frexp(weights.max())[1])
    return weights if abs(exponent) < 32 else np.ldexp(weights, -exponent)


def with_class_weight(
    class_weight: Any,
    targets: Targets,
    k: int,
    weights: np.ndarray | None,
    rows: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the sample weights times those of every row's class.

    Parameters
    ----------
    class_weight : None, "balanced", dict of label to weight, or sequence of k weights
        "balanced" gives class c the weight n / (classes n_c), scikit-learn's (King and Zeng 2001),
        n_c the number (with sample weights: the weight) of its rows. A label missing in a dict has
        weight 1.
    rows : ndarray, optional
        The rows that count for "balanced"; None for all.

    Raises
    ------
    TypeError, ValueError
        No such form, or the targets are no classes: labels of a softmax output, or 0 and 1 of one
        output.
    """
    if class_weight is None:
        return weights
    labels = targets.array
    if not targets.labels:
        labels = targets.array.reshape(-1)
        if len(labels) != len(targets.array) or not np.isin(labels, (0, 1)).all():
            raise ValueError("class_weight needs integer labels, or 0 and 1 for one output, as y")
        labels, k = labels.astype(np.int64), 2
    counted = slice(None) if rows is None else rows
    present = np.bincount(
        labels[counted], None if weights is None else weights[counted], minlength=k
    )
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight must be 'balanced', a dict or a sequence, got {class_weight!r}"
            )
        factor = np.zeros(k)
        np.divide(
            present.sum() / max(np.count_nonzero(present), 1),
            present,
            out=factor,
            where=present > 0,
        )
    elif isinstance(class_weight, Mapping):
        factor = np.ones(k)
        for label, weight in class_weight.items():
            if not isinstance(label, int | np.integer) or not 0 <= label < k:
                raise ValueError(
                    f"class_weight must have labels from 0 to {k - 1} as keys, got {label!r}"
                )
            factor[label] = real(f"class_weight[{label}]", weight, 0)
    elif hasattr(class_weight, "__len__"):
        factor = _weights("class_weight", class_weight, k)
    else:
        raise TypeError(
            f"class_weight must be 'balanced', a dict or a sequence, got {shown(class_weight)}"
        )
    product = factor[labels] if weights is None else weights * factor[labels]
    return _weights("class_weight", product, len(labels))
