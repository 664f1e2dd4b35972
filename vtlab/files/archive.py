"""A zip of results, unpacked so that nothing is written outside its folder and no small file fills the disk."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from vtlab.errors import FormatError, VtlabError
from vtlab.files.outside import damage_as
from vtlab.files.whole import write_whole

MOST_FILES, MOST_UNPACKED = 200_000, 4 * 2**30
"""Of an archive: files, and bytes of all of them together, counted while they are unpacked."""
_BLOCK = 2**20


@contextlib.contextmanager
def unpacked(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder that `path` is; of a zip one with its content, called as the file is, that is gone afterwards.

    Raises:
        FormatError: The zip is damaged or encrypted, holds links, two files of one name, or a name that leads out of its
            folder, or unpacks to more than `MOST_FILES` files or `MOST_UNPACKED` bytes.
    """
    file = Path(path)
    if not file.is_file() or not zipfile.is_zipfile(file) or file.suffix.lower() != ".zip":
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="vtlab-zip-") as name:
        folder = Path(name, file.stem)
        folder.mkdir()
        with damage_as(FormatError, file, "a readable zip"), zipfile.ZipFile(file) as archive:
            _unpack(archive, folder, file)
        try:
            yield folder
        except VtlabError as error:  # names files that are gone when it is read
            error.args = tuple(
                a.replace(str(folder), str(file)) if isinstance(a, str) else a for a in error.args
            )
            raise


def _unpack(archive: zipfile.ZipFile, folder: Path, file: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MOST_FILES:
        raise FormatError(f"{file}: {len(entries)} files, at most {MOST_FILES} are unpacked.")
    size = 0
    for entry in entries:
        target = folder / _inside(entry, file)
        if target.exists():
            raise FormatError(f"{file}: {entry.filename!r} is there twice, or a folder and a file at once.")
        with archive.open(entry) as packed:
            size = _copy(packed, target, size, file)


def _copy(packed: IO[bytes], target: Path, size: int, file: Path) -> int:
    """Write a file after `size` bytes of others; return how many there are then, whatever its header says."""

    def fill(part: Path) -> None:
        nonlocal size
        with part.open("wb") as out:
            while block := packed.read(_BLOCK):
                size += len(block)
                if size > MOST_UNPACKED:
                    raise FormatError(
                        f"{file}: unpacks to more than {MOST_UNPACKED} bytes, which are not unpacked."
                    )
                out.write(block)

    write_whole(target, fill)
    return size


def _inside(entry: zipfile.ZipInfo, file: Path) -> PurePosixPath:
    """Where a file of the archive belongs below its folder."""
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    parts = name.parts
    if not parts or name.is_absolute() or ".." in parts or ":" in parts[0] or "\0" in entry.filename:
        raise FormatError(
            f"{file}: {entry.filename!r} leads out of the folder of the archive; nothing is read."
        )
    if entry.flag_bits & 1:
        raise FormatError(f"{file}: {entry.filename!r} is encrypted. Remedy: unpack it, and give the folder.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FormatError(
            f"{file}: {entry.filename!r} is a link, which is not followed. Remedy: pack the file itself."
        )
    return name
