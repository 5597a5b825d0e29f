"""Types of the compiled binding (_core.pyx)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ACTIVATIONS: tuple[str, ...]
LOSSES: tuple[str, ...]
OPTIMIZERS: tuple[str, ...]
AUGMENT_NOISE: int
AUGMENT_MASK: int
AUGMENT_AFFINE: int
COMPILER: str
OPENMP: bool
ISA: str

Pair = tuple[np.ndarray, np.ndarray]

def instruction_sets() -> list[tuple[str, bool]]: ...
def default_threads() -> int: ...
def free_threads(on: bool) -> None: ...
def fail_allocation(nth: int) -> None: ...
def activate(name: str, alpha: float, z: np.ndarray, isa: str | None = ...) -> Pair: ...
def thread_distance(threads: int = ..., patience: float = ...) -> tuple[float, float, float]: ...
def fma_peak(
    dtype: str = ..., threads: int = ..., seconds: float = ..., isa: str | None = ...
) -> float: ...

class Data:
    X: np.ndarray
    y: np.ndarray | None
    sample_weight: np.ndarray | None
    rows: np.ndarray | None
    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray | None = ...,
        labels: bool = ...,
        sample_weight: np.ndarray | None = ...,
        rows: np.ndarray | None = ...,
    ) -> None: ...
    @property
    def n_rows(self) -> int: ...

class Net:
    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[tuple[str, float]],
        dropout: Sequence[float],
        loss: str,
        loss_parameter: float,
        dtype: str,
        isa: str | None = ...,
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    def get_layer(self, layer: int) -> Pair: ...
    def set_layer(self, layer: int, weights: np.ndarray, bias: np.ndarray) -> None: ...
    def get_params(self) -> np.ndarray: ...
    def set_params(self, params: np.ndarray) -> None: ...
    def check_finite(self, array: np.ndarray, argument: str, threads: int = ...) -> None: ...
    def predict(self, X: np.ndarray, threads: int = ...) -> np.ndarray: ...
    def layers(self, X: np.ndarray, threads: int = ...) -> list[Pair]: ...
    def loss(self, data: Data, threads: int = ...) -> tuple[float, np.ndarray]: ...
    def gradient(
        self, data: Data, l1: float = ..., l2: float = ..., threads: int = ...
    ) -> tuple[float, list[Pair]]: ...
    def input_gradient(self, data: Data, threads: int = ...) -> np.ndarray: ...

class Trainer:
    net: Net
    moments: int
    def __init__(
        self,
        net: Net,
        optimizer: str,
        constants: Sequence[float],
        moments: int,
        batch_size: int,
        l1: float = ...,
        l2: float = ...,
        max_norm: float = ...,
        clip_norm: float = ...,
        ema: float = ...,
        seed: int = ...,
        shuffle: bool = ...,
        record_norm: bool = ...,
        threads: int = ...,
        augment: Sequence[Mapping[str, Any]] = ...,
        epoch: int = ...,
        step: int = ...,
    ) -> None: ...
    @property
    def threads(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def averages(self) -> bool: ...
    def restart_epoch(self) -> None: ...
    def adopt(self, other: Trainer) -> None: ...
    def get_moment(self, index: int, layer: int) -> Pair: ...
    def set_moment(self, index: int, layer: int, weights: np.ndarray, bias: np.ndarray) -> None: ...
    def get_average(self, layer: int) -> Pair: ...
    def set_average(self, layer: int, weights: np.ndarray, bias: np.ndarray) -> None: ...
    def run(
        self,
        data: Data,
        rates: np.ndarray,
        epochs: int,
        seconds: float,
    ) -> tuple[list[float], list[float], list[float], int, int, bool]: ...
