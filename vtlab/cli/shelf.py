"""The cards of a list as they were read the last time, so that `vtlab list` imports no tracker to print them.

They hold as long as no module of vtlab, no folder of packages and no interpreter is another, and are kept only where all
parts are vtlab's own: those of other packages could change unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import vtlab
from vtlab.errors import WriteError

Facts = dict[str, Any]


def facts_of(kind: str, told: Callable[[Any], Facts]) -> list[Facts]:
    """What is printed of every card of a kind of part.

    Args:
        kind: "trackers", "detectors", "associators" or "segmenters".
        told: From a card to what is printed of it, JSON values.
    """
    from vtlab.files import cache_folder, write_whole

    place, key = cache_folder("lists") / "cards.json", _key()
    with contextlib.suppress(
        OSError, ValueError, LookupError, TypeError
    ):  # none, or damaged: they are read anew
        kept = json.loads(place.read_text("utf-8"))
        if kept["key"] == key:
            return list(kept["cards"][kind])
    from vtlab.provenance import plain
    from vtlab.registry import REGISTRIES

    found = {f"{r.kind}s": [plain(told(card)) for card in r.cards()] for r in REGISTRIES}
    if all(r.is_vtlabs for r in REGISTRIES):
        with contextlib.suppress(WriteError, TypeError, ValueError):
            write_whole(place, json.dumps({"key": key, "cards": found}))
    return found[kind]


def _key() -> str:
    """What cards depend on: the modules of vtlab, what is installed, and the interpreter."""
    told = [
        vtlab.__version__,
        sys.version,
        *(f"{p} {p.stat().st_mtime_ns}" for p in map(Path, sys.path) if p.exists()),
    ]
    told += sorted(_modules(os.path.dirname(vtlab.__file__)))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _modules(folder: str) -> Iterator[str]:
    with os.scandir(folder) as inside:
        for entry in inside:
            if entry.is_dir():
                yield from _modules(entry.path)
            elif entry.name.endswith(".py"):
                about = entry.stat()
                yield f"{entry.path} {about.st_mtime_ns} {about.st_size}"
