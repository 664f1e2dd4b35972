"""Comparisons of made-up tracks, so that nothing has to run."""

from __future__ import annotations

import numpy as np

from vtlab.comparison import Comparison, Run
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 12


def box_track(shift: float) -> Tracks:
    """One object that moves right, `shift` pixels beside the truth."""
    x = 20.0 + np.arange(N)
    box = np.stack([x + shift, x * 0 + 20, x + 30 + shift, x * 0 + 60], axis=1)
    return Tracks.of(np.arange(N), 1, box, size=(96, 128), step_seconds=np.full(N, 0.01))


def comparison(sequences: int) -> Comparison:
    """Two trackers that can't be told apart and a weak one."""
    rng = np.random.default_rng(0)
    video = open_video(np.zeros((N, 96, 128, 3), np.uint8))
    items = [Sequence(f"s{i}", video, box_track(0.0)) for i in range(sequences)]
    runs = []
    for s in items:
        base = rng.uniform(1, 6)
        for name, shift in (("twin", base + rng.normal(0, 0.1)), ("best", base), ("weak", base + 15)):
            runs.append(Run(name, s.name, "sot", box_track(shift)))
    return Comparison(tuple(items), tuple(runs), None)
