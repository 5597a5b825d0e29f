"""Regression on a real table: body mass of penguins by squared error, Huber loss and quantiles.

344 penguins of three species measured near Palmer Station (data/README.md says by whom); those with
a missing value are dropped. Names become indicator columns, numbers are standardised by the mean
and the spread of the training rows. All figures are means over five random splits, on the fifth of
the rows that was held out.

Run it with: python examples/regression.py
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp as fm

NAMES = ("species", "island", "sex")
NUMBERS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year")


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs (n, 12) and the body mass in grams (n,)."""
    with open(
        Path(__file__).with_name("data") / "penguins.csv", newline="", encoding="utf-8"
    ) as file:
        rows = [row for row in csv.DictReader(file) if "NA" not in row.values()]
    columns = [[float(row[name]) for row in rows] for name in NUMBERS]
    for name in NAMES:
        kinds = sorted({row[name] for row in rows})
        columns += [[float(row[name] == kind) for row in rows] for kind in kinds]
    return np.array(columns).T, np.array([float(row["body_mass_g"]) for row in rows])


def predictions(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, loss: Any, seed: int
) -> np.ndarray:
    """Train on X and y, and return the masses predicted for X_test."""
    mean, spread = X.mean(axis=0), X.std(axis=0)
    centre = np.median(y)
    unit = 1.4826 * np.median(np.abs(y - centre))  # a spread that a few wrong masses do not move
    net = fm.Network(
        [X.shape[1], 16, 1], hidden="tanh", output="identity", loss=loss, l2=0.02, seed=seed
    )
    options: dict[str, Any] = {
        "epochs": 100,
        "batch_size": 32,
        "optimizer": fm.Adam(5e-3),
        "schedule": "cosine",
    }
    net.fit((X - mean) / spread, (y - centre) / unit, progress=False, **options)
    return centre + unit * net.predict((X_test - mean) / spread)[:, 0]


X, y = table()
parts = [fm.split(X, y, ratios=(0.8, 0.2), seed=seed) for seed in range(5)]
print(
    f"{len(X)} penguins, {X.shape[1]} inputs, "
    f"mass {y.mean():.0f} g with a spread of {y.std():.0f} g\n"
)

# Squared errors follow a few wrong numbers anywhere; the Huber loss pulls with a limited force.
print(
    "mean absolute error in g, and R²       as measured     "
    "3 % of training masses with a zero too many"
)
losses = {"mse": "mse", "huber, delta 0.5": fm.losses.Huber(delta=0.5)}
for name, loss in losses.items():
    errors = []
    for seed, ((X_train, y_train), (X_test, y_test)) in enumerate(parts):
        wrong = np.where(
            np.random.default_rng(seed).random(len(y_train)) < 0.03, 10 * y_train, y_train
        )
        for masses in (y_train, wrong):
            predicted = predictions(X_train, masses, X_test, loss, seed)
            errors += [fm.metrics.mae(y_test, predicted), fm.metrics.r2(y_test, predicted)]
    clean_mae, clean_r2, wrong_mae, wrong_r2 = np.reshape(errors, (len(parts), 4)).mean(axis=0)
    print(f"{name:<36}{clean_mae:8.0f}{clean_r2:7.3f}{wrong_mae:14.0f}{wrong_r2:7.3f}")

# Two quantiles make an interval, in which eight masses of ten should lie.
inside, width = [], []
for seed, ((X_train, y_train), (X_test, y_test)) in enumerate(parts):
    low = predictions(X_train, y_train, X_test, fm.losses.Quantile(tau=0.1), seed)
    high = predictions(X_train, y_train, X_test, fm.losses.Quantile(tau=0.9), seed)
    inside.append(np.mean((low <= y_test) & (y_test <= high)))
    width.append(np.mean(high - low))
print(
    f"\nbetween the quantiles 0.1 and 0.9 lie {np.mean(inside):.1%} of the masses held out "
    "(wanted: 80 %);"
)
print(f"the interval is {np.mean(width):.0f} g wide on average")
