"""Benchmarks: what they are, how large, under which licence, and how one gets them.

An entry with `files` is published at an address that anybody may download from. The others ask for an account, a form or
another tool; `access` says which. No digest is here that its publisher doesn't state: that of the first download is
recorded and holds ever after (`vtlab.weights.files`). Nor is a size or a licence: what was not read at its publisher is
"unknown", and `source` names the place where the others were read.
"""

from __future__ import annotations

from dataclasses import dataclass

from vtlab.contracts import WeightFile
from vtlab.errors import InputError, near


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: Word for it on the command line.
        layout: Name of its format, for `open_dataset`.
        what: What it has, in a few words.
        size: Of what is downloaded; "unknown" where nobody read it at its publisher.
        licence: Of annotations and videos; the same.
        page: Where it is published.
        access: What is needed to get it; "" where it can be fetched.
        source: Where licence and addresses were read: an official file; "" where they are as widely given elsewhere.
        files: What `fetch` downloads.
    """

    name: str
    layout: str
    what: str
    size: str
    licence: str
    page: str
    access: str = ""
    source: str = ""
    files: tuple[WeightFile, ...] = ()


_MOT, _TAP = "https://motchallenge.net/data", "https://storage.googleapis.com/dm-tapnet"
_TAPNET = "https://github.com/google-deepmind/tapnet/tree/main/tapnet/tapvid"
_UNKNOWN = "unknown"


def _file(url: str, licence: str, page: str) -> tuple[WeightFile, ...]:
    return (WeightFile(url.rpartition("/")[2], url, None, 0, licence, page),)


def _mot(name: str, what: str) -> Benchmark:
    url, page = f"{_MOT}/{name.upper()}.zip", f"{_MOT}/{name.upper()}"
    layout = "mots" if name == "mots" else name
    return Benchmark(name, layout, what, _UNKNOWN, _UNKNOWN, page, files=_file(url, _UNKNOWN, page))


def _tap(name: str, what: str, path: str) -> Benchmark:
    url = f"{_TAP}/{path}"
    readme = f"{_TAPNET}/README.md"
    return Benchmark(
        name, "tapvid", what, _UNKNOWN, _UNKNOWN, _TAPNET, source=readme, files=_file(url, _UNKNOWN, _TAPNET)
    )


_DAVIS = "https://davischallenge.org/davis2017/code.html"
_BURST = "https://github.com/Ali2500/BURST-benchmark"
_ENTRIES = (
    _mot("mot15", "22 street scenes, pedestrians"),
    _mot("mot16", "14 street scenes, pedestrians"),
    _mot("mot17", "14 street scenes with three public detectors"),
    _mot("mot20", "8 crowded scenes"),
    _mot("mots", "8 scenes with masks of pedestrians"),
    Benchmark(
        "davis2017",
        "davis",
        "90 clips with masks of several objects (train and val, 480p)",
        _UNKNOWN,
        _UNKNOWN,
        _DAVIS,
        files=_file(
            "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip", _UNKNOWN, _DAVIS
        ),
    ),
    _tap("tapvid-davis", "30 clips with points, videos included", "tapvid_davis.zip"),
    _tap("tapvid-rgb-stacking", "50 simulated clips with points, videos included", "tapvid_rgb_stacking.zip"),
    _tap("robotap", "clips of robots with points, videos included", "robotap/robotap.zip"),
    Benchmark(
        "burst-annotations",
        "burst",
        "masks of 2914 videos; the images are TAO's",
        _UNKNOWN,
        _UNKNOWN,
        _BURST,
        source=f"{_BURST}/blob/main/README.md",
        files=_file("https://omnomnom.vision.rwth-aachen.de/data/BURST/annotations.zip", _UNKNOWN, _BURST),
    ),
    Benchmark(
        "otb100",
        "otb",
        "100 sequences, one object each",
        _UNKNOWN,
        _UNKNOWN,
        "http://cvlab.hanyang.ac.kr/tracker_benchmark/",
        "one zip a sequence, by http, which is not fetched since anybody on the way can change it",
    ),
    Benchmark(
        "got10k",
        "got10k",
        "10 000 videos, one object each; truth of the test part is withheld",
        _UNKNOWN,
        _UNKNOWN,
        "http://got-10k.aitestunion.com/downloads",
        "a form with an e-mail address",
    ),
    Benchmark(
        "lasot",
        "lasot",
        "1400 long sequences, one object each",
        _UNKNOWN,
        _UNKNOWN,
        "http://vision.cs.stonybrook.edu/~lasot/",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "trackingnet",
        "trackingnet",
        "30 000 clips of YouTube, one object each; truth of the test part is withheld",
        _UNKNOWN,
        _UNKNOWN,
        "https://tracking-net.org",
        "its own devkit, from a cloud folder",
    ),
    Benchmark(
        "vot",
        "vot",
        "sequences of each year's challenge",
        _UNKNOWN,
        "of each sequence",
        "https://www.votchallenge.net",
        "the VOT toolkit: vot initialize vot2022/shorttermbox",
    ),
    Benchmark(
        "uav123",
        "uav123",
        "123 sequences from drones",
        _UNKNOWN,
        _UNKNOWN,
        "https://cemse.kaust.edu.sa/ivul/uav123",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "nfs",
        "nfs",
        "100 videos of 240 frames a second",
        _UNKNOWN,
        _UNKNOWN,
        "http://ci2cv.net/nfs/index.html",
        "one zip a sequence, by http, which is not fetched since anybody on the way can change it",
    ),
    Benchmark(
        "tnl2k",
        "tnl2k",
        "2000 videos with a sentence each",
        _UNKNOWN,
        _UNKNOWN,
        "https://sites.google.com/view/langtrackbenchmark/",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "dancetrack",
        "dancetrack",
        "100 videos of dancers who look alike",
        _UNKNOWN,
        "CC BY 4.0 (annotations), non-commercial research (data)",
        "https://github.com/DanceTrack/DanceTrack",
        "Hugging Face, noahcao/dancetrack, or a cloud folder",
        "https://github.com/DanceTrack/DanceTrack/blob/main/README.md",
    ),
    Benchmark(
        "sportsmot",
        "sportsmot",
        "240 clips of basketball, football and volleyball",
        _UNKNOWN,
        "CC BY-NC 4.0",
        "https://github.com/MCG-NJU/SportsMOT",
        "an account of the challenge's server, and consent to its terms",
        "https://github.com/MCG-NJU/SportsMOT/blob/main/README.md",
    ),
    Benchmark(
        "tao",
        "tao",
        "2907 videos of 833 classes, boxes once a second",
        _UNKNOWN,
        _UNKNOWN,
        "https://taodataset.org",
        "its own download script; two of its sources ask for an account",
    ),
    Benchmark(
        "youtube-vis",
        "youtube-vis",
        "masks of 40 classes; truth of validation is withheld",
        _UNKNOWN,
        _UNKNOWN,
        "https://youtube-vos.org/dataset/vis/",
        "an account of the challenge's server",
    ),
    Benchmark(
        "youtube-vos",
        "youtube-vos",
        "masks on every fifth frame; truth of validation is withheld",
        _UNKNOWN,
        _UNKNOWN,
        "https://youtube-vos.org/dataset/vos/",
        "an account of the challenge's server",
    ),
    Benchmark(
        "sa-v",
        "sav",
        "51 000 videos with masklets",
        _UNKNOWN,
        "CC BY 4.0",
        "https://ai.meta.com/datasets/segment-anything-video-downloads/",
        "a form on its page",
        "https://github.com/facebookresearch/sam2/blob/main/sav_dataset/README.md",
    ),
    Benchmark(
        "lvos",
        "lvos",
        "long videos with masks",
        _UNKNOWN,
        "CC BY 4.0 (annotations), non-commercial research (data)",
        "https://github.com/LingyiHongfd/LVOS",
        "a cloud folder, by browser",
        "https://github.com/LingyiHongfd/LVOS/blob/main/README.md",
    ),
)
CATALOG: dict[str, Benchmark] = {entry.name: entry for entry in sorted(_ENTRIES, key=lambda e: e.name)}
"""Every benchmark by its name."""


def find_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
        InputError: An unknown name.
    """
    if name not in CATALOG:
        raise InputError(f"Unknown benchmark {name!r}. {near(name, CATALOG)}")
    return CATALOG[name]
