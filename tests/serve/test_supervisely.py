"""Supervisely's door, by the kit and by what the kit can't see."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision as sv
from typer.testing import CliRunner

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vtlab[serve]'")

from vtlab.cli import app
from vtlab.contracts import Card, Detector, Observation
from vtlab.prompts import BoxPrompt, PointPrompt, SkeletonPrompt
from vtlab.registry import load_file
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.scaffold import write_scaffold
from vtlab.serve.supervisely import Supervisely
from vtlab.serve.supervisely_absent import NOT_HERE
from vtlab.serve.supervisely_detection import Detection
from vtlab.serve.supervisely_figures import Shape, to_geometry, to_prompt
from vtlab.serve.web import running
from vtlab.testing.hosts.base import Client, until
from vtlab.testing.hosts.kits import KITS
from vtlab.testing.hosts.supervisely import GEOMETRIES, RING, FakeSupervisely
from vtlab.testing.hosts.supervisely_app import App
from vtlab.testing.hosts.supervisely_kit import SUPERVISELY
from vtlab.testing.toys import TOYS, ShiftBox

TOKEN = "a-token-of-the-server"


class Squares(Detector):
    """Finds the square of the fake host's clip."""

    card = Card("squares", "detector")

    def detect(self, frames):
        found = []
        for image in frames:
            ys, xs = np.nonzero(image[..., 0] > 150)
            box = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
            names = {"class_name": np.array(["square"])}
            made = sv.Detections(
                np.array(box, float), confidence=np.array([0.9]), class_id=np.array([0]), data=names
            )
            found.append(made)
        return found


class Vanish(ShiftBox):
    """A box that becomes a speck."""

    card = Card("vanish", "sot", accepts=frozenset({BoxPrompt}))

    def step(self, frame):
        x, y = self._box[:2]
        return Observation((x, y, x + 2, y + 2)) if frame.index > 5 else Observation(self._box)


@contextlib.contextmanager
def served(*arguments):
    """`vtlab serve` in a process of its own, ended as by Ctrl-C."""
    command = [
        sys.executable,
        "-m",
        "vtlab",
        "serve",
        *arguments,
        "--port",
        "0",
        "--no-token",
        "--allow-private",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            yield re.search(r"http://\S+", line)[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, -signal.SIGINT, 130)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def fake():
    with FakeSupervisely() as made:
        yield made


@pytest.fixture(scope="module")
def door(fake):
    return Supervisely(Core(TOYS), Outward((fake.address,), private=True))


@pytest.fixture(scope="module")
def url(door):
    with running([door], TOKEN) as address:
        yield address


@pytest.mark.parametrize("check", SUPERVISELY, ids=str)
def test_the_door_keeps_the_contract(check, url, fake):
    check("supervisely", url=url, token=TOKEN, fake=fake)


def test_the_commands_serve_and_check(tmp_path):
    """`vtlab serve` in a process of its own, `vtlab check host` against it, Ctrl-C ends it."""
    with FakeSupervisely() as host, served("supervisely", "-t", "ncc", "--allow-host", host.address) as url:
        file = tmp_path / "found.xml"
        arguments = ["check", "host", "supervisely", "--url", url, "--junit", str(file)]
        results = KITS["supervisely"].results("supervisely", url=url, fake=host)
        assert not [r for r in results if r.state == "fail"]
        arguments += ["--fake-port", "0", "--json"]
        said = CliRunner().invoke(app, arguments)  # its own fake host is none that the server may ask
        assert said.exit_code == 1
        found = json.loads(said.stdout)
        assert {r["state"] for r in found} >= {"pass", "fail"}
        suite = ElementTree.parse(file).getroot()
        assert int(suite.get("failures")) == sum(r["state"] == "fail" for r in found)
        assert len(suite) == len(found) == len(KITS["supervisely"])


def test_serve_refuses_what_it_cannot_do():
    for arguments, why in {
        ("supervisely", "-t", "csrt", "--host", "0.0.0.0", "--no-token"): "others would reach it",
        ("supervisely",): "needs a tracker",
        ("supervisly", "-t", "csrt"): "Did you mean 'supervisely'",
        ("supervisely", "-t", "csrt", "--allow-host", "file:///etc"): "An allowed host",
        ("supervisely", "--detector", "yolo-onnx:nowhere.onnx"): "there is no file",
    }.items():
        said = CliRunner().invoke(app, ["serve", *arguments])
        assert said.exit_code == 1
        assert why in str(said.exception)


def test_a_detector_finds_and_writes_objects(fake, url, door):
    fake.forget()
    client = Client(url, TOKEN)
    state = {"videoId": 77, "startFrameIndex": 0, "endFrameIndex": 10, "trackId": "D1", "tracker": "botsort"}
    body = {"state": state, "context": {}, "server_address": fake.address, "api_token": "x"}
    assert client.post("/tracking_by_detection", body)[0] == 400
    assert client.post("/get_tracking_settings", body) == (200, {})
    door.detection = Detection(Squares)
    try:
        told = client.post("/get_tracking_settings", body)[1]["botsort"]
        assert told["track_high_thresh"] == 0.6
        body["state"] = {**state, "tracker_settings": {**told, "with_reid": False}}
        assert client.post("/tracking_by_detection", body) == (200, {"message": "Track task started."})
        done = {"current": 10, "total": 10}
        until(
            lambda: fake.told("error") or (fake.told("progress") or [{}])[-1].get("progress") == done,
            "the end",
        )
        assert not fake.told("error")
        frames = [f["meta"]["frame"] for f in fake.written]
        assert frames == list(range(frames[0], 10))
        assert frames[0] <= 1
        assert {f["objectId"] for f in fake.written} == {7001}
        assert fake.written[-1]["geometry"] == {"points": {"exterior": [[56, 30], [85, 59]], "interior": []}}
        assert [c["title"] for c in fake.classes] == ["car", "square"]
        for name, value in {
            "stride": 0,
            "tracker": "sort",
            "startFrameIndex": -1,
            "tracker_settings": {"x": 1},
        }.items():
            body["state"] = {**state, name: value}
            assert client.post("/tracking_by_detection", body)[0] == 400
    finally:
        door.detection = None


def test_what_is_not_here_is_said_and_documented(url):
    text = (Path(__file__).parents[2] / "docs/serve/supervisely.md").read_text()
    listed = re.search(r"\*\*Not here\*\*: (.*?)\n\n", text, re.DOTALL)[1]
    assert set(re.findall(r"`/(\w+)`", listed)) == set(NOT_HERE)
    for name in NOT_HERE:
        status, told = Client(url, TOKEN).post(f"/{name}", {"context": {"videoId": 77}})
        assert (status, told["success"]) == (501, False)
        assert name in told["error"]


def test_a_legacy_app_tells_the_tool_of_every_error_and_lives_on(tmp_path, monkeypatch):
    """The SDK ends an app out of whose callback an error comes."""
    made = types.SimpleNamespace(callback=lambda name: lambda function: function)
    service = types.ModuleType("supervisely.app.v1.app_service")
    service.AppService = lambda: made
    sdk = types.ModuleType("supervisely")
    sdk.timeit = lambda function: function
    names = ("supervisely", "supervisely.app", "supervisely.app.v1", "supervisely.app.v1.app_service")
    for name in names:
        monkeypatch.setitem(
            sys.modules, name, {names[0]: sdk, names[3]: service}.get(name, types.ModuleType(name))
        )
    write_scaffold("supervisely-legacy", tmp_path, ("ncc",))
    with FakeSupervisely() as host:
        monkeypatch.setenv("SERVER_ADDRESS", host.address)
        monkeypatch.setenv("VTLAB_ALLOW_PRIVATE", "1")
        track = load_file(f"{tmp_path / 'main.py'}:track", "function")
        api, said = types.SimpleNamespace(server_address=host.address, token="x"), []
        log = types.SimpleNamespace(error=said.append)
        host.draw(501, 601)
        context = {
            "videoId": 77,
            "figureIds": [501],
            "objectIds": [601],
            "frameIndex": 3,
            "frames": 2,
            "trackId": "L",
        }
        for wrong in ({"figureIds": [999]}, {"frames": 0}):
            track(api, 1, {**context, **wrong}, {}, log)
        assert len(said) == len(host.told("error")) == 2
        track(api, 1, context, {}, log)
        assert [f["meta"]["frame"] for f in host.written] == [4, 5]


def test_an_object_that_leaves_is_told(fake, url, door, monkeypatch):
    fake.forget()
    context = App(url, fake, TOKEN).context({501: 601}, detectOffScreen=True, frames=11, frameIndex=0)
    monkeypatch.setattr(door.core, "trackers", (Vanish,))
    body = {"context": context, "server_address": fake.address, "api_token": "x"}
    assert Client(url, TOKEN).post("/track", body)[0] == 200
    until(lambda: fake.told("warning"), "the warning")
    assert fake.told("warning")[0]["message"].startswith("[Off-Screen Detection] Figure 501")


@pytest.mark.parametrize("kind", GEOMETRIES)
def test_geometries_come_back_as_they_were(kind):
    prompt, shape = to_prompt(kind, GEOMETRIES[kind], (120, 160), "it")
    again = to_geometry(prompt, shape, (120, 160))
    if kind == "bitmap":
        again["bitmap"]["data"] = RING if len(again["bitmap"]["data"]) == len(RING) else ""
    assert again == GEOMETRIES[kind]


def test_geometries_are_cut_to_the_image():
    box = to_geometry(BoxPrompt((-10, -5, 20, 300)), Shape("rectangle"), (120, 160))
    assert box == {"points": {"exterior": [[0, 0], [19, 119]], "interior": []}}
    gone = [BoxPrompt((160, 0, 170, 9)), BoxPrompt((-9, 0, -1, 9), angle=0.2), PointPrompt([(-3, 4)])]
    kinds = ("rectangle", "oriented_bbox", "point")
    assert [to_geometry(p, Shape(k), (120, 160)) for p, k in zip(gone, kinds, strict=True)] == [None] * 3
    holed = {
        "points": {
            "exterior": [[0, 0], [40, 0], [40, 40], [0, 40]],
            "interior": [[[9, 9], [19, 9], [19, 19]]],
        }
    }
    prompt, shape = to_prompt("polygon", holed, (120, 160), "it")
    assert to_geometry(prompt, shape, (120, 160)) == holed
    half = to_geometry(prompt, shape, (120, 15))["points"]
    assert max(x for x, _ in half["exterior"]) == 14
    assert len(half["interior"]) == 1
    node = SkeletonPrompt([(5, 5), (400, 5)], ("a", "b"))
    nodes = to_geometry(node, Shape("graph"), (120, 160))["nodes"]
    assert nodes == {"a": {"loc": [5, 5]}, "b": {"loc": [159, 5], "disabled": True}}


RECORDED = json.loads(Path(__file__).with_name("recorded_supervisely.json").read_text())


@pytest.mark.parametrize("said", RECORDED, ids=lambda said: f"{said['app']}-{said['name']}")
def test_recorded_requests_are_answered_as_the_official_app_does_or_better(said, fake, url, door):
    """What the official app with the same toy tracker answered (supervisely 6.74.51), where it isn't faulty."""
    until(lambda: not door.core.jobs.count, "the end of earlier jobs")
    fake.forget()
    client, context = Client(url, TOKEN), said["context"]
    fake.draw(501, 601)
    if said["name"] == "pop":
        start = next(entry["context"] for entry in RECORDED if entry["name"] == "track_async")
        body = {"state": {}, "context": start, "server_address": fake.address, "api_token": "x"}
        name = client.post("/track_async", body)[1]["inference_request_uuid"]
        context = {**context, "inference_request_uuid": name}
        until(lambda: len(fake.told("progress")) == start["frames"], "the end")
    body = {"state": {}, "server_address": fake.address, "api_token": "x"} | (
        {"context": context} if context else {}
    )
    status, told = client.post(said["path"], body)
    if said["name"] in ("track_missing_key", "no_state_keys"):
        assert (said["status"], status) == (200, 400)
    elif said["name"] == "pop":
        assert set(said["response"]) <= set(told)
        assert [row[1:] for row in told["pending_results"]] == [
            row[1:] for row in said["response"]["pending_results"]
        ]
    elif said["name"] == "track_async":
        assert told["message"] == said["response"]["message"]
    elif said["name"] == "track-api" and said["app"] == "mask":  # theirs lost the second of two equal masks
        assert [row[:1] for row in told] == said["response"]
        assert [len(row) for row in told] == [2, 2, 2]
    else:
        assert (status, told) == (said["status"], said["response"])
