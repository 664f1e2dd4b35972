"""The clients of annotation platforms drive vtlab's doors, and the kit judges a platform's own app."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.judges.asking import ask, python
from vtlab.serve.door import Call
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.label_studio import LabelStudio
from vtlab.serve.supervisely import Supervisely
from vtlab.serve.web import running
from vtlab.testing.hosts.dataloop import FakeDataloop
from vtlab.testing.hosts.supervisely import GEOMETRIES, FakeSupervisely
from vtlab.testing.hosts.supervisely_kit import SUPERVISELY
from vtlab.testing.toys import TOYS

pytestmark = pytest.mark.judge


def test_the_client_of_supervisely_reads_what_the_door_answers():
    script = Path(__file__).with_name("supervisely_client.py")
    with FakeSupervisely() as fake:
        door = Supervisely(Core(TOYS), Outward((fake.address,), private=True))
        with running([door]) as url:
            done = subprocess.run(
                [python("supervisely"), script, url, fake.address],
                input=json.dumps(GEOMETRIES),
                capture_output=True,
                text=True,
                timeout=280,
            )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["info"]["task_type"] == "tracking"
    assert told["settings"] == {}
    names = {"rectangle": "Rectangle", "bitmap": "Bitmap", "point": "Point", "graph": "GraphNodes"}
    names |= {"polygon": "Polygon", "line": "Polyline", "oriented_bbox": "OrientedBBox"}
    assert told["read"] == {kind: [name] * 3 for kind, name in names.items()}


def test_the_kit_finds_the_faults_of_the_official_app():
    script = Path(__file__).with_name("supervisely_app.py")
    with (
        FakeSupervisely() as fake,
        subprocess.Popen(
            [python("supervisely"), script, fake.address],
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
        ) as app,
    ):
        try:
            line = next(line for line in app.stdout if line.startswith('{"port"'))
            url = f"http://127.0.0.1:{json.loads(line)['port']}"
            found = {r.check: r.state for r in SUPERVISELY.results("supervisely", url=url, fake=fake)}
        finally:
            app.kill()
    assert [check for check in found if check.startswith("goes ") and found[check] != "pass"] == []
    assert found["stops within one frame when the tool answers that it should"] == "fail"
    assert sum(state == "fail" for state in found.values()) >= 10


def test_the_sdk_of_label_studio_takes_the_predictions(tmp_path):
    key = {
        "frame": 3,
        "time": 0.08,
        "x": 12.5,
        "y": 25.0,
        "width": 18.75,
        "height": 25.0,
        "rotation": 0,
        "enabled": True,
    }
    value = {"framesCount": 12, "duration": 0.48, "labels": ["car"], "sequence": [key]}
    region = {"id": "a", "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}
    config = (
        '<View><Labels name="l" toName="video"><Label value="car"/></Labels><Video name="video" value="$video"/>'
        '<VideoRectangle name="box" toName="video"/></View>'
    )
    with FakeDataloop() as host:
        door = LabelStudio(Core(TOYS), Outward((host.address,), private=True))
        address = f"{host.stream}?jwt={host.token()}"
        body = {"tasks": [{"data": {"video": address}}], "params": {"context": {"result": [region]}}}
        try:
            (found,) = door.predict(Call(body=body)).result(60)["results"]
        finally:
            door.core.close()
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([{"annotations": [], "predictions": [found]}]))
    told = ask("label_studio", file, config)
    assert told["wrong"] in ([], None)
    assert [s["frame"] for s in told["result"][0]["value"]["sequence"]] == list(range(3, 13))
