"""How the hosts of weights give a file: a mirror, a file host's folder, the Hugging Face hub, plain https.

Each host has habits that a plain request runs into: pages that ask for confirmation, daily quotas, folders that are
pages, terms to accept, tokens. Two libraries know them (gdown, huggingface_hub: the extra `weights`); what they can't
get is explained here, with three steps for a person.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError
from vtlab.weights.places import offline
from vtlab.weights.transfer import fetch_https, forget, steps, tell, unreachable

_DRIVE = ("drive.google.com", "docs.google.com")
_HUB = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_HUB_PAGE = re.compile(r"https://huggingface\.co/[^/]+/[^/]+/?")
_TIMEOUT, _RETRIES, _LARGEST = 20.0, 3, 16 * 2**30
"""Seconds without a byte, tries, and bytes where the card tells no size."""


def way(file: WeightFile) -> str:
    """How a file is got: "https", "hub", "drive", or "by hand" where nobody states its name in a published folder."""
    if _HUB_PAGE.fullmatch(file.url):
        return "by hand"
    if urlsplit(file.url).hostname in _DRIVE:
        return "drive" if file.inside or not _is_folder(file) else "by hand"
    return "hub" if _HUB.fullmatch(file.url) else "https"


def bring(file: WeightFile, part: Path, put: Path, progress: bool) -> str:
    """Bring a file to `part` and return the address that it came from.

    Args:
        file: What to get.
        part: Where to.
        put: Where an error tells to put it by hand.
        progress: Show a progress bar.

    Raises:
        WeightsError: It can't be had; the message says why, and the three steps by hand.
    """
    how = way(file)
    if offline():
        if how == "hub" and _from_hub(file, part, put, progress):
            return file.url
        raise unreachable(file, put, "VTLAB_OFFLINE forbids it")
    mirror = _mirrored(file)
    if mirror is not None and _from_mirror(mirror, part, put, progress):
        return mirror.url
    if how == "by hand":
        raise WeightsError(
            f"{file.name!r} lies in a published folder, and nobody states under which name. {steps(file, put)} "
            f"`vtlab weights test NAME` then says whether it was the right one."
        )
    if how == "drive":
        _from_drive(file, part, put, progress)
    elif how != "hub" or not _from_hub(file, part, put, progress):
        fetch_https(file, part, put, progress)
    return file.url


def _mirrored(file: WeightFile) -> WeightFile | None:
    """The file at the mirror that `VTLAB_MIRROR` names, None where it names none.

    "https://mirror.example.org/weights" holds files under vtlab's names; "{url}" in it stands for the official address.
    """
    prefix = os.environ.get("VTLAB_MIRROR", "").strip()
    if not prefix:
        return None
    named = f"{prefix.rstrip('/')}/{quote(file.name)}"
    return replace(file, url=prefix.replace("{url}", file.url) if "{url}" in prefix else named, inside="")


def _from_mirror(mirror: WeightFile, part: Path, put: Path, progress: bool) -> bool:
    try:
        fetch_https(mirror, part, put, progress)
    except WeightsError as error:
        forget(part)
        reason = str(error).split("can't be downloaded: ")[-1].split(". Remedy")[0]
        tell(
            f"{mirror.name}: the mirror {mirror.url} doesn't give it ({reason}); its official address is asked."
        )
        return False
    if not mirror.sha256:
        tell(
            f"{mirror.name}: from the mirror {mirror.url}; nobody publishes its sha256, so the mirror is trusted."
        )
    return True


def _is_folder(file: WeightFile) -> bool:
    return "/folders/" in urlsplit(file.url).path


def _from_drive(file: WeightFile, part: Path, put: Path, progress: bool) -> None:
    """A file of Google Drive by gdown: it finds a name in a folder and passes the page that asks for confirmation."""
    try:
        import gdown
    except ImportError as error:
        raise WeightsError(
            f"{file.name!r} lies on Google Drive, which needs the package 'gdown'. "
            f"Remedy: pip install 'vtlab[weights]'. {steps(file, put)}"
        ) from error
    aside = part.with_name(
        f"{part.name}.drive"
    )  # of its own: gdown keeps its parts beside its output, by any name
    aside.mkdir(exist_ok=True)
    with _drive_explained(file, put, aside):
        what: dict[str, Any] = {"id": _in_folder(gdown, file, put)} if _is_folder(file) else {"url": file.url}
        with _bar(file, progress) as seen:
            gdown.download(
                **what,
                output=str(aside / "file"),
                quiet=True,
                resume=True,
                progress=seen,
                timeout=_TIMEOUT,
                retries=_RETRIES,
            )
        os.replace(aside / "file", part)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _bar(file: WeightFile, progress: bool) -> Iterator[Any]:
    """A progress bar as a function of (bytes so far, bytes in all), which refuses more than the file can have."""
    from vtlab.files.bars import bar as progress_bar

    limit = 2 * file.size if file.size else _LARGEST
    with progress_bar(unit="B", unit_scale=True, desc=file.name, disable=None if progress else True) as bar:

        def seen(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if done > limit:
                raise WeightsError(f"The server sends more than {limit} bytes for {file.name!r}.")

        yield seen


def _lower(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(part.lower() for part in path.parts)


_FITS: tuple[Callable[[PurePosixPath, PurePosixPath], bool], ...] = (
    lambda path, wanted: path == wanted,
    lambda path, wanted: path.parts[-len(wanted.parts) :] == wanted.parts,
    lambda path, wanted: _lower(path)[-len(wanted.parts) :] == _lower(wanted),
)
"""How a path of a folder may be the one stated, the strictest first: the same, below a further folder, in other case."""


def _in_folder(gdown: Any, file: WeightFile, put: Path) -> str:
    """The id of the file that a published folder has under its stated name."""
    found = {
        PurePosixPath(f.path.replace("\\", "/")): f.id
        for f in gdown.download_folder(file.url, output=".", quiet=True, skip_download=True, timeout=_TIMEOUT)
    }
    wanted = PurePosixPath(file.inside)
    same = next(filter(None, ([p for p in found if fits(p, wanted)] for fits in _FITS)), [])
    if len(same) == 1:
        return str(found[same[0]])
    names = ", ".join(sorted(map(str, found))[:8]) + (", ..." if len(found) > 8 else "")
    ends = " (a listing of Google Drive may end at 50 files)" if len(found) >= 50 else ""
    raise unreachable(
        file,
        put,
        f"its folder holds {'several files' if same else 'no file'} {file.inside!r}; of {len(found)} it has{ends}: "
        f"{names or 'nothing'}",
    )


_DRIVE_SAYS = (
    ("too many users", "Google's daily quota of this file is used up: wait 24 hours, or copy the file to a Drive of "
     "your own in the browser and fetch that copy"),
    ("quota", "Google's daily quota of this file is used up: wait 24 hours"),
    ("cannot retrieve the public link", "Google Drive shows a page instead of the file: it is no longer shared with "
     "everybody, or too many have asked for it today (wait 24 hours)"),
    ("status code 404", "the folder isn't there any more, or no longer shared with everybody"),
    ("failed to retrieve folder", "Google Drive doesn't list the folder: it isn't shared with everybody, or too many "
     "have asked"),
    ("failed to parse folder", "Google Drive's page of the folder has changed: a newer gdown may read it (pip install "
     "-U gdown)"),
    ("incomplete", "the connection broke; call again to go on where it stopped"),
)  # fmt: skip


@contextmanager
def _drive_explained(file: WeightFile, put: Path, aside: Path) -> Iterator[None]:
    """Errors of gdown, and of the network below it, as vtlab's: what they mean, and what to do.

    What came is kept in `aside` where a later call can go on with it: when the connection broke.
    """
    import gdown
    import requests

    try:
        yield
    except (gdown.DownloadError, requests.RequestException) as error:
        said = " ".join(str(error).split())
        if "incomplete" not in said and not isinstance(error, (requests.ConnectionError, requests.Timeout)):
            shutil.rmtree(aside, ignore_errors=True)
        known = (meaning for sign, meaning in _DRIVE_SAYS if sign in said.lower())
        raise unreachable(file, put, next(known, f"Google Drive or gdown says: {said[:300]}")) from error


def _from_hub(file: WeightFile, part: Path, put: Path, progress: bool) -> bool:
    """A file of the hub by its own library: its cache, token, mirrors (`HF_ENDPOINT`); False where it isn't installed.

    Without the library the address is asked as it is: open files are given to everybody.
    """
    try:
        from huggingface_hub import constants, hf_hub_download
    except ImportError:
        return False
    named = _HUB.fullmatch(file.url)
    assert named is not None  # `way` says that it is one of the hub's
    with _hub_explained(file, put, named["repo"]), _quiet_hub(not progress):
        alone = offline() or not _answers(constants.ENDPOINT)  # then its cache is asked, at once
        found = hf_hub_download(
            named["repo"], named["path"], revision=named["revision"], local_files_only=alone
        )
    path = Path(found).resolve()
    forget(part)
    try:
        os.link(path, part)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, part)
    return True


def _answers(endpoint: str) -> bool:
    """Whether a server takes a connection: the hub's library asks one that doesn't for half a minute.

    Through a proxy only the proxy knows, so there the answer is yes.
    """
    told = urlsplit(endpoint)
    if urllib.request.getproxies().keys() & {told.scheme, "all"}:
        return True
    try:
        with socket.create_connection((told.hostname or "", told.port or 443), timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def _quiet_hub(quiet: bool) -> Iterator[None]:
    """Hide the progress bars of the hub's library, unless somebody has already."""
    from huggingface_hub import utils

    hide = quiet and not utils.are_progress_bars_disabled()
    if hide:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            utils.enable_progress_bars()


@contextmanager
def _hub_explained(file: WeightFile, put: Path, repo: str) -> Iterator[None]:
    """Errors of the hub's library as vtlab's."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        reason = (
            f"{repo} is given to those who accepted its terms: 1. accept them at {page}; 2. `hf auth login`, or set "
            "HF_TOKEN; 3. call again"
        )
        raise unreachable(file, put, reason) from error
    except errors.RepositoryNotFoundError as error:
        reason = (
            f"the hub has no {repo}, or shows it to no one without a token (`hf auth login`, or HF_TOKEN)"
        )
        raise unreachable(file, put, reason) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        told = "VTLAB_OFFLINE" if offline() else "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else ""
        reason = (
            f"{told} forbids it, and the hub's cache doesn't hold it" if told else "the hub can't be reached"
        )
        raise unreachable(file, put, reason) from error
    except errors.EntryNotFoundError as error:
        raise unreachable(file, put, f"the hub's {repo} has no such file") from error
    except (errors.HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())[:300]
        raise unreachable(file, put, f"the hub's library says: {told}") from error
