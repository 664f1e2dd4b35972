"""Which frames count and how sequences combine: one named record for each benchmark, so that a number always
says by which rule it was made.

A record is data; `sot`, `mot`, `vos` and `points` carry it out. `SOT["otb"]` and the like are the rules of the
official tools, read from their code: got10k-toolkit 0.1.3 (OTB, GOT-10k), pysot, pytracking and the LaSOT
toolkit, TrackingNet-devkit, TrackEval 1.3.0 (MOTChallenge), davis2017-evaluation, TAP-Vid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """What every rule says, whatever its family.

    Attributes:
        name: Short name, as given to `evaluate(rule=...)`.
        source: The tool or paper that fixes the rule.
        hidden_answers: What an answer is worth that the tracker marks as not visible. `counted`: as much as any other,
            as in tools that read one box from each line of a result file and know no such mark. `dropped`: it is no
            answer, as where a format says so by leaving it out (lines of MOTChallenge, pixels of masks). `judged`: the
            mark itself is part of the score (TAP-Vid's occlusion).
        listed: Metrics that tables show before the family's first, in place of its others; where they are known.
    """

    name: str
    source: str
    listed: tuple[str, ...] = field(default=(), kw_only=True)
    hidden_answers: Literal["counted", "dropped", "judged"] = field(default="dropped", kw_only=True)


@dataclass(frozen=True)
class SotRule(Rule):
    """The rule by which one single-object benchmark turns boxes into numbers.

    The tools (got10k-toolkit, pysot, pytracking, LaSOT's and TrackingNet's) read a box from every line of a result and
    score it, so an answer that is marked as hidden counts. VOT's results say `0` where a tracker sees nothing, and vtlab's
    own rule `plain` takes it by its word: there a hidden answer is none.

    Attributes:
        first_frame: The prompted frame: `truth` (truth is copied into the answer, so it counts as IoU 1),
            `given` (the answer counts as it is) or `dropped`.
        strict: Success is overlap `>` threshold (True) or `>=` (False).
        absent: A frame without visible truth is `excluded`, or it counts as a `miss`.
        empty_truth: A true box without area still has a centre (`point`), or its frame is a `miss` throughout.
        outside: A true box that reaches over the left or upper edge is compared as it is (`compared`), or it counts
            for precision as found whatever the answer, an oddity of two tools' code that published numbers contain:
            where its centre lies outside (`center_hit`, pysot), or where its corner does (`corner_hit`, LaSOT, which
            counts it as a miss for success).
        no_answer: A frame without an answer is a `miss`, or the tracker's last answer is `repeated`.
        bounds: Boxes are not cut (`none`), cut to the image (`image`), or moved into it as the GOT-10k
            toolkit does (`got10k`: x and y are clipped, the width is not shortened by what was cut).
        origin: Number of the first pixel in the tool's coordinates, in which `outside` and `bounds` are meant.
        rounded: Boxes are rounded to whole pixels first.
        area: The area under a curve is the `mean` of its values or the `trapezoid` integral.
        combine: Curves are averaged over `sequences`, or all `frames` are pooled.
        precision: Precision is the value at 20 pixels (`20px`) or the area under its curve (`auc`).
        regions: Boxes overlap as they are (`boxes`), or what there is (polygon, else mask, else box) is drawn on pixels
            within the image first (`drawn`, see `vtlab.metrics.vot_regions`), and VOT's measures are given too: accuracy,
            failures or robustness, expected average overlap (`vtlab.metrics.vot_runs`).
        eao_supervised: Shortest and longest sequence length of the expected overlap of VOT's supervised experiment.
        eao_anchors: The same of its multi-start experiment.
    """

    hidden_answers: Literal["counted", "dropped", "judged"] = field(default="counted", kw_only=True)
    first_frame: Literal["truth", "given", "dropped"] = "truth"
    strict: bool = True
    absent: Literal["excluded", "miss"] = "excluded"
    empty_truth: Literal["point", "miss"] = "miss"
    outside: Literal["compared", "center_hit", "corner_hit"] = "compared"
    no_answer: Literal["miss", "repeated"] = "miss"
    bounds: Literal["none", "image", "got10k"] = "none"
    origin: int = 0
    rounded: bool = False
    area: Literal["mean", "trapezoid"] = "mean"
    combine: Literal["sequences", "frames"] = "sequences"
    precision: Literal["20px", "auc"] = "20px"
    regions: Literal["boxes", "drawn"] = "boxes"
    eao_supervised: tuple[int, int] = (100, 356)
    eao_anchors: tuple[int, int] = (115, 755)

    @property
    def needs_size(self) -> bool:
        """Whether boxes can't be compared without the size of the images."""
        return self.bounds != "none" and self.regions == "boxes"

    def overlap_thresholds(self) -> Array:
        """Return the 21 overlap thresholds 0, 0.05, ..., 1."""
        return np.linspace(0, 1, 21)

    def center_thresholds(self) -> Array:
        """Return the thresholds of the centre error in pixels: 0 to 50."""
        return np.linspace(0, 50, 21) if self.precision == "auc" else np.arange(51, dtype=np.float64)

    def normalized_thresholds(self) -> Array:
        """Return the thresholds of the centre error in units of the true box: 0 to 0.5."""
        return np.linspace(0, 0.5, 21) if self.precision == "auc" else np.arange(51) / 100


_VOT = ("eao", "accuracy", "failures", "robustness")
_DRAWN: dict[str, Any] = {"first_frame": "given", "absent": "excluded", "bounds": "image", "regions": "drawn"}
SOT: dict[str, SotRule] = {
    p.name: p
    for p in (
        SotRule(
            "otb",
            "got10k-toolkit 0.1.3 ExperimentOTB; Wu et al., OTB-100, TPAMI 2015",
            absent="miss",
            empty_truth="point",
        ),
        SotRule(
            "pysot",
            "pysot toolkit OPEBenchmark",
            first_frame="given",
            absent="miss",
            empty_truth="point",
            outside="center_hit",
            origin=1,
        ),
        SotRule(
            "lasot",
            "LaSOT_Evaluation_Toolkit (absent frames stay in the denominator); Fan et al., CVPR 2019",
            absent="miss",
            outside="corner_hit",
            origin=1,
            no_answer="repeated",
        ),
        SotRule(
            "pytracking-lasot",
            "pytracking extract_results for LaSOT (absent frames stay in the denominator)",
            absent="miss",
            no_answer="repeated",
        ),
        SotRule(
            "pytracking",
            "pytracking extract_results for all but LaSOT and UAV123",
            no_answer="repeated",
        ),
        SotRule(
            "got10k",
            "got10k-toolkit 0.1.3 ExperimentGOT10k; Huang et al., GOT-10k, TPAMI 2019",
            first_frame="dropped",
            bounds="got10k",
            origin=1,
            combine="frames",
        ),
        SotRule(
            "trackingnet",
            "TrackingNet-devkit metrics.py; Mueller et al., ECCV 2018",
            rounded=True,
            absent="miss",
            empty_truth="point",
            area="trapezoid",
            precision="auc",
        ),
        SotRule(
            "vot",
            "VOT toolkit 0.9: drawn regions; lengths of the expected overlap as in VOT2017, VOT2018 and VOT2020 to 2022",
            hidden_answers="dropped",
            listed=_VOT,
            **_DRAWN,
        ),
        SotRule(
            "vot2016",
            "VOT toolkit 0.9, lengths of VOT2015 and VOT2016",
            hidden_answers="dropped",
            listed=_VOT,
            eao_supervised=(108, 371),
            **_DRAWN,
        ),
        SotRule(
            "vot2019",
            "VOT toolkit 0.9, lengths of VOT2019",
            hidden_answers="dropped",
            listed=_VOT,
            eao_supervised=(46, 291),
            **_DRAWN,
        ),
        SotRule(
            "plain",
            "vtlab: the prompted frame and absent frames are left out, sequences weigh the same",
            first_frame="dropped",
            hidden_answers="dropped",
        ),
    )
}


@dataclass(frozen=True)
class MotRule(Rule):
    """The rule by which one multi-object benchmark prepares boxes or masks before they are scored.

    TrackEval scores every line of a result; a tracker that sees an object no more writes no line, so an answer that
    is marked as hidden is dropped here as it is when the file is written.

    Attributes:
        classes: Labels of truth that are scored; empty: all.
        answers: Labels of answers that are taken, and those without one; empty: all.
        distractors: Labels that are no targets: an answer matched to one is removed, not punished.
        levels: Attributes of truth above whose value an object is as a distractor.
        ignored: Labels of truth that are ignore regions.
        ignore_coverage: An unmatched answer covered by an ignore region by more than this is removed; None: never.
        least_height: An unmatched answer that isn't higher than this, in pixels, is removed.
        threshold: Similarity at which CLEAR, Identity and VACE call a pair a match.
        hidden: Truth that is marked as not visible counts too (MOTChallenge boxes go on through occlusion).
        masks: Masks are compared where both sides have them; else boxes, where both have those.
    """

    classes: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    ignore_coverage: float | None = None
    answers: tuple[str, ...] = field(default=(), kw_only=True)
    levels: tuple[tuple[str, float], ...] = field(default=(), kw_only=True)
    ignored: tuple[str, ...] = field(default=("ignore",), kw_only=True)
    least_height: float = field(default=0.0, kw_only=True)
    threshold: float = 0.5
    hidden: bool = True
    masks: bool = False


_TRACKEVAL = "TrackEval 1.3.0 MotChallenge2DBox; Luiten et al., HOTA, IJCV 2021"
_DISTRACTORS = ("person_on_vehicle", "static_person", "distractor", "reflection")
_KITTI = "TrackEval 1.3.0 Kitti2DBox; Geiger et al., CVPR 2012"
# Kitti2DBox: min_height 25, max_truncation 0, max_occlusion 2.
_ROAD: dict[str, Any] = {"ignore_coverage": 0.5, "least_height": 25.0}
_ROAD |= {"levels": (("truncated", 0), ("occluded", 2))}
_BDD = ("pedestrian", "rider", "car", "bus", "truck", "train", "motorcycle", "bicycle")
MOT: dict[str, MotRule] = {
    p.name: p
    for p in (
        # MOT15's files name no classes, so no distractors either.
        MotRule("mot15", _TRACKEVAL),
        MotRule("mot16", _TRACKEVAL, ("pedestrian",), _DISTRACTORS),
        MotRule("mot17", _TRACKEVAL, ("pedestrian",), _DISTRACTORS),
        MotRule("mot20", _TRACKEVAL, ("pedestrian",), (*_DISTRACTORS, "non_mot_vehicle")),
        MotRule("mots", "TrackEval 1.3.0 MOTSChallenge", ("pedestrian",), ignore_coverage=0.5, masks=True),
        MotRule("kitti-car", _KITTI, ("car",), ("van",), answers=("car",), **_ROAD),
        MotRule("kitti-pedestrian", _KITTI, ("pedestrian",), ("person",), answers=("pedestrian",), **_ROAD),
        MotRule(
            "bdd100k",
            "TrackEval 1.3.0 BDD100K, all classes as one",
            _BDD,
            ignore_coverage=0.5,
            answers=_BDD,
            ignored=("ignore", "other person", "trailer", "other vehicle"),
        ),
        MotRule("youtube-vis", "TrackEval 1.3.0 YouTubeVIS, all classes as one", masks=True),
        MotRule("tao", "TrackEval 1.3.0 TAO, all classes as one"),
        MotRule("burst", "TrackEval 1.3.0 BURST, all classes as one", masks=True),
        MotRule(
            "plain",
            "vtlab: all truth counts that is visible and has no score of 0 (MOTChallenge's flag); answers in ignore "
            "regions do not",
            ignore_coverage=0.5,
            hidden=False,
        ),
    )
}


@dataclass(frozen=True)
class VosRule(Rule):
    """The rule by which one mask benchmark selects frames and combines objects.

    An object that is not seen has no pixels in the tools' label pictures, so the mask of an answer that is marked as
    hidden is dropped here as it is when the pictures are written.

    Attributes:
        drop_first: The frame of the object's prompt is left out.
        drop_last: The last frame of the sequence is left out.
        annotated_only: Only frames with truth count (YouTube-VOS marks every fifth).
        tolerance: Boundary tolerance as a fraction of the image's diagonal.
    """

    drop_first: bool = True
    drop_last: bool = False
    annotated_only: bool = True
    # DAVIS's bound_th.
    tolerance: float = 0.008


VOS: dict[str, VosRule] = {
    p.name: p
    for p in (
        VosRule(
            "davis",
            "davis2017-evaluation, semi-supervised; Pont-Tuset et al., arXiv:1704.00675",
            drop_last=True,
        ),
        # Objects begin late; on disk meta.json lists the frames of each, which are those that count (`vtlab.benchmark`).
        VosRule("youtube-vos", "YouTube-VOS server: Xu et al., arXiv:1809.03327"),
        VosRule(
            "lvos",
            "lvos-evaluation (the prompted frame counts), but for frames after an object's last, which it leaves out",
            drop_first=False,
            drop_last=True,
        ),
        VosRule("plain", "vtlab: every frame but the prompted one"),
    )
}


@dataclass(frozen=True)
class PointRule(Rule):
    """The rule by which a point benchmark selects frames and scales positions.

    Whether a point is visible is part of the answer: it decides OA and AJ, while delta_avg looks at positions alone.

    Attributes:
        mode: `first`: frames after the query; `strided`: all frames but the query.
        raster: Side of the square raster in which thresholds are meant (256), or None for native pixels.
        thresholds: Distances in pixels of that raster.
    """

    hidden_answers: Literal["counted", "dropped", "judged"] = field(default="judged", kw_only=True)
    mode: Literal["first", "strided"] = "first"
    raster: int | None = 256
    thresholds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)


_TAPVID = "TAP-Vid evaluation; Doersch et al., NeurIPS 2022"
POINTS: dict[str, PointRule] = {
    p.name: p
    for p in (
        PointRule("tapvid-first", _TAPVID),
        PointRule("tapvid-strided", _TAPVID, mode="strided"),
        PointRule("native-first", "TAP-Vid's rule in the video's own pixels", raster=None),
        PointRule("native-strided", "TAP-Vid's rule in the video's own pixels", "strided", None),
    )
}


def differences(first: Rule, second: Rule) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two rules of one family differ: setting -> (value of first, of second)."""
    if type(first) is not type(second):
        raise InputError(f"{first.name!r} and {second.name!r} are rules of different families.")
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}
    return {k: v for k, v in pairs.items() if k not in ("name", "source") and v[0] != v[1]}


def with_setting(rule: Any, setting: str, value: Any) -> Any:
    """Return a copy of a rule in which one setting has another value."""
    return replace(rule, **{setting: value})
