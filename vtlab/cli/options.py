"""Options and arguments that commands share, and what they mean."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.errors import InputError, VtlabWarning

if TYPE_CHECKING:
    from vtlab.prompts import Prompts

FORMAT_WORDS = "otb, got10k, lasot, vot, mot17, mots, davis, vtlab, ...; 'vtlab list formats' lists all"
Rule = Annotated[
    str | None,
    typer.Option("--rule", help="How it is counted, such as otb, pysot or got10k; default: the format's."),
]
OldRule = Annotated[str | None, typer.Option("--protocol", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PromptFile = Annotated[
    Path | None, typer.Option("--prompts", "-p", help="A prompt set (JSON), as Prompts.save writes it.")
]
Boxes = Annotated[
    list[str] | None,
    typer.Option("--box", "-b", help="A box x1,y1,x2,y2 in pixels; repeat for more objects."),
]
Points = Annotated[list[str] | None, typer.Option("--point", help="A point x,y to follow; repeat for more.")]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        help="Words for what to find, as 'yellow taxi', for trackers that read text; repeat for more.",
    ),
]
OnFrame = Annotated[int, typer.Option("--frame", "-f", help="Frame (from 0) of --box, --point and --text.")]
StreamNumber = Annotated[
    int | None, typer.Option("--stream", help="Number of the video, of a file that holds several.")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-P", help="A parameter of the tracker, NAME=VALUE; repeat for more."),
]


def prompts_of(
    file: Path | None,
    boxes: list[str] | None,
    points: list[str] | None,
    frame: int,
    texts: list[str] | None = None,
) -> Prompts:
    """The prompts of a file and of --box, --point and --text; objects without a number are counted on."""
    from vtlab.prompts import BoxPrompt, PointPrompt, Prompt, Prompts, TextPrompt

    found: list[Prompt] = list(Prompts.load(file)) if file is not None else []
    next_id = max((p.object_id for p in found), default=0) + 1
    for text in boxes or ():
        found.append(BoxPrompt(_numbers(text, 4, "--box"), object_id=next_id, frame=frame))  # type: ignore[arg-type]
        next_id += 1
    if points:
        xy = [_numbers(text, 2, "--point") for text in points]
        found.append(PointPrompt(xy, object_id=next_id, frame=frame))  # type: ignore[arg-type]
        next_id += 1
    for number, words in enumerate(texts or (), next_id):
        found.append(TextPrompt(words, object_id=number, frame=frame))
    return Prompts(found)


def params_of(items: list[str] | None) -> dict[str, Any]:
    """Parameters from NAME=VALUE, values as YAML reads them."""
    if items:
        from vtlab.files import read_yaml

    params = {}
    for item in items or ():
        name, found, value = item.partition("=")
        if not found:
            raise InputError(f"--param {item!r}: expected NAME=VALUE.")
        params[name] = read_yaml(value, f"--param {item[:60]!r}", InputError)
    return params


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        values = tuple(float(v) for v in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise InputError(f"{option} {text!r}: expected {count} numbers separated by commas.")
    return values


def integers_of(text: str | None, option: str, what: str = "whole numbers") -> list[int]:
    """Whole numbers separated by commas; `option` and `what` are for the message."""
    try:
        return [int(cell) for cell in (text or "").split(",") if cell.strip()]
    except ValueError:
        raise InputError(f"{option} {text!r}: expected {what} separated by commas.") from None


def rule_of(rule: str | None, protocol: str | None) -> str | None:
    """The rule by its present or its old option, which goes in version 0.3."""
    if protocol is not None:
        warnings.warn(
            "--protocol is now --rule; the old option goes in version 0.3.", VtlabWarning, stacklevel=2
        )
    return rule if rule is not None else protocol
