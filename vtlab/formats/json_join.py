"""Files of one sequence each, as vtlab writes YouTube-VIS, TAO and BURST, joined to one as other tools want it.

Numbers of categories, annotations and tracks are made unique by names; an object's own number stays beside as `track_id`
(YouTube-VIS) or `object_id` (TAO). Videos and images have numbers of their own already (`json_video.video_id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def joined(parts: list[Any], known: Mapping[str, int]) -> Any:
    """The content of one file for those of several; `known` has numbers that categories have already, by name."""
    if isinstance(parts[0], list):
        rows = [row for part in parts for row in part]
        numbers = _numbers((row["category"] for row in rows), known)
        return [{**row, "category_id": numbers[row["category"]]} for row in rows]
    named = [{c["id"]: c["name"] for c in part["categories"]} for part in parts]
    numbers = _numbers((name for names in named for name in names.values()), known)
    maps = [{old: numbers[name] for old, name in names.items()} for names in named]
    listed = [{"id": number, "name": name} for name, number in numbers.items()]
    if "sequences" in parts[0]:
        sequences = [_sequence(part["sequences"][0], new) for part, new in zip(parts, maps, strict=True)]
        return {**parts[0], "sequences": sequences, "categories": listed}
    out: dict[str, Any] = {"videos": [video for part in parts for video in part["videos"]]}
    if "images" in parts[0]:
        out |= {"images": [image for part in parts for image in part["images"]], "tracks": []}
    out |= {"annotations": [], "categories": listed}
    for part, new in zip(parts, maps, strict=True):
        owners = {t["id"]: len(out["tracks"]) + n for n, t in enumerate(part.get("tracks", ()), 1)}
        for track in part.get("tracks", ()):
            more = {
                "id": owners[track["id"]],
                "object_id": track["id"],
                "category_id": new[track["category_id"]],
            }
            out["tracks"].append({**track, **more})
        for entry in part["annotations"]:
            more = {"id": len(out["annotations"]) + 1, "category_id": new[entry["category_id"]]}
            if owners:
                more |= {"track_id": owners[entry["track_id"]], "object_id": entry["track_id"]}
            out["annotations"].append({**entry, **more})
    return out


def _sequence(entry: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    kinds = {owner: new[kind] for owner, kind in entry["track_category_ids"].items()}
    return {**entry, "track_category_ids": kinds}


def _numbers(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    start = max(known.values(), default=0) + 1
    fresh = sorted(set(names) - set(known))
    return {**known, **{name: n for n, name in enumerate(fresh, start)}}
