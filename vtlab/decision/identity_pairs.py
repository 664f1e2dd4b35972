"""What can be said of identities from a few questions: two boxes of one identity, "do they hold the same object?".

No number about identities is a mean over frames, so none can be had from scattered frames. But draw a box of a tracker
and, at any distance in time, another box of the same identity: the share of pairs that hold one object is HOTA's AssPr
at an overlap of one half. From the other side, draw a box and a frame on which its object can be seen: the share of
frames on which the tracker still follows it under that identity is AssRe. First question of either: does the box hold
one of the objects at all? False boxes leave the mean, as in HOTA.

Source of the numbers: Luiten et al., "HOTA", IJCV 2021; intervals: Wilson, JASA 1927, differences by Newcombe,
Statistics in Medicine 1998. What was measured of this method, and what it can't say: docs/verdict.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vtlab.decision.clips import Answers, clips_of, with_footage
from vtlab.decision.identity_draw import (
    Box,
    Boxes,
    Draw,
    Outcome,
    Pair,
    View,
    checked,
    interval,
    outcome_of,
    together,
)
from vtlab.decision.question import Clip, number
from vtlab.decision.sampling import levels, spend, spread
from vtlab.errors import FormatError, InputError
from vtlab.files import damage_as, read_json, write_whole
from vtlab.show.intervals import share

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal["AssPr", "AssRe"]
FIRST = 40
"""Questions of a tracker below which no interval is stated: at 20 the worst case was covered 87 % in place of 95 %."""
VERSION = 2
"""Of the file; 1 drew for each tracker by itself."""


class IdentityPairs:
    """A queue of questions about identities, and what the answers say. Make one with `identity_pairs`.

    How answers are stored: `add` puts one into `said` (question's key -> answer) and writes `path`, if there is one,
    whole. Everything else is worked out from `said`, so an answer that is given again replaces the former.

    Attributes:
        clips: Name -> the footage (`clips[name].video`, where it is known) and the answers of the trackers.
        trackers: Their names.
        metric: "AssPr" or "AssRe".
        said: Key -> "yes", "no", "none", "unsure" or a box (kind "find").
        path: JSON file that follows every answer, or None.
    """

    def __init__(
        self,
        clips: Mapping[str, Clip],
        *,
        metric: Metric,
        level: float,
        budget: int,
        seed: int,
    ):
        self.clips, self.metric, self.level, self.budget, self.seed = (
            dict(clips),
            metric,
            level,
            budget,
            seed,
        )
        self.trackers = list(next(iter(self.clips.values())).tracks)
        self.said: dict[str, str | Box] = {}
        self.path: Path | None = None
        self._walked: dict[tuple[int, int], tuple[list[Pair], Outcome | None]] = {}
        self._names = list(self.clips)
        rng = np.random.default_rng(seed)
        first = spread(budget, rng)
        self.points: NDArray[np.float64] = np.stack([first, *rng.random((3, len(first)))])
        """(4, n) the draw of all trackers, fixed before the first answer."""
        self._boxes = {t: Boxes.of(self.clips, t) for t in self.trackers}
        empty = [t for t, b in self._boxes.items() if not len(b.frame)]
        if empty:
            raise InputError(f"{empty[0]} has no boxes, so nothing can be asked of its identities.")

    @cached_property
    def _draws(self) -> list[Draw]:
        lead = max(self.trackers, key=lambda t: (len(self._boxes[t].frame), t))
        first = Draw.of(self._boxes[lead], self.points)
        return [first if t == lead else Draw.of(self._boxes[t], self.points, first) for t in self.trackers]

    @cached_property
    def looks(self) -> list[int]:
        """Numbers of answers of each tracker at which something is said; in between nothing is."""
        return [n for n in levels(self.budget) if n >= FIRST]

    def next(self) -> list[Pair]:
        """Questions that are open before the next look, mixed over the trackers; empty when the budget is spent.

        Where an object isn't to be seen on a frame (kind "find", answer "no"), it is looked for on another one, which is
        the next question under a key of its own.
        """
        reached = self.reached
        stop = next((n for n in self.looks if n > reached), None)
        if stop is None:
            return []
        places = [(t, i) for i in range(stop) for t in range(len(self.trackers))]
        turns = np.random.default_rng([self.seed, stop]).permutation(len(places))
        walks = (self._walk(*places[turn]) for turn in turns)
        open_ones = [asked[-1] for asked, outcome in walks if outcome is None]
        return list({pair.content: pair for pair in reversed(open_ones)}.values())[::-1]

    @property
    def reached(self) -> int:
        """Number of draws, from the first on, that are settled for every tracker."""
        for i in range(self.looks[-1]):
            if any(self._walk(t, i)[1] is None for t in range(len(self.trackers))):
                return i
        return self.looks[-1]

    @property
    def progress(self) -> tuple[int, int]:
        """(settled, all) before the next look: draws, of which those of several trackers that ask the same count once."""
        reached = self.reached
        stop = next((n for n in self.looks if n > reached), self.looks[-1])
        walks = [self._walk(t, i) for i in range(stop) for t in range(len(self.trackers))]
        settled = {asked[-1].content for asked, outcome in walks if outcome is not None and asked}
        return len(settled), len(settled) + len(self.next())

    def _walk(self, tracker: int, i: int) -> tuple[list[Pair], Outcome | None]:
        """The questions of a draw as far as the answers lead, and what they say; None while the last one is open."""
        if (tracker, i) not in self._walked:
            self._walked[tracker, i] = self._follow(tracker, i)
        return self._walked[tracker, i]

    def _follow(self, tracker: int, i: int) -> tuple[list[Pair], Outcome | None]:
        draw = self._draws[tracker]
        row, other = int(draw.first[i]), int(draw.other[i])
        first, key = draw.boxes.view(row, self._names), f"{tracker}.{i}"
        if self.metric == "AssRe":
            return self._search(draw, i, first, np.random.default_rng([self.seed, i]), key)
        if row == other:
            pair = Pair(key, "object", first, None)
        else:
            pair = Pair(key, "same", first, draw.boxes.view(other, self._names))
        said = self.said.get(key)
        if said is None:
            return [pair], None
        # A box shares its identity with itself: that part of its pairs needs no question.
        return [pair], outcome_of(said, no=1 / float(draw.boxes.length[row]))

    def _search(
        self, draw: Draw, i: int, first: View, rng: np.random.Generator, key: str
    ) -> tuple[list[Pair], Outcome | None]:
        """Look for the object on frames drawn alike until it is there; on its own frame it is, without asking."""
        frames = self.clips[first.clip].frames
        asked: list[Pair] = []
        while True:
            frame = int(frames[rng.integers(len(frames))])
            if frame == first.frame and asked:
                return asked, Outcome(1, 1, 1)
            if any(pair.second is not None and pair.second.frame == frame for pair in asked):
                continue  # it isn't there, as was said
            where = f"{key}.{len(asked)}"
            if frame == first.frame:
                asked.append(Pair(where, "object", first, None))
            else:
                asked.append(Pair(where, "find", first, View(first.clip, frame, None)))
            said = self.said.get(where)
            if said is None:
                return asked, None
            if isinstance(said, tuple):
                followed = float(draw.follows(i, frame, said))
                return asked, Outcome(1, followed, followed)
            if said != "no":
                return asked, outcome_of(said, no=0)

    def add(self, key: str, answer: str | Sequence[float]) -> None:
        """Take the answer to a question; one that is given again replaces the former.

        Args:
            key: `Pair.key`.
            answer: One of `Pair.says`; for kind "find" also the object's box (x1, y1, x2, y2) in pixels.

        Raises:
            InputError: There is no such question, or it can't be answered like that; a box beside the picture.
            WriteError: The file can't be written.
        """
        self.take(key, answer)
        if self.path is not None:
            self.write(self.path)

    def take(self, key: str, answer: str | Sequence[float]) -> None:
        """As `add`, without writing the file."""
        pair, i = self._find(key)
        said = checked(pair, answer)
        if isinstance(said, tuple) and pair.second is not None:
            view = pair.second
            what = f"The object on frame {view.frame}"
            self.clips[view.clip].check_inside(
                lambda _: what, np.array([said]), 'answer "no": it isn\'t to be seen there'
            )
        for tracker in range(len(self.trackers)):
            for asked in self._walk(tracker, i)[0]:
                if asked.content == pair.content:
                    self.said[asked.key] = said
                    self._walked.pop((tracker, i), None)

    def _find(self, key: str) -> tuple[Pair, int]:
        cells = key.split(".")
        if len(cells) in (2, 3) and all(c.isdigit() for c in cells):
            tracker, i = int(cells[0]), int(cells[1])
            if tracker < len(self.trackers) and i < self.looks[-1]:
                for pair in self._walk(tracker, i)[0]:
                    if pair.key == key:
                        return pair, i
        raise InputError(f"There is no question {key!r} by now; answer those that next() gives.")

    def _at(self, n: int, error: float) -> NDArray[np.float64]:
        """(K, 3) value and bounds of each tracker after n draws; each bound fails with a chance of `error`."""
        return np.array([interval(self._rows(t, n), error) for t in range(len(self.trackers))])

    def _rows(self, tracker: int, n: int) -> NDArray[np.float64]:
        """(n, 3) what a tracker's first n draws say: whether the box holds an object, its share at least, and at most."""
        found = [o for i in range(n) if (o := self._walk(tracker, i)[1]) is not None]
        return np.array([(o.held, o.low, o.high) for o in found])

    @property
    def _seen(self) -> int | None:
        """The last look that was reached."""
        reached = self.reached
        return next((n for n in reversed(self.looks) if n <= reached), None)

    @cached_property
    def _rivals(self) -> int:
        return max(len(self.trackers) - 1, 1)

    @property
    def beaten(self) -> NDArray[np.bool_]:
        """(K, K) [i, j]: i is shown to be better than j at any look so far; errors of all looks and rivals are paid for."""
        k = len(self.trackers)
        out = np.zeros((k, k), bool)
        reached = self.reached
        for look, n in enumerate(self.looks):
            if n <= reached:
                out |= self._ahead(n, spend((1 - self.level) / self._rivals, self.looks, look))[0] > 0
        np.fill_diagonal(out, False)
        return out

    def _ahead(self, n: int, error: float) -> NDArray[np.float64]:
        """(2, K, K) bounds of value[i] - value[j] after n draws, each of which fails with a chance of `error`.

        The draws of two trackers are alike, so their answers go together; what they share leaves the difference.
        """
        value, low, high = self._at(n, error).T
        gap, below, above = value[:, None] - value[None, :], value - low, high - value
        rows = [self._rows(t, n) for t in range(len(self.trackers))]
        alike = np.array([[together(a, b) for b in rows] for a in rows])

        def reach(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = one[:, None], other[None, :]
            return np.asarray(np.sqrt(np.maximum(x**2 + y**2 - 2 * alike * x * y, 0)))

        return np.stack([gap - reach(below, above), gap + reach(above, below)])

    def difference(self, first: str, second: str) -> tuple[float, float, float]:
        """How far one tracker is ahead of another one at the last look: value and interval; NaN before the first look.

        Raises:
            InputError: An unknown tracker.
        """
        strange = [t for t in (first, second) if t not in self.trackers]
        if strange:
            raise InputError(f"There is no tracker {strange[0]!r}. Known: {', '.join(self.trackers)}.")
        n, i, j = self._seen, self.trackers.index(first), self.trackers.index(second)
        if n is None:
            return (np.nan, np.nan, np.nan)
        low, high = self._ahead(n, (1 - self.level) / 2)[:, i, j].tolist()
        value = self._at(n, 0.5)[:, 0]
        return float(value[i] - value[j]), low, high

    @property
    def state(self) -> Literal["label", "best", "open", "told"]:
        """ "label": too few answers for an interval; "best": one tracker is shown to be better than every other;
        "open": none is; "told": there is one tracker, and its interval."""
        if self._seen is None:
            return "label"
        if len(self.trackers) == 1:
            return "told"
        return "best" if self.chosen else "open"

    @property
    def chosen(self) -> list[str]:
        """The tracker that is shown to be better than every other, if there is one."""
        best = np.flatnonzero(self.beaten.sum(axis=1) == len(self.trackers) - 1)
        return [self.trackers[i] for i in best] if len(self.trackers) > 1 else []

    @property
    def table(self) -> pd.DataFrame:
        """A row for each tracker: value, low, high, beaten_by; numbers are NaN before the first look."""
        import pandas as pd

        k, n, beaten = len(self.trackers), self._seen, self.beaten
        found = np.full((k, 3), np.nan) if n is None else self._at(n, (1 - self.level) / 2)
        table = pd.DataFrame(
            found, columns=["value", "low", "high"], index=pd.Index(self.trackers, name="tracker")
        )
        table["beaten_by"] = [
            ", ".join(self.trackers[i] for i in np.flatnonzero(beaten[:, j])) for j in range(k)
        ]
        return table.sort_values("value", ascending=False, kind="stable")

    @property
    def sentence(self) -> str:
        """What is known, on what it rests, and what it doesn't say."""
        n = self._seen
        if n is None:
            left = len(self.next())  # ten a minute
            return f"Nothing can be said of identities yet: {left} more questions, about {max(1, round(left / 10))} minutes."
        table = self.table
        told = "; ".join(
            f"{name} {share(value)} ({share(low)} to {share(high)})"
            for name, (value, low, high) in zip(
                table.index, table[["value", "low", "high"]].to_numpy(float).tolist(), strict=True
            )
        )
        what = {
            "AssPr": "Share of a box's identity that is one object (AssPr at IoU 0.5)",
            "AssRe": "Share of an object's frames that one identity follows (AssRe at IoU 0.5)",
        }[self.metric]
        ask = f"{n} questions for each tracker, against your answers, {100 * self.level:g} % intervals"
        end = {
            "best": f" {''.join(self.chosen)} is shown to be the best of the {len(self.trackers)} by it.",
            "open": " Which tracker is the best by it is not decided.",
        }.get(self.state, "")
        other = {
            "AssPr": "objects that lose their identity (AssRe)",
            "AssRe": "identities that mix objects (AssPr)",
        }
        return f"{what}: {told} ({ask}).{end} It says nothing of {other[self.metric]}, nor of IDF1, HOTA or switches."

    def annotator(self, video: Any = None) -> Any:
        """A widget that asks for the questions, one after the other, and adds every answer at once (in a notebook).

        Args:
            video: The footage, where the answers don't know it; {clip: video} for several.
        """
        import vtlab

        self.clips = with_footage(self.clips, video)
        return vtlab.annotate(self)

    def __repr__(self) -> str:
        return f"IdentityPairs({', '.join(self.trackers)}: {self.sentence})"

    @property
    def key(self) -> dict[str, Any]:
        """All that fixes the questions."""
        answers = {name: clip.digests for name, clip in self.clips.items()}
        return {
            "metric": self.metric, "level": self.level, "budget": self.budget, "seed": self.seed, "answers": answers,
        }  # fmt: skip

    def write(self, path: Path) -> Path:
        """Write the questions' draw and all answers, whole or not at all; raises `WriteError`."""
        content = {
            "vtlab": "identity pairs",
            "version": VERSION,
            "key": self.key,
            "points": self.points.tolist(),
            "said": self.said,
            "sentence": self.sentence,
        }
        return write_whole(path, json.dumps(content, indent=1))

    def read(self, path: Path) -> None:
        """Take up the answers in a file.

        Raises:
            FormatError: It holds something else, is damaged, or is about other questions.
        """
        with damage_as(FormatError, path, "answers to questions about identities"):
            data = read_json(path, "answers to questions about identities")
            if (
                not isinstance(data, dict)
                or data.get("vtlab") != "identity pairs"
                or data["version"] != VERSION
            ):
                raise FormatError(f"{path} holds no questions about identities that this vtlab reads.")
            if data["key"] != self.key:
                raise FormatError(
                    f"{path} holds answers to other questions (other tracks or settings). Give another file=."
                )
            self.points = np.array(data["points"], float)
            if (
                self.points.ndim != 2
                or len(self.points) != 4
                or not ((self.points >= 0) & (self.points < 1)).all()
            ):
                raise ValueError("its draw is none")
            self.__dict__.pop("_draws", None)
            self._walked.clear()
            for key, answer in data["said"].items():
                self.take(key, answer)


def identity_pairs(
    answers: Answers,
    *,
    metric: Metric = "AssPr",
    level: float = 0.95,
    budget: int = 160,
    seed: int = 0,
    file: str | Path | None = None,
) -> IdentityPairs:
    """Ask a person about identities, box against box, and say what follows from her answers.

        q = identity_pairs({"sort": tracks, "ocsort": others})
        for pair in q.next():              # questions before the next look
            q.add(pair.key, "yes")         # or "no", "none" (the first box holds no object), "unsure"
        q.table, q.sentence

    Args:
        answers: As for `vtlab.verdict`; one tracker is enough.
        metric: "AssPr": do the boxes of one identity hold one object? "AssRe": does one identity follow an object over
            all frames on which it is to be seen? The latter takes 1.3 to 14 looks at a frame for each answer, the more
            the shorter an object is to be seen.
        level: Confidence of each interval and of each claim that a tracker is better.
        budget: Draws for each tracker at most, from 40: about 0.05 of error at 40, 0.025 at 160 (AssRe: 0.07, 0.035).
        seed: Of the draw.
        file: JSON file that follows every answer; answers in it are taken up.

    Raises:
        InputError: No boxes, a value out of range.
        FormatError: The file holds something else, or answers to other questions.
    """
    if metric not in ("AssPr", "AssRe"):
        raise InputError(f"metric={metric!r}: expected 'AssPr' or 'AssRe'.")
    for name, value, whole in (("level", level, False), ("budget", budget, True), ("seed", seed, True)):
        number(name, value, whole=whole)
    if not 0.5 <= level < 1:
        raise InputError(f"level={level!r}: expected a confidence from 0.5 to below 1, such as 0.95.")
    if budget < FIRST:
        raise InputError(f"budget={budget!r}: expected at least {FIRST} questions for each tracker.")
    clips = clips_of(answers, least=1).clips
    made = IdentityPairs(clips, metric=metric, level=level, budget=budget, seed=seed)
    if file is not None:
        made.path = Path(file)
        if made.path.exists():
            made.read(made.path)
        made.write(made.path)
    return made
