"""Which prompts a tracker is given: of each object those that it takes, converted where it takes none."""

from __future__ import annotations

import numpy as np

from vtlab.contracts import Card
from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.tracks import Tracks
from vtlab.video import Video


def fitting_prompts(card: Card, prompts: Prompts, video: Video) -> tuple[Prompts, str]:
    """Choose for each object the prompts that a tracker takes; a mask or clicks with a box become a box at need.

    Returns:
        The prompts, and a note that says what was converted ("" if nothing).

    Raises:
        PromptError: An object has no prompt that the tracker takes, nor one that can be converted.
    """
    if not card.accepts:
        return Prompts(), ""
    chosen: list[Prompt] = []
    converted: list[Prompt] = []
    for object_id in prompts.object_ids:
        mine = prompts.of(object_id)
        fits = [p for p in mine if type(p) in card.accepts]
        if not fits and BoxPrompt in card.accepts:
            converted += [
                p for p in mine if isinstance(p, MaskPrompt) or (isinstance(p, ClickPrompt) and p.xyxy)
            ]
            fits = [
                BoxPrompt(
                    tuple(p.box(video.height, video.width)),
                    object_id=p.object_id,
                    frame=p.frame,
                    label=p.label,
                )
                for p in mine
                if p in converted
            ]
        if not fits:
            takes = ", ".join(sorted(k.__name__ for k in card.accepts))
            raise PromptError(
                f"{card.name!r} takes {takes}; object {object_id} has only {', '.join(sorted({p.kind for p in mine}))} "
                "prompts. Give the object a prompt of that kind as well."
            )
        chosen += _one_kind(fits, card)
    if not chosen:
        raise PromptError(f"{card.name!r} needs prompts, and none were given. Pass prompts=...")
    note = f"Box of the {converted[0].kind} used for {len(converted)} prompt(s)." if converted else ""
    return Prompts(chosen), note


def _one_kind(prompts: list[Prompt], card: Card) -> list[Prompt]:
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


def prompts_from(tracks: Tracks, frame: int, card: Card) -> Prompts:
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
