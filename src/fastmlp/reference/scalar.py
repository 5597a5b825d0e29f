"""Reverse-mode automatic differentiation of scalars, and a multilayer perceptron built from it.

`Value` knows the derivatives of single operations and the chain rule, no more. `ScalarNetwork`
writes activations and losses as formulas of Values, so its gradients owe nothing to derivatives
worked out by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .inputs import (
    Array,
    Gradients,
    Parameters,
    check_output,
    copied,
    layer_sizes,
    per_hidden_layer,
    resolve,
    rows,
    shares,
    targets,
)
from .random import lecun_normal


class Value:
    """A number that remembers how it was computed, so that its derivatives can be asked for.

    Every operation makes a node that knows its operands and its partial derivative by each of them.
    `backward` walks that graph once, from the result to the inputs (reverse mode: Linnainmaa 1970).

    Operands may be Values or numbers; ``**`` takes a number as exponent. At their kink, ``abs`` and
    ``relu`` have the derivative 0.

    Parameters
    ----------
    data : float

    Attributes
    ----------
    data : float
        The number.
    grad : float
        ∂(result)/∂(this), set by the `backward` of a result.

    Examples
    --------
    >>> x, y = Value(3.0), Value(4.0)
    >>> z = x * y + (x**2 + y**2) ** 0.5
    >>> z.backward()
    >>> z.data, x.grad, y.grad
    (17.0, 4.6, 3.8)
    """

    __slots__ = ("_operands", "_slopes", "data", "grad")
    __array_ufunc__ = None  # NumPy scalars leave mixed arithmetic to the reflected methods below

    def __init__(
        self, data: float, operands: tuple[Value, ...] = (), slopes: tuple[float, ...] = ()
    ) -> None:
        self.data = float(data)
        self.grad = 0.0
        self._operands = operands
        self._slopes = slopes  # ∂(this)/∂(operand), one for each

    def __repr__(self) -> str:
        return f"Value({self.data!r})"

    def __add__(self, other: Value | float) -> Value:
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: Value | float) -> Value:
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, exponent: float) -> Value:
        slope = exponent * self.data ** (exponent - 1) if exponent else 0.0
        return Value(self.data**exponent, (self,), (slope,))

    def __neg__(self) -> Value:
        return Value(-self.data, (self,), (-1.0,))

    def __sub__(self, other: Value | float) -> Value:
        return self + -as_value(other)

    def __truediv__(self, other: Value | float) -> Value:
        return self * as_value(other) ** -1

    def __rsub__(self, other: float) -> Value:
        return as_value(other) - self

    def __rtruediv__(self, other: float) -> Value:
        return as_value(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __abs__(self) -> Value:
        return Value(abs(self.data), (self,), (float(np.sign(self.data)),))

    def exp(self) -> Value:
        """e^x."""
        result = math.exp(self.data)
        return Value(result, (self,), (result,))

    def log(self) -> Value:
        """ln x, for x > 0."""
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def tanh(self) -> Value:
        """tanh x."""
        result = math.tanh(self.data)
        return Value(result, (self,), (1.0 - result**2,))

    def sigmoid(self) -> Value:
        """1/(1 + e^(−x)), from an exponential that cannot overflow."""
        small = math.exp(-abs(self.data))
        result = 1.0 / (1.0 + small) if self.data >= 0 else small / (1.0 + small)
        return Value(result, (self,), (small / (1.0 + small) ** 2,))

    def erf(self) -> Value:
        """The error function (2/√π) ∫₀ˣ e^(−t²) dt."""
        return Value(
            math.erf(self.data), (self,), (2.0 / math.sqrt(math.pi) * math.exp(-(self.data**2)),)
        )

    def relu(self) -> Value:
        """max(0, x)."""
        return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))

    def backward(self) -> None:
        """Set `grad` of every Value that this one was computed from to ∂(this)/∂(that).

        What stood in `grad` before is replaced. The graph may be as deep as memory allows.
        """
        order = self._in_order()
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):  # every use of a node comes before the node itself
            for operand, slope in zip(node._operands, node._slopes, strict=True):
                operand.grad += slope * node.grad  # the chain rule, summed over uses

    def _in_order(self) -> list[Value]:
        """All nodes of the graph, operands before what is made from them (without recursion)."""
        order: list[Value] = []
        seen: set[int] = set()
        stack = [(self, False)]
        while stack:
            node, operands_done = stack.pop()
            if operands_done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((operand, False) for operand in node._operands)
        return order


def as_value(number: Value | float) -> Value:
    """A constant as a Value; a Value as it is."""
    return number if isinstance(number, Value) else Value(number)


# --- activations and losses as formulas of Values
# ---------------------------------------------------


def elu(z: Value, alpha: float) -> Value:
    """z if z > 0 else α(e^z − 1)."""
    return z if z.data > 0 else alpha * (z.exp() - 1)


def softplus(z: Value) -> Value:
    """ln(1 + e^z), in the one of two forms whose exponential cannot overflow."""
    return z + (1 + (-z).exp()).log() if z.data > 0 else (1 + z.exp()).log()


def log_softmax(z: list[Value]) -> list[Value]:
    """z_t − ln Σ_s e^(z_s); the largest z is taken out as a constant, as it cancels."""
    largest = max(each.data for each in z)
    log_sum = sum(((each - largest).exp() for each in z), Value(0.0)).log()
    return [each - largest - log_sum for each in z]


ACTIVATIONS: dict[str, tuple[Callable[..., Value], Parameters]] = {
    "identity": (lambda z: z, {}),
    "step": (lambda z: Value(1.0 if z.data > 0 else 0.0), {}),
    "sigmoid": (lambda z: z.sigmoid(), {}),
    "tanh": (lambda z: z.tanh(), {}),
    "relu": (lambda z: z.relu(), {}),
    "leaky_relu": (lambda z, alpha: z if z.data > 0 else alpha * z, {"alpha": 0.01}),
    "elu": (elu, {"alpha": 1.0}),
    # λ and α of Klambauer et al. (2017)
    "selu": (
        lambda z: 1.0507009873554804934193349852946 * elu(z, 1.6732632423543772848170429916717),
        {},
    ),
    "gelu": (lambda z: z * (1 + (z / math.sqrt(2)).erf()) / 2, {}),
    "silu": (lambda z: z * z.sigmoid(), {}),
    "softplus": (softplus, {}),
    "mish": (lambda z: z * softplus(z).tanh(), {}),
}
"""a = f(z) of one unit, and the parameters of f with their defaults."""


def huber(a: Value, y: float, delta: float) -> Value:
    """½d² if |d| ≤ δ else δ(|d| − δ/2), with d = a − y."""
    d = abs(a - y)
    return d**2 / 2 if d.data <= delta else delta * (d - delta / 2)


def quantile(a: Value, y: float, tau: float) -> Value:
    """max(τu, (τ − 1)u) with u = y − a, as τ max(0, u) + (1 − τ) max(0, −u)."""
    return tau * (y - a).relu() + (1 - tau) * (a - y).relu()


LOSSES: dict[str, tuple[Callable[..., Value] | None, bool, Parameters]] = {
    "mse": (lambda a, y: (y - a) ** 2, True, {}),
    "half_mse": (lambda a, y: (a - y) ** 2 / 2, False, {}),
    "mae": (lambda a, y: abs(a - y), True, {}),
    "huber": (huber, True, {"delta": 1.0}),
    "poisson": (lambda a, y: a.exp() - y * a, True, {}),
    "quantile": (quantile, True, {"tau": 0.5}),
    # These two are functions of the weighted sums, see ScalarNetwork._row_loss.
    "cross_entropy": (None, False, {"label_smoothing": 0.0}),
    "perceptron": (None, False, {}),
}
"""Loss of one output, whether outputs are averaged (else summed), parameters and defaults."""


class ScalarNetwork:
    """A multilayer perceptron of `Value` scalars: slow, an independent witness for the gradients.

    Parameters
    ----------
    sizes, hidden, output, loss, l1, l2, seed, weights, biases
        As for `Network`, with the same defaults; weights that are not given are LeCun normal,
        biases zero.

    Attributes
    ----------
    weights, biases : list of ndarray of float64
        W^1 … W^(L−1), each (n_l, n_(l−1)), and b^1 … b^(L−1), each (n_l,). Assign lists to set;
        what is read is a copy.

    Raises
    ------
    ValueError
        If an option is not among those accepted, two do not go together, or shapes differ.

    Examples
    --------
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = ScalarNetwork([2, 3, 1], hidden="tanh", output="sigmoid")
    >>> for epoch in range(60):
    ...     cost = net.step(X, Y, learning_rate=2.0)
    >>> [round(a.data) for (a,) in net.outputs(X)]
    [0, 1, 1, 0]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Any = "relu",
        output: Any = "softmax",
        loss: Any = "cross_entropy",
        l1: float = 0.0,
        l2: float = 0.0,
        seed: int = 0,
        weights: Sequence[npt.ArrayLike] | None = None,
        biases: Sequence[npt.ArrayLike] | None = None,
    ) -> None:
        self.sizes = layer_sizes(sizes)
        accepted = {name: parameters for name, (_, parameters) in ACTIVATIONS.items()}
        each_hidden = per_hidden_layer(hidden, len(self.sizes) - 2)
        self.activations = [resolve(activation, accepted, "hidden") for activation in each_hidden]
        self.activations.append(resolve(output, {**accepted, "softmax": {}}, "output"))
        self.output_name = self.activations[-1][0]
        losses = {name: parameters for name, (_, _, parameters) in LOSSES.items()}
        self.loss_name, self.loss_parameters = resolve(loss, losses, "loss")
        check_output(self.output_name, self.loss_name)
        self.l1, self.l2 = l1, l2
        self.weights = lecun_normal(self.sizes, seed) if weights is None else weights
        self.biases = [np.zeros(n) for n in self.sizes[1:]] if biases is None else biases

    @property
    def weights(self) -> list[Array]:
        """W^1 … W^(L−1), each (n_l, n_(l−1)) of float64."""
        return [np.array([[w.data for w in row] for row in W]) for W in self._W]

    @weights.setter
    def weights(self, weights: Any) -> None:
        arrays = copied(weights, zip(self.sizes[1:], self.sizes[:-1], strict=True), "weights")
        self._W = [[[Value(w) for w in row] for row in W] for W in arrays]

    @property
    def biases(self) -> list[Array]:
        """b^1 … b^(L−1), each (n_l,) of float64."""
        return [np.array([each.data for each in b]) for b in self._b]

    @biases.setter
    def biases(self, biases: Any) -> None:
        arrays = copied(biases, ((n,) for n in self.sizes[1:]), "biases")
        self._b = [[Value(each) for each in b] for b in arrays]

    def _last_layer(self, x: Sequence[float]) -> tuple[list[Value], list[Value]]:
        """Weighted sums and activations of the output layer for one row."""
        z: list[Value] = []
        a = [Value(each) for each in x]
        for W, b, (name, parameters) in zip(self._W, self._b, self.activations, strict=True):
            z = list(b)
            for t, row in enumerate(W):
                for w_tf, a_f in zip(row, a, strict=True):
                    z[t] = z[t] + w_tf * a_f
            if name == "softmax":
                a = [log_a.exp() for log_a in log_softmax(z)]
            else:
                a = [ACTIVATIONS[name][0](each, **parameters) for each in z]
        return z, a

    def outputs(self, X: npt.ArrayLike) -> list[list[Value]]:
        """Outputs a^(L−1) of every row of X, (n, n_0), as Values."""
        return [self._last_layer(x)[1] for x in rows(X, self.sizes[0])]

    def _row_loss(self, x: Sequence[float], y: Sequence[float]) -> Value:
        """C_i."""
        z, a = self._last_layer(x)
        if self.loss_name == "cross_entropy":
            s = self.loss_parameters["label_smoothing"]
            if self.output_name == "softmax":
                y = [(1 - s) * each + s / len(y) for each in y]
                terms = [-target * log_a for target, log_a in zip(y, log_softmax(z), strict=True)]
            else:  # −[y ln a + (1 − y) ln(1 − a)] = softplus(z) − yz
                y = [(1 - s) * each + s / 2 for each in y]
                terms = [softplus(each) - target * each for target, each in zip(y, z, strict=True)]
        elif self.loss_name == "perceptron":
            terms = [(output - target) * each for output, target, each in zip(a, y, z, strict=True)]
        else:
            function = LOSSES[self.loss_name][0]
            assert function is not None
            terms = [function(*each, **self.loss_parameters) for each in zip(a, y, strict=True)]
        total = sum(terms, Value(0.0))
        return total / len(terms) if LOSSES[self.loss_name][1] else total

    def cost(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Value:
        """Σ w_i C_i / Σ w_i and the penalties, as a Value; parameters as in `Network.gradients`."""
        X = rows(X, self.sizes[0])
        y = targets(Y, len(X), self.sizes[-1], self.output_name, self.loss_name)
        total = Value(0.0)
        for x, target, share in zip(X, y.tolist(), shares(sample_weight, len(X)), strict=True):
            total = total + share * self._row_loss(x, target)
        for w in (w for W in self._W for row in W for w in row):
            total = total + self.l1 * abs(w) + self.l2 / 2 * w**2
        return total

    def gradients(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> tuple[float, Gradients]:
        """The cost and [(dW, db), …] for l = 1 … L−1, as `Network.gradients` has them, by automatic
        differentiation.
        """
        cost = self.cost(X, Y, sample_weight)
        cost.backward()
        dW = [np.array([[w.grad for w in row] for row in W]) for W in self._W]
        db = [np.array([each.grad for each in b]) for b in self._b]
        return cost.data, list(zip(dW, db, strict=True))

    def step(self, X: npt.ArrayLike, Y: npt.ArrayLike, learning_rate: float) -> float:
        """One step of gradient descent, θ ← θ − η ∂C/∂θ; returns the cost before it."""
        cost, gradients = self.gradients(X, Y)
        self.weights = [
            W - learning_rate * dW for W, (dW, _) in zip(self.weights, gradients, strict=True)
        ]
        self.biases = [
            b - learning_rate * db for b, (_, db) in zip(self.biases, gradients, strict=True)
        ]
        return cost
