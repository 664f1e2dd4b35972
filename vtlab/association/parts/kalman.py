"""Kalman filters of many boxes at once: constant velocity, one array for all tracks.

Every filter of this family (SORT, DeepSORT, ByteTrack, BoT-SORT, OC-SORT, StrongSORT) has diagonal noise and couples
a coordinate only with its own velocity, so its 8 x 8 covariance is four independent 2 x 2 blocks. Here just those
blocks are kept, which gives the same numbers by a few elementwise operations and no matrix inverse.

Papers: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016 (xysr); Wojke et al., "Simple Online and
Realtime Tracking with a Deep Association Metric", ICIP 2017 (xyah); Aharon et al., "BoT-SORT", arXiv 2206.14651
(xywh); Du et al., "GIAOTracker", ICCVW 2021 (noise scaled by confidence).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtlab.association.parts.turned import like
from vtlab.errors import InputError

Array = NDArray[np.float64]
Quad = tuple[float, float, float, float]
_ANGLE = (1e-3, 1e-5, 1e-2, 2e-2, 1e-3)
"""Variances of an angle, radians: gained in a step, its velocity's, a detection's, after the first one, its velocity's."""
_ONE, _HALF = np.ones(()), np.full((), 0.5)  # an array is taken faster than a number
_LEAST = 1e-3  # pixels: widths and heights stay at least this


@dataclass(frozen=True, slots=True)
class MotionModel:
    """Coordinates and noise of a filter.

    Attributes:
        coordinates: "xyxy" (edges), "xywh" (centre, size), "xyah" (centre, width / height, height) or "xysr"
            (centre, area, width / height; the ratio has no velocity).
        measured: Variances of a detection's four coordinates.
        drift: Variances that the coordinates gain in one step.
        drift_velocity: Variances that the velocities gain in one step.
        first: Variances of the coordinates after the first detection.
        first_velocity: Variances of the velocities after the first detection.
        scaled: The variances are in units of the box's squared size (width and height, for "xyah" its height).
    """

    coordinates: str
    measured: Quad
    drift: Quad
    drift_velocity: Quad
    first: Quad
    first_velocity: Quad
    scaled: bool


def _proportional(
    coordinates: str, position: float, velocity: float, ratio: Quad | None = None
) -> MotionModel:
    """A model whose standard deviations are `position` and `velocity` times the box's size."""

    def quad(factor: float, third: float | None) -> Quad:
        square = factor**2
        return (square, square, square if third is None else third**2, square)

    aspect = ratio if ratio is not None else (None,) * 4
    return MotionModel(
        coordinates,
        measured=quad(position, 0.1 if ratio is not None else None),
        drift=quad(position, aspect[0]),
        drift_velocity=quad(velocity, aspect[1]),
        first=quad(2 * position, aspect[2]),
        first_velocity=quad(10 * velocity, aspect[3]),
        scaled=True,
    )


MOTIONS: dict[str, MotionModel] = {
    # Noise of the official SORT, also used by OC-SORT.
    "xysr": MotionModel(
        "xysr",
        measured=(1, 1, 10, 10),
        drift=(1, 1, 1, 1),
        drift_velocity=(0.01, 0.01, 0.0001, 0),
        first=(10, 10, 10, 10),
        first_velocity=(1e4, 1e4, 1e4, 0),
        scaled=False,
    ),
    # Noise of `trackers` for corners.
    "xyxy": MotionModel(
        "xyxy",
        measured=(0.1,) * 4,
        drift=(0.01,) * 4,
        drift_velocity=(0.01,) * 4,
        first=(1,) * 4,
        first_velocity=(1,) * 4,
        scaled=False,
    ),
    # Noise of DeepSORT, ByteTrack and StrongSORT.
    "xyah": _proportional("xyah", 1 / 20, 1 / 160, ratio=(1e-2, 1e-5, 1e-2, 1e-5)),
    # Noise of BoT-SORT.
    "xywh": _proportional("xywh", 1 / 20, 1 / 160),
}


def _to_xywh(c: Array) -> None:
    low, high = c[:2], c[2:]
    size = high - low
    low += high
    low *= _HALF
    high[:] = size


def _to_xyah(c: Array) -> None:
    _to_xywh(c)
    np.divide(c[2], c[3], out=c[2])


def _to_xysr(c: Array) -> None:
    low, high = c[:2], c[2:]
    width, height = high - low
    low += high
    low *= _HALF
    np.multiply(width, height, out=c[2])
    np.divide(width, height, out=c[3])


def _from_xywh(c: Array) -> None:
    centre, size = c[:2], c[2:]
    half = size * _HALF
    np.add(centre, half, out=size)
    centre -= half


def _from_xyah(c: Array) -> None:
    np.multiply(c[2], c[3], out=c[2])
    _from_xywh(c)


def _from_xysr(c: Array) -> None:
    area, ratio = c[2:]
    width = np.sqrt(area * ratio)
    np.divide(area, width, out=ratio)
    area[:] = width
    _from_xywh(c)


_TO = {"xyxy": None, "xywh": _to_xywh, "xyah": _to_xyah, "xysr": _to_xysr}
_FROM = {"xyxy": None, "xywh": _from_xywh, "xyah": _from_xyah, "xysr": _from_xysr}


def _converted(boxes: Array, convert: Callable[[Array], None] | None) -> Array:
    """Boxes (N, 4) or, turned, (N, 5) in other coordinates, made in place of columns (4, N) that lie in a row each."""
    if convert is None:
        return boxes
    columns = boxes.T.astype(np.float64, order="C")  # a copy
    convert(columns[:4])
    return columns.T.copy()


class BoxFilter:
    """Kalman filters of N boxes, one row for each track.

    Args:
        motion: A name of `MOTIONS` or a model.
        turned: The boxes are oriented: a fifth coordinate, their angle, is filtered as the others are.

    Attributes:
        state: (5, N, 4 or, turned, 5) float64: coordinates, velocities (per step), variance of the coordinates, their
            covariance with the velocities, variance of the velocities.
    """

    def __init__(self, motion: str | MotionModel = "xywh", turned: bool = False):
        if isinstance(motion, str):
            if motion not in MOTIONS:
                raise InputError(f"Unknown motion model {motion!r}. Known: {', '.join(MOTIONS)}.")
            motion = MOTIONS[motion]
        self.motion = motion
        self._to, self._from = _TO[motion.coordinates], _FROM[motion.coordinates]
        self.turned = turned
        noise = (motion.drift, motion.drift_velocity, motion.measured, motion.first, motion.first_velocity)
        drift, drift_velocity, measured, first, first_velocity = (
            [*of_box, of_angle] if turned else list(of_box)
            for of_box, of_angle in zip(noise, _ANGLE, strict=True)
        )
        self._drift = np.array([drift, drift_velocity])[:, None]
        self._measured = np.array(measured)
        least = [-np.inf] * len(measured)  # a step to or below it is taken back
        if motion.coordinates == "xysr":
            least[2] = 0.0
        self._fixed = [*zip(measured, drift, drift_velocity, least, strict=True)]
        self._first = np.array([first, first_velocity])[:, None]
        self.state = np.empty((5, 0, 4 + turned))
        self._noise = [np.empty((0, 4 + turned))] * 3

    def __len__(self) -> int:
        return self.state.shape[1]

    def boxes(self) -> Array:
        """Boxes (N, 4) xyxy of all tracks as they are now believed to be; turned (N, 5) with the angle."""
        return _converted(self.state[0], self._from)

    def velocities(self) -> Array:
        """Velocities (N, 2) of the centres, in pixels per step."""
        v = self.state[1]
        return (v[:, :2] + v[:, 2:4]) / 2 if self.motion.coordinates == "xyxy" else v[:, :2].copy()

    def add(self, boxes: Array) -> None:
        """Start new tracks at boxes (K, 4)."""
        new = np.zeros((5, len(boxes), self.state.shape[2]))
        new[0] = self.to_measurement(boxes)
        new[2::2] = self._first * self._unit(new[0])
        self.state = np.concatenate([self.state, new], axis=1)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Keep only these tracks."""
        self.state = self.state.take(rows, axis=1)

    def predict(self, steps: float = 1.0) -> None:
        """Move all tracks on by `steps` (frames)."""
        self.advance(self.state, steps)

    def update(self, rows: NDArray[np.int64], boxes: Array, scores: Array | None = None) -> None:
        """Correct tracks by their detections.

        Args:
            rows: (K,) tracks, each once.
            boxes: (K, 4) detections.
            scores: (K,) confidences, which scale the standard deviation of the detection by 1 - score (NSA Kalman);
                None for the same trust in all.
        """
        part = self.state.take(rows, axis=1)
        if self.turned:
            boxes = like(boxes, _converted(part[0], self._from))
        self.correct(part, self.to_measurement(boxes), scores)
        self.state[:, rows] = part

    def advance(self, state: Array, steps: float = 1.0) -> None:
        """Predict the (5, N, 4) array `state` in place."""
        x, v, var, cov, vel = state[0], state[1], state[2], state[3], state[4]  # faster than to unpack
        n = len(x)
        _, drift, drift_velocity = self._variances(n)
        drift, drift_velocity = drift[:n], drift_velocity[:n]
        if self.motion.scaled:
            unit = self._unit(x)
            drift, drift_velocity = drift * unit, drift_velocity * unit
        if steps == 1.0:
            x += v
            var += cov
            cov += vel
            var += cov
        else:
            x += steps * v
            var += steps * (2 * cov + steps * vel)
            cov += steps * vel
            drift, drift_velocity = steps * drift, steps * drift_velocity
        var += drift
        vel += drift_velocity
        if self.motion.coordinates == "xysr":
            gone = (state[0, :, 2] <= 0).nonzero()[0]
            if len(gone):  # an area can't shrink to nothing: take the step back and stop it
                state[0, gone, 2] -= steps * state[1, gone, 2]
                state[1, gone, 2] = 0.0
        self._clamp(state[0])

    def correct(self, state: Array, measured: Array, scores: Array | None = None) -> None:
        """Update the (5, K, 4) array `state` in place by measurements (K, 4) in the model's coordinates."""
        x, v, var, cov, vel = state[0], state[1], state[2], state[3], state[4]
        noise = self._variances(len(x))[0][: len(x)]
        if self.motion.scaled:
            noise = noise * self._unit(x)
        if scores is not None:
            noise = noise * np.maximum(1.0 - scores, 1e-3)[:, None] ** 2
        total = var + noise
        gain, gain_velocity = var / total, cov / total
        error = measured - x
        x += gain * error
        v += gain_velocity * error
        vel -= gain_velocity * cov
        rest = _ONE - gain
        var *= rest
        cov *= rest
        self._clamp(x)

    def retrace(
        self, rows: NDArray[np.int64], state: Array, last: Array, boxes: Array, gaps: NDArray[np.int64]
    ) -> None:
        """Run the filters of re-found tracks again, as if observed on a straight line during the loss (OC-SORT).

        Args:
            rows: (K,) tracks, each once.
            state: (5, K, 4) their filters as predicted for the first frame of the loss.
            last: (K, 4) boxes before the loss.
            boxes: (K, 4) boxes at which they were found again.
            gaps: (K,) frames from the one to the other.
        """
        if self.turned:
            last = like(last, _converted(state[0], self._from))
            boxes = like(boxes, last)
        step = (boxes - last) / gaps[:, None]
        line = last + np.arange(1, max(gaps.tolist()) + 1)[:, None, None] * step
        observed = self.to_measurement(line.reshape(-1, line.shape[2])).reshape(line.shape)
        follow = self._follow_together if self.motion.scaled else self._follow_each
        self.state[:, rows] = follow(state, observed, gaps)

    def _follow_together(self, state: Array, observed: Array, counts: NDArray[np.int64]) -> Array:
        """The filters (5, K, 4), predicted for the first of their `counts` (K,) observations, after the last of them."""
        order = (-counts).argsort(kind="stable")  # the longest first, so that those still running are a slice
        state, counts = state.take(order, axis=1), counts[order]
        running = np.searchsorted(-counts, -np.arange(len(observed) + 1), side="left").tolist()
        for i, seen in enumerate(observed.take(order, axis=1)):
            n, goes_on = running[i : i + 2]
            self.correct(state[:, :n], seen[:n])
            self.advance(state[:, :goes_on])
        return state.take(order.argsort(), axis=1)

    def _follow_each(self, state: Array, observed: Array, counts: NDArray[np.int64]) -> Array:
        """The same where the noise doesn't depend on the box: few tracks at a time, so numbers are faster than arrays."""
        filters, lines = state.transpose(1, 2, 0).tolist(), observed.transpose(1, 2, 0).tolist()
        after = [
            [self._follow(*coordinate, count) for coordinate in zip(self._fixed, one, line, strict=True)]
            for one, line, count in zip(filters, lines, counts.tolist(), strict=True)
        ]
        return np.array(after).transpose(2, 0, 1)

    @staticmethod
    def _follow(
        noise: Sequence[float], one: Sequence[float], seen: Sequence[float], count: int
    ) -> Sequence[float]:
        """The filter `one` of a coordinate after the first `count` that were seen of it, by `correct` and `advance`."""
        measured, drift, drift_velocity, least = noise
        x, v, var, cov, vel = one
        for step, z in enumerate(seen[:count]):
            if step:
                var += cov
                x += v
                cov += vel
                var += cov
                var += drift
                vel += drift_velocity
                if x <= least:  # an area; the step is taken back
                    x, v = x - v, 0.0
            total = var + measured
            a, b = var / total, cov / total
            error = z - x
            x += a * error
            v += b * error
            vel -= b * cov
            rest = 1.0 - a
            var *= rest
            cov *= rest
        return x, v, var, cov, vel

    def gate(self, boxes: Array, *, position_only: bool = False) -> Array:
        """Squared Mahalanobis distance (N, M) of each track to each box (M, 4); chi-square with 4 (or 2) degrees."""
        used = 2 if position_only else 4
        x, var = self.state[0], self.state[2]
        total = var + self._measured * self._unit(x)
        error = self.to_measurement(boxes)[None, :, :used] - x[:, None, :used]
        return (error**2 / total[:, None, :used]).sum(axis=2)

    def warp(self, affine: Array) -> None:
        """Follow a camera motion given as a (2, 3) affine map of the image.

        As in BoT-SORT, the linear part also turns sizes and velocities. Covariances between x and y that a rotation
        would bring are left out: between two frames it is a degree or so, and they stay below 2 % of the variance.
        """
        linear, shift = (
            np.asarray(affine[:, :2], dtype=np.float64),
            np.asarray(affine[:, 2], dtype=np.float64),
        )
        square = linear**2
        x = self.state[0]
        if self.turned:
            x[:, 4] += np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
        if self.motion.coordinates in ("xyah", "xysr"):
            scale = float(np.sqrt(abs(np.linalg.det(linear))))
            x[:, :2] = x[:, :2] @ linear.T + shift
            self.state[1, :, :2] = self.state[1, :, :2] @ linear.T
            self.state[2:, :, :2] = self.state[2:, :, :2] @ square.T
            column, power = (3, scale) if self.motion.coordinates == "xyah" else (2, scale**2)
            x[:, column] *= power
            self.state[1, :, column] *= power
            self.state[2:, :, column] *= power**2
            return
        pairs = self.state[:, :, :4].reshape(5, -1, 2, 2)
        moved = np.concatenate([pairs[:2] @ linear.T, pairs[2:] @ square.T]).reshape(5, -1, 4)
        moved[0] += np.tile(shift, 2) if self.motion.coordinates == "xyxy" else np.append(shift, (0.0, 0.0))
        self.state = np.concatenate([moved, self.state[:, :, 4:]], axis=2)
        self._clamp(self.state[0])

    def to_measurement(self, boxes: Array) -> Array:
        """Boxes (K, 4) xyxy, or turned (K, 5), in the model's coordinates."""
        return _converted(boxes, self._to)

    def _variances(self, n: int) -> list[Array]:
        """Variances (at least n, 4) of detections, and of what coordinates and velocities gain: full arrays add faster."""
        if n > len(self._noise[0]):
            rows = np.ones((2 * n, 1))
            self._noise = [rows * self._measured, rows * self._drift[0], rows * self._drift[1]]
        return self._noise

    def _unit(self, x: Array) -> Array | float:
        """Squared size that the noise is proportional to."""
        if not self.motion.scaled:
            return 1.0
        if self.motion.coordinates == "xywh":
            square = np.tile(x[:, 2:4] ** 2, (1, 2))
        else:
            square = np.repeat(x[:, 3:4] ** 2, 4, axis=1)
            square[:, 2] = 1.0
        return np.concatenate([square, np.ones((len(x), 1))], axis=1) if self.turned else square

    def _clamp(self, x: Array) -> None:
        if self.motion.scaled:
            np.maximum(x[:, 2:4], _LEAST, out=x[:, 2:4])
