"""Gradients and weights of any size: norms, clipping, limits, steps of optimizers."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, instruction_set

import fastmlp as fm
from fastmlp.reference.optimizers import clipped, within_norm

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}

kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)


def linear(dtype: str, inputs: int = 2, units: int = 1, **options: float) -> fm.Network:
    """From zero weights, under the absolute error: the gradient of one row is x times a sign."""
    return fm.Network(
        [inputs, units], output="identity", loss="mae", init="zeros", dtype=dtype, **options
    )


@kernels
def test_gradients_of_any_size_are_clipped_to_the_norm(isa, dtype):
    top, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    with instruction_set(isa):
        for x in ([top, top / 2], [top, -top], [top**0.75, 1.0], [1e-3 * top**0.5, 5.0]):
            for limit in (1.0, 1e-3, 100.0):
                net = linear(dtype)
                X = np.array([x])
                net.fit(X, [1.0], epochs=1, optimizer=fm.SGD(1.0), clip_norm=limit, shuffle=False)
                g = np.append(np.longdouble(X[0]), 1)  # and the bias's
                expected = limit * g / np.sqrt((g**2).sum())
                ours = np.append(net.weights[0], net.biases[0])
                expected = expected.astype(float)
                np.testing.assert_allclose(ours, expected, 8 * EPS[dtype], atol=tiny)
                theirs = clipped([g[:2].astype(float), g[2:].astype(float)], limit)
                np.testing.assert_allclose(np.concatenate(theirs), expected, 1e-14, atol=tiny)


@kernels
def test_the_recorded_norm_is_right_whatever_the_size(isa, dtype):
    top, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    with instruction_set(isa):
        for size in (top / 4, top**0.7, 1.0, tiny**0.6):
            net = linear(dtype, 20_000)  # in two chunks of the sum
            X = np.full((1, 20_000), size / 200)
            net.fit(X, [-1e-30], epochs=1, optimizer=fm.SGD(1e-45), record_norms=True)
            expected = np.hypot(np.sqrt(2) * size * np.sqrt(0.25), 1)
            assert net.history["gradient_norm"][0] == pytest.approx(expected, rel=1e-5)


@kernels
def test_weights_of_any_size_are_limited_to_the_norm(isa, dtype):
    top, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    random = np.random.default_rng(0)
    with instruction_set(isa):
        for size, limit in ((top / 2, 3.0), (top / 2, top / 16), (tiny**0.6, tiny**0.65), (1, 0.5)):
            net = linear(dtype, 5, 19, max_norm=limit)
            W = random.uniform(-1, 1, (19, 5)) * size
            W[3], W[4] = 0, W[4] * (limit / size / 4)  # within it
            W[7, 1:] = 0
            W[8] = random.uniform(-1, 1, 5) * limit * 2  # an ordinary row beside them
            W = W.astype(dtype)
            net.weights = [W]
            net.fit(np.zeros((1, 5)), np.zeros((1, 19)), epochs=1, optimizer=fm.SGD(1e-3))
            exact = W.astype(np.longdouble)
            norms = np.sqrt((exact**2).sum(axis=1, keepdims=True))
            expected = (exact * np.minimum(1, limit / np.maximum(norms, 1e-300))).astype(float)
            np.testing.assert_allclose(net.weights[0], expected, rtol=8 * EPS[dtype])
            theirs = within_norm(W.astype(float), limit)
            np.testing.assert_allclose(theirs, expected, rtol=1e-13)


ADAPTIVE = [
    fm.Adam(0.01),
    fm.AdamW(0.01),
    fm.RMSprop(0.01),
    fm.RMSprop(0.01, centered=True),
    fm.RMSprop(0.01, momentum=0.5),
    fm.RMSprop(0.01, centered=True, momentum=0.5),
    fm.Adagrad(0.01),
    fm.Rprop(0.01),
]


@kernels
@pytest.mark.parametrize("optimizer", ADAPTIVE, ids=str)
def test_steps_that_are_free_of_the_gradients_scale_are_so_up_to_the_largest(optimizer, isa, dtype):
    """Squares of a gradient beyond the root of the largest number must not become infinite."""
    top, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    ends = []
    with instruction_set(isa):
        for size in (1e3, 2 * top**0.5, top**0.75, top / 256):
            net = linear(dtype, 37)
            X = np.where(np.arange(37) % 3, 1.0, -1.0)[None] * size
            for y in (top / 4, top / 4, -top / 4, top / 4):  # beyond any z: to and fro
                net.fit(X, [y], epochs=1, optimizer=optimizer)
                assert np.isfinite(net.weights[0]).all()
            ends.append(net.weights[0])
    # the sum of Adagrad's squares stands still at the largest number, so its steps shrink no more
    tolerance = 0.3 if optimizer.name == "adagrad" else 1e-3
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=tolerance)
    assert tiny < abs(ends[0]).min()


@kernels
def test_rprop_follows_signs_however_small_the_gradient(isa, dtype):
    with instruction_set(isa):
        for size in (1.0, float(np.finfo(dtype).tiny) ** 0.7):
            net = linear(dtype, 3)
            net.fit(np.full((1, 3), size), [9.0], epochs=4, optimizer=fm.Rprop(0.01))
            expected = 0.01 * (1 + 1.2 + 1.2**2 + 1.2**3)
            np.testing.assert_allclose(net.weights[0], expected, rtol=8 * EPS[dtype])


@kernels
def test_a_step_that_overflows_is_a_divergence_and_leaves_the_last_finite_weights(isa, dtype):
    top = float(np.finfo(dtype).max)
    with instruction_set(isa):
        for optimizer in (
            fm.SGD(8.0),
            fm.SGD(0.5, momentum=0.99),
            fm.SGD(0.5, 0.99, nesterov=True),
        ):
            net = linear(dtype)
            with pytest.raises(fm.DivergenceError):
                net.fit([[top / 4, 1e-3]], [1e9], epochs=50, optimizer=optimizer)
            assert np.isfinite(net.weights[0]).all() and np.isfinite(net.biases[0]).all()
