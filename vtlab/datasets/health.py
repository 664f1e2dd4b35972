"""What is wrong with a folder of a benchmark: its layout, numbers, sizes and gaps, and what systems left in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtlab.errors import FormatError, InputError, VideoError, VtlabError
from vtlab.formats import Format, Place, find_format, sniff
from vtlab.video import is_leftover

_SYSTEM = frozenset({"Thumbs.db", "desktop.ini", "ehthumbs.db"})
_MOST = 2_000_000
"""Files that are counted: a wrong folder does not take for ever."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: `error`: it can't be used so; `warning`: look at it; `note`: harmless.
        place: Sequence or file.
        what: What is wrong, and what to do about it.
    """

    level: Literal["error", "warning", "note"]
    place: str
    what: str


@dataclass(frozen=True)
class Health:
    """What a check found.

    Attributes:
        root: The folder.
        layout: Name of its format; "" where it could not be told.
        sequences: Names of the sequences, those with findings too.
        findings: What is wrong, errors first.
    """

    root: Path
    layout: str
    sequences: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether there is no error."""
        return all(f.level != "error" for f in self.findings)


def check_folder(root: str | os.PathLike[str], layout: str | Format | None = None) -> Health:
    """Look for what is wrong with a benchmark on disk; every sequence is read, with its images' sizes.

    Args:
        root: Its folder, at any level above the sequences.
        layout: Name of its format; by default it is told by its look.

    Raises:
        InputError: There is no such folder, or an unknown layout.
    """
    folder = Path(root)
    if not folder.exists():
        raise InputError(f"{str(root)!r}: there is no such file or folder.")
    found = list(_left(folder))
    names: tuple[str, ...] = ()
    try:
        form = sniff(folder) if layout is None else find_format(layout)
        places = form.find(folder)
    except (FormatError, OSError) as error:
        found.append(Finding("error", str(folder), str(error)))
        return Health(folder, "", (), _ordered(found))
    names = tuple(places)
    if not names:
        found.append(
            Finding("error", str(folder), f"no sequences of {form.name!r}; expected {form.summary}.")
        )
    for place in places.values():
        found += _sequence(form, place)
    return Health(folder, form.name, names, _ordered(found))


def _ordered(found: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda f: (("error", "warning", "note").index(f.level), f.place)))


def _sequence(form: Format, place: Place) -> Iterator[Finding]:
    """What reading one sequence says."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            sequence = form.read_sequence(place)
            if place.truth is not None and sequence.truth is None:
                yield Finding("note", place.name, "the truth says the first frame only, as in a test part")
            yield from _sizes(place, sequence.video.source, len(sequence))
        except VideoError as error:
            yield from _without_images(form, place, error)
        except VtlabError as error:
            yield Finding("error", place.name, str(error))
    for text in dict.fromkeys(str(w.message) for w in said):
        yield Finding("warning", place.name, text)


def _without_images(form: Format, place: Place, error: VideoError) -> Iterator[Finding]:
    """Images are missing or broken: whether the truth alone is good."""
    try:
        form.read_sequence(place, images=False)
    except VtlabError as other:
        yield Finding("error", place.name, str(other))
        return
    yield Finding("error", place.name, f"{error} Its truth can be read.")


def _sizes(place: Place, source: str | None, count: int) -> Iterator[Finding]:
    """Images of another size than the first, by their headers."""
    from vtlab.formats.base import image_size
    from vtlab.video import image_files

    folder = Path(source) if source else place.path
    files = image_files(folder) if folder.is_dir() else []
    sizes = {file.name: image_size(file) for file in files[:count]}
    other = {name: size for name, size in sizes.items() if size != next(iter(sizes.values()))}
    if other:
        name, (height, width) = next(iter(other.items()))
        yield Finding(
            "error",
            place.name,
            f"{len(other)} images have another size than the first, such as {name} ({width} x {height}).",
        )


def _left(root: Path) -> Iterator[Finding]:
    """What systems left, empty files, and links that lead nowhere."""
    kinds: dict[str, list[str]] = {}
    for count, (folder, below, names) in enumerate(os.walk(root, followlinks=False)):
        if count > _MOST:
            break
        for name in (*below, *names):
            kind = _kind(name)
            path = Path(folder, name)
            if kind:
                kinds.setdefault(kind, []).append(str(path))
            elif path.is_symlink() and not path.exists():
                yield Finding("error", str(path), f"a link to {os.readlink(path)!r}, which is not there.")
            elif (
                name in names and not path.is_symlink() and not path.stat().st_size and path.suffix != ".txt"
            ):
                yield Finding("error", str(path), "an empty file. Remedy: get it again.")
        below[:] = [n for n in below if not _kind(n)]
    for kind, paths in sorted(kinds.items()):
        yield Finding(
            "note", paths[0], f"{len(paths)} leftovers of {kind}, which are not read; they can be deleted."
        )


def _kind(name: str) -> str:
    """Whose leftover a name is; "" for anything else."""
    if name in (".DS_Store", "__MACOSX") or name.startswith("._"):
        return "macOS"
    if name == ".ipynb_checkpoints":
        return "Jupyter"
    if name in _SYSTEM:
        return "Windows"
    return "another program" if is_leftover(name) and name != ".git" else ""
