"""One way to write a file whole or not at all, and to know before the work begins that it can be written."""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vtlab.errors import VtlabError, WriteError

_LIBRARIES = frozenset({"pyarrow", "pandas", "av", "PIL", "cv2", "h5py", "openpyxl", "xlsxwriter"})
"""Packages that write files for vtlab; what they raise while they do is a failure to write."""


def write_whole(path: str | os.PathLike[str], fill: bytes | str | Callable[[Path], Any]) -> Path:
    """Write a file whole or not at all, and return its path; missing folders are made.

    The content goes to a file beside the target, under a name that no other writer has and with the target's
    suffix, and takes the target's place when it is complete. So a reader never sees half a file, of two writers
    the last one wins, and a failure leaves what was there before and nothing else.

    Args:
        path: Where to; an existing file is replaced.
        fill: The content as bytes, or as text (written as UTF-8 with the line ends it has), or a function that is
            given the temporary path and writes it. What it raises as a `VtlabError` passes unchanged.

    Raises:
        WriteError: The system or the writing library failed; the message names the path and the remedy.
    """
    target = Path(path)
    if not target.name or "\0" in str(target):
        raise WriteError(f"{str(path)!r} can't be written: it names no file. Remedy: give a file's path.")
    name = f".{target.stem[:40]}.{uuid.uuid4().hex}.part{target.suffix}"
    temporary = Path(
        os.path.abspath(target.with_name(name))
    )  # pyarrow takes `a:b/c` for an address of kind `a`
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if callable(fill):
            fill(temporary)
        else:
            temporary.write_bytes(fill.encode("utf-8") if isinstance(fill, str) else fill)
        os.replace(temporary, target)
    except VtlabError:
        raise
    except Exception as error:
        if not _is_failed_write(error):
            raise
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"{str(target)!r} can't be written: {reason}. Nothing half-written was left. "
            "Remedy: free space, check the path and its rights, or write elsewhere."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # where the folder itself is what failed, the error says so
            temporary.unlink(missing_ok=True)
    return target


def kept_beside(path: str | os.PathLike[str]) -> Path:
    """Rename a file that is in the way to `older-<n>-<its name>` beside it, and return that path; nothing is lost.

    Raises:
        WriteError: The system refuses.
    """
    file = Path(path)
    numbered = (file.with_name(f"older-{n}-{file.name}") for n in itertools.count(1))
    kept = next(place for place in numbered if not place.exists())
    try:
        return file.rename(kept)
    except OSError as error:
        raise WriteError(
            f"{str(file)!r} is in the way and can't be kept as {kept.name}: {error.strerror}. Remedy: write elsewhere."
        ) from error


def check_place(path: str | os.PathLike[str], suffixes: Iterable[str] = ()) -> Path:
    """Return the path of a file that is to be written later; nothing is made yet.

    Args:
        path: Where to; missing folders will be made.
        suffixes: Endings that the file may have; empty for any.

    Raises:
        WriteError: It can't be written: it names a folder, a file stands where a folder should be, the rights are
            missing, or its ending is another.
    """
    target, allowed = Path(path), tuple(suffixes)
    if not target.name or "\0" in str(target):
        raise WriteError(f"{str(path)!r} can't be written: it names no file. Remedy: give a file's path.")
    if allowed and target.suffix.lower() not in allowed:
        raise WriteError(
            f"{str(target)!r}: the suffix must be {' or '.join(allowed)}, got {target.suffix or 'none'}."
        )
    if target.is_dir():
        raise WriteError(f"{str(target)!r} can't be written: it is a folder. Remedy: name a file in it.")
    check_folder(target.parent)
    return target


def cache_folder(name: str) -> Path:
    """Folder `name` in the cache: `VTLAB_CACHE`, else the user's cache folder; it may not exist yet."""
    from platformdirs import user_cache_path

    given = os.environ.get("VTLAB_CACHE")
    return (Path(given).expanduser() if given else user_cache_path("vtlab", appauthor=False)) / name


def check_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder in which files are to be written later; nothing is made yet.

    Raises:
        WriteError: A file stands there or above it, or the rights are missing.
    """
    folder = Path(path)
    there = next(
        (p for p in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(p)), Path("/")
    )
    if not there.is_dir():
        raise WriteError(
            f"{str(folder)!r} can't be written to: {str(there)!r} is a file, not a folder. Remedy: give another place."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(
            f"{str(folder)!r} can't be written to: you have no right to write in {str(there)!r}. Remedy: another place."
        )
    return folder


def _is_failed_write(error: Exception) -> bool:
    kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError | UnicodeEncodeError) or not kinds.isdisjoint(_LIBRARIES)
