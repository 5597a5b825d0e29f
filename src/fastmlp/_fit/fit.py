"""The training of a network: arguments checked, the engine run in slices of time, epochs recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .. import _options as options
from .._data.dataset import Targets, as_rows, as_sample_weight, as_targets, with_class_weight
from .._fit.interrupts import Interrupts
from .._fit.scores import classifies
from ..augment import Affine, Augmentation, Mask, resolve_augment
from ..callbacks import Callback, Checkpoint, resolve_callbacks
from ..errors import DivergenceError
from ..history import History, monitored
from ..optimizers import LBFGS, OPTIMIZERS, Optimizer
from ..schedules import Constant, Schedule, resolve_schedule
from ..splitting import split_indices
from ..stopping import EarlyStopping, StopRule, TimeBudget, resolve_stop

if TYPE_CHECKING:
    from ..network import Network

SLICE = 0.05  # seconds between two looks at signals and the progress bar
MOST_EPOCHS = 4096  # of a slice: to put down so many takes Python another 0.1 s or so


@dataclass
class Progress:
    """What a later call of fit goes on from, and a saved network carries along."""

    optimizer: Optimizer
    ema: float | None = None
    trainer: Any = None  # _core.Trainer with the optimizer's moments; None for L-BFGS
    settings: dict[str, Any] = field(default_factory=dict)  # that it was made with
    schedule: Schedule = field(default_factory=Constant)
    schedule_state: dict[str, Any] = field(default_factory=dict)
    schedule_began: tuple[int, int] = (
        0,
        0,
    )  # epochs and steps of the network before the schedule's first
    stop: tuple[StopRule, ...] = ()
    stop_states: list[dict[str, Any]] = field(default_factory=list)
    best: np.ndarray | None = None  # parameters of the best epoch, in the engine's order
    best_epoch: int | None = None
    last: np.ndarray | None = None  # parameters that restoring the best ones put aside
    callbacks: dict[str, Callback] = field(default_factory=dict)
    loaded_states: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # of callbacks, from a file

    @property
    def callback_states(self) -> dict[str, dict[str, Any]]:
        """The states of the callbacks as they are at this moment, by place and class."""
        return {**self.loaded_states, **{name: c.get_state() for name, c in self.callbacks.items()}}

    def average(self) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return the averaged (weights, bias) of every layer, or None."""
        if self.trainer is None or not self.trainer.averages:
            return None
        return [self.trainer.get_average(layer) for layer in range(1, len(self.trainer.net.sizes))]


@dataclass
class Data:
    """Rows to train on, and to validate on."""

    X: np.ndarray
    targets: Targets
    weights: np.ndarray | None
    rows: np.ndarray | None  # uint32, those to train on; None for all
    validation: tuple[np.ndarray, Targets, np.ndarray | None, np.ndarray | None] | None

    @cached_property
    def core(self) -> _core.Data:
        return _core.Data(self.X, self.targets.array, self.targets.labels, self.weights, self.rows)

    @property
    def n_rows(self) -> int:
        return len(self.X) if self.rows is None else len(self.rows)


def fit(network: Network, X: Any, y: Any, **arguments: Any) -> History:
    """Train a network; the arguments are those of `Network.fit`, all of them."""
    epochs = options.integer("epochs", arguments["epochs"], 0)
    batch_size = options.integer("batch_size", arguments["batch_size"], 1)
    optimizer = options.resolve("optimizer", arguments["optimizer"], OPTIMIZERS)
    ema = (
        arguments["ema"]
        if arguments["ema"] is None
        else options.real("ema", arguments["ema"], 0, 1, "()")
    )
    clip = arguments["clip_norm"]
    clip_norm = 0.0 if clip is None else options.real("clip_norm", clip, 0, bounds="()")
    threads = (
        0
        if arguments["threads"] is None
        else options.integer("threads", arguments["threads"], 1, 256)
    )
    augment = resolve_augment(arguments["augment"], network.sizes[0])
    shuffle = options.boolean("shuffle", arguments["shuffle"])
    record_norms = options.boolean("record_norms", arguments["record_norms"])
    schedule = resolve_schedule(arguments["schedule"])
    stop = resolve_stop(arguments["stop"])
    callbacks = resolve_callbacks(arguments["callbacks"])
    data = _checked_data(network, X, y, arguments, threads)
    shown = arguments["progress"]
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    bar = on_terminal if shown is None else options.boolean("progress", shown)
    if isinstance(optimizer, LBFGS):
        _check_lbfgs(
            network,
            schedule=arguments["schedule"],
            augment=augment,
            clip_norm=clip,
            ema=ema,
            record_norms=record_norms,
        )
    watching = [
        schedule,
        *stop,
        *(c for c in callbacks if isinstance(c, Checkpoint) and c.keep_best),
    ]
    monitors = [getattr(rule, "monitor", None) for rule in watching]
    _check_monitors(network, data, monitors, optimizer, record_norms)

    run = Run(network, data, epochs, schedule, stop, callbacks, optimizer, ema, threads)
    if isinstance(optimizer, LBFGS):
        from .._fit.lbfgs import train

        return run.complete(lambda: train(run, optimizer, threads), bar)
    run.progress.trainer = _trainer(
        network, run.progress, batch_size=min(batch_size, data.n_rows), shuffle=shuffle, clip_norm=clip_norm,
        record_norm=record_norms, threads=threads, augment=[_augment_fields(a) for a in augment],
    )  # fmt: skip
    return run.complete(lambda: _train(run, batch_size, record_norms), bar)


def _check_lbfgs(network: Network, **given: Any) -> None:
    """Raise ValueError for what L-BFGS has no place for: all that is not one fixed cost."""
    given.update(dropout=any(network.dropout), max_norm=network.max_norm)
    for name, value in given.items():
        if value:
            raise ValueError(
                f"{name} does not go with L-BFGS, which minimises one fixed cost over the whole set"
            )


def _check_monitors(
    network: Network,
    data: Data,
    monitors: Sequence[str | None],
    optimizer: Optimizer,
    record_norms: bool,
) -> None:
    """Raise ValueError if a quantity that is to be watched will not be in the record of an epoch."""
    names = ["epoch", "seconds", "loss"]
    if not isinstance(optimizer, LBFGS):
        names += ["learning_rate", *(["gradient_norm", "step_size"] if record_norms else [])]
    if data.validation is not None:
        names += ["val_loss", "val_accuracy" if classifies(network) else "val_r2"]
    for monitor in monitors:
        monitored(dict.fromkeys(names, 0.0), monitor, data.validation is not None)


def _checked_data(
    network: Network, X: Any, y: Any, arguments: dict[str, Any], threads: int
) -> Data:
    X = as_rows("X", X, network.sizes[0])
    targets = as_targets("y", y, network, len(X))
    weights = as_sample_weight(arguments["sample_weight"], len(X))
    stratify = options.boolean("stratify", arguments["stratify"])
    network._net.check_finite(X, "X", threads)
    rows: np.ndarray | None = None
    validation: tuple[np.ndarray, Targets, np.ndarray | None, np.ndarray | None] | None = None
    given = arguments["validation"]
    if isinstance(given, list | tuple):
        if len(given) != 2:
            raise ValueError(
                f"validation must be a pair (X, y) or a share of the rows, got {len(given)} items"
            )
        Xv = as_rows("validation[0]", given[0], network.sizes[0])
        yv = as_targets("validation[1]", given[1], network, len(Xv), "validation[0]")
        network._net.check_finite(Xv, "validation[0]", threads)
        validation = (Xv, yv, None, None)
    elif given is not None:
        share = options.real("validation", given, 0, 1, "()")
        labels = targets.array.reshape(len(X), -1)[:, 0] if stratify else None
        if labels is not None and not targets.labels:
            if not np.isin(labels, (0, 1)).all() or targets.array.size != len(X):
                raise ValueError("stratify needs integer labels, or 0 and 1 for one output, as y")
            labels = labels.astype(np.int64)
        try:
            parts = split_indices(labels, len(X), (1 - share, share), stratify, network.seed)
        except ValueError:
            message = f"validation must leave rows on either side, got {share:g} of {len(X)} rows"
            raise ValueError(message) from None
        rows, held = (np.sort(part).astype(np.uint32) for part in parts)
        validation = (X, targets, weights, held)
    training_weights = with_class_weight(
        arguments["class_weight"], targets, network.sizes[-1], weights, rows
    )
    if training_weights is not None and rows is not None and not training_weights[rows].any():
        raise ValueError("sample_weight must not be 0 for all rows that are trained on")
    return Data(X, targets, training_weights, rows, validation)


def _augment_fields(augmentation: Augmentation) -> dict[str, Any]:
    """Return an augmentation as the fields of the engine's fm_augment."""
    fields: dict[str, Any] = dict.fromkeys(
        ("amount", "rotate", "shear", "shift", "zoom", "fill"), 0.0
    )
    fields.update(height=0, width=0, planes=0)
    if isinstance(augmentation, Affine):
        height, width, *planes = augmentation.shape
        fields.update(
            kind=_core.AUGMENT_AFFINE, height=height, width=width, planes=planes[0] if planes else 1
        )
        fields.update(rotate=np.deg2rad(augmentation.rotate), shear=np.deg2rad(augmentation.shear))
        fields.update(shift=augmentation.shift, zoom=augmentation.zoom, fill=augmentation.fill)
    elif isinstance(augmentation, Mask):
        fields.update(kind=_core.AUGMENT_MASK, amount=augmentation.probability)
    else:
        fields.update(kind=_core.AUGMENT_NOISE, amount=augmentation.sigma)  # type: ignore[attr-defined]
    return fields


def _trainer(network: Network, progress: Progress, **settings: Any) -> Any:
    """Return an engine's trainer with these settings and the progress's moments and averages."""
    old = progress.trainer
    settings.update(
        l1=network.l1, l2=network.l2, max_norm=network.max_norm or 0.0, ema=progress.ema or 0.0
    )
    if old is not None and progress.settings == settings and old.epoch == network.epochs:
        return old
    progress.settings = settings
    trainer = _core.Trainer(
        network._net,
        progress.optimizer.name,
        progress.optimizer.constants,
        progress.optimizer.moments,
        seed=network.seed,
        epoch=network.epochs,
        step=old.step if old else 0,
        **settings,
    )
    if old:
        trainer.adopt(old)
    return trainer


class Run:
    """One call of fit: its data, the record of its epochs, and all that happens at the end of one."""

    def __init__(
        self, network: Network, data: Data, epochs: int, schedule: Schedule, stop: tuple[StopRule, ...],
        callbacks: Sequence[Callback], optimizer: Optimizer, ema: float | None, threads: int,
    ) -> None:  # fmt: skip
        self.network, self.data, self.epochs, self.callbacks = network, data, epochs, callbacks
        self.threads = threads
        self.interrupts = Interrupts()
        self.history = History()
        self.began = network.epochs
        before = network._training
        self.progress = progress = Progress(optimizer, ema)
        if before is not None and before.optimizer == optimizer:
            progress.trainer, progress.settings = before.trainer, before.settings
        steps = progress.trainer.step if progress.trainer else 0
        progress.schedule, progress.schedule_state = schedule, schedule.initial_state()
        progress.schedule_began = (network.epochs, steps)
        if before is not None and before.optimizer == optimizer and before.schedule == schedule:
            progress.schedule_state, progress.schedule_began = (
                before.schedule_state,
                before.schedule_began,
            )
        progress.stop, progress.stop_states = stop, [rule.initial_state() for rule in stop]
        if before is not None and before.stop == stop and before.stop_states:
            for i, rule in enumerate(stop):
                if not isinstance(rule, TimeBudget):
                    progress.stop_states[i] = before.stop_states[i]
            progress.best, progress.best_epoch, progress.last = (
                before.best,
                before.best_epoch,
                before.last,
            )
        progress.callbacks = {
            f"{i}:{type(callback).__name__}": callback for i, callback in enumerate(callbacks)
        }
        states = {} if before is None else before.callback_states
        for name, callback in progress.callbacks.items():
            if name in states:
                callback.set_state(states[name])

    @property
    def plain(self) -> bool:
        """Whether nothing has to happen between two epochs."""
        idle = isinstance(self.progress.schedule, Constant) and not self.callbacks
        return idle and not self.progress.stop and self.data.validation is None

    def rates(self, batch_size: int) -> np.ndarray:
        """Return the learning rates of the epoch that comes: one, or one a step."""
        progress = self.progress
        epoch, step = progress.schedule_began
        return progress.schedule.rates(
            progress.optimizer.learning_rate,  # type: ignore[attr-defined]
            self.network.epochs - epoch,
            self.began + self.epochs - epoch,
            progress.trainer.step - step,
            -(-self.data.n_rows // batch_size),
            state=progress.schedule_state,
        )

    def complete(self, train: Any, bar: bool) -> History:
        """Run the training, whatever ends it, and leave network and history in order."""
        with self.interrupts:
            return self._complete(train, bar)

    def _complete(self, train: Any, bar: bool) -> History:
        network, progress, history = self.network, self.progress, self.history
        if progress.last is not None and progress.best is not None:
            if np.array_equal(network._net.get_params(), progress.best):
                network._net.set_params(
                    progress.last
                )  # go on from the last epoch, not from the best one
            progress.last = None
        network._training, network.history = progress, history
        self._bar = None
        if bar:
            from tqdm.auto import tqdm

            bar_format = "{l_bar}{bar}| {n:.4g}/{total} [{elapsed}<{remaining}{postfix}]"
            self._bar = tqdm(total=self.epochs, unit="epoch", miniters=0, bar_format=bar_format)
        history.stopped_by = "error"
        try:
            for callback in self.callbacks:
                with self.interrupts.immediate():
                    callback.on_fit_start(network, history)
            history.stopped_by = train() or "epochs"
            _core.warn_of_refused_threads()
            self.interrupts.check()
        except KeyboardInterrupt:
            history.stopped_by = "interrupted"
        except DivergenceError as error:
            history.stopped_by = "divergence"
            error.history = history
            raise
        finally:
            if progress.trainer is not None:
                progress.trainer.restart_epoch()
            self._restore_best()
            if self._bar is not None:
                self._bar.close()
            for callback in self.callbacks:
                with self.interrupts.immediate():
                    callback.on_fit_end(network, history)
        return history

    def _restore_best(self) -> None:
        progress, network = self.progress, self.network
        if progress.best is None or self.history.stopped_by in ("error", "divergence"):
            return
        self.history.best_epoch = progress.best_epoch
        if progress.best_epoch != network.epochs:
            if self.history.stopped_by == "epochs":
                progress.last = network._net.get_params()
            network._net.set_params(progress.best)
        if self.history.stopped_by not in ("epochs", "interrupted", "callback"):
            progress.stop_states = []  # the rule has done its work: a later fit starts it afresh

    def end_plain_epochs(self, seconds: float, **quantities: Sequence[float]) -> None:
        """Record epochs between which nothing had to happen; `quantities` has one item for each of them."""
        losses = quantities["loss"]
        numbers = range(self.network.epochs + 1, self.network.epochs + 1 + len(losses))
        self.network.epochs += len(losses)
        self.history.extend({"epoch": numbers, "seconds": [seconds] * len(losses), **quantities})
        self._show(0, losses[-1])

    def end_epoch(self, loss: float, seconds: float, **quantities: float) -> str | None:
        """Record an epoch that has ended, and return why training stops here, or None."""
        network, progress, history = self.network, self.progress, self.history
        record: dict[str, Any] = {
            "epoch": network.epochs,
            "seconds": seconds,
            "loss": loss,
            **quantities,
        }
        if self.data.validation is not None:
            X, targets, weights, rows = self.data.validation
            found = network._evaluate(X, targets, weights, rows, self.threads, brief=True)
            record.update((f"val_{name}", value) for name, value in found.items())
        history.append(record)
        self._show(0, loss)
        has_validation = self.data.validation is not None
        _, watched = monitored(record, progress.schedule.monitor, has_validation)
        progress.schedule_state = progress.schedule.observe(progress.schedule_state, watched)
        reason = None
        for i, rule in enumerate(progress.stop):
            progress.stop_states[i], why, improved = rule.observe(
                progress.stop_states[i], record, has_validation
            )
            reason = reason or why
            if isinstance(rule, EarlyStopping) and improved:
                history.best_epoch = progress.best_epoch = network.epochs
                if rule.restore_best:
                    progress.best = network._net.get_params()
        for callback in self.callbacks:
            with self.interrupts.immediate():
                ended = callback.on_epoch_end(network, history)
            reason = reason or ("callback" if ended else None)
        return reason

    def _show(self, share: float, loss: float | None = None) -> None:
        """Move the progress bar to the epochs that ended and a share of the one under way."""
        if self._bar is not None:
            if loss is not None:
                last, ends = self.history.last, ("loss", "accuracy", "r2")
                shown = {key: f"{value:.4g}" for key, value in last.items() if key.endswith(ends)}
                self._bar.set_postfix(shown, refresh=False)
            done = self.network.epochs - self.began + share
            self._bar.update(done - self._bar.n)  # draws ten times a second


def _train(run: Run, batch_size: int, record_norms: bool) -> str | None:
    """Train by mini-batches until the epochs have ended or something stops it, and return what."""
    network, data, trainer = run.network, run.data, run.progress.trainer
    end = run.began + run.epochs
    clock, began = time.perf_counter, time.perf_counter()
    rows_done = 0
    while network.epochs < end:
        if rows_done == 0:
            rates = run.rates(batch_size)
        most = end - network.epochs if run.plain and len(rates) == 1 else 1
        losses, norms, step_sizes, rows_done, diverged = trainer.run(
            data.core, rates, min(most, MOST_EPOCHS), SLICE, run.interrupts.is_pending
        )
        ended = {"loss": losses, "learning_rate": [float(rates.mean())] * len(losses)}
        if record_norms:
            ended.update(gradient_norm=norms, step_size=step_sizes)
        if losses:
            seconds = (clock() - began) / len(losses)
            began = clock()
        if losses and run.plain:
            run.end_plain_epochs(seconds, **ended)
        elif losses:  # one
            network.epochs += 1
            reason = run.end_epoch(
                seconds=seconds, **{key: values[0] for key, values in ended.items()}
            )
            if reason:
                return reason
            began = clock()
        if diverged:
            raise DivergenceError(
                f"the loss stopped being finite in epoch {network.epochs + 1}: the last finite weights are kept; "
                "try a smaller learning rate, clip_norm or scaled inputs"
            )
        run._show(rows_done / data.n_rows)
        run.interrupts.check()
        _core.warn_of_refused_threads()  # now that what was trained is recorded
    return None
