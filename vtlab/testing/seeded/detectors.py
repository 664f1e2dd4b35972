"""Detectors that read text, small and with random weights, as folders of the hub; they know "yellow", "taxi" and "dog"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def _save_tokenizer(folder: Path, words: dict[str, int], begin: str, end: str) -> None:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))  # noqa: S106 - a word, no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, words[begin]), (end, words[end])]
    )
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=next(iter(words)))
    fast.save_pretrained(folder)


def owlv2(folder: Path) -> Path:
    """Write a small OWLv2; return the folder."""
    import torch
    import transformers

    words = ("<pad>", "<unknown>", "<begin>", "yellow", "taxi", "dog", "<end>")
    config: Any = transformers.Owlv2Config(
        text_config={
            **SMALL,
            "vocab_size": 7,
            "max_position_embeddings": 16,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 6,
        },
        vision_config={**SMALL, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    torch.manual_seed(3)
    transformers.Owlv2ForObjectDetection(config).eval().save_pretrained(folder)
    _save_tokenizer(folder, {w: k for k, w in enumerate(words)}, "<begin>", "<end>")
    return folder


def grounding_dino(folder: Path) -> Path:
    """Write a small Grounding DINO; return the folder."""
    import torch
    import transformers

    words = {
        "[PAD]": 0,
        "<unknown>": 1,
        "yellow": 2,
        "taxi": 3,
        "dog": 4,
        ".": 1012,
        "[CLS]": 101,
        "[SEP]": 102,
    }
    heads: dict[str, Any] = {
        f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("attention_heads", "n_points")
    }
    config: Any = transformers.GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 64,
            "embed_dim": 16,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 2, 2],
            "window_size": 2,
            "out_features": ["stage2", "stage3", "stage4"],
        },
        text_config={"model_type": "bert", **SMALL, "vocab_size": 1100, "max_position_embeddings": 256},
        num_queries=5,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        d_model=32,
        **heads,
    )
    torch.manual_seed(3)
    transformers.GroundingDinoForObjectDetection(config).eval().save_pretrained(folder)
    _save_tokenizer(folder, words, "[CLS]", "[SEP]")
    return folder
