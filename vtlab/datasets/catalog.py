"""Benchmarks: what they are, how large, under which licence, and how one gets them.

An entry with `files` is published at an address that anybody may download from. The others ask for an account, a form or
another tool; `access` says which. No digest is here that its publisher doesn't state: that of the first download is
recorded and holds ever after (`vtlab.weights.files`).
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
        size: Of what is downloaded, as its page says; "?" where it doesn't.
        licence: Of annotations and videos, as its page says.
        page: Where it is published.
        access: What is needed to get it; "" where it can be fetched.
        files: What `fetch` downloads.
    """

    name: str
    layout: str
    what: str
    size: str
    licence: str
    page: str
    access: str = ""
    files: tuple[WeightFile, ...] = ()


_MOT, _TAP = "https://motchallenge.net/data", "https://storage.googleapis.com/dm-tapnet"
_TAPNET = "https://github.com/google-deepmind/tapnet/tree/main/tapnet/tapvid"
_BY_NC_SA = "CC BY-NC-SA 3.0"


def _file(url: str, licence: str, page: str) -> tuple[WeightFile, ...]:
    return (WeightFile(url.rpartition("/")[2], url, None, 0, licence, page),)


def _mot(name: str, what: str, size: str) -> Benchmark:
    url, page = f"{_MOT}/{name.upper()}.zip", f"{_MOT}/{name.upper()}"
    layout = "mots" if name == "mots" else name
    return Benchmark(name, layout, what, size, _BY_NC_SA, page, files=_file(url, _BY_NC_SA, page))


def _tap(name: str, what: str, path: str) -> Benchmark:
    url, licence = f"{_TAP}/{path}", "CC BY 4.0 (annotations); videos: their creators'"
    return Benchmark(name, "tapvid", what, "?", licence, _TAPNET, files=_file(url, licence, _TAPNET))


_DAVIS = "https://davischallenge.org/davis2017/code.html"
_BURST = "https://github.com/Ali2500/BURST-benchmark"
_ON_PAGE = "as its page says"
_ENTRIES = (
    _mot("mot15", "22 street scenes, pedestrians", "1.3 GB"),
    _mot("mot16", "14 street scenes, pedestrians", "1.9 GB"),
    _mot("mot17", "14 street scenes with three public detectors", "5.5 GB"),
    _mot("mot20", "8 crowded scenes", "5.0 GB"),
    _mot("mots", "8 scenes with masks of pedestrians", "?"),
    Benchmark(
        "davis2017",
        "davis",
        "90 clips with masks of several objects (train and val, 480p)",
        "?",
        _ON_PAGE,
        _DAVIS,
        files=_file(
            "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip", _ON_PAGE, _DAVIS
        ),
    ),
    _tap("tapvid-davis", "30 clips with points, videos included", "tapvid_davis.zip"),
    _tap("tapvid-rgb-stacking", "50 simulated clips with points, videos included", "tapvid_rgb_stacking.zip"),
    _tap("robotap", "clips of robots with points, videos included", "robotap/robotap.zip"),
    Benchmark(
        "burst-annotations",
        "burst",
        "masks of 2914 videos; the images are TAO's",
        "?",
        _ON_PAGE,
        _BURST,
        files=_file("https://omnomnom.vision.rwth-aachen.de/data/BURST/annotations.zip", _ON_PAGE, _BURST),
    ),
    Benchmark(
        "otb100",
        "otb",
        "100 sequences, one object each",
        "?",
        _ON_PAGE,
        "http://cvlab.hanyang.ac.kr/tracker_benchmark/",
        "one zip a sequence, by http, which is not fetched since anybody on the way can change it",
    ),
    Benchmark(
        "got10k",
        "got10k",
        "10 000 videos, one object each; truth of the test part is withheld",
        "66 GB",
        "CC BY-NC-SA 4.0",
        "http://got-10k.aitestunion.com/downloads",
        "a form with an e-mail address",
    ),
    Benchmark(
        "lasot",
        "lasot",
        "1400 long sequences, one object each",
        "227 GB",
        _ON_PAGE,
        "http://vision.cs.stonybrook.edu/~lasot/",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "trackingnet",
        "trackingnet",
        "30 000 clips of YouTube, one object each; truth of the test part is withheld",
        "1.1 TB",
        _ON_PAGE,
        "https://tracking-net.org",
        "its own devkit, from a cloud folder",
    ),
    Benchmark(
        "vot",
        "vot",
        "sequences of each year's challenge",
        "?",
        "of each sequence",
        "https://www.votchallenge.net",
        "the VOT toolkit: vot initialize vot2022/shorttermbox",
    ),
    Benchmark(
        "uav123",
        "uav123",
        "123 sequences from drones",
        "13.5 GB",
        _ON_PAGE,
        "https://cemse.kaust.edu.sa/ivul/uav123",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "nfs",
        "nfs",
        "100 videos of 240 frames a second",
        "?",
        _ON_PAGE,
        "http://ci2cv.net/nfs/index.html",
        "one zip a sequence, by http, which is not fetched since anybody on the way can change it",
    ),
    Benchmark(
        "tnl2k",
        "tnl2k",
        "2000 videos with a sentence each",
        "?",
        _ON_PAGE,
        "https://sites.google.com/view/langtrackbenchmark/",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "dancetrack",
        "dancetrack",
        "100 videos of dancers who look alike",
        "?",
        "for research",
        "https://github.com/DanceTrack/DanceTrack",
        "a cloud folder, by browser",
    ),
    Benchmark(
        "sportsmot",
        "sportsmot",
        "240 clips of basketball, football and volleyball",
        "?",
        "CC BY-NC 4.0",
        "https://github.com/MCG-NJU/SportsMOT",
        "an account of the challenge's server, and consent to its terms",
    ),
    Benchmark(
        "tao",
        "tao",
        "2907 videos of 833 classes, boxes once a second",
        "?",
        _ON_PAGE,
        "https://taodataset.org",
        "its own download script; two of its sources ask for an account",
    ),
    Benchmark(
        "youtube-vis",
        "youtube-vis",
        "masks of 40 classes; truth of validation is withheld",
        "?",
        _ON_PAGE,
        "https://youtube-vos.org/dataset/vis/",
        "an account of the challenge's server",
    ),
    Benchmark(
        "youtube-vos",
        "youtube-vos",
        "masks on every fifth frame; truth of validation is withheld",
        "?",
        _ON_PAGE,
        "https://youtube-vos.org/dataset/vos/",
        "an account of the challenge's server",
    ),
    Benchmark(
        "lvos",
        "lvos",
        "long videos with masks",
        "?",
        _ON_PAGE,
        "https://github.com/LingyiHongfd/LVOS",
        "a cloud folder, by browser",
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
