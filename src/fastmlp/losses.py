"""Losses C(a, y), given by name or by instance: domain, formula, derivative and source of each.

In the formulas a row i has the outputs a_it and the targets y_it, t = 1 … k over the outputs; N is
the number of rows. With sample weights w_i, the mean over rows (1/N) Σ_i becomes Σ_i w_i … / Σ_i
w_i. Penalties are added by the network. The compiled core (and `fastmlp.reference`) compute the
values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ._options import Option, real
from .activations import Activation

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "CrossEntropy",
    "HalfMSE",
    "Huber",
    "Loss",
    "Perceptron",
    "Poisson",
    "Quantile",
]


def __dir__() -> list[str]:
    return __all__


class Loss(Option):
    """Base of the losses."""

    @property
    def parameter(self) -> float:
        """The loss's one parameter, as handed to the core; 0.0 for a loss without one."""
        return 0.0


@dataclass(frozen=True)
class MSE(Loss):
    """The mean squared error, name "mse": mean over rows and outputs.

    Notes
    -----
    C = 1/(N k) Σ_i Σ_t (a_it - y_it)², ∂C/∂a_it = 2 (a_it - y_it) / (N k); y real.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006, section 3.1.
    """

    name: ClassVar[str] = "mse"


@dataclass(frozen=True)
class HalfMSE(Loss):
    """Half the squared error (quadratic cost), name "half_mse": sum over outputs, mean over rows.

    Notes
    -----
    C = 1/N Σ_i Σ_t ½ (a_it - y_it)², ∂C/∂a_it = (a_it - y_it) / N; y real.

    References
    ----------
    M. A. Nielsen, "Neural Networks and Deep Learning", Determination Press, 2015, chapter 1.
    """

    name: ClassVar[str] = "half_mse"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The cross-entropy, name "cross_entropy": sum over outputs, mean over rows.

    The output must be softmax or sigmoid.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Share s of each target that is spread evenly, in [0, 1): y becomes (1 - s) y + s/k with a
        softmax output and (1 - s) y + s/2 with a sigmoid output.

    Notes
    -----
    With a softmax output (exclusive classes; y a probability per class, or labels standing for
    one-hot rows): C = -1/N Σ_i Σ_t y_it ln a_it. With a sigmoid output (each output a class of its
    own, y in [0, 1]): C = -1/N Σ_i Σ_t [y_it ln a_it + (1 - y_it) ln(1 - a_it)]. In both, ∂C/∂z_it
    = (a_it - y_it) / N (with softmax because a row's y sums to 1). Both are computed from the
    logits z, so that no ln 0 arises.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006, sections 4.3.2 and
    4.3.4; label smoothing: C. Szegedy et al., "Rethinking the Inception architecture for computer
    vision", CVPR 2016.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        self._assign(label_smoothing=real("label_smoothing", self.label_smoothing, 0, 1, "[)"))

    @property
    def parameter(self) -> float:
        """label_smoothing."""
        return self.label_smoothing


@dataclass(frozen=True)
class MAE(Loss):
    """The mean absolute error, name "mae": mean over rows and outputs; learns the median.

    Notes
    -----
    C = 1/(N k) Σ_i Σ_t |a_it - y_it|, ∂C/∂a_it = sign(a_it - y_it) / (N k) with sign(0) = 0; y
    real.

    References
    ----------
    P. Bloomfield, W. L. Steiger, "Least Absolute Deviations", Birkhäuser, 1983.
    """

    name: ClassVar[str] = "mae"


@dataclass(frozen=True)
class Huber(Loss):
    """The Huber loss, name "huber": square of small errors, linear in large.

    Parameters
    ----------
    delta : float, default 1.0
        Error at which the square goes over into the line, in (0, inf), in the unit of y.

    Notes
    -----
    With d = a_it - y_it: C = 1/(N k) Σ_i Σ_t [½ d² if |d| <= delta else delta (|d| - ½ delta)],
    ∂C/∂a_it = min(max(d, -delta), delta) / (N k), a mean over rows and outputs; y real.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35,
    1964.
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        self._assign(delta=real("delta", self.delta, 0, bounds="()"))

    @property
    def parameter(self) -> float:
        """delta."""
        return self.delta


@dataclass(frozen=True)
class Poisson(Loss):
    """The Poisson loss with log link, name "poisson": for counts; mean over rows and outputs.

    Notes
    -----
    The output a is the logarithm of the rate: C = 1/(N k) Σ_i Σ_t [exp(a_it) - y_it a_it], the
    constant ln y! left out; ∂C/∂a_it = (exp(a_it) - y_it) / (N k); y real, >= 0. The output must
    be identity.

    References
    ----------
    J. A. Nelder, R. W. M. Wedderburn, "Generalized linear models", Journal of the Royal Statistical
    Society A 135, 1972.
    """

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class Quantile(Loss):
    """The quantile or pinball loss, name "quantile": mean over rows and outputs.

    Parameters
    ----------
    tau : float, default 0.5
        The quantile that is learned, in (0, 1).

    Notes
    -----
    With u = y_it - a_it: C = 1/(N k) Σ_i Σ_t max(tau u, (tau - 1) u), ∂C/∂a_it = -tau / (N k) for u
    > 0, (1 - tau) / (N k) for u < 0 and 0 for u = 0; y real.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    """

    name: ClassVar[str] = "quantile"
    tau: float = 0.5

    def __post_init__(self) -> None:
        self._assign(tau=real("tau", self.tau, 0, 1, "()"))

    @property
    def parameter(self) -> float:
        """tau."""
        return self.tau


@dataclass(frozen=True)
class Perceptron(Loss):
    """The perceptron criterion, name "perceptron": sum over outputs, mean over rows.

    Notes
    -----
    The output must be step. C = 1/N Σ_i Σ_t (a_it - y_it) z_it, with a held fixed: ∂C/∂z_it =
    (a_it - y_it) / N; y in {0, 1}. With one row a batch and SGD this is the perceptron rule
    w ← w + η (y - a) x, which finds a separating plane where there is one (AND, OR) and does not
    settle where there is none (XOR).

    References
    ----------
    F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization
    in the brain", Psychological Review 65, 1958.
    """

    name: ClassVar[str] = "perceptron"


LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (MSE, HalfMSE, CrossEntropy, MAE, Huber, Poisson, Quantile, Perceptron)
}

# A loss that is defined on the weighted sums of particular output activations only; Poisson's
# output is the logarithm of the rate, which no other activation than identity gives.
_OUTPUTS = {
    "cross_entropy": ("softmax", "sigmoid"),
    "perceptron": ("step",),
    "poisson": ("identity",),
}
# Labels are compared in the network's precision, which holds so many integers without a gap.
_MOST_CLASSES = {"float32": 2**24, "float64": 2**53}


def compatible(
    loss: Loss,
    output: Activation,
    hidden: Iterable[Activation] = (),
    n_outputs: int | None = None,
    dtype: str = "float32",
) -> None:
    """Check that a loss, the activations and the number of outputs go together.

    Refused is only what cannot be meant. A step output under a loss other than the perceptron
    criterion is taken, for networks whose weights are set by hand: fit would learn nothing there,
    as the slope of step is 0 everywhere.

    Parameters
    ----------
    loss : Loss
        Cross-entropy needs a softmax or sigmoid output, the perceptron criterion a step output,
        Poisson an identity output; every other loss goes with every output.
    output : Activation
        The output layer's activation.
    hidden : iterable of Activation
        The hidden layers' activations; softmax is for the output layer only.
    n_outputs : int, optional
        Units of the output layer. One unit of softmax is 1 whatever the input; class labels
        are held in the network's precision.
    dtype : {"float32", "float64"}, default "float32"
        The network's precision: softmax outputs are at most 2**24 or 2**53 classes.

    Raises
    ------
    ValueError
        They do not go together; the message names the argument and what it accepts.
    """
    accepted = _OUTPUTS.get(loss.name)
    if accepted and output.name not in accepted:
        reason = ""
        if loss.name == "poisson":
            reason = ": the output is the logarithm of the rate"
        raise ValueError(
            f"output must be {' or '.join(map(repr, accepted))} with loss {loss.name!r}{reason}, "
            f"got {output.name!r}"
        )
    if any(activation.name == "softmax" for activation in hidden):
        raise ValueError("hidden must not be 'softmax': softmax is for the output layer only")
    if output.name != "softmax" or n_outputs is None:
        return
    if n_outputs == 1:
        raise ValueError(
            "output must be 'sigmoid' (for two classes) or 'identity' (for a number) where there "
            "is one output unit, got 'softmax', which is 1 whatever the input"
        )
    if n_outputs > _MOST_CLASSES[dtype]:
        raise ValueError(
            f"sizes[-1] must be at most {_MOST_CLASSES[dtype]} with output 'softmax' and dtype "
            f"{dtype!r}, which tells no more classes apart, got {n_outputs}"
        )
