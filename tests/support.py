"""What the tests of the engine share: problems, replicas in the reference, equality to the bit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import fastmlp as fm
from fastmlp import _core, reference
from fastmlp.export.state import to_state
from fastmlp.reference.inputs import OUTPUTS_FOR

ISAS = [name for name, supported in _core.instruction_sets() if supported]
DTYPES = ("float32", "float64")

# Every update rule, each branch of it, and constants that are not the defaults.
OPTIMIZERS = [
    fm.SGD(0.1),
    fm.SGD(0.05, momentum=0.9),
    fm.SGD(0.05, momentum=0.8, nesterov=True),
    fm.Adam(0.01),
    fm.Adam(0.02, beta1=0.8, beta2=0.95, epsilon=1e-3),
    fm.AdamW(0.01, weight_decay=0.3),
    fm.RMSprop(0.01),
    fm.RMSprop(0.01, alpha=0.9, momentum=0.8),
    fm.RMSprop(0.01, alpha=0.9, centered=True),
    fm.RMSprop(0.01, alpha=0.9, momentum=0.7, centered=True),
    fm.Adagrad(0.05),
    fm.Adagrad(0.05, learning_rate_decay=0.1, epsilon=1e-3, initial_accumulator=0.2),
    fm.Rprop(0.01),
    fm.Rprop(0.02, eta_minus=0.4, eta_plus=1.5, step_min=1e-3, step_max=0.05),
]


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Networks made inside run on the kernels of this instruction set."""
    chosen, _core.ISA = _core.ISA, name
    try:
        yield
    finally:
        _core.ISA = chosen


def goes_with(loss: str, output: str) -> bool:
    """Whether a network takes this loss with this output activation; the reference takes more."""
    return output in {**OUTPUTS_FOR, "poisson": ("identity",)}.get(loss, (output,))


def problem(
    sizes: Sequence[int], output: str, loss: str, n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows X (n, n_0) and targets y that suit output and loss, no two rows' the same."""
    random = np.random.default_rng([seed, n, *sizes])
    X, k = random.normal(size=(n, sizes[0])), sizes[-1]
    if output == "softmax":
        dense = random.dirichlet(np.ones(k), n) if k > 1 else np.ones((n, 1))
        return X, random.integers(0, k, n) if seed % 2 == 0 else dense
    if output == "step":
        return X, random.integers(0, 2, (n, k)).astype(float)
    if output == "sigmoid":
        return X, random.random((n, k))
    y = random.normal(size=(n, k))
    return X, np.abs(y) if loss == "poisson" else y


def network(sizes: Sequence[int], **options: Any) -> fm.Network:
    """A network whose biases are not zero, in float64 and a classifier unless said otherwise."""
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    net = fm.Network(sizes, **{"output": output, "dtype": "float64", "seed": 7, **options})
    random = np.random.default_rng([1, *sizes])
    net.biases = [0.3 * random.normal(size=n) for n in sizes[1:]]
    return net


def reference_of(net: fm.Network) -> reference.Network:
    """The reference's network with the same options and the same parameters."""
    return reference.Network(
        net.sizes, net.hidden, net.output, net.loss, net.l1, net.l2, net.dropout, net.max_norm,
        net.seed, net.weights, net.biases,
    )  # fmt: skip


def error(ours: Any, theirs: Any) -> float:
    """Largest difference, relative to the largest magnitude in the second; NaN if one is."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))


def parameters_error(net: fm.Network, other: Any) -> float:
    """The worst `error` of the weights and biases of two networks, array by array."""
    pairs = zip([*net.weights, *net.biases], [*other.weights, *other.biases], strict=True)
    return max(error(ours, theirs) for ours, theirs in pairs)


def gradients_error(ours: Any, theirs: Any) -> float:
    """The worst `error` of two lists of (dW, db), array by array."""
    flat = [[part for pair in gradients for part in pair] for gradients in (ours, theirs)]
    return max(error(*parts) for parts in zip(*flat, strict=True))


def bits(array: np.ndarray) -> bytes:
    """The bytes of the elements in C order: unlike ==, they tell −0 from 0, and NaN equals NaN."""
    return np.ascontiguousarray(array).tobytes()


def assert_same_bits(ours: Any, theirs: Any) -> None:
    """Equal arrays to the last bit, or lists of arrays, or of pairs of arrays."""
    if isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same_bits(one, other)
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert bits(ours) == bits(theirs), f"largest difference {np.abs(ours - theirs).max()}"
    else:
        assert ours == theirs


def assert_same_network(ours: fm.Network, theirs: fm.Network) -> None:
    """Equal to the last bit: parameters, moments, averages, best weights, counters, states."""
    (about, tensors), (about_other, tensors_other) = (
        to_state(net._model, net._training) for net in (ours, theirs)
    )
    # times are not the same, nor how many epochs a call had, nor what columns were called
    for each in (about, about_other):
        del each["history"], each["columns"]
    for each in (tensors, tensors_other):
        for name in [name for name in each if name.startswith("history.")]:
            del each[name]
    assert about == about_other
    assert tensors.keys() == tensors_other.keys()
    for name, tensor in tensors.items():
        assert_same_bits(tensor, tensors_other[name])


def openmp_threads(net: fm.Network) -> int:
    """Threads that the network's last training was given; 0 without OpenMP, and for L-BFGS."""
    trainer = net._training.trainer
    return trainer.threads if trainer and _core.OPENMP else 0


def resident_bytes() -> int:
    """Memory of this process that lies in RAM and is its own, not a file's."""
    with open("/proc/self/statm") as file:
        pages = file.read().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


class Seen:
    """Rows X (n, columns) as the training sees them, epoch after epoch.

    One step of gradient descent on the half squared error from zero weights writes the rows of a
    batch into them: with an output for each of n rows and one-hot targets, δ_r = −y_r / n, so that
    0 − n Σ_r δ_r x_rᵀ has as its row r what the first layer saw of row r; exactly, where n is a
    power of 2.
    """

    def __init__(
        self,
        X: np.ndarray,
        dtype: str = "float64",
        seed: int = 3,
        dropout: float = 0.0,
        **arguments: Any,
    ) -> None:
        self.X, self.n, self.arguments = X, len(X), {"shuffle": False, **arguments}
        assert self.n & (self.n - 1) == 0
        self.net = fm.Network(
            [X.shape[1], self.n], output="identity", loss="half_mse", init="zeros", dtype=dtype,
            seed=seed, dropout=(dropout,),
        )  # fmt: skip

    def epoch(self) -> np.ndarray:
        """Train for an epoch and return its rows."""
        net, n = self.net, self.n
        net.weights, net.biases = [np.zeros((n, net.sizes[0]))], [np.zeros(n)]
        net.fit(
            self.X, np.eye(n), epochs=1, batch_size=n, optimizer=fm.SGD(float(n)), **self.arguments
        )
        return net.weights[0]
