"""Rules that stop a training early: early stopping, tolerance, time budget, target loss.

A rule is a frozen option; what it remembers from epoch to epoch is a dict that JSON can hold. Every
call of fit begins with the rules' initial states and without best weights; only fit(resume=True)
takes up those of the call that was cut off.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from ._options import Option, as_tuple, boolean, integer, real, resolve, string, type_error
from .history import improves, maximised, monitored

__all__ = ["STOP_RULES", "EarlyStopping", "StopRule", "TargetLoss", "TimeBudget", "Tolerance"]


def __dir__() -> list[str]:
    return __all__


State = dict[str, Any]


class StopRule(Option, ABC):
    """Base of the stop rules."""

    def initial_state(self) -> State:
        """Return the state before the first epoch."""
        return {}

    @abstractmethod
    def observe(
        self, state: State, record: Mapping[str, Any], has_validation: bool
    ) -> tuple[State, str | None, bool]:
        """Look at an epoch that has ended.

        Parameters
        ----------
        state : dict
            What `initial_state` or the epoch before returned; it is not changed.
        record : dict
            The epoch's quantities, "seconds" among them.
        has_validation : bool
            Whether the training has a validation set.

        Returns
        -------
        state : dict
            The state after the epoch.
        reason : str or None
            Why training stops here, for `History.stopped_by`, or None if it goes on.
        improved : bool
            Whether early stopping found the epoch the best so far; False for every other rule.

        Raises
        ------
        ValueError
            The monitored quantity is not in the record.
        """


@dataclass(frozen=True)
class EarlyStopping(StopRule):
    """Stop when a quantity gets no better, and go back to the best weights; name "early_stopping".

    Parameters
    ----------
    patience : int, default 5
        Number of epochs in a row without improvement after which training stops, >= 1.
    monitor : str, optional
        The quantity: "loss", "val_loss", or a metric of the history; accuracies and the like count
        as better when higher. None for "val_loss" where there is validation, else "loss". This and
        what follows is given by keyword.
    min_delta : float, default 0.0
        An epoch improves when its quantity is better than the best so far by more than this, in [0,
        inf).
    restore_best : bool, default True
        Whether the network ends with the weights of the best epoch of this call of fit.

    References
    ----------
    L. Prechelt, "Early stopping — but when?", in Neural Networks: Tricks of the Trade, Springer,
    1998.
    """

    name: ClassVar[str] = "early_stopping"
    patience: int = 5
    _: KW_ONLY
    monitor: str | None = None
    min_delta: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.patience, str):
            hint = f": did you mean monitor={self.patience!r}?"
            raise type_error("patience", "an integer in [1, inf)", self.patience, hint)
        if self.monitor is not None:
            self._assign(monitor=string("monitor", self.monitor))
        self._assign(
            patience=integer("patience", self.patience, 1),
            min_delta=real("min_delta", self.min_delta, 0),
            restore_best=boolean("restore_best", self.restore_best),
        )

    def initial_state(self) -> State:
        """Return {"best": None, "waited": 0}."""
        return {"best": None, "waited": 0}

    def observe(
        self, state: State, record: Mapping[str, Any], has_validation: bool
    ) -> tuple[State, str | None, bool]:
        quantity, value = monitored(record, self.monitor, has_validation)
        best = state["best"]
        if improves(quantity, value, best, self.min_delta):
            return {"best": value, "waited": 0}, None, True
        waited = state["waited"] + 1
        reason = None
        if waited >= self.patience:
            mark = math.nan if best is None else best
            reason = f"early stopping: {quantity} no better than {mark:.6g}"
            reason += f" for {waited} epoch{'' if waited == 1 else 's'}"
        return {"best": best, "waited": waited}, reason, False


@dataclass(frozen=True)
class Tolerance(StopRule):
    """Stop when the training loss falls by too little, name "tolerance".

    Parameters
    ----------
    tolerance : float, default 1e-4
        In [0, inf), in the unit of the loss.
    patience : int, default 10
        Stop after so many epochs in a row, >= 1, whose loss is not below the lowest before them by
        more than `tolerance`; scikit-learn's tol and n_iter_no_change.
    """

    name: ClassVar[str] = "tolerance"
    tolerance: float = 1e-4
    patience: int = 10

    def __post_init__(self) -> None:
        self._assign(
            tolerance=real("tolerance", self.tolerance, 0),
            patience=integer("patience", self.patience, 1),
        )

    def initial_state(self) -> State:
        """Return {"best": None, "waited": 0}."""
        return {"best": None, "waited": 0}

    def observe(
        self, state: State, record: Mapping[str, Any], has_validation: bool
    ) -> tuple[State, str | None, bool]:
        quantity, value = monitored(record, "loss", has_validation)
        best = state["best"]
        waited = 0 if improves(quantity, value, best, self.tolerance) else state["waited"] + 1
        # Unlike early stopping, a fall within the tolerance lowers the mark too: a slow, steady
        # fall stops.
        lowest = value if improves(quantity, value, best) else best
        return (
            {"best": lowest, "waited": waited},
            "tolerance" if waited >= self.patience else None,
            False,
        )


@dataclass(frozen=True)
class TimeBudget(StopRule):
    """Stop when a call of fit has taken a given time, name "time_budget".

    Wall-clock time counts, validation and callbacks included, from the start of the call, also of
    one that resumes: `fit(..., resume=True)` has the whole budget again. Training stops at the end
    of the epoch in which it is used up; a validation that is under way then is given up, and done
    when the training is resumed.

    Parameters
    ----------
    seconds : float
        In (0, inf).
    """

    name: ClassVar[str] = "time_budget"
    seconds: float

    def __post_init__(self) -> None:
        self._assign(seconds=real("seconds", self.seconds, 0, bounds="()"))

    def observe(
        self, state: State, record: Mapping[str, Any], has_validation: bool
    ) -> tuple[State, str | None, bool]:
        """Never stop by a record: the clock of the call decides."""
        return state, None, False


@dataclass(frozen=True)
class TargetLoss(StopRule):
    """Stop when a quantity reaches a target, name "target_loss".

    Parameters
    ----------
    loss : float
        The target, any finite number.
    monitor : str, default "loss"
        The quantity: "loss", "val_loss", or a metric of the history. Losses and errors reach the
        target from above; accuracies and the like from below.
    """

    name: ClassVar[str] = "target_loss"
    loss: float
    monitor: str = "loss"

    def __post_init__(self) -> None:
        self._assign(loss=real("loss", self.loss), monitor=string("monitor", self.monitor))

    def observe(
        self, state: State, record: Mapping[str, Any], has_validation: bool
    ) -> tuple[State, str | None, bool]:
        quantity, value = monitored(record, self.monitor, has_validation)
        reached = value >= self.loss if maximised(quantity) else value <= self.loss
        return state, "target loss" if reached else None, False


STOP_RULES: dict[str, type[StopRule]] = {
    cls.name: cls for cls in (EarlyStopping, Tolerance, TimeBudget, TargetLoss)
}


def resolve_stop(value: object) -> tuple[StopRule, ...]:
    """Return the stop rules that a user meant by `stop`.

    Parameters
    ----------
    value : None, str, StopRule or sequence of these
        Names stand for the rule's defaults, where it has them.

    Raises
    ------
    TypeError
        Something is not a stop rule.
    ValueError
        An unknown name, or two early stoppings that would both restore their best weights: a
        network can end with one epoch's weights only. Several of them are possible where at most
        one restores.
    """
    rules = tuple(resolve("stop", item, STOP_RULES) for item in as_tuple(value))
    if sum(isinstance(rule, EarlyStopping) and rule.restore_best for rule in rules) > 1:
        raise ValueError(
            "stop must have at most one EarlyStopping with restore_best=True, as a network can go "
            "back to the weights of one epoch only: give restore_best=False to the others"
        )
    return rules
