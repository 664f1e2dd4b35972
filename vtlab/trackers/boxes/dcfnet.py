"""DCFNet: a correlation filter on learned features, learned again on every frame.

Paper: Wang et al., "DCFNet: Discriminant Correlation Filters Network for Visual Tracking", 2017,
https://arxiv.org/abs/1704.04057. Code: https://github.com/foolwood/DCFNet_pytorch (MIT). The network is
`vtlab.nets.dcfnet`; three scales, their penalties and the rate of learning follow the official tracker with the constants
that Python 2 made of them (scales 1 / 1.0275, 1, 1.0275, as in the paper).

Differs from the official code: the largest size is the frame's width and height, which the official code swaps; all objects
of a frame make one batch, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.geometry import cxcywh_to_xyxy, xyxy_to_cxcywh
from vtlab.nets.loading import load
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import NetworkTracker, Target
from vtlab.trackers.boxes.crops import Boxes

if TYPE_CHECKING:
    import torch

SIZE, AROUND = 125, 3.0
"""Side of the crop, and its width in sizes of the box (DCFNet_pytorch/track/DCFNet.py, which the next three are of,
too).
"""
SCALES = 1.0275 ** np.arange(-1.0, 2.0)
"""Of the three windows that are tried."""
PENALTIES = np.array([0.9925, 1.0, 0.9925])
"""What a change of scale costs."""
MEAN_BGR = (104.0, 117.0, 123.0)
"""Of the training images."""
SMALLEST, LARGEST, LEAST = 0.2, 5.0, 4.0
"""Limits of the size, as factors of the first, and pixels."""
_SOURCE = "https://github.com/foolwood/DCFNet_pytorch"
_WEIGHTS = WeightFile(
    "dcfnet_param.pth",
    "https://raw.githubusercontent.com/foolwood/DCFNet_pytorch/b8434baa2d136df8f55c1addb3e77f40b3c379fc/track/param.pth",
    "8a9c2ad0a25998d873152e67f2bc4ff83ed2cfed54f4f08cb8acd37810dfc0b8",
    41232,
    "MIT",
    _SOURCE,
)


@dataclass(eq=False)
class _Target(Target):
    """A target with its filter (125, 63), the spectrum that belongs to it (32, 125, 63), and the limits of its size."""

    filter: torch.Tensor = field(kw_only=True)
    spectrum: torch.Tensor = field(kw_only=True)
    limits: NDArray[np.float64] = field(kw_only=True)


@register(
    "dcfnet",
    family="sot",
    summary="DCFNet: a correlation filter on two learned convolutions, 41 kB of weights; learns on every frame.",
    accepts={BoxPrompt},
    paper="DCFNet: Discriminant Correlation Filters Network for Visual Tracking, 2017",
    paper_url="https://arxiv.org/abs/1704.04057",
    code=_SOURCE,
    licence="MIT",
    requires="torch",
    weights=(_WEIGHTS,),
)
class DCFNet(NetworkTracker[_Target]):
    """DCFNet for any number of objects in one batch. One object keeps 2 MB.

    The score is the peak of the filter's response, in [0, 1]: 1 where the object looks as it was learned. It is no
    probability, and often low for an object that is followed well.

    Args:
        weights: Checkpoint file to use instead of the official one.
        rate: Share of the newest frame in the filter, 0 to 1.
        visible_above: Score from which an object counts as seen.
        device: PyTorch device, or "auto".
        batch: Most objects in one pass of the network.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another network.
        InputError: An option is out of range.
    """

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        rate: float = 0.01,
        visible_above: float = 0.05,
        device: str = "auto",
        batch: int = 16,
    ):
        from vtlab.nets import dcfnet

        super().__init__(visible_above=visible_above, batch=batch)
        self.rate = rate
        network = load(dcfnet.DCFNet, weights, _WEIGHTS, what="dcfnet", variant_of=dcfnet.variant_of)
        self._place(network, device=device, dtype="float32", channels_last=False, compile=False)

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        # Limits of the first frame hold for the whole video, as in the official code.
        size = np.array(image.shape[1::-1], dtype=np.float64)
        found = xyxy_to_cxcywh(boxes)
        made = []
        for begin in range(0, len(boxes), self.batch):
            part = found[begin : begin + self.batch]
            filters, spectra = self._learned(image, part)
            for box, at, a, z in zip(boxes[begin : begin + self.batch], part, filters, spectra, strict=True):
                limits = np.stack([np.maximum(SMALLEST * at[2:], LEAST), np.minimum(size, LARGEST * at[2:])])
                made.append(_Target(box, filter=a, spectrum=z, limits=limits))
        return made

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        import torch

        last = xyxy_to_cxcywh(np.array([t.box for t in targets]))
        windows = AROUND * last[:, None, 2:] * SCALES[:, None]
        crops = [_crop(image, at[:2], w) for at, each in zip(last, windows, strict=True) for w in each]
        with torch.inference_mode():
            filters, spectra = (
                torch.stack(rows) for rows in zip(*((t.filter, t.spectrum) for t in targets), strict=True)
            )
            response = self._network(filters, spectra, self._crops(crops).unflatten(0, (len(targets), -1)))
            flat = response.flatten(2).cpu().numpy()
        rows = np.arange(len(targets))
        # A change of scale must pay: the peak of an unchanged one counts whole.
        best = np.argmax(flat.max(axis=2) * PENALTIES, axis=1)
        chosen = flat[rows, best]
        peak = np.argmax(chosen, axis=1)
        shift = np.stack([peak % SIZE, peak // SIZE], axis=1)
        # The response is periodic: its second half stands for moves to the left and up.
        shift = np.where(shift > SIZE // 2, shift - SIZE, shift)
        window = windows[rows, best]
        limits = np.stack([t.limits for t in targets])
        size = np.minimum(np.maximum(window / AROUND, limits[:, 0]), np.maximum(limits[:, 1], limits[:, 0]))
        moved = np.concatenate([last[:, :2] + shift * window / SIZE, size], axis=1)
        scores = np.where(np.isfinite(flat).all(axis=(1, 2)), chosen[rows, peak], np.nan)
        return cxcywh_to_xyxy(moved), scores.astype(np.float64)

    def _learn(self, image: Image, targets: Sequence[_Target], scores: NDArray[np.float64]) -> None:
        import torch

        for begin in range(0, len(targets), self.batch):
            part = targets[begin : begin + self.batch]
            filters, spectra = self._learned(image, xyxy_to_cxcywh(np.array([t.box for t in part])))
            with torch.inference_mode():
                for target, a, z in zip(part, filters, spectra, strict=True):
                    # Filter and spectrum are averaged apart, on every frame: nothing tells a bad frame from a good
                    # one.
                    target.filter = (1 - self.rate) * target.filter + self.rate * a
                    target.spectrum = (1 - self.rate) * target.spectrum + self.rate * z

    def _learned(self, image: Image, at: NDArray[np.float64]) -> tuple[Any, Any]:
        """Filters and spectra of the crops around boxes (N, 4) cxcywh."""
        import torch

        with torch.inference_mode():
            spectra = self._network.spectrum(
                self._crops([_crop(image, box[:2], AROUND * box[2:]) for box in at])
            )
            return self._network.learn(spectra).unbind(), spectra.unbind()

    def _crops(self, crops: Sequence[Image]) -> torch.Tensor:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(np.stack(crops)[..., ::-1])).to(self._device)
        return (pixels.float() - torch.tensor(MEAN_BGR, device=self._device)).permute(0, 3, 1, 2).contiguous()


def _crop(image: Image, centre: NDArray[np.float64], window: NDArray[np.float64]) -> Image:
    """Stretch the rectangle of size `window` around `centre` to (125, 125, 3); black outside the image."""
    # Corner pixels on corners, hence SIZE - 1, as in the official code; a rectangle becomes a square.
    scale = (SIZE - 1) / window
    low = centre - window / 2
    warp = np.array([[scale[0], 0, -scale[0] * low[0]], [0, scale[1], -scale[1] * low[1]]])
    return np.asarray(cv2.warpAffine(image, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR), dtype=np.uint8)
