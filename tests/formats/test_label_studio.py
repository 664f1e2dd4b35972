"""Label Studio's JSON of video."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.judges.platforms import agrees_with_label_studio, walk
from vtlab import formats
from vtlab.errors import FormatError, TracksError
from vtlab.formats import FORMATS, find_format
from vtlab.sequence import first_prompts
from vtlab.testing.ledger import check_ledger
from vtlab.tracks import Tracks

GOLDEN = Path(__file__).parent / "golden"
FORM = FORMATS["label-studio"]


def key(frame, x=10.0, enabled=True, **more):
    given = {
        "frame": frame,
        "time": frame / 10,
        "x": x,
        "y": 20.0,
        "width": 25.0,
        "height": 30.0,
        "rotation": 0,
    }
    return given | {"enabled": enabled} | more


def task(*sequence, frames=10, size=True, **more):
    value = {"framesCount": frames, "duration": 1.0, "labels": ["car"], "sequence": list(sequence)}
    region = {
        "id": "r1",
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "origin": "manual",
    }
    region |= {"value": value, **({"original_width": 80, "original_height": 60} if size else {}), **more}
    return [{"id": 7, "data": {"video": "/data/clip.mp4"}, "annotations": [{"id": 1, "result": [region]}]}]


def read(tmp_path, content, **options) -> Tracks:
    (tmp_path / "clip.json").write_text(content if isinstance(content, str) else json.dumps(content))
    form = find_format("label-studio", **options)
    (place,) = form.find(tmp_path).values()
    return form.read_sequence(place, images=False).truth


def test_enabled_figures_go_on_to_the_next_and_the_last_one_to_the_end(tmp_path):
    made = read(tmp_path, task(key(2, 10.0), key(4, 20.0, enabled=False), key(8, 20.0)))
    assert made.frame.tolist() == [1, 2, 3, 7, 8, 9]
    assert made.boxes[:, 0].tolist() == [8, 12, 16, 16, 16, 16]
    assert made.boxes[0].tolist() == [8, 12, 28, 30]
    assert made.key.tolist() == [True, False, True, True, False, False]
    assert made.label.tolist() == ["car"] * 6
    assert made.record.id_map == {"1": "r1"}
    np.testing.assert_allclose(made.time, [0.2, 0.3, 0.4, 0.8, 0.9, 1.0])


def test_boxes_turn_about_their_corner(tmp_path):
    made = read(tmp_path, task(key(1, 50.0, enabled=False, rotation=90)))
    assert made.angle[0] == pytest.approx(np.pi / 2)
    x1, y1, x2, y2 = made.boxes[0]
    assert (x2 - x1, y2 - y1) == pytest.approx((20, 18))
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((40 - 9, 12 + 10))


def test_the_size_is_asked_for_where_nobody_says_it(tmp_path):
    with pytest.raises(
        FormatError, match=r"per cent of a frame whose size isn't said. Remedy: put the video beside"
    ):
        read(tmp_path, task(key(1), size=False))
    assert read(tmp_path, task(key(1), size=False), frame_size=(60, 80)).boxes[0].tolist() == [8, 12, 28, 30]
    with pytest.raises(TracksError, match="give tracks with a size"):
        FORM.write_tracks(Tracks.of([0], [1], [[0, 0, 9, 9]]), tmp_path / "a.json")


def test_predictions_are_results_and_other_answers_attributes(tmp_path):
    content = task(key(1), frames=3)
    region = content[0]["annotations"].pop()["result"][0]
    region |= {"origin": "prediction", "score": 0.75}
    more = [
        {"id": "r1", "type": "choices", "from_name": "pose", "value": {"choices": ["up"]}},
        {"id": "r9", "type": "timelinelabels", "value": {}},
    ]
    content[0]["predictions"] = [{"model_version": "m", "result": [region, *more]}]
    made = read(tmp_path, content)
    assert made.score.tolist() == [0.75] * 3
    assert made.source.tolist() == ["tracked", "interpolated", "interpolated"]
    assert made.record.objects == {"1": {"pose": "up"}}
    assert made.record.extra["unread"] == {"timelinelabels": 1}


def test_several_tasks_are_named_by_their_videos(tmp_path):
    one, two = task(key(1))[0], task(key(2))[0]
    two["data"] = {"video": "https://host/a%20b.mp4?token=1"}
    (tmp_path / "export.json").write_text(json.dumps([one, two]))
    assert list(FORM.find(tmp_path)) == ["a b", "clip"]


def altered(change):
    content = task(key(1), key(3))
    change(content[0]["annotations"][0]["result"][0]["value"])
    return content


BAD = {
    "twice": ('[{"data": {"video": "a"}, "data": {}, "annotations": []}]', "an object has 'data' twice"),
    "deep": ('{"annotations": "video", "data": ' + "[" * 100_000, "damaged"),
    "frames": (altered(lambda v: v.update(framesCount=10**9)), "framesCount should be"),
    "beyond": (altered(lambda v: v.update(framesCount=2)), "frame 3 lies beyond the 2"),
    "nan": (altered(lambda v: v["sequence"][0].update(x=float("nan"))), "x should be a number, got 'nan'"),
    "text": (altered(lambda v: v["sequence"][1].pop("width")), "width should be a number, got 'None'"),
    "zero": (
        altered(lambda v: v["sequence"][0].update(frame=0)),
        "frame should be a whole number from 1 on, got 0",
    ),
    "same": (altered(lambda v: v["sequence"][0].update(frame=3)), "frame 3 is there twice"),
    "list": (altered(lambda v: v.update(sequence={})), "expected value with the list sequence"),
    "digits": ('[{"data": {"video": "a"}, "annotations": [], "id": ' + "9" * 9000 + "}]", "damaged"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_hostile_files_name_their_place(name, tmp_path):
    content, told = BAD[name]
    with pytest.raises(FormatError, match=told) as error:
        read(tmp_path, content)
    assert "clip.json" in str(error.value)


def test_what_the_judge_read_is_still_written(tmp_path):
    """Golden: label-studio-sdk 2.1.2 found `label-studio.json` valid and filled in the figures between."""
    made = walk("box", "turned")
    (path,) = formats.write_tracks(made, tmp_path, FORM, sequence="walk")
    assert path.read_text() == (GOLDEN / "label-studio-walk.json").read_text()
    told = json.loads((GOLDEN / "label-studio.json").read_text())
    agrees_with_label_studio(told, path)
    (sequence,) = [FORM.read_sequence(p, images=False) for p in FORM.find(tmp_path).values()]
    check_ledger(made, sequence.truth, FORM.losses(made))
    assert [p.kind for p in first_prompts(sequence.truth)] == ["box", "box"]


def test_what_the_judge_wrote_is_read(tmp_path):
    """All figures as the SDK fills them in, those in between marked `auto`."""
    told = json.loads((GOLDEN / "label-studio.json").read_text())
    content = json.loads((GOLDEN / "label-studio-walk.json").read_text())
    mine = read(tmp_path, content)
    content[0]["annotations"][0]["result"] = told["result"]
    theirs = read(tmp_path, content)
    assert theirs.frame.tolist() == mine.frame.tolist()
    np.testing.assert_allclose(theirs.boxes, mine.boxes, atol=1e-9)
    assert theirs.key.tolist() == mine.key.tolist()
