"""The engine: what breaks is one failed cell, what is killed goes on, two runs share the work, a full disk loses nothing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pandas as pd
import pytest
import yaml

from vtlab.engine.claims import Claims
from vtlab.engine.outcome import Outcome
from vtlab.engine.store import Archive
from vtlab.errors import ExperimentError, WriteError
from vtlab.experiments import Store, leaderboard, load_experiment, run_experiment
from vtlab.files import locked
from vtlab.tracks import Tracks

TRIALS = """
import os, time, pathlib

def count(n):
    with open(pathlib.Path(__file__).with_name("log.txt"), "a") as file:
        file.write(f"{n}\\n")
    time.sleep(0.01)
    return {"value": n * 0.5, "tracker": "a" if n % 2 else "b", "sequence": f"s{n}"}

def nasty(what):
    print("before", what, flush=True)
    if what == "hang":
        time.sleep(1000)
    if what == "eat":
        held = []
        while True:
            held.append(os.urandom(1) * (32 << 20))
            time.sleep(0.01)
    if what == "segv":
        import ctypes
        ctypes.string_at(0)
    if what == "kill":
        os.kill(os.getpid(), 9)
    if what == "raise":
        raise ValueError("can not")
    return {"value": 1.0}

def device(n):
    began = time.time()
    time.sleep(0.05)
    seen = float(os.environ["CUDA_VISIBLE_DEVICES"])
    return {"device": seen, "process": os.getpid(), "began": began, "ended": time.time()}

def warm(n):
    global MADE
    if "MADE" not in globals():
        MADE = os.getpid()
    return {"value": float(MADE == os.getpid()), "process": os.getpid()}
"""
RUN = """
import sys
from vtlab.experiments import run_experiment
run_experiment(sys.argv[1], jobs=int(sys.argv[2]), retry="failed")
"""
N = 60


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "trials_of_engine.py").write_text(TRIALS)
    spec = {"trial": "trials_of_engine.py:count", "grid": {"n": list(range(N))}}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path


def started(lab, jobs=1):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(lab / "e.yaml"), str(jobs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def ended(process, seconds=120):
    try:
        _, said = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()


def check_whole(lab, n=N):
    """Every cell is there once, whole, and nothing else."""
    experiment = load_experiment(lab / "e.yaml")
    store = Store.of(experiment, lab / "runs/e")
    assert store.failed() == []
    rows = store.results()
    assert sorted(rows["n"]) == list(range(n))
    assert rows.set_index("n")["value"].to_dict() == {i: i * 0.5 for i in range(n)}
    raw = pd.read_parquet(lab / "runs/e/metrics")
    assert Counter(raw["cell"].astype(str)) == Counter(c.key for c in experiment.cells)
    for folder in ("staging", "failed", "trash"):
        assert list((lab / "runs/e").glob(f"{folder}/*")) == []


def test_twenty_kills_lose_double_and_halve_nothing(lab):
    """kill -9 at moments drawn by a seed, of the run and with it of its process; then it is left to end."""
    draw, kills = random.Random(19), 0
    cells = lab / "runs/e/provenance"
    while kills < 20:
        before = len(list(cells.glob("*"))) if cells.is_dir() else 0
        process = started(lab)
        try:
            deadline = time.monotonic() + 60
            while len(list(cells.glob("*"))) < min(before + draw.randrange(3), N) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(draw.random() * 0.05)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
        kills += 1
    ended(started(lab))
    check_whole(lab)
    ran = Counter(map(int, (lab / "log.txt").read_text().split()))
    assert set(ran) == set(range(N))
    assert sum(ran.values()) <= N + kills  # a kill costs the cell that it hit, no other


def test_a_kill_at_every_step_of_keeping_a_result(tmp_path, monkeypatch):
    """Between any two renamings: the result is there whole once the store is opened again, or it is not there."""
    outcome = Outcome({"value": 1.0}, Tracks.of([0], 1, [[0, 0, 9, 9]]), {"quality": [1.0]})
    for step in range(12):
        folder = tmp_path / str(step)
        archive, left = Archive(folder), [step]
        rename = os.rename

        def dying(a, b, left=left, rename=rename):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            rename(a, b)

        monkeypatch.setattr("vtlab.engine.store.os.rename", dying)
        monkeypatch.setattr("vtlab.engine.store.shutil.rmtree", lambda *a, **k: None)
        with contextlib.suppress(KeyboardInterrupt):
            archive.finish("c1", archive.begin("c1", "run"), outcome, {"cell": "c"})
        monkeypatch.undo()
        again = Archive(folder)
        again.recover(lambda run: True)
        whole = [
            len(list((folder / t).glob("cell=*/part-0.parquet")))
            for t in ("metrics", "timeline", "tracks", "provenance")
        ]
        assert whole in ([0, 0, 0, 0], [1, 1, 1, 1]), step
        assert list(folder.glob("staging/*")) == []
        assert again.has("c1") == (whole[0] == 1) == (step > 0)


def test_two_runs_at_once_share_the_cells(lab):
    first, second = started(lab), started(lab)
    ended(first)
    ended(second)
    check_whole(lab)
    assert Counter(map(int, (lab / "log.txt").read_text().split())) == Counter(range(N))
    runs = pd.read_parquet(lab / "runs/e/provenance")["run"]
    assert runs.nunique() <= 2


def test_a_claim_ends_with_its_run(tmp_path):
    code = (
        "import sys, time, pathlib; from vtlab.engine.claims import Claims\n"
        "with Claims(pathlib.Path(sys.argv[1])) as c:\n    print(c.take('c1'), flush=True); time.sleep(100)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"True\n"
        with Claims(tmp_path) as mine:
            assert not mine.take("c1")
            assert [c.key for c in mine.held()] == ["c1"]
            other.kill()
            other.wait(timeout=30)
            assert mine.held() == []
            assert mine.take("c1")
            mine.sweep()
            assert [p.suffix for p in (tmp_path / "claims").glob("*.run")] == [".run"]
    finally:
        other.kill()
        other.communicate(timeout=30)


def nasty(tmp_path, jobs):
    (tmp_path / "trials_of_engine.py").write_text(TRIALS)
    spec = {
        "name": "nasty",
        "trial": "trials_of_engine.py:nasty",
        "grid": {"what": ["good", "hang", "eat", "segv", "kill", "raise", "fine"]},
        "limits": {"seconds": 15, "memory_mb": 600},
    }
    return run_experiment(load_experiment(spec, tmp_path), tmp_path / "runs", jobs=jobs)


def check_nasty(store):
    assert sorted(store.results()["what"]) == ["fine", "good"]
    kinds = {f.cell.removeprefix("what="): f for f in store.failures()}
    assert {what: f.kind for what, f in kinds.items()} == {
        "hang": "timeout", "eat": "memory", "segv": "killed", "kill": "killed", "raise": "error",
    }  # fmt: skip
    assert "SIGSEGV" in kinds["segv"].reason
    assert "600 MB" in kinds["eat"].reason
    assert kinds["raise"].reason == "ValueError: can not"
    for what, one in kinds.items():
        assert f"before {what}" in (one.folder / "files/log.txt").read_text()


def test_what_breaks_is_one_failed_cell_with_its_log(tmp_path):
    check_nasty(nasty(tmp_path, 1))


def test_the_same_on_dask(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    check_nasty(nasty(tmp_path, 2))


def test_workers_on_dask_keep_what_they_loaded(lab):
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    spec = {"name": "warm", "trial": "trials_of_engine.py:warm", "grid": {"n": list(range(20))}}
    rows = run_experiment(load_experiment(spec, lab), lab / "runs", jobs=2).results()
    assert rows["value"].tolist() == [1.0] * 20
    assert rows["process"].nunique() == 2


def test_a_scheduler_that_runs_already(lab):
    distributed = pytest.importorskip(
        "distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'"
    )
    spec = {"name": "warm", "trial": "trials_of_engine.py:warm", "grid": {"n": [1, 2]}}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        store = run_experiment(load_experiment(spec, lab), lab / "runs", cluster=address)
    assert len(store.results()) == 2


def test_what_runs_when_a_run_is_stopped_is_no_failure(lab):
    """Ctrl-C with several jobs: the cells at work were kept as killed, and left out of the next run."""
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    (lab / "e.yaml").write_text(
        yaml.safe_dump({"trial": "trials_of_engine.py:nasty", "grid": {"what": ["hang", "hang2"]}})
    )
    (lab / "trials_of_engine.py").write_text(TRIALS.replace('what == "hang"', 'what in ("hang", "hang2")'))
    # A shell in the background has Ctrl-C ignored, and children inherit that.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + RUN
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lab / "e.yaml"), "2"], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while sum("before" in f.read_text() for f in lab.glob("runs/e/staging/*/files/log.txt")) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    assert b"KeyboardInterrupt" in said
    store = Store.of(load_experiment(lab / "e.yaml"), lab / "runs/e")
    assert store.failed() == []


def test_a_gpu_is_lent_to_one_cell_at_a_time(lab, monkeypatch):
    """Devices 3 and 7 of a machine, three workers: cells that ask for one wait for it, each sees its own alone."""
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,7")
    spec = {"name": "gpu", "trial": "trials_of_engine.py:device", "grid": {"n": list(range(6))}}
    limits = {"limits": {"gpus": 1}}
    rows = run_experiment(load_experiment({**spec, **limits}, lab), lab / "runs", jobs=3).results()
    assert set(rows["device"]) == {3.0, 7.0}
    assert rows["process"].nunique() == 2
    for _, mine in rows.sort_values("began").groupby("device"):
        assert (mine["began"].to_numpy()[1:] >= mine["ended"].to_numpy()[:-1]).all()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ExperimentError, match="n=0: its limits ask for a GPU, and no worker has one"):
        run_experiment(load_experiment({**spec, **limits}, lab), lab / "none", jobs=2)


def test_waiting_for_the_machine_is_no_part_of_a_cells_time(lab, monkeypatch):
    """A cell that runs alone was stopped while it waited for others."""
    monkeypatch.setenv("VTLAB_CACHE", str(lab / "cache"))
    spec = {"name": "late", "trial": "trials_of_engine.py:count", "grid": {"n": [1]}}
    spec["limits"] = {"alone": True, "seconds": 1.5}
    with locked(lab / "cache/locks/machine.lock", shared=True):
        running = threading.Thread(
            target=run_experiment, args=(load_experiment(spec, lab), lab / "runs"), daemon=True
        )
        running.start()
        while not list(lab.glob("runs/late/staging/*/files/log.txt")):
            time.sleep(0.02)
        time.sleep(2.0)
    running.join(timeout=60)
    (row,) = Archive(lab / "runs/late").table("provenance").to_pylist()
    assert row["seconds"] < 1.5


def test_clusters_that_are_none(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'vtlab[cluster]'")
    spec = load_experiment({"name": "x", "trial": "json:dumps", "fixed": {"obj": 1}}, tmp_path)
    with pytest.raises(ExperimentError, match="there is no such file"):
        run_experiment(spec, tmp_path, cluster=str(tmp_path / "none.yaml"))
    (tmp_path / "s.yaml").write_text("que: a\n")
    with pytest.raises(ExperimentError, match=r"s\.yaml: expected a SLURM cluster"):
        run_experiment(spec, tmp_path, cluster=str(tmp_path / "s.yaml"))
    with pytest.raises(ExperimentError, match="jobs must be at least 1"):
        run_experiment(spec, tmp_path, jobs=0)


def test_a_full_disk_stops_the_run_and_loses_nothing(lab, monkeypatch):
    """The disk is full from the 20th cell on; with room again the run goes on."""
    experiment = load_experiment(lab / "e.yaml")
    archive = Archive(lab / "runs/e")
    inner, kept = Archive.begin, []

    def full(self, key, run):
        if len(kept) == 20:
            raise WriteError("no space") from OSError(28, "No space left on device")
        kept.append(key)
        return inner(self, key, run)

    monkeypatch.setattr(Archive, "begin", full)
    with pytest.raises(WriteError, match="no space"):
        run_experiment(experiment, lab / "runs")
    monkeypatch.undo()
    assert len(archive.done()) == 20
    assert archive.failures() == {}
    run_experiment(experiment, lab / "runs")
    check_whole(lab)


def test_a_disk_that_fills_while_a_result_is_written(tmp_path):
    """A real one of 1 MB, where the system lets us have it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system of 1 MB needs Linux and the rights of root")
    try:
        archive = Archive(disk / "e")
        outcome = Outcome({"value": 1.0}, timelines={"noise": [random.random() for _ in range(20_000)]})
        n = 0
        try:
            for n in range(20):
                archive.finish(f"c{n}", archive.begin(f"c{n}", "run"), outcome, {"cell": str(n)})
        except WriteError as error:
            said = str(error)
        again = Archive(disk / "e")
        assert "No space left on device" in said
        assert 1 <= len(again.done()) == n
        assert len(again.table("timeline")) == n * 20_000
        assert list((disk / "e/staging").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_one_table_for_everybody_who_reads_parquet(lab):
    store = run_experiment(lab / "e.yaml", limit=6)
    folder = store.folder
    assert len(pd.read_parquet(folder / "metrics")) == 6
    import pyarrow.dataset as ds

    assert ds.dataset(folder / "metrics", partitioning="hive").count_rows() == 6
    archive = store.archive
    box, mask = (
        Tracks.of([0], 1, [[0, 0, 9, 9]]),
        Tracks.of([0, 1], 1, [[0, 0, 9, 9]] * 2, attributes=[{"a": 1}, None]),
    )
    for key, tracks in (("k1", box), ("k2", mask), ("k3", Tracks.empty())):
        archive.finish(key, archive.begin(key, "run"), Outcome(tracks={("a", key): tracks}), {})
    table = pd.read_parquet(folder / "tracks")
    assert table[["tracker", "sequence"]].value_counts().to_dict() == {("a", "k1"): 1, ("a", "k2"): 2}
    assert archive.tracks("k1")["a", "k1"].to_frame().equals(box.to_frame())
    assert archive.tracks("k2")["a", "k2"].attributes[0] == {"a": 1}
    assert len(archive.tracks("k3")["a", "k3"]) == 0
    cells = pd.read_parquet(folder / "cells.parquet")
    assert len(cells.merge(pd.read_parquet(folder / "metrics").astype({"cell": str}), on="cell")) == 6


def test_duckdb_reads_it_too(lab):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: pip install 'vtlab[test]'")
    folder = run_experiment(lab / "e.yaml", limit=6).folder
    asked = f"select count(*), sum(value) from read_parquet('{folder}/metrics/*/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(asked).fetchall() == [(6, 7.5)]


def test_a_limit_leaves_the_rest_for_the_next_run(lab):
    assert len(run_experiment(lab / "e.yaml", limit=5).keys()) == 5
    store = run_experiment(lab / "e.yaml", limit=3)
    assert len(store.keys()) == 8
    assert store.failed() == []
    assert leaderboard(store.results()).index.tolist() == ["b", "a"]
    assert json.loads(store.archive.table("provenance").to_pylist()[0]["axes"]).keys() == {"n"}


def test_many_results_are_read_once_and_what_changed_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("vtlab.engine.gathered.WORTH", 5)
    archive = Archive(tmp_path / "e")

    def keep(key, value):
        archive.finish(key, archive.begin(key, "run"), Outcome({"value": value}), {"name": key})

    for n in range(8):
        keep(f"c{n}", float(n))
    first = archive.table("metrics")
    assert first["value"].to_pylist() == [float(n) for n in range(8)]
    with monkeypatch.context() as blind:
        blind.setattr("vtlab.engine.store.read_parquet", None)  # nothing is read one by one
        assert archive.table("metrics").equals(first)
        assert archive.table("metrics", {"c3", "c1"})["value"].to_pylist() == [1.0, 3.0]
    archive.drop(["c2"])
    assert archive.table("metrics")["value"].to_pylist() == [0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    (tmp_path / "e/metrics/cell=c5/part-0.parquet").unlink()
    shutil.copy(tmp_path / "e/metrics/cell=c7/part-0.parquet", tmp_path / "e/metrics/cell=c5/part-0.parquet")
    assert archive.table("metrics")["value"].to_pylist() == [0.0, 1.0, 3.0, 4.0, 7.0, 6.0, 7.0]
    (tmp_path / "e/.metrics.gathered.parquet").write_bytes(b"no table")
    assert len(archive.table("metrics")) == 7
