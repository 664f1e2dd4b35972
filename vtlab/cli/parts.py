"""Commands on the parts of vtlab and their conformance: list, info, check."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from vtlab.cli.options import Json, Params, params_of
from vtlab.cli.output import escape, print_facts, print_json, stdout
from vtlab.cli.shelf import facts_of
from vtlab.errors import InputError, near

LISTS = ("trackers", "detectors", "associators", "segmenters", "formats")


def list_(
    what: Annotated[str, typer.Argument(help=f"{', '.join(LISTS)}.")] = "trackers",
    family: Annotated[
        str | None, typer.Option(help="Those of one family: sot, mot, vos, points or multi.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the trackers, detectors, associators, segmenters or formats: what each takes and gives, licence, weights.

    [bold]Examples[/]

      vtlab list

      vtlab list trackers --family mot

      vtlab list formats
    """
    if what not in LISTS:
        raise InputError(f"There is no list of {what!r}. {near(what, LISTS)}")
    found: list[dict[str, Any]]
    if what == "formats":
        from vtlab.formats import FORMATS

        found = [
            {"name": f.name, "also": list(f.rules), "family": f.family, "on disk": f.summary}
            for f in FORMATS.values()
        ]
    else:
        found = facts_of(what, card_facts)
    chosen = [part for part in found if family in (None, part["family"])]
    if not chosen:
        raise InputError(
            f"No {what} of the family {family!r}. {near(str(family), {f['family'] for f in found})}"
        )
    if as_json:
        print_json(chosen)
    else:
        (_formats if what == "formats" else _cards)(chosen, what.capitalize())


def info(
    subject: Annotated[
        str,
        typer.Argument(
            help="A tracker, detector, associator or segmenter (name, or file.py:Class), a video, a prompt file (.json) "
            "or tracks (.parquet)."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say what is known of a part and its parameters, a video, a prompt set or a tracks file."""
    from vtlab.registry import REGISTRIES

    if ".py:" in subject or any(subject in registry.names() for registry in REGISTRIES):
        facts = part_facts(subject)
    elif subject.endswith(".json"):
        facts = _of_prompts(subject)
    elif subject.endswith(".parquet"):
        facts = _of_tracks(subject)
    elif Path(subject).exists() or "://" in subject or any(c in subject for c in "*?["):
        facts = _of_video(subject)
    else:
        raise InputError(
            f"{subject!r} is neither a tracker, detector, associator or segmenter (see 'vtlab list trackers', 'vtlab list "
            "detectors' and so on) nor an existing video, .json or .parquet file."
        )
    if as_json:
        print_json(facts)
        return
    meaning = facts.pop("meaning", {})
    for name in facts.get("parameters") or ():
        meaning.setdefault(name, "")
    print_facts(subject, facts)
    if meaning:
        print_facts("parameters", {k: v for k, v in meaning.items() if k in facts["parameters"]})


def check(
    kind: Annotated[str, typer.Argument(help="tracker, detector, associator, segmenter, format or host.")],
    spec: Annotated[str, typer.Argument(help="A name, or path/to/file.py:NAME; of a host its name.")],
    *,
    param: Params = None,
    video: Annotated[
        str | None,
        typer.Option(
            help="Of a detector: footage with what it finds; the default is a drawn person who walks."
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Of a host: address of the server under test.")] = None,
    token: Annotated[str | None, typer.Option(help="Of a host: the server's token.")] = None,
    fake_port: Annotated[int, typer.Option(help="Of a host: port of the fake host; 0 = a free one.")] = 0,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML, too.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a part, your own above all, everything that vtlab relies on; exit code 1 if it fails a check.

    Of a host, a server is asked everything that this annotation tool relies on, vtlab's or anybody's.

    [bold]Examples[/]

      vtlab check tracker my_tracker.py:MyTracker

      vtlab check detector my_detector.py:MyDetector --video street.mp4

      vtlab check host supervisely --url http://127.0.0.1:8000 --fake-port 8801
    """
    from vtlab.testing import CONTRACTS
    from vtlab.testing.junit import write_junit

    if video is not None and kind != "detector":
        raise InputError(f"--video is for a detector; the checks of a {kind} have footage of their own.")
    if kind == "host":
        results = _of_host(spec, url, {"token": token, "fake_port": fake_port, **params_of(param)})
    elif kind not in CONTRACTS:
        raise InputError(f"There is no contract of a {kind!r}. Known: {', '.join((*CONTRACTS, 'host'))}.")
    else:
        contract = CONTRACTS[kind].on(video=video) if video is not None else CONTRACTS[kind]
        results = contract.results(spec, **params_of(param))
    if junit is not None:
        write_junit(junit, f"{kind} {spec}", results)
    if as_json:
        print_json([r.__dict__ for r in results])
    else:
        from rich.table import Table

        table = Table("", "check", "why", title=escape(f"{kind} {spec}"))
        marks = {"pass": "[green]pass[/]", "fail": "[red]fail[/]", "skip": "[yellow]skip[/]"}
        for r in results:
            table.add_row(marks[r.state], escape(r.check), escape(r.why))
        stdout().print(table)
    states = {r.state for r in results}
    if "fail" in states or "pass" not in states:
        raise typer.Exit(1)


def _of_host(name: str, url: str | None, params: dict[str, Any]) -> list[Any]:
    """What a host's kit says of the server at an address."""
    from vtlab.testing.hosts.kits import KITS

    if name not in KITS:
        raise InputError(f"There is no kit of a host {name!r}. {near(name, KITS)}")
    if url is None:
        raise InputError(f"vtlab check host {name} needs --url, the address of the server under test.")
    return list(KITS[name].results(name, url=url, **params))


def part_facts(subject: str) -> dict[str, Any]:
    """Cards of the parts of a name or a `file.py:Class`, the values of their parameters, and what these mean.

    A name that is several parts' (an associator is a tracker, too) has the facts of the first.
    """
    from vtlab.registry import ASSOCIATORS, REGISTRIES, TRACKERS, load_file

    function = load_file(subject, "part") if ".py:" in subject else None
    if inspect.isfunction(function):
        what = (
            f"{function.__name__}{inspect.signature(function)}: {inspect.getdoc(function) or 'no docstring'}"
        )
        return {
            "name": subject,
            "is": f"a function {what}",
            "goes as": f"a detector, a segmenter or an embedder, such as -P detector={subject}",
            "must answer": "see 'vtlab info callable'; 'vtlab check detector FILE.py:NAME' asks it",
        }
    named = [r for r in REGISTRIES if ".py:" not in subject and subject in r.names()]
    registry = named[0] if named else TRACKERS  # a class in a file has its card, whatever it is
    card, cls = registry.card(subject), registry.find(subject)
    parameters, meaning = parameters_of(cls, card)
    if registry is TRACKERS and (
        associator := card.options.get("associator")
    ):  # it takes what the tracker hands on
        more = parameters_of(ASSOCIATORS.find(associator), ASSOCIATORS.card(associator))
        parameters, meaning = parameters | more[0], meaning | more[1]
    return {**card_facts(card), "parameters": parameters, "meaning": meaning}


def parameters_of(cls: type, card: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters of a part's constructor: name -> value unless another is given, name -> what it means."""
    from vtlab.registry import defaults

    known = inspect.signature(cls).parameters.values()
    names = [p.name for p in known if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    values = {**dict.fromkeys(names, "(must be given)"), **defaults(cls), **card.options}
    said = [inspect.getdoc(c) or "" for c in (*reversed(cls.__mro__), *reversed(_settings(cls)))]
    texts = {name: text for doc in said for name, text in _arguments(doc).items()}
    return values, {name: texts.get(name, "") for name in names}


def _settings(cls: type) -> tuple[type, ...]:
    """The dataclasses in which an associator's parameters are documented."""
    settings = getattr(cls, "Settings", None)
    return settings.__mro__ if isinstance(settings, type) else ()


def _arguments(doc: str) -> dict[str, str]:
    """Name -> text of the sections "Args" and "Attributes" of a docstring."""
    found: dict[str, str] = {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE):
        for name, text in re.findall(r"^    (\w+): ((?:.*\n?)(?:^ {8}.*\n?)*)", section, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _of_prompts(subject: str) -> dict[str, Any]:
    from vtlab.prompts import Prompts

    found = Prompts.load(subject)
    return {"prompts": len(found), "objects": list(found.object_ids), "frames": list(found.frames)}


def _of_tracks(subject: str) -> dict[str, Any]:
    from vtlab.tracks import Tracks

    tracks = Tracks.load(subject)
    objects = tracks.object_ids.tolist()
    return {"rows": len(tracks), "objects": objects, "frames": len(tracks.frames), **tracks.meta}


def _of_video(subject: str) -> dict[str, Any]:
    from vtlab.video import open_video

    video = open_video(subject)
    facts = {"name": video.name, "width": video.width, "height": video.height, "fps": video.fps}
    if "://" in subject:
        return facts
    return facts | {"frames": len(video), "seconds": round(video.duration, 3), "digest": video.digest()}


def _cards(cards: list[dict[str, Any]], title: str) -> None:
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    # A line below the heading and blanks between columns, in any encoding: cells that are padded take twice as long.
    lines = Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)
    table = Table(title=f"{title} ({len(cards)})", box=lines, padding=0)
    # Most characters of a column, the longest that is common, so that the rest of a line is left to what a part is.
    most = {"name": None, "family": None, "prompts": 14, "licence": 12, "needs": 22}
    rows = [_row(c) for c in sorted(cards, key=lambda c: (c["family"], c["name"]))]
    wide = console.width >= 110
    for k, (name, limit) in enumerate(most.items()):
        longest = max(len(text) for text in (name, *(row[k] for row in rows)))
        # Where a line holds them all, a width is given: `rich` measures every cell, which takes a fifth of the command.
        width = min(limit or longest, longest) if wide else None
        table.add_column(name, width=width, no_wrap=limit is None, max_width=limit)
    if wide:
        table.add_column("what it is")
    for row in rows:
        table.add_row(*map(Text, row if wide else row[:-1]))  # as text, no markup is looked for in it
    console.print(table)


def _row(card: dict[str, Any]) -> tuple[str, ...]:
    """What the table says of a card, its summary last."""
    needs = [f"vtlab[{card['requires']}]" if card["requires"] else "", "weights" if card["weights"] else ""]
    return (
        card["name"],
        card["family"],
        " ".join(card["accepts"]),
        card["licence"].split(" (")[0],
        " ".join(filter(None, needs)),
        card["summary"],
    )


def _formats(rows: list[dict[str, Any]], title: str) -> None:
    from rich.table import Table

    table = Table("name", "also", "family", "on disk", title=f"{title} ({len(rows)})")
    for row in rows:
        table.add_row(row["name"], " ".join(row["also"]), row["family"], escape(row["on disk"]))
    stdout().print(table)


def card_facts(card: Any) -> dict[str, Any]:
    """Every field of a card, its classes by their names."""
    facts = {f.name: getattr(card, f.name) for f in fields(card)}
    return facts | {
        "accepts": sorted(k.kind for k in card.accepts),
        "optional": sorted(k.kind for k in card.optional),
        "emits": sorted(card.emits),
        "weights": [w.name for w in card.weights],
    }
