"""Point trackers on BADJA's joints of animals (Biggs et al., ACCV 2018): real video, real annotations.

    python -m benchmarks.points_badja [method ...]

Joints are annotated every few frames and noisy by several pixels, many on fur that slides over the bones: numbers are for
comparison between methods, not with the literature. Each joint is given where it is first annotated and scored by
TAP-Vid's rule (`first`, 256 x 256) on the annotated frames after it; `median` is the error of visible joints in
pixels of 854 x 480; `wrong, lost` the part of visible joints farther than 16 px that the method itself calls lost, `right,
lost` that of those nearer. Lucas-Kanade and a plain loop of OpenCV's run always, networks when named and their
weights are at hand.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from vtlab.metrics import points
from vtlab.metrics.rules import POINTS
from vtlab.prompts import PointPrompt, Prompts
from vtlab.trackers.loop import track
from vtlab.video import Video, open_video

CLIPS = ("camel", "horsejump-high")


def truth(path: Path, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (N, T, 2) in pixels, NaN where there is none; visible (N, T); annotated (N, T)."""
    with path.open() as file:
        rows = [r for r in csv.DictReader(file) if int(r["frame"]) < frames]
    count = 1 + max(int(r["point"]) for r in rows)
    xy, (visible, annotated) = np.full((count, frames, 2), np.nan), np.zeros((2, count, frames), bool)
    for row in rows:
        where = int(row["point"]), int(row["frame"])
        annotated[where], visible[where] = True, row["visible"] == "1"
        if row["x"]:
            xy[where] = float(row["x"]), float(row["y"])
    kept = visible.any(axis=1)
    return xy[kept], visible[kept], annotated[kept]


def plain(video: Video, xy: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loop that everybody writes: where OpenCV's flow takes each point; seen while it says so."""
    answer, seen = np.full_like(xy, np.nan), np.zeros(xy.shape[:2], dtype=bool)
    now, alive, before = np.zeros((len(xy), 1, 2), np.float32), np.zeros(len(xy), bool), None
    for t, frame in enumerate(video.frames()):
        begun = first < t
        if begun.any():
            now[begun], found, _ = cv2.calcOpticalFlowPyrLK(before, frame.grey, now[begun], None)
            alive[begun] &= found[:, 0] == 1
        now[first == t, 0], alive[first == t], before = xy[first == t, t] - 0.5, True, frame.grey
        answer[first <= t, t], seen[first <= t, t] = now[first <= t, 0] + 0.5, alive[first <= t]
    return answer, seen


def followed(method: str, video: Video, xy: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a tracker says that the joints are (N, T, 2), NaN where nowhere, and whether it sees them (N, T)."""
    prompts = Prompts(
        PointPrompt((tuple(xy[i, t].tolist()),), frame=int(t), object_id=i + 1) for i, t in enumerate(first)
    )
    tracks = track(video, prompts, method, progress=False)
    answer, seen = np.full_like(xy, np.nan), np.zeros(xy.shape[:2], dtype=bool)
    rows = tracks.points
    answer[rows.object_id - 1, rows.frame], seen[rows.object_id - 1, rows.frame] = rows.xy, rows.visible
    return answer, seen


def score(method: str, images: Path, table: Path) -> dict[str, float]:
    video = open_video(images)
    xy, visible, annotated = truth(table, len(video))
    first = visible.argmax(axis=1)
    answer, seen = plain(video, xy, first) if method == "plain loop" else followed(method, video, xy, first)
    size = (video.width, video.height)
    found = points.evaluate(
        answer, seen, xy, visible, first, rule=POINTS["tapvid-first"], size=size, annotated=annotated
    )
    judged = visible & points.evaluated_frames(first, len(video))
    error = np.linalg.norm(answer - xy, axis=2)[judged]
    wrong = np.linalg.norm((answer - xy) * 256 / np.array(size), axis=2)[judged] > 16
    lost = ~seen[judged]
    return {
        **found,
        "median": float(np.nanmedian(error)),
        "wrong": float(lost[wrong].mean()),
        "right": float(lost[~wrong].mean()),
    }


def main() -> None:
    data = Path(os.environ.get("VTLAB_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not (data / "points").is_dir():
        Console().print(f"No BADJA joints at {data / 'points'}: set VTLAB_SHARED.")
        return
    shown = Table(title="BADJA joints, TAP-Vid first at 256 x 256, in per cent")
    for column in (
        "clip",
        "method",
        "AJ",
        "delta_avg",
        "OA",
        "delta_16",
        "wrong, lost",
        "right, lost",
        "median px",
    ):
        left = column in ("clip", "method")
        shown.add_column(column, justify="left" if left else "right", no_wrap=left)
    for clip in CLIPS:
        for method in ["plain loop", *(sys.argv[1:] or ["lucas-kanade"])]:
            found = score(method, data / "vos/JPEGImages/480p" / clip, data / "points" / clip / "tracks.csv")
            numbers = [
                f"{100 * found[k]:.1f}" for k in ("AJ", "delta_avg", "OA", "delta_16", "wrong", "right")
            ]
            shown.add_row(clip, method, *numbers, f"{found['median']:.1f}")
    Console(width=110).print(shown)


if __name__ == "__main__":
    main()
