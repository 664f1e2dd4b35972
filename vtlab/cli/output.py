"""What commands print: tables, facts and JSON to standard output, progress and messages to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """The console of results; a fixed width where nobody looks."""
    from rich.console import Console

    # rich takes 80 columns for what is no terminal, which breaks wide tables.
    return Console(width=None if sys.stdout.isatty() else 140)


def stderr() -> Console:
    """The console of messages."""
    from rich.console import Console

    return Console(stderr=True)


def escape(text: str) -> str:
    """Text whose brackets are no markup."""
    from rich import markup

    return markup.escape(text)


def print_json(value: Any) -> None:
    """Print a value as JSON that every reader takes: NaN is null, infinite numbers are the texts "inf" and "-inf"."""
    from vtlab.provenance import plain

    sys.stdout.write(json.dumps(_strict(plain(value)), indent=1, allow_nan=False) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _strict(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


@contextmanager
def progress_bar(name: str, unit: str = "frame") -> Iterator[Any]:
    """A progress bar: gives a function to be called with (done, in all), and with what is at work."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task(escape(name), total=None)

        def update(done: int, total: int, doing: str = "") -> None:
            told = escape(f"{name}: {doing}" if doing else name)
            bar.update(task, completed=done, total=total or None, description=told)

        yield update


def print_facts(title: str, facts: dict[str, Any]) -> None:
    """Print what is known of one thing as a table."""
    from rich.table import Table

    table = Table(title=escape(title), show_header=False)
    for name, value in facts.items():
        text = (
            f"{value:.3f}"
            if isinstance(value, float)
            else json.dumps(value)
            if isinstance(value, (dict, list))
            else str(value)
        )
        table.add_row(name, escape(text))
    stdout().print(table)


def print_rows(table: Any) -> None:
    """Print a DataFrame's rows as JSON, its index with them."""
    print_json(json.loads(table.reset_index().to_json(orient="records")))
