"""AllTracker against stored outputs of the official code with seeded weights; bounds are those of the fixture's notes."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.alltracker import AllTracker, Correlations, pad  # noqa: E402
from vtlab.prompts import PointPrompt, Prompts  # noqa: E402
from vtlab.trackers.create import create_tracker  # noqa: E402
from vtlab.trackers.loop import track  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

FEATURES, CELLS, PIXELS, LOGITS = 1e-4, 1e-4, 3e-4, 2e-5
"""Bounds of features and correlations, of the state at an eighth of the size, of flow in pixels, and of probabilities."""


@pytest.fixture(scope="module")
def official(shared, parity_module) -> SimpleNamespace:
    folder = shared / "parity" / "alltracker"
    params = json.loads((folder / "params.json").read_text())
    net = AllTracker()
    state = {**parity_module("seeded_weights").fill(net.state_dict()), "time_emb": net.time_emb}
    for pattern, factor in params["weights"]["post_scale"]:
        state |= {k: v * factor for k, v in state.items() if re.search(pattern, k)}
    net.load_state_dict(state)
    clip = parity_module("fixture_inputs").clip
    return SimpleNamespace(
        net=net.eval().requires_grad_(False), params=params, stored=np.load(folder / "fixture.npz"), clip=clip
    )


def tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def close(values, official, key: str, bound: float) -> None:
    """The whole array, or the sample of it that is stored."""
    values, stored = np.asarray(values), official.stored
    if key not in stored.files:
        assert list(values.shape) == stored[f"{key}__shape"].tolist()
        expected = stored[f"{key}__sample"]
        values = values.reshape(-1)[np.linspace(0, values.size - 1, len(expected)).astype(np.int64)]
    else:
        expected = stored[key]
    assert np.abs(values - expected).max() <= bound, f"{key}: {np.abs(values - expected).max()}"


def on_grid(net, found, size: tuple[int, int], shift: tuple[int, int], step: int):
    """Flow and probabilities (T, 2, rows, columns) at every `step`th pixel."""
    y, x = np.mgrid[0 : size[0] : step, 0 : size[1] : step]
    pixels = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1) + shift)
    flow, logits = net.read(found, pixels)
    return (v.transpose(1, 2).unflatten(2, x.shape).numpy() for v in (flow, logits.sigmoid()))


def test_the_state_dict_is_the_official_one(official):
    found = [[k, list(v.shape)] for k, v in official.net.state_dict().items()]
    assert found == [row[:2] for row in official.params["params"]]
    assert sum(p.numel() for p in official.net.parameters()) == official.params["counts"]["parameters"]
    close(official.net.time_emb, official, "time_emb", 1e-6)
    tiny = AllTracker(tiny=True)
    assert (len(tiny.state_dict()), sum(p.numel() for p in tiny.parameters())) == (131, 6_294_050)


@torch.no_grad()
def test_a_pair_of_frames(official):
    net = official.net
    images, shift = pad(tensors(official.clip(11)[[0, 10], :, 64:314]))
    assert (images.shape[-2:], shift) == ((256, 256), (3, 20))
    maps = net.encode(images)
    close(maps, official, "pair_fmaps", FEATURES)
    found = net(maps[0], maps[1:], net.start(1, maps))
    flow, chances = on_grid(net, found, (216, 250), shift, 8)
    close(flow[0], official, "pair_flow_grid8", PIXELS)
    close(chances[0], official, "pair_visconf_grid8", LOGITS)


@torch.no_grad()
def test_sides_of_an_odd_number_of_64_pixels(official, monkeypatch):
    """The last level of the pyramid has cells that overlap there; and what isn't kept is computed anew to the same."""
    net = official.net
    maps = net.encode(tensors(official.clip(11)[[0, 10], 12:204, 32:352]))
    y, x = np.mgrid[: maps.shape[2], : maps.shape[3]]
    cells = torch.from_numpy(np.stack([x, y], axis=-1)[None]).float()
    looks = Correlations(maps[0], maps[1:]).around(cells)
    close(looks, official, "odd_corr_it0", FEATURES)
    monkeypatch.setattr("vtlab.nets.alltracker.HELD", 0)
    torch.testing.assert_close(Correlations(maps[0], maps[1:]).around(cells), looks)
    found = net(maps[0], maps[1:], net.start(1, maps))
    flow, chances = on_grid(net, found, (192, 320), (0, 0), 8)
    close(flow[0], official, "odd_flow_grid8", PIXELS)
    close(chances[0], official, "odd_visconf_grid8", LOGITS)


@pytest.mark.slow
@torch.no_grad()
def test_the_first_window_everywhere(official):
    net = official.net
    images, shift = pad(tensors(official.clip(16)[:, :, 64:314]))
    maps = net.encode(images)
    found = net(maps[0], maps, net.start(16, maps))
    for name, values in zip(("flows8", "visconfs8"), found.motion, strict=True):
        close(values.permute(0, 3, 1, 2), official, f"sliding_window0_{name}", CELLS)
    flow, chances = on_grid(net, found, (216, 250), shift, 16)
    assert np.abs(flow - official.stored["sliding_flow_grid16"][:16]).max() <= PIXELS
    assert np.abs(chances - official.stored["sliding_visconf_grid16"][:16]).max() <= LOGITS


@pytest.mark.slow
@pytest.mark.parametrize(("readout", "key"), [("benchmark", "track_eval"), ("demo", "track_demo")])
def test_both_read_outs(official, tmp_path, readout, key):
    """Queries on two frames, in windows that overlap; the demo goes to the past too."""
    torch.save({"model": official.net.state_dict()}, tmp_path / "official.pth")
    tracker = create_tracker(
        "alltracker",
        weights=tmp_path / "official.pth",
        device="cpu",
        size=(216, 250),
        readout=readout,
        official=True,
    )
    queries, stored = official.stored["queries_txy"], official.stored
    prompts = Prompts(
        PointPrompt(((x + 0.5, y + 0.5),), object_id=i + 1, frame=int(t))
        for i, (t, x, y) in enumerate(queries.tolist())
    )
    tracks = track(
        np.ascontiguousarray(official.clip(20)[:, :, 64:314]),
        prompts,
        tracker,
        progress=False,
        direction="both" if readout == "demo" else "forward",
    )
    rows = tracks.points
    start = queries[rows.object_id - 1, 0]
    told = rows.frame != start  # there vtlab repeats the query
    at = rows.frame[told], rows.object_id[told] - 1
    assert len(at[0]) == (19 * 9 if readout == "demo" else 19 * 5 + 14 * 4)
    assert np.abs(rows.xy[told] - 0.5 - stored[f"{key}_xy"][at]).max() <= PIXELS
    chances = stored[f"{key}_visconf"][at]
    score = chances.prod(axis=1) if readout == "benchmark" else chances[:, 1]
    assert np.abs(rows.score[told] - score).max() <= LOGITS
    np.testing.assert_array_equal(rows.visible[told], stored[f"{key}_visible"][at])
