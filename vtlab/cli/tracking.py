"""Commands that run trackers: track, compare, profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.options import (
    FORMAT_WORDS,
    Boxes,
    Json,
    OldRule,
    OnFrame,
    Params,
    Points,
    PromptFile,
    Rule,
    StreamNumber,
    Texts,
    integers_of,
    params_of,
    prompts_of,
    rule_of,
)
from vtlab.cli.output import escape, print_facts, print_json, print_rows, progress_bar, stderr, stdout
from vtlab.errors import InputError, Interrupted, TrackingError, VtlabError

if TYPE_CHECKING:
    from vtlab.comparison import Comparison


def track(
    video: Annotated[str, typer.Argument(help="Video file, image folder, glob, or http/rtsp address.")],
    *,
    tracker: Annotated[str, typer.Option("--tracker", "-t", help="Name, or path/to/file.py:Class.")] = "csrt",
    prompts: PromptFile = None,
    box: Boxes = None,
    point: Points = None,
    text: Texts = None,
    frame: OnFrame = 0,
    stream: StreamNumber = None,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "forward",
    start: Annotated[int | None, typer.Option(help="First frame that may be tracked.")] = None,
    stop: Annotated[int | None, typer.Option(help="Frame before which tracking ends.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Tracks to write: .parquet, .json, .csv, .xml (CVAT), ...")
    ] = Path("tracks.parquet"),
    render: Annotated[
        Path | None, typer.Option(help="Also write a video with the tracks drawn (.mp4).")
    ] = None,
    param: Params = None,
    as_json: Json = False,
) -> None:
    """Track objects through a video. 'vtlab info TRACKER' explains the parameters that --param takes.

    [bold]Examples[/]

      vtlab track street.mp4 -t nanotrack-v2 --box 40,30,120,200 --render street_tracked.mp4

      vtlab track street.mp4 -t bytetrack -P detector=hog-people -P post=interpolate_gaps -o people.parquet

      vtlab track street.mp4 -t bytetrack -P detector=owlv2 --text "yellow taxi" -o taxis.parquet
      vtlab track clip.mp4 -t my_tracker.py:MyTracker -p prompts.json --direction both
    """
    from vtlab.files import check_place
    from vtlab.formats import by_ending
    from vtlab.trackers.loop import track as run_track
    from vtlab.video import open_video

    by_ending(check_place(out))
    if render is not None:
        check_place(render, (".mp4",))
    given = prompts_of(prompts, box, point, frame, text)
    footage = open_video(video, stream=stream)
    try:
        with progress_bar(tracker) as report:
            tracks = run_track(
                footage,
                given,
                tracker,
                direction=direction,  # type: ignore[arg-type]
                start=start,
                stop=stop,
                progress=report,
                **params_of(param),
            )
    except (TrackingError, Interrupted) as error:
        if error.tracks is not None and len(error.tracks):
            error.tracks.save(out)
            stderr().print(f"[yellow]What was tracked is in {out}.[/]")
        raise
    tracks.save(out)
    _show_run(tracks, out, render, as_json)
    if render is not None:
        _render(footage, tracks, render)


def compare(
    video: Annotated[
        str, typer.Argument(help="Video file, image folder, glob, or a sequence folder with --as.")
    ],
    *,
    trackers: Annotated[
        str, typer.Option("--trackers", "-t", help="Names separated by commas.")
    ] = "csrt,kcf,ncc",
    prompts: PromptFile = None,
    box: Boxes = None,
    point: Points = None,
    text: Texts = None,
    frame: OnFrame = 0,
    stream: StreamNumber = None,
    truth: Annotated[Path | None, typer.Option(help="Ground-truth tracks (.parquet).")] = None,
    layout: Annotated[
        str | None, typer.Option("--as", help=f"Read the folder in this format: {FORMAT_WORDS}.")
    ] = None,
    rule: Rule = None,
    protocol: OldRule = None,
    budget_ms: Annotated[
        float | None,
        typer.Option("--budget", help="Milliseconds that a choice may take on 95 of 100 frames."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    side_by_side: Annotated[Path | None, typer.Option(help="Write a side-by-side video (.mp4).")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for scores, table and all tracks.")] = None,
    as_json: Json = False,
) -> None:
    """Compare trackers on a video: quality, speed and memory in one table.

    Without --truth nobody is best: the table shows what is seen (where trackers call themselves lost, how far they agree).

    [bold]Examples[/]

      vtlab compare street.mp4 -t csrt,kcf,nanotrack-v2 --box 40,30,120,200 --report report.html

      vtlab compare street.mp4 -t csrt,kcf,nanotrack-v2 --box 40,30,120,200 --budget 40

      vtlab compare OTB/Crossing --as otb -t csrt,nanotrack-v2
    """
    from vtlab.comparison import compare as run_compare
    from vtlab.files import check_folder, check_place

    for place in (report, side_by_side):
        if place is not None:
            check_place(place, (".html", ".htm") if place is report else (".mp4",))
    if save is not None:
        check_folder(save)
    given = prompts_of(prompts, box, point, frame, text)
    subject = _subject(video, layout, stream)
    names = [name.strip() for name in trackers.split(",") if name.strip()]
    console = stderr()
    try:
        result = run_compare(
            subject,
            names,
            prompts=given if len(given) else None,
            truth=truth,
            rule=rule_of(rule, protocol),
            budget_ms=budget_ms,
            progress=lambda line: console.print(f"[dim]{escape(line)}[/]", highlight=False),
        )
    except Interrupted as error:
        console.print(f"[yellow]{escape(str(error))}[/]", highlight=False)
        if error.comparison is not None:
            _show_comparison(error.comparison, as_json)
            _write_comparison({"Results": (save, error.comparison.save)})
        raise
    _show_comparison(result, as_json)
    places: dict[str, tuple[Path | None, Callable[[Path], Path]]] = {
        "Results": (save, result.save),
        "Report": (report, result.report),
        "Video": (side_by_side, result.save_video),
    }
    _write_comparison(places)
    if all(r.tracks is None for r in result.runs):
        raise typer.Exit(1)


def profile(
    video: Annotated[str, typer.Argument(help="Video file, image folder or glob.")],
    *,
    tracker: Annotated[str, typer.Option("--tracker", "-t", help="Name, or path/to/file.py:Class.")] = "csrt",
    prompts: PromptFile = None,
    box: Boxes = None,
    point: Points = None,
    frame: OnFrame = 0,
    frames: Annotated[int | None, typer.Option(help="Frame before which to stop; the whole video.")] = None,
    warmup: Annotated[int, typer.Option(help="Steps after the first that don't count.")] = 0,
    budget_ms: Annotated[
        float | None, typer.Option("--budget", help="Milliseconds that a frame may take.")
    ] = None,
    objects: Annotated[
        str | None, typer.Option(help="Numbers of objects to measure with, such as 1,4,16.")
    ] = None,
    stream: StreamNumber = None,
    param: Params = None,
    as_json: Json = False,
) -> None:
    """Measure what a tracker costs on this machine: milliseconds with bounds, missed deadlines, memory and its growth.

    [bold]Example[/]

      vtlab profile street.mp4 -t kcf --box 40,30,120,200 --budget 40 --objects 1,4,16
    """
    from vtlab.show.board import Board
    from vtlab.trackers.profiling import profile as run_profile

    given = prompts_of(prompts, box, point, frame)
    made = run_profile(
        tracker,
        _subject(video, None, stream),
        given if len(given) else None,
        frames=frames,
        warmup=warmup,
        budget_ms=budget_ms,
        objects=integers_of(objects, "--objects"),
        **params_of(param),
    )
    if as_json:
        print_json(made.facts())
        return
    title = f"{made.tracker}: milliseconds of a frame"
    stdout().print(Board(made.table, title, "Each of low and high holds with 95 %.").to_rich())
    for note in made.notes:
        stdout().print(note, highlight=False)


def _show_comparison(result: Comparison, as_json: bool) -> None:
    if as_json:
        print_rows(result.table)
        return
    for family in result.families:
        stdout().print(result.board(family).to_rich())
    for sentence in result.answer():
        stdout().print(sentence, highlight=False)


def _write_comparison(places: Mapping[str, tuple[Path | None, Callable[[Path], Path]]]) -> None:
    """Write what was asked for; what fails doesn't keep the others from being written."""
    failed: list[VtlabError] = []
    for what, (place, write) in places.items():
        if place is None:
            continue
        try:
            stderr().print(f"{what}: {escape(str(write(place)))}", highlight=False, soft_wrap=True)
        except VtlabError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _render(video: Any, tracks: Any, path: Path) -> None:
    from vtlab.show import draw
    from vtlab.video import write_video

    write_video(path, (draw.overlay(f.image, tracks, f.index, trail=15) for f in video.frames()), video.fps)


def _show_run(tracks: Any, out: Path, render: Path | None, as_json: bool) -> None:
    from vtlab.trackers.measure import speed

    facts = {
        "tracker": tracks.name,
        "out": str(out),
        "frames": len(tracks.frames),
        "objects": len(tracks.object_ids),
        "rows": len(tracks),
        "visible": float(tracks.visible.mean()) if len(tracks) else 0.0,
        **speed([tracks]),
    }
    if render is not None:
        facts["video"] = str(render)
    print_json(facts) if as_json else print_facts(tracks.name, facts)


def _subject(video: str, layout: str | None, stream: int | None) -> Any:
    """What trackers are compared on: the sequences of a folder, or a video."""
    if layout is None:
        from vtlab.video import open_video

        return video if stream is None else open_video(video, stream=stream)
    if stream is not None:
        raise InputError("--stream chooses a video of a file, so it doesn't go with --as.")
    from vtlab.datasets import open_dataset

    return open_dataset(video, layout)
