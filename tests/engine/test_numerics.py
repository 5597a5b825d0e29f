"""Numbers at the edges of their range: overflow, cancellation, infinity, sums over many rows."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, Seen, assert_same_bits, instruction_set, reference_of

import fastmlp as fm
from fastmlp.reference import augment
from fastmlp.reference.activations import ACTIVATIONS, sigmoid, softmax
from fastmlp.reference.losses import row_losses
from fastmlp.reference.optimizers import clipped, within_norm
from fastmlp.reference.random import PURPOSES, philox

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}

kernels = pytest.mark.parametrize(
    ("isa", "dtype"), [(isa, dtype) for isa in ISAS for dtype in DTYPES]
)


# --- affine maps at the edges of an image


def affine_units(seed: int) -> tuple[float, float]:
    """What the second row's shifts (down, right) of the first epoch are, per pixel of `shift`."""
    words = philox(0, 1, 256 * PURPOSES["affine"], 0, seed) * 2.0**-32
    return 2 * words[2] - 1, 2 * words[3] - 1


@kernels
def test_affine_maps_see_nothing_behind_the_image(isa, dtype):
    """A shift of a hair less than a pixel: the last row and column come from just inside."""
    eps = EPS[dtype]
    with instruction_set(isa):
        for side in (1, 2, 3, 4, 16, 31, 32, 33, 64, 128):
            for axis in (0, 1):
                seed = next(  # along this axis the shift is the larger one, and positive
                    seed
                    for seed in range(100)
                    if affine_units(seed)[axis] > abs(affine_units(seed)[1 - axis])
                )
                shape = (side, 2) if axis == 0 else (2, side)
                for steps in (-2, -1, -0.5, 0.5, 1, 2, 3):  # units in the last place of the side
                    shift = (1 - steps * side * eps / 2) / affine_units(seed)[axis]
                    X = np.full((2, 2 * side), 1e9)  # the first image comes to lie behind the other
                    X[1] = 1
                    option = fm.augment.Affine(shape, shift=shift, fill=0.0)
                    seen = Seen(X, dtype, seed=seed, augment=option).epoch()[1]
                    expected = augment.affine(X[1:], shape, 0, 0, shift, 0, 0, seed, 0, [1])[0]
                    assert abs(seen - expected).max() < 8 * side * eps, (shape, steps)


# --- norms and moments whose squares leave the range


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


# --- activations to their last digits

PI = np.longdouble("3.14159265358979323846264338327950288")
SELU_SCALE = np.longdouble("1.05070098735548049341933498529465")
SELU_ALPHA = np.longdouble("1.67326324235437728481704299167171")


def bell(x: np.ndarray) -> np.ndarray:
    """φ(x), with x² in two parts: one unit of error in it would be x²/2 units of the result."""
    high = x.astype(np.float32).astype(np.longdouble)
    return np.exp(-high * high / 2) * np.exp(-(x - high) * (x + high) / 2) / np.sqrt(2 * PI)


def tail_over_bell(x: np.ndarray) -> np.ndarray:
    """(1 − Φ(x))/φ(x) for x ≥ 0: Laplace's continued fraction, or near 0 the series of Φ − ½."""
    far, near = np.maximum(x, 2), np.minimum(x, 2)
    fraction = np.zeros_like(x)
    for k in range(300, 0, -1):
        fraction = k / (far + fraction)
    term = series = near
    for k in range(1, 60):
        term = term * near * near / (2 * k + 1)
        series = series + term
    return np.where(x > 2, 1 / (far + fraction), 0.5 / bell(near) - series)


def exact_activation(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(z) and f'(z) in extended precision, by forms that do not cancel."""
    x, low = np.abs(z), z < 0
    e = np.exp(-x)
    if name == "gelu":
        ratio, density = tail_over_bell(x), bell(x)
        below, slope = x * ratio * density, (ratio - x) * density
        return np.where(low, -below, z - below), np.where(low, slope, 1 - slope)
    if name in ("elu", "selu"):
        scale, alpha = (SELU_SCALE, SELU_ALPHA) if name == "selu" else (1, np.longdouble(1))
        tail = alpha * np.expm1(np.where(low, z, 0))
        return scale * np.where(low, tail, z), scale * np.where(z > 0, 1, alpha * e)
    sigma, other = np.where(low, e, 1) / (1 + e), np.where(low, 1, e) / (1 + e)
    if name == "sigmoid":
        return sigma, sigma * other
    if name == "softplus":
        return np.maximum(z, 0) + np.log1p(e), sigma
    if name == "tanh":
        return np.tanh(z), 4 * e**2 / (1 + e**2) ** 2
    if name == "silu":
        return z * sigma, sigma * (1 + z * other)
    n = np.where(low, e * (e + 2), 1 + 2 * e)  # mish
    d = np.where(low, n + 2, n + 2 * e**2)
    return z * n / d, n / d + z * 4 * (1 + e) / d**2 * np.where(low, e, e**2)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="no extended precision to compare with"
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "elu", "selu", "gelu", "silu", "softplus", "mish"]
)
def test_activations_and_slopes_are_right_to_four_units_in_the_last_place(name, dtype):
    """Wherever they are normal numbers; a slope near its root, to as many units of a quarter."""
    about = np.finfo(dtype)
    end = 100 if dtype == "float32" else 760
    powers = 10.0 ** np.linspace(np.log10(float(about.tiny)) + 0.1, np.log10(end), 1500)
    parts = [np.linspace(-end, end, 10001), np.linspace(-8, 8, 10001), powers, -powers]
    z = np.concatenate(parts).astype(dtype)
    pairs = list(zip(exact_activation(name, z.astype(np.longdouble)), (0, 0.25), strict=True))
    for isa in ISAS:
        with instruction_set(isa):
            net = of_one_layer(1, dtype, output=name, loss="mae")
        ((_, a),) = net.layers(z[:, None])
        # of |a − y| with y far below, the derivative by z is f'(z)
        slopes = net._net.input_gradient(z[:, None], np.full((len(z), 1), about.min), False)
        for ours, (exact, least) in zip((a, slopes), pairs, strict=True):
            size = np.abs(exact)
            root = least * (((z > -2.5) & (z < -0.3)) if name in ("gelu", "silu", "mish") else 0)
            unit = np.spacing(np.maximum(size, root).astype(dtype)).astype(np.longdouble)
            wrong = (np.abs(ours[:, 0] - exact) > 4 * unit) & (size > about.tiny)
            assert not wrong.any(), (isa, z[wrong][:5], ours[wrong][:5], exact[wrong][:5])


@kernels
def test_limits_of_activations(isa, dtype):
    """At ±infinity, which an overflowing layer reaches, beside ordinary numbers; NaN stays NaN."""
    zero, one, infinity = 0.0, 1.0, np.inf
    limits = {  # f(−∞), f(∞), f'(−∞), f'(∞)
        "identity": (-infinity, infinity, one, one),
        "step": (zero, one, zero, zero),
        "sigmoid": (zero, one, zero, zero),
        "tanh": (-one, one, zero, zero),
        "relu": (zero, infinity, zero, one),
        "leaky_relu": (-infinity, infinity, 0.01, one),
        "elu": (-one, infinity, zero, one),
        "selu": (float(-SELU_SCALE * SELU_ALPHA), infinity, zero, float(SELU_SCALE)),
        "gelu": (-zero, infinity, zero, one),
        "silu": (-zero, infinity, zero, one),
        "softplus": (zero, infinity, zero, one),
        "mish": (-zero, infinity, zero, one),
    }
    top, k = float(np.finfo(dtype).max), 37
    with instruction_set(isa):
        for name, values in limits.items():
            net = fm.Network([k, k], output=name, loss=LOSS_FOR.get(name, "mae"), dtype=dtype)
            net.weights = [np.eye(k) * top]
            X = np.zeros((3, k))
            X[0, ::2], X[1, 1::3], X[2, 5] = -10, 10, -0.4
            ((z, a),) = net.layers(X)
            assert np.isinf(z[0, 0]) and np.isinf(z[1, 1])
            expected = a[2, 0], values[0], values[1]
            where = [z == 0, z == -np.inf, z == np.inf]
            for mask, value in zip(where, expected, strict=True):
                np.testing.assert_allclose(a[mask], value, rtol=4 * EPS[dtype])
                if value == 0:
                    assert (np.signbit(a[mask]) == np.signbit(value)).all(), name
            np.testing.assert_array_equal(a, net.predict(X))
            if name in ("step", "sigmoid"):
                continue  # whose losses do not ask for the slope, or do not take any target
            for row, value in ((0, values[2]), (1, values[3])):
                y = np.where(np.isinf(a[row]), 0, a[row] - 1)[None]  # a above or below it
                delta = np.sign(a[row] - y) * (net.input_gradients(X[row][None], y) / top) * k
                slopes = delta[0, np.isinf(z[row])]
                np.testing.assert_allclose(slopes, value, rtol=8 * EPS[dtype], atol=1e-37)
            nan = of_infinities(name, dtype)
            assert np.isnan(nan.predict([[10.0, 10.0]])).all(), name


LOSS_FOR = {"step": "perceptron"}


def of_infinities(name: str, dtype: str) -> fm.Network:
    """A layer whose z is +infinity − infinity = NaN for inputs of 10."""
    net = fm.Network(
        [2, 2, 1], hidden="identity", output=name, loss=LOSS_FOR.get(name, "mae"), dtype=dtype
    )
    net.weights = [np.eye(2) * float(np.finfo(dtype).max), [[1.0, -1.0]]]
    return net


# --- cross-entropies and softmax


def of_one_layer(units: int, dtype: str, **options: object) -> fm.Network:
    """A network whose z is x itself."""
    net = fm.Network([units, units], dtype=dtype, **options)
    net.weights = [np.eye(units)]
    return net


@kernels
def test_sigmoid_cross_entropy_keeps_its_digits(isa, dtype):
    """Of certain and of soft labels, however small the loss is."""
    eps = EPS[dtype]
    with instruction_set(isa):
        for smoothing in (0.0, 0.125):
            loss = fm.losses.CrossEntropy(smoothing)
            net = of_one_layer(1, dtype, output="sigmoid", loss=loss)
            for y in (0.0, 2**-20, 0.25, 0.5, 0.875, 1 - 2**-20, 1.0):  # exact in single precision
                t = np.longdouble((1 - smoothing) * y + smoothing / 2)
                for z in (-87.0, -30.5, -15, -10, -1, -1e-3, 0, 1e-3, 0.5, 10, 15, 30.5, 87):
                    z = np.longdouble(np.array(z, dtype))
                    exact = t * np.log1p(np.exp(-z)) + (1 - t) * np.log1p(np.exp(z))
                    ours = net.evaluate([[float(z)]], [[y]])["loss"]
                    assert abs(ours - exact) <= 4 * eps * exact, (z, y)


@kernels
def test_softmax_cross_entropy_of_logits_that_span_more_than_the_range(isa, dtype):
    top = float(np.finfo(dtype).max)
    with instruction_set(isa):
        for k in (2, 5, 16, 17, 40):
            net = of_one_layer(k, dtype, output="softmax", loss="cross_entropy")
            X = np.full((70, k), -top)
            X[:, 1] = top
            X[1::2, -1] = top
            expected = np.where(X == top, 1.0, 0.0)
            expected /= expected.sum(axis=1, keepdims=True)
            np.testing.assert_array_equal(net.predict(X), expected)
            loss = net.evaluate(X, np.ones(70, int))["loss"]
            assert loss == pytest.approx(0 if k == 2 else np.log(2) / 2, rel=4 * EPS[dtype])
            with np.errstate(over="ignore"):
                assert net.evaluate(X, np.zeros(70, int))["loss"] == np.inf  # beyond the largest
            _, ((dW, db),) = net.gradients(X / top, np.ones(70, int))
            assert np.isfinite(dW).all() and np.isfinite(db).all()


def overflowing(k: int, dtype: str) -> fm.Network:
    """A linear layer of k units whose z overflow to infinity for inputs of 10 or 1, by the rows."""
    net = fm.Network([k, k], output="softmax", loss="cross_entropy", dtype=dtype)
    net.weights = [np.eye(k) * float(np.finfo(dtype).max)]
    return net


@kernels
def test_softmax_of_infinite_logits(isa, dtype):
    """One of +infinity takes all; where several are, or all are -infinity, the outputs are NaN."""
    with instruction_set(isa):
        net = fm.Network([1, 2], output="softmax", dtype=dtype)
        net.weights = [[[1.0], [0.9 * float(np.finfo(dtype).max)]]]
        np.testing.assert_array_equal(net.predict([[10.0]]), [[0, 1]])
        assert net.classify([[10.0]]) == [1]
        for k in (2, 3, 8, 15, 16, 17, 33):
            net = overflowing(k, dtype)
            for rows in (1, 5, 16, 70):
                random = np.random.default_rng([k, rows])
                X = random.choice([0, 0, 0, 10, -10], (rows, k)).astype(float)
                X[0], X[-1] = -10, 0
                X[-1, k // 2] = 10
                over, under = (X == 10).sum(axis=1), (X == -10).sum(axis=1)
                expected = np.where(over[:, None] == 1, X == 10, np.nan)
                plain = (over == 0) & (under < k)
                expected[plain] = (X == 0)[plain] / (X == 0)[plain].sum(axis=1, keepdims=True)
                np.testing.assert_allclose(net.predict(X), expected, rtol=4 * EPS[dtype])
                ((_, outputs),) = net.layers(X)
                np.testing.assert_allclose(outputs, expected, rtol=4 * EPS[dtype])
                if dtype == "float64":  # the precision of the reference, whose z overflow alike
                    with np.errstate(all="ignore"):
                        theirs = reference_of(net).layers(X)[-1][1]
                    np.testing.assert_allclose(theirs, expected)
                # the same rows on their way to a loss: its label has taken all
                sure = over == 1
                labels = X[sure].argmax(axis=1)
                assert net.evaluate(X[sure], labels)["loss"] == 0
                wrong = net.evaluate(X[sure], (labels + 1) % k)["loss"]
                assert wrong == np.inf
                _, ((dW, db),) = net.gradients(X[sure], labels)
                assert not dW.any() and not db.any()


@kernels
def test_sigmoid_of_infinity_is_exact_and_its_loss_is_0_or_infinite(isa, dtype):
    with instruction_set(isa):
        for loss in ("cross_entropy", "mse"):
            net = of_one_layer(3, dtype, output="sigmoid", loss=loss)
            net.weights = [np.eye(3) * float(np.finfo(dtype).max)]
            X = [[10.0, -10.0, 0.0]]
            np.testing.assert_array_equal(net.predict(X), [[1, 0, 0.5]])
            right = net.evaluate(X, [[1, 0, 0.5]])["loss"]
            assert right == pytest.approx(np.log(2) if loss == "cross_entropy" else 0, rel=1e-6)
            wrong = net.evaluate(X, [[0, 0, 0.5]])["loss"]
            assert wrong == (np.inf if loss == "cross_entropy" else pytest.approx(1 / 3))


def test_the_references_activations_have_the_same_limits():
    z = np.array([-np.inf, np.inf])
    for name, slopes in (("gelu", [0, 1]), ("silu", [0, 1]), ("mish", [0, 1]), ("tanh", [0, 0])):
        function, derivative, _ = ACTIVATIONS[name]
        values = function(z)
        np.testing.assert_array_equal(values, [-1, 1] if name == "tanh" else [0, np.inf])
        assert np.signbit(values[0])
        np.testing.assert_array_equal(derivative(z), slopes)


def test_the_references_losses_are_those_of_the_engine_where_logits_are_infinite():
    z = np.array([[np.inf, 0.0, -np.inf], [np.inf, np.inf, 0], [1, 2, -np.inf]])
    a = softmax(z)
    np.testing.assert_array_equal(a[0], [1, 0, 0])
    assert np.isnan(a[1]).all()
    assert a[2, 2] == 0 and a[2].sum() == pytest.approx(1)
    parameters = {"label_smoothing": 0.0}
    for row, y, expected in ((0, 0, 0.0), (0, 1, np.inf), (1, 0, np.nan)):
        loss = row_losses(
            "cross_entropy", parameters, "softmax", z[[row]], a[[row]], np.eye(3)[[y]]
        )
        np.testing.assert_array_equal(loss, [expected])
    z = np.array([[np.inf, -np.inf]])
    for y, expected in (([[1.0, 0.0]], 0), ([[0.0, 0.0]], np.inf)):
        loss = row_losses("cross_entropy", parameters, "sigmoid", z, sigmoid(z), np.array(y))
        np.testing.assert_array_equal(loss, [expected])


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
