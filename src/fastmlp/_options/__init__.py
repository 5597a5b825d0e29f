"""The one gate every option passes: checks that name the argument, names to instances, JSON."""

from .checks import as_tuple, boolean, choice, integer, listed, real, shown, string, type_error
from .keywords import elsewhere, explains_keywords, unknown_keyword
from .option import Option, from_spec, resolve, to_spec
from .spelling import meant
from .terms import FIT_KEYWORDS, NETWORK_KEYWORDS

__all__ = [
    "FIT_KEYWORDS",
    "NETWORK_KEYWORDS",
    "Option",
    "as_tuple",
    "boolean",
    "choice",
    "elsewhere",
    "explains_keywords",
    "from_spec",
    "integer",
    "listed",
    "meant",
    "real",
    "resolve",
    "shown",
    "string",
    "to_spec",
    "type_error",
    "unknown_keyword",
]
