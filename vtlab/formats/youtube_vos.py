"""YouTube-VOS: DAVIS' tree without a resolution, masks on every fifth frame, and `meta.json` beside `Annotations`.

`meta.json` lists the frames of each object: those of them that have a mask are the ones that count for it, so objects
begin late. Without it an object counts from its first mask on.

Benchmark: Xu et al., YouTube-VOS, ECCV 2018 (arXiv:1809.03327).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vtlab.errors import FormatError
from vtlab.formats.base import Place, read_text
from vtlab.formats.label_images import LabelImages, list_of


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
            found = {int(i): [int(f) for f in entry["frames"]] for i, entry in video["objects"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FormatError(f"{path}: video {place.name!r}: expected {expected}.") from None
        if not found or not all(found.values()):
            raise FormatError(
                f"{path}: video {place.name!r} lists no object, or no frames of one; expected {expected}."
            )
        return found


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
)
