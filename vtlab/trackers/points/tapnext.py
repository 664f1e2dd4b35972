"""TAPNext: points as tokens of a recurrent vision transformer, frame by frame.

Papers: Zholus et al., "TAPNext: Tracking Any Point (TAP) as Next Token Prediction", ICCV 2025, arXiv:2504.05579
(TAPNext, BootsTAPNext); Jung et al., "TAPNext++: What's Next for Tracking Any Point (TAP)?", CVPR 2026 Findings,
arXiv:2604.10582 (the same network, trained on longer videos).
Official code: https://github.com/google-deepmind/tapnet (Apache-2.0, checkpoints too).

The state has one size however long the video is. All points of a chunk and the image see one another in every layer, so
other points change a point a little, and each chunk has image tokens of its own.
Differs from the official code: tracking begins on the first prompted frame instead of frame 0, and no support
points are added around queries.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vtlab.contracts import OfflineTracker, WeightFile
from vtlab.errors import InputError, WeightsError, near
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.registry import register
from vtlab.trackers.points.windows import checkpoint, chunks, convert_points, pack_queries, resize_frames
from vtlab.tracks import FrameTracks
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

RASTER = (256, 256)
"""(height, width) of the network's coordinates, whatever the resolution of its input."""

_SOURCE = "https://github.com/google-deepmind/tapnet"
# The largest official file has 2.5 GB; more is no checkpoint but a bomb.
_LARGEST = 4 * 2**30
"""Bytes that a checkpoint may unpack to."""


class Variant(NamedTuple):
    """A trained network: its file, and the side in pixels of the square that it sees."""

    file: WeightFile
    resolution: int


def _file(path: str, size: int = 0, sha256: str | None = None) -> WeightFile:
    """An official file; where there is a digest, its users have recorded it, the bucket states none."""
    url = f"https://storage.googleapis.com/{path}"
    return WeightFile(path.rpartition("/")[2], url, sha256, size, licence="Apache-2.0", source=_SOURCE)


VARIANTS = {
    "tapnext": Variant(_file("dm-tapnet/tapnext/tapnext_ckpt.npz"), 256),
    "bootstapnext": Variant(_file("dm-tapnet/tapnext/bootstapnext_ckpt.npz"), 256),
    "tapnext++": Variant(
        _file(
            "dm-tapnet/tapnextpp/tapnextpp_ckpt.pt",
            2_532_282_370,
            "cb96a43444ccb4fbdb25d800b88c7ba196179a526e78f01b021a16b1c1eff6da",
        ),
        256,
    ),
    "tapnext++-512": Variant(
        _file(
            "gresearch/tapnextpp/tapnextpp_512.ckpt",
            2_532_283_010,
            "6cd0e793fdcface3063d63f8ed3819bcf74c2c0468fe1fef85acee4de2f3609f",
        ),
        512,
    ),
}
_CARD: dict[str, Any] = {
    "family": "points",
    "accepts": KINDS,
    "emits": {"points", "boxes"},
    "code": _SOURCE,
    "licence": "Apache-2.0",
    "requires": "torch",
}


_PAPERS = {
    False: ("TAPNext: Tracking Any Point (TAP) as Next Token Prediction, ICCV 2025", "2504.05579"),
    True: ("TAPNext++: What's Next for Tracking Any Point (TAP)?, CVPR 2026 Findings", "2604.10582"),
}


def _named(name: str, summary: str) -> Any:
    paper, number = _PAPERS["++" in name]
    return register(
        name,
        summary=summary,
        paper=paper,
        paper_url=f"https://arxiv.org/abs/{number}",
        weights=[VARIANTS[name].file],
        options={"variant": name},
        **_CARD,
    )


@_named("tapnext", "Points as tokens of a recurrent transformer; causal, constant memory.")
@_named("bootstapnext", "TAPNext trained on real video too.")
@_named("tapnext++", "TAPNext trained on longer videos.")
@_named("tapnext++-512", "TAPNext++ on frames of 512 x 512 pixels: finer and slower.")
class TapNext(OfflineTracker):
    """Points as tokens of a recurrent vision transformer. Causal: an answer comes with its frame.

    Args:
        variant: "tapnext", "bootstapnext", "tapnext++" or "tapnext++-512".
        weights: Checkpoint file; None = the official one.
        device: "auto", "cpu", "cuda", ...
        points_at_once: Points that are followed together and see one another; each chunk has a state of its own, 37
            KB a point and 151 MB for the image (604 MB at 512).
        sure: Count a point as seen only when it is also surely within 8 / 256 of the frame from its position; the
            reported benchmarks don't.

    Raises:
        InputError: An unknown variant or a chunk below one point.
        MissingDependencyError: PyTorch is not installed.
        WeightsError: The checkpoint can't be had or is another network's.
    """

    def __init__(
        self,
        *,
        variant: str = "tapnext++",
        weights: str | Path | None = None,
        device: str = "auto",
        points_at_once: int = 1024,
        sure: bool = False,
    ):
        if variant not in VARIANTS:
            raise InputError(f"tapnext: unknown variant {variant!r}. {near(variant, VARIANTS)}")
        if points_at_once < 1:
            raise InputError(f"tapnext: points_at_once must be at least 1, got {points_at_once}.")
        self._resolution, self._at_once, self._sure = VARIANTS[variant].resolution, points_at_once, sure
        self._net, self._device = _load(variant, weights, device)

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield the answer for each frame as it comes."""
        figures = Figures(prompts)
        parts = list(chunks(len(figures), self._at_once))
        states: list[Any] = [None] * len(parts)
        first = None
        for frame in frames:
            size = frame.image.shape[:2]
            if first is None:
                first = frame.index
                # Counted from the stream's first frame, also when it runs backward.
                places = np.abs(figures.frames - first)
                packed = pack_queries(places, convert_points(figures.xy, size, RASTER, "edge"), "tyx")
            xy, seen = np.empty((len(figures), 2)), np.empty(len(figures))
            image = self._resized(frame) if parts else None
            for i, part in enumerate(parts):
                xy[part], seen[part], states[i] = self._see(image, packed[part], states[i])
            where = convert_points(xy, size, RASTER, "edge", back=True)
            yield frame.index, figures.answer(frame.index, where, seen > 0.5, seen)

    def _resized(self, frame: Frame) -> torch.Tensor:
        side = (self._resolution, self._resolution)
        # From -1 to 1.
        return resize_frames([frame.image], side, "edge").to(self._device) / 127.5 - 1

    def _see(self, image: Any, queries: np.ndarray, state: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """Positions (Q, 2) as (x, y) on the raster, probabilities (Q,) of being seen, and the state after a frame."""
        import torch

        with torch.inference_mode():
            found = self._net(image, torch.from_numpy(queries).to(self._device), state)
            seen = found.visibility[0].sigmoid()
            if self._sure:
                from vtlab.nets.tapnext import certainty

                seen = seen * certainty(found.yx[0], found.logits[0])
            return found.yx[0].flip(-1).cpu().numpy(), seen.cpu().numpy(), found.state


def _load(variant: str, weights: str | Path | None, device: str) -> tuple[Any, torch.device]:
    target = find_device(device)
    import torch

    from vtlab.nets.tapnext import TapNext as Network
    from vtlab.weights.checkpoints import load_into

    path = checkpoint(weights, VARIANTS[variant].file)
    with torch.device("meta"):
        net = Network()
    net.to_empty(device="cpu")
    load_into(net, path, what=variant, read=read_official)
    return net.to(target).eval().requires_grad_(False), target


def read_official(path: Path) -> dict[str, torch.Tensor]:
    """State dict of an official checkpoint: PyTorch, or JAX's arrays in an npz.

    Raises:
        WeightsError: The file is damaged or no checkpoint of TAPNext.
    """
    from vtlab.nets.tapnext import SIZE, from_jax, position_table
    from vtlab.weights.checkpoints import load_tensors

    if path.suffix != ".npz":
        tensors = {name.removeprefix("tapnext."): value for name, value in load_tensors(path).items()}
        if "query_pos_embed" not in tensors:
            tensors["query_pos_embed"] = position_table((SIZE, SIZE))
        return tensors
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                raise WeightsError(f"The checkpoint {path} claims more than {_LARGEST >> 30} GiB.")
        with np.load(path, allow_pickle=False) as arrays:
            return from_jax(dict(arrays))
    except KeyError as error:
        raise WeightsError(
            f"The checkpoint {path} is not one of TAPNext: it has no array {error}. Remedy: give the official file."
        ) from error
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"The checkpoint {path} can't be read as arrays ({error}). Remedy: fetch it again."
        ) from error
