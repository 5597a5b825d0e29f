"""Large batches cut into chunks of rows: gradients, bits at any number of threads, memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    OPTIMIZERS,
    assert_same_bits,
    assert_same_network,
    error,
    gradients_error,
    instruction_set,
    network,
    parameters_error,
    problem,
    reference_of,
)

import fastmlp as fm
from fastmlp import _core

pytestmark = pytest.mark.usefixtures("free_threads")
THREADS = (1, 2, 3, 7)
SIZES = (63, 130, 65, 10)
ROW_WORK = 64 * (64 + 144 + 80 + 16) + 64 * 144 + 131 * 80 + 66 * 16  # as csrc/net/chunks.c counts
N = 203


@pytest.fixture
def small_chunks() -> Iterator[None]:
    """Chunks of 10 rows for networks of SIZES in float64, of 20 in float32."""
    _core.limit_chunks(20.5 * ROW_WORK)
    yield
    _core.limit_chunks(0)


def trained(threads: int | None, dtype: str = "float64", **arguments):
    net = network(SIZES, dtype=dtype, dropout=arguments.pop("dropout", 0.0), l1=1e-5, l2=1e-4)
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    net.fit(X, y, **{"epochs": 2, "batch_size": N, "threads": threads, **arguments})
    return net


@pytest.mark.parametrize("rows", [11, 20, 21, 31, 50, 99, 160, 161, 170, N])
def test_the_sum_over_chunks_is_the_gradient(rows, small_chunks):
    """1 to 21 chunks: no full tree, one leaf for each, several for one."""
    net = network(SIZES, l1=1e-4, l2=1e-3)
    X, y = problem(SIZES, "softmax", "cross_entropy", rows)
    weight = np.random.default_rng(0).random(rows) + 0.1
    loss, gradients = net.gradients(X, y, sample_weight=weight)
    expected, expected_gradients = reference_of(net).gradients(X, y, weight)
    assert error(loss, expected) < 1e-13
    assert gradients_error(gradients, expected_gradients) < 1e-12


@pytest.mark.parametrize("batch_size", [N, 64])  # 21 chunks; 7, and a last batch of 2
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_batch_in_chunks_is_the_batch(optimizer, batch_size, small_chunks):
    def train():
        net = network(SIZES, l1=1e-5, l2=1e-4)
        X, y = problem(SIZES, "softmax", "cross_entropy", N)
        net.fit(X, y, epochs=2, batch_size=batch_size, optimizer=optimizer, ema=0.5)
        return net

    cut = train()
    _core.limit_chunks(0)
    whole = train()
    assert parameters_error(cut, whole) < 1e-9
    assert parameters_error(cut.averaged(), whole.averaged()) < 1e-9
    assert cut.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-9)
    if optimizer.name != "rprop":  # which looks at signs alone
        assert any((a != b).any() for a, b in zip(cut.weights, whole.weights, strict=True))


KINDS = {
    "plain": {},
    "batches": {"batch_size": 64},
    "clipped": {"clip_norm": 0.1, "record_norms": True, "ema": 0.8},
    "weights": {"sample_weight": np.arange(N) % 3, "ema": 0.8},
    "dropout": {"dropout": 0.3, "augment": [fm.augment.Noise(0.3), fm.augment.Mask(0.2)]},
    "validation": {"validation": 0.2, "shuffle": False},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_at_any_number_of_threads(dtype, kind, small_chunks):
    alone = trained(1, dtype, **KINDS[kind])
    for threads in (*THREADS[1:], None):
        net = trained(threads, dtype, **KINDS[kind])
        assert_same_network(net, alone)
        for key in alone.history:
            if key != "seconds":
                assert net.history[key] == alone.history[key]


@pytest.mark.parametrize("isa", ISAS)
def test_passes_in_small_chunks(isa, small_chunks):
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    weight = np.random.default_rng(0).random(N)
    with instruction_set(isa):
        net = network(SIZES)

        def results(threads):
            data = _core.Data(X, y, True, weight)
            return [
                net._model.core.predict(X, threads),
                net._model.core.loss(data, threads),
                net._model.core.gradient(data, 1e-3, 1e-3, threads),
                net._model.core.input_gradient(data, threads),
                net._model.core.layers(X, threads),
            ]

        alone = results(1)
        for threads in THREADS[1:]:
            assert_same_bits(results(threads), alone)
        _core.limit_chunks(0)
        assert_same_bits(net._model.core.predict(X), alone[0])
        assert_same_bits(net._model.core.layers(X), alone[4])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer_where_zeros_are_skipped(optimizer):
    """Layers wide enough for it, with as many moments as can be: RMSprop's three crashed here."""
    sizes = (300, 300, 300, 4)
    X, y = problem(sizes, "softmax", "cross_entropy", 100)
    nets = []
    for threads in (1, 2):
        nets.append(network(sizes, hidden="relu", dtype="float32"))
        nets[-1].fit(X, y, epochs=2, batch_size=100, optimizer=optimizer, threads=threads)
        assert np.isfinite(nets[-1].history["loss"]).all()
    assert_same_network(*nets)


@pytest.mark.slow  # and the sanitizers take memory of their own
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is the system's")
def test_a_large_batch_takes_the_memory_of_a_chunk():
    code = """
import resource
import numpy as np, fastmlp as fm
n = 400_000  # a chunk has some 90,000
net = fm.Network([1, 100, 1], output="identity", loss="mse")
X, y = np.zeros((n, 1), np.float32), np.zeros(n)
net.fit(X, y, epochs=1, batch_size=100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
net.fit(X, y, epochs=1, batch_size=n)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 400_000 * 112 * 4  # activations of one layer of the whole batch
