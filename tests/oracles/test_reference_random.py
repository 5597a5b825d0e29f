"""The reference's random numbers: published answers, the counter's layout, orders of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.reference import dropout_mask, philox
from fastmlp.reference.random import draws, shuffled


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known answers that Random123 publishes for philox4x32, 10 rounds
        (
            "00000000 00000000 00000000 00000000",
            "00000000 00000000",
            "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    low, high = (int(word, 16) for word in key.split())
    words = philox(*(int(word, 16) for word in counter.split()), seed=low | high << 32)
    assert words.dtype == np.uint32
    assert [f"{word:08x}" for word in words] == expected.split()


def test_dropout_mask_follows_the_counter_layout():
    p, seed, epoch, layer = 0.3, 2**40 + 9, 4, 2
    mask = dropout_mask(seed, epoch, layer, [7, 8], 10, p)
    for i, q in enumerate((7, 8)):
        for u in range(10):
            word = philox(u // 4, q, layer, epoch, seed)[u % 4]
            assert mask[i, u] == (1 / (1 - p) if word >= int(p * 2**32) else 0.0)
    assert (
        draws(seed, epoch, layer, [3], 1, "noise")[0, 0]
        == philox(0, 3, layer + 256, epoch, seed)[0]
    )
    word = int(draws(0, 0, 0, [0], 1)[0, 0])
    for p, kept in ((word / 2**32, True), ((word + 1) / 2**32, False)):
        assert bool(dropout_mask(0, 0, 0, [0], 1, p)[0, 0]) is kept
    big = dropout_mask(0, 0, 1, np.arange(2000), 50, 0.25)
    assert big.mean() == pytest.approx(1.0, abs=0.01)
    assert (dropout_mask(0, 0, 1, [0], 5, 0.0) == 1.0).all()
    assert (big[3:5] == dropout_mask(0, 0, 1, [3, 4], 50, 0.25)).all()


def test_shuffled_orders_are_permutations_that_differ():
    orders = [shuffled(3, epoch, 50) for epoch in range(3)]
    assert all((np.sort(order) == np.arange(50)).all() for order in orders)
    assert (orders[0] != orders[1]).any() and (orders[1] != orders[2]).any()
    firsts = np.bincount([shuffled(0, epoch, 4)[0] for epoch in range(800)])
    # Each row comes first in a quarter of the epochs.
    assert firsts.min() > 150 and firsts.max() < 250
    first, second = (int(philox(0, 0, 4 * 256, 2, 3)[i]) for i in (0, 1))
    swapped = {0: first * 50 >> 32, first * 50 >> 32: 0}
    j = 1 + (second * 49 >> 32)
    assert orders[2][:2].tolist() == [swapped.get(0, 0), swapped.get(j, j)]
