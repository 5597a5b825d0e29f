"""What is wrong with a container and where, in words; the errstate of our own arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np

from .._options import shown

READABLE = frozenset(
    [np.bool_, np.float16, np.float32, np.float64, np.longdouble]
    + [np.dtype(code).type for code in "bBhHiIlLqQ"]
)
"""The scalar types that the engine reads, in any byte order; none of other packages."""

NUMBERS = (Real, np.bool_, Decimal)
INTEGERS = (Integral, np.bool_)
Names = Sequence[Any] | None


def quiet() -> np.errstate:
    """Return the errstate that our arithmetic runs under, whatever `np.seterr` the caller chose.

    For a with statement or, called once for each function, as a decorator.
    """
    return np.errstate(all="ignore")


def place(index: Sequence[int], names: Names = None) -> str:
    """Return where an entry is, as messages say it: "row 3, column 'age'".

    Parameters
    ----------
    index : sequence of int
        The entry's position in its array.
    names : sequence, optional
        The names of the columns, where they have any.
    """
    if len(index) == 2:
        column = names[index[1]] if names else int(index[1])
        return f"row {index[0]}, column {column!r}"
    if len(index) == 1:
        return f"row {index[0]}" + (f", column {names[0]!r}" if names else "")
    return f"position {tuple(map(int, index))}" if len(index) else "the whole of it"


def is_missing(value: object) -> bool:
    """Return whether an object stands for no value: None, or pandas' NA and NaT."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def missing(name: str, value: object, where: str) -> ValueError:
    return ValueError(f"{name} must have no missing values, got {value!r} in {where}")


def not_real(name: str, dtype: object, found: tuple[object, str] | None, hint: str) -> TypeError:
    """Return the error for what holds no real numbers; `found` is a value and its place."""
    example = "" if found is None else f" ({found[1]} holds {shown(found[0])})"
    return TypeError(f"{name} must hold real numbers, got dtype {dtype}{example}{hint}")


def hint_for(name: str, dtype: np.dtype[Any], ndim: int) -> str:
    """Return what to do with an array of a type that is not read, to follow "got dtype ..."."""
    if dtype.kind in "USTO":
        return text_hint(ndim)
    if dtype.kind == "c":
        return ": give real and imaginary parts as columns of their own"
    if dtype.kind in "mM":
        return ": turn dates and durations into numbers, such as days since a date"
    if dtype.names:
        return ": give a plain array, such as numpy.lib.recfunctions.structured_to_unstructured's"
    return f": pass {name}.astype('float32')"


def text_hint(ndim: int) -> str:
    """Return how text and categories become numbers: labels, (n,), or columns."""
    if ndim == 1:
        return (
            ": encode text and categories as numbers, labels for example by"
            " numpy.unique(..., return_inverse=True) or scikit-learn's LabelEncoder"
        )
    return (
        ": encode text and categories as numbers, for example by pandas.get_dummies or"
        " scikit-learn's OneHotEncoder"
    )


def first_of(objects: np.ndarray, types: set[type]) -> tuple[object, tuple[int, ...]]:
    """Return the first entry that is of one of the types, and its index."""
    for at, entry in enumerate(objects.flat):
        if type(entry) in types:
            return entry, tuple(int(i) for i in np.unravel_index(at, objects.shape))
    raise AssertionError("no entry is of these types")
