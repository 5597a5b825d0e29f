"""Containers of real numbers into arrays: rows, weights, and where the first fault lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import frames
from .faults import (
    INTEGERS,
    NUMBERS,
    READABLE,
    Names,
    first_of,
    hint_for,
    is_missing,
    missing,
    not_real,
    place,
    quiet,
    text_hint,
)

BLOCK = 1 << 18  # entries looked at together, so that a large array costs no copy of it
MOST_EXPONENT = 32  # weights beyond 2**±32 are scaled: their sums must suit float32 too


def real_array(name: str, value: Any) -> np.ndarray:
    """Return real numbers as an array: an array as it is, anything else converted.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    value : array-like
        An array or a memory map (never copied); lists; an object of the array API; a frame or
        series of pandas, Polars or Arrow; objects that are all numbers which float64 or a 64-bit
        integer holds exactly.

    Returns
    -------
    ndarray of bool, integers or floats of NumPy's own types

    Raises
    ------
    TypeError
        The values are complex, text, objects, dates, of a type of another package (bfloat16,
        float8) or a sparse matrix; the message says which column or entry, and what to do.
    ValueError
        The rows of a list differ in length, or values are masked or missing.
    """
    if type(value) is np.ndarray and value.dtype.type in READABLE:
        return value
    return _converted(name, value)


@quiet()
def _converted(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "toarray"):
        raise TypeError(
            f"{name} must be a dense array, got {type(value).__name__}: pass {name}.toarray()"
        )
    refuse_masked(name, value)
    if frames.is_frame(value):
        return _from_frame(name, value)
    return _as_real(name, value, frames.all_names(value))


def _as_real(name: str, value: Any, names: Names, ndim: int | None = None) -> np.ndarray:
    """Return an array, list or series as real numbers; `ndim` is 2 for a column of a frame."""
    array = any_array(name, value, names)
    objects = array.dtype.kind == "O"
    if objects and array.ndim == 0:
        raise TypeError(f"{name} must hold real numbers, got dtype object ({type(value).__name__})")
    if objects and frames.is_series(value) and _is_text(array):
        entry = array.flat[0], place((0,), names)
        raise not_real(name, frames.dtype_of(value), entry, text_hint(ndim or 1))
    if objects:
        array = _from_objects(name, array, names, ndim or array.ndim)
    if array.dtype.type not in READABLE:
        example = _first_text(value, array, names) if array.dtype.kind in "UST" else None
        hint = hint_for(name, array.dtype, ndim or array.ndim)
        if frames.is_series(value) and example is None and names:
            hint = f" in column {names[0]!r}{hint}"
        raise not_real(name, array.dtype, example, hint)
    return array


def _from_frame(name: str, frame: Any) -> np.ndarray:
    """Return a data frame as an array, (n, columns), of the type that its columns promote to."""
    whole = frames.whole_array(frame)
    if whole is not None:
        return whole
    names = frames.all_names(frame)
    columns = [
        _as_real(name, column, [column_name], 2)
        for column_name, column in zip(names or [], frames.columns_of(frame), strict=True)
    ]
    dtype = np.result_type(*columns) if columns else np.float64
    array = np.empty((len(frame), len(columns)), dtype)
    for j, column in enumerate(columns):
        if column.ndim != 1:
            raise TypeError(
                f"{name} must hold one number an entry, got shape {column.shape[1:]} in"
                f" column {names[j]!r}"  # type: ignore[index]
            )
        array[:, j] = column
    return array


def any_array(name: str, value: Any, names: Names = None, dtype: Any = None) -> np.ndarray:
    """Return any container but a frame as NumPy takes it, or raise an error that names it."""
    try:
        if frames.is_series(value):
            row = frames.missing_row(value)
            if row is None:
                return frames.series_array(value)
        elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        else:
            return np.asarray(value, dtype)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(value, list | tuple) and isinstance(error, ValueError):
            message = f"{name} must be an array with rows of one length ({error})"
            raise ValueError(message) from None
        kind = type(value).__name__
        raise TypeError(f"{name} must become a NumPy array, {kind} does not: {error}") from error
    raise missing(name, None, place((row,), names))


def container_of(name: str, value: Any) -> Any:
    """Return what `take` takes rows of: a frame or series as it is, a sparse matrix in CSR.

    Of all else an array is made; it has any dtype, and where NumPy would print the numbers of a
    list beside its text, that of objects.

    Raises
    ------
    TypeError, ValueError
        As for `real_array`, whatever the dtype.
    """
    refuse_masked(name, value)
    if hasattr(value, "tocsr"):
        return value.tocsr()
    if frames.is_frame(value) or frames.is_series(value):
        return value
    array = any_array(name, value)
    if array.dtype.kind in "US" and isinstance(value, list | tuple):
        objects = np.asarray(value, dtype=object)
        kinds = set(map(type, objects.flat))
        if objects.shape != array.shape or not all(issubclass(k, str | bytes) for k in kinds):
            return objects
    return array


def refuse_masked(name: str, value: Any) -> None:
    """Raise ValueError if entries of an array, or of arrays in a list, are masked."""
    count = _count_masked(value)
    if count:
        raise ValueError(f"{name} must have no masked values, got {count} of them")


def _count_masked(value: Any) -> int:
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.count_masked(value))
    if isinstance(value, np.ndarray):
        entries = value.flat if value.dtype.kind == "O" else ()
    else:
        entries = value if isinstance(value, list | tuple) else ()  # type: ignore[assignment]
    nested = (np.ma.MaskedArray, list, tuple)
    if not any(issubclass(kind, nested) for kind in set(map(type, entries))):
        return 0
    return sum(_count_masked(entry) for entry in entries)


def _is_text(objects: np.ndarray) -> bool:
    return objects.size > 0 and all(issubclass(kind, str) for kind in set(map(type, objects.flat)))


def _from_objects(name: str, objects: np.ndarray, names: Names, ndim: int) -> np.ndarray:
    """Return numbers held as objects in the type that holds all of them exactly."""
    types = set(map(type, objects.flat))
    strange = {kind for kind in types if not issubclass(kind, NUMBERS)}
    if strange:
        entry, index = first_of(objects, strange)
        if is_missing(entry):
            raise missing(name, entry, place(index, names))
        hint = text_hint(ndim) if isinstance(entry, str | bytes) else ""
        raise not_real(name, "object", (entry, place(index, names)), hint)
    candidates: list[Any] = [np.float64]
    if types and all(issubclass(kind, bool | np.bool_) for kind in types):
        candidates = [np.bool_]
    elif types and all(issubclass(kind, INTEGERS) for kind in types):
        candidates = [np.int64, np.uint64, np.float64]
    for dtype in candidates:
        try:
            array = objects.astype(dtype)
        except (OverflowError, TypeError, ValueError):
            continue
        if ((array.astype(object) == objects) | (objects != objects)).all():
            return array
    at = next(i for i, entry in enumerate(objects.flat) if not _is_exact(entry))
    index = tuple(int(i) for i in np.unravel_index(at, objects.shape))
    hint = f", which float64 does not hold exactly: pass {name}.astype(float) to round it"
    raise not_real(name, "object", (objects[index], place(index, names)), hint)


def _is_exact(number: Any) -> bool:
    try:
        return bool(number != number or float(number) == number)
    except OverflowError:
        return False


def _first_text(value: Any, array: np.ndarray, names: Names) -> tuple[object, str] | None:
    """Return the first entry that is no number, and its place, of what NumPy takes for text."""
    if not array.size:
        return None
    objects = array.astype(object)
    if isinstance(value, list | tuple):  # in which numbers may stand beside the text
        given = np.asarray(value, dtype=object)
        objects = given if given.shape == array.shape else objects
    strange = {kind for kind in set(map(type, objects.flat)) if not issubclass(kind, NUMBERS)}
    entry, index = first_of(objects, strange or set(map(type, objects.flat)))
    return entry, place(index, names)


def rows_of(name: str, value: Any, n_columns: int, empty: bool = False) -> np.ndarray:
    """Return rows as a real array (n, n_columns), copied only if they are no array yet.

    Parameters
    ----------
    name, value
        As for `real_array`.
    n_columns : int
        The number of columns wanted.
    empty : bool, default False
        Whether n may be 0.

    Raises
    ------
    TypeError, ValueError
        As for `real_array`, and ValueError for another shape or 2**32 rows and more.
    """
    array = real_array(name, value)
    if array.ndim != 2:
        index, of_one = ("[:, None]", "one input") if n_columns == 1 else ("[None, :]", "one row")
        hint = f"; for {of_one} pass {name}{index}" if array.ndim == 1 and len(array) else ""
        raise ValueError(f"{name} must have the shape (n, {n_columns}), got {array.shape}{hint}")
    if array.shape[1] != n_columns:
        raise ValueError(f"{name} must have the shape (n, {n_columns}), got {array.shape}")
    if len(array) == 0 and not empty:
        raise ValueError(f"{name} must have at least one row, got {array.shape}")
    if len(array) >= 2**32:
        raise ValueError(f"{name} must have fewer than 2**32 rows, got {len(array)}")
    return array


@quiet()
def first_bad(array: np.ndarray, dtype: Any = None) -> tuple[int, int | None, float] | None:
    """Return (row, column, value) of the first number that is not finite, row by row, or None.

    Parameters
    ----------
    array : real ndarray, shape (n,) or (n, k)
        The column is None for shape (n,).
    dtype : dtype, optional
        The precision that the numbers must be finite in; by default their own.
    """
    n = len(array)
    step = max(1, BLOCK * n // max(array.size, 1))
    for start in range(0, n if array.size else 0, step):
        block = array[start : start + step]
        finite = np.isfinite(block if dtype is None else block.astype(dtype))
        if not finite.all():
            index = tuple(int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
            column = index[1] if len(index) == 2 else None
            return start + index[0], column, block[index].item()
    return None


def refuse_not_finite(name: str, array: np.ndarray, names: Names = None, dtype: Any = None) -> None:
    """Raise ValueError, which says where, if a number is NaN, infinite or beyond a precision.

    Parameters
    ----------
    name : str
        The argument's name.
    array, dtype
        As for `first_bad`.
    names : sequence, optional
        The names of the columns.
    """
    bad = first_bad(array, dtype)
    if bad is not None:
        row, column, value = bad
        where = place((row,) if column is None else (row, column), names)
        beyond = f", beyond {np.dtype(dtype)}," if np.isfinite(value) else ""
        raise ValueError(f"{name} must hold finite numbers, got {value}{beyond} in {where}")


@quiet()
def weights_of(name: str, value: Any, n: int, scaled: bool = True) -> np.ndarray | None:
    """Return weights as contiguous float64, (n,), or None for None.

    Only the ratios of weights count. Where float32 or their sum might not hold them, all are
    multiplied by one power of two, which is exact.

    Parameters
    ----------
    name, value
        As for `real_array`.
    n : int
        The number of weights wanted.
    scaled : bool, default True
        False to have the weights in their own unit.

    Raises
    ------
    TypeError, ValueError
        As for `real_array`, and ValueError for another shape, or weights that are not finite,
        negative, or all 0.
    """
    if value is None:
        return None
    array = real_array(name, value)
    if array.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},), got {array.shape}")
    weights = np.ascontiguousarray(array, dtype=np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any() or not weights.any():
        row = int(wrong.argmax()) if wrong.any() else None
        got = "" if row is None else f", got {array[row]} in row {row}"
        raise ValueError(f"{name} must be finite, not negative and not all 0{got}")
    return scaled_weights(weights) if scaled else weights


def scaled_weights(weights: np.ndarray) -> np.ndarray:
    """Return weights >= 0, not all 0, as they are, or so scaled that the largest is in [0.5, 1)."""
    exponent = int(np.frexp(weights.max())[1])
    return weights if abs(exponent) < MOST_EXPONENT else np.ldexp(weights, -exponent)
