"""SA-V's masklets: `<video>_manual.json` (else `<video>_auto.json`) beside `<video>.mp4`, as its training part has them.

`masklet` is a list of frames, each a list of compressed COCO masks in the order of `masklet_id`; an object that is not there
has a mask without a pixel. Frames are every fourth of the video (6 of 24 a second): how many lie between follows from
`video_frame_count`. Ids count from 0. Results have the same shape. The evaluator drops the first and the last frame, as that
of DAVIS does. The pictures of its validation part, one folder for each object, are not read.

Source: sav_dataset/README.md and utils/sav_utils.py of https://github.com/facebookresearch/sam2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtlab import masks
from vtlab.errors import FormatError, TracksError
from vtlab.formats import json_video as js
from vtlab.formats.base import (
    FEATURES,
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    absolute,
    beginning,
    files,
    frame_count,
    given,
    no_frames,
    open_frames,
    video_beside,
)
from vtlab.formats.figures import within
from vtlab.formats.planned import Planned
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import IdMap, Record, Source, Tracks

_FPS = 24.0
"""Frames a second of the videos; every fourth is labelled (Ravi et al., 2024)."""
_ENDS = re.compile("_(manual|auto)$")


@dataclass(frozen=True, kw_only=True)
class Sav(Format):
    """One file for each video; of manual and automatic masklets the manual ones."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every file of masklets."""
        found = [path for path in files(absolute(root), self.suffix) if _looks(path)]
        manual = {(p.parent, _name(p)) for p in found if p.stem.endswith("_manual")}
        for path in found:
            if not (path.stem.endswith("_auto") and (path.parent, _name(path)) in manual):
                yield Place(_name(path), path, path)

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """See `Format`; `sav_000001_manual.json` is of the sequence sav_000001."""
        return _name(path) if known is None or _name(path) in known else None

    def sniff(self, path: Path) -> bool:
        """Whether there is a file of masklets."""
        return any(map(_looks, files(path, self.suffix)))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read the masklets as truth; the video's frames are those that have some."""
        truth = _read(place.path, "manual")
        count = frame_count(truth)
        step = 1 if truth.record.source is None else truth.record.source.span[1]
        if not images:
            video = no_frames(place, count, truth.size, _FPS / step, (0, step))
            return Sequence(place.name, video, truth, benchmark=self.rule)
        video = open_frames(video_beside(place.path.parent, place.name), place)[::step]
        return Sequence(place.name, video, truth, first_prompts(truth), benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read masklets as a result."""
        return within(_read(path, "tracked"), sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; the file says by which step its frames are cut, and not where they begin."""
        found = super().losses(tracks, kind)
        source = tracks.record.source
        if source is not None and source.span[0] == 0 and source.span[1] >= 1:
            found.pop("span", None)
        found.pop("host_ids", None)
        found |= _plan(tracks).lost_ids(_hosts(tracks))
        return {key: found[key] for key in FEATURES if key in found}

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the visible masks of one video.

        Raises:
            TracksError: There are no masks to write, or no size of the frames.
        """
        plan, hosts = _plan(tracks), _hosts(tracks)
        if tracks.size is None or (len(tracks.seen()) and tracks.rle is None):
            raise TracksError(
                f"{path}: {self.name} holds masks; give tracks with masks and the frames' size."
            )
        count, (height, width) = frame_count(tracks), tracks.size
        place = {i: n for n, i in enumerate(plan.ids)}
        nothing = masks.encode(np.zeros(tracks.size, bool))
        drawn = [[nothing] * len(place) for _ in range(count)]
        for row in np.flatnonzero(plan.written).tolist():
            drawn[int(tracks.frame[row])][place[int(tracks.object_id[row])]] = tracks.rle[row]  # type: ignore[index]
        source = tracks.record.source
        total = count * max(1, 1 if source is None else source.span[1])
        data = {
            "video_id": path.stem,
            # Counts and sizes are floats in SA-V's own files.
            "video_duration": total / _FPS,
            "video_frame_count": float(total),
            "video_height": float(height),
            "video_width": float(width),
            "video_resolution": float(height * width),
            "masklet": [
                [{"size": [height, width], "counts": one.decode("ascii")} for one in frame] for frame in drawn
            ],
            "masklet_id": [hosts[i] for i in plan.ids],
            "masklet_frame_count": [count] * len(place),
            "masklet_type": ["manual" if kind == "truth" else "auto"] * len(place),
            "masklet_num": len(place),
        }
        return js.write_json(path, data)


def _looks(path: Path) -> bool:
    return b'"masklet"' in beginning(path)


def _name(path: Path) -> str:
    return _ENDS.sub("", path.stem)


def _plan(tracks: Tracks) -> Planned:
    """Visible rows with a mask that has a pixel."""
    full = tracks.runs().areas() > 0 if tracks.rle is not None else np.zeros(len(tracks), bool)
    return Planned(tracks, given(tracks.rle, len(tracks)) & tracks.visible & full)


def _hosts(tracks: Tracks) -> dict[int, int]:
    """Object id -> number in the file: the host's where those are numbers from 0, else its own, else by their order."""
    ids, known = _plan(tracks).ids, IdMap.of(tracks.record)
    for found in ({i: known.host(i) for i in ids}, {i: i for i in ids}):
        good = all(type(n) is int and 0 <= n < 1 << 53 for n in found.values())
        if good and len({*found.values()}) == len(found):
            return found
    return {i: n for n, i in enumerate(ids, start=1)}


def _read(path: Path, source: str) -> Tracks:
    data = js.content(path, dict)
    size = js.size_of({"height": data.get("video_height"), "width": data.get("video_width")}, str(path))
    frames, numbers = data.get("masklet"), data.get("masklet_id")
    if not isinstance(frames, list) or not isinstance(numbers, list):
        raise FormatError(f"{path}: expected the lists masklet and masklet_id.")
    count = js.frame_total(frames, str(path))
    hosts = [js.number({"masklet_id": n}, "masklet_id", str(path)) for n in numbers]
    ids = IdMap(hosts)
    if len(ids) < len(hosts):
        raise FormatError(f"{path}: masklet_id has a number twice.")
    rows: list[tuple[int, int, float, str | None]] = []
    encoded: list[bytes] = []
    places: list[str] = []
    for n, entry in enumerate(frames):
        drawn = js.objects(entry, f"{path}, frame {n}")
        if len(drawn) != len(hosts):
            raise FormatError(f"{path}, frame {n}: {len(drawn)} masks of {len(hosts)} objects.")
        for host, mask in zip(hosts, drawn, strict=True):
            where = f"{path}, frame {n}, object {host}"
            rle = js.rle_of(mask, size, where)
            if rle is not None:
                rows.append((n, ids[host], 1.0, None))
                encoded.append(rle)
                places.append(where)
    found = js.tracks_of_masks(rows, encoded, places, size, where=str(path), source=source)
    total = (
        js.number(data, "video_frame_count", str(path), MOST_FRAMES) if "video_frame_count" in data else count
    )
    step = max(1, round(total / max(count, 1)))
    height, width = size
    cut = Source(
        name=_name(path), frames=count, start=0, step=step, width=width, height=height, fps=_FPS / step
    )
    record = Record(
        format="sav",
        file=str(path),
        frames=count,
        dense=True,
        annotated=None if step == 1 else tuple(range(count)),
        id_map=ids.entry(),
        source=cut if step > 1 else None,
    )
    return found.replace(record=record)


FORMAT = Sav(
    name="sav",
    family="vos",
    summary="<video>_manual.json of {masklet, masklet_id, ...} with <video>.mp4 beside it",
    rule="davis",
    rules={"sa-v": ""},
    suffix=".json",
    holds=frozenset({"masks", "objects", "ids", "gaps", "overlap", "size"}),
)
