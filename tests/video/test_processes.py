"""Videos in other processes, and files that change while they are read."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.video.clips import encode, number, picture
from vtlab.errors import VideoError
from vtlab.video import Video, open_video

SECONDS = 120


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    first, *rest = [Image.fromarray(picture(i)) for i in range(20)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, lossless=True)
    return tmp_path / "a.webp"


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    (tmp_path / "stills").mkdir()
    for index in range(20):
        Image.fromarray(picture(index)).save(tmp_path / "stills" / f"{index}.png")
    return tmp_path / "stills"


def _numbers(video: Video, places: list[int]) -> list[int]:
    return [number(video[i]) for i in places] + [number(f.image) for f in video[::3].frames(0, 4)]


EXPECTED = [3, 17, 2, 0, 3, 6, 9]


def _run(code: str, path: object) -> None:
    """Run `code` on `path` in a Python of its own.

    A process that forks must be a fresh one: this one has had the threads of every test before, and what their
    libraries (OpenMP, a browser's driver) leave locked in a forked child is not ours to mend.
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    done = subprocess.run(command, timeout=SECONDS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


FORKED = """
    import os, sys, threading
    from tests.video.clips import number
    from vtlab.video import open_video
    video = open_video(sys.argv[1], cache_bytes=0)
    assert number(video[2]) == 2
    going = video.frames()
    assert number(next(going).image) == 0
    other = open_video(sys.argv[1])
    pid = os.fork()
    assert [number(video[i]) for i in (3, 17, 2)] == [3, 17, 2]
    assert number(next(going).image) == 1
    assert [number(f.image) for f in video.frames(step=-1)] == list(range(len(video) - 1, -1, -1))
    del other
    if pid == 0:
        video.close()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("kind", ["clip", "animation", "stills"])
def test_a_forked_child_reads_on(request: pytest.FixtureRequest, kind: str) -> None:
    _run(FORKED, request.getfixturevalue(kind))


THREADED = """
    import multiprocessing, sys, threading
    from tests.video.clips import number
    from vtlab.video import open_video
    video, stop = open_video(sys.argv[1], cache_bytes=0), threading.Event()
    def read():
        while not stop.is_set():
            video[37], video[11]
    def check():
        assert [number(video[i]) for i in (3, 17, 2)] == [3, 17, 2]
        assert [number(f.image) for f in video[::3].frames(0, 4)] == [0, 3, 6, 9]
    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(8):
            child = multiprocessing.get_context("fork").Process(target=check)
            child.start()
            child.join(30)
            assert child.exitcode == 0, child.exitcode
    finally:
        stop.set()
        thread.join()
"""


def test_fork_while_another_thread_reads(clip: Path) -> None:
    _run(THREADED, clip)


GARBAGE = """
    import gc, os, sys
    import av
    gc.disable()
    for _ in range(8):  # decoders with running threads, reached only through a circle
        container = av.open(sys.argv[1])
        container.streams.video[0].thread_type = "AUTO"
        ring = [container, next(container.decode(video=0))]
        ring.append(ring)
    del ring, container
    import vtlab.video
    pid = os.fork()
    if pid == 0:
        gc.collect()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_child_leaves_its_parents_garbage_alone(clip: Path) -> None:
    _run(GARBAGE, clip)


@pytest.mark.parametrize("kind", ["clip", "animation", "stills"])
def test_pickled_for_another_process(request: pytest.FixtureRequest, kind: str) -> None:
    video = open_video(request.getfixturevalue(kind))
    assert number(video[2]) == 2
    data = pickle.dumps(video)
    assert len(data) < 20_000
    again = pickle.loads(data)
    assert (again.name, again.fps, again.digest()) == (video.name, video.fps, video.digest())
    assert _numbers(again, [3, 17, 2]) == EXPECTED
    part = pickle.loads(pickle.dumps(video[4:16:2]))
    assert (part.span, number(part[1])) == ((4, 2), 6)


def _check(video: Video) -> None:
    assert _numbers(video, [3, 17, 2]) == EXPECTED


def test_spawned_child(clip: Path) -> None:
    video = open_video(clip)
    assert number(video[2]) == 2
    child = multiprocessing.get_context("spawn").Process(target=_check, args=(video,))
    child.start()
    child.join(SECONDS)
    assert child.exitcode == 0


def test_array_is_pickled() -> None:
    video = pickle.loads(pickle.dumps(open_video(np.stack([picture(i) for i in range(20)]))))
    assert _numbers(video, [3, 17, 2]) == EXPECTED


LOADED = """
    import sys
    import numpy as np
    from torch.utils.data import DataLoader
    from tests.video.clips import number
    from vtlab.video import open_video
    if __name__ == "__main__":
        video = open_video(sys.argv[1])
        assert number(video[5]) == 5
        loader = DataLoader(video, batch_size=10, num_workers=2, multiprocessing_context={start!r}, timeout=50)
        for _ in range(2):
            images = np.concatenate([batch.numpy() for batch in loader])
            assert [number(image) for image in images] == list(range(60))
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_data_loader_with_workers(clip: Path, start: str) -> None:
    pytest.importorskip("torch.utils.data", reason="torch is not installed: pip install 'vtlab[torch]'")
    _run(LOADED.format(start=start), clip)


@pytest.mark.parametrize("by_rename", [True, False])
def test_a_replaced_file_is_noticed(tmp_path: Path, by_rename: bool) -> None:
    path = encode(tmp_path / "a.mp4", 40, g="12")
    other = encode(tmp_path / "b.mp4", 50, g="12")
    video = open_video(path, cache_bytes=0)
    frames = video.frames()
    assert number(next(frames).image) == number(video[0]) == 0
    (os.replace if by_rename else shutil.copyfile)(other, path)
    for read in (lambda: video[30], lambda: next(frames), lambda: next(video.frames(step=-1)), video.digest):
        with pytest.raises(VideoError, match=r"a\.mp4' was changed or replaced while it was open.*Remedy"):
            read()
    assert len(open_video(path)) == 50
    video = open_video(path, cache_bytes=0)
    path.unlink()
    with pytest.raises(VideoError, match=r"a\.mp4' can't be read any more.*Remedy"):
        video[3]


def test_a_replaced_image_is_noticed(stills: Path, animation: Path) -> None:
    video = open_video(stills, cache_bytes=0)
    Image.fromarray(picture(99)).save(stills / "7.png")
    assert number(video[6]) == 6
    with pytest.raises(VideoError, match=r"7\.png' was changed or replaced"):
        video[7]
    video = open_video(animation, cache_bytes=0)
    animation.write_bytes(animation.read_bytes() + b"\0")
    with pytest.raises(VideoError, match=r"a\.webp' was changed or replaced"):
        video[7]
