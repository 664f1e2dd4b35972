"""Segmenters: a box or clicks on one image -> a mask. One file each; the contract is `protocols.Segmenter`.

Trackers of masks use one for prompts that are not masks, and the annotator for what a person clicks.
"""

from __future__ import annotations

from typing import Any

from vtlab.errors import RegistryError, near
from vtlab.protocols import Segmenter

SAM2_NAMES = tuple(
    f"{version}-{size}" for version in ("sam2", "sam2.1") for size in ("tiny", "small", "base-plus", "large")
)
SAM_NAMES = ("sam-base", "sam-large", "sam-huge")
NAMES = ("grabcut", *SAM2_NAMES, *SAM_NAMES)


def create_segmenter(spec: str | Segmenter = "grabcut", **params: Any) -> Segmenter:
    """Make a segmenter.

    Args:
        spec: "grabcut" (nothing to download), a variant of SAM 2 or SAM such as "sam2.1-tiny" or "sam-base", or a
            ready segmenter.
        params: Parameters of its constructor.

    Raises:
        RegistryError: The name is unknown.
        MissingDependencyError: A package that it needs is not installed.
        WeightsError: Its checkpoint can't be had.
    """
    if not isinstance(spec, str):
        if not isinstance(spec, Segmenter):
            raise RegistryError(
                f"{type(spec).__name__} is no segmenter: it has no method segment(image, box=..., points=...) "
                f"(see vtlab/protocols.py). Give one of: {', '.join(NAMES)}."
            )
        return spec
    if spec == "grabcut":
        from vtlab.segmenters.grabcut import GrabCut

        return GrabCut(**params)
    if spec in SAM2_NAMES:
        from vtlab.segmenters.sam2 import SAM2Segmenter

        return SAM2Segmenter(variant=spec, **params)
    if spec in SAM_NAMES:
        from vtlab.segmenters.sam import SAMSegmenter

        return SAMSegmenter(variant=spec, **params)
    raise RegistryError(f"Unknown segmenter {spec!r}. {near(spec, NAMES)}")
