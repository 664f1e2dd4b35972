"""A person's own clip in a notebook: prompts, or one sentence on what is missing."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from vtlab.errors import FormatError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.studio import annotate, own_clip
from vtlab.studio.clip import PromptsMissing, TruthMissing
from vtlab.studio.work import work_file
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks
from vtlab.video import open_video, write_video

VIDEO = open_video(moving_square(n=4, height=48, width=64))
BOX = Prompts(BoxPrompt((5, 5, 20, 20)))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where prompts are kept by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_prompts_the_annotator_opens_and_one_sentence_names_the_file(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    with pytest.raises(PromptsMissing, match="draw in the annotator above") as told:
        own_clip(VIDEO, segmenter=None)
    assert len(shown) == 1
    assert told.value._render_traceback_() == [str(told.value)]
    (name,) = re.findall(r"there is no (.*\.prompts\.json)", str(told.value))
    annotate(VIDEO, segmenter=None).act({"do": "box", "xyxy": [5, 5, 20, 20]})
    assert Path(name).is_file()
    made = own_clip(
        VIDEO, segmenter=None
    )  # what was drawn is there when the cell is run again, in a batch, too
    assert (len(made.prompts), made.truth, len(shown)) == (1, None, 1)


def test_a_prompt_file_or_the_sentence_that_it_is_missing(folder):
    BOX.save(folder / "p.json")
    assert own_clip(VIDEO, folder / "p.json").prompts == BOX
    with pytest.raises(FormatError, match=r"other\.json: there is no such prompt file"):
        own_clip(VIDEO, folder / "other.json")


def test_a_folder_of_prompt_files_holds_one_for_each_video(folder):
    (folder / "drawn").mkdir()
    with pytest.raises(FormatError, match=r"\.prompts\.json: there is no such prompt file"):
        own_clip(VIDEO, folder / "drawn")
    BOX.save(folder / "drawn" / work_file(VIDEO, ".prompts.json").name)
    assert own_clip(VIDEO, folder / "drawn").prompts == BOX


def test_kinds_that_do_not_count_are_left_out_and_asked_for(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda made: None)
    annotate(VIDEO, segmenter=None).act({"do": "box", "xyxy": [5, 5, 20, 20]})
    with pytest.raises(PromptsMissing, match=r"no point or skeleton as prompt: .* holds other kinds"):
        own_clip(VIDEO, kinds=("point", "skeleton"), segmenter=None)
    assert len(own_clip(VIDEO, kinds=("box",), segmenter=None).prompts) == 1


def test_the_first_frames_alone_with_what_was_drawn_on_them(folder):
    Prompts([*BOX, BoxPrompt((5, 5, 20, 20), frame=3)]).save(folder / "p.json")
    made = own_clip(VIDEO, folder / "p.json", frames=2)
    assert (len(made.video), [p.frame for p in made.prompts]) == (2, [0])
    assert len(own_clip(VIDEO, None, frames=99).video) == 4


def test_labels_give_the_prompts(folder):
    truth = Tracks.of(range(4), 1, [(5, 5, 20, 20)] * 4, size=(48, 64)).save(folder / "truth.parquet")
    made = own_clip(VIDEO, truth=truth, frames=3)
    assert len(made.truth) == 3
    assert [p.kind for p in made.prompts] == ["box"]
    with pytest.raises(TruthMissing, match="give their file as TRUTH"):
        own_clip(VIDEO, truth="")


def test_what_an_address_sends_is_recorded_once(folder):
    file = write_video(folder / "far.mp4", moving_square(n=9), 25)
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/clips/far.mp4"
        made = own_clip(address, None, frames=6)
        assert len(made.video) == 6
        (recorded,) = folder.glob("far-*.mp4")
        n = len(asked)
        assert len(own_clip(address, None).video) == 6
        assert len(asked) == n
        assert made.video.name == recorded.stem
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
