"""What fit takes and records: rows, targets, weights in every form, validation, progress."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits, assert_same_network
from toy import BITS, LABELS, REAL, N, X, binary, classifier, fitted, random, regressor

import fastmlp as fm
from fastmlp.splitting import split_indices

# ---- rows, targets and weights


def test_targets_in_every_form_are_the_same_targets() -> None:
    one = fitted(classifier(), LABELS)
    for y in (
        LABELS[:, None],
        LABELS.astype("u1"),
        LABELS.astype(">i2"),
        LABELS.tolist(),
        tuple(LABELS),
    ):
        assert_same_network(fitted(classifier(), y), one)
    rows = [
        fitted(classifier(), np.eye(3, dtype=dtype)[LABELS])
        for dtype in ("f8", "f4", "f2", "i4", "?")
    ]
    for net in rows[1:]:
        assert_same_network(net, rows[0])
    assert np.allclose(rows[0].weights[0], one.weights[0], atol=1e-6)
    one = fitted(binary(), BITS)
    for y in (BITS[:, None], BITS > 0, BITS.astype("f2"), BITS.tolist()):
        assert_same_network(fitted(binary(), y), one)


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": X[:, 0], "b": X[:, 1] > 0, "c": np.arange(N), "d": X[:, 3].astype("f4")}
    )
    one = fitted(classifier(), LABELS, frame.to_numpy(dtype=float))
    nullable = frame.astype({"a": "Float64", "b": "boolean", "c": "Int64"})
    for rows in (frame, nullable):
        for y in (
            pandas.Series(LABELS),
            pandas.Series(LABELS, dtype="Int64"),
            pandas.DataFrame({"y": LABELS}),
        ):
            assert_same_network(fitted(classifier(), y, rows), one)
        assert_same_bits(one.predict(rows), one.predict(frame.to_numpy(dtype=float)))
    nullable.loc[3, "c"] = pandas.NA
    missing = "^X must have no missing values, got None in row 3, column 'c'$"
    with pytest.raises(ValueError, match=missing):
        one.fit(nullable, LABELS)
    with pytest.raises(ValueError, match="^X must hold finite numbers"):
        one.fit(frame.assign(d=np.nan), LABELS)
    text = r"^X must hold real numbers, got dtype (object|str) \(row 0, column 'd' holds 'text'\)"
    with pytest.raises(TypeError, match=text):
        one.fit(frame.assign(d="text"), LABELS)
    with pytest.raises(TypeError, match="^y must hold real numbers"):
        one.fit(frame, pandas.Series(LABELS).astype(str).astype("category"))


def test_the_callers_arrays_stay_as_they_are() -> None:
    rows, y, weights = X.astype("f4"), np.eye(3)[LABELS], np.ones(N)
    arrays = (rows, y, weights)
    for array in arrays:
        array.flags.writeable = False
    copies = [array.copy() for array in arrays]
    net = classifier(dropout=[0.2, 0.2])
    net.fit(rows, y, epochs=1, sample_weight=weights, augment=fm.augment.Noise(1.0), validation=0.2)
    net.input_gradients(rows, y)
    assert_same_bits(list(arrays), copies)


def test_one_input_hints_at_a_column() -> None:
    with pytest.raises(ValueError, match=r"for one input pass X\[:, None\]$"):
        fm.Network([1, 2]).predict(np.arange(5.0))


def test_weights_of_rows_count_by_their_ratios() -> None:
    weights = random.integers(1, 4, N).astype(float)
    one = fitted(regressor(), REAL, sample_weight=weights)
    for factor in (2.0**-1000, 2.0**-40, 2.0**50, 2.0**900):
        net = fitted(regressor(), REAL, sample_weight=weights * factor)
        assert_same_bits(list(net.weights), list(one.weights))
        assert net.evaluate(X, REAL, sample_weight=weights * factor) == one.evaluate(
            X, REAL, sample_weight=weights
        )
    repeated = np.repeat(np.arange(N), weights.astype(int))
    cost, gradients = one.gradients(X, REAL, sample_weight=weights)
    again, others = one.gradients(X[repeated], REAL[repeated])
    assert cost == pytest.approx(again, rel=1e-5)
    assert np.allclose(gradients[0][0], others[0][0], atol=1e-5)
    plain: dict[str, Any] = {
        "epochs": 1,
        "shuffle": False,
        "batch_size": 20,
        "optimizer": fm.SGD(0.1),
    }
    alone = fitted(regressor(), REAL, sample_weight=np.arange(N) < 20, **plain)
    assert_same_bits(
        list(alone.weights), list(fitted(regressor(), REAL[:20], X[:20], **plain).weights)
    )


@pytest.mark.filterwarnings("error")
def test_weights_of_classes() -> None:
    counts = np.bincount(LABELS)
    balanced = (N / (3 * counts))[LABELS]
    pairs: list[tuple[Any, np.ndarray]] = [
        ("balanced", balanced),
        ({0: 2, 2: 0.5}, np.array([2, 1, 0.5])[LABELS]),
        ({np.int64(1): 3.0}, np.array([1, 3, 1])[LABELS]),
        ([1, 0, 4], np.array([1, 0, 4])[LABELS]),
        (np.array([0.5, 1, 2], "f4"), np.array([0.5, 1, 2])[LABELS]),
    ]
    for class_weight, weights in pairs:
        one = fitted(classifier(), LABELS, class_weight=class_weight)
        assert_same_bits(
            list(one.weights), list(fitted(classifier(), LABELS, sample_weight=weights).weights)
        )
    twice = fitted(classifier(), LABELS, class_weight=[1, 2, 3], sample_weight=balanced)
    product = fitted(classifier(), LABELS, sample_weight=balanced * np.array([1, 2, 3])[LABELS])
    assert_same_bits(list(twice.weights), list(product.weights))
    one = fitted(binary(), BITS[:, None], class_weight={1: 3})
    assert_same_bits(
        list(one.weights), list(fitted(binary(), BITS, sample_weight=1 + 2 * BITS).weights)
    )
    absent = fitted(classifier(), BITS, class_weight="balanced")  # no row of class 2
    assert np.isfinite(absent.weights[0]).all()
    fitted(classifier(), np.zeros(N, int), class_weight="balanced")


# ---- validation


def test_a_pair_for_validation() -> None:
    net = classifier()
    history = net.fit(X, LABELS, epochs=3, validation=(X[::2], LABELS[::2]))
    found = net.evaluate(X[::2], LABELS[::2])
    assert history["val_loss"][-1] == found["loss"]
    assert history["val_accuracy"][-1] == found["accuracy"]
    assert_same_network(net, fitted(classifier(), LABELS, epochs=3, batch_size=64))
    assert regressor().fit(X, REAL, epochs=1, validation=[X, REAL]).keys()[-2:] == [
        "val_loss",
        "val_r2",
    ]


@pytest.mark.parametrize("stratify", [False, True])
def test_a_share_for_validation(stratify: bool) -> None:
    """The rows held out are those of the split that the seed names; nothing else sees them."""
    rows, y, weights = X.copy(), LABELS.copy(), np.linspace(1, 2, N)
    held = split_indices(y, N, (0.8, 0.2), stratify, seed=7)[1]
    assert len(held) == 18
    net = classifier(seed=7)
    arguments: dict[str, Any] = {"validation": 0.2, "stratify": stratify, "sample_weight": weights}
    history = net.fit(rows, y, **arguments)
    found = net.evaluate(rows[held], y[held], sample_weight=weights[held])
    assert history["val_loss"][-1] == pytest.approx(found["loss"], rel=1e-6)
    assert history["val_accuracy"][-1] == pytest.approx(found["accuracy"])
    if stratify:
        assert np.bincount(y[held]).tolist() == [12, 4, 2]
    rows[held], y[held] = 100.0, 0
    twin = classifier(seed=7)
    if not stratify:
        twin.fit(rows, y, **arguments)
        assert_same_bits(list(twin.weights), list(net.weights))


def test_balanced_counts_the_rows_that_are_trained_on() -> None:
    train, held = split_indices(None, N, (0.5, 0.5), seed=0)
    y = np.zeros(N, int)
    y[held] = 1
    y[train[:9]] = 2
    balanced = np.array([45 / (2 * 36), 0, 45 / (2 * 9)])[y]
    one, other = classifier(), classifier()
    one.fit(X, y, epochs=1, validation=0.5, class_weight="balanced")
    other.fit(X, y, epochs=1, validation=0.5, sample_weight=balanced + (y == 1))
    assert_same_bits(list(one.weights), list(other.weights))


# ---- the history


def test_the_record_of_a_training() -> None:
    net = classifier()
    schedule = fm.schedules.Step(every=2, factor=0.1)
    history = net.fit(
        X, LABELS, epochs=4, optimizer=fm.SGD(0.5), schedule=schedule, record_norms=True
    )
    assert net.history is history and len(history) == 4
    assert history.keys() == ["loss", "learning_rate", "gradient_norm", "step_size"]
    assert history["learning_rate"] == pytest.approx([0.5, 0.5, 0.05, 0.05])
    assert history["step_size"] == pytest.approx(
        np.multiply(history["learning_rate"], history["gradient_norm"]), rel=1e-6
    )
    assert all(seconds > 0 for seconds in history.seconds)
    assert (history.stopped_by, history.best_epoch, history.epochs) == (
        "epochs",
        None,
        [1, 2, 3, 4],
    )
    assert net.fit(X, LABELS, epochs=2).epochs == [5, 6]
    assert net.epochs == 6


@pytest.mark.parametrize("norms", [False, True])
def test_epochs_that_nobody_watches_are_recorded_as_watched_ones_are(norms: bool) -> None:
    """Watched epochs are recorded one by one, others as many at once as a slice of time had."""
    plain, watched = (
        fitted(classifier(), LABELS).fit(
            X, LABELS, epochs=5, optimizer=fm.SGD(0.1), callbacks=callbacks, record_norms=norms
        )
        for callbacks in ((), (fm.callbacks.Callback(),))
    )
    assert dict(plain) == dict(watched) and plain.epochs == watched.epochs == [
        *range(plain.epochs[0], plain.epochs[0] + 5)
    ]
    assert len(plain.seconds) == 5 and plain.last.keys() == watched.last.keys()


def test_no_epochs_change_nothing() -> None:
    net = classifier()
    history = net.fit(X, LABELS, epochs=0, validation=0.5, stop="early_stopping")
    assert (len(history), history.stopped_by, net.epochs) == (0, "epochs", 0)
    assert_same_bits(list(net.weights), list(classifier().weights))


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(restore: bool) -> None:
    net, rows, noise = classifier(), X[:40], random.integers(0, 3, 40)
    stop = fm.EarlyStopping(patience=4, restore_best=restore)
    history = net.fit(
        rows,
        noise,
        epochs=500,
        optimizer=fm.Adam(0.05),
        validation=(X[40:], LABELS[40:]),
        stop=stop,
    )
    assert history.stopped_by.startswith("early stopping: val_loss no better than")
    losses = history["val_loss"]
    assert history.best_epoch == int(np.argmin(losses)) + 1 == len(history) - 4
    now = net.evaluate(X[40:], LABELS[40:])["loss"]
    assert now == (min(losses) if restore else losses[-1])
    assert net.epochs == len(history)


@pytest.mark.parametrize(("stop", "reason", "epochs"), [
    (fm.TargetLoss(1e9), "target loss", 1),
    (fm.TimeBudget(1e-9), "time budget", 1),
    (fm.Tolerance(1e9, patience=3), "tolerance", 4),
    ([fm.Tolerance(1e9, patience=9), fm.TargetLoss(1e9)], "target loss", 1),
])  # fmt: skip
def test_what_stopped_a_training(stop: Any, reason: str, epochs: int) -> None:
    history = classifier().fit(X, LABELS, epochs=50, stop=stop)
    assert (history.stopped_by, len(history)) == (reason, epochs)
    history = classifier().fit(
        X, LABELS, epochs=50, callbacks=lambda network, history: len(history) == 2
    )
    assert (history.stopped_by, len(history)) == ("callback", 2)


def test_the_progress_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for progress, validation in ((False, None), (None, None), (True, 0.2)):
        regressor().fit(X, REAL, epochs=30, progress=progress, validation=validation)
        out, shown = capsys.readouterr()
        assert out == ""
        if progress:
            assert "30/30" in shown and "val_r2=" in shown and "100%" in shown
        else:
            assert shown == ""
    monkeypatch.setattr(sys, "stderr", None)  # a program without a console
    assert regressor().fit(X, REAL, epochs=1).stopped_by == "epochs"
