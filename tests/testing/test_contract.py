"""The conformance kit itself: what a stranger's part is told, as a table and by pytest."""

from __future__ import annotations

import pytest

from vtlab.errors import RegistryError
from vtlab.testing import TRACKER, NotAsked, check_associator, check_detector, check_segmenter, check_tracker

OWN = """
import numpy as np, vtlab
from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt

@vtlab.register("own-{name}", family="sot", summary="Stays where it is.", accepts=[BoxPrompt])
class Own(SingleObjectTracker):
    n = 0

    def init(self, frame, prompt):
        self.box = np.array(prompt.box(*frame.image.shape[:2]))
        return Observation(self.box)

    def step(self, frame):
        {step}
"""


@pytest.fixture
def own(tmp_path):
    def write(name: str, step: str) -> str:
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name, step=step))
        return f"{tmp_path / f'{name}.py'}:Own"

    return write


def found(results) -> dict[str, tuple[str, str]]:
    return {r.check: (r.state, r.why) for r in results}


def test_a_sound_tracker_passes_all(own):
    assert {r.state for r in check_tracker(own("sound", "return Observation(self.box)"))} == {"pass"}


def test_each_fault_is_named_where_it_shows(own):
    drifts = found(check_tracker(own("drifts", "self.box = self.box + 2; return Observation(self.box)")))
    assert drifts["stays where it is on a scene that does not move"] == ("fail", "the box moved by 10.0 px")
    shares = found(check_tracker(own("shares", "Own.n += 1; return Observation(self.box + Own.n)")))
    assert shares["gives the same answer again and leaves its input unchanged"][0] == "fail"
    breaks = found(check_tracker(own("breaks", "raise ZeroDivisionError('no')")))
    state, why = breaks["answers on every frame with the prompts' ids"]
    assert state == "fail"
    assert "no" in why


def test_what_can_not_be_asked_is_skipped_and_says_why():
    results = found(check_tracker("transt", weights="nowhere.pth"))
    assert results["tracks a video of one frame"][0] == "fail"
    with pytest.raises(NotAsked, match="takes no figures"):
        next(c for c in TRACKER if "before its prompt" in c.name)("sort")
    with pytest.raises(RegistryError, match="Unknown tracker 'nonesuch'"):
        check_tracker("nonesuch")


def test_every_kind_of_part_has_a_contract():
    assert {r.state for r in check_detector("hog-people")} == {"pass"}
    assert {r.state for r in check_associator("sort")} == {"pass"}
    assert {r.state for r in check_segmenter("grabcut")} == {"pass"}
