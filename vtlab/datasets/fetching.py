"""Benchmarks that anybody may download: fetched from their official address, unpacked, and kept.

The download is that of weights (https only, resumed where it broke, its digest checked or recorded); archives are unpacked
so that nothing lands outside their folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import vtlab
from vtlab.datasets.catalog import find_benchmark
from vtlab.errors import FormatError, InputError
from vtlab.files import is_archive, unpack
from vtlab.weights import cache_folder, download
from vtlab.weights.lock import record_path


def data_folder() -> Path:
    """Where benchmarks are kept: `data` of a clone of vtlab, else `VTLAB_CACHE`/data or the user's cache folder."""
    clone = Path(vtlab.__file__).parents[1]
    if (clone / ".git").exists() and "VTLAB_CACHE" not in os.environ:
        return clone / "data"
    return cache_folder().with_name("data")


def fetch(name: str, folder: Path | None = None, *, progress: bool = True) -> Path:
    """Return the folder of a benchmark, having downloaded and unpacked it where it isn't there.

    Args:
        name: One of the catalog's.
        folder: Where benchmarks are kept; `data_folder` by default.
        progress: Show a progress bar.

    Raises:
        InputError: An unknown name, or a benchmark that can't be downloaded freely; the message says how to get it.
        WeightsError: It can't be downloaded; the message says where to put what was got elsewhere.
        FormatError: Its archive is damaged, or not safe to unpack.
    """
    entry, base = find_benchmark(name), folder or data_folder()
    if not entry.files:
        raise InputError(
            f"{name!r} can't be fetched: it takes {entry.access}. Remedy: get it from {entry.page}, put it at "
            f"{base / name}, and ask 'vtlab data check {base / name}'."
        )
    target = base / name
    if target.is_dir() and any(target.iterdir()):
        return target
    for file in entry.files:
        path = download(file, base / "downloads", progress=progress)
        if is_archive(path):
            _unpack(path, target, entry.page)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / path.name)
    return target


def _unpack(path: Path, target: Path, page: str) -> None:
    """Unpack what was downloaded; what is no good archive is no digest to hold the next download against."""
    try:
        unpack(path, target)
    except FormatError as error:
        record_path(path.name).unlink(missing_ok=True)
        raise FormatError(
            f"{error} Remedy: delete {path}, and fetch it again, or put the right file there (see {page})."
        ) from error
