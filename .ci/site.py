"""The pages of the documentation that are written nowhere: `mkdocs.yml` calls this hook, `make docs` builds the site.

README, CONTRIBUTING, SECURITY and the changelog are pages of the site as they stand in the repository, with their links
turned to the site's; the notebooks are pages with the outputs that `.ci/render_notebooks.py` has made before. From the
code itself come the command line, every part's parameters (the docstrings of its class) and the public names of every
room.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RENDERED = ROOT / "build" / "notebooks"
AS_THEY_STAND = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "experiments-that-ship.md": "experiments/README.md",
}
INNER = {"cli", "nets", "testing"}
"""Rooms whose modules nobody imports for work: commands (they have a page), modules of networks, the kit of tests."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and their places in the navigation."""
    pages: dict[str, str | bytes] = {
        target: moved((ROOT / source).read_text(encoding="utf-8"), source, target)
        for target, source in AS_THEY_STAND.items()
    }
    pages["reference/commands.md"] = commands()
    pages |= dict(parts())
    rooms_ = dict(rooms())
    pages |= {f"reference/{name}.md": text for name, text in rooms_.items()}
    pages |= dict(notebooks())
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    fill(config.nav or [], "Rooms", [{name: f"reference/{name}.md"} for name in rooms_])
    return files


def fill(nav: list[Any], title: str, pages: list[dict[str, str]]) -> None:
    """Put pages under a title of the navigation."""
    for entry in nav:
        if isinstance(entry, dict):
            for name, below in entry.items():
                if name == title:
                    below[:] = pages
                elif isinstance(below, list):
                    fill(below, title, pages)


def moved(text: str, source: str, target: str) -> str:
    """The text of a file of the repository with its links as they are on the site.

    What has no page there (folders, code, specifications) is named, not linked.
    """
    here, pages = (ROOT / source).parent, {v: k for k, v in AS_THEY_STAND.items()}
    up = "../" * target.count("/")

    def place(path: str) -> str | None:
        where = (here / path).resolve()
        if not where.is_relative_to(ROOT):
            return None
        lies = where.relative_to(ROOT).as_posix()
        if lies in pages:
            return up + pages[lies]
        if lies.startswith("docs/"):
            return up + lies.removeprefix("docs/")
        return up + lies.replace(".ipynb", ".md") if lies.startswith("notebooks/") else None

    def link(found: re.Match[str]) -> str:
        mark, label, path, anchor = found[1], found[2], found[3], found[4] or ""
        if "://" in path or not path:
            return found[0]
        to = place(path)
        return f"{mark}[{label}]({to}{anchor})" if to is not None else label

    return re.sub(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)]*)?\)", link, text)


def commands() -> str:
    """Every command with its options, from the command line itself."""
    import typer

    from vtlab.cli.app import app

    lines = [
        "# Command line",
        "",
        "`--help` says the same of each. Exit codes: 0 done, 1 an error of the input or the",
    ]
    lines += ["set-up, 2 wrong usage, 3 stopped half-way with the partial result kept, 130 Ctrl-C.", ""]
    root = typer.main.get_command(app)
    for path, command in walk(root, "vtlab"):
        lines += [f"## {path}", "", plain(command.help or ""), ""]
        if rows := [row(p) for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]:
            lines += ["| parameter | what it is |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands below a group, each with its name as it is typed; the hidden ones are left out."""
    for name in sorted(getattr(command, "commands", {})):
        inner = command.commands[name]
        if inner.hidden:
            continue
        if hasattr(inner, "commands"):
            yield from walk(inner, f"{path} {name}")
        else:
            yield f"{path} {name}", inner


def row(parameter: Any) -> str:
    """One row of a command's table."""
    names = ", ".join(f"`{o}`" for o in parameter.opts if o.startswith("-")) or f"`{parameter.name.upper()}`"
    told = plain(getattr(parameter, "help", None) or "")
    if parameter.default not in (None, False, "", (), []) and not callable(parameter.default):
        told += f" Default: `{getattr(parameter.default, 'value', parameter.default)}`."
    return f"| {names} | {told} |".replace("\n", " ")


def plain(text: str) -> str:
    """Help as Markdown: no marks of rich; a title in bold, its lines as code."""
    text = inspect.cleandoc(text.replace("\b", ""))
    text = re.sub(r"\[bold\](.*?)\[/\]", r"**\1**", text)
    text = re.sub(r"\[/?(?:\w+)?\]", "", text)
    text = re.sub(r"\n{2,}(?=  vtlab )", "\n", text)
    return re.sub(r"^  (vtlab .*)$", r"    \1", text, flags=re.M).replace(
        "**Examples**\n", "**Examples**\n\n"
    )


def parts() -> Iterator[tuple[str, str]]:
    """A page of each kind of part: what every one takes, from the docstrings of its class."""
    from vtlab.cli.parts import part_facts
    from vtlab.registry import REGISTRIES

    for registry in REGISTRIES:
        kind = f"{registry.kind}s"
        lines = [f"# {kind.capitalize()}", "", f"`vtlab list {kind}` and `vtlab info NAME` say the same.", ""]
        for card in sorted(registry.cards(), key=lambda c: c.name):
            facts = part_facts(card.name)
            paper = f" [Paper]({card.paper_url})." if card.paper_url else ""
            needs = f" Needs the extra `{card.requires}`." if card.requires else ""
            lines += [f"## {card.name}", "", f"{card.summary}{paper}{needs} Licence: {card.licence}.", ""]
            if facts["parameters"]:
                meaning = facts.get("meaning", {})
                lines += ["| parameter | unless given | what it is |", "|---|---|---|"]
                for name, value in facts["parameters"].items():
                    unless = value if value == "(must be given)" else f"`{value!r}`"
                    lines.append(f"| `{name}` | {cell(unless)} | {cell(meaning.get(name, ''))} |")
                lines += [""]
        yield f"reference/{kind}-parameters.md", "\n".join(lines)


def cell(text: str) -> str:
    """A text in one cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def rooms() -> Iterator[tuple[str, str]]:
    """A page of each room: every public name of its modules."""
    import vtlab

    for module in sorted(pkgutil.iter_modules(vtlab.__path__), key=lambda m: m.name):
        if module.name in INNER or module.name.startswith("_"):
            continue
        options = "{show_submodules: true}" if module.ispkg else "{}"
        yield module.name, f"# vtlab.{module.name}\n\n::: vtlab.{module.name}\n    options: {options}\n"


def notebooks() -> Iterator[tuple[str, str | bytes]]:
    """The notebooks as they were rendered, or their text where nobody did."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        done = RENDERED / f"{path.stem}.md"
        if done.is_file():
            text = done.read_text(encoding="utf-8")
        else:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            text = "\n\n".join(
                "".join(c["source"])
                if c["cell_type"] == "markdown"
                else f"```python\n{''.join(c['source'])}\n```"
                for c in cells
            )
        yield f"notebooks/{path.stem}.md", moved(text, f"notebooks/{path.name}", f"notebooks/{path.stem}.md")
    for folder in (ROOT / "notebooks" / "images", *RENDERED.glob("*_files")):
        for picture in sorted(folder.glob("*")):
            yield f"notebooks/{folder.name}/{picture.name}", picture.read_bytes()
