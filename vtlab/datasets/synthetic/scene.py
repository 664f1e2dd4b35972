"""The synthetic scene: waves that move layers and camera, and what is drawn and true at one instant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.datasets.synthetic.cutouts import (
    GROUNDS,
    HEIGHTS,
    THINGS,
    Array,
    Cutout,
    Float32,
    cut_out,
    ground,
    pillar,
)
from vtlab.errors import InputError
from vtlab.masks import encode, to_box
from vtlab.video import Image

SHOWN = 0.8
"""Part of each object that shows on the first frame and wherever a prompt is given."""


@dataclass(frozen=True)
class Difficulty:
    """How hard a synthetic sequence is; every knob goes from 0 (none) to 1 (hard).

    Attributes:
        motion: Speed of the objects, in the plane and turning.
        occlusion: Pillars in front of the scene; 1 = three wide ones.
        scale: Growing and shrinking; 1 = by a factor of 2.5 either way.
        blur: Exposure, as a part of the frame's time: motion blur.
        deformation: Bending, and turning out of the plane.
        camera: Panning, zooming, turning and shaking of the camera.
        distractors: Look-alikes of the objects that are no targets (they are ignore regions); 1 = six.
        noise: Sensor noise; 1 = a standard deviation of 25 grey levels.
    """

    motion: float = 0.3
    occlusion: float = 0.35
    scale: float = 0.3
    blur: float = 0.2
    deformation: float = 0.3
    camera: float = 0.3
    distractors: float = 0.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        for knob in fields(self):
            value = getattr(self, knob.name)
            if not 0 <= value <= 1:
                raise InputError(f"Expected the knob {knob.name!r} between 0 and 1, got {value!r}.")


PRESETS: Mapping[str, Difficulty] = {
    "still": Difficulty(0, 0, 0, 0, 0, 0, 0, 0),
    "easy": Difficulty(0.15, 0.0, 0.1, 0.0, 0.1, 0.1, 0.0, 0.05),
    "medium": Difficulty(),
    "hard": Difficulty(0.7, 0.7, 0.6, 0.6, 0.6, 0.7, 0.5, 0.4),
}


@dataclass(frozen=True)
class Settings:
    """What determines every pixel; see `synthetic` for the values."""

    seed: int
    objects: int
    frames: int
    fps: float
    size: tuple[int, int]
    points: int
    difficulty: Difficulty

    def text(self, version: int) -> str:
        """The settings as JSON, of which the digest is made."""
        own = asdict(self)
        knobs = own.pop("difficulty")
        return json.dumps({**own, **knobs, "version": version})


@dataclass
class Rows:
    """Columns of the truth while they are collected."""

    frame: list[int] = field(default_factory=list)
    object_id: list[int] = field(default_factory=list)
    box: list[Array] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    mask: list[bytes] = field(default_factory=list)
    target: list[bool] = field(default_factory=list)
    points: list[tuple[int, int, int, Array, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Wave:
    """A smooth random function of time: two sines; about in [-1, 1]."""

    speeds: Array
    phases: Array

    @classmethod
    def random(cls, rng: np.random.Generator, hertz: float) -> Wave:
        """Draw one of about `hertz` turns a second."""
        return cls(2 * np.pi * hertz * rng.uniform([0.6, 1.3], [1.0, 2.1]), rng.uniform(0, 2 * np.pi, 2))

    def __call__(self, time: float) -> float:
        """Value at a time in seconds."""
        return float(np.sin(self.speeds * time + self.phases) @ (0.7, 0.3))


@dataclass(frozen=True)
class Camera:
    """Where the camera looks: world (pixels at zoom 1, origin at the middle) -> frame, as a 2 x 3 matrix."""

    waves: tuple[Wave, ...]
    amount: float
    size: tuple[int, int]

    @classmethod
    def random(cls, rng: np.random.Generator, amount: float, size: tuple[int, int]) -> Camera:
        """Draw one; `amount` 0 stands still."""
        slow = tuple(Wave.random(rng, 0.12) for _ in range(4))
        return cls(slow + tuple(Wave.random(rng, 4.0) for _ in range(2)), amount, size)

    def matrix(self, time: float) -> Array:
        """World to frame at a time in seconds."""
        x, y, zoom, turn, shake_x, shake_y = (wave(time) * self.amount for wave in self.waves)
        width, height = self.size
        scale, angle = 1.25**zoom, 0.12 * turn
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        look = np.array(
            [0.25 * width * x + 0.006 * width * shake_x, 0.2 * height * y + 0.006 * width * shake_y]
        )
        return np.column_stack([linear, np.array([width, height]) / 2 - linear @ look])


@dataclass(frozen=True)
class Layer:
    """A cut-out with its path through the world.

    Attributes:
        cutout: Its picture.
        home: Middle of its path in world pixels.
        reach: Half the extent of its path in x and y.
        waves: x, y, log scale, turning, turning out of the plane, bending.
        scale: Factor of growth either way, at least 1.
        turn: Largest angle in radians.
        bend: Largest displacement by bending, as a part of the cut-out's half size.
    """

    cutout: Cutout
    home: Array
    reach: Array
    waves: tuple[Wave, ...]
    scale: float = 1.0
    turn: float = 0.0
    bend: float = 0.0

    def pose(self, time: float) -> tuple[Array, Array]:
        """Matrix (2, 3) from the cut-out's own coordinates to the world, and the bending's two phases."""
        x, y, grow, turn, yaw, bend = (wave(time) for wave in self.waves)
        angle, scale = self.turn * turn, self.scale**grow * self.cutout.half
        linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = scale * linear @ np.diag([1 - 3 * self.bend * (1 + yaw) / 2, 1.0])
        return np.column_stack([linear, self.home + self.reach * (x, y)]), np.array(
            [3 * bend, 2.0 + 3 * turn]
        )

    def unbend(self, places: NDArray[Any], phases: NDArray[Any]) -> NDArray[Any]:
        """Where in the flat cut-out the material at bent `places` (..., 2) comes from (own coordinates, about +-1)."""
        return places + places.dtype.type(self.bend) * np.sin(
            places.dtype.type(2.2) * places[..., ::-1] + phases
        )

    def bent(self, flat: Array, phases: Array) -> Array:
        """The inverse of `unbend`, by fixed-point iteration (a contraction: its slope stays below 0.4)."""
        places = flat
        # The slope is at most 0.16 * 2.2, and 0.352**40 is below a float's rounding.
        for _ in range(40):
            places = flat - self.bend * np.sin(2.2 * places[..., ::-1] + phases)
        return places


def _between_centres(matrix: Array) -> Array:
    """The 2 x 3 matrix between positions by pixel edges, for OpenCV, which counts from pixel centres."""
    moved = matrix.copy()
    moved[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
    return moved


def _paint(canvas: Float32, picture: Float32, place: tuple[int, int], drop: int) -> None:
    """Lay a picture (colour times alpha, alpha, shadow) onto the canvas, its shadow `drop` pixels off."""
    import cv2

    x, y = place
    red, green, blue, cover, shadow = cv2.split(picture)
    shaded = canvas[y + drop : y + drop + picture.shape[0], x + drop : x + drop + picture.shape[1]]
    light = 1 - np.float32(0.45) * shadow[: shaded.shape[0], : shaded.shape[1]]
    if shaded.size:
        shaded[:] = cv2.multiply(shaded, cv2.merge([light] * 3))
    under = canvas[y : y + picture.shape[0], x : x + picture.shape[1]]
    under[:] = cv2.add(cv2.multiply(under, cv2.merge([1 - cover] * 3)), cv2.merge([red, green, blue]))


def first_that_shows(settings: Settings) -> Scene:
    """Draw scenes by chance until one shows every object on its first frame, or keep the best of 40."""
    best, shown = None, -1.0
    for attempt in range(40):
        scene = Scene(np.random.default_rng([settings.seed, attempt]), settings)
        least = scene.least_shown()
        if least > shown:
            best, shown = scene, least
        if shown >= SHOWN:
            break
    if best is None:
        raise InputError(f"No scene could be made with {settings.objects} objects.")
    return best


class Scene:
    """Background, objects from back to front, pillars, and the camera."""

    def __init__(self, rng: np.random.Generator, settings: Settings):
        objects, size, difficulty = settings.objects, settings.size, settings.difficulty
        self._size, self._seed, self._noise = size, settings.seed, difficulty.noise
        copies = round(6 * difficulty.distractors)
        kinds = [str(k) for k in rng.permutation(THINGS)]
        self._kinds = [kinds[i % len(kinds)] for i in range(objects)]
        self._camera = Camera.random(rng, difficulty.camera, size)
        order = rng.permutation(objects + copies).tolist()
        things = [
            self._thing(rng, i, objects + copies, replace(settings, points=settings.points * (i < objects)))
            for i in range(objects + copies)
        ]
        self._layers = [things[i] for i in order]
        self._ids = [i + 1 for i in order]
        self._targets = objects
        self._pillars = self._make_pillars(rng, difficulty.occlusion)

    @cached_property
    def _ground(self) -> Image:
        rng = np.random.default_rng([self._seed, 1])
        taken = "garage" if "motorcycle" in self._kinds else ""
        return ground(str(rng.choice([kind for kind in GROUNDS if kind != taken])), self._size, rng)

    @cached_property
    def _grain(self) -> Float32:
        shape = (2 * self._size[1], 2 * self._size[0], 3)
        grain = np.random.default_rng([self._seed, 2]).standard_normal(shape, dtype=np.float32)
        return grain * np.float32(25 * self._noise)

    def _thing(self, rng: np.random.Generator, i: int, total: int, settings: Settings) -> Layer:
        difficulty, (width, height) = settings.difficulty, self._size
        kind = self._kinds[i % len(self._kinds)]
        # More than four share the area of four.
        crowd = 1.0 if total <= 4 else (4 / total) ** 0.5
        cutout = cut_out(kind, HEIGHTS[kind] * height * rng.uniform(0.85, 1.1) * crowd, settings.points, rng)
        column = (i + rng.uniform(0.25, 0.75)) / total - 0.5
        home = np.array([0.8 * column * width, rng.uniform(-0.2, 0.2) * height])
        reach = (
            np.array([0.3 * width, 0.2 * height]) * rng.uniform(0.6, 1.0, 2) * min(1.0, 3 * difficulty.motion)
        )
        hertz = 0.08 + 0.5 * difficulty.motion
        waves = tuple(Wave.random(rng, hertz) for _ in range(6))
        turn = (2.5 if kind == "coin" else 0.5) * difficulty.motion
        return Layer(
            cutout, home, reach, waves, 1 + 1.5 * difficulty.scale, turn, 0.16 * difficulty.deformation
        )

    def _make_pillars(self, rng: np.random.Generator, occlusion: float) -> list[Layer]:
        width, height = self._size
        count = int(np.ceil(3 * occlusion))
        still = tuple(Wave(np.zeros(2), np.zeros(2)) for _ in range(6))
        pillars = []
        for i in range(count):
            cutout = pillar(2.4 * height, width * (0.04 + 0.07 * occlusion) * rng.uniform(0.8, 1.2), rng)
            x = ((i + rng.uniform(0.3, 0.7)) / count - 0.5) * 1.1 * width
            pillars.append(Layer(cutout, np.array([x, 0.0]), np.zeros(2), still))
        return pillars

    def draw(self, time: float) -> Float32:
        """The scene at one instant: float32 (H, W, 3), 0-255."""
        import cv2

        camera = self._camera.matrix(time)
        middle = np.array(self._ground.shape[1::-1]) / 2
        canvas = cv2.warpAffine(
            self._ground,
            _between_centres(np.column_stack([camera[:, :2], camera[:, 2] - camera[:, :2] @ middle])),
            self._size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        ).astype(np.float32)
        for layer in (*self._layers, *self._pillars):
            drawn = self._warp(layer, camera, time, layer.cutout.picture)
            if drawn is not None:
                _paint(
                    canvas, *drawn, round(0.12 * layer.cutout.half) if layer.cutout.label != "pillar" else 0
                )
        return canvas

    def _warp(
        self, layer: Layer, camera: Array, time: float, picture: Float32
    ) -> tuple[Float32, tuple[int, int]] | None:
        """Draw a layer's picture into the part of the frame that it covers; None if it lies outside."""
        import cv2

        pose, phases = layer.pose(time)
        half, middle = layer.cutout.half, layer.cutout.middle
        linear = camera[:, :2] @ pose[:, :2]
        offset = camera[:, :2] @ pose[:, 2] + camera[:, 2]
        reach = middle / half + layer.bend
        corners = (reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])) @ linear.T + offset
        low = np.clip(np.floor(corners.min(axis=0)), 0, self._size).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), 0, self._size).astype(int)
        if (high <= low).any():
            return None
        shape, place = (int(high[0] - low[0]), int(high[1] - low[1])), (int(low[0]), int(low[1]))
        if not layer.bend:
            matrix = np.column_stack([linear / half, offset - low - linear @ middle / half])
            warped = cv2.warpAffine(picture, _between_centres(matrix), shape, flags=cv2.INTER_LINEAR)
            return np.asarray(warped, dtype=np.float32), place
        back = np.linalg.inv(linear).astype(np.float32)
        xs = (np.arange(low[0], high[0]) + 0.5 - offset[0]).astype(np.float32)
        ys = (np.arange(low[1], high[1]) + 0.5 - offset[1]).astype(np.float32)
        own = np.stack([back[i, 0] * xs[None, :] + back[i, 1] * ys[:, None] for i in (0, 1)], axis=-1)
        source = layer.unbend(own, phases.astype(np.float32)) * np.float32(half) + (middle - 0.5).astype(
            np.float32
        )
        columns, lines = (np.ascontiguousarray(source[..., i]) for i in (0, 1))
        warped = cv2.remap(picture, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(warped, dtype=np.float32), place

    def noise(self, index: int) -> Float32 | float:
        """Sensor noise of a frame: a piece of one large grain, chosen by seed and frame."""
        if not self._noise:
            return 0.0
        x, y = np.random.default_rng([self._seed, index]).integers(0, self._size)
        return self._grain[y : y + self._size[1], x : x + self._size[0]]

    def _covers(self, time: float) -> list[tuple[int, Layer, NDArray[np.bool_]]]:
        """Whole shapes of all layers inside the frame, back to front, with the object's id (0 for a pillar)."""
        camera = self._camera.matrix(time)
        found = []
        for number, layer in zip(
            [*self._ids, *[0] * len(self._pillars)], [*self._layers, *self._pillars], strict=True
        ):
            whole = np.zeros(self._size[::-1], dtype=bool)
            drawn = self._warp(layer, camera, time, np.ascontiguousarray(layer.cutout.picture[..., 3:4]))
            if drawn is not None:
                cover, (x, y) = drawn
                whole[y : y + cover.shape[0], x : x + cover.shape[1]] = cover >= 0.5
            found.append((number, layer, whole))
        return found

    def _full_area(self, layer: Layer, time: float) -> float:
        """Pixels that a layer would cover if all of it showed."""
        pose, _ = layer.pose(time)
        linear = self._camera.matrix(time)[:, :2] @ pose[:, :2]
        return layer.cutout.area * abs(float(np.linalg.det(linear))) / layer.cutout.half**2

    def least_shown(self) -> float:
        """Part that shows, on the first frame, of the object that shows least."""
        owner = np.zeros(self._size[::-1], dtype=np.int32)
        covers = self._covers(0.0)
        for number, _, whole in covers:
            owner[whole] = number
        return min(
            np.count_nonzero(owner == n) / self._full_area(layer, 0.0)
            for n, layer, _ in covers
            if 0 < n <= self._targets
        )

    def locate(self, frame: int, time: float, rows: Rows) -> None:
        """Add the rows of truth of one frame."""
        owner = np.zeros(self._size[::-1], dtype=np.int32)
        covers = self._covers(time)
        for number, _, whole in covers:
            owner[whole] = number
        for number, layer, whole in covers:
            if number == 0 or not whole.any():
                continue
            seen = owner == number
            rows.frame.append(frame)
            rows.object_id.append(number)
            rows.box.append(to_box(whole))
            rows.shown.append(np.count_nonzero(seen) / self._full_area(layer, time))
            rows.label.append(layer.cutout.label)
            rows.mask.append(encode(seen))
            rows.target.append(number <= self._targets)
            rows.points += [(frame, number, *point) for point in self._points(layer, time, seen)]

    def _points(
        self, layer: Layer, time: float, seen: NDArray[np.bool_]
    ) -> Iterator[tuple[int, Array, bool]]:
        """Number, place and visibility of a layer's points, given where (H, W) it can be seen."""
        pose, phases = layer.pose(time)
        camera = self._camera.matrix(time)
        world = layer.bent(layer.cutout.points, phases) @ pose[:, :2].T + pose[:, 2]
        places = world @ camera[:, :2].T + camera[:, 2]
        for point, (x, y) in enumerate(places):
            inside = 0 <= x < self._size[0] and 0 <= y < self._size[1]
            yield point, np.array([x, y]), bool(inside and seen[int(y), int(x)])
