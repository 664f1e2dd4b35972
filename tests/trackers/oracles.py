"""Point trackers whose network is replaced by an oracle that finds coloured blobs (see blobs.py).

Everything around the network runs as it is: resizing, coordinates, windows, chunks, streams, figures. `make` creates
any registered point tracker so; Lucas-Kanade has no network and is made as it is. An oracle counts the frames whose
features it computed (`images`) and notes the points of each call (`points`) and the frames (`lengths`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trackers.blobs import find
from vtlab.prompts import PointPrompt, Prompts
from vtlab.trackers.create import create_tracker
from vtlab.trackers.loop import track

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")

from vtlab.nets.alltracker import Motion as Flow  # noqa: E402
from vtlab.nets.cotracker3 import Motion  # noqa: E402
from vtlab.nets.tapir import CausalState, Estimate, Grids, QueryVectors, Tapir  # noqa: E402
from vtlab.trackers.points import alltracker, pips, tapnext  # noqa: E402
from vtlab.trackers.points.cotracker import inference as cotracker  # noqa: E402
from vtlab.trackers.points.tapir import inference as tapir  # noqa: E402


class Oracle(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images, self.points, self.lengths, self.sizes = 0, [], [], set()

    def saw(self, images: torch.Tensor) -> None:
        self.images += len(images)
        self.sizes.add(tuple(images.shape[-2:]))


class PipsOracle(Oracle):
    """Finds the blob whose colour the template has; its "maps" hold the blobs' centres and whether they are there."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(0))

    def features(self, image):
        self.saw(image)
        seen = image.amax(dim=(2, 3)) > 60
        return torch.cat([find(image, edge=False).float(), seen[..., None].float()], dim=-1)

    def look_up(self, maps, xy):
        return torch.nn.functional.one_hot(torch.cdist(xy, maps[:, :2]).argmin(dim=1), 128).float()

    def forward(self, window, start, template, iterations):
        self.points.append(len(start))
        self.lengths.append(len(window))
        found = window[:, template[:, :3].argmax(dim=1)]
        xy = torch.cat([start[None], found[1:, :, :2]])
        return type("Refined", (), {"xy": xy[None], "visibility": 10 * found[..., 2] - 5})


class TapirOracle(Oracle):
    """Finds the blob that lay nearest to the query on the query's frame; its state counts the frames it has seen."""

    initial_resolution = (256, 256)
    resolutions = Tapir.resolutions

    def encode(self, images):
        assert -1 <= images.min() <= images.max() <= 1
        self.saw(images)
        seen = images.amax(dim=(2, 3)) > -0.5
        return Grids(find(images, edge=True).float() * 256 / images.shape[-1], seen)

    def query_vectors(self, grids, xy):
        lowres = torch.zeros(len(xy), 256)
        lowres[torch.arange(len(xy)), torch.cdist(xy, grids.lowres[0]).argmin(dim=1)] = 1
        return QueryVectors(lowres, torch.zeros(len(xy), 128))

    def track(self, grids, vectors, known=None, state=None):
        assert (vectors[0].lowres.sum(dim=1) == 1).all(), "a point is followed before its query was looked up"
        self.points.append(len(vectors[0].lowres))
        self.lengths.append(len(grids[0].lowres))
        colour = vectors[0].lowres.argmax(dim=1)
        logits = torch.where(grids[0].hires[:, colour].T, -4.0, 4.0)
        found = Estimate(grids[0].lowres[:, colour].transpose(0, 1), logits, torch.full_like(logits, -9.0))
        after = None if state is None else CausalState(state.inputs + 1, state.hidden)
        return [found] * (1 + 4 * (len(grids) - 1)), after

    def empty_state(self, points, resolutions, like):
        return CausalState(torch.zeros(4 * resolutions, 1, points, 1, 1), torch.zeros(1, 1, points, 1, 1))


class TapNextOracle(Oracle):
    """Finds the blob that lay nearest to the query on the query's frame; its state is (frames seen, colours)."""

    def forward(self, image, queries, state):
        step, colours = state or (0, torch.zeros(len(queries), dtype=torch.long))
        self.saw(image)
        self.points.append(len(queries))
        assert -1 <= image.min() <= image.max() <= 1
        yx = (find(image, edge=True)[0] * 256 / image.shape[-1]).flip(-1)
        nearest = torch.cdist(queries[:, 1:], yx).argmin(dim=1)
        colours = torch.where(queries[:, 0] == step, nearest, colours)
        seen = image.amax(dim=(2, 3))[0, colours] > -0.5
        answer = {"yx": yx[colours][None].float(), "visibility": torch.where(seen, 4.0, -4.0)[None]}
        return type("Answer", (), {**answer, "logits": None, "state": (step + 1, colours)})


class CoTrackerOracle(Oracle):
    """Finds the blob that lay nearest to the query; its "maps" hold the blobs' centres and whether they are there."""

    model_resolution = (192, 256)
    """Half the network's own: four times faster, and nothing here depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def encode(self, images):
        assert 0 <= images.min() <= images.max() <= 255
        self.saw(images)
        seen = images.amax(dim=(2, 3)) > 60
        return torch.cat([find(images, edge=False).float() / 4, seen[..., None].float()], dim=-1)[..., None]

    def templates(self, maps, xy):
        nearest = torch.cdist(xy, maps[0, :, :2, 0]).argmin(dim=1)
        templates = torch.zeros(len(xy), 4, 49, 128)
        templates[torch.arange(len(xy)), :, :, nearest] = 1
        return templates

    def forward(self, maps, templates, start, iterations):
        self.points.append(len(templates))
        self.lengths.append(len(maps))
        self.calls.append((len(maps), templates.amax(dim=(1, 2, 3)), start))
        colour = templates[:, 0, 0].argmax(dim=1)
        logits = torch.where(maps[:, colour, 2, 0] > 0, 6.0, -6.0)
        return Motion(maps[:, colour, :2, 0], logits, torch.full_like(logits, 6.0))


class AllTrackerOracle(Oracle):
    """Finds the blob nearest to the pixel on the anchor; its "maps" hold the blobs' centres and whether they are there."""

    def encode(self, images):
        assert 0 <= images.min() <= images.max() <= 255
        self.saw(images)
        seen = images.amax(dim=(2, 3)) > 60
        return torch.cat([find(images, edge=False).float(), seen[..., None].float()], dim=-1)[..., None]

    def start(self, frames, like):
        return Flow(torch.zeros(frames, 1, 1, 2), torch.zeros(frames, 1, 1, 2))

    def forward(self, anchor, frames, start, iterations):
        self.lengths.append(len(frames))
        assert len(start.flow) == len(frames) in (1, 16)
        return type("Found", (), {"motion": start, "anchor": anchor[..., 0], "frames": frames[..., 0]})

    def read(self, found, pixels):
        self.points.append(len(pixels))
        colour = torch.cdist(pixels.float(), found.anchor[:, :2]).argmin(dim=1)
        logits = torch.where(found.frames[:, colour, 2:] > 0, 6.0, -6.0).expand(-1, -1, 2)
        return found.frames[:, colour, :2] - found.anchor[colour, :2], logits


def make(name: str, patch: pytest.MonkeyPatch, **options: Any) -> Any:
    """The tracker `name` with an oracle in the place of its network, at `tracker.oracle`."""
    device = torch.device("cpu")
    if name == "lucas-kanade":
        return create_tracker(name, **options)
    if name == "pips":
        oracle: Oracle = PipsOracle()
        patch.setattr(pips, "_load", lambda *_: (oracle, device))
        options = {"size": (128, 192), **options}
    elif name.startswith("alltracker"):
        oracle = AllTrackerOracle()
        patch.setattr(alltracker, "_load", lambda *_: (oracle, device))
        options = {"size": (192, 256), **options}
    elif name.startswith(("tapnext", "bootstapnext")):
        oracle = TapNextOracle()
        patch.setattr(tapnext, "_load", lambda *_: (oracle, device))
    elif "tapir" in name:
        oracle = TapirOracle()
        patch.setattr(
            tapir.Network,
            "load",
            lambda *given, resolution, **_: tapir.Network(oracle, device, resolution),
        )
        options = {"weights": "unused", "device": "cpu", **options}
    elif name.startswith("cotracker3"):
        oracle = CoTrackerOracle()
        patch.setattr(cotracker.Network, "load", lambda *_: cotracker.Network(oracle, device))
        options = {"weights": "unused", "device": "cpu", **options}
    else:
        raise NotImplementedError(
            f"{name} has no oracle: add one, so that what surrounds its network is tested."
        )
    tracker = create_tracker(name, **options)
    tracker.oracle = oracle
    return tracker


def point(centres: np.ndarray, frame: int, blob: int, object_id: int) -> PointPrompt:
    """A query on the centre of a blob (`centres` as of `blobs.positions`)."""
    return PointPrompt((tuple(centres[frame, blob]),), frame=frame, object_id=object_id)


def follow(tracker: Any, video: np.ndarray, prompts: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions (T, K, 2) and visibilities (T, K) of all points in the order of their objects; NaN before a query."""
    prompts = Prompts(prompts)
    tracks = track(np.asarray(video), prompts, tracker, progress=False, **options)
    counts = {p.object_id: len(p.points) for p in prompts}
    first = dict(zip(sorted(counts), np.cumsum([0, *(counts[i] for i in sorted(counts))]), strict=False))
    rows = tracks.points
    columns = np.array([first[i] for i in rows.object_id.tolist()], dtype=int) + rows.point_id
    xy = np.full((len(video), sum(counts.values()), 2), np.nan)
    seen = np.zeros(xy.shape[:2], bool)
    xy[rows.frame, columns], seen[rows.frame, columns] = rows.xy, rows.visible
    return xy, seen
