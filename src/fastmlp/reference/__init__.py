"""Reference implementation: the same networks in plain float64 NumPy, and in single scalars.

`Network` states each equation of training beside the line that computes it; `Value` differentiates
any scalar formula automatically, and `ScalarNetwork` builds the networks from it, so the
derivatives that `Network` writes out by hand have an independent witness. Neither is meant to be
fast, and neither touches the compiled core: nothing here imports anything but NumPy and the
standard library.
"""

from __future__ import annotations

from .network import Network
from .random import dropout_mask, philox
from .scalar import ScalarNetwork, Value

__all__ = ["Network", "ScalarNetwork", "Value", "dropout_mask", "philox"]


def __dir__() -> list[str]:
    return __all__
