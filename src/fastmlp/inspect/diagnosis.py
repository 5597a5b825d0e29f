"""Diagnosis of a network on given rows: saturated and dead units, spreads, norms by layer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .._data.dataset import Dataset, Targets
from .._drawing import axes_for
from .._model import Model, slopes
from .._tables import text_table

# |f'(z)| below this share of the largest slope that the activation has counts as flat: 5 % of the
# slope is what is left of a sigmoid beyond |z| = 4.4, of a tanh beyond |z| = 2.2.
FLAT = 0.05


@dataclass(frozen=True)
class LayerDiagnosis:
    """What `Network.diagnose` says of one layer.

    Attributes
    ----------
    layer, units : int
        Its number, from 1 on, and its width.
    activation : str
    saturated : float
        Share of the (row, unit) pairs whose slope |f'(z)| is below 5 % of the activation's largest.
    dead : float
        Share of the units that are so for every row: they pass no gradient on.
    z_mean, z_std, a_mean, a_std : float
        Mean and standard deviation of weighted sums and activations over rows and units.
    weight_norm : float
        ‖W^l‖, the root of the sum of squares.
    gradient_norm : float
        ‖∂C/∂W^l‖; NaN where no targets were given.
    """

    layer: int
    units: int
    activation: str
    saturated: float
    dead: float
    z_mean: float
    z_std: float
    a_mean: float
    a_std: float
    weight_norm: float
    gradient_norm: float


class Diagnosis(tuple[LayerDiagnosis, ...]):
    """The diagnosis of every layer, printed as a table."""

    def __repr__(self) -> str:
        names = [f.name for f in fields(LayerDiagnosis)]
        rows = [[_cell(getattr(layer, name)) for name in names] for layer in self]
        return "\n".join(text_table([names, *rows]))

    def plot(self, ax: Any = None) -> Any:
        """Draw the shares of saturated and dead units by layer.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure if None.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        ax = axes_for("Diagnosis.plot", ax)
        place = np.arange(len(self))
        ax.bar(
            place - 0.2,
            [layer.saturated for layer in self],
            0.4,
            label="saturated (row, unit) pairs",
        )
        ax.bar(place + 0.2, [layer.dead for layer in self], 0.4, label="dead units")
        ax.set_xticks(place, [f"{layer.layer}: {layer.activation}" for layer in self])
        ax.set_ylim(0, 1)
        ax.set_ylabel("share")
        ax.legend()
        return ax


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def diagnose(model: Model, X: np.ndarray, targets: Targets | None) -> Diagnosis:
    """Return the diagnosis of a network; see `Network.diagnose`."""
    values = model.core.layers(X)
    gradients: list[Any] = [None] * len(values)
    if targets is not None:
        gradients = model.core.gradient(Dataset(X, targets).core, model.l1, model.l2)[1]
    found = []
    parameters = model.get_parameters()
    for layer, ((z, a), (weights, _), gradient) in enumerate(
        zip(values, parameters, gradients, strict=True), 1
    ):
        option = model.output if layer == len(values) else model.hidden[layer - 1]
        flat = np.abs(slopes(option, z, a)) < FLAT * _largest_slope(option)
        found.append(
            LayerDiagnosis(
                layer=layer,
                units=z.shape[1],
                activation=option.name,
                saturated=float(flat.mean()),
                dead=float(flat.all(axis=0).mean()),
                z_mean=float(z.mean(dtype=np.float64)),
                z_std=float(z.std(dtype=np.float64)),
                a_mean=float(a.mean(dtype=np.float64)),
                a_std=float(a.std(dtype=np.float64)),
                weight_norm=_norm(weights),
                gradient_norm=_norm(gradient[0]) if gradient else float("nan"),
            )
        )
    return Diagnosis(found)


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def _largest_slope(option: Any) -> float:
    """Return the largest |f'| of the activation, found on a grid that holds all of their maxima."""
    grid = np.linspace(-10, 10, 4001)
    if option.name in ("softmax", "step"):
        return 0.25 if option.name == "softmax" else 1.0
    return float(np.abs(slopes(option, grid, grid)).max())
