"""Rosenblatt's perceptron learns AND and OR but not XOR; a network with a hidden layer learns it.

A perceptron is one layer with the step function, a = 1 if w·x + b > 0 else 0, trained row by row
with the rule w ← w + η(y − a)x, b ← b + η(y − a). It finds a line between the classes wherever
there is one; between the corners (0, 1), (1, 0) and (0, 0), (1, 1) of the square there is none.

Run it with: python examples/perceptron.py
"""

from __future__ import annotations

import numpy as np

import fastmlp as fm

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
TABLES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
EPOCHS = 100

for name, y in TABLES.items():
    # The perceptron rule is gradient descent, row by row, on the perceptron loss Σ (a − y) z.
    perceptron = fm.Network([2, 1], output="step", loss="perceptron", init="zeros")
    history = perceptron.fit(
        X,
        y,
        epochs=EPOCHS,
        batch_size=1,
        optimizer=fm.SGD(1.0),
        validation=(X, y),
        stop=fm.TargetLoss(1.0, monitor="val_accuracy"),
    )
    (w1, w2), b = perceptron.weights[0][0], perceptron.biases[0][0]
    if history.stopped_by == "target loss":
        print(
            f"{name:>3}: learnt in {len(history)} epochs; "
            f"a = 1 where {w1:g} x1 {w2:+g} x2 {b:+g} > 0"
        )
    else:
        best = max(history["val_accuracy"])
        print(
            f"{name:>3}: not learnt in {EPOCHS} epochs; "
            f"never more than {4 * best:.0f} of 4 rows right"
        )

# With a layer between, two lines: the hidden units say on which side of each of them a corner lies.
y = TABLES["XOR"]
net = fm.Network([2, 4, 1], hidden="tanh", output="sigmoid", loss="cross_entropy", seed=1)
history = net.fit(X, y, epochs=500, batch_size=4, optimizer=fm.Adam(0.05), stop=fm.TargetLoss(0.01))
print(f"\nXOR with 4 hidden units: loss {history['loss'][-1]:.3f} after {len(history)} epochs")
for (x1, x2), a, wanted in zip(X, net.predict(X)[:, 0], y, strict=True):
    print(f"  x = ({x1}, {x2})   a = {a:.3f}   y = {wanted}")
assert net.classify(X).tolist() == y
