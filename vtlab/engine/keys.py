"""Keys by content: what a result depends on, as one hash. Same key, same result, on whatever machine and in whatever folder.

A key covers code, parameters, weights and inputs by what they hold, never by where they lie or when they were written.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import vtlab.errors
from vtlab.errors import ExperimentError
from vtlab.files import file_digest, folder_digest
from vtlab.provenance import versions
from vtlab.registry import Registry
from vtlab.tracks import Tracks
from vtlab.weights import locate
from vtlab.weights.lock import expected

LENGTH = 20
"""Hex digits of a key: 80 bits, so that no two of a million cells meet by chance. A letter before them keeps tables from
taking it for a number."""
_PACKAGE = Path(vtlab.errors.__file__).parent


def key_of(facts: Mapping[str, Any]) -> str:
    """The key of a result that depends on these facts; raises `ExperimentError` for one that has no content to go by."""
    return "c" + digest_of(facts)[:LENGTH]


def digest_of(value: Any) -> str:
    """Hex SHA-256 of a value of plain kinds; raises `ExperimentError` for any other."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON that is the same wherever it is made: arrays by their content, functions by their code.

    Raises:
        ExperimentError: An object that is known by its place in memory only.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": [list(value.shape), str(value.dtype), content]}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(v) for v in value), key=repr)
    if isinstance(value, Path):
        return str(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return {"code": [value.__qualname__, source_of(value)]}
    raise ExperimentError(
        f"{str(value)[:80]!r} ({type(value).__name__}) has no content by which its results could be found again. Remedy: "
        "give numbers, texts, lists, names or file.py:NAME in its place."
    )


def source_of(thing: Any) -> str:
    """Digest of the code of a function or class: of its whole file with what that imports from beside it.

    What is part of vtlab is told by vtlab's own digest. A cell of a notebook has no file: its own lines stand for it.
    """
    try:
        file = inspect.getsourcefile(thing)
    except TypeError:
        file = None
    if file is not None and Path(file).is_relative_to(_PACKAGE):
        return "vtlab"
    if file is not None and Path(file).is_file():
        return code_digest(file)
    try:
        return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()
    except (OSError, TypeError):
        raise ExperimentError(
            f"{getattr(thing, '__qualname__', thing)!s}: its code can't be read, so its results can't be told from those of "
            "another version. Remedy: put it into a file and name it as file.py:NAME."
        ) from None


def code_digest(path: str | Path) -> str:
    """Hex SHA-256 of a Python file and of the files beside it that it imports, theirs too."""
    first = Path(path).resolve()
    found: dict[str, str] = {}
    ahead = [first]
    while ahead:
        file = ahead.pop()
        name = file.relative_to(first.parent).as_posix() if file != first else ""
        if name not in found:
            found[name] = file_digest(file)
            ahead += [
                f for f in _neighbours(file.read_bytes(), file.parent) if f.is_relative_to(first.parent)
            ]
    return digest_of(found)


def imported_beside(code: str, folder: Path) -> dict[str, str]:
    """Name -> digest of the files in `folder` that a notebook's code imports; lines that are no Python are left out."""
    lines = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines())
    return {f.name: code_digest(f) for f in _neighbours(lines.encode(), folder)}


def _neighbours(code: bytes, folder: Path) -> Iterator[Path]:
    """Files in a folder that code imports by name."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return  # it will say so itself, when it runs
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [a.name for a in node.names]
        for top in {n.partition(".")[0] for n in names}:
            for file in (folder / f"{top}.py", folder / top / "__init__.py"):
                if file.is_file():
                    yield file


def package_digest() -> str:
    """What stands for vtlab's own code: its version; where it is installed for editing, with a hash of its files."""
    if _PACKAGE.parent.name in ("site-packages", "dist-packages"):
        return versions()["vtlab"]
    return f"{versions()['vtlab']}+{_package_files()}"


@cache
def _package_files() -> str:
    """Once a process, which goes on with the code that it has loaded."""
    files = sorted(p for p in _PACKAGE.rglob("*") if p.suffix in (".py", ".json") and p.is_file())
    return digest_of({p.relative_to(_PACKAGE).as_posix(): file_digest(p) for p in files})[:16]


def part_facts(registry: Registry, spec: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the answers of a tracker, detector, ... depend on: its code, its parameters and the content of its weights.

    Raises:
        RegistryError: It is unknown.
        ExperimentError: It was made already, or has parameters that have no content to go by.
    """
    card, made = registry.card(spec), registry.find(spec)
    if not isinstance(spec, (str, type)) and not inspect.isfunction(spec):
        raise ExperimentError(
            f"The {registry.kind} {card.name!r} was made already, so its results can't be found again. Remedy: give "
            "its name or class, and its parameters."
        )
    inner = {k: _inner(k, v) for k, v in {**card.options, **params}.items()}
    weights = {file.name: _weights(file) for file in card.weights}
    return {"name": card.name, "code": source_of(made), "params": inner, "weights": weights}


def _inner(name: str, value: Any) -> Any:
    """A parameter; a part that is named in it counts with its own code and weights, a file with its content."""
    from vtlab.registry import REGISTRIES

    for registry in REGISTRIES:
        if name == registry.kind and isinstance(value, (str, type)) and value != "auto":
            return part_facts(registry, value, {})
    return by_content(value, Path())


def _weights(file: Any) -> str:
    path = locate(file)
    return file_digest(path) if path is not None else expected(file)[0] or "missing"


def by_content(value: Any, folder: Path) -> Any:
    """A value in which each text that names a file or folder (from `folder` on) is replaced by what that holds."""
    if isinstance(value, Mapping):
        return {k: by_content(v, folder) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [by_content(v, folder) for v in value]
    path = named_path(value, folder)
    if path is None:
        return value
    return {"content": file_digest(path) if path.is_file() else folder_digest(path)}


def named_path(value: Any, folder: Path) -> Path | None:
    """The file or folder that a text names, from `folder` on; None where it names none.

    A word without a dot or slash is a name of something else, though a file may be called so.
    """
    if not isinstance(value, (str, Path)) or not str(value).strip("./") or "\0" in str(value):
        return None
    if isinstance(value, str) and (len(value) > 1000 or not any(c in value for c in "./\\")):
        return None
    path = folder / Path(value).expanduser()
    try:
        return path if path.is_file() or path.is_dir() else None
    except OSError:
        return None


def tracks_digest(tracks: Tracks | None) -> str:
    """Hex SHA-256 of what tracks say, without when and where they were made; "" for none."""
    if tracks is None:
        return ""
    total = hashlib.sha256()
    for name, values in tracks.columns().items():
        total.update(name.encode())
        if values.dtype == object:
            total.update(repr([_told(v) for v in values.tolist()]).encode())
        else:
            total.update(np.ascontiguousarray(values).tobytes())
    for values in tracks.points.columns().values():
        total.update(np.ascontiguousarray(values).tobytes())
    record = tracks.record
    total.update(repr((record.annotated, record.dense, record.frames, record.rule)).encode())
    return total.hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, tuple):
        return [np.asarray(ring).tolist() for ring in value]
    return sorted(value.items()) if isinstance(value, dict) else value
