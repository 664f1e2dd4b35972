"""Writing videos: read back, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.clips import HEIGHT, WIDTH, number, picture, scene
from vtlab.errors import InputError, VideoError, WriteError
from vtlab.video import open_video, write_video


def test_write_and_read_back(tmp_path: Path) -> None:
    path = write_video(tmp_path / "out.mp4", (picture(i) for i in range(30)), 29.97)
    video = open_video(path)
    assert video.shape == (30, HEIGHT, WIDTH, 3)
    assert video.fps == pytest.approx(29.97)
    assert [number(image) for image in video] == list(range(30))
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_colours_survive_writing(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (240, 240, 240), (10, 10, 10), (200, 200, 40)]
    frames = [np.full((64, 64, 3), colour, np.uint8) for colour in colours]
    video = open_video(write_video(tmp_path / "colours.mp4", frames, 10, quality=10))
    for image, colour in zip(video, colours, strict=True):
        assert np.abs(image.reshape(-1, 3).mean(axis=0) - colour).max() < 4


def test_quick_writing_looks_the_same(tmp_path: Path) -> None:
    frames, error, size = list(scene("pan", 15, 160, 120)), {}, {}
    for quick in (False, True):
        path = write_video(tmp_path / f"{quick}.mp4", frames, 25, quick=quick)
        with open_video(path) as video:
            error[quick] = np.mean([(a.astype(float) - b) ** 2 for a, b in zip(video, frames, strict=True)])
        size[quick] = path.stat().st_size
    assert abs(10 * np.log10(error[True] / error[False])) < 1.0  # decibels
    assert size[True] < 1.6 * size[False]


@pytest.mark.parametrize("size", [(95, 63), (96, 63), (95, 64), (3, 5)])
def test_odd_sizes_grow_by_one_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = [np.full((size[1], size[0], 3), 90, np.uint8)] * 3
    video = open_video(write_video(tmp_path / "odd.mp4", frames, 25))
    assert video.shape == (3, size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert np.abs(video[1].astype(int) - 90).max() < 6


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield picture(0)
        raise RuntimeError("tracker failed")

    for frames, error, message in [
        ([], VideoError, r"No frames were given"),
        ([picture(0), picture(0, 48, 48)], VideoError, r"Frame 1 has size \(48, 48\)"),
        ([np.zeros((4, 4))], VideoError, r"Frame 0: expected \(H, W, 3\)"),
        (broken(), RuntimeError, "tracker failed"),
    ]:
        with pytest.raises(error, match=message):
            write_video(tmp_path / "out.mp4", frames, 25)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file' is a file, not a folder\. Remedy"):
        write_video(tmp_path / "file" / "out.mp4", broken(), 25)
    with pytest.raises(InputError, match="fps above 0"):
        write_video(tmp_path / "out.mp4", [picture(0)], float("nan"))


def test_missing_folders_are_made(tmp_path: Path) -> None:
    assert write_video(tmp_path / "new" / "deep" / "out.mp4", [picture(0)], 25).is_file()


def test_failed_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "out.mp4", [picture(3)], 25)
    with pytest.raises(VideoError):
        write_video(path, [picture(0), picture(0, 48, 48)], 25)
    assert number(open_video(path)[0]) == 3


def test_full_disk(tmp_path: Path) -> None:
    """The limit on file sizes stands in for a full disk: writing fails in the same place, in a process of its own."""
    code = f"""
        import resource, signal, numpy as np
        from vtlab.errors import WriteError
        from vtlab.video import write_video
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        noise = np.random.default_rng(0).integers(0, 255, (99, 64, 96, 3), np.uint8)
        try:
            write_video({str(tmp_path / "out.mp4")!r}, noise, 25)
        except WriteError as error:
            print("ERROR", error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert "ERROR" in run.stdout, run.stderr
    assert "out.mp4' can't be written" in run.stdout
    assert "Remedy: free space" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_the_encoder_says_comes_through_and_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(VideoError, match="Frame 7 has size"):
        write_video(
            tmp_path / "a.mp4", (np.zeros((32, 32 + 2 * (i == 7), 3), np.uint8) for i in range(9)), 30
        )
    reused = np.zeros((32, 32, 3), np.uint8)

    def one_buffer() -> Iterator[np.ndarray]:
        for i in range(9):
            reused[:] = 25 * i
            yield reused

    write_video(tmp_path / "b.mp4", one_buffer(), 30)
    means = [float(f.image.mean()) for f in open_video(tmp_path / "b.mp4").frames()]
    np.testing.assert_allclose(
        means, 25 * np.arange(9), atol=3
    )  # a frame is taken before the next one is asked for
    assert threading.active_count() == before
