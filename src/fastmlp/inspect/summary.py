"""A network's description in words: its repr, the table of its layers, both for notebooks too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from .._options import Option
from .._tables import html_table, text_table

_COLUMNS = ("layer", "units", "activation", "parameters", "dropout")


class Described(Protocol):
    """What is told of a network: its options, checked."""

    @property
    def sizes(self) -> Sequence[int]:
        """Units of every layer."""

    @property
    def hidden(self) -> Sequence[Option]:
        """Activations of the hidden layers."""

    @property
    def output(self) -> Option:
        """Activation of the output layer."""

    @property
    def loss(self) -> Option:
        """The loss."""

    @property
    def l1(self) -> float:
        """Penalty on |w|."""

    @property
    def l2(self) -> float:
        """Penalty on w²."""

    @property
    def dropout(self) -> Sequence[float]:
        """Rates of the input and every hidden layer."""

    @property
    def max_norm(self) -> float | None:
        """Largest norm of a unit's incoming weights."""

    @property
    def init(self) -> Any:
        """Name or function of the initializer."""

    @property
    def dtype(self) -> str:
        """Precision."""

    @property
    def seed(self) -> int:
        """Name of the random streams."""


def network_repr(model: Described) -> str:
    """Return a network as it is written: sizes, activations, loss, dtype, what is not default."""
    hidden = [_written(option) for option in model.hidden]
    given = {
        "hidden": (hidden[0] if len(set(hidden)) == 1 else f"[{', '.join(hidden)}]")
        if hidden
        else None,
        "output": _written(model.output),
        "loss": _written(model.loss),
        "l1": f"{model.l1!r}" if model.l1 else None,
        "l2": f"{model.l2!r}" if model.l2 else None,
        "dropout": _dropout_written(model.dropout),
        "max_norm": None if model.max_norm is None else repr(model.max_norm),
        "init": None if model.init == "auto" else _init_written(model.init),
        "dtype": repr(model.dtype),
        "seed": repr(model.seed) if model.seed else None,
    }
    options = [f"{name}={text}" for name, text in given.items() if text is not None]
    return f"Network({', '.join([str(list(model.sizes)), *options])})"


def summary(model: Described, epochs: int) -> str:
    """Return the repr above a table of the layers (units, activation, parameters, dropout)."""
    lines = [_COLUMNS, *_layers(model)]
    return "\n".join([network_repr(model), *text_table(lines), _footer(model, epochs)])


def summary_html(model: Described, epochs: int) -> str:
    """Return what `summary` says as HTML, with no style but the alignment of the cells."""
    table = html_table(network_repr(model), [_COLUMNS, *_layers(model)])
    return f"<div>{table}<div>{_footer(model, epochs)}</div></div>"


def _layers(model: Described) -> list[tuple[str, ...]]:
    """Return the cells of every layer, the input first."""
    names = ["input", *(option.name for option in model.hidden), model.output.name]
    rates = [*model.dropout, 0.0]
    ins = [0, *model.sizes]
    return [
        (
            str(layer),
            str(units),
            name,
            f"{(ins[layer] + 1) * units:,}" if layer else "",
            f"{rates[layer]:g}" if rates[layer] else "",
        )
        for layer, (units, name) in enumerate(zip(model.sizes, names, strict=True))
    ]


def _footer(model: Described, epochs: int) -> str:
    count = sum((n_in + 1) * n_out for n_in, n_out in pairwise(model.sizes))
    return f"{count:,} parameters, {epochs} epoch{'' if epochs == 1 else 's'} trained"


def _written(option: Option) -> str:
    """Return an option as its name, or as its instance where a parameter is not the default."""
    return repr(option.name) if option == type(option)() else repr(option)


def _dropout_written(rates: Sequence[float]) -> str | None:
    """Return one number where it is the same for all hidden layers and 0 for the input."""
    if not any(rates):
        return None
    first, *hidden = rates
    return repr(hidden[0]) if not first and len(set(hidden)) == 1 else str(list(rates))


def _init_written(init: Any) -> str:
    return repr(init) if isinstance(init, str) else getattr(init, "__name__", repr(init))
