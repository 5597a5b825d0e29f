"""Files replaced in one step: attributes, links, devices, errors, interruptions, killed writers."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastmlp.export import files
from fastmlp.export.files import PREFIX, opened, replaced

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, which root may")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at Linux")


def save(path: Any, content: bytes = b"new") -> None:
    with replaced(path) as file:
        file.write(content)


def load(path: Any) -> bytes:
    with opened(path) as file:
        return file.read()


def mode(path: Any) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@contextmanager
def nobody() -> Iterator[None]:
    """Root acts as a user without rights for a while."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which anybody may make files."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    return tmp_path


def run(code: str, *arguments: Any, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


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


def device(path: str, original: str) -> str:
    """A device like that one, in the working directory.

    Root could replace the original for the whole machine if what is tested were wrong.
    """
    if os.geteuid() != 0:
        os.symlink(original, path)
        return path
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat(original).st_rdev)
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"devices may not be made here: {error}")
    return path


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
        "net", b"net", Path("net"), "with space ü 网", "new\nline", "-", ".net", "x" * 255, "ü" * 127,
        str(folder / "a" / ".." / "b"), "./a/../c", "a//d", PREFIX + "net",
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


def test_what_a_living_writer_is_writing_is_not_removed(folder: Path) -> None:
    with replaced("net") as first:
        first.write(b"first")
        with replaced("net") as second:
            second.write(b"second")
        save("net", b"third")
        assert load("net") == b"third"
        assert len(os.listdir()) == 2
        done = run("import sys; from fastmlp.export.files import replaced\n"
                   "with replaced(sys.argv[1]) as file: file.write(b'other process')", "net")  # fmt: skip
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
