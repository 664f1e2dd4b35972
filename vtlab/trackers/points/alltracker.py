"""AllTracker: points read out of dense flow from the frame of their query to every other frame.

Paper: Harley et al., "AllTracker: Efficient Dense Point Tracking at High Resolution", ICCV 2025, arXiv:2506.07310.
Official code: https://github.com/aharley/alltracker (MIT).

One pass of the network for each frame on which a query lies, however many points there are. A pass goes over windows of 16
frames, each beginning 8 after the one before and with what that found; it ends where later prompts have replaced all its
points. Every frame's features are computed once, for all passes.
Differs from the official code: a query keeps its fraction of a pixel (`official=True` rounds it away), so that a track does
not jump on its second frame; a query that rounds to a pixel outside is read at the border, where the official code fails;
queries on the last two frames work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, OfflineTracker, WeightFile
from vtlab.errors import InputError
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.registry import register
from vtlab.trackers.points.windows import Array, Size, convert_points, resize_frames
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

# As the network was trained, and as the official code slides it.
WINDOW, STEP = 16, 8
LEAST = 65
"""Pixels of the shortest side that a frame can be resized to."""
ENDLESS = 1 << 40
"""Place in the stream behind every frame."""
RULES = {"benchmark": 0.6, "demo": 0.1}
"""The official read-outs with their bounds of being seen."""
_SOURCE = "https://github.com/aharley/alltracker"
_HUB = "https://huggingface.co/aharley/alltracker/resolve/main/"


def _file(name: str) -> WeightFile:
    return WeightFile(
        name, _HUB + name, licence="MIT (the repository's; none stated for the file)", source=_SOURCE
    )


WEIGHTS = {"full": _file("alltracker.pth"), "tiny": _file("alltracker_tiny.pth")}
NAMES = {"full": "alltracker", "tiny": "alltracker-tiny"}
_CARD: dict[str, Any] = {
    "family": "points",
    "accepts": KINDS,
    "emits": {"points", "boxes"},
    "paper": "AllTracker: Efficient Dense Point Tracking at High Resolution, ICCV 2025",
    "paper_url": "https://arxiv.org/abs/2506.07310",
    "code": _SOURCE,
    "licence": "MIT",
    "requires": "torch",
}


@register(
    "alltracker",
    summary="Points out of dense flow, one pass for each frame with queries, however many; free for commercial use.",
    weights=[WEIGHTS["full"]],
    options={"variant": "full"},
    **_CARD,
)
@register(
    "alltracker-tiny",
    summary="AllTracker with a smaller image encoder: 6.3 instead of 16.5 M parameters.",
    weights=[WEIGHTS["tiny"]],
    options={"variant": "tiny"},
    **_CARD,
)
class AllTracker(OfflineTracker):
    """AllTracker, full or tiny.

    Each distinct frame with queries costs a pass over the frames after it; the number of points costs next to nothing. What
    is held is bounded by the window: about 1 GB at 384 x 512, most of it the correlations of all cells.

    The score is the probability of being seen times that of the position being right ("benchmark"), or the latter ("demo").

    Args:
        variant: "full" or "tiny".
        weights: Checkpoint file; None = the official one.
        device: "auto", "cpu", "cuda", ...
        size: (height, width) in pixels that frames are resized to, from 65 on; the official benchmark has (384, 512), its
            demo 1024 on the longest side. Filled up to multiples of 64.
        iterations: Refinements of each window.
        readout: Which of two windows that see a frame answers for it: "benchmark" the later one, "demo" the first one.
        visible_above: Bound from which a point counts as seen, held against the score; None = the official 0.6
            ("benchmark") or 0.1 ("demo").
        official: Round queries to whole pixels and report them so, as the official code does.

    Raises:
        InputError: An unknown variant or read-out, or a size or number that is out of range.
        WeightsError: The checkpoint can't be had, or belongs to another variant.
    """

    def __init__(
        self,
        *,
        variant: str = "full",
        weights: str | Path | None = None,
        device: str = "auto",
        size: tuple[int, int] = (384, 512),
        iterations: int = 4,
        readout: str = "benchmark",
        visible_above: float | None = None,
        official: bool = False,
    ):
        if variant not in WEIGHTS or readout not in RULES:
            raise InputError(
                f"alltracker: variant must be 'full' or 'tiny' and readout 'benchmark' or 'demo', got {variant!r} and "
                f"{readout!r}."
            )
        if len(size) != 2 or min(size) < LEAST or iterations < 1:
            raise InputError(
                f"alltracker: size must be (height, width) from {LEAST} pixels on and iterations at least 1, got {size} and "
                f"{iterations}."
            )
        self._size, self._iterations, self._official = (int(size[0]), int(size[1])), iterations, official
        self._revise = readout == "benchmark"
        self.visible_above = RULES[readout] if visible_above is None else visible_above
        self._net, self._device = _load(variant, weights, device)

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield the answer for each frame, at most 15 frames after it came."""
        figures, passes = Figures(prompts), list[_Pass]()
        waiting: deque[tuple[int, Frame]] = deque()
        for place, frame in enumerate(frames):
            maps, shift = self._see(frame.image)
            new = np.flatnonzero(figures.frames == frame.index)
            if len(new):
                _replace(passes, figures.owners, new, place)
                passes.append(self._begin(figures.xy[new], new, place, frame.image.shape[:2], (maps, shift)))
            for one in passes:
                one.add(maps)
            waiting.append((place, frame))
            # A frame is left when no pass can still change it.
            while waiting and all(p.final(waiting[0][0]) for p in passes):
                yield self._answer(figures, passes, *waiting.popleft())
                passes = [p for p in passes if p.until > place - len(waiting) + 1]
        for one in passes:
            one.finish()
        while waiting:
            yield self._answer(figures, passes, *waiting.popleft())

    def _see(self, image: Image) -> tuple[torch.Tensor, tuple[int, int]]:
        """Feature maps (C, h, w) of a frame, and where it begins in what was padded, (x, y) pixels."""
        import torch

        from vtlab.nets.alltracker import pad

        with torch.inference_mode():
            images, shift = pad(resize_frames([image], self._size, "index").to(self._device))
            return self._net.encode(images)[0], shift

    def _begin(
        self,
        xy: Array,
        rows: NDArray[np.int64],
        place: int,
        frame: Size,
        seen: tuple[torch.Tensor, tuple[int, int]],
    ) -> _Pass:
        """The pass of points `rows` at `xy` (K, 2) on a frame of that size and place, as `_see` saw it."""
        inside = convert_points(xy, frame, self._size, "index")
        # The network answers for whole pixels; round is half to even, as torch's is.
        pixels = np.clip(np.rint(inside), 0, np.array(self._size[::-1]) - 1)
        return _Pass(
            self._net,
            seen[0],
            place,
            rows=rows,
            xy=pixels if self._official else inside,
            pixels=pixels + seen[1],
            iterations=self._iterations,
            revise=self._revise,
        )

    def _answer(
        self, figures: Figures, passes: Sequence[_Pass], place: int, frame: Frame
    ) -> tuple[int, FrameTracks]:
        xy, score = np.full((len(figures), 2), np.nan), np.zeros(len(figures))
        for one in passes:
            if one.place <= place < one.until:
                xy[one.rows], chances = one.leave(place)
                score[one.rows] = chances.prod(axis=1) if self._revise else chances[:, 1]
        xy = convert_points(xy, frame.image.shape[:2], self._size, "index", back=True)
        seen = score >= self.visible_above if self._revise else score > self.visible_above
        return frame.index, figures.answer(frame.index, xy, seen, score)


class _Pass:
    """One pass over the frames from an anchor on.

    Args:
        net: The network.
        anchor: (C, h, w) features of the anchor frame.
        place: Place of the anchor in the stream.
        rows: (K,) points that start on it.
        xy: (K, 2) where they start, in network pixels.
        pixels: (K, 2) whole pixels at which their flow is read.
        iterations: Refinements of each window.
        revise: Whether a later window's answer counts.
    """

    def __init__(
        self,
        net: Any,
        anchor: torch.Tensor,
        place: int,
        *,
        rows: NDArray[np.int64],
        xy: Array,
        pixels: Array,
        iterations: int,
        revise: bool,
    ):
        import torch

        self.place, self.rows, self.until = place, rows, ENDLESS
        self._net, self._anchor, self._xy = net, anchor, xy
        self._pixels = torch.from_numpy(pixels).long().to(anchor.device)
        self._iterations, self._revise = iterations, revise
        self._maps: list[torch.Tensor] = []
        # Of the window that comes, and behind all answers that are final.
        self._start, self._end = place, place
        self._motion: Any = None
        self._found: dict[int, tuple[Array, Array]] = {}

    def add(self, maps: torch.Tensor) -> None:
        """Take the next frame's features (C, h, w); a window that is full is followed."""
        if self._end >= self.until:
            return
        self._maps.append(maps)
        if len(self._maps) == WINDOW:
            self._follow()
            self._start, self._maps = self._start + STEP, self._maps[STEP:]

    def finish(self) -> None:
        """Follow what is left when the stream ends: the last frame is repeated to fill the window."""
        fresh = len(self._maps) - (STEP if self._motion is not None else 0)
        if fresh > 0 and len(self._maps) > 1 and self._end < self.until:
            self._follow()
        self._end = ENDLESS

    def final(self, place: int) -> bool:
        """Whether the answer for the frame at `place` won't change any more, or isn't asked for."""
        return not self.place <= place < self.until or place < self._end

    def leave(self, place: int) -> tuple[Array, Array]:
        """Positions (K, 2) in network pixels and chances (K, 2) of being seen and right, once."""
        flow, chances = self._found.pop(place, (np.zeros_like(self._xy), np.zeros_like(self._xy)))
        return self._xy + flow, chances

    def _follow(self) -> None:
        import torch

        begin, maps = self._start, self._maps
        if self._motion is None and len(maps) == 2:  # two frames: the second alone, as the official code does
            begin, maps = begin + 1, maps[1:]
        count = len(maps)
        frames = torch.stack(maps + maps[-1:] * (WINDOW - count if count > 1 else 0))
        with torch.inference_mode():
            start = self._net.start(len(frames), self._anchor)
            if self._motion is not None:
                start = type(start)(
                    # The shared half goes on as it was; new frames begin where the last one ended.
                    *(torch.cat([m[STEP:], m[-1:].expand(STEP, -1, -1, -1)]) for m in self._motion)
                )
            found = self._net(self._anchor, frames, start, self._iterations)
            flow, logits = self._net.read(found, self._pixels)
            self._motion = found.motion
        moves, chances = flow.double().cpu().numpy(), logits.sigmoid().double().cpu().numpy()
        for i in range(count):
            # The benchmark's answer is the last window's, the demo's the first's: they differ by up to 25 px.
            if self._revise or begin + i >= self._end:
                self._found[begin + i] = moves[i], chances[i]
        self._end = begin + (STEP if self._revise else count)


def _replace(passes: Sequence[_Pass], owners: NDArray[np.int64], new: NDArray[np.int64], place: int) -> None:
    """End the passes all of whose objects have begun anew by `place`, where the points `new` begin."""
    later: set[int] = set(owners[new].tolist())
    for one in reversed(passes):
        if one.until == ENDLESS and set(owners[one.rows].tolist()) <= later:
            one.until = place
        later |= set(owners[one.rows].tolist())


def _load(variant: str, weights: str | Path | None, device: str) -> tuple[Any, torch.device]:
    from vtlab.nets import alltracker
    from vtlab.nets.loading import load, place

    network = load(
        lambda: alltracker.AllTracker(tiny=variant == "tiny"),
        weights,
        WEIGHTS[variant],
        what=NAMES[variant],
        variant_of=alltracker.variant_of,
    )
    net, target, _ = place(network, device=device, dtype="float32", channels_last=True, compile=False)
    return net, target
