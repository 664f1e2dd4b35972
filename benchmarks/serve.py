"""Servers: requests a second and latency with 1, 10 and 100 clients, what a frame costs over `track`, memory over 10,000
requests. `python -m benchmarks.serve`; needs vtlab[serve]."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil

from vtlab.prompts import BoxPrompt
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.jobs import Limits
from vtlab.serve.supervisely import Supervisely
from vtlab.serve.web import running
from vtlab.testing.hosts.base import Client, square
from vtlab.testing.hosts.supervisely import GEOMETRIES, TOKEN, VIDEO, FakeSupervisely
from vtlab.testing.toys import ShiftBox
from vtlab.trackers.loop import track

LIMITS = Limits(rate=0, keep_seconds=1)


def asked(client: Client, clients: int, requests: int, ask) -> dict[str, float]:
    """Latencies of requests by several clients at once."""
    seconds: list[float] = []
    lock = threading.Lock()

    def one(_: int) -> None:
        begin = time.perf_counter()
        status, _ = ask(client)
        spent = time.perf_counter() - begin
        assert status == 200, status
        with lock:
            seconds.append(spent)

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(requests)))
    total = time.perf_counter() - begin
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"clients": clients, "requests/s": requests / total, "p50 ms": p50, "p99 ms": p99}


def per_frame(client: Client, fake: FakeSupervisely, frames: int) -> tuple[float, float]:
    """Milliseconds a frame that `/track-api` takes, and that `track` takes on the same frames in memory; medians of 5."""
    body = {
        "context": {
            "videoId": VIDEO,
            "frameIndex": 0,
            "frames": frames,
            "input_geometries": [{"type": "rectangle", "data": GEOMETRIES["rectangle"]}],
        },
        "server_address": fake.address,
        "api_token": TOKEN,
    }
    array = np.stack([square(min(n, 20)) for n in range(frames + 1)])
    served, plain = [], []
    for _ in range(5):
        begin = time.perf_counter()
        status, rows = client.post("/track-api", body)
        assert (status, len(rows)) == (200, frames)
        served.append(1000 * (time.perf_counter() - begin) / frames)
        begin = time.perf_counter()
        track(array, BoxPrompt((20, 30, 50, 60)), ShiftBox, progress=False)
        plain.append(1000 * (time.perf_counter() - begin) / frames)
    return statistics.median(served), statistics.median(plain)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    requests = parser.parse_args().requests
    with FakeSupervisely(frames=101) as fake:
        for n in range(fake.frames):  # the square stays at the edge
            fake._images[n] = fake.frame(n) if n <= 20 else fake._images[20]
        door = Supervisely(Core((ShiftBox,), LIMITS), Outward((fake.address,), private=True))
        with running([door], "token") as url:
            client = Client(url, "token")
            served, plain = per_frame(client, fake, 100)
            print(
                f"a frame by /track-api {served:.2f} ms, by track {plain:.2f} ms, over it {served - plain:.2f} ms"
            )
            context = {"videoId": VIDEO, "frameIndex": 3, "frames": 4}
            geometry = [{"type": "rectangle", "data": GEOMETRIES["rectangle"]}]
            body = {
                "context": {**context, "input_geometries": geometry},
                "server_address": fake.address,
                "api_token": TOKEN,
            }
            kinds = {
                "get_session_info": lambda c: c.post("/get_session_info", {}),
                "track-api, 4 frames": lambda c: c.post("/track-api", body),
            }
            for name, ask in kinds.items():
                for clients in (1, 10, 100):
                    row = asked(client, clients, max(requests // 20, 100), ask)
                    print(name, " ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
            process, sizes = psutil.Process(), []
            for _ in range(10):
                asked(client, 10, requests // 10, kinds["get_session_info"])
                fake.traffic.clear()
                sizes.append(process.memory_info().rss / 2**20)
            print(
                f"memory after each tenth of {requests} requests, MiB: {' '.join(f'{s:.0f}' for s in sizes)}"
            )


if __name__ == "__main__":
    main()
