"""What an experiment's results teach Auto Track: each object's quality beside what is seen of it when it is prompted."""

from __future__ import annotations

import datetime
import itertools
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

import vtlab
from vtlab.errors import ExperimentError
from vtlab.experiments.axes import Clip, Method
from vtlab.experiments.spec import Cell
from vtlab.experiments.store import Store
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import BoxPrompt
from vtlab.trackers.compose.evidence import AHEAD, FEATURES, Evidence, features_of

if TYPE_CHECKING:
    from vtlab.sequence import Sequence

_FAMILY = "sot"
"""Evidence is of boxes that are followed from a box: the one geometry with several methods that need no network."""


def learn(store: Store) -> Evidence:
    """What the finished cells of an experiment say of trackers of boxes (trial `track_and_score`).

    Objects are those with a box prompt and a score of their own. A scene is a clip, however it was perturbed. Trackers with
    parameters of their own are left out: Auto Track makes them with the defaults.

    Raises:
        ExperimentError: No finished cell is of a tracker of boxes with truth.
    """
    main = FAMILIES[_FAMILY].main
    done = store.keys()
    cells = {key: mine[0] for key, mine in (store.cells or {}).items() if key in done and _plain(mine[0])}
    rows = store.archive.table("metrics", frozenset(cells)).to_pandas() if cells else None
    if rows is None or not len(rows):
        raise ExperimentError(
            f"{store.folder}: no finished cell is of a tracker on a clip, so there is nothing to learn."
        )
    by_cell = dict(iter(rows[rows["family"] == _FAMILY].groupby("cell")))
    seen: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    worth: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    cost: dict[str, list[float]] = {}
    for key, cell in cells.items():
        clip, name = cell.parameters["sequence"], cell.parameters["tracker"].name
        if key not in by_cell:
            continue
        mine = by_cell[key]
        place = (clip.name, repr(clip.worse))
        if place not in seen:
            seen[place] = _objects(clip.open())
        for row in mine[mine["metric"] == main].itertuples():
            if row.object_id in seen[place]:
                worth.setdefault((*place, row.object_id), {}).setdefault(name, []).append(float(row.value))
        took = mine.loc[(mine["metric"] == "latency_ms") & (mine["object_id"] == "all"), "value"]
        cost.setdefault(name, []).extend(float(v) / max(len(seen[place]), 1) for v in took if np.isfinite(v))
    if not worth:
        raise ExperimentError(
            f"{store.folder}: no result has {main} of an object with a box prompt, so there is nothing to learn."
        )
    names = sorted({name for found in worth.values() for name in found})
    keys = list(worth)
    quality = {n: np.array([np.mean(worth[k].get(n, [np.nan])) for k in keys]) for n in names}
    features = np.stack([seen[k[0], k[1]][k[2]] for k in keys])
    about = (
        f"{len(keys)} objects in {len({k[0] for k in keys})} scenes, vtlab {vtlab.__version__}, "
        f"{platform.machine()} {platform.system()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )
    costs = {n: float(np.median(cost.get(n) or [np.nan])) for n in names}
    return Evidence(main, tuple(k[0] for k in keys), features, quality, costs, about)


def _plain(cell: Cell) -> bool:
    """True for a tracker as it comes, on a clip."""
    clip, tracker = cell.parameters.get("sequence"), cell.parameters.get("tracker")
    return isinstance(clip, Clip) and isinstance(tracker, Method) and not tracker.parameters


def _objects(sequence: Sequence) -> dict[str, np.ndarray]:
    """Object id as tables have it -> what is seen of it on the frame of its first prompt."""
    found = {}
    video = sequence.video
    for frame, prompts in sequence.prompts.by_frame().items():
        together = len({p.object_id for p in prompts if isinstance(p, BoxPrompt)})
        images = list(itertools.islice(video[frame:], AHEAD + 1))
        for prompt in prompts:
            if isinstance(prompt, BoxPrompt) and str(prompt.object_id) not in found:
                box = prompt.box(video.height, video.width)
                seconds = (len(video) - frame) / video.fps
                found[str(prompt.object_id)] = features_of(
                    images, box, fps=video.fps, seconds=seconds, together=together
                )
    return found


def told(evidence: Evidence) -> Iterable[tuple[str, str]]:
    """What the evidence is and what its advice would have cost, in words."""
    yield "evidence", evidence.about
    yield "features", ", ".join(FEATURES)
    for name, values in evidence.quality.items():
        yield (
            name,
            f"{evidence.metric} {np.nanmean(values):.3f}, {evidence.cost[name]:.1f} ms a frame and object",
        )
    regret = evidence.regret()
    best = min((n for n in regret if n != "auto"), key=lambda n: regret[n], default="")
    if best:
        yield (
            "regret of auto",
            f"{regret['auto']:.3f} below the best tracker of each object, on scenes left out",
        )
        yield f"regret of {best}", f"{regret[best]:.3f}, the least of those that always take one"
