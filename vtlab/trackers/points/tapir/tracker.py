"""TAPIR and BootsTAPIR: points followed through video, offline in windows or causally frame by frame.

Papers: Doersch et al., "TAPIR: Tracking Any Point with per-frame Initialization and temporal Refinement", ICCV
2023, arXiv:2306.08637; Doersch et al., "BootsTAP: Bootstrapped Training for Tracking-Any-Point", ACCV 2024,
arXiv:2402.00847. Official code: https://github.com/google-deepmind/tapnet (Apache-2.0, checkpoints too).

Frames are resized to a square; each point is followed independently of the others. Differs from the official code:
videos longer than a window are followed in overlapping windows (the features of a query come from its own frame
whatever the window), and maps that are not square are sampled rightly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import OfflineTracker, OnlineTracker, WeightFile
from vtlab.errors import InputError
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.registry import TRACKERS, register
from vtlab.trackers.points.windows import checkpoint, stream_windows
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    from vtlab.trackers.points.tapir.inference import Network
    from vtlab.tracks import FrameTracks
    from vtlab.video import Frame

_SOURCE = "https://github.com/google-deepmind/tapnet"


def _file(path: str, size: int, sha256: str) -> WeightFile:
    """A file of the official bucket; the digests are those that its users have recorded, the bucket states none."""
    name = path.rpartition("/")[2]
    url = f"https://storage.googleapis.com/dm-tapnet/{path}"
    return WeightFile(name, url, sha256, size, licence="Apache-2.0", source=_SOURCE)


TAPIR_WEIGHTS = _file(
    "tapir_checkpoint_panning.pt",
    124_348_474,
    "628611c656b3bd65d4a70fbf5526b62afe82d1b085ce6044685287fb78509daa",
)
BOOTSTAPIR_WEIGHTS = _file(
    "bootstap/bootstapir_checkpoint_v2.pt",
    218_886_140,
    "8493c7a69e02c85b9382fbb3c7b8b539b36bc08ede744b9e99feb739a0129f4b",
)
CAUSAL_WEIGHTS = _file(
    "bootstap/causal_bootstapir_checkpoint.pt",
    218_887_028,
    "87c1e752cf5ce56e3e2f7da460aeb4d40fc826d04ef2939bade86a5c7495377f",
)
_TAPIR_PAPER: dict[str, Any] = {
    "paper": "TAPIR: Tracking Any Point with per-frame Initialization and temporal Refinement, ICCV 2023",
    "paper_url": "https://arxiv.org/abs/2306.08637",
}
_BOOTS_PAPER: dict[str, Any] = {
    "paper": "BootsTAP: Bootstrapped Training for Tracking-Any-Point, ACCV 2024",
    "paper_url": "https://arxiv.org/abs/2402.00847",
}
_CARD: dict[str, Any] = {
    "family": "points",
    "accepts": KINDS,
    "emits": {"points", "boxes"},
    "code": _SOURCE,
    "licence": "Apache-2.0",
    "requires": "torch",
}


def _network(
    variant: str,
    weights: str | Path | None,
    file: WeightFile,
    device: str,
    *,
    resolution: int,
    **options: Any,
) -> Network:
    if resolution < 256 or resolution % 8:
        raise InputError(f"resolution must be a multiple of 8, at least 256, got {resolution!r}.")
    target = find_device(device)
    from vtlab.trackers.points.tapir.inference import Network

    return Network.load(variant, checkpoint(weights, file), target, resolution=resolution, **options)


@register(
    "tapir",
    summary="Points by a guess on each frame and refinement over time; offline, in windows.",
    weights=[TAPIR_WEIGHTS],
    options={"variant": "tapir"},
    **_TAPIR_PAPER,
    **_CARD,
)
@register(
    "bootstapir",
    summary="TAPIR with more layers, trained on real video too; offline, in windows.",
    weights=[BOOTSTAPIR_WEIGHTS],
    options={"variant": "bootstapir"},
    **_BOOTS_PAPER,
    **_CARD,
)
class TAPIR(OfflineTracker):
    """TAPIR and BootsTAPIR, offline: the network sees the past and the future of a frame within its window.

    A video that fits into one window gives what the official code gives. In a longer one, windows overlap and
    hand over in the middle of the overlap; a point keeps the features of its query's frame, so nothing drifts
    from window to window. Memory is bounded by the window, about 6 MB a frame, and by `points_at_once`.

    Args:
        variant: "tapir" or "bootstapir".
        weights: Checkpoint file; None = the official one.
        device: "auto", "cpu", "cuda", ...
        resolution: Side in pixels of the square that frames are resized to, a multiple of 8, at least 256. Above
            256 the positions are refined at several sizes and averaged.
        window: Frames that are followed together; refinement reaches about 24 frames in each iteration.
        overlap: Frames that successive windows share.
        points_at_once: Points that are followed together; bounds memory and does not change the result.
        softmax_temperature: Factor on the heat maps: 20 in the official torch demos, 10 in the JAX configuration of
            BootsTAPIR.

    Raises:
        InputError: A resolution that is not a multiple of 8, or an overlap that is not below the window.
        WeightsError: The checkpoint can't be had, or belongs to another variant.
    """

    def __init__(
        self,
        *,
        variant: str = "bootstapir",
        weights: str | Path | None = None,
        device: str = "auto",
        resolution: int = 256,
        # A round of refinement reaches 24 frames each way: twelve blocks of two convolutions of three frames.
        window: int = 96,
        overlap: int = 32,
        points_at_once: int = 64,
        softmax_temperature: float = 20.0,
    ):
        files = {"tapir": TAPIR_WEIGHTS, "bootstapir": BOOTSTAPIR_WEIGHTS}
        if variant not in files:
            raise InputError(f"variant must be 'tapir' or 'bootstapir', got {variant!r}.")
        if not 0 <= overlap < window:
            raise InputError(f"overlap must be from 0 to window - 1 = {window - 1} frames, got {overlap}.")
        self.window, self.overlap, self.points_at_once = window, overlap, points_at_once
        self._network = _network(
            variant,
            weights,
            files[variant],
            device,
            causal=False,
            resolution=resolution,
            softmax_temperature=softmax_temperature,
        )

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Follow the figures of `prompts` window by window; answers come once a window is full."""
        from vtlab.trackers.points.tapir.inference import OfflineRun

        run = OfflineRun(self._network, Figures(prompts), self.points_at_once)
        for window in stream_windows(run.see(frames), self.window, self.overlap):
            yield from run.answers(window)


@register(
    "bootstapir-online",
    summary="Causal BootsTAPIR: answers at once, with a memory of constant size for each point.",
    weights=[CAUSAL_WEIGHTS],
    **_BOOTS_PAPER,
    **_CARD,
)
class OnlineTAPIR(OnlineTracker):
    """Causal BootsTAPIR: each frame is answered from the past alone.

    A point enters on its own frame with an empty memory, as in the official live demo. The memory is constant
    over time: 1 MB for each point and size at which positions are refined.

    Args:
        weights: Checkpoint file; None = the official one. A checkpoint of the offline variant has the same shapes
            and can't be told apart.
        device: "auto", "cpu", "cuda", ...
        resolution: Side in pixels of the square that frames are resized to, a multiple of 8, at least 256.
        points_at_once: Points that are followed together; bounds memory and does not change the result.
        softmax_temperature: Factor on the heat maps: 20 in the official torch demos, 10 in the JAX configuration.

    Raises:
        InputError: A resolution that is not a multiple of 8.
        WeightsError: The checkpoint can't be had, or belongs to another variant.
    """

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        resolution: int = 256,
        points_at_once: int = 64,
        softmax_temperature: float = 20.0,
    ):
        self.points_at_once = points_at_once
        self._network = _network(
            "bootstapir",
            weights,
            CAUSAL_WEIGHTS,
            device,
            causal=True,
            resolution=resolution,
            softmax_temperature=softmax_temperature,
        )

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget all points and start on the prompts."""
        from vtlab.trackers.points.tapir.inference import OnlineRun

        self._run = OnlineRun(self._network, self.points_at_once)
        return self._run.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Follow all points to the next frame; those of `prompts` start on it."""
        return self._run.step(frame, prompts)

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects and free their memory."""
        self._run.remove(object_ids)


for _name in ("tap-net", "tapnet"):
    TRACKERS.alias(
        _name,
        "tapir",
        "TAP-Net has no checkpoint for PyTorch and was succeeded by TAPIR of the same authors: 'tapir' is used.",
    )
