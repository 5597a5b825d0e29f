"""Bad options of a network: an error that names the argument, when the network is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_input import (
    classifier,
)
from support import goes_with

import fastmlp as fm
from fastmlp.activations import ACTIVATIONS
from fastmlp.losses import LOSSES

BAD_OPTIONS = [
    (
        {"hidden": "rleu"},
        ValueError,
        r"^hidden must be 'identity', 'step', .* or 'softmax'.*got 'rleu'",
    ),
    ({"hidden": 5}, TypeError, "^hidden must be 'identity'.*got 5"),
    ({"hidden": fm.activations.ReLU}, TypeError, "^hidden .*got the class ReLU"),
    (
        {"hidden": ["relu", "tanh"]},
        ValueError,
        "^hidden must be one activation or one for each of 1.*got 2",
    ),
    ({"hidden": []}, ValueError, "^hidden .*got 0"),
    ({"hidden": ["nope"]}, ValueError, r"^hidden\[0\] must be"),
    ({"hidden": "softmax"}, ValueError, "^hidden must not be 'softmax'"),
    ({"output": "sotfmax"}, ValueError, "^output must be 'identity'.*got 'sotfmax'"),
    ({"output": None}, TypeError, "^output must be"),
    (
        {"output": "relu"},
        ValueError,
        "^output must be 'softmax' or 'sigmoid' with loss '.*got 'relu'",
    ),
    ({"loss": "log"}, ValueError, "^loss must be 'mse', .*'perceptron'.*got 'log'"),
    ({"loss": "perceptron"}, ValueError, "^output must be 'step' with loss 'perceptron'"),
    ({"l1": -1e-9}, ValueError, r"^l1 must be in \[0, inf\)"),
    ({"l2": "0.1"}, TypeError, "^l2 must be a real number"),
    ({"l2": np.nan}, ValueError, "^l2 must be in"),
    ({"l2": True}, TypeError, "^l2 must be"),
    ({"dropout": 1.0}, ValueError, r"^dropout must be in \[0, 1\), got 1.0"),
    ({"dropout": -0.1}, ValueError, r"^dropout must be in \[0, 1\)"),
    ({"dropout": np.array(0.5)}, TypeError, "^dropout must be"),
    ({"dropout": [0.1]}, ValueError, "^dropout must be one number or 2.*got 1"),
    ({"dropout": [0.1, 1.0]}, ValueError, r"^dropout\[1\] must be in \[0, 1\)"),
    ({"max_norm": 0}, ValueError, r"^max_norm must be in \(0, inf\), got 0"),
    ({"max_norm": np.inf}, ValueError, "^max_norm must be in"),
    ({"init": "normal"}, ValueError, "^init must be 'auto', .*'zeros'.*got 'normal'"),
    ({"init": 3}, TypeError, "^init must be"),
    (
        {"init": lambda shape, generator: np.zeros(3)},
        ValueError,
        r"^init of layer 1 .*\(5, 3\), got \(3,\)",
    ),
    ({"init": lambda shape, generator: None}, TypeError, "^init of layer 1 "),
    (
        {"init": lambda shape, generator: np.full(shape, np.nan)},
        ValueError,
        "^init of layer 1 .*finite",
    ),
    (
        {"init": lambda shape, generator: np.full(shape, 1e300)},
        ValueError,
        "^init of layer 1 .*finite",
    ),
    ({"bias_init": "ones"}, ValueError, "^bias_init must be 'zeros'"),
    ({"bias_init": -1e300}, ValueError, "^bias_init of layer 1 .*finite"),
    (
        {"bias_init": [np.zeros(5)]},
        ValueError,
        "^bias_init must have one array for each of 2 layers.*got 1",
    ),
    (
        {"bias_init": [np.zeros(5), np.zeros(3)]},
        ValueError,
        r"^bias_init of layer 2 .*\(2,\), got \(3,\)",
    ),
    ({"dtype": "float16"}, ValueError, "^dtype must be 'float32' or 'float64', got 'float16'"),
    ({"dtype": "flaot32"}, ValueError, "^dtype must be 'float32' or 'float64', got 'flaot32'"),
    ({"dtype": int}, ValueError, "^dtype must be"),
    ({"dtype": None}, TypeError, "^dtype must be"),
    ({"dtype": 32}, TypeError, "^dtype must be"),
    ({"seed": -1}, ValueError, "^seed must be an integer in"),
    ({"seed": 1.0}, TypeError, "^seed must be an integer"),
    ({"seed": None}, TypeError, "^seed must be an integer"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS)
def test_options_of_the_network(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier(**options)


BAD_SIZES = [
    ([], ValueError, "^sizes must have at least two layers"),
    ([3], ValueError, r"^sizes must have at least two layers, input and output, got \[3\]"),
    ([3, 0], ValueError, r"^sizes\[1\] must be an integer in \[1, "),
    ([-3, 2], ValueError, r"^sizes\[0\] "),
    ([3, 2.0], TypeError, r"^sizes\[1\] must be an integer.*got 2.0 \(float\)"),
    ([3, True], TypeError, r"^sizes\[1\] "),
    ([3, "2"], TypeError, r"^sizes\[1\] "),
    ([[3, 2]], TypeError, r"^sizes\[0\] "),
    (np.array([[3, 2]]), TypeError, r"^sizes\[0\] "),
    ("32", TypeError, "^sizes must be a sequence"),
    (3, TypeError, "^sizes must be a sequence"),
    (None, TypeError, "^sizes must be a sequence"),
    ([10**30, 2], ValueError, r"^sizes\[0\] "),
    ([2**31, 2**31], (ValueError, MemoryError), "."),
    ([2**31, 2**28], (ValueError, MemoryError), "."),
]


@pytest.mark.parametrize(
    ("sizes", "error", "message"), BAD_SIZES, ids=lambda value: repr(value)[:20]
)
def test_impossible_sizes(sizes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fm.Network(sizes)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", ACTIVATIONS)
def test_a_loss_is_taken_by_the_outputs_it_is_defined_for(output: str, loss: str) -> None:
    if goes_with(loss, output):
        assert fm.Network([2, 2], output=output, loss=loss).loss.name == loss
    else:
        with pytest.raises(
            ValueError, match=f"^output must be .* with loss '{loss}'.*, got '{output}'"
        ):
            fm.Network([2, 2], output=output, loss=loss)


def test_one_unit_of_softmax_is_refused() -> None:
    """It is 1 whatever the input: nothing would be learned, and every accuracy would be 1."""
    for options in ({}, {"loss": "mse", "output": "softmax"}):
        with pytest.raises(
            ValueError, match="^output must be 'sigmoid' .* or 'identity' .*one out"
        ):
            fm.Network([3, 4, 1], **options)
    assert fm.Network([3, 4, 1], output="sigmoid").sizes[-1] == 1


def test_poisson_takes_the_logarithm_of_the_rate_only() -> None:
    for output in ("relu", "softplus", "sigmoid"):
        with pytest.raises(ValueError, match="^output must be 'identity' .*logarithm of the rate"):
            fm.Network([3, 1], output=output, loss="poisson")


def test_more_classes_than_the_precision_tells_apart_are_refused() -> None:
    """The check alone: a network of so many outputs would take gigabytes."""
    loss, softmax = fm.losses.CrossEntropy(), fm.activations.Softmax()
    labels = np.arange(2**24 - 1, 2**24 + 2)
    assert len(set(labels.astype("f4"))) == 2  # 2**24 and 2**24 + 1 are one number
    fm.losses.compatible(loss, softmax, (), 2**24, "float32")
    fm.losses.compatible(loss, softmax, (), 2**24 + 1, "float64")
    fm.losses.compatible(fm.losses.MSE(), fm.activations.Identity(), (), 2**24 + 1, "float32")
    for most, dtype in ((2**24, "float32"), (2**53, "float64")):
        with pytest.raises(ValueError, match=rf"^sizes\[-1\] must be at most {most} .*'{dtype}'"):
            fm.losses.compatible(loss, softmax, (), most + 1, dtype)
    with pytest.raises(ValueError, match=r"^sizes\[-1\] must be at most 16777216 "):
        fm.Network([1, 2**24 + 1])


def test_dropout_of_hidden_layers_that_are_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^dropout must be 0 .*without hidden.*dropout=\[0.5\]"):
        fm.Network([3, 2], dropout=0.5)
    assert fm.Network([3, 2], dropout=0).dropout == (0.0,)
    assert fm.Network([3, 2], dropout=[0.5]).dropout == (0.5,)
