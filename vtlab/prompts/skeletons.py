"""Templates of skeletons: the nodes that a person places, in their order, and the lines between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vtlab.errors import PromptError

_SIDES = ("left", "right")
_PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_PERSON = ("nose", *(f"{side}_{part}" for part in _PARTS for side in _SIDES))
_FINGERS = ("thumb", "index", "middle", "ring", "little")
_LIMBS = (("shoulder", "elbow", "front_paw"), ("hip", "knee", "back_paw"))
_LEGS = tuple(f"{side}_{part}" for limb in _LIMBS for side in _SIDES for part in limb)

_TEMPLATES: dict[str, tuple[tuple[str, ...], str]] = {
    # Lin et al., "Microsoft COCO", 2014: 17 key points of a person and their lines
    "person": (
        _PERSON,
        "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6",
    ),
    # Simon et al., "Hand keypoint detection in single images", 2017: the wrist and four points of each finger
    "hand": (
        ("wrist", *(f"{finger}_{k}" for finger in _FINGERS for k in (1, 2, 3, 4))),
        " ".join(f"{0 if k == 1 else 4 * f + k - 1}-{4 * f + k}" for f in range(5) for k in (1, 2, 3, 4)),
    ),
    # Yu et al., "AP-10K: a benchmark for animal pose estimation in the wild", 2021: four-legged animals
    "animal": (
        ("left_eye", "right_eye", "nose", "neck", "tail", *_LEGS),
        "0-1 0-2 1-2 2-3 3-4 3-5 5-6 6-7 3-8 8-9 9-10 4-11 11-12 12-13 4-14 14-15 15-16",
    ),
}


@dataclass(frozen=True)
class Skeleton:
    """Template of a skeleton: what `vtlab.annotate(video, skeleton=...)` asks for. Templates that are there: `Skeleton.of`.

    Attributes:
        names: Name of each node, in the order in which they are placed.
        edges: Pairs of node numbers, from 0, that a line joins.

    Raises:
        PromptError: No node, two of one name, or an edge to a node that isn't there.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        names, edges = tuple(map(str, self.names)), tuple((int(a), int(b)) for a, b in self.edges)
        if not names or len(set(names)) < len(names):
            raise PromptError(f"A skeleton needs nodes of different names, got {list(names)}.")
        bad = [edge for edge in edges if not all(0 <= i < len(names) for i in edge)]
        if bad:
            raise PromptError(
                f"Edge {bad[0]} joins a node that isn't there: nodes are 0 to {len(names) - 1}."
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "edges", edges)

    @classmethod
    def of(cls, name: str) -> Skeleton:
        """A template that is there.

        Args:
            name: "person" (COCO's 17 key points), "hand" (21: the wrist and four of each finger) or "animal" (AP-10K's 17
                of a four-legged animal).

        Raises:
            PromptError: There is none of this name.
        """
        if name not in _TEMPLATES:
            raise PromptError(f"There is no skeleton {name!r}; there are {', '.join(_TEMPLATES)}.")
        names, edges = _TEMPLATES[name]
        return cls(names, tuple(_pairs(edges.split())))


def _pairs(edges: Iterable[str]) -> Iterable[tuple[int, int]]:
    for edge in edges:
        a, b = edge.split("-")
        yield int(a), int(b)


def as_skeleton(given: Skeleton | str | None) -> Skeleton | None:
    """A template, or the name of one."""
    return Skeleton.of(given) if isinstance(given, str) else given
