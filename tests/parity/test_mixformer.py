"""MixFormer against stored outputs of the official code (MCG-NJU/MixFormer) with seeded weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from tests.parity.sot_fixture import BOX, FPS, PIXELS, SotFixture, outputs_of  # noqa: E402
from vtlab.nets.layers import precise_roi_pool, to_map  # noqa: E402
from vtlab.nets.mixformer import Memory, variant_of  # noqa: E402
from vtlab.trackers.boxes import crops as _crops  # noqa: E402
from vtlab.trackers.boxes import mixformer as trackers  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

LOGIT, INPUT = 5e-6, 1e-5
VARIANTS = {
    "mixformer_cvt_base": ("cvt", False, "mixformer-cvt-offline"),
    "mixformer_cvt_online_base": ("cvt", True, "mixformer-cvt"),
    "mixformer_vit_online_base": ("vit", True, "mixformer-vit"),
}


@pytest.fixture(scope="module", params=VARIANTS)
def fixture(request, shared, parity_module):
    made = SotFixture(shared, request.param, parity_module("seeded_weights"))
    made.backbone, made.online, made.name = VARIANTS[request.param]
    return made


@pytest.fixture(scope="module")
def net(fixture):
    return fixture.network(
        lambda: trackers.make_network(fixture.backbone, "base", fixture.online), tracker=False
    )


@pytest.fixture(scope="module")
def make_tracker(fixture):
    """Return a function that makes a tracker; all share one network."""
    shared_net = fixture.network(
        lambda: trackers.make_network(fixture.backbone, "base", fixture.online), tracker=True
    )

    def make(**options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trackers, "load", lambda *_, **__: shared_net)
            return trackers.MixFormer(
                backbone=fixture.backbone, online=fixture.online, device="cpu", **options
            )

    return make


def test_the_state_dict_is_the_official_one(fixture, net):
    fixture.assert_names_and_shapes(net)
    assert variant_of(net.state_dict()) == fixture.name


def joint(net, fixture):
    templates = torch.stack([fixture.input("template"), fixture.input("online_template")], dim=1)
    return net.memorize(templates)


@torch.inference_mode()
def test_network_outputs_and_head(fixture, net):
    found = outputs_of(net, ["box_head.conv2_tl", "box_head.conv5_tl"])
    memory = joint(net, fixture)
    features = net.backbone(memory, fixture.input("search"))
    fixture.assert_summary("net_head_in", features)
    boxes, logits = net(memory, fixture.input("search"))
    fixture.assert_close("net_pred_boxes", boxes, BOX)
    fixture.assert_summary("net_head_conv2_tl", found["box_head.conv2_tl"])
    fixture.assert_summary("net_conv5_tl", found["box_head.conv5_tl"])
    for corner in ("tl", "br"):
        fixture.assert_summary(f"net_score_map_{corner}", net.box_head.corner_map(features, corner))
    assert (logits is not None) == fixture.online
    if fixture.online:
        fixture.assert_close("net_pred_scores_logit", logits, LOGIT)


@torch.inference_mode()
def test_stages_of_the_backbone(fixture, net):
    if fixture.backbone == "vit":
        check_vit_blocks(fixture, net)
        return
    memory_tokens, search_tokens = [], []
    stages = net.backbone.stages()
    hooks = [
        stage.patch_embed.register_forward_hook(lambda _m, _i, out: search_tokens.append(out))
        for stage in stages
    ]
    batch = torch.cat([fixture.input("template"), fixture.input("online_template")])
    net.backbone.memorize(batch[None])
    memory_tokens, search_tokens = search_tokens, []
    for hook in hooks:
        hook.remove()
    for i, (tokens, size) in enumerate(memory_tokens):
        template, online = (to_map(t, size, size) for t in tokens.chunk(2))
        fixture.assert_summary(f"net_stage{i}_embed_template", template)
        fixture.assert_summary(f"net_stage{i}_embed_online", online)
    x, index, memory = fixture.input("search"), 0, joint(net, fixture)
    for i, stage in enumerate(stages):
        tokens, size = stage.patch_embed(x)
        fixture.assert_summary(f"net_stage{i}_embed_search", to_map(tokens, size, size))
        for block in stage.blocks:
            tokens = block(tokens, size, memory, index)
            index += 1
        x = to_map(tokens, size, size)
        fixture.assert_summary(f"net_stage{i}_search", x)
    fixture.assert_summary("net_stage2_template", memory.template)


def check_vit_blocks(fixture, net):
    found = {}
    joined = {}
    blocks = net.backbone.blocks
    memory_out = []
    original = [block.memorize for block in blocks]
    for i, block in enumerate(blocks):
        block.memorize = lambda x, m, s, i=i: memory_out.append(original[i](x, m, s)) or memory_out[-1]
        block.register_forward_hook(lambda _m, _i, out, i=i: found.__setitem__(i, out))
    memory = joint(net, fixture)
    net.backbone(memory, fixture.input("search"))
    for block in blocks:
        del block.memorize
        block._forward_hooks.clear()
    for i in (0, 5, 11):
        joined[i] = torch.cat([memory_out[i][0], found[i]], dim=1)
        fixture.assert_summary(f"net_block{i}", joined[i])
    for name in ("template", "online", "search"):
        key = "online_template" if name == "online" else name
        tokens = net.backbone.patch_embed(fixture.input(key))
        position = net.backbone.pos_embed_s if name == "search" else net.backbone.pos_embed_t
        stored = f"net_patch_embed_{name}"
        bare = np.abs(fixture.stored[f"{stored}__sample"] - sample(tokens, 256)).max()
        fixture.assert_summary(stored, tokens if bare < 1e-3 else tokens + position)


def sample(value, n):
    flat = value.numpy().reshape(-1)
    return flat[np.linspace(0, flat.size - 1, n).astype(np.int64)]


@torch.inference_mode()
def test_three_online_templates(fixture, net):
    templates = torch.cat([fixture.input("template"), fixture.input("online_templates_3")])
    memory = net.memorize(templates[None])
    features = net.backbone(memory, fixture.input("search"))
    fixture.assert_summary("net_online3_head_in", features)
    fixture.assert_close("net_online3_pred_boxes", net(memory, fixture.input("search"))[0], BOX)
    if fixture.online:
        fixture.assert_summary("net_online3_template_feature", memory.template)
        given = torch.tensor(fixture.params["inputs"]["gt_bboxes_xyxy_normalised"])
        logit = net.score_branch(features, memory.template, given)
        fixture.assert_close("net_online3_gt_scores_logit", logit, LOGIT)


@torch.inference_mode()
def test_score_module_with_a_given_box(fixture, net):
    if not fixture.online:
        assert not hasattr(net, "score_branch")
        return
    found = outputs_of(net, ["score_branch.norm2.0", "score_branch.norm2.1"])
    memory = joint(net, fixture)
    features = net.backbone(memory, fixture.input("search"))
    given = torch.tensor(fixture.params["inputs"]["gt_bboxes_xyxy_normalised"])
    fixture.assert_summary("net_gt_prroi", precise_roi_pool(features, given * features.shape[-1], 4))
    logit = net.score_branch(features, memory.template, given)
    for i in (0, 1):
        fixture.assert_summary(f"net_gt_spm_norm2_{i}", found[f"score_branch.norm2.{i}"])
    fixture.assert_close("net_gt_scores_logit", logit, LOGIT)


@torch.inference_mode()
def test_memories_of_different_length_share_a_batch(fixture, net):
    short = joint(net, fixture)
    long = net.memorize(torch.cat([fixture.input("template"), fixture.input("online_templates_3")])[None])
    search = fixture.input("search")
    merged = Memory.merge([short, long], [2, 4])
    boxes, logits = net(merged, search.expand(2, -1, -1, -1))
    for row, alone in enumerate((short, long)):
        box, logit = net(alone, search)
        np.testing.assert_allclose(boxes[row], box[0], atol=1e-6)
        if fixture.online:
            np.testing.assert_allclose(logits[row], logit[0], atol=LOGIT)


def check_run(fixture, make_tracker, name):
    run = fixture.params["tracker"]["runs"][name]
    every = run["update_interval"] if fixture.online else run["update_intervals"][0]
    options = (
        {"online_size": run["online_size"], "score_decay": run["max_score_decay"]} if fixture.online else {}
    )
    tracker = make_tracker(search_factor=run["search_factor"], update_every=every / FPS, **options)
    crops, original = [], tracker._template
    tracker._template = lambda image, box: crops.append(original(image, box)) or crops[-1]
    taken, held = [], []

    def after():
        taken.append(len(crops))
        held.append(len(tracker._targets[1].online))

    boxes, scores = fixture.run(tracker, forced=run["mode"] == "forced", after=after)
    fixture.assert_close(f"trk_{name}_boxes", boxes, PIXELS)
    if fixture.online:
        np.testing.assert_allclose(scores[1:], fixture.stored[f"trk_{name}_scores"][1:], rtol=0, atol=LOGIT)
    else:
        assert (scores == 1).all()
    np.testing.assert_array_equal(np.diff(taken), fixture.stored[f"trk_{name}_update"])
    np.testing.assert_array_equal(held, fixture.stored[f"trk_{name}_online_count"])
    samples = fixture.stored[f"trk_{name}_online_template_sample"]
    for crop, expected in zip(tracker._targets[1].online, samples, strict=True):
        got = sample(_crops.network_input([crop])[0], 256)
        np.testing.assert_allclose(got, expected, rtol=0, atol=INPUT)


@pytest.mark.parametrize(
    "fixture",
    [*list(VARIANTS)[:2], pytest.param("mixformer_vit_online_base", marks=pytest.mark.slow)],
    indirect=True,
)
def test_tracker_on_prescribed_states(fixture, make_tracker):
    check_run(fixture, make_tracker, "forced_os2" if fixture.online else "forced_upd2")


@pytest.mark.slow
def test_tracker_left_to_itself(fixture, make_tracker):
    check_run(fixture, make_tracker, "free_os1" if fixture.online else "free")


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["mixformer_cvt_online_base"], indirect=True)
def test_tracker_on_prescribed_states_with_other_updates(fixture, make_tracker):
    check_run(fixture, make_tracker, "forced_os1" if fixture.online else "forced")


@pytest.mark.slow
@pytest.mark.parametrize("fixture", list(VARIANTS)[1:], indirect=True)
def test_many_objects_equal_lone_ones(fixture, make_tracker):
    fixture.assert_many_equal_lone_ones(make_tracker(update_every=2 / FPS))


def test_crops(fixture):
    factor = fixture.params["tracker_config"]["search_factor"]
    size = fixture.params["tracker_config"]["search_size"]
    template = _crops.crop(fixture.frame(0).image, _crops.area_window(fixture.box, 2.0), 128, cut_last=True)
    fixture.assert_summary("trk_template_patch_u8", template, 0)
    for n in range(1, 8):
        window = _crops.area_window(fixture.forced[n - 1], factor)
        crop = _crops.crop(fixture.frame(n).image, window, size, cut_last=True)
        fixture.assert_summary(f"trk_forced_frame{n}_patch_u8", crop, 0)
    window = _crops.area_window(fixture.box, factor)
    crop = _crops.crop(fixture.frame(1).image, window, size, cut_last=True)
    fixture.assert_summary("trk_frame1_patch_u8", crop, 0)
    fixture.assert_summary("trk_frame1_input", _crops.network_input([crop]), INPUT)
