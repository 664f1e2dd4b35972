"""Which frame of a copy is which of the original: the map is known from how the copy was made."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.video.clips import encode_images, scene
from vtlab.errors import InputError
from vtlab.video import Manifest, Video, align, check_found, open_video
from vtlab.video.align import match

N = 90
SCENES = ("pan", "crowd", "zoom")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    return {name: encode_images(folder / f"{name}.mp4", scene(name, N), crf="18") for name in SCENES}


def images(video: Path) -> np.ndarray:
    return np.stack(list(open_video(video)))


def copies() -> dict[str, tuple[np.ndarray, dict]]:
    """How copies are made: which frame of the original each of their frames shows, and how it is written."""
    rng = np.random.default_rng(5)
    kept = np.setdiff1d(np.arange(N), rng.choice(np.arange(5, N - 5), 8, replace=False))
    vary = np.cumsum(rng.integers(15, 90, N)).tolist()
    return {
        "re-encoded": (np.arange(N), {"crf": "33"}),
        "trimmed": (np.arange(13, N), {}),
        "24 to 30": (np.arange(N * 5 // 4) * 4 // 5, {"rate": 30}),
        "25 to 30": (np.arange(N * 6 // 5) * 5 // 6, {"rate": 30}),
        "30 to 24": (np.arange(N * 4 // 5) * 5 // 4, {"rate": 24}),
        "dropped": (kept, {}),
        "cut": (np.r_[5:35, 55:N], {}),
        "variable rate": (np.arange(N), {"times": vary}),
    }


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("how", copies())
def test_the_map_of_a_copy_is_found_and_what_it_is_sure_of_is_right(originals, tmp_path, name, how):
    truth, options = copies()[how]
    copy = encode_images(tmp_path / "copy.mp4", images(originals[name])[truth], **options)
    found = align(originals[name], copy, progress=False)
    assert found.found
    assert (found.frames == truth).mean() >= 0.98
    assert np.abs(found.frames - truth).max() <= 1
    assert (found.frames == truth)[found.certain].mean() >= 0.98
    assert found.certain.mean() > 0.9
    assert set(found.missing.tolist()) == set(range(N)) - set(found.frames.tolist())
    assert found.placed is not None
    assert found.placed.same


def changed(image: np.ndarray, how: str) -> np.ndarray:
    height, width = image.shape[:2]
    if how == "half the size":
        return cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    if how == "darker":
        return np.clip(image * 0.6 + 10, 0, 255).astype(np.uint8)
    if how == "cropped":
        return image[10:-10, 14:-14]
    if how == "letterboxed":
        return cv2.copyMakeBorder(image, 16, 16, 0, 0, cv2.BORDER_CONSTANT)
    turned = {"mirrored": image[:, ::-1], "upside down": image[::-1, ::-1]}
    return turned[how]


@pytest.mark.parametrize("how", ["half the size", "darker"])
def test_size_and_brightness_change_nothing(originals, tmp_path, how):
    given = np.stack([changed(i, how) for i in images(originals["crowd"])])
    found = align(originals["crowd"], encode_images(tmp_path / "copy.mp4", given), progress=False)
    assert found.found
    assert (found.frames == np.arange(N)).all()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("mirrored", "mirrored"),
        ("upside down", "upside down"),
        ("letterboxed", "framed"),
        ("cropped", "of the width|framed"),
    ],
)
def test_another_picture_is_no_copy_that_labels_fit(originals, tmp_path, how, reason):
    given = np.stack([changed(i, how) for i in images(originals["pan"])])
    found = align(originals["pan"], encode_images(tmp_path / "copy.mp4", given), progress=False)
    with pytest.raises(InputError, match=reason):
        check_found(found)


def test_backwards_and_another_video_are_no_copies(originals, tmp_path):
    back = encode_images(tmp_path / "back.mp4", images(originals["crowd"])[::-1])
    assert align(originals["crowd"], back, progress=False).reason == "b runs backwards"
    other = align(originals["pan"], originals["zoom"], progress=False)
    assert not other.found
    assert not other.certain.any()


def test_a_still_scene_says_that_nothing_is_certain(tmp_path):
    still = scene("still", 40)
    a, b = (encode_images(tmp_path / f"{crf}.mp4", still, crf=crf) for crf in ("18", "33"))
    found = align(a, b, progress=False)
    assert not found.found
    assert "tells one from the next" in found.reason
    assert not found.certain.any()


def test_a_loop_says_where_else_its_frames_are(tmp_path):
    once = scene("crowd", 30)
    a = encode_images(tmp_path / "a.mp4", np.concatenate([once] * 3), crf="18")
    b = encode_images(tmp_path / "b.mp4", np.concatenate([once] * 3)[10:], crf="30")
    found = align(a, b, progress=False)
    assert not found.certain[:60].any()
    assert {int(abs(r)) % 30 for r in found.rival[:50]} == {0}
    assert not found.found or any("the like 30 frames away" in why for *_, why in found.unsure())


def test_a_black_start_is_not_in_the_original(originals, tmp_path):
    given = images(originals["pan"])
    copy = np.concatenate([np.zeros_like(given[:20]), given])
    found = align(originals["pan"], encode_images(tmp_path / "copy.mp4", copy), progress=False)
    assert (found.frames == np.r_[np.full(20, -1), np.arange(N)]).all()
    assert found.facts()["shift"] == "-20 frames throughout (frame 20 of b is frame 0 of a)"


def test_a_frozen_picture_is_one_frame_repeated(originals, tmp_path):
    given = images(originals["pan"])
    found = align(
        originals["pan"],
        encode_images(tmp_path / "copy.mp4", given[np.r_[0:30, [29] * 20, 30:N]]),
        progress=False,
    )
    assert (found.frames == np.r_[0:30, [29] * 20, 30:N]).mean() > 0.98
    assert len(found.repeated) == 20


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_videos(originals, tmp_path, count):
    given = images(originals["pan"])[40 : 40 + count]
    copy = encode_images(tmp_path / "copy.mp4", given)
    assert align(originals["pan"], copy, progress=False).frames.tolist() == list(range(40, 40 + count))
    assert align(copy, originals["pan"], progress=False).frames[40] in (0, -1)
    again = align(copy, copy, progress=False)
    assert (again.identical, again.frames.tolist()) == (True, list(range(count)))


def test_a_long_video_is_matched_in_a_band(monkeypatch):
    from vtlab.video import matching

    monkeypatch.setattr(matching, "_MOST_CELLS", 60_000)
    monkeypatch.setattr(matching, "_BAND", 128)
    rng = np.random.default_rng(0)
    a = 128 + 50 * np.sin(np.cumsum(rng.normal(0, 3, (2000, 256)), axis=0) / 40)
    truth = np.r_[40:700, 1300:1990]
    noisy = [np.clip(v + rng.normal(0, 1, v.shape), 0, 255).astype(np.uint8) for v in (a, a[truth])]
    found = match(*(manifest_of(v) for v in noisy))
    assert (found.frames == truth).all()
    assert found.shifts == [(0, 659, 40), (660, 1349, 640)]


def manifest_of(thumbnails: np.ndarray) -> Manifest:
    n = len(thumbnails)
    exact = np.arange(16 * n, dtype=np.int64).astype(np.uint8).reshape(n, 16) ^ thumbnails[0, 0]
    return Manifest("made", "x", 64, 64, np.arange(n) / 25, exact, np.zeros((n, 32), np.uint8), thumbnails)


def test_a_table_and_a_plot_show_the_map(originals, tmp_path):
    from vtlab.show.plot import alignment, new_axes

    given = images(originals["pan"])[np.r_[0:40, 38:60]]
    found = align(originals["pan"], encode_images(tmp_path / "copy.mp4", given[::2]), progress=False)
    table = found.to_frame()
    assert list(table) == ["frame", "time", "frame_a", "time_a", "repeated", "confidence"]
    assert len(table) == len(found.frames)
    assert alignment(new_axes(), found).get_xlabel() == "b: copy, s"


@pytest.mark.shared
@pytest.mark.parametrize("clip", ["dog_360p", "skateboarder_360p", "vtest"])
def test_real_clips(shared, tmp_path, clip):
    video = open_video(shared / "data" / "videos" / f"{clip}.mp4")[:150]
    n, small = len(video), (video.width // 4 * 2, video.height // 4 * 2)
    given = np.stack([cv2.resize(i, small, interpolation=cv2.INTER_AREA) for i in video])
    vary = np.cumsum(np.random.default_rng(0).integers(15, 90, n)).tolist()
    made = {
        "re-encoded": (np.arange(n), {"crf": "32"}),
        "trimmed": (np.arange(17, n), {}),
        "24 to 30": (np.arange(n * 5 // 4) * 4 // 5, {"rate": 30}),
        "variable rate": (np.arange(n), {"times": vary}),
    }
    for how, (truth, options) in made.items():
        copy = encode_images(tmp_path / "copy.mp4", given[truth], **options)
        found = align(video, copy, progress=False)
        assert (found.frames == truth).mean() >= 0.98, how
        assert (found.frames == truth)[found.certain].mean() >= 0.98, how
        assert found.certain.mean() > 0.95, how


def test_a_video_can_be_given_open(originals):
    with open_video(originals["pan"]) as video:
        assert isinstance(video, Video)
        assert align(video, video[5:], progress=False).frames.tolist() == list(range(5, N))
