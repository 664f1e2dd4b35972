"""What trackers were worth on other objects says what they may be worth on this one: nearest neighbours that can be read.

An object is described by what is seen when it is prompted (`FEATURES`). The objects most like it, one of each scene, tell
what each tracker was worth there (features count as far as they go with who is better); their mean, drawn towards the
tracker's mean over all, is what is expected. How far such an expectation goes wrong is measured on the evidence itself, each
scene told by all others, and stated as an interval (conformal: Lei et al., "Distribution-free predictive inference for
regression", JASA 2018). A choice is kept only where the neighbours prefer it clearly; else the advice abstains and says why.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.files import damage_as, read_json, write_whole
from vtlab.metrics.statistics import student

Array = NDArray[np.float64]
FEATURES = {
    "size": "root of the box's share of the frame",
    "pixels": "log2 of the root of its area in pixels",
    "aspect": "log2 of width to height",
    "contrast": "Bhattacharyya distance of its colours to those around it, 0 to 1",
    "texture": "mean gradient of luma within it, grey levels a pixel",
    "blur": "log2 of the variance of the Laplacian of luma within it: low is blurred",
    "lookalikes": "best correlation of its patch elsewhere in the frame, -1 to 1",
    "crowding": "log2 of the number of objects that are prompted together",
    "speed": "log2 of 0.05 + its way over the next frames in its own sizes a second",
    "rate": "log2 of frames a second",
    "length": "log2 of seconds",
}
"""What is known of an object when it is prompted: name -> meaning."""
AHEAD = 5
"""Frames after the prompt by which its speed is told."""
_VERSION = 1
_LEAST_SCENES = 8
"""Below it nothing is told: intervals of 80 % would rest on single scenes."""
_DRAWN = 2.0
"""Scenes that the mean over all counts for beside the neighbours: few neighbours alone are noise."""
_CONFIDENCE = 0.8
_SIDE = 32
"""Pixels to which the patch is reduced before look-alikes are searched: small and fast, and blind to detail that changes."""


@dataclass(frozen=True)
class Advice:
    """What the evidence says of one object.

    Attributes:
        tracker: The one to take; "" where it abstains.
        expected: Its expected quality, with `low` and `high` around it.
        runner_up: The next best; "" if there is none.
        reason: In words: of what it is sure, or why it abstains.
        table: Tracker -> (expected, low, high).
    """

    tracker: str
    expected: float
    low: float
    high: float
    runner_up: str
    reason: str
    table: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What trackers were worth on objects of known truth.

    Attributes:
        metric: Name of the quality, higher is better, 0 to 1.
        scenes: Of each object the scene that it was seen in; objects of one scene are one piece of evidence.
        features: (N, len(FEATURES)) of each object.
        quality: Tracker -> (N,) quality, NaN where it did not run.
        cost: Tracker -> median milliseconds a frame and object where the evidence was made.
        about: Where it comes from: machine, versions, date; in words.
    """

    metric: str
    scenes: tuple[str, ...]
    features: Array
    quality: Mapping[str, Array]
    cost: Mapping[str, float]
    about: str = ""

    def __post_init__(self) -> None:
        n = len(self.scenes)
        if self.features.shape != (n, len(FEATURES)) or not np.isfinite(self.features).all():
            raise InputError(f"Evidence needs {len(FEATURES)} finite features of each of its {n} objects.")
        if not self.quality or any(q.shape != (n,) for q in self.quality.values()):
            raise InputError(
                f"Evidence needs the quality of at least one tracker on each of its {n} objects."
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            InputError: It is none.
        """
        what = "evidence for Auto Track, as 'vtlab lab learn' writes it"
        data = read_json(Path(path), what, InputError)
        with damage_as(InputError, path, what):
            if data["version"] != _VERSION or data["features"] != list(FEATURES):
                raise ValueError(f"version {data['version']!r} with other features; learn it again")
            objects = data["objects"]
            names = [str(name) for name in data["trackers"]]
            worth = np.array([[np.nan if v is None else float(v) for v in o["quality"]] for o in objects])
            seen = np.array([[float(v) for v in o["features"]] for o in objects])
            quality = dict(zip(names, worth.reshape(len(objects), len(names)).T, strict=True))
            scenes = tuple(str(o["scene"]) for o in objects)
            cost = {name: float(data["cost"][name]) for name in names}
            return cls(
                str(data["metric"]), scenes, seen.reshape(len(objects), -1), quality, cost, str(data["about"])
            )

    def save(self, path: str | Path) -> Path:
        """Write it as JSON that a person can read: a line for each object."""
        names = list(self.quality)
        worth = np.stack([self.quality[n] for n in names], axis=1)
        rows = [
            json.dumps(
                {
                    "scene": scene,
                    "features": [round(float(v), 4) for v in seen],
                    "quality": [None if np.isnan(v) else round(float(v), 4) for v in values],
                }
            )
            for scene, seen, values in zip(self.scenes, self.features, worth, strict=True)
        ]
        head = {
            "version": _VERSION,
            "about": self.about,
            "metric": self.metric,
            "features": list(FEATURES),
            "trackers": names,
            "cost": {n: round(float(self.cost[n]), 3) for n in names},
        }
        text = json.dumps(head, indent=1)[:-2] + ',\n "objects": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n"
        return write_whole(path, text)

    def advise(
        self,
        seen: Array,
        among: Iterable[str] | None = None,
        *,
        instead_of: str | None = None,
        budget_ms: float | None = None,
        without: str | None = None,
    ) -> Advice:
        """Say which tracker suits an object.

        Args:
            seen: (len(FEATURES),) what is seen of it, see `features_of`.
            among: Trackers to choose from; None for all that the evidence knows.
            instead_of: The tracker that is taken where the advice abstains: the choice must be clearly better.
            budget_ms: Most milliseconds a frame and object.
            without: A scene that is left out, to judge the advice on it.
        """
        names = [n for n in (self.quality if among is None else among) if n in self.quality]
        if budget_ms is not None:
            names = [n for n in names if self.cost[n] <= budget_ms]
        kept = np.array([scene != without for scene in self.scenes], bool)
        n_scenes = len({s for s in self.scenes if s != without})
        if not names or n_scenes < _LEAST_SCENES:
            why = (
                f"it knows {n_scenes} scenes, {_LEAST_SCENES} are needed"
                if names
                else "it knows none of the trackers"
            )
            return Advice("", np.nan, np.nan, np.nan, "", f"abstains: {why}")
        near, away = self._neighbours(seen, kept)
        told = {n: self._expected(n, near, kept) for n in names}
        told = {n: v for n, v in told.items() if np.isfinite(v)}
        if not told:
            return Advice("", np.nan, np.nan, np.nan, "", "abstains: no tracker ran on such objects")
        ranked = sorted(told, key=lambda n: -told[n])
        table = {n: (told[n], *self._around(n, told[n])) for n in ranked}
        best, other = ranked[0], next(iter(ranked[1:]), "")
        why = self._doubt(best, other if instead_of is None else instead_of, near, away, len(table))
        alike = f"{len(near)} objects most like it of {n_scenes} scenes"
        reason = f"abstains: {why}" if why else f"best on the {alike}"
        return Advice("" if why else best, *table[best], other, reason, table)

    def regret(self, default: str | None = None) -> dict[str, float]:
        """Mean quality lost against the best tracker of each object, each scene told by all others.

        Returns:
            Tracker -> regret of always taking it, and "auto" -> that of the advice, which takes `default` (the best on the
            other scenes if None) where it abstains. Over objects on which all trackers ran, scenes weigh alike.
        """
        worth = np.stack(list(self.quality.values()), axis=1)
        names = list(self.quality)
        lost: dict[str, dict[str, list[float]]] = {}
        for i in np.flatnonzero(np.isfinite(worth).all(axis=1)).tolist():
            scene = self.scenes[i]
            others = np.array([s != scene for s in self.scenes])
            usual = (
                default or names[int(np.nanargmax(np.nanmean(worth[others], axis=0)))]
                if others.any()
                else names[0]
            )
            taken = self.advise(self.features[i], instead_of=usual, without=scene).tracker or usual
            for name, value in (*zip(names, worth[i], strict=True), ("auto", worth[i][names.index(taken)])):
                lost.setdefault(name, {}).setdefault(scene, []).append(float(worth[i].max() - value))
        return {n: float(np.mean([np.mean(v) for v in by.values()])) for n, by in lost.items()}

    def weights(self, kept: NDArray[np.bool_] | None = None) -> Array:
        """(len(FEATURES),) how much each feature counts: how closely it goes with who is better.

        The largest correlation, over trackers, of the feature with the tracker's quality less that of all on the object,
        less what chance alone gives (1 / sqrt(N)). All alike where none does; 0 for one that never varies.
        """
        chosen = np.ones(len(self.scenes), bool) if kept is None else kept
        worth = np.stack(list(self.quality.values()), axis=1)[chosen]
        apart = worth - np.nanmean(worth, axis=1, keepdims=True)
        seen = self.features[chosen]
        found = np.zeros(len(FEATURES))
        for values in apart.T:
            ran = np.isfinite(values)
            if ran.sum() > 2:
                a, b = seen[ran] - seen[ran].mean(axis=0), values[ran] - values[ran].mean()
                scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum())
                closely = np.abs(a.T @ b) / np.where(scale > 1e-12, scale, np.inf)
                found = np.maximum(found, closely - 1 / np.sqrt(ran.sum()))
        found = np.where(seen.std(axis=0) > 1e-9, found, 0.0)
        return found if found.any() else (seen.std(axis=0) > 1e-9).astype(np.float64)

    def _neighbours(self, seen: Array, kept: NDArray[np.bool_]) -> tuple[list[int], float]:
        """The most like object of each of the most like scenes, and how far the nearest is."""
        spread = self.features[kept].std(axis=0)
        scaled = (self.features - seen) / np.where(spread > 1e-9, spread, np.inf)
        away = np.linalg.norm(scaled * self.weights(kept), axis=1)
        nearest: dict[str, int] = {}
        for i in np.flatnonzero(kept)[np.argsort(away[kept], kind="stable")].tolist():
            nearest.setdefault(self.scenes[i], i)
        # The root of their number, as is usual for nearest neighbours; five at least, or single scenes decide.
        count = max(5, round(np.sqrt(len(nearest))))
        return list(nearest.values())[:count], float(away[next(iter(nearest.values()))])

    def _expected(self, name: str, near: Sequence[int], kept: NDArray[np.bool_]) -> float:
        values = self.quality[name]
        mine = values[near][np.isfinite(values[near])]
        everywhere = values[kept & np.isfinite(values)]
        if not len(everywhere):
            return np.nan
        return float((mine.sum() + _DRAWN * everywhere.mean()) / (len(mine) + _DRAWN))

    @cached_property
    def _errors(self) -> dict[str, Array]:
        """Tracker -> how far each object's quality lay from what all other scenes said."""
        found: dict[str, list[float]] = {n: [] for n in self.quality}
        for i, scene in enumerate(self.scenes):
            kept = np.array([s != scene for s in self.scenes], bool)
            if kept.any():
                near, _ = self._neighbours(self.features[i], kept)
                for name, values in self.quality.items():
                    found[name].append(abs(values[i] - self._expected(name, near, kept)))
        return {n: np.sort([v for v in errors if np.isfinite(v)]) for n, errors in found.items()}

    @cached_property
    def _reach(self) -> float:
        """Distance within which 95 % of the evidence has another scene: further away nothing is known."""
        scenes = np.array(self.scenes)
        away = [
            self._neighbours(seen, scenes != scene)[1]
            for seen, scene in zip(self.features, scenes, strict=True)
        ]
        return float(np.quantile(away, 0.95))

    def _around(self, name: str, expected: float) -> tuple[float, float]:
        """The interval that holds the quality of a new object with `_CONFIDENCE`."""
        errors = self._errors[name]
        # Split-conformal: the rank that holds a new error with that chance, whatever their distribution.
        rank = int(np.ceil((len(errors) + 1) * _CONFIDENCE)) - 1
        half = float(errors[min(rank, len(errors) - 1)]) if len(errors) else np.inf
        return max(expected - half, 0.0), min(expected + half, 1.0)

    def _doubt(self, best: str, other: str, near: Sequence[int], away: float, choices: int) -> str:
        """Why the best isn't to be trusted over another; "" if it is.

        The best was chosen among all, so its lead must be clear of chance for all (Bonferroni), at `_CONFIDENCE`, one-sided.
        """
        if away > self._reach:
            return "nothing in the evidence is like this object"
        if other == best or not other:
            return ""
        if other not in self.quality:
            return f"{other} is not in the evidence"
        # Differences on the same objects: what is hard for both cancels.
        apart = (self.quality[best] - self.quality[other])[near]
        apart = apart[np.isfinite(apart)]
        # Two differences have no spread worth a test.
        if len(apart) < 3:
            return f"{best} and {other} ran together on {len(apart)} of such objects"
        level = 1 - 2 * (1 - _CONFIDENCE) / max(choices - 1, 1)  # `student` is two-sided
        error = student(max(level, 0.0), len(apart) - 1) * float(apart.std(ddof=1) / np.sqrt(len(apart)))
        if float(apart.mean()) <= error:
            return f"{best} is not clearly better than {other} on such objects ({apart.mean():+.3f} ± {error:.3f})"
        return ""


def features_of(
    images: Sequence[NDArray[np.uint8]], box: Array, *, fps: float, seconds: float, together: int
) -> Array:
    """What is seen of an object when it is prompted.

    Args:
        images: The prompt's frame and up to `AHEAD` that follow it: RGB (H, W, 3).
        box: (4,) xyxy of the object on the first, continuous edges.
        fps: Frames a second.
        seconds: Length of the clip.
        together: Objects that are prompted with it, itself counted.

    Returns:
        (len(FEATURES),), in their order; finite.
    """
    image = images[0]
    height, width = image.shape[:2]
    x1, y1, x2, y2 = _inside(box, width, height)
    grey = [np.asarray(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), np.uint8) for i in images]
    inner = grey[0][y1:y2, x1:x2]
    area = float(max(box[2] - box[0], 1.0) * max(box[3] - box[1], 1.0))
    # Pech-Pacheco et al., ICPR 2000: the usual measure of focus.
    edges = cv2.Laplacian(inner, cv2.CV_64F)
    # A Sobel sums to 8, hence 1/8 for grey levels a pixel.
    dx, dy = cv2.Sobel(inner, cv2.CV_64F, 1, 0, scale=0.125), cv2.Sobel(inner, cv2.CV_64F, 0, 1, scale=0.125)
    found = (
        np.sqrt(area / (width * height)),
        0.5 * np.log2(area),
        np.log2(max(box[2] - box[0], 1.0) / max(box[3] - box[1], 1.0)),
        _contrast(image, (x1, y1, x2, y2)),
        np.hypot(dx, dy).mean(),
        np.log2(1.0 + edges.var()),
        _lookalike(grey[0], (x1, y1, x2, y2)),
        np.log2(together),
        # 0.05 so that what stands still has a logarithm; slower than that counts as still.
        np.log2(0.05 + _speed(grey, (x1, y1, x2, y2)) * fps / np.sqrt(area)),
        np.log2(max(fps, 0.1)),
        np.log2(max(seconds, 0.1)),
    )
    return np.nan_to_num(np.array(found, np.float64), posinf=0.0, neginf=0.0)


def _inside(box: Array, width: int, height: int) -> tuple[int, int, int, int]:
    """Whole pixels of a box within the frame, at least four on a side where the frame has them."""
    x1, y1 = (int(np.clip(np.floor(v), 0, max(n - 4, 0))) for v, n in ((box[0], width), (box[1], height)))
    x2, y2 = (
        int(np.clip(np.ceil(v), a + min(4, n), n)) for v, a, n in ((box[2], x1, width), (box[3], y1, height))
    )
    return x1, y1, x2, y2


def _contrast(image: NDArray[np.uint8], at: tuple[int, int, int, int]) -> float:
    x1, y1, x2, y2 = at
    height, width = image.shape[:2]
    # Around it as far as half its size, two pixels at least.
    w, h = (x2 - x1) // 2 + 2, (y2 - y1) // 2 + 2
    mask = np.zeros((height, width), np.uint8)
    mask[max(y1 - h, 0) : y2 + h, max(x1 - w, 0) : x2 + w] = 255
    mask[y1:y2, x1:x2] = 0
    if not mask.any():  # the box fills the frame
        return 0.0
    inside = np.zeros_like(mask)
    inside[y1:y2, x1:x2] = 255
    within, around = (
        # 8 bins of each colour: coarse, so that small objects fill them.
        np.asarray(cv2.calcHist([image], [0, 1, 2], m, [8, 8, 8], [0, 256] * 3), np.float64)
        for m in (inside, mask)
    )
    within, around = within / within.sum(), around / around.sum()
    return float(np.sqrt(max(1.0 - np.sqrt(within * around).sum(), 0.0)))


def _lookalike(grey: NDArray[np.uint8], at: tuple[int, int, int, int]) -> float:
    x1, y1, x2, y2 = at
    scale = min(1.0, _SIDE / max(x2 - x1, y2 - y1))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    a, b, c, d = (round(v * scale) for v in at)
    patch = small[b : max(d, b + 3), a : max(c, a + 3)]
    if small.shape[0] <= patch.shape[0] or small.shape[1] <= patch.shape[1] or patch.std() < 1:
        return 0.0
    found = np.nan_to_num(cv2.matchTemplate(small, patch, cv2.TM_CCOEFF_NORMED))
    ph, pw = patch.shape[0] // 2 + 1, patch.shape[1] // 2 + 1
    found[max(b - ph, 0) : b + ph, max(a - pw, 0) : a + pw] = -1  # the object itself
    return float(found.max())


def _speed(grey: Sequence[NDArray[np.uint8]], at: tuple[int, int, int, int]) -> float:
    """Pixels a frame that its corners move, as sparse flow sees it; 0 where nothing can be followed."""
    x1, y1, x2, y2 = at
    mask = np.zeros(grey[0].shape, np.uint8)
    mask[y1:y2, x1:x2] = 255
    # A median needs no more corners.
    points = cv2.goodFeaturesToTrack(grey[0], 50, 0.01, 3, mask=mask)
    if points is None or len(grey) < 2:
        return 0.0
    start = points
    for a, b in itertools.pairwise(grey):
        points, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, points, np.empty(0))
        followed = np.asarray(ok).ravel() == 1
        points, start = points[followed], start[followed]
        if not len(points):
            return 0.0
    return float(np.median(np.linalg.norm((points - start).reshape(-1, 2), axis=1)) / (len(grey) - 1))
