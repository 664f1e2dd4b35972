"""Of which format a file is: every format is asked, the one that knows it as its own before those that could read it."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import formats
from vtlab.errors import FormatError
from vtlab.formats import FORMATS, registry
from vtlab.tracks import Tracks

BOXES = "1,1,10,20,5,6\n1,2,30,20,5,6\n2,1,11,20,5,6\n"
RESULTS = "1,1,10,20,5,6,0.9,-1,-1,-1\n2,1,11,20,5,6,0.8,-1,-1,-1\n"
CLASSED = "1,1,10,20,5,6,1,44,0.5,7\n2,1,11,20,5,6,1,44,0.5,7\n"
"""Lines with a class and more of each box, as no format has them."""


@pytest.fixture
def known(monkeypatch):
    """Adds formats to those that are found."""

    def add(**sniffs):
        class Own(type(FORMATS["motchallenge"])):
            def sniff(self, path):
                return sniffs[self.name](path)

            def read_tracks(self, path, sequence=None):
                return Tracks.of([0], 7, label=self.name)

        own = vars(FORMATS["motchallenge"]) | {"lone": ""}
        more = {name: Own(**own | {"name": name, "rules": {}}) for name in sniffs}
        found = {**FORMATS, **more}
        monkeypatch.setattr(registry, "_found", lambda: found)

    return add


@pytest.mark.parametrize("text", [BOXES, RESULTS])
def test_results_of_motchallenge_are_known_alone(text, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    assert Tracks.load(tmp_path / "a.txt").boxes[0].tolist() == [9, 19, 14, 25]
    assert formats.sniff(tmp_path / "a.txt").name == "motchallenge"


@pytest.mark.parametrize("text", [CLASSED, RESULTS, BOXES])
def test_a_format_of_comma_text_is_asked_before_what_could_read_it(text, tmp_path, known):
    """Whatever began with six numbers was read as MOTChallenge."""
    known(drone=lambda path: path.suffix == ".txt")
    (tmp_path / "a.txt").write_text(text)
    assert Tracks.load(tmp_path / "a.txt").label.tolist() == ["drone"]


@pytest.mark.parametrize(
    "text",
    [
        CLASSED,
        "1,1,10,20,5,6,1,1,0.5\n",
        RESULTS + "3,1,10,20,5,6,0.9,3.5,0,7\n",
        "1,1,10,20,5,6,1,-1,-1,-1,-1\n",
        "1.5,1,10,20,5,6\n",
        "100.5,40.25,130,42,128,80,99,78\n",
        "0,1,10,20,5,6\n",
        "\n\n",
    ],
)
def test_what_nothing_can_tell_is_said(text, tmp_path):
    """A class, a place in space, another number of cells: other formats have them there as well."""
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(
        FormatError, match=r"a.txt: of which format .*alone is 'motchallenge' where .*layout="
    ):
        Tracks.load(tmp_path / "a.txt")


def test_two_that_claim_a_file_are_named(tmp_path, known):
    known(drone=lambda path: path.is_file(), balloon=lambda path: path.is_file())
    (tmp_path / "a.txt").write_text(BOXES)
    with pytest.raises(FormatError, match="It could be drone, balloon"):
        Tracks.load(tmp_path / "a.txt")
    assert Tracks.load(tmp_path / "a.txt", "motchallenge").frame.tolist() == [0, 0, 1]


def test_what_lies_beside_a_file_says_nothing_of_it(tmp_path):
    """A truth of MOTChallenge in the folder made every file of the folder one of MOTChallenge; so did one below the
    grandparent with every `gt.txt`."""
    given = Tracks.of(np.arange(3), 1, np.tile([1.0, 2, 30, 40], (3, 1)))
    FORMATS["motchallenge"].write_tracks(given, tmp_path / "all/a/gt/gt.txt", "truth")
    (tmp_path / "all/a/own.txt").write_text(CLASSED)
    (tmp_path / "all/b/gt").mkdir(parents=True)
    (tmp_path / "all/b/gt/gt.txt").write_text("something else\n")
    assert FORMATS["motchallenge"].sniff(tmp_path / "all/a/gt/gt.txt")
    assert FORMATS["motchallenge"].sniff(tmp_path / "all/a")
    for path in ("a/own.txt", "b/gt/gt.txt"):
        assert not FORMATS["motchallenge"].sniff(tmp_path / "all" / path), path
    (tmp_path / "all/b/gt/gt.txt").write_text("1 2001 2 48 64 PPT1\n")
    assert formats.sniff(tmp_path / "all/b/gt/gt.txt").name == "mots"
