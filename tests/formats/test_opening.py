"""Labels that lie on other frames than those of the video beside them: the error names the first, and the shift."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtlab import formats
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, VtlabWarning
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.video import write_video

COUNT, SIZE = 30, (48, 64)
TOOLS = ("cvat", "dataloop", "label-studio", "supervisely")


def footage(path: Path, count: int = COUNT, fps: float = 25.0, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (np.full((*size, 3), 2 * n, np.uint8) for n in range(count)), fps)
    return path


def labels(**more) -> Tracks:
    frame = np.arange(COUNT)
    boxes = np.stack([2 + frame, 3 + frame, 12 + frame, 13 + frame], axis=1)
    source = Source(name="walk", frames=COUNT, fps=25.0, width=SIZE[1], height=SIZE[0])
    record = Record(frames=COUNT, dense=True, source=source)
    return Tracks.of(frame, 1, boxes, label="car", source="manual", size=SIZE, record=record, **more)


def opened(name: str, root: Path, given: Tracks, **video):
    """The sequence that is read of labels and a video beside them."""
    (path,) = formats.write_tracks(given, root, name, sequence="walk")
    folder = path.parent.parent / "video" if name == "supervisely" else path.parent
    footage(folder / "walk.mp4", **video)
    return open_dataset(root, name)[0]


@pytest.mark.parametrize("name", TOOLS)
def test_labels_with_their_own_video(name, tmp_path):
    sequence = opened(name, tmp_path, labels(time=np.arange(COUNT) / 25))
    assert len(sequence.video) == COUNT
    assert len(sequence.prompts) == 1
    assert sequence.truth.frame.tolist() == list(range(COUNT))


@pytest.mark.parametrize("name", TOOLS)
def test_a_video_of_fewer_frames(name, tmp_path):
    with pytest.raises(
        FormatError, match=r"reach to frame 29, and it has 20; the first that it lacks is frame 20.*align"
    ):
        opened(name, tmp_path, labels(), count=20)


def test_a_task_of_cvat_may_be_of_the_first_frames(tmp_path):
    """Its stop_frame can't be told from the last frame of a video."""
    with pytest.warns(VtlabWarning, match="are of the first 30 frames of 'walk', which has 50"):
        sequence = opened("cvat", tmp_path, labels(), count=50)
    assert len(sequence.video) == 50
    assert sequence.truth.annotated_frames(50, dense=True).tolist() == list(range(30))


@pytest.mark.parametrize("name", [t for t in TOOLS if t != "cvat"])
def test_a_video_of_more_frames(name, tmp_path):
    told = r"walk.*labels are not of 'walk'.*say that it has 30 frames, and it has 50, 20 more; the first that differs is"
    with pytest.raises(FormatError, match=told):
        opened(name, tmp_path, labels(), count=50)


@pytest.mark.parametrize("name", ["cvat", "dataloop", "supervisely"])
def test_a_video_of_another_size(name, tmp_path):
    with pytest.raises(FormatError, match=r"their frames have 64 x 48 pixels, the video's 32 x 24"):
        opened(name, tmp_path, labels(), size=(24, 32))


def test_a_video_of_another_rate(tmp_path):
    """As many frames, at 30 per second: times of the item are those of other frames."""
    with pytest.raises(
        FormatError, match=r"come at 25 per second, the video's at 30; from frame 3 on that is another frame"
    ):
        opened("dataloop", tmp_path, labels(), fps=30)
    unknown = labels()
    unknown = unknown.replace(record=unknown.record.replace(source=None))
    assert (
        len(opened("dataloop", tmp_path / "unknown", unknown, fps=30).video) == COUNT
    )  # vtlab assumed a rate, and says so


def test_times_of_other_frames(tmp_path):
    late = np.arange(COUNT) / 25 + np.where(np.arange(COUNT) >= 10, 5 / 25, 0)
    told = r"first frame that differs is 10, .* at 0.600 s and the video at 0.400 s, .*frame 15 is: a shift of \+5 frames"
    with pytest.raises(FormatError, match=told):
        opened("label-studio", tmp_path, labels(time=late))


def test_label_studio_counts_one_frame_more_or_less(tmp_path):
    """Its page counts frames by the duration, and rounds."""
    assert len(opened("label-studio", tmp_path, labels(), count=COUNT + 1).video) == COUNT + 1


def test_a_task_of_cvat_on_each_third_frame(tmp_path):
    cut = labels()
    cut = cut.replace(record=cut.record.replace(source=Source(name="walk", frames=COUNT, start=6, step=3)))
    sequence = opened("cvat", tmp_path / "a", cut, count=100)
    assert sequence.truth.frame[:3].tolist() == [6, 9, 12]
    with pytest.raises(
        FormatError, match=r"on frames 6 to 93 of it, in steps of 3, and it has 50; .*lacks is frame 50"
    ):
        opened("cvat", tmp_path / "b", cut, count=50)


def test_poses_on_a_video_that_is_shorter(tmp_path):
    frame = np.arange(COUNT)
    given = Tracks.of(frame, 1, points=PointRows.of(frame, 1, 0, np.full((COUNT, 2), 5.0)), source="manual")
    with pytest.raises(FormatError, match="reach to frame 29, and it has 20"):
        opened("deeplabcut", tmp_path, given, count=20)


def test_the_official_number_of_frames_of_dataloop(tmp_path):
    (path,) = formats.write_tracks(labels(), tmp_path, "dataloop", sequence="walk")
    told = json.loads(path.read_text())
    told["metadata"]["system"]["nb_frames"] = told["metadata"]["system"]["ffmpeg"]["nb_frames"] = 45
    path.write_text(json.dumps(told))
    footage(path.parent / "walk.mp4")
    with pytest.raises(FormatError, match="say that it has 45 frames, and it has 30, 15 less"):
        open_dataset(tmp_path, "dataloop")[0]


def test_images_of_ovis_lie_in_a_folder_of_their_part(tmp_path):
    drawn = np.zeros(SIZE, bool)
    drawn[5:9, 5:9] = True
    given = Tracks.of([0, 1], 1, masks=[drawn, drawn], label="person", size=SIZE)
    (path,) = formats.write_tracks(given, tmp_path, "youtube-vis", sequence="walk")
    (tmp_path / "ovis/train/walk").mkdir(parents=True)
    path.rename(tmp_path / "ovis/annotations_train.json")
    for n in range(2):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / f"ovis/train/walk/{n:05d}.jpg")
    assert len(open_dataset(tmp_path / "ovis", "ovis")[0].video) == 2
