"""XMem's inference: which frame enters which memory, and how memory is read. No files, no videos.

Paper: XMem, ECCV 2022, arXiv:2207.07115. Official code: https://github.com/hkchengrex/XMem (MIT).

Three memories. The sensory memory is a hidden state for each object. The working memory keeps every cell of the
first frame and of the last few memory frames. The long-term memory keeps prototypes of what left the working
memory. Objects that came in on the same frame are a group: all groups share the keys, and a group that came later
has values for the last keys only, as in the official code (which matches the value of such a group's first frame
through the key of the video's first frame once that stays behind in a consolidation).

Differs from the official code: removal of long-term elements works with any number of groups (there:
NotImplementedError); fewer elements than `top_k` or than `prototypes` are allowed; the sum over the `top_k`
elements is a sparse one, so that its cost does not grow with the memory; objects can be removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vtlab.nets.xmem import STRIDE, ImageFeatures, XMem, aggregate, precise
from vtlab.trackers.masks.long_term import MemorySettings

INITIAL_LIFE = 1e-7
"""So that use over life is finite on the first frame (inference/kv_memory_store.py)."""


@dataclass
class Store:
    """N memory elements; group g has values for the last `len(values[g])` of them.

    Attributes:
        key: (N, C_key).
        shrinkage: (N,).
        selection: (N, C_key), or (0, C_key) where it is not needed any more.
        use: (N,), how much of the readouts each element gave.
        life: (N,), how many readouts each element lived through.
        values: One (N_g, K_g, C_value) for each group.
    """

    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    use: Tensor
    life: Tensor
    values: list[Tensor] = field(default_factory=list)

    @classmethod
    def new(cls, key: Tensor, shrinkage: Tensor, selection: Tensor, values: Sequence[Tensor] = ()) -> Store:
        """Return unused elements."""
        use = torch.zeros_like(shrinkage)
        return cls(key, shrinkage, selection, use, torch.full_like(use, INITIAL_LIFE), list(values))

    def __len__(self) -> int:
        return len(self.key)

    def extend(self, other: Store) -> None:
        """Append the elements of `other`, which has the same groups in the same order."""
        for name in ("key", "shrinkage", "selection", "use", "life"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        self.values = [torch.cat(pair) for pair in zip(self.values, other.values, strict=True)]

    def keep(self, index: Tensor) -> None:
        """Keep the elements with this ascending `index` (M,), and of each group those that it has."""
        starts = [len(self) - len(v) for v in self.values]
        self.values = [v[index[index >= s] - s] for v, s in zip(self.values, starts, strict=True)]
        self._keep_keys(index)

    def _keep_keys(self, index: Tensor) -> None:
        for name in ("key", "shrinkage", "use", "life"):
            setattr(self, name, getattr(self, name)[index])
        if len(self.selection):
            self.selection = self.selection[index]

    def cut(self, start: int, stop: int, smallest: int) -> None:
        """Remove the elements start..stop; groups with fewer than `smallest` values keep all of theirs."""
        self._keep_keys(torch.cat([torch.arange(start), torch.arange(stop, len(self))]).to(self.key.device))
        tail = len(self) - start
        self.values = [v if len(v) < smallest else torch.cat([v[:start], v[-tail:]]) for v in self.values]

    def drop_before_first_value(self) -> None:
        """Remove the elements that no group has a value for."""
        extent = max((len(v) for v in self.values), default=0)
        self._keep_keys(torch.arange(len(self) - extent, len(self), device=self.key.device))

    @property
    def usage(self) -> Tensor:
        """Mean use over each element's life (N,)."""
        return self.use / self.life


class Memory:
    """Working and long-term memory of one clip."""

    def __init__(self, settings: MemorySettings, c_key: int, like: Tensor):
        self.settings = settings
        empty = like.new_zeros((0, c_key))
        self.work = Store.new(empty, empty[:, 0], empty)
        self.long = Store.new(empty, empty[:, 0], empty)
        self.groups: list[int] = []  # number of objects in each group

    def add(self, features: ImageFeatures, values: Tensor) -> None:
        """Add a memory frame with values (K, C_value, h, w); objects beyond the known ones form a new group."""
        key, shrinkage, selection = (precise(_cells(x)) for x in features[:3])
        known, total = sum(self.groups), len(values)
        if total > known:
            self.groups.append(total - known)
            for store in (self.work, self.long):
                store.values.append(values.new_zeros((0, total - known, values.shape[1])))
        by_group = values.flatten(2).permute(2, 0, 1).split(self.groups, dim=1)
        selection = selection if self.settings.long_term else selection[:0]
        self.work.extend(Store.new(key, shrinkage[:, 0], selection, by_group))
        if self.settings.long_term and len(self.work) >= self.settings.max_frames * len(key):
            self._forget()
            self._consolidate(len(key))

    def read(self, key: Tensor, selection: Tensor) -> Tensor:
        """Read for query keys and selections (1, C_key, h, w): values (K, C_value, h, w)."""
        n_long = len(self.long)
        similarity = _similarity(
            torch.cat([self.long.key, self.work.key]),
            torch.cat([self.long.shrinkage, self.work.shrinkage]),
            precise(_cells(key)),
            precise(_cells(selection)),
        )
        whole = (n_long, len(self.work))  # the first group has a value for every key
        top = {whole: _top_softmax(similarity, self.settings.top_k)}
        self._count(*top[whole])
        readouts = []
        for long, work in zip(self.long.values, self.work.values, strict=True):
            extent = (len(long), len(work))
            if extent not in top:
                top[extent] = _top_softmax(_last(similarity, n_long, *extent), self.settings.top_k)
            readouts.append(_weighted_sum(*top[extent], long, work))
        return torch.cat(readouts, dim=1).permute(1, 2, 0).unflatten(2, tuple(key.shape[-2:])).contiguous()

    def remove(self, position: int) -> None:
        """Remove the object at `position` in the order of insertion."""
        group = 0
        while position >= self.groups[group]:
            position -= self.groups[group]
            group += 1
        self.groups[group] -= 1
        for store in (self.work, self.long):
            v = store.values[group]
            store.values[group] = torch.cat([v[:, :position], v[:, position + 1 :]], dim=1)
            if not self.groups[group]:
                del store.values[group]
                store.drop_before_first_value()
        self.groups = [n for n in self.groups if n]

    def _count(self, weights: Tensor, index: Tensor) -> None:
        use = weights.new_zeros(len(self.long) + len(self.work))
        use.index_add_(0, index.flatten(), weights.flatten())
        for store, part in ((self.long, use[: len(self.long)]), (self.work, use[len(self.long) :])):
            store.use += part
            store.life += 1

    def _forget(self) -> None:
        """Make room in long-term memory: remove the least used elements."""
        surplus = len(self.long) - (self.settings.max_long_term - self.settings.prototypes)
        if surplus > 0:
            usage = self.long.usage
            # Strictly above the largest of those that go: ties go, too, as in the official code.
            limit = usage.topk(surplus, largest=False).values.max()
            self.long.keep(torch.nonzero(usage > limit)[:, 0])

    def _consolidate(self, cells: int) -> None:
        """Turn the middle of working memory into prototypes in long-term memory."""
        # The first frame, which a person gave, and the newest ones stay as they are.
        start, stop = cells, len(self.work) - (self.settings.min_frames - 1) * cells
        n, smallest = stop - start, self.settings.min_frames * cells + cells
        key, shrinkage = self.work.key[start:stop], self.work.shrinkage[start:stop]
        # What was read most is what stands for the rest.
        chosen = self.work.usage[start:stop].topk(min(self.settings.prototypes, n)).indices
        similarity = _similarity(key, shrinkage, key[chosen], self.work.selection[start:stop][chosen])
        values = []
        for v in self.work.values:
            whole = len(v) == len(self.work) or len(v) > smallest
            candidates = v[cells : len(v) - (self.settings.min_frames - 1) * cells] if whole else v[:0]
            valid = chosen >= n - len(candidates)
            # No top-k here: prototypes are means of all that is like them.
            affinity = similarity[valid, n - len(candidates) :].softmax(dim=1)
            values.append((affinity @ candidates.flatten(1)).unflatten(1, v.shape[1:]))
        shrinkage = similarity.softmax(dim=1) @ shrinkage
        self.work.cut(start, stop, smallest)
        self.long.extend(Store.new(key[chosen], shrinkage, key[:0], values))


def _cells(x: Tensor) -> Tensor:
    """(1, C, h, w) to (h * w, C)."""
    return x[0].flatten(1).T


def _similarity(key: Tensor, shrinkage: Tensor, query: Tensor, selection: Tensor) -> Tensor:
    """Anisotropic L2 similarity (Q, N), all <= 0, of queries (Q, C) with memory keys (N, C)."""
    memory = torch.cat([-key.square(), 2 * key], dim=1)
    asked = torch.cat([selection, query * selection], dim=1)
    constant = (selection * query.square()).sum(dim=1, keepdim=True)
    return (asked @ memory.T - constant) * (shrinkage / key.shape[1] ** 0.5)


def _last(similarity: Tensor, n_long: int, keep_long: int, keep_work: int) -> Tensor:
    """Columns of the last `keep_long` long-term and the last `keep_work` working elements."""
    long, work = similarity[:, :n_long], similarity[:, n_long:]
    return torch.cat([long[:, n_long - keep_long :], work[:, work.shape[1] - keep_work :]], dim=1)


def _top_softmax(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Softmax over the k largest of each row: weights and columns, both (Q, k)."""
    values, index = similarity.topk(min(k, similarity.shape[1]), dim=1)
    return values.softmax(dim=1), index


def _weighted_sum(weights: Tensor, index: Tensor, long: Tensor, work: Tensor) -> Tensor:
    """Sum of the indexed rows of `[long, work]`, (N, K, C) each, by weights (Q, k): (Q, K, C)."""
    n = len(long)
    total = _bag((index - n).clamp(min=0), work, weights * (index >= n))
    if n:
        total = total + _bag(index.clamp(max=n - 1), long, weights * (index < n))
    return total.unflatten(1, work.shape[1:])


def _bag(index: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(index, rows.flatten(1), per_sample_weights=weights.to(rows.dtype), mode="sum")


class Inference:
    """XMem over the frames of one clip: objects come, are corrected and go at any time.

    Args:
        network: The network, in evaluation mode.
        settings: What is kept.
    """

    def __init__(self, network: XMem, settings: MemorySettings):
        self.network, self.settings = network, settings
        self.objects: list[int] = []
        self.memory = self._empty_memory()
        self.hidden: Tensor | None = None
        self.time = -1
        self.last_memory = 0
        # So that the first frame is deep.
        self.last_deep = -(settings.deep_every or 0)

    @torch.inference_mode()
    def step(self, image: Tensor, masks: Mapping[int, Tensor] | None = None, *, last: bool = False) -> Tensor:
        """Segment the next frame.

        Args:
            image: (3, H, W), normalised by ImageNet's mean and deviation.
            masks: For objects that are given on this frame, by object id: (H, W) in [0, 1]. An unknown id starts
                an object, a known one is corrected.
            last: Nothing of this frame needs to be remembered.

        Returns:
            Probabilities (1 + K, H, W) of background and of `objects` in their order; they add up to 1.
        """
        exact = torch.promote_types(image.dtype, torch.float32)
        masks = {i: m.to(image.device, exact) for i, m in (masks or {}).items()}
        self.time += 1
        size = image.shape[-2:]
        image = _pad(image)
        if not self.objects and not masks:
            return image.new_ones((1, *size), dtype=exact)
        settings = self.settings
        # A given mask is always remembered: it is the best that is known.
        remember = (self.time - self.last_memory >= settings.every or bool(masks)) and not last
        if settings.deep_every is None:
            deep = remember
        else:
            # Apart from memory frames: the official asynchronous mode.
            deep = self.time - self.last_deep >= settings.deep_every and not last
        update_hidden = (settings.deep_every is not None or not deep) and not last
        features = self.network.encode_image(image)
        probabilities = image.new_zeros((1 + len(self.objects), *image.shape[-2:]), dtype=exact)
        if set(self.objects) - set(masks):
            probabilities = self._segment(features, update_hidden=update_hidden)
        if masks:
            probabilities = self._merge({i: _pad(m) for i, m in masks.items()}, probabilities, features)
        if remember:
            self._remember(image, features, probabilities[1:], deep=deep)
        return _crop(probabilities, size)

    def remove(self, object_ids: Sequence[int]) -> None:
        """Forget these objects."""
        for object_id in object_ids:
            position = self.objects.index(object_id)
            self.objects.remove(object_id)
            self.memory.remove(position)
            if self.hidden is not None:
                self.hidden = torch.cat([self.hidden[:position], self.hidden[position + 1 :]])
        if not self.objects:
            self.memory, self.hidden = self._empty_memory(), None

    def _empty_memory(self) -> Memory:
        return Memory(self.settings, self.network.c_key, precise(self.network.key_proj.key_proj.weight[:0]))

    def _segment(self, features: ImageFeatures, *, update_hidden: bool) -> Tensor:
        readout = self.memory.read(features.key, features.selection)
        p, self.hidden = self.network.segment(features, readout, self.hidden, update_hidden=update_hidden)
        return aggregate(p)

    def _merge(self, masks: Mapping[int, Tensor], predicted: Tensor, features: ImageFeatures) -> Tensor:
        """Put given masks over the prediction; where one is, no other object is."""
        new = [i for i in masks if i not in self.objects]
        given = torch.stack(list(masks.values()))
        channels = given.new_zeros((len(self.objects) + len(new), *given.shape[1:]))
        # Where something is given nothing that was predicted stays; half a pixel counts as given.
        channels[: len(self.objects)] = predicted[1:] * (given.sum(dim=0) <= 0.5)
        self.objects += new
        for object_id, mask in masks.items():
            channels[self.objects.index(object_id)] = mask
        height, width = features.key.shape[-2:]
        fresh = self.network.empty_hidden(len(new), height, width)
        if fresh is not None:
            self.hidden = fresh if self.hidden is None else torch.cat([self.hidden, fresh])
        return aggregate(channels)

    def _remember(self, image: Tensor, features: ImageFeatures, masks: Tensor, *, deep: bool) -> None:
        values = self.network.encode_value(image, features, masks.to(image.dtype))
        self.memory.add(features, values)
        self.last_memory = self.time
        if deep:
            self.hidden = self.network.reinforce_hidden(values, self.hidden)
            self.last_deep = self.time


def _margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom that make a size a multiple of the stride, the larger half right and below."""
    dw, dh = -width % STRIDE, -height % STRIDE
    return dw // 2, dw - dw // 2, dh // 2, dh - dh // 2


def _pad(x: Tensor) -> Tensor:
    return F.pad(x, _margins(*x.shape[-2:]))


def _crop(x: Tensor, size: torch.Size) -> Tensor:
    left, _, top, _ = _margins(*size)
    return x[..., top : top + size[0], left : left + size[1]]
