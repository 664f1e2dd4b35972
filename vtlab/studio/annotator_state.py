"""What the annotator knows, without a browser: figures of objects on frames, edits, undo, autosave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Segmenter
from vtlab.contracts.parts import segment
from vtlab.errors import InputError, PromptError, VtlabError, WriteError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.prompts.fit import check_figures
from vtlab.prompts.skeletons import Skeleton, as_skeleton
from vtlab.segmenters import guessing
from vtlab.show.draw import hex_of
from vtlab.studio import drawn
from vtlab.studio.handling import Handling
from vtlab.studio.labels import Labels
from vtlab.studio.prompt_file import PromptFile
from vtlab.tracks import Source
from vtlab.video import Video

Key = tuple[int, int, str]
P = TypeVar("P", bound=Prompt)
UNDO_STEPS = 100
"""Steps that are kept; each holds the whole, small prompt set."""
REGIONS = ("box", "click", "mask")  # ways to say where an object is; of one object on one frame, one counts


@dataclass(frozen=True)
class _Snapshot:
    figures: Mapping[Key, Prompt] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)


class AnnotatorState(Handling):
    """Figures of objects on frames, and the edits that a person makes.

    All coordinates are pixels of the full-size frame. Each edit is one step of `undo`. Every edit writes the
    autosave file, whole or not at all. `edits` names the methods that a browser may call.

    Args:
        video: What is annotated.
        prompts: Figures to begin with.
        segmenter: Turns clicks into a mask.
        skeleton: Template for skeletons, or the name of one.
        labels: Labels to offer, besides those in use, see `Labels.of`.
        autosave: File that follows every edit; None for none.

    Raises:
        PromptError: A figure to begin with doesn't fit the video.
    """

    edits: ClassVar[frozenset[str]] = frozenset({
        "go", "select", "new_object", "label", "show", "box", "click", "polygon", "paint", "points", "add_point",
        "nodes", "add_node", "delete", "duplicate", "undo", "redo", "propagate", "key_figure", "lock", "many",
        "colour_by", "thumbnails",
    })  # fmt: skip

    def __init__(
        self,
        video: Video,
        prompts: Prompts | None = None,
        *,
        segmenter: Segmenter | None = None,
        skeleton: Skeleton | str | None = None,
        labels: Any = (),
        autosave: Path | None = None,
    ):
        super().__init__()
        self.video, self.segmenter = video, segmenter
        self._file = None if autosave is None else PromptFile(autosave)
        self.skeleton, self.labels = as_skeleton(skeleton), Labels.of(labels)
        start = (prompts or Prompts()).on(video).check(video)
        check_figures(start, "The annotator")
        self._now = _Snapshot({(p.object_id, p.frame, p.kind): p for p in start}, dict(start.labels))
        self._undo: list[_Snapshot] = []
        self._redo: list[_Snapshot] = []
        self.frame = start.frames[0] if len(start) else 0
        self.selected = start.object_ids[0] if len(start) else 1
        self.message = self._news = ""

    @property
    def prompts(self) -> Prompts:
        """All figures as prompts. Clicks and the box around them are means: where they gave a mask, it alone counts."""
        figures = self._now.figures
        means = {
            (i, f, kind)
            for i, f, given in figures
            for kind in {"mask": ("box", "click"), "click": ("box",)}.get(given, ())
        }
        kept = [p for k, p in figures.items() if k not in means]
        return Prompts(
            (replace(p, label=self._now.labels.get(p.object_id)) for p in kept),
            source=Source.of_video(self.video),  # read once, see `Video.digest`
        )

    @property
    def figures(self) -> Mapping[Key, Prompt]:
        """What a person drew, by (object id, frame, kind)."""
        return self._now.figures

    @property
    def names(self) -> Mapping[int, str]:
        """Label of each object that has one."""
        return self._now.labels

    @property
    def file(self) -> Path | None:
        """File that follows every edit."""
        return None if self._file is None else self._file.path

    @property
    def tools(self) -> list[str]:
        """Names of the tools that the browser offers."""
        masks = [] if self.segmenter is None else ["click"]
        last = [] if self.skeleton is None else ["skeleton"]
        return ["box", *masks, "polygon", "brush", "eraser", "points", *last]

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects that have a figure or a label, and the selected one, ascending."""
        return sorted(self.made_ids | {self.selected})

    @property
    def made_ids(self) -> set[int]:
        """Ids of the objects that have a figure or a label."""
        return {k[0] for k in self._now.figures} | set(self._now.labels)

    def at(self, frame: int) -> list[Prompt]:
        """Figures on a frame."""
        return [p for p in self._now.figures.values() if p.frame == frame]

    def mask(self, object_id: int, frame: int) -> NDArray[np.bool_] | None:
        """Mask of an object on a frame (H, W), or None."""
        p = self._now.figures.get((object_id, frame, "mask"))
        return p.mask(self.video.height, self.video.width) if isinstance(p, MaskPrompt) else None

    def view(self) -> dict[str, Any]:
        """What the browser needs to draw: JSON values only."""
        return {
            "frame": self.frame,
            "n_frames": len(self.video),
            "width": self.video.width,
            "height": self.video.height,
            "selected": self.selected,
            "objects": [self._object(i) for i in self.object_ids],
            "figures": [self._figure(p) for p in self.at(self.frame) if p.object_id not in self.hidden],
            "skeleton": None
            if self.skeleton is None
            else {"names": list(self.skeleton.names), "edges": [list(e) for e in self.skeleton.edges]},
            "tools": self.tools,
            "labels": sorted({*self.labels.names, *self.names.values()}),
            "work": self._work_view(),
            "tracking": None,
            "undo": bool(self._undo),
            "redo": bool(self._redo),
            "message": self.message,
        }

    def overlay(self) -> NDArray[np.uint8] | None:
        """Masks of the present frame as one RGBA image (H, W, 4); None if there are none."""
        found = [(p, m) for p, m in self._masks(self.at(self.frame)) if p.object_id not in self.hidden]
        if not found:
            return None
        image = np.zeros((self.video.height, self.video.width, 4), np.uint8)
        for p, m in found:
            image[self._drawn(p, m)] = (*self._colour(p.object_id), 130)
        return image

    def _masks(self, figures: list[Prompt]) -> list[tuple[Prompt, NDArray[np.bool_]]]:
        """Figures of a frame that have a mask, with it."""
        size = self.video.height, self.video.width
        return [(p, p.mask(*size)) for p in figures if isinstance(p, MaskPrompt)]

    def _drawn(self, p: Prompt, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pixels of a figure's mask that are painted."""
        return mask

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit sent by the browser: {"do": name, ...}; a refused one leaves its reason in `message`."""
        self.catch_up()
        self.message, self._news = self._news, ""
        name = edit.get("do")
        values = {k: v for k, v in edit.items() if k != "do"}
        try:
            if name not in self.edits:
                raise InputError(f"Unknown edit {name!r}.")
            if refused := self._refused(name, values):
                raise InputError(refused)
            getattr(self, name)(**values)
        except VtlabError as error:
            self.message = str(error)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            self.message = f"The edit {name!r} can't be carried out: {error}"

    def go(self, frame: int) -> None:
        """Show a frame; outside the video, the nearest."""
        self.frame = min(max(int(frame), 0), len(self.video) - 1)

    def select(self, object_id: int) -> None:
        """Choose the object that the next figures belong to; a new id makes a new object."""
        if int(object_id) < 1:
            raise InputError(f"Object ids count from 1, got {object_id}.")
        self.selected = int(object_id)

    def new_object(self) -> int:
        """Make and select a new object; return its id."""
        self.selected = max(self.object_ids) + 1
        return self.selected

    def label(self, object_id: int, text: str) -> None:
        """Name an object."""
        labels = {**self._now.labels, int(object_id): str(text).strip()}
        self._commit(labels={i: t for i, t in labels.items() if t})

    def show(self, object_id: int, shown: bool) -> None:
        """Show or hide an object in the browser."""
        (self.hidden.discard if shown else self.hidden.add)(int(object_id))

    def box(self, xyxy: Sequence[float], angle: float = 0.0) -> None:
        """Give the selected object a box on this frame; where it has clicks, their mask follows.

        An upright box is cut to the frame, an oriented one (angle in radians, clockwise) keeps its centre in it.
        """
        x1, y1, x2, y2 = (float(v) for v in xyxy)
        (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
        turn = math.remainder(float(angle), 2 * math.pi)
        if turn:
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            dx, dy = min(max(x, 0.0), self.video.width) - x, min(max(y, 0.0), self.video.height) - y
            x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 + dx, y2 + dy
        else:
            x1, x2 = (min(max(x, 0.0), self.video.width) for x in (x1, x2))
            y1, y2 = (min(max(y, 0.0), self.video.height) for y in (y1, y2))
        box = BoxPrompt((x1, y1, x2, y2), turn, **self._here())
        clicks = self._now.figures.get((self.selected, self.frame, "click"))
        if isinstance(clicks, ClickPrompt) and self.segmenter is not None:
            self._segment(replace(clicks, xyxy=self._around(box)), box)
        else:
            self._put(box)

    def _around(self, box: BoxPrompt) -> tuple[float, float, float, float]:
        """Upright extent of a box, for a segmenter, which knows no other."""
        x1, y1, x2, y2 = box.box(self.video.height, self.video.width).tolist()
        return x1, y1, x2, y2

    def click(self, x: float, y: float, positive: bool = True) -> None:
        """Click on (or beside) the selected object; with a segmenter its mask follows at once."""
        old = self._now.figures.get((self.selected, self.frame, "click"))
        points, marks = (old.points, old.positive) if isinstance(old, ClickPrompt) else ((), ())
        if ((float(x), float(y)), bool(positive)) in zip(points, marks, strict=True):
            return  # said before
        box = self._now.figures.get((self.selected, self.frame, "box"))
        xyxy = self._around(box) if isinstance(box, BoxPrompt) else None
        self._segment(
            ClickPrompt((*points, (float(x), float(y))), (*marks, bool(positive)), xyxy, **self._here()), box
        )

    def polygon(self, points: Sequence[Sequence[float]]) -> None:
        """Give the selected object a mask on this frame by its outline, which stays one until it is painted on."""
        self._put(MaskPrompt(polygon=tuple((float(x), float(y)) for x, y in points), **self._here()))

    def paint(self, path: Sequence[Sequence[float]], radius: float, erase: bool = False) -> None:
        """Paint or erase the selected object's mask along a path, with a round brush of `radius` pixels."""
        stroke = drawn.stroke(path, radius, self.video.height, self.video.width)
        old = self.mask(self.selected, self.frame)
        mask = stroke if old is None else (old & ~stroke if erase else old | stroke)
        if erase and old is None:
            raise InputError("There is no mask to erase on this frame.")
        if not mask.any():
            self.delete(self.selected, kind="mask")
            return
        self._put(MaskPrompt.of(mask, **self._here()))

    def points(self, points: Sequence[Sequence[float]], shape: str = "points") -> None:
        """Give the selected object its points to follow on this frame (all of them)."""
        if not points:
            self.delete(self.selected, kind="point")
            return
        self._put(PointPrompt(tuple((float(x), float(y)) for x, y in points), shape, **self._here()))  # type: ignore[arg-type]

    def add_point(self, x: float, y: float) -> None:
        """Give the selected object one more point to follow on this frame; one that it has is no other."""
        old, new = self._own(PointPrompt), (float(x), float(y))
        if old is None or new not in old.points:
            self.points([*(old.points if old else ()), new], old.shape if old else "points")

    def add_node(self, x: float, y: float) -> None:
        """Give the selected object the next node of its skeleton on this frame."""
        old, new = self._own(SkeletonPrompt), (float(x), float(y))
        if old is None or new not in old.points:
            self.nodes([*(old.points if old else ()), new], old.occluded if old else ())

    def nodes(self, points: Sequence[Sequence[float]], occluded: Sequence[bool] = ()) -> None:
        """Give the selected object its skeleton on this frame: the nodes of the template, from the first on."""
        if self.skeleton is None:
            raise InputError(
                "There is no skeleton template. Open the annotator with skeleton=Skeleton(names, edges)."
            )
        n = len(points)
        if not 0 < n <= len(self.skeleton.names):
            raise InputError(f"The template has {len(self.skeleton.names)} nodes, got {n}.")
        edges = tuple(e for e in self.skeleton.edges if max(e) < n)
        hidden = (*(bool(o) for o in occluded), *(False,) * n)[:n]
        self._put(
            SkeletonPrompt(
                tuple((float(x), float(y)) for x, y in points),
                self.skeleton.names[:n],
                edges,
                hidden,
                **self._here(),
            )
        )

    def delete(self, object_id: int, kind: str | None = None, everywhere: bool = False) -> None:
        """Delete an object's figures on this frame (of one kind), or the object everywhere."""
        i = int(object_id)
        gone = {
            k
            for k in self._now.figures
            if k[0] == i and (everywhere or k[1] == self.frame) and (kind is None or k[2] == kind)
        }
        labels = {o: t for o, t in self._now.labels.items() if o != i} if everywhere else self._now.labels
        if not gone and labels == self._now.labels:
            raise InputError(f"Object {i} has no {kind or 'figure'} on frame {self.frame}.")
        self._commit(figures={k: p for k, p in self._now.figures.items() if k not in gone}, labels=labels)
        if everywhere and i == self.selected and self.made_ids:
            self.selected = min(self.made_ids)

    def duplicate(self, object_id: int, frame: int, source: int | None = None) -> None:
        """Copy an object's figures from the frame `source` (this one by default) to another frame."""
        i, start, end = int(object_id), self.frame if source is None else int(source), int(frame)
        mine = [p for p in self.at(start) if p.object_id == i]
        if not mine:
            raise InputError(f"Object {i} has no figure on frame {start} to copy.")
        if not 0 <= end < len(self.video):
            raise PromptError(f"There is no frame {end}: the video has frames 0 to {len(self.video) - 1}.")
        self._put(*(replace(p, frame=end) for p in mine))

    def undo(self) -> None:
        """Take back the last edit, and show the frame that it was made on."""
        if self._undo:
            self._redo.append(self._now)
            self._step_to(self._undo.pop())

    def redo(self) -> None:
        """Carry out again what was taken back, and show the frame that it was made on."""
        if self._redo:
            self._undo.append(self._now)
            self._step_to(self._redo.pop())

    def _here(self) -> dict[str, Any]:
        return {"object_id": self.selected, "frame": self.frame}

    def _own(self, kind: type[P]) -> P | None:
        """The selected object's figure of a kind on this frame."""
        mine = (p for p in self.at(self.frame) if p.object_id == self.selected)
        return next((p for p in mine if isinstance(p, kind)), None)

    def _object(self, object_id: int) -> dict[str, Any]:
        """An object as the browser lists it."""
        return {
            "id": object_id,
            "label": self.names.get(object_id, ""),
            "colour": hex_of(self._colour(object_id)),
            "shown": object_id not in self.hidden,
            "locked": object_id in self.locked,
            "frames": self._key_frames(object_id),
        }

    def _figure(self, p: Prompt) -> dict[str, Any]:
        """A figure as the browser draws it; masks travel as an image instead."""
        return drawn.as_json(p, self.video.height, self.video.width)

    @staticmethod
    def _key(p: Prompt) -> Key:
        return p.object_id, p.frame, p.kind

    def _put(self, *prompts: Prompt) -> None:
        """Set figures of one object on one frame; those that say where it is replace the others that do."""
        for p in prompts:
            p.check(self.video)
        replaced = {(p.object_id, p.frame, kind) for p in prompts if p.kind in REGIONS for kind in REGIONS}
        kept = {k: p for k, p in self._now.figures.items() if k not in replaced}
        self._commit(figures=kept | {self._key(p): p for p in prompts})

    def _segment(self, clicks: ClickPrompt, box: Prompt | None) -> None:
        """Set clicks, the box around them if there is one, and the mask that the segmenter makes of them."""
        clicks.check(self.video)
        means = [clicks] if box is None else [clicks, box]
        if self.segmenter is None:
            self._put(*means)
            return
        mask, score = segment(
            self.segmenter,
            self.video[self.frame],
            box=clicks.xyxy,
            points=clicks.points,
            positive=clicks.positive,
            frame=self.frame,
        )
        if mask.any():
            self._put(*means, MaskPrompt.of(mask, **self._here()))
            self.message = guessing(self.segmenter, score, boxed=clicks.xyxy is not None) or self.message
            return
        self._put(*means)
        self.message = "These clicks give no mask: click on the object, or draw a box around it first."

    def _step_to(self, other: _Snapshot) -> None:
        changed = set(self._now.figures.items()) ^ set(other.figures.items())
        frames = {key[1] for key, _ in changed}
        if frames and self.frame not in frames:
            self.frame = min(frames)
        self._now = other
        self._save()

    def _one_step(self) -> AbstractContextManager[None]:
        return self._as_one()

    @contextmanager
    def _as_one(self) -> Iterator[None]:
        before, steps = self._now, self._undo
        try:
            yield
        finally:
            if self._now is not before:
                self._undo = [*steps[-UNDO_STEPS + 1 :], before]

    def _commit(self, **changes: Any) -> None:
        self._undo = [*self._undo[-UNDO_STEPS + 1 :], self._now]
        self._redo = []
        self._now = replace(self._now, **changes)
        self._save()

    def catch_up(self) -> bool:
        """Take up what another annotator wrote to the same file; whether there was anything."""
        if self._file is None:
            return False
        try:
            theirs = self._file.changed()
            if theirs is None:
                return False
            theirs = theirs.on(self.video).check(self.video)
        except VtlabError as error:
            self.message = self._news = f"{error} The file was kept as {self._file.keep().name}."
            return True
        figures: dict[Key, Prompt] = {(p.object_id, p.frame, p.kind): p for p in theirs}
        clicks = {
            k: p for k, p in self._now.figures.items() if k[2] == "click" and (k[0], k[1], "mask") in figures
        }
        self._undo = [*self._undo[-UNDO_STEPS + 1 :], self._now]
        self._now = _Snapshot(figures | clicks, dict(theirs.labels))
        return True

    def _save(self) -> None:
        if self._file is None:
            return
        try:
            self._file.write(self.prompts)
        except WriteError as error:
            self.message = (
                f"Autosave to {self._file.path} failed: {error}. Save with annotator.prompts.save(path)."
            )
