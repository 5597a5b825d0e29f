"""The main job: train a network on handwritten digits, test it, save it and load it back.

1,797 images of 8 x 8 pixels; a fifth is held out for the test, a tenth of the rest for validation,
stratified both times. The images are few, so each epoch sees them turned, moved and
zoomed a little anew.

Run it with: python examples/digits.py [--output FILE] [--seed N] [--threads N], or by make demo
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import fastmlp as fm

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
default = Path(__file__).resolve().parents[1] / "build" / "digits.safetensors"
parser.add_argument(
    "--output", type=Path, default=default, help="where to save the network (%(default)s)"
)
parser.add_argument(
    "--seed", type=int, default=0, help="of the split and of the training (%(default)s)"
)
parser.add_argument(
    "--threads", type=int, help="number of threads; the result does not depend on it"
)
arguments = parser.parse_args()

print("Set-up")
fm.show_config()

# The data: rows of 64 pixels from 0 (paper) to 1 (ink), labels from 0 to 9.
X, y = fm.datasets.load_digits()
(X_rest, y_rest), (X_test, y_test) = fm.split(
    X, y, ratios=(0.8, 0.2), stratify=True, seed=arguments.seed
)

# The network, and its training: 40 epochs at a learning rate that falls along half a cosine wave.
net = fm.Network([64, 256, 128, 10], hidden="relu", output="softmax", seed=arguments.seed)
print(f"\n{net.summary()}\n", flush=True)
began = time.perf_counter()
history = net.fit(
    X_rest,
    y_rest,
    epochs=40,
    batch_size=32,
    optimizer=fm.Adam(3e-3),
    schedule="cosine",
    validation=0.1,
    stratify=True,
    augment=fm.augment.Affine((8, 8), rotate=10, shift=0.5, zoom=0.1),
    progress=True,
    threads=arguments.threads,
)
seconds = time.perf_counter() - began

print("\nepoch    loss  validation loss  validation accuracy")
columns = (history[key] for key in ("loss", "val_loss", "val_accuracy"))
for epoch, loss, val_loss, val_accuracy in zip(history.epochs, *columns, strict=True):
    print(f"{epoch:5}  {loss:.4f}  {val_loss:15.4f}  {val_accuracy:19.4f}")

# The test, on images that training has not seen.
scores = net.evaluate(X_test, y_test)
matrix = fm.metrics.confusion_matrix(y_test, net.classify(X_test))
print(
    f"\nTest accuracy {scores['accuracy']:.4f} on {len(X_test)} images, loss {scores['loss']:.4f}"
)
print("Confusion matrix (row: the digit written, column: the digit read)")
print("   " + "".join(f"{digit:4}" for digit in range(10)))
for digit, row in enumerate(matrix):
    print(f"{digit:3}" + "".join(f"{count or '.':>4}" for count in row))
print(f"\nTrained in {seconds:.2f} s: {len(history)} epochs")

# Save, load back, and predict the same to the last bit.
arguments.output.parent.mkdir(parents=True, exist_ok=True)
net.save(arguments.output)
print(f"Saved to {arguments.output} ({arguments.output.stat().st_size / 1024:.0f} KB)")
loaded = fm.load(arguments.output)
assert np.array_equal(loaded.predict(X_test), net.predict(X_test))
print("Loaded it back: the predictions are the same to the last bit")
image, digit = X_test[0].reshape(8, 8), loaded.classify(X_test[:1])[0]
print("\n".join("    " + "".join(" .:-=+*#@"[int(ink * 8)] * 2 for ink in row) for row in image))
print(f"It reads this image as {digit}; it was written as {y_test[0]}")
