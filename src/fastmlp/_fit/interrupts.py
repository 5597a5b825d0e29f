"""Ctrl-C put off to where the bookkeeping of a training is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Holds SIGINT back while it is entered; `check` passes it on to the handler of before.

    Python may raise KeyboardInterrupt between any two operations: behind a slice of training that
    has changed the weights, but before its epochs are counted. Nothing is held back in another
    thread than the main one, to which no signal comes, nor where SIGINT is ignored.
    """

    def __init__(self) -> None:
        self._pending = self._immediate = False
        self._handler: Any = None

    def __enter__(self) -> Interrupts:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and callable(signal.getsignal(signal.SIGINT)):
            self._handler = signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self.check()

    def _receive(self, number: int, frame: Any) -> None:
        if self._immediate:
            self._handler(number, frame)
        else:
            self._pending = True

    def pending(self) -> bool:
        """Return whether there was a signal since the last check."""
        return self._pending

    def check(self) -> None:
        """Call the handler if there was a signal since the last check; Python's own raises."""
        if self._pending:
            self._pending = False
            self._handler(signal.SIGINT, None)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Let signals through at once, for code that is not ours and may take its time."""
        before, self._immediate = self._immediate, True
        try:
            self.check()
            yield
        finally:
            self._immediate = before
