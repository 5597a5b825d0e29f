"""Counter-based random numbers: Philox4x32-10 and the dropout masks drawn from it.

A draw is a pure function of what it is for (seed, epoch, layer, row, unit), so it does not depend
on the order in which anything is computed. Philox4x32-10 is from Salmon, Moraes, Dror and Shaw,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

ROUNDS = 10
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
# Added to the key after each round: the golden ratio − 1 and √3 − 1 as 32-bit fractions.
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF

PURPOSES = {"dropout": 0, "noise": 1, "input_mask": 2, "affine": 3, "shuffle": 4}
"""What a stream is for; it keeps draws of the same layer, epoch and row apart."""


def philox(
    c0: npt.ArrayLike, c1: npt.ArrayLike, c2: npt.ArrayLike, c3: npt.ArrayLike, seed: int
) -> npt.NDArray[np.uint32]:
    """Philox4x32-10: four random 32-bit words for every counter.

    Parameters
    ----------
    c0, c1, c2, c3 : array_like of int
        The counter's words, each in [0, 2³²); they broadcast against each other.
    seed : int
        The key, in [0, 2⁶⁴): words (seed mod 2³², seed div 2³²).

    Returns
    -------
    ndarray of uint32, shape (…, 4)
        The broadcast shape of the counters, then the four words.

    Raises
    ------
    ValueError
        If the seed is not in [0, 2⁶⁴).

    Examples
    --------
    >>> [hex(word) for word in philox(0, 0, 0, 0, seed=0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    # 32-bit words are held in 64 bits, where the product of two is exact.
    x0, x1, x2, x3 = np.broadcast_arrays(
        *(np.asarray(c, dtype=np.uint64) for c in (c0, c1, c2, c3))
    )
    key0, key1 = seed & WORD, seed >> 32
    shift, word = np.uint64(32), np.uint64(WORD)
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIERS[0] * x0, MULTIPLIERS[1] * x2
        x0, x1, x2, x3 = (
            (product1 >> shift) ^ x1 ^ np.uint64(key0),
            product1 & word,
            (product0 >> shift) ^ x3 ^ np.uint64(key1),
            product0 & word,
        )
        key0, key1 = (key0 + KEY_STEPS[0]) & WORD, (key1 + KEY_STEPS[1]) & WORD
    return np.stack([x0, x1, x2, x3], axis=-1).astype(np.uint32)


def draws(
    seed: int,
    epoch: int,
    layer: int,
    positions: npt.ArrayLike,
    units: int,
    purpose: str = "dropout",
) -> npt.NDArray[np.uint32]:
    """One word per row position and unit: counter (u div 4, q, l + 256·purpose, e), word u mod 4.

    Parameters
    ----------
    seed : int
        The network's seed.
    epoch : int
        e, the network's own epoch counter, from 0.
    layer : int
        l, 0 for the input.
    positions : array_like of int, shape (n,)
        q, the places of the rows in the epoch's order, from 0.
    units : int
        n_l, the number of units in the layer.
    purpose : str, default "dropout"
        A key of `PURPOSES`.

    Returns
    -------
    ndarray of uint32, shape (n, units)
    """
    groups = np.arange((units + 3) // 4)
    words = philox(
        groups, np.asarray(positions)[:, None], layer + 256 * PURPOSES[purpose], epoch, seed
    )
    return words.reshape(len(words), -1)[:, :units]


def dropout_mask(
    seed: int, epoch: int, layer: int, positions: npt.ArrayLike, units: int, p: float
) -> npt.NDArray[np.float64]:
    """Factors of inverted dropout: 0 with probability p, else 1/(1 − p) (Srivastava et al. 2014).

    A unit is kept if its word (see `draws`) is at least ⌊p·2³²⌋.

    Parameters
    ----------
    seed, epoch, layer, positions, units
        As in `draws`.
    p : float
        The probability of dropping a unit, in [0, 1).

    Returns
    -------
    ndarray of float64, shape (n, units)

    Raises
    ------
    ValueError
        If p is not in [0, 1).
    """
    if not 0.0 <= p < 1.0:
        raise ValueError(f"p must be in [0, 1), got {p}")
    keep = draws(seed, epoch, layer, positions, units) >= np.uint32(int(p * 2.0**32))
    return keep / (1.0 - p)


def lecun_normal(sizes: Sequence[int], seed: int) -> list[npt.NDArray[np.float64]]:
    """Initial W^1 … W^(L−1), each (n_l, n_(l−1)), from N(0, 1/√n_(l−1)) by NumPy's own Philox."""
    normal = np.random.Generator(np.random.Philox(seed)).normal
    return [normal(0.0, n_in**-0.5, (n_out, n_in)) for n_in, n_out in pairwise(sizes)]


def shuffled(seed: int, epoch: int, rows: int) -> npt.NDArray[np.intp]:
    """The order of rows 0 … n−1 in an epoch (Fisher and Yates 1938; Durstenfeld 1964).

    Position i = 0, 1, … trades places with i + ⌊w(n − i)/2³²⌋, w being word i mod 4 of the counter
    (i div 4, 0, 256·4, e).
    """
    words = draws(seed, epoch, 0, [0], rows, "shuffle")[0].tolist()
    order = np.arange(rows)
    for i, word in enumerate(words):
        j = i + (word * (rows - i) >> 32)
        order[i], order[j] = order[j], order[i]
    return order
