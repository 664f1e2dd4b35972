"""Cutie through vtlab against stored outputs of the package with seeded weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
pytest.importorskip("cutie", reason="the package cutie is not installed: pip install 'vtlab[cutie]'")

import vtlab  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.nets import cutie  # noqa: E402
from vtlab.prompts import MaskPrompt, Prompts  # noqa: E402
from vtlab.video import Frame  # noqa: E402

pytestmark = [pytest.mark.shared, pytest.mark.parity]


@pytest.fixture(scope="module")
def fixture(shared):
    folder = shared / "parity" / "cutie"
    return np.load(folder / "fixture.npz"), json.loads((folder / "params.json").read_text())


@pytest.fixture(scope="module")
def checkpoint(parity_module, tmp_path_factory):
    network = cutie.build(cutie.settings("small"))
    path = tmp_path_factory.mktemp("weights") / "cutie-small-mega.pth"
    torch.save(parity_module("seeded_weights").fill(network.state_dict()), path)
    return path


def test_the_state_dict_is_the_official_one(fixture, checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    assert {k: list(v.shape) for k, v in state.items()} == dict(fixture[1]["params"])


def test_tracker(fixture, checkpoint, parity_module):
    """Two objects, the second on frame 4, consolidation from frame 9 on."""
    stored, params = fixture
    inputs, long_term = parity_module("fixture_inputs"), params["config"]["long_term"]
    tracker = vtlab.create_tracker(
        "cutie-small",
        weights=checkpoint,
        memory_every=params["config"]["mem_every"],
        max_frames=long_term["max_mem_frames"],
        min_frames=long_term["min_mem_frames"],
        prototypes=long_term["num_prototypes"],
        max_long_term=long_term["max_num_tokens"],
        device="cpu",
    )
    tracker._config.long_term.buffer_tokens = long_term["buffer_tokens"]
    labels, seen = inputs.index_mask(), []
    step = tracker._step
    tracker._step = lambda *args: seen.append(step(*args)) or seen[-1]
    for t, image in enumerate(inputs.clip(params["config"]["frames"])):
        now = [
            MaskPrompt.of(labels == i, object_id=i, frame=t) for i, start in ((1, 0), (2, 4)) if start == t
        ]
        frame = Frame(t, t / 25, image)
        answer = tracker.init(frame, Prompts(now)) if t == 0 else tracker.step(frame, Prompts(now))
        difference = np.abs(seen[-1][:, 6::16, 6::16].numpy() - stored[f"prob_{t}"])
        assert difference.max() < 5e-3, (t, difference.max())
        assert difference.mean() < 1e-4, (t, difference.mean())
        assert answer.object_ids.tolist() == ([1] if t < 4 else [1, 2])


def test_objects_come_are_corrected_and_go(checkpoint):
    video = np.random.default_rng(0).integers(0, 255, (9, 70, 90, 3), dtype=np.uint8)
    left = MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40)), object_id=9)
    right = MaskPrompt(polygon=((50, 20), (70, 20), (70, 60), (50, 60)), object_id=2, frame=2)
    again = MaskPrompt(polygon=((50, 20), (70, 20), (70, 60), (50, 60)), object_id=9, frame=4)
    both = MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40)), object_id=2, frame=4)
    tracks = vtlab.track(
        video, [left, right, again, both], "cutie-small", weights=checkpoint, progress=False, remove={9: 6}
    )
    assert tracks.of_object(9).frames.tolist() == list(range(6))
    assert tracks.of_object(2).frames.tolist() == list(range(2, 9))
    for t in range(2, 6):
        found = tracks.masks_at(t)
        assert not (found[2] & found[9]).any()


def test_bad_input(checkpoint):
    with pytest.raises(WeightsError, match="It is a checkpoint of cutie-small"):
        vtlab.create_tracker("cutie-base", weights=checkpoint)
    with pytest.raises(InputError, match="memory_every >= 1"):
        vtlab.create_tracker("cutie-small", weights=checkpoint, memory_every=0)
