"""vtlab's own Parquet, one file a sequence: holds all that `Tracks` holds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vtlab.errors import FormatError, TracksError, VtlabWarning
from vtlab.files import label_of
from vtlab.formats.base import (
    FEATURES,
    TRUTH,
    Format,
    Kind,
    Place,
    Result,
    absolute,
    files,
    frame_count,
    no_frames,
    open_frames,
    video_beside,
)
from vtlab.prompts import Prompts
from vtlab.sequence import Sequence, first_prompts, from_one
from vtlab.tracks import Tracks
from vtlab.tracks.parquet import is_tracks, maker_of

_IGNORE, _PROMPTS = ".ignore.parquet", ".prompts.json"


@dataclass(frozen=True, kw_only=True)
class Parquet(Format):
    """Truth and results as `Tracks.save` writes them.

    Beside the truth may lie its ignore regions, its prompts, and a video (or a folder of images) of the same name.
    """

    def places(self, root: Path) -> Iterable[Place]:
        """Every Parquet file of tracks."""
        found = (path for path in files(root, self.suffix) if not path.name.endswith(_IGNORE))
        return (Place(label_of(path.stem), path, path) for path in found)

    def find(self, root: Path) -> dict[str, Place]:
        """See `Format`; a tracker's folder below `root` holds no truth.

        Raises:
            FormatError: Two sequences have one name, or nothing but trackers' folders is there, as
                `Comparison.save` leaves it where no sequence had truth.
        """
        top = absolute(root)
        if top.is_dir() and not (top / TRUTH).is_dir():
            found = [p.path for p in self.places(top) if is_tracks(p.path)]
            if found and all(p.parent != top and maker_of(p) for p in found):
                raise FormatError(
                    f"{root}: there is no truth, only what trackers answered ({maker_of(found[0])} in {found[0]}). "
                    f"Remedy: put the truth into {TRUTH!r} beside them; or name one tracker's own folder to take its "
                    "tracks as truth."
                )
        return super().find(root)

    def sniff(self, path: Path) -> bool:
        """Whether there is a Parquet file."""
        return next(files(path, self.suffix), None) is not None

    def find_results(self, root: Path, known: Iterable[str] | None = None) -> list[Result]:
        """Results at or below `root`; tables that lie beside them, as `Comparison.save` writes, are none."""
        found = [r for r in super().find_results(root, known) if known is not None or is_tracks(r.path)]
        return [replace(r, tracker="/".join(map(label_of, r.tracker.split("/")))) for r in found]

    def sequence_of(self, path: Path, known: set[str] | None) -> str | None:
        """See `Format`."""
        name = label_of(path.stem)
        return name if known is None or name in known else None

    def read_sequence(self, place: Place, *, images: bool = True) -> Sequence:
        """Read tracks as truth; the rule is the one that they name, if any."""
        truth = Tracks.load(place.path)
        ignore, prompts = place.path.with_suffix(_IGNORE), place.path.with_suffix(_PROMPTS)
        if images:
            video = open_frames(video_beside(place.path.parent, place.path.stem), place)
        else:
            source = truth.record.source
            span = (0, 1) if source is None else source.span
            video = no_frames(place, frame_count(truth), truth.size, span=span)
        if prompts.is_file():
            given = Prompts.load(prompts)
        else:
            truth = from_one(truth) if images else truth
            given = first_prompts(truth) if images else Prompts()
        return Sequence(
            place.name,
            video,
            truth,
            given,
            Tracks.load(ignore) if ignore.is_file() else None,
            benchmark=self.rule or str(truth.meta.get("rule") or ""),
        )

    def write_sequence(self, sequence: Sequence, path: Path) -> list[Path]:
        """Write the truth with all that scoring needs of its sequence: rule, prompts, ignore regions, length."""
        if sequence.truth is None:
            raise TracksError(f"The sequence {sequence.name!r} has no truth to write.")
        truth = sequence.truth
        if truth.record.source is not None and truth.record.source.digest is None:  # the video's own numbers
            truth = truth.replace(record=truth.record.replace(source=None))
        noted = {**truth.meta, "rule": sequence.benchmark or truth.record.rule or "", "frames": len(sequence)}
        written = [truth.replace(meta=noted).save(path)]
        if len(sequence.prompts):
            written.append(sequence.prompts.save(path.with_suffix(_PROMPTS)))
        if sequence.ignore is not None:
            written.append(sequence.ignore.save(path.with_suffix(_IGNORE)))
        return written

    def regions(self, ignore: Tracks, truth: Tracks) -> Tracks:
        """All of them."""
        return ignore

    def write_regions(self, truth: Tracks, ignore: Tracks, path: Path) -> list[Path]:
        """Save the truth, and the regions beside it."""
        return [truth.save(path), ignore.save(path.with_suffix(_IGNORE))]

    def read_tracks(self, path: Path, sequence: Sequence | None = None) -> Tracks:
        """Read what `Tracks.save` wrote.

        Warns:
            VtlabWarning: It is a tracker's, whose prompts count from 1, and the truth counts from 0: the ids are those of
                the truth now.
        """
        tracks = Tracks.load(path)
        if (
            sequence is None
            or sequence.truth is None
            or len(sequence.prompts)
            or tracks.record.tracker is None
        ):
            return tracks
        lowest = int(sequence.truth.object_id.min(initial=1))
        if lowest >= 1 or int(tracks.object_id.min(initial=1)) < 1:
            return tracks
        warnings.warn(
            f"{path}: the truth of {sequence.name!r} counts its objects from {lowest}, and this tracker's prompts counted "
            f"from 1, so object 1 is taken for object {lowest} of the truth, and so on. Remedy where that is not so: "
            "number the truth from 1.",
            VtlabWarning,
            stacklevel=2,
        )
        return tracks.renamed({i: i + lowest - 1 for i in tracks.object_ids.tolist()})

    def write_tracks(self, tracks: Tracks, path: Path, kind: Kind = "results") -> Path:
        """Save the tracks."""
        return tracks.save(path)


FORMAT = Parquet(
    name="vtlab",
    family="",
    summary="<tracker>/<sequence>.parquet and truth/<sequence>.parquet, as Tracks.save writes them",
    rules={"parquet": ""},
    suffix=".parquet",
    holds=frozenset(FEATURES),
)
