"""CoTracker3 around its network: windows, groups, support grid. See also contracts/test_every_point_tracker.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trackers.blobs import SIZE, blobs, positions
from tests.trackers.oracles import follow, make, point
from vtlab.comparison import compare
from vtlab.errors import InputError, WeightsError
from vtlab.prompts import PointPrompt
from vtlab.registry import tracker_card

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.cotracker3 import CoTracker3  # noqa: E402
from vtlab.trackers.points.cotracker import inference  # noqa: E402
from vtlab.trackers.points.cotracker.tracker import CoTracker  # noqa: E402


@pytest.fixture
def build(monkeypatch):
    return lambda variant="offline", **options: make(f"cotracker3-{variant}", monkeypatch, **options)


VARIANTS = pytest.mark.parametrize("variant", ["offline", "online"])


@pytest.mark.parametrize("frames", [1, 9, 16, 17, 24, 29])
@VARIANTS
def test_windows_are_those_of_the_official_procedure(build, variant, frames):
    centres, tracker = positions(10).repeat(3, axis=0)[:frames], build(variant)
    follow(tracker, blobs(centres), [point(centres, 0, 0, 1)])
    online = [16] * (max(0, -(-(frames - 16) // 8)) + 1)
    assert tracker.oracle.lengths == (online if variant == "online" else [frames])


def test_offline_windows_end_with_the_video(build):
    tracker, centres = build(window=8), positions(10).repeat(3, axis=0)[:27]
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, 13, 2, 2)])
    assert tracker.oracle.lengths == [8] * 6
    assert tracker.oracle.images == 27
    assert np.abs(xy[:, 0] - centres[:, 0]).max() < 0.1
    assert np.abs(xy[13:, 1] - centres[13:, 2]).max() < 0.1


def test_a_window_takes_over_what_the_one_before_found(build):
    """Points that have started go on from the shared frames; others stand at their query, without a template."""
    tracker, centres = build("online"), positions(10).repeat(3, axis=0)[:28]
    queries = [
        point(centres, 0, 0, 1),
        point(centres, 12, 1, 2),
        point(centres, 17, 2, 3),
        point(centres, 26, 0, 4),
    ]
    follow(tracker, blobs(centres), queries)
    (_, first, _), (_, second, begin), (_, third, last) = tracker.oracle.calls
    assert first.tolist() == [1, 1, 0, 0]
    assert second.tolist() == [1, 1, 1, 0]
    assert third.tolist() == [1, 1, 1, 1]
    network = tracker._network
    found = network.outside(begin.xy, SIZE)
    assert np.abs(found[:8, :2] - centres[8:16, :2]).max() < 0.1
    assert np.abs(found[8:, :2] - centres[15, :2]).max() < 0.1
    assert np.abs(found[:, 2] - centres[17, 2]).max() < 1e-3
    assert begin.visible[:, 0].tolist() == [6.0] * 16
    assert begin.visible[:, 2].tolist() == [0.0] * 16
    assert last.visible[0].tolist() == [6.0, 6.0, 6.0, 0.0]


@VARIANTS
def test_each_group_has_a_support_grid_of_its_own(build, variant):
    tracker, centres = build(variant, points_at_once=20, support_grid=3), positions(3)
    follow(tracker, blobs(centres), [PointPrompt(np.tile(centres[0], (16, 1)))])
    assert tracker.oracle.points == [29, 29, 17]


def test_a_group_waits_for_the_first_of_its_points(build):
    tracker = build("online", points_at_once=2, support_grid=2)
    centres = positions(10).repeat(4, axis=0)
    queries = [point(centres, t, k, i + 1) for i, (t, k) in enumerate([(0, 0), (2, 1), (26, 1), (36, 2)])]
    xy, _ = follow(tracker, blobs(centres), queries)
    assert np.abs(xy - centres[:, [0, 1, 1, 2]])[~np.isnan(xy)].max() < 0.1
    begun = [templates.tolist() for _, templates, _ in tracker.oracle.calls]
    assert begun == [[1] * 6, [1] * 6, [1] * 6, [1, 0, 1, 1, 1, 1], [1] * 6, [1] * 6]


def test_the_support_grid_lies_on_the_earliest_frame(build):
    """As in the official code, whose backward pass flips the grid's time with that of the queries."""
    tracker = build(support_grid=2)
    height, width = tracker._network.size
    margin = width / 64
    xs, ys = (margin, width - margin), (margin, height - margin)
    corners = [[x, y] for y in ys for x in xs]
    assert (tracker._network.support(2) * 4).tolist() == corners
    places, enter = [], inference.Group.enter

    def recorded(group, rows, place, maps):
        places.append((len(rows), place))
        enter(group, rows, place, maps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference.Group, "enter", recorded)
        centres = positions(6)
        follow(tracker, blobs(centres), [point(centres, 4, 0, 1)], direction="both")
    assert places == [(1, 0), (4, 0), (1, 0), (4, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "causal"}, "'offline' or 'online'"),
        ({"variant": "online", "window": 32}, "window must be 16"),
        ({"window": 1}, "at least 2"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(options, message):
    with pytest.raises(InputError, match=message):
        CoTracker(**{"weights": "nowhere.pt", **options})


def test_a_checkpoint_of_the_other_variant_is_named(tmp_path):
    with torch.device("meta"):
        names = CoTracker3(window=16).state_dict()
    torch.save({"model": {k: torch.zeros(v.shape) for k, v in names.items()}}, tmp_path / "online.pth")
    with pytest.raises(WeightsError, match="It is a checkpoint of cotracker3-online"):
        CoTracker(weights=tmp_path / "online.pth", device="cpu")
    CoTracker(variant="online", weights=tmp_path / "online.pth", device="cpu")


@pytest.mark.parametrize("name", ["cotracker3-offline", "cotracker3-online"])
def test_the_card_says_that_use_is_non_commercial(name):
    card = tracker_card(name)
    assert card.licence == "CC-BY-NC-4.0"
    assert {w.licence for w in card.weights} == {"CC-BY-NC-4.0"}
    assert "may not be used commercially" in card.notice


def test_a_comparison_and_its_report_say_so_too(monkeypatch, tmp_path):
    """The oracle's methods have no weights to be found, so the class is compared as the card names it."""
    centres = positions(3)
    tracker = make("cotracker3-online", monkeypatch)
    options = {"weights": "unused", "device": "cpu", "variant": "online"}
    found = compare(
        blobs(centres),
        {"points": (type(tracker), options)},
        prompts=[point(centres, 0, 0, 1)],
        progress=False,
    )
    assert "may not be used commercially" in found.runs[0].note
    page = found.report(tmp_path / "report.html", video=False).read_text()
    assert "may not be used commercially" in page
