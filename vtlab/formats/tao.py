"""TAO: one JSON file of `videos`, `images`, `tracks`, `annotations` and `categories`; results are a list of
`{image_id, category_id, track_id, bbox, score, video_id}`.

Boxes are `[left, top, width, height]`, pixels count from 0. The frames of a sequence are the images that the file lists,
in the order of their `frame_index`: TAO lists one a second. Masks in `segmentation` (run lengths of both kinds) are read
and written beside the boxes; polygons in it, which TAO made of its boxes, are not read. A video's name has `/`, which
becomes `-`, as in TrackEval.

What vtlab writes has more than the format asks for, so that files need not know of each other: in results the names
`video` and `category`, and `frame`, the position of the image.

Benchmark: Dave et al., TAO: A Large-Scale Benchmark for Tracking Any Object, ECCV 2020; read as TrackEval 1.3.0 does,
datasets/tao.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, TracksError
from vtlab.files import told_as_format
from vtlab.formats import json_video as js
from vtlab.formats.base import MOST_FRAMES, Kind, Loss, frame_count
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class Tao(js.ListedVideos):
    """TAO, and what else has its files."""

    fps: float = 1.0
    images: str = "frames"

    def looks(self, data: Any) -> bool:
        """Whether it has lists of videos, images and tracks."""
        return isinstance(data, dict) and {"videos", "images", "tracks"} <= set(data)

    def results_look(self, data: Any) -> bool:
        """Whether it is a list of boxes of images, or an empty one."""
        return isinstance(data, list) and all(isinstance(e, dict) and "image_id" in e for e in data[:1])

    def name_of(self, video: Mapping[str, Any], path: Path) -> str:
        """See `ListedVideos`."""
        return _name(video, path)

    def frames_of(self, one: js.Entry) -> list[str]:
        """Images of the video by the numbers of their frames."""
        return [js.text(image, "file_name", one.where) for image in _images(one)]

    def truth_of(self, one: js.Entry) -> Tracks:
        """The boxes (and masks) of the video, each with the category of its track."""
        place_of = {js.number(image, "id", one.where): n for n, image in enumerate(_images(one))}
        tracks = {t.get("id"): t.get("category_id") for t in js.entries(one.data, "tracks", one.path)}
        full = [{"category_id": tracks.get(e.get("track_id")), **e} for e in one.annotations()]
        found = _read(full, one.size, place_of, one.known, where=one.where, source="manual")
        return found.replace(meta={"image_ids": list(place_of)})

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read what a list of results says of one video; boxes on images that truth does not list are left out."""
        found = js.objects(js.content(path, list), str(path))
        truth = None if sequence is None else sequence.truth
        known = js.known_categories(truth)
        places: dict[int, int] | None = None
        if sequence is not None and truth is not None:
            numbers = truth.meta.get("image_ids") or ()
            if numbers and not all(isinstance(e.get("video"), str) for e in found):
                places = {int(number): n for n, number in enumerate(numbers)}
                found = [e for e in found if isinstance(e.get("image_id"), int) and e["image_id"] in places]
            else:
                found = [e for e in found if e.get("video") == sequence.name]
        elif len({str(e.get("video", e.get("video_id"))) for e in found}) > 1:
            raise FormatError(f"{path}: it holds several videos; name the truth beside it to read one.")
        kept = () if truth is None else ("video_id", "categories", "image_ids")
        meta: dict[str, Any] = {"format": self.name, "file": str(path)}
        meta |= {k: truth.meta[k] for k in kept if truth is not None and k in truth.meta}
        if sequence is not None:
            meta["frames"] = len(sequence)
        return _read(
            found, truth.size if truth is not None else None, places, known, where=str(path), source="tracked"
        ).replace(meta=meta)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a label that stands for none is lost."""
        return super().losses(tracks, kind) | js.label_losses(tracks.seen(), of_rows=True)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the boxes (and masks) of one video as a file of its own.

        Raises:
            TracksError: Truth without the size of the frames.
        """
        seen = tracks.seen()
        seen = seen.take(np.isfinite(seen.boxes).all(axis=1))
        name, count = path.stem, frame_count(tracks)
        key, numbers = js.video_id(tracks, name), js.numbered(seen.label.tolist(), tracks, path)
        given = tracks.meta.get("image_ids")
        ids = (
            given
            if isinstance(given, list) and len(given) == count
            # Unique over all videos that `joined` puts into one file.
            else [key * MOST_FRAMES + f for f in range(count)]
        )
        rows = []
        for row, (frame, box) in enumerate(zip(seen.frame.tolist(), seen.boxes.tolist(), strict=True)):
            label = seen.label[row] or "object"
            entry = {"image_id": ids[frame], "video_id": key, "track_id": int(seen.object_id[row])}
            entry |= {
                "category_id": numbers[label],
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            }
            if seen.rle is not None and seen.rle[row] is not None:
                entry["segmentation"] = {
                    "size": list(seen.size or ()),
                    "counts": seen.rle[row].decode("ascii"),
                }
            if kind == "results":
                entry |= {"score": float(seen.score[row]), "video": name, "category": label, "frame": frame}
            rows.append(entry)
        if kind == "results":
            return js.write_json(path, rows)
        if tracks.size is None:
            raise TracksError(f"{path}: {self.name} states the size of the frames; give tracks with a size.")
        return js.write_json(path, _truth(seen, rows, numbers, tracks.size, (name, key, ids)))


def _images(one: js.Entry) -> list[dict[str, Any]]:
    """Entries of the images of a video, in their order."""
    listed = [i for i in js.entries(one.data, "images", one.path) if i.get("video_id") == one.key]
    return sorted(listed, key=lambda image: js.number(image, "frame_index", one.where, MOST_FRAMES))


def _truth(
    seen: Tracks,
    rows: list[dict[str, Any]],
    numbers: Mapping[str, int],
    size: tuple[int, int],
    video: tuple[str, int, list[int]],
) -> dict[str, Any]:
    """Content of a file of truth."""
    name, key, ids = video
    shape = {"height": size[0], "width": size[1]}
    annotations = [
        {"id": n, **row, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
        for n, row in enumerate(rows, 1)
    ]
    first = {row["track_id"]: row["category_id"] for row in reversed(rows)}
    images = [
        {
            "id": number,
            "video_id": key,
            "video": name,
            **shape,
            "file_name": f"{name}/{n:08d}.jpg",
            "frame_index": n,
        }
        for n, number in enumerate(ids)
    ]
    return {
        "videos": [
            {"id": key, "name": name, **shape, "neg_category_ids": [], "not_exhaustive_category_ids": []}
        ],
        "images": images,
        "tracks": [{"id": i, "category_id": first[i], "video_id": key} for i in sorted(first)],
        "annotations": annotations,
        "categories": [{"id": n, "name": label} for label, n in numbers.items()],
    }


def _name(video: Mapping[str, Any], path: Path) -> str:
    return js.text(video, "name", f"{path}, 'videos'").replace("/", "-")


def _read(
    found: list[dict[str, Any]],
    size: tuple[int, int] | None,
    places: Mapping[int, int] | None,
    known: Mapping[int, str],
    *,
    where: str,
    source: str,
) -> Tracks:
    """Tracks of the entries of one video; `places` says which frame an image is, else the entry itself."""
    frames, owners, boxes, scores = [], [], [], []
    labels: list[str | None] = []
    encoded: list[bytes | None] = []
    for n, entry in enumerate(found):
        here = f"{where}, annotation {n}"
        if places is None:
            frames.append(js.number(entry, "frame", f"{here} (its truth is needed)", MOST_FRAMES))
        else:
            image = js.number(entry, "image_id", here)
            if image not in places:
                raise FormatError(f"{here}: there is no image {image} of this video.")
            frames.append(places[image])
        owners.append(js.number(entry, "object_id" if "object_id" in entry else "track_id", here))
        boxes.append(js.box_of(entry.get("bbox"), here))
        labels.append(js.label_of(entry, known, here))
        scores.append(js.score_of(entry, here))
        drawn = entry.get("segmentation")
        if isinstance(drawn, dict):
            size = size or js.stated_size(drawn, here)
        encoded.append(js.rle_of(drawn, size, here) if isinstance(drawn, dict) and size is not None else None)
    with told_as_format(where):
        return Tracks.of(
            frames,
            owners,
            np.array(boxes).reshape(-1, 4),
            np.array(scores, dtype=float),
            label=labels,
            masks=encoded if any(e is not None for e in encoded) else None,
            source=source,
            size=size,
        )


FORMAT = Tao(
    name="tao",
    summary="<file>.json of {videos, images, tracks, annotations, categories}; results: a list of boxes",
    rule="tao",
    holds=frozenset({"boxes", "masks", "objects", "ids", "gaps", "labels", "overlap", "size"}),
    results=frozenset({"boxes", "masks", "objects", "ids", "gaps", "labels", "overlap", "scores", "flags"}),
)
