"""JSON out of files that nobody vouches for: bounded before it is parsed, strict where it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from ..errors import ModelFormatError

MAX_VALUES = 10_000_000
MAX_DEPTH = 32
MAX_DIGITS = 20

_SPACE = re.compile(r"[ \t\r\n]+")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
_BRACKET = re.compile(r"[\[{\]}]")


class Scanner:
    """Objects, strings and whole numbers, taken from a text one after the other.

    No tree is built, so memory is needed only for what the caller keeps. What is not of these
    kinds (nested where it must not be, signs, fractions, ``true``, ``NaN``) is an error.

    Parameters
    ----------
    text : str
    fault : str
        What the message of an error begins with.

    Raises
    ------
    ModelFormatError
        By every method, where the text has something else at that place.
    """

    def __init__(self, text: str, fault: str) -> None:
        self.text = text
        self.fault = fault
        self.at = 0
        self._strings = json.JSONDecoder()

    def fail(self, reason: str) -> ModelFormatError:
        return ModelFormatError(f"{self.fault}: {reason}")

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        found = self.text[self.at : self.at + 1]
        if found and found in " \t\r\n":
            space = _SPACE.match(self.text, self.at)
            assert space is not None
            self.at = space.end()
            found = self.text[self.at : self.at + 1]
        return found

    def take(self, wanted: str) -> None:
        """Go past one character, or with "" past the end."""
        found = self.peek()
        if found != wanted:
            what, there = repr(wanted) if wanted else "the end", repr(found) if found else "the end"
            raise self.fail(f"{what} should stand at character {self.at}, there is {there}")
        self.at += len(wanted)

    def string(self) -> str:
        if self.peek() != '"':
            raise self.fail(f"a string should stand at character {self.at}")
        try:
            value, self.at = self._strings.raw_decode(self.text, self.at)
            if not value.isascii():
                value.encode()  # half of a surrogate pair is no text
        except ValueError:
            raise self.fail(f"the string at character {self.at} is not JSON") from None
        return str(value)

    def integer(self) -> int:
        """Return a number from 0 to 10^19 − 1 without sign, fraction and exponent."""
        self.peek()
        match = _INTEGER.match(self.text, self.at)
        if match is None:
            raise self.fail(f"a whole number from 0 on should stand at character {self.at}")
        self.at = match.end()
        return int(match[0])

    def integers(self, most: int) -> tuple[int, ...]:
        """Return a list of at most that many whole numbers."""
        self.take("[")
        values: list[int] = []
        while self.peek() != "]":
            if len(values) == most:
                raise self.fail(f"a list of more than {most} numbers ends at character {self.at}")
            if values:
                self.take(",")
            values.append(self.integer())
        self.take("]")
        return tuple(values)

    def members(self) -> Iterator[str]:
        """Give the names in an object; the caller takes each value before it asks for the next."""
        self.take("{")
        more = self.peek() != "}"
        while more:
            name = self.string()
            self.take(":")
            yield name
            more = self.peek() == ","
            if more:
                self.take(",")
        self.take("}")


def parse(
    text: str,
    allow_nan: bool = False,
    max_values: int = MAX_VALUES,
    max_depth: int = MAX_DEPTH,
    max_digits: int = MAX_DIGITS,
) -> Any:
    """Return what a JSON text describes, having bounded what that can take.

    Parameters
    ----------
    text : str
    allow_nan : bool, default=False
        Whether the words NaN, Infinity and -Infinity are numbers, as `json.dumps` writes them.
    max_values : int, default=10,000,000
        Most commas and opening brackets, which bound how many values there are.
    max_depth : int, default=32
        Most lists and objects inside each other.
    max_digits : int, default=20
        Most digits of an integer, with its sign.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    ValueError
        If the text is not JSON, goes beyond the bounds, repeats a key of an object, or has an
        integer of too many digits or a float that is not finite.
    """
    _bound(text, max_values, max_depth)
    return json.loads(
        text,
        object_pairs_hook=_object,
        parse_int=partial(_integer, max_digits=max_digits),
        parse_float=_float,
        parse_constant=float if allow_nan else _refuse,
    )


def _bound(text: str, max_values: int, max_depth: int) -> None:
    brackets = text.count("[") + text.count("{")
    if text.count(",") + brackets > max_values:
        raise ValueError(f"more than {max_values} values")
    if brackets <= max_depth:
        return
    # What stands in strings does not count; escapes go first, so that quotes delimit strings.
    text = text.replace(r"\\", "").replace(r"\"", "")
    if text.count('"') > 4 * max_values:
        raise ValueError(f"more than {max_values} values")
    depth = 0
    for part in text.split('"')[::2]:
        for bracket in _BRACKET.findall(part):
            depth += 1 if bracket in "[{" else -1
            if depth > max_depth:
                raise ValueError(f"more than {max_depth} lists and objects inside each other")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key of an object is there twice")
    return found


def _integer(text: str, max_digits: int) -> int:
    if len(text) > max_digits:
        raise ValueError(f"an integer of more than {max_digits} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond the range of float64")
    return value


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")
