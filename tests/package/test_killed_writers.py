"""Writers of a file that were killed, and writers at the same time: what they leave is removed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from file_actions import load, run, save

from fastmlp.export.files import PREFIX, replaced


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which anybody may make files."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    return tmp_path


KILLED = """
import os, signal, sys
from fastmlp.export.files import replaced
processes = []
for path in sys.argv[1:]:
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        with replaced(path) as file:
            file.write(b"x" * 100_000)
            os.write(writer, b"!")
            signal.pause()
    os.read(reader, 1)
    processes.append(process)
for process in processes:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
"""


def test_what_killed_writers_left_is_removed_by_the_next_save_of_that_path(folder: Path) -> None:
    save("net", b"old")
    os.symlink("net", "link")
    assert run(KILLED, "net", "net", "other", "net").returncode == 0
    assert len(os.listdir()) == 6
    save("third")
    assert len(os.listdir()) == 7
    save("link")
    assert (load("net"), len(os.listdir())) == (b"new", 4)
    save("other")
    assert sorted(os.listdir()) == ["link", "net", "other", "third"]


ANOTHER = """
import sys
from fastmlp.export.files import replaced
with replaced(sys.argv[1]) as file:
    file.write(b"other process")
"""


def test_what_a_living_writer_is_writing_is_not_removed(folder: Path) -> None:
    with replaced("net") as first:
        first.write(b"first")
        with replaced("net") as second:
            second.write(b"second")
        save("net", b"third")
        assert load("net") == b"third"
        assert len(os.listdir()) == 2
        done = run(ANOTHER, "net")
        assert (done.returncode, load("net"), len(os.listdir())) == (0, b"other process", 2)
    assert (load("net"), os.listdir()) == (b"first", ["net"])


def test_a_file_taken_for_abandoned_before_it_was_locked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = fcntl.flock, []

    def lock(descriptor: int, how: int) -> None:
        if len(taken) < 3:
            (name,) = [name for name in os.listdir() if name.startswith(PREFIX)]
            os.unlink(name)
            taken.append(name)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    save("net")
    assert (load("net"), os.listdir(), len(taken)) == (b"new", ["net"], 3)


def test_a_writer_that_comes_late_removes_no_file_of_a_later_attempt(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two others took the first file for abandoned; the second removes it when it is gone."""
    real, taken = fcntl.flock, []

    def lock(descriptor: int, how: int) -> None:
        if not taken:
            (name,) = [name for name in os.listdir() if name.startswith(PREFIX)]
            os.unlink(name)
            taken.append(name)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with replaced("net") as file:
        file.write(b"new")
        assert len(taken) == 1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(taken[0])
    assert (load("net"), os.listdir()) == (b"new", ["net"])


def test_a_file_system_without_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "no locks")

    assert run(KILLED, "net").returncode == 0
    left = os.listdir()
    assert len(left) == 1
    monkeypatch.setattr(fcntl, "flock", lock)
    save("net")
    assert sorted(os.listdir()) == sorted([*left, "net"])  # it may be that of a living writer


KILLS = """
import os, random, signal, sys, time
from fastmlp.export.files import replaced
count, contents = int(sys.argv[1]), [bytes([i]) * 300_000 for i in (1, 2)]
def save(content):
    with replaced("net") as file:
        file.write(content[:150_000])
        file.write(content[150_000:])
save(contents[0])
random.seed(count)
left = 0
for _ in range(count):
    process = os.fork()
    if process == 0:
        while True:
            for content in contents:
                save(content)
    time.sleep(0.03 * random.random())
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with open("net", "rb") as file:
        assert file.read() in contents
    left += len(os.listdir()) - 1
    assert len(os.listdir()) <= 2
save(contents[0])
print(left, *os.listdir())
"""


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.stress)])
def test_writers_killed_at_any_moment_leave_the_old_or_the_new_file(
    folder: Path, count: int
) -> None:
    done = run(KILLS, count)
    assert done.returncode == 0, done
    left, *names = done.stdout.split()
    assert names == ["net"]
    assert int(left) > 0  # so some were killed while they wrote
