"""The progress bar: drawn where one can be, and never a reason for a training to end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .. import _options as options

_FORMAT = "{l_bar}{bar}| {n:.4g}/{total} [{elapsed}<{remaining}{postfix}]"
_SHOWN = ("loss", "accuracy", "r2")  # ends of the names of what the bar shows


def wanted(progress: Any) -> bool:
    """Return whether fit's `progress` asks for a bar; None asks for one on a terminal."""
    if progress is not None:
        return options.boolean("progress", progress)
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, OSError, ValueError):  # no stream, one without isatty, a closed one
        return False


class ProgressBar:
    """Epochs done of those asked for, with the last losses; silent where no stream takes it."""

    def __init__(self, epochs: int, shown: bool) -> None:
        self._bar: Any = None
        if shown and sys.stderr is not None:
            self._try(lambda: self._open(epochs))

    def _open(self, epochs: int) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=epochs, unit="epoch", miniters=0, bar_format=_FORMAT)

    def _try(self, draw: Any) -> None:
        """Draw, and draw no more where that fails: a stream may be closed, or take no text."""
        try:
            draw()
        except Exception:
            if self._bar is not None:
                self._bar.disable = True  # or it would draw once more when it is collected
            self._bar = None

    def show(self, done: float, record: Mapping[str, Any] | None = None) -> None:
        """Move the bar to so many epochs; with the record of the last one show its losses."""
        if self._bar is not None:
            self._try(lambda: self._move(done, record))

    def _move(self, done: float, record: Mapping[str, Any] | None) -> None:
        if record is not None:
            shown = {key: f"{value:.4g}" for key, value in record.items() if key.endswith(_SHOWN)}
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(done - self._bar.n)  # draws ten times a second

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._try(self._bar.close)
