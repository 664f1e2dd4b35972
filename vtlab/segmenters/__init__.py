"""Segmenters: a box or clicks on one image -> a mask. One file each; the contract is `contracts.Segmenter`.

Trackers of masks use one for prompts that are not masks, and the annotator for what a person clicks.
"""

from __future__ import annotations

import builtins
from importlib.util import find_spec
from typing import Any

from vtlab.contracts import Segmenter
from vtlab.errors import RegistryError
from vtlab.registry import SEGMENTERS
from vtlab.segmenters.grabcut import GrabCut

SURE = 0.75
"""Score from which a guess by colours is called sure."""


def create_segmenter(spec: Any = "grabcut", **params: Any) -> Segmenter:
    """Make a segmenter.

    Args:
        spec: "grabcut" (nothing to download), a variant of SAM 2 or SAM such as "sam2.1-tiny" or "sam-base",
            `path/to/file.py:Class`, a ready segmenter, or a Python function (see `segmenters/callable.py`). "auto" is the
            smallest SAM 2.1, else SAM 2, else SAM, that is ready on this machine (package and checkpoint; nothing is
            downloaded), and GrabCut where none is.
        params: Parameters of its constructor.

    Raises:
        RegistryError: The name is unknown.
        MissingDependencyError: A package that it needs is not installed.
        WeightsError: Its checkpoint can't be had.
    """
    if isinstance(spec, Segmenter) and not isinstance(spec, type):
        return spec
    made = spec
    if isinstance(spec, (str, type)) or builtins.callable(spec):  # `callable` is a module here
        made = SEGMENTERS.create(ready() if spec == "auto" else spec, **params)
    if not isinstance(made, Segmenter):
        raise RegistryError(
            f"{type(made).__name__} is no segmenter: it has no method segment(image, box=..., points=...) "
            f"(see vtlab/contracts). Give one of: auto, {', '.join(SEGMENTERS.names())}."
        )
    return made


def ready() -> str:
    """Name the segmenter that "auto" stands for on this machine."""
    if find_spec("torch") is None:
        return "grabcut"
    from vtlab.segmenters import sam, sam2
    from vtlab.weights import locate

    found = []
    if find_spec("sam2") is not None:
        newest_first = sorted(sam2.FILES, key=lambda name: not name.startswith("sam2.1"))
        found += [name for name in newest_first if locate(sam2.FILES[name])]
    if find_spec("transformers") is not None:
        found += [name for name, files in sam.FILES.items() if all(map(locate, files))]
    return found[0] if found else "grabcut"


def guessing(segmenter: Segmenter, score: float, *, boxed: bool) -> str:
    """What a person is told of a mask that no model made of clicks; "" where one did, or a box says where the object is."""
    if not isinstance(segmenter, GrabCut) or boxed:
        return ""
    word = "unsure" if score < SURE else "sure"
    return (
        f"Clicks need a model; GrabCut guesses by colour and is {word} (score {score:.2f}). Draw a box (b) around "
        "the object, or fetch a model: vtlab weights fetch sam2.1-tiny."
    )
