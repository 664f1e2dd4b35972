"""Archives, unpacked so that nothing is written outside their folder and no small file fills the disk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tarfile
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
LEAST_BOUND, _MOST_MEMBERS, _RATIO = 2**30, 5_000_000, 30
"""Of a benchmark: bytes that may be unpacked of any archive, files, and bytes unpacked for each that is packed."""
_BLOCK = 2**20
"""Bytes at once: memory stays flat whatever a zip claims to hold."""


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
        above = file.absolute().parent.parts[1:][
            -2:
        ]  # by which a result is named where the zip is called data
        folder = Path(name, *above, file.stem)
        folder.mkdir(parents=True)
        with damage_as(FormatError, file, "a readable zip"), zipfile.ZipFile(file) as archive:
            _unpack(archive, folder, file, MOST_FILES, MOST_UNPACKED)
        try:
            yield folder
        except VtlabError as error:  # names files that are gone when it is read
            error.args = tuple(
                a.replace(str(folder), str(file)) if isinstance(a, str) else a for a in error.args
            )
            raise


def is_archive(path: Path) -> bool:
    """Whether `unpack` takes a file, by its name."""
    return path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def unpack(path: Path, folder: Path) -> Path:
    """Unpack a zip or tar of a benchmark into a folder, which is there afterwards as a whole or not at all.

    Raises:
        FormatError: As `unpacked`; the bounds are five million files and thirty bytes for each byte packed (1 GiB at least).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=".part", dir=folder.parent))
    part.chmod(0o755)  # as a folder that is made, not as one for secrets
    most = max(LEAST_BOUND, _RATIO * path.stat().st_size)
    try:
        with damage_as(FormatError, path, "a readable archive"):
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    _unpack(archive, part, path, _MOST_MEMBERS, most)
            else:
                with tarfile.open(path) as tar:
                    _untar(tar, part, path, most)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _unpack(archive: zipfile.ZipFile, folder: Path, file: Path, most_files: int, most: int) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > most_files:
        raise FormatError(f"{file}: {len(entries)} files, at most {most_files} are unpacked.")
    size = 0
    for entry in entries:
        target = folder / _inside(entry, file)
        if target.exists():
            raise FormatError(f"{file}: {entry.filename!r} is there twice, or a folder and a file at once.")
        with archive.open(entry) as packed:
            size = _copy(packed, target, (size, most), file)


def _untar(tar: tarfile.TarFile, folder: Path, file: Path, most: int) -> None:
    size = 0
    for count, member in enumerate(tar):
        if count > _MOST_MEMBERS:
            raise FormatError(f"{file}: more than {_MOST_MEMBERS} files.")
        if member.isdir():
            continue
        target, packed = (
            folder / _named(member.name, file),
            tar.extractfile(member) if member.isfile() else None,
        )
        if packed is None or target.exists():
            why = "is there twice" if packed is not None else "is a link or no file, which is not unpacked"
            raise FormatError(f"{file}: {member.name!r} {why}.")
        with packed:
            size = _copy(packed, target, (size, most), file)


def _copy(packed: IO[bytes], target: Path, bound: tuple[int, int], file: Path) -> int:
    """Write a file after some bytes of others, of at most so many; return how many there are then, whatever its header
    says."""
    size, most = bound

    def fill(part: Path) -> None:
        nonlocal size
        with part.open("wb") as out:
            while block := packed.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise FormatError(f"{file}: unpacks to more than {most} bytes, which are not unpacked.")
                out.write(block)

    write_whole(target, fill)
    return size


def _inside(entry: zipfile.ZipInfo, file: Path) -> PurePosixPath:
    """Where a file of the archive belongs below its folder."""
    name = _named(entry.filename, file)
    if entry.flag_bits & 1:
        raise FormatError(f"{file}: {entry.filename!r} is encrypted. Remedy: unpack it, and give the folder.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FormatError(
            f"{file}: {entry.filename!r} is a link, which is not followed. Remedy: pack the file itself."
        )
    return name


def _named(given: str, file: Path) -> PurePosixPath:
    """A name as a path below the folder of the archive."""
    name = PurePosixPath(given.replace("\\", "/"))
    parts = name.parts
    drive = parts and (re.fullmatch("[A-Za-z]:", parts[0]) or (os.name == "nt" and ":" in given))
    if not parts or name.is_absolute() or ".." in parts or drive or "\0" in given:
        raise FormatError(f"{file}: {given!r} leads out of the folder of the archive; nothing is read.")
    return name
