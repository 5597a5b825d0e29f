"""The rivals: each does the same work in the best way that its users know, behind one small interface."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from typing import Any, ClassVar

import numpy as np
from fastmlp.bench.cases import Case, Floats

Parameters = list[tuple[Floats, Floats]]


class Peer:
    """What the benchmark asks of a library; an instance lives in a process of its own.

    Parameters
    ----------
    threads : int
        Threads that the library may use.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """Names to import; all must be installed."""
    distribution: ClassVar[str]
    """Whose version is reported."""
    trains: ClassVar[bool] = True

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def missing(cls) -> list[str]:
        """Packages that this rival needs and that are not installed."""
        return [package for package in cls.packages if importlib.util.find_spec(package) is None]

    @classmethod
    def version(cls) -> str:
        """Version of the installed library."""
        return importlib.metadata.version(cls.distribution)

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        """Build the network with the parameters `start`, and hold on to the rows it is trained on."""
        raise NotImplementedError

    def compile_training(self) -> None:
        """Do before the clock starts what is done once for a whole training."""

    def train(self, epochs: int) -> None:
        """Train on, `epochs` times over all rows in a new order each; return when the work is done."""
        raise NotImplementedError

    def predict(self, X: Floats) -> Floats:
        """Probabilities of shape (rows, k)."""
        raise NotImplementedError

    def predict_loop(self, X: Floats, calls: int) -> None:
        """Predict the same rows `calls` times, as a server would."""
        predict = self.predict
        for _ in range(calls):
            predict(X)


class FastMLP(Peer):
    """This library."""

    name = "fastmlp"
    packages = ("fastmlp",)
    distribution = "fastmlp"

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        import fastmlp as fm

        self.X, self.y, self.batch_size = X, y, case.batch_size
        self.optimizer = {"sgd": fm.SGD, "adam": fm.Adam}[case.optimizer](case.learning_rate)
        self.network = fm.Network(
            case.sizes, hidden=case.hidden, output="softmax", loss="cross_entropy"
        )
        self.network.weights = [weights for weights, _ in start]
        self.network.biases = [biases for _, biases in start]

    def train(self, epochs: int) -> None:
        self.network.fit(
            self.X,
            self.y,
            epochs=epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            threads=self.threads,
            progress=False,
        )

    def predict(self, X: Floats) -> Floats:
        return self.network.predict(X)

    def conditions(self, seconds: float) -> dict[str, float]:
        """What the machine gives at this moment.

        Returns
        -------
        dict of str to float
            "peak_gflops", "one_thread_gflops": nothing but fused multiply-adds in float32, on this
            peer's threads and on one. "barrier_ns", "line_ns": for its threads to meet, and for a
            cache line's way from one to another and back; 0 where there is one thread.
        """
        from fastmlp import _core

        barrier, line, _ = (
            _core.thread_latency(self.threads) if self.threads > 1 else (0.0, 0.0, 1.0)
        )
        return {
            "peak_gflops": _core.fma_peak("float32", self.threads, seconds),
            "one_thread_gflops": _core.fma_peak("float32", 1, seconds),
            "barrier_ns": 1e9 * barrier,
            "line_ns": 1e9 * line,
        }


class PyTorch(Peer):
    """Eager PyTorch without a DataLoader, which would cost more than the small networks themselves."""

    name = "pytorch"
    packages = ("torch",)
    distribution = "torch"

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        import torch
        from torch import nn

        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)  # as JAX and fastmlp do
        torch.manual_seed(0)
        self.torch, self.batch_size = torch, case.batch_size
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        activation = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[case.hidden]
        layers: list[Any] = []
        for weights, biases in start:
            linear = nn.Linear(weights.shape[1], weights.shape[0])
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weights))
                linear.bias.copy_(torch.from_numpy(biases))
            layers += [linear, activation()]
        self.logits = nn.Sequential(*layers[:-1])
        self.probabilities = nn.Sequential(self.logits, nn.Softmax(dim=-1))
        optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[case.optimizer]
        # The fused step wins but on networks of a few hundred parameters, where the plain loop is
        # faster.
        form = {"fused": True} if case.parameters > 1_000 else {"foreach": False}
        self.optimizer = optimizer(self.logits.parameters(), lr=case.learning_rate, **form)

    def train(self, epochs: int) -> None:
        X, y, logits, optimizer = self.X, self.y, self.logits, self.optimizer
        cross_entropy = self.torch.nn.functional.cross_entropy
        for _ in range(epochs):
            for rows in self.torch.randperm(len(X)).split(self.batch_size):
                optimizer.zero_grad()
                cross_entropy(logits(X.index_select(0, rows)), y.index_select(0, rows)).backward()
                optimizer.step()

    def predict(self, X: Floats) -> Floats:
        with self.torch.inference_mode():
            return self.probabilities(self.torch.from_numpy(X)).numpy()

    def predict_loop(self, X: Floats, calls: int) -> None:
        rows = self.torch.from_numpy(X)
        with self.torch.inference_mode():
            for _ in range(calls):
                self.probabilities(rows)


class ScikitLearn(Peer):
    """MLPClassifier kept warm; the stopping rule is put out of reach so that every epoch asked for is run."""

    name = "scikit-learn"
    packages = ("sklearn",)
    distribution = "scikit-learn"

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        self.X, self.y = X, y
        activation = {"relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}[case.hidden]
        self.network = MLPClassifier(
            case.sizes[1:-1],
            activation=activation,
            solver=case.optimizer,
            alpha=0.0,
            batch_size=case.batch_size,
            learning_rate_init=case.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            tol=0.0,
            n_iter_no_change=2**31,
            warm_start=True,
            max_iter=1,
            random_state=0,
        )
        with warnings.catch_warnings():
            # One step on one row of each class allocates the parameters that are then set.
            warnings.simplefilter("ignore", UserWarning)
            first = np.unique(y, return_index=True)[1]
            self.network.fit(X[first], y[first])
        self.network.coefs_ = [np.ascontiguousarray(weights.T) for weights, _ in start]
        self.network.intercepts_ = [biases.copy() for _, biases in start]

    def train(self, epochs: int) -> None:
        self.network.max_iter = epochs
        self.network.fit(self.X, self.y)

    def predict(self, X: Floats) -> Floats:
        return self.network.predict_proba(X)


class JAX(Peer):
    """JAX compiled by `jit`: one `lax.scan` over the batches of an epoch, the state donated.

    The order of the rows is drawn by NumPy: `jax.random.permutation` sorts, which takes as long as
    the whole epoch of the smallest network. Rows are gathered batch by batch: doing so for the
    whole epoch beforehand takes longer.
    """

    name = "jax"
    packages = ("jax",)
    distribution = "jax"

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        import jax
        import jax.numpy as jnp
        from jax import lax

        hidden = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}[case.hidden]
        eta, tree = case.learning_rate, jax.tree.map

        def logits(layers, a):
            for weights, biases in layers[:-1]:
                a = hidden(a @ weights + biases)
            weights, biases = layers[-1]
            return a @ weights + biases

        def cost(layers, X, y):
            return -jnp.take_along_axis(
                jax.nn.log_softmax(logits(layers, X)), y[:, None], axis=1
            ).mean()

        def sgd(state, gradient):
            (layers,) = state
            return (tree(lambda p, d: p - eta * d, layers, gradient),)

        def adam(state, gradient):
            layers, first, second, step = state
            step = step + 1
            first = tree(lambda m, d: 0.9 * m + 0.1 * d, first, gradient)
            second = tree(lambda v, d: 0.999 * v + 0.001 * d * d, second, gradient)
            scale, root = eta / (1 - 0.9**step), jnp.sqrt(1 - 0.999**step)
            layers = tree(
                lambda p, m, v: p - scale * m / (jnp.sqrt(v) / root + 1e-8), layers, first, second
            )
            return layers, first, second, step

        update = {"sgd": sgd, "adam": adam}[case.optimizer]

        def epoch(state, X, y, order):
            def step(state, rows):
                batch = (values.at[rows].get(mode="promise_in_bounds") for values in (X, y))
                return update(state, jax.grad(cost)(state[0], *batch)), None

            return lax.scan(step, state, order)[0]

        layers = [(jnp.array(weights.T), jnp.array(biases)) for weights, biases in start]
        self.state: tuple[Any, ...] = (layers,)
        if case.optimizer == "adam":
            zeros = tree(jnp.zeros_like, layers)
            self.state = (layers, zeros, tree(jnp.copy, zeros), jnp.float32(0))
        self.X, self.y = jnp.array(X), jnp.array(y.astype(np.int32))
        self.batch_size, self.random, self.jax = case.batch_size, np.random.default_rng(0), jax
        self.epoch = jax.jit(epoch, donate_argnums=0)
        self.probabilities = jax.jit(lambda layers, X: jax.nn.softmax(logits(layers, X)))

    def compile_training(self) -> None:
        self.epoch = self.epoch.lower(self.state, self.X, self.y, self._order()).compile()

    def _order(self) -> np.ndarray:
        order = self.random.permutation(len(self.X)).astype(np.int32)
        return order.reshape(-1, self.batch_size)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.state = self.epoch(self.state, self.X, self.y, self._order())
        self.jax.block_until_ready(self.state)

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.probabilities(self.state[0], X))


class ONNXRuntime(Peer):
    """ONNX Runtime, which only predicts: the usual Gemm, Relu, …, Softmax graph."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    distribution = "onnxruntime"
    trains = False

    def prepare(self, case: Case, X: Floats, y: np.ndarray, start: Parameters) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        self.session = onnxruntime.InferenceSession(
            _onnx_model(case, start), options, providers=["CPUExecutionProvider"]
        )

    def predict(self, X: Floats) -> Floats:
        return self.session.run(None, {"X": X})[0]


def _onnx_model(case: Case, start: Parameters) -> bytes:
    """The network of `case` as a serialised ONNX model with input X (n, n_0)."""
    from onnx import TensorProto, helper, numpy_helper

    hidden = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}[case.hidden]
    operators = [hidden] * (len(start) - 1) + ["Softmax"]
    nodes, values, a = [], [], "X"
    for layer, ((weights, biases), operator) in enumerate(
        zip(start, operators, strict=True), start=1
    ):
        W, b, z, output = (f"{letter}{layer}" for letter in "Wbza")
        values += [numpy_helper.from_array(weights, W), numpy_helper.from_array(biases, b)]
        nodes.append(helper.make_node("Gemm", [a, W, b], [z], transB=1))
        nodes.append(helper.make_node(operator, [z], [output]))
        a = output
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", case.sizes[0]])]
    outputs = [helper.make_tensor_value_info(a, TensorProto.FLOAT, ["n", case.sizes[-1]])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, values)
    # An older opset than the newest, so that any runtime of the last years reads it.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (FastMLP, PyTorch, ScikitLearn, JAX, ONNXRuntime)
}
"""All contestants by name, fastmlp first."""
