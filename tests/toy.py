"""Ninety rows and three small networks that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastmlp as fm

random = np.random.default_rng(11)
N = 90
X = random.normal(size=(N, 4))
LABELS = np.r_[np.zeros(60, int), np.ones(20, int), np.full(10, 2)]
BITS = (X[:, 0] > 0).astype(int)
REAL = X @ [1.0, -2.0, 0.5, 0.0] + 1


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 3], **options)


def binary(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 1], output="sigmoid", **options)


def regressor(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 1], **{"output": "identity", "loss": "mse", **options})


def fitted(net: fm.Network, y: Any, rows: Any = X, **arguments: Any) -> fm.Network:
    net.fit(rows, y, **{"epochs": 2, "batch_size": 16, **arguments})
    return net
