"""What plots share: matplotlib on demand, axes to draw in."""

from __future__ import annotations

from typing import Any


def axes_for(what: str, ax: Any) -> Any:
    """Return the axes to draw in: those given, or those of a new figure.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names what needs it.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib: pip install fastmlp[plot]") from error
    return pyplot.subplots()[1] if ax is None else ax
