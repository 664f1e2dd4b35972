"""MCITrack-T224 against stored outputs of the official code (kangben258/MCITrack) with seeded weights."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh  # noqa: E402
from vtlab.nets.mcitrack import CONFIGS, MCITrack, variant_of  # noqa: E402
from vtlab.prompts import BoxPrompt, Prompts  # noqa: E402
from vtlab.trackers.boxes import mcitrack as module  # noqa: E402
from vtlab.trackers.boxes.crops import area_window, crop, hann_window, network_input  # noqa: E402
from vtlab.trackers.boxes.crops import decode_centre as decode  # noqa: E402
from vtlab.trackers.boxes.mcitrack import MCITrack as MCITrackTracker  # noqa: E402
from vtlab.video import Frame  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]

ACTIVATION, MAP, BOX, CONF, PIXELS = 1e-4, 2e-5, 2e-5, 1e-5, 0.02  # NOTES.md of the fixture


@pytest.fixture(scope="module")
def fixture(shared):
    folder = shared / "parity" / "mcitrack_t224"
    stored = np.load(folder / "fixture.npz")
    params = json.loads((folder / "params.json").read_text())
    return SimpleNamespace(stored=stored, params=params, frames=shared / "parity" / "_frames_bedroom")


@pytest.fixture(scope="module")
def network(parity_module):
    net = MCITrack(CONFIGS["t224"]).eval()
    net.load_state_dict(parity_module("seeded_weights").fill(net.state_dict()), strict=True)
    return net


def noise(seed, shape):
    return torch.from_numpy(
        np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)
    )


def assert_summary(stored, name, value, atol=ACTIVATION):
    flat = np.asarray(value, dtype=np.float32)
    assert flat.shape == tuple(stored[f"{name}__shape"]), name
    flat = flat.reshape(-1)
    expected = stored[f"{name}__sample"]
    got = flat[np.linspace(0, flat.size - 1, len(expected)).astype(np.int64)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=name)
    stats = np.array([flat.mean(dtype=np.float64), flat.std(dtype=np.float64), flat.min(), flat.max()])
    np.testing.assert_allclose(stats, stored[f"{name}__stats"], rtol=1e-5, atol=atol, err_msg=name)


def test_the_state_dict_is_the_official_one(fixture):
    with torch.device("meta"):
        net = MCITrack(CONFIGS["t224"])
    state = net.state_dict()
    assert {k: list(v.shape) for k, v in state.items()} == {n: s for n, s, _ in fixture.params["params"]}
    assert {k: str(v.dtype).removeprefix("torch.") for k, v in state.items()} == {
        n: t for n, _, t in fixture.params["params"]
    }
    assert sum(p.numel() for p in net.parameters()) == fixture.params["counts"]["parameters"]


@pytest.mark.parametrize(
    ("name", "blocks"), [("t224", 16), ("s224", 26), ("b224", 32), ("l224", 46), ("l384", 46)]
)
def test_the_other_variants_follow_by_configuration(name, blocks):
    with torch.device("meta"):
        net = MCITrack(CONFIGS[name])
    assert len(net.encoder.body.blocks) == blocks
    assert variant_of(net.state_dict()) == f"mcitrack-{name}"


@pytest.fixture(scope="module")
def steps(fixture, network):
    """What every named boundary gave in the fixture's two steps."""
    inputs = fixture.params["inputs"]
    seen: dict[str, torch.Tensor] = {}

    def keep(name):
        def hook(_module, _inputs, output):
            seen.setdefault(name, output)

        return hook

    body, neck = network.encoder.body, network.neck
    handles = [
        body.patch_embed.register_forward_hook(keep("patch_embed")),
        body.blocks[0].register_forward_hook(keep("block0")),
        body.blocks[3].register_forward_hook(keep("merge2")),
        body.blocks[4].register_forward_hook(keep("main0")),
        body.blocks[4].attn.register_forward_hook(keep("main0_attn")),
        body.blocks[4].mlp.register_forward_hook(keep("main0_mlp")),
        body.fc_norm.register_forward_hook(keep("fc_norm")),
        network.decoder.register_forward_pre_hook(lambda _, args: seen.setdefault("decoder_in", args[0])),
        neck.interactions[0].injector.register_forward_hook(keep("injector0")),
        neck.interactions[0].extractor.register_forward_hook(keep("extractor0")),
    ]
    for i in range(4):
        handles.append(neck.layers[i].register_forward_hook(keep(f"layer{i}")))
        handles.append(neck.interactions[i].register_forward_hook(keep(f"interaction{i}")))
    templates = torch.cat(
        [noise(seed, inputs["templates"]["shape"]) for seed in inputs["templates"]["seeds"]]
    )
    annos = torch.tensor(inputs["template_annos_xywh_normalised"])
    records, state = [], None
    with torch.inference_mode():
        tokens = network.embed_templates(templates, annos)
        records.append(dict(seen))
        for seed in inputs["searches"]["seeds"]:
            seen.clear()
            outputs = network(noise(seed, inputs["searches"]["shape"]), tokens.flatten(0, 1)[None], state)
            state = outputs[3]
            records.append({**seen, "outputs": outputs})
    for handle in handles:
        handle.remove()
    return records


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def test_encoder(fixture, steps):
    stored, (template, search, _) = fixture.stored, steps
    for name in ("patch_embed", "block0", "merge2"):
        assert_summary(stored, f"net_{name}_template", channels_first(template[name]))
    for name in ("patch_embed", "merge2"):
        assert_summary(stored, f"net_{name}_search", channels_first(search[name]))
    for name in ("main0", "main0_attn", "main0_mlp"):
        assert_summary(stored, f"net_{name}", search[name])


@pytest.mark.parametrize("step", [0, 1])
def test_neck_state_and_head(fixture, steps, step):
    stored, record = fixture.stored, steps[step + 1]
    prefix = f"net_step{step}_"
    for i in range(4):
        assert_summary(stored, f"{prefix}neck{i}_mamba_out", record[f"layer{i}"][0])
        assert_summary(stored, f"{prefix}neck{i}_state", record["outputs"][3][i])
        x, xs = record[f"interaction{i}"]
        assert_summary(stored, f"{prefix}neck{i}_x", x)
        assert_summary(stored, f"{prefix}neck{i}_xs", xs)
    if step == 0:
        assert_summary(stored, "net_injector0", record["injector0"].transpose(0, 1))
        assert_summary(stored, "net_extractor0", record["extractor0"].transpose(0, 1))
    score, size, offset, _ = record["outputs"]
    for name, value in (("score", score), ("size", size), ("offset", offset)):
        np.testing.assert_allclose(value, stored[f"{prefix}{name}_map"], rtol=0, atol=MAP, err_msg=name)


# The tracker ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """The seeded weights as a file of the official layout."""
    path = tmp_path_factory.mktemp("mcitrack") / "MCITRACK_ep0300.pth.tar"
    torch.save({"epoch": 300, "net_type": "MCITRACK", "net": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def images(fixture):
    images = [
        cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in sorted(fixture.frames.glob("*.jpg"))
    ]
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    assert digests == fixture.params["tracker"]["frames"]["sha256_decoded_rgb"]
    return images


@pytest.fixture(scope="module")
def make(checkpoint):
    made = MCITrackTracker(weights=checkpoint, device="cpu")

    def configured(update_threshold, update_h_t, update_intervals, memory_bank, fps=30.0):
        made.update_above, made.keep_state_above = update_threshold, update_h_t
        made.update_every, made.memory = update_intervals / fps, memory_bank
        return made

    return configured


def prompt(xywh, **kwargs):
    return Prompts([BoxPrompt(xyxy=tuple(xywh_to_xyxy(xywh)), **kwargs)])


def normalised(image):
    return network_input([image]).numpy()


@pytest.mark.parametrize("run", ["free_lasot", "forced_memory", "free_memory"])
def test_tracker(fixture, make, images, monkeypatch, run):
    stored, tracked = fixture.stored, fixture.params["tracker"]
    spec = tracked["runs"][run]
    tracker = make(**spec["effective"])
    seen = SimpleNamespace(net=[], searches=[])

    def decoding(*args):
        seen.net.append((args[0].numpy().copy(), decode(*args)[0].numpy().copy()))
        return decode(*args)

    monkeypatch.setattr(module, "decode_centre", decoding)
    monkeypatch.setattr(tracker._network, "forward", keep_first(seen.searches, tracker._network.forward))
    answers = [tracker.init(Frame(0, 0.0, images[0]), prompt(tracked["init_box_xywh"]))]
    target = tracker._targets[1]
    resets, memory = [], []
    for n in range(1, 8):
        if spec["mode"] == "forced":
            target.box = xywh_to_xyxy(tracked["forced_states_xywh"][n - 1])
        answers.append(tracker.step(Frame(n, n / 30, images[n])))
        resets.append(int(target.state is None))
        memory.append(len(target.memory))

    boxes = xyxy_to_xywh(np.concatenate([a.boxes for a in answers]))
    np.testing.assert_allclose(boxes, stored[f"trk_{run}_boxes"], rtol=0, atol=PIXELS)
    scores = [a.scores[0] for a in answers[1:]]
    np.testing.assert_allclose(scores, stored[f"trk_{run}_conf"], rtol=0, atol=CONF)
    np.testing.assert_allclose(
        np.concatenate([box for _, box in seen.net]), stored[f"trk_{run}_net_box"], rtol=0, atol=BOX
    )
    np.testing.assert_allclose(
        [s.max() for s, _ in seen.net], stored[f"trk_{run}_raw_max"], rtol=0, atol=CONF
    )
    window = hann_window(14, ends=False)
    assert [int((s[0, 0] * window).argmax()) for s, _ in seen.net] == stored[f"trk_{run}_index"].tolist()
    assert resets == stored[f"trk_{run}_reset"].tolist()
    assert memory == stored[f"trk_{run}_memory"].tolist()
    for i, template in enumerate(target.templates):
        flat = normalised(template.image).reshape(-1)
        sample = flat[np.linspace(0, flat.size - 1, 256).astype(np.int64)]
        np.testing.assert_allclose(sample, stored[f"trk_{run}_template_samples"][i], rtol=0, atol=2e-6)
        np.testing.assert_allclose(template.box, stored[f"trk_{run}_template_annos"][i], rtol=0, atol=BOX)
    for i in range(4):
        name = f"trk_{run}_final_state{i}"
        if f"{name}__shape" in stored:
            assert_summary(stored, name, target.state[i][None])
    if run == "free_lasot":
        assert_summary(stored, "trk_frame1_input", seen.searches[0])


def keep_first(log, forward):
    def call(search, *args):
        log.append(search.numpy().copy())
        return forward(search, *args)

    return call


def test_crops(fixture, images):
    stored, tracked = fixture.stored, fixture.params["tracker"]

    def patch(image, xywh, factor, size):
        return crop(image, area_window(xywh_to_xyxy(xywh), factor), size, cut_last=True)

    start = tracked["init_box_xywh"]
    assert_summary(stored, "trk_template_patch_u8", patch(images[0], start, 2.0, 112), atol=1e-9)
    assert_summary(stored, "trk_frame1_patch_u8", patch(images[1], start, 4.0, 224), atol=1e-9)
    for n, state in enumerate(tracked["forced_states_xywh"], start=1):
        assert_summary(stored, f"trk_forced_frame{n}_patch_u8", patch(images[n], state, 4.0, 224), atol=1e-9)


def test_every_object_as_if_it_were_alone(make, images):
    """An object that joins disturbs no other; a batch of mixed states equals lone trackers."""
    tracker = make(update_threshold=0.4, update_h_t=0.45, update_intervals=2, memory_bank=6)
    frames = [Frame(i, i / 30, image) for i, image in enumerate(images[:4])]
    boxes = {1: (146, 132, 294, 407), 2: (600, 110, 660, 151)}

    def given(object_id):
        return Prompts(BoxPrompt(xyxy=boxes[object_id], object_id=object_id, frame=object_id - 1))

    tracker.init(frames[0], given(1))
    tracker.step(frames[1], given(2))
    together = [tracker.step(f).boxes for f in frames[2:]]
    for row, object_id in enumerate(boxes):
        tracker.init(frames[row], given(object_id))
        alone = [tracker.step(f).boxes[0] for f in frames[row + 1 :]][-2:]
        np.testing.assert_allclose([t[row] for t in together], alone, rtol=0, atol=1e-3)
