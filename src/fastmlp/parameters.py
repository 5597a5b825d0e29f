"""The lists behind `Network.weights` and `Network.biases`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .network import Network


class Parameters(list):
    """The weights or biases of all layers; assigning an item sets that layer of the network."""

    def __init__(self, arrays: Iterable[np.ndarray], network: Network, which: str) -> None:
        super().__init__(arrays)
        self._network, self._which = network, which

    def __setitem__(self, index: Any, value: Any) -> None:
        changed = list(self)
        changed[index] = value
        setattr(self._network, self._which, changed)
        super().__setitem__(slice(None), getattr(self._network, self._which))

    def __reduce__(self) -> Any:
        return list, (list(self),)
