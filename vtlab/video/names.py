"""The names of a folder's images: which files are frames, in which order, and what their numbers tell."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from vtlab.errors import VideoError, VtlabWarning

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif", ".avif", ".apng"}
)
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
"""Endings of files that are looked for as videos; `open_video` opens others, too."""


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden or something that a system left: `._0001.jpg`, `.ipynb_checkpoints`, ..."""
    return name.startswith(".") or name == "__MACOSX"


def natural(name: str) -> list[tuple[int, int | str]]:
    """Key by which 2 comes before 10."""
    return [(0, int(t)) if t.isdecimal() else (1, t) for t in re.split(r"(\d+)", name) if t]


def sorted_images(paths: Iterable[Path]) -> list[Path]:
    """Those that are images by their suffix and no leftovers, by the numbers in their names (2 before 10)."""
    kept = (p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not is_leftover(p.name))
    return sorted(kept, key=lambda p: (natural(p.name), p.name, str(p)))


def image_files(folder: Path) -> list[Path]:
    """Images of a folder by the numbers in their names; none where there is no such folder."""
    return sorted_images(p for p in folder.iterdir() if not p.is_dir()) if folder.is_dir() else []


def check_names(files: Sequence[Path], source: str) -> None:
    """Refuse a folder whose names show that not each file is a frame, and say what else its numbers show.

    Raises:
        VideoError: If two files differ by their suffix only: images and their masks, or two copies of one frame.

    Warns:
        VtlabWarning: If suffixes are mixed, two names hold the same numbers, or numbers are left out.
    """
    _check_suffixes(files, source)
    _check_numbers(files, source)


def _check_suffixes(files: Sequence[Path], source: str) -> None:
    same = defaultdict(list)
    for path in files:
        same[path.with_suffix("")].append(path)
    twice = [found for found in same.values() if len(found) > 1]
    if twice:
        names = " and ".join(p.name for p in twice[0])
        suffix = Counter(p.suffix for p in files).most_common(1)[0][0]
        raise VideoError(
            f"{source!r} holds {len(twice)} frames twice, such as {names}: images beside their masks, or copies. "
            f"Remedy: give one kind, e.g. by the glob '*{suffix}', or put them into folders of their own."
        )
    kinds = Counter(p.suffix.lower().replace("jpeg", "jpg").replace("tiff", "tif") for p in files)
    if len(kinds) > 1:
        counted = ", ".join(f"{count} of {suffix}" for suffix, count in sorted(kinds.items()))
        _say(
            f"{source!r} mixes kinds of images ({counted}); all are taken for frames, in the order of their names. "
            "Remedy: where some are masks, give one kind by a glob."
        )


def _check_numbers(files: Sequence[Path], source: str) -> None:
    numbers = [tuple(int(n) for n in re.findall(r"\d+", p.stem)) for p in files]
    first = {n: p for n, p in zip(reversed(numbers), reversed(files), strict=True) if n}
    double = next((p for n, p in zip(numbers, files, strict=True) if n and first[n] != p), None)
    if double is not None and len({p.parent for p in files}) == 1:
        other = first[numbers[files.index(double)]]
        _say(
            f"{source!r} holds {other.name} and {double.name}, two names with the same numbers; both are taken for "
            "frames. Remedy: where some are masks or copies, give the others by a glob."
        )
    elif all(numbers) and len({(n[:-1], len(n)) for n in numbers}) == 1:
        _check_gaps(files, [n[-1] for n in numbers], source)


def _check_gaps(files: Sequence[Path], numbers: Sequence[int], source: str) -> None:
    """Say that frames are counted by position where the numbers in the names go another way."""
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    usual = Counter(steps).most_common(1)[0][0] if steps else 1
    gap = next((i for i, step in enumerate(steps) if step != usual), None)
    said = []
    if usual != 1:
        said.append(f"go in steps of {usual}")
    if gap is not None:
        said.append(f"leave out what lies between {files[gap].name} and {files[gap + 1].name}")
    if numbers[0] > 1:
        said.append(f"begin at {numbers[0]}")
    if said:
        _say(
            f"The numbers in the names of {source!r} {' and '.join(said)}. Frames are counted from 0 without gaps: "
            f"frame 0 is {files[0].name}, frame {len(files) - 1} is {files[-1].name}. Remedy: where truth or other "
            "results go by the numbers in the names, map them, or add what is missing."
        )


def _say(message: str) -> None:
    warnings.warn(message, VtlabWarning, stacklevel=8)
