"""SAM 2's inference over a stream of frames: what is remembered, and all objects of a frame in one batch.

Paper: SAM 2, arXiv:2408.00714. The networks are those of the package `sam2` (Apache-2.0), whose own video predictor
holds all frames of a clip and the outputs for each of them; the masks here are the same as its own. `build` of
`vtlab.nets.sam2` makes them so that what objects have in common is computed once.

Which frames of an object are read is said by its rule (`memory`). SAM 2's own: a frame is in the network's reach if it was
prompted, or lies among the last few: `num_maskmem - 1` as a spatial memory, `max_obj_ptrs_in_encoder - 1` as an object
pointer (6 and 15). What no rule may read again is not kept. Image features live for one frame. Time runs in the direction
of tracking, so forward and backward are the same.

Differs from the package: objects with equally many memories are one batch; a corrected frame counts as prompted (the
package's `add_all_frames_to_correct_as_cond`), so that corrections hold; small holes are not filled (the package's
extension for that, in CUDA, is absent from its wheels); at most 16 pointers are read also in a clip of fewer frames,
where the package scales their temporal code by the clip's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vtlab.trackers.masks.sam2.memory import LastFrames, MemoryRule, Seen

# The package's NO_OBJ_SCORE; below it, the package's own bound on earlier masks.
NOTHING = -1024.0
"""Logit of the masks of an object that is not there."""
LOGIT_LIMIT = 32.0
"""Bound on the logits of an earlier mask that a correction starts from."""


@dataclass(frozen=True)
class Given:
    """What is given for one object on one frame, in pixels of the network's input of side S.

    Attributes:
        points: (P, 2) as (x, y), pixel centres at integers; a box is its two corners, first.
        labels: (P,) int: 1 positive, 0 negative, 2 and 3 the corners of a box.
        mask: (S, S), 0 or 1; then there are no points.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None


@dataclass
class Result:
    """What the network says of one object on one frame, as tensors, so that nobody waits for a GPU here.

    Attributes:
        logits: (S / 4, S / 4), positive inside the mask.
        score: () in [0, 1]: probability that the object is seen, times the estimated IoU of its mask.
        appears: () bool, whether it is seen.
    """

    logits: Tensor
    score: Tensor
    appears: Tensor


@dataclass
class _Entry:
    """One remembered frame of one object: memory (h * w, C_mem) and pointer (C,), None where it is out of reach."""

    memory: Tensor | None
    pointer: Tensor | None


@dataclass
class _Object:
    rule: MemoryRule
    entries: dict[int, _Entry] = field(default_factory=dict)


@dataclass
class _Heads:
    """Output of the mask decoder for B objects: (B, 1, S/4, S/4), (B, 1, S, S), (B, C), (B,), (B, 1)."""

    low: Tensor
    high: Tensor
    pointers: Tensor
    ious: Tensor
    appears: Tensor


class Inference:
    """SAM 2 over the frames of one clip.

    Args:
        network: What `vtlab.nets.sam2.build` returns.
        rule: Makes the rule of an object from the network's numbers (see `MemoryRule`); its class, or with options.
        max_prompted: Most recent prompted frames of an object that are read; None = all.
        batch: Most objects in one pass of the network.
    """

    def __init__(
        self,
        network: Any,
        *,
        rule: Callable[..., MemoryRule] = LastFrames,
        max_prompted: int | None = None,
        batch: int = 64,
    ):
        self.network, self.batch = network, batch
        self._new_rule = lambda: rule(
            memories=network.num_maskmem, pointers=network.max_obj_ptrs_in_encoder, max_prompted=max_prompted
        )
        self._kind = type(self._new_rule())
        self.objects: dict[int, _Object] = {}
        self.time = -1
        self._size = (0, 0)
        self._position: Tensor | None = None

    def step(
        self, image: Tensor, given: Mapping[int, Given], size: tuple[int, int] | None = None
    ) -> dict[int, Result]:
        """Go to the next frame.

        Args:
            image: (3, S, S), normalised.
            given: What starts (unknown id) or corrects (known id) objects on this frame.
            size: Height and width of the video, for rules that look at masks; None = those of `image`.

        Returns:
            A result for each object, by id, in order of arrival.
        """
        self.time += 1
        if not self.objects and not given:
            return {}
        self._size = size or (image.shape[-2], image.shape[-1])
        # Once for all objects: it doesn't depend on them.
        frame = _Features(*self.network.see(image[None]))
        results: dict[int, Result] = {}
        fixes: dict[int, tuple[Tensor, Tensor]] = {}
        for ids in self._groups():
            conditioned = self._conditioned(frame, ids)
            heads = self._followed(frame, conditioned, ids, given)
            results |= _results(ids, heads, self._kind.appears_above)
            fixes |= {
                i: (conditioned[k : k + 1], heads.low[k : k + 1]) for k, i in enumerate(ids) if i in given
            }
            # Before the prompts: they start from what was followed, and what a person says is remembered instead.
            rest = [k for k, i in enumerate(ids) if i not in given]
            if rest:
                which = rest if len(rest) < len(ids) else slice(None)  # a list would make a GPU wait
                memory = self._encode(frame, heads.high[which], heads.appears[which], prompted=False)
                self._store([ids[k] for k in rest], memory, heads.pointers[which], prompted=False)
        for ids in self._alike(given):
            heads = self._prompted(frame, [given[i] for i in ids], *fixes.get(ids[0], (None, None)))
            results |= _results(ids, heads)
            for object_id in ids:
                self.objects.setdefault(object_id, _Object(self._new_rule()))
            high = F.interpolate(heads.low, heads.high.shape[-2:], mode="bilinear", align_corners=False)
            memory = self._encode(frame, high, heads.appears, prompted=True)
            self._store(ids, memory, heads.pointers, prompted=True)
        self._forget()
        return {i: results[i] for i in self.objects}

    def remove(self, object_ids: Iterable[int]) -> None:
        """Forget these objects."""
        for object_id in object_ids:
            del self.objects[object_id]

    def _store(self, ids: Sequence[int], memory: Tensor, pointers: Tensor, *, prompted: bool) -> None:
        for k, object_id in enumerate(ids):
            target = self.objects[object_id]
            target.entries[self.time] = _Entry(memory[k], pointers[k])
            if prompted:
                target.rule.prompt(self.time)
            else:
                target.rule.follow(self.time)

    def _forget(self) -> None:
        """Drop what the rules can't reach from the next frame on."""
        for target in self.objects.values():
            memories, pointers = target.rule.kept(self.time)
            target.entries = {
                t: _Entry(e.memory if t in memories else None, e.pointer if t in pointers else None)
                for t, e in target.entries.items()
                if t in memories or t in pointers
            }

    def _reach(self, target: _Object) -> tuple[list[tuple[int, Tensor]], list[tuple[float, Tensor]]]:
        """What an object's next answer attends to.

        Returns:
            Memories as (index of the temporal code, memory) and pointers as (place in time, pointer).
        """
        kept = target.entries
        memories = [
            (row, m) for t, row in target.rule.memories(self.time) if (m := kept[t].memory) is not None
        ]
        if not self.network.use_obj_ptrs_in_encoder:
            return memories, []
        places = target.rule.pointers(self.time)
        return memories, [(at, p) for t, at in places if (p := kept[t].pointer) is not None]

    def _groups(self) -> list[list[int]]:
        """Objects that attend to equally many things, in parts of at most `batch`."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id, target in self.objects.items():
            memories, pointers = self._reach(target)
            groups.setdefault((len(memories), len(pointers)), []).append(object_id)
        return [ids[k : k + self.batch] for ids in groups.values() for k in range(0, len(ids), self.batch)]

    def _alike(self, given: Mapping[int, Given]) -> list[list[int]]:
        """Objects that one pass can prompt, in parts of at most `batch`: new ones with equally many points."""
        groups: dict[tuple[str, int], list[int]] = {}
        for object_id, hint in given.items():
            if object_id in self.objects or hint.points is None:
                key = ("object", object_id)
            else:
                key = ("points", len(hint.points))
            groups.setdefault(key, []).append(object_id)
        return [ids[k : k + self.batch] for ids in groups.values() for k in range(0, len(ids), self.batch)]

    def _conditioned(self, frame: _Features, ids: Sequence[int]) -> Tensor:
        """Image features (B, C, h, w) fused with what each object's memory holds."""
        network = self.network
        reached = [self._reach(self.objects[i]) for i in ids]
        position = self._spatial_code(frame)
        codes = network.maskmem_tpos_enc[:, 0, 0]
        dtype = codes.dtype
        memory = torch.stack(
            [torch.cat([m.to(dtype) for _, m in memories]) for memories, _ in reached], dim=1
        )
        place = torch.stack(
            [torch.cat([position + codes[index] for index, _ in memories]) for memories, _ in reached], dim=1
        )
        tokens = 0
        if reached[0][1]:
            pointers, times = self._pointer_tokens([p for _, p in reached])
            memory, place, tokens = torch.cat([memory, pointers]), torch.cat([place, times]), len(pointers)
        # Objects of a group attend to equally many things, so they are one batch without padding.
        fused = network.memory_attention(frame.tokens, memory, frame.positions, place, tokens)
        return fused.permute(1, 2, 0).unflatten(2, frame.size)

    def _pointer_tokens(self, pointers: Sequence[Sequence[tuple[float, Tensor]]]) -> tuple[Tensor, Tensor]:
        """Pointers as tokens (N, B, C_mem) and their temporal codes (N, B, C_mem)."""
        from sam2.modeling.sam2_utils import get_1d_sine_pe

        network = self.network
        dtype = network.maskmem_tpos_enc.dtype
        stacked = torch.stack([torch.stack([p for _, p in own]) for own in pointers], dim=1).to(dtype)
        # A pointer is as wide as four memory cells, so it is read as four tokens.
        split = network.hidden_dim // network.mem_dim
        tokens = stacked.unflatten(2, (split, network.mem_dim)).transpose(1, 2).flatten(0, 1)
        if not network.add_tpos_enc_to_obj_ptrs:
            return tokens, torch.zeros_like(tokens)
        places = torch.tensor([[at for at, _ in own] for own in pointers])
        places = places.to(stacked.device, non_blocking=True)
        width = network.hidden_dim if network.proj_tpos_enc_in_obj_ptrs else network.mem_dim
        code = network.obj_ptr_tpos_proj(get_1d_sine_pe(places, dim=width))
        return tokens, code.transpose(0, 1).repeat_interleave(split, dim=0)

    def _spatial_code(self, frame: _Features) -> Tensor:
        """Positional code of a memory's cells (h * w, C_mem), the same for all."""
        if self._position is None:
            network = self.network
            cells = torch.zeros((1, network.mem_dim, *frame.size), device=frame.tokens.device)
            # Kept: it depends on nothing but the map's size.
            self._position = network.memory_encoder.position_encoding(cells).flatten(2)[0].T
        return self._position

    def _decode(
        self,
        frame: _Features,
        features: Tensor,
        points: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
        *,
        first: bool = False,
    ) -> _Heads:
        """Masks for B objects from their features (B, C, h, w), points and earlier masks; `first`: they begin here."""
        return _heads(self.network.decode(features, frame.fine, points, mask, first=first))

    def _followed(
        self, frame: _Features, features: Tensor, ids: Sequence[int], given: Mapping[int, Given]
    ) -> _Heads:
        """The masks that the rules take for objects on a frame; one that is prompted there asks no rule."""
        network, kind = self.network, self._kind
        if not kind.looks_at:
            return self._decode(frame, features)
        low, ious, tokens, appears = network.candidates(features, frame.fine)
        there = appears > kind.appears_above
        low = torch.where(there[:, None, None], low, NOTHING).float()
        seen = self._seen(low, ious, appears)
        surest = ious.argmax(dim=1).tolist()
        taken = [
            best if i in given else self.objects[i].rule.choose(self.time, own)
            for i, best, own in zip(ids, surest, seen, strict=True)
        ]
        each = torch.arange(len(ids), device=low.device)
        which = torch.tensor(taken, device=low.device)
        chosen = low[each, which][:, None]
        side = network.image_size
        high = F.interpolate(chosen, (side, side), mode="bilinear", align_corners=False)
        token = tokens[each, which] if tokens.shape[1] > 1 else tokens[:, 0]
        return _Heads(chosen, high, network.point_at(token, there), ious[each, which], appears)

    def _seen(self, low: Tensor, ious: Tensor, appears: Tensor) -> list[Seen]:
        """What the rules are told of B objects, whose masks are logits (B, K, h, w)."""
        size = self._size if self._kind.looks_at == "masks" else (self.network.image_size,) * 2
        estimated, logits = ious.float().cpu().numpy(), appears[:, 0].tolist()
        found = []
        for k, own in enumerate(low):
            masks = F.interpolate(own[None], size, mode="bilinear", align_corners=False)[0] > 0
            if self._kind.looks_at == "masks":
                found.append(Seen(estimated[k], logits[k], masks=masks.cpu().numpy()))
            else:
                found.append(Seen(estimated[k], logits[k], _boxes(masks)))
        return found

    def _prompted(
        self, frame: _Features, hints: Sequence[Given], conditioned: Tensor | None, before: Tensor | None
    ) -> _Heads:
        """The masks of prompted objects that are `_alike`; a known one is corrected from its mask `before`."""
        network, hint = self.network, hints[0]
        if hint.mask is not None:
            features = frame.tokens.permute(1, 2, 0).unflatten(2, frame.size)
            return _heads(network.take_mask(features, frame.fine, hint.mask[None, None]))
        if conditioned is None:
            features = network.without_memory(frame.tokens, frame.positions, frame.size, self.time)
            features = features.expand(len(hints), -1, -1, -1)
        else:
            features = conditioned
        points = {
            "point_coords": torch.stack([h.points for h in hints if h.points is not None]).float(),
            "point_labels": torch.stack([h.labels for h in hints if h.labels is not None]).int(),
        }
        mask = None if before is None else before.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return self._decode(frame, features, points, mask, first=conditioned is None)

    def _encode(self, frame: _Features, masks: Tensor, appears: Tensor, *, prompted: bool) -> Tensor:
        """Memories (B, h * w, C_mem) of masks (B, 1, S, S), in bfloat16 as the package keeps them."""
        memory = self.network.remember(frame.tokens, frame.size, masks, appears, prompted=prompted)
        return memory.to(torch.bfloat16).flatten(2).transpose(1, 2).contiguous()


def _heads(out: Sequence[Tensor]) -> _Heads:
    """What is used of the mask decoder's output."""
    _, _, ious, low, high, pointers, appears = out
    return _Heads(low, high, pointers, ious.amax(dim=1), appears)


class _Features:
    """Features of one image, shared by all objects: tokens and positions (h * w, 1, C), finer maps."""

    def __init__(self, features: list[Tensor], positions: list[Tensor], sizes: list[tuple[int, int]]):
        self.tokens, self.positions, self.size = features[-1], positions[-1], tuple(sizes[-1])
        maps = [x.permute(1, 2, 0).unflatten(2, tuple(s)) for x, s in zip(features, sizes, strict=True)]
        self.fine = maps[:-1] or None


def _boxes(masks: Tensor) -> NDArray[np.int64]:
    """First and last column and row (K, 4) of masks (K, S, S); zeros for an empty one."""
    columns, rows = masks.any(dim=1).cpu().numpy(), masks.any(dim=2).cpu().numpy()
    found = np.zeros((len(masks), 4), np.int64)
    for box, across, down in zip(found, columns, rows, strict=True):
        if across.any():
            x, y = np.flatnonzero(across), np.flatnonzero(down)
            box[:] = x[0], y[0], x[-1], y[-1]
    return found


def _results(ids: Sequence[int], heads: _Heads, appears_above: float = 0.0) -> dict[int, Result]:
    # There, and its mask is right: two estimates of the network, taken as independent.
    scores = heads.appears[:, 0].float().sigmoid() * heads.ious.float().clamp(0, 1)
    seen = heads.appears[:, 0] > appears_above
    return {i: Result(heads.low[k, 0], scores[k], seen[k]) for k, i in enumerate(ids)}
