"""What every associator must do, whoever wrote it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import supervision as sv

from vtlab.contracts import Associator
from vtlab.contracts.parts import associate
from vtlab.registry import ASSOCIATORS
from vtlab.testing.contract import Contract, make
from vtlab.testing.streams import detections, frame, run, walkers


class AssociatorPart:
    """An associator under test."""

    def __init__(self, spec: Any, params: Mapping[str, Any]):
        self.spec, self.params = spec, dict(params)
        self.card = ASSOCIATORS.card(spec)

    def made(self) -> Associator:
        """A new associator; NotAsked where its weights, packages or necessary parameters are missing."""
        found = make(ASSOCIATORS, self.spec, self.params)
        assert isinstance(found, Associator), f"{type(found).__name__} is no associator: see vtlab/contracts"
        return found


ASSOCIATOR = Contract(AssociatorPart)


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """its ids are dense and begin at one"""
    # Twice: ids begin anew with each instance, not with the process.
    for _ in range(2):
        seen = [i for ids in run(part.made(), walkers()) for i in ids if i > 0]
        assert seen, "six walkers got no identity in 40 frames"
        assert set(seen) == set(range(1, max(seen) + 1))


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """gives no id twice on a frame"""
    for ids in run(part.made(), walkers()):
        known = [i for i in ids if i > 0]
        assert len(known) == len(set(known)), f"ids {ids} on one frame"


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """a reset and a second instance share nothing"""
    one, other = part.made(), part.made()
    first = run(one, walkers())
    # Runs in between: what is kept in the class or the module would show.
    run(other, walkers(seed=5))
    one.reset()
    assert run(one, walkers()) == first


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """the order of detections does not matter"""
    plain, mixed = part.made(), part.made()
    rng = np.random.default_rng(1)
    renamed: dict[int, int] = {}
    for i, d in enumerate(walkers()):
        order = rng.permutation(len(d))
        shuffled = d[order]
        assert isinstance(shuffled, sv.Detections)
        a = np.asarray(plain.update(d, frame(i)).tracker_id)[order]
        b = np.asarray(mixed.update(shuffled, frame(i)).tracker_id)
        assert ((a > 0) == (b > 0)).all()
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            # Ids may be given in another order; who is who must be the same.
            assert renamed.setdefault(x, y) == y


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """rows come back as they were and the input is not changed"""
    associator = part.made()
    for i, d in enumerate(walkers(12)):
        d.mask = np.zeros((len(d), 4, 4), bool)
        d.class_id = np.arange(len(d))
        d.data = {"class_name": np.array([f"c{k}" for k in range(len(d))])}
        before = copy.deepcopy(d)
        after = associate(associator, d, frame(i))
        assert d.tracker_id is None
        assert set(d.data) == set(before.data)
        for name in ("xyxy", "confidence", "class_id", "mask"):
            np.testing.assert_array_equal(getattr(d, name), getattr(before, name))
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert np.array_equal(after.data["class_name"], before.data["class_name"])


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """frames without detections are answered, a thousand of them too"""
    associator = part.made()
    for i in range(1000):
        assert len(np.asarray(associator.update(sv.Detections.empty(), frame(i)).tracker_id)) == 0
    box = [[10, 10, 50, 90]]
    later = [associator.update(detections(box), frame(i)).tracker_id for i in range(1000, 1008)]
    # -1 on the first frames: many methods confirm a track late.
    assert {int(np.asarray(ids)[0]) for ids in later} - {-1} == {1}


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """broken boxes belong to no track"""
    associator = part.made()
    # Not a number, corners swapped, no area, no end.
    broken = [[np.nan, 0, 10, 10], [50, 50, 20, 20], [5, 5, 5, 9], [0, 0, np.inf, 10]]
    boxes = np.array([*broken, [10, 10, 50, 90], [200, 200, 240, 300]], dtype=float)
    given = detections(boxes, np.array([0.9, 0.9, 0.9, 0.9, np.nan, 0.9]))
    for i in range(6):
        ids = np.asarray(associator.update(given, frame(i)).tracker_id)
    assert ids.tolist() == [-1, -1, -1, -1, -1, 1]


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """takes boxes far outside, missing scores and changing classes"""
    associator = part.made()
    for i in range(6):
        # Without scores, as public detections often are.
        found = sv.Detections(xyxy=np.array([[-500.0, -500, -450, -400], [1e5, 1e5, 1e5 + 40, 1e5 + 90]]))
        found.class_id = np.array([i % 3, 1])
        ids = np.asarray(associator.update(found, frame(i)).tracker_id)
    assert sorted(ids.tolist()) == [1, 2]


@ASSOCIATOR.check
def _(part: AssociatorPart) -> None:
    """backward is the mirror of forward"""
    stream, associator = walkers(), part.made()
    # Frame numbers fall and time runs back: a method that subtracts them sees a negative step.
    ids = [np.asarray(associator.update(d, frame(100 - i)).tracker_id).tolist() for i, d in enumerate(stream)]
    assert ids == run(part.made(), stream)
