"""What a session shows, without a browser: key figures and predictions of a frame, and what the timeline tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Segmenter
from vtlab.errors import PromptError
from vtlab.prompts import (
    BoxPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    Prompts,
    SkeletonPrompt,
)
from vtlab.prompts.shapes import KINDS, figures_at
from vtlab.prompts.skeletons import Skeleton
from vtlab.registry import TRACKERS
from vtlab.session import Session, State
from vtlab.session.attributes import OCCLUDED
from vtlab.session.spans import Spans, frames_of, holds
from vtlab.studio.annotator_state import AnnotatorState, Key
from vtlab.studio.doubtful import Doubt, Review
from vtlab.tracks import SOURCES, Tracks


class SessionState(AnnotatorState):
    """A session's tracks, frame by frame, as `CorrectorState` has them edited.

    Args:
        session: What is shown. Its edits are its own, and so is its undo.
        segmenter: Turns clicks into a mask.
        labels: Labels to offer, besides those in use.
        skeleton: Template for skeletons; by default that of the session's.
        others: Tracker's name -> its tracks of the same objects: where they disagree is doubtful.
    """

    def __init__(
        self,
        session: Session,
        *,
        segmenter: Segmenter | None = None,
        labels: Any = (),
        skeleton: Skeleton | str | None = None,
        others: Mapping[str, Tracks] | None = None,
    ):
        super().__init__(session.video, segmenter=segmenter, labels=labels, skeleton=skeleton)
        self.session = session
        self._review = Review(session.video, others, self._looked)
        self._pending: dict[int, str] = {}
        self._runs: tuple[State | None, dict[int, list[list[Any]]]] = (None, {})
        if session.object_ids:
            self.selected = session.object_ids[0]
            self.frame = min(session.prompts.frames, default=0)
        skeletons = [p for p in session.prompts if isinstance(p, SkeletonPrompt)]
        if skeletons and self.skeleton is None:
            self.skeleton = Skeleton(skeletons[0].names, skeletons[0].edges)

    @property
    def prompts(self) -> Prompts:
        """The session's key figures."""
        return self.session.prompts

    @property
    def figures(self) -> Mapping[Key, Prompt]:
        """Key figures by (object id, frame, kind)."""
        return self.session.state.keys

    def _key_frames(self, object_id: int) -> list[int]:
        return self.session.key_frames(object_id)

    @property
    def tracks(self) -> Tracks:
        """The session's tracks."""
        return self.session.tracks

    @property
    def names(self) -> Mapping[int, str]:
        """Label of each object that has one."""
        return {**self._pending, **self.session.state.labels}

    @property
    def tools(self) -> list[str]:
        """Tools that make what the session's tracker can take."""
        takes = TRACKERS.card(self.session.tracker).takes
        found = ["box"] if BoxPrompt in takes else []
        if MaskPrompt in takes:
            found += [*(["click"] if self.segmenter is not None else []), "polygon", "brush", "eraser"]
        if PointPrompt in takes:
            found.append("points")
        if SkeletonPrompt in takes and self.skeleton is not None:
            found.append("skeleton")
        return found or ["box"]

    @property
    def object_ids(self) -> list[int]:
        """Ids of the session's objects and the selected one, ascending."""
        return sorted(self.made_ids | {self.selected})

    @property
    def made_ids(self) -> set[int]:
        """Ids of the session's objects, and of those that have a label only."""
        return {*self.session.object_ids, *self._pending}

    @property
    def doubts(self) -> list[Doubt]:
        """Doubtful places that nobody looked at yet, in the order of frames and objects."""
        return self._review.places(self.session)

    def at(self, frame: int) -> list[Prompt]:
        """Key figures on a frame, and predictions of the other objects as figures."""
        keys = [p for k, p in self.session.state.keys.items() if k[1] == frame]
        said = {p.object_id for p in keys}
        now, live = self.tracks.at(frame), self._live(frame)
        if live is not None:
            now = Tracks.concat([live, now.take(~np.isin(now.object_id, live.object_ids))], record=now.record)
        rows = [r for r in range(len(now)) if now.visible[r] and int(now.object_id[r]) not in said]
        made = (self._predicted(now, r, frame) for r in rows)
        return [*keys, *(p for p in made if p is not None)]

    def mask(self, object_id: int, frame: int) -> NDArray[np.bool_] | None:
        """Mask of an object on a frame (H, W), or None."""
        found = [p for p in self.at(frame) if isinstance(p, MaskPrompt) and p.object_id == object_id]
        return found[0].mask(self.video.height, self.video.width) if found else None

    def _masks(self, figures: list[Prompt]) -> list[tuple[Prompt, NDArray[np.bool_]]]:
        """Those of mask figures, and what the tracker made of boxes and clicks."""
        found, said = super()._masks(figures), self.session.state.keys
        own = {p.object_id for p, _ in found}
        made = self.tracks.masks_at(self.frame) if self.tracks.rle is not None else {}
        others = [
            p for p in figures if p.object_id not in own and self._key(p) in said and p.object_id in made
        ]
        return [*found, *((p, made[p.object_id]) for p in {p.object_id: p for p in others}.values())]

    def _work_view(self) -> dict[str, Any]:
        said = self.session.described(self.selected, self.frame)
        said.pop(OCCLUDED, None)
        return super()._work_view() | {"figure": said, "object": self.session.described(self.selected)}

    def _put(self, *prompts: Prompt) -> None:
        with self.session.one_step():
            for p in prompts:
                known = p.object_id in self.session.object_ids
                say = self.session.correct if known else self.session.add
                say(replace(p, label=self.names.get(p.object_id) or None))

    def _one_step(self) -> AbstractContextManager[None]:
        return self.session.one_step()

    def _looked(self) -> None:
        """Identities by the looks of objects are known."""

    def _live(self, frame: int) -> Tracks | None:
        """Rows of a frame that are being tracked and not in the session yet."""
        return None

    def _predicted(self, now: Tracks, row: int, frame: int) -> Prompt | None:
        """A row as a figure; None where there is nothing to draw."""
        own: dict[str, Any] = {"object_id": int(now.object_id[row]), "frame": frame}
        points = now.points.xy[now.points.object_id == own["object_id"]]
        rings = None if now.polygons is None else now.polygons[row]
        if rings is not None and len(rings) == 1:
            return MaskPrompt(polygon=tuple(map(tuple, rings[0].tolist())), **own)
        if len(points):
            return self._predicted_points(now, points, own)
        if now.rle is not None and now.rle[row] is not None:
            return MaskPrompt(now.rle[row], (self.video.height, self.video.width), **own)
        box = now.boxes[row]
        if not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
            return None
        x1, y1, x2, y2 = box.tolist()
        return BoxPrompt((x1, y1, x2, y2), **own)

    def _predicted_points(
        self, now: Tracks, points: NDArray[np.float64], own: dict[str, Any]
    ) -> Prompt | None:
        """Points as the figure that the object's key figures are: a polygon, a skeleton, an oriented box."""
        if not np.isfinite(points).all():
            return None
        keys = [p for p in self.session.prompts.of(own["object_id"]) if type(p) in KINDS]
        try:
            return figures_at(now, keys, own["frame"])[0]
        except (PromptError, IndexError):  # another number of points, or no such key figure
            return PointPrompt(tuple((float(x), float(y)) for x, y in points), **own)

    def _figure(self, p: Prompt) -> dict[str, Any]:
        key: Key = self._key(p)
        stale = key not in self.session.state.keys and self._stale(p.object_id)
        return {**super()._figure(p), "dashed": key not in self.session.state.keys, "stale": stale}

    def _drawn(self, p: Prompt, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self._key(p) in self.session.state.keys or not self._stale(p.object_id):
            return mask
        y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
        return mask & ((x + y) % 12 < 5)

    def _stale(self, object_id: int) -> bool:
        """Whether what is predicted of an object on this frame waits to be tracked again."""
        said = (object_id, self.frame) in self.session.state.said
        return not said and holds(self.session.state.stale.get(object_id, ()), self.frame)

    def _object(self, object_id: int) -> dict[str, Any]:
        said = self.session.described(object_id, self.frame)
        return {
            **super()._object(object_id),
            "occluded": bool(said.get(OCCLUDED)),
            "note": self._note(object_id),
            "runs": self._lanes().get(object_id, []),
            "doubts": self._review.marks(self.session, object_id),
        }

    def _lanes(self) -> dict[int, list[list[Any]]]:
        state = self.session.state
        if self._runs[0] is not state:
            self._runs = state, _runs(self.tracks, state.stale)
        return self._runs[1]

    def _note(self, object_id: int) -> str:
        """What the row of an object on this frame rests on."""
        gone = self.session.state.gone.get(object_id)
        if gone is not None and self.frame >= gone:
            return "gone"
        rows = self.session.tracks
        low, high = np.searchsorted(rows.frame, [self.frame, self.frame + 1])
        now = rows.take(low + np.flatnonzero(rows.object_id[low:high] == object_id))
        if not len(now):
            return "no row"
        if self._stale(object_id):
            return "stale"
        if (object_id, self.frame) in self.session.state.absent:
            return "absent"
        if holds(self.session.state.outside.get(object_id, ()), self.frame):
            return "outside"
        source = str(now.source[0])
        if not now.visible[0]:
            return "hidden"
        return source if source in ("manual", "interpolated") else f"{source} {now.score[0]:.2f}"


def _runs(tracks: Tracks, stale: Mapping[int, Spans]) -> dict[int, list[list[Any]]]:
    """Object id -> stretches of frames of one kind: [first, end, kind].

    The kind is the rows' source; "absent" where the object is not visible, "stale" where it waits to be tracked again.
    """
    order = np.argsort(tracks.object_id, kind="stable")  # rows are in the order of frames
    frames, ids = tracks.frame[order], tracks.object_id[order]
    names = (*SOURCES, "absent", "stale")
    kinds = np.full(len(order), names.index("absent"), np.int8)
    for number, name in enumerate(SOURCES):
        kinds[tracks.visible & (tracks.source == name)] = number
    kinds = kinds[order]
    for object_id, spans in stale.items():
        low, high = np.searchsorted(ids, [object_id, object_id + 1])
        mine = np.isin(frames[low:high], frames_of(spans)) & (kinds[low:high] != names.index("manual"))
        kinds[low:high][mine] = names.index("stale")
    if not len(order):
        return {}
    cuts = np.flatnonzero((np.diff(ids) != 0) | (np.diff(frames) != 1) | (kinds[1:] != kinds[:-1])) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(order)]])
    found: dict[int, list[list[Any]]] = {}
    for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
        found.setdefault(int(ids[a]), []).append([int(frames[a]), int(frames[b - 1]) + 1, names[kinds[a]]])
    return found
