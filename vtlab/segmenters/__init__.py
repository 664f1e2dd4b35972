"""Segmenters: a box or clicks on one image -> a mask. One file each; the contract is `protocols.Segmenter`.

Trackers of masks use one for prompts that are not masks, and the annotator for what a person clicks.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from vtlab.errors import RegistryError, near
from vtlab.protocols import Segmenter

SAM2_NAMES = tuple(
    f"{version}-{size}" for version in ("sam2", "sam2.1") for size in ("tiny", "small", "base-plus", "large")
)
SAM_NAMES = ("sam-base", "sam-large", "sam-huge")
NAMES = ("auto", "grabcut", *SAM2_NAMES, *SAM_NAMES)


def create_segmenter(spec: str | Segmenter = "grabcut", **params: Any) -> Segmenter:
    """Make a segmenter.

    Args:
        spec: "grabcut" (nothing to download), a variant of SAM 2 or SAM such as "sam2.1-tiny" or "sam-base", or a
            ready segmenter. "auto" is the smallest SAM 2.1, else SAM 2, that is ready on this machine (package and
            checkpoint; nothing is downloaded), and GrabCut where none is.
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
    if spec == "auto":
        spec = ready()
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


def ready() -> str:
    """Name the segmenter that "auto" stands for on this machine."""
    if find_spec("torch") is None or find_spec("sam2") is None:
        return "grabcut"
    from vtlab.segmenters.sam2 import FILES
    from vtlab.weights import locate

    newest_first = sorted(SAM2_NAMES, key=lambda name: not name.startswith("sam2.1"))
    return next((name for name in newest_first if locate(FILES[name])), "grabcut")
