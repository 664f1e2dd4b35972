"""Cutie: masks through pixel memory and object memory, robust among many similar objects.

Paper: Cheng et al., "Putting the Object Back into Video Object Segmentation", CVPR 2024,
https://arxiv.org/abs/2310.12982. Official code: https://github.com/hkchengrex/Cutie (MIT); run through the package
`cutie` (wheel `rf-cutie`), its networks and its inference core.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import WeightFile
from vtlab.errors import InputError
from vtlab.registry import register
from vtlab.trackers.masks.base import ACCEPTS
from vtlab.trackers.masks.long_term import LongTermTracker
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
# Pixels of a memory element, as in the package's networks.
_STRIDE = 16
_BUFFER = 2000
"""Elements of which long-term memory is emptied at a time, as in the official settings."""

_RELEASE = "https://github.com/hkchengrex/Cutie/releases"


def _file(name: str, size: int = 0, sha256: str | None = None) -> WeightFile:
    return WeightFile(name, f"{_RELEASE}/download/v1.0/{name}", sha256, size, "MIT", f"{_RELEASE}/tag/v1.0")


_FILES = {
    "cutie-base": _file(
        "cutie-base-mega.pth",
        140_443_788,
        "9c05402ee36d3a356fb72715d263ba7e1ea06ad3bada48c1306491792da43023",
    ),
    "cutie-small": _file("cutie-small-mega.pth"),
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
    weights=(_FILES["cutie-base"],),
    options={"variant": "cutie-base"},
    **_CARD,
)
@register(
    "cutie-small",
    summary="Cutie small (ResNet-18), 28.7 M parameters: pixel and object memory.",
    weights=(_FILES["cutie-small"],),
    options={"variant": "cutie-small"},
    **_CARD,
)
class CutieTracker(LongTermTracker):
    """Cutie. The parameters are those of `LongTermTracker`.

    The frame of a correction stays in memory for good, so that it holds.
    """

    files = _FILES
    memory_policy = (
        "The first memory frame and corrected frames for good; the last min_frames to max_frames memory frames; of "
        "older ones prototypes, at most max_long_term for objects that came together; one running summary for each "
        "object."
    )

    def _load(self, variant: str, weights: str | Path | None, *, device: str, dtype: str) -> torch.device:
        if dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
        target = find_device(device)
        from vtlab.nets import cutie
        from vtlab.weights import checkpoints, fetch

        self.dtype, self._config = dtype, cutie.settings(variant.removeprefix("cutie-"))
        path = Path(weights) if weights is not None else fetch(_FILES[variant])
        network = cutie.build(self._config)
        checkpoints.load_into(network, path, what=variant, variant_of=cutie.variant_of)
        self._network = network.to(target)
        return target

    def _reset(self) -> None:
        self._inference: Any = None

    def _drop(self, object_ids: list[int]) -> None:
        """Remove objects, and what the package leaves of them: their summaries and their last masks."""
        order = self._order()
        kept = [k for k, i in enumerate(order) if i not in object_ids]
        if not kept:
            self._inference = None
            return
        core = self._inference
        core.delete_objects(object_ids)
        core.last_mask = core.last_mask[:, kept]
        for object_id in object_ids:
            core.memory.obj_v.pop(object_id, None)

    def _order(self) -> list[int]:
        if self._inference is None:
            return []
        order = self._inference.object_manager.tmp_id_to_obj
        return [int(order[k].id) for k in sorted(order)]

    @contextmanager
    def _context(self) -> Iterator[None]:
        import torch

        half = self.dtype != "float32"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.cuda.amp.autocast.*", FutureWarning)
            with torch.autocast(self._device.type, getattr(torch, self.dtype)) if half else nullcontext():
                yield

    def _step(self, image: torch.Tensor, masks: Mapping[int, torch.Tensor]) -> torch.Tensor:
        import torch

        if self._inference is None:
            self._inference = self._new_inference(*image.shape[1:])
        if not masks:
            return self._inference.step(image)
        known = self._order()
        order = sorted(masks, key=lambda i: known.index(i) if i in known else len(known))
        given = torch.zeros(image.shape[1:], dtype=torch.int64, device=self._device)
        for object_id in order:
            given[masks[object_id] > 0] = object_id
        corrected = any(i in known for i in order)
        return self._inference.step(image, given, objects=order, force_permanent=corrected)

    def _new_inference(self, height: int, width: int) -> Any:
        """The package's inference, with as much memory as is wanted and as frames of this size have elements for."""
        from cutie.inference.inference_core import InferenceCore

        wanted, config = self._settings, self._config
        cells = -(-height // _STRIDE) * -(-width // _STRIDE)
        config.mem_every, config.use_long_term = wanted.every, wanted.long_term
        config.top_k = min(wanted.top_k, cells)
        config.max_mem_frames = config.long_term.max_mem_frames = wanted.max_frames
        config.long_term.min_mem_frames = wanted.min_frames
        prototypes = min(wanted.prototypes, cells * (wanted.max_frames - wanted.min_frames))
        config.long_term.num_prototypes = prototypes
        config.long_term.max_num_tokens = wanted.max_long_term
        config.long_term.buffer_tokens = min(_BUFFER, (wanted.max_long_term - prototypes) // 2)
        core = InferenceCore(self._network, cfg=config)
        manager = core.object_manager
        # The package segments the rest only where a given object is new, and fails on a correction of one of several.
        manager.has_all = lambda given: set(manager.all_obj_ids) <= set(given)
        return core
