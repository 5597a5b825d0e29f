"""Files of format 1: what a network goes on from is taken over, schedules and rules are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._fit.session import Training
from .._model import OPTIONS, Model
from ..history import History
from . import fields
from .tensors import Tensors, Wanted, check_tensors, pairs_of, restored_trainer, wanted_layers

_TRAINING = {
    "optimizer": fields.OPTIMIZER,
    "ema": fields.optional(fields.DECAY),
    "averages": fields.flag,
    "step": fields.optional(fields.COUNT),
    # of the call of fit before: every call starts these afresh
    "schedule": fields.anything,
    "schedule_state": fields.anything,
    "schedule_began": fields.anything,
    "stop": fields.anything,
    "stop_states": fields.anything,
    "best_epoch": fields.anything,
    "callback_states": fields.anything,
}

_DESCRIPTION = {
    "format": fields.integer(1, 1),
    **fields.NETWORK,
    "epochs": fields.EPOCHS,
    "history": fields.anything,  # checked by `History.from_dict`
}


def _checked(description: Mapping[str, Any]) -> dict[str, Any]:
    described = dict(description)
    training = described.pop("training", None)
    found: dict[str, Any] = fields.record(_DESCRIPTION)("the description", described)
    fields.check_network(found)
    found["training"] = fields.optional(fields.record(_TRAINING))("training", training)
    return found


def wanted_tensors(description: Mapping[str, Any]) -> Wanted:
    """Return dtype and shape of every tensor that a description of format 1 may come with."""
    found = _checked(description)
    prefixes, training = [""], found["training"]
    if training is not None:
        prefixes += ["average."] if training["averages"] else []
        moments = training["optimizer"].moments if training["step"] is not None else 0
        prefixes += [*(f"moment.{i}." for i in range(moments)), "best.", "last."]
    return wanted_layers(found["sizes"], found["dtype"], prefixes)


def from_state(description: Mapping[str, Any], tensors: Tensors) -> tuple[Model, Training]:
    """Return the network of a file of format 1."""
    found = _checked(description)
    wanted = wanted_tensors(description)
    check_tensors(
        {n: w for n, w in wanted.items() if not n.startswith(("best.", "last."))}, tensors
    )
    model = Model.checked(**{name: found[name] for name in OPTIONS})
    model.set_parameters(pairs_of(model, tensors, ""))
    training = Training(epochs=found["epochs"])
    if found["history"] is not None:
        training.history = History.from_dict(found["history"])
    saved = found["training"]
    if saved is None:
        return model, training
    training.optimizer = saved["optimizer"]
    if saved["averages"]:
        training.kept_average = pairs_of(model, tensors, "average.")
    if saved["step"] is not None:
        training.trainer = restored_trainer(model, training, saved["step"], tensors)
    return model, training
