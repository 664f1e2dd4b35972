"""What the corrector knows, without a browser: a session's tracks, corrections, and tracking in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from vtlab.contracts import Segmenter
from vtlab.contracts.parts import segment
from vtlab.errors import InputError
from vtlab.prompts import (
    ClickPrompt,
    MaskPrompt,
)
from vtlab.prompts.skeletons import Skeleton
from vtlab.registry import TRACKERS
from vtlab.segmenters import guessing
from vtlab.session import Session, State
from vtlab.session.attributes import OCCLUDED
from vtlab.session.leading import Place, least_sure
from vtlab.session.spans import holds
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.studio.autosave import Autosave
from vtlab.studio.background import Background
from vtlab.studio.session_state import SessionState
from vtlab.trackers.loop import Direction
from vtlab.tracks import Tracks

_WHILE_RUNNING = frozenset({
    "go", "select", "new_object", "show", "stop", "doubt", "key_figure", "lock", "colour_by", "thumbnails", "follow",
    "lead",
})  # fmt: skip
_LOOKS = frozenset({"go", "doubt", "key_figure"})
_BESIDE = frozenset({
    "box", "click", "polygon", "paint", "points", "add_point", "nodes", "add_node", "label", "describe", "occluded", "save",
})  # fmt: skip
"""Edits that may be made while tracking runs besides: a figure or a name is kept, what is being found gives way to it."""


def _nothing() -> None:
    pass


class CorrectorState(SessionState):
    """A session's tracks, frame by frame: what a person draws becomes a key figure of the session.

    Args:
        session: What is corrected. All edits are the session's own, and so is their undo.
        segmenter: Turns clicks into a mask.
        labels: Labels to offer, besides those in use.
        skeleton: Template for skeletons; by default that of the session's.
        others: Tracker's name -> its tracks of the same objects: where they disagree is doubtful.
        path: File that `save` writes.
        autosave: Whether it follows every change, too.
        changed: Called, from another thread too, when something changes by itself.
    """

    edits: ClassVar[frozenset[str]] = AnnotatorState.edits | {
        "absent",
        "gone",
        "outside",
        "occluded",
        "describe",
        "follow",
        "lead",
        "track_frame",
        "swap",
        "split",
        "merge",
        "interpolate",
        "track",
        "stop",
        "save",
        "doubt",
        "looks_right",
    }
    guarded: ClassVar[frozenset[str]] = AnnotatorState.guarded | {
        "absent", "gone", "outside", "occluded", "describe", "swap", "split", "merge",
    }  # fmt: skip

    def __init__(
        self,
        session: Session,
        *,
        segmenter: Segmenter | None = None,
        labels: Any = (),
        skeleton: Skeleton | str | None = None,
        others: Mapping[str, Tracks] | None = None,
        path: Path | None = None,
        autosave: bool = False,
        changed: Callable[[], None] = _nothing,
    ):
        super().__init__(session, segmenter=segmenter, labels=labels, skeleton=skeleton, others=others)
        self.path, self.changed = path, changed
        self.following = self.leading = False
        self._hand_at: tuple[int, int] | None = (
            None  # frame and object on which a person is while it is tracked
        )
        self._led: tuple[int, Place] | None = None
        self._autosave = Autosave(session, path, self._say) if autosave and path is not None else None
        self._work = Background(session, self._ended, self._seen)
        self._clicks: dict[tuple[int, int], ClickPrompt] = {}
        self._due: dict[
            int, tuple[int, int]
        ] = {}  # object -> first and last frame of what was drawn and isn't tracked
        self._watched_from: int | None = None
        self._shown: State | None = None

    @property
    def file(self) -> Path | None:
        """File that follows every change."""
        return None if self._autosave is None else self.path

    @property
    def running(self) -> bool:
        """True while the session tracks in the background."""
        return self._work.running

    def view(self) -> dict[str, Any]:
        """What the browser needs to draw."""
        undo, redo = self.session.can_undo, self.session.can_redo
        done, total = self._work.progress
        tracking = {
            "running": self.running,
            "done": done,
            "total": total,
            "left": self._work.seconds_left,
            "follow": self.following,
            "both": self._work.both,
            "lead": self.leading,
            "led": self._is_led,
        }
        left = len(self.doubts)
        self._shown = self.session.state
        return {**super().view(), "undo": undo, "redo": redo, "tracking": tracking, "doubts": left}

    def catch_up(self) -> bool:
        """Whether the session changed since it was shown, by another widget on it or from a cell."""
        return self._shown is not self.session.state

    def act(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit; while tracking runs that a person began: only drawing, looking around and stopping."""
        name, before = edit.get("do"), self.session.state
        if name in _LOOKS:
            self._watched_from = None
        if self.running and name not in _WHILE_RUNNING:
            if not self._work.by_itself:
                self._act_beside(edit)
                return
            self._work.drop()
            before = self.session.state
        super().act(edit)
        if name in ("undo", "redo"):
            self._due.clear()
        elif name not in _WHILE_RUNNING:
            self._ahead(before)

    def _act_beside(self, edit: Mapping[str, Any]) -> None:
        """Carry out an edit while tracking runs that a person began, where that can't take anything from either."""
        if edit.get("do") not in _BESIDE:
            self.message = "Tracking runs: stop it first, or wait for it. Only drawing and naming go on."
            return
        before = self.session.state
        super().act(edit)
        if self.session.state is not before:
            self._watched_from = None  # the picture stays where the person is at work
        if self.session.state.keys != before.keys and edit["do"] != "label" and not self.message:
            self.message = "Kept. The tracking that runs doesn't know of it: track again afterwards."

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
        mask, score = segment(
            self.segmenter,
            self.video[self.frame],
            points=clicks.points,
            positive=clicks.positive,
            frame=self.frame,
        )
        self._put(MaskPrompt.of(mask, **self._here()))
        self._clicks[(self.selected, self.frame)] = clicks
        self.message = guessing(self.segmenter, score, boxed=False)

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
        """Say that the object can't be seen on this frame; where the corrector led there, it leads on."""
        led = self._is_led and int(object_id) == self.selected
        self.session.mark_absent(object_id, self.frame)
        if led:
            self._lead()

    def gone(self, object_id: int) -> None:
        """Say that the object no longer exists from this frame on."""
        self.session.mark_gone(object_id, self.frame)

    def outside(self, object_id: int) -> None:
        """Say that the object has left the view from this frame on, until its next figure; or take that back."""
        if holds(self.session.state.outside.get(object_id, ()), self.frame):
            self.session.remove(object_id, self.frame)
        else:
            self.session.mark_outside(object_id, self.frame)

    def occluded(self, object_id: int) -> None:
        """Say that the object is partly hidden from this frame on, or no longer."""
        was = bool(self.session.described(object_id, self.frame).get(OCCLUDED))
        self.session.describe(object_id, self.frame, occluded=not was)

    def describe(self, object_id: int, name: str, value: Any, of_object: bool = False) -> None:
        """Give an attribute to an object, or from this frame on to its figures; an empty one is taken away."""
        if isinstance(value, str):
            value = value.strip() or None
        self.session.describe(object_id, None if of_object else self.frame, **{str(name): value})

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

    def looks_right(self) -> None:
        """Say that the selected object is right here: its doubtful places on this frame are seen; show the next one."""
        if self._led is not None and self._is_led:
            self.session.looks_right(self.selected, self._led[1].first, self._led[1].end)
            self._lead()
            return
        places = [d for d in self.doubts if d.object_id == self.selected and d.first <= self.frame < d.end]
        if not places:
            raise InputError(f"Nothing is doubtful of object {self.selected} on frame {self.frame}.")
        first, end = min(d.first for d in places), max(d.end for d in places)
        self.session.looks_right(self.selected, first, end)
        self.doubt(1)

    def track(self, direction: Direction, everything: bool = False) -> None:
        """Track in the background: forward or backward from this frame, or all of it both ways (`Session.retrack`).

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
        ids = [i for i in ids if i not in self.locked]
        if self.selected in self.locked and not everything:
            raise InputError(self._refused("box", {}))
        card = TRACKERS.card(self.session.tracker)
        if not ids and card.family not in ("mot", "multi"):  # those find objects by themselves
            raise InputError(f"Object {self.selected} has no key figure yet: draw it first.")
        self._begin(*spans[direction], direction=direction, object_ids=ids)

    def track_frame(self, direction: Direction = "forward") -> None:
        """Take all that is shown on this frame as right, and track it from here; locked objects stay as they are."""
        shown = [p for p in self.at(self.frame) if p.object_id not in self.locked | self.hidden]
        if not shown:
            raise InputError(f"Nothing is on frame {self.frame} that could be tracked: draw it first.")
        keys = self.session.state.keys
        with self.session.one_step():
            self._put(*(p for p in shown if self._key(p) not in keys))
        span = (0, self.frame + 1) if direction == "backward" else (self.frame, len(self.video))
        self._begin(*span, direction=direction, object_ids=sorted({p.object_id for p in shown}))

    def follow(self, on: bool) -> None:
        """Whether an object is tracked as soon as a figure of it is drawn or changed: ahead, and back to the one before."""
        self.following = bool(on)
        self.leading = self.leading and self.following
        self._due.clear()

    def lead(self, on: bool) -> None:
        """Whether, once what was drawn is tracked, the place follows that is the least sure of the object; tracks as one
        draws, too."""
        self.leading = bool(on)
        if self.leading:
            self.following = True
            self._lead()

    @property
    def _is_led(self) -> bool:
        """Whether what is shown is where the corrector led to: a box drawn there is of that object."""
        return self._led is not None and (self.selected, self.frame) == (self._led[0], self._led[1].frame)

    def _lead(self) -> None:
        """Show where to draw the selected object next, or say right."""
        i, self._led = self.selected, None
        figures = self.session.key_frames(i) if i in self.session.object_ids else []
        if not figures:
            return
        place = least_sure(self.tracks.of_object(i), figures, self.session.state.checked.get(i, ()))
        if place is None:
            self.message = f"Nothing of object {i} is left to look at between its figures."
            return
        self._led = i, place
        self.go(place.frame)
        self.message = (
            f"Frame {place.frame} is the least sure of object {i}: draw it (a: not there, y: right)."
        )

    def stop(self) -> None:
        """Stop tracking within one frame's time; what is done is kept."""
        self._due.clear()
        self.session.stop()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until tracking has ended and what it gave is saved."""
        self._work.wait(seconds)
        self._review.wait(seconds)

    def _begin(self, start: int, stop: int, **how: Any) -> None:
        self._watched_from = self.frame
        self._work.start(start, stop, **how)

    def _ahead(self, before: State) -> None:
        """Track around what was drawn or changed since `before`, and what an edit kept from being finished."""
        if self.following and self.session.state is not before:
            now = self.session.state.keys
            changed = {k for k in {*now, *before.keys} if now.get(k) != before.keys.get(k)}
            for i, f, _ in changed:
                first, last = self._due.get(i, (f, f))
                self._due[i] = min(f, first), max(f, last)
        due = {i: span for i, span in self._due.items() if any(k[0] == i for k in self.session.state.keys)}
        if due and not self._work.running:
            spans = {i: self._stretch(i, *due[i]) for i in sorted(due)}
            start, stop = min(a for a, _ in spans.values()), max(b for _, b in spans.values())
            self._hand_at = self.frame, self.selected
            self._work.start(start, stop, by_itself=True, direction="both", object_ids=spans)

    def _stretch(self, object_id: int, first: int, last: int) -> tuple[int, int]:
        """Frames to track again of an object: back to its figure before `first`, on to the one after `last` or the end.

        What was said to look right before it stays.
        """
        figures = {f for i, f, _ in self.session.state.keys if i == object_id}
        before = max((f + 1 for f in figures if f < first), default=first)
        checked = (min(b, first) for a, b in self.session.state.checked.get(object_id, ()) if a < first)
        after = min((f for f in figures if f > last), default=len(self.video))
        return max(before, *checked, before), after

    def _looked(self) -> None:
        self.changed()

    def _live(self, frame: int) -> Tracks | None:
        return self._work.rows(frame)

    def _ended(self, word: str) -> None:
        self.message = word
        if self._work.finished:
            self._due.clear()
            if self.leading and self._work.by_itself and self._hand_at == (self.frame, self.selected):
                self._lead()
            if self._watched_from is not None:  # back to where it was started
                self.frame = self._watched_from
        self._watched_from = None

    def _seen(self) -> None:
        """Show the frame that is being tracked, as long as the person doesn't look elsewhere."""
        seen = self._work.seen
        if self._work.running and seen is not None and self._watched_from is not None:
            self.frame = seen[0]
        self.changed()

    def propagate(self, object_id: int, frame: int) -> None:
        """Copy an object's figures from this frame to another one; in between they lie on the way, too."""
        low, high = sorted((self.frame, int(frame)))
        with self.session.one_step():
            super().propagate(object_id, frame)
            self.session.interpolate([object_id], low, high + 1)

    def _copied_to(self, start: int, end: int, step: int) -> Iterator[int]:
        yield from (start, end)  # a key figure at either end is enough
