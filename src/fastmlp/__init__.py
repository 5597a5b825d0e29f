"""Multilayer perceptrons trained fast on the cores of an ordinary CPU."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import activations, initializers, losses, optimizers
from .errors import DivergenceError, ModelFormatError
from .history import History
from .network import Network, load
from .optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop, Rprop

if TYPE_CHECKING:
    from . import augment, datasets, metrics, reference, schedules
    from .callbacks import Callback, Checkpoint, CSVLog
    from .config import show_config
    from .splitting import split
    from .stopping import EarlyStopping, TargetLoss, TimeBudget, Tolerance

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "ModelFormatError",
    "Network",
    "RMSprop",
    "Rprop",
    "TargetLoss",
    "TimeBudget",
    "Tolerance",
    "activations",
    "augment",
    "datasets",
    "initializers",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "reference",
    "schedules",
    "show_config",
    "split",
]

# Imported when first asked for: a program that loads a network and predicts starts in half the
# time. Name -> the module that has it; None for a module itself.
_ON_DEMAND: dict[str, str | None] = {
    **dict.fromkeys(("augment", "datasets", "metrics", "reference", "schedules")),
    **dict.fromkeys(("Callback", "Checkpoint", "CSVLog"), "callbacks"),
    **dict.fromkeys(("EarlyStopping", "TargetLoss", "TimeBudget", "Tolerance"), "stopping"),
    "show_config": "config",
    "split": "splitting",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fastmlp")
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _ON_DEMAND[name]
    value = import_module(f".{home or name}", __name__)
    if home:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names alone; what this file imports for itself is none."""
    return [*__all__, "__version__"]
