"""Gradient descent in its three forms, whole set, mini-batch and one row at a time, on one problem.

The update is the same, θ ← θ − η∇C; what differs is the number of rows that ∇C is the mean over.
The whole set gives the true gradient and one step an epoch; a single row gives a rough guess and a
step for each; mini-batches are in between. ε = η‖∇C‖ is the length of a step, here its mean over an
epoch.

Run it with: python examples/gradient_descent.py
"""

from __future__ import annotations

import numpy as np

import fastmlp as fm

X, y = fm.datasets.load_digits()
(X, y), (X_test, y_test) = fm.split(X, y, ratios=(0.8, 0.2), stratify=True)
EPOCHS = 30

# Rows of a step, and a learning rate that suits it: a rough gradient bears only short steps.
forms = [("batch", len(X), 1.0), ("mini-batch", 32, 0.2), ("stochastic", 1, 0.01)]

histories: dict[str, fm.History] = {}
print(f"{len(X)} rows, {EPOCHS} epochs of plain gradient descent from the same weights\n")
print("form          rows   rate   steps an epoch   train loss   test accuracy")
for form, rows, rate in forms:
    net = fm.Network([64, 32, 10], hidden="tanh", seed=0)
    histories[form] = net.fit(
        X,
        y,
        epochs=EPOCHS,
        batch_size=rows,
        optimizer=fm.SGD(rate),
        record_norms=True,
        progress=False,
    )
    test = net.evaluate(X_test, y_test)
    steps, loss = -(-len(X) // rows), net.evaluate(X, y)["loss"]
    print(f"{form:<12}{rows:6}{rate:7g}{steps:17}{loss:13.4f}{test['accuracy']:16.4f}")

for key, title in (("loss", "loss C"), ("step_size", "length ε of a step")):
    print(f"\n{title}, by epoch")
    print("epoch " + "".join(f"{form:>12}" for form in histories))
    for epoch in (1, 2, 3, 5, 10, 20, 30):
        print(
            f"{epoch:5} "
            + "".join(f"{history[key][epoch - 1]:12.4f}" for history in histories.values())
        )

# What the three have in common: the gradient is the mean of the gradients of all rows.
net = fm.Network([64, 32, 10], hidden="tanh", seed=0, dtype="float64")
whole = net.gradients(X, y)[1][0][0]
mean = np.mean([net.gradients(X[i : i + 1], y[i : i + 1])[1][0][0] for i in range(len(X))], axis=0)
print(
    "\nlargest difference between the gradient and the mean over rows: "
    f"{np.abs(whole - mean).max():.1e}"
)
