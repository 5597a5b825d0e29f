"""Random changes of the inputs, drawn anew each epoch: noise, masking and affine maps of images.

The draws are those of the engine: a row at position q of the epoch's order e has for augmentation i
of a training the counters (c, q, i + 256 purpose, e), so the same rows come out to rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .inputs import Array
from .random import PURPOSES, philox


def _words(
    counters: int, purpose: str, seed: int, epoch: int, positions: npt.ArrayLike, index: int
) -> npt.NDArray[np.uint32]:
    """Words (rows, counters, 4) of counters 0 … counters − 1 for every row."""
    stream = index + 256 * PURPOSES[purpose]
    return philox(np.arange(counters), np.asarray(positions)[:, None], stream, epoch, seed)


def noise(
    X: Array, sigma: float, seed: int, epoch: int, positions: npt.ArrayLike, index: int = 0
) -> Array:
    """x + σ N(0, 1), by Box and Muller's method (1958).

    Parameters
    ----------
    X : ndarray (n, columns)
    sigma : float
    seed, epoch : int
    positions : array_like (n,) of int
        Places of the rows in the epoch's order.
    index : int, default 0
        Which augmentation of the training this is.

    Returns
    -------
    ndarray (n, columns)
    """
    n, columns = X.shape
    groups = -(-columns // 64)  # 16 counters give 32 pairs of words and so 64 normal numbers
    words = _words(16 * groups, "noise", seed, epoch, positions, index).reshape(n, groups, 16, 4)
    pairs = words.transpose(0, 1, 3, 2).reshape(n, groups, 2, 32)  # words 0 and 1 | words 2 and 3
    u, v = pairs[:, :, 0], pairs[:, :, 1]
    radius = np.sqrt(-2 * np.log(((u >> 8) + 1) * 2.0**-24))  # √(−2 ln u), u in (0, 1]
    # Within an octant either way; three bits of v say in which.
    angle = ((v >> 8) * 2.0**-24 - 0.5) * np.pi / 2
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    swap, flip_x, flip_y = (v & 1 > 0), (v & 2 > 0), (v & 4 > 0)
    x, y = np.where(swap, y, x), np.where(swap, x, y)
    normal = np.concatenate([np.where(flip_x, -x, x), np.where(flip_y, -y, y)], axis=2)
    return np.asarray(X + sigma * normal.reshape(n, -1)[:, :columns])


def mask(
    X: Array, probability: float, seed: int, epoch: int, positions: npt.ArrayLike, index: int = 0
) -> Array:
    """Zero with the given probability, x otherwise; the arguments are those of `noise`."""
    n, columns = X.shape
    words = _words(-(-columns // 4), "input_mask", seed, epoch, positions, index).reshape(n, -1)[
        :, :columns
    ]
    return np.where(words < np.uint32(probability * 2.0**32), 0.0, X)


def affine(
    X: Array,
    shape: tuple[int, ...],
    rotate: float,
    shear: float,
    shift: float,
    zoom: float,
    fill: float,
    seed: int,
    epoch: int,
    positions: npt.ArrayLike,
    index: int = 0,
) -> Array:
    """Images turned by φ, sheared by ψ, zoomed by s and shifted by (d, r), sampled bilinearly.

    p_old = M (p_new − m) + m + (d, r) on points (row, column), with m the middle and
    M = (1/s) [[1, 0], [tan ψ, 1]] [[cos φ, −sin φ], [sin φ, cos φ]];
    φ and ψ uniform within ±rotate and ±shear degrees, d and r within ±shift pixels, s even in
    its logarithm within [1/(1 + zoom), 1 + zoom]. What lies outside of the image is `fill`. The
    other arguments are those of `noise`; a row of X is an image (height, width[, planes]).
    """
    height, width, *rest = shape
    planes = rest[0] if rest else 1
    words = _words(2, "affine", seed, epoch, positions, index) * 2.0**-32
    unit = 2 * words - 1
    turn, slant = np.deg2rad(rotate) * unit[:, 0, 0], np.tan(np.deg2rad(shear) * unit[:, 0, 1])
    down, right = shift * unit[:, 0, 2], shift * unit[:, 0, 3]
    scale = (1 + zoom) ** unit[:, 1, 0]
    # A frame of fill around each image.
    images = np.full((len(X), height + 2, width + 2, planes), fill, dtype=np.float64)
    images[:, 1:-1, 1:-1] = X.reshape(len(X), height, width, planes)
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    i, j = np.meshgrid(np.arange(height) - middle[0], np.arange(width) - middle[1], indexing="ij")
    out = np.empty((len(X), height, width, planes))
    for r, image in enumerate(images):
        c, s = np.cos(turn[r]) / scale[r], np.sin(turn[r]) / scale[r]
        y = c * i - s * j + middle[0] + down[r]
        x = (s + c * slant[r]) * i + (c - s * slant[r]) * j + middle[1] + right[r]
        inside = (y > -1) & (x > -1) & (y < height) & (x < width)
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
        fy, fx = (y - y0)[..., None], (x - x0)[..., None]
        upper = image[y0 + 1, x0 + 1] * (1 - fx) + image[y0 + 1, x0 + 2] * fx
        lower = image[y0 + 2, x0 + 1] * (1 - fx) + image[y0 + 2, x0 + 2] * fx
        out[r] = np.where(inside[..., None], upper * (1 - fy) + lower * fy, fill)
    return out.reshape(X.shape)
