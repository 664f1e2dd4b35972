"""Weights from hosts with habits, against a server that plays them; and every card has a way that leads to its file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.weights.fake_hosts import DATA, FILE, FOLDER, ROOT, SHA, TOKEN, Hosts, drive_adapter, hosts, hub_at
from vtlab import weights
from vtlab.contracts import WeightFile
from vtlab.errors import WeightsError
from vtlab.weights.hosts import way
from vtlab.weights.lock import recorded
from vtlab.weights.transfer import steps

DRIVE = WeightFile("transt.pth", FOLDER + ROOT, None, 0, "GPL-3.0", "https://example.org", "transt.pth")
HUB = WeightFile(
    "net.pth", "https://huggingface.co/org/model/resolve/main/net.pth", source="https://example.org"
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    for name in ("VTLAB_WEIGHTS", "VTLAB_OFFLINE", "VTLAB_MIRROR", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))
    with hosts() as running:
        yield running


@pytest.fixture
def drive(server: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The server in the place of Google Drive, for the real gdown."""
    pytest.importorskip("gdown", reason="gdown is not installed: pip install 'vtlab[weights]'")
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", drive_adapter(server))
    monkeypatch.setattr(sys.modules["gdown.download"], "DEFAULT_COOKIES_FILE", str(tmp_path / "cookies.txt"))
    return server


@pytest.fixture
def hub(server: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """The server in the place of the hub, for the real huggingface_hub."""
    constants = pytest.importorskip(
        "huggingface_hub.constants", reason="huggingface_hub is not installed: pip install 'vtlab[weights]'"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        constants, "HF_HUB_OFFLINE", False
    )  # whatever it was when another test imported the library
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with hub_at(server):
        yield server


def leftovers(tmp_path: Path) -> set[str]:
    folder = tmp_path / "cache" / "weights"
    return {p.name for p in folder.iterdir()} - {".lock"}


def test_drive_folder_confirmation_page_and_a_broken_connection(drive: Hosts, tmp_path: Path) -> None:
    drive.breaks = 1
    assert weights.fetch(DRIVE, progress=False).read_bytes() == DATA
    assert [re.sub(r"[?].*?(?= |$)", "", a) for a in drive.asked] == [
        "GET /embeddedfolderview",
        "GET /embeddedfolderview",
        "GET /uc",
        "GET /download",
        "GET /download bytes=524288-",
    ]
    assert leftovers(tmp_path) == {"transt.pth", "transt.pth.record"}
    entry = recorded("transt.pth")
    assert entry is not None
    assert (entry["address"], entry["sha256"], entry["size"]) == (FOLDER + ROOT, SHA, len(DATA))


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("quota", r"daily quota of this file is used up: wait 24 hours"),
        ("unshared", r"a page instead of the file: it is no longer shared"),
        ("private", r"folder isn't there any more, or no longer shared"),
        ("short", r"the connection broke; call again to go on"),
    ],
)
def test_what_drive_refuses_is_explained(drive: Hosts, habit: str, reason: str, monkeypatch) -> None:
    monkeypatch.setattr("vtlab.weights.hosts._RETRIES", 0)
    drive.habits = {habit}
    with pytest.raises(
        WeightsError, match=rf"{reason}.*by hand: 1\. open .*2\. take 'transt\.pth'; 3\. put it at"
    ):
        weights.fetch(DRIVE, progress=False)
    if habit == "short":  # what came is kept, and taken up again
        drive.habits, drive.asked = set(), []
        drive.breaks = 1
        assert weights.fetch(DRIVE, progress=False).read_bytes() == DATA


def test_names_in_drive_folders(drive: Hosts) -> None:
    drive.names = {"TransT.PTH": FILE, "other.pth": "O" * 28}
    assert weights.fetch(DRIVE, progress=False).read_bytes() == DATA  # only its case differs
    drive.names = {f"{i}.pth": "O" * 28 for i in range(50)}
    other = WeightFile("n4.pth", FOLDER + ROOT, inside="transt.pth")
    with pytest.raises(
        WeightsError, match=r"no file 'transt\.pth'; of 50 it has .*end at 50 files.*Models/0\.pth"
    ):
        weights.fetch(other, progress=False)


def test_without_gdown_the_extra_and_three_steps_are_named(server: Hosts, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(
        WeightsError, match=r"needs the package 'gdown'.*vtlab\[weights\].*1\. open .*2\. .*3\. put it"
    ):
        weights.fetch(DRIVE)


def test_hub_and_its_own_cache_offline(hub: Hosts, tmp_path: Path, monkeypatch) -> None:
    path = weights.fetch(HUB, progress=False)
    assert path.read_bytes() == DATA
    path.unlink()
    monkeypatch.setenv("VTLAB_OFFLINE", "1")
    hub.asked = []
    assert weights.fetch(HUB, progress=False).read_bytes() == DATA
    assert hub.asked == []
    absent = WeightFile("b.pth", "https://huggingface.co/org/model/resolve/main/b.pth")
    with pytest.raises(WeightsError, match=r"VTLAB_OFFLINE forbids it, and the hub's cache doesn't hold it"):
        weights.fetch(absent, progress=False)


@pytest.mark.parametrize("habits", [{"gated"}, {"gated", "unknown"}])
def test_gated_models_ask_for_terms_and_a_token(hub: Hosts, habits: set[str], monkeypatch) -> None:
    hub.habits = habits
    with pytest.raises(
        WeightsError, match=r"1\. accept them at https://huggingface.co/org/model; 2\. `hf auth login`"
    ):
        weights.fetch(HUB, progress=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert weights.fetch(HUB, progress=False).read_bytes() == DATA


def test_hub_that_has_no_such_file_or_is_away(hub: Hosts, monkeypatch) -> None:
    absent = WeightFile("a.pth", "https://huggingface.co/org/model/resolve/main/absent.pth")
    with pytest.raises(WeightsError, match=r"org/model has no such file"):
        weights.fetch(absent, progress=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"the hub can't be reached"):
        weights.fetch(HUB, progress=False)


def test_without_the_hubs_library_the_address_is_asked(server: Hosts, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    asked = []

    def https(file: WeightFile, part: Path, put: Path, progress: bool) -> None:
        asked.append(file.url)
        part.write_bytes(DATA)

    monkeypatch.setattr("vtlab.weights.hosts.fetch_https", https)
    weights.fetch(HUB, progress=False)
    assert asked == [HUB.url]


def test_redirects_and_refusals(server: Hosts) -> None:
    moved = WeightFile("net.pth", f"{server.url}/redirect/net.pth", None, len(DATA))
    assert weights.fetch(moved, progress=False).read_bytes() == DATA
    for code, meaning in (("401", "who asks"), ("403", "accept terms"), ("429", "too many have asked")):
        server.habits = {code}
        with pytest.raises(WeightsError, match=rf"answered {code} .*{meaning}"):
            weights.fetch(WeightFile("b.pth", f"{server.url}/plain/net.pth"), progress=False)
    server.habits = {"short"}
    with pytest.raises(
        WeightsError, match=rf"server's file has {len(DATA) + 1000} bytes, its publisher's has {len(DATA)}"
    ):
        weights.fetch(WeightFile("c.pth", f"{server.url}/plain/net.pth", None, len(DATA)), progress=False)


def test_a_mirror_comes_first_and_the_official_address_after_it(
    server: Hosts, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = WeightFile("net.pth", f"{server.url}/plain/net.pth", SHA)
    monkeypatch.setenv("VTLAB_MIRROR", f"{server.url}/mirror")
    weights.fetch(file, progress=False).unlink()
    assert server.asked == ["GET /mirror/net.pth"]
    entry = recorded("net.pth")
    assert entry is not None
    assert entry["address"] == f"{server.url}/mirror/net.pth"
    monkeypatch.setenv("VTLAB_MIRROR", f"{server.url}/gone")
    weights.fetch(file, progress=False).unlink()
    assert server.asked[1:] == ["GET /gone/net.pth", "GET /plain/net.pth"]
    assert (
        "doesn't give it (the server answered 404 Not Found); its official address" in capsys.readouterr().err
    )
    monkeypatch.setenv("VTLAB_MIRROR", server.url + "/mirror/net.pth?of={url}")
    weights.fetch(WeightFile("d.pth", file.url), progress=False)
    assert server.asked[-1] == f"GET /mirror/net.pth?of={file.url}"
    assert "so the mirror is trusted" in capsys.readouterr().err


def test_a_mirror_gives_what_lies_in_a_folder(server: Hosts, monkeypatch) -> None:
    monkeypatch.setenv("VTLAB_MIRROR", f"{server.url}/mirror")
    unnamed = WeightFile("net.pth", FOLDER + ROOT)
    assert weights.fetch(unnamed, progress=False).read_bytes() == DATA


def test_every_card_is_fetched_by_one_command_or_by_a_page_with_three_steps(tmp_path: Path) -> None:
    """The number to reach is 0 cards without a way; what isn't stated is said, never invented."""
    ways = {file.name: way(file) for file in weights.known().values()}
    assert set(ways.values()) <= {"https", "hub", "drive", "by hand"}
    for name, how in ways.items():
        file = weights.known()[name]
        page = steps(file, tmp_path / name)
        assert [f"{k}." in page for k in (1, 2, 3)] == [True] * 3, page
        folder = "/folders/" in file.url or ("huggingface.co" in file.url and "/resolve/" not in file.url)
        assert (how == "by hand") == (folder and not file.inside), file
        assert file.source.startswith("https://"), file
        assert not file.size or file.size % 1_000_000, f"{name}: {file.size} is a rounded size"
    hand = sorted(name for name, how in ways.items() if how == "by hand")
    assert hand == [
        "mixformer_cvtL_22k.pth.tar",
        "mixformer_cvt_22k.pth.tar",
        "mixformer_vit_base.pth.tar",
        "mixformer_vit_large.pth.tar",
        "sutrack_b224.pth.tar",
        "sutrack_b384.pth.tar",
        "sutrack_l224.pth.tar",
        "sutrack_l384.pth.tar",
        "sutrack_t224.pth.tar",
        "transt_n2.pth",
    ]


def test_a_card_by_hand_says_its_steps_before_it_asks_anybody(server: Hosts) -> None:
    message = r"nobody states under which name.*1\. open https://drive\.google\.com/.*2\. .*3\. put it at .*weights test"
    with pytest.raises(WeightsError, match=message):
        weights.fetch("transt_n2.pth")
    assert server.asked == []
