"""Activations, softmax and losses over their whole range, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    error,
    goes_with,
    instruction_set,
    problem,
    reference_of,
)

import fastmlp as fm
from fastmlp import _core, losses
from fastmlp.reference.activations import ACTIVATIONS, log_softmax, softmax

# Columns around the vectors (2 to 16), the column blocks (8, 16), the panels (8 to 32) and four of
# those side by side; rows around the register tiles (6, 14), the chunks of a pass (168) and of a
# gradient (1024).

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 131, 161, 257]
ROWS = [1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 27, 28, 29, 43, 84, 127, 167, 168, 169, 337, 1025]
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}
LARGE = [([1030, 130, 9], 230), ([20, 120, 1030], 140)]
TOLERANCE = {"float32": 2e-5, "float64": 3e-14}


kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)


def wide_range(dtype: str) -> np.ndarray:
    """z (n, 64): dense around 0, all magnitudes up to the largest, edges of exp, ±0, subnormals."""
    about = np.finfo(dtype)
    powers = 10.0 ** np.arange(np.log10(about.tiny) - 2, np.log10(about.max), 0.3)
    edges = [
        0.0,
        -0.0,
        about.max,
        about.min,
        8.66,
        10,
        16.63,
        20,
        22,
        36.7,
        87.3,
        88.7,
        103.97,
        709.7,
        745.1,
    ]
    parts = [
        np.linspace(-40, 40, 3001),
        np.linspace(-1, 1, 500),
        powers,
        -powers,
        edges,
        np.negative(edges),
    ]
    z = np.concatenate(parts).astype(dtype)
    return np.resize(z, (-(-len(z) // 64), 64))


def of_single_layer(output: object, loss: object, dtype: str, units: int = 64) -> fm.Network:
    """A network whose z is x itself."""
    net = fm.Network([units, units], output=output, loss=loss, dtype=dtype)
    net.weights = [np.eye(units)]
    return net


ALPHAS = [fm.activations.LeakyReLU(alpha=0.3), fm.activations.ELU(alpha=1.7)]


@kernels
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *ALPHAS], ids=str)
def test_activations_over_their_whole_range(activation, isa, dtype):
    z, about = wide_range(dtype), np.finfo(dtype)
    with instruction_set(isa):
        net = of_single_layer(activation, "mae", dtype)
    ((z_back, a),) = net.layers(z)
    x = np.where(np.abs(z) < about.tiny, 0, z).astype(np.float64)  # subnormal numbers count as 0
    np.testing.assert_array_equal(z_back, x)
    function, derivative, _ = ACTIVATIONS[net.output.name]
    parameters = {"alpha": net.output.alpha} if hasattr(net.output, "alpha") else {}
    # Under the absolute error with targets far below, dC_i/dz is f'(z) / 64.
    slopes = 64 * net._model.core.input_gradient(_core.Data(z, np.full(z.shape, about.min)))
    with np.errstate(all="ignore"):
        expected, expected_slopes = function(x, **parameters), derivative(x, **parameters)
        # One unit of error in x is |x| units in e^x, x^2 in the tail of the normal distribution;
        # what is not a normal number may be 0.
        size = np.minimum(np.abs(x), 1e3)
        relative = (3 + np.minimum(size**2 if net.output.name == "gelu" else size, 1500)) * EPS[
            dtype
        ]
        fine = np.abs(a - expected) <= relative * np.abs(expected) + (1 + size) * about.tiny
    fine |= (np.abs(expected) > about.max) & np.isinf(a) & (np.sign(a) == np.sign(expected))
    assert fine.all(), (z[~fine][:5], a[~fine][:5], expected[~fine][:5])

    fine = (np.abs(slopes - expected_slopes) <= 24 * EPS[dtype]) | (np.abs(x) > about.max / 8)
    assert fine.all(), (z[~fine][:5], slopes[~fine][:5], expected_slopes[~fine][:5])


@kernels
def test_minus_zero_is_zero_to_every_activation(isa, dtype):
    with instruction_set(isa):
        for name, (function, _, parameters) in ACTIVATIONS.items():
            net = fm.Network([1, 1], output=name, loss="mse", dtype=dtype)
            net.weights, net.biases = [[[1.0]]], [[-0.0]]
            ((z, a),) = net.layers([[-0.0]])
            assert np.signbit(z).all()
            assert a[0, 0] == pytest.approx(
                function(np.zeros(1), **parameters)[0], rel=4 * EPS[dtype]
            )


@kernels
def test_softmax_of_any_logits(isa, dtype):
    random, about = np.random.default_rng(3), np.finfo(dtype)
    with instruction_set(isa):
        for k in (2, 7, 8, 9, 15, 16, 17, 33, 100):
            net = of_single_layer("softmax", "cross_entropy", dtype, k)
            z = random.normal(size=(29, k)) * 10.0 ** random.integers(-3, 4, (29, 1))
            z[:4] = np.array(
                [[0], [about.max / 4], [about.min / 4], [-1]]
            )  # equal logits, however large
            z[4], z[4, k // 2] = about.min / 8, about.max / 8
            z = z.astype(dtype)
            a, x = net.predict(z), z.astype(np.float64)
            assert error(a, softmax(x)) < 100 * EPS[dtype]
            np.testing.assert_allclose(a.sum(axis=1), 1, rtol=8 * EPS[dtype])
            np.testing.assert_array_equal(a[:4], a[:1].repeat(4, axis=0))

            labels = random.integers(0, k, 25)
            loss = net.evaluate(z[:4].repeat(7, axis=0)[:25], labels)["loss"]
            assert loss == pytest.approx(np.log(k), rel=8 * EPS[dtype], abs=8 * EPS[dtype])
            far = z[4:]
            theirs = -log_softmax(x[4:])[np.arange(25), labels].mean()
            assert net.evaluate(far, labels)["loss"] == pytest.approx(
                theirs, rel=100 * EPS[dtype], abs=1e-30
            )


@kernels
def test_cross_entropy_sees_the_differences_of_logits_alone(isa, dtype):
    """Adding a number to all logits of a row changes nothing, nor the digits of the loss."""
    random = np.random.default_rng(5)
    labels, dense = random.integers(0, 10, 64), random.dirichlet(np.ones(10), 64)
    with instruction_set(isa):
        for smoothing in (0.0, 0.1):
            net = of_single_layer("softmax", fm.losses.CrossEntropy(smoothing), dtype, 10)
            for offset in (0, 2**7, -(2**10), 2**14):
                z = random.integers(-64, 64, (64, 10)) / 32 + offset  # exact in single precision
                for y in (labels, dense):
                    theirs = reference_of(net).loss(z, y)
                    assert net.evaluate(z, y)["loss"] == pytest.approx(
                        theirs, rel=20 * EPS[dtype]
                    ), (
                        offset,
                        smoothing,
                    )


@kernels
def test_losses_and_output_errors(isa, dtype):
    """C_i and dC_i/dz of every loss behind every output, on values of all sizes and the kinks."""
    random = np.random.default_rng(4)
    options = [option() for option in losses.LOSSES.values()]
    options += [fm.losses.Huber(0.3), fm.losses.Quantile(0.9), fm.losses.CrossEntropy(0.1)]
    with instruction_set(isa):
        for loss in options:
            for output in (*ACTIVATIONS, "softmax"):
                if not goes_with(loss.name, output):
                    continue
                for k in (2 if output == "softmax" else 1, 5, 17):
                    net = of_single_layer(output, loss, dtype, k)
                    z = 2 * random.normal(size=(45, k))
                    _, y = problem([k, k], output, loss.name, 45, seed=1)
                    z[0], y[0] = (
                        0,
                        np.full(k, 1 / k) if output == "softmax" else 0,
                    )  # a = y behind many outputs
                    z = z.astype(dtype)
                    y = y.astype(dtype).astype(float)
                    twin = reference_of(net)
                    case = (loss, output, k)
                    assert (
                        error(net.input_gradients(z, y), twin.input_gradients(z, y))
                        < 30 * EPS[dtype]
                    ), case
                    for row in range(0, 45, 9):
                        ours = net.evaluate(z[row : row + 1], y[row : row + 1])["loss"]
                        theirs = twin.loss(z[row : row + 1], y[row : row + 1])
                        assert ours == pytest.approx(
                            theirs, rel=50 * EPS[dtype], abs=50 * EPS[dtype]
                        ), case


@kernels
def test_cross_entropy_never_meets_ln_0(isa, dtype):
    with instruction_set(isa):
        for k, output in ((1, "sigmoid"), (3, "sigmoid"), (3, "softmax")):
            net = of_single_layer(output, "cross_entropy", dtype, k)
            z = np.zeros((2, k))
            z[:, 0] = [3e4, -3e4]
            y = np.zeros((2, k))
            y[:, -1] = 1 if output == "softmax" else 0
            y[1] = np.eye(k)[0]
            twin = reference_of(net)
            assert net.evaluate(z, y)["loss"] == pytest.approx(twin.loss(z, y), rel=1e-6)
            assert twin.loss(z, y) > 2.9e4
            assert error(net.input_gradients(z, y), twin.input_gradients(z, y)) < 1e-6
