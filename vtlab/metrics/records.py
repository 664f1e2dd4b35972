"""What vtlab knows of each metric: family, unit, range, direction, paper. Tables and plots need nothing else."""

from __future__ import annotations

from dataclasses import dataclass

_HOTA = "Luiten et al., HOTA, IJCV 2021"
_CLEAR = "Bernardin and Stiefelhagen, CLEAR MOT, EURASIP 2008"
_ID = "Ristani et al., Performance Measures for MTMC Tracking, ECCVW 2016"
_VACE = "Manohar et al., Performance Evaluation of Object Detection and Tracking in Video, ACCV 2006"
_OTB = "Wu et al., Object Tracking Benchmark, TPAMI 2015"
_GOT = "Huang et al., GOT-10k, TPAMI 2019"
_NET = "Mueller et al., TrackingNet, ECCV 2018"
_DAVIS = "Perazzi et al., DAVIS, CVPR 2016; Pont-Tuset et al., DAVIS 2017"
_TAP = "Doersch et al., TAP-Vid, NeurIPS 2022"
_VIS = "Yang et al., Video Instance Segmentation, ICCV 2019"
_TAO = "Dave et al., TAO, ECCV 2020"
_PROXY = "vtlab: a proxy, measured without ground truth"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Name in tables, as its paper spells it.
        family: `sot`, `mot`, `vos`, `points`, or `proxy` (measured without truth).
        meaning: One sentence.
        unit: `fraction`, `count`, `px` or `1/frame`.
        low: Smallest possible value.
        high: Largest possible value.
        higher_is_better: Direction; None where a value is neither good nor bad.
        paper: Where it is defined.
    """

    name: str
    family: str
    meaning: str
    unit: str = "fraction"
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool | None = True
    paper: str = ""

    @property
    def arrow(self) -> str:
        """Direction as a sign for table headers."""
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]


_INF = float("inf")


def _count(name: str, meaning: str, better: bool | None, paper: str) -> Metric:
    return Metric(name, "mot", meaning, "count", 0, _INF, better, paper)


_ALL = (
    Metric("success_auc", "sot", "Area under the success curve over 21 overlap thresholds", paper=_OTB),
    Metric("precision_20px", "sot", "Frames whose centre error is at most 20 px", paper=_OTB),
    Metric("precision_auc", "sot", "Area under the precision curve, 0 to 50 px", paper=_NET),
    Metric("norm_precision_auc", "sot", "Area under the normalised precision curve, 0 to 0.5", paper=_NET),
    Metric("norm_precision_20", "sot", "Frames whose normalised centre error is at most 0.2", paper=_NET),
    Metric("ao", "sot", "Average overlap over all counted frames", paper=_GOT),
    Metric("sr_50", "sot", "Counted frames of all sequences with overlap above 0.5", paper=_GOT),
    Metric("sr_75", "sot", "Counted frames of all sequences with overlap above 0.75", paper=_GOT),
    Metric("op_50", "sot", "Overlap precision at 0.5, averaged over sequences", paper=_OTB),
    Metric("op_75", "sot", "Overlap precision at 0.75, averaged over sequences", paper=_OTB),
    Metric("HOTA", "mot", "Higher order tracking accuracy: geometric mean of DetA and AssA", paper=_HOTA),
    Metric("DetA", "mot", "Detection accuracy", paper=_HOTA),
    Metric("AssA", "mot", "Association accuracy", paper=_HOTA),
    Metric("DetRe", "mot", "Detection recall", paper=_HOTA),
    Metric("DetPr", "mot", "Detection precision", paper=_HOTA),
    Metric("AssRe", "mot", "Association recall", paper=_HOTA),
    Metric("AssPr", "mot", "Association precision", paper=_HOTA),
    Metric("LocA", "mot", "Localisation accuracy: mean similarity of matches", paper=_HOTA),
    Metric("OWTA", "mot", "Open-world tracking accuracy: DetRe in place of DetA", paper="Liu et al., CVPR 2022"),
    Metric("HOTA(0)", "mot", "HOTA at the lowest threshold", paper=_HOTA),
    Metric("LocA(0)", "mot", "LocA at the lowest threshold", paper=_HOTA),
    Metric("HOTALocA(0)", "mot", "Product of HOTA(0) and LocA(0)", paper=_HOTA),
    Metric("MOTA", "mot", "1 - (FN + FP + IDSW) / boxes of truth", low=-_INF, paper=_CLEAR),
    Metric("MOTP", "mot", "Mean similarity of matches", paper=_CLEAR),
    Metric("MODA", "mot", "MOTA without identity switches", low=-_INF, paper=_CLEAR),
    Metric("sMOTA", "mot", "MOTA with matches weighted by similarity", low=-_INF, paper="Voigtlaender et al., CVPR 2019"),
    Metric("MOTAL", "mot", "MOTA with the logarithm of identity switches", low=-_INF, paper=_CLEAR),
    Metric("CLR_Re", "mot", "Recall", paper=_CLEAR),
    Metric("CLR_Pr", "mot", "Precision", paper=_CLEAR),
    Metric("CLR_F1", "mot", "F1 of detections", paper=_CLEAR),
    Metric("FP_per_frame", "mot", "False positives in a frame", "1/frame", 0, _INF, False, _CLEAR),
    Metric("MTR", "mot", "Tracks followed for more than 0.8 of their length", paper=_CLEAR),
    Metric("PTR", "mot", "Tracks followed for 0.2 to 0.8 of their length", higher_is_better=None, paper=_CLEAR),
    Metric("MLR", "mot", "Tracks followed for less than 0.2 of their length", higher_is_better=False, paper=_CLEAR),
    _count("CLR_TP", "Matched boxes", True, _CLEAR),
    _count("CLR_FN", "Missed boxes", False, _CLEAR),
    _count("CLR_FP", "False boxes", False, _CLEAR),
    _count("IDSW", "Identity switches", False, _CLEAR),
    _count("Frag", "Interruptions of tracks", False, _CLEAR),
    _count("MT", "Mostly tracked objects", True, _CLEAR),
    _count("PT", "Partly tracked objects", None, _CLEAR),
    _count("ML", "Mostly lost objects", False, _CLEAR),
    Metric("IDF1", "mot", "F1 of identities under the best one-to-one map of whole tracks", paper=_ID),
    Metric("IDR", "mot", "Identity recall", paper=_ID),
    Metric("IDP", "mot", "Identity precision", paper=_ID),
    _count("IDTP", "Boxes of the right identity", True, _ID),
    _count("IDFN", "Boxes of truth without their identity", False, _ID),
    _count("IDFP", "Boxes of a wrong identity", False, _ID),
    Metric("ATA", "mot", "Average tracking accuracy", paper=_VACE),
    Metric("SFDA", "mot", "Sequence frame detection accuracy", paper=_VACE),
    _count("Dets", "Boxes of the tracker", None, _HOTA),
    _count("GT_Dets", "Boxes of truth", None, _HOTA),
    _count("IDs", "Identities of the tracker", None, _HOTA),
    _count("GT_IDs", "Identities of truth", None, _HOTA),
    _count("Frames", "Frames", None, _HOTA),
    Metric("mAP", "mot", "Track average precision over track overlaps 0.5 to 0.95", paper=_VIS),
    Metric("mAR", "mot", "Track average recall over track overlaps 0.5 to 0.95", paper=_VIS),
    Metric("AP_50", "mot", "Track average precision at track overlap 0.5", paper=_VIS),
    Metric("AP_75", "mot", "Track average precision at track overlap 0.75", paper=_VIS),
    *(Metric(f"mAP_{g}", "mot", f"mAP of the group {g}", paper=_TAO) for g in ("area_s", "area_m", "area_l")),
    *(Metric(f"mAP_{g}", "mot", f"mAP of the group {g}", paper=_TAO) for g in ("time_s", "time_m", "time_l")),
    Metric("J&F", "vos", "Mean of J and F", paper=_DAVIS),
    Metric("J", "vos", "Region similarity: overlap of masks", paper=_DAVIS),
    Metric("J_recall", "vos", "Frames with J above 0.5", paper=_DAVIS),
    Metric("J_decay", "vos", "Loss of J from the first to the last quarter", low=-1, higher_is_better=False, paper=_DAVIS),
    Metric("F", "vos", "Boundary accuracy", paper=_DAVIS),
    Metric("F_recall", "vos", "Frames with F above 0.5", paper=_DAVIS),
    Metric("F_decay", "vos", "Loss of F from the first to the last quarter", low=-1, higher_is_better=False, paper=_DAVIS),
    Metric("AJ", "points", "Average Jaccard: position and visibility together", paper=_TAP),
    Metric("delta_avg", "points", "Visible points within a threshold, averaged over thresholds", paper=_TAP),
    Metric("OA", "points", "Accuracy of visible or not", paper=_TAP),
    *(Metric(f"jaccard_{d}", "points", f"Jaccard within {d} px", paper=_TAP) for d in (1, 2, 4, 8, 16)),
    *(Metric(f"delta_{d}", "points", f"Visible points within {d} px", paper=_TAP) for d in (1, 2, 4, 8, 16)),
    Metric("fb_consistency", "proxy", "Agreement of a run with the same tracker run back from its end", paper=_PROXY),
    Metric("agreement", "proxy", "Mean agreement with the other trackers", paper=_PROXY),
    Metric("smoothness", "proxy", "Steadiness of motion: 1 for constant velocity", paper=_PROXY),
    Metric("flicker", "proxy", "Changes between seen and not seen in a frame", "1/frame", 0, 1, False, _PROXY),
)  # fmt: skip

METRICS: dict[str, Metric] = {m.name: m for m in _ALL}
"""Every metric by name."""
