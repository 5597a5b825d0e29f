"""Data sets to try a network on: one bundled (digits), one read from a folder (Fashion-MNIST)."""

from fastmlp.datasets.digits import load_digits
from fastmlp.datasets.fashion_mnist import load_fashion_mnist

__all__ = ["load_digits", "load_fashion_mnist"]


def __dir__() -> list[str]:
    return __all__
