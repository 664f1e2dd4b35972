"""LaSOT: `<class>/<class-N>/{img/00000001.jpg, groundtruth.txt, full_occlusion.txt, out_of_view.txt}`.

Differs from vtlab's convention: boxes are xywh in pixels that count from 1. An object is absent where it is fully
occluded or out of view, each one line of flags separated by commas.

Benchmark: Fan et al., LaSOT, CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.files import write_whole
from vtlab.formats.base import Kind, Place, walk
from vtlab.formats.single_object import SingleObject, hidden, read_flags
from vtlab.tracks import Tracks

_BESIDE = ("full_occlusion.txt", "out_of_view.txt")


@dataclass(frozen=True, kw_only=True)
class Lasot(SingleObject):
    """LaSOT and its extension."""

    def sniff(self, path: Path) -> bool:
        """Whether the flags of absence lie beside a truth."""
        return any(self.truth_file in names and {*_BESIDE} & {*names} for _, names in walk(path))

    def absent(self, place: Place, count: int) -> NDArray[np.bool_]:
        """Frames on which the object is fully occluded or out of view."""
        out = np.zeros(count, bool)
        for name in _BESIDE:
            if (place.path / name).is_file():
                out |= read_flags(place.path / name, count) > 0
        return out

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the boxes, and with truth the flags beside them (absence as full occlusion)."""
        written = super().write_tracks(tracks, path, kind)
        if kind == "truth":
            flags = hidden(tracks)
            for name, values in zip(_BESIDE, (flags, np.zeros_like(flags)), strict=True):
                write_whole(path.with_name(name), ",".join(str(int(v)) for v in values) + "\n")
        return written


FORMAT = Lasot(
    name="lasot",
    summary="<class>/<sequence>/{img/*.jpg, groundtruth.txt, full_occlusion.txt, out_of_view.txt}",
    rule="lasot",
    pixel_base=1,
    holds=frozenset({"boxes", "absent", "hidden"}),
    results=frozenset({"boxes", "absent"}),
)
