"""Checks of single arguments: a plain value comes back, or an error that names the argument."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable

import numpy as np

from .spelling import meant


def shown(value: object) -> str:
    """Return a short description of what a caller passed, for the end of an error message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if getattr(value, "ndim", 0):
        return f"an array of shape {value.shape}"  # type: ignore[attr-defined]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def listed(names: Iterable[str]) -> str:
    """Return names as they stand in an error message: 'a', 'b' or 'c'."""
    quoted = [repr(str(name)) for name in names]
    return "".join(quoted) if len(quoted) < 2 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def type_error(name: str, accepted: str, value: object, hint: str = "") -> TypeError:
    """Return the error for a value of a wrong type; `hint` ends the message."""
    got = f"{shown(value)} ({type(value).__name__})"
    return TypeError(f"{name} must be {accepted}, got {got}{hint}")


def real(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, bounds: str = "[]"
) -> float:
    """Return `value` as a float, or raise an error that names the argument.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : real number
        A Python or NumPy real number; a bool is none.
    low, high : float
        The accepted range. It never holds an infinity or NaN.
    bounds : {"[]", "[)", "(]", "()"}
        Which ends belong to the range, as intervals are written.

    Raises
    ------
    TypeError
        `value` is not a real number.
    ValueError
        `value` is outside of the range, infinite or NaN.
    """
    left = "(" if low == -math.inf else bounds[0]
    right = ")" if high == math.inf else bounds[1]
    accepted = f"{left}{low:.12g}, {high:.12g}{right}"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise type_error(name, f"a real number in {accepted}", value)
    try:
        number = float(value)
    except OverflowError:  # a Python int too large for a float
        number = math.inf
    above = number > low if left == "(" else number >= low
    below = number < high if right == ")" else number <= high
    if not (above and below):
        raise ValueError(f"{name} must be in {accepted}, got {shown(value)}")
    return number


def integer(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Return `value` as an int, or raise an error that names the argument.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : integer
        A Python or NumPy integer; a bool is none, nor is a float with an integral value.
    low, high : int, optional
        The smallest and the largest accepted value.

    Raises
    ------
    TypeError
        `value` is not an integer.
    ValueError
        `value` is outside of the range.
    """
    left = "(-inf" if low is None else f"[{low}"
    right = "inf)" if high is None else f"{high}]"
    accepted = f"an integer in {left}, {right}"
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise type_error(name, accepted, value)
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} must be {accepted}, got {number}")
    return number


def boolean(name: str, value: object) -> bool:
    """Return `value` as a bool, or raise a TypeError that names the argument."""
    if not isinstance(value, bool | np.bool_):
        raise type_error(name, "True or False", value)
    return bool(value)


def string(name: str, value: object) -> str:
    """Return `value` if it is a str and not empty, or raise an error that names the argument."""
    if not isinstance(value, str):
        raise type_error(name, "a string", value)
    if not value:
        raise ValueError(f"{name} must not be an empty string")
    return str(value)


def choice(name: str, value: object, accepted: Iterable[str]) -> str:
    """Return `value` if it is one of the accepted strings, or raise an error that lists them."""
    names = tuple(accepted)
    if not isinstance(value, str):
        raise type_error(name, listed(names), value)
    if value not in names:
        raise ValueError(f"{name} must be {listed(names)}, got {value!r}{meant(value, names)}")
    return str(value)


def as_tuple(value: object) -> tuple[object, ...]:
    """Return the items of an argument that takes None, one thing, or a list or tuple of them."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)
