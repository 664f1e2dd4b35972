"""What formats share that hold many videos in one JSON file (YouTube-VIS, TAO, BURST): lists of objects, run-length
masks of both kinds, names of categories, images beside the file.

A file is read once as long as it does not change, and checked entry by entry: whatever is wrong is a `FormatError` that
names the file and the entry.
"""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError
from vtlab.files import read_json, told_as_format, write_whole
from vtlab.formats.base import (
    MOST_FRAMES,
    TRUTH,
    Format,
    Loss,
    Place,
    Result,
    absolute,
    files,
    finite,
    inside,
    lost,
    no_frames,
    open_frames,
    tracker_of,
    video_beside,
)
from vtlab.formats.json_join import joined
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import Video

MOST_BYTES = 1 << 30
"""Of one file; the truth of TAO and of YouTube-VIS is below it."""
_WHOLE = 1 << 53
"""Up to it every whole number is itself as a double, which is how JavaScript reads JSON."""
_KEYS = frozenset({"id", "video_id", "video", "image_id", "track_id", "category_id", "instance_id"})
"""Entries by which objects name each other."""


@dataclass(frozen=True, kw_only=True)
class JsonVideo(Format):
    """Truth is a JSON file of many videos; so is a result.

    Attributes:
        fps: Frames per second; the file does not say.
        images: Folder of the images, beside the file or above it.
    """

    family: str = "mot"
    suffix: str = ".json"
    fps: float = 30.0
    images: str = "JPEGImages"

    @abstractmethod
    def names(self, data: Mapping[str, Any], path: Path) -> Iterable[str]:
        """Names of the sequences of a file of truth."""

    @abstractmethod
    def looks(self, data: Any) -> bool:
        """Whether the content of a file is truth of this format."""

    def results_look(self, data: Any) -> bool:
        """Whether the content of a file is a result of this format."""
        return isinstance(data, list)

    def labelled(self, data: Mapping[str, Any]) -> bool:
        """Whether a file says where the objects are (the test part of a benchmark does not)."""
        return isinstance(data.get("annotations"), list)

    def places(self, root: Path) -> Iterable[Place]:
        """Every video of every file of truth."""
        for path in files(root, self.suffix):
            data: Any = content_of(path)
            if self.looks(data):
                truth = path if self.labelled(data) else None
                yield from (Place(name, path, truth) for name in self.names(data, path))

    def sniff(self, path: Path) -> bool:
        """Whether there is a file of this format's truth."""
        return any(_is_json(p) and self.looks(_content(p)) for p in files(path, self.suffix))

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Files named after their sequence, and files of several sequences for each that is known."""
        wanted = None if known is None else list(known)
        found = [r for r in super().find_results(root, wanted) if self._is_result(r.path)]
        top = absolute(root)
        taken = {r.path for r in found}
        for path in files(top, self.suffix) if wanted is not None and top.is_dir() else ():
            if path not in taken and path.relative_to(top).parts[0] != TRUTH and self._is_result(path):
                found += [Result(tracker_of(top, path), name, path) for name in wanted or ()]
        return found

    def _is_result(self, path: Path) -> bool:
        return _is_json(path) and self.results_look(_content(path))

    def gathered(self, written: list[Path]) -> list[Path]:
        """One file for all sequences of a folder, as the benchmarks have it: `instances.json`, and `results.json`."""
        folders: dict[Path, list[Path]] = {}
        for path in written:
            folders.setdefault(path.parent, []).append(path)
        return [p for folder, paths in folders.items() for p in self._joined(folder, paths)]

    def _joined(self, folder: Path, paths: list[Path]) -> list[Path]:
        if len(paths) < 2:
            return paths
        truth = folder.name == TRUTH
        content = joined([_content(path) for path in paths], {} if truth else _beside(paths[0]))
        made = write_json(folder / ("instances.json" if truth else "results.json"), content)
        for path in set(paths) - {made}:
            path.unlink()
        return [made]

    def video(self, place: Place, names: list[str], size: tuple[int, int], images: bool) -> Video:
        """The frames that the file lists, or their number where images are not asked for."""
        if not images:
            return no_frames(place, len(names), size, self.fps)
        frames = self._images_of(place.path, names) or video_beside(place.path.parent, place.name)
        video = open_frames(frames, place, self.fps)
        if len(video) != len(names):
            raise FormatError(
                f"{place.path}: {place.name!r} has {len(names)} frames, its video {len(video)}."
            )
        return video

    def _images_of(self, path: Path, names: list[str]) -> list[Path]:
        """Paths of the images, where the folder that they are named from is beside the file or above it."""
        for folder in (path.parent, *path.parents[1:3]):
            below = (p for p in sorted(folder.glob("*")) if p.is_dir())  # OVIS: train/<video>/img_0000001.jpg
            for base in (folder / self.images, *sorted(folder.glob(f"*/{self.images}")), folder, *below):
                if names and (base / names[0]).is_file():
                    return [base / name for name in names]
        return []


@dataclass(frozen=True)
class Entry:
    """One video that a file lists.

    Attributes:
        path: The file.
        where: File and video, for messages.
        data: Content of the file.
        given: The video's own entry.
        key: Its number.
        size: (height, width) of its frames.
        known: Number -> name of the categories.
    """

    path: Path
    where: str
    data: Mapping[str, Any]
    given: Mapping[str, Any]
    key: int
    size: tuple[int, int]
    known: Mapping[int, str]

    def annotations(self) -> list[dict[str, Any]]:
        """What the file says of this video."""
        return [e for e in entries(self.data, "annotations", self.path) if e.get("video_id") == self.key]


@dataclass(frozen=True, kw_only=True)
class ListedVideos(JsonVideo):
    """Files that list `videos` by number and their `annotations` beside them (YouTube-VIS, TAO)."""

    @abstractmethod
    def name_of(self, video: Mapping[str, Any], path: Path) -> str:
        """Name of a sequence by its entry."""

    @abstractmethod
    def frames_of(self, one: Entry) -> list[str]:
        """Names of the images of a video, in their order."""

    @abstractmethod
    def truth_of(self, one: Entry) -> Tracks:
        """What the file says of a video; in its record's `meta` what only this format has."""

    def names(self, data: Mapping[str, Any], path: Path) -> Iterable[str]:
        """See `JsonVideo`."""
        return (self.name_of(video, path) for video in entries(data, "videos", path))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a video; each object is prompted by what it has where it first appears."""
        path = place.truth or place.path
        data = content(path, dict)
        given = next((v for v in entries(data, "videos", path) if self.name_of(v, path) == place.name), None)
        if given is None:
            raise FormatError(f"{path}: there is no video {place.name!r}.")
        where = f"{path}, video {place.name!r}"
        key, size, known = number(given, "id", where), size_of(given, where), categories(data, path)
        one = Entry(path, where, data, given, key, size, known)
        names = self.frames_of(one)
        video = self.video(place, [inside(name, where) for name in names], size, images)
        if place.truth is None:
            return Sequence(place.name, video, benchmark=self.rule)
        truth = self.truth_of(one)
        meta = {"format": self.name, "file": str(path), "frames": len(names), "dense": True, "video_id": key}
        meta |= {"categories": {str(k): v for k, v in known.items()}}
        truth = truth.replace(meta=meta | truth.meta)
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, benchmark=self.rule)


@lru_cache(maxsize=2)
def _opened(path: Path, changed: int) -> Any:
    return read_json(path, "JSON", most=MOST_BYTES)


def _content(path: Path) -> Any:
    """Content of a file, read once as long as it does not change; nobody may change it."""
    return _opened(path, path.stat().st_mtime_ns)


def _is_json(path: Path) -> bool:
    """Whether a file begins as JSON of several entries does, so that other `.json` is not read to its end."""
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def content_of(path: Path) -> Any:
    """Content of a file where it begins as JSON of several entries does, else None."""
    return _content(path) if _is_json(path) else None


def content(path: Path, kind: type) -> Any:
    """Content of a file, which must be a list or a dict."""
    if not path.is_file():
        raise FormatError(f"{path}: there is no such file.")
    data = _content(path)
    if not isinstance(data, kind):
        raise FormatError(f"{path}: expected a {kind.__name__}, got a {type(data).__name__}.")
    return data


def entries(data: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`; raises `FormatError` where it is something else."""
    found = data.get(key)
    return objects(found, f"{path}, {key!r}")


def objects(found: Any, where: str) -> list[dict[str, Any]]:
    """A list of objects; raises `FormatError` for something else."""
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise FormatError(f"{where}: expected a list of objects.")
    for number, entry in enumerate(found):
        for key in _KEYS & entry.keys():
            if isinstance(entry[key], list | dict):
                raise FormatError(
                    f"{where}, entry {number}: {key!r} should be a number or a name, got a list or mapping."
                )
    return found


def number(entry: Mapping[str, Any], key: str, where: str, most: int = _WHOLE) -> int:
    """The whole number from 0 to `most` under `key`; raises `FormatError` for anything else."""
    value = entry.get(key)
    told = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    if not told or value != int(value):  # type: ignore[arg-type]
        raise FormatError(f"{where}: {key!r} should be a whole number up to {most}, got {str(value)[:40]!r}.")
    return int(value)  # type: ignore[arg-type]


def text(entry: Mapping[str, Any], key: str, where: str) -> str:
    """The text under `key`; raises `FormatError` for anything else."""
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise FormatError(f"{where}: {key!r} should be a text, got {str(value)[:40]!r}.")
    return value


def size_of(entry: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(height, width) of an entry, bounded before anything is made of it."""
    height, width = (number(entry, key, where, 1 << 20) for key in ("height", "width"))
    if not 0 < height * width <= masks.MAX_PIXELS:
        raise FormatError(f"{where}: a video of {width} x {height} pixels is out of range.")
    return height, width


def stated_size(mask: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(height, width) that a mask states, bounded."""
    given = mask.get("size")
    sides = given if isinstance(given, list) and len(given) == 2 else (None, None)
    return size_of(dict(zip(("height", "width"), sides, strict=True)), where)


def score_of(entry: Mapping[str, Any], where: str) -> float:
    """The score in [0, 1] of an entry of results, 1 where it has none."""
    value = entry.get("score", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise FormatError(f"{where}: 'score' should be a number from 0 to 1, got {str(value)[:40]!r}.")
    return float(value)


def box_of(value: Any, where: str) -> list[float]:
    """xyxy of a box `[left, top, width, height]`."""
    found = finite(value, 4)
    if not found or min(found[2:]) < 0:
        raise FormatError(f"{where}: expected [left, top, width, height], got {str(value)[:60]!r}.")
    return [found[0], found[1], found[0] + found[2], found[1] + found[3]]


def rle_of(value: Any, size: tuple[int, int], where: str) -> bytes | None:
    """Compressed counts of a mask given as COCO does: counts as text or as a list, or a list of polygons; None for none.

    Text is checked when the masks are read, all at once.
    """
    if not value:
        return None
    if isinstance(value, list):
        return _filled(value, size, where)
    given = value.get("size") if isinstance(value, dict) else None
    counts = value.get("counts") if isinstance(value, dict) else None
    if given != list(size) or not isinstance(counts, str | list):
        raise FormatError(
            f"{where}: expected {{'size': {list(size)}, 'counts': text or list}}, a list of polygons or null, got "
            f"{str(value)[:60]!r}."
        )
    if isinstance(counts, str):
        return counts.encode("utf-8", "replace")
    with told_as_format(where):
        return masks.from_runs(counts, *size)


def _filled(rings: list[Any], size: tuple[int, int], where: str) -> bytes:
    """The union of polygons `[x, y, x, y, ...]`."""
    drawn = np.zeros(size, bool)
    for ring in rings:
        flat = finite(ring)
        if len(flat) < 6 or len(flat) % 2:
            raise FormatError(f"{where}: expected polygons [x, y, x, y, ...], got {str(ring)[:60]!r}.")
        drawn |= masks.from_polygon(flat, *size)
    return masks.encode(drawn)


def checked(counts: list[bytes], size: tuple[int, int], name: Callable[[int], str]) -> NDArray[np.bool_]:
    """(N,) which masks have a pixel, having checked all; `name` says where one stands in the file."""
    with told_as_format(name(0) if counts else ""):
        return masks.Runs.of(counts, *size, name=name).areas() > 0


def tracks_of_masks(
    rows: list[tuple[int, int, float, str | None]],
    encoded: list[bytes],
    places: list[str],
    size: tuple[int, int],
    *,
    where: str,
    source: str,
) -> Tracks:
    """Tracks of masks of (frame, object id, score, label); `places` says where each stands, empty ones are left out."""
    kept = np.flatnonzero(checked(encoded, size, places.__getitem__)).tolist()
    frames, owners, scores, labels = zip(*(rows[i] for i in kept), strict=True) if kept else ((), (), (), ())
    with told_as_format(where):
        return Tracks.of(
            frames,
            owners,
            score=np.array(scores, dtype=float),
            label=list(labels),
            masks=[encoded[i] for i in kept] if kept else None,
            source=source,
            size=size,
        )


def categories(data: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Number -> name of the categories that a file lists."""
    where = f"{path}, 'categories'"
    found = entries(data, "categories", path) if "categories" in data else []
    return {number(c, "id", where): text(c, "name", where) for c in found}


def video_id(tracks: Tracks, name: str) -> int:
    """Number of a video: as the file had it that the tracks were read from, else one that only its name decides, so
    that truth and results agree and files can be joined."""
    given = tracks.meta.get("video_id")
    # 28 bits: TAO's image numbers, this times 2**24 and the frame, stay below 2**53 (`_WHOLE`).
    return given if isinstance(given, int) else (zlib.crc32(name.encode()) >> 4) or 1


def numbered(labels: Iterable[str | None], tracks: Tracks, path: Path) -> dict[str, int]:
    """Name -> number of the categories: as the tracks' file or the truth beside a result has them, further ones after
    them in the order of their names; rows without a label are of the category "object"."""
    known = {str(v): int(k) for k, v in (tracks.meta.get("categories") or {}).items()}
    known = known or _beside(path)
    fresh = sorted({label or "object" for label in labels} - set(known))
    start = max(known.values(), default=0) + 1
    return {**known, **{name: n for n, name in enumerate(fresh, start)}}


def _beside(path: Path) -> dict[str, int]:
    """Categories of the truth that lies beside the folder of a tracker."""
    for file in sorted((path.parent.parent / TRUTH).glob("*.json")):
        data = _content(file)
        if isinstance(data, dict) and data.get("categories"):
            return {name: n for n, name in categories(data, file).items()}
    return {}


def label_of(entry: Mapping[str, Any], known: Mapping[int, str], where: str) -> str | None:
    """Name of an entry's category: as it says itself, else by its number; "object" stands for none."""
    told = entry.get("category")
    if not isinstance(told, str):
        key = number(entry, "category_id", where)
        told = known.get(key, str(key))
    return None if told == "object" else told


def label_losses(tracks: Tracks, of_rows: bool = False, none: str | None = "object") -> dict[str, Loss]:
    """The row of labels that read as another one: those of an object that changes its label, where a file has one for
    each object, and the label `none`, which stands for none."""
    kept = [
        x if of_rows else tracks.labels.get(int(i))
        for i, x in zip(tracks.object_id, tracks.label, strict=True)
    ]
    said = [x is not None and (x != k or x == none) for k, x in zip(kept, tracks.label, strict=True)]
    bare = [x is None and k is not None for k, x in zip(kept, tracks.label, strict=True)]
    found = lost(
        "labels",
        tracks,
        "{} labels that differ from their object's first, or are 'object'",
        np.array(said, bool),
    )
    return found | lost(
        "unlabelled", tracks, "{} rows without a label (they get their object's)", np.array(bare, bool)
    )


def known_categories(tracks: Tracks | None) -> dict[int, str]:
    """Number -> name of the categories that truth was read with."""
    return (
        {} if tracks is None else {int(k): str(v) for k, v in (tracks.meta.get("categories") or {}).items()}
    )


def frame_total(names: list[Any], where: str) -> int:
    """Number of frames, bounded."""
    if len(names) > MOST_FRAMES:
        raise FormatError(f"{where}: {len(names)} frames; a sequence has at most {MOST_FRAMES}.")
    return len(names)


def write_json(path: Path, data: Any) -> Path:
    """Write JSON (whole or not at all)."""
    return write_whole(path, json.dumps(data, separators=(",", ":")) + "\n")
