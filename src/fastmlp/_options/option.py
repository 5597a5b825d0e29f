"""What an option is: a frozen dataclass with a name, found by name or instance, JSON and back."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .checks import choice, listed, type_error
from .keywords import unknown_keyword
from .spelling import meant, plain, same
from .terms import OPTION_KEYWORDS

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Option:
    """Base of every option: a frozen dataclass with the class attribute `name`.

    Options are hashable and equal when their class and fields are equal. Their fields are checked
    and turned into plain float, int, bool, str or tuple when they are made.
    """

    name: ClassVar[str]

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        """Refuse arguments that the class does not take, saying what was meant."""
        known = [f.name for f in fields(cls) if f.init]
        for given in keywords:
            if given not in known and not _takes(cls, given):
                raise unknown_keyword(cls.__name__, given, known, _foreign(given, known))
        if len(args) > sum(not f.kw_only for f in fields(cls) if f.init):
            _check_positional(cls, len(args))
        return super().__new__(cls)

    def _assign(self, **values: object) -> None:
        """Set checked fields from __post_init__, which a frozen dataclass forbids to do plainly."""
        for field, value in values.items():
            object.__setattr__(self, field, value)


T = TypeVar("T", bound=Option)


def _check_positional(cls: type[Option], given: int) -> None:
    """Raise a TypeError if too much is given by position, with what goes by keyword."""
    parameters = [*inspect.signature(cls.__init__).parameters.values()][1:]
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if given > len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        rest = ", ".join(f"{p.name}=..." for p in parameters if p.kind is p.KEYWORD_ONLY)
        raise TypeError(
            f"{cls.__name__}() takes {', '.join(positional) or 'nothing'} by position"
            f"{f' and {rest} by keyword' if rest else ''}, got {given} by position"
        )


def _takes(cls: type[Option], keyword: str) -> bool:
    """Return whether an __init__ that a subclass wrote itself takes the keyword."""
    parameters = inspect.signature(cls.__init__).parameters
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _foreign(keyword: str, known: Collection[str]) -> dict[str, str]:
    """Return what to write for another library's keyword, of the parameters that the class has."""
    for text in OPTION_KEYWORDS.get(plain(keyword), ()):
        if "(" in text:
            return {plain(keyword): text}
        if text.split("=")[0] in known:
            return {plain(keyword): f"{text}=..."}
    return {}


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
        raise type_error(argument, accepted, value, _instance_meant(value, table))
    if value not in table:
        raise ValueError(f"{argument} must be {accepted}, got {value!r}{meant(value, table)}")
    cls = table[value]
    if _required(cls):
        raise ValueError(
            f"{argument}={value!r} has parameters without a default: give an instance, "
            f"{cls.__name__}({_required(cls)})"
        )
    return cls()


def _required(cls: type[Option]) -> str:
    """Return the parameters without a default as they are written in a call, "every=..."."""
    without = (f for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)
    return ", ".join(f"{f.name}=..." for f in without)


def _instance_meant(value: object, table: Mapping[str, type[Option]]) -> str:
    """Return the hint for a class or another library's object in place of a name or an instance."""
    if isinstance(value, type) and value in table.values():
        return f": did you mean {value.__name__}({_required(value)})?"
    name = getattr(value, "__name__", type(value).__name__)
    return meant(name, table) if same(name, table) else ""


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
