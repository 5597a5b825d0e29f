"""The documentation is true: the README's example runs, names and links exist, the examples run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CORE, PACKAGE, REFERENCE = "csrc", "src/fastmlp", "src/fastmlp/reference"
ENTRY = re.compile(r"`([\w/]+\.(?:c|h|py))(?::([\w.]+))?`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

# What each example must print, so that it is seen to have done its work.
EXAMPLES = {
    "backpropagation.py": r"agree\.",
    "digits.py": r"Test accuracy 0\.9[7-9]\d\d(?s:.*)the same to the last bit",
    "fashion_mnist.py": r"affine maps, dropout 0\.1 ",
    "gradient_descent.py": r"\nstochastic .* 0\.9\d+\n",
    "perceptron.py": r"AND: learnt(?s:.*) OR: learnt(?s:.*)XOR: not learnt(?s:.*)XOR with 4 hidden",
    "regression.py": r"between the quantiles 0\.1 and 0\.9 lie [78]\d",
}
SLOW = {"fashion_mnist.py"}


def prose(root: Path) -> list[Path]:
    """Return the pages of the documentation."""
    return sorted(
        [
            *root.glob("*.md"),
            *root.glob("docs/*.md"),
            *root.glob("examples/**/*.md"),
            root / "bench/README.md",
        ]
    )


def run(command: list[str | Path], folder: Path) -> str:
    """Run a program without a terminal and return what it printed."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def defined(path: Path) -> set[str]:
    """Return the names of functions and classes in a file, and of methods as Class.method."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".c", ".h"):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        # At the start of a line, a type and a name before a parenthesis.
        return set(re.findall(r"^(?:[\w*]+[ *]+)+(\w+)\(", text, flags=re.M))
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef)
            }
    return names


def equations(root: Path) -> list[tuple[str, str, str]]:
    """Return (heading of the column, file, function or "") of every entry in equations.md."""
    entries, headings = [], []
    for line in (root / "docs/equations.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if "core" in cells:
            headings = cells
        assert not cells or len(cells) == len(headings), line
        for heading, cell in zip(headings, cells, strict=False):
            entries += [(heading, *entry) for entry in ENTRY.findall(cell)]
    return entries


def test_example_of_the_readme(checkout: Path, tmp_path: Path) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (checkout / "README.md").read_text(encoding="utf-8"), flags=re.S
    )
    assert len([line for line in code.splitlines() if line]) <= 10
    printed = run([sys.executable, "-c", code], tmp_path)
    assert float(re.search(r"'accuracy': ([\d.]+)", printed)[1]) > 0.95
    assert (tmp_path / "digits.safetensors").exists()


def test_functions_in_equations_exist(checkout: Path) -> None:
    entries = equations(checkout)
    assert len(entries) > 150
    missing = []
    for heading, file, function in entries:
        c = CORE if file.endswith((".c", ".h")) else PACKAGE
        room = checkout / {"core": c, "reference": REFERENCE, "tests": "tests"}[heading]
        if not any(not function or function in defined(path) for path in room.rglob(file)):
            missing.append(f"{file}:{function}")
    assert missing == []


def test_every_option_has_its_equation(checkout: Path) -> None:
    from fastmlp import activations, augment, initializers, losses, optimizers, schedules

    text = (checkout / "docs/equations.md").read_text(encoding="utf-8")
    rows = {
        name
        for cell in re.findall(r"^\| ([^|]+) \|", text, flags=re.M)
        for name in re.split(r"[, ]+", cell)
    }
    tables = (activations.ACTIVATIONS, losses.LOSSES, optimizers.OPTIMIZERS, schedules.SCHEDULES)
    names = {name for table in tables for name in table} | set(initializers.INITIALIZERS)
    assert names - rows == set()
    kinds = {"noise": "noise", "mask": "masking", "affine": "affine"}
    assert set(augment.AUGMENTATIONS) == set(kinds) and set(kinds.values()) <= rows


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "design.md"])
def test_files_in_backticks_exist(checkout: Path, name: str) -> None:
    page = next(
        path for path in prose(checkout) if path.name == name and path.parent.name != "bench"
    )
    folders = ("", "bench", CORE, PACKAGE, REFERENCE, "tests", "examples", "docs")
    files = re.findall(r"`([\w./]+\.(?:c|h|py|pyx|md|toml))`", page.read_text(encoding="utf-8"))
    assert [
        file
        for file in files
        if not any((checkout / folder / file).is_file() for folder in folders)
    ] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(checkout: Path) -> None:
    broken = []
    for page in prose(checkout):
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            if link.startswith(("http://", "https://")):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file) if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(checkout)}: {link}")
    assert broken == []


def test_every_example_is_listed(checkout: Path) -> None:
    assert {path.name for path in (checkout / "examples").glob("*.py")} == set(EXAMPLES)
    listed = (checkout / "examples/README.md").read_text(encoding="utf-8")
    assert [name for name in EXAMPLES if f"[`{name}`]({name})" not in listed] == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXAMPLES],
)
def test_example_runs(checkout: Path, tmp_path: Path, name: str) -> None:
    arguments = ["--output", tmp_path / "digits.safetensors"] if name == "digits.py" else []
    printed = run([sys.executable, checkout / "examples" / name, *arguments], tmp_path)
    assert re.search(EXAMPLES[name], printed), printed
