"""The experiments that ship, on two-second clips: what they find, their tables and plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import vtlab
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import ExperimentError
from vtlab.experiments import load_experiment, report, run_experiment
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import overlap
from vtlab.experiments.handoff import hand_off, handed_on
from vtlab.experiments.realtime import real_time, schedule, streamed
from vtlab.metrics.families import FAMILIES

SHIPPED = Path(__file__).parents[2] / "experiments"
SMALL = {"seconds": 2, "objects": 1, "size": [[160, 120]], "difficulty": "easy"}


@pytest.fixture(scope="module")
def clip():
    return synthetic(seconds=2, objects=1, size=(160, 120), difficulty="easy")


def small(name, folder, **changes):
    """A shipped experiment on a two-second clip, run."""
    spec = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
    spec |= {"data": [{"synthetic": {**SMALL, "seed": [0, 1]}}], "trackers": ["ncc"], "name": name, **changes}
    spec["limits"] = {"seconds": 120}
    return run_experiment(load_experiment(spec, SHIPPED), folder)


BENCHMARKS = ("davis", "got10k", "lasot", "mot17", "otb", "tapvid")


@pytest.mark.parametrize(
    "file", [f for f in sorted(SHIPPED.glob("*.yaml")) if f.stem not in BENCHMARKS], ids=lambda f: f.stem
)
def test_what_ships_can_be_read(file):
    assert load_experiment(file).cells


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_that_is_not_there_is_asked_for(name, tmp_path):
    spec = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
    folder = spec["data"][0]["dataset"]
    with pytest.raises(
        ExperimentError, match=f"there is no '{folder}'.*Remedy: .*(data fetch|get it from http)"
    ):
        load_experiment(spec, tmp_path)


def test_a_benchmark_that_is_there_is_run(tmp_path):
    """MOT17's specification on a clip of its layout, from the public detections that lie beside the clip."""
    import cv2

    from vtlab.testing.scenes import moving_square, square_box

    home = tmp_path / "data" / "mot17" / "train" / "MOT17-02-FRCNN"
    for part in ("img1", "gt", "det"):
        (home / part).mkdir(parents=True)
    boxes = []
    for t, image in enumerate(moving_square(8), 1):
        cv2.imwrite(str(home / "img1" / f"{t:06d}.jpg"), image)
        x1, y1, x2, y2 = square_box(t - 1)
        boxes.append((t, f"{x1},{y1},{x2 - x1},{y2 - y1}"))
    (home / "gt" / "gt.txt").write_text("".join(f"{t},1,{box},1,1,1\n" for t, box in boxes))
    (home / "det" / "det.txt").write_text("".join(f"{t},-1,{box},0.9\n" for t, box in boxes))
    (home / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02-FRCNN\nimDir=img1\nframeRate=10\nseqLength=8\nimWidth=128\nimHeight=96\nimExt=.jpg\n"
    )
    spec = yaml.safe_load((SHIPPED / "mot17.yaml").read_text(encoding="utf-8")) | {"trackers": ["sort"]}
    (tmp_path / "experiments").mkdir()
    plan = load_experiment({**spec, "name": "mot17"}, tmp_path / "experiments")
    store = run_experiment(plan, tmp_path / "runs")
    assert not store.failed()
    (row,) = store.results().to_dict("records")
    assert row["detector"].startswith("public")
    assert row[FAMILIES["mot"].main] > 0.5
    key = plan.cells[0].key
    (home / "det" / "det.txt").write_text("1,-1,0,0,9,9,0.9\n")  # other detections are another cell
    assert load_experiment({**spec, "name": "mot17"}, tmp_path / "experiments").cells[0].key != key


def test_frames_that_arrive_meanwhile_are_dropped():
    """By hand: each step takes 50 ms."""
    used, known, delay = schedule([0.05] * 8, 10)  # a frame each 100 ms: each answer is ready for the next
    assert used.tolist() == list(range(8))
    assert known.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert delay[1:] == pytest.approx(0.1)
    used, known, _ = schedule([0.05] * 8, 40)  # a frame each 25 ms: every other one is dropped
    assert used.tolist() == [0, 2, 4, 6]
    assert known.tolist() == [0, 0, 0, 0, 2, 2, 4, 4]
    assert schedule([0.05] * 8, 40, kept=[3])[0].tolist() == [0, 2, 3, 6]  # a prompt's frame waits
    assert schedule([0.0] * 8, 30)[1].tolist() == list(range(8))


def test_one_slow_step_costs_the_frames_that_arrive_in_it():
    used, known, _ = schedule([0.01, 0.35, *[0.01] * 8], 10)
    assert used.tolist() == [0, 1, 4, 5, 6, 7, 8, 9]
    assert known.tolist() == [0, 0, 0, 0, 0, 4, 5, 6, 7, 8]


def test_a_stream_hangs_on_nothing_but_the_times(clip):
    boxes = clip.prompts[:1]
    used, known, _ = schedule([0.04] * len(clip), 60)
    first, again = (streamed(clip, boxes, Method("ncc"), used, known) for _ in range(2))
    assert np.array_equal(first.boxes, again.boxes)
    assert first.frames.tolist() == list(range(len(clip)))
    stale = first.at(int(np.flatnonzero(known == used[3])[-1]))
    assert np.array_equal(stale.boxes, first.at(int(np.flatnonzero(known == used[3])[0])).boxes)


def test_without_delay_a_stream_is_the_whole_run(clip):
    found = real_time(clip, Method("ncc", {}, "ncc"), rates=[30], slower=1e-5).metrics
    late = np.arange(len(clip)) - 1
    run = streamed(clip, clip.prompts[:1], Method("ncc"), np.arange(len(clip)), np.maximum(late, 0))
    assert found["dropped at 30 fps"] == 0
    assert found["overlap at 30 fps"] == pytest.approx(overlap(run, clip, "sot"))
    assert found["delay_ms at 30 fps"] == pytest.approx(
        1000 / 30 * 59 / 60
    )  # a frame old, however fast it is


@pytest.mark.parametrize("name", ["ncc", "medianflow", "kcf"])
def test_a_stream_that_drops_nothing_gives_the_same_answers(clip, name):
    every = np.arange(len(clip))
    whole = vtlab.track(clip.video, clip.prompts[:1], name, progress=False)
    assert np.array_equal(
        streamed(clip, clip.prompts[:1], Method(name), every, every).boxes, whole.boxes, equal_nan=True
    )


def test_a_slower_machine_drops_more(clip):
    found = [
        real_time(clip, Method("ncc", {}, "ncc"), rates=[30], slower=s).metrics["dropped at 30 fps"]
        for s in (1, 1000)
    ]
    assert found[0] < found[1]
    with pytest.raises(ExperimentError, match="rates"):
        real_time(clip, Method("ncc", {}, "ncc"), rates=[0])


def test_the_runs_of_a_cell_know_nothing_of_each_other():
    """A MedianFlow that was used before gives other boxes, which looked like an effect of the hand-offs."""
    hard = synthetic(seconds=2, objects=1, size=(320, 180))
    found = hand_off(hard, Method("medianflow", {}, "m"), chunks=[1000, 2000, 3000]).metrics
    assert len({v for k, v in found.items() if k.startswith("overlap")}) == 1


def test_real_time_is_told(tmp_path):
    store = small("realtime", tmp_path, fixed={"rates": [10, 60]})
    assert not store.failed()
    (section,) = report.sections(store)
    row = section.board.frame.loc["ncc"]
    assert set(row.index) >= {"no clock", "10 fps", "60 fps", "dropped at 60 fps"}
    assert row["10 fps"].count(" / ") == 1  # two clips stand side by side and have no interval
    page = report.page(store).to_html()
    assert "Real time" in page
    assert "image/svg+xml" in page


def test_a_chunk_starts_from_the_last_answer(clip):
    method, box = Method("ncc", {}, "ncc"), clip.prompts[:1]
    tracks, lost = handed_on(clip, box, method, 8)
    assert tracks.frames.tolist() == list(range(len(clip)))
    assert lost == 0
    assert len(tracks) == len(clip)  # no frame twice
    whole, _ = handed_on(clip, box, method, 10_000)
    found = hand_off(clip, method, chunks=[10_000])
    assert found.metrics["overlap at 10000 frames"] == found.metrics["overlap"]
    assert np.array_equal(tracks.boxes[:8], whole.boxes[:8])
    with pytest.raises(ExperimentError, match="at least 2"):
        hand_off(clip, method, chunks=[1])


def test_hand_off_is_told(tmp_path):
    store = small("handoff", tmp_path, data=[{"synthetic": SMALL}])
    assert not store.failed()
    (section,) = report.sections(store)
    assert {"one session", "8 frames", "128 frames", "change by chunks of 8"} <= set(section.board.frame)
    assert "Hand-off drift" in report.page(store).to_html()


def test_cost_to_quality_is_told(tmp_path):
    store = small("labelling", tmp_path, data=[{"synthetic": SMALL}])
    assert not store.failed()
    (section,) = report.sections(store)
    assert section.board.frame.index.tolist() == ["ncc", "interpolation"]
    assert {"s to 0.8", "figures to 0.8", "s in all", "machine s"} <= set(section.board.frame)
    assert "Cost to quality" in report.page(store).to_html()


def test_breaking_points_are_told_at_any_quality(tmp_path):
    """Ladders on one clip; the quality is the report's, so another one runs nothing again."""
    told = {"grid": {"ladder": ["frame_rate", "size"]}, "fixed": {"pieces": 5, "levels": [15, 12, 6]}}
    store = small("breaking", tmp_path, data=[{"synthetic": SMALL}], **told)
    assert not store.failed()
    (section,) = report.sections(store)
    assert section.board.frame.index.tolist() == ["frame rate", "size"]
    assert section.board.frame.columns.tolist() == ["ncc"]
    assert "at least 0.5" in section.board.caption
    assert "which say nothing of other clips" in section.board.caption
    assert "Breaking points" in report.page(store).to_html()
    again = small("breaking", tmp_path, data=[{"synthetic": SMALL}], report={"quality": 0.1}, **told)
    assert again.keys() == store.keys()
    assert "at least 0.1" in report.sections(again)[0].board.caption


def test_a_contract_is_green_or_red(tmp_path):
    """Other limits run nothing again."""
    told = {"fixed": {"frames": 400, "objects": [1, 2], "objects_frames": 20}, "data": [{"synthetic": SMALL}]}
    store = small("contract", tmp_path, report={"memory_mb": 10_000, "object_ms": 1e-9}, **told)
    assert not store.failed()
    (section,) = report.sections(store)
    row = section.board.frame.loc["ncc"]
    assert row["contract"] == "✗ broken"
    assert row["memory MB"].startswith("✓ ")
    assert row["ms an object"].startswith("✗ ")
    assert " [" in row["growth MB"]
    assert "color:#b3400e" in report.page(store).to_html()
    again = small("contract", tmp_path, report={"memory_mb": 10_000}, **told)
    assert again.keys() == store.keys()
    assert report.sections(again)[0].board.frame.loc["ncc", "contract"] == "✓ kept"
    with pytest.raises(ExperimentError, match="expected limits, some of budget_ms"):
        report.sections(small("contract", tmp_path, report={"budget": 3}, **told))
