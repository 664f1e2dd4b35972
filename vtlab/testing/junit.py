"""Results of a contract as JUnit XML, which every build server shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from vtlab.files import write_whole
from vtlab.testing.contract import Result


def write_junit(path: str | Path, name: str, results: Sequence[Result]) -> None:
    """Write one test suite; raises `WriteError` where the file can't be written."""
    count = {state: sum(r.state == state for r in results) for state in ("fail", "skip")}
    head = f'tests="{len(results)}" failures="{count["fail"]}" skipped="{count["skip"]}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite name={_quoted(name)} {head}>"]
    for r in results:
        inner = {
            "fail": f"<failure message={_quoted(r.why)}/>",
            "skip": f"<skipped message={_quoted(r.why)}/>",
        }
        case = f"  <testcase classname={_quoted(name)} name={_quoted(r.check)}"
        lines.append(f"{case}>{inner[r.state]}</testcase>" if r.state in inner else f"{case}/>")
    write_whole(path, ("\n".join([*lines, "</testsuite>"]) + "\n").encode())


def _quoted(text: str) -> str:
    """An attribute's value; characters that XML can't say are left out."""
    return quoteattr(
        "".join(c for c in text if c >= " " and not 0xD800 <= ord(c) < 0xE000 and c not in "\ufffe\uffff")
    )
