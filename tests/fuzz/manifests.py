"""The manifest of a video's frames, for the table of readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def make(folder: Path, images: np.ndarray) -> None:
    """A good manifest."""
    from vtlab.video import Manifest, open_video

    Manifest.of(open_video(images), progress=False).save(folder / "a.parquet")


def read(folder: Path, path: Path) -> None:
    """Read one, and compare it with itself."""
    from vtlab.video import Manifest
    from vtlab.video.align import match

    match(Manifest.load(path), Manifest.load(path)).facts()
