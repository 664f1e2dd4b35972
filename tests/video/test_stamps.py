"""Time stamps that aren't there, clocks that start again, pauses, covers, and names that look like addresses."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.video.clips import HEIGHT, WIDTH, encode, number, picture
from vtlab.cli import app
from vtlab.errors import InputError, VideoError, VtlabWarning
from vtlab.prompts import BoxPrompt
from vtlab.session import Session
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks
from vtlab.video import open_video
from vtlab.video.base import usual_rate


def in_every_way(path: Path | str, expected: list[int]) -> None:
    """The frames are these in order, backwards, and by number in any order."""
    with open_video(path, cache_bytes=0) as video:
        assert [number(image) for image in video] == expected
        assert [number(f.image) for f in video.frames(step=-1)] == expected[::-1]
        order = list(range(len(expected)))
        random.Random(0).shuffle(order)
        assert [number(video[i]) for i in order] == [expected[i] for i in order]


def _copy(source: Path, target: Path, shift: int | None = None) -> Path:
    """Copy the packets: without times of their own, each gets the number that it has in the file."""
    with av.open(str(source)) as given, av.open(str(target), "w", options={"mpegts_copyts": "1"}) as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        if shift is None:
            stream.time_base = Fraction(1, 25)
        for count, packet in enumerate(p for p in given.demux(video=0) if p.size):
            if shift is None:
                packet.time_base = Fraction(1, 25)
                packet.pts = packet.dts = count
                packet.duration = 1
            else:
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = stream
            made.mux(packet)
    return target


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", s) for s in ("avi", "mp4", "mkv", "mov")]
    + [("libx265", s) for s in ("mp4", "mkv", "mov")],  # FFmpeg writes no HEVC into AVI
)
def test_times_that_only_count_packets(tmp_path: Path, suffix: str, codec: str) -> None:
    """B pictures in a container without display times, as a camera's raw file that was copied into it."""
    options = (
        {"x265-params": "keyint=12:bframes=3:log-level=none"}
        if codec == "libx265"
        else {"g": "12", "bf": "3"}
    )
    raw = encode(tmp_path / ("raw.hevc" if codec == "libx265" else "raw.h264"), 40, codec=codec, **options)
    path = _copy(raw, tmp_path / f"copied.{suffix}")
    in_every_way(path, list(range(40)))
    video = open_video(path)
    assert video.fps == 25
    assert np.diff(video.timestamps) == pytest.approx(0.04, abs=1e-3)


def test_without_b_pictures_the_packets_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(path: str) -> None:
        raise AssertionError(f"{path} was decoded to list its frames")

    monkeypatch.setattr("vtlab.video.listing.index_frames", never)
    for name, codec, options in (
        ("a.mp4", "libx264", {"bf": "0"}),
        ("b.mp4", "libx264", {"bf": "3", "g": "12"}),
        ("c.ts", "mpeg2video", {"g": "12"}),
        ("d.avi", "mpeg4", {"g": "12"}),
        ("e.avi", "mjpeg", {}),
    ):
        assert len(open_video(encode(tmp_path / name, 20, codec=codec, **options))) == 20


def _joined(tmp_path: Path, first: Path, second: Path) -> Path:
    both = tmp_path / "joined.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    return both


@pytest.mark.parametrize("start", [0, 30, 7200])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_clock_that_starts_again(tmp_path: Path, start: int, codec: str) -> None:
    """Two streams joined; the first begins `start` seconds later than the second."""
    first = encode(tmp_path / "a.ts", 40, codec=codec, g="12", bf="2")
    second = encode(tmp_path / "b.ts", 30, codec=codec, g="12", bf="2")
    path = _joined(tmp_path, _copy(first, tmp_path / "late.ts", 90000 * start) if start else first, second)
    in_every_way(path, [*range(40), *range(30)])
    video = open_video(path)
    assert video.fps == 25
    assert np.diff(video.timestamps) == pytest.approx(0.04, abs=1e-6)


def test_clock_that_goes_on_later_keeps_its_gap(tmp_path: Path) -> None:
    first = encode(tmp_path / "a.ts", 40, g="12", bf="2")
    path = _joined(tmp_path, first, _copy(first, tmp_path / "late.ts", 90000 * 100))
    in_every_way(path, [*range(40), *range(40)])
    video = open_video(path)
    assert video.timestamps[40] - video.timestamps[0] == pytest.approx(100)
    assert video.fps == 25


@pytest.mark.parametrize("pause", [600, 10_000, 3_600_000])
def test_a_pause_does_not_change_the_rate(tmp_path: Path, pause: int) -> None:
    times = [40 * i + (pause if i >= 20 else 0) for i in range(60)]
    video = open_video(encode(tmp_path / "pause.mp4", 60, times=times))
    assert video.fps == 25
    assert video.timestamps == pytest.approx(np.array(times) / 1000, abs=1e-3)


def test_rates_of_time_stamps() -> None:
    even = np.arange(100) / 29.97
    assert usual_rate(even) == pytest.approx(29.97)
    assert usual_rate(np.delete(even, [4, 30, 31, 77])) == pytest.approx(29.97)
    assert usual_rate(np.round(even, 3)) == pytest.approx(29.97, rel=1e-3)
    assert usual_rate(np.cumsum([0, *([1 / 60 * 2, 1 / 60 * 3] * 40)])) == pytest.approx(24)
    assert usual_rate(np.array([0.0, 5.0, 10.0, 15.0])) == pytest.approx(0.2)
    assert usual_rate(np.zeros(5)) is usual_rate(np.zeros(1)) is None


def _with_cover(path: Path, frames: int, sound: bool = False) -> Path:
    """A file whose first stream is a cover of another size than the video."""
    from av.stream import Disposition

    with av.open(str(path), "w", format="mov" if path.suffix == ".mov" else "mp4") as file:
        cover = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        streams = []
        if frames:
            video = file.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            streams = [(video, picture(i)) for i in range(frames)]
        if sound:
            voice = file.add_stream("aac", rate=44100)
            voice.codec_context.layout = "mono"
        file.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((200, 200, 3), np.uint8), format="rgb24")))
        file.mux(cover.encode())
        for stream, image in streams:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if frames:
            file.mux(video.encode())
        if sound:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.rate = 44100
            file.mux(voice.encode(tone))
            file.mux(voice.encode())
    return path


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_cover_before_the_video(tmp_path: Path, name: str) -> None:
    path = _with_cover(tmp_path / name, 40)
    in_every_way(path, list(range(40)))
    video = open_video(path)
    assert (video.shape, video.fps) == ((40, HEIGHT, WIDTH, 3), 25)


def test_song_with_a_cover(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"song\.m4a' holds no video: its only picture is a cover.*Remedy"):
        open_video(_with_cover(tmp_path / "song.m4a", 0, sound=True))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file of two videos: 64 x 64, and 96 x 96 with its frames numbered from 100."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as file:
        streams = []
        for side in (64, 96):
            stream = file.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
            streams.append(stream)
        for index in range(20):
            for stream in streams:
                image = av.VideoFrame.from_ndarray(
                    picture(index + (100 if stream.width == 96 else 0), stream.width, stream.height),
                    format="rgb24",
                )
                file.mux(stream.encode(image))
        for stream in streams:
            file.mux(stream.encode())
    return path


def test_several_videos_are_named(two: Path) -> None:
    told = r"two\.mkv' holds 2 videos \(stream 0 of 64x64, stream 1 of 96x96\); .*stream=NUMBER"
    with pytest.warns(VtlabWarning, match=told):
        video = open_video(two)
    assert len(video) == len(list(video)) == 20


def test_one_of_several_videos_is_chosen(two: Path) -> None:
    for verify in (False, True):
        first, second = (open_video(two, stream=n, verify=verify) for n in (0, 1))
        assert (first.stream, second.stream) == (0, 1)
        assert (first.width, second.width) == (64, 96)
        assert [number(i) for i in second] == list(range(100, 120))
        assert number(second[7]) == 107
        assert number(first[7]) == 7
    kept = pickle.loads(pickle.dumps(second))
    assert (kept.stream, number(kept[3]), kept[2:].stream) == (1, 103, 1)
    assert first.digest() != second.digest() == kept.digest()
    tracks = track(second[4:], BoxPrompt((5, 5, 40, 40)), "ncc")
    assert tracks.record.source is not None
    assert (tracks.record.source.stream, tracks.record.source.span) == (1, (4, 1))
    with pytest.raises(InputError, match="another file, and of another size"):
        tracks.on(first)


def test_a_video_that_is_not_there(two: Path, tmp_path: Path) -> None:
    with pytest.raises(
        VideoError, match=r"no video of number 5. It holds stream 0 of 64x64, stream 1 of 96x96"
    ):
        open_video(two, stream=5)
    with pytest.raises(VideoError, match=r"no video of number 2. It holds stream 0 of 96x64"):
        open_video(_with_cover(tmp_path / "film.mp4", 4, sound=True), stream=2)  # the sound
    for other in (np.zeros((2, 8, 8, 3), np.uint8), "http://localhost:1/a.mp4"):
        with pytest.raises(InputError, match="stream= chooses a video of a file"):
            open_video(other, stream=0)
    with pytest.raises(InputError, match="is open already; give stream=1"):
        open_video(open_video(two, stream=0), stream=1)


def test_a_chosen_video_in_a_forked_child_and_a_session(two: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom tests.video.clips import number\nfrom vtlab.video import open_video\n"
        "video = open_video(sys.argv[1], stream=1, cache_bytes=0)\nassert number(video[2]) == 102\n"
        "child = os.fork()\n"
        "if child == 0:\n    os._exit(0 if number(video[9]) == 109 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0 and number(video[10]) == 110"
    )
    if hasattr(os, "fork"):
        subprocess.run(
            [sys.executable, "-c", code, str(two)], check=True, timeout=60, cwd=Path(__file__).parents[2]
        )
    Session(open_video(two, stream=1), "ncc").save(tmp_path / "s.parquet")
    assert Session.load(tmp_path / "s.parquet").video.width == 96
    asked = [
        "track",
        str(two),
        "--box",
        "5,5,40,40",
        "-t",
        "ncc",
        "--stream",
        "1",
        "-o",
        str(tmp_path / "t.parquet"),
    ]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert Tracks.load(tmp_path / "t.parquet").size == (96, 96)


@pytest.mark.parametrize(
    "name", ["2024-01-01T12:30:05.mp4", "http:clip.mp4", "concat:a|b.mp4", "subfile,,a.mp4", "50%d.mp4"]
)
def test_names_are_never_addresses(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copy(clip, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    video = open_video(name)
    assert (len(video), video.source, number(video[33])) == (60, name, 33)
    monkeypatch.chdir("/")
    assert number(video[7]) == 7
    assert number(next(video.frames(50)).image) == 50


def _number(frame: np.ndarray) -> int:
    """Number of a frame of the shared cases: ten blocks in the middle."""
    height, width = frame.shape[:2]
    block, rows = width // 12, frame[height // 2 - 4 : height // 2 + 4]
    return sum(1 << b for b in range(10) if rows[:, (b + 1) * block + 3 : (b + 2) * block - 3].mean() > 120)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"), [("bframes_no_pts.avi", 40), ("pause.mp4", 60), ("cover_art_first.mp4", 40)]
)
def test_reported_videos(shared: Path, name: str, count: int) -> None:
    path = shared / "data" / "cases" / "video" / name
    if not path.is_file():
        pytest.skip(f"the shared data has no {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        video = open_video(path)
    assert (len(video), video.fps) == (count, 25)
    assert (
        [_number(image) for image in video] == [_number(video[i]) for i in range(count)] == list(range(count))
    )
