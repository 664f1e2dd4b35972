"""YouTube-VIS: one JSON file of `videos`, `annotations` (a track each, with a mask or null for each frame) and
`categories`; results are a list of `{video_id, category_id, segmentations, score}`.

Truth has run-length counts as a list, results as text, as the official tools write them and TrackEval asks for; both
kinds are read in either place, and so are polygons. A sequence is called after the folder of its images. A result has
one score for a track: the mean of its rows. A track of `iscrowd` is one that does not count (score 0).

What vtlab writes has more than the format asks for, so that files need not know of each other: `track_id` (the
object's number), and in results `video` and `category` (names).

OVIS (Qi et al., IJCV 2022) has the same files, `annotations_train.json` beside `train/<video>/*.jpg`: Mask2Former-VIS, VITA
and DVIS read it with the same loader (`_PREDEFINED_SPLITS_OVIS` of their datasets/builtin.py). No file of OVIS was tried.

Benchmark: Yang, Fan, Xu, Video Instance Segmentation, ICCV 2019; read as TrackEval 1.3.0 does, datasets/youtube_vis.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab import masks
from vtlab.errors import FormatError, TracksError
from vtlab.formats import json_video as js
from vtlab.formats.base import Kind, Loss, frame_count, inside
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class YoutubeVis(js.ListedVideos):
    """YouTube-VIS 2019, 2021, 2022, and OVIS, which has the same files."""

    # Every fifth frame of 30 a second is labelled (Yang et al., ICCV 2019).
    fps: float = 6.0

    def looks(self, data: Any) -> bool:
        """Whether videos list their `file_names`."""
        videos = data.get("videos") if isinstance(data, dict) else None
        return isinstance(videos, list) and any(isinstance(v, dict) and "file_names" in v for v in videos)

    def results_look(self, data: Any) -> bool:
        """Whether it is a list of tracks with `segmentations`, or an empty one."""
        return isinstance(data, list) and all(isinstance(e, dict) and "segmentations" in e for e in data[:1])

    def name_of(self, video: Mapping[str, Any], path: Path) -> str:
        """The folder of the video's images."""
        return _name(video, path)

    def frames_of(self, one: js.Entry) -> list[str]:
        """The video's `file_names`."""
        names: list[str] = one.given["file_names"]
        return names[: js.frame_total(names, one.where)]

    def truth_of(self, one: js.Entry) -> Tracks:
        """The masks of the video."""
        count = len(one.given["file_names"])
        return _read(one.annotations(), one.size, count, one.known, where=one.where, source="manual")

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read what a list of results says of one video."""
        found = js.objects(js.content(path, list), str(path))
        truth = None if sequence is None else sequence.truth
        known, count = js.known_categories(truth), None if sequence is None else len(sequence)
        if truth is not None:
            found = [e for e in found if _is_of(e, sequence.name if sequence else "", truth)]
        videos = {e.get("video", e.get("video_id")) for e in found}
        if len(videos) > 1:
            raise FormatError(f"{path}: it holds {len(videos)} videos; name the truth beside it to read one.")
        size = None if truth is None else truth.size
        size = size or next((s for s in map(_size_in, found) if s is not None), None)
        given = {"format": self.name, "file": str(path), "frames": count}
        if truth is not None:
            given |= {k: truth.meta[k] for k in ("video_id", "categories") if k in truth.meta}
        elif found:
            given["frames"] = len(_listed(found[0], f"{path}, track 0"))
        meta = {k: v for k, v in given.items() if v is not None}
        if size is None:
            return Tracks.empty(meta=meta)
        return _read(found, size, count, known, where=str(path), source="tracked").replace(meta=meta)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; the label and the score are the object's, and a track is counted or not as a whole."""
        found, seen = super().losses(tracks, kind), tracks.seen()
        for key in ("scores", "flags") if _by_object(seen, kind) else ():
            found.pop(key, None)
        return found | js.label_losses(seen)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the masks of one video as a file of its own.

        Raises:
            TracksError: There are no masks to write, or no size of the frames.
        """
        seen = tracks.seen()
        if tracks.size is None or (len(seen) and seen.rle is None):
            raise TracksError(
                f"{path}: {self.name} holds masks; give tracks with masks and the frames' size."
            )
        name, count = path.stem, frame_count(tracks)
        key, owners = js.video_id(tracks, name), seen.object_ids.tolist()
        numbers = js.numbered(map(seen.labels.get, owners), tracks, path)
        written = []
        for owner in owners:
            label = seen.labels.get(owner) or "object"
            entry = {"video_id": key, "track_id": owner, "category_id": numbers[label]}
            written.append(entry | _drawn(seen.of_object(owner), count, kind, name, label))
        if kind == "results":
            return js.write_json(path, written)
        height, width = tracks.size
        shape = {"height": height, "width": width, "length": count}
        annotations = [{"id": n, **entry, **shape} for n, entry in enumerate(written, start=1)]
        video = {"id": key, **shape, "file_names": [f"{name}/{frame:05d}.jpg" for frame in range(count)]}
        listed = [{"id": n, "name": label} for label, n in numbers.items()]
        return js.write_json(path, {"videos": [video], "annotations": annotations, "categories": listed})


def _drawn(tracks: Tracks, count: int, kind: Kind, name: str, label: str) -> dict[str, Any]:
    """What an entry says of the masks of one object."""
    runs = tracks.runs()
    boxes, areas = runs.boxes(), runs.areas()
    size = [runs.height, runs.width]
    height, width = size
    drawn: list[Any] = [None] * count
    around: list[Any] = [None] * count
    pixels: list[Any] = [None] * count
    for row, (frame, counts) in enumerate(zip(tracks.frame.tolist(), runs.counts(), strict=True)):
        if areas[row]:
            plain = (
                masks.to_runs(counts, height, width).tolist() if kind == "truth" else counts.decode("ascii")
            )
            drawn[frame] = {"size": size, "counts": plain}
            x1, y1, x2, y2 = boxes[row].tolist()
            around[frame], pixels[frame] = [x1, y1, x2 - x1, y2 - y1], int(areas[row])
    if kind == "results":
        return {"segmentations": drawn, "score": float(tracks.score.mean()), "video": name, "category": label}
    crowd = int((tracks.score == 0).all())
    return {"segmentations": drawn, "bboxes": around, "areas": pixels, "iscrowd": crowd}


def _by_object(tracks: Tracks, kind: Kind) -> bool:
    """Whether each object has one score on all frames, which truth has only as 0 or 1."""
    scores = {(int(i), float(s)) for i, s in zip(tracks.object_id, tracks.score, strict=True)}
    return len(scores) == len(tracks.object_ids) and (
        kind == "results" or {s for _, s in scores} <= {0.0, 1.0}
    )


def _name(video: Mapping[str, Any], path: Path) -> str:
    """Name of a video: the folder of its images."""
    names = video.get("file_names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise FormatError(f"{path}, 'videos': expected the names of images under 'file_names'.")
    return inside(names[0], f"{path}, 'videos'").split("/")[0]


def _is_of(entry: Mapping[str, Any], name: str, truth: Tracks) -> bool:
    """Whether an entry of results is of a video: by its name, which vtlab writes, else by its number."""
    told = entry.get("video")
    return told == name if isinstance(told, str) else entry.get("video_id") == truth.meta.get("video_id")


def _listed(entry: Mapping[str, Any], where: str, count: int | None = None) -> list[Any]:
    """A mask or null for each frame."""
    drawn = entry.get("segmentations")
    if not isinstance(drawn, list) or len(drawn) != (len(drawn) if count is None else count):
        told = f"{len(drawn)} of them" if isinstance(drawn, list) else type(drawn).__name__
        raise FormatError(f"{where}: expected 'segmentations', one for each of {count} frames, got {told}.")
    js.frame_total(drawn, where)
    return drawn


def _size_in(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) that the masks of an entry state."""
    drawn = entry.get("segmentations")
    first = next((m for m in drawn if isinstance(m, dict)), None) if isinstance(drawn, list) else None
    return None if first is None else js.stated_size(first, "the size of a mask")


def _read(
    found: list[dict[str, Any]],
    size: tuple[int, int],
    count: int | None,
    known: Mapping[int, str],
    *,
    where: str,
    source: str,
) -> Tracks:
    """Tracks of the entries of one video."""
    rows: list[tuple[int, int, float, str | None]] = []
    encoded: list[bytes] = []
    places: list[str] = []
    taken: set[int] = set()
    for n, entry in enumerate(found):
        here = f"{where}, track {n}"
        owner = (
            js.number(entry, "track_id" if "track_id" in entry else "id", here) if _has_id(entry) else n + 1
        )
        if owner in taken:
            raise FormatError(f"{here}: the number {owner} is another track's, too.")
        taken.add(owner)
        label, score = js.label_of(entry, known, here), js.score_of(entry, here)
        if source == "manual":
            score = 0.0 if entry.get("iscrowd") else 1.0
        for frame, value in enumerate(_listed(entry, here, count)):
            place = f"{here}, frame {frame}"
            counts = js.rle_of(value, size, place)
            if counts is not None:
                rows.append((frame, owner, score, label))
                encoded.append(counts)
                places.append(place)
    return js.tracks_of_masks(rows, encoded, places, size, where=where, source=source)


def _has_id(entry: Mapping[str, Any]) -> bool:
    return "track_id" in entry or "id" in entry


FORMAT = YoutubeVis(
    name="youtube-vis",
    summary="<file>.json of {videos, annotations, categories} with JPEGImages beside it; results: a list of tracks",
    rules={"youtubevis": "", "ovis": ""},
    rule="youtube-vis",
    holds=frozenset({"masks", "objects", "ids", "gaps", "labels", "overlap", "size"}),
)
