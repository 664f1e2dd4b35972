"""CPU seconds of `import vtlab`, `vtlab --help` and `vtlab list trackers`, beyond those of a bare interpreter.

Beside them stand the packages that commands can't do without: Typer, what it reads options with (pydantic), and Rich. Where
Python may keep no compiled code (PYTHONDONTWRITEBYTECODE) every start compiles all of it anew; the title says so.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

ROUNDS = 7
COMMAND = "import sys; sys.argv = ['vtlab', {}]; from vtlab.cli import main; main()"
CASES = {
    "import vtlab": ("import vtlab", 0.05),
    "vtlab --help": (COMMAND.format("'--help'"), 0.1),
    "vtlab list trackers": (COMMAND.format("'list', 'trackers'"), 0.2),
    "peer: import typer": ("import typer", None),
    "peer: import pydantic": ("from pydantic import TypeAdapter", None),
    "peer: import rich.table": ("import rich.table", None),
}
SPENT = "import resource as r; u = r.getrusage(r.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"


def cpu(source: str) -> float:
    """CPU seconds of a fresh interpreter that runs `source`."""
    script = f"try:\n    exec({source!r})\nexcept SystemExit:\n    pass\n{SPENT}"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return float(out.split()[-1])


def main() -> None:
    bare = statistics.median(cpu("pass") for _ in range(ROUNDS))
    kept = "no compiled code is kept" if sys.dont_write_bytecode else "compiled code is kept"
    table = Table(title=f"start-up, CPU seconds, median of {ROUNDS}; bare interpreter {bare:.3f}; {kept}")
    for column in ("", "beyond bare", "target"):
        table.add_column(column, justify="right")
    for name, (source, target) in CASES.items():
        cpu(source)  # what the first start keeps for the next
        spent = statistics.median(cpu(source) for _ in range(ROUNDS)) - bare
        told = "" if target is None else f"{target} ({'within' if spent <= target else 'ABOVE'})"
        table.add_row(name, f"{spent:.3f}", told)
    Console().print(table)


if __name__ == "__main__":
    main()
