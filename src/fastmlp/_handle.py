"""Handle: a model and its training as users hold them: read-only options, parameters, copies."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _options as options
from ._fit.session import Training
from ._model import Model
from ._parameters import Parameters
from .optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from typing_extensions import Self

_OURS = ("_model", "_training", "_claims")


class _Claim:
    """What a thread has for itself as long as it lives."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()

    def is_alive(self) -> bool:
        return self.thread.is_alive()

    def is_anothers(self) -> bool:
        return self.is_alive() and self.thread is not threading.current_thread()


class Handle:
    """What a network is made of, and how it is described, assigned to and copied."""

    _fit_parameters: ClassVar[tuple[str, ...]] = ()  # names that belong to fit, for messages

    def __init_subclass__(cls) -> None:
        if "fit" in vars(cls):
            cls._fit_parameters = tuple(inspect.signature(vars(cls)["fit"]).parameters)[3:]

    def _adopt(self, model: Model, training: Training) -> None:
        """Be the network of this model, where this training stands."""
        self.__dict__.update(_model=model, _training=training, _claims={})

    @classmethod
    def from_model(cls, model: Model, training: Training) -> Self:
        """Return the network of a model where its training stands; for files and copies."""
        network = cls.__new__(cls)
        network._adopt(model, training)
        return network

    # -- options, read-only ------------------------------------------------------------------------

    sizes = property(lambda self: self._model.sizes, doc="Units of every layer.")
    hidden = property(lambda self: self._model.hidden, doc="Activation of each hidden layer.")
    output = property(lambda self: self._model.output, doc="Activation of the output layer.")
    loss = property(lambda self: self._model.loss, doc="The loss.")
    l1 = property(lambda self: self._model.l1, doc="Penalty on Σ|w|.")
    l2 = property(lambda self: self._model.l2, doc="Penalty on Σ w² / 2.")
    dropout = property(lambda self: self._model.dropout, doc="Rates of layers 0 ... L-2.")
    max_norm = property(
        lambda self: self._model.max_norm, doc="Limit of a unit's weights, or None."
    )
    init = property(lambda self: self._model.init, doc="Initialisation of the weights.")
    dtype = property(lambda self: self._model.dtype, doc="Precision of all numbers.")
    seed = property(lambda self: self._model.seed, doc="Name of the random streams.")
    epochs = property(lambda self: self._training.epochs, doc="Epochs trained so far.")
    history = property(lambda self: self._training.history, doc="Record of the last call of fit.")

    def __setattr__(self, name: str, value: Any) -> None:
        kind = getattr(type(self), name, None)
        if isinstance(kind, property) and kind.fset is None:
            raise AttributeError(f"{name} is read-only")
        if kind is None:
            place = self._elsewhere(name)
            if place:
                raise AttributeError(place)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Say where an attribute that is missing belongs."""
        place = None if name.startswith("_") else self._elsewhere(name)
        raise AttributeError(place or f"{type(self).__name__!r} object has no attribute {name!r}")

    def _elsewhere(self, name: str) -> str | None:
        """Return where a setting that is no attribute belongs, or None if it is none."""
        return options.elsewhere(name, self._fit_parameters, OPTIMIZERS)

    # -- parameters --------------------------------------------------------------------------------

    @property
    def weights(self) -> list[np.ndarray]:
        pairs = self._model.get_parameters()
        return Parameters((w for w, _ in pairs), lambda values: self._assign("weights", values))

    @weights.setter
    def weights(self, values: Sequence[Any]) -> None:
        self._assign("weights", values)

    @property
    def biases(self) -> list[np.ndarray]:
        pairs = self._model.get_parameters()
        return Parameters((b for _, b in pairs), lambda values: self._assign("biases", values))

    @biases.setter
    def biases(self, values: Sequence[Any]) -> None:
        self._assign("biases", values)

    def _assign(self, name: str, values: Sequence[Any]) -> list[np.ndarray]:
        """Set the weights or biases of all layers, and return what they are now."""
        model = self._model
        arrays = model.checked_arrays(name, values)
        fitting = self._claims.get("fit")
        if fitting is not None and fitting.is_anothers():
            raise RuntimeError(
                f"{name} must not be assigned while another thread fits this network"
            )
        pairs = zip(arrays, model.get_parameters(), strict=True)
        model.set_parameters([(a, b) if name == "weights" else (w, a) for a, (w, b) in pairs])
        self._training.parameters_assigned()
        kept: list[np.ndarray] = list(getattr(self, name))
        return kept

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._model.n_parameters

    # -- one call of fit at a time -----------------------------------------------------------------

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Hold the network for one call of fit; a forked process is without the thread that did."""
        claimed = _Claim()
        held = self._claims.setdefault("fit", claimed)
        if held is not claimed:
            if held.is_alive():
                raise RuntimeError("fit is running on this network already")
            self._claims["fit"] = claimed
        try:
            yield
        finally:
            del self._claims["fit"]

    # -- copies and descriptions -------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        from .export.state import to_state

        description, tensors = to_state(self._model, self._training)
        attributes = {k: v for k, v in self.__dict__.items() if k not in _OURS}
        return {"description": description, "tensors": tensors, "attributes": attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .export.state import from_state

        self._adopt(*from_state(state["description"], state["tensors"]))
        self.__dict__.update(state.get("attributes", {}))

    def summary(self) -> str:
        """Return a table of the layers: units, activation, parameters, dropout."""
        from .inspect.summary import summary

        return summary(self._model, self.epochs)

    def __repr__(self) -> str:
        from .inspect.summary import network_repr

        return network_repr(self._model)

    def _repr_html_(self) -> str:
        from .inspect.summary import summary_html

        return summary_html(self._model, self.epochs)
