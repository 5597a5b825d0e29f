"""A stop that is asked for while the engine works; who may read and change parameters meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits

import fastmlp as fm
from fastmlp import _core

SIZES = (200, 500, 500, 2)  # 5 us and more a row
LONG = 2_000_000  # rows, for 10 s and more; all of them are one
ROW = np.random.default_rng(0).normal(size=200).astype(np.float32)


def net_of(sizes=SIZES) -> Any:
    return fm.Network(sizes, output="identity", loss="mse", seed=1)._model.core


def data_of(n: int, weights: bool = False) -> Any:
    X, y = np.broadcast_to(ROW, (n, 200)), np.broadcast_to(np.float32(0.5), (n, 2))
    return _core.Data(X, y, sample_weight=np.ones(n) if weights else None)


def trainer_of(net: Any, batch_size: int, threads: int = 1) -> Any:
    sgd = fm.SGD(1e-3, momentum=0.9)
    return _core.Trainer(net, "sgd", sgd.constants, 1, batch_size, threads=threads, shuffle=False)


def parameters(net: Any) -> list[Any]:
    return [net.get_layer(layer) for layer in range(1, len(net.sizes))]


@pytest.fixture
def chunk_limit() -> Any:
    """The multiply-adds of a chunk can be set, so that batches of no great size are cut."""
    yield _core.limit_chunks
    _core.limit_chunks(0)


PASSES: dict[str, Callable[..., Any]] = {
    "loss": lambda net, data, stop, threads: net.loss(data, threads, stop),
    "gradient": lambda net, data, stop, threads: net.gradient(data, 0, 0, threads, stop),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PASSES)
def test_a_pass_is_given_up(name, threads):
    net, data, asked = net_of(), data_of(LONG), []

    def stop():
        asked.append(time.perf_counter())
        return len(asked) == 3

    before = parameters(net)
    with pytest.raises(_core.Stopped, match="^the caller wanted a stop$"):
        PASSES[name](net, data, stop, threads)
    assert len(asked) == 3
    assert asked[2] - asked[0] >= 0.095  # every 50 ms or more
    assert_same_bits(parameters(net), before)
    short = data_of(2)
    expected = PASSES[name](net_of(), short, None, 1)
    assert_same_bits(PASSES[name](net, short, lambda: True, threads), expected)  # never asked


@pytest.mark.parametrize("name", PASSES)
def test_what_a_stop_raises_comes_out(name):
    def stop():
        raise ZeroDivisionError("of the stop")

    with pytest.raises(ZeroDivisionError, match="^of the stop$"):
        PASSES[name](net_of(), data_of(LONG), stop, 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_stops_at_the_last_whole_batch(threads):
    """And goes on to the same bits: batches of some milliseconds, each in one piece."""
    net, data = net_of(), data_of(100_000)
    trainer = trainer_of(net, 500, threads)
    *ended, position, diverged = trainer.run(data, [1e-3], 1, 1e9, lambda: True)
    assert (ended, diverged) == ([[], [], []], "")
    assert 0 < position < 100_000
    assert position % 500 == 0
    assert trainer.epoch_state["position"] == position == 500 * trainer.step
    other = trainer_of(net_of(), 500)
    while other.epoch_state["position"] < position:
        other.run(data, [1e-3], 1, 0.0)
    assert_same_bits(parameters(net), parameters(other.net))


@pytest.mark.usefixtures("free_threads")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("chunks", [0, 2**30])
def test_a_large_batch_is_abandoned_before_its_update(threads, weights, chunks, chunk_limit):
    """In one piece, between two layers; or between two of its chunks of some 3,000 rows."""
    n = 40_000
    chunk_limit(chunks)
    net, data = net_of(), data_of(n, weights)
    before = parameters(net)
    trainer = trainer_of(net, n, threads)
    for _ in range(3):
        *ended, position, diverged = trainer.run(data, [1e-3], 1, 1e9, lambda: True)
        assert (ended, position, diverged, trainer.step) == ([[], [], []], 0, "", 0)
        assert_same_bits(parameters(net), before)
    losses = trainer.run(data, [1e-3], 1, 1e9)[0]
    other = trainer_of(net_of(), n)
    assert other.run(data, [1e-3], 1, 1e9)[0] == losses
    assert trainer.step == other.step == 1
    assert_same_bits(parameters(net), parameters(other.net))


@pytest.mark.slow  # and not in time with the sanitizers
def test_a_shuffle_of_many_rows_is_abandoned():
    net = net_of((1, 1))
    n = 100_000_000
    X = np.broadcast_to(np.float32(0), (n, 1))
    trainer = _core.Trainer(net, "sgd", fm.SGD().constants, 0, n)
    asked = []

    def stop():
        asked.append(time.process_time())
        return True

    *ended, position, _ = trainer.run(_core.Data(X, X), [1e-3], 1, 1e9, stop)
    assert time.process_time() - asked[0] < 0.25  # the shuffle alone takes seconds
    assert (len(asked), ended, position, trainer.step) == (1, [[], [], []], 0, 0)


def test_what_a_stop_raises_leaves_the_trainer_in_order():
    net, data = net_of(), data_of(40_000)

    def stop():
        raise ZeroDivisionError

    trainer = trainer_of(net, 500)
    with pytest.raises(ZeroDivisionError):
        trainer.run(data, [1e-3], 1, 1e9, stop)
    position = trainer.epoch_state["position"]
    assert position == 500 * trainer.step > 0
    assert len(trainer.run(data, [1e-3], 1, 1e9)[0]) == 1
    other = trainer_of(net_of(), 500)
    other.run(data, [1e-3], 1, 1e9)
    assert_same_bits(parameters(net), parameters(other.net))


def test_a_stop_runs_in_the_callers_floating_point_mode():
    """The engine takes subnormal numbers for 0, Python must not."""
    tiny, seen = 5e-324, []

    def stop():
        seen.append(tiny * 2.0)
        return len(seen) == 2

    with pytest.raises(_core.Stopped):
        net_of().loss(data_of(LONG), 2, stop)
    assert seen == [1e-323, 1e-323]


def test_in_another_thread_no_signals_are_handled_and_a_stop_is_asked():
    seen: list[Any] = []

    def work():
        net = net_of()

        def stop():
            seen.append(threading.current_thread())
            return len(seen) == 3

        with pytest.raises(_core.Stopped):
            net.gradient(data_of(LONG), stop=stop)
        seen.append(net.predict(np.broadcast_to(ROW, (20_000, 200))).shape)

    thread = threading.Thread(target=work)
    calls: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(threading.get_ident()))
    try:
        thread.start()
        time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [thread, thread, thread, (20_000, 2)]
    assert calls == [threading.main_thread().ident]


# ---- readers and a writer


class Background:
    """A call in another thread that lasts until it is ended."""

    def __init__(self, call: Callable[[Callable[[], bool]], Any]) -> None:
        self.asked, self.end, self.result = threading.Event(), threading.Event(), None

        def stop() -> bool:
            self.asked.set()
            return self.end.is_set()

        def work() -> None:
            try:
                self.result = call(stop)
            except BaseException as error:
                self.result = error

        self.thread = threading.Thread(target=work)

    def __enter__(self) -> Background:
        self.thread.start()
        assert self.asked.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.thread.join()


def test_nobody_else_touches_parameters_during_a_training():
    net, data, row = net_of(), data_of(LONG), np.ascontiguousarray(ROW[None])
    trainer, other = trainer_of(net, 100), trainer_of(net, 100)
    layer, params = net.get_layer(1), net.get_params()
    calls = {
        "predict": lambda: net.predict(row),
        "predict many": lambda: net.predict(np.broadcast_to(ROW, (20_000, 200))),
        "layers": lambda: net.layers(row),
        "loss": lambda: net.loss(data_of(5)),
        "gradient": lambda: net.gradient(data_of(5)),
        "input_gradient": lambda: net.input_gradient(data_of(5)),
        "get_layer": lambda: net.get_layer(1),
        "set_layer": lambda: net.set_layer(1, *layer),
        "get_params": lambda: net.get_params(),
        "set_params": lambda: net.set_params(params),
        "run": lambda: other.run(data_of(5), [1e-3], 1, 1e9),
        "get_moment": lambda: trainer.get_moment(0, 1),
        "adopt": lambda: other.adopt(trainer),
        "restart_epoch": lambda: trainer.restart_epoch(),
    }
    with Background(lambda stop: trainer.run(data, [1e-3], 1, 1e9, stop)) as training:
        for name, call in calls.items():
            with pytest.raises(RuntimeError, match="parameters are being changed"):
                call()
                pytest.fail(name)
    assert training.result[3] > 0
    for call in calls.values():
        call()


def test_a_writer_waits_for_readers_and_new_ones_are_refused():
    net, data = net_of(), data_of(LONG)
    trainer, layer = trainer_of(net, 2), net.get_layer(1)
    writes = [
        lambda: net.set_layer(1, *layer),
        lambda: net.set_params(net.get_params()),
        lambda: trainer.run(data_of(2), [1e-3], 1, 1e9),
    ]
    for write in writes:
        with Background(lambda stop: net.gradient(data, stop=stop)) as reader:
            net.predict(ROW[None])  # there may be several
            writer = threading.Thread(target=write)
            writer.start()
            writer.join(0.2)
            assert writer.is_alive()
            with pytest.raises(RuntimeError, match="parameters are being changed"):
                net.predict(ROW[None])
        writer.join()
        assert isinstance(reader.result, _core.Stopped)
        net.predict(ROW[None])


def test_a_stop_may_read_during_a_pass_and_nothing_during_a_training():
    net, seen = net_of(), []

    def stop():
        net.predict(ROW[None])
        with pytest.raises(RuntimeError, match="a pass of the same thread"):
            net.set_params(net.get_params())
        seen.append("read")
        return True

    with pytest.raises(_core.Stopped):
        net.loss(data_of(LONG), stop=stop)

    def stop_training():
        with pytest.raises(RuntimeError, match="parameters are being changed"):
            net.predict(ROW[None])
        seen.append("refused")
        return True

    trainer_of(net, 500).run(data_of(LONG), [1e-3], 1, 1e9, stop_training)
    assert seen == ["read", "refused"]
    net.predict(ROW[None])
