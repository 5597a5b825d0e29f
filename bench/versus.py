"""Build against build: this fastmlp and the one of another interpreter, in turns within one run.

``python bench/versus.py OTHER_PYTHON`` or ``make versus OTHER=...``, where OTHER_PYTHON has another
build installed, say that of the last release. Both stay alive and keep their networks; every round
trains all cases in both, and ratios are formed within a round.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence

from fastmlp.bench import cases
from fastmlp.bench.lines import Process, WorkerError
from fastmlp.bench.report import milliseconds, processor
from fastmlp.bench.worker import available_threads, environment

QUIET = 0.3
"""Seconds before each turn, in which the threads of the build before stop spinning."""

ENOUGH = 0.3
"""Seconds of a turn, reached by more epochs where one takes less."""

SAME = 0.01
"""Relative difference of the losses from which on the builds have not done the same work."""


class Build(Process):
    """A build of fastmlp in its process.

    Parameters
    ----------
    python : str
        The interpreter that has it installed.
    threads : int
        Threads for training.
    """

    def __init__(self, python: str, threads: int) -> None:
        self.python = python
        file = pathlib.Path(__file__).with_name("build.py")
        super().__init__([python, "-I", str(file), str(threads)], environment(threads))

    def __repr__(self) -> str:
        return self.python

    def greet(self) -> None:
        """Wait until fastmlp is imported there."""
        greeting = self.receive()
        self.version, self.file = greeting["version"], greeting["file"]

    def prepare(self, case: cases.Case) -> None:
        """Draw the rows of the case and build its network."""
        self.ask("prepare", case=dataclasses.asdict(case))

    def train(self, case: cases.Case, epochs: int) -> float:
        """Seconds of so many more epochs, after some quiet."""
        time.sleep(QUIET)
        return self.ask("train", case=case.name, epochs=epochs)

    def loss(self, case: cases.Case) -> float:
        """Cross-entropy on the first rows."""
        return self.ask("loss", case=case.name)


Times = dict[str, list[tuple[float, float]]]
"""Seconds of one epoch in (this build, the other) by case and round."""


def measure(this: Build, other: Build, chosen: Sequence[cases.Case], rounds: int) -> Times:
    """Time the cases in both builds in turns; who begins changes with every round and case."""
    epochs = {}
    for case in chosen:
        for build in (this, other):
            build.prepare(case)
            build.train(case, 1)  # the first epoch builds and chooses much
        warm = max(build.train(case, 1) for build in (this, other))
        epochs[case.name] = max(1, round(ENOUGH / warm))
    times: Times = {case.name: [] for case in chosen}
    for number in range(rounds):
        for place, case in enumerate(chosen):
            count = epochs[case.name]
            turns = (this, other) if (number + place) % 2 == 0 else (other, this)
            taken = {build: build.train(case, count) / count for build in turns}
            times[case.name].append((taken[this], taken[other]))
        mean = geometric_mean([ratios(times)[case.name][-1] for case in chosen])
        print(f"round {number + 1} of {rounds}: geometric mean {mean:.3f}", flush=True)
    return times


def ratios(times: Times) -> dict[str, list[float]]:
    """This build's time over the other's, by case and round."""
    return {name: [this / other for this, other in pairs] for name, pairs in times.items()}


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean of the logarithms."""
    return math.exp(statistics.fmean(map(math.log, values)))


def spread(values: Sequence[float]) -> str:
    """Median, quartiles and range."""
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    )
    return f"{median:.3f} ({low:.3f} … {high:.3f})  {min(values):.3f} … {max(values):.3f}"


def table(times: Times) -> str:
    """A line for each case and one for the geometric mean of all cases within each round."""
    by_case = ratios(times)
    lines = [f"{'':12}{'this ms':>10}{'other ms':>10}  this / other (quartiles)  range"]
    for name, pairs in times.items():
        this, other = (
            milliseconds(1e3 * statistics.median(side)) for side in zip(*pairs, strict=True)
        )
        lines.append(f"{name:12}{this:>10}{other:>10}  {spread(by_case[name])}")
    means = [geometric_mean(values) for values in zip(*by_case.values(), strict=True)]
    return "\n".join([*lines, f"{'all':12}{'':20}  {spread(means)}"])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the comparison."""
    parser = argparse.ArgumentParser(
        description="Time this build of fastmlp against that of another interpreter, in turns.",
        epilog="A ratio below 1: this build is faster. The same interpreter shows the noise.",
    )
    parser.add_argument("other", metavar="OTHER_PYTHON", help="interpreter with the other build")
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=available_threads(), help="of both builds")
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=[case.name for case in cases.CASES],
        default=[case.name for case in cases.CASES],
        metavar="CASE",
        help="of: %(choices)s (default: all)",
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line options; those of the process by default.

    Returns
    -------
    int
        Status for the shell: 1 if a build cannot be used or their losses differ.
    """
    options = parse(arguments)
    chosen = [case for case in cases.CASES if case.name in options.cases]
    with contextlib.ExitStack() as stack:
        try:
            builds = []
            for python in (sys.executable, options.other):
                builds.append(Build(python, options.threads))
                stack.callback(builds[-1].close)
                builds[-1].greet()
            this, other = builds
            print(f"{processor()}, {options.threads} threads")
            for name, build in (("this", this), ("other", other)):
                print(f"{name}: fastmlp {build.version}, {build.file}", flush=True)
            if this.file == other.file:
                print("the same build: ratios show the noise")
            times = measure(this, other, chosen, options.rounds)
            losses = {case.name: (this.loss(case), other.loss(case)) for case in chosen}
        except WorkerError as error:
            print(error, file=sys.stderr)
            return 1
    print(table(times))
    differing = {
        name: pair for name, pair in losses.items() if not math.isclose(*pair, rel_tol=SAME)
    }
    for name, pair in differing.items():
        print(f"{name}: not the same work, the loss is {pair[0]:.4g} here, {pair[1]:.4g} there")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
