"""The tensors of a network by name: which there must be, what is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .._fit.minibatch import Trainer, resting_trainer
from .._fit.session import Training
from .._model import Model, Pair

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


def check_tensors(wanted: Mapping[str, tuple[str, tuple[int, ...]]], tensors: Tensors) -> None:
    """Raise ValueError unless the tensors wanted are there; parameters must be finite.

    A moment may be infinite, where squares of gradients are summed; NaN it may not be.
    """
    for name, (dtype, shape) in wanted.items():
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} {shape}, got {tensor.dtype} {tensor.shape}")
        if name.startswith("history."):
            continue
        wrong = np.isnan(tensor) if name.startswith("moment.") else ~np.isfinite(tensor)
        if wrong.any():
            raise ValueError(f"{name} must hold finite numbers")


def restored_trainer(model: Model, training: Training, step: int, tensors: Tensors) -> Trainer:
    """Return a trainer with the moments among the tensors, after so many steps."""
    trainer = resting_trainer(model, training, step)
    for i in range(trainer.moments):
        for layer, pair in zip(model.layers, pairs_of(model, tensors, f"moment.{i}."), strict=True):
            trainer.set_moment(i, layer, *pair)
    return trainer
