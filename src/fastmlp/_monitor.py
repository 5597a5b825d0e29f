"""What a rule watches: a quantity of the record by its name, and whether it has become better."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from ._options import listed

# A quantity with one of these words in its name is better when higher; every other is a loss or an
# error.
_HIGHER_IS_BETTER = frozenset({"accuracy", "precision", "recall", "f1", "r2"})


def maximised(name: str) -> bool:
    """Return whether higher is better, as it is of accuracy, precision, recall, F1 and R²."""
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
    """Return whether a quantity is better than its best by more than `min_delta`; NaN never is."""
    if best is None:
        return not math.isnan(value)
    return value > best + min_delta if maximised(name) else value < best - min_delta
