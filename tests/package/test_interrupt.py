"""What cuts a training short: Ctrl-C, divergence, no memory, callbacks that raise."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from support import OPTIMIZERS, assert_same_bits, assert_same_network

import fastmlp as fm
from fastmlp import _core

random = np.random.default_rng(5)
X = random.normal(size=(60, 4))
LABELS = random.integers(0, 3, 60)
REAL = random.normal(size=60)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 8, 3], **options)


def regressor(**options: Any) -> fm.Network:
    return fm.Network([4, 8, 1], output="identity", loss="mse", **options)


def parameters(net: fm.Network) -> list[np.ndarray]:
    return [*net.weights, *net.biases]


def finite(net: fm.Network) -> bool:
    return all(np.isfinite(array).all() for array in parameters(net))


# ---- Ctrl-C


@pytest.fixture(autouse=True)
def signals_come() -> Iterator[None]:
    """A shell starts what it puts into the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def interrupt_after(seconds: float) -> Iterator[None]:
    """Ctrl-C a while from now; the block must end within a second of it."""
    sent: list[float] = []

    def send() -> None:
        time.sleep(seconds)
        sent.append(time.perf_counter())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    ended = time.perf_counter()
    sender.join()
    assert sent and ended - sent[0] < 1.0


WAYS: dict[str, dict[str, Any]] = {
    "one step an epoch": {"batch_size": 60},
    "mini-batches": {"batch_size": 7},
    "validation": {"validation": 0.2},
    "callback": {"callbacks": lambda network, history: None},
    "schedule by step": {"schedule": fm.schedules.Cosine(by="step")},
    "progress bar": {"progress": True},
}


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_ctrl_c_ends_a_training(arguments: dict[str, Any]) -> None:
    net = classifier()
    with interrupt_after(0.15):
        history = net.fit(X, LABELS, epochs=10**9, **arguments)
    assert history.stopped_by == "interrupted"
    assert history is net.history
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # not an epoch has been lost from the books
    assert net.epochs == len(history) == net._training.trainer.epoch > 0
    assert history.epochs == list(range(1, net.epochs + 1))
    assert all(len(history[key]) == net.epochs for key in history)
    assert finite(net)
    before = net.epochs
    assert net.fit(X, LABELS, epochs=2).stopped_by == "epochs"
    assert net.epochs == before + 2


def test_ctrl_c_leaves_the_weights_of_the_epochs_it_counted() -> None:
    net, twin = classifier(), classifier()
    with interrupt_after(0.1):
        net.fit(X, LABELS, epochs=10**9, batch_size=60)
    net.fit(X, LABELS, epochs=3, batch_size=60)
    twin.fit(X, LABELS, epochs=net.epochs, batch_size=60)
    assert_same_network(net, twin)


def test_ctrl_c_in_a_large_epoch() -> None:
    rows, labels = np.zeros((50_000, 100), np.float32), np.zeros(50_000, int)
    net = fm.Network([100, 200, 2])
    with interrupt_after(0.3):
        history = net.fit(rows, labels, epochs=1000, batch_size=100)
    assert history.stopped_by == "interrupted"
    assert net.epochs == len(history)
    assert net.classify(rows[:3]).shape == (3,)


def test_ctrl_c_ends_lbfgs_at_its_last_iteration() -> None:
    pytest.importorskip("scipy.optimize")
    rows, y = random.normal(size=(1000, 30)), random.normal(size=1000)
    net = fm.Network([30, 100, 1], output="identity", loss="mse", dtype="float64")
    with interrupt_after(0.3):
        history = net.fit(rows, y, epochs=10**6, optimizer=fm.LBFGS(tolerance=1e-30))
    assert history.stopped_by == "interrupted"
    assert net.epochs == len(history) > 0
    assert net.evaluate(rows, y)["loss"] == pytest.approx(history["loss"][-1], rel=1e-12)


def test_ctrl_c_reaches_a_callback_at_once() -> None:
    net = classifier()
    with interrupt_after(0.1):
        history = net.fit(X, LABELS, epochs=5, callbacks=lambda network, history: time.sleep(30))
    assert (history.stopped_by, net.epochs, len(history)) == ("interrupted", 1, 1)


@pytest.mark.parametrize("hook", ["on_fit_start", "on_epoch_end"])
def test_a_keyboard_interrupt_of_a_callback(hook: str) -> None:
    class Pressed(fm.Callback):
        pass

    def press(self: Any, network: Any, history: Any) -> None:
        raise KeyboardInterrupt

    setattr(Pressed, hook, press)
    net = classifier()
    history = net.fit(X, LABELS, epochs=5, callbacks=Pressed())
    assert history.stopped_by == "interrupted"
    assert net.epochs == len(history) == (hook == "on_epoch_end")


def test_ctrl_c_leaves_the_best_weights_of_early_stopping() -> None:
    best: dict[str, Any] = {}

    def press(network: fm.Network, history: fm.History) -> None:
        if history.best_epoch == history.epochs[-1]:
            best.update(epoch=history.best_epoch, parameters=parameters(network))
        if len(history) - history.best_epoch == 3:
            signal.raise_signal(signal.SIGINT)

    net = classifier()
    history = net.fit(
        X, LABELS, epochs=10_000, optimizer=fm.SGD(2.0), validation=0.5,
        stop=fm.EarlyStopping(patience=50), callbacks=press,
    )  # fmt: skip
    assert (history.stopped_by, history.best_epoch) == ("interrupted", best["epoch"])
    assert history.best_epoch < net.epochs
    assert_same_bits(parameters(net), best["parameters"])


def test_a_handler_of_the_users_own_is_called_and_training_goes_on() -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        net = classifier()
        history = net.fit(
            X,
            LABELS,
            epochs=3,
            callbacks=lambda network, history: signal.raise_signal(signal.SIGINT),
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert (history.stopped_by, len(calls)) == ("epochs", 3)


def test_ctrl_c_of_a_process(tmp_path: Any) -> None:
    """The real signal, to a program that knows nothing of it."""
    script = """
import numpy as np, fastmlp as fm
net = fm.Network([20, 50, 2])
X, y = np.random.default_rng(0).normal(size=(500, 20)), np.arange(500) % 2
net.fit(X, y, epochs=1)
print("ready", flush=True)
history = net.fit(X, y, epochs=10**9)
print(history.stopped_by, len(history) > 0, net.predict(X).shape, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    assert process.stdout.readline() == "interrupted True (500, 2)\n"
    assert time.perf_counter() - began < 1.0
    assert process.wait(10) == 0


# ---- divergence


@pytest.mark.parametrize("learning_rate", [1e25, 1e300])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_rate_too_large_leaves_finite_weights(optimizer: Any, learning_rate: float) -> None:
    """Also where it is the last step that spoils them, or the last of an epoch."""
    optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
    for dtype in ("float32", "float64"):
        for epochs, batch_size in ((1, 60), (2, 60), (6, 60), (1, 7), (6, 7)):
            net = regressor(dtype=dtype)
            try:
                net.fit(X, REAL, epochs=epochs, batch_size=batch_size, optimizer=optimizer, ema=0.5)
            except fm.DivergenceError as error:
                assert error.history is net.history
                assert net.history.stopped_by == "divergence"
                assert len(net.history) == net.epochs < epochs or epochs == 1
            assert finite(net)
            assert net._training.trainer.step == 0 or finite(net.averaged())
            net.weights, net.biases = regressor().weights, regressor().biases
            assert net.fit(X, REAL, epochs=1).stopped_by == "epochs"


def test_an_epoch_that_is_given_up_leaves_finite_weights() -> None:
    """A step spoils them, and the training ends before the next one's loss could tell."""
    net = fm.Network([4, 2000, 1], output="identity", loss="mse")
    rows, y = np.tile(X, (10, 1)), np.tile(REAL, 10)
    net.fit(rows, y, epochs=1, batch_size=300, optimizer=fm.SGD(1e-9, momentum=0.9), ema=0.5)
    before, trainer = [a.copy() for a in parameters(net)], net._training.trainer
    *_, rows_done, diverged = trainer.run(_core.Data(rows, y), [1e300], 1, 0.0)
    assert (rows_done, diverged, finite(net)) == (300, "", False)
    trainer.restart_epoch()
    assert_same_bits(parameters(net), before)
    assert finite(net.averaged())
    assert (
        net.fit(
            rows, y, epochs=1, batch_size=300, optimizer=fm.SGD(1e-9, momentum=0.9), ema=0.5
        ).stopped_by
        == "epochs"
    )


def test_divergence_is_reported_when_the_loss_is_no_number() -> None:
    net = regressor()
    with pytest.raises(
        fm.DivergenceError, match="^the loss stopped being finite in epoch 1: the last finite"
    ):
        net.fit(X, np.full(60, 1e30), epochs=3)  # whose square is none in float32
    assert (net.epochs, len(net.history), net.history.stopped_by) == (0, 0, "divergence")
    assert_same_bits(parameters(net), parameters(regressor()))
    pytest.importorskip("scipy")
    with pytest.raises(fm.DivergenceError, match="L-BFGS"):
        net.fit(X, np.full(60, 1e30), epochs=3, optimizer="lbfgs")
    assert_same_bits(parameters(net), parameters(regressor()))


@pytest.mark.parametrize("loss", ["mse", "poisson"])
@pytest.mark.filterwarnings("error")
def test_validation_of_a_training_that_diverges(loss: str) -> None:
    """Outputs that are infinite give a metric that is no number, not an error of the metric."""
    net = fm.Network([4, 1], output="identity", loss=loss)
    net.biases = [[1e30]]
    y, rows = np.ones(60), (np.full((3, 4), 3e38), np.ones(3))
    net.weights = [[[1e30, 1e30, 1e30, 1e30]]]
    with pytest.raises(fm.DivergenceError):
        net.fit(X * 1e-35, y, epochs=50, optimizer=fm.SGD(1e-12), validation=rows)
    assert np.isnan(net.evaluate(*rows)["r2"])


# ---- no memory

Call = Callable[[fm.Network], Any]
EVERYTHING = {
    "ema": 0.5,
    "clip_norm": 1.0,
    "validation": 0.2,
    "optimizer": fm.RMSprop(momentum=0.5, centered=True),
}
CALLS: dict[str, Call] = {
    "create": lambda net: classifier(),
    "predict": lambda net: net.predict(np.tile(X, (20, 1))),
    "layers": lambda net: net.layers(X),
    "evaluate": lambda net: net.evaluate(X, LABELS),
    "gradients": lambda net: net.gradients(X, LABELS),
    "input_gradients": lambda net: net.input_gradients(X, LABELS),
    "averaged": lambda net: net.averaged(),
    "fit": lambda net: net.fit(X, LABELS, epochs=1),
    "fit with everything": lambda net: net.fit(X, LABELS, epochs=1, **EVERYTHING),
    "fit with L-BFGS": lambda net: net.fit(X, LABELS, epochs=1, optimizer="lbfgs"),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_allocation_that_fails(name: str) -> None:
    """Each in turn: the network is as before or as its epoch ended, and can be used."""
    if "BFGS" in name:
        pytest.importorskip("scipy")
    for nth in range(1, 100):
        net = classifier()
        net.fit(X, LABELS, epochs=2, ema=0.5)
        before, epochs = [a.tobytes() for a in parameters(net)], net.epochs
        _core.fail_allocation(nth)
        try:
            CALLS[name](net)
            failed = False
        except MemoryError:
            failed = True
        finally:
            _core.fail_allocation(0)
        if failed:
            assert net.epochs == epochs or (
                name == "fit with everything" and net.epochs == epochs + 1
            )
            if net.epochs == epochs:
                assert [a.tobytes() for a in parameters(net)] == before
            assert finite(net)
            net.fit(X, LABELS, epochs=1)
        elif nth > 1 or name == "predict":  # which falls back on a smaller workspace once
            break
    else:
        pytest.fail("it never comes to an end")


def test_a_fit_without_memory_can_be_had_again_to_the_same_bits() -> None:
    whole = classifier()
    whole.fit(X, LABELS, epochs=3)
    for nth in range(1, 20):
        net = classifier()
        net.fit(X, LABELS, epochs=1, threads=1)
        _core.fail_allocation(nth)
        try:
            net.fit(X, LABELS, epochs=2, threads=2)  # other settings: allocated anew
            break
        except MemoryError:
            _core.fail_allocation(0)
            net.fit(X, LABELS, epochs=2, threads=2)  # other settings: allocated anew
        assert_same_network(net, whole)
    _core.fail_allocation(0)
    assert nth > 5


# ---- callbacks


@pytest.mark.parametrize(
    "error", [RuntimeError, StopIteration, MemoryError, SystemExit, ZeroDivisionError]
)
@pytest.mark.parametrize("hook", ["on_fit_start", "on_epoch_end", "on_fit_end"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_what_a_callback_raises(hook: str, error: type[BaseException], optimizer: str) -> None:
    """It reaches the caller; the network has what it learned and goes on to the same bits."""
    if optimizer == "lbfgs":
        pytest.importorskip("scipy")

    class Raising(fm.Callback):
        pass

    def fail(self: Any, network: Any, history: Any) -> None:
        if hook == "on_fit_start" or len(history) >= 2:
            raise error("of the callback")

    setattr(Raising, hook, fail)
    net, whole = classifier(), classifier()
    with pytest.raises(error, match="^of the callback$"):
        net.fit(
            X,
            LABELS,
            epochs=2 if hook == "on_fit_end" else 4,
            optimizer=optimizer,
            callbacks=Raising(),
        )
    assert net.epochs == len(net.history) == (0 if hook == "on_fit_start" else 2)
    assert net.history.stopped_by == ("epochs" if hook == "on_fit_end" else "error")
    net.fit(X, LABELS, epochs=4 - net.epochs, optimizer=optimizer)
    if optimizer == "adam":  # SciPy starts its model of the curvature anew
        whole.fit(X, LABELS, epochs=4)
        assert_same_bits(parameters(net), parameters(whole))
    assert net.epochs == 4
