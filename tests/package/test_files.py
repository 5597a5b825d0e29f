"""Files replaced in one step: interruptions, attributes, killed writers."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from file_actions import NOBODY, as_root, load, mode, nobody, on_linux, run, save

from fastmlp.export import files
from fastmlp.export.files import PREFIX, replaced


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which anybody may make files."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    return tmp_path


# ---- one step


def test_a_file_has_its_new_content_when_the_block_ends(folder: Path) -> None:
    for content in (b"one", b"", b"x" * 3_000_000):
        with replaced("net") as file:
            before = load("net") if os.path.exists("net") else None
            file.write(content[:100])
            file.write(memoryview(content[100:]))
            file.flush()
            assert before == (load("net") if os.path.exists("net") else None)
        assert load("net") == content
        assert os.listdir() == ["net"]


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), MemoryError(), GeneratorExit()]
)
def test_a_block_that_raises_leaves_the_old_file(folder: Path, error: BaseException) -> None:
    for before in ([], ["net"]):
        with pytest.raises(type(error)), replaced("net") as file:
            file.write(b"not whole")
            raise error
        assert os.listdir() == before
        save("net", b"old")
    assert load("net") == b"old"


def test_all_is_on_the_disk_before_and_after_the_renaming(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.replace

    def flush(descriptor: int) -> None:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        steps.append({stat.S_IFREG: "file", stat.S_IFDIR: "folder"}[kind])
        if kind == stat.S_IFREG:
            assert os.fstat(descriptor).st_size == 3
        fsync(descriptor)

    def replace(*names: Any, **folders: Any) -> None:
        steps.append("rename")
        rename(*names, **folders)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", replace)
    save("net")
    assert steps == ["file", "rename", "folder"]


def test_an_interrupt_right_after_the_renaming(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def replace(*names: Any, **folders: Any) -> None:
        rename(*names, **folders)
        raise KeyboardInterrupt

    save("net", b"old")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save("net")
    assert (load("net"), os.listdir()) == (b"new", ["net"])


@pytest.mark.parametrize("before", [None, b"old"])
def test_an_interrupt_at_any_line(folder: Path, before: bytes | None) -> None:
    """The old or the new file whole; what an interrupted cleaning leaves, the next save removes."""
    for at in itertools.count(1):
        for name in os.listdir():
            os.unlink(name)
        if before is not None:
            Path("net").write_bytes(before)
        if not interrupted_at(at):
            break
        found = load("net") if os.path.exists("net") else None
        assert found in (before, b"new")
        descriptors = len(os.listdir("/dev/fd"))
        save("net", b"next")
        assert len(os.listdir("/dev/fd")) == descriptors
        assert (load("net"), os.listdir()) == (b"next", ["net"])
    assert at > 40
    assert (load("net"), os.listdir()) == (b"new", ["net"])


def interrupted_at(count: int) -> bool:
    """Save with an interrupt at that line of the module; whether there are so many lines."""
    lines = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            lines += 1
            if lines == count:
                raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        save("net")
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
    return False


def test_savers_at_the_same_time(folder: Path) -> None:
    """Each content that is found is one that somebody saved, and the last one stays."""
    contents = [bytes([i]) * (50_000 + i) for i in range(4)]
    failures: list[BaseException] = []
    save("net", contents[0])

    def work(content: bytes) -> None:
        try:
            for _ in range(25):
                save("net", content)
                assert load("net") in contents
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (load("net") in contents, os.listdir()) == (True, ["net"])


# ---- modes, owners, attributes


def test_the_umask_is_never_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(_: int) -> int:
        raise AssertionError("another thread would make its files with this mask")

    real = os.umask
    for mask in (0o022, 0o027, 0o077, 0o000):
        before = real(mask)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "umask", touched)
                save(f"net{mask}")
        finally:
            assert real(before) == mask
        assert mode(f"net{mask}") == 0o666 & ~mask


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o644, 0o660, 0o666, 0o755, 0o200])
def test_an_existing_file_keeps_its_mode(folder: Path, kept: int) -> None:
    save("net", b"old")
    os.chmod("net", kept)
    with replaced("net") as file:
        file.write(b"new")
        (temporary,) = set(os.listdir()) - {"net"}
        assert mode(temporary) & ~kept == 0  # nor may anybody read it before
    assert mode("net") == kept
    os.chmod("net", 0o600)
    assert load("net") == b"new"


@as_root
def test_an_existing_file_keeps_its_owner(folder: Path) -> None:
    save("net", b"old")
    os.chown("net", 12345, 23456)
    os.chmod("net", 0o640)
    save("net")
    found = os.stat("net")
    assert (found.st_uid, found.st_gid, mode("net"), load("net")) == (12345, 23456, 0o640, b"new")


@as_root
def test_a_group_that_cannot_be_kept_leaves_its_rights_to_no_other(folder: Path) -> None:
    for before, after in ((0o664, 0o644), (0o660, 0o600), (0o646, 0o646)):
        save("net", b"old")
        os.chown("net", NOBODY, 23456)
        os.chmod("net", before)
        with nobody():
            save("net")
        found = os.stat("net")
        assert (found.st_uid, found.st_gid, mode("net")) == (NOBODY, NOBODY, after)


ACL = "system.posix_acl_access"


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Entries (tag, permissions, id) in the form that the kernel takes."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ANYONE = 0xFFFFFFFF
OWNER, USER, GROUP, MASK, OTHER = 1, 2, 4, 16, 32
SHARED = acl(
    (OWNER, 6, ANYONE), (USER, 4, 1234), (GROUP, 0, ANYONE), (MASK, 4, ANYONE), (OTHER, 0, ANYONE)
)


def set_or_skip(path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"the file system takes no {name}: {error}")


@on_linux
def test_an_existing_file_keeps_its_attributes(folder: Path) -> None:
    save("net", b"old")
    set_or_skip("net", "user.origin", b"measured")
    save("net")
    assert os.getxattr("net", "user.origin") == b"measured"


@on_linux
def test_an_existing_file_keeps_its_access_control_list(folder: Path) -> None:
    save("net", b"old")
    set_or_skip("net", ACL, SHARED)
    save("net")
    assert (os.getxattr("net", ACL), mode("net"), load("net")) == (SHARED, 0o640, b"new")


@on_linux
def test_the_list_of_the_folder_is_for_new_files_only(folder: Path) -> None:
    save("net", b"old")
    os.chmod("net", 0o640)
    set_or_skip(".", "system.posix_acl_default", SHARED)
    save("net")
    assert (ACL in os.listxattr("net"), mode("net")) == (False, 0o640)
    save("other")
    assert os.getxattr("other", ACL) == SHARED


# ---- killed writers

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
