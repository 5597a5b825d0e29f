"""What this installation runs on: version, instruction sets, threads, compiler."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from . import _core

__all__ = ["config", "show_config"]


def __dir__() -> list[str]:
    return __all__


def config() -> dict[str, Any]:
    """Return the facts that `show_config` prints, as a dict."""
    from importlib.metadata import version

    return {
        "fastmlp": version("fastmlp"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "compiler": _core.COMPILER,
        "openmp": _core.OPENMP,
        "threads": _core.default_threads(),
        "instruction_set": _core.ISA,
        "instruction_sets": [name for name, supported in _core.instruction_sets() if supported],
        "compiled": [name for name, _ in _core.instruction_sets()],
    }


def show_config() -> None:
    """Print version, instruction set in use and those available, threads and compiler.

    The environment variable FASTMLP_ISA chooses the instruction set when the package is imported,
    OMP_NUM_THREADS the number of threads.
    """
    for key, value in config().items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):<17} {text}")
