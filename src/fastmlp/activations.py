"""Activations a = f(z), given by name or by instance: formula, derivative and source of each.

The functions themselves are computed by the compiled core (and, for reading, by
`fastmlp.reference`); the classes here say which one is meant and hold its parameter. Where a
derivative has a jump, the value at the jump is PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ._options import Option, real

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Identity",
    "LeakyReLU",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
]


def __dir__() -> list[str]:
    return __all__


class Activation(Option):
    """Base of the activation functions."""

    @property
    def parameter(self) -> float:
        """The function's one parameter, as handed to the core; 0.0 for a function without one."""
        return 0.0


@dataclass(frozen=True)
class Identity(Activation):
    """The identity, name "identity": the weighted sum itself, for regression outputs.

    Notes
    -----
    a = z, f'(z) = 1; all reals to all reals.
    """

    name: ClassVar[str] = "identity"


@dataclass(frozen=True)
class Step(Activation):
    """The step (Heaviside) function of the perceptron, name "step".

    Notes
    -----
    a = 1 if z > 0 else 0, so f(0) = 0; all reals to {0, 1}. The derivative is taken as 0
    everywhere, so that nothing is learned through this function by gradient descent: hidden layers
    of it, and all before them, keep the weights they have. An output layer of it is trained by the
    loss "perceptron", which works on z; any other loss leaves it as it is.

    References
    ----------
    F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization
    in the brain", Psychological Review 65, 1958.
    """

    name: ClassVar[str] = "step"


@dataclass(frozen=True)
class Sigmoid(Activation):
    """The logistic sigmoid, name "sigmoid": probabilities of independent outputs.

    Notes
    -----
    a = 1 / (1 + exp(-z)), f'(z) = a (1 - a); all reals to (0, 1).

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
    errors", Nature 323, 1986.
    """

    name: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent, name "tanh".

    Notes
    -----
    a = tanh(z), f'(z) = 1 - a²; all reals to (-1, 1).

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks
    of the Trade, Springer, 1998.
    """

    name: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class ReLU(Activation):
    """The rectified linear unit, name "relu".

    Notes
    -----
    a = max(0, z), f'(z) = 1 if z > 0 else 0, so f'(0) = 0; all reals to [0, inf).

    References
    ----------
    V. Nair, G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML
    2010.
    """

    name: ClassVar[str] = "relu"


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """The leaky rectified linear unit, name "leaky_relu".

    Parameters
    ----------
    alpha : float, default 0.01
        Slope for z <= 0, in [0, inf).

    Notes
    -----
    a = z if z > 0 else alpha z, f'(z) = 1 if z > 0 else alpha, so f'(0) = alpha; all reals to all
    reals (to [0, inf) for alpha = 0).

    References
    ----------
    A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic
    models", ICML 2013.
    """

    name: ClassVar[str] = "leaky_relu"
    alpha: float = 0.01

    def __post_init__(self) -> None:
        self._assign(alpha=real("alpha", self.alpha, low=0))

    @property
    def parameter(self) -> float:
        """alpha."""
        return self.alpha


@dataclass(frozen=True)
class ELU(Activation):
    """The exponential linear unit, name "elu".

    Parameters
    ----------
    alpha : float, default 1.0
        Minus the limit for z to -inf, in [0, inf).

    Notes
    -----
    a = z if z > 0 else alpha (exp(z) - 1), f'(z) = 1 if z > 0 else a + alpha, so f'(0) = alpha; all
    reals to (-alpha, inf).

    References
    ----------
    D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units (ELUs)", ICLR 2016.
    """

    name: ClassVar[str] = "elu"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        self._assign(alpha=real("alpha", self.alpha, low=0))

    @property
    def parameter(self) -> float:
        """alpha."""
        return self.alpha


@dataclass(frozen=True)
class SELU(Activation):
    """The scaled exponential linear unit, name "selu": keeps mean 0 and variance 1 over layers.

    Notes
    -----
    a = λ z if z > 0 else λ α (exp(z) - 1), f'(z) = λ if z > 0 else a + λ α, with λ =
    1.0507009873554805 and α = 1.6732632423543772; all reals to (-λ α, inf). It is meant for LeCun
    normal weights.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017.
    """

    name: ClassVar[str] = "selu"


@dataclass(frozen=True)
class GELU(Activation):
    """The Gaussian error linear unit in its exact form, name "gelu".

    Notes
    -----
    a = z Φ(z) with the normal distribution function Φ(z) = (1 + erf(z / √2)) / 2,
    f'(z) = Φ(z) + z exp(-z²/2) / √(2π); all reals to [-0.17, inf).

    References
    ----------
    D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415, 2016.
    """

    name: ClassVar[str] = "gelu"


@dataclass(frozen=True)
class SiLU(Activation):
    """The sigmoid linear unit, also called swish, name "silu".

    Notes
    -----
    a = z σ(z) with σ(z) = 1 / (1 + exp(-z)), f'(z) = σ(z) (1 + z (1 - σ(z))); all reals to [-0.279,
    inf).

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", Neural Networks 107, 2018.
    """

    name: ClassVar[str] = "silu"


@dataclass(frozen=True)
class Softplus(Activation):
    """The softplus, a smooth ReLU, name "softplus".

    Notes
    -----
    a = ln(1 + exp(z)), f'(z) = 1 / (1 + exp(-z)); all reals to (0, inf).

    References
    ----------
    C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau, R. Garcia, "Incorporating second-order functional
    knowledge for better option pricing", NIPS 2000.
    """

    name: ClassVar[str] = "softplus"


@dataclass(frozen=True)
class Mish(Activation):
    """Mish, name "mish".

    Notes
    -----
    a = z t with t = tanh(ln(1 + exp(z))), f'(z) = t + z (1 - t²) σ(z) with σ(z) = 1 / (1 +
    exp(-z)); all reals to [-0.309, inf).

    References
    ----------
    D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.
    """

    name: ClassVar[str] = "mish"


@dataclass(frozen=True)
class Softmax(Activation):
    """The softmax, name "softmax", of output layers only: probabilities of exclusive classes.

    Notes
    -----
    a_t = exp(z_t) / Σ_s exp(z_s), ∂a_t/∂z_s = a_t ([t = s] - a_s); all reals to (0, 1), summing to
    1. Computed from z_t - max_s z_s, so that nothing overflows.

    References
    ----------
    J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs, with
    relationships to statistical pattern recognition", in Neurocomputing, Springer, 1990.
    """

    name: ClassVar[str] = "softmax"


ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls
    for cls in (
        Identity, Step, Sigmoid, Tanh, ReLU, LeakyReLU, ELU, SELU, GELU, SiLU, Softplus, Mish,
        Softmax,
    )
}  # fmt: skip
