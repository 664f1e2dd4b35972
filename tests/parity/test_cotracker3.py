"""CoTracker3, offline and online, against stored outputs of the official code with seeded weights.

Bounds are those of each fixture's params.json (`conditioning`): what a change of all weights by one part in a
million does to the official outputs. Runs that have no entry there use that of the run beside them. vtlab computes
in double precision here: what differs is then the rounding of the stored outputs, the same on every processor. Only the
features of whole frames, most of a tracker's run, are seen in single precision, as the official outputs were: errors stay
below 0.4 of the bounds. `test_network` sees in double precision, too.
"""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.cotracker3 import CoTracker3  # noqa: E402
from vtlab.prompts import PointPrompt, Prompts  # noqa: E402
from vtlab.prompts.shapes import Figures  # noqa: E402
from vtlab.trackers.loop import track  # noqa: E402
from vtlab.trackers.points.cotracker.inference import Network, Run, Settings  # noqa: E402
from vtlab.trackers.points.cotracker.tracker import CoTracker  # noqa: E402
from vtlab.trackers.points.windows import stream_windows  # noqa: E402
from vtlab.video import Frame  # noqa: E402
from vtlab.weights.checkpoints import load_into  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

WINDOWS = {"offline": 60, "online": 16}


@pytest.fixture(scope="module")
def fixtures(shared):
    def load(variant: str) -> SimpleNamespace:
        folder = shared / "parity" / f"cotracker3-{variant}"
        params = json.loads((folder / "params.json").read_text())
        bounds = params["conditioning"]["result"]
        return SimpleNamespace(stored=np.load(folder / "fixture.npz"), params=params, bounds=bounds)

    return {variant: load(variant) for variant in WINDOWS}


@pytest.fixture(scope="module")
def checkpoints(fixtures, parity_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cotracker3")

    def save(variant: str):
        state = CoTracker3(window=WINDOWS[variant]).state_dict()
        filled = parity_module("seeded_weights").fill(state)
        scaled = parity_module("fixture_inputs").apply_post_scale(
            filled, fixtures[variant].params["post_scale"]
        )
        torch.save({"model": scaled}, folder / f"{variant}.pth")
        return folder / f"{variant}.pth"

    return {variant: save(variant) for variant in WINDOWS}


@pytest.fixture(scope="module")
def see_once():
    """Make a tracker double but for what it sees, remembered for all tests: both variants have the same image encoder."""
    seen: dict[bytes, torch.Tensor] = {}

    def patch(tracker: CoTracker) -> CoTracker:
        single = tracker._network
        tracker._network = Network(copy.deepcopy(single.net), torch.device("cpu"), dtype=torch.float64)

        def remembered(image):
            key = image.tobytes()
            if key not in seen:
                seen[key] = single.see(image)
            return seen[key].double()

        tracker._network.see = remembered
        return tracker

    return patch


def prompts_of(queries) -> Prompts:
    """Queries (t, x, y) in pixel indices as prompts in vtlab's raster."""
    return Prompts(
        PointPrompt(((x + 0.5, y + 0.5),), object_id=i + 1, frame=int(t))
        for i, (t, x, y) in enumerate(queries)
    )


def close(values, fixture, key: str, bound: float | None = None) -> None:
    error = np.abs(np.asarray(values) - fixture.stored[key]).max()
    assert error <= (fixture.bounds[key] if bound is None else bound), f"{key}: {error}"


@pytest.mark.parametrize("variant", WINDOWS)
def test_the_state_dict_is_the_official_one(fixtures, variant):
    with torch.device("meta"):
        net = CoTracker3(window=WINDOWS[variant])
    found = {k: list(v.shape) for k, v in net.state_dict().items()}
    assert found == {n: s for n, s, _ in fixtures[variant].params["params"]}
    assert sum(p.numel() for p in net.parameters()) == fixtures[variant].params["n_parameters"]


def follow(network: Network, video: np.ndarray, queries, settings: Settings) -> list[SimpleNamespace]:
    """Estimates for all frames so far after each window, positions in pixel indices."""
    run = Run(network, Figures(prompts_of(queries)), settings)
    frames = (Frame(i, i / 30, image) for i, image in enumerate(video))
    windows = stream_windows(
        run.see(frames),
        settings.window,
        settings.window - settings.step,
        later_wins=True,
        short_last=settings.pad,
    )
    shape = (len(video), len(queries))
    xy, seen, right = np.zeros((*shape, 2)), np.zeros(shape), np.zeros(shape)
    after = []
    for window in windows:
        begin, end = window.items[0].place, window.items[-1].place + 1
        where = slice(end)
        xy[begin:end], seen[begin:end], right[begin:end] = run.follow(window.items)
        after.append(SimpleNamespace(xy=xy[where] - 0.5, seen=seen[where].copy(), right=right[where].copy()))
    return after


@pytest.fixture(scope="module")
def small(checkpoints):
    """Networks that take frames of 96 x 128 as they are, as in the fixture's network runs."""

    def make(variant: str) -> Network:
        net = CoTracker3(window=WINDOWS[variant])
        load_into(net, checkpoints[variant], what=variant)
        return Network(net, torch.device("cpu"), (96, 128), torch.float64)

    return make


@pytest.mark.parametrize("iterations", [1, 4])
@pytest.mark.parametrize(("variant", "frames"), [("offline", 12), ("online", 21)])
def test_network(fixtures, small, parity_module, variant, frames, iterations):
    """A whole clip: offline in one window, online in two of which the second is padded."""
    fixture, window = fixtures[variant], WINDOWS[variant]
    video = parity_module("fixture_inputs").synthetic_video(frames, 96, 128)
    settings = Settings(window, window // 2, variant == "online", iterations, 0, 512)
    last = follow(small(variant), video, fixture.params["net_queries_txy"], settings)[-1]
    close(last.xy, fixture, f"net/offline_iters{iterations}/tracks")
    close(last.seen, fixture, f"net/offline_iters{iterations}/vis")
    close(last.right, fixture, f"net/offline_iters{iterations}/conf")


def test_network_window_by_window(fixtures, small, parity_module):
    fixture = fixtures["online"]
    video = parity_module("fixture_inputs").synthetic_video(21, 96, 128)
    after = follow(
        small("online"), video, fixture.params["net_queries_txy"], Settings(16, 8, True, 2, 0, 512)
    )
    assert len(after) == 2
    for i, found in enumerate(after):
        close(found.xy, fixture, f"net/online_w{i}/tracks")
        close(found.seen, fixture, f"net/online_w{i}/vis")
        close(found.right, fixture, f"net/online_w{i}/conf")


def per_point(tracks, frames: int, points: int) -> SimpleNamespace:
    rows = tracks.points
    xy, visible = np.full((frames, points, 2), np.nan), np.zeros((frames, points), bool)
    score = np.full((frames, points), np.nan)
    index = rows.frame, rows.object_id - 1
    xy[index], visible[index], score[index] = rows.xy - 0.5, rows.visible, rows.score
    return SimpleNamespace(xy=xy, visible=visible, score=score)


@pytest.mark.parametrize(
    ("variant", "run", "bound_of", "frames", "options", "direction"),
    [
        pytest.param("offline", "offline", "offline", 14, {}, "forward", marks=pytest.mark.slow),
        ("offline", "offline_backward", "offline", 12, {}, "both"),
        pytest.param("online", "demo", "demo", 29, {}, "forward", marks=pytest.mark.slow),
        # Quick: its windows of the network above; windows and grids of the tracker in trackers/test_cotracker.py.
        pytest.param(
            "online", "support_grid", "demo", 24, {"support_grid": 6}, "forward", marks=pytest.mark.slow
        ),
    ],
)
def test_tracker(
    fixtures, checkpoints, parity_module, see_once, variant, run, bound_of, frames, options, direction
):
    fixture, queries = fixtures[variant], fixtures[variant].params["queries_txy"]
    tracker = see_once(CoTracker(variant=variant, weights=checkpoints[variant], device="cpu", **options))
    clip = parity_module("fixture_inputs").clip(frames)
    tracks = track(clip, prompts_of(queries), tracker, progress=False, direction=direction)
    found = per_point(tracks, frames, len(queries))

    number, start = np.arange(frames)[:, None], np.array(queries)[:, 0]
    answered = np.ones_like(found.visible) if direction == "both" else number >= start
    assert (np.isfinite(found.xy[..., 0]) == answered).all()
    # The official online predictor gives its own estimate on the query's frame, vtlab the query.
    same = answered if variant == "offline" else number > start
    error = np.abs(found.xy - fixture.stored[f"track/{run}/tracks"])[same].max()
    assert error <= fixture.bounds[f"track/{bound_of}/tracks"], error
    assert (found.visible == fixture.stored[f"track/{run}/visible"])[same].all()
    if variant == "online":
        seen, right = (fixture.stored[f"track/{run}/{k}_final"] for k in ("vis", "conf"))
        assert np.abs(found.score - seen * right)[same].max() <= fixture.bounds["track/demo/vis_final"]
