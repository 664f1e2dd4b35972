"""The synthetic generator: same seed, same pixels; its truth agrees with what is drawn; each knob does its work."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vtlab import masks
from vtlab.datasets.synthetic import PRESETS, Difficulty, SyntheticSource, synthetic
from vtlab.errors import InputError, MissingDependencyError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt

SMALL = {"seconds": 1.0, "fps": 12.0, "size": (320, 180)}


@pytest.fixture(scope="module")
def sequence():
    return synthetic(seed=0, **SMALL)


def test_shape_and_names(sequence) -> None:
    assert sequence.video.shape == (12, 180, 320, 3) == (len(sequence), 180, 320, 3)
    assert (sequence.name, sequence.video.name, sequence.video.fps) == ("synthetic-0", "synthetic-0", 12)
    assert sequence.truth.object_ids.tolist() == [1, 2, 3]
    assert set(sequence.truth.labels) == {1, 2, 3}
    assert sequence.ignore is None
    assert sequence.video[0].dtype == np.uint8


def test_frames_follow_from_the_seed_alone(sequence) -> None:
    again = synthetic(seed=0, **SMALL)
    for index in (7, 0, 11):
        np.testing.assert_array_equal(again.video[index], sequence.video[index])
    assert again.video.digest() == sequence.video.digest()
    assert again.prompts == sequence.prompts
    np.testing.assert_array_equal(again.truth.boxes, sequence.truth.boxes)
    other = synthetic(seed=1, **SMALL)
    assert other.video.digest() != sequence.video.digest()
    assert np.abs(other.video[0].astype(int) - sequence.video[0]).mean() > 5


def test_prompts_of_every_kind_where_objects_show(sequence) -> None:
    sequence.prompts.check(sequence.video)
    for object_id in (1, 2, 3):
        mine = {type(p): p for p in sequence.prompts.of(object_id)}
        assert set(mine) == {BoxPrompt, MaskPrompt, PointPrompt}
        assert mine[BoxPrompt].label == sequence.truth.labels[object_id]
        row = sequence.truth.at(mine[BoxPrompt].frame).of_object(object_id)
        assert mine[BoxPrompt].xyxy == pytest.approx(row.boxes[0])
        mask = mine[MaskPrompt].mask(180, 320)
        assert masks.iou(mask, sequence.truth.masks_at(mine[MaskPrompt].frame)[object_id]) == 1


@pytest.mark.parametrize("seed", [0, 3])
def test_masks_are_what_is_drawn(seed: int) -> None:
    """Before two plain backgrounds the same pixels are covered exactly where masks and pillars are."""
    sequence = synthetic(seed=seed, difficulty=Difficulty(0.5, 0.4, 0.5, 0, 0.6, 0.5, 0, 0), **SMALL)
    scene = sequence.video._frames_source._scene
    for layer in (*scene._layers, *scene._pillars):
        layer.cutout.picture[..., 4] = 0  # without shadows, which darken the background beside the mask
    drawn = []
    for level in (40, 220):
        scene.__dict__["_ground"] = np.full((270, 480, 3), level, np.uint8)
        drawn.append([sequence.video._frames_source.get(i).astype(int) for i in (0, 5, 11)])
    for index, dark, bright in zip((0, 5, 11), *drawn, strict=True):
        own = np.abs(bright - dark).max(axis=2) < 90
        covered = np.zeros_like(own)
        for _, _, whole in scene._covers(index / 12):
            covered |= whole
        assert masks.iou(own, covered) > 0.998
        union = np.zeros_like(own)
        for mask in sequence.truth.masks_at(index).values():
            assert not (union & mask).any()
            union |= mask
        assert not (union & ~covered).any()


def test_points_follow_the_material() -> None:
    """Optical flow from frame to frame ends where the truth says, to a fraction of a pixel."""
    sequence = synthetic(
        seed=5,
        seconds=1,
        fps=24,
        size=(480, 270),
        difficulty=Difficulty(0.3, 0, 0.3, 0, 0.5, 0.3, 0, 0),
        points=12,
    )
    images = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in sequence.video]
    errors = []
    for index in range(0, 20, 3):
        now, later = sequence.truth.at(index).points, sequence.truth.at(index + 1).points
        both = now.visible & later.visible
        start = (now.xy[both] - 0.5).astype(np.float32)[:, None]
        found, _, _ = cv2.calcOpticalFlowPyrLK(
            images[index], images[index + 1], start, None, winSize=(11, 11)
        )
        errors += np.hypot(*(found[:, 0] + 0.5 - later.xy[both]).T).tolist()
        assert (np.hypot(*(later.xy[both] - now.xy[both]).T) > 0.05).any()
    assert np.median(errors) < 0.15
    assert np.quantile(errors, 0.8) < 0.6


def test_visible_points_lie_on_visible_masks(sequence) -> None:
    points = sequence.truth.points
    for frame in range(12):
        shown = sequence.truth.masks_at(frame)
        for object_id, (x, y), visible in zip(
            *(column[points.frame == frame] for column in (points.object_id, points.xy, points.visible)),
            strict=True,
        ):
            inside = 0 <= x < 320 and 0 <= y < 180
            assert visible == (inside and bool(shown[object_id][int(y), int(x)]))


def test_boxes_are_whole_and_masks_are_what_shows() -> None:
    sequence = synthetic(seed=2, objects=4, difficulty="hard", seconds=3, fps=10, size=(320, 180))
    truth, hidden = sequence.truth, 0
    for row in range(len(truth)):
        mask = truth.mask(row)
        box = truth.boxes[row]
        assert (box >= 0).all()
        assert (box <= (320, 180, 320, 180)).all()
        if mask.any():
            tight = masks.to_box(mask)
            assert (tight[:2] >= box[:2]).all()
            assert (tight[2:] <= box[2:]).all()
        else:
            assert not truth.visible[row]
        hidden += not truth.visible[row]
    assert hidden > 0
    for prompt in sequence.prompts:
        row = truth.at(prompt.frame).of_object(prompt.object_id)
        assert row.visible[0]


def spread(sequence, column) -> float:
    """Mean over objects of the range of a number through the video, relative to its mean."""
    boxes = [sequence.truth.of_object(i).boxes for i in sequence.truth.object_ids]
    return float(np.mean([np.ptp(column(b)) for b in boxes]))


def test_each_knob_does_its_work() -> None:
    def make(**knobs: float):
        return synthetic(seed=4, objects=2, seconds=2, fps=8, size=(256, 144), difficulty="still", **knobs)

    still = make()
    np.testing.assert_array_equal(still.video[0], still.video[15])
    assert spread(still, lambda b: b[:, 0]) == 0
    assert spread(make(motion=0.5), lambda b: (b[:, 0] + b[:, 2]) / 2) > 15
    assert spread(make(scale=1.0), lambda b: np.log(b[:, 3] - b[:, 1])) > 0.3
    hidden = make(occlusion=1.0, motion=0.4).truth
    assert min(hidden.mask(r).sum() for r in range(len(hidden))) < 0.5 * max(
        hidden.mask(r).sum() for r in range(len(hidden))
    )
    assert np.std(make(noise=1.0).video[0].astype(float) - still.video[0]) == pytest.approx(25, rel=0.2)
    moving = make(camera=1.0)
    assert np.abs(moving.video[0].astype(int) - moving.video[15])[:20].mean() > 5
    bent = make(deformation=1.0)
    assert np.abs(bent.video[0].astype(int) - bent.video[15]).max() > 40
    np.testing.assert_array_equal(bent.video[0][:8], bent.video[15][:8])
    crowd = make(distractors=1.0)
    assert len(crowd.ignore.object_ids) == 6
    assert crowd.truth.object_ids.tolist() == [1, 2]
    assert set(crowd.ignore.label) <= set(crowd.truth.label)
    sharp, smeared = make(motion=1.0), make(motion=1.0, blur=1.0)
    detail = [cv2.Laplacian(s.video[3], cv2.CV_64F).var() for s in (sharp, smeared)]
    assert detail[1] < 0.98 * detail[0]


def test_presets_and_tags() -> None:
    assert list(PRESETS) == ["still", "easy", "medium", "hard"]
    assert synthetic(difficulty="easy", **SMALL).attributes == frozenset()
    assert "occlusion" in synthetic(difficulty="easy", occlusion=0.8, **SMALL).attributes


def test_without_points(sequence) -> None:
    bare = synthetic(seed=0, points=0, **SMALL)
    assert len(bare.truth.points) == 0
    assert PointPrompt not in bare.prompts.kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"difficulty": "hart"}, "Unknown difficulty 'hart'. Did you mean 'hard'"),
        ({"oclusion": 0.5}, "Unknown knob 'oclusion'. Did you mean 'occlusion'"),
        ({"motion": 1.5}, "knob 'motion' between 0 and 1, got 1.5"),
        ({"objects": 0}, "at least 1 object"),
        ({"seconds": 0}, "at least 1 object, 1 frame"),
        ({"size": (10, 10)}, "64 pixels a side"),
    ],
)
def test_wrong_values(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic(**arguments)  # type: ignore[arg-type]


def test_missing_photographs_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from vtlab.datasets.synthetic import cutouts as module

    module.photograph.cache_clear()
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"scikit-image.*vtlab\[notebook\]"):
        synthetic(**SMALL)


def test_nothing_but_the_frame_asked_for_is_kept() -> None:
    source = synthetic(seed=0, **SMALL).video._frames_source
    assert isinstance(source, SyntheticSource)
    for index in range(12):
        source.get(index)
    held = [v for v in vars(source).values() if isinstance(v, np.ndarray)]
    assert sum(v.nbytes for v in held) < 10_000
