"""TAPIR around its network: windows, resolutions, causal memory. See also contracts/test_every_point_tracker.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.trackers.blobs import blobs, positions
from tests.trackers.oracles import follow, make, point
from vtlab.errors import InputError, VtlabWarning, WeightsError
from vtlab.prompts import PointPrompt, Prompts
from vtlab.registry import tracker_card
from vtlab.video import Frame

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.tapir import Tapir  # noqa: E402
from vtlab.trackers.points.tapir.tracker import TAPIR  # noqa: E402


@pytest.fixture
def build(monkeypatch):
    return lambda name="bootstapir", **options: make(name, monkeypatch, **options)


def test_an_online_correction_replaces_points_and_keeps_the_label(build):
    tracker, centres = build("bootstapir-online"), positions(4)
    frames = [Frame(i, i / 25, image) for i, image in enumerate(blobs(centres))]
    first = PointPrompt((tuple(centres[0, 0]), tuple(centres[0, 1])), object_id=1, label="ball")
    tracker.init(frames[0], Prompts([first, point(centres, 0, 1, 2)]))
    tracker.step(frames[1])
    answer = tracker.step(frames[2], Prompts([point(centres, 2, 2, 1)]))
    assert answer.labels == ("ball", None)
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [3, 1]
    answer = tracker.step(frames[3])
    assert np.abs(answer.points - centres[3, [2, 1]]).max() < 0.1


def test_long_videos_go_in_windows_and_each_frame_is_seen_once(build):
    tracker, centres = build(window=10, overlap=4), positions(12).repeat(4, axis=0)[:47]
    video = blobs(centres)
    xy, _ = follow(
        tracker, video, [point(centres, 0, 0, 1), point(centres, 23, 1, 2), point(centres, 46, 2, 3)]
    )
    assert tracker.oracle.images == 47
    assert set(tracker.oracle.lengths) == {10}
    assert tracker.oracle.points[:2] == [1, 1]
    assert np.isnan(xy[:23, 1]).all()
    assert np.isnan(xy[:46, 2]).all()
    assert np.abs(xy - centres)[~np.isnan(xy)].max() < 0.1


def test_several_resolutions_see_the_frame_at_each(build):
    tracker = build(resolution=320)
    assert tracker._network.sizes == [(256, 256), (320, 320)]
    assert tracker._network.levels == [0, 0, 1]
    centres = positions(3)
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1)])
    assert np.abs(xy[:, 0] - centres[:, 0]).max() < 0.1


def test_online_memory_follows_its_points(build):
    """A point enters with an empty memory, another's removal takes its own with it."""
    tracker, centres = build("bootstapir-online", points_at_once=2), positions(6)
    frames = [Frame(i, i / 25, image) for i, image in enumerate(blobs(centres))]
    tracker.init(frames[0], Prompts([point(centres, 0, k, k + 1) for k in range(3)]))
    tracker.step(frames[1])
    tracker.step(frames[2], Prompts([point(centres, 2, 0, 4)]))
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [3, 3, 3, 1]
    tracker.remove([2, 99])
    answer = tracker.step(frames[3])
    assert tracker._run._state.inputs[0, 0, :, 0, 0].tolist() == [4, 4, 2]
    assert answer.object_ids.tolist() == [1, 3, 4]
    assert np.abs(answer.points - centres[3, [0, 2, 0]]).max() < 0.1
    answer = tracker.init(frames[0], Prompts([point(centres, 0, 1, 7)]))
    assert answer.object_ids.tolist() == [7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 250}, "multiple of 8"),
        ({"resolution": 128}, "at least 256"),
        ({"window": 8, "overlap": 8}, "overlap must be from 0 to window - 1 = 7"),
        ({"variant": "tapnet"}, "'tapir' or 'bootstapir'"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(options, message):
    with pytest.raises(InputError, match=message):
        TAPIR(**{"weights": "nowhere.pt", **options})


def test_a_checkpoint_of_the_other_variant_is_named(tmp_path):
    with torch.device("meta"):
        names = Tapir(pyramid_level=0, extra_convs=False).state_dict()
    torch.save({k: torch.zeros(v.shape) for k, v in names.items()}, tmp_path / "tapir.pt")
    with pytest.raises(WeightsError, match="It is a checkpoint of tapir"):
        TAPIR(weights=tmp_path / "tapir.pt", device="cpu")
    TAPIR(variant="tapir", weights=tmp_path / "tapir.pt", device="cpu")


@pytest.mark.parametrize("name", ["tap-net", "tapnet"])
def test_tap_net_means_tapir_and_says_so(name):
    with pytest.warns(VtlabWarning, match="succeeded by TAPIR"):
        assert tracker_card(name).name == "tapir"


def test_cards_name_source_and_licence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cards = [tracker_card(name) for name in ("tapir", "bootstapir", "bootstapir-online")]
    assert {c.licence for c in cards} == {"Apache-2.0"}
    assert all(c.weights[0].url.startswith("https://storage.googleapis.com/dm-tapnet/") for c in cards)
