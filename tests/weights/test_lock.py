"""The lock of digests: records of this machine, a file to send, and a real network tried by one command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vtlab import weights
from vtlab.cli.app import app
from vtlab.contracts import WeightFile
from vtlab.errors import InputError, WeightsError
from vtlab.weights import lock

NANO = "nanotrackv2.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VTLAB_WEIGHTS", raising=False)
    return tmp_path / "cache" / "weights"


def noted(tmp_path: Path, name: str, content: bytes) -> WeightFile:
    file = WeightFile(name, f"https://example.org/{name}")
    (tmp_path / name).write_bytes(content)
    lock.write_record(file, tmp_path / name, file.url)
    return file


def test_a_lock_grows_and_never_changes_its_mind(tmp_path: Path) -> None:
    noted(tmp_path, "a.pth", b"a")
    to = tmp_path / "lock.json"
    assert set(lock.write_lock(["a.pth", "never.pth"], to)) == {"a.pth"}
    lock.record_path("a.pth").unlink()
    noted(tmp_path, "b.pth", b"b")
    lock.write_lock(["b.pth"], to)
    assert set(lock.read_lock(to)) == {"a.pth", "b.pth"}
    entry = json.loads(to.read_text())["b.pth"]
    assert set(entry) == set(lock.FIELDS)
    assert (entry["address"], entry["size"], entry["strict"]) == ("https://example.org/b.pth", 1, None)
    noted(tmp_path, "b.pth", b"changed")
    with pytest.raises(WeightsError, match=r"says that 'b\.pth' has sha256 .*, here it has .*Remedy"):
        lock.write_lock(["b.pth"], to)


def test_what_was_tried_is_forgotten_with_the_bytes(tmp_path: Path) -> None:
    file = noted(tmp_path, "a.pth", b"a")
    lock.write_record(file, tmp_path / "a.pth", "", strict=True, outputs={"part": "x"})
    entry = lock.recorded("a.pth")
    assert entry is not None
    assert (entry["strict"], entry["address"]) == (True, file.url)
    (tmp_path / "a.pth").write_bytes(b"other")
    lock.write_record(file, tmp_path / "a.pth", "")
    entry = lock.recorded("a.pth")
    assert entry is not None
    assert (entry["strict"], entry["address"]) == (None, "by hand")


@pytest.mark.parametrize(
    "text", ["[]", '{"a": {}}', '{"a": {"sha256": "short"}}', "{", '{"../a": {"sha256": "' + "0" * 64 + '"}}']
)
def test_files_that_are_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.json").write_text(text)
    with pytest.raises(WeightsError):
        lock.read_lock(tmp_path / "lock.json")


def test_the_shipped_lock_agrees_with_the_cards() -> None:
    for name, entry in lock.shipped().items():
        file = weights.known()[name]
        assert file.sha256 in (None, entry["sha256"]), name
        assert file.size in (0, entry["size"]), name
        assert entry["strict"], name


def test_a_digest_of_the_shipped_lock_holds(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WeightFile("a.pth", "https://example.org/a.pth")
    monkeypatch.setattr(lock, "shipped", lambda: {"a.pth": {"sha256": "0" * 64}})
    cache.mkdir(parents=True)
    (cache / "a.pth").write_bytes(b"a")
    with pytest.raises(WeightsError, match=r"in vtlab's lock: 0000"):
        weights.fetch(file)


@pytest.mark.shared
def test_real_weights_are_tried_by_one_command(
    shared_weights: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skvideo", reason="scikit-video is not installed: pip install 'vtlab[notebook]'")
    pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    cache.mkdir(parents=True)
    shutil.copy(shared_weights / NANO, cache / NANO)
    ran = CliRunner().invoke(app, ["weights", "test", "nanotrack-v2", "--json"])
    assert ran.exit_code == 0, ran.output
    (proof,) = json.loads(ran.output)
    assert (proof["held"], proof["strict"], proof["shapes"]) == ("agrees", True, "4 boxes on 2 frames")
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["weights", "lock"])
    assert ran.exit_code == 0, ran.output
    entry = lock.read_lock(tmp_path / "weights.lock.json")[NANO]
    assert entry["outputs"]["hash"] == proof["digest"]
    monkeypatch.setattr(
        "vtlab.deploy.proof.shipped",
        lambda: {NANO: {"outputs": {"part": "nanotrack-v2", "numbers": [0.5] * 16}}},
    )
    ran = CliRunner().invoke(app, ["weights", "test", "nanotrack-v2"])
    assert ran.exit_code == 1
    assert "differs by" in ran.output


def test_no_such_part() -> None:
    from vtlab.deploy.proof import prove_weights

    with pytest.raises(InputError, match=r"No part of the name 'nanotrak-v2' has weights. Did you mean"):
        prove_weights("nanotrak-v2")


def test_list_says_what_a_licence_allows_and_fetch_all_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {r["file"]: r for r in json.loads(CliRunner().invoke(app, ["weights", "list", "--json"]).output)}
    assert rows["scaled_online.pth"]["commercial"] is False
    assert rows["XMem.pth"]["commercial"] is True
    assert rows["mcitrack_t224.pth.tar"]["commercial"] is None
    assert rows["XMem.pth"]["held against"] == "published"
    asked: list[str] = []

    def fetch(name: str) -> Path:
        asked.append(name)
        if name == "XMem.pth":
            raise WeightsError("no network")
        return Path(name)

    monkeypatch.setattr(weights, "fetch", fetch)
    ran = CliRunner().invoke(app, ["weights", "fetch", "--all", "--licence", "permissive"])
    assert ran.exit_code == 1  # one was not fetched; the others were
    assert set(asked) == {name for name, row in rows.items() if row["commercial"]}
    assert CliRunner().invoke(app, ["weights", "fetch"]).exit_code == 1
