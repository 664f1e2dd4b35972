"""GOT-10k: `<sequence>/{00000001.jpg, groundtruth.txt, meta_info.ini, absence.label, cover.label}`.

Differs from vtlab's convention: boxes are xywh in pixels that count from 1 (its toolkit hands them on untouched). Where
`cover.label` (0 to 8) is 0, nothing of the object shows. Results are `<tracker>/<sequence>/<sequence>_001.txt`, several
repetitions of one tracker numbered. The test part has the first box only.

Benchmark: Huang, Zhao, Huang, GOT-10k, TPAMI 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.files import write_whole
from vtlab.formats.base import Kind, Place, read_ini, walk
from vtlab.formats.single_object import SingleObject, hidden, read_flags
from vtlab.tracks import Tracks

_RESULT = re.compile(r"(.+)_(\d{3})")


@dataclass(frozen=True, kw_only=True)
class Got10k(SingleObject):
    """GOT-10k."""

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """`<sequence>_001` is the first repetition of a sequence."""
        match = _RESULT.fullmatch(path.stem)
        return match[1] if match and (known is None or match[1] in known) else None

    def folder_of(self, path: Path, sequence: str) -> Path:
        """Repetitions lie in a folder called after their sequence."""
        return path.parent if path.parent.name == sequence else path

    def sniff(self, path: Path) -> bool:
        """Whether a file of GOT-10k's lies beside a truth."""
        own = {"meta_info.ini", "cover.label", "absence.label"}
        return any(self.truth_file in names and own & {*names} for _, names in walk(path))

    def size(self, place: Place, count: int) -> tuple[int, int] | None:
        """Size of `meta_info.ini`, else of the first image."""
        resolution = read_ini(place.path / "meta_info.ini", "METAINFO").get("resolution", "")
        numbers = re.findall(r"\d+", resolution)
        return (int(numbers[1]), int(numbers[0])) if len(numbers) == 2 else super().size(place, count)

    def absent(self, place: Place, count: int) -> NDArray[np.bool_]:
        """Frames on which nothing of the object shows."""
        file = place.path / "cover.label"
        return read_flags(file, count) == 0 if file.is_file() and count > 1 else np.zeros(count, bool)

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the boxes, and with truth what lies beside them."""
        written = super().write_tracks(tracks, path, kind)
        if kind == "truth":
            shown = ~hidden(tracks)
            lines = {"cover.label": 8 * shown, "absence.label": ~shown, "cut_by_image.label": 0 * shown}
            for name, values in lines.items():
                write_whole(path.with_name(name), "".join(f"{int(v)}\n" for v in values))
            if tracks.size is not None:
                height, width = tracks.size
                text = f"[METAINFO]\nresolution: ({width}, {height})\n"
                write_whole(path.with_name("meta_info.ini"), text)
        return written

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """A result is the first repetition in its sequence's folder."""
        if tracker:
            return root / tracker / sequence / f"{sequence}_001{self.suffix}"
        return super().path_of(root, sequence)


FORMAT = Got10k(
    name="got10k",
    summary="<sequence>/{*.jpg, groundtruth.txt, meta_info.ini, cover.label}",
    rules={"got-10k": ""},
    rule="got10k",
    pixel_base=1,
    images="",
    repeats=True,
    holds=frozenset({"boxes", "absent", "hidden", "size"}),
    results=frozenset({"boxes", "absent"}),
)
