"""The process in which a peer runs: `.venv-bench` has its packages, and neither vtlab nor its OpenCV.

Reads one call a line, {"call": "module:function", "args": [...]}, and answers one line: {"cost": x} with the function's own
measure where it returns a number and its CPU seconds otherwise, {"missing": package}, or {"error": text}.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def answer(line: str) -> dict[str, object]:
    """What one call costs."""
    asked = json.loads(line)
    module, function = asked["call"].split(":")
    try:
        run = getattr(importlib.import_module(module), function)
        begin = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            found = run(*(Path(a) if Path(a).is_dir() else a for a in asked["args"]))
        return {"cost": found if isinstance(found, float) else time.process_time() - begin}
    except ImportError as error:
        return {"missing": error.name or str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def whole(call: str, folder: Path, *args: str) -> float:
    """CPU seconds of a call in an interpreter of its own, start and imports and all."""
    module, function = call.split(":")
    source = f"from {module} import {function}; {function}(Path({str(folder)!r}), *{list(args)!r})"
    before = os.times()
    subprocess.run([sys.executable, "-c", f"from pathlib import Path; {source}"], check=True, timeout=100)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)


if __name__ == "__main__":
    main()
