"""SAM 3 through transformers, with small random weights: by text and by figures, against the library that keeps all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'")

import vtlab  # noqa: E402
from vtlab.errors import InputError, PromptError, WeightsError  # noqa: E402
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompts, TextPrompt  # noqa: E402
from vtlab.testing.seeded import masks as seeded  # noqa: E402
from vtlab.trackers.masks.sam3 import thinned  # noqa: E402
from vtlab.video import Frame  # noqa: E402

VIDEO = np.random.default_rng(0).integers(0, 255, (18, 60, 90, 3), dtype=np.uint8)
TAXI = TextPrompt("yellow taxi")
LOOSE = {"confidence": 0.2, "new": 0.22, "device": "cpu"}  # random weights are never sure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files as the hub has them."""
    return seeded.sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def tracker(folder):
    return vtlab.create_tracker("sam3-text", weights=folder, **LOOSE)


def through(tracker, frames, prompts: Prompts) -> list[dict[int, np.ndarray]]:
    found = []
    for t in frames:
        frame, now = Frame(t, t / 25, VIDEO[t % len(VIDEO)]), prompts.at(t)
        answer = tracker.step(frame, now) if t else tracker.init(frame, now)
        masks = () if answer.masks is None else answer.masks
        found.append(dict(zip(answer.object_ids.tolist(), masks, strict=True)))
    return found


def size(state, seen: set[int] | None = None) -> int:
    """Numbers that a state holds: elements of tensors and entries of containers, all the way down."""
    seen = set() if seen is None else seen
    if id(state) in seen:
        return 0
    seen.add(id(state))
    if isinstance(state, torch.Tensor):
        return state.untyped_storage().nbytes()
    if isinstance(state, Mapping):
        return len(state) + sum(size(v, seen) for v in state.values())
    if isinstance(state, (list, tuple, set)):
        return len(state) + sum(size(v, seen) for v in state)
    return size(vars(state), seen) if hasattr(state, "__dict__") and "torch" not in str(type(state)) else 0


class TestText:
    def test_the_same_as_the_library_that_keeps_all(self, tracker):
        """Whole video, random weights, several objects that come and go."""
        from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

        from vtlab.segmenters.base import shrink
        from vtlab.trackers.masks.base import masks_of_logits

        found = through(tracker, range(len(VIDEO)), Prompts(TAXI))
        network = tracker._network
        images = [torch.from_numpy(x).permute(2, 0, 1).float() / 127.5 - 1 for x in VIDEO]
        session = Sam3VideoInferenceSession(
            torch.stack([shrink(x, (seeded.SAM3_SIDE, seeded.SAM3_SIDE)) for x in images]),
            dtype=torch.float32,
        )
        session.prompts[0] = TAXI.text
        session.prompt_input_ids[0] = torch.tensor([[0, 3, 4, 1] + [1] * 28])
        session.prompt_attention_masks[0] = torch.tensor([[1] * 4 + [0] * 28])
        outs = list(network.propagate_in_video_iterator(session))
        assert sum(map(len, found)) > 10
        for out, ours in zip(outs, found, strict=True):
            ids = out.object_ids
            logits = [out.obj_id_to_mask[i][0] for i in ids]
            masks = masks_of_logits(logits, [None] * len(ids), *VIDEO.shape[1:3])
            theirs = {i + 1: m for i, m in zip(ids, masks, strict=True) if m.any()}
            assert list(theirs) == list(ours)
            for i, mask in ours.items():
                np.testing.assert_array_equal(mask, theirs[i])

    def test_memory_does_not_grow(self, tracker):
        """All is pruned, also the frames that the detector confirms, which the library keeps for good."""
        network = tracker._network
        with pytest.MonkeyPatch.context() as patch:
            for name in ("high_iou_thresh", "trk_assoc_iou_thresh"):
                patch.setattr(network, name, 0.0)
            for name in ("recondition_every_nth_frame", "max_num_objects"):
                patch.setattr(network, name, 2)
            patch.setattr(network, "high_conf_thresh", -5.0)
            patch.setattr(network, "hotstart_dup_thresh", 15)
            sizes = []
            for t in range(40):
                frame = Frame(t, t / 25, VIDEO[t % len(VIDEO)])
                tracker.step(frame) if t else tracker.init(frame, Prompts(TAXI))
                per = len(tracker._session.obj_ids) or 1
                sizes.append(size(tracker._session) / per)
        outputs = tracker._session.output_dict_per_obj.values()
        assert any(len(o["cond_frame_outputs"]) == 4 for o in outputs), "several were confirmed"
        assert max(sizes[28:]) <= 1.02 * max(sizes[17:28])
        assert not tracker._session.processed_frames

    def test_finds_keeps_and_gives_up(self, tracker, monkeypatch):
        """Detections and tracking are played: two dogs, a third that comes, one that goes; ids and labels stay."""
        here: dict[str, list[int]] = {"dog": [2, 12], "taxi": [22]}
        side = tracker._network.low_res_mask_size

        def mask(column: int) -> torch.Tensor:
            logits = torch.full((side, side), -5.0)
            logits[4:12, column : column + 6] = 5.0
            return logits

        def detect(inference_session, vision_embeds):
            found = {}
            for number, text in inference_session.prompts.items():
                masks = [mask(c) for c in here[text]]
                found[number] = {
                    "bbox": torch.zeros(len(masks), 4),
                    "mask": torch.stack(masks) if masks else torch.zeros(0, side, side),
                    "scores": torch.full((len(masks),), 0.9),
                }
            return found

        columns = {0: 2, 1: 12, 2: 22, 3: 32 - 7}

        def propagate(inference_session, frame_idx, reverse):
            present = {c for cs in here.values() for c in cs}
            masks = [
                mask(columns[i]) if columns[i] in present else torch.full((side, side), -5.0)
                for i in inference_session.obj_ids
            ]
            n = len(masks)
            return torch.stack(masks) if n else torch.zeros(0, side, side), torch.full((n,), 3.0)

        monkeypatch.setattr(tracker._network, "run_detection", detect)
        monkeypatch.setattr(tracker._network, "run_tracker_propagation", propagate)
        monkeypatch.setattr(tracker, "_lost", 0.5)
        dog, taxi = TextPrompt("dog"), TextPrompt("taxi", object_id=2, frame=2, label="cab")

        def step(t: int, *prompts) -> dict[int, str]:
            frame = Frame(t, t / 10, VIDEO[0])
            answer = tracker.step(frame, Prompts(prompts)) if t else tracker.init(frame, Prompts(prompts))
            return dict(zip(answer.object_ids.tolist(), answer.labels or (), strict=True))

        assert step(0, dog) == step(1) == {1: "dog", 2: "dog"}
        assert step(2, taxi) == {1: "dog", 2: "dog", 3: "cab"}
        here["dog"] = [12, 25]
        assert step(3) == {2: "dog", 3: "cab", 4: "dog"}
        for t in range(4, 8):
            step(t)
        assert 0 in tracker._session.obj_ids, "hidden for less than half a second"
        for t in range(8, 10):
            step(t)
        assert tracker._session.obj_ids == [1, 2, 3]
        tracker.remove([3])
        assert 2 not in tracker._session.obj_ids
        tracker.remove([2, 4, 77])
        assert tracker._session.obj_ids == []

    def test_through_the_door(self, folder):
        tracks = vtlab.track(VIDEO[:3], TAXI, "sam3-text", weights=folder, progress=False, **LOOSE)
        assert set(tracks.label) == {"yellow taxi"}
        assert tracks.rle is not None
        with pytest.raises(PromptError, match="'sam3-text' can't take BoxPrompt: it takes TextPrompt"):
            vtlab.track(VIDEO[:3], BoxPrompt((1, 1, 9, 9)), "sam3-text", weights=folder)
        with pytest.raises(InputError, match="a TextPrompt names no single object"):
            vtlab.track(VIDEO[:3], TAXI, "sam3-text", weights=folder, direction="both", progress=False)

    def test_what_can_not_be_read_is_refused(self, tracker, folder, tmp_path):
        long = TextPrompt(" ".join(["dog"] * 40))
        with pytest.raises(PromptError, match="has 42 tokens, SAM 3 reads 32"):
            tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(long))
        with pytest.raises(InputError, match="confidence <= new"):
            vtlab.create_tracker("sam3-text", weights=folder, confidence=0.9, new=0.5)
        with pytest.raises(WeightsError, match="There is no .*tokenizer.json"):
            vtlab.create_tracker("sam3-text", weights=tmp_path)
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(WeightsError, match="is not the tokenizer of sam3-text"):
            vtlab.create_tracker("sam3-text", weights=tmp_path)
        tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(TAXI))
        with pytest.raises(InputError, match="Masks need one size"):
            tracker.step(Frame(1, 0.04, VIDEO[0, :-2]))


def test_figures_through_the_same_file(folder):
    """Clicks, boxes and masks: what is out of reach is removed and changes no mask."""
    prompts = Prompts(
        [
            MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40))),
            BoxPrompt((50, 10, 80, 50), object_id=2, frame=5),
        ]
    )
    made, keeper = (vtlab.create_tracker("sam3", weights=folder, device="cpu") for _ in range(2))
    keeper._forget = lambda: None
    found, all_kept = (through(t, range(18), prompts) for t in (made, keeper))
    for ours, theirs in zip(found, all_kept, strict=True):
        assert list(ours) == list(theirs)
        np.testing.assert_array_equal([*ours.values()], [*theirs.values()])
    assert not made._session.processed_frames
    assert size(made._session) < 0.8 * size(keeper._session)


def test_masks_that_cover_a_surer_one_go():
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[0, :4], masks[1, :5], masks[2, 5:], masks[3, 6:] = True, True, True, True
    assert thinned(masks, [0.5, 0.9, 0.6, 0.7], 0.5) == [1, 3]
    assert thinned(masks[:0], [], 0.5) == []


def test_cards_say_that_the_licence_is_another():
    for name in ("sam3", "sam3-text"):
        card = vtlab.tracker_card(name)
        assert "SAM License" in card.licence
        assert "not Apache-2.0" in card.notice
        assert {w.licence for w in card.weights} == {"SAM License"}
