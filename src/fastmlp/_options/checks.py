"""The one gate every option passes: checks that name the argument, names to instances, JSON specs."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np


@dataclass(frozen=True)
class Option:
    """Base of every option: a frozen dataclass with the class attribute `name`.

    Options are hashable and equal when their class and fields are equal. Their fields are checked
    and turned into plain float, int, bool, str or tuple when they are made.
    """

    name: ClassVar[str]

    def _assign(self, **values: object) -> None:
        """Set checked fields from __post_init__, which a frozen dataclass forbids to do plainly."""
        for field, value in values.items():
            object.__setattr__(self, field, value)


T = TypeVar("T", bound=Option)


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


def _type_error(name: str, accepted: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {accepted}, got {shown(value)} ({type(value).__name__})")


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
        raise _type_error(name, f"a real number in {accepted}", value)
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
        raise _type_error(name, accepted, value)
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} must be {accepted}, got {number}")
    return number


def boolean(name: str, value: object) -> bool:
    """Return `value` as a bool, or raise a TypeError that names the argument."""
    if not isinstance(value, bool | np.bool_):
        raise _type_error(name, "True or False", value)
    return bool(value)


def string(name: str, value: object) -> str:
    """Return `value` if it is a str that is not empty, or raise an error that names the argument."""
    if not isinstance(value, str):
        raise _type_error(name, "a string", value)
    if not value:
        raise ValueError(f"{name} must not be an empty string")
    return str(value)


def choice(name: str, value: object, accepted: Iterable[str]) -> str:
    """Return `value` if it is one of the accepted strings, or raise an error that lists them."""
    names = tuple(accepted)
    if not isinstance(value, str):
        raise _type_error(name, listed(names), value)
    if value not in names:
        raise ValueError(f"{name} must be {listed(names)}, got {value!r}")
    return str(value)


def as_tuple(value: object) -> tuple[object, ...]:
    """Return the items of an argument that takes None, one thing, or a list or tuple of them."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def resolve(argument: str, value: object, table: Mapping[str, type[T]]) -> T:
    """Return the option that a user meant: a name's default instance, or the instance given.

    Parameters
    ----------
    argument : str
        The argument's name, for the message.
    value : str or Option
        A name in the table, or an instance of one of its classes.
    table : dict of str to class
        The family, such as `activations.ACTIVATIONS`.

    Raises
    ------
    TypeError
        `value` is neither a string nor an instance of a class in the table.
    ValueError
        The name is unknown, or its class has parameters without a default.
    """
    for cls in table.values():
        if isinstance(value, cls):
            return value
    accepted = f"{listed(table)}, or an instance of one of their classes"
    if not isinstance(value, str):
        raise _type_error(argument, accepted, value)
    if value not in table:
        raise ValueError(f"{argument} must be {accepted}, got {value!r}")
    cls = table[value]
    required = [
        f"{f.name}=..."
        for f in fields(cls)
        if f.default is MISSING and f.default_factory is MISSING
    ]
    if required:
        raise ValueError(
            f"{argument}={value!r} has parameters without a default: give an instance, "
            f"{cls.__name__}({', '.join(required)})"
        )
    return cls()


def to_spec(option: Option) -> dict[str, Any]:
    """Return an option as a dict that JSON can hold: {"name": ..., field: value, ...}.

    A field that is an option itself becomes such a dict, a tuple becomes a list. `from_spec` goes
    back.
    """
    return {
        "name": option.name,
        **{f.name: _plain(getattr(option, f.name)) for f in fields(option)},
    }


def from_spec(table: Mapping[str, type[T]], spec: Mapping[str, Any]) -> T:
    """Return the option that `to_spec` described.

    Parameters
    ----------
    table : dict of str to class
        The family the option belongs to; options within it are looked up there too.
    spec : dict
        What `to_spec` returned, as it was or after a passage through JSON.

    Raises
    ------
    TypeError, ValueError
        The spec has no name, one that is not in the table, a parameter that its class does not
        have, or a value that its class does not accept.
    """
    values = dict(spec)
    cls = table[choice("name", values.pop("name", None), table)]
    known = {field.name for field in fields(cls)}
    unknown = [parameter for parameter in values if parameter not in known]
    if unknown:
        raise ValueError(
            f"{cls.__name__} has the parameters {sorted(known)}, got {listed(unknown)}"
        )
    return cls(
        **{key: from_spec(table, v) if isinstance(v, Mapping) else v for key, v in values.items()}
    )


def _plain(value: Any) -> Any:
    """Return a field's value as JSON would give it back."""
    if isinstance(value, Option):
        return to_spec(value)
    return list(value) if isinstance(value, tuple) else value
