"""OTB: `<Sequence>/{img/0001.jpg, groundtruth_rect.txt}`; two targets have `groundtruth_rect.1.txt` and `.2`.

Differs from vtlab's convention: boxes are xywh in pixels that count from 1; separators are mixed. Some sequences have
truth for a part of their images only; the part is known by its image numbers. The targets of one folder are the
sequences `Jogging-1` and `Jogging-2`; results may also be called `Jogging.1` or `Jogging_1`, as other tools do.

Benchmark: Wu, Lim, Yang, Object Tracking Benchmark, TPAMI 2015.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vtlab.formats.base import Place, read_text, walk
from vtlab.formats.single_object import SingleObject

_PARTS = {
    "David": (300, 770),
    "Diving": (1, 215),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
}
"""First and last image number of the sequences whose truth covers a part (the benchmark's own table)."""

_ATTRIBUTES = {
    "IV": "illumination variation",
    "SV": "scale variation",
    "OCC": "occlusion",
    "DEF": "deformation",
    "MB": "motion blur",
    "FM": "fast motion",
    "IPR": "in-plane rotation",
    "OPR": "out-of-plane rotation",
    "OV": "out of view",
    "BC": "background clutter",
    "LR": "low resolution",
}
_TRUTH = re.compile(r"groundtruth_rect(?:\.(\d+))?\.txt")


@dataclass(frozen=True, kw_only=True)
class Otb(SingleObject):
    """OTB-50 and OTB-100, one target a sequence."""

    def places(self, root: Path) -> Iterable[Place]:
        """Every target; where there is none, one text file for each sequence."""
        found = [
            Place(folder.name + (f"-{match[1]}" if match[1] else ""), folder, folder / name)
            for folder, names in walk(root)
            for name in names
            if (match := _TRUTH.fullmatch(name))
        ]
        return found or self.flat(root)

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """A target is called `Jogging-1`, `Jogging.1` or `Jogging_1`."""
        usual = re.sub(r"[._](\d+)$", r"-\1", path.stem)
        return super().sequence_of(path, known) or (usual if known is not None and usual in known else None)

    def sniff(self, path: Path) -> bool:
        """Whether there is a `groundtruth_rect.txt`."""
        return any(_TRUTH.fullmatch(name) for _, names in walk(path) for name in names)

    def frames_of(self, place: Place, count: int) -> list[Path] | Path | None:
        """The images that the truth covers, or a video file beside it."""
        found = super().frames_of(place, count)
        if not isinstance(found, list):
            return found
        part = _PARTS.get(place.path.name) or _PARTS.get(place.path.resolve().name)
        if part is not None:
            found = [f for f in found if part[0] <= _number(f) <= part[1]]
        return found

    def attributes(self, place: Place) -> frozenset[str]:
        """Challenges of `attrs.txt`, spelt out."""
        file = place.path / "attrs.txt"
        tags = re.findall(r"[A-Z]+", read_text(file)) if file.is_file() else []
        return frozenset(_ATTRIBUTES.get(tag, tag) for tag in tags)


def _number(file: Path) -> int:
    digits = re.findall(r"\d+", file.stem)
    return int(digits[-1]) if digits else 0


FORMAT = Otb(
    name="otb",
    summary="<sequence>/{img/*.jpg, groundtruth_rect.txt}",
    rule="otb",
    pixel_base=1,
    truth_file="groundtruth_rect.txt",
)
