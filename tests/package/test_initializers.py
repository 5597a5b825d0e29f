"""Initializers: statistics, orthogonality, choice by activation, streams, bad callables."""

import math

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.initializers import INITIALIZERS, automatic, initial_parameters

SHAPE = (300, 200)  # n_out, n_in
STD = {"lecun": math.sqrt(1 / 200), "glorot": math.sqrt(2 / 500), "he": math.sqrt(2 / 200)}
ACTIVATIONS = fm.activations.ACTIVATIONS


def activations(*names):
    return [ACTIVATIONS[name]() for name in names]


def draw(name, shape=SHAPE, seed=1):
    return INITIALIZERS[name](shape, np.random.Generator(np.random.Philox(seed)))


def test_names():
    scaled = {f"{who}_{how}" for who in STD for how in ("normal", "uniform")}
    assert set(INITIALIZERS) == scaled | {"orthogonal", "zeros"}
    assert all(
        getattr(fm.initializers, name) is function for name, function in INITIALIZERS.items()
    )


@pytest.mark.parametrize("how", ["normal", "uniform"])
@pytest.mark.parametrize("who", STD)
def test_standard_deviation(who, how):
    values = draw(f"{who}_{how}").ravel()
    assert values.std() == pytest.approx(STD[who], rel=0.02)
    assert abs(values.mean()) < 4 * STD[who] / math.sqrt(values.size)
    kurtosis = np.mean(values**4) / np.mean(values**2) ** 2
    assert kurtosis == pytest.approx({"normal": 3.0, "uniform": 1.8}[how], rel=0.03)
    if how == "uniform":
        assert np.abs(values).max() == pytest.approx(math.sqrt(3) * STD[who], rel=1e-3)


@pytest.mark.parametrize("shape", [(7, 7), (40, 9), (9, 40), (1, 5), (5, 1), (1, 1)])
def test_orthogonal(shape):
    weights = draw("orthogonal", shape)
    assert weights.shape == shape
    gram = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-12)


def test_orthogonal_is_uniform_over_signs():
    signs = [draw("orthogonal", (1, 1), seed)[0, 0] for seed in range(200)]
    assert 60 < signs.count(1.0) < 140 and set(signs) == {1.0, -1.0}


@pytest.mark.parametrize("name", [*INITIALIZERS, "auto"])
def test_initial_parameters(name):
    weights, biases = initial_parameters([4, 6, 5, 3], activations("relu", "tanh", "softmax"), name)
    assert [w.shape for w in weights] == [(6, 4), (5, 6), (3, 5)]
    assert [b.shape for b in biases] == [(6,), (5,), (3,)]
    for array in weights + biases:
        assert array.dtype == np.float64 and array.flags.c_contiguous and array.flags.writeable
    assert not np.concatenate(biases).any()
    assert any(w.any() for w in weights) == (name != "zeros")


def test_auto():
    rectifiers = {"relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "mish"}
    symmetric = {"identity", "sigmoid", "tanh"}
    expected = {name: "lecun_normal" for name in ACTIVATIONS}
    expected |= {name: "he_normal" for name in rectifiers} | {
        name: "glorot_uniform" for name in symmetric
    }
    for name, cls in ACTIVATIONS.items():
        assert automatic(cls(), output=False) == expected[name]
        assert automatic(cls(), output=True) == "lecun_normal"
    sizes = [200, 300, 300, 300]
    (first, second, last), _ = initial_parameters(
        sizes, activations("relu", "tanh", "relu"), "auto"
    )
    assert first.std() == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    assert np.abs(second).max() <= math.sqrt(6 / 600)
    assert last.std() == pytest.approx(math.sqrt(1 / 300), rel=0.02)


def test_seed_decides():
    arguments = [3, 4, 2], activations("relu", "softmax")
    (a, _), (b, _), (c, _) = (
        initial_parameters(*arguments, seed=seed) for seed in (5, 5, 2**64 - 1)
    )
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not any(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


def test_layers_have_streams_of_their_own():
    (_, narrow, _), _ = initial_parameters(
        [3, 8, 8, 2], activations("relu", "relu", "identity"), seed=7
    )
    (_, wide, _), _ = initial_parameters(
        [50, 8, 8, 9], activations("tanh", "relu", "identity"), seed=7
    )
    assert np.array_equal(narrow, wide)
    (first, second), _ = initial_parameters(
        [4, 4, 4], activations("relu", "relu"), "he_normal", seed=7
    )
    assert not np.array_equal(first, second)
    (first,), (biases,) = initial_parameters(
        [1, 9],
        activations("identity"),
        lambda shape, g: g.random(shape),
        lambda shape, g: g.random(shape),
    )
    assert not np.array_equal(first.ravel(), biases)


def test_callables_get_shape_and_generator():
    seen = []

    def init(shape, generator):
        seen.append((shape, type(generator)))
        return np.full(shape, len(seen))

    weights, biases = initial_parameters([3, 4, 2], activations("relu", "identity"), init, init)
    assert [shape for shape, _ in seen] == [(4, 3), (4,), (2, 4), (2,)]
    assert {cls for _, cls in seen} == {np.random.Generator}
    assert [w[0, 0] for w in weights] == [1.0, 3.0] and [b[0] for b in biases] == [2.0, 4.0]


def test_biases():
    arguments = [3, 4, 2], activations("relu", "identity"), "auto"
    assert [b.tolist() for b in initial_parameters(*arguments, 0.5)[1]] == [[0.5] * 4, [0.5] * 2]
    given = [np.arange(4), np.array([1.5, 2.5], np.float32)]
    biases = initial_parameters(*arguments, given)[1]
    assert [b.tolist() for b in biases] == [[0, 1, 2, 3], [1.5, 2.5]]
    given[0][0] = 9
    assert biases[0][0] == 0


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("xavier", ValueError, "^init must be 'auto', 'lecun_normal', .*got 'xavier'"),
        (0.1, TypeError, "^init must be 'auto', .* got 0.1"),
        (
            lambda shape, generator: np.zeros(3),
            ValueError,
            r"^init of layer 1 .* \(4, 3\), got \(3,\)",
        ),
        (lambda shape, generator: np.zeros(shape[::-1]), ValueError, r"\(4, 3\), got \(3, 4\)"),
        (
            lambda shape, generator: np.full(shape, np.nan),
            ValueError,
            "^init of layer 1 must be finite",
        ),
        (
            lambda shape, generator: np.full(shape, 1j),
            TypeError,
            "real numbers, got dtype complex128",
        ),
        (lambda shape, generator: None, TypeError, "real numbers, got dtype object"),
    ],
)
def test_bad_init(init, error, message):
    with pytest.raises(error, match=message):
        initial_parameters([3, 4, 2], activations("relu", "identity"), init)


@pytest.mark.parametrize(
    ("bias_init", "error", "message"),
    [
        ("ones", ValueError, "^bias_init must be 'zeros', .* got 'ones'"),
        (None, TypeError, "^bias_init must be 'zeros', .* got None"),
        (True, TypeError, "^bias_init must be 'zeros', .* got True"),
        (math.inf, ValueError, "^bias_init must be in"),
        ([np.zeros(4)], ValueError, "^bias_init must have one array for each of 2 layers .* got 1"),
        ([np.zeros(4), np.zeros(3)], ValueError, r"^bias_init of layer 2 .* \(2,\), got \(3,\)"),
        ([np.zeros(4), np.array([0, np.inf])], ValueError, "^bias_init of layer 2 must be finite"),
        (lambda shape, generator: np.zeros((*shape, 1)), ValueError, r"\(4,\), got \(4, 1\)"),
    ],
)
def test_bad_bias_init(bias_init, error, message):
    with pytest.raises(error, match=message):
        initial_parameters([3, 4, 2], activations("relu", "identity"), "auto", bias_init)
