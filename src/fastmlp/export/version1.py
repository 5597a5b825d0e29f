"""Files of format 1: what a network goes on from is taken over, schedules and rules are not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._fit.session import Training
from .._model import Model
from ..history import History
from . import fields
from .tensors import Tensors, Wanted, check_tensors, pairs_of, restored_trainer, wanted_layers

_HISTORY = {
    "epochs": fields.list_of(fields.EPOCHS),
    "seconds": fields.list_of(fields.number),
    "stopped_by": fields.text,
    "best_epoch": fields.optional(fields.EPOCHS),
    "columns": fields.anything,
    "last": fields.list_of(fields.text),
}

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
    "history": fields.optional(fields.record(_HISTORY)),
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
    check_tensors({n: w for n, w in wanted.items() if not n.startswith(("best.", "last."))}, tensors)
    model = Model.checked(**{name: found[name] for name in fields.MODEL})
    model.set_parameters(pairs_of(model, tensors, ""))
    training = Training(epochs=found["epochs"])
    if found["history"] is not None:
        training.history = _history(found["history"])
    saved = found["training"]
    if saved is None:
        return model, training
    training.optimizer = saved["optimizer"]
    if saved["averages"]:
        training.kept_average = pairs_of(model, tensors, "average.")
    if saved["step"] is not None:
        training.trainer = restored_trainer(model, training, saved["step"], tensors)
    return model, training


def _history(found: Mapping[str, Any]) -> History:
    columns = found["columns"]
    if not isinstance(columns, Mapping):
        raise TypeError("history.columns must be a dict")
    count = len(found["epochs"])
    lists = {"epoch": found["epochs"], "seconds": found["seconds"], **columns}
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != count:
            raise ValueError(f"history must have {count} items of {name}")
    if not set(found["last"]) <= set(lists):
        raise ValueError("history.last must name columns of the history")
    history = History()
    history.extend({name: [_value(name, v) for v in values] for name, values in lists.items()})
    if any(math.isnan(s) or s < 0 for s in history.seconds):
        raise ValueError("history.seconds must be numbers >= 0")
    history.stopped_by, history.best_epoch = found["stopped_by"], found["best_epoch"]
    return history


def _value(name: str, value: Any) -> Any:
    """Return a quantity of an epoch: a number, or a list of them."""
    if isinstance(value, list):
        return [fields.number(name, item) for item in value]
    return fields.number(name, value)
