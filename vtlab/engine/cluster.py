"""Cells on dask: workers in this process, on a SLURM cluster, or those of a scheduler that runs already.

A thread of a worker is one slot (of vtlab's own workers each has one). It executes its cells in a warm process of its own
(`guard`), so what breaks there never breaks the worker. Workers of other machines must see the store under the same path.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from vtlab.engine.guard import Guard, GuardClosedError
from vtlab.engine.store import Archive
from vtlab.engine.task import Status, Task, failed
from vtlab.errors import ExperimentError, VtlabError, needs
from vtlab.files import read_text, read_yaml

_WAIT = 300.0
"""Seconds to wait for the first worker of a cluster, which may stand in a queue."""
_ANSWER = 60.0
"""Seconds in which SLURM must answer."""
_KEPT = "What had finished is kept; the same command goes on from there."
_LOOK = 5.0
"""Seconds between two looks at which workers there are."""
_QUIET = {"dashboard": False, "dashboard_address": ":0"}
"""Options of a scheduler that nobody looks at: without a port of its own two runs would quarrel about dask's default."""
_GUARDS: dict[tuple[str, int], Guard] = {}
"""(address of a worker, its thread) -> the process in which its cells run."""
_SLURM = ("queue", "account", "cores", "memory", "walltime", "jobs", "gpus", "interface", "log_directory", "prologue",
          "extra_directives")  # fmt: skip


class Cluster:
    """An executor on dask.

    Args:
        jobs: Workers on this machine, or jobs of a cluster.
        place: None for this machine; a YAML file of a SLURM cluster; or the address of a scheduler.
        wait: Seconds to wait for the first worker.

    Raises:
        MissingDependencyError: dask is not installed.
        ExperimentError: The file says what no cluster has.
    """

    def __init__(self, jobs: int, place: str | Path | None = None, *, wait: float = _WAIT):
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise needs(error.name or "distributed", "cluster", "Several cells at once") from None
        self._place, self._wait = place, wait
        self._slurm = _read_slurm(Path(place)) if place is not None and _is_file(place) else None
        self._jobs = jobs if self._slurm is None else int(self._slurm.get("jobs", jobs))
        self._workers: list[dict[str, Any]] = []
        self._looked, self._seen = -_LOOK, 0.0
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: dict[str, tuple[Task, Path, str]] = {}
        self._open = ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        """Start the workers; raises `ExperimentError` where none comes."""
        from distributed import Client

        try:
            self._client = self._open.enter_context(Client(self._cluster(), set_as_default=False))
            self._client.wait_for_workers(1, timeout=self._wait)
        except (TimeoutError, OSError) as error:
            self._open.close()
            raise ExperimentError(
                f"No worker came within {self._wait:g} s: {error}. Remedy: see the queue, or the log of its job."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def slots(self) -> int:
        """See `Executor`; of a scheduler that runs already the threads of its workers, who come and go."""
        if self._place is None or self._slurm is not None:
            return self._jobs
        return max(sum(w["nthreads"] for w in self._known()), self._jobs)

    def _known(self) -> list[dict[str, Any]]:
        """The workers that there are, as the scheduler tells of them."""
        if time.monotonic() - self._looked >= _LOOK:
            self._workers = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
            self._looked = time.monotonic()
            self._seen = self._looked if self._workers else self._seen or self._looked
        return self._workers

    def submit(self, task: Task, folder: Path, run: str) -> None:
        """See `Executor`; raises `ExperimentError` where a task needs a GPU and no worker has one."""
        if task.limits.gpus and not any("GPU" in w["resources"] for w in self._known()):
            raise ExperimentError(
                f"{task.name}: its limits ask for a GPU, and no worker has one. Remedy: a machine with a driver, `gpus: 1` "
                "in a SLURM cluster's file, or workers that were started with --resources GPU=1."
            )
        resources = {"GPU": task.limits.gpus} if task.limits.gpus else None
        self._tasks[task.key] = task, folder, run
        future = self._client.submit(
            on_worker, task, folder, run, key=f"{task.key}-{run}", pure=False, resources=resources
        )
        future.add_done_callback(lambda done: self._ended.put((task.key, done)))

    def next(self) -> Status:
        """See `Executor`; a task whose worker was lost for good is failed."""
        while True:
            try:
                key, future = self._ended.get(timeout=1.0)
                break
            except queue.Empty:  # looked at now and then, so that Ctrl-C is heard
                self._check_workers()
        task, folder, run = self._tasks.pop(key)
        error = future.exception() if future.status == "error" else None
        if error is None and future.status == "finished":
            return future.result()  # type: ignore[no-any-return]
        if isinstance(error, VtlabError):
            raise error
        if error is None and self._client.status != "running":
            raise ExperimentError(f"The scheduler {self._place or ''} went away. {_KEPT}")
        archive = Archive(folder, recover=False)
        reason = f"Its worker was lost: {type(error).__name__ if error else future.status}: {error or ''}"
        record = {"kind": "lost", "reason": reason.rstrip(": "), "run": run}
        return failed(archive, task, archive.begin(key, run), record)

    def _check_workers(self) -> None:
        """Raise `ExperimentError` where no worker has been there for as long as a first one is waited for."""
        if not self._known() and time.monotonic() - self._seen > self._wait:
            raise ExperimentError(
                f"No worker has been there for {self._wait:g} s. {_KEPT} Remedy: see the queue, or the log of its jobs."
            )

    def _cluster(self) -> Any:
        """What a client connects to."""
        if self._place is None:
            return self._open.enter_context(self._local())
        if self._slurm is None:
            return str(self._place)
        return self._open.enter_context(_slurm(self._slurm, self._jobs))

    def _local(self) -> Any:
        """Workers within this process. Where the machine has GPUs, each sees one of them, and the first that sees it has it
        as its own: a cell that asks for a GPU goes there, alone among those that ask."""
        from distributed import Scheduler, SpecCluster, Worker

        devices = gpus()
        workers: dict[Any, Any] = {}
        for i in range(self._jobs):
            name = f"gpu-{devices[i % len(devices)]}-{i}" if devices else f"cpu-{i}"
            own = {"GPU": 1} if i < len(devices) else {}
            options = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "name": name, "resources": own}
            workers[name] = {"cls": Worker, "options": options}
        options = {**_QUIET, "host": "127.0.0.1", "port": 0}
        scheduler = {"cls": Scheduler, "options": options}
        return SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50)


def on_cluster(jobs: int, place: str | Path | None) -> Cluster:
    """Where cells are executed (see `Cluster`)."""
    return Cluster(jobs, place)


def on_worker(task: Task, folder: Path, run: str) -> Status:
    """Execute a task on a dask worker, in that worker's warm process."""
    from distributed import Reschedule, get_worker

    worker = get_worker()
    place = worker.address, threading.get_ident()
    guard = _GUARDS.get(place)
    if guard is None:
        name = str(worker.name)
        # One device a worker; on a cluster the queue has set it already.
        told = {"CUDA_VISIBLE_DEVICES": name[4:].rpartition("-")[0]} if name.startswith("gpu-") else {}
        if not any(address == worker.address for address, _ in _GUARDS):
            _close_guards_with(worker)
        guard = _GUARDS[place] = Guard(told)
    try:
        return guard.run(task, folder, run)
    except GuardClosedError:
        raise Reschedule from None  # this worker ends, another may take it


def _close_guards_with(worker: Any) -> None:
    """End the warm processes of a worker when the worker ends."""
    inner = worker.close

    async def close(*args: Any, **kwargs: Any) -> Any:
        for place in [p for p in _GUARDS if p[0] == worker.address]:
            _GUARDS.pop(place).close()
        return await inner(*args, **kwargs)

    worker.close = close


def gpus() -> list[str]:
    """Numbers of the GPUs that may be used, as CUDA counts them; none where there is no driver."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [d.strip() for d in told.split(",") if d.strip() and d.strip() != "-1"]
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
        return found.stdout.split()
    return []


def _is_file(place: str | Path) -> bool:
    return "://" not in str(place) and str(place).endswith((".yaml", ".yml"))


def _read_slurm(file: Path) -> dict[str, Any]:
    what = "a SLURM cluster in YAML"
    if not file.is_file():
        raise ExperimentError(
            f"{file}: there is no such file. Remedy: a SLURM cluster's YAML file, or tcp://HOST:PORT."
        )
    found = read_yaml(read_text(file, what, ExperimentError), file, ExperimentError)
    if not isinstance(found, dict) or set(found) - set(_SLURM):
        raise ExperimentError(f"{file}: expected {what} with {', '.join(_SLURM)}; got {str(found)[:200]}.")
    return found


def _slurm(told: dict[str, Any], jobs: int) -> Any:
    """A cluster whose workers are SLURM's jobs, one worker a job."""
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise needs(error.name or "dask-jobqueue", "cluster", "A SLURM cluster") from None
    given = dict(told)
    devices = int(given.pop("gpus", 0))
    given.pop("jobs", None)
    prologue, directives = list(given.pop("prologue", [])), list(given.pop("extra_directives", []))
    if devices:
        directives.append("--gres=gpu:1")
    options: dict[str, Any] = {"cores": 1, "memory": "4GB", "walltime": "01:00:00", **given}
    cluster = SLURMCluster(
        processes=1,
        job_cpu=options.pop("cores"),
        cores=1,
        nanny=True,
        worker_extra_args=["--resources", "GPU=1"] if devices else [],
        job_script_prologue=prologue,
        job_extra_directives=directives,
        scheduler_options=dict(_QUIET),
        **options,
    )
    _check_job(cluster.job_script())
    cluster.scale(jobs=jobs)
    return cluster


def _check_job(script: str) -> None:
    """Raise `ExperimentError` where SLURM would refuse a job: dask would ask again and again, and nobody would come."""
    asked = ["sbatch", "--test-only"]  # the script on its standard input
    try:
        found = subprocess.run(
            asked, input=script, capture_output=True, text=True, timeout=_ANSWER, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExperimentError(
            f"SLURM can't be asked: {error}. Remedy: run this where sbatch works."
        ) from None
    if found.returncode:
        wanted = "; ".join(line[8:] for line in script.splitlines() if line.startswith("#SBATCH "))
        raise ExperimentError(
            f"SLURM refuses such a job: {' '.join(found.stderr.split())} It would ask for: {wanted}."
        )
