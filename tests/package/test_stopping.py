"""Stop rules: sequences of losses that stop, what is monitored, states through JSON."""

import json
import math

import pytest

import fastmlp as fm
from fastmlp.history import maximised, monitored
from fastmlp.stopping import resolve_stop


def stops(rule, key, values, has_validation=False):
    """Return (epochs run, reason, epochs that improved), the state through JSON each time."""
    state, best = rule.initial_state(), []
    for epoch, value in enumerate(values, start=1):
        record = {"epoch": epoch, "seconds": 0.5, "loss": 1.0, key: value}
        before = dict(state)
        after, reason, improved = rule.observe(state, record, has_validation)
        assert state == before
        if improved:
            best.append(epoch)
        if reason:
            return epoch, reason, best
        state = json.loads(json.dumps(after, allow_nan=False))
    return len(values), None, best


def test_early_stopping():
    losses = [3, 2, 2, 2.5, 1, 1.5, 1, 1.2, 0.5]
    expected = (8, "early stopping: loss no better than 1 for 3 epochs", [1, 2, 5])
    assert stops(fm.EarlyStopping(patience=3), "loss", losses) == expected
    assert stops(fm.EarlyStopping(patience=4), "loss", losses) == (9, None, [1, 2, 5, 9])
    assert stops(fm.EarlyStopping(patience=1), "loss", losses)[:2] == (
        3, "early stopping: loss no better than 2 for 1 epoch",
    )  # fmt: skip


def test_early_stopping_by_more_than_min_delta():
    losses = [1.0, 0.95, 0.91, 0.89, 0.85, 0.5]
    assert stops(fm.EarlyStopping(patience=3, min_delta=0.1), "loss", losses) == (
        6,
        None,
        [1, 4, 6],
    )
    assert stops(fm.EarlyStopping(patience=2, min_delta=0.1), "loss", losses)[0] == 3


def test_early_stopping_watches_validation_where_there_is_one():
    rule = fm.EarlyStopping(patience=2)
    assert stops(rule, "val_loss", [2, 1, 1, 1, 0], has_validation=True) == (
        4, "early stopping: val_loss no better than 1 for 2 epochs", [1, 2],
    )  # fmt: skip
    assert (
        stops(fm.EarlyStopping(monitor="loss", patience=2), "val_loss", [4, 3, 2, 1], True)[0] == 3
    )


def test_early_stopping_maximises_an_accuracy():
    rule = fm.EarlyStopping(monitor="val_accuracy", patience=2)
    assert stops(rule, "val_accuracy", [0.5, 0.7, 0.7, 0.6, 0.9], True)[::2] == (4, [1, 2])


def test_early_stopping_counts_nan_as_no_improvement():
    assert stops(fm.EarlyStopping(patience=2), "loss", [math.nan, 1, math.nan, 0.5]) == (
        4,
        None,
        [2, 4],
    )
    assert stops(fm.EarlyStopping(patience=2), "loss", [math.nan] * 3)[0] == 2


def test_tolerance():
    rule = fm.Tolerance(0.1, patience=3)
    assert stops(rule, "loss", [2, 1, 0.95, 0.92, 0.95, 0.1]) == (5, "tolerance", [])
    assert stops(rule, "loss", [2, 1, 0.95, 0.8, 0.75, 0.74, 0.5]) == (7, None, [])
    # a steady fall by less than the tolerance stops, though it adds up to more
    assert stops(rule, "loss", [1.0, 0.95, 0.9, 0.85, 0.8]) == (4, "tolerance", [])
    assert stops(fm.Tolerance(0.0, patience=2), "loss", [1, 1, 1, 0])[0] == 3


def test_a_time_budget_does_not_stop_by_a_record():
    """The clock of the call does: see test_promises.py and test_resume.py."""
    assert stops(fm.TimeBudget(0.1), "loss", [1] * 9) == (9, None, [])


def test_target_loss():
    assert stops(fm.TargetLoss(0.5), "loss", [1, 0.6, 0.5, 0.4]) == (3, "target loss", [])
    assert stops(fm.TargetLoss(0.9, "val_r2"), "val_r2", [0.1, 0.95, 1], True) == (
        2,
        "target loss",
        [],
    )
    assert stops(fm.TargetLoss(0.5), "loss", [1, math.nan, 0.6]) == (3, None, [])


@pytest.mark.parametrize(
    "rule", [fm.EarlyStopping(monitor="val_acuracy"), fm.TargetLoss(0.1, "val_acuracy")]
)
def test_a_quantity_that_is_not_recorded_is_an_error(rule):
    record = {"epoch": 1, "seconds": 0.1, "loss": 1.0, "accuracy": 0.5, "norms": [1.0, 2.0]}
    with pytest.raises(
        ValueError, match=r"^monitor must be 'loss' or 'accuracy', got 'val_acuracy'$"
    ):
        rule.observe(rule.initial_state(), record, True)
    with pytest.raises(ValueError, match=r"no validation set"):
        rule.observe(rule.initial_state(), record, False)
    with pytest.raises(ValueError, match=r"got 'norms'"):
        monitored(record, "norms", False)


def test_resolve_stop():
    early, budget = fm.EarlyStopping(), fm.TimeBudget(3)
    assert resolve_stop(None) == ()
    assert resolve_stop(early) == (early,)
    assert resolve_stop([budget, early]) == (budget, early)
    assert resolve_stop(("tolerance", "early_stopping")) == (fm.Tolerance(), early)
    with pytest.raises(TypeError, match=r"^stop must be 'early_stopping', "):
        resolve_stop([early, 3])
    with pytest.raises(ValueError, match=r"^stop='time_budget' has parameters without"):
        resolve_stop("time_budget")
    with pytest.raises(ValueError, match=r"^stop must have at most one EarlyStopping"):
        resolve_stop([early, fm.EarlyStopping(monitor="loss")])
    assert len(resolve_stop([early, fm.EarlyStopping(monitor="loss", restore_best=False)])) == 2


@pytest.mark.parametrize("prefix", ["", "val_"])
def test_which_quantities_are_maximised(prefix):
    for name in ("accuracy", "precision", "recall", "f1", "f1_macro", "r2", "top_3_accuracy"):
        assert maximised(prefix + name)
    for name in ("loss", "mae", "rmse", "mse", "log_loss", "gradient_norm"):
        assert not maximised(prefix + name)
