"""The one gate every option passes: checks that name the argument, names to instances, JSON specs."""

from .checks import as_tuple, boolean, choice, integer, listed, real, shown, string, type_error
from .option import Option, from_spec, resolve, to_spec

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
    "type_error",
]
