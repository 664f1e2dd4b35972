"""What is said of a session from one thread while another one tracks."""

from __future__ import annotations

import threading

from vtlab.prompts import BoxPrompt
from vtlab.session import Session, State
from vtlab.testing.scenes import moving_square

VIDEO = moving_square(12)


def test_what_is_said_while_a_run_comes_in_is_not_lost(monkeypatch):
    """A person draws from one thread in the moment in which what was tracked is put in by another."""
    made = Session(VIDEO, "identity")
    made.add(BoxPrompt((10, 10, 30, 30)))
    filled, drawn = State.filled, []

    def slow(self, *args):
        thread = threading.Thread(target=lambda: made.add(BoxPrompt((50, 50, 70, 70), object_id=2, frame=3)))
        thread.start()
        thread.join(0.2)
        drawn.append(thread)
        return filled(self, *args)

    monkeypatch.setattr(State, "filled", slow)
    made.retrack(progress=False)
    drawn[0].join(10)
    assert set(made.state.keys) == {(1, 0, "box"), (2, 3, "box")}
    assert len(made.tracks.of_object(1)) == len(VIDEO)
