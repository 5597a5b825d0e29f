"""Memory and import in fresh processes: peak beyond the caller's arrays, cost of the import."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np
from fastmlp.bench import cases

MIB = 2**20

FIXED = 32 * MIB
"""Bytes that training may take beyond parameters and activations."""

LAYOUTS = ("float32", "float64", "fortran", "strided", "uint8")
"""Forms of X, each of which must be read in place."""

STATUS = pathlib.Path("/proc/self/status")

IMPORT_PROBE = """
import json, os, time
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def cost(module):
    start, before = time.perf_counter(), resident()
    __import__(module)
    return time.perf_counter() - start, resident() - before
numpy, fastmlp = cost("numpy"), cost("fastmlp")
print(json.dumps([*numpy, *fastmlp]))
"""


def measurable() -> bool:
    """Whether this system tells a process its peak memory in the form read here (Linux does)."""
    return STATUS.exists()


def bound(case: cases.Case) -> int:
    """Bytes for training: parameters × (1 + moments) × 2, two batches of activations, 32 MiB."""
    moments = {"sgd": 0, "adam": 2}[case.optimizer]
    activations = case.batch_size * sum(case.sizes)
    return 4 * (case.parameters * (1 + moments) * 2 + 2 * activations) + FIXED


def training(case: cases.Case, layout: str) -> dict[str, float]:
    """MiB that 2 epochs of `case` add to the peak of a fresh process, and the bound on them."""
    command = [sys.executable, "-m", "fastmlp.bench.memory", case.name, layout]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return {"grown_mib": int(done.stdout) / MIB, "bound_mib": bound(case) / MIB}


def imports(rounds: int) -> dict[str, float]:
    """Medians over fresh processes, in ms and MiB: importing NumPy, and what fastmlp adds to it."""
    command = [sys.executable, "-c", IMPORT_PROBE]
    seen = [
        json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
        for _ in range(rounds)
    ]
    numpy_s, numpy_bytes, own_s, own_bytes = map(statistics.median, zip(*seen, strict=True))
    return {
        "numpy_ms": 1e3 * numpy_s,
        "numpy_mib": numpy_bytes / MIB,
        "fastmlp_ms": 1e3 * own_s,
        "fastmlp_mib": own_bytes / MIB,
    }


def arrange(X: cases.Floats, layout: str) -> np.ndarray:
    """X in another dtype or layout; the values are the same, but for "uint8" cut to 0 … 4."""
    if layout == "float64":
        return X.astype(np.float64)
    if layout == "fortran":
        return np.asfortranarray(X)
    if layout == "strided":
        return np.repeat(X, 2, axis=1)[:, ::2]
    if layout == "uint8":
        return np.clip(2 + X, 0, 4).astype(np.uint8)
    return X


def _status(field: str) -> int:
    """Bytes of VmRSS (held now) or VmHWM (the peak) of this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def _train_here(case: cases.Case, layout: str) -> int:
    """Bytes by which two epochs raise the peak of this process above what it holds before them."""
    import fastmlp as fm

    X, y = cases.data(case)
    X = arrange(X, layout)
    optimizer = {"sgd": fm.SGD, "adam": fm.Adam}[case.optimizer](case.learning_rate)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    network = fm.Network(case.sizes, hidden=case.hidden, output="softmax", loss="cross_entropy")
    network.fit(X, y, epochs=2, batch_size=case.batch_size, optimizer=optimizer, progress=False)
    return _status("VmHWM") - before


if __name__ == "__main__":
    chosen = next(case for case in cases.CASES if case.name == sys.argv[1])
    print(_train_here(chosen, sys.argv[2]))
