"""Of which format a file is: every format is asked, the one that knows it reads it, and what could be two is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vtlab.errors import FormatError
from vtlab.formats import FORMATS, find_format, registry, sniff
from vtlab.formats.flat_boxes import FlatBoxes
from vtlab.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class Drones(FlatBoxes):
    """Text of ten numbers a line, the seventh of which is 0 where the box is a region that is ignored."""

    def sniff(self, path):
        return path.name.startswith("uav")

    def read_tracks(self, path, sequence=None):
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
        return Tracks.of(rows[:, 0].astype(int) - 1, rows[:, 1].astype(int), rows[:, 2:6], label="drone")


@pytest.fixture
def with_drones(monkeypatch):
    known = dict(FORMATS) | {"drones": Drones(name="drones", summary="text of drones", rule="otb")}
    monkeypatch.setattr(registry, "_found", lambda: known)


def test_a_format_that_knows_its_text_of_numbers_reads_it(tmp_path, with_drones):
    (tmp_path / "uav1.txt").write_text("1,4,10,10,30,40,1,44,0.5,0\n2,4,11,10,31,40,1,44,0.5,0\n")
    assert set(Tracks.load(tmp_path / "uav1.txt").label) == {"drone"}
    (tmp_path / "other.txt").write_text(
        "1,4,10,10,20,30,1,-1,-1,-1\n"
    )  # no more than a box and a score: MOTChallenge
    np.testing.assert_allclose(Tracks.load(tmp_path / "other.txt").boxes, [[9, 9, 29, 39]])


def test_numbers_that_are_no_frames_and_ids_are_not_taken_for_them(tmp_path):
    (tmp_path / "polygon.txt").write_text("100.5,40.25,130,42,128,80,99,78\n")
    with pytest.raises(FormatError, match=r"polygon\.txt: of which format is it\? It looks like none"):
        Tracks.load(tmp_path / "polygon.txt")


def test_what_lies_beside_a_file_says_nothing_of_it(tmp_path):
    """A truth of another kind in a folder near by: only the file that was given is looked at."""
    near = tmp_path / "aaa" / "gt"
    near.mkdir(parents=True)
    (near / "gt.txt").write_text("1,1,10,10,20,30,1,1,1\n")
    here = tmp_path / "own" / "gt.txt"
    here.parent.mkdir()
    here.write_text("1 2001 2 48 64 PPT1\n")
    assert sniff(here).name == "mots"
    assert find_format("mots").sniff(here)
    assert not find_format("motchallenge").sniff(here)
