"""The direction of dependence of docs/architecture.md: nothing imports what stands above it, or beside it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "vtlab"
LEVELS = (
    {"errors", "geometry", "masks", "provenance"},
    {"prompts", "tracks", "video", "_decode"},
    {"protocols", "figures", "draw", "_sheet"},
    {"registry", "weights", "checkpoints", "device", "memory"},
    {"nets", "formats"},
    {"trackers", "detectors", "association", "segmenters", "metrics", "datasets"},
    {"run", "folders", "plot", "export"},
    {"comparison", "session", "lab"},
    {"report", "doctor", "widgets"},
    {"cli", "__main__", "__init__"},
)
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
# Rooms on one line that may use each other: the parts of one kind of work.
TOGETHER = (
    {"errors", "geometry", "masks", "provenance"},
    {"prompts", "tracks", "video", "_decode"},
    {"protocols", "figures", "draw"},
    {"registry", "weights", "checkpoints", "device", "memory"},
    {"trackers", "detectors", "association", "segmenters"},
    {"cli", "__main__", "__init__"},
)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms that a file imports when it runs (type checking apart)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vtlab":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("vtlab.")}
    return found


def test_every_room_has_a_level():
    rooms = {room(p) for p in ROOT.rglob("*.py")}
    assert rooms <= set(LEVEL), rooms - set(LEVEL)


def test_imports_point_downwards():
    wrong = []
    for path in ROOT.rglob("*.py"):
        here = room(path)
        for other in imports(path) - {here} & set(LEVEL):
            allowed = LEVEL[other] < LEVEL[here] or any({here, other} <= group for group in TOGETHER)
            # `Comparison` and `Tracks` offer their report, player and session as methods, imported when called.
            if not allowed and (here, other) not in {
                ("comparison", "report"),
                ("comparison", "widgets"),
                ("tracks", "widgets"),
            }:
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_torch_is_imported_late():
    """Only networks import torch when they are imported."""
    heavy = {"torch", "transformers", "sam2", "cutie", "onnxruntime", "matplotlib", "papermill", "anywidget"}
    wrong = []
    for path in ROOT.rglob("*.py"):
        if room(path) in ("nets", "widgets") or (path.name.startswith("_") and path.name != "__init__.py"):
            continue  # private parts are imported when a tracker is made
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{path.relative_to(ROOT)}: {n}" for n in names if n.split(".")[0] in heavy]
    assert not wrong, wrong
