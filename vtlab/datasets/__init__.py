"""Benchmark sequences: videos with ground truth and prompts. One file a layout, and a generator of exact truth.

`Davis`, `MotChallenge`, `Otb` and `TapVid` read benchmarks from disk; `synthetic.synthetic` makes sequences;
`samples.sample` opens real clips; `corruptions` spoils videos.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vtlab.datasets.base import Dataset, Sequence, first_prompts

if TYPE_CHECKING:
    from vtlab.datasets.davis import Davis
    from vtlab.datasets.mot import MotChallenge
    from vtlab.datasets.otb import Otb
    from vtlab.datasets.tapvid import TapVid

__all__ = ["Dataset", "Davis", "MotChallenge", "Otb", "Sequence", "TapVid", "first_prompts"]

_LAYOUTS = {"Davis": "davis", "MotChallenge": "mot", "Otb": "otb", "TapVid": "tapvid"}


def __getattr__(name: str) -> Any:
    if name not in _LAYOUTS:
        raise AttributeError(f"module 'vtlab.datasets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vtlab.datasets.{_LAYOUTS[name]}"), name)
