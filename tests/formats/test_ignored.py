"""Ignore regions go with the truth into every format that can hold them; what it can't hold is said."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import formats, masks
from vtlab.errors import TracksError
from vtlab.formats import FORMATS, Format
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.video import open_video

COUNT = 6
REGIONS = Tracks.of([1, 1, 5], [1, 2, 3], [[1, 2, 9, 8], [20, 2, 30, 8], [5, 5, 9, 9]], source="manual")
"""Two on one frame, and one after the last row of the truth."""
MASKED = Tracks.of([2], [4], masks=[np.eye(48, 64, dtype=bool)], size=(48, 64), source="manual")

KEEPING = [name for name, form in FORMATS.items() if type(form).regions is not Format.regions]
"""Formats that can hold them."""
BOXED = [n for n in KEEPING if "boxes" in FORMATS[n].holds]
DRAWN = [n for n in KEEPING if n not in BOXED]
"""Those of which each pixel has one meaning."""
DROPPING = [n for n, form in FORMATS.items() if form.ready and "boxes" in form.holds and n not in KEEPING]
"""Those that can't, of the formats that this truth can be written in."""


def test_who_says_which_it_holds_writes_them():
    assert KEEPING
    assert [n for n, f in FORMATS.items() if type(f).write_regions is not Format.write_regions] == KEEPING


@pytest.fixture
def written(tmp_path):
    """A sequence on disk with three regions of boxes, and one that only a mask can say."""
    video = open_video(np.zeros((COUNT, 48, 64, 3), np.uint8), name="walk")
    boxes = np.tile([10.0, 5, 20, 30], (4, 1))
    truth = Tracks.of(np.arange(4), 7, boxes, label="car", source="manual", size=(48, 64))
    formats.write_sequence(
        Sequence("walk", video, truth, ignore=Tracks.concat([REGIONS, MASKED])), tmp_path / "in"
    )
    return tmp_path / "in"


@pytest.mark.parametrize("name", BOXED)
def test_they_come_with_the_truth(name, written, tmp_path):
    """Kitti's and BDD100K's writers dropped them, and so did a conversion into any format."""
    form = FORMATS[name]
    lost = 4 - len(form.regions(Tracks.concat([REGIONS, MASKED]), Tracks.empty()))
    assert lost == ("masks" not in form.holds)
    done = formats.convert(written, tmp_path / "out", name)
    assert [row.count for row in done.losses if row.kind == "ignore"] == [lost] * bool(lost)
    (place,) = form.find(tmp_path / "out").values()
    back = form.read_sequence(place, images=False)
    boxed = back.ignore.take(back.ignore.frame != 2)
    assert boxed.frame.tolist() == [1, 1, 5]
    np.testing.assert_allclose(boxed.boxes, REGIONS.boxes)
    assert len(back.ignore) == 4 - lost
    assert set(back.truth.frame.tolist()) == {0, 1, 2, 3}
    assert len(back) == COUNT


@pytest.mark.parametrize("name", DROPPING)
def test_where_they_can_not_go_their_number_is_said(name, written, tmp_path):
    done = formats.convert(written, tmp_path / "out", name)
    (row,) = (row for row in done.losses if row.kind == "ignore")
    assert (row.count, row.told, row.place) == (4, "4 ignore regions", "walk")
    with pytest.raises(TracksError, match="Lost would be"):
        formats.convert(written, tmp_path / "strict", name, strict=True)


@pytest.fixture
def drawn(tmp_path):
    """A sequence on disk with a void region on two frames; on the second an object covers 4 of its 100 pixels."""
    objects = [masks.from_box((x, 5, x + 10, 15), 48, 64) for x in (5, 22)]
    void = [masks.from_box((30, 13, 40, 23), 48, 64)] * 2
    truth = Tracks.of([0, 1], 7, masks=objects, label="car", size=(48, 64), source="manual")
    video = open_video(np.zeros((2, 48, 64, 3), np.uint8), name="walk")
    ignore = Tracks.of([0, 1], 1, masks=void, size=(48, 64), source="manual")
    formats.write_sequence(Sequence("walk", video, truth, ignore=ignore), tmp_path / "in")
    return tmp_path / "in"


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_regions_come_beside_the_objects_and_what_these_cover_is_said(name, drawn, tmp_path):
    done = formats.convert(drawn, tmp_path / "out", name)
    (row,) = (row for row in done.losses if row.kind == "ignore")
    assert (row.count, row.told) == (4, "4 pixels of ignore regions (they are an object's)")
    form = FORMATS[name]
    (place,) = form.find(tmp_path / "out").values()
    back = form.read_sequence(place, images=False)
    assert [int(back.ignore.mask(row).sum()) for row in range(2)] == [100, 96]
    assert back.truth.object_ids.tolist() == [7]
    assert [int(back.truth.mask(row).sum()) for row in range(2)] == [100, 100]
    again = formats.convert(tmp_path / "out", tmp_path / "again", name)
    assert not [row for row in again.losses if row.kind == "ignore"]
    (place,) = form.find(tmp_path / "again").values()
    assert form.read_sequence(place, images=False).ignore.rle.tolist() == back.ignore.rle.tolist()


def test_regions_of_mots_go_into_other_formats_as_regions(drawn, tmp_path):
    """They were objects of a class that others don't have."""
    formats.convert(drawn, tmp_path / "mots", "mots")
    for name, lost in (("davis", 0), ("kitti", 2), ("vtlab", 0)):
        done = formats.convert(tmp_path / "mots", tmp_path / name, name, layout="mots")
        assert sum(row.count for row in done.losses if row.kind == "ignore") == lost
    assert len(Tracks.load(next((tmp_path / "vtlab").rglob("*.ignore.parquet")))) == 2


def test_a_void_pixel_without_any_object_is_not_read_as_the_object_of_davis_2016(drawn, tmp_path):
    void = Tracks.of([0], 1, masks=[np.eye(48, 64, dtype=bool)], size=(48, 64))
    video = open_video(np.zeros((1, 48, 64, 3), np.uint8), name="walk")
    truth = Tracks.empty(size=(48, 64), meta={"annotated": [0]})
    formats.write_sequence(Sequence("walk", video, truth, ignore=void), tmp_path / "out", "davis")
    (place,) = FORMATS["davis"].find(tmp_path / "out").values()
    assert not len(FORMATS["davis"].read_sequence(place, images=False).truth)


@pytest.mark.parametrize("name", BOXED)
def test_a_sequence_is_written_with_them(name, tmp_path):
    video = open_video(np.zeros((COUNT, 48, 64, 3), np.uint8), name="walk")
    truth = Tracks.of([0], 7, [[10, 5, 20, 30]], label="car", source="manual")
    formats.write_sequence(Sequence("walk", video, truth, ignore=REGIONS), tmp_path, name)
    (place,) = FORMATS[name].find(tmp_path).values()
    back = FORMATS[name].read_sequence(place, images=False).ignore
    np.testing.assert_allclose(back.boxes, REGIONS.boxes)
