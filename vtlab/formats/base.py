"""The contract of a format: one record says what it is called, how it lies on disk, what it can hold, and reads and
writes it.

A format is one file of this folder with a `FORMAT` (or `FORMATS`, where several differ by names only); `registry` finds
it by its file. Tests of it are free: the contract of `vtlab.testing` is asked of every record there is, and
`vtlab check format my_format.py:FORMAT` asks it of your own.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, TracksError, VideoError, VtlabWarning
from vtlab.formats.ledger import (
    FEATURES,
    Loss,
    extents,
    frame_count,
    given,
    ids_from_one,
    lost,
    overlaps,
    renumbered,
    rounded,
    sources,
)
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.video import (
    FrameSource,
    Image,
    StreamVideo,
    Video,
    check_picture,
    image_files,
    is_leftover,
    open_video,
)
from vtlab.video.names import VIDEO_SUFFIXES

Kind = Literal["truth", "results"]
TRUTH = "truth"
"""Folder of the truth beside the folders of trackers, as `Comparison.save` writes it."""
LEDGERS: Mapping[Kind, str] = {"truth": "losses-truth.json", "results": "losses-results.json"}
"""Files beside the output of a conversion that say what it lost."""
# Folders between a tracker's own and its files, as TrackEval's `data`: none of them names a tracker.
_BETWEEN = ("data", "results", "res")
MOST_FRAMES = 1 << 24
"""Of a sequence: 155 hours at 30 frames a second."""


@dataclass(frozen=True)
class Place:
    """Where one sequence lies.

    Attributes:
        name: Of the sequence: in the dataset, in results, in tables.
        path: Its folder, or the file that holds it.
        truth: File or folder of its truth; None for a test sequence.
    """

    name: str
    path: Path
    truth: Path | None


@dataclass(frozen=True)
class Result:
    """Where one tracker's result for one sequence lies."""

    tracker: str
    sequence: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """One format; its fields say what is true of it, its methods read and write it.

    Attributes:
        name: Word for it on the command line and in Python.
        family: By whose metrics it is scored; "" where the tracks say.
        summary: How it lies on disk, in one line.
        rule: Name of the benchmark's rule; "" where the sequence says.
        rules: Other names, each for the rule that it stands for ("" = `rule`).
        pixel_base: Number of the first pixel's left and upper edge in the file: 0, or 1.
        frame_base: Number of the first frame in the file.
        first_frame: The same in results, where they break the rule.
        holds: Keys of `FEATURES` that truth in this format keeps.
        results: The same of results; None: as truth.
        grid: Coordinates in the file are multiples of this many pixels; 0: any.
        suffix: Ending of a file of results.
        repeats: A tracker may have several results for one sequence, runs that are repetitions.
        package: Python package of an extra that reads and writes it; "" where vtlab does.
        lone: What a file has of which `plain` is true, for messages; "" where it never is.
    """

    name: str
    family: str
    summary: str
    rule: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)
    pixel_base: int = 0
    frame_base: int = 0
    first_frame: int | None = None
    holds: frozenset[str] = frozenset()
    results: frozenset[str] | None = None
    grid: float = 0.0
    suffix: str = ".txt"
    repeats: bool = False
    package: str = ""
    lone: str = ""

    @abstractmethod
    def places(self, root: Path) -> Iterable[Place]:
        """Every sequence at or below `root`; `find` checks and orders them."""

    def find(self, root: Path) -> dict[str, Place]:
        """Sequences at or below `root` by name; links are followed.

        Raises:
            FormatError: Two sequences have one name.
        """
        root = absolute(root)
        if (root / TRUTH).is_dir():
            root = root / TRUTH
        found: dict[str, Place] = {}
        for place in sorted(self.places(root), key=lambda p: (p.name, str(p.path))):
            if place.name in found:
                raise FormatError(
                    f"{root}: {place.name} is there twice: {found[place.name].path} and {place.path}. Name one folder."
                )
            found[place.name] = place
        return found

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Results at or below `root` of the sequences `known`; of any, where None.

        A result is named after its sequence, its tracker after the folders above (TrackEval's `data` is skipped).
        """
        root, wanted = absolute(root), None if known is None else set(known)
        if root.is_file() and wanted is not None and len(wanted) == 1:
            return [Result(root.stem, next(iter(wanted)), root)]
        found = []
        for path in files(root, self.suffix):
            name = self.sequence_of(path, wanted)
            if name is not None and path.relative_to(_base(root)).parts[0] != TRUTH:
                found.append(Result(tracker_of(_base(root), self.folder_of(path, name)), name, path))
        return found

    def find_scored(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """What `vtlab evaluate` scores: results, and runs that only this format can hold."""
        return self.find_results(root, known)

    def check_runs(self, paths: Iterable[Path], sequence: Sequence) -> None:  # noqa: B027 (most have one run)
        """Check that the runs of one tracker on a sequence are complete, where a benchmark has several.

        Raises:
            FormatError: One is missing.
        """

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """Name of the sequence whose result lies at `path`; None where it is none of `known`."""
        return path.stem if known is None or path.stem in known else None

    def folder_of(self, path: Path, sequence: str) -> Path:
        """What lies right below the folder of the tracker: `path` itself, or the folder of its sequence."""
        return path

    @abstractmethod
    def sniff(self, path: Path) -> bool:
        """Whether `path` looks like this format and no other.

        Args:
            path: A folder at any level above the sequences, or one file, of which only the file itself tells: what lies
                beside it may be another's. `files` gives the files of both.
        """

    def plain(self, path: Path) -> bool:
        """Whether a file alone may be a result of this format; asked where no format's `sniff` knows it."""
        return False

    @abstractmethod
    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read a sequence.

        Args:
            place: One of `find`.
            images: False: its images need not be there; reading a frame then raises.

        Raises:
            FormatError: A file is wrong: which, where, what was expected.
            VideoError: The images are missing.
        """

    @abstractmethod
    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read a tracker's result, checked against the sequence where it is given."""

    @abstractmethod
    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Write tracks as truth or as a tracker's result (whole or not at all); see `losses` for what is not kept.

        Raises:
            TracksError: The format can't hold them at all.
            WriteError: The file can't be written.
        """

    def write_sequence(self, sequence: Sequence, path: Path) -> list[Path]:
        """Write the truth of a sequence, with what else of the sequence the format holds.

        Raises:
            TracksError: The sequence has no truth, or the format can't hold it.
        """
        if sequence.truth is None:
            raise TracksError(f"The sequence {sequence.name!r} has no truth to write.")
        record = sequence.truth.record
        if not isinstance(sequence.video, StreamVideo):
            record = record.replace(frames=len(sequence))  # the truth may end before the video does
        truth = sequence.truth.replace(record=record)
        if sequence.ignore is not None:
            return self.write_regions(truth, self.regions(sequence.ignore, truth), path)
        return [self.write_tracks(truth, path, "truth")]

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """The ignore regions that a file of this truth can hold; none, where the format doesn't say."""
        return ignore.take([])

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Write truth with its ignore regions, which are those that `regions` gives."""
        return [self.write_tracks(truth, path, "truth")]

    def path_of(self, root: Path, sequence: str, tracker: str = "") -> Path:
        """Where a tracker's result, or (without a tracker) the truth of a sequence belongs below `root`."""
        return root / (tracker or TRUTH) / f"{sequence}{self.suffix}"

    def gathered(self, written: list[Path]) -> list[Path]:
        """Join files of a dataset that other tools want as one, and return what is there then; by default they stay."""
        return written

    def held(self, kind: Kind = "truth") -> frozenset[str]:
        """Keys of `FEATURES` that truth, or results, in this format keep."""
        held = self.holds if kind == "truth" or self.results is None else self.results
        held |= {"unlooked"} if kind == "results" else set()  # a tracker is asked about every frame
        return held | ({"returns"} if "gaps" in held else set())

    def losses(self, tracks: Tracks, kind: Kind = "truth") -> dict[str, Loss]:
        """What of these tracks the format can't hold, by kind: the rows of the ledger."""
        held = self.held(kind)
        found: dict[str, Loss] = {}
        for key in FEATURES.keys() - held - {"ids", "source"}:
            found |= lost(key, tracks)
        if "ids" not in held:
            found |= renumbered(ids_from_one(tracks))
        if "source" not in held:
            found |= sources(tracks, "manual" if kind == "truth" else "tracked")
        found |= rounded(tracks, self.grid)
        return {key: found[key] for key in FEATURES if key in found}

    @property
    def ready(self) -> bool:
        """Whether what it is read and written with is installed."""
        return not self.package or find_spec(self.package) is not None

    def first(self) -> int:
        """Number of the first frame in results."""
        return self.frame_base if self.first_frame is None else self.first_frame


def absolute(path: Path) -> Path:
    """The path from the root of the disk, its links as they are: a folder's name is the one that it is known by."""
    return Path(os.path.abspath(path))


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders at or below `root` in order, with their files; links are followed, each folder once, hidden ones not.

    Warns:
        VtlabWarning: A folder is there under two names: it is read once, under the first.
    """
    if root.is_file():
        yield root.parent, [root.name]
        return
    seen: dict[str, str] = {}
    for folder, below, names in os.walk(root, followlinks=True):
        first = seen.setdefault(os.path.realpath(folder), folder)
        if first != folder:
            below[:] = []
            if not folder.startswith(first + os.sep):  # a link to what it lies in hides nothing
                warnings.warn(
                    f"{folder} is the same folder as {first}; it is read once, under the first name. Remedy: copy it "
                    "where both names are meant.",
                    VtlabWarning,
                    stacklevel=4,
                )
            continue
        below[:] = sorted(n for n in below if not is_leftover(n))
        yield Path(folder), sorted(n for n in names if not is_leftover(n) and n not in LEDGERS.values())


def dangling(root: Path) -> str:
    """A sentence on the first link at or below `root` that leads nowhere; "" where there is none."""
    for folder, below, names in os.walk(root, followlinks=False):
        for path in (Path(folder, n) for n in sorted((*below, *names))):
            if path.is_symlink() and not path.exists():
                return f" {path} is a link to {os.readlink(path)!r}, which is not there."
    return ""


def files(root: Path, suffix: str) -> Iterator[Path]:
    """Files at or below `root` that end in `suffix`."""
    return (folder / n for folder, names in walk(root) for n in names if n.endswith(suffix))


def beginning(path: Path, size: int = 1 << 16) -> bytes:
    """The first bytes of a file, by which a format knows its own; none where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _base(root: Path) -> Path:
    return root.parent if root.is_file() else root


def tracker_of(root: Path, path: Path) -> str:
    """Name a tracker by the folders between the root and the result, without TrackEval's `data`.

    Where nothing is between them the root names it, or what it lies in where it is such a folder itself.
    """
    parts = path.relative_to(root).parts[:-1] if root in path.parents else ()
    inner = "/".join(p for p in parts if p not in _BETWEEN)
    return inner or next((p.name for p in (root, *root.parents) if p.name not in ("", *_BETWEEN)), root.name)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image, from its header."""
    try:
        width, height = check_picture(path, path)
    except VideoError as error:
        raise FormatError(str(error)) from None
    return height, width


def video_beside(folder: Path, name: str) -> Path | None:
    """A video file called `name` (or `video`) in `folder`, or a folder of images called so."""
    for stem in (name, "video"):
        for suffix in VIDEO_SUFFIXES:
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    return folder / name if image_files(folder / name) else None


def inside(name: str, where: str) -> str:
    """A path that a file names, below that file's folder; raises `FormatError` for one that leads elsewhere."""
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name:
        raise FormatError(f"{where}: the name leads elsewhere: {name[:60]!r}.")
    return name


def open_frames(frames: list[Path] | Path | None, place: Place, fps: float | None = None) -> Video:
    """Open the images or the video file of a sequence."""
    if not frames:
        raise VideoError(
            f"{place.name!r} holds no images or video beside {str(place.path)!r}. Remedy: put them there."
        )
    return open_video(frames, fps=fps, name=place.name)


def no_frames(
    place: Place,
    count: int,
    size: tuple[int, int] | None,
    fps: float = 30.0,
    span: tuple[int, int] = (0, 1),
) -> Video:
    """A video of which only the length is known, and which frames of another it has: scoring needs no images.

    Raises:
        FormatError: The length is no sequence's; a damaged number would take all memory.
    """
    if not 0 <= count <= MOST_FRAMES:
        raise FormatError(f"{place.path}: {count} frames; a sequence has at most {MOST_FRAMES}.")
    return Video(_NoFrames(place, count, size or (0, 0), fps, span))


class _NoFrames(FrameSource):
    def __init__(self, place: Place, count: int, size: tuple[int, int], fps: float, span: tuple[int, int]):
        self.name, self.source, self.fps = place.name, str(place.path), fps
        self.height, self.width = size
        self.span = span
        self.timestamps = np.arange(count) / fps

    def get(self, index: int) -> Image:
        raise VideoError(f"{self.source}: only the truth was read, so there is no frame {index}.")

    def digest(self) -> str:
        raise VideoError(f"{self.source}: only the truth was read, so there is no hash of its frames.")


def read_text(path: Path) -> str:
    """Text of a file, without a byte order mark.

    Raises:
        FormatError: It can't be read; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise FormatError(f"{path}: can't be read ({error.strerror or error}).") from None


def whole(text: str, where: object, name: str, most: int = MOST_FRAMES) -> int:
    """A whole number from 0 to `most` in a file; raises `FormatError` for anything else."""
    # 18 digits fit into 64 bits; Python itself refuses to read more than 4,300.
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) > most:
        raise FormatError(f"{where}: {name} should be a whole number up to {most}, got {text[:40]!r}.")
    return int(text)


def finite(values: Any, count: int | None = None) -> list[float]:
    """The numbers of a list out of JSON as floats; none at all where it is no list of (`count`) finite ones.

    JSON's whole numbers have any length: numpy and `float` take no more than 308 digits.
    """
    good = isinstance(values, list) and count in (None, len(values))
    if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return []
    return [float(v) for v in values] if all(abs(v) < 1e300 for v in values) else []


def plain_boxes(ignore: Tracks, also: NDArray[np.bool_] | None = None) -> Tracks:
    """The ignore regions that a box says all of: upright, without a mask or an outline; and those of `also` (N,)."""
    keep = np.isfinite(ignore.boxes).all(axis=1)
    keep &= ~given(ignore.rle, len(ignore)) & ~given(ignore.polygons, len(ignore))
    keep &= True if ignore.angle is None else ignore.angle == 0
    return ignore.take(keep if also is None else keep | also)


def one_object(tracks: Tracks, form: Format) -> Tracks:
    """The tracks, having checked that they hold one object at most."""
    if len(tracks.object_ids) > 1:
        raise TracksError(
            f"A file of {form.name!r} holds one object, these tracks hold {len(tracks.object_ids)}. Write them one by "
            "one with tracks.of_object(id), or choose another format."
        )
    return tracks


def options_of(form: Format) -> list[str]:
    """Names of the fields that `open_dataset` may set."""
    from dataclasses import fields

    fixed = {f.name for f in fields(Format)} - {"rule", "first_frame"}
    return sorted(f.name for f in fields(form) if f.name not in fixed)


__all__ = [
    "FEATURES",
    "TRUTH",
    "Format",
    "Kind",
    "Loss",
    "Place",
    "Result",
    "extents",
    "frame_count",
    "given",
    "lost",
    "overlaps",
]
