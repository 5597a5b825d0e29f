"""The metrics refuse what they cannot score, and take to the last digit what NumPy rounds."""

import numpy as np
import pytest

from fastmlp import metrics

REGRESSION = ("mse", "rmse", "mae", "r2")
BY_LABEL = ("accuracy", "confusion_matrix", "precision", "recall", "f1", "classification_report")


@pytest.mark.parametrize("name", BY_LABEL)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        ([0, 1, 1], [0, 1], ValueError, r"y_true and y_pred .*\(3,\) and \(2,\)"),
        ([], [], ValueError, "y_true must not be empty"),
        ([0, np.nan], [0, 1], ValueError, "y_true must hold finite numbers, got nan in row 1"),
        ([0, 1], [0, np.inf], ValueError, "y_pred must hold finite numbers, got inf in row 1"),
        ([0, 1], [0.1, 0.9], ValueError, "y_pred must hold labels: whole numbers or text, got 0.1"),
        ([0, 1], [0, 1e300], ValueError, "y_pred must hold labels"),
        (
            [[0, 1], [1, 0]],
            [1, 0],
            ValueError,
            r"y_true must hold one label a row, shape \(n,\), got \(2, 2\)",
        ),
        ([0, 1], 1, ValueError, r"y_pred must be an array .* got shape \(\)"),
        ([0, 1], [[0, 1], [1]], ValueError, "y_pred must be an array with rows of one length"),
        ([0, 1], [0, 1j], TypeError, r"y_pred must hold labels: .* got 1j \(complex\) in row 1"),
        ([0, 1], [0, None], ValueError, "y_pred must have no missing values, got None in row 1"),
        ([0, 1], [0, {}], TypeError, r"y_pred must hold labels: .* got {} \(dict\) in row 1"),
        ([0, 1], ["0", "1"], TypeError, "y_pred and y_true must both hold numbers or both text"),
    ],
)
def test_bad_labels(name, y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(y_true, y_pred)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        (
            [0, 1, 1],
            [0, 1],
            ValueError,
            r"y_true and y_pred must have equal shapes, got \(3,\) and \(2,\)",
        ),
        ([[0, 1]], [[0, 1, 2]], ValueError, r"got \(1, 2\) and \(1, 3\)"),
        ([], [], ValueError, "y_true must not be empty"),
        (np.ones((2, 0)), np.ones((2, 0)), ValueError, "y_true must not be empty"),
        ([0, 1], [0, np.nan], ValueError, "y_pred must hold finite numbers, got nan in row 1"),
        ([0, np.inf], [0, 1], ValueError, "y_true must hold finite numbers, got inf in row 1"),
        (
            np.ones((2, 2, 2)),
            np.ones((2, 2, 2)),
            ValueError,
            r"y_true must have shape \(n,\) or \(n, k\)",
        ),
        ([0, 1], ["a", "b"], TypeError, "y_pred must hold real numbers"),
        ([0, 1], [0, 1j], TypeError, "y_pred must hold real numbers"),
    ],
)
def test_bad_targets(name, y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(y_true, y_pred)


@pytest.mark.parametrize("name", [*BY_LABEL, *REGRESSION])
@pytest.mark.parametrize("weight", [[1], [1, 2, 3], [[1], [2]], [1, -1], [0, 0], [1, np.nan], 1.0])
def test_bad_weights(name, weight):
    with pytest.raises(ValueError, match="sample_weight must"):
        getattr(metrics, name)([0, 1], [1, 1], sample_weight=weight)


def test_bad_options_of_scores():
    with pytest.raises(ValueError, match=r"average must be one of 'macro', .* got 'mean'"):
        metrics.f1([0, 1], [0, 1], average="mean")
    with pytest.raises(ValueError, match="average must be another than 'binary' for 3 classes"):
        metrics.f1([0, 1, 2], [0, 1, 2], average="binary")
    with pytest.raises(ValueError, match=r"pos_label must be one of \[2, 3\], got 1"):
        metrics.recall([2, 3], [2, 3], average="binary")
    with pytest.raises(ValueError, match="labels must be None"):
        metrics.recall([0, 1], [0, 1], average="binary", labels=[1])
    with pytest.raises(ValueError, match="labels must be distinct"):
        metrics.confusion_matrix([0, 1], [0, 1], labels=[1, 1])
    with pytest.raises(ValueError, match="labels must hold at least one label of y_true"):
        metrics.confusion_matrix([0, 1], [0, 1], labels=[2])
    with pytest.raises(TypeError, match="labels and y_true must both"):
        metrics.precision([0, 1], [0, 1], labels=["a"])


@pytest.mark.parametrize(
    ("y_true", "y_prob", "message"),
    [
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "y_prob must have rows that sum to 1"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], r"y_prob must hold numbers in \[0, 1\]"),
        ([0, 1], [0.5, 2.0], r"y_prob must hold numbers in \[0, 1\]"),
        (
            [0, 1, 1],
            [[0.5, 0.5]],
            "y_true and y_prob must have the same number of rows, got 3 and 1",
        ),
        ([0, 7], [[0.2, 0.3, 0.5]] * 2, r"y_true must hold labels 0..2, or labels must be given"),
        ([[0.5, 0.6], [1, 0]], [[0.5, 0.5]] * 2, "y_true must have rows that sum to 1"),
        ([[1, 0, 0], [1, 0, 0]], [[0.5, 0.5]] * 2, "y_true and y_prob must have equal shapes"),
        ([0, 1], [np.nan, 0.5], "y_prob must hold finite numbers, got nan in row 0"),
        ([], [], "y_prob must not be empty"),
    ],
)
def test_bad_probabilities(y_true, y_prob, message):
    with pytest.raises(ValueError, match=message):
        metrics.log_loss(y_true, y_prob)


def test_bad_scores():
    scores = [[1, 2, 3], [3, 2, 1]]
    for k in (0, 4, -1):
        with pytest.raises(ValueError, match=r"k must be an integer in 1..3"):
            metrics.top_k_accuracy([0, 1], scores, k=k)
    for k in (1.0, True, "2"):
        with pytest.raises(TypeError, match=r"k must be an integer in 1..3"):
            metrics.top_k_accuracy([0, 1], scores, k=k)
    with pytest.raises(ValueError, match="y_score must have a column for each"):
        metrics.top_k_accuracy([0, 1], [1, 2])
    with pytest.raises(ValueError, match="labels must be the 3 classes of y_score, sorted"):
        metrics.top_k_accuracy([0, 1], scores, labels=[0, 2, 1])
    with pytest.raises(ValueError, match="labels must be the 3 classes of y_score"):
        metrics.top_k_accuracy([0, 1], scores, labels=[0, 1])
    with pytest.raises(ValueError, match="y_true must hold only labels of labels, got 1"):
        metrics.top_k_accuracy([0, 1], scores, labels=[0, 2, 4])


# ---- what NumPy holds loosely


@pytest.mark.parametrize("big", [2**53 + 1, 2**63 + 1, 2**80 + 1, -(2**53) - 1, -(2**70)])
def test_integers_are_compared_to_the_last_digit(big):
    for true, near in (([big, 5], [big - 1, 5]), ([big, 5.0], [big - 1, 5.0])):
        for pack in (list, tuple, lambda x: np.array(x, dtype=object)):
            assert metrics.accuracy(pack(true), pack(near)) == 0.5
            assert metrics.accuracy(pack(true), pack(true)) == 1.0
            assert metrics.f1(pack(true), pack(near), average=None).shape == (3,)
            options = {"labels": pack([big]), "average": None}
            assert metrics.recall(pack(true), pack(true), **options).tolist() == [1.0]
    assert metrics.precision([big, 5], [big, 5], average="binary", pos_label=big) == 1.0


def test_unsigned_and_signed_labels_beyond_int64():
    assert metrics.accuracy(np.uint64([2**63, 2**64 - 1]), [2**63, 2**64 - 2]) == 0.5
    assert metrics.accuracy(np.uint64([2**63 + 1]), np.float64([2**63])) == 0.0
    assert metrics.accuracy(np.uint64([2**64 - 1]), np.int64([-1])) == 0.0


def test_bools_and_whole_floats_equal_their_integers():
    given = [True, 0, 1.0, np.float16(2), np.bool_(False), np.uint8(7)]
    assert metrics.accuracy(given, [1, 0, 1, 2, 0, 7]) == 1.0
    assert metrics.accuracy(np.array(given, dtype=object), [1, 0, 1, 2, 0, 7]) == 1.0


def test_scores_beyond_float64_keep_their_order():
    scores = np.int64([[2**53, 2**53 + 1], [2**53 + 1, 2**53]])
    assert metrics.top_k_accuracy([1, 0], scores, k=1) == 1.0
    assert metrics.top_k_accuracy([0, 1], scores, k=1) == 0.0


@pytest.mark.parametrize("name", BY_LABEL)
@pytest.mark.parametrize(
    ("mixed", "text"),
    [
        ([1, "a"], ["1", "a"]),
        (["a", 1.5], ["a", "1.5"]),
        (np.array([True, "a"], dtype=object), ["True", "a"]),
    ],
)
def test_text_mixed_with_numbers(name, mixed, text):
    message = "must hold numbers or text, not both: row . holds 'a'"
    with pytest.raises(TypeError, match=f"^y_true {message}"):
        getattr(metrics, name)(mixed, text)
    with pytest.raises(TypeError, match=f"^y_pred {message}"):
        getattr(metrics, name)(text, mixed)


def test_text_beside_nan_has_missing_values():
    for labels in (["a", np.nan], np.array(["a", float("nan")], dtype=object)):
        with pytest.raises(
            ValueError, match="^y_true must have no missing values, got nan in row 1"
        ):
            metrics.accuracy(labels, ["a", "b"])


def test_text_that_numpy_cuts_short():
    assert metrics.accuracy(["a\0", "b"], ["a", "b"]) == 0.5
    assert metrics.accuracy([b"a", b"b"], ["a", "c"]) == 0.5


@pytest.mark.parametrize("name", REGRESSION)
def test_numbers_in_text_are_no_numbers(name):
    for text in (["1.5", "2"], np.array(["1.5", "2"], dtype=object), [1.5, "2"]):
        with pytest.raises(TypeError, match=r"^y_true must hold real numbers, .*row . holds"):
            getattr(metrics, name)(text, [1.5, 2.0])
        with pytest.raises(TypeError, match=r"^sample_weight must hold real numbers"):
            getattr(metrics, name)([0, 1], [1, 2], sample_weight=text)


MASKED = np.ma.array([1, 0, 1, 0], mask=[0, 1, 0, 0])
METRICS = [*BY_LABEL, *REGRESSION, "log_loss", "top_k_accuracy"]


def called(name, y_true, y_pred, **options):
    """A metric of labels 0 and 1, whatever it takes as its second argument."""
    if name == "top_k_accuracy":
        y_pred = (
            [[1, 2]] * 4 if y_pred is not MASKED else np.ma.array([[1, 2]] * 4, mask=[[1, 0]] * 4)
        )
        options["k"] = 1
    return getattr(metrics, name)(y_true, y_pred, **options)


@pytest.mark.parametrize("name", METRICS)
def test_masked_entries_are_refused_and_an_empty_mask_is_none(name):
    plain = [1, 0, 1, 0]
    for masked in (MASKED, [*plain[:3], np.ma.masked], list(MASKED)):
        with pytest.raises(ValueError, match=r"^y_true must have no masked values, got 1 of them"):
            called(name, masked, plain)
        with pytest.raises(ValueError, match=r"^sample_weight must have no masked values, got 1"):
            called(name, plain, plain, sample_weight=masked)
    with pytest.raises(ValueError, match="must have no masked values"):
        called(name, plain, MASKED)
    open_mask = np.ma.array(plain, mask=False)
    expected = called(name, plain, plain, sample_weight=plain)
    assert np.array_equal(called(name, open_mask, open_mask, sample_weight=open_mask), expected)


def test_a_list_of_masked_rows_is_refused():
    rows = [np.ma.array([0.5, 0.5], mask=[0, 1]), np.ma.array([0.5, 0.5], mask=[0, 0])]
    for metric in (metrics.mse, metrics.r2):
        with pytest.raises(ValueError, match="^y_pred must have no masked values, got 1"):
            metric([[0, 1], [1, 0]], rows)
    with pytest.raises(ValueError, match="^y_prob must have no masked values, got 1"):
        metrics.log_loss([0, 1], rows)


@pytest.mark.parametrize("name", METRICS)
def test_the_callers_errstate_is_left_out(name):
    with np.errstate(all="raise"):
        huge = called(
            name, [1, 0, 1, 0], [1, 0, 0, 0], sample_weight=[1e308, 1e-308, 1e308, 5e-324]
        )
        assert np.geterr()["under"] == "raise"
    assert np.array_equal(
        huge, called(name, [1, 0, 1, 0], [1, 0, 0, 0], sample_weight=[1e308, 1e-308, 1e308, 5e-324])
    )
    with np.errstate(all="raise"):
        for size in (1e-200, 1e200, 1e-310):
            for metric in (metrics.mse, metrics.rmse, metrics.mae, metrics.r2):
                metric([0, size, 3 * size], [size, size, 2 * size])
        metrics.log_loss([0, 1], [[1, 0], [1e-310, 1]])


@pytest.mark.parametrize("scale", [1e308, 5e-324, 2.0**-1000])
def test_weights_whose_sums_leave_float64(scale):
    y_true, y_pred = [0, 1, 1, 2], [0, 1, 0, 1]
    for name in METRICS:
        if name not in ("confusion_matrix", "classification_report"):
            plain = called(
                name,
                y_true if name not in ("top_k_accuracy", "log_loss") else [0, 1, 1, 0],
                y_pred,
                sample_weight=[1, 1, 1, 1],
            )
            huge = called(
                name,
                y_true if name not in ("top_k_accuracy", "log_loss") else [0, 1, 1, 0],
                y_pred,
                sample_weight=[scale] * 4,
            )
            assert huge == plain, name
    ours = metrics.confusion_matrix([0, 1], [0, 1], sample_weight=[scale, scale])
    assert ours.tolist() == [[scale, 0], [0, scale]]
    assert metrics.accuracy([0, 1], [0, 1], sample_weight=[1e308] * 2) == 1.0
