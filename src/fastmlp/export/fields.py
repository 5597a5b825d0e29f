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


def _int(low: int, high: int) -> Check:
    return lambda name, value: options.integer(name, value, low, high)


def _real(low: float = -math.inf, high: float = math.inf, bounds: str = "[]") -> Check:
    return lambda name, value: options.real(name, value, low, high, bounds)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {options.shown(value)}")
    return value


def _flag(name: str, value: Any) -> bool:
    return options.boolean(name, value)


def _optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _list(check: Check, fewest: int = 0, most: float = math.inf) -> Check:
    def checked_list(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            raise TypeError(f"{name} must be a list of {fewest} to {most} items")
        return [check(f"{name}[{i}]", item) for i, item in enumerate(value)]

    return checked_list


def _tuple(check: Check, fewest: int = 0, most: float = math.inf) -> Check:
    as_list = _list(check, fewest, most)
    return lambda name, value: tuple(as_list(name, value))


def _record(table: Mapping[str, Check]) -> Check:
    """A dict with these fields, all of them and no others."""

    def checked_record(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or value.keys() != table.keys():
            keys = sorted(map(str, value)) if isinstance(value, Mapping) else options.shown(value)
            raise ValueError(f"{name} must have the fields {sorted(table)}, got {keys}")
        return {key: check(f"{name}.{key}", value[key]) for key, check in table.items()}

    return checked_record


def _option(table: Mapping[str, Any]) -> Check:
    def checked_option(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} must be an option, got {options.shown(value)}")
        return options.from_spec(table, value)

    return checked_option


def _spec(table: Mapping[str, Any]) -> Check:
    """An option that stays in the form in which it is compared."""
    check = _option(table)
    return lambda name, value: options.to_spec(check(name, value))


def _one_of(accepted: Any) -> Check:
    return lambda name, value: options.choice(name, value, accepted)


def _number(name: str, value: Any) -> Any:
    """A number as `encoded` wrote it, which may be NaN or an infinity; its type stays."""
    if isinstance(value, str) and value in _NUMBERS:
        return _NUMBERS[value]
    return value if type(value) is int else options.real(name, value)


def _state(name: str, value: Any) -> dict[str, Any]:
    """A state of a rule or a schedule: numbers or None by name."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {options.shown(value)}")
    return {
        _text(name, key): None if item is None else _number(f"{name}.{key}", item)
        for key, item in value.items()
    }


def _states_in_json(name: str, value: Any) -> list[dict[str, Any]]:
    """States of callbacks, whose content is theirs, as text of JSON."""
    states = json.loads(_text(name, value))
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

_EPOCHS, _COUNT = _int(0, MOST_EPOCHS), _int(0, MOST_STEPS)
_TOTAL = _real(bounds="()")
_PRINT = _list(lambda name, value: _print_item(name, value), 3, 3)
_PRINTS = _optional(
    lambda name, value: {
        _text(name, key): _optional(_PRINT)(f"{name}.{key}", item)
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
    "epochs": _EPOCHS,
    "batch_size": _int(1, MOST_STEPS),
    "optimizer": _spec(OPTIMIZERS),
    "schedule": _spec(SCHEDULES),
    "stop": _list(_spec(STOP_RULES)),
    "validation": _optional(_real(0, 1, "()")),
    "stratify": _flag,
    "augment": _list(_spec(AUGMENTATIONS)),
    "clip_norm": _optional(_real(0, bounds="()")),
    "ema": _optional(_real(0, 1, "()")),
    "shuffle": _flag,
    "record_norms": _flag,
    "callbacks": _list(_text),
}

_SESSION = {
    "spec": _record(_SPEC),
    "began": _tuple(_COUNT, 2, 2),
    "schedule_state": _state,
    "rule_states": _list(_state),
    "best": _list(_optional(_record({"epoch": _EPOCHS, "kept": _flag}))),
    "callback_states": _states_in_json,
    "epoch_state": _optional(
        _record(
            {
                "position": _COUNT,
                "loss": _TOTAL,
                "weight": _TOTAL,
                "norm": _TOTAL,
                "step_size": _TOTAL,
                "steps": _COUNT,
            }
        )
    ),
    "epoch_start": _flag,
    "record": _optional(_state),
    "next_callback": _optional(_COUNT),
    "due": _optional(_text),
    "last": _flag,
    "prints": _record({"training": _PRINTS, "validation": _PRINTS}),
}

_HISTORY = {
    "columns": _list(_text),
    "shapes": _list(_list(_int(0, MOST_EPOCHS), 1, 2)),
    "stopped_by": _text,
    "best_epoch": _optional(_EPOCHS),
    "last": _list(_text),
}

# The fields that make a `Model`.
MODEL = (
    "sizes", "hidden", "output", "loss", "l1", "l2", "dropout", "max_norm", "init", "dtype", "seed",
)  # fmt: skip

_DESCRIPTION = {
    "format": _int(2, 2),
    "sizes": _list(_int(1, 2**31), 2, 256),
    "hidden": _list(_option(ACTIVATIONS)),
    "output": _option(ACTIVATIONS),
    "loss": _option(LOSSES),
    "l1": _real(0),
    "l2": _real(0),
    "dropout": _list(_real(0, 1, "[)")),
    "max_norm": _optional(_real(0, bounds="()")),
    "dtype": _one_of(("float32", "float64")),
    "seed": _int(0, 2**64 - 1),
    "init": _one_of(("auto", *INITIALIZERS)),
    "epochs": _EPOCHS,
    "columns": _optional(_tuple(_text)),
    "history": _optional(_record(_HISTORY)),
    "training": _optional(
        _record(
            {"optimizer": _option(OPTIMIZERS), "step": _optional(_COUNT), "average": _flag},
        )
    ),
    "session": _optional(_record(_SESSION)),
}


def checked(description: Any) -> dict[str, Any]:
    """Return a description with options in place of their specs, every field checked.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown or not what it may be; the message names it.
    """
    found: dict[str, Any] = _record(_DESCRIPTION)("the description", description)
    sizes, history, session = found["sizes"], found["history"], found["session"]
    if len(found["hidden"]) != len(sizes) - 2 or len(found["dropout"]) != len(sizes) - 1:
        raise ValueError("hidden and dropout must have an item for each layer")
    if found["columns"] is not None and len(found["columns"]) != sizes[0]:
        raise ValueError(f"columns must be {sizes[0]} names, got {len(found['columns'])}")
    if history is not None:
        _check_history(history)
    if session is not None:
        _check_session(session, found)
    return found


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
    """Raise ValueError unless a state has the fields of the initial one, counts where that has counts."""
    if state.keys() != initial.keys():
        raise ValueError(f"{name} must have {sorted(initial)}, got {sorted(state)}")
    for key, value in initial.items():
        if type(value) is int:
            options.integer(f"{name}.{key}", state[key], 0, MOST_STEPS)
        elif value is not None and state[key] is None:
            raise ValueError(f"{name}.{key} must be a number")
