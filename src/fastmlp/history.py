"""The record of a training: loss, metrics, rate and seconds of every epoch, and why it stopped."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._drawing import axes_for
from ._monitor import improves, maximised, monitored
from ._tables import html_table, text_table

__all__ = ["History", "improves", "maximised", "monitored"]


def __dir__() -> list[str]:
    return __all__


class History(dict[str, list[Any]]):
    """Record of a training, epoch by epoch; `Network.fit` returns one.

    It is a dict of lists that only `append` and `extend` write to: `history["loss"]` has one float
    for every epoch, `keys()` says what there is, `pandas.DataFrame(history)` has a row for every
    epoch, and so has `to_frame()`, with epochs and seconds. `len(history)` is the number of epochs.
    A quantity that was not recorded in some epoch is NaN there; one that is a vector (norms by
    layer) has a list of one length for every epoch, NaN in all places where it was not recorded.
    Two histories are equal when their quantities are, whatever the seconds.

    Attributes
    ----------
    epochs : list of int
        The epochs' numbers, from 1; they go on over several calls of fit.
    seconds : list of float
        Wall-clock seconds that each epoch took.
    stopped_by : str
        What ended the training: "epochs", "early stopping: ...", "tolerance", "time budget",
        "target loss", "callback" or "interrupted"; of L-BFGS also "line search" and "evaluations";
        "error" or "divergence" where fit raised; "" before it ended.
    best_epoch : int or None
        Number of the epoch that early stopping found the best.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[int] = []
        self.seconds: list[float] = []
        self.stopped_by = ""
        self.best_epoch: int | None = None
        self._last: dict[str, Any] = {}

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one epoch: a dict as `extend` takes it, with single values; it raises the same."""
        self.extend({key: [value] for key, value in record.items()})

    def extend(self, records: Mapping[str, Sequence[Any]]) -> None:
        """Add several epochs at once.

        Parameters
        ----------
        records : dict
            Under every name a sequence with one item for each epoch: "epoch" (int, 1-based),
            "seconds" (float), and the quantities, floats or sequences of floats.

        Raises
        ------
        ValueError
            "epoch" or "seconds" is missing, the sequences differ in length, or a quantity is not
            of the length it had before.
        """
        if "epoch" not in records or "seconds" not in records:
            raise ValueError(f"record must have 'epoch' and 'seconds', got {sorted(records)}")
        count = len(records["epoch"])
        if any(len(values) != count for values in records.values()):
            lengths = {key: len(values) for key, values in records.items()}
            raise ValueError(f"records must have one item for each epoch, got {lengths}")
        if not count:
            return
        columns = {key: _native_column(v) for key, v in records.items() if key != "epoch"}
        epochs, seconds = list(map(int, records["epoch"])), columns.pop("seconds")
        for key, values in columns.items():
            _check_one_length(key, self.get(key, [])[:1] + values)
        for key, values in columns.items():
            if key not in self:
                super().__setitem__(key, _missing(values[0], len(self)))
        for key, column in self.items():
            column.extend(columns[key] if key in columns else _missing(column[0], count))
        self.epochs.extend(epochs)
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
        columns: list[list[Any]] = [self.epochs, self.seconds, *self.values()]
        for column in columns:
            column.pop()
        self._set_last(["epoch", "seconds", *self])
        if not self.epochs:
            self._last = {}

    @property
    def last(self) -> dict[str, Any]:
        """The last epoch's record, with "epoch" and "seconds"; empty before the first epoch."""
        return dict(self._last)

    def keys(self) -> list[str]:  # type: ignore[override]
        """Return the names of the recorded quantities, in the order in which they first came."""
        return list(self)

    def __missing__(self, key: str) -> list[Any]:
        there = ", ".join(self) or "nothing yet"
        raise KeyError(f"{key!r} was not recorded; there is {there}")

    def __len__(self) -> int:
        return len(self.epochs)

    def _read_only(self, *args: Any, **keywords: Any) -> Any:
        raise TypeError("a History is read like a dict: only append and extend write to it")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _read_only

    def __reduce__(self) -> Any:
        return _restored, (type(self), dict(self), dict(self.__dict__))

    def _table(self) -> tuple[str, list[list[str]]]:
        """Return a title, and lines of cells: the quantities' names, then some of the epochs."""
        title = f"History of {len(self)} epoch{'' if len(self) == 1 else 's'}"
        if self.stopped_by:
            title += f", stopped by {self.stopped_by}"
        if self.best_epoch is not None:
            title += f", best epoch {self.best_epoch}"
        if not self.epochs:
            return title, []
        curves = [key for key, column in self.items() if not isinstance(column[0], list)]
        rows = range(len(self))
        lines = [["epoch", "seconds", *curves]]
        for row in [*rows] if len(self) <= 8 else [*rows[:3], None, *rows[-3:]]:
            if row is None:
                lines.append(["..."] * len(lines[0]))
            else:
                values = [f"{self[key][row]:.4g}" for key in curves]
                lines.append([str(self.epochs[row]), f"{self.seconds[row]:.3f}", *values])
        return title, lines

    def __repr__(self) -> str:
        title, lines = self._table()
        return "\n".join([title, *text_table(lines)])

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        title, lines = self._table()
        return html_table(title, lines)

    def to_frame(self) -> Any:
        """Return the record as a data frame, one row for every epoch.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            pandas' where it is installed: "epoch" is the index, the columns are "seconds" and the
            quantities. Otherwise Polars', whose first column is "epoch". A vector is a list.

        Raises
        ------
        ImportError
            Neither is installed.
        """
        columns = {"epoch": self.epochs, "seconds": self.seconds, **self}
        try:
            import pandas
        except ImportError:
            pass
        else:
            return pandas.DataFrame(columns).set_index("epoch")
        try:
            import polars
        except ImportError as error:
            raise ImportError(
                "History.to_frame needs pandas or Polars: pip install pandas, or pip install polars"
            ) from error
        return polars.DataFrame(columns)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the record as arrays, in time and memory proportional to it; see `from_arrays`.

        Returns
        -------
        dict of str to ndarray
            "epoch", int64 (n,); "seconds", float64 (n,); and every quantity, float64 (n,), or
            (n, k) for vectors of k numbers.
        """
        arrays = {"epoch": np.array(self.epochs, dtype=np.int64)}
        columns = {"seconds": self.seconds, **self}
        return arrays | {key: np.array(values, np.float64) for key, values in columns.items()}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        *,
        stopped_by: str = "",
        best_epoch: int | None = None,
        last: Sequence[str] | None = None,
    ) -> History:
        """Return the record that `to_arrays` described.

        Parameters
        ----------
        arrays : dict of str to ndarray
            As `to_arrays` returns them, in its order.
        stopped_by, best_epoch
            The attributes of these names.
        last : sequence of str, optional
            The names in the last epoch's record, `list(history.last)`; None for all there are.

        Raises
        ------
        ValueError
            Something is missing, not of the shape or dtype it must have, or impossible: epochs
            that are not positive and rising, seconds that are negative or not finite, an unknown
            name in `last`.
        """
        epochs = _checked_array("epoch", arrays, np.int64, None)
        seconds = _checked_array("seconds", arrays, np.float64, len(epochs))
        if len(epochs) and (epochs[0] < 1 or (np.diff(epochs) < 1).any()):
            raise ValueError("epoch must hold rising numbers from 1 on")
        if not (np.isfinite(seconds).all() and (seconds >= 0).all()):
            raise ValueError("seconds must hold finite numbers, none negative")
        history = cls()
        for key in arrays:
            if key in ("epoch", "seconds"):
                continue
            if not isinstance(key, str) or not key or not len(epochs):
                raise ValueError(f"a history of {len(epochs)} epochs has no quantity {key!r}")
            column = _checked_array(key, arrays, np.float64, len(epochs))
            dict.__setitem__(history, key, column.tolist())
        history.epochs, history.seconds = epochs.tolist(), seconds.tolist()
        if not isinstance(stopped_by, str):
            raise ValueError(f"stopped_by must be a string, got {stopped_by!r}")
        if best_epoch is not None and (type(best_epoch) is not int or best_epoch < 1):
            raise ValueError(f"best_epoch must be None or an int from 1 on, got {best_epoch!r}")
        history.stopped_by, history.best_epoch = stopped_by, best_epoch
        history._set_last([*arrays] if last is None else last)
        return history

    def _set_last(self, names: Sequence[str]) -> None:
        """Put together the last epoch's record of the quantities with these names."""
        if not self.epochs:
            return
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise ValueError(f"last must be a list of names, got {names!r}")
        columns: dict[str, list[Any]] = {"epoch": self.epochs, "seconds": self.seconds, **self}
        for name in names:
            if not isinstance(name, str) or name not in columns:
                raise ValueError(f"last must name quantities of the history, got {name!r}")
        self._last = {name: columns[name][-1] for name in ("epoch", "seconds", *names)}

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a dict that strict JSON can hold; NaN, infinities become strings."""
        return {
            "epochs": list(self.epochs),
            "seconds": list(self.seconds),
            "stopped_by": self.stopped_by,
            "best_epoch": self.best_epoch,
            "columns": {key: [_encoded(value) for value in column] for key, column in self.items()},
            "last": list(self._last),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> History:
        """Return the record that `to_dict` described.

        Raises
        ------
        ValueError
            As `from_arrays`, for the items of the same names.
        """
        wanted = {"epochs", "seconds", "stopped_by", "best_epoch", "columns", "last"}
        if not isinstance(data, Mapping) or data.keys() != wanted:
            raise ValueError(f"a history must have {sorted(wanted)}")
        if not isinstance(data["columns"], Mapping) or {"epoch", "seconds"} & set(data["columns"]):
            raise ValueError("columns must be quantities by name, other than 'epoch' and 'seconds'")
        if not isinstance(data["epochs"], list) or any(type(e) is not int for e in data["epochs"]):
            raise ValueError("epochs must be a list of integers")
        if not isinstance(data["last"], list):
            raise ValueError("last must be a list of names")
        try:
            arrays = {"epoch": np.array(data["epochs"], dtype=np.int64)}
            for key, column in {"seconds": data["seconds"], **data["columns"]}.items():
                arrays[key] = np.array(_of_one_length(_native_column(column)), np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"a history must hold numbers: {error}") from error
        return cls.from_arrays(
            arrays,
            stopped_by=data["stopped_by"],
            best_epoch=data["best_epoch"],
            last=data["last"],
        )

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
        if keys is None:
            keys = [key for key in ("loss", "val_loss") if key in self]
        columns = {key: self[key] for key in keys}
        ax = axes_for("History.plot", ax)
        for key, column in columns.items():
            ax.plot(self.epochs, column, label=key)
        if self.best_epoch is not None:
            ax.axvline(self.best_epoch, color="grey", linestyle=":", label="best epoch")
        ax.set_xlabel("epoch")
        ax.legend()
        return ax


def _restored(
    cls: type[History], columns: dict[str, list[Any]], attributes: dict[str, Any]
) -> History:
    """Return a history out of a pickle, or a copy that shares no list with the one copied."""
    history = cls()
    for key, column in columns.items():
        dict.__setitem__(history, key, list(column))
    for name, value in attributes.items():
        setattr(history, name, value.copy() if isinstance(value, list | dict) else value)
    return history


def _native(value: Any) -> Any:
    """Return a quantity as float, a sequence as list of floats; strings are those of `_encoded`."""
    if isinstance(value, str | numbers.Real):
        return float(value)
    return [float(item) for item in value]


def _native_column(values: Sequence[Any]) -> list[Any]:
    """Return a new list of the quantities of several epochs; most are floats already."""
    return list(values) if _are_floats(values) else [_native(value) for value in values]


def _are_floats(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {float}


def _encoded(value: Any) -> Any:
    """Return a quantity as strict JSON has it."""
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value if math.isfinite(value) else str(value)


def _missing(like: Any, count: int) -> list[Any]:
    """Return NaN for so many epochs, in vectors where the quantity is one."""
    if isinstance(like, list):
        return [[math.nan] * len(like) for _ in range(count)]
    return [math.nan] * count


def _check_one_length(key: str, values: Sequence[Any]) -> None:
    """Raise ValueError unless all are numbers, or all are vectors of one length."""
    if not _are_floats(values) and len({len(v) if type(v) is list else None for v in values}) > 1:
        raise ValueError(f"{key} must be a number, or a vector of one length, in every epoch")


def _of_one_length(values: list[Any]) -> list[Any]:
    """Return a column with vectors of NaN for the NaN of epochs in which a vector is missing."""
    vector = next((value for value in values if isinstance(value, list)), None)
    if vector is None:
        return values
    return [v if isinstance(v, list) else _missing(vector, 1)[0] for v in values]


def _checked_array(
    name: str, arrays: Mapping[str, np.ndarray], dtype: Any, length: int | None
) -> np.ndarray:
    """Return an array that must be there, of the dtype, with one row for every epoch."""
    array = arrays.get(name)
    most = 1 if name in ("epoch", "seconds") else 2
    if not isinstance(array, np.ndarray) or array.dtype != dtype or not 1 <= array.ndim <= most:
        raise ValueError(f"{name} must be an array of {np.dtype(dtype)} with a row for every epoch")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} must have {length} rows, as epoch has, got {len(array)}")
    return array
