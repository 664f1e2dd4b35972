"""Events and component points: cases worked by hand, and agreement with CLEAR's counts."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.metrics import events, mot, score
from vtlab.tracks import Tracks

N = 20


def track(rows, **kwargs):
    """(frame, id, x) rows as 10 x 20 boxes at x."""
    f, i, x = np.array(rows, dtype=float).T
    return Tracks.of(f, i, np.stack([x, x * 0, x + 10, x * 0 + 20], axis=1), size=(100, 400), **kwargs)


TRUTH = track([(f, 1, 50.0) for f in range(N)] + [(f, 2, 200.0) for f in range(N)])


def counts(answer, truth=TRUTH):
    return events.events(answer, truth).kind.value_counts().to_dict()


def test_perfect_answer_has_no_events():
    assert len(events.events(TRUTH, TRUTH)) == 0
    assert list(events.events(TRUTH, TRUTH).columns) == list(events.COLUMNS)
    points = events.component_points(TRUTH, TRUTH)
    assert points.points.abs().max() == pytest.approx(0)


def test_swap_of_two_objects():
    answer = track(
        [(f, 1 if f < 10 else 2, 50.0) for f in range(N)] + [(f, 2 if f < 10 else 1, 200.0) for f in range(N)]
    )
    found = events.events(answer, TRUTH)
    assert found.kind.tolist() == ["id_switch"] * 2
    assert found.frame.tolist() == [10, 10]
    assert found.cause.tolist() == ["swap"] * 2
    assert found[["object_id", "answer_id", "previous_id"]].to_numpy().tolist() == [[1, 2, 1], [2, 1, 2]]
    points = events.component_points(answer, TRUTH)
    assert points.value["association"] == pytest.approx(1)
    assert points.points["detection"] == pytest.approx(0)
    assert points.points["localisation"] == pytest.approx(0)
    assert points.points["reid"] == pytest.approx(0)


def test_gap_with_a_new_identity_is_for_reid():
    answer = track(
        [(f, 1 if f < 8 else 7, 50.0) for f in range(N) if f not in (8, 9)]
        + [(f, 2, 200.0) for f in range(N)]
    )
    found = events.events(answer, TRUTH)
    assert found.kind.tolist() == ["loss", "fragment", "id_switch", "recovery"]
    assert found.cause.tolist() == [
        "missed detection",
        "missed detection",
        "missed detection",
        "reappearance",
    ]
    points = events.component_points(answer, TRUTH)
    assert points.points["reid"] == pytest.approx(points.points["association"])
    assert points.points["reid"] > 0
    assert points.points["camera compensation"] == 0
    # The two missing boxes are filled, the switch stays.
    assert points.points["detection"] > 0


def test_false_positives():
    extra = [(3, 9, 300.0), (4, 8, 51.0), (5, 6, 205.5)]
    answer = track([(f, 1, 50.0) for f in range(N)] + [(f, 2, 200.0) for f in range(N) if f != 5] + extra)
    found = events.events(answer, TRUTH)
    false = found[found.kind == "false_positive"]
    assert false.cause.tolist() == ["background", "duplicate", "localisation"]
    assert false.object_id.isna().all()


def test_occlusion_and_out_of_view():
    truth = track([(f, 1, 50.0 + 2 * f) for f in range(N)] + [(f, 2, 90.0) for f in range(N)])
    lost = track([(f, 1, 50.0 + 2 * f) for f in range(N) if f < 18] + [(f, 2, 90.0) for f in range(N)])
    found = events.events(lost, truth)
    assert found.kind.tolist() == ["loss"]
    assert found.cause.tolist() == ["occlusion"]
    leaving = track([(f, 1, -4.0 if f > 10 else 5.0) for f in range(N)])
    found = events.events(leaving.take(leaving.frame <= 10), leaving)
    assert found.cause.tolist() == ["out of view"]


def test_camera_motion():
    move = np.where(np.arange(N) >= 10, 30.0, 0.0)
    truth = track([(f, 1, 50.0 + move[f]) for f in range(N)])
    answer = track([(f, 1 if f < 10 else 2, 50.0 + move[f]) for f in range(N)])
    points = events.component_points(answer, truth)
    assert points.value["camera compensation"] == pytest.approx(1)
    still = events.component_points(answer, truth, camera_motion=np.zeros(N))
    assert still.points["camera compensation"] == 0


@pytest.mark.parametrize("seed", range(6))
def test_as_many_events_as_clear_counts(seed):
    rng = np.random.default_rng(seed)
    truth = [
        (f, i, 15.0 * i + rng.normal(0, 1)) for f in range(40) for i in range(1, 8) if rng.random() < 0.9
    ]
    answer = [
        (f, i + 10 * (rng.random() < 0.1), x + rng.normal(0, 2)) for f, i, x in truth if rng.random() < 0.85
    ] + [(f, 99, 350.0) for f in range(0, 40, 7)]
    found, values = counts(track(answer), track(truth)), score(track(answer), track(truth), "mot").values()
    assert found.get("id_switch", 0) == values["IDSW"]
    assert found.get("fragment", 0) == values["Frag"]
    assert found.get("false_positive", 0) == values["CLR_FP"]
    points = events.component_points(track(answer), track(truth))
    assert points.value["as it is"] == pytest.approx(values["HOTA"])
    for component in ("detection", "association", "localisation"):
        assert points.points[component] > 0
    assert (points.value <= 1 + 1e-12).all()


def test_perfect_reidentification_never_makes_it_worse():
    """Id 1, one frame of id 2, one miss, id 1 again: the part after the gap once got an identity that nobody had, which
    cut it from the same identity before, and 'perfect' re-identification took 28 points of HOTA away."""
    frames = [f for f in range(82) if f != 41]
    answer = track([(f, 2 if f == 40 else 1, 50.0) for f in frames])
    truth = track([(f, 1, 50.0) for f in range(82)])
    for metric in ("HOTA", "AssA", "IDF1"):
        points = events.component_points(answer, truth, metric=metric).points
        assert points["reid"] == pytest.approx(points["association"])
        assert points["reid"] > 0.01
    value = events.component_points(answer, truth).value
    assert value["as it is"] == pytest.approx(0.976, abs=5e-4)
    assert value["reid"] == pytest.approx(81 / 82), "one box of 82 is missing, and nothing else"


def flickering(rng) -> tuple:
    """Identities that flicker, with misses, and the truth."""
    true = [(f, o, 60.0 * o + f) for o in (1, 2, 3) for f in range(60)]
    found = [row for row in true if rng.random() > 0.15]
    ids = [o if rng.random() > 0.1 else 10 * int(rng.integers(1, 9)) + o for _, o, _ in found]
    answer = track([(f, i, x + rng.normal(0, 1)) for (f, _, x), i in zip(found, ids, strict=True)])
    return answer, track(true)


def test_joined_identities_are_better_without_being_cut_to_that():
    """`component_points` leaves an answer as it is where joining harms, which it once did in 59 of 60 such cases."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        scene = events._Scene.of(*flickering(rng), None, None)
        base = mot.evaluate(scene.pairs, vace=False).values()
        joined = mot.evaluate(scene.score_against(scene.with_joined(scene.gaps() > 0)), vace=False).values()
        assert all(joined[name] >= base[name] for name in ("AssA", "HOTA", "IDF1"))


def test_an_oracle_never_lowers_the_metric_that_it_is_for():
    rng = np.random.default_rng(0)
    for _ in range(12):
        answer, true = flickering(rng)
        gained = {
            m: events.component_points(answer, true, metric=m).points
            for m in ("DetA", "LocA", "AssA", "HOTA")
        }
        for name in ("association", "reid", "camera compensation"):
            assert gained["AssA"][name] >= 0
            assert gained["HOTA"][name] >= 0
        assert gained["DetA"]["detection"] >= 0
        assert gained["LocA"]["localisation"] >= 0
