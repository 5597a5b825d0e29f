"""The metrics: right by hand, equal to scikit-learn on random cases, right where those break."""

import warnings

import numpy as np
import pytest

import fastmlp as fm
from fastmlp import metrics

pytest.importorskip("hypothesis", reason="some cases are drawn at random")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

AVERAGES = ("macro", "micro", "weighted", None)
REGRESSION = {
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2_score",
}
BY_CLASS = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}
BY_LABEL = ("accuracy", "confusion_matrix", "precision", "recall", "f1", "classification_report")


@pytest.fixture(scope="module")
def sk():
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle here")


@pytest.fixture(autouse=True)
def quiet_oracle():
    # scikit-learn warns of each 0 / 0 and of each absent class; its values are what is compared. A
    # warning of our own is an error.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"sklearn\.")
        yield


def label_cases():
    """(y_true, y_pred, sample_weight): few rows and many, absent classes, negative labels."""
    random = np.random.default_rng(0)
    for n in (1, 2, 3, 10, 200):
        for classes in (1, 2, 3, 7, 25):
            y_true = random.integers(0, classes, n) * 3 - 4
            noise = random.integers(0, classes + 1, n) * 3 - 4
            y_pred = np.where(random.random(n) < 0.6, y_true, noise)
            weight = random.random(n) * random.integers(0, 2, n)
            weight[0] = 0.5
            yield y_true, y_pred, None
            yield y_true, y_pred, weight


# ---- by hand
# -----------------------------------------------------------------------------------------------


def test_two_classes_by_hand():
    y_true, y_pred = [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]
    assert metrics.accuracy(y_true, y_pred) == 3 / 5
    assert metrics.confusion_matrix(y_true, y_pred).tolist() == [[1, 1], [1, 2]]
    assert metrics.precision(y_true, y_pred, average="binary") == 2 / 3
    assert metrics.recall(y_true, y_pred, average="binary") == 2 / 3
    assert metrics.f1(y_true, y_pred, average=None).tolist() == [1 / 2, 2 / 3]
    assert metrics.precision(y_true, y_pred) == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )  # macro by default
    assert fm.metrics is metrics


def test_regression_by_hand():
    y_true, y_pred = [1.0, 2.0, 6.0], [1.0, 4.0, 5.0]
    assert metrics.mse(y_true, y_pred) == 5 / 3
    assert metrics.rmse(y_true, y_pred) == np.sqrt(5 / 3)
    assert metrics.mae(y_true, y_pred) == 1.0
    assert metrics.r2(y_true, y_pred) == pytest.approx(1 - 5 / 14)


def test_zero_divided_by_zero_is_zero():
    assert metrics.precision([0, 1], [0, 0], average=None).tolist() == [0.5, 0.0]
    assert metrics.recall([0, 0], [0, 1], average=None).tolist() == [0.5, 0.0]
    assert metrics.f1([0, 0], [0, 0], labels=[5], average="weighted") == 0.0
    assert metrics.precision([0, 0], [0, 0], average="binary") == 0.0


def test_integer_weight_is_repetition():
    random = np.random.default_rng(1)
    y_true, y_pred, weight = random.integers(0, 4, (3, 50))
    for name in ("accuracy", "confusion_matrix", *BY_CLASS, *REGRESSION):
        metric = getattr(metrics, name)
        repeated = metric(np.repeat(y_true, weight), np.repeat(y_pred, weight))
        np.testing.assert_allclose(
            metric(y_true, y_pred, sample_weight=weight), repeated, rtol=1e-13
        )


def test_labels_of_any_kind():
    numbers = [2, 0, 2, 1], [2, 0, 1, 1]
    text = [["abc"[label] for label in column] for column in numbers]
    expected = metrics.f1(*numbers, average=None)
    columns = [np.array(column)[:, None] for column in numbers]
    for y_true, y_pred in (
        text,
        np.array(text, dtype=object),
        np.array(numbers, dtype=np.float32),
        columns,
    ):
        np.testing.assert_array_equal(metrics.f1(y_true, y_pred, average=None), expected)
    assert metrics.f1(text[0][:2], text[1][:2], "binary", pos_label="a") == 1.0
    assert metrics.accuracy([True, False], [1, 1]) == 0.5
    assert metrics.accuracy(np.uint8([1, 2]), np.int64([1, 2])) == 1.0


def test_result_types():
    assert type(metrics.accuracy([1], [1])) is float
    assert all(
        type(getattr(metrics, name)([0, 1], [0, 1])) is float for name in (*BY_CLASS, *REGRESSION)
    )
    assert metrics.confusion_matrix([0, 1], [0, 1]).dtype == np.int64
    assert metrics.confusion_matrix([0, 1], [0, 1], sample_weight=[1, 2]).dtype == np.float64


def test_perfect_probabilities_have_a_finite_log_loss():
    assert 0 <= metrics.log_loss([0, 1], [[1, 0], [0, 1]]) < 1e-15
    assert metrics.log_loss([0, 1], [[0.0, 1.0], [1.0, 0.0]]) == pytest.approx(
        -np.log(np.finfo(float).eps)
    )


def test_log_loss_of_soft_targets():
    y_true, y_prob = np.array([[0.25, 0.75], [1, 0]]), np.array([[0.5, 0.5], [0.8, 0.2]])
    expected = (np.log(2) - np.log(0.8)) / 2
    assert metrics.log_loss(y_true, y_prob) == pytest.approx(expected)
    assert metrics.log_loss(y_true, y_prob, sample_weight=[0, 3]) == pytest.approx(-np.log(0.8))


def test_a_class_may_be_absent_from_probabilities_and_scores():
    prob = np.full((2, 4), 0.25)
    assert metrics.log_loss([0, 3], prob) == pytest.approx(np.log(4))
    assert metrics.log_loss([5, 9], prob, labels=[2, 5, 7, 9]) == pytest.approx(np.log(4))
    scores = [[4, 3, 2, 1], [4, 3, 2, 1]]
    assert [metrics.top_k_accuracy([0, 2], scores, k=k) for k in (1, 2, 3, 4)] == [
        0.5,
        0.5,
        1.0,
        1.0,
    ]


# ---- against scikit-learn
# ----------------------------------------------------------------------------------


def test_accuracy_and_confusion_matrix_equal_sklearn(sk):
    for y_true, y_pred, weight in label_cases():
        expected = sk.accuracy_score(y_true, y_pred, sample_weight=weight)
        assert metrics.accuracy(y_true, y_pred, sample_weight=weight) == pytest.approx(
            expected, rel=1e-14
        )
        for labels in (None, [*set(y_true)][::-1], [y_true[0], 99, -4 if y_true[0] != -4 else 98]):
            ours = metrics.confusion_matrix(y_true, y_pred, labels=labels, sample_weight=weight)
            theirs = sk.confusion_matrix(y_true, y_pred, labels=labels, sample_weight=weight)
            np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("name", BY_CLASS)
def test_scores_by_class_equal_sklearn(sk, name):
    ours, theirs = getattr(metrics, name), getattr(sk, BY_CLASS[name])
    for y_true, y_pred, weight in label_cases():
        for average in AVERAGES:
            for labels in (None, [y_true[0], 99, -4 if y_true[0] != -4 else 98]):
                options = {"average": average, "labels": labels, "sample_weight": weight}
                expected = theirs(y_true, y_pred, zero_division=0.0, **options)
                np.testing.assert_allclose(
                    ours(y_true, y_pred, **options), expected, rtol=1e-13, atol=1e-15
                )


@pytest.mark.parametrize("name", BY_CLASS)
def test_binary_scores_equal_sklearn(sk, name):
    random = np.random.default_rng(2)
    for n in (1, 2, 5, 100):
        y_true, y_pred = random.integers(0, 2, (2, n))
        weight = random.random(n)
        for pos_label in (0, 1):
            if pos_label not in np.union1d(y_true, y_pred):
                continue
            options = {"average": "binary", "pos_label": pos_label, "sample_weight": weight}
            expected = getattr(sk, BY_CLASS[name])(y_true, y_pred, zero_division=0.0, **options)
            assert getattr(metrics, name)(y_true, y_pred, **options) == pytest.approx(
                expected, rel=1e-13
            )


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_equals_sklearn(sk, name):
    ours, theirs = getattr(metrics, name), getattr(sk, REGRESSION[name])
    random = np.random.default_rng(3)
    for shape in ((2,), (9,), (100,), (2, 1), (9, 3), (100, 4)):
        y_true = 5 + random.normal(size=shape)
        y_pred = (y_true + random.normal(size=shape)).astype(np.float32)
        if len(shape) == 2 and shape[1] > 1:
            y_true[:, 0] = 3.0  # a constant output, whose mean is exact with whole weights
            y_pred[:, 0] = random.choice([3.0, 4.0])
        for weight in (None, random.integers(1, 9, shape[0])):
            expected = theirs(y_true, y_pred, sample_weight=weight)
            assert ours(y_true, y_pred, sample_weight=weight) == pytest.approx(expected, rel=1e-12)


def test_r2_of_constant_targets_and_of_one_row_equals_sklearn(sk):
    assert metrics.r2([2, 2], [2, 2]) == sk.r2_score([2, 2], [2, 2]) == 1.0
    assert metrics.r2([2, 2], [2, 3]) == sk.r2_score([2, 2], [2, 3]) == 0.0
    assert np.isnan(metrics.r2([2], [2]))


@pytest.mark.parametrize("value", [0.1, -0.3, 1e-320, 7e-200, 1e9 + 0.1, 1e200, -1.7e308])
@pytest.mark.parametrize("n", [2, 3, 7, 1000])
def test_r2_of_a_constant_target_is_one_or_zero(value, n):
    """However its mean is rounded, with weights, and for each of several outputs on its own."""
    constant, off = np.full(n, value), np.full(n, value)
    off[-1] = np.nextafter(value, 0)
    random = np.random.default_rng(n)
    slope = np.arange(n) * 1.0
    for weight in (None, random.random(n), np.full(n, 0.1), [1e308] * n, [5e-324] * n):
        assert metrics.r2(constant, constant, sample_weight=weight) == 1.0
        assert metrics.r2(constant, off, sample_weight=weight) == 0.0
        assert metrics.r2(constant, -constant, sample_weight=weight) == 0.0
        outputs = np.stack([constant, slope, constant], axis=1)
        predicted = np.stack([constant, slope, off], axis=1)
        found = metrics.r2(outputs, predicted, sample_weight=weight)
        assert found == pytest.approx(2 / 3, rel=1e-15)


def test_r2_counts_rows_of_weight_zero_as_left_out():
    assert metrics.r2([0.1, 0.1, 5], [0.1, 0.1, 0], sample_weight=[1, 1, 0]) == 1.0
    assert metrics.r2([0.1, 0.1, 5], [0.1, 0.2, 5], sample_weight=[1, 2, 0]) == 0.0
    assert metrics.r2([1, 2, 9], [1, 1, 0], sample_weight=[1, 1, 0]) == -1.0


def test_regression_of_any_magnitude():
    """Squares beyond float64 are no errors beyond it; a power of two changes no digit."""
    random = np.random.default_rng(7)
    y_true, y_pred = random.normal(size=(2, 50))
    for exponent in (-1000, -600, 600, 1020):
        true, predicted = np.ldexp(y_true, exponent), np.ldexp(y_pred, exponent)
        assert metrics.r2(true, predicted) == metrics.r2(y_true, y_pred)
        assert metrics.mae(true, predicted) == np.ldexp(metrics.mae(y_true, y_pred), exponent)
        assert metrics.rmse(true, predicted) == np.ldexp(metrics.rmse(y_true, y_pred), exponent)
    assert metrics.mse([1e200], [0]) == np.inf and metrics.mse([1e-200], [0]) == 0.0
    assert metrics.rmse([-1e308, 1e308], [1e308, -1e308]) == np.inf
    assert metrics.mae([1e308] * 4, [0] * 4) == 1e308
    # Far from 0 the mean is rounded by as much as the targets spread.
    assert metrics.r2([1e16, 1e16 + 2], [1e16, 1e16]) == -1.0


def test_log_loss_equals_sklearn(sk):
    random = np.random.default_rng(4)
    for n, k in ((4, 2), (30, 3), (200, 10)):
        y_true = np.concatenate([np.arange(k), random.integers(0, k, n - k)])
        for dtype in (np.float64, np.float32):
            prob = random.dirichlet(np.full(k, 0.2), n).astype(dtype)
            prob[0] = np.eye(k)[1]  # the first row's class has probability 0
            for weight in (None, random.random(n)):
                tolerance = 1e-12 if dtype == np.float64 else 1e-5
                expected = sk.log_loss(y_true, prob, sample_weight=weight)
                ours = metrics.log_loss(y_true, prob, sample_weight=weight)
                assert ours == pytest.approx(expected, rel=tolerance)
                assert metrics.log_loss(
                    np.eye(k)[y_true], prob, sample_weight=weight
                ) == pytest.approx(ours)
                shifted = metrics.log_loss(y_true * 2 + 5, prob, sample_weight=weight)
                assert shifted == pytest.approx(
                    ours
                )  # the classes that occur, sorted, are the columns
    positive = random.random(50)
    y_true = random.integers(0, 2, 50)
    expected = sk.log_loss(y_true, positive)
    assert metrics.log_loss(y_true, positive) == pytest.approx(expected, rel=1e-12)
    assert metrics.log_loss(y_true, positive[:, None]) == pytest.approx(expected, rel=1e-12)
    assert metrics.log_loss([1, 1], [0.5, 0.25]) == pytest.approx(
        sk.log_loss([1, 1], [0.5, 0.25], labels=[0, 1])
    )


def test_top_k_accuracy_equals_sklearn(sk):
    random = np.random.default_rng(5)
    for n, classes in ((5, 3), (100, 4), (100, 12)):
        y_true = random.integers(0, classes, n)
        for scores in (
            random.normal(size=(n, classes)),
            random.integers(0, 3, (n, classes)),
        ):  # the latter ties
            for k in range(1, classes):
                for weight in (None, random.random(n)):
                    options = {"k": k, "sample_weight": weight, "labels": np.arange(classes)}
                    expected = sk.top_k_accuracy_score(y_true, scores, **options)
                    assert metrics.top_k_accuracy(y_true, scores, **options) == pytest.approx(
                        expected
                    )
            assert metrics.top_k_accuracy(y_true, scores, k=classes) == 1.0


def test_classification_report_holds_the_numbers_of_sklearn(sk):
    random = np.random.default_rng(6)
    y_true, y_pred = random.integers(0, 5, (2, 300))
    table = {}
    for line in metrics.classification_report(y_true, y_pred).splitlines()[1:]:
        name, *numbers = line.split()
        table[name] = [float(number) for number in numbers]
    expected = sk.classification_report(y_true, y_pred, output_dict=True)
    assert table.pop("accuracy") == [pytest.approx(expected["accuracy"], abs=5e-5)]
    for name, row in table.items():
        key = f"{name} avg" if name in ("macro", "weighted") else name
        assert row == pytest.approx([*expected[key].values()], abs=5e-5)
    assert len(table) == 7


@st.composite
def rows_of_labels(draw):
    """Few rows and few classes, so that absent classes, single rows and ties come often."""
    n = draw(st.integers(1, 8))
    labels = hnp.arrays(np.int64, n, elements=st.integers(-1, 2))
    weights = hnp.arrays(np.float64, n, elements=st.sampled_from([0, 1e-3, 0.5, 1, 7, 1e6]))
    weight = draw(st.none() | weights.filter(np.any))
    return draw(labels), draw(labels), weight


one_fixture = [HealthCheck.function_scoped_fixture]  # it serves all examples alike
drawn = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=one_fixture
)
close = {"rel": 1e-12, "abs": 1e-12}


@drawn
@given(
    rows_of_labels(), st.sampled_from([None, [0], [2, -1, 5], [1, 0]]), st.sampled_from(AVERAGES)
)
def test_labels_drawn_at_random_equal_sklearn(sk, rows, labels, average):
    y_true, y_pred, weight = rows
    options = {"labels": labels, "sample_weight": weight}
    for name, oracle in BY_CLASS.items():
        ours = getattr(metrics, name)(y_true, y_pred, average, **options)
        options_of_both = {"average": average, "zero_division": 0.0, **options}
        assert ours == pytest.approx(
            getattr(sk, oracle)(y_true, y_pred, **options_of_both), **close
        )
    if labels is None or set(labels) & set(y_true):
        ours = metrics.confusion_matrix(y_true, y_pred, **options)
        assert ours == pytest.approx(sk.confusion_matrix(y_true, y_pred, **options), **close)
    ours = metrics.accuracy(y_true, y_pred, sample_weight=weight)
    expected = sk.accuracy_score(y_true, y_pred, sample_weight=weight)
    assert ours == pytest.approx(expected, **close)


@drawn
@given(rows_of_labels(), st.sampled_from([1, 0.1, 1e-6, 1e6, 1e100]), st.sampled_from([0, 3, 1e3]))
def test_numbers_drawn_at_random_equal_sklearn(sk, rows, unit, offset):
    y_true, y_pred, weight = rows
    y_true, y_pred = (y_true + offset) * unit, (y_pred + offset) * unit
    counted = y_true if weight is None else y_true[weight > 0]
    for name, oracle in REGRESSION.items():
        if name == "r2" and (len(set(counted)) == 1 or len(y_true) == 1):
            continue  # a constant target, of which scikit-learn takes the rounding for a spread
        expected = getattr(sk, oracle)(y_true, y_pred, sample_weight=weight)
        ours = getattr(metrics, name)(y_true, y_pred, sample_weight=weight)
        # Of the mean of targets far from 0 scikit-learn has some digits less.
        assert ours == pytest.approx(expected, rel=1e-12 if offset < 10 else 1e-7, abs=0)


@drawn
@given(rows_of_labels(), st.data())
def test_probabilities_drawn_at_random_equal_sklearn(sk, rows, data):
    y_true, _, weight = rows
    counts = data.draw(hnp.arrays(np.int64, (len(y_true), 4), elements=st.integers(0, 5)))
    prob = (counts + np.eye(4, dtype=int)[0]) / (counts.sum(axis=1, keepdims=True) + 1)
    options = {"labels": [-1, 0, 1, 2], "sample_weight": weight}
    expected = sk.log_loss(y_true, prob, **options)
    assert metrics.log_loss(y_true, prob, **options) == pytest.approx(expected, **close)
    for k in (1, 2, 3):
        expected = sk.top_k_accuracy_score(y_true, prob, k=k, **options)
        assert metrics.top_k_accuracy(y_true, prob, k=k, **options) == pytest.approx(
            expected, **close
        )
