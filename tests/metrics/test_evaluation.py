"""The adapters on `Tracks`, and what can be said without truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import vtlab
from vtlab.errors import InputError, VtlabWarning
from vtlab.files import unpacked
from vtlab.formats import read_tracks
from vtlab.metrics import METRICS, combine, consistency, evaluate, score, table
from vtlab.metrics.families import FAMILIES
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.sequence import Sequence
from vtlab.tracks import PointRows, Record, Source, Tracks
from vtlab.video import open_video

N = 40


def boxes(shift=0.0, n=N, ids=(1, 2), **kwargs):
    frame = np.repeat(np.arange(n), len(ids))
    owner = np.tile(ids, n)
    x = 10.0 * owner + frame
    box = np.stack([x + shift, x * 0 + 5, x + 8 + shift, x * 0 + 25], axis=1)
    return Tracks.of(frame, owner, box, size=(120, 160), **kwargs)


def masks(shift=0, n=N):
    frame, out = np.arange(n), []
    for f in frame:
        mask = np.zeros((120, 160), bool)
        mask[20:50, 10 + f + shift : 40 + f + shift] = True
        out.append(mask)
    return Tracks.of(frame, 1, masks=out)


def points(shift=0.0, n=N, hide=()):
    frame, owner, point = (a.ravel() for a in np.meshgrid(np.arange(n), [1, 2], [0, 1], indexing="ij"))
    xy = np.stack([frame + 20.0 * owner + shift, frame * 0 + 30.0 * point], axis=1)
    rows = PointRows.of(frame, owner, point, xy, ~np.isin(frame, hide))
    f, o = (a.ravel() for a in np.meshgrid(np.arange(n), [1, 2], indexing="ij"))
    return Tracks.of(f, o, points=rows, size=(256, 256))


def street(truth, name, **kwargs):
    return Sequence(name, open_video(np.zeros((N, 120, 160, 3), np.uint8)), truth, **kwargs)


def value(frame, metric, object_id="all"):
    hit = frame[(frame.metric == metric) & (frame.object_id == object_id)]
    assert len(hit) == 1
    return float(hit.value.iloc[0])


@pytest.mark.parametrize(
    ("make", "family"), [(boxes, "sot"), (boxes, "mot"), (masks, "vos"), (points, "points")]
)
def test_tidy_table_of_every_family(make, family):
    main = {"sot": "ao", "mot": "HOTA", "vos": "J&F", "points": "AJ"}[family]
    perfect = evaluate(make(), make(), family)
    assert list(perfect.columns) == ["tracker", "sequence", "object_id", "metric", "value", "rule"]
    assert value(perfect, main) == pytest.approx(1)
    assert set(perfect.metric) <= set(METRICS)
    assert set(perfect.rule) <= set(FAMILIES[family].rules)
    assert value(evaluate(make(3), make(), family), main) < 1
    assert value(evaluate(Tracks.empty(size=make().size), make(), family), main) <= 1 / N


def test_public_name_and_inferred_family():
    assert vtlab.evaluate is evaluate
    one = boxes().of_object(1)
    assert score(one, one).family == "sot"
    for answer in (boxes(), boxes().renamed({1: 7, 2: 8})):  # ids that happen to be the truth's say nothing
        with pytest.warns(VtlabWarning, match="family='sot' matches by ids"):
            assert score(answer, boxes()).family == "mot"
        assert score(answer, boxes(meta={"rule": "mot17"})).family == "mot"
        assert score(answer, street(truth=boxes(), name="s", benchmark="mot17")).family == "mot"
        assert score(answer, boxes(meta={"rule": "otb"}), "mot").family == "mot"
    assert score(boxes(), boxes(meta={"rule": "otb"})).family == "sot"
    assert score(masks(), masks()).family == "vos"
    assert score(points(), points()).family == "points"
    by_tracker = boxes(meta={"tracker": {"name": "bytetrack", "family": "mot"}})
    assert set(evaluate(by_tracker, boxes()).tracker) == {"bytetrack"}
    assert score(by_tracker, boxes()).family == "mot"


def test_prompts_say_where_an_object_starts():
    late = Prompts(
        [BoxPrompt((10, 5, 18, 25), object_id=1, frame=20), BoxPrompt((20, 5, 28, 25), object_id=2)]
    )
    sequence = street(truth=boxes(), prompts=late, name="street")
    answer = boxes().take(np.arange(2 * N)[boxes().frame >= 20])
    found = evaluate(answer, sequence, "sot")
    assert set(found.sequence) == {"street"}
    assert value(found, "ao", 1) == pytest.approx(1)
    assert value(found, "ao", 2) == pytest.approx(21 / N)


@pytest.mark.parametrize(("make", "family", "metric"), [(boxes, "sot", "ao"), (points, "points", "AJ")])
def test_objects_that_nobody_asked_for_are_not_judged(make, family, metric):
    asked = Prompts([BoxPrompt((10, 5, 18, 25), object_id=1)])
    answer = make().take(make().object_id == 1)
    assert value(evaluate(answer, street(truth=make(), prompts=asked, name="s"), family), metric) == 1
    assert value(evaluate(answer, make(), family), metric) < 1


def test_invisible_answers_and_uncounted_truth():
    answer = boxes(visible=np.repeat(np.arange(N) % 2 == 0, 2))
    assert value(evaluate(answer, boxes(), "mot"), "CLR_TP") == N
    truth = boxes(score=np.tile([1.0, 0.0], N))
    assert value(evaluate(boxes(), truth, "mot"), "GT_Dets") == N
    people = boxes(label=np.tile(["pedestrian", "reflection"], N))
    found = evaluate(boxes(), people, "mot", "mot17")
    assert (value(found, "GT_Dets"), value(found, "CLR_FP"), value(found, "MOTA")) == (N, 0, 1)


def test_by_class():
    truth = boxes(label=np.tile(["car", "dog"], N))
    answer = truth.take(truth.label == "car")
    found = evaluate(answer, truth, "mot", by_class=True)
    assert value(found, "HOTA", "car") == pytest.approx(1)
    assert value(found, "HOTA", "dog") == 0
    assert value(found, "HOTA", "class average") == pytest.approx(0.5)
    assert value(found, "MOTA", "class combined") == pytest.approx(N / (2 * N))
    with pytest.raises(InputError, match="the truth has car, dog, the tracks none"):
        evaluate(boxes(), truth, "mot", by_class=True)
    with pytest.raises(InputError, match="not by the rule 'otb'"):
        evaluate(boxes(), truth, "sot", by_class=True)


def test_classes_over_sequences_equal_trackeval():
    golden = json.loads((Path(__file__).parent / "golden/classes.json").read_text())
    parts = []
    for sides in golden["sequences"]:
        both = []
        for side in (0, 1):
            rows = [(*row, label) for label, pair in sides.items() for row in pair[side]]
            frame, ids, x, y, w, h, label = zip(*rows, strict=True)
            box = np.stack([x, y, np.add(x, w), np.add(y, h)], axis=1)
            both.append(Tracks.of(frame, ids, box, label=list(label), meta={"frames": 16}))
        parts.append(score(both[1], both[0], "mot", by_class=True))
    assert [list(p.classes) for p in parts] == [["car"], ["car", "dog"]]
    rows = table(parts, ["a", "a"])
    over_all = rows[rows.sequence == "all"]
    for label, numbers in golden["values"].items():
        for name in over_all[over_all.object_id == label].metric:
            if name in numbers:
                assert value(over_all, name, label) == pytest.approx(numbers[name], abs=1e-9), (label, name)


def test_masks_in_multi_object_scoring_and_ignore_regions():
    truth, answer = masks(), masks(2)
    found = evaluate(answer, truth, "mot", "mots")
    assert value(found, "MOTP") == pytest.approx(28 / 32)
    region = np.zeros((120, 160), bool)
    region[60:110, 60:110] = True
    labelled = Tracks.of([0, 0], [1, 9], masks=[truth.mask(0), region], label=["pedestrian", "ignore"])
    inside = np.zeros((120, 160), bool)
    inside[70:90, 70:90] = True
    both = Tracks.of([0, 0], [1, 2], masks=[truth.mask(0), inside])
    assert value(evaluate(both, labelled, "mot", "mots"), "MOTA") == 1


def test_ignore_regions_and_benchmark_of_a_sequence():
    region = Tracks.of(np.arange(N), 1, np.tile([200.0, 0, 260, 60], (N, 1)))
    stray = Tracks.concat([boxes(), Tracks.of([3], [9], [[210.0, 10, 230, 30]], size=(120, 160))])
    sequence = street(truth=boxes(), name="s", ignore=region, benchmark="")
    assert value(evaluate(stray, sequence, "mot"), "CLR_FP") == 0
    assert value(evaluate(stray, boxes(), "mot"), "CLR_FP") == 1
    named = street(truth=boxes(), name="s", benchmark="got10k")
    assert set(evaluate(boxes(), named, "sot").rule) == {"got10k"}
    assert set(evaluate(boxes(), named, "mot").rule) == {"plain"}
    assert set(evaluate(boxes(), named, "sot", "otb").rule) == {"otb"}


def test_void_pixels_of_a_sequence():
    void = np.zeros((120, 160), bool)
    void[:, 80:] = True
    spill = [masks().mask(i) | void for i in range(N)]
    answer = Tracks.of(np.arange(N), 1, masks=spill)
    ignore = Tracks.of(np.arange(N), 1, masks=[void] * N)
    sequence = street(truth=masks(), name="s", ignore=ignore, benchmark="davis")
    assert value(evaluate(answer, sequence, "vos"), "J") == 1
    assert value(evaluate(answer, masks(), "vos"), "J") < 0.5


def test_sparse_truth_counts_annotated_frames_only():
    every_fifth = masks().take(np.arange(0, N, 5))
    found = evaluate(masks(), every_fifth, "vos", "youtube-vos")
    assert value(found, "J") == 1


@pytest.mark.parametrize(
    ("make", "family", "metric"), [(boxes, "sot", "ao"), (masks, "vos", "J&F"), (points, "points", "AJ")]
)
def test_a_perfect_tracker_is_perfect_on_sparse_truth(make, family, metric):
    sparse = make().take(np.isin(make().frame, np.arange(0, N, 10)))
    for rule in FAMILIES[family].rules:
        perfect = score(make(), make(), family, rule).values()
        assert score(make(), sparse, family, rule).values() == pytest.approx(perfect, nan_ok=True), rule
    assert score(make(3), sparse, family).values()[metric] < 1


def test_absence_is_looked_at_and_a_gap_is_not():
    present = np.arange(N) % 10 == 0
    absent = boxes(ids=(1,), visible=present)
    assert score(boxes(ids=(1,)), absent, "sot", "otb").values()["ao"] == pytest.approx(present.mean())
    gap = boxes(ids=(1,)).take(present)
    assert score(boxes(ids=(1,)), gap, "sot", "otb").values()["ao"] == 1
    told = gap.replace(meta={"annotated": list(range(N))})
    assert score(boxes(ids=(1,)), told, "sot", "otb").values()["ao"] == pytest.approx(
        4 / 31
    )  # up to its last row


def test_metrics_that_need_every_frame_refuse_sparse_truth():
    for few in (np.arange(0, N, 10), np.arange(4), [0]):
        sparse = boxes().take(np.isin(boxes().frame, few))
        with pytest.raises(InputError, match=rf"HOTA.*{len(few)} of {N} frames.*annotated=tuple"):
            evaluate(boxes(), sparse, "mot")
    told = sparse.replace(meta={"annotated": list(range(N))})
    assert value(evaluate(boxes(), told, "mot"), "MOTA") == pytest.approx(1 - (N - 1))
    partly = boxes().replace(meta={"annotated": list(range(N - 1))})
    with pytest.raises(InputError, match=f"{N - 1} of {N} frames"):
        evaluate(boxes(), partly, "mot")


@pytest.mark.parametrize("rule", sorted(FAMILIES["sot"].rules))
def test_hidden_answers_of_boxes_count_where_the_tool_reads_each_line(rule):
    hidden = boxes(visible=False)
    counts = rule != "plain" and "vot" not in rule  # whose results say that there is nothing
    assert FAMILIES["sot"].rules[rule].hidden_answers == ("counted" if counts else "dropped")
    shown, none = (score(t, boxes(), "sot", rule).values() for t in (boxes(), Tracks.empty(size=(120, 160))))
    found = score(hidden, boxes(), "sot", rule).values()
    assert found == pytest.approx(shown if counts else none, nan_ok=True)


def test_hidden_answers_of_the_other_families():
    for make, family in ((boxes, "mot"), (masks, "vos")):
        hidden = make().replace(visible=np.zeros(len(make()), bool))
        nothing = Tracks.empty(size=make().size)
        for rule in set(FAMILIES[family].rules) - {"mots"}:
            expected = score(nothing, make(), family, rule).values()
            assert score(hidden, make(), family, rule).values() == pytest.approx(expected, nan_ok=True)
    seen, hidden = points(), points(hide=range(N))
    found = score(hidden, seen, "points").values()
    assert (found["delta_avg"], found["OA"], found["AJ"]) == (1, 0, 0)


def test_truth_knows_its_rule():
    truth = boxes(meta={"rule": "got10k"})
    assert score(boxes(), truth, "sot").rule.name == "got10k"
    assert score(boxes(), truth, "mot").rule.name == "plain"
    assert score(boxes(), truth, "sot", "lasot").rule.name == "lasot"
    assert score(boxes(), street(truth=truth, name="s", benchmark="lasot"), "sot").rule.name == "got10k"
    assert score(boxes(), street(truth=boxes(), name="s", benchmark="lasot"), "sot").rule.name == "lasot"


def test_tracks_of_a_clip_are_not_scored_as_those_of_another():
    whole = street(truth=boxes(), name="s")
    clip = whole.video[10:30]
    made = boxes(n=20, record=Record(source=Source.of_video(clip)))
    truth = boxes().between(10, 30)
    same = Sequence("s", clip, truth.replace(frame=truth.frame - 10))
    shifted = made.replace(
        boxes=made.boxes + np.array([10.0, 0, 10, 0])
    )  # where the objects are ten frames later
    assert value(evaluate(shifted, same, "sot"), "ao") == pytest.approx(1)
    with pytest.raises(InputError, match=r"frames 10 to 29.*frames 0 to 39"):
        evaluate(shifted, whole, "sot")


def test_messages():
    with pytest.raises(InputError, match=r"objects 7, 8, the truth 1, 2: none in common.*renamed"):
        evaluate(boxes().renamed({1: 7, 2: 8}), boxes(), "sot")
    with pytest.raises(InputError, match="holds no rows"):
        evaluate(boxes(), Tracks.empty())
    with pytest.raises(InputError, match="got dict"):
        evaluate(boxes(), {})
    with pytest.raises(InputError, match="160 x 120 px and the tracks are 32 x 32"):
        evaluate(Tracks.of(np.arange(N), 1, masks=np.ones((N, 32, 32), bool)), masks())
    with pytest.raises(InputError, match="have no masks"):
        evaluate(boxes(), masks(), "vos")


def test_parts_combine_over_sequences():
    parts = [score(boxes(), boxes(), "mot"), score(boxes(50).take(np.arange(20)), boxes(n=10), "mot")]
    assert combine(parts)["MOTA"] == pytest.approx(1 - (20 + 20) / (2 * N + 20))
    rows = table(parts, ["a", "a"])
    assert set(rows.sequence) == {"", "all"}


def test_consistency_proxies():
    assert consistency.forward_backward(boxes(), boxes()) == 1
    # A shift of 2 of 8 px: 6 / 10.
    assert consistency.forward_backward(boxes(), boxes(2)) == pytest.approx(6 / 10)
    half = boxes().take(boxes().frame < N // 2)
    assert consistency.forward_backward(boxes(), half) == pytest.approx(0.5)
    assert consistency.forward_backward(points(), points(8)) == pytest.approx(np.exp(-1))
    assert consistency.forward_backward(masks(), masks(2)) == pytest.approx(28 / 32)
    assert np.isnan(consistency.forward_backward(Tracks.empty(), Tracks.empty()))
    found = consistency.agreement({"a": boxes(), "b": boxes(), "c": boxes(2)})
    assert found == pytest.approx({"a": (1 + 0.6) / 2, "b": (1 + 0.6) / 2, "c": 0.6})
    own_ids = consistency.agreement({"a": boxes(), "b": boxes().renamed({1: 11, 2: 12})})
    assert own_ids == pytest.approx({"a": 1, "b": 1})
    with pytest.raises(InputError, match="at least two"):
        consistency.agreement({"a": boxes()})


def test_smoothness_and_flicker():
    assert consistency.smoothness(boxes()) == pytest.approx(1)
    jumpy = boxes().replace(boxes=boxes().boxes + np.repeat(np.arange(N) % 2, 2)[:, None] * [6.0, 0, 6, 0])
    # The centre bends by 12 px a frame squared; the box is 8 x 20.
    assert consistency.smoothness(jumpy) == pytest.approx(np.exp(-12 / np.sqrt(160)))
    assert consistency.flicker(boxes()) == 0
    gaps = boxes().take(~np.isin(boxes().frame, [10, 20]))
    assert consistency.flicker(gaps) == pytest.approx(4 / N)


def test_correlation_of_a_proxy():
    found = consistency.correlation([0.1, 0.5, 0.9, np.nan], [0.2, 0.3, 0.8, 1])
    assert found == {"spearman": pytest.approx(1), "kendall": pytest.approx(1), "runs": 3}
    assert np.isnan(consistency.correlation([1], [1])["spearman"])


def test_every_metric_has_a_record():
    for make, family in ((boxes, "sot"), (boxes, "mot"), (masks, "vos"), (points, "points")):
        for name, v in score(make(1), make(), family).values().items():
            record = METRICS[name]
            assert record.family == family
            assert record.low <= v <= record.high
            assert record.meaning
            assert record.paper


@pytest.mark.shared
def test_truth_of_a_mot_file_has_its_rule_on_published_results(shared):
    """Bare tracks beside bare truth were scored by `plain`: HOTA .635 and .665 where the benchmark's own rule gives less."""
    folder = shared / "data/mot/MOT17-05-DPM"
    truth = read_tracks(folder / "gt/gt.txt", "motchallenge")
    with unpacked(shared / "data/mot/results/Lif_T_MOT17-train.zip") as results:
        for detector, expected in (("DPM", 0.5367), ("FRCNN", 0.5637)):
            answer = read_tracks(next(results.rglob(f"MOT17-05-{detector}.txt")), "motchallenge")
            found = evaluate(answer, truth)
            hota = found[(found["metric"] == "HOTA") & (found["object_id"] == "all")].iloc[0]
            assert (hota["value"], hota["rule"]) == (pytest.approx(expected, abs=5e-5), "mot17")
            plain = evaluate(answer, truth, rule="plain").set_index("metric")["value"]
            assert plain["HOTA"] > expected + 0.09
