"""What every point tracker must do with queries and videos of any kind, good and bad.

Networks are replaced by oracles (tests/trackers/oracles.py), so all of it is tested without weights. A new point
tracker is asked for an oracle.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.trackers.blobs import SIZE, blobs, positions
from tests.trackers.oracles import follow, make, point
from vtlab.errors import PromptError
from vtlab.prompts import BoxPrompt, PointPrompt, Prompts, SkeletonPrompt
from vtlab.prompts.shapes import figures_at
from vtlab.registry import TRACKERS
from vtlab.trackers.loop import track
from vtlab.video import Frame

ALL = [card.name for card in TRACKERS.cards() if card.family == "points"]
ALIKE = ("tapir", "tapnext", "bootstapnext", "tapnext++-512", "alltracker-tiny")
UNCHUNKED = ("lucas-kanade", "alltracker")
"""They take any number of points at once, without a parameter for it."""
"""Names that differ from another by their network alone: what surrounds it is the same code."""
NAMES = [name for name in ALL if name not in ALIKE]
AHEAD = {"pips": 7, "bootstapir": 12, "cotracker3-offline": 12, "cotracker3-online": 16, "alltracker": 15}
"""Frames that a tracker may read beyond the one it answers; 0 for the others. Windows as in `OPTIONS`."""
OPTIONS = {"bootstapir": {"window": 12, "overlap": 4}, "cotracker3-offline": {"window": 12}}
EXACT = 0.1
"""Pixels by which an oracle misses a blob on the resized frame; Lucas-Kanade follows blobs to half a pixel."""


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def tracker(name, monkeypatch):
    return make(name, monkeypatch, **OPTIONS.get(name, {}))


@pytest.fixture
def error(name) -> float:
    return 0.5 if name == "lucas-kanade" else EXACT


@pytest.fixture
def centres() -> np.ndarray:
    """Blobs that go and come back, over 25 frames: longer than a window of any tracker here."""
    there = positions(9)
    return np.concatenate([there, there[-2::-1], there[1:]])


def three(centres: np.ndarray, frame: int = 0) -> list[PointPrompt]:
    return [point(centres, frame, k, k + 1) for k in range(3)]


@pytest.mark.parametrize("name", ALL, indirect=True)
def test_one_frame(name, tracker):
    centres = positions(1)
    xy, seen = follow(tracker, blobs(centres), [*three(centres), point(centres, 0, 0, 4)])
    np.testing.assert_array_equal(xy, centres[:, [0, 1, 2, 0]])
    assert seen.all()


@pytest.mark.parametrize("size", [(180, 300), (97, 131)])
def test_a_scaled_video_gives_scaled_tracks(tracker, error, size):
    """Also where the size is no multiple of any stride and the aspect another."""
    scale = np.array(size[::-1]) / SIZE[::-1]
    start = positions(6)
    here, _ = follow(tracker, blobs(start), three(start))
    there, seen = follow(tracker, blobs(start * scale, size, tuple(5 * scale)), three(start * scale))
    assert np.abs(there - here * scale).max() < 2 * error
    assert np.abs(there - start * scale).max() < 2 * error
    assert seen.all()


@pytest.mark.parametrize("shift", [(12.0, 7.0), (-9.5, 4.25)])
def test_a_translated_video_gives_translated_tracks(tracker, error, shift):
    start = positions(6)
    here, there = (follow(tracker, blobs(c), three(c))[0] for c in (start, start + shift))
    assert np.abs(there - here - shift).max() < error


@pytest.mark.parametrize("frames", [2, 7, 17, 25])
def test_videos_shorter_and_longer_than_a_window(tracker, error, centres, frames):
    """With a late query and one on the last frame."""
    queries = [point(centres, 0, 0, 1), point(centres, frames // 2, 1, 2), point(centres, frames - 1, 2, 3)]
    xy, _ = follow(tracker, blobs(centres[:frames]), queries)
    for k, start in enumerate((0, frames // 2, frames - 1)):
        assert np.isnan(xy[:start, k]).all()
        assert np.abs(xy[start:, k] - centres[start:frames, k]).max() < error
    np.testing.assert_array_equal(xy[-1, 2], centres[frames - 1, 2])


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_backward_and_both_directions(tracker, error, centres, direction):
    queries = [point(centres, 20, 1, 1), point(centres, 3, 0, 2)]
    xy, _ = follow(tracker, blobs(centres[:25]), queries, direction=direction)
    answered = ~np.isnan(xy[..., 0])
    expected = np.arange(25)[:, None] <= [20, 3] if direction == "backward" else np.ones((25, 2), bool)
    np.testing.assert_array_equal(answered, expected)
    assert np.abs(xy - centres[:25, [1, 0]])[answered].max() < error


def test_a_hidden_point_is_not_visible_and_comes_back(tracker):
    start = positions(24) * [1, 0] + [0, 45]
    start = np.broadcast_to(start[:1], start.shape)
    video = blobs(start)
    video[5:9, ..., 1] = 0
    _, seen = follow(tracker, video, three(start))
    assert seen[:, 1].tolist() == [not 5 <= t < 9 for t in range(24)]
    assert seen[:, [0, 2]].all()


def test_duplicates_and_thousands_in_chunks_give_what_single_points_give(name, monkeypatch):
    centres = positions(3)
    options = {} if name in UNCHUNKED else {"points_at_once": 640}
    tracker = make(name, monkeypatch, **options)
    xy, _ = follow(tracker, blobs(centres), three(centres))
    many, _ = follow(tracker, blobs(centres), [PointPrompt(np.tile(centres[0], (800, 1)))])
    assert many.shape == (3, 2400, 2)
    np.testing.assert_allclose(many, np.tile(xy, (1, 800, 1)), atol=1e-4)
    if name == "alltracker":
        assert tracker.oracle.points == [3, 2400], "a frame's queries are read out of one pass"
    elif name != "lucas-kanade":
        support = 36 if name == "cotracker3-offline" else 0
        assert max(tracker.oracle.points) == 640 + support


def test_queries_outside_the_frame(tracker, error):
    """One vertex outside is followed somewhere; a figure that lies outside as a whole is refused."""
    centres = positions(4)
    xy, _ = follow(tracker, blobs(centres), [PointPrompt((*centres[0], (-300.0, 900.0)))])
    assert np.isfinite(xy).all()
    assert np.abs(xy[:, :3] - centres).max() < error
    with pytest.raises(PromptError, match="outside the frame"):
        follow(tracker, blobs(centres), [PointPrompt(((200.0, 30.0),))])


def test_features_are_computed_once_and_no_more_than_a_window_is_read_ahead(name, monkeypatch, centres):
    options = {} if name in UNCHUNKED else {"points_at_once": 2}
    tracker, read = make(name, monkeypatch, **OPTIONS.get(name, {}), **options), []

    def stream():
        for t, image in enumerate(blobs(centres)):
            read.append(t)
            yield Frame(t, t / 25, image)

    prompts = Prompts([*three(centres), point(centres, 9, 0, 4)])
    if hasattr(tracker, "run"):
        answers = (index for index, _ in tracker.run(stream(), prompts, 0))
    else:
        begun = lambda f: tracker.step(f, prompts.at(f.index)) if f.index else tracker.init(f, prompts.at(0))  # noqa: E731
        answers = (f.index for f in stream() if begun(f) is not None)
    for index in answers:
        assert read[-1] <= index + AHEAD.get(name, 0)
    if name != "lucas-kanade":
        chunks = 2 if "tapnext" in name else 1  # its image tokens attend to the points of their chunk
        assert tracker.oracle.images == len(centres) * chunks


def test_a_correction_takes_over_from_its_frame(tracker, error):
    centres = positions(9)
    xy, _ = follow(tracker, blobs(centres), [point(centres, 0, 0, 1), point(centres, 4, 2, 1)])
    assert np.abs(xy[:4, 0] - centres[:4, 0]).max() < error
    assert np.abs(xy[4:, 0] - centres[4:, 2]).max() < error


def test_figures_come_back_as_the_geometry_that_was_given(tracker, error):
    """Also while a vertex is hidden: it is placed by the motion of the others and keeps its place in the figure."""
    path = np.arange(9)[:, None, None] * [1.5, -0.5]
    centres = np.array([[40.0, 30.0], [75.5, 50.25], [110.0, 65.0]]) + path
    video = blobs(centres)
    video[4:6, ..., 1] = 0
    given = Prompts(
        [
            PointPrompt(centres[0], object_id=1, shape="polygon", label="pond"),
            PointPrompt(centres[0], object_id=2, shape="polyline"),
            SkeletonPrompt(centres[0], ("a", "b", "c"), ((0, 1), (1, 2)), (False, False, True), object_id=3),
            BoxPrompt((30, 20, 50, 40), angle=0.3, object_id=4),
        ]
    )
    tracks = track(video, given, tracker, progress=False)
    assert figures_at(tracks, given, 0) == given
    for t in (3, 5, 8):
        polygon, line, skeleton, box = figures_at(tracks, given, t)
        assert (polygon.shape, polygon.label, line.shape) == ("polygon", "pond", "polyline")
        assert (skeleton.names, skeleton.edges) == (given[2].names, given[2].edges)
        assert skeleton.occluded == (False, t == 5, True)
        for figure in (polygon, line, skeleton):
            assert np.abs(np.asarray(figure.points) - centres[t]).max() < 2 * error
        assert isinstance(box, BoxPrompt)
        assert box.corners().shape == (4, 2)


def test_a_figure_without_a_visible_node_stays_and_is_never_seen(tracker):
    prompt = SkeletonPrompt(((15, 15), (19, 19)), occluded=(True, True))
    xy, seen = follow(tracker, blobs(positions(10)), [prompt])
    np.testing.assert_array_equal(xy, [prompt.points] * 10)
    assert not seen.any()


def test_a_second_run_knows_nothing_of_the_first_and_the_video_is_unchanged(tracker, centres):
    video = blobs(centres[:20])
    before = video.copy()
    first = follow(tracker, video, three(centres))
    follow(tracker, video, [point(centres, 5, 2, 7)], direction="backward")
    again = follow(tracker, video, three(centres))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(video, before)
