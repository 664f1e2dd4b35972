"""MOTChallenge: `<sequence>/{img1/000001.jpg, gt/gt.txt, det/det.txt, seqinfo.ini}`, results `<tracker>/<sequence>.txt`.

A line is `frame, id, left, top, width, height, confidence, class, visibility` (truth) or
`frame, id, left, top, width, height, confidence, x, y, z` (results, detections).

Differs from vtlab's convention: frames and pixels count from 1 there (left = x1 + 1, top = y1 + 1); boxes are
xywh. In truth the seventh column is a flag (0 = not counted), kept as `score`; classes become labels.

Format: Milan et al., "MOT16", arXiv:1603.00831, 2016; Dendorfer et al., "MOT20", arXiv:2003.09003, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, TracksError
from vtlab.files import write_whole
from vtlab.formats.base import Kind as FormatKind
from vtlab.formats.base import Place
from vtlab.formats.mot_folder import MotFolder
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts
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

Kind = Literal["truth", "results", "detections"]


@dataclass(frozen=True)
class MotRows:
    """A MOTChallenge file as arrays, in the order of its lines, in vtlab's convention.

    Attributes:
        frame: (N,) int64, 0-based.
        object_id: (N,) int64; -1 in detections.
        boxes: (N, 4) float64 xyxy, edges.
        confidence: (N,) float64; in truth the flag: 0 = not counted.
        class_id: (N,) int64; 1 where the file has no class.
        visibility: (N,) float64 in [0, 1]; 1 where the file has none.
        has_classes: The file is truth with a class column (MOT16 and later).
    """

    frame: NDArray[np.int64]
    object_id: NDArray[np.int64]
    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]
    class_id: NDArray[np.int64]
    visibility: NDArray[np.float64]
    has_classes: bool = False

    def __len__(self) -> int:
        return len(self.frame)


def read_mot_rows(
    source: str | Path | bytes,
    kind: Kind = "results",
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    first_frame: int = 1,
    name: str | None = None,
) -> MotRows:
    """Read a MOTChallenge text file into arrays and check it.

    Args:
        source: Path of the file, or its bytes.
        kind: What the file holds: `truth`, `results` or `detections` (ids may be -1 and repeat).
        frames: Number of frames of the sequence; a later frame is an error.
        size: Image (width, height); boxes that look like x1, y1, x2, y2 are then told apart reliably.
        first_frame: Index of the first frame in the file: 1 by the format's rule.
        name: Name of the file in messages, where `source` is bytes.

    Raises:
        FormatError: The file is missing or wrong; the message names the file, the line and what was expected.
    """
    where = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    data = _read_bytes(source, where)
    if not data.strip():
        return _as_rows(np.empty((0, 9)), kind, first_frame)
    table = _parse(data, where)
    _check(table, kind, where, data=data, frames=frames, size=size, first_frame=first_frame)
    return _as_rows(table, kind, first_frame)


def read_mot(
    path: str | Path,
    kind: Kind = "results",
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    first_frame: int = 1,
) -> Tracks:
    """Read a MOTChallenge text file as `Tracks`; see `read_mot_rows` for the arguments and errors.

    In truth `score` is the flag of the seventh column (0 = not counted by the protocol), `label` the class, and
    `visible` is False where the visibility is 0. `size` is (width, height).
    """
    rows = read_mot_rows(path, kind, frames=frames, size=size, first_frame=first_frame)
    object_id = np.arange(len(rows)) if kind == "detections" else rows.object_id
    label = _LABELS[np.clip(rows.class_id, 0, len(CLASSES) + 1)] if rows.has_classes else None
    score = rows.confidence if kind == "truth" else _unit(rows.confidence)
    return Tracks.of(
        rows.frame,
        object_id,
        rows.boxes,
        score,
        rows.visibility > 0,
        label=label,
        source={"truth": "manual", "results": "tracked", "detections": "detected"}[kind],
        size=None if size is None else (size[1], size[0]),
        meta={"format": "mot", "file": str(path), **({"dense": True} if kind == "truth" else {})},
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

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; its prompts are the boxes of the counted pedestrians where they first appear."""
        info = self.info(place, images)
        truth, prompts = None, Prompts()
        if place.truth is not None:
            truth = read_mot(place.truth, "truth", frames=info.frames, size=info.size)
            truth = truth.replace(
                meta={**truth.meta, **({} if info.frames is None else {"frames": info.frames})}
            )
            classed = any(label is not None for label in truth.label)
            if not classed and self.rule in _CLASSED:
                raise FormatError(
                    f"{place.truth}: the protocol {self.rule!r} needs the class in column 8 and the visibility in "
                    "column 9; this file has none. Use --as mot15."
                )
            if images:
                target = np.array([label in (None, "pedestrian") for label in truth.label], dtype=bool)
                prompts = first_prompts(truth.take((truth.score > 0) & target))
        rule = self.rule or _rule_of(place.name, truth)
        return Sequence(place.name, self.video(place, info, truth, images), truth, prompts, benchmark=rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result, checked against the length and size of the sequence where it is given."""
        truth = None if sequence is None else sequence.truth
        size = None if truth is None or truth.size is None else truth.size[::-1]
        frames = None if truth is None else truth.meta.get("frames")
        return read_mot(path, "results", frames=frames, size=size, first_frame=self.first())

    def read_detections(self, place: Place, file: str = "det.txt") -> Tracks:
        """Read the public detections: every detection is an object of its own, its score is the detector's."""
        info = self.info(place, True)
        found = read_mot(place.path / "det" / file, "detections", frames=info.frames, size=info.size)
        return found.replace(meta={**found.meta, "frames": info.frames})

    def write_tracks(self, tracks: Tracks, path: Path, kind: FormatKind = "results") -> Path:
        """Write the text, and with truth the `seqinfo.ini` of its sequence."""
        written = write_mot(tracks, path, kind)
        if kind == "truth":
            self.write_info(tracks, path)
        return written


_CLASSED = ("mot16", "mot17", "mot20")
_RULES = ("mot15", *_CLASSED)


def _rule_of(name: str, truth: Tracks | None) -> str:
    """Rule of the benchmark that a sequence is of: by its name, else by whether its truth has classes."""
    year = next((y for y in _RULES if y in name.lower()), None)
    if year is None:
        classed = truth is not None and any(label is not None for label in truth.label)
        year = "mot17" if classed else "mot15"
    return year


def _read_bytes(source: str | Path | bytes, where: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise FormatError(f"{where}: can't be read ({error.strerror or error}).") from None


def _parse(data: bytes, where: str) -> NDArray[np.float64]:
    """Parse numbers in columns; (N, C) float64."""
    import pyarrow as pa
    from pyarrow import csv

    first = data.lstrip().split(b"\n", 1)[0].strip()
    if b"," not in first:
        data = b"\n".join(b",".join(line.split()) for line in data.splitlines())
        first = b",".join(first.split())
    columns = first.count(b",") + 1
    names = [str(i) for i in range(columns)]
    try:
        table = csv.read_csv(
            pa.py_buffer(data),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 26),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
        )
    except pa.ArrowInvalid:
        raise _bad_line(data, columns, where) from None
    if columns > 7 and table.column(columns - 1).null_count == table.num_rows:  # lines that end in a comma
        columns -= 1
    if columns < 6:
        raise FormatError(
            f"{where}, line 1: expected at least 6 columns (frame, id, left, top, width, height), got {columns}."
        )
    out = np.empty((columns, table.num_rows))
    for i in range(columns):
        out[i] = table.column(i).to_numpy()
    return out.T


def _bad_line(data: bytes, columns: int, where: str) -> FormatError:
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split(",")
        if not line.strip():
            continue
        if len(cells) != columns:
            return FormatError(
                f"{where}, line {number}: expected {columns} columns as in line 1, got {len(cells)}."
            )
        for position, cell in enumerate(cells, start=1):
            try:
                float(cell or "nan")
            except ValueError:
                return FormatError(
                    f"{where}, line {number}: column {position} should be a number, got {cell!r}."
                )
    return FormatError(f"{where}: not a MOTChallenge text file.")


def _check(
    table: NDArray[np.float64],
    kind: Kind,
    where: str,
    *,
    data: bytes,
    frames: int | None,
    size: tuple[int, int] | None,
    first_frame: int,
) -> None:
    frame, object_id = table[:, 0], table[:, 1]

    def fail(bad: Any, message: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            cells = ", ".join(f"{v:g}" for v in table[row, :6])
            raise FormatError(f"{where}, line {_line(data, row)}: {message} Got: {cells}.")

    fail(~np.isfinite(table[:, :6]).all(axis=1), "a value is missing or no number.")
    fail(frame != np.floor(frame), "the frame must be a whole number.")
    fail(
        frame < first_frame,
        f"frames count from {first_frame} in MOTChallenge files. If this file counts from 0, read it with "
        "first_frame=0 (--first-frame 0).",
    )
    if frames is not None:
        fail(
            frame >= frames + first_frame,
            f"the sequence has {frames} frames. Is this the result of another one?",
        )
    fail(
        (table[:, 4:6] < 0).any(axis=1),
        "width and height must not be negative; columns 3-6 are left, top, width, height.",
    )
    _check_corners(table, where, size)
    if kind != "detections":
        fail(object_id != np.floor(object_id), "the id must be a whole number.")
        fail(_repeated(frame, object_id), "this id occurs twice in this frame.")


def _check_corners(table: NDArray[np.float64], where: str, size: tuple[int, int] | None) -> None:
    """Refuse files whose columns 3-6 are x1, y1, x2, y2."""
    ordered = (table[:, 4] > table[:, 2]) & (table[:, 5] > table[:, 3])
    if len(table) < 20 or not ordered.all():
        return
    right, bottom = table[:, 2] + table[:, 4], table[:, 3] + table[:, 5]
    if size is None and (table[:, 2:4].min(axis=0) < 0.5 * table[:, 4:6].max(axis=0)).all():
        return  # large objects near the corner of an image of unknown size
    if size is not None and not ((right > 1.1 * size[0]) | (bottom > 1.1 * size[1])).mean() > 0.3:
        return
    raise FormatError(
        f"{where}: columns 5 and 6 exceed columns 3 and 4 in every line, as in x1, y1, x2, y2. Expected left, top, "
        "width, height: subtract columns 3 and 4 from 5 and 6."
    )


def _repeated(frame: NDArray[np.float64], object_id: NDArray[np.float64]) -> NDArray[np.bool_]:
    bad = np.zeros(len(frame), bool)
    low = object_id.min()
    width = object_id.max() - low + 1
    key = frame * width + (object_id - low)
    if width * frame.max() < 2**52:
        ordered = np.sort(key)
        if (ordered[1:] != ordered[:-1]).all():
            return bad
    order = np.lexsort((object_id, frame))
    twice = (np.diff(frame[order]) == 0) & (np.diff(object_id[order]) == 0)
    bad[order[1:][twice]] = True
    return bad


def _line(data: bytes, row: int) -> int:
    """Line number, from 1, of the row-th line that isn't blank."""
    filled = [n for n, line in enumerate(data.splitlines(), start=1) if line.strip()]
    return filled[row]


def _as_rows(table: NDArray[np.float64], kind: Kind, first_frame: int) -> MotRows:
    n, columns = table.shape
    left_top = table[:, 2:4] - 1.0
    has_classes = kind == "truth" and columns == 9 and bool((table[:, 7] >= 1).all())
    ones = np.ones(n)
    return MotRows(
        table[:, 0].astype(np.int64) - first_frame,
        table[:, 1].astype(np.int64),
        np.concatenate([left_top, left_top + table[:, 4:6]], axis=1),
        table[:, 6] if columns > 6 else ones,
        table[:, 7].astype(np.int64) if has_classes else ones.astype(np.int64),
        np.clip(table[:, 8], 0.0, 1.0) if has_classes else ones,
        has_classes,
    )


def _unit(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores in [0, 1]: files without scores carry -1 (or 1) throughout; other ranges are scaled to their maximum."""
    if (confidence < 0).any() and (confidence == confidence.flat[0]).all():
        return np.ones_like(confidence)
    top = confidence.max(initial=1.0)
    return np.clip(confidence / top, 0.0, 1.0)


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
    rules={"mot": "", **{rule: rule for rule in _RULES}},
    pixel_base=1,
    frame_base=1,
    holds=frozenset({"boxes", "objects", "ids", "hidden", "gaps", "flags", "labels", "size", "overlap"}),
    results=frozenset({"boxes", "objects", "ids", "gaps", "flags", "scores", "overlap"}),
)
