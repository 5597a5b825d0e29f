"""Weights of classes go by label, whatever holds them, and only by labels of the network."""

from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest

import fastmlp as fm
from fastmlp._data.labels import class_labels, class_weights

LABELS = np.array([0, 2, 1, 2, 2, 0], dtype=np.int64)
BY_CLASS = np.array([2.0, 1.0, 0.5])
EXPECTED = BY_CLASS[LABELS].tolist()


def weights_by(class_weight, labels=LABELS, k=3, weights=None, rows=None):
    return class_weights(class_weight, labels, k, weights, rows).tolist()


@pytest.mark.parametrize(
    "keys",
    [
        (0, 2),
        (False, 2),
        (np.bool_(False), np.int8(2)),
        (0.0, 2.0),
        (np.float32(0), np.uint64(2)),
        (-0.0, np.float64(2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda items: MappingProxyType(dict(items))])
def test_keys_equal_their_integers(keys, kind):
    assert weights_by(kind(zip(keys, (2, 0.5), strict=True))) == EXPECTED


def test_bool_keys_are_labels_of_two_classes():
    assert weights_by({True: 3.0}, np.int64([0, 1, 1]), 2) == [1, 3, 3]
    assert weights_by({False: 3.0}, np.int64([0, 1, 1]), 2) == [3, 1, 1]
    assert weights_by({True: 3, False: 2}, np.int64([0, 1, 1]), 2) == [2, 3, 3]


def test_a_series_goes_by_its_index():
    pd = pytest.importorskip("pandas")
    for index in (
        [2, 0],
        [2.0, 0.0],
        pd.Index([2, 0], dtype=object),
        pd.Index([2, 0], dtype="Int64"),
    ):
        assert weights_by(pd.Series([0.5, 2.0], index=index)) == EXPECTED
    counts = pd.Series([1, 1, 2, 2, 2, 0]).value_counts()  # sorted by how often, not by label
    assert weights_by(counts) == [1.0, 3.0, 2.0, 3.0, 3.0, 1.0]
    bits = pd.Series([3.0, 2.0], index=[True, False])
    assert weights_by(bits, np.int64([0, 1, 1]), 2) == [2, 3, 3]
    assert weights_by(pd.Series([5, 4], index=pd.CategoricalIndex([1, 0]))) == [4, 1, 5, 1, 1, 4]
    net, other = fm.Network([2, 3]), fm.Network([2, 3])
    X = np.random.default_rng(0).normal(size=(6, 2))
    net.fit(X, LABELS, epochs=1, class_weight=pd.Series([0.5, 2.0], index=[2, 0]))
    other.fit(X, LABELS, epochs=1, sample_weight=BY_CLASS[LABELS])
    assert np.array_equal(net.weights[0], other.weights[0])


def test_sequences_go_by_position():
    pl = pytest.importorskip("polars")
    for sequence in ([2, 1, 0.5], (2, 1, 0.5), np.float32(BY_CLASS), pl.Series(BY_CLASS)):
        assert weights_by(sequence) == EXPECTED
    assert weights_by([9, 1, 1], np.int64([1, 2]), 3) == [1, 1]


@pytest.mark.parametrize("key", [3, -1, 0.5, np.nan, np.inf, "0", None, (0,), 2**64, np.int64(-2)])
def test_a_label_that_no_class_has_is_refused(key):
    with pytest.raises(
        ValueError, match=r"^class_weight must have labels from 0 to 2 as keys, got"
    ):
        weights_by({0: 1.0, key: 1.0})


def test_a_label_without_rows_is_no_fault():
    assert weights_by({1: 7.0}, np.int64([0, 0, 2])) == [1, 1, 1]


def test_a_label_that_is_there_twice_is_refused():
    pd = pytest.importorskip("pandas")
    for index in ([1, True], [1, 1.0], [0, 1, 1]):
        series = pd.Series(1.0, index=pd.Index(index, dtype=object))
        with pytest.raises(
            ValueError, match="^class_weight must have each label once, got 1 twice"
        ):
            weights_by(series)


def test_weights_that_are_none():
    assert class_weights(None, LABELS, 3, None) is None
    weights = np.ones(6)
    assert class_weights(None, LABELS, 3, weights) is weights
    for wrong in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^class_weight\[1\] must be in \[0, inf\), got"):
            weights_by({1: wrong})
    for wrong in ("1", None, True):
        with pytest.raises(TypeError, match=r"^class_weight\[1\] must be a real number"):
            weights_by({1: wrong})
    with pytest.raises(ValueError, match=r"^class_weight must have the shape \(3,\), got \(2,\)"):
        weights_by([1, 2])
    with pytest.raises(TypeError, match="^class_weight must be 'balanced', a dict or a sequence"):
        weights_by(2.0)


def test_balanced_weights_by_hand_and_by_scikit_learn():
    assert weights_by("balanced") == [1, 2 / 3, 2, 2 / 3, 2 / 3, 1]
    weights = np.array([1.0, 1, 1, 1, 1, 3])
    found = np.array(weights_by("balanced", weights=weights))
    assert np.bincount(LABELS, found).tolist() == pytest.approx([8 / 3] * 3)
    assert weights_by("balanced", rows=np.uint32([0, 1]))[:2] == [1, 1]
    utils = pytest.importorskip("sklearn.utils.class_weight")
    theirs = utils.compute_sample_weight("balanced", LABELS)
    assert weights_by("balanced") == pytest.approx(theirs, rel=1e-15)


def test_products_that_leave_float64():
    """Only ratios count, so that both factors may be as large or as small as they like."""
    for size in (1e-320, 1e-200, 1e200, 1e308):
        with np.errstate(all="raise"):
            found = class_weights({0: size, 1: size / 2, 2: size}, LABELS, 3, np.ones(6))
        assert (found / found[0]).tolist() == [1, 1, 0.5, 1, 1, 1]
    found = class_weights([1e308] * 3, LABELS, 3, np.full(6, 2.0**31))
    assert np.isfinite(found).all() and len(set(found)) == 1


def test_labels_of_targets():
    labels, k = class_labels("stratify", LABELS, 3)
    assert labels is LABELS and k == 3
    for targets in (
        np.float32([0, 1, 1]),
        np.array([[0], [1], [1]]),
        np.array([False, True, True]),
    ):
        labels, k = class_labels("stratify", targets, 1)
        assert labels.tolist() == [0, 1, 1] and labels.dtype == np.int64 and k == 2
    for targets in (np.float64([0, 0.5]), np.eye(2), np.int64([0, 2])):
        with pytest.raises(ValueError, match="^stratify needs integer labels, or 0 and 1 for one"):
            class_labels("stratify", targets, targets.shape[-1] if targets.ndim == 2 else 1)
