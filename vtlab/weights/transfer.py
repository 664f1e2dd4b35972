"""One file over https: resumed where it broke, bounded, shown where it is sent; nothing that is no file is kept."""

from __future__ import annotations

import errno
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError

_BLOCK = 2**20
"""Bytes at once; the progress bar moves by it."""
_ATTEMPTS = 4
"""Tries, each going on where the last one stopped."""
_TIMEOUT = 20.0  # seconds without an answer
_LONGEST = 6 * 3600.0  # seconds for a whole download; a slower one is taken up again by the next call
_LARGEST = 16 * 2**30  # bytes; a bound where the source states no size


def steps(file: WeightFile, put: Path) -> str:
    """The page with three steps: how a person gets the file whose address no command reaches."""
    page = f" (see {file.source})" if file.source and file.source != file.url else ""
    what = f"take {file.inside!r}" if file.inside else "take the file"
    return f"Remedy by hand: 1. open {file.url}{page}; 2. {what}; 3. put it at {put}."


def unreachable(file: WeightFile, put: Path, reason: str) -> WeightsError:
    """The error of a file that can't be had: why, and what to do instead."""
    return WeightsError(
        f"The file {file.name!r} is not on this machine and can't be downloaded: {reason}. {steps(file, put)}"
    )


def tell(what: str) -> None:
    """Say something on standard error, beside a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(what, file=sys.stderr)


def fetch_https(file: WeightFile, part: Path, put: Path, progress: bool) -> None:
    """Read the file's address to `part`; a part that a broken download left is continued.

    Raises:
        WeightsError: The server doesn't give the file, or the disk doesn't take it; what came stays in `part`.
    """
    check_address(file, put, file.url)
    end = time.monotonic() + _LONGEST
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _transfer(file, part, put, (progress, end))
        except urllib.error.HTTPError as error:
            raise unreachable(file, put, _answered(error)) from error
        except urllib.error.URLError as error:
            raise unreachable(file, put, str(error.reason)) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if attempt == _ATTEMPTS:
                raise unreachable(file, put, f"the connection broke {attempt} times: {error}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                forget(part)
            raise WeightsError(
                f"{str(part)!r} can't be written: {error.strerror}. Remedy: free space, or set VTLAB_CACHE."
            ) from error
    return None


def _answered(error: urllib.error.HTTPError) -> str:
    """What a server's refusal means for somebody who wants the file."""
    meaning = {
        401: ": it wants to know who asks (a token, or an account)",
        403: ": it doesn't give the file to everybody; its page may ask you to accept terms first",
        429: ": too many have asked; wait, and call again to go on where it stopped",
    }
    return f"the server answered {error.code} {error.reason}{meaning.get(error.code, '')}"


def check_address(file: WeightFile, put: Path, url: str) -> None:
    """Refuse an address that anybody on the way could answer: https only, http only to this machine."""
    told = urlsplit(url)
    here = told.hostname in ("127.0.0.1", "::1", "localhost")
    if told.scheme not in ("https", "http"):
        raise unreachable(file, put, f"{url!r} is no https address")
    if told.scheme == "http" and not here:
        raise unreachable(
            file, put, f"{url!r} is http, which anybody on the way can change; only https is fetched"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to https addresses only, and says where to."""

    def __init__(self, file: WeightFile, put: Path):
        self._file, self._put = file, put

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        """Check the new address before it is asked."""
        check_address(self._file, self._put, newurl)
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.netloc != new.netloc:
            tell(f"{self._file.name}: {old.hostname} sends to {new.hostname}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
        forget(part)
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
        raise unreachable(file, put, f"the server packs the file ({packed}) though it was asked not to")
    if answer.headers.get_content_type() == "text/html":
        raise unreachable(file, put, "the address is a web page, not the file itself")
    if length and not length.isdecimal():
        raise unreachable(file, put, f"the server announces a length of {length!r}")
    total = start + int(length) if length else None
    if not file.sha256 and file.size and total not in (None, file.size):
        raise unreachable(file, put, f"the server's file has {total} bytes, its publisher's has {file.size}")
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
    from vtlab.files.bars import bar as progress_bar

    (start, total), limit = span, 2 * file.size if file.size else _LARGEST
    done = start
    hidden = None if how[0] else True  # None: hidden unless on a terminal
    with (
        part.open("r+b" if start else "wb") as target,
        progress_bar(
            total=total, initial=start, unit="B", unit_scale=True, desc=file.name, disable=hidden
        ) as bar,
    ):
        target.seek(start)
        target.truncate()
        while block := answer.read1(_BLOCK):
            if time.monotonic() > how[1]:
                raise unreachable(
                    file, put, f"{done} bytes came in {_LONGEST / 3600:g} hours; call again to go on"
                )
            done += len(block)
            if done > limit:
                raise unreachable(file, put, f"the server sends more than {limit} bytes")
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


def forget(part: Path) -> None:
    """Remove what came of a file, and what is known of it."""
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)
