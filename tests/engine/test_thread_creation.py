"""Threads that the system refuses: fewer work, with the same bits, one warning and no exit."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastmlp import _core

pytestmark = [
    pytest.mark.skipif(not _core.OPENMP, reason="built without OpenMP"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are Linux's"),
]

# A library that is loaded before the C library's: it grants so many threads at once and no more.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
typedef void *function(void *);
typedef int creator(pthread_t *, const pthread_attr_t *, function *, void *);
typedef struct { function *run; void *argument; } start;
static atomic_int left = 1 << 20, created;
static pthread_key_t key;
static void give_back(void *unused) { (void)unused; atomic_fetch_add(&left, 1); }
__attribute__((constructor)) static void make_key(void) { pthread_key_create(&key, give_back); }
void allow_threads(int count) { atomic_store(&left, count); }
int threads_created(void) { return atomic_load(&created); }
static void *run(void *context)
{
    start s = *(start *)context;
    free(context);
    pthread_setspecific(key, &left);
    return s.run(s.argument);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, function *f, void *argument)
{
    creator *real = (creator *)dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_fetch_sub(&left, 1) <= 0) {
        atomic_fetch_add(&left, 1);
        return EAGAIN;
    }
    start *s = malloc(sizeof *s);
    *s = (start){f, argument};
    atomic_fetch_add(&created, 1);
    return real(thread, attributes, run, s);
}
"""

# What every child begins with. `tasks` counts its threads, `report` hands over what was computed.
PRELUDE = """
import ctypes, hashlib, json, os, resource, threading, time, warnings
import numpy as np
import fastmlp as fm
from fastmlp import _core

_core.free_threads(True)  # small networks, too, run on as many threads as are asked for
warnings.simplefilter("always")
caught, results = [], []
warnings.showwarning = lambda message, kind, *place: caught.append([kind.__name__, str(message)])
random = np.random.default_rng(3)
X, y = random.normal(size=(300, 20)), random.integers(0, 5, 300)
warm = fm.Network([20, 5])
warm.fit(X, y, epochs=1, threads=1)  # whatever is imported late is there before anything is refused
warm.evaluate(X, y, threads=1)

def tasks():
    return len(os.listdir("/proc/self/task"))

def report(**found):
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in results))
    print(json.dumps({"digest": digest.hexdigest(), "warnings": caught, **found}))

def fitted(threads):
    net = fm.Network([20, 40, 30, 5], seed=1)
    net.fit(X, y, epochs=3, batch_size=64, threads=threads)
    return net

"""

WORK = {
    "fit": "net = fitted(4); results += [*net.weights, *net.biases]",
    "predict": "results.append(fm.Network([20, 40, 5], seed=1).predict(X, threads=4))",
    "evaluate": "results += fm.Network([20, 40, 5]).evaluate(X, y, threads=4).values()",
    "gradients": (
        "results += [g for pair in fm.Network([20, 40, 5]).gradients(X, y, threads=4)[1] "
        "for g in pair]"
    ),
    "layers": "results += fm.Network([20, 40, 5]).layers(X)[1]",
    "construction": "results += fm.Network([1000, 1000, 3], seed=1).weights",
}

# Ways to limit threads, which say how many more there may be.
GRANT = {
    "shim": "grant = ctypes.CDLL(None).allow_threads\n",
    # An account that nobody has: the only threads that count for it are the child's own.
    "account": """
def grant(more):
    if os.getuid() == 0:
        os.setuid(61000 + os.getpid() % 4000)
        limit = tasks() + more
    else:
        assert more == 0  # how many threads this user has elsewhere is not known
        limit = 1
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
""",
    # So large a stack that there is memory for one and a half.
    "stacks": """
def grant(more):
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    limit = size + (2 * more + 1) * 2**29
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
""",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled SHIM."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", "shim.so", "shim.c", "-ldl", "-pthread"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "shim.so"


def preloaded(library: Path) -> str:
    return f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def child(code: str, **environment: str) -> dict[str, Any]:
    """What the child reports; it must end well and print nothing else."""
    result = python(code, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


@functools.cache
def unlimited(work: str) -> dict[str, Any]:
    """What the work comes to where nothing is refused."""
    return child(f"{WORK[work]}\nreport(tasks=tasks())", OMP_NUM_THREADS="4")


@functools.cache
def accounts_are_limited() -> bool:
    """Whether a thread too many is refused: no user may be limited, or none be changed to."""
    code = GRANT["account"] + "grant(0)\nthreading.Thread(target=print).start()"
    return "can't start new thread" in python(code).stderr


def environment_of(way: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What a child needs that is limited this way."""
    if way == "shim":
        return {"LD_PRELOAD": preloaded(request.getfixturevalue("shim"))}
    return {"OMP_STACKSIZE": "1G"} if way == "stacks" else {}


@pytest.mark.parametrize(
    "way, work, more",
    [
        *(("shim", work, more) for work in WORK for more in (0, 1)),
        *((way, work, 1) for way in ("account", "stacks") for work in ("fit", "construction")),
        ("account", "fit", 0),
        ("account", "predict", 2),
        ("stacks", "predict", 2),
    ],
)
def test_refused_threads_change_no_bit(
    way: str, work: str, more: int, request: pytest.FixtureRequest
) -> None:
    if way == "account" and more and os.getuid() != 0:
        pytest.skip("a user's threads elsewhere count too, and nobody knows how many there are")
    if way == "account" and not accounts_are_limited():
        pytest.skip("threads of an account are not limited here")
    right = unlimited(work)
    assert right["warnings"] == []
    assert right["tasks"] >= 4
    code = f"{GRANT[way]}\ngrant({more})\nbefore = tasks()\n{WORK[work]}\n"
    code += "added = tasks() - before\nwarm.predict(X, threads=4)\nreport(added=added)"
    found = child(code, OMP_NUM_THREADS="4", **environment_of(way, request))
    assert found["digest"] == right["digest"]
    assert found["added"] == more  # those that there are work
    ((kind, message),) = found["warnings"]
    assert kind == "RuntimeWarning"
    assert message.startswith(
        f"the system refused fastmlp a thread: 4 were wanted, {more + 1} could be had."
    )


def test_nothing_is_tried_once_the_threads_are_there(shim: Path) -> None:
    code = """
count = ctypes.CDLL(None).threads_created
warm.predict(X, threads=4)
before = count()
for _ in range(50):
    warm.predict(X, threads=4)
    warm.evaluate(X, y, threads=4)
report(created=count() - before)
"""
    assert child(code, LD_PRELOAD=preloaded(shim))["created"] == 0


def test_threads_that_a_smaller_region_ended_are_tried_again(shim: Path) -> None:
    code = """
warm.predict(X, threads=4)
warm.predict(X, threads=2)  # OpenMP ends two of four
time.sleep(0.1)
ctypes.CDLL(None).allow_threads(1)
warm.predict(X, threads=4)
report(tasks=tasks())
"""
    found = child(code, LD_PRELOAD=preloaded(shim))
    ((_, message),) = found["warnings"]
    assert "4 were wanted, 3 could be had" in message


def test_more_threads_are_used_when_there_are_more(shim: Path) -> None:
    code = """
grant, before = ctypes.CDLL(None).allow_threads, tasks()
grant(0)
warm.predict(X, threads=3)
grant(2)
added = []
for _ in range(2):
    warm.predict(X, threads=3)
    added.append(tasks() - before)
    time.sleep(1.2)
report(added=added)
"""
    found = child(code, LD_PRELOAD=preloaded(shim))
    assert found["added"] == [0, 2]  # a refusal holds for a second
    assert len(found["warnings"]) == 1


def test_callers_in_many_threads_do_not_take_one_anothers_threads(shim: Path) -> None:
    code = """
right, go, nets = fitted(1), threading.Event(), []
def work():
    go.wait()
    nets.append(fitted(4))
callers = [threading.Thread(target=work) for _ in range(6)]
for caller in callers: caller.start()
ctypes.CDLL(None).allow_threads(5)
go.set()
for caller in callers: caller.join()
same = [all(map(np.array_equal, net.weights, right.weights)) for net in nets]
report(same=same)
"""
    for _ in range(3):
        found = child(code, LD_PRELOAD=preloaded(shim))
        assert found["same"] == [True] * 6
        assert [kind for kind, _ in found["warnings"]] == ["RuntimeWarning"]


def test_a_warning_that_is_an_error_leaves_the_network_in_order(shim: Path) -> None:
    code = """
warnings.simplefilter("error")
net, right = fm.Network([20, 40, 5]), fm.Network([20, 40, 5])
ctypes.CDLL(None).allow_threads(0)
raised = []
try:
    net.fit(X, y, epochs=5, threads=4)
except RuntimeWarning as warning:
    raised.append(str(warning))
right.fit(X, y, epochs=net.epochs, threads=1)
report(raised=raised, same=all(map(np.array_equal, net.weights, right.weights)),
       epochs=net.epochs, history=len(net.history["loss"]))
"""
    found = child(code, LD_PRELOAD=preloaded(shim))
    assert len(found["raised"]) == 1
    assert found["same"]
    assert found["history"] == found["epochs"] > 0
