"""Multilayer perceptrons trained fast on the cores of an ordinary CPU."""

from __future__ import annotations

from typing import Any

from . import activations, augment, initializers, losses, metrics, optimizers, schedules
from .callbacks import Callback, Checkpoint, CSVLog
from .config import show_config
from .errors import DivergenceError
from .history import History
from .network import Network, load
from .optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop, Rprop
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


def __getattr__(name: str) -> Any:
    """Import on demand what training does not need: data sets, the reference, the version."""
    if name in ("datasets", "reference"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name == "__version__":
        from importlib.metadata import version

        return version("fastmlp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
