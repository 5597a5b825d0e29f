"""Checks of a network's own options, each naming what it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .checks import choice, integer, listed, real, shown
from .option import T, resolve


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the units of every layer, input and output included."""
    if isinstance(sizes, str | bytes) or not isinstance(sizes, Iterable):
        raise TypeError(f"sizes must be a sequence of numbers of units, got {shown(sizes)}")
    checked = tuple(integer(f"sizes[{i}]", n, 1, 2**31) for i, n in enumerate(sizes))
    if len(checked) > 256:  # a layer is one byte of the random numbers' counter
        raise ValueError(f"sizes must have at most 256 layers, got {len(checked)}")
    if len(checked) < 2:
        raise ValueError(
            f"sizes must have at least two layers, input and output, got {list(checked)}"
        )
    return checked


def checked_dtype(value: Any) -> str:
    """Return "float32" or "float64" for what NumPy takes for one of them."""
    accepted = ("float32", "float64")
    try:
        name = None if value is None else np.dtype(value).name  # NumPy takes None for float64
    except TypeError:
        name = None
    if name is None and not isinstance(value, str):
        raise TypeError(f"dtype must be {listed(accepted)}, got {shown(value)}")
    return choice("dtype", name or value, accepted)


def per_layer(name: str, value: Any, n_hidden: int, table: Mapping[str, type[T]]) -> tuple[T, ...]:
    """Return the option of every hidden layer, out of `table`, from one for all or a sequence."""
    if isinstance(value, list | tuple):
        if len(value) != n_hidden:
            raise ValueError(
                f"{name} must be one activation or one for each of {n_hidden} hidden layers, "
                f"got {len(value)}"
            )
        return tuple(resolve(f"{name}[{i}]", v, table) for i, v in enumerate(value))
    return (resolve(name, value, table),) * n_hidden


def checked_dropout(value: Any, n_hidden: int) -> tuple[float, ...]:
    """Return the dropout rates of the input and every hidden layer, from one number or a sequence.

    One number is for the hidden layers: without any it must be 0, or it would do nothing.
    """
    if isinstance(value, list | tuple) or np.ndim(value) > 0:
        if len(value) != n_hidden + 1:
            raise ValueError(
                f"dropout must be one number or {n_hidden + 1}, for the input and each hidden "
                f"layer, got {len(value)}"
            )
        return tuple(real(f"dropout[{i}]", p, 0, 1, "[)") for i, p in enumerate(value))
    rate = real("dropout", value, 0, 1, "[)")
    if rate and not n_hidden:
        raise ValueError(
            "dropout must be 0 in a network without hidden layers, as one number is for these: "
            f"dropout=[{rate:g}] drops inputs, got {rate:g}"
        )
    return (0.0, *[rate] * n_hidden)


def thread_count(threads: Any) -> int:
    """Return the most threads to use as the engine takes it, 0 for all there are."""
    return 0 if threads is None else integer("threads", threads, 1, 256)
