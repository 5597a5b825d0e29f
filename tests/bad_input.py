"""Forty rows, small networks and the check that nothing has changed, for tests of bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import fastmlp as fm

N = 40
random = np.random.default_rng(3)
X = random.normal(size=(N, 3))
LABELS = random.integers(0, 2, N)
REAL = random.normal(size=N)
ONE_HOT = np.eye(2)[LABELS]


def classifier(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 2], **options)


def binary(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 1], output="sigmoid", **options)


def regressor(**options: Any) -> fm.Network:
    return fm.Network([3, 5, 1], output="identity", loss="mse", **options)


def trained(make: Callable[..., fm.Network], y: np.ndarray, **options: Any) -> fm.Network:
    net = make(**options)
    net.fit(X, y, epochs=1)
    return net


@contextmanager
def unchanged(net: fm.Network) -> Iterator[None]:
    """Parameters to the last bit, epochs, history, training state are after it what they were."""

    def state() -> tuple[Any, ...]:
        parameters = [array.tobytes() for array in [*net.weights, *net.biases]]
        trainer = net._training.trainer
        moments = trainer and [a.tobytes() for a in trainer.get_moment(0, 1)]
        return parameters, net.epochs, net.history, len(net.history or ()), net._training, moments

    before = state()
    yield
    assert state() == before


def spoilt(array: np.ndarray, value: Any, at: int = -1) -> np.ndarray:
    """A copy with one element, by default the last, replaced."""
    copy = array.copy()
    copy.reshape(-1)[at] = value
    return copy
