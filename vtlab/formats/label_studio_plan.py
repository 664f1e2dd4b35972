"""How tracks are written as regions of Label Studio, what of them those can't say, and what lies between key figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vtlab.formats.base import Loss, frame_count, lost
from vtlab.formats.borders import to_percent, to_pivot
from vtlab.formats.ledger import column
from vtlab.formats.planned import Planned, Rows, text_hosts
from vtlab.tracks import Tracks

NUMBERS = ("x", "y", "width", "height", "rotation", "time")
FPS = 25.0
"""Of times that nobody knows."""
_NEAR = 1e-7  # per cent: what a reader finds between key figures is as good as said


def between(
    a: Mapping[str, Any], b: Mapping[str, Any] | None, frame: int, last: int, duration: float
) -> dict[str, Any]:
    """A figure between two key figures, or after the last one, number for number as the SDK has it."""
    share = (frame - a["frame"]) / max(1, last - a["frame"])
    step = {n: 0.0 if b is None else (b[n] - a[n]) * share for n in NUMBERS}
    found = {n: a[n] + step[n] for n in NUMBERS} | {"frame": frame, "enabled": True, "auto": True}
    found["time"] = round(found["time"], 2)
    if step["time"] == 0 and duration > 0:
        found["time"] = round(a["time"] + share * (duration - a["time"]), 2)
    return found


class Plan(Planned):
    """How tracks are written."""

    def __init__(self, tracks: Tracks):
        super().__init__(tracks, np.isfinite(tracks.boxes).all(axis=1) & ~column(tracks, "outside"))
        self.size, self.count = tracks.size or (1, 1), frame_count(tracks)
        self.hosts = text_hosts(tracks, self.ids)
        angle = column(tracks, "angle")
        turned = to_percent(to_pivot(tracks.boxes, angle), self.size)
        boxes = np.where((angle == 0)[:, None], to_percent(tracks.boxes, self.size), turned)
        fps = (tracks.record.source.fps if tracks.record.source else None) or FPS
        self.told, times = tracks.time is not None, column(tracks, "time")
        times = np.where(np.isnan(times), tracks.frame / fps, times)
        self.duration = max(self.count / fps, float(times[self.written].max(initial=0.0)))
        self.table = np.concatenate([boxes, np.rad2deg(angle)[:, None], times[:, None]], axis=1)
        free = (tracks.source == "interpolated") & ~column(tracks, "key") & self.written
        self.omitted = self.runs(free, self._on_a_line)

    def _on_a_line(self, rows: Rows) -> bool:
        """Whether the SDK finds rows between the first and the last."""
        if not self.written[rows].all():
            return False
        first, last = (dict(zip(NUMBERS, self.table[r].tolist(), strict=True)) for r in (rows[0], rows[-1]))
        first["frame"], last["frame"] = 0, len(rows) - 1
        found = [between(first, last, k, len(rows) - 1, self.duration) for k in range(1, len(rows) - 1)]
        line = np.array([[f[n] for n in NUMBERS] for f in found])
        own, width = self.table[rows[1:-1]], 6 if self.told else 5
        return bool((np.abs(line - own)[:, :width] <= _NEAR).all())

    def scored(self) -> dict[int, float]:
        """Object id -> the score that all its rows have, other than 1."""
        found = {i: np.unique(self.given.score[rows]) for i, rows in self.rows()}
        return {i: float(s[0]) for i, s in found.items() if len(s) == 1 and s[0] != 1}

    def regions(self) -> Iterator[dict[str, Any]]:
        """The regions of all objects."""
        manual, keyed = set(self.manual().tolist()), set(self.keyed().tolist())
        scores, (height, width) = self.scored(), self.size
        for i, rows in self.rows():
            origin = {"origin": "manual"} if i in keyed else {} if i in manual else {"origin": "prediction"}
            label = self.labels[i]
            value: dict[str, Any] = {
                "framesCount": self.count,
                "duration": self.duration,
            }
            value |= {"labels": [label] if label is not None else [], "sequence": self._sequence(rows)}
            shared = {"id": self.hosts[i], "to_name": "video"}
            score = {"score": scores[i]} if i in scores else {}
            yield shared | {
                "type": "videorectangle",
                "from_name": "box",
                **origin,
                **score,
                "value": value,
                "original_width": width,
                "original_height": height,
            }
            for name, told in self.tags(i).items():
                kind = "textarea" if isinstance(told, str) else "number"
                said = {"text": [told]} if isinstance(told, str) else {"number": told}
                yield shared | {"type": kind, "from_name": name, "value": said}

    def _sequence(self, rows: Rows) -> list[dict[str, Any]]:
        frames = self.given.frame[rows].tolist()
        found = []
        for n, (row, frame) in enumerate(zip(rows.tolist(), frames, strict=True)):
            if not self.omitted[row]:
                goes_on = n + 1 < len(rows) and frames[n + 1] == frame + 1
                told = dict(zip(NUMBERS, self.table[row].tolist(), strict=True))
                found.append({"frame": frame + 1, "enabled": goes_on, **told})
        return found

    def tags(self, object_id: int) -> dict[str, Any]:
        """Attributes of an object that have a form in Label Studio."""
        told = (self.given.record.objects or {}).get(str(object_id)) or {}
        return {n: v for n, v in told.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}

    def losses(self) -> dict[str, Loss]:
        """What these tracks say that the file doesn't, beyond what no file of this format can say."""
        tracks, write = self.given, self.written
        found = self.lost_labels() | self.lost_ids(self.hosts)
        manual = self.of(self.manual())
        source = np.where(self.omitted, "interpolated", np.where(manual, "manual", "tracked"))
        keyed = self.of(self.keyed()) | bool(self.omitted.any())
        found |= self.lost_makers(~self.omitted & manual & keyed, source)
        same = np.isin(tracks.object_id, list(self.scored()))
        for name, rows in (("scores", (tracks.score > 0) & (tracks.score < 1)), ("flags", tracks.score == 0)):
            found |= lost(name, tracks, rows=rows & ~(same & write))
        if self.told:
            found |= lost("time", tracks, "{} rows without a time", np.isnan(column(tracks, "time")) & write)
        tags = tracks.record.objects or {}
        gone = sum(
            not entry or int(i) not in self.ids or self.tags(int(i)) != entry for i, entry in tags.items()
        )
        return found | ({"tags": Loss("tags", gone, f"attributes of {gone} objects")} if gone else {})
