"""What every format must do, whoever wrote it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab import formats, masks
from vtlab.benchmark import evaluate_folders
from vtlab.datasets import open_dataset
from vtlab.errors import TracksError
from vtlab.files import write_whole
from vtlab.formats import FEATURES, Format, Kind
from vtlab.metrics import METRICS, score
from vtlab.metrics.families import find_family
from vtlab.metrics.rules import MOT
from vtlab.sequence import Sequence
from vtlab.testing.columns import sampled
from vtlab.testing.contract import Contract, NotAsked
from vtlab.testing.ledger import check_ledger, random_tracks
from vtlab.tracks import PointRows, Tracks
from vtlab.tracks.columns import EXTRAS
from vtlab.video import open_video

COUNT, SIZE = 12, (48, 64)
"""Frames of the sequence that the checks write, and their (height, width)."""
PERFECT = {"success_auc": 20 / 21, "J": 1, "F": 1, "AJ": 1} | dict.fromkeys(
    ("ao", "precision_20px", "HOTA", "MOTA", "IDF1"), 1
)
"""Metric -> what a perfect result gives; success of 21 thresholds is never above the last one."""


class FormatPart:
    """A format under test, with a folder of its own on disk that goes when the check is done."""

    def __init__(self, spec: Any, params: Mapping[str, Any]):
        self.form = formats.find_format(spec, **params)
        if not self.form.ready:
            raise NotAsked(f"the package {self.form.package} is missing")

    @cached_property
    def root(self) -> Path:
        """The folder."""
        root = tempfile.mkdtemp(prefix="vtlab-check-")
        weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        return Path(root)

    def there_and_back(self, tracks: Tracks, kind: Kind = "truth", folder: str = "") -> Tracks:
        """The tracks, written and read again."""
        form, root = self.form, self.root / folder
        path = form.write_tracks(tracks, form.path_of(root, "walk", "" if kind == "truth" else "mine"), kind)
        if kind == "results":
            return form.read_tracks(path, None if tracks.size is None else whole(tracks))
        (place,) = form.find(root).values()
        assert place.name == "walk", f"its truth was written as 'walk' and found as {place.name!r}"
        found = form.read_sequence(place, images=False).truth
        assert found is not None, "it found no truth where it wrote it"
        return found


def example(form: Format, kind: Kind = "truth") -> Tracks:
    """Tracks of which the format can hold everything."""
    held = form.holds if kind == "truth" or form.results is None else form.results
    ids = (1, 2) if "objects" in held else (1,)
    frames, owners = np.tile(np.arange(COUNT), len(ids)), np.repeat(ids, COUNT)
    corner = np.stack([2 + owners * 14 + frames, 3 + owners * 9 + frames], axis=1).astype(float)
    columns: dict[str, Any] = {"source": "manual" if kind == "truth" else "tracked"}
    drawn = "masks" in held and "boxes" not in held
    size = SIZE if "size" in held or drawn else None
    if not {"boxes", "masks"} & held:
        rows = PointRows.of(frames, owners, np.zeros_like(frames), corner)
        return Tracks.of(frames, owners, points=rows, size=size, **columns)
    rule = MOT.get(form.rule)
    counted = rule.classes if rule is not None else ()
    columns["label"] = next(iter(counted), "pedestrian") if "labels" in held else None
    if drawn:
        columns["masks"] = [masks.from_box((x, y, x + 8, y + 6), *SIZE) for x, y in corner]
    else:
        # Quarters and eighths, which are exact in binary: what differs after a round trip was lost, not rounded.
        left_top, sides = (corner, (8.0, 6.0)) if form.grid else (corner + 0.25, (8.5, 6.125))
        columns["boxes"] = np.concatenate([left_top, left_top + sides], axis=1)
    return Tracks.of(frames, owners, size=size, **columns)


def added(tracks: Tracks, feature: str) -> Tracks:
    """The tracks with one feature more, as far as they can have it."""
    first, n = tracks.object_ids[0], len(tracks)
    middle = (tracks.frame == 5) & (tracks.object_id == first)
    corner = PointRows.of(tracks.frame, tracks.object_id, np.zeros(n), np.full((n, 2), 9.0))
    unseen = (tracks.points.frame == 5) & (tracks.points.object_id == first)
    ids = {int(i): int(i) + 6 for i in tracks.object_ids}
    changes: dict[str, Callable[[], Tracks]] = {
        "boxes": lambda: tracks.replace(boxes=np.tile((30.0, 20.0, 40.0, 30.0), (n, 1))),
        "masks": lambda: tracks.replace(rle=drawn(tracks), size=SIZE),
        "points": lambda: tracks.replace(points=corner),
        "objects": lambda: tracks if len(ids) > 1 else Tracks.concat([tracks, tracks.renamed({1: 2})]),
        "ids": lambda: tracks.renamed(ids),
        "hidden": lambda: tracks.replace(visible=~middle, points=tracks.points.replace(visible=~unseen)),
        "absent": lambda: blanked(tracks, middle),
        "gaps": lambda: tracks.take(~middle),
        "unlooked": lambda: tracks.take(tracks.frame != 5),
        "flags": lambda: tracks.replace(score=np.where(middle, 0.0, 1.0)),
        "scores": lambda: tracks.replace(score=np.where(middle, 0.5, 1.0)),
        "labels": lambda: tracks.replace(label=np.array(["pedestrian"] * n, dtype=object)),
        "velocity": lambda: tracks.replace(velocity=np.ones((n, 2))),
        "size": lambda: tracks.replace(size=SIZE),
    }
    if feature in changes:
        return changes[feature]()
    if feature not in EXTRAS:
        return tracks
    values: dict[str, Any] = {
        "attributes": [{"colour": "red"}] * n,
        "polygons": [[[5, 5], [20, 5], [5, 20]]] * n,
    } | {name: np.ones(n) for name in ("angle", "occluded", "outside", "key", "time")}
    columns: dict[str, Any] = {k: v for k, v in tracks.columns().items() if k != "rle"}
    columns |= {feature: values[feature] if feature in values else sampled(feature, n)}
    rle = None if tracks.rle is None else tracks.rle.tolist()
    return Tracks.of(**columns, masks=rle, points=tracks.points, size=tracks.size)


def drawn(tracks: Tracks) -> NDArray[np.object_]:
    """A mask for each row, encoded; no two objects of a frame share a pixel."""
    found = [masks.from_box((20 * i - 15, 10, 20 * i, 20), *SIZE) for i in tracks.object_id.tolist()]
    return np.array([masks.encode(m) for m in found], dtype=object)


def blanked(tracks: Tracks, rows: NDArray[np.bool_]) -> Tracks:
    """The tracks without box, mask and points in these rows, which say that the object is absent."""
    keep = ~np.isin(tracks.points.frame, tracks.frame[rows])
    return tracks.replace(
        boxes=np.where(rows[:, None], np.nan, tracks.boxes),
        visible=tracks.visible & ~rows,
        rle=None if tracks.rle is None else np.where(rows, None, tracks.rle),  # type: ignore[call-overload]
        points=tracks.points.take(keep),
    )


def lossy(form: Format, given: Tracks) -> Tracks:
    """An answer that is wrong here and there, and hidden on one frame, where a file has a hidden point's place, too."""
    if form.family != "points" or "hidden" in form.held("results"):
        given = given.replace(visible=given.frame != 7)
    if form.family == "points":
        points = given.points
        # Every third frame far off, the others by half a pixel, so that every metric of points is below its best.
        xy = points.xy + np.where(points.frame % 3 == 0, 9.0, 0.5)[:, None]
        return given.replace(points=points.replace(xy=xy, visible=given.visible))
    if given.rle is not None:
        moved = [np.roll(m, 2, axis=1) for m in map(given.mask, range(len(given))) if m is not None]
        size, label = given.size, given.label
        return Tracks.of(
            given.frame, given.object_id, masks=moved, visible=given.visible, label=label, size=size
        )
    far, near = (3.0, 1.0) if form.grid else (2.5, 0.5)
    return given.replace(boxes=given.boxes + np.where(given.frame % 3 == 0, far, near)[:, None])


def whole(truth: Tracks, rule: str = "") -> Sequence:
    """A sequence with this truth."""
    height, width = truth.size or SIZE
    video = open_video(np.zeros((COUNT, height, width, 3), np.uint8), name="walk")
    return Sequence("walk", video, truth, benchmark=rule)


def _rule(form: Format) -> str:
    """The rule that truth must name where the format has none, so that nobody guesses by which metrics it is scored."""
    return "" if form.family else "otb"


def assert_same(a: Tracks, b: Tracks) -> None:
    """Two tables hold the same, bit for bit; points to the last digits that the division by the size leaves."""
    assert set(a.columns()) == set(b.columns())
    for name, column in a.columns().items():
        if name == "polygons":
            for x, y in zip(column, b.columns()[name], strict=True):
                assert all(np.array_equal(p, q) for p, q in zip(x or (), y or (), strict=True)), name
        else:
            np.testing.assert_array_equal(column, b.columns()[name], err_msg=name)
    assert a.size == b.size
    for name in ("frame", "object_id", "point_id", "visible"):
        np.testing.assert_array_equal(getattr(a.points, name), getattr(b.points, name), err_msg=name)
    np.testing.assert_allclose(a.points.xy, b.points.xy, rtol=0, atol=1e-12)


FORMAT = Contract(FormatPart)


@FORMAT.check
def _(part: FormatPart) -> None:
    """what it holds comes back, as truth and as results"""
    kinds: tuple[Kind, ...] = ("truth", "results")
    for kind in kinds:
        given = example(part.form, kind)
        assert part.form.losses(given, kind) == {}
        assert_same(part.there_and_back(given, kind, folder=kind), given)


@FORMAT.check
def _(part: FormatPart) -> None:
    """what it loses is exactly what it says"""
    for feature in FEATURES:
        count = FEATURES[feature].count
        given = added(example(part.form), feature)
        if not count(given):
            continue  # these tracks can't have it
        lost = part.form.losses(given)
        assert (feature in lost) == (feature not in part.form.holds), feature
        try:
            back = part.there_and_back(given, folder=feature)
        except TracksError:
            assert feature in lost, f"{feature} can't be written, and `holds` says that it can"
            continue
        if not lost:
            assert_same(back, given)
        elif feature in lost and (given.size is None) == (back.size is None):
            assert count(back) == 0, f"{feature} comes back, and `holds` says that it does not"


@FORMAT.check
def _(part: FormatPart) -> None:
    """tracks with every feature come back but for what its ledger says"""
    given = random_tracks(2)
    parts = [given] if "objects" in part.form.holds else map(given.of_object, given.object_ids.tolist())
    for number, alone in enumerate(parts):
        alone = formats.fitted(part.form, alone, "truth")
        losses = part.form.losses(alone)
        try:
            back = part.there_and_back(alone, folder=str(number))
        except TracksError:
            continue  # it holds nothing of such an object
        check_ledger(alone, back, losses)


@FORMAT.check
def _(part: FormatPart) -> None:
    """a number does not depend on the road, and a perfect result gives the rule's perfect number"""
    form, root = part.form, part.root
    truth, rule = example(form), ""
    answers = {"perfect": example(form, "results"), "lossy": lossy(form, example(form, "results"))}
    form.write_sequence(whole(truth, _rule(form)), form.path_of(root, "walk"))
    for tracker, answer in answers.items():
        formats.write_tracks(answer, root, form, sequence="walk", tracker=tracker)
    result = evaluate_folders(root, root, form)
    assert set(result.parts) == set(answers)
    values = {tracker: parts[0].values() for tracker, parts in result.parts.items()}
    for tracker, answer in answers.items():
        rule = result.parts[tracker][0].rule.name
        in_memory = score(answer, whole(truth, rule), result.family, rule).values()
        assert set(values[tracker]) == set(in_memory)
        for metric, value in in_memory.items():
            np.testing.assert_allclose(values[tracker][metric], value, rtol=1e-12, err_msg=metric)
    best = PERFECT if rule != "trackingnet" else {**PERFECT, "success_auc": 39 / 40}
    family = find_family(result.family)
    for metric in set(family.listed) & set(best):
        np.testing.assert_allclose(values["perfect"][metric], best[metric], rtol=1e-6, err_msg=metric)
    worth = METRICS[family.main].worth
    assert worth(values["lossy"][family.main]) < worth(values["perfect"][family.main])


@FORMAT.check
def _(part: FormatPart) -> None:
    """it finds its files through links, at every level, and in a tree of one sequence"""
    form, real = part.form, part.root / "real"
    form.write_sequence(whole(example(form), _rule(form)), form.path_of(real, "walk"))
    formats.write_tracks(example(form, "results"), real, form, sequence="walk", tracker="mine")
    (part.root / "linked").symlink_to(real, target_is_directory=True)
    inner = part.root / "inner"
    inner.mkdir()
    for child in real.iterdir():
        (inner / child.name).symlink_to(child, target_is_directory=child.is_dir())
    (real / "truth" / "loop").symlink_to(real / "truth", target_is_directory=True)
    for root in (real, part.root / "linked", inner):
        assert list(form.find(root)) == ["walk"], root.name
        found = evaluate_folders(root, root, form).parts
        assert [(t, p[0].sequence) for t, p in found.items()] == [("mine", "walk")], root.name
    alone = form.find(real)["walk"].path
    assert list(form.find(alone)) == list(form.find(alone.parent)) == ["walk"]
    assert open_dataset(alone, form).names == ("walk",)
    results = form.path_of(real, "walk", "mine")
    for root in (results, results.parent, real / "mine"):
        found = evaluate_folders(alone, root, form).parts
        assert [p[0].sequence for p in found.values()] == ["walk"], root.name


@FORMAT.check
def _(part: FormatPart) -> None:
    """what systems leave beside its files changes nothing"""
    form, root = part.form, part.root
    form.write_sequence(whole(example(form), _rule(form)), form.path_of(root, "walk"))
    formats.write_tracks(example(form, "results"), root, form, sequence="walk", tracker="mine")
    before = evaluate_folders(root, root, form).table
    for path in [p for p in root.rglob("*") if p.is_file()]:
        for copy in (
            f"._{path.name}",
            f".ipynb_checkpoints/{path.stem}-checkpoint{path.suffix}",
            f"__MACOSX/{path.name}",
        ):
            write_whole(path.parent / copy, b"Mac OS X")
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._walk"):
            write_whole(path.parent / name, b"left")
    assert list(form.find(root)) == ["walk"]
    assert [r.sequence for r in form.find_results(root, ["walk"])] == ["walk"]
    assert evaluate_folders(root, root, form).table.equals(before)


@FORMAT.check
def _(part: FormatPart) -> None:
    """names of two-target sequences are the same everywhere"""
    form, root = part.form, part.root
    if "objects" in form.holds:
        raise NotAsked("a file holds several objects")
    one = example(form)
    both = Tracks.concat([one, one.renamed({1: 2})])
    for tracker in ("", "mine"):
        formats.write_tracks(both, root, form, sequence="Jogging", tracker=tracker)
    named = ["Jogging-1", "Jogging-2"]
    assert list(form.find(root)) == named
    assert sorted(r.sequence for r in form.find_results(root, named)) == named
    assert [p.sequence for p in evaluate_folders(root, root, form).parts["mine"]] == named


@FORMAT.check
def _(part: FormatPart) -> None:
    """vtlab's own tracks are converted there and back"""
    form, root = part.form, part.root
    given = example(form)
    formats.write_tracks(given, root / "own", "vtlab", sequence="walk")
    done = formats.convert(root / "own", root / "out", form)
    assert (done.source, done.target, done.losses) == ("vtlab", form.name, ())
    assert all(path.exists() for path in done.written)
    back = formats.convert(root / "out", root / "back", "vtlab", layout=form)
    assert_same(Tracks.load(back.written[0]), given)
