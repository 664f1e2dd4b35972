"""Comparison: the table, what is left out and why, converted prompts, proxies, pictures, the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vtlab
from vtlab.comparison import fitting_prompts
from vtlab.contracts import Card, Observation, SingleObjectTracker, WeightFile
from vtlab.errors import InputError, PromptError, RegistryError
from vtlab.geometry import paired_iou
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.show.plot import pareto_front
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 12
BOX = BoxPrompt(square_box(0))
TRUTH = Tracks.of(np.arange(N), np.ones(N), [square_box(i) for i in range(N)])


class Perfect(SingleObjectTracker):
    """Knows the truth."""

    card = Card("perfect", "sot", accepts=frozenset({BoxPrompt}))

    def init(self, frame, prompt):
        return None

    def step(self, frame):
        return Observation(square_box(frame.index))


class FailsAt6(Perfect):
    """Knows the truth until frame 6."""

    card = Card("fails", "sot", accepts=frozenset({BoxPrompt}))

    def step(self, frame):
        if frame.index == 6:
            raise RuntimeError("broken")
        return super().step(frame)


class NeedsWeights(Perfect):
    """Has no weights."""

    card = Card(
        "heavy",
        "sot",
        accepts=frozenset({BoxPrompt}),
        weights=(WeightFile("no-such-file.onnx", "https://localhost/no-such-file.onnx", "0" * 64),),
    )

    def __init__(self):
        from vtlab import weights

        weights.fetch(self.card.weights[0])


@pytest.fixture(scope="module")
def comparison():
    return vtlab.compare(
        moving_square(N),
        [Perfect, "ncc", "identity", NeedsWeights, FailsAt6],
        prompts=BOX,
        truth=TRUTH,
        progress=False,
    )


def test_the_best_is_first_and_what_could_not_run_is_last_with_the_reason(comparison):
    table = comparison.table
    assert set(table.index[:2]) == {"perfect", "ncc"}
    assert table.loc["perfect", "success_auc"] == table.loc["ncc", "success_auc"]
    assert comparison.best() is None  # both have the very same value
    assert "ncc and perfect are level on this clip" in comparison.choice().why
    assert table.index.tolist().index("ncc") < table.index.tolist().index("identity")
    assert table.loc["perfect", "ao"] == 1
    assert "no-such-file.onnx" in table.loc["heavy", "note"]
    assert "failed on frame 6" in table.loc["fails", "note"]
    assert table.loc["fails", "ao"] == pytest.approx(6 / 12)  # what it didn't answer counts as missed
    assert table.loc["fails", "finished"] == "0 of 1"
    assert table.index[-2:].tolist() == ["fails", "heavy"]
    assert np.isnan(table.loc["heavy", "success_auc"])  # it never ran, which says nothing of it
    failed = next(r for r in comparison.runs if r.tracker == "fails")
    assert failed.tracks.frames.tolist() == list(range(6))
    assert not failed.ok
    assert (table["fps"].dropna() > 0).all()


def test_scores_are_tidy_and_name_their_rule(comparison):
    scores = comparison.scores
    assert set(scores.columns) == {
        "tracker",
        "sequence",
        "object_id",
        "metric",
        "value",
        "rule",
        "family",
    }
    assert set(scores["rule"]) != {""}
    assert set(scores["tracker"]) == {"perfect", "ncc", "identity", "fails"}


def test_the_rule_is_obeyed():
    overlap = paired_iou([square_box(0)] * N, TRUTH.boxes)

    def ao(rule):
        found = vtlab.compare(
            moving_square(N), ["identity"], prompts=BOX, truth=TRUTH, rule=rule, progress=False
        )
        return found.table.loc["identity", "ao"]

    assert ao("otb") == pytest.approx(overlap.mean())  # the prompted frame counts
    assert ao({"sot": "got10k"}) == pytest.approx(overlap[1:].mean())  # it is dropped


def test_without_truth_only_proxies_are_measured_and_named():
    given = {"video": moving_square(N), "trackers": [Perfect, "ncc", "identity"], "prompts": BOX}
    found = vtlab.compare(**given, progress=False, forward_backward=True)
    assert set(found.scores["metric"]) == {"fb_consistency", "agreement", "lost_share", "jumps"}
    assert set(found.scores["rule"]) == {"proxy, without truth"}
    assert found.table.loc["perfect", "fb_consistency"] == pytest.approx(1)
    assert "success_auc" not in found.table
    assert np.isnan(found.table.loc["identity", "fb_consistency"])  # it always comes home, which says nothing
    assert "never moves" in found.table.loc["identity", "note"]
    assert found.table.index.tolist() == ["perfect", "ncc", "identity"]  # as given: nothing ranks
    once = vtlab.compare(**given, progress=False)
    assert all(
        r.backward is None for r in once.runs
    )  # twice the time for a number that ranks nobody: only if asked for
    assert found.best() is None


def test_labels_and_parameters():
    found = vtlab.compare(
        moving_square(4),
        {"small": ("ncc", {"search": 1.5}), "large": ("ncc", {"search": 4.0})},
        prompts=BOX,
        progress=False,
    )
    assert set(found.table.index) == {"small", "large"}
    params = {r.tracker: r.tracks.meta["tracker"]["params"]["search"] for r in found.runs}
    assert params == {"small": 1.5, "large": 4.0}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"trackers": []}, InputError, "No tracker was given. Known: .*csrt"),
        ({"trackers": ["ncc"], "budget_ms": 0}, InputError, "budget_ms must be above 0"),
        ({"trackers": ["ncc", "ncc"]}, InputError, "'ncc' is given twice"),
        ({"trackers": ["ncc", "nccc"]}, RegistryError, "Did you mean 'ncc'"),
        ({"trackers": ["ncc"], "video": []}, InputError, "non-empty iterable of sequences"),
        ({"trackers": ["ncc"], "prompts": BoxPrompt((999, 1, 1010, 9))}, PromptError, "outside the frame"),
    ],
)
def test_bad_input(arguments, error, message):
    arguments = {"video": moving_square(3), "prompts": BOX, **arguments}
    with pytest.raises(error, match=message):
        vtlab.compare(arguments.pop("video"), arguments.pop("trackers"), progress=False, **arguments)


def test_a_tracker_that_can_not_take_the_prompts_has_a_row_that_says_so():
    points = PointPrompt(((30, 30),))
    found = vtlab.compare(moving_square(4), ["ncc", "lucas-kanade"], prompts=points, progress=False)
    assert "'ncc' takes BoxPrompt; object 1 has only point prompts" in found.table.loc["ncc", "note"]


def test_masks_become_boxes_for_trackers_of_boxes_and_are_kept_for_masks():
    video = open_video(moving_square(2))
    mask = MaskPrompt(polygon=((20, 16), (44, 16), (44, 40), (20, 40)), label="it")
    prompts, note = fitting_prompts(TRACKERS.card("ncc"), Prompts(mask), video)
    assert prompts[0] == BoxPrompt((20, 16, 44, 40), label="it")
    assert note == "Box of the mask used for 1 prompt(s)."
    prompts, note = fitting_prompts(TRACKERS.card("identity"), Prompts([mask, BOX]), video)
    assert prompts.kinds == {MaskPrompt}
    assert note == ""


def test_several_sequences_combine_by_the_rule():
    from vtlab.datasets import Sequence

    sequences = [
        Sequence(name, open_video(moving_square(N)), truth=TRUTH, prompts=Prompts(BOX)) for name in ("a", "b")
    ]
    found = vtlab.compare(sequences, [Perfect, "identity"], progress=False)
    assert {"a", "b", "all"} <= set(found.scores["sequence"])
    one = vtlab.compare(sequences[0], ["identity"], progress=False)
    assert found.table.loc["identity", "success_auc"] == pytest.approx(
        one.table.loc["identity", "success_auc"]
    )
    with pytest.raises(InputError, match="different names"):
        vtlab.compare([sequences[0], sequences[0]], [Perfect], progress=False)


def test_names_and_notes_are_text_in_a_page(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    found = vtlab.compare(moving_square(3), {hostile: "ncc", "b": NeedsWeights}, prompts=BOX, progress=False)
    noted = replace(found, runs=(found.runs[0], replace(found.runs[1], note=hostile)))
    page = noted.report(tmp_path / "r.html", title=hostile, video=False).read_text()
    assert hostile not in page + noted._repr_html_()
    assert "&lt;img src=x" in page


def test_a_latency_budget_decides(comparison):
    table = comparison.table.dropna(subset="latency_p95_ms")
    slow = table.loc["perfect", "latency_p95_ms"]
    ample = replace(comparison, budget_ms=1000 * slow)
    assert ample.best() is None
    assert "0 of 11 frames over, too few to vouch for: 59 needed" in ample.answer()[0]
    tight = replace(comparison, budget_ms=1e-9)
    assert tight.best() is None
    assert tight.choice().why.startswith("none stays within 1e-09 ms on 95 of 100 frames, the fastest is")
    assert "none stays within 1e-09 ms on 95 of 100 frames, the fastest is" in tight.answer()[0]
    slower = comparison.runs[0].tracks.replace(step_seconds=np.full(N, 10.0))
    among = replace(comparison, runs=(replace(comparison.runs[0], tracks=slower), *comparison.runs[1:]))
    among = replace(among, budget_ms=5000.0)
    assert among.best() == "ncc"
    assert "choose ncc" in among.answer()[0]
    assert among.plot().axes


def test_a_small_budget_decodes_again_and_gives_the_same(comparison):
    again = vtlab.compare(
        moving_square(N), ["ncc"], prompts=BOX, truth=TRUTH, memory_budget=0, progress=False
    )
    assert again.table.loc["ncc", "success_auc"] == comparison.table.loc["ncc", "success_auc"]


def test_pictures_and_report(comparison, tmp_path):
    image = comparison.frame(3)
    assert image.ndim == 3
    assert image.dtype == np.uint8
    video = comparison.save_video(tmp_path / "side.mp4")
    assert len(open_video(video)) == N
    report = comparison.report(tmp_path / "deep" / "report.html", title="<b>My</b> test")
    text = report.read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;My&lt;/b&gt; test</h1>" in text
    assert "ncc and perfect are level on this clip with success_auc" in text
    assert "no-such-file.onnx" in text
    assert text.count("data:image/") >= 4
    assert "data:video/mp4" in text
    assert "http://" not in text.replace("https://", "").split("Provenance")[0]
    assert [p.name for p in report.parent.iterdir()] == ["report.html"]


def test_saved_results_are_readable(comparison, tmp_path):
    import pandas as pd

    folder = comparison.save(tmp_path / "out")
    assert len(pd.read_parquet(folder / "scores.parquet")) == len(comparison.scores)
    assert "perfect" in pd.read_csv(folder / "table.csv")["tracker"].tolist()
    assert len(Tracks.load(folder / "ncc" / "array.parquet")) == N


def test_pareto_front_by_hand():
    cost, quality = np.array([1.0, 2, 3, 2, np.nan]), np.array([0.5, 0.7, 0.7, 0.4, 0.9])
    assert pareto_front(cost, quality).tolist() == [0, 1]


def test_a_run_that_the_truth_can_not_judge_is_a_note(tmp_path):
    """Truth on few frames can't judge a tracker of many objects; the others are judged, the report is written."""
    video = open_video(moving_square())
    sparse = Sequence("square", video, TRUTH.take(TRUTH.frame % 4 == 0), prompts=Prompts([BOX]))
    found = vtlab.compare([sparse], {"one": Perfect, "all": ("sort", {"detector": "motion"})}, progress=False)
    assert found.table.loc["one", "success_auc"] > 0.9
    assert "need truth on every frame" in found.table.loc["all", "note"]
    assert set(found.unjudged) == {("all", sparse.name)}
    assert found.report(tmp_path / "report.html").is_file()
    with pytest.raises(InputError, match="Unknown rule"):
        vtlab.compare([sparse], [Perfect], rule="none", progress=False).table  # noqa: B018
