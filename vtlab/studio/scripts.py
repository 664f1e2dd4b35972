"""Scripts and style sheets of the widgets: one module for the browser, put together from files of one purpose each."""

from __future__ import annotations

import re
from pathlib import Path

from vtlab.errors import VtlabError

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import\s*(?:\{[^}]*\}\s*from\s*)?"\./([\w.]+)";\n', re.M)
TYPES = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/\n", re.M | re.S)
EXPORT = re.compile(r"^export (?!default\b)", re.M)


def script(*names: str) -> str:
    """The scripts named and all that they import, as one module: a widget's module is text that can't import files.

    Names of the top level are shared, so no two files give the same one to different things (a test holds this); cyclic
    imports are refused.
    """
    parts: dict[str, str] = {}
    for name in names:
        _gather(name, parts, ())
    return "\n".join(parts.values())


def _gather(name: str, parts: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise VtlabError(f"{name}: the scripts import each other in a circle: {' > '.join((*above, name))}.")
    if name in parts:
        return
    text = (HERE / name).read_text(encoding="utf-8")
    for needed in IMPORT.findall(text):
        _gather(needed, parts, (*above, name))
    parts[name] = TYPES.sub("", EXPORT.sub("", IMPORT.sub("", text)))


def styles(*names: str) -> str:
    """The style sheets named, as one."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
