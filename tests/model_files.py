"""Networks with all that a file may hold; files taken apart and put together."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmlp as fm
from fastmlp._fit import minibatch
from fastmlp._fit.run import Run
from fastmlp.export.files import opened
from fastmlp.export.safetensors import Reader, write

DATA = Path(__file__).parent / "package" / "data"

random = np.random.default_rng(13)
X = random.normal(size=(30, 4))
LABELS = random.integers(0, 3, 30)
# In so many rows the engine looks at the clock within an epoch.
MANY, MANY_LABELS = np.tile(X, (300, 1)), np.tile(LABELS, 300)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 3], **options)


def trained() -> fm.Network:
    """A network with all that a training leaves: moments, averages, a history, columns."""
    net = classifier(dropout=[0.1, 0.2], max_norm=2.0, l1=1e-4, l2=1e-3, seed=2**64 - 1)
    net.fit(
        X, LABELS, epochs=5, ema=0.9, validation=0.3, schedule=fm.schedules.Plateau(patience=1),
        stop=[fm.EarlyStopping(patience=9), fm.TimeBudget(1e6)], optimizer=fm.Adam(0.2),
    )  # fmt: skip
    return net


# ---- trainings that are cut off, and how to go on with them


class Counts(fm.Callback):
    """Has a state; ends a training after an epoch as Ctrl-C would."""

    def __init__(self, last: int = 0) -> None:
        self.seen, self.last = 0, last

    def on_epoch_end(self, network: Any, history: Any) -> None:
        self.seen += 1
        if network.epochs == self.last:
            raise KeyboardInterrupt

    def get_state(self) -> dict[str, Any]:
        return {"seen": self.seen, "random": 2**127 + 1}

    def set_state(self, state: Any) -> None:
        if not isinstance(state.get("seen"), int):
            raise ValueError("no state of Counts")
        self.seen = state["seen"]


def in_resumption(path: Path, n_rows: int = 30) -> dict[str, Any]:
    """Arguments of fit with all that a session may remember; `path` is a checkpoint's."""
    return {
        "epochs": 6, "batch_size": 4 if n_rows == 30 else 64, "optimizer": fm.Adam(0.02),
        "validation": 0.3, "record_norms": True, "clip_norm": 1.0, "ema": 0.9,
        "schedule": fm.schedules.Warmup(3, fm.schedules.Plateau(patience=1)),
        "stop": [
            fm.EarlyStopping(patience=9), fm.Tolerance(), fm.TargetLoss(0.0),
            fm.EarlyStopping(patience=8, monitor="loss", restore_best=False),
        ],
        "augment": fm.augment.Noise(0.1), "sample_weight": 1.0 + np.arange(n_rows) % 3,
        "callbacks": [Counts(), fm.Checkpoint(path, keep_best=True)],
    }  # fmt: skip


def cut_between_epochs(path: Path, **options: Any) -> fm.Network:
    """A network whose training Ctrl-C ended in a callback."""
    net = classifier(**options)
    arguments = in_resumption(path)
    arguments["callbacks"][0] = Counts(3)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, LABELS, **arguments)
    return net


def cut_within_an_epoch(
    path: Path, data: Any = None, arguments: dict[str, Any] | None = None, **options: Any
) -> fm.Network:
    """A network whose training, of `MANY` rows, Ctrl-C ended in the midst of its third epoch."""
    net = fm.Network([4, 40, 3], **options)

    def interrupt(run: Run, rows_done: int) -> None:
        if net.epochs == 2 and rows_done > 0:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(minibatch, "SLICE", 0.0)
        patch.setattr(Run, "show_share", interrupt)
        net.fit(*(data or (MANY, MANY_LABELS)), **(arguments or in_resumption(path, len(MANY))))
    return net


def stopped_by_a_budget(path: Path, **options: Any) -> fm.Network:
    """A network whose time was over, with its best weights and the last ones to go on from."""
    net = classifier(**options)
    arguments = {**in_resumption(path), "optimizer": fm.SGD(3.0, momentum=0.9), "epochs": 50}
    arguments["schedule"] = None
    for calls in range(40):
        stop = [*arguments["stop"], fm.TimeBudget(1e-9)]
        net.fit(X, LABELS, **{**arguments, "stop": stop, "resume": calls > 0})
        if net._training.session is not None and net._training.session.last is not None:
            return net
    raise AssertionError("every epoch was the best")


# ---- files


def there_and_back(net: fm.Network, path: Path) -> fm.Network:
    net.save(path)
    return fm.load(path)


def parts(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of the network in a file, and the tensors."""
    with opened(path) as file:
        reader = Reader(file)
        return json.loads(reader.metadata["fastmlp"]), reader.tensors()


def put_together(path: Path, description: Any, tensors: dict[str, np.ndarray]) -> None:
    """Write a file of a description, or of its JSON, and tensors; its checksums fit."""
    text = description if isinstance(description, str) else json.dumps(description)
    with open(path, "wb") as file:
        write(file, tensors, {"fastmlp": text})


def changed(path: Path, *keys: Any, value: Any) -> None:
    """Set the field of a file's description that is found by these keys."""
    description, tensors = parts(path)
    inner = description = copy.deepcopy(description)
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    put_together(path, description, tensors)
