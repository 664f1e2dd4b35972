"""MOTS text (KITTI MOTS, MOTSChallenge): `frame id class height width rle`, separated by blanks, in MOTChallenge's tree.

Differs from vtlab's convention: frames count from 1 in MOTSChallenge and from 0 in KITTI; the object id is the class
times 1000 plus the instance; id 10000 (class 10) is a region that is ignored. Masks are COCO's compressed counts.

Format: Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation", CVPR 2019.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtlab.errors import FormatError, InputError, TracksError
from vtlab.files import write_whole
from vtlab.formats.base import Kind, Loss, Place, given, lost, overlaps, read_text
from vtlab.formats.ignored import drawn_regions, with_regions, without_regions
from vtlab.formats.mot_folder import MotFolder
from vtlab.masks import MAX_PIXELS, Runs
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks

CLASSES = {1: "car", 2: "pedestrian", 10: "ignore"}
"""Class ids of the format and vtlab's labels for them."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def read_mots(
    path: str | Path, *, frames: int | None = None, first_frame: int = 1, source: str = "tracked"
) -> Tracks:
    """Read a MOTS text file; regions that are ignored carry the label "ignore".

    Args:
        path: The file.
        frames: Number of frames of the sequence; a later frame is an error.
        first_frame: Index of the first frame in the file: 1 in MOTSChallenge, 0 in KITTI MOTS.
        source: Who says so: "manual" for truth.

    Raises:
        FormatError: The file is missing or wrong: file, line, what was expected; also masks of one frame that overlap.
    """
    lines = read_text(Path(path)).split("\n")
    rows: list[tuple[int, int, int, bytes]] = []
    places: list[str] = []
    size: tuple[int, int] | None = None
    seen: set[tuple[int, int]] = set()
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        places.append(f"{path}, line {number}")
        row, here = _row(cells, places[-1], first_frame, frames)
        if size is not None and here != size:
            raise FormatError(
                f"{path}, line {number}: the mask is {here[0]} x {here[1]}, those before {size[0]} x {size[1]}."
            )
        if row[2] != 10 and row[:2] in seen:
            raise FormatError(
                f"{path}, line {number}: the id {row[1]} occurs twice in this frame ({cells[0]})."
            )
        size = here
        seen.add(row[:2])
        rows.append(row)
    dense = {"dense": True} if source == "manual" else {}
    if size is None:
        return Tracks.empty(meta={"format": "mots", **dense})
    frame, object_id, label, masks = zip(*rows, strict=True)
    # Several ignore regions share the id 10000 on a frame: each gets an id of its own.
    ids = [i if c != 10 else 10_000_000 + n for n, (i, c) in enumerate(zip(object_id, label, strict=True))]
    try:
        runs = Runs.of(masks, *size, name=places.__getitem__)
        _refuse_overlap(frame, runs, str(path), first_frame)
        return Tracks.of(
            frame,
            ids,
            runs.boxes(),
            masks=list(masks),
            label=[CLASSES[c] for c in label],
            source=source,
            size=size,
            meta={"format": "mots", **dense},
        )
    except InputError as error:
        raise FormatError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None


def _row(
    cells: list[str], where: str, first_frame: int, frames: int | None
) -> tuple[tuple[int, int, int, bytes], tuple[int, int]]:
    if len(cells) != 6 or not all(_NUMBER.fullmatch(c) for c in cells[:5]):
        raise FormatError(
            f"{where}: expected 'frame id class height width rle', got {' '.join(cells)[:60]!r}."
        )
    frame, object_id, label, height, width = map(int, cells[:5])
    if frame < first_frame:
        raise FormatError(
            f"{where}: frames count from {first_frame}. If this file counts from 0, use first_frame=0 (--first-frame 0)."
        )
    if frames is not None and frame >= frames + first_frame:
        raise FormatError(f"{where}: the sequence has {frames} frames. Is this the result of another one?")
    if label not in CLASSES:
        known = ", ".join(f"{k} ({v})" for k, v in CLASSES.items())
        raise FormatError(f"{where}: unknown class {label}. Known: {known}.")
    if height <= 0 or width <= 0 or height * width > MAX_PIXELS:
        raise FormatError(f"{where}: a mask of {height} x {width} pixels is out of range.")
    return (frame - first_frame, object_id, label, cells[5].encode()), (height, width)


def _refuse_overlap(frame: Several[int], runs: Runs, where: str, first_frame: int) -> None:
    """Each pixel belongs to one object at most."""
    frames, group = np.unique(frame, return_inverse=True)
    twice = np.bincount(group, runs.areas()) != runs.union(group).areas()
    if twice.any():
        raise FormatError(
            f"{where}: masks overlap in frame {frames[twice][0] + first_frame}. Give each pixel to one object at most."
        )


@dataclass(frozen=True, kw_only=True)
class Mots(MotFolder):
    """MOTSChallenge."""

    def looks(self, truth: str) -> bool:
        """Whether a line has five whole numbers and a mask."""
        cells = truth.split()
        return len(cells) == 6 and "," not in truth and not cells[5].replace(".", "").isdigit()

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; class 10 makes its ignore regions."""
        info = self.info(place, images)
        truth, ignored, prompts = None, None, Prompts()
        if place.truth is not None:
            truth = self.truth_by(
                lambda first, n: read_mots(place.truth or "", frames=n, first_frame=first, source="manual"),
                info.frames,
            )
            truth = truth.replace(
                meta={**truth.meta, **({} if info.frames is None else {"frames": info.frames})}
            )
            if truth.size is None and info.size is not None:
                truth = truth.replace(size=info.size[::-1])
            truth, ignored = without_regions(truth)
            if images:
                truth = from_one(truth)
                prompts = first_prompts(truth)
        video = self.video(place, info, truth, images)
        return Sequence(place.name, video, truth, prompts, ignored, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result."""
        frames = None if sequence is None or sequence.truth is None else sequence.truth.meta.get("frames")
        return read_mots(path, frames=frames, first_frame=self.first())

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Masks, without the pixels of objects: each pixel belongs to one row."""
        return drawn_regions(ignore, truth)

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth, and the regions as rows of class 10."""
        return [self.write_tracks(with_regions(truth, ignore), path, "truth")]

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; every mask has a class."""
        bare = given(tracks.rle, len(tracks)) & tracks.visible & ~given(tracks.label, len(tracks))
        told = "{} rows without a label (they read as pedestrians)"
        return super().losses(tracks, kind) | lost("unlabelled", tracks, told, bare)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the visible masks, and with truth the `seqinfo.ini` of its sequence."""
        written = write_mots(tracks, path)
        if kind == "truth":
            self.write_info(tracks, path)
        return written


def write_mots(tracks: Tracks, path: str | Path) -> Path:
    """Write the visible masks as MOTSChallenge text (whole or not at all); objects without a label are pedestrians.

    Raises:
        TracksError: Masks overlap, or a label is no class of the format.
        WriteError: The file can't be written.
    """
    numbers = {label: number for number, label in CLASSES.items()}
    for frame, twice in overlaps(tracks).items():
        raise TracksError(
            f"Masks overlap in frame {frame} ({twice} pixels); MOTS gives each pixel to one object."
        )
    lines = []
    for row, frame in enumerate(tracks.frame.tolist()):
        rle = None if tracks.rle is None else tracks.rle[row]
        if rle is None or not tracks.visible[row] or tracks.size is None:
            continue
        label = tracks.label[row] or "pedestrian"
        if label not in numbers:
            raise TracksError(f"The label {label!r} is no class of MOTS. Known: {', '.join(numbers)}.")
        object_id = 10000 if label == "ignore" else int(tracks.object_id[row])
        lines.append(
            f"{frame + 1} {object_id} {numbers[label]} {tracks.size[0]} {tracks.size[1]} {rle.decode('ascii')}\n"
        )
    return write_whole(path, "".join(lines))


FORMAT = Mots(
    name="mots",
    family="mot",
    summary="<sequence>/{img1/*.jpg, gt/gt.txt, seqinfo.ini} with masks in gt.txt",
    rules={"motschallenge": ""},
    rule="mots",
    frame_base=1,
    holds=frozenset({"masks", "objects", "ids", "gaps", "labels", "size"}),
)
