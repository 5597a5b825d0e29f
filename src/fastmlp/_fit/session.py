"""Training: what a network keeps between calls of fit; Session: where one call stands."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._data.dataset import Dataset
from .._model import Model, Pair
from ..history import History

if TYPE_CHECKING:  # a network that only predicts does without
    from ..callbacks import Callback
    from ..optimizers import Optimizer
    from ..stopping import StopRule

State = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Best:
    """The parameters of the epoch that an early stopping found the best."""

    epoch: int
    parameters: list[Pair] | None  # None where the rule does not restore them


@dataclass
class Session:
    """What a call of fit is in the midst of, and what `resume=True` takes up.

    Attributes
    ----------
    began : (int, int)
        Epochs and steps of the network when the call began: schedules count from there.
    history : History
    schedule_state, rule_states : dict, list of dict
        States of the schedule and of the stop rules, time budgets left out.
    best : list of Best or None
        For each of those rules the best epoch that it found.
    callback_states : list of dict
        States of the callbacks, once they are no longer at hand.
    epoch_state : dict or None
        Position in the epoch under way and the sums over it; None between two epochs.
    epoch_start : list of (weights, bias) or None
        The parameters as the epoch under way began.
    record : dict or None
        The record of an epoch whose validation was cut off.
    next_callback : int or None
        The callback to go on with where they were cut off; None where none is due.
    due : str or None
        Why the training is to stop.
    last : list of (weights, bias) or None
        The parameters that were put aside for the best ones, to go on from.
    spec : dict
        `FitSettings.spec` of the call, once the settings are no longer at hand.
    prints : dict
        Fingerprints of the data, once they are no longer at hand.
    running : callable or None
        While the call runs, it returns spec, callback_states and prints as they are.
    """

    began: tuple[int, int]
    history: History
    schedule_state: State
    rule_states: list[State]
    best: list[Best | None]
    callback_states: list[State] = field(default_factory=list)
    epoch_state: State | None = None
    epoch_start: list[Pair] | None = None
    record: dict[str, Any] | None = None
    next_callback: int | None = None
    due: str | None = None
    last: list[Pair] | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    prints: dict[str, Any] = field(default_factory=dict)
    running: Callable[[], tuple[State, list[State], dict[str, Any]]] | None = None

    def detach(self) -> None:
        """Take down what settings, callbacks and data are; no reference to them is kept."""
        if self.running is not None:
            self.spec, self.callback_states, self.prints = self.running()
            self.running = None

    def snapshot(self) -> Session:
        """Return a session of its own that stands where this one does; for files and copies."""
        taken = copy.copy(self)
        taken.detach()
        names = ("history", "schedule_state", "rule_states", "callback_states", "epoch_state")
        for name in (*names, "record", "spec", "prints"):
            setattr(taken, name, copy.deepcopy(getattr(taken, name)))
        taken.best = list(self.best)  # which do not change once they are made
        return taken

    def forget_best(self, rules: Sequence[StopRule]) -> None:
        """Drop what was best: its rules begin anew."""
        for i, (rule, best) in enumerate(zip(rules, self.best, strict=True)):
            if best is not None:
                self.best[i] = None
                self.rule_states[i] = rule.initial_state()

    def best_to_restore(self) -> Best | None:
        """Return the best epoch whose parameters are kept, if there is one."""
        return next((b for b in self.best if b is not None and b.parameters is not None), None)

    def best_epoch(self) -> int | None:
        """Return the epoch that early stopping found the best, first that to be restored."""
        found = self.best_to_restore() or next((b for b in self.best if b is not None), None)
        return None if found is None else found.epoch


def fingerprints(data: Dataset, validation: Dataset | None) -> dict[str, Any]:
    """Return what tells the data of one training from those of another."""
    own = validation is not None and validation.X is not data.X
    return {
        "training": data.fingerprint(),
        "validation": validation.fingerprint() if own and validation is not None else None,
    }


def captured(callbacks: Sequence[Callback]) -> list[State]:
    """Return the states of callbacks as they are at this moment."""
    return [copy.deepcopy(dict(callback.get_state())) for callback in callbacks]


@dataclass
class Training:
    """What a network keeps between calls of fit.

    Attributes
    ----------
    epochs : int
        Epochs trained so far: they name the random streams.
    history : History or None
        Of the last call of fit.
    optimizer : Optimizer or None
        Of the last call of fit; while it is equal its moments are kept.
    trainer : _core.Trainer or None
        The optimizer's moments, its count of steps; None before the first fit and for L-BFGS.
    trainer_settings : dict
        What the trainer was made with.
    columns : tuple of str or None
        Names of the columns of X, where it came with names.
    session : Session or None
        Of the call of fit that runs, or that was cut off.
    """

    epochs: int = 0
    history: History | None = None
    optimizer: Optimizer | None = None
    trainer: Any = None
    trainer_settings: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    session: Session | None = None
    rules: tuple[StopRule, ...] = ()  # of the session while it runs
    kept_average: list[Pair] | None = None  # averaged parameters where the trainer has none

    def average(self, model: Model) -> list[Pair] | None:
        """Return the averaged (weights, bias) of every layer, or None."""
        if self.trainer is not None and self.trainer.averages:
            return [self.trainer.get_average(layer) for layer in model.layers]
        return self.kept_average

    def parameters_assigned(self) -> None:
        """Drop all that could undo an assignment: best weights, averages, what could be resumed."""
        self.kept_average = None
        if self.trainer is not None:
            self.trainer.drop_average()
        if self.session is not None and self.session.running is not None:
            self.session.forget_best(self.rules)
        else:
            self.session = None


def fresh_session(
    training: Training, steps: int, schedule_state: State, rules: Sequence[StopRule]
) -> Session:
    """Return the session of a training that begins."""
    return Session(
        began=(training.epochs, steps),
        history=History(),
        schedule_state=schedule_state,
        rule_states=[rule.initial_state() for rule in rules],
        best=[None] * len(rules),
    )


def check_resumable(session: Session | None, spec: dict[str, Any]) -> Session:
    """Return the session to go on with.

    Raises
    ------
    ValueError
        There is none, or an argument of fit is not what it was.
    """
    if session is None:
        raise ValueError(
            "resume=True needs a training that was cut off, and there is nothing to resume: the "
            "last one came to its end, or weights were assigned after it"
        )
    for name, value in spec.items():
        if value != session.spec[name]:
            raise ValueError(
                f"resume=True needs the training that was cut off: {name} was "
                f"{_told(session.spec[name])}, now it is {_told(value)}"
            )
    return session


def check_same_data(session: Session, found: dict[str, Any]) -> None:
    """Raise ValueError that says what differs between the data and those of the session."""
    for role, prints in found.items():
        saved = session.prints.get(role)
        if saved == prints:
            continue
        if saved is None or prints is None:
            is_there = {True: "given", False: "not given"}
            was, now = is_there[saved is not None], is_there[prints is not None]
            raise ValueError(
                f"resume=True needs the training that was cut off: {role} data of their own were "
                f"{was}, now they are {now}"
            )
        for name in {**saved, **prints}:
            was, now = saved.get(name), prints.get(name)
            if was != now:
                where = f"{name} of the {role} data" if role != "training" else name
                raise ValueError(
                    f"resume=True needs the data of the training that was cut off: {where} "
                    f"{_difference(was, now)}"
                )


def _difference(was: Any, now: Any) -> str:
    if was is None or now is None:
        return "was not given then" if was is None else "was given then"
    for i, what in enumerate(("shape", "dtype")):
        if was[i] != now[i]:
            return f"had the {what} {_told(was[i])}, now it has {_told(now[i])}"
    return "has the same shape and dtype, but other values"


def _told(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        fields = ", ".join(f"{k}={v!r}" for k, v in value.items() if k != "name")
        return f"{value['name']}({fields})"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[" + ", ".join(map(_told, value)) + "]"
    return repr(tuple(value)) if isinstance(value, list) else repr(value)
