"""One table of results for every place that shows one: terminal, notebook, page, paper, Markdown.

A board holds numbers; direction, unit and format of a column are those of its metric (`vtlab.metrics.METRICS`).
Whatever makes a table of results makes a board, so a number looks the same wherever it is read.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.metrics.records import METRICS, Metric

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions, JustifyMethod
    from rich.table import Table
    from rich.text import Text

MOST_ROWS = 20
"""Rows of a table that a page shows at once."""
_MARKS = {"✓": "#067a57", "✗": "#b3400e"}
"""Colours of texts that begin so: a limit that is kept, or broken."""
_LONG_HEADING = 9
"""Letters of a column's heading from which on it may take several lines of a page."""
_OF_MAIN = ("ci_low", "ci_high", "clips_low", "clips_high")
_LATEX = {
    **{c: "\\" + c for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "–": "--",
}


@dataclass(frozen=True)
class Cell:
    """One cell as it is shown.

    Attributes:
        text: What stands in it.
        number: True if its column holds numbers, which stand to the right.
        strong: True if it is the best of its column, or in the row of the total.
        whole: The text that `text` cuts short; "" if nothing is cut.
    """

    text: str
    number: bool = True
    strong: bool = False
    whole: str = ""


@dataclass(frozen=True)
class Grid:
    """The cells of a table, so that one can be made and printed without pandas.

    Attributes:
        names: What the rows' names are, one or several.
        index: The name of each row, a tuple where `names` are several.
        columns: Heading -> one value a row; None or NaN where there is none.
        numbers: Headings of the columns that hold numbers.
    """

    names: tuple[str, ...]
    index: Sequence[Any]
    columns: Mapping[str, Sequence[Any]]
    numbers: frozenset[str]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Grid:
        """The cells of a DataFrame."""
        headings, cells = [str(c) for c in frame.columns], frame.to_numpy(object).T.tolist()
        numbers = frozenset(h for h, kind in zip(headings, frame.dtypes, strict=True) if kind.kind in "fiu")
        names = tuple(str(n or "") for n in frame.index.names)
        return cls(names, list(frame.index), dict(zip(headings, cells, strict=True)), numbers)

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        import pandas as pd

        several = len(self.names) > 1
        index = (
            pd.MultiIndex.from_tuples(self.index, names=self.names)
            if several
            else pd.Index(self.index, name=self.names[0])
        )
        return pd.DataFrame(dict(self.columns), index=index)

    def floats(self, column: str) -> NDArray[np.float64]:
        """The values of a column of numbers, NaN where there is none."""
        return np.array([np.nan if v is None else v for v in self.columns[column]], np.float64)


@dataclass(frozen=True)
class Board:
    """A table of results, best first.

    Attributes:
        given: One row for each tracker (its index), one column for each metric, as a DataFrame or its cells; fractions as 0
            to 1, NaN where there is no number. Columns of text (`note`) are shown as they are.
        title: What the table is about.
        caption: By which rule the numbers were made.
        main: The column that ranks; `ci_low` and `ci_high` are the ends of its interval, `clips_low` and `clips_high` those
            of the middle 80 % of the clips, and columns that begin with its name and a space its values on single clips.
        digits: Decimals of fractions, which are shown in per cent.
        unranked: Rows that are never the best of a column, since they don't stand for the same clips.
        known: What is known of columns that are no metric of `METRICS`.
        total: True if the rows are parts and the last one joins them: then it stands out, not the best of each column.
    """

    given: pd.DataFrame | Grid
    title: str = ""
    caption: str = ""
    main: str | None = None
    digits: int = 1
    unranked: tuple[str, ...] = ()
    total: bool = False
    known: Mapping[str, Metric] = field(default_factory=dict)

    @cached_property
    def grid(self) -> Grid:
        """The cells."""
        return self.given if isinstance(self.given, Grid) else Grid.of(self.given)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The cells as a DataFrame."""
        return self.given.frame() if isinstance(self.given, Grid) else self.given

    @cached_property
    def columns(self) -> dict[str, Metric | None]:
        """What is known of each column; None for a column of text."""
        return {c: self._metric(c) for c in self.grid.columns}

    @property
    def headings(self) -> list[str]:
        """Heading of the rows' names and of each column: name, unit and direction."""
        return [*self.grid.names, *(c if m is None else m.heading for c, m in self.columns.items())]

    @property
    def notes(self) -> dict[str, list[str]]:
        """Notes that the table cuts short, in full, with the names of their rows."""
        found: dict[str, list[str]] = {}
        for row in self.rows():
            for cell in row:
                if cell.whole:
                    found.setdefault(cell.whole, []).append(row[0].text)
        return found

    def rows(self) -> Iterator[list[Cell]]:
        """The cells of each row, those of its name first."""
        best = {} if self.total else {c: self._best(c) for c, m in self.columns.items() if m is not None}
        for position, label in enumerate(self.grid.index):
            last = self.total and position == len(self.grid.index) - 1
            names = label if isinstance(label, tuple) else (label,)
            row = [Cell(str(name), False, last) for name in names]
            for column, metric in self.columns.items():
                value = self.grid.columns[column][position]
                if metric is None:
                    text = value if isinstance(value, str) else ""
                    short = _first_sentence(text)
                    row.append(Cell(short, False, last, text if short != text else ""))
                else:
                    strong = last or (column in best and value == best[column] and label not in self.unranked)
                    row.append(
                        Cell(metric.text(np.nan if value is None else value, self.digits), strong=strong)
                    )
            yield row

    def to_rich(self) -> Terminal:
        """Return the table for a terminal, notes in full; where it is too narrow, several below each other, so that no
        number is cut."""
        return Terminal(self)

    def to_latex(self) -> str:
        """Return the table for a paper (booktabs), the best of each column in bold."""
        layout = "".join("r" if number else "l" for number in self.kinds())
        lines = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
        lines += [" & ".join(map(_latex, self.headings)) + r" \\", r"\midrule"]
        for row in self.rows():
            cells = (rf"\textbf{{{_latex(c.text)}}}" if c.strong else _latex(c.text) for c in row)
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in self.caption.splitlines())]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """Return the table in Markdown (GitHub's), the best of each column in bold."""
        marks = ["---:" if number else "---" for number in self.kinds()]
        lines = [_markdown(self.headings), _markdown(marks)]
        lines += [
            _markdown([f"**{c.text}**" if c.strong and c.text else c.text for c in row])
            for row in self.rows()
        ]
        caption = ["", self.caption] if self.caption else []
        return "\n".join(lines + caption) + "\n"

    def to_html(self) -> str:
        """Return the table for a page, the rows of a long one that come later folded, then its caption and the notes in
        full, all as text: no markup of a name works."""
        head = "".join(
            _html("th", Cell(name, number)) for name, number in zip(self.headings, self.kinds(), strict=True)
        )
        shown, rest = self._cut()
        parts = [_table(head, shown)]
        if rest:
            more = f"{len(rest)} more row{'s' * (len(rest) > 1)}"
            parts.append(f"<details><summary>{more}</summary>{_table(head, rest)}</details>")
        if self.caption:
            parts.append(f"<p class=note>{html.escape(self.caption)}</p>")
        items = "".join(
            f"<li><b>{html.escape(', '.join(names))}</b>: {html.escape(note)}</li>"
            for note, names in self.notes.items()
        )
        if items:
            parts.append(f"<details class=note><summary>Notes in full</summary><ul>{items}</ul></details>")
        return "\n".join(parts)

    def _cut(self) -> tuple[list[list[Cell]], list[list[Cell]]]:
        """Rows that a page shows at once, and the others; the total is among the first."""
        rows = list(self.rows())
        if len(rows) <= MOST_ROWS:
            return rows, []
        return (
            (rows[: MOST_ROWS - 1] + rows[-1:], rows[MOST_ROWS - 1 : -1])
            if self.total
            else (rows[:MOST_ROWS], rows[MOST_ROWS:])
        )

    def _repr_html_(self) -> str:
        title = f"<h4>{html.escape(self.title)}</h4>\n" if self.title else ""
        return title + self.to_html()

    def _metric(self, column: str) -> Metric | None:
        """What is known of a column: by name, by the metric that it is an interval or a spread of, or by what it holds."""
        if column in self.known:
            return self.known[column]
        if column in METRICS:
            return METRICS[column]
        if column == "p":
            return Metric(column, "", "", "p", higher_is_better=None)
        title = column.replace("_std", " sd of cells").replace("_", " ")
        own = column in _OF_MAIN or column.startswith(f"{self.main} ")
        source = self.main if own else column.removesuffix("_std")
        if source in METRICS:
            return replace(METRICS[source], name=column, title=title, higher_is_better=None)
        if column not in self.grid.numbers:
            return None
        values = self.grid.floats(column)
        unit = "count" if (values == np.floor(values))[~np.isnan(values)].all() else ""
        return Metric(column, "", "", unit, higher_is_better=None, title=title)

    def _best(self, column: str) -> Any:
        """The best value of a column, None where there is no choice."""
        metric, values = self.columns[column], self.grid.floats(column)
        values = values[[str(row) not in self.unranked for row in self.grid.index]]
        if metric is None or metric.higher_is_better is None or len(values) < 2 or np.isnan(values).all():
            return None
        return np.nanmax(values) if metric.higher_is_better else np.nanmin(values)

    def kinds(self) -> list[bool]:
        """Whether each column, those of names first, holds numbers."""
        return [False] * len(self.grid.names) + [m is not None for m in self.columns.values()]


class Terminal:
    """A board as rich prints it, in as many tables as its width asks for."""

    def __init__(self, board: Board):
        self.board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """Tables of the columns that fit side by side, each with the rows' names; then the caption."""
        from rich.table import Table
        from rich.text import Text

        board, rows, names = self.board, list(self.board.rows()), len(self.board.grid.names)
        least, most = self._widths(rows)
        # Beside its text a column of rich's takes a blank on each side and a line.
        room = options.max_width - 1 - sum(w + 3 for w in most[:names])
        for i, block in enumerate(_blocks(least[names:], room)):
            out = Table(title=Text(board.title) if board.title and i == 0 else None)
            chosen = [*range(names), *(names + c for c in block)]
            spare = room - sum(least[names + c] + 3 for c in block)
            for c in chosen:
                more = most[c] - least[c] if c < names else min(most[c] - least[c], max(spare, 0))
                spare -= more if c >= names else 0
                side: JustifyMethod = "right" if board.kinds()[c] else "left"
                out.add_column(Text(board.headings[c]), justify=side, width=least[c] + more, overflow="fold")
            for row in rows:
                cells = [row[c] for c in chosen]
                out.add_row(*(Text(c.whole or c.text, style="bold" if c.strong else "") for c in cells))
            yield out
        if board.caption:
            yield Text(board.caption, style="italic")

    def _widths(self, rows: list[list[Cell]]) -> tuple[list[int], list[int]]:
        """What each column needs, and what it takes without breaking a line: a number is never broken, a heading between
        its words, a text in lines of 24."""
        least, most = [], []
        for c, (heading, number) in enumerate(zip(self.board.headings, self.board.kinds(), strict=True)):
            text = max((len(row[c].whole or row[c].text) for row in rows), default=0)
            words = max(map(len, re.split(r" +(?![↑↓])", heading)))  # an arrow stays beside its word
            least.append(max(words, text if number else min(text, 24), 1))
            most.append(max(len(heading), min(text, 40) if c < len(self.board.grid.names) else text, 1))
        return least, most


def _blocks(widths: list[int], room: int) -> Iterator[list[int]]:
    """Columns in their order, as many at a time as find room; one at least."""
    block: list[int] = []
    for column, width in enumerate(widths):
        if block and sum(widths[c] + 3 for c in block) + width + 3 > room:
            yield block
            block = []
        block.append(column)
    yield block


def _first_sentence(note: str) -> str:
    return note if len(note) < 100 else note.split(". ")[0].rstrip(".") + "."


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)


def _markdown(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", r"\|").replace("\n", " ") for c in cells) + " |"


def _table(head: str, rows: Iterable[list[Cell]]) -> str:
    body = "".join("<tr>" + "".join(_html("td", c) for c in row) + "</tr>\n" for row in rows)
    table = f"<table class=board><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
    return f"<div style='overflow-x:auto'>{table}</div>"


def _html(tag: str, cell: Cell) -> str:
    style = "text-align:right" if cell.number else "text-align:left"
    style += ";font-weight:700" if cell.strong else ""
    style += ";white-space:normal" if tag == "th" and len(cell.text) > _LONG_HEADING else ""
    style += ";min-width:14rem;font-size:85%" if len(cell.text) > 40 else ""
    style += f";color:{_MARKS[cell.text[0]]}" if cell.text[:1] in _MARKS else ""
    return f"<{tag} style='{style}'>{html.escape(cell.text)}</{tag}>"
