"""A comparison as a data set of FiftyOne: each sequence a video, with the tracks of all trackers, truth and evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, needs
from vtlab.files import check_folder, file_names
from vtlab.metrics.families import FAMILIES
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.tracks.groups import rows_of_each
from vtlab.video import write_video

if TYPE_CHECKING:
    from vtlab.comparison.comparison import Comparison

TRUTH, POINTS = "ground_truth", "_points"
_TAKEN = ("id", "filepath", "tags", "metadata", "frames", "frame_number", "media_type", "sequence", TRUTH)
"""Names that FiftyOne or this file gives to other fields, in lower case."""


def to_fiftyone(
    comparison: Comparison,
    name: str | None = None,
    *,
    folder: str | Path = "runs/fiftyone",
    overwrite: bool = False,
) -> Any:
    """Make a video data set of FiftyOne: a sample for each sequence, a field of its frames for each tracker.

    - `frames.ground_truth` and `frames.<tracker>`: `Detections` with `index` (object id), `confidence`, `visible`, masks
      cropped to their boxes; points are `Keypoints` in `frames.<tracker>_points` with `seen` for each, NaN where one has no
      place.
    - Evaluation, where there is truth, by the rule of the comparison: `quality` of a frame's labels (the mean over the true
      objects of the frame, also where nothing was answered), `quality` on each answer (its overlap with the true object that
      it was matched with, or the part of the thresholds within which its points lie; 0 where it is false, None where the
      rule doesn't judge it), and `<tracker>.<metric>` of each sample. Without truth the last holds what is seen (lost,
      jumps, agreement).
    - `info`: which field is which tracker, its family, rule and note.

    FiftyOne counts frames from 1 and takes shares of width and height; fields can't hold every character ("sam2.1-tiny"
    becomes `sam2_1_tiny`). Each video is written as H.264, of one rate and of exactly the frames that were compared,
    which its player needs to show the right frame.

    Args:
        comparison: What `compare` gave.
        name: Of the data set; FiftyOne makes one up without.
        folder: Where the videos are written; FiftyOne plays them from there.
        overwrite: Whether a data set of that name is replaced.

    Returns:
        The `fiftyone.Dataset`; `fiftyone.launch_app(dataset)` shows it, `dataset.persistent = True` keeps it.

    Raises:
        MissingDependencyError: FiftyOne is not installed.
        InputError: A data set of that name is there.
    """
    try:
        import fiftyone as fo
    except ImportError as error:
        raise needs(error.name or "fiftyone", "fiftyone", "A data set of FiftyOne") from None

    place = check_folder(folder)
    if name is not None and not overwrite and fo.dataset_exists(name):
        raise InputError(
            f"FiftyOne has a data set {name!r}. Remedy: another name, or overwrite=True, which deletes that one."
        )
    fields = _fields(comparison.trackers)
    dataset = fo.Dataset(name, overwrite=overwrite)
    dataset.info = {"vtlab": _told(comparison, fields)}
    files = file_names(s.name for s in comparison.sequences)
    samples = []
    for sequence in comparison.sequences:
        images = (frame.image for frame in sequence.video.frames())
        path = write_video(place / f"{files[sequence.name]}.mp4", images, sequence.video.fps)
        samples.append(_sample(fo, comparison, sequence, path.resolve(), fields))
    dataset.add_samples(samples)
    dataset.add_dynamic_sample_fields()  # so that the app filters by the metrics
    dataset.add_dynamic_frame_fields()
    return dataset


def _fields(trackers: Iterable[str]) -> dict[str, str]:
    """Tracker -> name of its field: letters, digits and _, each another one."""
    found: dict[str, str] = {}
    used = set(_TAKEN)
    for tracker in trackers:
        plain = re.sub(r"\W+", "_", tracker).strip("_") or "tracker"
        wanted = [plain, *(f"{plain}_{n}" for n in range(2, len(used) + 3))]
        found[tracker] = next(n for n in wanted if not {n.lower(), n.lower() + POINTS} & used)
        used |= {found[tracker].lower(), found[tracker].lower() + POINTS}
    return found


def _told(comparison: Comparison, fields: Mapping[str, str]) -> list[dict[str, str]]:
    """What the data set says of itself: a row for each tracker."""
    rules = comparison.scores.groupby("tracker")["rule"].agg(lambda p: "; ".join(dict.fromkeys(p)))
    rows = []
    for tracker, field in fields.items():
        mine = [r for r in comparison.runs if r.tracker == tracker]
        note = " ".join(dict.fromkeys(r.note for r in mine if r.note))
        told = {"field": field, "tracker": tracker, "family": mine[0].family, "note": note}
        rows.append({**told, "rule": str(rules.get(tracker, ""))})
    return rows


def _sample(
    fo: Any, comparison: Comparison, sequence: Sequence, path: Path, fields: Mapping[str, str]
) -> Any:
    """A video with its frames."""
    video = sequence.video
    # as it lies in the file: odd sizes grow by a pixel
    size = (video.width + video.width % 2, video.height + video.height % 2)
    metadata = fo.VideoMetadata(
        mime_type="video/mp4",
        size_bytes=path.stat().st_size,
        frame_width=size[0],
        frame_height=size[1],
        frame_rate=video.fps,
        total_frame_count=len(video),
        duration=len(video) / video.fps,
    )
    sample = fo.Sample(filepath=str(path), metadata=metadata, sequence=sequence.name)
    for index in range(len(video)):
        sample.frames[index + 1] = fo.Frame()
    if sequence.truth is not None:
        _put(sample, TRUTH, _labels(fo, sequence.truth, size, {}), {})
    scores = comparison.scores
    scores = scores[(scores["sequence"] == sequence.name) & (scores["object_id"].astype(str) == "all")]
    for run in comparison.of_sequence(sequence.name):
        field, mine = fields[run.tracker], scores[scores["tracker"] == run.tracker]
        values = {_plain(m): _number(v) for m, v in zip(mine["metric"], mine["value"], strict=True)}
        sample[field] = fo.DynamicEmbeddedDocument(**values)
        quality: dict[int, NDArray[np.float64]] = {}
        means = np.full(len(video), np.nan)
        if sequence.truth is not None and (run.tracker, run.sequence) not in comparison.unjudged:
            rule, family = comparison.rule_of(run.family), FAMILIES[run.family]
            quality = family.timelines(run.answers, sequence, rule, of="answer")
            means = family.timeline(run.answers, sequence, rule)
        told = {int(i): float(means[i]) for i in np.flatnonzero(~np.isnan(means[: len(video)]))}
        _put(sample, field, _labels(fo, run.answers, size, quality), told)
    return sample


def _put(
    sample: Any, field: str, labels: Mapping[str, tuple[Any, dict[int, list[Any]]]], quality: Any
) -> None:
    """Labels onto the frames of a sample. A frame of known quality has the field though nothing was answered there."""
    for ending, (container, by_frame) in labels.items():
        for frame in sorted({*by_frame, *quality}):
            told = {"quality": quality[frame]} if frame in quality else {}
            sample.frames[frame + 1][field + ending] = container(by_frame.get(frame, []), **told)


def _labels(
    fo: Any, tracks: Tracks, size: tuple[int, int], quality: Mapping[int, NDArray[np.float64]]
) -> dict[str, tuple[Any, dict[int, list[Any]]]]:
    """Ending of the field -> (what holds its labels, frame -> labels): boxes, and points where there are some."""
    boxes: dict[int, list[Any]] = {}
    for row in np.flatnonzero(np.isfinite(tracks.boxes).all(axis=1)).tolist():
        told = _facts(tracks, row, quality)
        boxes.setdefault(int(tracks.frame[row]), []).append(_detection(fo, tracks, row, size, told))
    points: dict[int, list[Any]] = {}
    table = tracks.points
    for row, mine in rows_of_each(table.rows_in(tracks.frame, tracks.object_id)).items():
        told = _facts(tracks, row, quality) | {
            "confidence": table.score[mine].tolist(),
            "seen": table.visible[mine].tolist(),
            "points": [tuple(p) for p in (table.xy[mine] / size).tolist()],
        }
        points.setdefault(int(tracks.frame[row]), []).append(fo.Keypoint(**told))
    kinds = {
        "": (lambda found, **more: fo.Detections(detections=found, **more), boxes),
        POINTS: (lambda found, **more: fo.Keypoints(keypoints=found, **more), points),
    }
    return {ending: kind for ending, kind in kinds.items() if kind[1] or not (ending or points)}


def _facts(tracks: Tracks, row: int, quality: Mapping[int, NDArray[np.float64]]) -> dict[str, Any]:
    """What a label says beside its place."""
    who, frame = int(tracks.object_id[row]), int(tracks.frame[row])
    line = quality.get(who)
    return {
        "label": tracks.label[row] or "object",
        "index": who,
        "confidence": float(tracks.score[row]),
        "visible": bool(tracks.visible[row]),
        "quality": None if line is None or frame >= len(line) else _number(line[frame]),
    }


def _detection(fo: Any, tracks: Tracks, row: int, size: tuple[int, int], told: Mapping[str, Any]) -> Any:
    """A box in shares of the picture, with the part of its mask that lies in it."""
    x1, y1, x2, y2 = tracks.boxes[row].tolist()
    mask = tracks.mask(row) if tracks.rle is not None else None
    if mask is not None and mask.any():
        told = {**told, "mask": mask[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)]}
    shares = [x1 / size[0], y1 / size[1], (x2 - x1) / size[0], (y2 - y1) / size[1]]
    return fo.Detection(bounding_box=shares, **told)


def _plain(metric: str) -> str:
    return re.sub(r"\W+", "_", metric).strip("_")


def _number(value: Any) -> float | None:
    """A number as databases take it."""
    return float(value) if np.isfinite(value) else None
