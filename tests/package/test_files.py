"""Files replaced in one step: interruptions, attributes, killed writers."""

from __future__ import annotations

import itertools
import os
import stat
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from file_actions import NOBODY, as_root, load, mode, nobody, on_linux, save

from fastmlp.export import files
from fastmlp.export.files import replaced


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
