"""What the judges of annotation platforms are shown: one small set of tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vtlab import masks
from vtlab.formats import FORMATS
from vtlab.formats.borders import to_pivot
from vtlab.formats.supervisely_geometry import from_data
from vtlab.tracks import PointRows, Record, Source, Tracks

SIZE = (60, 80)


def walk(*figures: str) -> Tracks:
    """Objects of ten frames (every second one of a video, from 4 on) that leave and return, one for each kind of figure."""
    figures = figures or ("box", "turned", "outline", "joints", "mask")
    ids = {"box": 1, "turned": 2, "outline": 3, "joints": 4, "mask": 5}
    rows: list[dict[str, Any]] = []
    points: list[tuple[int, int, int, float, float, bool]] = []
    for kind in figures:
        for frame in (0, 1, 2, 3, 6, 7):
            x, y = 5.25 + 2 * frame + 6 * ids[kind], 4.5 + 3 * frame
            row: dict[str, Any] = {"frame": frame, "object_id": ids[kind], "box": (np.nan,) * 4}
            if kind in ("box", "turned"):
                row |= {"box": (x, y, x + 12.5, y + 8.0), "angle": 0.5 if kind == "turned" else 0.0}
            elif kind == "outline":
                row |= {"ring": [[(x, y), (x + 12, y + 1), (x + 6, y + 9)]]}
                row |= {"box": (x, y, x + 12, y + 9)}
            elif kind == "mask":
                row["mask"] = masks.from_box((x, y, x + 9, y + 7), *SIZE)
                row["mask"][int(y) + 2, int(x) + 3] = False
                row["box"] = masks.to_box(row["mask"])
            else:
                points += [(frame, ids[kind], k, x + 4 * k, y + k * k, k != 1) for k in range(3)]
            rows.append(row)
    p = np.array(points, np.float64).reshape(-1, 6)
    column = {name: [r.get(name) for r in rows] for name in ("ring", "mask")}
    shown = {"polygons": column["ring"]} if "outline" in figures else {}
    made = Tracks.of(
        [r["frame"] for r in rows],
        [r["object_id"] for r in rows],
        [r["box"] for r in rows],
        source="manual",
        label=["car" if r["object_id"] != 4 else "person" for r in rows],
        angle=[r.get("angle", 0.0) for r in rows],
        key=[r["frame"] in (0, 3, 6) for r in rows],
        occluded=[r["frame"] > 3 and r["object_id"] != 4 for r in rows],
        attributes=[{"pose": "up" if r["frame"] < 3 else "down"} for r in rows],
        masks=column["mask"] if "mask" in figures else None,
        points=PointRows.of(*p[:, :3].astype(int).T, p[:, 3:5], p[:, 5] > 0) if len(p) else None,
        size=SIZE,
        record=Record(
            frames=10,
            dense=True,
            edges={"4": [[0, 1], [1, 2]]} if "joints" in figures else None,
            source=Source(frames=10, start=4, step=2),
        ),
        **shown,
    )
    key = made.key if made.key is not None else np.zeros(len(made), bool)
    return made.replace(source=np.where(key, "manual", "interpolated").astype(object))


def halting() -> Tracks:
    """As `walk`, but the first object stands still where nobody said that it moves, and is hidden when it returns."""
    made = walk()
    boxes, told, visible = made.boxes.copy(), made.attributes.copy(), made.visible.copy()
    rows = np.flatnonzero(made.object_id == 1)
    for row, before in zip(rows[1:4].tolist(), rows[:3].tolist(), strict=True):
        if not made.key[row]:
            boxes[row], told[row] = boxes[before], told[before]
    visible[rows[4:]] = False
    return made.replace(boxes=boxes, attributes=told, visible=visible)


def agrees_with_datumaro(told: list[dict[str, Any]]) -> None:
    """Its numbers are those of `walk`; what it has more is the end of each run of figures."""
    made = walk("box", "turned", "outline")
    kept = [row for row in told if not row["outside"]]
    assert len(kept) == len(made)
    for row, frame, owner in zip(kept, made.frame.tolist(), made.object_id.tolist(), strict=True):
        at = made.at(frame).of_object(owner)
        assert (row["frame"], row["track_id"], row["label"]) == (4 + 2 * frame, owner, "car")
        assert (row["occluded"], row["attributes"]) == (bool(at.occluded[0]), at.attributes[0])
        x1, y1, x2, y2 = at.boxes[0]
        figure = [x1, y1, x2, y2]
        if owner == 2:
            figure = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, np.rad2deg(0.5)]
        if owner == 3:
            figure = at.polygons[0][0].ravel()
        np.testing.assert_allclose(row["figure"], figure, atol=0.0051)
    ends = {(row["frame"], row["track_id"]) for row in told if row["outside"]}
    assert ends == {(4 + 2 * f, i) for f in (4, 8) for i in (1, 2, 3)}


def agrees_with_dataloop(told: dict[str, Any], made: Tracks) -> None:
    """Its client finds on every frame what the tracks say, held figures and points of skeletons, too."""
    rows = {(r["frame"], r["object"], r["label"] if r["parent"] else ""): r for r in told["rows"]}
    assert len(rows) == len(told["rows"]) == int((made.object_id != 4).sum()) + len(made.points)
    for number, (frame, owner) in enumerate(zip(made.frame.tolist(), made.object_id.tolist(), strict=True)):
        if owner == 4:
            continue
        row, kind = rows[frame, str(owner), ""], {3: "segment", 5: "binary"}.get(owner, "box")
        assert (row["type"], row["label"], row["attributes"]) == (kind, "car", made.attributes[number])
        assert row["visible"] == made.visible[number]
        if kind == "binary":
            y, x = np.nonzero(made.mask(number))
            assert row["pixels"] == [y.sum(), x.sum(), len(y)]
            continue
        outline = made.polygons[number][0] if kind == "segment" else made.boxes[number].reshape(2, 2)
        points = row["figure"][0] if kind == "segment" else row["figure"][:2]
        assert [[p["x"], p["y"]] for p in points] == outline.tolist()
        assert row["figure"][2:] == ([float(np.rad2deg(0.5))] if owner == 2 else [])
    p = made.points
    for frame, joint, xy, seen in zip(
        p.frame.tolist(), p.point_id.tolist(), p.xy.tolist(), p.visible.tolist(), strict=True
    ):
        row = rows[frame, None, str(joint)]
        assert ([row["figure"]["x"], row["figure"]["y"]], row["visible"]) == (xy, seen)


def agrees_with_label_studio(told: dict[str, Any], path: Path) -> None:
    """Its SDK finds the file valid and gives every figure that vtlab reads of it, number for number."""
    assert told["wrong"] == []
    (place,) = FORMATS["label-studio"].find(path).values()
    made = FORMATS["label-studio"].read_sequence(place, images=False).truth
    assert made is not None
    said = [(s["frame"] - 1, int(r["id"]), s) for r in told["result"] for s in r["value"]["sequence"]]
    assert sorted(s[:2] for s in said) == list(zip(made.frame.tolist(), made.object_id.tolist(), strict=True))
    height, width = SIZE
    angle = np.zeros(len(made)) if made.angle is None else made.angle
    pivot = to_pivot(made.boxes, angle)
    for row, (_, _, s) in enumerate(sorted(said, key=lambda s: s[:2])):
        x1, y1 = s["x"] * width / 100, s["y"] * height / 100
        box = [x1, y1, x1 + s["width"] * width / 100, y1 + s["height"] * height / 100]
        np.testing.assert_allclose(pivot[row], box, atol=1e-8)
        assert abs(np.rad2deg(angle[row]) - s["rotation"]) < 1e-9


def agrees_with_supervisely(told: dict[str, Any], path: Path) -> None:
    """Its SDK keeps every object, figure, geometry and tag of the file, with its keys and ids."""
    mine, theirs = json.loads(path.read_text(encoding="utf-8")), told["annotation"]
    assert (told["item"], theirs["size"], theirs["framesCount"]) == (
        "walk.mp4",
        mine["size"],
        mine["framesCount"],
    )
    assert [o["classTitle"] for o in theirs["objects"]] == [o["classTitle"] for o in mine["objects"]]
    for a, b in zip(mine["objects"], theirs["objects"], strict=True):
        assert [(t["name"], t["value"], t["frameRange"]) for t in b["tags"]] == [
            (t["name"], t["value"], t["frameRange"]) for t in a["tags"]
        ]
    figures = [
        {(frame["index"], f["objectKey"]): f for frame in said["frames"] for f in frame["figures"]}
        for said in (mine, theirs)
    ]
    assert figures[0].keys() == figures[1].keys()
    for key, figure in figures[0].items():
        other = figures[1][key]
        assert other["geometryType"] == figure["geometryType"]
        for name, value in figure["geometry"].items():
            if name == "bitmap":
                one, two = (from_data(g[name]["data"], "") for g in (figure["geometry"], other["geometry"]))
                assert (one == two).all()
                assert value["origin"] == other["geometry"][name]["origin"]
            elif name not in ("shape", "geometryType"):
                assert other["geometry"][name] == value, key
