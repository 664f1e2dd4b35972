"""Cutie: masks through pixel memory and object memory, robust among many similar objects.

Paper: Cheng et al., "Putting the Object Back into Video Object Segmentation", CVPR 2024,
https://arxiv.org/abs/2310.12982. Official code: https://github.com/hkchengrex/Cutie (MIT); run through the package
`cutie` (wheel `rf-cutie`), its networks and its inference core.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.device import find_device
from vtlab.errors import InputError
from vtlab.protocols import Segmenter, WeightFile
from vtlab.registry import register
from vtlab.segmenters import create_segmenter
from vtlab.trackers._masks import ACCEPTS, Hint, MaskAnswer, MaskTracker, label_image, mask_of, scale_mask

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

DTYPES = ("float32", "bfloat16", "float16")
_STRIDE, _TOP_K = 16, 30
_RELEASE = "https://github.com/hkchengrex/Cutie/releases"


def _file(name: str, size: int) -> WeightFile:
    return WeightFile(
        name, f"{_RELEASE}/download/v1.0/{name}", size=size, licence="MIT", source=f"{_RELEASE}/tag/v1.0"
    )


_FILES = {
    "base": _file("cutie-base-mega.pth", 140_000_000),
    "small": _file("cutie-small-mega.pth", 115_000_000),
}
_CARD: dict[str, Any] = {
    "family": "vos",
    "accepts": ACCEPTS,
    "emits": {"masks", "boxes"},
    "paper": "Putting the Object Back into Video Object Segmentation, CVPR 2024",
    "paper_url": "https://arxiv.org/abs/2310.12982",
    "code": "https://github.com/hkchengrex/Cutie",
    "licence": "MIT",
    "requires": "cutie",
}


@register(
    "cutie-base",
    summary="Cutie base (ResNet-50), 35.0 M parameters: pixel and object memory.",
    weights=(_FILES["base"],),
    options={"model": "base"},
    **_CARD,
)
@register(
    "cutie-small",
    summary="Cutie small (ResNet-18), 28.7 M parameters: pixel and object memory.",
    weights=(_FILES["small"],),
    options={"model": "small"},
    **_CARD,
)
class CutieTracker(MaskTracker):
    """Cutie for any number of objects and frames.

    The frame of a correction stays in memory for good, so that it holds. The score is the mean probability inside
    the mask.

    Args:
        model: "base" or "small".
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        size: Shorter side in pixels to which larger frames are reduced; None = as they are.
        memory_every: A frame enters the memory when so many frames have passed since the last that did. A number
            of frames, as in the official settings (5, or 10 for long videos), not of seconds.
        long_term: Consolidate old frames into long-term memory; without it the last few memory frames are kept.
        max_frames: Memory frames in working memory at which it is consolidated (or from which the oldest leaves).
        min_frames: Memory frames that stay after a consolidation.
        prototypes: Elements that one consolidation adds to long-term memory.
        max_long_term: Elements in long-term memory, at most.
        device: "auto", "cpu", "cuda", ...
        dtype: "float32", or "bfloat16" or "float16" by autocast.
        segmenter: What turns boxes and clicks into masks: a name (`vtlab.segmenters.NAMES`) or a segmenter.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: PyTorch or the package `cutie` is not installed.
        InputError: An option is out of range, or the device is not there.
    """

    memory_policy = (
        "The first memory frame and corrected frames for good; the last min_frames to max_frames memory frames; of "
        "older ones prototypes, at most max_long_term; one running summary for each object."
    )

    def __init__(
        self,
        *,
        model: str = "base",
        weights: str | Path | None = None,
        size: int | None = 480,
        memory_every: int = 5,
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
        if model not in _FILES or dtype not in DTYPES or memory_every < 1 or (size is not None and size < 16):
            raise InputError(
                f"Cutie needs model in {tuple(_FILES)}, dtype in {DTYPES}, memory_every >= 1 and size >= 16 or None; "
                f"got {model!r}, {dtype!r}, {memory_every}, {size}."
            )
        if not 1 <= min_frames < max_frames or not 1 <= prototypes < max_long_term:
            raise InputError(
                "Cutie needs 1 <= min_frames < max_frames and 1 <= prototypes < max_long_term; got "
                f"{min_frames}, {max_frames}, {prototypes}, {max_long_term}."
            )
        self.size, self.dtype = size, dtype
        self._device = find_device(device)
        self._segmenter = create_segmenter(segmenter)
        from vtlab import checkpoints
        from vtlab.nets import cutie
        from vtlab.weights import fetch

        config = cutie.settings(model)
        config.mem_every, config.use_long_term = memory_every, long_term
        config.max_mem_frames = max_frames
        config.long_term.max_mem_frames, config.long_term.min_mem_frames = max_frames, min_frames
        config.long_term.num_prototypes, config.long_term.max_num_tokens = prototypes, max_long_term
        config.long_term.buffer_tokens = max(min(2000, max_long_term // 5), prototypes)
        path = Path(weights) if weights is not None else fetch(_FILES[model])
        self._config, network = config, cutie.build(config)
        checkpoints.load_into(network, path, what=f"cutie-{model}", variant_of=cutie.variant_of)
        self._network = network.to(self._device)
        self._reset()

    def _reset(self) -> None:
        self._core: Any = None

    def _drop(self, object_ids: list[int]) -> None:
        if set(object_ids) == set(self._ids):
            self._core = None
        elif self._core is not None:
            self._core.delete_objects(object_ids)

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        import torch

        if self._core is None and not hints:
            return MaskAnswer([], np.empty(0), np.empty(0, bool))
        height, width = frame.image.shape[:2]
        masks = {i: mask_of(hint, frame.image, self._segmenter) for i, hint in hints.items()}
        size = self._scaled(height, width)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.dtype != "float32":
                stack.enter_context(torch.autocast(self._device.type, getattr(torch, self.dtype)))
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ".*torch.cuda.amp.autocast.*", FutureWarning)
            p = self._step(self._image(frame.image, size), masks, size)
            labels, scores = label_image(p.float(), height, width)
        order = self._core.object_manager.tmp_id_to_obj
        ids = [int(order[k].id) for k in sorted(order)]
        return MaskAnswer(ids, scores, np.ones(len(ids), bool), labels=labels)

    def _step(self, image: torch.Tensor, masks: Mapping[int, Any], size: tuple[int, int]) -> torch.Tensor:
        """Probabilities (1 + K, h, w) of the background and the objects in the core's order."""
        import torch

        if self._core is None:
            from cutie.inference.inference_core import InferenceCore

            cells = -(-size[0] // _STRIDE) * -(-size[1] // _STRIDE)
            self._config.top_k = min(_TOP_K, cells)
            self._core = InferenceCore(self._network, cfg=self._config)
        if not masks:
            return self._core.step(image)
        order = sorted(masks, key=lambda i: self._ids.index(i) if i in self._ids else len(self._ids))
        given = torch.zeros(size, dtype=torch.int64, device=self._device)
        for object_id in order:
            given[scale_mask(masks[object_id], size, self._device) > 0] = object_id
        corrected = any(i in self._ids for i in order)
        return self._core.step(image, given, objects=order, force_permanent=corrected)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        short = min(height, width)
        if self.size is None or short <= self.size:
            return height, width
        return int(height / short * self.size), int(width / short * self.size)

    def _image(self, image: Any, size: tuple[int, int]) -> torch.Tensor:
        """RGB in [0, 1]; the network normalises."""
        import torch
        import torch.nn.functional as F

        x = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        if x.shape[1:] != size:
            x = F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]
        return x
