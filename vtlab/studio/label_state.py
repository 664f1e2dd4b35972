"""The frames that a verdict asks for, one after the other, without a browser: figures, labels, the way back.

It is blind: before there is an answer nothing in the view comes from a tracker, neither a box nor a name. What is shown
of the objects is the prompt, on frames that don't count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from vtlab.contracts import Segmenter
from vtlab.decision import Verdict
from vtlab.decision.answer import AGAIN
from vtlab.decision.question import Labels
from vtlab.decision.sheet import as_prompts, as_tracks, beginning
from vtlab.errors import InputError, WriteError
from vtlab.prompts import MaskPrompt, Prompt, Prompts
from vtlab.prompts.skeletons import Skeleton
from vtlab.show.intervals import chart, rows_of
from vtlab.studio.queue_state import QueueState, choice, data_url, footage_of, portrait

EVERY = 5
"""Labels after which a frame comes a second time, until `AGAIN` did."""
RECENT = 3
"""Frames labelled last, which aren't asked for a second time yet."""


@dataclass(frozen=True)
class Asked:
    """A frame to label; `again` for the second time."""

    clip: str
    frame: int
    again: bool = False


class LabelState(QueueState):
    """The frames that a verdict asks for. Each answer is a label of the verdict, which writes its file.

    Some frames come a second time, one after every fifth label and five in all, and look like any other.

    Args:
        verdict: What asks.
        segmenter: Turns clicks into a mask.

    Raises:
        InputError: The footage of a clip isn't known.
    """

    edits: ClassVar[frozenset[str]] = QueueState.edits | {
        "take",
        "absent",
        "unsure",
        "which",
        "new_object",
        "so_far",
    }

    def __init__(self, verdict: Verdict, *, segmenter: Segmenter | None = None):
        self.verdict = verdict
        first, *_ = verdict.clips.values()
        self._begin = {name: beginning(clip) for name, clip in verdict.clips.items()}
        self._footage = {name: footage_of(name, clip.video) for name, clip in verdict.clips.items()}
        self._portraits: dict[str, list[tuple[str, str]]] = {}
        self._many = verdict.measure.family == "mot"
        self._absent: set[int] = set()
        self._more = self._peeks = False
        self._asked: Asked | None = None
        self._history = [
            Asked(name, f, again)
            for again, source in ((False, verdict.labels), (True, verdict.second))
            for name, said in source.items()
            for f in sorted(said.looked | said.unsure)
        ]
        self._batch = [Asked(*place) for place in verdict.next()]
        super().__init__(self._footage[first.name], segmenter=segmenter, skeleton=self._template())
        self._ask()

    def _template(self) -> Skeleton | None:
        """Points in the order in which they were prompted, so that each can be said to be hidden."""
        if self.verdict.measure.family != "points":
            return None
        count = max(
            int(t.points.point_id.max(initial=-1)) + 1
            for c in self.verdict.clips.values()
            for t in c.tracks.values()
        )
        return Skeleton(tuple(f"point {i + 1}" for i in range(count)))

    @property
    def tools(self) -> list[str]:
        """Tools whose figures the verdict's measure can use."""
        masks = [t for t in super().tools if t in ("click", "polygon", "brush", "eraser")]
        return {"points": ["skeleton"], "vos": masks, "mot": ["box"]}.get(
            self.verdict.measure.family, ["box", *masks]
        )

    @property
    def _ids(self) -> list[int]:
        """The objects to label; none is given where all are asked for."""
        return [] if self._many else self.verdict.clips[self._clip].ids.tolist()

    @property
    def _clip(self) -> str:
        return self._asked.clip if self._asked is not None else next(iter(self.verdict.clips))

    @property
    def object_ids(self) -> list[int]:
        """The objects that the trackers follow; those drawn, where all are asked for."""
        return super().object_ids if self._many else self._ids

    @property
    def place(self) -> int:
        """The frame that is asked."""
        return self._asked.frame if self._asked is not None else self.frame

    def at(self, frame: int) -> list[Prompt]:
        """The labels drawn on the frame that is asked; elsewhere the prompts, as a reminder."""
        if self._asked is None or frame == self._asked.frame:
            return super().at(frame)
        return [p for p in self._begin[self._clip] if p.frame == frame]

    def view(self) -> dict[str, Any]:
        """As of any queue; prompts are marked as such."""
        shown = super().view() | {"fixed": not self._many, "undo": bool(self._undo or self._history)}
        if self.frame != self.place:
            shown["figures"] = [{**f, "dashed": True, "note": "as prompted"} for f in shown["figures"]]
        return shown

    def _object(self, object_id: int) -> dict[str, Any]:
        drawn = object_id in {p.object_id for p in self.prompts}
        note = "drawn" if drawn else "not there" if object_id in self._absent else "?"
        return super()._object(object_id) | {"note": note, "frames": [self.place]}

    def progress(self) -> tuple[int, int | None]:
        """Labels so far, second ones too, and at the next look; no number where every label is one."""
        v = self.verdict
        labels = sum(len(said.looked | said.unsure) for said in v.labels.values())
        second = sum(len(said.looked | said.unsure) for said in v.second.values())
        if v.question.guarantee:
            return labels + second, None
        left = len(self._left())
        looked = sum(len(said.looked) for said in v.labels.values()) + left
        return labels + second, labels + left + max(min(AGAIN, looked // EVERY), second)

    def question(self) -> dict[str, Any]:
        """Draw the objects on this frame, or say that they aren't there."""
        several = len(self._ids) > 1
        what = {
            "points": "its points, in their order",
            "vos": "its mask",
            "mot": "a box around every object",
        }.get(self.verdict.measure.family, "a box around it")
        ask = f"Draw {what}" + (", for each object" if several else "") + ", without a look at any tracker."
        if getattr(self.verdict, "path", None) is None:
            ask += " The labels are kept in memory only: a verdict with file= keeps them."
        gone = (
            "No object is there"
            if self._many
            else f"Object {self.selected} isn't there"
            if several
            else "It isn't there"
        )
        choices = [
            choice("Enter", "Done, next", "take", main=True),
            choice("x", gone, "absent", on=(0 if self._many else self.selected) in self._absent),
            choice("u", "Can't tell", "unsure"),
            choice("l", "Later", "later"),
            choice("j", "Back", "back"),
            choice("w", "Which object?", "which"),
            choice("q", "Answer so far", "so_far"),
        ]
        if not self._begin[self._clip]:
            choices = [c for c in choices if c["key"] != "w"]
        name = f"{self._clip}: " if len(self.verdict.clips) > 1 else ""
        return {"ask": name + ask, "pictures": self._pictures(), "choices": choices}

    def _pictures(self) -> list[tuple[str, str]]:
        """(address, caption) of each prompted object, cut out of its frame."""
        if self._clip not in self._portraits:
            video = self._footage[self._clip]
            self._portraits[self._clip] = [
                (
                    data_url(portrait(video[p.frame], p)),
                    f"object {p.object_id}" if len(self._ids) > 1 else "the object",
                )
                for p in self._begin[self._clip]
            ]
        return self._portraits[self._clip]

    def answer(self) -> dict[str, Any]:
        """The verdict by now: its sentence, the levels, and the way on."""
        v = self.verdict
        shown = chart(rows_of(v.table, notes=True), v.measure.text)
        ahead = v.next(more=True)
        choices = [choice("j", "Back", "back")]
        if ahead:
            few = "next label" if v.question.guarantee else f"label {len(ahead)} more"
            choices = [choice("Enter", few.capitalize(), "more", main=v.state == "label"), *choices]
        return {
            "sentence": v.sentence, "chart": shown, "notes": v.notes, "choices": choices,
        }  # fmt: skip

    def _left(self) -> list[Asked]:
        labels = self.verdict.labels
        return [a for a in self._batch if a.frame not in labels[a.clip].looked | labels[a.clip].unsure]

    def _again(self, left: list[Asked]) -> Asked | None:
        """A frame that is due to be asked for a second time."""
        v = self.verdict
        second = sum(len(said.looked | said.unsure) for said in v.second.values())
        due = min(AGAIN, sum(len(said.looked) for said in v.labels.values()) // EVERY) - second
        recent = {(a.clip, a.frame) for a in self._history[-RECENT:]} if left else set()
        places = [p for p in v.again() if p not in recent and p[1] not in v.second[p[0]].unsure]
        return Asked(*places[0], again=True) if due > 0 and places else None

    def _ask(self) -> None:
        """Open the next question, or show the answer where a round is over."""
        left = self._left()
        following = self._again(left) or next(iter(left), None)
        if (
            following is None
            and self.verdict.question.guarantee
            and (self._more or self.verdict.state == "label")
        ):
            self._batch = [Asked(*place) for place in self.verdict.next(more=self._more)]
            following = next(iter(self._batch), None)
        self.done, self._asked = following is None, following or self._asked
        if following is not None:
            self._show(following)

    def _show(self, asked: Asked) -> None:
        self._asked, self.done, self._peeks = asked, False, False
        self._absent = set()
        self._open(self._footage[asked.clip], asked.frame)
        self.selected = next(iter(self._ids), 1)
        source = (self.verdict.second if asked.again else self.verdict.labels)[asked.clip]
        self._fill(source, asked.frame)

    def _fill(self, said: Labels, frame: int) -> None:
        """Show what was said of a frame before."""
        if frame not in said.looked:
            return
        drawn = as_prompts(said.tracks.at(frame), None if self.skeleton is None else self.skeleton.names)
        self._now = type(self._now)({(p.object_id, p.frame, p.kind): p for p in drawn})
        self._absent = (
            {0} if self._many and not drawn else {i for i in self._ids if i not in drawn.object_ids}
        )

    def take(self) -> None:
        """Take what is drawn as the label of this frame, and go on."""
        if self._asked is None or self.done:
            return
        drawn = super().at(self._asked.frame)
        missing = [i for i in self._ids if i not in {p.object_id for p in drawn} | self._absent]
        if missing or not (drawn or self._absent):
            self.frame = self._asked.frame
            which = (
                f"object {missing[0]}"
                if len(self._ids) > 1
                else "the objects"
                if self._many
                else "the object"
            )
            raise InputError(f"Draw {which}, or say that it isn't there (x), or that you can't tell (u).")
        figures = self.prompts
        self._check(figures)
        if len(figures):
            self._add(labels=as_tracks(figures))
        else:
            self._add(absent=[self._asked.frame])

    def _check(self, figures: Prompts) -> None:
        """Every figure must be of the kind that the verdict compares."""
        if self.verdict.measure.family == "vos":
            bare = [p for p in figures if not isinstance(p, MaskPrompt)]
            if bare:
                raise InputError(
                    f"Masks are compared, but object {bare[0].object_id} has none: draw its outline."
                )
        if self.skeleton is not None:
            for p in figures:
                count = len(getattr(p, "points", ()))
                wanted = self._wanted(p.object_id)
                if count < wanted:
                    raise InputError(
                        f"Object {p.object_id} has {wanted} points, {count} are placed; right-click one that is hidden."
                    )

    def _wanted(self, object_id: int) -> int:
        tracks = self.verdict.clips[self._clip].tracks.values()
        points = [t.points.point_id[t.points.object_id == object_id] for t in tracks]
        return max(int(p.max(initial=-1)) + 1 for p in points)

    def _add(self, **said: Any) -> None:
        asked = self._asked
        if asked is None:
            return
        word = ""
        try:
            self.verdict.add(**said, clip=asked.clip, again=asked.again)
        except WriteError as error:  # the label is taken; what isn't written is tried again with the next one
            word = f"Not saved: {error}"
        if asked not in self._history:
            self._history.append(asked)
            self._answered()
        self._ask()
        self.message = word

    def absent(self) -> None:
        """Say that the selected object isn't on this frame, or take that back."""
        self.home()
        i = 0 if self._many else self.selected
        if i in self._absent:
            self._absent -= {i}
            return
        gone = {k for k in self._now.figures if self._many or k[0] == i}
        if gone:
            self._commit(figures={k: p for k, p in self._now.figures.items() if k not in gone})
        self._absent |= {i}
        self.message = "Said: it isn't there. Enter goes on."

    def unsure(self) -> None:
        """Say that nobody can tell where the object is on this frame; the answer widens by all that it could be."""
        if self._asked is not None and not self.done:
            self._add(unsure=[self._asked.frame])

    def later(self) -> None:
        """Put this frame behind the others of this round; it must be labelled before the next look."""
        if self._asked in self._batch:
            self._batch = [a for a in self._batch if a != self._asked] + [self._asked]
            self._ask()
        if self._asked is not None and len(self._left()) < 2:
            self.message = "No other frame is left in this round."

    def back(self) -> None:
        """Go back to the frame labelled before, to change what was said."""
        shown = None if self.done else self._asked
        at = self._history.index(shown) if shown in self._history else len(self._history)
        if at == 0:
            self.message = "There is no label before this one."
            return
        self._show(self._history[at - 1])

    def which(self) -> None:
        """Show the selected object on the frame where it was prompted; once more: back."""
        frames = [p.frame for p in self._begin[self._clip] if p.object_id == self.selected]
        self.go(frames[0] if frames and self.frame == self.place else self.place)

    def so_far(self) -> None:
        """Show what is known by now."""
        self.done = self._peeks = True

    def more(self) -> None:
        """Go on with frames that aren't labelled yet, also after a decision."""
        if self._peeks:  # what is drawn by now stays
            self.done = self._peeks = False
            return
        self._more = self._more or self.verdict.state != "label"
        self._batch = self._left() or [Asked(*place) for place in self.verdict.next(more=True)]
        self._ask()

    def select(self, object_id: int) -> None:
        """Choose the object that the next figures belong to."""
        if not self._many and int(object_id) not in self._ids:
            raise InputError(f"The trackers follow {', '.join(map(str, self._ids))}, not object {object_id}.")
        super().select(object_id)
