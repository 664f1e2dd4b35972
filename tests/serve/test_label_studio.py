"""Label Studio's door, against a fake of its streams."""

from __future__ import annotations

import copy

import pytest

from vtlab.serve.door import Call
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.jobs import RefusedError
from vtlab.serve.label_studio import LabelStudio
from vtlab.testing.hosts.base import FakeHost, Reply
from vtlab.testing.hosts.dataloop import clip
from vtlab.testing.toys import TOYS

CONFIG = (
    '<View><Labels name="l" toName="clip"><Label value="car"/></Labels><Video name="clip" value="$film"/>'
    '<VideoRectangle name="r" toName="clip"/></View>'
)
KEY = {
    "frame": 3,
    "time": 0.08,
    "x": 12.5,
    "y": 25.0,
    "width": 18.75,
    "height": 25.0,
    "rotation": 0,
    "enabled": True,
}
REGION = {
    "id": "abc",
    "type": "videorectangle",
    "from_name": "r",
    "to_name": "clip",
    "value": {"framesCount": 12, "duration": 0.48, "labels": ["car"], "sequence": [KEY]},
}


class FakeLabelStudio(FakeHost):
    """Serves a task's video to whoever shows the key."""

    content = b""

    def answer(self, method, path, body):
        shown = self.traffic[-1][3].get("authorization")
        return Reply(self.content, kind="video/mp4") if shown == "Token key" else Reply({}, 401)


@pytest.fixture(scope="module")
def host():
    with FakeLabelStudio() as made:
        made.content = clip()
        yield made


@pytest.fixture(scope="module")
def door(host):
    made = LabelStudio(Core(TOYS), Outward((host.address,), private=True))
    made.key = "key"
    yield made
    made.core.close()


def ask(door, *regions, tasks=None, **more):
    context = {"context": {"result": list(regions)}}
    given = [{"id": 1, "data": {"film": "/data/clip.mp4"}}] if tasks is None else tasks
    return door.predict(
        Call(body={"tasks": given, "label_config": CONFIG, "params": context, **more})
    ).result(30)


def test_boxes_are_carried_to_the_end_under_their_ids(door):
    other = {**copy.deepcopy(REGION), "id": "7"}
    other["value"]["sequence"][0]["x"] = 25.0
    (told,) = ask(door, REGION, other)["results"]
    assert [r["id"] for r in told["result"]] == ["abc", "7"]
    assert told["model_version"] == "vtlab shift-box" or told["model_version"].startswith("vtlab ")
    for region, x in zip(told["result"], (12.5, 25.0), strict=True):
        assert (region["type"], region["from_name"], region["to_name"]) == ("videorectangle", "r", "clip")
        assert region["value"]["labels"] == ["car"]
        assert region["value"]["framesCount"] == 12
        keys = region["value"]["sequence"]
        assert [k["frame"] for k in keys] == list(range(3, 13))
        assert keys[0]["x"] == pytest.approx(x)
        assert keys[4]["x"] == pytest.approx(x + 100 * 16 / 160)
        assert [k["enabled"] for k in keys] == [True] * 9 + [False]


def test_a_later_box_corrects(door):
    region = copy.deepcopy(REGION)
    region["value"]["sequence"].append({**KEY, "frame": 8, "x": 50.0, "time": 0.28})
    keys = ask(door, region)["results"][0]["result"][0]["value"]["sequence"]
    assert {k["frame"]: k["x"] for k in keys}[8] == pytest.approx(50.0)
    assert {k["frame"]: k["x"] for k in keys}[9] == pytest.approx(52.5)


def test_tasks_without_boxes_are_answered_empty_and_annotations_are_taken(door):
    tasks = [
        {"data": {"film": "/data/clip.mp4"}},
        {"data": {"film": "/c.mp4"}, "annotations": [{"result": [REGION]}]},
    ]
    first, second = ask(door, tasks=tasks)["results"]
    assert first["result"] == []
    assert len(second["result"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tasks": []},
        {"tasks": [5]},
        {"tasks": [{"data": {"film": "file:///etc/passwd"}, "annotations": [{"result": [REGION]}]}]},
        {"tasks": [{"data": {"film": "http://10.0.0.1/x"}, "annotations": [{"result": [REGION]}]}]},
        {"tasks": [{"data": {}, "annotations": [{"result": [REGION]}]}]},
        {"tasks": [{"data": {"film": "/x"}, "annotations": [{"result": 5}]}]},
        {"tasks": [{"data": {"film": "/x"}, "annotations": [{"result": [{**REGION, "value": {}}]}]}]},
        {"tasks": [{"data": {"film": "/x"}}], "label_config": "<View"},
    ],
)
def test_what_is_wrong_is_refused(door, body):
    with pytest.raises(RefusedError):
        door.predict(Call(body={"label_config": CONFIG, **body})).result(30)


def test_it_says_what_it_is(door):
    assert door.routes()["POST /setup"](Call()) == {"model_version": door.version}
