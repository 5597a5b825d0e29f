"""Networks as a description and tensors: what files, pickles and copies are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core
from .. import _options as options
from .._fit.session import Best, Session, Training
from .._model import Model, Pair
from ..history import History
from . import fields

FORMAT = 2
Tensors = dict[str, np.ndarray]
Wanted = dict[str, tuple[str, tuple[int, ...]]]


# -- from a network -------------------------------------------------------------------------------


def to_state(
    model: Model, training: Training, training_state: bool = True
) -> tuple[dict[str, Any], Tensors]:
    """Return a description that JSON can hold, and arrays by name.

    `training_state` says whether what a later fit goes on from is in it: moments, averages, what can be
    resumed.
    """
    tensors: Tensors = {}
    description: dict[str, Any] = {
        "format": FORMAT,
        "sizes": list(model.sizes),
        "hidden": [options.to_spec(f) for f in model.hidden],
        "output": options.to_spec(model.output),
        "loss": options.to_spec(model.loss),
        "l1": model.l1,
        "l2": model.l2,
        "dropout": list(model.dropout),
        "max_norm": model.max_norm,
        "dtype": model.dtype,
        "seed": model.seed,
        "init": model.init if isinstance(model.init, str) else "auto",
        "epochs": training.epochs,
        "columns": None if training.columns is None else list(training.columns),
        "history": _history_to(training.history, "history.", tensors),
        "training": None,
        "session": None,
    }
    _put(tensors, "", model.get_parameters())
    if not training_state:
        return description, tensors
    trainer, average = training.trainer, training.average(model)
    if average is not None:
        _put(tensors, "average.", average)
    if training.optimizer is not None:
        description["training"] = {
            "optimizer": options.to_spec(training.optimizer),
            "step": None if trainer is None else trainer.step,
            "average": average is not None,
        }
    for i in range(trainer.moments if trainer is not None else 0):
        _put(tensors, f"moment.{i}.", [trainer.get_moment(i, layer) for layer in model.layers])
    if training.session is not None:
        description["session"] = _session_to(training.session.snapshot(), tensors)
    return description, tensors


def _put(tensors: Tensors, prefix: str, pairs: Sequence[Pair]) -> None:
    for layer, (weights, bias) in enumerate(pairs, 1):
        tensors[f"{prefix}weights.{layer}"], tensors[f"{prefix}bias.{layer}"] = weights, bias


def _history_to(history: History | None, prefix: str, tensors: Tensors) -> dict[str, Any] | None:
    """Put the columns of a history among the tensors, and return what is not a column."""
    if history is None:
        return None
    arrays = history.to_arrays()
    names = list(arrays)
    for i, name in enumerate(names):
        tensors[f"{prefix}{i}"] = arrays[name]
    return {
        "columns": names,
        "shapes": [list(arrays[name].shape) for name in names],
        "stopped_by": history.stopped_by,
        "best_epoch": history.best_epoch,
        "last": list(history.last),
    }


def _session_to(session: Session, tensors: Tensors) -> dict[str, Any]:
    for i, best in enumerate(session.best):
        if best is not None and best.parameters is not None:
            _put(tensors, f"best.{i}.", best.parameters)
    for name in ("last", "epoch_start"):
        pairs = getattr(session, name)
        if pairs is not None:
            _put(tensors, f"{name}.", pairs)
    return {
        "spec": session.spec,
        "began": list(session.began),
        "schedule_state": fields.encoded(session.schedule_state),
        "rule_states": fields.encoded(session.rule_states),
        "best": [
            None if best is None else {"epoch": best.epoch, "kept": best.parameters is not None}
            for best in session.best
        ],
        "callback_states": json.dumps(session.callback_states),
        "epoch_state": session.epoch_state,
        "epoch_start": session.epoch_start is not None,
        "record": fields.encoded(session.record),
        "next_callback": session.next_callback,
        "due": session.due,
        "last": session.last is not None,
        "prints": session.prints,
    }


# -- to a network ---------------------------------------------------------------------------------


def wanted_tensors(description: Mapping[str, Any]) -> Wanted:
    """Return dtype and shape of every tensor that a description needs, by name.

    Raises
    ------
    TypeError, ValueError
        The description is not one that `to_state` makes.
    """
    checked = fields.checked(description)
    sizes, dtype = checked["sizes"], checked["dtype"]
    prefixes = [""]
    training, session = checked["training"], checked["session"]
    if training is not None:
        prefixes += ["average."] if training["average"] else []
        moments = training["optimizer"].moments if training["step"] is not None else 0
        prefixes += [f"moment.{i}." for i in range(moments)]
    if session is not None:
        prefixes += [f"best.{i}." for i, b in enumerate(session["best"]) if b and b["kept"]]
        prefixes += [f"{name}." for name in ("last", "epoch_start") if session[name]]
    wanted: Wanted = {}
    for prefix in prefixes:
        for layer in range(1, len(sizes)):
            wanted[f"{prefix}weights.{layer}"] = (dtype, (sizes[layer], sizes[layer - 1]))
            wanted[f"{prefix}bias.{layer}"] = (dtype, (sizes[layer],))
    if checked["history"] is not None:
        columns = zip(checked["history"]["columns"], checked["history"]["shapes"], strict=True)
        for i, (name, shape) in enumerate(columns):
            kind = "int64" if name == "epoch" else "float64"
            wanted[f"history.{i}"] = (kind, tuple(shape))
    return wanted


def from_state(description: Mapping[str, Any], tensors: Tensors) -> tuple[Model, Training]:
    """Return the network that `to_state` described.

    Raises
    ------
    TypeError, ValueError
        The description or a tensor is not one that `to_state` makes.
    """
    _check_tensors(wanted_tensors(description), tensors)
    found = fields.checked(description)
    model = Model.checked(**{name: found[name] for name in fields.MODEL})
    model.set_parameters(_pairs(model, tensors, ""))
    training = Training(epochs=found["epochs"], columns=found["columns"])
    training.history = _history_from(found["history"], "history.", tensors)
    if found["training"] is not None:
        _restore_training(model, training, found["training"], tensors)
    if found["session"] is not None:
        if training.optimizer is None or training.trainer is None:
            raise ValueError("session must come with a training")
        history = training.history
        training.session = _session_from(model, found["session"], history, tensors)
    return model, training


def copied(
    model: Model, training: Training, training_state: bool = True
) -> tuple[Model, Training]:
    """Return a network of its own that is equal."""
    return from_state(*to_state(model, training, training_state))


def _check_tensors(wanted: Wanted, tensors: Tensors) -> None:
    """Raise ValueError unless the tensors are those wanted; parameters must be finite."""
    for name, (dtype, shape) in wanted.items():
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(
                f"{name} must be {dtype} {shape}, got {tensor.dtype} {tensor.shape}"
            )
        if name.startswith("moment."):
            good = not np.isnan(tensor).any()
        else:
            good = name.startswith("history.") or bool(np.isfinite(tensor).all())
        if not good:
            raise ValueError(f"{name} must hold finite numbers")


def _pairs(model: Model, tensors: Tensors, prefix: str) -> list[Pair]:
    return [(tensors[f"{prefix}weights.{l}"], tensors[f"{prefix}bias.{l}"]) for l in model.layers]


def _history_from(
    found: Mapping[str, Any] | None, prefix: str, tensors: Tensors
) -> History | None:
    if found is None:
        return None
    arrays = {name: tensors[f"{prefix}{i}"] for i, name in enumerate(found["columns"])}
    return History.from_arrays(
        arrays, found["stopped_by"], found["best_epoch"], last=found["last"]
    )


def _restore_training(
    model: Model, training: Training, found: Mapping[str, Any], tensors: Tensors
) -> None:
    optimizer = training.optimizer = found["optimizer"]
    if found["average"]:
        training.kept_average = _pairs(model, tensors, "average.")
    if found["step"] is None:
        return
    trainer = training.trainer = _core.Trainer(
        model.core,
        optimizer.name,
        optimizer.constants,
        optimizer.moments,
        batch_size=1,
        epoch=training.epochs,
        step=found["step"],
    )
    for i in range(trainer.moments):
        for layer, pair in zip(model.layers, _pairs(model, tensors, f"moment.{i}."), strict=True):
            trainer.set_moment(i, layer, *pair)


def _session_from(
    model: Model, found: Mapping[str, Any], history: History | None, tensors: Tensors
) -> Session:
    best: list[Best | None] = []
    for i, item in enumerate(found["best"]):
        kept = _pairs(model, tensors, f"best.{i}.") if item and item["kept"] else None
        best.append(Best(item["epoch"], kept) if item else None)
    return Session(
        spec=found["spec"],
        began=found["began"],
        history=History() if history is None else history,
        schedule_state=found["schedule_state"],
        rule_states=found["rule_states"],
        best=best,
        callback_states=found["callback_states"],
        epoch_state=found["epoch_state"],
        epoch_start=_pairs(model, tensors, "epoch_start.") if found["epoch_start"] else None,
        record=found["record"],
        next_callback=found["next_callback"],
        due=found["due"],
        last=_pairs(model, tensors, "last.") if found["last"] else None,
        prints=found["prints"],
    )
