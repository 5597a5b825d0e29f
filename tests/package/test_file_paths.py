"""Links, devices, names and errors of files that are replaced or opened."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from file_actions import NOBODY, as_root, device, load, nobody, on_linux, run, save

from fastmlp.export.files import PREFIX, replaced


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which anybody may make files."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    return tmp_path


# ---- links, devices, pipes


def test_a_link_is_followed(folder: Path) -> None:
    os.makedirs("a/b")
    os.symlink("../net", "a/link")
    os.symlink("../link", "a/b/chain")
    os.symlink(folder / "a" / "b" / "chain", "absolute")
    for path in ("a/link", "a/b/chain", "absolute"):
        for before in (None, b"old"):
            if before is None:
                Path("net").unlink(missing_ok=True)
            save(path, path.encode())
            assert load("net") == path.encode()
            assert os.path.islink(path) and not os.path.islink("net")
    assert sorted(os.listdir()) == ["a", "absolute", "net"]
    assert (sorted(os.listdir("a")), os.listdir("a/b")) == (["b", "link"], ["chain"])


def test_links_that_lead_nowhere(folder: Path) -> None:
    os.symlink("loop2", "loop1")
    os.symlink("loop1", "loop2")
    for act in (save, load):
        with pytest.raises(OSError) as found:
            act("loop1")
        assert (found.value.errno, found.value.filename) == (errno.ELOOP, "loop1")
    os.symlink("missing/net", "dangling")
    with pytest.raises(FileNotFoundError, match="no folder 'missing'.*: 'dangling'"):
        save("dangling")
    assert sorted(os.listdir()) == ["dangling", "loop1", "loop2"]


def test_a_character_device_is_written_to(folder: Path) -> None:
    device("null", "/dev/null")
    os.symlink("null", "link")
    for path in ("null", "link"):
        save(path, b"x" * 100_000)
        assert stat.S_ISCHR(os.stat("null").st_mode)
    assert sorted(os.listdir()) == ["link", "null"] and os.path.islink("link")


@on_linux
def test_a_device_that_is_full(folder: Path) -> None:
    device("full", "/dev/full")
    with pytest.raises(OSError) as found:
        save("full", b"x" * 100_000)
    assert (found.value.errno, found.value.filename) == (errno.ENOSPC, "full")


@on_linux
def test_standard_output_is_written_to() -> None:
    code = """
from fastmlp.export.files import replaced
with replaced("/proc/self/fd/1") as file:
    file.write(b"content")
"""
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "content"), done


def test_a_fifo_without_a_reader_is_refused(folder: Path) -> None:
    os.mkfifo("fifo")
    for act in (save, load):
        began = time.perf_counter()
        with pytest.raises(OSError, match="FIFO.*: 'fifo'") as found:
            act("fifo")
        assert found.value.filename == "fifo"
        assert time.perf_counter() - began < 5
    assert stat.S_ISFIFO(os.stat("fifo").st_mode) and os.listdir() == ["fifo"]


def test_a_fifo_that_is_read_gets_the_content(folder: Path) -> None:
    os.mkfifo("fifo")
    reader = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    content, found = os.urandom(1_000_000), bytearray()

    def read() -> None:
        while part := os.read(reader, 65536):
            found.extend(part)

    thread = threading.Thread(target=read)
    with replaced("fifo") as file:
        thread.start()  # there is a writer now, so it reads until that has gone
        file.write(content)
    thread.join(timeout=30)
    os.close(reader)
    assert found == content
    assert os.listdir() == ["fifo"]


def test_sockets_and_block_devices_are_refused(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        paths = ["socket"]
        try:
            os.mknod("block", stat.S_IFBLK | 0o600, os.makedev(7, 250))
            paths.append("block")
        except OSError:
            pass  # makers of device files need rights
        for path, act in itertools.product(paths, (save, load)):
            kind = "a socket" if path == "socket" else "a device"
            with pytest.raises(OSError, match=f"Not a file but {kind}: '{path}'"):
                act(path)
    assert sorted(os.listdir()) == sorted(paths)


def test_a_device_is_not_read(folder: Path) -> None:
    device("null", "/dev/null")
    with pytest.raises(OSError, match="Not a file but a device: 'null'"):
        load("null")


# ---- paths


def test_any_kind_of_path(folder: Path) -> None:
    os.makedirs("a")
    names: list[Any] = [
        "net", b"net", Path("net"), "with space ü 网", "new\nline", "-", ".net", "x" * 255,
        "ü" * 127, str(folder / "a" / ".." / "b"), "./a/../c", "a//d", PREFIX + "net",
    ]  # fmt: skip
    for name in names:
        save(name, repr(name).encode())
        assert load(name) == repr(name).encode()
        assert Path(os.fsdecode(name)).read_bytes() == repr(name).encode()
    # "net" is there three times, "a//d" lies in the folder
    assert len(os.listdir()) == len(names) - 2


@on_linux
def test_names_that_are_not_utf_8(folder: Path) -> None:
    for name in (b"caf\xe9", b"\xff" * 255, os.fsdecode(b"\x80"), Path(os.fsdecode(b"\x81"))):
        save(name)
        assert load(name) == b"new"
        assert os.fsencode(name) in os.listdir(b".")
    with pytest.raises(OSError) as found:
        load(b"missing\xff")
    assert found.value.filename == os.fsdecode(b"missing\xff")


@pytest.mark.parametrize("wrong", [5, None, 1.5, ["net"], object()])
def test_what_is_no_path(wrong: Any) -> None:
    for act in (save, load):
        with pytest.raises(TypeError, match="expected str, bytes or os.PathLike object"):
            act(wrong)
        with pytest.raises(ValueError, match="null"):
            act("a\0b")


def test_a_relative_path_is_of_the_folder_where_the_block_began(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.makedirs("a/b")
    for path, place in (("net", "net"), ("a/net", "a/net")):
        monkeypatch.chdir(folder)
        with replaced(path) as file:
            os.chdir("a/b")
            file.write(b"new")
        assert (folder / place).read_bytes() == b"new"
    monkeypatch.chdir(folder)
    with replaced("a/other") as file:
        os.rename("a", "moved")
        file.write(b"new")
    assert load("moved/other") == b"new" and not os.path.exists("a")


# ---- errors


def test_errors_name_the_path_that_was_given(folder: Path) -> None:
    save("file", b"old")
    os.mkdir("folder")
    cases: list[tuple[Any, type[OSError], int]] = [
        ("missing/net", FileNotFoundError, errno.ENOENT),
        ("missing/deep/net", FileNotFoundError, errno.ENOENT),
        ("missing/../net", FileNotFoundError, errno.ENOENT),
        ("missing/.", FileNotFoundError, errno.ENOENT),
        ("", FileNotFoundError, errno.ENOENT),
        ("folder", IsADirectoryError, errno.EISDIR),
        ("folder/", IsADirectoryError, errno.EISDIR),
        (".", IsADirectoryError, errno.EISDIR),
        ("/", IsADirectoryError, errno.EISDIR),
        ("file/net", NotADirectoryError, errno.ENOTDIR),
        ("file/", NotADirectoryError, errno.ENOTDIR),
        ("x" * 256, OSError, errno.ENAMETOOLONG),
        ("folder/" + "ü" * 128, OSError, errno.ENAMETOOLONG),
        ("x/" * 3000, OSError, errno.ENAMETOOLONG),
    ]
    for act in (save, load):
        for path, kind, number in cases:
            with pytest.raises(kind) as found:
                act(path)
            assert (found.value.errno, found.value.filename) == (number, path)
            assert PREFIX not in str(found.value)
    with pytest.raises(FileNotFoundError, match="no folder 'new' to write to"):
        save("new/")
    with pytest.raises(FileNotFoundError, match="no folder 'missing/deep' to write to"):
        save("missing/deep/net")
    assert sorted(os.listdir()) == ["file", "folder"] and load("file") == b"old"


def test_too_many_open_files(folder: Path) -> None:
    save("net", b"old")
    # One descriptor to load; the folder and the new file to save, and the old one if there is one.
    cases = (("net", load, 1), ("other", save, 2), ("net", save, 3))
    for (path, act, needed), free in itertools.product(cases, range(4)):
        with free_descriptors(free):
            if free >= needed:
                act(path)
            else:
                with pytest.raises(OSError) as found:
                    act(path)
                assert (found.value.errno, found.value.filename) == (errno.EMFILE, path)
    assert sorted(os.listdir()) == ["net", "other"] and load("net") == b"new"


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Let this process open so many files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.dup(0) for _ in range(count)]
    last = os.dup(0)  # all numbers below are taken
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, limits[1]))
        for descriptor in held:
            os.close(descriptor)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(last)


@as_root
def test_what_is_not_permitted(folder: Path) -> None:
    os.mkdir("closed", mode=0o755)
    save("closed/net", b"old")
    save("secret", b"old")
    os.chmod("secret", 0o600)
    save("fixed", b"old")
    os.chmod("fixed", 0o444)
    with nobody():
        for path in ("closed/net", "closed/other", "secret", "fixed"):
            with pytest.raises(PermissionError) as found:
                save(path)
            assert found.value.filename == path
        with pytest.raises(PermissionError) as found:
            load("secret")
        assert found.value.filename == "secret"
    os.chmod("closed", 0o700)
    with nobody():
        for act in (save, load):
            with pytest.raises(PermissionError) as found:
                act("closed/net")
            assert found.value.filename == "closed/net"
    assert [load(path) for path in ("closed/net", "secret", "fixed")] == [b"old"] * 3
    assert os.listdir("closed") == ["net"] and len(os.listdir()) == 3


@as_root
@on_linux
def test_a_folder_that_may_not_be_listed(folder: Path) -> None:
    os.mkdir("box")
    os.chown("box", NOBODY, NOBODY)
    os.chmod("box", 0o300)
    with nobody():
        for content in (b"one", b"two"):
            save("box/net", content)
            assert load("box/net") == content
    assert os.listdir("box") == ["net"]


def test_a_limit_of_the_length_of_files(folder: Path) -> None:
    save("net", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for size in (100_001, 10_000_000):
            with pytest.raises(OSError) as found:
                save("net", b"x" * size)
            assert (found.value.errno, found.value.filename) == (errno.EFBIG, "net")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert (load("net"), os.listdir()) == (b"old", ["net"])


def mounted(folder: Path, options: str, code: str) -> subprocess.CompletedProcess:
    """Run code in a file system of its own, in the working directory."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare")
    mount = f'mount -t tmpfs -o {options} none "{folder}" && cd "{folder}" && exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if run("", before=before).returncode:
        pytest.skip("file systems may not be mounted here")
    return run(code, before=before)


@on_linux
def test_a_full_disk_leaves_the_old_file(folder: Path) -> None:
    code = """
import os
from fastmlp.export.files import replaced
def save(content):
    with replaced("net") as file:
        file.write(content)
save(b"old" * 5000)
for size in (60_000, 10_000_000):
    try:
        save(b"x" * size)
    except OSError as error:
        print(error.errno, error.filename, open("net", "rb").read() == b"old" * 5000, os.listdir())
"""
    done = mounted(folder, "size=64k", code)
    assert done.stdout == f"{errno.ENOSPC} net True ['net']\n" * 2, done


@on_linux
def test_a_file_system_that_is_read_only(folder: Path) -> None:
    code = """
import os, subprocess
from fastmlp.export.files import opened, replaced
with replaced("net") as file:
    file.write(b"old")
subprocess.run(["mount", "-o", "remount,ro", os.getcwd()], check=True)
for path in ("net", "other"):
    try:
        with replaced(path) as file:
            file.write(b"new")
    except OSError as error:
        print(error.errno, error.filename, opened("net").read(), os.listdir())
"""
    done = mounted(folder, "size=1m", code)
    expected = [f"{errno.EROFS} {path} b'old' ['net']\n" for path in ("net", "other")]
    assert done.stdout == "".join(expected), done


@pytest.mark.parametrize("name", ["open", "fsync", "replace", "fchmod", "fstat"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_any_step_may_fail(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    save("net", b"old")
    real = getattr(os, name)
    failed = []

    def fail(*arguments: Any, **options: Any) -> Any:
        if name == "open" and not arguments[1] & os.O_CREAT:
            return real(*arguments, **options)
        failed.append(name)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(OSError) as found:
            save("net")
    assert (found.value.errno, found.value.filename, len(failed)) == (number, "net", 1)
    assert (load("net"), os.listdir()) == (b"old", ["net"])
