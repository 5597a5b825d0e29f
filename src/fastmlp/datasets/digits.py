"""The UCI handwritten digits, bundled with the package.

1,797 images of 8 x 8 pixels: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0 (its
text is in data/).
"""

from __future__ import annotations

from importlib import resources

import numpy as np

DARKEST_PIXEL = 16  # a pixel counts the ink dots in a block of 4 x 4


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the 1,797 handwritten digits that come with fastmlp.

    Returns
    -------
    X : float32 array, shape (1797, 64)
        One image a row, its 8 x 8 pixels row by row, 0 (paper) to 1 (ink): the original counts
        0..16, divided by 16.
    y : int64 array, shape (1797,)
        The digit written, 0 to 9.

    References
    ----------
    Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits [Dataset].
    UCI Machine Learning Repository. https://doi.org/10.24432/C50P49. Licence: CC BY 4.0.
    """
    archive = resources.files("fastmlp.datasets") / "data" / "digits.npz"
    with archive.open("rb") as file, np.load(file, allow_pickle=False) as digits:
        X = digits["images"].astype(np.float32) / np.float32(DARKEST_PIXEL)
        y = digits["labels"].astype(np.int64)
    return X, y
