"""The fields of a network's description: one table says what each may hold, and what goes with it.

What the table lets through can be trained on: no field is read that was not checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _options as options
from ..activations import ACTIVATIONS
from ..augment import AUGMENTATIONS
from ..initializers import INITIALIZERS
from ..losses import LOSSES
from ..optimizers import LBFGS, OPTIMIZERS
from ..schedules import SCHEDULES
from ..stopping import STOP_RULES, EarlyStopping, TimeBudget, resolve_stop
from .kinds import (
    MOST,
    flag,
    integer,
    json_of,
    level,
    list_of,
    mapping,
    number,
    one_of,
    option,
    optional,
    real,
    record,
    row_of,
    text,
    tuple_of,
)

# -- the table ------------------------------------------------------------------------------------

COUNT, EPOCH = integer(0, MOST), integer(1, MOST)
DECAY = real(0, 1, "()")
OPTIMIZER = option(OPTIMIZERS)
MAX_LAYERS = 256

# What a description of any format says of the network itself.
NETWORK = {
    "sizes": list_of(integer(1, 2**31), 2, MAX_LAYERS),
    "hidden": list_of(option(ACTIVATIONS), 0, MAX_LAYERS - 2),
    "output": option(ACTIVATIONS),
    "loss": option(LOSSES),
    "l1": real(0),
    "l2": real(0),
    "dropout": list_of(real(0, 1, "[)"), 1, MAX_LAYERS - 1),
    "max_norm": optional(real(0, bounds="()")),
    "dtype": one_of(("float32", "float64")),
    "seed": integer(0, 2**64 - 1),
    "init": one_of(("auto", *INITIALIZERS)),
}

_HISTORY = {
    "columns": list_of(text, 2),
    "shapes": list_of(list_of(integer(0, MOST), 1, 2), 2),
    "stopped_by": text,
    "best_epoch": optional(EPOCH),
    "last": list_of(text),
}

_TRAINING = {"optimizer": OPTIMIZER, "step": optional(COUNT), "average": flag}

# The arguments of the call of fit that can be resumed: they are compared with those of the next.
_SPEC = {
    "epochs": integer(0),
    "batch_size": integer(1),
    "optimizer": OPTIMIZER,
    "schedule": option(SCHEDULES),
    "stop": list_of(option(STOP_RULES)),
    "validation": optional(DECAY),
    "stratify": flag,
    "augment": list_of(option(AUGMENTATIONS)),
    "clip_norm": optional(real(0, bounds="()")),
    "ema": optional(DECAY),
    "shuffle": flag,
    "record_norms": flag,
    "callbacks": list_of(text),
}

# What a schedule or a stop rule may remember; which of these one has, its initial state says.
_STATE = record(
    {"best": optional(level), "waited": COUNT, "multiplier": real(0, 1)},
    may_lack=("best", "waited", "multiplier"),
)

_PRINT = row_of(list_of(COUNT, 1, 2), text, integer(0, 2**32 - 1))  # shape, dtype, CRC-32
_PRINTS = record(
    {"X": _PRINT, "y": _PRINT, "sample_weight": optional(_PRINT), "rows": _PRINT},
    may_lack=("rows",),
)

_EPOCH_STATE = {
    "position": EPOCH,
    "loss": number,
    "weight": real(0),
    "norm": number,
    "step_size": number,
    "steps": EPOCH,
}

_SESSION = {
    "spec": record(_SPEC),
    "began": tuple_of(COUNT, 2, 2),
    "schedule_state": _STATE,
    "rule_states": list_of(_STATE),
    "best": list_of(optional(record({"epoch": EPOCH, "kept": flag}))),
    "callback_states": json_of(list_of(mapping)),
    "epoch_state": optional(record(_EPOCH_STATE)),
    "epoch_start": flag,
    "record": optional(record({"epoch": EPOCH, "seconds": real(0), "loss": number}, (), number)),
    "next_callback": optional(COUNT),
    "due": optional(text),
    "last": flag,
    "prints": record({"training": _PRINTS, "validation": optional(_PRINTS)}),
}

_DESCRIPTION = record(
    {
        "format": integer(2, 2),
        **NETWORK,
        "epochs": COUNT,
        "columns": optional(tuple_of(text)),
        "history": optional(record(_HISTORY)),
        "training": optional(record(_TRAINING)),
        "session": optional(record(_SESSION)),
    }
)


# -- what goes with what --------------------------------------------------------------------------


def checked(description: Any) -> dict[str, Any]:
    """Return a description with options in place of their specs, every field checked.

    Raises
    ------
    TypeError, ValueError
        A field is missing, unknown, not what it may be, or does not go with another; the message
        names it.
    """
    found: dict[str, Any] = _DESCRIPTION("", mapping("the description", description))
    check_network(found)
    width, columns = found["sizes"][0], found["columns"]
    _require(columns is None or len(columns) == width, f"columns must be {width} names")
    if found["history"] is not None:
        _check_history(found["history"])
    if found["training"] is not None:
        check_steps("training", found["training"])
    if found["session"] is not None:
        _check_session(found["session"], found)
    return found


def _require(right: bool, message: str) -> None:
    if not right:
        raise ValueError(message)


def check_network(found: Mapping[str, Any]) -> None:
    """Raise ValueError unless the fields of `NETWORK` have items for the same layers."""
    layers = len(found["sizes"])
    for name, count in (("hidden", layers - 2), ("dropout", layers - 1)):
        given = len(found[name])
        _require(given == count, f"{name} must have {count} items with {layers} sizes, got {given}")


def check_steps(name: str, training: Mapping[str, Any]) -> None:
    """Raise ValueError if steps were counted by an optimizer that is not stepped in the engine."""
    by_engine = not isinstance(training["optimizer"], LBFGS)
    _require(by_engine or training["step"] is None, f"{name}.step must be null with L-BFGS")


def _check_history(history: Mapping[str, Any]) -> None:
    names, shapes = history["columns"], history["shapes"]
    _require(names[:2] == ["epoch", "seconds"], "history.columns must begin with epoch, seconds")
    _require(len(set(names)) == len(names), "history.columns must be different names")
    _require(len(shapes) == len(names), "history.shapes must be one for each of history.columns")
    lengths = {shape[0] for shape in shapes}
    _require(len(lengths) == 1, "history.shapes must be of the same number of epochs")
    _require(set(history["last"]) <= set(names), "history.last must be names of its columns")


def _check_session(session: dict[str, Any], found: Mapping[str, Any]) -> None:
    spec, training, epochs = session["spec"], found["training"], found["epochs"]
    _require(training is not None, "training must be there where a session is")
    _require(
        spec["optimizer"] == training["optimizer"],
        "session.spec.optimizer must be that of the training",
    )
    step = training["step"]
    _require(step is not None, "training.step must be a number where a session is")
    first, first_step = session["began"]
    _require(
        first <= epochs <= first + spec["epochs"] and first_step <= step,
        "session.began and session.spec.epochs must go with the epochs and the steps",
    )
    _check_rules(session, spec, epochs)
    n_callbacks, due = len(spec["callbacks"]), session["next_callback"]
    _require(
        len(session["callback_states"]) == n_callbacks,
        f"session.callback_states must have one state for each of {n_callbacks} callbacks",
    )
    if due is not None:
        history = found["history"]
        _require(due <= n_callbacks, "session.next_callback must be one of its callbacks")
        _require(
            history is not None and history["shapes"][0][0] > 0,
            "session.next_callback must come with an epoch in the history",
        )
    if session["record"] is not None:
        _require(session["record"]["epoch"] == epochs, "session.record.epoch must be the last one")
    n_rows = _rows_of("training", session["prints"]["training"], found["sizes"][0])
    if session["prints"]["validation"] is not None:
        _rows_of("validation", session["prints"]["validation"], found["sizes"][0])
    _check_position(session, n_rows, step - first_step)
    session["spec"] = {key: _plain(value) for key, value in spec.items()}


def _plain(value: Any) -> Any:
    """Return what a spec holds in the form in which it is compared."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return options.to_spec(value) if isinstance(value, options.Option) else value


def _check_rules(session: Mapping[str, Any], spec: Mapping[str, Any], epochs: int) -> None:
    """Raise ValueError unless schedule and stop rules have the states they make."""
    schedule, rules = spec["schedule"], resolve_stop(spec["stop"])
    _check_state("session.schedule_state", session["schedule_state"], schedule)
    states, bests = session["rule_states"], session["best"]
    _require(
        len(rules) == len(states) == len(bests),
        f"session.rule_states and session.best must have an item for each of {len(rules)} rules",
    )
    for i, (rule, state, best) in enumerate(zip(rules, states, bests, strict=True)):
        lasting = not isinstance(rule, TimeBudget)
        _require(lasting, f"session.spec.stop[{i}] must not be a time budget")
        _check_state(f"session.rule_states[{i}]", state, rule)
        if best is None:
            continue
        kept = isinstance(rule, EarlyStopping) and rule.restore_best
        _require(
            isinstance(rule, EarlyStopping) and best["kept"] == kept and best["epoch"] <= epochs,
            f"session.best[{i}] must go with its rule and with the epochs",
        )


def _check_state(name: str, state: Mapping[str, Any], owner: Any) -> None:
    wanted = owner.initial_state().keys()
    _require(state.keys() == wanted, f"{name} must have {sorted(wanted)}, got {sorted(state)}")


def _rows_of(role: str, prints: Mapping[str, Any], width: int) -> int:
    """Return the number of rows of the set that fingerprints are of."""
    name, n_rows = f"session.prints.{role}", prints["X"][0][0]
    _require(prints["X"][0] == [n_rows, width], f"{name}.X must be of rows with {width} columns")
    for key in ("y", "sample_weight"):
        one = prints[key] is None or prints[key][0][0] == n_rows
        _require(one, f"{name}.{key} must be of {n_rows} rows")
    if "rows" not in prints:
        return int(n_rows)
    count = prints["rows"][0]
    _require(len(count) == 1 and count[0] <= n_rows, f"{name}.rows must be some of {n_rows} rows")
    return int(count[0])


def _check_position(session: Mapping[str, Any], n_rows: int, steps: int) -> None:
    """Raise ValueError unless the epoch under way stands between two of its batches."""
    epoch = session["epoch_state"]
    _require(
        (epoch is not None) == session["epoch_start"],
        "session.epoch_start must be true with an epoch_state, and only then",
    )
    if epoch is None:
        return
    size, position = session["spec"]["batch_size"], epoch["position"]
    _require(
        position < n_rows and position == epoch["steps"] * size and epoch["steps"] <= steps,
        f"session.epoch_state must be between two batches of {n_rows} rows",
    )
