"""Training: n steps are the reference's, and PyTorch's; and what it reaches on real data."""

from __future__ import annotations

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    OPTIMIZERS,
    error,
    instruction_set,
    network,
    parameters_error,
    problem,
    reference_of,
)

import fastmlp as fm
from fastmlp import datasets
from fastmlp.reference import ScalarNetwork
from fastmlp.splitting import split_indices

SIZES = (6, 17, 9, 5)
N, BATCH = 33, 8  # the last batch has one row

# What a network and a fit can be given: (options of the network, arguments of fit).
FEATURES = {
    "plain": ({}, {"shuffle": False}),
    "shuffle": ({}, {}),
    "whole set": ({}, {"batch_size": 1000}),
    "one row": ({}, {"batch_size": 1}),
    "penalties": ({"l1": 0.003, "l2": 0.02}, {}),
    "dropout": ({"dropout": 0.4}, {}),
    "dropout of inputs too": ({"dropout": (0.2, 0.5, 0.0)}, {}),
    "max_norm": ({"max_norm": 0.7}, {}),
    "clip_norm": ({}, {"clip_norm": 0.3}),
    "ema": ({}, {"ema": 0.9}),
    "sample_weight": ({}, {"sample_weight": np.arange(N) % 3}),
    "batches of no weight": (
        {"l2": 0.01},
        {"sample_weight": np.arange(N) >= 2 * BATCH, "shuffle": False},
    ),
    "all": (
        {"l1": 0.001, "l2": 0.02, "dropout": (0.1, 0.3, 0.2), "max_norm": 0.8},
        {"clip_norm": 0.5, "ema": 0.8, "sample_weight": np.arange(N) % 4},
    ),
}


def trained_beside_the_reference(options, arguments, optimizer, epochs, dtype="float64"):
    """A network and the reference's, trained alike on the same rows; both histories of the loss."""
    # f(0) is not 0 for these, so that what lies behind the last unit of a layer is not either
    net = network(SIZES, **{"hidden": ["sigmoid", "softplus"], "dtype": dtype, **options})
    twin = reference_of(net)
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    X = X.astype(dtype)
    arguments = {"batch_size": BATCH, "shuffle": True, **arguments}
    history = net.fit(X, y, epochs=epochs, optimizer=optimizer, **arguments)
    return net, twin, history["loss"], twin.fit(X, y, epochs, optimizer=optimizer, **arguments)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_steps_are_the_references(optimizer, feature):
    options, arguments = FEATURES[feature]
    epochs = (
        4 if feature != "one row" else 2
    )  # by then Rprop has steps so long that gradients underflow
    net, twin, ours, theirs = trained_beside_the_reference(options, arguments, optimizer, epochs)
    assert parameters_error(net, twin) < 1e-10
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert parameters_error(net, network(SIZES)) > 1e-3  # it has moved at all
    if "ema" in arguments:
        averaged = net.averaged()
        weights, biases = twin.averaged
        pairs = zip([*averaged.weights, *averaged.biases], [*weights, *biases], strict=True)
        assert max(error(*pair) for pair in pairs) < 1e-10
        assert parameters_error(averaged, net) > 1e-4


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_trains_as_the_reference(isa, dtype):
    with instruction_set(isa):
        for optimizer in OPTIMIZERS:
            options, arguments = FEATURES["all"]
            net, twin, ours, theirs = trained_beside_the_reference(
                options, arguments, optimizer, 2, dtype
            )
            assert net._net.isa == isa
            # Rprop goes by signs: a gradient near 0 may fall to the other side in single precision.
            tolerance = 1e-10 if dtype == "float64" else 1e-4 if optimizer.name != "rprop" else 0.05
            assert parameters_error(net, twin) < tolerance, optimizer
            np.testing.assert_allclose(ours, theirs, rtol=tolerance)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_whose_inputs_exceed_a_near_cache(isa, dtype):
    # 2 or 4 MB of inputs, 1.1 or 2.2 MB of weights: tiles of the gradient then ask for the next
    # ones' share of both
    sizes, rows = (1003, 277, 3), 520
    X, y = problem(sizes, "softmax", "cross_entropy", rows)
    X = X.astype(dtype)
    with instruction_set(isa):
        # a small epsilon would make Adam's first steps the signs of gradients near 0
        for optimizer in (fm.SGD(0.1), fm.SGD(0.1, momentum=0.9), fm.Adam(0.01, epsilon=1e-2)):
            net = network(sizes, hidden="softplus", dtype=dtype)
            twin = reference_of(net)
            for model in (net, twin):
                one = (
                    {"threads": 1} if model is net else {}
                )  # on two threads these weights are near
                model.fit(X, y, epochs=2, batch_size=rows, optimizer=optimizer, **one)
            assert parameters_error(net, twin) < (1e-10 if dtype == "float64" else 1e-4), optimizer
            assert parameters_error(net, network(sizes)) > 1e-3


@pytest.mark.parametrize(
    "schedule",
    [
        fm.schedules.Exponential(0.9, by="step"),
        fm.schedules.OneCycle(),
        fm.schedules.Cosine(),
        fm.schedules.Warmup(7, then=fm.schedules.Step(2, 0.5)),
    ],
    ids=str,
)
def test_every_step_has_its_scheduled_rate(schedule):
    optimizer, epochs, steps = fm.Adam(0.02), 4, -(-N // BATCH)
    net = network(SIZES, hidden="tanh")
    twin = reference_of(net)
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    net.fit(
        X, y, epochs=epochs, batch_size=BATCH, optimizer=optimizer, schedule=schedule, shuffle=False
    )
    for epoch in range(epochs):
        rates = np.broadcast_to(schedule.rates(0.02, epoch, epochs, epoch * steps, steps), steps)
        for step, rate in enumerate(rates):
            batch = slice(step * BATCH, (step + 1) * BATCH)
            twin.step(X[batch], y[batch], optimizer, learning_rate=float(rate))
    assert parameters_error(net, twin) < 1e-10


@pytest.mark.parametrize("optimizer", [fm.SGD(0.05, momentum=0.9), fm.Adam(0.01)], ids=str)
def test_fits_on_other_rows_and_with_other_settings_go_on(optimizer):
    """Moments, step and epoch go on; rows, batches, clipping and averaging are each call's own."""
    net = network(SIZES, hidden="softplus", dropout=0.2)
    twin = reference_of(net)
    X, y = problem(SIZES, "softmax", "cross_entropy", 60)
    calls = [
        (20, {"batch_size": 8}), (60, {"batch_size": 8}),
        (60, {"batch_size": 100, "clip_norm": 0.1}), (3, {"batch_size": 8}),
        (60, {"batch_size": 8, "ema": 0.9}), (59, {"batch_size": 8, "shuffle": False}),
        (60, {"batch_size": 8, "sample_weight": np.arange(60.0)}),
        (60, {"batch_size": 8}), (60, {"batch_size": 8}),
    ]  # fmt: skip
    for n, arguments in calls:
        arguments = {"shuffle": True, **arguments}
        ours = net.fit(X[:n], y[:n], epochs=2, optimizer=optimizer, **arguments)["loss"]
        theirs = twin.fit(X[:n], y[:n], 2, optimizer=optimizer, **arguments)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        assert parameters_error(net, twin) < 1e-10, (n, arguments)


def test_history_has_the_norms_of_the_gradient_and_of_the_step():
    net = network(SIZES, hidden="tanh", l2=0.01)
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    history = net.fit(X, y, epochs=3, batch_size=N, optimizer=fm.SGD(0.2), record_norms=True)
    twin = reference_of(network(SIZES, hidden="tanh", l2=0.01))
    for norm, step in zip(history["gradient_norm"], history["step_size"], strict=True):
        _, pairs = twin.gradients(X, y)
        expected = np.sqrt(sum((part**2).sum() for pair in pairs for part in pair))
        assert norm == pytest.approx(expected, rel=1e-12)
        assert step == pytest.approx(0.2 * expected, rel=1e-12)
        twin.step(X, y, fm.SGD(0.2))


def test_gradient_descent_is_the_scalar_networks():
    X, y = problem((2, 4, 3), "softmax", "cross_entropy", 5)
    net = network((2, 4, 3), hidden="gelu", l2=0.1)
    witness = ScalarNetwork(net.sizes, "gelu", l2=0.1, weights=net.weights, biases=net.biases)
    net.fit(X, y, epochs=10, batch_size=5, optimizer=fm.SGD(0.5))
    for _ in range(10):
        witness.step(X, y, 0.5)
    assert parameters_error(net, witness) < 1e-12


def test_the_perceptron_rule():
    """w ← w + η(y − a)x, row by row (Rosenblatt 1958): AND and OR are learned, XOR cannot be."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    for y, learned in (([0, 0, 0, 1], True), ([0, 1, 1, 1], True), ([0, 1, 1, 0], False)):
        net = fm.Network([2, 1], output="step", loss="perceptron", init="zeros")
        w, b = np.zeros(2), 0.0
        for _ in range(20):
            net.fit(X, y, epochs=1, batch_size=1, optimizer=fm.SGD(0.5), shuffle=False)
            for x, target in zip(X, y, strict=True):
                wrong = target - float(w @ x + b > 0)
                w, b = w + 0.5 * wrong * x, b + 0.5 * wrong
            np.testing.assert_array_equal(net.weights[0][0], w)
            assert net.biases[0] == b
        assert (net.classify(X).tolist() == y) == learned


def test_validation_rows_take_no_part_in_training():
    X, y = problem(SIZES, "softmax", "cross_entropy", 50)
    net, other = network(SIZES), network(SIZES)
    net.fit(X, y, epochs=2, batch_size=8, validation=0.3, stratify=True)
    train, held = (np.sort(part) for part in split_indices(y, 50, (0.7, 0.3), True, net.seed))
    other.fit(X[train], y[train], epochs=2, batch_size=8)
    assert parameters_error(net, other) == 0
    assert net.history["loss"] == other.history["loss"]
    assert net.history["val_loss"][-1] == other.evaluate(X[held], y[held])["loss"]


# --- PyTorch itself
# ---------------------------------------------------------------------------------------

RULES = [
    (fm.SGD(0.05), "SGD", {}),
    (fm.SGD(0.05, momentum=0.9), "SGD", {"momentum": 0.9}),
    (fm.SGD(0.05, momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    (fm.Adam(0.01), "Adam", {}),
    (fm.AdamW(0.01, weight_decay=0.3), "AdamW", {"weight_decay": 0.3}),
    (fm.RMSprop(0.01), "RMSprop", {}),
    (fm.RMSprop(0.01, momentum=0.8), "RMSprop", {"momentum": 0.8}),
    (fm.RMSprop(0.01, centered=True), "RMSprop", {"centered": True}),
    (fm.RMSprop(0.01, momentum=0.8, centered=True), "RMSprop", {"momentum": 0.8, "centered": True}),
    (fm.Adagrad(0.05), "Adagrad", {}),
    (
        fm.Adagrad(0.05, learning_rate_decay=0.1, initial_accumulator=0.2),
        "Adagrad",
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2},
    ),
    (fm.Rprop(0.01), "Rprop", {}),
]
TASKS = [
    (
        "softmax",
        fm.losses.CrossEntropy(0.1),
        lambda F, z, y: F.cross_entropy(z, y, label_smoothing=0.1),
    ),
    ("sigmoid", "cross_entropy", lambda F, z, y: 5 * F.binary_cross_entropy_with_logits(z, y)),
    ("identity", "mse", lambda F, z, y: F.mse_loss(z, y)),
    ("identity", fm.losses.Huber(0.5), lambda F, z, y: F.huber_loss(z, y, delta=0.5)),
    ("identity", "poisson", lambda F, z, y: F.poisson_nll_loss(z, y)),
    ("identity", "mae", lambda F, z, y: F.l1_loss(z, y)),
]
ACTIVATIONS = [
    "tanh",
    "sigmoid",
    "silu",
    "gelu",
    "mish",
    "elu",
    "selu",
    "softplus",
    "relu",
    "leaky_relu",
]


@pytest.fixture
def torch():
    """PyTorch on one thread: the networks here are too small for more."""
    module = pytest.importorskip("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)


def trained_by_pytorch(torch, net, name, constants, loss_of, X, y, clip_norm):
    """Parameters [W1, b1, W2, ...] after 60 steps in order, the last of an epoch shorter."""
    F = torch.nn.functional
    pairs = zip(net.weights, net.biases, strict=True)
    theta = [torch.tensor(part, requires_grad=True) for pair in pairs for part in pair]
    rule = getattr(torch.optim, name)(theta, **constants)
    X, y = torch.tensor(X), torch.tensor(y)
    for step in range(60):
        batch = slice(step % 5 * BATCH, step % 5 * BATCH + BATCH)
        a = X[batch]
        for layer, option in enumerate((*net.hidden, None)):
            z = a @ theta[2 * layer].T + theta[2 * layer + 1]
            a = z if option is None else getattr(F, option.name)(z)
        cost = loss_of(F, a, y[batch]) + 0.01 / 2 * sum((W**2).sum() for W in theta[::2])
        rule.zero_grad()
        cost.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(theta, clip_norm)
        rule.step()
    return [part.detach().numpy() for part in theta]


@pytest.mark.parametrize("case", range(len(RULES)), ids=[str(rule[0]) for rule in RULES])
def test_sixty_steps_are_pytorchs(torch, case):
    optimizer, name, constants = RULES[case]
    for turn in range(2):
        output, loss, loss_of = TASKS[(case + turn) % len(TASKS)]
        hidden = [ACTIVATIONS[(case + turn * 5 + i) % len(ACTIVATIONS)] for i in range(2)]
        net = network(SIZES, hidden=hidden, output=output, loss=loss, l2=0.01)
        X, y = problem(SIZES, output, getattr(loss, "name", loss), N)
        clip_norm = 0.2 if turn else None
        constants = {"lr": optimizer.learning_rate, **constants}
        theirs = trained_by_pytorch(torch, net, name, constants, loss_of, X, y, clip_norm)
        net.fit(
            X,
            y,
            epochs=12,
            batch_size=BATCH,
            optimizer=optimizer,
            shuffle=False,
            clip_norm=clip_norm,
        )
        ours = [part for pair in zip(net.weights, net.biases, strict=True) for part in pair]
        assert max(error(*pair) for pair in zip(ours, theirs, strict=True)) < 1e-8, (
            output,
            loss,
            hidden,
        )


# --- L-BFGS and real data
# -----------------------------------------------------------------------------------


def test_lbfgs_finds_the_minimum_of_a_convex_cost():
    pytest.importorskip("scipy")
    X, y = problem((6, 4), "softmax", "cross_entropy", 60)
    net = network((6, 4), l2=0.1)
    net.fit(X, y, epochs=200, optimizer=fm.LBFGS(tolerance=1e-9))
    _, gradients = net.gradients(X, y)
    assert max(abs(part).max() for pair in gradients for part in pair) < 1e-8
    assert net.history.stopped_by == "tolerance"


def test_xor_is_learned():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    net = fm.Network([2, 8, 1], hidden="tanh", output="sigmoid", seed=1)
    net.fit(X, y, epochs=300, batch_size=4, optimizer=fm.Adam(0.05))
    assert net.classify(X).tolist() == y


@pytest.mark.slow
def test_fashion_mnist_reaches_87_percent():
    try:
        (X, y), (X_test, y_test) = datasets.load_fashion_mnist()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    net = fm.Network([784, 128, 64, 10], hidden="relu")
    scale = np.float32(1 / 255)
    net.fit(X * scale, y, epochs=8, batch_size=64, optimizer=fm.Adam())
    assert net.evaluate(X_test * scale, y_test)["accuracy"] >= 0.87


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_fades_into_subnormal_numbers(threads, dtype, isa):
    """A dead unit's moments would shrink to subnormals and stay there, which are slow."""
    X, y = problem(SIZES, "softmax", "cross_entropy", N)
    X, y = np.tile(X, (40, 1)).astype(dtype), np.tile(y, (40, 1) if y.ndim > 1 else 40)
    tiny, arguments = (
        np.finfo(dtype).tiny,
        {"optimizer": fm.Adam(beta1=0.55), "batch_size": BATCH, "threads": threads},
    )
    with instruction_set(isa):
        net = network(SIZES, hidden="relu", dtype=dtype)
    net.fit(X, y, epochs=1, **arguments)
    moment = net._training.trainer.get_moment
    assert (np.abs(moment(0, 1)[0]) > tiny).any()
    net.biases = [np.full_like(net.biases[0], -1e6), *net.biases[1:]]
    net.fit(
        X, y, epochs=9, **arguments
    )  # 0.55 to the power of 1,485 is no number of either precision
    faded = np.abs(np.concatenate([part.ravel() for part in moment(0, 1)]))
    # without multiply-adds the last step that is not 0 rests at the smallest normal numbers, which
    # are as good
    assert ((faded == 0) | (faded >= tiny)).all() and (faded < 10 * tiny).all()
    assert (X[:1] * 0 + tiny / 4 > 0).all()  # nobody else is meant to see numbers that way
