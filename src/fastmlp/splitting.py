"""Splits rows at random into parts for training, validation and tests, by class on request."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import class_codes, container_of, label_array, quiet, take

__all__ = ["split"]


def __dir__() -> list[str]:
    return __all__


SUM_TOLERANCE = 1e-6  # how far the sum of the ratios may be from 1


@quiet()
def split(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ratios: Sequence[float] = (0.7, 0.2, 0.1),
    stratify: bool = False,
    seed: int = 0,
) -> tuple[tuple[Any, np.ndarray], ...]:
    """Split a data set at random into as many parts as there are ratios.

    ``(X_train, y_train), (X_val, y_val), (X_test, y_test) = fm.split(X, y)``

    Parameters
    ----------
    X : array-like, shape (n, ...), any dtype
        The rows: an array, a list, a memory-mapped array, a frame or series of pandas, Polars or
        Arrow, or a SciPy sparse matrix. Only the rows of the parts are copied, each once, so X may
        be larger than memory as long as the parts asked for fit.
    y : array-like, shape (n, ...)
        The targets; whole numbers, text or categories of shape (n,) for stratify=True.
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
        In the order of the ratios, with shuffled rows. Frames and series are returned as they came,
        those of pandas with their index, and sparse matrices in CSR; all else as NumPy arrays. A
        list that mixes text with numbers becomes an array of objects, in which each stays what it
        is.

    Raises
    ------
    ValueError
        Where X and y differ in their number of rows or hold masked values, the ratios are not
        positive or do not sum to 1, a part would be empty, or y is not one label per row, a whole
        number or a text, for stratify=True.
    TypeError
        Where a ratio, stratify or seed is of another type, or y mixes text with numbers or holds
        neither for stratify=True.

    Notes
    -----
    Largest remainder (M. L. Balinski and H. P. Young, Fair Representation, 1982): each part gets
    the whole part of n times its ratio, and the rows left over go one each to the parts with the
    largest fractions.
    """
    # Checked before anything is copied.
    rows, n = _container("X", X)
    targets, n_targets = _container("y", y)
    if n != n_targets:
        shapes = f"{_shape(rows)} and {_shape(targets)}"
        raise ValueError(f"X and y must have the same number of rows, got shapes {shapes}")
    parts = split_indices(y, n, ratios, stratify, seed)
    return tuple((take(rows, part), take(targets, part)) for part in parts)


def _container(name: str, value: Any) -> tuple[Any, int]:
    """What rows are taken of, and their number."""
    container = container_of(name, value)
    shape = _shape(container)
    if not shape:
        raise ValueError(f"{name} must have rows, got shape {shape}")
    return container, shape[0]


def _shape(container: Any) -> tuple[int, ...]:
    shape = getattr(container, "shape", None)
    return (len(container),) if shape is None else tuple(shape)


@quiet()
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
        The labels, whole numbers or text; used by stratify=True only.
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
        given = tuple(map(float, ratios))
        raise ValueError(
            f"X must have enough rows for each part of ratios={given} to have one, got {n} rows"
        )
    random = np.random.Generator(np.random.Philox(int(seed)))
    if not stratify:
        return np.split(random.permutation(n), np.cumsum(sizes)[:-1])

    labels = label_array("y", y)
    if labels.shape != (n,):
        shape = labels.shape
        raise ValueError(f"y must have shape ({n},), a label a row, for stratify=True, got {shape}")
    codes = class_codes(labels)[1]
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
    """n * shares as whole parts and fractions; whole but for rounding counts as whole."""
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
