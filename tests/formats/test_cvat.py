"""CVAT for video XML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.judges.platforms import agrees_with_datumaro, walk
from vtlab import formats
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError
from vtlab.formats import FORMATS
from vtlab.formats.cvat import read_cvat
from vtlab.sequence import first_prompts
from vtlab.testing.ledger import check_ledger
from vtlab.tracks import Record, Tracks
from vtlab.video import open_video

GOLDEN = Path(__file__).parent / "golden"
HEAD = (
    "<annotations><version>1.1</version><meta><task><size>{size}</size><start_frame>{start}</start_frame>"
    "<frame_filter>{rule}</frame_filter><labels><label><name>car</name><attributes><attribute><name>age</name>"
    "<mutable>True</mutable><input_type>number</input_type></attribute><attribute><name>make</name><mutable>False"
    "</mutable><input_type>text</input_type></attribute></attributes></label></labels>"
    "<original_size><width>80</width><height>60</height></original_size></task></meta>"
)


def written(tmp_path, body, size=10, start=0, rule=""):
    path = tmp_path / "clip.xml"
    path.write_text(HEAD.format(size=size, start=start, rule=rule) + body + "</annotations>")
    return path


def box(frame, x, key=1, outside=0, more="", inside=""):
    return (
        f'<box frame="{frame}" keyframe="{key}" outside="{outside}" occluded="0" xtl="{x}" ytl="3" xbr="{x + 10}" '
        f'ybr="9" z_order="0"{more}>{inside}</box>'
    )


def track(*figures, number=0, source="manual", more=""):
    return f'<track id="{number}" label="car" source="{source}"{more}>{"".join(figures)}</track>'


def test_key_frames_are_filled_in_as_cvat_does(tmp_path):
    path = written(tmp_path, track(box(1, 10), box(5, 18), box(6, 18, outside=1), box(8, 30)))
    made = read_cvat(path)
    assert made.frame.tolist() == [1, 2, 3, 4, 5, 6, 8, 9]
    assert made.boxes[:, 0].tolist() == [10, 12, 14, 16, 18, 18, 30, 30]
    assert made.key.tolist() == [True, False, False, False, True, True, True, False]
    assert made.source[1] == "interpolated"
    assert made.visible.tolist() == [True] * 5 + [False, True, True]
    assert made.outside.tolist() == [False] * 5 + [True, False, False]
    assert made.object_ids.tolist() == [1]
    assert made.record.id_map == {"1": 0}


def test_frames_are_those_of_the_source_video(tmp_path):
    path = written(
        tmp_path, track(box(10, 1), box(12, 3), box(14, 3, outside=1)), size=4, start=10, rule="step=2"
    )
    made = read_cvat(path)
    assert made.frame.tolist() == [0, 1, 2]
    assert made.record.source.span == (10, 2)
    video = open_video(np.zeros((40, 60, 80, 3), np.uint8))
    assert made.on(video).frame.tolist() == [10, 12, 14]
    with pytest.raises(
        FormatError, match=r"clip.xml, line 1: frame 11 is none of the task's frames, .* 10 .* steps of 2"
    ):
        read_cvat(written(tmp_path, track(box(11, 1)), size=4, start=10, rule="step=2"))
    with pytest.raises(FormatError, match="frame 18 lies beyond the last of the task's 4"):
        read_cvat(written(tmp_path, track(box(18, 1)), size=4, start=10, rule="step=2"))


def test_attributes_by_their_type_and_of_the_object(tmp_path):
    told = '<attribute name="age">4</attribute><attribute name="make">VW</attribute>'
    made = read_cvat(written(tmp_path, track(box(0, 1, inside=told), box(1, 1, outside=1), number=7)))
    assert made.attributes.tolist() == [{"age": 4}, None]
    assert made.record.objects == {"7": {"make": "VW"}}


def test_single_masks_of_a_group_are_one_object(tmp_path):
    def mask(frame, number, group):
        rest = 'occluded="0" rle="1, 3, 2" left="10" top="12" width="3" height="2" z_order="0"/>'
        figures = (f'<mask frame="{frame + k}" keyframe="1" outside="{k}" {rest}' for k in (0, 1))
        return track(*figures, number=number, more=f' group_id="{group}"')

    made = read_cvat(written(tmp_path, mask(2, 0, 5) + mask(3, 1, 5) + mask(3, 2, 6)))
    assert made.object_id.tolist() == [5, 5, 6]
    assert made.frame.tolist() == [2, 3, 3]
    assert made.mask(0)[12:14, 10:13].tolist() == [[False, True, True], [True, False, False]]
    path = FORMATS["cvat"].write_tracks(made, tmp_path / "again.xml")
    check_ledger(made, read_cvat(path), FORMATS["cvat"].losses(made))


def test_ellipses_and_cuboids_are_told(tmp_path):
    ellipse = '<ellipse frame="0" keyframe="1" outside="0" occluded="0" cx="40" cy="30" rx="10" ry="5" rotation="90"/>'
    corners = " ".join(
        f'{a}{s}{n}="{10 + 3 * n}"' for n in (1, 2) for s in ("tl", "bl", "tr", "br") for a in "xy"
    )
    cuboid = f'<cuboid frame="1" keyframe="1" outside="0" occluded="0" {corners}/>'
    formats_dir = written(tmp_path, track(ellipse, number=1) + track(cuboid, number=2), size=2)
    made = read_cvat(formats_dir)
    np.testing.assert_allclose(made.boxes[0], [35, 20, 45, 40], atol=1e-9)
    assert made.of_object(2).boxes.tolist() == [[13, 13, 16, 16]]
    done = formats.convert(tmp_path, tmp_path / "out", "vtlab")
    assert {row.kind: row.count for row in done.losses} == {"ellipse": 1, "cuboid": 1}


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    + HEAD.format(size=1, start=0, rule="")
    + "&b;</annotations>"
)
BAD = {
    "entity": (BOMB, "line 1: a document type is declared"),
    "depth": ("<annotations>" + "<a>" * 100, "more than 16 elements within each other"),
    "broken": ("<annotations><track>", "line 1: not XML"),
    "another": ("<html/>", "expected the element annotations"),
    "images": ('<annotations><image id="0"/></annotations>', "this is CVAT for images"),
    "count": (HEAD.format(size=10**9, start=0, rule="") + "</annotations>", "1000000000 frames"),
    "digits": (
        HEAD.format(size="9" * 5000, start=0, rule="") + "</annotations>",
        "size should be a whole number",
    ),
    "step": (HEAD.format(size=5, start=0, rule="step=0") + "</annotations>", "must be at least 1, got 0"),
    "text": (
        "<annotations><version>" + "x" * (1 << 21) + "</version></annotations>",
        "more than 1048576 characters",
    ),
    "twice": (
        HEAD.format(size=5, start=0, rule="") + track(box(1, 1), box(1, 2)) + "</annotations>",
        "frame 1 of track 0",
    ),
    "same": (
        HEAD.format(size=5, start=0, rule="") + track(box(1, 1, more=' frame="2"')) + "</annotations>",
        "duplicate",
    ),
    "number": (
        HEAD.format(size=5, start=0, rule="") + track(box(1, 1).replace('"3"', '"nan"')) + "</annotations>",
        "ytl",
    ),
    "inverted": (
        HEAD.format(size=5, start=0, rule="")
        + track(box(1, -20, more="").replace('xbr="-10"', 'xbr="-30"'))
        + "</annotations>",
        "xtl <= xbr",
    ),
    "mask": (
        HEAD.format(size=5, start=0, rule="")
        + track('<mask frame="0" rle="1000000000, 5" left="0" top="0" width="3" height="2"/>')
        + "</annotations>",
        "the mask can't be read",
    ),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_hostile_files_name_their_place(name, tmp_path):
    text, told = BAD[name]
    path = tmp_path / "clip.xml"
    path.write_text(text)
    with pytest.raises(FormatError, match=told) as error:
        read_cvat(path)
    assert str(path) in str(error.value)


def test_prompts_and_video(tmp_path):
    made = walk()
    formats.write_tracks(made, tmp_path, "cvat", sequence="walk")
    (sequence,) = [
        FORMATS["cvat"].read_sequence(p, images=False) for p in FORMATS["cvat"].find(tmp_path).values()
    ]
    check_ledger(made, sequence.truth, FORMATS["cvat"].losses(made))
    assert first_prompts(sequence.truth) == first_prompts(made)
    assert open_dataset(tmp_path, "cvat").names == ("walk",)
    (tmp_path / "zip/walk").mkdir(parents=True)
    (tmp_path / "truth/walk.xml").rename(tmp_path / "zip/walk/annotations.xml")
    assert list(FORMATS["cvat"].find(tmp_path / "zip")) == ["walk"]


def test_what_the_judge_read_is_still_written(tmp_path):
    """Golden: datumaro 1.13.12 read `cvat.xml` and said `cvat.json`."""
    (path,) = formats.write_tracks(walk("box", "turned", "outline"), tmp_path, "cvat", sequence="walk")
    assert path.read_text() == (GOLDEN / "cvat.xml").read_text()
    agrees_with_datumaro(json.loads((GOLDEN / "cvat.json").read_text())["figures"])


def test_kinds_of_figure_are_tracks_of_their_own(tmp_path):
    """CVAT's TrackManager raises NotImplementedError between a box and a polygon of one track."""
    ring = [(2.0, 3.0), (20.0, 4.0), (9.0, 30.0)]
    boxes = np.array([[1, 2, 11, 12], [2, 2, 12, 12], [2, 3, 20, 30], [5, 5, 15, 15]], float)
    made = Tracks.of(
        [0, 1, 2, 3], 4, boxes, label="car", source="manual", polygons=[None, None, [ring], None],
        record=Record(frames=6, dense=True),
    )  # fmt: skip
    form = FORMATS["cvat"]
    path = form.write_tracks(made, tmp_path / "walk.xml", "truth")
    text = path.read_text()
    tracks = [part.split("</track>")[0] for part in text.split("<track ")[1:]]
    assert [("<box" in t, "<polygon" in t, 'group_id="4"' in t) for t in tracks] == [
        (True, False, True),
        (False, True, True),
    ]
    check_ledger(made, form.read_tracks(path), form.losses(made))


@pytest.mark.parametrize("object_id", [0, 1, 7])
def test_an_object_keeps_its_masks_whatever_its_number(object_id, tmp_path):
    """CVAT's group 0 is none, so masks of an object 0 can't be told by it; its tracks count from 0 all the same."""
    masks = np.zeros((3, 20, 30), bool)
    masks[:, 4:9, 5:12] = True
    given = Tracks.of(range(3), object_id, masks=masks, label="dog", source="manual", size=(20, 30))
    back = Tracks.load(FORMATS["cvat"].write_tracks(given, tmp_path / "a.xml", "results"))
    assert (len(back.object_ids), len(back)) == (1, 3)
    upright = Tracks.of(range(3), object_id, [1.0, 2, 3, 4], label="dog", source="manual", size=(20, 30))
    path = FORMATS["cvat"].write_tracks(upright, tmp_path / "b.xml", "results")
    again = Tracks.load(path).save(tmp_path / "c.xml")
    assert all(f'<track id="{object_id}" ' in p.read_text("utf-8") for p in (path, again))
