"""Trackers side by side on the clips of an experiment, from the tracks that its plain cells left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vtlab.comparison.comparison import Comparison
from vtlab.comparison.proxies import Run
from vtlab.comparison.trial import family_of
from vtlab.engine.keys import key_of
from vtlab.experiments.axes import Clip, Method
from vtlab.experiments.spec import Cell
from vtlab.experiments.store import Store
from vtlab.registry import TRACKERS

BESIDE = ("tracker", "detector")
"""Axes whose values stand side by side; of every other combination there is a video."""


def side_by_side(store: Store, *, width: int = 320) -> dict[str, Path]:
    """Write a video of each clip (and perturbation, seed, ...) with its trackers side by side; those that are there stay.

    Args:
        store: Of an experiment with clips and trackers; cells without tracks are left out.
        width: Of each panel in pixels, at most.

    Returns:
        Key of a cell -> the video that it is in; empty where no cell has a clip and tracks.

    Raises:
        WriteError: A video can't be written.
    """
    found: dict[str, Path] = {}
    for cells in _groups(store):
        file = store.folder / "videos" / f"{key_of({'cells': [c.key for c in cells], 'width': width})}.mp4"
        if not file.is_file():
            clip: Clip = cells[0].parameters["sequence"]
            sequence = clip.open()
            runs = []
            for cell in cells:
                card = TRACKERS.card(cell.parameters["tracker"].name)
                for (tracker, name), tracks in store.tracks(cell).items():
                    if name == sequence.name:
                        runs.append(Run(tracker, name, family_of(card, sequence), tracks, "", True))
            Comparison((sequence,), tuple(runs)).save_video(file, width=width)
        found |= {cell.key: file for cell in cells}
    return found


def _groups(store: Store) -> Iterator[list[Cell]]:
    """Cells with tracks that differ by nothing but their tracker, in the order of the specification."""
    groups: dict[str, list[Cell]] = {}
    done = store.keys()
    for key, cells in (store.cells or {}).items():
        for cell in cells[:1]:
            given = cell.parameters
            plain = isinstance(given.get("sequence"), Clip) and isinstance(given.get("tracker"), Method)
            if plain and key in done and store.tracks(cell):
                others = {k: v for k, v in cell.axes.items() if k not in BESIDE}
                groups.setdefault(json.dumps(others, default=str), []).append(cell)
    yield from groups.values()
