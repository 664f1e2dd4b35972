"""Images: files of several pictures, EXIF, depths and colours, and what the names of a folder tell."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.video.clips import HEIGHT, WIDTH, number, picture
from vtlab.errors import VideoError, VtlabWarning
from vtlab.video import open_video


@pytest.fixture(autouse=True)
def _strict():
    """A warning that a test doesn't expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


ANIMATED = {
    "a.webp": {"duration": 40, "lossless": True},
    "a.png": {"duration": 40},
    "a.apng": {"duration": 40},
    "a.gif": {"duration": 40},
    "a.avif": {"duration": 40, "quality": 90},
    "a.tif": {},
    "a.tiff": {"compression": "tiff_deflate"},
}


@pytest.mark.parametrize("name", ANIMATED)
def test_all_pictures_are_frames(tmp_path: Path, name: str) -> None:
    first, *rest = [Image.fromarray(picture(i)) for i in range(30)]
    kind = {"format": "PNG"} if name.endswith("apng") else {}
    first.save(tmp_path / name, save_all=True, append_images=rest, **kind, **ANIMATED[name])
    video = open_video(tmp_path / name, cache_bytes=0)
    assert video.shape == (30, HEIGHT, WIDTH, 3)
    assert [number(image) for image in video] == list(range(30))
    order = [int(i) for i in np.random.default_rng(0).permutation(30)]
    assert [number(video[i]) for i in order] == order
    assert [number(f.image) for f in video.frames(step=-3)] == list(range(29, -1, -3))
    pairs = zip(video.frames(), video.frames(step=-1), strict=True)
    assert all(number(a.image) + number(b.image) == 29 for a, b in pairs)
    fps = 30 if "tif" in name else 25
    assert video.fps == pytest.approx(fps)
    assert np.diff(video.timestamps) == pytest.approx(1 / fps)
    assert open_video(tmp_path / name, fps=10).timestamps[-1] == pytest.approx(2.9)
    video.close()


def test_animation_with_delays_of_its_own(tmp_path: Path) -> None:
    first, *rest = [Image.fromarray(picture(i)) for i in range(4)]
    first.save(
        tmp_path / "a.webp", save_all=True, append_images=rest, duration=[100, 50, 200, 50], lossless=True
    )
    assert open_video(tmp_path / "a.webp").timestamps == pytest.approx([0, 0.1, 0.15, 0.35])


def test_default_image_of_apng_is_no_frame(tmp_path: Path) -> None:
    first, *rest = [Image.fromarray(picture(i)) for i in (99, 0, 1, 2)]
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, default_image=True)
    assert [number(image) for image in open_video(tmp_path / "a.png")] == [0, 1, 2]


def test_small_copies_in_a_tiff_are_no_frames(tmp_path: Path) -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    whole, small = Image.fromarray(picture(5)), Image.fromarray(picture(5, 48, 32))
    reduced = ImageFileDirectory_v2()
    reduced[254] = 1
    small.encoderinfo = {"tiffinfo": reduced}
    whole.save(tmp_path / "pyramid.tif", save_all=True, append_images=[small])
    assert len(open_video(tmp_path / "pyramid.tif")) == 1
    small.encoderinfo = {}
    whole.save(tmp_path / "mixed.tif", save_all=True, append_images=[small])
    with pytest.raises(VideoError, match=r"mixed\.tif' have mixed sizes.*number 1.*Remedy"):
        open_video(tmp_path / "mixed.tif")


def test_second_picture_of_a_camera_is_no_frame(tmp_path: Path) -> None:
    preview = Image.fromarray(picture(6))
    Image.fromarray(picture(5)).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    video = open_video(tmp_path / "a.jpg")
    assert [number(image) for image in video] == [5]


def test_folder_of_stacks(tmp_path: Path) -> None:
    for part in range(3):
        first, *rest = [Image.fromarray(picture(4 * part + i)) for i in range(4)]
        first.save(tmp_path / f"s{part}.tif", save_all=True, append_images=rest)
    video = open_video(tmp_path)
    assert [number(image) for image in video] == list(range(12))
    assert [number(video[i]) for i in (11, 0, 5)] == [11, 0, 5]
    Image.fromarray(picture(12)).save(tmp_path / "s3.tif")
    with pytest.warns(VtlabWarning, match=r"mixes files of one picture .*s0\.tif holds 4"):
        assert len(open_video(tmp_path)) == 13


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(21)).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as stored:
        stored.load()
        expected = np.asarray(ImageOps.exif_transpose(stored))
    video = open_video(path)
    assert video.shape == (1, *expected.shape) == (1, *video[0].shape)
    np.testing.assert_array_equal(video[0], expected)
    if orientation == 6:
        assert number(np.rot90(video[0])) == 21


def test_exif_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(picture(21)).save(path, exif=exif)
    data = path.read_bytes()
    at = data.index(b"eXIf") - 4
    size = int.from_bytes(data[at : at + 4], "big") + 12
    chunk, rest = data[at : at + size], data[:at] + data[at + size :]
    end = rest.index(b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])
    video = open_video(path)
    assert video.shape == (1, WIDTH, HEIGHT, 3)
    assert number(np.rot90(video[0])) == 21


def _float(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values[:, :, 0].astype(np.float32) / 255)


def test_floating_point_is_refused_by_name(tmp_path: Path) -> None:
    _float(picture(3)).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=r"a\.tif holds floating-point values.*Remedy: scale"):
        open_video(tmp_path / "a.tif")
    Image.fromarray(picture(3)[:, :, 0].astype(np.int32) * 1000).save(tmp_path / "b.tif")
    with pytest.raises(VideoError, match=r"b\.tif holds 32-bit values.*Remedy"):
        open_video(tmp_path / "b.tif")


def test_floating_point_colours_are_refused(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), picture(3).astype(np.float32) / 255)
    with pytest.raises(VideoError, match=r"not a readable image.*floating point.*Remedy"):
        open_video(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_sixteen_bits(tmp_path: Path, suffix: str, colour: bool) -> None:
    import cv2

    image = picture(37).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), image[:, :, ::-1] if colour else image[:, :, 0])
    got = open_video(tmp_path / f"a.{suffix}")[0]
    expected = picture(37) if colour else np.repeat(picture(37)[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_gives_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture(37))
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    image.save(tmp_path / f"a.{suffix}", **({"transparency": bytes(range(64))} if mode == "P" else {}))
    got = open_video(tmp_path / f"a.{suffix}")[0]
    assert got.shape == (HEIGHT, WIDTH, 3)
    assert number(got) == 37
    np.testing.assert_array_equal(got, np.asarray(image.convert("RGB")))


def test_cmyk_photograph(tmp_path: Path) -> None:
    Image.fromarray(picture(37)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(open_video(tmp_path / "a.jpg")[0].astype(int) - picture(37)).mean() < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif", "a.bmp"])
def test_cut_images_are_errors(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    for share in (0.02, 0.3, 0.7):
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
        with pytest.raises(VideoError, match=rf"{name}.*Remedy"):
            open_video(tmp_path / name)[0]


def _fill(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(picture(index)).save(folder / name)
    return folder


def test_images_beside_masks_of_the_same_name(tmp_path: Path) -> None:
    _fill(tmp_path, [f"{i:04d}.jpg" for i in range(4)])
    _fill(tmp_path, [f"{i:04d}.png" for i in range(4)])
    for source in (tmp_path, tmp_path / "*"):
        with pytest.raises(VideoError, match=r"4 frames twice, such as 0000\.jpg and 0000\.png.*Remedy"):
            open_video(source)
    assert [number(image) for image in open_video(tmp_path / "*.jpg")] == list(range(4))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["img0.jpg", "img1.jpg", "mask2.png"], r"mixes kinds of images \(2 of \.jpg, 1 of \.png\)"),
        (
            ["0.png", "0_mask.png", "1.png", "1_mask.png"],
            r"holds 0\.png and 0_mask\.png, two names with the same",
        ),
        (["1.png", "01.png", "2.png"], r"holds 01\.png and 1\.png, two names"),
        (["1.png", "2.png", "4.png"], r"leave out what lies between 2\.png and 4\.png"),
        (["f_0000.png", "f_0005.png", "f_0010.png"], r"go in steps of 5.*frame 2 is f_0010\.png"),
        (["30.png", "31.png", "32.png"], r"begin at 30\. Frames are counted from 0"),
    ],
)
def test_names_that_tell_of_something_else(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.warns(VtlabWarning, match=message):
        video = open_video(_fill(tmp_path, names))
    assert len(video) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        ["0.png", "1.png", "2.png", "10.png"][:3],
        [f"frame_{i}.png" for i in range(12)],
        [f"take2-{i:05d}.jpg" for i in range(1, 5)],
        ["cat.png", "dog.png"],
        ["1²1.png"],
        ["a.jpg", "b.jpeg", "c.JPG"],
    ],
)
def test_ordinary_names_are_silent(tmp_path: Path, names: list[str]) -> None:
    video = open_video(_fill(tmp_path, names))
    assert [number(image) for image in video] == list(range(len(names)))


def test_leftovers_are_no_frames(tmp_path: Path) -> None:
    _fill(tmp_path / "v", [f"{i}.png" for i in range(11)])
    (tmp_path / "v" / "._0.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "v" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "v" / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "v" / "folder.png").mkdir()
    _fill(tmp_path / "v" / ".ipynb_checkpoints", ["0-checkpoint.png"])
    _fill(tmp_path / "__MACOSX" / "v", ["0.png"])
    for source in (tmp_path / "v", tmp_path / "**" / "*.png", tmp_path / "*" / "*.png"):
        assert len([number(image) for image in open_video(source)]) == 11
    assert len(open_video(tmp_path / "__MACOSX" / "*" / "*.png")) == 1


def test_a_link_to_nothing_is_no_gap(tmp_path: Path) -> None:
    _fill(tmp_path, ["0.png", "2.png"])
    os.symlink(tmp_path / "away.png", tmp_path / "1.png")
    with pytest.raises(VideoError, match=r"1\.png' can't be read any more|1\.png' is not a readable"):
        open_video(tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["a.webp", "a.png", "exif6_png", "exif6_webp", "float_tif", "jpg_beside_png"]
)
def test_reported_images(shared: Path, name: str) -> None:
    path = shared / "data" / "cases" / "images" / name
    if not path.exists():
        pytest.skip(f"the shared data has no {path}")
    if name in ("float_tif", "jpg_beside_png"):
        with pytest.raises(
            VideoError, match="floating-point" if name == "float_tif" else r"\.jpg and .*\.png"
        ):
            open_video(path)
        return
    video = open_video(path)
    assert video.shape == ((12, 96, 160, 3) if name.startswith("a.") else (3, 160, 96, 3))
    red = (
        video[0][4, -4] if name.startswith("exif6") else video[0][4, 4]
    )  # the corner where the picture begins
    assert red[0] > 150 > max(red[1:])
