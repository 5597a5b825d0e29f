"""The benchmark: options, what is measured in which order, and what is printed and saved.

Run as ``fastmlp bench``, ``python -m fastmlp.bench`` or, where fastmlp is installed, ``python
bench/run.py``. ``make bench`` is ``python bench/run.py --install``: everything, in an environment
with the rivals in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from fastmlp.bench import cases, install, measure, memory, report
from fastmlp.bench.peers import PEERS
from fastmlp.bench.worker import Worker, available_threads

SECTIONS = ("training", "inference", "threads_scaling", "memory", "sweep")

QUICK_SECONDS = 15.0
"""Time from the start of the first case after which a quick run starts no further one."""

QUICK_FLOPS = 20e9
"""Flops of an epoch above which a quick run cuts rows."""

MANY_FLOPS = 10e9
"""Flops of an epoch from which a quick run no longer tries the rivals on one thread."""

QUICK = measure.Plan(rounds=3, seconds=0.15, clearly_slower=1.25, hopeless=1.5)
FULL = measure.Plan(rounds=7, seconds=0.5, clearly_slower=1.6)
SWEEP = measure.Plan(rounds=3, seconds=0.05, clearly_slower=1.4, hopeless=2.0)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="fastmlp bench",
        description="Time fastmlp and the installed rivals side by side on this machine.",
        epilog="Without a choice: training and inference; with --full all sections but the sweep.",
    )
    parser.add_argument(
        "--full", action="store_true", help="all rows, every rival in all rounds; some minutes"
    )
    parser.add_argument(
        "--quick",
        action="store_false",
        dest="full",
        help="fewer rows and rounds, under a minute (default)",
    )
    sections = parser.add_argument_group("sections")
    sections.add_argument("--training", action="store_true", help="the training cases")
    sections.add_argument(
        "--inference", action="store_true", help="predict on 1 and on 10,000 rows"
    )
    sections.add_argument(
        "--threads-scaling", action="store_true", help="fastmlp on all threads over one"
    )
    sections.add_argument(
        "--memory", action="store_true", help="peak memory against its bound, cost of the import"
    )
    sections.add_argument(
        "--sweep", action="store_true", help="widths, depths, batches and odd sizes, one line each"
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=[case.name for case in cases.CASES],
        metavar="CASE",
        help="training cases, of: %(choices)s",
    )
    parser.add_argument(
        "--shapes",
        nargs="+",
        default=[""],
        metavar="START",
        help="shapes of the sweep whose names start so, e.g. width",
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=PEERS,
        default=list(PEERS),
        metavar="PEER",
        help="contestants, of: %(choices)s",
    )
    parser.add_argument("--rounds", type=_positive, help="rounds that the ratios are the median of")
    parser.add_argument(
        "--threads",
        type=_positive,
        default=available_threads(),
        help="most threads to use (default: every processor, %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="FOLDER",
        help="write <version>-<processor>.json there; nothing is written without it",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="in a source tree: install it and the rivals into build/bench-venv, and run there "
        "with --full --output bench/results before the other options",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, save.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line options; those of the process by default.

    Returns
    -------
    int
        0; the status for the shell.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(arguments)
    if options.install:
        return install.run_there([argument for argument in arguments if argument != "--install"])
    chosen = [section for section in SECTIONS if getattr(options, section)]
    if not chosen:
        chosen = (
            [s for s in SECTIONS if s != "sweep"] if options.full else ["training", "inference"]
        )
    started = time.monotonic()
    contestants = [
        (peer, threads)
        for peer in options.peers
        for threads in ([options.threads] if peer == "fastmlp" else sorted({1, options.threads}))
        if _takes_part(peer, chosen)
    ]
    with measure.started(contestants) as (workers, absent):
        rivals = {worker.peer: worker.version for worker in workers} | absent
        unasked = {peer: "not asked for" for peer in PEERS if peer not in options.peers}
        print(report.heading(rivals | unasked), flush=True)
        options.until = math.inf if options.full else time.monotonic() + QUICK_SECONDS
        results = {}
        for section in chosen:
            print(f"\n{TITLES[section]}", flush=True)
            results[section] = RUN[section](options, workers)
    if options.output:
        print(f"\nwritten: {report.save(options.output, rivals, results)}")
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


def _takes_part(peer: str, sections: Sequence[str]) -> bool:
    if "inference" in sections:
        return True
    return PEERS[peer].trains and bool({"training", "sweep"} & set(sections))


def _plan(options: argparse.Namespace, plan: measure.Plan) -> measure.Plan:
    return dataclasses.replace(plan, rounds=options.rounds) if options.rounds else plan


def _training(options: argparse.Namespace, workers: list[Worker]) -> report.Rows:
    trainers = [worker for worker in workers if PEERS[worker.peer].trains]
    plan = _plan(options, FULL if options.full else QUICK)
    rows: report.Rows = {}
    print(report.race_titles(), flush=True)
    for case in cases.CASES:
        if options.cases and case.name not in options.cases:
            continue
        if time.monotonic() > options.until:
            print(
                f"{case.name:24}skipped after {QUICK_SECONDS:.0f} s; "
                f"--cases {case.name} measures it"
            )
            continue
        measured, contestants = case, trainers
        if not options.full and case.flops > MANY_FLOPS:
            measured = case.with_flops(QUICK_FLOPS)
            contestants = [worker for worker in trainers if worker.threads == options.threads]
        rows[case.name] = measure.training(contestants, measured, plan)
        print(report.race(f"{case.name} × {measured.rows:,}", rows[case.name]), flush=True)
    return rows


def _sweep(options: argparse.Namespace, workers: list[Worker]) -> report.Rows:
    trainers = [worker for worker in workers if PEERS[worker.peer].trains]
    rows: report.Rows = {}
    print(report.race_titles(), flush=True)
    for case in cases.sweep():
        if case.name.startswith(tuple(options.shapes)):
            rows[case.name] = measure.training(trainers, case, _plan(options, SWEEP))
            print(report.race(case.name, rows[case.name]), flush=True)
    slower = [name for name, row in rows.items() if _ratio(row) < 1]
    print(f"{len(rows)} shapes, slower than a rival: {', '.join(slower) or 'none'}")
    return rows


def _ratio(row: dict[str, Any]) -> float:
    """Ratio to the best rival, infinite if there is none."""
    rival = row["peers"].get(row["best_rival"], {})
    return rival.get("ratio", {}).get("median", math.inf)


def _inference(options: argparse.Namespace, workers: list[Worker]) -> report.Rows:
    rows: report.Rows = {}
    plan = _plan(options, FULL if options.full else QUICK)
    print(report.race_titles(), flush=True)
    for count in cases.INFERENCE_ROWS:
        name = f"{count:,} row{'s' * (count > 1)}"
        rows[name] = measure.inference(workers, count, plan)
        print(report.race(name, rows[name]), flush=True)
    return rows


def _threads_scaling(options: argparse.Namespace, workers: list[Worker]) -> report.Rows:
    rows: report.Rows = {}
    if options.threads == 1:
        print("only one thread to use")
        return rows
    with measure.started([("fastmlp", 1), ("fastmlp", options.threads)]) as (pair, absent):
        if absent:
            print(absent["fastmlp"])
            return rows
        for case in cases.CASES:
            if not options.cases or case.name in options.cases:
                plan = _plan(options, FULL if options.full else QUICK)
                row = measure.scaling(*pair, case, plan)
                rows[case.name] = row
                one, several = (report.milliseconds(row[name]) for name in ("one_ms", "several_ms"))
                gain = report.spread(row["gain"])
                several += f" ms on {row['threads']}"
                print(
                    f"{case.name:8}{one:>8} ms on 1 thread, {several:>14}, "
                    f"gain {gain}  {report.placements(row)}",
                    flush=True,
                )
    return rows


def _memory(options: argparse.Namespace, workers: list[Worker]) -> report.Rows:
    if not memory.measurable():
        print("not measured: this system has no /proc/self/status")
        return {}
    imports = memory.imports(9 if options.full else 5)
    rows: report.Rows = {"import": imports}
    print(
        "import: NumPy {numpy_ms:.0f} ms, {numpy_mib:.1f} MiB; fastmlp adds {fastmlp_ms:.0f} ms, "
        "{fastmlp_mib:.1f} MiB".format(**imports),
        flush=True,
    )
    for case in cases.CASES:
        if options.cases and case.name not in options.cases:
            continue
        for layout in memory.LAYOUTS if case.name == "large" else memory.LAYOUTS[:1]:
            name = f"{case.name}, X {layout}"
            rows[name] = row = memory.training(case, layout)
            print(
                f"{name:24}peak + {row['grown_mib']:6.1f} MiB of at most {row['bound_mib']:6.1f}",
                flush=True,
            )
    return rows


TITLES = {
    "training": "Training: milliseconds for one epoch (threads); ratio: median over rounds (range)",
    "inference": f"Inference: milliseconds for one predict through {cases.INFERENCE.layers}",
    "threads_scaling": "Threads: fastmlp on all of them over one",
    "memory": "Memory: beyond the caller's X and y, in fresh processes",
    "sweep": "Sweep: milliseconds for one epoch of about 4 Gflop",
}
RUN = {
    "training": _training,
    "inference": _inference,
    "threads_scaling": _threads_scaling,
    "memory": _memory,
    "sweep": _sweep,
}


if __name__ == "__main__":
    sys.exit(main())
