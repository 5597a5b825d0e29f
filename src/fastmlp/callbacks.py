"""Callbacks: the hooks of a training, checkpoints, and a CSV file of its history."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ._options import as_tuple, boolean, integer, shown, string
from .history import History, improves, monitored

__all__ = ["CSVLog", "Callback", "Checkpoint"]


def __dir__() -> list[str]:
    return __all__


HOOKS = ("on_fit_start", "on_epoch_end", "on_fit_end")
METHODS = (*HOOKS, "reset", "get_state", "set_state")


class Callback:
    """Base of callbacks, each method of which does nothing.

    A callback need not derive from it: any object with one of the three hooks will do, and a plain
    function f(network, history) is taken as on_epoch_end. An exception raised in a hook ends the
    training and reaches the caller of fit; the network keeps what it has learned.
    """

    def on_fit_start(self, network: Any, history: History) -> None:
        """Called before the first epoch; `history` is empty or holds what was resumed."""

    def on_epoch_end(self, network: Any, history: History) -> Any:
        """Called after an epoch, its record in `history.last`; anything true ends the training."""

    def on_fit_end(self, network: Any, history: History) -> None:
        """Called when the training is over, with the reason in `history.stopped_by`."""

    def check_record(self, columns: Sequence[str]) -> None:
        """Raise an error if the callback could not do its work in the training that is to begin.

        Called before anything changes; `columns` are the names of what the record of an epoch will
        hold, in order.
        """

    def reset(self) -> None:
        """Forget earlier trainings; called when one begins afresh, not when one is resumed."""

    def get_state(self) -> dict[str, Any]:
        """Return what must be saved to resume the training, as a dict that JSON can hold."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned, when a training is resumed."""

    @property
    def kind(self) -> str:
        """Name of the class, by which a resumed training finds the callback's state."""
        return type(self).__name__


class Checkpoint(Callback):
    """Saves the network while it is trained, by `Network.save`, which leaves no half-written file.

    Checkpoints are called after all other callbacks of an epoch, and save the training with the
    network: `fm.load(path).fit(..., resume=True)` goes on with it to the last bit, a stop that was
    due included. What was best in an earlier call of fit does not count in the next; `resume=True`
    goes on with it.

    Parameters
    ----------
    path : str or path-like
        The file. "{epoch}" in it stands for the epoch's number, "{epoch:03d}" for one with leading
        zeros; without it each save replaces the one before. Missing folders are made.
    every : int, default 1
        Save after each epoch whose number is a multiple of this, >= 1.
    keep_best : bool, default False
        Of these epochs, save only those whose monitored quantity is better than at every save
        before.
    monitor : str, optional
        The quantity for keep_best: "loss", "val_loss", or a metric of the history; accuracies and
        the like count as better when higher. None for "val_loss" where there is validation, else
        "loss".

    Raises
    ------
    TypeError, ValueError
        A parameter is of the wrong type or out of range, or `path` has a field other than epoch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int = 1,
        keep_best: bool = False,
        monitor: str | None = None,
    ) -> None:
        self.path = _path(path)
        self.every = integer("every", every, 1)
        self.keep_best = boolean("keep_best", keep_best)
        self.monitor = None if monitor is None else string("monitor", monitor)
        self._best: float | None = None
        try:
            self.path.format(epoch=1)
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(
                f"path must have no field in braces but {{epoch}}, got {path!r}"
            ) from error

    def check_record(self, columns: Sequence[str]) -> None:
        """Raise OSError if the path is a folder, or its folder can neither be found nor made."""
        path = os.path.abspath(self.path.format(epoch=1))
        if os.path.isdir(path):
            raise IsADirectoryError(
                errno.EISDIR, "path must be a file, this is a folder", self.path
            )
        folder = os.path.dirname(path)
        while not os.path.lexists(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        _require_folder(folder)

    def reset(self) -> None:
        """Forget the best quantity of an earlier training."""
        self._best = None

    def on_epoch_end(self, network: Any, history: History) -> None:
        """Save the network if this epoch is one to be saved."""
        record = history.last
        if record["epoch"] % self.every:
            return
        previous = self._best
        if self.keep_best:
            name, value = monitored(record, self.monitor, "val_loss" in record)
            if not improves(name, value, previous):
                return
            self._best = value
        try:
            path = self.path.format(epoch=record["epoch"])
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            network.save(path)
        except BaseException:
            self._best = previous  # nothing was saved that a later epoch would have to beat
            raise

    def get_state(self) -> dict[str, Any]:
        """Return {"best": the quantity at the best save, or None}."""
        return {"best": self._best}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned; a ValueError if it is another callback's."""
        if state.keys() != {"best"} or not isinstance(state["best"], float | None):
            raise ValueError(f"state must be that of a Checkpoint, got {shown(state)}")
        self._best = state["best"]


class CSVLog(Callback):
    """Writes the history to a CSV file, one row an epoch, as the epochs end.

    The columns are epoch, seconds and the quantities of the history. A file that exists with the
    same columns is appended to, so that a training that was resumed goes on in its file. Floats are
    written with all their digits.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    OSError, ValueError
        When fit is called: the folder is missing, the file cannot be written, or has other columns.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _path(path)
        self._columns: list[str] | None = None

    def check_record(self, columns: Sequence[str]) -> None:
        """Raise an error if the file cannot be written or has other columns."""
        _require_folder(os.path.dirname(os.path.abspath(self.path)))
        if os.path.isdir(self.path):
            raise IsADirectoryError(
                errno.EISDIR, "path must be a file, this is a folder", self.path
            )
        if not os.path.exists(self.path):
            return
        if not os.access(self.path, os.W_OK):
            raise PermissionError(
                errno.EACCES, "path must be a file that can be written", self.path
            )
        if os.path.isfile(self.path):  # to look into a pipe would wait for its writer
            with open(self.path, newline="", encoding="utf-8") as file:
                self._check_columns(next(csv.reader(file), None), list(columns))

    def _check_columns(self, found: list[str] | None, wanted: list[str]) -> None:
        if found is not None and found != wanted:
            raise ValueError(
                f"path must be a file with the columns {wanted}, got {self.path} with {found}"
            )

    def on_fit_start(self, network: Any, history: History) -> None:
        """Forget the columns: the file may have changed since the last training."""
        self._columns = None

    def on_epoch_end(self, network: Any, history: History) -> None:
        """Write the row of the epoch, after the header where the file is new."""
        record = history.last
        with open(self.path, "a+", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if self._columns is None:
                file.seek(0)
                self._columns = next(csv.reader(file), None)
            if self._columns is None:
                self._columns = list(record)
                writer.writerow(record)
            self._check_columns(self._columns, list(record))
            writer.writerow(record.values())


class _Adapter(Callback):
    """Gives the methods of `Callback` to an object that has only some of them."""

    def __init__(self, adapted: object, methods: Mapping[str, Any]) -> None:
        self._kind = type(adapted).__name__
        for name, method in methods.items():
            setattr(self, name, method)

    @property
    def kind(self) -> str:
        return self._kind


def resolve_callbacks(value: object) -> tuple[Callback, ...]:
    """Return the callbacks that a user meant by `callbacks`, each with all methods of `Callback`.

    Parameters
    ----------
    value : None, callback or sequence of callbacks
        A callback is an object with at least one of on_fit_start, on_epoch_end and on_fit_end (and
        get_state and set_state if it has a state), or a function f(network, history).

    Raises
    ------
    TypeError
        Something is neither.
    """
    return tuple(_resolved(item) for item in as_tuple(value))


def _resolved(item: object) -> Callback:
    if isinstance(item, Callback):
        return item
    if not isinstance(item, type):
        methods = {name: getattr(item, name, None) for name in METHODS}
        methods = {name: method for name, method in methods.items() if callable(method)}
        if any(name in methods for name in HOOKS):
            return _Adapter(item, methods)
        if callable(item):
            return _Adapter(item, {"on_epoch_end": item})
    raise TypeError(
        f"callbacks must be objects with {', '.join(HOOKS[:-1])} or {HOOKS[-1]}, or functions of "
        f"(network, history), got {shown(item)}"
    )


def _require_folder(folder: str) -> None:
    """Raise OSError if there is no such folder, or no file can be made in it."""
    if not os.path.isdir(folder):
        kind = NotADirectoryError if os.path.exists(folder) else FileNotFoundError
        code = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
        raise kind(code, "path must be in a folder, there is none of this name", folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "path must be in a folder that can be written", folder)


def _path(path: object) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path must be a string or path-like, got {shown(path)} ({type(path).__name__})"
        )
    return string("path", os.fspath(path))
