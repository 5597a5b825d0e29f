"""What the caller gives, checked: options, shapes, rows, targets and row weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameters = dict[str, float]
Gradients = list[tuple[Array, Array]]
Masks = Sequence[Array | None]


def resolve(
    option: Any, accepted: Mapping[str, Parameters], argument: str
) -> tuple[str, Parameters]:
    """Name and parameters of an option.

    Parameters
    ----------
    option : str or object
        A name, or an object whose attribute ``name`` is one; its other attributes give parameters.
    accepted : mapping of str to dict
        The parameters of each accepted name with their defaults, used where `option` has none.
    argument : str
        What the caller calls the option, for the error message.

    Returns
    -------
    name : str
    parameters : dict of str to float

    Raises
    ------
    ValueError
        If the name is not among the accepted ones.
    TypeError
        If `option` is neither a string nor has an attribute ``name``.
    """
    name = option if isinstance(option, str) else getattr(option, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a name or an object with a name, got {option!r}")
    if name not in accepted:
        raise ValueError(f"{argument} must be one of {', '.join(accepted)}, got {name!r}")
    return name, {
        key: float(getattr(option, key, default)) for key, default in accepted[name].items()
    }


OUTPUTS_FOR = {"cross_entropy": ("softmax", "sigmoid"), "perceptron": ("step",)}
"""The output activations that a loss insists on; the other losses go with any."""


def check_output(output: str, loss: str) -> None:
    """Raise ValueError unless the output activation suits the loss."""
    suitable = OUTPUTS_FOR.get(loss, (output,))
    if output not in suitable:
        raise ValueError(
            f"output must be {' or '.join(suitable)} for loss {loss!r}, got {output!r}"
        )


def per_hidden_layer(hidden: Any, count: int) -> list[Any]:
    """One activation per hidden layer, from one for all or a sequence of `count`.

    Raises
    ------
    ValueError
        If a sequence of another length is given.
    """
    if isinstance(hidden, str) or hasattr(hidden, "name"):
        return [hidden] * count
    hidden = list(hidden)
    if len(hidden) != count:
        raise ValueError(
            f"hidden must be one activation, or one for each of {count}, got {len(hidden)}"
        )
    return hidden


def layer_sizes(sizes: Any) -> list[int]:
    """The numbers of units n_0 … n_(L−1) as ints, checked.

    Raises
    ------
    ValueError
        If there are fewer than two layers, or a size is not a positive integer.
    """
    checked = [int(size) for size in sizes]
    if len(checked) < 2 or any(a != b or a < 1 for a, b in zip(checked, sizes, strict=True)):
        raise ValueError(f"sizes must be two or more positive integers, got {list(sizes)}")
    return checked


def dropout_per_layer(dropout: Any, count: int) -> list[float]:
    """Probability of dropout for layers 0 … L−2, from one for all hidden layers or `count` numbers.

    Raises
    ------
    ValueError
        If the length is not `count` or a probability lies outside [0, 1).
    """
    rates = (
        [0.0] + [float(dropout)] * (count - 1)
        if np.ndim(dropout) == 0
        else [float(p) for p in dropout]
    )
    if len(rates) != count:
        raise ValueError(
            f"dropout must be one number or {count} (input and hidden layers), got {len(rates)}"
        )
    wrong = [p for p in [*rates, *np.atleast_1d(dropout)] if not 0.0 <= p < 1.0]
    if wrong:
        raise ValueError(f"dropout must be in [0, 1), got {float(wrong[0])}")
    return rates


def copied(given: Any, shapes: Iterable[tuple[int, ...]], argument: str) -> list[Array]:
    """Float64 copies of given parameter arrays, after their number and shapes are checked.

    Raises
    ------
    ValueError
        If a shape or the number of arrays differs from `shapes`.
    """
    arrays = [np.array(array, dtype=np.float64) for array in given]
    got, expected = [array.shape for array in arrays], list(shapes)
    if got != expected:
        raise ValueError(f"{argument} must have the shapes {expected}, got {got}")
    return arrays


def rows(X: npt.ArrayLike, inputs: int) -> Array:
    """X as float64, (n, inputs).

    Raises
    ------
    ValueError
        If X has another shape or no row.
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] != inputs or not len(X):
        raise ValueError(f"X must have the shape (n, {inputs}) with n > 0, got {X.shape}")
    return X


def targets(Y: npt.ArrayLike, n: int, k: int, output: str, loss: str) -> Array:
    """Y as float64, (n, k); labels for a softmax output become one-hot rows.

    Raises
    ------
    ValueError
        If the shape does not fit n rows of k outputs, or the values do not suit the output and the
        loss.
    """
    y = np.asarray(Y, dtype=np.float64)
    if y.shape == (n,) and output == "softmax":
        if not np.isin(y, np.arange(k)).all():
            raise ValueError(
                f"Y must hold integer labels from 0 to {k - 1} for {k} softmax outputs"
            )
        y = np.eye(k)[y.astype(np.int64)]
    elif y.shape == (n,) and k == 1:
        y = y[:, None]
    if y.shape != (n, k):
        raise ValueError(f"Y must have the shape ({n}, {k}), got {np.shape(Y)}")
    if loss == "cross_entropy":
        if not ((y >= 0.0) & (y <= 1.0)).all():
            raise ValueError("Y must lie in [0, 1] for loss 'cross_entropy'")
        # A thousandth is the rounding of float16 rows.
        if output == "softmax" and np.abs(y.sum(axis=1) - 1.0).max() > 1e-3:
            raise ValueError("Y must hold rows that sum to 1 for a softmax output")
    return y


def row_weights(sample_weight: npt.ArrayLike | None, n: int) -> Array:
    """w_i of every row, (n,), 1 where none are given.

    Raises
    ------
    ValueError
        If the shape is not (n,) or a weight is negative.
    """
    w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if w.shape != (n,) or not (w >= 0.0).all():
        raise ValueError(
            f"sample_weight must have the shape ({n},) and no negative entry, got {w.shape}"
        )
    return w


def shares(sample_weight: npt.ArrayLike | None, n: int) -> Array:
    """Each row's share in the mean, w_i/Σw, (n,); all 0 if the weights are."""
    w = row_weights(sample_weight, n)
    return w / (w.sum() or 1.0)
