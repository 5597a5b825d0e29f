"""Activations a = f(z) and their derivatives f'(z), with PyTorch's parameters and subgradients.

Every function takes z of any shape (and α where the formula has one) and returns a new array of
that shape. The forms are chosen so that nothing overflows: exp only sees arguments that are not
positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .inputs import Array, Parameters

# The fixed point of mean 0 and variance 1 under SELU (Klambauer et al. 2017).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_erfc = np.frompyfunc(math.erfc, 1, 1)


def times(x: Array, y: Array) -> Array:
    """Multiply x by y; 0 where x is 0, whatever y is: what does not count may be infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(x == 0, x * np.sign(y), x * y)


def identity(z: Array) -> Array:
    """f(z) = z."""
    return z.copy()


def didentity(z: Array) -> Array:
    """f'(z) = 1."""
    return np.ones_like(z)


def step(z: Array) -> Array:
    """f(z) = 1 if z > 0 else 0 (Rosenblatt 1958)."""
    return np.where(z > 0, 1.0, 0.0)


def dstep(z: Array) -> Array:
    """f'(z) = 0: the step has no slope to follow, so the perceptron has a rule of its own."""
    return np.zeros_like(z)


def sigmoid(z: Array) -> Array:
    """f(z) = σ(z) = 1/(1 + e^(−z)), computed as e^(−softplus(−z))."""
    return np.exp(-softplus(-z))


def dsigmoid(z: Array) -> Array:
    """f'(z) = σ(z)(1 − σ(z)), where 1 − σ(z) = σ(−z)."""
    return sigmoid(z) * sigmoid(-z)


def tanh(z: Array) -> Array:
    """f(z) = tanh z."""
    return np.tanh(z)


def dtanh(z: Array) -> Array:
    """f'(z) = 1 − tanh² z."""
    return 1.0 - np.tanh(z) ** 2


def relu(z: Array) -> Array:
    """f(z) = max(0, z)."""
    return np.maximum(z, 0.0)


def drelu(z: Array) -> Array:
    """f'(z) = 1 if z > 0 else 0."""
    return np.where(z > 0, 1.0, 0.0)


def leaky_relu(z: Array, alpha: float) -> Array:
    """f(z) = z if z > 0 else αz (Maas et al. 2013)."""
    return np.where(z > 0, z, alpha * z)


def dleaky_relu(z: Array, alpha: float) -> Array:
    """f'(z) = 1 if z > 0 else α."""
    return np.where(z > 0, 1.0, alpha)


def elu(z: Array, alpha: float) -> Array:
    """f(z) = z if z > 0 else α(e^z − 1) (Clevert et al. 2016)."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def delu(z: Array, alpha: float) -> Array:
    """f'(z) = 1 if z > 0 else αe^z."""
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0.0)))


def selu(z: Array) -> Array:
    """f(z) = λ·elu(z; α) with the fixed λ, α of Klambauer et al. (2017)."""
    return SELU_SCALE * elu(z, SELU_ALPHA)


def dselu(z: Array) -> Array:
    """f'(z) = λ·elu'(z; α)."""
    return SELU_SCALE * delu(z, SELU_ALPHA)


def normal_cdf(z: Array) -> Array:
    """Φ(z) = (1 + erf(z/√2))/2, computed as erfc(−z/√2)/2, which does not cancel for z ≪ 0."""
    return 0.5 * np.asarray(_erfc(-z / math.sqrt(2.0)), dtype=np.float64)


def normal_pdf(z: Array) -> Array:
    """φ(z) = e^(−z²/2)/√(2π)."""
    return np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)


def gelu(z: Array) -> Array:
    """f(z) = zΦ(z), the exact form (Hendrycks and Gimpel 2016)."""
    return times(normal_cdf(z), z)


def dgelu(z: Array) -> Array:
    """f'(z) = Φ(z) + zφ(z)."""
    return normal_cdf(z) + times(normal_pdf(z), z)


def silu(z: Array) -> Array:
    """f(z) = zσ(z) (Elfwing et al. 2018)."""
    return times(sigmoid(z), z)


def dsilu(z: Array) -> Array:
    """f'(z) = σ(z) + zσ'(z)."""
    return sigmoid(z) + times(dsigmoid(z), z)


def softplus(z: Array) -> Array:
    """f(z) = ln(1 + e^z), as max(z, 0) + ln(1 + e^(−|z|)); no linear cut-off for large z."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def dsoftplus(z: Array) -> Array:
    """f'(z) = σ(z)."""
    return sigmoid(z)


def mish(z: Array) -> Array:
    """f(z) = z tanh(softplus z) (Misra 2020)."""
    return times(np.tanh(softplus(z)), z)


def dmish(z: Array) -> Array:
    """f'(z) = t + z(1 − t²)σ(z) with t = tanh(softplus z)."""
    t = np.tanh(softplus(z))
    return t + times((1.0 - t**2) * sigmoid(z), z)


def log_softmax(z: Array) -> Array:
    """ln a_t = z_t − ln Σ_s e^(z_s) over the last axis, with max z taken out of the sum.

    One logit of +∞ takes all; where several are, or all are −∞, the outputs are NaN.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        infinite = z == np.inf
        takes_all = infinite.sum(axis=-1, keepdims=True) == 1
        z = np.where(takes_all, np.where(infinite, 0.0, -np.inf), z)
        z = z - z.max(axis=-1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def softmax(z: Array) -> Array:
    """f(z)_t = e^(z_t)/Σ_s e^(z_s) over the last axis."""
    return np.exp(log_softmax(z))


class Activation(NamedTuple):
    """One row of the table: f, f' (of z and the parameters), the parameters and their defaults."""

    function: Callable[..., Array]
    derivative: Callable[..., Array]
    parameters: Parameters


ACTIVATIONS = {
    "identity": Activation(identity, didentity, {}),
    "step": Activation(step, dstep, {}),
    "sigmoid": Activation(sigmoid, dsigmoid, {}),
    "tanh": Activation(tanh, dtanh, {}),
    "relu": Activation(relu, drelu, {}),
    "leaky_relu": Activation(leaky_relu, dleaky_relu, {"alpha": 0.01}),
    "elu": Activation(elu, delu, {"alpha": 1.0}),
    "selu": Activation(selu, dselu, {}),
    "gelu": Activation(gelu, dgelu, {}),
    "silu": Activation(silu, dsilu, {}),
    "softplus": Activation(softplus, dsoftplus, {}),
    "mish": Activation(mish, dmish, {}),
}
"""The activations that work unit by unit; softmax couples the units of a layer and stands apart."""
