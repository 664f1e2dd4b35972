"""Player and annotator on a 20-minute 1080p video in a real JupyterLab: time to open and to seek, memory while playing.

Targets: the player opens at once (its share is printed beside that of `open_video`), a seek takes less than 0.3 s,
and neither kernel nor browser grows while it plays. Needs Chromium, as the browser tests do.
"""

from __future__ import annotations

import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

SEGMENT, MINUTES, FPS = 1800, 20, 30
N = MINUTES * 60 * FPS
SEEKS = 30
PLAY_SECONDS = 60

CELLS = """
import os, time, numpy as np, vtlab
t0 = time.perf_counter()
video = vtlab.open_video('long.mp4')
n = len(video)
t1 = time.perf_counter()
x = 5 + 2.0 * (np.arange(n) % 800)
rows = np.stack([x, np.full(n, 200.0), x + 120, np.full(n, 380.0)], -1)
tracks = vtlab.Tracks.of(np.tile(np.arange(n), 3), np.repeat([1, 2, 3], n), np.concatenate([rows] * 3), 0.8)
t2 = time.perf_counter()
player = tracks.player(video)
t3 = time.perf_counter()
open('times.json', 'w').write(__import__('json').dumps([os.getpid(), n, t1 - t0, t3 - t2]))
player
"""

# The number of a frame within its minute is in the blocks of its lower edge.
READ = """() => {
  const c = document.querySelector('.vt-player canvas.vt-panel'), g = c.getContext('2d'), k = c.width / 1920; let n = 0;
  for (let bit = 0; bit < 12; bit++)
    if (g.getImageData(Math.round((100 * bit + 50) * k), Math.round(1020 * k), 1, 1).data[0] > 128) n += 1 << bit;
  return n; }"""


def numbered():
    """One minute of frames that carry their number, over a pattern that moves."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 120, (34, 68, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    for i in range(SEGMENT):
        image = np.ascontiguousarray(ground[:1080, i % 200 : i % 200 + 1920])
        image[980:1060, :1200] = 0
        for bit in range(12):
            if i >> bit & 1:
                image[980:1060, 100 * bit : 100 * bit + 90] = 255
        yield image


def long_video(folder: Path) -> Path:
    """Encode one minute and repeat its packets."""
    import av

    from vtlab.video import write_video

    minute, target = write_video(folder / "minute.mp4", numbered(), FPS, quality=28), folder / "long.mp4"
    with av.open(str(minute)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        length = int(Fraction(SEGMENT, FPS) / stream.time_base)
        for k in range(MINUTES):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is None:
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts + k * length, packet.dts + k * length, copy
                out.mux(packet)
    return target


def megabytes(processes: list[psutil.Process]) -> float:
    return sum(p.memory_info().rss for p in processes if p.is_running()) / 2**20


def renderers() -> list[psutil.Process]:
    """The browser's processes that hold pages and pictures."""
    mine = psutil.Process().children(recursive=True)
    return [p for p in mine if any(a in ("--type=renderer", "--type=gpu-process") for a in p.cmdline())]


def main() -> None:
    from playwright.sync_api import sync_playwright

    from tests.studio import browser as helpers

    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name) / "lab", Path(name) / "home"
        folder.mkdir()
        home.mkdir()
        video = long_video(folder)
        notebook = helpers.notebook([CELLS])
        (folder / "player.ipynb").write_text(json.dumps(notebook))
        url, server = helpers.start_lab(folder, home)
        try:
            with sync_playwright() as p:
                browser = p.chromium.launch(executable_path=helpers.chromium(), args=helpers.ARGUMENTS)
                page = browser.new_page(viewport={"width": 1200, "height": 950})
                page.goto(f"{url}/lab/tree/player.ipynb?token=x&reset")
                page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
                page.wait_for_function(helpers.CONNECTED, timeout=120_000)
                measure(page, folder, video.stat().st_size)
                browser.close()
        finally:
            server.terminate()
            server.wait(30)


def measure(page: Any, folder: Path, size: int) -> None:
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".vt-player", timeout=120_000)
    begin = time.perf_counter()
    page.wait_for_selector(".vt-player[data-frame='0']", timeout=120_000)
    first = time.perf_counter() - begin
    pid, n, opened, made = json.loads((folder / "times.json").read_text())
    assert n == N, n
    kernel = [psutil.Process(pid)]
    console = Console()
    console.print(
        f"{n} frames of 1920 x 1080, {size / 2**20:.0f} MB: open_video {opened:.2f} s, player {made:.2f} s, "
        f"then {first:.2f} s until the first picture"
    )

    number = page.get_by_label("frame number")
    spent = []
    for frame in np.random.default_rng(1).integers(0, n, SEEKS).tolist():
        number.fill(str(frame))
        begin = time.perf_counter()
        number.press("Enter")
        page.wait_for_selector(f".vt-player[data-frame='{frame}']", timeout=30_000)
        spent.append(time.perf_counter() - begin)
        assert page.evaluate(READ) == frame % SEGMENT
    quarter, median, most = np.percentile(spent, [25, 50, 100])
    console.print(
        f"{SEEKS} seeks: 25 % within {quarter:.2f} s, half within {median:.2f} s, the slowest {most:.2f} s"
    )

    table = Table(title="memory while playing, MB")
    for column in ("played, s", "frame", "kernel", "browser", "browser's JS heap"):
        table.add_column(column, justify="right")
    heap = page.context.new_cdp_session(page)
    heap.send("Performance.enable")
    page.keyboard.press("Home")
    page.locator(".vt-player select").select_option("4")
    page.locator(".vt-player button[title^=play]").click()
    begin = time.perf_counter()
    for due in range(0, PLAY_SECONDS + 1, PLAY_SECONDS // 6):
        page.wait_for_timeout(max(0.0, 1000 * (due - (time.perf_counter() - begin))))
        metrics = {m["name"]: m["value"] for m in heap.send("Performance.getMetrics")["metrics"]}
        shown = page.locator(".vt-player").get_attribute("data-frame")
        table.add_row(
            f"{due}",
            str(shown),
            f"{megabytes(kernel):.0f}",
            f"{megabytes(renderers()):.0f}",
            f"{metrics['JSHeapUsedSize'] / 2**20:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
