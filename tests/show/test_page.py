"""A page is made of data: no comparison is needed, what is missing is said, and nothing half-written is left."""

from __future__ import annotations

import base64
import re

import numpy as np
import pandas as pd
import pytest

from vtlab.errors import WriteError
from vtlab.show import page as pages
from vtlab.show.board import Board
from vtlab.show.figure import Curves, Panel, Timeline, charts, figure
from vtlab.show.page import Page

FRAME = pd.DataFrame(
    {"ao": [0.8, 0.6, np.nan], "latency_ms": [3.0, 2.0, np.nan], "latency_p95_ms": [4.0, 2.5, np.nan]},
    index=pd.Index(["a", "b", "c"], name="tracker"),
)
BOARD = Board(FRAME, "Boxes <1>", "Rule: otb", "ao")
X = np.linspace(0, 1, 5)
PANEL = Panel(
    BOARD,
    Timeline("clip: over time", "overlap", {"b": np.array([0.1, np.nan, 0.3]), "a": np.ones(3)}),
    (Curves("Success plot", "threshold", X, {"a": 1 - X, "b": 1 - X**2}, "ao"),),
)


def test_a_page_of_plain_data(tmp_path):
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"moving")
    page = Page(
        "{body} & title",
        "one clip",
        ("a is best.",),
        (BOARD,),
        charts([PANEL]),
        pictures=iter([("first", np.zeros((4, 6, 3), np.uint8)), ("second", "the frame is <broken>")]),
        videos=iter([("side", video)]),
        facts={"seed": 3, "text": "{title}"},
    )
    text = page.write(tmp_path / "deep/page.html").read_text(encoding="utf-8")
    assert "<h1>{body} &amp; title</h1>" in text
    assert "<h2>Boxes &lt;1&gt;</h2>" in text
    assert text.count("data:image/jpeg") == 1
    assert text.count("data:image/svg+xml") == 4  # curves, bars, cost, timeline: each as sharp as the screen
    assert text.count(" alt=") == 5
    assert "<figcaption>Boxes &lt;1&gt;: ao</figcaption>" in text
    assert f"data:video/mp4;base64,{base64.b64encode(b'moving').decode()}" in text
    assert "second: the frame is &lt;broken&gt;" in text
    assert "&quot;text&quot;: &quot;{title}&quot;" in text
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_the_same_plots_are_the_same_text():
    first, second = (Page("t", figures=charts([PANEL])).to_html() for _ in range(2))
    assert first == second


def test_a_lone_plot_has_the_whole_width():
    rule = re.search(r"\.plots \{(.*)\}", Page("t").to_html())[1]
    assert "repeat(auto-fit," in rule  # auto-fill would keep room for plots that aren't there


def test_a_page_of_nothing_has_its_title_only():
    text = Page("Empty").to_html()
    assert "<h1>Empty</h1>" in text
    assert "<h2>" not in text


def test_a_video_that_is_too_large_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "VIDEO_LIMIT", 3)
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"moving")
    assert "side: the video is too large for this page." in Page("t", videos=[("side", video)]).to_html()


def test_a_page_that_can_not_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="page.html"):
        Page("t").write(tmp_path / "file" / "page.html")


def test_the_figure_draws_what_there_is():
    whole = figure([PANEL, Panel(BOARD, budget_ms=3.0), Panel(Board(FRAME[["latency_ms"]], "no metric"))])
    axes = [ax for sub in whole.subfigs for ax in sub.axes]
    titles = [ax.get_title() for ax in axes]
    assert "Success plot [ao in %]" in titles
    assert titles.count("Boxes <1>: ao") == 2
    rows = next(ax for ax in axes if ax.get_title() == "clip: over time")
    assert [t.get_text() for t in rows.get_yticklabels()] == ["a", "b"]
    assert not any("no metric" in t for t in titles)
    empty = figure([])
    assert "no tracker has a score" in empty.subfigs[0].texts[0].get_text()
