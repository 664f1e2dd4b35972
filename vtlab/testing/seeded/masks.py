"""The mask trackers with seeded weights on small configurations: as files of the official layouts.

What the benchmarks and the tests run where the official checkpoints are not at hand. Images and memories are small, so
that memories fill within a few frames; files of XMem, Cutie and the package `sam2` hold whole networks, which `shrink`
makes shallow once they are loaded, and those of transformers are shallow by their configuration.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

SIDE = 64
"""Side in pixels of SAM 2's and EdgeTAM's input: the least for which all of their layers have something to do."""

# Small bounds, so that a dozen frames fill, consolidate and empty the memory.
MEMORIES = {
    "size": None,
    "memory_every": 2,
    "max_frames": 4,
    "min_frames": 2,
    "prototypes": 16,
    "max_long_term": 64,
    "device": "cpu",
}
PACKAGES = {
    "flow": (),
    "sam2.1-tiny": ("torch", "sam2", "hydra"),
    "sam2.1-tiny-transformers": ("torch", "transformers"),
    "edgetam": ("torch", "transformers"),
    "sam3": ("torch", "transformers"),
    "xmem": ("torch",),
    "cutie-small": ("torch", "cutie", "omegaconf"),
}
"""Method -> packages that it needs. One method for each class and each kind of network."""


def lacking(method: str) -> str:
    """Name a package that a method needs and that is not here, or ""."""
    return next((p for p in PACKAGES[method] if find_spec(p) is None), "")


def options(method: str, folder: Path) -> dict[str, Any]:
    """Write a method's seeded checkpoint to `folder`; return the parameters with which it is made."""
    if method == "flow":
        return {}
    import torch

    torch.manual_seed(3)
    path = folder / f"{method}.pth"
    if method == "xmem":
        from vtlab.nets.xmem import XMem

        torch.save(XMem().state_dict(), path)
        return {"weights": path, **MEMORIES}
    if method == "cutie-small":
        from vtlab.nets import cutie

        torch.save(cutie.build(cutie.settings("small")).state_dict(), path)
        return {"weights": path, **MEMORIES}
    if method == "sam2.1-tiny":
        torch.save({"model": sam2("sam2.1-tiny", SIDE).state_dict()}, path)
        return {"weights": path, "image_size": SIDE, "device": "cpu"}
    path = folder / method
    if method == "sam3":
        return {"weights": sam3(path), "device": "cpu"}
    transformers(method).save_pretrained(path)
    return {"weights": path, "device": "cpu"}


def shrink(network: Any) -> None:
    """Leave one layer where several alike follow each other: a frame is quick, and memory is used as before."""
    if hasattr(network, "memory_attention") and hasattr(network, "image_encoder"):
        from torch import nn

        trunk = network.image_encoder.trunk
        # The first block of each stage changes size and width; the others repeat.
        starts = [0, *(k + 1 for k in trunk.stage_ends[:-1])]
        trunk.blocks = nn.ModuleList(trunk.blocks[k] for k in starts)
        trunk.stage_ends = list(range(len(starts)))
        for stack in (
            network.memory_attention,
            network.sam_mask_decoder.transformer,
            network.memory_encoder.fuser,
        ):
            stack.layers = stack.layers[:1]
    elif hasattr(network, "key_encoder"):
        for name in ("res2", "layer2", "layer3"):
            setattr(network.key_encoder, name, getattr(network.key_encoder, name)[:1])
    elif hasattr(network, "pixel_encoder"):
        for name in ("res2", "layer2", "layer3"):
            setattr(network.pixel_encoder, name, getattr(network.pixel_encoder, name)[:1])
        network.object_transformer.blocks = network.object_transformer.blocks[:1]
        network.object_transformer.num_blocks = 1


def sam2(variant: str, image_size: int) -> Any:
    """SAM 2 of the package `sam2`, with random weights under which objects appear."""
    import torch

    from vtlab.nets import sam2 as networks

    torch.manual_seed(3)
    network = networks.build(variant, image_size=image_size)
    _randomise(network, "sam_mask_decoder.pred_obj_score_head.layers.2.bias")
    return network


def sam2_predictor(variant: str, network: Any) -> Any:
    """The package's own video predictor with the weights of `network`.

    Its settings are those with which the package builds it, and corrections stay in memory, as vtlab's do.
    """
    import sam2 as package
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from vtlab.nets import sam2 as networks

    config = OmegaConf.load(Path(package.__path__[0]) / networks.CONFIGS[variant]).model
    config._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    config.image_size = network.image_size
    config.binarize_mask_from_pts_for_mem_enc = True
    config.add_all_frames_to_correct_as_cond = True
    config.sam_mask_decoder_extra_args = networks.DECODER
    made = instantiate(config, _recursive_=True).eval()
    made.load_state_dict(network.state_dict())
    return made


def transformers(method: str) -> Any:
    """EdgeTAM or SAM 2.1 tiny of the library transformers, for images of `SIDE` pixels, with random weights.

    Both have the same shallow encoder, so that EdgeTAM needs no timm.
    """
    import torch
    import transformers as library

    least = SIDE // 16
    config: dict[str, Any] = {
        "image_size": SIDE,
        "memory_attention_num_layers": 1,
        "memory_fuser_num_layers": 1,
        "mask_decoder_config": {"num_hidden_layers": 1},
        "memory_attention_rope_feat_sizes": [least, least],
        "prompt_encoder_config": {"image_size": SIDE},
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_feature_sizes": [[SIDE // k, SIDE // k] for k in (4, 8, 16)],
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 1, 1],
                "global_attention_blocks": [],
            },
        },
    }
    name = "Sam2Video"
    if method == "edgetam":
        name = "EdgeTamVideo"
        config |= {f"perceiver_resampler_num_latents{k}": (least // 2) ** 2 for k in ("", "_2d")}
        config["memory_attention_rope_k_sizes"] = [least // 2, least // 2]
    torch.manual_seed(3)
    network = getattr(library, f"{name}Model")(getattr(library, f"{name}Config")(**config)).eval()
    _randomise(network, "mask_decoder.pred_obj_score_head.proj_out.bias")
    return network


SAM3_SIDE = 112
"""Side in pixels of the small SAM 3's input: eight patches."""


def sam3(folder: Path) -> Path:
    """Write a small SAM 3 with random weights to `folder`, in the layout of the hub; return the folder.

    It detects at random: its scores are near 0.25. Its tokenizer knows the words "yellow", "taxi" and "dog".
    """
    import torch
    import transformers as library
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    cells, wide, narrow = SAM3_SIDE // 14, 128, 32
    block = {"hidden_size": wide, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": narrow}
    vision = {
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": wide,
        "backbone_feature_sizes": [[k * cells, k * cells] for k in (4, 2, 1)],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": narrow,
            "intermediate_size": narrow,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SAM3_SIDE,
            "pretrain_image_size": SAM3_SIDE,
            "window_size": cells // 2,
            "global_attn_indexes": [1],
        },
    }
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": 8,
            "hidden_size": narrow,
            "intermediate_size": narrow,
            "projection_dim": narrow,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        "geometry_encoder_config": block,
        "detr_encoder_config": block,
        "detr_decoder_config": {**block, "num_queries": 5},
        "mask_decoder_config": {"hidden_size": wide, "num_upsampling_stages": 2, "num_attention_heads": 2},
    }
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        "image_size": SAM3_SIDE,
        "prompt_encoder_config": {"hidden_size": wide, "image_size": SAM3_SIDE},
        "mask_decoder_config": {
            "hidden_size": wide,
            "mlp_dim": narrow,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": narrow,
        },
        "memory_attention_hidden_size": wide,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": narrow,
        "memory_attention_rope_feat_sizes": [cells, cells],
        "memory_encoder_hidden_size": wide,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": wide,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": wide,
        "memory_fuser_intermediate_dim": narrow,
    }
    torch.manual_seed(3)
    config = library.Sam3VideoConfig(
        detector_config=detector, tracker_config=tracker, low_res_mask_size=4 * cells
    )
    library.Sam3VideoModel(config).eval().save_pretrained(folder)
    words = {w: k for k, w in enumerate(("<begin>", "<end>", "<unknown>", "yellow", "taxi", "dog"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))  # noqa: S106 - a word, no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>", special_tokens=[("<begin>", 0), ("<end>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _randomise(network: Any, appears: str) -> None:
    """Fill the weights with noise of unit gain, and lift the bias by which an object counts as seen."""
    import torch

    state = network.state_dict()
    for name, value in state.items():
        if value.ndim > 1 and value.is_floating_point():
            state[name] = torch.randn(value.shape) / max(value[0].numel(), 1) ** 0.5
    # By noise alone objects would appear on half of the frames.
    state[appears] = state[appears] + 1.0
    network.load_state_dict(state)
