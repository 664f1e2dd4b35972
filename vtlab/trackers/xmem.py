"""XMem: masks through three memories, so that long videos fit. No limit on the video's length.

Paper: Cheng and Schwing, "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model", ECCV
2022, https://arxiv.org/abs/2207.07115. Official code: https://github.com/hkchengrex/XMem (MIT). The network is
`vtlab.nets.xmem`, the memories are `vtlab.trackers._xmem_core`; both are in parity with the official code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.errors import InputError
from vtlab.protocols import Segmenter, WeightFile
from vtlab.registry import register
from vtlab.segmenters import create_segmenter
from vtlab.trackers._batch import load, place
from vtlab.trackers._crops import IMAGENET_MEAN, IMAGENET_STD
from vtlab.trackers._masks import ACCEPTS, Hint, MaskAnswer, MaskTracker, label_image, mask_of, scale_mask

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

_RELEASE = "https://github.com/hkchengrex/XMem/releases"


def _file(name: str) -> WeightFile:
    return WeightFile(
        name,
        f"{_RELEASE}/download/v1.0/{name}",
        licence="MIT",
        source=f"{_RELEASE}/tag/v1.0",
        size=249_000_000,
    )


_FILES = {"xmem": _file("XMem.pth"), "xmem-s012": _file("XMem-s012.pth")}
_CARD: dict[str, Any] = {
    "family": "vos",
    "accepts": ACCEPTS,
    "emits": {"masks", "boxes"},
    "paper": "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model, ECCV 2022",
    "paper_url": "https://arxiv.org/abs/2207.07115",
    "code": "https://github.com/hkchengrex/XMem",
    "licence": "MIT",
    "requires": "torch",
}


@register(
    "xmem",
    summary="XMem, 62.2 M parameters: sensory, working and long-term memory; all objects in one batch.",
    weights=(_FILES["xmem"],),
    options={"variant": "xmem"},
    **_CARD,
)
@register(
    "xmem-s012",
    summary="XMem trained on static images, YouTube-VOS and DAVIS only (no BL30K).",
    weights=(_FILES["xmem-s012"],),
    options={"variant": "xmem-s012"},
    **_CARD,
)
class XMemTracker(MaskTracker):
    """XMem for any number of objects and frames.

    The score is the mean probability inside the mask.

    Args:
        variant: "xmem" or "xmem-s012", which differ in their training only.
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        size: Shorter side in pixels to which frames are scaled; None = as they are.
        memory_every: A frame enters the memory when so many frames have passed since the last that did. A number
            of frames, as in the official settings (5; 10 for videos of several minutes), not of seconds.
        top_k: Memory elements that one position reads.
        long_term: Consolidate old frames; without it every memory frame is kept and memory grows.
        max_frames: Memory frames in working memory at which it is consolidated.
        min_frames: Memory frames that then stay, at least 2.
        prototypes: Elements that one consolidation adds to long-term memory.
        max_long_term: Elements in long-term memory, at most.
        device: "auto", "cpu", "cuda", ...
        dtype: "float32", "float16" or "bfloat16"; keys and probabilities always are float32.
        segmenter: What turns boxes and clicks into masks: a name (`vtlab.segmenters.NAMES`) or a segmenter.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        InputError: An option is out of range, or the device is not there.
    """

    memory_policy = (
        "Every cell of the first memory frame and of the last min_frames to max_frames memory frames; of older "
        "ones prototypes, of which the least used are removed beyond max_long_term."
    )

    def __init__(
        self,
        *,
        variant: str = "xmem",
        weights: str | Path | None = None,
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
        if variant not in _FILES:
            raise InputError(f"variant must be one of {', '.join(_FILES)}; got {variant!r}.")
        if (
            memory_every < 1
            or top_k < 1
            or not 2 <= min_frames < max_frames
            or (size is not None and size < 16)
        ):
            raise InputError(
                "XMem needs memory_every >= 1, top_k >= 1, 2 <= min_frames < max_frames and size >= 16 or None; got "
                f"{memory_every}, {top_k}, {min_frames}, {max_frames}, {size}."
            )
        if not 1 <= prototypes < max_long_term:
            raise InputError(
                f"XMem needs 1 <= prototypes < max_long_term; got {prototypes}, {max_long_term}."
            )
        self.size = size
        self._segmenter = create_segmenter(segmenter)
        from vtlab.nets import xmem

        network = load(xmem.XMem, weights, _FILES[variant], what=variant, variant_of=xmem.variant_of)
        self._network, self._device, self._dtype = place(
            network, device=device, dtype=dtype, channels_last=False, compile=False
        )
        from vtlab.trackers._xmem_core import MemorySettings

        self._settings = MemorySettings(
            every=memory_every,
            top_k=top_k,
            long_term=long_term,
            max_frames=max_frames,
            min_frames=min_frames,
            prototypes=prototypes,
            max_long_term=max_long_term,
        )
        self._reset()

    def _reset(self) -> None:
        from vtlab.trackers._xmem_core import Core

        self._core = Core(self._network, self._settings)

    def _drop(self, object_ids: list[int]) -> None:
        self._core.remove(object_ids)

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        import torch

        height, width = frame.image.shape[:2]
        masks = {i: mask_of(hint, frame.image, self._segmenter) for i, hint in hints.items()}
        size = self._scaled(height, width)
        given = {i: scale_mask(m, size, self._device) for i, m in masks.items()}
        with torch.inference_mode():
            p = self._core.step(self._image(frame.image, size), given)
            labels, scores = label_image(p, height, width)
        ids = list(self._core.objects)
        return MaskAnswer(ids, scores, np.ones(len(ids), bool), labels=labels)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        if self.size is None:
            return height, width
        short = min(height, width)
        return int(height / short * self.size), int(width / short * self.size)

    def _image(self, image: Any, size: tuple[int, int]) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        x = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        x = (x - x.new_tensor(IMAGENET_MEAN)[:, None, None]) / x.new_tensor(IMAGENET_STD)[:, None, None]
        if x.shape[1:] != size:
            x = F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]
        return x.to(self._dtype)
