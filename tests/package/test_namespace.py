"""Public names: what dir shows of the package and its modules; each is there and documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import fastmlp as fm

MODULES = (
    "activations augment callbacks config datasets errors history initializers losses metrics "
    "optimizers reference schedules splitting stopping"
).split()


def test_the_package_shows_public_names_alone() -> None:
    assert sorted(dir(fm)) == sorted([*fm.__all__, "__version__"])
    assert len(set(fm.__all__)) == len(fm.__all__)
    for name in fm.__all__:
        assert getattr(fm, name) is not None


@pytest.mark.parametrize("name", MODULES)
def test_a_module_shows_public_names_alone(name: str) -> None:
    module = importlib.import_module(f"fastmlp.{name}")
    assert sorted(dir(module)) == sorted(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        assert not public.startswith("_") and not inspect.ismodule(value)
        assert isinstance(value, dict) or value.__doc__, public


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_of_a_module_is_shown(name: str) -> None:
    module = importlib.import_module(f"fastmlp.{name}")
    classes = {
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and key[0] != "_"
    }
    assert classes <= set(module.__all__)


def test_everything_is_imported_by_a_star() -> None:
    found: dict[str, object] = {}
    exec("from fastmlp import *", found)
    assert set(fm.__all__) <= set(found)
    assert not {"Any", "TYPE_CHECKING", "import_module", "annotations"} & set(found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'fastmlp' has no attribute 'Netwrok'"):
        fm.Netwrok  # noqa: B018


def test_what_a_prediction_does_not_need_is_imported_later() -> None:
    code = "import sys, fastmlp; print(*(m for m in sys.modules if m.startswith('fastmlp.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    later = {"augment", "callbacks", "datasets", "metrics", "reference", "schedules", "stopping"}
    assert not {f"fastmlp.{name}" for name in later} & set(done.stdout.split())
