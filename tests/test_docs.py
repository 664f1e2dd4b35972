"""What README, docs and notebooks say is there: links, code, commands, and the words of the glossary."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import vtlab
from tests import between, families
from vtlab.cli.app import app
from vtlab.formats import registry
from vtlab.metrics import METRICS
from vtlab.metrics.families import FAMILIES, judging, register
from vtlab.testing import check_detector, check_format, check_tracker
from vtlab.testing.ledger import random_tracks

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md")]
    + list((ROOT / "docs").rglob("*.md"))
    + list((ROOT / "notebooks").glob("*.ipynb"))
)
MADE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "index.md": "README.md"}
"""Pages of the site that are files of the repository's top."""
OURS = ("metrics", "comparison", "decision", "show", "session", "studio", "experiments", "benchmark.py")
"""Rooms in which no word of a file, a host or a network is at home."""
named = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


@cache
def text_of(page: Path) -> str:
    """The text of a page; of a notebook that of its cells of Markdown."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n\n".join(
        "".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ (.*)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


@named
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() and target.parent == ROOT / "docs" and target.name in MADE:
            target = ROOT / MADE[target.name]
        if not target.exists() and target.parent == ROOT / "docs" / "notebooks":
            target = ROOT / "notebooks" / f"{target.stem}.ipynb"
        if target.parent == ROOT / "docs" / "reference":
            assert target.name == "commands.md" or target.stem.endswith("-parameters"), path
            continue
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


@named
def test_code_names_what_there_is(page):
    """Every Python block can be parsed; what it takes from vtlab exists, and so do the keywords that it gives."""
    for block in re.findall(r"```python\n(.*?)```", text_of(page), re.S):
        tree = ast.parse(block)
        known: dict[str, Any] = {"vtlab": vtlab}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vtlab":
                module = importlib.import_module(node.module)
                for alias in node.names:
                    known[alias.asname or alias.name] = named_in(module, alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                resolved(node, known)
            elif isinstance(node, ast.Call) and (called := resolved(node.func, known)) is not None:
                if inspect.isclass(called) and issubclass(called, Exception):
                    continue  # it takes a message, and has no signature
                parameters = inspect.signature(called).parameters
                if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                    given = {k.arg for k in node.keywords if k.arg}
                    assert given <= set(parameters), f"{page.name}: {ast.unparse(node)}"


@cache
def examples() -> dict[str, str]:
    """The guide's whole files: path -> text. The path is the last one that is named before a block."""
    text = text_of(ROOT / "CONTRIBUTING.md")
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.S))
    paths = [re.findall(r"`((?:vtlab|tests)/[\w/]+\.py)`", text[: m.start()])[-1] for m in blocks]
    assert len(paths) == len(set(paths))
    return {path: m[1] for path, m in zip(paths, blocks, strict=True)}


OWN = {'"least-squares"': '"of-the-guide"', '"dark"': '"of-the-guide"', "centre": "guided"}
"""Names under which nobody is in the way who tries the examples."""


def example(name: str) -> str:
    """The text of the guide's file of this name, under names of its own."""
    (text,) = (text for path, text in examples().items() if path.endswith(f"/{name}.py"))
    for old, new in OWN.items():
        text = text.replace(old, new)
    return text


def passed(tests: str) -> None:
    """Run each test of a text."""
    asked: dict[str, Any] = {}
    exec(tests, asked)
    found = [value for name, value in asked.items() if name.startswith("test_")]
    assert found
    for test in found:
        test()


def test_the_tracker_and_the_detector_that_the_guide_adds_are_sound(tmp_path):
    """They work as they stand, and pass their contracts."""
    for name in ("least_squares", "dark"):
        (tmp_path / f"{name}.py").write_text(example(name), encoding="utf-8")
    results = check_tracker(f"{tmp_path / 'least_squares.py'}:LeastSquares")
    results += check_detector(f"{tmp_path / 'dark.py'}:Dark")
    assert [r for r in results if r.state != "pass"] == []
    passed(example("test_least_squares"))  # the tracker is registered by now


@pytest.fixture
def visdrone(tmp_path):
    """The guide's format as a file of one's own."""
    path = tmp_path / "visdrone.py"
    path.write_text(example("visdrone"), encoding="utf-8")
    return f"{path}:FORMAT"


def test_the_format_that_the_guide_adds_is_sound(visdrone):
    assert {r.check for r in check_format(visdrone) if r.state != "pass"} == {
        "names of two-target sequences are the same everywhere"
    }


def test_the_format_that_the_guide_adds_loses_what_it_says(visdrone, tmp_path, monkeypatch):
    """Of random tracks, as each format holds them; kin that differ by names count once."""
    monkeypatch.setitem(registry._found(), "visdrone", registry.find_format(visdrone))
    kinds = {between.way(name): name for name in between.NAMES}
    for source in (*kinds.values(), "visdrone"):
        begun = between.there_and_back(random_tracks(2), source, tmp_path / source)
        for number, given in enumerate(p for made in begun for p in between.parts(made, "visdrone")):
            assert not between.wrong(given, "visdrone", tmp_path / f"{source}-{number}")


def test_the_family_that_the_guide_adds_is_sound():
    """By its own test, and by what every family is asked."""
    space: dict[str, Any] = {}
    exec(example("centres"), space)
    family = register(space["FAMILY"])
    try:
        passed(example("test_centres"))
        found = families.scored([(family.code, rule) for rule in family.rules])
        families.check_range(found)
        families.check_order(found)
        families.check_names(family.code)
        families.check_unchanged(family.code)
        families.check_record(family.code)
        assert judging("sot", family.rules) == family.code
    finally:
        del FAMILIES[family.code]
        for metric in family.metrics:
            del METRICS[metric.name]


WITH_A_COLUMN = """
import sys
from importlib.machinery import SourceFileLoader

_, above, line, folder = sys.argv
plain = SourceFileLoader.get_code


def get_code(self, name):
    if name != "vtlab.tracks.columns":
        return plain(self, name)
    source = self.get_source(name)
    assert source.count(above) == 1
    return self.source_to_code(source.replace(above, line + above), self.path)


SourceFileLoader.get_code = get_code

import numpy as np
from vtlab.errors import TracksError
from vtlab.tracks import FrameTracks, Tracks

boxes = np.tile([0.0, 0, 4, 4], (3, 1))
given = Tracks.of([0, 0, 1], [1, 2, 1], boxes, depth=[1.5, np.nan, 2.0])
assert given.to_frame()["depth"].tolist()[::2] == [1.5, 2.0]
assert given.of_object(1).depth.tolist() == [1.5, 2.0]
assert FrameTracks.of([1], boxes[:1], depth=[3.0]).columns["depth"].tolist() == [3.0]
joined = Tracks.concat([given, Tracks.of([4], [1], boxes[:1])])
assert np.isnan(joined.depth).tolist() == [False, True, False, True]
try:
    Tracks.of([0], [1], boxes[:1], depth=[-1.0])
except TracksError as error:
    assert "column 'depth' holds numbers from 0 to inf, or NaN where unknown, got -1.0 in row 0" in str(error)
else:
    raise AssertionError("a depth below 0 is taken")
for ending in ("parquet", "json", "csv"):
    back = Tracks.load(given.save(f"{folder}/a.{ending}"))
    np.testing.assert_array_equal(back.depth, given.depth)
"""


def test_the_column_that_the_guide_adds_is_in_views_and_files(tmp_path):
    """A fresh process has it where the guide says: above `attributes`."""
    section = text_of(ROOT / "CONTRIBUTING.md").partition("## Add a column of `Tracks`")[2]
    (line,) = re.findall(r"^    depth: .*\n", section, re.M)
    (above,) = re.findall(
        r"^    attributes: .*\n", (ROOT / "vtlab/tracks/columns.py").read_text("utf-8"), re.M
    )
    command = [sys.executable, "-c", WITH_A_COLUMN, above, line, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("ruff") is None, reason="ruff is not installed: pip install 'vtlab[test]'"
)
def test_the_parts_that_the_guide_adds_pass_the_linter():
    for path, code in examples().items():
        for ask in (["check"], ["format", "--diff"]):
            command = [sys.executable, "-m", "ruff", *ask, "--stdin-filename", str(ROOT / path), "-"]
            done = subprocess.run(command, input=code, capture_output=True, text=True, cwd=ROOT, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # the first run of a checkout reads what the parts import: more than a minute
@pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed: pip install 'vtlab[test]'"
)
def test_the_parts_that_the_guide_adds_have_types(tmp_path):
    """Under their own module names, by which pyproject.toml is strict."""
    paths = [tmp_path / path for path in examples() if path.startswith("vtlab/")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(examples()[path.relative_to(tmp_path).as_posix()], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--explicit-package-bases", *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def named_in(holder: Any, name: str) -> Any:
    """An attribute, or the module below a package."""
    if hasattr(holder, name):
        return getattr(holder, name)
    return importlib.import_module(f"{holder.__name__}.{name}")


def resolved(node: ast.AST, known: dict[str, Any]) -> Any:
    """What a dotted name of vtlab's is; None where it begins with anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if not isinstance(node, ast.Attribute) or (holder := resolved(node.value, known)) is None:
        return None
    return named_in(holder, node.attr) if inspect.ismodule(holder) else getattr(holder, node.attr)


def commands(text: str) -> list[str]:
    """Lines that call vtlab in blocks of code, joined where they go on."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += [line.strip() for line in re.findall(r"^ {4,}(vtlab .*)$", text, re.M)]
    return [line for line in lines if line.startswith("vtlab ")]


@named
def test_commands_have_the_options_that_are_shown(page):
    root = typer.main.get_command(app)
    for line in commands(text_of(page)):
        words = shlex.split(re.split(r" [|>&] | && |;", line)[0], comments=True)[1:]
        command, path = root, ["vtlab"]
        while hasattr(command, "commands"):
            assert words, f"{page.name}: {line}"
            if words[0].startswith("-"):
                break
            assert words[0] in command.commands, f"{page.name}: {line}"
            path.append(words[0])
            command = command.commands[words.pop(0)]
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        given = {w.split("=")[0] for w in words if re.match(r"--?[A-Za-z]", w)}
        assert given <= options, f"{page.name}: {line}: {sorted(given - options)}"


def test_the_page_of_metrics_names_every_family_and_rule():
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    for family in FAMILIES.values():
        assert f"`{family.code}`" in parts["What there is"]
        assert [name for name in family.rules if f"`{name}`" not in parts["Rules"]] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    site = yaml.safe_load(text)
    listed = set(re.findall(r"[\w./-]+\.md", str(site["nav"])))
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    written |= {f"notebooks/{p.stem}.md" for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert written - listed == set()
    made = {*MADE, "experiments-that-ship.md", "reference/commands.md"}
    assert {p for p in listed - written if not p.endswith("-parameters.md")} == made


def glossary() -> list[tuple[str, str, str, list[str]]]:
    """Word, meaning, code and what it isn't called."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|([^|]*)\|$", text, re.M)
    return [(w, m, code, [n.strip() for n in no.split(",") if n.strip()]) for w, m, code, no in rows]


def test_words_have_one_meaning_and_a_place():
    rows = glossary()
    words = [word for word, *_ in rows]
    assert len(rows) > 15
    assert len(words) == len(set(words))
    for word, _, code, _ in rows:
        assert resolved(ast.parse(code, mode="eval").body, {"vtlab": vtlab}) is not None, f"{word}: {code}"


def test_old_words_are_gone():
    """What the glossary rules out stands in no name and no text of these rooms, but where an old name is still taken."""
    lines = [
        (path, line)
        for room in OURS
        for path in (
            [ROOT / "vtlab" / room] if "." in room else sorted((ROOT / "vtlab" / room).rglob("*.py"))
        )
        for line in path.read_text(encoding="utf-8").splitlines()
        if "@renamed(" not in line
        and "old name" not in line
        and "import" not in line
        and "keyframes=" not in line  # of a video file: pictures that need no others
    ]
    said = {(word, old) for word, _, _, instead in glossary() for old in instead}
    assert said
    for word, old in said:
        wrong = [f"{p.name}: {line.strip()}" for p, line in lines if re.search(rf"\b{old}s?\b", line)]
        assert not wrong, f"called {word!r} now: {wrong}"
