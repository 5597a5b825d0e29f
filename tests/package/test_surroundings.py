"""What surrounds a network: streams, attributes, copies, other threads; a test for each fault."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits
from toy import LABELS, X, classifier

import fastmlp as fm

# ---- streams


class Bare:
    """A stream with write and flush, and nothing else."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("progress", [None, True, False])
@pytest.mark.parametrize("stream", [None, closed(), Bare(), Broken()], ids=repr)
def test_a_training_goes_on_whatever_stderr_is(
    stream: Any, progress: bool | None, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = classifier().fit(X, LABELS, epochs=3, progress=progress)
    assert (len(history), history.stopped_by) == (3, "epochs")
    if isinstance(stream, Bare) and progress:
        assert "epoch" in stream.text or "%" in stream.text


# ---- attributes and copies

ROUTES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


class Owned(fm.Network):
    """A subclass with an attribute and a method of its own."""

    def __init__(self, sizes: Any, owner: str) -> None:
        super().__init__(sizes)
        self.owner = owner


@pytest.mark.parametrize("route", ROUTES)
def test_attributes_of_users_travel_with_copies(route: str) -> None:
    net = classifier()
    net.scaler = [3]
    net.fit(X, LABELS, epochs=1)
    other = ROUTES[route](net)
    assert other.scaler == [3]
    assert (other.scaler is net.scaler) == (route == "copy")
    owned = ROUTES[route](Owned([4, 3], "me"))
    assert (type(owned), owned.owner) == (Owned, "me")


@pytest.mark.parametrize("route", ROUTES)
def test_a_copy_made_in_a_callback_changes_nothing(route: str) -> None:
    """It shares no list that the training goes on to change, nor does its own training."""
    arguments = {"validation": 0.3, "stop": fm.EarlyStopping(patience=4), "optimizer": fm.SGD(2.0)}
    plain, copied = classifier(), classifier()
    copies: list[fm.Network] = []

    def take(net: fm.Network, history: Any) -> None:
        copies.append(ROUTES[route](net))
        copies[-1].fit(X, LABELS, epochs=1)

    whole = plain.fit(X, LABELS, epochs=300, **arguments)
    history = copied.fit(X, LABELS, epochs=300, callbacks=take, **arguments)
    assert len(history) == len(whole) < 300
    assert_same_bits(list(copied.weights), list(plain.weights))


def test_options_are_read_only() -> None:
    net = classifier()
    for name in ("sizes", "hidden", "output", "loss", "l1", "l2", "dropout", "max_norm", "dtype",
                 "seed", "init", "epochs", "history"):  # fmt: skip
        with pytest.raises(AttributeError, match=name):
            setattr(net, name, getattr(net, name))


@pytest.mark.parametrize(
    "name, place",
    [
        ("learning_rate", "optimizer"), ("batch_size", "fit"), ("momentum", "SGD"), ("stop", "fit"),
        ("callbacks", "fit"), ("beta1", "Adam"), ("threads", "fit"), ("weight_decay", "AdamW"),
        ("optimizer", "fit"), ("validation", "fit"), ("clip_norm", "fit"), ("ema", "fit"),
    ],
)  # fmt: skip
def test_what_belongs_elsewhere_is_said(name: str, place: str) -> None:
    net = classifier()
    with pytest.raises(AttributeError, match=place):
        setattr(net, name, 1)
    with pytest.raises(AttributeError, match=place):
        getattr(net, name)
    assert not hasattr(net, name)


# ---- threads


def test_passes_in_other_threads_see_whole_batches_or_are_refused() -> None:
    """While one thread assigns and fits, others see one set of parameters or a RuntimeError."""
    net = fm.Network([4, 300, 1], output="identity", loss="mse")
    ones = [np.full(w.shape, 1.0) for w in net.weights]
    zeros = [np.zeros(w.shape) for w in net.weights]
    rows = np.ones((50, 4))
    allowed = {0.0, 4 * 300.0}
    seen: set[float] = set()
    refused = 0
    ended = threading.Event()

    def look() -> None:
        nonlocal refused
        while not ended.is_set():
            try:
                seen.update(np.unique(net.predict(rows)).tolist())
                w = net.weights
                seen.add(0.0 if all((a == 0).all() for a in w) else 4 * 300.0)
                assert len({bool((a == 0).all()) for a in w}) == 1
            except RuntimeError:
                refused += 1

    net.weights = ones
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    until = time.perf_counter() + 0.5
    while time.perf_counter() < until:
        net.weights = zeros
        net.weights = ones
    ended.set()
    for looker in lookers:
        looker.join()
    assert seen and seen <= allowed


def test_fit_in_another_thread_than_the_main_one() -> None:
    nets = [classifier(), classifier()]

    def look(net: fm.Network, history: Any) -> None:
        net.predict(X)

    def work(net: fm.Network) -> None:
        net.fit(X, LABELS, epochs=20, validation=0.2, callbacks=look)

    workers = [threading.Thread(target=work, args=(net,)) for net in nets]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [net.epochs for net in nets] == [20, 20]
    assert_same_bits(list(nets[0].weights), list(nets[1].weights))


def test_assigning_while_another_thread_fits_is_refused() -> None:
    net = classifier()
    started, caught = threading.Event(), []

    def wait(net: Any, history: Any) -> None:
        started.set()
        time.sleep(0.05)

    worker = threading.Thread(target=lambda: net.fit(X, LABELS, epochs=5, callbacks=wait))
    worker.start()
    started.wait()
    for change in (lambda: setattr(net, "weights", net.weights), lambda: net.fit(X, LABELS)):
        try:
            change()
        except RuntimeError as error:
            caught.append(str(error))
    worker.join()
    assert len(caught) == 2
