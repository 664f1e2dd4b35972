"""Run benchmarks: `python -m benchmarks` for all, `python -m benchmarks NAME ... [OPTIONS]` for some.

Everything from the first word that begins with a dash on goes to each of the named benchmarks.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from itertools import takewhile

import benchmarks


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
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
