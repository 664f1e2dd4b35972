"""The clients of annotation platforms drive vtlab's doors, and the kit judges a platform's own app."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judges.asking import PROJECT, ask, python
from vtlab.serve.door import Call
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.label_studio import LabelStudio
from vtlab.serve.scaffold import write_scaffold
from vtlab.serve.supervisely import Supervisely
from vtlab.serve.web import running
from vtlab.testing.hosts.base import Client
from vtlab.testing.hosts.cvat import FUNCTION, SHAPES, FakeCvat
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
    moving = ("forward: each frame", "backward: frames")
    assert [check for check in found if check.startswith(moving) and found[check] != "pass"] == []
    assert found["stop: within one frame when the tool answers that it should"] == "fail"
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


def test_dataloops_runner_runs_the_service(tmp_path):
    write_scaffold("dataloop", tmp_path, ("ncc",))
    main, box = tmp_path / "main.py", [{"x": 20, "y": 30, "z": 0}, {"x": 50, "y": 60, "z": 0}]
    with FakeDataloop() as host:
        allowed = f"Tracker('ncc', hosts=('{host.address}',), private=True)"
        main.write_text(main.read_text().replace("Tracker('ncc')", allowed))
        given = {"item_stream_url": host.stream, "bbs": {"a": box}, "start_frame": 2, "frame_duration": 4}
        inputs = [{"name": name, "value": value} for name, value in {**given, "dl": None}.items()]
        (tmp_path / "mock.json").write_text(json.dumps({"inputs": inputs, "config": {}}))
        found = ask(
            "dataloop_service", str(tmp_path), host.token(), PYTHONPATH=str(PROJECT), HOME=str(tmp_path)
        )
    assert [int(frame) for frame in found["a"]] == [2, 3, 4, 5]
    assert all(len(corners) == 2 for corners in found["a"].values())


def test_cvats_agent_runs_the_function(tmp_path):
    """The real `cvat-cli function run-agent` asks a fake server for its work and runs the file of the scaffold."""
    write_scaffold("cvat-agent", tmp_path, ("ncc", "lucas-kanade"))
    kinds = [kind for kind in SHAPES if kind != "mask"]  # no tracker of masks among the two
    shapes = [{"type": kind, "points": SHAPES[kind]} for kind in kinds]
    plan = [("init_tracking", {"frame": 0, "shapes": shapes}), *(("track", {"frame": n}) for n in (1, 2, 3))]
    plan += [("track", {"frame": 4, "states": ["none"]})]
    plan += [
        ("init_tracking", {"frame": 0, "shapes": [{"type": kind, "points": []}]})
        for kind in ("mask", "points")
    ]
    command = [
        python("cvat_agent").with_name("cvat-cli"),
        "--server-host",
        "http://127.0.0.1",
        "--server-port",
    ]
    plain = {**os.environ, "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path), "CVAT_ACCESS_TOKEN": "of-cvat"}
    with FakeCvat(plan) as host:
        command += [re.search(r"\d+$", host.address)[0], "function", "run-agent", str(FUNCTION), "--burst"]
        command += ["--function-file", tmp_path / "func.py"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=plain)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [state for state, _ in host.answers] == ["complete"] * 4 + ["fail"] * 3
    for n, (_, told) in enumerate(host.answers[1:4], 1):
        assert [shape["type"] for shape in told["shapes"]] == kinds
        moved = {
            kind: shape["points"][0] - SHAPES[kind][0]
            for kind, shape in zip(kinds, told["shapes"], strict=True)
        }
        assert moved["skeleton"] == pytest.approx(4 * n, abs=1)
    assert "not found" in host.answers[4][1]["exc_info"]


def test_the_steps_of_the_dockerfile_lead_to_a_server(tmp_path):
    """The steps of the scaffold's Dockerfile, one by one in an environment that has nothing; only its user is left out."""
    (file,) = write_scaffold("docker", tmp_path / "deploy", ("ncc",))
    steps = [line.partition(" ")[::2] for line in file.read_text().splitlines() if line[:1].isupper()]
    assert [name for name, _ in steps] == ["FROM", "COPY", "RUN", "RUN", "USER", "WORKDIR", "EXPOSE", "CMD"]
    plain, home = tmp_path / "plain", tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-m", "venv", plain], check=True, timeout=120)
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_"))}
    clean = {
        **kept,
        "PATH": f"{plain}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "VTLAB_SERVE_TOKEN": "of-docker",
    }
    names = ["pyproject.toml", "README.md", "LICENSE", "constraints.txt"]
    for name in names:
        if (PROJECT / name).exists():
            shutil.copy(PROJECT / name, tmp_path / name)
    shutil.copytree(PROJECT / "vtlab", tmp_path / "vtlab", ignore=shutil.ignore_patterns("__pycache__"))
    install = steps[2][1].replace("/src", str(tmp_path))
    done = subprocess.run(
        install, shell=True, env=clean, cwd=home, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    command = [*json.loads(steps[-1][1]), "--port", "0"]
    with subprocess.Popen(command, env=clean, cwd=home, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = re.search(r"http://0\.0\.0\.0:(\d+)", server.stderr.readline())[1]
            client = Client(f"http://127.0.0.1:{port}", "of-docker")
            assert client.ask("GET", "/health")[0] == 200
            assert client.post("/jobs", {})[0] == 400
            assert Client(client.address).post("/jobs", {})[0] == 401
            server.send_signal(signal.SIGINT)
            server.wait(30)
        finally:
            server.kill()


def test_the_sdk_of_supervisely_runs_the_legacy_app(tmp_path):
    write_scaffold("supervisely-legacy", tmp_path, ("ncc",))
    with FakeSupervisely() as host:
        host.draw(501, 601)
        told = ask(
            "supervisely_legacy", str(tmp_path), host.address, PYTHONPATH=str(PROJECT), HOME=str(tmp_path)
        )
        assert "track" in told["callbacks"]
        assert [f["meta"] for f in host.written] == [
            {"frame": n, "sourceFigureId": 501} for n in (4, 5, 6, 7)
        ]
        assert {f["trackId"] for f in host.written} == {"L1"}
        assert [data["error"]["message"] != "" for data in host.told("error")] == [True] * 2


def test_vots_toolkit_runs_the_class(tmp_path):
    """`vot test`: the real toolkit and its worker on a synthetic sequence of several objects."""
    (file,) = write_scaffold("vot", tmp_path, ("ncc",))
    command = [python("vot_tracker").with_name("vot"), "--registry", file, "test", "ncc"]
    plain = {**os.environ, "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=plain, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "Processing frame 49/49" in said
    assert "Test concluded" in said
