"""What was meant: names and keywords that are nearly right, or another library's, or misplaced."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import fastmlp as fm
from fastmlp import _options as options
from fastmlp._options import terms
from fastmlp.augment import AUGMENTATIONS
from fastmlp.initializers import INITIALIZERS
from fastmlp.stopping import STOP_RULES

FAMILIES: dict[str, dict[str, Any]] = {
    "hidden": fm.activations.ACTIVATIONS,
    "loss": fm.losses.LOSSES,
    "optimizer": fm.optimizers.OPTIMIZERS,
    "schedule": fm.schedules.SCHEDULES,
    "stop": STOP_RULES,
    "augment": AUGMENTATIONS,
}
NAMES = [
    ("hidden", "ReLU", "relu"), ("hidden", "LeakyReLU", "leaky_relu"),
    ("hidden", "linear", "identity"),
    ("hidden", "logistic", "sigmoid"), ("hidden", "swish", "silu"), ("hidden", "rleu", "relu"),
    ("hidden", "Tanh", "tanh"), ("hidden", "hard_sigmoid", "sigmoid"),
    ("loss", "categorical_crossentropy", "cross_entropy"), ("loss", "MSE", "mse"),
    ("loss", "mean_squared_error", "mse"), ("loss", "MSELoss", "mse"), ("loss", "l1_loss", "mae"),
    ("loss", "CrossEntropyLoss", "cross_entropy"), ("loss", "log_loss", "cross_entropy"),
    ("optimizer", "Adam", "adam"), ("optimizer", "SGD", "sgd"), ("optimizer", "RMSProp", "rmsprop"),
    ("optimizer", "L-BFGS", "lbfgs"), ("optimizer", "addam", "adam"),
    ("schedule", "CosineAnnealingLR", "cosine"), ("schedule", "OneCycleLR", "one_cycle"),
    ("schedule", "ReduceLROnPlateau", "plateau"), ("schedule", "invscaling", "inverse_scaling"),
    ("schedule", "ExponentialDecay", "exponential"), ("stop", "EarlyStopping", "early_stopping"),
    ("augment", "gaussian_noise", "noise"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "given", "meant"), NAMES)
def test_names(argument: str, given: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument} must be .*: did you mean '{meant}'\?$"):
        options.resolve(argument, given, FAMILIES[argument])


def test_names_reach_the_user() -> None:
    net = fm.Network([2, 2])
    with pytest.raises(ValueError, match=r"did you mean 'adam'\?$"):
        net.fit([[1, 2]], [0], optimizer="Adam")
    with pytest.raises(ValueError, match=r"did you mean 'cross_entropy', with output='sigmoid'\?$"):
        fm.Network([2, 1], output="sigmoid", loss="binary_crossentropy")
    with pytest.raises(ValueError, match=r"did you mean 'glorot_uniform'\?$"):
        fm.Network([2, 2], init="xavier")
    with pytest.raises(ValueError, match=r"^by must be .*did you mean 'step'\?$"):
        fm.schedules.Step(2, by="batch")
    with pytest.raises(ValueError, match="got 'entirely else'$"):
        fm.Network([2, 2], hidden="entirely else")


def test_a_class_or_function_in_place_of_a_name() -> None:
    with pytest.raises(TypeError, match=r"got the class ReLU .*: did you mean ReLU\(\)\?$"):
        fm.Network([2, 2, 2], hidden=fm.activations.ReLU)
    with pytest.raises(TypeError, match=r"did you mean Step\(every=\.\.\.\)\?$"):
        options.resolve("schedule", fm.schedules.Step, fm.schedules.SCHEDULES)
    with pytest.raises(TypeError, match=r"ufunc.*did you mean 'tanh'\?$"):
        fm.Network([2, 2, 2], hidden=np.tanh)
    for value in (5, None, [1], {}, np.ones(3)):
        with pytest.raises(TypeError) as error:
            options.resolve("loss", value, fm.losses.LOSSES)
        assert "did you mean" not in str(error.value)


def test_every_term_stands_for_something() -> None:
    """Each name is one of ours, each keyword one of a class; terms are written as looked up."""
    known = {name for table in FAMILIES.values() for name in table}
    known |= {*INITIALIZERS, "float32", "float64", "step", "constant"}
    assert {name for candidates in terms.NAMES.values() for name in candidates} <= known
    assert terms.NOTES.keys() <= terms.NAMES.keys()
    parameters = {
        name
        for table in FAMILIES.values()
        for cls in table.values()
        for name in inspect.signature(cls).parameters
    }
    for candidates in terms.OPTION_KEYWORDS.values():
        for text in candidates:
            names = [part.split("=")[0] for part in text.split(", ")]
            assert "(" in text or set(names) <= parameters, text
    tables = (terms.NAMES, terms.OPTION_KEYWORDS, terms.FIT_KEYWORDS, terms.NETWORK_KEYWORDS)
    for term in [term for table in tables for term in table]:
        assert re.fullmatch("[a-z0-9]+", term), term


# ---- keywords

FIT = [
    ("validation_data", "validation=(X_val, y_val)"),
    ("validation_split", "validation=0.1"),
    ("lr", "optimizer=fm.Adam(learning_rate=...)"),
    ("learning_rate", "optimizer=fm.Adam(learning_rate=...)"),
    ("random_state", "fm.Network(..., seed=...)"),
    ("max_iter", "epochs=..."),
    ("n_epochs", "epochs=..."),
    ("epoch", "epochs=..."),
    ("batchsize", "batch_size=..."),
    ("verbose", "progress=True"),
    ("class_weights", "class_weight=..."),
    ("sample_weights", "sample_weight=..."),
    ("early_stopping", "stop=fm.EarlyStopping(patience=...)"),
    ("dropout", "fm.Network(..., dropout=...)"),
    ("optimiser", "optimizer=..."),
    ("n_jobs", "threads=..."),
]
NETWORK = [
    ("hidden_layer_sizes", "fm.Network([n_inputs, *hidden_layer_sizes, n_outputs])"),
    ("activation", "hidden=..."),
    ("solver", "net.fit(..., optimizer=...)"),
    ("alpha", "l2=..."),
    ("random_state", "seed=..."),
    ("lr", "net.fit(..., optimizer=fm.Adam(learning_rate=...))"),
    ("epochs", "net.fit(..., epochs=...)"),
    ("max_iter", "net.fit(..., epochs=...)"),
    ("batch_size", "net.fit(..., batch_size=...)"),
    ("Dropout", "dropout=..."),
    ("outputs", "output=..."),
]


@pytest.mark.parametrize(("given", "meant"), FIT)
def test_keywords_of_fit(given: str, meant: str) -> None:
    net = fm.Network([2, 2])
    expected = re.escape(
        f"fit() got an unexpected keyword argument '{given}': did you mean {meant}?"
    )
    with pytest.raises(TypeError, match=expected + "$"):
        net.fit([[1, 2]], [0], **{given: 1})
    assert net.epochs == 0


@pytest.mark.parametrize(("given", "meant"), NETWORK)
def test_keywords_of_network(given: str, meant: str) -> None:
    expected = f"Network() got an unexpected keyword argument '{given}': did you mean {meant}?"
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        fm.Network([2, 2], **{given: 1})


def test_keywords_that_nothing_is_near() -> None:
    with pytest.raises(TypeError, match=r"'entirely_else': it takes sizes, hidden, output"):
        fm.Network([2, 2], entirely_else=1)
    with pytest.raises(TypeError, match=r"'metrics': net\.evaluate\(X, y\) gives those"):
        fm.Network([2, 2]).fit([[1, 2]], [0], metrics=["accuracy"])


def test_what_the_one_does_not_take_the_other_may() -> None:
    """Every parameter of fit that is none of Network, given to Network, leads to fit, and back."""
    network = inspect.signature(fm.Network).parameters.keys() - {"sizes"}
    fit = inspect.signature(fm.Network.fit).parameters.keys() - {"self", "X", "y"}
    for name in fit - network:
        with pytest.raises(TypeError, match=rf"did you mean net\.fit\(\.\.\., {name}=\.\.\.\)\?$"):
            fm.Network([2, 2], **{name: 1})
    for name in network - fit:
        with pytest.raises(TypeError, match=rf"did you mean fm\.Network\(\.\.\., {name}=\.\.\."):
            fm.Network([2, 2]).fit([[1, 2]], [0], **{name: 1})


OPTIONS = [
    (fm.Adam, "lr", "learning_rate=..."),
    (fm.Adam, "eps", "epsilon=..."),
    (fm.Adam, "betas", "beta1=..., beta2=..."),
    (fm.Adam, "weight_decay", "fm.AdamW(weight_decay=...), or fm.Network(..., l2=...)"),
    (fm.SGD, "momentun", "momentum=..."),
    (fm.RMSprop, "rho", "alpha=..."),
    (fm.LBFGS, "max_iter", "max_iterations=..."),
    (fm.schedules.Step, "gamma", "factor=..."),
    (fm.schedules.Step, "step_size", "every=..."),
    (fm.schedules.Cosine, "T_max", "length=..."),
    (fm.schedules.Plateau, "min_lr", "min_rate=..."),
    (fm.EarlyStopping, "restore_best_weights", "restore_best=..."),
    (fm.EarlyStopping, "patence", "patience=..."),
    (fm.Tolerance, "tol", "tolerance=..."),
    (fm.augment.Noise, "stddev", "sigma=..."),
    (fm.augment.Affine, "degrees", "rotate=..."),
    (fm.activations.LeakyReLU, "negative_slope", "alpha=..."),
    (fm.losses.CrossEntropy, "smoothing", "label_smoothing=..."),
]


@pytest.mark.parametrize(("cls", "given", "meant"), OPTIONS)
def test_keywords_of_options(cls: Any, given: str, meant: str) -> None:
    expected = (
        f"{cls.__name__}() got an unexpected keyword argument '{given}': did you mean {meant}?"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        cls(**{given: 0.1})


def test_positions_of_options() -> None:
    """First comes what a user means by one number; what could be taken wrongly goes by name."""
    assert fm.EarlyStopping(5).patience == 5
    assert fm.Tolerance(1e-3).tolerance == 1e-3
    assert fm.TimeBudget(60).seconds == 60
    assert fm.TargetLoss(0.1).loss == 0.1
    assert fm.Adam(0.1).learning_rate == fm.SGD(0.1).learning_rate == 0.1
    assert fm.augment.Affine((2, 3)).shape == (2, 3)
    with pytest.raises(
        TypeError, match=r"^patience must be an integer.*mean monitor='val_loss'\?$"
    ):
        fm.EarlyStopping("val_loss")
    with pytest.raises(
        TypeError, match=r"^EarlyStopping\(\) takes patience by position and monitor"
    ):
        fm.EarlyStopping(5, "val_loss")
    with pytest.raises(
        TypeError, match=r"^Affine\(\) takes shape by position and rotate=\.\.\., shear"
    ):
        fm.augment.Affine((2, 3), 10)
    with pytest.raises(TypeError, match=r"^ReLU\(\) takes nothing by position, got 1"):
        fm.activations.ReLU(0.1)


def test_classes_that_users_derive_take_what_they_take() -> None:
    @dataclass(frozen=True)
    class Sawtooth(fm.schedules.TimedSchedule):
        name: ClassVar[str] = "sawtooth"
        period: int = 3

        def multiplier(self, t: np.ndarray, planned: int) -> np.ndarray:
            return 1 - (t % self.period) / self.period

    class Written(fm.schedules.Constant):
        def __init__(self, *numbers: int, teeth: int, **rest: int) -> None:
            super().__init__()

    assert Sawtooth(4).rates(1.0, 1, 4, 0, 5) == [0.75]
    with pytest.raises(TypeError, match=r"'perod': did you mean period=\.\.\.\?$"):
        Sawtooth(perod=2)
    Written(1, 2, teeth=3, more=4)


def test_signatures_and_docs_are_the_true_ones() -> None:
    assert list(inspect.signature(fm.Network).parameters)[:3] == ["sizes", "hidden", "output"]
    assert list(inspect.signature(fm.Network.fit).parameters)[:4] == ["self", "X", "y", "epochs"]
    assert fm.Network.fit.__doc__.startswith("Train by gradient descent")
    assert fm.Network.fit.__qualname__ == "Network.fit"
    assert list(inspect.signature(fm.Adam).parameters) == [
        "learning_rate",
        "beta1",
        "beta2",
        "epsilon",
    ]
    assert inspect.signature(fm.EarlyStopping).parameters["monitor"].kind.name == "KEYWORD_ONLY"
    for clone in (copy.copy, copy.deepcopy, lambda option: pickle.loads(pickle.dumps(option))):
        assert clone(fm.EarlyStopping(3, monitor="loss")) == fm.EarlyStopping(3, monitor="loss")


def test_an_error_inside_of_a_function_is_left_alone() -> None:
    @options.explains_keywords({"old": "new=..."})
    def function(new: int = 0) -> None:
        """Do nothing but fail."""
        raise TypeError("unexpected keyword argument of something else")

    with pytest.raises(TypeError, match="^unexpected keyword argument of something else$"):
        function(new=1)
    with pytest.raises(TypeError, match=r"function\(\) got .*'old': did you mean new=\.\.\.\?$"):
        function(old=1)
    assert function.__doc__ == "Do nothing but fail."


def test_elsewhere() -> None:
    fit, optimizers = ["epochs", "batch_size"], fm.optimizers.OPTIMIZERS
    found = {
        "batch_size": "batch_size belongs to fit: net.fit(..., batch_size=...)",
        "learning_rate": "optimizer: net.fit(..., optimizer=fm.Adam(learning_rate=...))",
        "momentum": "belongs to the optimizer: net.fit(..., optimizer=fm.SGD(momentum=...))",
        "weight_decay": "optimizer=fm.AdamW(weight_decay=...))",
    }
    for name, text in found.items():
        assert options.elsewhere(name, fit, optimizers).endswith(text)
    for name in ("scaler", "sizes", "_net", "lr"):
        assert options.elsewhere(name, fit, optimizers) is None
