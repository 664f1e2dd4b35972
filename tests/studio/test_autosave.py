"""The corrector's file: nothing that a person or a tracker made is ever lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from vtlab.errors import FormatError, VtlabWarning
from vtlab.prompts import BoxPrompt
from vtlab.session import Session
from vtlab.studio import Corrector
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 12
VIDEO = moving_square(n=N, height=96, width=128)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where correctors save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def box(x: float, frame: int = 0, object_id: int = 1) -> BoxPrompt:
    return BoxPrompt((x, 20, x + 30, 60), object_id=object_id, frame=frame)


def begun(video=VIDEO) -> Session:
    """What the first cells of a notebook make."""
    made = Session(video, "ncc")
    made.add(box(10))
    return made


def act(made: Corrector, do: str, **values) -> str:
    made.act({"do": do, **values})
    made.wait(20)
    return made.view["message"]


def worked(video=VIDEO) -> Corrector:
    made = Corrector(begun(video))
    act(made, "track", direction="forward")
    act(made, "go", frame=5)
    act(made, "box", xyxy=[40, 20, 70, 60])
    return made


def test_every_change_is_on_disk_and_is_there_again_when_the_cell_runs_again(folder):
    made = worked()
    (file,) = folder.iterdir()
    assert file.name.startswith(f"{open_video(VIDEO).name}-")
    on_disk = Session.load(file, VIDEO)
    assert on_disk.tracks.to_frame().equals(made.tracks.to_frame())
    assert on_disk.stale == made.session.stale == {1: [(5, N)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the figure given is among the saved ones
        again = Corrector(begun())
    assert "Restored 2 figures of 1 objects" in again.view["message"]
    assert again.tracks.to_frame().equals(made.tracks.to_frame())
    again.session.undo()
    assert len(again.tracks) == 1  # what the cell gave
    again.session.redo()


def test_going_back_behind_what_was_restored_and_on_keeps_it_beside(folder):
    made = worked()
    before = made.tracks.to_frame()
    again = Corrector(begun())
    with pytest.warns(VtlabWarning, match="kept as older-1-"):
        act(again, "undo")
    act(again, "box", xyxy=[80, 20, 110, 60])
    (kept,) = folder.glob("older-1-*")
    assert Session.load(kept, VIDEO).tracks.to_frame().equals(before)
    act(again, "box", xyxy=[81, 20, 110, 60])
    assert len(list(folder.iterdir())) == 2  # one copy, not one for each edit


def test_saving_over_other_work_keeps_the_older_file(folder):
    path = folder / "work.session.parquet"
    first = begun()
    first.retrack(progress=False)
    first.save(path)
    first.correct(box(30, 4))
    first.save(path)  # its own file
    assert [f.name for f in folder.iterdir()] == [path.name]
    other = Session(VIDEO, "ncc")
    other.add(box(10))
    with pytest.warns(VtlabWarning, match="held other work: it was kept as older-1-work.session.parquet"):
        other.save(path)
    assert len(Session.load(folder / "older-1-work.session.parquet", VIDEO).tracks) == N
    path.write_text("not ours")
    with pytest.warns(VtlabWarning, match="older-2-"):
        other.save(path)
    assert (folder / "older-2-work.session.parquet").read_text() == "not ours"


def test_two_sessions_on_one_file_lose_nothing_and_two_widgets_on_one_session_are_at_peace(folder):
    session = begun()
    one, two = Corrector(session), Corrector(session)
    act(one, "box", xyxy=[20, 20, 50, 60])
    act(two, "box", xyxy=[30, 20, 60, 60])
    act(one, "box", xyxy=[40, 20, 70, 60])
    assert len(list(folder.iterdir())) == 1
    assert Corrector(session).session.prompts[0].xyxy == (40, 20, 70, 60)
    stranger = Corrector(Session(VIDEO, "ncc"), autosave=False)
    act(stranger, "box", xyxy=[1, 2, 30, 60])
    with pytest.warns(VtlabWarning, match="older-1-"):
        act(stranger, "save")
    kept = Session.load(next(iter(folder.glob("older-1-*"))), VIDEO)
    assert kept.prompts[0].xyxy == (40, 20, 70, 60)
    one.wait()


def test_two_videos_of_one_name_never_share_a_file(folder):
    videos = [open_video(moving_square(n=N, height=96, width=128, step=s)) for s in (1, 2)]
    assert videos[0].name == videos[1].name
    made = [Corrector(Session(v, "ncc")) for v in videos]
    for i, corrector in enumerate(made):
        act(corrector, "box", xyxy=[10 * i, 20, 60, 60])
    for i, video in enumerate(videos):
        assert Corrector(Session(video, "ncc")).session.prompts[0].xyxy[0] == 10 * i


def damage(file, how: str) -> None:
    data = file.read_bytes()
    if how == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif how == "text":
        file.write_text("[" * 100_000)
    elif how == "tracks":
        rows = Tracks.load(file)
        rows.replace(meta={}).save(file)
    else:
        rows = Tracks.load(file)
        record = json.loads(json.dumps(rows.meta["session"]))
        if how == "frames":
            record["absent"] = [[1, 10**9]]
        elif how == "spans":
            record["stale"] = {"1": [[5, 3]]}
        elif how == "types":
            record["gone"] = [1, 2]
        elif how == "digest":
            record["video"]["digest"] = "sha256:another"
            record["clip"]["width"] = 7
        rows.replace(meta={**rows.meta, "session": record}).save(file)


@pytest.mark.parametrize("how", ["cut", "text", "tracks", "frames", "spans", "types", "digest"])
def test_a_file_that_can_not_be_taken_up_is_said_and_kept(folder, how):
    worked()
    (file,) = folder.iterdir()
    damage(file, how)
    data = file.read_bytes()
    with pytest.raises(FormatError):
        begun().restore(file)
    with pytest.warns(VtlabWarning, match="Nothing was restored"):
        again = Corrector(begun())
    assert "Nothing was restored" in again.view["message"]
    assert len(again.tracks) == 1
    assert file.read_bytes() == data
    with pytest.warns(VtlabWarning, match="kept as older-1-"):
        act(again, "box", xyxy=[50, 20, 80, 60])
    assert (folder / f"older-1-{file.name}").read_bytes() == data


def test_a_file_saved_by_name_and_newer_wins_over_the_autosave(folder):
    made = worked()
    made.session.correct(box(77, 7))
    made.session.save("mine.session.parquet")
    opened = Session.load("mine.session.parquet", VIDEO)
    again = Corrector(opened)
    assert 7 in again.session.key_frames(1)


def test_a_large_session_is_saved_in_the_background_and_nothing_is_missing_at_the_end(folder, monkeypatch):
    monkeypatch.setattr("vtlab.studio.autosave.AT_ONCE_ROWS", 0)
    made = worked()
    for x in range(20):
        act(made, "box", xyxy=[x, 20, x + 40, 60])
    autosave = made._corrector._autosave
    autosave.flush()
    (file,) = folder.iterdir()
    assert Session.load(file, VIDEO).prompts == made.session.prompts


def test_a_failing_autosave_is_said_and_keeps_the_edit(folder):
    (folder / "taken").write_text("")
    made = Corrector(begun(), path=folder / "taken" / "a.session.parquet")
    assert "Autosave to" in act(made, "box", xyxy=[50, 20, 80, 60])
    assert made.session.prompts[0].xyxy == (50, 20, 80, 60)


SCRIPT = """
import os, vtlab
from vtlab.testing.scenes import moving_square
session = vtlab.Session(moving_square(n=12, height=96, width=128), "ncc")
session.add(vtlab.BoxPrompt((10, 20, 40, 60)))
made = vtlab.Corrector(session)
made.act({"do": "track", "direction": "forward"}); made.wait(60)
made.act({"do": "box", "xyxy": [11, 20, 41, 60]})
os._exit(1)
"""


def test_a_killed_kernel_loses_nothing(folder):
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, timeout=120, check=False, stderr=-1)
    assert done.returncode == 1, done.stderr.decode()
    assert done.stderr == b""
    with pytest.warns(VtlabWarning, match="Restored"):
        again = Corrector(begun())
    assert again.session.prompts[0].xyxy == (11, 20, 41, 60)
    assert len(again.tracks) == N
    assert again.session.stale == {1: [(0, N)]}


def test_work_goes_along_with_a_video_that_moved(folder):
    (folder / "a").mkdir()
    import cv2

    for i, image in enumerate(VIDEO):
        cv2.imwrite(str(folder / "a" / f"{i:03}.png"), np.ascontiguousarray(image[..., ::-1]))
    worked(folder / "a")
    shutil.move(folder / "a", folder / "elsewhere" / "a")
    assert len(Corrector(begun(folder / "elsewhere" / "a")).session.state.keys) == 2
