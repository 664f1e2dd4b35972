"""Kits of hosts: they ask of each contract what it can have, and vtlab's doors keep it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vtlab[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vtlab[serve]'")

from vtlab.cli import app
from vtlab.serve.classes import Vot
from vtlab.serve.cvat import Function
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.http import Http
from vtlab.serve.jobs import Limits
from vtlab.serve.label_studio import LabelStudio
from vtlab.serve.scaffold import write_scaffold
from vtlab.serve.web import running
from vtlab.testing.hosts.base import TOPICS
from vtlab.testing.hosts.cvat import sdk
from vtlab.testing.hosts.cvat_kit import CVAT
from vtlab.testing.hosts.dataloop import FakeDataloop
from vtlab.testing.hosts.http_kit import HTTP
from vtlab.testing.hosts.kits import KITS
from vtlab.testing.hosts.label_studio_kit import LABEL_STUDIO
from vtlab.testing.hosts.vot_kit import VOT
from vtlab.testing.toys import TOYS, ShiftBox

TOKEN = "of-the-server"


@pytest.mark.parametrize("host", KITS)
def test_a_kit_asks_everything_or_says_why_not(host):
    asked = [check.name.partition(":")[0] for check in KITS[host]]
    assert set(TOPICS) <= set(asked)


@pytest.fixture(scope="module")
def video_host():
    with FakeDataloop() as made:
        yield made


@pytest.fixture(scope="module")
def http():
    with running([Http(Core(TOYS, Limits(rate=0)))], TOKEN) as url:
        yield url


@pytest.fixture(scope="module")
def label_studio(video_host):
    way = Outward((video_host.address,), private=True)
    with running([LabelStudio(Core(TOYS, Limits(rate=0)), way)], TOKEN) as url:
        yield url


@pytest.mark.parametrize("check", HTTP, ids=str)
def test_plain_http_keeps_the_contract(check, http):
    check("http", url=http, token=TOKEN)


@pytest.mark.parametrize("check", LABEL_STUDIO, ids=str)
def test_label_studios_backend_keeps_the_contract(check, label_studio, video_host):
    check("label-studio", url=label_studio, token=TOKEN, fake=video_host)


@pytest.mark.parametrize("check", CVAT, ids=str)
def test_cvats_function_keeps_the_contract(check):
    with sdk():
        check("cvat", url=Function(TOYS))


@pytest.mark.parametrize("check", VOT, ids=str)
def test_vots_class_keeps_the_contract(check):
    check("vot", url=lambda: Vot(ShiftBox))


FAULTY = """
class Faulty:
    def initialize(self, frame, new):
        self.region = new[0]
        return self.region
    def update(self, frame):
        import numpy as np
        return np.zeros((9, 9), np.uint8)
"""


def test_the_command_asks_files(tmp_path):
    write_scaffold("cvat-agent", tmp_path, ("ncc", "lucas-kanade"))
    file, faulty = tmp_path / "func.py", tmp_path / "faulty.py"
    faulty.write_text(FAULTY)
    for host, url, wrong in (
        ("cvat", str(file), False),
        ("vot", "vtlab.serve.classes:Vot", False),
        ("vot", f"{faulty}:Faulty", True),
    ):
        arguments = ["check", "host", host, "--url", url, "--json"]
        arguments += ["-P", "tracker=ncc"] if "classes" in url else []
        said = CliRunner().invoke(app, arguments)
        assert said.exit_code == wrong, said.output
        states = {row["check"]: row["state"] for row in json.loads(said.stdout)}
        assert ("fail" in states.values()) == wrong
        assert len(states) == len(KITS[host])
