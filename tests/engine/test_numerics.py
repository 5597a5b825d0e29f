"""Numbers at the edges of their range: what overflows, cancels, is infinite, or is summed over many rows."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, ISAS, instruction_set
from test_random import Seen

import fastmlp as fm
from fastmlp.reference import augment
from fastmlp.reference.random import PURPOSES, philox

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
    """Images are shifted by a hair less than a pixel: the last row and column come from just inside."""
    eps = np.finfo(dtype).eps
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
                    expected = augment.affine(
                        X[1:], shape, 0, 0, shift, 0, 0, seed, 0, [1]
                    )[0]
                    assert abs(seen - expected).max() < 8 * side * eps, (shape, steps)
