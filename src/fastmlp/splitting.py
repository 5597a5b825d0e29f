"""Splits rows at random into parts: training, validation and test sets, stratified by class on request."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["split"]


def __dir__() -> list[str]:
    return __all__


SUM_TOLERANCE = 1e-6  # how far the sum of the ratios may be from 1


def split(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ratios: Sequence[float] = (0.7, 0.2, 0.1),
    stratify: bool = False,
    seed: int = 0,
) -> tuple[tuple[Any, np.ndarray], ...]:
    """Split a data set at random into as many parts as there are ratios.

    (X_train, y_train), (X_val, y_val), (X_test, y_test) = fm.split(X, y)

    Parameters
    ----------
    X : array-like, shape (n, ...), any dtype
        The rows: an array, a list, a data frame, a memory-mapped array or a SciPy sparse matrix.
        Only the rows of the parts are copied, each once, so X may be larger than memory as long as
        the parts asked for fit.
    y : array-like, shape (n, ...)
        The targets; integer (or text) labels of shape (n,) for stratify=True.
    ratios : sequence of two or more positive numbers with the sum 1, default (0.7, 0.2, 0.1)
        The share of each part. Sizes are whole numbers by the largest-remainder method, so they sum
        to n.
    stratify : bool, default False
        Whether each part keeps the proportions of the classes: every class has in every part within
        one row of its number of rows times the ratio.
    seed : int >= 0, default 0
        Seed of the shuffling (NumPy's Philox generator). Equal arguments give equal parts.

    Returns
    -------
    tuple of pairs (X_part, y_part)
        In the order of the ratios; NumPy arrays (X_part sparse, in CSR, for a sparse X) with
        shuffled rows.

    Raises
    ------
    ValueError
        Where X and y differ in their number of rows, the ratios are not positive or do not sum to
        1, a part would be empty, or y is not one label per row for stratify=True.
    TypeError
        Where a ratio, stratify or seed is of another type, or y is not made of labels for
        stratify=True.

    Notes ----- Largest remainder (M. L. Balinski and H. P. Young, Fair Representation, 1982): each
    part gets the whole part of n times its ratio, and the rows left over go one each to the parts
    with the largest fractions.
    """
    rows = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    targets = np.asarray(y)
    if rows.ndim == 0 or targets.ndim == 0:
        name, shape = ("X", rows.shape) if rows.ndim == 0 else ("y", targets.shape)
        raise ValueError(f"{name} must have rows, got shape {shape}")
    if rows.shape[0] != targets.shape[0]:
        shapes = f"{rows.shape} and {targets.shape}"
        raise ValueError(f"X and y must have the same number of rows, got shapes {shapes}")
    parts = split_indices(targets, rows.shape[0], ratios, stratify, seed)
    return tuple((rows[part], targets[part]) for part in parts)


def split_indices(
    y: npt.ArrayLike | None,
    n: int,
    ratios: Sequence[float],
    stratify: bool = False,
    seed: int = 0,
) -> list[npt.NDArray[np.intp]]:
    """The row numbers of each part of a split of n rows; what `split` takes its rows by.

    Parameters
    ----------
    y : array-like, shape (n,), or None
        The labels; used by stratify=True only.
    n : int
        The number of rows.
    ratios, stratify, seed
        As for `split`.

    Returns
    -------
    list of intp arrays, one a ratio
        Shuffled; together every number of 0..n-1 once.

    Raises
    ------
    ValueError, TypeError
        As for `split`.
    """
    shares = _check_ratios(ratios)
    if not isinstance(stratify, bool | np.bool_):
        raise TypeError(f"stratify must be True or False, got {stratify!r}")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be an integer >= 0, got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed}")
    sizes = _largest_remainder(n, shares)
    if n == 0 or not sizes.all():
        needed = f"X must have enough rows for each part of ratios={tuple(map(float, ratios))} to have one"
        raise ValueError(f"{needed}, got {n} rows")
    random = np.random.Generator(np.random.Philox(int(seed)))
    if not stratify:
        return np.split(random.permutation(n), np.cumsum(sizes)[:-1])

    codes = _class_codes(y, n)
    counts = _class_counts(np.bincount(codes), shares, sizes)
    order = random.permutation(n)
    order = order[np.argsort(codes[order], kind="stable")]  # class by class, shuffled within each
    part_of = np.repeat(np.tile(np.arange(len(shares)), len(counts)), counts.ravel())
    return [random.permutation(order[part_of == part]) for part in range(len(shares))]


def _largest_remainder(n: int, shares: np.ndarray) -> npt.NDArray[np.int64]:
    """Whole sizes, (parts,), that sum to n and are within one of n * shares."""
    sizes, remainders = _whole_and_rest(n, shares)
    sizes[np.argsort(-remainders, kind="stable")[: n - sizes.sum()]] += 1
    return sizes


def _class_counts(
    totals: np.ndarray, shares: np.ndarray, sizes: np.ndarray
) -> npt.NDArray[np.int64]:
    """Rows of each class in each part, (classes, parts): sums totals by class and sizes by part.

    Every class gives each part the whole part of its share, and one row each of what is left to the
    parts that lack most: a 0/1 table with given sums, filled as Gale and Ryser (1957) do. So a
    count is within one row of the exact share.
    """
    counts, remainders = _whole_and_rest(totals[:, None], shares)
    lacking = sizes - counts.sum(axis=0)
    for row, remainder, total in zip(counts, remainders, totals, strict=True):
        chosen = np.lexsort((-remainder, -lacking))[: total - row.sum()]
        row[chosen] += 1
        lacking[chosen] -= 1
    return counts


def _whole_and_rest(
    n: int | np.ndarray, shares: np.ndarray
) -> tuple[npt.NDArray[np.int64], np.ndarray]:
    """n * shares as whole parts and fractions; a product that is whole but for rounding counts as whole."""
    exact = n * shares
    nearest = np.rint(exact)
    exact = np.where(np.abs(exact - nearest) <= 1e-12 * (1 + exact), nearest, exact)
    whole = np.floor(exact)
    return whole.astype(np.int64), exact - whole


def _check_ratios(ratios: Sequence[float]) -> np.ndarray:
    """The ratios as float64, (parts,), scaled to the sum 1."""
    accepted = "ratios must be two or more positive numbers with the sum 1"
    try:
        values = list(ratios)
    except TypeError:
        raise TypeError(f"{accepted}, got {ratios!r}") from None
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
        raise TypeError(f"{accepted}, got {ratios!r}")
    shares = np.array(values, dtype=np.float64)
    # Written so that NaN fails too.
    if len(shares) < 2 or not (shares > 0).all() or not abs(shares.sum() - 1) <= SUM_TOLERANCE:
        raise ValueError(f"{accepted}, got {ratios!r}")
    return shares / shares.sum()


def _class_codes(y: npt.ArrayLike | None, n: int) -> npt.NDArray[np.intp]:
    """The class of each row as 0, 1, ..., (n,)."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,):
        raise ValueError(
            f"y must have shape ({n},), a label a row, for stratify=True, got {labels.shape}"
        )
    is_text = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    if labels.dtype.kind not in "iubUST" and not is_text:
        raise TypeError(
            f"y must be integer (or text) labels for stratify=True, got dtype {labels.dtype}"
        )
    return np.unique(labels, return_inverse=True)[1]
