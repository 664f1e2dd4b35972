"""Video: frame-exact access in every way of reading, real time stamps, damage, errors, writing."""

from __future__ import annotations

import functools
import http.server
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.video.clips import HEIGHT, VARIANTS, WIDTH, decode_all, encode, number, picture
from vtlab.errors import InputError, VideoError
from vtlab.video import CACHE_BYTES, Frame, FrameSource, Video, decode, open_video
from vtlab.video.files import FileSource


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


@pytest.mark.parametrize("name", ["b.mp4", "interlaced.mp4", "open.mkv", "refresh.mp4"])
def test_what_nobody_needs_is_not_decoded(clips: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Between every tenth frame pictures are decoded only where others are made from them; the frames are the same."""
    forms = {
        "b.mp4": {"g": "30", "bf": "3"},
        "interlaced.mp4": {"g": "30", "bf": "3", "flags": "+ildct+ilme", "x264-params": "interlaced=1"},
        "open.mkv": {"g": "15", "bf": "3", "x264-params": "open-gop=1:b-pyramid=normal"},
        "refresh.mp4": {"g": "20", "bf": "2", "x264-params": "intra-refresh=1"},
    }
    path, shown = encode(clips / name, **forms[name]), []
    plain = decode.frames_of
    monkeypatch.setattr(decode, "frames_of", lambda packet: shown.extend(made := plain(packet)) or made)
    with open_video(path, cache_bytes=0) as video:
        every = list(video)
        shown.clear()
        for frame in video.frames(0, None, 10):
            np.testing.assert_array_equal(frame.image, every[frame.index])
        assert 6 <= len(shown) < 50
        for frame in video.frames(7, None, 4):
            np.testing.assert_array_equal(frame.image, every[frame.index])
        for index in (59, 26, 13, 55, 58):
            np.testing.assert_array_equal(video[index], every[index])


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
    assert isinstance(source, FileSource)
    monkeypatch.setattr("vtlab.video.files.BACKWARD_BYTES", 7 * source._frame_bytes)
    pieces = list(source._chunks(range(59, -1, -1)))
    assert [i for piece in pieces for i in piece] == list(range(59, -1, -1))
    assert max(len(piece) for piece in pieces) == 7
    for position, frame in enumerate(video.frames(step=-1)):
        assert number(frame.image) == 59 - position
    pieces = list(FileSource(str(clip), None, False)._chunks(range(59, -1, -3)))
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


@pytest.mark.shared
@pytest.mark.parametrize("name", ["dog_360p.mp4", "cyclist_360p.mp4", "apple.mp4"])
def test_real_videos_are_frame_exact(shared: Path, name: str) -> None:
    path = shared / "data" / "videos" / name
    video, order = open_video(path), np.random.default_rng(0)
    wanted = set(order.integers(0, len(video), 6).tolist())
    expected = {i: image for i, image in enumerate(decode_all(path)) if i in wanted}
    for index, image in expected.items():
        np.testing.assert_array_equal(video[index], image)


def test_forms_of_a_frame_are_made_once_and_cannot_be_painted_on():
    frame = Frame(0, 0.0, np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3))
    frame.prepare(("bgr", "grey"))
    assert frame.bgr is frame.bgr
    assert frame.grey is frame.grey
    np.testing.assert_array_equal(frame.bgr, frame.image[..., ::-1])
    np.testing.assert_allclose(frame.grey, frame.image @ [0.299, 0.587, 0.114], atol=1)
    with pytest.raises(ValueError, match="read-only"):
        frame.bgr[0, 0] = 0
