"""Random trainings, cut off anywhere: interrupted and resumed equals uninterrupted, to the bit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from support import assert_same_network, problem

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastmlp as fm
from fastmlp import schedules
from fastmlp._fit import minibatch, run
from fastmlp._fit.run import Run

SIZES = (9, 300, 400, 4)  # the clock is read after each step, so that every step may be the last
N = 70
X, Y = problem(SIZES, "softmax", "cross_entropy", N)
XV, YV = problem(SIZES, "softmax", "cross_entropy", 40, seed=2)

OPTIMIZERS = st.sampled_from(
    [
        fm.SGD(0.1),
        fm.SGD(0.05, momentum=0.9, nesterov=True),
        fm.Adam(0.01),
        fm.AdamW(0.01, weight_decay=0.1),
        fm.RMSprop(0.005, momentum=0.5, centered=True),
        fm.Adagrad(0.05, learning_rate_decay=0.1),
        fm.Rprop(0.01),
    ]
)
BY = st.sampled_from(["epoch", "step"])
SCHEDULES = st.one_of(
    st.none(),
    st.builds(schedules.Step, st.integers(1, 5), st.floats(0.3, 0.9), by=BY),
    st.builds(schedules.Exponential, st.floats(0.8, 0.99), by=BY),
    st.builds(schedules.Cosine, by=BY),
    st.builds(schedules.OneCycle, by=BY),
    st.just(schedules.Plateau(patience=1, factor=0.5, min_delta=0.01)),
    st.builds(schedules.Warmup, st.integers(1, 7), then=st.just(schedules.Cosine()), by=BY),
)
RULES = st.lists(
    st.one_of(
        st.builds(fm.EarlyStopping, st.integers(1, 4), restore_best=st.just(False)),
        st.builds(fm.Tolerance, st.sampled_from([1e-3, 0.05]), st.integers(1, 4)),
        st.builds(fm.TargetLoss, st.sampled_from([0.2, 1.0])),
    ),
    max_size=2,
)
RESTORING = st.lists(st.builds(fm.EarlyStopping, st.integers(1, 4)), max_size=1)

ARGUMENTS = st.fixed_dictionaries(
    {
        "epochs": st.integers(1, 5),
        "batch_size": st.sampled_from([13, 16, 35, 70, 100]),
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "stop": st.builds(lambda a, b: a + b, RULES, RESTORING),
        "validation": st.sampled_from([None, 0.2, (XV, YV)]),
        "sample_weight": st.sampled_from([None, np.arange(N) % 3 + 0.5]),
        "class_weight": st.sampled_from([None, "balanced"]),
        "clip_norm": st.sampled_from([None, 0.5]),
        "ema": st.sampled_from([None, 0.9]),
        "shuffle": st.booleans(),
        "augment": st.sampled_from([None, fm.augment.Noise(0.1)]),
        "record_norms": st.booleans(),
    }
)
OPTIONS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["float32", "float64"]),
        "dropout": st.sampled_from([0.0, 0.4, (0.1, 0.0, 0.3)]),
        "l2": st.sampled_from([0.0, 1e-3]),
        "max_norm": st.sampled_from([None, 1.0]),
    }
)
WAYS = {
    "memory": lambda net: net,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}
# The moments of interruptions, in looks of the training at the world since the last one, and the
# ways from there to the network that goes on.
CUTS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([*WAYS])), max_size=3)


class Idle(fm.Callback):
    """Does nothing, where an interruption may come."""


class Interruptions:
    """Raises KeyboardInterrupt after so many looks: at a step, in a callback, in a validation."""

    def __init__(self) -> None:
        self.left: int | None = None

    def look(self, *_: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KeyboardInterrupt


def fitted(net: fm.Network, arguments: dict[str, Any], **more: Any) -> None:
    net.fit(X, Y, callbacks=Idle(), **arguments, **more)


def check_that_cuts_leave_no_trace(
    options: dict[str, Any], arguments: dict[str, Any], cuts: list[tuple[int, str]], threads: int
) -> None:
    whole, net = fm.Network(SIZES, **options), fm.Network(SIZES, **options)
    fitted(whole, arguments)
    interruptions = Interruptions()
    evaluate = run.evaluate

    def looking(*args: Any, **keywords: Any) -> Any:
        interruptions.look()
        return evaluate(*args, **keywords)

    resume = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minibatch, "SLICE", 0.0)
        patch.setattr(Run, "show_share", interruptions.look)
        patch.setattr(Idle, "on_epoch_end", interruptions.look)
        patch.setattr(run, "evaluate", looking)
        for looks, way in cuts:
            interruptions.left = looks
            try:
                fitted(net, arguments, resume=resume, threads=threads)
            except KeyboardInterrupt:
                assert net.history.stopped_by == "interrupted"
                assert len(net.history) == net.epochs
                net, resume = WAYS[way](net), True
            else:
                interruptions.left = None
                break
        else:
            interruptions.left = None
            fitted(net, arguments, resume=resume)
    assert_same_network(net, whole)
    assert net.history.stopped_by == whole.history.stopped_by
    assert net.history.best_epoch == whole.history.best_epoch
    assert net.history.keys() == whole.history.keys()
    for key in whole.history:
        np.testing.assert_array_equal(net.history[key], whole.history[key])


def without_divergence(check: Any, *args: Any) -> None:
    """A random training may diverge; then it does so whether it is cut off or not."""
    try:
        check(*args)
    except fm.DivergenceError:
        pass


CHECKS = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@settings(max_examples=40, derandomize=True, **CHECKS)
@given(OPTIONS, ARGUMENTS, CUTS, st.sampled_from([1, 2]))
def test_cuts_leave_no_trace(options, arguments, cuts, threads):
    without_divergence(check_that_cuts_leave_no_trace, options, arguments, cuts, threads)


@pytest.mark.stress
@settings(max_examples=3000, **CHECKS)
@given(OPTIONS, ARGUMENTS, CUTS, st.sampled_from([1, 2, 3]))
def test_many_cuts_leave_no_trace(options, arguments, cuts, threads):
    without_divergence(check_that_cuts_leave_no_trace, options, arguments, cuts, threads)


@settings(max_examples=15, derandomize=True, **CHECKS)
@given(OPTIONS, ARGUMENTS, st.sampled_from([2, 3, 7]))
def test_equal_calls_give_equal_bits(options, arguments, threads):
    def check() -> None:
        one, other = fm.Network(SIZES, **options), fm.Network(SIZES, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(minibatch, "SLICE", 0.0)
            fitted(one, arguments, threads=threads)
        fitted(other, arguments, threads=1)
        assert_same_network(one, other)

    without_divergence(check)


@settings(max_examples=15, derandomize=True, **CHECKS)
@given(OPTIONS, ARGUMENTS, st.integers(0, 3))
def test_a_fit_in_parts_is_the_whole(options, arguments, first):
    """Where nothing starts afresh: no schedule, no rule."""

    def check() -> None:
        plain = {**arguments, "schedule": None, "stop": None}
        epochs = plain.pop("epochs")
        whole, parts = fm.Network(SIZES, **options), fm.Network(SIZES, **options)
        fitted(whole, plain, epochs=first + epochs)
        fitted(parts, plain, epochs=first)
        fitted(parts, plain, epochs=epochs)
        assert_same_network(parts, whole)

    without_divergence(check)
