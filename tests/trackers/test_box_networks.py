"""TransT and MixFormer as trackers, on narrow random networks: many objects at once, updates, options."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

import vtlab  # noqa: E402
from tests.trackers import narrow  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.nets.transt import TransT as TransTNet  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402

KINDS = ("transt", "cvt", "cvt-offline", "vit")
TOLERANCE = 1e-3  # pixels


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a tracker of a kind on its narrow network."""
    return partial(narrow.make, monkeypatch)


@pytest.fixture(scope="module")
def frames():
    return narrow.smooth_frames()


BOXES = {1: (20, 15, 60, 65), 2: (90, 60, 130, 90), 3: (100, 5, 128, 50), 4: (0, 80, 30, 120)}


def prompts(*ids, at=0):
    return Prompts(BoxPrompt(BOXES[i], object_id=i, frame=at) for i in ids)


@pytest.mark.parametrize("kind", ["transt", "cvt"])
def test_a_second_run_is_the_same_and_images_stay_as_they_are(make, frames, kind):
    tracker = make(kind)
    before = [f.image.copy() for f in frames]
    runs = []
    for _ in range(2):
        tracker.init(frames[0], prompts(1, 2))
        runs.append(np.stack([tracker.step(f).boxes for f in frames[1:4]]))
    np.testing.assert_array_equal(runs[0], runs[1])
    for image, f in zip(before, frames, strict=True):
        np.testing.assert_array_equal(image, f.image)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"channels_last": False}], ids=str)
def test_other_formats_stay_near(make, frames, kind, options):
    boxes = []
    for tracker in (make(kind), make(kind, copy.deepcopy(narrow.network(kind)), **options)):
        tracker.init(frames[0], prompts(1, 2))
        boxes.append(tracker.step(frames[1]).boxes)
    near = 12.0 if "dtype" in options else TOLERANCE
    np.testing.assert_allclose(boxes[1], boxes[0], rtol=0, atol=near)


def test_templates_change_when_they_are_due_and_in_turn(make, frames):
    tracker = make("cvt", online_size=2, update_every=0.2)
    tracker.init(frames[0], prompts(1))
    target = tracker._targets[1]
    network_scores = iter([0.9, 0.7, 0.3, 0.2, 0.8, 0.95, 0.6])
    forward = tracker._network.forward

    def scored(memory, search):
        return forward(memory, search)[0], torch.logit(torch.tensor([next(network_scores)]))

    tracker._network.forward = scored
    held, best = [], []
    try:
        for f in frames[1:]:
            tracker.step(f)
            held.append(len(target.online))
            best.append(target.best_score)
    finally:
        del tracker._network.forward
    assert held == [1, 2, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(best, [0.9, -1, -1, -1, 0.8, -1, 0.6], atol=1e-6)
    # due on frames 2, 4, 6: the best of 1-2 is appended, no score above 0.5 in 3-4 brings the initial one
    assert target.online[0] is target.initial
    assert target.slot == 0
    assert target.online[1] is not target.initial


def test_decay_lets_a_later_template_win(make, frames):
    tracker = make("cvt", score_decay=0.9, update_every=100)
    tracker.init(frames[0], prompts(1))
    target = tracker._targets[1]
    forward = tracker._network.forward
    tracker._network.forward = lambda m, s: (forward(m, s)[0], torch.logit(torch.tensor([0.8])))
    try:
        tracker.step(frames[1])
        first = target.best
        tracker.step(frames[2])
    finally:
        del tracker._network.forward
    assert target.best is not first


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("transt", {"fusion_layers": 3}),
        ("transt", {"dtype": "int8"}),
        ("transt", {"device": "quantum"}),
        ("transt", {"batch": 0}),
        ("cvt", {"size": "huge"}),
        ("cvt", {"checkpoint": "nonsense"}),
        ("cvt", {"update_every": 0}),
        ("cvt", {"online_size": 0}),
        ("cvt", {"search_factor": 0}),
    ],
)
def test_bad_options_are_refused(make, kind, options):
    with pytest.raises(InputError):
        make(kind, **options)


def test_the_checkpoint_of_another_variant_is_named(tmp_path):
    with torch.device("meta"):
        state = TransTNet(2).state_dict()
    torch.save(
        {"net": {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items()}}, tmp_path / "n2.pth"
    )
    with pytest.raises(WeightsError, match="transt-n2"):
        vtlab.create_tracker("transt", weights=tmp_path / "n2.pth")
    with pytest.raises(WeightsError, match="mixformer-cvt"):
        vtlab.create_tracker("mixformer-cvt", weights=tmp_path / "n2.pth")
    tracker = vtlab.create_tracker("transt-n2", weights=tmp_path / "n2.pth", device="cpu")
    assert tracker.card.name == "transt-n2"


def test_every_variant_names_its_checkpoint_and_licence():
    for name in vtlab.list_trackers("sot"):
        card = vtlab.tracker_card(name)
        if name.startswith(("transt", "mixformer")):
            assert card.paper
            assert card.licence
            assert len(card.weights) == 1
            assert card.weights[0].licence in ("MIT", "GPL-3.0")
