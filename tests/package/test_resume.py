"""Training that is interrupted and resumed, in memory or through a file, ends in the same bits."""

from __future__ import annotations

import copy
import pickle

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
    reference_of,
)

import fastmlp as fm
from fastmlp import schedules
from fastmlp._fit import fit as training

SIZES = (9, 33, 17, 4)
N, BATCH = 70, 16
X, Y = problem(SIZES, "softmax", "cross_entropy", N)
XV, YV = problem(SIZES, "softmax", "cross_entropy", 40, seed=2)

EVERYTHING = {"dropout": (0.1, 0.4, 0.2), "l1": 1e-3, "l2": 1e-2, "max_norm": 0.9}
ARGUMENTS = {
    "batch_size": BATCH,
    "optimizer": fm.Adam(0.01),
    "ema": 0.9,
    "clip_norm": 0.5,
    "sample_weight": np.arange(N) % 3,
    "augment": [
        fm.augment.Affine((3, 3), rotate=30, shift=0.5),
        fm.augment.Noise(0.1),
        fm.augment.Mask(0.1),
    ],
}

# What has a memory that must go on: (arguments of fit).
MEMORIES = {
    "step": {"schedule": schedules.Step(2, 0.5)},
    "exponential by step": {"schedule": schedules.Exponential(0.9, by="step")},
    "inverse_scaling": {"schedule": schedules.InverseScaling()},
    "cosine": {"schedule": schedules.Cosine(length=5)},
    "one_cycle": {"schedule": schedules.OneCycle(length=25)},
    "warmup": {"schedule": schedules.Warmup(8, then=schedules.Cosine(length=4))},
    "plateau": {"schedule": schedules.Plateau(patience=1, factor=0.5, min_delta=0.05)},
    "plateau on validation": {
        "schedule": schedules.Plateau(patience=1, min_delta=0.1),
        "validation": (XV, YV),
    },
    "share for validation": {"validation": 0.2},
    "early stopping": {"stop": fm.EarlyStopping(patience=3), "validation": (XV, YV)},
    "early stopping, no best": {
        "stop": fm.EarlyStopping(patience=4, restore_best=False),
        "validation": (XV, YV),
    },
    "tolerance": {"stop": fm.Tolerance(0.02, patience=3)},
    "two rules": {
        "stop": [fm.Tolerance(0.001, patience=9), fm.EarlyStopping(patience=4)],
        "validation": (XV, YV),
    },
    "norms": {"record_norms": True, "clip_norm": 0.2},
}

WAYS = {
    "in memory": lambda net, folder: net,
    "file": lambda net, folder: (net.save(folder / "net"), fm.load(folder / "net"))[1],
    "pickle": lambda net, folder: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, folder: copy.deepcopy(net),
}


@pytest.fixture(params=WAYS)
def way(request, tmp_path):
    """A way from a network to the one that goes on."""
    return lambda net: WAYS[request.param](net, tmp_path)


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
    return whole


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(way, optimizer):
    for dtype in DTYPES:
        arguments = {"batch_size": BATCH, "optimizer": optimizer}
        assert_parts_are_the_whole(way, {"dtype": dtype, "dropout": 0.3}, arguments)


@pytest.mark.parametrize("memory", MEMORIES)
def test_schedules_and_stop_rules(way, memory):
    arguments = {"batch_size": BATCH, "optimizer": fm.Adam(0.02), **MEMORIES[memory]}
    assert_parts_are_the_whole(way, {}, arguments)
    assert_parts_are_the_whole(way, {}, arguments, parts=(1, 1, 1, 1, 1))


def test_everything_at_once(way):
    for dtype in DTYPES:
        assert_parts_are_the_whole(way, {**EVERYTHING, "dtype": dtype}, ARGUMENTS)


def test_stop_rules_stop_in_the_same_epoch(way):
    """A rule that has waited two epochs before the interruption waits only the rest after it."""
    for stop in (fm.EarlyStopping(patience=3), fm.Tolerance(1e-9, patience=3)):
        arguments = {
            "batch_size": N,
            "optimizer": fm.SGD(3.0, momentum=0.9),
            "stop": stop,
            "shuffle": False,
        }
        whole = network(SIZES)
        epochs = len(whole.fit(X, Y, epochs=400, **arguments))
        assert 3 < epochs < 400  # it was the rule that ended it
        net = network(SIZES)
        net.fit(X, Y, epochs=epochs - 1, **arguments)
        assert net.history.stopped_by == "epochs"
        net = way(net)
        assert len(net.fit(X, Y, epochs=400, **arguments)) == 1
        assert net.history.stopped_by == whole.history.stopped_by
        assert net.history.best_epoch == whole.history.best_epoch
        assert_same_bits(list(net.weights), list(whole.weights))


def test_early_stopping_goes_on_from_the_last_weights_not_the_best(way):
    """After fit has gone back to the best weights, a later fit goes on where the training was."""
    for rate, best in (
        (1.0, 3),
        (6.0, 10),
    ):  # the second finds a better epoch after the interruption
        optimizer, stop = fm.SGD(rate, momentum=0.9), fm.EarlyStopping(patience=50)
        arguments = {
            "batch_size": N,
            "optimizer": optimizer,
            "stop": stop,
            "validation": (XV, YV),
            "shuffle": False,
        }
        net, whole = network(SIZES), network(SIZES)
        losses = whole.fit(X, Y, epochs=14, **arguments)["val_loss"]
        assert whole.history.best_epoch == 1 + int(np.argmin(losses)) == best
        net.fit(X, Y, epochs=9, **arguments)
        assert net.history.best_epoch < 9
        assert net.evaluate(XV, YV)["loss"] == min(losses[:9])
        net = way(net)
        net.fit(X, Y, epochs=5, **arguments)
        assert_same_network(net, whole)


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path):
    arguments = {
        **ARGUMENTS,
        "schedule": schedules.Exponential(0.9),
        "stop": fm.EarlyStopping(patience=9),
    }
    callback = fm.Checkpoint(tmp_path / "{epoch}")
    whole = network(SIZES, **EVERYTHING)
    whole.fit(X, Y, epochs=6, callbacks=callback, **arguments)
    for epoch in range(1, 6):
        net = fm.load(tmp_path / str(epoch))
        assert net.epochs == epoch
        net.fit(X, Y, epochs=6 - epoch, callbacks=fm.Checkpoint(tmp_path / "other"), **arguments)
        assert net.history["loss"] == whole.history["loss"][epoch:]
        assert_same_bits(list(net.weights), list(whole.weights))
        assert_same_network(net.averaged(), whole.averaged())
    assert_same_network(fm.load(tmp_path / "other"), fm.load(tmp_path / "6"))


def test_the_best_checkpoint_knows_how_good_it_is(tmp_path):
    """Going on from it, a worse epoch does not replace it."""
    arguments = {"batch_size": N, "optimizer": fm.SGD(3.0, momentum=0.9), "shuffle": False}
    whole = network(SIZES)
    losses = whole.fit(
        X, Y, epochs=12, callbacks=fm.Checkpoint(tmp_path / "best", keep_best=True), **arguments
    )["loss"]
    best = fm.load(tmp_path / "best")
    assert best.epochs == 1 + int(np.argmin(losses)) == 8
    # Better than the save before the best one, worse than the best.
    assert losses[11] < min(losses[:7])
    net = fm.load(tmp_path / "best")
    callback = fm.Checkpoint(tmp_path / "best", keep_best=True)
    net.fit(X, Y, epochs=12 - best.epochs, callbacks=callback, **arguments)
    assert net.history["loss"] == losses[best.epochs :]
    assert_same_network(fm.load(tmp_path / "best"), best)


def test_a_file_is_read_by_every_instruction_set(tmp_path):
    """The engine's own order of parameters differs between them; what is saved does not."""
    for dtype in DTYPES:
        arguments = {
            "batch_size": N,
            "optimizer": fm.SGD(1.0, momentum=0.9),
            "stop": fm.EarlyStopping(patience=50),
        }
        arguments["validation"] = XV, YV
        net = network(SIZES, dtype=dtype)
        net.fit(X, Y, epochs=9, ema=0.9, **arguments)
        assert net._training.last is not None  # the best weights and the last ones are two
        net.save(tmp_path / "net")
        for isa in ISAS:
            with instruction_set(isa):
                fm.load(tmp_path / "net").save(tmp_path / isa)
                other = fm.load(tmp_path / isa)
                assert other._model.core.isa == isa
                other.fit(X, Y, epochs=1, ema=0.9, **arguments)
            assert_same_network(fm.load(tmp_path / isa), net)
            on = fm.load(tmp_path / isa)
            on.fit(X, Y, epochs=1, ema=0.9, **arguments)
            assert other.history["loss"][0] == pytest.approx(on.history["loss"][0], rel=1e-5)
            assert parameters_error(other.averaged(), on.averaged()) < 1e-5


def test_an_average_that_has_no_step_yet_starts_at_the_first(way):
    """A fit of no epochs, or one that ends before its first step, leaves no average of zeros."""
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


def test_slices_of_time_leave_no_trace(monkeypatch):
    """The engine returns every 50 ms to let Python see signals: anywhere within an epoch."""
    sizes, n = (64, 300, 10), 600
    x, y = problem(sizes, "softmax", "cross_entropy", n)
    x = x.astype(np.float32)  # rows that are copied in the step before
    options, arguments = (
        {"dropout": 0.3, "dtype": "float32"},
        {"batch_size": 64, "ema": 0.9, "record_norms": True},
    )
    whole = network(sizes, **options)
    monkeypatch.setattr(training, "SLICE", 1e9)
    whole.fit(x, y, epochs=3, **arguments)
    slices = []
    monkeypatch.setattr(training, "SLICE", 0.0)
    monkeypatch.setattr(training.Run, "_show", lambda run, share, *_: slices.append(share))
    for threads in (1, 2):
        net = network(sizes, **options)
        net.fit(x, y, epochs=3, threads=threads, **arguments)
        assert_same_network(net, whole)
        for key in whole.history:
            assert net.history[key] == whole.history[key]
    assert sum(0 < share < 1 for share in slices) > 10  # it did return within the epochs


def test_another_optimizer_starts_afresh_but_goes_on_with_the_epochs():
    net, other = network(SIZES, dropout=0.3), network(SIZES, dropout=0.3)
    net.fit(X, Y, epochs=2, optimizer=fm.Adam(0.01))
    net.fit(X, Y, epochs=1, optimizer=fm.SGD(0.1, momentum=0.9))
    other.fit(X, Y, epochs=2, optimizer=fm.Adam(0.01))
    other.weights, other.biases = other.weights, other.biases
    fresh = network(SIZES, dropout=0.3)
    fresh.weights, fresh.biases, fresh.epochs = other.weights, other.biases, 2
    fresh.fit(X, Y, epochs=1, optimizer=fm.SGD(0.1, momentum=0.9))
    assert_same_bits(list(net.weights), list(fresh.weights))
    assert net.epochs == 3


def test_a_copy_is_its_own(way, request):
    net = network(SIZES)
    net.fit(X, Y, epochs=1)
    other = way(net)
    if other is net:
        return
    before = net.weights
    other.fit(X, Y, epochs=1)
    assert_same_bits(list(net.weights), list(before))
    assert not np.array_equal(other.weights[0], before[0])


def test_an_epoch_that_was_interrupted_begins_again(monkeypatch):
    """What its batches did stays; the next fit takes the epoch from its first row on."""
    sizes, n, batch = (64, 300, 10), 600, 64
    x, y = problem(sizes, "softmax", "cross_entropy", n)
    net = network(sizes, hidden="tanh", dropout=0.3)
    twin = reference_of(net)
    monkeypatch.setattr(training, "SLICE", 0.0)

    def interrupt(run, share, *_):
        if share > 0.4:
            raise KeyboardInterrupt

    arguments = {"epochs": 1, "batch_size": batch, "optimizer": fm.Adam(0.01), "shuffle": False}
    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "_show", interrupt)
        history = net.fit(x, y, **arguments)
    assert history.stopped_by == "interrupted"
    assert (net.epochs, len(history)) == (0, 0)
    steps = net._training.trainer.step
    assert 0.4 * n / batch < steps < n // batch
    net.fit(x, y, **arguments)
    assert net.epochs == 1

    for step in range(steps):
        rows = np.arange(step * batch, (step + 1) * batch)
        twin.step(x[rows], y[rows], fm.Adam(0.01), masks=twin._masks(rows))
    twin.fit(x, y, 1, batch, fm.Adam(0.01))
    assert parameters_error(net, twin) < 1e-10
