"""FitSettings: the arguments of fit but for the data, checked once, at one gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _options as options
from .._model import Model
from .._monitor import monitored
from .._options.network import thread_count
from ..augment import Augmentation, resolve_augment
from ..callbacks import Callback, Checkpoint, resolve_callbacks
from ..optimizers import LBFGS, OPTIMIZERS, Optimizer
from ..schedules import Schedule, resolve_schedule
from ..stopping import StopRule, TimeBudget, resolve_stop
from .progress import wanted as progress_wanted

BATCH_SIZE = 64  # where the caller names none


@dataclass(frozen=True, eq=False)
class FitSettings:
    """What a call of fit was asked to do; the fields are `Network.fit`'s parameters, checked."""

    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    stop: tuple[StopRule, ...]
    validation: float | None  # the share of the rows to hold out; None also for a set of its own
    stratify: bool
    augment: tuple[Augmentation, ...]
    clip_norm: float | None
    ema: float | None
    shuffle: bool
    record_norms: bool
    callbacks: tuple[Callback, ...]
    progress: bool
    threads: int  # 0 for all there are
    resume: bool

    @classmethod
    def checked(cls, model: Model, given: dict[str, Any]) -> FitSettings:
        """Return the settings of a call of fit.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong or does not go with another; the message names it.
        """
        optimizer = options.resolve("optimizer", given["optimizer"], OPTIMIZERS)
        share = given["validation"]
        if share is None or isinstance(share, list | tuple):
            share = None
        else:
            share = options.real("validation", share, 0, 1, "()")
        clip = given["clip_norm"]
        size = given["batch_size"]
        settings = cls(
            epochs=options.integer("epochs", given["epochs"], 0),
            batch_size=BATCH_SIZE if size is None else options.integer("batch_size", size, 1),
            optimizer=optimizer,
            schedule=resolve_schedule(given["schedule"]),
            stop=resolve_stop(given["stop"]),
            validation=share,
            stratify=options.boolean("stratify", given["stratify"]),
            augment=tuple(resolve_augment(given["augment"], model.sizes[0])),
            clip_norm=None if clip is None else options.real("clip_norm", clip, 0, bounds="()"),
            ema=_decay(given["ema"], model.dtype),
            shuffle=options.boolean("shuffle", given["shuffle"]),
            record_norms=options.boolean("record_norms", given["record_norms"]),
            callbacks=_in_order(resolve_callbacks(given["callbacks"])),
            progress=progress_wanted(given["progress"]),
            threads=thread_count(given["threads"]),
            resume=options.boolean("resume", given["resume"]),
        )
        if isinstance(optimizer, LBFGS):
            _check_lbfgs(model, settings, given)
        return settings

    def check_rows(self, n_rows: int, given_batch_size: Any) -> None:
        """Raise ValueError where a batch of this size does not go with so many rows."""
        if self.uses_lbfgs and given_batch_size is not None and self.batch_size < n_rows:
            raise ValueError(
                f"batch_size must be at least the number of rows, {n_rows}, with L-BFGS, which "
                f"takes the whole set in every iteration, got {self.batch_size}"
            )

    @property
    def uses_lbfgs(self) -> bool:
        """Whether SciPy takes the steps, over the whole set."""
        return isinstance(self.optimizer, LBFGS)

    def columns(self, model: Model, has_validation: bool) -> list[str]:
        """Return what the record of an epoch holds, in order."""
        names = ["epoch", "seconds", "loss"]
        if not self.uses_lbfgs:
            names += ["learning_rate"]
            names += ["gradient_norm", "step_size"] if self.record_norms else []
        if has_validation:
            names += ["val_loss", "val_accuracy" if model.classifies else "val_r2"]
        return names

    def check_callbacks(self, model: Model, has_validation: bool) -> None:
        """Raise an error if a rule or a callback could not do its work when an epoch ends."""
        columns = self.columns(model, has_validation)
        best = [c for c in self.callbacks if isinstance(c, Checkpoint) and c.keep_best]
        for watching in (self.schedule, *self.stop, *best):
            monitor = getattr(watching, "monitor", None)
            monitored(dict.fromkeys(columns, 0.0), monitor, has_validation)
        for callback in self.callbacks:
            callback.check_record(columns)

    def spec(self) -> dict[str, Any]:
        """Return what must be equal for a training to be resumed, as a dict that JSON can hold.

        Time budgets count by call and are left out, as are threads and progress, which change no
        result.
        """
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": options.to_spec(self.optimizer),
            "schedule": options.to_spec(self.schedule),
            "stop": [options.to_spec(rule) for rule in self.lasting_rules],
            "validation": self.validation,
            "stratify": self.stratify,
            "augment": [options.to_spec(augmentation) for augmentation in self.augment],
            "clip_norm": self.clip_norm,
            "ema": self.ema,
            "shuffle": self.shuffle,
            "record_norms": self.record_norms,
            "callbacks": self.callback_names,
        }

    @property
    def callback_names(self) -> list[str]:
        """Return the class of every callback, in the order in which they are called."""
        return [callback.kind for callback in self.callbacks]

    @property
    def lasting_rules(self) -> tuple[StopRule, ...]:
        """The stop rules that have a state from epoch to epoch: all but time budgets."""
        return tuple(rule for rule in self.stop if not isinstance(rule, TimeBudget))

    @property
    def budget(self) -> float | None:
        """The shortest time budget in seconds, or None."""
        return min((r.seconds for r in self.stop if isinstance(r, TimeBudget)), default=None)


def _decay(ema: Any, dtype: str) -> float | None:
    """Return the decay of averaged parameters, which must move them in the network's precision."""
    if ema is None:
        return None
    decay = options.real("ema", ema, 0, 1, "()")
    if np.dtype(dtype).type(decay) == 1:
        raise ValueError(f"ema must be less than 1 in {dtype}, where {decay!r} rounds to 1")
    return decay


def _in_order(callbacks: Sequence[Callback]) -> tuple[Callback, ...]:
    """Return callbacks as they are called: checkpoints last, to save what the others did."""
    return tuple(sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint)))


def _check_lbfgs(model: Model, settings: FitSettings, given: dict[str, Any]) -> None:
    """Raise ValueError for what L-BFGS has no place for: all that is not one fixed cost."""
    refused = {name: given[name] for name in ("schedule", "clip_norm", "ema")}
    refused.update(
        augment=settings.augment,
        record_norms=settings.record_norms,
        dropout=any(model.dropout),
        max_norm=model.max_norm,
    )
    for name, value in refused.items():
        if value:
            raise ValueError(
                f"{name} does not go with L-BFGS, which minimises one fixed cost over the whole set"
            )
    if settings.resume:
        raise ValueError("resume does not go with L-BFGS: SciPy's memory of its steps is not kept")
