"""TAPNext around its network: coordinates, streams, chunks, bad input. The network is an oracle (see blobs.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trackers.blobs import SIZE, blobs, find, positions
from vtlab.errors import InputError, WeightsError
from vtlab.prompts import PointPrompt, Prompts, SkeletonPrompt
from vtlab.run import track
from vtlab.trackers import tapnext
from vtlab.trackers.tapnext import TapNext, read_official
from vtlab.video import Frame

torch = pytest.importorskip("torch")


class Oracle:
    """Finds the blob that lay nearest to the query on the query's frame; its state is (frames seen, colours)."""

    def __init__(self):
        self.sizes, self.points = set(), []

    def __call__(self, image, queries, state):
        step, colours = state or (0, torch.zeros(len(queries), dtype=torch.long))
        self.sizes.add(tuple(image.shape[-2:]))
        self.points.append(len(queries))
        assert -1 <= image.min() <= image.max() <= 1
        yx = (find(image, edge=True)[0] * 256 / image.shape[-1]).flip(-1)
        nearest = torch.cdist(queries[:, 1:].double(), yx).argmin(dim=1)
        colours = torch.where(queries[:, 0] == step, nearest, colours)
        seen = image.amax(dim=(2, 3))[0, colours] > -0.5
        answer = {"yx": yx[colours][None].float(), "visibility": torch.where(seen, 4.0, -4.0)[None]}
        return type("Answer", (), {**answer, "logits": None, "state": (step + 1, colours)})


@pytest.fixture
def make(monkeypatch):
    def made(**options):
        net = Oracle()
        monkeypatch.setattr(tapnext, "_load", lambda *_: (net, torch.device("cpu")))
        tracker = TapNext(**options)
        tracker.net = net
        return tracker

    return made


def follow(tracker, video, prompts, order=None):
    """Positions (T, K, 2) and visibilities (T, K) of point prompts, NaN before a query."""
    prompts, order = Prompts(prompts), list(range(len(video))) if order is None else order
    starts = np.cumsum([0, *(len(p.points) for p in prompts)])
    offsets = {p.object_id: k for p, k in zip(prompts, starts, strict=False)}
    xy, seen = np.full((len(video), starts[-1], 2), np.nan), np.zeros((len(video), starts[-1]), bool)
    for i, answer in tracker.run((Frame(t, t / 25, video[t]) for t in order), prompts, len(order)):
        rows = [
            offsets[o] + k
            for o, k in zip(answer.point_owners.tolist(), answer.point_ids.tolist(), strict=True)
        ]
        xy[i, rows], seen[i, rows] = answer.points, answer.point_visible
    return xy, seen


@pytest.mark.parametrize(("variant", "side"), [("tapnext++", 256), ("tapnext++-512", 512)])
def test_points_are_followed_in_the_frames_own_pixels(make, variant, side):
    wanted = positions(12)
    tracker = make(variant=variant)
    xy, seen = follow(tracker, blobs(wanted), [PointPrompt(wanted[0])])
    np.testing.assert_allclose(xy, wanted, atol=0.05)
    assert seen.all()
    assert tracker.net.sizes == {(side, side)}


@settings(max_examples=10, deadline=None)
@given(
    shift=st.tuples(st.floats(-15, 15), st.floats(-10, 10)),
    scale=st.tuples(st.floats(0.8, 2.5), st.floats(0.8, 2.5)),
)
def test_a_translated_and_a_scaled_video_give_translated_and_scaled_tracks(shift, scale):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tapnext, "_load", lambda *_: (Oracle(), torch.device("cpu")))
        tracker = TapNext()
    start = positions(4)
    original, _ = follow(tracker, blobs(start), [PointPrompt(start[0])])
    moved = (start + shift) * scale
    size = tuple(round(n * s) for n, s in zip(SIZE, scale[::-1], strict=True))
    xy, _ = follow(tracker, blobs(moved, size, (5.0 * scale[0], 5.0 * scale[1])), [PointPrompt(moved[0])])
    np.testing.assert_allclose(xy, (original + shift) * scale, atol=0.1 * max(scale))


def test_late_backward_and_last_frame_queries(make):
    wanted = positions(10)
    video = blobs(wanted)
    late = [PointPrompt(wanted[t][k], object_id=k + 1, frame=t) for k, t in enumerate((0, 6, 9))]
    xy, _ = follow(make(), video, late)
    for k, t in enumerate((0, 6, 9)):
        assert np.isnan(xy[:t, k]).all()
        np.testing.assert_allclose(xy[t:, k], wanted[t:, k], atol=0.05)
    back, _ = follow(make(), video, [PointPrompt(wanted[9], frame=9)], order=list(range(9, -1, -1)))
    np.testing.assert_allclose(back, wanted, atol=0.05)
    begun = [PointPrompt(wanted[3][:1], frame=3), PointPrompt(wanted[7][1:2], object_id=2, frame=7)]
    shifted, _ = follow(make(), video, begun, order=list(range(3, 10)))
    np.testing.assert_allclose(shifted[7:, 1], wanted[7:, 1], atol=0.05)


def test_both_directions_through_the_loop(make):
    make()
    wanted = positions(12)
    prompts = [
        PointPrompt(wanted[5], frame=5, shape="polygon"),
        PointPrompt(wanted[3][:1], object_id=2, frame=3),
    ]
    tracks = track(blobs(wanted), prompts, "tapnext++", direction="both", progress=False)
    np.testing.assert_allclose(tracks.of_object(1).points.xy.reshape(12, 3, 2), wanted, atol=0.05)
    np.testing.assert_allclose(tracks.of_object(2).points.xy, wanted[:, 0], atol=0.05)


def test_hidden_points_chunks_duplicates_and_one_frame(make):
    wanted = positions(6)
    video = blobs(wanted)
    video[2:4, :, :, 1] = 0
    xy, seen = follow(make(), video, [PointPrompt(wanted[0])])
    assert seen[:, 1].tolist() == [True, True, False, False, True, True]
    tracker = make(points_at_once=700)
    many, _ = follow(tracker, video, [PointPrompt(np.tile(wanted[0], (800, 1)))])
    np.testing.assert_array_equal(many[:, :3], xy)
    np.testing.assert_array_equal(many[:, :3], many[:, -3:])
    assert tracker.net.points[:4] == [700, 700, 700, 300]
    alone, _ = follow(make(), video[:1], [PointPrompt(wanted[0])])
    np.testing.assert_array_equal(alone, wanted[:1])


def test_queries_outside_and_odd_sizes(make):
    wanted = positions(3) * 0.7
    prompts = [PointPrompt((*wanted[0], (-300.0, 900.0)))]
    xy, _ = follow(make(), blobs(wanted, (63, 101), (4.0, 4.0)), prompts)
    assert np.isfinite(xy).all()
    np.testing.assert_allclose(xy[:, :3], wanted, atol=0.05)


def test_a_figure_without_a_visible_node_needs_no_network(make):
    tracker = make()
    prompt = SkeletonPrompt(((5, 5), (9, 9)), occluded=(True, True))
    xy, seen = follow(tracker, blobs(positions(3)), [prompt])
    np.testing.assert_array_equal(xy, [prompt.points] * 3)
    assert not seen.any()
    assert tracker.net.points == []


def test_wrong_parameters_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"unknown variant 'tapnex'.*Did you mean"):
        TapNext(variant="tapnex")
    with pytest.raises(InputError, match="points_at_once"):
        TapNext(points_at_once=0)
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    with pytest.raises(WeightsError, match=r"not one of TAPNext.*backbone/mask_token"):
        read_official(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", **{"backbone/mask_token": np.array([object()])})
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "pickled.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:100])
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "broken.npz")
    with pytest.raises(WeightsError, match="can't be read as arrays"):
        read_official(tmp_path / "missing.npz")


def test_prefixed_names_and_a_missing_position_table_are_understood(tmp_path):
    torch.save({"state_dict": {"tapnext.mask_token": torch.ones(1, 1, 1, 768)}}, tmp_path / "official.pt")
    found = read_official(tmp_path / "official.pt")
    assert set(found) == {"mask_token", "query_pos_embed"}
    assert found["query_pos_embed"].shape == (1, 65536, 768)
