"""Augmentation of training rows, drawn anew in every epoch: noise, masking, affine image maps.

Rows are changed on their way into a batch, in the compiled core and in training only; the caller's
X stays as it is. The random numbers are functions of (seed, epoch, place in the epoch's order), so
that results do not depend on threads.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from ._options import Option, as_tuple, integer, real, resolve, shown

__all__ = ["AUGMENTATIONS", "Affine", "Augmentation", "Mask", "Noise"]


def __dir__() -> list[str]:
    return __all__


class Augmentation(Option):
    """Base of the augmentations."""


@dataclass(frozen=True)
class Noise(Augmentation):
    """Additive Gaussian noise, name "noise".

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise, in [0, inf), in the unit of X.

    Notes
    -----
    x ← x + σ ε with ε ~ N(0, 1), one for every feature of every row.

    References
    ----------
    C. M. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation
    7, 1995.
    """

    name: ClassVar[str] = "noise"
    sigma: float

    def __post_init__(self) -> None:
        self._assign(sigma=real("sigma", self.sigma, 0))


@dataclass(frozen=True)
class Mask(Augmentation):
    """Masking of inputs, name "mask": features set to 0 at random.

    Parameters
    ----------
    probability : float
        Share of the features that are set to 0, in [0, 1).

    Notes
    -----
    x_j ← 0 with the given probability, independently for every feature of every row. Unlike dropout
    on the input, what is kept is not scaled.

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, "Extracting and composing robust features
    with denoising autoencoders", ICML 2008.
    """

    name: ClassVar[str] = "mask"
    probability: float

    def __post_init__(self) -> None:
        self._assign(probability=real("probability", self.probability, 0, 1, "[)"))


@dataclass(frozen=True)
class Affine(Augmentation):
    """Small random affine maps of images, name "affine", with bilinear sampling.

    Parameters
    ----------
    shape : tuple of 2 or 3 ints
        Height and width, or height, width and channels, of the image that a row of X holds in C
        order.
    rotate : float, default 0.0
        Largest angle in degrees, either way, in [0, 180]. This and what follows is given by
        keyword.
    shear : float, default 0.0
        Largest shear angle in degrees, either way, in [0, 90).
    shift : float, default 0.0
        Largest shift in pixels along each axis, either way, in [0, inf).
    zoom : float, default 0.0
        The factor lies between 1 / (1 + zoom) and 1 + zoom; in [0, inf).
    fill : float, default 0.0
        What stands for pixels from outside of the image, finite, in the unit of X.

    Notes
    -----
    Angles, shear and shifts are drawn uniformly, the zoom's logarithm is; one draw for every row in
    every epoch, the same for all channels. Rotation, shear and zoom are about the image's centre.

    References
    ----------
    P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural networks
    applied to visual document analysis", ICDAR 2003.
    """

    name: ClassVar[str] = "affine"
    shape: tuple[int, ...]
    _: KW_ONLY
    rotate: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        sides = isinstance(self.shape, list | tuple)
        if not sides or len(self.shape) not in (2, 3):
            error = ValueError if sides else TypeError
            raise error(
                "shape must be (height, width) or (height, width, channels), "
                f"got {shown(self.shape)}"
            )
        self._assign(
            shape=tuple(integer(f"shape[{i}]", side, 1) for i, side in enumerate(self.shape)),
            rotate=real("rotate", self.rotate, 0, 180),
            shear=real("shear", self.shear, 0, 90, "[)"),
            shift=real("shift", self.shift, 0),
            zoom=real("zoom", self.zoom, 0),
            fill=real("fill", self.fill),
        )


AUGMENTATIONS: dict[str, type[Augmentation]] = {cls.name: cls for cls in (Noise, Mask, Affine)}


def resolve_augment(value: object, n_inputs: int) -> tuple[Augmentation, ...]:
    """Return the augmentations that a user meant, in the order given.

    Parameters
    ----------
    value : None, Augmentation or sequence of Augmentation
        What was passed as `augment`.
    n_inputs : int
        Number of features of a row, which the shape of `Affine` must multiply to.

    Raises
    ------
    TypeError
        Something is not an augmentation.
    ValueError
        One kind occurs twice (both would draw the same random numbers), or the shape of `Affine`
        does not fit the rows.
    """
    options = tuple(resolve("augment", item, AUGMENTATIONS) for item in as_tuple(value))
    names = [option.name for option in options]
    for option in options:
        if names.count(option.name) > 1:
            raise ValueError(
                f"augment must have each kind at most once, got {type(option).__name__} twice"
            )
        if isinstance(option, Affine) and math.prod(option.shape) != n_inputs:
            raise ValueError(
                f"augment: the shape of Affine must multiply to the {n_inputs} features of a row, "
                f"got {option.shape} = {math.prod(option.shape)}"
            )
    return options
