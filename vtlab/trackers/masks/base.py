"""What all trackers of masks share: prompts in, masks out, objects that come, are corrected and go.

`MaskTracker` checks what it is given, turns prompts into masks where a method can't read them itself, and makes
the answer: masks that don't overlap, boxes from masks, score, visible.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, OnlineTracker, Segmenter, check_image
from vtlab.contracts.parts import segment
from vtlab.errors import InputError, PromptError
from vtlab.masks import Mask
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Points, Prompt, Prompts
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

MAX_OBJECTS = 255
"""Objects at a time: label images of the field (DAVIS, YouTube-VOS) are 8 bits, 0 is the background."""

ACCEPTS: frozenset[type[Prompt]] = frozenset({BoxPrompt, ClickPrompt, MaskPrompt})


@dataclass(frozen=True)
class Hint:
    """What was given for one object on one frame: a mask, or a box and/or clicks.

    Attributes:
        prompt: The prompt (the first of them), for messages.
        mask: bool (H, W), or None.
        box: (4,) xyxy, or None.
        points: (K, 2), K may be 0.
        positive: (K,) bool.
    """

    prompt: Prompt
    mask: Mask | None
    box: NDArray[np.float64] | None
    points: NDArray[np.float64]
    positive: NDArray[np.bool_]


@dataclass(frozen=True)
class MaskAnswer:
    """The objects of one frame.

    Attributes:
        ids: N object ids.
        labels: int (H, W): 0 is background, k + 1 is `ids[k]`; or None, and then `masks` is given.
        masks: bool (N, H, W), which may overlap.
        scores: (N,) in [0, 1].
        visible: (N,) bool; an object with an empty mask is never visible.
    """

    ids: list[int]
    scores: NDArray[np.float64]
    visible: NDArray[np.bool_]
    labels: NDArray[np.integer] | None = None
    masks: NDArray[np.bool_] | None = None


class MaskTracker(OnlineTracker):
    """Online tracker of masks; a method implements `_reset`, `_advance` and `_drop`.

    Attributes:
        memory_policy: One sentence: what is kept of past frames, and for how long.
    """

    memory_policy: ClassVar[str] = ""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._names: dict[int, str | None] = {}
        self._size: tuple[int, int] | None = None

    @abstractmethod
    def _reset(self) -> None:
        """Forget all objects and frames."""

    @abstractmethod
    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        """Go to `frame`, on which `hints` start (unknown id) or correct (known id) objects."""

    @abstractmethod
    def _drop(self, object_ids: list[int]) -> None:
        """Forget these objects, all of them known."""

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything and start on the prompts."""
        self._ids, self._names, self._size = [], {}, None
        self._reset()
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Go to the next frame; a prompt starts an object or corrects it.

        Raises:
            PromptError: A prompt does not fit the frame, marks nothing, or is one object too many.
            InputError: The frame is no RGB image, or has another size than those before.
        """
        height, width = check_image(frame.image, type(self).__name__).shape[:2]
        if self._size not in (None, (height, width)):
            assert self._size is not None
            raise InputError(
                f"Frame {frame.index} is {width} x {height} px, those before were {self._size[1]} x {self._size[0]}. "
                "Masks need one size: cut the video where it changes, or scale it."
            )
        hints = hints_of(prompts, height, width)
        # Counted before anything moves: a prompt too many leaves the objects as they were.
        known = [*self._ids, *(i for i in hints if i not in self._ids)]
        if len(known) > MAX_OBJECTS:
            raise PromptError(
                f"Frame {frame.index} makes {len(known)} objects; a tracker of masks follows {MAX_OBJECTS} at most. "
                "Remove some (vtlab.track(..., remove={id: frame})) or track them in several runs."
            )
        answer = self._advance(frame, hints)
        self._size, self._ids = (height, width), known
        self._names.update({i: h.prompt.label or self._names.get(i) for i, h in hints.items()})
        return self._answer(answer, hints)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects; unknown ids are ignored."""
        gone = [i for i in dict.fromkeys(object_ids) if i in self._ids]
        if gone:
            self._drop(gone)
            self._ids = [i for i in self._ids if i not in gone]

    def close(self) -> None:
        """Forget everything."""
        self._ids, self._size = [], None
        self._reset()

    def _answer(self, answer: MaskAnswer, hints: Mapping[int, Hint]) -> FrameTracks:
        if not answer.ids:
            return FrameTracks.empty()
        masks = answer.masks
        if masks is None:
            assert answer.labels is not None
            masks = answer.labels[None] == np.arange(1, len(answer.ids) + 1)[:, None, None]
        names = [self._names.get(i) for i in answer.ids]
        return FrameTracks.of(
            answer.ids,
            None,
            np.clip(answer.scores, 0, 1),
            answer.visible & masks.any(axis=(1, 2)),
            masks=masks,
            labels=names if any(names) else None,
            source=["manual" if i in hints else "tracked" for i in answer.ids],
        )


def hints_of(prompts: Prompts, height: int, width: int) -> dict[int, Hint]:
    """What the prompts of one frame give for each object, in the order of ids.

    Raises:
        PromptError: A mask of another size, or a mask together with another prompt for one object.
    """
    return {i: _hint(prompts.of(i), height, width) for i in prompts.object_ids}


def _hint(prompts: Prompts, height: int, width: int) -> Hint:
    box, mask = None, None
    points: Points = ()
    positive: tuple[bool, ...] = ()
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            if len(prompts) > 1:
                raise PromptError(
                    f"{prompt}: there are other prompts for it on this frame. Give the mask alone."
                )
            mask = prompt.mask(height, width)
        elif isinstance(prompt, ClickPrompt):
            points, positive = prompt.points, prompt.positive
            box = np.asarray(prompt.xyxy) if prompt.xyxy is not None else box
        else:
            box = prompt.box(height, width)
    clicks = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return Hint(prompts[0], mask, box, clicks, np.asarray(positive, dtype=bool))


def mask_of(hint: Hint, image: Image, segmenter: Segmenter) -> Mask:
    """The mask that a hint gives or, by `segmenter`, means.

    Raises:
        PromptError: The segmenter finds nothing there.
    """
    if hint.mask is not None:
        return hint.mask
    mask, _ = segment(
        segmenter,
        image,
        box=hint.box,
        points=hint.points,
        positive=hint.positive.tolist(),
        frame=hint.prompt.frame,
    )
    if not mask.any():
        raise PromptError(f"{hint.prompt}: no object is found there. Draw a mask, or click more.")
    return mask


def as_labels(masks: Mapping[int, Mask], height: int, width: int) -> NDArray[np.int32]:
    """One label image (H, W) of masks by id: 0 is background, k + 1 the k-th mask; later ones lie on top."""
    labels = np.zeros((height, width), np.int32)
    for k, mask in enumerate(masks.values()):
        labels[mask] = k + 1
    return labels


def scale_mask(mask: Mask, size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """A mask scaled to `size`, 0 and 1; a small one keeps at least the pixel in which its centre lies."""
    import torch
    import torch.nn.functional as F

    x = torch.from_numpy(mask).to(device).float()
    # Nearest, as the official evaluations scale given masks.
    scaled = F.interpolate(x[None, None], size)[0, 0]
    if not scaled.any():
        row, column = np.argwhere(mask).mean(axis=0)
        scaled[int((row + 0.5) * size[0] / mask.shape[0]), int((column + 0.5) * size[1] / mask.shape[1])] = 1
    return scaled


def masks_of_logits(
    logits: Sequence[torch.Tensor],
    drawn: Sequence[Mask | None],
    height: int,
    width: int,
    *,
    overlap: bool = False,
) -> NDArray[np.bool_]:
    """Enlarge logits (h, w) of K objects, one at a time, to masks (K, height, width).

    Where they must not overlap, a pixel goes to the object with the largest logit. A drawn mask of which the logits
    show nothing, since it is too small for their resolution, is taken as it is.
    """
    import torch
    import torch.nn.functional as F

    masks = np.zeros((len(logits), height, width), bool)
    best = owner = None
    for k, (low, mask) in enumerate(zip(logits, drawn, strict=True)):
        size = (height, width)
        value = F.interpolate(low[None, None].float(), size, mode="bilinear", align_corners=False)[0, 0]
        # Infinite logits win every comparison: what a person drew is there.
        if mask is not None and not (value > 0).any():
            value = torch.where(torch.from_numpy(mask).to(value.device), torch.inf, -torch.inf)
        if overlap:
            masks[k] = (value > 0).cpu().numpy()
        elif best is None or owner is None:
            best, owner = value, torch.zeros_like(value, dtype=torch.int16)
        else:
            better = value > best
            # One object at a time: all K enlarged at once would take K times the frame in float32.
            best, owner = torch.where(better, value, best), owner.masked_fill(better, k)
    if best is not None and owner is not None:
        owner = owner.masked_fill(best <= 0, -1)
        masks = owner.cpu().numpy() == np.arange(len(logits))[:, None, None]
    return masks


def label_image(p: torch.Tensor, height: int, width: int) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Enlarge probabilities (1 + K, h, w), one channel at a time: the best channel (height, width), scores (K,).

    The score of an object is its mean probability where it is the best, or its largest one where it nowhere is.
    """
    import torch
    import torch.nn.functional as F

    def channel(k: int) -> torch.Tensor:
        return F.interpolate(p[k][None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]

    best = channel(0)
    labels = torch.zeros((height, width), dtype=torch.int16, device=p.device)
    for k in range(1, len(p)):
        value = channel(k)
        better = value > best
        labels[better] = k
        best = torch.where(better, value, best)
    # In float64: a float32 sum over a whole frame loses digits.
    n = torch.bincount(labels.flatten().int(), minlength=len(p))[1:].double()
    total = torch.bincount(labels.flatten().int(), best.flatten().double(), minlength=len(p))[1:]
    scores = torch.where(n > 0, total / n.clamp(min=1), p[1:].flatten(1).amax(dim=1).double())
    return labels.cpu().numpy(), scores.cpu().numpy()
