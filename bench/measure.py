"""Timing in turns: rivals take rounds A B C, C B A, …, and every ratio is formed within a round."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastmlp.bench.cases import INFERENCE, Case
from fastmlp.bench.lines import WorkerError
from fastmlp.bench.peers import PEERS
from fastmlp.bench.worker import Worker

SETTLE = 0.03
"""Seconds before each measurement, in which the thread pool of the rival before stops spinning."""

PEAK_SECONDS = 0.05
"""Seconds of each measurement of the FMA peak."""

ONE_CORE = 1.35
"""Gain in multiply-adds below which all threads are thought to run on one core."""

ONE_CACHE_NS = 150.0
"""Barrier latency in ns below which threads are thought to share a cache (40 to 100; else 200)."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How thoroughly to measure.

    Parameters
    ----------
    rounds : int
        Rounds that every ratio is the median of.
    seconds : float
        Each measurement repeats the work until it takes about this long.
    clearly_slower : float
        A number of threads slower than the rival's other one by this factor at first sight is
        measured no further.
    hopeless : float
        A rival slower than the best one by this factor at first sight is reported from that first
        measurement alone; infinity measures everyone in all rounds.
    """

    rounds: int
    seconds: float
    clearly_slower: float
    hopeless: float = math.inf


@contextmanager
def started(
    contestants: Sequence[tuple[str, int]],
) -> Iterator[tuple[list[Worker], dict[str, str]]]:
    """Start one worker for each (peer, threads).

    Yields
    ------
    workers : list of Worker
        Those that came up, in the order given.
    absent : dict of str to str
        Why each other rival takes no part: what is not installed, or how its start failed.
    """
    absent: dict[str, str] = {}
    workers: list[Worker] = []
    try:
        for peer, threads in contestants:
            if missing := PEERS[peer].missing():
                absent[peer] = f"missing: {', '.join(missing)} not installed"
            else:
                workers.append(Worker(peer, threads))
        ready = []
        for worker in workers:
            try:
                worker.greet()
                ready.append(worker)
            except WorkerError as error:
                absent[worker.peer] = f"failed: {error}"
        yield ready, absent
    finally:
        for worker in workers:
            worker.close()


def training(workers: Sequence[Worker], case: Case, plan: Plan) -> dict[str, Any]:
    """Milliseconds per epoch for each worker, ratios to fastmlp, Gflop/s, fraction of the peak."""
    losses: dict[Worker, float] = {}

    def prepare(worker: Worker) -> None:
        worker.prepare(case)

    def first(worker: Worker) -> float:
        seconds = worker.train(1)
        losses[worker] = worker.loss()
        return seconds

    row = _in_turns(workers, plan, prepare, first, _train)
    for worker, loss in losses.items():
        row["peers"][worker.peer].setdefault("loss_after_1_epoch", loss)
    row["case"] = {**dataclasses.asdict(case), "flops": case.flops}
    if "fastmlp" in row["peers"]:
        own = row["peers"]["fastmlp"]
        row["gflops"] = case.flops / own["ms"] / 1e6
        row["share_of_peak"] = statistics.median(
            case.flops / ms / 1e6 / conditions["peak_gflops"]
            for ms, conditions in zip(own["every_round_ms"], row["conditions"], strict=True)
        )
    return row


def inference(workers: Sequence[Worker], rows: int, plan: Plan) -> dict[str, Any]:
    """Milliseconds of one `predict` of `rows` rows through the network of `INFERENCE`."""

    def prepare(worker: Worker) -> None:
        worker.prepare(INFERENCE, training=False)
        worker.predict(rows, 1)

    return _in_turns(
        workers,
        plan,
        prepare,
        lambda worker: worker.predict(rows, 1),
        lambda worker, calls: worker.predict(rows, calls),
    )


def scaling(one: Worker, several: Worker, case: Case, plan: Plan) -> dict[str, Any]:
    """Gain of several threads over one for fastmlp: median and spread over the rounds."""
    repeats = {}
    for worker in (one, several):
        worker.prepare(case)
        repeats[worker] = _repeats(worker, worker.train(1), _train, plan.seconds)[0]
    times, conditions = _rounds(repeats, plan.rounds, _train)
    gains = [a / b for a, b in zip(times[one], times[several], strict=True)]
    return {
        "threads": several.threads,
        "one_ms": 1e3 * statistics.median(times[one]),
        "several_ms": 1e3 * statistics.median(times[several]),
        "gain": _spread(gains),
        "every_gain": gains,
        "placement": [where for each in conditions if (where := placement(each)) != "one thread"],
    }


def _train(worker: Worker, epochs: int) -> float:
    return worker.train(epochs)


def _in_turns(
    workers: Sequence[Worker],
    plan: Plan,
    prepare: Callable[[Worker], None],
    first: Callable[[Worker], float],
    repeat: Callable[[Worker, int], float],
) -> dict[str, Any]:
    """Prepare all, time each once, then those worth it in rounds; a rival that fails is named."""
    glance: dict[Worker, float] = {}
    repeats: dict[Worker, int] = {}
    failed: dict[str, str] = {}
    for worker in workers:
        try:
            prepare(worker)
            repeats[worker], glance[worker] = _repeats(worker, first(worker), repeat, plan.seconds)
        except WorkerError as error:
            if worker.peer == "fastmlp":
                raise
            failed[worker.peer] = str(error)
    times, conditions = _rounds(
        {w: repeats[w] for w in _worth_rounds(glance, plan)}, plan.rounds, repeat
    )
    row: dict[str, Any] = {"rounds": plan.rounds, "peers": {}, "failed": failed}
    if conditions:
        row["conditions"] = conditions
        row["peak_gflops"] = statistics.median(each["peak_gflops"] for each in conditions)
        row["placement"] = [placement(each) for each in conditions]
    for peer in dict.fromkeys(worker.peer for worker in glance):
        row["peers"][peer] = _figures([w for w in glance if w.peer == peer], glance, times)
    own = next((times[w] for w in times if w.peer == "fastmlp"), None)
    if own:
        for worker, seconds in times.items():
            figures = row["peers"][worker.peer]
            if worker.peer != "fastmlp" and worker.threads == figures["threads"]:
                figures["ratio"] = _spread([a / b for a, b in zip(seconds, own, strict=True)])
    timed = {peer: figures["ms"] for peer, figures in row["peers"].items() if figures["in_rounds"]}
    timed.pop("fastmlp", None)
    row["best_rival"] = min(timed, key=timed.__getitem__, default=None)
    return row


def _worth_rounds(glance: dict[Worker, float], plan: Plan) -> list[Worker]:
    """fastmlp, and the rivals that may be the best or must be measured all the same."""
    best: dict[str, float] = {}
    for worker, seconds in glance.items():
        best[worker.peer] = min(seconds, best.get(worker.peer, math.inf))
    limit = plan.hopeless * min(
        (best[peer] for peer in best if peer != "fastmlp"), default=math.inf
    )
    return [
        worker
        for worker, seconds in glance.items()
        if worker.peer == "fastmlp"
        or (best[worker.peer] <= limit and seconds <= plan.clearly_slower * best[worker.peer])
    ]


def _figures(
    variants: list[Worker], glance: dict[Worker, float], times: dict[Worker, list[float]]
) -> dict[str, Any]:
    """The better number of threads of one peer, by the rounds if it took part in them."""
    seconds = {w: statistics.median(times[w]) if w in times else glance[w] for w in variants}
    worker = min((w for w in variants if w in times), key=seconds.__getitem__, default=None)
    if worker is None:
        worker = min(variants, key=seconds.__getitem__)
    return {
        "threads": worker.threads,
        "ms": 1e3 * seconds[worker],
        "in_rounds": worker in times,
        "every_round_ms": [1e3 * value for value in times.get(worker, [])],
        "ms_by_threads": {str(w.threads): 1e3 * seconds[w] for w in variants},
    }


def _repeats(
    worker: Worker, seconds: float, repeat: Callable[[Worker, int], float], enough: float
) -> tuple[int, float]:
    """How often to repeat the work to fill `enough` seconds, and what one repetition then takes."""
    repeats = 1
    while seconds < enough / 2:
        # At most 20 times more a step: the first call may have been slow only once.
        repeats = max(repeats + 1, min(20 * repeats, math.ceil(repeats * enough / seconds)))
        seconds = repeat(worker, repeats)
    return repeats, seconds / repeats


def _rounds(
    repeats: dict[Worker, int], rounds: int, repeat: Callable[[Worker, int], float]
) -> tuple[dict[Worker, list[float]], list[dict[str, float]]]:
    """Seconds per repetition of each worker by rounds, and the conditions after each of fastmlp's.

    Every second round runs backwards, against drift.
    """
    times: dict[Worker, list[float]] = {worker: [] for worker in repeats}
    conditions = []
    for number in range(rounds):
        for worker in list(repeats)[:: -1 if number % 2 else 1]:
            time.sleep(SETTLE)
            times[worker].append(repeat(worker, repeats[worker]) / repeats[worker])
            if worker.peer == "fastmlp":
                conditions.append(worker.conditions(PEAK_SECONDS))
    return times, conditions


def placement(conditions: dict[str, float]) -> str:
    """Where the system has put the threads, as far as it shows.

    A virtual machine's processors may be moved at any time: to one core's two halves, which do no
    more than one thread does, to cores that share a cache, or to cores that do not.
    """
    if conditions["line_ns"] == 0:
        return "one thread"
    if conditions["peak_gflops"] < ONE_CORE * conditions["one_thread_gflops"]:
        return "one core"
    return "one cache" if conditions["barrier_ns"] < ONE_CACHE_NS else "apart"


def _spread(ratios: list[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
