"""Attributes of objects and figures, and objects that leave the view: kept by tracking again, undo, file and formats."""

from __future__ import annotations

import numpy as np
import pytest

from tests.drifts import Drifts
from vtlab.errors import InputError
from vtlab.formats import find_format, read_tracks
from vtlab.prompts import BoxPrompt
from vtlab.session import Session
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Record, Tracks
from vtlab.video import open_video

N = 12
VIDEO = open_video(moving_square(N))


def box(x: float, frame: int = 0, object_id: int = 1) -> BoxPrompt:
    return BoxPrompt((x, 10, x + 10, 20), object_id=object_id, frame=frame)


def tracked(*prompts: BoxPrompt) -> Session:
    made = Session(VIDEO, Drifts)
    made.add(prompts or box(10))
    made.retrack(progress=False)
    return made


def hidden(tracks: Tracks, object_id: int = 1) -> list[int]:
    mine = tracks.of_object(object_id)
    return [] if mine.occluded is None else mine.frame[mine.occluded].tolist()


def given(tracks: Tracks, name: str, object_id: int = 1) -> list[object]:
    mine = tracks.of_object(object_id)
    return [(one or {}).get(name) for one in mine.attributes]


def test_what_is_said_holds_until_it_is_said_anew_and_outlives_tracking_again():
    made = tracked()
    made.describe(1, 3, occluded=True, pose="sits")
    made.describe(1, 6, occluded=False)
    made.describe(1, 8, pose="lies")
    made.describe(1, colour="red")
    for _ in range(2):
        assert hidden(made.tracks) == [3, 4, 5]
        assert given(made.tracks, "pose") == [None] * 3 + ["sits"] * 5 + ["lies"] * 4
        made.correct(box(40, 4))
        made.retrack(progress=False)
    assert made.tracks.record.objects == {"1": {"colour": "red"}}
    assert (made.described(1), made.described(1, 5)) == (
        {"colour": "red"},
        {"occluded": True, "pose": "sits"},
    )
    made.describe(1, 8, pose=None)
    assert given(made.tracks, "pose")[7:] == ["sits"] + [None] * 4
    made.undo()
    assert given(made.tracks, "pose")[8] == "lies"
    made.describe(1, colour=None)
    assert made.tracks.record.objects is None


def test_an_object_leaves_the_view_until_its_next_figure():
    made = tracked(box(10), box(40, 9))
    made.mark_outside(1, 4)
    mine = made.tracks.of_object(1)
    assert mine.frame[mine.outside].tolist() == mine.frame[~mine.visible].tolist() == [4, 5, 6, 7, 8]
    made.retrack(progress=False)
    assert made.tracks.of_object(1).visible.tolist() == [True] * 4 + [False] * 5 + [True] * 3
    made.correct(box(30, 6))
    assert made.tracks.of_object(1).frame[made.tracks.of_object(1).outside].tolist() == [4, 5]
    made.remove(1, 5)  # the word on one of its frames: it ends before it
    assert made.tracks.of_object(1).frame[made.tracks.of_object(1).outside].tolist() == [4]
    made.remove(1, 4)
    assert made.state.outside[1] == ()
    made.mark_gone(1, 11)
    with pytest.raises(InputError, match="gone from frame 11"):
        made.mark_outside(1, 11)


def test_attributes_go_with_identities():
    made = tracked(box(10), box(60, 0, 2))
    made.describe(1, 2, occluded=True)
    made.describe(1, kind="van")
    made.mark_outside(2, 10)
    made.swap(1, 2, 6)
    assert (hidden(made.tracks, 1), hidden(made.tracks, 2)) == ([2, 3, 4, 5], [6, 7, 8, 9, 10, 11])
    assert [s.state.outside for s in (made,)] == [{1: ((10, 12),)}]
    new = made.split(1, 4)
    assert (hidden(made.tracks, 1), hidden(made.tracks, new)) == ([2, 3], [4, 5])
    assert made.tracks.record.objects == {"1": {"kind": "van"}, str(new): {"kind": "van"}}
    made.merge(1, new)
    assert hidden(made.tracks, 1) == [2, 3, 4, 5]
    made.remove(1)
    assert 1 not in {*made.state.attributes, *made.state.about, *made.state.outside}


def test_a_colleagues_attributes_outlive_tracking_again_and_are_changed_by_a_word():
    frame = np.arange(N)
    boxes = np.stack([5 + frame, 0 * frame + 10, 15 + frame, 0 * frame + 20], axis=1)
    tracks = Tracks.of(
        frame,
        1,
        boxes,
        occluded=frame >= 7,
        attributes=[{"pose": "sits"} if f < 5 else None for f in frame],
        record=Record(objects={"1": {"make": "A"}}),
    )
    made = Session.of(VIDEO, tracks, Drifts)
    assert made.tracks.to_frame().equals(tracks.to_frame())
    made.correct(box(30, 2))
    made.retrack(progress=False)
    assert hidden(made.tracks) == [7, 8, 9, 10, 11]
    assert given(made.tracks, "pose") == ["sits"] * 5 + [None] * 7
    made.describe(1, 3, occluded=True)  # until the colleague's next word
    made.describe(1, make="B")
    assert hidden(made.tracks) == list(range(3, N))
    assert made.tracks.record.objects == {"1": {"make": "B"}}


def test_file_and_formats_keep_them(tmp_path):
    made = Session(VIDEO, "ncc")
    made.add(box(10))
    made.interpolate()
    made.add(box(40, 9))
    made.interpolate()
    made.describe(1, 3, occluded=True, pose="sits")
    made.describe(1, colour="red")
    made.mark_outside(1, 6)
    again = Session.load(made.save(tmp_path / "a.session.parquet"), VIDEO)
    assert again.state.attributes == made.state.attributes
    assert again.tracks.to_frame().equals(made.tracks.to_frame())
    assert again.tracks.record.objects == {"1": {"colour": "red"}}
    layout = find_format("cvat")
    lost = set(layout.losses(made.tracks))
    assert not lost & {"occluded", "outside", "attributes"}
    back = read_tracks(layout.write_tracks(made.tracks, tmp_path / "out.xml"), "cvat")
    assert hidden(back.seen()) == hidden(made.tracks.seen())
    assert given(back.seen(), "pose") == given(made.tracks.seen(), "pose")
    assert back.record.objects["1"]["colour"] == "red"
    assert back.seen().frame.tolist() == [*range(6), 9]


@pytest.mark.parametrize(
    ("values", "word"), [({"a": {1, 2}}, "JSON"), ({"occluded": 3}, "True or False"), ({" ": 1}, "name")]
)
def test_what_can_be_no_attribute_is_refused(values, word):
    made = tracked()
    with pytest.raises(InputError, match=word):
        made.describe(1, 2, **values)
    with pytest.raises(InputError, match="frame"):
        made.describe(1, occluded=True)
