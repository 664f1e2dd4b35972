"""Parts of SAM 2's network that give the package's own numbers for less work.

Each class is its namesake in the package `sam2` (Apache-2.0), with the same parameters under the same names.
"""

from __future__ import annotations

from typing import Any

from sam2.modeling import memory_attention, memory_encoder, position_encoding
from sam2.modeling.backbones import hieradet
from torch import Tensor


class Hiera(hieradet.Hiera):
    """The image encoder's trunk; the positional code of an image size is interpolated once, not for each image."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._code: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda module, _: setattr(module, "_code", None))

    def _get_pos_embed(self, hw: tuple[int, int]) -> Tensor:
        code = self._code
        if code is None or code.shape[1:3] != hw or code.device != self.pos_embed.device:
            code = self._code = super()._get_pos_embed(hw)
        return code


class PositionEmbeddingSine(position_encoding.PositionEmbeddingSine):
    """The positional code of a feature map; all of a batch share it, without a copy for each."""

    def forward(self, x: Tensor) -> Tensor:
        """Positional code (B, C, h, w) of a feature map (B, any, h, w)."""
        size = tuple(x.shape[-2:])
        if size not in self.cache or self.cache[size].device != x.device:
            self.cache.pop(size, None)
            super().forward(x)
        return self.cache[size].expand(len(x), -1, -1, -1)


class MemoryAttention(memory_attention.MemoryAttention):
    """Image tokens fused with what each object's memory holds.

    Before the first cross-attention all objects have the same tokens, so the first self-attention is computed once.
    """

    def forward(
        self,
        curr: Tensor,
        memory: Tensor,
        curr_pos: Tensor,
        memory_pos: Tensor,
        num_obj_ptr_tokens: int = 0,
    ) -> Tensor:
        """Fuse.

        Args:
            curr: Tokens of the image (h * w, 1, C).
            memory: Memories, then pointers, of B objects (M, B, C_mem).
            curr_pos: Positional code of the image's tokens (h * w, 1, C).
            memory_pos: Positional and temporal code of the memories and pointers (M, B, C_mem).
            num_obj_ptr_tokens: How many of the M are pointers, which have no place in the image.

        Returns:
            (h * w, B, C).
        """
        tokens = curr + 0.1 * curr_pos if self.pos_enc_at_input else curr
        tokens, place, memory, memory_place = (
            x.transpose(0, 1) for x in (tokens, curr_pos, memory, memory_pos)
        )
        for k, layer in enumerate(self.layers):
            tokens = layer._forward_sa(tokens, place)
            if k == 0:
                tokens = tokens.expand(len(memory), -1, -1)
            tokens = layer._forward_ca(tokens, memory, place, memory_place, num_obj_ptr_tokens)
            # the activation is ReLU in all configurations
            tokens = tokens + layer.linear2(layer.linear1(layer.norm3(tokens)).relu_())
        return self.norm(tokens).transpose(0, 1)


class CXBlock(memory_encoder.CXBlock):
    """ConvNeXt block of the memory encoder; its cells lie contiguous where linear layers read them."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.pwconv1.register_forward_pre_hook(lambda _, inputs: inputs[0].contiguous())
