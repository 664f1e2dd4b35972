"""The command of servers: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtlab.cli.output import escape, stderr
from vtlab.errors import InputError

_Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", "-t", help="A tracker; repeat it, and each geometry finds its own."),
]
_Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", help="Address of a server that may be asked, such as https://app.supervisely.com."
    ),
]


def serve(
    door: Annotated[
        str,
        typer.Argument(
            help="supervisely, label-studio, or http for those without a platform; with --scaffold the folder."
        ),
    ],
    *,
    scaffold: Annotated[
        str | None,
        typer.Option(
            help="Write files to deploy instead: dataloop, cvat-agent, vot, supervisely-legacy or docker."
        ),
    ] = None,
    tracker: _Trackers = None,
    detector: Annotated[
        str | None, typer.Option(help="A detector for tracking by detection, NAME or NAME:FILE.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 127.0.0.1 = this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 = a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="VTLAB_SERVE_TOKEN", help="What requests must show; made if not given."),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Ask for none; on this machine alone.")
    ] = False,
    allow_host: _Hosts = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Allowed hosts may lie in private networks.")
    ] = False,
    running: Annotated[int, typer.Option(help="Jobs at work at once.")] = 1,
    memory: Annotated[float, typer.Option(help="GiB that idle trackers may hold.")] = 2.0,
    certificate: Annotated[Path | None, typer.Option(help="Certificate file, for https.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None,
) -> None:
    """Let an annotation tool drive trackers: a server that speaks its contract.

    Requests show the token as 'Authorization: Bearer TOKEN', or as the beginning of the path, /t/TOKEN/.

    [bold]Examples[/]

      vtlab serve supervisely -t mixformer-cvt -t sam2.1-tiny --allow-host https://app.supervisely.com

      vtlab serve --scaffold dataloop my_service -t csrt

      vtlab serve supervisely --detector yolo-onnx:best.onnx -t botsort --allow-host https://app.supervisely.com
    """
    if scaffold is not None:
        from vtlab.serve.scaffold import write_scaffold

        for file in write_scaffold(scaffold, door, tuple(tracker or ())):
            stderr().print(f"Written: {file}", highlight=False)
        return
    from vtlab.serve import web
    from vtlab.serve.doors import detection_of, open_door
    from vtlab.serve.follow import Core
    from vtlab.serve.guard import Outward
    from vtlab.serve.jobs import Limits

    if no_token and not web.is_loopback(host):
        raise InputError(
            f"--no-token on {host}: others would reach it. Remedy: leave it out, or --host 127.0.0.1."
        )
    names = tuple(tracker or (["botsort"] if detector else []))
    way = Outward(tuple(allow_host or ()), private=allow_private)
    made = open_door(door, Core(names, Limits(running=running), int(memory * 2**30)), way)
    if detector is not None:
        if not hasattr(made, "detection"):
            raise InputError(f"The door {door!r} has no tracking by detection.")
        made.detection = detection_of(detector, names)
    shown = None if no_token else token or web.new_token()
    files = {"ssl_certfile": certificate, "ssl_keyfile": key}
    tls = {name: str(file) for name, file in files.items() if file is not None}

    def ready(at: int) -> None:
        address = f"http{'s' if tls else ''}://{host}:{at}"
        told = f"{door}: {address}" + (
            "" if shown is None else f"   with the token in the path: {address}/t/{shown}"
        )
        stderr().print(escape(told), highlight=False, soft_wrap=True)

    web.run(web.application([made], shown), host, port, ready, **tls)
