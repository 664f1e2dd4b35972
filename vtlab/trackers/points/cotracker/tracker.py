"""CoTracker3: points followed together, each helped by the others, offline or online in short windows.

Paper: Karaev et al., "CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos", ICCV 2025,
arXiv:2410.11831. Official code: https://github.com/facebookresearch/co-tracker (CC-BY-NC 4.0, checkpoints too);
this is an independent implementation, but the checkpoints may not be used commercially.

All points of a run are followed jointly: the result of a point depends on which others are followed with it.
Differs from the official code: the offline network follows videos longer than a window in overlapping windows, by
the online network's own rule (the official code takes any video in one window); a video of fewer than 9 frames is
followed online too; each frame's features are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.contracts import OfflineTracker, WeightFile
from vtlab.errors import InputError
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.registry import register
from vtlab.trackers.points.windows import checkpoint, stream_windows
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    from vtlab.tracks import FrameTracks
    from vtlab.video import Frame

_HUB = "https://huggingface.co/facebook/cotracker3/resolve/main/"
_SOURCE = "https://github.com/facebookresearch/co-tracker"
_LICENCE = "CC-BY-NC-4.0"


def _file(name: str, size: int, sha256: str) -> WeightFile:
    return WeightFile(name, _HUB + name, sha256, size, licence=_LICENCE, source=_SOURCE)


OFFLINE_WEIGHTS = _file(
    "scaled_offline.pth", 101_890_938, "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834"
)
ONLINE_WEIGHTS = _file(
    "scaled_online.pth", 101_695_610, "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218"
)
_CARD: dict[str, Any] = {
    "family": "points",
    "accepts": KINDS,
    "emits": {"points", "boxes"},
    "paper": "CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos, ICCV 2025",
    "paper_url": "https://arxiv.org/abs/2410.11831",
    "code": _SOURCE,
    "licence": _LICENCE,
    "requires": "torch",
    "notice": "CoTracker3's checkpoints are CC-BY-NC 4.0: results made with them may not be used commercially.",
}
OFFLINE_WINDOW, ONLINE_WINDOW = 60, 16
"""Frames of the windows that the networks were trained with."""
# Of the official predictors (cotracker/predictor.py).
OFFLINE_VISIBLE, ONLINE_VISIBLE = 0.9, 0.6
"""The official rules: offline on the probability of being seen, online on that times the confidence."""


@register(
    "cotracker3-offline",
    summary="Points followed jointly by a transformer that sees past and future; offline, in windows of 60 frames.",
    weights=[OFFLINE_WEIGHTS],
    options={"variant": "offline"},
    **_CARD,
)
@register(
    "cotracker3-online",
    summary="Points followed jointly by a transformer over windows of 16 frames; answers within 8 to 16 frames.",
    weights=[ONLINE_WEIGHTS],
    options={"variant": "online"},
    **_CARD,
)
class CoTracker(OfflineTracker):
    """CoTracker3, offline or online.

    Windows hand over by the rule of the online network: a point that has started takes over the positions and
    logits that the window before found on the shared frames, keeps the template of its query's frame, and what a
    later window says of a shared frame counts. Memory is bounded by the window, about 8 MB a frame, by 0.1 MB for
    each point, and by `points_at_once`.

    The score is the probability of being seen times the confidence.

    Args:
        variant: "offline" or "online".
        weights: Checkpoint file; None = the official one (trained on real video too).
        device: "auto", "cpu", "cuda", ...
        window: Most frames that are followed together; None = 60 offline, 16 online. Online it must be 16.
        iterations: Refinements of each window.
        support_grid: Side of a grid of further points that help the others; None = 6 offline, 0 online, as in the
            official predictors.
        points_at_once: Points that are followed jointly. More are followed in groups that do not see each other,
            each with its own support grid.
        visible_above: Bound from which a point counts as seen: offline on the probability of being seen, online
            on the score; None = the official 0.9 offline, 0.6 online.

    Raises:
        InputError: An unknown variant, or a window that the network can't have.
        WeightsError: The checkpoint can't be had, or belongs to the other variant.
    """

    def __init__(
        self,
        *,
        variant: str = "offline",
        weights: str | Path | None = None,
        device: str = "auto",
        window: int | None = None,
        iterations: int = 6,
        support_grid: int | None = None,
        points_at_once: int = 512,
        visible_above: float | None = None,
    ):
        if variant not in ("offline", "online"):
            raise InputError(f"variant must be 'offline' or 'online', got {variant!r}.")
        self._offline = variant == "offline"
        trained = OFFLINE_WINDOW if self._offline else ONLINE_WINDOW
        size = trained if window is None else window
        if size < 2 or (not self._offline and size != ONLINE_WINDOW):
            raise InputError(
                f"window must be {'at least 2' if self._offline else ONLINE_WINDOW} frames, got {size}."
            )
        bound = OFFLINE_VISIBLE if self._offline else ONLINE_VISIBLE
        self.visible_above = bound if visible_above is None else visible_above
        target = find_device(device)
        from vtlab.trackers.points.cotracker.inference import Network, Settings

        file = OFFLINE_WEIGHTS if self._offline else ONLINE_WEIGHTS
        # 6 x 6 as the official offline predictor adds; the online one adds none unless asked.
        side = (6 if self._offline else 0) if support_grid is None else support_grid
        self._settings = Settings(size, size // 2, not self._offline, iterations, side, points_at_once)
        self._network = Network.load(f"cotracker3-{variant}", trained, checkpoint(weights, file), target)

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Follow the figures of `prompts` window by window; answers come once a window is full."""
        from vtlab.trackers.points.cotracker.inference import Run

        run, how = Run(self._network, Figures(prompts), self._settings), self._settings
        windows = stream_windows(
            run.see(frames), how.window, how.window - how.step, later_wins=True, short_last=how.pad
        )
        for window in windows:
            yield from run.answers(window, self._seen)

    def _seen(self, seen: Any, right: Any) -> Any:
        return (seen if self._offline else seen * right) > self.visible_above
