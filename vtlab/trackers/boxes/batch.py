"""Many objects through one network: what the neural box trackers share besides their search regions.

`BatchedTracker` keeps one target for each object and hands all that are to be followed on a frame to the method
at once, so that their crops make one batch. Objects join, are corrected and leave without touching the others.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Exportable, Image, OnlineTracker, check_image
from vtlab.errors import InputError, PromptError, VtlabWarning
from vtlab.nets.loading import place
from vtlab.prompts import Prompt, Prompts
from vtlab.trackers.boxes.crops import network_input
from vtlab.trackers.boxes.engines import NATIVE, PAIR, Pair
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame


@dataclass(eq=False)
class Target:
    """One followed object.

    Attributes:
        box: (4,) xyxy pixels on the last frame.
        label: Its label, or None.
    """

    box: NDArray[np.float64]
    label: str | None = None


@dataclass(eq=False)
class Timed(Target):
    """A target whose template changes from time to time.

    Attributes:
        started: Time stamp of its prompt in seconds.
        changes: Times at which its template was due to change so far.
    """

    started: float = field(kw_only=True)
    changes: int = 0

    def due(self, now: float, every: float) -> bool:
        """Whether another change became due by `now`, one each `every` seconds; said once for each."""
        # Containers round time stamps, so a change on the very frame may come a hair early; `abs` because a pass may
        # run back.
        by_now = math.floor(abs(now - self.started) / every + 1e-3)
        if by_now <= self.changes:
            return False
        self.changes = by_now
        return True


T = TypeVar("T", bound=Target)


class BatchedTracker(OnlineTracker, Generic[T]):
    """Online tracker that follows all its targets in one batch; a method implements `_start` and `_follow`.

    A prompt for a known object starts that object afresh on the prompt's box. An answer of the network that is
    not finite leaves its target where it was, unseen, with score 0, and warns.

    Args:
        visible_above: Score from which an object counts as seen.
        batch: Most objects in one pass of the network, which bounds its memory; more take several passes.

    Raises:
        InputError: `batch` is not positive.
    """

    def __init__(self, *, visible_above: float, batch: int = 64):
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}.")
        self.visible_above, self.batch = visible_above, batch
        self._targets: dict[int, T] = {}
        self._now = 0.0  # time stamp of the current frame in seconds

    @abstractmethod
    def _start(self, image: Image, boxes: NDArray[np.float64]) -> list[T]:
        """Make the targets of boxes (N, 4) xyxy on `image`, N >= 1."""

    @abstractmethod
    def _follow(self, image: Image, targets: Sequence[T]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find N >= 1 targets on `image`, moving none: boxes (N, 4) xyxy, scores (N,) in [0, 1]."""

    def _learn(self, image: Image, targets: Sequence[T], scores: NDArray[np.float64]) -> None:
        """Adapt the targets that were found on `image` with `scores` (N,); their boxes are the new ones."""

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget all targets and start on the prompts."""
        self._targets = {}
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Follow every target in one batch; a prompt starts, or starts afresh, its own."""
        image, self._now = check_image(frame.image, type(self).__name__), frame.timestamp
        given = {p.object_id: p for p in prompts}
        # All prompts are checked before anything moves: a bad one leaves the targets as they were.
        boxes = [_prompted_box(p, image) for p in given.values()]
        scores = self._advance(image, [i for i in self._targets if i not in given])
        if given:
            started = self._start(image, np.array(boxes))
            for (object_id, prompt), target in zip(given.items(), started, strict=True):
                known = self._targets.get(object_id)
                target.label = prompt.label or (known.label if known else None)
                self._targets[object_id] = target
                scores[object_id] = 1.0
        return self._answer(scores, given.keys())

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects."""
        for object_id in object_ids:
            self._targets.pop(object_id, None)

    def close(self) -> None:
        """Forget all targets."""
        self._targets = {}

    def _advance(self, image: Image, ids: Sequence[int]) -> dict[int, float]:
        """Move the targets of `ids` to where they are found; return their scores."""
        if not ids:
            return {}
        targets = [self._targets[i] for i in ids]
        parts = [self._follow(image, targets[k : k + self.batch]) for k in range(0, len(ids), self.batch)]
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        # Moved before they learn: a template is cut at the new box.
        for k in np.flatnonzero(good):
            targets[k].box = boxes[k]
        if not good.all():
            lost = [ids[k] for k in np.flatnonzero(~good).tolist()]
            warnings.warn(
                f"{type(self).__name__}: the network's answer for objects {lost} is not a number; they keep "
                "their last boxes and count as not seen. A network in half precision can overflow, one in float32 "
                "doesn't.",
                VtlabWarning,
                stacklevel=3,
            )
        found = [targets[k] for k in np.flatnonzero(good)]
        if found:
            self._learn(image, found, scores[good])
        return dict(zip(ids, np.where(good, np.clip(scores, 0, 1), 0.0).tolist(), strict=True))

    def _answer(self, scores: dict[int, float], manual: Iterable[int]) -> FrameTracks:
        ids, manual = sorted(scores), set(manual)
        targets = [self._targets[i] for i in ids]
        score = np.array([scores[i] for i in ids])
        return FrameTracks.of(
            ids,
            np.array([t.box for t in targets]).reshape(-1, 4),
            score,
            # 0 is what a lost object is given, which is never seen, whatever is asked for.
            (score >= self.visible_above) & (score > 0),
            labels=[t.label for t in targets] if any(t.label for t in targets) else None,
            source=["manual" if i in manual else "tracked" for i in ids] if manual else "tracked",
        )


class NetworkTracker(BatchedTracker[T]):
    """Batched tracker by a network of PyTorch, or by its exported files; its constructor makes either ready by `_place`.

    Trackers that can be exported ask by `_ask_template` and `_ask_step` only, and implement `around`, `template_of` and
    `step_of`, which nobody asks of the others.
    """

    export_params: ClassVar[Mapping[str, Any]] = {**Exportable.export_params, "engine": NATIVE}
    _pair: Pair | None = None
    _name = ""  # of the network, as its exported files say it

    def _ready(
        self, make: Callable[[], Any], *, engine: str, weights: str | Path | None, network: str, **how: Any
    ) -> None:
        """Make the network and keep it (`engine` "torch"), or its exported files in its place; `around` must be known.

        Args:
            make: Makes the loaded network.
            engine: "torch", "onnxruntime", "openvino" or "tensorrt".
            weights: For other engines than "torch" the folder that `vtlab export` wrote.
            network: Name of the network, such as "transt".
            how: Device, dtype, channels_last and compile, as `vtlab.nets.loading.place` takes them.
        """
        self._name = network
        if engine == NATIVE:
            self._place(make(), **how)
        else:
            self._place_pair(weights, engine, **how)

    def _place(self, network: Any, *, channels_last: bool, **where: Any) -> None:
        """Keep a loaded network, ready for inference; see `vtlab.nets.loading.place` for the arguments."""
        self._network, self._device, self._dtype = place(
            network, channels_last=channels_last, full_precision=network.full_precision, **where
        )
        self._channels_last = channels_last

    def _place_pair(self, weights: str | Path | None, engine: str, *, dtype: str, **where: Any) -> None:
        """Keep exported files in the network's place; `where` are the device, and what only PyTorch knows.

        Raises:
            InputError: An unknown engine, one without files, or an option that it doesn't have.
            WeightsError: The files are not this network's, or were made for other constants around it.
            MissingDependencyError: The engine is not installed.
        """
        import torch

        allowed = ("auto", "cuda" if engine == "tensorrt" else "cpu")
        if where["device"] not in allowed or where.get("compile"):
            raise InputError(
                f"`device` and `compile` are for the engine {NATIVE!r}; {engine} runs on {allowed[1]!r}, got "
                f"{ {k: v for k, v in where.items() if k in ('device', 'compile')} }. Remedy: leave them out."
            )
        self._pair = Pair(weights, engine, network=self._name, around=self.around(), dtype=dtype)
        self._network, self._device, self._dtype = None, torch.device("cpu"), torch.float32
        self._channels_last, self.loads = False, PAIR

    def around(self) -> dict[str, str]:
        """What this instance does around its network (crops, window, updates), as the metadata of its export says it."""
        raise NotImplementedError

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """Ask a network what it keeps of templates: the call that is exported as the template file."""
        raise NotImplementedError

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """Ask a network about a frame: the call that is exported as the step file."""
        raise NotImplementedError

    def _ask_template(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            self.template_of(self._network, *inputs) if self._pair is None else self._pair.template(*inputs)
        )

    def _ask_step(self, *inputs: Any) -> tuple[torch.Tensor, ...]:
        return self.step_of(self._network, *inputs) if self._pair is None else self._pair.step(*inputs)

    def _images(self, crops: Sequence[Image]) -> torch.Tensor:
        return network_input(
            list(crops), device=self._device, dtype=self._dtype, channels_last=self._channels_last
        )

    def _tensor(self, values: ArrayLike) -> torch.Tensor:
        """Numbers as float32, whatever the network runs in."""
        import torch

        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self._device)


def _prompted_box(prompt: Prompt, image: Image) -> NDArray[np.float64]:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box = prompt.box(height, width)
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise PromptError(
            f"{prompt}: the box {box.tolist()} lies outside the frame of {width} x {height} px. Remedy: give "
            "a box that touches the image."
        )
    return box
