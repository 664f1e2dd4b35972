"""What fits whom: prompts from what callers give, the ones that a tracker takes, and those it can be helped to.

A tracker is told by what its card declares (`_Taker`); nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vtlab.errors import PromptError
from vtlab.prompts.kinds import (
    TEXT_REMEDY,
    BoxPrompt,
    ClickPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    SkeletonPrompt,
    TextPrompt,
)
from vtlab.prompts.sets import Prompts
from vtlab.tracks import Tracks
from vtlab.video import Video


class _Taker(Protocol):
    """What is asked of a tracker's card: name, family, the kinds of prompt it accepts or may be given, what it emits."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def accepts(self) -> frozenset[type[Prompt]]: ...
    @property
    def optional(self) -> frozenset[type[Prompt]]: ...
    @property
    def emits(self) -> frozenset[Any]: ...


def as_prompts(prompts: Any) -> Prompts:
    """Prompts from what callers give: a set, one prompt, an iterable of prompts, a path, or None."""
    if prompts is None:
        return Prompts()
    if isinstance(prompts, Prompts):
        return prompts
    if isinstance(prompts, (str, Path)):
        return Prompts.load(prompts)
    if isinstance(prompts, (Prompt, Iterable)):
        return Prompts(prompts)
    raise PromptError(
        f"Expected prompts (vtlab.Prompts, a prompt, a list of them or a file), got {prompts!r}."
    )


def check_prompts(card: _Taker, prompts: Prompts) -> None:
    """Raise `PromptError` if a tracker can't take these prompts; nothing is loaded for this."""
    wrong = sorted(k.__name__ for k in prompts.kinds - card.accepts - card.optional)
    if wrong:
        raise PromptError(
            f"{card.name!r} can't take {', '.join(wrong)}: it takes {_taken(card)}. Give other prompts, or choose a "
            "tracker that takes these (vtlab.list_trackers, vtlab.tracker_card)."
        )
    if card.accepts and not prompts and card.family != "multi":
        raise PromptError(f"{card.name!r} needs at least one prompt; it takes {_taken(card)}.")


def figures_taken(card: _Taker) -> frozenset[type[Prompt]]:
    """The kinds of figure on a frame that a tracker takes; none for one that finds objects by itself or by text."""
    return card.accepts - {TextPrompt}


def check_figures(prompts: Prompts, who: str) -> None:
    """Raise `PromptError` if one of the prompts is a text, which is no figure on a frame; `who` can't take it."""
    for p in prompts:
        if isinstance(p, TextPrompt):
            raise PromptError(f"{who} can't take TextPrompt ({p.text!r}): it works on figures. {TEXT_REMEDY}")


def _taken(card: _Taker) -> str:
    optional = "".join(f", {k.__name__} at will" for k in sorted(card.optional, key=lambda k: k.__name__))
    return (", ".join(sorted(k.__name__ for k in card.accepts)) or "no prompts at all") + optional


def fitting_prompts(card: _Taker, prompts: Prompts, video: Video) -> tuple[Prompts, str]:
    """Choose for each object the prompts that a tracker takes; a mask or clicks with a box become a box at need.

    Returns:
        The prompts, and a note that says what was converted ("" if nothing).

    Raises:
        PromptError: An object has no prompt that the tracker takes, nor one that can be converted.
    """
    if not card.accepts:
        return Prompts((p for p in prompts if type(p) in card.optional), source=prompts.source), ""
    chosen: list[Prompt] = []
    converted: list[Prompt] = []
    for object_id in prompts.object_ids:
        mine = prompts.of(object_id)
        fits = [p for p in mine if type(p) in card.accepts]
        if not fits and BoxPrompt in card.accepts:
            boxed = [p for p in mine if isinstance(p, MaskPrompt) or (isinstance(p, ClickPrompt) and p.xyxy)]
            converted += boxed
            fits = [_boxed(p, video) for p in boxed]
        if not fits:
            raise PromptError(
                f"{card.name!r} takes {_taken(card)}; object {object_id} has only "
                f"{', '.join(sorted({p.kind for p in mine}))} prompts. Give the object a prompt of that kind as well."
            )
        chosen += _one_kind(fits, card)
    if not chosen:
        raise PromptError(f"{card.name!r} needs prompts, and none were given. Pass prompts=...")
    note = f"Box of the {converted[0].kind} used for {len(converted)} prompt(s)." if converted else ""
    return Prompts(chosen, source=prompts.source), note


def _boxed(prompt: Prompt, video: Video) -> BoxPrompt:
    x1, y1, x2, y2 = prompt.box(video.height, video.width).tolist()
    return BoxPrompt((x1, y1, x2, y2), object_id=prompt.object_id, frame=prompt.frame, label=prompt.label)


def _one_kind(prompts: list[Prompt], card: _Taker) -> list[Prompt]:
    """Of several prompts on one frame keep the kind that a tracker is made for: masks before boxes, points before both."""
    if "points" in card.emits:
        order: list[type[Prompt]] = [SkeletonPrompt, PointPrompt, BoxPrompt]
    elif "masks" in card.emits:
        order = [MaskPrompt, ClickPrompt, BoxPrompt]
    else:
        order = [BoxPrompt, MaskPrompt, ClickPrompt]
    best: dict[int, Prompt] = {}
    for p in sorted(prompts, key=lambda p: order.index(type(p)) if type(p) in order else len(order)):
        best.setdefault(p.frame, p)
    return [best[frame] for frame in sorted(best)]


def prompts_from(tracks: Tracks, frame: int, card: _Taker) -> Prompts:
    """Make prompts of the kind that a tracker takes from what was tracked on one frame; hidden objects are left out."""
    now = tracks.at(frame).seen()
    found: list[Prompt] = []
    masks = now.masks_at(frame) if MaskPrompt in card.accepts else {}
    for i, object_id in enumerate(now.object_id.tolist()):
        if PointPrompt in card.accepts and len(now.points):
            mine = now.points.take(now.points.object_id == object_id)
            if np.isfinite(mine.xy).all() and len(mine):
                found.append(PointPrompt(mine.xy, object_id=object_id, frame=frame))  # type: ignore[arg-type]
        elif object_id in masks and masks[object_id].any():
            found.append(MaskPrompt.of(masks[object_id], object_id=object_id, frame=frame))
        elif BoxPrompt in card.accepts and np.isfinite(now.boxes[i]).all():
            x1, y1, x2, y2 = now.boxes[i]
            if x2 > x1 and y2 > y1:
                found.append(BoxPrompt((x1, y1, x2, y2), object_id=object_id, frame=frame))
    return Prompts(found)
