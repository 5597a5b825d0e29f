"""The engine's augmentations against the reference's, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, Seen, instruction_set

import fastmlp as fm
from fastmlp.reference import augment

SEED, POSITIONS = 2**40 + 5, np.arange(64)
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}
X = np.random.default_rng(1).normal(size=(64, 7 * 6 * 3))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_the_references(isa, dtype):
    shape, options = (
        (7, 6, 3),
        {"rotate": 25.0, "shear": 12.0, "shift": 1.7, "zoom": 0.3, "fill": 0.25},
    )
    cases = {
        "noise": (fm.augment.Noise(0.7), lambda x, *at: augment.noise(x, 0.7, *at)),
        "mask": (fm.augment.Mask(0.4), lambda x, *at: augment.mask(x, 0.4, *at)),
        "affine": (
            fm.augment.Affine(shape, **options),
            lambda x, *at: augment.affine(x, shape, *options.values(), *at),
        ),
    }
    with instruction_set(isa):
        for name, (option, theirs) in cases.items():
            seen = Seen(X, dtype, seed=SEED, augment=option)
            for epoch in range(3):
                expected = theirs(X, SEED, epoch, POSITIONS)
                assert abs(seen.epoch() - expected).max() < TOLERANCE[dtype], name
        both = Seen(X, dtype, seed=SEED, augment=[fm.augment.Mask(0.4), fm.augment.Noise(0.7)])
        expected = augment.noise(
            augment.mask(X, 0.4, SEED, 0, POSITIONS), 0.7, SEED, 0, POSITIONS, 1
        )
        assert abs(both.epoch() - expected).max() < TOLERANCE[dtype]
