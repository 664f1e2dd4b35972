"""What the player shows, without a browser: compressed frames on demand, overlays, a timeline for each object."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, VtlabWarning
from vtlab.metrics.evaluation import infer_family
from vtlab.metrics.families import FAMILIES
from vtlab.show.draw import colour, hex_of
from vtlab.tracks import Tracks
from vtlab.tracks.groups import grouped
from vtlab.video import Frame, Video

BINS = 400
"""Most columns of a timeline; longer videos share them."""
MOST_FRAMES = 48
"""Most frames of one request, so that no message grows without bound."""
OUTLINE = 1.5
"""Pixels by which a drawn outline may differ from its mask."""
_THOUSANDTHS = np.array([*(k / 1000 for k in range(1001)), None], object)


class PlayerData:
    """Frames, overlays and timelines of several trackers on one video.

    Args:
        video: The footage; frames are decoded when they are asked for.
        tracks: Name of each panel -> its tracks.
        truth: Ground truth, drawn in every panel and compared in the timeline.
        width: Width of the pictures sent, in pixels; narrower videos are sent as they are.

    Raises:
        InputError: There are no tracks, or some were made on another video, or on frames that this clip lacks.
    """

    def __init__(
        self, video: Video, tracks: Mapping[str, Tracks], *, truth: Tracks | None = None, width: int = 720
    ):
        if not isinstance(tracks, Mapping) or not all(isinstance(t, Tracks) for t in tracks.values()):
            raise InputError(f"Expected Tracks, or name -> Tracks, got {str(tracks)[:80]!r}.")
        if not tracks:
            raise InputError("There is nothing to play: give at least one Tracks.")
        self.video = video
        self.tracks = {name: one.on(video) for name, one in tracks.items()}
        self.truth = None if truth is None else truth.on(video)
        self.scale = min(1.0, width / video.width)
        self._reader: Iterator[Frame] = iter(())
        self._next = -1  # the frame that the reader has next

    def info(self) -> dict[str, Any]:
        """Size, rate, panels, objects and timelines: JSON values only."""
        return {
            "frames": len(self.video),
            "fps": self.video.fps,
            "width": self.video.width,
            "height": self.video.height,
            "scale": self.scale,
            "panels": list(self.tracks),
            "objects": self._objects(),
            "timelines": {name: self._timelines(name, t) for name, t in self.tracks.items()},
            "edges": {name: t.meta.get("edges") or {} for name, t in self.tracks.items()},
            "bins": min(BINS, len(self.video)),
        }

    def frames(self, indices: Sequence[int]) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Overlays and JPEG pictures of some frames; at most `MOST_FRAMES`, frames that don't exist are left out."""
        wanted = [i for i in dict.fromkeys(int(i) for i in indices) if 0 <= i < len(self.video)][:MOST_FRAMES]
        run = len(wanted) > 1 and wanted == list(range(wanted[0], wanted[0] + len(wanted)))
        read = self._read if run else self.video.__getitem__
        pictures = [self._jpeg(read(i)) for i in wanted]
        return [self.overlay(i) for i in wanted], pictures

    def _read(self, index: int) -> NDArray[np.uint8]:
        """A frame of a run; decoding goes on from the frame before, also over requests."""
        if index != self._next:
            self._reader = self.video.frames(index)
        self._next = -1  # should decoding fail, the next run starts anew
        image = next(self._reader).image
        self._next = index + 1
        return image

    def overlay(self, frame: int) -> dict[str, Any]:
        """What is drawn on a frame, by panel, in pixels of the full-size frame."""
        panels = {name: _overlay(t, frame) for name, t in self.tracks.items()}
        truth = [] if self.truth is None else _numbers(self.truth.at(frame).seen().boxes)
        return {"frame": frame, "panels": panels, "truth": truth}

    def _jpeg(self, image: NDArray[np.uint8]) -> bytes:
        import cv2

        size = (round(self.video.width * self.scale), round(self.video.height * self.scale))
        small: Any = image
        while small.shape[1] >= 2 * size[0]:  # halving is quick, and leaves less to the exact size
            small = cv2.resize(
                small, (small.shape[1] // 2, small.shape[0] // 2), interpolation=cv2.INTER_AREA
            )
        if small.shape[1] != size[0]:
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 82])[1])

    def _objects(self) -> list[dict[str, Any]]:
        labels: dict[int, str] = {}
        for t in self.tracks.values():
            names = t.labels  # a pass over all rows
            for i in t.object_ids.tolist():
                labels.setdefault(i, names.get(i, ""))
        shade = cache(hex_of)  # of many objects the colours are few
        return [{"id": i, "label": labels[i], "colour": shade(colour(i))} for i in sorted(labels)]

    def _timelines(self, name: str, tracks: Tracks) -> list[dict[str, Any]]:
        """For each object: presence, mean score and overlap with truth in bins (None = nothing), and its events."""
        n = len(self.video)
        bins = min(BINS, n)
        events, judged = self._events(tracks), self._judged(name, tracks)
        ids, order, counts = grouped(tracks.object_id)
        bin_of = np.arange(n) * bins // max(n, 1)
        at = bin_of[np.minimum(tracks.frame[order], n - 1)]
        at += np.repeat(np.arange(len(ids)) * bins, counts)  # bins of one object after those of another
        present, score = (_means(at, v[order], len(ids), bins) for v in (tracks.visible, tracks.score))
        own = _presence_events(tracks, order, counts)
        return [
            {
                "id": object_id,
                "present": present[k],
                "score": score[k],
                "overlap": self._overlap(judged.get(object_id), n, bins),
                "events": sorted(
                    own.get(object_id, []) + events.get(object_id, []), key=lambda e: e["frame"]
                ),
            }
            for k, object_id in enumerate(ids.tolist())
        ]

    def _judged(self, name: str, tracks: Tracks) -> dict[int, NDArray[np.float64]]:
        """How each object was answered on each frame, by the same judging as the metric; NaN where nothing is judged."""
        if self.truth is None or not len(tracks):
            return {}
        try:
            family = infer_family(tracks, self.truth)
            return FAMILIES[family].timelines(tracks, self.truth, of="answer")
        except InputError as error:
            warnings.warn(f"{name} is shown without its overlap: {error}", VtlabWarning, stacklevel=4)
            return {}

    @staticmethod
    def _overlap(judged: NDArray[np.float64] | None, frames: int, bins: int) -> list[float | None] | None:
        if judged is None or not np.isfinite(judged[:frames]).any():
            return None
        known = np.flatnonzero(np.isfinite(judged[:frames]))
        return _means(np.minimum(known * bins // frames, bins - 1), judged[known], 1, bins)[0]

    def _events(self, tracks: Tracks) -> dict[int, list[dict[str, Any]]]:
        """Identity switches against truth, and what the tracker itself told of its objects."""
        found: dict[int, list[dict[str, Any]]] = {}
        for e in tracks.meta.get("events", []):
            if isinstance(e, dict) and {"frame", "object_id", "event"} <= set(e):
                text = f"{e['event']}: {e.get('reason', '')}".rstrip(": ")
                found.setdefault(int(e["object_id"]), []).append(
                    {"frame": int(e["frame"]), "kind": str(e["event"]), "text": text}
                )
        maker = tracks.record.tracker
        if self.truth is not None and maker is not None and maker.family == "mot" and len(tracks):
            from vtlab.metrics.events import events

            table = events(tracks, self.truth)
            switched = table.loc[table["kind"] == "id_switch", ["frame", "answer_id", "previous_id"]]
            for frame, answer_id, previous_id in switched.to_numpy(dtype=int).tolist():
                text = f"switched from {previous_id}"
                found.setdefault(answer_id, []).append({"frame": frame, "kind": "switched", "text": text})
        return found


def _overlay(tracks: Tracks, frame: int) -> dict[str, Any]:
    now = tracks.at(frame)
    rows = zip(
        now.object_id.tolist(), _numbers(now.boxes), now.score.tolist(), now.visible.tolist(), strict=True
    )
    p = now.points
    points = zip(p.object_id.tolist(), p.point_id.tolist(), _numbers(p.xy), p.visible.tolist(), strict=True)
    return {
        "boxes": [{"id": i, "box": b, "score": round(s, 3), "seen": v} for i, b, s, v in rows],
        "outlines": [{"id": i, "lines": _outline(m)} for i, m in now.masks_at(frame).items()],
        "points": [{"id": i, "k": k, "xy": xy, "seen": v} for i, k, xy, v in points],
    }


def _outline(mask: NDArray[np.bool_]) -> list[Any]:
    """Outlines of a mask as lists of (x, y), simplified to within `OUTLINE` pixels."""
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [cv2.approxPolyDP(c, OUTLINE, True).reshape(-1, 2).tolist() for c in contours if len(c) > 2]


def _numbers(rows: NDArray[np.float64]) -> list[Any]:
    """Rows as lists rounded to 0.01 px; a row with a NaN is None."""
    return [np.round(row, 2).tolist() if np.isfinite(row).all() else None for row in rows]


def _means(at: NDArray[np.int64], values: NDArray[Any], rows: int, bins: int) -> list[list[float | None]]:
    """Mean of the values (N,) in each of (rows x bins) bins that `at` numbers (N,); None where there are none."""
    count = np.bincount(at, minlength=rows * bins)
    total = np.bincount(at, weights=values.astype(float), minlength=rows * bins)
    known, mean = count > 0, np.round(total / np.maximum(count, 1), 3)
    if not ((mean >= 0) & (mean <= 1)).all():
        found = np.full(len(mean), None, object)
        found[known] = mean[known]
        return [*found.reshape(rows, bins).tolist()]
    # Presence, scores and overlaps are thousandths: a float shared by all bins that hold it takes half the time of one each.
    at_thousandth = np.where(known, np.rint(1000 * mean).astype(int), len(_THOUSANDTHS) - 1)
    return [*_THOUSANDTHS[at_thousandth].reshape(rows, bins).tolist()]


def _presence_events(
    tracks: Tracks, order: NDArray[np.int64], counts: NDArray[np.int64]
) -> dict[int, list[dict[str, Any]]]:
    """Where objects are lost and found again, and where a person corrected them, by object; rows as `grouped` has them."""
    found: dict[int, list[dict[str, Any]]] = {}

    def tell(owners: NDArray[np.int64], frames: NDArray[np.int64], kind: str, text: str) -> None:
        for i, f in zip(owners.tolist(), frames.tolist(), strict=True):
            found.setdefault(i, []).append({"frame": f, "kind": kind, "text": text})

    ids, frame = tracks.object_id[order], tracks.frame[order]
    last = np.cumsum(counts) - 1
    seen = np.flatnonzero(tracks.visible[order])
    owner, when = ids[seen], frame[seen]
    gaps = np.flatnonzero((np.diff(owner) == 0) & (np.diff(when) > 1))
    tell(owner[gaps], when[gaps] + 1, "lost", "lost")
    tell(owner[gaps], when[gaps + 1], "found", "found again")
    ends = seen[np.diff(owner, append=owner[-1:] + 1) != 0]  # the last row on which each is seen
    ends = ends[~np.isin(ends, last)]
    tell(ids[ends], frame[ends] + 1, "lost", "lost")
    manual = (tracks.source == "manual")[order]
    manual[last - counts + 1] = False  # the first row is where it was prompted
    tell(ids[manual], frame[manual], "corrected", "corrected by hand")
    return found
