"""Regularisation and augmentation: what keeps a network from learning its few rows by heart.

A network of 109,386 parameters is trained on 2,000 of the 60,000 images of Fashion-MNIST, plainly
and in five other ways, and tested on all 10,000 test images; each line is the mean of two seeds, or
of SEEDS of them. Where the data set is missing, a tenth of the bundled digits is trained
on and the others tested.

Run it with: python examples/fashion_mnist.py [SEEDS] (on Debian and Ubuntu after apt-get install
dataset-fashion-mnist; elsewhere set FASTMLP_DATA to the folder with the four IDX files)
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import fastmlp as fm

SEEDS = range(int(sys.argv[1]) if len(sys.argv) > 1 else 2)


def data() -> tuple[str, fm.augment.Affine, tuple[np.ndarray, ...]]:
    """Return a name, maps that suit the images, and X, y, X_test, y_test, pixels from 0 to 1."""
    try:
        (X, y), (X_test, y_test) = fm.datasets.load_fashion_mnist()
    except FileNotFoundError as error:
        print(f"{error}\nWithout it, the bundled digits are used.\n", file=sys.stderr)
        X, y = fm.datasets.load_digits()
        (X, y), (X_test, y_test) = fm.split(X, y, ratios=(0.1, 0.9), stratify=True)
        affine = fm.augment.Affine((8, 8), rotate=10, shift=0.5, zoom=0.1)
        return "the digits", affine, (X, y, X_test, y_test)
    few = np.random.default_rng(0).permutation(len(X))[:2000]
    scale = np.float32(1 / 255)
    affine = fm.augment.Affine((28, 28), rotate=3, shear=2, shift=1, zoom=0.05)
    return "Fashion-MNIST", affine, (X[few] * scale, y[few], X_test * scale, y_test)


name, affine, (X, y, X_test, y_test) = data()

# What is done, options of Network, options of fit.
ways: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing", {}, {}),
    ("L2, 0.003", {"l2": 0.003}, {}),
    ("dropout, 0.3", {"dropout": 0.3}, {}),
    ("noise, 0.2", {}, {"augment": fm.augment.Noise(0.2)}),
    ("affine maps", {}, {"augment": affine}),
    ("affine maps, dropout 0.1", {"dropout": 0.1}, {"augment": affine}),
]

print(f"{len(X)} rows of {name} to train on, {len(X_test)} to test on; means of {len(SEEDS)} seeds")
print(f"{'against over-fitting':<26}{'train accuracy':>16}{'test accuracy':>17}{'test loss':>12}")
for way, network_options, fit_options in ways:
    figures = []
    for seed in SEEDS:
        net = fm.Network([X.shape[1], 128, 64, 10], hidden="relu", seed=seed, **network_options)
        net.fit(
            X,
            y,
            epochs=120_000 // len(X),
            optimizer=fm.Adam(2e-3),
            schedule="cosine",
            progress=False,
            **fit_options,
        )
        scores = net.evaluate(X_test, y_test)
        figures.append((net.evaluate(X, y)["accuracy"], scores["accuracy"], scores["loss"]))
    (train, test, loss), (_, spread, _) = np.mean(figures, axis=0), np.std(figures, axis=0)
    print(f"{way:<26}{train:16.4f}{test:9.4f} ± {spread:.4f}{loss:12.3f}", flush=True)
