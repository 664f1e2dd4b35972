"""CoTracker3 on a stream of frames: windows that take over what the window before them found.

Imports torch, so only the trackers' methods import this file. Positions are in vtlab's raster of the frame, except
inside the network, which counts in cells of a quarter of its input's pixels, the first pixel's centre at 0 (see
`_points.convert_points`, rule `corner`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vtlab.contracts import Image
from vtlab.nets.cotracker3 import STRIDE, CoTracker3, Motion
from vtlab.prompts.shapes import Figures
from vtlab.trackers.points.windows import Array, Size, Window, chunks, convert_points, resize_frames
from vtlab.tracks import FrameTracks
from vtlab.video import Frame
from vtlab.weights.checkpoints import load_into

Rule = Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.bool_]]

MARGIN = 64
"""The support grid keeps a 64th of the frame's width from its edges."""


def variant_of(tensors: dict[str, Tensor]) -> str | None:
    """Name of the variant that a checkpoint belongs to, by its time embedding."""
    embedding = tensors.get("time_emb")
    frames = 0 if embedding is None or embedding.ndim != 3 else embedding.shape[1]
    return {16: "cotracker3-online", 60: "cotracker3-offline"}.get(frames)


class Network:
    """A loaded network and what it sees of single frames.

    Args:
        net: The network, ready for inference.
        device: Where it is.
        size: (height, width) that frames are resized to; None = what the network was made for.
        dtype: What it computes in.
    """

    def __init__(
        self,
        net: CoTracker3,
        device: torch.device,
        size: Size | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.net = net.to(device, dtype).eval().requires_grad_(False)
        self.device = device
        self.dtype = dtype
        self.size: Size = size or net.model_resolution

    @classmethod
    def load(cls, variant: str, window: int, weights: Path, device: torch.device) -> Network:
        """Load the checkpoint `weights` of a variant, whose time embedding has `window` frames."""
        net = CoTracker3(window=window)
        load_into(net, weights, what=variant, variant_of=variant_of)  # type: ignore[arg-type]
        return cls(net, device)

    def see(self, image: Image) -> Tensor:
        """Feature maps (1, 128, h, w) of one image; computed once for all points and windows."""
        return self.net.encode(resize_frames([image], self.size, "corner").to(self.device, self.dtype))

    def inside(self, xy: Array, frame: Size) -> Tensor:
        """Points of the frame's raster (..., 2) in the network's cells."""
        points = convert_points(xy, frame, self.size, "corner") / STRIDE
        return torch.from_numpy(points).to(self.device, self.dtype)

    def outside(self, xy: Tensor, frame: Size) -> Array:
        """Points of the network's cells (..., 2) in the frame's raster."""
        return convert_points((xy * STRIDE).cpu().numpy(), frame, self.size, "corner", back=True)

    def support(self, side: int) -> Tensor:
        """A grid of `side` x `side` points over the frame (side^2, 2), in cells, row by row."""
        height, width = self.size
        margin = width / MARGIN
        ys = torch.linspace(margin, height - margin, side, dtype=self.dtype, device=self.device)
        xs = torch.linspace(margin, width - margin, side, dtype=self.dtype, device=self.device)
        rows, columns = torch.meshgrid(ys, xs, indexing="ij")
        return torch.stack([columns, rows], dim=-1).reshape(-1, 2) / STRIDE


@dataclass(frozen=True)
class Settings:
    """How windows run.

    Attributes:
        window: Most frames that are followed together.
        step: Frames from the start of one window to the start of the next.
        pad: Whether a short window is filled up by repeating its last frame (the online protocol); otherwise the
            last window begins earlier, and a video shorter than a window is followed as it is.
        iterations: Refinements of each window.
        support: Side of the grid of further points that are followed with the others; 0 = none.
        at_once: Points that are followed together; more are followed in several groups.
    """

    window: int
    step: int
    pad: bool
    iterations: int
    support: int
    at_once: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of the stream: its place in it, its index in the video, and its feature maps."""

    place: int
    index: int
    maps: Tensor


LATER = 1 << 40
"""Place in the stream of a query that has not been seen."""


class Group:
    """Points that are followed together, from the window on in which the first of them starts; the support grid last.

    The grid lies on the earliest frame in time of that window, also when tracking goes backward: the official code
    flips the grid's time with that of the queries.

    Args:
        network: The network.
        xy: (K, 2) queries in cells.
        support: Number of the last ones that are the support grid.
    """

    def __init__(self, network: Network, xy: Tensor, support: int):
        self._net, self._xy, self._support = network.net, xy, support
        self._start = torch.full((len(xy),), LATER, device=xy.device)
        self._templates: Tensor | None = None
        self._found: Motion | None = None
        self._found_at = 0

    def enter(self, rows: Tensor, place: int, maps: Tensor) -> None:
        """Look up the points `rows` (indices) on the frame at `place` with `maps`."""
        new = self._net.templates(maps, self._xy[rows])
        if self._templates is None:
            self._templates = new.new_zeros(len(self._xy), *new.shape[1:])
        self._templates[rows] = new
        self._start[rows] = place

    def begins(self, end: int) -> bool:
        """Whether the window that ends before place `end` is the first in which a point has started."""
        return self._found is None and bool((self._start < end).any())

    def enter_support(self, place: int, maps: Tensor) -> None:
        """Look up the support grid on the frame at `place` with `maps`."""
        if self._support:
            self.enter(torch.arange(len(self._xy), device=maps.device)[-self._support :], place, maps)

    def follow(self, maps: Tensor, begin: int, shared: int, iterations: int) -> Motion:
        """Follow over the window of `maps` that begins at place `begin`; the last window answered `shared` of it.

        Before any point has started, all stand at their queries.
        """
        frames = len(maps)
        start = Motion(
            self._xy.expand(frames, -1, -1),
            self._xy.new_zeros(frames, len(self._xy)),
            self._xy.new_zeros(frames, len(self._xy)),
        )
        if self._found is not None and shared:
            first = begin - self._found_at
            known = self._start < begin + shared
            start = Motion(
                *(_continued(a, b, first, shared, known) for a, b in zip(self._found, start, strict=True))
            )
        found, started = start, self._start < begin + frames
        if self._templates is not None and started.any():
            # A point that has not started has an empty template, but takes part: as officially.
            templates = self._templates * started[:, None, None, None]
            found = self._found = self._net(maps, templates, start, iterations=iterations)
            self._found_at = begin
        return Motion(*(values[:, : len(self._xy) - self._support] for values in found))


def _continued(before: Tensor, new: Tensor, first: int, shared: int, known: Tensor) -> Tensor:
    """`new` (T, K, ...), but for `known` points (K,) the `shared` frames from `first` on of `before`, the last repeated."""
    old = before[first : first + shared]
    old = torch.cat([old, old[-1:].expand(len(new) - shared, *old.shape[1:])])
    return torch.where(known.view(1, -1, *(1,) * (new.ndim - 2)), old, new)


class Run:
    """One pass over a video.

    Args:
        network: The network.
        figures: What to follow.
        settings: How windows run.
    """

    def __init__(self, network: Network, figures: Figures, settings: Settings):
        self._network, self._figures, self._settings = network, figures, settings
        self._frame: Size = (1, 1)
        self._groups: list[tuple[slice, Group]] = []
        self._end = 0

    def see(self, frames: Iterable[Frame]) -> Iterator[Seen]:
        """Compute the feature maps of each frame, and look up the points that start on it."""
        for place, frame in enumerate(frames):
            with torch.no_grad():
                maps = self._network.see(frame.image)
                if place == 0:
                    self._frame = (frame.image.shape[0], frame.image.shape[1])
                    self._groups = self._grouped()
                for rows, group in self._groups:
                    new = np.flatnonzero(self._figures.frames[rows] == frame.index)
                    if len(new):
                        group.enter(torch.from_numpy(new).to(maps.device), place, maps)
            yield Seen(place, frame.index, maps)

    def _grouped(self) -> list[tuple[slice, Group]]:
        support = self._network.support(self._settings.support)
        xy = self._network.inside(self._figures.xy, self._frame)
        return [
            (rows, Group(self._network, torch.cat([xy[rows], support]), len(support)))
            for rows in chunks(len(xy), self._settings.at_once)
        ]

    def follow(self, items: list[Seen]) -> tuple[Array, Array, Array]:
        """Follow all points over the next window.

        Returns:
            Positions (T, M, 2) in the frame's raster, probabilities of being seen (T, M), and of the position being
            right (T, M). What stands before a point's query means little.
        """
        begin, frames = items[0].place, len(items)
        with torch.no_grad():
            maps = torch.cat([item.maps for item in items])
            if self._settings.pad:
                maps = torch.cat([maps, maps[-1:].expand(self._settings.window - frames, -1, -1, -1)])
            earliest = min(items, key=lambda item: item.index)
            for _, group in self._groups:
                if group.begins(begin + frames):
                    group.enter_support(earliest.place, earliest.maps)
            shared = max(self._end - begin, 0)
            found = [
                group.follow(maps, begin, shared, self._settings.iterations) for _, group in self._groups
            ]
        self._end = begin + frames
        if not found:
            return np.empty((frames, 0, 2)), np.empty((frames, 0)), np.empty((frames, 0))
        all_of = Motion(*(torch.cat(values, dim=1)[:frames] for values in zip(*found, strict=True)))
        xy = self._network.outside(all_of.xy, self._frame)
        return xy, all_of.visible.sigmoid().cpu().numpy(), all_of.confidence.sigmoid().cpu().numpy()

    def answers(self, window: Window[Seen], visible: Rule) -> Iterator[tuple[int, FrameTracks]]:
        """The answers of a window's frames that count; `visible` says from both probabilities who is seen."""
        xy, seen, right = self.follow(window.items)
        for i in range(len(window.items))[window.keep]:
            index, score = window.items[i].index, seen[i] * right[i]
            yield index, self._figures.answer(index, xy[i], visible(seen[i], right[i]), score)
