"""Corruptions: lazy, seeded, growing with severity, and the truth stays valid."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.datasets.corruptions import CORRUPTIONS, corrupt
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import InputError
from vtlab.video import FrameSource, Video, open_video


@pytest.fixture(scope="module")
def video() -> Video:
    sequence = synthetic(seed=3, seconds=1, fps=10, size=(160, 96), noise=0)
    return open_video(np.stack(list(sequence.video)), fps=10, name="clip")


@pytest.mark.parametrize("name", [n for n in CORRUPTIONS if n != "drop"])
def test_severity_grows_and_seeds_decide(video: Video, name: str) -> None:
    clean = video[4].astype(float)
    damage = []
    for severity in range(1, 6):
        worse = corrupt(video, name, severity)
        assert worse.shape == video.shape
        image = worse[4]
        assert image.dtype == np.uint8
        damage.append(np.abs(image - clean).mean())
        np.testing.assert_array_equal(image, corrupt(video, name, severity)[4])
    assert damage == sorted(damage)
    assert damage[0] > 0.5
    assert damage[4] > 1.5 * damage[0]
    np.testing.assert_array_equal(video[4], clean)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_reading_order_does_not_matter(video: Video, name: str) -> None:
    worse = corrupt(video, name, 4, seed=7)
    forward = list(worse)
    for frame in worse.frames(step=-3):
        np.testing.assert_array_equal(frame.image, forward[frame.index])
    np.testing.assert_array_equal(worse[2:8][1], forward[3])
    assert worse.timestamps.tolist() == video.timestamps.tolist()


def test_seeds_differ(video: Video) -> None:
    assert (corrupt(video, "noise", seed=1)[0] != corrupt(video, "noise", seed=2)[0]).mean() > 0.5
    assert (corrupt(video, "noise")[0] != corrupt(video, "noise")[1]).mean() > 0.5


def test_dropped_frames_show_the_last_one() -> None:
    numbers = np.arange(200, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    shown = np.array([image[0, 0, 0] for image in corrupt(open_video(numbers), "drop", 4)])
    assert shown[0] == 0
    assert (shown <= np.arange(200)).all()
    assert (np.diff(shown.astype(int)) >= 0).all()
    assert np.isin(shown, np.arange(200)).all()
    assert 0.25 < np.mean(shown != np.arange(200)) < 0.45


def test_sequences_keep_truth_and_prompts() -> None:
    sequence = synthetic(seed=3, seconds=0.5, fps=10, size=(160, 96))
    worse = corrupt(sequence, "jpeg", 5)
    assert worse.truth is sequence.truth
    assert worse.prompts is sequence.prompts
    assert worse.name == "synthetic-3+jpeg-5"
    assert worse.video.name == "synthetic-3+jpeg-5"


def test_digests_tell_them_apart(video: Video) -> None:
    settings = [(name, level, seed) for name in CORRUPTIONS for level in (1, 2) for seed in (0, 1)]
    digests = {corrupt(video, name, level, seed=seed).digest() for name, level, seed in settings}
    assert len(digests | {video.digest()}) == 4 * len(CORRUPTIONS) + 1


def test_only_frames_that_are_read_are_decoded() -> None:
    asked: list[int] = []

    class Counted(FrameSource):
        name, source, width, height, fps = "counted", "test", 8, 8, 10.0
        timestamps = np.arange(100) / 10

        def get(self, index: int) -> np.ndarray:
            asked.append(index)
            return np.zeros((8, 8, 3), np.uint8)

        def digest(self) -> str:
            return "sha256:0"

    worse = corrupt(Video(Counted()), "blur")
    assert asked == []
    worse[50]
    assert asked == [50]


def test_errors(video: Video) -> None:
    with pytest.raises(InputError, match="Unknown corruption 'nois'. Did you mean 'noise'"):
        corrupt(video, "nois")
    with pytest.raises(InputError, match="severity from 1 to 5, got 6"):
        corrupt(video, "noise", 6)
