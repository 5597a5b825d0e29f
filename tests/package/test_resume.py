"""Trainings that were cut off and are resumed, to the bits of those that were not."""

from __future__ import annotations

import numpy as np
import pytest
from support import (
    OPTIMIZERS,
    assert_same_network,
    network,
    parameters_error,
    problem,
    reference_of,
)
from trainings import (
    ARGUMENTS,
    BATCH,
    EVERYTHING,
    MEMORIES,
    SIZES,
    XV,
    YV,
    Cut,
    N,
    X,
    Y,
    assert_resumed_is_whole,
    cut,
    resumed,
)

import fastmlp as fm
from fastmlp import schedules
from fastmlp._fit import minibatch
from fastmlp._fit.run import Run

# ---- calls that are cut off


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
