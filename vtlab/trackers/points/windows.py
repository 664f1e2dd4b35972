"""What point trackers share: coordinates, windows over frames, chunks of points, resizing.

Nothing here knows a method. torch is imported inside the functions that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import WeightFile
from vtlab.errors import InputError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

Array = NDArray[np.float64]
Size = tuple[int, int]
"""(height, width) in pixels."""

Rule = Literal["edge", "index", "corner"]
"""How a network counts positions and how frames are resized for it.

* `edge`: raster coordinates 0..W, the first pixel's centre at 0.5; frames resized with align_corners=False.
  This is vtlab's own convention, and that of TAPIR, TAPNext and the 256 x 256 raster of TAP-Vid's metrics.
* `index`: the first pixel's centre at 0; frames resized with align_corners=False (PIPs).
* `corner`: the first pixel's centre at 0 and the corner pixels' centres stay corners: frames resized with
  align_corners=True (CoTracker).
"""


def convert_points(xy: ArrayLike, frame: Size, network: Size, rule: Rule, *, back: bool = False) -> Array:
    """Convert points between vtlab's raster of a frame and a network's coordinates on the resized frame.

    Args:
        xy: Points (..., 2) as (x, y); in the frame's raster, or in network coordinates when `back`.
        frame: (height, width) of the frame.
        network: (height, width) the frame is resized to.
        rule: How the network counts, see `Rule`.
        back: Convert from the network to the frame instead.

    Returns:
        Points (..., 2), float64, NaN where `xy` is.

    Raises:
        InputError: A size below one pixel, points of another shape, or an unknown rule.
    """
    points = np.asarray(xy, dtype=np.float64)
    if points.shape[-1:] != (2,):
        raise InputError(f"Expected points of shape (..., 2) as (x, y), got shape {points.shape}.")
    if min(*frame, *network) < 1:
        raise InputError(
            f"Frame {frame} and network size {network} (height, width) must be at least 1 pixel."
        )
    old, new = np.array(frame[::-1], np.float64), np.array(network[::-1], np.float64)
    if rule == "corner":
        # Corner centres on corner centres: one pixel less on either side.
        before, scale, after = -0.5, (new - 1) / np.maximum(old - 1, 1), 0.0
    elif rule in ("edge", "index"):
        before, scale, after = 0.0, new / old, -0.5 if rule == "index" else 0.0
    else:
        raise InputError(f"Unknown coordinate rule {rule!r}. Known: 'edge', 'index', 'corner'.")
    if back:
        return (points - after) / np.where(scale == 0, 1.0, scale) - before
    return (points + before) * scale + after


def pack_queries(frames: ArrayLike, xy: ArrayLike, order: Literal["tyx", "txy"]) -> NDArray[np.float32]:
    """Queries (N, 3) in the order a network wants: TAPIR and TAPNext `tyx`, CoTracker `txy`.

    Args:
        frames: Query frame of each point, (N,).
        xy: Query positions (N, 2) as (x, y) in network coordinates.
        order: Meaning of the three columns; t = frame.
    """
    points = np.asarray(xy, dtype=np.float32).reshape(-1, 2)
    if order not in ("tyx", "txy"):
        raise InputError(f"Unknown order of query columns {order!r}. Known: 'tyx', 'txy'.")
    time = np.asarray(frames, dtype=np.float32).reshape(-1, 1)
    return np.concatenate([time, points[:, ::-1] if order == "tyx" else points], axis=1)


class Window(NamedTuple, Generic[Item]):
    """Items that are tracked together, and those of them whose answer counts."""

    items: list[Item]
    keep: slice


def stream_windows(
    items: Iterable[Item], size: int, overlap: int, *, later_wins: bool = False, short_last: bool = False
) -> Iterator[Window[Item]]:
    """Cover a stream of unknown length by windows of `size` items that overlap by `overlap`.

    Few more than `size` items are held. A stream shorter than `size` gives one window as short as itself.

    Args:
        items: The stream.
        size: Items of a window.
        overlap: Items that successive windows share.
        later_wins: Answer what two windows share in the later one. Otherwise the hand-over is in the middle: each
            item is answered in the window in which it lies farther from a border.
        short_last: Begin the last window where its turn is, however few items are left. Otherwise it ends with
            the stream, is as long as the others and overlaps by more.

    Raises:
        InputError: The overlap is not smaller than the window.
    """
    if not 0 <= overlap < size:
        raise InputError(f"Windows of {size} frames can't overlap by {overlap}. Give 0 to {size - 1}.")
    held: list[Item] = []
    answered, fresh, due = 0, 0, size
    for item in items:
        if fresh == due:
            stop = size - (overlap if later_wins else overlap // 2)
            yield Window(held, slice(answered, stop))
            answered, fresh, due = stop, 0, size - overlap
        fresh += 1
        if len(held) == size:
            held, answered = held[1:], answered - 1
        held = [*held, item]
    if fresh:
        extra = max(len(held) - overlap - fresh, 0) if short_last else 0
        yield Window(held[extra:], slice(answered - extra, len(held) - extra))


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `count` points; `size` 0 means one slice."""
    step = size if size > 0 else max(count, 1)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def resize_frames(images: Sequence[NDArray[np.uint8]], size: Size, rule: Rule) -> torch.Tensor:
    """Resize images (H, W, 3) as the official point trackers do: float32 (B, 3, *size), values 0-255.

    Bilinear without antialiasing; align_corners=True for the rule `corner`.
    """
    import torch
    from torch.nn.functional import interpolate

    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    if batch.shape[-2:] == size:
        return batch
    return interpolate(batch, size, mode="bilinear", align_corners=rule == "corner")


def checkpoint(given: str | Path | None, official: WeightFile) -> Path:
    """The checkpoint file that a caller gave, or the official one, fetched when it is not at hand.

    Raises:
        WeightsError: The official file can't be had.
    """
    if given is not None:
        return Path(given)
    from vtlab.weights import fetch

    return fetch(official)
