"""Fixtures of the tests of videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.video.clips import encode


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(clips: Path) -> Path:
    """60 frames of H.264 with B frames, a key frame each 12."""
    return encode(clips / "clip.mp4", g="12", bf="3", movflags="faststart")
