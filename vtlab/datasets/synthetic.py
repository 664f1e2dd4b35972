"""Synthetic sequences: photographs cut out and composed into a moving scene, so that the truth is exact.

Things cut from the photographs that scikit-image ships (a person, a cat, a cup, a motorcycle, coins, ...) move,
turn, grow, bend and pass before each other and behind pillars, seen by a moving camera. Where each one is follows
from the same formulas that draw it: whole boxes, visible masks, points and visibility, on every frame.

Any frame is drawn on its own from the seed, so frames can be read in any order and none is kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, near, needs
from vtlab.masks import encode, to_box
from vtlab.sequence import Sequence, first_prompts
from vtlab.tracks import PointRows, Tracks
from vtlab.video import FrameSource, Image, Video

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

_VERSION = 1
"""Part of the digest: raised when the same seed draws other pictures."""

SEEN = 0.1
"""Part of an object's area that must show for it to count as visible."""

_SHOWN = 0.8
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
    source = SyntheticSource(name or f"synthetic-{seed}", seed, objects, count, fps, size, points, level)
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
    """Draws the frames of a synthetic sequence; see `synthetic` for the arguments."""

    def __init__(
        self,
        name: str,
        seed: int,
        objects: int,
        count: int,
        fps: float,
        size: tuple[int, int],
        points: int,
        difficulty: Difficulty,
    ):
        self.name, self.fps = name, fps
        self.width, self.height = size
        self.timestamps = np.arange(count) / fps
        self._difficulty, self._points = difficulty, points
        self._seed, self._objects = seed, objects
        settings = {
            "seed": seed,
            "objects": objects,
            "frames": count,
            "fps": fps,
            "size": size,
            "points": points,
        }
        self.source = "synthetic " + json.dumps({**settings, **asdict(difficulty), "version": _VERSION})
        self._scene = _first_that_shows(seed, objects, size, difficulty, points)

    def get(self, index: int) -> Image:
        """Draw frame `index`: the mean of several instants of its exposure, and noise."""
        blur, time = self._difficulty.blur, float(self.timestamps[index])
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
        rows = _Rows()
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
        return truth, None if real.all() else table.take(~real[order]), shown[real[order]] >= _SHOWN


@dataclass
class _Rows:
    """Columns of the truth while they are collected."""

    frame: list[int] = field(default_factory=list)
    object_id: list[int] = field(default_factory=list)
    box: list[Array] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    mask: list[bytes] = field(default_factory=list)
    target: list[bool] = field(default_factory=list)
    points: list[tuple[int, int, int, Array, bool]] = field(default_factory=list)


# -- motion ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wave:
    """A smooth random function of time: two sines; about in [-1, 1]."""

    speeds: Array
    phases: Array

    @classmethod
    def random(cls, rng: np.random.Generator, hertz: float) -> _Wave:
        return cls(2 * np.pi * hertz * rng.uniform([0.6, 1.3], [1.0, 2.1]), rng.uniform(0, 2 * np.pi, 2))

    def __call__(self, time: float) -> float:
        return float(np.sin(self.speeds * time + self.phases) @ (0.7, 0.3))


@dataclass(frozen=True)
class _Camera:
    """Where the camera looks: world (pixels at zoom 1, origin at the middle) -> frame, as a 2 x 3 matrix."""

    waves: tuple[_Wave, ...]
    amount: float
    size: tuple[int, int]

    @classmethod
    def random(cls, rng: np.random.Generator, amount: float, size: tuple[int, int]) -> _Camera:
        slow = tuple(_Wave.random(rng, 0.12) for _ in range(4))
        return cls(slow + tuple(_Wave.random(rng, 4.0) for _ in range(2)), amount, size)

    def matrix(self, time: float) -> Array:
        x, y, zoom, turn, shake_x, shake_y = (wave(time) * self.amount for wave in self.waves)
        width, height = self.size
        scale, angle = 1.25**zoom, 0.12 * turn
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        look = np.array(
            [0.25 * width * x + 0.006 * width * shake_x, 0.2 * height * y + 0.006 * width * shake_y]
        )
        return np.column_stack([linear, np.array([width, height]) / 2 - linear @ look])


@dataclass(frozen=True)
class _Layer:
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

    cutout: _Cutout
    home: Array
    reach: Array
    waves: tuple[_Wave, ...]
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
        for _ in range(40):
            places = flat - self.bend * np.sin(2.2 * places[..., ::-1] + phases)
        return places


# -- pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cutout:
    """A picture of one thing at the size at which it is drawn.

    Attributes:
        label: What it is.
        picture: Colour times alpha, alpha, and soft shadow: float32 (H, W, 5), colour in 0-255.
        half: Half its height in pixels: own coordinates times `half` are pixels from its middle.
        area: Its pixels.
        points: Points on it in own coordinates, (P, 2).
    """

    label: str
    picture: Float32
    half: float
    area: float
    points: Array

    @property
    def middle(self) -> Array:
        return np.array(self.picture.shape[1::-1]) / 2


@cache
def _photograph(file: str) -> Image:
    """Read a photograph that scikit-image ships as RGB, without importing the package."""
    import cv2

    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise needs("scikit-image", "notebook", "The synthetic generator (it uses its photographs)")
    path = Path(found.submodule_search_locations[0]) / "data" / file
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"The photograph {str(path)!r} is missing. Remedy: reinstall scikit-image.")
    return np.asarray(image[:, :, ::-1], dtype=np.uint8)


@cache
def _catalogue() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("cutouts.json").read_text())


def _cut(kind: str, height: float, points: int, rng: np.random.Generator) -> _Cutout:
    """Cut out a thing, mirrored by chance, and scale it to `height` pixels."""
    import cv2

    found = _catalogue()
    if kind in found["circles"]:
        entry = found["circles"][kind]
        x, y, radius = entry["circles"][rng.integers(len(entry["circles"]))]
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        outline = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)
        tint = np.array([(1.25, 1.0, 0.55), (1.1, 1.1, 1.15), (1.2, 0.85, 0.65)][rng.integers(3)])
    else:
        entry = found["outlines"][kind]
        outline, tint = np.array(entry["outline"]), np.ones(3)
    photo = _photograph(entry["file"])
    low, high = np.floor(outline.min(axis=0)).astype(int), np.ceil(outline.max(axis=0)).astype(int)
    colour = np.clip(photo[low[1] : high[1], low[0] : high[0]] * tint, 0, 255).astype(np.float32)
    alpha = np.zeros((4 * colour.shape[0], 4 * colour.shape[1]), np.uint8)
    cv2.fillPoly(alpha, [np.rint(4 * (outline - low) - 0.5).astype(np.int32)], 255)
    alpha = cv2.erode(alpha, np.ones((7, 7), np.uint8))  # keeps the photograph's background out of the edge
    if rng.random() < 0.5:
        colour, alpha = colour[:, ::-1], alpha[:, ::-1]
    scale = height / colour.shape[0]
    shape = (max(2, round(colour.shape[1] * scale)), max(2, round(height)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    colour = np.clip(cv2.resize(np.ascontiguousarray(colour), shape, interpolation=method), 0, 255)
    cover = (
        cv2.resize(np.ascontiguousarray(alpha), shape, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    )
    chosen = _choose_points(colour, cover, points, rng)
    margin = round(0.15 * shape[1]) + 2
    layers: NDArray[Any] = np.dstack([colour * cover[..., None], cover])
    layers = cv2.copyMakeBorder(layers, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    shadow = cv2.GaussianBlur(layers[..., 3], (0, 0), 0.05 * shape[1] + 0.5)
    half = shape[1] / 2
    middle = np.array(shape) / 2
    picture = np.dstack([layers, shadow]).astype(np.float32)
    return _Cutout(entry["label"], picture, half, float(cover.sum()), (chosen - middle) / half)


def _choose_points(colour: NDArray[Any], cover: NDArray[Any], count: int, rng: np.random.Generator) -> Array:
    """Choose `count` well-textured places on a cut-out, well inside it: (count, 2) pixels."""
    import cv2

    if count == 0:
        return np.empty((0, 2))
    inside = cv2.erode((cover > 0.99).astype(np.uint8), np.ones((7, 7), np.uint8))
    inside = inside if inside.any() else (cover > 0.5).astype(np.uint8)
    grey = colour.mean(axis=2).astype(np.float32)
    corners = cv2.goodFeaturesToTrack(grey, count, 0.01, max(2.0, 0.1 * colour.shape[0]), mask=inside)
    found = np.empty((0, 2)) if corners is None else np.asarray(corners, np.float64).reshape(-1, 2) + 0.5
    rows, columns = np.nonzero(inside)
    more = rng.integers(len(rows), size=count - len(found))
    return np.concatenate([found, np.stack([columns[more], rows[more]], axis=-1) + 0.5])[:count].astype(
        np.float64
    )


_GROUNDS: Mapping[str, tuple[str, tuple[float, float, float]]] = {
    "grass": ("grass.png", (0.75, 1.0, 0.5)),
    "gravel": ("gravel.png", (1.0, 0.93, 0.82)),
    "bricks": ("brick.png", (1.15, 0.8, 0.68)),
    "garage": ("motorcycle_right.png", (1.0, 1.0, 1.0)),
    "launch pad": ("rocket.jpg", (1.0, 1.0, 1.0)),
}
_THINGS = ("astronaut", "cat", "cup", "motorcycle", "cameraman", "coin")
_HEIGHTS = {"coin": 0.2, "cup": 0.3, "astronaut": 0.45, "cat": 0.34, "cameraman": 0.48, "motorcycle": 0.4}
_GROUND = 1.5
"""Width and height of the background as multiples of the frame's; beyond, it is mirrored."""


def _ground(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A background larger than the frame, uint8 (H, W, 3), lit unevenly."""
    import cv2

    file, tint = _GROUNDS[kind]
    shape = (round(_GROUND * size[0]), round(_GROUND * size[1]))
    photo = _photograph(file)
    scale = max(shape[0] / photo.shape[1], shape[1] / photo.shape[0])
    large = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.resize(large[: shape[1], : shape[0]], shape, interpolation=cv2.INTER_LINEAR)
    spots = rng.uniform(0.72, 1.12, (3, 4)).astype(np.float32)
    light = np.asarray(cv2.resize(spots, shape, interpolation=cv2.INTER_CUBIC))
    return np.clip(large * np.array(tint) * light[..., None], 0, 255).astype(np.uint8)


def _pillar(height: float, width: float, rng: np.random.Generator) -> _Cutout:
    """An upright round pillar of bricks or gravel, darker towards its edges."""
    import cv2

    photo = _photograph(("brick.png", "gravel.png")[rng.integers(2)])
    shape = (round(width), round(height))
    tile = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    colour: NDArray[Any] = np.tile(tile, (shape[1] // tile.shape[0] + 1, shape[0] // tile.shape[1] + 1, 1))[
        : shape[1], : shape[0]
    ]
    across = np.linspace(-1, 1, shape[0])
    shade = 0.35 + 0.65 * np.sqrt(np.clip(1 - across**2, 0, 1)) * (1 - 0.25 * across)
    colour = colour * np.array([1.05, 0.92, 0.8]) * shade[None, :, None]
    layers: NDArray[Any] = np.dstack([colour, np.ones(shape[::-1])]).astype(np.float32)
    layers = cv2.copyMakeBorder(layers, 0, 0, 8, 8, cv2.BORDER_CONSTANT, value=0)
    picture = np.dstack([layers, cv2.blur(layers[..., 3], (13, 1))]).astype(np.float32)
    return _Cutout("pillar", picture, shape[1] / 2, float(shape[0] * shape[1]), np.empty((0, 2)))


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


# -- the scene ------------------------------------------------------------------------------------------------


def _first_that_shows(
    seed: int, objects: int, size: tuple[int, int], difficulty: Difficulty, points: int
) -> _Scene:
    """Draw scenes by chance until one shows every object on its first frame, or keep the best of 40."""
    best, shown = None, -1.0
    for attempt in range(40):
        scene = _Scene(np.random.default_rng([seed, attempt]), seed, objects, size, difficulty, points)
        least = scene.least_shown()
        if least > shown:
            best, shown = scene, least
        if shown >= _SHOWN:
            break
    if best is None:
        raise InputError(f"No scene could be made with {objects} objects.")
    return best


class _Scene:
    """Background, objects from back to front, pillars, and the camera."""

    def __init__(
        self,
        rng: np.random.Generator,
        seed: int,
        objects: int,
        size: tuple[int, int],
        difficulty: Difficulty,
        points: int,
    ):
        self._size, self._seed, self._noise = size, seed, difficulty.noise
        copies = round(6 * difficulty.distractors)
        kinds = [str(k) for k in rng.permutation(_THINGS)]
        self._kinds = [kinds[i % len(kinds)] for i in range(objects)]
        self._camera = _Camera.random(rng, difficulty.camera, size)
        order = rng.permutation(objects + copies).tolist()
        things = [
            self._thing(rng, i, objects + copies, points if i < objects else 0, difficulty)
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
        return _ground(str(rng.choice([kind for kind in _GROUNDS if kind != taken])), self._size, rng)

    @cached_property
    def _grain(self) -> Float32:
        shape = (2 * self._size[1], 2 * self._size[0], 3)
        grain = np.random.default_rng([self._seed, 2]).standard_normal(shape, dtype=np.float32)
        return grain * np.float32(25 * self._noise)

    def _thing(
        self, rng: np.random.Generator, i: int, total: int, points: int, difficulty: Difficulty
    ) -> _Layer:
        width, height = self._size
        kind = self._kinds[i % len(self._kinds)]
        crowd = 1.0 if total <= 4 else (4 / total) ** 0.5
        cutout = _cut(kind, _HEIGHTS[kind] * height * rng.uniform(0.85, 1.1) * crowd, points, rng)
        column = (i + rng.uniform(0.25, 0.75)) / total - 0.5
        home = np.array([0.8 * column * width, rng.uniform(-0.2, 0.2) * height])
        reach = (
            np.array([0.3 * width, 0.2 * height]) * rng.uniform(0.6, 1.0, 2) * min(1.0, 3 * difficulty.motion)
        )
        hertz = 0.08 + 0.5 * difficulty.motion
        waves = tuple(_Wave.random(rng, hertz) for _ in range(6))
        turn = (2.5 if kind == "coin" else 0.5) * difficulty.motion
        return _Layer(
            cutout, home, reach, waves, 1 + 1.5 * difficulty.scale, turn, 0.16 * difficulty.deformation
        )

    def _make_pillars(self, rng: np.random.Generator, occlusion: float) -> list[_Layer]:
        width, height = self._size
        count = int(np.ceil(3 * occlusion))
        still = tuple(_Wave(np.zeros(2), np.zeros(2)) for _ in range(6))
        pillars = []
        for i in range(count):
            cutout = _pillar(2.4 * height, width * (0.04 + 0.07 * occlusion) * rng.uniform(0.8, 1.2), rng)
            x = ((i + rng.uniform(0.3, 0.7)) / count - 0.5) * 1.1 * width
            pillars.append(_Layer(cutout, np.array([x, 0.0]), np.zeros(2), still))
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
        self, layer: _Layer, camera: Array, time: float, picture: Float32
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

    def _covers(self, time: float) -> list[tuple[int, _Layer, NDArray[np.bool_]]]:
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

    def _full_area(self, layer: _Layer, time: float) -> float:
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

    def locate(self, frame: int, time: float, rows: _Rows) -> None:
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
            self._locate_points(frame, time, number, layer, seen, rows)

    def _locate_points(
        self, frame: int, time: float, number: int, layer: _Layer, seen: NDArray[np.bool_], rows: _Rows
    ) -> None:
        pose, phases = layer.pose(time)
        camera = self._camera.matrix(time)
        world = layer.bent(layer.cutout.points, phases) @ pose[:, :2].T + pose[:, 2]
        places = world @ camera[:, :2].T + camera[:, 2]
        for point, (x, y) in enumerate(places):
            inside = 0 <= x < self._size[0] and 0 <= y < self._size[1]
            rows.points.append(
                (frame, number, point, np.array([x, y]), bool(inside and seen[int(y), int(x)]))
            )
