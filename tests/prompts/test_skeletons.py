"""Templates of skeletons."""

from __future__ import annotations

import pytest

import vtlab
from vtlab.errors import PromptError

COCO = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]]
COCO += [[8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]


@pytest.mark.parametrize(
    ("name", "nodes", "edges"), [("person", 17, 19), ("hand", 21, 20), ("animal", 17, 17)]
)
def test_a_template_is_one_connected_figure(name, nodes, edges):
    made = vtlab.Skeleton.of(name)
    assert (len(made.names), len(made.edges)) == (nodes, edges)
    reached = {0}
    for _ in made.names:
        reached |= {i for edge in made.edges if reached & set(edge) for i in edge}
    assert len(reached) == nodes


def test_the_person_is_cocos():
    made = vtlab.Skeleton.of("person")
    assert [[a + 1, b + 1] for a, b in made.edges] == COCO
    assert made.names[:3] == ("nose", "left_eye", "right_eye")
    assert made.names[-2:] == ("left_ankle", "right_ankle")


@pytest.mark.parametrize(
    ("names", "edges", "word"),
    [((), (), "different names"), (("a", "a"), (), "different"), (("a",), ((0, 1),), "isn't there")],
)
def test_what_is_no_skeleton_is_refused(names, edges, word):
    with pytest.raises(PromptError, match=word):
        vtlab.Skeleton(names, edges)
    with pytest.raises(PromptError, match="there are person, hand, animal"):
        vtlab.Skeleton.of("horse")
