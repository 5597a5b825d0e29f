"""Later calls of fit: what goes on, what starts afresh, what assigned weights drop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    OPTIMIZERS,
    assert_same_bits,
    assert_same_network,
    instruction_set,
    network,
    parameters_error,
    problem,
)
from trainings import (
    ARGUMENTS,
    BATCH,
    EVERYTHING,
    SIZES,
    XV,
    YV,
    N,
    X,
    Y,
    cut,
)

import fastmlp as fm
from fastmlp import schedules
from fastmlp._fit import minibatch
from fastmlp._fit.run import Run

# ---- later calls of fit


def assert_parts_are_the_whole(way, options, arguments, parts=(2, 3)):
    """fit(2), then fit(3), is fit(5)."""
    whole = network(SIZES, **options)
    whole.fit(X, Y, epochs=sum(parts), **arguments)
    net, history = network(SIZES, **options), {}
    for epochs in parts:
        net = way(net)
        net.fit(X, Y, epochs=epochs, **arguments)
        for key in net.history:
            history.setdefault(key, []).extend(net.history[key])
    assert history == {key: whole.history[key] for key in whole.history}
    assert net.history.stopped_by == whole.history.stopped_by
    assert_same_network(net, whole)
    if "ema" in arguments:
        assert_same_network(net.averaged(), whole.averaged())


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(way, optimizer):
    for dtype in DTYPES:
        arguments = {"batch_size": BATCH, "optimizer": optimizer}
        assert_parts_are_the_whole(way, {"dtype": dtype, "dropout": 0.3}, arguments)


def test_everything_at_once(way):
    for dtype in DTYPES:
        assert_parts_are_the_whole(way, {**EVERYTHING, "dtype": dtype}, ARGUMENTS)
        assert_parts_are_the_whole(way, {**EVERYTHING, "dtype": dtype}, ARGUMENTS, (1, 1, 1))


def test_an_average_that_has_no_step_yet_starts_at_the_first(way):
    """A fit of no epochs (or one that ends before its first step) leaves no average of zeros."""
    arguments = {"batch_size": BATCH, "optimizer": fm.SGD(0.1), "ema": 0.9}
    whole, net = network(SIZES), network(SIZES)
    for each in (whole, net):
        each.fit(X, Y, epochs=1, batch_size=BATCH, optimizer=fm.SGD(0.1))
    whole.fit(X, Y, epochs=2, **arguments)
    net.fit(X, Y, epochs=0, **arguments)
    with pytest.raises(ValueError, match="averaged"):
        net.averaged()
    net = way(net)
    net.fit(X, Y, epochs=2, **arguments)
    assert_same_network(net.averaged(), whole.averaged())


def test_an_average_outlives_fits_without_one_and_other_optimizers(way):
    net = network(SIZES)
    net.fit(X, Y, epochs=2, optimizer=fm.Adam(0.01), ema=0.9)
    average = list(net.averaged().weights)
    net.fit(X, Y, epochs=1, optimizer=fm.Adam(0.01))
    assert_same_bits(list(net.averaged().weights), average)
    net = way(net)
    net.fit(X, Y, epochs=1, optimizer=fm.SGD(0.01, momentum=0.5))
    assert_same_bits(list(net.averaged().weights), average)
    net.fit(X, Y, epochs=1, optimizer="lbfgs")
    assert_same_bits(list(net.averaged().weights), average)


def test_another_optimizer_starts_afresh_but_goes_on_with_the_epochs():
    net, other = network(SIZES, dropout=0.3), network(SIZES, dropout=0.3)
    sgd = {"epochs": 1, "optimizer": fm.SGD(0.1, momentum=0.9)}
    net.fit(X, Y, epochs=2, optimizer=fm.Adam(0.01))
    net.fit(X, Y, **sgd)
    # two epochs that change nothing, and the weights after two epochs of Adam
    other.fit(X, Y, epochs=2, optimizer=fm.SGD(1e-30))
    adam = network(SIZES, dropout=0.3)
    adam.fit(X, Y, epochs=2, optimizer=fm.Adam(0.01))
    other.weights, other.biases = adam.weights, adam.biases
    other.fit(X, Y, **sgd)
    assert_same_bits(list(net.weights), list(other.weights))
    assert net.epochs == other.epochs == 3


def test_a_copy_is_its_own(way):
    net = network(SIZES)
    net.fit(X, Y, epochs=1)
    other = way(net)
    if other is net:
        return
    before = net.weights
    other.fit(X, Y, epochs=1)
    assert_same_bits(list(net.weights), list(before))
    assert not np.array_equal(other.weights[0], before[0])


def test_slices_of_time_leave_no_trace(monkeypatch):
    """The engine returns every 50 ms to let Python look at signals: at any place in an epoch."""
    sizes, n = (64, 300, 10), 600
    x, y = problem(sizes, "softmax", "cross_entropy", n)
    x = x.astype(np.float32)  # rows that are copied in the step before
    options = {"dropout": 0.3, "dtype": "float32"}
    by_step = {"schedule": schedules.Cosine(by="step")}
    for more in ({}, by_step):
        arguments = {"epochs": 3, "batch_size": 64, "ema": 0.9, "record_norms": True, **more}
        assert_slices_leave_no_trace(sizes, options, (x, y), arguments, monkeypatch)


def assert_slices_leave_no_trace(sizes, options, data, arguments, monkeypatch):
    whole = network(sizes, **options)
    monkeypatch.setattr(minibatch, "SLICE", 1e9)
    whole.fit(*data, **arguments)
    slices = []
    monkeypatch.setattr(minibatch, "SLICE", 0.0)
    monkeypatch.setattr(Run, "show_share", lambda run, rows: slices.append(rows))
    for threads in (1, 2):
        net = network(sizes, **options)
        net.fit(*data, threads=threads, **arguments)
        assert_same_network(net, whole)
        for key in whole.history:
            assert net.history[key] == whole.history[key]
    # it did return within the epochs
    assert sum(0 < rows < len(data[0]) for rows in slices) > 10


def test_a_file_is_read_by_every_instruction_set(tmp_path):
    """The engine's own order of parameters differs between them; what is saved does not."""
    for dtype in DTYPES:
        arguments = {"batch_size": N, "optimizer": fm.SGD(1.0, momentum=0.9), "ema": 0.9}
        net = network(SIZES, dtype=dtype)
        cut(net, "callback", 5, {**arguments, "stop": fm.EarlyStopping(patience=50)})
        net.save(tmp_path / "net")
        for isa in ISAS:
            with instruction_set(isa):
                fm.load(tmp_path / "net").save(tmp_path / isa)
                other = fm.load(tmp_path / isa)
                assert other._model.core.isa == isa
                other.fit(X, Y, epochs=1, **arguments)
            assert_same_network(fm.load(tmp_path / isa), net)
            on = fm.load(tmp_path / isa)
            on.fit(X, Y, epochs=1, **arguments)
            assert other.history["loss"][0] == pytest.approx(on.history["loss"][0], rel=1e-5)
            assert parameters_error(other.averaged(), on.averaged()) < 1e-5


# ---- schedules, rules, callbacks and best weights start afresh


def test_a_second_fit_starts_schedules_and_rules_afresh():
    """Fine-tuning is not undone by the best weights of other data, nor done at rate 0."""
    net = network(SIZES)
    arguments = {"batch_size": BATCH, "schedule": schedules.Cosine(length=5)}
    rates = net.fit(X, Y, epochs=5, **arguments)["learning_rate"]
    assert net.fit(X, Y, epochs=5, **arguments)["learning_rate"] == rates

    stop = fm.EarlyStopping(monitor="loss", patience=3)
    net.fit(X, Y, epochs=4, stop=stop)
    before = list(net.weights)
    other = np.random.default_rng(0).integers(0, 4, N)  # harder: its loss never gets as low
    history = net.fit(X, other, epochs=5, stop=stop)
    assert history.best_epoch > 4
    assert not np.array_equal(net.weights[0], before[0])
    assert len(history) == 5 or history.stopped_by.startswith("early stopping")


@pytest.mark.parametrize("restoring", [0, 1])
def test_each_early_stopping_keeps_its_own_best(restoring):
    """The restoring rule's best epoch is restored, though the other one improved last."""
    seen = {}

    def note(net, history):
        seen[net.epochs] = list(net.weights)

    rules = [
        fm.EarlyStopping(monitor="val_loss", patience=50, restore_best=restoring == 0),
        fm.EarlyStopping(monitor="loss", patience=50, restore_best=restoring == 1),
    ]
    net = network(SIZES)
    history = net.fit(
        X, Y, epochs=40, batch_size=N, optimizer=fm.SGD(6.0, momentum=0.9), validation=(XV, YV),
        stop=rules, callbacks=note,
    )  # fmt: skip
    best = 1 + int(np.argmin(history[("val_loss", "loss")[restoring]]))
    other = 1 + int(np.argmin(history[("loss", "val_loss")[restoring]]))
    assert best != other
    assert history.best_epoch == best
    assert_same_bits(list(net.weights), seen[best])


def test_a_second_checkpoint_of_the_best_writes_its_file(tmp_path):
    net = network(SIZES)
    for name in ("one", "two"):
        callback = fm.Checkpoint(tmp_path / name, keep_best=True)
        net.fit(X, Y, epochs=2, optimizer=fm.SGD(1e-30), callbacks=callback)
        assert (tmp_path / name).exists()
    same = fm.Checkpoint(tmp_path / "three", keep_best=True)
    net.fit(X, Y, epochs=1, callbacks=same)
    (tmp_path / "three").unlink()
    net.fit(X, Y, epochs=1, optimizer=fm.SGD(1e-30), callbacks=same)
    assert (tmp_path / "three").exists()


# ---- assigned weights are never undone


def test_assigned_weights_are_never_undone(way):
    stop = fm.EarlyStopping(monitor="loss", patience=20)
    net = network(SIZES)
    cut(net, "callback", 3, {"stop": stop, "ema": 0.9})
    zeros = [np.zeros_like(w) for w in net.weights]
    net.weights = zeros
    assert_same_bits(list(net.weights), zeros)
    with pytest.raises(ValueError, match="averaged"):
        net.averaged()
    net = way(net)
    with pytest.raises(ValueError, match="nothing to resume"):
        net.fit(X, Y, resume=True)
    net.fit(X, Y, epochs=0, stop=stop)
    assert_same_bits(list(net.weights), zeros)


def test_weights_assigned_in_a_callback_are_not_undone_by_best_weights_of_before():
    zeros = [np.zeros((b, a)) for a, b in pairwise(SIZES)]

    def assign(net, history):
        if net.epochs == 3:
            net.weights = zeros

    net = network(SIZES)
    arguments = {"optimizer": fm.SGD(1e-30), "stop": fm.EarlyStopping(monitor="loss", patience=9)}
    net.fit(X, Y, epochs=4, callbacks=assign, **arguments)
    assert all(np.abs(w).max() < 1e-20 for w in net.weights)
    assert net.history.best_epoch == 4
