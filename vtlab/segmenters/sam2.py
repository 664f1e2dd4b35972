"""SAM 2 on single images: clicks and a box to masks, three of them where the prompt is ambiguous.

Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025, arXiv:2408.00714. Official code:
https://github.com/facebookresearch/sam2 (Apache-2.0); the networks come from the package `sam2` (wheel `rf-sam-2`).

Differs from the package's image predictor: resizing and normalising are our own, so torchvision is not needed.
Coordinates: SAM 2 counts pixel centres at integers, vtlab at +0.5; they are converted here and nowhere else.
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
from vtlab.segmenters.base import PromptableSegmenter, enlarge, normalise, shrink
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

_SITE = "https://dl.fbaipublicfiles.com/segment_anything_2"
_FOLDERS = {"sam2": "072824", "sam2.1": "092824"}
_DIGESTS = {  # size in bytes and sha256
    "sam2-tiny": (155_906_050, "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),
    "sam2-small": (184_309_650, "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),
    "sam2-base-plus": (323_493_298, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
    "sam2-large": (897_952_466, "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),
    "sam2.1-tiny": (156_008_466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    "sam2.1-small": (184_416_285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    "sam2.1-base-plus": (323_606_802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    "sam2.1-large": (898_083_611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
}


def _file(variant: str) -> WeightFile:
    version, _, size = variant.partition("-")
    name = f"{version}_hiera_{size.replace('-', '_')}.pt"
    n_bytes, sha256 = _DIGESTS[variant]
    return WeightFile(
        name,
        f"{_SITE}/{_FOLDERS[version]}/{name}",
        sha256,
        n_bytes,
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/sam2",
    )


FILES = {variant: _file(variant) for variant in _DIGESTS}
"""Variant -> official checkpoint."""


def title(variant: str) -> str:
    """A variant as people write it: "SAM 2.1 tiny"."""
    version, _, size = variant.partition("-")
    return f"{version.upper().replace('SAM2', 'SAM 2')} {size}"


def card_of(variant: str) -> dict[str, Any]:
    """What the cards of a variant's tracker and segmenter have in common."""
    return {
        "paper": "SAM 2: Segment Anything in Images and Videos, ICLR 2025",
        "paper_url": "https://arxiv.org/abs/2408.00714",
        "code": "https://github.com/facebookresearch/sam2",
        "licence": "Apache-2.0",
        "weights": (FILES[variant],),
        "requires": "sam2",
        "options": {"variant": variant},
    }


def load_network(
    variant: str, weights: str | Path | None, *, image_size: int | None = None, device: str = "auto"
) -> Any:
    """Return a SAM 2 network with its weights on a device.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: PyTorch or the package `sam2` is not installed.
        InputError: An unknown variant, size or device.
    """
    if variant not in FILES:
        raise InputError(f"variant must be one of {', '.join(FILES)}; got {variant!r}.")
    target = find_device(device)
    from vtlab.nets import sam2
    from vtlab.weights import checkpoints, fetch

    sam2.check_installed(variant)
    path = Path(weights) if weights is not None else fetch(FILES[variant])
    network = sam2.build(variant, image_size=image_size)
    checkpoints.load_into(network, path, what=variant, key="model", variant_of=sam2.variant_of)
    return network.to(target)


def to_network(
    xy: ArrayLike, height: int, width: int, side: int, device: torch.device | None = None
) -> torch.Tensor:
    """Points (K, 2) of an image in the network's input of `side` pixels."""
    import torch

    points = (np.asarray(xy, dtype=np.float64).reshape(-1, 2) - 0.5) / (width, height) * side
    return torch.tensor(points, dtype=torch.float32, device=device)


def prompt_points(
    box: ArrayLike | None, points: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Box corners, then clicks, as SAM 2 reads them: positions (P, 2) and labels (P,) of 2, 3, 1 and 0."""
    labels = positive.astype(np.int32)
    if box is None:
        return points, labels
    corners = np.asarray(box, dtype=np.float64).reshape(2, 2)
    return np.concatenate([corners, points]), np.concatenate([np.array([2, 3], np.int32), labels])


def _register_all(cls: type[SAM2Segmenter]) -> type[SAM2Segmenter]:
    for variant in FILES:
        register_segmenter(
            variant,
            family="segmenter",
            summary=f"{title(variant)} on single images.",
            accepts={BoxPrompt, ClickPrompt},
            emits={"masks"},
            **card_of(variant),
        )(cls)
    return cls


@_register_all
class SAM2Segmenter(PromptableSegmenter):
    """Segmenter by SAM 2's image model.

    Args:
        variant: "sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large", or the same of "sam2".
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        image_size: Side in pixels to which images are scaled; None = 1024, as in training.
        device: "auto", "cpu", "cuda", ...

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: PyTorch or the package `sam2` is not installed.
        InputError: An unknown variant, size or device.
    """

    def __init__(
        self,
        *,
        variant: str = "sam2.1-tiny",
        weights: str | Path | None = None,
        image_size: int | None = None,
        device: str = "auto",
    ):
        super().__init__()
        self._network = load_network(variant, weights, image_size=image_size, device=device)

    def _decode(
        self,
        features: list[torch.Tensor],
        size: tuple[int, int],
        *,
        box: ArrayLike | None,
        clicks: NDArray[np.float64],
        positive: NDArray[np.bool_],
        several: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        network, (*fine, coarse) = self._network, features
        xy, labels = prompt_points(box, clicks, positive)
        at = to_network(xy, *size, network.image_size, network.device)
        marks = torch.tensor(labels, device=network.device)
        sparse, dense = network.sam_prompt_encoder(points=(at[None], marks[None]), boxes=None, masks=None)
        logits, ious, _, _ = network.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=network.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            repeat_image=False,
            high_res_features=fine,
        )
        return enlarge(logits, size)[0], ious[0]

    def _encode(self, image: Image) -> list[torch.Tensor]:
        """Feature maps (1, C, h, w) of an image, from fine to coarse."""
        import torch

        network = self._network
        x = torch.from_numpy(np.ascontiguousarray(image)).to(network.device).permute(2, 0, 1).float() / 255
        x = shrink(x, (network.image_size, network.image_size))
        tokens, _, sizes = network.see(normalise(x)[None])
        if network.directly_add_no_mem_embed:
            tokens[-1] = tokens[-1] + network.no_mem_embed
        return [t.permute(1, 2, 0).unflatten(2, tuple(s)) for t, s in zip(tokens, sizes, strict=True)]
