"""Detections of a whole video in one Parquet file, so that ten associators cost one detector pass.

The file's name is a hash of the video, the detector, its parameters and its weights; a finished file is read instead
of running the detector again.
"""

from __future__ import annotations

import hashlib
import json
import operator
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab import masks as _masks
from vtlab.contracts import Detector
from vtlab.contracts.parts import detect
from vtlab.detectors.base import ORIENTED, ByFrame
from vtlab.errors import FormatError, InputError
from vtlab.files import damage_as, read_parquet, write_whole
from vtlab.registry import DETECTORS, register_detector
from vtlab.tracks import Source

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Video

_VERSION = 2


@register_detector(
    "recorded",
    family="detector",
    summary="Detections that were recorded before in a Parquet file, by frame.",
    emits={"boxes", "masks", "points"},
)
class RecordedDetector(ByFrame):
    """Reads detections back, with the masks, key points, oriented boxes and classes they had.

    Args:
        path: File written by `record`.

    Raises:
        FormatError: It is no such file.
    """

    def __init__(self, *, path: str | Path):
        file = Path(path)
        if not file.is_file():
            raise InputError(
                f"There are no recorded detections at {str(file)!r}; make them with record(video, detector)."
            )
        expected = "recorded detections (remove the file and record again)"
        table = read_parquet(file, expected)
        with damage_as(FormatError, file, expected):
            self.meta: dict[str, Any] = json.loads((table.schema.metadata or {})[b"vtlab.detections"])
            # Recordings of version 0.1 tell their clip by the digest only.
            self.made_on = Source.of(self.meta.get("source") or {"digest": self.meta.get("video")})
            self._take(table, str(file))
        self.reset()

    def _take(self, table: Any, where: str) -> None:
        """Check every column and keep it."""
        self.names = tuple(str(name) for name in self.meta["names"])
        self._frame = _numbers(table, "frame", np.int64)
        self._boxes = np.stack([_numbers(table, c, np.float64) for c in ("x1", "y1", "x2", "y2")], axis=1)
        self._confidence, self._class_id = (
            _numbers(table, "confidence", np.float64),
            _numbers(table, "class_id", np.int64),
        )
        self._label = np.array([str(x) for x in table.column("class_name").to_pylist()], dtype=object)
        wrong = ~np.isfinite(self._boxes).all(axis=1) | ~np.isfinite(self._confidence)
        if wrong.any() or (np.diff(self._frame) < 0).any():
            row = (
                int(np.flatnonzero(wrong)[0])
                if wrong.any()
                else int(np.flatnonzero(np.diff(self._frame) < 0)[0]) + 1
            )
            raise FormatError(
                f"{where}, row {row}: a box or confidence that is no number, or frames out of order. "
                "Remove it and record again."
            )
        self._extras = {
            name: np.array(table.column(name).to_pylist(), dtype=np.float64).reshape(-1, *shape)
            for name, shape in self.meta.get("extras", {}).items()
        }
        self._mask, self._size = None, (0, 0)
        if "mask" in table.column_names:
            height, width = self.meta["size"]
            self._size = operator.index(height), operator.index(width)
            self._mask = table.column("mask").to_numpy(zero_copy_only=False)
            try:
                _masks.Runs.of(self._mask, *self._size, name="row {}".format)
            except InputError as error:
                raise FormatError(
                    f"{where} holds damaged masks ({error}). Remove it and record again."
                ) from None

    def at(self, index: int) -> sv.Detections:
        """Return the detections of one frame (0-based)."""
        import supervision as sv

        low, high = np.searchsorted(self._frame, [index, index + 1])
        masks = None
        if self._mask is not None and high > low and all(m is not None for m in self._mask[low:high]):
            masks = np.stack([_masks.decode(m, *self._size) for m in self._mask[low:high]])
        return sv.Detections(
            xyxy=self._boxes[low:high].copy(),
            confidence=self._confidence[low:high].copy(),
            class_id=self._class_id[low:high].astype(np.int64),
            mask=masks,
            data={
                "class_name": self._label[low:high].astype(np.str_),
                **{name: values[low:high].copy() for name, values in self._extras.items()},
            },
        )


def _numbers(table: Any, name: str, dtype: Any) -> np.ndarray:
    """A column as (N,) numbers; a missing or fractional one is an error of numpy's."""
    values = table.column(name).to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iuf" or (dtype is np.int64 and values.dtype.kind == "f"):
        raise TypeError(f"column {name!r} holds {values.dtype}")
    return values.astype(dtype)


def record(
    video: Video, detector: Any, folder: str | Path, *, params: Mapping[str, Any] | None = None
) -> RecordedDetector:
    """Run a detector over a video once, or find what it found before; a Python function runs each time.

    Args:
        video: The footage.
        detector: Name, `file.py:Class`, class or instance of a detector.
        folder: Where recordings are kept, one file for each video, detector, parameters and weights.
        params: Parameters of the detector's constructor.

    Returns:
        A detector that reads the recording.
    """
    made: Detector = DETECTORS.create(detector, **(params or {}))
    key = _key(video, made)
    if any(callable(value) for value in made.params.values()):
        key["once"] = (
            uuid.uuid4().hex
        )  # what a function does can't be told from outside, so nothing is found again
    path = (
        Path(folder)
        / f"{key['detector']}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.parquet"
    )
    if not path.is_file():
        made.reset()
        _write(
            path,
            [(f.index, detect(made, f)) for f in video.frames()],
            made,
            key,
            Source.of_video(video),
        )
    return RecordedDetector(path=path)


def _key(video: Video, detector: Detector) -> dict[str, Any]:
    """Everything that the detections depend on."""
    from vtlab.provenance import plain
    from vtlab.weights import digest

    return {
        "version": _VERSION,
        "video": video.digest(),
        "detector": detector.card.name,
        "params": plain(dict(detector.params)),
        "weights": {w.name: digest(w) for w in detector.card.weights},
    }


def _write(
    path: Path,
    found: list[tuple[int, sv.Detections]],
    detector: Detector,
    key: dict[str, Any],
    source: Source,
) -> None:
    """Write one row for each detection; the file appears only when it is whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    boxes = np.concatenate([d.xyxy for _, d in found] or [np.empty((0, 4))]).astype(np.float64)
    columns: dict[str, Any] = {
        "frame": np.repeat([i for i, _ in found], [len(d) for _, d in found]).astype(np.int64)
    }
    columns |= {name: boxes[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    columns["confidence"] = _joined(found, "confidence", 1.0, np.float64)
    columns["class_id"] = _joined(found, "class_id", 0, np.int64)
    labels = [str(x) for _, d in found for x in d.data.get("class_name", [""] * len(d))]
    columns["class_name"] = pa.array(labels, pa.string())
    if any(d.mask is not None for _, d in found):
        encoded = [
            None if m is None else _masks.encode(m)
            for _, d in found
            for m in (d.mask if d.mask is not None else [None] * len(d))
        ]
        columns["mask"] = pa.array(encoded, pa.binary())
    extras = _extras(found, len(boxes))
    columns |= {
        name: pa.array(list(values.reshape(len(values), -1)), pa.list_(pa.float64()))
        for name, values in extras.items()
    }
    header = {**key, "names": list(detector.names), "size": [source.height, source.width]}
    header["source"] = source.to_dict()
    header["extras"] = {name: values.shape[1:] for name, values in extras.items()}
    table = pa.table(columns).replace_schema_metadata({"vtlab.detections": json.dumps(header)})
    write_whole(path, lambda part: pq.write_table(table, part))


def _extras(found: list[tuple[int, sv.Detections]], count: int) -> dict[str, np.ndarray]:
    """Oriented boxes (N, 4, 2), key points (N, K, 2) and their scores (N, K), where all detections have them."""
    arrays = {}
    for name in (ORIENTED, "keypoints", "keypoint_scores"):
        parts = [np.asarray(d.data[name], np.float64) for _, d in found if len(d) and name in d.data]
        if parts and sum(map(len, parts)) == count and len({p.shape[1:] for p in parts}) == 1:
            arrays[name] = np.concatenate(parts)
    return arrays


def _joined(found: list[tuple[int, sv.Detections]], name: str, default: float, dtype: Any) -> Any:
    parts = [
        np.full(len(d), default) if getattr(d, name) is None else np.asarray(getattr(d, name))
        for _, d in found
    ]
    return np.concatenate(parts or [np.empty(0)]).astype(dtype)
