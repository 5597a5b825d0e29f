"""The same bits at every number of threads, in every pass and in every kind of training."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    OPTIMIZERS,
    assert_same_bits,
    assert_same_network,
    gradients_error,
    instruction_set,
    network,
    openmp_threads,
    problem,
    reference_of,
)

import fastmlp as fm
from fastmlp import _core

pytestmark = pytest.mark.usefixtures("free_threads")
THREADS = (1, 2, 3, 7)
SIZES = (7 * 9, 130, 65, 10)  # several tiles of weights and of rows for each of 7 threads
N, BATCH = 203, 64  # the last batch has 11 rows

TRAININGS = {
    "plain": ({}, {}),
    "penalties and weights": ({"l1": 1e-4, "l2": 1e-3}, {"sample_weight": np.arange(N) % 3}),
    "dropout": ({"dropout": (0.2, 0.5, 0.3)}, {}),
    "max_norm": ({"max_norm": 0.5}, {}),
    "clip_norm": ({}, {"clip_norm": 0.1}),
    "ema": ({}, {"ema": 0.9}),
    "noise and mask": ({}, {"augment": [fm.augment.Noise(0.3), fm.augment.Mask(0.2)]}),
    "affine": (
        {},
        {"augment": fm.augment.Affine((7, 9), rotate=20, shear=10, shift=1.5, zoom=0.2)},
    ),
    "validation": ({}, {"validation": 0.2, "stop": fm.EarlyStopping(patience=1)}),
    "all": (
        {"l1": 1e-4, "l2": 1e-3, "dropout": 0.4, "max_norm": 0.6},
        {
            "clip_norm": 0.2, "ema": 0.8, "sample_weight": np.arange(N) % 4, "record_norms": True,
            "augment": [
                fm.augment.Affine((7, 9), rotate=20), fm.augment.Noise(0.1), fm.augment.Mask(0.1),
            ],
        },
    ),
}  # fmt: skip


def trained(threads, dtype="float32", options=None, **arguments):
    """A network after two epochs on as many threads."""
    net = network(SIZES, dtype=dtype, **(options or {}))
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    net.fit(X, y, **{"epochs": 2, "batch_size": BATCH, "threads": threads, **arguments})
    if threads:
        assert openmp_threads(net) in (
            threads,
            0,
        )  # as many as were asked for, or this proves nothing
    return net


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", TRAININGS)
def test_training(training, dtype):
    options, arguments = TRAININGS[training]
    alone = trained(1, dtype, options, **arguments)
    for threads in (*THREADS[1:], None):
        net = trained(threads, dtype, options, **arguments)
        assert_same_network(net, alone)
        for key in alone.history:
            assert net.history[key] == alone.history[key]
        if "ema" in arguments:
            assert_same_bits(list(net.averaged().weights), list(alone.averaged().weights))


@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_whose_products_are_cut_into_pieces(dtype):
    # more than 2,048 deep, and more rows times depth than 8 MB hold, in a forward and in a backward
    # product
    sizes, n = (4500, 20, 3600, 3), 1100
    X, y = problem(sizes, "softmax", "cross_entropy", n)
    nets = []
    for threads in THREADS:
        nets.append(network(sizes, hidden="sigmoid", dtype=dtype, dropout=0.2))
        if threads == 1:
            gradients = nets[0].gradients(X, y, threads=1)[1]
            expected = reference_of(nets[0]).gradients(X.astype(dtype), y)[1]
            assert gradients_error(gradients, expected) < {"float32": 1e-4, "float64": 1e-9}[dtype]
        nets[-1].fit(X, y, epochs=1, batch_size=1000, threads=threads)
        assert_same_network(nets[-1], nets[0])
        assert_same_bits(nets[-1].predict(X, threads=threads), nets[0].predict(X, threads=1))
        assert_same_bits(
            nets[-1].gradients(X, y, threads=threads)[1], nets[0].gradients(X, y, threads=1)[1]
        )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("columns", [64, 70, 200])
def test_inputs_that_are_copied_in_the_step_before(columns, isa):
    # plain rows of so many columns are, those that lie column by column are gathered in their own
    # step
    sizes, n = (columns, 40, 3), 61
    X, y = problem(sizes, "softmax", "cross_entropy", n)
    with instruction_set(isa):
        for dtype in DTYPES:
            plain = np.empty(X.size + 1, dtype)[1:].reshape(
                X.shape
            )  # no row begins with a cache line
            plain[:] = X
            for batch_size in (1, 16):
                for options in ({}, {"shuffle": False}, {"validation": 0.2}):
                    gathered = network(sizes, dtype=dtype)
                    arguments = {"epochs": 2, "batch_size": batch_size, **options}
                    gathered.fit(np.asfortranarray(plain), y, threads=1, **arguments)
                    for threads in THREADS[:3]:
                        net = network(sizes, dtype=dtype)
                        net.fit(plain, y, threads=threads, **arguments)
                        assert_same_network(net, gathered)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_fewer_rows_than_threads(batch_size):
    X, y = problem(SIZES, "softmax", "cross_entropy", 13)
    nets = [network(SIZES, dropout=0.2) for _ in THREADS]
    for net, threads in zip(nets, THREADS, strict=True):
        net.fit(X, y, epochs=2, batch_size=batch_size, threads=threads)
        assert_same_network(net, nets[0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_every_optimizer(optimizer):
    alone = trained(1, optimizer=optimizer)
    for threads in THREADS[1:]:
        assert_same_network(trained(threads, optimizer=optimizer), alone)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set(isa):
    options, arguments = TRAININGS["all"]
    with instruction_set(isa):
        for dtype in DTYPES:
            alone = trained(1, dtype, options, **arguments)
            for threads in THREADS[1:]:
                assert_same_network(trained(threads, dtype, options, **arguments), alone)


def test_lbfgs():
    pytest.importorskip("scipy")
    alone = trained(1, optimizer=fm.LBFGS(), epochs=3, batch_size=None)
    for threads in THREADS[1:]:
        assert_same_network(
            trained(threads, optimizer=fm.LBFGS(), epochs=3, batch_size=None), alone
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "n", [1, 5, 168, 169, 1500]
)  # 84 rows are a chunk of a pass, 1024 of a gradient
def test_passes(n, dtype):
    net = network(SIZES, dtype=dtype, l1=1e-4, l2=1e-3)
    X, y = problem(SIZES, "softmax", "cross_entropy", n)
    weight = np.random.default_rng(0).random(n)

    def results(threads):
        cost, gradients = net.gradients(X, y, sample_weight=weight, threads=threads)
        return [
            net.predict(X, threads=threads),
            list(net.evaluate(X, y, sample_weight=weight, threads=threads).values()),
            cost,
            gradients,
            net._model.core.input_gradient(_core.Data(X, y, True), threads or 0),
            net._model.core.layers(X, threads or 0),
        ]

    alone = results(1)
    for threads in (*THREADS[1:], None):
        assert_same_bits(results(threads), alone)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("columns", [64, 70, 200])
def test_inputs_that_are_copied_a_chunk_before(columns, isa):
    # as in a training: plain rows are, and those that lie column by column are gathered in their
    # turn
    sizes, n = (columns, 64, 3), 84 * 9 + 5
    X, y = problem(sizes, "softmax", "cross_entropy", n)
    some = np.random.default_rng(1).permutation(n)[: 84 * 5 + 1]
    with instruction_set(isa):
        for dtype in DTYPES:
            plain = np.empty(X.size + 1, dtype)[1:].reshape(X.shape)
            plain[:] = X
            net = network(sizes, dtype=dtype)

            def results(X, threads, net=net):
                return [
                    net.predict(X, threads=threads),
                    net._model.core.loss(_core.Data(X, y, True, rows=some), threads),
                    net._model.core.layers(X, threads),
                    net._model.core.input_gradient(_core.Data(X, y, True), threads),
                ]

            gathered = results(np.asfortranarray(plain), 1)
            for threads in THREADS:
                for _ in range(2):  # the second time in a workspace that is there
                    assert_same_bits(results(plain, threads), gathered)
            net.predict(plain[:3])  # the same workspace, without copying
            assert_same_bits(net.predict(np.asfortranarray(plain), threads=3), gathered[0])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_number_is_found_in_a_chunk_that_is_copied(value, isa):
    n, columns = 84 * 5 + 3, 83  # what is behind a row's last whole block goes another way
    with instruction_set(isa):
        for dtype in DTYPES:
            net, rows = network((columns, 64, 2), dtype=dtype), np.zeros((n, columns), dtype)
            for row in (0, 83, 84, 200, n - 1):
                for column in (0, 17, 79, 80, columns - 1):
                    rows[row, column] = value
                    for threads in (1, 2, 3):
                        with pytest.raises(ValueError, match="^X must hold finite numbers"):
                            net.predict(rows, threads=threads)
                    rows[row, column] = 0
            assert np.isfinite(net.predict(rows)).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "outputs", [1, 2, 3, 5, 10, 16, 17]
)  # softmax takes up to 16 for several rows at once
def test_a_row_alone_is_the_row_among_others(outputs, isa):
    """What the independence of threads rests on: a row's sums do not know its neighbours."""
    with instruction_set(isa):
        for dtype in DTYPES:
            sizes = (*SIZES[:-1], outputs)
            net = network(sizes, dtype=dtype)
            X, _ = problem(sizes, "softmax", "cross_entropy", 40)
            together = net.predict(X)
            for rows in (1, 2, 3, 13):
                assert_same_bits(
                    np.concatenate([net.predict(X[i : i + rows]) for i in range(0, 40, rows)]),
                    together,
                )


def test_networks_train_in_many_python_threads_at_once():
    alone = [trained(1, options={"seed": seed, "dropout": 0.3}) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda seed: trained(2, options={"seed": seed, "dropout": 0.3}), range(4))
        )
    for net, other in zip(together, alone, strict=True):
        assert_same_network(net, other)


X86 = platform.machine().lower() in ("x86_64", "amd64")


@contextlib.contextmanager
def floating_point(**calls):
    """Makes these calls of the C library, and puts the floating-point environment back after."""
    name = ctypes.util.find_library("m")
    if not (X86 and sys.platform.startswith("linux") and name):
        pytest.skip("knows the modes of Linux on x86-64")
    libm, before = ctypes.CDLL(name), ctypes.create_string_buffer(64)
    libm.fegetenv(before)
    try:
        for call, argument in calls.items():
            libm[call](argument)
        yield libm
    finally:
        libm.fesetenv(before)


@pytest.mark.parametrize("rounding", [0x400, 0x800, 0xC00])  # down, up, towards 0
def test_the_callers_rounding_mode_changes_no_bit_and_stays(rounding):
    net = network(SIZES, dtype="float32")
    X = problem(SIZES, "softmax", "cross_entropy", 200)[0].astype("float32")
    right = net._model.core.predict(X, 1)
    for threads in THREADS:
        with floating_point(fesetround=rounding) as libm:
            found = net._model.core.predict(X, threads)
            stayed = libm.fegetround()
        assert_same_bits(found, right)
        assert stayed == rounding


def test_exceptions_that_the_caller_unmasks_do_not_end_the_process():
    net = fm.Network((7, 9, 3), hidden="relu", output="identity", loss="mse")
    net.weights = [1e38 * np.ones_like(w) for w in net.weights]  # sums overflow
    X = np.full((50, 7), 3, "float32")
    right = net._model.core.predict(X, 1)
    assert not np.isfinite(right).any()
    for threads in (1, 3):
        with floating_point(feenableexcept=0x1D):  # invalid, division by 0, over- and underflow
            found = net._model.core.predict(X, threads)
        assert_same_bits(found, right)


def test_more_threads_than_processors_are_not_taken():
    _core.free_threads(False)
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    nets, seconds = [network(SIZES) for _ in range(2)], []
    for net, threads in zip(nets, (1, 256), strict=True):
        start = time.perf_counter()
        net.fit(
            X, y, epochs=50, batch_size=BATCH, threads=threads
        )  # long enough for the latency to be measured
        seconds.append(time.perf_counter() - start)
    assert_same_network(*nets)
    assert seconds[1] < 20 * seconds[0] + 1  # all 256 would wait for one another for minutes


@pytest.mark.skipif(not _core.OPENMP, reason="built without OpenMP")
def test_latency_of_threads():
    assert _core.thread_latency(1) == (1.0, 1.0, 1.0)  # nobody to wait for
    barrier, line, speed = latency = _core.thread_latency(2, patience=0.5)
    assert latency == (1.0, 1.0, 1.0) or (
        1e-9 < barrier < 1 and 1e-11 < line < 1 and 0.1 < speed < 10
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be taken away")
def test_threads_that_share_a_processor_are_not_waited_for():
    code = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from fastmlp import _core
start = time.perf_counter()
assert _core.thread_latency(2, patience=0.01) == (1.0, 1.0, 1.0)
assert time.perf_counter() - start < 2.0
"""
    subprocess.run([sys.executable, "-c", code], check=True)
