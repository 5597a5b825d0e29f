"""Keywords that a function does not have, explained: what was meant, or where it belongs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .spelling import nearest, plain

F = TypeVar("F", bound=Callable[..., Any])


def unknown_keyword(
    function: str, given: str, accepted: Iterable[str], foreign: Mapping[str, str]
) -> TypeError:
    """Return the error for a keyword argument that a function does not have.

    Parameters
    ----------
    function : str
        The function's name, for the message.
    given : str
        The keyword.
    accepted : iterable of str
        The keywords that the function has.
    foreign : mapping of str to str
        What to write in place of other libraries' keywords, these in lower case and without
        punctuation: "lr" -> "optimizer=fm.Adam(learning_rate=...)". After ": " comes a sentence.
    """
    accepted = tuple(accepted)
    same = {plain(name): name for name in accepted}.get(plain(given))
    text = f"{same}=..." if same else foreign.get(plain(given))
    if text is None:
        near = nearest(given, accepted)
        text = f"{near}=..." if near else foreign.get(nearest(given, foreign) or "")
    if text is None:
        text = f": it takes {', '.join(accepted) or 'none'}"
    hint = text if text.startswith(": ") else f": did you mean {text}?"
    return TypeError(f"{function}() got an unexpected keyword argument {given!r}{hint}")


def explains_keywords(foreign: Mapping[str, str], name: str | None = None) -> Callable[[F], F]:
    """Return a decorator by which a function says what was meant by a keyword it does not have.

    Parameters
    ----------
    foreign : mapping of str to str
        As in `unknown_keyword`.
    name : str, optional
        What users call the function, if not by its qualified name.
    """

    def decorate(function: F) -> F:
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(function).parameters.values()
        known = [p.name for p in parameters if p.kind in kinds and p.name != "self"]
        accepted = frozenset(known)

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            if not accepted.issuperset(keywords):
                given = next(key for key in keywords if key not in accepted)
                raise unknown_keyword(name or function.__qualname__, given, known, foreign)
            return function(*args, **keywords)

        return checked  # type: ignore[return-value]

    return decorate


def elsewhere(
    name: str, fit_parameters: Collection[str], optimizers: Mapping[str, type[Any]]
) -> str | None:
    """Return where a setting that is no attribute of a network belongs, or None if it is none.

    Parameters
    ----------
    name : str
        The attribute that was read or assigned, such as "batch_size".
    fit_parameters : collection of str
        The parameters of `Network.fit`.
    optimizers : mapping of str to class
        The optimizers, whose fields are settings too; Adam stands for those that share one.
    """
    if name in fit_parameters:
        return f"{name} belongs to fit: net.fit(..., {name}=...)"
    by_default = sorted(optimizers.values(), key=lambda cls: cls.name != "adam")
    for cls in by_default:
        if any(field.name == name for field in fields(cls)):
            call = f"optimizer=fm.{cls.__name__}({name}=...)"
            return f"{name} belongs to the optimizer: net.fit(..., {call})"
    return None
