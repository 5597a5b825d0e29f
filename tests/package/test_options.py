"""Options: the gate's checks, the tables of names, bad parameters of every class, specs through JSON."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest

import fastmlp as fm
from fastmlp import _options as options
from fastmlp import stopping
from fastmlp.augment import AUGMENTATIONS, Affine, Mask, Noise, resolve_augment

TABLES = {
    "activations": (
        fm.activations.ACTIVATIONS,
        "identity step sigmoid tanh relu leaky_relu elu selu gelu silu softplus mish softmax",
    ),
    "losses": (
        fm.losses.LOSSES,
        "mse half_mse cross_entropy mae huber poisson quantile perceptron",
    ),
    "optimizers": (fm.optimizers.OPTIMIZERS, "sgd adam adamw rmsprop adagrad rprop lbfgs"),
    "schedules": (
        fm.schedules.SCHEDULES,
        "constant step exponential inverse_scaling cosine one_cycle plateau warmup",
    ),
    "augmentations": (AUGMENTATIONS, "noise mask affine"),
    "stop rules": (stopping.STOP_RULES, "early_stopping tolerance time_budget target_loss"),
}

# One instance of every class with parameters, none of them at its default.
INSTANCES = [
    fm.activations.LeakyReLU(alpha=0.2),
    fm.activations.ELU(alpha=0.5),
    fm.losses.CrossEntropy(label_smoothing=0.1),
    fm.losses.Huber(delta=2.0),
    fm.losses.Quantile(tau=0.9),
    fm.SGD(0.1, momentum=0.9, nesterov=True),
    fm.Adam(0.01, 0.8, 0.99, 1e-7),
    fm.AdamW(0.01, 0.8, 0.99, 1e-7, 0.1),
    fm.RMSprop(0.1, 0.9, 1e-6, 0.5, True),
    fm.Adagrad(0.1, 0.01, 1e-9, 0.1),
    fm.Rprop(0.1, 0.4, 1.3, 1e-5, 10.0),
    fm.LBFGS(50, 5, 1e-6),
    fm.schedules.Step(3, 0.5, by="step"),
    fm.schedules.Exponential(0.9, by="step"),
    fm.schedules.InverseScaling(1.0, by="step"),
    fm.schedules.Cosine(10, 0.1, by="step"),
    fm.schedules.OneCycle(100, 0.2, 0.1, 0.01, by="epoch"),
    fm.schedules.Plateau(0.5, 3, 0.01, 1e-5, "val_accuracy"),
    fm.schedules.Warmup(5, fm.schedules.Cosine(by="step"), 0.1, by="epoch"),
    Noise(0.1),
    Mask(0.2),
    Affine((28, 28, 1), 10.0, 5.0, 2.0, 0.1, -1.0),
    fm.EarlyStopping("val_accuracy", 3, 0.01, False),
    fm.Tolerance(1e-3, 4),
    fm.TimeBudget(60.0),
    fm.TargetLoss(0.1, "val_loss"),
]
FAMILY = {cls: table for table, _ in TABLES.values() for cls in table.values()}

# Arguments that each class rejects: (class, arguments, name that the message begins with, error).
BAD = [
    (fm.activations.LeakyReLU, {"alpha": -0.1}, "alpha", ValueError),
    (fm.activations.LeakyReLU, {"alpha": "0.1"}, "alpha", TypeError),
    (fm.activations.ELU, {"alpha": math.inf}, "alpha", ValueError),
    (fm.losses.CrossEntropy, {"label_smoothing": 1.0}, "label_smoothing", ValueError),
    (fm.losses.CrossEntropy, {"label_smoothing": True}, "label_smoothing", TypeError),
    (fm.losses.Huber, {"delta": 0}, "delta", ValueError),
    (fm.losses.Quantile, {"tau": 1}, "tau", ValueError),
    (fm.losses.Quantile, {"tau": math.nan}, "tau", ValueError),
    (fm.SGD, {"learning_rate": 0.0}, "learning_rate", ValueError),
    (fm.SGD, {"learning_rate": None}, "learning_rate", TypeError),
    (fm.SGD, {"momentum": 1.0}, "momentum", ValueError),
    (fm.SGD, {"momentum": 0.9, "nesterov": 1}, "nesterov", TypeError),
    (fm.SGD, {"nesterov": True}, "momentum", ValueError),
    (fm.Adam, {"learning_rate": -1e-3}, "learning_rate", ValueError),
    (fm.Adam, {"beta1": 1.0}, "beta1", ValueError),
    (fm.Adam, {"beta2": -0.1}, "beta2", ValueError),
    (fm.Adam, {"epsilon": 0.0}, "epsilon", ValueError),
    (fm.AdamW, {"beta1": 1.5}, "beta1", ValueError),
    (fm.AdamW, {"beta2": [0.9]}, "beta2", TypeError),
    (fm.AdamW, {"epsilon": -1e-8}, "epsilon", ValueError),
    (fm.AdamW, {"weight_decay": -1}, "weight_decay", ValueError),
    (fm.RMSprop, {"alpha": 1.0}, "alpha", ValueError),
    (fm.RMSprop, {"epsilon": 0}, "epsilon", ValueError),
    (fm.RMSprop, {"momentum": -0.5}, "momentum", ValueError),
    (fm.RMSprop, {"centered": "yes"}, "centered", TypeError),
    (fm.Adagrad, {"learning_rate_decay": -1.0}, "learning_rate_decay", ValueError),
    (fm.Adagrad, {"epsilon": 0.0}, "epsilon", ValueError),
    (fm.Adagrad, {"initial_accumulator": -1.0}, "initial_accumulator", ValueError),
    (fm.Rprop, {"eta_minus": 1.0}, "eta_minus", ValueError),
    (fm.Rprop, {"eta_plus": 1.0}, "eta_plus", ValueError),
    (fm.Rprop, {"step_min": 0.0}, "step_min", ValueError),
    (fm.Rprop, {"step_min": 1.0, "step_max": 0.5}, "step_max", ValueError),
    (fm.LBFGS, {"max_iterations": 0}, "max_iterations", ValueError),
    (fm.LBFGS, {"max_iterations": 10.0}, "max_iterations", TypeError),
    (fm.LBFGS, {"memory": 0}, "memory", ValueError),
    (fm.LBFGS, {"tolerance": -1.0}, "tolerance", ValueError),
    (fm.schedules.Step, {"every": 0}, "every", ValueError),
    (fm.schedules.Step, {"every": 2.5}, "every", TypeError),
    (fm.schedules.Step, {"every": 2, "factor": 0.0}, "factor", ValueError),
    (fm.schedules.Step, {"every": 2, "by": "batch"}, "by", ValueError),
    (fm.schedules.Exponential, {"factor": -0.5}, "factor", ValueError),
    (fm.schedules.InverseScaling, {"power": -1.0}, "power", ValueError),
    (fm.schedules.InverseScaling, {"by": 1}, "by", TypeError),
    (fm.schedules.Cosine, {"length": 0}, "length", ValueError),
    (fm.schedules.Cosine, {"final": 1.1}, "final", ValueError),
    (fm.schedules.OneCycle, {"length": "10"}, "length", TypeError),
    (fm.schedules.OneCycle, {"peak_at": 1.0}, "peak_at", ValueError),
    (fm.schedules.OneCycle, {"start_factor": -1.0}, "start_factor", ValueError),
    (fm.schedules.OneCycle, {"final_factor": 2.0}, "final_factor", ValueError),
    (fm.schedules.Plateau, {"factor": 1.0}, "factor", ValueError),
    (fm.schedules.Plateau, {"patience": 0}, "patience", ValueError),
    (fm.schedules.Plateau, {"min_delta": -1.0}, "min_delta", ValueError),
    (fm.schedules.Plateau, {"min_rate": -1.0}, "min_rate", ValueError),
    (fm.schedules.Plateau, {"monitor": 3}, "monitor", TypeError),
    (fm.schedules.Warmup, {"length": 0}, "length", ValueError),
    (fm.schedules.Warmup, {"length": 3, "then": "cosinus"}, "then", ValueError),
    (fm.schedules.Warmup, {"length": 3, "then": fm.schedules.Warmup(2)}, "then", TypeError),
    (fm.schedules.Warmup, {"length": 3, "start_factor": 1.5}, "start_factor", ValueError),
    (fm.schedules.Warmup, {"length": 3, "by": "second"}, "by", ValueError),
    (Noise, {"sigma": -0.1}, "sigma", ValueError),
    (Mask, {"probability": 1.0}, "probability", ValueError),
    (Affine, {"shape": 784}, "shape", TypeError),
    (Affine, {"shape": (784,)}, "shape", ValueError),
    (Affine, {"shape": (28, 0)}, r"shape\[1\]", ValueError),
    (Affine, {"shape": (28, 28.0)}, r"shape\[1\]", TypeError),
    (Affine, {"shape": (28, 28), "rotate": 181}, "rotate", ValueError),
    (Affine, {"shape": (28, 28), "shear": 90}, "shear", ValueError),
    (Affine, {"shape": (28, 28), "shift": -1}, "shift", ValueError),
    (Affine, {"shape": (28, 28), "zoom": -0.1}, "zoom", ValueError),
    (Affine, {"shape": (28, 28), "fill": math.nan}, "fill", ValueError),
    (fm.EarlyStopping, {"monitor": ""}, "monitor", ValueError),
    (fm.EarlyStopping, {"patience": 0}, "patience", ValueError),
    (fm.EarlyStopping, {"min_delta": -1e-3}, "min_delta", ValueError),
    (fm.EarlyStopping, {"restore_best": None}, "restore_best", TypeError),
    (fm.Tolerance, {"tolerance": -1.0}, "tolerance", ValueError),
    (fm.Tolerance, {"patience": True}, "patience", TypeError),
    (fm.TimeBudget, {"seconds": 0}, "seconds", ValueError),
    (fm.TargetLoss, {"loss": math.inf}, "loss", ValueError),
    (fm.TargetLoss, {"loss": 0.1, "monitor": None}, "monitor", TypeError),
]


@pytest.mark.parametrize("family", TABLES)
def test_table_has_the_names(family):
    table, names = TABLES[family]
    assert list(table) == names.split()
    assert all(cls.name == name and cls.__doc__ for name, cls in table.items())


def test_no_class_is_forgotten_in_the_cases():
    parametrised = {cls for cls in FAMILY if dataclasses.fields(cls)}
    assert parametrised == {type(instance) for instance in INSTANCES} == {cls for cls, *_ in BAD}


@pytest.mark.parametrize(("cls", "arguments", "name", "error"), BAD)
def test_bad_parameters_are_named(cls, arguments, name, error):
    with pytest.raises(error, match=f"^{name} must "):
        cls(**arguments)


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda instance: instance.name)
def test_spec_survives_json(instance):
    table = FAMILY[type(instance)]
    spec = json.loads(json.dumps(options.to_spec(instance), allow_nan=False))
    assert spec["name"] == instance.name
    assert options.from_spec(table, spec) == instance


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda instance: instance.name)
def test_options_are_values(instance):
    copy = pickle.loads(pickle.dumps(instance))
    assert copy == instance and hash(copy) == hash(instance)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(instance, dataclasses.fields(instance)[0].name, 1)


def test_every_default_instance_has_a_spec():
    for cls, table in FAMILY.items():
        if all(f.default is not dataclasses.MISSING for f in dataclasses.fields(cls)):
            assert options.resolve("option", cls.name, table) == cls()
            assert options.from_spec(table, options.to_spec(cls())) == cls()


def test_from_spec_rejects_what_it_does_not_know():
    table = fm.optimizers.OPTIMIZERS
    with pytest.raises(ValueError, match=r"name must be 'sgd'"):
        options.from_spec(table, {"name": "adamax"})
    with pytest.raises(TypeError, match=r"name must be 'sgd'"):
        options.from_spec(table, {"learning_rate": 0.1})
    with pytest.raises(ValueError, match=r"'amsgrad'"):
        options.from_spec(table, {"name": "adam", "amsgrad": True})
    with pytest.raises(ValueError, match=r"beta1 must be in"):
        options.from_spec(table, {"name": "adam", "beta1": 2.0})


def test_parameter_and_constants_are_floats_for_the_core():
    assert fm.activations.LeakyReLU(0.2).parameter == 0.2
    assert fm.activations.ELU(2).parameter == 2.0
    assert fm.losses.CrossEntropy(0.1).parameter == 0.1
    assert fm.losses.Huber(3).parameter == 3.0
    assert fm.losses.Quantile(0.9).parameter == 0.9
    assert fm.activations.ReLU().parameter == fm.losses.MSE().parameter == 0.0
    assert fm.SGD(0.1, 0.9, True).constants == {"momentum": 0.9, "nesterov": 1.0}
    assert list(fm.RMSprop().constants.values()) == [0.99, 1e-8, 0.0, 0.0]
    assert fm.AdamW(weight_decay=0.3).constants["weight_decay"] == 0.3
    assert fm.LBFGS().constants == {}
    for cls in fm.optimizers.OPTIMIZERS.values():
        assert all(type(constant) is float for constant in cls().constants.values())


@pytest.mark.parametrize(
    ("optimizer", "moments"),
    [
        (fm.SGD(), 0),
        (fm.SGD(momentum=0.9), 1),
        (fm.Adam(), 2),
        (fm.AdamW(), 2),
        (fm.RMSprop(), 1),
        (fm.RMSprop(momentum=0.9), 2),
        (fm.RMSprop(centered=True), 2),
        (fm.RMSprop(momentum=0.9, centered=True), 3),
        (fm.Adagrad(), 1),
        (fm.Rprop(), 2),
        (fm.LBFGS(), 0),
    ],
)
def test_moments(optimizer, moments):
    assert optimizer.moments == moments


def test_optimizers_defaults_equal_pytorchs():
    torch = pytest.importorskip("torch")
    weights = [torch.zeros(1, requires_grad=True)]
    renamed = {"lr": "learning_rate", "eps": "epsilon", "lr_decay": "learning_rate_decay",
               "initial_accumulator_value": "initial_accumulator"}  # fmt: skip
    for cls in (fm.Adam, fm.AdamW, fm.RMSprop, fm.Adagrad):
        ours = options.to_spec(cls())
        for key, value in getattr(torch.optim, cls.__name__)(weights).defaults.items():
            if renamed.get(key, key) in ours:
                assert ours[renamed.get(key, key)] == value, (cls, key)


def test_numbers_are_normalised():
    adam = fm.Adam(np.float64(0.01), beta1=np.float32(0.5))
    assert type(adam.learning_rate) is float and type(adam.beta1) is float
    assert type(fm.SGD(1).learning_rate) is float
    assert type(fm.schedules.Step(np.int64(3)).every) is int
    assert type(fm.SGD(0.1, 0.9, np.True_).nesterov) is bool
    assert Affine([8, np.int32(8)]).shape == (8, 8)


def test_real():
    assert options.real("x", 1) == 1.0
    assert options.real("x", 0.0, 0, 1, "[)") == 0.0
    with pytest.raises(ValueError, match=r"^dropout must be in \[0, 1\), got 1\.5$"):
        options.real("dropout", 1.5, 0, 1, "[)")
    with pytest.raises(ValueError, match=r"^x must be in \(0, inf\), got 0$"):
        options.real("x", 0, 0, bounds="()")
    for value in (math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(ValueError, match=r"^x must be in \(-inf, inf\)"):
            options.real("x", value)
    for value in (True, np.True_, "1", None, 1j, np.ones(2), [1.0]):
        with pytest.raises(TypeError, match=r"^x must be a real number in \[0, inf\), got "):
            options.real("x", value, 0)


def test_integer():
    assert options.integer("n", np.uint8(3), 1) == 3
    with pytest.raises(ValueError, match=r"^epochs must be an integer in \[1, inf\), got 0$"):
        options.integer("epochs", 0, 1)
    with pytest.raises(ValueError, match=r"^n must be an integer in \[1, 8\], got 9$"):
        options.integer("n", 9, 1, 8)
    for value in (True, 3.0, "3", None, np.ones(1, int)):
        with pytest.raises(TypeError, match=r"^n must be an integer in \(-inf, inf\), got "):
            options.integer("n", value)


def test_boolean_string_choice():
    assert options.boolean("b", np.False_) is False
    with pytest.raises(TypeError, match=r"^b must be True or False, got 1 \(int\)$"):
        options.boolean("b", 1)
    assert options.choice("c", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match=r"^c must be 'a', 'b' or 'd', got 'e'$"):
        options.choice("c", "e", ("a", "b", "d"))
    with pytest.raises(TypeError, match=r"^c must be 'a', got None"):
        options.choice("c", None, ("a",))
    with pytest.raises(ValueError, match=r"^s must not be an empty string"):
        options.string("s", "")


def test_resolve():
    table = fm.activations.ACTIVATIONS
    assert options.resolve("hidden", "relu", table) == fm.activations.ReLU()
    leaky = fm.activations.LeakyReLU(0.3)
    assert options.resolve("hidden", leaky, table) is leaky
    with pytest.raises(
        ValueError, match=r"^hidden must be 'identity', .* or 'softmax', or .*got 'rleu'$"
    ):
        options.resolve("hidden", "rleu", table)
    with pytest.raises(TypeError, match=r"^hidden must be .* got the class ReLU"):
        options.resolve("hidden", fm.activations.ReLU, table)
    with pytest.raises(
        TypeError, match=r"^hidden must be .* got Step\(by='epoch', every=2, factor=0.1\)"
    ):
        options.resolve("hidden", fm.schedules.Step(2), table)
    with pytest.raises(TypeError, match=r"got an array of shape \(3,\)"):
        options.resolve("hidden", np.ones(3), table)
    with pytest.raises(
        ValueError, match=r"schedule='step' .* give an instance, Step\(every=\.\.\.\)"
    ):
        options.resolve("schedule", "step", fm.schedules.SCHEDULES)
    assert options.resolve("optimizer", "sgd", fm.optimizers.OPTIMIZERS) == fm.SGD(0.01)


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(TypeError) as error:
        options.real("x", list(range(1000)))
    assert len(str(error.value)) < 200


def test_losses_and_outputs_that_go_together():
    compatible, make = fm.losses.compatible, fm.activations.ACTIVATIONS
    for output, activation in make.items():
        for loss, cls in fm.losses.LOSSES.items():
            fits = {"cross_entropy": ("softmax", "sigmoid"), "perceptron": ("step",)}.get(
                loss, tuple(make)
            )
            if output in fits:
                compatible(cls(), activation())
            else:
                with pytest.raises(ValueError, match=f"^output must be .*{loss}.*got '{output}'"):
                    compatible(cls(), activation())
    with pytest.raises(ValueError, match=r"^hidden must not be 'softmax'"):
        compatible(fm.losses.MSE(), make["identity"](), [make["relu"](), make["softmax"]()])


def test_resolve_augment():
    noise, affine = Noise(0.1), Affine((4, 4, 3), rotate=5)
    assert resolve_augment(None, 48) == ()
    assert resolve_augment(noise, 48) == (noise,)
    assert resolve_augment([affine, noise], 48) == (affine, noise)
    with pytest.raises(ValueError, match=r"^augment: .* 16 features .*\(4, 4, 3\) = 48"):
        resolve_augment(affine, 16)
    with pytest.raises(
        ValueError, match=r"^augment must have each kind at most once, got Noise twice"
    ):
        resolve_augment((noise, Noise(0.2)), 48)
    with pytest.raises(TypeError, match=r"^augment must be"):
        resolve_augment(lambda x: x, 48)
    with pytest.raises(ValueError, match=r"^augment='noise' has parameters without a default"):
        resolve_augment("noise", 48)
