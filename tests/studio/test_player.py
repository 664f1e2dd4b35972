"""The player: what it sends without a browser, and what a person sees in one."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from tests.studio.browser import READ_BOX, READ_NUMBER
from vtlab.errors import InputError, VtlabWarning
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import MaskPrompt
from vtlab.studio.player_data import MOST_FRAMES, PlayerData
from vtlab.testing.scenes import moving_square, square_box
from vtlab.tracks import FrameTracks, PointRows, Source, Tracks, TracksBuilder
from vtlab.video import FrameSource, Video, open_video

N = 60


class Numbered(FrameSource):
    """Frames that carry their number: column k of the upper row of blocks is white if bit k of the number is set."""

    name = source = "numbered"
    width, height, fps = 160, 90, 30.0

    def __init__(self, n: int):
        self.timestamps = np.arange(n) / self.fps

    def get(self, index: int):
        image = np.full((self.height, self.width, 3), 40, np.uint8)
        for bit in range(16):
            if index >> bit & 1:
                image[60:80, 10 * bit : 10 * bit + 8] = 255
        return image

    def digest(self) -> str:
        return "sha256:numbered"


def boxes(n: int = N, object_id: int = 1, step: float = 2.0, **kwargs) -> Tracks:
    x = 5 + step * np.arange(n)
    rows = np.stack([x, np.full(n, 20.0), x + 20, np.full(n, 50.0)], axis=-1)
    return Tracks.of(np.arange(n), np.full(n, object_id), rows, 0.8, **kwargs)


def test_frames_come_as_asked_and_bounded():
    data = PlayerData(open_video(moving_square(12)), {"a": boxes(12)}, width=64)
    overlays, pictures = data.frames([3, 3, 99, -1, 4])
    assert [o["frame"] for o in overlays] == [3, 4]
    assert all(p.startswith(b"\xff\xd8") for p in pictures)
    assert data.info()["scale"] == 0.5
    long = PlayerData(Video(Numbered(1000)), {"a": boxes(10)})
    assert len(long.frames(range(1000))[0]) == MOST_FRAMES


def test_tracks_of_another_video_are_not_played_on_this_one():
    tracks = boxes(12)
    made = tracks.replace(record=tracks.record.replace(source=Source.of_clip(open_video(moving_square(12)))))
    PlayerData(open_video(moving_square(12)), {"a": made}, truth=made)
    other = Video(Numbered(12))
    with pytest.raises(InputError, match="can't be used on numbered"):
        PlayerData(other, {"a": made})
    with pytest.raises(InputError, match="can't be used on numbered"):
        PlayerData(other, {"a": tracks}, truth=made)


def test_a_cut_plays_the_tracks_of_the_whole_video():
    whole = open_video(moving_square(12))
    tracks = boxes(12)
    made = tracks.replace(record=tracks.record.replace(source=Source.of_clip(whole)))
    assert PlayerData(whole[4:], {"a": made}).tracks["a"].boxes[0].tolist() == tracks.boxes[4].tolist()


def test_playing_goes_on_where_the_last_request_ended():
    class Counted(Numbered):
        starts = 0

        def read(self, indices):
            Counted.starts += 1
            return super().read(indices)

    import cv2

    data = PlayerData(Video(Counted(200)), {"a": boxes(10)}, width=80)
    for first in (0, 16, 32, 90, 106):
        overlays, pictures = data.frames(range(first, first + 16))
        assert [o["frame"] for o in overlays] == list(range(first, first + 16))
        for index, picture in zip(range(first, first + 16), pictures, strict=True):
            image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert image.shape == (45, 80)
            assert sum(1 << bit for bit in range(16) if image[35, 5 * bit + 2] > 128) == index
    assert Counted.starts == 2


def test_opening_a_long_video_decodes_nothing():
    class Never(Numbered):
        def get(self, index):
            raise AssertionError("decoded")

    begin = time.perf_counter()
    data = PlayerData(Video(Never(36_000)), {"a": boxes(36_000, step=0.001)})
    info = data.info()
    assert time.perf_counter() - begin < 2
    assert info["bins"] == 400
    assert len(info["timelines"]["a"][0]["score"]) == 400


def test_overlays_of_masks_points_and_truth():
    builder = TracksBuilder((90, 160))
    mask = np.zeros((1, 90, 160), bool)
    mask[0, 10:20, 30:50] = True
    builder.add(0, FrameTracks.of([2], masks=mask))
    points = Tracks.of([0], [3], points=PointRows.of(0, 3, [0, 1], [[4.0, 5], [np.nan, 1]], [True, False]))
    data = PlayerData(Video(Numbered(3)), {"m": builder.build(), "p": points}, truth=boxes(3))
    overlay = data.overlay(0)
    (outline,) = overlay["panels"]["m"]["outlines"]
    assert sorted(map(tuple, outline["lines"][0])) == [(30, 10), (30, 19), (49, 10), (49, 19)]
    assert [p["xy"] for p in overlay["panels"]["p"]["points"]] == [[4.0, 5.0], None]
    assert overlay["truth"] == [[5.0, 20.0, 25.0, 50.0]]


def test_timeline_has_presence_overlap_and_events():
    keep = np.ones(N, bool)
    keep[20:30] = False
    tracks = boxes().take(keep)
    source = tracks.source.copy()
    source[40] = "manual"
    tracks = tracks.replace(
        source=source, meta={"events": [{"frame": 7, "object_id": 1, "event": "born", "reason": "x"}]}
    )
    data = PlayerData(Video(Numbered(N)), {"a": tracks}, truth=boxes())
    (line,) = data.info()["timelines"]["a"]
    assert line["present"][25] is None
    assert line["overlap"][5] == 1
    assert [(e["frame"], e["kind"]) for e in line["events"]] == [
        (7, "born"),
        (20, "lost"),
        (30, "found"),
        (50, "corrected"),
    ]


@pytest.mark.parametrize("n", [7, 900])
def test_timelines_and_events_are_those_of_each_object(n):
    """All objects at once, as if each were looked at alone; 900 frames share bins."""
    rng = np.random.default_rng(n)
    frame, ids = (a.ravel() for a in np.meshgrid(np.arange(n), [3, 8, 10, 99], indexing="ij"))
    kept = rng.random(len(frame)) < 0.4
    frame, ids = frame[kept], ids[kept]
    visible, source = (
        rng.random(len(frame)) < 0.7,
        np.where(rng.random(len(frame)) < 0.2, "manual", "tracked"),
    )
    tracks = Tracks.of(frame, ids, score=rng.random(len(frame)), visible=visible, source=source.tolist())
    video = open_video(np.broadcast_to(np.zeros((1, 8, 8, 3), np.uint8), (n, 8, 8, 3)))
    found = PlayerData(video, {"a": tracks}).info()["timelines"]["a"]
    bins = min(n, 400)
    assert [line["id"] for line in found] == tracks.object_ids.tolist()
    for line in found:
        mine = tracks.of_object(line["id"])
        at = mine.frame * bins // n
        for name, values in (("present", mine.visible), ("score", mine.score)):
            want = [values[at == b] for b in range(bins)]
            assert line[name] == [round(v.mean(), 3) if len(v) else None for v in want]
        seen = mine.frame[mine.visible]
        lost = [a + 1 for a, b in itertools.pairwise(seen) if b > a + 1]
        lost += [seen[-1] + 1] if len(seen) and seen[-1] < mine.frame[-1] else []
        back = [b for a, b in itertools.pairwise(seen) if b > a + 1]
        hand = [f for k, f in enumerate(mine.frame) if k and mine.source[k] == "manual"]
        for kind, frames in (("lost", lost), ("found", back), ("corrected", hand)):
            assert [e["frame"] for e in line["events"] if e["kind"] == kind] == [int(f) for f in frames]


def test_the_timeline_is_that_of_the_metric():
    """Points count by the rule's five distances, and an object that is matched by overlap keeps no id of truth."""
    n = 10
    true = Tracks.of(
        np.arange(n), 1, points=PointRows.of(np.arange(n), 1, 0, np.full((n, 2), 20.0)), size=(90, 160)
    )
    near = PointRows.of(np.arange(n), 1, 0, np.tile([26.0, 20.0], (n, 1)))
    answer = Tracks.of(np.arange(n), 1, points=near, size=(90, 160))
    (line,) = PlayerData(Video(Numbered(n)), {"p": answer}, truth=true).info()["timelines"]["p"]
    expected = FAMILIES["points"].timeline(answer, true)
    assert line["overlap"][1:] == [pytest.approx(v, abs=1e-3) for v in expected[1:]]
    found = boxes().replace(object_id=np.full(N, 7), meta={"tracker": {"name": "x", "family": "mot"}})
    (line,) = PlayerData(Video(Numbered(N)), {"x": found}, truth=boxes()).info()["timelines"]["x"]
    assert set(line["overlap"]) == {1}
    alone = boxes(object_id=7, meta={"tracker": {"name": "x", "family": "sot"}})
    with pytest.warns(VtlabWarning, match="x is shown without its overlap: .*none in common"):
        PlayerData(Video(Numbered(N)), {"x": alone}, truth=boxes()).info()


def test_identity_switches_are_events():
    truth = boxes()
    ids = np.where(np.arange(N) < 30, 1, 2)
    tracks = Tracks.of(np.arange(N), ids, boxes().boxes, meta={"tracker": {"name": "x", "family": "mot"}})
    lines = PlayerData(Video(Numbered(N)), {"x": tracks}, truth=truth).info()["timelines"]["x"]
    switched = [e for line in lines for e in line["events"] if e["kind"] == "switched"]
    assert [(e["frame"], e["text"]) for e in switched] == [(30, "switched from 1")]


def test_nothing_to_play_is_said():
    with pytest.raises(InputError, match="nothing to play"):
        PlayerData(Video(Numbered(3)), {})


@pytest.fixture
def player(show):
    from vtlab.studio.player import TrackPlayer

    def open_player(n: int = N, panels=("one",), **kwargs):
        video = Video(Numbered(n))
        return show(TrackPlayer(video, {p: boxes(min(n, N)) for p in panels}, **kwargs))

    return open_player


def wait_for(shown, frame: int) -> None:
    shown.page.wait_for_function(
        f"document.querySelector('.vt-player').dataset.frame === '{frame}'", timeout=15_000
    )


@pytest.mark.browser
def test_frame_k_shows_the_overlay_of_frame_k_in_every_panel(player):
    shown = player(panels=("one", "two", "three"))
    for frame in (0, 7, 31, 59, 12):
        shown.page.locator("input[type=number]").fill(str(frame))
        shown.page.locator("input[type=number]").press("Enter")
        wait_for(shown, frame)
        for canvas in shown.page.locator("canvas.vt-panel").all():
            assert canvas.evaluate(READ_NUMBER) == frame
            assert abs(canvas.evaluate(READ_BOX) - (5 + 2 * frame)) <= 2
    shown.settle()
    assert shown.widget.frame == 12
    assert shown.errors == []


@pytest.mark.browser
def test_keys_filter_and_timeline(player):
    shown = player()
    wait_for(shown, 0)
    root = shown.page.locator(".vt-player")
    root.focus()
    for key, frame in (
        ("ArrowRight", 1),
        ("Shift+ArrowRight", 11),
        ("ArrowLeft", 10),
        ("End", 59),
        ("Home", 0),
    ):
        root.press(key)
        wait_for(shown, frame)
    shown.page.locator(".vt-objects button").click()
    assert shown.page.locator("canvas.vt-panel").evaluate(READ_BOX) == -1
    line = shown.page.locator(".vt-line canvas").bounding_box()
    shown.page.mouse.click(line["x"] + line["width"] * 30.5 / N, line["y"] + 10)
    wait_for(shown, 30)
    root.press("?")
    assert shown.page.locator(".vt-help").is_visible()
    assert shown.errors == []


@pytest.mark.browser
def test_a_click_on_an_event_goes_to_its_frame_and_says_what_happened(show):
    from vtlab.studio.player import TrackPlayer

    keep = np.ones(N, bool)
    keep[20:40] = False
    shown = show(TrackPlayer(Video(Numbered(N)), {"one": boxes().take(keep)}))
    wait_for(shown, 0)
    line = shown.page.locator(".vt-line canvas").bounding_box()
    shown.page.mouse.click(line["x"] + line["width"] * 20.9 / N, line["y"] + 3)  # beside the mark of frame 20
    wait_for(shown, 20)
    assert shown.page.text_content(".vt-note") == "object 1: lost"
    shown.page.locator(".vt-player").press(".")
    wait_for(shown, 40)
    assert shown.page.text_content(".vt-note") == "object 1: found again"
    shown.page.locator(".vt-player").press(",")
    wait_for(shown, 20)
    assert shown.errors == []


@pytest.mark.browser
def test_plays_at_the_videos_rate_and_python_can_seek(player):
    shown = player()
    wait_for(shown, 0)
    shown.page.locator("button[title^=play]").click()
    shown.page.wait_for_function("+document.querySelector('.vt-player').dataset.frame > 20", timeout=20_000)
    shown.page.locator("button[title^=play]").click()
    shown.settle()
    shown.widget.frame = 3
    shown.pull()
    wait_for(shown, 3)
    assert shown.errors == []


@pytest.mark.browser
def test_a_long_video_opens_at_once_seeks_quickly_and_keeps_few_frames(player):
    shown = player(36_000)
    wait_for(shown, 0)
    spent = []
    for frame in (30_000, 123, 17_000):
        begin = time.perf_counter()
        shown.widget.frame = frame
        shown.pull()
        wait_for(shown, frame)
        spent.append(time.perf_counter() - begin)
    assert shown.page.locator("canvas.vt-panel").evaluate(READ_NUMBER) == 17_000
    assert min(spent) < 0.3
    assert sum(len(m.get("frames", [])) for m in shown.page.evaluate("window.sent")) < 100


@pytest.mark.browser
def test_scrubbing_asks_for_few_frames_and_ends_where_the_hand_ends(player):
    shown = player(5000)
    wait_for(shown, 0)
    shown.page.evaluate("""() => { const s = document.querySelector('.vt-player input[type=range]');
      for (let f = 10; f <= 4000; f += 10) { s.value = f; s.dispatchEvent(new Event('input')); } }""")
    wait_for(shown, 4000)
    assert shown.page.locator("canvas.vt-panel").evaluate(READ_NUMBER) == 4000
    assert sum(len(m.get("frames", [])) for m in shown.page.evaluate("window.sent")) < 10


@pytest.mark.browser
def test_loop_stays_in_its_range(player):
    shown = player()
    wait_for(shown, 0)
    root = shown.page.locator(".vt-player")
    root.focus()
    for key, frame in (("Shift+ArrowRight", 10), ("l", 10), ("Shift+ArrowRight", 20), ("l", 20)):
        root.press(key)
        wait_for(shown, frame)
    shown.page.locator(".vt-player select").select_option("4")
    shown.page.evaluate("""() => { window.seen = new Set(); const root = document.querySelector('.vt-player');
      new MutationObserver(() => window.seen.add(+root.dataset.frame)).observe(root, { attributes: true }); }""")
    root.press(" ")
    shown.page.wait_for_function("window.seen.size >= 11", timeout=20_000)
    shown.page.wait_for_timeout(300)
    root.press(" ")
    seen = shown.page.evaluate("[...window.seen]")
    assert (min(seen), max(seen)) == (10, 20)


@pytest.mark.browser
def test_lines_of_figures_are_drawn(show):
    from vtlab.prompts import PointPrompt, Prompts
    from vtlab.studio.player import TrackPlayer

    prompts = Prompts(PointPrompt(((20, 40), (140, 40)), "polyline"))
    points = PointRows.of([0, 0], [1, 1], [0, 1], prompts[0].points)
    tracks = Tracks.of([0], [1], points=points, meta={"edges": prompts.edges})
    shown = show(TrackPlayer(Video(Numbered(3)), tracks))
    wait_for(shown, 0)
    middle = "c => [...c.getContext('2d').getImageData(80 * c.width / 160, 40 * c.width / 160, 1, 1).data]"
    red, _, blue, _ = shown.page.locator("canvas.vt-panel").evaluate(middle)
    assert red > 150
    assert blue < 90
    assert shown.errors == []


@pytest.mark.browser
def test_masks_are_drawn(show, tmp_path):
    from vtlab.studio.player import TrackPlayer

    builder = TracksBuilder((96, 128))
    for i in range(3):
        builder.add(i, FrameTracks.of([1], masks=MaskPrompt(polygon=_corners(i)).mask(96, 128)[None]))
    shown = show(TrackPlayer(open_video(moving_square(3)), builder.build({"tracker": {"name": "masks"}})))
    wait_for(shown, 0)
    inside = "c => [...c.getContext('2d').getImageData(32 * c.width / 128, 28 * c.width / 128, 1, 1).data]"
    red, _, blue, _ = shown.page.locator("canvas.vt-panel").evaluate(inside)
    plain = moving_square(1)[0, 28, 32]
    assert red - blue > int(plain[0]) - int(plain[2])  # orange lies over it


def _corners(i: int):
    x1, y1, x2, y2 = square_box(i)
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def test_what_is_sent_at_first_takes_one_pass_over_the_rows(monkeypatch):
    """However many objects there are; labels are such a pass, too."""
    n, count = 3, 200
    frame, ids = np.repeat(np.arange(n), count), np.tile(np.arange(count), n)
    tracks = Tracks.of(frame, ids, np.tile([[1.0, 1, 5, 5]], (n * count, 1)), label="a")
    labels, passes = Tracks.labels.fget, []
    monkeypatch.setattr(Tracks, "labels", property(lambda self: passes.append(1) or labels(self)))
    monkeypatch.setattr(Tracks, "of_object", None)
    info = PlayerData(open_video(np.zeros((n, 8, 8, 3), np.uint8)), {"a": tracks}).info()
    assert len(passes) == 1
    assert [o["label"] for o in info["objects"]] == ["a"] * count
    assert [line["present"] for line in info["timelines"]["a"]] == [[1.0] * n] * count
