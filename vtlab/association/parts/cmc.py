"""Camera-motion compensation: the affine map between two frames, from what does not belong to the objects.

Methods: sparse optical flow (Lucas-Kanade on corners; BoT-SORT's default), ORB matches, ECC alignment (Evangelidis,
Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization", TPAMI 2008; StrongSORT's).
Paper for its use here: Aharon et al., "BoT-SORT", arXiv 2206.14651. All by OpenCV (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.video import Frame

Array = NDArray[np.float64]
METHODS = ("flow", "orb", "ecc")
_LEAST_POINTS = 10  # fewer matches than this tell nothing of the camera


class CameraMotion:
    """Estimates the camera's motion from frame to frame.

    Where it can't be told (the first frame, too few points, no convergence) the map is the identity and `failed` counts
    it (the first frame is not counted).

    Args:
        method: "flow", "orb" or "ecc".
        longest_side: Frames are reduced to this many pixels before.
        cache: Maps (method, longest_side, frame before, frame) to the (2, 3) map; share it between the associators that
            run on one video, and the motion is estimated once. It then does not leave out the objects' boxes, so that
            the entries don't depend on the detector.

    Attributes:
        failed: Frames whose motion could not be told.
    """

    def __init__(
        self,
        method: str = "flow",
        *,
        longest_side: int = 640,
        cache: MutableMapping[tuple[str, int, int, int], Array] | None = None,
    ):
        if method not in METHODS:
            raise InputError(f"Unknown camera-motion method {method!r}. Known: {', '.join(METHODS)}.")
        self.method, self._longest, self._cache = method, int(longest_side), cache
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._index: int | None = None
        self._before: Any = None
        self.failed = 0

    def estimate(self, frame: Frame, boxes: Array) -> Array:
        """Return the (2, 3) affine map from the last frame's pixels to this one's.

        Args:
            frame: The next frame.
            boxes: (N, 4) objects, whose pixels are not used.
        """
        key = (self.method, self._longest, -1 if self._index is None else self._index, frame.index)
        self._index = frame.index
        if self._cache is not None and key in self._cache:
            self._before = None
            return self._cache[key]
        affine = self._measure(frame.image, boxes if self._cache is None else boxes[:0])
        if self._cache is not None and key[2] >= 0:
            self._cache[key] = affine
        return affine

    def _measure(self, image: NDArray[np.uint8], boxes: Array) -> Array:
        import cv2

        height, width = image.shape[:2]
        ratio = min(1.0, self._longest / max(height, width))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if ratio < 1.0:
            gray = cv2.resize(gray, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        mask = np.full(gray.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.clip(np.rint(boxes * ratio), 0, 1e6).astype(int).tolist():
            mask[y1:y2, x1:x2] = 0
        before, self._before = self._before, self._describe(gray, mask)
        if before is None or before[0].shape != gray.shape:
            return np.eye(2, 3)
        affine = {"flow": _by_flow, "orb": _by_orb, "ecc": _by_ecc}[self.method](before, self._before)
        if affine is None or not np.isfinite(affine).all():
            self.failed += 1
            return np.eye(2, 3)
        scaled = np.asarray(affine, dtype=np.float64).copy()
        scaled[:, 2] /= ratio
        return scaled

    def _describe(self, gray: Any, mask: Any) -> tuple[Any, Any, Any]:
        """What a later frame is compared with: the image, its points, their descriptors."""
        import cv2

        if self.method == "flow":
            points = cv2.goodFeaturesToTrack(gray, 1000, 0.01, 5, mask=mask, blockSize=3)
            return gray, points, None
        if self.method == "orb":
            found, descriptors = cv2.ORB.create(1000).detectAndCompute(gray, mask)
            return gray, np.array([k.pt for k in found], dtype=np.float32).reshape(-1, 2), descriptors
        return gray, mask, None


def _by_flow(before: tuple[Any, Any, Any], now: tuple[Any, Any, Any]) -> Any:
    import cv2

    if before[1] is None or len(before[1]) < _LEAST_POINTS:
        return None
    follow: Any = cv2.calcOpticalFlowPyrLK  # its stub does not know that the guess may be None
    moved, status, _ = follow(before[0], now[0], before[1], None)
    good = status.ravel() == 1
    return _affine(before[1].reshape(-1, 2)[good], moved.reshape(-1, 2)[good])


def _by_orb(before: tuple[Any, Any, Any], now: tuple[Any, Any, Any]) -> Any:
    import cv2

    if before[2] is None or now[2] is None:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(before[2], now[2])
    start = before[1][[m.queryIdx for m in matches]].reshape(-1, 2)
    end = now[1][[m.trainIdx for m in matches]].reshape(-1, 2)
    height, width = now[0].shape
    near = (np.abs(end - start) < (0.25 * width, 0.25 * height)).all(axis=1)
    return _affine(start[near], end[near])


def _by_ecc(before: tuple[Any, Any, Any], now: tuple[Any, Any, Any]) -> Any:
    import cv2

    start = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        return cv2.findTransformECC(before[0], now[0], start, cv2.MOTION_EUCLIDEAN, stop, now[1], 3)[1]
    except cv2.error:  # it did not converge
        return None


def _affine(start: NDArray[np.float32], end: NDArray[np.float32]) -> Any:
    import cv2

    if len(start) < _LEAST_POINTS:
        return None
    return cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=3.0)[0]
