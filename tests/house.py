"""The source tree as a graph: who imports whom, who includes whom, who reaches into whom.

Every check returns messages, one for each breach; the orders they check are declared here, once.
"""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "fastmlp"

ORDER = (
    ("__main__", "cli", "sklearn", "many", "bench"),
    ("__init__",),
    ("network",),
    ("_handle",),
    ("_parameters",),
    ("export", "inspect", "plot"),
    ("_fit",),
    ("_data",),
    ("_model",),
    (
        *("activations", "losses", "optimizers", "schedules", "stopping", "augment"),
        *("initializers", "callbacks", "history", "metrics", "splitting", "errors", "config"),
    ),
    ("datasets", "reference"),
    ("_arrays", "_drawing", "_monitor", "_schedule", "_tables"),
    ("_options",),
)
"""The rooms of the package from top to bottom; a room imports from rooms of lower levels only."""

OPEN_LEVELS = (0, 9)
"""Levels whose rooms may import one another too: the command starts the benchmark."""

LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
CORE = "_core"
CORE_ROOMS = ("_model", "_data", "_fit", "config")

LAYERS = ("", "base", "threads", "net", "train")
"""Folders of the engine from bottom to top; "" holds the headers that all of them share."""

KERNELS, KERNELS_MAY = "kernels", ("engine.h", "tuning.h", "base/random.h")


@dataclass(frozen=True)
class Module:
    """A module of the package, by its name below it: ``_fit.session``, ``export.__init__``."""

    name: str
    file: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split(".")[0]

    @property
    def folder(self) -> list[str]:
        return self.name.split(".")[:-1]


def modules(package: Path) -> dict[str, Module]:
    """Return the modules of a package by name; the compiled one has an empty tree."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        name = ".".join(path.with_suffix("").parts)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found[name] = Module(name, path.as_posix(), tree)
    if (package / f"{CORE}.pyx").exists():
        found[CORE] = Module(CORE, f"{CORE}.pyx", ast.Module([], []))
    return found


def imports(module: Module, known: dict[str, Module]) -> Iterator[tuple[int, str]]:
    """Yield (line, module imported), at any depth, for type checkers only as well."""

    def named(path: list[str]) -> str | None:
        """The module of this path: the file itself, or the ``__init__`` of the folder."""
        names = (".".join(path), ".".join([*path, "__init__"]))
        return next((name for name in names if name in known), None)

    def below(dotted: str, level: int) -> list[str] | None:
        """The path below the package; None for a module of somebody else."""
        parts = dotted.split(".") if dotted else []
        if level:
            return module.folder[: len(module.folder) - level + 1] + parts
        return parts[1:] if parts[:1] == [PACKAGE] else None

    for node in ast.walk(module.tree):
        paths: list[list[str] | None] = []
        if isinstance(node, ast.Import):
            paths = [below(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = below(node.module or "", node.level)
            if base is not None:
                inner = [[*base, alias.name] for alias in node.names]
                paths = [path if named(path) else base for path in inner]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                text = argument.value.lstrip(".")
                paths = [below(text, len(argument.value) - len(text))]
        targets = [named(path) or ".".join(path) for path in paths if path is not None]
        yield from ((node.lineno, target) for target in dict.fromkeys(targets))


def upward_imports(known: dict[str, Module]) -> list[str]:
    """Imports that do not go down `ORDER`; the top ``__init__`` may re-export anything."""
    found = []
    for module in known.values():
        if module.name in ("__init__", CORE):
            continue
        if module.room not in LEVEL:
            found.append(f"{module.file} is in no room of the order")
            continue
        for line, target in imports(module, known):
            room, level = target.split(".")[0], LEVEL[module.room]
            if room in (CORE, module.room):
                continue
            lowest = level if level in OPEN_LEVELS else level + 1
            if LEVEL.get(room, -1) < lowest:
                found.append(f"{module.file}:{line} imports {target}")
    return found


def import_cycles(known: dict[str, Module]) -> list[str]:
    """Circles of modules that import one another."""
    return cycles({name: {to for _, to in imports(m, known)} for name, m in known.items()})


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """Circles of a graph, each with all that are in it; empty if there is an order."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += graph.get(node, ())
        return seen

    reach = {node: reached(node) for node in graph}
    circles = {
        frozenset(other for other in reach[node] if node in reach.get(other, ()))
        for node in graph
        if node in reach[node]
    }
    return sorted(" <-> ".join(sorted(circle)) for circle in circles)


def users_of_the_core(known: dict[str, Module]) -> list[str]:
    """Modules that touch the compiled core and are not of `CORE_ROOMS`."""
    return [
        f"{module.file}:{line} imports {CORE}"
        for module in known.values()
        for line, target in imports(module, known)
        if target == CORE and module.room not in CORE_ROOMS
    ]


def uses_of_network(known: dict[str, Module]) -> list[str]:
    """Where a room below the network names its class; the reference has a `Network` of its own."""
    found = []
    for module in known.values():
        below = LEVEL.get(module.room, len(ORDER)) > LEVEL["network"]
        if not below or module.room == "reference":
            continue
        for node in ast.walk(module.tree):
            if "Network" in identifiers(node):
                found.append(f"{module.file}:{getattr(node, 'lineno', 0)} names Network")
    return found


def identifiers(node: ast.AST) -> list[str]:
    """The identifiers that a node itself holds; those of a quoted annotation too."""
    names = [getattr(node, field, None) for field in ("id", "attr", "name", "asname", "arg")]
    for field in ("annotation", "returns"):
        annotation = getattr(node, field, None)
        for part in ast.walk(annotation) if isinstance(annotation, ast.AST) else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                names += re.findall(r"\w+", part.value)
    return [part for name in names if isinstance(name, str) for part in name.split(".")]


def private_reaches(known: dict[str, Module]) -> list[str]:
    """Private members used from outside: ``x._name``, where x is not of the class that has it."""
    found = []
    for module in known.values():
        visitor = _Reaches(module, known)
        visitor.visit(module.tree)
        found += [f"{module.file}:{line} reaches into {what}" for line, what in visitor.found]
    return found


def is_private(name: str) -> bool:
    """Whether a name is private: not a dunder, nor of namedtuples, nor a hook of notebooks."""
    public = name in ("_asdict", "_fields", "_make", "_replace")
    hook = name.endswith("__") or re.fullmatch(r"_repr_\w+_", name)
    return name.startswith("_") and name != "_" and not public and not hook


class _Reaches(ast.NodeVisitor):
    """Collects private reaches; a class may use its own private names on other instances."""

    def __init__(self, module: Module, known: dict[str, Module]) -> None:
        self.module, self.known = module, known
        self.found: list[tuple[int, str]] = []
        self.own: list[set[str]] = []
        self.classes = {n.name: n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)}

    def names_of(self, node: ast.ClassDef) -> set[str]:
        names = {base for base in map(ast.unparse, node.bases) if base in self.classes}
        inherited = [self.names_of(self.classes[base]) for base in names if base != node.name]
        own: set[str] = set()
        for part in ast.walk(node):
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                own.add(part.name)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                if isinstance(part.value, ast.Name) and part.value.id in ("self", "cls"):
                    own.add(part.attr)
        for part in node.body:
            targets = (
                part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
            )
            own |= {target.id for target in targets if isinstance(target, ast.Name)}
        return own.union(*inherited)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.own.append(self.names_of(node))
        self.generic_visit(node)
        self.own.pop()

    def reach(self, line: int, owner: ast.expr, name: str) -> None:
        mine = self.own and (
            ast.unparse(owner) in ("self", "cls", "super()") or name in set().union(*self.own)
        )
        if is_private(name) and not mine:
            self.found.append((line, f"{ast.unparse(owner)}.{name}"))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.reach(node.lineno, node.value, node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        reflects = ast.unparse(node.func).split(".")[-1].strip("_") in (
            *("getattr", "setattr", "hasattr", "delattr"),
        )
        if reflects and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            self.reach(node.lineno, node.args[0], str(node.args[1].value))
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            alone = Module(self.module.name, "", ast.Module([ast.ImportFrom(
                node.module, [alias], node.level, lineno=node.lineno, col_offset=0
            )], []))  # fmt: skip
            is_module = any(
                target.removesuffix(".__init__").split(".")[-1] == alias.name
                for _, target in imports(alone, self.known)
            )
            if is_private(alias.name) and not is_module:
                self.found.append((node.lineno, f"{node.module}.{alias.name}"))


def collapsed_headings(known: dict[str, Module]) -> list[str]:
    """Docstrings in which a heading and its underline have run into the text."""
    found = []
    for module in known.values():
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                if re.search(r"\w -{3,} \S", ast.get_docstring(node) or ""):
                    found.append(f"{module.file}: {getattr(node, 'name', 'the module')}")
    return found


def includes(csrc: Path) -> dict[str, set[str]]:
    """The files of the engine, each with what it includes in quotes."""
    files = sorted(file for file in csrc.rglob("*") if file.suffix in (".c", ".h"))
    quoted = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
    return {
        file.relative_to(csrc).as_posix(): set(quoted.findall(file.read_text(encoding="utf-8")))
        for file in files
    }


def upward_includes(graph: dict[str, set[str]]) -> list[str]:
    """Includes that do not go down `LAYERS`, or that leave the kernels for more than they may."""
    allowed, waiting = set(KERNELS_MAY), list(KERNELS_MAY)
    while waiting:
        new = graph.get(waiting.pop(), set()) - allowed
        allowed |= new
        waiting += new
    found = []
    for file, included in graph.items():
        folder = file.rpartition("/")[0].split("/")[0]
        if folder not in (*LAYERS, KERNELS):
            found.append(f"{file} is in no folder of the order")
        for other in sorted(included):
            home = other.rpartition("/")[0].split("/")[0]
            if other not in graph:
                found.append(f"{file} includes {other}, which is not there")
            elif KERNELS in (folder, home):
                if folder != KERNELS or (home != KERNELS and other not in allowed):
                    found.append(f"{file} includes {other}")
            elif folder in LAYERS and LAYERS.index(home) > LAYERS.index(folder):
                found.append(f"{file} includes {other}")
    return found + cycles(graph)


def index_gaps(csrc: Path) -> list[str]:
    """Files that the index at the top of fastmlp.h leaves out, and names there of no file.

    A name may be a pattern (``sparse*.h``, ``network.[ch]``), and ``<isa>`` stands for any word.
    """
    index = (csrc / "fastmlp.h").read_text(encoding="utf-8").partition("*/")[0]
    names = re.findall(r"[\w<>*/-]+\.(?:\[ch\]|[ch]\b)", index)
    patterns = {name: re.sub(r"<\w+>", "*", name) for name in names}
    files = list(includes(csrc))

    def fits(file: str, pattern: str) -> bool:
        whole = file if "/" in pattern else file.rpartition("/")[2]
        return fnmatch.fnmatchcase(whole, pattern)

    missing = [f for f in files if not any(fits(f, pattern) for pattern in patterns.values())]
    stale = [n for n, pattern in patterns.items() if not any(fits(f, pattern) for f in files)]
    return [f"{file} is not in the index" for file in missing] + [
        f"{name} is in the index and nowhere else" for name in stale
    ]
