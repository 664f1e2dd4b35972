"""A perceptual hash of one frame, which survives another codec, size, brightness and contrast.

It is pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) with 16 x 16 coefficients in
place of 8 x 8, as ImageHash's `phash(hash_size=16)` has it: the frame in grey, 64 x 64 pixels, its cosine transform, and of
the 16 x 16 lowest frequencies which lie above their median. Differs: a frame without contrast (black, white, a fade) has the
hash 0, for its bits would be noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

HASH_BYTES, SIDE = 32, 16
"""Bytes of a perceptual hash; pixels of a thumbnail's side."""
_FINE = 4 * SIDE
"""Side from which thumbnail and hash are both made, four pixels to a cell."""
_FLAT = 1.5
"""Grey levels of contrast (standard deviation) below which a frame looks like nothing."""


def small(image: Bytes) -> Bytes:
    """A frame in grey and 64 x 64 pixels (64, 64), from which hash and thumbnail are made."""
    import cv2

    step = max(1, min(image.shape[:2]) // 256)  # a cell of 1/64 still averages 16 pixels and more
    grey = cv2.cvtColor(
        image[::step], cv2.COLOR_RGB2GRAY
    )  # before the columns: NumPy is slow to pick pixels of 3 bytes
    few = np.ascontiguousarray(grey[:, ::step])
    return np.asarray(cv2.resize(few, (_FINE, _FINE), interpolation=cv2.INTER_AREA))


def perceptual(frames: Bytes) -> Bytes:
    """The perceptual hashes (N, 32) of frames (N, 64, 64) that `small` made."""
    values = frames.reshape(-1, _FINE, _FINE).astype(np.float32)
    basis = _cosines()
    low = (basis @ values @ basis.T).reshape(len(values), -1)
    above = low > np.median(low, axis=1, keepdims=True)
    above[values.std(axis=(1, 2)) < _FLAT] = False
    return np.packbits(above, axis=1)


def _cosines() -> NDArray[np.float32]:
    """(16, 64) the lowest frequencies of the cosine transform."""
    k, x = np.mgrid[:SIDE, :_FINE]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * _FINE)).astype(np.float32)


def thumbnails(frames: Bytes) -> Bytes:
    """Means of 16 x 16 cells (N, 256) of frames (N, 64, 64) that `small` made."""
    cells = frames.reshape(len(frames), SIDE, 4, SIDE, 4).mean(axis=(2, 4))
    return np.round(cells).astype(np.uint8).reshape(len(frames), SIDE * SIDE)


def hash_of(image: Bytes) -> bytes:
    """The perceptual hash of one frame (H, W, 3)."""
    return perceptual(small(image)[None])[0].tobytes()
