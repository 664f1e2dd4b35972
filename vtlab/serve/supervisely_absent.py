"""Requests that stand on the list of Supervisely's Auto Track and are not here: each is answered with 501, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtlab.serve.door import Call, Handler
from vtlab.serve.jobs import RefusedError

_TIMELINE = (
    "it belongs to Auto Track, which keeps the timeline, and no public file says what is in it, the SDK (6.74.51) included. "
    "Remedy: send it to Auto Track, which asks this server's /track-api for frames"
)
NOT_HERE: Mapping[str, str] = {
    **dict.fromkeys(("continue_track", "objects_removed", "manual_objects_removed"), _TIMELINE),
    **dict.fromkeys(
        ("no_objects_tag_changed", "tag_removed", "project_meta_changed", "interpolate"), _TIMELINE
    ),
    "cache_video": _TIMELINE,
    "smart_segmentation": "an app of the smart tool answers it, no tracker. Remedy: deploy one beside this server",
}
"""Request -> why it isn't here."""


def absent() -> dict[str, Handler]:
    """What answers them."""

    def answering(name: str) -> Handler:
        def refuse(_: Call) -> Any:
            raise RefusedError(f"/{name} is not here: {NOT_HERE[name]}.", 501)

        return refuse

    return {name: answering(name) for name in NOT_HERE}
