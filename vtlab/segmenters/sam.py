"""SAM, the first of its kind, on single images through the transformers library.

Paper: Kirillov et al., "Segment Anything", ICCV 2023, https://arxiv.org/abs/2304.02643. Official code:
https://github.com/facebookresearch/segment-anything (Apache-2.0); network: `sam` of
https://github.com/huggingface/transformers (Apache-2.0), whose files the authors publish on its hub.

Resizing and normalising are our own, so the library's processor and torchvision are not needed. Coordinates:
SAM counts pixel centres at integers, vtlab at +0.5; they are converted here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, ClickPrompt
from vtlab.registry import register_segmenter
from vtlab.segmenters.base import PromptableSegmenter, enlarge, normalise
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch


def _files(variant: str) -> tuple[WeightFile, WeightFile]:
    repository = f"https://huggingface.co/facebook/{variant.replace('sam-', 'sam-vit-')}"

    def file(name: str) -> WeightFile:
        address = f"{repository}/resolve/main/{name}"
        return WeightFile(f"{variant}.{name}", address, licence="Apache-2.0", source=repository)

    return file("config.json"), file("model.safetensors")


FILES = {variant: _files(variant) for variant in ("sam-base", "sam-large", "sam-huge")}
"""Variant -> configuration and official checkpoint."""


def _register_all(cls: type[SAMSegmenter]) -> type[SAMSegmenter]:
    for variant, files in FILES.items():
        register_segmenter(
            variant,
            family="segmenter",
            summary=f"SAM {variant.partition('-')[2]}: an image is encoded once, each box or click on it is then quick.",
            accepts={BoxPrompt, ClickPrompt},
            emits={"masks"},
            paper="Segment Anything, ICCV 2023",
            paper_url="https://arxiv.org/abs/2304.02643",
            code="https://github.com/facebookresearch/segment-anything",
            licence="Apache-2.0",
            weights=files,
            requires="transformers",
            options={"variant": variant},
        )(cls)
    return cls


@_register_all
class SAMSegmenter(PromptableSegmenter):
    """Segmenter by SAM.

    Args:
        variant: "sam-base", "sam-large" or "sam-huge".
        weights: Folder with `config.json` and `model.safetensors`, as the hub has them; None = the official files,
            looked up by `vtlab.weights`.
        device: "auto", "cpu", "cuda", ...

    Raises:
        WeightsError: A file is missing or damaged, or does not fit the library's model.
        MissingDependencyError: PyTorch or transformers is not installed.
        InputError: An unknown variant or device.
    """

    def __init__(self, *, variant: str = "sam-base", weights: str | Path | None = None, device: str = "auto"):
        super().__init__()
        if variant not in FILES:
            raise InputError(f"variant must be one of {', '.join(FILES)}; got {variant!r}.")
        self._device = find_device(device)
        from vtlab.weights import checkpoints, fetch

        if weights is None:
            config, file = (fetch(w) for w in FILES[variant])
        else:
            config, file = Path(weights) / "config.json", Path(weights) / "model.safetensors"
        network: Any = checkpoints.load_transformers("Sam", config, file, what=variant)
        self._network = network.to(self._device)
        self._side = int(network.config.vision_config.image_size)

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image of `size` in the network's input, of which it fills the upper left."""
        scale = self._side / max(size)
        return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)

    def _encode(self, image: Image) -> torch.Tensor:
        """Features of an image, scaled as the official code does it (Pillow, 8 bits)."""
        import torch
        import torch.nn.functional as F
        from PIL import Image as Pillow

        height, width = self._scaled(image.shape[:2])
        small = np.array(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BILINEAR))
        x = normalise(torch.from_numpy(small).to(self._device).permute(2, 0, 1).float() / 255)
        return self._network.get_image_embeddings(
            F.pad(x, (0, self._side - width, 0, self._side - height))[None]
        )

    def _decode(
        self,
        features: torch.Tensor,
        size: tuple[int, int],
        *,
        box: ArrayLike | None,
        clicks: NDArray[np.float64],
        positive: NDArray[np.bool_],
        several: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        height, width = self._scaled(size)

        def scaled(xy: ArrayLike) -> torch.Tensor:
            at = (np.asarray(xy, np.float64).reshape(-1, 2) - 0.5) * (width / size[1], height / size[0])
            return torch.tensor(at, dtype=torch.float32, device=self._device)

        given: dict[str, torch.Tensor] = {}
        if len(clicks):
            given["input_points"] = scaled(clicks)[None, None]
            given["input_labels"] = torch.tensor(positive.astype(np.int32), device=self._device)[None, None]
        if box is not None:
            given["input_boxes"] = scaled(box).reshape(1, 1, 4)
        out = self._network(image_embeddings=features, multimask_output=several, **given)
        square = enlarge(out.pred_masks[0], (self._side, self._side))
        return enlarge(square[..., :height, :width], size)[0], out.iou_scores[0, 0]
