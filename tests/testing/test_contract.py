"""The conformance kit itself: what a stranger's part is told, as a table and by pytest."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vtlab.errors import RegistryError
from vtlab.testing import TRACKER, NotAsked, check_associator, check_detector, check_segmenter, check_tracker

OWN = """
import numpy as np, vtlab
from vtlab.contracts import Observation, SingleObjectTracker
from vtlab.prompts import BoxPrompt

def bright(image):
    # The kit's square is brighter than all that is behind it.
    ys, xs = np.nonzero(image.min(axis=2) > 119)
    return np.array([xs.mean(), ys.mean()]) if len(xs) else np.zeros(2)

@vtlab.register("own-{name}", family="sot", summary="For a test.", accepts=[BoxPrompt])
class Own(SingleObjectTracker):
    n = 0

    def init(self, frame, prompt):
        self.box, self.start = np.array(prompt.box(*frame.image.shape[:2])), bright(frame.image)
        return Observation(self.box)

    def step(self, frame):
        {step}
"""


FOLLOWS = "follows a target that moves slowly, nearer to the truth than the first answer repeated"


@pytest.fixture
def own(tmp_path):
    def write(name: str, step: str) -> str:
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name, step=step))
        return f"{tmp_path / f'{name}.py'}:Own"

    return write


def found(results) -> dict[str, tuple[str, str]]:
    return {r.check: (r.state, r.why) for r in results}


def test_a_sound_tracker_passes_all(own):
    step = "return Observation(self.box + np.tile(bright(frame.image) - self.start, 2))"
    assert {r.state for r in check_tracker(own("sound", step))} == {"pass"}


@pytest.mark.parametrize(
    ("name", "step"),
    [("still", "return Observation(self.box)"), ("gone", "return Observation(self.box, 0.0, False)")],
)
def test_one_that_follows_nothing_fails_unless_its_card_says_so(own, name, step):
    results = check_tracker(own(name, step))
    assert {r.check for r in results if r.state == "fail"} == {FOLLOWS}
    assert "of the way from the first answer repeated to the truth" in found(results)[FOLLOWS][1]
    said = found(check_tracker("identity"))
    assert said[FOLLOWS] == ("skip", "its card says that its answers don't come of the frames")


def test_each_fault_is_named_where_it_shows(own):
    drifts = found(check_tracker(own("drifts", "self.box = self.box + 2; return Observation(self.box)")))
    state, why = drifts["stays where it is on a scene that does not move"]
    assert state == "fail"
    assert why.startswith("the box moved by 10.0 px (3 at most) in 6 frames")
    shares = found(check_tracker(own("shares", "Own.n += 1; return Observation(self.box + Own.n)")))
    assert shares["gives the same answer again and leaves its input unchanged"][0] == "fail"
    breaks = found(check_tracker(own("breaks", "raise ZeroDivisionError('no')")))
    state, why = breaks["answers on every frame with the prompts' ids"]
    assert state == "fail"
    assert "no" in why


FINDS = """
import numpy as np, supervision as sv, vtlab
from vtlab.contracts import Detector

@vtlab.register_detector("finds-{name}", family="detector", summary="For a test."{card})
class Finds(Detector):
    def detect(self, frames):
        return [self.one(np.asarray(image)) for image in frames]

    def one(self, image):
        height, width = image.shape[:2]
        box, mask = np.array([[80.0, 49, 120, 207]]), np.zeros((1, height, width), bool)
        mask[:, 60:200, 90:110] = True
        if height < 208:
            return sv.Detections.empty()
        return {answer}
"""
ONE = "class_id=np.array([0]), data={'class_name': np.array(['thing'])}"
SOUND = f"sv.Detections(box, mask=mask, confidence=np.ones(1), {ONE})"


@pytest.mark.filterwarnings("ignore:.*mask of type uint8")  # supervision says it, too
@pytest.mark.parametrize(
    ("name", "answer", "fault"),
    [
        ("nothing", "sv.Detections.empty()", r"found nothing on 12 frames of .*--video CLIP"),
        ("unsure", SOUND.replace("confidence=np.ones(1), ", ""), "no confidence. Remedy: ones"),
        (
            "elsewhere",
            SOUND.replace("mask=mask", "mask=mask[:, ::-1, ::-1]"),
            "the mask of the box .* spans x",
        ),
        (
            "small",
            SOUND.replace("mask=mask", "mask=mask[:, ::2, ::2]"),
            r"Remedy: bool of shape \(1, 240, 320\)",
        ),
        ("numbers", SOUND.replace("mask=mask", "mask=mask.astype(np.uint8)"), "masks of uint8. Remedy: bool"),
        ("empty", SOUND.replace("mask=mask", "mask=mask & False"), "has no pixel"),
        ("silent", SOUND, r"its card says \['boxes'\]. Remedy: emits=\['boxes', 'masks'\]"),
        ("sound", SOUND, ""),
    ],
)
def test_a_detector_must_find_something_and_its_masks_lie_on_it(tmp_path, name, answer, fault):
    card = "" if name == "silent" else ", emits={'boxes', 'masks'}"
    (tmp_path / "mine.py").write_text(FINDS.format(name=name, answer=answer, card=card))
    wrong = [r.why for r in check_detector(f"{tmp_path / 'mine.py'}:Finds") if r.state == "fail"]
    if fault:
        assert any(re.search(fault, why) for why in wrong), wrong
    else:
        assert not wrong


def test_a_detector_is_asked_on_the_footage_that_is_given():
    still = np.zeros((3, 240, 320, 3), np.uint8)
    first = found(check_detector("hog-people", video=still))["finds something where something is to be seen"]
    assert first[0] == "fail"
    assert first[1].startswith("found nothing on 3 frames of array")


LENT = "lent again to a second video, it answers as a new one does"
PLAIN = "stands images without colour, and without texture"
SIZES = "goes on where frames change their size, to less than the target's, or refuses that in an InputError"
PLACES = "starts on targets of any size and place, or refuses one in a PromptError that says a remedy"


@pytest.mark.parametrize(
    ("name", "step", "check", "fault"),
    [
        ("flat", "1 / np.ptp(frame.image); return Observation(self.box)", PLAIN, "divide"),
        ("grows", "self.n += 1; return Observation(self.box + self.n)", LENT, "boxes"),
        ("cut", "return Observation(self.box, visible=bool(frame.image[39, 43].sum()))", SIZES, "IndexError"),
        (
            "tiny",
            "return Observation(self.box * (1 if self.box[2] - self.box[0] > 2 else np.nan))",
            PLACES,
            "visible",
        ),
    ],
)
def test_what_a_tracker_must_stand_is_asked_of_a_strangers(own, name, step, check, fault):
    ask = next(c for c in TRACKER if c.name == check)
    result = ask.result(own(name, step))
    assert result.state == "fail"
    assert fault in result.why


def test_what_can_not_be_asked_is_skipped_and_says_why():
    results = found(check_tracker("transt", weights="nowhere.pth"))
    assert results["tracks a video of one frame"][0] == "fail"
    with pytest.raises(NotAsked, match="takes no figures"):
        next(c for c in TRACKER if "before its prompt" in c.name)("sort")
    with pytest.raises(RegistryError, match="Unknown tracker 'nonesuch'"):
        check_tracker("nonesuch")


def test_every_kind_of_part_has_a_contract():
    states = {r.check: r.state for r in check_detector("hog-people")}
    assert (
        states.pop("its masks are bool of the image's size, each on its box, and its card says what it gives")
        == "skip"
    )
    assert {*states.values()} == {"pass"}
    assert {r.state for r in check_associator("sort")} == {"pass"}
    assert {r.state for r in check_segmenter("grabcut")} == {"pass"}
