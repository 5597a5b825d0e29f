"""What an option is: a frozen dataclass with a name, found by name or instance, JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar

from .checks import choice, listed, type_error


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
        raise type_error(argument, accepted, value)
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
