"""Forward pass, cost and gradients of a multilayer perceptron, equation by equation.

Layers are l = 0 … L−1, layer 0 the input; n_l units in layer l; W^l is (n_l, n_(l−1)). Arrays hold
one row per example, so the book's z = W a + b for a column a is here z = a Wᵀ + b for all rows at
once. Lists of arrays have one entry per layer 1 … L−1, so that W^l is `weights[l - 1]`; `zs` and
`outputs` start at layer 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import ACTIVATIONS, softmax
from .inputs import (
    Array,
    Gradients,
    Masks,
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
from .losses import LOSSES, output_error, row_losses
from .random import lecun_normal


class Backpropagation:
    """A network's parameters, cost and gradients; `Network` adds training, documents options."""

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Any,
        output: Any,
        loss: Any,
        l1: float,
        l2: float,
        seed: int,
        weights: Sequence[npt.ArrayLike] | None,
        biases: Sequence[npt.ArrayLike] | None,
    ) -> None:
        self.sizes = layer_sizes(sizes)
        accepted: dict[str, Parameters] = {
            name: row.parameters for name, row in ACTIVATIONS.items()
        }
        each_hidden = per_hidden_layer(hidden, len(self.sizes) - 2)
        self.activations = [resolve(activation, accepted, "hidden") for activation in each_hidden]
        self.activations.append(resolve(output, {**accepted, "softmax": {}}, "output"))
        self.output_name = self.activations[-1][0]
        losses = {name: row.parameters for name, row in LOSSES.items()}
        self.loss_name, self.loss_parameters = resolve(loss, losses, "loss")
        check_output(self.output_name, self.loss_name)
        self.l1, self.l2 = float(l1), float(l2)
        self.weights = lecun_normal(self.sizes, seed) if weights is None else weights
        self.biases = [np.zeros(n) for n in self.sizes[1:]] if biases is None else biases

    @property
    def weights(self) -> list[Array]:
        """W^1 … W^(L−1), each (n_l, n_(l−1)) of float64; assigning a list of arrays copies them."""
        return self._weights

    @weights.setter
    def weights(self, weights: Any) -> None:
        self._weights = copied(
            weights, zip(self.sizes[1:], self.sizes[:-1], strict=True), "weights"
        )

    @property
    def biases(self) -> list[Array]:
        """b^1 … b^(L−1), each (n_l,) of float64; assigning a list of arrays copies them."""
        return self._biases

    @biases.setter
    def biases(self, biases: Any) -> None:
        self._biases = copied(biases, ((n,) for n in self.sizes[1:]), "biases")

    def _targets(self, Y: npt.ArrayLike, n: int) -> Array:
        return targets(Y, n, self.sizes[-1], self.output_name, self.loss_name)

    # --- forward
    # ------------------------------------------------------------------------------------

    def _forward(self, X: Array, masks: Masks | None) -> tuple[list[Array], list[Array]]:
        """z^l and a^l for l = 0 … L−1; the input has no weighted sum, so zs[0] is x itself."""
        a = X if not masks or masks[0] is None else masks[0] * X  # a^0 = x
        zs, outputs = [X], [a]
        parameters_by_layer = zip(self.weights, self.biases, self.activations, strict=True)
        for layer, (W, b, (name, constants)) in enumerate(parameters_by_layer, start=1):
            z = a @ W.T + b  # z^l = W^l a^(l−1) + b^l
            f = softmax if name == "softmax" else ACTIVATIONS[name].function
            a = f(z, **constants)  # a^l = f_l(z^l)
            if masks and layer < len(masks) and (mask := masks[layer]) is not None:
                a = mask * a  # inverted dropout: a^l ← m^l ⊙ a^l with m 0 or 1/(1 − p)
            zs.append(z)
            outputs.append(a)
        return zs, outputs

    def layers(self, X: npt.ArrayLike) -> list[tuple[Array, Array]]:
        """[(z^l, a^l), …] for l = 1 … L−1, each array (n, n_l), without dropout."""
        zs, outputs = self._forward(rows(X, self.sizes[0]), None)
        return list(zip(zs[1:], outputs[1:], strict=True))

    def predict(self, X: npt.ArrayLike) -> Array:
        """Outputs a^(L−1), (n, n_(L−1)), for rows X, (n, n_0)."""
        return self.layers(X)[-1][1]

    def classify(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Labels (n,): argmax of the outputs; of one sigmoid or step output, 1 if it exceeds ½."""
        a = self.predict(X)
        if a.shape[1] == 1 and self.output_name in ("sigmoid", "step"):
            return (a[:, 0] > 0.5).astype(np.int64)
        return a.argmax(axis=1).astype(np.int64)

    # --- cost
    # ---------------------------------------------------------------------------------------

    def _loss(self, z: Array, a: Array, y: Array, share: Array) -> float:
        """Σ_i w_i C_i / Σ_i w_i."""
        return float(
            share @ row_losses(self.loss_name, self.loss_parameters, self.output_name, z, a, y)
        )

    def penalty(self) -> float:
        """λ₁ Σ|w| + (λ₂/2) Σ w² over all weights, not the biases."""
        return sum(
            self.l1 * float(abs(W).sum()) + 0.5 * self.l2 * float((W**2).sum())
            for W in self.weights
        )

    def loss(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Mean of the rows' losses without penalties; parameters and errors as in `gradients`."""
        z, a = self.layers(X)[-1]
        return self._loss(z, a, self._targets(Y, len(z)), shares(sample_weight, len(z)))

    def cost(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """C = `loss` + `penalty`; parameters and errors as in `gradients`."""
        return self.loss(X, Y, sample_weight) + self.penalty()

    # --- gradients
    # ----------------------------------------------------------------------------------

    def _deltas(
        self, zs: list[Array], outputs: list[Array], y: Array, masks: Masks | None
    ) -> list[Array]:
        """δ^l = ∂C_i/∂z^l of every row for l = 1 … L−1, each (n, n_l)."""
        name, constants = self.activations[-1]
        delta = output_error(
            self.loss_name, self.loss_parameters, name, constants, zs[-1], outputs[-1], y
        )
        deltas = [delta]
        for layer in range(len(self.sizes) - 2, 0, -1):
            da = delta @ self.weights[layer]  # ∂C/∂a^l = (W^(l+1))ᵀ δ^(l+1)
            if masks and (mask := masks[layer]) is not None:
                da = mask * da  # through a^l ← m^l ⊙ a^l
            name, constants = self.activations[layer - 1]
            delta = (
                ACTIVATIONS[name].derivative(zs[layer], **constants) * da
            )  # δ^l = f'(z^l) ⊙ ∂C/∂a^l
            deltas.insert(0, delta)
        return deltas

    def gradients(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        masks: Masks | None = None,
    ) -> tuple[float, Gradients]:
        """The cost and its gradient, penalties included.

        Parameters
        ----------
        X : array_like of real, shape (n, n_0)
        Y : array_like
            Targets. With a softmax output integer labels (n,) or rows of probabilities (n, k); else
            real numbers (n,) or (n, k), in [0, 1] for the cross-entropy.
        sample_weight : array_like of real, shape (n,), optional
            w_i ≥ 0: the cost is the weighted mean Σ w_i C_i / Σ w_i, so that an integer weight
            equals repetition of the row. If all are 0, only the penalties are left.
        masks : sequence of L − 1 arrays or None, optional
            Factors (n, n_l) on the outputs of layers 0 … L−2, as `dropout_mask` gives. No dropout
            if absent.

        Returns
        -------
        cost : float
        gradients : list of (dW, db)
            ∂C/∂W^l, (n_l, n_(l−1)), and ∂C/∂b^l, (n_l,), for l = 1 … L−1, float64.

        Raises
        ------
        ValueError
            If shapes differ or the targets do not suit the output and the loss.
        """
        X = rows(X, self.sizes[0])
        y, share = self._targets(Y, len(X)), shares(sample_weight, len(X))
        if masks is not None and len(masks) != len(self.weights):
            raise ValueError(f"masks must have {len(self.weights)} entries, got {len(masks)}")
        zs, outputs = self._forward(X, masks)
        cost = self._loss(zs[-1], outputs[-1], y, share) + self.penalty()
        gradients = []
        deltas = self._deltas(zs, outputs, y, masks)
        for W, delta, a_before in zip(self.weights, deltas, outputs[:-1], strict=True):
            delta = share[:, None] * delta  # each row's part in the mean, w_i/Σw
            dW = delta.T @ a_before  # ∂C/∂W^l = δ^l (a^(l−1))ᵀ, summed over rows
            db = delta.sum(axis=0)  # ∂C/∂b^l = δ^l
            dW += self.l1 * np.sign(W) + self.l2 * W  # ∂/∂w of λ₁|w| + (λ₂/2)w²
            gradients.append((dW, db))
        return cost, gradients

    def input_gradients(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
        """∂C_i/∂x, (n, n_0): each row's own loss by its inputs; arguments as in `gradients`."""
        X = rows(X, self.sizes[0])
        zs, outputs = self._forward(X, None)
        delta = self._deltas(zs, outputs, self._targets(Y, len(X)), None)[0]
        return delta @ self.weights[0]  # ∂C_i/∂x = (W^1)ᵀ δ^1

    def check_gradients(self, X: npt.ArrayLike, Y: npt.ArrayLike, epsilon: float = 1e-6) -> float:
        """Largest relative difference between backpropagation and central differences.

        Each parameter θ in turn: d = (C(θ + ε) − C(θ − ε))/2ε is compared with g = ∂C/∂θ as
        |g − d| / max(|g|, |d|, s), where s is a thousandth of the largest |g| or |d| of the
        network: d has an error of about 10⁻¹⁶ C/ε, which would drown the smallest components.

        Parameters
        ----------
        X, Y
            As in `gradients`.
        epsilon : float, default 1e-6
            ε, half the width of the difference.

        Returns
        -------
        float
            Usually below 1e-6, unless a kink (of ReLU, |w|, …) lies within ε.
        """
        g = np.concatenate([part.ravel() for pair in self.gradients(X, Y)[1] for part in pair])
        differences = []
        for parameter in (p for pair in zip(self.weights, self.biases, strict=True) for p in pair):
            for index in np.ndindex(parameter.shape):
                theta = parameter[index]
                parameter[index] = theta + epsilon
                above = self.cost(X, Y)
                parameter[index] = theta - epsilon
                below = self.cost(X, Y)
                parameter[index] = theta
                differences.append((above - below) / (2.0 * epsilon))
        d = np.array(differences)
        size = np.maximum(np.abs(g), np.abs(d))
        scale = np.maximum(size, 1e-3 * size.max())
        return float((np.abs(g - d) / np.where(scale > 0.0, scale, 1.0)).max())
