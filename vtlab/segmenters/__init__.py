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


def create_segmenter(spec: Any = "grabcut", **params: Any) -> Segmenter:
    """Make a segmenter.

    Args:
        spec: "grabcut" (nothing to download), a variant of SAM 2 or SAM such as "sam2.1-tiny" or "sam-base",
            `path/to/file.py:Class`, a ready segmenter, or a Python function (see `segmenters/callable.py`). "auto" is the
            smallest SAM 2.1, else SAM 2, that is ready on this machine (package and checkpoint; nothing is downloaded),
            and GrabCut where none is.
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
    if find_spec("torch") is None or find_spec("sam2") is None:
        return "grabcut"
    from vtlab.segmenters.sam2 import FILES
    from vtlab.weights import locate

    newest_first = sorted(FILES, key=lambda name: not name.startswith("sam2.1"))
    return next((name for name in newest_first if locate(FILES[name])), "grabcut")
