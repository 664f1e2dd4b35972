"""What segmenters by a network share: an image is encoded once, and boxes and clicks on it are then quick.

Kirillov et al., "Segment Anything", ICCV 2023, arXiv:2304.02643: an encoder of images and a light decoder of prompts.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Image
from vtlab.errors import InputError
from vtlab.masks import Mask
from vtlab.segmenters.grabcut import as_clicks

if TYPE_CHECKING:
    import torch

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and deviation of RGB in [0, 1], by which images are normalised."""


class PromptableSegmenter(ABC):
    """Segmenter by a network; a method implements `_encode` and `_decode`. Features of the last image are kept."""

    def __init__(self) -> None:
        self._seen: tuple[bytes, Any] | None = None

    @abstractmethod
    def _encode(self, image: Image) -> Any:
        """Features of an image."""

    @abstractmethod
    def _decode(
        self,
        features: Any,
        size: tuple[int, int],
        *,
        box: ArrayLike | None,
        clicks: NDArray[np.float64],
        positive: NDArray[np.bool_],
        several: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (M, H, W) of an image of `size` (H, W) and estimated IoUs (M,); M is 3, or 1 unless `several`."""

    def segment(
        self,
        image: Image,
        *,
        box: ArrayLike | None = None,
        points: ArrayLike | None = None,
        positive: Sequence[bool] | None = None,
    ) -> tuple[Mask, float]:
        """Return the mask (H, W) that the network rates best for a box (4,) xyxy and/or clicks (K, 2).

        A single click is ambiguous (a button, a shirt, a person): the best of three masks is taken; `propose`
        gives all three. The score is the estimated IoU, in [0, 1].

        Raises:
            InputError: Neither a box nor a click is given, or one lies outside the image.
        """
        clicks, _ = as_clicks(points, positive)
        masks, scores = self.propose(
            image, box=box, points=points, positive=positive, several=box is None and len(clicks) == 1
        )
        best = int(scores.argmax())
        return masks[best], float(scores[best])

    def propose(
        self,
        image: Image,
        *,
        box: ArrayLike | None = None,
        points: ArrayLike | None = None,
        positive: Sequence[bool] | None = None,
        several: bool = True,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return masks (M, H, W) and their estimated IoUs (M,); M is 3, or 1 unless `several`.

        Raises:
            InputError: Neither a box nor a click is given, or one lies outside the image.
        """
        import torch

        height, width = image.shape[:2]
        clicks, marks = as_clicks(points, positive)
        if box is None and not len(clicks):
            raise InputError("Segmenting needs a box or at least one click.")
        inside = np.logical_and.reduce((clicks >= 0) & (clicks <= [width, height]), axis=1)
        if not inside.all():
            raise InputError(
                f"A click lies outside the image of {width} x {height} px: {clicks[~inside].tolist()}."
            )
        key = hashlib.sha256(image.tobytes()).digest() + str(image.shape).encode()
        with torch.inference_mode():
            if self._seen is None or self._seen[0] != key:
                self._seen = key, self._encode(image)
            logits, ious = self._decode(
                self._seen[1], (height, width), box=box, clicks=clicks, positive=marks, several=several
            )
        return (logits > 0).cpu().numpy(), ious.double().clamp(0, 1).cpu().numpy()


def normalise(image: torch.Tensor) -> torch.Tensor:
    """Normalise (3, H, W) in [0, 1]."""
    return (image - image.new_tensor(MEAN)[:, None, None]) / image.new_tensor(STD)[:, None, None]


def shrink(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale (3, H, W) to `size`, with a filter against aliasing."""
    import torch.nn.functional as F

    return F.interpolate(image[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


def enlarge(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale (1, M, h, w) to `size`."""
    import torch.nn.functional as F

    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
