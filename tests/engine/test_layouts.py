"""X, y and weights of every real type and memory layout give the same bits, and X is not copied."""

from __future__ import annotations

import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    assert_same_bits,
    assert_same_network,
    instruction_set,
    network,
    problem,
    resident_bytes,
)

import fastmlp as fm

N, COLUMNS = 41, 19
REAL = [
    np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
    np.float16, np.float32, np.float64, np.longdouble, np.longlong, np.intc,
]  # fmt: skip


def values(dtype, shape=(N, COLUMNS), seed=0):
    """Numbers over much of the type's range, some of which single precision must round."""
    random = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if dtype.kind in "iu":
        about = np.iinfo(dtype)
        large = random.integers(max(about.min, -(2**62)), about.max, shape, dtype, endpoint=True)
        return np.where(random.random(shape) < 0.5, large, large % 100).astype(dtype)
    x = random.normal(size=shape).astype(dtype) * dtype.type(3)
    if dtype == np.longdouble:
        x += x * dtype.type(2) ** -60  # more digits than float64 has
    x.flat[:5] = [0, -0.0, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, 1e4]
    return x


def layouts(x: np.ndarray, folder: Path):
    """(name, array) of the same values, each lying in memory in another way."""
    n, columns = x.shape
    yield "C order", np.ascontiguousarray(x)
    yield "Fortran order", np.asfortranarray(x)
    yield "rows backwards", np.ascontiguousarray(x[::-1])[::-1]
    yield "columns backwards", np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    wide = np.zeros((2 * n, 3 * columns), x.dtype)
    wide[1::2, 2::3] = x
    yield "every third column", wide[1::2, 2::3]
    yield "columns of a wider array", np.pad(x, ((0, 0), (3, 4)))[:, 3:-4]
    yield "the other byte order", x.astype(x.dtype.newbyteorder())
    yield "the other byte order, Fortran", np.asfortranarray(x.astype(x.dtype.newbyteorder()))
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield "unaligned", unaligned
    packed = np.zeros(n, np.dtype([("head", "u1"), ("x", x.dtype, columns), ("tail", "u1")]))
    packed["x"] = x
    yield "a field of packed records", packed["x"]
    fixed = x.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed
    for name, data in (("C", x), ("Fortran", x.T)):
        path = tempfile.NamedTemporaryFile(dir=folder, delete=False).name
        np.memmap(path, x.dtype, "w+", shape=data.shape)[:] = data
        mapped = np.memmap(path, x.dtype, "r", shape=data.shape)
        yield f"memory-mapped, {name} order", mapped if name == "C" else mapped.T


def passes(net, X, y):
    """What every pass over rows gives."""
    cost, gradients = net.gradients(X, y)
    return [
        net.predict(X),
        net.layers(X),
        cost,
        gradients,
        net.input_gradients(X, y),
        net.evaluate(X, y)["loss"],
    ]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("real", REAL, ids=lambda t: np.dtype(t).char + "-" + np.dtype(t).name)
def test_every_type_and_layout_of_x(real, isa, tmp_path):
    x = values(real)
    y = np.arange(N) % 3
    with instruction_set(isa):
        for dtype in DTYPES:
            plain = x.astype(dtype)
            scaled = 1 / max(
                1.0, float(abs(plain).max())
            )  # keeps the training of large integers tame
            net = network((COLUMNS, 5, 3), hidden="tanh", dtype=dtype)
            net.weights[0] = net.weights[0] * np.dtype(dtype).type(scaled)
            expected = passes(net, plain, y)
            trained = fm.Network([COLUMNS, 5, 3], dtype=dtype)
            rate = fm.SGD(0.1 * scaled**2 + 1e-300)
            trained.fit(plain, y, epochs=2, batch_size=8, optimizer=rate, validation=0.3)
            for name, X in layouts(x, tmp_path):
                assert np.array_equal(X, x), name
                assert_same_bits(passes(net, X, y), expected)
                other = fm.Network([COLUMNS, 5, 3], dtype=dtype)
                other.fit(X, y, epochs=2, batch_size=8, optimizer=rate, validation=0.3)
                assert_same_network(other, trained)
                assert other.history["val_loss"] == trained.history["val_loss"]


@pytest.mark.parametrize("real", REAL, ids=lambda t: np.dtype(t).char + "-" + np.dtype(t).name)
def test_every_type_and_layout_of_real_targets(real, tmp_path):
    for k in (1, 17):
        y = values(real, (N, k)).astype(np.float32).clip(-1000, 1000).astype(real)
        X, _ = problem((4, 5, k), "identity", "mse", N)
        for dtype in DTYPES:
            net = network((4, 5, k), output="identity", loss="mse", dtype=dtype)
            expected = passes(net, X, y.astype(dtype))
            arrays = [array for _, array in layouts(y, tmp_path)]
            arrays += [array[:, 0] for array in arrays] if k == 1 else []
            for array in arrays:
                assert_same_bits(passes(net, X, array), expected)


@pytest.mark.parametrize(
    "real", [t for t in REAL if np.dtype(t).kind in "biu"], ids=lambda t: np.dtype(t).char
)
def test_every_type_and_layout_of_labels_and_weights(real, tmp_path):
    y = (np.arange(N) % 2).astype(real)
    X, _ = problem((4, 5, 2), "softmax", "cross_entropy", N)
    weight = (1 + np.arange(N) % 2).astype(real)
    net = network((4, 5, 2))
    cost, gradients = net.gradients(X, y.astype(np.int64), sample_weight=weight.astype(float))
    weights = [array[:, 0] for _, array in layouts(weight[:, None], tmp_path)]
    for (_, labels), row_weights in zip(layouts(y[:, None], tmp_path), weights, strict=True):
        for shape in (labels, labels[:, 0]):
            assert_same_bits(
                list(net.gradients(X, shape, sample_weight=row_weights)), [cost, gradients]
            )


def test_rows_of_stride_zero(tmp_path):
    """One row for all rows, one column for all columns, one target and one weight for all."""
    x, y = values(np.float32)[:1], np.int64([1])
    for X in (
        np.broadcast_to(x, (N, COLUMNS)),
        np.broadcast_to(x.T[:N], (COLUMNS, N)).T,
        np.broadcast_to(np.float32(0.5), (N, COLUMNS)),
    ):
        X = X[:N, :COLUMNS]
        labels, weight = np.broadcast_to(y, (len(X),)), np.broadcast_to(2.0, (len(X),))
        assert 0 in X.strides and labels.strides == weight.strides == (0,)
        net = network((X.shape[1], 5, 3))
        copies = [np.array(array) for array in (X, labels, weight)]
        assert_same_bits(passes(net, X, labels), passes(net, copies[0], copies[1]))
        assert_same_bits(
            list(net.gradients(X, labels, sample_weight=weight)),
            list(net.gradients(copies[0], copies[1], sample_weight=copies[2])),
        )
        nets = [fm.Network([X.shape[1], 5, 3], dtype="float64") for _ in range(2)]
        for other, (rows, targets, w) in zip(nets, ((X, labels, weight), copies), strict=True):
            other.fit(rows, targets, epochs=2, batch_size=8, sample_weight=w, validation=0.3)
            other.fit(rows, targets, epochs=1, validation=(rows, targets), optimizer="adam")
        assert_same_network(*nets)
        assert np.array_equal(nets[0].classify(X), nets[1].classify(copies[0]))
        assert nets[0].check_gradients(X, labels) == nets[1].check_gradients(*copies[:2])


def test_lists_and_tuples():
    X, y = problem((4, 5, 3), "softmax", "cross_entropy", 6)
    net = network((4, 5, 3))
    expected = passes(net, X, y)
    assert_same_bits(passes(net, X.tolist(), y.tolist()), expected)
    assert_same_bits(passes(net, tuple(map(tuple, X)), tuple(y)), expected)


def test_float16_values_are_all_read_right():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)][:, None]
    for dtype in DTYPES:
        for isa in ISAS:
            with instruction_set(isa):
                net = fm.Network([1, 1], output="identity", loss="mse", dtype=dtype)
                net.weights, net.biases = [[[1.0]]], [[-0.0]]
                for array in (every, every.astype(every.dtype.newbyteorder())):
                    assert_same_bits(net.predict(array), every.astype(dtype))


class Peak:
    """The most memory that this process holds while a block runs, beyond what it held before."""

    def __enter__(self):
        self.before, self.most, self._over = resident_bytes(), 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        tracemalloc.start()
        return self

    def _look(self):
        while not self._over.is_set():
            self.most = max(self.most, resident_bytes() - self.before)
            time.sleep(0.001)

    def __exit__(self, *_):
        self.most = max(self.most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        self._over.set()
        self._thread.join()


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use"
)
@pytest.mark.parametrize("layout", ["uint8", "float64", "Fortran", "swapped"])
def test_x_is_not_copied(layout, tmp_path):
    n, columns = 200_000, 240  # 48 MB of uint8
    if layout == "uint8":
        X = np.memmap(tmp_path / "X", np.uint8, "w+", shape=(n, columns))
    elif layout == "float64":
        X = np.memmap(tmp_path / "X", np.float64, "w+", shape=(n // 4, columns))
    elif layout == "Fortran":
        X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(columns, n // 4)).T
    else:
        X = np.memmap(tmp_path / "X", ">i2", "w+", shape=(n // 2, columns))
    y = np.zeros(len(X), np.float32)
    net = fm.Network([columns, 4, 1], output="identity", loss="mse")
    net.fit(X[:10], y[:10], epochs=1)
    assert X.nbytes >= 48_000_000
    with Peak() as peak:
        net.fit(X, y, epochs=1, batch_size=1000, validation=0.1)
        net.predict(X)
        net.gradients(X, y)
        net.evaluate(X, y)
    assert peak.most < X.nbytes / 2
    del X


def test_the_measure_of_memory_sees_a_copy():
    if not Path("/proc/self/statm").exists():
        pytest.skip("asks Linux for the memory in use")
    with Peak() as peak:
        copy = np.ones(48_000_000, np.uint8)
        time.sleep(0.02)
    assert peak.most >= copy.nbytes
