"""EdgeTAM, SAM 3 by clicks, and SAM 2.1 once more, through transformers: another back end for the same prompts.

Papers: Zhou et al., "EdgeTAM: On-Device Track Anything Model", CVPR 2025, https://arxiv.org/abs/2501.07256; Ravi et al.,
"SAM 2", https://arxiv.org/abs/2408.00714; Carion et al., "SAM 3: Segment Anything with Concepts",
https://arxiv.org/abs/2511.16719. Code: https://github.com/huggingface/transformers (Apache-2.0), models `edgetam_video`,
`sam2_video` and `sam3_tracker_video`, in their streaming mode. SAM 3's weights are under Meta's SAM License.
Objects are run one after the other there, so `vtlab.trackers.masks.sam2.tracker` is the faster one for SAM 2 itself.

Differs from the library: after each frame everything that its memory attention can't reach any more is removed, so
memory is flat in the number of frames; a correction starts from its prompt alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import WeightFile
from vtlab.errors import InputError
from vtlab.registry import register
from vtlab.segmenters.base import normalise, shrink
from vtlab.segmenters.sam2 import prompt_points, to_network
from vtlab.trackers.masks.base import ACCEPTS, Hint, MaskAnswer, MaskTracker, masks_of_logits
from vtlab.trackers.masks.sessions import SAM3_CARD, around_half, forget_outputs, sam3_file
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

_HUB = "https://huggingface.co"
_REPOSITORIES = {
    "edgetam": "yonigozlan/EdgeTAM-hf",
    "sam2.1-tiny": "facebook/sam2.1-hiera-tiny",
    "sam2.1-large": "facebook/sam2.1-hiera-large",
    "sam3": "facebook/sam3",
}
_NETWORKS = {"edgetam": "EdgeTamVideo", "sam3": "Sam3TrackerVideo"}


def _files(model: str) -> tuple[WeightFile, WeightFile]:
    if model == "sam3":
        return sam3_file("config.json"), sam3_file("model.safetensors")
    repository = f"{_HUB}/{_REPOSITORIES[model]}"

    def file(name: str) -> WeightFile:
        return WeightFile(
            f"{model}-transformers.{name}",
            f"{repository}/resolve/main/{name}",
            licence="Apache-2.0",
            source=repository,
        )

    return file("config.json"), file("model.safetensors")


_CARD: dict[str, Any] = {
    "family": "vos",
    "accepts": ACCEPTS,
    "emits": {"masks", "boxes"},
    "licence": "Apache-2.0",
    "code": "https://github.com/huggingface/transformers",
    "requires": "transformers",
}


@register(
    "sam3",
    family="vos",
    summary="SAM 3 by clicks, boxes and masks, through transformers.",
    accepts=ACCEPTS,
    emits={"masks", "boxes"},
    weights=_files("sam3"),
    options={"model": "sam3"},
    **SAM3_CARD,
)
@register(
    "edgetam",
    summary="EdgeTAM: SAM 2 made small enough for phones, through transformers.",
    paper="EdgeTAM: On-Device Track Anything Model, CVPR 2025",
    paper_url="https://arxiv.org/abs/2501.07256",
    weights=_files("edgetam"),
    options={"model": "edgetam"},
    **_CARD,
)
@register(
    "sam2.1-tiny-transformers",
    summary="SAM 2.1 tiny through transformers instead of the package sam2.",
    paper="SAM 2: Segment Anything in Images and Videos, ICLR 2025",
    paper_url="https://arxiv.org/abs/2408.00714",
    weights=_files("sam2.1-tiny"),
    options={"model": "sam2.1-tiny"},
    **_CARD,
)
@register(
    "sam2.1-large-transformers",
    summary="SAM 2.1 large through transformers instead of the package sam2.",
    paper="SAM 2: Segment Anything in Images and Videos, ICLR 2025",
    paper_url="https://arxiv.org/abs/2408.00714",
    weights=_files("sam2.1-large"),
    options={"model": "sam2.1-large"},
    **_CARD,
)
class TransformersMaskTracker(MaskTracker):
    """A mask tracker of the SAM 2 family through transformers.

    The score is the probability that the object is seen.

    Args:
        model: "edgetam", "sam3", "sam2.1-tiny" or "sam2.1-large".
        weights: Folder with `config.json` and `model.safetensors`, as the hub has them; None = the official files,
            looked up by `vtlab.weights`.
        device: "auto", "cpu", "cuda", ...

    Raises:
        WeightsError: A file is missing or damaged, or does not fit the library's model.
        MissingDependencyError: PyTorch or transformers is not installed.
        InputError: An option is out of range, or the device is not there.
    """

    memory_policy = (
        "For each object: prompted frames, the last 6 frames as spatial memories, 15 as object pointers."
    )

    def __init__(self, *, model: str = "edgetam", weights: str | Path | None = None, device: str = "auto"):
        super().__init__()
        if model not in _REPOSITORIES:
            raise InputError(f"model must be one of {', '.join(_REPOSITORIES)}; got {model!r}.")
        self._device = find_device(device)
        self._network, self._session_class = _load(model, weights)
        self._network.to(self._device)
        _repair_mask_prompts(self._network)
        self._side = int(self._network.config.image_size)
        self._normalise = around_half if model == "sam3" else normalise
        self._reset()

    def _reset(self) -> None:
        self._session: Any = None
        self._time = -1

    def _drop(self, object_ids: list[int]) -> None:
        """Take objects out of the session, whose tables are keyed by position."""
        session = self._session
        if session is None:
            return
        kept = [i for i in session.obj_ids if i not in object_ids]
        if not kept:
            self._session = None
            return
        positions = [session.obj_id_to_idx(i) for i in kept]
        for name in (
            "point_inputs_per_obj",
            "mask_inputs_per_obj",
            "output_dict_per_obj",
            "frames_tracked_per_obj",
        ):
            table = getattr(session, name)
            setattr(session, name, {k: table[p] for k, p in enumerate(positions)})
        session.keep(kept)

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        import torch

        self._time += 1
        if self._session is None and not hints:
            return MaskAnswer([], np.empty(0), np.empty(0, bool))
        height, width = frame.image.shape[:2]
        if self._session is None:
            self._session = self._session_class(
                video_height=height, video_width=width, inference_device=self._device, dtype=torch.float32
            )
        session = self._session
        with torch.inference_mode():
            for object_id, hint in hints.items():
                self._give(object_id, hint, height, width)
            session.obj_with_new_inputs = list(hints)
            out = self._network(session, frame=self._image(frame.image), frame_idx=self._time)
            drawn = [hints[i].mask if i in hints else None for i in out.object_ids]
            masks = masks_of_logits(list(out.pred_masks[:, 0]), drawn, height, width)
            scores = out.object_score_logits.float().sigmoid().flatten().cpu().numpy().astype(np.float64)
        self._forget()
        # A logit above 0, SAM 2's rule.
        return MaskAnswer(list(out.object_ids), scores, scores > 0.5, masks=masks)

    def _give(self, object_id: int, hint: Hint, height: int, width: int) -> None:
        import torch
        import torch.nn.functional as F

        session, side = self._session, self._side
        position = session.obj_id_to_idx(object_id)
        if hint.mask is not None:
            mask = torch.from_numpy(hint.mask).float()[None, None]
            if hint.mask.shape != (side, side):
                # Antialiased, or a thin mask falls between the network's pixels.
                mask = F.interpolate(mask, (side, side), mode="bilinear", align_corners=False, antialias=True)
            session.add_mask_inputs(position, self._time, (mask >= mask.max().clamp(max=0.5)).float())
            return
        xy, labels = prompt_points(hint.box, hint.points, hint.positive)
        points = to_network(xy, height, width, side)[None, None]
        marks = torch.tensor(labels, dtype=torch.int32)[None, None]
        session.add_point_inputs(position, self._time, {"point_coords": points, "point_labels": marks})

    def _image(self, image: Any) -> torch.Tensor:
        import torch

        x = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        return self._normalise(shrink(x, (self._side, self._side)))

    def _forget(self) -> None:
        """Remove what the next frame's memory attention can't reach."""
        session = self._session
        # The library keeps every frame and its features for ever.
        session.processed_frames = {}
        session.cache.clear_all()
        forget_outputs(session, self._network.config, self._time)


def _session_class(library: Any) -> type:
    """The library's session, which knows its objects by position, with a way to keep only some of them."""

    class Session(library):  # type: ignore[misc]
        def keep(self, object_ids: list[int]) -> None:
            self.obj_ids = object_ids
            self._obj_id_to_idx = {i: k for k, i in enumerate(object_ids)}
            self._obj_idx_to_id = dict(enumerate(object_ids))

    return Session


def _repair_mask_prompts(network: Any) -> None:
    """Give the score of a mask prompt the shape (B, 1, 1) that other scores have.

    In EdgeTAM of transformers 5.23 it has one axis less, so that a mask prompt on a frame with other objects fails.
    """

    class Repaired(type(network)):  # type: ignore[misc]
        def _use_mask_as_output(self, *args: Any, **kwargs: Any) -> Any:
            out = super()._use_mask_as_output(*args, **kwargs)
            if out.object_score_logits.ndim == 2:
                out.object_score_logits = out.object_score_logits[..., None]
            return out

    network.__class__ = Repaired  # the library makes the network; only what it does with a mask changes


def _load(model: str, weights: str | Path | None) -> tuple[Any, type]:
    """The network with its weights, in eval mode, and the class of its sessions."""
    from vtlab.weights import checkpoints, fetch

    if weights is None:
        config, file = (fetch(w) for w in _files(model))
    else:
        config, file = Path(weights) / "config.json", Path(weights) / "model.safetensors"
    name = _NETWORKS.get(model, "Sam2Video")
    network = checkpoints.load_transformers(name, config, file, what=model)
    module = importlib.import_module(type(network).__module__)
    return network, _session_class(getattr(module, f"{name}InferenceSession"))
