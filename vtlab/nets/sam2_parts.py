"""SAM 2's network with a public face, and parts that give the package's own numbers for less work.

Each class is its namesake in the package `sam2` (Apache-2.0), with the same parameters under the same names. What the
package's predictors use of the network is private there; `SAM2Base` and `MemoryAttentionLayer` offer it by public names.
"""

from __future__ import annotations

from typing import Any

import torch
from sam2.modeling import memory_attention, memory_encoder, position_encoding, sam2_base
from sam2.modeling.backbones import hieradet
from torch import Tensor


class SAM2Base(sam2_base.SAM2Base):
    """The whole network. Tokens are (h * w, B, C), feature maps (B, C, h, w), masks logits (B, 1, H, W)."""

    def see(self, image: Tensor) -> tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]:
        """Return the tokens of images (B, 3, S, S), their positional codes and (h, w), each from fine to coarse."""
        _, tokens, positions, sizes = self._prepare_backbone_features(self.forward_image(image))
        return tokens, positions, sizes

    def decode(self, features: Tensor, fine: Any, points: Any, mask: Tensor | None, *, first: bool) -> Any:
        """Masks for features (B, C, h, w), given points and/or an earlier mask.

        Args:
            features: Features that are conditioned on the memory.
            fine: Finer maps of the image.
            points: Positions and labels as the package has them, or None.
            mask: Logits of an earlier mask (B, 1, h, w), or None.
            first: The objects begin on this frame.

        Returns:
            The package's tuple: low, high, ious, best low, best high, pointers, scores of appearing.
        """
        return self._forward_sam_heads(
            backbone_features=features,
            high_res_features=fine,
            point_inputs=points,
            mask_inputs=mask,
            multimask_output=self._use_multimask(first, points),
        )

    def candidates(self, features: Tensor, fine: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Three masks for features (B, C, h, w) without a prompt, as the mask decoder gives them.

        Returns:
            Logits (B, 3, 4h, 4w), estimated IoUs (B, 3), tokens (B, 3, C) or (B, 1, C), scores of appearing (B, 1).
        """
        n, device = len(features), features.device
        no_point = (
            torch.zeros((n, 1, 2), device=device),
            torch.full((n, 1), -1, dtype=torch.int32, device=device),
        )
        sparse, dense = self.sam_prompt_encoder(points=no_point, boxes=None, masks=None)
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.sam_mask_decoder(
            image_embeddings=features,
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=False,
            high_res_features=fine,
        )
        return found

    def point_at(self, tokens: Tensor, appears: Tensor) -> Tensor:
        """Object pointers (B, C) of the tokens (B, C) of the masks that were taken; `appears` (B, 1) bool."""
        pointers: Tensor = self.obj_ptr_proj(tokens)
        if not self.pred_obj_scores:
            return pointers
        there = appears.to(pointers.dtype)
        return (there * pointers if self.fixed_no_obj_ptr else pointers) + (1 - there) * self.no_obj_ptr

    def take_mask(self, features: Tensor, fine: Any, mask: Tensor) -> Any:
        """The tuple of `decode` for a mask (B, 1, S, S) that is given."""
        return self._use_mask_as_output(features, fine, mask)

    def without_memory(self, tokens: Tensor, position: Tensor, size: Any, time: int) -> Tensor:
        """Features (1, C, h, w) of the frame at `time` for an object that nothing is remembered of."""
        return self._prepare_memory_conditioned_features(
            frame_idx=time,
            is_init_cond_frame=True,
            current_vision_feats=[tokens],
            current_vision_pos_embeds=[position],
            feat_sizes=[size],
            output_dict={},
            num_frames=None,
        )

    def remember(
        self, tokens: Tensor, size: Any, masks: Tensor, appears: Tensor, *, prompted: bool
    ) -> Tensor:
        """Memories (B, C_mem, h, w) of masks (B, 1, S, S) on the frame of the tokens."""
        memory, _ = self._encode_new_memory(
            current_vision_feats=[tokens],
            feat_sizes=[size],
            pred_masks_high_res=masks,
            object_score_logits=appears,
            is_mask_from_pts=prompted,
        )
        return memory


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


class MemoryAttentionLayer(memory_attention.MemoryAttentionLayer):
    """One layer of the memory attention, its three steps one by one."""

    def attend_within(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Self-attention among tokens (B, h * w, C)."""
        return self._forward_sa(tokens, place)

    def attend_to(
        self, tokens: Tensor, memory: Tensor, place: Tensor, memory_place: Tensor, n: int
    ) -> Tensor:
        """Cross-attention to memories (B, M, C_mem), the last `n` of them pointers."""
        return self._forward_ca(tokens, memory, place, memory_place, n)

    def think(self, tokens: Tensor) -> Tensor:
        """The layer's perceptron, whose activation is ReLU in all configurations."""
        return tokens + self.linear2(self.linear1(self.norm3(tokens)).relu_())


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
        # The package's own factor.
        tokens = curr + 0.1 * curr_pos if self.pos_enc_at_input else curr
        tokens, place, memory, memory_place = (
            x.transpose(0, 1) for x in (tokens, curr_pos, memory, memory_pos)
        )
        for k, layer in enumerate(self.layers):
            tokens = layer.attend_within(tokens, place)
            # From the first look at memories on, objects differ.
            if k == 0:
                tokens = tokens.expand(len(memory), -1, -1)
            tokens = layer.think(layer.attend_to(tokens, memory, place, memory_place, num_obj_ptr_tokens))
        return self.norm(tokens).transpose(0, 1)


class CXBlock(memory_encoder.CXBlock):
    """ConvNeXt block of the memory encoder; its cells lie contiguous where linear layers read them."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.pwconv1.register_forward_pre_hook(lambda _, inputs: inputs[0].contiguous())
