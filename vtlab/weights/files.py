"""Official checkpoints: looked up locally, else downloaded once, and checked before every use.

A tracker names its files on its card (`WeightFile`: address, sha256, size, licence) and calls `fetch(file)` when it
is made. Files are looked for in the folder that `VTLAB_WEIGHTS` names, then in the cache (`VTLAB_CACHE`, else the
user's cache folder), and else downloaded to the cache, each host in its way (`hosts`). A broken download is resumed.
Where nobody publishes a sha256, that of vtlab's lock holds, or of the first file seen (`lock`). Nothing is fetched on
import, and nothing at all where `VTLAB_OFFLINE` is set to 1.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError, near
from vtlab.weights import hosts
from vtlab.weights.lock import expected, record_path, sha256_of, write_record
from vtlab.weights.looks import check_look
from vtlab.weights.places import cache_folder, local_folder, plain
from vtlab.weights.transfer import forget, tell, unreachable

_SMALL = 1 << 25
"""Bytes of a file that is read in a moment."""


State = Literal["missing", "present", "ok", "wrong", "not lockable"]


@dataclass(frozen=True)
class WeightStatus:
    """What is known of one checkpoint on this machine.

    Attributes:
        file: The checkpoint.
        users: Names of the trackers, detectors and associators that load it.
        path: Where it lies, None where it is missing.
        state: "missing"; "present" (nothing wrong was found at a glance); "ok" or "wrong" after its sha256 was checked;
            "wrong" also by its size alone; "not lockable": it is here, and no sha256 of it is known to hold it against.
        against: Who says which sha256 it must have: "published", "in vtlab's lock", "recorded in ..." where it was
            seen first; "" if nobody.
        way: How it is got: "https", "hub", "drive" with one command, "by hand" by a page with three steps.
    """

    file: WeightFile
    users: tuple[str, ...]
    path: Path | None
    state: State
    against: str = ""
    way: str = "https"


def known() -> dict[str, WeightFile]:
    """Every checkpoint that a registered part declares: file name -> file, sorted by name."""
    return {name: file for name, (file, _) in sorted(_declared().items())}


def list_weights() -> list[WeightStatus]:
    """Every declared checkpoint, whether it is here, and whether it is wrong as far as can be told without reading large
    files (`verify` reads them)."""
    found = []
    for name, (file, users) in sorted(_declared().items()):
        path = locate(name)
        found.append(WeightStatus(file, users, path, _look(file, path), expected(file)[1], hosts.way(file)))
    return found


def _look(file: WeightFile, path: Path | None) -> State:
    """What can be told quickly: by the size that the source states, and for a small file by its sha256."""
    if path is None:
        return "missing"
    size = path.stat().st_size
    if size != (file.size or size) or not size:
        return "wrong"
    digest = expected(file)[0]
    if digest is None:
        return "not lockable"
    return "present" if size > _SMALL else "ok" if digest == sha256_of(path) else "wrong"


def locate(file: WeightFile | str) -> Path | None:
    """Path of a checkpoint on this machine, None where it is missing; nothing is downloaded or checked."""
    name = plain(_resolve(file).name)
    folders = [folder for folder in (local_folder(), cache_folder()) if folder is not None]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def place(file: WeightFile | str) -> Path:
    """Path where `locate` looks first: where to put a file that was downloaded by hand."""
    return (local_folder() or cache_folder()) / plain(_resolve(file).name)


def digest(file: WeightFile | str) -> str | None:
    """Hex sha256 of the checkpoint that is here, for provenance; None where it is missing."""
    path = locate(file)
    return None if path is None else sha256_of(path)


def verify(file: WeightFile | str) -> WeightStatus:
    """Read a checkpoint and compare its sha256 with the published or recorded one."""
    file = _resolve(file)
    users = _declared().get(file.name, (file, ()))[1]
    path = locate(file)
    digest, against = expected(file)
    state: State = "missing" if path is None else "not lockable"
    if path is not None and digest is not None:
        state = "ok" if digest == sha256_of(path) else "wrong"
    return WeightStatus(file, users, path, state, against, hosts.way(file))


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
    target = folder / plain(file.name)
    with _locked(folder):
        if not target.is_file():
            _download(file, target, put or target, progress)
    _check(file, target)
    return target


def _declared() -> dict[str, tuple[WeightFile, tuple[str, ...]]]:
    """File name -> file and the parts that declare it."""
    from vtlab.registry import REGISTRIES

    found: dict[str, tuple[WeightFile, tuple[str, ...]]] = {}
    for card in (card for registry in REGISTRIES for card in registry.cards()):
        for file in (*card.weights, *card.instead):
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


def _check(file: WeightFile, path: Path) -> None:
    found, (digest, told) = sha256_of(path), expected(file)
    if digest is None:
        write_record(file, path, "")
    elif found != digest:
        meant = (
            f" If you replaced it on purpose, delete {record_path(file.name)}." if "record" in told else ""
        )
        raise WeightsError(
            f"The file {str(path)!r} is not the one expected: sha256 {found}, {told}: {digest}. "
            f"Remedy: delete it; it is then fetched again. A file of your own, such as one that was trained further, needs "
            f"no digest: keep it under another name and give its path to the tracker, weights='...'.{meant}"
        )


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


def _wait_for(lock: TextIO) -> None:
    """Take the lock; say whom it waits for. Where the system has no such locks, ImportError."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read(20).strip() or "unknown"
        tell(f"Waiting for process {holder}, which downloads to {Path(lock.name).parent} ...")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _download(file: WeightFile, target: Path, put: Path, progress: bool) -> None:
    """Download `file` to `target`, note where it came from; a part that a broken download left is continued."""
    part = target.with_name(target.name + ".part")
    address = hosts.bring(file, part, put, progress)
    _check_digest(file, part, put, address)
    _accept(file, part, put)
    os.replace(part, target)
    forget(part)
    write_record(file, target, address)


def _check_digest(file: WeightFile, part: Path, put: Path, address: str) -> None:
    """Remove a download that is not the published file, nor the one of vtlab's lock, and say so."""
    found, (digest, told) = sha256_of(part), expected(file)
    if digest is not None and found != digest:
        forget(part)
        raise WeightsError(
            f"The download of {file.name!r} from {address} has sha256 {found}, {told} is {digest}; it was "
            f"removed. Remedy: try again later, or put the right file at {put} (source: {file.source})."
        )


def _accept(file: WeightFile, part: Path, put: Path) -> None:
    """Refuse a file that can't be the published one; without a published sha256 nothing else would."""
    size = part.stat().st_size
    try:
        if not file.sha256 and file.size and size != file.size:
            raise WeightsError(f"it has {size} bytes, its publisher's has {file.size}")
        if not file.sha256:
            check_look(part, file.name)
    except WeightsError as error:
        forget(part)
        raise unreachable(file, put, f"what came was removed: {error}") from error
