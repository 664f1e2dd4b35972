"""What DAVIS and YouTube-VOS share: palette images of object numbers, `Annotations/<resolution>/<sequence>/00000.png`
beside `JPEGImages/<resolution>/<sequence>/00000.jpg`; results are `<tracker>/<sequence>/00000.png`.

Values: 0 background, 1..N objects, 254 and 255 void (kept as ignore regions). DAVIS 2016 has one object, drawn as 255
on 0; any value but 0 answers it. A frame is known by the number of its image, or of its mask where there are no images.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import masks
from vtlab.errors import FormatError, InputError, TracksError, VideoError, VtlabWarning
from vtlab.files import write_whole
from vtlab.formats.base import (
    TRUTH,
    Format,
    Kind,
    Place,
    Result,
    absolute,
    frame_count,
    image_size,
    no_frames,
    open_frames,
    read_text,
    tracker_of,
    walk,
)
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import image_files, open_picture

_VOID = (254, 255)
"""Indices of pixels that count for nobody; the last is the official one (davis2017-evaluation, davis.py)."""
_FPS = 24.0
"""Frames a second of DAVIS, whose images tell no times (Perazzi et al., CVPR 2016)."""
_ANNOTATIONS, _IMAGES = "Annotations", "JPEGImages"
# 480p first: davis2017-evaluation scores it unless told otherwise.
_RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
# Grey and black-and-white pictures hold numbers as palettes do; a colour is no number.
_MODES = ("P", "L", "1")
Labels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class LabelImages(Format):
    """A palette image for each annotated frame.

    Attributes:
        split: Name of a list in `ImageSets` ("2017/val"); by default every annotated sequence.
        resolution: Folder above the sequences; by default the one there is, 480p before others.
        last_counts: A result must have the last frame, too.
    """

    family: str = "vos"
    suffix: str = ".png"
    holds: frozenset[str] = frozenset({"masks", "objects", "ids", "gaps", "unlooked", "size"})
    split: str = ""
    resolution: str = ""
    last_counts: bool = True

    def places(self, root: Path) -> Iterable[Place]:
        """Folders of masks: those below `Annotations` where there are any, of one resolution."""
        found = [
            f for f, names in walk(root) if any(n.endswith(".png") for n in names) and _IMAGES not in f.parts
        ]
        found = [f for f in found if _ANNOTATIONS in f.parts] or found
        wanted = (self.resolution,) if self.resolution else _RESOLUTIONS
        found = next((some for r in wanted if (some := [f for f in found if r in f.parts])), found)
        listed = _listed(root, self.split) if self.split else None
        return (Place(f.name, f, f) for f in found if listed is None or f.name in listed)

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """A folder of masks called after its sequence, in the folder of its tracker."""
        root, wanted = absolute(root), None if known is None else set(known)
        folders = (
            f for f, names in walk(root) if any(n.endswith(".png") for n in names) and f != root / TRUTH
        )
        return [
            Result(tracker_of(root if f != root else root.parent, f), f.name, f)
            for f in folders
            if (wanted is None or f.name in wanted) and TRUTH not in f.relative_to(root).parts[:1]
        ]

    def sniff(self, path: Path) -> bool:
        """Whether there are palette images that no list of YouTube-VOS is about."""
        found = list(self.places(path))
        if not found or any(list_of(place).is_file() for place in found):
            return False
        first = next(p for p in image_files(found[0].path) if p.suffix == ".png")
        try:
            with open_picture(first) as image:
                return image.mode in _MODES
        except VideoError:
            return True  # whatever it is, its reader says what is wrong with it

    def listed_frames(self, place: Place) -> dict[int, list[int]]:
        """Object -> numbers of the frames on which a list beside the masks has it; {} without a list."""
        return {}

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence; each object is prompted by its mask and its box where it first appears."""
        pictures = image_files(_images_of(place.path))
        video = open_frames(pictures, place, _FPS) if images else None
        size = image_size(pictures[0]) if pictures else None
        files = _numbered(place.path, pictures)
        labels = {frame: read_labels(file, size, "the image") for frame, file in files.items()}
        if not labels:
            raise FormatError(f"{place.path}: holds no masks (*.png).")
        size = next(iter(labels.values())).shape
        values = {frame: np.unique(image) for frame, image in labels.items()}
        listed = self.listed_frames(place)
        single = not listed and set(np.concatenate(list(values.values())).tolist()) <= {0, 255}
        meta: dict[str, Any] = {
            "format": self.name,
            "frames": len(pictures) or max(labels) + 1,
            "annotated": sorted(labels),
            "files": [files[f].name for f in sorted(labels)],
            "single": single,
        }
        if listed:
            number = {int(p.stem): i for i, p in enumerate(pictures) if p.stem.isdecimal()}
            known = {i: sorted(number.get(f, f) for f in frames) for i, frames in listed.items()}
            meta["object_frames"] = {str(i): frames for i, frames in known.items()}
        rows: list[tuple[int, int, bytes]] = []
        void: list[tuple[int, int, bytes]] = []
        for frame, image in labels.items():
            ignored = np.isin(image, _VOID) if not single else np.zeros(1, bool)
            if ignored.any():
                void.append((frame, 1, masks.encode(ignored)))
            shown = [v for v in values[frame].tolist() if v and (single or v not in _VOID)]
            rows += [(frame, 1 if single else v, masks.encode(image == v)) for v in shown]
        truth = _tracks(rows, size, "manual", meta)
        video = no_frames(place, meta["frames"], size, _FPS) if video is None else video
        prompts = first_prompts(truth) if images else Prompts()
        return Sequence(
            place.name,
            video,
            truth,
            prompts,
            _tracks(void, size, "manual", meta) if void else None,
            benchmark=self.rule,
        )

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a result: with a sequence the frames that its truth has, each of which must be there after the first."""
        truth = None if sequence is None else sequence.truth
        if truth is None or truth.record.files is None:
            files, size, single = _numbered(path, []), None, False
        else:
            size, single = truth.size, bool(truth.meta["single"])
            named = (path / name for name in truth.record.files)
            files = dict(zip(truth.record.annotated or (), named, strict=True))
            files = {f: _there(p) for f, p in files.items()}
            files = {f: p for f, p in files.items() if p.is_file() or self._counts(f, truth)}
        rows, shape = [], size
        for frame, file in files.items():
            image = read_labels(file, shape)
            shape = image.shape
            for value in (
                [v for v in np.unique(image).tolist() if v] if not single else [1][: int(image.any())]
            ):
                rows.append((frame, value, masks.encode(image > 0 if single else image == value)))
        if truth is not None and not single:
            rows = _known(rows, truth.object_ids.tolist(), files)
        return _tracks(
            rows, shape, "tracked", {"format": self.name, "file": str(path), "annotated": sorted(files)}
        )

    def _counts(self, frame: int, truth: Tracks) -> bool:
        """Whether a frame is scored: those after the first that shows an object, and the last if the rule wants it."""
        first = int(truth.frame.min(initial=frame))
        return frame > first and (self.last_counts or frame < max(truth.meta["annotated"]))

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write a palette image into the folder `path` for each frame of a result, of truth for each that was looked at."""
        return self.draw(tracks, path, kind, Tracks.empty())

    def draw(self, tracks: Tracks, path: Path, kind: Kind, ignore: Tracks) -> Path:
        """Write the pictures, with void pixels where regions are."""
        ids = tracks.object_ids.tolist()
        if tracks.size is None or (ids and not (ids[0] > 0 and ids[-1] < _VOID[0])):
            raise TracksError(
                f"{path}: palette images need the size of the frames and ids from 1 to {_VOID[0] - 1}, got size "
                f"{tracks.size} and ids {ids[:3]}. Remedy: tracks.renamed({{old: new}}), tracks with masks."
            )
        names = dict(
            zip(tracks.record.annotated or (), tracks.record.files or (), strict=bool(tracks.record.files))
        )
        dense = kind == "results" or bool(tracks.record.dense)
        for frame in tracks.annotated_frames(frame_count(tracks), dense).tolist():
            labels = np.zeros(tracks.size, np.uint8)
            for mask in ignore.masks_at(frame).values():
                labels[mask] = _VOID[-1]
            for object_id, mask in tracks.at(frame).seen().masks_at(frame).items():
                labels[mask] = object_id
            write_labels(labels, path / names.get(frame, f"{frame:05d}.png"))
        return path

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """Masks below `Annotations`, or in the folder of the tracker."""
        if tracker:
            return root / tracker / sequence
        return root.joinpath(TRUTH, _ANNOTATIONS, *filter(None, [self.resolution]), sequence)


def read_labels(path: Path, size: tuple[int, ...] | None = None, of: str = "the truth") -> Labels:
    """Read a palette (or grey) PNG of object numbers, (H, W) uint8.

    Raises:
        FormatError: It is missing, no such picture, or of another `size` (height, width) than `of`.
    """
    if not path.is_file():
        raise FormatError(f"{path}: there is no mask for this frame. An empty answer is a PNG of zeros.")
    with _as_format_error(), open_picture(path) as image:
        if image.width * image.height > masks.MAX_PIXELS:
            raise FormatError(f"{path}: {image.width} x {image.height} px are too many for a mask.")
        _check_size(path, (image.height, image.width), size, of)
        if image.mode not in _MODES:
            raise FormatError(
                f"{path}: a picture of mode {image.mode} where a palette PNG of object numbers is due. Save it "
                "with the numbers as palette indices (mode P)."
            )
        return np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)


@contextlib.contextmanager
def _as_format_error() -> Iterator[None]:
    try:
        yield
    except VideoError as error:
        raise FormatError(str(error)) from None


def _check_size(path: Path, found: tuple[int, int], size: tuple[int, ...] | None, of: str) -> None:
    """Refuse another size before its pixels are unpacked."""
    if size is not None and found != tuple(size):
        raise FormatError(
            f"{path}: {found[1]} x {found[0]} px, {of} is {size[1]} x {size[0]}. Resize it "
            "without mixing labels (nearest neighbour)."
        )


def write_labels(labels: Labels, path: Path) -> Path:
    """Write object numbers (H, W) as a palette PNG in DAVIS' colours."""
    from PIL import Image

    image = Image.fromarray(labels, mode="P")
    image.putpalette(_palette())
    return write_whole(path, image.save)


def _palette() -> list[int]:
    """The palette of DAVIS and PASCAL VOC: bits of the number spread over the colours."""
    number = np.arange(256)
    colour = np.zeros((256, 3), np.int64)
    for bit in range(8):
        colour |= ((number[:, None] >> (3 * bit + np.arange(3))) & 1) << (7 - bit)
    return colour.ravel().tolist()


def _tracks(
    rows: list[tuple[int, int, bytes]], size: tuple[int, ...] | None, source: str, meta: dict[str, Any]
) -> Tracks:
    frames, ids, encoded = zip(*rows, strict=True) if rows else ((), (), ())
    given = None if size is None else (size[0], size[1])
    return Tracks.of(frames, ids, masks=list(encoded) if rows else None, source=source, size=given, meta=meta)


def _known(
    rows: list[tuple[int, int, bytes]], ids: list[int], files: dict[int, Path]
) -> list[tuple[int, int, bytes]]:
    """Rows whose values are numbers of the truth's objects; one object drawn in another value gets its number.

    Raises:
        FormatError: Values that mean no object; they would count for nothing.
    """
    values = sorted({value for _, value, _ in rows})
    unknown = [v for v in values if v not in ids]
    if not unknown:
        return rows
    first = next(files[frame] for frame, value, _ in rows if value in unknown)
    if len(ids) == len(values) == 1:
        warnings.warn(
            f"{first}: the object is drawn as {values[0]}, in the truth as {ids[0]}; it is read as object {ids[0]}.",
            VtlabWarning,
            stacklevel=3,
        )
        return [(frame, ids[0], mask) for frame, _, mask in rows]
    raise FormatError(
        f"{first}: the values {', '.join(map(str, unknown[:8]))} are no object of the truth, which has "
        f"{', '.join(map(str, ids[:8]))}. Write each object's number as its value (0 = background), without blended edges."
    )


def _images_of(folder: Path) -> Path:
    """Folder of the images that belong to a folder of masks."""
    parts = list(folder.parts)
    if _ANNOTATIONS not in parts:
        return folder / "-"
    parts[len(parts) - 1 - parts[::-1].index(_ANNOTATIONS)] = _IMAGES
    return Path(*parts)


def _numbered(folder: Path, pictures: list[Path]) -> dict[int, Path]:
    """Masks of a folder by frame: the place of the image of that name, else the number, else their own order."""
    files = [p for p in image_files(folder) if p.suffix == ".png"]
    if pictures:
        number = {p.stem: i for i, p in enumerate(pictures)}
        for file in files:
            if file.stem not in number:
                raise FormatError(f"{file}: there is no image of that name in {str(pictures[0].parent)!r}.")
        return {number[file.stem]: file for file in files}
    counted = all(p.stem.isdecimal() for p in files)
    if not counted and any(p.stem.isdecimal() for p in files):
        odd = next(p for p in files if not p.stem.isdecimal())
        raise FormatError(
            f"{odd}: the masks beside it are named by the number of their frame, this one is not."
        )
    return {int(p.stem) if counted else i: p for i, p in enumerate(files)}


def _there(file: Path) -> Path:
    """The file, or one whose name is the same number with another count of leading zeros."""
    if file.is_file() or not file.stem.isdecimal():
        return file
    same = (p for p in image_files(file.parent) if p.suffix == file.suffix and p.stem.isdecimal())
    return next((p for p in same if int(p.stem) == int(file.stem)), file)


def _listed(root: Path, split: str) -> set[str]:
    path = root / "ImageSets" / f"{split}.txt"
    if not path.is_file():
        raise InputError(f"There is no list {str(path)!r}. Remedy: give a split such as '2017/val', or none.")
    return {line.split()[0] for line in read_text(path).splitlines() if line.strip()}


def list_of(place: Place) -> Path:
    """Where YouTube-VOS lists the objects of a sequence."""
    return place.path.parent.parent / "meta.json"
