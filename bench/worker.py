"""A rival in a process of its own that stays alive and answers one JSON line with one JSON line.

The process keeps its rows and its network between requests, so that rivals can be timed in turns:
A B C A B C …, each with nothing of the others in its address space and none of their threads.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from typing import Any

from fastmlp.bench import cases
from fastmlp.bench.lines import Process, serve, take_stdout
from fastmlp.bench.peers import PEERS, FastMLP, Peer

LOSS_ROWS = 2_048


def available_threads() -> int:
    """Number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Worker(Process):
    """The asking side: a rival in its process.

    Parameters
    ----------
    peer : str
        A name in `PEERS`.
    threads : int
        Threads the rival may use: given to it by its own means and by the environment.
    """

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = peer, threads
        self.version = ""
        command = [sys.executable, "-m", "fastmlp.bench.worker", peer, str(threads)]
        super().__init__(command, environment(threads))

    def __repr__(self) -> str:
        return f"{self.peer}, {self.threads} thread{'s' * (self.threads != 1)}"

    def greet(self) -> None:
        """Wait until the library is imported and warm; apart, so that workers start together."""
        self.version = self.receive()["version"]

    def prepare(self, case: cases.Case, training: bool = True) -> None:
        """Draw the data of `case` and build its network; for training, compile what is compiled."""
        self.ask("prepare", case=dataclasses.asdict(case), training=training)

    def train(self, epochs: int) -> float:
        """Train `epochs` more epochs; returns seconds."""
        return self.ask("train", epochs=epochs)

    def loss(self) -> float:
        """Cross-entropy on the first `LOSS_ROWS` rows."""
        return self.ask("loss")

    def predict(self, rows: int, calls: int) -> float:
        """Predict the first `rows` rows `calls` times; returns seconds."""
        return self.ask("predict", rows=rows, calls=calls)

    def conditions(self, seconds: float) -> dict[str, float]:
        """Peak of the machine in Gflop/s and latency between its threads (of fastmlp only)."""
        return self.ask("conditions", seconds=seconds)


def environment(threads: int) -> dict[str, str]:
    """The variables that tell the rivals' thread pools their size before they are imported."""
    variables = dict(os.environ, JAX_PLATFORMS="cpu")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        variables[variable] = str(threads)
    if threads == 1:
        variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return variables


def _confine(threads: int) -> None:
    """Keep JAX, which sizes its pool by what it sees, on `threads` of them if possible."""
    if hasattr(os, "sched_getaffinity") and threads < available_threads():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class _Session:
    """The answering side: one rival, the case it is prepared for, one method per operation."""

    operations = ("prepare", "train", "loss", "predict", "conditions")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def prepare(self, case: dict[str, Any], training: bool) -> None:
        workload = cases.Case(**{**case, "sizes": tuple(case["sizes"])})
        self.X, self.y = cases.data(workload)
        self.peer.prepare(workload, self.X, self.y, cases.parameters(workload))
        if training:
            self.peer.compile_training()

    def train(self, epochs: int) -> float:
        start = time.perf_counter()
        self.peer.train(epochs)
        return time.perf_counter() - start

    def loss(self) -> float:
        return cases.cross_entropy(self.peer.predict(self.X[:LOSS_ROWS]), self.y[:LOSS_ROWS])

    def predict(self, rows: int, calls: int) -> float:
        X = self.X[:rows]
        start = time.perf_counter()
        self.peer.predict_loop(X, calls)
        return time.perf_counter() - start

    def conditions(self, seconds: float) -> dict[str, float]:
        if not isinstance(self.peer, FastMLP):
            raise ValueError(f"only fastmlp measures the machine, not {self.peer.name}")
        return self.peer.conditions(seconds)


def main() -> None:
    """Run as the worker: ``python -m fastmlp.bench.worker PEER THREADS``."""
    parser = argparse.ArgumentParser(description="Answer benchmark requests for one rival.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    answers = take_stdout()
    if options.peer == "jax":
        _confine(options.threads)
    peer = PEERS[options.peer](options.threads)
    session = _Session(peer)
    # Lazy imports, at the first network and optimiser, happen before the greeting.
    warm_up = cases.Case("warm-up", (4, 4, 2), "relu", 4, "adam", 1e-3, 8)
    session.prepare(dataclasses.asdict(warm_up), training=False)
    serve(session, {"version": peer.version()}, answers)
    os._exit(0)  # there is nothing to save, and some libraries take a second to unload


if __name__ == "__main__":
    main()
