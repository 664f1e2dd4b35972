"""SLEAP's projects, `<sequence>.slp`: user's instances and predicted ones, on the frames that somebody looked at.

Read and written through sleap-io (the extra `poses`). Coordinates are centres of pixels at whole numbers (those of SLEAP
before format 1.1 are moved by sleap-io). An instance of a user has no score, a predicted one has, and one for each point;
where a frame has both of one track, the user's counts. Tracks are the individuals; instances without one are an individual
by themselves where a frame has one of them, and refused where it has several: nobody knows which are one animal.

Source: https://github.com/talmolab/sleap-io (BSD-3) 0.9.5; Pereira et al., SLEAP, Nature Methods 2022.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from vtlab.errors import FormatError, needs
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import (
    FEATURES,
    MOST_FRAMES,
    Format,
    Kind,
    Loss,
    Place,
    beginning,
    files,
    frame_count,
    lost,
    video_beside,
)
from vtlab.formats.figures import within
from vtlab.formats.ledger import pointed, row_of_points
from vtlab.formats.opening import labelled
from vtlab.formats.poses import CENTRE, MOST_POINTS, PosePlan, Poses, numbered
from vtlab.sequence import Sequence
from vtlab.tracks import Record, Tracks

_EXPECTED = "a project of SLEAP"
_TABLES = ("frames", "instances", "points", "pred_points")


@dataclass(frozen=True, kw_only=True)
class Sleap(Format):
    """One project for each sequence, or one of several videos."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every video of every project."""
        return (
            Place(name, p, p) for p in files(root, self.suffix) if _looks(p) for name in _names(_opened(p), p)
        )

    def sniff(self, path: Path) -> bool:
        """Whether there is an HDF5 file called so."""
        return any(map(_looks, files(path, self.suffix)))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a video of a project as truth."""
        found = video_beside(place.path.parent, place.name)
        return labelled(place, _read(place.path, place.name), found, images=images, rule=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a project as a result: the video of the sequence's name, or the only one."""
        return within(_read(path, "" if sequence is None else sequence.name), sequence, path)

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; a user's instance has no scores, and that of a predicted one has 32 bits."""
        plan = PosePlan(tracks, unseen=True)
        found = super().losses(tracks, kind) | plan.losses(lines=True)
        p, said = tracks.points, tracks.source == "manual"
        kept = np.isclose(tracks.score, tracks.score.astype(np.float32), rtol=0, atol=0) & ~said
        found.pop("point_scores", None)
        for key in ("scores", "flags"):
            found.pop(key, None)
            rows = np.asarray(FEATURES[key].where(tracks)) & plan.written & ~kept
            found |= lost(key, tracks, "{} scores (a user's instance has none, others 32 bits)", rows)
        mine = pointed(tracks, said[row_of_points(tracks)] & (p.score != 1))
        found |= lost("point_scores", tracks, "{} rows with scores of points of a user's instance", mine)
        others = plan.written & ~said & (tracks.source != "tracked")
        return found | lost("source", tracks, "who said {} rows (they read as tracked)", others)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a project of one video; rows that a person said as a user's instances, the others as predicted ones.

        Raises:
            MissingDependencyError: sleap-io is not installed.
        """
        labels = _labels(tracks, path.stem, kind)

        def fill(part: Path) -> None:
            _client().save_slp(labels, str(part), verbose=False)

        return write_whole(path, fill)


def _client() -> Any:
    """sleap-io; raises `MissingDependencyError`."""
    try:
        import sleap_io
    except ImportError:
        raise needs("sleap-io", "poses", "Reading and writing SLEAP's projects") from None
    return sleap_io


def _looks(path: Path) -> bool:
    return beginning(path, 8) == b"\x89HDF\r\n\x1a\n"


@lru_cache(maxsize=2)
def _kept(path: Path, changed: int) -> Any:
    """A project; its tables are counted before anything of them is unpacked."""
    client = _client()
    import h5py

    with damage_as(FormatError, path, _EXPECTED):
        with h5py.File(path) as file:
            for name in _TABLES:
                rows = file[name].shape[0] if name in file else 0
                if rows > MOST_POINTS:
                    raise FormatError(f"{path}: {rows} rows of {name}, at most {MOST_POINTS} are read.")
        return client.load_slp(str(path), open_videos=False)


def _opened(path: Path) -> Any:
    """A project, read once as long as it does not change."""
    if not path.is_file():
        raise FormatError(f"{path}: there is no such file.")
    return _kept(path, path.stat().st_mtime_ns)


def _names(labels: Any, path: Path) -> list[str]:
    """Names of the videos: of the file where there is one, else of theirs."""
    if len(labels.videos) < 2:
        return [path.stem] if labels.videos else []
    # PureWindowsPath splits at both slashes: projects come from Windows, too.
    told = [v.filename for v in labels.videos]
    return [
        PureWindowsPath(t).stem if isinstance(t, str) else PureWindowsPath(t[0]).parent.name for t in told
    ]


def _read(path: Path, name: str) -> Tracks:
    """Read a video of a project."""
    labels = _opened(path)
    names = _names(labels, path)
    if name not in names and len(names) > 1:
        raise FormatError(f"{path}: no video {name!r}. It has {', '.join(map(repr, names[:5]))}.")
    with damage_as(FormatError, path, _EXPECTED):
        video = labels.videos[names.index(name) if name in names else 0] if names else None
        skeletons = labels.skeletons
        nodes = list(dict.fromkeys(n for s in skeletons for n in s.node_names))
        numbers, extra = numbered(nodes, path)
        number = dict(zip(nodes, numbers.tolist(), strict=True))
        pairs = [[number[a], number[b]] for a, b in skeletons[0].edge_names] if skeletons else []
        poses, looked = Poses(), list[int]()
        for frame in labels.find(video) if video is not None else ():
            looked.append(_frame(frame, path, poses, number))
        shape = video.shape if video is not None else None
        count = int(shape[0]) if shape else max(looked, default=-1) + 1
    if not max(looked, default=-1) < count + (not count) <= MOST_FRAMES + 1:
        raise FormatError(f"{path}: frame {max(looked)} of a video of {count} frames.")
    size = (int(shape[1]), int(shape[2])) if shape and shape[1] and shape[2] else None
    whole = looked == list(range(count))
    record = Record(
        format="sleap",
        file=str(path),
        frames=count or None,
        dense=whole,
        annotated=None if whole else tuple(sorted(looked)),
        extra=extra,
    )
    return poses.tracks(path, record, size, pairs)


def _frame(frame: Any, path: Path, poses: Poses, number: dict[str, int]) -> int:
    """Add the poses of a frame, the user's before the predicted ones, and return its number."""
    index, found = int(frame.frame_idx), dict[str, Any]()
    if not 0 <= index < MOST_FRAMES:
        raise FormatError(f"{path}: frame {index} is none of a video.")
    # Of sleap-io's instances only predicted ones have a score.
    for one in sorted(frame.instances, key=lambda i: hasattr(i, "score")):
        owner = "" if one.track is None else str(one.track.name)
        if owner in found and not (hasattr(one, "score") and not hasattr(found[owner], "score")):
            what = (
                f"two instances of the track {owner[:40]!r}" if owner else "several instances without a track"
            )
            raise FormatError(
                f"{path}, frame {index}: {what}, so nobody knows which are one animal. Remedy: track them in SLEAP."
            )
        if found.setdefault(owner, one) is one:
            _pose(one, owner or "1", index, poses, number)
    return index


def _pose(one: Any, owner: str, frame: int, poses: Poses, number: dict[str, int]) -> None:
    told, machine = one.points, hasattr(one, "score")
    xy = np.asarray(told["xy"], np.float64)
    scores = np.asarray(told["score"], np.float64) if machine else np.ones(len(xy))
    ids = np.array([number[n] for n in one.skeleton.node_names])
    kept = np.isfinite(xy).all(axis=1)
    table = np.column_stack([ids, xy, told["visible"], np.clip(np.nan_to_num(scores, nan=1.0), 0, 1)])[kept]
    score = float(np.clip(one.score, 0, 1)) if machine else 1.0
    if len(table):
        poses.add(frame, owner, table, "tracked" if machine else "manual", score)


def _labels(tracks: Tracks, name: str, kind: Kind) -> Any:
    """The project."""
    sio = _client()
    plan, count, p = PosePlan(tracks, unseen=True), frame_count(tracks), tracks.points
    shape = {} if tracks.size is None else {"shape": (count, *tracks.size, 3)}
    video = sio.Video(filename=f"{name}.mp4", open_backend=False, backend_metadata=shape)
    named = [(plan.names[a], plan.names[b]) for a, b in plan.lines]
    skeleton = sio.Skeleton(nodes=plan.names, edges=named)
    owners = {i: sio.Track(host) for i, host in plan.hosts.items()}
    truth, poses = kind == "truth", plan.poses()
    looked = tracks.annotated_frames(count, dense=bool(tracks.record.dense)) if truth else np.arange(count)
    made = []
    for frame in looked.tolist():
        instances = []
        for owner, row, mine in poses.get(frame, ()):
            at = [plan.column[k] for k in p.point_id[mine].tolist()]
            xy, scores = np.full((len(plan.names), 2), np.nan), np.ones(len(plan.names))
            xy[at], scores[at] = p.xy[mine] - CENTRE, p.score[mine]
            told: dict[str, Any] = {"skeleton": skeleton, "track": owners[owner]}
            if tracks.source[row] == "manual":
                one = sio.Instance.from_numpy(xy, **told)
            else:
                score = float(tracks.score[row])
                one = sio.PredictedInstance.from_numpy(xy, point_scores=scores, score=score, **told)
            one.points["visible"][at] = p.visible[mine]
            instances.append(one)
        made.append(sio.LabeledFrame(video=video, frame_idx=frame, instances=instances))
    return sio.Labels(labeled_frames=made, videos=[video], tracks=[*owners.values()], skeletons=[skeleton])


_HELD = frozenset(
    {"points", "skeletons", "unseen", "objects", "ids", "gaps", "unlooked", "host_ids", "edges", "size"}
)
FORMAT = Sleap(
    name="sleap",
    family="points",
    summary="<sequence>.slp, a project of SLEAP with a video of that name beside it",
    rule="native-first",
    suffix=".slp",
    package="sleap_io",
    holds=_HELD | {"source"},
    results=_HELD | {"source", "point_scores", "scores", "flags"},
)
