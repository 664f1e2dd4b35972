"""Every format by its name, found by its file, and what all of them can do: open, read, write."""

from __future__ import annotations

import importlib
import os
import pkgutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.errors import FormatError, InputError, TracksError, VtlabWarning, near
from vtlab.formats.base import FEATURES, Format, Kind, Place, absolute, options_of
from vtlab.formats.borders import upright
from vtlab.registry import load_file
from vtlab.sequence import Dataset, Sequence
from vtlab.tracks import Tracks
from vtlab.tracks.files import OWN

_NO_PART = '/\\:*?"<>|\0' if os.name == "nt" else "/\0"


@cache
def _found() -> dict[str, Format]:
    """Formats by name; every module of this folder that has a `FORMAT` or `FORMATS` brings them."""
    package = importlib.import_module(__package__ or "vtlab.formats")
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = vars(importlib.import_module(f"{package.__name__}.{info.name}"))
        if info.name != "registry":
            for form in (*module.get("FORMATS", ()), *(f for f in (module.get("FORMAT"),) if f is not None)):
                found[form.name] = form
    return dict(sorted(found.items()))


class _Formats(Mapping[str, Format]):
    """Formats by name, found when they are first asked for."""

    def __getitem__(self, name: str) -> Format:
        return _found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_found())

    def __len__(self) -> int:
        return len(_found())


FORMATS: Mapping[str, Format] = _Formats()
"""Every format by its name."""


def words() -> list[str]:
    """Every word that names a format, alone or with one of its rules."""
    return sorted({*FORMATS, *(rule for form in FORMATS.values() for rule in form.rules)})


def find_format(name: str | Format, **options: Any) -> Format:
    """Return the format called `name`; a name of one of its rules (mot17) gives it with that rule.

    Args:
        name: One of `words()`, your own as `path/to/file.py:FORMAT`, or a record.
        options: Fields of that format to set, such as `split` for davis or `rule`.

    Raises:
        InputError: An unknown name or option.
        RegistryError: There is no such file, or it can't be loaded.
    """
    form = _named(name)
    known = options_of(form)
    for option in options:
        if option not in known:
            raise InputError(f"The format {form.name!r} has no option {option!r}. {near(option, known)}")
    return replace(form, **options)


def _named(name: Any) -> Format:
    """The format that a word, a file or a record stands for."""
    given = load_file(name, "format") if isinstance(name, str) and ".py:" in name else name
    if isinstance(given, Format):
        return given
    if given is not name:
        raise InputError(f"{name}: this is a {type(given).__name__}, not a record of `vtlab.formats.Format`.")
    key = str(name).lower()
    for form in FORMATS.values():
        if key == form.name or key in form.rules:
            return replace(form, rule=form.rules.get(key) or form.rule)
    raise InputError(f"Unknown layout {name!r}. {near(key, words())}")


class FormatDataset(Dataset):
    """The sequences of one format below a root, read one by one.

    Attributes:
        format: The record that reads them.
    """

    def __init__(self, root: str | os.PathLike[str], form: Format):
        self.root, self.format = Path(root), form
        if not self.root.exists():
            raise InputError(f"{str(root)!r}: there is no such file or folder.")
        self._places = form.find(self.root)
        self.names = tuple(self._places)
        if not self.names:
            plain = FORMATS.get(form.name, form)
            options = {o: getattr(form, o) for o in options_of(form) if getattr(form, o) != getattr(plain, o)}
            chosen = f" with {', '.join(f'{o}={v!r}' for o, v in options.items())}" if options else ""
            raise InputError(
                f"{str(self.root)!r} holds no sequences in the layout {form.name!r}{chosen}. Remedy: give the folder of the "
                f"sequences, or one of them; expected {form.summary}."
            )

    def load(self, name: str) -> Sequence:
        """Read the sequence `name` with its video."""
        return self.format.read_sequence(self._places[name])

    def truth(self, name: str) -> Tracks | None:
        """Read the ground truth, which needs no images; None for a test sequence."""
        place = self._places[name]
        return None if place.truth is None else self.format.read_sequence(place, images=False).truth

    def place(self, name: str) -> Place:
        """Where a sequence lies."""
        return self._places[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r}, {self.format.name!r}, {len(self)} sequences)"


def open_format(root: str | os.PathLike[str], name: str | Format, **options: Any) -> FormatDataset:
    """Open the sequences below `root`; see `find_format` for the names and options."""
    return FormatDataset(root, find_format(name, **options))


def sniff(path: str | os.PathLike[str]) -> Format:
    """Tell the format of a file or folder by its look: the one that knows it, of all that there are.

    Every format is asked whether it knows the place as its own (`Format.sniff`). Where none does and it is a file, each
    is asked whether the file alone may be a result of its (`Format.plain`), which is the weaker claim.

    Raises:
        FormatError: None fits, or several do.
    """
    where = absolute(Path(path))
    if not where.exists():
        raise FormatError(f"{path}: there is no such file or folder.")
    fitting = [form for form in FORMATS.values() if form.sniff(where)]
    if not fitting and where.is_file():
        fitting = [form for form in FORMATS.values() if form.plain(where)]
    if len(fitting) != 1:
        alone = [f"A file alone is {f.name!r} where it has {f.lone}." for f in FORMATS.values() if f.lone]
        told = f". {' '.join(alone)}".rstrip(".") if where.is_file() else ""
        found = (
            f"It could be {', '.join(f.name for f in fitting)}" if fitting else f"It looks like none{told}"
        )
        raise FormatError(
            f"{path}: of which format is it? {found}. Name it (layout=..., --from of convert, --as of other commands). "
            f"Known: {', '.join(words())}."
        )
    return fitting[0]


def read_tracks(path: str | os.PathLike[str], name: str | Format, sequence: Sequence | None = None) -> Tracks:
    """Read one file (or folder of masks) of tracks in the format called `name`; see `Format.read_tracks`."""
    return find_format(name).read_tracks(Path(path), sequence)


def write_sequence(
    sequence: Sequence, root: str | os.PathLike[str], name: str | Format = "vtlab"
) -> list[Path]:
    """Write the truth of a sequence where the format called `name` has it below `root`, with what scoring needs of it.

    Beside it `write_tracks` puts the results of trackers; `evaluate` takes the folder as truth and as tracks.

    Raises:
        TracksError: The sequence has no truth, or the format can't hold it.
    """
    form = find_format(name)
    if sequence.truth is not None:
        sequence = replace(sequence, truth=fitted(form, sequence.truth, "truth"))
    return form.write_sequence(sequence, form.path_of(Path(root), _plain(sequence.name)))


def write_tracks(
    tracks: Tracks,
    root: str | os.PathLike[str],
    name: str | Format,
    *,
    sequence: str,
    tracker: str = "",
    repeat: int = 1,
    ignore: Tracks | None = None,
) -> list[Path]:
    """Write tracks where the format called `name` has them below `root`, so that `evaluate` finds them.

    Args:
        tracks: Truth of a sequence, or a tracker's result.
        root: Folder that holds `truth` and a folder for each tracker.
        name: Of the format.
        sequence: Name of the sequence.
        tracker: Name of the tracker; "" for truth.
        repeat: Which repetition of the tracker this is, from 1; where the format holds one only, it is called
            `tracker-2`.
        ignore: Ignore regions of the truth, written with it as far as the format holds them (`Format.regions`).

    Returns:
        The files; several where a file holds one object: the targets are then called `sequence-1`, `sequence-2`.

    Raises:
        TracksError: The format can't hold the tracks at all. What it holds in part `losses` of the format says.
    """
    form = find_format(name)
    kind: Kind = "results" if tracker else "truth"
    tracks = fitted(form, tracks, kind)
    _refuse_all_lost(tracks, form, kind)
    owner = _plain(tracker if repeat == 1 or form.repeats else f"{tracker}-{repeat}")
    parts = {
        name: tracks if i is None else tracks.of_object(i) for name, i in targets(form, tracks, sequence)
    }
    if ignore is not None and len(ignore) and not tracker and "objects" in form.holds:
        path = form.path_of(Path(root), _plain(sequence), "")
        return form.write_regions(tracks, form.regions(ignore, tracks), path)
    return [
        form.write_tracks(
            part, _repeated(form.path_of(Path(root), _plain(target), owner), form, repeat), kind
        )
        for target, part in parts.items()
    ]


def save_tracks(tracks: Tracks, path: Path, layout: str | Format | None = None) -> Path:
    """Write tracks as one file in the format of its ending, or in `layout`; see `Tracks.save`.

    Raises:
        InputError: No format has the ending, or several have.
        TracksError: The format can't hold the tracks at all.

    Warns:
        VtlabWarning: It can't hold all of them.
    """
    form = find_format(layout) if layout is not None else by_ending(path)
    tracks = fitted(form, tracks, "results")
    _refuse_all_lost(tracks, form, "results")
    written = form.write_tracks(tracks, path, "results")
    lost = [row.told for row in form.losses(tracks, "results").values()]
    if lost:
        warnings.warn(
            f"{path}: {form.name!r} can't hold {'; '.join(lost)}. Remedy: keep a .parquet beside it.",
            VtlabWarning,
            stacklevel=4,
        )
    return written


def load_tracks(path: Path, layout: str | Format | None = None) -> Tracks:
    """Read one file of tracks in `layout`, or in the format that it looks like (`sniff`); see `Tracks.load`.

    Raises:
        FormatError: It is missing, damaged, or of no known format.
    """
    return read_tracks(path, layout or sniff(path))


def by_ending(path: Path) -> Format:
    """The one format whose results end so; vtlab's own forms are three.

    Raises:
        InputError: No format has the ending, or several have.
    """
    endings: dict[str, list[str]] = {ending: ["vtlab"] for ending in OWN}
    for form in FORMATS.values():
        ending = form.path_of(Path("root"), "sequence", "tracker").suffix
        if ending and ending not in OWN:
            endings.setdefault(ending, []).append(form.name)
    fitting = endings.get(path.suffix.lower(), [])
    if len(fitting) == 1:
        return FORMATS[fitting[0]]
    known = ", ".join(f"{e} ({names[0]})" if len(names) == 1 else e for e, names in sorted(endings.items()))
    told = f"is the ending of {', '.join(fitting)}" if fitting else "is the ending of no format"
    raise InputError(
        f"{path}: {path.suffix or 'none'!r} {told}. Remedy: name the format, as in "
        f"tracks.save({path.name!r}, {(fitting or ['cvat'])[0]!r}). Known endings: {known}."
    )


def _repeated(path: Path, form: Format, repeat: int) -> Path:
    """The file of a repetition, where the format counts them."""
    counted = form.repeats and path.stem.endswith("_001")
    return path.with_stem(f"{path.stem.removesuffix('_001')}_{repeat:03d}") if counted else path


def _refuse_all_lost(tracks: Tracks, form: Format, kind: Kind) -> None:
    """Raise `TracksError` for tracks of which nothing would be left: boxes in a format of masks, say."""
    held = form.holds if kind == "truth" or form.results is None else form.results
    there = [k for k in ("boxes", "masks", "points") if FEATURES[k].count(tracks)]
    if "boxes" not in there and np.isfinite(tracks.boxes).all(axis=1).any():
        there.append("boxes")  # the extents of masks
    if there and not held & {*there}:
        kept = " or ".join(k for k in ("boxes", "masks", "points") if k in held)
        raise TracksError(
            f"{form.name!r} holds {kept}, these tracks have {' and '.join(there)} only, so nothing of them would be "
            "written. Remedy: make what it holds first (a segmenter makes masks of boxes), or choose another format."
        )


def fitted(form: Format, tracks: Tracks, kind: Kind) -> Tracks:
    """The tracks with upright boxes around turned ones, where the format holds no angle."""
    if tracks.angle is None or "angle" in form.held(kind):
        return tracks
    return tracks.replace(boxes=upright(tracks.boxes, tracks.angle), angle=None)


def targets(form: Format, tracks: Tracks, sequence: str) -> list[tuple[str, int | None]]:
    """Names of what is written of a sequence, and the object that each holds; None: all of them."""
    ids = tracks.object_ids.tolist()
    if len(ids) > 1 and "objects" not in form.holds:
        return [(f"{sequence}-{k}", i) for k, i in enumerate(ids, start=1)]
    return [(sequence, None)]


def _plain(name: str) -> str:
    """A name as one part of a path: what this system's disks take stays, for a result is found by its sequence's name."""
    return "".join("_" if c in _NO_PART else c for c in name)
