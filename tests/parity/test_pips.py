"""PIPs against outputs of the official code on seeded weights.

Bounds are those of the fixture's params.json (`conditioning`): what a change of all weights by one part in a million
does to the official outputs.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.prompts import PointPrompt, Prompts
from vtlab.trackers.points.pips import Pips, hand_over
from vtlab.video import Frame

pytestmark = [pytest.mark.parity, pytest.mark.shared]
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")


@pytest.fixture(scope="module")
def case(shared):
    folder = shared / "parity" / "pips"
    return json.loads((folder / "params.json").read_text()), dict(np.load(folder / "fixture.npz"))


@pytest.fixture(scope="module")
def inputs(parity_module):
    return parity_module("fixture_inputs")


@pytest.fixture(scope="module")
def state(case, inputs, parity_module):
    from vtlab.nets import pips

    with torch.device("meta"):
        empty = pips.Pips().state_dict()
    return inputs.apply_post_scale(parity_module("seeded_weights").fill(empty), case[0]["post_scale"])


@pytest.fixture(scope="module")
def net(state):
    from vtlab.nets import pips

    with torch.device("meta"):
        made = pips.Pips()
    made.load_state_dict(state, strict=True, assign=True)
    return made.eval().requires_grad_(False)


def tolerance(case, key):
    return case[0]["conditioning"]["result"][key]


def close(case, key, value):
    np.testing.assert_allclose(value, case[1][key], rtol=0, atol=tolerance(case, key), err_msg=key)


def test_names_and_shapes_are_the_official_ones(case, state):
    got = [
        [name, list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in state.items()
    ]
    assert got == case[0]["params"]
    assert sum(v.numel() for v in state.values()) == case[0]["n_parameters"]


def test_network_outputs(case, inputs, net):
    video = torch.from_numpy(inputs.synthetic_video(8, 96, 128)).permute(0, 3, 1, 2).float()
    maps = net.features(video)
    np.testing.assert_allclose(inputs.sample(maps), case[1]["net/module/fnet/sample"], rtol=0, atol=1e-5)
    found = net(maps, torch.tensor(case[0]["net_queries_xy"]))
    close(case, "net/coords", found.xy)
    close(case, "net/vis_logits", found.visibility)
    close(case, "net/ffeat", found.template)
    again = net(maps, found.xy[-1] + torch.tensor([1.5, -2.0]), 0.5 * found.template, 2)
    close(case, "net/init/coords", again.xy)
    close(case, "net/init/vis_logits", again.visibility)


@pytest.mark.parametrize("run", ["track", "track_lowvis"])
def test_the_next_window_starts_where_the_official_one_does(case, run):
    windows = case[1][f"{run}/windows"]
    seen = 1 / (1 + np.exp(-windows[:, 4:12]))
    assert [hand_over(row) for row in seen] == windows[:, 2].astype(int).tolist()


def chained(tmp_path, state, inputs, queries, frames):
    """Tracks in the official pixels, (N, frames, 2), and visibilities (N, frames); NaN before a query."""
    torch.save({"model_state_dict": state}, tmp_path / "model-000000001.pth")
    prompts = Prompts(
        PointPrompt((x + 0.5, y + 0.5), object_id=i + 1, frame=int(t)) for i, (t, x, y) in enumerate(queries)
    )
    images = inputs.clip(frames)
    tracker = Pips(weights=tmp_path / "model-000000001.pth", size=images.shape[1:3], device="cpu")
    xy, seen = np.full((len(queries), frames, 2), np.nan), np.full((len(queries), frames), np.nan)
    for i, answer in tracker.run(
        (Frame(i, i / 25, image) for i, image in enumerate(images)), prompts, frames
    ):
        rows = answer.point_owners - 1
        xy[rows, i], seen[rows, i] = answer.points - 0.5, answer.point_scores
    return xy, seen


def test_chained_tracks_and_visibilities(case, state, inputs, tmp_path):
    params, fixture = case
    xy, seen = chained(tmp_path, state, inputs, params["queries_txy"], 20)
    close(case, "track/tracks", xy)
    given = np.array([int(t) for t, _, _ in params["queries_txy"]])
    wanted = fixture["track/vis_sigmoid_last_window"].copy()
    wanted[np.arange(len(given)), given] = 1.0  # vtlab answers the prompt's frame with the prompt
    np.testing.assert_allclose(seen, wanted, rtol=0, atol=tolerance(case, "track/vis_sigmoid_last_window"))


@pytest.mark.slow
def test_chained_tracks_where_nothing_is_clearly_visible(case, state, inputs, tmp_path):
    params, fixture = case
    low = params["lowvis"]
    dim = {**state, **{k: v * 0.12 for k, v in state.items() if k.startswith("vis_predictor.0.")}}
    queries = [params["queries_txy"][i] for i in low["query_indices"]]
    xy, _ = chained(tmp_path, dim, inputs, queries, low["frames"])
    np.testing.assert_allclose(
        xy, fixture["track_lowvis/tracks"], rtol=0, atol=tolerance(case, "track/tracks")
    )
