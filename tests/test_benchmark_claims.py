"""What README and docs say of speed is what the stored run says; rows are measured, and compared, as they should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
