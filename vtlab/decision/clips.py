"""What trackers answered, as clips: from a comparison, from tracks of one video, or of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.comparison import Comparison
from vtlab.decision.quality import MEASURES, Absent, Measure
from vtlab.decision.question import Clip
from vtlab.decision.wording import LIMITS
from vtlab.errors import InputError
from vtlab.metrics.rules import MOT, SOT
from vtlab.sequence import Sequence
from vtlab.tracks import Source, Tracks, check_identity
from vtlab.video import open_video

Answers = Comparison | Mapping[str, Tracks] | Mapping[str, Mapping[str, Tracks]]
"""A comparison, {tracker: tracks} of one video, or {video: {tracker: tracks}}."""


@dataclass(frozen=True)
class Answered:
    """What trackers answered.

    Attributes:
        clips: By name.
        family: By which all answers can be judged.
        notes: What a reader must know.
        absent: What absent objects count by the rule that a comparison asks for, None for no such rule.
    """

    clips: dict[str, Clip]
    family: str
    notes: list[str]
    absent: Absent | None = None


def clips_of(answers: Answers, least: int = 2) -> Answered:
    """The clips of what was answered.

    Args:
        answers: What the trackers answered.
        least: Trackers that are needed.

    Raises:
        InputError: Too few trackers, answers that aren't of one video, or of families without a common measure.
    """
    if isinstance(answers, Comparison):
        return _of_comparison(answers, least)
    if not isinstance(answers, Mapping) or not answers:
        raise InputError(f"Expected a comparison, or {{tracker: tracks}}, got {answers!r}.")
    if all(isinstance(t, Tracks) for t in answers.values()):
        answers = {_name_of(answers): answers}  # type: ignore[dict-item, assignment]
    clips: dict[str, Clip] = {}
    first: list[str] | None = None
    for name, tracks in answers.items():
        if not isinstance(tracks, Mapping) or not all(isinstance(t, Tracks) for t in tracks.values()):
            raise InputError(f"{name!r}: expected {{tracker: tracks}}, got {tracks!r}.")
        first = first or list(tracks)
        if set(tracks) != set(first):
            raise InputError(
                f"{name!r} has the trackers {', '.join(tracks)}, others have {', '.join(first)}."
            )
        clips[name] = _clip(name, {t: tracks[t] for t in first})
    _enough(first or [], least)
    families = {_family(t) for clip in clips.values() for t in clip.tracks.values() if len(t)}
    return Answered(clips, _one_family(families or {"sot"}), list(LIMITS))


def _enough(trackers: list[str], least: int) -> None:
    if len(trackers) < least:
        need = "at least two trackers" if least == 2 else "trackers"
        raise InputError(f"A verdict is between {need}, got {', '.join(trackers) or 'none'}.")


def _one_family(families: set[str]) -> str:
    """The family by which all can be judged: boxes serve those who have masks too."""
    if len(families) == 1:
        return next(iter(families))
    if families == {"sot", "vos"}:
        return "sot"
    raise InputError(
        f"The answers are of the families {', '.join(sorted(families))}, which have no measure in common. Ask for one "
        "family at a time: {tracker: tracks}."
    )


def _family(tracks: Tracks) -> str:
    maker = tracks.record.tracker
    if maker is not None and maker.family in {m.family for m in MEASURES.values()}:
        return str(maker.family)
    if len(tracks.points):
        return "points"
    return "vos" if tracks.rle is not None else "sot"


def _name_of(tracks: Mapping[str, Any]) -> str:
    named = (t.record.source.name for t in tracks.values() if t.record.source is not None)
    return next((n for n in named if n), "video")


def _clip(name: str, tracks: dict[str, Tracks]) -> Clip:
    """The clip of tracks alone: its frames are those after the first answer, which repeats the prompt."""
    sources = {tracker: t.record.source for tracker, t in tracks.items() if t.record.source is not None}
    _one_clip(name, sources)
    told = [s.frames for s in sources.values() if s.frames is not None and s.frames > 0]
    told += [t.record.frames for t in tracks.values() if t.record.frames]
    last = max((int(t.frame[-1]) for t in tracks.values() if len(t)), default=-1)
    length = max([*told, last + 1])
    ids = np.unique(np.concatenate([t.object_id for t in tracks.values()]))
    if any(_family(t) == "mot" for t in tracks.values()):
        return Clip(name, tracks, np.arange(length), ids, length)
    start = min((int(t.frame[0]) for t in tracks.values() if len(t)), default=length)
    return Clip(name, tracks, np.arange(start + 1, length), ids, length)


def _one_clip(name: str, sources: Mapping[str, Source]) -> None:
    """Raise `InputError` where trackers answered on other footage (`check_identity`), or on other frames of it."""
    clips = list(sources.values())
    for tracker, source in list(sources.items())[1:]:
        check_identity(source, clips[0], f"{name!r}: what {tracker} answered, the tracks")
    if len({s.span for s in clips}) > 1 or len({s.frames for s in clips if s.frames is not None}) > 1:
        told = ", ".join(f"{tracker}: {s.told}" for tracker, s in sources.items())
        raise InputError(f"{name!r}: the tracks are of different footage: {told}.")


def _of_comparison(result: Comparison, least: int) -> Answered:
    trackers = result.trackers
    _enough(trackers, least)
    family = _one_family(set(result.families))
    notes = [*LIMITS]
    clips: dict[str, Clip] = {}
    for sequence in result.sequences:
        tracks = _runs(result, sequence.name, notes)
        prompted = () if family == "mot" else sequence.prompts.frames
        frames = np.arange(min(prompted, default=0), len(sequence.video))
        ids = np.unique(np.concatenate([t.object_id for t in tracks.values()]))
        ids = np.union1d(ids, np.array(() if family == "mot" else sequence.prompts.object_ids, np.int64))
        kept = np.setdiff1d(frames, np.array(prompted, np.int64))
        truth = _truth(sequence, family, ids, notes)
        clips[sequence.name] = Clip(
            sequence.name, tracks, kept, ids, len(sequence.video), sequence.video, truth, sequence.prompts
        )
    return Answered(clips, family, notes, _absent(result, family))


def _runs(result: Comparison, name: str, notes: list[str]) -> dict[str, Tracks]:
    """Tracker -> what it answered on a sequence, nothing from where it failed."""
    runs = {r.tracker: r for r in result.of_sequence(name)}
    tracks = {}
    for tracker in result.trackers:
        run = runs.get(tracker)
        mine = tracks[tracker] = run.answers if run is not None else Tracks.empty()
        if run is None or not run.ok:
            since = int(mine.frame[-1]) + 1 if len(mine) else 0
            notes.append(f"{tracker} failed on {name}; its answers count as missing from frame {since} on.")
    return tracks


def _truth(sequence: Sequence, family: str, ids: NDArray[np.int64], notes: list[str]) -> Tracks | None:
    """The truth of a sequence, of the objects that the trackers follow; None where there is none that can be used."""
    truth = sequence.truth
    if truth is None:
        return None
    if family != "mot":
        return truth.take(np.isin(truth.object_id, ids))
    rule = MOT.get(truth.record.rule or sequence.benchmark, MOT["plain"])
    if sequence.ignore is not None or rule.distractors or (truth.label == "ignore").any():
        notes.append(
            f"The truth of {sequence.name} has objects or regions that don't count, which frames to label can't leave "
            "out; it is not used. `vtlab evaluate` scores against it."
        )
        return None
    named = np.array([not rule.classes or x is None or x in rule.classes for x in truth.label], bool)
    return truth.take(named & (truth.score != 0) & (truth.visible | rule.hidden))


def _absent(result: Comparison, family: str) -> Absent | None:
    """What the rule of a comparison makes of absent objects."""
    asked = [
        result.rule_of(family),
        *(s.truth.record.rule or s.benchmark for s in result.sequences if s.truth),
    ]
    named = {SOT[str(r)].absent for r in asked if r in SOT} if family == "sot" else set()
    if len(named) != 1:
        return None
    return "excluded" if named == {"excluded"} else "missed"


def with_footage(clips: Mapping[str, Clip], video: Any) -> dict[str, Clip]:
    """The clips with their footage: a video as `open_video` takes it, {clip: video} for several, None for none.

    Raises:
        InputError: An unknown clip, or a video that is too short to be the clip's.
        VideoError: A video can't be opened.
    """
    if video is None:
        return dict(clips)
    given = video if isinstance(video, Mapping) else {next(iter(clips)): video}
    if not isinstance(video, Mapping) and len(clips) > 1:
        raise InputError(f"Which clip does the video belong to? Give {{clip: video}}: {', '.join(clips)}.")
    out = dict(clips)
    for name, source in given.items():
        if name not in clips:
            raise InputError(f"There is no clip {name!r}. Known: {', '.join(clips)}.")
        footage = open_video(source)
        if len(footage) < clips[name].length:
            raise InputError(
                f"{footage.name} has {len(footage)} frames, the tracks of {name!r} have {clips[name].length}: another video?"
            )
        out[name] = replace(clips[name], video=footage)
    return out


def _footage(clip: Clip) -> Source | None:
    """What is known of a clip's footage from the answers on it."""
    return next((t.record.source for t in clip.tracks.values() if t.record.source is not None), None)


def on_clip(clip: Clip, labels: Tracks, measure: Measure) -> Tracks:
    """Labels with the frame numbers of a clip.

    Raises:
        InputError: They were made on other footage, by what their record and that of the answers say; one of them lies
            beside the picture, where its size is known, or has nothing that the measure compares.
    """
    if not isinstance(labels, Tracks):
        raise InputError(
            f"Expected labels as Tracks, got {type(labels).__name__}. A file of prompts or of any format is read by "
            "`vtlab verdict --labels FILE`, or by vtlab.decision.sheet.read(path)."
        )
    mine, theirs = labels.record.source, _footage(clip)
    if clip.video is None and mine is not None and theirs is not None and mine.span == theirs.span:
        check_identity(mine, theirs, f"The labels of {clip.name!r}")
    given = labels if clip.video is None else labels.on(clip.video)
    if labels is not clip.truth:  # a benchmark's truth may know where an object is that has left the picture
        _check_inside(clip, given)
        _check_kind(clip, given, measure)
    return given


def check_answers(clips: Iterable[Clip], measure: Measure) -> None:
    """Raise `InputError` where trackers answered, but none of them what is compared (masks have a check of their own)."""
    tracks = [t for clip in clips for t in clip.tracks.values() if len(t) or len(t.points)]
    held = {"points": [len(t.points) > 0 for t in tracks], "vos": [True]}
    boxes = [bool(np.isfinite(t.boxes).all(axis=1).any()) for t in tracks]
    if tracks and not any(held.get(measure.family, boxes)):
        what = _COMPARED[measure.family]
        raise InputError(
            f"metric={measure.name!r} compares {what}, and no tracker has any. Known: {', '.join(MEASURES)}."
        )


_COMPARED = {"sot": "boxes", "mot": "boxes", "points": "points"}


def _check_kind(clip: Clip, labels: Tracks, measure: Measure) -> None:
    """Raise `InputError` for the first label without a box, or without points, where that is compared: it would count as
    an object that isn't there."""
    bare = labels.visible & ~np.isfinite(labels.boxes).all(axis=1)
    if measure.family == "points":
        owned = set(zip(labels.points.frame.tolist(), labels.points.object_id.tolist(), strict=True))
        places = zip(labels.frame.tolist(), labels.object_id.tolist(), strict=True)
        bare = labels.visible & np.array([place not in owned for place in places], bool)
    for row in np.flatnonzero(bare)[:1].tolist() if measure.family in _COMPARED else ():
        what = _COMPARED[measure.family]
        raise InputError(
            f"The label of object {labels.object_id[row]} on frame {labels.frame[row]} of {clip.name!r} has no {what}, and "
            f"{what} are compared. Draw them, or say that the object isn't there (absent=, or --absent on the command line)."
        )


def _check_inside(clip: Clip, labels: Tracks) -> None:
    """Raise `InputError` for the first label that lies beside the picture. A label of points does if they all do."""
    rows = np.flatnonzero(labels.visible)
    seen = labels.points.take(labels.points.visible & np.isfinite(labels.points.xy).all(axis=1))
    order = np.lexsort((seen.object_id, seen.frame))
    dots = seen.take(order)
    first = np.flatnonzero(
        (np.diff(dots.frame, prepend=-1) != 0) | (np.diff(dots.object_id, prepend=-1) != 0)
    )
    extents = [labels.boxes[rows]]
    if len(first):
        low, high = (ufunc.reduceat(dots.xy, first) for ufunc in (np.minimum, np.maximum))
        extents.append(np.concatenate([low, high], axis=1))
    frame = np.concatenate([labels.frame[rows], dots.frame[first]])
    owner = np.concatenate([labels.object_id[rows], dots.object_id[first]])
    clip.check_inside(
        lambda row: f"The label of object {owner[row]} on frame {frame[row]}",
        np.concatenate(extents),
        "say that the object isn't there (absent=, or --absent on the command line)",
    )
