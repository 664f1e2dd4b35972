"""What callers can get wrong with trackers of masks: vtlab's own errors, which name the thing and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.errors import InputError, PromptError, TrackingError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.trackers._masks import MaskTracker, hints_of
from vtlab.video import Frame

VIDEO = np.random.default_rng(0).integers(0, 255, (6, 60, 90, 3), dtype=np.uint8)
SQUARE = np.zeros((60, 90), bool)
SQUARE[10:40, 10:40] = True


def track(prompts, **kwargs):
    return vtlab.track(VIDEO, prompts, "flow", progress=False, **kwargs)


def test_every_tracker_of_masks_takes_the_same_prompts():
    cards = [card for card in TRACKERS.cards("vos") if issubclass(TRACKERS._named(card.name)[1], MaskTracker)]
    assert {"flow", "xmem", "sam2.1-tiny", "cutie-base"} <= {card.name for card in cards}
    for card in cards:
        assert card.accepts == {BoxPrompt, ClickPrompt, MaskPrompt}
        assert TRACKERS._named(card.name)[1].memory_policy


def test_an_empty_mask():
    with pytest.raises(PromptError, match="mask is empty. Mark at least one pixel"):
        track(MaskPrompt.of(np.zeros((60, 90), bool)))


def test_a_mask_of_the_wrong_size():
    with pytest.raises(PromptError, match="mask is 60 x 60 px, the frame 90 x 60"):
        track(MaskPrompt.of(SQUARE[:, :60]))


def test_a_click_outside_the_frame():
    with pytest.raises(PromptError, match="outside the frame of 90 x 60"):
        track(ClickPrompt(((200, 30),)))


def test_a_prompt_after_the_end():
    with pytest.raises(PromptError, match="has 6 frames, so its last frame is 5"):
        track([MaskPrompt.of(SQUARE), MaskPrompt.of(SQUARE, object_id=2, frame=6)])


def test_a_mask_and_a_box_for_one_object_on_one_frame():
    with pytest.raises(PromptError, match="Give the mask alone"):
        track([MaskPrompt.of(SQUARE), BoxPrompt((10, 10, 40, 40))])


def test_a_box_and_clicks_for_one_object_go_together():
    prompts = Prompts([BoxPrompt((10, 10, 40, 40)), ClickPrompt(((20, 20), (5, 5)), (True, False))])
    hint = hints_of(prompts, 60, 90)[1]
    assert hint.box.tolist() == [10, 10, 40, 40]
    assert hint.positive.tolist() == [True, False]


def test_more_than_255_objects():
    prompts = Prompts(BoxPrompt((1, 1, 9, 9), object_id=k) for k in range(1, 257))
    with pytest.raises(PromptError, match="256 objects; a tracker of masks follows 255 at most"):
        track(prompts)


def test_the_256th_object_comes_late_and_what_is_done_is_kept():
    prompts = [MaskPrompt.of(SQUARE)]
    late = [MaskPrompt.of(SQUARE, object_id=k, frame=2) for k in range(2, 257)]
    with pytest.raises(TrackingError, match="255 at most") as caught:
        track([*prompts, *late])
    assert caught.value.tracks.frames.tolist() == [0, 1]


def test_a_video_whose_size_changes():
    tracker = vtlab.create_tracker("flow")
    tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(MaskPrompt.of(SQUARE)))
    with pytest.raises(InputError, match="Frame 1 is 60 x 60 px, those before were 90 x 60. .*cut the video"):
        tracker.step(Frame(1, 0.1, VIDEO[1, :, :60]))


@pytest.mark.parametrize(
    "bad", [np.zeros((60, 90), np.uint8), np.zeros((60, 90, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_no_rgb_image(bad):
    tracker = vtlab.create_tracker("flow")
    with pytest.raises(InputError, match="RGB|empty"):
        tracker.init(Frame(0, 0.0, bad), Prompts())


def test_an_object_removed_while_it_is_tracked():
    prompts = [MaskPrompt.of(SQUARE), BoxPrompt((50, 10, 80, 50), object_id=2)]
    tracks = track(prompts, remove={1: 3, 99: 2})
    assert tracks.of_object(1).frames.tolist() == [0, 1, 2]
    assert tracks.of_object(2).frames.tolist() == list(range(6))


def test_all_objects_removed_and_one_that_comes_after():
    prompts = [MaskPrompt.of(SQUARE), MaskPrompt.of(SQUARE, object_id=2, frame=4)]
    tracks = track(prompts, remove={1: 2})
    assert tracks.frames.tolist() == [0, 1, 4, 5]


def test_two_objects_with_one_mask():
    tracks = track([MaskPrompt.of(SQUARE), MaskPrompt.of(SQUARE, object_id=2)])
    assert tracks.object_ids.tolist() == [1, 2]
    for t in range(6):
        found = tracks.masks_at(t)
        if set(found) == {1, 2}:
            assert not (found[1] & found[2]).any()
