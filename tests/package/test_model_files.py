"""Networks in files: every option there and back, files others read, damage, atomic replacement."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import (
    ISAS,
    OPTIMIZERS,
    assert_same_bits,
    assert_same_network,
    goes_with,
    instruction_set,
)

import fastmlp as fm
from fastmlp.activations import ACTIVATIONS
from fastmlp.losses import LOSSES

random = np.random.default_rng(13)
X = random.normal(size=(30, 4))
LABELS = random.integers(0, 3, 30)


def classifier(**options: Any) -> fm.Network:
    return fm.Network([4, 6, 3], **options)


def trained() -> fm.Network:
    """A network with all that a file may hold: moments, averages, best weights, rule states."""
    net = classifier(dropout=[0.1, 0.2], max_norm=2.0, l1=1e-4, l2=1e-3, seed=2**64 - 1)
    net.fit(
        X, LABELS, epochs=5, ema=0.9, validation=0.3, schedule=fm.schedules.Plateau(patience=1),
        stop=[fm.EarlyStopping(patience=9), fm.TimeBudget(1e6)], optimizer=fm.Adam(0.2),
    )  # fmt: skip
    return net


def there_and_back(net: fm.Network, path: Path) -> fm.Network:
    net.save(path)
    return fm.load(path)


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The description of the network, the header and the tensors' bytes of a file."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    return json.loads(header["__metadata__"]["fastmlp"]), header, content[8 + length :]


def joined(description: Any, header: dict[str, Any], data: bytes) -> bytes:
    text = description if isinstance(description, str) else json.dumps(description)
    header = {**header, "__metadata__": {"fastmlp": text}}
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


# ---- there and back


def options_of_every_kind() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"hidden": name} for name in ACTIVATIONS if name != "softmax"]
    found += [
        {"output": o, "loss": loss} for o in ACTIVATIONS for loss in LOSSES if goes_with(loss, o)
    ]
    found += [
        {"hidden": fm.activations.LeakyReLU(0.3)},
        {"hidden": fm.activations.ELU(0.1 + 0.2)},
        {"loss": fm.losses.CrossEntropy(0.1)},
        {"output": "identity", "loss": fm.losses.Huber(1 / 3)},
        {"output": "identity", "loss": fm.losses.Quantile(0.9)},
        {"l1": 0.1, "l2": 1e-300},
        {"dropout": 0.3},
        {"dropout": [0.2, 0.0]},
        {"max_norm": 3.0},
        {"dtype": "float64"},
        {"seed": 2**64 - 1},
        {"init": "orthogonal", "bias_init": 0.5},
        {"init": lambda shape, generator: generator.normal(size=shape)},
    ]
    return found


def test_every_option_of_a_network(tmp_path: Path) -> None:
    for options in options_of_every_kind():
        net = classifier(**options)
        other = there_and_back(net, tmp_path / "net.safetensors")
        assert_same_network(other, net)
        for name in (
            "sizes",
            "hidden",
            "output",
            "loss",
            "l1",
            "l2",
            "dropout",
            "max_norm",
            "dtype",
            "seed",
        ):
            assert getattr(other, name) == getattr(net, name), (name, options)
        assert_same_bits(other.predict(X), net.predict(X))
        assert (other.history, other.epochs) == (None, 0)


SCHEDULES: list[Any] = [
    None,
    fm.schedules.Step(2),
    fm.schedules.Exponential(0.9, by="step"),
    fm.schedules.InverseScaling(),
    fm.schedules.Cosine(10, 0.1),
    fm.schedules.OneCycle(20),
    fm.schedules.Plateau(0.5, 1),
    fm.schedules.Warmup(2, fm.schedules.Plateau(monitor="loss")),
]
STOPS: list[Any] = [
    None,
    fm.EarlyStopping(patience=3),
    fm.Tolerance(),
    fm.TargetLoss(0.1),
]


def test_every_option_of_a_training(tmp_path: Path) -> None:
    """What is loaded goes on as what was saved; also what has gone on was saved as it is."""
    cases: list[dict[str, Any]] = [{"optimizer": optimizer} for optimizer in OPTIMIZERS]
    cases += [{"schedule": schedule} for schedule in SCHEDULES] + [{"stop": stop} for stop in STOPS]
    cases += [
        {"ema": 0.5},
        {"stop": STOPS[1:], "schedule": SCHEDULES[-1], "ema": 0.9, "optimizer": "rmsprop"},
    ]
    for arguments in cases:
        net = classifier(dropout=0.1)
        net.fit(X, LABELS, epochs=3, validation=0.2, **arguments)
        other = there_and_back(net, tmp_path / "net.safetensors")
        assert_same_network(other, net)
        assert other.history is not None and net.history is not None
        assert other.history.to_dict() == net.history.to_dict()
        for each in (net, other):
            each.fit(X, LABELS, epochs=3, validation=0.2, **arguments)
        assert_same_network(other, net)


def test_a_file_of_a_training_by_lbfgs(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    net = classifier()
    net.fit(X, LABELS, epochs=3, optimizer="lbfgs")
    assert_same_network(there_and_back(net, tmp_path / "net.safetensors"), net)


def test_pickles_and_copies() -> None:
    for net in (trained(), classifier()):
        for other in (pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net)):
            assert_same_network(other, net)
            other.fit(X, LABELS, epochs=1)
            assert other.epochs == net.epochs + 1
    assert type(pickle.loads(pickle.dumps(net.weights))) is list


@pytest.mark.parametrize("isa", ISAS)
def test_a_file_made_on_one_instruction_set_is_read_on_another(isa: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net = trained()
    net.save(path)
    with instruction_set(isa):
        other = fm.load(path)
    assert other._model.core.isa == isa
    assert_same_network(other, net)


def test_any_kind_of_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = classifier()
    names: list[Any] = [
        "net",
        Path("net"),
        b"net",
        "with space ü 网",
        "x" * 250,
        str(tmp_path / "a" / ".." / "b"),
    ]
    (tmp_path / "a").mkdir()
    for name in names:
        net.save(name)
        assert_same_network(fm.load(name), net)
    for wrong in (5, None, net):
        with pytest.raises(TypeError):
            net.save(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            fm.load(wrong)  # type: ignore[arg-type]


# ---- what others see


def test_any_reader_of_safetensors_finds_the_parameters(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    net, path = trained(), tmp_path / "net.safetensors"
    net.save(path)
    tensors = load_file(path)
    for layer in (1, 2):
        assert_same_bits(tensors[f"weights.{layer}"], net.weights[layer - 1])
        assert_same_bits(tensors[f"bias.{layer}"], net.biases[layer - 1])
    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["fastmlp"])
    assert description["sizes"] == [4, 6, 3]
    assert description["hidden"] == [{"name": "relu"}]
    assert description["training"]["optimizer"]["learning_rate"] == 0.2


# ---- replacement in one step


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, path = classifier(), tmp_path / "net.safetensors"
    net.save(path)
    before = path.read_bytes()
    for name, error in (
        ("fsync", OSError("no space")),
        ("replace", OSError("no")),
        ("fsync", KeyboardInterrupt()),
    ):
        with monkeypatch.context() as patch:

            def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
                raise error

            patch.setattr(os, name, fail)
            with pytest.raises(type(error)):
                trained().save(path)
        assert os.listdir(tmp_path) == ["net.safetensors"]
        assert path.read_bytes() == before
    trained().save(path)
    assert os.listdir(tmp_path) == ["net.safetensors"]
    assert path.read_bytes() != before


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        classifier().save(tmp_path / "missing" / "net.safetensors")
    with pytest.raises(OSError):
        classifier().save(tmp_path)
    assert os.listdir(tmp_path) == []
    assert not list(tmp_path.parent.glob(".fastmlp-*"))


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_the_file_may_be_read_by_whom_the_mask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        classifier().save(tmp_path / "net")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o640


# ---- files that are damaged, foreign or not there


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory: '.*missing'"):
        fm.load(tmp_path / "missing")
    with pytest.raises(OSError):
        fm.load(tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    content = path.read_bytes()
    for length in {*range(0, 20), *range(0, len(content), 61), len(content) - 1}:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="'.*net' is not a safetensors file"):
            fm.load(path)


def test_a_damaged_header_is_a_value_error_or_a_network_that_works(tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    content = path.read_bytes()
    length = 8 + struct.unpack("<Q", content[:8])[0]
    refused = 0
    for _ in range(600):
        damaged, at = bytearray(content), int(random.integers(length))
        damaged[at] = random.choice([damaged[at] ^ (1 << int(random.integers(8))), *b'0-9"[{,'])
        path.write_bytes(damaged)
        try:
            net = fm.load(path)
        except ValueError as error:
            assert "net'" in str(error)
            refused += 1
        else:
            assert net.predict(X).shape == (30, 3)
            net.fit(X, LABELS, epochs=0)
            assert net.summary() and (net.history is None or repr(net.history))
    assert refused > 400


def test_foreign_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "net"
    for content in (b"", b"PK\3\4 not one of ours", b"\x80\4pickle", bytes(100), b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a safetensors file"):
            fm.load(path)
    for metadata in (None, {"format": "pt"}):
        save_file({"weights.1": np.zeros((3, 4))}, path, metadata=metadata)
        with pytest.raises(ValueError, match="holds no fastmlp network"):
            fm.load(path)
    for text in ("", "{", "[]", "null", "5", '"net"', "{}", '{"format": 1}', "[" * 100_000):
        save_file({"weights.1": np.zeros((3, 4))}, path, metadata={"fastmlp": text})
        with pytest.raises(ValueError, match="holds no network that can be read"):
            fm.load(path)


def test_a_file_of_a_later_format(tmp_path: Path) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, header, data = parts(path.read_bytes())
    path.write_bytes(joined({**description, "format": 2}, header, data))
    with pytest.raises(ValueError, match="format is 2, this version reads 1"):
        fm.load(path)


@pytest.mark.parametrize(("changes", "message"), [
    ({"sizes": [4, 7, 3]}, r"weights.1 must be float32 \(7, 4\), got float32 \(6, 4\)"),
    ({"sizes": [4, 2**31, 3]}, "weights.1 must be"),
    ({"sizes": []}, "sizes"),
    ({"sizes": None}, ""),
    ({"dtype": "float64"}, "weights.1 must be float64"),
    ({"hidden": [{"name": "rleu"}]}, "'rleu'"),
    ({"hidden": []}, "hidden"),
    ({"output": {"name": "relu"}}, "output must be"),
    ({"loss": {"name": "huber", "delta": -1.0}}, "delta must be in"),
    ({"loss": {"name": "mse", "delta": 1.0}}, "MSE has the parameters"),
    ({"dropout": [0.0, 1.0]}, "dropout"),
    ({"epochs": -1}, "epochs must be an integer"),
    ({"epochs": 1.5}, "epochs must be an integer"),
    ({"history": []}, ""),
    ({"history": {"epochs": [1]}}, ""),
    ({"training": {}}, "optimizer"),
])  # fmt: skip
def test_a_description_that_is_not_right(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net"
    classifier().save(path)
    description, header, data = parts(path.read_bytes())
    path.write_bytes(joined({**description, **changes}, header, data))
    with pytest.raises(ValueError, match=f"holds no network that can be read: .*{message}"):
        fm.load(path)


@pytest.mark.parametrize("changes", [
    {"step": -1}, {"step": "5"}, {"optimizer": {"name": "adam", "learning_rate": -1.0}},
    {"optimizer": None}, {"schedule_state": {}}, {"schedule_state": None},
    {"stop_states": [{}, {}]}, {"stop_states": [{}]}, {"stop": [{"name": "early"}]},
    {"schedule_began": 5}, {"ema": "half"},
])  # fmt: skip
def test_a_state_of_training_that_is_not_right(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "net"
    trained().save(path)
    description, header, data = parts(path.read_bytes())
    description["training"].update(changes)
    path.write_bytes(joined(description, header, data))
    with pytest.raises(ValueError, match="holds no network that can be read"):
        fm.load(path)


def test_tensors_that_are_not_right(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "net"
    trained().save(path)
    description, _, _ = parts(path.read_bytes())
    metadata, right = {"fastmlp": json.dumps(description)}, load_file(path)
    for name in sorted(right):
        tensor = right[name]
        wrong: list[np.ndarray | None] = [
            None,
            tensor[:-1],
            tensor[..., None],
            tensor.astype("f8"),
            tensor.astype("i4"),
        ]
        wrong += [tensor * np.float32(np.nan)] if name.startswith(("weights", "bias")) else []
        if name in ("best.weights.1", "last.weights.1"):  # what is not there has not been kept
            del wrong[0]
        for other in wrong:
            tensors = {key: value for key, value in right.items() if key != name}
            save_file(
                {**tensors, name: other} if other is not None else tensors, path, metadata=metadata
            )
            with pytest.raises(ValueError, match=f"holds no network that can be read: .*{name}"):
                fm.load(path)
    save_file(right, path, metadata=metadata)
    assert_same_bits(fm.load(path).weights[0], right["weights.1"])
