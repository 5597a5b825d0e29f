"""One build of fastmlp in a process of its own, run by path: trains the cases when it is asked to.

``python -I bench/build.py THREADS`` imports the fastmlp that the interpreter has installed. Files
beside this one are loaded by path, so that both builds get the cases of one checkout.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
import time
from types import ModuleType
from typing import Any

LOSS_ROWS = 2_048


def beside(name: str) -> ModuleType:
    """Load a file of this folder, whatever else is installed under its name."""
    file = pathlib.Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


class Session:
    """The answering side: networks by the names of their cases, all kept from round to round."""

    operations = ("prepare", "train", "loss")

    def __init__(self, cases: ModuleType, threads: int) -> None:
        self.cases, self.threads = cases, threads
        self.trainings: dict[str, tuple[Any, dict[str, Any]]] = {}

    def prepare(self, case: dict[str, Any]) -> None:
        """Draw the rows of the case and build its network; only names that every version has."""
        import fastmlp as fm

        workload = self.cases.Case(**{**case, "sizes": tuple(case["sizes"])})
        X, y = self.cases.data(workload)
        network = fm.Network(
            workload.sizes, hidden=workload.hidden, output="softmax", loss="cross_entropy"
        )
        start = self.cases.parameters(workload)
        network.weights = [weights for weights, _ in start]
        network.biases = [biases for _, biases in start]
        optimizer = {"sgd": fm.SGD, "adam": fm.Adam}[workload.optimizer](workload.learning_rate)
        arguments = {"X": X, "y": y, "batch_size": workload.batch_size, "optimizer": optimizer}
        self.trainings[workload.name] = network, arguments

    def train(self, case: str, epochs: int) -> float:
        """Seconds of so many more epochs."""
        network, arguments = self.trainings[case]
        start = time.perf_counter()
        network.fit(**arguments, epochs=epochs, threads=self.threads, progress=False)
        return time.perf_counter() - start

    def loss(self, case: str) -> float:
        """Cross-entropy on the first `LOSS_ROWS` rows."""
        network, arguments = self.trainings[case]
        X, y = arguments["X"][:LOSS_ROWS], arguments["y"][:LOSS_ROWS]
        return self.cases.cross_entropy(network.predict(X), y)


def main() -> None:
    """Import fastmlp, say which one it is, and answer."""
    lines = beside("lines")
    answers = lines.take_stdout()
    import fastmlp

    session = Session(beside("cases"), int(sys.argv[1]))
    greeting = {"version": fastmlp.__version__, "file": os.path.abspath(fastmlp.__file__)}
    lines.serve(session, greeting, answers)


if __name__ == "__main__":
    main()
