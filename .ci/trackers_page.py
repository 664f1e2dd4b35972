"""Write the tables of trackers (docs/trackers.md) and detectors (docs/association.md) from their cards.

`python .ci/trackers_page.py` writes them, `--check` only compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from vtlab.contracts import Card
from vtlab.metrics.families import FAMILIES
from vtlab.registry import DETECTORS, TRACKERS, needed

DOCS = Path(__file__).parents[1] / "docs"
TITLES = {**{code: family.short for code, family in FAMILIES.items()}, "multi": "compositions"}


def trackers() -> str:
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
    names = ", ".join([linked(card), *(c.name for c in cards[1:])])
    prompts = ", ".join(sorted(k.kind for k in card.accepts)) or " ".join(
        ["none", *(f"(or {k})" for k in sorted(k.kind for k in card.optional))]
    )
    return cells(names, TITLES[card.family], prompts, needs(card), card.licence.split(" (")[0], card.summary)


def detectors() -> str:
    """The table of detectors in Markdown."""
    lines = ["| detector | gives | needs | licence | what it is |", "|---|---|---|---|---|"]
    for card in DETECTORS.cards():
        gives = ", ".join(sorted(card.emits))
        given = [name for name in needed(DETECTORS.find(card.name)) if name not in card.options]
        asked = " ".join(f"`{name}=`" for name in given)
        lines.append(cells(linked(card), gives, f"{needs(card)} {asked}".strip(), card.licence, card.summary))
    return "\n".join(lines)


def linked(card: Card) -> str:
    """A card's name, with the address of its paper or code where there is one."""
    link = card.paper_url or card.code
    return f"[{card.name}]({link})" if link else card.name


def needs(card: Card) -> str:
    """What a part needs: an extra, weights."""
    return " ".join(
        filter(None, [f"`[{card.requires}]`" if card.requires else "", "weights" if card.weights else ""])
    )


def cells(*texts: str) -> str:
    """A row of a table."""
    return "| " + " | ".join(text.replace("|", "/") for text in texts) + " |"


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "trackers": ("trackers.md", trackers),
    "detectors": ("association.md", detectors),
}
"""Mark of a table -> its page in docs, what makes it."""


def updated(text: str, mark: str, table: Callable[[], str]) -> str:
    """The page with a new table between its marks."""
    pattern = rf"(<!-- {mark}: .*? -->\n).*?(<!-- /{mark} -->)"
    changed, n = re.subn(pattern, lambda m: m[1] + table() + "\n" + m[2], text, flags=re.S)
    if n != 1:
        sys.exit(f"docs: the marks <!-- {mark}: ... --> and <!-- /{mark} --> are not there once")
    return changed


def main() -> None:
    """Write the tables, or with --check compare them."""
    for mark, (name, table) in TABLES.items():
        old = (DOCS / name).read_text(encoding="utf-8")
        new = updated(old, mark, table)
        if "--check" in sys.argv and old != new:
            sys.exit(f"docs/{name} is out of date: python .ci/trackers_page.py")
        if old != new:
            (DOCS / name).write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
