"""One pipeline over many videos: labels as each ends, resumed, and a summary that hides no failure."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.cli.app import app
from vtlab.datasets.synthetic import synthetic
from vtlab.errors import ExperimentError, InputError
from vtlab.experiments import apply_pipeline, load_pipeline
from vtlab.experiments.apply import videos_of
from vtlab.files import read_csv
from vtlab.video import write_video


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Two videos with boxes on their first frames."""
    folder = tmp_path_factory.mktemp("footage")
    for seed, name in enumerate(("first", "second")):
        made = synthetic(seed=seed, seconds=0.3, objects=2, size=(160, 96), points=0)
        write_video(folder / "clips" / f"{name}.mp4", made.video, 30.0)
        boxes = vtlab.Prompts(p for p in made.prompts if isinstance(p, vtlab.BoxPrompt))
        boxes.save(folder / "prompts" / f"{name}.json")
    return folder


@pytest.fixture
def pipeline(footage):
    return {"name": "boxes", "tracker": "ncc", "prompts": str(footage / "prompts"), "format": "cvat"}


def test_labels_are_written_and_what_is_done_is_not_done_again(footage, pipeline, tmp_path):
    ended = []
    found = apply_pipeline(pipeline, [footage / "clips"], tmp_path, progress=lambda p: ended.append(p.done))
    assert ended[-1] == 2
    assert found.summary["state"].tolist() == ["done", "done"]
    assert found.summary["objects"].tolist() == [2, 2]
    assert found.summary["frames"].tolist() == [9, 9]
    for name, file in zip(found.summary["video"], found.summary["labels"], strict=True):
        assert len(vtlab.Tracks.load(tmp_path / file).object_ids) == 2, name
    assert set(found.doubts["sequence"]) <= {"first", "second"}
    assert found.summary["doubtful"].sum() == len(found.doubts)
    told = read_csv(tmp_path / "summary.csv", ["labels"])
    assert told["labels"].tolist() == found.summary["labels"].tolist()

    ended.clear()
    again = apply_pipeline(pipeline, [footage / "clips"], tmp_path, progress=lambda p: ended.append(p.done))
    assert not any(ended)  # nothing was executed
    assert again.summary.equals(found.summary)


def test_labels_are_there_while_the_next_video_runs_and_after_a_run_was_stopped(footage, pipeline, tmp_path):
    labels = tmp_path / "labels" / "boxes"

    def stop(progress):
        if progress.done == 1:
            assert len(list(labels.iterdir())) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_pipeline(pipeline, [footage / "clips"], tmp_path, progress=stop)
    (kept,) = labels.iterdir()
    kept.unlink()  # as if the run had been stopped between the result and its labels
    assert apply_pipeline(pipeline, [footage / "clips"], tmp_path).summary["state"].tolist() == [
        "done",
        "done",
    ]
    assert len(list(labels.iterdir())) == 2


def test_another_format_is_written_from_the_same_results(footage, pipeline, tmp_path):
    apply_pipeline(pipeline, [footage / "clips"], tmp_path)
    ended = []
    found = apply_pipeline(
        {**pipeline, "format": "vtlab"},
        [footage / "clips"],
        tmp_path,
        progress=lambda p: ended.append(p.done),
    )
    assert not any(ended)
    assert all(name.endswith(".parquet") for name in found.summary["labels"])


def test_labels_that_a_person_changed_are_left_alone(footage, pipeline, tmp_path):
    first = apply_pipeline(pipeline, [footage / "clips"], tmp_path)
    file = tmp_path / first.summary["labels"][0]
    file.write_text("mended by hand")
    other = {**pipeline, "tracker": {"ncc": {"search": 3.0}}}
    found = apply_pipeline(other, [footage / "clips"], tmp_path)
    assert file.read_text() == "mended by hand"
    assert "was changed since" in found.summary["note"][0]
    assert "was changed since" not in found.summary["note"][1]


def test_a_video_that_fails_is_told_and_the_others_go_on(footage, pipeline, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "more.mp4").write_bytes((footage / "clips" / "first.mp4").read_bytes())
    videos = [tmp_path / "broken.mp4", tmp_path / "more.mp4", footage / "clips"]
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("broken", "first", "second"):
        there = footage / "prompts" / f"{name.replace('broken', 'first')}.json"
        (prompts / f"{name}.json").write_bytes(there.read_bytes())
    found = apply_pipeline({**pipeline, "prompts": str(prompts)}, videos, tmp_path / "out")
    assert found.summary["state"].tolist() == ["failed", "failed", "done", "done"]
    assert "broken.mp4" in found.summary["reason"][0]
    assert str(prompts / "more.json") in found.summary["reason"][1]
    assert found.board.frame.index.tolist()[-2:] == ["broken", "more"]
    assert "2 of 4 videos labelled, 2 failed" in found.board.caption


def test_a_detector_and_no_prompts(footage, tmp_path):
    found = apply_pipeline(
        {"tracker": "sort", "detector": {"motion": {}}}, [footage / "clips" / "first.mp4"], tmp_path
    )
    assert found.summary["state"].tolist() == ["done"]
    assert (tmp_path / "labels" / "pipeline" / "first.parquet").is_file()


@pytest.mark.parametrize("tracker", ["auto", "assistant"])
def test_auto_track_and_the_assistant_label_videos_at_once(footage, tracker, tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    pipeline = {"tracker": "auto", "prompts": str(footage / "prompts")}
    if tracker == "assistant":
        pipeline |= {"tracker": {"assistant": {"follower": "ncc"}}, "detector": {"motion": {}}}
    found = apply_pipeline(pipeline, [footage / "clips"], tmp_path, jobs=2)
    assert found.summary["state"].tolist() == ["done", "done"], found.summary["reason"].tolist()
    assert found.summary["frames"].tolist() == [9, 9]
    assert [(tmp_path / file).is_file() for file in found.summary["labels"]] == [True, True]
    assert "2 of 2 videos labelled, 0 failed" in found.board.caption


def test_the_assistant_needs_no_prompts(footage, tmp_path):
    """It finds objects by itself, so that a folder of clips is labelled over night with nothing drawn."""
    pipeline = {"tracker": {"assistant": {"follower": "ncc", "every": 0.0}}, "detector": "motion"}
    found = apply_pipeline(pipeline, [footage / "clips" / "first.mp4"], tmp_path)
    assert found.summary["state"].tolist() == ["done"], found.summary["reason"].tolist()
    assert found.summary["frames"].tolist() == [9]


def test_the_command_prints_the_summary(footage, tmp_path):
    spec = tmp_path / "mine.yaml"
    spec.write_text(f"tracker: ncc\nprompts: {footage / 'prompts'}/{{name}}.json\n")
    ran = CliRunner().invoke(
        app, ["apply", str(spec), str(footage / "clips"), "-o", str(tmp_path / "out"), "--json"]
    )
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "out" / "labels" / "mine" / "first.parquet").is_file()
    assert '"objects"' in ran.stdout


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "tracker is needed"),
        ({"tracker": "ncc", "trackers": 1}, "no 'trackers'"),
        ({"tracker": {"ncc": {"search": [1.5, 2.0]}}}, "a list of values is a grid"),
        ({"tracker": "ncc", "detector": "motion"}, "takes no detector"),
        ({"tracker": "ncc", "direction": "up"}, "forward, backward, both"),
        ({"tracker": "ncc", "limits": {"hours": 1}}, "seconds, memory_mb"),
    ],
)
def test_a_wrong_pipeline_says_what_is_wrong(wrong, told):
    with pytest.raises(ExperimentError, match=re.escape(told)):
        load_pipeline(wrong)


def test_videos_have_names_that_tell_them_apart(footage, tmp_path):
    clip = (footage / "clips" / "first.mp4").read_bytes()
    for name in ("a/x.mp4", "b/x.mp4", "a/y.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(clip)
    assert list(videos_of([tmp_path / "a", tmp_path / "b"])) == ["a-x", "y", "b-x"]
    (tmp_path / "a" / "x.mkv").write_bytes(clip)
    with pytest.raises(InputError, match="Two videos would be called 'a-x'"):
        videos_of([tmp_path / "a"])
    (tmp_path / "none").mkdir()
    for place, told in (
        (tmp_path / "none", "holds no videos"),
        ("rtsp://x/y", "record it first"),
        ("?", "no such"),
    ):
        with pytest.raises(InputError, match=told):
            videos_of([place])
