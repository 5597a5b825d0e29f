"""The one gate every option passes: checks that name the argument, names to instances, JSON specs."""

from .checks import (
    Option,
    as_tuple,
    boolean,
    choice,
    from_spec,
    integer,
    listed,
    real,
    resolve,
    shown,
    string,
    to_spec,
)

__all__ = [
    "Option",
    "as_tuple",
    "boolean",
    "choice",
    "from_spec",
    "integer",
    "listed",
    "real",
    "resolve",
    "shown",
    "string",
    "to_spec",
]
