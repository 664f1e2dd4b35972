"""Readers of benchmark layouts: tiny trees made here, and the shared real ones where they are present."""

from __future__ import annotations

import os
import pickle
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vtlab import masks
from vtlab.datasets import Dataset, open_dataset
from vtlab.errors import FormatError, InputError, VideoError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt

HEIGHT, WIDTH = 48, 64
open_mot = partial(open_dataset, layout="motchallenge")
open_otb = partial(open_dataset, layout="otb")
open_davis = partial(open_dataset, layout="davis")
open_tapvid = partial(open_dataset, layout="tapvid")


def images(folder: Path, count: int, first: int = 1, digits: int = 4, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        image = np.full((HEIGHT, WIDTH, 3), 10 * index % 250, np.uint8)
        cv2.imwrite(str(folder / f"{first + index:0{digits}d}{suffix}"), image)


@pytest.fixture
def mot(tmp_path: Path) -> Path:
    folder = tmp_path / "MOT17-99-DPM"
    images(folder / "img1", 3, digits=6)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT17-99-DPM\nimDir=img1\nframeRate=14\nseqLength=3\nimWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n"
    )
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text(
        "1,7,11,6,10,20,1,1,1\n2,7,12,6,10,20,1,1,0.5\n3,7,13,6,10,20,1,1,0\n2,9,31,6,10,20,0,8,1\n"
    )
    (folder / "det").mkdir()
    (folder / "det" / "det.txt").write_text("1,-1,11,6,10,20,0.9,-1,-1,-1\n1,-1,31,6,10,20,0.3,-1,-1,-1\n")
    return tmp_path


def test_mot(mot: Path) -> None:
    dataset = open_mot(mot)
    assert isinstance(dataset, Dataset)
    assert dataset.names == ("MOT17-99-DPM",)
    sequence = dataset[0]
    assert (sequence.name, sequence.video.name, sequence.video.fps, len(sequence)) == (
        *[dataset.names[0]] * 2,
        14,
        3,
    )
    assert sequence.truth.of_object(7).boxes[0].tolist() == [10, 5, 20, 25]
    assert sequence.truth.frame.tolist() == [0, 1, 1, 2]
    assert sequence.truth.of_object(7).visible.tolist() == [True, True, False]
    assert sequence.truth.of_object(9).score.tolist() == [0]
    assert sequence.truth.labels == {7: "pedestrian", 9: "distractor"}
    assert sequence.truth.meta["frames"] == 3
    assert [p.object_id for p in sequence.prompts] == [7]
    assert sequence.benchmark == "mot17"
    detections = dataset.format.read_detections(dataset.place("MOT17-99-DPM"))
    assert detections.boxes[1].tolist() == [30, 5, 40, 25]
    assert detections.score.tolist() == pytest.approx([0.9, 0.3])
    assert open_mot(mot / "MOT17-99-DPM").names == dataset.names


def test_mot_errors(mot: Path) -> None:
    with pytest.raises(InputError, match=r"in the layout 'motchallenge' with select='SDP'\. Remedy"):
        open_mot(mot, select="SDP")
    with pytest.raises(InputError, match=r"has no sequence 'MOT17-98'\. Did you mean"):
        open_mot(mot)["MOT17-98"]
    info = mot / "MOT17-99-DPM" / "seqinfo.ini"
    info.write_text(info.read_text().replace("seqLength=3", "seqLength=2"))
    with pytest.raises(FormatError, match=r"gt\.txt, line 3: the sequence has 2 frames"):
        open_mot(mot)[0]
    info.write_text("[Sequence]\nname=x\n")
    with pytest.raises(FormatError, match=r"seqinfo\.ini: expected a section \[Sequence\]"):
        open_mot(mot)[0]


def test_a_missing_image_is_named(mot: Path) -> None:
    (mot / "MOT17-99-DPM/img1/000002.jpg").unlink()
    with pytest.raises(
        FormatError, match=r"2 images where seqinfo\.ini says 3\. The first that is missing is 000002"
    ):
        open_mot(mot)[0]


def test_mot_without_images_still_has_its_truth(mot: Path) -> None:
    for file in (mot / "MOT17-99-DPM" / "img1").iterdir():
        file.unlink()
    assert len(open_mot(mot).truth("MOT17-99-DPM")) == 4
    with pytest.raises(VideoError, match="holds no images"):
        open_mot(mot)[0]


@pytest.mark.shared
def test_real_mot(shared: Path) -> None:
    dataset = open_mot(shared / "data" / "mot")
    sequence = dataset["PETS09-S2L1-169"]
    assert sequence.video.shape == (169, 576, 768, 3)
    assert sequence.video.fps == 7
    assert len(sequence.truth.object_ids) == 8
    assert len(sequence.truth) == 1006
    assert (sequence.truth.score == 0).sum() == 39
    assert len(sequence.prompts.object_ids) <= 8
    sequence.prompts.check(sequence.video)
    assert len(dataset.format.read_detections(dataset.place("PETS09-S2L1-169"))) > 500
    assert len(dataset.truth("TUD-Campus")) == 359
    assert open_mot(shared / "data" / "mot", select="MOT17").truth("MOT17-02-DPM").meta["frames"] == 600


def test_otb(tmp_path: Path) -> None:
    images(tmp_path / "Ball" / "img", 4)
    (tmp_path / "Ball" / "groundtruth_rect.txt").write_text(
        "11,6,10,20\n12\t6\t10\t20\n13 6 10 20\n0,0,0,0\n"
    )
    (tmp_path / "Ball" / "attrs.txt").write_text("FM, OV\n")
    sequence = open_otb(tmp_path)["Ball"]
    assert sequence.video.name == "Ball"
    assert sequence.truth.boxes[:3].tolist() == [[10, 5, 20, 25], [11, 5, 21, 25], [12, 5, 22, 25]]
    assert sequence.truth.visible.tolist() == [True, True, True, False]
    assert sequence.prompts[0] == BoxPrompt((10, 5, 20, 25))
    assert sequence.attributes == {"fast motion", "out of view"}
    assert sequence.benchmark == "otb"


def test_otb_targets_and_parts(tmp_path: Path) -> None:
    images(tmp_path / "Jogging" / "img", 2)
    for target in (1, 2):
        (tmp_path / "Jogging" / f"groundtruth_rect.{target}.txt").write_text(
            f"{target}1,6,10,20\n{target}2,6,10,20\n"
        )
    images(tmp_path / "Diving" / "img", 231)
    (tmp_path / "Diving" / "groundtruth_rect.txt").write_text("11,6,10,20\n" * 215)
    images(tmp_path / "David" / "img", 12, first=295)
    (tmp_path / "David" / "groundtruth_rect.txt").write_text("11,6,10,20\n" * 7)
    dataset = open_otb(tmp_path)
    assert dataset.names == ("David", "Diving", "Jogging-1", "Jogging-2")
    assert dataset["Jogging-2"].truth.boxes[0, 0] == 20
    assert len(dataset["Diving"]) == 215
    david = dataset["David"]
    assert len(david) == 7
    assert david.video[0][0, 0, 0] == pytest.approx(50, abs=2)
    (tmp_path / "Jogging" / "groundtruth_rect.1.txt").write_text("11,6,10,20\n" * 3)
    with pytest.raises(FormatError, match=r"3 boxes for 2 images"):
        dataset["Jogging-1"]
    with pytest.raises(InputError, match=r"holds no sequences in the layout 'otb'\. Remedy"):
        open_otb(tmp_path / "Diving" / "img")


@pytest.mark.shared
def test_real_otb(shared: Path) -> None:
    dataset = open_otb(shared / "data" / "sot")
    assert dataset.names == ("Basketball", "Crossing", "DragonBaby")
    assert [len(s) for s in dataset] == [200, 120, 113]
    assert dataset["Crossing"].truth.boxes[0].tolist() == [204, 150, 221, 200]
    assert dataset["Basketball"].video.shape == (200, 432, 576, 3)
    assert "motion blur" in dataset["DragonBaby"].attributes


def palette_image(array: np.ndarray, path: Path) -> None:
    image = Image.fromarray(array, mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [90] * 759)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    images(tmp_path / "JPEGImages/480p/two", 3, first=0, digits=5)
    for index in range(3):
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        labels[5:15, 10 + index : 20 + index] = 1
        if index > 0:
            labels[30:40, 40:50] = 2
        labels[44:, :] = 255
        palette_image(labels, tmp_path / f"Annotations/480p/two/{index:05d}.png")
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("two\n")
    return tmp_path


def test_davis(davis: Path) -> None:
    assert open_davis(davis).names == open_davis(davis, split="2017/val").names == ("two",)
    sequence = open_davis(davis)[0]
    assert sequence.truth.object_ids.tolist() == [1, 2]
    assert sequence.truth.of_object(1).boxes[2].tolist() == [12, 5, 22, 15]
    assert sequence.truth.masks_at(1)[2].sum() == 100
    assert sequence.truth.meta["annotated"] == [0, 1, 2]
    assert [(p.object_id, p.frame) for p in sequence.prompts if isinstance(p, MaskPrompt)] == [(1, 0), (2, 1)]
    assert sequence.ignore.masks_at(0)[1].sum() == 4 * WIDTH
    assert (sequence.benchmark, sequence.video.fps) == ("davis", 24)


def test_davis_2016_and_sparse_masks(tmp_path: Path) -> None:
    images(tmp_path / "JPEGImages/one", 6, first=0, digits=5)
    for index in (0, 5):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[5:15, 10:20] = 255
        (tmp_path / "Annotations/one").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"Annotations/one/{index:05d}.png")
    sequence = open_davis(tmp_path)["one"]
    assert sequence.truth.object_ids.tolist() == [1]
    assert sequence.truth.frame.tolist() == sequence.truth.meta["annotated"] == [0, 5]
    assert sequence.ignore is None


def test_davis_errors(davis: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no sequences in the layout 'davis'.*expected \{JPEGImages,Annotations\}"
    ):
        open_davis(tmp_path / "ImageSets")
    with pytest.raises(InputError, match=r"no list .*2016/val\.txt'\. Remedy"):
        open_davis(davis, split="2016/val")
    path = davis / "Annotations/480p/two/00001.png"
    palette_image(np.zeros((HEIGHT, WIDTH - 1), np.uint8), path)
    with pytest.raises(FormatError, match=r"00001\.png: 63 x 48 px, the image is 64 x 48"):
        open_davis(davis)[0]
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    with pytest.raises(FormatError, match=r"00001\.png: a picture of mode RGB where a palette PNG"):
        open_davis(davis)[0]
    path.rename(path.with_name("00009.png"))
    with pytest.raises(FormatError, match=r"00009\.png: (there is no image|expected)"):
        open_davis(davis)[0]


@pytest.mark.shared
def test_real_davis(shared: Path) -> None:
    dataset = open_davis(shared / "data" / "vos")
    assert dataset.names == ("blackswan", "camel", "car-shadow", "horsejump-high")
    sequence = dataset["car-shadow"]
    assert sequence.video.shape == (40, 480, 854, 3)
    assert len(sequence.truth) == 40
    first = cv2.imread(str(shared / "data/vos/Annotations/480p/car-shadow/00000.png"), 0) > 0
    assert masks.iou(sequence.truth.mask(0), first) == 1


def tapvid_entry(jpeg: bool = False) -> dict[str, object]:
    video = np.random.default_rng(0).integers(0, 255, (7, HEIGHT, WIDTH, 3), np.uint8)
    frames = [cv2.imencode(".jpg", image)[1].tobytes() for image in video] if jpeg else video
    points = np.zeros((3, 7, 2), np.float32)
    points[:, :, 0] = [[0.25], [0.5], [0.75]]
    points[:, :, 1] = np.linspace(0.1, 0.9, 7)
    occluded = np.zeros((3, 7), bool)
    occluded[1, :3] = True
    occluded[2] = True
    return {"video": frames, "points": points, "occluded": occluded}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("jpeg", [False, True])
def test_tapvid(tmp_path: Path, protocol: int, jpeg: bool) -> None:
    path = tmp_path / "tapvid.pkl"
    path.write_bytes(pickle.dumps({"goat": tapvid_entry(jpeg)}, protocol=protocol))
    dataset = open_tapvid(path)
    assert dataset.names == ("goat",)
    sequence = dataset["goat"]
    assert sequence.video.shape == (7, HEIGHT, WIDTH, 3)
    assert sequence.video.name == "goat"
    assert [(type(p), p.object_id, p.frame) for p in sequence.prompts] == [
        (PointPrompt, 1, 0),
        (PointPrompt, 2, 3),
    ]
    assert np.concatenate([p.points for p in sequence.prompts]) == pytest.approx(
        np.array([[16, 4.8], [32, 24]])
    )
    points = sequence.truth.points
    assert len(points) == 14
    assert points.visible.reshape(7, 2)[:, 1].tolist() == [False] * 3 + [True] * 4
    assert sequence.benchmark == "tapvid-first"
    strided = open_tapvid(path, rule="tapvid-strided")["goat"]
    assert [(p.object_id, p.frame) for p in strided.prompts] == [(1, 0), (2, 5), (3, 5)]
    assert strided.benchmark == "tapvid-strided"


def test_tapvid_list(tmp_path: Path) -> None:
    path = tmp_path / "stacking.pkl"
    path.write_bytes(pickle.dumps([tapvid_entry(), tapvid_entry()]))
    assert open_tapvid(path).names == ("00000", "00001")


class Evil:
    def __reduce__(self):
        return os.system, ("touch /nowhere",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": Evil()}, r"holds (posix|nt)\.system, which is not an array"),
        ({"a": Path("x")}, r"holds pathlib.*not an array"),
        (3, "expected a dictionary or a list of videos, got int"),
        ({"a": {"video": 1}}, "'a': expected the entries video, points and occluded"),
        ({"a": {**tapvid_entry(), "occluded": np.zeros((2, 7), bool)}}, r"got \(3, 7, 2\) and \(2, 7\)"),
        ({"a": {**tapvid_entry(), "video": 5}}, "expected the video as an array"),
    ],
)
def test_tapvid_refuses(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(FormatError, match=message):
        open_tapvid(path)[0]


def test_tapvid_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cut.pkl"
    path.write_bytes(pickle.dumps({"goat": tapvid_entry()})[:-500])
    with pytest.raises(FormatError, match="not a pickle of TAP-Vid, or damaged"):
        open_tapvid(path)
    with pytest.raises(InputError, match="there is no such file or folder"):
        open_tapvid(tmp_path / "missing.pkl")
    with pytest.raises(InputError, match="tapvid-first or tapvid-strided"):
        open_tapvid(path, rule="last")
