"""Damaged files and what is no video: the frames that there are, or an error that names thing and remedy."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.video.clips import HEIGHT, VARIANTS, WIDTH, encode, number, picture
from vtlab.errors import VideoError, VtlabWarning
from vtlab.video import open_video


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
