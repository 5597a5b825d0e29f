"""The rows of a batch as training sees them, after dropout and augmentation.

One step of gradient descent on the half squared error from zero weights writes the rows of a batch
into them: with an output for each of n rows and one-hot targets, δ_r = −y_r / n, so that 0 − n Σ_r
δ_r x_rᵀ has as its row r what the first layer saw of row r; exactly, where n is a power of 2.
"""

from __future__ import annotations

import numpy as np

import fastmlp as fm


class Seen:
    """Rows X (n, columns) as the training sees them, epoch after epoch."""

    def __init__(self, X, dtype="float64", seed=3, dropout=0.0, **arguments):
        self.X, self.n, self.arguments = X, len(X), {"shuffle": False, **arguments}
        assert self.n & (self.n - 1) == 0
        self.net = fm.Network(
            [X.shape[1], self.n], output="identity", loss="half_mse", init="zeros", dtype=dtype,
            seed=seed, dropout=(dropout,),
        )  # fmt: skip

    def epoch(self):
        net, n = self.net, self.n
        net.weights, net.biases = [np.zeros((n, net.sizes[0]))], [np.zeros(n)]
        net.fit(
            self.X, np.eye(n), epochs=1, batch_size=n, optimizer=fm.SGD(float(n)), **self.arguments
        )
        return net.weights[0]
