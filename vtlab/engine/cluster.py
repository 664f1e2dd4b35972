"""Cells on dask: workers in this process, on a SLURM cluster, or those of a scheduler that runs already.

A worker is one slot. It executes its cells in a warm process of its own (`guard`), so what breaks there never breaks the
worker. Workers of other machines must see the store's folder under the same path.
"""

from __future__ import annotations

import os
import queue
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from vtlab.engine.guard import Guard
from vtlab.engine.store import Archive
from vtlab.engine.task import Status, Task, failed
from vtlab.errors import ExperimentError, VtlabError, needs
from vtlab.files import read_text, read_yaml

_WAIT = 300.0
"""Seconds to wait for the first worker of a cluster, which may stand in a queue."""
_GUARDS: dict[str, Guard] = {}
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
        self.slots = jobs
        self._place, self._wait = place, wait
        self._slurm = _read_slurm(Path(place)) if place is not None and _is_file(place) else None
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
        if self._place is not None:
            self.slots = max(len(self._client.scheduler_info(n_workers=-1)["workers"]), self.slots)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def submit(self, task: Task, folder: Path, run: str) -> None:
        """See `Executor`."""
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
            except queue.Empty:
                continue  # so that Ctrl-C is heard
        task, folder, run = self._tasks.pop(key)
        error = future.exception() if future.status == "error" else None
        if error is None and future.status == "finished":
            return future.result()  # type: ignore[no-any-return]
        if isinstance(error, VtlabError):
            raise error
        archive = Archive(folder, recover=False)
        reason = f"Its worker was lost: {type(error).__name__ if error else future.status}: {error or ''}"
        record = {"kind": "lost", "reason": reason.rstrip(": "), "run": run}
        return failed(archive, task, archive.begin(key, run), record)

    def _cluster(self) -> Any:
        """What a client connects to."""
        if self._place is None:
            return self._open.enter_context(self._local())
        if self._slurm is None:
            return str(self._place)
        return self._open.enter_context(_slurm(self._slurm, self.slots))

    def _local(self) -> Any:
        """Workers within this process, the first of them with a GPU each, where the machine has some."""
        from distributed import Scheduler, SpecCluster, Worker

        devices = gpus()[: self.slots]
        workers: dict[Any, Any] = {}
        for i in range(self.slots):
            options: dict[str, Any] = {
                "nthreads": 1,
                "memory_limit": 0,
                "dashboard": False,
                "name": f"cpu-{i}",
            }
            if i < len(devices):
                options |= {"name": f"gpu-{devices[i]}", "resources": {"GPU": 1}}
            workers[options["name"]] = {"cls": Worker, "options": options}
        scheduler = {"cls": Scheduler, "options": {"dashboard": False, "host": "127.0.0.1", "port": 0}}
        return SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50)


def on_cluster(jobs: int, place: str | Path | None) -> Cluster:
    """Where cells are executed (see `Cluster`)."""
    return Cluster(jobs, place)


def on_worker(task: Task, folder: Path, run: str) -> Status:
    """Execute a task on a dask worker, in that worker's warm process."""
    from distributed import get_worker

    worker = get_worker()
    guard = _GUARDS.get(worker.address)
    if guard is None:
        name = str(worker.name)
        # One device a worker; on a cluster the queue has set it already.
        environment = {"CUDA_VISIBLE_DEVICES": name[4:]} if name.startswith("gpu-") else {}
        guard = _GUARDS[worker.address] = Guard(environment)
        _close_with(worker, guard)
    return guard.run(task, folder, run)


def _close_with(worker: Any, guard: Guard) -> None:
    """End the warm process of a worker when the worker ends."""

    async def teardown(*_: Any, **__: Any) -> None:
        _GUARDS.pop(worker.address, None)
        guard.close()

    inner = worker.close

    async def close(*args: Any, **kwargs: Any) -> Any:
        await teardown()
        return await inner(*args, **kwargs)

    worker.close = close


def gpus() -> list[str]:
    """Numbers of the GPUs that may be used, as CUDA counts them; none where there is no driver."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [d.strip() for d in told.split(",") if d.strip() and d.strip() != "-1"]
    import subprocess

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
    count, devices = int(given.pop("jobs", jobs)), int(given.pop("gpus", 0))
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
        scheduler_options={"dashboard": False},
        **options,
    )
    cluster.scale(jobs=count)
    return cluster
