"""Files as people have them: gaps, other values, counts from zero, results that are there twice."""

from __future__ import annotations

import os
import shutil
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

import vtlab
from vtlab import formats
from vtlab.benchmark import evaluate_folders
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.formats.motchallenge import read_mot
from vtlab.sequence import Sequence
from vtlab.testing.formats import example
from vtlab.tracks import Source, Tracks
from vtlab.video import open_video

N = 8
BOXES = np.array([[f, 5, f + 20, 35] for f in range(N)], float)


def pictures(folder, numbers, digits=6):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:0{digits}d}.png"), np.full((48, 64, 3), number, np.uint8))


def mot(root, numbers=range(1, N + 1), first=1, length=N):
    """A sequence S of MOTChallenge, and a perfect result of it."""
    pictures(root / "truth/S/img1", numbers)
    (root / "truth/S/gt").mkdir()
    lines = [f"{f + first},1,{f + 1},6,20,30,1,1,1" for f in range(N)]
    (root / "truth/S/gt/gt.txt").write_text("\n".join(lines))
    info = f"[Sequence]\nimDir=img1\nframeRate=25\nseqLength={length}\nimWidth=64\nimHeight=48\n"
    (root / "truth/S/seqinfo.ini").write_text(info)
    (root / "results/it").mkdir(parents=True)
    (root / "results/it/S.txt").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize(
    ("numbers", "length", "message"),
    [
        ([1, 2, 3, 5, 6, 7, 8], 8, "7 images where seqinfo.ini says 8. The first that is missing is 000004"),
        ([1, 2, 3, 5, 6, 7, 8, 9], 8, "don't count from 1 without a gap.* missing is 000004"),
        (range(31, 39), 8, "000031.png to 000038.png don't count from 1"),
        (range(1, 16, 2), 8, "missing is 000002"),
        (range(1, 9), "", "seqlength"),
    ],
)
def test_the_number_in_a_name_is_the_frame(tmp_path, numbers, length, message):
    root = mot(tmp_path, numbers, length=length)
    with pytest.raises(FormatError, match=message):
        open_dataset(root / "truth", layout="mot17")[0]


def test_a_frame_rate_that_is_none(tmp_path):
    root = mot(tmp_path)
    path = root / "truth/S/seqinfo.ini"
    path.write_text(path.read_text().replace("frameRate=25", "frameRate="))
    with pytest.raises(FormatError, match="frameRate must be a number, got ''"):
        open_dataset(root / "truth", layout="mot17")[0]


def test_truth_that_counts_from_zero(tmp_path):
    root = mot(tmp_path, first=0)
    with pytest.raises(FormatError, match="--first-frame 0"):
        evaluate_folders(root / "truth", root / "results", "mot17")
    found = evaluate_folders(root / "truth", root / "results", "mot17", first_frame=0)
    assert found.table["HOTA"].tolist() == [1.0]
    assert open_dataset(root / "truth", layout="mot17", first_frame=0)[0].truth.frame[0] == 0
    # Truth from 1 stays so where only results count from 0.
    usual = mot(tmp_path / "other")
    shutil.copy(root / "results/it/S.txt", usual / "results/it/S.txt")
    found = evaluate_folders(usual / "truth", usual / "results", "mot17", first_frame=0)
    assert found.table["HOTA"].tolist() == [1.0]


def test_two_results_of_one_sequence(tmp_path):
    root = mot(tmp_path)
    (root / "results/it/data").mkdir()
    shutil.copy(root / "results/it/S.txt", root / "results/it/data/S.txt")
    with pytest.raises(FormatError, match="are results of one tracker for one sequence"):
        evaluate_folders(root / "truth", root / "results", "mot17")
    otb = tmp_path / "otb"
    (otb / "truth/Jogging-1").mkdir(parents=True)
    np.savetxt(otb / "truth/Jogging-1/groundtruth_rect.txt", np.full((5, 4), 9), "%d", ",")
    (otb / "results").mkdir()
    for name in ("Jogging-1", "Jogging.1"):
        np.savetxt(otb / f"results/{name}.txt", np.full((5, 4), 9), "%d", ",")
    with pytest.raises(FormatError, match="are results of one tracker for one sequence"):
        evaluate_folders(otb / "truth", otb / "results", "otb")


@pytest.mark.parametrize("layout", ["mot17", "davis", "mots-png", "youtube-vis", "yolo"])
@pytest.mark.parametrize("folder", ["mine/data", "mine/res", "mine/results/data"])
def test_a_folder_of_data_is_no_tracker(tmp_path, layout, folder):
    """The folder that other tools put between a tracker's and its results names nothing, as the root itself either."""
    form = formats.find_format(layout)
    masks = None if "boxes" in form.held("results") else [np.ones((48, 64), bool)] * N
    tracks = Tracks.of(range(N), 1, BOXES if masks is None else None, masks=masks, size=(48, 64), label="car")
    formats.write_tracks(tracks, tmp_path / "made", form, sequence="S", tracker="mine")
    root = tmp_path / folder
    root.parent.mkdir(parents=True)
    shutil.move(tmp_path / "made/mine", root)
    for given in (root, tmp_path / "mine"):
        assert [(r.tracker, r.sequence) for r in form.find_results(given, ["S"])] == [("mine", "S")]
    assert {r.tracker for r in form.find_results(tmp_path, ["S"])} == {"mine"}


@pytest.mark.skipif(os.name == "nt", reason="no disk of Windows takes a colon")
@pytest.mark.parametrize("layout", sorted(n for n, form in formats.FORMATS.items() if form.ready))
def test_names_with_a_colon_stay(tmp_path, layout):
    """A result is found by its sequence's name, so a name that the disk takes is written as it is."""
    form, name = formats.find_format(layout), "2024-01-01T12:30:05"
    tracks = example(form)
    formats.write_tracks(tracks, tmp_path, form, sequence=name)
    for tracker in ("my:tracker", "my_tracker"):  # two files, not one
        formats.write_tracks(example(form, "results"), tmp_path, form, sequence=name, tracker=tracker)
    assert list(form.find(tmp_path)) == [name]
    found = {(r.tracker, r.sequence) for r in form.find_results(tmp_path, [name])}
    assert found == {("my:tracker", name), ("my_tracker", name)}


@pytest.mark.shared
def test_truth_read_as_tracks_carries_its_rule(shared):
    folder = shared / "data/mot/MOT17-05-DPM"
    truth = read_mot(folder / "gt/gt.txt", "truth")
    assert truth.record.rule == "mot17"
    assert read_mot(shared / "data/mot/TUD-Campus/gt/gt.txt", "truth").record.rule == "mot15"
    of_sequence = open_dataset(folder, layout="mot").truth("MOT17-05-DPM")
    assert of_sequence.record.rule == "mot17"
    answer = truth.take(truth.score > 0).replace(meta={})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same_ids = vtlab.evaluate(answer, of_sequence)
    assert set(same_ids.rule) == {"mot17"}
    assert "HOTA" in set(same_ids.metric)


@pytest.fixture
def video():
    return open_video(np.zeros((N, 48, 64, 3), np.uint8), name="street")


def test_truth_beyond_the_video(video):
    truth = Tracks.of(np.arange(N), 1, BOXES)
    with pytest.raises(InputError, match=r"'s': the truth reach frame 7 .*, the video has 5 frames"):
        Sequence("s", video[:5], truth)
    with pytest.raises(InputError, match="the truth is of 8 frames, the video has 5"):
        Sequence("s", video[:5], truth.between(0, 4).replace(meta={"frames": N}))
    with pytest.raises(InputError, match="the ignore reach frame 7"):
        Sequence("s", video[:5], ignore=truth)


@pytest.mark.parametrize("cut", [np.s_[::2], np.s_[3:], np.s_[6:1:-2]])
def test_truth_of_the_whole_scores_tracks_of_a_part(video, cut):
    whole = Sequence("s", video, Tracks.of(np.arange(N), 1, BOXES), benchmark="otb")
    clip = video[cut]
    start, step = clip.span
    frames = np.arange(len(clip))
    source = Source.of_video(clip, digest=False)
    answer = Tracks.of(frames, 1, BOXES[start + step * frames], meta={"video": source.to_dict()})
    found = vtlab.evaluate(answer, whole.truth)
    assert found[(found.metric == "ao")].value.tolist() == [1.0]
    with pytest.raises(InputError, match=r"The truth reaches frame 7 .*frames .* of street"):
        vtlab.evaluate(answer, Tracks.of(np.arange(N), 1, BOXES))
    with pytest.warns(VtlabWarning, match="the truth doesn't say of which frames it is"):
        vtlab.evaluate(answer, Tracks.of(frames, 1, BOXES[: len(clip)]), "sot")
    with pytest.raises(InputError, match="Tracks of frames .* can't be used on frames 0 to 7 of street"):
        vtlab.evaluate(Sequence("s", video, Tracks.of(np.arange(N), 1, BOXES)).truth, answer, "sot")


def masks(folder, *values, shift=0, names="{:05d}.png"):
    folder.mkdir(parents=True)
    for f in range(N):
        image = np.zeros((48, 64), np.uint8)
        for k, value in enumerate(values):
            image[5 + 20 * k : 20 + 20 * k, 4 + f + shift : 24 + f + shift] = value
        Image.fromarray(image).save(folder / names.format(f))


def davis(tmp_path, truth, answer, **how):
    masks(tmp_path / "gt/Annotations/480p/a", *truth)
    masks(tmp_path / "results/it/a", *answer, **how)
    return evaluate_folders(tmp_path / "gt", tmp_path / "results", "davis").table["J&F"].tolist()


@pytest.mark.parametrize("value", [255, 128, 7])
def test_one_object_in_another_value(tmp_path, value):
    with pytest.warns(VtlabWarning, match=f"drawn as {value}, in the truth as 1"):
        assert davis(tmp_path, [1], [value]) == [1.0]


@pytest.mark.parametrize(("answer", "told"), [([1, 255], "255"), ([3, 4], "3, 4"), ([128, 255], "128, 255")])
def test_values_that_mean_nothing(tmp_path, answer, told):
    with pytest.raises(FormatError, match=rf"00000\.png: the values {told} are no object .* has 1, 2"):
        davis(tmp_path, [1, 2], answer)


def test_masks_without_leading_zeros(tmp_path):
    assert davis(tmp_path, [1, 2], [1, 2], names="{}.png") == [1.0]


@pytest.mark.parametrize("inside", ["", "it"])
@pytest.mark.parametrize("target", ["davis", "vtlab"])
def test_results_are_converted_as_they_are_scored(tmp_path, target, inside):
    """DAVIS 2016 has one object drawn as 255; whatever a result draws answers it, after a conversion, too."""
    masks(tmp_path / "own/truth/Annotations/480p/a", 255)
    masks(tmp_path / "own/it/a", 1, 2, shift=1)
    direct = evaluate_folders(tmp_path / "own", tmp_path / "own", "davis").table["J&F"].tolist()
    vtlab.formats.convert(tmp_path / "own", tmp_path / "out", target, layout="davis")
    done = vtlab.formats.convert(
        tmp_path / "own" / inside, tmp_path / "out", target, layout="davis", results=True
    )
    assert len(done.written) == 1
    answers = tmp_path / "out" / "it"
    rule = {} if target == "davis" else {"rule": "davis"}
    again = evaluate_folders(tmp_path / "out", answers, target, **rule).table["J&F"].tolist()
    assert again == pytest.approx(direct)


@pytest.mark.shared
def test_shared_cases(shared):
    cases = shared / "data/cases"
    if not cases.is_dir():
        pytest.skip(f"the shared data has no {cases}")
    for value in ("r255", "r128"):
        with pytest.warns(VtlabWarning, match="drawn as"):
            found = evaluate_folders(cases / "vos/gt1", cases / f"vos/{value}", "davis")
        assert found.table["J&F"].tolist()[0] > 0.5
    with pytest.raises(FormatError, match="missing is 000004"):
        open_dataset(cases / "mot/missing_image", layout="mot")[0]
