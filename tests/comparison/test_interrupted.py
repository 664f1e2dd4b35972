"""Interrupting a comparison keeps the trackers that had finished."""

from __future__ import annotations

import time

import pytest

import vtlab
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.errors import Interrupted
from vtlab.testing.scenes import moving_square


class Presses(SingleObjectTracker):
    """Somebody presses Ctrl-C while this one is at work."""

    card = Card("presses", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def init(self, frame, prompt):
        return None

    def step(self, frame):
        if frame.index == 5:
            raise KeyboardInterrupt
        return Observation((1, 1, 9, 9))


def test_the_finished_trackers_are_in_the_exception(tmp_path):
    with pytest.raises(Interrupted, match=r"2 of 4 runs had finished.*\.comparison") as caught:
        vtlab.compare(
            moving_square(9),
            ["identity", "ncc", Presses, "kcf"],
            prompts=vtlab.BoxPrompt((20, 16, 44, 40)),
            progress=False,
        )
    kept = caught.value.comparison
    assert kept.trackers == ["identity", "ncc"]
    assert len(kept.table) == 2
    assert caught.value.tracks.frames.tolist() == list(range(5))
    assert (kept.save(tmp_path / "kept") / "table.csv").is_file()


def test_before_anything_has_finished_there_is_no_comparison():
    with pytest.raises(Interrupted, match="0 of 1 runs had finished$") as caught:
        vtlab.compare(moving_square(9), [Presses], prompts=vtlab.BoxPrompt((1, 1, 9, 9)), progress=False)
    assert caught.value.comparison is None
    assert len(caught.value.tracks) == 5


CELL = """
import signal, time, numpy as np, vtlab
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored, children inherit that
from vtlab.contracts import Card, Observation, SingleObjectTracker
from vtlab.testing.scenes import moving_square

class Slow(SingleObjectTracker):
    card = Card("slow", "sot", accepts=frozenset({vtlab.BoxPrompt}))

    def init(self, frame, prompt):
        print("at work", flush=True)

    def step(self, frame):
        time.sleep(0.2)
        return Observation((1, 1, 9, 9))

video = np.repeat(moving_square(1), 400, axis=0)
vtlab.compare(video, ["identity", Slow], prompts=vtlab.BoxPrompt((1, 1, 9, 9)), progress=False)
"""


@pytest.mark.notebook
def test_interrupting_a_kernel_keeps_them_too(tmp_path_factory):
    client_module = pytest.importorskip(
        "jupyter_client", reason="jupyter_client is not installed: pip install 'vtlab[notebook]'"
    )
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'vtlab[notebook]'")
    sockets = (
        tmp_path_factory.mktemp("k") / "kernel"
    )  # not in the working folder, where all would share a name
    manager = client_module.KernelManager(kernel_name="python3", transport="ipc", ip=str(sockets))
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        request = client.execute(
            CELL, stop_on_error=False
        )  # else a kernel drops what is asked just after the error
        texts, deadline = "", time.monotonic() + 120
        while "at work" not in texts and "Error" not in texts and time.monotonic() < deadline:
            message = client.get_iopub_msg(timeout=60)
            texts += message["content"].get("text", "") + " ".join(message["content"].get("traceback", []))
        assert "at work" in texts, texts
        time.sleep(0.5)
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=60)
        while reply["parent_header"]["msg_id"] != request:
            reply = client.get_shell_msg(timeout=60)
        assert reply["content"]["ename"] == "Interrupted"
        assert "1 of 2 runs had finished" in reply["content"]["evalue"]
        asked = {"kept": "__import__('sys').last_value.comparison.trackers"}
        answer = client.execute("pass", user_expressions=asked, reply=True, timeout=60)
        assert answer["content"]["user_expressions"]["kept"]["data"]["text/plain"] == "['identity']"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
