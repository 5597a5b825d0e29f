"""The lists behind `Network.weights` and `Network.biases`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


class Parameters(list):
    """The weights or biases of all layers; assigning an item sets that layer of the network."""

    def __init__(
        self, arrays: Iterable[np.ndarray], assign: Callable[[list[Any]], list[np.ndarray]]
    ) -> None:
        super().__init__(arrays)
        self._assign = assign

    def __setitem__(self, index: Any, value: Any) -> None:
        changed = list(self)
        changed[index] = value
        super().__setitem__(slice(None), self._assign(changed))

    def __reduce__(self) -> Any:
        return list, (list(self),)
