"""The random features: what dropout, noise, masks and affine maps do to rows in training."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, Seen, assert_same_bits, instruction_set

import fastmlp as fm
from fastmlp.reference import dropout_mask
from fastmlp.reference.activations import normal_cdf
from fastmlp.reference.random import draws

N = 256


def assert_uniform(values, low, high):
    """Kolmogorov's test, and that nothing lies outside."""
    values = np.sort((np.asarray(values) - low) / (high - low))
    assert values[0] >= -1e-9 and values[-1] <= 1 + 1e-9
    n = len(values)
    gap = abs(values - (np.arange(n) + 0.5) / n).max() + 0.5 / n
    assert gap < 1.95 / np.sqrt(n)  # once in 1,000 sets of draws it is more


@pytest.mark.parametrize("isa", ISAS)
def test_without_randomness_the_rows_are_seen_as_they_are(isa):
    for columns in (1, 7, 64, 101):
        X = np.random.default_rng(0).normal(size=(64, columns))
        with instruction_set(isa):
            for dtype in DTYPES:
                for arguments in ({}, {"shuffle": True}, {"augment": fm.augment.Noise(0.0)}):
                    np.testing.assert_array_equal(
                        Seen(X, dtype, **arguments).epoch(), X.astype(dtype)
                    )


@pytest.mark.parametrize("isa", ISAS)
def test_dropout_and_masks_are_the_draws_they_are_documented_to_be(isa):
    X = np.random.default_rng(0).normal(size=(64, 83))
    positions = np.arange(64)
    with instruction_set(isa):
        for dtype in DTYPES:
            x = X.astype(dtype)
            for p in (0.0, 0.1, 0.5, 0.97):
                dropped = Seen(x, dtype, seed=2**40 + 5, dropout=p)
                masked = Seen(x, dtype, seed=2**40 + 5, augment=fm.augment.Mask(p))
                for epoch in range(2):
                    factors = dropout_mask(2**40 + 5, epoch, 0, positions, 83, p).astype(dtype)
                    assert_same_bits(
                        dropped.epoch() + 0, x * factors + 0
                    )  # + 0 makes -0 and 0 the same
                    words = draws(2**40 + 5, epoch, 0, positions, 83, "input_mask")
                    assert_same_bits(
                        masked.epoch() + 0, np.where(words < np.uint32(p * 2.0**32), 0, x) + 0
                    )


def test_dropout_keeps_the_expectation():
    X = np.ones((N, 100))
    for p in (0.2, 0.5, 0.8):
        seen = Seen(X, dropout=p)
        x = np.concatenate([seen.epoch() for _ in range(4)])
        deviation = np.sqrt(p / (1 - p) / x.size)
        assert abs(x.mean() - 1) < 4 * deviation
        assert set(np.unique(x)) == {0.0, 1 / (1 - p)}
        rows = x.mean(axis=1)  # no row, and no unit, is favoured
        assert rows.std() == pytest.approx(np.sqrt(p / (1 - p) / 100), rel=0.15)
        assert x.mean(axis=0).std() == pytest.approx(np.sqrt(p / (1 - p) / len(x)), rel=0.3)


def test_dropout_is_for_training_alone():
    X = np.random.default_rng(0).normal(size=(20, 6))
    y = np.arange(20) % 3
    net = fm.Network([6, 30, 3], dropout=(0.5, 0.5), dtype="float64")
    plain = fm.Network([6, 30, 3], dtype="float64")
    assert_same_bits(net.predict(X), plain.predict(X))
    assert net.evaluate(X, y) == plain.evaluate(X, y)
    assert_same_bits(list(net.gradients(X, y)), list(plain.gradients(X, y)))


def test_masking_zeroes_its_share_and_scales_nothing():
    X = np.full((N, 100), 2.0)
    for p in (0.05, 0.3):
        x = Seen(X, augment=fm.augment.Mask(p)).epoch()
        assert set(np.unique(x)) == {0.0, 2.0}
        assert abs((x == 0).mean() - p) < 4 * np.sqrt(p * (1 - p) / x.size)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_normal(dtype, isa):
    columns, sigma = 203, 0.7
    X = np.zeros((N, columns))
    with instruction_set(isa):
        seen = Seen(X, dtype, augment=fm.augment.Noise(sigma))
        first, second = seen.epoch() / sigma, seen.epoch() / sigma
    for x in (first, second):
        n = x.size
        assert abs(x.mean()) < 4 / np.sqrt(n)
        assert abs((x**2).mean() - 1) < 4 * np.sqrt(2 / n)
        assert abs((x**3).mean()) < 4 * np.sqrt(15 / n)
        assert abs((x**4).mean() - 3) < 4 * np.sqrt(96 / n)
        assert 3.8 < abs(x).max() < 6
        # Neither neighbours, rows, nor the two numbers that one pair of draws makes know of each
        # other.
        for shift in (1, 2, 4, 16, 32, 64):
            pair = x[:, shift:], x[:, :-shift]
            for power in (1, 2):
                assert abs(
                    np.corrcoef(*(each.ravel() ** power for each in pair))[0, 1]
                ) < 4.5 / np.sqrt(pair[0].size)
        assert abs(np.corrcoef(x[1:].ravel(), x[:-1].ravel())[0, 1]) < 4.5 / np.sqrt(n)
        assert len(np.unique(x)) > 0.98 * n  # so that no draw is used twice
        assert_uniform(normal_cdf(x.ravel().astype(np.float64)), 0, 1)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4.5 / np.sqrt(first.size)


def test_noise_is_added_and_scales_with_sigma():
    X = np.random.default_rng(0).normal(size=(64, 30))
    alone = Seen(np.zeros_like(X), augment=fm.augment.Noise(1.0)).epoch()
    np.testing.assert_allclose(
        Seen(X, augment=fm.augment.Noise(0.25)).epoch(), X + 0.25 * alone, atol=1e-15
    )


@pytest.mark.parametrize(
    "augmentation",
    [
        fm.augment.Noise(1.0),
        fm.augment.Mask(0.5),
        fm.augment.Affine((5, 8), rotate=30, shear=10, shift=2, zoom=0.3),
    ],
    ids=str,
)
def test_draws_differ_by_row_epoch_and_seed_and_by_nothing_else(augmentation):
    X = np.random.default_rng(0).normal(size=(1, 40)).repeat(64, axis=0)
    seen, other = (Seen(X, augment=augmentation) for _ in range(2))
    epochs = [seen.epoch() for _ in range(3)]
    for x in epochs:
        assert_same_bits(other.epoch(), x)
        assert len(np.unique(x, axis=0)) == 64
    assert len(np.unique(np.concatenate(epochs), axis=0)) == 3 * 64
    assert not np.array_equal(Seen(X, seed=4, augment=augmentation).epoch(), epochs[0])
    assert not np.array_equal(Seen(X, seed=3 + 2**32, augment=augmentation).epoch(), epochs[0])
    # A place in the epoch is what a draw belongs to, wherever the batches are cut.
    for first in (0, 16, 48):
        weight = np.zeros(64)
        weight[first : first + 16] = 1
        part = Seen(X, augment=augmentation, sample_weight=weight)
        part.net.fit(
            X, np.eye(64), epochs=1, batch_size=16, optimizer=fm.SGD(16.0), **part.arguments
        )
        assert_same_bits(part.net.weights[0][first : first + 16], epochs[0][first : first + 16])


def test_augmentations_come_in_the_order_given():
    X = np.ones((64, 50))
    noise, mask = fm.augment.Noise(0.1), fm.augment.Mask(0.5)
    masked_last = Seen(X, augment=[noise, mask]).epoch()
    assert (masked_last == 0).mean() == pytest.approx(0.5, abs=0.05)
    noise_last = Seen(X, augment=[mask, noise]).epoch()
    assert (noise_last == 0).mean() < 0.01
    assert (abs(noise_last) < 0.5).mean() == pytest.approx(0.5, abs=0.05)


# --- affine maps of images
# ---------------------------------------------------------------------------------
#
# Bilinear sampling of a linear function is exact: channels that hold each pixel's own coordinates
# tell where a pixel came from, and a channel of ones that nothing from outside of the image is
# mixed into it.

HEIGHT, WIDTH = 12, 17
CENTRE = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])


def maps_of(affine_options, n=N, dtype="float64", **arguments):
    """M (n, 2, 2) and shifts (n, 2) with p_old − centre = M (p_new − centre) + shift, the images
    seen (n, height, width, 4) and their third channel as it was before.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    picture = np.random.default_rng(0).random((HEIGHT, WIDTH))
    image = np.stack([y, x, picture, np.ones_like(y)], axis=-1)
    X = np.broadcast_to(image.ravel(), (n, image.size))
    augmentation = fm.augment.Affine((HEIGHT, WIDTH, 4), fill=-50.0, **affine_options)
    seen = Seen(X, dtype, augment=augmentation, **arguments).epoch().reshape(n, HEIGHT, WIDTH, 4)
    matrices, shifts = [], []
    new = np.stack([y - CENTRE[0], x - CENTRE[1], np.ones_like(y)], axis=-1)
    for each in seen:
        inside = each[..., 3] == 1
        assert inside.sum() > 20
        solution = np.linalg.lstsq(new[inside], each[inside][:, :2] - CENTRE, rcond=None)[0]
        residual = new[inside] @ solution - (each[inside][:, :2] - CENTRE)
        assert abs(residual).max() < (1e-11 if dtype == "float64" else 1e-4)
        matrices.append(solution[:2].T)
        shifts.append(solution[2])
    return np.array(matrices), np.array(shifts), seen, picture


def test_affine_without_parameters_is_the_identity():
    X = np.random.default_rng(0).normal(size=(64, 30))
    for dtype in DTYPES:
        for shape in ((5, 6), (1, 30), (30, 1), (5, 2, 3), (1, 1, 30)):
            assert_same_bits(
                Seen(X, dtype, augment=fm.augment.Affine(shape)).epoch(), X.astype(dtype)
            )


def test_shifts_are_uniform_and_independent():
    matrices, shifts, *_ = maps_of({"shift": 2.5})
    np.testing.assert_allclose(matrices, np.broadcast_to(np.eye(2), matrices.shape), atol=1e-12)
    for axis in range(2):
        assert_uniform(shifts[:, axis], -2.5, 2.5)
    assert abs(np.corrcoef(*shifts.T)[0, 1]) < 4 / np.sqrt(N)


def test_rotations_are_uniform():
    matrices, shifts, *_ = maps_of({"rotate": 40.0})
    np.testing.assert_allclose(shifts, 0, atol=1e-12)
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1),
        np.broadcast_to(np.eye(2), matrices.shape),
        atol=1e-12,
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    assert_uniform(np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -40, 40)


def test_shears_are_uniform():
    matrices, shifts, *_ = maps_of({"shear": 25.0})
    np.testing.assert_allclose(shifts, 0, atol=1e-12)
    np.testing.assert_allclose(matrices[:, 0], np.broadcast_to([1, 0], (N, 2)), atol=1e-12)
    np.testing.assert_allclose(matrices[:, 1, 1], 1)
    assert_uniform(np.rad2deg(np.arctan(matrices[:, 1, 0])), -25, 25)


def test_zooms_are_as_often_larger_as_smaller():
    matrices, shifts, *_ = maps_of({"zoom": 0.5})
    np.testing.assert_allclose(shifts, 0, atol=1e-12)
    np.testing.assert_allclose(matrices, matrices[:, :1, :1] * np.eye(2), atol=1e-12)
    assert_uniform(np.log(matrices[:, 0, 0]), -np.log(1.5), np.log(1.5))


def test_all_of_them_at_once_are_independent():
    matrices, shifts, *_ = maps_of({"rotate": 20.0, "shear": 15.0, "shift": 1.0, "zoom": 0.3})
    size = np.sqrt(np.linalg.det(matrices))
    turned = np.arctan2(
        -matrices[:, 0, 1], matrices[:, 0, 0]
    )  # a shear along x leaves the first row as it is
    c, s = np.cos(turned), np.sin(turned)
    inverse = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], 1)
    shear = matrices @ inverse / size[:, None, None]
    np.testing.assert_allclose(
        shear[:, [0, 0, 1], [0, 1, 1]], np.broadcast_to([1, 0, 1], (N, 3)), atol=1e-11
    )
    slant = np.arctan(shear[:, 1, 0])
    assert_uniform(np.log(size), -np.log(1.3), np.log(1.3))
    assert_uniform(np.rad2deg(turned), -20, 20)
    assert_uniform(np.rad2deg(slant), -15, 15)
    drawn = np.stack([np.log(size), turned, slant, *shifts.T])
    correlations = np.corrcoef(drawn) - np.eye(5)
    assert abs(correlations).max() < 4.5 / np.sqrt(N)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_images_are_scipys(dtype, isa):
    """Edges and fill too: SciPy samples the picture by the maps that the coordinates have told."""
    transform = pytest.importorskip("scipy.ndimage").affine_transform
    with instruction_set(isa):
        matrices, shifts, seen, picture = maps_of(
            {"rotate": 60.0, "shear": 20.0, "shift": 3.0, "zoom": 0.4}, n=64, dtype=dtype
        )
    for M, shift, image in zip(matrices, shifts, seen, strict=True):
        offset = CENTRE + shift - M @ CENTRE
        expected = transform(picture, M, offset, order=1, mode="grid-constant", cval=-50.0)
        np.testing.assert_allclose(
            image[..., 2], expected, atol=1e-9 if dtype == "float64" else 2e-2
        )
