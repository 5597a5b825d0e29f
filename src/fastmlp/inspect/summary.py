"""The table that `Network.summary` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..network import Network


def summary(network: Network) -> str:
    """Return a table of the layers: units, activation, parameters, dropout."""
    rows = [("layer", "units", "activation", "parameters", "dropout")]
    names = ["input", *(f.name for f in network.hidden), network.output.name]
    for layer, (units, name) in enumerate(zip(network.sizes, names, strict=True)):
        count = (network.sizes[layer - 1] + 1) * units if layer else 0
        rate = network.dropout[layer] if layer < len(network.dropout) else 0.0
        rows.append(
            (
                str(layer),
                str(units),
                name,
                f"{count:,}" if layer else "",
                f"{rate:g}" if rate else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(
        [
            repr(network),
            *lines,
            f"{network.n_parameters:,} parameters, {network.epochs} epochs trained",
        ]
    )
