"""Jobs, the pool of warm trackers, and figures that are followed under their host's ids."""

from __future__ import annotations

import threading
import time

import pytest

from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, SkeletonPrompt
from vtlab.serve.follow import Core, Order, choose, follow, span
from vtlab.serve.jobs import Jobs, Limits, RefusedError
from vtlab.testing.scenes import moving_square, square_box
from vtlab.testing.toys import ShiftBox
from vtlab.trackers.pool import Pool
from vtlab.video import open_video

WAIT = 20


@pytest.fixture
def core():
    made = Core((ShiftBox,))
    yield made
    made.close()


def ask(core, figures, last=8, start=0, **params):
    video = open_video(moving_square(12))

    def work(job):
        for found in follow(Order(video, figures, start, last, core.trackers, params), core.pool, job):
            job.put(*found, steps=len(found))

    return core.jobs.submit("a", work, abs(last - start) * len(figures))


def test_results_carry_the_hosts_ids_whatever_they_are(core):
    figures = {host: BoxPrompt(square_box(0)) for host in ("b", 7, "7", 2**70, "a")}
    job = ask(core, figures)
    assert job.wait(WAIT)
    assert (job.state, job.error, job.done) == ("finished", "", 40)
    assert [row.host for row in job.rows()[:5]] == ["b", 7, "7", 2**70, "a"]
    assert sorted({row.frame for row in job.rows()}) == list(range(1, 9))


def test_backward_counts_down(core):
    job = ask(core, {1: BoxPrompt((60, 20, 80, 40))}, start=5, last=2)
    assert job.wait(WAIT)
    assert [(r.frame, r.figure.xyxy[0]) for r in job.rows()] == [(4, 64.0), (3, 68.0), (2, 72.0)]


def test_a_failure_keeps_what_came_before_and_the_queue(core):
    job = ask(core, {1: BoxPrompt(square_box(0))}, fail_on=4)
    assert job.wait(WAIT)
    assert job.state == "failed"
    assert "the toy broke" in job.error
    assert "frame 4" in job.error
    assert [r.frame for r in job.rows()] == [1, 2, 3]
    after = ask(core, {1: BoxPrompt(square_box(0))})
    assert after.wait(WAIT)
    assert after.state == "finished"


def test_stop_takes_effect_within_one_frame(core):
    job = ask(core, {1: BoxPrompt(square_box(0))}, wait=0.05)
    seen = threading.Event()
    job.watch(lambda: seen.set() if job.rows() else None)
    assert seen.wait(WAIT)
    job.stop()
    after = len(job.rows())
    assert job.wait(WAIT)
    assert job.state == "stopped"
    assert len(job.rows()) <= after + 1


def test_trackers_stay_warm_by_name_and_parameters(core):
    ShiftBox.made = 0
    for _ in range(3):
        assert ask(core, {1: BoxPrompt(square_box(0)), 2: BoxPrompt(square_box(0))}).wait(WAIT)
    assert ShiftBox.made == 2
    assert ask(core, {1: BoxPrompt(square_box(0))}, step=1.0).wait(WAIT)
    assert ShiftBox.made == 3


def test_the_pool_keeps_to_its_memory():
    pool = Pool(memory=3 * 2**16)
    for step in range(9):
        with pool.lend(ShiftBox, {"step": float(step)}):
            pass
    assert len(pool) <= 3
    assert pool.held <= 3 * 2**16
    pool.close()
    assert len(pool) == 0


def test_a_tracker_that_failed_is_not_kept():
    pool = Pool()
    with pytest.raises(ZeroDivisionError), pool.lend(ShiftBox):
        raise ZeroDivisionError
    assert len(pool) == 0


def test_clients_take_turns():
    jobs, order, gate = Jobs(Limits(running=1)), [], threading.Event()
    try:
        first = jobs.submit("x", lambda _: gate.wait(WAIT), 1)
        many = [jobs.submit("greedy", lambda _, n=n: order.append(("greedy", n)), 1) for n in range(5)]
        one = jobs.submit("modest", lambda _: order.append("modest"), 1)
        gate.set()
        assert all(job.wait(WAIT) for job in (first, *many, one))
        assert order.index("modest") <= 1
    finally:
        gate.set()
        assert jobs.close()


def test_limits_are_kept():
    jobs, gate = Jobs(Limits(jobs=3, each=2, seconds=0.05, keep_seconds=0.0)), threading.Event()
    try:
        jobs.submit("a", lambda _: gate.wait(WAIT), 1)
        jobs.submit("a", lambda _: None, 1)
        with pytest.raises(RefusedError, match="2 of them yours") as refused:
            jobs.submit("a", lambda _: None, 1)
        assert refused.value.status == 429
        jobs.submit("b", lambda _: None, 1)
        with pytest.raises(RefusedError, match="at most 3"):
            jobs.submit("c", lambda _: None, 1)
    finally:
        gate.set()
        assert jobs.close()
    with pytest.raises(RefusedError, match="stopping"):
        jobs.submit("a", lambda _: None, 1)


def test_a_job_that_takes_too_long_ends_with_what_it_has():
    jobs = Jobs(Limits(seconds=0.1))

    def work(job):
        for n in range(1000):
            time.sleep(0.02)
            job.put(n, steps=1)

    try:
        job = jobs.submit("a", work, 1000)
        assert job.wait(WAIT)
        assert job.state == "failed"
        assert "longer than 0.1 s" in job.error
        assert 0 < len(job.rows()) < 50
    finally:
        jobs.close()


def test_popped_results_are_gone_and_unknown_jobs_are_refused():
    jobs = Jobs()
    try:
        job = jobs.submit("a", lambda job: job.put(1, 2, 3, steps=3), 3)
        assert job.wait(WAIT)
        assert job.pop(lambda row: row == 2) == [1, 3]
        assert job.pop() == [2]
        assert job.pop() == []
        assert jobs.get(job.id) is job
        jobs.forget(job)
        for unknown in (job.id, "../x", None, 3):
            with pytest.raises(RefusedError, match="no job"):
                jobs.get(unknown)
    finally:
        jobs.close()


def test_close_stops_what_works():
    jobs = Jobs()

    def work(job):
        while True:
            time.sleep(0.01)
            job.check()

    job, waiting = jobs.submit("a", work, 1), jobs.submit("a", work, 1)
    assert jobs.close(WAIT)
    assert job.state == waiting.state == "stopped"


def test_geometry_chooses_the_tracker():
    names = ("mixformer-cvt", "sam2.1-tiny", "cotracker3-online", "csrt")
    mask = MaskPrompt(polygon=((1, 1), (5, 1), (5, 5)))
    assert choose(BoxPrompt((0, 0, 4, 4)), names) == "mixformer-cvt"
    assert choose(mask, names) == "sam2.1-tiny"
    assert choose(PointPrompt([(1, 1)]), names) == "cotracker3-online"
    assert choose(SkeletonPrompt([(1, 1)]), names) == "cotracker3-online"
    assert choose(BoxPrompt((0, 0, 4, 4)), ("sam2.1-tiny",)) == "sam2.1-tiny"
    with pytest.raises(RefusedError, match=r"follows a mask: 'csrt' follows box"):
        choose(mask, ("csrt",))


@pytest.mark.parametrize(
    ("start", "count", "backward", "last"), [(3, 4, False, 7), (9, 10, False, 11), (3, 9, True, 0)]
)
def test_both_ends_are_clipped(start, count, backward, last):
    assert span(start, count, backward, 12, Limits()) == last


@pytest.mark.parametrize(
    ("start", "count", "why"),
    [
        *(
            (-1, 2, "frameIndex"),
            (12, 2, "beyond"),
            (0, 0, "frames"),
            (0, True, "frames"),
            ("0", 2, "frameIndex"),
        ),
        *((0, 11, "at most 5"), (0.5, 2, "frameIndex"), (0, None, "frames")),
    ],
)
def test_spans_that_are_none_are_refused(start, count, why):
    with pytest.raises(RefusedError, match=why):
        span(start, count, False, 12, Limits(frames=5))


def test_a_server_needs_a_tracker():
    with pytest.raises(InputError, match="needs a tracker"):
        Core(())
