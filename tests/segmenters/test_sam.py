"""SAM against the processor and the network of transformers; seeded weights on a small configuration."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'vtlab[transformers]'"
)

import vtlab  # noqa: E402
from vtlab import weights  # noqa: E402
from vtlab.errors import InputError, WeightsError  # noqa: E402
from vtlab.prompts import ClickPrompt  # noqa: E402
from vtlab.segmenters import create_segmenter  # noqa: E402

SIDE = 128
IMAGE = np.kron(np.random.default_rng(0).integers(0, 255, (15, 20, 3)), np.ones((6, 6, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """SAM as the hub has it, shallow and for images of 128 pixels."""
    torch.manual_seed(0)
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "global_attn_indexes": [1],
        "window_size": 4,
        "mlp_dim": 64,
        "image_size": SIDE,
        "output_channels": 32,
        "num_pos_feats": 16,
        "initializer_range": 0.3,
    }
    prompt = {"hidden_size": 32, "image_size": SIDE, "image_embedding_size": SIDE // 16}
    decoder = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    config = transformers.SamConfig(
        vision_config=vision,
        prompt_encoder_config=prompt,
        mask_decoder_config=decoder,
        initializer_range=0.3,
    )
    path = tmp_path_factory.mktemp("sam")
    transformers.SamModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def segmenter(folder):
    return create_segmenter("sam-base", weights=folder, device="cpu")


@pytest.mark.parametrize("shape", [(90, 120), (120, 90)])
@pytest.mark.parametrize(
    "given",
    [
        {"points": [(30.5, 40.5)]},
        {"points": [(30.5, 40.5), (70.5, 20.5)], "positive": [True, False]},
        {"box": (20.5, 30.5, 70.5, 60.5)},
        {"box": (20.5, 30.5, 70.5, 60.5), "points": [(30.5, 40.5)], "positive": [True]},
    ],
)
def test_the_same_as_the_library(folder, segmenter, shape, given):
    image = IMAGE if shape == (90, 120) else np.ascontiguousarray(IMAGE.transpose(1, 0, 2))
    size = {"longest_edge": SIDE}
    pad = {"height": SIDE, "width": SIDE}
    processor = transformers.SamProcessor(
        transformers.SamImageProcessorPil(size=size, pad_size=pad, mask_size=size, mask_pad_size=pad)
    )
    asked = {}
    if "points" in given:
        asked["input_points"] = [[[x - 0.5, y - 0.5] for x, y in given["points"]]]
        asked["input_labels"] = [[int(p) for p in given.get("positive", [True])]]
    if "box" in given:
        asked["input_boxes"] = [[[v - 0.5 for v in given["box"]]]]
    inputs = processor(images=image, **asked, return_tensors="pt")
    sizes = [inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes")]
    with torch.inference_mode():
        out = transformers.SamModel.from_pretrained(folder)(**inputs, multimask_output=True)
    logits = processor.post_process_masks(out.pred_masks, *sizes, binarize=False)[0][0].numpy()
    found, scores = segmenter.propose(image, **given)
    assert found.shape == (3, *shape)
    assert 0.01 < found.mean() < 0.99
    np.testing.assert_allclose(scores, out.iou_scores[0, 0].clamp(0, 1).numpy(), atol=1e-5)
    sure = np.abs(logits) > 1e-4  # both in float32
    np.testing.assert_array_equal(found[sure], logits[sure] > 0)
    assert sure.mean() > 0.999
    one, _ = segmenter.propose(image, **given, several=False)
    assert one.shape == (1, *shape)


def test_clicks_start_a_tracker_of_masks(segmenter):
    video = np.stack([IMAGE] * 2)
    tracks = vtlab.track(video, ClickPrompt(((30.5, 40.5),)), "flow", segmenter=segmenter, progress=False)
    expected, _ = segmenter.segment(IMAGE, points=[(30.5, 40.5)])
    np.testing.assert_array_equal(tracks.mask(0), expected)


def test_bad_input(segmenter, folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="box or at least one click"):
        segmenter.segment(IMAGE)
    with pytest.raises(InputError, match="outside the image of 120 x 90"):
        segmenter.segment(IMAGE, points=[(500, 3)])
    with pytest.raises(WeightsError, match=r"There is no .*config\.json"):
        create_segmenter("sam-huge", weights=tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    gone = tensors.pop("vision_encoder.pos_embed")
    save_file({**tensors, "extra": gone}, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"1 missing .first: vision_encoder.pos_embed.; 1 unexpected .first: extra"
    ):
        create_segmenter("sam-large", weights=tmp_path)
    monkeypatch.setattr(weights, "locate", lambda file: None)
    with pytest.raises(WeightsError, match=r"sam-vit-base/resolve/main/config\.json"):
        create_segmenter("sam-base")
