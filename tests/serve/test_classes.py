"""Trackers as other toolkits run them: CVAT's agent function, VOT, got10k, pytracking; and the files to deploy."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vtlab.cli import app
from vtlab.errors import InputError, RegistryError
from vtlab.registry import load_file
from vtlab.serve.classes import Got10k, Pytracking, Vot
from vtlab.serve.cvat import Function, create, to_points, to_prompt
from vtlab.serve.scaffold import write_scaffold
from vtlab.testing.hosts.base import square
from vtlab.testing.hosts.dataloop import FakeDataloop
from vtlab.testing.toys import TOYS, ShiftBox, ShiftMask

SHAPES = {
    "rectangle": [20.0, 30.0, 50.0, 60.0],
    "points": [20.0, 30.0, 25.0, 35.5],
    "polyline": [20.0, 30.0, 25.0, 35.5],
    "polygon": [20.0, 30.0, 50.0, 30.0, 50.0, 60.0],
    "skeleton": [20.0, 30.0, 25.0, 35.5, 30.0, 50.0],
    "mask": [0.0, 4.0, 1.0, 4.0, 20.0, 30.0, 22.0, 32.0],
}


def shape(kind, points):
    return types.SimpleNamespace(type=kind, points=points)


@pytest.mark.parametrize("kind", SHAPES)
def test_cvats_shapes_move_and_keep_their_type(kind):
    function = Function(TOYS)
    assert sorted(function.shapes) == sorted(SHAPES)
    frames = [function.preprocess_image(None, Image.fromarray(square(n)).convert("RGBA")) for n in range(3)]
    state = function.init_tracking_state(None, frames[0], shape(kind, SHAPES[kind]))
    other = function.init_tracking_state(None, frames[0], shape(kind, SHAPES[kind]))
    found = [function.step(frame, state) for frame in frames[1:]]
    moved = np.array(SHAPES[kind])
    if kind == "mask":
        moved[[-4, -2]] += 8
    else:
        moved[::2] += 8
    assert found[1] == moved.tolist()
    assert function.step(frames[1], other) == found[0]  # states share nothing
    assert all(isinstance(v, float) for v in found[0])


@pytest.mark.parametrize("kind", SHAPES)
def test_cvats_shapes_come_back_as_they_were(kind):
    assert to_points(to_prompt(kind, SHAPES[kind], (120, 160)), (120, 160)) == SHAPES[kind]


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        *(
            ("rectangle", [1, 2, 3]),
            ("skeleton", [1, 2, 3]),
            ("mask", [0, 9, 0, 0, 500, 3]),
            ("polygon", [1, 2]),
        ),
        *(("points", [1, float("nan")]), ("points", []), ("mask", [1, 2, 2, 2, 3, 3])),
    ],
)
def test_cvats_wrong_shapes_are_refused(kind, points):
    with pytest.raises(InputError):
        to_prompt(kind, points, (120, 160))


def test_cvats_function_knows_what_it_follows():
    assert create("csrt").shapes == ["rectangle"]
    assert create("ncc,lucas-kanade").shapes == ["rectangle", "polygon", "polyline", "points", "skeleton"]
    with pytest.raises(InputError, match="no shape"):
        create("bytetrack")
    lost = Function((ShiftBox,), {"step": 200.0})
    state = lost.init_tracking_state(None, square(0), shape("rectangle", SHAPES["rectangle"]))
    assert lost.step(square(1), state) is None


def test_vots_protocol(tmp_path):
    files = []
    for n in range(4):
        files.append(tmp_path / f"{n}.png")
        Image.fromarray(square(n)).save(files[-1])
    tracker = Vot(ShiftBox, step="4.0")
    first = tracker.initialize(str(files[0]), [((20, 30, 30, 30), {}), ((20, 30, 50, 30, 50, 60), {})])
    assert [region for region, _ in first] == [(20.0, 30.0, 30.0, 30.0)] * 2
    second = tracker.update({"color": str(files[1])})
    assert [region[0] for region, _ in second] == [24.0, 24.0]
    third = tracker.update(files[2], [(5.0, 6.0, 9.0, 9.0)])
    assert [region[0] for region, _ in third] == [28.0, 28.0, 5.0]
    assert [about["confidence"] for _, about in third] == [1.0, 1.0, 1.0]
    masked = Vot(ShiftMask)
    assert masked.initialize(files[0], [(square(0)[..., 0] > 150, {})])[0][0] == (20.0, 30.0, 30.0, 30.0)
    assert masked.update(files[1])[0][0][0] == 24.0
    with pytest.raises(InputError, match="rectangle or a polygon"):
        Vot(ShiftBox).initialize(files[0], [(1, 2, 3)])


def test_got10k_and_pytracking(tmp_path):
    tracker = Got10k(ShiftBox)
    tracker.init(Image.fromarray(square(0)), np.array([21, 31, 30, 30]))
    assert tracker.update(Image.fromarray(square(1))).tolist() == [25, 31, 30, 30]
    files = []
    for n in range(3):
        files.append(str(tmp_path / f"{n}.jpg"))
        Image.fromarray(square(n)).save(files[-1])
    boxes, seconds = tracker.track(files, np.array([21, 31, 30, 30]))
    assert boxes[:, 0].tolist() == [21, 25, 29]
    assert (seconds > 0).all()
    other = Pytracking(ShiftBox, lost_from=2)
    other.initialize(square(0), {"init_bbox": [20, 30, 30, 30]})
    assert other.track(square(1)) == {"target_bbox": [24.0, 30.0, 30.0, 30.0], "object_presence_score": 1.0}
    assert other.track(square(2))["object_presence_score"] == 0.0
    mask = Pytracking(ShiftMask)
    mask.initialize(square(0), {"init_mask": square(0)[..., 0] > 150})
    assert mask.track(square(1))["segmentation"].sum() == 900
    with pytest.raises(InputError, match="windows"):
        Got10k("auto")


@pytest.mark.parametrize("name", ["dataloop", "cvat-agent", "vot", "supervisely-legacy", "docker"])
def test_scaffolds_are_whole(name, tmp_path):
    said = CliRunner().invoke(app, ["serve", "--scaffold", name, str(tmp_path), "-t", "csrt"])
    assert said.exit_code == 0, said.exception
    files = {file.name: file.read_text() for file in tmp_path.iterdir()}
    for file, text in files.items():
        if file.endswith(".py"):
            compile(text, file, "exec")
        if file.endswith(".json"):
            json.loads(text)
    assert any("csrt" in text for text in files.values())


def test_dataloops_service_takes_the_token_of_its_session(tmp_path, monkeypatch):
    """The platform declares `dl`, gives None, and calls by the declared names."""
    client = types.SimpleNamespace(BaseServiceRunner=object, token=lambda: "of-dataloop")
    monkeypatch.setitem(sys.modules, "dtlpy", client)
    write_scaffold("dataloop", tmp_path, ("ncc",))
    (module,) = json.loads((tmp_path / "package.json").read_text())["modules"]
    names = [entry["name"] for entry in module["functions"][0]["input"]]
    with FakeDataloop() as host:
        main = tmp_path / "main.py"
        allowed = f"Tracker('ncc', hosts=('{host.address}',), private=True)"
        main.write_text(main.read_text().replace("Tracker('ncc')", allowed))
        box = [{"x": 20, "y": 30}, {"x": 50, "y": 60}]
        given = {
            "item_stream_url": host.stream,
            "bbs": {"a": box},
            "start_frame": 0,
            "frame_duration": 2,
            "dl": None,
        }
        found = load_file(f"{main}:ServiceRunner", "service")().run(**{name: given[name] for name in names})
    assert list(found["a"]) == [0, 1]


def test_scaffolds_refuse(tmp_path):
    for name, trackers, error in (
        ("datalop", ("csrt",), InputError),
        ("dataloop", (), InputError),
        ("dataloop", ("csrt", "ncc"), InputError),
        ("vot", ("my.py:Tracker",), InputError),
        ("vot", ("nobody",), RegistryError),
    ):
        with pytest.raises(error):
            write_scaffold(name, tmp_path, trackers)
    assert not list(tmp_path.iterdir())
