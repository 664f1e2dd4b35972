"""DAVIS 2016 and 2017: palette images, in one or several resolutions; see `label_images`. LVOS (Hong et al., ICCV 2023)
lies the same way without a resolution; its own rule counts the prompted frame (lvos/evaluation.py of
https://github.com/LingyiHongfd/lvos-evaluation).

Benchmark: Pont-Tuset et al., The 2017 DAVIS Challenge, arXiv:1704.00675.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtlab.formats.base import frame_count
from vtlab.formats.ignored import drawn_regions
from vtlab.formats.label_images import LabelImages
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class Davis(LabelImages):
    """DAVIS, which has void pixels."""

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Masks on frames that were looked at: others have no picture, and none is scored there."""
        looked = truth.annotated_frames(frame_count(truth), bool(truth.record.dense))
        # Without an object, 255 on 0 would read as the one of DAVIS 2016.
        there = np.isin(ignore.frame, looked) if len(truth) else np.zeros(len(ignore), bool)
        return drawn_regions(ignore.take(there), truth)

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth, and the regions as void pixels."""
        return [self.draw(truth, path, "truth", ignore)]


FORMAT = Davis(
    name="davis",
    summary="{JPEGImages,Annotations}/<resolution>/<sequence>/*",
    rules={"davis2016": "", "davis2017": "", "lvos": "lvos"},
    rule="davis",
    # davis2017-evaluation leaves out the first and the last frame.
    last_counts=False,
)
