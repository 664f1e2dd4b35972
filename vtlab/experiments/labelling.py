"""Cost to quality: seconds and figures that labels of a quality take, beside a tracker that fills the frames between them.

A robot that knows the truth works in a `Session` as a person would: it draws each object on its first frame, has it tracked,
watches, draws it again where it is worse than it puts up with, has the frames around tracked again, and watches on. Then it
goes over the clip once more with a stricter eye. What a figure and a look cost is stated, so the answer is as good as these
costs; the default ones are

- box 7 s: extreme clicking, Papadopoulos et al., ICCV 2017 (arXiv:1708.02750);
- click 1.9 s: Papadopoulos et al., CVPR 2017 (arXiv:1704.06189);
- mask 79 s: 22 hours for 1,000 of them, Lin et al., ECCV 2014 (arXiv:1405.0312);
- look 0.2 s a frame: five frames a second. Assumed, not measured.

Time that a machine takes to track is told apart. The robot has not been checked against a person's hand.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.engine.outcome import Outcome
from vtlab.engine.task import start_random
from vtlab.errors import ExperimentError, near
from vtlab.experiments import curves
from vtlab.experiments.axes import Method
from vtlab.experiments.footage import held, needs_truth
from vtlab.experiments.robot import Robot, Step
from vtlab.prompts import BoxPrompt, ClickPrompt, MaskPrompt, Prompt
from vtlab.registry import TRACKERS
from vtlab.sequence import Sequence
from vtlab.session import Session
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.experiments.store import Store

COSTS: Mapping[str, float] = {"box": 7.0, "click": 1.9, "mask": 79.0, "look": 0.2}
"""Seconds that a person takes to draw a figure, and to look at one frame."""
FIGURES: Mapping[str, type[Prompt]] = {"box": BoxPrompt, "mask": MaskPrompt, "click": ClickPrompt}
"""What a person may draw, in the order in which it is chosen."""
INTERPOLATION = "interpolation"
"""What stands beside the trackers: boxes with straight lines between them."""


def cost_to_quality(
    sequence: Sequence,
    tracker: Method,
    *,
    costs: Mapping[str, float] | None = None,
    react: Several[float] = (0.5, 0.7, 0.85),
    goals: Several[float] = (0.7, 0.8, 0.9),
    budgets: Several[float] = (8, 15, 30, 60, 120, 240),
    draws: str | None = None,
    most: int = 500,
    seed: int = 0,
) -> Outcome:
    """Seconds of a person and figures drawn until labels have a mean overlap with the truth, with a tracker's help.

    Quality is the mean overlap over all figures of the truth that are seen; of masks where the tracker answers with masks
    and the truth has some. What is shown where an object isn't seen is not judged.

    Args:
        sequence: With truth.
        tracker: By name and parameters; one that takes prompts.
        costs: Seconds for a "box", "click", "mask" and for a "look" at a frame, where they differ from `COSTS`.
        react: Overlaps below which the robot draws, one for each time that it goes over the clip, in rising order.
        goals: Mean overlaps to reach.
        budgets: Seconds at which the curve is told.
        draws: "box", "mask" or "click"; None for the first of them that the tracker takes and the truth allows.
        most: Figures after which the robot gives up.
        seed: From which random generators start.

    Returns:
        Outcome: seconds and figures drawn at each goal (none where it isn't reached), overlap at each budget, seconds in
        all, and those of the machine; for the tracker, and where boxes are drawn for interpolation, in which the robot
        draws in the middle of what is lost.

    Raises:
        ExperimentError: No truth, costs or overlaps that are none, or a tracker that takes none of these figures.
    """
    spent = _costs(costs)
    for name, values in (("react", react), ("goals", goals)):
        if not values or not all(0 < v <= 1 for v in values):
            raise ExperimentError(f"Expected {name} above 0 and at most 1, got {list(values)}.")
    truth = needs_truth(sequence).seen()
    if not len(truth):
        raise ExperimentError(
            f"{sequence.name}: no object of the truth is ever seen, so there is nothing to label."
        )
    kind = _kind(tracker, truth, draws)
    start_random(seed)
    hand = InSession(Session(held(sequence.video), tracker.name, **tracker.parameters), truth, kind)
    found = Labelled(Robot(truth, hand), spent, kind)
    passes = ((i, r) for r in sorted(react) for i in found.robot.ids)
    for object_id, least in passes:
        if not found.does(found.robot.watch(object_id, least), max(goals), most):
            break
    rows = [_row(found, goals, budgets) | {"machine_s": hand.seconds}]
    if kind == "box":
        lines = Interpolated(Session(hand.session.video, tracker.name, **tracker.parameters), truth, kind)
        plain = Labelled(Robot(truth, lines), spent, kind)
        for object_id in plain.robot.ids:
            plain.does(plain.robot.halve(object_id, max(goals), most), 1.0, most)
        rows.append({"tracker": INTERPOLATION, **_row(plain, goals, budgets)})
    return Outcome(rows, hand.session.tracks, {}, f"Drawn: {kind}, {spent[kind]:g} s each.")


def _costs(given: Mapping[str, float] | None) -> dict[str, float]:
    unknown = next((k for k in given or () if k not in COSTS), None)
    if unknown is not None:
        raise ExperimentError(f"costs: there is no {unknown!r}. {near(str(unknown), COSTS)}")
    found = {**COSTS, **(given or {})}
    wrong = {k: v for k, v in found.items() if not (isinstance(v, (int, float)) and 0 <= v < np.inf)}
    if wrong:
        raise ExperimentError(f"costs: expected seconds from 0 on, got {wrong}.")
    return found


def _kind(tracker: Method, truth: Tracks, draws: str | None) -> str:
    card = TRACKERS.card(tracker.name)
    takes = [
        k
        for k, prompt in FIGURES.items()
        if prompt in card.accepts and (k != "mask" or truth.rle is not None)
    ]
    if draws in takes or (draws is None and takes):
        return draws or takes[0]
    why = (
        f"it takes {' or '.join(takes)}"
        if takes
        else "it takes no figure that a person could draw from this truth"
    )
    asked = f"no {draws}" if draws else "no box, mask or click"
    raise ExperimentError(f"{tracker.label} takes {asked}: {why}.")


@dataclass
class InSession:
    """A session in which a robot draws (`vtlab.experiments.robot.Hand`): each figure is tracked from at once.

    Attributes:
        session: The session.
        truth: What is drawn.
        kind: "box", "mask" or "click".
        seconds: What tracking took on this machine.
    """

    session: Session
    truth: Tracks
    kind: str
    seconds: float = 0.0

    @property
    def tracks(self) -> Tracks:
        """See `Hand`."""
        return self.session.tracks

    def key_frames(self, object_id: int) -> list[int]:
        """See `Hand`."""
        return self.session.key_frames(object_id)

    def draw(self, object_id: int, frame: int) -> None:
        """Draw, and track again from the figure before to the one after, from both sides, as the corrector does."""
        self.put(object_id, frame)
        figures = self.key_frames(object_id)
        before = max((f + 1 for f in figures if f < frame), default=frame)
        after = min((f for f in figures if f > frame), default=len(self.session.video))
        begin = time.perf_counter()
        span = {object_id: (before, after)}
        self.session.retrack(before, after, direction="both", object_ids=span, progress=False)
        self.seconds += time.perf_counter() - begin

    def put(self, object_id: int, frame: int) -> None:
        """Say where the object is."""
        mine = self.truth.of_object(object_id).at(frame)
        figure = _figure(mine, object_id, frame, self.kind)
        known = object_id in self.session.object_ids
        (self.session.correct if known else self.session.add)(figure)


class Interpolated(InSession):
    """The same, with straight lines between the figures."""

    def draw(self, object_id: int, frame: int) -> None:
        """See `Hand`."""
        self.put(object_id, frame)
        self.session.interpolate([object_id])


def _figure(mine: Tracks, object_id: int, frame: int, kind: str) -> Prompt:
    """The true figure, as a person draws it; a click lies on the object, as near to its middle as may be."""
    x1, y1, x2, y2 = mine.boxes[0].tolist()
    mask = mine.mask(0) if mine.rle is not None else None
    if kind == "box" or (kind == "mask" and mask is None):
        return BoxPrompt((x1, y1, x2, y2), object_id=object_id, frame=frame)
    if kind == "mask" and mask is not None:
        return MaskPrompt.of(mask, object_id=object_id, frame=frame)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    if mask is not None and mask.any():
        rows, columns = np.nonzero(mask)
        nearest = int(np.argmin((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2))
        x, y = columns[nearest] + 0.5, rows[nearest] + 0.5
    return ClickPrompt(((float(x), float(y)),), (True,), object_id=object_id, frame=frame)


@dataclass
class Labelled:
    """A robot's work as it goes: what was spent, and what came of it.

    Attributes:
        robot: Who works.
        costs: Seconds for each figure and look.
        kind: Of figure.
        seconds: Spent so far.
        figures: Drawn so far.
        curve: (seconds, figures, mean overlap) after each figure.
    """

    robot: Robot
    costs: Mapping[str, float]
    kind: str
    seconds: float = 0.0
    figures: int = 0
    curve: list[tuple[float, int, float]] = field(default_factory=list)

    def does(self, steps: Iterable[Step], goal: float, most: int) -> bool:
        """Count the steps; False once the goal is reached, or so many figures are drawn."""
        for looked, drew in steps:
            self.seconds += looked * self.costs["look"] + drew * self.costs[self.kind]
            self.figures += drew
            if drew:
                self.curve.append((self.seconds, self.figures, self.robot.mean()))
                if self.curve[-1][2] >= goal or self.figures >= most:
                    return False
        return True


def _row(found: Labelled, goals: Several[float], budgets: Several[float]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "overlap": found.curve[-1][2],
        "seconds": found.seconds,
        "figures": float(found.figures),
    }
    row["by_hand_s"] = len(found.robot.truth) * found.costs[found.kind]
    for goal in goals:
        at = next(((s, n) for s, n, value in found.curve if value >= goal), None)
        if at is not None:
            row |= {curves.at("seconds", goal, "IoU"): at[0], curves.at("figures", goal, "IoU"): float(at[1])}
    for budget in budgets:
        so_far = [value for s, _, value in found.curve if s <= budget]
        row[curves.at("overlap", budget, "s")] = so_far[-1] if so_far else 0.0
    return row


def sections(store: Store) -> list[curves.Section]:
    """The part of the report: seconds and figures at each goal, and the curve."""
    rows = store.results()
    told, drawn = (curves.curves(rows, what) for what in ("seconds", "figures"))
    clips = len(curves.by_clip(rows, "seconds"))
    goals = sorted({goal for levels in told.values() for goal in levels})
    listed = []
    for tracker in _order(rows):
        mine = rows[rows["tracker"] == tracker]
        row = {"tracker": tracker}
        for goal in goals:
            row[f"s to {goal:g}"] = _reached(told.get(tracker, {}).get(goal, {}), clips)
            row[f"figures to {goal:g}"] = _reached(drawn.get(tracker, {}).get(goal, {}), clips)
        row["s in all"] = curves.told(curves.by_clip(mine, "seconds"), _whole, _SPENT)
        row["overlap then"] = curves.told(curves.by_clip(mine, "overlap"), curves.percent)
        row["machine s"] = curves.told(curves.by_clip(mine, "machine_s"), _whole, _SPENT)
        listed.append(row)
    each = float(np.mean(list(curves.by_clip(rows, "by_hand_s").values())))
    caption = (
        "Seconds that a person would spend, and figures drawn, until labels have a mean overlap with the truth, by a robot "
        "that draws where a tracker is worse than it puts up with (interpolation: in the middle of what is lost); costs of "
        f"figures and looks are stated in the specification. A figure on every frame by hand: {each:.0f} s. Machine s: "
        f"tracking, on this machine, not counted in the others. {curves.clips_told(rows)}"
    )
    found = curves.curves(rows, "overlap")
    sheet = curves.lines(
        {t: found[t] for t in _order(rows) if t in found}, xlabel="seconds of a person", log=True
    )
    return [
        curves.Section(
            curves.table(listed, "Cost to quality", caption),
            (("Cost to quality: overlap by seconds spent", sheet),),
        )
    ]


def _order(rows: Any) -> list[str]:
    """Trackers as they were given, interpolation last."""
    names = [str(t) for t in rows["tracker"].unique()]
    return sorted(names, key=lambda t: t == INTERPOLATION)


def _reached(values: curves.Values, clips: int) -> str:
    """Values, and on how many clips there are any where some lack one."""
    text = curves.told(values, _whole, _SPENT) if values else "not reached"
    return text if len(values) in (0, clips) else f"{text} ({len(values)} of {clips} clips)"


def _whole(value: float) -> str:
    return f"{value:.0f}"


_SPENT = curves.Metric("spent", "", "seconds, or figures drawn", high=np.inf, higher_is_better=False)
