"""Video: frame-exact access in every way of reading, real time stamps, damage, errors, writing."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import resource
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError, VideoError, VtlabWarning
from vtlab.video import CACHE_BYTES, Frame, FrameSource, Video, _FileSource, open_video, write_video

WIDTH, HEIGHT = 96, 64


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """An image whose frame number can be read off its blocks, bit by bit, after any codec."""
    image = np.full((height, width, 3), 40, np.uint8)
    ramp = np.linspace(0, 120, width, dtype=np.uint8)
    image[height // 2 :, :, 1] = np.roll(ramp, 3 * index)
    for bit in range(12):
        if index >> bit & 1:
            image[: height // 4, bit * width // 12 : (bit + 1) * width // 12] = 220
    return image


def number(image: np.ndarray) -> int:
    """The frame number drawn by `picture`."""
    width, top = image.shape[1], image[: image.shape[0] // 4]
    means = [top[2:-2, bit * width // 12 + 2 : (bit + 1) * width // 12 - 2].mean() for bit in range(12)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 130)


def encode(
    path: Path,
    count: int = 60,
    codec: str = "libx264",
    times: list[int] | None = None,
    rate: int = 25,
    rotation: int | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    container: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write a test video by PyAV; `times` are time stamps in milliseconds."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    """What plain PyAV decodes from start to end."""
    with av.open(str(path)) as file:
        return [np.ascontiguousarray(f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]


VARIANTS = {
    "h264_bframes.mp4": {"codec": "libx264", "g": "12", "bf": "3"},
    "h264_open_gop.mkv": {"codec": "libx264", "x264-params": "open-gop=1:keyint=10:bframes=3:scenecut=0"},
    "h264_long_gop.mp4": {"codec": "libx264", "g": "250", "bf": "2"},
    "h264_short_gop.mp4": {"codec": "libx264", "g": "3", "bf": "2"},
    "h264_intra_refresh.mkv": {"codec": "libx264", "x264-params": "intra-refresh=1:keyint=15"},
    "hevc.mp4": {"codec": "libx265", "x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": "15", "deadline": "realtime", "cpu-used": "8"},
    "vp8_hidden_frames.webm": {"codec": "libvpx", "g": "20", "auto-alt-ref": "1", "lag-in-frames": "8"},
    "mpeg4.avi": {"codec": "mpeg4", "g": "12"},
    "mpeg4_bframes.avi": {"codec": "mpeg4", "g": "12", "bf": "2"},
    "mpeg2.ts": {"codec": "mpeg2video", "g": "12", "bf": "2"},
    "h264.ts": {"codec": "libx264", "g": "12", "bf": "2"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "raw.h264": {"codec": "libx264", "g": "12"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(clips: Path) -> Path:
    """60 frames of H.264 with B frames, a key frame each 12."""
    return encode(clips / "clip.mp4", g="12", bf="3", movflags="faststart")


@pytest.mark.parametrize("name", VARIANTS)
def test_random_access_equals_sequential_decoding(clips: Path, name: str) -> None:
    path = encode(clips / name, count=50, **VARIANTS[name])
    expected = decode_all(path)
    with open_video(path) as video:
        assert len(video) == len(expected) == 50
        assert [number(image) for image in video] == list(range(50))
        order = np.random.default_rng(0).permutation(50)
        for index in [int(i) for i in order] + [49, 48, 47, 0, 1]:
            np.testing.assert_array_equal(video[index], expected[index])
        for start, stop, step in [(49, None, -1), (40, 3, -7), (3, 48, 20), (17, 29, 1)]:
            frames = list(video.frames(start, stop, step))
            assert [f.index for f in frames] == list(range(start, -1 if stop is None else stop, step))
            for frame in frames:
                np.testing.assert_array_equal(frame.image, expected[frame.index])


@given(
    st.lists(st.integers(0, 59), min_size=1, max_size=8), st.integers(-9, 9).filter(bool), st.integers(0, 59)
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_reading(clip: Path, order: list[int], step: int, start: int) -> None:
    with open_video(clip, cache_bytes=0) as video:
        assert [number(video[index]) for index in order] == order
        expected = list(range(start, 60 if step > 0 else -1, step))
        assert [number(f.image) for f in video.frames(start, None, step)] == expected


def test_attributes(clip: Path) -> None:
    video = open_video(clip)
    assert video.shape == (60, HEIGHT, WIDTH, 3)
    assert (len(video), video.width, video.height, video.fps) == (60, WIDTH, HEIGHT, 25.0)
    assert video.timestamps.dtype == np.float64
    np.testing.assert_allclose(video.timestamps, np.arange(60) / 25, atol=1e-9)
    assert video.duration == pytest.approx(2.4)
    assert (video.name, video.source) == ("clip", str(clip))
    assert repr(video) == "Video('clip', 60 frames, 96x64, 25 fps, 2.40 s)"
    frame = video.frame(30)
    assert isinstance(frame, Frame)
    assert (frame.index, frame.timestamp, number(frame.image)) == (30, pytest.approx(1.2), 30)
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    assert frame.image.flags.writeable


def test_array_like(clip: Path) -> None:
    video = open_video(clip)
    part = video[10:40:3]
    assert isinstance(part, Video)
    assert [number(image) for image in part] == list(range(10, 40, 3))
    assert [f.index for f in part.frames()] == list(range(10))
    assert part.fps == pytest.approx(25 / 3)
    np.testing.assert_allclose(part.timestamps, np.arange(10, 40, 3) / 25)
    assert number(part[-1]) == number(video[np.int64(37)]) == 37
    assert [number(image) for image in part[::-2]] == [37, 31, 25, 19, 13]
    assert [number(f.image) for f in part[::-2].frames(step=-1)] == [13, 19, 25, 31, 37]
    assert len(video[50:20]) == 0
    assert list(video[50:20]) == []
    assert open_video(video) is video


def test_frame_numbers_are_checked(clip: Path) -> None:
    video = open_video(clip)
    for index in (60, -61):
        with pytest.raises(InputError, match=rf"Frame {index} does not exist: 'clip' has frames 0 to 59"):
            video[index]
    with pytest.raises(IndexError):
        video.frame(60)
    with pytest.raises(InputError, match="Frame 99"):
        video.frames(99)
    with pytest.raises(InputError, match="step other than 0"):
        video.frames(step=0)
    with pytest.raises(InputError, match="Expected a frame number"):
        video["first"]  # type: ignore[call-overload]


def test_variable_frame_rate_keeps_real_time_stamps(tmp_path: Path) -> None:
    times = np.cumsum([15, 40, 40, 120, 10, 500, 33, 33, 33, 40] * 4).tolist()
    video = open_video(encode(tmp_path / "vfr.mkv", len(times), times=times, g="8"))
    times = [t - times[0] for t in times]
    np.testing.assert_allclose(video.timestamps, np.array(times) / 1000, atol=1e-3)
    assert video.fps == pytest.approx((len(times) - 1) / (times[-1] / 1000))
    assert [f.timestamp for f in video.frames(5, 9)] == pytest.approx([t / 1000 for t in times[5:9]])
    assert [number(video[i]) for i in (39, 5, 20)] == [39, 5, 20]


def test_repeated_time_stamps_are_counted(tmp_path: Path) -> None:
    times = [0, 40, 80, 80, 120, 160, 160, 200]
    video = open_video(encode(tmp_path / "twice.mkv", 8, times=times, g="4", bf="0"))
    assert [number(image) for image in video] == list(range(8))
    assert [number(video[i]) for i in (7, 3, 2, 6)] == [7, 3, 2, 6]
    assert [number(f.image) for f in video.frames(step=-3)] == [7, 4, 1]
    assert video.timestamps == pytest.approx(np.array(times) / 1000)


def test_first_frame_is_time_zero(tmp_path: Path) -> None:
    video = open_video(encode(tmp_path / "late.mkv", 10, times=[3000 + 40 * i for i in range(10)]))
    assert video.timestamps[[0, 9]] == pytest.approx([0.0, 0.36])


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    path = encode(tmp_path / "turned.mp4", 5, rotation=degrees)
    video = open_video(path)
    expected = [np.rot90(image, degrees // 90) for image in decode_all(path)]
    assert video.shape == (5, *expected[0].shape)
    for image, wanted in zip(video, expected, strict=True):
        np.testing.assert_array_equal(image, wanted)
    np.testing.assert_array_equal(video[3], expected[3])


def test_mirrored_rotation() -> None:
    from vtlab.video.decode import Converter, Layout

    frame = av.VideoFrame.from_ndarray(picture(5), format="rgb24")
    shown = Converter(Layout((WIDTH, HEIGHT), turns=1, mirrored=True))(frame)
    np.testing.assert_array_equal(shown, np.rot90(picture(5))[:, ::-1])


def test_two_iterators_and_threads_do_not_disturb_each_other(clip: Path) -> None:
    video = open_video(clip, cache_bytes=3 * WIDTH * HEIGHT * 4)
    pairs = zip(video.frames(), video.frames(step=-1), video[::2].frames(), strict=False)
    for forward, backward, second in pairs:
        assert number(forward.image) == 59 - number(backward.image) == number(second.image) / 2
        assert number(video[(forward.index * 7) % 60]) == (forward.index * 7) % 60
    with ThreadPoolExecutor(4) as pool:
        order = [int(i) for i in np.random.default_rng(1).integers(0, 60, 80)]
        assert list(pool.map(lambda i: number(video[i]), order)) == order


def test_images_belong_to_the_caller(clip: Path) -> None:
    video = open_video(clip)
    video[3][:] = 0
    assert number(video[3]) == 3
    array = np.stack([picture(i) for i in range(3)])
    open_video(array)[1][:] = 0
    assert number(array[1]) == 1


def test_cache_is_bounded(clip: Path) -> None:
    size = 3 * WIDTH * HEIGHT
    video = open_video(clip, cache_bytes=5 * size)
    for index in range(60):
        video[index]
    assert sum(image.nbytes for image in video._cache.values()) <= 5 * size
    assert CACHE_BYTES < 2**28
    list(video.frames())
    assert len(video._cache) <= 5


def test_reading_backwards_holds_few_frames(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = open_video(encode(clip.parent / "one_gop.mp4", 60, g="250"))
    source = video._frames_source
    assert isinstance(source, _FileSource)
    monkeypatch.setattr("vtlab.video.BACKWARD_BYTES", 7 * source._frame_bytes)
    pieces = list(source._chunks(range(59, -1, -1)))
    assert [i for piece in pieces for i in piece] == list(range(59, -1, -1))
    assert max(len(piece) for piece in pieces) == 7
    for position, frame in enumerate(video.frames(step=-1)):
        assert number(frame.image) == 59 - position
    pieces = list(_FileSource(str(clip), None, False)._chunks(range(59, -1, -3)))
    assert [piece[0] for piece in pieces][:2] == [59, 47]


def test_closing(clip: Path) -> None:
    with open_video(clip) as video:
        part = video[2:5]
        iterator = video.frames()
        next(iterator)
    video.close()
    with pytest.raises(VideoError, match="closed"):
        video[0]
    with pytest.raises(VideoError, match="closed"):
        video.frames()
    assert number(part[0]) == 2
    part.close()


def test_digest_names_the_content(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other_name.mp4"
    copy.write_bytes(clip.read_bytes())
    video = open_video(clip)
    assert video.digest() == open_video(copy).digest()
    assert video.digest().startswith("sha256:")
    assert video[5:9].digest() != video.digest()
    assert video[:].digest() == video.digest()
    array = np.stack([picture(i) for i in range(3)])
    assert open_video(array).digest() == open_video(array.copy()).digest() != open_video(array[:2]).digest()


def test_frame_rate_can_be_given(clip: Path) -> None:
    video = open_video(clip, fps=50)
    assert (video.fps, video.timestamps[10]) == (50, 0.2)
    with pytest.raises(InputError, match="fps above 0"):
        open_video(clip, fps=0)


# -- images and arrays ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images numbered without leading zeros, with a text file beside them."""
    images = tmp_path / "frames"
    images.mkdir()
    for index in range(12):
        cv2.imwrite(str(images / f"{index}.png"), picture(index)[:, :, ::-1])
    (images / "notes.txt").write_text("not an image")
    return images


def test_image_folder_glob_and_list(folder: Path) -> None:
    for source in (folder, str(folder / "*.png"), [folder / f"{i}.png" for i in range(12)]):
        video = open_video(source, fps=10)
        assert (video.shape, video.fps, video.name) == ((12, HEIGHT, WIDTH, 3), 10, "frames")
        for index, image in enumerate(video):
            np.testing.assert_array_equal(image, picture(index))
    assert open_video(folder).fps == 30
    assert [f.index for f in open_video(folder).frames(step=-5)] == [11, 6, 1]
    assert open_video(folder, name="walk").name == "walk"
    one = open_video(folder / "7.png")
    assert len(one) == 1
    assert number(one[0]) == 7


def test_turned_photograph(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(5)).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    video = open_video(tmp_path / "phone.jpg")
    assert video.shape == (1, WIDTH, HEIGHT, 3) == (1, *video[0].shape)
    assert number(np.rot90(video[0], 1)) == 5


def test_array() -> None:
    array = np.stack([picture(i) for i in range(4)])
    video = open_video(array)
    assert video.shape == array.shape
    np.testing.assert_array_equal(np.stack(list(video)), array)


def test_a_source_of_ones_own() -> None:
    class Painted(FrameSource):
        name, source, width, height, fps = "painted", "test", WIDTH, HEIGHT, 10.0
        timestamps = np.arange(8) / 10.0

        def get(self, index: int) -> np.ndarray:
            return picture(index)

        def digest(self) -> str:
            return "sha256:0"

    assert [number(image) for image in Video(Painted())[::-1]] == list(range(7, -1, -1))


# -- streams -------------------------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(clip: Path):
    handler = functools.partial(_Quiet, directory=str(clip.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_stream_is_read_once(served: str) -> None:
    with open_video(f"{served}/clip.mp4") as video:
        assert (video.name, video.width, video.height, video.fps) == ("clip", WIDTH, HEIGHT, 25)
        assert "secret" not in video.source + repr(video)
        frames = list(video.frames())
        assert [number(f.image) for f in frames] == [f.index for f in frames] == list(range(60))
        assert frames[10].timestamp == pytest.approx(0.4)
        with pytest.raises(VideoError, match=r"only once\. Remedy"):
            video.frames()
        for attempt in (
            lambda: len(video),
            lambda: video[0],
            lambda: video.timestamps,
            lambda: video.duration,
        ):
            with pytest.raises(VideoError, match=r"unknown length.*Remedy"):
                attempt()
    with open_video(f"{served}/clip.mp4") as video:
        assert len(list(video)) == 60
    with open_video(f"{served}/clip.mp4") as video:
        with pytest.raises(VideoError, match="unknown length"):
            video.frames(start=5)
        assert [f.index for f in video.frames(stop=7)] == list(range(7))


def test_stream_errors_name_the_address_and_keep_the_password(served: str) -> None:
    with pytest.raises(VideoError, match=r"missing\.mp4.*Is the address right") as caught:
        open_video(f"{served}/missing.mp4")
    assert "secret" not in str(caught.value)
    with pytest.raises(VideoError, match="does this machine reach it"):
        open_video("http://127.0.0.1:9/nothing.mp4")
    with pytest.raises(VideoError, match="'gopher' can't be opened"):
        open_video("gopher://example.org/a.mp4")


# -- damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.avi"])
def test_truncated_file_gives_the_frames_it_has(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    container = {"movflags": "faststart"} if name.endswith("mp4") else {}
    whole = encode(tmp_path / name, 60, codec=codec, g="12", container=container, size=(320, 240))
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    with pytest.warns(
        VtlabWarning, match=r"announces (60 frames|2\.\d+ s), \d+ frames can be decoded"
    ) as caught:
        video = open_video(whole)
    assert 15 < len(video) < 59
    assert f"{len(video)} frames can be decoded" in str(caught[0].message)
    assert str(whole) in str(caught[0].message)
    images = list(video)
    assert [number(image) for image in images[:-1]] == list(range(len(video) - 1))
    for index in (len(video) - 1, 3, len(video) // 2):
        np.testing.assert_array_equal(video[index], images[index])


def test_whole_files_do_not_warn(clip: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_video(clip)
        open_video(clip, verify=True)


def _spoil(path: Path, packets: range) -> None:
    """Overwrite the data of these packets (in file order) with noise."""
    with av.open(str(path)) as file:
        places = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in places[packets.start : packets.stop]:
        data[position : position + size] = np.random.default_rng(position).bytes(size)
    path.write_bytes(bytes(data))


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = encode(tmp_path / "spoilt.mp4", 60, g="12", bf="0")
    _spoil(path, range(24, 36))
    video = open_video(path)
    assert len(video) == 60
    got: list[int] = []
    with pytest.raises(
        VideoError, match=r"Frame 24 of .*spoilt\.mp4.* damaged there\. Remedy: .*verify=True"
    ):
        got.extend(number(frame.image) for frame in video.frames())
    assert got == list(range(24))
    assert number(video[50]) == 50
    assert [number(f.image) for f in video.frames(59, 35, -1)] == list(range(59, 35, -1))
    with pytest.raises(VideoError, match="Frame 30"):
        video[30]
    with pytest.warns(VtlabWarning, match=r"announces 60 frames, 48 frames can be decoded"):
        repaired = open_video(path, verify=True)
    assert [number(image) for image in repaired] == [*range(24), *range(36, 60)]
    assert number(repaired[30]) == 42
    assert repaired.timestamps[24] == pytest.approx(36 / 25)


def test_start_without_key_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "joined.mp4", 60, g="12", bf="0")
    _spoil(path, range(1))
    with pytest.warns(VtlabWarning, match="can be decoded"):
        video = open_video(path)
    assert [number(image) for image in video][-48:] == list(range(12, 60))


@pytest.mark.parametrize("name", ["h264_bframes.mp4", "h264.ts", "mpeg2.ts", "vp9.webm", "mpeg4.avi"])
def test_any_damage_gives_frames_or_our_own_error(tmp_path: Path, name: str) -> None:
    whole, rng = encode(tmp_path / name, 30, **VARIANTS[name]).read_bytes(), np.random.default_rng(len(name))
    path = tmp_path / f"damaged_{name}"
    for trial in range(12):
        data, place = bytearray(whole), int(rng.integers(len(whole)))
        if trial % 3 == 0:
            del data[place:]
        elif trial % 3 == 1:
            data[place : place + 300] = rng.bytes(min(300, len(whole) - place))
        else:
            del data[place : place + 100]
        path.write_bytes(bytes(data))
        with warnings.catch_warnings(), contextlib.suppress(VideoError):
            warnings.simplefilter("ignore", VtlabWarning)
            video = open_video(path)
            for frame in (*video.frames(), *video.frames(step=-4), video.frame(len(video) // 2)):
                assert frame.image.shape == (HEIGHT, WIDTH, 3)


# -- errors --------------------------------------------------------------------------------------------------


def _text(path: Path) -> Path:
    path.write_text("this is no video, whatever its name says\n" * 50)
    return path


def _empty_folder(path: Path) -> Path:
    path.mkdir()
    _text(path / "readme.txt")
    return path


def _mixed_sizes(path: Path) -> Path:
    path.mkdir()
    cv2.imwrite(str(path / "a.png"), picture(0))
    cv2.imwrite(str(path / "b.png"), picture(0, 48, 48))
    return path


def _zero(path: Path) -> Path:
    path.touch()
    return path


def _no_frames(path: Path) -> Path:
    whole = encode(path, 30)
    _spoil(whole, range(30))
    return whole


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        stream.codec_context.layout = "mono"
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def _spoilt_image(path: Path) -> Path:
    path.mkdir()
    (path / "a.png").write_bytes(b"\x89PNG no image")
    return path


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda p: p, "missing.mp4", r"missing\.mp4' does not exist\. Remedy: check the path"),
        (lambda p: p, "missing_*.png", r"No image matches .*Remedy"),
        (_empty_folder, "folder", r"folder' holds no images .*Remedy: give the folder"),
        (_text, "text.mp4", r"text\.mp4' can't be read as a video"),
        (_zero, "zero.mp4", r"zero\.mp4' is empty \(0 bytes\)\. Remedy"),
        (_no_frames, "noise.mp4", r"No frame of .*noise\.mp4' can be decoded"),
        (_mixed_sizes, "mixed", r"mixed sizes: a\.png has 96x64, b\.png has 48x48 .*Remedy"),
        (_sound, "sound.mp4", r"sound\.mp4' holds no pictures .*Remedy"),
        (_spoilt_image, "spoilt", r"a\.png' is not a readable image.*Remedy"),
    ],
)
def test_errors_name_the_thing_and_the_remedy(tmp_path: Path, make, name: str, message: str) -> None:
    with pytest.raises(VideoError, match=message) as caught:
        open_video(make(tmp_path / name))
    assert "Remedy" in str(caught.value)


def test_wrong_arrays() -> None:
    for array in (
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ):
        with pytest.raises(VideoError, match=r"Expected an array of RGB images .*got shape"):
            open_video(array)
    with pytest.raises(VideoError, match="list of images is empty"):
        open_video([])


def test_size_that_changes_inside_the_video(tmp_path: Path) -> None:
    first, second = encode(tmp_path / "a.ts", 12, g="6"), encode(tmp_path / "b.ts", 12, g="6", size=(128, 80))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(VideoError, match="size changes inside the video"):
        list(open_video(both))


# -- writing -------------------------------------------------------------------------------------------------


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
    with pytest.raises(VideoError, match=r"nowhere' does not exist\. Remedy"):
        write_video(tmp_path / "nowhere" / "out.mp4", [picture(0)], 25)
    with pytest.raises(InputError, match="fps above 0"):
        write_video(tmp_path / "out.mp4", [picture(0)], float("nan"))


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


# -- cost ----------------------------------------------------------------------------------------------------


def test_importing_is_light() -> None:
    code = "import sys, vtlab.video; print({'av', 'cv2', 'PIL', 'torch', 'pandas', 'supervision'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_memory_is_flat_over_a_long_file(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mp4", 400, size=(640, 480), g="60", preset="ultrafast")
    video = open_video(path)
    peaks = []
    for frame in video.frames():
        if frame.index in (100, 399):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 30
    assert not [fd for fd in os.listdir("/proc/self/fd") if _target(fd).endswith("long.mp4")][2:]


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


# -- real videos ---------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", ["dog_360p.mp4", "cyclist_360p.mp4", "apple.mp4"])
def test_real_videos_are_frame_exact(shared: Path, name: str) -> None:
    path = shared / "data" / "videos" / name
    video, order = open_video(path), np.random.default_rng(0)
    wanted = set(order.integers(0, len(video), 6).tolist())
    expected = {i: image for i, image in enumerate(decode_all(path)) if i in wanted}
    for index, image in expected.items():
        np.testing.assert_array_equal(video[index], image)
