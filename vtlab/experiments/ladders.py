"""Ladders: a clip made worse step by step, and how answers on what is shown are read on the clip as it was.

Frames on which an object is prompted are always shown, uncovered and unmoved, so that its prompt stays true.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtlab.datasets.corruptions import CORRUPTIONS
from vtlab.experiments.footage import Shown, carried, moved
from vtlab.prompts import Prompts
from vtlab.sequence import first_prompts
from vtlab.tracks import Tracks
from vtlab.video import Image, Video, open_video, write_video

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """What is made worse.

    Attributes:
        video: The clip.
        where: Tracks of its objects, by which they are covered and measured.
        starts: Frames on which objects are prompted.
        seed: Of what is random.
    """

    video: Video
    where: Tracks
    starts: Ints
    seed: int = 0

    @property
    def object_px(self) -> float:
        """Median over all boxes that are seen of the side of a square of their area."""
        boxes = self.where.seen().boxes
        sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
        return float(np.nanmedian(sides)) if np.isfinite(sides).any() else np.nan

    def randomly(self) -> np.random.Generator:
        """A generator that starts from the seed."""
        return np.random.default_rng(self.seed)

    def received(self, lost: float) -> NDArray[np.bool_]:
        """(N,) frames that arrive, where each one is lost with a probability."""
        found: NDArray[np.bool_] = self.randomly().random(len(self.video)) >= lost
        found[self.starts] = True
        return found


@dataclass(frozen=True)
class Worse:
    """A clip made worse.

    Attributes:
        video: Of as many frames as the clip, perhaps of another size.
        shown: Frames that the tracker gets, ascending.
        judged: Those on which it is judged.
        what: What was done: the same text is the same picture.
        fps: Frames a second; None for those of the clip.
        scale: Factors of x and y from the clip to what is shown.
        shift: (N, 2) pixels by which what is shown is moved.
    """

    video: Video
    shown: Ints
    judged: Ints
    what: str
    fps: float | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    shift: Ints | None = field(default=None)

    def part(self, begin: int, stop: int, where: Tracks) -> tuple[Video, Prompts]:
        """Frames begin to stop - 1 as they are shown, with the prompts that tracks of the clip give."""
        shown = self.shown[(self.shown >= begin) & (self.shown < stop)]
        size = self.video.height, self.video.width
        mine = where.between(begin, stop)
        given = first_prompts(carried(mine, np.arange(len(self.video)), size=size, scale=self.scale))
        return Video(Shown(self.video, shown, self.what, fps=self.fps)), moved(given, shown)

    def back(self, tracks: Tracks, begin: int, stop: int, clip: Video) -> Tracks:
        """Answers on what is shown of frames begin to stop - 1, as they lie in the clip."""
        shown = self.shown[(self.shown >= begin) & (self.shown < stop)]
        shift = None if self.shift is None else -self.shift[shown]
        scale = 1 / self.scale[0], 1 / self.scale[1]
        return carried(tracks, shown, size=(clip.height, clip.width), scale=scale, shift=shift)


Make = Callable[[Scene, float], Worse | None]


@dataclass(frozen=True)
class Ladder:
    """A condition and its levels.

    Attributes:
        title: What it is, for a plot.
        levels: From mild to severe.
        unit: Of a level, for the names of metrics.
        form: A level in a sentence: "holds to ...".
        make: (scene, level) -> the clip made worse; None where that would be none, such as a frame rate above its own.
        loses: The same, where it says what is lost below a level: "loses ...".
    """

    title: str
    levels: tuple[float, ...]
    unit: str
    form: str
    make: Make
    loses: str = ""


def untouched(scene: Scene) -> Worse:
    """The clip as it is."""
    every = np.arange(len(scene.video))
    return Worse(scene.video, every, every, "untouched")


def _changed(
    scene: Scene, what: str, change: Callable[[Image, int], Image], shift: Ints | None = None
) -> Worse:
    every = np.arange(len(scene.video))
    return Worse(Video(Shown(scene.video, every, what, change)), every, every, what, shift=shift)


def _corrupted(name: str) -> Make:
    """A corruption of vtlab.datasets, at any strength."""
    spoil = CORRUPTIONS[name][0]

    def make(scene: Scene, strength: float) -> Worse:
        def change(image: Image, index: int) -> Image:
            return spoil(image, strength, np.random.default_rng([scene.seed, index]))

        return _changed(scene, f"{name} {strength:g} seed {scene.seed}", change)

    return make


def _frame_rate(scene: Scene, fps: float) -> Worse | None:
    """As many frames a second, the nearest to each tick."""
    stamps = scene.video.timestamps
    if fps >= scene.video.fps:
        return None
    # np.arange leaves out its end, and the last frame may lie on a tick.
    ticks = np.arange(stamps[0], stamps[-1] + 1e-9, 1 / fps)
    after = np.clip(np.searchsorted(stamps, ticks), 1, len(stamps) - 1)
    nearest = after - (ticks - stamps[after - 1] < stamps[after] - ticks)
    shown = np.unique([*nearest.tolist(), *scene.starts.tolist()])
    return Worse(scene.video, shown, shown, f"{fps:g} fps", fps=fps)


def _encoded(scene: Scene, kbits: float) -> Worse:
    """Encoded in H.264 at a bit rate, and decoded again; a key frame each two seconds, as cameras do."""
    video, every = scene.video, np.arange(len(scene.video))
    with tempfile.TemporaryDirectory() as folder:
        images = (frame.image for frame in video.frames())
        keys = max(round(2 * video.fps), 1)
        file = write_video(
            Path(folder) / "worse.mp4", images, video.fps, keyframes=keys, bit_rate=round(1000 * kbits)
        )
        # H.264 is written with even sides: a row or column may have been repeated.
        decoded = np.stack([f.image[: video.height, : video.width] for f in open_video(file).frames()])
    return Worse(open_video(decoded, fps=video.fps), every, every, f"H.264 {kbits:g} kbit/s")


def _covered(scene: Scene, share: float) -> Worse:
    """A grey bar over a share of each object, for half of each second, from the left and the right in turn."""
    rows = scene.where.seen()
    half = max(round(scene.video.fps / 2), 1)

    def change(image: Image, index: int) -> Image:
        turn, covers = divmod(index // half, 2)
        if not covers or index in scene.starts:
            return image
        for x1, y1, x2, y2 in rows.at(index).boxes.tolist():
            if np.isfinite([x1, y1, x2, y2]).all():
                edge = share * (x2 - x1)
                left, right = (x1, x1 + edge) if turn % 2 else (x2 - edge, x2)
                low, high = (max(round(v), 0) for v in (y1, y2))
                image[low:high, max(round(left), 0) : max(round(right), 0)] = 127
        return image

    return _changed(scene, f"covered {share:g}", change)


def _smaller(scene: Scene, px: float) -> Worse | None:
    """The picture made smaller, until the objects' median size is so many pixels."""
    import cv2

    factor = px / scene.object_px
    if not factor < 1:
        return None
    video, every = scene.video, np.arange(len(scene.video))
    height, width = max(round(factor * video.height), 1), max(round(factor * video.width), 1)

    def change(image: Image, index: int) -> Image:
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    what = f"{width} x {height}"
    small = Video(Shown(video, every, what, change, size=(height, width)))
    return Worse(small, every, every, what, scale=(width / video.width, height / video.height))


def _shaken(scene: Scene, px: float) -> Worse:
    """The picture moved on each frame by whole pixels, of so many as standard deviation; its edge is repeated."""
    import cv2

    shift = np.rint(px * scene.randomly().standard_normal((len(scene.video), 2))).astype(np.int64)
    shift[scene.starts] = 0

    def change(image: Image, index: int) -> Image:
        x, y = shift[index].tolist()
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
        size = image.shape[1], image.shape[0]
        return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return _changed(scene, f"shaken {px:g} seed {scene.seed}", change, shift)


def _dropped(scene: Scene, share: float) -> Worse:
    """Frames that never arrive."""
    shown = np.flatnonzero(scene.received(share))
    return Worse(scene.video, shown, shown, f"dropped {share:g} seed {scene.seed}")


def _frozen(scene: Scene, share: float) -> Worse:
    """The same frames are lost, and the last picture stands in their place; judged where the picture is live."""
    received = scene.received(share)
    # Before the first picture there is none to repeat.
    received[0] = True
    every = np.arange(len(scene.video))
    last = np.maximum.accumulate(np.where(received, every, 0))
    what = f"frozen {share:g} seed {scene.seed}"
    return Worse(Video(Shown(scene.video, last, what)), every, np.flatnonzero(received), what)


_LOST = (0.1, 0.25, 0.5, 0.7, 0.85)
LADDERS: Mapping[str, Ladder] = {
    "frame_rate": Ladder("frame rate, fps", (15, 10, 8, 5, 3, 2), "fps", "{:g} fps", _frame_rate),
    "blur": Ladder("blur, sd in px", (1, 2, 4, 8, 12), "px", "blur of {:g} px", _corrupted("blur")),
    "noise": Ladder(
        "noise, sd in grey levels",
        (8, 16, 32, 64, 96),
        "levels",
        "noise of {:g} grey levels",
        _corrupted("noise"),
    ),
    "bitrate": Ladder("H.264, kbit/s", (1600, 800, 400, 200, 100, 50), "kbit/s", "{:g} kbit/s", _encoded),
    "dark": Ladder(
        "light left, share", (0.5, 0.25, 0.1, 0.05, 0.02), "light", "{:.0%} of the light", _corrupted("dark")
    ),
    "occlusion": Ladder(
        "occluders, share covered", (0.1, 0.25, 0.4, 0.55, 0.7, 0.9), "covered", "{:.0%} occlusion", _covered
    ),
    "size": Ladder(
        "resolution, object's size in px",
        (48, 32, 24, 16, 12, 8),
        "px",
        "objects of {:g} px",
        _smaller,
        "objects below {:g} px",
    ),
    "shake": Ladder("camera shake, sd in px", (1, 2, 4, 8, 16, 32), "px", "shake of {:g} px", _shaken),
    "dropped": Ladder("dropped frames, share", _LOST, "lost", "{:.0%} of frames dropped", _dropped),
    "frozen": Ladder("frozen frames, share", _LOST, "lost", "{:.0%} of frames frozen", _frozen),
}
"""Name -> ladder."""
