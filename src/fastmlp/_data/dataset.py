"""Dataset: rows, targets and weights, checked once against a model; the engine's view of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _core
from .._arrays import column_names, real_array, refuse_not_finite, rows_of, weights_of
from .._model import Model

CRC_ROWS = 1000  # of the rows, evenly spaced, go into a fingerprint


@dataclass(frozen=True)
class Targets:
    """Targets as the engine takes them: int64 class labels (n,) or real numbers (n, k)."""

    array: np.ndarray
    labels: bool


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows that were checked against a model.

    Attributes
    ----------
    X : ndarray (n, n_0)
        Where it lies, in any real dtype and layout.
    targets : Targets
    weights : ndarray (n,) float64 or None
        Weights of all rows of X.
    rows : ndarray (m,) uint32 or None
        The rows of X that belong to the set; None for all.
    columns : tuple of str or None
        Names of the columns of X, where it came with names.
    """

    X: np.ndarray
    targets: Targets
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    core: _core.Data = field(init=False, repr=False)

    def __post_init__(self) -> None:
        targets = self.targets
        core = _core.Data(self.X, targets.array, targets.labels, self.weights, self.rows)
        object.__setattr__(self, "core", core)

    @property
    def n_rows(self) -> int:
        """Number of rows in the set."""
        return len(self.X) if self.rows is None else len(self.rows)

    def of_rows(self, array: np.ndarray) -> np.ndarray:
        """Return those items of an array over all rows of X that belong to the set."""
        return array if self.rows is None else array[self.rows]

    def fingerprint(self) -> dict[str, Any]:
        """Return shape, dtype and a CRC of evenly spaced rows of X, targets and weights."""
        arrays = [("X", self.X), ("y", self.targets.array), ("sample_weight", self.weights)]
        prints: dict[str, Any] = {}
        for name, array in arrays:
            prints[name] = None if array is None else _fingerprint(array)
        if self.rows is not None:
            prints["rows"] = _fingerprint(self.rows)
        return prints


def _fingerprint(array: np.ndarray) -> list[Any]:
    count = min(len(array), CRC_ROWS)
    crc = 0
    for row in np.linspace(0, len(array) - 1, count).astype(np.intp) if count else ():
        crc = zlib.crc32(np.ascontiguousarray(array[row]).tobytes(), crc)
    return [list(array.shape), array.dtype.str, crc]


def checked_rows(
    model: Model,
    name: str,
    value: Any,
    known: tuple[str, ...] | None = None,
    *,
    empty: bool = False,
    finite: bool = False,
    threads: int = 0,
) -> np.ndarray:
    """Return X (n, n_0) as a real array, copied only if it is no array yet.

    Parameters
    ----------
    known : tuple of str, optional
        Names of the columns that the network was trained on; X with other names is refused.
    empty : bool
        Whether n may be 0.
    finite : bool
        Look for NaN and infinity now; passes find them as they go.
    """
    if known is not None and not isinstance(value, np.ndarray):
        check_columns(name, column_names(value), known)
    array = rows_of(name, value, model.sizes[0], empty=empty)
    if finite:
        with naming_the_fault(model, name, array, column_names(value)):
            model.core.check_finite(array, name, threads)
    return array


@contextmanager
def naming_the_fault(
    model: Model, name: str, X: np.ndarray, columns: tuple[str, ...] | None = None
) -> Iterator[None]:
    """Let a pass that finds NaN or infinity in X say in which row and column it is."""
    try:
        yield
    except ValueError:
        refuse_not_finite(name, X, columns, model.dtype)
        raise


def check_columns(
    name: str, columns: tuple[str, ...] | None, known: tuple[str, ...] | None
) -> None:
    """Raise ValueError that shows how the names of columns differ from those known."""
    if columns is None or known is None or columns == known:
        return
    missing = [column for column in known if column not in columns]
    unknown = [column for column in columns if column not in known]
    if missing or unknown:
        parts = [f"without {missing}" if missing else "", f"with {unknown}" if unknown else ""]
        difference = " and ".join(part for part in parts if part)
    else:
        at = next(
            i for i, pair in enumerate(zip(columns, known, strict=True)) if len(set(pair)) > 1
        )
        difference = f"in another order: column {at} is {columns[at]!r}, not {known[at]!r}"
    raise ValueError(
        f"{name} must have the columns that the network was trained on, got a frame {difference}"
    )


def checked_targets(
    model: Model, name: str, value: Any, n_rows: int, rows_name: str = "X"
) -> Targets:
    """Return y checked against the output layer, the loss and the number of rows.

    For a softmax output integer labels (n,) or (n, 1), or rows of probabilities (n, k); for any
    other output real numbers (n, k), or (n,) where k is 1; within [0, 1] for sigmoid and step.
    """
    array = real_array(name, value)
    k = model.sizes[-1]
    softmax = model.output.name == "softmax"
    wanted = f"({n_rows}, {k})" + (f" or ({n_rows},)" if k == 1 or softmax else "")
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if len(array) != n_rows:
        raise ValueError(
            f"{name} must have as many rows as {rows_name}, {n_rows}, got {array.shape}"
        )
    column = array.ndim == 1 or array.shape[1] == 1
    if softmax and column:
        return Targets(_labels(name, array.reshape(n_rows), k), True)
    if array.shape[1:] != (k,) and not (column and k == 1):
        hint = ": give one-hot rows" if column and array.dtype.kind in "biu" else ""
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}{hint}")
    with naming_the_fault(model, name, array):
        model.core.check_finite(array, name)
    if n_rows:
        _check_domain(model, name, array)
    return Targets(array, False)


def _labels(name: str, array: np.ndarray, k: int) -> np.ndarray:
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} must be integer labels or rows of {k} probabilities, got dtype {array.dtype}"
        )
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= k:
            raise ValueError(
                f"{name} must hold labels from 0 to {k - 1}, got labels from {low} to {high}"
            )
    return array.astype(np.int64, copy=False)


def _check_domain(model: Model, name: str, array: np.ndarray) -> None:
    output = model.output.name
    low, high = float(array.min()), float(array.max())
    if output in ("softmax", "sigmoid", "step") and (low < 0 or high > 1):
        raise ValueError(
            f"{name} must be in [0, 1] for a {output} output, "
            f"got values from {low:.6g} to {high:.6g}"
        )
    if output == "softmax":
        with np.errstate(all="ignore"):
            worst = float(np.abs(array.sum(axis=1, dtype=np.float64) - 1).max())
        if worst > 1e-3:
            raise ValueError(
                f"{name} must have rows of probabilities that sum to 1, "
                f"got a sum off by {worst:.6g}"
            )
    if model.loss.name == "poisson" and low < 0:
        raise ValueError(f"{name} must not be negative for the poisson loss, got {low:.6g}")


def checked_weights(value: Any, n_rows: int) -> np.ndarray | None:
    """Return sample weights (n,) as float64: finite, none negative, not all 0; None for None."""
    return weights_of("sample_weight", value, n_rows)


def checked_dataset(
    model: Model,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    known: tuple[str, ...] | None = None,
    *,
    finite: bool = False,
    threads: int = 0,
) -> Dataset:
    """Return rows with their targets and weights, checked; the gate of passes that need targets."""
    rows = checked_rows(model, "X", X, known, finite=finite, threads=threads)
    targets = checked_targets(model, "y", y, len(rows))
    weights = checked_weights(sample_weight, len(rows))
    return Dataset(rows, targets, weights, columns=column_names(X))
