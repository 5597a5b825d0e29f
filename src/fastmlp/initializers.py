"""Initial weights and biases: the distributions, the choice by activation, a network's draw.

Every initializer is a function of a shape and a NumPy random generator, and so is the callable that
a user may give in its place. n_in and n_out are the numbers of units that a layer's weights lead
from and to.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ._options import listed, meant, real, shown, type_error
from .activations import Activation

__all__ = [
    "INITIALIZERS",
    "automatic",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "initial_parameters",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


Initializer = Callable[[tuple[int, ...], "np.random.Generator"], Any]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (n_in, n_out) of weights of shape (n_out, n_in)."""
    n_out, n_in = shape
    return n_in, n_out


def _normal(shape: tuple[int, ...], std: float, generator: np.random.Generator) -> np.ndarray:
    return std * generator.standard_normal(shape)


def _uniform(shape: tuple[int, ...], std: float, generator: np.random.Generator) -> np.ndarray:
    limit = math.sqrt(3) * std  # U(-r, r) has the standard deviation r / √3
    return generator.uniform(-limit, limit, shape)


def _lecun_std(shape: tuple[int, ...]) -> float:
    return math.sqrt(1 / _fans(shape)[0])


def _glorot_std(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / sum(_fans(shape)))


def _he_std(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / _fans(shape)[0])


def lecun_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from N(0, σ²) with σ = 1/√n_in.

    Weighted sums then have the variance of the inputs: LeCun et al., "Efficient BackProp", 1998,
    section 4.6.
    """
    return _normal(shape, _lecun_std(shape), generator)


def lecun_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from U(-r, r) with r = √(3/n_in): the σ of `lecun_normal`."""
    return _uniform(shape, _lecun_std(shape), generator)


def glorot_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from N(0, σ²) with σ = √(2 / (n_in + n_out)).

    The mean of what keeps the variance forward and what keeps it backward: X. Glorot, Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 12.
    """
    return _normal(shape, _glorot_std(shape), generator)


def glorot_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from U(-r, r) with r = √(6/(n_in + n_out)).

    Glorot and Bengio 2010, equation 16: the σ of `glorot_normal`.
    """
    return _uniform(shape, _glorot_std(shape), generator)


def he_normal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from N(0, σ²) with σ = √(2/n_in).

    Twice LeCun's variance, as a ReLU lets half of it through: K. He, X. Zhang, S. Ren, J. Sun,
    "Delving deep into rectifiers", ICCV 2015, equation 10.
    """
    return _normal(shape, _he_std(shape), generator)


def he_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) from U(-r, r) with r = √(6/n_in): the σ of `he_normal`."""
    return _uniform(shape, _he_std(shape), generator)


def orthogonal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Draw weights (n_out, n_in) with orthonormal rows, or columns where n_out > n_in.

    The draw is uniform over such matrices: the Q of a QR decomposition of normal numbers, with the
    signs of R's diagonal moved into Q. A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions
    to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014; F. Mezzadri,
    "How to generate random matrices from the classical compact groups", Notices of the AMS 54,
    2007.
    """
    n_in, n_out = _fans(shape)
    q, r = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if n_out >= n_in else q.T


def zeros(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return zeros: for networks without hidden layers, as units that start equal stay equal."""
    return np.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    function.__name__: function
    for function in (
        lecun_normal, lecun_uniform, glorot_normal, glorot_uniform, he_normal, he_uniform,
        orthogonal, zeros,
    )
}  # fmt: skip

_RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "mish")
_SYMMETRIC = ("identity", "sigmoid", "tanh")


def automatic(activation: Activation, output: bool) -> str:
    """Return the name of the initializer that "auto" stands for in one layer.

    Hidden layers of ReLU and its relatives take "he_normal" (He et al. 2015); of identity, sigmoid
    and tanh "glorot_uniform" (Glorot and Bengio 2010); of selu and step "lecun_normal" (what
    Klambauer et al. 2017 derive SELU for, and LeCun et al. 1998). The output layer always takes
    "lecun_normal": no layer after it is fed or sends deltas back, so that only the variance of its
    weighted sums counts.

    Parameters
    ----------
    activation : Activation
        The layer's activation.
    output : bool
        Whether the layer is the last one.
    """
    if not output and activation.name in _RECTIFIERS:
        return "he_normal"
    if not output and activation.name in _SYMMETRIC:
        return "glorot_uniform"
    return "lecun_normal"


def initial_parameters(
    sizes: Sequence[int],
    activations: Sequence[Activation],
    init: str | Initializer = "auto",
    bias_init: str | float | Initializer | Sequence[Any] = "zeros",
    seed: int = 0,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw the initial weights and biases of a network.

    Each layer's weights, and each layer's biases, come from a random stream of their own, keyed by
    the seed and the layer; they do not change when another layer's size or initializer does.

    Parameters
    ----------
    sizes : sequence of L ints
        Units of every layer, the input first.
    activations : sequence of L - 1 Activation
        The activations of layers 1 … L-1.
    init : str or callable, default "auto"
        "auto" (see `automatic`), a name in `INITIALIZERS`, or a function of a shape (n_out, n_in)
        and a numpy.random.Generator that returns finite real numbers of that shape.
    bias_init : "zeros", float, callable or sequence of arrays, default "zeros"
        A number for all biases, a function of a shape (n_out,) and a generator, or one array of
        shape (n_l,) for each of the layers 1 … L-1.
    seed : int, default 0
        In [0, 2**64).

    Returns
    -------
    weights : list of L - 1 float64 arrays, (n_l, n_(l-1))
    biases : list of L - 1 float64 arrays, (n_l,)

    Raises
    ------
    TypeError, ValueError
        `init` or `bias_init` is nothing of the above, or gave something of another shape, or that
        is not real or not finite.
    """
    drawn = list(initial_layers(sizes, activations, init, bias_init, seed))
    return [weights for weights, _ in drawn], [bias for _, bias in drawn]


def initial_layers(
    sizes: Sequence[int],
    activations: Sequence[Activation],
    init: str | Initializer,
    bias_init: str | float | Initializer | Sequence[Any],
    seed: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what `initial_parameters` returns by layer: one layer at a time is in float64."""
    init = checked_init(init)
    draw_bias = _bias_drawer(bias_init, len(sizes) - 1)
    for index, (n_in, n_out, activation) in enumerate(
        zip(sizes[:-1], sizes[1:], activations, strict=True)
    ):
        if callable(init):
            draw = init
        else:
            draw = INITIALIZERS[
                automatic(activation, index == len(sizes) - 2) if init == "auto" else init
            ]
        drawn = draw((n_out, n_in), _stream(seed, 2 * index))
        weights = _checked(drawn, f"init of layer {index + 1}", (n_out, n_in))
        drawn = draw_bias(index, (n_out,), _stream(seed, 2 * index + 1))
        yield weights, _checked(drawn, f"bias_init of layer {index + 1}", (n_out,))


def checked_init(init: object) -> Any:
    """Return `init` if it is "auto", a name in `INITIALIZERS` or a callable, or raise an error."""
    names = ("auto", *INITIALIZERS)
    if callable(init) or (isinstance(init, str) and init in names):
        return init
    accepted = f"{listed(names)}, or a function of (shape, generator)"
    if not isinstance(init, str):
        raise type_error("init", accepted, init)
    raise ValueError(f"init must be {accepted}, got {init!r}{meant(init, names)}")


def _bias_drawer(
    bias_init: Any, n_layers: int
) -> Callable[[int, tuple[int, ...], np.random.Generator], Any]:
    """Return a function of (layer index, shape, generator) that gives what `bias_init` says."""
    if isinstance(bias_init, str) and bias_init == "zeros":
        return lambda index, shape, generator: np.zeros(shape)
    if callable(bias_init):
        return lambda index, shape, generator: bias_init(shape, generator)
    if isinstance(bias_init, numbers.Real) and not isinstance(bias_init, bool):
        number = real("bias_init", bias_init)
        return lambda index, shape, generator: np.full(shape, number)
    if isinstance(bias_init, list | tuple):
        if len(bias_init) != n_layers:
            raise ValueError(
                f"bias_init must have one array for each of {n_layers} layers (the input has "
                f"none), got {len(bias_init)}"
            )
        return lambda index, shape, generator: bias_init[index]
    error = ValueError if isinstance(bias_init, str) else TypeError
    raise error(
        "bias_init must be 'zeros', a number, a function of (shape, generator) or a list of "
        f"arrays, got {shown(bias_init)}"
    )


def _stream(seed: int, purpose: int) -> np.random.Generator:
    """Return the random generator of one purpose: Philox keyed by the seed and the purpose."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64)))


def _checked(values: Any, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a fresh float64 array of the values, which must be real, finite and of the shape."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} must give real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{what} must have the shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite, got NaN or infinity")
    return np.array(array, dtype=np.float64, order="C")
