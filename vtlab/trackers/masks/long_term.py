"""What XMem and Cutie share: masks in, probabilities out, and one set of parameters for memories that are bounded.

Both keep a working memory of whole frames and a long-term memory of prototypes (XMem, ECCV 2022, arXiv:2207.07115). A
method names its checkpoints and implements `_load`, `_step` and `_order`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vtlab.contracts import Segmenter, WeightFile
from vtlab.errors import InputError
from vtlab.segmenters import create_segmenter
from vtlab.trackers.masks.base import Hint, MaskAnswer, MaskTracker, label_image, mask_of, scale_mask

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame


@dataclass(frozen=True)
class MemorySettings:
    """What is kept. Counts of memory frames are counts of frames that entered the memory.

    Attributes:
        every: A frame enters the memory when so many frames have passed since the last one that did.
        deep_every: Reinforce the hidden state when so many frames have passed; None: with each memory frame.
        top_k: Memory elements that one query pixel reads.
        long_term: Consolidate; without it no prototypes are made of frames that leave working memory.
        max_frames: Memory frames in working memory at which it is consolidated.
        min_frames: Memory frames in working memory after consolidation.
        prototypes: Elements that one consolidation adds to long-term memory.
        max_long_term: Elements in long-term memory, at most.
    """

    # All numbers are XMem's (eval.py), which Cutie keeps.
    every: int = 5
    deep_every: int | None = None
    top_k: int = 30
    long_term: bool = True
    max_frames: int = 10
    min_frames: int = 5
    prototypes: int = 128
    max_long_term: int = 10_000


class LongTermTracker(MaskTracker):
    """Mask tracker with working and long-term memory, for any number of objects and frames.

    The score is the mean probability inside the mask; an object is visible where it has a mask.

    Args:
        variant: One of the names under which the class is registered; None = the first.
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        size: Shorter side in pixels to which larger frames are reduced; None = as they are.
        memory_every: A frame enters the memory when so many frames have passed since the last that did. A number
            of frames, as in the official settings (5; 10 for videos of several minutes), not of seconds.
        top_k: Memory elements that one position reads.
        long_term: Consolidate old frames into long-term memory; without it XMem keeps every memory frame, so that
            its memory grows, and Cutie the last `max_frames`.
        max_frames: Memory frames in working memory at which it is consolidated.
        min_frames: Memory frames that then stay, at least 2.
        prototypes: Elements that one consolidation adds to long-term memory.
        max_long_term: Elements in long-term memory, at most.
        device: "auto", "cpu", "cuda", ...
        dtype: "float32", "float16" or "bfloat16"; keys and probabilities always are float32.
        segmenter: What turns boxes and clicks into masks: what `create_segmenter` takes.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: PyTorch, or the package that the method runs on, is not installed.
        InputError: An option is out of range, or the device is not there.
    """

    files: ClassVar[Mapping[str, WeightFile]] = {}
    """Variant -> official checkpoint."""

    def __init__(
        self,
        *,
        variant: str | None = None,
        weights: str | Path | None = None,
        # The official evaluation's.
        size: int | None = 480,
        memory_every: int = 5,
        top_k: int = 30,
        long_term: bool = True,
        max_frames: int = 10,
        min_frames: int = 5,
        prototypes: int = 128,
        max_long_term: int = 10_000,
        device: str = "auto",
        dtype: str = "float32",
        segmenter: str | Segmenter = "grabcut",
    ):
        super().__init__()
        variant = variant or next(iter(self.files))
        if variant not in self.files:
            raise InputError(f"variant must be one of {', '.join(self.files)}; got {variant!r}.")
        if (
            memory_every < 1
            or top_k < 1
            # From 2: the official code breaks at 1, and there is nothing to consolidate where none leave.
            or not 2 <= min_frames < max_frames
            or not 1 <= prototypes < max_long_term
            or (size is not None and size < 16)
        ):
            raise InputError(
                f"{variant} needs memory_every >= 1, top_k >= 1, 2 <= min_frames < max_frames, 1 <= prototypes < "
                f"max_long_term and size >= 16 or None; got {memory_every}, {top_k}, {min_frames}, {max_frames}, "
                f"{prototypes}, {max_long_term}, {size}."
            )
        self.size = size
        self._segmenter = create_segmenter(segmenter)
        self._settings = MemorySettings(
            memory_every, None, top_k, long_term, max_frames, min_frames, prototypes, max_long_term
        )
        self._device = self._load(variant, weights, device=device, dtype=dtype)
        self._reset()

    @abstractmethod
    def _load(self, variant: str, weights: str | Path | None, *, device: str, dtype: str) -> torch.device:
        """Make the network ready; return its device."""

    @abstractmethod
    def _step(self, image: torch.Tensor, masks: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Go to the next frame.

        Args:
            image: (3, h, w), RGB in [0, 1].
            masks: (h, w) of 0 and 1 for each object that is given on it.

        Returns:
            Probabilities (1 + K, h, w) of the background and of the objects of `_order`.
        """

    @abstractmethod
    def _order(self) -> list[int]:
        """Ids of the objects that are followed, in the order of the channels."""

    def _context(self) -> AbstractContextManager[Any]:
        """What `_step` runs in."""
        return nullcontext()

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        import torch

        height, width = frame.image.shape[:2]
        masks = {i: mask_of(hint, frame.image, self._segmenter) for i, hint in hints.items()}
        if not masks and not self._order():
            return MaskAnswer([], np.empty(0), np.empty(0, bool))
        size = self._scaled(height, width)
        given = {i: scale_mask(m, size, self._device) for i, m in masks.items()}
        with torch.inference_mode(), self._context():
            p = self._step(self._image(frame.image, size), given)
            labels, scores = label_image(p.float(), height, width)
        ids = self._order()
        return MaskAnswer(ids, scores, np.ones(len(ids), bool), labels=labels)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        short = min(height, width)
        if self.size is None or short <= self.size:
            return height, width
        # Cut, not rounded, as the official evaluation does.
        return int(height / short * self.size), int(width / short * self.size)

    def _image(self, image: Any, size: tuple[int, int]) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        x = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        if x.shape[1:] != size:
            x = F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]
        return x
