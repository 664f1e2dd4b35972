"""MOTChallenge layout: `<sequence>/{img1/000001.jpg, gt/gt.txt, det/det.txt, seqinfo.ini}`.

Differs from vtlab's convention: frames and pixels count from 1 (converted by `formats.mot`). In truth `score` is the
flag of the seventh column: 0 = not counted. A `video` entry in seqinfo.ini stands for the folder of images.

Layout: https://motchallenge.net/instructions (Dendorfer et al., IJCV 2021).
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from vtlab.errors import FormatError, InputError
from vtlab.formats.mot import read_mot
from vtlab.prompts import Prompts
from vtlab.sequence import Dataset, Sequence, first_prompts
from vtlab.tracks import Tracks
from vtlab.video import Video, open_video


class MotChallenge(Dataset):
    """Sequences of MOT15, MOT16, MOT17, MOT20 and DanceTrack.

    Args:
        root: Folder of sequences, or one sequence.
        select: Keep the sequences whose name contains this, for example "FRCNN"; all by default.

    Raises:
        InputError: If no sequence is found.
    """

    layout: ClassVar[str] = "motchallenge"

    def __init__(self, root: str | os.PathLike[str], select: str = ""):
        self.root = Path(root)
        folders = [self.root] if (self.root / "seqinfo.ini").is_file() else sorted(self.root.glob("*/"))
        self._folders = {
            f.resolve().name: f
            for f in folders
            if (f / "seqinfo.ini").is_file() and select in f.resolve().name
        }
        self.names = tuple(self._folders)
        if not self.names:
            kept = f" whose name contains {select!r}" if select else ""
            raise InputError(
                f"{str(self.root)!r} holds no MOTChallenge sequences{kept}. Remedy: give the folder of the sequences "
                "(each has a seqinfo.ini), for example MOT17/train."
            )

    def load(self, name: str) -> Sequence:
        """Read a sequence; its prompts are the boxes of the counted pedestrians where they first appear."""
        truth = self.truth(name)
        prompts = Prompts()
        if truth is not None:
            target = np.array([label in (None, "pedestrian") for label in truth.label], dtype=bool)
            prompts = first_prompts(truth.take((truth.score > 0) & target))
        return Sequence(name, self.video(name), truth, prompts, benchmark=_benchmark(name, truth))

    def video(self, name: str) -> Video:
        """Open the frames of a sequence; raises `VideoError` where the images were not downloaded."""
        info, folder = self._info(name), self._folders[name]
        fps = float(info.get("frameRate", 30))
        images = folder / info.get("imDir", "img1")
        if not images.is_dir() and "video" in info:
            return open_video(folder / info["video"], fps=fps, name=name)
        return open_video(images, fps=fps, name=name)

    def truth(self, name: str) -> Tracks | None:
        """Read the ground truth, which needs no images; None for a test sequence."""
        path = self._folders[name] / "gt" / "gt.txt"
        return self._read(name, path, "truth") if path.is_file() else None

    def detections(self, name: str, file: str = "det.txt") -> Tracks:
        """Read the public detections: every detection is an object of its own, its score is the detector's."""
        return self._read(name, self._folders[name] / "det" / file, "detections")

    def _read(self, name: str, path: Path, kind: str) -> Tracks:
        info = self._info(name)
        frames, size = int(info["seqLength"]), (int(info["imWidth"]), int(info["imHeight"]))
        tracks = read_mot(path, kind, frames=frames, size=size)  # type: ignore[arg-type]
        return tracks.replace(meta={**tracks.meta, "frames": frames})

    def _info(self, name: str) -> dict[str, str]:
        path = self._folders[name] / "seqinfo.ini"
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their capitals
        try:
            parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
            info = dict(parser["Sequence"])
            for key in ("seqLength", "imWidth", "imHeight"):
                int(info[key])
        except (configparser.Error, KeyError, ValueError) as error:
            raise FormatError(
                f"{path}: expected a section [Sequence] with the numbers seqLength, imWidth and imHeight ({error})."
            ) from None
        return info


def _benchmark(name: str, truth: Tracks | None) -> str:
    year = next((y for y in ("mot15", "mot16", "mot17", "mot20") if y in name.lower()), None)
    if year is None:
        classed = truth is not None and any(label is not None for label in truth.label)
        year = "mot17" if classed else "mot15"
    return year
