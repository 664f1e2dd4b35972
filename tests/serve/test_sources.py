"""Frames in memory, and frames fetched from a host."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from vtlab.errors import VideoError
from vtlab.serve.sources import EncodedFrames, HostFrames
from vtlab.video import Video


def png(value: int, size=(8, 6)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value, 2 * value, 5)).save(file, "PNG")
    return file.getvalue()


def test_encoded_frames_are_a_video():
    video = Video(EncodedFrames([png(n) for n in range(5)], fps=10))
    assert video.shape == (5, 6, 8, 3)
    assert [int(image[0, 0, 1]) for image in video] == [0, 2, 4, 6, 8]
    assert video.timestamps[-1] == pytest.approx(0.4)
    assert video.digest() != Video(EncodedFrames([png(n) for n in range(4)], fps=10)).digest()


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "no frames"),
        ([b"GIF89a no image"], "frame 0"),
        ([png(1), b"nothing"], "frame 1"),
        ([png(1), png(1, (9, 6))], "9 x 6 px"),
    ],
)
def test_what_is_no_frame_is_refused(images, why):
    with pytest.raises(VideoError, match=why):
        list(Video(EncodedFrames(images)))


class Host:
    def __init__(self, n=40):
        self.asked: list[list[int]] = []
        self.n = n
        self.second = threading.Event()

    def __call__(self, frames):
        self.asked.append(list(frames))
        if len(self.asked) > 1:
            self.second.set()
        return {n: png(n) for n in frames if n < self.n}


def of(host, **options):
    return Video(HostFrames(host, "clip", (6, 8), np.arange(40) / 20, **options), cache_bytes=0)


def test_frames_come_in_batches_and_the_next_one_ahead():
    host = Host()
    with of(host, batch=4) as video:
        frames = video.frames(10, 20)
        assert int(next(frames).image[0, 0, 0]) == 10
        assert host.second.wait(10)  # nobody asked for frame 14 yet
        assert [int(f.image[0, 0, 0]) for f in frames] == list(range(11, 20))
        assert sorted(host.asked) == [[10, 11, 12, 13], [14, 15, 16, 17], [18, 19]]
        assert video.fps == pytest.approx(20)


def test_backward_and_random_access():
    host = Host()
    with of(host, batch=3) as video:
        assert [int(f.image[0, 0, 0]) for f in video.frames(4, None, -1)] == [4, 3, 2, 1, 0]
        asked = len(host.asked)
        assert int(video[3][0, 0, 0]) == 3
        assert len(host.asked) == asked
        assert int(video[30][0, 0, 0]) == 30


def test_the_cache_is_bounded():
    host = Host()
    with of(host, batch=4, cache_bytes=3 * len(png(9))) as video:
        for _ in range(2):
            assert [int(f.image[0, 0, 0]) for f in video.frames(0, 40)] == list(range(40))
    assert len(host.asked) >= 19


def test_a_frame_that_the_host_lacks_is_named():
    with of(Host(n=5), batch=4) as video, pytest.raises(VideoError, match="no frame 5 of 'clip'"):
        list(video.frames(0, 8))
