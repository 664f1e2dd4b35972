"""The command line: `vtlab track | compare | verdict | evaluate | list | info | weights | lab | ...`.

Results go to standard output (`--json` for scripts), progress and messages to standard error. Exit codes: 0 done,
1 an error of the input or the set-up, 2 wrong usage, 3 stopped half-way with the partial result kept, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import inspect
import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from vtlab.cli.output import escape, stderr
from vtlab.errors import TrackingError, VtlabError

_MODULES = {
    **dict.fromkeys(("track", "compare", "profile"), "tracking"),
    **dict.fromkeys(("evaluate", "convert"), "results"),
    "verdict": "decision",
    **dict.fromkeys(("list", "info", "check"), "parts"),
    "serve": "serve",
    **dict.fromkeys(("doctor", "export"), "setup"),
    "apply": "lab",
    **{group: group for group in ("weights", "data", "lab")},
    "run": "lab",
    "align": "align",
    **dict.fromkeys(("reproduce", "demo"), "experiments"),
}
"""Where each command, or group of them, is written, in the order of the help."""
_OLD = ("align", "reproduce", "demo")
"""Old places, until version 0.3, of commands that are in `data` and `lab`."""
_HIDDEN = ("run", *_OLD)
"""And the short form of `lab run`."""
_LIKE: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
}
"""Of the whole and of each command."""


def _found(name: str) -> Any:
    """The function of a command, or the `Typer` of a group."""
    module = importlib.import_module(f"vtlab.cli.{_MODULES[name]}")
    return getattr(module, "list_" if name == "list" else name)  # `list` would hide Python's


class Commands(Mapping[str, Any]):
    """The commands by name, each imported and built when it is asked for: a command waits for no other's parameters."""

    def __getitem__(self, name: str) -> Any:
        found = _found(name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(**_LIKE)
        alone.command(name, hidden=name in _HIDDEN, deprecated=name in _OLD)(found)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class Overview(TyperGroup):
    """The list of commands in plain text: importing what draws Typer's frames takes longer than all the rest."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # nobody adds to it

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in order, no command built."""
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, options and every command with its first sentence."""
        for write in (self.format_usage, self.format_help_text, self.format_options):
            write(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command and the first paragraph of its help, uncut; no parameters are built for it."""
        listed = [(name, _found(name)) for name in self.commands if name not in _HIDDEN]
        told = [(n, f.info.help if isinstance(f, typer.Typer) else inspect.getdoc(f)) for n, f in listed]
        with formatter.section("Commands"):
            formatter.write_dl([(n, (text or "").split("\n\n")[0].replace("\n", " ")) for n, text in told])


app = typer.Typer(
    name="vtlab",
    cls=Overview,
    help="Compare video trackers of every kind behind one API, and label video with them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_LIKE,
)


@app.callback()
def _vtlab() -> None:
    """Typer makes a group of commands where there is one of these."""


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
