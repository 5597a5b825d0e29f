"""The workloads: what is trained, on which data, from which parameters, by how many flops."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Case:
    """One training workload; every network ends in softmax under cross-entropy, in float32.

    Parameters
    ----------
    name : str
        Unique name of the case.
    sizes : tuple of int
        Units in each layer n_0 … n_(L-1), inputs first.
    hidden : {"relu", "sigmoid", "tanh"}
        Activation of every hidden layer.
    batch_size : int
        Rows in a mini-batch.
    optimizer : {"sgd", "adam"}
        Plain gradient descent, or Adam with its usual beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8.
    learning_rate : float
        Step length η.
    rows : int
        Rows of the data set, a multiple of `batch_size` (so that no rival has to treat a shorter
        last batch).

    Raises
    ------
    ValueError
        If there are fewer than two layers or `rows` is not a positive multiple of `batch_size`.
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    batch_size: int
    optimizer: str
    learning_rate: float
    rows: int

    def __post_init__(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(f"sizes must have at least 2 layers, got {self.sizes}")
        if self.rows < 1 or self.rows % self.batch_size:
            raise ValueError(
                f"rows must be a multiple of batch_size {self.batch_size}, got {self.rows}"
            )

    @property
    def layers(self) -> str:
        """The sizes as people write them, e.g. ``784-128-64-10``."""
        return "-".join(map(str, self.sizes))

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return sum(
            n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True)
        )

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return self.weights + sum(self.sizes[1:])

    @property
    def flops(self) -> int:
        """Floating-point operations of one epoch.

        Forward, backward to the inputs and backward to the weights take 2 flops per weight and row
        each; the first layer has no deltas to send further down. Activations and the optimiser are
        not counted; multiplications by the zeros of a ReLU are, also where a library skips them.
        """
        return self.rows * (6 * self.weights - 2 * self.sizes[0] * self.sizes[1])

    def with_flops(self, flops: float) -> Case:
        """The same case on fewer rows: whole batches, at least one, of about `flops` at most."""
        batches = self.rows // self.batch_size
        kept = max(1, int(min(batches, batches * flops / self.flops)))
        return dataclasses.replace(self, rows=kept * self.batch_size)


CASES = (
    Case("tiny", (4, 16, 3), "tanh", 16, "sgd", 0.1, 9_600),
    Case("nielsen", (784, 30, 10), "sigmoid", 10, "sgd", 0.1, 12_000),
    Case("small", (784, 128, 64, 10), "relu", 64, "adam", 1e-3, 25_600),
    Case("medium", (784, 512, 512, 10), "relu", 256, "adam", 1e-3, 25_600),
    Case("large", (784, 1024, 1024, 10), "relu", 512, "sgd", 0.05, 25_600),
    Case("deep", (2048,) * 8 + (10,), "relu", 1024, "sgd", 0.01, 4_096),
)
"""The six training cases of the published table."""

INFERENCE = dataclasses.replace(CASES[2], name="inference", rows=10_048)
"""The network whose `predict` is measured (its training settings are not used)."""

INFERENCE_ROWS = (1, 10_000)
"""Rows given to one call of `predict`."""

WIDTHS = (
    8,
    9,
    13,
    16,
    24,
    32,
    33,
    48,
    64,
    65,
    100,
    128,
    129,
    192,
    256,
    257,
    384,
    512,
    513,
    768,
    1000,
    1024,
    1025,
    1536,
    2048,
    2049,
    3072,
    4096,
)
BATCHES = (1, 2, 3, 4, 7, 8, 13, 16, 32, 33, 64, 100, 128, 256, 512, 1000, 1024, 2048, 4096)
ODD_SHAPES = (
    (7, 5, 3),
    (17, 31, 2),
    (3, 100, 100, 2),
    (785, 129, 65, 11),
    (1, 64, 64, 2),
    (1000, 10),
    (13, 1000, 13, 3),
    (30, 300, 30, 300, 5),
    (2000, 50, 1000),
    (257, 255, 253, 251, 7),
)


def sweep() -> Iterator[Case]:
    """Shapes that look for cliffs: widths, depths, batches, odd sizes, each of about 4 Gflop."""
    for width in WIDTHS:
        yield _short(f"width {width}", (width, width, width, 10), "relu", 128, "sgd")
    for width in (32, 512):
        for depth in range(1, 9):
            yield _short(
                f"depth {depth} of {width}", (64, *(width,) * depth, 10), "relu", 64, "adam"
            )
    for width, optimizer in ((64, "adam"), (512, "sgd")):
        for batch_size in BATCHES:
            yield _short(
                f"batch {batch_size} of {width}",
                (width, width, width, 10),
                "tanh",
                batch_size,
                optimizer,
            )
    for sizes in ODD_SHAPES:
        for batch_size in (5, 77):
            yield _short(
                f"odd {'-'.join(map(str, sizes))} by {batch_size}",
                sizes,
                "sigmoid",
                batch_size,
                "sgd",
            )


def _short(name: str, sizes: tuple[int, ...], hidden: str, batch_size: int, optimizer: str) -> Case:
    """A sweep case of 2 to 512 steps and about 4 Gflop; 16,384 rows at most, or two batches."""
    learning_rate = 1e-3 if optimizer == "adam" else 0.01
    one_batch = Case(name, sizes, hidden, batch_size, optimizer, learning_rate, batch_size)
    steps = min(512, 16_384 // batch_size, int(4e9 / one_batch.flops))
    return dataclasses.replace(one_batch, rows=max(2, steps) * batch_size)


def data(case: Case, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Rows and labels that a network can partly learn: a random linear teacher under noise.

    Returns
    -------
    X : ndarray of float32, shape (rows, n_0)
        Standard normal.
    y : ndarray of int64, shape (rows,)
        argmax of the noisy teacher; every class occurs if there are rows enough.
    """
    random = np.random.default_rng(seed)
    classes = case.sizes[-1]
    X = np.empty((case.rows, case.sizes[0]), np.float32)
    random.standard_normal(out=X, dtype=np.float32)
    teacher = random.standard_normal((case.sizes[0], classes), dtype=np.float32)
    scores = X @ teacher
    scores += np.sqrt(case.sizes[0]) * random.standard_normal(scores.shape, dtype=np.float32)
    y = np.argmax(scores, axis=1)
    present = min(classes, case.rows)
    y[:present] = np.arange(present)
    return X, y


def parameters(case: Case, seed: int = 0) -> list[tuple[Floats, Floats]]:
    """Where every rival starts: [(W, b), …], W normal (n_l, n_(l-1)), b zero (n_l,).

    The standard deviation is √(2/n_in) for ReLU (He et al. 2015) and √(1/n_in) otherwise.
    """
    random = np.random.default_rng(seed + 1)
    gain = 2.0 if case.hidden == "relu" else 1.0
    start = []
    for n_in, n_out in zip(case.sizes[:-1], case.sizes[1:], strict=True):
        weights = random.standard_normal((n_out, n_in), dtype=np.float32)
        weights *= np.float32(np.sqrt(gain / n_in))
        start.append((weights, np.zeros(n_out, np.float32)))
    return start


def cross_entropy(probabilities: Floats, y: NDArray[np.int64]) -> float:
    """Mean of -ln a_y over the rows, from outputs (rows, k) and labels (rows,)."""
    chosen = probabilities[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())
