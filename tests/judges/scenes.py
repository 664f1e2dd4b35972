"""What the judges are shown: one small scene in every research format, truth and the answers of a tracker "mine"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vtlab import formats, masks
from vtlab.formats import find_format
from vtlab.tracks import Tracks

COUNT, SIZE = 20, (96, 128)
TRACKEVAL = {
    "mot15": "MotChallenge2DBox",
    "mots": "MOTSChallenge",
    "davis": "DAVIS",
    "youtube-vis": "YouTubeVIS",
    "tao": "TAO",
    "burst": "BURST",
}
"""Format -> TrackEval's dataset."""
_DRAWN = ("mots", "davis", "youtube-vis", "burst")


def many(kind: str, form: str) -> Tracks:
    """Three objects; the answers are off by up to three pixels, swap two ids and miss some frames."""
    rng = np.random.default_rng(5)
    frame, owner = np.tile(np.arange(COUNT), 3), np.repeat([1, 2, 3], COUNT)
    x, y = 8 + (owner - 1) * 38 + frame * 0.5, 10 + frame + (owner == 2) * 8
    box = np.stack([x, y, x + 22, y + 26], axis=1).round()
    if kind == "results":
        box = np.clip(box + rng.integers(-3, 4, len(box))[:, None], 0, (SIZE[1], SIZE[0]) * 2)
        owner = np.where((frame > 12) & (owner < 3), 3 - owner, owner)
    keep = rng.random(len(frame)) > (0.12 if kind == "results" else 0.03)
    frame, owner, box = frame[keep], owner[keep], box[keep]
    label = {"davis": None, "mot15": "pedestrian", "mots": "pedestrian"}.get(form, "acorn")
    given: dict[str, Any] = {"label": label, "size": SIZE, "meta": {"frames": COUNT, "dense": True}}
    given["score"] = np.where(owner == 1, 0.9, 0.6) if kind == "results" else 1.0
    given["source"] = "manual" if kind == "truth" else "tracked"
    if form not in _DRAWN:
        return Tracks.of(frame, owner, box, **given)
    taken: dict[int, Any] = {}
    drawn = []
    for f, one in zip(frame.tolist(), box, strict=True):  # a pixel is one object's
        before = taken.get(f, np.zeros(SIZE, bool))
        drawn.append(masks.from_box(one, *SIZE) & ~before)
        taken[f] = before | drawn[-1]
    return Tracks.of(frame, owner, masks=drawn, **given)


def write_many(form: str, root: Path) -> None:
    """The scene of many objects below `root`."""
    for kind, tracker in (("truth", ""), ("results", "mine")):
        formats.write_tracks(many(kind, form), root, form, sequence="walk", tracker=tracker)


ROAD = {"kitti-car": "car", "kitti-pedestrian": "pedestrian", "bdd100k": "car"}
"""Rule -> the class that it scores."""
_OTHER = {"kitti-car": "van", "kitti-pedestrian": "person", "bdd100k": "bus"}


def road(kind: str, rule: str) -> Tracks:
    """Six objects of a street: two of the class, one cut off, one hidden beyond knowing, one of a kin, one far away.

    The answers follow them all, and more that nobody is: some in a region that doesn't count, some too small to.
    """
    rng = np.random.default_rng(9)
    frame, owner = np.tile(np.arange(COUNT), 6), np.repeat(np.arange(1, 7), COUNT)
    x, y = 10 + (owner - 1) * 55 + frame, 20 + (owner % 2) * 60 + frame
    box = np.stack([x, y, x + 40, y + 44 - 26 * (owner == 6)], axis=1).astype(float)
    label = np.where(owner == 5, _OTHER[rule], ROAD[rule])
    told = [{"truncated": 1} if i == 3 else {"occluded": 3} if i == 4 else None for i in owner.tolist()]
    meta = {"frames": COUNT, "dense": True}
    if kind == "truth":
        more = {} if rule == "bdd100k" else {"attributes": told}
        return Tracks.of(frame, owner, box, label=label, source="manual", meta=meta, **more)
    box += rng.integers(-9, 10, len(box))[:, None]
    owner = np.where((frame > 12) & (owner < 3), 3 - owner, owner)
    label[owner == 5] = ROAD[rule]  # a car it calls what others call a van
    keep = rng.random(len(frame)) > 0.1
    at, corner = np.arange(COUNT), np.array([[300.0, 150.0, 350.0, 200.0], [60.0, 200.0, 80.0, 220.0]])
    return Tracks.of(
        np.concatenate([frame[keep], at, at]),
        np.concatenate([owner[keep], np.full(COUNT, 11), np.full(COUNT, 12)]),
        np.concatenate([box[keep], np.repeat(corner, COUNT, axis=0)]),
        0.5,
        label=np.concatenate([label[keep], np.full(2 * COUNT, ROAD[rule])]),
        meta={"frames": COUNT},
    )


def write_road(rule: str, root: Path) -> None:
    """The street below `root`, with a region that doesn't count on its first ten frames, which no writer of vtlab has."""
    form = rule.partition("-")[0]
    for kind, tracker in (("truth", ""), ("results", "mine")):
        formats.write_tracks(road(kind, rule), root, form, sequence="0001", tracker=tracker)
    if form == "kitti":
        file = root / "truth/label_02/0001.txt"
        lines = [
            f"{n} -1 DontCare -1 -1 -10 290 140 360 210 -1 -1 -1 -1000 -1000 -1000 -10" for n in range(10)
        ]
        file.write_text(file.read_text() + "\n".join(lines) + "\n")
        return
    file = root / "truth/0001.json"
    frames = json.loads(file.read_text())
    for frame in frames[:10]:
        region = {"box2d": {"x1": 290, "y1": 140, "x2": 360, "y2": 210}, "attributes": {"Crowd": True}}
        frame["labels"].append({"id": "99", "category": "car", **region})
        far = {"x1": 50, "y1": 190, "x2": 90, "y2": 230}
        frame["labels"].append(
            {"id": "98", "category": "trailer", "box2d": far, "attributes": {"Crowd": False}}
        )
    file.write_text(json.dumps(frames))


def one(kind: str) -> Tracks:
    """One object that is hidden on two frames; the answers are a little off, with confidence and times."""
    frame = np.arange(COUNT)
    box = np.stack([20 + 2 * frame, 10 + frame, 50 + 2 * frame, 40 + frame], axis=1).astype(float)
    if kind == "truth":
        box[[7, 8]] = np.nan
        seen = np.isfinite(box[:, 0])
        return Tracks.of(
            frame, 1, box, visible=seen, source="manual", size=SIZE, meta={"anchors": {"0": 1, "10": -1}}
        )
    rng = np.random.default_rng(7)
    box = box + rng.integers(-4, 5, (COUNT, 1)) * 0.75
    scores, times = np.round(rng.random(COUNT), 3), np.round(0.01 + 0.02 * rng.random(COUNT), 5)
    return Tracks.of(frame, 1, box, scores, size=SIZE, step_seconds=times)


def write_one(form: str, root: Path, images: str = "") -> None:
    """The scene of one object below `root`, with images in this folder of the sequence where the judge reads them."""
    formats.write_tracks(one("truth"), root, form, sequence="walk")
    formats.write_tracks(one("results"), root, form, sequence="walk", tracker="mine")
    folder = root / "truth/walk" / images
    folder.mkdir(parents=True, exist_ok=True)
    from PIL import Image

    for n in range(1, COUNT + 1):
        Image.new("RGB", SIZE[::-1], (n, 40, 40)).save(folder / f"{n:08d}.jpg")


def write_vot(root: Path) -> None:
    """What VOT has beyond boxes: masks and polygons, a supervised run with a failure, a run backward, binary files."""
    write_one("vot", root, "color")
    vot, folder = find_format("vot"), root / "mine/walk"
    given = one("results").replace(score=np.ones(COUNT))
    drawn = [masks.from_box(b, *SIZE) for b in given.boxes]
    vot.write_tracks(Tracks.of(given.frame, 1, masks=drawn, size=SIZE), folder / "walk_002.bin")
    ring = [[(b[0], b[1]), (b[2], b[1]), (b[2], b[3]), (b[0], b[3] + 2)] for b in given.boxes]
    vot.write_tracks(Tracks.of(given.frame, 1, polygons=ring), folder / "walk_003.txt")
    codes = {"0": 1, "5": 2, "10": 1}
    waits = np.isin(given.frame, [5, 6, 7, 8, 9])
    failed = given.replace(visible=~waits, meta={"codes": codes, "frames": COUNT})
    vot.write_tracks(failed, folder / "walk_004.txt")
    back = given.between(0, 11).replace(meta={"codes": {"10": 1}, "frames": COUNT, "direction": "backward"})
    vot.write_tracks(back, folder / "walk_00000010.txt")
    ahead = given.replace(meta={"codes": {"0": 1}, "frames": COUNT, "direction": "forward"})
    vot.write_tracks(ahead, folder / "walk_00000000.txt")
