"""CPU seconds of `import vtlab` and `vtlab --help`, beyond those of a bare interpreter in the same run.

Targets: 0.3 s and 0.5 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

ROUNDS = 7
CASES = {
    "import vtlab": ("import vtlab", 0.3),
    "vtlab --help": ("import sys; sys.argv = ['vtlab', '--help']; from vtlab.cli import main; main()", 0.5),
}
SPENT = "import resource as r; u = r.getrusage(r.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"


def cpu(source: str) -> float:
    """CPU seconds of a fresh interpreter that runs `source`."""
    script = f"try:\n    exec({source!r})\nexcept SystemExit:\n    pass\n{SPENT}"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return float(out.split()[-1])


def main() -> None:
    bare = statistics.median(cpu("pass") for _ in range(ROUNDS))
    table = Table(title=f"start-up, CPU seconds, median of {ROUNDS}; bare interpreter {bare:.3f}")
    for column in ("", "beyond bare", "target"):
        table.add_column(column, justify="right")
    for name, (source, target) in CASES.items():
        spent = statistics.median(cpu(source) for _ in range(ROUNDS)) - bare
        table.add_row(name, f"{spent:.3f}", f"{target} ({'within' if spent <= target else 'ABOVE'})")
    Console().print(table)


if __name__ == "__main__":
    main()
