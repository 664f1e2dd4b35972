"""What every tracker must do, asked of each one that is registered; a new file is tested unasked.

Trackers whose weights or packages are missing are skipped, and the reason says which.
"""

from __future__ import annotations

import pytest

import vtlab
from vtlab.comparison import fitting_prompts
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.testing import TRACKER, lacking
from vtlab.video import open_video

CARDS = {card.name: card for card in TRACKERS.cards()}
LACKING = {card.name: reason for card in CARDS.values() if (reason := lacking(card))}
HERE = [name for name in CARDS if name not in LACKING]


@pytest.mark.parametrize("name", LACKING)
def test_not_testable_here(name):
    """One line for each tracker that this machine can't run; its network has parity tests of its own."""
    fetch = f": vtlab weights fetch {name}" if LACKING[name].startswith("weights") else ""
    pytest.skip(f"{name}: {LACKING[name]}{fetch}")


@pytest.mark.filterwarnings("ignore:auto. mask is followed by:vtlab.errors.VtlabWarning")  # no SAM 2 here
@pytest.mark.filterwarnings(
    "ignore:.*tracked nothing on:vtlab.errors.VtlabWarning"
)  # what nobody detects here
@pytest.mark.filterwarnings(
    "ignore:No detector was named:vtlab.errors.VtlabWarning"
)  # where FastestDet isn't
@pytest.mark.parametrize("check", TRACKER, ids=str)
@pytest.mark.parametrize("name", HERE)
def test_contract(name, check):
    check(name)


OF_BOXES = [n for n in HERE if BoxPrompt in CARDS[n].accepts and MaskPrompt not in CARDS[n].accepts]


@pytest.mark.parametrize("name", OF_BOXES)
def test_prompts_are_converted_only_when_asked(name, square_video):
    mask = Prompts(MaskPrompt(polygon=((20, 16), (44, 16), (44, 40), (20, 40))))
    with pytest.raises(vtlab.VtlabError, match="can't take MaskPrompt: it takes .*BoxPrompt"):
        vtlab.track(square_video, mask, name, progress=False)
    fitting, note = fitting_prompts(CARDS[name], mask, open_video(square_video))
    assert "Box of the mask" in note
    assert fitting.kinds == {BoxPrompt}
