"""Run: a call of fit under way; the end of each epoch, and the end of the training, in order."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._data.dataset import Dataset
from .._model import Model, Pair
from .._monitor import monitored
from ..errors import DivergenceError
from ..history import History
from ..schedules import Constant
from ..stopping import EarlyStopping, StopRule
from .interrupts import Interrupts
from .progress import ProgressBar
from .scores import evaluate
from .session import (
    Best,
    Session,
    State,
    Training,
    captured,
    check_resumable,
    check_same_data,
    fingerprints,
    fresh_session,
)
from .settings import FitSettings

# A training that one of these stopped can be resumed; every other reason is the end of it.
_RESUMABLE = ("interrupted", "error", "time budget", "callback")


class Run:
    """One call of fit under way: its data, its session, and what happens when an epoch ends."""

    def __init__(
        self,
        owner: Any,
        model: Model,
        training: Training,
        data: Dataset,
        validation: Dataset | None,
        settings: FitSettings,
    ) -> None:
        self.owner, self.model, self.training, self.settings = owner, model, training, settings
        self.data, self.validation, self.callbacks = data, validation, settings.callbacks
        self.rules = settings.lasting_rules
        self.interrupts = Interrupts()
        kept = training.optimizer == settings.optimizer
        self.trainer: Any = training.trainer if kept else None
        steps = self.trainer.step if self.trainer is not None else 0
        if settings.resume:
            session = check_resumable(training.session, settings.spec())
            check_same_data(session, fingerprints(data, validation))
            self.session = session.snapshot()
        else:
            initial = settings.schedule.initial_state()
            self.session = fresh_session(training, steps, initial, self.rules)
        self.history = self.session.history
        self.trainer_settings: dict[str, Any] = {}

    @property
    def end(self) -> int:
        """The network's epochs when all that were asked for are done."""
        return self.session.began[0] + self.settings.epochs

    @property
    def plain(self) -> bool:
        """Whether nothing has to happen between two epochs."""
        idle = isinstance(self.settings.schedule, Constant) and not self.callbacks
        return idle and not self.settings.stop and self.validation is None

    def _begin(self) -> None:
        """Make the call's state the network's; nothing has changed before."""
        training, session = self.training, self.session
        if self.settings.resume:  # first, as a callback may refuse what a file says of it
            for callback, state in zip(self.callbacks, session.callback_states, strict=True):
                callback.set_state(copy.deepcopy(state))
        if training.trainer is not self.trainer:
            training.kept_average = training.average(self.model)
        training.optimizer, training.trainer = self.settings.optimizer, self.trainer
        if self.trainer is not None:
            training.trainer_settings = self.trainer_settings
        training.session, training.history, training.rules = session, self.history, self.rules
        if training.columns is None:
            training.columns = self.data.columns
        session.running = lambda: (
            self.settings.spec(),
            captured(self.callbacks),
            fingerprints(self.data, self.validation),
        )
        if not self.settings.resume:
            for callback in self.callbacks:
                callback.reset()
            return
        if session.last is not None:
            self.model.set_parameters(session.last)
            session.last = None
        if session.epoch_state is not None:
            self.trainer.set_epoch_state(**session.epoch_state)
            for layer, pair in zip(self.model.layers, session.epoch_start or (), strict=True):
                self.trainer.set_epoch_start(layer, *pair)
        session.epoch_state = session.epoch_start = None
        self.history.stopped_by, self.history.best_epoch = "", session.best_epoch()

    def complete(self, train: Callable[[], str | None]) -> History:
        """Train, and settle whatever ended it; the caller gets the history, or the error."""
        history = self.history
        budget = self.settings.budget
        self.clock = time.perf_counter
        self.epoch_began = self.clock()
        self.deadline = None if budget is None else self.epoch_began + budget
        with self.interrupts:
            self._begin()
            began = self.training.epochs
            self.bar = ProgressBar(self.end - self.session.began[0], self.settings.progress)
            self.bar.show(began - self.session.began[0])
            history.stopped_by = "error"
            try:
                for callback in self.callbacks:
                    with self.interrupts.immediate():
                        callback.on_fit_start(self.owner, history)
                history.stopped_by = self._take_up() or train() or "epochs"
                self.interrupts.check()
            except KeyboardInterrupt:
                history.stopped_by = "interrupted"
                raise
            except DivergenceError as error:
                history.stopped_by = "divergence"
                error.history = history
                raise
            finally:
                self._settle()
                self.bar.close()
                self._end_callbacks()
        return history

    def _end_callbacks(self) -> None:
        """Call every on_fit_end, and raise the first error of one when all were called."""
        failed: BaseException | None = None
        for callback in self.callbacks:
            try:
                with self.interrupts.immediate():
                    callback.on_fit_end(self.owner, self.history)
            except BaseException as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _take_up(self) -> str | None:
        """Finish the epoch whose end was cut off in the call that is resumed."""
        session = self.session
        if session.record is not None:
            if self.history.epochs[-1:] == [session.record["epoch"]]:
                self.history.drop_last()
            return self.end_epoch(session.record)
        if session.next_callback is not None:
            return self._call_back()
        return session.due

    def _settle(self) -> None:
        """Leave the network in order: best weights if they are wanted, what can be resumed."""
        session, training, history = self.session, self.training, self.history
        stopped_by = history.stopped_by
        trainer = self.trainer
        training.kept_average = training.average(self.model)
        resumable = stopped_by in _RESUMABLE and not self.settings.uses_lbfgs
        if trainer is not None:
            position = trainer.epoch_state
            if resumable and position["position"] and self._finite():
                session.epoch_state = position
                session.epoch_start = [trainer.get_epoch_start(l) for l in self.model.layers]
            trainer.restart_epoch()
        if session.record is not None:
            history.append(session.record)
        history.best_epoch = session.best_epoch()
        best = session.best_to_restore()
        if best is not None and stopped_by not in ("interrupted", "error", "divergence"):
            if best.epoch != training.epochs:
                session.last = self.model.get_parameters() if resumable else None
                self.model.set_parameters(best.parameters or ())
        if resumable:
            session.detach()
        else:
            training.session = None
        session.running = None
        training.rules = ()

    def _finite(self) -> bool:
        return all(np.isfinite(a).all() for pair in self.model.get_parameters() for a in pair)

    # -- the end of an epoch -----------------------------------------------------------------------

    def end_plain_epochs(self, seconds: float, **quantities: list[float]) -> None:
        """Record epochs between which nothing had to happen; `quantities` has an item for each."""
        losses = quantities["loss"]
        numbers = range(self.training.epochs + 1, self.training.epochs + 1 + len(losses))
        self.training.epochs += len(losses)
        self.history.extend({"epoch": numbers, "seconds": [seconds] * len(losses), **quantities})
        self._show()

    def end_epoch(self, record: dict[str, Any]) -> str | None:
        """Record an epoch that has ended, and return why training stops here, or None.

        `record` has "epoch", "loss" and what else the epoch itself tells; validation, rules and
        callbacks follow. Cut off in any of these, the session knows what is left to do.
        """
        session, has_validation = self.session, self.validation is not None
        session.record = {**record, "seconds": self._seconds()}
        if self.validation is not None:
            try:
                with self.interrupts.immediate():
                    found = evaluate(
                        self.model,
                        self.validation,
                        self.settings.threads,
                        brief=True,
                        stop=self._out_of_time,
                    )
            except _core.Stopped:
                return "time budget"
            record = {**record, **{f"val_{name}": value for name, value in found.items()}}
        began = self.clock()
        self.history.append({**record, "seconds": self._seconds()})
        session.record = None
        self._show()
        last = self.history.last
        _, watched = monitored(last, self.settings.schedule.monitor, has_validation)
        session.schedule_state = self.settings.schedule.observe(session.schedule_state, watched)
        parameters = self.model.get_parameters
        epoch = self.training.epochs
        session.due = observe(session, self.rules, last, epoch, has_validation, parameters)
        self.history.best_epoch = session.best_epoch()
        session.next_callback = 0
        reason = self._call_back()
        self.history.add_seconds(self.clock() - began)
        self.epoch_began = self.clock()
        return reason

    def _seconds(self) -> float:
        return self.clock() - self.epoch_began

    def _call_back(self) -> str | None:
        """Call the callbacks that have not been called for the last epoch; return why to stop."""
        session = self.session
        for i in range(session.next_callback or 0, len(self.callbacks)):
            session.next_callback = i + 1
            with self.interrupts.immediate():
                ended = self.callbacks[i].on_epoch_end(self.owner, self.history)
            session.due = session.due or ("callback" if ended else None)
        session.next_callback = None
        due, session.due = session.due, None
        return due or ("time budget" if self._out_of_time() else None)

    def _out_of_time(self) -> bool:
        return self.deadline is not None and self.clock() >= self.deadline

    def _show(self, share: float = 0.0) -> None:
        """Move the progress bar to the epochs that ended and a share of the one under way."""
        done = self.training.epochs - self.session.began[0] + share
        self.bar.show(done, None if share else self.history.last)

    def show_share(self, rows_done: int) -> None:
        """Move the progress bar within an epoch."""
        self._show(rows_done / self.data.n_rows)


def observe(
    session: Session,
    rules: Sequence[StopRule],
    record: State,
    epoch: int,
    has_validation: bool,
    parameters: Callable[[], list[Pair]],
) -> str | None:
    """Show an epoch's record to the stop rules; return the first one's reason to stop, or None."""
    reason = None
    for i, rule in enumerate(rules):
        state, why, improved = rule.observe(session.rule_states[i], record, has_validation)
        session.rule_states[i] = state
        reason = reason or why
        if isinstance(rule, EarlyStopping) and improved:
            session.best[i] = Best(epoch, parameters() if rule.restore_best else None)
    return reason
