"""YouTube-VOS: DAVIS' tree without a resolution, masks on every fifth frame, and `meta.json` beside `Annotations`.

`meta.json` lists the frames of each object: those of them that have a mask are the ones that count for it, so objects
begin late. Without it an object counts from its first mask on.

Benchmark: Xu et al., YouTube-VOS, ECCV 2018 (arXiv:1809.03327).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError
from vtlab.files import write_whole
from vtlab.formats.base import Kind, Loss, Place, frame_count, read_text, whole
from vtlab.formats.json_video import label_losses
from vtlab.formats.label_images import LabelImages, list_of
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class YoutubeVos(LabelImages):
    """YouTube-VOS 2018 and 2019."""

    def sniff(self, path: Path) -> bool:
        """Whether a list of objects lies beside `Annotations`."""
        return any(list_of(place).is_file() for place in self.places(path))

    def listed_frames(self, place: Place) -> dict[int, list[int]]:
        """Frames of each object as `meta.json` lists them."""
        path = list_of(place)
        if place.path.parent.name != "Annotations" or not path.is_file():
            return {}
        video = _videos(path, path.stat().st_mtime_ns).get(place.name)
        expected = '"objects": {"1": {"frames": ["00000", ...]}, ...}'
        if video is None:
            raise FormatError(
                f"{path}: no video {place.name!r} under 'videos', but {place.path} has masks of it."
            )
        try:
            found = {
                whole(i, path, "an object's id"): [
                    whole(str(f), path, "a frame") for f in _list(entry["frames"])
                ]
                for i, entry in video["objects"].items()
            }
        except (KeyError, TypeError, AttributeError):
            raise FormatError(f"{path}: video {place.name!r}: expected {expected}.") from None
        if not all(found.values()):
            raise FormatError(
                f"{path}: video {place.name!r} lists no object, or no frames of one; expected {expected}."
            )
        return found

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """See `LabelImages`; the category of each object that the list names is its label."""
        sequence, path = super().read_sequence(place, images=images), list_of(place)
        if sequence.truth is None or not self.listed_frames(place):
            return sequence
        listed = _videos(path, path.stat().st_mtime_ns)[place.name]["objects"]
        said = {int(i): e.get("category") for i, e in listed.items()}
        label = [x if isinstance(x := said.get(int(i)), str) else None for i in sequence.truth.object_id]
        truth = sequence.truth.replace(label=np.array(label, dtype=object))
        return replace(sequence, truth=truth, prompts=first_prompts(truth) if images else sequence.prompts)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """See `LabelImages`; with truth the list of its objects, beside those of other sequences."""
        written = super().write_tracks(tracks, path, kind)
        if kind == "truth" and path.parent.name == "Annotations":
            file = list_of(Place(path.name, path, path))
            known = _videos(file, file.stat().st_mtime_ns) if file.is_file() else {}
            videos = {**known, path.name: {"objects": _listed(tracks)}}
            write_whole(file, json.dumps({"videos": dict(sorted(videos.items()))}, indent=1) + "\n")
        return written

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a label is its object's."""
        found = super().losses(tracks, kind)
        return found | label_losses(tracks.seen(), none=None) if kind == "truth" else found


def _listed(tracks: Tracks) -> dict[str, Any]:
    """Objects as the list has them: their frames are those that were looked at, from their first on."""
    looked = tracks.annotated_frames(frame_count(tracks), bool(tracks.record.dense)).tolist()
    names = dict(zip(tracks.meta.get("annotated") or (), tracks.meta.get("files") or (), strict=False))
    given, seen = tracks.meta.get("object_frames") or {}, tracks.seen()
    found = {}
    for owner, mine in seen.by_object():
        frames = given.get(str(owner)) or [f for f in looked if f >= mine.frame[0]]
        label = mine.labels.get(owner)
        entry: dict[str, Any] = {} if label is None else {"category": label}
        found[str(owner)] = entry | {"frames": [Path(names.get(f, f"{f:05d}.png")).stem for f in frames]}
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


@lru_cache(maxsize=1)
def _videos(path: Path, changed: int) -> dict[str, Any]:
    """Videos of a meta.json, which holds a whole split, so it is read once as long as it does not change."""
    try:
        videos = json.loads(read_text(path))["videos"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: expected JSON with 'videos' ({error!r}).") from None
    if not isinstance(videos, dict):
        raise FormatError(f"{path}: expected 'videos' to map names to objects, got {type(videos).__name__}.")
    return videos


FORMAT = YoutubeVos(
    name="youtube-vos",
    summary="{JPEGImages,Annotations}/<sequence>/* with meta.json",
    rules={"ytvos": ""},
    rule="youtube-vos",
    holds=frozenset({"masks", "objects", "ids", "gaps", "unlooked", "labels", "size"}),
    results=frozenset({"masks", "objects", "ids", "gaps", "unlooked", "size"}),
)
