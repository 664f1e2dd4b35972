"""Write docs/results.md from docs/ledger.csv: `python .ci/results_page.py` (`--check` only compares)."""

from __future__ import annotations

import sys
from pathlib import Path

from vtlab.experiments.ledger import page, published, read_ledger

DOCS = Path(__file__).parents[1] / "docs"


def main() -> int:
    """Write the page, or with `--check` say whether it is up to date."""
    text, target = page(read_ledger(DOCS / "ledger.csv"), published()), DOCS / "results.md"
    if "--check" in sys.argv:
        return 0 if target.is_file() and target.read_text(encoding="utf-8") == text else 1
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
