"""Callers in several threads and processes, what the environment chooses, memory given back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from support import ISAS, resident_bytes

import fastmlp as fm
from fastmlp import _core

random = np.random.default_rng(5)
X = random.normal(size=(60, 4))
LABELS = random.integers(0, 3, 60)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 8, 3], **options)


def parameters(net: fm.Network) -> list[np.ndarray]:
    return [*net.weights, *net.biases]


# ---- threads of the caller


def test_threads_that_predict_at_once() -> None:
    net = fm.Network([4, 64, 3])
    rows = random.normal(size=(3000, 4))
    right = net.predict(rows)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for count in np.random.default_rng(seed).integers(1, 3000, 40):
            if not np.array_equal(net.predict(rows[:count]), right[:count]):
                wrong.append(count)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_fit_at_a_time() -> None:
    net, began, go_on = classifier(), threading.Event(), threading.Event()

    def wait(network: fm.Network, history: fm.History) -> None:
        began.set()
        go_on.wait(20)

    thread = threading.Thread(target=lambda: net.fit(X, LABELS, epochs=1, callbacks=wait))
    thread.start()
    assert began.wait(20)
    with pytest.raises(RuntimeError, match="^fit is running on this network already$"):
        net.fit(X, LABELS)
    net.predict(X)  # goes well beside it
    go_on.set()
    thread.join()
    assert net.fit(X, LABELS, epochs=1).stopped_by == "epochs"
    assert net.epochs == 2

    def again(network: fm.Network, history: fm.History) -> None:
        network.fit(X, LABELS)

    with pytest.raises(RuntimeError, match="^fit is running"):
        net.fit(X, LABELS, callbacks=again)
    assert net.epochs == 3


# ---- processes


def _train_and_predict(net: fm.Network) -> tuple[Any, ...]:
    rows = np.linspace(-1, 1, 60_000, dtype=np.float32).reshape(1000, 60)
    history = net.fit(rows, np.arange(1000) % 10, epochs=2, threads=2)
    return (
        history["loss"],
        net.predict(rows, threads=2).tobytes(),
        [a.tobytes() for a in parameters(net)],
    )


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_after_use_neither_hangs_nor_changes_a_bit() -> None:
    right = _train_and_predict(fm.Network([60, 64, 10]))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_train_and_predict, [fm.Network([60, 64, 10]) for _ in range(3)])
        assert found.get(timeout=30) == [right] * 3
    assert _train_and_predict(fm.Network([60, 64, 10])) == right


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_beside_threads_at_work_neither_hangs_nor_changes_a_bit() -> None:
    rows = random.normal(size=(5000, 60)).astype(np.float32)
    labels = random.integers(0, 10, 5000)
    right = _train_and_predict(fm.Network([60, 64, 10]))
    busy, done = fm.Network([60, 300, 10]), threading.Event()

    def train() -> None:
        while not done.is_set():
            busy.fit(rows, labels, epochs=1, threads=2)
            busy.predict(rows, threads=2)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    same = _train_and_predict(fm.Network([60, 64, 10])) == right
                    try:
                        busy.predict(rows[:100], threads=2)  # its workspace may be taken for ever
                    except RuntimeError as error:  # or a step of its parameters is half done
                        same = same and "forked" in str(error)
                    status = 0 if same else 2
                finally:
                    os._exit(status)
            assert ended_well(child, seconds=30)
    finally:
        done.set()
        thread.join()


def ended_well(child: int, seconds: float) -> bool:
    """Whether a process ends by itself in time, with status 0; it is killed if it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_environment_chooses_the_instruction_set() -> None:
    code = "import fastmlp as fm; net = fm.Network([3, 2])\n"
    code += "print(net._model.core.isa, *net.predict([[1, 2, 3]])[0])"
    right = fm.Network([3, 2]).predict([[1, 2, 3]])[0]
    for isa in ISAS:
        name, *outputs = python(code, FASTMLP_ISA=isa).stdout.split()
        assert name == isa
        assert np.allclose(np.array(outputs, float), right, rtol=1e-5)


@pytest.mark.parametrize("name", ["mmx", "SCALAR"])
def test_an_instruction_set_that_is_not_there(name: str) -> None:
    result = python("import fastmlp", FASTMLP_ISA=name)
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: FASTMLP_ISA={name!r}")
    assert last.endswith(", ".join(ISAS))


def test_the_environment_says_how_many_threads() -> None:
    """Read once, at the first use: a process of its own for each value."""
    code = "from fastmlp import _core; import fastmlp as fm, numpy as np\n"
    code += "print(_core.default_threads())\n"
    train = "net = fm.Network([100, 1000, 10])\n"
    train += "net.fit(np.zeros((64, 100)), np.zeros(64, int), epochs=1)\n"
    train += "print(net._training.trainer.threads)"
    for value, threads in (("1", 1), ("3", 3), ("4,2", 4)):
        asked, used = map(int, python(code + train, OMP_NUM_THREADS=value).stdout.split())
        assert (asked, used) == (threads, threads if _core.OPENMP else used)
    own = int(python(code, OMP_NUM_THREADS="").stdout)
    assert 1 <= own <= (os.cpu_count() or 1)
    for value in ("0", "-2", "many", "2 many", "2.5"):
        assert int(python(code, OMP_NUM_THREADS=value).stdout) == own
    for value in ("100000", "9" * 30):
        assert int(python(code, OMP_NUM_THREADS=value).stdout) == 256


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_no_more_threads_are_started_than_there_are_processors() -> None:
    code = """
import os
import fastmlp as fm, numpy as np
before = len(os.listdir("/proc/self/task"))
net = fm.Network([2000, 2000, 3])  # whose weights are looked through by threads
net.predict(np.zeros((500, 2000), "float32"))
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert int(python(code, OMP_NUM_THREADS="1000").stdout) < len(os.sched_getaffinity(0))


@pytest.mark.skipif(not _core.OPENMP, reason="built without OpenMP")
@pytest.mark.parametrize(
    "variable, value",
    [
        ("OMP_THREAD_LIMIT", "1"),
        ("OMP_THREAD_LIMIT", "2"),
        ("OMP_DYNAMIC", "true"),
        ("OMP_MAX_ACTIVE_LEVELS", "0"),
        ("OMP_PROC_BIND", "true"),
        ("OMP_STACKSIZE", "16k"),
    ],
)
def test_what_openmp_is_told_changes_no_bit(variable: str, value: str) -> None:
    code = """
import hashlib
import fastmlp as fm, numpy as np
from fastmlp import _core
_core.free_threads(True)
X, net = np.linspace(-1, 1, 30_000).reshape(500, 60), fm.Network([60, 64, 10])
net.fit(X, np.arange(500) % 10, epochs=2, threads=5)
print(hashlib.sha256(net.predict(X, threads=4).tobytes()).hexdigest())
"""
    right, found = python(code), python(code, **{variable: value})
    assert (found.returncode, found.stderr, found.stdout) == (0, "", right.stdout)


# ---- what is left behind


@pytest.mark.slow  # and misled by allocators that put off giving back, as the sanitizers' does
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_networks_that_are_gone_leave_no_memory_behind() -> None:
    def cycle(times: int) -> None:
        for _ in range(times):
            net = classifier()
            net.fit(X, LABELS, epochs=1, ema=0.5, clip_norm=1.0, validation=0.2)
            net.predict(X)
            net.gradients(X, LABELS)
            with pytest.raises(ValueError, match="^y must hold labels"):
                net.evaluate(X, LABELS + 1)

    cycle(200)
    before = resident_bytes()
    cycle(1000)
    assert resident_bytes() - before < 2**20
