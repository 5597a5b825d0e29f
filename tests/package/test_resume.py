"""Training that goes on: later calls of fit, and calls that were cut off and are resumed."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

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
from fastmlp._fit import minibatch
from fastmlp._fit.run import Run

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

# What has a memory that resuming must take up: arguments of fit.
MEMORIES: dict[str, dict[str, Any]] = {
    "step": {"schedule": schedules.Step(2, 0.5)},
    "exponential by step": {"schedule": schedules.Exponential(0.9, by="step")},
    "inverse_scaling": {"schedule": schedules.InverseScaling()},
    "cosine": {"schedule": schedules.Cosine()},
    "cosine by step": {"schedule": schedules.Cosine(by="step")},
    "one_cycle": {"schedule": schedules.OneCycle()},
    "warmup": {"schedule": schedules.Warmup(8, then=schedules.Cosine(length=4), by="step")},
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
        "stop": [
            fm.EarlyStopping(monitor="loss", patience=9, restore_best=False),
            fm.EarlyStopping(patience=4),
        ],
        "validation": (XV, YV),
    },
    "norms": {"record_norms": True, "clip_norm": 0.2},
    "everything": {**ARGUMENTS, "schedule": schedules.Exponential(0.9), "validation": (XV, YV)},
}

WAYS = {
    "in memory": lambda net, folder: net,
    "file": lambda net, folder: (net.save(folder / "net"), fm.load(folder / "net"))[1],
    "pickle": lambda net, folder: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, folder: copy.deepcopy(net),
}


@pytest.fixture(params=WAYS)
def way(request: Any, tmp_path: Any) -> Any:
    """A way from a network to the one that goes on."""
    return lambda net: WAYS[request.param](net, tmp_path)


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


# ---- calls that are cut off


class Cut(fm.Callback):
    """Ends a training after an epoch in one of the ways in which one is cut off."""

    def __init__(self, how: str, epoch: int) -> None:
        self.how, self.epoch = how, epoch

    def on_epoch_end(self, network: Any, history: Any) -> Any:
        if network.epochs != self.epoch:
            return None
        if self.how == "Ctrl-C":
            raise KeyboardInterrupt
        if self.how == "error":
            raise RuntimeError("cut")
        return self.how == "callback"


def cut(net: fm.Network, how: str, epoch: int, arguments: dict[str, Any], epochs: int = 6) -> None:
    """Train until an epoch has ended, and no further."""
    try:
        net.fit(X, Y, epochs=epochs, callbacks=Cut(how, epoch), **arguments)
    except (KeyboardInterrupt, RuntimeError):
        pass
    stopped_by = {"Ctrl-C": "interrupted", "error": "error", "callback": "callback"}[how]
    assert (net.history.stopped_by, net.epochs) == (stopped_by, epoch)


def resumed(net: fm.Network, arguments: dict[str, Any], epochs: int = 6) -> fm.Network:
    net.fit(X, Y, epochs=epochs, callbacks=Cut("", 0), resume=True, **arguments)
    return net


def assert_resumed_is_whole(net: fm.Network, whole: fm.Network) -> None:
    assert_same_network(net, whole)
    for key in whole.history:
        assert net.history[key] == whole.history[key]
    assert net.history.epochs == whole.history.epochs
    assert net.history.stopped_by == whole.history.stopped_by
    assert net.history.best_epoch == whole.history.best_epoch


@pytest.mark.parametrize("how", ["Ctrl-C", "error", "callback"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_training_that_was_cut_off_between_epochs(way, memory, how):
    arguments = {"batch_size": BATCH, "optimizer": fm.Adam(0.02), **MEMORIES[memory]}
    options = EVERYTHING if memory == "everything" else {}
    whole = network(SIZES, **options)
    whole.fit(X, Y, epochs=6, callbacks=Cut("", 0), **arguments)
    net = network(SIZES, **options)
    cut(net, how, 2, arguments)
    assert_resumed_is_whole(resumed(way(net), arguments), whole)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("memory", ["cosine by step", "early stopping", "everything"])
def test_a_training_that_was_cut_off_within_an_epoch(way, memory, optimizer, monkeypatch):
    """Position, sums, order of rows and dropout's masks: all go on in the middle."""
    arguments = {"batch_size": BATCH, **MEMORIES[memory], "optimizer": optimizer}
    sizes = (9, 300, 400, 4)  # the clock is read after every step of it
    whole = network(sizes, **EVERYTHING)
    whole.fit(X, Y, epochs=4, **arguments)
    net = network(sizes, **EVERYTHING)
    cuts = iter((BATCH, 3 * BATCH, 2 * BATCH))
    wanted = next(cuts)

    def interrupt(run, rows_done):
        nonlocal wanted
        if rows_done == wanted and net.epochs > 0:
            wanted = next(cuts, None)
            raise KeyboardInterrupt

    monkeypatch.setattr(minibatch, "SLICE", 0.0)
    monkeypatch.setattr(Run, "show_share", interrupt)
    for resume in (False, True, True):
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, Y, epochs=4, resume=resume, **arguments)
        assert net.history.stopped_by == "interrupted"
        assert net.epochs == len(net.history)
        net = way(net)
    net.fit(X, Y, epochs=4, resume=True, threads=2, **arguments)
    assert_resumed_is_whole(net, whole)


def test_a_plain_fit_begins_the_epoch_that_was_cut_off_anew(monkeypatch):
    """What its batches did stays; the next fit takes the epoch from its first row on."""
    sizes, n, batch = (64, 300, 10), 600, 64
    x, y = problem(sizes, "softmax", "cross_entropy", n)
    net = network(sizes, hidden="tanh", dropout=0.3)
    plain = reference_of(net)
    monkeypatch.setattr(minibatch, "SLICE", 0.0)

    def interrupt(run, rows_done):
        if rows_done > 0.4 * n:
            raise KeyboardInterrupt

    arguments = {"epochs": 1, "batch_size": batch, "optimizer": fm.Adam(0.01), "shuffle": False}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "show_share", interrupt)
        net.fit(x, y, **arguments)
    assert net.history.stopped_by == "interrupted"
    assert (net.epochs, len(net.history)) == (0, 0)
    steps = net._training.trainer.step
    assert 0.4 * n / batch < steps < n // batch
    net.fit(x, y, **arguments)
    assert net.epochs == 1

    for step in range(steps):
        rows = np.arange(step * batch, (step + 1) * batch)
        plain.step(x[rows], y[rows], fm.Adam(0.01), masks=plain._masks(rows))
    plain.fit(x, y, 1, batch, fm.Adam(0.01))
    assert parameters_error(net, plain) < 1e-10


def test_a_checkpoint_is_resumed_to_the_same_bits(tmp_path):
    arguments = {
        **ARGUMENTS,
        "schedule": schedules.Exponential(0.9),
        "stop": fm.EarlyStopping(patience=9),
        "epochs": 6,
    }
    whole = network(SIZES, **EVERYTHING)
    # named first, called last
    callbacks = [fm.Checkpoint(tmp_path / "{epoch}"), lambda net, history: None]
    whole.fit(X, Y, callbacks=callbacks, **arguments)
    for epoch in range(1, 7):
        net = fm.load(tmp_path / str(epoch))
        assert net.epochs == epoch
        net.fit(X, Y, callbacks=callbacks, resume=True, **arguments)
        assert_resumed_is_whole(net, whole)
        assert_same_network(net.averaged(), whole.averaged())


def test_a_checkpoint_saves_a_stop_that_is_due(tmp_path):
    arguments = {
        "batch_size": N,
        "optimizer": fm.SGD(6.0, momentum=0.9),
        "stop": fm.EarlyStopping(monitor="loss", patience=2),
        "epochs": 100,
        "callbacks": fm.Checkpoint(tmp_path / "last"),
    }
    whole = network(SIZES)
    whole.fit(X, Y, **arguments)
    assert whole.history.stopped_by.startswith("early stopping")
    net = fm.load(tmp_path / "last")
    assert net.epochs == whole.epochs
    net.fit(X, Y, resume=True, **arguments)
    assert_resumed_is_whole(net, whole)


def test_the_best_checkpoint_knows_how_good_it_is(tmp_path):
    """Resumed from it, a worse epoch does not replace it."""
    arguments = {
        "batch_size": N,
        "optimizer": fm.SGD(3.0, momentum=0.9),
        "shuffle": False,
        "epochs": 12,
        "callbacks": fm.Checkpoint(tmp_path / "best", keep_best=True),
    }
    whole = network(SIZES)
    losses = whole.fit(X, Y, **arguments)["loss"]
    best = fm.load(tmp_path / "best")
    assert best.epochs == 1 + int(np.argmin(losses)) == 8
    # better than the save before the best one, worse than the best
    assert losses[11] < min(losses[:7])
    net = fm.load(tmp_path / "best")
    net.fit(X, Y, resume=True, **arguments)
    assert net.history["loss"] == losses
    assert_same_network(fm.load(tmp_path / "best"), best)


def test_a_time_budget_is_resumed_from_the_last_weights_not_the_best(way):
    arguments = {
        "batch_size": N,
        "optimizer": fm.SGD(6.0, momentum=0.9),
        "validation": (XV, YV),
        "shuffle": False,
    }
    early = fm.EarlyStopping(patience=50)
    whole = network(SIZES)
    losses = whole.fit(X, Y, epochs=14, stop=early, **arguments)["val_loss"]
    assert 1 + int(np.argmin(losses)) == whole.history.best_epoch

    net = network(SIZES)
    budget = fm.TimeBudget(1e-9)
    for calls in range(1, 20):
        net.fit(X, Y, epochs=14, stop=[budget, early], resume=calls > 1, **arguments)
        if net.history.stopped_by != "time budget":
            break
        assert net.evaluate(XV, YV)["loss"] == min(losses[: net.epochs])
        net = way(net)
    assert calls > 9
    assert_resumed_is_whole(net, whole)


def test_validation_that_was_cut_off_is_done_again(monkeypatch):
    from fastmlp._fit import run as fit

    arguments = {
        "validation": (XV, YV),
        "stop": fm.EarlyStopping(patience=9),
        "epochs": 5,
        "schedule": schedules.Plateau(patience=1),
    }
    whole, net = network(SIZES), network(SIZES)
    whole.fit(X, Y, **arguments)
    evaluate = fit.evaluate

    def interrupted(*args, **options):
        if net.epochs == 3:
            raise KeyboardInterrupt
        return evaluate(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fit, "evaluate", interrupted)
        net.fit(X, Y, **arguments)
    assert (net.epochs, len(net.history)) == (3, 3)
    assert np.isnan(net.history["val_loss"]).tolist() == [False, False, True]
    net.fit(X, Y, resume=True, **arguments)
    assert_resumed_is_whole(net, whole)


def test_what_was_set_since_is_taken_up_by_callbacks(way):
    class Counts(fm.Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, network, history):
            self.seen.append(network.epochs)
            if network.epochs == 2 and len(self.seen) == 2:
                self.seen.append("cut")
                raise KeyboardInterrupt

        def get_state(self):
            return {"seen": self.seen}

        def set_state(self, state):
            self.seen = state["seen"]

    net = network(SIZES)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, epochs=4, callbacks=Counts())
    second = Counts()
    way(net).fit(X, Y, epochs=4, callbacks=second, resume=True)
    assert second.seen == [1, 2, "cut", 3, 4]
    afresh = Counts()
    network(SIZES).fit(X, Y, epochs=1, callbacks=afresh)
    assert afresh.seen == [1]


# ---- what cannot be resumed


def test_there_must_be_something_to_resume():
    net = network(SIZES)
    with pytest.raises(ValueError, match="^resume=True .*nothing to resume"):
        net.fit(X, Y, resume=True)
    net.fit(X, Y, epochs=2)
    with pytest.raises(ValueError, match="nothing to resume"):
        net.fit(X, Y, epochs=2, resume=True)
    cut(net, "Ctrl-C", 4, {})
    net.fit(X, Y, epochs=1)
    with pytest.raises(ValueError, match="nothing to resume"):
        net.fit(X, Y, epochs=6, resume=True)
    with pytest.raises(ValueError, match="L-BFGS"):
        net.fit(X, Y, optimizer="lbfgs", resume=True)


OTHER = {
    "batch_size": (8, "batch_size was 16, now it is 8"),
    "epochs": (7, "epochs was 6, now it is 7"),
    "optimizer": (fm.Adam(0.5), "optimizer was adam"),
    "schedule": (schedules.Step(3), "schedule was cosine"),
    "stop": (fm.EarlyStopping(patience=8), "stop was"),
    "clip_norm": (1.0, "clip_norm was 0.5"),
    "ema": (0.8, "ema was 0.9"),
    "shuffle": (False, "shuffle was True"),
    "augment": (fm.augment.Noise(0.2), "augment was"),
    "record_norms": (True, "record_norms was False"),
    "validation": (0.3, "validation"),
    "callbacks": ((), "callbacks was"),
    "X": (X[:, ::-1], "X has the same shape and dtype, but other values"),
    "y": (Y[::-1].copy(), "y has the same shape and dtype, but other values"),
    "sample_weight": (np.ones(N), "sample_weight has"),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_differs_is_said_and_nothing_changes(way, name):
    arguments = {
        **ARGUMENTS, "epochs": 6, "schedule": schedules.Cosine(),
        "stop": [fm.EarlyStopping(patience=9), fm.TimeBudget(100)],
    }  # fmt: skip
    net, whole = network(SIZES), network(SIZES)
    whole.fit(X, Y, callbacks=Cut("", 0), **arguments)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=Cut("Ctrl-C", 2), **arguments)
    net = way(net)
    before = [w.tobytes() for w in net.weights]
    same = {"X": X, "y": Y, "callbacks": Cut("", 0), "resume": True, **arguments}
    value, message = OTHER[name]
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        net.fit(**{**same, name: value})
    assert [w.tobytes() for w in net.weights] == before
    assert (net.epochs, net.history.stopped_by) == (2, "interrupted")
    net.fit(**{**same, "stop": [fm.EarlyStopping(patience=9)]})  # budgets are not compared
    assert_same_network(net, whole)


def test_data_of_another_shape_or_dtype():
    net = network(SIZES)
    cut(net, "Ctrl-C", 2, {"validation": (XV, YV)})
    for changed, message in (
        ({"X": np.tile(X, (2, 1)), "y": np.tile(Y, 2)}, r"X had the shape \(70, 9\)"),
        ({"X": X.astype(np.float32)}, "X had the dtype '<f8', now it has '<f4'"),
        ({"validation": (XV + 1, YV)}, "X of the validation data has the same shape"),
        ({"validation": None}, "validation data of their own were given"),
        ({"sample_weight": np.ones(N)}, "sample_weight was not given then"),
    ):
        arguments = {"X": X, "y": Y, "validation": (XV, YV), **changed}
        with pytest.raises(ValueError, match=message):
            net.fit(**arguments, epochs=6, callbacks=Cut("", 0), resume=True)
    assert_same_network(resumed(net, {"validation": (XV, YV)}), uncut())


def uncut() -> fm.Network:
    whole = network(SIZES)
    whole.fit(X, Y, epochs=6, callbacks=Cut("", 0), validation=(XV, YV))
    return whole
