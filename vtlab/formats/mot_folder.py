"""What MOTChallenge and MOTS share on disk: `<sequence>/{img1/000001.jpg, gt/gt.txt, seqinfo.ini}`.

Differs from vtlab's convention: frames count from 1. A `video` entry in seqinfo.ini stands for the folder of images.

Layout: https://motchallenge.net/instructions (Dendorfer et al., IJCV 2021).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vtlab.errors import FormatError
from vtlab.files import write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Place,
    Result,
    absolute,
    frame_count,
    inside,
    no_frames,
    open_frames,
    read_text,
    walk,
    whole,
)
from vtlab.formats.ini import rate, read_ini
from vtlab.tracks import Tracks
from vtlab.video import Video, image_files, open_video

_TREE = (("gt", "mot_challenge"), ("trackers", "mot_challenge"))
_NUMBERS = ("seqlength", "imwidth", "imheight")
_SHOWN = ("seqLength", "imWidth", "imHeight")


class SeqInfo(NamedTuple):
    """Entries of seqinfo.ini: frames and (width, height), None where it does not say; frames per second; more."""

    frames: int | None
    size: tuple[int, int] | None
    fps: float
    entries: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class MotFolder(Format):
    """A folder for each sequence.

    Attributes:
        select: Keep the sequences whose name contains this, for example "FRCNN".
        tree: Write TrackEval's tree of a benchmark and its part, such as "MOT17-train": `gt/mot_challenge/<tree>/<sequence>`
            with `seqmaps/<tree>.txt`, `trackers/mot_challenge/<tree>/<tracker>/data`. It is read without this.
    """

    select: str = ""
    tree: str = ""

    def places(self, root: Path) -> Iterable[Place]:
        """Folders that hold a `seqinfo.ini` or a truth."""
        for folder, names in walk(root):
            truth = folder / "gt" / "gt.txt"
            if ("seqinfo.ini" in names or truth.is_file()) and self.select in folder.name:
                yield Place(folder.name, folder, truth if truth.is_file() else None)

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """See `Format`; in TrackEval's tree below `trackers`, without the name of the benchmark."""
        inner = absolute(root).joinpath(*_TREE[1])
        if not inner.is_dir():
            return super().find_results(root, known)
        found = super().find_results(inner, known)
        return [replace(r, tracker=r.tracker.partition("/")[2] or r.tracker) for r in found]

    @abstractmethod
    def looks(self, truth: str) -> bool:
        """Whether the first line of a truth is of this format."""

    def sniff(self, path: Path) -> bool:
        """Whether there is a truth of this kind of text; of a file, whether it is one (`gt.txt`)."""
        if path.is_file():
            truths = [path] if path.name == "gt.txt" else []
        else:
            truths = [p.truth for p in self.places(path) if p.truth is not None]
        lines = read_text(truths[0]).splitlines() if truths else []
        return bool(lines) and self.looks(lines[0])

    def truth_by(self, read: Callable[[int, int | None], Tracks], frames: int | None) -> Tracks:
        """Read a truth by its first frame and number of frames: as the format counts, or where results are said to count
        otherwise (`first_frame`) and truth holds that frame, as they do."""
        if self.first() < self.frame_base and (read(self.first(), None).frame == 0).any():
            return read(self.first(), frames)
        return read(self.frame_base, frames)

    def info(self, place: Place, strict: bool) -> SeqInfo:
        """What seqinfo.ini says; `strict`: the file must be there and have its numbers."""
        path = place.path / "seqinfo.ini"
        entries = read_ini(path, "Sequence", _NUMBERS)
        lacking = [key for key in _NUMBERS if key not in entries]
        if strict and lacking:
            raise FormatError(
                f"{path}: expected a section [Sequence] with the numbers seqLength, imWidth and imHeight "
                f"({lacking[0]} is missing)."
            )
        length, *sides = (
            whole(entries[k], path, n) if k in entries else None
            for k, n in zip(_NUMBERS, _SHOWN, strict=True)
        )
        size = None if None in sides else (sides[0] or 0, sides[1] or 0)
        return SeqInfo(length, size, rate(entries.get("framerate", "30"), path, "frameRate"), entries)

    def video(self, place: Place, info: SeqInfo, truth: Tracks | None, images: bool) -> Video:
        """The frames of a sequence, or their number where images are not asked for."""
        if not images:
            count = frame_count(truth) if info.frames is None and truth is not None else info.frames or 0
            return no_frames(place, count, None if info.size is None else info.size[::-1], info.fps)
        where = place.path / "seqinfo.ini"
        folder = place.path / inside(info.entries.get("imdir", "img1"), f"{where}, imDir")
        if not folder.is_dir() and "video" in info.entries:
            clip = place.path / inside(info.entries["video"], f"{where}, video")
            return open_video(clip, fps=info.fps, name=place.name)
        frames = image_files(folder)
        _check_numbers(folder, frames, info.frames)
        return open_frames(frames, place, info.fps)

    def write_info(self, tracks: Tracks, path: Path) -> None:
        """Write the `seqinfo.ini` of the truth at `path`."""
        folder = path.parent.parent
        lines = ["[Sequence]", f"name={folder.name}", "imDir=img1", "imExt=.jpg", "frameRate=30"]
        lines.append(f"seqLength={frame_count(tracks)}")
        if tracks.size is not None:
            lines += [f"imWidth={tracks.size[1]}", f"imHeight={tracks.size[0]}"]
        write_whole(folder / "seqinfo.ini", "\n".join(lines) + "\n")
        if self.tree:
            seqmap = folder.parent.parent / "seqmaps" / f"{self.tree}.txt"
            # A seqmap of TrackEval begins with the heading `name`.
            known = read_text(seqmap).split()[1:] if seqmap.is_file() else []
            write_whole(seqmap, "\n".join(["name", *sorted({*known, folder.name})]) + "\n")

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in its sequence's folder, a result in its tracker's."""
        if self.tree:
            base = root.joinpath(*_TREE[bool(tracker)], self.tree)
            below = f"{tracker}/data/{sequence}{self.suffix}" if tracker else f"{sequence}/gt/gt.txt"
            return base / below
        return (
            super().path_of(root, sequence, tracker) if tracker else root / TRUTH / sequence / "gt" / "gt.txt"
        )


def _check_numbers(folder: Path, frames: list[Path], length: int | None) -> None:
    """The number in an image's name is its frame in the text: none may be missing, and none be left over."""
    numbers = [int(f.stem) for f in frames if f.stem.isdecimal()]
    whole = bool(numbers) and len(numbers) == len(frames)
    first = numbers[0] if whole and numbers[0] in (0, 1) else 1
    lacking = sorted(set(range(first, first + (length or len(frames)))) - set(numbers)) if whole else []
    gap = f" The first that is missing is {lacking[0]:06d}." if lacking else ""
    if frames and length not in (None, len(frames)):
        raise FormatError(f"{folder}: {len(frames)} images where seqinfo.ini says {length}.{gap}")
    if lacking:
        raise FormatError(
            f"{folder}: images {frames[0].name} to {frames[-1].name} don't count from 1 without a gap, so frames of text "
            f"can't be found.{gap} Remedy: complete them, or number images and text from 1."
        )
