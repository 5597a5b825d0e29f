"""The gate for data: checks X, y and weights against the network, names the fault, copies only what it must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import real_array, weights_of
from .._arrays import rows_of as as_rows

if TYPE_CHECKING:
    from ..network import Network


__all__ = ["Targets", "as_rows", "as_sample_weight", "as_targets", "real_array"]


@dataclass(frozen=True)
class Targets:
    """Targets as the engine takes them: int64 class labels (n,) or real numbers (n, k)."""

    array: np.ndarray
    labels: bool


def as_targets(
    name: str, value: Any, network: Network, n_rows: int, rows_name: str = "X"
) -> Targets:
    """Return y checked against the output layer, the loss and the number of rows.

    For a softmax output integer labels (n,) or (n, 1), or rows of probabilities (n, k); for any
    other output real numbers (n, k), or (n,) where k is 1; within [0, 1] for sigmoid and step
    outputs.
    """
    array = real_array(name, value)
    k = network.sizes[-1]
    softmax = network.output.name == "softmax"
    wanted = f"({n_rows}, {k})" + (f" or ({n_rows},)" if k == 1 or softmax else "")
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if len(array) != n_rows:
        raise ValueError(
            f"{name} must have as many rows as {rows_name}, {n_rows}, got {array.shape}"
        )
    column = array.ndim == 1 or array.shape[1] == 1
    if softmax and column and not (k == 1 and array.ndim == 2):
        return Targets(_labels(name, array.reshape(n_rows), k), True)
    if array.shape[1:] != (k,) and not (column and k == 1):
        hint = ": give one-hot rows" if column and array.dtype.kind in "biu" else ""
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}{hint}")
    network._net.check_finite(array, name)
    _check_domain(name, array, network, softmax)
    return Targets(array, False)


def _labels(name: str, array: np.ndarray, k: int) -> np.ndarray:
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} must be integer labels or rows of {k} probabilities, got dtype {array.dtype}"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= k:
        raise ValueError(
            f"{name} must hold labels from 0 to {k - 1}, got labels from {low} to {high}"
        )
    return array.astype(np.int64, copy=False)


def _check_domain(name: str, array: np.ndarray, network: Network, softmax: bool) -> None:
    if softmax or network.output.name in ("sigmoid", "step"):
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must be in [0, 1] for a {network.output.name} output, got values from {low:.6g} to {high:.6g}"
            )
    if softmax:
        sums = array.sum(axis=1, dtype=np.float64)
        worst = float(np.abs(sums - 1).max())
        if worst > 1e-3:
            raise ValueError(
                f"{name} must have rows of probabilities that sum to 1, got a sum off by {worst:.6g}"
            )
    if network.loss.name == "poisson" and float(array.min()) < 0:
        raise ValueError(
            f"{name} must not be negative for the poisson loss, got {float(array.min()):.6g}"
        )


def as_sample_weight(value: Any, n_rows: int) -> np.ndarray | None:
    """Return weights (n,) as float64: finite, none negative, not all 0; None for None."""
    return weights_of("sample_weight", value, n_rows)
