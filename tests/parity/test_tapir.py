"""BootsTAPIR, offline and causal, against stored outputs of the official torch code with seeded weights.

Bounds are those of each fixture's params.json (`conditioning`): what a change of all weights by one part in a
million does to the official outputs.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.tapir import Grids, QueryVectors, Tapir, average, probability_visible  # noqa: E402
from vtlab.prompts import PointPrompt, Prompts  # noqa: E402
from vtlab.prompts.shapes import Figures  # noqa: E402
from vtlab.trackers.loop import track  # noqa: E402
from vtlab.trackers.points.tapir.inference import Network, OfflineRun  # noqa: E402
from vtlab.trackers.points.tapir.tracker import TAPIR, OnlineTAPIR  # noqa: E402
from vtlab.video import Frame  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

VARIANTS = ("bootstapir", "bootstapir-online")
FRAMES = 12


@pytest.fixture(scope="module")
def fixtures(shared):
    def load(name: str) -> SimpleNamespace:
        folder = shared / "parity" / name
        params = json.loads((folder / "params.json").read_text())
        return SimpleNamespace(
            name=name,
            stored=np.load(folder / "fixture.npz"),
            params=params,
            bounds=params["conditioning"]["result"],
        )

    return {name: load(name) for name in VARIANTS}


@pytest.fixture(scope="module")
def weights(parity_module):
    with torch.device("meta"):
        state = Tapir().state_dict()
    return parity_module("seeded_weights").fill(state)


@pytest.fixture(scope="module")
def checkpoint(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("tapir") / "seeded.pt"
    torch.save(weights, path)
    return path


@pytest.fixture(scope="module")
def see_once():
    """Make a network remember what it saw, for all tests: features depend on the image alone."""
    seen: dict[tuple[int, bytes], list] = {}

    def patch(tracker) -> None:
        see = tracker._network.see

        def remembered(image):
            key = (tracker._network.resolution, image.tobytes())
            if key not in seen:
                seen[key] = see(image)
            return seen[key]

        tracker._network.see = remembered

    return patch


@pytest.fixture(scope="module")
def clip(parity_module):
    return parity_module("fixture_inputs").clip(FRAMES)


def close(values, fixture, key: str, bound: float | None = None) -> None:
    stored = fixture.stored[key]
    values = np.asarray(values)
    assert values.shape == stored.shape
    error = np.nanmax(np.abs(values - stored))
    assert error <= (fixture.bounds[key] if bound is None else bound), f"{key}: {error}"


@pytest.mark.parametrize("name", VARIANTS)
def test_the_state_dict_is_the_official_one(fixtures, name):
    with torch.device("meta"):
        net = Tapir(causal=name.endswith("online"))
    found = {k: list(v.shape) for k, v in net.state_dict().items()}
    assert found == {n: s for n, s, _ in fixtures[name].params["params"]}
    assert sum(p.numel() for p in net.parameters()) == fixtures[name].params["n_parameters"]


def look_up(net: Tapir, grids: Grids, frames, xy) -> QueryVectors:
    """Each point on its own frame."""
    each = [
        net.query_vectors(Grids(*(maps[t][None] for maps in grids)), point[None])
        for t, point in zip(frames, xy, strict=True)
    ]
    return QueryVectors(*(torch.cat(parts) for parts in zip(*each, strict=True)))


@pytest.fixture(scope="module", params=VARIANTS)
def small(request, fixtures, weights):
    """The network at an initial resolution of 128 x 128, and how to run it on a video."""
    net = Tapir(causal=request.param.endswith("online"), initial_resolution=(128, 128)).eval()
    net.load_state_dict(weights)
    fixture = fixtures[request.param]
    queries = torch.tensor(fixture.params["net_queries_tyx"])

    def run(video: np.ndarray):
        images = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255 * 2 - 1
        height, width = images.shape[-2:]
        scale = torch.tensor([128 / width, 128 / height])
        sizes = [(128, 128), *net.resolutions((height, width))]
        resize = torch.nn.functional.interpolate
        grids = [
            net.encode(images if s == (height, width) else resize(images, s, mode="bilinear")) for s in sizes
        ]
        frames, xy = queries[:, 0].long(), queries[:, [2, 1]] * scale
        vectors = [look_up(net, g, frames, xy) for g in grids]
        found, _ = net.track(grids, vectors, known=(frames, xy))
        found = [e._replace(xy=e.xy / scale) for e in found]
        return SimpleNamespace(grids=grids, vectors=vectors, found=found, best=average(found))

    return SimpleNamespace(net=net, fixture=fixture, run=run)


@torch.no_grad()
def test_network_on_a_square(small, parity_module):
    inputs = parity_module("fixture_inputs")
    out, fixture = small.run(inputs.synthetic_video(5, 128, 192)[:, :, :128]), small.fixture
    for name, grid in (("lowres", out.grids[0].lowres), ("hires", out.grids[0].hires)):
        found = inputs.sample(grid.movedim(1, -1))
        assert np.abs(found - fixture.stored[f"net/grid_{name}/sample"]).max() < 1e-5
        close(getattr(out.vectors[0], name), fixture, f"net/query_{name}")
    close(torch.stack([e.xy for e in out.found[:-1]]), fixture, "net/unrefined_tracks")
    close(torch.stack([e.occlusion for e in out.found[:-1]]), fixture, "net/unrefined_occlusion")
    close(out.best.xy, fixture, "net/tracks")
    close(out.best.occlusion, fixture, "net/occlusion")
    close(out.best.distance, fixture, "net/expected_dist")


@torch.no_grad()
def test_network_on_a_rectangle_samples_the_right_columns(small, parity_module):
    """The official code divides x by the height of a map; the fixture holds its outputs with that corrected."""
    out = small.run(parity_module("fixture_inputs").synthetic_video(5, 128, 192))
    close(out.best.xy, small.fixture, "net/rect_corrected/tracks")
    close(out.best.occlusion, small.fixture, "net/rect_corrected/occlusion")


@torch.no_grad()
def test_network_refines_at_two_resolutions(small, parity_module):
    out = small.run(parity_module("fixture_inputs").synthetic_video(5, 192, 192))
    assert len(out.found) - 1 == small.fixture.stored["net/hires/n_unrefined"]
    close(out.best.xy, small.fixture, "net/hires/tracks")
    close(out.best.occlusion, small.fixture, "net/hires/occlusion")
    close(out.best.distance, small.fixture, "net/hires/expected_dist")


def prompts_of(fixture) -> Prompts:
    return Prompts(
        PointPrompt(((x, y),), object_id=i + 1, frame=int(t))
        for i, (t, x, y) in enumerate(fixture.params["queries_txy"])
    )


def frames_of(clip) -> list[Frame]:
    return [Frame(i, i / 30, image) for i, image in enumerate(clip)]


def per_point(tracks, points: int, frames: int) -> SimpleNamespace:
    xy, visible = np.full((points, frames, 2), np.nan), np.zeros((points, frames), bool)
    rows = tracks.points
    xy[rows.object_id - 1, rows.frame], visible[rows.object_id - 1, rows.frame] = rows.xy, rows.visible
    return SimpleNamespace(xy=xy, visible=visible)


def after_the_query(fixture) -> np.ndarray:
    start = np.array(fixture.params["queries_txy"])[:, :1]
    return np.arange(FRAMES) > start


def probability(fixture, run: str) -> np.ndarray:
    occlusion, distance = (fixture.stored[f"track/{run}/{k}"] for k in ("occlusion", "expected_dist"))
    return 1 / ((1 + np.exp(occlusion)) * (1 + np.exp(distance)))


@pytest.mark.parametrize("resolution", [256, pytest.param(320, marks=pytest.mark.slow)])
def test_offline_tracker(fixtures, checkpoint, clip, see_once, resolution):
    fixture, run = fixtures["bootstapir"], str(resolution)
    tracker = TAPIR(weights=checkpoint, device="cpu", resolution=resolution)
    see_once(tracker)
    scale = resolution / np.array(clip.shape[2:0:-1])
    prompts = prompts_of(fixture)

    whole = OfflineRun(tracker._network, Figures(prompts), 64)
    xy, sure = whole.follow(list(whole.see(frames_of(clip))))
    close(xy * scale, fixture, f"track/{run}/tracks")
    assert np.abs(sure - probability(fixture, run)).max() < fixture.bounds[f"track/{run}/occlusion"]
    assert ((sure > 0.5) == fixture.stored[f"track/{run}/visible"]).all()

    answers, after = (
        per_point(track(clip, prompts, tracker, progress=False), *sure.shape),
        after_the_query(fixture),
    )
    error = np.abs(answers.xy * scale - fixture.stored[f"track/{run}/tracks"])[after].max()
    assert error <= fixture.bounds[f"track/{run}/tracks"]
    assert (answers.visible == fixture.stored[f"track/{run}/visible"])[after].all()


def test_online_tracker(fixtures, checkpoint, clip, see_once):
    """Points enter on their own frames with an empty memory: the protocol of the official live demo."""
    fixture, run = fixtures["bootstapir-online"], "track/online_reset"
    tracker = OnlineTAPIR(weights=checkpoint, device="cpu", points_at_once=5)
    see_once(tracker)
    found = per_point(track(clip, prompts_of(fixture), tracker, progress=False), FRAMES, FRAMES)
    after, scale = after_the_query(fixture), 256 / np.array(clip.shape[2:0:-1])
    error = np.abs(found.xy * scale - fixture.stored[f"{run}/tracks"])[after].max()
    assert error <= fixture.bounds[f"{run}/tracks"]
    assert (found.visible == (probability(fixture, "online_reset") > 0.5))[after].all()


@torch.no_grad()
def test_online_protocol_from_the_first_frame(fixtures, checkpoint, clip, see_once):
    """All queries are looked up first, then all points run from frame 0: the protocol of the official colab."""
    fixture, run = fixtures["bootstapir-online"], "track/online_all"
    holder = SimpleNamespace(
        _network=Network.load(
            "bootstapir",
            checkpoint,
            torch.device("cpu"),
            causal=True,
            resolution=256,
            softmax_temperature=20.0,
        )
    )
    see_once(holder)
    network, size = holder._network, clip.shape[1:3]
    queries = np.array(fixture.params["queries_txy"])
    grids = [network.see(image) for image in clip]
    looked_up = [
        network.look_up(grids[int(t)], network.inside(np.array([[x, y]]), size))[0] for t, x, y in queries
    ]
    vectors = [type(looked_up[0])(*(torch.cat(parts) for parts in zip(*looked_up, strict=True)))]
    state = network.net.empty_state(len(queries), 1, vectors[0].lowres)
    found = []
    for grid in grids:
        estimates, state = network.track(grid, vectors, None, state)
        found.append(estimates[-1])
    close(torch.cat([e.xy for e in found], dim=1), fixture, f"{run}/tracks")
    close(torch.cat([e.occlusion for e in found], dim=1), fixture, f"{run}/occlusion")
    close(torch.cat([e.distance for e in found], dim=1), fixture, f"{run}/expected_dist")
    sure = torch.cat([probability_visible(e) for e in found], dim=1).numpy()
    assert ((sure > 0.5) == fixture.stored[f"{run}/visible"]).all()
    memory = state.inputs[-1, -1].reshape(-1)
    stored = fixture.stored[f"{run}/state_last_causal_1/sample"]
    assert np.abs(memory[:: memory.numel() // 64][:64].numpy() - stored).max() < 1e-3
