"""Folders where weights lie: the user's own (`VTLAB_WEIGHTS`), and the cache (`VTLAB_CACHE`)."""

from __future__ import annotations

import os
from pathlib import Path

from vtlab import files
from vtlab.errors import WeightsError


def cache_folder() -> Path:
    """Folder of downloaded weights; it may not exist yet."""
    return files.cache_folder("weights")


def local_folder() -> Path | None:
    """Folder that `VTLAB_WEIGHTS` names, None where it is not set.

    Raises:
        WeightsError: If it names no folder.
    """
    given = os.environ.get("VTLAB_WEIGHTS")
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"VTLAB_WEIGHTS names {given!r}, which is not a folder. Remedy: correct or unset it."
        )
    return folder


def plain(name: str) -> str:
    """The name of a file, refused where it could lead out of the folder.

    Raises:
        WeightsError: If it is no plain name.
    """
    if not name or name != Path(name).name or "\\" in name or name.startswith("."):
        raise WeightsError(f"Expected a plain file name for weights, got {name!r}.")
    return name


def offline() -> bool:
    """Whether `VTLAB_OFFLINE` forbids to ask any server."""
    return os.environ.get("VTLAB_OFFLINE", "") not in ("", "0")
