"""MOTChallenge: `<sequence>/{img1/000001.jpg, gt/gt.txt, det/det.txt, seqinfo.ini}`, results `<tracker>/<sequence>.txt`.

A line is `frame, id, left, top, width, height, confidence, class, visibility` (truth) or
`frame, id, left, top, width, height, confidence, x, y, z` (results, detections).

Differs from vtlab's convention: frames and pixels count from 1 there (left = x1 + 1, top = y1 + 1); boxes are
xywh. In truth the seventh column is a flag (0 = not counted), kept as `score`; classes become labels.

DanceTrack (Sun et al., CVPR 2022; its README.md, https://github.com/DanceTrack/DanceTrack) and SportsMOT (Cui et al., ICCV
2023; README.md and codes/evaluation of https://github.com/MCG-NJU/SportsMOT) lie the same way, all objects of class 1, ids
of SportsMOT from 0; both are scored by TrackEval's script for MOT17.

Format: Milan et al., "MOT16", arXiv:1603.00831, 2016; Dendorfer et al., "MOT20", arXiv:2003.09003, 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, TracksError
from vtlab.files import write_whole
from vtlab.formats.base import Kind as FormatKind
from vtlab.formats.base import Loss, Place, beginning, given, lost
from vtlab.formats.mot_folder import MotFolder
from vtlab.formats.mot_text import Kind, MotRows, read_mot_rows, unit_scores
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks

CLASSES: dict[int, str] = {
    1: "pedestrian",
    2: "person_on_vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non_mot_vehicle",
    7: "static_person",
    8: "distractor",
    9: "occluder",
    10: "occluder_on_ground",
    11: "occluder_full",
    12: "reflection",
    13: "crowd",
}
"""Class ids of MOT16, MOT17 and MOT20 and vtlab's labels for them."""

_LABELS = np.array([CLASSES.get(i) for i in range(len(CLASSES) + 2)], dtype=object)
"""Label by class number; 0 and one beyond the last have none."""


def read_mot(
    path: str | Path,
    kind: Kind = "results",
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    first_frame: int = 1,
) -> Tracks:
    """Read a MOTChallenge text file as `Tracks`; see `read_mot_rows` for the arguments and errors.

    In truth `score` is the flag of the seventh column (0 = not counted by the rule), `label` the class, and
    `visible` is False where the visibility is 0; its record names the rule that scores it, by the name of its sequence
    (MOT20-01), else by its columns. How visible an object is between 0 and 1 is not kept; the record's `unread` has how
    often it is said. `size` is (width, height).
    """
    rows = read_mot_rows(path, kind, frames=frames, size=size, first_frame=first_frame)
    object_id = np.arange(len(rows)) if kind == "detections" else rows.object_id
    label = _LABELS[np.clip(rows.class_id, 0, len(CLASSES) + 1)] if rows.has_classes else None
    score = rows.confidence if kind == "truth" else unit_scores(rows.confidence, str(path))
    meta: dict[str, Any] = {"format": "mot", "file": str(path)}
    if kind == "truth":
        meta |= {"dense": True, "rule": _rule_of(_place(path).name, rows.has_classes)}
        between = int(((rows.visibility > 0) & (rows.visibility < 1)).sum())
        meta |= {"unread": {"visibility": between}} if between else {}
    return Tracks.of(
        rows.frame,
        object_id,
        rows.boxes,
        score,
        rows.visibility > 0,
        label=label,
        source={"truth": "manual", "results": "tracked", "detections": "detected"}[kind],
        size=None if size is None else (size[1], size[0]),
        meta=meta,
    )


def write_mot(tracks: Tracks, path: str | Path, kind: Literal["truth", "results"] = "results") -> Path:
    """Write the boxes of `tracks` as a MOTChallenge text file (whole or not at all); returns its path.

    Args:
        tracks: Objects with boxes; rows without a box are left out.
        path: File to write; missing folders are made.
        kind: `results` (ten columns; rows that are not visible are left out) or `truth` (flag 0 where the score is 0,
            class by label, visibility 1, or 0 where not visible).

    Raises:
        TracksError: A label is no class of the format.
        WriteError: The file can't be written.
    """
    import pyarrow as pa
    from pyarrow import csv

    keep = np.isfinite(tracks.boxes).all(axis=1) & (tracks.visible | (kind == "truth"))
    box, n = tracks.boxes[keep], int(keep.sum())
    columns: list[Any] = [tracks.frame[keep] + 1, tracks.object_id[keep]]
    columns += [box[:, 0] + 1, box[:, 1] + 1, box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]]
    if kind == "truth":
        columns += [(tracks.score[keep] > 0).astype(int), _class_ids(tracks.label[keep])]
        columns += [tracks.visible[keep].astype(int)]
    else:
        columns += [tracks.score[keep], *[np.full(n, -1)] * 3]
    table = pa.table({str(i): c for i, c in enumerate(columns)})
    return write_whole(
        path, lambda part: csv.write_csv(table, str(part), csv.WriteOptions(include_header=False))
    )


@dataclass(frozen=True, kw_only=True)
class MotChallenge(MotFolder):
    """MOT15, MOT16, MOT17, MOT20, DanceTrack."""

    def looks(self, truth: str) -> bool:
        """Whether a line of truth has commas, or at least six numbers (MOTS has a text in its last cell)."""
        return "," in truth or (len(truth.split()) >= 6 and truth.split()[5].replace(".", "").isdigit())

    def plain(self, path: Path) -> bool:
        """Whether a text has lines of results and of nothing else: `frame, id, left, top, width, height`, a score, and -1
        where the place in space would be; a class or a place there may as well be another format's.
        """
        if path.suffix != ".txt":
            return False
        data = beginning(path)
        whole = data.rpartition(b"\n")[0] or data
        return bool(whole.strip()) and all(map(_is_result, whole.split(b"\n")[:_LOOKED]))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; its prompts are the boxes of the counted pedestrians where they first appear."""
        info = self.info(place, images)
        truth, prompts = None, Prompts()
        if place.truth is not None:
            truth = self.truth_by(
                lambda first, n: read_mot(
                    place.truth or "", "truth", frames=n, size=info.size, first_frame=first
                ),
                info.frames,
            )
            truth = truth.replace(
                meta={**truth.meta, **({} if info.frames is None else {"frames": info.frames})}
            )
            classed = any(label is not None for label in truth.label)
            if not classed and self.rule in _CLASSED:
                raise FormatError(
                    f"{place.truth}: the rule {self.rule!r} needs the class in column 8 and the visibility in "
                    "column 9; this file has none. Use --as mot15."
                )
            if images:
                truth = from_one(truth)
                target = np.array([label in (None, "pedestrian") for label in truth.label], dtype=bool)
                prompts = first_prompts(truth.take((truth.score > 0) & target))
        rule = self.rule or _rule_of(place.name, False)
        if truth is not None:
            rule = self.rule or truth.record.rule or rule
            truth = truth.replace(record=truth.record.replace(rule=rule))
        return Sequence(place.name, self.video(place, info, truth, images), truth, prompts, benchmark=rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result, checked against the length and size of the sequence where it is given; a `gt.txt` without one is
        truth, with its classes, its flags and the rule that scores it.
        """
        if sequence is None and Path(path).name == "gt.txt":
            found = read_mot(path, "truth", first_frame=self.first())
            return found.replace(record=found.record.replace(rule=self.rule or found.record.rule))
        truth = None if sequence is None else sequence.truth
        size = None if truth is None or truth.size is None else truth.size[::-1]
        frames = None if truth is None else truth.meta.get("frames")
        return read_mot(path, "results", frames=frames, size=size, first_frame=self.first())

    def read_detections(self, place: Place, file: str = "det.txt") -> Tracks:
        """Read the public detections: every detection is an object of its own, its score is the detector's."""
        info = self.info(place, True)
        found = read_mot(place.path / "det" / file, "detections", frames=info.frames, size=info.size)
        return found.replace(meta={**found.meta, "frames": info.frames})

    def losses(self, tracks: Tracks, kind: FormatKind = "truth") -> dict[str, Loss]:
        """See `Format`; every row of truth has a class."""
        found = super().losses(tracks, kind)
        boxed = np.isfinite(tracks.boxes).all(axis=1)
        if kind == "truth":
            told = "{} rows without a label (they read as pedestrians)"
            found |= lost("unlabelled", tracks, told, boxed & ~given(tracks.label, len(tracks)))
        return found

    def write_tracks(self, tracks: Tracks, path: Path, kind: FormatKind = "results") -> Path:
        """Write the text, and with truth the `seqinfo.ini` of its sequence."""
        written = write_mot(tracks, path, kind)
        if kind == "truth":
            self.write_info(tracks, path)
        return written


_LOOKED = 20
"""Lines of a text alone that tell of which format it is: rows of one frame may be alike by chance, of several hardly."""
_CLASSED = ("mot16", "mot17", "mot20")
_RULES = ("mot15", *_CLASSED)


def _rule_of(name: str, classed: bool) -> str:
    """Rule of the benchmark that a sequence is of: by its name, else by whether its truth has classes."""
    return next((y for y in _RULES if y in name.lower()), "mot17" if classed else "mot15")


def _is_result(line: bytes) -> bool:
    """Whether a line is of a result and says no more than a box and a score; an empty one says nothing else."""
    try:
        cells = [float(cell) for cell in line.split(b",")] if line.strip() else [1.0] * 6
    except ValueError:
        return False
    counts = len(cells) in (6, 7, 10) and cells[0] >= 1 and all(map(math.isfinite, cells))
    return counts and cells[0].is_integer() and cells[1].is_integer() and {*cells[7:]} <= {-1.0}


def _place(path: str | Path) -> Path:
    """The folder of a sequence whose truth lies at `path`, else the file's name."""
    file = Path(path)
    return file.parent.parent if file.parent.name == "gt" else file


def _class_ids(labels: NDArray[np.object_]) -> NDArray[np.int64]:
    ids = {label: number for number, label in CLASSES.items()}
    unknown = {x for x in labels if x is not None} - set(ids)
    if unknown:
        raise TracksError(
            f"The label {sorted(unknown)[0]!r} is no class of MOTChallenge. Known: {', '.join(ids)}."
        )
    return np.array([ids[x] if x is not None else 1 for x in labels], dtype=np.int64)


FORMAT = MotChallenge(
    name="motchallenge",
    family="mot",
    summary="<sequence>/{img1/*.jpg, gt/gt.txt, seqinfo.ini}",
    rules={"mot": "", **{rule: rule for rule in _RULES}, "dancetrack": "mot17", "sportsmot": "mot17"},
    pixel_base=1,
    frame_base=1,
    lone="6, 7 or 10 numbers between commas, the last three of ten -1",
    holds=frozenset({"boxes", "objects", "ids", "hidden", "gaps", "flags", "labels", "size", "overlap"}),
    results=frozenset({"boxes", "objects", "ids", "gaps", "flags", "scores", "overlap"}),
)

__all__ = ["CLASSES", "FORMAT", "MotRows", "read_mot", "read_mot_rows", "write_mot"]
