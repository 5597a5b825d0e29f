"""Files that are replaced in one step or not at all, and files opened for reading."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import BinaryIO

# What a temporary file is called; the digest of its target's name and a random part follow.
PREFIX = ".fastmlp-"
_ATTRIBUTES = ("user.", "system.posix_acl_access", "security.selinux")
_ACL = "system.posix_acl_access"
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def replaced(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Iterator[BinaryIO]:
    """Give a file object whose content becomes that of the file when the block ends.

    The content goes to a temporary file in the same folder, is flushed to the disk, and takes the
    place of the old file in one step, so that any reader, also after a crash, finds the old or the
    new content whole. If the block raises, the old file stays and the temporary one is removed.
    The temporary files of writers of this path that were killed are removed as well.

    A symbolic link is followed. Mode, owner and group, extended attributes and the access control
    list of an existing file are kept as far as the system lets; other hard links to it keep the old
    content. A character device, or a FIFO that is being read, is written to directly.

    Parameters
    ----------
    path : str, bytes or path-like

    Yields
    ------
    file : binary file object
        Buffered, for writing from its beginning to its end.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    IsADirectoryError
        If the path is a folder.
    OSError
        If the file cannot be written, among others because it is a block device, a socket or a FIFO
        without a reader. The path is the one given.
    """
    path = os.fsdecode(path)
    status = _status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        with _naming(path, path), open(path, "wb", opener=_open_stream) as stream:
            yield stream
        return
    parent, name = os.path.split(_followed(path))
    parent = parent or os.curdir
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    prefix = f"{PREFIX}{digest}-"
    with _naming(path, parent, name):
        # All that follows is relative to the folder, wherever the process or the folder moves.
        folder = _open_folder(parent)
        try:
            _clear(folder, prefix)
            yield from _replace(folder, name, prefix, exists=status is not None)
            _flush(folder)
        finally:
            os.close(folder)


def opened(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> BinaryIO:
    """Return a file object that reads the file from its beginning.

    Parameters
    ----------
    path : str, bytes or path-like

    Returns
    -------
    file : binary file object
        Buffered; `name` is the path as a string.

    Raises
    ------
    FileNotFoundError
    IsADirectoryError
        If the path is a folder.
    OSError
        If the file cannot be read, among others because it is a FIFO, a device or a socket.
    """
    path = os.fsdecode(path)
    _check_regular(path, os.stat(path))  # a device may act on being opened
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, _: int) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"Not a file but {_KINDS.get(kind, 'something else')}", path)


def _status(path: str) -> os.stat_result | None:
    """Return what stands at a path, links followed; None where a file can be made."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not path:
            raise
        _check_folder_of(path)
        return None
    kind = stat.S_IFMT(status.st_mode)
    if kind in (stat.S_IFDIR, stat.S_IFBLK, stat.S_IFSOCK):
        _check_regular(path, status)
    return status


def _check_folder_of(path: str) -> None:
    folder = os.path.dirname(path) or os.curdir
    try:
        os.stat(folder)
    except FileNotFoundError:
        missing = f"There is no folder {folder!r} to write to"
        raise FileNotFoundError(errno.ENOENT, missing, path) from None


def _followed(path: str) -> str:
    """Return where the symbolic links at the end of a path lead, whether or not a file is there."""
    for _ in range(40):  # as many as Linux follows; more only if somebody changes them meanwhile
        try:
            link = os.readlink(path)
        except OSError:
            return path
        path = os.path.join(os.path.dirname(path), link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _open_stream(path: str, _: int) -> int:
    # Without O_NONBLOCK a FIFO is waited for until somebody reads it.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "Nobody reads this FIFO or device", path) from None
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _open_folder(folder: str) -> int:
    flags = os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(folder, os.O_RDONLY | flags)
    except PermissionError:
        # Files can be made in a folder that must not be listed.
        if not hasattr(os, "O_PATH"):
            raise
        return os.open(folder, os.O_PATH | flags)
    except FileNotFoundError:  # of a link
        missing = f"There is no folder {folder!r} to write to"
        raise FileNotFoundError(errno.ENOENT, missing, folder) from None


class _TakenForAbandonedError(Exception):
    """Another writer removed the temporary file before it was locked."""


def _replace(folder: int, name: str, prefix: str, exists: bool) -> Iterator[BinaryIO]:
    """Give a temporary file; when the caller goes on, it takes the place of `name`."""
    create = partial(_create, folder, name, exists)
    file = None
    while file is None:
        # A name is never used twice: whoever is about to remove what had it would remove the next.
        temporary = prefix + os.urandom(8).hex()
        try:
            file = open(temporary, "wb", opener=create)
        except _TakenForAbandonedError:
            continue
        except BaseException:
            _remove(folder, temporary)
            raise
    try:
        try:
            yield file
            file.flush()
            _flush(file.fileno())
            # Closed only afterwards: the lock tells others that the temporary file is in use.
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            file.raw.close()  # after an error what is still buffered is not wanted
    except BaseException:
        # Not there any more if an interrupt came just after the renaming.
        _remove(folder, temporary)
        raise


def _remove(folder: int, temporary: str) -> None:
    with suppress(OSError):
        os.unlink(temporary, dir_fd=folder)


def _create(folder: int, name: str, exists: bool, temporary: str, _: int) -> int:
    """Return the descriptor of a new, locked file with the attributes of the old one."""
    if not exists:
        return _create_locked(folder, temporary, 0o666)
    # Asks the system whether the old file may be written to; nothing is changed by opening it.
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    old = os.open(name, flags, dir_fd=folder)
    try:
        new = _create_locked(folder, temporary, os.fstat(old).st_mode & 0o600)
        try:
            _copy_attributes(old, new)
        except BaseException:
            os.close(new)
            raise
    finally:
        os.close(old)
    return new


def _create_locked(folder: int, temporary: str, mode: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=folder)
    try:
        with suppress(OSError):  # a file system without locks: nobody removes the file, then
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not os.fstat(descriptor).st_nlink:
            raise _TakenForAbandonedError
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _copy_attributes(old: int, new: int) -> None:
    """Give one file the owner, extended attributes and mode of another, as far as we may."""
    status, mine = os.fstat(old), os.fstat(new)
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if status.st_gid != mine.st_gid:
        try:
            os.fchown(new, -1, status.st_gid)
        except OSError:
            # What the former group was let do is not for the group of this process.
            mode = (mode & ~0o070) | (mode & (mode & 0o007) << 3)
    if status.st_uid != mine.st_uid:
        with suppress(OSError):
            os.fchown(new, status.st_uid, -1)
    if hasattr(os, "listxattr"):
        _copy_extended_attributes(old, new)
    os.fchmod(new, mode)


def _copy_extended_attributes(old: int, new: int) -> None:
    with suppress(OSError):
        names = os.listxattr(old)
        if _ACL in os.listxattr(new) and _ACL not in names:  # from the default of the folder
            os.removexattr(new, _ACL)
        for name in names:
            if name.startswith(_ATTRIBUTES):
                with suppress(OSError):
                    os.setxattr(new, name, os.getxattr(old, name))


def _clear(folder: int, prefix: str) -> None:
    """Remove the temporary files that no living writer holds the lock of."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):  # a folder that must not be listed
        for name in os.listdir(folder):
            if not name.startswith(prefix):
                continue
            with suppress(OSError):
                descriptor = os.open(name, flags, dir_fd=folder)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
                finally:
                    os.close(descriptor)


def _flush(descriptor: int) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # A file system without it; a folder that was opened without being read.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


@contextmanager
def _naming(path: str, *inner: str) -> Iterator[None]:
    """Let errors name the path that was given instead of the names that were made of it."""
    try:
        yield
    except OSError as error:
        temporary = isinstance(error.filename, str) and error.filename.startswith(PREFIX)
        if error.errno is not None and (temporary or error.filename in (None, *inner)):
            error.filename, error.filename2 = path, None
        raise
