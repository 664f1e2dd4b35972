"""Manifests of frames and the marks that travel with labels."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.clips import encode_images, scene
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.video import Manifest, Marks, open_video
from vtlab.video.hashing import hash_of
from vtlab.video.same import first_difference


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))


def bits_between(a: bytes, b: bytes) -> int:
    return int(np.unpackbits(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).sum())


def test_a_hash_survives_size_brightness_and_noise_and_tells_other_pictures():
    image, other = scene("crowd", 20)[[0, 19]]
    rng = np.random.default_rng(0)
    same = {
        "size": cv2.resize(image, (200, 150)),
        "dark": np.clip(image * 0.7 + 5, 0, 255).astype(np.uint8),
        "noise": np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8),
    }
    apart = {how: bits_between(hash_of(image), hash_of(changed)) for how, changed in same.items()}
    assert max(apart.values()) <= 24, apart
    assert bits_between(hash_of(image), hash_of(other)) > max(apart.values())
    assert bits_between(hash_of(image), hash_of(scene("pan", 1)[0])) > 80


@pytest.mark.parametrize("grey", [0, 7, 128, 255])
def test_a_frame_without_contrast_has_the_hash_zero(grey):
    assert hash_of(np.full((40, 60, 3), grey, np.uint8)) == bytes(32)


def test_the_hash_is_that_of_the_published_method():
    """The bits of ImageHash's phash(hash_size=16), written out: cv2's cosine transform, 16 x 16 of it, its median."""
    image = scene("pan", 1, 64, 64)[0]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(grey)[:16, :16]
    expected = np.packbits(low > np.median(low))
    assert (
        bits_between(hash_of(image), expected.tobytes()) <= 2
    )  # the lowest frequency's scale, at the median


def test_a_manifest_is_written_and_read_whole(tmp_path):
    video = open_video(scene("pan", 12), fps=25)
    made = Manifest.of(video, progress=False)
    assert (len(made), made.width, made.height, made.digest) == (12, 128, 96, video.digest())
    again = Manifest.load(made.save(tmp_path / "a.parquet"))
    for name in ("times", "exact", "hashes", "thumbnails"):
        assert np.array_equal(getattr(again, name), getattr(made, name)), name
    assert (again.name, again.digest, again.width) == (made.name, made.digest, made.width)
    assert dict(video.looks) == {i: row.tobytes() for i, row in enumerate(made.hashes)}


def test_a_manifest_is_read_once_for_a_content(tmp_path, monkeypatch):
    path = encode_images(tmp_path / "a.mp4", scene("pan", 70))
    made = Manifest.of(open_video(path), progress=False)
    calls: list[int] = []
    copy = tmp_path / "other.mp4"
    copy.write_bytes(path.read_bytes())
    again = Manifest.of(open_video(copy), progress=lambda done, total: calls.append(done))
    assert (calls, again.name) == ([], "other")
    assert np.array_equal(again.hashes, made.hashes)
    kept = list((tmp_path / "cache" / "manifests").iterdir())
    assert len(kept) == 1
    kept[0].write_bytes(b"damaged")
    assert np.array_equal(
        Manifest.of(open_video(copy), progress=lambda done, total: calls.append(done)).hashes, made.hashes
    )
    assert calls == list(range(1, 71))


def test_a_cache_that_can_not_be_written_to_is_said_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(VtlabWarning, match="VTLAB_CACHE"):
        assert len(Manifest.of(open_video(scene("pan", 64)), progress=False)) == 64


def test_streams_have_no_manifest():
    from vtlab.video import StreamVideo

    class Live(StreamVideo):
        name = "live"  # type: ignore[assignment]

        def __init__(self) -> None:
            pass

    with pytest.raises(InputError, match="record it first"):
        Manifest.of(Live())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "version 9"),
        ({"width": 10**9}, "width"),
        ({"height": "tall"}, "height"),
        ({"name": None}, "name"),
    ],
)
def test_damaged_headers_are_refused(tmp_path, change, message):
    import pyarrow.parquet as pq

    path = Manifest.of(open_video(scene("pan", 3)), progress=False).save(tmp_path / "a.parquet")
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"vtlab.manifest"]) | change
    pq.write_table(table.replace_schema_metadata({"vtlab.manifest": json.dumps(header)}), path)
    with pytest.raises(FormatError, match=message):
        Manifest.load(path)


def test_columns_of_another_length_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Manifest.of(open_video(scene("pan", 3)), progress=False).save(tmp_path / "a.parquet")
    table = pq.read_table(path)
    at = table.column_names.index("hash")
    pq.write_table(table.set_column(at, "hash", pa.array([b"x", b"y", b"z"])), path)
    with pytest.raises(FormatError, match="frame 0: 'hash' must be 32 bytes"):
        Manifest.load(path)
    with pytest.raises(FormatError, match="no such manifest"):
        Manifest.load(tmp_path / "missing.parquet")


def test_marks_travel_small():
    marks = Marks.of_manifest(Manifest.of(open_video(scene("crowd", 200)), progress=False, cache=False))
    data = marks.to_dict()
    assert len(json.dumps(data)) < 44 * 200
    assert data["row"] == [0, 1, 200]
    again = Marks.of(json.loads(json.dumps(data)))
    assert np.array_equal(again.frames, marks.frames)
    assert np.array_equal(again.hashes, marks.hashes)


@given(st.dictionaries(st.integers(0, 10_000), st.binary(min_size=32, max_size=32), max_size=8))
def test_marks_come_back_from_json(found):
    again = Marks.of(json.loads(json.dumps(Marks.of_hashes(found).to_dict())))
    assert {int(f): row.tobytes() for f, row in zip(again.frames, again.hashes, strict=True)} == found


def packed(data: bytes) -> str:
    return b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"method": "md5", "frames": [0], "hashes": packed(bytes(32))},
        {"method": "phash-256", "frames": [0], "hashes": "not base64"},
        {"method": "phash-256", "frames": [0], "hashes": packed(bytes(10**8))},
        {"method": "phash-256", "frames": [0, 0], "hashes": packed(bytes(64))},
        {"method": "phash-256", "frames": [-1], "hashes": packed(bytes(32))},
        {"method": "phash-256", "frames": "many", "hashes": packed(bytes(32))},
        {"method": "phash-256", "row": [0, 1, 10**9], "hashes": packed(bytes(32))},
        {"method": "phash-256", "row": [0, 0, 2], "hashes": packed(bytes(64))},
        {"method": "phash-256", "row": [0, 1], "hashes": packed(bytes(32))},
        {"method": "phash-256", "frames": list(range(30_000)), "hashes": packed(bytes(32))},
        {"method": "phash-256", "frames": [0]},
    ],
)
def test_damaged_and_hostile_marks_are_refused(data):
    with pytest.raises(FormatError, match="marks of frames are damaged"):
        Marks.of(data)


def test_of_a_long_clip_evenly_spread_marks_travel(monkeypatch):
    from vtlab.video import marks

    monkeypatch.setattr(marks, "MOST_MARKS", 100)
    found = Marks.of_hashes({i: i.to_bytes(32, "big") for i in range(250)})
    assert found.frames.tolist() == list(range(0, 250, 3))


def known(images: np.ndarray, frames: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    frames = np.arange(len(images)) if frames is None else frames
    hashes = np.frombuffer(b"".join(map(hash_of, images)), np.uint8).reshape(-1, 32)
    return frames, hashes[frames]


def recoded(path: Path, images: np.ndarray) -> np.ndarray:
    return np.stack(list(open_video(encode_images(path, images, crf="30"))))


@pytest.mark.parametrize("name", ["pan", "crowd", "zoom"])
def test_the_first_difference_and_the_shift(tmp_path, name):
    images = scene(name, 80)
    copy = recoded(tmp_path / "a.mp4", images)
    mine = known(images)
    assert first_difference(mine, known(copy), whole=True) is None
    start = first_difference(mine, known(copy[9:]), whole=True)
    assert start is not None
    assert (start.frame <= 9, start.shift) == (True, -9)
    late = first_difference(mine, known(np.delete(copy, 40, axis=0)), whole=True)
    assert late is not None
    assert (abs(late.frame - 40) <= 2, late.shift) == (True, -1)
    twice = first_difference(mine, known(np.insert(copy, 30, copy[29], axis=0)), whole=True)
    assert twice is not None
    assert (abs(twice.frame - 30) <= 2, twice.shift) == (True, 1)
    short = first_difference(mine, known(copy[:60]), whole=True)
    assert short is not None
    assert (short.frame, short.shift, short.missing) == (60, None, True)
    back = first_difference(mine, known(copy[::-1]), whole=True)
    assert back is not None
    assert back.shift is None


def test_a_few_marks_are_enough_to_tell_the_shift():
    images = scene("pan", 80)
    few = np.array([3, 30, 31, 60])
    assert first_difference(known(images, few), known(images), whole=True) is None
    found = first_difference(known(images, few), known(images[2:]), whole=True)
    assert found is not None
    assert (found.frame, found.shift) == (3, -2)


def test_still_scenes_are_the_same_whatever_the_shift(tmp_path):
    still = scene("still", 40)
    assert first_difference(known(still), known(recoded(tmp_path / "a.mp4", still)), whole=True) is None


def test_another_video_differs_at_once():
    found = first_difference(known(scene("pan", 40)), known(scene("crowd", 40)), whole=True)
    assert found is not None
    assert (found.frame, found.shift) == (0, None)
    assert "no shift of the numbers would fit" in found.told
