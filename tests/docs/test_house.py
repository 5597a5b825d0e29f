"""The house: imports and includes go one way, privacy is kept, and each check is able to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import house
import pytest

Check = Callable[[dict[str, house.Module]], list[str]]


@pytest.fixture(scope="module")
def package(checkout: Path) -> dict[str, house.Module]:
    """The modules of this package."""
    return house.modules(checkout / "src" / house.PACKAGE)


def test_every_room_of_the_order_is_named_once() -> None:
    rooms = [room for level in house.ORDER for room in level]
    assert len(set(rooms)) == len(rooms)


def test_imports_go_down_the_order(package: dict[str, house.Module]) -> None:
    assert house.upward_imports(package) == []


def test_no_modules_import_one_another(package: dict[str, house.Module]) -> None:
    assert house.import_cycles(package) == []


def test_few_rooms_touch_the_compiled_core(package: dict[str, house.Module]) -> None:
    assert house.users_of_the_core(package) == []


def test_nothing_below_the_network_names_it(package: dict[str, house.Module]) -> None:
    assert house.uses_of_network(package) == []


def test_private_members_are_used_by_their_class_alone(package: dict[str, house.Module]) -> None:
    assert house.private_reaches(package) == []


def test_headings_of_docstrings_stand_on_their_own_lines(package: dict[str, house.Module]) -> None:
    assert house.collapsed_headings(package) == []


def test_includes_go_one_way(checkout: Path) -> None:
    assert house.upward_includes(house.includes(checkout / "csrc")) == []


def test_every_file_of_the_engine_is_in_its_index(checkout: Path) -> None:
    assert house.index_gaps(checkout / "csrc") == []


# ---- each check is able to fail

SOUND = {
    "__init__.py": "from .network import Network\nfrom . import errors, many",
    "_core.pyx": "",
    "cli.py": "import fastmlp\nfrom fastmlp.bench.run import main",
    "many.py": "import numpy\nfrom .network import Network",
    "network.py": '''from ._fit.session import Session
class Network:
    """What a `Network` is."""
    def __init__(self, other):
        self._model = other._model
        super()._start()
''',
    "_fit/__init__.py": "",
    "_fit/session.py": '"""Of a Network."""\nfrom .. import _core\nfrom .._model import Model',
    "_fit/fit.py": "if TYPE_CHECKING:\n    from .session import Session",
    "_model.py": "from . import _core, _options as options, losses\nfrom ._options import real",
    "losses.py": "from .activations import relu\nrelu()._replace(a=1)",
    "activations.py": "relu = None",
    "errors.py": "",
    "_options/__init__.py": "from .checks import real",
    "_options/checks.py": "real = None",
    "reference/__init__.py": "class Network: ...",
}  # fmt: skip


def built(folder: Path, files: dict[str, str]) -> Path:
    """Write files below a folder; return the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def within(text: str) -> str:
    return f"def function():\n    {text}\n"


BREACHES = {
    house.upward_imports: [
        ("losses.py", "from ._fit import session", ":1 imports _fit.session"),
        ("losses.py", within("from .network import Network"), ":2 imports network"),
        ("losses.py", "import fastmlp.network", ":1 imports network"),
        ("losses.py", "if TYPE_CHECKING:\n    from fastmlp import many", ":2 imports many"),
        ("losses.py", "import fastmlp", ":1 imports __init__"),
        ("losses.py", "import_module('fastmlp.network')", ":1 imports network"),
        ("_fit/more.py", "import_module('..network', __package__)", ":1 imports network"),
        ("inspect/a.py", "from ..export.b import c", ":1 imports export.b"),
        ("_options/deep.py", "from .. import _model", ":1 imports _model"),
        ("many.py", "from .stranger import x", ":1 imports stranger"),
        ("stranger.py", "", " is in no room of the order"),
    ],
    house.import_cycles: [
        ("activations.py", within("from .losses import x"), "activations <-> losses"),
        ("_fit/session.py", "from .fit import fit", "_fit.fit <-> _fit.session"),
        ("_options/checks.py", "from . import x", "_options.__init__ <-> _options.checks"),
    ],
    house.users_of_the_core: [
        ("network.py", "from . import _core", ":1 imports _core"),
        ("losses.py", "from fastmlp._core import Net", ":1 imports _core"),
        ("many.py", within("import fastmlp._core"), ":2 imports _core"),
    ],
    house.uses_of_network: [
        ("_fit/fit.py", "def fit(network: Network): ...", ":1 names Network"),
        ("_fit/fit.py", "def fit(net: 'list[Network]'): ...", ":1 names Network"),
        ("_fit/fit.py", "def fit() -> 'Network': ...", ":1 names Network"),
        ("losses.py", "import fastmlp as fm\nfm.Network([1])", ":2 names Network"),
        ("losses.py", "from x import Network as N", ":1 names Network"),
    ],
    house.private_reaches: [
        ("_fit/fit.py", "def f(x): return x._net", ":1 reaches into x._net"),
        ("_fit/fit.py", "def f(self): self._net = 1", ":1 reaches into self._net"),
        ("_fit/fit.py", "class A:\n  def f(self, x): x._b", ":2 reaches into x._b"),
        ("_fit/fit.py", "getattr(x, '_net')", ":1 reaches into x._net"),
        ("_fit/fit.py", "object.__setattr__(x, '_net', 1)", ":1 reaches into x._net"),
        ("_fit/fit.py", "from .session import _start", ":1 reaches into session._start"),
    ],
    house.collapsed_headings: [
        ("errors.py", 'def f():\n  """A.\n\n  Notes ----- B."""', ": f"),
    ],
}


@pytest.mark.parametrize("check", BREACHES)
def test_a_sound_package_passes(check: Check, tmp_path: Path) -> None:
    assert check(house.modules(built(tmp_path, SOUND))) == []


@pytest.mark.parametrize(
    ("check", "name", "text", "message"),
    [(check, *breach) for check, breaches in BREACHES.items() for breach in breaches],
)
def test_a_breach_in_python_is_found(
    check: Check, name: str, text: str, message: str, tmp_path: Path
) -> None:
    known = house.modules(built(tmp_path, {**SOUND, name: text}))
    assert check(known) == [name + message if message[0] in ": " else message]


SOUND_ENGINE = {
    "fastmlp.h": "/* fastmlp.h -- INDEX\n * engine.h random.h step.[ch] <isa>_<type>.c gemm*.h */",
    "engine.h": '#include "fastmlp.h"',
    "base/random.h": "#include <math.h>",
    "net/step.h": '#include "base/random.h"',
    "train/step.c": '#include "net/step.h"\n  #  include "engine.h"',
    "kernels/gemm.h": '#include "base/random.h"\n#include "fastmlp.h"',
    "kernels/isa/avx2_f32.c": '#include "kernels/gemm.h"',
}  # fmt: skip


def breaches(csrc: Path) -> list[str]:
    return house.upward_includes(house.includes(csrc)) + house.index_gaps(csrc)


def test_a_sound_engine_passes(tmp_path: Path) -> None:
    assert breaches(built(tmp_path, SOUND_ENGINE)) == []


@pytest.mark.parametrize(("name", "text", "message"), [
    ("net/step.h", '#include "train/step.c"', "net/step.h includes train/step.c"),
    ("engine.h", '#include "net/step.h"', "engine.h includes net/step.h"),
    ("kernels/gemm.h", '#include "net/step.h"', "kernels/gemm.h includes net/step.h"),
    ("base/random.h", '#include "kernels/gemm.h"', "base/random.h includes kernels/gemm.h"),
    ("net/step.h", '#include "random.h"', "net/step.h includes random.h, which is not there"),
    ("net/step.h", '#include "net/step.h"', "net/step.h"),
    ("more/step.c", "", "more/step.c is in no folder of the order"),
    ("net/passes.c", "", "net/passes.c is not in the index"),
    ("fastmlp.h", SOUND_ENGINE["fastmlp.h"].replace("step", "old.h step"),
     "old.h is in the index and nowhere else"),
])  # fmt: skip
def test_a_breach_in_c_is_found(name: str, text: str, message: str, tmp_path: Path) -> None:
    found = breaches(built(tmp_path, {**SOUND_ENGINE, name: text}))
    assert message in found
