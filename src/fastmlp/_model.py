"""Model: the frozen description of a network and its compiled form; what is handed around."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from . import _core, activations, initializers, losses
from . import _options as options
from ._arrays import real_array
from ._options.network import checked_dropout, checked_dtype, checked_sizes, per_layer

Pair = tuple[np.ndarray, np.ndarray]

# The names of a model's options.
OPTIONS = (
    "sizes", "hidden", "output", "loss", "l1", "l2", "dropout", "max_norm", "init", "dtype", "seed",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Model:
    """A network's options, checked, and the parameters in the compiled core.

    The fields are those of `fastmlp.Network`, which documents them. `core` is the compiled network;
    its parameters change, nothing else of a model does.
    """

    sizes: tuple[int, ...]
    hidden: tuple[activations.Activation, ...]
    output: activations.Activation
    loss: losses.Loss
    l1: float
    l2: float
    dropout: tuple[float, ...]
    max_norm: float | None
    init: str | Callable[..., Any]
    dtype: str
    seed: int
    core: _core.Net = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "core", self.replica(self.dtype))

    @classmethod
    def checked(cls, sizes: Any, **given: Any) -> Model:
        """Return a model of options as a user gives them; its parameters are zeros.

        Raises
        ------
        TypeError, ValueError
            An option is wrong or does not go with another; the message names it.
        """
        sizes = checked_sizes(sizes)
        n_hidden = len(sizes) - 2
        table = activations.ACTIVATIONS
        hidden = per_layer("hidden", given["hidden"], n_hidden, table)
        output = options.resolve("output", given["output"], table)
        loss = options.resolve("loss", given["loss"], losses.LOSSES)
        dtype = checked_dtype(given["dtype"])
        losses.compatible(loss, output, hidden, sizes[-1], dtype)
        max_norm = given["max_norm"]
        if max_norm is not None:
            max_norm = options.real("max_norm", max_norm, 0, bounds="()")
        return cls(
            sizes=sizes,
            hidden=hidden,
            output=output,
            loss=loss,
            l1=options.real("l1", given["l1"], 0),
            l2=options.real("l2", given["l2"], 0),
            dropout=checked_dropout(given["dropout"], n_hidden),
            max_norm=max_norm,
            init=initializers.checked_init(given["init"]),
            dtype=dtype,
            seed=options.integer("seed", given["seed"], 0, 2**64 - 1),
        )

    def initialise(self, bias_init: Any) -> None:
        """Draw the initial parameters, by `init` and `seed`."""
        layers = [*self.hidden, self.output]
        drawn = initializers.initial_layers(self.sizes, layers, self.init, bias_init, self.seed)
        for layer, (weights, bias) in enumerate(drawn, 1):
            self.core.check_finite(weights, f"init of layer {layer}")
            self.core.check_finite(bias, f"bias_init of layer {layer}")
            self.core.set_layer(layer, weights, bias)

    def replica(self, dtype: str) -> _core.Net:
        """Return a compiled network of the same description with parameters of its own, zeros."""
        layers = [(f.name, f.parameter) for f in (*self.hidden, self.output)]
        loss = self.loss
        return _core.Net(self.sizes, layers, self.dropout, loss.name, loss.parameter, dtype)

    # -- parameters --------------------------------------------------------------------------------

    @property
    def layers(self) -> range:
        """Numbers of the layers that have weights, 1 ... L-1."""
        return range(1, len(self.sizes))

    @property
    def shapes(self) -> list[tuple[tuple[int, int], tuple[int]]]:
        """Shapes (n_l, n_(l-1)) and (n_l,) of the weights and the bias of each layer."""
        return [((n_out, n_in), (n_out,)) for n_in, n_out in pairwise(self.sizes)]

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def get_parameters(self) -> list[Pair]:
        """Return copies of (weights, bias) of each layer."""
        return self.core.get_layers()

    def set_parameters(self, pairs: Sequence[Pair]) -> None:
        """Set (weights, bias) of every layer; a pass in another thread sees all or none of them."""
        self.core.set_layers(pairs)

    def checked_arrays(self, name: str, values: Any) -> list[np.ndarray]:
        """Return "weights" or "biases" of all layers as real arrays of the right shapes, finite."""
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise TypeError(f"{name} must be a sequence of arrays, got {options.shown(values)}")
        if len(values) != len(self.layers):
            n = len(self.layers)
            raise ValueError(
                f"{name} must have one array for each of {n} layers, got {len(values)}"
            )
        arrays = []
        for i, (shapes, value) in enumerate(zip(self.shapes, values, strict=True)):
            array = real_array(f"{name}[{i}]", value)
            shape = shapes[0] if name == "weights" else shapes[1]
            if array.shape != shape:
                raise ValueError(f"{name}[{i}] must have the shape {shape}, got {array.shape}")
            self.core.check_finite(array, f"{name}[{i}]")
            arrays.append(array)
        return arrays

    def penalty(self, pairs: Iterable[Pair] | None = None) -> float:
        """Return l1 Σ|w| + (l2/2) Σ w² of the weights as they are, or of those given."""
        if not self.l1 and not self.l2:
            return 0.0
        total = 0.0
        for weights, _ in self.get_parameters() if pairs is None else pairs:
            w = weights.astype(np.float64)
            total += self.l1 * float(np.abs(w).sum()) + self.l2 / 2 * float((w * w).sum())
        return total

    # -- decisions ---------------------------------------------------------------------------------

    @property
    def classifies(self) -> bool:
        """Whether the targets are classes, as the loss says, so that accuracy is the metric."""
        return self.loss.name in ("cross_entropy", "perceptron") or self.output.name == "softmax"

    @property
    def decides_each_output(self) -> bool:
        """Whether every output is a decision of its own, as of sigmoid and step units."""
        return self.output.name in ("sigmoid", "step")

    def decide(self, outputs: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Return what outputs (n, k) decide: labels (n,), or (n, k) for several sigmoid outputs."""
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > threshold).astype(np.int64)
        if self.decides_each_output:
            return (outputs > threshold).astype(np.int64)
        return outputs.argmax(axis=1)


def slopes(option: activations.Activation, z: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return f'(z); of a softmax the diagonal of its Jacobian, a (1 - a)."""
    if option.name == "softmax":
        return a * (1 - a)
    return _core.activate(option.name, option.parameter, z)[1]
