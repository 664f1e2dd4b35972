"""Frames to label as images, labels back from any file, and the command that does both without a notebook."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import vtlab
from vtlab.cli import app
from vtlab.decision import sheet
from vtlab.errors import FormatError, InputError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, PointPrompt, Prompts
from vtlab.tracks import Tracks
from vtlab.video import open_video, write_video

N = 120
HOME = np.array([20.0, 10.0, 44.0, 34.0])


@pytest.fixture
def work(tmp_path):
    """A video, and the results of two trackers on it: one follows the square, one drifts off."""
    pictures = np.full((N, 48, 64, 3), 40, np.uint8)
    pictures[:, 10:34, 20:44] = 200
    pictures[:, 0, 0] = np.arange(N)[:, None]
    write_video(tmp_path / "street.mp4", pictures, 25)
    away = np.minimum(np.arange(N), 40)[:, None] * 0.5
    for name, shift in (("good", 0.2), ("bad", away)):
        boxes = np.tile(HOME, (N, 1)) + shift
        boxes[0] = HOME
        Tracks.of(np.arange(N), 1, boxes).save(tmp_path / name / "street.parquet")
    return tmp_path


def results(work):
    return [str(work / name / "street.parquet") for name in ("good", "bad")]


def call(*arguments, code=0):
    done = CliRunner().invoke(app, ["verdict", *map(str, arguments)])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def test_the_command_from_the_first_call_to_the_answer(work):
    """Each round: images, labels in the prompts file beside them, sentence; the file carries what was said."""
    folder, file = work / "to_label", work / "v.json"
    options = (*results(work), "--video", work / "street.mp4", "--frames", folder, "--file", file, "--json")
    answer = json.loads(call(*options).stdout)
    assert answer["state"] == "label"
    images = sorted(folder.glob("*.png"))
    assert [p.name for p in images] == [f"frame_{f:06d}.png" for f in [0, *answer["label"]]]
    assert cv2.imread(str(images[1])).shape == (48, 64, 3)
    begin = Prompts.load(folder / "labels.json")
    assert [(p.frame, p.xyxy) for p in begin] == [(0, tuple(HOME))]
    for _ in range(5):
        frames = [f for f in answer["label"] if f != answer["label"][0]]
        known = Prompts.load(folder / "labels.json")
        more = [BoxPrompt(tuple(HOME), frame=f) for f in answer["label"]]
        Prompts([*known, *more]).save(folder / "labels.json")
        answer = json.loads(call(*options, "--labels", folder / "labels.json").stdout)
        assert set(frames).isdisjoint(answer["label"])
        if answer["state"] != "label":
            break
    assert answer["chosen"] == ["good"]
    assert "against your labels" in answer["sentence"]
    assert [row["tracker"] for row in answer["table"]] == ["good", "bad"]
    shown = call(*options[:-1])
    assert "good" in shown.stdout
    assert "With 95 % confidence" in " ".join(shown.stdout.split())


def test_no_tracker_is_seen_in_what_is_to_be_labelled(work):
    call(*results(work), "--video", work / "street.mp4", "--frames", work / "f", "--file", work / "v.json")
    video = open_video(work / "street.mp4")
    for path in (work / "f").glob("*.png"):
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], video[int(path.stem[6:])])


def test_labels_already_drawn_are_not_written_over(work):
    options = (
        *results(work),
        "--video",
        work / "street.mp4",
        "--frames",
        work / "f",
        "--file",
        work / "v.json",
    )
    call(*options)
    Prompts([BoxPrompt((1, 2, 3, 4), frame=9)]).save(work / "f" / "labels.json")
    call(*options)
    assert [p.frame for p in Prompts.load(work / "f" / "labels.json")] == [9]


def test_absent_and_unsure_frames_on_the_command_line(work):
    options = (*results(work), "--file", work / "v.json", "--json")
    first = json.loads(call(*options).stdout)["label"]
    rest = ",".join(map(str, first[1:]))
    answer = json.loads(call(*options, "--absent", rest, "--unsure", first[0]).stdout)
    assert set(answer["label"]).isdisjoint(first)
    with pytest.raises(InputError, match="--absent"):
        raise call(*options, "--absent", "x", code=1).exception


@pytest.fixture
def town(tmp_path):
    """Two videos, and the results of two trackers on each, a folder for each tracker."""
    for name, n in (("street", N), ("yard", 60)):
        pictures = np.full((n, 48, 64, 3), 40, np.uint8)
        pictures[:, 0, 0] = np.arange(n)[:, None]
        (tmp_path / "videos").mkdir(exist_ok=True)
        write_video(tmp_path / "videos" / f"{name}.mp4", pictures, 25)
        away = np.minimum(np.arange(n), 40)[:, None] * 0.5
        for tracker, shift in (("good", 0.2), ("bad", away)):
            boxes = np.tile(HOME, (n, 1)) + shift
            boxes[0] = HOME
            Tracks.of(np.arange(n), 1, boxes).save(tmp_path / "runs" / tracker / f"{name}.parquet")
    return tmp_path


def test_several_videos_on_the_command_line(town):
    """A folder for each tracker, a folder of videos, and a folder of frames and labels for each video."""
    work, told = town / "to_label", town / "v.json"
    base = (
        town / "runs/good",
        town / "runs/bad",
        "--video",
        town / "videos",
        "--frames",
        work,
        "--file",
        told,
    )
    answer = json.loads(call(*base, "--json").stdout)
    assert set(answer["label"]) == {"street", "yard"}
    assert answer["outlook"]
    for name, frames in answer["label"].items():
        images = {p.name for p in (work / name).glob("*.png")}
        assert images == {f"frame_{f:06d}.png" for f in [0, *frames]}
        assert len(Prompts.load(work / name / "labels.json")) == 1
    for _ in range(6):
        for name, frames in answer["label"].items():
            known = Prompts.load(work / name / "labels.json") if (work / name).exists() else Prompts()
            Prompts([*known, *(BoxPrompt(tuple(HOME), frame=f) for f in frames)]).save(
                work / name / "labels.json"
            )
        answer = json.loads(call(*base, "--labels", work, "--json").stdout)
        if answer["state"] != "label":
            break
    assert answer["chosen"] == ["good"]
    assert "these 2 clips" in answer["sentence"]
    shown = " ".join(call(*base).stdout.split())
    assert "against your labels" in shown


def test_files_of_several_videos_one_by_one(town):
    files = [town / "runs" / t / f"{v}.parquet" for t in ("good", "bad") for v in ("street", "yard")]
    videos = [x for v in ("street", "yard") for x in ("--video", town / "videos" / f"{v}.mp4")]
    told = town / "v.json"
    answer = json.loads(call(*files, *videos, "--frames", town / "f", "--file", told, "--json").stdout)
    street, yard = (answer["label"][v] for v in ("street", "yard"))
    cells = [f"street:{','.join(map(str, street))}", f"yard:{','.join(map(str, yard))}"]
    answer = json.loads(
        call(*files, "--file", told, "--absent", cells[0], "--unsure", cells[1], "--json").stdout
    )
    assert set(answer["label"]["street"]).isdisjoint(street)
    shown = call(*files, "--file", told)
    assert "Frames of street (from 0)" in shown.stdout
    for wrong, why in (
        (("--absent", "3"), "of which video"),
        (("--absent", "lane:3"), "no video 'lane'"),
        (("--labels", town / "runs"), "the name of a video"),
        (("--video", town / "videos" / "street.mp4"), "no video named 'yard'"),
    ):
        with pytest.raises(InputError, match=why):
            raise call(*files, "--file", told, "--frames", town / "f", *wrong, code=1).exception
    with pytest.raises(InputError, match="results of the same trackers"):
        raise call(*files[:-1], "--file", town / "w.json", code=1).exception
    (town / "none").mkdir()
    with pytest.raises(InputError, match="holds no results"):
        raise call(town / "none", town / "runs/good", code=1).exception


def test_the_truth_beside_saved_results_is_no_tracker(town):
    for name, n in (("street", N), ("yard", 60)):
        Tracks.of(np.arange(n), 1, np.tile(HOME, (n, 1))).save(town / "runs" / "truth" / f"{name}.parquet")
    files = sorted((town / "runs").glob("*/street.parquet"))
    answer = json.loads(call(*files, "--file", town / "v.json", "--json").stdout)
    assert answer["state"] == "exact"
    assert [row["tracker"] for row in answer["table"]] == ["good", "bad"]
    folders = sorted((town / "runs").iterdir())
    answer = json.loads(call(*folders, "--file", town / "w.json", "--json").stdout)
    assert answer["state"] == "exact"
    assert "these 2 clips" in answer["sentence"]


def test_labels_of_every_kind_are_read(tmp_path):
    boxes = Tracks.of([3, 5], 1, np.tile(HOME, (2, 1)))
    boxes.save(tmp_path / "labels.parquet")
    assert sheet.read(tmp_path / "labels.parquet").frames.tolist() == [3, 5]
    (tmp_path / "labels.txt").write_text("21,11,24,24\n21,11,24,24\n")  # its pixels begin at 1
    assert np.allclose(sheet.read(tmp_path / "labels.txt", "got10k").boxes, HOME)
    with pytest.raises(FormatError, match=r"none\.txt"):
        sheet.read(tmp_path / "none.txt")
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(FormatError, match=r"half\.json"):
        sheet.read(tmp_path / "half.json")


def test_figures_of_a_person_become_tracks():
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:9] = True
    made = sheet.as_tracks(Prompts([MaskPrompt.of(mask, frame=4), MaskPrompt.of(mask, frame=7, object_id=2)]))
    assert made.size == (20, 30)
    assert np.array_equal(made.mask(0), mask)
    assert made.boxes[1].tolist() == [3, 2, 9, 6]
    made = sheet.as_tracks(Prompts([PointPrompt(((1, 2), (3, 4)), frame=4)]))
    assert made.points.xy.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="click of object 1 on frame 2"):
        sheet.as_tracks(Prompts([ClickPrompt(((1, 2),), (True,), frame=2)]))


def test_a_video_of_another_length_is_refused(work):
    short = open_video(np.zeros((9, 48, 64, 3), np.uint8))
    v = vtlab.verdict({p.split("/")[-2]: Tracks.load(p) for p in results(work)})
    with pytest.raises(InputError, match="another video"):
        sheet.write(v.next(), v.clips["video"], short, work / "f")
