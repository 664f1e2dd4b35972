"""The command on a decision from few labels: verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import FORMAT_WORDS, Json
from vtlab.cli.output import escape, print_json, stderr, stdout
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.decision import Verdict
    from vtlab.tracks import Tracks

TRUTH = "truth"
"""Name of the folder of truth, which is no tracker."""


def verdict(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Results of two trackers or more: files such as runs/*/street.parquet, of several videos such as "
            "runs/*/*.parquet (folder: tracker, name: video), or a folder for each tracker."
        ),
    ],
    *,
    file: Annotated[
        Path, typer.Option("--file", help="JSON file that holds the question and follows the labels.")
    ] = Path("verdict.json"),
    video: Annotated[
        list[str] | None,
        typer.Option(
            help="The video, to write the frames to label; of several, each, or the folder that holds them by name."
        ),
    ] = None,
    frames: Annotated[
        Path, typer.Option(help="Folder for the frames to label and their prompts file, one a video in it.")
    ] = Path("to_label"),
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="Labels: a prompts file, .parquet, or any format of --as; of several videos, each by its name, or "
            "the folder of --frames."
        ),
    ] = None,
    absent: Annotated[
        list[str] | None, typer.Option(help="Frames on which nothing is there: 12,40, or street:12,40.")
    ] = None,
    unsure: Annotated[
        list[str] | None, typer.Option(help="Frames of which you can't tell: 7, or street:7.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--as", help=f"Format of results and labels: {FORMAT_WORDS}.")
    ] = None,
    within: Annotated[float, typer.Option(help="How far below the best still is good enough.")] = 0.02,
    level: Annotated[float, typer.Option(help="Confidence.")] = 0.95,
    budget: Annotated[int, typer.Option(help="Labels at most.")] = 80,
    seed: Annotated[int, typer.Option(help="Of the draw of the frames.")] = 0,
    guarantee: Annotated[
        bool | None, typer.Option(help="Prove the answer by a bet; by default for a strict winner of 2 or 3.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="iou, success, precision, J, within or detection.")
    ] = None,
    count_absent: Annotated[
        str | None, typer.Option(help="What an absent object counts: judged, excluded or missed.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="Write which tracker to deploy, as one page with all that repeats it: .html, .md, .json."
        ),
    ] = None,
    max_ms: Annotated[
        float | None, typer.Option(help="For the card: milliseconds that 95 of 100 frames may take.")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(help="For the card: MB that the tracker may add.")] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="For the card: code and weights must allow commercial use.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="For the card: cpu, cuda or mps.")] = None,
    as_json: Json = False,
) -> None:
    """Tell which tracker is good enough on your video or videos, from labels on few frames that are chosen for you.

    Each call reads the labels, says what is known, and writes the frames to label next. Label them without looking at any
    tracker's answer: in the prompts file beside them, or in a file of your tool.

    [bold]Examples[/]

      vtlab verdict runs/*/street.parquet --video street.mp4

      vtlab verdict runs/*/street.parquet --video street.mp4 --labels to_label/labels.json --absent 212

      vtlab verdict runs/*/street.parquet --card decision.md --max-ms 40 --commercial

      vtlab verdict runs/csrt runs/kcf --video videos/ --labels to_label --absent street:212
    """
    import vtlab
    from vtlab.decision.clips import with_footage
    from vtlab.files import check_place

    if card is not None:
        check_place(card, (".html", ".htm", ".md", ".json"))
    elif commercial or (max_ms, max_mb, device) != (None, None, None):
        raise InputError(
            "--max-ms, --max-mb, --commercial and --device are limits for a choice: name its --card."
        )
    files = [f for p in results for f in (_inside(p) if p.is_dir() else [p])]
    answers = _answers([f for f in files if f.parent.name != TRUTH], layout)
    found = vtlab.verdict(
        answers,
        within=within,
        level=level,
        budget=budget,
        seed=seed,
        guarantee=guarantee,
        metric=metric,
        absent=count_absent,  # type: ignore[arg-type]
        labels=_truth([f for f in files if f.parent.name == TRUTH], answers, layout),
        file=file,
    )
    names = list(found.clips)
    if video:
        found.clips = with_footage(found.clips, {name: _video(video, name, len(names)) for name in names})
    gone, open_ones = _numbers(absent, "--absent", names), _numbers(unsure, "--unsure", names)
    given = _labels(labels or [], names, layout)
    for name in names:
        if name in given or name in gone or name in open_ones:
            found.add(given.get(name), clip=name, absent=gone.get(name, ()), unsure=open_ones.get(name, ()))
    asked = {name: [f for clip, f in found.next() if clip == name] for name in names}
    if any(asked.values()) and video:
        _write(found, asked, frames)
    _show(found, asked, as_json)
    if card is not None:
        licence: Any = "commercial" if commercial else None
        decision = vtlab.decide(found, budget_ms=max_ms, memory_mb=max_mb, licence=licence, device=device)
        place = decision.save(card)
        stderr().print(escape(f"{decision.sentence} Card: {place}"), highlight=False, soft_wrap=True)


def _write(found: Verdict, asked: dict[str, list[int]], frames: Path) -> None:
    """Write the frames to label, in a folder of its own for each of several videos."""
    from vtlab.decision import sheet

    for name, clip in found.clips.items():
        if asked[name] and clip.video is not None:
            sheet.write(found.next(), clip, clip.video, frames if len(found.clips) == 1 else frames / name)
    each = "there" if len(found.clips) == 1 else "in the folder of each video there"
    stderr().print(f"Frames to label: {escape(str(frames))}; labels go to {sheet.LABELS} {each}.")


def _video(given: list[str], name: str, count: int) -> str:
    """The video of a clip: the only one, or the one of its name among those given or in a folder."""
    if count == 1 and len(given) == 1:
        return given[0]
    inside = [str(p) for g in given if Path(g).is_dir() for p in sorted(Path(g).iterdir())]
    named = [v for v in (*given, *inside) if name in (Path(v).stem, Path(v).name)]
    if len(named) != 1:
        raise InputError(
            f"--video: there {'is no video' if not named else 'are several videos'} named {name!r} among "
            f"{', '.join(given)}. Give one --video for each of the results' names, or the folder that holds them."
        )
    return named[0]


def _show(found: Verdict, asked: dict[str, list[int]], as_json: bool) -> None:
    table = found.table
    if as_json:
        print_json(
            {
                "state": found.state,
                "chosen": found.chosen,
                "sentence": found.sentence,
                "label": asked if len(asked) > 1 else next(iter(asked.values())),
                "outlook": {str(more): half for more, half in found.outlook.items()},
                "table": table.reset_index().to_dict("records"),
                "notes": found.notes,
            }
        )
        return
    from vtlab.decision.section import board

    shown = replace(board(found), caption=" ".join(found.notes))
    if not table["value"].notna().any():
        shown = replace(shown, given=shown.frame[["group", "beaten by"]])
    stdout().print(shown.to_rich())
    stdout().print(found.sentence, highlight=False)
    for name, frames in asked.items():
        if frames:
            of = "" if len(asked) == 1 else f" of {name}"
            stdout().print(f"Frames{of} (from 0): {', '.join(map(str, frames))}", highlight=False)


def _answers(files: list[Path], layout: str | None) -> dict[str, Any]:
    """{tracker: tracks} of one video, or {video: {tracker: tracks}}.

    Files of one video are told apart by the part of their path that differs; where every folder holds the same names, and
    more than one, folders are trackers and names are videos.
    """
    from vtlab.decision import sheet

    of: dict[str, dict[str, Path]] = {}
    for f in files:
        of.setdefault(f.stem, {})[f.parent.name] = f
    trackers = {frozenset(mine) for mine in of.values()}
    if len(of) > 1 and max(map(len, trackers)) > 1:
        if len(trackers) > 1 or sum(map(len, of.values())) < len(files):
            counts = ", ".join(f"{name}: {', '.join(mine)}" for name, mine in of.items())
            raise InputError(f"Every video needs results of the same trackers, each once, found {counts}.")
        return {name: {t: sheet.read(p, layout) for t, p in mine.items()} for name, mine in of.items()}
    for part in (lambda p: p.stem, lambda p: p.parent.name, str):
        names: list[Any] = [part(p) for p in files]
        if len(set(names)) == len(names):
            return {n: sheet.read(p, layout) for n, p in zip(names, files, strict=True)}
    raise InputError("One file of results is given twice.")


def _truth(files: list[Path], answers: dict[str, Any], layout: str | None) -> Any:
    """The truth that `Comparison.save` writes beside the trackers' folders, as labels; None for none."""
    from vtlab.decision import sheet

    of = {f.stem: sheet.read(f, layout) for f in files}
    if not of:
        return None
    several = isinstance(next(iter(answers.values())), dict)
    return {name: t for name, t in of.items() if name in answers} if several else next(iter(of.values()))


def _inside(folder: Path) -> list[Path]:
    """The files of results in a tracker's folder."""
    found = [
        p
        for p in sorted(folder.iterdir())
        if p.is_file() and p.suffix in (".parquet", ".txt", ".csv", ".json")
    ]
    if not found:
        raise InputError(
            f"{folder}: holds no results (.parquet, .txt, .csv, .json). Give files or other folders."
        )
    return found


def _labels(paths: list[Path], names: list[str], layout: str | None) -> dict[str, Tracks]:
    """Labels by video: the only file, or files by their names or in folders of these names."""
    from vtlab.decision import sheet

    found = {}
    for path in paths:
        if len(names) == 1:
            found[names[0]] = sheet.read(path / sheet.LABELS if path.is_dir() else path, layout)
            continue
        files = [path] if not path.is_dir() else [*path.glob(f"*/{sheet.LABELS}"), *path.glob("*.*")]
        for file in files:
            for name in {file.stem, file.parent.name} & set(names):
                found[name] = sheet.read(file, layout)
    if paths and not found:
        raise InputError(
            f"--labels: nothing in {', '.join(map(str, paths))} has the name of a video: {', '.join(names)}."
        )
    return found


def _numbers(given: list[str] | None, option: str, names: list[str]) -> dict[str, list[int]]:
    """Frames by video from texts such as "12,40" or "street:12,40"."""
    out: dict[str, list[int]] = {}
    for text in given or ():
        name, _, cells = text.rpartition(":")
        if not name and len(names) > 1:
            raise InputError(f"{option} {text!r}: of which video? Write {names[0]}:{text}.")
        if name and name not in names:
            raise InputError(f"{option} {text!r}: there is no video {name!r}. Known: {', '.join(names)}.")
        try:
            frames = [int(cell) for cell in cells.split(",") if cell.strip()]
        except ValueError:
            raise InputError(f"{option} {text!r}: expected numbers of frames separated by commas.") from None
        out.setdefault(name or names[0], []).extend(frames)
    return out
