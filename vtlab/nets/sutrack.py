"""SUTrack: MCITrack's encoder with a class token, a text token and a centre head; nothing is remembered but templates.

Paper: Chen et al., "SUTrack: Towards Simple and Unified Single Object Tracking", AAAI 2025,
https://arxiv.org/abs/2412.19138. Official code: https://github.com/chenxin-dlut/SUTrack (MIT), text tower: CLIP
(https://github.com/openai/CLIP, MIT). Written from a description of the architecture; parameter names are those of the
official checkpoints.

Differs from the official code, by rounding only: the six input channels of a colour image are the same three twice, so the
two halves of the first kernel are added; the text that tracking by boxes gives is empty, so its token is a constant of the
checkpoint, computed when it is read, and the 428 M parameters of CLIP are not kept.

Images are (B, 3, S, S) normalised by ImageNet's mean and standard deviation; tokens (B, N, D) are row-major.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vtlab.errors import WeightsError
from vtlab.nets.layers import MLP, CenterHead, to_map
from vtlab.nets.mcitrack import FastITPN, MCITrackConfig, PatchEmbed, TemplateNetwork
from vtlab.weights.checkpoints import load_tensors

__all__ = ["CONFIGS", "SUTrack", "read", "text_token", "variant_of"]

CONFIGS = {
    "t224": MCITrackConfig(dim=384, stem=1, depth=12, templates=1),
    "b224": MCITrackConfig(dim=512, stem=3, depth=24, templates=2),
    "b384": MCITrackConfig(dim=512, stem=3, depth=24, search=384, template=192, templates=2),
    "l224": MCITrackConfig(dim=768, stem=2, depth=40, templates=2),
    "l384": MCITrackConfig(dim=768, stem=2, depth=40, search=384, template=192, templates=2),
}
"""The five official variants by name."""
# RGB, depth, thermal, event and language; the network learned to tell them apart.
TASKS = 5
# The text tower of CLIP ViT-L/14.
_TEXT, _CLIP_DEPTH = "text_encoder.", 12
_CLIP = f"{_TEXT}clip."


class SixChannels(PatchEmbed):
    """The first convolution, made for colour and a second kind of image; both are the colour image here."""

    def __init__(self, dim: int):
        super().__init__(dim)
        self.proj = nn.Conv2d(6, dim, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S / 4, S / 4, C)."""
        # One convolution for both halves, since they see the same image. Zeros for the second half would be another
        # input: scores change by 0.3.
        weight = self.proj.weight[:, :3] + self.proj.weight[:, 3:]
        return F.conv2d(images, weight, self.proj.bias, stride=4).permute(0, 2, 3, 1)


class Body(FastITPN):
    """MCITrack's encoder with six input channels and a class token."""

    def __init__(self, config: MCITrackConfig):
        super().__init__(config)
        self.patch_embed = SixChannels(config.dim // 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))


class SUTrack(TemplateNetwork):
    """The whole network.

    Args:
        config: Sizes; one of `CONFIGS`.
    """

    def __init__(self, config: MCITrackConfig):
        super().__init__(config, Body(config))
        self.decoder = CenterHead(config.dim)
        self.task_decoder = MLP(config.dim, 256, TASKS, 3)  # of the training's loss; in the files, not used
        self.text_token = nn.Parameter(torch.zeros(1, 1, config.dim))  # of `read`; not in the official files

    def encode(self, search: Tensor, templates: Tensor) -> Tensor:
        """Tokens (B, 1 + c^2 + N + 1, D) of class, search crops (B, 3, S, S), templates (B, N, D) and text."""
        body = cast("Body", self.encoder.body)
        rows = search.shape[0]  # as a shape, so that an export keeps it open
        parts = [
            body.cls_token.expand(rows, -1, -1),
            body.embed_search(search),
            templates,
            self.text_token.expand(rows, -1, -1),
        ]
        x = torch.cat(parts, dim=1)
        for block in body.blocks[body.stem :]:
            x = block(x)
        tokens: Tensor = body.fc_norm(x)
        return tokens

    def forward(self, search: Tensor, templates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look for the objects in one frame.

        Args:
            search: (B, 3, S, S) search crops.
            templates: (B, n (T / 16)^2, D) tokens of each object's templates, one after the other.

        Returns:
            score (B, 1, c, c), size (B, 2, c, c) as fractions of the crop, offset (B, 2, c, c) in cells; c is
            `config.search_cells`.
        """
        cells = self.config.search_cells
        # Behind the class token.
        found = self.encode(search, templates)[:, 1 : 1 + cells**2]
        score, size, offset = self.decoder(to_map(found.float(), cells, cells))
        return score, size, offset


def read(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint, with the text's token in the place of the text encoder; one that has the token is taken as it is.

    Raises:
        WeightsError: The file is damaged, or parts of its text encoder are missing or of other shapes.
    """
    tensors = load_tensors(path)
    if not any(name.startswith(_TEXT) for name in tensors):
        return tensors
    kept = {name: value for name, value in tensors.items() if not name.startswith(_TEXT)}
    try:
        kept["text_token"] = text_token(tensors)
    except (KeyError, RuntimeError, IndexError) as error:
        raise WeightsError(
            f"The checkpoint {path} does not fit SUTrack: its text encoder is not CLIP's ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Remedy: give the official checkpoint."
        ) from error
    return kept


@torch.no_grad()
def text_token(tensors: Mapping[str, Tensor]) -> Tensor:
    """The token (1, 1, D) of an empty text, from the text encoder's tensors, in float32.

    CLIP takes its feature at the largest id; all 77 are 0, so at position 0, which sees only itself: attention over one
    token is its value.
    """

    def get(name: str) -> Tensor:
        return tensors[_CLIP + name].float()

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], get(f"{name}.weight"), get(f"{name}.bias"))

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))

    x = tensors[f"{_CLIP}token_embedding.weight"][0].float() + get("positional_embedding")[0]
    for i in range(_CLIP_DEPTH):
        block = f"transformer.resblocks.{i}"
        # Queries, keys, values: the last third.
        values = slice(2 * len(x), 3 * len(x))
        weight, bias = get(f"{block}.attn.in_proj_weight")[values], get(f"{block}.attn.in_proj_bias")[values]
        x = x + linear(F.linear(norm(x, f"{block}.ln_1"), weight, bias), f"{block}.attn.out_proj")
        hidden = linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
        # CLIP's GELU.
        x = x + linear(hidden * torch.sigmoid(1.702 * hidden), f"{block}.mlp.c_proj")
    feature = norm(x, "ln_final") @ get("text_projection")
    weight, bias = (tensors[f"{_TEXT}text_proj.{k}"].float() for k in ("weight", "bias"))
    return F.linear(feature, weight, bias)[None, None]


def variant_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the variant a state dict belongs to, e.g. `"sutrack-b224"`, or None when it is none of them."""
    position = tensors.get("encoder.body.pos_embed")
    if position is None or "encoder.body.cls_token" not in tensors:
        return None
    for name, config in CONFIGS.items():
        tokens = config.search_cells**2 + config.template_cells**2
        if tuple(position.shape) == (1, tokens, config.dim):
            return f"sutrack-{name}"
    return None
