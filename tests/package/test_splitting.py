"""fm.split: every row in one part, sizes and proportions as promised, containers as they came."""

from fractions import Fraction

import numpy as np
import pytest

import fastmlp as fm
from fastmlp.splitting import split_indices


def exact_shares(ratios, n):
    """n times each ratio, as fractions, for ratios that mean decimal numbers."""
    return [n * Fraction(str(ratio)) for ratio in ratios]


def test_three_parts_by_default():
    X, y = np.arange(200).reshape(100, 2), np.arange(100)
    (X_train, y_train), (X_val, y_val), (X_test, y_test) = fm.split(X, y)
    assert (len(X_train), len(X_val), len(X_test)) == (70, 20, 10)
    assert sorted([*y_train, *y_val, *y_test]) == list(range(100))
    for rows, targets in ((X_train, y_train), (X_val, y_val), (X_test, y_test)):
        np.testing.assert_array_equal(rows, X[targets])  # rows and targets stay together
        assert (np.diff(targets) < 0).any()  # shuffled


@pytest.mark.parametrize(
    "ratios",
    [(0.7, 0.2, 0.1), (0.9, 0.1), (0.5, 0.5), (0.25, 0.25, 0.3, 0.2), (0.1,) * 10, (0.97, 0.03)],
)
@pytest.mark.parametrize("stratify", [False, True])
def test_every_row_once_and_sizes_by_largest_remainder(ratios, stratify):
    random = np.random.default_rng(0)
    for n in (34, 57, 99, 100, 1000, 1797):
        y = random.integers(0, 4, n)
        parts = split_indices(y, n, ratios, stratify=stratify, seed=n)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
        shares = exact_shares(ratios, n)
        sizes = [len(part) for part in parts]
        assert all(abs(size - share) < 1 for size, share in zip(sizes, shares, strict=True))
        up = [share - int(share) for size, share in zip(sizes, shares, strict=True) if size > share]
        down = [
            share - int(share) for size, share in zip(sizes, shares, strict=True) if size < share
        ]
        assert not up or not down or min(up) >= max(down)


def test_stratified_parts_keep_each_class_within_a_row():
    random = np.random.default_rng(1)
    for _ in range(300):
        cuts = np.sort(random.choice(np.arange(1, 10), random.integers(1, 5), replace=False))
        ratios = tuple(float(tenths) / 10 for tenths in np.diff([0, *cuts, 10]))
        y = random.permutation(np.repeat(np.arange(8) * 5, [12, *random.integers(0, 30, 7)]))
        plain = split_indices(None, len(y), ratios)
        parts = split_indices(y, len(y), ratios, stratify=True, seed=3)
        assert [len(part) for part in parts] == [len(part) for part in plain]
        for label in np.unique(y):
            shares = exact_shares(ratios, int((y == label).sum()))
            for part, share in zip(parts, shares, strict=True):
                assert abs(int((y[part] == label).sum()) - share) <= 1


def test_stratified_parts_are_exact_where_the_shares_are_whole():
    y = np.repeat(["a", "b", "c"], [10, 50, 200])
    for labels in (y, y.astype(object), y[:, None], list(y)):
        for (_, part), share in zip(
            fm.split(y, labels, stratify=True), (0.7, 0.2, 0.1), strict=True
        ):
            counts = [(np.ravel(part) == label).sum() for label in "abc"]
            assert counts == [round(10 * share), round(50 * share), round(200 * share)]


def test_stratified_parts_are_shuffled_and_stay_with_their_rows():
    X = np.arange(300)
    y = X % 3
    for rows, labels in fm.split(X, y, stratify=True):
        np.testing.assert_array_equal(rows % 3, labels)
        assert (np.diff(labels) < 0).any() and (np.diff(rows) < 0).any()


@pytest.mark.parametrize("stratify", [False, True])
def test_the_seed_decides(stratify):
    y = np.arange(100) % 4
    first, again, other = (split_indices(y, 100, (0.5, 0.5), stratify, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(split_indices(y, 100, (0.5, 0.5), stratify, np.int32(7)), first)


def test_array_likes():
    (X_train, y_train), (X_test, _) = fm.split(
        [[1, 2], [3, 4], [5, 6]], [1, 0, 1], ratios=(0.67, 0.33)
    )
    assert isinstance(X_train, np.ndarray) and X_train.shape == (2, 2) and X_test.shape == (1, 2)
    assert isinstance(y_train, np.ndarray)
    images = np.zeros((10, 4, 4), np.uint8)
    assert [part.shape for part, _ in fm.split(images, np.eye(10))] == [
        (7, 4, 4),
        (2, 4, 4),
        (1, 4, 4),
    ]


def test_frames_and_series_come_back_as_they_came():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.arange(10.0), "b": list("xyxyxyxyxy")}, index=list("jihgfedcba"))
    kinds = frame.astype({"b": "category"})
    for X, y in ((frame, frame["a"]), (kinds, kinds["b"]), (frame.index, pd.array([1] * 10))):
        for stratify in (False, y is kinds["b"]):
            for rows, targets in fm.split(X, y, (0.6, 0.4), stratify):
                assert type(rows) is type(X) and type(targets) is type(y)
                assert targets.dtype == y.dtype
    for rows, targets in fm.split(frame, frame["a"]):
        assert rows.index.equals(targets.index) and rows.equals(frame.loc[rows.index])
        assert rows.dtypes.equals(frame.dtypes) and targets.name == "a"


def test_polars_and_arrow():
    pl, pa = (pytest.importorskip(name) for name in ("polars", "pyarrow"))
    data = {"a": np.arange(10), "b": list("xyxyxyxyxy"), "c": [True, False] * 5}
    table = pa.table(data)
    for frame in (pl.DataFrame(data), table, table.to_batches()[0]):
        for rows, targets in fm.split(frame, frame["b"], (0.6, 0.4), stratify=True):
            assert type(rows) is type(frame) and type(targets) is type(frame["b"])
            letters = np.asarray(targets).tolist()
            assert letters == np.asarray(rows["b"]).tolist()
            assert letters == ["xy"[i % 2] for i in np.asarray(rows["a"])]


def test_masked_arrays_are_refused():
    X, y = np.zeros((10, 2)), np.arange(10)
    masked = np.ma.array(X, mask=np.eye(10, 2))
    for rows in (masked, list(masked), [*X.tolist()[:9], np.ma.array([1, 2], mask=[0, 1])]):
        with pytest.raises(ValueError, match="^X must have no masked values, got [12] of them"):
            fm.split(rows, y)
    with pytest.raises(ValueError, match="^y must have no masked values, got 1 of them"):
        fm.split(X, np.ma.masked_equal(y, 3))
    for rows, targets in fm.split(np.ma.array(X), np.ma.array(y)):
        assert type(rows) is np.ndarray and type(targets) is np.ndarray


def test_a_list_of_text_and_numbers_keeps_both():
    rows = [[i, "ab"[i % 2]] for i in range(10)]
    for part, targets in fm.split(rows, [*range(9), "nine"]):
        assert part.dtype == targets.dtype == object
        for row, target in zip(part.tolist(), targets.tolist(), strict=True):
            assert row in rows and (row[0] == target or target == "nine")


def test_labels_to_the_last_digit_are_stratified():
    big = 2**53
    y = [big, big + 1, 0.0, True] * 10
    for _, part in fm.split(np.zeros((40, 1)), np.array(y, dtype=object), (0.5, 0.5), True):
        assert sorted(map(float, part)) == sorted(map(float, y))[::2]
        assert sum(label == big + 1 for label in part) == 5


def test_the_callers_errstate_is_left_out():
    y = np.float16([0, 1, 2] * 33)  # of a precision that the limits of labels overflow
    with np.errstate(all="raise"):
        parts = fm.split(np.arange(99), y, (2 / 3, 1 / 3), stratify=True)
    assert [np.bincount(y.astype(int)).tolist() for _, y in parts] == [[22] * 3, [11] * 3]


def test_sparse():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.diag(np.arange(1.0, 11.0))
    for rows, targets in fm.split(sparse.coo_array(dense), np.arange(10)):
        assert rows.format == "csr"
        np.testing.assert_array_equal(rows.toarray(), dense[targets])


def test_memory_mapped_rows_are_copied_once_per_part(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=np.float32, shape=(50, 3))
    X[:] = np.arange(150).reshape(50, 3)
    X.flush()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for rows, targets in fm.split(mapped, np.arange(50)):
        np.testing.assert_array_equal(rows, X[targets])
        assert not np.shares_memory(rows, mapped) and rows.flags.writeable


def test_ratios_that_sum_to_one_but_for_rounding():
    thirds = fm.split(np.zeros((9, 1)), np.arange(9), ratios=(1 / 3, 1 / 3, 1 / 3))
    assert [len(y) for _, y in thirds] == [3, 3, 3]
    single = np.array([0.7, 0.2, 0.1], dtype=np.float32)
    assert [len(y) for _, y in fm.split(np.zeros((30, 1)), np.arange(30), ratios=single)] == [
        21,
        6,
        3,
    ]
    assert [
        len(y) for _, y in fm.split(np.zeros((100, 1)), np.arange(100), ratios=(0.29, 0.71))
    ] == [29, 71]


@pytest.mark.parametrize(
    ("ratios", "error"),
    [
        ((0.7, 0.2), ValueError),
        ((0.7, 0.2, 0.2), ValueError),
        ((1.0,), ValueError),
        ((), ValueError),
        ((1.2, -0.2), ValueError),
        ((1.0, 0.0), ValueError),
        ((np.nan, 0.5), ValueError),
        ((np.inf, 0.5), ValueError),
        (("0.5", "0.5"), TypeError),
        ((True, 0.5), TypeError),
        (0.5, TypeError),
        (None, TypeError),
    ],
)
def test_bad_ratios(ratios, error):
    with pytest.raises(error, match="ratios must be two or more positive numbers with the sum 1"):
        fm.split(np.zeros((10, 2)), np.zeros(10), ratios=ratios)


@pytest.mark.parametrize(
    ("X", "y", "options", "error", "message"),
    [
        (np.zeros((4, 2)), np.zeros(3), {}, ValueError, r"X and y .* \(4, 2\) and \(3,\)"),
        (3.0, np.zeros(3), {}, ValueError, r"X must have rows, got shape \(\)"),
        (np.zeros(3), None, {}, ValueError, r"y must have rows, got shape \(\)"),
        (np.zeros((0, 2)), np.zeros(0), {}, ValueError, "X must have enough rows .* got 0 rows"),
        (np.zeros((4, 2)), np.zeros(4), {}, ValueError, "X must have enough rows .* got 4 rows"),
        (
            np.zeros((99, 2)),
            np.zeros(99),
            {"seed": -1},
            ValueError,
            "seed must be an integer >= 0, got -1",
        ),
        (
            np.zeros((99, 2)),
            np.zeros(99),
            {"seed": 0.5},
            TypeError,
            "seed must be an integer >= 0, got 0.5",
        ),
        (
            np.zeros((99, 2)),
            np.zeros(99),
            {"seed": None},
            TypeError,
            "seed must be an integer >= 0, got None",
        ),
        (
            np.zeros((99, 2)),
            np.zeros(99),
            {"stratify": "y"},
            TypeError,
            "stratify must be True or False",
        ),
        (
            np.zeros((99, 2)),
            np.zeros(99) + 0.5,
            {"stratify": True},
            ValueError,
            "y must hold labels: whole numbers or text, got 0.5 in row 0",
        ),
        (
            np.zeros((99, 2)),
            ["a", *range(98)],
            {"stratify": True},
            TypeError,
            "y must hold numbers or text, not both: row 0 holds 'a'",
        ),
        (
            np.zeros((99, 2)),
            None,
            {"stratify": True},
            ValueError,
            "y must have rows",
        ),
        (
            np.zeros((99, 2)),
            np.eye(99, dtype=int),
            {"stratify": True},
            ValueError,
            r"y must hold one label a row, shape \(n,\), got \(99, 99\)",
        ),
    ],
)
def test_bad_arguments(X, y, options, error, message):
    with pytest.raises(error, match=message):
        fm.split(X, y, **options)
