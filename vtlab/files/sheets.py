"""CSV that a spreadsheet shows and does not run.

A cell that begins with = + - @ (or a tab or carriage return) is a formula to Excel, LibreOffice and Google Sheets, and
formulas can start programs and send data away (OWASP, "CSV Injection"). Texts that begin so get an apostrophe before
them, and so do those that begin with apostrophes and then so, which makes reading back exact. Numbers are left as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.errors import FormatError
from vtlab.files.outside import damage_as

if TYPE_CHECKING:
    import pandas as pd

_RUN = re.compile(r"'*[=+\-@\t\r]")


def csv_text(table: pd.DataFrame, *, index: bool = False) -> str:
    """A DataFrame as CSV, its texts (names of columns and rows, too) written so that no spreadsheet runs them."""
    shown = (table.reset_index() if index else table).copy()
    for at in range(shown.shape[1]):
        if shown.dtypes.iloc[at].kind not in "biufcmM":
            shown.isetitem(at, shown.iloc[:, at].astype(object).map(_quiet).to_numpy())
    shown.columns = [_quiet(name) for name in shown.columns]
    return str(shown.to_csv(index=False))


def read_csv(path: str | Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """Read what `csv_text` wrote, texts as they were; raises `FormatError` for a damaged file.

    The columns `texts` are read as text even where they look like numbers ("12e4"), and hold "" where a cell is empty.
    """
    import pandas as pd

    with damage_as(FormatError, path, "a table in CSV"):
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, str))
        for name in table.columns.intersection(list(texts)):
            table[name] = table[name].fillna("")
        for at in range(table.shape[1]):
            if table.dtypes.iloc[at].kind not in "biufcmM":
                table.isetitem(at, table.iloc[:, at].map(_loud).to_numpy())
        return table.set_axis([_loud(name) for name in table.columns], axis=1)


def read_texts(path: str | Path) -> pd.DataFrame:
    """Read what `csv_text` wrote with every cell as the text that it was, "" where it is empty; raises `FormatError`."""
    import pandas as pd

    with damage_as(FormatError, path, "a table in CSV"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        return table.map(_loud).set_axis([_loud(name) for name in table.columns], axis=1)


def _quiet(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _RUN.match(value) else value


def _loud(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and value.startswith("'") and _RUN.match(value[1:]) else value
