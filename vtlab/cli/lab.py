"""Experiments on the command line: vtlab lab run | status | show | diff | gc, vtlab run, which is the first of them, and
vtlab apply, which labels many videos on the same engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtlab.cli.experiments import demo, reproduce
from vtlab.cli.options import Json
from vtlab.cli.output import escape, print_facts, print_json, print_rows, progress_bar, stderr, stdout
from vtlab.errors import InputError

if TYPE_CHECKING:
    from vtlab.engine.loop import Progress
    from vtlab.experiments import Store

lab = typer.Typer(name="lab", help="Run experiments, and read what came of them.", no_args_is_help=True)

Spec = Annotated[Path, typer.Argument(help="An experiment, such as experiments/quick.yaml.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of all runs (default: runs beside the file).")
]


def run(
    spec: Spec,
    out: Out = None,
    *,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Cells at once on this machine.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="A SLURM cluster's YAML file, or a dask scheduler's address."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Cells to execute at most.")] = None,
    retry: Annotated[str, typer.Option("--retry", help="'failed' or 'all': execute those again.")] = "",
    as_json: Json = False,
) -> None:
    """Run an experiment and print its leaderboard; what has a result is not run again.

    Exit code 1 if a cell failed.

    [bold]Example[/]

      vtlab lab run experiments/quick.yaml --jobs 2
    """
    from vtlab.experiments import run_experiment

    _check_retry(retry)
    with _watched(spec.stem) as report:
        store = run_experiment(
            spec,
            out,
            jobs=jobs,
            cluster=cluster,
            limit=limit,
            retry=retry,  # type: ignore[arg-type]
            progress=report,
        )
    _print(store, as_json)
    if store.failures():
        raise typer.Exit(1)


def apply(
    pipeline: Annotated[Path, typer.Argument(help="What is done with each video, such as pipeline.yaml.")],
    videos: Annotated[
        list[str], typer.Argument(help="Videos, folders of images, and folders that hold such.")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the labels, the results and the summary.")
    ] = Path("runs/apply"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Videos at once on this machine.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="A SLURM cluster's YAML file, or a dask scheduler's address."),
    ] = None,
    retry: Annotated[str, typer.Option("--retry", help="'failed' or 'all': label those again.")] = "",
    as_json: Json = False,
) -> None:
    """Label many videos by one pipeline; labels are written as each video ends, and what has a result is not labelled again.

    Exit code 1 if a video failed.

    [bold]Examples[/]

      vtlab apply pipeline.yaml clips --out labelled --jobs 4

      vtlab apply pipeline.yaml clips --out labelled --retry failed
    """
    from vtlab.experiments import apply_pipeline

    _check_retry(retry)
    with _watched(pipeline.stem, "video") as report:
        found = apply_pipeline(
            pipeline,
            videos,
            out,
            jobs=jobs,
            cluster=cluster,
            retry=retry,  # type: ignore[arg-type]
            progress=report,
        )
    if as_json:
        print_rows(found.summary.set_index("video"))
    else:
        stdout().print(found.board.to_rich())
    for row in found.failed.itertuples():
        stderr().print(
            f"[red]failed[/] {escape(f'{row.video}: {row.reason}')}", highlight=False, soft_wrap=True
        )
    stderr().print(f"Labels and summary: {escape(str(found.folder))}", highlight=False, soft_wrap=True)
    if len(found.failed):
        raise typer.Exit(1)


def _check_retry(retry: str) -> None:
    if retry not in ("", "failed", "all"):
        raise InputError(f"--retry takes 'failed' or 'all', got {retry!r}.")


@contextmanager
def _watched(name: str, what: str = "cell") -> Iterator[Callable[[Progress], Any]]:
    with progress_bar(name, what) as bar:
        yield lambda told: bar(told.ended, told.total, "; ".join(list(told.running)[:4]))


def status(spec: Spec, out: Out = None, as_json: Json = False) -> None:
    """Say how far an experiment is: cells done, failed, at work and to do."""
    from vtlab.engine.claims import Claims

    store = _store(spec, out)
    held = [c for c in Claims(store.folder).held() if store.cells is None or c.key in store.cells]
    done, failed = store.keys(), store.failures()
    total = len(store.cells or {})
    facts = {
        "cells": total,
        "done": len(done),
        "failed": len(failed),
        "at work": len(held),
        "to do": total - len(done) - len(failed) - len(held),
        "of older specifications": len(store.archive.done()) - len(done),
    }
    if as_json:
        print_json({**facts, "running": [vars(c) for c in held], "reasons": store.failed()})
        return
    print_facts(str(store.folder), facts)
    for claim in held:
        cell = (store.cells or {})[claim.key][0]
        stdout().print(
            escape(f"at work: {cell} on {claim.machine}, process {claim.process}, since {claim.since}")
        )
    _failures(store)


def show(
    spec: Spec,
    out: Out = None,
    *,
    by: Annotated[list[str] | None, typer.Option("--by", help="Tell rows apart by this axis too.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the tables as Markdown.")] = None,
    videos: Annotated[
        bool, typer.Option("--videos", help="For the page: a video of each clip, its trackers side by side.")
    ] = False,
    latex: Annotated[Path | None, typer.Option("--latex", help="Write the tables for a paper.")] = None,
    as_json: Json = False,
) -> None:
    """Show the leaderboard of an experiment, and write its report."""
    from vtlab.experiments import report
    from vtlab.experiments.videos import side_by_side
    from vtlab.files import write_whole

    store, told = _store(spec, out), tuple(by or ())
    if html is not None:
        made = side_by_side(store) if videos else {}
        report.page(store, told, beside=html, videos=made).write(html)
    for path, form in ((markdown, "to_markdown"), (latex, "to_latex")):
        if path is not None:
            write_whole(path, "\n".join(getattr(board, form)() for board in report.boards(store, told)))
    _print(store, as_json, told)


def diff(
    before: Annotated[Path, typer.Argument(help="An experiment, or a folder of its results.")],
    after: Annotated[Path | None, typer.Argument(help="The later one; with --since none.")] = None,
    since: Annotated[str, typer.Option("--since", help="A day such as 2026-11-20: what changed since.")] = "",
    as_json: Json = False,
) -> None:
    """Say what changed between two results, beyond noise: paired over scenes, adjusted over trackers."""
    from vtlab.experiments import report
    from vtlab.show.board import Board

    if (after is None) != bool(since):
        raise InputError("Give two experiments (or folders of results), or one and --since DAY.")
    first = _store(before, None)
    pair = report.since(first, since) if after is None else (first.results(), _store(after, None).results())
    table = report.changes(*pair)
    if as_json:
        print_rows(table)
    else:
        stdout().print(
            Board(table, "What changed", "p: adjusted over trackers (Holm); noise: p above .05.").to_rich()
        )


def gc(
    spec: Spec,
    out: Out = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; else only say what would be removed.")] = False,
) -> None:
    """Remove results of cells that are no longer in the specification, and what runs that ended left behind."""
    from vtlab.engine.claims import Claims

    store = _store(spec, out)
    known = set(store.cells or {})
    old = (store.archive.done() | store.archive.failures().keys()) - known
    if not yes:
        stdout().print(f"{len(old)} results of older specifications would be removed; --yes does it.")
        return
    with Claims(store.folder) as claims:
        claims.sweep()
        store.archive.recover(lambda run: not claims.alive(run))
        freed = store.archive.drop(old)
    stdout().print(f"{len(old)} results of older specifications removed, {freed / 2**20:.1f} MB.")


def _store(spec: Path, out: Path | None) -> Store:
    """The store of a specification, or of a folder of results."""
    from vtlab.experiments import Store, load_experiment

    if spec.is_dir():
        return Store(spec)
    experiment = load_experiment(spec)
    return Store.of(experiment, (out or experiment.folder / "runs") / experiment.name)


def _print(store: Store, as_json: bool, by: tuple[str, ...] = ()) -> None:
    from vtlab.experiments import leaderboard
    from vtlab.experiments.report import boards

    console = stderr()
    _failures(store)
    if not store.keys():
        console.print("No cell has finished, so there are no results.")
    elif as_json:
        print_rows(leaderboard(store.results(), by))
    else:
        for board in boards(store, by):
            stdout().print(board.to_rich())
    console.print(f"Runs: {escape(str(store.folder))}", highlight=False, soft_wrap=True)


def _failures(store: Store) -> None:
    for line in store.failed():
        stderr().print(f"[red]failed[/] {escape(line)}", highlight=False, soft_wrap=True)


def learn(
    spec: Spec,
    out: Out = None,
    *,
    to: Annotated[Path, typer.Option("--to", help="Where to write the evidence.")] = Path("evidence.json"),
    as_json: Json = False,
) -> None:
    """Learn from an experiment's results which tracker suits which object; Auto Track takes the file that is written.

    The results must be of trackers of boxes on clips with truth. What the advice would have cost on scenes that it was not
    told of is printed beside always taking one tracker.

    [bold]Example[/]

      vtlab lab learn experiments/evidence.yaml --to evidence.json

      vtlab track street.mp4 -t auto -P evidence=evidence.json --box 210,95,280,260
    """
    from vtlab.experiments.learn import learn as learned
    from vtlab.experiments.learn import told

    found = learned(_store(spec, out))
    found.save(to)
    facts = dict(told(found))
    print_json(facts) if as_json else print_facts(str(to), facts)


for _command in (run, status, show, diff, gc, learn, reproduce, demo):
    lab.command(_command.__name__)(_command)
