"""The reference's optimisers, activations and losses against PyTorch, where that is installed."""

from __future__ import annotations

from types import SimpleNamespace as Option

import numpy as np
import pytest

from fastmlp.reference import Network
from fastmlp.reference.activations import ACTIVATIONS


@pytest.fixture
def torch():
    """PyTorch on one thread: the networks here are too small for more."""
    module = pytest.importorskip("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)


RULES = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    ("adam", {}, "Adam", {}),
    (
        "adam",
        {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3},
        "Adam",
        {"betas": (0.8, 0.9), "eps": 1e-3},
    ),
    ("adamw", {}, "AdamW", {}),
    ("adamw", {"weight_decay": 0.3}, "AdamW", {"weight_decay": 0.3}),
    ("rmsprop", {}, "RMSprop", {}),
    ("rmsprop", {"alpha": 0.9, "momentum": 0.8}, "RMSprop", {"alpha": 0.9, "momentum": 0.8}),
    ("rmsprop", {"centered": True}, "RMSprop", {"centered": True}),
    (
        "rmsprop",
        {"centered": True, "momentum": 0.8},
        "RMSprop",
        {"centered": True, "momentum": 0.8},
    ),
    ("adagrad", {}, "Adagrad", {}),
    (
        "adagrad",
        {"learning_rate_decay": 0.1, "epsilon": 1e-3, "initial_accumulator": 0.2},
        "Adagrad",
        {"lr_decay": 0.1, "eps": 1e-3, "initial_accumulator_value": 0.2},
    ),
    ("rprop", {}, "Rprop", {}),
    (
        "rprop",
        {"eta_minus": 0.4, "eta_plus": 1.5, "step_min": 1e-3, "step_max": 0.05},
        "Rprop",
        {"etas": (0.4, 1.5), "step_sizes": (1e-3, 0.05)},
    ),
]


@pytest.mark.parametrize(("name", "constants", "torch_name", "torch_constants"), RULES)
def test_optimizers_are_pytorchs(torch, name, constants, torch_name, torch_constants):
    random = np.random.default_rng(5)
    X, Y = random.normal(size=(10, 3)), random.integers(0, 2, 10)
    net = Network([3, 5, 2], "tanh", l2=0.01, biases=[random.normal(size=5), random.normal(size=2)])
    theta = [torch.tensor(p.copy(), requires_grad=True) for p in (*net.weights, *net.biases)]
    W1, W2, b1, b2 = theta
    rule = getattr(torch.optim, torch_name)(theta, lr=0.02, **torch_constants)
    option = Option(name=name, learning_rate=0.02, **constants)
    for step in range(60):
        batch = np.arange(step, step + 4) % 10
        a = torch.tanh(torch.tensor(X[batch]) @ W1.T + b1)
        cost = torch.nn.functional.cross_entropy(a @ W2.T + b2, torch.tensor(Y[batch]))
        cost = cost + 0.005 * ((W1**2).sum() + (W2**2).sum())
        rule.zero_grad()
        cost.backward()
        rule.step()
        assert net.step(X[batch], Y[batch], option) == pytest.approx(cost.item(), rel=1e-9)
    for ours, theirs in zip((*net.weights, *net.biases), theta, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-8, atol=1e-10)


def test_activations_are_pytorchs(torch):
    z = torch.cat(
        [torch.linspace(-30, 30, 601, dtype=torch.float64), torch.zeros(1)]
    ).requires_grad_()
    for name in ACTIVATIONS.keys() - {"identity", "step"}:
        a = getattr(torch.nn.functional, name)(z)
        (da,) = torch.autograd.grad(a.sum(), z)
        ours, derivative, parameters = ACTIVATIONS[name]
        x = z.detach().numpy()
        # PyTorch's softplus, and with it its mish, is the identity above 20
        np.testing.assert_allclose(ours(x, **parameters), a.detach().numpy(), rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(derivative(x, **parameters), da.numpy(), rtol=1e-10, atol=1e-8)


def test_losses_are_pytorchs(torch):
    F = torch.nn.functional
    random = np.random.default_rng(5)
    X, Y = random.normal(size=(2, 6, 4))
    z = torch.tensor(X)
    labels, binary = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor((Y > 0).astype(float))
    cases = [
        ("identity", "mse", Y, F.mse_loss(z, torch.tensor(Y))),
        ("identity", "mae", Y, F.l1_loss(z, torch.tensor(Y))),
        (
            "identity",
            Option(name="huber", delta=0.7),
            Y,
            F.huber_loss(z, torch.tensor(Y), delta=0.7),
        ),
        ("identity", "poisson", Y, F.poisson_nll_loss(z, torch.tensor(Y))),
        ("softmax", "cross_entropy", labels.numpy(), F.cross_entropy(z, labels)),
        (
            "softmax",
            Option(name="cross_entropy", label_smoothing=0.1),
            labels.numpy(),
            F.cross_entropy(z, labels, label_smoothing=0.1),
        ),
        (
            "sigmoid",
            "cross_entropy",
            binary.numpy(),
            4 * F.binary_cross_entropy_with_logits(z, binary),
        ),
    ]
    for output, loss, y, theirs in cases:
        net = Network([4, 4], output=output, loss=loss, weights=[np.eye(4)])
        assert net.loss(X, y) == pytest.approx(theirs.item(), rel=1e-12)
