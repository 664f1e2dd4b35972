"""Run benchmarks: `python -m benchmarks` for all, `python -m benchmarks NAME ... [OPTIONS]` for some.

Everything from the first word that begins with a dash on goes to each of the named benchmarks.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from itertools import takewhile

import benchmarks
from vtlab.errors import VtlabError

LACKING = (
    "{}. What it may lack: packages (pip install -e '.[torch,onnx,bench]', peers in an environment of their own), official "
    "weights (vtlab weights list | fetch), or real data (VTLAB_SHARED=folder)."
)


def main() -> None:
    known = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    options = sys.argv[1 + len(names) :]
    if options and not names:
        sys.exit(f"{__doc__}\nKnown: {', '.join(known)}.")
    for name in names or known:
        if name not in known:
            sys.exit(f"Unknown benchmark {name!r}. Known: {', '.join(known)}.")
        print(f"\n== {name}", flush=True)
        sys.argv = [name, *options]
        begin = time.perf_counter()
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except (ImportError, FileNotFoundError, VtlabError) as error:
            if names:
                raise
            print(f"skipped: {LACKING.format(error)}", flush=True)
        print(f"({time.perf_counter() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
