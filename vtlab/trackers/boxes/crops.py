"""Search regions of single-object trackers: windows, crops, network input, Hann window, box mapping.

Two families of published trackers cut their squares differently, and the last fraction of a pixel matters for
parity, so both rules stand here once:

* context window (SiamFC, SiamRPN++, TransT; 2016-2021): the side grows with the mean of width and height, and
  the border is filled with the mean colour of the first frame;
* area window (STARK, MixFormer, OSTrack, MCITrack; 2021-2025): the side is a multiple of the square root of
  the area, the border is black, and the last image column (row) is replaced by border as soon as the window
  reaches the right (lower) image edge.

Boxes are float64 xyxy in pixels, images uint8 RGB (H, W, 3); nothing is mutated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import InputError
from vtlab.geometry import as_boxes, cxcywh_to_xyxy, xyxy_to_cxcywh

if TYPE_CHECKING:
    import torch

Image = NDArray[np.uint8]
Boxes = NDArray[np.float64]

# What torchvision's and most other backbones were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BLACK = (0, 0, 0)
# The official code's bound in both families (`clip_box`, and the clipping of pysot's trackers).
MIN_SIDE = 10.0
"""No tracker of these families reports a box narrower than this, in pixels."""
# A copy of this side takes 200 MB; a prompt on a huge still image is no reason to take more.
MAX_COPY = 8192
"""Longest side, in pixels, of a window that is copied with its border before it is resized."""


class Window(NamedTuple):
    """A square of whole pixels: it covers columns left .. left + side - 1 and rows top .. top + side - 1."""

    left: int
    top: int
    side: int


def context_window(box: ArrayLike, context: float) -> Window:
    """Return the square of a SiamFC-like tracker around `box` (xyxy).

    With p = (w + h) / 2 its side is ceil(sqrt((w + context p)(h + context p))); TransT uses context 1 for the
    template and 3 for the search region.

    Raises:
        InputError: `box` is not finite or has no area.
    """
    cx, cy, w, h = _cxcywh(box)
    # The context is what SiamFC (2016) adds so that a little of what is around the object is seen.
    pad = context * (w + h) / 2
    side = math.ceil(math.sqrt((w + pad) * (h + pad)))
    return Window(math.floor(cx - (side + 1) / 2 + 0.5), math.floor(cy - (side + 1) / 2 + 0.5), side)


def area_window(box: ArrayLike, factor: float) -> Window:
    """Return the square of a STARK-like tracker around `box` (xyxy): side ceil(factor sqrt(w h)).

    The origin is rounded half to even. MixFormer and MCITrack use factor 2 for the template, 4 to 5 for the
    search region.

    Raises:
        InputError: `box` is not finite or has no area.
    """
    cx, cy, w, h = _cxcywh(box)
    # `round` is half to even here and in the official code: half up would move some crops by a pixel.
    side = math.ceil(math.sqrt(w * h) * factor)
    return Window(round(cx - side / 2), round(cy - side / 2), side)


def crop(
    image: Image, window: Window, size: int, *, fill: ArrayLike = BLACK, cut_last: bool = False
) -> Image:
    """Cut `window` out of `image` and resize it bilinearly to (size, size, 3).

    Args:
        image: uint8 RGB (H, W, 3).
        window: The square; it may reach over the image or lie outside of it.
        size: Side of the result in pixels.
        fill: Colour of what lies outside the image, three values 0-255; fractions are cut off.
        cut_last: Whether the last image column (row) becomes border once the window reaches the right (lower)
            image edge, as in the trackers of the area-window family.

    A window longer than `MAX_COPY` is sampled without being copied first, which bounds the memory and may
    differ from the copied result by one grey level.
    """
    height, width = image.shape[:2]
    right, bottom = window.left + window.side, window.top + window.side
    # The official code pads one pixel too many there; the networks are asked what they were asked officially.
    x_end = width - 1 if cut_last and right >= width else width
    y_end = height - 1 if cut_last and bottom >= height else height
    return stretch(image[:y_end, :x_end], (*window, window.side), size, fill=fill)


def stretch(image: Image, window: tuple[int, int, int, int], size: int, *, fill: ArrayLike = BLACK) -> Image:
    """Cut a rectangle of whole pixels out of `image` and stretch it bilinearly to (size, size, 3), as `crop` does.

    Args:
        image: uint8 RGB (H, W, 3).
        window: Left, top, width and height.
        size: Side of the result in pixels.
        fill: Colour of what lies outside the image, three values 0-255; fractions are cut off.
    """
    height, width = image.shape[:2]
    left, top, wide, high = window
    # Cut, not rounded: the official code writes a float mean into a uint8 image.
    colour = tuple(int(v) for v in np.asarray(fill).reshape(3))
    if max(wide, high) > MAX_COPY:
        return _sample(image, window, size, colour)
    x0, x1 = (min(max(x, 0), width) for x in (left, left + wide))
    y0, y1 = (min(max(y, 0), height) for y in (top, top + high))
    if x0 == x1 or y0 == y1:
        return np.broadcast_to(np.array(colour, np.uint8), (size, size, 3)).copy()
    patch: NDArray[Any] = image[y0:y1, x0:x1]
    if patch.shape[:2] != (high, wide):
        borders = (y0 - top, top + high - y1, x0 - left, left + wide - x1)
        patch = cv2.copyMakeBorder(patch, *borders, cv2.BORDER_CONSTANT, value=colour)
    # As the official code skips it; resizing to the same size is exact, and copies all the same.
    if (wide, high) == (size, size):
        return patch.copy()
    return np.asarray(cv2.resize(patch, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def network_input(
    crops: list[Image] | Image,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
) -> torch.Tensor:
    """Turn N crops of one size (uint8 RGB) into the (N, 3, S, S) input of an ImageNet network."""
    import torch

    pixels = (
        torch.from_numpy(np.ascontiguousarray(np.stack(list(crops)))).to(device).permute(0, 3, 1, 2).float()
    )
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(3, 1, 1)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return ((pixels / 255 - mean) / std).to(dtype=dtype, memory_format=memory_format)


def hann_window(size: int, *, ends: bool = True) -> NDArray[np.float32]:
    """Return the (size, size) outer product of a Hann window with itself, peak at the centre.

    Args:
        size: Cells per axis.
        ends: Whether the end points, which are 0, are among the cells (numpy's `hanning`; TransT), or the
            cells are the inner points of a window of size + 2 (MCITrack, OSTrack).
    """
    line = np.hanning(size) if ends else np.hanning(size + 2)[1:-1]
    return np.outer(line, line).astype(np.float32)


def boxes_from_crops(predicted: ArrayLike, previous: ArrayLike, sides: ArrayLike) -> Boxes:
    """Map boxes predicted in search crops to the image.

    Args:
        predicted: (N, 4) centre x, centre y, width, height, as fractions of the crop.
        previous: (N, 4) xyxy boxes at whose centres the crops were taken.
        sides: (N,) sides of the windows in pixels.

    Returns:
        (N, 4) xyxy boxes in pixels. As in the official code the rounding of the window's origin is ignored.
    """
    side = np.asarray(sides, dtype=np.float64)[:, None]
    # In float64: boxes are the next frame's windows, so errors of float32 would add up.
    pixels = np.asarray(predicted, dtype=np.float64).reshape(-1, 4) * side
    pixels[:, :2] += xyxy_to_cxcywh(as_boxes(previous))[:, :2] - side / 2
    return cxcywh_to_xyxy(pixels)


def context_side(size: NDArray[np.float64]) -> Any:
    """Side in pixels of the square with half of (w + h) around (w, h), or around each of (2, ...) sizes (SiamFC)."""
    # SiamFC's context of 1/2, of (w + h), whatever context the crop was cut with.
    context = size.sum(axis=0) / 2
    return np.sqrt((size[0] + context) * (size[1] + context))


def change_penalty(
    size: NDArray[np.float64], last: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Penalty in (0, 1] for the change of scale and aspect ratio (SiamRPN, CVPR 2018).

    Args:
        size: (N, 2, cells) predicted widths and heights.
        last: (N, 2) widths and heights before.
        weight: Of the change.
    """

    def change(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(ratio, 1 / ratio)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Change of size, then of shape: either way off is as bad, hence max(r, 1 / r).
        scale = change(context_side(size.swapaxes(0, 1)) / context_side(last.T)[:, None])
        ratio = change((last[:, :1] / last[:, 1:]) / (size[:, 0] / size[:, 1]))
        penalty = np.exp(-(ratio * scale - 1) * weight)
    # A size of 0 or none has the penalty 0: it is never chosen.
    return np.where(penalty >= 0, penalty, 0.0)


def template_fractions(box: ArrayLike, window: Window, size: int) -> NDArray[np.float32]:
    """Left, top, width, height of a target in its template crop of side `size`, as fractions of size - 1.

    The rule of MCITrack and SUTrack: the target's centre lies at (size - 1) / 2 whatever the window's rounding.
    """
    side = xyxy_to_cxcywh(box)[2:] * (size / window.side)
    # Over size - 1, as pixels are counted from centre to centre there.
    low = (size - 1) / 2 - side / 2
    return (np.concatenate([low, side]) / (size - 1)).astype(np.float32)


def decode_centre(
    score: torch.Tensor, size: torch.Tensor, offset: torch.Tensor, window: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the box at the largest windowed score of a centre head.

    Args:
        score: (B, 1, c, c) in (0, 1).
        size: (B, 2, c, c) fractions of the crop.
        offset: (B, 2, c, c) cells.
        window: (c * c,) weights of the cells.

    Returns:
        boxes (B, 4) as centre x, centre y, width, height in fractions of the crop, and the largest products (B,).
    """
    import torch

    cells = score.shape[-1]
    scores, index = (score.flatten(1) * window).max(dim=1)
    at = index[:, None, None].expand(-1, 2, 1)
    cell = torch.stack([index % cells, index // cells], dim=1)
    centres = (cell + offset.flatten(2).gather(2, at).squeeze(2)) / cells
    return torch.cat([centres, size.flatten(2).gather(2, at).squeeze(2)], dim=1), scores


def limit_center(boxes: ArrayLike, width: int, height: int) -> Boxes:
    """Keep the centres of (N, 4) xyxy boxes in the image, their sides between 10 px and the image's.

    The rule of TransT: the boxes themselves may reach over the image.
    """
    limits = np.array([width, height], dtype=np.float64)
    b = xyxy_to_cxcywh(as_boxes(boxes))
    b[:, :2] = np.clip(b[:, :2], 0, limits)
    b[:, 2:] = np.maximum(np.minimum(b[:, 2:], limits), MIN_SIDE)
    return cxcywh_to_xyxy(b)


def limit_corners(boxes: ArrayLike, width: int, height: int) -> Boxes:
    """Cut (N, 4) xyxy boxes to the image, keep their sides at 10 px or more (STARK, MixFormer, MCITrack)."""
    limits = np.array([width, height], dtype=np.float64)
    b = as_boxes(boxes)
    # The margin is kept at both ends, so that a box that left still has its 10 px in the image.
    low = np.clip(b[:, :2], 0, np.maximum(limits - MIN_SIDE, 0))
    high = np.clip(b[:, 2:], MIN_SIDE, np.maximum(limits, MIN_SIDE))
    return np.concatenate([low, low + np.maximum(high - low, MIN_SIDE)], axis=1)


def search_crops(image: Image, boxes: Boxes, factor: float, size: int) -> tuple[list[Image], list[float]]:
    """Search regions of (N, 4) boxes, `factor` times the square root of their area wide, as crops (size, size, 3), and
    their sides in the image (as STARK cuts them, and those that came of it)."""
    windows = [area_window(box, factor) for box in boxes]
    return [crop(image, w, size, cut_last=True) for w in windows], [w.side for w in windows]


def boxes_in_image(image: Image, predicted: ArrayLike, previous: ArrayLike, sides: ArrayLike) -> Boxes:
    """Boxes that were predicted in `search_crops`, in the image and cut to it; see `boxes_from_crops`, `limit_corners`."""
    height, width = image.shape[:2]
    return limit_corners(boxes_from_crops(predicted, previous, sides), width, height)


def _cxcywh(box: ArrayLike) -> tuple[float, float, float, float]:
    values = np.asarray(box, dtype=np.float64).reshape(-1)
    if values.shape != (4,) or not np.isfinite(values).all() or (values[2:] <= values[:2]).any():
        raise InputError(
            f"A search window needs a finite box x1 < x2, y1 < y2 in pixels, got {values.tolist()}. "
            "Remedy: give a box with a positive width and height."
        )
    cx, cy, w, h = xyxy_to_cxcywh(values).tolist()
    return cx, cy, w, h


def _sample(image: Image, window: tuple[int, int, int, int], size: int, colour: tuple[int, ...]) -> Image:
    left, top, wide, high = window
    # cv2.resize's own places: centres of pixels, half a pixel in.
    steps = np.arange(size) + 0.5
    x, y = np.meshgrid(steps * (wide / size) - 0.5 + left, steps * (high / size) - 0.5 + top)
    maps = (x.astype(np.float32), y.astype(np.float32))
    out = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=colour)
    return np.asarray(out, dtype=np.uint8)
