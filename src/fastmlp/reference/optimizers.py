"""Optimisers: θ ← θ + step from the gradient, with exactly PyTorch's definitions.

Each rule takes one parameter array θ, its gradient g, the state it keeps between steps (a dict that
starts empty), the number of the step t = 1, 2, …, the learning rate η, and its constants; it
returns the new θ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .inputs import Array, Parameters, resolve

State = dict[str, Any]


def sgd(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    momentum: float,
    nesterov: float,
) -> Array:
    """Gradient descent with Polyak's (1964) or Nesterov's (Sutskever et al. 2013) momentum."""
    v = state["v"] = momentum * state.get("v", 0.0) + g  # v ← μv + g
    if nesterov:
        return theta - learning_rate * (g + momentum * v)  # θ ← θ − η(g + μv)
    return theta - learning_rate * v  # θ ← θ − ηv


def squarable(g: Array) -> Array:
    """Return g, or of a component whose square would overflow the largest whose square does not."""
    most = math.sqrt(np.finfo(np.float64).max)
    return np.clip(g, -most, most)


def adam(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> Array:
    """Adam (Kingma and Ba 2015)."""
    g = squarable(g)
    m = state["m"] = beta1 * state.get("m", 0.0) + (1.0 - beta1) * g  # m ← β₁m + (1 − β₁)g
    v = state["v"] = beta2 * state.get("v", 0.0) + (1.0 - beta2) * g**2  # v ← β₂v + (1 − β₂)g²
    m_hat = m / (1.0 - beta1**t)
    v_hat = v / (1.0 - beta2**t)
    return theta - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)  # θ ← θ − ηm̂/(√v̂ + ε)


def adamw(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> Array:
    """Adam with decoupled decay of weights and biases alike (Loshchilov and Hutter 2019)."""
    decayed = theta * (1.0 - learning_rate * weight_decay)  # θ ← θ − ηλθ
    return adam(decayed, g, state, t, learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)


def rmsprop(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    alpha: float,
    epsilon: float,
    momentum: float,
    centered: float,
) -> Array:
    """RMSprop (Hinton 2012), centred as in Graves (2013) if asked for."""
    g = squarable(g)
    v = state["v"] = alpha * state.get("v", 0.0) + (1.0 - alpha) * g**2  # v ← αv + (1 − α)g²
    if centered:
        m = state["m"] = alpha * state.get("m", 0.0) + (1.0 - alpha) * g  # m ← αm + (1 − α)g
        v = np.maximum(v - m**2, 0.0)  # a variance: below 0 only by rounding
    scaled = g / (np.sqrt(v) + epsilon)
    b = state["b"] = momentum * state.get("b", 0.0) + scaled  # b ← μb + g/(√v + ε)
    return theta - learning_rate * b  # θ ← θ − ηb


def adagrad(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    learning_rate_decay: float,
    epsilon: float,
    initial_accumulator: float,
) -> Array:
    """Adagrad (Duchi et al. 2011)."""
    g = squarable(g)
    with np.errstate(over="ignore"):
        v = state.get("v", initial_accumulator) + g**2  # v ← v + g², and no more than there is
    v = state["v"] = np.minimum(v, np.finfo(np.float64).max)
    eta = learning_rate / (1.0 + (t - 1) * learning_rate_decay)  # η_t = η/(1 + (t − 1)λ)
    return theta - eta * g / (np.sqrt(v) + epsilon)  # θ ← θ − η_t g/(√v + ε)


def rprop(
    theta: Array,
    g: Array,
    state: State,
    t: int,
    learning_rate: float,
    *,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Array:
    """Rprop (Riedmiller and Braun 1993) as iRprop⁻; the learning rate is only the first Δ."""
    agreement = np.sign(g) * state.get("g", 0.0)  # g times it may underflow
    factor = np.where(agreement > 0, eta_plus, np.where(agreement < 0, eta_minus, 1.0))
    size = state.get("size", learning_rate) * factor
    size = state["size"] = np.clip(size, step_min, step_max)
    g = state["g"] = np.where(agreement < 0, 0.0, g)  # a change of sign: stand still for one step
    return theta - np.sign(g) * size  # θ ← θ − sign(g)Δ


class Rule(NamedTuple):
    """One row of the table: the update, and the learning rate and constants with their defaults."""

    update: Callable[..., Array]
    parameters: Parameters


OPTIMIZERS = {
    "sgd": Rule(sgd, {"learning_rate": 1e-2, "momentum": 0.0, "nesterov": 0.0}),
    "adam": Rule(adam, {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    "adamw": Rule(
        adamw,
        {
            "learning_rate": 1e-3,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "weight_decay": 1e-2,
        },
    ),
    "rmsprop": Rule(
        rmsprop,
        {"learning_rate": 1e-2, "alpha": 0.99, "epsilon": 1e-8, "momentum": 0.0, "centered": 0.0},
    ),
    "adagrad": Rule(
        adagrad,
        {
            "learning_rate": 1e-2,
            "learning_rate_decay": 0.0,
            "epsilon": 1e-10,
            "initial_accumulator": 0.0,
        },
    ),
    "rprop": Rule(
        rprop,
        {
            "learning_rate": 1e-2,
            "eta_minus": 0.5,
            "eta_plus": 1.2,
            "step_min": 1e-6,
            "step_max": 50.0,
        },
    ),
}


class Updater:
    """An optimiser in use: its rule and constants, the step count t, a state per parameter array.

    Parameters
    ----------
    optimizer : str or object
        A name in `OPTIMIZERS`, or an object with such a ``name``, and its learning rate and
        constants as attributes.
    """

    def __init__(self, optimizer: Any) -> None:
        accepted = {name: rule.parameters for name, rule in OPTIMIZERS.items()}
        self.name, self.constants = resolve(optimizer, accepted, "optimizer")
        self.t = 0
        self.states: list[State] = []

    def equals(self, other: Updater) -> bool:
        """Whether both stand for the same optimiser, whatever their state."""
        return (self.name, self.constants) == (other.name, other.constants)

    def update(
        self, theta: list[Array], g: list[Array], learning_rate: float | None = None
    ) -> list[Array]:
        """The parameters after one more step.

        Raises
        ------
        ValueError
            If the learning rate is not finite.
        """
        constants = self.constants
        if learning_rate is not None:
            constants = {**constants, "learning_rate": learning_rate}
        if not math.isfinite(constants["learning_rate"]):
            raise ValueError(f"learning_rate must be finite, got {constants['learning_rate']}")
        self.states = self.states or [{} for _ in theta]
        self.t += 1
        rule = OPTIMIZERS[self.name].update
        return [
            rule(*each, self.t, **constants) for each in zip(theta, g, self.states, strict=True)
        ]


def clipped(g: list[Array], clip_norm: float) -> list[Array]:
    """The whole gradient scaled by min(1, c/(‖∇C‖ + 10⁻⁶)) (Pascanu et al. 2013).

    Squares are taken of the gradient over its largest component, as they could leave the range.
    """
    largest = max(float(np.abs(part).max(initial=0.0)) for part in g)
    if not 0 < largest < math.inf:
        return g
    root = math.sqrt(sum(float(((part / largest) ** 2).sum()) for part in g))  # ‖∇C‖/largest
    scaled = clip_norm / (root + 1e-6 / largest)
    return [part / largest * scaled for part in g] if scaled < largest else g


def within_norm(W: Array, max_norm: float) -> Array:
    """W, each row (a unit's weights) of norm above c scaled to c (Srivastava et al. 2014)."""
    largest = np.abs(W).max(axis=1, keepdims=True)
    shape = W / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((shape**2).sum(axis=1, keepdims=True))  # over the largest
    with np.errstate(divide="ignore", over="ignore"):
        beyond = norms > max_norm / largest
    return np.where(beyond, shape * (max_norm / np.maximum(norms, 1.0)), W)
