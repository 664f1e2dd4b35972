"""Benchmark sequences: videos with ground truth and prompts.

`open_dataset` reads benchmarks from disk in every format of `vtlab.formats`; `synthetic.synthetic` makes sequences of
exact truth; `samples.sample` opens real clips; `corruptions` spoils videos.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from vtlab.errors import VtlabWarning
from vtlab.formats import Format, FormatDataset, open_format, sniff
from vtlab.sequence import Dataset, Sequence, first_prompts

__all__ = ["Dataset", "Sequence", "first_prompts", "open_dataset"]

_OLD = {
    "Davis": ("davis", "split", "resolution"),
    "MotChallenge": ("motchallenge", "select"),
    "Otb": ("otb",),
    "TapVid": ("tapvid", "queries", "fps"),
}
"""Classes of version 0.1 -> the format that they read, and their options in order."""


def open_dataset(
    root: str | os.PathLike[str], layout: str | Format | None = None, **options: Any
) -> FormatDataset:
    """Open a benchmark that lies on disk in its official layout.

    Args:
        root: Its folder at any level above the sequences, or one sequence; for TAP-Vid also its file.
        layout: Told by its look, where that is unambiguous and none is named. Else the name of its format, one of
            `vtlab.formats.words()` such as otb, got10k, lasot, vot, motchallenge, mots, youtube-vis, tao, davis,
            youtube-vos, tapvid, yolo, vtlab; or your own as `path/to/file.py:FORMAT`, or a `Format`.
        options: Of the format: `split` and `resolution` (davis, youtube-vos), `select` (motchallenge, mots), `fps`
            (tapvid), `rule` (all).

    Raises:
        InputError: An unknown layout or option, or nothing of that layout at `root`; none or several fit where none is
            named.
    """
    return open_format(root, sniff(root) if layout is None else layout, **options)


def __getattr__(name: str) -> Any:
    if name not in _OLD:
        raise AttributeError(f"module 'vtlab.datasets' has no attribute {name!r}")
    layout, *names = _OLD[name]
    text = f"vtlab.datasets.{name}(root) is now open_dataset(root, {layout!r}); the old name goes in version 0.3."
    warnings.warn(text, VtlabWarning, stacklevel=2)

    def opened(root: str | os.PathLike[str], *given: Any, **options: Any) -> FormatDataset:
        options |= dict(zip(names, given, strict=False))
        if "queries" in options:
            options["rule"] = f"tapvid-{options.pop('queries')}"
        return open_dataset(root, layout, **options)

    return opened
