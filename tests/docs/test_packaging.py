"""Promises of the package and its source tree: what wheel and sdist carry, how a file opens."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

FOLDERS = (".ci", "bench", "csrc", "docs", "examples", "src", "tests")
C = {".c", ".h"}
PYTHON = {".py", ".pyi"}
CYTHON = {".pyx", ".pxd"}
PROSE = {".md"}
MOST_LINES = 450


def sources(root: Path, suffixes: set[str]) -> list[Path]:
    """Return the files of the source tree with one of the suffixes, those of the top folder too."""
    files = [*root.iterdir(), *(file for folder in FOLDERS for file in (root / folder).rglob("*"))]
    environments = re.compile(r"/\.venv|/build/")
    return sorted(
        f
        for f in files
        if f.suffix in suffixes and f.is_file() and not environments.search(f.as_posix())
    )


def first_line(file: Path) -> str:
    """Return the first line of a file, without the line of the interpreter."""
    lines = [
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#!")
    ]
    return lines[0].strip() if lines else ""


def run_setup(root: Path, *arguments: str | Path) -> None:
    """Run setup.py, which, unlike an isolated build, uses the objects that are compiled already."""
    pytest.importorskip("Cython", reason="builds the package")
    command = [sys.executable, "setup.py", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run_setup(
        checkout,
        *("build", "--build-lib", folder / "lib"),
        *("bdist_wheel", "--bdist-dir", folder / "bdist", "--dist-dir", folder),
    )
    (file,) = folder.glob("*.whl")
    return file


@pytest.mark.slow
def test_wheel_is_small_and_carries_no_source(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert wheel.stat().st_size < 2_000_000
    assert {re.sub(r"-.*\.", ".", name.split("/")[0]) for name in names} == {
        "fastmlp",
        "fastmlp.dist-info",
    }
    unwanted = C | CYTHON | {".cpp", ".o", ".pyc", ".whl"}
    assert [name for name in names if Path(name).suffix in unwanted] == []


@pytest.mark.slow
def test_wheel_carries_all_that_the_package_needs(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (
            archive.read(name).decode() for name in names if name.endswith("/entry_points.txt")
        )
    package = checkout / "src" / "fastmlp"
    data = package / "datasets" / "data"
    files = {file for file in sources(checkout, PYTHON) if package in file.parents} | set(
        data.iterdir()
    )
    needed = {f"fastmlp/{file.relative_to(package).as_posix()}" for file in files} | {
        "fastmlp/py.typed"
    }
    if (checkout / "bench" / "__init__.py").exists():
        needed |= {f"fastmlp/bench/{file.name}" for file in (checkout / "bench").glob("*.py")}
    assert needed - names == set()
    assert any(re.fullmatch(r"fastmlp/_core\.[^/]*(so|pyd)", name) for name in names)
    assert "fastmlp = fastmlp.cli:main" in entry_points
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert "LICENSE" in licences and len(licences) > 1, "that of the code and that of the data"


@pytest.mark.slow
def test_sdist_carries_the_source_tree(checkout: Path, tmp_path: Path) -> None:
    run_setup(checkout, "sdist", "--dist-dir", tmp_path)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    tree = {
        f.relative_to(checkout).as_posix()
        for f in sources(checkout, C | PYTHON | CYTHON | PROSE | {".toml"})
    }
    assert tree - names == set()
    assert {"Makefile", "LICENSE", "MANIFEST.in", ".ci/run", ".clang-format"} <= names
    assert [name for name in names if Path(name).suffix in {".so", ".pyd", ".o", ".pyc"}] == []


def test_first_line_of_a_python_file_says_what_it_is_for(checkout: Path) -> None:
    def says(file: Path) -> bool:
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        opens = first_line(file).startswith(('"""', "# "))
        return opens and (file.suffix == ".pyi" or bool(docstring.splitlines()[:1]))

    assert [str(file) for file in sources(checkout, PYTHON) if not says(file)] == []


def test_first_line_of_a_c_or_cython_file_says_what_it_is_for(checkout: Path) -> None:
    def says(file: Path) -> bool:
        if file.suffix in CYTHON:
            return re.match(r'("""|# )(?!cython:|distutils:)\S', first_line(file)) is not None
        return re.match(rf"(//|/\*) {re.escape(file.name)} -- \S", first_line(file)) is not None

    assert [str(file) for file in sources(checkout, C | CYTHON) if not says(file)] == []


def test_first_line_of_every_other_file_says_what_it_is_for(checkout: Path) -> None:
    settings = [
        "Makefile",
        "MANIFEST.in",
        "pyproject.toml",
        ".ci/run",
        ".clang-format",
        ".gitignore",
    ]
    others = [checkout / name for name in settings if (checkout / name).exists()] + sources(
        checkout, PROSE
    )
    assert [str(file) for file in others if not first_line(file).startswith("# ")] == []


def test_a_file_can_be_read_in_one_sitting(checkout: Path) -> None:
    lengths = {
        str(f): len(f.read_text(encoding="utf-8").splitlines())
        for f in sources(checkout, C | PYTHON | CYTHON)
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_nothing_is_left_to_do(checkout: Path) -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    files = sources(checkout, C | PYTHON | CYTHON | PROSE)
    assert [str(file) for file in files if marks.search(file.read_text(encoding="utf-8"))] == []


def test_importing_fastmlp_is_light() -> None:
    heavy = {"matplotlib", "onnx", "pandas", "safetensors", "scipy", "sklearn", "torch", "tqdm"}
    code = f"import sys, fastmlp; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
