"""The file of a session: one Parquet file, predictions as rows and everything that a person said in its record.

It is read as what came from outside: damaged, hostile, or of another video, it is said so and left as it is. Writing
over other work keeps that beside it.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtlab.errors import FormatError, InputError, PromptError, VtlabError, VtlabWarning
from vtlab.files import kept_beside
from vtlab.prompts import Prompts
from vtlab.provenance import plain
from vtlab.registry import TRACKERS
from vtlab.session.state import State, taken_up
from vtlab.tracks import Source, Tracks, check_identity, parquet
from vtlab.video import Video, open_video

Stamp = tuple[int, int, int]
KEPT = ("outside", "attributes", "about")


@dataclass(frozen=True)
class Saved:
    """What a session's file holds.

    Attributes:
        state: Key figures, absences, ends, predictions.
        tracker: Name of the tracker.
        params: Its parameters.
        source: Where the video lay.
        stream: Number of the video within its file, or None.
        clip: The clip, with what is known of its frames.
    """

    state: State
    tracker: str
    params: dict[str, Any]
    source: str
    stream: int | None
    clip: Source


def write(state: State, video: Video, tracker: str, params: Mapping[str, Any], path: str | Path) -> Path:
    """Write a session whole or not at all."""
    record = {
        "prompts": json.loads(Prompts(state.keys.values()).to_json()),
        "absent": sorted(state.absent),
        "gone": {str(i): f for i, f in state.gone.items()},
        "stale": {str(i): spans for i, spans in state.stale.items()},
        "checked": {str(i): spans for i, spans in state.checked.items()},
        "outside": {str(i): spans for i, spans in state.outside.items()},
        "attributes": {
            str(i): {name: sorted(at.items()) for name, at in told.items()}
            for i, told in state.attributes.items()
        },
        "about": {str(i): dict(about) for i, about in state.about.items()},
        "tracker": tracker,
        "params": plain(dict(params)),
        "video": {"source": video.source, "digest": video.digest(), "stream": video.stream},
        "clip": Source.of_video(video).to_dict(),
    }
    rows = state.predicted
    return parquet.write(rows.replace(meta={**rows.meta, "session": record}), path)


def read(path: str | Path) -> Saved:
    """Read what `write` wrote.

    Raises:
        FormatError: The file holds no session, or a damaged one.
    """
    rows = Tracks.load(path)
    record = rows.meta.get("session")
    if not isinstance(record, dict):
        raise FormatError(f"{path}: these are tracks, not a session. Sessions are written by Session.save.")
    try:
        prompts = Prompts.from_json(json.dumps(record["prompts"]), where=str(path))
        meta = {k: v for k, v in rows.meta.items() if k != "session"}
        state = State(
            {(p.object_id, p.frame, p.kind): p for p in prompts},
            frozenset((int(i), int(f)) for i, f in record["absent"]),
            {int(i): int(f) for i, f in record["gone"].items()},
            rows.replace(meta=meta),
            **{
                name: {int(i): _spans(v) for i, v in record.get(name, {}).items()}
                for name in ("stale", "checked", "outside")
            },
            attributes={
                int(i): {str(name): {int(f): v for f, v in at} for name, at in told.items()}
                for i, told in record.get("attributes", {}).items()
            },
            about={int(i): dict(about) for i, about in record.get("about", {}).items()},
        )
        if "attributes" not in record:  # of an earlier version
            state = taken_up(state)
        video = record["video"]
        stream = video.get("stream")
        for value, kinds in ((video["source"], str), (video["digest"], str), (record["tracker"], str)):
            if not isinstance(value, kinds):
                raise TypeError(f"{value!r}")
        if not (stream is None or isinstance(stream, int)):
            raise TypeError(f"stream {stream!r}")
        if not isinstance(record["params"], dict):
            raise TypeError(f"parameters {record['params']!r}")
        if min([f for _, f in state.absent] + [*state.gone.values()], default=0) < 0:
            raise ValueError("a frame below 0")
        clip = Source.of(record.get("clip") or {})  # files of versions before have the digest only
        clip = clip.replace(digest=video["digest"])
        return Saved(state, record["tracker"], dict(record["params"]), video["source"], stream, clip)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, PromptError) as error:
        raise FormatError(f"{path}: the session in it is damaged ({error!r}).") from None


def _spans(value: Any) -> tuple[tuple[int, int], ...]:
    spans = tuple((int(a), int(b)) for a, b in value)
    flat = [f for span in spans for f in span]
    if flat != sorted(set(flat)) or (flat and flat[0] < 0):
        raise ValueError(f"stretches of frames {value!r}")
    return spans


def check_video(saved: Saved, video: Video, path: str | Path) -> None:
    """Raise `FormatError` where a session was made on another video; see `vtlab.tracks.check_identity`."""
    try:
        check_identity(saved.clip, video, "Work")
    except InputError as error:
        raise FormatError(f"{path}: {error}") from None


def check_harmless(saved: Saved, path: str | Path) -> None:
    """Raise `FormatError` where opening a session would run a file of code: it may be anybody's."""
    code = TRACKERS.runs_code([saved.tracker, saved.params])
    if code is not None:
        raise FormatError(
            f"{path}: its tracker is made of {code!r}, code that opening it would run, and a session's file may come from "
            f"anybody. Remedy: read that code, then Session.load(..., tracker={saved.tracker!r}, params={saved.params!r})."
        )


def footage(saved: Saved, path: str | Path) -> Video:
    """The video where it lay when the session was saved.

    Raises:
        FormatError: It came from an address, which isn't asked unless a person names it.
        VideoError: It isn't there.
    """
    if "://" in saved.source:
        raise FormatError(
            f"{path}: its video came from the address {saved.source!r}, which isn't asked because a file says so. "
            "Remedy: give the video, Session.load(..., video=...)."
        )
    return open_video(saved.source, stream=saved.stream)


def check_fits(state: State, video: Video, path: str | Path) -> None:
    """Raise `FormatError` where a session can't be one of this video: its frames or figures aren't there."""
    try:
        state.prompts.check(video)
    except PromptError as error:
        raise FormatError(f"{path}: {error}") from None
    spans = [span for mine in (state.stale, state.checked) for of in mine.values() for span in of]
    frames = [
        *state.predicted.frames[-1:].tolist(),
        *(f for _, f in state.absent),
        *(end - 1 for _, end in spans),
    ]
    size = state.predicted.size
    if max(frames, default=-1) >= len(video):
        raise FormatError(
            f"{path}: it speaks of frame {max(frames)}; the video has frames 0 to {len(video) - 1}."
        )
    if len(state.predicted) and size not in (None, (video.height, video.width)):
        raise FormatError(
            f"{path}: its frames are {size} (height, width), those of the video {(video.height, video.width)}."
        )


def stamp(path: Path) -> Stamp | None:
    """What tells one state of a file from another; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def keep_other(path: Path, state: State, video: Video) -> Path | None:
    """Keep the file that is in the way beside it where it holds what `state` lacks; return where, or None.

    Warns:
        VtlabWarning: It was kept; the message says where.
    """
    if not path.is_file() or _within(path, state, video):
        return None
    kept = kept_beside(path)
    warnings.warn(f"{path} held other work: it was kept as {kept.name}.", VtlabWarning, stacklevel=4)
    return kept


def _within(path: Path, state: State, video: Video) -> bool:
    """Whether all that a file holds is in `state`, too."""
    try:
        saved = read(path)
    except VtlabError:
        return False
    old = saved.state
    return (
        saved.clip.digest == video.digest()
        and all(state.keys.get(k) == p for k, p in old.keys.items())
        and old.absent <= state.absent
        and all(state.gone.get(i) == f for i, f in old.gone.items())
        and all(getattr(state, name).get(i) == v for name in KEPT for i, v in getattr(old, name).items())
        and len(old.predicted) <= len(state.predicted)
    )
