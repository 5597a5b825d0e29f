"""Files of format 1: what a network goes on from is taken over, schedules and rules are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._fit.session import Training
from .._model import OPTIONS, Model
from ..history import History
from . import fields
from .kinds import anything, flag, integer, mapping, optional, record
from .tensors import (
    Tensors,
    Wanted,
    check_tensors,
    checked_history,
    pairs_of,
    restored_trainer,
    wanted_layers,
)

_TRAINING = {
    "optimizer": fields.OPTIMIZER,
    "ema": optional(fields.DECAY),
    "averages": flag,
    "step": optional(fields.COUNT),
    # of the call of fit before: every call starts these afresh
    "schedule": anything,
    "schedule_state": anything,
    "schedule_began": anything,
    "stop": anything,
    "stop_states": anything,
    "best_epoch": anything,
    "callback_states": anything,
}

_DESCRIPTION = record(
    {
        "format": integer(1, 1),
        **fields.NETWORK,
        "epochs": fields.COUNT,
        "history": optional(mapping),  # checked by `History.from_dict`
        "training": optional(record(_TRAINING)),
    },
    may_lack=("training",),
)


def checked(description: Any) -> dict[str, Any]:
    """Return a description of format 1 with options in place of their specs, fields checked."""
    found: dict[str, Any] = _DESCRIPTION("", mapping("the description", description))
    found.setdefault("training", None)
    fields.check_network(found)
    if found["training"] is not None:
        fields.check_steps("training", found["training"])
    return found


def _needed(found: Mapping[str, Any]) -> Wanted:
    prefixes, training = [""], found["training"]
    if training is not None:
        prefixes += ["average."] if training["averages"] else []
        moments = training["optimizer"].moments if training["step"] is not None else 0
        prefixes += [f"moment.{i}." for i in range(moments)]
    return wanted_layers(found["sizes"], found["dtype"], prefixes)


def wanted(found: Mapping[str, Any]) -> Wanted:
    """Return dtype and shape of every tensor that a description may come with, by name."""
    unread = ["best.", "last."] if found["training"] is not None else []
    return _needed(found) | wanted_layers(found["sizes"], found["dtype"], unread)


def restored(found: Mapping[str, Any], tensors: Tensors) -> tuple[Model, Training]:
    """Return the network that a checked description and its tensors are of."""
    check_tensors(_needed(found), tensors, (found["training"] or {}).get("optimizer"))
    model = Model.checked(**{name: found[name] for name in OPTIONS})
    model.set_parameters(pairs_of(model, tensors, ""))
    training = Training(epochs=found["epochs"])
    if found["history"] is not None:
        training.history = checked_history(
            found["epochs"], lambda: History.from_dict(found["history"])
        )
    saved = found["training"]
    if saved is None:
        return model, training
    training.optimizer = saved["optimizer"]
    if saved["averages"]:
        training.kept_average = pairs_of(model, tensors, "average.")
    if saved["step"] is not None:
        training.trainer = restored_trainer(model, training, saved["step"], tensors)
    return model, training
