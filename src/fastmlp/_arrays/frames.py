"""Data frames, series and sparse matrices as they come: columns, their names, rows taken.

Nothing is imported: a pandas, Polars or Arrow object can only be given where its package is loaded.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .faults import READABLE


def _is(value: object, package: str, *names: str) -> bool:
    """Return whether a value is an instance of one of the package's classes, if it is loaded."""
    module = sys.modules.get(package)
    classes = tuple(getattr(module, name) for name in names if hasattr(module, name))
    return isinstance(value, classes)


def _is_pandas_frame(value: object) -> bool:
    return _is(value, "pandas", "DataFrame")


def _is_polars_frame(value: object) -> bool:
    return _is(value, "polars", "DataFrame")


def _is_arrow_frame(value: object) -> bool:
    return _is(value, "pyarrow", "Table", "RecordBatch")


def _is_arrow_series(value: object) -> bool:
    return _is(value, "pyarrow", "Array", "ChunkedArray")


def _is_pandas_series(value: object) -> bool:
    # pandas.array's own classes have one base, which is exported here.
    arrays = getattr(getattr(sys.modules.get("pandas"), "api", None), "extensions", None)
    return _is(value, "pandas", "Series", "Index") or isinstance(
        value, getattr(arrays, "ExtensionArray", ())
    )


def is_frame(value: object) -> bool:
    """Return whether a value is a pandas or Polars DataFrame, an Arrow Table or RecordBatch."""
    return _is_pandas_frame(value) or _is_polars_frame(value) or _is_arrow_frame(value)


def is_series(value: object) -> bool:
    """Return whether a value is one column of pandas, Polars or Arrow."""
    return _is_pandas_series(value) or _is(value, "polars", "Series") or _is_arrow_series(value)


def all_names(value: Any) -> list[Any] | None:
    """Return the names of a frame's columns as they are, of a series its own, or None."""
    if _is_arrow_frame(value):
        return list(value.schema.names)
    if is_frame(value):
        return list(value.columns)
    name = getattr(value, "name", None) if is_series(value) else None
    return None if name is None or name == "" else [name]


def column_names(value: Any) -> tuple[str, ...] | None:
    """Return the names of a data frame's columns, or None where it has none or not all are str."""
    names = all_names(value) if is_frame(value) else None
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(str(name) for name in names)


def columns_of(frame: Any) -> list[Any]:
    """Return the columns of a data frame, each a series."""
    if _is_pandas_frame(frame):
        return [frame.iloc[:, j] for j in range(frame.shape[1])]
    return list(frame.get_columns()) if _is_polars_frame(frame) else list(frame.columns)


def whole_array(frame: Any) -> np.ndarray | None:
    """Return a frame whose columns are of one real type as NumPy takes it, most without a copy."""
    if _is_arrow_frame(frame) or len(set(frame.dtypes)) != 1:
        return None
    if _is_pandas_frame(frame):
        dtype = frame.dtypes.iloc[0]
        if not isinstance(dtype, np.dtype) or dtype.type not in READABLE:
            return None
    elif any(frame.null_count().row(0)):
        return None
    array = np.asarray(frame)
    return array if array.dtype.type in READABLE else None


def dtype_of(series: Any) -> Any:
    return series.type if _is_arrow_series(series) else series.dtype


def missing_row(series: Any) -> int | None:
    """Return the first row of a series that its package holds for missing, not merely NaN."""
    if _is_pandas_series(series):
        if isinstance(series.dtype, np.dtype):
            return None
        absent = np.asarray(series.isna())
    else:
        arrow = _is_arrow_series(series)
        if not (series.null_count if arrow else series.null_count()):
            return None
        absent = np.asarray(series.is_null())
    return int(absent.argmax()) if absent.any() else None


def series_array(series: Any) -> np.ndarray:
    """Return a series without missing values as NumPy takes it: real numbers, text or objects."""
    if _is_pandas_series(series):
        # Nullable and Arrow-backed types of pandas would become objects.
        native = getattr(series.dtype, "numpy_dtype", None)
        if isinstance(native, np.dtype) and native.type in READABLE:
            return series.to_numpy(dtype=native)
    return np.asarray(series)


def take(container: Any, rows: np.ndarray) -> Any:
    """Return rows of what `container_of` gives, in the same kind; pandas keeps its index."""
    if _is(container, "pandas", "DataFrame", "Series"):
        return container.iloc[rows]
    if _is_arrow_frame(container) or _is_arrow_series(container):
        return container.take(sys.modules["pyarrow"].array(rows))
    return container[rows]
