"""What README and docs say of speed is what the stored run says; rows are measured, and compared, as they should."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(source):
    """What a piece of Python prints, in a process of its own at the repository's root."""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_docs_say_what_the_stored_run_says():
    assert run("import json; from benchmarks import _claims; print(json.dumps(_claims.stale()))") == []


NUMBER = r"\d[\d,.]*"
TIMES = rf"(?:{NUMBER}|two|three|four|five|ten) (?:times|%)"
SPEED = re.compile(
    rf"{NUMBER} ?(?:ms|µs)\b|CPU milliseconds|GFLOP/s|CPU s a frame|{NUMBER} CPU s\b|"
    rf"{NUMBER} x(?= *\||,? (?:faster|slower|as fast))|"
    rf"{TIMES} (?:as (?:fast|long|many frames|much time)|faster|slower|the package's)|"
    rf"(?:frames|points|requests|boxes) (?:a|per) (?:CPU second|second of)|points x frames per second|requests a second|"
    rf"{NUMBER} (?:s|seconds) (?:of (?:CPU|the processor)|a frame)|(?:takes?|took|chosen in|found) {NUMBER} s\b"
)
"""What reads as a speed."""
SAID = (
    r"\b20\d\d-\d\d-\d\d\b",
    r"EPYC|H100|H200|Xeon|Ryzen|Apple M",
    r"python -m benchmarks|`make \w|\btests/\w",
)
"""A date, a machine and a command."""


def unproved(page):
    """Paragraphs that say a speed and are neither written from the stored run nor name date, machine and command.

    A table has them in the paragraph before it. What stands between backticks, in a block of code, or under "generated"
    (from the trackers' cards) is no claim.
    """
    page = re.sub(r"<!-- (measured|trackers):.*?<!-- /\1 -->", "", page, flags=re.S)
    page = re.sub(r"^ *```.*?^ *```", "", page, flags=re.S | re.M)
    found, before = [], ""
    for block in filter(str.strip, re.split(r"\n\s*\n|\n(?=- )", page)):
        code = all(line.startswith("    ") for line in block.splitlines())
        told = f"{before} {block}" if block.lstrip().startswith("|") else block
        if SPEED.search(block) and not code and not all(re.search(said, told) for said in SAID):
            found.append(block.strip()[:200])
        before = block
    return found


PAGES = [p.relative_to(ROOT) for p in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_page_says_a_speed_without_saying_where_it_is_from(page):
    assert unproved((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "said",
    [
        "It is 3.1 times faster than others.",
        "A frame costs 2.4 ms.",
        "| task | faster |\n| --- | --- |\n| J&F | 10.7 x |",
        "Two sequences take 0.22 s together, by `make bench` on an AMD EPYC.",
        "Recorded 2026-11-26, AMD EPYC, `python -m benchmarks x`.\n\nIt does 900 requests a second.",
    ],
)
def test_a_bare_claim_is_seen(said):
    assert unproved(said)
    assert not unproved(f"<!-- measured: a -->\n{said}\n<!-- /measured -->")
    where = "On 2026-11-26 on an AMD EPYC by `python -m benchmarks x`"
    assert not unproved(f"{where}:\n{said.rsplit(chr(10) * 2)[-1]}")


FRAME = """
import json, tempfile
from pathlib import Path
from benchmarks import _claims, _measure as m
from benchmarks.table import changed
ticks = iter(range(1000))
row = m.Row("toy", "a toy", "ms", lambda folder: (lambda: 2.0 + next(ticks) % 3 / 100, {"here": lambda: 4.0}),
            {"away": ("benchmarks._peer:nothing", ())}, at_most=1.0, ratio=1.9)
m.PYTHON = Path("absent")
with tempfile.TemporaryDirectory() as folder:
    now = m.measure(row, Path(folder))
slow = {**now, "costs": {**now["costs"], "vtlab": [3 * c for c in now["costs"]["vtlab"]]}}
about = {"machine": "M", "python": "3", "date": "D", "commit": "C", "load": [0.1]}
page = "<!-- measured: toy -->\\nold\\n<!-- /measured -->"
print(json.dumps({"rounds": len(now["costs"]["vtlab"]), "notes": now["notes"], "goal": m.goal(now),
    "same": changed(now, now), "slower": changed(slow, now), "new": changed(now, None),
    "page": _claims.renewed(page, {"about": about, "rows": {"toy": now}}),
    "interval": m.interval([1, 2, 3, 4, 5, 6, 7, 8, 9]), "few": m.interval([1, 2, 3])}))
"""


def test_a_row_is_measured_by_turns_and_compared_beyond_noise():
    said = run(FRAME)
    assert said["rounds"] == 9
    assert said["notes"] == {"away": "not installed"}
    assert "NOT met; >= 1.9 x: met" in said["goal"]
    assert said["same"].startswith("within noise")
    assert said["slower"] == "SLOWER 3.00 x, measured by here"
    assert said["new"] == "not in the stored run"
    assert "| a toy | 2.01 ms | here | 4 ms | 1.99 [1.98, 2.00] |" in said["page"]
    assert "commit C" in said["page"]
    assert "old" not in said["page"]
    assert said["interval"] == [2, 8]  # 96 % by order statistics
    assert said["few"] == [1, 3]
