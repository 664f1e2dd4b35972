"""Boards: one table of results, the same numbers in every form, direction and unit by the metric's record."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from vtlab.metrics import METRICS
from vtlab.show.board import Board, Grid

FRAME = pd.DataFrame(
    {
        "J&F": [0.8125, 0.5, np.nan],
        "J_decay": [0.25, 0.05, np.nan],
        "CLR_FP": [3.0, 12.0, np.nan],
        "J&F_std": [0.01, np.nan, np.nan],
        "tie_group": [1, 2, np.nan],
        "note": ["", "First sentence of many. " + "More of it. " * 9, "a|b <i>\n[red]"],
    },
    index=pd.Index(["best", "other_one", "<b>none</b>"], name="tracker"),
)
BOARD = Board(FRAME, "Masks & more", "Rule: davis", main="J&F")


def terminal(board):
    console = Console(width=200)
    with console.capture() as shown:
        console.print(board.to_rich())
    return shown.get()


def test_direction_and_unit_are_those_of_the_metric():
    """What is lower is better by its record is marked so: J_decay and CLR_FP once were shown as the opposite."""
    assert BOARD.headings == [
        "tracker",
        "J&F ↑",
        "J_decay ↓",
        "CLR_FP ↓",
        "J&F sd of cells",
        "tie group",
        "note",
    ]
    strong = [[c.text for c in row if c.strong] for row in BOARD.rows()]
    assert strong == [["81.2%", "3"], ["5.0%"], []]


def test_milliseconds_have_three_figures():
    text = METRICS["latency_ms"].text
    assert [text(v) for v in (0.0, 0.0312, 3.4567, 44.21, 123.4, 1234.5)] == [
        "0.00", "0.03", "3.46", "44.2", "123", "1234"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 140, 400])
def test_no_number_is_cut_in_a_narrow_terminal(width):
    """Columns that found no room were squeezed until "95.2%" was "95…"."""
    values = {
        name: [0.952, 0.07]
        for name in ("success_auc", "ci_low", "ci_high", "ao", "sr_50", "sr_75", "HOTA", "IDF1")
    }
    frame = pd.DataFrame(values | {"note": ["", "Some words. " * 20]}, index=["a_tracker", "x" * 90])
    console = Console(width=width)
    with console.capture() as shown:
        console.print(Board(frame, "Title", "A caption of several words.", main="success_auc").to_rich())
    text = shown.get()
    assert text.count("95.2%") == text.count(" 7.0%") == len(values)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("Title") == 1
    assert "A caption" in text


def test_every_metric_has_its_own_arrow():
    for name, metric in METRICS.items():
        board = Board(pd.DataFrame({name: [0.25, 0.75]}, index=pd.Index(["a", "b"], name="tracker")))
        better = {True: [False, True], False: [True, False], None: [False, False]}[metric.higher_is_better]
        assert [row[1].strong for row in board.rows()] == better, name
        assert board.headings[1].endswith(metric.arrow), name


def test_what_is_missing_is_one_sign_in_every_form():
    rows = [[c.text for c in row] for row in BOARD.rows()]
    assert rows[1] == ["other_one", "50.0%", "5.0%", "12", "–", "2", "First sentence of many."]
    assert rows[2][1:6] == ["–"] * 5
    assert BOARD.to_html().count(">–</td>") == 6
    assert BOARD.to_latex().count(" -- ") == 6
    assert terminal(BOARD).count("–") == 6
    assert BOARD.to_markdown().count(" – ") == 6


def test_names_are_text_and_no_markup():
    page = BOARD._repr_html_()
    assert "<h4>Masks &amp; more</h4>" in page
    assert "&lt;b&gt;none&lt;/b&gt;" in page
    assert "<b>none" not in page
    assert "[red]" in terminal(BOARD)
    assert r"a\|b <i> [red]" in BOARD.to_markdown()
    assert r"other\_one" in BOARD.to_latex()
    assert r"J\&F $\uparrow$" in BOARD.to_latex()
    assert BOARD.to_latex().endswith("% Rule: davis\n")


def test_notes_cut_short_are_below_in_full():
    assert list(BOARD.notes.values()) == [["other_one"]]
    assert "<summary>Notes in full</summary>" in BOARD.to_html()
    assert "More of it. More of it." in BOARD.to_html()
    assert "More of it. More" in terminal(BOARD)


def test_a_total_stands_out_in_place_of_the_best():
    index = pd.MultiIndex.from_tuples([("csrt", "a"), ("csrt", "all")], names=["tracker", "sequence"])
    board = Board(pd.DataFrame({"ao": [0.9, 0.6]}, index=index), digits=2, total=True)
    assert board.headings == ["tracker", "sequence", "ao ↑"]
    assert [[c.strong for c in row] for row in board.rows()] == [[False] * 3, [True] * 3]
    assert [row[2].text for row in board.rows()] == ["90.00%", "60.00%"]


def test_an_empty_board_has_its_heading():
    board = Board(FRAME.iloc[:0])
    assert board.headings[0] == "tracker"
    assert list(board.rows()) == []
    for text in (board.to_html(), board.to_latex(), board.to_markdown(), terminal(board)):
        assert "tracker" in text


def test_a_long_table_shows_its_first_rows_and_folds_the_others():
    frame = pd.DataFrame({"ao": np.linspace(0.9, 0.1, 25)}, index=[f"t{i}" for i in range(25)])
    shown, folded = Board(frame, main="ao").to_html().split("<details>")
    assert (shown.count("<tr>"), folded.count("<tr>")) == (21, 6)
    assert "<summary>5 more rows</summary>" in folded
    shown, folded = Board(frame, total=True).to_html().split("<details>")
    assert ">t24<" in shown  # the total
    assert ">t19<" in folded
    assert "details" not in Board(frame.iloc[:20]).to_html()


def test_a_p_shows_on_which_side_of_the_level_it_lies():
    board = Board(pd.DataFrame({"p": [0.0488, 0.0513, 0.0001, np.nan]}, index=list("abcd")))
    assert [row[1].text for row in board.rows()] == ["0.049", "0.051", "<0.001", "\u2013"]


@pytest.mark.parametrize("seed", range(4))
def test_cells_make_the_table_of_the_data_frame(seed):
    """A board of plain cells, which needs no pandas, in every form as the same numbers in a DataFrame."""
    rng = np.random.default_rng(seed)
    n, holes = 6, rng.random((6, 4)) < 0.3
    values = rng.random((n, 4)).round(2)
    values[holes] = np.nan
    columns = {
        "letters": ["a", "ab", "", "b", "b", "c"],
        "ao": values[:, 0].tolist(),
        "latency_ms": (99 * values[:, 1]).tolist(),
        "IDSW": [None if np.isnan(v) else int(9 * v) for v in values[:, 2]],
        "other": np.floor(9 * values[:, 3]).tolist(),
    }
    several = seed % 2
    index = [(f"t{i}", "all") if several else f"t{i}" for i in range(n)]
    grid = Grid(("tracker", "sequence")[: 1 + several], index, columns, frozenset(columns) - {"letters"})
    named = pd.MultiIndex.from_tuples(index, names=grid.names) if several else pd.Index(index, name="tracker")
    frame = pd.DataFrame(columns, index=named)
    pd.testing.assert_frame_equal(grid.frame(), frame)
    told = {"main": "ao", "unranked": ("t0",), "total": seed > 1}
    one, other = Board(grid, "Title", "How.", **told), Board(frame, "Title", "How.", **told)
    assert terminal(one) == terminal(other)
    assert one.to_html() == other.to_html()
    assert one.to_latex() == other.to_latex()
    assert one.to_markdown() == other.to_markdown()
