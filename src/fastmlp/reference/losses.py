"""Losses C_i of one row, and the output error δ^(L−1) = ∂C_i/∂z^(L−1) that starts backpropagation.

Arrays are (n, k): n rows, k outputs; z are the weighted sums of the output layer, a its
activations, y the targets. `mse`, `mae`, `huber`, `poisson` and `quantile` average over the k
outputs; `half_mse`, `cross_entropy` and `perceptron` sum over them. The mean over rows is taken by
the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .activations import ACTIVATIONS, log_softmax, softplus, times
from .inputs import Array, Parameters


def mse(a: Array, y: Array) -> Array:
    """(a − y)²."""
    return (a - y) ** 2


def dmse(a: Array, y: Array) -> Array:
    """∂/∂a = 2(a − y)."""
    return 2.0 * (a - y)


def half_mse(a: Array, y: Array) -> Array:
    """½(a − y)²."""
    return 0.5 * (a - y) ** 2


def dhalf_mse(a: Array, y: Array) -> Array:
    """∂/∂a = a − y."""
    return a - y


def mae(a: Array, y: Array) -> Array:
    """|a − y|."""
    return np.abs(a - y)


def dmae(a: Array, y: Array) -> Array:
    """∂/∂a = sign(a − y), 0 where a = y."""
    return np.sign(a - y)


def huber(a: Array, y: Array, delta: float) -> Array:
    """½d² if |d| ≤ δ else δ(|d| − δ/2), with d = a − y (Huber 1964)."""
    d = np.abs(a - y)
    return np.where(d <= delta, 0.5 * d**2, delta * (d - 0.5 * delta))


def dhuber(a: Array, y: Array, delta: float) -> Array:
    """∂/∂a = d, limited to [−δ, δ]."""
    return np.clip(a - y, -delta, delta)


def poisson(a: Array, y: Array) -> Array:
    """e^a − ya: the negative log-likelihood of count y at rate e^a, without the constant ln y!."""
    return np.exp(a) - y * a


def dpoisson(a: Array, y: Array) -> Array:
    """∂/∂a = e^a − y."""
    return np.exp(a) - y


def quantile(a: Array, y: Array, tau: float) -> Array:
    """max(τu, (τ − 1)u) with u = y − a (Koenker and Bassett 1978)."""
    return np.maximum(tau * (y - a), (tau - 1.0) * (y - a))


def dquantile(a: Array, y: Array, tau: float) -> Array:
    """∂/∂a = −τ if y > a, 1 − τ if y < a, 0 where a = y."""
    return np.where(y > a, -tau, np.where(y < a, 1.0 - tau, 0.0))


class Loss(NamedTuple):
    """One row of the table: loss of one output, derivative by a, reduction, parameters."""

    function: Callable[..., Array] | None
    derivative: Callable[..., Array] | None
    over_outputs: Callable[..., Array]
    parameters: Parameters


LOSSES = {
    "mse": Loss(mse, dmse, np.mean, {}),
    "half_mse": Loss(half_mse, dhalf_mse, np.sum, {}),
    "mae": Loss(mae, dmae, np.mean, {}),
    "huber": Loss(huber, dhuber, np.mean, {"delta": 1.0}),
    "poisson": Loss(poisson, dpoisson, np.mean, {}),
    "quantile": Loss(quantile, dquantile, np.mean, {"tau": 0.5}),
    # These two are functions of the weighted sums z, see row_losses() and output_error().
    "cross_entropy": Loss(None, None, np.sum, {"label_smoothing": 0.0}),
    "perceptron": Loss(None, None, np.sum, {}),
}


def smoothed(y: Array, output: str, label_smoothing: float) -> Array:
    """y ← (1 − s)y + s/k (softmax) or (1 − s)y + s/2 (sigmoid) (Szegedy et al. 2016)."""
    classes = y.shape[1] if output == "softmax" else 2
    return (1.0 - label_smoothing) * y + label_smoothing / classes


def row_losses(
    loss: str, parameters: Parameters, output: str, z: Array, a: Array, y: Array
) -> Array:
    """C_i of every row, (n,)."""
    function, _, over_outputs, _ = LOSSES[loss]
    if loss == "cross_entropy":
        y = smoothed(y, output, **parameters)
        if output == "softmax":
            terms = -times(y, log_softmax(z))  # −Σ_t y_t ln a_t
        else:
            # −Σ_t [y ln a + (1 − y) ln(1 − a)] with ln a = −softplus(−z), ln(1 − a) = −softplus(z)
            terms = times(y, softplus(-z)) + times(1.0 - y, softplus(z))
    elif loss == "perceptron":
        terms = times(a - y, z)  # z counts only where the decision a is wrong
    else:
        assert function is not None
        terms = function(a, y, **parameters)
    return over_outputs(terms, axis=1)


def output_error(
    loss: str,
    loss_parameters: Parameters,
    output: str,
    output_parameters: Parameters,
    z: Array,
    a: Array,
    y: Array,
) -> Array:
    """δ^(L−1) = ∂C_i/∂z^(L−1) of every row, (n, k)."""
    _, derivative, over_outputs, _ = LOSSES[loss]
    if loss == "cross_entropy":
        y = smoothed(y, output, **loss_parameters)
        mass = y.sum(axis=1, keepdims=True) if output == "softmax" else 1.0  # 1 but for rounding
        return mass * a - y  # δ = a − y: f' has cancelled, and with it every ln 0
    if loss == "perceptron":
        return a - y  # so that w ← w − ηδx is the perceptron rule w ← w + η(y − a)x
    assert derivative is not None
    da = derivative(a, y, **loss_parameters)  # ∂C/∂a
    if over_outputs is np.mean:
        da = da / a.shape[1]
    if output == "softmax":
        return a * (da - (da * a).sum(axis=1, keepdims=True))  # ∂a_t/∂z_s = a_t([t = s] − a_s)
    return da * ACTIVATIONS[output].derivative(z, **output_parameters)  # ∂C/∂a ⊙ f'(z)
