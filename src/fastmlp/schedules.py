"""Learning-rate schedules: the rate of every step, as a multiple of the optimizer's learning rate.

A schedule counts time t = 0, 1, 2, … in epochs or in steps (mini-batches), by its parameter `by`;
the rate is the optimizer's learning_rate times the multiplier m(t) given with each schedule. Every
call of fit begins at t = 0, with the state of a schedule that has one afresh: only
fit(resume=True) goes on where the call that was cut off stood. A `length` of None means all epochs
(or their steps) of the call; in the formulas T is that length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ._monitor import improves
from ._options import choice, integer, real, resolve, string
from ._schedule import Schedule, State, TimedSchedule

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "Schedule",
    "Step",
    "TimedSchedule",
    "Warmup",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Constant(Schedule):
    """The optimizer's learning rate throughout, name "constant": m(t) = 1."""

    name: ClassVar[str] = "constant"

    def _rates(
        self, base: float, epoch: int, epochs: int, index: np.ndarray, total: int, state: State
    ) -> np.ndarray:
        return np.array([base], dtype=np.float64)


@dataclass(frozen=True)
class Step(TimedSchedule):
    """The rate times a factor every so often, name "step": m(t) = factor^⌊t / every⌋.

    Parameters
    ----------
    every : int
        Epochs or steps from one change to the next, >= 1.
    factor : float, default 0.1
        In (0, inf).
    by : {"epoch", "step"}, default "epoch"
        What t counts.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016,
    section 4.2.
    """

    name: ClassVar[str] = "step"
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._assign(
            every=integer("every", self.every, 1),
            factor=real("factor", self.factor, 0, bounds="()"),
        )

    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        return self.factor ** np.floor(t / self.every)


@dataclass(frozen=True)
class Exponential(TimedSchedule):
    """The rate times a factor at every t, name "exponential": m(t) = factor^t.

    Parameters
    ----------
    factor : float
        In (0, inf).
    by : {"epoch", "step"}, default "epoch"
        What t counts.

    References
    ----------
    C. Darken, J. Chang, J. Moody, "Learning rate schedules for faster stochastic gradient search",
    IEEE Workshop on Neural Networks for Signal Processing, 1992, reviews this and its relatives.
    """

    name: ClassVar[str] = "exponential"
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._assign(factor=real("factor", self.factor, 0, bounds="()"))

    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        return self.factor**t


@dataclass(frozen=True)
class InverseScaling(TimedSchedule):
    """A power of time, name "inverse_scaling": m(t) = 1 / (t + 1)^power.

    Parameters
    ----------
    power : float, default 0.5
        In [0, inf); Robbins and Monro's conditions for convergence hold for (0.5, 1] in steps.
    by : {"epoch", "step"}, default "epoch"
        What t counts.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22,
    1951.
    """

    name: ClassVar[str] = "inverse_scaling"
    power: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._assign(power=real("power", self.power, 0))

    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        return (t + 1) ** -self.power


def _cosine(start: float, end: float, share: np.ndarray) -> np.ndarray:
    """Return half a cosine wave from `start` at share 0 to `end` at share 1 and beyond."""
    wave: np.ndarray = (1 + np.cos(np.pi * np.minimum(share, 1.0))) / 2
    return end + (start - end) * wave


@dataclass(frozen=True)
class Cosine(TimedSchedule):
    """Half a cosine wave down, name "cosine".

    Parameters
    ----------
    length : int, optional
        T, >= 1; the rate stays at its last value after it. None for the whole training.
    final : float, default 0.0
        m(T), in [0, 1].
    by : {"epoch", "step"}, default "epoch"
        What t and length count.

    Notes
    -----
    m(t) = final + (1 - final) (1 + cos(π min(t/T, 1))) / 2.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    equation 5, without the restarts.
    """

    name: ClassVar[str] = "cosine"
    length: int | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length is not None:
            self._assign(length=integer("length", self.length, 1))
        self._assign(final=real("final", self.final, 0, 1))

    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        return _cosine(1.0, self.final, t / (self.length or planned))


@dataclass(frozen=True)
class OneCycle(TimedSchedule):
    """One rise to the optimizer's learning rate and one fall far below it, name "one_cycle".

    Parameters
    ----------
    length : int, optional
        T, >= 1; the rate stays at its last value after it. None for the whole training.
    peak_at : float, default 0.3
        Share of the cycle at which the peak lies, in (0, 1).
    start_factor : float, default 1/25
        m(0), in [0, 1].
    final_factor : float, default 1e-4
        m(T - 1), in [0, 1]; a share of the peak, as start_factor is.
    by : {"epoch", "step"}, default "step"
        What t and length count.

    Notes
    -----
    With the peak at p = max(peak_at T - 1, 0), m follows half a cosine wave from start_factor at t
    = 0 to 1 at t = p, and another from there to final_factor at t = T - 1, as PyTorch's OneCycleLR
    does.

    References
    ----------
    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", arXiv:1708.07120, 2017.
    """

    name: ClassVar[str] = "one_cycle"
    length: int | None = None
    peak_at: float = 0.3
    start_factor: float = 1 / 25
    final_factor: float = 1e-4
    by: str = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length is not None:
            self._assign(length=integer("length", self.length, 1))
        self._assign(
            peak_at=real("peak_at", self.peak_at, 0, 1, "()"),
            start_factor=real("start_factor", self.start_factor, 0, 1),
            final_factor=real("final_factor", self.final_factor, 0, 1),
        )

    def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
        length = self.length or planned
        peak = max(self.peak_at * length - 1, 0.0)
        # Where the peak is the first or the last moment, the denominator is any positive number.
        rise = _cosine(self.start_factor, 1.0, t / (peak or 1.0))
        fall = _cosine(
            1.0, self.final_factor, np.maximum(t - peak, 0.0) / ((length - 1 - peak) or 1.0)
        )
        return np.where(t < peak, rise, fall)


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate times a factor whenever training gets no better, name "plateau".

    Parameters
    ----------
    factor : float, default 0.2
        In (0, 1).
    patience : int, default 10
        Number of epochs in a row without improvement after which the rate changes, >= 1.
    min_delta : float, default 0.0
        An epoch improves when its quantity is better than the best so far by more than this, in [0,
        inf).
    min_rate : float, default 0.0
        The learning rate does not fall below this, in [0, inf).
    monitor : str, optional
        The quantity: "loss", "val_loss", or a metric of the history; accuracies and the like count
        as better when higher. None for "val_loss" where there is validation, else "loss".

    Notes
    -----
    PyTorch's ReduceLROnPlateau with threshold_mode "abs" and its patience one lower (it acts after
    patience + 1 epochs).

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016,
    section 3.4.
    """

    name: ClassVar[str] = "plateau"
    factor: float = 0.2
    patience: int = 10
    min_delta: float = 0.0
    min_rate: float = 0.0
    monitor: str | None = None

    def __post_init__(self) -> None:
        if self.monitor is not None:
            self._assign(monitor=string("monitor", self.monitor))
        self._assign(
            factor=real("factor", self.factor, 0, 1, "()"),
            patience=integer("patience", self.patience, 1),
            min_delta=real("min_delta", self.min_delta, 0),
            min_rate=real("min_rate", self.min_rate, 0),
        )

    def initial_state(self) -> State:
        """Return {"best": None, "waited": 0, "multiplier": 1.0}."""
        return {"best": None, "waited": 0, "multiplier": 1.0}

    def observe(self, state: State, value: float) -> State:
        """Return the state after an epoch whose monitored quantity was `value`."""
        if improves(self.monitor or "loss", value, state["best"], self.min_delta):
            return {**state, "best": value, "waited": 0}
        waited = state["waited"] + 1
        if waited < self.patience:
            return {**state, "waited": waited}
        return {**state, "waited": 0, "multiplier": state["multiplier"] * self.factor}

    def _rates(
        self, base: float, epoch: int, epochs: int, index: np.ndarray, total: int, state: State
    ) -> np.ndarray:
        lowest = min(base, self.min_rate)
        return np.array([max(base * state["multiplier"], lowest)], dtype=np.float64)


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear rise before another schedule, name "warmup".

    Parameters
    ----------
    length : int
        T, the number of steps or epochs of the rise, >= 1.
    then : Schedule or str, default Constant()
        What follows: any other schedule, by instance or by name.
    start_factor : float, default 0.0
        Where the rise comes from, in [0, 1].
    by : {"epoch", "step"}, default "step"
        What t and length count during the rise; `then` counts by its own `by`.

    Notes
    -----
    m(t) = start_factor + (1 - start_factor) (t + 1) / T for t < T: no step is wasted at
    start_factor itself, and the rise's last one is at the full rate. After it `then` begins at its
    own time 0, and a `length` of None in it means what is left of the training. Its steps count
    from the first one after the rise; its epochs count from the epoch which that step lies in, so
    that its epoch 0 is shorter where the rise ends within an epoch. A Plateau observes the epochs
    of the rise too.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv:1706.02677,
    2017, section 2.2.
    """

    name: ClassVar[str] = "warmup"
    length: int
    then: Schedule = Constant()
    start_factor: float = 0.0
    by: str = field(default="step", kw_only=True)

    def __post_init__(self) -> None:
        followers = {name: cls for name, cls in SCHEDULES.items() if name != self.name}
        self._assign(
            length=integer("length", self.length, 1),
            then=resolve("then", self.then, followers),
            start_factor=real("start_factor", self.start_factor, 0, 1),
            by=choice("by", self.by, ("epoch", "step")),
        )

    @property
    def monitor(self) -> str | None:
        """What `then` monitors."""
        return self.then.monitor

    def initial_state(self) -> State:
        """Return the initial state of `then`."""
        return self.then.initial_state()

    def observe(self, state: State, value: float) -> State:
        """Return the state of `then` after an epoch whose monitored quantity was `value`."""
        return self.then.observe(state, value)

    def _rates(
        self, base: float, epoch: int, epochs: int, index: np.ndarray, total: int, state: State
    ) -> np.ndarray:
        steps = len(index)
        if self.by == "epoch":
            t, length = np.array([epoch], dtype=np.float64), self.length * steps
            rising, index = t < self.length, np.maximum(index - length, 0.0)
        else:
            t, length = index, self.length
            rising, index = t < self.length, index[t >= self.length] - length
        rise = base * (self.start_factor + (1 - self.start_factor) * (t[rising] + 1) / self.length)
        if rising.all():
            return rise
        whole = length // steps  # epochs of nothing but rise
        rest = self.then._rates(
            base, max(epoch - whole, 0), epochs - whole, index, total - length, state
        )
        if not rising.any():
            return rest
        return np.concatenate([rise, np.broadcast_to(rest, index.shape)])


SCHEDULES: dict[str, type[Schedule]] = {
    cls.name: cls
    for cls in (Constant, Step, Exponential, InverseScaling, Cosine, OneCycle, Plateau, Warmup)
}


def resolve_schedule(value: object) -> Schedule:
    """Return the schedule that a user meant: None is Constant(), else a name or an instance."""
    return Constant() if value is None else resolve("schedule", value, SCHEDULES)
