"""The tensors of a network by name: which there must be, what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from .._fit.minibatch import Trainer, resting_trainer
from .._fit.session import Training
from .._model import Model, Pair
from ..history import History
from ..optimizers import Adagrad, Optimizer

Tensors = dict[str, np.ndarray]
Wanted = dict[str, tuple[str, tuple[int, ...]]]


def put(tensors: Tensors, prefix: str, pairs: Sequence[Pair]) -> None:
    """Add (weights, bias) of every layer, by names that begin with the prefix."""
    for layer, (weights, bias) in enumerate(pairs, 1):
        tensors[f"{prefix}weights.{layer}"], tensors[f"{prefix}bias.{layer}"] = weights, bias


def pairs_of(model: Model, tensors: Tensors, prefix: str) -> list[Pair]:
    """Return (weights, bias) of every layer."""
    return [(tensors[f"{prefix}weights.{l}"], tensors[f"{prefix}bias.{l}"]) for l in model.layers]


def wanted_layers(sizes: Sequence[int], dtype: str, prefixes: Iterable[str]) -> Wanted:
    """Return dtype and shape of the weights and biases by name, for each prefix."""
    wanted: Wanted = {}
    for prefix in prefixes:
        for layer in range(1, len(sizes)):
            wanted[f"{prefix}weights.{layer}"] = (dtype, (sizes[layer], sizes[layer - 1]))
            wanted[f"{prefix}bias.{layer}"] = (dtype, (sizes[layer],))
    return wanted


def check_tensors(
    wanted: Wanted, tensors: Mapping[str, np.ndarray], optimizer: Optimizer | None
) -> None:
    """Raise ValueError unless the tensors wanted are there, and those of parameters are finite.

    Of moments too, but for Adagrad's sums of squares, which may have become infinite.
    """
    for name, (dtype, shape) in wanted.items():
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} {shape}, got {tensor.dtype} {tensor.shape}")
        if name.startswith("history."):
            continue
        if name.startswith("moment.") and isinstance(optimizer, Adagrad):
            right = tensor >= 0
        else:
            right = np.isfinite(tensor)
        if not right.all():
            raise ValueError(f"{name} must hold finite numbers")


def checked_history(epochs: int, make: Callable[[], History]) -> History:
    """Return the history that is made, of a network that was trained for so many epochs."""
    try:
        history = make()
    except ValueError as error:
        raise ValueError(f"history: {error}") from error
    for epoch in (*history.epochs[-1:], history.best_epoch or 0):
        if epoch > epochs:
            raise ValueError(f"history must end by epoch {epochs}, got epoch {epoch}")
    return history


def restored_trainer(model: Model, training: Training, step: int, tensors: Tensors) -> Trainer:
    """Return a trainer with the moments among the tensors, after so many steps."""
    trainer = resting_trainer(model, training, step)
    for i in range(trainer.moments):
        for layer, pair in zip(model.layers, pairs_of(model, tensors, f"moment.{i}."), strict=True):
            trainer.set_moment(i, layer, *pair)
    return trainer
