"""OWLv2 and Grounding DINO through transformers: detectors that find what texts name, from the hub or a local folder.

Papers: Minderer et al., "Scaling Open-Vocabulary Object Detection", NeurIPS 2023, arXiv 2306.09683; Liu et al., "Grounding
DINO", ECCV 2024, arXiv 2303.05499. Code and weights: Apache-2.0, through huggingface/transformers. The network and its
tokenizer are taken from there; resizing and decoding are a few lines here and need no torchvision.

    vtlab.track(video, TextPrompt("dog"), "bytetrack", detector="owlv2")

Differs from the library's processors: images are made smaller by OpenCV's mean over areas; a box of Grounding DINO
belongs to the text whose surest token it has (there: to all tokens above a threshold, which may be words of two texts);
boxes of one text that cover each other are thinned out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors import hub
from vtlab.detectors.base import IMAGENET, Statistics, check_fraction, select, standardised
from vtlab.errors import InputError, PromptError
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv
    import torch

_CLIP: Statistics = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
Found = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scores (N, texts) and boxes (N, 4) xyxy in pixels of one frame."""


class ReadsText(Detector):
    """A detector whose classes are texts.

    Args:
        model: Name on the hub, or a local folder with config.json, model.safetensors and the tokenizer's files.
        texts: What to find; None: what `TextPrompt`s say.
        confidence: Lowest confidence that stays.
        nms: Overlap (IoU) with a surer box of the same text above which a box goes.
        most: Most objects of a frame.
        device: "cpu", "cuda", ... or "auto".

    Raises:
        WeightsError: The model can't be loaded.
        MissingDependencyError: PyTorch or transformers is not installed.
        InputError: An option is out of range.
    """

    _most_tokens: ClassVar[int]

    def __init__(
        self,
        *,
        model: str | Path,
        texts: Sequence[str] | str | None = None,
        confidence: float = 0.2,
        nms: float = 0.6,
        most: int = 300,
        device: str = "auto",
    ):
        owner = self.card.name
        self._confidence = check_fraction("confidence", confidence, owner)
        self._nms = check_fraction("nms", nms, owner)
        if most < 1:
            raise InputError(f"{owner}: most must be at least 1, got {most!r}.")
        self._network, self._tokenizer, self._device = hub.load(
            owner, model, "ZeroShotObjectDetection", device, reads=True
        )
        self._most, self._owner = int(most), owner
        self._fixed = (texts,) if isinstance(texts, str) else tuple(texts or ())
        self.names = ()
        self.reset()

    def reset(self) -> None:
        """Look for the texts of the constructor, or for none."""
        self.names = ()
        if self._fixed:
            self.look_for(self._fixed)

    def look_for(self, texts: Sequence[str]) -> None:
        """Find what these texts name, from now on, beside those of the constructor.

        Raises:
            PromptError: They have more tokens than the network reads.
        """
        names = tuple(dict.fromkeys([*self._fixed, *texts]))
        self._read(names)
        self.names = names

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame that the texts name.

        Raises:
            InputError: There is no text yet.
        """
        import torch

        if not self.names and frames:
            raise InputError(
                f"The detector {self._owner!r} finds what texts name, and there is none. Remedy: give "
                "vtlab.prompts.TextPrompt('dog') as prompt, or texts=['dog'] (-P detector_params='{texts: [dog]}')."
            )
        found = []
        for image in frames:
            with torch.inference_mode():
                scores, boxes = self._find(check_image(image, self._owner))
            number = scores.argmax(axis=1)
            best = scores[np.arange(len(scores)), number]
            order = np.argsort(-best, kind="stable")[: self._most]
            chosen = select(
                boxes[order],
                best[order],
                number[order],
                self.names,
                size=image.shape[:2],
                threshold=self._confidence,
                nms=self._nms,
                wanted=None,
            )
            found.append(chosen)
        return found

    def _check_tokens(self, counts: Sequence[int], texts: Sequence[str]) -> None:
        for n, text in zip(counts, texts, strict=True):
            if n > self._most_tokens:
                raise PromptError(
                    f"The detector {self._owner!r} reads {self._most_tokens} tokens, {text!r} has {n}. Give noun phrases."
                )

    @abstractmethod
    def _read(self, texts: Sequence[str]) -> None:
        """Take in the texts as tokens."""

    @abstractmethod
    def _find(self, image: Image) -> Found:
        """What the network says of an image for the texts."""

    def _tensor(self, image: Image, statistics: Statistics) -> torch.Tensor:
        """An image as the network's input (1, 3, H, W), normalised."""
        import torch

        values = standardised(np.asarray(image.transpose(2, 0, 1) / 255, np.float32), statistics)
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)[None]


@register_detector(
    "owlv2",
    summary="OWLv2 (base, ensemble): finds what texts name.",
    options={"model": "google/owlv2-base-patch16-ensemble"},
    paper="Minderer et al.: Scaling Open-Vocabulary Object Detection, NeurIPS 2023",
    paper_url="https://arxiv.org/abs/2306.09683",
    **hub.CARD,
)
class Owlv2(ReadsText):
    """OWLv2: each patch of the image is held against each text. Arguments: see `ReadsText`."""

    _most_tokens = 16

    def _read(self, texts: Sequence[str]) -> None:
        import torch

        counts = [len(ids) for ids in self._tokenizer(list(texts))["input_ids"]]
        self._check_tokens(counts, texts)
        tokens = self._tokenizer(list(texts), padding="max_length", max_length=self._most_tokens)
        self._given = {
            name: torch.tensor(tokens[name], device=self._device) for name in ("input_ids", "attention_mask")
        }

    def _find(self, image: Image) -> Found:
        import cv2

        side = int(self._network.config.vision_config.image_size)
        height, width = image.shape[:2]
        longest = max(height, width)
        small = max(round(width * side / longest), 1), max(round(height * side / longest), 1)
        square = np.zeros((side, side, 3), np.uint8)  # black, below or to the right
        shrinks = cv2.INTER_AREA if longest > side else cv2.INTER_LINEAR
        square[: small[1], : small[0]] = cv2.resize(image, small, interpolation=shrinks)
        out = self._network(pixel_values=self._tensor(square, _CLIP), **self._given)
        scores = out.logits[0].float().sigmoid().cpu().numpy().astype(np.float64)
        return scores, _edges(out.pred_boxes[0]) * longest  # fractions of the square, borders and all


@register_detector(
    "grounding-dino",
    summary="Grounding DINO (tiny): finds what texts name.",
    options={"model": "IDEA-Research/grounding-dino-tiny", "confidence": 0.3},
    paper="Liu et al.: Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection, ECCV 2024",
    paper_url="https://arxiv.org/abs/2303.05499",
    **hub.CARD,
)
class GroundingDino(ReadsText):
    """Grounding DINO: image and texts are read together. Arguments: see `ReadsText`."""

    _most_tokens = 256
    # Pixels of the sides to which the official code scales an image.
    _shortest, _longest = 800, 1333

    def _read(self, texts: Sequence[str]) -> None:
        import torch

        sentence, spans = "", []
        for text in texts:
            spans.append((len(sentence), len(sentence) + len(text)))
            sentence += f"{text.lower()}. "
        tokens = self._tokenizer(sentence.strip(), return_offsets_mapping=True)
        self._check_tokens([len(tokens["input_ids"])], [sentence.strip()])
        places = np.array(tokens.pop("offset_mapping"))
        self._rows = [
            np.flatnonzero((places[:, 0] >= a) & (places[:, 1] <= b) & (places[:, 1] > places[:, 0]))
            for a, b in spans
        ]
        self._given = {
            name: torch.tensor([values], device=self._device)
            for name, values in tokens.items()
            if name in ("input_ids", "attention_mask", "token_type_ids")
        }

    def _find(self, image: Image) -> Found:
        import cv2

        height, width = image.shape[:2]
        factor = min(self._shortest / min(height, width), self._longest / max(height, width))
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        scaled: Any = cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        )
        out = self._network(pixel_values=self._tensor(scaled, IMAGENET), **self._given)
        tokens = out.logits[0].float().sigmoid().cpu().numpy().astype(np.float64)
        scores = np.stack([tokens[:, rows].max(axis=1, initial=0.0) for rows in self._rows], axis=1)
        return scores, _edges(out.pred_boxes[0]) * (width, height, width, height)


def _edges(boxes: torch.Tensor) -> NDArray[np.float64]:
    """Boxes (N, 4) of centre and size as edges."""
    values = boxes.float().cpu().numpy().astype(np.float64)
    half = values[:, 2:] / 2
    return np.concatenate([values[:, :2] - half, values[:, :2] + half], axis=1)
