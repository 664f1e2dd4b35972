"""Benchmarks on disk as they lie: find truth and results in a folder tree, score every pair, make one table.

No lists of sequences are needed: a result belongs to the sequence that its file or folder is named after, and to
the tracker that the folder above is named after (TrackEval's `data` in between is skipped).
"""

from __future__ import annotations

import configparser
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import FormatError, InputError, near
from vtlab.formats.boxes import read_boxes
from vtlab.formats.mot import CLASSES, read_mot_rows
from vtlab.formats.mots import read_mots
from vtlab.metrics import METRICS, evaluation, mot, pairing, sot, statistics, vos
from vtlab.metrics.evaluation import Part
from vtlab.metrics.families import find_rule as find
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

MAIN = {
    "mot": ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDSW", "CLR_FP", "CLR_FN"),
    "sot": ("success_auc", "precision_20px", "norm_precision_auc", "ao", "sr_50", "sr_75"),
    "vos": ("J&F", "J", "J_recall", "J_decay", "F", "F_recall", "F_decay"),
    "points": ("AJ", "delta_avg", "OA"),
}
"""Columns of the table of each family; the first ranks the trackers."""
_PARALLEL_BYTES = 40_000_000
_VOID = {254, 255}


@dataclass(frozen=True)
class _Job:
    """One tracker's result for one sequence, and where they lie."""

    tracker: str
    sequence: str
    truth: Path
    results: tuple[Path, ...]
    protocol: str
    first_frame: int = 1


@dataclass(frozen=True)
class Layout:
    """How one benchmark lies on disk.

    Attributes:
        name: As given to `evaluate_folders`.
        family: By whose metrics it is scored.
        protocol: The benchmark's rule.
        truth: Finds sequence -> its file or folder of truth.
        results: Finds (tracker, sequence, file or folder) under a root.
        score: Scores one job.
    """

    name: str
    family: str
    protocol: str
    truth: Callable[[Path], dict[str, Path]]
    results: Callable[[Path, Mapping[str, Path]], list[tuple[str, str, Path]]]
    score: Callable[[_Job], Part]


@dataclass(frozen=True)
class FolderResult:
    """Scores of all trackers found, over all sequences.

    Attributes:
        layout: How the folders were read.
        parts: Tracker -> one part for each sequence.
        level: Level of the intervals.
    """

    layout: str
    parts: Mapping[str, Sequence[Part]]
    level: float = 0.95
    notes: tuple[str, ...] = field(default=())

    @property
    def family(self) -> str:
        """Family of the metrics."""
        return next(iter(self.parts.values()))[0].family

    @property
    def protocol(self) -> str:
        """Name of the rule by which the numbers were made."""
        return next(iter(self.parts.values()))[0].protocol.name

    @cached_property
    def tidy(self) -> pd.DataFrame:
        """Every metric: tracker, sequence, object_id, metric, value, protocol; `all` joins sequences."""
        flat = [(tracker, part) for tracker, parts in self.parts.items() for part in parts]
        return evaluation.table([p for _, p in flat], [t for t, _ in flat])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Main metrics, one row for each tracker and sequence; the row `all` joins the sequences."""
        import pandas as pd

        rows = []
        for tracker, parts in self.parts.items():
            named = [(p.sequence, p.values()) for p in parts]
            if len(parts) > 1:
                named.append(("all", evaluation.combine(parts)))
            rows += [
                {"tracker": tracker, "sequence": s, **{m: v[m] for m in MAIN[self.family]}} for s, v in named
            ]
        return pd.DataFrame(rows).set_index(["tracker", "sequence"])

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """Trackers ranked by the family's first metric, with interval and tie group."""
        return statistics.leaderboard(self.parts, MAIN[self.family][0], level=self.level)

    def to_rich(self) -> Table:
        """Return the table for a terminal: per cent, direction marked, intervals and tie groups where there are any."""
        from rich.table import Table

        names, caption = self._names(), f"protocol: {self.protocol}; fractions in per cent"
        out = Table(title=f"{self.layout}: {MAIN[self.family][0]} decides", caption=caption)
        several = len(self.parts) > 1
        out.add_column("tracker")
        out.add_column("group" if several else "sequence", justify="right" if several else "left")
        for name in names:
            out.add_column(name, justify="right")
        for cells, last in self._cells():
            out.add_row(*cells, style="bold" if last else None)
        return out

    def to_latex(self) -> str:
        """Return the table for a paper (booktabs)."""
        several = len(self.parts) > 1
        names = ["tracker", "group" if several else "sequence", *self._names()]
        signs = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "&": r"\&", "_": r"\_", "%": r"\%", "±": r"$\pm$"}

        def plain(text: str) -> str:
            return "".join(signs.get(c, c) for c in text)

        lines = [r"\begin{tabular}{ll" + "r" * len(self._names()) + "}", r"\toprule"]
        lines += [" & ".join(plain(n) for n in names) + r" \\", r"\midrule"]
        lines += [" & ".join(plain(c) for c in cells) + r" \\" for cells, _ in self._cells()]
        lines += [r"\bottomrule", r"\end{tabular}", f"% protocol: {self.protocol}; fractions in per cent"]
        return "\n".join(lines) + "\n"

    def styled(self) -> Any:
        """Return the table as a styled DataFrame for a notebook."""
        import pandas as pd

        several = len(self.parts) > 1
        frame = pd.DataFrame(
            [cells for cells, _ in self._cells()],
            columns=["tracker", "group" if several else "sequence", *self._names()],
        )
        caption = f"protocol: {self.protocol}; fractions in per cent"
        return frame.style.format(escape="html").hide(axis="index").set_caption(caption)

    def _repr_html_(self) -> str:
        return str(self.styled().to_html())

    def save(self, path: str | Path) -> Path:
        """Write the numbers by the name's ending: .parquet or .csv (tidy, every metric) or .tex (the table).

        Raises:
            InputError: Another ending.
        """
        target = Path(path)
        writers: dict[str, Callable[[Path], Any]] = {
            ".parquet": lambda p: self.tidy.astype({"object_id": str}).to_parquet(p),
            ".csv": lambda p: self.tidy.to_csv(p, index=False),
            ".tex": lambda p: p.write_text(self.to_latex()),
        }
        if target.suffix not in writers:
            raise InputError(
                f"{target}: can't write {target.suffix or 'no ending'!r}. Known: {', '.join(writers)}."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".part")
        try:
            writers[target.suffix](temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def _names(self) -> list[str]:
        return [f"{n} {METRICS[n].arrow}".strip() for n in MAIN[self.family]]

    def _cells(self) -> list[tuple[list[str], bool]]:
        """Rows of text: for one tracker its sequences, for several their ranking."""
        names = MAIN[self.family]
        if len(self.parts) == 1:
            return [
                ([tracker, sequence, *(_text(n, row[n]) for n in names)], sequence == "all")
                for (tracker, sequence), row in zip(
                    self.table.index, self.table.to_dict("records"), strict=True
                )
            ]
        rows = []
        for tracker, line in self.leaderboard.iterrows():
            values = evaluation.combine(self.parts[str(tracker)])
            cells = [_text(n, values[n]) for n in names]
            if np.isfinite(line["low"]):
                cells[0] += f" [{_text(names[0], line['low'])}, {_text(names[0], line['high'])}]"
            group = "" if np.isnan(line["group"]) else f"{line['group']:.0f}"
            rows.append(([str(tracker), group, *cells], line["group"] == 1))
        return rows


def evaluate_folders(
    truth: str | Path,
    tracks: str | Path,
    layout: str = "vtlab",
    *,
    protocol: str | None = None,
    missing: str = "error",
    first_frame: int = 1,
    workers: int | None = None,
) -> FolderResult:
    """Score results in a folder against the truth in another.

    Args:
        truth: Folder of the benchmark, at any level above the sequences.
        tracks: Folder of results: of one tracker, or of several in folders of their own.
        layout: Name of the layout, see `LAYOUTS`.
        protocol: Another rule of the same family than the layout's own.
        missing: What to do about sequences without a result: `error`, or `skip` (which the result notes).
        first_frame: Index of the first frame in MOTChallenge files.
        workers: Processes; default: as many as pay for the amount of data. The numbers do not depend on it.

    Returns:
        `.table`, `.tidy`, `.leaderboard` (DataFrames), `.to_rich()`, `.to_latex()`, `.save(path)`.

    Raises:
        InputError: Unknown layout or protocol.
        FormatError: Nothing to score; a result is missing; a file is wrong (which, where, what was expected).
    """
    kind = layout.lower()
    if kind not in LAYOUTS:
        raise InputError(f"Unknown layout {layout!r}. {near(kind, LAYOUTS)}")
    rule = find(LAYOUTS[kind].family, protocol or LAYOUTS[kind].protocol) if LAYOUTS[kind].family else None
    jobs, notes = _jobs(
        LAYOUTS[kind], Path(truth), Path(tracks), rule.name if rule else protocol or "", missing
    )
    jobs = [replace(job, first_frame=first_frame) for job in jobs]
    parts: dict[str, list[Part]] = {}
    for job, part in zip(jobs, _run(kind, jobs, workers), strict=True):
        parts.setdefault(job.tracker, []).append(part)
    return FolderResult(kind, parts, notes=tuple(notes))


def _jobs(
    layout: Layout, truth: Path, tracks: Path, protocol: str, missing: str
) -> tuple[list[_Job], list[str]]:
    for path in (truth, tracks):
        if not path.exists():
            raise FormatError(f"{path}: there is no such file or folder.")
    known = layout.truth(truth)
    if not known:
        raise FormatError(f"{truth}: no ground truth in the layout {layout.name!r}. Is the layout right?")
    found: dict[str, dict[str, list[Path]]] = {}
    for tracker, sequence, path in layout.results(tracks, known):
        found.setdefault(tracker, {}).setdefault(sequence, []).append(path)
    if not found:
        others = sorted(p.name for p in tracks.rglob("*") if p.is_file())[:3] if tracks.is_dir() else []
        seen = f" There are {', '.join(others)}, ..." if others else ""
        raise FormatError(
            f"{tracks}: no results for the sequences {_few(known)} in the layout {layout.name!r}.{seen} Results are "
            "named after their sequence."
        )
    jobs, notes = [], []
    for tracker, mine in sorted(found.items()):
        lacking = [s for s in known if s not in mine]
        if lacking and missing != "skip":
            raise FormatError(
                f"{tracks}: {tracker!r} has no result for {_few(lacking)} ({len(lacking)} of {len(known)} sequences). "
                "Add it, or leave such sequences out with missing='skip' (--missing skip)."
            )
        if lacking:
            notes.append(f"{tracker}: {len(lacking)} of {len(known)} sequences left out: {_few(lacking)}")
        jobs += [_Job(tracker, s, known[s], tuple(sorted(mine[s])), protocol) for s in known if s in mine]
    return jobs, notes


def _run(kind: str, jobs: list[_Job], workers: int | None) -> list[Part]:
    if workers is None:
        size = sum(p.stat().st_size for j in jobs for p in j.results if p.is_file())
        workers = min(os.cpu_count() or 1, len(jobs)) if size > _PARALLEL_BYTES else 1
    if workers < 2 or len(jobs) < 2:
        return [LAYOUTS[kind].score(job) for job in jobs]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(_score_job, [kind] * len(jobs), jobs))


def _score_job(kind: str, job: _Job) -> Part:
    return LAYOUTS[kind].score(job)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")


def _text(name: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{100 * value:.2f}" if METRICS[name].unit == "fraction" else f"{value:.0f}"


# -- finding ------------------------------------------------------------------------------------------------------


def _unique(pairs: Iterable[tuple[str, Path]], root: Path) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for name, path in sorted(pairs):
        if name in out:
            raise FormatError(
                f"{root}: the truth of {name} is there twice: {out[name]} and {path}. Name one folder."
            )
        out[name] = path
    return out


def _tracker(root: Path, path: Path) -> str:
    """Name a tracker by the folders between the root and the result, without TrackEval's `data`."""
    parts = [p for p in path.relative_to(root).parts[:-1] if p not in ("data", "results")]
    return "/".join(parts) or root.name


def _result_files(root: Path, known: Mapping[str, Path], suffix: str = ".txt") -> list[tuple[str, str, Path]]:
    if root.is_file():
        return [(root.stem, next(iter(known)), root)] if len(known) == 1 else []
    return [(_tracker(root, p), p.stem, p) for p in sorted(root.rglob(f"*{suffix}")) if p.stem in known]


def _mot_truth(root: Path) -> dict[str, Path]:
    return _unique(((p.parent.parent.name, p) for p in root.rglob("gt.txt") if p.parent.name == "gt"), root)


def _otb_truth(root: Path) -> dict[str, Path]:
    named = ((p.parent.name + _target(p.name), p) for p in root.rglob("groundtruth_rect*.txt"))
    found = _unique(named, root)
    return found or _unique(((p.stem, p) for p in root.rglob("*.txt")), root)


def _target(name: str) -> str:
    """`groundtruth_rect.2.txt` is the second target of its sequence."""
    match = re.fullmatch(r"groundtruth_rect\.(\d+)\.txt", name)
    return f".{match[1]}" if match else ""


def _folder_truth(root: Path) -> dict[str, Path]:
    return _unique(((p.parent.name, p) for p in root.rglob("groundtruth.txt")), root)


def _flat_truth(root: Path) -> dict[str, Path]:
    return _unique(((p.stem, p) for p in root.rglob("*.txt")), root)


def _got10k_results(root: Path, known: Mapping[str, Path]) -> list[tuple[str, str, Path]]:
    out = []
    for path in sorted(root.rglob("*.txt")):
        match = re.fullmatch(r"(.+)_(\d{3})", path.stem)
        if match and match[1] in known:
            above = path.parent if path.parent.name == match[1] else path
            out.append((_tracker(root, above), match[1], path))
    return out


def _mask_truth(root: Path) -> dict[str, Path]:
    folders = {p.parent for p in root.rglob("*.png")}
    marked = {f for f in folders if "Annotations" in f.parts}
    folders = marked or folders
    small = {f for f in folders if "480p" in f.parts}
    return _unique(((f.name, f) for f in small or folders), root)


def _mask_results(root: Path, known: Mapping[str, Path]) -> list[tuple[str, str, Path]]:
    folders = sorted({p.parent for p in root.rglob("*.png")})
    return [(_tracker(root, f), f.name, f) for f in folders if f.name in known]


def _tapvid_truth(root: Path) -> dict[str, Path]:
    files = [root] if root.is_file() else sorted(root.rglob("*.pkl"))
    return _unique(((name, p) for p in files for name in _tapvid(p, False).names), root)


def _parquet_truth(root: Path) -> dict[str, Path]:
    files = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
    return _unique(((p.stem, p) for p in files), root)


def _parquet_results(root: Path, known: Mapping[str, Path]) -> list[tuple[str, str, Path]]:
    return _result_files(root, known, ".parquet")


# -- scoring ------------------------------------------------------------------------------------------------------


def _score_mot(job: _Job) -> Part:
    rule = find("mot", job.protocol)
    info = _info(job.truth.parent.parent / "seqinfo.ini", "Sequence")
    frames = int(info["seqlength"]) if "seqlength" in info else None
    size = (int(info["imwidth"]), int(info["imheight"])) if "imwidth" in info and "imheight" in info else None
    gt = read_mot_rows(job.truth, "truth", frames=frames, size=size)
    result = read_mot_rows(job.results[0], "results", frames=frames, size=size, first_frame=job.first_frame)
    pairs = pairing.pairs_of_boxes(
        (gt.frame, gt.object_id, gt.boxes), (result.frame, result.object_id, result.boxes), frames
    )
    scored = gt.confidence != 0
    distractor = None
    if rule.classes:
        if not gt.has_classes:
            raise FormatError(
                f"{job.truth}: the protocol {rule.name!r} needs the class in column 8 and the visibility in column 9; "
                "this file has none. Use --as mot15."
            )
        ids = {label: number for number, label in CLASSES.items()}
        scored &= np.isin(gt.class_id, [ids[c] for c in rule.classes])
        distractor = np.isin(gt.class_id, [ids[c] for c in rule.distractors])
    counts = mot.evaluate(pairing.preprocess(pairs, scored, distractor), threshold=rule.threshold, vace=False)
    return Part("mot", rule, counts, {}, job.sequence)


def _info(path: Path, section: str) -> dict[str, str]:
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        return dict(parser[section])
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: expected a section [{section}] of key = value lines ({error}).") from None


def _score_sot(job: _Job) -> Part:
    rule = find("sot", job.protocol)
    truth = read_boxes(job.truth)
    visible, size = _visibility(job.truth, len(truth))
    sequences = [
        sot.BoxSequence(read_boxes(path, frames=len(truth), size=size), truth, visible, size, job.sequence)
        for path in job.results
    ]
    return Part("sot", rule, sot.evaluate(sequences, rule), {}, job.sequence)


def _visibility(truth: Path, frames: int) -> tuple[NDArray[np.bool_] | None, tuple[int, int] | None]:
    """Read what lies beside the truth: GOT-10k's cover.label and size, LaSOT's full_occlusion and out_of_view."""
    folder = truth.parent
    visible: NDArray[np.bool_] | None = None
    if (folder / "cover.label").is_file():
        visible = _flags(folder / "cover.label", frames) > 0
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        if (folder / name).is_file():
            absent = _flags(folder / name, frames) > 0
            visible = ~absent if visible is None else visible & ~absent
    resolution = _info(folder / "meta_info.ini", "METAINFO").get("resolution", "")
    numbers = re.findall(r"\d+", resolution)
    return visible, (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def _flags(path: Path, frames: int) -> NDArray[np.int64]:
    cells = path.read_text(errors="replace").replace(",", " ").split()
    if len(cells) != frames or not all(c.lstrip("-").isdigit() for c in cells):
        raise FormatError(
            f"{path}: expected {frames} whole numbers, one for each frame, got {len(cells)} cells."
        )
    return np.array(cells, dtype=np.int64)


def _score_masks(job: _Job) -> Part:
    rule = find("vos", job.protocol)
    files = {int(p.stem) if p.stem.isdigit() else i: p for i, p in enumerate(sorted(job.truth.glob("*.png")))}
    truth = {frame: _read_labels(path) for frame, path in sorted(files.items())}
    values = {frame: set(np.unique(labels).tolist()) - {0} for frame, labels in truth.items()}
    # DAVIS 2016 has one object, written as 255; elsewhere 254 and 255 are void.
    listed = _listed_frames(job.truth)
    binary = not listed and set().union(*values.values()) <= {255}
    ids = [255] if binary else sorted(set().union(*values.values()) - _VOID)
    frames = list(truth)
    shown = {i: [f for f in frames if i in values[f]] for i in ids}
    if listed:
        # An object begins where meta.json says, which counts the annotated ones among the frames it lists.
        ids, shown = sorted(listed), listed
    counted = {
        i: vos.counted_frames(
            sorted({*frames} & {*shown[i]}) if listed else frames, min(shown[i]), frames[-1], rule
        ).tolist()
        for i in ids
    }
    series: dict[int, list[tuple[float, float]]] = {i: [] for i in ids}
    for frame in sorted(set().union(*counted.values())):
        answer = _answer_labels(job.results[0] / files[frame].name, truth[frame].shape)
        void = np.isin(truth[frame], list(_VOID)) if not binary and values[frame] & _VOID else None
        for i in (i for i in ids if frame in counted[i]):
            a, t = (answer > 0, truth[frame] > 0) if binary else (answer == i, truth[frame] == i)
            series[i].append(vos.measure(a, t, void, rule.tolerance))
    objects = {}
    for number, i in enumerate(ids, start=1):
        j, f = np.array(series[i], dtype=np.float64).reshape(-1, 2).T
        objects[number if binary else i] = vos.ObjectScores(np.array(counted[i]), j, f).values()
    return Part("vos", rule, list(objects.values()), objects if len(objects) > 1 else {}, job.sequence)


def _listed_frames(folder: Path) -> dict[int, list[int]]:
    """Frames of each object of a sequence as YouTube-VOS's meta.json beside `Annotations` lists them; {} without it."""
    path = folder.parent.parent / "meta.json"
    if folder.parent.name != "Annotations" or not path.is_file():
        return {}
    video = _videos(path, path.stat().st_mtime_ns).get(folder.name)
    expected = '"objects": {"1": {"frames": ["00000", ...]}, ...}'
    if video is None:
        raise FormatError(f"{path}: no video {folder.name!r} under 'videos', but {folder} has masks of it.")
    try:
        found = {int(i): [int(f) for f in entry["frames"]] for i, entry in video["objects"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FormatError(f"{path}: video {folder.name!r}: expected {expected}.") from None
    if not found or not all(found.values()):
        raise FormatError(
            f"{path}: video {folder.name!r} lists no object, or no frames of one; expected {expected}."
        )
    return found


@lru_cache(maxsize=1)
def _videos(path: Path, changed: int) -> dict[str, Any]:
    """Videos of a meta.json, which holds a whole split, so it is read once as long as it does not change."""
    try:
        videos = json.loads(path.read_text())["videos"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: expected JSON with 'videos' ({error!r}).") from None
    if not isinstance(videos, dict):
        raise FormatError(f"{path}: expected 'videos' to map names to objects, got {type(videos).__name__}.")
    return videos


def _answer_labels(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    answer = _read_labels(path)
    if answer.shape != shape:
        raise FormatError(
            f"{path}: {answer.shape[1]} x {answer.shape[0]} px, the truth is {shape[1]} x {shape[0]}. Resize it without "
            "mixing labels (nearest neighbour)."
        )
    return answer


def _read_labels(path: Path) -> NDArray[np.uint8]:
    """Read a palette (or grey) PNG of object numbers."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1"):
                raise FormatError(
                    f"{path}: a picture of mode {image.mode} where a palette PNG of object numbers is due. Save it "
                    "with the numbers as palette indices (mode P)."
                )
            return np.asarray(image.convert("L") if image.mode == "1" else image, dtype=np.uint8)
    except FileNotFoundError:
        raise FormatError(
            f"{path}: there is no mask for this frame. An empty answer is a PNG of zeros."
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise FormatError(f"{path}: not a PNG of object numbers ({error}).") from None


def _score_mots(job: _Job) -> Part:
    info = _info(job.truth.parent.parent / "seqinfo.ini", "Sequence")
    frames = int(info["seqlength"]) if "seqlength" in info else None
    truth, tracks = (
        read_mots(path, frames=frames, first_frame=first)
        for path, first in ((job.truth, 1), (job.results[0], job.first_frame))
    )
    if frames is not None:
        truth = truth.replace(meta={**truth.meta, "frames": frames})
    part = evaluation.score(tracks, truth, "mot", job.protocol)
    return Part("mot", part.protocol, part.counts, part.objects, job.sequence)


@lru_cache(maxsize=1)
def _tapvid(path: Path, strided: bool) -> Any:
    """Open the file that is being scored; it is read as a whole, so one is kept."""
    from vtlab.datasets.tapvid import TapVid

    return TapVid(path, queries="strided" if strided else "first")


def _score_tapvid(job: _Job) -> Part:
    sequence = _tapvid(job.truth, "strided" in job.protocol).load(job.sequence)
    part = evaluation.score(Tracks.load(job.results[0]), sequence, "points", job.protocol)
    return Part("points", part.protocol, part.counts, part.objects, job.sequence)


def _score_parquet(job: _Job) -> Part:
    truth, tracks = Tracks.load(job.truth), Tracks.load(job.results[0])
    part = evaluation.score(tracks, truth, None, job.protocol or None)
    return Part(part.family, part.protocol, part.counts, part.objects, job.sequence)


def _layouts() -> dict[str, Layout]:
    found = [
        Layout(n, "mot", n, _mot_truth, _result_files, _score_mot)
        for n in ("mot15", "mot16", "mot17", "mot20")
    ]
    found += [
        Layout("otb", "sot", "otb", _otb_truth, _result_files, _score_sot),
        Layout("lasot", "sot", "lasot", _folder_truth, _result_files, _score_sot),
        Layout("got10k", "sot", "got10k", _folder_truth, _got10k_results, _score_sot),
        Layout("trackingnet", "sot", "trackingnet", _flat_truth, _result_files, _score_sot),
        Layout("mots", "mot", "mots", _mot_truth, _result_files, _score_mots),
        Layout("tapvid", "points", "tapvid-first", _tapvid_truth, _parquet_results, _score_tapvid),
        Layout("davis", "vos", "davis", _mask_truth, _mask_results, _score_masks),
        Layout("youtube-vos", "vos", "youtube-vos", _mask_truth, _mask_results, _score_masks),
        Layout("vtlab", "", "", _parquet_truth, _parquet_results, _score_parquet),
    ]
    return {layout.name: layout for layout in found}


LAYOUTS = _layouts()
"""Every layout by name."""
