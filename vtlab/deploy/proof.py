"""Does an official checkpoint work here? Fetched, loaded strictly, run on two frames, held against vtlab's lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from vtlab.contracts import Card, WeightFile
from vtlab.contracts.parts import detect, segment
from vtlab.errors import InputError, near
from vtlab.prompts import BoxPrompt
from vtlab.prompts.fit import fitting_prompts
from vtlab.registry import ASSOCIATORS, DETECTORS, SEGMENTERS, TRACKERS, Registry
from vtlab.sequence import Sequence as Clip
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks
from vtlab.weights import fetch
from vtlab.weights.checkpoints import watched
from vtlab.weights.lock import recorded, shipped, write_record

FRAMES, STEP, MOST = 2, 1e-3, 64
"""Frames that are run, the step at which two answers count as one (as a fraction of the frame), numbers kept of them."""


_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Proof:
    """What one part made of its official files.

    Attributes:
        name: The tracker, detector, associator or segmenter.
        files: Its files on this machine.
        strict: Whether every tensor of every file was loaded by its name and shape, none left over (a graph of ONNX
            is loaded whole).
        shapes: What was answered, in words.
        numbers: What was answered: corners of boxes, areas of masks, points, as fractions of the frame, (K,).
        digest: Hash of the numbers at `STEP`.
        held: "agrees", "differs by ...", or "first" where the lock knows no answer of these bytes yet.
    """

    name: str
    files: tuple[Path, ...]
    strict: bool
    shapes: str
    numbers: tuple[float, ...]
    digest: str
    held: str

    @property
    def right(self) -> bool:
        """Whether nothing speaks against the files."""
        return self.strict and not self.held.startswith("differs")


def prove_weights(name: str, *, progress: bool = True) -> Proof:
    """Fetch the official files of a part, load them strictly, run it on two frames of a sample clip.

    Args:
        name: A part with weights, or the file of one.
        progress: Show a progress bar while fetching.

    Raises:
        InputError: No part of that name has weights.
        WeightsError: A file can't be had, is another one, or doesn't fit the network.
        MissingDependencyError: A package that it needs, or the sample clip's, is not installed.
    """
    from vtlab.datasets.samples import sample

    registry, card = _part(name)
    files = [(file, fetch(file, progress=progress)) for file in card.weights]
    clip = sample("carphone")
    with watched() as seen:
        numbers, shapes = _answers(registry, card, clip)
    loaded = {path.resolve() for path in seen}
    strict = bool(loaded) or all(path.suffix == ".onnx" for _, path in files)
    digest = hashlib.sha256(np.rint(np.divide(numbers, STEP)).astype(np.int64).tobytes()).hexdigest()[:16]
    held = _held(card.name, files, numbers)
    outputs = {
        "part": card.name,
        "clip": "carphone",
        "frames": FRAMES,
        "hash": digest,
        "numbers": numbers[:MOST],
    }
    for file, path in files:
        write_record(file, path, "", strict=strict, outputs=outputs)
    return Proof(card.name, tuple(p for _, p in files), strict, shapes, tuple(numbers), digest, held)


def _part(name: str) -> tuple[Registry, Card]:
    parts = {
        card.name: (r, card) for r in (SEGMENTERS, DETECTORS, TRACKERS, ASSOCIATORS) for card in r.cards()
    }
    parts = {n: part for n, part in parts.items() if part[1].weights}
    by_file = {file.name: part for part in reversed(parts.values()) for file in part[1].weights}
    if name in parts or name in by_file:
        return parts[name] if name in parts else by_file[name]
    raise InputError(f"No part of the name {name!r} has weights. {near(name, parts)}")


def _answers(registry: Registry, card: Card, clip: Clip) -> tuple[list[float], str]:
    """Numbers of what a part answers on the clip's first frames, and in words what it was."""
    video = clip.video[:FRAMES]
    size = (video.width, video.height)
    if registry is DETECTORS:
        detector = DETECTORS.create(card.name)
        return _of_detections([detect(detector, frame) for frame in video.frames()], size)
    if registry is SEGMENTERS:
        segmenter = SEGMENTERS.create(card.name)
        box = np.array(next(p.xyxy for p in clip.prompts if isinstance(p, BoxPrompt)), np.float64)
        found = [segment(segmenter, frame.image, box=box)[0] for frame in video.frames()]
        return [float(v) for m in found for v in _of_mask(m, size)], f"{len(found)} masks {found[0].shape}"
    if registry is ASSOCIATORS:  # what it loads is the network that tells objects by their looks
        from vtlab.association.parts.reid import OnnxEmbedder

        boxes = np.array([p.xyxy for p in clip.prompts if isinstance(p, BoxPrompt)], dtype=np.float64)
        vectors = OnnxEmbedder().embed(video[0], boxes)
        return [float(v) for v in vectors[:, : MOST // len(boxes)].ravel()], f"vectors {vectors.shape}"
    prompts, _ = fitting_prompts(card, clip.prompts, video)
    return _of_tracks(track(video, prompts, card.name, progress=False), size)


def _of_detections(found: Sequence[sv.Detections], size: tuple[int, int]) -> tuple[list[float], str]:
    numbers = [float(v) for d in found for box in d.xyxy for v in box / (size * 2)]
    return numbers, f"{[len(d) for d in found]} boxes on {len(found)} frames"


def _of_tracks(tracks: Tracks, size: tuple[int, int]) -> tuple[list[float], str]:
    numbers: list[float] = []
    for frame in range(FRAMES):
        here = tracks.at(frame)
        numbers += [
            float(v)
            for box in here.to_frame()[list(_CORNERS)].to_numpy()
            for v in np.nan_to_num(box / (size * 2))
        ]
        numbers += [float(v) for m in here.masks_at(frame).values() for v in _of_mask(m, size)]
        points = here.points_frame()
        numbers += [float(v) for xy in points[["x", "y"]].to_numpy() for v in np.nan_to_num(xy / size)]
    kinds = {"boxes": len(tracks), "points": len(tracks.points_frame())}
    return numbers, ", ".join(f"{n} {kind}" for kind, n in kinds.items() if n) + f" on {FRAMES} frames"


def _of_mask(mask: Any, size: tuple[int, int]) -> Iterator[float]:
    """Its area and its centre."""
    yield float(mask.mean())
    rows, columns = np.nonzero(mask)
    yield from (float(columns.mean() / size[0]), float(rows.mean() / size[1])) if len(rows) else (0.0, 0.0)


def _held(name: str, files: Sequence[tuple[WeightFile, Path]], numbers: Sequence[float]) -> str:
    """Compare with what the lock, or else this machine's record, says of the same bytes."""
    for say in (shipped().get, recorded):
        for file, _ in files:
            entry = say(file.name)
            known = (entry or {}).get("outputs") or {}
            if known.get("part") != name:
                continue
            then, now = np.asarray(known["numbers"], float), np.asarray(numbers[:MOST], float)
            if then.shape != now.shape:
                return f"differs by its shape: {len(now)} numbers, {len(then)} in the lock"
            apart = float(np.abs(then - now).max(initial=0.0))
            return "agrees" if apart <= STEP else f"differs by {apart:.3g} of the frame, {STEP:g} is allowed"
    return "first"
