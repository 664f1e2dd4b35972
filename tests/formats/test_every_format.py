"""The contract of a format, for every record that the registry finds, unasked."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

import vtlab
from vtlab import formats
from vtlab.benchmark import evaluate_folders
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, InputError, RegistryError, TracksError
from vtlab.formats import FORMATS, find_format
from vtlab.prompts import BoxPrompt
from vtlab.sequence import Sequence
from vtlab.testing import CONTRACTS, FORMAT, check_format
from vtlab.testing.formats import SIZE, added, example
from vtlab.tracks import Source, Tracks
from vtlab.video import open_video

NAMES = sorted(name for name, form in FORMATS.items() if form.ready)
WORDS = (
    "otb",
    "got10k",
    "lasot",
    "trackingnet",
    "vot",
    "motchallenge",
    "mot",
    "mot15",
    "mot16",
    "mot17",
    "mot20",
)
WORDS = (*WORDS, "mots", "davis", "youtube-vos", "tapvid", "boxes", "vtlab")


@pytest.mark.parametrize("check", FORMAT, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(name)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"boxes", "vtlab"}))
def test_a_format_is_told_by_its_look(name, tmp_path):
    formats.write_tracks(example(FORMATS[name]), tmp_path, name, sequence="walk")
    assert formats.sniff(tmp_path).name in (name, "davis")


OWN = """
from dataclasses import dataclass
from vtlab.formats.otb import FORMAT as OTB

@dataclass(frozen=True, kw_only=True)
class Own(type(OTB)):
    def write_tracks(self, tracks, path, kind="results"):
        {write}
        return super().write_tracks(tracks, path, kind)

FORMAT = Own(**{{**vars(OTB), "name": "own"}})
WORDS = 3
"""


def test_a_format_in_a_file_of_ones_own(tmp_path):
    """It is asked like those of vtlab, and taken wherever the name of a format is."""
    for name, write in {"sound": "pass", "shifts": "tracks = tracks.replace(boxes=tracks.boxes + 1)"}.items():
        (tmp_path / f"{name}.py").write_text(OWN.format(write=write))
    sound, shifts = (f"{tmp_path / name}.py:FORMAT" for name in ("sound", "shifts"))
    assert {r.state for r in check_format(sound)} == {"pass"}
    states = {r.check: r.state for r in check_format(shifts)}
    assert states["what it holds comes back, as truth and as results"] == "fail"
    assert states["names of two-target sequences are the same everywhere"] == "pass"
    given = example(FORMATS["otb"])
    formats.write_tracks(given, tmp_path / "data", sound, sequence="walk")
    formats.write_tracks(given, tmp_path / "data", sound, sequence="walk", tracker="mine")
    assert (
        evaluate_folders(tmp_path / "data", tmp_path / "data", sound).table.loc[("mine", "walk"), "ao"] == 1
    )
    with pytest.raises(InputError, match="'own'"):
        open_dataset(Path(vtlab.__file__).parent / "show", sound)
    with pytest.raises(InputError, match="this is a int, not a record"):
        find_format(sound.replace("FORMAT", "WORDS"))
    with pytest.raises(RegistryError, match="Did you mean 'FORMAT'"):
        find_format(sound.replace("FORMAT", "FORMATT"))
    assert CONTRACTS["format"] is FORMAT


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].family == "vos"])
def test_masks_are_converted_to_davis_without_loss(name, tmp_path):
    formats.write_tracks(example(FORMATS[name]), tmp_path / "own", "vtlab", sequence="walk")
    done = formats.convert(tmp_path / "own", tmp_path / "out", "davis")
    assert {row.kind for row in done.losses} == FORMATS[name].holds & {"labels"}


def test_a_velocity_that_every_run_fills_in_is_no_loss_and_one_that_was_set_is(square_video):
    """It is the way since the frame before by its time, so that it can be computed again."""
    tracks = vtlab.track(square_video, BoxPrompt((20, 16, 44, 40)), "ncc", progress=False)
    assert np.abs(tracks.velocity[1:]).max() > 0
    assert "velocity" not in FORMATS["motchallenge"].losses(tracks)
    own = tracks.velocity.copy()
    own[3] = own[3] @ [[0, 1], [-1, 0]] + 1
    (row,) = [
        v
        for v in FORMATS["motchallenge"].losses(tracks.replace(velocity=own)).values()
        if v.kind == "velocity"
    ]
    assert (row.count, row.place) == (1, "object 1, frame 3")
    assert "velocity" in FORMATS["motchallenge"].losses(tracks.replace(velocity=5 * tracks.velocity))


def test_losses_of_a_conversion_are_said(tmp_path):
    given = added(added(example(FORMATS["motchallenge"]), "scores"), "velocity")
    formats.write_tracks(given, tmp_path / "own", "vtlab", sequence="walk")
    done = formats.convert(tmp_path / "own", tmp_path / "out", "otb")
    assert [p.parent.name for p in done.written] == ["walk-1", "walk-2"]
    rows = {row.kind: (row.count, row.example, row.place) for row in done.losses}
    assert rows == {
        "ids": (2, "1 -> walk-1", "walk, object 1"),
        "scores": (1, "0.5", "walk, object 1, frame 5"),
        "labels": (24, "pedestrian", "walk, object 1, frame 0"),
        "size": (1, "", "walk"),
        "velocity": (24, "[1.0, 1.0]", "walk, object 1, frame 0"),
    }
    (ids,) = (row for row in done.losses if row.kind == "ids")
    assert ids.changed == {"1": "walk-1", "2": "walk-2"}
    told = json.loads((tmp_path / "out/losses-truth.json").read_text())
    assert (told["from"], told["to"]) == ("vtlab", "otb")
    assert told["losses"] == [row.to_dict() for row in done.losses]
    assert formats.convert(tmp_path / "out", tmp_path / "back", "vtlab").source == "otb"
    with pytest.raises(FormatError, match="of which format is it"):
        formats.sniff(Path(vtlab.__file__).parent / "show")


def test_strict_refuses_any_loss_before_anything_is_written(tmp_path):
    formats.write_tracks(example(FORMATS["otb"]), tmp_path / "own", "vtlab", sequence="good")
    given = added(example(FORMATS["otb"]), "scores")
    formats.write_tracks(given, tmp_path / "own", "vtlab", sequence="walk")
    with pytest.raises(TracksError, match=r"nothing was written. Lost would be: walk, .*frame 5: 1 scores"):
        formats.convert(tmp_path / "own", tmp_path / "out", "otb", strict=True)
    assert not (tmp_path / "out").exists()
    (tmp_path / "own/truth/walk.parquet").unlink()
    assert not formats.convert(tmp_path / "own", tmp_path / "out", "otb", strict=True).losses


def test_every_word_is_known_everywhere(tmp_path):
    for word in WORDS:
        form = find_format(word)
        assert form.name in FORMATS
        for ask in (lambda w: open_dataset(tmp_path, w), lambda w: evaluate_folders(tmp_path, tmp_path, w)):
            with pytest.raises(InputError, match=r"holds no sequences|no ground truth"):
                ask(word)
    assert find_format("mot20").rule == "mot20"
    with pytest.raises(InputError, match="Did you mean 'motchallenge'"):
        find_format("motchalenge")
    with pytest.raises(InputError, match="has no option 'splitt'. Did you mean 'split'"):
        find_format("davis", splitt="val")


def test_a_format_is_one_file_that_nothing_needs():
    """No other module imports a module that has a record, so that any of them can be deleted."""
    root = Path(vtlab.__file__).parent
    own = {f.stem for f in (root / "formats").glob("*.py") if "\nFORMAT" in f.read_text(encoding="utf-8")}
    own -= {"registry"}
    wrong = []
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("vtlab.formats.") and module.split(".")[2] in own:
                wrong.append(f"{file.relative_to(root)} imports {module}")
    assert not wrong, wrong


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].pixel_base == 1])
def test_truth_of_our_own_writer_is_counted_from_one(name, tmp_path):
    """OTB truth by the package's own writer gave success 0.831 from disk and 0.952 in memory."""
    form = FORMATS[name]
    truth = example(form)
    path = form.write_tracks(truth, form.path_of(tmp_path, "walk"), "truth")
    line = path.read_text().splitlines()[0].split(",")
    left, top = (float(v) for v in (line[2:4] if form.family == "mot" else line[:2]))
    assert [left, top] == (truth.boxes[0, :2] + 1).tolist()
    place = form.find(tmp_path)["walk"]
    np.testing.assert_array_equal(form.read_sequence(place, images=False).truth.boxes, truth.boxes)


def test_official_truth_and_a_result_of_memory_meet(tmp_path):
    """A 1-based truth file, and tracks that were made in memory on its images and written by `write_tracks`."""
    text = "".join(f"{11 + i},{6 + i},10,20\n" for i in range(30))
    (tmp_path / "truth/Ball").mkdir(parents=True)
    (tmp_path / "truth/Ball/groundtruth_rect.txt").write_text(text)
    boxes = np.array([[10 + i, 5 + i, 20 + i, 25 + i] for i in range(30)], float)
    formats.write_tracks(Tracks.of(np.arange(30), 1, boxes), tmp_path, "otb", sequence="Ball", tracker="mine")
    result = evaluate_folders(tmp_path, tmp_path, "otb", rule="pysot")
    assert result.table.loc[("mine", "Ball"), "success_auc"] == pytest.approx(20 / 21)
    assert result.table.loc[("mine", "Ball"), "ao"] == 1


@pytest.mark.parametrize("dot", ["-", ".", "_"])
def test_targets_of_one_otb_folder(dot, tmp_path):
    for k in (1, 2):
        folder = tmp_path / "otb/Jogging"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"groundtruth_rect.{k}.txt").write_text(f"{10 * k},5,10,20\n" * 5)
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / f"mine/Jogging{dot}{k}.txt").write_text(f"{10 * k},5,10,20\n" * 5)
    result = evaluate_folders(tmp_path / "otb", tmp_path / "mine", "otb")
    assert [p.sequence for p in result.parts["mine"]] == ["Jogging-1", "Jogging-2"]
    assert list(find_format("otb").find(tmp_path / "otb")) == ["Jogging-1", "Jogging-2"]
    assert result.table.loc[("mine", "all"), "ao"] == 1


def test_hidden_files_are_no_frames(tmp_path):
    from PIL import Image

    for sub in ("JPEGImages/480p/cat", "Annotations/480p/cat"):
        (tmp_path / sub).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"JPEGImages/480p/cat/{i:05d}.jpg")
        labels = np.zeros(SIZE, np.uint8)
        labels[5:15, i : 10 + i] = 1
        Image.fromarray(labels, mode="L").save(tmp_path / f"Annotations/480p/cat/{i:05d}.png")
    (tmp_path / "JPEGImages/480p/cat/._00000.jpg").write_bytes(b"macOS")
    truth = open_dataset(tmp_path, "davis")[0].truth
    assert truth.frame.tolist() == [0, 1, 2]
    assert truth.boxes[:, 0].tolist() == [0, 1, 2]


def test_vot_masks_are_rows_first(tmp_path):
    mask = np.zeros(SIZE, bool)
    mask[0, 1:3], mask[1, 0] = True, True
    tracks = Tracks.of([0], [1], masks=[mask], size=SIZE)
    path = find_format("vot").write_tracks(tracks, tmp_path / "walk/walk_001.txt")
    assert path.read_text() == "m0,0,3,2,1,3,2\n"


def few(name, frames):
    """Truth of two objects (one, where a file holds one) with rows on these of 12 frames only."""
    made = example(FORMATS[name])
    return made.take(np.isin(made.frame, frames))


@pytest.mark.parametrize("name", ["davis", "youtube-vos"])
def test_masks_that_nobody_drew_are_not_written(name, tmp_path):
    """A blank picture is an annotation: 'no object is here', and a perfect tracker was wrong on each of them."""
    formats.write_tracks(few(name, [0, 4, 8, 11]), tmp_path, name, sequence="walk")
    formats.write_tracks(example(FORMATS[name]), tmp_path, name, sequence="walk", tracker="mine")
    pictures = sorted(p.name for p in (tmp_path / "truth").rglob("*.png"))
    assert pictures == ["00000.png", "00004.png", "00008.png", "00011.png"]
    assert len(list((tmp_path / "mine").rglob("*.png"))) == 12
    table = evaluate_folders(tmp_path, tmp_path, name).table
    assert table.loc[("mine", "walk"), ["J", "F"]].tolist() == [1, 1]


def test_a_frame_that_was_looked_at_and_is_empty_is_written(tmp_path):
    looked = few("davis", [0, 4]).replace(meta={"annotated": [0, 4, 9], "frames": 12})
    formats.write_tracks(looked, tmp_path, "davis", sequence="walk")
    assert sorted(p.stem for p in tmp_path.rglob("*.png")) == ["00000", "00004", "00009"]


@pytest.mark.parametrize("name", [n for n in NAMES if "unlooked" not in FORMATS[n].holds])
def test_frames_that_nobody_looked_at_are_said_to_be_lost(name):
    """Of a text or a pickle with something for each frame, a reader takes them for frames without the object."""
    sparse = few(name, [0, 4, 8]).replace(meta={"frames": 12})
    assert FORMATS[name].losses(sparse)["unlooked"].told.startswith("9 frames that nobody looked at")
    assert "unlooked" not in FORMATS[name].losses(sparse, "results")


@pytest.mark.parametrize("name", ["otb", "got10k", "lasot", "trackingnet", "boxes", "vot", "tapvid"])
@pytest.mark.parametrize("early", ["result", "truth"])
def test_tracks_that_end_before_their_video(name, early, tmp_path):
    """A file has a line for each frame of the clip, so that it is scored."""
    form, made = FORMATS[name], example(FORMATS[name])
    short = few(name, range(9))
    video = open_video(np.zeros((12, *SIZE, 3), np.uint8), name="walk")
    answer = (short if early == "result" else made).replace(meta={"video": Source.of_video(video).to_dict()})
    truth = made if early == "result" else short.replace(meta={})
    form.write_sequence(Sequence("walk", video, truth), form.path_of(tmp_path, "walk"))
    formats.write_tracks(answer, tmp_path, name, sequence="walk", tracker="mine")
    (place,) = form.find(tmp_path).values()
    assert len(form.read_sequence(place, images=False)) == 12
    assert [p[0].sequence for p in evaluate_folders(tmp_path, tmp_path, name).parts.values()] == ["walk"]
    rows = len(made.object_ids) * 3
    assert form.losses(short.replace(meta={"frames": 12}))["gaps"].told == f"{rows} frames without a row"


def test_results_take_the_length_of_their_truth(tmp_path):
    """Text of an answer that ends early says nothing of the video's length; the truth beside it does."""
    made = few("otb", range(12)).replace(size=SIZE)
    formats.write_tracks(made, tmp_path / "mot", "motchallenge", sequence="walk")
    formats.write_tracks(
        few("otb", range(9)), tmp_path / "mot", "motchallenge", sequence="walk", tracker="mine"
    )
    for results in (False, True):
        formats.convert(tmp_path / "mot", tmp_path / "otb", "otb", layout="motchallenge", results=results)
    assert len((tmp_path / "otb/mine/walk.txt").read_text().splitlines()) == 12
    assert len(evaluate_folders(tmp_path / "otb", tmp_path / "otb", "otb").parts) == 1
