"""An epoch that is gone on with in another network and trainer, to the same bits."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from support import OPTIMIZERS, assert_same_bits

import fastmlp as fm
from fastmlp import _core

pytestmark = pytest.mark.usefixtures("free_threads")
# A step has more than 10^6 multiply-adds, after which the clock is read: no seconds are one step.
SIZES, BATCH, STEPS = (100, 200, 3), 48, 6
N = BATCH * (STEPS - 1) + 7
LAYERS = range(1, len(SIZES))
RATES = np.array([0.01, 0.002, 0.03, 0.001, 0.02, 0.005])  # of each step of an epoch
random = np.random.default_rng(3)
X, Y, WEIGHT = random.normal(size=(N, 100)), random.integers(0, 3, N), random.random(N)
DATA = _core.Data(X, Y, True, WEIGHT)

KINDS = {
    "plain": {},
    "clip and norms": {"clip_norm": 0.1, "record_norm": True},
    "ema and max_norm": {"ema": 0.7, "max_norm": 0.5, "l1": 1e-4, "l2": 1e-3},
    "without a shuffle": {"shuffle": False},
}


def trainer_of(optimizer, threads=1, epoch=0, step=0, dropout=0.3, **kind):
    """A trainer of a new network, whose parameters are the same every time."""
    activations = [("relu", 0.0), ("softmax", 0.0)]
    net = _core.Net(SIZES, activations, [dropout] * 2, "cross_entropy", 0.0, "float32")
    start = np.random.default_rng(1)
    for layer in LAYERS:
        weights = start.normal(size=(SIZES[layer], SIZES[layer - 1]))
        net.set_layer(layer, weights / 9, start.normal(size=SIZES[layer]) / 9)
    return _core.Trainer(
        net, optimizer.name, optimizer.constants, optimizer.moments, BATCH, seed=5, threads=threads,
        epoch=epoch, step=step, **kind,
    )  # fmt: skip


def state_of(trainer):
    """All that goes on, as a file would hold it."""
    return {
        "net": [trainer.net.get_layer(layer) for layer in LAYERS],
        "moments": [
            [trainer.get_moment(i, layer) for layer in LAYERS] for i in range(trainer.moments)
        ],
        "average": [trainer.get_average(layer) for layer in LAYERS] if trainer.averages else None,
        "start": [trainer.get_epoch_start(layer) for layer in LAYERS],
        "counters": {"epoch": trainer.epoch, "step": trainer.step},
        "epoch": json.loads(json.dumps(trainer.epoch_state)),
    }


def moved(state, optimizer, threads, **kind):
    """A new trainer of a new network, in the given state."""
    trainer = trainer_of(optimizer, threads, **state["counters"], **kind)
    for i, layer in enumerate(LAYERS):
        trainer.net.set_layer(layer, *state["net"][i])
        for index, moment in enumerate(state["moments"]):
            trainer.set_moment(index, layer, *moment[i])
        if state["average"]:
            trainer.set_average(layer, *state["average"][i])
        trainer.set_epoch_start(layer, *state["start"][i])
    trainer.set_epoch_state(**state["epoch"])
    return trainer


def one_step(trainer, record, epochs=2):
    *found, position, diverged = trainer.run(DATA, RATES, epochs - len(record[0]), 0.0)
    assert diverged == ""
    assert position == trainer.epoch_state["position"]
    for all_of_them, some in zip(record, found, strict=True):
        all_of_them.extend(some)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_epoch_goes_on_elsewhere(optimizer, kind):
    whole = trainer_of(optimizer, **KINDS[kind])
    *expected, position, _ = whole.run(DATA, RATES, 2, 1e9)
    assert position == 0
    assert len(set(expected[0])) == 2
    for steps in (1, 3, STEPS, STEPS + 4):
        trainer, record = trainer_of(optimizer, 2, **KINDS[kind]), ([], [], [])
        for step in range(2 * STEPS):
            assert trainer.step == step
            assert trainer.epoch_state["position"] == min(step % STEPS * BATCH, N)
            if step == steps:
                trainer = moved(state_of(trainer), optimizer, 3, **KINDS[kind])
            one_step(trainer, record)
        assert_same_bits(list(record), expected)
        ours, theirs = state_of(trainer), state_of(whole)
        for part in ("net", "moments", "average", "counters"):
            if ours[part] is not None:
                assert_same_bits(pickle.dumps(ours[part]), pickle.dumps(theirs[part]))


def test_an_epoch_goes_on_in_a_new_process(tmp_path):
    optimizer = fm.Adam(0.01)
    whole, trainer = trainer_of(optimizer, ema=0.5), trainer_of(optimizer, ema=0.5)
    losses = whole.run(DATA, RATES, 1, 1e9)[0]
    for _ in range(4):
        one_step(trainer, ([], [], []))
    (tmp_path / "state").write_bytes(pickle.dumps(state_of(trainer)))
    code = f"""
import pickle, sys
sys.path.insert(0, {str(__file__.rsplit("/", 2)[0])!r})
sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from test_epoch_state import *
state = pickle.loads(open({str(tmp_path / "state")!r}, "rb").read())
trainer = moved(state, fm.Adam(0.01), 2, ema=0.5)
losses = trainer.run(DATA, RATES, 1, 1e9)[0]
open({str(tmp_path / "end")!r}, "wb").write(pickle.dumps((losses, state_of(trainer)["net"])))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found, layers = pickle.loads((tmp_path / "end").read_bytes())
    assert found == losses
    assert_same_bits(layers, state_of(whole)["net"])


@pytest.mark.parametrize("rate", [np.inf, 1e38])
def test_an_epoch_that_diverges_elsewhere_goes_back_to_its_start(rate):
    optimizer = fm.SGD(0.1)
    trainer = trainer_of(optimizer)
    trainer.run(DATA, RATES, 1, 1e9)
    start = [trainer.net.get_layer(layer) for layer in LAYERS]
    for _ in range(3):
        one_step(trainer, ([], [], []))
    other = moved(state_of(trainer), optimizer, 2)
    assert_same_bits([other.get_epoch_start(layer) for layer in LAYERS], start)
    losses, _, _, position, diverged = other.run(DATA, [rate], 1, 1e9)
    assert (losses, position, diverged, other.epoch) == ([], 0, "loss", 1)
    assert_same_bits([other.net.get_layer(layer) for layer in LAYERS], start)


def test_parameters_that_diverge_in_the_last_step_of_an_epoch():
    trainer = trainer_of(fm.SGD(0.1), dropout=0.0)
    start = [trainer.net.get_layer(layer) for layer in LAYERS]
    rates = np.array([0.01] * (STEPS - 1) + [np.inf])
    losses, _, _, position, diverged = trainer.run(DATA, rates, 1, 1e9)
    assert (losses, position, diverged, trainer.epoch) == ([], 0, "parameters", 0)
    assert_same_bits([trainer.net.get_layer(layer) for layer in LAYERS], start)


def test_rates_are_those_of_the_whole_epoch():
    """With a constant gradient the bias falls by their sum, however the epoch is cut."""
    n = 20
    rates = np.arange(1, n + 1) / 2**6
    for seconds in (0.0, 1e9):
        net = _core.Net((2**17, 1), [("identity", 0.0)], [0.0], "mae", 0.0, "float64")
        trainer = _core.Trainer(net, "sgd", fm.SGD().constants, 0, 1, shuffle=False)
        data, runs, losses = _core.Data(np.zeros((n, 2**17)), np.full(n, 1e9)), 0, []
        while not losses:
            losses, _, _, _, _ = trainer.run(data, rates, 1, seconds)
            runs += 1
        assert net.get_layer(1)[1][0] == rates.sum()
        assert runs == (n if seconds == 0 else 1)


def test_what_does_not_fit_an_epoch_is_refused():
    trainer = trainer_of(fm.SGD(0.1))
    nothing = dict.fromkeys(("loss", "weight", "norm", "step_size"), 0.0)
    for position, steps in ((1, 0), (BATCH, 2), (BATCH + 1, 1)):
        with pytest.raises(ValueError, match=f"^position {position} after {steps} steps"):
            trainer.set_epoch_state(position=position, steps=steps, **nothing)
    trainer.set_epoch_state(position=BATCH * STEPS, steps=STEPS, **nothing)
    with pytest.raises(ValueError, match="inconsistent"):  # behind the last row
        trainer.run(DATA, RATES, 1, 0.0)
    for rates in (RATES[:-1], [*RATES, 0.1], []):
        with pytest.raises(ValueError, match="inconsistent"):
            trainer_of(fm.SGD(0.1)).run(DATA, rates, 1, 0.0)


def test_the_core_refuses_other_constants_than_the_optimizers():
    assert {name: set(fm.optimizers.OPTIMIZERS[name]().constants) for name in _core.OPTIMIZERS} == {
        name: set(constants) for name, constants in _core.OPTIMIZER_CONSTANTS.items()
    }
    net = trainer_of(fm.SGD(0.1)).net
    for constants in ({}, {"beta1": 0.9, "beta2": 0.9}, {**fm.Adam().constants, "momentum": 0.0}):
        with pytest.raises(
            ValueError, match="^constants of adam must be beta1, beta2, epsilon, got"
        ):
            _core.Trainer(net, "adam", constants, 2, 1)
