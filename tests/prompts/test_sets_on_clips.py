"""Prompts know the clip whose frame numbers they have."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import Session, track
from vtlab.errors import FormatError, InputError, PromptError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence, first_prompts
from vtlab.studio.annotator_state import AnnotatorState
from vtlab.tracks import Record, Source, Tracks
from vtlab.video import open_video

VIDEO = open_video(np.zeros((40, 6, 8, 3), np.uint8), name="street")


def given_on(clip, *frames: int) -> Prompts:
    prompts = [BoxPrompt((0, 0, 2, 2), object_id=i, frame=f) for i, f in enumerate(frames, 1)]
    return Prompts(prompts, source=Source.of_video(clip))


@pytest.mark.parametrize(
    ("made", "used", "before", "after"),
    [
        (VIDEO, VIDEO[10:20], [10, 19], [0, 9]),
        (VIDEO[10:20], VIDEO, [0, 9], [10, 19]),
        (VIDEO[10:30:5], VIDEO[5:], [0, 3], [5, 20]),
        (VIDEO[::-1], VIDEO, [0, 39], [39, 0]),
        (VIDEO[10:20], VIDEO[12:14], [2, 3], [0, 1]),
    ],
)
def test_frame_numbers_become_those_of_the_clip(made, used, before, after):
    there = given_on(made, *before).on(used)
    assert [p.frame for i in (1, 2) for p in there.of(i)] == after
    assert there.source == Source.of_video(used)


def test_a_prompt_outside_the_clip_is_refused_naming_both_ranges():
    with pytest.raises(
        PromptError,
        match=r"object 2 on frame 30 of frames 0 to 39 of street lies on frame 30.*frames 10 to 19 of street",
    ):
        given_on(VIDEO, 12, 30).on(VIDEO[10:20])
    with pytest.raises(
        InputError, match=r"frames 0 to 4 of street can't be used on frames 30 to 39 of street"
    ):
        given_on(VIDEO[:5], 1).on(VIDEO[30:])


def test_the_source_is_kept(tmp_path):
    prompts = given_on(VIDEO[10:20], 0, 4)
    again = Prompts.load(prompts.save(tmp_path / "p.json"))
    assert (again, again.source) == (prompts, prompts.source)
    for view in (prompts.at(4), prompts.of(1), prompts[:1], prompts + Prompts(), Prompts() + prompts):
        assert view.source == prompts.source
    assert Prompts(list(prompts)).on(VIDEO) == prompts  # nobody said of which clip
    with pytest.raises(
        PromptError, match=r"frames 10 to 19 of street and of frames 0 to 39 .*different frame numbers"
    ):
        prompts + given_on(VIDEO, 3)
    with pytest.raises(FormatError, match="the source can't be read"):
        Prompts.from_json('{"version": 1, "source": {"start": "x"}, "prompts": []}')


def test_a_sequence_brings_truth_and_prompts_to_its_clip():
    frames = np.arange(40)
    truth = Tracks.of(
        frames,
        np.ones(40, int),
        np.stack([frames, frames, frames + 2, frames + 2], axis=1),
        record=Record(source=Source.of_video(VIDEO)),
    )
    sequence = Sequence("s", VIDEO[10:20:2], truth, given_on(VIDEO, 12))
    assert sequence.truth.frame.tolist() == [0, 1, 2, 3, 4]
    assert sequence.truth.boxes[:, 0].tolist() == [10, 12, 14, 16, 18]
    assert sequence.prompts.frames == (1,)
    assert first_prompts(truth).on(VIDEO[:1]).frames == (0,)
    with pytest.raises(
        InputError, match=r"Tracks of frames 10 to 18 in steps of 2 .* on frames 0 to 39 of street"
    ):
        Sequence("s", VIDEO, sequence.truth)


def test_what_is_drawn_on_a_clip_can_be_used_on_the_whole_video(tmp_path):
    state = AnnotatorState(VIDEO[10:20], autosave=tmp_path / "p.json")
    state.act({"do": "go", "frame": 3})
    state.act({"do": "box", "xyxy": [1, 1, 5, 5]})
    assert Prompts.load(tmp_path / "p.json").on(VIDEO).frames == (13,)
    assert AnnotatorState(VIDEO, Prompts.load(tmp_path / "p.json")).prompts.frames == (13,)


def test_prompts_and_tracks_of_other_cuts_go_round_a_tracker():
    clip = VIDEO[10:20:3]
    tracks = track(clip, given_on(VIDEO, 13), "identity", progress=False)
    assert tracks.frame.tolist() == [1, 2, 3]
    assert tracks.record.source == Source.of_video(clip)
    assert tracks.on(VIDEO[13:20:3]).frame.tolist() == [0, 1, 2]
    session = Session(clip, "identity")
    session.add(given_on(VIDEO, 16))
    assert session.prompts.frames == (2,)
    with pytest.raises(PromptError, match=r"lies on frame 14 of street.*frames 10 to 19 in steps of 3"):
        track(clip, given_on(VIDEO, 14), "identity", progress=False)
