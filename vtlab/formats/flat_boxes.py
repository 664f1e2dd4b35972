"""One text file of boxes for each sequence: TrackingNet's `{frames/<sequence>/0.jpg, anno/<sequence>.txt}`, and boxes of
any other tool, `<sequence>.txt` with a folder of images or a video file of that name beside it.

Differs from vtlab's convention: boxes are xywh. Pixels count from 0. The test part of TrackingNet has the first box
only; its images are ordered by number (0, 1, ..., 10).

Benchmark: Mueller et al., TrackingNet, ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vtlab.errors import FormatError
from vtlab.formats.base import TRUTH, Place, beginning, files, video_beside
from vtlab.formats.single_object import SingleObject, read_boxes
from vtlab.video import image_files


@dataclass(frozen=True, kw_only=True)
class FlatBoxes(SingleObject):
    """One text file a sequence.

    Attributes:
        annotations: Folder of the truth; "" where it lies anywhere.
        frames: Folder of the images beside it.
    """

    truth_file: str = ""
    annotations: str = ""
    frames: str = ""

    def places(self, root: Path) -> Iterable[Place]:
        """Text files, those in the folder of annotations where there is one."""
        found = list(self.flat(root))
        return [p for p in found if p.path.parent.name == self.annotations] or found

    def frames_of(self, place: Place, count: int) -> list[Path] | Path | None:
        """Images in a folder called after the sequence, or a video file of that name."""
        if self.frames:
            return image_files(place.path.parent.parent / self.frames / place.name)
        found = video_beside(place.path.parent, place.name)
        return image_files(found) if found is not None and found.is_dir() else found

    def sniff(self, path: Path) -> bool:
        """Whether there is a text of boxes that is not in a layout of its own."""
        texts = [
            p for p in files(path, ".txt") if not p.name.startswith("groundtruth") and p.name != "gt.txt"
        ]
        if (
            not texts
            or texts[0].parent.parent.name == "anno"
            or bool(self.annotations) != (texts[0].parent.name == "anno")
        ):
            return False
        first = beginning(texts[0], 1000).split(b"\n", 1)[0].replace(b",", b" ").split()
        if len(first) != 4:  # a long text of another kind isn't read for this
            return False
        try:
            return len(read_boxes(texts[0])) > 0
        except FormatError:
            return False

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """The truth in the folder of annotations."""
        if tracker or not self.annotations:
            return super().path_of(root, sequence, tracker)
        return root / TRUTH / self.annotations / f"{sequence}.txt"


FORMATS = (
    FlatBoxes(name="boxes", summary="<sequence>.txt with a video of that name beside it", rule="otb"),
    FlatBoxes(
        name="trackingnet",
        summary="{frames/<sequence>/*.jpg, anno/<sequence>.txt}",
        rule="trackingnet",
        annotations="anno",
        frames="frames",
    ),
)
