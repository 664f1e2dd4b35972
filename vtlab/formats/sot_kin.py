"""Benchmarks of one object that differ from OTB and TrackingNet by names: UAV123, NfS, TNL2K.

- UAV123 (Mueller et al., ECCV 2016): `anno/UAV123/<sequence>.txt` (UAV20L: `anno/UAV20L/`) beside
  `data_seq/UAV123/<folder>/000001.jpg`; some sequences are a part of the images of a folder. Layout and parts as
  got10k-toolkit 0.1.3 has them (datasets/uav123.py and uav123.json).
- NfS (Kiani Galoogahi et al., ICCV 2017): `<sequence>/30/<sequence>.txt` beside `<sequence>/30/<sequence>/00001.jpg`; a line
  is `id x1 y1 x2 y2 frame lost occluded generated "label"`; where a text has eight lines for an image, each eighth is
  taken. As got10k-toolkit 0.1.3 reads it (datasets/nfs.py); 240 in place of 30 is its other rate.
- TNL2K (Wang et al., CVPR 2021): `<sequence>/{imgs/*, groundtruth.txt, language.txt}`, as the loaders of OSTrack and
  SeqTrack have it (lib/test/evaluation/tnl2kdataset.py).

UAV123's and TNL2K's pixels count from 1, as in OTB, whose tools they come with; NfS' from 0, as in VATIC, whose lines it
has. No source of TNL2K and NfS says so itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import TRUTH, Kind, Place, files, frame_count, one_object, read_text, walk
from vtlab.formats.single_object import SingleObject
from vtlab.tracks import Tracks
from vtlab.video import image_files

_PARTS = {
    "bird1": ((1, 253), (775, 1477), (1573, 2437)),
    "car1": ((1, 751), (751, 1627), (1627, 2629)),
    "car6": ((1, 487), (487, 1807), (1807, 2953), (2953, 3925), (3925, 4861)),
    "car8": ((1, 1357), (1357, 2575)),
    "car16": ((1, 415), (415, 1993)),
    "group1": ((1, 1333), (1333, 2515), (2515, 3925), (3925, 4873)),
    "group2": ((1, 907), (907, 1771), (1771, 2683)),
    "group3": ((1, 1567), (1567, 2827), (2827, 4369), (4369, 5527)),
    "person2": ((1, 1189), (1189, 2623)),
    "person4": ((1, 1501), (1501, 2743)),
    "person5": ((1, 877), (877, 2101)),
    "person7": ((1, 1249), (1249, 2065)),
    "person8": ((1, 1075), (1075, 1525)),
    "person12": ((1, 601), (601, 1621)),
    "person14": ((1, 847), (847, 1813), (1813, 2923)),
    "person17": ((1, 1501), (1501, 2347)),
    "person19": ((1, 1243), (1243, 2791), (2791, 4357)),
    "truck4": ((1, 577), (577, 1261)),
    "uav1": ((1, 1555), (1555, 2377), (2473, 3469)),
}
"""Folder of UAV123 -> first and last image of its sequences `<folder>_1`, `<folder>_2`, ..."""


@dataclass(frozen=True, kw_only=True)
class Uav123(SingleObject):
    """UAV123 and UAV20L, whose truths lie in folders of these names.

    Attributes:
        part: Which of both.
    """

    truth_file: str = ""
    part: str = "UAV123"

    def places(self, root: Path) -> Iterable[Place]:
        """Texts in `anno/UAV123`."""
        found = [p for p in self.flat(root) if p.path.parent.name == self.part]
        return found or self.flat(root)

    def sniff(self, path: Path) -> bool:
        """Whether there are texts in a folder of that name below `anno`."""
        return any(p.parent.name == self.part and p.parent.parent.name == "anno" for p in files(path, ".txt"))

    def frames_of(self, place: Place, count: int) -> list[Path] | Path | None:
        """Images of the sequence's folder, those of its part."""
        base = place.path.parent.parent.parent / "data_seq" / "UAV123"
        folder, _, number = place.name.rpartition("_")
        if self.part != "UAV123" or folder not in _PARTS or not number.isdecimal():
            return image_files(base / place.name)
        first, last = _PARTS[folder][int(number) - 1]
        return [p for p in image_files(base / folder) if first <= _number(p) <= last]

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in the folder of its part."""
        if tracker:
            return super().path_of(root, sequence, tracker)
        return root / TRUTH / "anno" / self.part / f"{sequence}.txt"


@dataclass(frozen=True, kw_only=True)
class Nfs(SingleObject):
    """NfS.

    Attributes:
        rate: Frames per second: 30 or 240.
    """

    truth_file: str = ""
    rate: int = 30

    def places(self, root: Path) -> Iterable[Place]:
        """Texts in `30`; any text, where there is no such folder."""
        found = list(self.flat(root))
        return [p for p in found if p.path.parent.name == str(self.rate)] or found

    def sniff(self, path: Path) -> bool:
        """Whether there is a text of such lines."""
        texts = (p for p in files(path, ".txt") if p.parent.name == str(self.rate))
        first = next((read_text(p).split("\n", 1)[0] for p in texts), "")
        return re.fullmatch(r'\d+( -?[\d.]+){8} ".*"\s*', first) is not None

    def frames_of(self, place: Place, count: int) -> list[Path] | Path | None:
        """Images in the folder called after the sequence; one more or less than lines is cut, as the toolkit does."""
        found = image_files(place.path.with_suffix(""))
        return found[:count] if 0 < len(found) - count <= 1 else found

    def read_boxes(self, path: Path, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Boxes (N, 4), NaN where the object is lost."""
        lines = [line for line in read_text(path).splitlines() if line.strip()]
        images = len(image_files(path.with_suffix("")))
        if images and abs(len(lines) / images - 8) < 1:
            lines = lines[::8]
        out = np.full((len(lines), 4), np.nan)
        for n, line in enumerate(lines):
            with damage_as(FormatError, f"{path}, line {n + 1}", 'id x1 y1 x2 y2 frame lost ... "label"'):
                cells = shlex.split(line)
                corner = [float(cell) for cell in cells[1:5]]
                if (
                    len(cells) < 7
                    or not np.isfinite(corner).all()
                    or corner[2] < corner[0]
                    or corner[3] < corner[1]
                ):
                    raise ValueError(f"got {line[:60]!r}")
                if cells[6] == "0":
                    out[n] = corner
        return out - self.pixel_base

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write lines of corners as truth; a result as the other benchmarks of one object have it."""
        if kind == "results":
            return super().write_tracks(tracks, path, kind)
        seen = one_object(tracks, self).seen()
        rows = {
            int(f): (box + self.pixel_base).tolist() for f, box in zip(seen.frame, seen.boxes, strict=True)
        }
        lines = []
        for frame in range(frame_count(tracks)):
            box = rows.get(frame, [np.nan])
            told = [0.0] * 4 if np.isnan(box).any() else box
            corner = " ".join(f"{v:.17g}" for v in told)
            lines.append(f'0 {corner} {frame} {int(np.isnan(box).any())} 0 0 "object"\n')
        return write_whole(path, "".join(lines))

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in the folder of its rate."""
        if tracker:
            return super().path_of(root, sequence, tracker)
        return root / TRUTH / sequence / str(self.rate) / f"{sequence}.txt"


@dataclass(frozen=True, kw_only=True)
class Tnl2k(SingleObject):
    """TNL2K."""

    images: str = "imgs"

    def sniff(self, path: Path) -> bool:
        """Whether a text of the language lies beside a truth."""
        return any({self.truth_file, "language.txt"} <= {*names} for _, names in walk(path))

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the boxes, and with truth the object's label as the language."""
        written = super().write_tracks(tracks, path, kind)
        if kind == "truth":
            label = next((x for x in tracks.label if x is not None), "")
            write_whole(path.with_name("language.txt"), f"{label}\n")
        return written


def _number(file: Path) -> int:
    return int(file.stem) if file.stem.isdecimal() else 0


FORMATS = (
    Uav123(
        name="uav20l",
        summary="{anno/UAV20L/<sequence>.txt, data_seq/UAV123/<sequence>/*.jpg}",
        rule="otb",
        pixel_base=1,
        part="UAV20L",
    ),
    Uav123(
        name="uav123",
        summary="{anno/UAV123/<sequence>.txt, data_seq/UAV123/<folder>/*.jpg}",
        rule="otb",
        pixel_base=1,
    ),
    Nfs(name="nfs", summary="<sequence>/30/{<sequence>.txt, <sequence>/*.jpg}", rule="otb"),
    Tnl2k(
        name="tnl2k", summary="<sequence>/{imgs/*, groundtruth.txt, language.txt}", rule="otb", pixel_base=1
    ),
)
