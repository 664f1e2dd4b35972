"""J and F of mask trackers on DAVIS sequences from the first frame's mask, and of stored results beside them.

    python -m benchmarks vos_quality [--methods flow,sam2.1-tiny] [--picture FILE.png]

Sequences: `data/vos` of `VTLAB_SHARED`; beside them the results of OSVOS (Caelles et al., CVPR 2017, a network tuned to
each first frame) that DAVIS' evaluation kit ships. Parameters are the defaults; a method whose weights are missing is
named as such. The picture shows five frames of each sequence, the first one with what was given.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.benchmark import evaluate_folders
from vtlab.contracts import Image
from vtlab.datasets import open_dataset
from vtlab.errors import VtlabError
from vtlab.metrics.evaluation import combine, score
from vtlab.prompts import MaskPrompt
from vtlab.sequence import Sequence
from vtlab.show.draw import overlay, resized, side_by_side
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks

COLUMNS = 5


def panels(sequence: Sequence, tracks: Tracks, title: str) -> list[Image]:
    """Frames at equal distances with the masks on them."""
    chosen = np.linspace(0, len(sequence.video) - 1, COLUMNS).round().astype(int).tolist()
    drawn = [
        overlay(sequence.video[t], tracks, t, title=f"{title}, frame {t}" if k == 0 else f"{t}", labels=False)
        for k, t in enumerate(chosen)
    ]
    return [resized(image, 400) for image in drawn]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="flow", help="trackers of masks, joined by commas")
    parser.add_argument("--picture", type=Path, help="where to write a picture of the masks")
    options = parser.parse_args()
    shared = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared"))
    root = shared / "data" / "vos"
    if not root.is_dir():
        print(f"skipped: no DAVIS sequences at {root}; set VTLAB_SHARED")
        return
    dataset = open_dataset(root, "davis")
    table = Table(title="First frame's mask given; CPU seconds a frame")
    for column in ("method", "sequence", "J", "F", "J&F", "s/frame"):
        table.add_column(column, justify="left" if column in ("method", "sequence") else "right")
    sheet: list[Image] = []
    for method in options.methods.split(","):
        parts = []
        for name in dataset.names:
            sequence = dataset.load(name)
            start = time.process_time()
            try:
                given = [p for p in sequence.prompts if isinstance(p, MaskPrompt)]
                tracks = track(sequence.video, given, method, progress=False)
            except VtlabError as error:
                table.add_row(method, name, *["-"] * 3, str(error))
                break
            seconds = (time.process_time() - start) / len(sequence.video)
            parts.append(score(tracks, sequence, "vos", "davis"))
            values = combine(parts[-1:])
            table.add_row(method, name, *(f"{values[m]:.3f}" for m in ("J", "F", "J&F")), f"{seconds:.3f}")
            sheet += panels(sequence, tracks, f"{method} on {name}")
        if len(parts) == len(dataset.names):
            values = combine(parts)
            table.add_row(method, "all", *(f"{values[m]:.3f}" for m in ("J", "F", "J&F")), end_section=True)
    if (root / "results_osvos").is_dir():
        stored = evaluate_folders(root / "Annotations", root / "results_osvos", "davis").table
        for (_, name), row in stored.iterrows():
            table.add_row("OSVOS, stored", name, *(f"{row[m]:.3f}" for m in ("J", "F", "J&F")))
    Console().print(table)
    if options.picture and sheet:
        from PIL import Image as Pillow

        Pillow.fromarray(side_by_side(sheet, COLUMNS)).save(options.picture)
        print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
