"""KITTI tracking: `label_02/<sequence>.txt`, a line for each object of a frame; results are `<tracker>/<sequence>.txt`.

A line is `frame id type truncated occluded alpha x1 y1 x2 y2`, seven numbers of a box in space, and in results a score.
Frames and pixels count from 0; corners are read as edges, as TrackEval does. `DontCare` (id -1) is a region that is ignored.
`occluded` is 0 to 3 (3: unknown): vtlab has whether it is 1 or 2, and 3 as an attribute, as it has the truncation 1 or 2,
since the rules score no object that is cut off or unknown. The box in space is not read, and written as KITTI's "none". The
length of a sequence is that of `evaluate_tracking.seqmap.*`, else of its images in `image_02/<sequence>`.

Format: Geiger, Lenz, Urtasun, KITTI, CVPR 2012; read as TrackEval 1.3.0 does, datasets/kitti_2d_box.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, TracksError
from vtlab.files import damage_as, told_as_format, write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    files,
    frame_count,
    given,
    lost,
    no_frames,
    open_frames,
    plain_boxes,
    read_text,
    whole,
)
from vtlab.formats.ledger import column
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import image_files

_TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person", "Person_sitting", "Cyclist", "Tram", "Misc")
_LABELS = {name.lower(): name for name in _TYPES}
_NONE = "-1 -1 -1 -1000 -1000 -1000 -10"
_LENGTHS = "evaluate_tracking.seqmap.training"
_FPS = 10.0
"""Frames a second of the cameras (Geiger et al., CVPR 2012)."""


@dataclass(frozen=True, kw_only=True)
class Kitti(Format):
    """KITTI tracking, boxes in the image."""

    def places(self, root: Path) -> Iterable[Place]:
        """Texts of `label_02`; any texts, where there is no such folder."""
        found = list(files(root, self.suffix))
        within = [p for p in found if p.parent.name == "label_02"]
        return (Place(p.stem, p, p) for p in within or found)

    def sniff(self, path: Path) -> bool:
        """Whether a text has such lines."""
        texts = list(files(path, self.suffix))
        texts = [p for p in texts if p.parent.name == "label_02"] or (texts if path.is_file() else [])
        cells = read_text(texts[0]).split("\n", 1)[0].split() if texts else []
        return len(cells) in (17, 18) and cells[2].lower() in (*_LABELS, "dontcare")

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; `DontCare` makes its ignore regions."""
        path = place.truth or place.path
        truth, ignored = _read(path, "manual")
        pictures = image_files(path.parent.parent / "image_02" / place.name)
        count = _length(path, place.name) or len(pictures) or frame_count(truth)
        if len(truth) and truth.frame[-1] >= count:
            raise FormatError(
                f"{path}: frame {truth.frame[-1]} of a sequence of {count} frames (counted from 0)."
            )
        truth = truth.replace(meta={**truth.meta, "format": self.name, "frames": count})
        video = open_frames(pictures, place, _FPS) if images else no_frames(place, count, None, _FPS)
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        ignore = ignored if len(ignored) else None
        return Sequence(place.name, video, truth, prompts, ignore, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result."""
        tracks, _ = _read(path, "tracked")
        count = None if sequence is None else len(sequence)
        if count is not None and len(tracks) and tracks.frame[-1] >= count:
            raise FormatError(
                f"{path}: frame {tracks.frame[-1]}; the sequence has {count} frames, counted from 0."
            )
        meta = {**tracks.meta, "format": self.name, **({} if count is None else {"frames": count})}
        return tracks.replace(meta=meta)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the visible boxes; with truth its length. Objects without a label are `Misc`.

        Raises:
            TracksError: A label is no class of the format.
        """
        seen = tracks.seen()
        seen = seen.take(np.isfinite(seen.boxes).all(axis=1))
        lines = []
        for row, (frame, owner) in enumerate(zip(seen.frame.tolist(), seen.object_id.tolist(), strict=True)):
            label = seen.label[row] or "misc"
            if label not in _LABELS or owner < 0:
                raise TracksError(
                    f"The label {label!r} (object {owner}) is no class of KITTI. Known: {', '.join(_LABELS)}."
                )
            # 17 digits give every float64 back.
            corner = " ".join(f"{v:.17g}" for v in seen.boxes[row])
            cut, unknown = _levels(seen.attributes[row]) if seen.attributes is not None else (0, 0)
            hidden = unknown or int(seen.occluded is not None and seen.occluded[row])
            score = f" {seen.score[row]:.17g}" if kind == "results" else ""
            lines.append(f"{frame} {owner} {_LABELS[label]} {cut} {hidden} -10 {corner} {_NONE}{score}\n")
        written = write_whole(path, "".join(lines))
        if kind == "truth":
            file = path.parent.parent / _LENGTHS
            known = [
                x
                for x in (read_text(file).splitlines() if file.is_file() else ())
                if x.split()[:1] != [path.stem]
            ]
            lengths = sorted([*known, f"{path.stem} empty 000000 {frame_count(tracks):06d}"])
            write_whole(file, "\n".join(lengths) + "\n")
        return written

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Upright boxes."""
        return plain_boxes(ignore)

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth, and the regions as lines of `DontCare`."""
        written = self.write_tracks(truth, path, "truth")
        lines = [
            f"{frame} -1 DontCare -1 -1 -10 {' '.join(f'{v:.17g}' for v in box)} {_NONE}\n"
            for frame, box in zip(ignore.frame.tolist(), ignore.boxes.tolist(), strict=True)
        ]
        return [write_whole(written, read_text(written) + "".join(lines))]

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; every object has a class, and only KITTI's own attributes."""
        told = column(tracks, "attributes")
        other = [x is not None and x != _attributes(*_levels(x)) for x in told]
        found = lost("attributes", tracks, "", np.array(other, bool))
        bare = np.isfinite(tracks.boxes).all(axis=1) & tracks.visible & ~given(tracks.label, len(tracks))
        found |= lost("unlabelled", tracks, "{} rows without a label (they read as misc)", bare)
        held = {k: v for k, v in super().losses(tracks, kind).items() if k != "attributes"}
        return held | found

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in `label_02`."""
        return (
            super().path_of(root, sequence, tracker)
            if tracker
            else root / TRUTH / "label_02" / f"{sequence}.txt"
        )


def _levels(told: Mapping[str, Any] | None) -> tuple[int, int]:
    """Truncation (1 or 2) and occlusion (3) that the attributes of a row say; 0 for none."""
    cut, hidden = (told or {}).get("truncated"), (told or {}).get("occluded")
    return cut if type(cut) is int and cut in (1, 2) else 0, 3 if type(hidden) is int and hidden == 3 else 0


def _attributes(cut: int, hidden: int) -> dict[str, Any] | None:
    """Attributes of a row for its truncation and occlusion; None where they say nothing."""
    found = ({"truncated": cut} if cut > 0 else {}) | ({"occluded": 3} if hidden > 2 else {})
    return found or None


def _length(path: Path, name: str) -> int | None:
    """Frames of a sequence as a list of lengths beside its folder says."""
    for file in sorted(path.parent.parent.glob("evaluate_tracking.seqmap.*")):
        for line in read_text(file).splitlines():
            cells = line.split()
            if cells[:1] == [name] and len(cells) == 4:
                return whole(cells[3], file, f"the length of {name}")
    return None


def _read(path: Path, source: str) -> tuple[Tracks, Tracks]:
    """The objects of a text, and its ignore regions."""
    rows: list[tuple[Any, ...]] = []
    ignored: list[tuple[int, list[float]]] = []
    for n, line in enumerate(read_text(path).splitlines(), start=1):
        cells, where = line.split(), f"{path}, line {n}"
        if not cells:
            continue
        if len(cells) not in (17, 18):
            raise FormatError(f"{where}: expected 17 or 18 cells (frame id type ...), got {len(cells)}.")
        with damage_as(FormatError, where, "a line of KITTI's numbers"):
            numbers = [float(c) for c in cells[6:10]]
            score = float(cells[17]) if len(cells) == 18 else 1.0
            cut, occlusion = (min(int(float(c)), n) for c, n in ((cells[3], 2), (cells[4], 3)))
        if not all(map(math.isfinite, numbers)) or numbers[2] < numbers[0] or numbers[3] < numbers[1]:
            raise FormatError(f"{where}: expected x1 <= x2 and y1 <= y2, got {' '.join(cells[6:10])}.")
        frame = whole(cells[0], where, "the frame")
        if cells[2].lower() == "dontcare":
            ignored.append((frame, numbers))
            continue
        if not 0 <= score <= 1:
            raise FormatError(f"{where}: the score {score:g} is not from 0 to 1.")
        label = cells[2].lower() if cells[2].lower() in _LABELS else cells[2]
        owner, said = whole(cells[1], where, "the id", 1 << 53), _attributes(cut, occlusion)
        rows.append((frame, owner, numbers, score, label, occlusion in (1, 2), said))
    frames, owners, boxes, scores, labels, hidden, told = zip(*rows, strict=True) if rows else ((),) * 7
    with told_as_format(path):
        tracks = Tracks.of(
            frames,
            owners,
            np.array(boxes).reshape(-1, 4),
            np.array(scores, dtype=float),
            label=list(labels),
            occluded=np.array(hidden, bool) if any(hidden) else None,
            attributes=list(told) if any(told) else None,
            source=source,
            meta={"file": str(path), **({"dense": True} if source == "manual" else {})},
        )
        at, around = zip(*ignored, strict=True) if ignored else ((), ())
        regions = Tracks.of(at, range(len(at)), np.array(around).reshape(-1, 4), source=source)
    return tracks, regions


FORMAT = Kitti(
    name="kitti",
    family="mot",
    summary="label_02/<sequence>.txt and image_02/<sequence>/*.png",
    rule="kitti-car",
    rules={"kitti-car": "", "kitti-pedestrian": "kitti-pedestrian"},
    holds=frozenset({"boxes", "objects", "ids", "gaps", "labels", "occluded"}),
    results=frozenset({"boxes", "objects", "ids", "gaps", "labels", "occluded", "scores", "flags"}),
)
