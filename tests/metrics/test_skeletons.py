"""Key points of skeletons: a case by hand, mmpose's numbers, what is empty, and where the family shows up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.benchmark import evaluate_folders
from vtlab.cli.app import app
from vtlab.errors import InputError
from vtlab.formats import FORMATS, write_sequence, write_tracks
from vtlab.metrics import METRICS, combine, evaluate, score, statistics
from vtlab.metrics.families import FAMILIES, judging
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video

SKELETONS = FAMILIES["skeletons"]


def figure(xy, visible=True, boxes=None, owner=1, **kwargs):
    """One skeleton: (T, K, 2) on the frames 0 to T - 1."""
    xy = np.asarray(xy, float)
    frame, point = (a.ravel() for a in np.indices(xy.shape[:2]))
    rows = PointRows.of(
        frame, owner, point, xy.reshape(-1, 2), np.broadcast_to(visible, xy.shape[:2]).ravel()
    )
    return Tracks.of(range(len(xy)), owner, boxes, points=rows, **kwargs)


def by_hand():
    """Two key points in a box of 50 x 20, so 10 px reach; answers off by 0, 9, 10 and 5 px, one missing, one far off."""
    xy = np.tile([[5.0, 5], [45, 15]], (4, 1, 1))
    truth = figure(xy, [[1, 1], [1, 1], [1, 0], [1, 1]], np.tile([0.0, 0, 50, 20], (4, 1)))
    off = np.array([[[99, 99], [99, 99]], [[0, 0], [9, 0]], [[0, 10], [80, 0]], [[3, 4], [np.nan, 0]]])
    return figure(xy + off), truth


def test_by_hand():
    answer, truth = by_hand()
    # The prompted frame and the hidden point don't count. Of 5, those off by 0, 9 and 5 px are nearer than 10.
    found = score(answer, truth, "skeletons").values()
    assert found == {"PCK": 3 / 5, "keypoint_error": (0 + 9 + 10 + 5) / 4}
    # The mean of each frame: 2 of 2, 0 of 1, 1 of 2
    assert SKELETONS.timeline(answer, truth).tolist() == pytest.approx([np.nan, 1, 0, 0.5], nan_ok=True)
    assert METRICS["keypoint_error"].heading == "error px ↓"


def test_the_marks_of_answers_do_not_matter():
    answer, truth = by_hand()
    hidden = answer.replace(points=answer.points.replace(visible=False))
    assert score(hidden, truth, "skeletons").values() == score(answer, truth, "skeletons").values()


def test_without_boxes_the_extent_of_the_key_points_is_the_size():
    answer, truth = by_hand()
    bare = figure(truth.points.xy.reshape(4, 2, 2), truth.points.visible.reshape(4, 2))
    assert score(answer, bare, "skeletons").values()["PCK"] == 2 / 5  # 0.2 x 40 = 8 px
    dot = figure(np.zeros((3, 1, 2)))  # no extent: no PCK, but an error
    assert score(figure(np.full((3, 1, 2), 3.0)), dot, "skeletons").values() == {
        "PCK": pytest.approx(np.nan, nan_ok=True),
        "keypoint_error": pytest.approx(3 * 2**0.5),
    }


def test_what_nobody_looked_at_does_not_count():
    """Rows of truth between labelled frames, such as interpolated ones."""
    answer, truth = by_hand()
    told = truth.replace(meta={"annotated": [0, 1, 3]})
    assert score(answer, told, "skeletons").values() == {"PCK": 3 / 4, "keypoint_error": (0 + 9 + 5) / 3}
    line = SKELETONS.timeline(answer, told).tolist()
    assert line == pytest.approx([np.nan, 1, np.nan, 0.5], nan_ok=True)
    # The object begins where truth first shows it, whether or not somebody looked there.
    late = truth.replace(meta={"annotated": [1, 3]})
    assert score(answer, late, "skeletons").values() == score(answer, told, "skeletons").values()


def test_mmpose():
    golden = json.loads((Path(__file__).parent / "golden/skeletons_mmpose.json").read_text())
    truth, answer, visible, sides = (np.array(golden[k]) for k in ("truth", "answer", "visible", "sides"))
    # Its figures are images; ours are frames after a prompted one.
    truth, answer = (np.concatenate([a[:1], a]) for a in (truth, answer))
    box = np.concatenate([np.zeros((len(truth), 2)), np.concatenate([sides[:1], sides])], axis=1)
    first = np.ones((1, visible.shape[1]), bool)
    for k, expected in enumerate(golden["pck"]):
        mine = np.concatenate([first, visible & (np.arange(visible.shape[1]) == k)])
        assert score(figure(answer), figure(truth, mine, box), "skeletons").values()["PCK"] == pytest.approx(
            expected
        )
    every = figure(truth, np.concatenate([first, visible]), box)
    found = score(figure(answer), every, "skeletons").values()["keypoint_error"]
    assert found == pytest.approx(golden["epe"], rel=1e-6)  # mmpose keeps distances in float32


def test_empty():
    answer, truth = by_hand()
    found = score(Tracks.empty(), truth, "skeletons").values()
    assert found == {"PCK": 0, "keypoint_error": pytest.approx(np.nan, nan_ok=True)}
    unseen = figure(np.ones((4, 2, 2)), False)
    assert all(np.isnan(v) for v in score(answer, unseen, "skeletons").values().values())
    with pytest.raises(InputError, match="no key points"):
        score(answer, Tracks.of([0, 1], 1, np.tile([0.0, 0, 9, 9], (2, 1))), "skeletons")


def test_sequences_are_pooled_and_a_store_keeps_the_counts():
    answer, truth = by_hand()
    parts = [
        score(answer, truth, "skeletons"),
        score(truth.take(truth.frame < 2), truth.take(truth.frame < 2), "skeletons"),
    ]
    assert combine(parts) == {"PCK": (3 + 2) / (5 + 2), "keypoint_error": 24 / 6}
    kept = SKELETONS.of_numbers(SKELETONS.numbers(parts[0].counts))
    assert SKELETONS.combine([kept, parts[1].counts]) == combine(parts)
    board = statistics.leaderboard({"exact": [parts[1]] * 6, "off": [parts[0]] * 6}, "PCK", samples=200)
    assert list(board.index) == ["exact", "off"]


def test_trackers_of_points_are_judged_by_it_where_truth_asks_for_its_rule():
    assert judging("points", ("pck",)) == "skeletons"
    assert judging("points", ("native-first", "pck")) == judging("points", (None, "")) == "points"
    assert judging("sot", ("pck",)) == "sot"
    answer, truth = by_hand()
    assert set(evaluate(answer, truth.replace(meta={"rule": "pck"})).metric) == {"PCK", "keypoint_error"}


def test_a_folder_of_tracks_is_scored_by_it(tmp_path):
    answer, truth = by_hand()
    blank = open_video(np.zeros((4, 20, 200, 3), np.uint8))
    write_sequence(Sequence("walk", blank, truth, benchmark="pck"), tmp_path / "truth", "vtlab")
    for tracker, tracks in (("off", answer), ("exact", truth)):
        write_tracks(tracks, tmp_path / "found", "vtlab", sequence="walk", tracker=tracker)
    found = evaluate_folders(tmp_path / "truth", tmp_path / "found", "vtlab")
    assert found.families == ["skeletons"]
    assert found.table["PCK"].xs("walk", level=1).to_dict() == {"exact": 1, "off": 3 / 5}
    assert list(found.leaderboard.index) == ["exact", "off"]


@pytest.mark.parametrize(
    "name", sorted(f.name for f in FORMATS.values() if f.ready and "points" in f.held("results"))
)
@pytest.mark.filterwarnings("ignore:The rule 'pck' counts hidden")
def test_files_that_hold_points_are_scored_by_it_where_its_rule_is_named(name, tmp_path):
    """By the format's own rule they are of another family; files of one point for each object tell no size, so no PCK."""
    form = FORMATS[name]
    joints = 2 if "skeletons" in form.held("results") else 1
    xy = np.tile([[5.0, 5], [45, 15]], (4, 1, 1))[:, :joints]
    truth, answer = (figure(xy + off, source="manual", size=(20, 200)) for off in (0, [[3.0, 4]]))
    blank = open_video(np.zeros((4, 20, 200, 3), np.uint8))
    write_sequence(Sequence("walk", blank, truth), tmp_path, name)
    write_tracks(answer, tmp_path, name, sequence="walk", tracker="mine")
    found = evaluate_folders(tmp_path, tmp_path, name, rule="PCK")
    assert (found.families, found.rule) == (["skeletons"], "pck")
    pck, error = found.table.loc[("mine", "walk"), ["PCK", "keypoint_error"]]
    assert error == pytest.approx(5, abs=1e-4)
    assert pck == 1 if joints == 2 else np.isnan(pck)


def test_a_rule_that_no_family_of_a_format_has_is_refused_with_those_that_are_known(tmp_path):
    refused = {"otb": ["sot"], "sleap": ["points"], "posetrack": ["mot", "points"], "vtlab": [*FAMILIES]}
    for name, makers in refused.items():
        rules = {r for f in FAMILIES.values() if {f.code, *f.trackers} & {*makers} for r in f.rules}
        with pytest.raises(InputError) as told:
            evaluate_folders(tmp_path, tmp_path, name, rule="xyz")
        whose = " or ".join(makers)
        assert (
            str(told.value)
            == f"Unknown rule 'xyz' for trackers of {whose}. Known: {', '.join(sorted(rules))}."
        )
    with pytest.raises(InputError, match="The rule 'pck' judges trackers of points or skeletons, not of sot"):
        evaluate_folders(tmp_path, tmp_path, "otb", rule="pck")


def test_the_command_names_its_rule(tmp_path):
    answer, truth = by_hand()
    given = truth.replace(source="manual", size=(20, 200))
    blank = open_video(np.zeros((4, 20, 200, 3), np.uint8))
    write_sequence(Sequence("walk", blank, given), tmp_path, "cvat")
    write_tracks(answer.replace(size=(20, 200)), tmp_path, "cvat", sequence="walk", tracker="mine")
    words = ["evaluate", "--truth", tmp_path, "--tracks", tmp_path, "--as", "cvat", "--rule", "pck", "--json"]
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["PCK"] == 2 / 5  # CVAT's skeletons have no box: the extent is the size


def test_compare_shows_it():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (16, 24)), np.ones((5, 5))).astype(np.uint8)
    video = open_video(np.stack([np.roll(image, t, axis=1)[..., None].repeat(3, axis=2) for t in range(5)]))
    xy = np.array([[40.0, 30], [60, 40], [50, 55]]) + np.array([[[t, 0]] for t in range(5)])
    prompts = vtlab.Prompts([vtlab.SkeletonPrompt(xy[0], object_id=1)])
    walk = Sequence("walk", video, figure(xy, size=(80, 120)), prompts, benchmark="pck")
    result = vtlab.compare([walk], ["lucas-kanade"], progress=False)
    asked = vtlab.compare(
        [Sequence("walk", video, walk.truth, prompts)], ["lucas-kanade"], rule="pck", progress=False
    )
    assert asked.families == ["skeletons"]
    assert result.families == ["skeletons"]
    assert result.board("skeletons").frame.columns[:2].tolist() == ["PCK", "keypoint_error"]
    assert result.table["PCK"].iloc[0] == 1


def test_the_name_of_a_rule_chooses_the_family_that_has_it():
    answer, truth = by_hand()
    assert set(evaluate(answer, truth, rule="pck")["metric"]) == {"PCK", "keypoint_error"}
