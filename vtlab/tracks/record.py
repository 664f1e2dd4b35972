"""The record of tracks: who made them, from what, with what; typed in memory, JSON at rest.

Every entry may be absent (None). Entries that this version does not know are kept in `extra` and written again.
"""

# ruff: noqa: RUF009 (`_entry` makes a field of a dataclass)
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, TracksError, near
from vtlab.tracks.entries import plain, typed
from vtlab.video import Frame, Marks, StreamVideo, Video

_DIRECTIONS = ("forward", "backward", "both")


def _entry(*types: type, name: str = "", compare: bool = True) -> Any:
    """An entry that JSON holds as one of `types`, under `name` where that is not the attribute's."""
    return field(default=None, metadata={"types": types, "name": name}, compare=compare)


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """What has named entries, some of them known; values are made plain, and refused where JSON can't hold them."""

    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self._known()
        for name, f in known.items():
            object.__setattr__(self, f.name, typed(name, getattr(self, f.name), f.metadata["types"]))
        extra = typed("extra", self.extra, (dict,)) or {}
        for name in extra:
            if name in known:
                raise TracksError(
                    f"Tracks: the record's {name!r} can't be given in `extra`, got {extra[name]!r}."
                )
        object.__setattr__(self, "extra", extra)

    @classmethod
    def _known(cls) -> dict[str, Any]:
        """Name at rest -> field."""
        return {f.metadata["name"] or f.name: f for f in fields(cls) if f.name != "extra"}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read entries as `to_dict` gives them; raises `TracksError` for one of another type than it must have."""
        if not isinstance(data, Mapping):
            raise TracksError(f"Tracks: expected the entries of a record as a dict, got {str(data)[:60]!r}.")
        known = cls._known()
        values = {known[k].name: v for k, v in data.items() if k in known}
        return cls(**values, extra={k: v for k, v in data.items() if k not in known})

    def to_dict(self) -> dict[str, Any]:
        """The entries that there are, as JSON has them; a copy."""
        found: dict[str, Any] = {}
        for name, f in self._known().items():
            value = getattr(self, f.name)
            if value is not None:
                found[name] = value.to_dict() if isinstance(value, _Entries) else plain(name, value)
        return found | plain("extra", self.extra)

    def replace(self, **entries: Any) -> Self:
        """A copy with some entries replaced; raises `TracksError` for unknown ones and values they can't have."""
        names = [f.name for f in fields(self)]
        for name in entries:
            if name not in names:
                raise TracksError(
                    f"Tracks: the record has no entry {name!r}, got {entries[name]!r}. {near(name, names)} "
                    "Remedy: entries of your own go into `extra`."
                )
        return dataclasses.replace(self, **entries)


@dataclass(frozen=True, kw_only=True)
class Maker(_Entries):
    """The tracker that made tracks.

    Attributes:
        name: Its name.
        family: Its family's code.
        params: Parameters.
        weights: File name -> sha256 (None where unknown) of the checkpoints it loaded.
    """

    name: str | None = _entry(str)
    family: str | None = _entry(str)
    params: dict[str, Any] | None = _entry(dict)
    weights: dict[str, str | None] | None = _entry(dict)


@dataclass(frozen=True, kw_only=True)
class Source(_Entries):
    """The clip that tracks or prompts were made on: frame i is frame `start + i * step` of the video it is cut from.

    Attributes:
        name: Of the video.
        digest: Hash of the clip's content, as `Video.digest` gives it.
        width: Of every image, in pixels.
        height: Of every image, in pixels.
        frames: Number of frames of the clip; -1 for a stream.
        fps: Frames per second of the clip.
        start: Frame of the video that is the clip's first.
        step: Frames of the video from one of the clip to the next; negative = backwards.
        stream: Number of the video within a file that holds several; None elsewhere.
        marks: What its frames look like, as `Marks.to_dict` gives it: those that were read or shown for the work. Two
            sources are equal whatever they say of it.
    """

    name: str | None = _entry(str)
    digest: str | None = _entry(str)
    width: int | None = _entry(int)
    height: int | None = _entry(int)
    frames: int | None = _entry(int)
    fps: float | None = _entry(float, int)
    start: int | None = _entry(int)
    step: int | None = _entry(int)
    stream: int | None = _entry(int)
    marks: dict[str, Any] | None = _entry(dict, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is None or self.step is None:
            start, _, step = self._cut().split(":") if self._cut() else ("0", "", "1")
            for name, value in (("start", start), ("step", step)):
                if getattr(self, name) is None:  # files of version 1 have it in the digest only
                    object.__setattr__(self, name, int(value))
        if self.step == 0:
            raise TracksError("Tracks: the record's step from frame to frame must not be 0.")

    def _cut(self) -> str:
        return (self.digest or "").partition("[")[2].rstrip("]")

    @property
    def span(self) -> tuple[int, int]:
        """(start, step)."""
        return self.start or 0, self.step or 1

    @property
    def told(self) -> str:
        """In words: 'frames 10 to 18 in steps of 2 of street'."""
        (start, step), n = self.span, self.frames
        last = f" to {start + step * (n - 1)}" if n is not None and n > 0 else " and on"
        return (
            f"frames {start}{last}{f' in steps of {step}' if step != 1 else ''} of {self.name or 'a video'}"
        )

    @classmethod
    def of_video(cls, video: Video, *, digest: bool = True) -> Source:
        """The source that work on `video` has; without `digest` the file is not read for it."""
        start, step = video.span
        return cls(
            name=video.name,
            digest=video.digest() if digest else None,
            width=video.width,
            height=video.height,
            frames=-1 if isinstance(video, StreamVideo) else len(video),
            fps=video.fps,
            start=start,
            step=step,
            stream=video.stream,
            marks=Marks.of_hashes(video.looks).to_dict() if digest and video.looks else None,
        )

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """See `_Entries.of`; raises `TracksError` for damaged marks, too."""
        found = super().of(data)
        if found.marks is not None:
            Marks.of(found.marks)
        return found

    def moved(self, clip: Source) -> Source:
        """The source of another clip of the same video, with what is known of its frames from this one."""
        if self.marks is None or clip.marks is not None:
            return clip
        known = Marks.of(self.marks)
        return clip.replace(marks=known.moved(self.places(clip, known.frames)).to_dict())

    @classmethod
    def of_clip(cls, clip: Video | Source, *, digest: bool = True) -> Source:
        """The source of a video, or a source itself."""
        return clip if isinstance(clip, Source) else cls.of_video(clip, digest=digest)

    @property
    def length(self) -> int | None:
        """Number of frames; None where it is not known, or a stream."""
        return None if self.frames is None or self.frames < 0 else self.frames

    def is_clip(self, clip: Source) -> bool:
        """Whether another clip has the same numbers for the same frames, all of them, as far as lengths are known."""
        return self.span == clip.span and (None in (self.length, clip.length) or self.length == clip.length)

    def places(self, clip: Source, frames: Any) -> NDArray[np.int64]:
        """Numbers in another clip of `frames` (N,) of this clip; -1 for those that it doesn't have."""
        (start, step), (first, every) = self.span, clip.span
        offset = start + step * np.asarray(frames, dtype=np.int64) - first
        there = np.where(offset % every == 0, offset // every, -1)
        beyond = False if clip.length is None else there >= clip.length
        return np.where((there < 0) | beyond, -1, there)

    def place_of(self, frame: Frame, what: str) -> int:
        """Number in this clip of a frame of another.

        Raises:
            InputError: It is none of this clip's; the message begins with `what` and names both clips.
        """
        (start, step), (first, every) = self.span, frame.span
        at, rest = divmod(first + every * frame.index - start, step)
        if rest or at < 0 or (self.length is not None and at >= self.length):
            raise InputError(
                f"{what} of {self.told} know nothing of frame {first + every * frame.index} of the video (frame "
                f"{frame.index} of a clip from {first} on in steps of {every}). Remedy: cut the video as it was when they "
                "were made (video[start:stop:step]), or make them on all of it."
            )
        return at

    def check(self, clip: Source, what: str, *, whole: bool) -> None:
        """Raise `InputError` unless this clip and another, cut from one video (see `check_identity`), share frames.

        Args:
            clip: The clip that something made on this one is to be used on.
            what: Beginning of the message, which names both ranges.
            whole: Whether every frame of `clip` must be one of this clip.
        """
        (start, step), (first, every) = self.span, clip.span
        offset = first + every * np.arange(1 if clip.length is None else clip.length) - start
        inside = (offset % step == 0) & (offset // step >= 0)
        if self.length is not None:
            inside &= offset // step < self.length
        if inside.all() or (inside.any() and not whole):
            return
        why = "not all of its frames are among them" if inside.any() else "they have no frame in common"
        raise InputError(
            f"{what} of {self.told} can't be used on {clip.told}: {why}. "
            "Remedy: cut the video as it was when they were made (video[start:stop:step]), or make them on all of it."
        )


@dataclass(frozen=True, kw_only=True)
class Record(_Entries):
    """Where tracks come from; what somebody needs to make them again, and to know what they say.

    Attributes:
        tracker: Who made them; JSON key "tracker".
        source: The clip; JSON key "video".
        prompts: sha256 of the prompts' JSON.
        edges: Object id as text -> pairs of points that its lines join.
        direction: "forward", "backward" or "both".
        complete: False where tracking was stopped or failed.
        events: What the tracker told of its objects: dicts with "frame", "object_id", "event", "reason".
        memory: Measured bytes, by name.
        timing: How the steps' times are to be read: "offline" (answers come after later frames were read), "delay_ms"
            (by how much the last one does), "device" ("cpu", "cuda", "mps"), "waiting" (share of the time that other work
            kept the processor), "load" (tasks that want to run), "threads" (library -> threads that it may use).
        wall_seconds: Wall time of the whole run.
        versions: Package -> version.
        hardware: Of the machine.
        created: UTC, ISO 8601.
        objects: Object id as text -> attributes of the object (name -> JSON value) that hold on all frames.
        id_map: Object id as text -> id that a host (an annotation tool, a file) has for it.
        annotated: Frames that somebody looked at, whether or not an object is on them; ascending.
        files: Names of the files of the `annotated` frames, in their order, where each has one.
        dense: True where a frame without a row was looked at and holds nothing, as in text of multi-object tracking.
        frames: Number of frames of the sequence, where a file states it.
        format: Name of the format that it was read from.
        file: Path that it was read from.
        rule: Name of the rule that scores it.
        extra: Entries that this version of vtlab does not know.
    """

    tracker: Maker | None = _entry(Maker)
    source: Source | None = _entry(Source, name="video")
    prompts: str | None = _entry(str)
    edges: dict[str, Any] | None = _entry(dict)
    direction: str | None = _entry(str)
    complete: bool | None = _entry(bool)
    events: list[dict[str, Any]] | None = _entry(list)
    memory: dict[str, Any] | None = _entry(dict)
    timing: dict[str, Any] | None = _entry(dict)
    wall_seconds: float | None = _entry(float, int)
    versions: dict[str, str] | None = _entry(dict)
    hardware: dict[str, Any] | None = _entry(dict)
    created: str | None = _entry(str)
    objects: dict[str, dict[str, Any]] | None = _entry(dict)
    id_map: dict[str, Any] | None = _entry(dict)
    annotated: tuple[int, ...] | None = _entry(tuple)
    files: list[str] | None = _entry(list)
    dense: bool | None = _entry(bool)
    frames: int | None = _entry(int)
    format: str | None = _entry(str)
    file: str | None = _entry(str)
    rule: str | None = _entry(str)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in (None, *_DIRECTIONS):
            raise TracksError(
                f"Tracks: the record's 'direction' must be one of {', '.join(_DIRECTIONS)}, got {self.direction!r}."
            )
        if self.frames is not None and self.frames < 0:
            raise TracksError(f"Tracks: the record's 'frames' must be at least 0, got {self.frames}.")
        if self.annotated and self.annotated[0] < 0:
            raise TracksError(
                f"Tracks: the record's 'annotated' frames count from 0, got frame {self.annotated[0]}."
            )
        if self.files is not None and len(self.files) != len(self.annotated or ()):
            raise TracksError(
                f"Tracks: the record's 'files' must name one for each of {len(self.annotated or ())} 'annotated' frames, "
                f"got {len(self.files)}."
            )

    def renamed(self, ids: Mapping[int, int]) -> Record:
        """The record with what it says of objects under new ids; ids not in `ids` stay."""

        def new(entry: dict[str, Any] | None) -> dict[str, Any] | None:
            return None if entry is None else {str(ids.get(int(i), i)): value for i, value in entry.items()}

        events = self.events and [
            e | {"object_id": ids.get(e["object_id"], e["object_id"])} if "object_id" in e else e
            for e in self.events
        ]
        return self.replace(
            edges=new(self.edges), objects=new(self.objects), id_map=new(self.id_map), events=events
        )

    def joined(self, others: list[Record]) -> Record:
        """The record with what others say of further objects."""

        def all_of(name: str) -> dict[str, Any] | None:
            parts = [getattr(r, name) for r in (*others, self) if getattr(r, name) is not None]
            return {key: value for part in parts for key, value in part.items()} if parts else None

        return self.replace(**{name: all_of(name) for name in ("edges", "objects", "id_map")})
