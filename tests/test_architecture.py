"""What keeps the house small: the direction of dependence of docs/architecture.md and the counts beside it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import vtlab
from tests.blocked import missing

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT / "vtlab"
LEVELS = """
errors
files geometry masks provenance
video
tracks
prompts
contracts
registry
weights
sequence
nets formats
detectors association segmenters metrics datasets
trackers
show
engine session
comparison benchmark
decision
deploy
experiments
serve studio
testing
cli
__main__
"""
"""From the bottom up; a room imports only what stands above its own line here."""
LEVEL = {room: i for i, line in enumerate(LEVELS.split("\n")) for room in line.split()}
MOST_LINES, MOST_ROOT_MODULES, MOST_NAMES, MOST_COMMANDS, MOST_DEPENDENCIES = 500, 10, 35, 16, 17


def name(path: Path) -> str:
    """The dotted name of a module."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """The room of a module, "" for the public face (`vtlab` itself)."""
    return [*module.split("."), ""][1]


FILES = {name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def trees() -> dict[str, ast.Module]:
    """Every module parsed; not at import, since each process that collects the tests would do it."""
    return {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}


def imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str, str]]:
    """(statement, module, name) of every import of the package, also inside functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vtlab":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (node, inner, "") if inner in FILES else (node, node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            yield from ((node, a.name, "") for a in node.names if a.name.startswith("vtlab."))


def report(found: set[str]) -> None:
    assert not found, "\n".join(sorted(found))


def test_every_room_has_a_level():
    assert {room(m) for m in FILES} - {""} <= set(LEVEL)


def test_imports_point_downwards_and_never_sideways():
    """What is offered from below (`Tracks.player`) goes through the public face: `import vtlab`, inside the method."""
    wrong = set()
    for module, tree in trees().items():
        here = room(module)
        if not here:
            continue
        for _, other, what in imports(tree):
            there = room(other)
            if not there:
                wrong.add(f"{here} imports {what} from vtlab itself")
            elif there != here and LEVEL[there] >= LEVEL[here]:
                wrong.add(f"{here} imports {there}")
    report(wrong)


def test_nothing_private_is_imported_from_another_room():
    wrong = set()
    for module, tree in trees().items():
        for _, other, what in imports(tree):
            parts = [*other.split("."), what]
            if room(other) != room(module) and any(re.match("_[^_]", p) for p in parts):
                wrong.add(f"{room(module)} imports private {other} {what}".strip())
    report(wrong)


def test_modules_make_no_circle():
    """Counted over all imports that run, also those inside functions."""
    after: dict[str, set[str]] = {}
    for module, tree in trees().items():
        blocks = [
            b for b in ast.walk(tree) if isinstance(b, ast.If) and "TYPE_CHECKING" in ast.unparse(b.test)
        ]
        types = {id(n) for block in blocks for n in ast.walk(block)}
        after[module] = {other for node, other, _ in imports(tree) if id(node) not in types} & set(FILES)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for other in after[ahead.pop()] - seen:
                seen.add(other)
                ahead.append(other)
        return seen

    inside = {m: {o for o in after[m] if m in reached(o)} for m in after if m != "vtlab"}
    report({f"circle {m} -> {o}" for m, others in inside.items() for o in others})


def test_files_are_short_and_the_root_is_small():
    lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in _sources()}
    report({f"long {p.relative_to(PROJECT).as_posix()}" for p, n in lines.items() if n > MOST_LINES})
    assert len([p for p in ROOT.glob("*.py") if p.name != "__init__.py"]) <= MOST_ROOT_MODULES


def _sources() -> list[Path]:
    return [p for d in ("vtlab", "tests", "benchmarks", ".ci") for p in (PROJECT / d).rglob("*.py")]


def test_no_rulers_stand_between_sections():
    """A file that needs them is two files."""
    rulers = [str(p) for p in _sources() if re.search(r"(?m)^ *# ?[-=#]{2,}", p.read_text(encoding="utf-8"))]
    assert not rulers


def test_no_room_has_the_name_of_a_public_verb():
    """A module of that name would replace the function, which is imported when it is first used."""
    lacking = set()
    for found in pkgutil.walk_packages(vtlab.__path__, "vtlab."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                lacking.add(missing(error))
    for public in vtlab.__all__:
        value = getattr(vtlab, public)
        assert not isinstance(value, ModuleType), public
        assert callable(value) or public == "__version__", public
    if lacking:
        pytest.skip(f"all rooms but those that need {', '.join(sorted(lacking))}, which isn't installed")


def test_the_surface_stays_small():
    import typer

    from vtlab.cli import app

    assert len(vtlab.__all__) <= MOST_NAMES
    commands = typer.main.get_command(app).commands
    assert 10 < len([name for name, command in commands.items() if not command.hidden]) <= MOST_COMMANDS
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) <= MOST_DEPENDENCIES


def test_no_test_imports_another_test_or_a_benchmark():
    wrong = set()
    for path in [*(PROJECT / "tests").rglob("*.py"), *(PROJECT / "benchmarks").rglob("*.py")]:
        here = path.relative_to(PROJECT)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = [f"{node.module}.{a.name}" for a in node.names]
            else:
                found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for other in found:
                top, *rest = other.split(".")
                tests = top == "tests" and re.search(r"\.(test_|conftest)", other)
                if tests or (top == "benchmarks" and here.parts[0] == "tests"):
                    wrong.add(f"{here.as_posix()} imports {top}.{'.'.join(rest[:-1])}")
    report(wrong)


HEAVY = {"torch", "transformers", "sam2", "cutie", "onnxruntime", "matplotlib", "papermill", "anywidget"}


def test_rooms_and_registered_parts_are_imported_without_heavy_packages():
    def at_once(module: str) -> set[str]:
        """What a module imports at its top level: names of packages, and modules of vtlab."""
        found: set[str] = set()
        body = ast.Module([n for n in trees()[module].body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        for node in body.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found |= {n.split(".")[0] for n in names}
        return found | {other for _, other, _ in imports(body)} & set(FILES)

    wrong = set()
    for module, path in FILES.items():
        light = path.name == "__init__.py" or "\n@register" in path.read_text(encoding="utf-8")
        if not light or room(module) == "nets":
            continue
        seen, ahead = {module}, [module]
        while ahead:
            found = at_once(ahead.pop())
            wrong |= {f"{module} imports {package}" for package in found & HEAVY}
            ahead += (found & set(FILES)) - seen
            seen |= found
    report(wrong)
