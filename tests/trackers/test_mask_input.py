"""What every tracker of masks must do with good and bad input: the right masks, or vtlab's own errors.

Each method runs with seeded weights (`vtlab.testing.seeded.masks`); one whose packages are missing is skipped.
"""

from __future__ import annotations

import functools
import http.server
import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vtlab
from vtlab import weights
from vtlab.errors import InputError, PromptError, TrackingError, WeightsError
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompts
from vtlab.registry import TRACKERS
from vtlab.testing.seeded.masks import PACKAGES, lacking, options, shrink
from vtlab.trackers.masks.base import MaskTracker, hints_of
from vtlab.video import Frame

VIDEO = np.random.default_rng(0).integers(0, 255, (6, 60, 90, 3), dtype=np.uint8)
SQUARE = np.zeros((60, 90), bool)
SQUARE[10:40, 10:40] = True
OTHER = np.roll(SQUARE, 40, axis=1)
NETWORKS = [name for name in PACKAGES if name != "flow"]
"""Those that have a checkpoint."""


@pytest.fixture(scope="module", params=PACKAGES)
def made(request, tmp_path_factory):
    """A tracker of each kind, and the parameters with which it was made."""
    if lacking(request.param):
        pytest.skip(f"{request.param} needs the package {lacking(request.param)}")
    params = options(request.param, tmp_path_factory.mktemp("weights"))
    tracker = vtlab.create_tracker(request.param, **params)
    shrink(getattr(tracker, "_network", None))
    return tracker, params


@pytest.fixture
def tracker(made) -> MaskTracker:
    return made[0]


def track(tracker, prompts, video=VIDEO, **kwargs):
    return vtlab.track(video, prompts, tracker, progress=False, **kwargs)


def test_every_tracker_of_masks_takes_the_same_prompts():
    cards = [card for card in TRACKERS.cards("vos") if issubclass(TRACKERS.find(card.name), MaskTracker)]
    assert {card.name for card in cards} >= PACKAGES.keys()
    assert {TRACKERS.find(card.name) for card in cards} == {TRACKERS.find(name) for name in PACKAGES}
    for card in cards:
        assert card.accepts == {BoxPrompt, ClickPrompt, MaskPrompt}
        assert TRACKERS.find(card.name).memory_policy


def test_an_empty_mask(tracker):
    with pytest.raises(PromptError, match="mask is empty. Mark at least one pixel"):
        track(tracker, MaskPrompt.of(np.zeros((60, 90), bool)))


def test_a_mask_of_the_wrong_size(tracker):
    wrong = MaskPrompt.of(SQUARE[:, :60])
    with pytest.raises(PromptError, match="mask is 60 x 60 px, the frame 90 x 60"):
        track(tracker, wrong)
    with pytest.raises(PromptError, match="mask is 60 x 60 px, the frame 90 x 60"):
        tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(wrong))


def test_a_click_outside_the_frame(tracker):
    with pytest.raises(PromptError, match="outside the frame of 90 x 60"):
        track(tracker, ClickPrompt(((200, 30),)))


def test_a_prompt_after_the_end(tracker):
    with pytest.raises(PromptError, match="has 6 frames, so its last frame is 5"):
        track(tracker, [MaskPrompt.of(SQUARE), MaskPrompt.of(SQUARE, object_id=2, frame=6)])


def test_a_mask_and_a_box_for_one_object_on_one_frame(tracker):
    with pytest.raises(PromptError, match="Give the mask alone"):
        track(tracker, [MaskPrompt.of(SQUARE), BoxPrompt((10, 10, 40, 40))])


def test_a_box_and_clicks_for_one_object_go_together():
    prompts = Prompts([BoxPrompt((10, 10, 40, 40)), ClickPrompt(((20, 20), (5, 5)), (True, False))])
    hint = hints_of(prompts, 60, 90)[1]
    assert hint.box.tolist() == [10, 10, 40, 40]
    assert hint.positive.tolist() == [True, False]


def test_more_than_255_objects(tracker):
    prompts = Prompts(BoxPrompt((1, 1, 9, 9), object_id=k) for k in range(1, 257))
    with pytest.raises(PromptError, match="256 objects; a tracker of masks follows 255 at most"):
        track(tracker, prompts)


def test_the_256th_object_comes_late_and_what_is_done_is_kept(tracker):
    late = [MaskPrompt.of(SQUARE, object_id=k, frame=2) for k in range(2, 257)]
    with pytest.raises(TrackingError, match="255 at most") as caught:
        track(tracker, [MaskPrompt.of(SQUARE), *late])
    assert caught.value.tracks.frames.tolist() == [0, 1]


def test_a_video_whose_size_changes(tracker):
    tracker.init(Frame(0, 0.0, VIDEO[0]), Prompts(MaskPrompt.of(SQUARE)))
    with pytest.raises(InputError, match="Frame 1 is 60 x 60 px, those before were 90 x 60. .*cut the video"):
        tracker.step(Frame(1, 0.1, VIDEO[1, :, :60]))


@pytest.mark.parametrize(
    "bad", [np.zeros((60, 90), np.uint8), np.zeros((60, 90, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_no_rgb_image(tracker, bad):
    with pytest.raises(InputError, match="RGB|empty"):
        tracker.init(Frame(0, 0.0, bad), Prompts())


def test_a_tiny_portrait_for_a_while(tracker):
    """Long enough for memories to be consolidated, where a frame has fewer cells than one reads."""
    size = height, width = 33, 17
    video = np.random.default_rng(1).integers(0, 255, (9, height, width, 3), dtype=np.uint8)
    polygon = ((2, 2), (width / 2, 2), (width / 2, height / 2), (2, height / 2))
    tracks = track(tracker, MaskPrompt(polygon=polygon), video)
    assert tracks.frames.tolist() == list(range(9))
    assert tracks.mask(0).shape == size
    assert np.isfinite(tracks.score).all()


def test_a_1_pixel_object_on_a_4k_portrait_frame(made):
    tracker, params = made
    if "size" in params:
        tracker.size = 64
    video = np.full((2, 3840, 2160, 3), 90, np.uint8)
    video[:, 3000, 7] = (255, 0, 0)
    pixel = video[0, ..., 0] == 255
    try:
        tracks = track(tracker, MaskPrompt.of(pixel), video)
    finally:
        if "size" in params:
            tracker.size = params["size"]
    assert tracks.frames.tolist() == [0, 1]
    assert tracks.mask(0)[3000, 7]


def test_masks_never_overlap_and_boxes_scores_and_visible_fit_them(tracker):
    prompts = [
        MaskPrompt.of(SQUARE),
        MaskPrompt.of(SQUARE, object_id=2),  # the same mask
        ClickPrompt(((70, 30),), object_id=3, frame=1),
        BoxPrompt((50, 10, 80, 50), object_id=4, frame=2),
    ]
    tracks = track(tracker, prompts, VIDEO[:4])
    assert tracks.object_ids.tolist() == [1, 2, 3, 4]
    assert ((tracks.score >= 0) & (tracks.score <= 1)).all()
    for t in range(4):
        found, rows = tracks.masks_at(t), tracks.at(t)
        assert rows.object_id.tolist() == [i for i in (1, 2, 3, 4) if i < 3 or t >= i - 2]
        assert sum(m.astype(int) for m in found.values()).max(initial=0) <= 1
        for k, object_id in enumerate(rows.object_id.tolist()):
            mask = found.get(object_id)
            if mask is None or not mask.any():
                assert not rows.visible[k]
            elif rows.visible[k]:
                np.testing.assert_array_equal(rows.boxes[k], vtlab.masks.to_box(mask))


def test_one_of_several_objects_is_corrected_and_removed(tracker):
    prompts = [
        MaskPrompt.of(SQUARE, object_id=7),
        MaskPrompt.of(OTHER, object_id=2),
        MaskPrompt.of(np.roll(SQUARE, 5, axis=1), object_id=7, frame=2),
    ]
    tracks = track(tracker, prompts, remove={7: 4, 99: 2})
    assert tracks.of_object(7).frames.tolist() == list(range(4))
    assert tracks.of_object(2).frames.tolist() == list(range(6))
    assert dict(zip(tracks.at(2).object_id.tolist(), tracks.at(2).source, strict=True)) == {
        2: "tracked",
        7: "manual",
    }


def test_all_objects_removed_and_one_that_comes_after(tracker):
    prompts = [MaskPrompt.of(SQUARE), MaskPrompt.of(SQUARE, object_id=2, frame=3)]
    tracks = track(tracker, prompts, VIDEO[:5], remove={1: 2})
    assert tracks.frames.tolist() == [0, 1, 3, 4]


def test_nothing_is_left_of_a_removed_object(tracker):
    """One that comes later under its id has the masks that it has under the id of none before."""

    def run(first: int) -> list[np.ndarray]:
        prompts = Prompts(
            [
                MaskPrompt.of(OTHER, object_id=first),
                MaskPrompt.of(SQUARE, object_id=5),
                MaskPrompt.of(np.roll(OTHER, -10, axis=1), object_id=1, frame=2),
            ]
        )
        found = []
        for t in range(4):
            if t == 2:
                tracker.remove([first])
            frame, now = Frame(t, t / 25, VIDEO[t]), prompts.at(t)
            answer = tracker.init(frame, now) if t == 0 else tracker.step(frame, now)
            assert answer.object_ids.tolist() == ([first, 5] if t < 2 else [5, 1])
            found.extend(answer.masks)
        return found

    np.testing.assert_array_equal(run(1), run(2))
    assert tracker._ids == [5, 1]


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges; the first answer breaks off half way."""

    broken = True

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        cut = len(data) // 2 if RangeHandler.broken else len(data)
        RangeHandler.broken = False
        self.wfile.write(memoryview(data)[start:cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(made, tmp_path, monkeypatch):
    """Address of a server of the seeded checkpoint; the cache is empty, and downloads are allowed."""
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path))
    monkeypatch.delenv("VTLAB_WEIGHTS", raising=False)
    monkeypatch.delenv("VTLAB_OFFLINE", raising=False)
    monkeypatch.setattr(RangeHandler, "broken", True)
    path = made[1]["weights"]
    handler = functools.partial(RangeHandler, directory=str(path if path.is_dir() else path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("made", NETWORKS, indirect=True)
def test_fetch_verify_load_track(made, server, monkeypatch):
    """The whole way of an official checkpoint: a broken download, resumed; sha256; strict load; masks."""
    tracker, params = made
    fetch, files = weights.fetch, []

    def from_server(file):
        name = file.url.rsplit("/")[-1] if params["weights"].is_dir() else params["weights"].name
        files.append(replace(file, url=f"{server}/{name}", size=0, sha256=None))
        return fetch(files[-1], progress=False)

    monkeypatch.setattr(weights, "fetch", from_server)
    official = {k: v for k, v in params.items() if k != "weights"}
    tracks = vtlab.track(VIDEO[:2], MaskPrompt.of(SQUARE), tracker.card.name, progress=False, **official)
    assert tracks.frames.tolist() == [0, 1]
    assert {file.name for file in files} == {file.name for file in tracker.card.weights}
    assert not RangeHandler.broken
    assert {weights.verify(file).state for file in files} == {"ok"}
    weights.locate(files[-1]).write_bytes(b"changed after the first download")
    with pytest.raises(WeightsError, match="sha256"):
        vtlab.create_tracker(tracker.card.name, **official)


@pytest.mark.parametrize("made", NETWORKS, indirect=True)
def test_a_checkpoint_of_another_kind_names_what_differs(made, tmp_path):
    tracker, params = made
    import torch

    wrong = tmp_path / "wrong.pth"
    torch.save({"model": {"conv1.weight": torch.zeros(3)}}, wrong)
    if params["weights"].is_dir():
        from safetensors.torch import save_file

        (tmp_path / "config.json").write_text((params["weights"] / "config.json").read_text())
        save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
        wrong = tmp_path
    with pytest.raises(WeightsError, match=r"(?s)missing.*first.*unexpected.*conv1\.weight"):
        vtlab.create_tracker(tracker.card.name, **{**params, "weights": wrong})
