"""Benchmarks on disk as they lie: trees of every layout, errors that name file and remedy, tables."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from vtlab.benchmark import evaluate_folders
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.formats import write_tracks
from vtlab.formats.single_object import read_boxes, write_boxes
from vtlab.metrics import score
from vtlab.testing.ledger import random_tracks
from vtlab.tracks import Tracks

GOLDEN = Path(__file__).parent / "metrics/golden"


def mot_file(path, rows, truth=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    tail = "1,1,1" if truth else "0.9,-1,-1,-1"
    path.write_text("".join(f"{f},{i},{x},{y},20,40,{tail}\n" for f, i, x, y in rows))


@pytest.fixture
def mot_tree(tmp_path):
    """TrackEval's tree: two sequences, two trackers, one with every tenth frame missing."""
    rng = np.random.default_rng(0)
    for name in ("MOT17-90", "MOT17-91", "MOT17-92"):
        rows = [(f, i, 100 * i + 2 * f, 50) for f in range(1, 41) for i in range(1, 4)]
        folder = tmp_path / "gt/mot_challenge/MOT17-train" / name
        mot_file(folder / "gt/gt.txt", rows, truth=True)
        (folder / "seqinfo.ini").write_text(
            "[Sequence]\nname=x\nframeRate=30\nseqLength=40\nimWidth=640\nimHeight=480\n"
        )
        results = tmp_path / "trackers/mot_challenge/MOT17-train"
        mot_file(results / f"good/data/{name}.txt", rows)
        lost = [r for r in rows if rng.random() > 0.2 * (1 + (name == "MOT17-91"))]
        mot_file(results / f"lossy/data/{name}.txt", lost)
    return tmp_path


def test_the_command_prints_its_table_without_pandas(mot_tree):
    """Loading it took longer than reading, scoring and printing five sequences of MOT17; so in `Tracks.load`."""
    code = (
        "import sys; from vtlab.cli import main; from vtlab.tracks import Tracks\n"
        "Tracks.load(sys.argv.pop())\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'pandas', 'scipy', 'torch', 'cv2', 'matplotlib', 'concurrent.futures.process'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    words = ["evaluate", "--truth", mot_tree / "gt", "--tracks", mot_tree / "trackers", "--as", "mot17"]
    words.append(random_tracks(1).save(mot_tree / "all.parquet"))
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.returncode, done.stderr
    assert "HOTA" in done.stdout
    assert "lossy" in done.stdout


def test_trackeval_tree_as_it_lies(mot_tree, tmp_path):
    result = evaluate_folders(mot_tree / "gt", mot_tree / "trackers", "mot17")
    names = [name.split("/")[-1] for name in result.parts]
    assert names == ["good", "lossy"]
    assert result.table.loc[(next(iter(result.parts)), "all"), "HOTA"] == pytest.approx(1)
    board = result.leaderboard
    assert board.index[0].endswith("good")
    assert board.value.iloc[1] < 1
    text = _render(result.to_rich())
    assert "HOTA ↑" in text
    assert "IDSW ↓" in text
    assert "rule: mot17" in text
    assert r"\toprule" in result.to_latex()
    assert r"HOTA $\uparrow$" in result.to_latex()
    assert "HOTA" in result.boards[0].to_html()
    for ending in (".parquet", ".csv", ".tex"):
        assert result.save(tmp_path / f"out/table{ending}").stat().st_size > 100
    again = pd.read_parquet(tmp_path / "out/table.parquet")
    assert set(again.columns) == {"tracker", "sequence", "object_id", "metric", "value", "rule"}
    with pytest.raises(InputError, match=r"can't write '\.xlsx'"):
        result.save(tmp_path / "table.xlsx")


def test_one_tracker_flat_folder_and_processes(mot_tree):
    flat = mot_tree / "trackers/mot_challenge/MOT17-train/lossy/data"
    result = evaluate_folders(mot_tree / "gt", flat, "mot17")
    assert result.table.index.get_level_values("sequence").tolist() == [
        "MOT17-90",
        "MOT17-91",
        "MOT17-92",
        "all",
    ]
    assert "MOT17-91" in _render(result.to_rich())
    parallel = evaluate_folders(mot_tree / "gt", flat, "mot17", workers=2)
    pd.testing.assert_frame_equal(result.table, parallel.table)


def test_missing_and_foreign_results(mot_tree):
    folder = mot_tree / "trackers/mot_challenge/MOT17-train/good/data"
    (folder / "MOT17-91.txt").unlink()
    with pytest.raises(FormatError, match=r"has no result for MOT17-91 \(1 of 3 sequences\).*--missing skip"):
        evaluate_folders(mot_tree / "gt", folder, "mot17")
    result = evaluate_folders(mot_tree / "gt", folder, "mot17", missing="skip")
    assert "1 of 3 sequences left out: MOT17-91" in result.notes[0]
    for path in folder.glob("*.txt"):
        path.rename(path.with_name("KITTI-" + path.name))
    with pytest.raises(
        FormatError, match=r"no results for the sequences MOT17-90.*There are KITTI-MOT17-90\.txt"
    ):
        evaluate_folders(mot_tree / "gt", folder, "mot17")
    with pytest.raises(FormatError, match="no ground truth in the layout 'mot17'"):
        evaluate_folders(folder, folder, "mot17")
    with pytest.raises(FormatError, match="there is no such file or folder"):
        evaluate_folders(mot_tree / "nowhere", folder, "mot17")
    with pytest.raises(InputError, match="Did you mean 'mot17'"):
        evaluate_folders(mot_tree, folder, "mot-17")


def test_missing_results_leave_the_sequence_out_for_all(mot_tree):
    """Means over different sequences compare nothing; it ended without a table, by an error of the paired test."""
    (mot_tree / "trackers/mot_challenge/MOT17-train/good/data/MOT17-91.txt").unlink()
    result = evaluate_folders(mot_tree / "gt", mot_tree / "trackers", "mot17", missing="skip")
    assert {len(mine) for mine in result.parts.values()} == {2}
    assert any(
        "Compared on the 2 of 3 sequences that all trackers have; left out: MOT17-91" in n
        for n in result.notes
    )
    text = " ".join(_render(result.to_rich()).split())
    assert "2 clips cannot separate 2 trackers; 6 are needed" in text
    (mot_tree / "trackers/mot_challenge/MOT17-train/lossy/data/MOT17-90.txt").unlink()
    (mot_tree / "trackers/mot_challenge/MOT17-train/lossy/data/MOT17-92.txt").unlink()
    with pytest.raises(FormatError, match="no sequence in common"):
        evaluate_folders(mot_tree / "gt", mot_tree / "trackers", "mot17", missing="skip")


def test_one_tracker_has_an_interval_too(tmp_path):
    for i in range(7):
        write_boxes(walk(seed=i), tmp_path / f"otb/S{i}/groundtruth_rect.txt")
        write_boxes(walk(seed=i, shift=2.0 * i), tmp_path / f"results/mine/S{i}.txt")
    text = " ".join(
        _render(evaluate_folders(tmp_path / "otb", tmp_path / "results", "otb").to_rich()).split()
    )
    assert "7 clips. success_auc" in text
    assert "95% jackknife-t interval" in text


def test_few_clips_stand_side_by_side_and_more_have_an_interval_and_their_spread(tmp_path):
    for i in range(7):
        write_boxes(walk(seed=i), tmp_path / f"otb/S{i}/groundtruth_rect.txt")
        for name, shift in (("mine", 1.0), ("other", 3.0)):
            write_boxes(walk(seed=i, shift=shift * (1 + i % 3)), tmp_path / f"results/{name}/S{i}.txt")
    result = evaluate_folders(tmp_path / "otb", tmp_path / "results", "otb")
    board = result.boards[0]
    assert {"ci_low", "ci_high", "p", "clips_low", "clips_high"} <= set(board.frame.columns)
    value = board.frame["success_auc"].iloc[0]
    assert f"{value:.1%}" in _render(result.to_rich())  # beside an interval, two decimals would be noise
    assert f"{value:.2%}".replace("%", r"\%") in result.to_latex()  # what reproduces a paper keeps them
    scenes = evaluate_folders(
        tmp_path / "otb", tmp_path / "results", "otb", cluster=lambda name: "late" if name > "S3" else "early"
    )
    assert "7 files of 2 scenes" in scenes.boards[0].caption
    for i in range(3, 7):
        (tmp_path / f"otb/S{i}/groundtruth_rect.txt").unlink()
    few = evaluate_folders(tmp_path / "otb", tmp_path / "results", "otb").boards[0].frame
    assert few["won"].tolist() == [3, 0]
    assert {"success_auc S0", "success_auc S1", "success_auc S2"} <= set(few.columns)
    assert "ci_low" not in few


def test_zero_based_results_name_file_and_line(mot_tree):
    folder = mot_tree / "trackers/mot_challenge/MOT17-train/good/data"
    for path in folder.glob("*.txt"):
        rows = [line.split(",", 1) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{int(f) - 1},{rest}\n" for f, rest in rows))
    with pytest.raises(FormatError, match=r"MOT17-90\.txt, line 1: frames count from 1"):
        evaluate_folders(mot_tree / "gt", folder, "mot17")
    fixed = evaluate_folders(mot_tree / "gt", folder, "mot17", first_frame=0)
    assert fixed.table.iloc[-1]["HOTA"] == pytest.approx(1)


def test_truth_without_classes_is_named(mot_tree):
    for path in mot_tree.rglob("gt.txt"):
        path.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in path.read_text().splitlines()))
    with pytest.raises(FormatError, match=r"gt\.txt: the rule 'mot17' needs the class.*--as mot15"):
        evaluate_folders(mot_tree / "gt", mot_tree / "trackers", "mot17")


def walk(n=30, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    corner = 100 + rng.normal(0, 2, (n, 2)).cumsum(axis=0) + shift
    return np.concatenate([corner, corner + np.array([30, 50])], axis=1)


def test_single_object_layouts(tmp_path):
    for seed, name in enumerate(("Car", "Dog")):
        truth = walk(seed=seed)
        write_boxes(truth, tmp_path / f"otb/{name}/groundtruth_rect.txt")
        write_boxes(truth, tmp_path / f"lasot/{name}/{name}-1/groundtruth.txt")
        write_boxes(truth, tmp_path / f"got/val/{name}/groundtruth.txt")
        for beside in ("full_occlusion", "out_of_view"):
            (tmp_path / f"lasot/{name}/{name}-1/{beside}.txt").write_text(",".join(["0"] * 29 + ["1"]))
        (tmp_path / f"got/val/{name}/cover.label").write_text("\n".join(["8"] * 20 + ["0"] * 10))
        (tmp_path / f"got/val/{name}/meta_info.ini").write_text("[METAINFO]\nresolution: (640, 480)\n")
        far = truth.copy()
        far[20:] += 500
        write_boxes(far, tmp_path / f"results/mine/{name}.txt")
        write_boxes(far, tmp_path / f"results/mine/{name}-1.txt")
        write_boxes(far, tmp_path / f"results/mine/{name}/{name}_001.txt")
        write_boxes(truth, tmp_path / f"results/mine/{name}/{name}_002.txt")
    otb = evaluate_folders(tmp_path / "otb", tmp_path / "results", "otb")
    assert list(otb.parts) == ["mine"]
    assert otb.table.loc[("mine", "all"), "ao"] == pytest.approx(20 / 30)
    lasot = evaluate_folders(tmp_path / "lasot", tmp_path / "results", "lasot")
    # The last frame is out of view: a miss in LaSOT's denominator. Frames 20 to 28 are lost.
    assert lasot.table.loc[("mine", "all"), "ao"] == pytest.approx(20 / 30)
    got = evaluate_folders(tmp_path / "got", tmp_path / "results", "got10k")
    assert got.table.loc[("mine", "all"), "ao"] == pytest.approx(1)
    (tmp_path / "results/mine/Dog.txt").write_text("1,2,3,4\n")
    with pytest.raises(FormatError, match=r"Dog\.txt: 1 boxes for 30 frames"):
        evaluate_folders(tmp_path / "otb", tmp_path / "results", "otb")


def test_two_targets_in_one_otb_sequence(tmp_path):
    for k in (1, 2):
        write_boxes(walk(seed=k), tmp_path / f"otb/Jogging/groundtruth_rect.{k}.txt")
        write_boxes(walk(seed=k), tmp_path / f"mine/Jogging.{k}.txt")
    result = evaluate_folders(tmp_path / "otb", tmp_path / "mine", "otb")
    assert result.table.loc[("mine", "all"), "precision_20px"] == 1


def test_boxes_in_text():
    assert read_boxes(b"1,2\t3 4\n5, 6, 7, 8\n\n").tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert np.isnan(read_boxes(b"nan,nan,nan,nan")).all()
    for text, message in [
        (b"1,2,3,4\n1,2,3\n", r"line 2: expected 4 numbers .*got 3"),
        (b"1,2,3,x\n", r"line 1: expected a number, got 'x'"),
        (b"1,2,3,-4\n", r"line 1: width and height must not be negative"),
    ]:
        with pytest.raises(FormatError, match=message):
            read_boxes(text)
    corners = "\n".join(f"{300 + i},{200 + i},{340 + i},{260 + i}" for i in range(30)).encode()
    with pytest.raises(FormatError, match="as in x1, y1, x2, y2"):
        read_boxes(corners, size=(400, 300))


def palette(path, labels, mode="P"):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels.astype(np.uint8))
    if mode == "P":
        image = image.convert("P")
        image.putdata(labels.astype(np.uint8).ravel().tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.convert("RGB" if mode == "RGB" else image.mode).save(path)


def test_davis_tree(tmp_path):
    for frame in range(6):
        labels = np.zeros((48, 64), np.uint8)
        labels[10:20, 10 + frame : 30 + frame], labels[30:40, 5:25] = 1, 2
        palette(tmp_path / f"DAVIS/Annotations/480p/bike/{frame:05d}.png", labels)
        answer = np.where(labels == 2, 0, labels) if frame > 2 else labels
        palette(tmp_path / f"results/mine/bike/{frame:05d}.png", answer)
    result = evaluate_folders(tmp_path / "DAVIS", tmp_path / "results", "davis")
    # Frames 1 to 4 count: object 1 is perfect, object 2 lost on two of four.
    assert result.table.loc[("mine", "bike"), "J"] == pytest.approx((1 + 0.5) / 2)
    assert set(result.tidy.object_id) == {1, 2, "all"}
    (tmp_path / "results/mine/bike/00003.png").unlink()
    with pytest.raises(FormatError, match=r"00003\.png: there is no mask for this frame"):
        evaluate_folders(tmp_path / "DAVIS", tmp_path / "results", "davis")
    palette(tmp_path / "results/mine/bike/00003.png", labels, "RGB")
    with pytest.raises(FormatError, match="mode RGB where a palette PNG"):
        evaluate_folders(tmp_path / "DAVIS", tmp_path / "results", "davis")
    palette(tmp_path / "results/mine/bike/00003.png", labels[:, :-1])
    with pytest.raises(FormatError, match="63 x 48 px, the truth is 64 x 48"):
        evaluate_folders(tmp_path / "DAVIS", tmp_path / "results", "davis")


def test_youtube_vos_objects_start_in_the_middle(tmp_path):
    for frame in range(0, 30, 5):
        labels = np.zeros((48, 64), np.uint8)
        labels[10:20, 10:30] = 1
        if frame >= 10:
            labels[30:40, 5:25] = 2
        palette(tmp_path / f"valid/Annotations/cat/{frame:05d}.png", labels)
        answer = np.where((labels == 2) & (frame == 20), 0, labels)
        palette(tmp_path / f"mine/cat/{frame:05d}.png", answer)
    result = evaluate_folders(tmp_path / "valid", tmp_path / "mine", "youtube-vos")
    # Object 2 starts at 10, so 15, 20 and 25 count; it is lost on one of them.
    assert result.table.iloc[0]["J"] == pytest.approx((1 + 2 / 3) / 2)


def test_youtube_vos_frames_of_meta_json(tmp_path):
    for frame in range(0, 30, 5):
        labels = np.zeros((48, 64), np.uint8)
        labels[10:20, 10:30] = 1
        if 10 <= frame < 25:
            labels[30:40, 5:25] = 2
        palette(tmp_path / f"valid/Annotations/cat/{frame:05d}.png", labels)
        # The answer keeps object 2 after it has gone, and loses object 1 on frame 15.
        answer = np.where(frame == 15, np.where(labels == 1, 0, labels), labels)
        if frame == 25:
            answer[30:40, 5:25] = 2
        palette(tmp_path / f"mine/cat/{frame:05d}.png", answer)
    whole = evaluate_folders(tmp_path / "valid", tmp_path / "mine", "youtube-vos")
    # Without a list object 1 counts on 5 ... 25, object 2 on 15, 20 and 25.
    assert whole.table.iloc[0]["J"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    meta = tmp_path / "valid/meta.json"
    frames = {"1": [f"{f:05d}" for f in range(0, 30, 5)], "2": ["00010", "00015", "00020"]}
    objects = {i: {"category": "cat", "frames": names} for i, names in frames.items()}
    meta.write_text(json.dumps({"videos": {"cat": {"objects": objects}}}))
    listed = evaluate_folders(tmp_path / "valid", tmp_path / "mine", "youtube-vos")
    # As listed object 2 counts on 15 and 20 only.
    assert listed.table.iloc[0]["J"] == pytest.approx((4 / 5 + 1) / 2)
    # An object of the list that no mask of truth shows is still judged: an empty answer is right.
    objects["3"] = {"frames": ["00005", "00010"]}
    meta.write_text(json.dumps({"videos": {"cat": {"objects": objects}}}))
    third = evaluate_folders(tmp_path / "valid", tmp_path / "mine", "youtube-vos")
    assert third.table.iloc[0]["J"] == pytest.approx((4 / 5 + 1 + 1) / 3)
    for text, message in [
        ("{}", r"meta\.json: expected JSON with 'videos'"),
        ('{"videos": {"dog": {}}}', r"meta\.json: no video 'cat' under 'videos'"),
        ('{"videos": {"cat": {"objects": {"1": {}}}}}', r"meta\.json: video 'cat': expected \"objects\""),
        ('{"videos": {"cat": {"objects": {"1": {"frames": []}}}}}', r"lists no object, or no frames of one"),
    ]:
        meta.write_text(text)
        with pytest.raises(FormatError, match=message):
            evaluate_folders(tmp_path / "valid", tmp_path / "mine", "youtube-vos")


def test_tapvid_file(tmp_path):
    import pickle

    rng = np.random.default_rng(0)
    points = rng.uniform(0.2, 0.8, (4, 9, 2)).astype(np.float32)
    entry = {
        "video": np.zeros((9, 64, 64, 3), np.uint8),
        "points": points,
        "occluded": np.zeros((4, 9), bool),
    }
    path = tmp_path / "truth/tapvid.pkl"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"goat": entry}))
    for rule in ("tapvid-first", "tapvid-strided"):
        truth = open_dataset(path, rule).load("goat").truth
        truth.save(tmp_path / f"{rule}/mine/goat.parquet")
        result = evaluate_folders(tmp_path / "truth", tmp_path / rule, "tapvid", rule=rule)
        assert result.table.loc[("mine", "goat")].tolist() == [1, 1, 1]
        assert result.rule == rule


def test_mots_tree(tmp_path):
    golden = json.loads((GOLDEN / "mots.json").read_text())
    folder = tmp_path / "train/MOTS20-99"
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text("\n".join(golden["truth"]))
    (folder / "seqinfo.ini").write_text("[Sequence]\nseqLength=12\nimWidth=90\nimHeight=60\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/MOTS20-99.txt").write_text("\n".join(golden["answer"]))
    result = evaluate_folders(tmp_path / "train", tmp_path / "results", "mots")
    assert result.table.iloc[0]["HOTA"] == pytest.approx(golden["values"]["HOTA"], abs=1e-9)
    (tmp_path / "results/MOTS20-99.txt").write_text("\n".join([golden["answer"][0]] * 2))
    with pytest.raises(FormatError, match=r"MOTS20-99\.txt, line 2: the id \d+ occurs twice in this frame"):
        evaluate_folders(tmp_path / "train", tmp_path / "results", "mots")


def test_parquet_files(tmp_path):
    tracks = Tracks.of(np.arange(20), 1, walk(20))
    truth, result = tracks.save(tmp_path / "truth.parquet"), tracks.save(tmp_path / "run.parquet")
    assert evaluate_folders(truth, result).table.iloc[0]["ao"] == 1


@pytest.mark.shared
@pytest.mark.parity
def test_real_trees(shared, tmp_path):
    golden = json.loads((GOLDEN / "mot_trackeval.json").read_text())["MOT15"]
    result = evaluate_folders(
        shared / "data/mot", shared / "data/mot/results/CEM_MOT15", "mot15", missing="skip"
    )
    tracker = next(iter(result.parts))
    assert result.table.loc[(tracker, "all"), "HOTA"] == pytest.approx(
        golden["COMBINED_SEQ"]["HOTA"], abs=1e-9
    )
    davis = evaluate_folders(shared / "data/vos/Annotations", shared / "data/vos/results_osvos", "davis")
    expected = json.loads((shared / "data/expected.json").read_text())["davis2016_osvos_official_code"]
    for name, numbers in expected.items():
        assert davis.table.loc[("results_osvos", name), "J"] == pytest.approx(numbers["J_mean"], abs=5.1e-7)
    with zipfile.ZipFile(shared / "data/sot/benchmarks/DTB70/results_5trackers.zip") as archive:
        archive.extractall(tmp_path)
    otb = evaluate_folders(shared / "data/sot/benchmarks/DTB70/anno", tmp_path / "DTB70", "otb", rule="pysot")
    board = otb.leaderboard
    assert len(board) == 5
    assert board.index[0] == "SiamAPN++"
    assert board.letters.iloc[0][0] == board.letters.iloc[1][0] == "a"


def _render(table):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_a_rule_that_takes_hidden_answers_otherwise_than_the_files_do_warns(tmp_path):
    n = 30
    truth = Tracks.of(np.arange(n), 1, walk(n), size=(400, 400))
    answers = truth.replace(visible=np.arange(n) < 20)
    for form in ("vot", "otb", "vtlab"):
        write_tracks(truth, tmp_path / form, form, sequence="walk")
        write_tracks(answers, tmp_path / form, form, sequence="walk", tracker="mine")

    def ao(form, rule):
        return evaluate_folders(tmp_path / form, tmp_path / form, form, rule=rule).table["ao"].iloc[0]

    assert score(answers, truth, "sot", "otb").values()["ao"] == 1
    with pytest.warns(VtlabWarning, match="'otb' counts hidden answers .*'vot' leave out the answers"):
        assert ao("vot", "otb") == pytest.approx(20 / n)
    with pytest.warns(VtlabWarning, match="'plain' drops hidden answers.*'otb' don't mark"):
        assert ao("otb", "plain") == 1
    assert ao("otb", "lasot") == 1  # two rules of one mind: no warning
    assert ao("vtlab", "otb") == 1
    assert ao("vtlab", "plain") == pytest.approx(19 / (n - 1))
