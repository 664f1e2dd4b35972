"""Every contract of vtlab on one page. To add a tracker, read this file and nothing else.

A tracker is a class in one of three shapes; callers see only `vtlab.track(video, prompts, tracker) -> Tracks`.

- `SingleObjectTracker`: follows one object; `init(frame, prompt)`, `step(frame) -> Observation`. The smallest shape:
  vtlab runs one instance for each object (`trackers/compose/per_object.py`).
- `OnlineTracker`: follows all objects of a frame together; `init(frame, prompts)`, `step(frame, prompts)`.
- `OfflineTracker`: sees windows of frames; `run(frames, prompts)` yields the same answers.

The loop (`trackers/loop.py`) does timing, late starts, corrections, direction, progress, cancelling and keeps what is done
when something fails. Frames come in the direction of tracking, so a method never asks which way it goes; durations
are in seconds and use `abs` of the difference of `frame.timestamp`. Every answer is checked as it comes
(`contracts/answers.py`): one that breaks the contract ends the run with an error that names it and keeps what came before.

When a tracker refuses, says lost, or warns (`vtlab/testing/odd.py` asks it of every tracker):

- It refuses, by an error of `vtlab.errors` that names value, place and remedy, what a caller can change: a parameter
  (`InputError`, when it is made), a prompt that it can't start on (`PromptError`, on the prompt's frame), a frame that
  it can't go on with at all, as one of another size is to masks and flow (`InputError`). Prompts off the frame, kinds
  of prompts that it doesn't take and frames that are no RGB `uint8` are refused before it sees them.
- It says lost, `visible=False` with the last box and a low score, of what it can't see: an object that is hidden, has left
  the frame or looks like its surroundings; a frame without texture or colour, or too small. A picture raises nothing. A
  tracker without an idea of this says `visible=True` and score 1 throughout.
- It warns (`VtlabWarning`, naming objects and frame) and says lost where its own works failed: a network that answered NaN,
  a library that raised. The other objects go on.
- Whatever else it raises ends the run with a `TrackingError` that keeps the frames before.

`init` forgets all of an earlier video, as instances are lent again (`trackers/pool.py`): the answers are those of a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.errors import AnswerError, InputError, PromptError
from vtlab.prompts import Prompt, Prompts
from vtlab.tracks import FrameTracks, Tracks

if TYPE_CHECKING:
    import supervision as sv
    import torch

    from vtlab.video import Form, Frame, Video

Image = NDArray[np.uint8]
Family = Literal["sot", "mot", "vos", "points"]


def check_image(image: Image, owner: str) -> Image:
    """Return `image` if it is what every contract calls one, RGB (H, W, 3) uint8 and not empty.

    Raises:
        InputError: It is not; `owner` is who needs it, for the message.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(
            f"{owner} needs RGB images of shape (H, W, 3), uint8; got {found}. Remedy: read the video with "
            "vtlab.open_video, which converts grey and transparent images."
        )
    if image.size == 0:
        raise InputError(f"{owner}: the image is empty, its shape is {image.shape}.")
    return image


@dataclass(frozen=True)
class WeightFile:
    """One official checkpoint file.

    Attributes:
        name: File name in the cache and in the folder that `VTLAB_WEIGHTS` names.
        url: Official address.
        sha256: Hex digest, or None where none is published (then the first download's digest is recorded).
        size: Bytes as the source states, 0 if unknown.
        licence: Licence of the weights (SPDX name where there is one).
        source: Where the file is published: repository or page.
        inside: Where `url` is a published folder: path of the file in it, as its authors state it; "" if nobody does.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int = 0
    licence: str = "unknown"
    source: str = ""
    inside: str = ""


@dataclass(frozen=True)
class Card:
    """What vtlab knows of a tracker, detector, associator or segmenter without making one.

    Attributes:
        name: Name under which users ask for it: lower case, digits and hyphens.
        family: "sot" (boxes from prompts), "mot" (objects from detections), "vos" (masks) or "points".
        summary: One sentence.
        accepts: Kinds of prompt that it takes; empty for a tracker that needs no prompts.
        emits: What it gives, or may give by the file that it loads: "boxes", "masks", "points".
        paper: Title, venue and year.
        paper_url: Address of the paper.
        code: Address of the official code.
        licence: Licence of the method's official code, or of the package that is used.
        weights: Files that it loads; empty if none.
        requires: Extra of vtlab that brings its packages ("" = the core).
        options: Values of the constructor's parameters that this name stands for.
        notice: A sentence that users must see, such as a non-commercial licence.
        deterministic: False where its answer depends on what else runs in the process, such as a random generator
            that all its instances share. One run alone gives the same answer again all the same.
        instead: Files that it loads in place of `weights` where a parameter says so, as for another engine.
        optional: Kinds of prompt that it takes where they are given, and does without; so `accepts` has none of them.
        follows: False where its answers don't come of the frames, as of a baseline that repeats its prompt; no check then
            asks it to follow anything.
    """

    name: str
    family: str
    summary: str = ""
    accepts: frozenset[type[Prompt]] = frozenset()
    emits: frozenset[str] = frozenset({"boxes"})
    paper: str = ""
    paper_url: str = ""
    code: str = ""
    licence: str = ""
    weights: tuple[WeightFile, ...] = ()
    requires: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    notice: str = ""
    deterministic: bool = True
    instead: tuple[WeightFile, ...] = ()
    optional: frozenset[type[Prompt]] = frozenset()
    follows: bool = True

    @property
    def takes(self) -> frozenset[type[Prompt]]:
        """Every kind of prompt that it makes use of, needed or not."""
        return self.accepts | self.optional


@dataclass(slots=True)  # not frozen, as `FrameTracks` is not
class Observation:
    """Where one object is on one frame.

    Attributes:
        box: (4,) xyxy pixels, or None (then the mask's extent).
        score: How sure the tracker is, in [0, 1].
        visible: False when the object is not seen, as where the mask alone is given and has no pixel.
        mask: bool (H, W), or None.
    """

    box: ArrayLike | None = None
    score: float = 1.0
    visible: bool = True
    mask: NDArray[np.bool_] | None = None


class Part:
    """What users make by name: trackers, detectors, associators, segmenters.

    Attributes:
        card: What is known of it without making one; `@register` sets it.
        params: Parameters of the constructor with which it was made, for provenance; the registry sets them.
        forms: Forms of a frame that it looks at besides RGB (`Frame.bgr`, `Frame.grey`). They are made once a frame for
            all objects, before the tracker's step is timed: a deployed tracker gets its frames in the form that it takes.
        loads: The official files that it loads, where they are others than its card's `weights`.
    """

    card: ClassVar[Card]
    params: Mapping[str, Any] = MappingProxyType({})
    forms: tuple[Form, ...] = ()
    loads: Sequence[WeightFile] | None = None

    @classmethod
    def wants(cls, card: Card, params: Mapping[str, Any]) -> Sequence[WeightFile]:
        """The official files that a part made with these parameters loads, found without making it.

        Args:
            card: Of the name under which it is made.
            params: Parameters of the constructor; they win over the card's options.
        """
        return () if params.get("weights") is not None else card.weights


class SingleObjectTracker(Part, ABC):
    """Follows one object. Constructor parameters are keyword-only and documented with their units."""

    @abstractmethod
    def init(self, frame: Frame, prompt: Prompt) -> Observation | None:
        """Start on `frame` from `prompt`; return what is seen there, or None to repeat the prompt's geometry."""

    @abstractmethod
    def step(self, frame: Frame) -> Observation:
        """Say where the object is on the next frame."""


class VideoTracker(Part, ABC):
    """What the loop runs: an online or an offline tracker of all objects of a video.

    Attributes:
        discovers: It finds objects by itself, so it sees frames before the first prompt too.
        rereads: Its `finish` looks at the video again, so it can't follow a live stream.
        events: What it has to tell about its objects: dictionaries with `frame`, `object_id`, `event` and `reason`,
            which the loop puts into the tracks' record.
    """

    discovers: bool = False
    rereads: bool = False
    events: Sequence[Mapping[str, Any]] = ()

    def finish(self, tracks: Tracks, video: Video) -> Tracks:
        """Mend the tracks of a whole run; called once by the loop, unless the run failed."""
        return tracks

    def close(self) -> None:
        """Free what the tracker holds; called once by the loop at the end."""


class OnlineTracker(VideoTracker):
    """Follows all objects, frame by frame. Constructor parameters are keyword-only and documented with units."""

    @abstractmethod
    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget everything, start on `frame` with its prompts (none for a tracker without), answer for it."""

    @abstractmethod
    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Go to the next frame. A prompt for a new object starts it, for a known object corrects it."""

    @abstractmethod
    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects; unknown ids are ignored."""


class OfflineTracker(VideoTracker):
    """Works on windows of frames of bounded size."""

    @abstractmethod
    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield (frame index, answer) for each frame, in the order in which frames come.

        Args:
            frames: Frames in the direction of tracking, beginning with the first prompted one (unless it `discovers`).
            prompts: All prompts; every prompt's frame comes up in `frames`. An object has no answer before its
                first prompt in the direction of tracking; later prompts of the same object correct it.
            n_frames: Number of frames that will come, 0 if unknown.
        """


Tracker = OnlineTracker | OfflineTracker


@dataclass(frozen=True)
class ExportPart:
    """One call of a tracker's network, as it is exported; rows of every tensor are objects.

    Attributes:
        call: Called with the network and the inputs in order; returns the outputs in order.
        inputs: Makes example inputs, by name and in order, for a number of objects.
        outputs: Names of the outputs.
        axes: Names of the dynamic axes of each input and output.
    """

    call: Callable[..., tuple[torch.Tensor, ...]]
    inputs: Callable[[int], dict[str, torch.Tensor]]
    outputs: tuple[str, ...]
    axes: Mapping[str, Mapping[int, str]]


@dataclass(frozen=True)
class ExportGraph:
    """A tracker's network as it is exported: what is computed once for a template, and what on every frame.

    Attributes:
        network: The network with its weights.
        template: Its call for a template.
        step: Its call for a frame.
        metadata: What a user needs to know to feed the files.
    """

    network: torch.nn.Module
    template: ExportPart
    step: ExportPart
    metadata: Mapping[str, str]


class Exportable(ABC):
    """A tracker that offers its graph for export; another base beside its kind of tracker.

    Attributes:
        export_params: Values that parameters of its constructor have in an export.
    """

    export_params: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"device": "cpu", "dtype": "float32", "channels_last": False, "compile": False}
    )

    @abstractmethod
    def export_graph(self) -> ExportGraph:
        """Return the graph of the network that this instance holds."""


class Detector(Part, ABC):
    """Finds objects on single frames, without memory of other frames (motion detectors keep a background).

    Attributes:
        names: Names of the classes that it knows, where it knows them beforehand.
    """

    names: Sequence[str] = ()

    @abstractmethod
    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return what is found on each frame, one `supervision.Detections` for each in order; `empty()` for nothing.

        Each has, for N things found on an image (H, W, 3) RGB:

        - `xyxy`: (N, 4), x1 <= x2 and y1 <= y2, pixels of that image measured to continuous edges, so that the whole
          image is (0, 0, W, H).
        - `confidence`: (N,) in [0, 1]. A detector without scores says 1.0 of all that it finds: associators tell strong
          detections from weak ones by it, and nothing that such a detector finds is weaker than the rest.
        - `class_id`: (N,) whole numbers from 0, all 0 where there is one class; `data["class_name"]`: (N,) their names.
        - `mask`: bool (N, H, W), the pixels of each in the whole image (row, column), or None. Only what the card's
          `emits` names: "masks" for these, "points" for `data["keypoints"]`.
        - `data["keypoints"]`: (N, K, 2) xy in pixels, with `data["keypoint_scores"]` (N, K); `data["xyxyxyxy"]`:
          (N, 4, 2) corners of oriented boxes. Both left out where there are none.
        """

    def detect_frame(self, frame: Frame) -> sv.Detections:
        """Return the detections of one frame of a video; overridden where its index or time matters."""
        answers = self.detect([frame.image])
        if not isinstance(answers, list) or len(answers) != 1:
            raise AnswerError(
                f"The detector {self.card.name!r} answered one image, frame {frame.index}, with a {type(answers).__name__}"
                f"{f' of {len(answers)}' if isinstance(answers, (list, tuple)) else ''}. Remedy: `detect` returns a list of "
                "supervision.Detections, one for each image."
            )
        return answers[0]

    def look_for(self, texts: Sequence[str]) -> None:
        """Find what these texts name, from now on; overridden by detectors that read text.

        Raises:
            PromptError: Its classes are fixed.
        """
        raise PromptError(
            f"The detector {self.card.name!r} can't take TextPrompt ({texts[0]!r}): its classes are fixed. Remedy: choose "
            "one that reads text (detector='owlv2' or 'grounding-dino')."
        )

    def reset(self) -> None:
        """Forget earlier frames."""


class Associator(Part, ABC):
    """Gives detections an identity over frames.

    Attributes:
        late: (frame index, row of that frame's detections, id) of detections of earlier frames that the last `update`
            gave an identity; empty unless it does so.
    """

    late: Sequence[tuple[int, int, int]] = ()

    @abstractmethod
    def update(self, detections: sv.Detections, frame: Frame) -> sv.Detections:
        """Return the same rows in the same order with `tracker_id` filled; -1 = no track (yet).

        An empty frame advances time. Ids count from 1 and belong to this instance. The input is not changed.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all tracks; ids start at 1 again."""

    def waiting(self) -> set[int]:
        """Indices of earlier frames whose detections may still be answered `late`."""
        return set()


@runtime_checkable
class Embedder(Protocol):
    """Describes the appearance of objects for re-identification.

    Attributes:
        threshold: Cosine above which two vectors are taken for one object.
    """

    threshold: float

    def embed(self, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return unit vectors (N, D) for the boxes (N, 4) xyxy on an image (H, W, 3)."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Turns a box or clicks on one image into a mask."""

    def segment(
        self,
        image: Image,
        *,
        box: ArrayLike | None = None,
        points: ArrayLike | None = None,
        positive: Sequence[bool] | None = None,
    ) -> tuple[NDArray[np.bool_], float]:
        """Return the mask (H, W) and its score in [0, 1] for a box (4,) and/or clicks (K, 2)."""
        ...


class OnResult(Protocol):
    """Is told each result when it is written, to keep it in another tool (docs/elsewhere.md shows three)."""

    def __call__(self, row: Mapping[str, str | float], files: Sequence[Path]) -> None:
        """Take one result. What this raises ends the work; what was written stays.

        Args:
            row: Text (`tracker`, `sequence`, which is "all" for several, `rule`, parameters of a batch) and numbers under
                the names of their metrics; what was not measured is not there.
            files: What was written with it: tracks, tables, an executed notebook.
        """
        ...
