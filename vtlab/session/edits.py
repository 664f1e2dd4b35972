"""What a person says of a video's objects, as steps of a history: figures, absences, identities, attributes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vtlab.errors import InputError
from vtlab.prompts import Prompt, Prompts
from vtlab.prompts.fit import as_prompts, check_figures, check_prompts, figures_taken
from vtlab.registry import TRACKERS
from vtlab.session import attributes
from vtlab.session.history import History, alone
from vtlab.session.spans import cut, holds, joined, until
from vtlab.session.state import Renaming, State, without
from vtlab.tracks import Tracks
from vtlab.video import Video


class Edits(History):
    """A history of what is said of a video; `Session` adds what a tracker makes of it, and its file.

    Args:
        video: The video.
        tracker: Tracker that the figures must fit.
    """

    def __init__(self, video: Video, tracker: Any):
        self.video, self.tracker = video, tracker
        super().__init__(State(predicted=Tracks.empty(size=(video.height, video.width))))

    @property
    def object_ids(self) -> list[int]:
        """Ids of all objects, ascending."""
        return self._state.object_ids

    def key_frames(self, object_id: int) -> list[int]:
        """Frames on which a person said something of the object, ascending."""
        return self._state.key_frames(object_id)

    def add(self, prompts: Any) -> None:
        """Add key figures: of new objects, or corrections of known ones (see `correct`).

        Raises:
            PromptError: A prompt that doesn't fit the video, or that the tracker can't take.
        """
        self._say(as_prompts(prompts))

    @alone
    def _say(self, given: Prompts, *, instead: bool = False) -> None:
        """Take in key figures; `instead` of the boxes, clicks and masks of the same objects on the same frames."""
        given = given.on(self.video).check(self.video)
        check_figures(given, "A session")
        card = TRACKERS.card(self.tracker)
        if figures_taken(
            card
        ):  # one that finds objects by itself takes no figures: they stand beside what it found
            check_prompts(card, given)
        keys, absent = dict(self._state.keys), set(self._state.absent)
        for p in given:
            if instead and p.kind in ("box", "click", "mask"):
                for kind in ("box", "click", "mask"):
                    keys.pop((p.object_id, p.frame, kind), None)
            keys[(p.object_id, p.frame, p.kind)] = p
            absent.discard((p.object_id, p.frame))
        Prompts(keys.values())  # two labels of one object are refused here
        said, outside = self._state.said, dict(self._state.outside)
        for p in given:  # it is back
            outside[p.object_id] = until(outside.get(p.object_id, ()), p.frame)
        state = replace(self._state, keys=keys, absent=frozenset(absent))
        for p in given:
            known = (p.object_id, p.frame) in said
            state = replace(state, stale=state.doubted(p.object_id, p.frame, known=known))
        outside = {i: spans for i, spans in outside.items() if spans}
        self._commit(keys=keys, absent=state.absent, stale=state.stale, outside=outside)

    def correct(self, prompt: Prompt) -> None:
        """Say where a known object really is on a frame; a box, clicks or a mask replace one another.

        Raises:
            InputError: The object is unknown: `add` it.
        """
        said = Prompts(prompt)
        self._known(prompt.object_id)
        self._say(said, instead=True)

    @alone
    def remove(self, object_id: int, frame: int | None = None) -> None:
        """Remove an object, or what a person said of it on one frame (the predictions that rest on that are stale)."""
        self._known(object_id)
        s = self._state
        if frame is None:
            self._commit(
                keys={k: p for k, p in s.keys.items() if k[0] != object_id},
                absent=frozenset(a for a in s.absent if a[0] != object_id),
                gone={i: f for i, f in s.gone.items() if i != object_id},
                stale={i: spans for i, spans in s.stale.items() if i != object_id},
                checked={i: spans for i, spans in s.checked.items() if i != object_id},
                outside={i: spans for i, spans in s.outside.items() if i != object_id},
                attributes={i: told for i, told in s.attributes.items() if i != object_id},
                about={i: told for i, told in s.about.items() if i != object_id},
                predicted=s.predicted.take(s.predicted.object_id != object_id),
            )
            return
        keys = {k: p for k, p in s.keys.items() if k[:2] != (object_id, frame)}
        absent = frozenset(s.absent - {(object_id, frame)})
        if holds(s.outside.get(object_id, ()), frame):
            self._commit(outside={**s.outside, object_id: until(s.outside[object_id], frame)})
            return
        if len(keys) == len(s.keys) and absent == s.absent:
            raise InputError(
                f"Object {object_id} has no key figure on frame {frame}; it has them on {self.key_frames(object_id)}."
            )
        left = replace(s, keys=keys, absent=absent)
        self._commit(keys=keys, absent=absent, stale=left.doubted(object_id, frame, known=True))

    @alone
    def mark_absent(self, object_id: int, frame: int) -> None:
        """Say that the object can't be seen on a frame; its key figures there are replaced by that word."""
        self._known(object_id)
        self._frame(frame)
        s = self._state
        if holds(s.outside.get(object_id, ()), frame):
            return  # it is said already
        if frame >= s.gone.get(object_id, len(self.video)):
            raise InputError(
                f"Object {object_id} is gone from frame {s.gone[object_id]} on: it can't be absent at {frame}."
            )
        keys = {k: p for k, p in s.keys.items() if k[:2] != (object_id, frame)}
        self._commit(
            keys=keys,
            absent=s.absent | {(object_id, frame)},
            predicted=without(s.predicted, object_id, frame, frame + 1),
        )

    @alone
    def mark_gone(self, object_id: int, frame: int) -> None:
        """Say that the object no longer exists from a frame on; predictions from there on are dropped.

        Raises:
            InputError: The object has a key figure on or after that frame: remove it first.
        """
        self._known(object_id)
        self._frame(frame)
        late = [f for f in self.key_frames(object_id) if f >= frame]
        if late:
            raise InputError(
                f"Object {object_id} has key figures on {late}: remove them before it is gone at {frame}."
            )
        s = self._state
        self._commit(gone={**s.gone, object_id: frame}, predicted=without(s.predicted, object_id, frame))

    @alone
    def mark_outside(self, object_id: int, frame: int) -> None:
        """Say that the object has left the view from a frame on, until its next figure or the end.

        Its rows there are not visible and `outside`; a figure drawn there later says that it is back. What was said of it
        on this frame is replaced, and predictions there are dropped.
        """
        self._known(object_id)
        self._frame(frame)
        s = self._state
        end = min((f for f in self.key_frames(object_id) if f > frame), default=len(self.video))
        end = min(end, s.gone.get(object_id, end))
        if end <= frame:
            raise InputError(f"Object {object_id} is gone from frame {end} on: it can't leave at {frame}.")
        self._commit(
            keys={k: p for k, p in s.keys.items() if k[:2] != (object_id, frame)},
            absent=frozenset(s.absent - {(object_id, frame)}),
            outside={
                **s.outside,
                object_id: joined(s.outside.get(object_id, ()), np.arange(frame, end)),
            },
            stale={
                i: left
                for i in s.stale
                if (left := cut(s.stale[i], *((frame, end) if i == object_id else (0, 0))))
            },
            predicted=without(s.predicted, object_id, frame, end),
        )

    @alone
    def describe(self, object_id: int, frame: int | None = None, **values: Any) -> None:
        """Give attributes to an object, or from a frame on to its figures.

        Args:
            object_id: Of whom.
            frame: First frame of which it is said, until the next frame on which the same is said; None: of the object.
            values: Attributes by name, JSON values; None takes one away. `occluded` (True, False) is a column of its own.

        Raises:
            InputError: An unknown object or frame, or a value that JSON can't hold.
        """
        self._known(object_id)
        values = attributes.checked(values, of_object=frame is None)
        s = self._state
        if frame is None:
            about = {**s.about.get(object_id, {}), **values}
            about = {name: value for name, value in about.items() if value is not None}
            self._commit(about={**s.about, object_id: about})
            return
        self._frame(frame)
        told = attributes.from_frame(s.attributes.get(object_id, {}), frame, values)
        self._commit(attributes={**s.attributes, object_id: told})

    def described(self, object_id: int, frame: int | None = None) -> dict[str, Any]:
        """Attributes of an object, or those said of its figure on a frame."""
        if frame is None:
            return dict(self._state.about.get(object_id, {}))
        return attributes.said(self._state.attributes.get(object_id, {}), frame)

    @alone
    def relabel(self, object_id: int, label: str | None) -> None:
        """Name an object, everywhere; None takes its name away."""
        self._known(object_id)
        s = self._state
        names = s.predicted.label.copy()
        names[s.predicted.object_id == object_id] = label
        self._commit(
            keys={k: replace(p, label=label) if k[0] == object_id else p for k, p in s.keys.items()},
            predicted=s.predicted.replace(label=names),
        )

    @alone
    def looks_right(self, object_id: int, start: int, stop: int) -> None:
        """Say that what is predicted on frames start <= frame < stop is right: reviewing passes over it from now on."""
        self._known(object_id)
        self._frame(start)
        spans = joined(self._state.checked.get(object_id, ()), np.arange(start, max(stop, start + 1)))
        self._commit(checked={**self._state.checked, object_id: spans})

    @alone
    def swap(self, first: int, second: int, frame: int) -> None:
        """Exchange two objects' identities from a frame on (an identity switch mended by hand).

        Raises:
            InputError: An unknown object or frame, or twice the same object.
        """
        self._two(first, second)
        self._frame(frame)
        self._set(self._state.renamed(Renaming({first: second, second: first}, frame)))

    @alone
    def split(self, object_id: int, frame: int) -> int:
        """Make what follows from a frame on an object of its own, with the same label; return the new id.

        Raises:
            InputError: An unknown object or frame, or one of the two parts would be empty.
        """
        self._known(object_id)
        self._frame(frame)
        mine = [*self.key_frames(object_id), *self._state.predicted.of_object(object_id).frame.tolist()]
        if not min(mine) < frame <= max(mine):
            raise InputError(
                f"Object {object_id} spans frames {min(mine)} to {max(mine)}: splitting it at {frame} leaves one "
                "part empty. Choose a frame after its first one."
            )
        new = max([*self.object_ids, 0]) + 1
        self._set(self._state.renamed(Renaming({object_id: new}, frame)))
        return new

    @alone
    def merge(self, keep: int, other: int) -> None:
        """Join two objects under the id `keep`; where both have a prediction, that of `keep` stays.

        Raises:
            InputError: An unknown object, twice the same, or both have key figures on one frame.
        """
        self._two(keep, other)
        both = sorted(set(self.key_frames(keep)) & set(self.key_frames(other)))
        if both:
            raise InputError(
                f"Objects {keep} and {other} both have key figures on frames {both}: remove one of them there first."
            )
        s = self._state
        frame, ids = s.predicted.frame, s.predicted.object_id
        said = np.isin(frame, self.key_frames(other))  # there the other one's rows are what its figures gave
        drop = (ids == keep) & said
        drop |= (ids == other) & ~said & np.isin(frame, frame[ids == keep])
        drop |= (ids == other) & np.isin(frame, self.key_frames(keep))
        one = replace(s, predicted=s.predicted.take(~drop))
        self._set(one.renamed(Renaming({other: keep})))

    def _known(self, object_id: int) -> None:
        if not isinstance(object_id, (int, np.integer)) or object_id not in self.object_ids:
            raise InputError(f"There is no object {object_id}; there are {self.object_ids or 'none'}.")

    def _two(self, first: int, second: int) -> None:
        self._known(first)
        self._known(second)
        if first == second:
            raise InputError(f"Two different objects are needed, got {first} twice.")

    def _frame(self, frame: int) -> None:
        if not isinstance(frame, (int, np.integer)) or not 0 <= frame < len(self.video):
            raise InputError(f"There is no frame {frame}: the video has frames 0 to {len(self.video) - 1}.")
