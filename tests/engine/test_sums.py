"""Sums over very many rows keep their digits, and miss none."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, assert_same_bits, instruction_set

import fastmlp as fm

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}

kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)


# --- sums over many rows

ROWS = 10**6


def constant(rows: int, columns: int, value: float) -> np.ndarray:
    """Rows that are all the same, of which only one lies in memory."""
    return np.broadcast_to(np.float32(value), (rows, columns))


@pytest.mark.parametrize("isa", ISAS)
def test_sums_over_a_million_rows_keep_their_digits(isa):
    """In one chain of additions, the rounding of equal terms adds up to half a per cent."""
    x, target = np.float32(0.1), np.float32(-0.9)
    X, y = constant(ROWS, 3, x), constant(ROWS, 2, target)
    exact = float(x) * float(target), float(target)
    weight = np.full(ROWS, 1 / 3)
    options = {"output": "identity", "loss": "half_mse", "init": "zeros"}
    with instruction_set(isa):
        for clip_norm, sample_weight in ((None, None), (1e9, None), (None, weight)):
            net = fm.Network([3, 2], **options)
            history = net.fit(
                X, y, epochs=1, batch_size=ROWS, optimizer=fm.SGD(1.0), shuffle=False,
                clip_norm=clip_norm, sample_weight=sample_weight,
            )  # fmt: skip
            np.testing.assert_allclose(net.weights[0], exact[0], rtol=1e-5)
            np.testing.assert_allclose(net.biases[0], exact[1], rtol=1e-5)
            assert history["loss"][0] == pytest.approx(float(target) ** 2, rel=2e-7)
        net = fm.Network([3, 2], **options)
        loss, ((dW, db),) = net.gradients(X, y)
        np.testing.assert_allclose(dW, -exact[0], rtol=1e-5)
        np.testing.assert_allclose(db, -exact[1], rtol=1e-5)
        assert loss == pytest.approx(float(target) ** 2, rel=2e-7)
        assert net.evaluate(X, y)["loss"] == pytest.approx(float(target) ** 2, rel=2e-7)


@pytest.mark.parametrize("isa", ISAS)
def test_sums_that_skip_zeros_keep_their_digits_too(isa):
    rows, ins, units = 60_000, 176, 40
    X, y = constant(rows, ins, 0.1), constant(rows, 1, -0.9)
    with instruction_set(isa):
        net = fm.Network([ins, units, 1], output="identity", loss="half_mse", init="zeros")
        alive = np.arange(units) % 3 == 0  # of the others' deltas, all are 0
        net.biases = [np.where(alive, 0.25, -1.0), [0.0]]
        net.weights = [np.zeros((units, ins)), alive[None].astype(float)]
        net.fit(X, y, epochs=1, batch_size=rows, optimizer=fm.SGD(1.0), shuffle=False)
    error = 0.25 * alive.sum() + float(np.float32(0.9))
    expected = np.where(alive, -error * float(np.float32(0.1)), 0)
    np.testing.assert_allclose(net.weights[0], np.tile(expected[:, None], ins), rtol=1e-5)


@kernels
def test_sums_over_blocks_of_rows_miss_none_and_have_the_same_bits_on_any_threads(isa, dtype):
    """Small integers, whose sums are exact, in batches around multiples of a block's rows."""
    random = np.random.default_rng(8)
    with instruction_set(isa):
        for rows in (511, 512, 513, 1024, 1537, 4095, 5001):
            X = random.integers(-2, 3, (rows, 19)).astype(float)
            y = random.integers(-9, 10, (rows, 33)).astype(float)
            weight = np.ones(rows)
            weight[0] += (1 << rows.bit_length()) - rows  # a sum by which dividing is exact
            ends = []
            for threads in (1, 2, 3, 7):
                net = fm.Network(
                    [19, 33], output="identity", loss="half_mse", init="zeros", dtype=dtype
                )
                net.fit(
                    X, y, epochs=1, batch_size=rows, optimizer=fm.SGD(weight.sum()), shuffle=False,
                    sample_weight=weight, threads=threads,
                )  # fmt: skip
                np.testing.assert_array_equal(net.weights[0], (weight[:, None] * y).T @ X)
                np.testing.assert_array_equal(net.biases[0], weight @ y)
                if rows in (1537, 5001):  # with zeros to skip in the hidden layer
                    noisy = fm.Network([170, 40, 33], output="identity", loss="mse", dtype=dtype)
                    wide = np.tile(X + 0.1, 9)[:, :170]
                    noisy.fit(wide, y, epochs=1, batch_size=rows, threads=threads)
                    ends.append([*noisy.weights, *noisy.biases])
            for end in ends[1:]:
                assert_same_bits(end, ends[0])
