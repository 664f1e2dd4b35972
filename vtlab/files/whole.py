"""One way to write a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
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
    temporary = target.with_name(f".{target.stem[:40]}.{uuid.uuid4().hex}.part{target.suffix}")
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


def _is_failed_write(error: Exception) -> bool:
    kinds = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError | UnicodeEncodeError) or not kinds.isdisjoint(_LIBRARIES)
