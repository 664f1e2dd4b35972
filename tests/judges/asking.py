"""How judges are asked, and what they said is kept as golden files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
GOLDEN = PROJECT / "tests/formats/golden"


def python(judge: str) -> Path:
    """The interpreter of a judge's environment."""
    found = PROJECT / f"build/judges/{judge}/bin/python"
    if not found.exists():
        pytest.skip(f"no environment of {judge}: run `make judges`")
    return found


def ask(judge: str, *args: str, script: str = "", **variables: str) -> dict:
    """What a judge prints; `script`: another one of its environment; `variables`: of its process."""
    file = Path(__file__).with_name(f"{script or judge}.py")
    plain = {**os.environ, "MPLBACKEND": "Agg", **variables}
    done = subprocess.run(
        [python(judge), file, *args], capture_output=True, text=True, timeout=800, env=plain
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def keep(files: list[Path], name: str) -> None:
    """Keep files that a client wrote, for the default suite to read."""
    if os.environ.get("VTLAB_GOLDEN") == "1":
        for file in files:
            shutil.copy(file, GOLDEN / f"{name}-{file.name}")


def compare(name: str, answer: dict) -> None:
    """An answer is the golden one."""
    file = GOLDEN / f"{name}.json"
    if os.environ.get("VTLAB_GOLDEN") == "1":
        file.write_text(json.dumps(answer, sort_keys=True, indent=1) + "\n")
    assert json.loads(file.read_text()) == pytest.approx(answer, rel=1e-9)
