"""XMem: masks through three memories, so that long videos fit. No limit on the video's length.

Paper: Cheng and Schwing, "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model", ECCV
2022, https://arxiv.org/abs/2207.07115. Official code: https://github.com/hkchengrex/XMem (MIT). The network is
`vtlab.nets.xmem`, the memories are `vtlab.trackers.masks.xmem.inference`; both are in parity with the official code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import WeightFile
from vtlab.nets.loading import load, place
from vtlab.registry import register
from vtlab.segmenters.base import normalise
from vtlab.trackers.masks.base import ACCEPTS
from vtlab.trackers.masks.long_term import LongTermTracker

if TYPE_CHECKING:
    import torch

_RELEASE = "https://github.com/hkchengrex/XMem/releases"


def _file(name: str, size: int = 0, sha256: str | None = None) -> WeightFile:
    return WeightFile(name, f"{_RELEASE}/download/v1.0/{name}", sha256, size, "MIT", f"{_RELEASE}/tag/v1.0")


_FILES = {
    "xmem": _file(
        "XMem.pth", 249_026_057, "27776291d2f0639b4e6b372a67651579b51180aa4d8f8f89bbff2dcc09ebf6f9"
    ),
    "xmem-s012": _file("XMem-s012.pth"),
    "xmem-no-sensory": _file("XMem-no-sensory.pth"),
}
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
@register(
    "xmem-no-sensory",
    summary="XMem without sensory memory: working and long-term memory only, no hidden state for each object.",
    weights=(_FILES["xmem-no-sensory"],),
    options={"variant": "xmem-no-sensory"},
    **_CARD,
)
class XMemTracker(LongTermTracker):
    """XMem. The parameters are those of `LongTermTracker`; the variants differ in their training, and
    `xmem-no-sensory` has no hidden state.

    A corrected frame enters working memory as any other memory frame.
    """

    files = _FILES
    memory_policy = (
        "Every cell of the first memory frame and of the last min_frames to max_frames memory frames; of older "
        "ones prototypes, of which the least used are removed beyond max_long_term; a hidden state for each object."
    )

    def _load(self, variant: str, weights: str | Path | None, *, device: str, dtype: str) -> torch.device:
        from vtlab.nets import xmem

        sensory = {"c_hidden": 0} if variant == "xmem-no-sensory" else {}
        network = load(
            lambda: xmem.XMem(**sensory), weights, _FILES[variant], what=variant, variant_of=xmem.variant_of
        )
        self._network, target, self._dtype = place(
            network, device=device, dtype=dtype, channels_last=False, compile=False
        )
        return target

    def _reset(self) -> None:
        from vtlab.trackers.masks.xmem.inference import Inference

        self._inference = Inference(self._network, self._settings)

    def _drop(self, object_ids: list[int]) -> None:
        self._inference.remove(object_ids)

    def _order(self) -> list[int]:
        return list(self._inference.objects)

    def _step(self, image: torch.Tensor, masks: Mapping[int, torch.Tensor]) -> torch.Tensor:
        return self._inference.step(normalise(image).to(self._dtype), masks)
