"""A lock of digests that grows by use: what was fetched, from where, and whether it was tried.

Where nobody publishes the sha256 of a file, three things may stand in for it, in this order: the digest that a user
of vtlab sent in (`lock.json` of the package), and the one that was seen first on this machine (a record beside the
file in the cache). `vtlab weights lock` gathers the records of this machine into one file to send. A published
digest is never made up: it stands on a card, with its source.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError
from vtlab.files import read_json, write_whole
from vtlab.provenance import now, versions
from vtlab.weights.places import cache_folder, plain

_BLOCK = 2**20
"""Bytes at once: a checkpoint is never held whole."""
_SHIPPED = Path(__file__).with_name("lock.json")
FIELDS = ("address", "size", "sha256", "date", "vtlab", "strict", "outputs")
"""What an entry of a lock says: where the file came from, its bytes, when and by which version, whether all its
tensors were loaded strictly, and what the network answered on two frames (`vtlab weights test`)."""


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, computed once for each content (told by size and time of change)."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def record_path(name: str) -> Path:
    """Where the record of a file of this machine stands."""
    return cache_folder() / f"{plain(name)}.record"


def recorded(name: str) -> dict[str, Any] | None:
    """The record of a file of this machine, None where there is none."""
    path = record_path(name)
    return _checked(read_json(path, "a record of weights", WeightsError), path) if path.is_file() else None


def write_record(file: WeightFile, path: Path, address: str, **more: Any) -> None:
    """Note what a file of this machine is; what was noted of the same bytes before is kept.

    Args:
        file: What it is meant to be.
        path: Where it lies.
        address: Where it came from, "by hand" if nobody knows.
        more: Results of a test: `strict`, `outputs`.
    """
    found, old = sha256_of(path), recorded(file.name)
    same = old if old is not None and old["sha256"] == found else {}
    entry = {
        "address": address or same.get("address") or (file.url if found == file.sha256 else "by hand"),
        "size": path.stat().st_size,
        "sha256": found,
        "date": now()[:10],
        "vtlab": versions()["vtlab"],
        "strict": more.get("strict", same.get("strict")),
        "outputs": more.get("outputs", same.get("outputs")),
    }
    write_whole(record_path(file.name), _text(entry))


def shipped() -> dict[str, dict[str, Any]]:
    """The lock that comes with vtlab: file name -> entry."""
    return read_lock(_SHIPPED) if _SHIPPED.is_file() else {}


def read_lock(path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a lock file.

    Raises:
        WeightsError: If it is no lock.
    """
    content = read_json(path, "a lock of weights", WeightsError)
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is no lock of weights: expected an object of file names.")
    return {plain(name): _checked(entry, path) for name, entry in content.items()}


def expected(file: WeightFile) -> tuple[str | None, str]:
    """The sha256 that a file is held against, None where there is none, and who says so."""
    if file.sha256:
        return file.sha256.lower(), "published"
    entry = shipped().get(file.name)
    if entry is not None:
        return entry["sha256"], "in vtlab's lock"
    entry = recorded(file.name)
    return (None, "") if entry is None else (entry["sha256"], f"recorded in {record_path(file.name)}")


def write_lock(names: list[str], to: Path) -> dict[str, dict[str, Any]]:
    """Write the records of this machine into a lock; entries of a lock that is there already are kept.

    Args:
        names: Files to write; those without a record are left out.
        to: The lock.

    Returns:
        The entries that came from this machine.

    Raises:
        WeightsError: `to` is no lock, or says another sha256 of a file.
    """
    known = read_lock(to) if to.is_file() else {}
    found = {name: entry for name in names if (entry := recorded(name)) is not None}
    for name, entry in found.items():
        if name in known and known[name]["sha256"] != entry["sha256"]:
            raise WeightsError(
                f"{to} says that {name!r} has sha256 {known[name]['sha256']}, here it has {entry['sha256']} "
                f"(from {entry['address']}). Remedy: one of them is not the official file; take the entry out by hand "
                "once you know which."
            )
    if found:
        write_whole(to, _text(dict(sorted({**known, **found}.items()))))
    return found


def _checked(entry: Any, path: Path) -> dict[str, Any]:
    digest = entry.get("sha256") if isinstance(entry, dict) else None
    if not isinstance(digest, str) or len(digest) != 64:
        raise WeightsError(
            f"{path} holds an entry without a sha256. Remedy: delete it, or fetch the file again."
        )
    return {field: entry.get(field) for field in FIELDS}


def _text(value: Any) -> str:
    import json

    return json.dumps(value, indent=1) + "\n"
