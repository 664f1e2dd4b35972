"""What fits whom: told by what a card declares, so anything that declares it may ask."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, TextPrompt
from vtlab.prompts.fit import as_prompts, check_figures, check_prompts, fitting_prompts, prompts_from
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

VIDEO = open_video(np.zeros((3, 20, 30, 3), np.uint8))
MASK = np.zeros((20, 30), bool)
MASK[2:6, 4:10] = True
BOX, FILLED = BoxPrompt((4, 2, 10, 6)), MaskPrompt.of(MASK)


def taker(*accepts, emits=("boxes",), family="sot", optional=()):
    return SimpleNamespace(
        name="mine",
        family=family,
        accepts=frozenset(accepts),
        emits=frozenset(emits),
        optional=frozenset(optional),
    )


def test_whatever_callers_give_becomes_prompts(tmp_path):
    path = Prompts(BOX).save(tmp_path / "p.json")
    for given in (BOX, [BOX], iter([BOX]), Prompts(BOX), path, str(path)):
        assert as_prompts(given) == Prompts(BOX)
    assert len(as_prompts(None)) == 0
    with pytest.raises(PromptError, match=r"Expected prompts .*, got 7"):
        as_prompts(7)


def test_a_kind_that_is_not_taken_is_refused_and_prompts_are_missed():
    check_prompts(taker(BoxPrompt), Prompts(BOX))
    check_prompts(taker(BoxPrompt, family="multi"), Prompts())
    with pytest.raises(PromptError, match=r"'mine' can't take MaskPrompt: it takes BoxPrompt"):
        check_prompts(taker(BoxPrompt), Prompts(FILLED))
    with pytest.raises(PromptError, match="'mine' needs at least one prompt; it takes BoxPrompt"):
        check_prompts(taker(BoxPrompt), Prompts())


@pytest.mark.parametrize(
    ("card", "given", "chosen", "note"),
    [
        (taker(BoxPrompt), [FILLED], [BOX], "Box of the mask used for 1 prompt(s)."),
        (
            taker(BoxPrompt),
            [ClickPrompt(((5, 3),), xyxy=(4, 2, 10, 6))],
            [BOX],
            "Box of the click used for 1 prompt(s).",
        ),
        (taker(BoxPrompt, MaskPrompt), [FILLED, BOX], [BOX], ""),
        (taker(BoxPrompt, MaskPrompt, emits=("masks",)), [FILLED, BOX], [FILLED], ""),
        (
            taker(BoxPrompt, PointPrompt, emits=("points",)),
            [PointPrompt(((5, 3),)), BOX],
            [PointPrompt(((5, 3),))],
            "",
        ),
        (taker(), [BOX], [], ""),
    ],
)
def test_of_each_object_the_kind_that_a_tracker_is_made_for(card, given, chosen, note):
    assert fitting_prompts(card, Prompts(given), VIDEO) == (Prompts(chosen), note)


def test_what_can_not_be_converted_is_named():
    with pytest.raises(PromptError, match=r"'mine' takes MaskPrompt; object 1 has only box prompts"):
        fitting_prompts(taker(MaskPrompt, emits=("masks",)), Prompts(BOX), VIDEO)
    with pytest.raises(PromptError, match="'mine' needs prompts, and none were given"):
        fitting_prompts(taker(BoxPrompt), Prompts(), VIDEO)


def test_prompts_from_what_was_tracked():
    tracks = Tracks.of(
        [1, 1, 1],
        [1, 2, 3],
        [[4, 2, 10, 6], [0, 0, 5, 5], [1, 1, 2, 2]],
        visible=[True, False, True],
        masks=[MASK, None, None],
        points=PointRows.of([1], [3], [0], [[1, 1]]),
        size=(20, 30),
    )
    box = BoxPrompt((1, 1, 2, 2), object_id=3, frame=1)
    assert prompts_from(tracks, 1, taker(BoxPrompt, MaskPrompt)) == Prompts(
        [MaskPrompt.of(MASK, frame=1), box]
    )
    assert prompts_from(tracks, 1, taker(PointPrompt)) == Prompts(
        PointPrompt(((1, 1),), object_id=3, frame=1)
    )


class TestTexts:
    DOG = TextPrompt("dog")

    def test_who_takes_them_and_who_may(self):
        check_prompts(taker(TextPrompt), Prompts(self.DOG))
        check_prompts(taker(optional=[TextPrompt]), Prompts(self.DOG))
        check_prompts(taker(optional=[TextPrompt]), Prompts())
        with pytest.raises(PromptError, match="'mine' can't take TextPrompt: it takes BoxPrompt"):
            check_prompts(taker(BoxPrompt), Prompts(self.DOG))
        with pytest.raises(
            PromptError, match="can't take BoxPrompt: it takes no prompts at all, TextPrompt at will"
        ):
            check_prompts(taker(optional=[TextPrompt]), Prompts(BOX))

    def test_a_comparison_gives_them_to_those_that_read_them(self):
        both = Prompts([self.DOG, BoxPrompt((4, 2, 10, 6), object_id=2)])
        assert fitting_prompts(taker(optional=[TextPrompt]), both, VIDEO)[0] == Prompts(self.DOG)
        assert fitting_prompts(taker(), both, VIDEO)[0] == Prompts()
        with pytest.raises(PromptError, match="takes BoxPrompt; object 1 has only text prompts"):
            fitting_prompts(taker(BoxPrompt), both, VIDEO)

    def test_doors_of_figures_refuse_them_by_name(self):
        with pytest.raises(PromptError, match=r"A session can't take TextPrompt .'dog'.*reads text"):
            check_figures(Prompts(self.DOG), "A session")
        with pytest.raises(PromptError, match="'dog' has no place on the frame"):
            self.DOG.box(20, 30)
