"""Lucas-Kanade on textures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.comparison import fitting_prompts
from vtlab.errors import InputError, PromptError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.prompts.shapes import figures_at
from vtlab.registry import tracker_card
from vtlab.trackers.loop import track
from vtlab.trackers.points.lucas_kanade import patches, similarity
from vtlab.video import open_video

SHIFT = np.array([1.75, -1.25])


def texture(height=160, width=240, seed=0):
    """A smooth random image, float32 (height, width)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 8 + 2, width // 8 + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def moving(frames=8, move=lambda t: np.array([[1, 0, SHIFT[0] * t], [0, 1, SHIFT[1] * t]]), size=(160, 240)):
    """The texture under an affine motion; `move(t)` maps a point of frame 0 to frame t (2, 3), vtlab raster."""
    image, half = texture(*size), np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    video = []
    for t in range(frames):
        matrix = half @ np.vstack([move(t), [0, 0, 1]]) @ np.linalg.inv(half)
        warped = cv2.warpAffine(
            image, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        video.append(np.repeat(warped.round().astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(video)


def follow(video, *prompts, **options):
    return track(video, Prompts(prompts), "lucas-kanade", progress=False, **options)


GRID = tuple((float(x), float(y)) for x in (60, 100, 140) for y in (50, 80, 110))


def paths(tracks):
    """Points as (T, K, 2)."""
    return tracks.points.xy.reshape(len(tracks.frames), -1, 2)


def test_points_follow_a_translation_to_a_tenth_of_a_pixel():
    tracks = follow(moving(), PointPrompt(GRID))
    wanted = np.asarray(GRID) + np.arange(8)[:, None, None] * SHIFT
    np.testing.assert_allclose(paths(tracks), wanted, atol=0.1)
    assert tracks.points.visible.all()
    assert tracks.points.score.min() > 0.9


def test_backward_both_and_late_queries():
    video = moving()
    wanted = np.asarray(GRID) + (np.arange(8)[:, None, None] - 4) * SHIFT
    back = follow(video, PointPrompt(GRID, frame=4), direction="backward")
    assert back.frames.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(paths(back), wanted[:5], atol=0.1)
    both = follow(video, PointPrompt(GRID, frame=4), direction="both")
    np.testing.assert_allclose(paths(both), wanted, atol=0.1)
    late = follow(video, PointPrompt(GRID, frame=4))
    assert late.frames.tolist() == [4, 5, 6, 7]
    last = follow(video, PointPrompt(GRID, frame=7))
    np.testing.assert_array_equal(paths(last), [GRID])


@settings(max_examples=10, deadline=None)
@given(dx=st.integers(-12, 12), dy=st.integers(-12, 12))
def test_a_translated_video_gives_translated_tracks(dx, dy):
    video = moving(4, size=(200, 280))
    whole = follow(video[:, 20:-20, 20:-20], PointPrompt(GRID))
    moved = follow(video[:, 20 - dy : 180 - dy, 20 - dx : 260 - dx], PointPrompt(np.add(GRID, (dx, dy))))
    np.testing.assert_allclose(paths(moved), np.add(paths(whole), (dx, dy)), atol=0.02)


@pytest.mark.parametrize("scale", [(2, 2), (1.5, 1.25), (0.75, 0.75)])
def test_a_scaled_video_gives_scaled_tracks(scale):
    video = moving(6)
    scaled = np.stack(
        [cv2.resize(f, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_CUBIC) for f in video]
    )
    tracks = follow(scaled, PointPrompt(np.multiply(GRID, scale)))
    np.testing.assert_allclose(paths(tracks), paths(follow(video, PointPrompt(GRID))) * scale, atol=0.15)


def test_figures_turn_and_grow_and_come_back_as_given():
    centre = np.array([120.0, 80.0])

    def move(t):
        z = 1.02**t * np.exp(0.03j * t)
        turn = np.array([[z.real, -z.imag], [z.imag, z.real]])
        return np.column_stack([turn, centre - turn @ centre + SHIFT * t])

    square = ((90.0, 60.0), (150.0, 60.0), (150.0, 100.0), (90.0, 100.0))
    prompts = [
        PointPrompt(square, object_id=1, shape="polygon"),
        BoxPrompt((90, 60, 150, 100), angle=0.2, object_id=2),
        SkeletonPrompt(
            square, edges=((0, 1), (1, 2), (2, 3)), occluded=(False, True, False, False), object_id=3
        ),
    ]
    tracks = follow(moving(10, move), *prompts)
    polygon, box, skeleton = figures_at(tracks, prompts, 9)
    last = move(9)
    wanted = np.asarray(square) @ last[:, :2].T + last[:, 2]
    np.testing.assert_allclose(polygon.points, wanted, atol=1.0)  # flow without turn drifts 0.1 px a frame
    np.testing.assert_allclose(skeleton.points, wanted, atol=1.0)
    assert skeleton.occluded == (False, True, False, False)
    np.testing.assert_allclose(box.corners(), prompts[1].corners() @ last[:, :2].T + last[:, 2], atol=1.0)
    np.testing.assert_allclose(box.angle, 0.2 + 0.27, atol=0.01)


def test_a_covered_point_is_lost_is_carried_and_comes_back():
    video = moving(16)
    for t in range(5, 9):
        x, y = (np.array([100, 80]) + SHIFT * t).astype(int)
        video[t, y - 14 : y + 14, x - 14 : x + 14] = 90
    tracks = follow(video, PointPrompt(GRID, shape="polyline"))
    visible = tracks.points.visible.reshape(16, -1)[:, GRID.index((100.0, 80.0))]
    assert visible.tolist() == [True] * 5 + [False] * 4 + [True] * 7
    wanted = np.asarray(GRID) + np.arange(16)[:, None, None] * SHIFT
    np.testing.assert_allclose(paths(tracks), wanted, atol=0.75)


def test_a_lost_point_with_none_beside_it_follows_its_own_flow():
    """Not the motion of other objects; here what moves is called lost at once, nothing brings it back."""
    video = moving()
    still = np.repeat(video[:1], len(video), axis=0)
    video[:, :, 120:] = still[:, :, 120:]  # the right half stands
    each = [
        PointPrompt(p, object_id=i + 1) for i, p in enumerate(((60, 50), (70, 100), (170, 80), (200, 60)))
    ]
    tracks = follow(video, *each, max_error=1e-9, return_similarity=1.1)
    assert not tracks.points.visible.reshape(8, 4)[1:, :2].any()
    wanted = np.array([p.points[0] for p in each]) + np.arange(8)[:, None, None] * np.array(
        [SHIFT, SHIFT, SHIFT * 0, SHIFT * 0]
    )
    np.testing.assert_allclose(paths(tracks), wanted, atol=0.2)


@pytest.mark.shared
def test_fast_joints_are_followed_at_least_as_well_as_by_a_plain_loop(shared):
    """BADJA's jumping horse: nearer to the joints than OpenCV's flow alone, and most of what went astray is called lost."""
    video = open_video(shared / "data/vos/JPEGImages/480p/horsejump-high")[:30]
    table = np.genfromtxt(shared / "data/points/horsejump-high/tracks.csv", delimiter=",", names=True)
    table = table[(table["visible"] == 1) & (table["frame"] < len(video))]
    begin = {int(p): table[table["point"] == p][0] for p in np.unique(table["point"])}
    prompts = [
        PointPrompt((r["x"], r["y"]), frame=int(r["frame"]), object_id=p + 1) for p, r in begin.items()
    ]
    rows = follow(video, *prompts).points
    mine = {
        (i - 1, t): (xy, seen)
        for i, t, xy, seen in zip(rows.object_id, rows.frame, rows.xy, rows.visible, strict=True)
    }
    loop, places, before = {}, {}, None
    for frame in video.frames():
        for p in places:
            moved, *_ = cv2.calcOpticalFlowPyrLK(before, frame.grey, places[p], None)
            places[p] = moved
        for p, r in begin.items():
            if r["frame"] == frame.index:
                places[p] = np.array([[[r["x"] - 0.5, r["y"] - 0.5]]], np.float32)
        loop |= {(p, frame.index): xy[0, 0] + 0.5 for p, xy in places.items()}
        before = frame.grey
    scale, judged = 256 / np.array([video.width, video.height]), table[table["frame"] > 0]
    keys = [(int(r["point"]), int(r["frame"])) for r in judged]
    true = np.stack([judged["x"], judged["y"]], axis=1)
    near = {
        name: np.linalg.norm((np.array(xy) - true) * scale, axis=1) < 16
        for name, xy in (("mine", [mine[k][0] for k in keys]), ("loop", [loop[k] for k in keys]))
    }
    assert near["mine"].mean() >= near["loop"].mean()
    lost = ~np.array([mine[k][1] for k in keys])
    assert lost[~near["mine"]].mean() > 0.8


def test_when_all_points_are_lost_they_stay_and_come_back():
    video = moving(9, lambda t: np.eye(2, 3))
    video[3:6] = 90
    tracks = follow(video, PointPrompt(GRID[:2], shape="polyline"))
    assert tracks.visible.tolist() == [True] * 3 + [False] * 3 + [True] * 3
    np.testing.assert_allclose(paths(tracks), np.broadcast_to(GRID[:2], (9, 2, 2)), atol=1e-6)


def test_a_point_that_leaves_the_frame_is_not_visible():
    def move(t):
        return np.array([[1, 0, -8.0 * t], [0, 1, 0]])

    tracks = follow(moving(6, move), PointPrompt(((20, 80), (120, 80))))
    assert tracks.points.visible.reshape(6, 2).tolist() == [[True, True]] * 3 + [[False, True]] * 3


def test_a_later_prompt_corrects_and_removal_ends():
    video = moving(6)
    tracks = follow(
        video,
        PointPrompt((100, 80), label="eye"),
        PointPrompt((60, 50), frame=3),
        PointPrompt((50, 50), object_id=2),
        remove={2: 4},
    )
    np.testing.assert_allclose(tracks.of_object(1).points.xy[3], (60, 50))
    assert set(tracks.of_object(1).label) == {"eye"}
    np.testing.assert_allclose(tracks.of_object(1).points.xy[5], np.add((60, 50), 2 * SHIFT), atol=0.1)
    assert tracks.of_object(2).frames.tolist() == [0, 1, 2, 3]


def test_duplicated_outside_and_thousands_of_queries():
    video = moving(3)
    tracks = follow(video, PointPrompt(((100, 80), (100, 80), (-500, 1e6))))
    first, second, outside = (paths(tracks)[:, i] for i in range(3))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(outside).all()
    assert tracks.points.visible.reshape(3, 3)[1:, 2].tolist() == [False, False]
    with pytest.raises(PromptError, match="outside the frame"):
        follow(video, PointPrompt((900, 900)))
    rng = np.random.default_rng(1)
    many = follow(video, PointPrompt(rng.uniform((20, 20), (200, 140), (5000, 2))))
    assert len(many.points) == 15000
    assert many.points.visible.mean() > 0.95


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 61)])
def test_odd_sizes_and_one_frame(size):
    video = moving(2, size=size)
    middle = (size[1] / 2, size[0] / 2)
    for footage in (video[:1], video):
        tracks = follow(footage, PointPrompt(middle))
        assert len(tracks.frames) == len(footage)
        assert np.isfinite(tracks.points.xy).all()


def test_a_static_scene_gives_a_static_answer_twice_the_same_and_the_input_is_unchanged():
    video = np.repeat(moving(1), 5, axis=0)
    before = video.copy()
    one, two = (follow(video, PointPrompt(GRID)) for _ in range(2))
    np.testing.assert_array_equal(paths(one), np.broadcast_to(GRID, (5, 9, 2)))
    np.testing.assert_array_equal(paths(one), paths(two))
    np.testing.assert_array_equal(video, before)


def test_wrong_input_is_named():
    video = moving(2)
    with pytest.raises(
        PromptError, match=r"'lucas-kanade' can't take MaskPrompt: it takes BoxPrompt, PointPrompt"
    ):
        follow(video, MaskPrompt.of(np.ones((160, 240))))
    with pytest.raises(InputError, match="window must be an odd number"):
        follow(video, PointPrompt((5, 5)), window=20)
    with pytest.raises(InputError, match="max_error above 0"):
        follow(video, PointPrompt((5, 5)), max_error=0)


def test_patches_are_the_pixels_around_a_centre_and_their_own_likeness_is_one():
    gray = texture().astype(np.uint8)
    found = patches(gray, np.array([[20.5, 30.5]]), 11)
    np.testing.assert_array_equal(found[0], gray[25:36, 15:26])
    assert similarity(found, found) == pytest.approx(1.0)
    assert similarity(found, 255 - found) == pytest.approx(-1.0)
    assert similarity(0 * found, 0 * found + 9) == 1.0
    assert similarity(0 * found, found) == 0.0


def test_of_several_kinds_of_prompt_a_comparison_gives_the_points(square_video):
    given = [
        BoxPrompt((20, 16, 44, 40)),
        MaskPrompt.of(np.pad(np.ones((24, 24)), ((16, 56), (20, 84)))),
        PointPrompt(((30, 25), (35, 30))),
        BoxPrompt((20, 16, 44, 40), object_id=2),
    ]
    chosen, note = fitting_prompts(tracker_card("lucas-kanade"), Prompts(given), open_video(square_video))
    assert list(chosen) == [given[2], given[3]]
    assert note == ""


@pytest.mark.parametrize(("away", "found"), [(8, True), (11, False)])
def test_a_lost_point_does_not_come_back_where_the_likeness_still_grows(away, found):
    """What it looks for lies beyond the eight pixels around it; the place nearest to that is somebody else's."""
    y, x = np.mgrid[:100, :160]

    def dot(at):
        light = 60 + 180 * np.exp(-((x + 0.5 - at) ** 2 + (y + 0.5 - 50.5) ** 2) / 200)
        return np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)

    video = np.stack([dot(70.5), np.full((100, 160, 3), 60, np.uint8), dot(70.5 + away)])
    points = follow(video, PointPrompt(((74.5, 54.5),))).points
    assert points.visible.tolist() == [True, False, found]
    np.testing.assert_allclose(points.xy[2], (74.5 + away * found, 54.5), atol=0.5)
