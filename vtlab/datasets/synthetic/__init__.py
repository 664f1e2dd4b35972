"""Synthetic sequences: photographs cut out and composed into a moving scene, so that the truth is exact.

Things cut from the photographs that scikit-image ships (a person, a cat, a cup, a motorcycle, coins, ...) move,
turn, grow, bend and pass before each other and behind pillars, seen by a moving camera. Where each one is follows
from the same formulas that draw it: whole boxes, visible masks, points and visibility, on every frame.

Any frame is drawn on its own from the seed, so frames can be read in any order and none is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace

import numpy as np
from numpy.typing import NDArray

from vtlab.datasets.synthetic.scene import PRESETS, SHOWN, Difficulty, Rows, Settings, first_that_shows
from vtlab.errors import InputError, near
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import PointRows, Tracks
from vtlab.video import FrameSource, Image, Video

_VERSION = 1
"""Part of the digest: raised when the same seed draws other pictures."""

SEEN = 0.1
"""Part of an object's area that must show for it to count as visible."""


def synthetic(
    name: str | None = None,
    *,
    seed: int = 0,
    objects: int = 3,
    seconds: float = 4.0,
    fps: float = 30.0,
    size: tuple[int, int] = (640, 360),
    points: int = 8,
    difficulty: str | Difficulty = "medium",
    **knobs: float,
) -> Sequence:
    """Make a synthetic sequence: a lazy video, its exact truth, and prompts of every kind.

    Truth: `boxes` are of the whole object as far as it lies in the frame, masks are what can be seen of it; an object
    outside the frame has no row, one of which less than a tenth shows has `visible = False`.

    Args:
        name: Name of the sequence; by default "synthetic-<seed>".
        seed: Chooses photographs, paths and everything else; the same seed draws the same pixels.
        objects: Number of objects to follow, at least 1.
        seconds: Length of the video.
        fps: Frames per second.
        size: Width and height in pixels.
        points: Points to follow on each object, 0 for none.
        difficulty: "still", "easy", "medium", "hard", or a `Difficulty`.
        knobs: Single knobs of `Difficulty` in place of the preset's, for example `occlusion=1.0`.

    Raises:
        InputError: For a value out of range or an unknown preset or knob.
        MissingDependencyError: If scikit-image, whose photographs are used, is not installed.
    """
    level = _difficulty(difficulty, knobs)
    count = round(seconds * fps)
    if objects < 1 or count < 1 or min(size) < 64 or points < 0:
        raise InputError(
            f"Expected at least 1 object, 1 frame, 64 pixels a side and no negative number of points, got "
            f"{objects} objects, {count} frames, size {size} and {points} points."
        )
    settings = Settings(seed, objects, count, fps, size, points, level)
    source = SyntheticSource(name or f"synthetic-{seed}", settings)
    truth, ignore, whole = source.truth()
    prompts = first_prompts(truth.take(whole))
    tags = frozenset(k for k, value in asdict(level).items() if value >= 0.5)
    return Sequence(source.name, Video(source), truth, prompts, ignore, attributes=tags)


def _difficulty(difficulty: str | Difficulty, knobs: Mapping[str, float]) -> Difficulty:
    if isinstance(difficulty, str):
        if difficulty not in PRESETS:
            raise InputError(f"Unknown difficulty {difficulty!r}. {near(difficulty, PRESETS)}")
        difficulty = PRESETS[difficulty]
    names = [knob.name for knob in fields(Difficulty)]
    for knob in knobs:
        if knob not in names:
            raise InputError(f"Unknown knob {knob!r}. {near(knob, names)}")
    return replace(difficulty, **knobs)


class SyntheticSource(FrameSource):
    """Draws the frames of a synthetic sequence; see `synthetic` for what the settings hold."""

    def __init__(self, name: str, settings: Settings):
        self.name, self.fps = name, settings.fps
        self.width, self.height = settings.size
        self.timestamps = np.arange(settings.frames) / settings.fps
        self._blur = settings.difficulty.blur
        self.source = f"synthetic {settings.text(_VERSION)}"
        self._scene = first_that_shows(settings)

    def get(self, index: int) -> Image:
        """Draw frame `index`: the mean of several instants of its exposure, and noise."""
        blur, time = self._blur, float(self.timestamps[index])
        instants = 1 + int(np.ceil(4 * blur))
        offsets = (np.arange(instants) - (instants - 1) / 2) / instants * blur / self.fps
        total = self._scene.draw(time + offsets[0])
        for offset in offsets[1:]:
            total += self._scene.draw(time + offset)
        image = total / instants + self._scene.noise(index)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def digest(self) -> str:
        """Hash of the settings, which determine every pixel."""
        return "sha256:" + hashlib.sha256(self.source.encode()).hexdigest()

    def truth(self) -> tuple[Tracks, Tracks | None, NDArray[np.bool_]]:
        """Truth of the objects, ignore regions of the distractors, and the rows of truth that show most of it."""
        rows = Rows()
        for index, time in enumerate(self.timestamps):
            self._scene.locate(index, float(time), rows)
        size = (self.height, self.width)
        meta = {"source": self.source, "frames": len(self.timestamps)}
        real = np.array(rows.target, dtype=bool)
        table = Tracks.of(
            rows.frame,
            rows.object_id,
            np.array(rows.box).reshape(-1, 4),
            1.0,
            np.array(rows.shown) >= SEEN,
            label=rows.label,
            source="manual",
            masks=rows.mask,
            points=PointRows.of(*(np.array(column) for column in zip(*rows.points, strict=True)))
            if rows.points
            else None,
            size=size,
            meta=meta,
        )
        order = np.lexsort((rows.object_id, rows.frame))
        shown = np.array(rows.shown)[order]
        truth = table.take(real[order])
        return truth, None if real.all() else table.take(~real[order]), shown[real[order]] >= SHOWN
