"""What the tests of files share: saving, loading, acting as a user without rights."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fastmlp.export.files import opened, replaced

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


def run(code: str, *arguments: Any, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


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
