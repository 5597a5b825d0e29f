"""The benchmark: workloads well-formed, equal work for each installed rival, others are named."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from fastmlp.bench import cases, measure, memory, report, run
from fastmlp.bench.lines import WorkerError
from fastmlp.bench.peers import PEERS
from fastmlp.bench.worker import Worker

from fastmlp import cli

TINY = cases.Case("test", (5, 7, 3), "relu", 8, "adam", 1e-2, 64)
PLAN = measure.Plan(rounds=2, seconds=1e-4, clearly_slower=math.inf)

INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(bool(peer.missing()), reason=f"not installed: {peer.missing()}"),
    )
    for name, peer in PEERS.items()
]


def reference_loss(case):
    """Cross-entropy of the starting network, in NumPy."""
    X, y = cases.data(case)
    hidden = {
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }
    a = X.astype(np.float64)
    start = cases.parameters(case)
    for number, (weights, biases) in enumerate(start, start=1):
        z = a @ weights.T + biases
        a = hidden[case.hidden](z) if number < len(start) else z
    probabilities = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    return cases.cross_entropy(probabilities, y)


@pytest.fixture
def worker(request):
    worker = Worker(request.param, 1)
    worker.greet()
    yield worker
    worker.close()


class Timed:
    """A worker that only claims to take so many seconds for each epoch, or that fails."""

    def __init__(self, peer, threads, seconds):
        self.peer, self.threads, self.seconds = peer, threads, seconds

    def prepare(self, case, training=True):
        if self.seconds is None:
            raise WorkerError(f"{self.peer} is out of memory")

    def train(self, epochs):
        return epochs * self.seconds

    def loss(self):
        return 1.0

    def conditions(self, seconds):
        return {"peak_gflops": 100.0, "one_thread_gflops": 52.0, "barrier_ns": 80.0, "line_ns": 2.5}


def test_flops_count_six_per_weight_less_two_in_the_first_layer():
    case = cases.Case("", (4, 16, 3), "tanh", 16, "sgd", 0.1, 9_600)
    assert case.weights == 4 * 16 + 16 * 3
    assert case.parameters == case.weights + 19
    assert case.flops == 9_600 * (4 * 4 * 16 + 6 * 16 * 3)


def test_cases_are_those_of_the_published_table():
    assert [case.name for case in cases.CASES] == [
        "tiny",
        "nielsen",
        "small",
        "medium",
        "large",
        "deep",
    ]
    assert [case.batch_size for case in cases.CASES] == [16, 10, 64, 256, 512, 1024]


def test_sweep_covers_widths_depths_batches_and_odd_sizes():
    shapes = list(cases.sweep())
    assert len({case.name for case in shapes}) == len(shapes)
    assert {8, 4096} <= {case.sizes[0] for case in shapes}
    assert {case.batch_size for case in shapes} >= {1, 4096}
    assert {len(case.sizes) - 2 for case in shapes} >= set(range(9))
    assert any(width % 2 for case in shapes for width in case.sizes)


@pytest.mark.parametrize("rows", [0, 12])
def test_rows_must_fill_the_batches(rows):
    with pytest.raises(ValueError, match="rows must be a multiple of batch_size 8"):
        dataclasses.replace(TINY, rows=rows)


def test_with_flops_keeps_whole_batches():
    large = cases.CASES[4]
    assert large.with_flops(large.flops / 3).rows == large.rows // 3 // 512 * 512
    assert large.with_flops(1).rows == 512
    assert large.with_flops(math.inf) == large


def test_data_are_the_same_again_and_hold_every_class():
    X, y = cases.data(TINY)
    again, _ = cases.data(TINY)
    np.testing.assert_array_equal(X, again)
    assert X.dtype == np.float32 and X.shape == (64, 5)
    assert set(y) == {0, 1, 2}


@pytest.mark.parametrize("worker", INSTALLED, indirect=True)
def test_peer_starts_from_the_same_network_and_learns(worker):
    for hidden, optimizer in (("relu", "adam"), ("sigmoid", "sgd"), ("tanh", "sgd")):
        case = dataclasses.replace(TINY, hidden=hidden, optimizer=optimizer, learning_rate=0.02)
        worker.prepare(case)
        before = worker.loss()
        assert before == pytest.approx(reference_loss(case), rel=1e-4)
        assert worker.predict(rows=1, calls=2) > 0
        if PEERS[worker.peer].trains:
            assert worker.train(20) > 0
            assert worker.loss() < before


@pytest.mark.parametrize("worker", ["fastmlp"], indirect=True)
def test_worker_reports_a_failure_and_goes_on(worker):
    with pytest.raises(WorkerError, match="fastmlp, 1 thread: .*rows must be a multiple"):
        worker.ask("prepare", case={**dataclasses.asdict(TINY), "rows": 1}, training=True)
    with pytest.raises(WorkerError, match="operation must be one of"):
        worker.ask("no such operation")
    worker.prepare(TINY)
    assert worker.train(1) > 0
    conditions = worker.conditions(0.01)
    assert conditions["peak_gflops"] > 0 and measure.placement(conditions) == "one thread"


def test_missing_rival_is_named(monkeypatch):
    monkeypatch.setattr(PEERS["jax"], "packages", ("no_such_package",))
    with measure.started([("jax", 1)]) as (workers, absent):
        assert workers == []
        assert absent == {"jax": "missing: no_such_package not installed"}


def test_ratio_is_to_the_best_rival_at_its_better_number_of_threads(monkeypatch):
    monkeypatch.setattr(measure, "SETTLE", 0)
    workers = [
        Timed("fastmlp", 2, 0.01),
        Timed("jax", 1, 0.04),
        Timed("jax", 2, 0.03),
        Timed("pytorch", 2, 0.05),
        Timed("scikit-learn", 2, None),
    ]
    row = measure.training(workers, TINY, PLAN)
    assert row["best_rival"] == "jax"
    assert row["peers"]["jax"]["threads"] == 2
    assert row["peers"]["jax"]["ratio"] == pytest.approx({"median": 3, "min": 3, "max": 3})
    assert row["peers"]["pytorch"]["ratio"]["median"] == pytest.approx(5)
    assert row["failed"] == {"scikit-learn": "scikit-learn is out of memory"}
    assert row["gflops"] == pytest.approx(TINY.flops / 0.01 / 1e9)
    assert row["share_of_peak"] == pytest.approx(row["gflops"] / 100)
    line = report.race("test", row)
    assert line.endswith(
        f"{PLAN.rounds} × one cache\n    scikit-learn failed: scikit-learn is out of memory"
    )
    assert (
        "3.00 (3.00 … 3.00) jax" in line
        and "scikit-learn failed: scikit-learn is out of memory" in line
    )


def test_hopeless_rival_is_reported_from_its_first_look(monkeypatch):
    monkeypatch.setattr(measure, "SETTLE", 0)
    workers = [Timed("fastmlp", 1, 0.01), Timed("jax", 1, 0.03), Timed("pytorch", 1, 0.09)]
    row = measure.training(workers, TINY, dataclasses.replace(PLAN, hopeless=2.0))
    assert row["peers"]["pytorch"]["ms"] == pytest.approx(90)
    assert "ratio" not in row["peers"]["pytorch"]
    assert "~90.0 (1)" in report.race("test", row)


def test_scaling_is_one_thread_over_several(monkeypatch):
    monkeypatch.setattr(measure, "SETTLE", 0)
    row = measure.scaling(Timed("fastmlp", 1, 0.02), Timed("fastmlp", 2, 0.01), TINY, PLAN)
    assert row["gain"]["median"] == pytest.approx(2)


def test_run_measures_prints_and_saves(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cases, "CASES", (TINY,))
    options = "bench --training --peers fastmlp --rounds 1 --threads 1 --output"
    assert cli.main([*options.split(), str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "jax: not asked for" in printed and "test × 64" in printed
    (path,) = tmp_path.glob("*.json")
    saved = json.loads(path.read_text())
    assert saved["training"]["test"]["peers"]["fastmlp"]["ms"] > 0
    assert saved["training"]["test"]["case"]["flops"] == TINY.flops

    report.save(tmp_path, {}, {"training": {"other": {}}})
    assert set(json.loads(path.read_text())["training"]) == {"test", "other"}


def test_quick_run_starts_no_case_when_its_time_is_over(monkeypatch, capsys):
    monkeypatch.setattr(run, "QUICK_SECONDS", 0.0)
    assert run.main(["--training", "--peers", "fastmlp", "--cases", "tiny"]) == 0
    assert "skipped after 0 s; --cases tiny measures it" in capsys.readouterr().out


def test_memory_bound():
    adam = 2 * 3 * (5 * 7 + 7 * 3 + 10) + 2 * 8 * (5 + 7 + 3)
    assert memory.bound(TINY) == 4 * adam + 32 * 2**20


@pytest.mark.parametrize("layout", memory.LAYOUTS)
def test_layouts_keep_the_shape(layout):
    X, _ = cases.data(TINY)
    arranged = memory.arrange(X, layout)
    assert arranged.shape == X.shape
    if layout != "uint8":
        np.testing.assert_array_equal(arranged, X)


@pytest.mark.skipif(not memory.measurable(), reason="needs /proc/self/status")
def test_memory_and_import_are_seen_by_fresh_processes():
    assert memory.imports(1)["numpy_ms"] > 0
    assert memory.training(cases.CASES[0], "float64")["grown_mib"] >= 0


def test_figures_are_drawn(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    from fastmlp.bench import plot

    monkeypatch.setattr(measure, "SETTLE", 0)
    row = measure.training([Timed("fastmlp", 1, 0.01), Timed("jax", 1, 0.03)], TINY, PLAN)
    path = report.save(tmp_path, {}, {"training": {"test": row}, "sweep": {"width 5": row}})
    plot.main([str(path), str(tmp_path)])
    assert (tmp_path / "ratios.svg").exists() and (tmp_path / "peak.svg").exists()


def test_command_shows_the_configuration(capsys):
    assert cli.main(["config"]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "arguments", ["", "no-such-command", "bench --no-such-option", "bench --rounds 0"]
)
def test_command_refuses_what_it_does_not_know(arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments.split())
    assert stopped.value.code == 2
