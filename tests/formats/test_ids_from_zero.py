"""Files that count their objects from 0 can be opened with their images: prompts count from 1."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from vtlab import track
from vtlab.benchmark import evaluate_folders
from vtlab.errors import FormatError, TracksError, VtlabWarning
from vtlab.formats import FORMATS, convert, open_format, write_tracks
from vtlab.prompts import BoxPrompt
from vtlab.sequence import from_one
from vtlab.testing.formats import COUNT, SIZE, example
from vtlab.tracks import PointRows, Tracks
from vtlab.video import open_video


def pictures(folder, first):
    folder.mkdir(parents=True)
    for number in range(first, first + 3):
        cv2.imwrite(str(folder / f"{number:06d}.png"), np.zeros((60, 80, 3), np.uint8))


@pytest.fixture(params=["kitti", "motchallenge"])
def layout(request, tmp_path):
    """Two objects, 0 and 1, on three frames."""
    rows = [(frame, owner, 10 + 20 * owner + frame) for frame in range(3) for owner in range(2)]
    if request.param == "kitti":
        pictures(tmp_path / "image_02/0001", 0)
        lines = [f"{f} {i} Car 0 0 -10 {x} 10 {x + 15} 30 1 1 1 0 0 0 0" for f, i, x in rows]
        file = tmp_path / "label_02/0001.txt"
    else:
        pictures(tmp_path / "v_1/img1", 1)
        info = "[Sequence]\nname=v_1\nframeRate=25\nseqLength=3\nimWidth=80\nimHeight=60\nimExt=.png\n"
        (tmp_path / "v_1/seqinfo.ini").write_text(info)
        lines = [f"{f + 1},{i},{x + 1},11,15,20,1,1,1" for f, i, x in rows]
        file = tmp_path / "v_1/gt/gt.txt"
    file.parent.mkdir()
    file.write_text("\n".join(lines) + "\n")
    return request.param, tmp_path


def test_it_opens_with_images_and_says_the_ids_of_the_file(layout):
    kind, root = layout
    (sequence,) = open_format(root, kind)
    assert [p.object_id for p in sequence.prompts] == [1, 2]
    assert sequence.truth.object_ids.tolist() == [1, 2]
    assert sequence.truth.record.id_map == {"1": 0, "2": 1}
    for prompt in sequence.prompts:
        np.testing.assert_array_equal(prompt.xyxy, sequence.truth.of_object(prompt.object_id).boxes[0])


def test_a_conversion_keeps_them(layout, tmp_path):
    kind, root = layout
    convert(root, tmp_path.parent / f"{tmp_path.name}-out", "vtlab", layout=kind)
    (found,) = (tmp_path.parent / f"{tmp_path.name}-out").rglob("*.parquet")
    assert Tracks.load(found).object_ids.tolist() == [0, 1]


@pytest.fixture
def any_video(monkeypatch):
    """Readers find a video of as many frames as `example` has, wherever they look for one."""
    video = open_video(np.zeros((COUNT, *SIZE, 3), np.uint8), name="walk")
    for name, module in list(sys.modules.items()):
        if name.startswith("vtlab.formats.") and hasattr(module, "open_frames"):
            monkeypatch.setattr(module, "open_frames", lambda *_, **__: video)


@pytest.mark.parametrize("name", sorted(name for name, form in FORMATS.items() if form.ready))
def test_prompts_and_truth_of_every_format_agree(name, any_video, tmp_path):
    form = FORMATS[name]
    given = example(form).renamed({1: 0, 2: 1})
    try:
        form.write_tracks(given, form.path_of(tmp_path, "walk"), "truth")
    except TracksError:
        return  # it says that it can't have such an object
    (place,) = form.find(tmp_path).values()
    try:
        sequence = form.read_sequence(place)
    except FormatError:  # its files hold their frames, and these were written without
        sequence = form.read_sequence(place, images=False)
    truth = sequence.truth
    assert truth.object_ids.min() == 1
    assert set(sequence.prompts.object_ids) == set(truth.object_ids.tolist())
    kept = "ids" not in form.losses(given)
    assert not kept or truth.record.id_map == {"1": 0, "2": 1}
    for prompt in sequence.prompts:
        mine = truth.of_object(prompt.object_id).at(prompt.frame)
        if isinstance(prompt, BoxPrompt):
            np.testing.assert_allclose(prompt.xyxy, mine.boxes[0], atol=1e-6)
        host = prompt.object_id - 1
        theirs = given.of_object(host).at(0)
        if kept and not len(theirs.points):
            np.testing.assert_allclose(mine.boxes, theirs.boxes, atol=1e-6)


def test_a_result_from_prompts_meets_the_object_that_it_was_prompted_with(any_video, tmp_path):
    """It was scored against the next object in silence: 1 of the prompts is 0 of the truth."""
    truth = example(FORMATS["davis"]).renamed({1: 0, 2: 1})
    form = FORMATS["vtlab"]
    write_tracks(truth.replace(meta={**truth.meta, "rule": "davis"}), tmp_path, form, sequence="walk")
    (sequence,) = open_format(tmp_path, form)
    answer = track(sequence.video, sequence.prompts, "identity", progress=False)
    perfect = sequence.truth.replace(record=answer.record)
    write_tracks(perfect, tmp_path, form, sequence="walk", tracker="mine")
    with pytest.warns(VtlabWarning, match="object 1 is taken for object 0 of the truth"):
        table = evaluate_folders(tmp_path, tmp_path, form).table
    assert table.loc[("mine", "walk"), "ao"] == 1


def test_points_and_what_the_record_says_go_with_their_objects_and_other_ids_stay():
    points = PointRows.of([0, 0], [0, 4], [0, 0], np.ones((2, 2)))
    said = {"objects": {"0": {"sex": "f"}}, "id_map": {"4": "ann"}}
    moved = from_one(Tracks.of([0, 0], [0, 4], np.ones((2, 4)), points=points, meta=said))
    assert moved.points.object_id.tolist() == moved.object_id.tolist() == [1, 5]
    assert (moved.record.objects, moved.record.id_map) == ({"1": {"sex": "f"}}, {"1": 0, "5": "ann"})
    kept = Tracks.of([0, 0], [1, 4], np.ones((2, 4)))
    assert from_one(kept) is kept
