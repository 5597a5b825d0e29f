"""The documentation is true and readable: examples run, names exist, pages keep their limits."""

from __future__ import annotations

import ast
import csv
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CORE, PACKAGE, REFERENCE = "csrc", "src/fastmlp", "src/fastmlp/reference"
ENTRY = re.compile(r"`([\w/]+\.(?:c|h|py))(?::([\w.]+))?`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXPERIMENT = re.compile(r"\bT\d{3}\b")

# Pages whose file names in backticks must exist; those of equations.md have a test of their own.
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/design.md",
    "docs/training.md",
    "docs/engine/determinism.md",
    "docs/engine/kernels.md",
    "docs/engine/layouts.md",
    "docs/engine/threads.md",
    "docs/tuning/README.md",
)
WIDTH, SITTING = 100, 150

# The words that are ours, and old ones for which the field has a word: pattern, the word to use.
GLOSSARY = ("panel", "column block", "rows phase", "weights phase")
OLD_WORDS = {
    r"twins?": "double buffering, or replica",
    r"the books": "bookkeeping",
    r"(?:ask(?:s|ed|ing)?|copied) (?:early|ahead)": "prefetch, or double buffering",
    r"asked for (?:early|ahead)": "prefetch",
    r"meetings?|meet at": "barrier, or barrier latency",
    r"tak(?:es?|en|ing) pieces|in pieces|piece by piece": "work stealing, or blocks",
    r"zeros (?:are|were) left out|leav(?:es?|ing) out zeros": "zero skipping",
    r"(?:thread|core)'s share|shared out": "partition",
}

# What each example must print, so that it is seen to have done its work.
EXAMPLES = {
    "backpropagation.py": r"agree\.",
    "digits.py": r"Test accuracy 0\.9[7-9]\d\d(?s:.*)the same to the last bit",
    "fashion_mnist.py": r"affine maps, dropout 0\.1 ",
    "gradient_descent.py": r"\nstochastic .* 0\.9\d+\n",
    "perceptron.py": r"AND: learnt(?s:.*) OR: learnt(?s:.*)XOR: not learnt(?s:.*)"
    r"XOR with 4 hidden units",
    "regression.py": r"between the quantiles 0\.1 and 0\.9 lie [78]\d",
}
SLOW = {"fashion_mnist.py"}


def prose(root: Path) -> list[Path]:
    """Return the pages of the documentation."""
    return sorted(
        [
            *root.glob("*.md"),
            *root.glob("docs/**/*.md"),
            *root.glob("examples/**/*.md"),
            root / "bench/README.md",
        ]
    )


def sources(root: Path) -> list[Path]:
    """Return the sources whose comments refer to the documentation."""
    found = [*(root / CORE).rglob("*.[ch]"), *(root / PACKAGE).rglob("*.py*"), root / "setup.py"]
    # Not what Cython and Python make of them.
    return sorted(
        path for path in found if path.suffix in (".c", ".h", ".py", ".pyx", ".pyi", ".pxd")
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


def test_examples_of_training(checkout: Path, tmp_path: Path) -> None:
    text = (checkout / "docs/training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) >= 6
    # Ctrl-C comes a tenth of a second into the training of the block that waits for it.
    (interrupted,) = [i for i, block in enumerate(blocks) if "except KeyboardInterrupt" in block]
    blocks[interrupted] = (
        "import _thread, threading\n"
        "threading.Timer(0.1, _thread.interrupt_main).start()\n" + blocks[interrupted]
    )
    (tmp_path / "training.py").write_text("\n".join(blocks), encoding="utf-8")
    printed = run([sys.executable, "training.py"], tmp_path)
    assert re.match(r"interrupted 0\.\d+\n", printed), printed
    assert "resume" in printed, printed


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


def test_every_page_of_the_design_is_checked(checkout: Path) -> None:
    pages = {str(page.relative_to(checkout)) for page in (checkout / "docs/engine").glob("*.md")}
    assert pages and pages <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_files_in_backticks_exist(checkout: Path, name: str) -> None:
    folders = ("", "bench", CORE, PACKAGE, REFERENCE, "tests", "examples", "docs")
    text = (checkout / name).read_text(encoding="utf-8")
    files = re.findall(r"`([\w./]+\.(?:c|h|py|pyx|md|toml|csv))`", text)
    assert [
        file
        for file in files
        if not any((checkout / folder / file).is_file() for folder in folders)
    ] == []


def test_pages_and_headings_named_in_sources_exist(checkout: Path) -> None:
    missing = []
    for path in sources(checkout):
        # A comment goes on in the next line after " * " or "# ".
        text = re.sub(r"\n\s*(?:\*|#)? ?", " ", path.read_text(encoding="utf-8"))
        for name, heading in re.findall(r'\b(docs/[\w/]+\.md)\b(?:, "([^"]+)")?', text):
            page = checkout / name
            if not page.is_file() or (heading and anchor(heading) not in anchors(page)):
                missing.append(f"{path.relative_to(checkout)}: {name} {heading}")
    assert missing == []


def test_table_of_folders_is_whole(checkout: Path) -> None:
    text = (checkout / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w/]+)/` \|", text, flags=re.M)
    assert [folder for folder in listed if not (checkout / folder).is_dir()] == []
    headers = {path.parent for path in (checkout / CORE).rglob("*.[ch]")}
    packages = {path.parent for path in (checkout / PACKAGE).rglob("__init__.py")}
    tests = {path.parent for path in (checkout / "tests").rglob("test_*.py")}
    folders = {str(path.relative_to(checkout)) for path in headers | packages | tests}
    assert folders - set(listed) == set()


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page get."""
    return set(map(anchor, re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)))


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


def test_pages_are_read_in_one_sitting(checkout: Path) -> None:
    pages = [checkout / "docs/design.md", *(checkout / "docs/engine").glob("*.md")]
    lengths = {page.name: len(page.read_text(encoding="utf-8").splitlines()) for page in pages}
    assert {name: length for name, length in lengths.items() if length > SITTING} == {}


def too_wide(line: str) -> bool:
    """Whether a line is too wide. Rows of tables may be; the address of a link does not count."""
    visible = re.sub(r"\]\([^)\s]+\)|<https?://[^>\s]+>", "]", line)
    return len(visible) > WIDTH and not line.startswith("|")


def test_lines_fit(checkout: Path) -> None:
    assert too_wide("x" * 101) and not too_wide("x" * 100)
    assert not too_wide("| " + "x" * 101) and too_wide("  | " + "x" * 101)
    assert not too_wide(f"see [it]({'x' * 100})") and too_wide(f"[{'x' * 101}](it)")
    wide = []
    for page in prose(checkout):
        lines = page.read_text(encoding="utf-8").splitlines()
        name = page.relative_to(checkout)
        wide += [f"{name}:{number}" for number, line in enumerate(lines, 1) if too_wide(line)]
    assert wide == []


def test_words_are_the_fields(checkout: Path) -> None:
    design = (checkout / "docs/design.md").read_text(encoding="utf-8")
    glossary = design.partition("## Glossary")[2]
    assert [word for word in GLOSSARY if f"\n| {word} |" not in glossary] == []
    found = []
    for page in [*prose(checkout), checkout / "docs/tuning/log.csv"]:
        text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
        for old, word in OLD_WORDS.items():
            found += [
                f"{page.name}: {match[0]!r}; the word is {word}"
                for match in re.finditer(rf"\b(?:{old})\b", text, flags=re.I)
            ]
    assert found == []


def test_log_of_experiments(checkout: Path) -> None:
    with open(checkout / "docs/tuning/log.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = ["id", "what", "builds", "shapes", "ratio", "range", "decision"]
    assert header in (columns, [*columns, "date"])
    assert len(rows) >= 200
    assert [row for row in rows if len(row) != len(header)] == []
    log = [dict(zip(header, row, strict=True)) for row in rows]
    ids = [row["id"] for row in log]
    assert [name for name in ids if not EXPERIMENT.fullmatch(name)] == []
    assert [pair for pair in itertools.pairwise(ids) if pair[0] >= pair[1]] == []  # so unique, too
    for row in log:
        assert row["what"] and row["builds"] and row["shapes"], row
        assert row["decision"] in ("kept", "dropped", "bounded"), row
        assert not row["ratio"] or 0 < float(row["ratio"]) < 100, row
        if row["range"]:
            low, high = map(float, row["range"].split(".."))
            assert 0 < low <= float(row["ratio"]) <= high, row
        if row.get("date"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"]), row


def test_experiments_that_are_cited_are_in_the_log(checkout: Path) -> None:
    with open(checkout / "docs/tuning/log.csv", newline="", encoding="utf-8") as file:
        there = {row["id"] for row in csv.DictReader(file)}
    texts = {
        path: path.read_text(encoding="utf-8") for path in [*prose(checkout), *sources(checkout)]
    }
    cited = {(path.name, name) for path, text in texts.items() for name in EXPERIMENT.findall(text)}
    assert len({name for _, name in cited}) > 50
    assert {(page, name) for page, name in cited if name not in there} == set()


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
