"""Backpropagation step by step: one row through a 2-2-1 network, every delta by a scalar graph.

Each layer is z = W a + b, a = σ(z), under the cost C = ½(a − y)². `Value` works out all derivatives
by the chain rule alone; beside each stands the equation of backpropagation, computed from the
numbers of the layer after it. At the end both are compared with the reference network.

Run it with: python examples/backpropagation.py
"""

from __future__ import annotations

import numpy as np

from fastmlp.reference import Network, Value

# Element [t, f] is the weight to unit t from unit f.
WEIGHTS = [np.array([[0.7, -0.3], [-0.5, 0.9]]), np.array([[1.1, -0.8]])]
BIASES = [np.array([0.1, -0.2]), np.array([0.3])]
x, y = [1.0, 2.0], 1.0

# Forward: z^l = W^l a^(l−1) + b^l, a^l = σ(z^l)
weights = [[[Value(w) for w in row] for row in W] for W in WEIGHTS]
biases = [[Value(b) for b in row] for row in BIASES]
z: list[list[Value]] = []
a = [[Value(number) for number in x]]
for layer, (W, b) in enumerate(zip(weights, biases, strict=True), start=1):
    z.append([row[0] * a[-1][0] + row[1] * a[-1][1] + bias for row, bias in zip(W, b, strict=True)])
    a.append([weighted_sum.sigmoid() for weighted_sum in z[-1]])
    for t, (weighted_sum, activation) in enumerate(zip(z[-1], a[-1], strict=True)):
        print(f"layer {layer}, unit {t}:  z = {weighted_sum.data:.6f}   a = {activation.data:.6f}")
output = a[2][0]
cost = (output - y) ** 2 / 2
print(f"C = (a - y)^2 / 2 = {cost.data:.6f}\n")

# Backward: the delta of a unit is ∂C/∂z, which backward() leaves in the grad of its weighted sum.
cost.backward()


def slope(activation: Value) -> float:
    """σ'(z) = a(1 − a)."""
    return activation.data * (1 - activation.data)


delta_output = (output.data - y) * slope(output)  # δ^2 = ∂C/∂a σ'(z^2)
print(f"delta^2    = (a - y) s'(z)         = {delta_output:+.6f}   Value: {z[1][0].grad:+.6f}")
assert np.isclose(delta_output, z[1][0].grad)
for f in range(2):
    delta = slope(a[1][f]) * weights[1][0][f].data * delta_output  # δ^1 = σ'(z^1) ⊙ (W^2)ᵀ δ^2
    print(f"delta^1[{f}] = s'(z) w^2[0,{f}] delta^2  = {delta:+.6f}   Value: {z[0][f].grad:+.6f}")
    assert np.isclose(delta, z[0][f].grad)

# The gradient: ∂C/∂W^l = δ^l (a^(l−1))ᵀ, ∂C/∂b^l = δ^l
print()
net = Network(
    [2, 2, 1], hidden="sigmoid", output="sigmoid", loss="half_mse", weights=WEIGHTS, biases=BIASES
)
for layer, (dW, db) in enumerate(net.gradients([x], [y])[1], start=1):
    for (t, f), derivative in np.ndenumerate(dW):
        product = z[layer - 1][t].grad * a[layer - 1][f].data
        equation = f"dC/dw^{layer}[{t},{f}] = delta^{layer}[{t}] a^{layer - 1}[{f}]"
        print(f"{equation} = {product:+.6f}   Network: {derivative:+.6f}")
        assert np.isclose(product, derivative) and np.isclose(
            weights[layer - 1][t][f].grad, derivative
        )
    assert np.allclose([bias.grad for bias in biases[layer - 1]], db)
print("Scalars, equations and reference network agree.")
