"""Run benchmarks: `python -m benchmarks` for all, `python -m benchmarks NAME ...` for some."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main() -> None:
    known = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    names = sys.argv[1:] or known
    for name in names:
        if name not in known:
            sys.exit(f"Unknown benchmark {name!r}. Known: {', '.join(known)}.")
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
