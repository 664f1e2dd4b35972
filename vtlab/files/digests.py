"""SHA-256 of files, remembered over processes: a file is read again only where it changed.

A file is told by its device, inode, size and times of change (of its content and of the inode, which no program can
set). What changed within the last two seconds is not remembered: another change could fall into the same tick of the
clock. The memory is one SQLite file in vtlab's cache folder; where it can't be used, files are read each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from pathlib import Path

from vtlab.files.whole import cache_folder

SETTLED = 2.0
"""Seconds after its last change from which on a file's digest is remembered."""
_BLOCK = 2**20
_LOCK = threading.Lock()
_OPEN: dict[tuple[int, str], sqlite3.Connection] = {}
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (device, inode, size, changed, sha256, PRIMARY KEY (device, inode))"
)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's content.

    Raises:
        OSError: It can't be read.
    """
    state = os.stat(path)
    known = _recall(state)
    if known is not None:
        return known
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    found, after = total.hexdigest(), os.stat(path)
    youngest = max(after.st_mtime, after.st_ctime)
    if _identity(state) == _identity(after) and time.time() - youngest > SETTLED:
        _note(after, found)
    return found


def _after_fork() -> None:
    """Another thread of the parent may have held the lock."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _identity(state: os.stat_result) -> tuple[str, str, int, str]:
    """As text where a number may be beyond SQLite's 64 bits."""
    changed = f"{state.st_mtime_ns} {state.st_ctime_ns}"
    return str(state.st_dev), str(state.st_ino), state.st_size, changed


def _recall(state: os.stat_result) -> str | None:
    ask = "SELECT sha256 FROM digests WHERE device = ? AND inode = ? AND size = ? AND changed = ?"
    found = _asked(ask, _identity(state))
    return None if found is None else str(found[0])


def _note(state: os.stat_result, digest: str) -> None:
    _asked("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", (*_identity(state), digest))


def _asked(question: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
    """The first row of an answer; what fails is left undone, since a digest can be made again."""
    with _LOCK, contextlib.suppress(sqlite3.Error, OSError):
        try:
            with _connection() as memory:
                row: tuple[object, ...] | None = memory.execute(question, values).fetchone()
                return row
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # it is damaged: begun anew the next time
            _OPEN.clear()
            _place().unlink(missing_ok=True)
    return None


def _place() -> Path:
    return cache_folder("digests") / "files.sqlite"


def _connection() -> sqlite3.Connection:
    place = _place()
    key = os.getpid(), str(place)  # a connection must not be used in a forked child
    if key not in _OPEN:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = sqlite3.connect(place, timeout=5.0, check_same_thread=False)
        made.execute("PRAGMA synchronous = OFF")
        made.execute(_TABLE)
        _OPEN[key] = made
    return _OPEN[key]


def folder_digest(folder: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a folder: the names of its files relative to it, and their contents.

    Raises:
        OSError: A file can't be read.
    """
    root, total = Path(folder), hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(f"{file.relative_to(root).as_posix()}\0{file_digest(file)}\n".encode())
    return total.hexdigest()
