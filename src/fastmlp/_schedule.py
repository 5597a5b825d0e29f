"""What a schedule is: the rates of an epoch's steps, a state, time counted in epochs or steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._options import Option, choice

State = dict[str, Any]


class Schedule(Option, ABC):
    """Base of the schedules."""

    @property
    def monitor(self) -> str | None:
        """Name of the quantity `observe` is given; None: val_loss, or loss without validation."""
        return None

    def initial_state(self) -> State:
        """Return the state before the first epoch, a dict that JSON can hold; mostly empty."""
        return {}

    def observe(self, state: State, value: float) -> State:
        """Return the state after an epoch whose monitored quantity was `value`."""
        return state

    def rates(
        self,
        base: float,
        epoch: int,
        epochs: int,
        first_step: int,
        steps: int,
        *,
        state: State | None = None,
    ) -> np.ndarray:
        """Return the learning rates of all steps of one epoch, wherever in it training stands.

        Parameters
        ----------
        base : float
            The optimizer's learning rate.
        epoch : int
            0-based number of the epoch in the call of fit, or in the one that is resumed.
        epochs : int
            Number of epochs planned for that call.
        first_step : int
            0-based number of the epoch's first step in that call: not of the step that comes next.
        steps : int
            Number of steps of an epoch.
        state : dict, optional
            What `initial_state` and `observe` returned; only Plateau, and Warmup before it, use it.

        Returns
        -------
        float64 array, (steps,), or (1,) where one rate holds for the whole epoch
        """
        index = first_step + np.arange(steps, dtype=np.float64)
        state = state or self.initial_state()
        with np.errstate(all="ignore"):  # a factor's power may be too large or small for a float
            return self._rates(base, epoch, epochs, index, epochs * steps, state)

    @abstractmethod
    def _rates(
        self, base: float, epoch: int, epochs: int, index: np.ndarray, total: int, state: State
    ) -> np.ndarray:
        """Return the rates of the steps `index` (steps,) of `total`, in `epoch` of `epochs`."""


@dataclass(frozen=True)
class TimedSchedule(Schedule):
    """Base of the schedules that are a function of time, counted in epochs or in steps."""

    by: str = field(default="epoch", kw_only=True)

    def __post_init__(self) -> None:
        self._assign(by=choice("by", self.by, ("epoch", "step")))

    @abstractmethod
    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        """Return m at the times `t` (float64) of `planned` epochs or steps, as `by` says."""

    def _rates(
        self, base: float, epoch: int, epochs: int, index: np.ndarray, total: int, state: State
    ) -> np.ndarray:
        if self.by == "epoch":
            return base * self.multiplier(np.array([epoch], dtype=np.float64), max(epochs, 1))
        return base * self.multiplier(index, max(total, 1))
