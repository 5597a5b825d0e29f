"""Optimizers: options, update rule and source of each; the rules are PyTorch's.

In the formulas θ is a parameter (weight or bias), g its gradient with penalties, η the learning
rate of the step (after the schedule), t = 1, 2, … the step; moments start at 0 unless said
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from ._options import Option, boolean, integer, real


class Optimizer(Option):
    """Base of the optimizers."""

    @property
    def moments(self) -> int:
        """Number of arrays, each as large as the parameters, that are kept from step to step."""
        return 0

    @property
    def constants(self) -> dict[str, float]:
        """The other fields than the learning rate, by name; bools as 0.0 or 1.0."""
        return {
            f.name: float(getattr(self, f.name)) for f in fields(self) if f.name != "learning_rate"
        }


def _rate(value: object) -> float:
    return real("learning_rate", value, 0, bounds="()")


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, plain, with momentum or with Nesterov's momentum; name "sgd".

    Parameters
    ----------
    learning_rate : float, default 0.01
        η, in (0, inf).
    momentum : float, default 0.0
        μ, in [0, 1).
    nesterov : bool, default False
        Look ahead by one step of momentum; needs momentum > 0.

    Notes
    -----
    Plain: θ ← θ - η g. With momentum: v ← μ v + g, θ ← θ - η v. Nesterov: v ← μ v + g, θ ← θ - η (g
    + μ v). No dampening.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22,
    1951; B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Computational Mathematics 4, 1964; I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the
    importance of initialization and momentum in deep learning", ICML 2013.
    """

    name: ClassVar[str] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        self._assign(
            learning_rate=_rate(self.learning_rate),
            momentum=real("momentum", self.momentum, 0, 1, "[)"),
            nesterov=boolean("nesterov", self.nesterov),
        )
        if self.nesterov and self.momentum == 0:
            raise ValueError("momentum must be in (0, 1) with nesterov=True, got 0.0")

    @property
    def moments(self) -> int:
        """1 (v) with momentum, else 0."""
        return int(self.momentum > 0)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, name "adam".

    Parameters
    ----------
    learning_rate : float, default 1e-3
        η, in (0, inf).
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root of the second moment, in (0, inf).

    Notes
    -----
    m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
    θ ← θ - η / (1 - β₁^t) · m / (√v / √(1 - β₂^t) + ε).

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    name: ClassVar[str] = "adam"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        self._assign(
            learning_rate=_rate(self.learning_rate),
            beta1=real("beta1", self.beta1, 0, 1, "[)"),
            beta2=real("beta2", self.beta2, 0, 1, "[)"),
            epsilon=real("epsilon", self.epsilon, 0, bounds="()"),
        )

    @property
    def moments(self) -> int:
        """2: m and v."""
        return 2


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay, name "adamw".

    Parameters
    ----------
    learning_rate : float, default 1e-3
        η, in (0, inf).
    beta1, beta2 : float, default 0.9 and 0.999
        Decay of the first and the second moment, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root of the second moment, in (0, inf).
    weight_decay : float, default 1e-2
        λ, in [0, inf), of weights and biases alike. It is no penalty: the reported cost leaves it
        out.

    Notes
    -----
    θ ← θ - η λ θ, then Adam's update of the result.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    name: ClassVar[str] = "adamw"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        self._assign(
            learning_rate=_rate(self.learning_rate),
            beta1=real("beta1", self.beta1, 0, 1, "[)"),
            beta2=real("beta2", self.beta2, 0, 1, "[)"),
            epsilon=real("epsilon", self.epsilon, 0, bounds="()"),
            weight_decay=real("weight_decay", self.weight_decay, 0),
        )

    @property
    def moments(self) -> int:
        """2: m and v."""
        return 2


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop, name "rmsprop".

    Parameters
    ----------
    learning_rate : float, default 1e-2
        η, in (0, inf).
    alpha : float, default 0.99
        Decay of the mean square, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root, in (0, inf).
    momentum : float, default 0.0
        μ, in [0, 1).
    centered : bool, default False
        Divide by the standard deviation of the gradient in place of its root mean square.

    Notes
    -----
    v ← α v + (1 - α) g². Centered: m ← α m + (1 - α) g and s = √(v - m²) + ε; otherwise s = √v + ε.
    Without momentum θ ← θ - η g / s; with it u ← μ u + g / s, θ ← θ - η u.

    References
    ----------
    T. Tieleman, G. Hinton, "Lecture 6.5: RMSprop", Coursera: Neural Networks for Machine Learning,
    2012; centered: A. Graves, "Generating sequences with recurrent neural networks",
    arXiv:1308.0850, 2013.
    """

    name: ClassVar[str] = "rmsprop"
    learning_rate: float = 1e-2
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        self._assign(
            learning_rate=_rate(self.learning_rate),
            alpha=real("alpha", self.alpha, 0, 1, "[)"),
            epsilon=real("epsilon", self.epsilon, 0, bounds="()"),
            momentum=real("momentum", self.momentum, 0, 1, "[)"),
            centered=boolean("centered", self.centered),
        )

    @property
    def moments(self) -> int:
        """1 (v), one more (u) with momentum, one more (m) when centered."""
        return 1 + int(self.momentum > 0) + int(self.centered)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad, name "adagrad".

    Parameters
    ----------
    learning_rate : float, default 1e-2
        η, in (0, inf).
    learning_rate_decay : float, default 0.0
        κ, in [0, inf).
    epsilon : float, default 1e-10
        Added to the root, in (0, inf).
    initial_accumulator : float, default 0.0
        What the sum of squares starts at, in [0, inf).

    Notes
    -----
    s ← s + g², θ ← θ - η / (1 + (t - 1) κ) · g / (√s + ε).

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", Journal of Machine Learning Research 12, 2011.
    """

    name: ClassVar[str] = "adagrad"
    learning_rate: float = 1e-2
    learning_rate_decay: float = 0.0
    epsilon: float = 1e-10
    initial_accumulator: float = 0.0

    def __post_init__(self) -> None:
        self._assign(
            learning_rate=_rate(self.learning_rate),
            learning_rate_decay=real("learning_rate_decay", self.learning_rate_decay, 0),
            epsilon=real("epsilon", self.epsilon, 0, bounds="()"),
            initial_accumulator=real("initial_accumulator", self.initial_accumulator, 0),
        )

    @property
    def moments(self) -> int:
        """1: the sum of squares."""
        return 1


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient backpropagation, name "rprop"; meant for batches of the whole set.

    Parameters
    ----------
    learning_rate : float, default 1e-2
        Every parameter's first step size, in (0, inf). A schedule does not change the steps after
        it.
    eta_minus, eta_plus : float, default 0.5 and 1.2
        Factors by which a step size shrinks and grows, in (0, 1) and (1, inf).
    step_min, step_max : float, default 1e-6 and 50.0
        Bounds of a step size; step_min in (0, inf), step_max in [step_min, inf).

    Notes
    -----
    With h the gradient of the step before and Δ the step size of each parameter: where g h > 0,
    Δ ← min(η₊ Δ, step_max); where g h < 0, Δ ← max(η₋ Δ, step_min) and g ← 0; then θ ← θ - Δ
    sign(g), h ← g.

    References
    ----------
    M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm", IEEE International Conference on Neural Networks, 1993; g ← 0 after a change
    of sign: C. Igel, M. Hüsken, "Improving the Rprop learning algorithm", Neural Computation 2000.
    """

    name: ClassVar[str] = "rprop"
    learning_rate: float = 1e-2
    eta_minus: float = 0.5
    eta_plus: float = 1.2
    step_min: float = 1e-6
    step_max: float = 50.0

    def __post_init__(self) -> None:
        step_min = real("step_min", self.step_min, 0, bounds="()")
        self._assign(
            learning_rate=_rate(self.learning_rate),
            eta_minus=real("eta_minus", self.eta_minus, 0, 1, "()"),
            eta_plus=real("eta_plus", self.eta_plus, 1, bounds="()"),
            step_min=step_min,
            step_max=real("step_max", self.step_max, step_min),
        )

    @property
    def moments(self) -> int:
        """2: the gradient before and the step sizes."""
        return 2


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """L-BFGS on the whole set, name "lbfgs"; needs SciPy (`pip install fastmlp[lbfgs]`).

    SciPy's L-BFGS-B drives the core's gradient of the whole cost. There are no batches and no
    learning rate; an iteration counts as an epoch. SciPy's memory of past steps ends with the call
    of fit: two calls of 5 epochs need not go the way of one of 10.

    Parameters
    ----------
    max_iterations : int, optional
        At most so many iterations, >= 1; None for the number of epochs.
    memory : int, default 10
        Number of past steps from which the curvature is estimated, >= 1.
    tolerance : float, default 1e-5
        Stop when no component of the gradient is larger, in [0, inf).

    References
    ----------
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45, 1989.
    """

    name: ClassVar[str] = "lbfgs"
    max_iterations: int | None = None
    memory: int = 10
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.max_iterations is not None:
            self._assign(max_iterations=integer("max_iterations", self.max_iterations, 1))
        self._assign(
            memory=integer("memory", self.memory, 1),
            tolerance=real("tolerance", self.tolerance, 0),
        )

    @property
    def constants(self) -> dict[str, float]:
        """None: its steps are not taken in the core."""
        return {}


OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.name: cls for cls in (SGD, Adam, AdamW, RMSprop, Adagrad, Rprop, LBFGS)
}
