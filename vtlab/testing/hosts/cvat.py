"""A CVAT that is none: a task of one clip, for the real agent (`cvat-cli function run-agent`); and the agent itself, for a
function file on its own."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vtlab.errors import InputError, RegistryError
from vtlab.registry import load_file
from vtlab.testing.hosts.base import FakeHost, Reply, png, square

TASK, FUNCTION = 5, 9
SHAPES: dict[str, list[float]] = {
    "rectangle": [20.0, 30.0, 50.0, 60.0],
    "mask": [0.0, 9.0, 20.0, 30.0, 22.0, 32.0],
    "polygon": [20.0, 30.0, 50.0, 30.0, 50.0, 60.0],
    "polyline": [25.0, 35.0, 45.0, 55.0],
    "points": [25.0, 35.0, 45.0, 55.0],
    "skeleton": [25.0, 35.0, 45.0, 55.0, 30.0, 50.0],
}
"""Type -> numbers of a shape on frame 0."""

_SDK = "cvat_sdk.auto_annotation"
_KINDS = ("rectangle", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton")
_DAY = "2026-01-01T00:00:00Z"
# Fields that the client's models want, and that nothing reads.
_NOTHING = (
    *("owner", "assignee", "project_id", "source_storage", "target_storage", "guide_id", "organization"),
    *("assignee_updated_date", "validation_mode"),
)


class FakeCvat(FakeHost):
    """The server: it gives an agent some requests and keeps what it answers.

    Args:
        plan: Requests in order, (type, parameters): `("init_tracking", {"frame": 0, "shapes": [...]})`, whose types the
            function is registered for, then `("track", {"frame": 1})`, whose states are those of the last answer unless
            they are given.
        frames: Length of the clip.

    Attributes:
        answers: What the agent answered, in order: ("complete" or "fail", JSON).
    """

    def __init__(self, plan: Sequence[tuple[str, dict[str, Any]]], frames: int = 6):
        super().__init__()
        self._plan, self._frames, self._states = list(plan), frames, list[str]()
        self.answers: list[tuple[str, Any]] = []

    def answer(self, method: str, path: str, body: Any) -> Reply:
        """See `FakeHost`."""
        where, _, query = path.partition("?")
        where = where.rstrip("/")
        said = self._queue(where, body) if "/functions/queues/" in where else self._known(where, query)
        return Reply({"detail": f"not faked: {where}"}, 404) if said is None else said

    def _queue(self, where: str, body: Any) -> Reply:
        action = where.rpartition("/")[2]
        if action == "acquire":
            return _vnd(
                {"ar_assignment": self._next() if body["request_category"] == "interactive" else None}
            )
        if action in ("complete", "fail"):
            self.answers.append((action, body))
            self._states = body.get("states", self._states)
        return _vnd({})

    def _next(self) -> dict[str, Any] | None:
        number = len(self.answers)
        if number >= len(self._plan):
            return None
        kind, params = self._plan[number]
        states = {"states": self._states} if kind == "track" else {}
        return {"ar_id": f"ar{number}", "ar_params": {"type": kind, "task": TASK, **states, **params}}

    def _known(self, where: str, query: str) -> Reply | None:
        if where == f"/api/tasks/{TASK}/data":
            number = re.search(r"number=(\d+)", query)
            return None if number is None else Reply(png(square(int(number[1]))), kind="image/png")
        function = {"id": FUNCTION, "name": "vtlab", "provider": "native", "kind": "tracker"}
        shapes = sorted({shape["type"] for shape in self._plan[0][1]["shapes"]})
        said = {
            "/api/server/about": {"name": "CVAT", "description": "", "version": "2.80.0"}
            | {"logo_url": "", "subtitle": ""},
            "/api/auth/login": {"key": "k"},
            "/api/users/self": {"id": 1, "username": "u", "url": self.address},
            f"/api/functions/{FUNCTION}": function | {"supported_shape_types": shapes},
            f"/api/tasks/{TASK}": self._task(),
            f"/api/tasks/{TASK}/data/meta": self._meta(),
            "/api/labels": {"count": 1, "next": None, "previous": None, "results": [_label()]},
        }
        return _vnd(said[where]) if where in said else None

    def _task(self) -> dict[str, Any]:
        about = {"url": self.address, "id": TASK, "name": "t", "mode": "interpolation", "size": self._frames}
        data = {"data_chunk_size": 36, "data_compressed_chunk_type": "imageset", "data": 1, "overlap": 0}
        data |= {"data_original_chunk_type": "video", "dimension": "2d", "media_type": "video"}
        state = {"created_date": _DAY, "updated_date": _DAY, "status": "annotation"}
        state |= {"subset": "", "bug_tracker": ""}
        counts = {"labels": {"url": "http://x"}, "issues": {"url": "http://x", "count": 0}}
        counts["jobs"] = {"url": "http://x", "count": 1, "completed": 0, "validation": 0}
        more = {"segment_size": self._frames, "image_quality": 70, "consensus_enabled": False}
        return {**about, **data, **state, **counts, **more, **dict.fromkeys(_NOTHING)}

    def _meta(self) -> dict[str, Any]:
        frame = {"width": 160, "height": 120, "name": "clip.mp4", "related_files": 0}
        files: dict[str, list[Any]] = {
            name: [] for name in ("server_files", "client_files", "remote_files", "deleted_frames")
        }
        return {
            "chunk_size": 36,
            "size": self._frames,
            "image_quality": 70,
            "start_frame": 0,
            "stop_frame": self._frames - 1,
            "frame_filter": "",
            "frames": [{**frame, "has_related_context": False}],
            "included_frames": None,
            "storage_method": "cache",
            "storage": "local",
            "chunks_updated_date": _DAY,
            "cloud_storage_id": None,
            **files,
        }


def _vnd(body: Any) -> Reply:
    return Reply(body, kind="application/vnd.cvat+json")


def _label() -> dict[str, Any]:
    about = {"id": 1, "name": "car", "color": "#fff000", "attributes": [], "type": "any", "sublabels": []}
    return {**about, "has_parent": False, "parent_id": None, "task_id": TASK}


@dataclass
class Shape:
    """A shape as the agent gives it: its type and its numbers."""

    type: str
    points: list[float]


class _Spec:
    """The SDK's `TrackingFunctionSpec`."""

    def __init__(self, *, supported_shape_types: Sequence[str]):
        unknown = set(supported_shape_types) - set(_KINDS)
        if unknown:
            raise InputError(f"CVAT has no shapes {sorted(unknown)}.")
        self.supported_shape_types = frozenset(supported_shape_types)


@contextlib.contextmanager
def sdk() -> Iterator[None]:
    """CVAT's SDK, or, where it isn't installed, the two classes of it that a tracking function uses."""
    if "cvat_sdk" in sys.modules or importlib.util.find_spec("cvat_sdk") is not None:
        yield
        return
    package, module = types.ModuleType("cvat_sdk"), types.ModuleType(_SDK)
    module.__dict__.update(TrackingFunctionSpec=_Spec, TrackableShape=Shape)
    package.__dict__.update(auto_annotation=module, __path__=[])
    sys.modules.update({"cvat_sdk": package, _SDK: module})
    try:
        yield
    finally:
        for name in ("cvat_sdk", _SDK):
            sys.modules.pop(name, None)


class Agent:
    """Calls a function as CVAT's agent does: one state for each shape, frames in any order.

    Args:
        function: With `spec`, `init_tracking_state`, `track` and perhaps `preprocess_image`; or a file of Python code with
            these, or with `create`.
        params: Of `create`.
    """

    def __init__(self, function: Any, **params: Any):
        self._function = _loaded(function, params) if isinstance(function, str) else function
        self.shapes: frozenset[str] = frozenset(self._function.spec.supported_shape_types)

    def start(self, image: Any, kind: str, points: Sequence[float]) -> Any:
        """The state of a shape on an image (H, W, 3)."""
        if kind not in self.shapes:
            raise InputError(f"Unsupported shape type {kind!r}")
        return self._function.init_tracking_state(None, self._seen(image), Shape(kind, list(points)))

    def go_on(self, image: Any, *states: Any) -> list[list[float] | None]:
        """The numbers of each state's shape on another image; None for one that isn't seen."""
        seen = self._seen(image)
        told = [self._function.track(None, seen, state) for state in states]
        return [None if shape is None else [float(v) for v in shape.points] for shape in told]

    def _seen(self, image: Any) -> Any:
        from PIL import Image

        picture = Image.fromarray(image)
        prepare = getattr(self._function, "preprocess_image", None)
        return picture if prepare is None else prepare(None, picture)


def _loaded(file: str, params: dict[str, Any]) -> Any:
    """What stands in a file: what its `create` makes, or the functions themselves."""
    try:
        make = load_file(f"{file}:create", "function")
    except RegistryError:
        found = {n: load_file(f"{file}:{n}", "function") for n in ("spec", "init_tracking_state", "track")}
        with contextlib.suppress(RegistryError):
            found["preprocess_image"] = load_file(f"{file}:preprocess_image", "function")
        return types.SimpleNamespace(**found)
    return make(**params)
