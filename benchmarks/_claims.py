"""What README and docs say of speed is written from the stored run, and a test holds them to it.

    python -m benchmarks table --claims write    # write them anew from benchmarks/results.json
    python -m benchmarks table --claims check    # exit with an error where they say something else

A page holds `<!-- measured: sparse crowd -->` ... `<!-- /measured -->`; what is between is a table of those rows
(all rows without names) with the machine, the date and the commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _measure as measure

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- measured:([^>]*)-->\n).*?(<!-- /measured -->)", re.S)


def encoded(run: Mapping[str, Any]) -> str:
    """A run as text, its numbers with the digits that count."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        return [short(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(short(dict(run)), indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+[^\[\]]*?\s+\]", lambda m: "[" + " ".join(m[0][1:-1].split()) + "]", text) + "\n"


def table(run: Mapping[str, Any], names: list[str]) -> str:
    """Rows of a run as a table of Markdown, and where and when it was made."""
    rows = {k: r for k, r in run["rows"].items() if not names or k in names}
    if not rows:
        return "No run is stored yet: `make bench-store`.\n"
    lines = [
        "| what | vtlab | peer | its cost | peer / vtlab [95 %] | goal |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for found in rows.values():
        for k, (cost, peer, theirs, ratio) in enumerate(measure.said(found)):
            first = (found["what"], cost, measure.goal(found)) if k == 0 else ("", "", "")
            lines.append(
                f"| {first[0]} | {first[1]} | {peer} | {theirs} | {ratio if peer else ''} | {first[2]} |"
            )
    about = run["about"]
    load = ", ".join(map(str, about["load"]))
    return "\n".join(lines) + (
        f"\n\n{about['machine']}, Python {about['python']}; {about['date']}, commit {about['commit']}; load {load} at its "
        "start. Medians of rounds taken by turns, CPU time.\n"
    )


def pages() -> list[Path]:
    """Pages that hold a claim."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [p for p in found if "<!-- measured:" in p.read_text(encoding="utf-8")]


def renewed(text: str, run: Mapping[str, Any]) -> str:
    """A page with its claims as the run has them."""
    return BLOCK.sub(lambda m: f"{m[1]}\n{table(run, m[2].split())}\n{m[3]}", text)


def write() -> None:
    """Write the claims of all pages anew."""
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8"), measure.stored()), encoding="utf-8")


def stale() -> list[str]:
    """Names of the pages that say something else than the stored run."""
    run = measure.stored()
    texts = {p.name: p.read_text(encoding="utf-8") for p in pages()}
    return [name for name, text in texts.items() if renewed(text, run) != text]
