"""What every tracker must do, asked of each one that is registered; a new file is tested unasked.

Trackers whose weights or packages are missing are skipped, and the reason says which.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import vtlab
from vtlab.comparison import fitting_prompts
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.registry import TRACKERS
from vtlab.testing.scenes import moving_square, square_box
from vtlab.video import open_video
from vtlab.weights import locate

CARDS = {card.name: card for card in TRACKERS.cards()}
MODULES = {
    "torch": "torch",
    "sam2": "sam2",
    "cutie": "cutie",
    "transformers": "transformers",
    "onnx": "onnxruntime",
}
STOP = 8


def missing(card) -> str:
    """What a tracker lacks on this machine, "" if nothing; found without making it."""
    if card.requires and importlib.util.find_spec(MODULES[card.requires]) is None:
        return f"needs vtlab[{card.requires}]"
    lacking = [w.name for w in card.weights if locate(w) is None]
    return f"weights {lacking[0]} are not here" if lacking else ""


LACKING = {card.name: reason for card in CARDS.values() if (reason := missing(card))}


@pytest.mark.parametrize("name", LACKING)
def test_not_testable_here(name):
    """One line for each tracker that this machine can't run; its network has parity tests of its own."""
    pytest.skip(f"{name}: {LACKING[name]}")


@pytest.fixture(params=[n for n in CARDS if n not in LACKING])
def name(request) -> str:
    return request.param


def prompts_for(name: str, frame: int = 0, object_ids=(3,)) -> Prompts:
    """A prompt for each object, of the kind that suits the tracker best, on the square of `moving_square`."""
    emits, accepts = CARDS[name].emits, CARDS[name].accepts
    order = (
        (MaskPrompt, BoxPrompt) if "masks" in emits else (PointPrompt,) if "points" in emits else (BoxPrompt,)
    )
    kinds = (*order, BoxPrompt, MaskPrompt, ClickPrompt, PointPrompt, SkeletonPrompt)
    kind = next((k for k in kinds if k in accepts), None)
    return Prompts([] if kind is None else [square_prompt(kind, i, frame) for i in object_ids])


def square_prompt(kind: type, object_id: int, frame: int):
    """A prompt of one kind on the square."""
    x1, y1, x2, y2 = square_box(frame)
    points = (((x1 + x2) / 2, (y1 + y2) / 2), (x1 + 4, y1 + 4))
    where = {"object_id": object_id, "frame": frame}
    if kind is BoxPrompt:
        return BoxPrompt((x1, y1, x2, y2), **where)
    if kind is MaskPrompt:
        return MaskPrompt(polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)), **where)
    return kind(points[:1] if kind is ClickPrompt else points, **where)


def run(name, video, prompts=None, **kwargs):
    return vtlab.track(
        video, prompts_for(name) if prompts is None else prompts, name, progress=False, **kwargs
    )


def same(a, b) -> None:
    np.testing.assert_array_equal(a.frame, b.frame)
    np.testing.assert_array_equal(a.object_id, b.object_id)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.points.xy, b.points.xy)
    np.testing.assert_array_equal(a.visible, b.visible)


def test_answers_on_every_frame_with_the_prompts_ids(name, square_video):
    tracks = run(name, square_video, stop=STOP)
    if CARDS[name].accepts:
        assert tracks.frames.tolist() == list(range(STOP))
        assert tracks.object_ids.tolist() == [3]
    assert ((tracks.score >= 0) & (tracks.score <= 1)).all()
    assert tracks.meta["complete"]
    assert len(tracks.step_seconds) == STOP
    if "masks" in CARDS[name].emits and CARDS[name].family == "vos":
        assert tracks.rle is not None
    if PointPrompt in prompts_for(name).kinds:
        assert len(tracks.points) == 2 * STOP


def test_same_answer_again_and_inputs_unchanged(name, square_video):
    before = square_video.copy()
    first = run(name, square_video, stop=STOP)
    same(first, run(name, square_video, stop=STOP))
    np.testing.assert_array_equal(square_video, before)


def test_nothing_before_a_late_prompt(name, square_video):
    if not CARDS[name].accepts:
        pytest.skip("takes no prompts")
    prompts = Prompts([*prompts_for(name, 0, (1,)), *prompts_for(name, 3, (2,))])
    tracks = run(name, square_video, prompts, stop=STOP)
    assert tracks.of_object(2).frames.tolist() == list(range(3, STOP))
    assert tracks.of_object(1).frames.tolist() == list(range(STOP))


def test_two_instances_share_nothing(name, square_video):
    """Two trackers stepped in turns answer as one that runs alone."""
    if not CARDS[name].deterministic:
        pytest.skip("its card says that what runs beside it changes its answer")
    first, second = vtlab.create_tracker(name), vtlab.create_tracker(name)
    if not hasattr(first, "step"):
        pytest.skip("an offline tracker has no state between windows")
    video, prompts = open_video(square_video), prompts_for(name)
    frames = list(video.frames(0, 6))
    alone = run(name, square_video, stop=6)
    try:
        answers = [(first.init(frames[0], prompts), second.init(frames[0], prompts))]
        answers += [(first.step(f), second.step(f)) for f in frames[1:]]
    finally:
        first.close()
        second.close()
    for frame, (a, b) in enumerate(answers):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.boxes, alone.at(frame).boxes)


def test_a_static_scene_stays(name, square_video):
    if not CARDS[name].accepts or CARDS[name].family == "multi":
        pytest.skip("finds objects by itself")
    if not CARDS[name].deterministic:
        pytest.skip(
            "its card says that it follows by chance: it may jump by a cell of the square's regular texture"
        )
    if CARDS[name].weights:
        pytest.skip("a learned tracker may regress another extent than the prompt's")
    tracks = run(name, np.repeat(square_video[:1], 6, axis=0))
    if len(tracks.points):
        xy = tracks.points.xy.reshape(6, -1, 2)
        assert np.abs(xy - xy[:1]).max() < 0.5
    else:
        assert np.abs(tracks.boxes - tracks.boxes[:1]).max() <= 3.0


def test_backward_and_both(name, square_video):
    if not CARDS[name].accepts:
        pytest.skip("takes no prompts")
    back = run(name, square_video, prompts_for(name, 5), direction="backward")
    assert back.frames.tolist() == list(range(6))
    both = run(name, square_video, prompts_for(name, 5), direction="both", stop=STOP)
    assert both.frames.tolist() == list(range(STOP))


def test_a_correction_restarts_only_its_object(name, square_video):
    if not CARDS[name].accepts or "points" in CARDS[name].emits or CARDS[name].family in ("multi", "vos"):
        pytest.skip("corrections of points, masks and compositions have tests of their own")
    prompts = [*prompts_for(name, 0, (1, 2)), *prompts_for(name, 4, (2,))]
    tracks = run(name, square_video, Prompts(prompts), stop=STOP)
    alone = run(name, square_video, prompts_for(name, 0, (1,)), stop=STOP)
    if CARDS[name].deterministic:
        np.testing.assert_allclose(tracks.of_object(1).boxes, alone.boxes, atol=1e-3)
    at = tracks.of_object(2).at(4)
    assert at.source[0] == "manual"


def test_removal(name, square_video):
    if not CARDS[name].accepts:
        pytest.skip("takes no prompts")
    if CARDS[name].family == "vos":
        pytest.skip("two identical masks are one object to a tracker of masks")
    tracks = run(name, square_video, prompts_for(name, 0, (1, 2)), stop=STOP, remove={2: 4})
    assert tracks.of_object(2).frames.tolist() == list(range(4))
    assert tracks.of_object(1).frames.tolist() == list(range(STOP))


def test_a_one_frame_video(name):
    tracks = run(name, moving_square(1))
    assert set(tracks.frames.tolist()) <= {0}


def test_prompts_are_converted_only_when_asked(name, square_video):
    if BoxPrompt not in CARDS[name].accepts or MaskPrompt in CARDS[name].accepts:
        pytest.skip("takes masks, or no boxes")
    mask = Prompts(MaskPrompt(polygon=((20, 16), (44, 16), (44, 40), (20, 40))))
    with pytest.raises(vtlab.VtlabError, match="can't take MaskPrompt: it takes .*BoxPrompt"):
        run(name, square_video, mask)
    fitting, note = fitting_prompts(CARDS[name], mask, open_video(square_video))
    assert "Box of the mask" in note
    assert fitting.kinds == {BoxPrompt}
