"""Kinds of fields that a description may have; each checks a value and names the field it is of."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .. import _options as options
from .json_text import parse

# Of (name, value): returns the value as it is used, or raises TypeError or ValueError.
Check = Callable[[str, Any], Any]

MOST = 2**62  # of counts: far beyond any training; the engine counts in 64 bits
MAX_DIGITS = 4000  # of an integer; that of a random generator's state has 39
MAX_DEPTH = 200  # of lists and dicts in the state of a callback
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def integer(low: int, high: int | None = None) -> Check:
    return lambda name, value: options.integer(name, value, low, high)


def real(low: float = -math.inf, high: float = math.inf, bounds: str = "[]") -> Check:
    return lambda name, value: options.real(name, value, low, high, bounds)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {options.shown(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    return options.boolean(name, value)


def anything(name: str, value: Any) -> Any:
    """A field that nobody reads any more."""
    return value


def number(name: str, value: Any) -> float:
    """A float as `encoded` wrote it, which may be NaN or an infinity."""
    if isinstance(value, str) and value in _NUMBERS:
        return _NUMBERS[value]
    return options.real(name, value)


def level(name: str, value: Any) -> float:
    """A quantity that was the best one, which NaN cannot be."""
    found = number(name, value)
    if math.isnan(found):
        raise ValueError(f"{name} must not be NaN")
    return found


def optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def one_of(accepted: Collection[str]) -> Check:
    return lambda name, value: options.choice(name, value, accepted)


def list_of(check: Check, fewest: int = 0, most: int | None = None) -> Check:
    def checked_list(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f"{name} must be a list, got {options.shown(value)}")
        if len(value) < fewest or (most is not None and len(value) > most):
            raise ValueError(f"{name} must have {fewest} to {most} items, got {len(value)}")
        return [check(f"{name}[{i}]", item) for i, item in enumerate(value)]

    return checked_list


def tuple_of(check: Check, fewest: int = 0, most: int | None = None) -> Check:
    as_list = list_of(check, fewest, most)
    return lambda name, value: tuple(as_list(name, value))


def row_of(*checks: Check) -> Check:
    """A list with an item of each kind."""
    as_list = list_of(anything, len(checks), len(checks))
    return lambda name, value: [
        check(f"{name}[{i}]", item)
        for i, (check, item) in enumerate(zip(checks, as_list(name, value), strict=True))
    ]


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {options.shown(value)}")
    return value


def record(
    table: Mapping[str, Check], may_lack: Collection[str] = (), others: Check | None = None
) -> Check:
    """A dict with these fields, of which some may be missing; `others` checks any others.

    The outermost one has the name "".
    """
    needed = [key for key in table if key not in may_lack]

    def checked_record(name: str, value: Any) -> dict[str, Any]:
        whole, found = name or "the description", mapping(name, value)
        missing = [key for key in needed if key not in found]
        if missing:
            raise ValueError(f"{whole} must have {options.listed(missing)}")
        unknown = [key for key in found if key not in table] if others is None else []
        if unknown:
            raise ValueError(f"{whole} must not have {options.shown(unknown[0])}")
        return {
            key: table.get(key, others or anything)(f"{name}.{key}" if name else key, item)
            for key, item in found.items()
        }

    return checked_record


def option(table: Mapping[str, Any]) -> Check:
    """An option of a family, from the dict that `_options.to_spec` makes of it."""

    def checked_option(name: str, value: Any) -> Any:
        spec = mapping(name, value)
        try:
            return options.from_spec(table, spec)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error

    return checked_option


def json_of(check: Check) -> Check:
    """What a string of JSON holds: states of callbacks, whose content is theirs."""

    def checked_json(name: str, value: Any) -> Any:
        content = text(name, value)
        try:
            found = parse(content, allow_nan=True, max_depth=MAX_DEPTH, max_digits=MAX_DIGITS)
        except ValueError as error:
            raise ValueError(f"{name} is not JSON that can be read: {error}") from error
        return check(name, found)

    return checked_json


def encoded(value: Any) -> Any:
    """Return states of numbers as strict JSON has them: NaN and infinities become strings."""
    if isinstance(value, Mapping):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
