"""Labels of classes into arrays: integers to the last digit, or text, and never a mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import frames
from .containers import any_array, refuse_masked
from .faults import INTEGERS, NUMBERS, READABLE, Names, first_of, is_missing, missing, place, quiet

WANTED = "must hold labels: whole numbers or text"
LARGEST_FLOAT = 2.0**64  # a float beyond is no label, though it is a whole number


@quiet()
def label_array(name: str, value: Any) -> np.ndarray:
    """Return labels as an array (n,), n >= 1, in which equal labels are equal and others are not.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    value : array-like, shape (n,) or (n, 1)
        Integers of any size, bools and floats with whole values, which count as integers; or text;
        or categories of either.

    Returns
    -------
    ndarray of int64, of objects that are Python integers where int64 is too narrow, or of text

    Raises
    ------
    TypeError
        Numbers beside text, or what is neither.
    ValueError
        No rows, more than one column, masked, missing or broken numbers.
    """
    refuse_masked(name, value)
    names: Names = frames.all_names(value)
    if frames.is_frame(value):
        columns = frames.columns_of(value)
        if len(columns) != 1:
            raise ValueError(f"{name} must hold one label a row, shape (n,), got {value.shape}")
        value = columns[0]
    # Lists become objects: NumPy would round integers beside floats and print numbers beside text.
    array = any_array(name, value, names, object if isinstance(value, list | tuple) else None)
    array = _column(name, array)
    if array.dtype.kind == "O":
        return _from_objects(name, array, value, names)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind in "UT":
        return array.astype(str) if array.dtype.kind == "U" else array.astype(object)
    if array.dtype.type not in READABLE:
        raise TypeError(f"{name} {WANTED}, got dtype {array.dtype}")
    return _whole_numbers(name, array, names)


def holds_text(labels: np.ndarray) -> bool:
    """Return whether labels of `label_array` are text, not numbers."""
    return labels.dtype.kind == "U" or isinstance(labels[0], str)


def class_codes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of labels, sorted, (k,), and the position of each label in them, (n,)."""
    if labels.dtype.kind not in "UO":
        return np.unique(labels, return_inverse=True)
    # To hash text is some ten times faster than to sort it.
    position: dict[Any, int] = {}
    codes = np.array([position.setdefault(x, len(position)) for x in labels.tolist()], np.intp)
    classes = np.empty(len(position), labels.dtype)
    classes[:] = sorted(position)
    rank = np.empty(len(classes), np.intp)
    rank[[position[label] for label in classes.tolist()]] = np.arange(len(classes))
    return classes, rank[codes]


def _column(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one entry a row, got shape ()")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must hold one label a row, shape (n,), got {array.shape}")
    return array


def _whole_numbers(name: str, array: np.ndarray, names: Names) -> np.ndarray:
    """Return bools, integers and whole floats as int64, or Python integers if they do not fit."""
    if array.dtype.kind == "f":
        whole = (array == np.trunc(array)) & (np.abs(array) <= LARGEST_FLOAT)
        if not whole.all():
            raise _no_label(name, array, int(np.argmin(whole)), names)
    kept = array.astype(np.int64, copy=False)
    if array.dtype.kind in "bi" or (array.dtype.itemsize < 8 and array.dtype.kind == "u"):
        return kept
    # Beyond int64 the cast is undefined, so that the way back alone would not tell.
    inside = (array < 2**63) & (array >= -(2**63))
    return kept if inside.all() else np.array([int(x) for x in array], dtype=object)


def _no_label(name: str, array: np.ndarray, row: int, names: Names) -> ValueError:
    number, where = array[row], place((row,), names)
    if number != number or abs(number) == np.inf:
        return ValueError(f"{name} must hold finite numbers, got {number} in {where}")
    return ValueError(f"{name} {WANTED}, got {number} in {where}")


def _from_objects(name: str, objects: np.ndarray, value: Any, names: Names) -> np.ndarray:
    types = set(map(type, objects))
    if all(issubclass(kind, str) for kind in types):
        return objects
    if all(issubclass(kind, bytes) for kind in types):
        return np.array([label.decode() for label in objects], dtype=object)
    text = {kind for kind in types if issubclass(kind, str | bytes)}
    strange = {kind for kind in types - text if not issubclass(kind, NUMBERS)}
    if strange:
        entry, index = first_of(objects, strange)
        if is_missing(entry):
            raise missing(name, entry, place(index, names))
        if isinstance(entry, list | tuple) or (isinstance(entry, np.ndarray) and entry.ndim):
            raise ValueError(f"{name} must be an array with rows of one length")
        plain = any_array(name, value, names)  # tensors in a list, for instance
        if plain.dtype.type in READABLE:
            return _whole_numbers(name, _column(name, plain), names)
        kind = type(entry).__name__
        raise TypeError(f"{name} {WANTED}, got {entry!r} ({kind}) in {place(index, names)}")
    if text:
        entry, index = first_of(objects, types - text)
        if entry != entry:  # NaN beside text is how pandas writes that a text is missing
            raise missing(name, entry, place(index, names))
        entry, index = first_of(objects, text)
        raise TypeError(
            f"{name} must hold numbers or text, not both: {place(index, names)} holds {entry!r}"
        )
    if not all(issubclass(kind, INTEGERS) for kind in types):
        for row, number in enumerate(objects):
            whole = isinstance(number, INTEGERS) or (
                abs(number) <= LARGEST_FLOAT and number == int(number)
            )
            if not whole:
                raise _no_label(name, objects, row, names)
        objects = np.array([int(number) for number in objects], dtype=object)
    try:
        return objects.astype(np.int64)
    except OverflowError:
        return np.array([int(number) for number in objects], dtype=object)
