"""EdgeTAM and SAM 2 through transformers, with random weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
transformers = pytest.importorskip("transformers", reason="pip install 'vtlab[transformers]'")

import vtlab  # noqa: E402
from vtlab.errors import WeightsError  # noqa: E402
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts  # noqa: E402
from vtlab.video import Frame  # noqa: E402

VIDEO = np.random.default_rng(0).integers(0, 255, (22, 60, 90, 3), dtype=np.uint8)
SQUARE = MaskPrompt(polygon=((10, 10), (40, 10), (40, 40), (10, 40)))


MODELS = {"sam2.1-tiny-transformers": "Sam2Video", "edgetam": "EdgeTamVideo"}
SIDE = 256


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each model as the hub has it, with random weights: a shallow encoder of a quarter of the size."""
    torch.manual_seed(0)
    paths = {}
    for name, kind in MODELS.items():
        encoder = {
            "image_size": [SIDE] * 2, "blocks_per_stage": [1, 2, 2, 2], "global_attention_blocks": [4],
            "hidden_size": 16, "embed_dim_per_stage": [16, 32, 64, 128], "window_size_per_stage": [8, 4, 8, 4],
        }  # fmt: skip
        vision = {
            "backbone_config": {"model_type": "sam2_hiera_det_model", **encoder},
            "backbone_channel_list": encoder["embed_dim_per_stage"][::-1],
            "backbone_feature_sizes": [[SIDE // k] * 2 for k in (4, 8, 16)],
            "model_type": "sam2_vision_model",
        }
        config = getattr(transformers, f"{kind}Config")(
            vision_config=vision, image_size=SIDE, memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
            memory_attention_num_layers=1, prompt_encoder_config={"image_size": SIDE},
        )  # fmt: skip
        paths[name] = tmp_path_factory.mktemp("models") / name
        getattr(transformers, f"{kind}Model")(config).save_pretrained(paths[name])
    return paths


@pytest.fixture(scope="module")
def folder(folders):
    return folders["sam2.1-tiny-transformers"]


@pytest.mark.parametrize("name", MODELS)
def test_objects_come_are_corrected_and_go(name, folders):
    prompts = [
        SQUARE,
        ClickPrompt(((60, 30),), object_id=5, frame=1),
        BoxPrompt((50, 10, 80, 40), object_id=5, frame=2),
    ]
    tracks = vtlab.track(VIDEO[:4], prompts, name, weights=folders[name], progress=False, remove={1: 3})
    assert tracks.of_object(1).frames.tolist() == [0, 1, 2]
    assert tracks.of_object(5).frames.tolist() == [1, 2, 3]
    found = tracks.masks_at(2)
    assert not (found[1] & found[5]).any()
    assert ((tracks.score >= 0) & (tracks.score <= 1)).all()


def test_a_folder_that_does_not_fit(folder, tmp_path):
    with pytest.raises(WeightsError, match="There is no .*config.json"):
        vtlab.create_tracker("edgetam", weights=tmp_path)
    from safetensors.torch import save_file

    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file({"a": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="does not fit 'sam2.1-tiny'"):
        vtlab.create_tracker("sam2.1-tiny-transformers", weights=tmp_path)


def test_what_is_out_of_reach_is_removed(folder, monkeypatch):
    tracker = vtlab.create_tracker("sam2.1-tiny-transformers", weights=folder)
    network = tracker._network

    def quick(session, frame, frame_idx):
        """The library's bookkeeping without its network."""
        session.add_new_frame(frame, frame_idx)
        prompted = bool(session.obj_with_new_inputs)
        out = {
            "pred_masks": torch.zeros(1),
            "high_res_masks": torch.zeros(1),
            "object_pointer": torch.zeros(1),
        }
        session.store_output(0, frame_idx, output_value=out, is_conditioning_frame=prompted)
        return type(
            "Out",
            (),
            {
                "object_ids": [1],
                "pred_masks": torch.ones(1, 1, 8, 8),
                "object_score_logits": torch.ones(1, 1),
            },
        )

    tracker._network = type(
        "Quick", (), {"config": network.config, "__call__": lambda _, *a, **k: quick(*a, **k)}
    )()
    tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(SQUARE))
    for t in range(1, 22):
        tracker.step(Frame(t, t / 25, VIDEO[t]))
    outputs = tracker._session.output_dict_per_obj[0]
    assert list(outputs["cond_frame_outputs"]) == [0]
    assert list(outputs["non_cond_frame_outputs"]) == list(range(7, 22))
    assert not tracker._session.processed_frames
    assert set(outputs["non_cond_frame_outputs"][21]) == {"object_pointer"}
