"""Write the table of docs/trackers.md from the cards: `python .ci/trackers_page.py` (`--check` only compares)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vtlab.contracts import Card
from vtlab.metrics.families import FAMILIES
from vtlab.registry import TRACKERS

PAGE = Path(__file__).parents[1] / "docs" / "trackers.md"
TITLES = {**{code: family.short for code, family in FAMILIES.items()}, "multi": "compositions"}


def table() -> str:
    """The table of trackers in Markdown, one row for the variants of a method."""
    groups: dict[tuple[object, ...], list[Card]] = {}
    for card in sorted(TRACKERS.cards(), key=lambda c: (list(TITLES).index(c.family), c.name)):
        method = (TRACKERS.find(card.name), card.paper_url, card.name.split("-")[0])
        groups.setdefault((*method, card.licence, card.requires, bool(card.weights)), []).append(card)
    lines = ["| tracker | family | prompts | needs | licence | what it is |", "|---|---|---|---|---|---|"]
    return "\n".join(lines + [row(cards) for cards in groups.values()])


def row(cards: list[Card]) -> str:
    """The row of a method: the names of its variants, and what is said of the first."""
    card = cards[0]
    link = card.paper_url or card.code
    cells = [
        ", ".join([f"[{card.name}]({link})" if link else card.name, *(c.name for c in cards[1:])]),
        TITLES[card.family],
        ", ".join(sorted(k.kind for k in card.accepts))
        or " ".join(["none", *(f"(or {k})" for k in sorted(k.kind for k in card.optional))]),
        " ".join(
            filter(None, [f"`[{card.requires}]`" if card.requires else "", "weights" if card.weights else ""])
        ),
        card.licence.split(" (")[0],
        card.summary,
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def updated(text: str) -> str:
    """The page with a new table."""
    pattern = r"(<!-- trackers: .*? -->\n).*?(<!-- /trackers -->)"
    return re.sub(pattern, lambda m: m[1] + table() + "\n" + m[2], text, flags=re.S)


def main() -> None:
    """Write the table, or with --check compare it."""
    old = PAGE.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv:
        sys.exit(0 if old == new else "docs/trackers.md is out of date: python .ci/trackers_page.py")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
