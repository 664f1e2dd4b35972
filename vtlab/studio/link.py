"""The kernel's end of the line to a browser (link.js): each edit is carried out once, in order, where it was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from vtlab.prompts import BoxPrompt
from vtlab.studio.annotator_state import AnnotatorState

Edit = dict[str, Any]
VIEWS = 64
"""Browser views of which the numbers are remembered."""
REPEATABLE = frozenset({
    "box", "click", "polygon", "paint", "points", "add_point", "nodes", "add_node", "label", "absent", "gone", "delete",
})  # fmt: skip
"""Edits that change nothing when they are carried out a second time."""


class Link:
    """Numbers of the edits that browser views sent.

    A view numbers its edits and draws them before they are answered, so it also makes up the ids of new objects. Where
    an id is taken by then (by another view), the object gets the next free one, and later edits of the view that still
    speak of the old id are led to it.

    Attributes:
        answered: View -> number of its last edit that was carried out.
    """

    def __init__(self) -> None:
        self.answered: dict[str, int] = {}
        self._renamed: dict[str, dict[int, tuple[int, int]]] = {}

    def take(self, message: Mapping[str, Any], used: Collection[int]) -> Edit | None:
        """The edit of a message; None if it was carried out before, or one before it is missing.

        Args:
            message: {"link": view, "n": number, "first": its oldest without an answer, "seen": the last one answered
                when it was made, "edit": ...}.
            used: Ids of objects of which there is something.
        """
        view, n = str(message["link"]), int(message["n"])
        if n != self.answered.get(view, int(message.get("first", n)) - 1) + 1:
            return None
        return self._named(view, n, message, used)

    def beat(self, message: Mapping[str, Any]) -> Edit:
        """Answer to a view that asks whether anybody is there: what was carried out of what it sent before."""
        view = str(message["link"])
        return {
            "do": "beat",
            "client": view,
            "upto": message.get("upto", 0),
            "answered": self.answered.get(view, 0),
        }

    def take_over(
        self, view: str, edits: Sequence[Mapping[str, Any]], state: AnnotatorState
    ) -> Iterator[tuple[Edit, bool]]:
        """Edits without an answer that a closed view left behind, and whether each is to be carried out.

        Of a view that this kernel has never met nobody knows what an earlier kernel carried out, so only edits that
        can be repeated are.
        """
        known = view in self.answered
        for message in edits:
            n, what = int(message["n"]), dict(message["edit"])
            if known and n <= self.answered[view]:
                continue
            same = None if known else _same_box(what, state)
            if same is not None:
                self._names(view)[int(what["at"]["object_id"])] = same, n
                continue
            edit = self._named(view, n, message, state.made_ids)
            yield edit, known or edit.get("do") in REPEATABLE

    def _named(self, view: str, n: int, message: Mapping[str, Any], used: Collection[int]) -> Edit:
        self._remember(view, n)
        names, seen, edit = self._names(view), int(message.get("seen", 0)), message["edit"]
        if edit.get("fresh"):
            new, told, got = with_free_id(edit, used)
            if told != got:
                names[told] = got, n
            return new
        return _renamed(edit, {told: got for told, (got, since) in names.items() if seen < since})

    def _names(self, view: str) -> dict[int, tuple[int, int]]:
        """Id that a view made up -> the one that it got, and the number of the edit."""
        return self._renamed.setdefault(view, {})

    def _remember(self, view: str, n: int) -> None:
        self.answered.pop(view, None)
        self.answered[view] = n  # the newest last
        if len(self.answered) > VIEWS:
            oldest = next(iter(self.answered))
            del self.answered[oldest]
            self._renamed.pop(oldest, None)


def with_free_id(edit: Mapping[str, Any], used: Collection[int]) -> tuple[Edit, int, int]:
    """An edit that makes an object, with an id that is free; the id that it came with, and the one that it has."""
    told = int((edit.get("at") or edit)["object_id"])
    got = max(used) + 1 if told in used else told
    return _renamed({k: v for k, v in edit.items() if k != "fresh"}, {told: got}), told, got


def _renamed(edit: Mapping[str, Any], names: Mapping[int, int]) -> Edit:
    """The edit with other ids of objects."""
    new = {k: names.get(v, v) if k in ("object_id", "other") else v for k, v in edit.items()}
    return new | ({"at": _renamed(edit["at"], names)} if isinstance(edit.get("at"), Mapping) else {})


@contextmanager
def placed(state: AnnotatorState, edit: Mapping[str, Any]) -> Iterator[Edit]:
    """The edit without its place, while the state is there: on the frame, and with the object, that the person saw.

    Afterwards the state shows the frame that it showed, unless the edit itself went elsewhere.
    """
    rest = {k: v for k, v in edit.items() if k != "at"}
    if "at" not in edit:
        yield rest
        return
    at, here = edit["at"], state.frame
    state.go(at["frame"])
    there = state.frame
    try:
        if "object_id" in at:
            state.select(at["object_id"])
        yield rest
    finally:
        if state.frame == there:
            state.frame = here


def _same_box(edit: Mapping[str, Any], state: AnnotatorState) -> int | None:
    """Object that has the box of an edit that makes a new object, as an earlier kernel may have carried it out."""
    if edit.get("do") != "box" or not edit.get("fresh"):
        return None
    wanted = tuple(float(v) for v in edit["xyxy"])
    boxes = [p for p in state.at(int(edit["at"]["frame"])) if isinstance(p, BoxPrompt)]
    return next((p.object_id for p in boxes if p.xyxy == wanted), None)
