"""Write the README's table of trackers from their cards: `python .ci/readme_table.py` (`--check` only compares)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vtlab.registry import TRACKERS

README = Path(__file__).parents[1] / "README.md"
TITLES = {"sot": "boxes", "mot": "by detection", "vos": "masks", "points": "points", "multi": "compositions"}


def table() -> str:
    """The table of trackers in Markdown."""
    lines = ["| tracker | family | prompts | needs | licence | what it is |", "|---|---|---|---|---|---|"]
    for card in sorted(TRACKERS.cards(), key=lambda c: (list(TITLES).index(c.family), c.name)):
        needs = [f"`[{card.requires}]`" if card.requires else "", "weights" if card.weights else ""]
        prompts = ", ".join(sorted(k.kind for k in card.accepts)) or "none"
        name = f"[{card.name}]({card.paper_url or card.code})" if card.paper_url or card.code else card.name
        row = [
            name,
            TITLES[card.family],
            prompts,
            " ".join(filter(None, needs)),
            card.licence.split(" (")[0],
            card.summary,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """The README with a new table."""
    pattern = r"(<!-- trackers: .*? -->\n).*?(<!-- /trackers -->)"
    return re.sub(pattern, lambda m: m[1] + table() + "\n" + m[2], text, flags=re.S)


def main() -> None:
    """Write the table, or with --check compare it."""
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv:
        sys.exit(
            0 if old == new else "README.md: the table of trackers is out of date: python .ci/readme_table.py"
        )
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
