"""MOTS as images (KITTI MOTS): `instances/<sequence>/000000.png` of 16 bits, each pixel class x 1000 + instance.

Class 1 is a car, 2 a pedestrian; 10000 is a region that is ignored, 0 the background. Frames count from 0. An object's id is
the number of its instance where no two objects of the sequence share it, else the whole value, as in MOTS' text. Images lie
in `training/image_02/<sequence>` or `image_02/<sequence>` beside `instances`. Results are `<tracker>/<sequence>/000000.png`.

Format: Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation", CVPR 2019 (mots_tools, mots_common/io.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError, TracksError, VideoError
from vtlab.files import write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Loss,
    Place,
    Result,
    absolute,
    frame_count,
    given,
    lost,
    no_frames,
    open_frames,
    overlaps,
    tracker_of,
    walk,
    whole,
)
from vtlab.formats.ignored import drawn_regions, with_regions, without_regions
from vtlab.formats.json_video import label_losses
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.video import image_files, open_picture

_CLASSES = {1: "car", 2: "pedestrian"}
"""Of the thousands of a value; the rest is the instance (MOTS tools, Voigtlaender et al., CVPR 2019)."""
_IGNORED, _INSTANCES = 10_000, "instances"


@dataclass(frozen=True, kw_only=True)
class MotsImages(Format):
    """A 16-bit image for each frame."""

    suffix: str = ".png"

    def places(self, root: Path) -> Iterable[Place]:
        """Folders of images, those below `instances` where there are any."""
        found = [f for f, names in walk(root) if any(n.endswith(".png") for n in names)]
        within = [f for f in found if _INSTANCES in f.parts]
        return (Place(f.name, f, f) for f in within or [f for f in found if "image_02" not in f.parts])

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """A folder of images called after its sequence, in the folder of its tracker."""
        top, wanted = absolute(root), None if known is None else set(known)
        folders = (f for f, names in walk(top) if any(n.endswith(".png") for n in names))
        return [
            Result(tracker_of(top if f != top else top.parent, f), f.name, f)
            for f in folders
            if (wanted is None or f.name in wanted)
            and (f == top or f.relative_to(top).parts[0] not in (TRUTH, _INSTANCES))
        ]

    def sniff(self, path: Path) -> bool:
        """Whether there are images below `instances`."""
        return any(_INSTANCES in place.path.parts for place in self.places(path))

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; the value 10000 makes its ignore regions."""
        base = place.path.parent.parent
        folders = (base / "training" / "image_02" / place.name, base / "image_02" / place.name)
        pictures = next((found for f in folders if (found := image_files(f))), [])
        files = _numbered(place.path)
        count = max(len(pictures), max(files) + 1)
        truth = _read(files, "manual", None)
        meta = {"format": self.name, "file": str(place.path), "frames": count, "dense": True}
        truth = truth.replace(meta=meta)
        # KITTI's cameras take 10 frames a second (Geiger et al., CVPR 2012).
        video = open_frames(pictures, place, 10.0) if images else no_frames(place, count, truth.size, 10.0)
        truth, ignored = without_regions(truth)
        truth = from_one(truth) if images else truth
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(place.name, video, truth, prompts, ignored, benchmark=self.rule)

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result: a folder of images."""
        files = _numbered(path)
        size = None if sequence is None or sequence.truth is None else sequence.truth.size
        count = max(files) + 1 if sequence is None else len(sequence)
        if max(files) >= count:
            raise FormatError(f"{files[max(files)]}: the sequence has {count} frames.")
        tracks = _read(files, "tracked", size)
        return tracks.replace(meta={"format": self.name, "file": str(path), "frames": count})

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write an image for each frame into the folder `path`; objects without a label are pedestrians.

        Raises:
            TracksError: No size of the frames, masks that overlap, a label that is no class, an id that is no instance.
        """
        from PIL import Image

        if tracks.size is None:
            raise TracksError(
                f"{path}: images need the size of the frames; give tracks of masks with a size."
            )
        for frame, twice in overlaps(tracks).items():
            raise TracksError(
                f"Masks overlap in frame {frame} ({twice} pixels); MOTS gives each pixel to one object."
            )
        seen = tracks.seen()
        labels = seen.labels
        values = [_value(labels.get(owner), owner) for owner in seen.object_id.tolist()]
        for frame in range(frame_count(tracks)):
            drawn = np.zeros(tracks.size, np.uint16)
            for row in range(*np.searchsorted(seen.frame, [frame, frame + 1])):
                mask = seen.mask(row)
                if mask is not None:
                    drawn[mask] = values[row]
            write_whole(path / f"{frame:06d}.png", Image.fromarray(drawn).save)
        return path

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """Masks, without the pixels of objects."""
        return drawn_regions(ignore, truth)

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write the truth, and the regions with their own value."""
        return [self.write_tracks(with_regions(truth, ignore), path, "truth")]

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """See `Format`; every object has one class."""
        bare = given(tracks.rle, len(tracks)) & tracks.visible & ~given(tracks.label, len(tracks))
        told = "{} rows without a label (they get their object's, or read as pedestrians)"
        found = super().losses(tracks, kind) | label_losses(tracks.seen(), none=None)
        return found | lost("unlabelled", tracks, told, bare)

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """Images of truth below `instances`, of a result in the folder of its tracker."""
        return root / tracker / sequence if tracker else root / TRUTH / _INSTANCES / sequence


def _value(label: str | None, owner: int) -> int:
    """Value of an object's pixels."""
    if label == "ignore":
        return _IGNORED
    numbers = {name: number for number, name in _CLASSES.items()}
    kind = numbers.get(label or "pedestrian")
    if kind is None:
        raise TracksError(
            f"The label {label!r} is no class of MOTS. Known: {', '.join((*numbers, 'ignore'))}."
        )
    value = owner if owner // 1000 == kind else kind * 1000 + owner
    if not 0 <= owner < _IGNORED or value // 1000 != kind or value % 1000 != owner % 1000:
        raise TracksError(
            f"The id {owner} is no instance of MOTS' images (0 to 999, or with the class's thousands). Remedy: "
            "tracks.renamed({old: new})."
        )
    return value


def _numbered(folder: Path) -> dict[int, Path]:
    """Frame -> its image.

    Raises:
        FormatError: There are none, or a name is no number.
    """
    files = [p for p in image_files(folder) if p.suffix == ".png"]
    if not files:
        raise FormatError(f"{folder}: holds no images of instances (*.png).")
    return {whole(p.stem, p, "the name of an image"): p for p in files}


def _pixels(path: Path, size: tuple[int, int] | None) -> NDArray[np.int64]:
    """Values of an image (H, W)."""
    try:
        with open_picture(path) as image:
            if image.width * image.height > masks.MAX_PIXELS:
                raise FormatError(f"{path}: {image.width} x {image.height} px are too many for a mask.")
            if size is not None and (image.height, image.width) != tuple(size):
                raise FormatError(
                    f"{path}: {image.width} x {image.height} px, the others are {size[1]} x {size[0]}."
                )
            # Pillow calls 16 bits I;16, older versions I; a frame without objects may have 8.
            if image.mode not in ("I;16", "I;16B", "I", "L"):
                raise FormatError(f"{path}: a picture of mode {image.mode} where one of 16 bits is due.")
            return np.asarray(image, dtype=np.int64)
    except VideoError as error:
        raise FormatError(str(error)) from None


def _read(files: dict[int, Path], source: str, size: tuple[int, int] | None) -> Tracks:
    """Tracks of the images of a sequence."""
    rows: list[tuple[int, int, bytes]] = []
    for frame, path in files.items():
        pixels = _pixels(path, size)
        size = (pixels.shape[0], pixels.shape[1])
        for value in np.unique(pixels).tolist():
            if value and value != _IGNORED and value // 1000 not in _CLASSES:
                known = ", ".join(f"{k} ({v})" for k, v in _CLASSES.items())
                raise FormatError(
                    f"{path}: the value {value} is of no class. Known: {known}, {_IGNORED} (ignored)."
                )
            if value:
                rows.append((frame, value, masks.encode(pixels == value)))
    values = {value for _, value, _ in rows} - {_IGNORED}
    short = len({value % 1000 for value in values}) == len(values)
    owners = [v % 1000 if short and v != _IGNORED else v for _, v, _ in rows]
    return Tracks.of(
        [frame for frame, _, _ in rows],
        owners,
        label=["ignore" if v == _IGNORED else _CLASSES[v // 1000] for _, v, _ in rows],
        masks=[mask for _, _, mask in rows] if rows else None,
        source=source,
        size=size,
    )


FORMAT = MotsImages(
    name="mots-png",
    family="mot",
    summary="instances/<sequence>/*.png of 16 bits; results: <tracker>/<sequence>/*.png",
    rules={"kitti-mots": ""},
    rule="mots",
    holds=frozenset({"masks", "objects", "ids", "gaps", "labels", "size"}),
)
