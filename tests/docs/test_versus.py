"""Build against build: the turns, the figures, and a run of this build against itself."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest
from fastmlp.bench import cases, versus

TINY, NIELSEN = cases.CASES[:2]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versus, "QUIET", 0.0)
    monkeypatch.setattr(versus, "ENOUGH", 1e-6)


class Timed:
    """A build that only claims to take so many seconds for each epoch, and keeps a diary."""

    def __init__(self, name, seconds, diary):
        self.name, self.seconds, self.diary = name, seconds, diary

    def prepare(self, case):
        self.diary.append(f"{self.name} prepares {case.name}")

    def train(self, case, epochs):
        self.diary.append(f"{self.name} {case.name} {epochs}")
        return epochs * self.seconds


def test_builds_take_turns_and_who_begins_changes(monkeypatch):
    monkeypatch.setattr(versus, "ENOUGH", 0.4)
    diary = []
    this, other = Timed("this", 0.1, diary), Timed("other", 0.2, diary)
    times = versus.measure(this, other, [TINY, NIELSEN], 2)
    assert diary[-8:] == [
        *("this tiny 2", "other tiny 2", "other nielsen 2", "this nielsen 2"),
        *("other tiny 2", "this tiny 2", "this nielsen 2", "other nielsen 2"),
    ]
    assert len([line for line in diary if "prepares" in line]) == 4
    assert versus.ratios(times) == {
        "tiny": pytest.approx([0.5, 0.5]),
        "nielsen": pytest.approx([0.5, 0.5]),
    }


def test_the_table_has_medians_quartiles_and_the_geometric_mean():
    times = {
        "a": [(1e-3 * ratio, 1e-3) for ratio in (4.0, 1.0, 2.0, 3.0, 5.0)],
        "b": [(1e-3 / ratio, 1e-3) for ratio in (1.0, 1.0, 2.0, 12.0, 5.0)],
    }
    _, a, b, together = versus.table(times).splitlines()
    assert a.split() == "a 3.00 1.00 3.000 (2.000 … 4.000) 1.000 … 5.000".split()
    assert b.split() == "b 0.500 1.00 0.500 (0.200 … 1.000) 0.083 … 1.000".split()
    # Within the rounds: √4, 1, 1, √(3/12), 1.
    assert together.split() == "all 1.000 (1.000 … 1.000) 0.500 … 2.000".split()
    assert versus.geometric_mean([2.0, 8.0]) == pytest.approx(4)
    assert versus.spread([1.5]) == "1.500 (1.500 … 1.500)  1.500 … 1.500"


def test_a_build_against_itself(capsys, monkeypatch, tmp_path):
    """Each interpreter uses what it has installed, whatever lies on the path of the caller."""
    (tmp_path / "fastmlp.py").write_text("raise ImportError('not this one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = [sys.executable, "--rounds", "1", "--threads", "1", "--cases", "tiny"]
    assert versus.main(run) == 0
    printed = capsys.readouterr().out
    command = [sys.executable, "-I", "-c", "import fastmlp; print(fastmlp.__file__)"]
    installed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert printed.count(installed) == 2
    assert "the same build: ratios show the noise" in printed
    name, *figures = printed.splitlines()[-2].split()
    assert name == "tiny" and float(figures[0]) > 0
    assert math.isclose(float(figures[2]), float(figures[0]) / float(figures[1]), rel_tol=0.02)


def test_both_builds_do_the_same_work(capsys, monkeypatch):
    """The same epochs from the same parameters end in the same loss; another rate is noticed."""
    prepare = versus.Build.prepare

    def prepare_apart(self, case):
        builds.append(self)
        faster = dataclasses.replace(case, learning_rate=1.0)
        prepare(self, faster if len(builds) == 2 else case)

    builds: list[versus.Build] = []
    monkeypatch.setattr(versus.Build, "prepare", prepare_apart)
    run = [sys.executable, "--rounds", "1", "--threads", "1", "--cases", "tiny"]
    assert versus.main(run) == 1
    assert "tiny: not the same work, the loss is" in capsys.readouterr().out


def test_a_build_that_cannot_be_used_is_named(capsys, tmp_path):
    assert versus.main([str(tmp_path / "python")]) == 1
    assert "python cannot be started: No such file" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.write_text("#!/bin/sh\necho 'no fastmlp here' >&2\n")
    empty.chmod(0o755)
    assert versus.main([str(empty)]) == 1
    assert f"{empty} ended: no fastmlp here" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--threads"])
def test_numbers_must_be_positive(option):
    with pytest.raises(SystemExit) as stopped:
        versus.main([sys.executable, option, "0"])
    assert stopped.value.code == 2
