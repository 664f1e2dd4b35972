"""Research formats of one object as their publishers write them, and damaged files of theirs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from vtlab.errors import FormatError
from vtlab.formats import find_format, open_format, sniff
from vtlab.formats.regions import trajectory
from vtlab.tracks import Tracks

SIZE = (48, 64)


def pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", SIZE[::-1]).save(folder / name)


def dump(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x00\xff\xff\xff\xff", "version 1 with 4294967295 regions"),
        (b"\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", "version 2"),
        (b"\x01\x00\x01\x00\x00\x00\x09\x00\x00\x00\x00", "no region \\(kind 9\\)"),
        (b"\x01\x00\x01\x00\x00\x00\x02\xff\xff\x00\x00", "region 0"),
        (b"\x01\x00\x01\x00\x00\x00\x03\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00", "the run lengths exceed"),
        (b"\x01", "binary trajectory"),
    ],
)
def test_damaged_binary_trajectories_are_told(content, message, tmp_path):
    path = tmp_path / "walk_001.bin"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        trajectory(path)


def test_vot_of_many_objects_and_a_test_part(tmp_path):
    folder = tmp_path / "walk"
    folder.mkdir()
    (folder / "sequence").write_text("name=walk\nlength=3\nwidth=64\nheight=48\nfps=25\n")
    (folder / "groundtruth_cat.txt").write_text("m0,0,3,2,1,3,2\n")
    (folder / "groundtruth_dog.txt").write_text("1,2,3,4\n0\n5.5,6.5\n")
    (folder / "occlusion.tag").write_text("0\n1\n0\n")
    form = find_format("vot")
    places = form.find(tmp_path)
    assert list(places) == ["walk-cat", "walk-dog"]
    test = form.read_sequence(places["walk-cat"], images=False)
    assert (test.truth, len(test), len(test.prompts)) == (None, 3, 2)
    dog = form.read_sequence(places["walk-dog"], images=False)
    assert dog.attributes == {"occlusion"}
    assert dog.truth.points.xy.tolist() == [[5.5, 6.5]]
    assert dog.video.fps == 25
    confidence = tmp_path / "mine/walk/walk_dog_001.txt"
    confidence.parent.mkdir(parents=True)
    confidence.write_text("1\n1,2,3,4\n0\n")
    confidence.with_name("walk_dog_001_confidence.value").write_text("\n0.5\n0.25\n")
    read = form.read_tracks(confidence, dog)
    assert read.score.tolist() == [1, 0.5, 0.25]
    confidence.with_name("walk_dog_001_confidence.value").write_text("0.5\nx\n1\n")
    with pytest.raises(FormatError, match="confidence.value: not a number"):
        form.read_tracks(confidence, dog)


def test_vot2018_as_pysot_packs_it(tmp_path):
    ring = [1, 2, 9, 2, 9, 8, 1, 8]
    entry = {"video_dir": "ants1", "init_rect": ring, "gt_rect": [ring, [1, 2, 3, 4]]}
    entry |= {
        "img_names": ["ants1/color/00000001.jpg", "ants1/color/00000002.jpg"],
        "occlusion": [0, 1],
        "size_change": [0, 0],
    }
    file = dump(tmp_path / "VOT2018.json", {"ants1": entry})
    pictures(tmp_path / "VOT2018/ants1/color", ["00000001.jpg", "00000002.jpg"])
    (sequence,) = open_format(tmp_path, "vot2018")
    assert sequence.truth.boxes.tolist() == [[1, 2, 9, 8], [1, 2, 4, 6]]
    assert (sequence.attributes, sequence.truth.size) == ({"occlusion"}, SIZE)
    assert sniff(file).name == "vot-json"
    for gt, message in (
        ([ring], "1 regions for 2 images"),
        ([ring, [1, 2, 3]], "frame 1: expected 4 numbers"),
    ):
        dump(file, {"ants1": {**entry, "gt_rect": gt}})
        with pytest.raises(FormatError, match=message):
            open_format(tmp_path, "vot2018")[0]


def test_times_of_got10k_that_do_not_fit_are_told(tmp_path):
    (tmp_path / "s").mkdir()
    path = tmp_path / "s/s_002.txt"
    path.write_text("1,1,5,5\n2,1,5,5\n")
    path.with_name("s_time.txt").write_text("0.5,0.25\n0.5,nan\n")
    form = find_format("got10k")
    np.testing.assert_array_equal(form.read_tracks(path).step_seconds, [0.25, np.nan])
    path.with_name("s_time.txt").write_text("0.5\n0.5\n")
    with pytest.raises(FormatError, match="expected 2 lines with a column for repetition 2"):
        form.read_tracks(path)
    path.with_name("s_time.txt").write_text("a\nb\n")
    with pytest.raises(FormatError, match="s_time.txt: not seconds"):
        form.read_tracks(path)


def test_uav123_takes_a_part_of_the_images(tmp_path):
    (tmp_path / "anno/UAV123").mkdir(parents=True)
    (tmp_path / "anno/UAV20L").mkdir()
    (tmp_path / "anno/UAV123/uav1_3.txt").write_text("11,6,10,20\nNaN,NaN,NaN,NaN\n")
    (tmp_path / "anno/UAV20L/bike1.txt").write_text("11,6,10,20\n")
    pictures(tmp_path / "data_seq/UAV123/uav1", [f"{n:06d}.jpg" for n in (1, 2472, 2473, 3469, 3470)])
    pictures(tmp_path / "data_seq/UAV123/bike1", ["000001.jpg"])
    (sequence,) = open_format(tmp_path, "uav123")
    assert (sequence.name, len(sequence)) == ("uav1_3", 2)
    assert sequence.truth.boxes[0].tolist() == [10, 5, 20, 25]
    assert sequence.truth.visible.tolist() == [True, False]
    assert open_format(tmp_path, "uav20l").names == ("bike1",)


def test_nfs_has_corners_and_eight_lines_for_an_image(tmp_path):
    folder = tmp_path / "ball/30"
    pictures(folder / "ball", ["00001.jpg", "00002.jpg"])
    lines = [f'0 {n} 2 {n + 10} 12 {n} {int(n == 8)} 0 0 "a ball"\n' for n in range(16)]
    (folder / "ball.txt").write_text("".join(lines))
    assert sniff(tmp_path).name == "nfs"
    (sequence,) = open_format(tmp_path, "nfs")
    assert len(sequence) == 2
    assert sequence.truth.boxes[0].tolist() == [0, 2, 10, 12]
    assert sequence.truth.visible.tolist() == [True, False]
    (folder / "ball.txt").write_text("0 9 2 3 12 0 0 0 0 x\n" * 2)
    with pytest.raises(FormatError, match="ball.txt, line 1"):
        open_format(tmp_path, "nfs")[0]


def test_kin_by_word(tmp_path):
    for word, name, rule in (
        ("dancetrack", "motchallenge", "mot17"),
        ("sportsmot", "motchallenge", "mot17"),
        ("robotap", "tapvid", "tapvid-first"),
        ("lvos", "davis", "lvos"),
        ("ovis", "youtube-vis", "youtube-vis"),
    ):
        form = find_format(word)
        assert (form.name, form.rule) == (name, rule)


def test_what_32_bits_do_not_hold_is_said(tmp_path):
    boxes = np.array([[10.5, 20.25, 30.5, 44.0], [0.1, 0.2, 30.3, 40.4]])
    given = Tracks.of([0, 1], 1, boxes)
    form = find_format("vot", binary=True)
    assert "rounding" not in find_format("vot").losses(given, "results")
    row = form.losses(given, "results")["rounding"]
    assert (row.count, row.place) == (1, "object 1, frame 1")
    back = form.read_tracks(form.write_tracks(given, form.path_of(tmp_path, "walk", "mine")))
    assert back.boxes[0].tolist() == boxes[0].tolist()
    assert 0 < np.abs(back.boxes[1] - boxes[1]).max() < 4e-6
