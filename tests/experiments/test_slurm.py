"""A real SLURM of one node, with ports and folders of its own: cells run there as its jobs, a killed worker costs none."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slurm
TRIAL = """
import json, os, pathlib, time

def count(n):
    with open(pathlib.Path(__file__).with_name("log.txt"), "a") as file:
        told = {"n": n, "worker": os.getppid(), "job": os.environ["SLURM_JOB_ID"], "gpu": os.environ["CUDA_VISIBLE_DEVICES"]}
        file.write(json.dumps(told | {"began": time.time()}) + "\\n")
    time.sleep(0.5)
    return {"value": n * 0.5}
"""
CONF = """
ClusterName=vtlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
GresTypes=gpu
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000 State=UNKNOWN Gres=gpu:2
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def free_ports(n):
    """Ports that nobody has: the daemons take no number that the system chooses for them."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return found


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which SLURM's commands find it."""
    pytest.importorskip(
        "dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'vtlab[cluster]'"
    )
    lacking = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if lacking:
        pytest.skip(f"SLURM is not installed: no {', '.join(lacking)} (Debian: apt install slurm-wlm munge)")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    folder.chmod(0o755)  # munge's socket lies in a folder that all may enter
    told = {
        "host": platform.node(),
        "ports": free_ports(2),
        "user": getpass.getuser(),
        "cores": os.cpu_count(),
    }
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, **told))
    # Two devices stand for GPUs: SLURM lends them out by number and never opens them.
    devices = "".join(f"Name=gpu File={file}\n" for file in ("/dev/null", "/dev/zero"))
    (folder / "gres.conf").write_text(devices)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.sock",
             f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/seed", f"--log-file={folder}/munge.log"]  # fmt: skip
    running = []
    try:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-c"]):
            log = (folder / f"{command[0]}.out").open("w")
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            log.close()
            time.sleep(0.5)
        deadline = time.monotonic() + 60
        state = ""
        while "idle" not in state:
            if time.monotonic() > deadline or any(p.poll() is not None for p in running):
                said = "\n".join(
                    (folder / f"{n}.out").read_text()[-500:] for n in ("munged", "slurmctld", "slurmd")
                )
                pytest.fail(f"SLURM is installed, but does not start: {said}")
            asked = ["sinfo", "--noheader", "--format=%T"]
            state = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60).stdout
            time.sleep(0.3)
        yield environment
    finally:
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, timeout=60)
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "trials_of_slurm.py").write_text(TRIAL)
    spec = {
        "trial": "trials_of_slurm.py:count",
        "grid": {"n": list(range(16))},
        "limits": {"gpus": 1, "seconds": 60},
    }
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(spec))
    cluster = {
        "queue": "short",
        "jobs": 2,
        "gpus": 1,
        "memory": "500MB",
        "walltime": "00:10:00",
        "interface": "lo",
    }
    (tmp_path / "slurm.yaml").write_text(yaml.safe_dump({**cluster, "log_directory": str(tmp_path / "logs")}))
    return tmp_path


def begun(lab):
    """What the cells wrote down as they began."""
    file = lab / "log.txt"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def run(lab, slurm, *more):
    command = ["-m", "vtlab", "lab", "run", str(lab / "e.yaml"), "--cluster", str(lab / "slurm.yaml"), *more]
    with (lab / "said.txt").open("a") as said:
        return subprocess.Popen([sys.executable, *command], env=slurm, stdout=said, stderr=said)


def wait_for(process, ready, seconds=180):
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_grid_on_slurm_outlives_a_killed_worker_and_a_killed_run(lab, slurm):
    """Two jobs with a GPU each; one worker is killed, then the run itself; the next one ends what is left."""
    first = run(lab, slurm)
    try:
        wait_for(first, lambda: len(begun(lab)) >= 3)
        os.kill(begun(lab)[-1]["worker"], signal.SIGKILL)  # its cell is executed once more, elsewhere
        wait_for(first, lambda: len(list((lab / "runs/e/provenance").glob("cell=*"))) >= 8)
        jobs = subprocess.run(
            ["squeue", "--noheader"], env=slurm, capture_output=True, text=True, timeout=60
        ).stdout
        os.kill(first.pid, signal.SIGKILL)
    finally:
        first.kill()
        first.wait(timeout=60)
    (lab / "squeue.txt").write_text(jobs)
    subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=slurm, timeout=60, check=True)
    second = run(lab, slurm)
    try:
        second.wait(timeout=240)
    finally:
        second.kill()
    said = (lab / "said.txt").read_text()
    assert second.returncode == 0, said
    rows = pd.read_parquet(lab / "runs/e/metrics")
    assert sorted(rows["value"]) == [n * 0.5 for n in range(16)], said
    assert list((lab / "runs/e").glob("failed/*")) == []
    assert len(jobs.splitlines()) == 2
    cells = begun(lab)
    assert {c["gpu"] for c in cells} == {"0", "1"}
    assert len({c["job"] for c in cells}) == 4  # two of each run
    assert len({c["job"] for c in cells} & {line.split()[0] for line in jobs.splitlines()}) == 2
    ran = Counter(c["n"] for c in cells)
    assert set(ran) == set(range(16))
    assert (
        sum(ran.values()) <= 16 + 1 + 2
    )  # the killed worker's cell, and those at work as the run was killed
    by_job = pd.DataFrame(cells).sort_values("began").groupby("job")["began"].diff().dropna()
    assert (by_job >= 0.5).all()  # a device holds one cell at a time


def test_what_slurm_would_refuse_and_cells_that_no_job_could_run_are_told(lab, slurm):
    told = yaml.safe_load((lab / "slurm.yaml").read_text())
    for wrong, what in (
        ({"memory": "50GB"}, "SLURM refuses such a job"),
        ({"gpus": 0, "jobs": 1}, "no worker has one"),
    ):
        (lab / "slurm.yaml").write_text(yaml.safe_dump({**told, **wrong}))
        process = run(lab, slurm)
        try:
            process.wait(timeout=180)
        finally:
            process.kill()
        said = " ".join((lab / "said.txt").read_text().split())
        assert process.returncode == 1, said
        assert what in said
