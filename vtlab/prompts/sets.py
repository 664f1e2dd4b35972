"""Prompt sets: validated, immutable, one JSON file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, overload

from vtlab.errors import FormatError, PromptError, TracksError
from vtlab.files import read_text, write_whole
from vtlab.prompts.kinds import KINDS, Prompt, Sized, edges_of
from vtlab.tracks import Source, check_identity
from vtlab.video import Video


class Prompts:
    """A validated, immutable list of prompts, ordered by frame and object.

    Args:
        prompts: Any iterable of prompts, or one prompt.
        source: The clip whose frame numbers they have; None where nobody said it.

    Raises:
        PromptError: Two prompts of one kind for one object on one frame, or one object with two labels.
    """

    __slots__ = ("_prompts", "source")

    def __init__(self, prompts: Iterable[Prompt] | Prompt = (), *, source: Source | None = None):
        self.source = source
        if not isinstance(prompts, (Prompt, Iterable)):
            raise PromptError(f"Expected prompts (BoxPrompt, MaskPrompt, ...), got {prompts!r}.")
        items = [prompts] if isinstance(prompts, Prompt) else list(prompts)
        for item in items:
            if not isinstance(item, Prompt):
                raise PromptError(f"Expected prompts (BoxPrompt, MaskPrompt, ...), got {item!r}.")
        self._prompts = tuple(sorted(items, key=lambda p: (p.frame, p.object_id, p.kind)))
        seen: set[tuple[int, int, str]] = set()
        labels: dict[int, str] = {}
        for p in self._prompts:
            key = (p.object_id, p.frame, p.kind)
            if key in seen:
                raise PromptError(
                    f"Two {p.kind} prompts for object {p.object_id} on frame {p.frame}. "
                    "Give different objects different ids, or merge the prompts."
                )
            seen.add(key)
            if p.label is not None and labels.setdefault(p.object_id, p.label) != p.label:
                raise PromptError(
                    f"Object {p.object_id} has two labels, {labels[p.object_id]!r} and {p.label!r}. Keep one."
                )

    def __len__(self) -> int:
        return len(self._prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self._prompts)

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> Prompts: ...
    def __getitem__(self, index: int | slice) -> Prompt | Prompts:
        return (
            Prompts(self._prompts[index], source=self.source)
            if isinstance(index, slice)
            else self._prompts[index]
        )

    def __add__(self, other: Iterable[Prompt]) -> Prompts:
        source = other.source if isinstance(other, Prompts) else None
        if self.source is not None and source is not None and self.source.span != source.span:
            raise PromptError(
                f"Prompts of {self.source.told} and of {source.told} have different frame numbers. "
                "Remedy: bring both to one clip by prompts.on(video)."
            )
        return Prompts([*self, *other], source=self.source or source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prompts) and self._prompts == other._prompts

    def __hash__(self) -> int:
        return hash(self._prompts)

    def __repr__(self) -> str:
        return f"Prompts({len(self)} prompts, {len(self.object_ids)} objects, frames {list(self.frames)})"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of all objects, ascending."""
        return tuple(sorted({p.object_id for p in self}))

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that carry a prompt, ascending."""
        return tuple(sorted({p.frame for p in self}))

    @property
    def labels(self) -> dict[int, str]:
        """Label of each object that has one."""
        return {p.object_id: p.label for p in self if p.label is not None}

    @property
    def edges(self) -> dict[str, list[tuple[int, int]]]:
        """Lines of each object whose points are joined (see `edges_of`), by its id as text, as JSON has it."""
        return {str(p.object_id): edges_of(p) for p in self if edges_of(p)}

    @property
    def kinds(self) -> frozenset[type[Prompt]]:
        """The kinds of prompt in the set."""
        return frozenset(type(p) for p in self)

    def at(self, frame: int) -> Prompts:
        """The prompts given on one frame."""
        return Prompts((p for p in self if p.frame == frame), source=self.source)

    def of(self, object_id: int) -> Prompts:
        """The prompts given for one object."""
        return Prompts((p for p in self if p.object_id == object_id), source=self.source)

    def by_frame(self) -> dict[int, Prompts]:
        """Prompts of each frame that carries any."""
        return {frame: self.at(frame) for frame in self.frames}

    def check(self, video: Sized) -> Prompts:
        """Return self if every prompt fits the video, else raise `PromptError` naming the first that doesn't."""
        for prompt in self:
            prompt.check(video)
        return self

    def on(self, video: Video) -> Prompts:
        """These prompts with the frame numbers of the clip `video`, as their source says.

        Prompts that say nothing of their source are taken to have the clip's numbers already.

        Warns:
            VtlabWarning: It is another file with the same frames, such as after it was encoded anew, or nobody can tell.

        Raises:
            InputError: They were given on another video (see `check_identity`: the message names the first frame that
                differs), or on another part of it (it names both ranges).
            PromptError: One lies on a frame that the clip doesn't have.
        """
        if self.source is None or not self:
            return self
        check_identity(self.source, video, "Prompts")
        if self.source.is_clip(Source.of_video(video, digest=False)):
            return self
        clip = Source.of_video(video, digest=self.source.digest is not None)
        self.source.check(clip, "Prompts", whole=False)
        found = []
        for p, frame in zip(self, self.source.places(clip, [p.frame for p in self]).tolist(), strict=True):
            if frame < 0:
                start, step = self.source.span
                raise PromptError(
                    f"{p} of {self.source.told} lies on frame {start + p.frame * step} of {video.name}, which is not "
                    f"among {clip.told}. "
                    "Remedy: leave it out, or cut the video so that it is there."
                )
            found.append(replace(p, frame=frame))
        return Prompts(found, source=self.source.moved(clip))

    def shifted(self, frames: int) -> Prompts:
        """The same prompts, `frames` later."""
        return Prompts(replace(p, frame=p.frame + frames) for p in self)

    def to_json(self) -> str:
        """The prompt set as a JSON text; masks as base64 of COCO's compressed counts."""
        source = {} if self.source is None else {"source": self.source.to_dict()}
        return json.dumps({"version": 1, **source, "prompts": [_to_dict(p) for p in self]}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "prompts") -> Prompts:
        """Read a prompt set from a JSON text; raises `FormatError` or `PromptError` naming `where`."""
        try:
            data = json.loads(text.removeprefix("\ufeff"))
        except json.JSONDecodeError as error:
            raise FormatError(f"{where}: not a JSON prompt set (line {error.lineno}: {error.msg}).") from None
        except RecursionError:
            raise FormatError(f"{where}: not a prompt set: lists within lists without end.") from None
        if (
            not isinstance(data, dict)
            or data.get("version") != 1
            or not isinstance(data.get("prompts"), list)
        ):
            raise FormatError(
                f"{where}: expected {{'version': 1, 'prompts': [...]}} as Prompts.save writes it."
            )
        try:
            source = Source.of(data["source"]) if "source" in data else None
        except (TracksError, ValueError, AttributeError) as error:
            raise FormatError(f"{where}: the source can't be read ({error}).") from None
        try:
            prompts = [_from_dict(item, f"{where}: prompt {i}") for i, item in enumerate(data["prompts"])]
            return cls(prompts, source=source)
        except PromptError as error:
            raise PromptError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None

    def save(self, path: str | Path) -> Path:
        """Write the set to a JSON file (whole or not at all) and return its path."""
        return write_whole(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Prompts:
        """Read a set that `save` wrote."""
        file = Path(path)
        if not file.exists():
            raise FormatError(
                f"{path}: there is no such prompt file. Make one with Prompts(...).save(path) or vtlab.annotate(video)."
            )
        return cls.from_json(read_text(file, "a prompt set"), where=str(path))


def _to_dict(prompt: Prompt) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": prompt.kind}
    for f in fields(prompt):
        value = getattr(prompt, f.name)
        if value == f.default and f.name not in ("object_id", "frame"):
            continue
        data[f.name] = base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
    return data


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _from_dict(item: Any, where: str) -> Prompt:
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str) or item["kind"] not in KINDS:
        kind = item.get("kind") if isinstance(item, dict) else item
        raise FormatError(f"{where}: unknown kind {kind!r}. Known: {', '.join(KINDS)}.")
    cls = KINDS[item["kind"]]
    values = {k: _tuples(v) for k, v in item.items() if k != "kind"}
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise FormatError(f"{where}: unknown field {sorted(unknown)[0]!r} for a {cls.kind} prompt.")
    try:
        if "counts" in values:
            values["counts"] = base64.b64decode(values["counts"], validate=True)
        return cls(**values)
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{where}: {error}") from None
