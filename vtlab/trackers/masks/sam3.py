"""SAM 3 by text: all objects that words name, found while the video goes, with memory that does not grow.

Paper: Carion et al., "SAM 3: Segment Anything with Concepts", https://arxiv.org/abs/2511.16719. Code:
https://github.com/huggingface/transformers (Apache-2.0), model `sam3_video`: a detector that reads the text finds objects on
each frame, SAM 2's way of tracking follows them, and both are matched. Weights: Meta's SAM License. By clicks, boxes and
masks SAM 3 is the tracker `sam3` (`vtlab.trackers.masks.sam2.on_transformers`).

Differs from the library:

- After each frame everything that a later frame can't read is removed: images, outputs, the prompted frames beyond the four
  that its memory attention takes (it adds one each 16 frames for each object), and tables of scores and mismatches by frame,
  which it keeps for good and copies on each frame. Of such prompted frames the library reads all pointers.
- In its streaming mode nothing is ever removed. Here an object that proves false or double within its first 15 frames is, as
  in its mode for whole videos (but without holding answers back for as long), and so is one that was hidden, or not
  confirmed by the detector, for `lost` seconds. One that comes back later has a new id.
- Masks that cover each other are thinned out by our own few lines, as by its compiled kernel, which has to be downloaded and
  without which it leaves them. Small holes are not filled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import OnlineTracker, check_image
from vtlab.errors import InputError, PromptError, WeightsError, needs
from vtlab.prompts import Prompts, TextPrompt
from vtlab.registry import register
from vtlab.segmenters.base import shrink
from vtlab.trackers.masks.base import MAX_OBJECTS, masks_of_logits
from vtlab.trackers.masks.sessions import SAM3_CARD, around_half, forget_outputs, sam3_file
from vtlab.tracks import FrameTracks
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

FILES = tuple(sam3_file(name) for name in ("config.json", "model.safetensors", "tokenizer.json"))
MOST_TOKENS = 32
"""Tokens of a text that the network reads, its begin and end among them."""
_ENDLESS = 2**31
"""Frames that the library is told there are: it reads no pointers beyond their number."""


@register(
    "sam3-text",
    family="mot",
    summary="SAM 3 by text: finds and follows all objects that words name, as masks, through transformers.",
    accepts={TextPrompt},
    emits={"masks", "boxes"},
    weights=FILES,
    **SAM3_CARD,
)
class Sam3TextTracker(OnlineTracker):
    """Finds what texts name on every frame and follows it; each text is looked for from its frame on.

    Each object found has an id of its own, from 1, and its text as label. On a frame on which it isn't seen it has no row.
    The score is the detector's on the first frame, then the probability that the object is seen.

    Args:
        weights: Folder with `config.json`, `model.safetensors` and `tokenizer.json`, as the hub has them; None = the
            official files, looked up by `vtlab.weights`.
        confidence: Least score of a detection that confirms an object.
        new: Least score of a detection that starts an object.
        lost: Seconds for which an object may be hidden, or not confirmed, before it is given up.
        most: Most objects at a time; more are not started.
        device: "auto", "cpu", "cuda", ...

    Raises:
        WeightsError: A file is missing or damaged, or does not fit the library's model.
        MissingDependencyError: PyTorch or transformers is not installed.
        InputError: An option is out of range, or the device is not there.
    """

    memory_policy = (
        "For each object: the last 4 prompted frames, the last 6 frames as spatial memories, 15 as object pointers; objects "
        "that are lost are given up."
    )

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        # The library's own defaults for `confidence`, `new`.
        confidence: float = 0.5,
        new: float = 0.7,
        lost: float = 5.0,
        most: int = 64,
        device: str = "auto",
    ):
        if not (0 < confidence <= new <= 1 and lost > 0 and 1 <= most <= MAX_OBJECTS):
            raise InputError(
                f"sam3-text needs 0 < confidence <= new <= 1, lost > 0 and most from 1 to {MAX_OBJECTS}; got {confidence}, "
                f"{new}, {lost} and {most}."
            )
        self._device = find_device(device)
        self._network, self._tokenizer, self._new_session = _load(weights)
        network = self._network.to(self._device)
        network.score_threshold_detection, network.new_det_thresh = confidence, new
        network.max_num_objects = most
        self._lost = lost
        self._side = int(network.config.image_size)
        self._reset()

    def _reset(self) -> None:
        self._session: Any = None
        self._time = -1
        self._size: tuple[int, int] | None = None
        self._labels: dict[int, str] = {}  # number of a text in the session -> label of what it finds
        self._alive: dict[int, float] = {}  # object -> when it was last seen and confirmed, in seconds

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything and look for the first texts."""
        self._reset()
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Go to the next frame; a text is looked for from now on.

        Raises:
            PromptError: A text is too long.
            InputError: The frame is no RGB image, or has another size than those before.
        """
        import torch

        height, width = check_image(frame.image, "sam3-text").shape[:2]
        if self._size not in (None, (height, width)):
            assert self._size is not None
            raise InputError(
                f"Frame {frame.index} is {width} x {height} px, those before were {self._size[1]} x {self._size[0]}. "
                "Masks need one size: cut the video where it changes, or scale it."
            )
        self._size, self._time = (height, width), self._time + 1
        for prompt in prompts:
            self._ask(prompt, height, width)
        if self._session is None:
            return FrameTracks.empty()
        x = torch.from_numpy(frame.image).to(self._device).permute(2, 0, 1).float() / 255
        session = self._session
        with torch.inference_mode():
            session.add_new_frame(around_half(shrink(x, (self._side, self._side))), self._time)
            before = set(session.obj_ids)
            out = self._network(session, frame_idx=self._time)  # without `frame`: false objects are removed
            answer = self._answer(out, before, height, width)
        self._give_up(out, frame.timestamp)
        self._forget()
        return answer

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects; the detector may find them again under new ids."""
        for object_id in object_ids:
            if self._session is not None:
                self._drop(int(object_id) - 1)

    def close(self) -> None:
        """Forget everything."""
        self._reset()

    def _ask(self, prompt: Any, height: int, width: int) -> None:
        """Have the session look for what a text names."""
        import torch

        if not isinstance(prompt, TextPrompt):
            raise PromptError(f"{prompt}: sam3-text takes TextPrompt. For figures choose the tracker 'sam3'.")
        tokens = self._tokenizer.encode(prompt.text).ids
        if len(tokens) > MOST_TOKENS:
            raise PromptError(
                f"{prompt}: {prompt.text!r} has {len(tokens)} tokens, SAM 3 reads {MOST_TOKENS}. Give a noun phrase; "
                "several things are several prompts."
            )
        if self._session is None:
            self._session = self._new_session(
                video_height=height, video_width=width, inference_device=self._device, dtype=torch.float32
            )
        number = self._session.add_prompt(prompt.text)
        # Filled up with the end token, as CLIP's tokenizer does.
        filled = tokens + tokens[-1:] * (MOST_TOKENS - len(tokens))
        mask = [1] * len(tokens) + [0] * (MOST_TOKENS - len(tokens))
        self._session.prompt_input_ids[number] = torch.tensor([filled], device=self._device)
        self._session.prompt_attention_masks[number] = torch.tensor([mask], device=self._device)
        self._labels[number] = prompt.name

    def _answer(self, out: Any, before: set[int], height: int, width: int) -> FrameTracks:
        """The objects of a frame that are seen."""
        hidden = out.suppressed_obj_ids or set()
        ids = [i for i in out.object_ids if i in out.obj_id_to_mask and i not in hidden]
        if not ids:
            return FrameTracks.empty()
        logits = [out.obj_id_to_mask[i][0] for i in ids]
        masks = masks_of_logits(logits, [None] * len(ids), height, width)
        seen = np.flatnonzero(masks.any(axis=(1, 2)))
        ids = [ids[k] for k in seen]
        if not ids:
            return FrameTracks.empty()
        scores = [float(out.obj_id_to_tracker_score.get(i, 0.0)) for i in ids]
        return FrameTracks.of(
            [i + 1 for i in ids],
            None,
            np.clip(scores, 0, 1),
            True,
            masks=masks[seen],
            labels=[self._labels[self._session.obj_id_to_prompt_id[i]] for i in ids],
            source=["tracked" if i in before else "detected" for i in ids],
        )

    def _give_up(self, out: Any, now: float) -> None:
        """Drop objects that were hidden or not confirmed for too long."""
        session = self._session
        for object_id in list(session.obj_ids):
            mask = out.obj_id_to_mask.get(object_id)
            confirmed = session.trk_keep_alive.get(object_id, 1) > 0
            if object_id not in self._alive or (confirmed and mask is not None and bool((mask > 0).any())):
                self._alive[object_id] = now
            elif abs(now - self._alive[object_id]) > self._lost:
                self._drop(object_id)
        self._alive = {i: t for i, t in self._alive.items() if i in session.obj_ids}

    def _drop(self, object_id: int) -> None:
        """Take an object out of the session."""
        self._session.remove_object(object_id)

    def _forget(self) -> None:
        """Remove what no later frame reads."""
        session, network = self._session, self._network
        session.processed_frames = {}
        session.cache.clear_all()
        tracking = network.tracker_model.config
        forget_outputs(session, tracking, self._time, most_prompted=tracking.max_cond_frame_num)
        alive = set(session.obj_ids)
        for name in ("score", "last_occluded", "prompt_id"):
            table = getattr(session, f"obj_id_to_{name}")
            setattr(session, f"obj_id_to_{name}", {i: v for i, v in table.items() if i in alive})
        for name in ("obj_first_frame_idx", "trk_keep_alive"):
            setattr(session, name, {i: v for i, v in getattr(session, name).items() if i in alive})
        # As far back as the library counts unmatched and doubled objects.
        most = max(network.hotstart_unmatch_thresh, network.hotstart_dup_thresh, 1)
        session.unmatched_frame_inds = _last(session.unmatched_frame_inds, alive, most)
        session.overlap_pair_to_frame_inds = _last(session.overlap_pair_to_frame_inds, alive, most)
        session.obj_id_to_tracker_score_frame_wise = defaultdict(dict)
        session.suppressed_obj_ids = defaultdict(set)
        session.removed_obj_ids = set()
        session.hotstart_removed_obj_ids = set()


def _last(table: dict[Any, list[int]], alive: set[int], most: int) -> defaultdict[Any, list[int]]:
    """Of lists of frames by object, or by pair of objects, the last `most` of those that are alive."""
    kept = {
        key: frames[-most:]
        for key, frames in table.items()
        if (set(key) if isinstance(key, tuple) else {key}) <= alive
    }
    return defaultdict(list, kept)


def thinned(masks: torch.Tensor, scores: Sequence[float], iou: float) -> list[int]:
    """Rows of masks (N, h, w) bool that stay, the surest first, when those that cover a surer one by more than `iou` go."""
    import torch

    flat = masks.flatten(1).float()
    areas = flat.sum(dim=1)
    common = flat @ flat.T
    overlaps = common / (areas[:, None] + areas[None] - common).clamp(min=1)
    kept: list[int] = []
    for row in torch.as_tensor(scores).argsort(descending=True, stable=True).tolist():
        if all(overlaps[row, k] <= iou for k in kept):
            kept.append(row)
    return kept


def _load(weights: str | Path | None) -> tuple[Any, Any, type]:
    """The network with its weights, the tokenizer, and the class of its sessions."""
    from vtlab.weights import checkpoints, fetch

    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise needs("transformers", "transformers", "'sam3-text'") from error
    names = ("config.json", "model.safetensors", "tokenizer.json")
    config, file, words = (fetch(f) for f in FILES) if weights is None else (Path(weights) / n for n in names)
    if not words.is_file():
        raise WeightsError(f"There is no {words}. Remedy: give the folder of the model as the hub has it.")
    try:
        tokenizer = Tokenizer.from_file(str(words))
    except Exception as error:  # the library raises nothing narrower
        raise WeightsError(f"{words} is not the tokenizer of sam3-text: {error}.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    network = checkpoints.load_transformers("Sam3Video", config, file, what="sam3-text")
    return _thinning(network), tokenizer, _session_class()


def _thinning(network: Any) -> Any:
    """The network with our own thinning of its detections, and without what needs the library's kernel."""
    limit, network.det_nms_thresh, network.fill_hole_area = float(network.det_nms_thresh), 0.0, 0

    class Thinning(type(network)):  # type: ignore[misc]
        def run_detection(self, *args: Any, **kwargs: Any) -> Any:
            found = super().run_detection(*args, **kwargs)
            if limit <= 0:
                return found
            return {
                number: {
                    key: value[thinned(one["mask"] > 0, one["scores"].tolist(), limit)]
                    for key, value in one.items()
                }
                for number, one in found.items()
            }

    network.__class__ = Thinning  # the library makes the network; only what it does with detections changes
    return network


def _session_class() -> type:
    """The library's session, for a video whose frames are not kept and whose end is unknown."""
    from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

    class Session(Sam3VideoInferenceSession):  # type: ignore[misc]
        @property
        def num_frames(self) -> int:
            """More frames than will come: pointers to earlier ones are read whatever their number."""
            return _ENDLESS

    return Session
