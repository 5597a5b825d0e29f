"""Network: a multilayer perceptron, its options checked once, its work done by the compiled core."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, activations, initializers, losses
from . import _options as options
from ._data.dataset import Targets, as_rows, as_sample_weight, as_targets, real_array
from ._options.network import checked_dropout, checked_dtype, checked_sizes, per_layer, thread_count
from .history import History
from .parameters import Parameters

if TYPE_CHECKING:
    from .inspect.diagnosis import Diagnosis


class Network:
    """A multilayer perceptron: z^l = W^l a^(l-1) + b^l, a^l = f_l(z^l), a^0 = x.

    Parameters
    ----------
    sizes : sequence of int
        Units n_0 ... n_(L-1) of every layer, inputs and outputs included; two or more.
    hidden : str, Activation or sequence of these, default "relu"
        Activation of the hidden layers: one for all, or one for each. See `fastmlp.activations`.
    output : str or Activation, default "softmax"
        Activation of the output layer.
    loss : str or Loss, default "cross_entropy"
        See `fastmlp.losses`.
    l1, l2 : float, default 0.0
        Penalties l1 Σ|w| + (l2/2) Σ w² on the weights, not the biases; >= 0.
    dropout : float or sequence of float, default 0.0
        Probability in [0, 1) that an output of a hidden layer is dropped in training (inverted: the
        others are scaled by 1/(1 - p)). A number is for all hidden layers; a sequence of L-1
        numbers for the input and each hidden layer.
    max_norm : float, optional
        After every step a unit's incoming weights with a norm beyond this are scaled to it; > 0.
    init : str or callable, default "auto"
        Initialisation of the weights, see `fastmlp.initializers`.
    bias_init : str, float, callable or list of arrays, default "zeros"
        Initialisation of the biases.
    dtype : {"float32", "float64"}, default "float32"
        Precision of parameters, activations and arithmetic; numbers below its smallest normal one
        count as 0.
    seed : int, default 0
        Names every random stream: initial weights, shuffling, dropout, augmentation; in [0, 2**64).

    Attributes
    ----------
    weights, biases : list of ndarray
        W^l (n_l, n_(l-1)) and b^l (n_l,) of layers 1 ... L-1, copies in the network's dtype. Assign
        to `net.weights` or `net.weights[i]` to set them.
    epochs : int
        Epochs trained so far.
    history : History or None
        The record of the last call of `fit`.

    Raises
    ------
    TypeError, ValueError
        An option is of the wrong type, unknown, out of range, or does not go with another; the
        message names it.

    Examples
    --------
    >>> import fastmlp as fm
    >>> net = fm.Network([2, 8, 1], hidden="tanh", output="sigmoid", seed=1)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = net.fit(X, y, epochs=300, batch_size=4, optimizer=fm.Adam(0.05))
    >>> net.classify(X).tolist()
    [0, 1, 1, 0]
    """

    @options.explains_keywords(options.NETWORK_KEYWORDS, "Network")
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        hidden: Any = "relu",
        output: Any = "softmax",
        loss: Any = "cross_entropy",
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        max_norm: float | None = None,
        init: Any = "auto",
        bias_init: Any = "zeros",
        dtype: str = "float32",
        seed: int = 0,
    ) -> None:
        self.sizes = checked_sizes(sizes)
        n_hidden = len(self.sizes) - 2
        self.hidden = per_layer("hidden", hidden, n_hidden, activations.ACTIVATIONS)
        self.output = options.resolve("output", output, activations.ACTIVATIONS)
        self.loss = options.resolve("loss", loss, losses.LOSSES)
        self.l1 = options.real("l1", l1, 0)
        self.l2 = options.real("l2", l2, 0)
        self.dropout = checked_dropout(dropout, n_hidden)
        self.max_norm = (
            None if max_norm is None else options.real("max_norm", max_norm, 0, bounds="()")
        )
        self.seed = options.integer("seed", seed, 0, 2**64 - 1)
        self.dtype = checked_dtype(dtype)
        losses.compatible(self.loss, self.output, self.hidden, self.sizes[-1], self.dtype)
        self.init = initializers.checked_init(init)
        layers = [*self.hidden, self.output]
        drawn = initializers.initial_layers(self.sizes, layers, self.init, bias_init, self.seed)
        self._net = self._make_core(self.dtype)
        for layer, (weights, bias) in enumerate(drawn, 1):
            self._net.check_finite(weights, f"init of layer {layer}")
            self._net.check_finite(bias, f"bias_init of layer {layer}")
            self._net.set_layer(layer, weights, bias)
        self.epochs = 0
        self.history: History | None = None
        self._training: Any = None  # what a later fit goes on from: fastmlp.training.Progress
        self._fitting = threading.Lock()

    def _make_core(self, dtype: str) -> Any:
        layers = [(f.name, f.parameter) for f in (*self.hidden, self.output)]
        return _core.Net(
            self.sizes, layers, self.dropout, self.loss.name, self.loss.parameter, dtype
        )

    # -- parameters
    # ---------------------------------------------------------------------------------------------

    @property
    def weights(self) -> list[np.ndarray]:
        return Parameters(
            (self._net.get_layer(layer)[0] for layer in self._layers), self, "weights"
        )

    @weights.setter
    def weights(self, values: Sequence[Any]) -> None:
        arrays = self._checked_parameters("weights", values)
        for layer, weights in zip(self._layers, arrays, strict=True):
            self._net.set_layer(layer, weights, self._net.get_layer(layer)[1])

    @property
    def biases(self) -> list[np.ndarray]:
        return Parameters((self._net.get_layer(layer)[1] for layer in self._layers), self, "biases")

    @biases.setter
    def biases(self, values: Sequence[Any]) -> None:
        arrays = self._checked_parameters("biases", values)
        for layer, bias in zip(self._layers, arrays, strict=True):
            self._net.set_layer(layer, self._net.get_layer(layer)[0], bias)

    _layers = property(lambda self: range(1, len(self.sizes)))

    def _checked_parameters(self, name: str, values: Sequence[Any]) -> list[np.ndarray]:
        if not hasattr(values, "__len__"):
            raise TypeError(f"{name} must be a sequence of arrays, got {options.shown(values)}")
        if len(values) != len(self._layers):
            raise ValueError(
                f"{name} must have one array for each of {len(self._layers)} layers, got {len(values)}"
            )
        arrays = []
        for layer, value in zip(self._layers, values, strict=True):
            array = real_array(f"{name}[{layer - 1}]", value)
            shape = (
                self.sizes[layer : layer - 2 : -1] if layer > 1 else (self.sizes[1], self.sizes[0])
            )
            shape = shape if name == "weights" else shape[:1]
            if array.shape != shape:
                raise ValueError(
                    f"{name}[{layer - 1}] must have the shape {shape}, got {array.shape}"
                )
            self._net.check_finite(array, f"{name}[{layer - 1}]")
            arrays.append(array)
        return arrays

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(
            (n_in + 1) * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)
        )

    # -- training
    # -----------------------------------------------------------------------------------------------

    @options.explains_keywords(options.FIT_KEYWORDS)
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 10,
        batch_size: int = 64,
        optimizer: Any = "adam",
        schedule: Any = None,
        validation: Any = None,
        stratify: bool = False,
        stop: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        augment: Any = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        shuffle: bool = True,
        callbacks: Any = (),
        progress: bool | None = None,
        record_norms: bool = False,
        threads: int | None = None,
    ) -> History:
        """Train by gradient descent; go on from where the network stands.

        Parameters
        ----------
        X : array-like (n, n_0)
            Rows of inputs, of any real dtype and memory layout; read batch by batch, never copied
            whole.
        y : array-like
            For a softmax output integer labels (n,) or rows of probabilities (n, k); for other
            outputs (n, k), or (n,) where k is 1; in [0, 1] for sigmoid and step.
        epochs : int, default 10
            Passes over the rows, >= 0.
        batch_size : int, default 64
            Rows of a step; n and more is batch gradient descent, 1 the stochastic one. The last,
            shorter batch of an epoch is kept.
        optimizer : str or Optimizer, default "adam"
            See `fastmlp.optimizers`. Its moments are kept over calls of fit while it is equal.
        schedule : str or Schedule, optional
            Of the learning rate, see `fastmlp.schedules`.
        validation : (Xv, yv) or float, optional
            A validation set, or the share of the rows to set aside for one; `stratify` keeps the
            classes' shares.
        stop : StopRule or sequence, optional
            `EarlyStopping`, `Tolerance`, `TimeBudget`, `TargetLoss`.
        sample_weight : array-like (n,), optional
            Weights >= 0: the cost of a batch is Σ w_i C_i / Σ w_i.
        class_weight : "balanced", dict or sequence, optional
            Weights of classes, multiplied onto those of the rows.
        augment : Augmentation or sequence, optional
            Random changes of the inputs, see `fastmlp.augment`.
        clip_norm : float, optional
            The gradient is scaled by min(1, clip_norm / (‖∇C‖ + 1e-6)); > 0.
        ema : float, optional
            Decay in (0, 1) of parameters averaged over the steps, θ̄ ← d θ̄ + (1 - d) θ; see
            `averaged`.
        shuffle : bool, default True
            Draw a new order of the rows every epoch.
        callbacks : sequence, optional
            See `fastmlp.Callback`.
        progress : bool, optional
            A progress bar; None shows one on a terminal.
        record_norms : bool, default False
            Keep the epoch's means of the gradient's norm ‖∇C‖ and of the step size ε = η‖∇C‖ in the
            history.
        threads : int, optional
            The most threads to use, None for all there are; a step takes as many as its work pays
            for. The result is the same to the last bit at any number.

        Returns
        -------
        History
            Loss (mean over the rows of the epoch as they were trained, penalties apart),
            validation, learning rate and seconds by epoch; why training stopped.

        Raises
        ------
        TypeError, ValueError
            An argument is wrong; nothing has changed.
        DivergenceError
            The loss stopped being finite; the last finite weights are kept.

        Notes
        -----
        Ctrl-C ends the training at the end of a batch and returns the history, stopped by
        "interrupted".
        """
        from ._fit.fit import fit

        if not self._fitting.acquire(blocking=False):
            raise RuntimeError("fit is running on this network already")
        try:
            return fit(
                self, X, y, epochs=epochs, batch_size=batch_size, optimizer=optimizer, schedule=schedule,
                validation=validation, stratify=stratify, stop=stop, sample_weight=sample_weight,
                class_weight=class_weight, augment=augment, clip_norm=clip_norm, ema=ema, shuffle=shuffle,
                callbacks=callbacks, progress=progress, record_norms=record_norms, threads=threads,
            )  # fmt: skip
        finally:
            self._fitting.release()

    def averaged(self) -> Network:
        """Return a network of its own with the parameters averaged over the steps, as `fit(ema=...)` asked for.

        Raises
        ------
        ValueError
            No training with `ema` has been.
        """
        average = None if self._training is None else self._training.average()
        if average is None:
            raise ValueError("there are no averaged parameters: train with fit(ema=...)")
        from .export.state import from_state, to_state

        copy = from_state(*to_state(self, training=False))
        for layer, (weights, bias) in zip(self._layers, average, strict=True):
            copy._net.set_layer(layer, weights, bias)
        return copy

    # -- passes over rows
    # ---------------------------------------------------------------------------------------

    def predict(self, X: Any, *, threads: int | None = None) -> np.ndarray:
        """Return the outputs a^(L-1), (n, k) in the network's dtype, for rows X (n, n_0).

        Raises
        ------
        TypeError, ValueError
            X is not real, has the wrong width, no row, or holds NaN or infinity.
        """
        if (
            type(X) is not np.ndarray
            or X.ndim != 2
            or X.shape[1] != self.sizes[0]
            or not len(X)
            or X.dtype.kind not in "fiub"
        ):
            X = as_rows("X", X, self.sizes[0])
        return self._net.predict(X, thread_count(threads))

    def classify(self, X: Any, *, threads: int | None = None) -> np.ndarray:
        """Return integer labels (n,): the largest output, or whether it is > 0.5 where there is one output."""
        return self._decide(self.predict(X, threads=threads))

    def _decide(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.shape[1] == 1 and self.output.name != "softmax":
            return (outputs[:, 0] > 0.5).astype(np.int64)
        return outputs.argmax(axis=1)

    def evaluate(
        self, X: Any, y: Any, *, sample_weight: Any = None, threads: int | None = None
    ) -> dict[str, float]:
        """Return the mean loss (penalties apart) and the metrics that fit the task.

        Classification (softmax, sigmoid or step outputs): accuracy, precision, recall and F1, macro
        averages; several sigmoid outputs: the share of right decisions over all of them.
        Regression: r2, mae, rmse; for the Poisson loss, of the rate e^a.
        """
        X = as_rows("X", X, self.sizes[0])
        targets = as_targets("y", y, self, len(X))
        return self._evaluate(
            X, targets, as_sample_weight(sample_weight, len(X)), None, thread_count(threads)
        )

    def _evaluate(
        self, X: np.ndarray, targets: Targets, weights: np.ndarray | None, rows: np.ndarray | None, threads: int,
        brief: bool = False,
    ) -> dict[str, float]:  # fmt: skip
        from ._fit.scores import scores

        loss, outputs = self._net.loss(X, targets.array, targets.labels, weights, rows, threads)
        array = targets.array if rows is None else targets.array[rows]
        weights = weights if weights is None or rows is None else weights[rows]
        return {"loss": loss, **scores(self, array, targets.labels, outputs, weights, brief)}

    def layers(self, X: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return [(z^l, a^l), ...], each (n, n_l), of layers 1 ... L-1 for rows X (n, n_0)."""
        return self._net.layers(as_rows("X", X, self.sizes[0]))

    def gradients(
        self, X: Any, y: Any, *, sample_weight: Any = None, threads: int | None = None
    ) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
        """Return (cost, [(dW, db), ...]) of the whole cost: all rows, penalties included, dropout off."""
        X = as_rows("X", X, self.sizes[0])
        targets = as_targets("y", y, self, len(X))
        weights = as_sample_weight(sample_weight, len(X))
        loss, gradients = self._net.gradient(
            X, targets.array, targets.labels, weights, self.l1, self.l2, thread_count(threads)
        )
        return loss + self.penalty(), gradients

    def penalty(self) -> float:
        """Return l1 Σ|w| + (l2/2) Σ w² of the weights as they are."""
        if not self.l1 and not self.l2:
            return 0.0
        total = 0.0
        for weights in self.weights:
            w = weights.astype(np.float64)
            total += self.l1 * float(np.abs(w).sum()) + self.l2 / 2 * float((w * w).sum())
        return total

    def input_gradients(self, X: Any, y: Any) -> np.ndarray:
        """Return ∂C_i/∂x (n, n_0) for every row on its own, not divided by the number of rows."""
        X = as_rows("X", X, self.sizes[0])
        targets = as_targets("y", y, self, len(X))
        return self._net.input_gradient(X, targets.array, targets.labels)

    def check_gradients(
        self, X: Any, y: Any, *, sample_weight: Any = None, epsilon: float = 1e-6, most: int = 200
    ) -> float:
        """Return the largest difference between backpropagation and central differences, relative to the gradient.

        (C(θ + ε) - C(θ - ε)) / 2ε is formed in float64 for at most `most` parameters of every
        layer, evenly chosen; the differences are divided by the largest component of the whole
        gradient. For smooth activations expect 1e-8 in float64 and 1e-5 in float32; at a kink (ReLU
        at 0) the two may differ.
        """
        from .inspect.gradient_check import check_gradients

        return check_gradients(self, X, y, sample_weight, epsilon, most)

    def diagnose(self, X: Any, y: Any = None) -> Diagnosis:
        """Return, by layer, shares of saturated and dead units, mean and spread of z and a, and norms.

        Parameters
        ----------
        X : array-like (n, n_0)
        y : array-like, optional
            Targets; with them the norms of the gradients of the whole cost are there.

        Returns
        -------
        Diagnosis
            A tuple of `LayerDiagnosis`, printed as a table, drawn by its method `plot`.
        """
        from .inspect.diagnosis import diagnose

        return diagnose(self, X, y)

    # -- files and description
    # ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file in the safetensors format, training state and all.

        A network that is loaded goes on training to the same bits as if it had never been saved.
        The file is replaced in one step: a crash leaves the old one or the new one.
        """
        from .export.state import save

        save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        from .export.state import to_state

        description, tensors = to_state(self)
        return {"description": description, "tensors": tensors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .export.state import from_state

        self.__dict__.update(from_state(state["description"], state["tensors"]).__dict__)

    def summary(self) -> str:
        """Return a table of the layers: units, activation, parameters, dropout."""
        from .inspect.summary import summary

        return summary(self, self.epochs)

    def __repr__(self) -> str:
        from .inspect.summary import network_repr

        return network_repr(self)

    def _repr_html_(self) -> str:
        from .inspect.summary import summary_html

        return summary_html(self, self.epochs)


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that `Network.save` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not one of fastmlp's, or of a later format.
    """
    from .export.state import load as load_file

    return load_file(path)
