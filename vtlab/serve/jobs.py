"""Jobs: trackings that somebody outside asked for, in a fair queue, each with progress, results as they come, and a stop.

jobs = Jobs()
job = jobs.submit("anna", work, total=40)        # work(job) calls job.put(...) for each frame, and ends early when told
job.rows(0)                                      # what there is so far; job.wait() waits for the end
job.stop()                                       # within one frame
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vtlab.errors import VtlabError

State = Literal["waiting", "running", "finished", "stopped", "failed"]
Work = Callable[["Job"], None]
ENDED = frozenset({"finished", "stopped", "failed"})


@dataclass(frozen=True)
class Limits:
    """What a server does at most.

    Attributes:
        running: Jobs at work at once.
        jobs: Jobs that wait or work, of all clients.
        each: Jobs of one client among them.
        kept: Ended jobs whose results are kept.
        keep_seconds: How long they are kept.
        frames: Frames of a job.
        objects: Objects of a job.
        answers: Frames times objects of a job whose results are kept, and of all ended jobs together.
        seconds: Duration of a job; longer ones end with an error and what they have.
        json_bytes: Size of a request's JSON.
        body_bytes: Size of a request that brings images or a video.
        files: Files of a request.
        held_bytes: Size of all images and videos that wait or work with their jobs.
        body_seconds: Time in which a request must have arrived.
        rate: Requests a second of one client, on average over a few seconds.
    """

    running: int = 1
    jobs: int = 256
    each: int = 128
    kept: int = 256
    # About as long as Supervisely's apps keep theirs.
    keep_seconds: float = 60.0
    frames: int = 20_000
    objects: int = 500
    answers: int = 1_000_000
    seconds: float = 3600.0
    json_bytes: int = 4 * 2**20
    body_bytes: int = 512 * 2**20
    files: int = 2000
    held_bytes: int = 2**30
    body_seconds: float = 120.0
    rate: float = 500.0


class RefusedError(VtlabError):
    """A request that is not taken.

    Attributes:
        status: HTTP's number for it: 400 wrong, 401 no token, 403 not allowed, 404 unknown, 408 too slow, 413 too large,
            429 too many, 501 not here.
    """

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class StopJob(Exception):
    """Raised by `Job.check` in the work of a job that was stopped."""


class Job:
    """One tracking.

    Attributes:
        id: Its name, which nobody can guess.
        client: Who asked for it.
        state: "waiting", "running", "finished", "stopped" or "failed".
        done: Steps done; `total`: steps in all.
        error: Why it failed, "" if it didn't. What was found before stays.
        created: Seconds of the clock (`time.time`); `updated`: of its last change.
        size: Bytes that came with it and are held until it ends.
        answers: Results that it keeps at most, frames times objects.
        about: What its door keeps with it.
    """

    def __init__(self, client: str, work: Work, total: int, seconds: float = Limits.seconds):
        self.id = secrets.token_hex(16)
        self.client, self.total, self.done = client, total, 0
        self.state: State = "waiting"
        self.error = ""
        self.created = self.updated = time.time()
        self.about: dict[str, Any] = {}
        self.cancel = threading.Event()
        self.size = self.answers = 0
        self._work: Work | None = work
        self._seconds, self._ends = seconds, float("inf")
        self._rows: list[Any] = []
        self._first = 0  # number of the first row that was not dropped
        self._changed = threading.Condition()
        self._watchers: list[Callable[[], None]] = []

    def put(self, *rows: Any, steps: int = 0) -> None:
        """Add results and count steps; raises `StopJob` where the job should end."""
        with self._changed:
            self._rows += rows
            self.done += steps
            self.updated = time.time()
            self._changed.notify_all()
        self._tell()
        self.check()

    def keeps(self, answers: int, limits: Limits) -> None:
        """Say how many results it keeps at most; raises `RefusedError` where that is too much."""
        if answers > limits.answers:
            raise RefusedError(
                f"{answers} answers, frames times objects; at most {limits.answers} are kept. Remedy: ask for fewer frames."
            )
        self.answers = answers

    def check(self) -> None:
        """Raise `StopJob` if the job should end, `RefusedError` if its time is over."""
        if time.monotonic() > self._ends:
            raise RefusedError(
                f"It took longer than {self._seconds:g} s. Remedy: ask for fewer frames or objects."
            )
        if self.cancel.is_set():
            raise StopJob

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED

    def rows(self, first: int = 0) -> list[Any]:
        """Results from number `first` on."""
        with self._changed:
            return self._rows[max(first - self._first, 0) :]

    def pop(self, keep: Callable[[Any], bool] = lambda _: False) -> list[Any]:
        """Take results out, but those for which `keep` holds."""
        with self._changed:
            found = [row for row in self._rows if not keep(row)]
            self._rows = [row for row in self._rows if keep(row)]
            self._first = 0
            return found

    def stop(self) -> None:
        """End it within one frame; what was found stays."""
        self.cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when `timeout` seconds were over before."""
        with self._changed:
            return self._changed.wait_for(lambda: self.ended, timeout)

    def watch(self, told: Callable[[], None]) -> None:
        """Call `told` after each change, from the job's thread."""
        self._watchers.append(told)

    def unwatch(self, told: Callable[[], None]) -> None:
        """No longer call `told`."""
        with contextlib.suppress(ValueError):
            self._watchers.remove(told)

    def _tell(self) -> None:
        for told in tuple(self._watchers):
            told()

    def run(self) -> None:
        """Do the work in this thread."""
        self._ends = time.monotonic() + self._seconds
        self._set("running")
        try:
            self.check()
            assert self._work is not None
            self._work(self)
            self._set("stopped" if self.cancel.is_set() and self.done < self.total else "finished")
        except StopJob:
            self._set("stopped")
        except Exception as error:  # whatever a tracker raises is this job's end, never the server's
            self.error = str(error) if isinstance(error, VtlabError) else f"{type(error).__name__}: {error}"
            self._set("failed")

    def drop(self) -> None:
        """End it before it began."""
        self.stop()
        self._set("stopped")

    def _set(self, state: State) -> None:
        with self._changed:
            self.state, self.updated = state, time.time()
            if self.ended:
                self._work = None  # and with it the images or the video that came with it
            self._changed.notify_all()
        self._tell()


class Jobs:
    """A queue that serves its clients in turn, one job of each, and the threads that work on it.

    Args:
        limits: What is taken and kept at most.
    """

    def __init__(self, limits: Limits = Limits()):
        self.limits = limits
        self._waiting: OrderedDict[str, deque[Job]] = (
            OrderedDict()
        )  # client -> jobs; the first client is next
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._running: set[Job] = set()
        self._wake = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, client: str, work: Work, total: int, *, size: int = 0, **about: Any) -> Job:
        """Queue a job.

        Args:
            client: Who asks; clients take turns.
            work: Called with the job in a thread of the queue; it calls `job.put` with results, or `job.check`, for
                each frame.
            total: Steps that it will count.
            size: Bytes that came with it and are held until it ends.
            about: Kept in `Job.about`.

        Raises:
            RefusedError: The queue is full, or closed.
        """
        job = Job(client, work, total, self.limits.seconds)
        job.size = size
        job.about.update(about)
        with self._wake:
            if self._closed:
                raise RefusedError("The server is stopping. Remedy: ask again when it has started.", 503)
            self._forget()
            mine = sum(j.client == client for j in self._running) + len(self._waiting.get(client, ()))
            if self.count >= self.limits.jobs or mine >= self.limits.each:
                raise RefusedError(
                    f"{self.count} jobs wait or work, {mine} of them yours; at most {self.limits.jobs} and "
                    f"{self.limits.each} are taken. Remedy: ask again later.",
                    429,
                )
            held = sum(j.size for j in self._known.values() if not j.ended)
            if held + size > self.limits.held_bytes:
                raise RefusedError(
                    f"{held} bytes wait with other jobs already. Remedy: ask again later.", 429
                )
            self._known[job.id] = job
            self._waiting.setdefault(client, deque()).append(job)
            if len(self._threads) < self.limits.running:
                self._threads.append(threading.Thread(target=self._serve, name="vtlab-job", daemon=True))
                self._threads[-1].start()
            self._wake.notify()
        return job

    @property
    def count(self) -> int:
        """Jobs that wait or work."""
        return len(self._running) + sum(map(len, self._waiting.values()))

    def get(self, job_id: Any) -> Job:
        """A job by its id.

        Raises:
            RefusedError: There is none, or it was forgotten.
        """
        with self._wake:
            self._forget()
            job = self._known.get(job_id) if isinstance(job_id, str) else None
        if job is None:
            raise RefusedError(
                f"There is no job {str(job_id)[:64]!r}. Ended ones are kept for {self.limits.keep_seconds:g} s.",
                404,
            )
        return job

    def find(self, **about: Any) -> Job:
        """The newest job with these entries of `Job.about`.

        Raises:
            RefusedError: There is none.
        """
        with self._wake:
            self._forget()
            jobs = [j for j in self._known.values() if about.items() <= j.about.items()]
        if not jobs:
            raise RefusedError(f"There is no job of {str(about)[:80]}.", 404)
        return jobs[-1]

    def forget(self, job: Job) -> None:
        """Stop a job and drop what it found."""
        job.stop()
        with self._wake:
            self._known.pop(job.id, None)

    def close(self, timeout: float = 10.0) -> bool:
        """Stop all jobs within one frame each and end the threads; False if one still works after `timeout` seconds."""
        with self._wake:
            self._closed = True
            dropped = [job for jobs in self._waiting.values() for job in jobs]
            self._waiting.clear()
            for job in self._running:
                job.stop()
            self._wake.notify_all()
        for job in dropped:
            job.drop()
        ends = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _forget(self) -> None:
        """Drop ended jobs that are too old or too many."""
        now = time.time()
        newer = answers = 0
        for job in [job for job in reversed(self._known.values()) if job.ended]:
            newer, answers = newer + 1, answers + job.answers
            full = newer > self.limits.kept or (newer > 1 and answers > self.limits.answers)
            if full or now - job.updated > self.limits.keep_seconds:
                del self._known[job.id]

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            if job.cancel.is_set():
                job.drop()
            else:
                job.run()
            with self._wake:
                self._running.discard(job)

    def _next(self) -> Job | None:
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            if not self._waiting:
                return None
            client, jobs = self._waiting.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                self._waiting[client] = jobs  # behind the other clients
            self._running.add(job)
            return job
