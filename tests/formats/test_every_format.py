"""The contract of a format, for every record that the registry finds, unasked."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vtlab
from vtlab import formats, masks
from vtlab.benchmark import evaluate_folders
from vtlab.datasets import open_dataset
from vtlab.errors import FormatError, InputError, TracksError
from vtlab.formats import FEATURES, FORMATS, find_format
from vtlab.metrics import METRICS, score
from vtlab.metrics.families import find_family
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Tracks
from vtlab.tracks.columns import EXTRAS
from vtlab.video import open_video

COUNT, SIZE = 12, (48, 64)
NAMES = sorted(FORMATS)
WORDS = (
    "otb",
    "got10k",
    "lasot",
    "trackingnet",
    "vot",
    "motchallenge",
    "mot",
    "mot15",
    "mot16",
    "mot17",
    "mot20",
)
WORDS = (*WORDS, "mots", "davis", "youtube-vos", "tapvid", "boxes", "vtlab")


def example(form: formats.Format, kind: str = "truth") -> Tracks:
    """Tracks of which the format can hold everything."""
    held = form.holds if kind == "truth" or form.results is None else form.results
    family = form.family or "sot"
    ids = (1, 2) if "objects" in held else (1,)
    frames, owners = np.tile(np.arange(COUNT), len(ids)), np.repeat(ids, COUNT)
    corner = np.stack([2 + owners * 14 + frames, 3 + owners * 9 + frames], axis=1).astype(float)
    columns: dict[str, object] = {"source": "manual" if kind == "truth" else "tracked"}
    drawn = "masks" in held and "boxes" not in held
    size = SIZE if family == "points" or "size" in held or drawn else None
    if family == "points":
        rows = PointRows.of(frames, owners, np.zeros_like(frames), corner)
        return Tracks.of(frames, owners, points=rows, size=size, **columns)
    if drawn:
        columns["masks"] = [masks.from_box((x, y, x + 8, y + 6), *SIZE) for x, y in corner]
        columns["label"] = "pedestrian" if "labels" in held else None
        return Tracks.of(frames, owners, size=size, **columns)
    columns["label"] = "pedestrian" if "labels" in held else None
    boxes = np.concatenate([corner + 0.25, corner + 0.25 + (8.5, 6.125)], axis=1)
    return Tracks.of(frames, owners, boxes, size=size, **columns)


def added(tracks: Tracks, feature: str) -> Tracks:
    """The tracks with one feature more, as far as they can have it."""
    middle = (tracks.frame == 5) & (tracks.object_id == tracks.object_ids[0])
    points = PointRows.of(
        tracks.frame, tracks.object_id, np.zeros(len(tracks), int), np.full((len(tracks), 2), 9.0)
    )
    box, ids = (30.0, 20.0, 40.0, 30.0), tracks.object_ids
    changes = {
        "boxes": lambda: tracks.replace(boxes=np.tile(box, (len(tracks), 1))),
        "masks": lambda: with_masks(tracks),
        "points": lambda: tracks.replace(points=points),
        "objects": lambda: tracks if len(ids) > 1 else Tracks.concat([tracks, tracks.renamed({1: 2})]),
        "ids": lambda: tracks.renamed({int(i): int(i) + 6 for i in tracks.object_ids}),
        "hidden": lambda: tracks.replace(
            visible=~middle,
            points=replace(
                tracks.points, visible=(tracks.points.frame != 5) | (tracks.points.object_id != ids[0])
            ),
        ),
        "absent": lambda: blanked(tracks, middle),
        "gaps": lambda: tracks.take(~middle),
        "flags": lambda: tracks.replace(score=np.where(middle, 0.0, 1.0)),
        "scores": lambda: tracks.replace(score=np.where(middle, 0.5, 1.0)),
        "labels": lambda: tracks.replace(label=np.array(["pedestrian"] * len(tracks), dtype=object)),
        "velocity": lambda: tracks.replace(velocity=np.ones((len(tracks), 2))),
        "size": lambda: tracks.replace(size=SIZE),
        "attributes": lambda: more(tracks, attributes=[{"colour": "red"}] * len(tracks)),
        "polygons": lambda: more(tracks, polygons=[[[5, 5], [20, 5], [5, 20]]] * len(tracks)),
    }
    if feature in changes:
        return changes[feature]()
    if feature in EXTRAS:
        return more(tracks, **{feature: np.ones(len(tracks))})
    return tracks


def more(tracks: Tracks, **columns: object) -> Tracks:
    return Tracks.of(
        tracks.frame,
        tracks.object_id,
        tracks.boxes,
        label=tracks.label,
        source=tracks.source,
        size=tracks.size,
        **columns,
    )


def with_masks(tracks: Tracks) -> Tracks:
    found = [masks.from_box((20 * i - 15, 10, 20 * i, 20), *SIZE) for i in tracks.object_id.tolist()]
    return Tracks.of(
        tracks.frame,
        tracks.object_id,
        tracks.boxes,
        label=tracks.label,
        source=tracks.source,
        masks=found,
        size=SIZE,
    )


def blanked(tracks: Tracks, rows: np.ndarray) -> Tracks:
    """The tracks without box, mask and points in these rows, which say that the object is absent."""
    rle = (
        None
        if tracks.rle is None
        else np.array([None if b else r for r, b in zip(tracks.rle, rows, strict=True)])
    )
    keep = ~np.isin(tracks.points.frame, tracks.frame[rows])
    return tracks.replace(
        boxes=np.where(rows[:, None], np.nan, tracks.boxes),
        visible=tracks.visible & ~rows,
        rle=rle,
        points=tracks.points.take(keep),
    )


def there_and_back(form: formats.Format, tracks: Tracks, root: Path, kind: str = "truth") -> Tracks:
    path = form.write_tracks(tracks, form.path_of(root, "walk", "" if kind == "truth" else "mine"), kind)
    if kind == "results":
        return form.read_tracks(path, None if tracks.size is None else whole(tracks))
    (place,) = form.find(root).values()
    assert place.name == "walk"
    return form.read_sequence(place, images=False).truth


def whole(truth: Tracks, rule: str = "") -> Sequence:
    height, width = truth.size or SIZE
    video = open_video(np.zeros((COUNT, height, width, 3), np.uint8), name="walk")
    return Sequence("walk", video, truth, benchmark=rule)


def assert_same(a: Tracks, b: Tracks) -> None:
    assert set(a.columns()) == set(b.columns())
    for name, column in a.columns().items():
        other = b.columns()[name]
        if name == "polygons":
            assert all(
                np.array_equal(p, q)
                for x, y in zip(column, other, strict=True)
                for p, q in zip(x, y, strict=True)
            )
        else:
            np.testing.assert_array_equal(column, other, err_msg=name)
    assert a.size == b.size
    for name in ("frame", "object_id", "point_id", "visible"):
        np.testing.assert_array_equal(getattr(a.points, name), getattr(b.points, name))
    np.testing.assert_allclose(a.points.xy, b.points.xy, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["truth", "results"])
@pytest.mark.parametrize("name", NAMES)
def test_what_it_holds_comes_back(name, kind, tmp_path):
    form = FORMATS[name]
    given = example(form, kind)
    assert form.losses(given, kind) == {}
    assert_same(there_and_back(form, given, tmp_path, kind), given)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("name", NAMES)
def test_what_it_loses_is_what_it_says(name, feature, tmp_path):
    form = FORMATS[name]
    given = added(example(form), feature)
    if not FEATURES[feature][1](given):
        pytest.skip("these tracks can't have it")
    lost = form.losses(given)
    assert (feature in lost) == (feature not in form.holds)
    try:
        back = there_and_back(form, given, tmp_path)
    except TracksError:
        assert feature in lost
        return
    if not lost:
        assert_same(back, given)
    elif feature in lost and (given.size is None) == (back.size is None):
        assert FEATURES[feature][1](back) == 0


def lossy(form: formats.Format, given: Tracks) -> Tracks:
    """An answer that is wrong here and there, and marked as hidden on one frame."""
    seen = given.frame != 7
    if form.family == "points":
        xy = given.points.xy + np.where(given.points.frame % 3 == 0, 9.0, 0.5)[:, None]
        points = replace(given.points, xy=xy, visible=given.points.frame != 7)
        return given.replace(points=points, visible=seen)
    if given.rle is not None:
        moved = [np.roll(m, 2, axis=1) for m in (given.mask(i) for i in range(len(given)))]
        size = given.size
        return Tracks.of(
            given.frame, given.object_id, masks=moved, visible=seen, label=given.label, size=size
        )
    return given.replace(boxes=given.boxes + np.where(given.frame % 3 == 0, 2.5, 0.5)[:, None], visible=seen)


PERFECT = {
    "success_auc": 20 / 21,
    "ao": 1,
    "precision_20px": 1,
    "HOTA": 1,
    "MOTA": 1,
    "IDF1": 1,
    "J": 1,
    "F": 1,
    "AJ": 1,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_number_does_not_depend_on_the_road(name, tmp_path):
    form = FORMATS[name]
    truth = example(form)
    answers = {"perfect": example(form, "results"), "lossy": lossy(form, example(form, "results"))}
    form.write_sequence(whole(truth), form.path_of(tmp_path, "walk"))
    for tracker, answer in answers.items():
        formats.write_tracks(answer, tmp_path, name, sequence="walk", tracker=tracker)
    result = evaluate_folders(tmp_path, tmp_path, name)
    assert set(result.parts) == set(answers)
    for tracker, answer in answers.items():
        rule = result.parts[tracker][0].protocol.name
        expected = score(answer, whole(truth, rule), result.family, rule).values()
        found = result.parts[tracker][0].values()
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    perfect = result.parts["perfect"][0].values()
    checked = PERFECT if rule != "trackingnet" else {**PERFECT, "success_auc": 39 / 40}
    for metric in find_family(result.family).listed:
        if metric in checked:
            assert perfect[metric] == pytest.approx(checked[metric]), metric
    main = find_family(result.family).main
    assert METRICS[main].worth(result.parts["lossy"][0].values()[main]) < METRICS[main].worth(perfect[main])


@pytest.mark.parametrize("name", NAMES)
def test_links_and_trees_of_one_sequence(name, tmp_path):
    form, real = FORMATS[name], tmp_path / "real"
    form.write_sequence(whole(example(form)), form.path_of(real, "walk"))
    formats.write_tracks(example(form, "results"), real, name, sequence="walk", tracker="mine")
    (tmp_path / "linked").symlink_to(real, target_is_directory=True)
    inner = tmp_path / "inner"
    inner.mkdir()
    for child in real.iterdir():
        (inner / child.name).symlink_to(child, target_is_directory=child.is_dir())
    (real / "truth" / "loop").symlink_to(real / "truth", target_is_directory=True)
    for root in (real, tmp_path / "linked", inner):
        assert list(form.find(root)) == ["walk"]
        result = evaluate_folders(root, root, name)
        assert [(t, p[0].sequence) for t, p in result.parts.items()] == [("mine", "walk")]
    alone = form.find(real)["walk"].path
    assert list(form.find(alone)) == list(form.find(alone.parent)) == ["walk"]
    assert open_dataset(alone, name).names == ("walk",)
    results = form.path_of(real, "walk", "mine")
    for root in (results, results.parent, real / "mine"):
        assert [p[0].sequence for p in evaluate_folders(alone, root, name).parts.values()] == ["walk"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_two_targets_are_the_same_everywhere(name, tmp_path):
    form = FORMATS[name]
    if "objects" in form.holds:
        pytest.skip("a file holds several objects")
    one = example(form)
    both = Tracks.concat([one, one.renamed({1: 2})])
    formats.write_tracks(both, tmp_path, name, sequence="Jogging")
    formats.write_tracks(both, tmp_path, name, sequence="Jogging", tracker="mine")
    named = ["Jogging-1", "Jogging-2"]
    assert list(form.find(tmp_path)) == named
    assert sorted(r.sequence for r in form.find_results(tmp_path, named)) == named
    assert [p.sequence for p in evaluate_folders(tmp_path, tmp_path, name).parts["mine"]] == named


@pytest.mark.parametrize("target", NAMES)
def test_own_tracks_are_converted(target, tmp_path):
    form = FORMATS[target]
    given = example(form)
    formats.write_tracks(given, tmp_path / "own", "vtlab", sequence="walk")
    done = formats.convert(tmp_path / "own", tmp_path / "out", target)
    assert (done.source, done.target, dict(done.losses)) == ("vtlab", target, {})
    assert all(path.exists() for path in done.written)
    if target not in ("boxes", "vtlab"):
        assert formats.sniff(tmp_path / "out").name in (target, "davis")
    back = formats.convert(tmp_path / "out", tmp_path / "back", "vtlab", layout=target)
    assert_same(Tracks.load(back.written[0]), given)
    said = formats.convert(tmp_path / "own", tmp_path / "lossy", "davis") if form.family == "vos" else None
    assert said is None or not said.losses


def test_losses_of_a_conversion_are_said(tmp_path):
    given = added(added(example(FORMATS["motchallenge"]), "scores"), "velocity")
    formats.write_tracks(given, tmp_path / "own", "vtlab", sequence="walk")
    done = formats.convert(tmp_path / "own", tmp_path / "out", "otb")
    assert [p.parent.name for p in done.written] == ["walk-1", "walk-2"]
    lost = {"1 scores", "24 labels", "the size of the frames", "24 rows with velocity"}
    assert set(done.losses["walk"]) == lost
    with pytest.raises(FormatError, match="of which format is it"):
        formats.sniff(Path(vtlab.__file__).parent / "show")


def test_every_word_is_known_everywhere(tmp_path):
    for word in WORDS:
        form = find_format(word)
        assert form.name in FORMATS
        for ask in (lambda w: open_dataset(tmp_path, w), lambda w: evaluate_folders(tmp_path, tmp_path, w)):
            with pytest.raises(InputError, match=r"holds no sequences|no ground truth"):
                ask(word)
    assert find_format("mot20").rule == "mot20"
    with pytest.raises(InputError, match="Did you mean 'motchallenge'"):
        find_format("motchalenge")
    with pytest.raises(InputError, match="has no option 'splitt'. Did you mean 'split'"):
        find_format("davis", splitt="val")


def test_a_format_is_one_file_that_nothing_needs():
    """No other module imports a module that has a record, so that any of them can be deleted."""
    root = Path(vtlab.__file__).parent
    own = {f.stem for f in (root / "formats").glob("*.py") if "\nFORMAT" in f.read_text(encoding="utf-8")}
    own -= {"registry"}
    wrong = []
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("vtlab.formats.") and module.split(".")[2] in own:
                wrong.append(f"{file.relative_to(root)} imports {module}")
    assert not wrong, wrong


# -- faults of the past, each by its kind -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].pixel_base == 1])
def test_truth_of_our_own_writer_is_counted_from_one(name, tmp_path):
    """OTB truth by the package's own writer gave success 0.831 from disk and 0.952 in memory."""
    form = FORMATS[name]
    truth = example(form)
    path = form.write_tracks(truth, form.path_of(tmp_path, "walk"), "truth")
    line = path.read_text().splitlines()[0].split(",")
    left, top = (float(v) for v in (line[2:4] if form.family == "mot" else line[:2]))
    assert [left, top] == (truth.boxes[0, :2] + 1).tolist()
    place = form.find(tmp_path)["walk"]
    np.testing.assert_array_equal(form.read_sequence(place, images=False).truth.boxes, truth.boxes)


def test_official_truth_and_a_result_of_memory_meet(tmp_path):
    """A 1-based truth file, and tracks that were made in memory on its images and written by `write_tracks`."""
    text = "".join(f"{11 + i},{6 + i},10,20\n" for i in range(30))
    (tmp_path / "truth/Ball").mkdir(parents=True)
    (tmp_path / "truth/Ball/groundtruth_rect.txt").write_text(text)
    boxes = np.array([[10 + i, 5 + i, 20 + i, 25 + i] for i in range(30)], float)
    formats.write_tracks(Tracks.of(np.arange(30), 1, boxes), tmp_path, "otb", sequence="Ball", tracker="mine")
    result = evaluate_folders(tmp_path, tmp_path, "otb", rule="pysot")
    assert result.table.loc[("mine", "Ball"), "success_auc"] == pytest.approx(20 / 21)
    assert result.table.loc[("mine", "Ball"), "ao"] == 1


@pytest.mark.parametrize("dot", ["-", ".", "_"])
def test_targets_of_one_otb_folder(dot, tmp_path):
    for k in (1, 2):
        folder = tmp_path / "otb/Jogging"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"groundtruth_rect.{k}.txt").write_text(f"{10 * k},5,10,20\n" * 5)
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / f"mine/Jogging{dot}{k}.txt").write_text(f"{10 * k},5,10,20\n" * 5)
    result = evaluate_folders(tmp_path / "otb", tmp_path / "mine", "otb")
    assert [p.sequence for p in result.parts["mine"]] == ["Jogging-1", "Jogging-2"]
    assert list(find_format("otb").find(tmp_path / "otb")) == ["Jogging-1", "Jogging-2"]
    assert result.table.loc[("mine", "all"), "ao"] == 1


def test_hidden_files_are_no_frames(tmp_path):
    from PIL import Image

    for sub in ("JPEGImages/480p/cat", "Annotations/480p/cat"):
        (tmp_path / sub).mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"JPEGImages/480p/cat/{i:05d}.jpg")
        labels = np.zeros(SIZE, np.uint8)
        labels[5:15, i : 10 + i] = 1
        Image.fromarray(labels, mode="L").save(tmp_path / f"Annotations/480p/cat/{i:05d}.png")
    (tmp_path / "JPEGImages/480p/cat/._00000.jpg").write_bytes(b"macOS")
    truth = open_dataset(tmp_path, "davis")[0].truth
    assert truth.frame.tolist() == [0, 1, 2]
    assert truth.boxes[:, 0].tolist() == [0, 1, 2]


def test_vot_masks_are_rows_first(tmp_path):
    mask = np.zeros(SIZE, bool)
    mask[0, 1:3], mask[1, 0] = True, True
    tracks = Tracks.of([0], [1], masks=[mask], size=SIZE)
    path = find_format("vot").write_tracks(tracks, tmp_path / "walk/walk_001.txt")
    assert path.read_text() == "m0,0,3,2,1,3,2\n"
