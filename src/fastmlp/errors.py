"""Errors of the package's own."""

from __future__ import annotations

__all__ = ["DivergenceError", "ModelFormatError"]


def __dir__() -> list[str]:
    return __all__


class DivergenceError(ArithmeticError):
    """The loss stopped being finite; the network keeps its last finite weights.

    Attributes
    ----------
    history : fastmlp.History
        The record of the epochs that ended before.
    """

    def __init__(self, message: str, history: object = None) -> None:
        super().__init__(message)
        self.history = history


class ModelFormatError(ValueError):
    """A file that is not the model file it should be: foreign, cut short or damaged.

    The message names the file and what is wrong with it.
    """
