"""The command line: `vtlab track | compare | evaluate | trackers | detectors | weights | info | doctor | run | ...`.

Results go to standard output (`--json` for scripts), progress and messages to standard error. Exit codes: 0 done,
1 an error of the input or the set-up, 2 wrong usage, 3 stopped half-way with the partial result kept, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.errors import InputError, TrackingError, VtlabError

if TYPE_CHECKING:
    from rich.console import Console

    from vtlab.prompts import Prompts

app = typer.Typer(
    name="vtlab",
    help="Compare video trackers of every kind behind one API, and label video with them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(help="Official checkpoints: list, fetch, verify, path.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

_WORDS = "otb, got10k, lasot, vot, mot17, mots, davis, vtlab, ...; 'vtlab convert --list' lists all"
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PromptFile = Annotated[
    Path | None, typer.Option("--prompts", "-p", help="A prompt set (JSON), as Prompts.save writes it.")
]
Boxes = Annotated[
    list[str] | None,
    typer.Option("--box", "-b", help="A box x1,y1,x2,y2 in pixels; repeat for more objects."),
]
Points = Annotated[list[str] | None, typer.Option("--point", help="A point x,y to follow; repeat for more.")]
OnFrame = Annotated[int, typer.Option("--frame", "-f", help="Frame (from 0) of --box and --point.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-P", help="A parameter of the tracker, NAME=VALUE; repeat for more."),
]


def main() -> None:
    """Run the command line; errors that a user can cause are printed as one message without a traceback."""
    try:
        app()
    except VtlabError as error:
        _stderr().print(f"[bold red]Error:[/] {_escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(3 if isinstance(error, TrackingError) else 1)
    except KeyboardInterrupt:
        _stderr().print("[yellow]Interrupted.[/]")
        sys.exit(130)


@app.command()
def track(
    video: Annotated[str, typer.Argument(help="Video file, image folder, glob, or http/rtsp address.")],
    tracker: Annotated[str, typer.Option("--tracker", "-t", help="Name, or path/to/file.py:Class.")] = "csrt",
    prompts: PromptFile = None,
    box: Boxes = None,
    point: Points = None,
    frame: OnFrame = 0,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "forward",
    start: Annotated[int | None, typer.Option(help="First frame that may be tracked.")] = None,
    stop: Annotated[int | None, typer.Option(help="Frame before which tracking ends.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Tracks to write: .parquet or .csv.")] = Path(
        "tracks.parquet"
    ),
    render: Annotated[
        Path | None, typer.Option(help="Also write a video with the tracks drawn (.mp4).")
    ] = None,
    param: Params = None,
    as_json: Json = False,
) -> None:
    """Track objects through a video.

    [bold]Examples[/]

      vtlab track street.mp4 -t nanotrack-v2 --box 40,30,120,200 --render street_tracked.mp4

      vtlab track street.mp4 -t bytetrack -P detector=hog-people -P post=interpolate_gaps -o people.parquet

      vtlab track clip.mp4 -t my_tracker.py:MyTracker -p prompts.json --direction both
    """
    from vtlab.trackers.loop import track as run_track
    from vtlab.video import open_video

    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out {out}: the suffix must be .parquet or .csv.")
    given = _prompts(prompts, box, point, frame)
    footage = open_video(video)
    try:
        with _progress(tracker) as report:
            tracks = run_track(
                footage,
                given,
                tracker,
                direction=direction,  # type: ignore[arg-type]
                start=start,
                stop=stop,
                progress=report,
                **_params(param),
            )
    except (TrackingError, KeyboardInterrupt) as error:
        partial = getattr(error, "tracks", None)
        if partial is not None and len(partial):
            _write_tracks(partial, out)
            _stderr().print(f"[yellow]What was tracked is in {out}.[/]")
        raise
    _write_tracks(tracks, out)
    if render is not None:
        _render(footage, tracks, render)
    _show_run(tracks, out, render, as_json)


@app.command()
def compare(
    video: Annotated[
        str, typer.Argument(help="Video file, image folder, glob, or a sequence folder with --as.")
    ],
    trackers: Annotated[
        str, typer.Option("--trackers", "-t", help="Names separated by commas.")
    ] = "csrt,kcf,ncc",
    prompts: PromptFile = None,
    box: Boxes = None,
    point: Points = None,
    frame: OnFrame = 0,
    truth: Annotated[Path | None, typer.Option(help="Ground-truth tracks (.parquet).")] = None,
    layout: Annotated[
        str | None, typer.Option("--as", help=f"Read the folder in this format: {_WORDS}.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Benchmark rule, such as otb or got10k.")] = None,
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

    Without --truth, only proxies are measured: forward-backward consistency and agreement between trackers.

    [bold]Examples[/]

      vtlab compare street.mp4 -t csrt,kcf,nanotrack-v2 --box 40,30,120,200 --report report.html

      vtlab compare street.mp4 -t csrt,kcf,nanotrack-v2 --box 40,30,120,200 --budget 40

      vtlab compare OTB/Crossing --as otb -t csrt,nanotrack-v2
    """
    from vtlab.comparison import compare as run_compare

    given = _prompts(prompts, box, point, frame)
    subject: Any = _sequences(video, layout) if layout else video
    names = [name.strip() for name in trackers.split(",") if name.strip()]
    console = _stderr()
    result = run_compare(
        subject,
        names,
        prompts=given if len(given) else None,
        truth=truth,
        protocol=protocol,
        budget_ms=budget_ms,
        progress=lambda line: console.print(f"[dim]{_escape(line)}[/]", highlight=False),
    )
    if report is not None:
        result.report(report)
        console.print(f"Report: {report}")
    if side_by_side is not None:
        result.save_video(side_by_side)
        console.print(f"Video: {side_by_side}")
    if save is not None:
        console.print(f"Results: {result.save(save)}")
    if as_json:
        _print_json(json.loads(result.table.reset_index().to_json(orient="records")))
        return
    for family in result.families:
        _stdout().print(result.board(family).to_rich())
    for sentence in result.answer():
        _stdout().print(sentence, highlight=False)
    if all(r.tracks is None for r in result.runs):
        raise typer.Exit(1)


@app.command()
def evaluate(
    truth: Annotated[
        Path, typer.Option(help="Ground truth: a folder in the layout of --as, or .parquet tracks.")
    ],
    tracks: Annotated[
        Path, typer.Option(help="Results: a folder in the layout of --as, or .parquet tracks.")
    ],
    layout: Annotated[
        str,
        typer.Option(
            "--as",
            help=f"Format of both: {_WORDS}.",
        ),
    ] = "vtlab",
    protocol: Annotated[
        str | None, typer.Option(help="Another rule of the same family, such as pysot for --as otb.")
    ] = None,
    missing: Annotated[
        str, typer.Option(help="What to do about sequences without a result: error, or skip.")
    ] = "error",
    first_frame: Annotated[int, typer.Option(help="First frame in MOTChallenge results: 1, or 0.")] = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; by default as many as pay.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table: .parquet, .csv or .tex.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure results against ground truth.

    [bold]Examples[/]

      vtlab evaluate --truth MOT17/train --tracks results/ --as mot17

      vtlab evaluate --truth truth.parquet --tracks tracks.parquet
    """
    from vtlab.benchmark import evaluate_folders

    result = evaluate_folders(
        truth,
        tracks,
        layout,
        protocol=protocol,
        missing=missing,
        first_frame=first_frame,
        workers=workers,
    )
    for note in result.notes:
        _stderr().print(note, highlight=False)
    if out is not None:
        result.save(out)
        _stderr().print(f"Table: {out}")
    if as_json:
        _print_json(json.loads(result.table.reset_index().to_json(orient="records")))
    else:
        _stdout().print(result.to_rich())


def _list_formats(asked: bool) -> None:
    if not asked:
        return
    from rich.table import Table

    from vtlab.formats import FORMATS

    table = Table("name", "also", "family", "on disk", title=f"Formats ({len(FORMATS)})")
    for form in FORMATS.values():
        table.add_row(form.name, " ".join(form.rules), form.family, _escape(form.summary))
    _stdout().print(table)
    raise typer.Exit


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="Folder at any level above the sequences, or one file.", metavar="IN")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    to: Annotated[str, typer.Option("--to", help=f"Format to write: {_WORDS}.")],
    layout: Annotated[
        str | None, typer.Option("--from", help="Format to read; by default it is told by its look.")
    ] = None,
    results: Annotated[
        bool, typer.Option("--results", help="IN holds results of trackers, not truth.")
    ] = False,
    as_json: Json = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the formats.", callback=_list_formats, is_eager=True)
    ] = False,
) -> None:
    """Write truth or results of one format in another, and say what the other can't hold.

    [bold]Examples[/]

      vtlab convert MOT17/train runs/mot17 --to vtlab

      vtlab convert runs/comparison runs/texts --results --from vtlab --to otb
    """
    from vtlab.formats import convert as run_convert

    done = run_convert(source, out, to, layout=layout, results=results)
    for name, lost in done.losses.items():
        _stderr().print(f"[yellow]{_escape(name)}:[/] {done.target} can't hold {_escape(', '.join(lost))}")
    facts = {"from": done.source, "to": done.target, "files": [str(p) for p in done.written]}
    if as_json:
        _print_json({**facts, "losses": {k: list(v) for k, v in done.losses.items()}})
    else:
        _stderr().print(f"{done.source} -> {done.target}: {len(done.written)} files in {out}")


@app.command()
def trackers(
    family: Annotated[str | None, typer.Argument(help="sot, mot, vos, points or multi.")] = None,
    as_json: Json = False,
) -> None:
    """List the trackers: family, prompts taken, outputs, licence, weights."""
    from vtlab.registry import TRACKERS

    _cards(TRACKERS.cards(family), as_json, "Trackers")


@app.command()
def detectors(as_json: Json = False) -> None:
    """List the detectors and associators."""
    from vtlab.registry import ASSOCIATORS, DETECTORS

    if as_json:
        _print_json([_card(c) for r in (DETECTORS, ASSOCIATORS) for c in r.cards()])
        return
    _cards(DETECTORS.cards(), False, "Detectors")
    _cards(ASSOCIATORS.cards(), False, "Associators")


@app.command()
def segmenters(as_json: Json = False) -> None:
    """List the segmenters, which turn boxes and clicks on an image into masks."""
    from vtlab.registry import SEGMENTERS

    _cards(SEGMENTERS.cards(), as_json, "Segmenters")


@app.command()
def info(
    subject: Annotated[
        str, typer.Argument(help="A tracker's name, a video, a prompt file (.json) or tracks (.parquet).")
    ],
    as_json: Json = False,
) -> None:
    """Say what is known of a tracker, a video, a prompt set or a tracks file."""
    from vtlab.prompts import Prompts
    from vtlab.registry import TRACKERS
    from vtlab.tracks import Tracks
    from vtlab.video import open_video

    facts: dict[str, Any]
    if subject in TRACKERS.names() or ".py:" in subject:
        from vtlab.registry import defaults

        card, cls = TRACKERS.card(subject), TRACKERS.find(subject)
        facts = {**_card(card), "parameters": {**defaults(cls), **card.options}}
    elif subject.endswith(".json"):
        found = Prompts.load(subject)
        facts = {"prompts": len(found), "objects": list(found.object_ids), "frames": list(found.frames)}
    elif subject.endswith(".parquet"):
        tracks = Tracks.load(subject)
        facts = {
            "rows": len(tracks),
            "objects": tracks.object_ids.tolist(),
            "frames": len(tracks.frames),
            **tracks.meta,
        }
    elif Path(subject).exists() or "://" in subject or any(c in subject for c in "*?["):
        video = open_video(subject)
        facts = {"name": video.name, "width": video.width, "height": video.height, "fps": video.fps}
        if "://" not in subject:
            facts |= {"frames": len(video), "seconds": round(video.duration, 3), "digest": video.digest()}
    else:
        raise InputError(
            f"{subject!r} is neither a tracker (see 'vtlab trackers') nor an existing video, .json or .parquet file."
        )
    _print_json(facts) if as_json else _facts(subject, facts)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the set-up: packages, OpenCV's build, weights, GPU; say what to do about what is missing."""
    from vtlab.deploy.doctor import examine

    checks = examine()
    if as_json:
        _print_json([c.__dict__ for c in checks])
    else:
        from rich.table import Table

        table = Table("", "check", "found", "remedy", title="vtlab doctor")
        marks = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "wrong": "[red]wrong[/]"}
        for c in checks:
            table.add_row(marks[c.state], c.name, _escape(c.found), _escape(c.remedy))
        _stdout().print(table)
    if any(c.state == "wrong" for c in checks):
        raise typer.Exit(1)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="An experiment, such as experiments/quick.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the runs (default: experiments/runs).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Run again what is finished.")] = False,
    as_json: Json = False,
) -> None:
    """Run a batch experiment (a grid of notebooks) and print its leaderboard; finished cells are not run again.

    [bold]Example[/]

      vtlab run experiments/quick.yaml
    """
    from vtlab.experiments import leaderboard, run_experiment
    from vtlab.show.board import Board

    console = _stderr()
    with _progress(spec.stem, "run") as report:
        store = run_experiment(spec, out, force=force, progress=report)
    table = leaderboard(store.results())
    if as_json:
        _print_json(json.loads(table.reset_index().to_json(orient="records")))
    else:
        _stdout().print(Board(table, spec.stem).to_rich())
        console.print(f"Runs: {store.folder}")
    failed = store.failed()
    for cell in failed:
        console.print(f"[red]failed[/] {_escape(cell)}", highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the report and the executed notebook.")
    ] = Path("runs/demo"),
) -> None:
    """Run the quick-start notebook: four families compared on a synthetic and a real clip; leaves a report to open."""
    from vtlab.experiments import run_notebook

    root = _repository()
    report = (out / "report.html").resolve()
    console = _stderr()
    console.print("Running notebooks/00_quickstart.ipynb (about a minute) ...")
    run_notebook(
        root / "notebooks" / "00_quickstart.ipynb", out / "00_quickstart.ipynb", {"OUT": str(out.resolve())}
    )
    console.print(f"[bold green]Done.[/] Open [bold]{report}[/]")


@app.command()
def export(
    tracker: Annotated[str, typer.Argument(help="Tracker whose network is exported.")],
    out: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    check: Annotated[bool, typer.Option(help="Run the file with onnxruntime and compare.")] = True,
    param: Params = None,
) -> None:
    """Export a tracker's network to ONNX with a dynamic batch.

    [bold]Example[/]

      vtlab export transt out.onnx

      vtlab export transt out.onnx -P weights=my_transt.pth
    """
    from vtlab.deploy.export import export as run_export

    done = run_export(tracker, out, check=check, **_params(param))
    for kind, tensors in (("Input", done.inputs), ("Output", done.outputs)):
        for name, shape in tensors.items():
            _stderr().print(f"{kind}: {name} ({', '.join(map(str, shape))})", highlight=False)
    if done.difference:
        _stderr().print(f"ONNX Runtime differs from PyTorch by {max(done.difference.values()):.1e} at most.")
    _stderr().print(f"Written: {out}")


@weights_app.command("list")
def weights_list(as_json: Json = False) -> None:
    """List the official checkpoints and which of them are on this machine."""
    from vtlab.weights import list_weights

    _weights(list_weights(), as_json)


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str], typer.Argument(help="Files, or trackers, detectors and segmenters for theirs.")
    ],
) -> None:
    """Download checkpoints and check their sha256."""
    from vtlab.weights import fetch

    for name in _weight_names(names):
        _stdout().print(str(fetch(name)), highlight=False, soft_wrap=True)


@weights_app.command("verify")
def weights_verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Files, trackers, detectors or segmenters; all that are present by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the sha256 of the files on this machine; exit code 1 if one is wrong or a named one is missing."""
    from vtlab.weights import list_weights, verify

    chosen = _weight_names(names) if names else [s.file.name for s in list_weights() if s.path is not None]
    states = [verify(name) for name in chosen]
    _weights(states, as_json)
    if any(s.state in ("wrong", "missing") for s in states):
        raise typer.Exit(1)


@weights_app.command("path")
def weights_path(name: Annotated[str, typer.Argument(help="File.")]) -> None:
    """Print where a checkpoint lies, or where to put it; exit code 1 if it is missing."""
    from vtlab.weights import locate, place

    found = locate(name)
    _stdout().print(str(found or place(name)), highlight=False, soft_wrap=True)
    if found is None:
        raise typer.Exit(1)


# -- input -----------------------------------------------------------------------------------------------------


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        values = tuple(float(v) for v in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise InputError(f"{option} {text!r}: expected {count} numbers separated by commas.")
    return values


def _prompts(file: Path | None, boxes: list[str] | None, points: list[str] | None, frame: int) -> Prompts:
    from vtlab.prompts import BoxPrompt, PointPrompt, Prompt, Prompts

    found: list[Prompt] = list(Prompts.load(file)) if file is not None else []
    next_id = max((p.object_id for p in found), default=0) + 1
    for text in boxes or ():
        found.append(BoxPrompt(_numbers(text, 4, "--box"), object_id=next_id, frame=frame))  # type: ignore[arg-type]
        next_id += 1
    if points:
        xy = [_numbers(text, 2, "--point") for text in points]
        found.append(PointPrompt(xy, object_id=next_id, frame=frame))  # type: ignore[arg-type]
    return Prompts(found)


def _params(items: list[str] | None) -> dict[str, Any]:
    import yaml

    params = {}
    for item in items or ():
        name, found, value = item.partition("=")
        if not found:
            raise InputError(f"--param {item!r}: expected NAME=VALUE.")
        params[name] = yaml.safe_load(value)
    return params


def _sequences(folder: str, layout: str) -> Any:
    from vtlab.datasets import open_dataset

    return open_dataset(folder, layout)


def _weight_names(names: list[str]) -> list[str]:
    """Files; a name may also be that of a part, which stands for its files, if it has any."""
    from vtlab.registry import REGISTRIES

    files = []
    for name in names:
        parts = [r.card(name) for r in REGISTRIES if name in r.names()]
        files += [file.name for part in parts for file in part.weights] if parts else [name]
    return list(dict.fromkeys(files))


def _repository() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / "notebooks").is_dir():
        raise InputError(
            "The notebooks are not part of an installed package: run this in a clone of vtlab's repository."
        )
    return root


# -- output ----------------------------------------------------------------------------------------------------


def _stdout() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _print_json(value: Any) -> None:
    from vtlab.provenance import plain

    sys.stdout.write(json.dumps(plain(value), indent=1) + "\n")


@contextmanager
def _progress(name: str, unit: str = "frame") -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr(), transient=True) as bar:
        task = bar.add_task(_escape(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _write_tracks(tracks: Any, out: Path) -> None:
    tracks.save(out) if out.suffix == ".parquet" else tracks.save_csv(out)


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
    _print_json(facts) if as_json else _facts(tracks.name, facts)


def _facts(title: str, facts: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=_escape(title), show_header=False)
    for name, value in facts.items():
        text = (
            f"{value:.3f}"
            if isinstance(value, float)
            else json.dumps(value)
            if isinstance(value, (dict, list))
            else str(value)
        )
        table.add_row(name, _escape(text))
    _stdout().print(table)


def _card(card: Any) -> dict[str, Any]:
    return {
        "name": card.name,
        "family": card.family,
        "summary": card.summary,
        "accepts": sorted(k.kind for k in card.accepts),
        "emits": sorted(card.emits),
        "paper": card.paper,
        "code": card.code,
        "licence": card.licence,
        "requires": card.requires,
        "weights": [w.name for w in card.weights],
        "notice": card.notice,
    }


def _cards(cards: list[Any], as_json: bool, title: str) -> None:
    if as_json:
        _print_json([_card(c) for c in cards])
        return
    from rich.table import Table

    console = _stdout()
    table = Table(title=f"{title} ({len(cards)})")
    wide = console.width >= 110
    for name in ("name", "family", "prompts", "licence", "needs", *(("what it is",) if wide else ())):
        table.add_column(name, no_wrap=name in ("name", "family"))
    for c in sorted(cards, key=lambda c: (c.family, c.name)):
        needs = [f"vtlab[{c.requires}]" if c.requires else "", "weights" if c.weights else ""]
        row = [
            c.name,
            c.family,
            " ".join(_card(c)["accepts"]),
            c.licence.split(" (")[0],
            _escape(" ".join(filter(None, needs))),
        ]
        table.add_row(*row, *([_escape(c.summary)] if wide else []))
    console.print(table)


def _weights(states: Any, as_json: bool) -> None:
    rows = [
        {
            "file": s.file.name,
            "state": s.state,
            "size": s.file.size,
            "used by": list(s.users),
            "licence": s.file.licence,
            "sha256": s.file.sha256,
            "path": str(s.path) if s.path else None,
            "url": s.file.url,
        }
        for s in states
    ]
    if as_json:
        _print_json(rows)
        return
    from rich.table import Table

    table = Table("file", "state", "MB", "used by", "licence", title="Weights")
    colours = {"ok": "green", "present": "green", "missing": "yellow", "wrong": "red"}
    for r in rows:
        size = f"{r['size'] / 1e6:.1f}" if r["size"] else "?"
        state = f"[{colours[r['state']]}]{r['state']}[/]"
        table.add_row(r["file"], state, size, ", ".join(r["used by"]), r["licence"])
    _stdout().print(table)


def _quiet_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    _stderr().print(
        f"[yellow]{category.__name__}:[/] {_escape(str(message))}", highlight=False, soft_wrap=True
    )


warnings.showwarning = _quiet_warning  # type: ignore[assignment]

if __name__ == "__main__":
    main()
