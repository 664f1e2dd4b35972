"""What the corrector knows, without a browser: a session's tracks, corrections, and tracking in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Segmenter
from vtlab.contracts.parts import segment
from vtlab.errors import InputError, PromptError, VtlabError
from vtlab.prompts import (
    BoxPrompt,
    ClickPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    Prompts,
    SkeletonPrompt,
)
from vtlab.prompts.shapes import KINDS, figures_at
from vtlab.registry import TRACKERS
from vtlab.session import Session, State
from vtlab.session.spans import Spans, frames_of, holds
from vtlab.studio.annotator_state import AnnotatorState, Key, Skeleton
from vtlab.studio.autosave import Autosave
from vtlab.studio.doubtful import Doubt, Review
from vtlab.trackers.loop import Direction
from vtlab.tracks import Tracks
from vtlab.tracks.table import SOURCES

REPORT_SECONDS = 0.2
_WHILE_RUNNING = frozenset({"go", "select", "show", "stop", "doubt", "key_figure"})


def _nothing() -> None:
    pass


class CorrectorState(AnnotatorState):
    """A session's tracks, frame by frame: what a person draws becomes a key figure of the session.

    Args:
        session: What is corrected. All edits are the session's own, and so is their undo.
        segmenter: Turns clicks into a mask.
        labels: Labels to offer, besides those in use.
        path: File that `save` writes.
        autosave: Whether it follows every change, too.
        changed: Called, from another thread too, when something changes by itself.
    """

    edits: ClassVar[frozenset[str]] = (AnnotatorState.edits - {"duplicate"}) | {
        "absent",
        "gone",
        "swap",
        "split",
        "merge",
        "interpolate",
        "track",
        "stop",
        "save",
        "doubt",
        "key_figure",
        "looks_right",
    }

    def __init__(
        self,
        session: Session,
        *,
        segmenter: Segmenter | None = None,
        labels: Sequence[str] = (),
        path: Path | None = None,
        autosave: bool = False,
        changed: Callable[[], None] = _nothing,
    ):
        super().__init__(session.video, segmenter=segmenter, labels=labels)
        self.session, self.path, self.changed = session, path, changed
        self._autosave = Autosave(session, path, self._say) if autosave and path is not None else None
        self.progress = (0, 0)
        self._thread: threading.Thread | None = None
        self._working = False
        self._review = Review()
        self._clicks: dict[tuple[int, int], ClickPrompt] = {}
        self._pending: dict[int, str] = {}
        self._runs: tuple[State | None, dict[int, list[list[Any]]]] = (None, {})
        self._reported = 0.0
        if session.object_ids:
            self.selected = session.object_ids[0]
            self.frame = min(session.prompts.frames, default=0)
        skeletons = [p for p in session.prompts if isinstance(p, SkeletonPrompt)]
        if skeletons:
            self.skeleton = Skeleton(skeletons[0].names, skeletons[0].edges)

    # -- what there is ----------------------------------------------------------------------------------------

    @property
    def prompts(self) -> Prompts:
        """The session's key figures."""
        return self.session.prompts

    @property
    def tracks(self) -> Tracks:
        """The session's tracks."""
        return self.session.tracks

    @property
    def names(self) -> Mapping[int, str]:
        """Label of each object that has one."""
        return {**self._pending, **self.session.state.labels}

    @property
    def file(self) -> Path | None:
        """File that follows every change."""
        return None if self._autosave is None else self.path

    @property
    def tools(self) -> list[str]:
        """Tools that make what the session's tracker can take."""
        takes = TRACKERS.card(self.session.tracker).accepts
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
        return sorted({*self.session.object_ids, self.selected})

    @property
    def doubts(self) -> list[Doubt]:
        """Doubtful places that nobody looked at yet, in the order of frames and objects."""
        return self._review.places(self.session)

    @property
    def running(self) -> bool:
        """True while the session tracks in the background."""
        return self._working

    def at(self, frame: int) -> list[Prompt]:
        """Key figures on a frame, and predictions of the other objects as figures."""
        keys = [p for k, p in self.session.state.keys.items() if k[1] == frame]
        said = {p.object_id for p in keys}
        now = self.tracks.at(frame)
        rows = [r for r in range(len(now)) if now.visible[r] and int(now.object_id[r]) not in said]
        made = (self._predicted(now, r, frame) for r in rows)
        return [*keys, *(p for p in made if p is not None)]

    def mask(self, object_id: int, frame: int) -> NDArray[np.bool_] | None:
        """Mask of an object on a frame (H, W), or None."""
        found = [p for p in self.at(frame) if isinstance(p, MaskPrompt) and p.object_id == object_id]
        return found[0].mask(self.video.height, self.video.width) if found else None

    def view(self) -> dict[str, Any]:
        """What the browser needs to draw."""
        undo, redo = self.session.can_undo, self.session.can_redo
        done, total = self.progress
        tracking = {"running": self.running, "done": done, "total": total}
        left = len(self.doubts)
        return {**super().view(), "undo": undo, "redo": redo, "tracking": tracking, "doubts": left}

    # -- edits ------------------------------------------------------------------------------------------------

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit; while tracking runs only looking around and stopping."""
        if self.running and edit.get("do") not in _WHILE_RUNNING:
            self.message = "Tracking runs: stop it first, or wait for it."
            return
        super().act(edit)

    def label(self, object_id: int, text: str) -> None:
        """Name an object."""
        if object_id in self.session.object_ids:
            self.session.relabel(object_id, text.strip() or None)
        else:
            self._pending[object_id] = text.strip()

    def click(self, x: float, y: float, positive: bool = True) -> None:
        """Click on (or beside) the selected object; the mask that follows corrects it."""
        if self.segmenter is None:
            raise InputError("Clicks need a segmenter: open the corrector with segmenter='grabcut'.")
        old = self._clicks.get((self.selected, self.frame))
        if old and ((float(x), float(y)), bool(positive)) in zip(old.points, old.positive, strict=True):
            return  # said before
        clicks = ClickPrompt(
            (*(old.points if old else ()), (float(x), float(y))),
            (*(old.positive if old else ()), bool(positive)),
            **self._here(),
        )
        clicks.check(self.video)
        mask, _ = segment(
            self.segmenter,
            self.video[self.frame],
            points=clicks.points,
            positive=clicks.positive,
            frame=self.frame,
        )
        self._put(MaskPrompt.of(mask, **self._here()))
        self._clicks[(self.selected, self.frame)] = clicks

    def delete(self, object_id: int, kind: str | None = None, everywhere: bool = False) -> None:
        """Delete an object's key figures on this frame, or the object everywhere."""
        self._clicks.clear()
        if not everywhere:
            self.session.remove(object_id, self.frame)
            return
        if object_id in self.session.object_ids:
            self.session.remove(object_id)
        if object_id == self.selected and self.session.object_ids:
            self.selected = self.session.object_ids[0]

    def absent(self, object_id: int) -> None:
        """Say that the object can't be seen on this frame."""
        self.session.mark_absent(object_id, self.frame)

    def gone(self, object_id: int) -> None:
        """Say that the object no longer exists from this frame on."""
        self.session.mark_gone(object_id, self.frame)

    def swap(self, other: int) -> None:
        """Exchange the identities of the selected object and another one from this frame on."""
        self._clicks.clear()
        self.session.swap(self.selected, int(other), self.frame)
        self.message = f"Objects {self.selected} and {other} are exchanged from frame {self.frame} on."

    def split(self) -> None:
        """Make what the selected object is from this frame on an object of its own, and select it."""
        self._clicks.clear()
        old, self.selected = self.selected, self.session.split(self.selected, self.frame)
        self.message = f"From frame {self.frame} on, object {old} is object {self.selected}."

    def merge(self, other: int) -> None:
        """Join another object to the selected one, which keeps its id."""
        self._clicks.clear()
        self.session.merge(self.selected, int(other))
        self.message = f"Object {other} is now object {self.selected}."

    def undo(self) -> None:
        """Take back the session's last step."""
        self._clicks.clear()
        self.session.undo()
        self._select_known()

    def redo(self) -> None:
        """Carry out again what was taken back."""
        self._clicks.clear()
        self.session.redo()
        self._select_known()

    def _select_known(self) -> None:
        ids = self.session.object_ids
        if ids and self.selected not in ids:
            self.selected = ids[0]

    def save(self) -> None:
        """Write the session to its file."""
        if self.path is None:
            raise InputError("The corrector has no file to save to: open it with path=...")
        self.message = f"Saved to {self.session.save(self.path)}."

    def keep(self) -> None:
        """Save what changed, where that is asked for."""
        if self._autosave is not None:
            self._autosave.note()

    def _say(self, text: str) -> None:
        self.message = text

    def interpolate(self, everything: bool = False) -> None:
        """Fill the frames between the key figures of the selected object (or of all) by interpolation.

        Raises:
            InputError: The selected object has fewer than two key figures.
        """
        if not everything and len(self.session.key_frames(self.selected)) < 2:
            raise InputError(
                f"Object {self.selected} needs key figures on two frames to interpolate between."
            )
        self.session.interpolate(None if everything else [self.selected])

    # -- review -----------------------------------------------------------------------------------------------

    def doubt(self, step: int) -> None:
        """Show the next (1) or the previous (-1) doubtful place, and select its object."""
        here, places = (self.frame, self.selected), self.doubts
        if int(step) > 0:
            found = next((d for d in places if (d.frame, d.object_id) > here), None)
        else:
            found = next((d for d in reversed(places) if (d.frame, d.object_id) < here), None)
        if found is None:
            side = "after" if int(step) > 0 else "before"
            self.message = f"There is no doubtful place {side} this one; {len(places)} are left."
            return
        self.go(found.frame)
        self.selected = found.object_id
        self.message = f"Object {found.object_id}: {found.reason}. {len(places)} doubtful places are left."

    def key_figure(self, step: int) -> None:
        """Show the next (1) or the previous (-1) frame on which something is said of the selected object."""
        frames = self.session.key_frames(self.selected)
        there = (
            [f for f in frames if f > self.frame]
            if int(step) > 0
            else [f for f in frames if f < self.frame][::-1]
        )
        if not there:
            side = "after" if int(step) > 0 else "before"
            raise InputError(f"Object {self.selected} has no key figure {side} frame {self.frame}.")
        self.go(there[0])

    def looks_right(self) -> None:
        """Say that the selected object is right here: its doubtful places on this frame are seen; show the next one."""
        places = [d for d in self.doubts if d.object_id == self.selected and d.first <= self.frame < d.end]
        if not places:
            raise InputError(f"Nothing is doubtful of object {self.selected} on frame {self.frame}.")
        first, end = min(d.first for d in places), max(d.end for d in places)
        self.session.looks_right(self.selected, first, end)
        self.doubt(1)

    # -- tracking ---------------------------------------------------------------------------------------------

    def track(self, direction: Direction, everything: bool = False) -> None:
        """Track in the background: forward or backward from this frame, or the whole video both ways.

        Args:
            direction: "forward", "backward" or "both".
            everything: Track every object; else the selected one.
        """
        spans = {
            "forward": (self.frame, len(self.video)),
            "backward": (0, self.frame + 1),
            "both": (0, len(self.video)),
        }
        if direction not in spans:
            raise InputError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}.")
        ids = [i for i in self.session.object_ids if everything or i == self.selected]
        card = TRACKERS.card(self.session.tracker)
        if not ids and card.family not in ("mot", "multi"):  # those find objects by themselves
            raise InputError(f"Object {self.selected} has no key figure yet: draw it first.")
        self.progress = (0, 0)
        job = (*spans[direction], direction, ids)
        self._thread = threading.Thread(target=self._work, args=job, name="vtlab-corrector", daemon=True)
        self._working = True
        self._thread.start()

    def stop(self) -> None:
        """Stop tracking within one frame's time; what is done is kept."""
        self.session.stop()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until tracking has ended and what it gave is saved."""
        if (thread := self._thread) is not None:
            thread.join(seconds)

    def _work(self, start: int, stop: int, direction: Direction, object_ids: list[int]) -> None:
        word = "Tracking failed; what was done is kept."
        try:
            self.session.retrack(
                start, stop, direction=direction, object_ids=object_ids, progress=self._report
            )
            done, total = self.progress
            word = f"Tracked {done} frames." if done >= total else f"Stopped after {done} of {total} frames."
        except VtlabError as error:
            word = str(error)
        finally:
            self.message, self._working = word, False
            self.changed()

    def _report(self, done: int, total: int) -> None:
        self.progress = (done, total)
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self.changed()

    # -- how ---------------------------------------------------------------------------------------------------

    def _put(self, *prompts: Prompt) -> None:
        for p in prompts:
            known = p.object_id in self.session.object_ids
            say = self.session.correct if known else self.session.add
            say(replace(p, label=self.names.get(p.object_id) or None))

    def _predicted(self, now: Tracks, row: int, frame: int) -> Prompt | None:
        """A row as a figure; None where there is nothing to draw."""
        own: dict[str, Any] = {"object_id": int(now.object_id[row]), "frame": frame}
        points = now.points.xy[now.points.object_id == own["object_id"]]
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
        return {
            **super()._object(object_id),
            "frames": self.session.key_frames(object_id),
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
