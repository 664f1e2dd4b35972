"""The clients of annotation platforms read what vtlab wrote, and vtlab reads what they wrote."""

from __future__ import annotations

import json
import os

import pytest

from tests.judges.asking import GOLDEN, ask
from tests.judges.platforms import (
    agrees_with_dataloop,
    agrees_with_datumaro,
    agrees_with_label_studio,
    agrees_with_supervisely,
    halting,
    walk,
)
from vtlab import formats
from vtlab.formats.label_studio import label_config

pytestmark = pytest.mark.judge


def keep(name: str, text: str) -> None:
    """Keep what a judge was shown, wrote or said, for the default suite to read."""
    if os.environ.get("VTLAB_GOLDEN") == "1":
        (GOLDEN / name).write_text(text, encoding="utf-8")


def test_datumaro_reads_the_cvat_file(tmp_path):
    (path,) = formats.write_tracks(walk("box", "turned", "outline"), tmp_path, "cvat", sequence="walk")
    told = ask("cvat", tmp_path / "truth")
    agrees_with_datumaro(told["figures"])
    keep("cvat.xml", path.read_text())
    keep("cvat.json", json.dumps(told, indent=1) + "\n")


def test_the_client_of_dataloop_finds_every_figure(tmp_path):
    (path,) = formats.write_tracks(halting(), tmp_path, "dataloop", sequence="walk")
    told = ask("dataloop", path, tmp_path / "theirs.json")
    agrees_with_dataloop(told, halting())
    keep("dataloop-walk.json", path.read_text())
    keep("dataloop-theirs.json", (tmp_path / "theirs.json").read_text())
    keep("dataloop.json", json.dumps(told) + "\n")


def test_the_sdk_of_label_studio_fills_in_what_vtlab_does(tmp_path):
    (path,) = formats.write_tracks(walk("box", "turned"), tmp_path, "label-studio", sequence="walk")
    told = ask("label_studio", path, label_config(["car"]))
    agrees_with_label_studio(told, path)
    keep("label-studio-walk.json", path.read_text())
    keep("label-studio.json", json.dumps(told, indent=1) + "\n")


def test_the_sdk_of_supervisely_opens_the_project(tmp_path):
    (path,) = formats.write_tracks(walk(), tmp_path, "supervisely", sequence="walk")
    told = ask("supervisely", tmp_path / "truth")
    agrees_with_supervisely(told, path)
    keep("supervisely-walk.json", path.read_text())
    keep("supervisely.json", json.dumps(told, indent=1) + "\n")
