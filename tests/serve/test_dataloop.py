"""Dataloop's door: the function that its studio calls, against a fake of its streams."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vtlab.serve.dataloop import Tracker
from vtlab.serve.guard import HostError
from vtlab.serve.jobs import Limits, RefusedError
from vtlab.testing.hosts.dataloop import FakeDataloop, Percent
from vtlab.testing.hosts.dataloop_kit import DATALOOP
from vtlab.testing.toys import ShiftBox


@pytest.fixture(scope="module")
def fake():
    with FakeDataloop() as made:
        yield made


def service(fake, **options):
    return Tracker(ShiftBox, hosts=(fake.address,), private=True, **options)


@pytest.mark.parametrize("check", DATALOOP, ids=str)
def test_the_service_keeps_the_contract(check, fake):
    check("dataloop", url=service(fake), fake=fake)


def test_it_tracks_and_tells_per_cent(fake):
    told = Percent()
    box = {"x": 20.4, "y": 30, "z": 0}, {"x": 50, "y": 60.4, "z": 0}
    found = service(fake).run(fake, fake.stream, {"a": box}, 2, 3, told)
    assert found["a"][2] == [{"x": 20, "y": 30}, {"x": 50, "y": 60}]
    assert [corners[0]["x"] for corners in found["a"].values()] == [20, 24, 28]
    assert told.said == [33, 66, 100]
    assert json.loads(json.dumps(found))["a"]["4"][1] == {"x": 58, "y": 60}


def test_the_token_goes_to_allowed_servers_alone(fake):
    box = {"a": [{"x": 20, "y": 30}, {"x": 50, "y": 60}]}
    with FakeDataloop() as stranger, pytest.raises(RefusedError, match="may not ask"):
        service(fake).run(fake, stranger.stream, box, 0)
    assert not stranger.traffic
    for address in (
        "file:///etc/passwd",
        "concat:a|b",
        "rtsp://x/y",
        None,
        str(fake.address) + "@evil.org/x",
    ):
        with pytest.raises(RefusedError):
            service(fake).run(fake, address, box, 0)
    with pytest.raises(HostError, match="401"):
        service(fake).run(None, fake.stream, box, 0)


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n", b"<html>", b""]
)
def test_what_is_no_video_is_never_opened(content):
    with FakeDataloop(content) as fake, pytest.raises(RefusedError, match="no file of a video"):
        service(fake).run(fake, fake.stream, {"a": [{"x": 0, "y": 0}, {"x": 9, "y": 9}]}, 0)


def test_limits(fake):
    box = [{"x": 20, "y": 30}, {"x": 50, "y": 60}]
    small = service(fake, limits=Limits(frames=3, objects=2, body_bytes=1000))
    with pytest.raises(RefusedError, match="at most 3 frames"):
        small.run(fake, fake.stream, {"a": box}, 0, 4)
    with pytest.raises(RefusedError, match="3 boxes"):
        small.run(fake, fake.stream, dict.fromkeys("abc", box), 0, 2)
    with pytest.raises(HostError, match="more than 1000 bytes"):
        small.run(fake, fake.stream, {"a": box}, 0, 2)
    lost = service(fake, lost_from=3).run(fake, fake.stream, {"a": box}, 1, 6)
    assert list(lost["a"]) == [1, 2]
    assert np.all([isinstance(v, int) for corners in lost["a"].values() for c in corners for v in c.values()])
