"""One rule says whether labels may be used on a video: prompts, tracks and sessions ask it."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from tests.video.clips import encode_images, scene
from vtlab.errors import FormatError, InputError, TracksError, VtlabWarning
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.session import Session
from vtlab.tracks import Source, Tracks
from vtlab.video import Manifest, open_video

N = 70
BOX = BoxPrompt((30, 20, 60, 50))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def clips(tmp_path):
    """A file; a re-encoded copy, a trimmed one, one without a frame in the middle, and another video."""
    images = scene("pan", N)
    made = {"a": images, "copy": images, "trimmed": images[11:], "dropped": np.delete(images, 40, axis=0)}
    made["other"] = scene("crowd", N)
    for name, given in made.items():
        encode_images(tmp_path / f"{name}.mp4", given, crf="18" if name == "a" else "30")
    return {name: open_video(tmp_path / f"{name}.mp4") for name in made}


def labels(kind, video, tmp_path):
    """Labels as they come back from their file."""
    if kind == "tracks":
        made = vtlab.track(video, BOX, "ncc", progress=False)
        return Tracks.load(made.save(tmp_path / "t.parquet"))
    Manifest.of(video, progress=False)
    given = Prompts([BOX, BoxPrompt((40, 20, 70, 50), frame=45)], source=Source.of_video(video))
    return Prompts.load(given.save(tmp_path / "p.json"))


@pytest.mark.parametrize("kind", ["tracks", "prompts"])
def test_labels_know_their_video(clips, tmp_path, kind):
    made = labels(kind, clips["a"], tmp_path)
    assert made.on(clips["a"]) is made
    with pytest.warns(VtlabWarning, match="70 frames that are known look the same in both"):
        assert made.on(clips["copy"]) is made
    with pytest.raises(
        InputError, match=r"first that does is frame 0; .* shifted by -11 frames .frame 11 is frame 0"
    ):
        made.on(clips["trimmed"])
    with pytest.raises(
        InputError, match=r"first that does is frame (39|40|41); .* by -1 frames.*vtlab data align"
    ):
        made.on(clips["dropped"])
    with pytest.raises(InputError, match=r"first that does is frame 0; no shift of the numbers would fit"):
        made.on(clips["other"])


def test_a_cut_of_another_file_is_compared_with_its_own_frames(clips, tmp_path):
    made = labels("tracks", clips["a"], tmp_path)
    with pytest.warns(VtlabWarning, match="look the same"):
        cut = made.on(clips["copy"][20:40])
    assert cut.frames.tolist() == list(range(20))
    with pytest.raises(InputError, match=r"shifted by -11"):
        made.on(clips["trimmed"][20:40])
    on_clip = labels("tracks", clips["a"][20:40], tmp_path)
    with pytest.warns(VtlabWarning, match="the 20 frames that are known look the same"):
        assert on_clip.on(clips["copy"][25:35]).frames.tolist() == list(range(10))


def test_another_size_is_refused_and_the_remedy_scales(clips, tmp_path):
    made = labels("tracks", clips["a"], tmp_path)
    small = encode_images(tmp_path / "small.mp4", scene("pan", N)[:, ::2, ::2])
    with pytest.raises(InputError, match=r"128 x 96 px.*64 x 48 px.*vtlab data align"):
        made.on(open_video(small))


def test_labels_that_do_not_say_what_their_frames_look_like_are_taken_with_a_warning(clips):
    source = Source.of_video(clips["a"]).replace(marks=None)
    made = Prompts([BOX], source=source)
    with pytest.warns(VtlabWarning, match=r"can't be told.*vtlab data align"):
        made.on(clips["copy"])
    with pytest.raises(InputError, match="another video, and nothing is known"):
        made.on(clips["trimmed"])


def test_without_a_digest_nothing_is_asked(clips):
    source = Source.of_video(clips["a"], digest=False)
    assert len(Prompts([BOX], source=source).on(clips["other"])) == 1


def test_a_session_asks_the_same(clips, tmp_path):
    session = Session(clips["a"], "ncc")
    session.add(BOX)
    session.retrack(progress=False)
    path = session.save(tmp_path / "s.parquet")
    with pytest.warns(VtlabWarning, match="look the same in both"):
        Session.load(path, clips["copy"])
    for name, told in (("trimmed", "by -11 frames"), ("other", "no shift")):
        with pytest.raises(FormatError, match=told):
            Session.load(path, clips[name])
        with pytest.raises(FormatError, match=told):
            Session(clips[name], "ncc").restore(path)
    with pytest.raises(InputError, match="by -11 frames"):
        Session.of(clips["trimmed"], session.tracks, "ncc")


def test_damaged_marks_in_a_file_are_refused(clips, tmp_path):
    made = labels("tracks", clips["a"], tmp_path)
    source = made.record.source
    assert source is not None
    data = source.to_dict()
    data["marks"]["row"][2] = 10**9
    with pytest.raises((FormatError, TracksError), match="marks of frames are damaged"):
        Source.of(data)
    text = labels("prompts", clips["a"], tmp_path).to_json().replace('"phash-256"', '"md5"')
    with pytest.raises(FormatError, match="marks of frames are damaged"):
        Prompts.from_json(text)


def test_images_that_are_not_there_are_not_asked_for(tmp_path):
    from vtlab.formats.base import Place, no_frames

    made = vtlab.track(scene("pan", 6), BOX, "ncc", progress=False)
    assert made.on(no_frames(Place("x", tmp_path, None), 6, (96, 128))) is made
