"""Corruptions: a video made worse, lazily and by a seed, to see how trackers bear it.

    worse = corrupt(video, "noise", severity=3)          # a Video of the same frames and time stamps
    worse = corrupt(sequence, "jpeg", severity=5)        # a Sequence: truth and prompts stay valid

Every corruption has five severities, as ImageNet-C (Hendrycks and Dietterich, ICLR 2019). `drop` freezes the picture
for frames that are lost, as a receiver does, so that frame numbers and truth stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError, near
from vtlab.sequence import Sequence
from vtlab.video import FrameSource, Image, Video

Levels = tuple[float, float, float, float, float]
Corruption = Callable[[Image, float, np.random.Generator], Image]
"""Image (H, W, 3), strength, the frame's own generator -> a new image."""


def _finished(image: NDArray[Any]) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _blur(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _motion_blur(image: Image, length: float, rng: np.random.Generator) -> Image:
    import cv2

    # Odd, so that the line has a middle and the picture doesn't move.
    size = int(length) | 1
    kernel = np.zeros((size, size), np.float32)
    # More samples than pixels on the line, so that none is left out.
    angle, reach = rng.uniform(0, np.pi), np.linspace(-0.5, 0.5, 4 * size) * (size - 1)
    middle = (size - 1) / 2
    columns = np.rint(middle + reach * np.cos(angle)).astype(int)
    kernel[np.rint(middle + reach * np.sin(angle)).astype(int), columns] = 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def _noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    return _finished(image + sigma * rng.standard_normal(image.shape, dtype=np.float32))


def _jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    import cv2

    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _dark(image: Image, light: float, rng: np.random.Generator) -> Image:
    """A short exposure: less light, and the shot noise that comes with it (400 photons make white)."""
    photons = 400 * light * (image.astype(np.float32) / 255)
    return _finished(255 * rng.poisson(photons) / 400)


CORRUPTIONS: Mapping[str, tuple[Corruption, Levels, str]] = {
    "blur": (_blur, (1.0, 2.0, 3.0, 4.5, 6.0), "Gaussian blur; standard deviation in pixels"),
    "motion_blur": (
        _motion_blur,
        (5, 9, 13, 19, 27),
        "blur along a line of random direction; length in pixels",
    ),
    "noise": (_noise, (8, 16, 26, 38, 55), "Gaussian noise; standard deviation in grey levels"),
    "jpeg": (_jpeg, (40, 25, 15, 10, 6), "JPEG compression; quality of 100"),
    "dark": (_dark, (0.6, 0.4, 0.25, 0.15, 0.08), "less light, with shot noise; fraction of the light"),
    "drop": (
        lambda image, _, __: image,
        (0.05, 0.1, 0.2, 0.35, 0.5),
        "lost frames show the last one; probability",
    ),
}
"""Name -> function, its strength at severities 1 to 5, and what the strength is."""


@overload
def corrupt(video: Video, name: str, severity: int = 3, *, seed: int = 0) -> Video: ...
@overload
def corrupt(video: Sequence, name: str, severity: int = 3, *, seed: int = 0) -> Sequence: ...
def corrupt(video: Video | Sequence, name: str, severity: int = 3, *, seed: int = 0) -> Video | Sequence:
    """Return the video (or the sequence with its video) made worse; frames are corrupted when they are read.

    Args:
        video: What to make worse; it is not changed.
        name: One of `CORRUPTIONS`.
        severity: From 1 (slight) to 5 (severe).
        seed: The same seed gives the same pixels, in whatever order frames are read.

    Raises:
        InputError: For an unknown name, or a severity that is not 1 to 5.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"Unknown corruption {name!r}. {near(name, CORRUPTIONS)}")
    if severity not in (1, 2, 3, 4, 5):
        raise InputError(f"Expected a severity from 1 to 5, got {severity!r}.")
    if isinstance(video, Sequence):
        worse = corrupt(video.video, name, severity, seed=seed)
        return replace(video, name=f"{video.name}+{name}-{severity}", video=worse)
    return Video(_Corrupted(video, name, severity, seed))


class _Corrupted(FrameSource):
    """The frames of a video, corrupted one by one."""

    def __init__(self, video: Video, name: str, severity: int, seed: int):
        self._video, self._what, self._seed = video, f"{name}-{severity}", seed
        self._corrupt, levels, _ = CORRUPTIONS[name]
        self._strength = float(levels[severity - 1])
        self.name = f"{video.name}+{self._what}"
        self.source = f"{video.source} {self._what} seed {seed}"
        self.width, self.height, self.fps = video.width, video.height, video.fps
        self.timestamps, self.span = video.timestamps, video.span
        self._shown = (
            _last_received(len(video), self._strength, seed) if name == "drop" else np.arange(len(video))
        )

    def get(self, index: int) -> Image:
        return self._spoil(self._video.frame(int(self._shown[index])).image, index)

    def read(self, indices: range) -> Iterator[Image]:
        if indices:
            for frame in self._video.frames(indices.start, indices.stop, indices.step):
                shown = int(self._shown[frame.index])
                image = frame.image if shown == frame.index else self._video.frame(shown).image
                yield self._spoil(image, frame.index)

    def _spoil(self, image: Image, index: int) -> Image:
        return self._corrupt(image, self._strength, np.random.default_rng([self._seed, index]))

    def digest(self) -> str:
        text = f"{self._video.digest()} {self._what} {self._seed}"
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def close(self) -> None:
        self._video.close()


def _last_received(count: int, probability: float, seed: int) -> NDArray[np.int64]:
    """For each frame the last one that was not lost; the first frame always arrives."""
    received = np.random.default_rng(seed).random(count) >= probability
    received[:1] = True
    return np.maximum.accumulate(np.where(received, np.arange(count), 0))
