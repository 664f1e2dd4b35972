"""From a method's official weights to the number its authors published: run, score by the benchmark's rule, compare."""

from __future__ import annotations

import contextlib
import hashlib
import math
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vtlab.benchmark import evaluate_folders
from vtlab.comparison.saving import measured
from vtlab.contracts import Card, OnResult
from vtlab.datasets import open_dataset
from vtlab.errors import InputError, VideoError, near
from vtlab.experiments import vot
from vtlab.experiments.ledger import Published, Row, published_of, verdict_of
from vtlab.files import file_names
from vtlab.formats import find_format, write_tracks
from vtlab.metrics.evaluation import Part, score
from vtlab.metrics.families import Family, find_family
from vtlab.metrics.statistics import intervals
from vtlab.prompts import Prompts
from vtlab.prompts.fit import fitting_prompts
from vtlab.provenance import hardware, now, versions
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence as Clip
from vtlab.trackers.loop import track
from vtlab.tracks import Tracks
from vtlab.weights import digest
from vtlab.weights.lock import sha256_of

Report = Callable[[str], None]
METRICS = {
    "sot": ("success_auc", "precision_20px", "ao"),
    "mot": ("HOTA", "MOTA", "IDF1"),
    "vos": ("J&F", "J", "F"),
    "points": ("AJ", "delta_avg", "OA"),
}
"""Numbers that enter the ledger, by family, where the rule gives them."""


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark is read and counted.

    Attributes:
        layout: Format of its folder and of the results that it takes.
        rule: By which its published numbers are counted; "" for the format's own.
        size: Sequences of the whole benchmark, which published numbers are over; 0 where a split decides it.
        public: Whether trackers by detection get the detections that come with it (det/det.txt).
        experiment: Of VOT: "supervised" (started anew after a failure) or "multistart" (from each anchor); "" for one run
            over each sequence.
    """

    layout: str
    rule: str = ""
    size: int = 0
    public: bool = False
    experiment: str = ""


BENCHMARKS = {
    "otb": Benchmark("otb", "pysot", 100),
    "dtb70": Benchmark("otb", "pysot", 70),
    "uav123": Benchmark("uav123", "pysot", 123),
    # LaSOT's test part has 280; GOT-10k's validation and test parts have 180 each.
    "lasot": Benchmark("lasot", "lasot", 280),
    "got10k": Benchmark("got10k", "", 180),
    "mot17": Benchmark("mot17", "", 7, public=True),
    "mot15": Benchmark("mot15", "", 11, public=True),
    "davis": Benchmark("davis", "", 30),
    "vot2016": Benchmark("vot", "vot2016", 60, experiment="supervised"),
    "vot2018": Benchmark("vot", "vot", 60, experiment="supervised"),
    "vot2019": Benchmark("vot", "vot2019", 60, experiment="supervised"),
    "vot2020": Benchmark("vot", "vot", 60, experiment="multistart"),
    "vot2021": Benchmark("vot", "vot", 60, experiment="multistart"),
    "tapvid": Benchmark("tapvid"),
    "badja": Benchmark("tapvid", "tapvid-first", 9),
}
"""MOT counts the training sequences, whose truth is public, with one set of detections; DAVIS its 2017 validation set."""


_PUBLISHED_NAMES = {"nanotrack": "nanotrack-v1"}
"""Names of published results -> vtlab's of the same method."""


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        rows: For the ledger.
        told: Published number of each row, None where none is known.
        folder: Tracks by sequence, and `official/`: the same in the benchmark's own layout, to be handed in. None where
            tracks were given.
    """

    rows: tuple[Row, ...]
    told: tuple[Published | None, ...]
    folder: Path | None


def reproduce(
    method: str,
    on: str,
    root: str | Path | Iterable[Clip],
    *,
    part: float = 100.0,
    out: str | Path = "runs/reproduce",
    detections: Mapping[str, Path] | None = None,
    report: Report | None = None,
    on_result: OnResult | None = None,
) -> Reproduction:
    """Run a method on a benchmark with its official weights and compare with what is published.

    What is finished is not run again: tracks are kept by sequence, under a name that holds the weights' digest, vtlab's
    version and the method's settings, as long as the sequence's frames, truth, prompts and detections stay what they were.

    Args:
        method: Name of a tracker.
        on: One of `BENCHMARKS`.
        root: Its folder on disk, or its sequences.
        part: Per cent of the sequences, at least one: a small part is a subset of every larger one, whatever their order.
        out: Folder of the tracks.
        detections: Sequence -> its public detections; found by themselves where `root` is a folder.
        report: Is told each sequence as it is done.
        on_result: Is told the numbers of the whole run at its end, with the tracks of its sequences.

    Raises:
        InputError: An unknown method or benchmark, or a part that is no per cent.
        WeightsError: The official weights can't be had; the message says how.
    """
    card, bench = TRACKERS.card(method), _bench(on)
    clips = (
        list(open_dataset(root, bench.layout)) if isinstance(root, (str, Path)) else list(root)
    )  # frames are read when asked for
    chosen, size = _part(clips, part), max(bench.size, len(clips))
    given = detections if detections is not None else _public(root, chosen, bench)
    used = [d for file in card.weights if (d := digest(file))]
    started, ran = time.perf_counter(), False
    folder = None
    found: list[tuple[Clip, list[Tracks]]] = []
    files: list[Path] = []
    names = file_names(clip.name for clip in chosen)  # also where a disk knows no capitals
    for clip in chosen:
        folder = folder or Path(out) / on / f"{method}-{_key(card, used)}"
        runs, inputs = [], _inputs(clip, given.get(clip.name))
        for start, run in _runs(method, card, bench, clip, given.get(clip.name)):
            files.append(folder / f"{names[clip.name]}{start}.parquet")
            kept = Tracks.load(files[-1]) if files[-1].is_file() else None
            if kept is not None and kept.record.extra.get("inputs") == inputs:
                tracks = kept
            else:
                tracks = run()
                tracks = tracks.replace(meta={**tracks.meta, "inputs": inputs})
                tracks.save(files[-1])
                ran = True
            _hand_in(tracks, folder / "official", bench, (clip.name, method, start))
            runs.append(tracks)
        found.append((clip, runs))
        if report:
            report(f"{clip.name}: {sum(map(len, runs))} rows")
    used = [d for file in card.weights if (d := digest(file))]  # fetched by the first run
    every = [tracks for _, runs in found for tracks in runs]
    family = find_family("sot" if bench.experiment else card.family)
    parts = [_part_of(clip, runs, family, bench) for clip, runs in found]
    seconds = time.perf_counter() - started if ran else sum(t.record.wall_seconds or 0.0 for t in every)
    facts = {
        "made": "run",
        "weights": ",".join(d[:12] for d in used),
        "data": _data_digest(chosen),
        "tracks": _tracks_digest(every),
        "seconds": round(seconds, 1),
    }
    made = Reproduction(*_compared(method, on, parts, (len(chosen), size), facts), folder)
    if on_result is not None and folder is not None:
        on_result(_result(made.rows), files)
    return made


def _result(rows: Sequence[Row]) -> dict[str, str | float]:
    """The rows of one run as one result: its metrics, their intervals and published numbers, and how it was made."""
    numbers: dict[str, Any] = {}
    for row in rows:
        more = {f"{row.metric}_{k}": v for k, v in vars(row).items() if k in ("low", "high", "published")}
        numbers |= {row.metric: row.value, **more}
    alike = (
        "rule",
        "on",
        "sequences",
        "of",
        "weights",
        "data",
        "tracks",
        "vtlab",
        "machine",
        "seconds",
        "date",
    )
    told = {key: getattr(rows[0], key) for key in alike}
    return measured({"tracker": rows[0].method, "sequence": "all", **told, **numbers})


def rescore(tracks: str | Path, on: str, root: str | Path) -> dict[str, Reproduction]:
    """Score tracks that somebody published: name of each tracker found -> what came of it.

    Args:
        tracks: Folder or zip of results in the benchmark's layout.
        on: One of `BENCHMARKS`.
        root: Its truth.
    """
    bench = _bench(on)
    found = evaluate_folders(root, tracks, bench.layout, rule=bench.rule or None)
    out = {}
    for name, parts in found.parts.items():
        method = _PUBLISHED_NAMES.get(low := name.rpartition("/")[2].lower(), low)
        facts = {
            "made": "tracks given",
            "weights": "",
            "data": _names_digest(parts),
            "tracks": _files_digest(Path(tracks)),
            "seconds": 0.0,
        }
        share = (len(parts), max(bench.size, len(parts)))
        out[method] = Reproduction(*_compared(method, on, list(parts), share, facts), None)
    return out


def _bench(on: str) -> Benchmark:
    if on not in BENCHMARKS:
        raise InputError(f"Unknown benchmark {on!r}. {near(on, BENCHMARKS)}")
    return BENCHMARKS[on]


def _part(clips: Sequence[Clip], part: float) -> list[Clip]:
    """The sequences of a part, told by a hash of their names."""
    if not 0 < part <= 100:
        raise InputError(f"part={part!r}: expected per cent of the sequences, above 0 and up to 100.")
    order = sorted(clips, key=lambda c: hashlib.sha256(c.name.encode()).hexdigest())
    chosen = {c.name for c in order[: max(1, math.ceil(len(clips) * part / 100))]}
    return [c for c in clips if c.name in chosen]


def _key(card: Card, used: Sequence[str]) -> str:
    """What a run depends on besides its sequence."""
    text = repr((card.name, sorted(card.options.items()), used, versions()["vtlab"]))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _inputs(clip: Clip, detections: Path | None) -> str:
    """What a run reads of a sequence: folders of one name may hold another edition of it."""
    total = hashlib.sha256(f"{_data_digest([clip])} {clip.prompts.to_json()}".encode())
    with contextlib.suppress(VideoError):  # no images: a run of detections alone
        total.update(clip.video.digest().encode())
    if detections is not None:
        total.update(bytes.fromhex(sha256_of(detections)))
    return total.hexdigest()[:12]


def _public(root: Any, clips: Sequence[Clip], bench: Benchmark) -> dict[str, Path]:
    """Sequence -> the file of detections that comes with it."""
    if not bench.public or not isinstance(root, (str, Path)):
        return {}
    found = {path.parents[1].name: path for path in sorted(Path(root).rglob("det/det.txt"))}
    return {clip.name: found[clip.name] for clip in clips if clip.name in found}


def _runs(
    method: str, card: Card, bench: Benchmark, clip: Clip, detections: Path | None
) -> list[tuple[str, Callable[[], Tracks]]]:
    """What is run on a sequence: (end of its file's name, the run)."""
    if bench.experiment == "supervised":
        return [("", lambda: vot.supervised(method, card, clip))]
    if bench.experiment == "multistart":
        starts = sorted(vot.anchors(clip).items())
        return [(f"_{f:08d}", partial(vot.from_anchor, method, card, clip, f, sign)) for f, sign in starts]
    return [("", lambda: _run(method, card, clip, detections))]


def _hand_in(tracks: Tracks, root: Path, bench: Benchmark, named: tuple[str, str, str]) -> None:
    """Write a run in the benchmark's own layout, under (sequence, tracker, end of the file's name)."""
    sequence, tracker, start = named
    if not start:
        write_tracks(tracks, root, bench.layout, sequence=sequence, tracker=tracker)
        return
    form = find_format(bench.layout)
    place = form.path_of(root, sequence, tracker)
    form.write_tracks(tracks, place.with_name(f"{sequence}{start}{place.suffix}"))


def _part_of(clip: Clip, runs: Sequence[Tracks], family: Family, bench: Benchmark) -> Part:
    """The score of a sequence, of its runs together."""
    parts = [score(tracks, clip, family.code, bench.rule or None) for tracks in runs]
    if len(parts) == 1 or family.repeated is None:
        return parts[0]
    return replace(parts[0], counts=family.repeated([part.counts for part in parts]))


def _run(method: str, card: Card, clip: Clip, detections: Path | None) -> Tracks:
    if card.accepts:
        prompts, _ = fitting_prompts(card, clip.prompts, clip.video)
        return track(clip.video, prompts, method, progress=False)
    if detections is None:
        return track(clip.video, Prompts(), method, progress=False)
    from vtlab.detectors.public import PublicDetections

    return track(clip.video, None, method, progress=False, detector=PublicDetections(path=detections))


def _compared(
    method: str, on: str, parts: Sequence[Part], share: tuple[int, int], facts: dict[str, Any]
) -> tuple[tuple[Row, ...], tuple[Published | None, ...]]:
    """Rows for the ledger, and what is published of each; `share` is (sequences, of how many)."""
    if not parts:
        raise InputError(f"There is nothing to score of {method!r} on {on!r}.")
    found, rows, known = intervals(parts), [], []
    family = find_family(parts[0].family)
    wanted = parts[0].rule.listed or METRICS.get(family.code, (family.main,))
    for metric in [m for m in wanted if m in found]:
        here, told = found[metric], published_of(method, on, metric)
        row = Row(
            method=method,
            on=on,
            rule=parts[0].rule.name,
            metric=metric,
            value=round(here.value, 6),
            low=round(here.low, 6),
            high=round(here.high, 6),
            sequences=share[0],
            of=share[1],
            published=math.nan if told is None else told.value,
            verdict=verdict_of(here.value, (here.low, here.high), share, told),
            source="" if told is None else told.source,
            vtlab=_version(),
            versions="; ".join(f"{k} {v}" for k, v in versions().items() if k != "vtlab"),
            machine=_machine(),
            date=now()[:10],
            **facts,
        )
        rows.append(row)
        known.append(told)
    return tuple(rows), tuple(known)


def _machine() -> str:
    known = hardware()
    return ", ".join(str(known[k]) for k in ("processor", "gpu") if known.get(k))


def _version() -> str:
    """vtlab's version, with the commit where it is run from its repository."""
    here = Path(__file__).resolve().parents[2]
    told = versions()["vtlab"]
    if not (here / ".git").exists():
        return told
    asked = ["git", "-C", str(here), "rev-parse", "--short=10", "HEAD"]
    ran = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    return f"{told} {ran.stdout.strip()}".strip()


def _data_digest(clips: Sequence[Clip]) -> str:
    total = hashlib.sha256()
    for clip in clips:
        total.update(f"{clip.name} {len(clip.video)}".encode())
        total.update(_rows(clip.truth))
    return total.hexdigest()[:12]


def _names_digest(parts: Sequence[Part]) -> str:
    return hashlib.sha256(" ".join(p.sequence for p in parts).encode()).hexdigest()[:12]


def _files_digest(path: Path) -> str:
    """Of a file, or of all files of a folder by their names."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file()):
        total.update(file.relative_to(path.parent).as_posix().encode() + bytes.fromhex(sha256_of(file)))
    return total.hexdigest()[:12]


def _tracks_digest(tracks: Iterable[Tracks]) -> str:
    total = hashlib.sha256()
    for one in tracks:
        total.update(_rows(one))
    return total.hexdigest()[:12]


def _rows(tracks: Tracks | None) -> bytes:
    """What tracks say, without when and where they were made."""
    if tracks is None:
        return b""
    columns = (tracks.frame, tracks.object_id, np.round(np.nan_to_num(tracks.boxes), 4), tracks.visible)
    masks = b"" if tracks.rle is None else b"".join(m or b"-" for m in tracks.rle)
    points = np.round(np.nan_to_num(tracks.points.xy), 4)
    return b"".join(np.ascontiguousarray(c).tobytes() for c in columns) + masks + points.tobytes()
