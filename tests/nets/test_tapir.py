"""TAPIR's network: what its pieces promise, whatever the weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.tapir import Estimate, MixerBlock, Tapir, average, soft_argmax  # noqa: E402


@pytest.fixture(scope="module", params=[False, True], ids=["offline", "causal"])
def net(request):
    torch.manual_seed(0)
    return (
        Tapir(causal=request.param, initial_resolution=(64, 64), extra_convs=False)
        .eval()
        .requires_grad_(False)
    )


def look(net, frames: int = 5, points: int = 3):
    images = torch.rand(frames, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    grids = [net.encode(images)] * 2
    xy = torch.tensor([[20.0, 30.0], [40.5, 10.0], [63.0, 1.0]])[:points]
    start = torch.zeros(points, dtype=torch.long)
    return images, grids, [net.query_vectors(type(g)(*(m[:1] for m in g)), xy) for g in grids], (start, xy)


def test_frames_are_seen_independently(net):
    images, grids, *_ = look(net)
    alone = net.encode(images[2:3])
    assert torch.allclose(alone.lowres[0], grids[0].lowres[2], atol=1e-6)
    assert torch.allclose(alone.hires[0], grids[0].hires[2], atol=1e-6)
    assert torch.allclose(grids[0].hires.norm(dim=1), torch.ones(5, 16, 16), atol=1e-5)


def test_points_are_followed_independently(net):
    _, grids, vectors, (start, xy) = look(net)
    together, _ = net.track(grids, vectors, known=(start, xy))
    one = [type(v)(v.lowres[1:2], v.hires[1:2]) for v in vectors]
    alone, _ = net.track(grids, one, known=(start[1:2], xy[1:2]))
    assert torch.allclose(alone[-1].xy[0], together[-1].xy[1], atol=1e-4)


def test_the_query_replaces_the_first_guess_on_its_frame_only(net):
    _, grids, vectors, (_, xy) = look(net)
    free, _ = net.track(grids, vectors)
    held, _ = net.track(grids, vectors, known=(torch.tensor([0, -1, 3]), xy))
    assert torch.equal(held[0].xy[0, 0], xy[0])
    assert torch.equal(held[0].xy[2, 3], xy[2])
    assert torch.equal(held[0].xy[1], free[0].xy[1])
    assert torch.equal(held[0].xy[0, 1:], free[0].xy[0, 1:])


def test_a_causal_network_gives_the_same_frame_by_frame(net):
    _, grids, vectors, _ = look(net)
    whole, state = net.track(grids, vectors)
    if not net.causal:
        assert state is None
        return
    memory = net.empty_state(3, 1, grids[0].lowres)
    for t in range(5):
        now = [type(g)(g.lowres[t : t + 1], g.hires[t : t + 1]) for g in grids]
        found, memory = net.track(now, vectors, state=memory)
        assert torch.allclose(found[-1].xy[:, 0], whole[-1].xy[:, t], atol=1e-3)
    assert torch.allclose(memory.inputs, state.inputs, atol=1e-3)
    assert torch.allclose(memory.hidden, state.hidden, atol=1e-3)


def test_a_causal_block_does_not_see_the_future():
    torch.manual_seed(0)
    block, x = MixerBlock(causal=True).eval(), torch.randn(2, 6, 512)
    changed = x.clone()
    changed[:, 4:] += 1
    with torch.no_grad():
        assert torch.equal(block(x, None)[0][:, :4], block(changed, None)[0][:, :4])


def test_soft_argmax_ignores_what_lies_five_cells_away():
    heat = torch.zeros(1, 16, 16)
    heat[0, 4, 6], heat[0, 14, 14] = 5.0, 4.9
    assert torch.allclose(soft_argmax(heat, 20.0), torch.tensor([[6.5, 4.5]]), atol=1e-3)


def test_average_takes_the_last_refinement_of_each_resolution():
    steps = [Estimate(*(torch.full((1, 1), float(i)) for _ in range(3))) for i in range(9)]
    assert average(steps).xy.item() == (4 + 8) / 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((256, 256), [(256, 256)]),
        ((100, 256), [(256, 256)]),
        ((320, 320), [(256, 256), (320, 320)]),
        ((1024, 256), [(256, 256), (512, 256), (1024, 256)]),
    ],
)
def test_resolutions_are_spaced_evenly_on_a_log_scale(size, expected):
    with torch.device("meta"):
        assert Tapir().resolutions(size) == expected
