"""The reference network: backpropagation with its options documented, and its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .backpropagation import Backpropagation
from .inputs import Array, Masks, dropout_per_layer, row_weights, rows
from .optimizers import Updater, clipped, within_norm
from .random import dropout_mask, shuffled


class Network(Backpropagation):
    """A multilayer perceptron in float64, written to be read and to be compared with.

    Parameters
    ----------
    sizes : sequence of int
        n_0 … n_(L−1): inputs, hidden layers if any, outputs.
    hidden : str, object, or a sequence of them, default "relu"
        Activation of all hidden layers, or one for each: a name, or an object with a ``name`` and,
        where the formula has one, ``alpha``.
    output : str or object, default "softmax"
        Activation of the output layer.
    loss : str or object, default "cross_entropy"
        A name, or an object with a ``name`` and its parameter (``delta``, ``tau`` or
        ``label_smoothing``).
    l1, l2 : float, default 0.0
        λ₁ and λ₂ of the penalties λ₁ Σ|w| + (λ₂/2) Σ w² over the weights, not the biases.
    dropout : float or sequence of L − 1 floats, default 0.0
        Probability in [0, 1) of dropping a hidden unit during `fit`; a sequence is (input, hidden
        1, …).
    max_norm : float, optional
        Upper bound on the norm of each unit's incoming weights, enforced after every step.
    seed : int, default 0
        In [0, 2⁶⁴): of the initial weights, the dropout masks and the shuffling.
    weights, biases : sequences of array_like, optional
        Initial parameters, copied. Else the weights are LeCun normal, N(0, 1/√n_in), and the biases
        zero.

    Attributes
    ----------
    weights, biases : list of ndarray of float64
        W^1 … W^(L−1), each (n_l, n_(l−1)), and b^1 … b^(L−1), each (n_l,).
    epoch : int
        Epochs trained so far; the e of the dropout masks.
    averaged : tuple of two lists of ndarray, or None
        Moving averages of weights and biases, once `step` or `fit` was given `ema`.

    Raises
    ------
    ValueError
        If an option is not among those accepted, two do not go together, or shapes differ.

    Examples
    --------
    Rosenblatt's perceptron learns AND:

    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> net = Network([2, 1], output="step", loss="perceptron", weights=[[[0, 0]]])
    >>> history = net.fit(X, Y, epochs=10, batch_size=1, optimizer="sgd", learning_rate=1.0)
    >>> net.classify(X).tolist()
    [0, 0, 0, 1]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Any = "relu",
        output: Any = "softmax",
        loss: Any = "cross_entropy",
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        max_norm: float | None = None,
        seed: int = 0,
        weights: Sequence[npt.ArrayLike] | None = None,
        biases: Sequence[npt.ArrayLike] | None = None,
    ) -> None:
        super().__init__(sizes, hidden, output, loss, l1, l2, seed, weights, biases)
        if max_norm is not None and not max_norm > 0.0:
            raise ValueError(f"max_norm must be positive, got {max_norm}")
        self.dropout = dropout_per_layer(dropout, len(self.sizes) - 1)
        self.max_norm, self.seed = max_norm, seed
        self.epoch = 0
        self.averaged: tuple[list[Array], list[Array]] | None = None
        self._updater: Updater | None = None

    def step(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        optimizer: Any,
        learning_rate: float | None = None,
        sample_weight: npt.ArrayLike | None = None,
        clip_norm: float | None = None,
        masks: Masks | None = None,
        ema: float | None = None,
    ) -> float:
        """One update of all parameters: gradient, clipping, optimiser, max-norm, average.

        The optimiser's moments and step count are kept from call to call, and start afresh when
        another optimiser (by its name, its constants or its own learning rate) is given.

        Parameters
        ----------
        X, Y, sample_weight, masks
            As in `gradients`.
        optimizer : str or object
            ``sgd``, ``adam``, ``adamw``, ``rmsprop``, ``adagrad`` or ``rprop``, by name or as an
            object with that ``name`` and its learning rate and constants as attributes; defaults
            stand for those it has not.
        learning_rate : float, optional
            η of this step, in place of the optimiser's own.
        clip_norm : float, optional
            c: the whole gradient, penalties included, is scaled by min(1, c/(‖∇C‖ + 10⁻⁶)).
        ema : float, optional
            d in [0, 1) of the moving average θ̄ ← dθ̄ + (1 − d)θ kept in `averaged`. It starts as
            the θ after the first step that asks for it; training itself does not see it.

        Returns
        -------
        float
            The cost before the update.

        Raises
        ------
        ValueError
            As `gradients`, and if there is no such optimiser or the learning rate is not finite.
        """
        cost, pairs = self.gradients(X, Y, sample_weight, masks)
        g = [part for pair in pairs for part in pair]  # ∂C/∂W^1, ∂C/∂b^1, ∂C/∂W^2, …
        theta = [part for pair in zip(self.weights, self.biases, strict=True) for part in pair]
        if clip_norm is not None:
            g = clipped(g, clip_norm)
        updater = Updater(optimizer)
        if self._updater is None or not self._updater.equals(updater):
            self._updater = updater
        theta = self._updater.update(theta, g, learning_rate)
        W, b = theta[0::2], theta[1::2]
        if self.max_norm is not None:
            W = [within_norm(each, self.max_norm) for each in W]
        self._weights, self._biases = W, b
        if ema is not None:
            self._average(ema)
        return cost

    def _average(self, d: float) -> None:
        """θ̄ ← dθ̄ + (1 − d)θ = θ + d(θ̄ − θ), the form that keeps θ̄ = θ exact at the start."""
        W_bar, b_bar = self.averaged or (self.weights, self.biases)
        self.averaged = (
            [new + d * (old - new) for old, new in zip(W_bar, self.weights, strict=True)],
            [new + d * (old - new) for old, new in zip(b_bar, self.biases, strict=True)],
        )

    def fit(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        epochs: int,
        batch_size: int,
        optimizer: Any,
        shuffle: bool = False,
        order: npt.ArrayLike | None = None,
        learning_rate: float | None = None,
        sample_weight: npt.ArrayLike | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
    ) -> list[float]:
        """Mini-batch training; a last, shorter batch is kept.

        The dropout masks are `dropout_mask` of (seed, `epoch`, layer, position in the epoch's
        order, unit), so that two epochs and then three are the same as five.

        Parameters
        ----------
        X, Y, optimizer, learning_rate, sample_weight, clip_norm, ema
            As in `step`, for the whole set.
        epochs : int
            Passes through the set.
        batch_size : int
            Rows per update: all of them for batch gradient descent, one for stochastic.
        shuffle : bool, default False
            Draw an order for every epoch (`random.shuffled`), unless `order` is given.
        order : array_like of int, shape (n,) or (epochs, n), optional
            The order of the rows, for all epochs or for each.

        Returns
        -------
        list of float
            For every epoch the weighted mean of the rows' losses, penalties left out, each as it
            was before the update by its batch, and under dropout.

        Raises
        ------
        ValueError
            As `step`, and if `order` is not a permutation or `batch_size` is not positive.
        """
        X = rows(X, self.sizes[0])
        n = len(X)
        y, w = self._targets(Y, n), row_weights(sample_weight, n)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        orders = np.broadcast_to(np.arange(n) if order is None else np.asarray(order), (epochs, n))
        if not (np.sort(orders, axis=1) == np.arange(n)).all():
            raise ValueError(f"order must be a permutation of 0 to {n - 1} in every row")
        history = []
        for order_now in orders:
            if shuffle and order is None:
                order_now = shuffled(self.seed, self.epoch, n)
            total = 0.0
            for start in range(0, n, batch_size):
                batch = order_now[start : start + batch_size]
                masks = self._masks(np.arange(start, start + len(batch)))
                x, t, v = X[batch], y[batch], w[batch]
                penalty = self.penalty()
                cost = self.step(x, t, optimizer, learning_rate, v, clip_norm, masks, ema)
                total += (cost - penalty) * float(v.sum())
            self.epoch += 1
            history.append(total / float(w.sum() or 1.0))
        return history

    def _masks(self, positions: npt.NDArray[np.int64]) -> list[Array | None]:
        """Dropout masks of layers 0 … L−2 for the rows at these positions of the epoch's order."""
        return [
            dropout_mask(self.seed, self.epoch, layer, positions, self.sizes[layer], p)
            if p
            else None
            for layer, p in enumerate(self.dropout)
        ]
