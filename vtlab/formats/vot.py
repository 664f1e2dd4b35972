"""VOT: `<sequence>/{sequence, groundtruth.txt, color/00000001.jpg}`, and `list.txt` above; one region a line.

Regions are described in `vtlab.formats.regions`; pixels count from 0. Several objects have `groundtruth_<object>.txt` and
are sequences `<sequence>-<object>`. Results are `<tracker>/<experiment>/<sequence>/<sequence>_001.txt` (or `.bin`), with
`_confidence.value` and `_time.value` beside them. Where a result says `1`, the tracker was started with the truth; `2` is a
failure, `0` a frame without an answer: the supervised experiment. A run of the multi-start experiment is
`<sequence>_<frame>.txt` with eight digits: it begins at that frame and goes on to the last one, or back to the first.

VOT2018 and its neighbours also go round as one JSON file, as pysot reads them (toolkit/datasets/vot.py).

Benchmark: Kristan et al., VOT; format of the VOT toolkit 0.9 (vot/dataset/common.py, vot/experiment).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, VtlabWarning
from vtlab.files import write_whole
from vtlab.formats import json_video as js
from vtlab.formats import regions as vr
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    Result,
    extents,
    files,
    frame_count,
    image_size,
    inside,
    lost,
    no_frames,
    one_object,
    open_frames,
    read_text,
    video_beside,
    walk,
    whole,
)
from vtlab.formats.ini import rate
from vtlab.formats.ledger import given, pointed, singles
from vtlab.formats.single_object import add_to_list
from vtlab.geometry import polygon_to_box
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import image_files

_TRUTH = re.compile(r"groundtruth(?:_(.+))?\.txt")
_RESULT = re.compile(r"(.+)_(\d{3})")
_UNSUPERVISED = {"unsupervised", "longterm"}
"""Experiments of the challenges in which a tracker is started once and never again."""
_START = re.compile(r"(.+)_(\d{8})")


@dataclass(frozen=True, kw_only=True)
class Vot(Format):
    """Sequences of the VOT challenges, one object each.

    Attributes:
        binary: Results are written as `.bin` (their coordinates have 32 bits), as the toolkit does by default.
        anchored: Found are the runs of the multi-start experiment, in place of trajectories from first frame to last.
    """

    binary: bool = False
    anchored: bool = False

    def places(self, root: Path) -> Iterable[Place]:
        """Every object of every sequence."""
        for folder, names in walk(root):
            for name in names:
                match = _TRUTH.fullmatch(name)
                if match:
                    yield Place(folder.name + (f"-{match[1]}" if match[1] else ""), folder, folder / name)

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Trajectories as text and binary; of one that is there as both, the text."""
        found = self.trajectories(root, known)
        runs = [p for s in (".txt", ".bin") for p in files(root, s) if _START.fullmatch(p.stem)]
        if runs and not root.is_file():
            warnings.warn(
                f"{root}: {len(runs)} runs of the multi-start experiment are left out, such as {runs[0].name}: no other "
                "format has such. Remedy: `vtlab evaluate` scores them, vtlab.formats.read_tracks reads one.",
                VtlabWarning,
                stacklevel=2,
            )
        return found

    def find_scored(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Trajectories, and the runs of the multi-start experiment."""
        wanted = None if known is None else list(known)
        more = [] if root.is_file() else replace(self, anchored=True).trajectories(root, wanted)
        return self.trajectories(root, wanted) + more

    def trajectories(self, root: Path, known: Iterable[str] | None) -> list[Result]:
        """Results as text and binary; of one that is there as both, the text."""
        wanted = None if known is None else list(known)
        text = super().find_results(root, wanted)
        if root.is_file():
            return text
        there = {r.path.with_suffix("") for r in text}
        more = Format.find_results(replace(self, suffix=".bin"), root, wanted)
        return text + [r for r in more if r.path.with_suffix("") not in there]

    def check_runs(self, paths: Iterable[Path], sequence: Sequence) -> None:
        """See `Format`: a run of the multi-start experiment begins at every anchor."""
        starts = {int(m[2]) for m in (_START.fullmatch(p.stem) for p in paths) if m}
        anchors = {} if sequence.truth is None else sequence.truth.meta.get("anchors") or {}
        lacking = sorted(int(a) for a in anchors if int(a) not in starts)
        if starts and lacking:
            raise FormatError(
                f"{sequence.name}: the multi-start experiment has no run from the anchors {', '.join(map(str, lacking))}. "
                f"Add {sequence.name}_{lacking[0]:08d}{self.suffix} and the like, or leave out the sequence."
            )

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """`<sequence>_001` or, of one object of several, `<sequence>_<object>_001`."""
        match = (_START if self.anchored else _RESULT).fullmatch(path.stem)
        if match is None or path.name.endswith(".value"):
            return None
        target = "-".join(match[1].rsplit("_", 1))
        return next((n for n in (match[1], target) if known is None or n in known), None)

    def folder_of(self, path: Path, sequence: str) -> Path:
        """Repetitions lie in a folder called after their sequence."""
        return path.parent if sequence.startswith(path.parent.name) else path

    def sniff(self, path: Path) -> bool:
        """Whether the file `sequence` lies beside a truth."""
        return any("sequence" in names and any(map(_TRUTH.fullmatch, names)) for _, names in walk(path))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence: its target is object 1, prompted where it first shows."""
        told, file = place.path / "sequence", place.truth or place.path
        info = _info(told)
        frames = image_files((place.path / info.get("channels.color", "color/%08d.jpg")).parent)
        frames = frames or image_files(place.path)  # as challenges up to 2018 have them
        size = image_size(frames[0]) if frames else None
        if size is None and "width" in info and "height" in info:
            size = whole(info["height"], told, "height"), whole(info["width"], told, "width")
        truth = vr.tracks_of(vr.trajectory(file), size, "manual", file)
        count, fps = frame_count(truth), rate(info.get("fps", "30"), told, "fps")
        length = whole(info["length"], told, "length") if "length" in info else count
        beside = _beside(place.path, length)
        if images:
            video = open_frames(frames or video_beside(place.path, "video"), place, fps)
            length = len(video)
        else:
            video = no_frames(place, length, size, fps)
        if length != count and count != 1:
            raise FormatError(f"{file}: {count} regions for {length} images. Is the sequence complete?")
        anchors = beside.pop("anchor", None)
        meta = {**truth.meta, "format": self.name, **({"anchors": anchors} if anchors else {})}
        prompts, tags = first_prompts(truth), frozenset(beside)
        known = (
            truth.replace(meta=meta) if length == count else None
        )  # else a prompt: the test part has no truth
        return Sequence(place.name, video, known, prompts, benchmark=self.rule, attributes=tags)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result as object 1; where it says `1`, the truth was given."""
        found, truth = vr.trajectory(path), None if sequence is None else sequence.truth
        size, start = None if truth is None else truth.size, _START.fullmatch(path.stem)
        told = vr.with_values(vr.tracks_of(found, size, "tracked", path), path)
        told = told.replace(meta={**told.meta, "format": self.name, **_experiment(told, path)})
        if start:
            told = _started(told, int(start[2]), truth, path)
        if truth is None:
            return told
        if start is None and len(found) != frame_count(truth):
            raise FormatError(f"{path}: {len(found)} regions for {frame_count(truth)} frames.")
        init = [int(f) for f, code in (told.meta.get("codes") or {}).items() if code == vr.GIVEN]
        if not init:
            return told
        answers = told.take(~np.isin(told.frame, init))
        joined = Tracks.concat([answers, truth.take(np.isin(truth.frame, init))])
        return joined.replace(record=told.record, step_seconds=told.step_seconds)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a region for each frame: a polygon of one ring, else the mask, else the box, else a point, else 0."""
        regions, start = vr.regions_of(one_object(tracks, self)), _START.fullmatch(path.stem)
        if start:
            first, backward = int(start[2]), tracks.record.direction == "backward"
            regions = regions[first::-1] if backward else regions[first:]
        written = vr.write_regions(regions, path)
        if kind == "truth":
            self._write_info(tracks, path, len(regions))
        elif not start:  # the toolkit's multi-start results say nothing beside the regions
            vr.write_values(tracks, path)
        return written

    def _write_info(self, tracks: Tracks, path: Path, count: int) -> None:
        size, source = tracks.size, tracks.record.source
        fps = 30 if source is None or not source.fps else round(source.fps)
        info = "" if size is None else f"height={size[0]}\nwidth={size[1]}\n"
        text = f"channels.color=color/%08d.jpg\nformat=default\nfps={max(fps, 1)}\nlength={count}\n{info}"
        write_whole(path.with_name("sequence"), text)
        anchors = tracks.meta.get("anchors") or {}
        if anchors:
            lines = "".join(f"{int(anchors.get(str(frame), 0))}\n" for frame in range(count))
            write_whole(path.with_name("anchor.value"), lines)
        add_to_list(path.parent.parent, path.parent.name)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a line with a mask or an outline has no box of its own."""
        drawn = "masks" in self.held(kind)  # where no mask is written, the box is
        around = extents(tracks) if drawn else np.full((len(tracks), 4), np.nan)
        for row, rings in enumerate(tracks.polygons if tracks.polygons is not None else ()):
            if rings is not None and len(rings) == 1:
                around[row] = polygon_to_box(rings[0])
        own = np.isfinite(around).all(axis=1) & (around != tracks.boxes).any(axis=1)
        told = "{} boxes of objects with masks or outlines"
        found = super().losses(tracks, kind) | lost("boxes", tracks, told, own & tracks.visible)
        if self.binary and kind == "results":
            found |= singles(tracks)
        if tracks.polygons is not None:
            several = np.array([rings is not None and len(rings) > 1 for rings in tracks.polygons], bool)
            told = "{} outlines of several rings (they are written as masks)"
            found |= lost("polygons", tracks, told, several & tracks.visible)
        several = pointed(tracks, tracks.points.point_id > 0)
        beside = pointed(tracks) & (several | np.isfinite(tracks.boxes).all(axis=1) | ~tracks.visible)
        found.pop("points", None)
        found |= lost(
            "points", tracks, "{} rows of points that are not one alone, or beside another region", beside
        )
        if kind == "results" and len(tracks.step_seconds) != frame_count(tracks):
            found |= lost("seconds", tracks, "{} times of steps (there is not one for each frame)")
        return found

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """A result is the first repetition in its sequence's folder."""
        if tracker:
            return root / tracker / sequence / f"{sequence}_001{'.bin' if self.binary else self.suffix}"
        return root / TRUTH / sequence / "groundtruth.txt"


def _info(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in read_text(path).splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _beside(folder: Path, count: int) -> dict[str, dict[str, int]]:
    """Tags and the value `anchor` of a sequence that are set on some frame: name -> frame -> sign."""
    found = {}
    for file in sorted((*folder.glob("*.tag"), *folder.glob("*.label"), *folder.glob("anchor.value"))):
        lines = read_text(file).splitlines()
        if len(lines) > count:
            raise FormatError(f"{file}: {len(lines)} lines for {count} frames.")
        signs = {str(n): line.strip() for n, line in enumerate(lines) if line.strip().strip("+-0.")}
        if signs:
            found[file.stem] = {n: -1 if text.startswith("-") else 1 for n, text in signs.items()}
    return found


def _experiment(told: Tracks, path: Path) -> dict[str, str]:
    """The experiment that a result says it is of: by its name, its folder, or that it begins with a start."""
    if _START.fullmatch(path.stem):
        return {"experiment": "multistart"}
    if not told.meta.get("codes"):
        return {}
    free = _UNSUPERVISED & {folder.name for folder in path.absolute().parents[:2]}
    return {"experiment": "unsupervised" if free else "supervised"}


def _started(told: Tracks, first: int, truth: Tracks | None, path: Path) -> Tracks:
    """A run of the multi-start experiment, on the frames of its sequence."""
    n, total = len(told), None if truth is None else frame_count(truth)
    anchors = {} if truth is None else truth.meta.get("anchors") or {}
    sign = anchors.get(str(first), 0)
    forward = sign >= 0 and total in (None, first + n)
    backward = sign <= 0 and n == first + 1 and first > 0
    if forward == backward:
        why = "it may go on or back; give its sequence, whose anchors say" if forward else "it has others"
        raise FormatError(f"{path}: {n} regions of a run that starts at frame {first}: {why}.")
    frames = first - np.arange(n) if backward else first + np.arange(n)
    codes = {str(frames[int(f)]): c for f, c in (told.meta.get("codes") or {}).items()}
    meta = {**told.meta, **({"codes": codes} if codes else {}), "frames": total or int(frames.max()) + 1}
    points = told.points.replace(frame=frames[told.points.frame])
    meta["direction"] = "backward" if backward else "forward"
    return told.replace(frame=frames, points=points, meta=meta)


@dataclass(frozen=True, kw_only=True)
class VotJson(Vot):
    """VOT 2016, 2018 and 2019 as pysot packs their truth: one JSON file of `{sequence: {gt_rect, img_names, ...}}`.

    Regions are lists of 4 numbers or of corners, one a frame; zeros stand for an absent object. Tags are lists of 0 and 1.
    `width` and `height` of the images are SiamMask's addition.
    """

    suffix: str = ".txt"

    def places(self, root: Path) -> Iterable[Place]:
        """Every sequence of every such file."""
        for path in files(root, ".json"):
            data = js.content_of(path)
            if self._packs(data):
                yield from (Place(str(name), path, path) for name in data)

    def sniff(self, path: Path) -> bool:
        """Whether there is such a file."""
        return any(self._packs(js.content_of(p)) for p in files(path, ".json"))

    def _packs(self, data: object) -> bool:
        entry = next(iter(data.values()), None) if isinstance(data, dict) else None
        return isinstance(entry, dict) and {"gt_rect", "img_names"} <= set(entry) and "attr" not in entry

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence: its target is object 1, prompted where it first shows."""
        entry = js.content(place.path, dict).get(place.name)
        where = f"{place.path}, {place.name!r}"
        rects = entry.get("gt_rect") if isinstance(entry, dict) else None
        names = entry.get("img_names") if isinstance(entry, dict) else None
        if (
            not isinstance(rects, list)
            or not isinstance(names, list)
            or not all(isinstance(n, str) for n in names)
        ):
            raise FormatError(f"{where}: expected 'gt_rect', a list of numbers for each of 'img_names'.")
        if len(rects) != len(names):
            raise FormatError(f"{where}: {len(rects)} regions for {len(names)} images.")
        found = [vr.region_of(rect, f"{where}, frame {n}") for n, rect in enumerate(rects)]
        found = [vr.UNKNOWN if isinstance(r, np.ndarray) and not r.any() else r for r in found]
        paths = [inside(name, where) for name in names]
        bases = (place.path.parent, place.path.parent / place.path.stem)
        base = next((b for b in bases if paths and (b / paths[0]).is_file()), None)
        frames = [] if base is None else [base / p for p in paths]
        size = image_size(frames[0]) if frames else None
        if size is None and {"width", "height"} <= set(entry):
            size = js.size_of(entry, where)
        truth = vr.tracks_of(found, size, "manual", place.path)
        truth = truth.replace(meta={**truth.meta, "format": self.name})
        video = open_frames(frames, place) if images else no_frames(place, len(found), size)
        tags = {
            k
            for k, v in entry.items()
            if isinstance(v, list) and k not in ("gt_rect", "img_names") and 1 in v
        }
        prompts = first_prompts(truth)
        return Sequence(
            place.name, video, truth, prompts, benchmark=self.rule, attributes=frozenset(tags - {"init_rect"})
        )

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write truth as a file of one sequence; `convert` joins those of a folder. Results are VOT's."""
        if kind == "results":
            return super().write_tracks(tracks, path, kind)
        seen = one_object(tracks, self).replace(rle=None)
        rects = [
            [0.0] * 4 if isinstance(r, int) or len(r) == 2 else vr.numbers(r) for r in vr.regions_of(seen)
        ]
        names = [f"{path.stem}/color/{n:08d}.jpg" for n in range(1, len(rects) + 1)]
        entry: dict[str, Any] = {
            "video_dir": path.stem,
            "init_rect": rects[0] if rects else [],
            "img_names": names,
            "gt_rect": rects,
        }
        if tracks.size is not None:
            entry |= {"width": tracks.size[1], "height": tracks.size[0]}
        tags = ("camera_motion", "illum_change", "motion_change", "size_change", "occlusion")
        return js.write_json(path, {path.stem: {**entry, **{tag: [0] * len(rects) for tag in tags}}})

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Vot`; a mask comes back where it is that of an outline."""
        found = super().losses(tracks, kind)
        if kind == "truth" and found.pop("masks", None) is not None:
            drawn = given(tracks.rle, len(tracks))
            rings = [None] * len(tracks) if tracks.polygons is None else tracks.polygons.tolist()
            outlined = np.array([r is not None and len(r) == 1 for r in rings], bool)
            found |= lost("masks", tracks, "", drawn & ~(outlined & tracks.visible))
        return found

    def gathered(self, written: list[Path]) -> list[Path]:
        """One file for all sequences of truth."""
        truths = [p for p in written if p.suffix == ".json"]
        if len(truths) < 2:
            return written
        made = js.write_json(
            truths[0].with_name("sequences.json"),
            {k: v for p in truths for k, v in js.content(p, dict).items()},
        )
        for path in truths:
            path.unlink()
        return [*(p for p in written if p.suffix != ".json"), made]

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in a file of its own."""
        return super().path_of(root, sequence, tracker) if tracker else root / TRUTH / f"{sequence}.json"


FORMATS = (
    Vot(
        name="vot",
        family="sot",
        summary="<sequence>/{sequence, groundtruth.txt, color/*.jpg}; results: <sequence>/<sequence>_001.txt or .bin",
        rule="vot",
        repeats=True,
        holds=frozenset({"boxes", "masks", "polygons", "absent", "size"}),
        results=frozenset({"boxes", "masks", "polygons", "absent", "scores", "flags", "seconds"}),
    ),
    VotJson(
        name="vot-json",
        family="sot",
        summary="<file>.json of {<sequence>: {gt_rect, img_names, ...}} as pysot has it; results as vot",
        rules={"vot2018": ""},
        rule="vot",
        repeats=True,
        holds=frozenset({"boxes", "polygons", "absent", "size"}),
        results=frozenset({"boxes", "masks", "polygons", "absent", "scores", "flags", "seconds"}),
    ),
)
