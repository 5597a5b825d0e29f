"""Bad arguments of fit and other methods: an error that names the argument; nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_input import (
    LABELS,
    ONE_HOT,
    REAL,
    N,
    X,
    binary,
    classifier,
    regressor,
    spoilt,
    trained,
    unchanged,
)

import fastmlp as fm

BAD_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"epochs": -1}, ValueError, r"^epochs must be an integer in \[0, inf\), got -1"),
    ({"epochs": 1.0}, TypeError, "^epochs must be an integer"),
    ({"epochs": True}, TypeError, "^epochs must be an integer"),
    ({"batch_size": 0}, ValueError, r"^batch_size must be an integer in \[1, inf\), got 0"),
    ({"batch_size": 2.5}, TypeError, "^batch_size must be an integer"),
    (
        {"optimizer": "adamax"},
        ValueError,
        "^optimizer must be 'sgd', 'adam', .*'lbfgs'.*got 'adamax'",
    ),
    ({"optimizer": fm.Adam}, TypeError, "^optimizer must be .*got the class Adam"),
    ({"optimizer": None}, TypeError, "^optimizer must be"),
    ({"schedule": "cosin"}, ValueError, "^schedule must be 'constant', .*got 'cosin'"),
    ({"schedule": "step"}, ValueError, "^schedule='step' has parameters without a default"),
    ({"schedule": 0.1}, TypeError, "^schedule must be"),
    (
        {"schedule": fm.schedules.Plateau(monitor="val_loss")},
        ValueError,
        "^monitor .*no validation",
    ),
    ({"stop": "early"}, ValueError, "^stop must be 'early_stopping', .*got 'early'"),
    ({"stop": 3}, TypeError, "^stop must be"),
    (
        {"stop": fm.EarlyStopping(monitor="val_loss")},
        ValueError,
        "^monitor must be 'loss' or .*no validation",
    ),
    (
        {"stop": fm.EarlyStopping(monitor="accuracy"), "validation": 0.5},
        ValueError,
        "^monitor .*'val_accuracy'",
    ),
    (
        {"stop": fm.TargetLoss(0.1, "val_r2"), "validation": 0.5},
        ValueError,
        "^monitor .*'val_accuracy'",
    ),
    (
        {"callbacks": fm.Checkpoint("x", keep_best=True, monitor="los")},
        ValueError,
        "^monitor must be 'loss'",
    ),
    ({"callbacks": 5}, TypeError, "^callbacks must be objects with on_fit_start"),
    ({"callbacks": [fm.Callback]}, TypeError, "^callbacks must be .*got the class Callback"),
    ({"augment": "nois"}, ValueError, "^augment must be 'noise', 'mask' or 'affine'"),
    (
        {"augment": fm.augment.Affine((2, 2))},
        ValueError,
        r"^augment: .*3 features.*got \(2, 2\) = 4",
    ),
    ({"clip_norm": 0}, ValueError, r"^clip_norm must be in \(0, inf\)"),
    ({"ema": 1}, ValueError, r"^ema must be in \(0, 1\), got 1"),
    ({"shuffle": 1}, TypeError, "^shuffle must be True or False"),
    ({"stratify": "yes"}, TypeError, "^stratify must be True or False"),
    ({"progress": 1}, TypeError, "^progress must be True or False"),
    ({"record_norms": None}, TypeError, "^record_norms must be True or False"),
    ({"threads": 0}, ValueError, r"^threads must be an integer in \[1, "),
    ({"threads": 1.0}, TypeError, "^threads must be an integer"),
    ({"learning_rate": 0.1}, TypeError, "unexpected keyword argument 'learning_rate'"),
    (
        {"sample_weight": np.ones(39)},
        ValueError,
        r"^sample_weight must have the shape \(40,\), got \(39,\)",
    ),
    ({"sample_weight": np.ones((N, 1))}, ValueError, r"^sample_weight .*\(40,\), got \(40, 1\)"),
    ({"sample_weight": 1.0}, ValueError, r"^sample_weight .*\(40,\), got \(\)"),
    (
        {"sample_weight": spoilt(np.ones(N), -1)},
        ValueError,
        "^sample_weight must be finite, not negative",
    ),
    ({"sample_weight": spoilt(np.ones(N), np.nan)}, ValueError, "^sample_weight must be finite"),
    ({"sample_weight": spoilt(np.ones(N), np.inf)}, ValueError, "^sample_weight must be finite"),
    ({"sample_weight": np.zeros(N)}, ValueError, "^sample_weight must be .*not all 0"),
    ({"sample_weight": ["a"] * N}, TypeError, "^sample_weight must hold real numbers"),
    ({"class_weight": "balance"}, ValueError, "^class_weight must be 'balanced', .*got 'balance'"),
    (
        {"class_weight": {2: 1.0}},
        ValueError,
        "^class_weight must have labels from 0 to 1 as keys, got 2",
    ),
    ({"class_weight": {"0": 1.0}}, ValueError, "^class_weight must have labels .*got '0'"),
    ({"class_weight": {0: -1}}, ValueError, r"^class_weight\[0\] must be in \[0, inf\), got -1"),
    ({"class_weight": {0: None}}, TypeError, r"^class_weight\[0\] must be a real number"),
    ({"class_weight": {0: 0, 1: 0}}, ValueError, "^class_weight must be .*not all 0"),
    (
        {"class_weight": [1, 2, 3]},
        ValueError,
        r"^class_weight must have the shape \(2,\), got \(3,\)",
    ),
    ({"class_weight": [1, np.nan]}, ValueError, "^class_weight must be finite"),
    (
        {"class_weight": 2.0},
        TypeError,
        "^class_weight must be 'balanced', a dict or a sequence, got 2.0",
    ),
    ({"validation": 0}, ValueError, r"^validation must be in \(0, 1\), got 0"),
    ({"validation": 1.0}, ValueError, r"^validation must be in \(0, 1\), got 1.0"),
    (
        {"validation": 1e-3},
        ValueError,
        "^validation must leave rows on either side, got 0.001 of 40 rows",
    ),
    ({"validation": 0.999}, ValueError, "^validation must leave rows on either side"),
    ({"validation": True}, TypeError, "^validation must be a real number"),
    ({"validation": "20%"}, TypeError, "^validation must be a real number"),
    ({"validation": (X,)}, ValueError, r"^validation must be a pair \(X, y\) .*got 1 items"),
    (
        {"validation": (X, LABELS, np.ones(N))},
        ValueError,
        "^validation must be a pair .*got 3 items",
    ),
    ({"validation": (X[:, :2], LABELS)}, ValueError, r"^validation\[0\] .*\(n, 3\), got \(40, 2\)"),
    (
        {"validation": (X[:9], LABELS)},
        ValueError,
        r"^validation\[1\] .*validation\[0\], 9, got \(40,\)",
    ),
    (
        {"validation": (X[:0], LABELS[:0])},
        ValueError,
        r"^validation\[0\] must have at least one row",
    ),
    (
        {"validation": (spoilt(X, np.nan), LABELS)},
        ValueError,
        r"^validation\[0\] must hold finite numbers",
    ),
    ({"validation": (X, LABELS + 1)}, ValueError, r"^validation\[1\] must hold labels from 0 to 1"),
    ({"validation": (X, LABELS * 1.0)}, TypeError, r"^validation\[1\] must be integer labels"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_ARGUMENTS)
def test_arguments_of_fit(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    net = trained(classifier, LABELS)
    with unchanged(net), pytest.raises(error, match=message):
        net.fit(X, LABELS, **{"epochs": 2, **arguments})


def test_arguments_that_the_targets_do_not_suit() -> None:
    for y, net in ((REAL, regressor()), (LABELS / 2, binary()), (ONE_HOT, classifier())):
        with unchanged(net), pytest.raises(ValueError, match="^class_weight needs integer labels"):
            net.fit(X, y, class_weight="balanced")
        with unchanged(net), pytest.raises(ValueError, match="^stratify needs integer labels"):
            net.fit(X, y, validation=0.5, stratify=True)
    held_out_alone = (np.arange(N) == 0).astype(float)
    with pytest.raises(
        ValueError, match="^sample_weight must not be 0 for all rows that are trained on"
    ):
        for seed in range(50):
            classifier(seed=seed).fit(X, LABELS, validation=0.5, sample_weight=held_out_alone)


def test_arguments_that_do_not_go_with_lbfgs() -> None:
    pytest.importorskip("scipy")
    noise = fm.augment.Noise(0.1)
    given = {
        "ema": 0.5,
        "clip_norm": 1.0,
        "schedule": "cosine",
        "augment": noise,
        "record_norms": True,
    }
    for name, value in given.items():
        net = trained(classifier, LABELS)
        with unchanged(net), pytest.raises(ValueError, match=f"^{name} does not go with L-BFGS"):
            net.fit(X, LABELS, optimizer="lbfgs", **{name: value})
    for name, value in {"dropout": 0.1, "max_norm": 1.0}.items():
        with pytest.raises(ValueError, match=f"^{name} does not go with L-BFGS"):
            classifier(**{name: value}).fit(X, LABELS, optimizer="lbfgs")


def test_arguments_of_the_other_methods() -> None:
    net = classifier()
    for call in (net.predict, net.classify):
        with pytest.raises(ValueError, match=r"^threads must be an integer in \[1, "):
            call(X, threads=0)
    for call in (net.evaluate, net.gradients, net.check_gradients):
        with pytest.raises(ValueError, match=r"^sample_weight must have the shape \(40,\)"):
            call(X, LABELS, sample_weight=[1.0])
    with pytest.raises(ValueError, match=r"^epsilon must be in \(0, inf\)"):
        net.check_gradients(X, LABELS, epsilon=0)
    with pytest.raises(ValueError, match=r"^most must be an integer in \[1, "):
        net.check_gradients(X, LABELS, most=0)
    with pytest.raises(ValueError, match="no averaged parameters"):
        net.averaged()
