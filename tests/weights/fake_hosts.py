"""A server that plays the hosts of weights with their habits; `python -m tests.weights.fake_hosts` prints a transcript.

Google Drive: a folder is a page of links, a large file a page that asks for confirmation and then another host; there
are quotas and files that are no longer shared. The Hugging Face hub: files behind tags, gated ones behind a token. A
plain host: redirects, ranges, connections that break, announced lengths that aren't kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

DATA = b"\x80\x02" + bytes(range(256)) * 8000
SHA = hashlib.sha256(DATA).hexdigest()
TOKEN = "hf_" + "t" * 20
FOLDER = "https://drive.google.com/drive/folders/"
ROOT, INNER, FILE = "R" * 28, "I" * 28, "F" * 28
"""Names of the folder, of a folder in it, and of the file in that."""
QUOTA = (
    '<p class="uc-error-caption">Google Drive - Quota exceeded</p><p class="uc-error-subcaption">Too many users have '
    "viewed or downloaded this file recently. Please try accessing the file again later.</p>"
)
CONFIRM = (
    '<html><form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    f'<input type="hidden" name="id" value="{FILE}"><input type="hidden" name="confirm" value="t"></form></html>'
)


class Hosts(http.server.ThreadingHTTPServer):
    """All the hosts at once; `habits` says how they behave, `asked` what they were asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.habits: set[str] = set()
        self.names = {"transt.pth": FILE}
        self.breaks, self.asked = 0, list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hosts

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        asked = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(asked.query).items()}
        spans = self.headers.get("Range")
        self.server.asked.append(f"{self.command} {self.path}" + (f" {spans}" if spans else ""))
        if asked.path == "/embeddedfolderview":
            return self._folder(query["id"])
        if asked.path == "/uc":
            return self._drive_file()
        if "/resolve/" in asked.path:
            return self._hub(body)
        if asked.path in ("/download", "/plain/net.pth", "/mirror/net.pth", "/moved/net.pth"):
            return self._file(body)
        if asked.path == "/redirect/net.pth":
            return self._redirect("/moved/net.pth")
        return self._page(404, "nothing here")

    def _folder(self, folder: str) -> None:
        if "private" in self.server.habits:
            return self._page(404, "not found")
        if folder == ROOT:
            links = [f'<a href="{FOLDER}{INNER}">models</a>']
        else:
            links = [
                f'<a href="https://drive.google.com/file/d/{i}/view?usp=drive_web">{name}</a>'
                for name, i in self.server.names.items()
            ]
        return self._page(200, f"<html><title>Models</title>{''.join(links)}</html>")

    def _drive_file(self) -> None:
        if "quota" in self.server.habits:
            return self._page(200, f"<html>{QUOTA}</html>")
        if "unshared" in self.server.habits:
            return self._page(200, "<html><title>Sign in</title></html>")
        return self._page(200, CONFIRM)

    def _hub(self, body: bool) -> None:
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if "gated" in self.server.habits and not known:
            return self._page(
                401 if "unknown" in self.server.habits else 403, "", {"X-Error-Code": "GatedRepo"}
            )
        if "/absent" in self.path:
            return self._page(404, "", {"X-Error-Code": "EntryNotFound"})
        return self._file(body, {"X-Repo-Commit": "0" * 40, "ETag": f'"{SHA}"'})

    def _file(self, body: bool, headers: dict[str, str] | None = None) -> None:
        if self.server.habits & {"401", "403", "429"}:
            return self._page(int(next(h for h in self.server.habits if h.isdigit())), "no")
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        rest = DATA[start:]
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        self.send_header("Content-Length", str(len(rest) + (1000 if "short" in self.server.habits else 0)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="net.pth"')
        for name, value in {"ETag": '"v1"', **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            cut = self.server.breaks > 0
            self.server.breaks -= cut
            self.wfile.write(rest[: 700_000 if cut else len(rest)])
            self.close_connection = True
        return None

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.url + to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, code: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "text/html", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hosts() -> Iterator[Hosts]:
    """The server, running; stopped whatever happens."""
    server = Hosts()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def drive_adapter(server: Hosts) -> Any:
    """A `requests.adapters.HTTPAdapter.send` that asks the server in place of Google's hosts; gdown sees no difference."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def asked(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        real = request.url
        if urlsplit(real).hostname in ("drive.google.com", "drive.usercontent.google.com"):
            request.url = server.url + real.split("google.com", 1)[1]
        answer = send(self, request, *args, **kwargs)
        answer.url = request.url = real
        return answer

    return asked


@contextmanager
def hub_at(server: Hosts) -> Iterator[None]:
    """The hub's library asks the server, as it would with HF_ENDPOINT set before it was imported."""
    from unittest import mock

    with (
        mock.patch("huggingface_hub.constants.ENDPOINT", server.url),
        mock.patch(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        ),
    ):
        yield


def main() -> None:
    """Fetch from each host in each mood, and print what a user sees."""
    import os
    import tempfile
    from pathlib import Path
    from unittest import mock

    from vtlab import weights
    from vtlab.contracts import WeightFile
    from vtlab.errors import WeightsError

    drive = WeightFile(
        "transt.pth", FOLDER + ROOT, licence="GPL-3.0", source="https://example.org", inside="transt.pth"
    )
    unnamed = WeightFile("transt_n2.pth", FOLDER + ROOT, licence="GPL-3.0", source="https://example.org")
    hub = WeightFile("net.pth", "https://huggingface.co/org/model/resolve/main/net.pth")
    with hosts() as server, tempfile.TemporaryDirectory() as folder:
        plain = WeightFile("net.pth", f"{server.url}/plain/net.pth", SHA)
        moved = WeightFile("net.pth", f"{server.url}/redirect/net.pth", None, len(DATA))
        plays: list[tuple[str, WeightFile, set[str], int, dict[str, str]]] = [
            ("plain https", plain, set(), 0, {}),
            ("plain https, the connection breaks twice (range)", plain, set(), 2, {}),
            ("a redirect", moved, set(), 0, {}),
            ("another length than announced", moved, {"short"}, 0, {}),
            ("too many requests", plain, {"429"}, 0, {}),
            ("a mirror", plain, set(), 0, {"VTLAB_MIRROR": f"{server.url}/mirror"}),
            ("a mirror without the file", plain, set(), 0, {"VTLAB_MIRROR": f"{server.url}/nowhere"}),
            ("Drive folder, confirmation page, a break", drive, set(), 1, {}),
            ("Drive quota", drive, {"quota"}, 0, {}),
            ("Drive file no longer shared", drive, {"unshared"}, 0, {}),
            ("Drive folder no longer shared", drive, {"private"}, 0, {}),
            ("Drive folder, no name stated", unnamed, set(), 0, {}),
            ("the hub", hub, set(), 0, {}),
            ("the hub, gated, no token", hub, {"gated"}, 0, {}),
            ("the hub, gated, token", hub, {"gated"}, 0, {"HF_TOKEN": TOKEN}),
        ]
        for number, (title, file, habits, breaks, env) in enumerate(plays):
            server.habits, server.breaks, server.asked = habits, breaks, []
            here = Path(folder) / str(number)
            env = {"VTLAB_CACHE": str(here), **env}
            patches = (
                mock.patch.dict(os.environ, env),
                mock.patch("requests.adapters.HTTPAdapter.send", drive_adapter(server)),
                hub_at(server),
                mock.patch("huggingface_hub.constants.HF_HUB_CACHE", str(here / "hub")),
            )
            print(f"\n== {title}\n$ vtlab weights fetch {file.name}")
            with contextlib.ExitStack() as stack:
                for patch in patches:
                    stack.enter_context(patch)
                try:
                    print(weights.fetch(file, progress=False).relative_to(folder))
                except WeightsError as error:
                    print("Error:", str(error).replace(folder, "~/.cache"))
            print("   ", "\n    ".join(server.asked) or "nobody was asked")


if __name__ == "__main__":
    main()
