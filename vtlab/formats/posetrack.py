"""PoseTrack 2018 and PoseTrack21: `posetrack_data/<part>/<sequence>.json` of `{images, annotations, categories}`, a file for
each sequence, beside `images/<part>/<sequence>/000000.jpg`; results have the same shape, with `scores`.

An annotation is a person on one image: `track_id`, `bbox` [left, top, width, height], `bbox_head`, and `keypoints`, x, y and
v for each of the 17 points of its category (the ears are never labelled). Zeros are no point; v = 0 with a place is a point
that isn't seen. An image with neither `is_labeled` nor `has_labeled_person` was not looked at. `ignore_regions_x` and `_y`
are polygons. Coordinates are taken as they are: no source says more of them. `bbox_head`, of which PoseTrack's own measure
(PCKh) makes its distances, is kept as an attribute of the row, `person_id` as one of the object; the names of the points as
`point_names` in the record's `extra`. vtlab has no PCKh: boxes are scored by its own rule.

Source: doc/dataset_structure.md and eval/posetrack21/.../trackeval/datasets/posetrack.py of
https://github.com/anDoer/PoseTrack21 (Doering et al., CVPR 2022), and py/convert.py of
https://github.com/leonid-pishchulin/poseval (Andriluka et al., PoseTrack, CVPR 2018), whose evaluation takes a `track_id`
up to 999. PoseTrack 2017's older files (`annolist`) are not read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import told_as_format
from vtlab.formats import json_video as js
from vtlab.formats.base import (
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    Result,
    finite,
    frame_count,
    lost,
    plain_boxes,
)
from vtlab.formats.ledger import given, pointed
from vtlab.formats.planned import Planned
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import IdMap, PointRows, Record, Tracks

POINTS = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_HEAD, _PERSON = "bbox_head", "person_id"
_MOST_POINTS = 1000


@dataclass(frozen=True, kw_only=True)
class PoseTrack(js.JsonVideo):
    """PoseTrack's persons: boxes and skeletons."""

    def looks(self, data: Any) -> bool:
        """Whether it is a file of images and of persons with keypoints."""
        kinds = data.get("categories") if isinstance(data, dict) and "videos" not in data else None
        first = kinds[0] if isinstance(kinds, list) and kinds else None
        return isinstance(first, dict) and "keypoints" in first and isinstance(data.get("images"), list)

    results_look = looks

    def labelled(self, data: Mapping[str, Any]) -> bool:
        """Whether somebody looked at one of its images."""
        told = data.get("annotations")
        pictures = data.get("images")
        seen = (
            any(_looked(i) for i in pictures if isinstance(i, dict)) if isinstance(pictures, list) else False
        )
        return isinstance(told, list) and (bool(told) or seen)

    def names(self, data: Any, path: Path) -> Iterable[str]:
        """The file's name: it is one sequence."""
        return (path.stem,)

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Files named after their sequence."""
        return [r for r in Format.find_results(self, root, known) if self._is_result(r.path)]

    def gathered(self, written: list[Path]) -> list[Path]:
        """Each sequence keeps its file."""
        return written

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; each person is prompted by what it has where it first appears."""
        one = _File(place.path)
        names = [js.inside(js.text(i, "file_name", one.where), one.where) for i in one.images]
        video = self.video(place, names, (0, 0), images)
        if place.truth is None:
            return Sequence(place.name, video, benchmark=self.rule)
        truth = one.tracks("manual").replace(size=(video.height, video.width) if images else None)
        looked = [n for n, image in enumerate(one.images) if _looked(image)]
        if len(looked) < len(names):
            truth = truth.replace(record=truth.record.replace(annotated=tuple(looked)))
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, one.ignored(), benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result, which has the images of its sequence."""
        one = _File(path)
        if sequence is not None and len(one.images) != len(sequence):
            raise FormatError(f"{path}: {len(one.images)} frames where the sequence has {len(sequence)}.")
        return one.tracks("tracked")

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`."""
        found, plan = super().losses(tracks, kind), _Plan(tracks)
        found.pop("attributes", None)
        found.pop("tags", None)
        return found | plan.losses()

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write one sequence; rows without a label are persons."""
        return js.write_json(path, _content(tracks, path.stem, kind))

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Outlines and upright boxes; those of a mask alone it can't draw."""
        return plain_boxes(ignore, given(ignore.polygons, len(ignore)))

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth with its ignore regions, an outline (or box) of each frame."""
        content = _content(truth, path.stem, "truth")
        for row, frame in enumerate(ignore.frame.tolist()):
            for ring in _rings(ignore, row):
                content["images"][frame]["ignore_regions_x"].append(ring[:, 0].tolist())
                content["images"][frame]["ignore_regions_y"].append(ring[:, 1].tolist())
        return [js.write_json(path, content)]


def _looked(image: Mapping[str, Any]) -> bool:
    """Whether somebody labelled an image; one that says nothing of it was."""
    told = [image[k] for k in ("is_labeled", "has_labeled_person") if k in image]
    return not told or any(map(bool, told))


def _rings(ignored: Tracks, row: int) -> list[NDArray[np.float64]]:
    drawn = None if ignored.polygons is None else ignored.polygons[row]
    if drawn is not None:
        return [np.asarray(ring) for ring in drawn]
    x1, y1, x2, y2 = ignored.boxes[row]
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])]


class _File:
    """A file of one sequence, checked."""

    def __init__(self, path: Path):
        self.where = str(path)
        data = js.content(path, dict)
        self.images = js.entries(data, "images", path)
        self.path, self.found = path, js.entries(data, "annotations", path)
        self.known, names, self.lines = _kinds(data, path)
        self.count = len(names)
        ids = [js.number(i, "id", f"{path}, image {n}") for n, i in enumerate(self.images)]
        self.places = {number: n for n, number in enumerate(ids)}
        if len(self.places) < len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise FormatError(f"{path}: two images have the id {twice}.")
        js.frame_total(ids, str(path))
        self.meta = {"image_ids": ids} | ({"point_names": list(names)} if names != POINTS else {})

    def tracks(self, source: str) -> Tracks:
        """The persons of the file."""
        owners = [js.number(e, "track_id", f"{self.path}, annotation {n}") for n, e in enumerate(self.found)]
        ids = IdMap(owners)
        rows = [self._row(n, entry) for n, entry in enumerate(self.found)]
        objects, more = [ids[o] for o in owners], [r["attributes"] for r in rows]
        points = [(r["frame"], i, *p) for r, i in zip(rows, objects, strict=True) for p in r["points"]]
        p = np.array(points, np.float64).reshape(-1, 7)
        record = Record(
            format="posetrack",
            file=self.where,
            frames=len(self.images),
            dense=True,
            objects=self._persons(objects) or None,
            edges={str(i): self.lines for i in np.unique(p[:, 1]).astype(int).tolist()}
            if self.lines
            else None,
            id_map=ids.entry(),
            extra=self.meta,
        )
        frame, owner, number = p[:, :3].astype(np.int64).T
        columns: dict[str, Any] = {"attributes": more} if any(more) else {}
        with told_as_format(self.where):
            return Tracks.of(
                [r["frame"] for r in rows],
                objects,
                np.array([r["box"] for r in rows], np.float64).reshape(-1, 4),
                np.array([r["score"] for r in rows], np.float64),
                label=[r["label"] for r in rows],
                source=source,
                points=PointRows.of(frame, owner, number, p[:, 3:5], p[:, 5] > 0, score=p[:, 6]),
                record=record,
                **columns,
            )

    def _row(self, number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        here = f"{self.path}, annotation {number}"
        image = js.number(entry, "image_id", here)
        if image not in self.places:
            raise FormatError(f"{here}: there is no image {image}.")
        head = finite(entry.get(_HEAD), 4)
        return {
            "frame": self.places[image],
            "box": js.box_of(entry["bbox"], here) if entry.get("bbox") else [np.nan] * 4,
            "score": js.score_of(entry, here),
            "label": self.known.get(js.number(entry, "category_id", here))
            if "category_id" in entry
            else None,
            "points": self._points(entry, here),
            "attributes": {_HEAD: head} if head else None,
        }

    def _points(self, entry: Mapping[str, Any], here: str) -> list[tuple[int, float, float, bool, float]]:
        told = entry.get("keypoints") or []
        flat = finite(told, 3 * self.count)
        if told and not flat:
            raise FormatError(
                f"{here}: expected 'keypoints' with x, y and v of {self.count} points, got {str(told)[:60]!r}."
            )
        told = entry.get("scores") or []
        scores = finite(told, self.count)
        if told and (not scores or min(scores) < 0 or max(scores) > 1):
            raise FormatError(
                f"{here}: expected 'scores' of {self.count} points, each from 0 to 1, got {str(told)[:60]!r}."
            )
        table = np.array(flat).reshape(-1, 3)
        kept = np.flatnonzero(table.any(axis=1)).tolist()
        return [(k, *table[k, :2].tolist(), table[k, 2] > 0, scores[k] if scores else 1.0) for k in kept]

    def _persons(self, objects: list[int]) -> dict[str, dict[str, Any]]:
        """Who each object is, over several sequences."""
        found: dict[str, dict[str, Any]] = {}
        for number, (entry, owner) in enumerate(zip(self.found, objects, strict=True)):
            if entry.get(_PERSON) is not None:
                person = js.number(entry, _PERSON, f"{self.path}, annotation {number}")
                found.setdefault(str(owner), {_PERSON: person})
        return found

    def ignored(self) -> Tracks | None:
        """Regions in which nothing counts."""
        frames: list[int] = []
        drawn: list[Any] = []
        for frame, image in enumerate(self.images):
            left, top = (image.get(f"ignore_regions_{axis}") or [] for axis in "xy")
            if not isinstance(left, list) or not isinstance(top, list) or len(left) != len(top):
                raise FormatError(
                    f"{self.path}, frame {frame}: ignore_regions_x and _y should be lists of one length."
                )
            for x, y in zip(left, top, strict=True):
                ring = finite(x), finite(y)
                if len(ring[0]) != len(ring[1]) or len(ring[0]) < 3:
                    raise FormatError(
                        f"{self.path}, frame {frame}: an ignore region has at least 3 corners, x and y of each."
                    )
                frames.append(frame)
                drawn.append([np.array(ring).T])
        if not frames:
            return None
        with told_as_format(self.where):
            return Tracks.of(frames, range(1, len(frames) + 1), polygons=drawn, source="manual")


def _kinds(data: Mapping[str, Any], path: Path) -> tuple[dict[int, str], tuple[str, ...], list[list[int]]]:
    """Number -> name of the categories, and names of points and pairs that lines join, of the first."""
    first = js.entries(data, "categories", path)[:1]
    names = first[0].get("keypoints") if first else list(POINTS)
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= _MOST_POINTS
        or not all(isinstance(n, str) for n in names)
    ):
        raise FormatError(
            f"{path}, 'categories': expected the names of the 'keypoints', got {str(names)[:60]!r}."
        )
    told = first[0].get("skeleton") or [] if first else []
    pairs = [finite(pair, 2) for pair in told] if isinstance(told, list) else []
    if not all(p and all(v % 1 == 0 and 1 <= v <= len(names) for v in p) for p in pairs):
        raise FormatError(f"{path}, 'categories': 'skeleton' should be pairs of points, counted from 1.")
    return js.categories(data, path), tuple(names), [[int(a) - 1, int(b) - 1] for a, b in pairs]


class _Plan(Planned):
    """Which rows are written, and what of them."""

    def __init__(self, tracks: Tracks):
        p, self.names = tracks.points, _names(tracks)
        self.kept = (
            np.isfinite(p.xy).all(axis=1) & (p.point_id < len(self.names)) & (p.xy.any(axis=1) | p.visible)
        )
        shown = np.isfinite(tracks.boxes).all(axis=1) | pointed(tracks, self.kept)
        super().__init__(tracks, tracks.visible & shown)
        known = IdMap.of(tracks.record)
        hosts = {i: known.host(i) for i in self.ids}
        good = all(type(h) is int and 0 <= h < 1 << 53 for h in hosts.values()) and len(
            {*hosts.values()}
        ) == len(hosts)
        self.hosts = hosts if good else {i: i for i in self.ids}

    def losses(self) -> dict[str, Loss]:
        """The rows of the ledger that depend on the tracks."""
        tracks = self.given
        found = lost(
            "points",
            tracks,
            "{} rows with points that have no place in the file",
            pointed(tracks, ~self.kept),
        )
        bare = ~given(tracks.label, len(tracks)) & self.written
        found |= lost("unlabelled", tracks, "{} rows without a label (they read as 'person')", bare)
        more = given(tracks.attributes, len(tracks))
        for row in np.flatnonzero(more & self.written).tolist():
            told = tracks.attributes[row]  # type: ignore[index]
            more[row] = set(told) != {_HEAD} or not finite(told[_HEAD], 4)
        found |= lost("attributes", tracks, "", more)
        tags = tracks.record.objects or {}
        if any(set(t) != {_PERSON} or not _is_person(t) or int(i) not in self.ids for i, t in tags.items()):
            found |= lost("tags", tracks)
        jointed = np.unique(tracks.points.object_id[self.kept]).tolist()
        found |= self.lost_lines(_lines(tracks), jointed, self.hosts)
        return found | self.lost_ids(self.hosts)


def _is_person(tags: Mapping[str, Any]) -> bool:
    return type(tags[_PERSON]) is int and 0 <= tags[_PERSON] < 1 << 53


def _names(tracks: Tracks) -> tuple[str, ...]:
    """Names of the points: those that the tracks were read with, else PoseTrack's."""
    told = tracks.record.extra.get("point_names")
    good = isinstance(told, list) and 0 < len(told) <= _MOST_POINTS and all(isinstance(n, str) for n in told)
    return tuple(told) if good else POINTS  # type: ignore[arg-type]


def _lines(tracks: Tracks) -> list[list[int]]:
    """Pairs of points that lines join: those of the first object that has some."""
    told = next(iter((tracks.record.edges or {}).values()), None)
    good = isinstance(told, list) and all(len(pair) == 2 and max(pair) < len(_names(tracks)) for pair in told)
    return [list(pair) for pair in told] if good else []  # type: ignore[union-attr]


def _content(tracks: Tracks, name: str, kind: Kind) -> dict[str, Any]:
    """A file of one sequence."""
    plan, count = _Plan(tracks), frame_count(tracks)
    images = _images(tracks, name, count, kind)
    numbers = {"person": 1}
    for label in tracks.label[plan.written].tolist():
        numbers.setdefault(label or "person", len(numbers) + 1)
    kinds = [
        {
            "supercategory": "person",
            "id": number,
            "name": label,
            "keypoints": list(plan.names),
            # As in COCO, lines count points from 1.
            "skeleton": [[a + 1, b + 1] for a, b in _lines(tracks)],
        }
        for label, number in numbers.items()
    ]
    return {"images": images, "annotations": _annotations(plan, images, numbers, kind), "categories": kinds}


def _images(tracks: Tracks, name: str, count: int, kind: Kind) -> list[dict[str, Any]]:
    told = tracks.record.extra.get("image_ids")
    given_ = isinstance(told, list) and len(told) == count
    # PoseTrack's names begin with the video's number: 000342_mpii_test.
    found = re.match(r"\d{5,6}(?!\d)", name)
    video = found.group() if found else f"{zlib.crc32(name.encode()) % 1_000_000:06d}"
    # PoseTrack's image numbers: a 1, six digits of the video, four of the frame.
    first = int(f"1{int(video):06d}0000") * (1 if count <= 10_000 else MOST_FRAMES // 10_000)
    looked = {
        *(
            tracks.annotated_frames(count, dense=bool(tracks.record.dense)).tolist()
            if kind == "truth"
            else range(count)
        )
    }
    return [
        {
            "is_labeled": n in looked,
            "has_labeled_person": n in looked,
            "nframes": count,
            "frame_id": number,
            "id": number,
            "vid_id": video,
            "file_name": f"images/{name}/{n:06d}.jpg",
            "ignore_regions_x": [],
            "ignore_regions_y": [],
        }
        for n, number in enumerate(told if given_ else range(first, first + count))  # type: ignore[arg-type]
    ]


def _annotations(
    plan: _Plan, images: list[dict[str, Any]], numbers: Mapping[str, int], kind: Kind
) -> list[dict[str, Any]]:
    tracks, count = plan.given, len(plan.names)
    p = tracks.points.take(plan.kept)
    of, rows = p.rows_in(tracks.frame, tracks.object_id), np.arange(len(tracks))
    begin, end = np.searchsorted(of, rows, "left"), np.searchsorted(of, rows, "right")
    tags = tracks.record.objects or {}
    found: list[dict[str, Any]] = []
    for row in np.flatnonzero(plan.written).tolist():
        mine, owner = slice(begin[row], end[row]), int(tracks.object_id[row])
        table, scores = np.zeros((count, 3)), np.zeros(count)
        table[p.point_id[mine]] = np.column_stack([p.xy[mine], p.visible[mine]])
        scores[p.point_id[mine]] = p.score[mine]
        image = images[int(tracks.frame[row])]["id"]
        entry: dict[str, Any] = {"id": len(found) + 1, "image_id": image, "track_id": plan.hosts[owner]}
        entry |= {"category_id": numbers[tracks.label[row] or "person"], "keypoints": table.ravel().tolist()}
        x1, y1, x2, y2 = tracks.boxes[row].tolist()
        entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1]} if x1 == x1 else {}
        entry |= {"scores": scores.tolist(), "score": float(tracks.score[row])} if kind == "results" else {}
        told = None if tracks.attributes is None else tracks.attributes[row]
        head = finite(told.get(_HEAD), 4) if told else []
        entry |= {_HEAD: head} if head else {}
        person = tags.get(str(owner)) or {}
        entry |= {_PERSON: person[_PERSON]} if _PERSON in person and _is_person(person) else {}
        found.append(entry)
    return found


_HELD = frozenset(
    {"boxes", "points", "skeletons", "unseen", "objects", "ids", "gaps", "labels", "overlap", "unlooked"}
)
FORMAT = PoseTrack(
    name="posetrack",
    summary="<sequence>.json of {images, annotations with keypoints, categories}, results too",
    rule="plain",
    rules={"posetrack18": "plain", "posetrack21": "plain"},
    holds=_HELD | {"edges", "host_ids"},
    results=_HELD | {"edges", "host_ids", "scores", "flags", "point_scores"},
)
