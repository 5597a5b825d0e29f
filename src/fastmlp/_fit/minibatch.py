"""Training by mini-batches: the engine run in slices of time, each epoch handed on when it ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._core import Trainer
from .._model import Model
from ..augment import Affine, Augmentation, Mask, Noise
from ..errors import DivergenceError
from .run import Run
from .session import Training

SLICE = 0.05  # seconds between two looks at signals and the progress bar
MOST_EPOCHS = 4096  # of a slice: to record so many takes Python another 0.1 s or so

DIVERGED = {
    "loss": "the loss stopped being finite",
    "parameters": "the gradient grew too large for the precision: parameters stopped being finite",
}


def trainer_for(run: Run) -> tuple[Trainer, dict[str, Any]]:
    """Return the engine's trainer for a call of fit, its moments in it, and its settings."""
    model, settings, training, old = run.model, run.settings, run.training, run.trainer
    wanted: dict[str, Any] = {
        "batch_size": min(settings.batch_size, run.data.n_rows),
        "shuffle": settings.shuffle,
        "clip_norm": settings.clip_norm or 0.0,
        "record_norm": settings.record_norms,
        "threads": settings.threads,
        "augment": [_augment_fields(augmentation) for augmentation in settings.augment],
        "l1": model.l1,
        "l2": model.l2,
        "max_norm": model.max_norm or 0.0,
        "ema": settings.ema or 0.0,
    }
    average = training.average(model)
    if old is not None and training.trainer_settings == wanted and old.epoch == training.epochs:
        trainer = old
    else:
        optimizer = settings.optimizer
        trainer = Trainer(
            model.core,
            optimizer.name,
            optimizer.constants,
            optimizer.moments,
            seed=model.seed,
            epoch=training.epochs,
            step=0 if old is None else old.step,
            **wanted,
        )
        if old is not None:
            trainer.adopt(old)
    if settings.ema and average is not None and not trainer.averages:
        for layer, pair in zip(model.layers, average, strict=True):
            trainer.set_average(layer, *pair)
    return trainer, wanted


def resting_trainer(model: Model, training: Training, step: int) -> Trainer:
    """Return a trainer that holds moments, to be set, until a call of fit takes them over."""
    optimizer = training.optimizer
    assert optimizer is not None
    constants, moments = optimizer.constants, optimizer.moments
    return Trainer(
        model.core, optimizer.name, constants, moments, 1, epoch=training.epochs, step=step
    )


def _augment_fields(augmentation: Augmentation) -> dict[str, Any]:
    """Return an augmentation as the fields of the engine's fm_augment."""
    names = ("amount", "rotate", "shear", "shift", "zoom", "fill")
    fields: dict[str, Any] = dict.fromkeys(names, 0.0)
    fields.update(height=0, width=0, planes=0)
    if isinstance(augmentation, Affine):
        height, width, *planes = augmentation.shape
        fields.update(kind=_core.AUGMENT_AFFINE, height=height, width=width)
        fields.update(planes=planes[0] if planes else 1)
        fields.update(rotate=np.deg2rad(augmentation.rotate), shear=np.deg2rad(augmentation.shear))
        fields.update(shift=augmentation.shift, zoom=augmentation.zoom, fill=augmentation.fill)
    elif isinstance(augmentation, Mask):
        fields.update(kind=_core.AUGMENT_MASK, amount=augmentation.probability)
    elif isinstance(augmentation, Noise):
        fields.update(kind=_core.AUGMENT_NOISE, amount=augmentation.sigma)
    return fields


def train(run: Run) -> str | None:
    """Train until the epochs have ended or something stops it, and return what."""
    training, trainer, settings = run.training, run.trainer, run.settings
    rates = None
    while training.epochs < run.end:
        if rates is None:
            rates = _rates_of_epoch(run)
        most = run.end - training.epochs if run.plain and len(rates) == 1 else 1
        losses, norms, step_sizes, rows_done, diverged = trainer.run(
            run.data.core, rates, min(most, MOST_EPOCHS), SLICE, stop=run.interrupts.pending
        )
        ended: dict[str, Any] = {
            "loss": losses,
            "learning_rate": [float(rates.mean())] * len(losses),
        }
        if settings.record_norms:
            ended.update(gradient_norm=norms, step_size=step_sizes)
        if losses and run.plain:
            now = run.clock()
            seconds = (now - run.epoch_began) / len(losses)
            run.epoch_began = now
            run.end_plain_epochs(seconds, **ended)
        elif losses:  # one
            training.epochs += 1
            record = {"epoch": training.epochs, **{key: item[0] for key, item in ended.items()}}
            reason = run.end_epoch(record)
            if reason:
                return reason
        if losses:
            rates = None
        if diverged:
            raise DivergenceError(
                f"{DIVERGED[diverged]} in epoch {training.epochs + 1}: the last finite weights are "
                "kept; try a smaller learning rate, clip_norm or scaled inputs"
            )
        run.show_share(rows_done)
        run.interrupts.check()
        _core.warn_of_refused_threads()  # now that what was trained is recorded
    return None


def _rates_of_epoch(run: Run) -> np.ndarray:
    """Return the learning rates of the epoch under way from its first step: one, or one a step."""
    settings = run.settings
    steps = -(-run.data.n_rows // settings.batch_size)
    epoch, step = run.session.began
    first_step = run.trainer.step - run.trainer.epoch_state["steps"]
    return settings.schedule.rates(
        settings.optimizer.learning_rate,  # type: ignore[attr-defined]
        run.training.epochs - epoch,
        settings.epochs,
        first_step - step,
        steps,
        state=run.session.schedule_state,
    )
