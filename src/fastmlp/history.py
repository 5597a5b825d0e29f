"""The record of a training: loss, metrics, learning rate and seconds of every epoch, and why it stopped."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._options import listed

# A quantity with one of these words in its name is better when higher; every other is a loss or an
# error.
_HIGHER_IS_BETTER = frozenset({"accuracy", "precision", "recall", "f1", "r2"})


class History:
    """Record of a training, epoch by epoch; `Network.fit` returns one.

    It is read like a dict of lists: `history["loss"]` has one float for every epoch, `keys()` says
    what there is, `dict(history)` is a plain dict. `len(history)` is the number of epochs. A
    quantity that was not recorded in some epoch is NaN there; one that is a vector (norms by layer)
    has a list for an epoch.

    Attributes
    ----------
    epochs : list of int
        The epochs' numbers, from 1; they go on over several calls of fit.
    seconds : list of float
        Wall-clock seconds that each epoch took.
    stopped_by : str
        What ended the training: "epochs", "early stopping: ...", "tolerance", "time budget",
        "target loss", "callback" or "interrupted"; "error" or "divergence" where fit raised; ""
        before it ended.
    best_epoch : int or None
        Number of the epoch that early stopping found the best.
    """

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.seconds: list[float] = []
        self.stopped_by = ""
        self.best_epoch: int | None = None
        self._columns: dict[str, list[Any]] = {}
        self._last: dict[str, Any] = {}

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one epoch.

        Parameters
        ----------
        record : dict
            "epoch" (int, 1-based) and "seconds" (float), and the epoch's quantities by name:
            floats, or sequences of floats.

        Raises
        ------
        ValueError
            "epoch" or "seconds" is missing.
        """
        self.extend({key: [value] for key, value in record.items()})

    def extend(self, records: Mapping[str, Sequence[Any]]) -> None:
        """Add several epochs at once.

        Parameters
        ----------
        records : dict
            As `append` has it, with a sequence of one item for each epoch under every name.

        Raises
        ------
        ValueError
            "epoch" or "seconds" is missing, or the sequences differ in length.
        """
        if "epoch" not in records or "seconds" not in records:
            raise ValueError(f"record must have 'epoch' and 'seconds', got {sorted(records)}")
        count = len(records["epoch"])
        if any(len(values) != count for values in records.values()):
            lengths = {key: len(values) for key, values in records.items()}
            raise ValueError(f"records must have one item for each epoch, got {lengths}")
        if not count:
            return
        columns = {key: [_native(value) for value in values] for key, values in records.items()}
        epochs, seconds = columns.pop("epoch"), columns.pop("seconds")
        for key in columns:
            self._columns.setdefault(key, [math.nan] * len(self))
        for key, column in self._columns.items():
            column.extend(columns.get(key, [math.nan] * count))
        self.epochs.extend(map(int, epochs))
        self.seconds.extend(seconds)
        last = {key: values[-1] for key, values in columns.items()}
        self._last = {"epoch": self.epochs[-1], "seconds": self.seconds[-1], **last}

    def add_seconds(self, seconds: float) -> None:
        """Add what followed the last epoch's record, its callbacks, to its wall-clock seconds."""
        if self.seconds:
            self.seconds[-1] += seconds
            self._last["seconds"] = self.seconds[-1]

    def drop_last(self) -> None:
        """Take the last epoch out, for it to be recorded again."""
        for column in (self.epochs, self.seconds, *self._columns.values()):
            column.pop()
        columns = {"epoch": self.epochs, "seconds": self.seconds, **self._columns}
        self._last = {key: column[-1] for key, column in columns.items()} if self.epochs else {}

    @property
    def last(self) -> dict[str, Any]:
        """The last epoch's record, with "epoch" and "seconds"; empty before the first epoch."""
        return dict(self._last)

    def keys(self) -> list[str]:
        """Return the names of the recorded quantities, in the order in which they first came."""
        return list(self._columns)

    def __getitem__(self, key: str) -> list[Any]:
        """Return the values of one quantity, one for every epoch."""
        if key not in self._columns:
            raise KeyError(
                f"{key!r} was not recorded; there is {', '.join(self.keys()) or 'nothing yet'}"
            )
        return self._columns[key]

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        title = f"History of {len(self)} epoch{'' if len(self) == 1 else 's'}"
        if self.stopped_by:
            title += f", stopped by {self.stopped_by}"
        if self.best_epoch is not None:
            title += f", best epoch {self.best_epoch}"
        if not self.epochs:
            return title
        curves = [key for key in self.keys() if not any(isinstance(v, list) for v in self[key])]
        rows = range(len(self))
        shown = [*rows] if len(self) <= 8 else [*rows[:3], None, *rows[-3:]]
        lines = [["epoch", "seconds", *curves]]
        for row in shown:
            if row is None:
                lines.append(["..."] * len(lines[0]))
            else:
                values = [f"{self[key][row]:.4g}" for key in curves]
                lines.append([str(self.epochs[row]), f"{self.seconds[row]:.3f}", *values])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines
        ]
        return "\n".join([title, *table])

    def to_dict(self) -> dict[str, Any]:
        """Return the whole record as a dict that strict JSON can hold; NaN and infinities become strings."""
        return {
            "epochs": list(self.epochs),
            "seconds": list(self.seconds),
            "stopped_by": self.stopped_by,
            "best_epoch": self.best_epoch,
            "columns": {
                key: [_encoded(value) for value in column] for key, column in self._columns.items()
            },
            "last": list(self._last),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> History:
        """Return the record that `to_dict` described."""
        history = cls()
        history.epochs = [int(epoch) for epoch in data["epochs"]]
        history.seconds = [float(seconds) for seconds in data["seconds"]]
        history.stopped_by = str(data["stopped_by"])
        history.best_epoch = None if data["best_epoch"] is None else int(data["best_epoch"])
        columns = {
            key: [_native(value) for value in column] for key, column in data["columns"].items()
        }
        history._columns = columns
        if history.epochs:
            lists: dict[str, list[Any]] = {
                "epoch": history.epochs,
                "seconds": history.seconds,
                **columns,
            }
            history._last = {key: lists[key][-1] for key in data["last"]}
        return history

    def plot(self, ax: Any = None, keys: Sequence[str] | None = None) -> Any:
        """Draw quantities over the epochs.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure if None.
        keys : sequence of str, optional
            Names of the quantities; "loss", and "val_loss" where there is one, if None.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.
        KeyError
            A quantity was not recorded.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install fastmlp[plot]") from error
        if keys is None:
            keys = [key for key in ("loss", "val_loss") if key in self]
        columns = {key: self[key] for key in keys}
        if ax is None:
            _, ax = pyplot.subplots()
        for key, column in columns.items():
            ax.plot(self.epochs, column, label=key)
        if self.best_epoch is not None:
            ax.axvline(self.best_epoch, color="grey", linestyle=":", label="best epoch")
        ax.set_xlabel("epoch")
        ax.legend()
        return ax


def maximised(name: str) -> bool:
    """Return whether higher is better: accuracy, precision, recall, F1 and R², val_ or not; not so losses."""
    return not _HIGHER_IS_BETTER.isdisjoint(name.split("_"))


def monitored(
    record: Mapping[str, Any], monitor: str | None, has_validation: bool
) -> tuple[str, float]:
    """Return name and value of the quantity that a rule watches.

    Parameters
    ----------
    record : dict
        The quantities of an epoch.
    monitor : str or None
        Its name; None for "val_loss" where there is validation, else "loss".
    has_validation : bool
        Whether the training has a validation set.

    Raises
    ------
    ValueError
        The record has no such number; the message lists what there is.
    """
    name = monitor if monitor is not None else "val_loss" if has_validation else "loss"
    value = record.get(name)
    if not isinstance(value, numbers.Real):
        numeric = [key for key, item in record.items() if isinstance(item, numbers.Real)]
        there = [key for key in numeric if key not in ("epoch", "seconds")]
        hint = (
            ""
            if has_validation or not name.startswith("val_")
            else " (fit was given no validation set)"
        )
        raise ValueError(f"monitor must be {listed(there)}, got {name!r}{hint}")
    return name, float(value)


def improves(name: str, value: float, best: float | None, min_delta: float = 0.0) -> bool:
    """Return whether a quantity is better than its best so far by more than `min_delta`; NaN never is."""
    if best is None:
        return not math.isnan(value)
    return value > best + min_delta if maximised(name) else value < best - min_delta


def _native(value: Any) -> Any:
    """Return a quantity as float, a sequence as list of floats; strings are those of `_encoded`."""
    if type(value) is float:  # at once: most are
        return value
    if isinstance(value, str | numbers.Real):
        return float(value)
    return [float(item) for item in value]


def _encoded(value: Any) -> Any:
    """Return a quantity as strict JSON has it."""
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value if math.isfinite(value) else str(value)
