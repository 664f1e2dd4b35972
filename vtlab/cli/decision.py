"""The command on a decision from few labels: verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import FORMAT_WORDS, Json, integers_of
from vtlab.cli.output import escape, print_json, stderr, stdout
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.decision import Verdict
    from vtlab.tracks import Tracks


def verdict(
    results: Annotated[
        list[Path],
        typer.Argument(help="Results of two trackers or more on one video, such as runs/*/street.parquet."),
    ],
    *,
    file: Annotated[
        Path, typer.Option("--file", help="JSON file that holds the question and follows the labels.")
    ] = Path("verdict.json"),
    video: Annotated[str | None, typer.Option(help="The video, to write the frames to label.")] = None,
    frames: Annotated[
        Path, typer.Option(help="Folder for the frames to label and their prompts file.")
    ] = Path("to_label"),
    labels: Annotated[
        Path | None, typer.Option(help="Labels: a prompts file, .parquet, or any format of --as.")
    ] = None,
    absent: Annotated[
        str | None, typer.Option(help="Frames on which nothing is there, such as 12,40.")
    ] = None,
    unsure: Annotated[str | None, typer.Option(help="Frames of which you can't tell, such as 7.")] = None,
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
    as_json: Json = False,
) -> None:
    """Tell which tracker is good enough on your video, from labels on few frames that are chosen for you.

    Each call reads the labels, says what is known, and writes the frames to label next. Label them without looking at any
    tracker's answer: in the prompts file beside them, or in a file of your tool.

    [bold]Examples[/]

      vtlab verdict runs/*/street.parquet --video street.mp4

      vtlab verdict runs/*/street.parquet --video street.mp4 --labels to_label/labels.json --absent 212
    """
    import vtlab
    from vtlab.decision import sheet

    found = vtlab.verdict(
        _named(results, layout),
        within=within,
        level=level,
        budget=budget,
        seed=seed,
        guarantee=guarantee,
        metric=metric,
        file=file,
    )
    if labels is not None or absent or unsure:
        given = None if labels is None else sheet.read(labels, layout)
        found.add(
            given,
            absent=integers_of(absent, "--absent", "frames"),
            unsure=integers_of(unsure, "--unsure", "frames"),
        )
    asked = [frame for _, frame in found.next()]
    if asked and video is not None:
        from vtlab.video import open_video

        clip = next(iter(found.clips.values()))
        sheet.write(found.next(), clip, open_video(video), frames)
        stderr().print(f"Frames to label: {escape(str(frames))}; labels go to {sheet.LABELS} there.")
    _show(found, asked, as_json)


def _show(found: Verdict, asked: list[int], as_json: bool) -> None:
    table = found.table
    if as_json:
        print_json(
            {
                "state": found.state,
                "chosen": found.chosen,
                "sentence": found.sentence,
                "label": asked,
                "table": table.reset_index().to_dict("records"),
                "notes": found.notes,
            }
        )
        return
    from vtlab.show.board import Board

    shown = table if found.standing() is not None else table[["group", "beaten_by"]]
    stdout().print(Board(shown, found.measure.text, " ".join(found.notes), None).to_rich())
    stdout().print(found.sentence, highlight=False)
    if asked:
        stdout().print(f"Frames (from 0): {', '.join(map(str, asked))}", highlight=False)


def _named(paths: list[Path], layout: str | None) -> dict[str, Tracks]:
    """Tracks by the part of their path that tells them apart: the file's name, or the folder's."""
    from vtlab.decision import sheet

    for name in (lambda p: p.stem, lambda p: p.parent.name, str):
        names: list[Any] = [name(p) for p in paths]
        if len(set(names)) == len(names):
            return {n: sheet.read(p, layout) for n, p in zip(names, paths, strict=True)}
    raise InputError("One file of results is given twice.")


COMMANDS = (verdict,)
