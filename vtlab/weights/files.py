"""Official checkpoints: looked up locally, else downloaded once, and checked before every use.

A tracker names its files on its card (`WeightFile`: address, sha256, size, licence) and calls `fetch(file)` when it
is made. Files are looked for in the folder that `VTLAB_WEIGHTS` names, then in the cache (`VTLAB_CACHE`, else the
user's cache folder), and else downloaded to the cache. A broken download is resumed. Where nobody publishes a
sha256, that of the first file seen is recorded in the cache and holds ever after. Nothing is fetched on import, and
nothing at all where `VTLAB_OFFLINE` is set to 1.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError, near
from vtlab.files import write_whole
from vtlab.weights.looks import check_look

_BLOCK = 2**20
_SMALL = 1 << 25
"""Bytes of a file that is read in a moment."""
_ATTEMPTS = 4
_TIMEOUT = 20.0  # seconds without an answer
_LONGEST = 6 * 3600.0  # seconds for a whole download; a slower one is taken up again by the next call
_LARGEST = 16 * 2**30  # bytes; a bound where the source states no size


@dataclass(frozen=True)
class WeightStatus:
    """What is known of one checkpoint on this machine.

    Attributes:
        file: The checkpoint.
        users: Names of the trackers, detectors and associators that load it.
        path: Where it lies, None where it is missing.
        state: "missing"; "present" (nothing wrong was found at a glance); "ok" or "wrong" after its sha256 was checked;
            "wrong" also by its size alone.
    """

    file: WeightFile
    users: tuple[str, ...]
    path: Path | None
    state: Literal["missing", "present", "ok", "wrong"]


def cache_folder() -> Path:
    """Folder of downloaded weights: `VTLAB_CACHE`/weights, else the user's cache folder; it may not exist yet."""
    from platformdirs import user_cache_path

    given = os.environ.get("VTLAB_CACHE")
    return (Path(given).expanduser() if given else user_cache_path("vtlab", appauthor=False)) / "weights"


def local_folder() -> Path | None:
    """Folder that `VTLAB_WEIGHTS` names, None where it is not set.

    Raises:
        WeightsError: If it names no folder.
    """
    given = os.environ.get("VTLAB_WEIGHTS")
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"VTLAB_WEIGHTS names {given!r}, which is not a folder. Remedy: correct or unset it."
        )
    return folder


def known() -> dict[str, WeightFile]:
    """Every checkpoint that a registered part declares: file name -> file, sorted by name."""
    return {name: file for name, (file, _) in sorted(_declared().items())}


def list_weights() -> list[WeightStatus]:
    """Every declared checkpoint, whether it is here, and whether it is wrong as far as can be told without reading large
    files (`verify` reads them)."""
    found = []
    for name, (file, users) in sorted(_declared().items()):
        path = locate(name)
        found.append(WeightStatus(file, users, path, _look(file, path)))
    return found


def _look(file: WeightFile, path: Path | None) -> Literal["missing", "present", "wrong"]:
    """What can be told quickly: by the size that the source states, and for a small file by its sha256."""
    if path is None:
        return "missing"
    size = path.stat().st_size
    if size != (file.size or size) or not size:
        return "wrong"
    return "wrong" if size <= _SMALL and _expected(file) not in (None, _sha256(path)) else "present"


def locate(file: WeightFile | str) -> Path | None:
    """Path of a checkpoint on this machine, None where it is missing; nothing is downloaded or checked."""
    name = _plain(_resolve(file).name)
    folders = [folder for folder in (local_folder(), cache_folder()) if folder is not None]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def place(file: WeightFile | str) -> Path:
    """Path where `locate` looks first: where to put a file that was downloaded by hand."""
    return (local_folder() or cache_folder()) / _plain(_resolve(file).name)


def digest(file: WeightFile | str) -> str | None:
    """Hex sha256 of the checkpoint that is here, for provenance; None where it is missing."""
    path = locate(file)
    return None if path is None else _sha256(path)


def verify(file: WeightFile | str) -> WeightStatus:
    """Read a checkpoint and compare its sha256 with the published or recorded one."""
    file = _resolve(file)
    users = _declared().get(file.name, (file, ()))[1]
    path = locate(file)
    if path is None:
        return WeightStatus(file, users, None, "missing")
    expected = _expected(file)
    return WeightStatus(file, users, path, "ok" if expected in (None, _sha256(path)) else "wrong")


def fetch(file: WeightFile | str, *, progress: bool = True) -> Path:
    """Return the path of a checkpoint whose sha256 has been checked, downloading it if it is not here.

    Args:
        file: A `WeightFile`, or the file name of a declared one.
        progress: Show a progress bar while downloading (on a terminal or in a notebook).

    Raises:
        WeightsError: The name is unknown, the file can't be downloaded (the message says where to put it), or its
            sha256 is not the published or recorded one.
    """
    file = _resolve(file)
    path = locate(file)
    if path is None:
        return download(file, cache_folder(), put=place(file), progress=progress)
    _check(file, path)
    return path


def download(file: WeightFile, folder: Path, *, put: Path | None = None, progress: bool = True) -> Path:
    """Return the path of a published file in `folder`, fetching it if it is not there; its sha256 is checked.

    Args:
        file: What to fetch; `fetch` does this for weights.
        folder: Where it is kept.
        put: Where an error message tells to put the file by hand; by default in `folder`.
        progress: Show a progress bar.

    Raises:
        WeightsError: As `fetch`.
    """
    target = folder / _plain(file.name)
    with _locked(folder):
        if not target.is_file():
            _download(file, target, put or target, progress)
    _check(file, target)
    return target


# -- what is known --------------------------------------------------------------------------------------------


def _declared() -> dict[str, tuple[WeightFile, tuple[str, ...]]]:
    """File name -> file and the parts that declare it."""
    from vtlab.registry import REGISTRIES

    found: dict[str, tuple[WeightFile, tuple[str, ...]]] = {}
    for card in (card for registry in REGISTRIES for card in registry.cards()):
        for file in card.weights:
            known_file, users = found.get(file.name, (file, ()))
            if known_file != file:
                raise WeightsError(
                    f"{card.name!r} and {users[0]!r} declare different files named {file.name!r}."
                )
            found[file.name] = (file, users if card.name in users else (*users, card.name))
    return found


def _resolve(file: WeightFile | str) -> WeightFile:
    if isinstance(file, WeightFile):
        return file
    files = known()
    if file not in files:
        raise WeightsError(f"Unknown weights {file!r}. {near(file, files)}")
    return files[file]


def _plain(name: str) -> str:
    if not name or name != Path(name).name or "\\" in name or name.startswith("."):
        raise WeightsError(f"Expected a plain file name for weights, got {name!r}.")
    return name


# -- checking -------------------------------------------------------------------------------------------------


def _sha256(path: Path) -> str:
    """Hex sha256 of a file, computed once for each content (told by size and time of change)."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def _record(file: WeightFile) -> Path:
    return cache_folder() / f"{_plain(file.name)}.sha256"


def _expected(file: WeightFile) -> str | None:
    """Published sha256, else the recorded one, else None."""
    if file.sha256:
        return file.sha256.lower()
    record = _record(file)
    return record.read_text().strip() if record.is_file() else None


def _check(file: WeightFile, path: Path) -> None:
    found, expected = _sha256(path), _expected(file)
    if expected is None:
        write_whole(_record(file), found + "\n")
    elif found != expected:
        told = "published" if file.sha256 else f"recorded in {_record(file)}"
        meant = "" if file.sha256 else f" If you replaced it on purpose, delete {_record(file)}."
        raise WeightsError(
            f"The file {str(path)!r} is not the one expected: sha256 {found}, {told}: {expected}. "
            f"Remedy: delete it; it is then fetched again.{meant}"
        )


# -- downloading ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time download to the cache (where the system has file locks: not on Windows)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a+") as lock:
            with contextlib.suppress(ImportError):
                _wait_for(lock)
            lock.truncate(0)
            print(os.getpid(), file=lock, flush=True)
            yield
    except OSError as error:
        raise WeightsError(
            f"The cache {str(folder)!r} can't be written: {error.strerror}. "
            "Remedy: set VTLAB_CACHE to a folder that can."
        ) from error


def _tell(what: str) -> None:
    from tqdm.auto import tqdm

    tqdm.write(what, file=sys.stderr)


def _wait_for(lock: TextIO) -> None:
    """Take the lock; say whom it waits for. Where the system has no such locks, ImportError."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read(20).strip() or "unknown"
        _tell(f"Waiting for process {holder}, which downloads to {Path(lock.name).parent} ...")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _download(file: WeightFile, target: Path, put: Path, progress: bool) -> None:
    """Download `file` to `target`; a part that a broken download left is continued."""
    part = target.with_name(target.name + ".part")
    _check_reachable(file, put)
    end = time.monotonic() + _LONGEST
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _transfer(file, part, put, (progress, end))
            break
        except urllib.error.HTTPError as error:
            raise _unreachable(file, put, f"the server answered {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise _unreachable(file, put, str(error.reason)) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if attempt == _ATTEMPTS:
                raise _unreachable(file, put, f"the connection broke {attempt} times: {error}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                _forget(part)
            raise WeightsError(
                f"{str(part)!r} can't be written: {error.strerror}. Remedy: free space, or set VTLAB_CACHE."
            ) from error
    _check_digest(file, part, put)
    _accept(file, part, put)
    os.replace(part, target)
    _forget(part)


def _accept(file: WeightFile, part: Path, put: Path) -> None:
    """Refuse a file that can't be the published one; without a published sha256 nothing else would."""
    size = part.stat().st_size
    try:
        if not file.sha256 and file.size and size != file.size:
            raise WeightsError(f"it has {size} bytes, its publisher's has {file.size}")
        if not file.sha256:
            check_look(part, file.name)
    except WeightsError as error:
        _forget(part)
        raise _unreachable(file, put, f"what came was removed: {error}") from error


def _check_address(file: WeightFile, put: Path, url: str) -> None:
    """Refuse an address that anybody on the way could answer: https only, http only to this machine."""
    told = urlsplit(url)
    here = told.hostname in ("127.0.0.1", "::1", "localhost")
    if told.scheme not in ("https", "http"):
        raise _unreachable(file, put, f"{url!r} is no https address")
    if told.scheme == "http" and not here:
        raise _unreachable(
            file, put, f"{url!r} is http, which anybody on the way can change; only https is fetched"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to https addresses only, and says where to."""

    def __init__(self, file: WeightFile, put: Path):
        self._file, self._put = file, put

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        """Check the new address before it is asked."""
        _check_address(self._file, self._put, newurl)
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.netloc != new.netloc:
            _tell(f"{self._file.name}: {old.hostname} sends to {new.hostname}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_digest(file: WeightFile, part: Path, put: Path) -> None:
    """Remove a download that is not the published file, and say so."""
    found = _sha256(part)
    if file.sha256 and found != file.sha256.lower():
        _forget(part)
        raise WeightsError(
            f"The download of {file.name!r} from {file.url} has sha256 {found}, published is {file.sha256}; it was "
            f"removed. Remedy: try again later, or put the right file at {put} (source: {file.source})."
        )


def _check_reachable(file: WeightFile, put: Path) -> None:
    if os.environ.get("VTLAB_OFFLINE", "") not in ("", "0"):
        raise _unreachable(file, put, "VTLAB_OFFLINE forbids it")
    _check_address(file, put, file.url)


def _unreachable(file: WeightFile, put: Path, reason: str) -> WeightsError:
    page = f" (see {file.source})" if file.source and file.source != file.url else ""
    return WeightsError(
        f"The file {file.name!r} is not on this machine and can't be downloaded: {reason}. "
        f"Remedy: get {file.url}{page} elsewhere and put it at {put}."
    )


def _transfer(file: WeightFile, part: Path, put: Path, how: tuple[bool, float]) -> None:
    """Read the address to the end of `part`, from where it stops if the server still has the same file."""
    start, tag = _resumable(file, part)
    headers = {"User-Agent": "vtlab", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag:
            headers["If-Range"] = tag
    request = urllib.request.Request(file.url, headers=headers)  # noqa: S310 (http and https only)
    try:
        answer = urllib.request.build_opener(_Redirects(file, put)).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        _forget(part)
        return _transfer(file, part, put, how)
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        total = _announced(file, put, answer, start)
        _check_room(file, part, total, start)
        _tag_file(part).write_text(answer.headers.get("ETag") or "")
        _copy(file, answer, part, put, span=(start, total), how=how)
    return None


def _announced(file: WeightFile, put: Path, answer: Any, start: int) -> int | None:
    """Bytes of the whole file by the answer's headers, None where they don't say; an answer that is no file is refused."""
    packed, length = answer.headers.get("Content-Encoding", "identity"), answer.headers.get("Content-Length")
    if packed != "identity":
        raise _unreachable(file, put, f"the server packs the file ({packed}) though it was asked not to")
    if answer.headers.get_content_type() == "text/html":
        raise _unreachable(file, put, "the address is a web page, not the file itself")
    if length and not length.isdecimal():
        raise _unreachable(file, put, f"the server announces a length of {length!r}")
    total = start + int(length) if length else None
    if not file.sha256 and file.size and total not in (None, file.size):
        raise _unreachable(file, put, f"the server's file has {total} bytes, its publisher's has {file.size}")
    return total


def _resumable(file: WeightFile, part: Path) -> tuple[int, str]:
    """Bytes of the part that may be kept, and the tag by which the server knows them.

    Without a published sha256 and without a strong tag nothing would notice a file that changed in between.
    """
    tag = _tag_file(part).read_text() if _tag_file(part).is_file() else ""
    tag = "" if tag.startswith("W/") else tag
    safe = part.is_file() and (tag or file.sha256)
    return (part.stat().st_size, tag) if safe else (0, "")


def _copy(
    file: WeightFile,
    answer: Any,
    part: Path,
    put: Path,
    *,
    span: tuple[int, int | None],
    how: tuple[bool, float],
) -> None:
    from tqdm.auto import tqdm

    (start, total), limit = span, 2 * file.size if file.size else _LARGEST
    done = start
    hidden = None if how[0] else True  # None: hidden unless on a terminal
    with (
        part.open("r+b" if start else "wb") as target,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=file.name, disable=hidden) as bar,
    ):
        target.seek(start)
        target.truncate()
        while block := answer.read1(_BLOCK):
            if time.monotonic() > how[1]:
                raise _unreachable(
                    file, put, f"{done} bytes came in {_LONGEST / 3600:g} hours; call again to go on"
                )
            done += len(block)
            if done > limit:
                raise _unreachable(file, put, f"the server sends more than {limit} bytes")
            target.write(block)
            bar.update(len(block))
    whole = total if total is not None else file.size or 1
    if done < whole:
        raise ConnectionError(f"{done} of {whole} bytes came")


def _check_room(file: WeightFile, part: Path, total: int | None, start: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise WeightsError(
            f"{file.name!r} needs {total - start} bytes, {str(part.parent)!r} has {free} free. "
            "Remedy: free space, or set VTLAB_CACHE to another disk."
        )


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)
