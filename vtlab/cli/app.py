"""The command line: `vtlab track | compare | verdict | evaluate | list | info | weights | lab | ...`.

Results go to standard output (`--json` for scripts), progress and messages to standard error. Exit codes: 0 done,
1 an error of the input or the set-up, 2 wrong usage, 3 stopped half-way with the partial result kept, 130 Ctrl-C.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from vtlab.cli import align, decision, experiments, parts, results, serve, setup, tracking
from vtlab.cli.data import data
from vtlab.cli.lab import apply, lab, run
from vtlab.cli.output import escape, stderr
from vtlab.cli.weights import weights
from vtlab.errors import TrackingError, VtlabError


class Overview(TyperGroup):
    """The list of commands in plain text: importing what draws Typer's frames takes longer than all the rest."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, options and every command with its first sentence."""
        for write in (self.format_usage, self.format_help_text, self.format_options):
            write(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command and the first paragraph of its help, uncut."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (n, (c.help or "").split("\n\n")[0].replace("\n", " "))
                    for n, c in commands
                    if c and not c.hidden
                ]
            )


app = typer.Typer(
    name="vtlab",
    cls=Overview,
    help="Compare video trackers of every kind behind one API, and label video with them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights, name="weights")
app.add_typer(data, name="data")
app.add_typer(lab, name="lab")
for group in (tracking, results, decision, parts, serve, setup):
    for command in group.COMMANDS:
        app.command(command.__name__.strip("_"))(command)  # `list_` would hide Python's list
app.command("apply")(apply)
app.command("run", hidden=True)(run)  # the short form of `lab run`
for below, moved in ((data, align.align), (lab, experiments.reproduce), (lab, experiments.demo)):
    below.command(moved.__name__)(moved)
    app.command(moved.__name__, hidden=True, deprecated=True)(moved)  # its old place, until version 0.3


def main() -> None:
    """Run the command line: warnings are one line each, errors that a user can cause are one message without traceback."""
    _bear_any_text()
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            app()
        except VtlabError as error:
            stderr().print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            sys.exit(3 if isinstance(error, TrackingError) else 1)
        except KeyboardInterrupt:
            stderr().print("[yellow]Interrupted.[/]")
            # 128 and the number of SIGINT, as shells say it.
            sys.exit(130)


def _bear_any_text() -> None:
    """A character that the console's encoding lacks (names, paths, the mark of a cut cell) is shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    stderr().print(f"[yellow]{category.__name__}:[/] {escape(str(message))}", highlight=False, soft_wrap=True)
