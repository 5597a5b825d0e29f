"""Networks as a description and tensors: files in the safetensors format, pickles, copies."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, activations, losses, optimizers, schedules, stopping
from .._options import from_spec, integer, to_spec
from ..errors import ModelFormatError
from ..history import History
from .files import opened, replaced
from .json_text import parse
from .safetensors import Reader, write

if TYPE_CHECKING:
    from ..network import Network

FORMAT = 1


def to_state(
    network: Network, training: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a description that JSON can hold, and arrays by name; with `training` what a fit goes on from."""
    description: dict[str, Any] = {
        "format": FORMAT,
        "sizes": list(network.sizes),
        "hidden": [to_spec(f) for f in network.hidden],
        "output": to_spec(network.output),
        "loss": to_spec(network.loss),
        "l1": network.l1,
        "l2": network.l2,
        "dropout": list(network.dropout),
        "max_norm": network.max_norm,
        "dtype": network.dtype,
        "seed": network.seed,
        "epochs": network.epochs,
        "init": network.init if isinstance(network.init, str) else "auto",
        "history": None if network.history is None else network.history.to_dict(),
    }
    tensors = _layer_tensors(network, "", network._net.get_layer)
    progress = network._training
    if not training or progress is None:
        return description, tensors
    trainer = progress.trainer
    description["training"] = {
        "optimizer": to_spec(progress.optimizer),
        "ema": progress.ema,
        "averages": bool(trainer and trainer.averages),
        "step": trainer.step if trainer else None,
        "schedule": to_spec(progress.schedule),
        "schedule_state": progress.schedule_state,
        "schedule_began": list(progress.schedule_began),
        "stop": [to_spec(rule) for rule in progress.stop],
        "stop_states": progress.stop_states,
        "best_epoch": progress.best_epoch,
        "callback_states": progress.callback_states,
    }
    if trainer:
        for index in range(trainer.moments):
            tensors |= _layer_tensors(
                network, f"moment.{index}.", lambda layer, i=index: trainer.get_moment(i, layer)
            )
        if trainer.averages:
            tensors |= _layer_tensors(network, "average.", trainer.get_average)
    for name in ("best", "last"):
        if getattr(progress, name) is not None:
            tensors |= _params_tensors(network, f"{name}.", getattr(progress, name))
    return description, tensors


def from_state(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> Network:
    """Return the network that `to_state` described."""
    from .._fit.fit import Progress
    from ..network import Network

    # before a network is made of sizes that may be anything
    _check_layers(description["sizes"], description["dtype"], tensors, "")
    table = activations.ACTIVATIONS
    network = Network(
        description["sizes"],
        hidden=[from_spec(table, spec) for spec in description["hidden"]],
        output=from_spec(table, description["output"]),
        loss=from_spec(losses.LOSSES, description["loss"]),
        l1=description["l1"],
        l2=description["l2"],
        dropout=description["dropout"],
        max_norm=description["max_norm"],
        init="zeros",
        dtype=description["dtype"],
        seed=description["seed"],
    )
    network.init = description["init"]
    _set_layers(network, tensors, "", network._net.set_layer)
    network.epochs = integer("epochs", description["epochs"], 0)
    if description["history"] is not None:
        network.history = History.from_dict(description["history"])
    saved = description.get("training")
    if saved is None:
        return network
    progress = Progress(
        optimizer=from_spec(optimizers.OPTIMIZERS, saved["optimizer"]),
        ema=saved["ema"],
        schedule=from_spec(schedules.SCHEDULES, saved["schedule"]),
        schedule_state=saved["schedule_state"],
        schedule_began=tuple(saved["schedule_began"]),
        stop=tuple(from_spec(stopping.STOP_RULES, spec) for spec in saved["stop"]),
        stop_states=saved["stop_states"],
        best_epoch=saved["best_epoch"],
        loaded_states=saved["callback_states"],
    )
    _check_states([(progress.schedule, progress.schedule_state)])
    if progress.stop_states:
        _check_states(list(zip(progress.stop, progress.stop_states, strict=True)))
    if saved["step"] is not None:
        optimizer = progress.optimizer
        trainer = _core.Trainer(
            network._net, optimizer.name, optimizer.constants, optimizer.moments, batch_size=1,
            ema=progress.ema or 0.0, epoch=network.epochs, step=integer("step", saved["step"], 0),
        )  # fmt: skip
        for index in range(trainer.moments):
            _set_layers(
                network,
                tensors,
                f"moment.{index}.",
                lambda *pair, i=index: trainer.set_moment(i, *pair),
            )
        if saved["averages"]:
            _set_layers(network, tensors, "average.", trainer.set_average)
        progress.trainer = trainer
    for name in ("best", "last"):
        if f"{name}.weights.1" in tensors:
            setattr(progress, name, _params_from(network, tensors, f"{name}."))
    network._training = progress
    return network


def _check_states(states: list[tuple[Any, Any]]) -> None:
    for option, state in states:
        wanted = option.initial_state().keys()
        if state.keys() != wanted:
            raise ValueError(f"the state of {option.name} must have {sorted(wanted)}, got {state}")


def _layer_tensors(network: Network, prefix: str, get: Any) -> dict[str, np.ndarray]:
    tensors = {}
    for layer in network._layers:
        tensors[f"{prefix}weights.{layer}"], tensors[f"{prefix}bias.{layer}"] = get(layer)
    return tensors


def _check_layers(
    sizes: Sequence[int], dtype: str, tensors: dict[str, np.ndarray], prefix: str
) -> None:
    for layer, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        for name, shape in (
            (f"{prefix}weights.{layer}", (n_out, n_in)),
            (f"{prefix}bias.{layer}", (n_out,)),
        ):
            tensor = tensors[name]
            if tensor.shape != shape or tensor.dtype != dtype:
                raise ValueError(
                    f"{name} must be {dtype} {shape}, got {tensor.dtype} {tensor.shape}"
                )
            if not prefix and not np.isfinite(tensor).all():
                raise ValueError(f"{name} must be finite")


def _set_layers(network: Network, tensors: dict[str, np.ndarray], prefix: str, put: Any) -> None:
    _check_layers(network.sizes, network.dtype, tensors, prefix)
    for layer in network._layers:
        put(layer, tensors[f"{prefix}weights.{layer}"], tensors[f"{prefix}bias.{layer}"])


def _params_tensors(network: Network, prefix: str, params: np.ndarray) -> dict[str, np.ndarray]:
    """Return parameters in the engine's order, which differs between instruction sets, as matrices."""
    other = network._make_core(network.dtype)
    other.set_params(params)
    return _layer_tensors(network, prefix, other.get_layer)


def _params_from(network: Network, tensors: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    other = network._make_core(network.dtype)
    _set_layers(network, tensors, prefix, other.set_layer)
    params: np.ndarray = other.get_params()
    return params


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to a file, in one step."""
    description, tensors = to_state(network)
    with replaced(path) as file:
        write(file, tensors, {"fastmlp": json.dumps(description)})


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network in a file."""
    path = os.fsdecode(path)
    with opened(path) as file:
        reader = Reader(file)
        if "fastmlp" not in reader.metadata:
            raise ModelFormatError(f"{path!r} holds no fastmlp network")
        tensors = reader.tensors()
    try:
        # histories of format 1 may hold NaN
        description = parse(reader.metadata["fastmlp"], allow_nan=True)
        version = description["format"]
        if version != FORMAT:
            raise ValueError(f"its format is {version}, this version reads {FORMAT}")
        return from_state(description, tensors)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{path!r} holds no network that can be read: {error}") from error
