"""Networks as a description and tensors: what files, pickles and copies are made of.

A file is one of the safetensors format. Its metadata hold the description, JSON under the name
"fastmlp", and a CRC-32 of the header and of every tensor. Format 2 is written; formats 1 and 2 are
read, format 1 without checksums, as its files have none. A file of format 2 without its checksums
is refused, since damage could not be told: a program that writes a file anew with the safetensors
library must keep the metadata, all of them. Whoever has changed a tensor or the description that
way left a checksum that does not fit, which is damage: parameters are changed by loading the
network, assigning `weights` and saving it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .. import _options as options
from .._fit.session import Best, Session, Training
from .._model import OPTIONS, Model
from ..errors import ModelFormatError
from ..history import History
from . import fields, version1
from .files import opened, replaced
from .json_text import parse
from .kinds import MAX_DIGITS, encoded
from .safetensors import Reader, write
from .tensors import (
    Tensors,
    Wanted,
    check_tensors,
    checked_history,
    pairs_of,
    put,
    restored_trainer,
    wanted_layers,
)

FORMAT = 2
METADATA = "fastmlp"  # under this name the description stands in a file


# -- from a network -------------------------------------------------------------------------------


def to_state(
    model: Model, training: Training, training_state: bool = True
) -> tuple[dict[str, Any], Tensors]:
    """Return a description that JSON can hold, and arrays by name.

    `training_state` says whether what a later fit goes on from is in it: moments, averages, what
    can be resumed.
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
        "history": _history_to(training.history, tensors),
        "training": None,
        "session": None,
    }
    put(tensors, "", model.get_parameters())
    if not training_state:
        return description, tensors
    trainer, average = training.trainer, training.average(model)
    if average is not None:
        put(tensors, "average.", average)
    if training.optimizer is not None:
        description["training"] = {
            "optimizer": options.to_spec(training.optimizer),
            "step": None if trainer is None else trainer.step,
            "average": average is not None,
        }
    for i in range(trainer.moments if trainer is not None else 0):
        put(tensors, f"moment.{i}.", [trainer.get_moment(i, layer) for layer in model.layers])
    if training.session is not None:
        description["session"] = _session_to(training.session.snapshot(), tensors)
    return description, tensors


def _history_to(history: History | None, tensors: Tensors) -> dict[str, Any] | None:
    """Put the columns of a history among the tensors, and return what is not a column."""
    if history is None:
        return None
    arrays = history.to_arrays()
    names = list(arrays)
    for i, name in enumerate(names):
        tensors[f"history.{i}"] = arrays[name]
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
            put(tensors, f"best.{i}.", best.parameters)
    for name in ("last", "epoch_start"):
        pairs = getattr(session, name)
        if pairs is not None:
            put(tensors, f"{name}.", pairs)
    return {
        "spec": session.spec,
        "began": list(session.began),
        "schedule_state": encoded(session.schedule_state),
        "rule_states": encoded(session.rule_states),
        "best": [
            None if best is None else {"epoch": best.epoch, "kept": best.parameters is not None}
            for best in session.best
        ],
        "callback_states": json.dumps(session.callback_states),
        "epoch_state": encoded(session.epoch_state),
        "epoch_start": session.epoch_start is not None,
        "record": encoded(session.record),
        "next_callback": session.next_callback,
        "due": session.due,
        "last": session.last is not None,
        "prints": session.prints,
    }


# -- to a network ---------------------------------------------------------------------------------


def _wanted(found: Mapping[str, Any]) -> Wanted:
    """Return dtype and shape of every tensor that a checked description needs, by name."""
    prefixes = [""]
    training, session, history = found["training"], found["session"], found["history"]
    if training is not None:
        prefixes += ["average."] if training["average"] else []
        moments = training["optimizer"].moments if training["step"] is not None else 0
        prefixes += [f"moment.{i}." for i in range(moments)]
    if session is not None:
        prefixes += [f"best.{i}." for i, b in enumerate(session["best"]) if b and b["kept"]]
        prefixes += [f"{name}." for name in ("last", "epoch_start") if session[name]]
    wanted = wanted_layers(found["sizes"], found["dtype"], prefixes)
    if history is not None:
        for i, (name, shape) in enumerate(zip(history["columns"], history["shapes"], strict=True)):
            kind = "int64" if name == "epoch" else "float64"
            wanted[f"history.{i}"] = (kind, tuple(shape))
    return wanted


def _restored(found: Mapping[str, Any], tensors: Tensors) -> tuple[Model, Training]:
    """Return the network that a checked description and its tensors are of."""
    check_tensors(_wanted(found), tensors, (found["training"] or {}).get("optimizer"))
    model = Model.checked(**{name: found[name] for name in OPTIONS})
    model.set_parameters(pairs_of(model, tensors, ""))
    training = Training(epochs=found["epochs"], columns=found["columns"])
    training.history = _history_from(found["history"], found["epochs"], tensors)
    if found["training"] is not None:
        _restore_training(model, training, found["training"], tensors)
    if found["session"] is not None:
        training.session = _session_from(model, found["session"], training.history, tensors)
    return model, training


class _Format(NamedTuple):
    """How a description of one format is read."""

    checked: Callable[[Mapping[str, Any]], dict[str, Any]]  # every field checked
    wanted: Callable[[Mapping[str, Any]], Wanted]  # the tensors that a checked one may come with
    restored: Callable[[Mapping[str, Any], Tensors], tuple[Model, Training]]


_FORMATS = {
    1: _Format(version1.checked, version1.wanted, version1.restored),
    2: _Format(fields.checked, _wanted, _restored),
}


def _format_of(description: Any) -> _Format:
    if not isinstance(description, Mapping):
        raise TypeError(f"the description must be a dict, got {options.shown(description)}")
    number = options.integer("format", description.get("format"), 1)
    if number not in _FORMATS:
        from importlib.metadata import version

        raise ValueError(
            f"format is {number}, and fastmlp {version('fastmlp')} reads formats 1 to {FORMAT}: "
            "a later version wrote it"
        )
    return _FORMATS[number]


def from_state(description: Mapping[str, Any], tensors: Tensors) -> tuple[Model, Training]:
    """Return the network that `to_state` described, in this version or in a former one.

    Raises
    ------
    TypeError, ValueError
        The description or a tensor is not one that `to_state` makes; the message names it.
    """
    read = _format_of(description)
    return read.restored(read.checked(description), tensors)


def copied(model: Model, training: Training, training_state: bool = True) -> tuple[Model, Training]:
    """Return a network of its own that is equal."""
    return from_state(*to_state(model, training, training_state))


def _history_from(found: Mapping[str, Any] | None, epochs: int, tensors: Tensors) -> History | None:
    if found is None:
        return None
    arrays = {name: tensors[f"history.{i}"] for i, name in enumerate(found["columns"])}
    more = {name: found[name] for name in ("stopped_by", "best_epoch", "last")}
    return checked_history(epochs, lambda: History.from_arrays(arrays, **more))


def _restore_training(
    model: Model, training: Training, found: Mapping[str, Any], tensors: Tensors
) -> None:
    training.optimizer = found["optimizer"]
    if found["average"]:
        training.kept_average = pairs_of(model, tensors, "average.")
    if found["step"] is not None:
        training.trainer = restored_trainer(model, training, found["step"], tensors)


def _session_from(
    model: Model, found: Mapping[str, Any], history: History | None, tensors: Tensors
) -> Session:
    best: list[Best | None] = []
    for i, item in enumerate(found["best"]):
        kept = pairs_of(model, tensors, f"best.{i}.") if item and item["kept"] else None
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
        epoch_start=pairs_of(model, tensors, "epoch_start.") if found["epoch_start"] else None,
        record=found["record"],
        next_callback=found["next_callback"],
        due=found["due"],
        last=pairs_of(model, tensors, "last.") if found["last"] else None,
        prints=found["prints"],
    )


# -- files ----------------------------------------------------------------------------------------


def save(path: str | os.PathLike[str], model: Model, training: Training) -> None:
    """Write a network to a file, in one step."""
    description, tensors = to_state(model, training)
    with replaced(path) as file:
        write(file, tensors, {METADATA: json.dumps(description, allow_nan=False)})


def load(path: str | os.PathLike[str]) -> tuple[Model, Training]:
    """Return the network in a file.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ModelFormatError
        It is not a file of a network, is damaged or of a later format; the message names the file
        and what is wrong in it.
    """
    name = repr(os.fsdecode(path))
    read: list[tuple[_Format, dict[str, Any]]] = []

    def expected(metadata: dict[str, str]) -> Wanted:
        """Check the description, before memory is given to a tensor."""
        if METADATA not in metadata:
            raise ModelFormatError(f"{name} holds no fastmlp network")
        # histories of format 1 may hold NaN
        description = parse(metadata[METADATA], allow_nan=True, max_digits=MAX_DIGITS)
        form = _format_of(description)
        read.append((form, form.checked(description)))
        return form.wanted(read[0][1])

    try:
        with opened(path) as file:
            reader = Reader(file, expected)
            ((form, found),) = read
            if not reader.checked and found["format"] > 1:
                raise ModelFormatError(f"{name} is damaged: it has lost its checksums")
            tensors = reader.tensors()
        return form.restored(found, tensors)
    except ModelFormatError:
        raise
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{name} holds no network that can be read: {error}") from error
