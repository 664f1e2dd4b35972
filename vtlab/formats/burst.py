"""BURST: one JSON file of `sequences`, each with `annotated_image_paths`, `track_category_ids` and `segmentations`: for
each image a dict of track -> `{rle}` (and in results `score`); results have the same shape.

Run lengths are COCO's text. The frames of a sequence are the images that the file lists, one a second; results may list
more, of which those that truth has are taken, by the names of the images. A sequence is called `<dataset>-<seq_name>`.
Categories stand in no official file (they are LVIS' numbers); the entry `categories` that vtlab writes names them.

Benchmark: Athar et al., BURST, WACV 2023; read as TrackEval 1.3.0 does, datasets/burst_helpers/format_converter.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.errors import FormatError, TracksError
from vtlab.formats import json_video as js
from vtlab.formats.base import Kind, Loss, Place, frame_count, inside
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class Burst(js.JsonVideo):
    """BURST."""

    fps: float = 1.0
    images: str = "frames"

    def looks(self, data: Any) -> bool:
        """Whether it has sequences with masks by image."""
        found = data.get("sequences") if isinstance(data, dict) else None
        return isinstance(found, list) and any(
            isinstance(s, dict) and "annotated_image_paths" in s for s in found
        )

    results_look = looks

    def labelled(self, data: Mapping[str, Any]) -> bool:
        """Whether the file has masks."""
        return any(isinstance(s, dict) and "segmentations" in s for s in data["sequences"])

    def names(self, data: Mapping[str, Any], path: Path) -> Iterable[str]:
        """Name of each sequence."""
        return (_name(s, path) for s in js.entries(data, "sequences", path))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; each object is prompted by its mask and its box where it first appears."""
        path = place.truth or place.path
        data = js.content(path, dict)
        entry = _of(data, path, place.name)
        where = f"{path}, sequence {place.name!r}"
        size, paths, known = js.size_of(entry, where), _images(entry, where), js.categories(data, path)
        folder = "/".join(filter(None, (entry.get("dataset"), entry.get("seq_name"))))
        video = self.video(place, [inside(f"{folder}/{p}", where) for p in paths], size, images)
        if place.truth is None:
            return Sequence(place.name, video, benchmark=self.rule)
        meta = {"format": self.name, "file": str(path), "frames": len(paths), "dense": True, "images": paths}
        meta |= {
            "categories": {str(k): v for k, v in known.items()},
            "video_id": js.number(entry, "id", where),
        }
        truth = _read(
            entry, size, dict(zip(paths, range(len(paths)), strict=True)), known, where=where
        ).replace(meta=meta)
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read what a file of results says of one sequence."""
        data = js.content(path, dict)
        found = js.entries(data, "sequences", path)
        if sequence is None and len(found) != 1:
            raise FormatError(
                f"{path}: it holds {len(found)} sequences; name the truth beside it to read one."
            )
        entry = found[0] if sequence is None else _of(data, path, sequence.name)
        where = f"{path}, sequence {_name(entry, path)!r}"
        truth = None if sequence is None else sequence.truth
        paths = _images(entry, where) if truth is None else truth.meta.get("images") or _images(entry, where)
        known = js.categories(data, path) or js.known_categories(truth)
        place_of = {str(p): n for n, p in enumerate(paths)}
        meta = {"format": self.name, "file": str(path), "frames": len(paths)}
        kept = ("video_id", "categories", "images")
        meta |= {k: truth.meta[k] for k in kept if truth is not None and k in truth.meta}
        return _read(entry, js.size_of(entry, where), place_of, known, where=where, source="tracked").replace(
            meta=meta
        )

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; the label is the object's."""
        return super().losses(tracks, kind) | js.label_losses(tracks.seen())

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the masks of one sequence as a file of its own.

        Raises:
            TracksError: There are no masks to write, or no size of the frames.
        """
        seen = tracks.seen()
        if tracks.size is None or (len(seen) and seen.rle is None):
            raise TracksError(
                f"{path}: {self.name} holds masks; give tracks with masks and the frames' size."
            )
        count, owners = frame_count(tracks), seen.object_ids.tolist()
        labels = seen.labels
        numbers = js.numbered(map(labels.get, owners), tracks, path)
        given = tracks.meta.get("images")
        paths = (
            given
            if isinstance(given, list) and len(given) == count
            else [f"{f:08d}.jpg" for f in range(count)]
        )
        drawn: list[dict[str, Any]] = [{} for _ in range(count)]
        for row, (frame, owner) in enumerate(zip(seen.frame.tolist(), seen.object_id.tolist(), strict=True)):
            rle = None if seen.rle is None else seen.rle[row]
            if rle is not None:
                score = {"score": float(seen.score[row])} if kind == "results" else {}
                drawn[frame][str(owner)] = {"rle": rle.decode("ascii"), **score}
        entry = {
            "id": js.video_id(tracks, path.stem),
            "dataset": "",
            "seq_name": path.stem,
            "width": tracks.size[1],
            "height": tracks.size[0],
            "fps": self.fps,
            "annotated_image_paths": paths,
            "neg_category_ids": [],
            "not_exhaustive_category_ids": [],
            "track_category_ids": {str(i): numbers[labels.get(i) or "object"] for i in owners},
            "segmentations": drawn,
        }
        listed = [{"id": n, "name": label} for label, n in numbers.items()]
        return js.write_json(path, {"split": "val", "sequences": [entry], "categories": listed})


def _name(entry: Mapping[str, Any], path: Path) -> str:
    where = f"{path}, 'sequences'"
    name = js.text(entry, "seq_name", where)
    return f"{js.text(entry, 'dataset', where)}-{name}" if entry.get("dataset") else name


def _of(data: Mapping[str, Any], path: Path, name: str) -> dict[str, Any]:
    found = next((s for s in js.entries(data, "sequences", path) if _name(s, path) == name), None)
    if found is None:
        raise FormatError(f"{path}: there is no sequence {name!r}.")
    return found


def _images(entry: Mapping[str, Any], where: str) -> list[str]:
    paths = entry.get("annotated_image_paths")
    if (
        not isinstance(paths, list)
        or not all(isinstance(p, str) for p in paths)
        or len(set(paths)) < len(paths)
    ):
        raise FormatError(f"{where}: expected the names of images under 'annotated_image_paths', each once.")
    js.frame_total(paths, where)
    return [inside(p, where) for p in paths]


def _read(
    entry: Mapping[str, Any],
    size: tuple[int, int],
    place_of: Mapping[str, int],
    known: Mapping[int, str],
    *,
    where: str,
    source: str = "manual",
) -> Tracks:
    """Tracks of one sequence; images that are not in `place_of` are left out."""
    paths = _images(entry, where)
    drawn = js.objects(entry.get("segmentations"), f"{where}, 'segmentations'")
    if len(drawn) != len(paths):
        raise FormatError(f"{where}: {len(drawn)} entries of 'segmentations' for {len(paths)} images.")
    kinds = entry.get("track_category_ids")
    kinds = kinds if isinstance(kinds, dict) else {}
    rows: list[tuple[int, int, float, str | None]] = []
    encoded: list[bytes] = []
    places: list[str] = []
    for image, found in zip(paths, drawn, strict=True):
        for name, value in found.items() if image in place_of else ():
            here = f"{where}, image {image!r}, track {name[:20]!r}"
            said = value if isinstance(value, dict) else {}
            kind = {"category_id": said.get("category_id", kinds.get(name))}
            counts = js.text(said, "rle", here).encode("utf-8", "replace")
            owner = js.number(
                {"track": int(name) if name.isdecimal() and len(name) < 17 else name}, "track", here
            )
            rows.append((place_of[image], owner, js.score_of(said, here), js.label_of(kind, known, here)))
            encoded.append(counts)
            places.append(here)
    return js.tracks_of_masks(rows, encoded, places, size, where=where, source=source)


FORMAT = Burst(
    name="burst",
    summary="<file>.json of {sequences: [{annotated_image_paths, segmentations, ...}]}, results too",
    rule="burst",
    holds=frozenset({"masks", "objects", "ids", "gaps", "labels", "overlap", "size"}),
    results=frozenset({"masks", "objects", "ids", "gaps", "labels", "overlap", "size", "scores", "flags"}),
)
