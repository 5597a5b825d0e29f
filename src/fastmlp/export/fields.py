"""The fields of a network's description: one table says what each may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from .. import _options as options
from ..activations import ACTIVATIONS
from ..augment import AUGMENTATIONS
from ..initializers import INITIALIZERS
from ..losses import LOSSES
from ..optimizers import OPTIMIZERS
from ..schedules import SCHEDULES
from ..stopping import STOP_RULES

Check = Callable[[str, Any], Any]  # of (name, value): returns the value, or raises an error

MOST_EPOCHS = 2**62  # far beyond any training; the engine counts in 64 bits
MOST_STEPS = 2**62
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


# -- kinds of fields ------------------------------------------------------------------------------


def integer(low: int, high: int) -> Check:
    return lambda name, value: options.integer(name, value, low, high)


def real(low: float = -math.inf, high: float = math.inf, bounds: str = "[]") -> Check:
    return lambda name, value: options.real(name, value, low, high, bounds)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {options.shown(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    return options.boolean(name, value)


def anything(name: str, value: Any) -> Any:
    """A field that nobody reads any more."""
    return value


def optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def list_of(check: Check, fewest: int = 0, most: float = math.inf) -> Check:
    def checked_list(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            raise TypeError(f"{name} must be a list of {fewest} to {most} items")
        return [check(f"{name}[{i}]", item) for i, item in enumerate(value)]

    return checked_list


def tuple_of(check: Check, fewest: int = 0, most: float = math.inf) -> Check:
    as_list = list_of(check, fewest, most)
    return lambda name, value: tuple(as_list(name, value))


def record(table: Mapping[str, Check]) -> Check:
    """A dict with these fields, all of them and no others."""

    def checked_record(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or value.keys() != table.keys():
            keys = sorted(map(str, value)) if isinstance(value, Mapping) else options.shown(value)
            raise ValueError(f"{name} must have the fields {sorted(table)}, got {keys}")
        return {key: check(f"{name}.{key}", value[key]) for key, check in table.items()}

    return checked_record


def option(table: Mapping[str, Any]) -> Check:
    def checked_option(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} must be an option, got {options.shown(value)}")
        return options.from_spec(table, value)

    return checked_option


def spec_of(table: Mapping[str, Any]) -> Check:
    """An option that stays in the form in which it is compared."""
    check = option(table)
    return lambda name, value: options.to_spec(check(name, value))


def one_of(accepted: Any) -> Check:
    return lambda name, value: options.choice(name, value, accepted)


def number(name: str, value: Any) -> Any:
    """A number as `encoded` wrote it, which may be NaN or an infinity; its type stays."""
    if isinstance(value, str) and value in _NUMBERS:
        return _NUMBERS[value]
    return value if type(value) is int else options.real(name, value)


def _state(name: str, value: Any) -> dict[str, Any]:
    """A state of a rule or a schedule: numbers or None by name."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {options.shown(value)}")
    return {
        text(name, key): None if item is None else number(f"{name}.{key}", item)
        for key, item in value.items()
    }


def _states_in_json(name: str, value: Any) -> list[dict[str, Any]]:
    """States of callbacks, whose content is theirs, as text of JSON."""
    states = json.loads(text(name, value))
    if not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
        raise ValueError(f"{name} must be a list of dicts")
    return states


def encoded(value: Any) -> Any:
    """Return states of numbers as strict JSON has them: NaN and infinities become strings."""
    if isinstance(value, Mapping):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# -- the table ------------------------------------------------------------------------------------

EPOCHS, COUNT = integer(0, MOST_EPOCHS), integer(0, MOST_STEPS)
DECAY = real(0, 1, "()")
OPTIMIZER = option(OPTIMIZERS)
_TOTAL = real(bounds="()")
_PRINT = list_of(lambda name, value: _print_item(name, value), 3, 3)
_PRINTS = optional(
    lambda name, value: {
        text(name, key): optional(_PRINT)(f"{name}.{key}", item)
        for key, item in _mapping(name, value).items()
    }
)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {options.shown(value)}")
    return value


def _print_item(name: str, value: Any) -> Any:
    """An item of a fingerprint: a shape, a dtype or a CRC."""
    if isinstance(value, list):
        return [options.integer(name, item, 0) for item in value]
    return value if isinstance(value, str) else options.integer(name, value, 0, 2**32 - 1)


_SPEC = {
    "epochs": EPOCHS,
    "batch_size": integer(1, MOST_STEPS),
    "optimizer": spec_of(OPTIMIZERS),
    "schedule": spec_of(SCHEDULES),
    "stop": list_of(spec_of(STOP_RULES)),
    "validation": optional(DECAY),
    "stratify": flag,
    "augment": list_of(spec_of(AUGMENTATIONS)),
    "clip_norm": optional(real(0, bounds="()")),
    "ema": optional(DECAY),
    "shuffle": flag,
    "record_norms": flag,
    "callbacks": list_of(text),
}

_SESSION = {
    "spec": record(_SPEC),
    "began": tuple_of(COUNT, 2, 2),
    "schedule_state": _state,
    "rule_states": list_of(_state),
    "best": list_of(optional(record({"epoch": EPOCHS, "kept": flag}))),
    "callback_states": _states_in_json,
    "epoch_state": optional(
        record(
            {
                "position": COUNT,
                "loss": _TOTAL,
                "weight": _TOTAL,
                "norm": _TOTAL,
                "step_size": _TOTAL,
                "steps": COUNT,
            }
        )
    ),
    "epoch_start": flag,
    "record": optional(_state),
    "next_callback": optional(COUNT),
    "due": optional(text),
    "last": flag,
    "prints": record({"training": _PRINTS, "validation": _PRINTS}),
}

_HISTORY = {
    "columns": list_of(text),
    "shapes": list_of(list_of(integer(0, MOST_EPOCHS), 1, 2)),
    "stopped_by": text,
    "best_epoch": optional(EPOCHS),
    "last": list_of(text),
}

# What a file of any format says of the network itself.
NETWORK = {
    "sizes": list_of(integer(1, 2**31), 2, 256),
    "hidden": list_of(option(ACTIVATIONS)),
    "output": option(ACTIVATIONS),
    "loss": option(LOSSES),
    "l1": real(0),
    "l2": real(0),
    "dropout": list_of(real(0, 1, "[)")),
    "max_norm": optional(real(0, bounds="()")),
    "dtype": one_of(("float32", "float64")),
    "seed": integer(0, 2**64 - 1),
    "init": one_of(("auto", *INITIALIZERS)),
}

_DESCRIPTION = {
    "format": integer(2, 2),
    **NETWORK,
    "epochs": EPOCHS,
    "columns": optional(tuple_of(text)),
    "history": optional(record(_HISTORY)),
    "training": optional(
        record(
            {"optimizer": OPTIMIZER, "step": optional(COUNT), "average": flag},
        )
    ),
    "session": optional(record(_SESSION)),
}


def checked(description: Any) -> dict[str, Any]:
    """Return a description with options in place of their specs, every field checked.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown or not what it may be; the message names it.
    """
    found: dict[str, Any] = record(_DESCRIPTION)("the description", description)
    check_network(found)
    sizes, history, session = found["sizes"], found["history"], found["session"]
    if found["columns"] is not None and len(found["columns"]) != sizes[0]:
        raise ValueError(f"columns must be {sizes[0]} names, got {len(found['columns'])}")
    if history is not None:
        _check_history(history)
    if session is not None:
        _check_session(session, found)
    return found


def check_network(found: Mapping[str, Any]) -> None:
    """Raise ValueError unless the fields of `NETWORK` go together."""
    layers = len(found["sizes"])
    if len(found["hidden"]) != layers - 2 or len(found["dropout"]) != layers - 1:
        raise ValueError("hidden and dropout must have an item for each layer")


def _check_history(history: dict[str, Any]) -> None:
    names, shapes = history["columns"], history["shapes"]
    if len(names) != len(shapes) or len(set(names)) != len(names):
        raise ValueError("history must have one shape for each of its columns")
    if names[:2] != ["epoch", "seconds"] or len({shape[0] for shape in shapes}) != 1:
        raise ValueError("history must have epoch, seconds and columns of one length")
    if not set(history["last"]) <= set(names):
        raise ValueError("history.last must name columns of the history")


def _check_session(session: dict[str, Any], found: dict[str, Any]) -> None:
    spec = session["spec"]
    rules = [options.from_spec(STOP_RULES, rule) for rule in spec["stop"]]
    if not len(rules) == len(session["rule_states"]) == len(session["best"]):
        raise ValueError("session must have a state for each of its stop rules")
    schedule = options.from_spec(SCHEDULES, spec["schedule"])
    _check_state("schedule_state", session["schedule_state"], schedule.initial_state())
    for rule, state in zip(rules, session["rule_states"], strict=True):
        _check_state(f"the state of {rule.name}", state, rule.initial_state())
    if len(session["callback_states"]) != len(spec["callbacks"]):
        raise ValueError("session must have a state for each of its callbacks")
    next_callback = session["next_callback"]
    if next_callback is not None and next_callback > len(spec["callbacks"]):
        raise ValueError("session.next_callback must be one of its callbacks")
    training = found["training"]
    if training is None or options.to_spec(training["optimizer"]) != spec["optimizer"]:
        raise ValueError("session must be of the optimizer of the training")
    if training["step"] is None:
        raise ValueError("session must have an optimizer with steps")
    began, step = session["began"], training["step"]
    if not (began[0] <= found["epochs"] <= began[0] + spec["epochs"] and began[1] <= step):
        raise ValueError("session.began must be before the network's epochs and steps")
    if (session["epoch_state"] is None) != (not session["epoch_start"]):
        raise ValueError("session must have epoch_state and epoch_start, or neither")
    epoch = session["epoch_state"]
    if epoch is not None:
        steps = -(-epoch["position"] // spec["batch_size"])
        if not 0 < epoch["steps"] == steps <= step - began[1]:
            raise ValueError("session.epoch_state must have the steps of its position")
    record = session["record"]
    if record is not None and not {"epoch", "seconds", "loss"} <= record.keys():
        raise ValueError("session.record must have epoch, seconds and loss")
    if any(value is None for value in (record or {}).values()):
        raise ValueError("session.record must hold numbers")


def _check_state(name: str, state: Mapping[str, Any], initial: Mapping[str, Any]) -> None:
    """Raise ValueError unless a state has the fields and the counts of the initial one."""
    if state.keys() != initial.keys():
        raise ValueError(f"{name} must have {sorted(initial)}, got {sorted(state)}")
    for key, value in initial.items():
        if type(value) is int:
            options.integer(f"{name}.{key}", state[key], 0, MOST_STEPS)
        elif value is not None and state[key] is None:
            raise ValueError(f"{name}.{key} must be a number")
