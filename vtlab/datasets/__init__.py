"""Benchmark sequences: videos with ground truth and prompts. One file a layout, and a generator of exact truth.

`Davis`, `MotChallenge`, `Otb` and `TapVid` read benchmarks from disk; `synthetic.synthetic` makes sequences;
`samples.sample` opens real clips; `corruptions` spoils videos.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from vtlab.errors import InputError, near
from vtlab.sequence import Dataset, Sequence, first_prompts

if TYPE_CHECKING:
    from vtlab.datasets.davis import Davis
    from vtlab.datasets.mot import MotChallenge
    from vtlab.datasets.otb import Otb
    from vtlab.datasets.tapvid import TapVid

__all__ = ["Dataset", "Davis", "MotChallenge", "Otb", "Sequence", "TapVid", "first_prompts", "open_dataset"]

_LAYOUTS = {"Davis": "davis", "MotChallenge": "mot", "Otb": "otb", "TapVid": "tapvid"}


def open_dataset(root: str | os.PathLike[str], layout: str) -> Dataset:
    """Open a benchmark that lies on disk in its official layout.

    Args:
        root: Its folder, or that of one sequence; for TAP-Vid its file.
        layout: "otb", "mot", "davis" or "tapvid".

    Raises:
        InputError: An unknown layout, or nothing of that layout at `root`.
    """
    readers = {name.lower().removesuffix("challenge"): name for name in _LAYOUTS}
    if layout not in readers:
        raise InputError(f"Unknown layout {layout!r}. {near(layout, readers)}")
    dataset: Dataset = __getattr__(readers[layout])(root)
    return dataset


def __getattr__(name: str) -> Any:
    if name not in _LAYOUTS:
        raise AttributeError(f"module 'vtlab.datasets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vtlab.datasets.{_LAYOUTS[name]}"), name)
