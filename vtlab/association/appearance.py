"""Associators that look at the image: camera motion and appearance. Without either they are plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.association.engine import Array, KalmanAssociator, Rows, Scene
from vtlab.association.parts.cmc import CameraMotion
from vtlab.association.parts.reid import Vectors, make_embedder, unit
from vtlab.association.parts.similarity import cosine, gallery_cosine
from vtlab.association.recipe import CommonSettings
from vtlab.contracts.parts import embed


@dataclass(frozen=True, kw_only=True)
class ImageSettings(CommonSettings):
    """Settings of the associators that may use camera motion and appearance, beside the common ones.

    Attributes:
        camera: Camera-motion compensation: "flow", "orb", "ecc", a `CameraMotion`, or None.
        embedder: Appearance: "histogram", "osnet-x0.25", "timm:NAME", a path, an `Embedder` (see
            `reid.make_embedder`), or None.
        memory: Part of its old vector that a track keeps with each detection (exponential moving average).
    """

    camera: Any = None
    embedder: Any = None
    memory: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.memory <= 1:
            raise self.wrong("memory", "from 0 to 1")


class ImageAssociator(KalmanAssociator):
    """Base of the associators that may use camera motion and appearance.

    Attributes:
        gallery: Keep so many last vectors of each track instead of their average, and compare with the nearest; 0 for
            the average.
    """

    Settings = ImageSettings
    settings: ImageSettings
    gallery: int = 0

    def _prepare(self) -> None:
        camera, embedder = self.settings.camera, self.settings.embedder
        self._camera = camera if camera is None or isinstance(camera, CameraMotion) else CameraMotion(camera)
        self._embedder = None if embedder is None else make_embedder(embedder)

    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""
        super().reset()
        self._vectors: Vectors = np.empty((0, 0), np.float32)
        if self._camera is not None:
            self._camera.reset()

    def _after_predict(self, scene: Scene) -> None:
        if self._camera is None and self._embedder is None:
            return
        strong = scene.high.nonzero()[0]
        if self._camera is not None:
            affine = self._camera.estimate(scene.frame, scene.extents.take(strong, axis=0))
            if len(self._filter):
                self._warp(affine)
        if self._embedder is not None:
            self._embed(scene, strong)

    def _warp(self, affine: Array) -> None:
        """Follow a camera motion with everything that is known of the tracks' places."""
        self._filter.warp(affine)

    def _embed(self, scene: Scene, strong: Rows) -> None:
        """Vectors (n, D) of the strong detections, NaN for the others."""
        if self._embedder is None or not len(strong):
            self._vectors = np.full((len(scene.boxes), self._vectors.shape[1]), np.nan, np.float32)
            return
        found = embed(
            self._embedder,
            scene.frame.image,
            scene.extents.take(strong, axis=0),
            frame=scene.frame.index,
            width=self._vectors.shape[1],
        )
        self._vectors = np.full((len(scene.boxes), found.shape[1]), np.nan, np.float32)
        self._vectors[strong] = found
        if not len(self._life):  # the length of the vectors is known only now
            self._columns["vector"] = self._first_vectors(self._vectors[:0])

    def _new_columns(self, boxes: Array, scene: Scene | None, chosen: Rows) -> dict[str, NDArray[Any]]:
        if self._embedder is None:
            return {}
        return {
            "vector": self._first_vectors(
                np.empty((0, 0), np.float32) if scene is None else self._vectors[chosen]
            )
        }

    def _first_vectors(self, vectors: Vectors) -> Vectors:
        if not self.gallery:
            return vectors
        kept = np.full((len(vectors), self.gallery, vectors.shape[1]), np.nan, np.float32)
        kept[:, 0] = vectors
        return kept

    def _correct(self, rows: Rows, boxes: Array, scene: Scene, chosen: Rows) -> None:
        super()._correct(rows, boxes, scene, chosen)
        if self._embedder is not None:
            self._learn(rows, scene, chosen)

    def _learn(self, rows: Rows, scene: Scene, chosen: Rows) -> None:
        """Update the tracks' vectors by those of their strong detections."""
        strong = scene.high[chosen]
        rows, chosen = rows[strong], chosen[strong]
        kept, new = self._columns["vector"], self._vectors[chosen]
        if self.gallery:
            kept[rows] = np.roll(kept[rows], 1, axis=1)
            kept[rows, 0] = new
            return
        keep = self._keep_of(scene, chosen)[:, None].astype(np.float32)
        kept[rows] = unit(keep * kept[rows] + (1 - keep) * new)

    def _keep_of(self, scene: Scene, chosen: Rows) -> Array:
        """Part (K,) of its old vector that each track keeps."""
        return np.full(len(chosen), self.settings.memory)

    def _likeness(self, rows: Rows, columns: Rows) -> Array:
        """Cosine (N, M) of tracks `rows` and detections `columns`."""
        kept, new = self._columns["vector"][rows], self._vectors[columns]
        return gallery_cosine(kept, new) if self.gallery else cosine(kept, new)
