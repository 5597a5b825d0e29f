"""Network: what users meet; options checked once, the work done by the rooms below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _options as options
from ._arrays import READABLE, refuse_not_finite
from ._data.dataset import (
    Dataset,
    checked_dataset,
    checked_rows,
    checked_targets,
    naming_the_fault,
)
from ._fit.session import Training
from ._handle import Handle
from ._model import OPTIONS, Model
from ._options.network import thread_count
from .history import History

if TYPE_CHECKING:
    from .inspect.diagnosis import Diagnosis


class Network(Handle):
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
        given = {name: value for name, value in locals().items() if name in OPTIONS}
        model = Model.checked(**given)
        model.initialise(bias_init)
        self._adopt(model, Training())

    # -- training ----------------------------------------------------------------------------------

    @options.explains_keywords(options.FIT_KEYWORDS)
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 10,
        batch_size: int | None = None,
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
        resume: bool = False,
    ) -> History:
        """Train by gradient descent; go on from where the network stands.

        The parameters, the optimizer's moments (while the optimizer is equal) and the epoch
        counter, which names the random streams, go on from call to call: `fit(2)` then `fit(3)` is
        `fit(5)` to the last bit. Schedules, stop rules, callbacks and best weights start afresh
        with every call; only `resume=True` goes on with those, too.

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
            shorter batch of an epoch is kept. L-BFGS takes no fewer than all.
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
        class_weight : "balanced", mapping, Series or sequence, optional
            Weights of classes by label (a sequence: by position), multiplied onto those of the
            rows.
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
            for. The result is the same to the last bit at any number. Where the system refuses to
            create so many, fewer are used, with one RuntimeWarning.
        resume : bool, default False
            Go on with the training that was cut off by Ctrl-C, an error, a time budget, a callback
            or the end of a process after `save` or `Checkpoint`, to the bits of the uncut one.
            Data, batch size and options must be those of that call; `epochs` is its total, the
            history includes its earlier epochs. L-BFGS cannot be resumed.

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
        KeyboardInterrupt
            Ctrl-C was pressed: the network has the parameters of the last whole batch, `history`
            says "interrupted", and `resume=True` goes on.
        RuntimeError
            Another thread fits this network.
        """
        given = {name: value for name, value in locals().items() if name in self._fit_parameters}
        from ._fit.fit import fit

        with self._fitting():
            return fit(self, self._model, self._training, X, y, given)

    def averaged(self) -> Network:
        """Return a network with the parameters that `fit(ema=...)` averaged over the steps.

        The average stays until weights are assigned; a later fit with `ema` goes on with it.

        Raises
        ------
        ValueError
            No training with `ema` has been.
        """
        average = self._training.average(self._model)
        if average is None:
            raise ValueError("there are no averaged parameters: train with fit(ema=...)")
        from .export.state import copied

        model, training = copied(self._model, self._training, training_state=False)
        model.set_parameters(average)
        return self.from_model(model, training)

    # -- passes over rows --------------------------------------------------------------------------

    def _rows(self, X: Any, *, empty: bool = True) -> np.ndarray:
        return checked_rows(self._model, "X", X, self._training.columns, empty=empty)

    def _dataset(self, X: Any, y: Any, sample_weight: Any = None) -> Dataset:
        return checked_dataset(self._model, X, y, sample_weight, self._training.columns)

    def predict(self, X: Any, *, threads: int | None = None) -> np.ndarray:
        """Return the outputs a^(L-1), (n, k) in the network's dtype, for rows X (n, n_0).

        No rows give an array of shape (0, k). Where several logits of a softmax overflow alike, the
        outputs of that row are NaN.

        Raises
        ------
        TypeError, ValueError
            X is not real, has the wrong width or other columns than X of fit, or holds NaN or
            infinity.
        RuntimeError
            Another thread is in the midst of changing the parameters.
        """
        model = self._model
        if (
            type(X) is not np.ndarray
            or X.ndim != 2
            or X.shape[1] != model.sizes[0]
            or not len(X)
            or X.dtype.type not in READABLE
        ):
            X = self._rows(X)
            if not len(X):
                return np.empty((0, model.sizes[-1]), model.dtype)
        try:
            return model.core.predict(X, 0 if threads is None else thread_count(threads))
        except ValueError:
            refuse_not_finite("X", X, self._training.columns, model.dtype)
            raise

    def classify(
        self, X: Any, *, threshold: float | None = None, threads: int | None = None
    ) -> np.ndarray:
        """Return what the outputs decide, as int64.

        Parameters
        ----------
        X : array-like (n, n_0)
        threshold : float, default 0.5
            Where every output is a decision of its own (one output, or sigmoid and step outputs):
            it is 1 where the output is larger. Softmax and several outputs of other kinds have
            none: the largest output decides.
        threads : int, optional
            The most threads to use.

        Returns
        -------
        ndarray
            Labels (n,); for several sigmoid or step outputs 0 and 1, (n, k).

        Raises
        ------
        ValueError
            An output is NaN, which decides nothing; X or `threshold` is wrong.
        """
        model = self._model
        by_threshold = model.decides_each_output or model.sizes[-1] == 1
        if threshold is not None and not by_threshold:
            raise ValueError(
                f"threshold goes with sigmoid outputs or a single one; the largest of "
                f"{model.sizes[-1]} {model.output.name} outputs decides"
            )
        limit = 0.5 if threshold is None else options.real("threshold", threshold)
        outputs = self.predict(X, threads=threads)
        if len(outputs) and np.isnan(outputs.max()):
            row = int(np.isnan(outputs).any(axis=1).argmax())
            raise ValueError(f"X must give outputs that are numbers: those of row {row} are NaN")
        return model.decide(outputs, limit)

    def evaluate(
        self, X: Any, y: Any, *, sample_weight: Any = None, threads: int | None = None
    ) -> dict[str, float]:
        """Return the mean loss (penalties apart) and the metrics that fit the task.

        The loss says what the task is. Classification (cross-entropy, perceptron; softmax outputs):
        accuracy, precision, recall and F1, macro averages; several sigmoid outputs: the share of
        right decisions over all of them. Regression (every other loss, whatever the output): r2,
        mae, rmse; for the Poisson loss, of the rate e^a. A row whose outputs are NaN counts as
        wrong.

        Raises
        ------
        TypeError, ValueError
            As of `predict` and `fit`; there is no row.
        """
        from ._fit.scores import evaluate

        data = self._dataset(X, y, sample_weight)
        with naming_the_fault(self._model, "X", data.X, data.columns):
            return evaluate(self._model, data, thread_count(threads))

    def layers(self, X: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return [(z^l, a^l), ...], each (n, n_l), of layers 1 ... L-1 for rows X (n, n_0)."""
        rows = self._rows(X)
        if len(rows):
            with naming_the_fault(self._model, "X", rows, self._training.columns):
                return self._model.core.layers(rows)
        return [
            (np.empty((0, n), self.dtype), np.empty((0, n), self.dtype)) for n in self.sizes[1:]
        ]

    def gradients(
        self, X: Any, y: Any, *, sample_weight: Any = None, threads: int | None = None
    ) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
        """Return (cost, [(dW, db), ...]) of the whole cost: all rows, penalties in, dropout off."""
        model, data = self._model, self._dataset(X, y, sample_weight)
        with naming_the_fault(model, "X", data.X, data.columns):
            loss, gradients = model.core.gradient(
                data.core, model.l1, model.l2, thread_count(threads)
            )
        return loss + model.penalty(), gradients

    def penalty(self) -> float:
        """Return l1 Σ|w| + (l2/2) Σ w² of the weights as they are."""
        return self._model.penalty()

    def input_gradients(self, X: Any, y: Any) -> np.ndarray:
        """Return ∂C_i/∂x (n, n_0) for every row on its own, not divided by the number of rows."""
        rows = self._rows(X)
        targets = checked_targets(self._model, "y", y, len(rows))
        if not len(rows):
            return np.empty((0, self.sizes[0]), self.dtype)
        with naming_the_fault(self._model, "X", rows, self._training.columns):
            return self._model.core.input_gradient(Dataset(rows, targets).core)

    def check_gradients(
        self, X: Any, y: Any, *, sample_weight: Any = None, epsilon: float = 1e-6, most: int = 200
    ) -> float:
        """Return the largest difference between backpropagation and central differences, relative.

        (C(θ + ε) - C(θ - ε)) / 2ε is formed in float64 for at most `most` parameters of every
        layer, evenly chosen; the differences are divided by the largest component of the whole
        gradient. For smooth activations expect 1e-8 in float64 and 1e-5 in float32; at a kink (ReLU
        at 0) the two may differ.
        """
        from .inspect.gradient_check import check_gradients

        return check_gradients(self._model, self._dataset(X, y, sample_weight), epsilon, most)

    def diagnose(self, X: Any, y: Any = None) -> Diagnosis:
        """Return shares of saturated and dead units, spreads of z and a, and norms by layer.

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

        rows = self._rows(X, empty=False)
        targets = None if y is None else checked_targets(self._model, "y", y, len(rows))
        return diagnose(self._model, rows, targets)

    # -- files and description ---------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file in the safetensors format, training state and all.

        A network that is loaded goes on training to the same bits as if it had never been saved; a
        training that was cut off can be resumed. The file is replaced in one step: a crash leaves
        the old one or the new one. Attributes that you have set are not saved; copies and pickles
        have them.

        Raises
        ------
        OSError
            The file cannot be written; one that was there before is as it was.
        """
        from .export.state import save

        save(path, self._model, self._training)


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that `Network.save` wrote.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ModelFormatError
        The file is not one of fastmlp's, is damaged, or is of a later format; a ValueError.
    """
    from .export.state import load as load_file

    return Network.from_model(*load_file(path))
