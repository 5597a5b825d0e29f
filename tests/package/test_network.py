"""The public face of Network: options, parameters, tasks and their metrics, edge sizes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support import assert_same_bits, assert_same_network, goes_with, problem
from toy import BITS, LABELS, REAL, N, X, binary, classifier, fitted, random, regressor

import fastmlp as fm
from fastmlp.activations import ACTIVATIONS
from fastmlp.config import config
from fastmlp.losses import LOSSES

# ---- the network as made


def test_options_by_name_and_by_instance() -> None:
    net = fm.Network((4, 6, 6, 3), hidden=["tanh", fm.activations.LeakyReLU(0.2)], dropout=0.25)
    assert net.sizes == (4, 6, 6, 3)
    assert net.hidden == (fm.activations.Tanh(), fm.activations.LeakyReLU(alpha=0.2))
    assert net.output == fm.activations.Softmax()
    assert net.loss == fm.losses.CrossEntropy()
    assert net.dropout == (0.0, 0.25, 0.25)
    assert fm.Network([4, 6, 3], dropout=[0.1, 0.2]).dropout == (0.1, 0.2)
    assert (net.epochs, net.history, net.dtype) == (0, None, "float32")
    assert net.n_parameters == 4 * 6 + 6 + 6 * 6 + 6 + 6 * 3 + 3
    for sizes in (np.array([4, 3]), (n for n in (4, 3)), [np.int8(4), 3]):
        assert fm.Network(sizes).sizes == (4, 3)
    for dtype in ("float64", float, np.float64, "f8", np.dtype(">f8")):
        assert fm.Network([4, 3], dtype=dtype).dtype == "float64"


def test_the_seed_names_the_weights() -> None:
    assert_same_network(classifier(seed=2**64 - 1), classifier(seed=2**64 - 1))
    assert not np.array_equal(classifier(seed=1).weights[0], classifier(seed=2).weights[0])


def test_summary_and_repr() -> None:
    net = fm.Network([784, 100, 10], dropout=[0.2, 0.5])
    first, title, *rows, last = net.summary().splitlines()
    assert first == repr(net)
    assert title.split() == ["layer", "units", "activation", "parameters", "dropout"]
    assert [row.split() for row in rows] == [
        ["0", "784", "input", "0.2"], ["1", "100", "relu", "78,500", "0.5"],
        ["2", "10", "softmax", "1,010"],
    ]  # fmt: skip
    assert last == "79,510 parameters, 0 epochs trained"
    clone = eval(repr(fm.Network([4, 5, 6, 2], hidden=["tanh", "relu"])), {"Network": fm.Network})
    assert [f.name for f in clone.hidden] == ["tanh", "relu"]


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    fm.show_config()
    shown, facts = capsys.readouterr().out, config()
    for key in ("fastmlp", "numpy", "compiler", "threads", "instruction set", "instruction sets"):
        assert re.search(rf"^{key} +\S", shown, re.MULTILINE), key
    assert facts["instruction_set"] in facts["instruction_sets"]
    assert facts["fastmlp"] == fm.__version__


# ---- parameters


def test_parameters_are_read_and_set() -> None:
    net = classifier()
    assert [w.shape for w in net.weights] == [(6, 4), (3, 6)]
    assert [b.shape for b in net.biases] == [(6,), (3,)]
    assert {a.dtype for a in [*net.weights, *net.biases]} == {np.dtype("float32")}
    weights = [random.normal(size=w.shape).astype("f4") for w in net.weights]
    net.weights = [np.asfortranarray(weights[0]), weights[1].astype(">f8").tolist()]
    assert_same_bits(list(net.weights), weights)
    net.weights[-1] = -weights[1]
    net.weights[0] *= 2
    net.biases[0:2] = [np.arange(6), [True, False, True]]
    assert_same_bits(list(net.weights), [2 * weights[0], -weights[1]])
    assert [b.tolist() for b in net.biases] == [[0, 1, 2, 3, 4, 5], [1, 0, 1]]
    hidden = np.maximum(X @ (2 * weights[0]).T + net.biases[0], 0)
    logits = hidden @ -weights[1].T + net.biases[1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.allclose(
        net.predict(X), exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-5
    )


def test_what_is_read_is_a_copy() -> None:
    net = classifier()
    before = net.predict(X)
    arrays = [
        *net.weights,
        *net.biases,
        net.predict(X),
        net.layers(X)[0][1],
        net.gradients(X, LABELS)[1][0][0],
    ]
    for array in arrays:
        assert array.flags.writeable
        array[...] = 7
    assert_same_bits(net.predict(X), before)
    rows = X.astype("f4")
    net.layers(rows)[0][0][...] = 7
    assert_same_bits(rows, X.astype("f4"))


# ---- tasks and their metrics


def test_classification_by_softmax() -> None:
    net, weights = fitted(classifier(), LABELS, epochs=20), np.arange(N) % 3 + 0.5
    outputs, decided = net.predict(X), net.classify(X)
    assert outputs.shape == (N, 3) and np.allclose(outputs.sum(axis=1), 1, atol=1e-6)
    assert decided.dtype == np.int64
    assert_same_bits(decided, outputs.argmax(axis=1))
    for w in (None, weights):
        found = net.evaluate(X, LABELS, sample_weight=w)
        assert found["loss"] == pytest.approx(
            fm.metrics.log_loss(LABELS, outputs, sample_weight=w), rel=1e-4
        )
        assert found["accuracy"] == fm.metrics.accuracy(LABELS, decided, sample_weight=w)
        for name in ("precision", "recall", "f1"):
            metric = getattr(fm.metrics, name)
            assert found[name] == metric(LABELS, decided, average="macro", sample_weight=w)
        assert list(found) == ["loss", "accuracy", "precision", "recall", "f1"]
    assert net.evaluate(X, np.eye(3)[LABELS]) == pytest.approx(net.evaluate(X, LABELS))


def test_classification_by_one_output() -> None:
    for net, y in (
        (binary(), BITS),
        (fm.Network([4, 1], output="step", loss="perceptron"), BITS[:, None]),
    ):
        fitted(net, y, epochs=30, optimizer=fm.SGD(0.5))
        decided = net.classify(X)
        assert_same_bits(decided, (net.predict(X)[:, 0] > 0.5).astype(np.int64))
        found = net.evaluate(X, y)
        assert found["accuracy"] == fm.metrics.accuracy(BITS, decided) > 0.9
        assert found["f1"] == fm.metrics.f1(BITS, decided, average="macro")


def test_several_sigmoid_outputs_are_right_or_wrong_one_by_one() -> None:
    y = np.c_[BITS, 1 - BITS, X[:, 1] > 0]
    net = fitted(fm.Network([4, 6, 3], output="sigmoid"), y)
    weights = np.linspace(0, 1, N)
    right = ((net.predict(X) > 0.5) == y).mean(axis=1)
    assert net.evaluate(X, y)["accuracy"] == pytest.approx(right.mean())
    assert net.evaluate(X, y, sample_weight=weights)["accuracy"] == pytest.approx(
        np.average(right, weights=weights)
    )
    assert_same_bits(net.classify(X), (net.predict(X) > 0.5).astype(np.int64))


def test_regression() -> None:
    for y, net in (
        (REAL, regressor()),
        (np.c_[REAL, -REAL], fm.Network([4, 2], output="tanh", loss="huber")),
    ):
        outputs, found = fitted(net, y).predict(X), net.evaluate(X, y)
        assert outputs.shape == (N, y.ndim)
        for name in ("r2", "mae", "rmse"):
            assert found[name] == pytest.approx(
                getattr(fm.metrics, name)(y.reshape(N, -1), outputs)
            )
        assert list(found) == ["loss", "r2", "mae", "rmse"]


def test_poisson_metrics_are_of_the_rate() -> None:
    counts = random.poisson(3, N)
    net = fitted(regressor(loss="poisson"), counts)
    outputs = net.predict(X).astype(np.float64)
    assert net.evaluate(X, counts)["mae"] == pytest.approx(
        np.abs(counts - np.exp(outputs[:, 0])).mean()
    )
    assert net.evaluate(X, counts)["loss"] == pytest.approx(
        (np.exp(outputs) - counts[:, None] * outputs).mean()
    )


def test_layers() -> None:
    net = fm.Network([4, 6, 5, 3], hidden=["tanh", "relu"])
    values = net.layers(X)
    assert [(z.shape, a.shape) for z, a in values] == [((N, n), (N, n)) for n in (6, 5, 3)]
    before = X
    for (z, a), weights, bias in zip(values, net.weights, net.biases, strict=True):
        assert np.allclose(z, before @ weights.T + bias, atol=1e-5)
        before = a
    assert np.allclose(values[0][1], np.tanh(values[0][0]), atol=1e-6)
    assert np.array_equal(values[1][1], np.maximum(values[1][0], 0))
    assert np.allclose(before, net.predict(X), atol=1e-6)


def test_penalties_are_in_the_cost_and_not_in_the_loss() -> None:
    net = regressor(l1=0.3, l2=0.7)
    penalty = sum(0.3 * np.abs(w).sum() + 0.35 * (w.astype(float) ** 2).sum() for w in net.weights)
    loss = net.evaluate(X, REAL)["loss"]
    assert net.penalty() == pytest.approx(penalty, rel=1e-6)
    assert net.gradients(X, REAL)[0] == pytest.approx(loss + penalty)
    assert loss == pytest.approx(regressor().gradients(X, REAL)[0])
    assert regressor().penalty() == 0.0
    assert net.fit(X, REAL, epochs=1, batch_size=N)["loss"] == [pytest.approx(loss)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", LOSSES)
def test_every_network_that_can_be_made_learns_without_a_warning(loss: str) -> None:
    pairs = {
        (hidden, output)
        for hidden in ACTIVATIONS
        for output in ("sigmoid", "softmax", "identity", "step")
    }
    pairs |= {(hidden, output) for hidden in ("relu", "tanh") for output in ACTIVATIONS}
    for hidden, output in sorted(pairs):
        if hidden == "softmax" or not goes_with(loss, output):
            continue
        for k in (2 if output == "softmax" else 1, 3):
            rows, y = problem([4, 5, k], output, loss, 20)
            net = fm.Network([4, 5, k], hidden=hidden, output=output, loss=loss)
            history = net.fit(rows, y, epochs=1, validation=0.3)
            assert np.isfinite(
                [history["loss"][0], history["val_loss"][0], *net.evaluate(rows, y).values()]
            ).all()


# ---- corners


def test_batches_as_large_as_the_set_and_larger() -> None:
    one = fitted(classifier(), LABELS, batch_size=N)
    for batch_size in (N + 1, 10**30):
        assert_same_network(fitted(classifier(), LABELS, batch_size=batch_size), one)


def test_one_row_one_class_one_feature_one_output() -> None:
    for sizes in ([1, 1], [1, 2], [1, 3, 1]):
        for output in (
            ("sigmoid", "softmax", "identity") if sizes[-1] > 1 else ("sigmoid", "identity")
        ):
            net = fm.Network(sizes, output=output, loss="mse")
            y = np.zeros((1, sizes[-1])) if output != "softmax" else [0]
            history = net.fit(
                [[2.0]], y, epochs=3, batch_size=1, validation=([[1.0]], y), threads=4
            )
            assert np.isfinite(history["val_loss"]).all()
            assert net.predict([[1.0]], threads=4).shape == (1, sizes[-1])


def test_networks_deep_and_wide() -> None:
    deep = fm.Network([4, *[8] * 100, 3], hidden="selu", dropout=0.01)
    assert len(deep.weights) == 101
    assert np.isfinite(fitted(deep, LABELS).predict(X)).all()
    for sizes in ([4, 20_000, 3], [20_000, 3], [4, 20_000]):
        rows = np.ones((3, sizes[0]))
        net = fitted(fm.Network(sizes), [0, 1, sizes[-1] - 1], rows)
        assert net.predict(rows).shape == (3, sizes[-1])


def test_averaged_parameters() -> None:
    net = fitted(regressor(), REAL, ema=0.9)
    average = net.averaged()
    assert not np.array_equal(average.weights[0], net.weights[0])
    assert average.epochs == net.epochs
    assert average.evaluate(X, REAL).keys() == net.evaluate(X, REAL).keys()
