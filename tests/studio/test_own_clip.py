"""A person's own clip in a notebook: prompts, or one sentence on what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed")

from vtlab.errors import FormatError
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.studio import annotate, own_clip
from vtlab.studio.clip import PromptsMissing
from vtlab.testing.scenes import moving_square
from vtlab.video import open_video

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
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
    with pytest.raises(PromptsMissing, match="draw them in the annotator") as told:
        own_clip(VIDEO, segmenter=None)
    assert len(shown) == 1
    assert told.value._render_traceback_() == [str(told.value)]
    name = next(word for word in str(told.value).split() if word.endswith(".prompts.json"))
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


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda p: p.stem)
def test_no_notebook_takes_prompts_of_another_clip(path):
    cells = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    text = "\n".join(cells)
    if 'VIDEO = ""' in text and 'PROMPTS = ""' in text:
        assert "own_clip(VIDEO, PROMPTS)" in text
        assert "PROMPTS or" not in text
