"""DeepLabCut's CSV of points: labels `labeled-data/<video>/CollectedData_<scorer>.csv`, results `<video>DLC_<network>.csv`.

Three or four rows of heads (scorer, individuals where there are several animals, bodyparts, coords), then a row for each
frame: the path of its image, in one cell or three, or the frame's number; then x, y, and in results likelihood, for each
point. An empty cell is no point. The number in an image's name is the frame's. A file doesn't say how long its video is, nor
which points lines join; a point that isn't seen has no place in it. Coordinates are centres of pixels at whole numbers, as
sleap-io takes them. This file is read by vtlab itself: sleap-io leaves out rows whose images aren't there, and results.

Source: io/dlc.py of https://github.com/talmolab/sleap-io (BSD-3) 0.9.5, which also judges what is written here; Mathis et
al., DeepLabCut, Nature Neuroscience 2018.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import write_whole
from vtlab.formats.base import (
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    beginning,
    files,
    frame_count,
    video_beside,
)
from vtlab.formats.figures import within
from vtlab.formats.opening import labelled
from vtlab.formats.poses import CENTRE, MOST_POINTS, PosePlan, Poses, numbered
from vtlab.sequence import Sequence
from vtlab.tracks import Record, Tracks

_SCORER, _LABELS, _RESULTS = "vtlab", "CollectedData", "DLC_"
_COORDS = ("x", "y", "likelihood")


@dataclass(frozen=True, kw_only=True)
class DeepLabCut(Format):
    """One CSV for each video."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every CSV with DeepLabCut's heads."""
        return (Place(_name(p), p, p) for p in files(root, self.suffix) if _looks(p))

    def sniff(self, path: Path) -> bool:
        """Whether there is such a CSV."""
        return any(map(_looks, files(path, self.suffix)))

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """See `Format`; `walkDLC_resnet50.csv` is of the sequence walk."""
        name = _name(path)
        return name if (known is None and _looks(path)) or name in (known or ()) else None

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read labels as truth; frames that have no row were not looked at."""
        truth = _read(place.path, "manual")
        found = video_beside(place.path.parent, place.name)
        if place.path.stem.startswith(_LABELS):
            found = video_beside(place.path.parent.parent.parent / "videos", place.name) or found
        return labelled(place, truth, found, images=images, rule=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result."""
        return within(_read(path, "tracked"), sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        return super().losses(tracks, kind) | PosePlan(tracks, unseen=False).losses(lines=False)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write labels with the paths of images (truth), or results with numbers of frames and likelihoods."""
        plan, truth = PosePlan(tracks, unseen=False), kind == "truth"
        count = frame_count(tracks)
        looked = (
            tracks.annotated_frames(count, dense=bool(tracks.record.dense)) if truth else np.arange(count)
        )

        def fill(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="") as out:
                write = csv.writer(out, lineterminator="\n").writerow
                for head in _heads(plan, truth):
                    write(head)
                for frame, cells in _rows(plan, looked, truth):
                    write([f"labeled-data/{path.stem}/img{frame:06d}.png" if truth else frame, *cells])

        return write_whole(path, fill)


def _name(path: Path) -> str:
    """Name of the video that a file is of."""
    return (
        path.parent.name if path.stem.startswith(_LABELS) else path.stem.partition(_RESULTS)[0] or path.stem
    )


def _looks(path: Path) -> bool:
    head = beginning(path).lower().lstrip(b"\xef\xbb\xbf")
    return all(
        re.search(rb"^%b[,\r\n]" % name, head, re.MULTILINE) for name in (b"scorer", b"bodyparts", b"coords")
    )


def _single(plan: PosePlan) -> bool:
    """Whether the file is one of a single animal, which has no name in it."""
    return list(plan.hosts.values()) in ([], ["1"])


def _heads(plan: PosePlan, truth: bool) -> Iterator[list[str]]:
    coords = _COORDS[:2] if truth else _COORDS
    names = [(host, name) for host in plan.hosts.values() for name in plan.names]
    yield ["scorer", *[_SCORER] * (len(names) * len(coords))]
    if not _single(plan):
        yield ["individuals", *(host for host, _ in names for _ in coords)]
    yield ["bodyparts", *(name for _, name in names for _ in coords)]
    yield ["coords", *list(coords) * len(names)]


def _rows(plan: PosePlan, looked: NDArray[np.int64], truth: bool) -> Iterator[tuple[int, list[Any]]]:
    """Frames, and the cells of their points."""
    p, poses, width = plan.given.points, plan.poses(), 2 if truth else 3
    place = {owner: n for n, owner in enumerate(plan.hosts)}
    for frame in looked.tolist():
        cells: list[Any] = [""] * (len(place) * len(plan.names) * width)
        for owner, _, mine in poses.get(frame, ()):
            for k in mine.tolist():
                at = (place[owner] * len(plan.names) + plan.column[int(p.point_id[k])]) * width
                values = [*(p.xy[k] - CENTRE).tolist(), float(p.score[k])]
                cells[at : at + width] = values[:width]
        yield frame, cells


def _read(path: Path, source: str) -> Tracks:
    """Read a file, row by row; raises `FormatError` naming the line."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return _File(path, csv.reader(file)).tracks(source)
    except (OSError, csv.Error) as error:
        raise FormatError(f"{path}: can't be read ({error}).") from None


class _File:
    """A file of DeepLabCut: its heads, checked."""

    def __init__(self, path: Path, lines: Iterator[list[str]]):
        self.path, self.lines = path, lines
        heads = {row[0].lower(): row for row in islice(lines, 3) if row}
        if "individuals" in heads:
            heads |= {row[0].lower(): row for row in islice(lines, 1) if row}
        missing = [name for name in ("scorer", "bodyparts", "coords") if name not in heads]
        if missing:
            raise FormatError(f"{path}: no CSV of DeepLabCut: it lacks the head {missing[0]!r}.")
        self.start, coords = len(heads), [c.lower() for c in heads["coords"][1:]]
        self.lead = 1 + next((n for n, c in enumerate(coords) if c), len(coords))
        told = coords[self.lead - 1 :]
        self.width = 3 if "likelihood" in told else 2
        parts, owners = heads["bodyparts"][self.lead :], heads.get("individuals", [])[self.lead :]
        owners = owners or ["1"] * len(told)
        if told != [*_COORDS[: self.width]] * (len(told) // self.width) or not len(parts) == len(
            owners
        ) == len(told):
            raise FormatError(
                f"{path}: the heads should say x, y (and likelihood) of each body part, got {len(told)} of coords, "
                f"{len(parts)} of bodyparts, {len(owners)} of individuals."
            )
        columns = [*zip(owners[:: self.width], parts[:: self.width], strict=True)]
        if len({*columns}) < len(columns):
            raise FormatError(f"{path}: a body part of one individual has two columns.")
        numbers, self.named = numbered([*dict.fromkeys(name for _, name in columns)], path)
        number = dict(zip(dict.fromkeys(name for _, name in columns), numbers.tolist(), strict=True))
        self.of: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for owner in dict.fromkeys(o for o, _ in columns):
            mine = [n for n, (o, _) in enumerate(columns) if o == owner]
            self.of[owner] = np.array(mine), np.array([number[columns[n][1]] for n in mine])
        self.cells = self.lead + len(told)

    def tracks(self, source: str) -> Tracks:
        """The poses of all rows."""
        found, frames, numbered_ = Poses(), dict[int, int](), True
        for line, row in enumerate(self.lines, start=self.start + 1):
            if not row:
                continue
            where = f"{self.path}, line {line}"
            if len(row) != self.cells:
                raise FormatError(f"{where}: {len(row)} cells, the heads have {self.cells}.")
            frame, by_number = _frame(row[: self.lead], where)
            if frames.setdefault(frame, line) != line:
                raise FormatError(f"{where}: frame {frame} is there twice, first in line {frames[frame]}.")
            numbered_ &= by_number
            table = _table(row[self.lead :], self.width, where)
            for owner, (columns, points) in self.of.items():
                mine = np.column_stack([points, table[columns]])
                mine = mine[np.isfinite(mine).all(axis=1)]
                if len(mine):
                    found.add(frame, owner, mine, source)
            if found.count > MOST_POINTS:
                raise FormatError(f"{where}: more than {MOST_POINTS} points.")
        looked = tuple(sorted(frames))
        whole = numbered_ or looked == tuple(range(len(looked)))
        record = Record(
            format="deeplabcut",
            file=str(self.path),
            frames=max(looked, default=-1) + 1 or None,
            dense=whole,
            annotated=None if whole else looked,
            extra=self.named,
        )
        return found.tracks(self.path, record)


def _frame(cells: list[str], where: str) -> tuple[int, bool]:
    """Number of a row's frame, and whether it is said as a number."""
    text = cells[-1].strip()
    # A table that went through pandas as floats says 12.0.
    told = text.removesuffix(".0") if len(cells) == 1 else ""
    number = told if told.isascii() and told.isdecimal() else ""
    # A number that is no frame's (-1, 1.5, 1e3) is no image's name either.
    if not number and not re.fullmatch(r"[-+.0-9e]+", text):
        found = re.findall(r"[0-9]+", PurePosixPath(text.replace("\\", "/")).stem)
        number = found[-1] if found else ""
    if not 0 < len(number) < 10 or int(number) > MOST_FRAMES:
        raise FormatError(
            f"{where}: expected an image with the number of its frame, or that number, got {text[:60]!r}."
        )
    return int(number), number == told


def _table(cells: list[str], width: int, where: str) -> NDArray[np.float64]:
    """(K, 4) x, y, visible, score of the points of a row; NaN where a cell is empty."""
    try:
        values = np.array([float(c) if c else np.nan for c in cells]).reshape(-1, width)
    except ValueError as error:
        raise FormatError(f"{where}: {str(error)[:100]}.") from None
    bad = (np.abs(values[:, :2]) > 1e9).any() or (
        width == 3 and ((values[:, 2] < 0) | (values[:, 2] > 1)).any()
    )
    if bad:
        raise FormatError(f"{where}: expected x and y in pixels, and a likelihood from 0 to 1.")
    score = values[:, 2] if width == 3 else np.ones(len(values))
    return np.column_stack([values[:, :2], np.ones(len(values)), score])


_HELD = frozenset({"points", "skeletons", "objects", "ids", "gaps", "unlooked", "host_ids"})
FORMAT = DeepLabCut(
    name="deeplabcut",
    family="points",
    summary="labeled-data/<sequence>/CollectedData_*.csv or <sequence>.csv; results: <sequence>DLC_*.csv",
    rule="native-first",
    rules={"dlc": "native-first"},
    suffix=".csv",
    holds=_HELD,
    results=_HELD | {"point_scores"},
)
