"""A network, its data and the trainings that tests of going on and of resuming share."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
from support import assert_same_network, problem

import fastmlp as fm
from fastmlp import schedules

SIZES = (9, 33, 17, 4)
N, BATCH = 70, 16
X, Y = problem(SIZES, "softmax", "cross_entropy", N)
XV, YV = problem(SIZES, "softmax", "cross_entropy", 40, seed=2)

EVERYTHING = {"dropout": (0.1, 0.4, 0.2), "l1": 1e-3, "l2": 1e-2, "max_norm": 0.9}
ARGUMENTS = {
    "batch_size": BATCH,
    "optimizer": fm.Adam(0.01),
    "ema": 0.9,
    "clip_norm": 0.5,
    "sample_weight": np.arange(N) % 3,
    "augment": [
        fm.augment.Affine((3, 3), rotate=30, shift=0.5),
        fm.augment.Noise(0.1),
        fm.augment.Mask(0.1),
    ],
}

# What has a memory that resuming must take up: arguments of fit.
MEMORIES: dict[str, dict[str, Any]] = {
    "step": {"schedule": schedules.Step(2, 0.5)},
    "exponential by step": {"schedule": schedules.Exponential(0.9, by="step")},
    "inverse_scaling": {"schedule": schedules.InverseScaling()},
    "cosine": {"schedule": schedules.Cosine()},
    "cosine by step": {"schedule": schedules.Cosine(by="step")},
    "one_cycle": {"schedule": schedules.OneCycle()},
    "warmup": {"schedule": schedules.Warmup(8, then=schedules.Cosine(length=4), by="step")},
    "plateau": {"schedule": schedules.Plateau(patience=1, factor=0.5, min_delta=0.05)},
    "plateau on validation": {
        "schedule": schedules.Plateau(patience=1, min_delta=0.1),
        "validation": (XV, YV),
    },
    "share for validation": {"validation": 0.2},
    "early stopping": {"stop": fm.EarlyStopping(patience=3), "validation": (XV, YV)},
    "early stopping, no best": {
        "stop": fm.EarlyStopping(patience=4, restore_best=False),
        "validation": (XV, YV),
    },
    "tolerance": {"stop": fm.Tolerance(0.02, patience=3)},
    "two rules": {
        "stop": [
            fm.EarlyStopping(monitor="loss", patience=9, restore_best=False),
            fm.EarlyStopping(patience=4),
        ],
        "validation": (XV, YV),
    },
    "norms": {"record_norms": True, "clip_norm": 0.2},
    "everything": {**ARGUMENTS, "schedule": schedules.Exponential(0.9), "validation": (XV, YV)},
}

WAYS = {
    "in memory": lambda net, folder: net,
    "file": lambda net, folder: (net.save(folder / "net"), fm.load(folder / "net"))[1],
    "pickle": lambda net, folder: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, folder: copy.deepcopy(net),
}


class Cut(fm.Callback):
    """Ends a training after an epoch in one of the ways in which one is cut off."""

    def __init__(self, how: str, epoch: int) -> None:
        self.how, self.epoch = how, epoch

    def on_epoch_end(self, network: Any, history: Any) -> Any:
        if network.epochs != self.epoch:
            return None
        if self.how == "Ctrl-C":
            raise KeyboardInterrupt
        if self.how == "error":
            raise RuntimeError("cut")
        return self.how == "callback"


def cut(net: fm.Network, how: str, epoch: int, arguments: dict[str, Any], epochs: int = 6) -> None:
    """Train until an epoch has ended, and no further."""
    try:
        net.fit(X, Y, epochs=epochs, callbacks=Cut(how, epoch), **arguments)
    except (KeyboardInterrupt, RuntimeError):
        pass
    stopped_by = {"Ctrl-C": "interrupted", "error": "error", "callback": "callback"}[how]
    assert (net.history.stopped_by, net.epochs) == (stopped_by, epoch)


def resumed(net: fm.Network, arguments: dict[str, Any], epochs: int = 6) -> fm.Network:
    net.fit(X, Y, epochs=epochs, callbacks=Cut("", 0), resume=True, **arguments)
    return net


def assert_resumed_is_whole(net: fm.Network, whole: fm.Network) -> None:
    assert_same_network(net, whole)
    for key in whole.history:
        assert net.history[key] == whole.history[key]
    assert net.history.epochs == whole.history.epochs
    assert net.history.stopped_by == whole.history.stopped_by
    assert net.history.best_epoch == whole.history.best_epoch
