"""PIPs: persistent independent particles, each point refined over eight frames at a time.

Paper: Harley, Fang, Fragkiadaki, "Particle Video Revisited: Tracking Through Occlusions Using Point Trajectories",
ECCV 2022, arXiv:2204.04153. Official code: https://github.com/aharley/pips (MIT).

Long videos are chained as in the official demo: a window of eight frames starts where the point was last seen with
confidence in the window before, and looks for what the point looked like on its first frame. Frames come as a
stream; at most eight feature maps are held, and each frame's is computed once for all points.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import OfflineTracker, WeightFile
from vtlab.errors import InputError, WeightsError
from vtlab.files import write_whole
from vtlab.prompts import Prompts
from vtlab.prompts.shapes import KINDS, Figures
from vtlab.registry import register
from vtlab.trackers.points.windows import Array, checkpoint, chunks, convert_points, resize_frames
from vtlab.tracks import FrameTracks
from vtlab.weights.device import find_device

if TYPE_CHECKING:
    import torch

    from vtlab.video import Frame

# As the network was trained.
FRAMES = 8
HAND_OVER = 0.9
"""Visibility at which a window hands a point over, lowered by `STEP_DOWN` until a frame has it (chain_demo.py)."""
STEP_DOWN = 0.02
VISIBLE_ABOVE = 0.5
"""The customary rule of TAP-Vid; the official chain gives no visibility of its own."""

WEIGHTS = WeightFile(
    name="pips_reference_model.tar.gz",
    url="https://www.dropbox.com/s/glk6jmoa9yeervl/reference_model.tar.gz?dl=1",
    licence="MIT",
    source="https://github.com/aharley/pips",
)


@register(
    "pips",
    family="points",
    accepts=KINDS,
    emits={"points", "boxes"},
    paper="Particle Video Revisited: Tracking Through Occlusions Using Point Trajectories, ECCV 2022",
    paper_url="https://arxiv.org/abs/2204.04153",
    code="https://github.com/aharley/pips",
    licence="MIT",
    weights=[WEIGHTS],
    requires="torch",
)
class Pips(OfflineTracker):
    """Points refined over windows of eight frames, chained by visibility.

    Args:
        weights: Checkpoint or the official archive of it; None fetches the official one.
        device: PyTorch device, "auto" for the GPU where there is one.
        size: (height, width) that frames are resized to, multiples of 4 of at least 64 pixels; the official demo
            has (360, 640), its BADJA evaluation (320, 512).
        iterations: Refinements in each window.
        points_at_once: Points that are refined together; bounds memory and does not change the result.

    Raises:
        InputError: A parameter out of its range.
        MissingDependencyError: PyTorch is not installed.
        WeightsError: The checkpoint can't be had or is another network's.
    """

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        size: tuple[int, int] = (360, 640),
        iterations: int = 6,
        points_at_once: int = 128,
    ):
        if min(size) < 64 or size[0] % 4 or size[1] % 4:
            raise InputError(
                f"pips: size must be (height, width), multiples of 4 of at least 64 px, got {size}."
            )
        if iterations < 1 or points_at_once < 1:
            raise InputError(
                f"pips: iterations and points_at_once must be at least 1, got {iterations} and {points_at_once}."
            )
        self._size, self._iterations, self._batch = (int(size[0]), int(size[1])), iterations, points_at_once
        self._net, self._device = _load(weights, device)

    def run(
        self, frames: Iterator[Frame], prompts: Prompts, n_frames: int
    ) -> Iterator[tuple[int, FrameTracks]]:
        """Yield the answer for each frame, at most seven frames after it came."""
        figures = Figures(prompts)
        chain = _Chain(self._net, len(figures), self._iterations, self._batch)
        held: deque[tuple[Frame, torch.Tensor]] = deque()
        while True:
            while len(held) < FRAMES and (coming := next(frames, None)) is not None:
                held.append((coming, self._features(coming)))
            if not held:
                return
            frame, size = held[0][0], held[0][0].image.shape[:2]
            new = figures.frames == frame.index
            chain.begin(new, convert_points(figures.xy[new], size, self._size, "index"), held[0][1])
            chain.advance([maps for _, maps in held])
            xy, seen = chain.leave()
            where = convert_points(xy, size, self._size, "index", back=True)
            yield frame.index, figures.answer(frame.index, where, seen > VISIBLE_ABOVE, np.nan_to_num(seen))
            held.popleft()

    def _features(self, frame: Frame) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            image = resize_frames([frame.image], self._size, "index").to(self._device)
            return self._net.features(image)[0]


class _Chain:
    """Windows of M points over a stream of frames, in network pixels.

    Row 0 of the arrays is the frame that is left next; a window writes its eight rows.
    """

    def __init__(self, net: Any, count: int, iterations: int, batch: int):
        import torch

        self._net, self._iterations, self._batch = net, iterations, batch
        self._xy = np.full((FRAMES, count, 2), np.nan)
        self._seen = np.full((FRAMES, count), np.nan)
        self._due = np.full(count, -1)
        like = next(net.parameters())
        self._template = torch.zeros(count, 128, device=like.device)

    def begin(self, rows: NDArray[np.bool_], xy: Array, maps: torch.Tensor) -> None:
        """Start the points of `rows` at xy (K, 2) on the frame that is left next, with feature maps (128, h, w)."""
        import torch

        if not len(xy):
            return
        with torch.inference_mode():
            start = torch.from_numpy(xy.astype(np.float32)).to(maps.device)
            self._template[torch.from_numpy(rows).to(maps.device)] = self._net.look_up(maps, start)
        self._xy[0, rows], self._seen[0, rows], self._due[rows] = xy, 1.0, 0

    def advance(self, maps: list[torch.Tensor]) -> None:
        """Refine the points whose window starts now; `maps` are the next frames', fewer than 8 at the end."""
        due = np.flatnonzero(self._due == 0)
        if not len(due):
            return
        import torch

        window = torch.stack(maps + maps[-1:] * (FRAMES - len(maps)))
        for part in chunks(len(due), self._batch):
            rows = due[part]
            count = len(rows)
            # Filled up by repeating points, whose answers are dropped.
            filled = np.resize(rows, padded(count))
            index = torch.from_numpy(filled).to(window.device)
            with torch.inference_mode():
                # Every window starts from one place, without velocity: the official chain's.
                start = torch.from_numpy(self._xy[0, filled].astype(np.float32)).to(window.device)
                found = self._net(window, start, self._template[index], self._iterations)
                xy, seen = (
                    found.xy[-1, :, :count].cpu().numpy(),
                    found.visibility[:, :count].sigmoid().cpu().numpy(),
                )
            self._xy[:, rows], self._seen[:, rows] = xy, seen
            self._due[rows] = [hand_over(seen[:, i]) for i in range(len(rows))]

    def leave(self) -> tuple[Array, Array]:
        """Positions (M, 2) and probabilities of being seen (M,) on this frame; then go to the next."""
        xy, seen = self._xy[0], self._seen[0]
        self._xy = np.concatenate([self._xy[1:], np.full_like(self._xy[:1], np.nan)])
        self._seen = np.concatenate([self._seen[1:], np.full_like(self._seen[:1], np.nan)])
        self._due[self._due >= 0] -= 1
        return xy, seen


def padded(count: int) -> int:
    """Points that a batch of `count` is filled up to: powers of two, then multiples of 16.

    How many windows start on a frame changes from frame to frame, and PyTorch keeps memory for every size it meets.
    """
    return min(1 << (count - 1).bit_length(), -(-count // 16) * 16)


def hand_over(seen: NDArray[np.floating]) -> int:
    """Frame of a window, 2 to 7, on which the next one starts, from the probabilities (8,) of being seen.

    The last frame that is seen with more than 0.9; where none is, the bar is lowered by 0.02 until one is.
    """
    bar = HAND_OVER
    while bar >= 0:
        # From frame 2 on: a window must move on by more than a frame, as officially.
        clear = np.flatnonzero(seen[2:] > bar)
        if len(clear):
            return int(clear[-1]) + 2
        bar -= STEP_DOWN
    return FRAMES - 1


def _load(weights: str | Path | None, device: str) -> tuple[Any, torch.device]:
    target = find_device(device)
    from vtlab.nets.pips import Pips as Network
    from vtlab.weights.checkpoints import load_into

    path = unpacked(checkpoint(weights, WEIGHTS))
    net = Network()
    load_into(net, path, what="pips")
    return net.to(target).eval().requires_grad_(False), target


def unpacked(path: Path) -> Path:
    """The checkpoint of an official archive, written beside it once; any other file as it is.

    The archive holds `reference_model/model-<step>.pth`; the official loader takes the highest step.

    Raises:
        WeightsError: The archive holds no such file or is damaged.
    """
    if not path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return path
    stem = path.name.split(".")[0]
    earlier = [p for p in path.parent.glob(f"{stem}-*.pth") if p.stat().st_mtime >= path.stat().st_mtime]
    if earlier:
        return max(earlier)
    try:
        with tarfile.open(path) as archive:
            names = ((re.search(r"model-(\d+)\.pth$", e.name), e) for e in archive if e.isfile())
            steps = {int(found[1]): entry for found, entry in names if found}
            if not steps:
                raise WeightsError(f"The archive {path} holds no model-<step>.pth. Remedy: fetch it again.")
            target = path.with_name(f"{stem}-{max(steps):09d}.pth")
            _extract(archive, steps[max(steps)], target)
            return target
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise WeightsError(
            f"The archive {path} can't be unpacked ({error}). Remedy: fetch it again, or unpack it by hand and give "
            "weights='.../model-<step>.pth'."
        ) from error


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    import shutil

    def fill(part: Path) -> None:
        with part.open("wb") as sink:
            shutil.copyfileobj(archive.extractfile(entry), sink)  # type: ignore[arg-type]

    write_whole(target, fill)
