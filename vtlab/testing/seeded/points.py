"""The point trackers' networks with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def _pips() -> Any:
    from vtlab.nets.pips import Pips

    return Pips()


def _tapnext() -> Any:
    from vtlab.nets.tapnext import TapNext

    return TapNext()


def _tapir(boots: bool = True, causal: bool = False) -> Any:
    from vtlab.nets.tapir import Tapir

    return Tapir(pyramid_level=int(boots), extra_convs=boots, causal=causal)


def _cotracker(window: int) -> Any:
    from vtlab.nets.cotracker3 import CoTracker3

    return CoTracker3(window=window)


def _alltracker(tiny: bool) -> Any:
    from vtlab.nets.alltracker import AllTracker

    return AllTracker(tiny=tiny)


NETWORKS: dict[str, Callable[[], Any]] = {
    "pips": _pips,
    "tapir": lambda: _tapir(boots=False),
    "bootstapir": _tapir,
    "bootstapir-online": lambda: _tapir(causal=True),
    "tapnext++": _tapnext,
    "alltracker": lambda: _alltracker(False),
    "alltracker-tiny": lambda: _alltracker(True),
    "cotracker3-offline": lambda: _cotracker(60),
    "cotracker3-online": lambda: _cotracker(16),
}
"""Tracker -> function that makes its network."""


def random_weights(name: str, folder: Path) -> Path:
    """Write a checkpoint of a tracker's network with seeded weights to a folder."""
    import torch

    torch.manual_seed(0)
    path = folder / "random.pth"
    torch.save({"state_dict": NETWORKS[name]().state_dict()}, path)
    return path
