"""GOT-10k: `<sequence>/{00000001.jpg, groundtruth.txt, meta_info.ini, absence.label, cover.label}`.

Differs from vtlab's convention: boxes are xywh in pixels that count from 1 (its toolkit hands them on untouched). Where
`cover.label` (0 to 8) is 0, nothing of the object shows. Results are `<tracker>/<sequence>/<sequence>_001.txt`, several
repetitions of one tracker numbered; `<sequence>_time.txt` beside them has a line of seconds for each frame, one for each
repetition. The test part has the first box only. `list.txt` names the sequences of a part.

Benchmark: Huang, Zhao, Huang, GOT-10k, TPAMI 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError
from vtlab.files import damage_as, write_whole
from vtlab.formats.base import Kind, Loss, Place, frame_count, lost, read_text, walk
from vtlab.formats.ini import read_ini
from vtlab.formats.single_object import SingleObject, add_to_list, hidden, read_flags
from vtlab.sequence import Sequence
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
        # The test part has one box, however many lines lie beside it.
        return read_flags(file, count) == 0 if file.is_file() and count > 1 else np.zeros(count, bool)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result, and the times that lie beside it."""
        tracks, match = super().read_tracks(path, sequence), _RESULT.fullmatch(path.stem)
        file = path.with_name(f"{match[1]}_time{path.suffix}") if match else path
        if match is None or not file.is_file():
            return tracks
        with damage_as(FormatError, file, "seconds, a line for each frame"):
            rows = [line.split(",") for line in read_text(file).split("\n") if line.strip()]
            times = np.array([[float(cell) for cell in row] for row in rows]).reshape(len(rows), -1)
        column = int(match[2]) - 1
        if len(times) != len(tracks) or not 0 <= column < times.shape[1]:
            raise FormatError(
                f"{file}: expected {len(tracks)} lines with a column for repetition {column + 1}, got {len(times)} of "
                f"{times.shape[1]} columns."
            )
        return tracks.replace(step_seconds=times[:, column])

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write the boxes, with truth what lies beside them, with a result its times where each frame has one."""
        written, count = super().write_tracks(tracks, path, kind), frame_count(tracks)
        match = _RESULT.fullmatch(path.stem)
        if kind == "results" and match and count and len(tracks.step_seconds) == count:
            lines = "".join(f"{seconds!r}\n" for seconds in tracks.step_seconds.tolist())
            write_whole(path.with_name(f"{match[1]}_time{path.suffix}"), lines)
        if kind == "truth":
            shown = ~hidden(tracks)
            # Of cover.label's levels (0: nothing shows, to 8: all of it) tracks tell the two ends.
            flags = {"cover.label": 8 * shown, "absence.label": ~shown, "cut_by_image.label": 0 * shown}
            for name, values in flags.items():
                write_whole(path.with_name(name), "".join(f"{int(v)}\n" for v in values))
            if tracks.size is not None:
                height, width = tracks.size
                text = f"[METAINFO]\nresolution: ({width}, {height})\n"
                write_whole(path.with_name("meta_info.ini"), text)
            add_to_list(path.parent.parent, path.parent.name)
        return written

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; times are kept where each frame has one."""
        found = super().losses(tracks, kind)
        if kind == "results" and len(tracks.step_seconds) != frame_count(tracks):
            found |= lost("seconds", tracks, "{} times of steps (there is not one for each frame)")
        return found

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
    results=frozenset({"boxes", "absent", "seconds"}),
)
