"""TAPIR on a stream of frames: what the offline and the causal tracker do with the network.

Imports torch, so only the trackers' methods import this file. Positions are in vtlab's raster of the frame, except
inside the network, which counts in a raster of 256 x 256 (see `windows.convert_points`, rule `edge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from vtlab.contracts import Image
from vtlab.nets.tapir import CausalState, Estimate, Grids, QueryVectors, Tapir, average, probability_visible
from vtlab.prompts import Prompt
from vtlab.prompts.shapes import Figures
from vtlab.trackers.points.windows import Array, Size, Window, chunks, convert_points, resize_frames
from vtlab.tracks import FrameTracks
from vtlab.video import Frame
from vtlab.weights.checkpoints import load_into

VISIBLE_ABOVE = 0.5
"""The official rule on the probability that a point is seen and its position right."""

VARIANTS = {
    "tapir": {"pyramid_level": 0, "extra_convs": False},
    "bootstapir": {"pyramid_level": 1, "extra_convs": True},
}


def variant_of(tensors: dict[str, Tensor]) -> str | None:
    """Name of the variant that a checkpoint belongs to, by its shapes; causal ones look like the others."""
    extra = any(name.startswith("extra_convs.") for name in tensors)
    known = "torch_pips_mixer.linear.weight" in tensors
    return ("bootstapir" if extra else "tapir") if known else None


class Network:
    """A loaded network and what it sees of single frames.

    Args:
        net: The network, ready for inference.
        device: Where it is.
        resolution: Side in pixels of the square that frames are resized to.
    """

    def __init__(self, net: Tapir, device: torch.device, resolution: int):
        self.net = net.to(device).eval().requires_grad_(False)
        self.device = device
        self.resolution = resolution
        used = [net.initial_resolution, *net.resolutions((resolution, resolution))]
        self.sizes = list(dict.fromkeys(used))
        self.levels = [self.sizes.index(size) for size in used]

    @classmethod
    def load(
        cls,
        variant: str,
        weights: Path,
        device: torch.device,
        *,
        causal: bool,
        resolution: int,
        softmax_temperature: float,
    ) -> Network:
        """Load the checkpoint `weights` of one of `VARIANTS`; raises `WeightsError` if it is another's."""
        net = Tapir(causal=causal, softmax_temperature=softmax_temperature, **VARIANTS[variant])  # type: ignore[arg-type]
        load_into(net, weights, what=variant, variant_of=variant_of)  # type: ignore[arg-type]
        return cls(net, device, resolution)

    def see(self, image: Image) -> list[Grids]:
        """Feature maps of one image at each of `sizes`; computed once for all points."""
        square = resize_frames([image], (self.resolution, self.resolution), "edge").to(self.device)
        # Every size is made of the same square, as the official code resizes: not of the frame anew.
        values = square / 255.0 * 2.0 - 1.0
        return [
            self.net.encode(
                values
                if values.shape[-2:] == size
                else interpolate(values, size, mode="bilinear", align_corners=False)
            )
            for size in self.sizes
        ]

    def inside(self, xy: Array, frame: Size) -> Tensor:
        """Points of the frame's raster (..., 2) in the network's."""
        points = convert_points(xy, frame, self.net.initial_resolution, "edge")
        return torch.from_numpy(points.astype(np.float32)).to(self.device)

    def outside(self, xy: Tensor, frame: Size) -> Array:
        """Points of the network's raster (..., 2) in the frame's."""
        return convert_points(xy.cpu().numpy(), frame, self.net.initial_resolution, "edge", back=True)

    def look_up(self, grids: list[Grids], xy: Tensor) -> list[QueryVectors]:
        """What points at xy (K, 2), in the network's raster, look like on one frame, at each of `sizes`."""
        return [self.net.query_vectors(g, xy) for g in grids]

    def track(
        self,
        grids: list[Grids],
        vectors: list[QueryVectors],
        known: tuple[Tensor, Tensor] | None = None,
        state: CausalState | None = None,
    ) -> tuple[list[Estimate], CausalState | None]:
        """`Tapir.track` on maps and vectors given at each of `sizes`."""
        per_level = [grids[i] for i in self.levels], [vectors[i] for i in self.levels]
        return self.net.track(*per_level, known=known, state=state)


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of the stream: its place in it, its index in the video, and its feature maps."""

    place: int
    index: int
    grids: list[Grids]


class Queries:
    """What the points look like, filled when the frame of each is seen.

    Attributes:
        start: (M,) place in the stream of each point's query, -1 before it is seen.
        vectors: Features at each size of the network, (M, 256) and (M, 128).
    """

    def __init__(self, network: Network):
        like = torch.zeros(0, device=network.device)
        self._network = network
        self.start = np.empty(0, np.int64)
        self.vectors = [QueryVectors(like.new_zeros(0, 256), like.new_zeros(0, 128)) for _ in network.sizes]

    def grow(self, count: int) -> None:
        """Make room for `count` points in all."""
        more = count - len(self.start)
        self.start = np.concatenate([self.start, np.full(more, -1)])
        self.vectors = [
            QueryVectors(*(torch.cat([t, t.new_zeros(more, t.shape[1])]) for t in v)) for v in self.vectors
        ]

    def fill(self, rows: NDArray[np.int64], place: int, grids: list[Grids], xy: Tensor) -> None:
        """Look up the points `rows`, queried at `xy` (K, 2) in the network's raster, on the frame at `place`."""
        self.start[rows] = place
        for own, new in zip(self.vectors, self._network.look_up(grids, xy), strict=True):
            own.lowres[rows], own.hires[rows] = new.lowres, new.hires

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop the points that are not in `rows` (M,)."""
        self.start = self.start[rows]
        self.vectors = [QueryVectors(*(t[rows] for t in v)) for v in self.vectors]

    def of(self, rows: NDArray[np.int64]) -> list[QueryVectors]:
        """Features of some points at each size."""
        return [QueryVectors(v.lowres[rows], v.hires[rows]) for v in self.vectors]


class OfflineRun:
    """One pass over a video in windows of frames.

    Args:
        network: The network.
        figures: What to follow.
        at_once: Points that are followed together; bounds memory and does not change the result.
    """

    def __init__(self, network: Network, figures: Figures, at_once: int):
        self._network, self._figures, self._at_once = network, figures, at_once
        self._queries = Queries(network)
        self._queries.grow(len(figures))
        self._frame: Size = (1, 1)

    def see(self, frames: Iterable[Frame]) -> Iterator[Seen]:
        """Compute the feature maps of each frame, and look up the points that start on it."""
        for place, frame in enumerate(frames):
            with torch.no_grad():
                self._frame = (frame.image.shape[0], frame.image.shape[1])
                grids = self._network.see(frame.image)
                rows = np.flatnonzero(self._figures.frames == frame.index)
                xy = self._network.inside(self._figures.xy[rows], self._frame)
                self._queries.fill(rows, place, grids, xy)
            yield Seen(place, frame.index, grids)

    def answers(self, window: Window[Seen]) -> Iterator[tuple[int, FrameTracks]]:
        """The answers of a window's frames that count."""
        xy, sure = self.follow(window.items)
        for i in range(len(window.items))[window.keep]:
            index = window.items[i].index
            yield index, self._figures.answer(index, xy[:, i], sure[:, i] > VISIBLE_ABOVE, sure[:, i])

    def follow(self, items: list[Seen]) -> tuple[Array, Array]:
        """Follow all points that have started over a window.

        Returns:
            Positions (M, T, 2) in the frame's raster and probabilities (M, T); NaN and 0 for points that start
            later.
        """
        first, last = items[0].place, items[-1].place
        shape = (len(self._figures), len(items))
        xy, sure = np.full((*shape, 2), np.nan), np.zeros(shape)
        grids = [
            Grids(torch.cat([g.lowres for g in level]), torch.cat([g.hires for g in level]))
            for level in zip(*(item.grids for item in items), strict=True)
        ]
        start = self._queries.start
        ready = np.flatnonzero((start >= 0) & (start <= last))
        for part in chunks(len(ready), self._at_once):
            rows = ready[part]
            with torch.no_grad():
                # -1 for a query before this window: there its first guess stands.
                frames = torch.from_numpy(np.maximum(start[rows] - first, -1)).to(self._network.device)
                queries = self._network.inside(self._figures.xy[rows], self._frame)
                found, _ = self._network.track(grids, self._queries.of(rows), (frames, queries))
                # Offline the mean over sizes answers, online the last size: the official protocols.
                best = average(found)
                xy[rows] = self._network.outside(best.xy, self._frame)
                sure[rows] = probability_visible(best).cpu().numpy()
        return xy, sure


class OnlineRun:
    """One pass over a video, frame by frame, with a memory of constant size for each point.

    A point enters on its own frame with an empty memory (the protocol of the official live demo).

    Args:
        network: A causal network.
        at_once: Points that are followed together; bounds memory and does not change the result.
    """

    def __init__(self, network: Network, at_once: int):
        self._network, self._at_once = network, at_once
        self.figures = Figures()
        self._labels: dict[int, str] = {}
        self._queries = Queries(network)
        like = torch.zeros(0, device=network.device)
        self._state = network.net.empty_state(0, len(network.levels) - 1, like)

    def step(self, frame: Frame, prompts: Iterable[Prompt]) -> FrameTracks:
        """Go to the next frame, on which the points of `prompts` start; they replace their objects' earlier ones."""
        given = list(prompts)
        self._labels.update({p.object_id: p.label for p in given if p.label is not None})
        self.remove([p.object_id for p in given])
        with torch.no_grad():
            size = (frame.image.shape[0], frame.image.shape[1])
            grids = self._network.see(frame.image)
            new = self.figures.add(replace(p, label=self._labels.get(p.object_id)) for p in given)
            self._enter(np.arange(new.start, new.stop), grids, size)
            xy, sure = self._follow(grids, size)
        return self.figures.answer(frame.index, xy, sure > VISIBLE_ABOVE, sure)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Forget objects and the memory of their points."""
        stay = self.figures.remove(object_ids)
        if stay.all():
            return
        self._queries.keep(stay)
        rows = torch.from_numpy(np.flatnonzero(stay)).to(self._network.device)
        self._state = CausalState(*(memory.index_select(2, rows) for memory in self._state))

    def _enter(self, rows: NDArray[np.int64], grids: list[Grids], size: Size) -> None:
        if not len(rows):
            return
        self._queries.grow(len(self.figures))
        # No earlier frames are asked for a new point (`update_query_features` of the live demo).
        self._queries.fill(rows, 0, grids, self._network.inside(self.figures.xy[rows], size))
        empty = self._network.net.empty_state(len(rows), len(self._network.levels) - 1, self._state.inputs)
        if not self._state.inputs.shape[2]:
            self._state = empty
            return
        self._state = CausalState(*(torch.cat(both, dim=2) for both in zip(self._state, empty, strict=True)))

    def _follow(self, grids: list[Grids], size: Size) -> tuple[Array, Array]:
        xy, sure = np.empty((len(self.figures), 2)), np.empty(len(self.figures))
        for part in chunks(len(self.figures), self._at_once):
            before = CausalState(*(memory[:, :, part] for memory in self._state))
            rows = np.arange(part.start, part.stop)
            found, after = self._network.track(grids, self._queries.of(rows), None, before)
            for memory, values in zip(self._state, after or (), strict=True):
                memory[:, :, part] = values
            xy[part] = self._network.outside(found[-1].xy[:, 0], size)
            sure[part] = probability_visible(found[-1])[:, 0].cpu().numpy()
        return xy, sure
