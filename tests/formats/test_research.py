"""Research formats as their publishers write them, and files that nobody should be harmed by."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from vtlab import masks
from vtlab.benchmark import evaluate_folders
from vtlab.errors import FormatError, InputError, TracksError, VtlabError
from vtlab.formats import FORMATS, convert, find_format, open_format, sniff, write_tracks
from vtlab.tracks import Tracks

SIZE = (48, 64)
MASK = masks.from_box((10, 5, 30, 25), *SIZE)
PLAIN = {"size": list(SIZE), "counts": masks.to_runs(masks.encode(MASK), *SIZE).tolist()}
PACKED = {"size": list(SIZE), "counts": masks.encode(MASK).decode()}
RING = [[10, 5, 30, 5, 30, 25, 10, 25]]


def pictures(folder, names, size=SIZE):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size[::-1]).save(folder / name)


def dump(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def youtube_vis():
    videos = [
        {
            "id": i,
            "width": 64,
            "height": 48,
            "length": 3,
            "file_names": [f"{n}/{f:05d}.jpg" for f in range(3)],
        }
        for i, n in ((7, "a1"), (9, "b2"))
    ]
    shape = {"width": 64, "height": 48, "length": 1}
    box = [10, 5, 20, 20]
    annotations = [
        {"id": 1, "video_id": 7, "category_id": 3, "segmentations": [PLAIN, None, PACKED]},
        {"id": 2, "video_id": 9, "category_id": 4, "segmentations": [RING, RING, None], "iscrowd": 1},
    ]
    annotations = [{"bboxes": [box] * 3, "areas": [400] * 3, "iscrowd": 0, **shape, **a} for a in annotations]
    categories = [{"id": 3, "name": "giant_panda"}, {"id": 4, "name": "lizard"}]
    return {"videos": videos, "annotations": annotations, "categories": categories, "info": {}}


def test_youtube_vis_with_both_kinds_of_runs_and_polygons(tmp_path):
    dump(tmp_path / "train.json", youtube_vis())
    for name in ("a1", "b2"):
        pictures(tmp_path / "train/JPEGImages" / name, [f"{f:05d}.jpg" for f in range(3)])
    assert sniff(tmp_path).name == "youtube-vis"
    data = open_format(tmp_path, "youtube-vis")
    assert data.names == ("a1", "b2")
    first, second = data[0].truth, data[1].truth
    assert first.frame.tolist() == [0, 2]
    assert first.labels == {1: "giant_panda"}
    assert all((first.mask(row) == MASK).all() for row in (0, 1))
    assert (second.mask(0) == MASK).all()
    assert second.score.tolist() == [0, 0]
    assert data[0].video.shape == (3, *SIZE, 3)
    results = [
        {"video_id": 9, "category_id": 4, "segmentations": [PACKED, None, PACKED], "score": 0.25},
        {"video_id": 7, "category_id": 3, "segmentations": [None, None, PACKED], "score": 0.75},
    ]
    path = dump(tmp_path / "mine/results.json", results)
    form = find_format("youtube-vis")
    assert [r.sequence for r in form.find_results(tmp_path / "mine", ["a1", "b2"])] == ["a1", "b2"]
    read = form.read_tracks(path, data[1])
    assert (read.frame.tolist(), read.score.tolist(), read.labels) == ([0, 2], [0.25, 0.25], {1: "lizard"})
    with pytest.raises(FormatError, match="it holds 2 videos"):
        form.read_tracks(path)


def read_all(form, root):
    """Read every sequence; one without truth is an error, too."""
    for place in form.find(root).values():
        if form.read_sequence(place, images=False).truth is None:
            raise FormatError(f"{place.path}: no ground truth")


def changed(data, path, value):
    """A copy with the entry at `path` replaced."""
    copy = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("videos", 0, "height"), 10**9, "out of range|whole number"),
        (("videos", 0, "id"), "x", "'id' should be a whole number"),
        (("videos", 0, "file_names", 0), "../../etc/passwd", "leads elsewhere"),
        (("videos", 0, "file_names", 1), "/etc/passwd", "leads elsewhere"),
        (("annotations", 0, "segmentations", 0, "counts"), [10**9], "one of 1000000000 pixels"),
        (("annotations", 0, "segmentations", 2, "counts"), "zz~", "frame 2"),
        (("annotations", 0, "segmentations", 2, "size"), [4, 4], "'size': \\[48, 64\\]"),
        (("annotations", 0, "segmentations"), [PLAIN], "one for each of 3 frames, got 1 of them"),
        (("annotations", 0, "category_id"), None, "'category_id' should be"),
        (("annotations",), {"a": 1}, "no ground truth|expected a list"),
        (("categories", 0), 5, "expected a list of objects"),
    ],
)
def test_damaged_youtube_vis_is_told_with_its_place(path, value, message, tmp_path):
    file = dump(tmp_path / "train.json", changed(youtube_vis(), path, value))
    form = find_format("youtube-vis")
    with pytest.raises(FormatError, match=message) as caught:
        read_all(form, tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"videos": [' + "{}" * 3, '{"videos": 5, "file_names": 1}', "[1, 2"]
)
def test_json_that_is_none_is_told(content, tmp_path):
    (tmp_path / "train.json").write_text(content)
    for name in ("youtube-vis", "tao", "burst"):
        form = FORMATS[name]
        with pytest.raises(VtlabError):
            raise_none(form.find(tmp_path))
        with pytest.raises(FormatError, match="train.json"):
            form.read_tracks(tmp_path / "train.json")


def raise_none(found):
    if not found:
        raise InputError("nothing is there")


def tao():
    images = [
        {
            "id": 10 + n,
            "video_id": 2,
            "file_name": f"train/HACS/v_a/frame{31 * n:04d}.jpg",
            "frame_index": 31 * n,
        }
        for n in (2, 0, 1)
    ]
    video = {"id": 2, "name": "train/HACS/v_a", "width": 64, "height": 48}
    video |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    boxes = [
        {"id": n, "image_id": 10 + n, "track_id": 5, "video_id": 2, "bbox": [1 + n, 2, 10, 9]} for n in (0, 2)
    ]
    return {
        "videos": [video],
        "images": images,
        "tracks": [{"id": 5, "category_id": 8, "video_id": 2}],
        "annotations": [
            {"category_id": 8, "area": 90, "iscrowd": 0, "segmentation": [[1, 1, 2, 2, 3, 3]], **b}
            for b in boxes
        ],
        "categories": [{"id": 8, "name": "dog"}],
    }


def test_tao_as_published(tmp_path):
    dump(tmp_path / "annotations/train.json", tao())
    pictures(tmp_path / "frames/train/HACS/v_a", [f"frame{31 * n:04d}.jpg" for n in range(3)])
    assert sniff(tmp_path).name == "tao"
    (sequence,) = open_format(tmp_path, "tao")
    truth = sequence.truth
    assert (sequence.name, len(sequence), truth.frame.tolist()) == ("train-HACS-v_a", 3, [0, 2])
    assert truth.boxes.tolist() == [[1, 2, 11, 11], [3, 2, 13, 11]]
    assert truth.labels == {5: "dog"}
    found = [{"image_id": 12, "category_id": 8, "track_id": 1, "bbox": [0, 0, 4, 4], "score": 0.5}]
    found.append({**found[0], "image_id": 999})  # of another video
    path = dump(tmp_path / "mine.json", found)
    read = find_format("tao").read_tracks(path, sequence)
    assert (read.frame.tolist(), read.score.tolist(), read.labels) == ([2], [0.5], {1: "dog"})
    for key, value, message in (
        ("bbox", [0, 0, -4, 4], "width, height"),
        ("score", 7, "from 0 to 1"),
        ("image_id", "x", ""),
    ):
        dump(path, [{**found[0], key: value}])
        if message:
            with pytest.raises(FormatError, match=message):
                find_format("tao").read_tracks(path, sequence)
        else:
            assert not len(find_format("tao").read_tracks(path, sequence))


def burst():
    sequence = {"id": 3, "dataset": "LaSOT", "seq_name": "cat-1", "width": 64, "height": 48, "fps": 1}
    sequence |= {"annotated_image_paths": ["00000001.jpg", "00000031.jpg"], "neg_category_ids": []}
    sequence |= {"not_exhaustive_category_ids": [], "track_category_ids": {"4": 805}}
    sequence["segmentations"] = [{"4": {"rle": PACKED["counts"], "is_gt": True}}, {}]
    return {"split": "val", "sequences": [sequence]}


def test_burst_as_published(tmp_path):
    dump(tmp_path / "val/all_classes.json", burst())
    (sequence,) = (
        FORMATS["burst"].read_sequence(p, images=False) for p in FORMATS["burst"].find(tmp_path).values()
    )
    assert (sequence.name, len(sequence), sequence.truth.labels) == ("LaSOT-cat-1", 2, {4: "805"})
    assert (sequence.truth.mask(0) == MASK).all()
    more = burst()
    more["sequences"][0]["annotated_image_paths"] = ["00000001.jpg", "00000016.jpg", "00000031.jpg"]
    cell = {"rle": PACKED["counts"], "score": 0.5}
    more["sequences"][0]["segmentations"] = [{"9": cell}, {"9": cell}, {"9": cell}]
    more["sequences"][0]["track_category_ids"] = {"9": 805}
    read = FORMATS["burst"].read_tracks(dump(tmp_path / "mine/results.json", more), sequence)
    assert read.frame.tolist() == [0, 1]  # the image in between is none of truth's
    broken = changed(burst(), ("sequences", 0, "segmentations", 0, "4", "rle"), "~~")
    dump(tmp_path / "val/all_classes.json", broken)
    with pytest.raises(FormatError, match="image '00000001.jpg', track '4'"):
        FORMATS["burst"].read_sequence(FORMATS["burst"].find(tmp_path / "val")["LaSOT-cat-1"], images=False)


@pytest.mark.parametrize("form", ["youtube-vis", "tao", "burst"])
def test_sequences_are_joined_to_one_file(form, tmp_path):
    for name, label in (("cat", "toy"), ("dog", "animal")):
        drawn = Tracks.of(
            [0, 1, 1], [4, 4, 9], masks=[MASK, MASK, ~MASK], label=[label, label, "toy"], size=SIZE
        )
        for tracker in ("", "mine"):
            write_tracks(drawn, tmp_path / "own", "vtlab", sequence=name, tracker=tracker)
    for results in (False, True):
        (made,) = convert(tmp_path / "own", tmp_path / "out", form, results=results).written
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.json") if "losses" not in p.name) == [
        "instances.json",
        "results.json",
    ]
    record = FORMATS[form]
    for name, place in record.find(tmp_path / "out").items():
        sequence = record.read_sequence(place, images=False)
        assert sequence.truth.labels == {4: "toy" if name == "cat" else "animal", 9: "toy"}
        answer = record.read_tracks(made, sequence)
        assert answer.labels == sequence.truth.labels
        assert answer.rle.tolist() == sequence.truth.rle.tolist()
    assert [p.sequence for p in evaluate_folders(tmp_path / "out", tmp_path / "out", form).parts["mine"]] == [
        "cat",
        "dog",
    ]


def test_youtube_vos_lists_its_objects(tmp_path):
    for name, label in (("cat", "cat"), ("dog", None)):
        made = Tracks.of(
            [0, 5, 5], [1, 1, 2], masks=[MASK, MASK, ~MASK], label=[label, label, "toy"], size=SIZE
        )
        write_tracks(
            made.replace(meta={"annotated": [0, 5], "frames": 6}), tmp_path, "youtube-vos", sequence=name
        )
    videos = json.loads((tmp_path / "truth/meta.json").read_text())["videos"]
    first = {"category": "cat", "frames": ["00000", "00005"]}
    assert videos["cat"]["objects"] == {"1": first, "2": {"category": "toy", "frames": ["00005"]}}
    assert videos["dog"]["objects"]["1"] == {"frames": ["00000", "00005"]}
    assert sniff(tmp_path).name == "youtube-vos"
    form = find_format("youtube-vos")
    read = form.read_sequence(form.find(tmp_path)["cat"], images=False).truth
    assert read.labels == {1: "cat", 2: "toy"}


def test_mots_as_images(tmp_path):
    folder = tmp_path / "instances/0002"
    folder.mkdir(parents=True)
    for n in range(3):
        values = np.zeros(SIZE, np.uint16)
        values[5:9, n : n + 4], values[20:30, 20:30], values[40:, :5] = 1001, 2001, 10_000
        Image.fromarray(values).save(folder / f"{n:06d}.png")
    pictures(tmp_path / "training/image_02/0002", [f"{n:06d}.png" for n in range(3)])
    assert sniff(tmp_path).name == "mots-png"
    (sequence,) = open_format(tmp_path, "kitti-mots")
    truth = sequence.truth
    assert (len(sequence), truth.labels) == (3, {1001: "car", 2001: "pedestrian"})
    assert sequence.ignore.boxes.tolist() == [[0, 40, 5, SIZE[0]]] * 3
    assert truth.of_object(1001).boxes[1].tolist() == [1, 5, 5, 9]
    form = find_format("mots-png")
    for answer in (truth, truth.renamed({1001: 1, 2001: 2})):
        back = form.read_tracks(form.write_tracks(answer, tmp_path / "mine/0002"), sequence)
        assert back.rle.tolist() == truth.rle.tolist()
    with pytest.raises(TracksError, match="The id 1005 is no instance"):
        form.write_tracks(truth.renamed({2001: 1005}), tmp_path / "wrong")
    Image.fromarray(np.full(SIZE, 3001, np.uint16)).save(folder / "000001.png")
    with pytest.raises(FormatError, match="the value 3001 is of no class"):
        open_format(tmp_path, "mots-png")[0]
    Image.new("RGB", SIZE[::-1]).save(folder / "000001.png")
    with pytest.raises(FormatError, match="mode RGB where one of 16 bits"):
        open_format(tmp_path, "mots-png")[0]


def test_kitti_as_published(tmp_path):
    rest = "1.5 1.6 3.9 1 2 3 -1.5"
    lines = [
        f"0 -1 DontCare -1 -1 -10 5 5 9 9 {rest}",
        f"0 2 Car 0 1 -1.7 10.5 5 30 25 {rest}",
        f"1 2 Car 1 3 -1.7 11.5 5 31 25 {rest}",
        f"1 7 Pedestrian 0 0 0.1 1 2 3 4 {rest}",
    ]
    (tmp_path / "label_02").mkdir()
    file = tmp_path / "label_02/0004.txt"
    file.write_text("\n".join(lines) + "\n")
    (tmp_path / "evaluate_tracking.seqmap.training").write_text(
        "0003 empty 000000 000007\n0004 empty 000000 000003\n"
    )
    pictures(tmp_path / "image_02/0004", [f"{n:06d}.png" for n in range(3)])
    assert sniff(tmp_path).name == "kitti"
    (sequence,) = open_format(tmp_path, "kitti")
    truth = sequence.truth
    assert (len(sequence), truth.labels) == (3, {2: "car", 7: "pedestrian"})
    assert truth.occluded.tolist() == [True, False, False]
    assert sequence.ignore.boxes.tolist() == [[5, 5, 9, 9]]
    form = find_format("kitti")
    result = tmp_path / "mine/0004.txt"
    result.parent.mkdir()
    result.write_text(f"2 9 Car -1 -1 -10 1 2 3 4 {rest} 0.5\n")
    assert form.read_tracks(result, sequence).score.tolist() == [0.5]
    for line, message in (
        (f"3 9 Car -1 -1 -10 1 2 3 4 {rest} 0.5", "the sequence has 3 frames"),
        (f"2 9 Car -1 -1 -10 9 2 3 4 {rest} 0.5", "line 1: expected x1 <= x2"),
        (f"2 x Car -1 -1 -10 1 2 3 4 {rest}", "the id should be a whole number"),
        ("2 9 Car", "expected 17 or 18 cells"),
    ):
        result.write_text(line + "\n")
        with pytest.raises(FormatError, match=message):
            form.read_tracks(result, sequence)


def test_bdd100k_as_published(tmp_path):
    label = {"id": "00122063", "category": "car", "box2d": {"x1": 10, "y1": 5, "x2": 29, "y2": 24}}
    label |= {"attributes": {"occluded": True, "truncated": False, "crowd": False}}
    crowd = {**label, "id": "7", "attributes": {"crowd": True}}
    frames = [
        {"name": f"b1-{n}.jpg", "videoName": "b1", "frameIndex": n, "labels": labels}
        for n, labels in ((1, []), (0, [label, crowd]))
    ]
    file = dump(tmp_path / "labels/box_track_20/val/b1.json", frames)
    pictures(tmp_path / "images/track/val/b1", ["b1-0.jpg", "b1-1.jpg"])
    assert sniff(tmp_path).name == "bdd100k"
    (sequence,) = open_format(tmp_path, "bdd100k")
    truth = sequence.truth
    assert (len(sequence), truth.object_ids.tolist(), truth.labels) == (2, [122063], {122063: "car"})
    assert (truth.boxes.tolist(), truth.occluded.tolist()) == ([[10, 5, 30, 25]], [True])
    assert sequence.ignore.frame.tolist() == [0]
    for path, value, message in (
        ((0, "frameIndex"), 5, "count from 0 without a gap"),
        ((1, "labels", 0, "id"), "x1", "'id' should be a whole number"),
        ((1, "labels", 0, "box2d"), {"x1": 1}, "expected 'box2d'"),
    ):
        dump(file, changed(frames, path, value))
        with pytest.raises(FormatError, match=message):
            open_format(tmp_path, "bdd100k")[0]


def test_sportsmot_as_published(tmp_path):
    folder = tmp_path / "dataset/train/v_-6Os86HzwCs_c001"
    (folder / "gt").mkdir(parents=True)
    info = "name=v_-6Os86HzwCs_c001\nimDir=img1\nframeRate=25\nseqLength=2\nimWidth=1280\nimHeight=720\nimExt=.jpg\n"
    (folder / "seqinfo.ini").write_text("[Sequence]\n" + info)
    (folder / "gt/gt.txt").write_text("1, 7, 749, 217, 34, 125, 1, 1, 1\n2, 0, 85, 421, 88, 131, 1, 1, 1\n")
    form = find_format("sportsmot")
    (place,) = form.find(tmp_path).values()
    truth = form.read_sequence(place, images=False).truth
    assert (form.rule, truth.object_ids.tolist()) == ("mot17", [0, 7])
    assert truth.boxes.tolist() == [[748, 216, 782, 341], [84, 420, 172, 551]]


def test_sav_as_published(tmp_path):
    """The README of sav_dataset: ids from 0, every fourth frame, a mask without a pixel where an object isn't there."""
    mask, nothing = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    mask[4:9, 6:20] = True
    drawn = [[nothing, mask], [mask, mask], [mask, nothing]]
    rles = [[{"size": list(SIZE), "counts": masks.encode(m).decode()} for m in frame] for frame in drawn]
    data = {
        "video_id": "sav_000001", "video_duration": 0.5, "video_frame_count": 11.0, "video_height": float(SIZE[0]),
        "video_width": float(SIZE[1]), "masklet": rles, "masklet_id": [0, 1], "masklet_num": 2,
    }  # fmt: skip
    file = dump(tmp_path / "sav_000001_manual.json", data)
    dump(tmp_path / "sav_000001_auto.json", data)
    assert sniff(tmp_path).name == "sav"
    form = find_format("sa-v")
    (place,) = form.find(tmp_path).values()
    sequence = form.read_sequence(place, images=False)
    truth = sequence.truth
    assert (place.name, len(sequence), sequence.video.span) == ("sav_000001", 3, (0, 4))
    assert list(zip(truth.frame, truth.object_id, strict=True)) == [(0, 2), (1, 1), (1, 2), (2, 1)]
    assert truth.boxes[0].tolist() == [6, 4, 20, 9]
    again = json.loads(form.write_tracks(truth, tmp_path / "out.json", "truth").read_text())
    assert [again[k] for k in ("masklet", "masklet_id")] == [data[k] for k in ("masklet", "masklet_id")]
    for key, value, message in (
        ("masklet_id", [0], "frame 0: 2 masks of 1 objects"),
        ("masklet_id", [0, 0], "a number twice"),
        ("masklet", 5, "the lists masklet"),
        ("video_height", 1 << 30, "whole number"),
    ):
        dump(file, data | {key: value})
        with pytest.raises(FormatError, match=message):
            form.read_sequence(place, images=False)


def test_yolo_as_ultralytics_tracks(tmp_path):
    labels = tmp_path / "track/labels"
    labels.mkdir(parents=True)
    (labels / "street_1.txt").write_text("0 0.5 0.5 0.25 0.5 0.875 7\n2 0.25 0.25 0.5 0.5 12\n")
    (labels / "street_3.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5 0.9 7\n")
    (tmp_path / "track/data.yaml").write_text("names: [person, bicycle, car]\nwidth: 64\nheight: 48\n")
    assert sniff(tmp_path).name == "yolo"
    (place,) = find_format("yolo").find(tmp_path).values()
    sequence = find_format("yolo").read_sequence(place, images=False)
    truth = sequence.truth
    assert (place.name, len(sequence)) == ("street", 3)
    assert truth.boxes[0].tolist() == [24, 12, 40, 36]
    assert truth.score.tolist() == [0.875, 1, 0.9]
    assert truth.label.tolist() == ["person", "car", "person"]
    assert (truth.frame.tolist(), truth.object_id.tolist()) == ([0, 0, 2], [7, 12, 7])
    np.testing.assert_allclose(truth.polygons[2][0], [[6.4, 4.8], [32, 4.8], [32, 24]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1 0.1", "expected class x y width height"),
        ("0 0.5 0.5 -0.1 0.1 3", "must not be negative"),
        ("0 0.5 0.5 0.1 0.1 7 3", "confidence should be from 0 to 1"),
        ("0 0.5 0.5 0.1 0.1 0.5 x", "class x y width height"),
        ("car 0.5 0.5 0.1 0.1 3", "the class should be a whole number"),
        ("0 nan 0.5 0.1 0.1 3", "expected class x y width height"),
        ("0 0.5 0.5 0.1 0.1 99999999999999999999", "id of the track should be"),
        ("0 0.5 0.5 0.1 0.1 3\n0 0.5 0.5 0.1 0.1 3", "two rows on frame 0"),
    ],
)
def test_damaged_yolo_is_told_with_its_line(line, message, tmp_path):
    labels = tmp_path / "s/labels"
    labels.mkdir(parents=True)
    (labels / "s_1.txt").write_text(line + "\n")
    (tmp_path / "s/data.yaml").write_text("width: 64\nheight: 48\n")
    with pytest.raises(FormatError, match=message):
        find_format("yolo").read_tracks(labels)


def test_yolo_without_a_size_says_so(tmp_path):
    labels = tmp_path / "s/labels"
    labels.mkdir(parents=True)
    (labels / "s_1.txt").write_text("0 0.5 0.5 0.1 0.1 3\n")
    with pytest.raises(FormatError, match="whose size isn't known"):
        find_format("yolo").read_tracks(labels)
    pictures(tmp_path / "s/images", ["s_1.jpg", "s_2.jpg"])
    (sequence,) = open_format(tmp_path, "yolo")
    assert (len(sequence), sequence.truth.size) == (2, SIZE)
