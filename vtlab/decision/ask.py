"""The door to verdicts: from a comparison, or from tracks, to a question on clips."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab.decision import store
from vtlab.decision.answer import Verdict
from vtlab.decision.clips import Answers, check_answers, clips_of
from vtlab.decision.quality import MEASURES, Absent, find_measure
from vtlab.decision.question import Clip, Labels, Question, key_of, number
from vtlab.errors import InputError, VtlabWarning
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    from vtlab.decision.doubts import Doubts

_SURE_UP_TO = 3
"""Trackers up to which a strict winner is proven by a bet; with more, nothing is decided before about 25 labels."""


class SavedVerdict(Verdict):
    """A verdict that writes its file after every label."""

    path: Path | None = None

    def add(self, labels: Tracks | None = None, **said: Any) -> None:
        """Take labels as `Verdict.add` does, and write the file."""
        super().add(labels, **said)
        if self.path is not None:
            store.write(self, self.path)


def verdict(
    answers: Answers,
    *,
    within: float = 0.02,
    level: float = 0.95,
    budget: int = 80,
    seed: int = 0,
    guarantee: bool | None = None,
    metric: str | None = None,
    absent: Absent | None = None,
    labels: Tracks | Mapping[str, Tracks] | None = None,
    file: str | Path | None = None,
) -> Verdict:
    """Ask which tracker is good enough on this footage, and be told which few frames to label to know it.

        v = vtlab.verdict(result)          # a comparison, or {tracker: tracks}
        v.next()                           # (clip, frame) to label before the next look
        v.add(labels)                      # Tracks; absent=[frames where nothing is there]
        v.state, v.sentence, v.table

    Args:
        answers: A comparison; {tracker: tracks} of one video; or {video: {tracker: tracks}}. Every video counts the
            same. A tracker that failed counts as missing from there on.
        within: How far below the best still is good enough, in units of the measure; 0 asks for a strict winner.
        level: Confidence of every statement, whenever it is looked at.
        budget: Labels at most, from 10.
        seed: Of the draw of the frames.
        guarantee: Whether to prove the answer by a bet, for any number of labels and any stop, instead of by
            intervals that were calibrated on drone clips. By default where a strict winner among at most three trackers
            is asked for. Needs a measure whose distance is a metric: "iou" or "J".
        metric: "iou" (mean IoU of boxes), "success", "precision", "J" (masks), "within" (points), "detection" (boxes of
            many objects; no number about identities can be had from scattered frames). By default that of the family.
        absent: What a labelled object counts that isn't there. "judged": a tracker that says so is right. "excluded": it is
            left out of the mean, as GOT-10k does. "missed": nobody is right, as OTB and LaSOT count. By default as the
            comparison's rule has it, else "excluded" for points (TAP-Vid) and "judged" for the rest.
        labels: What is labelled already, chosen by hand, or the full truth; it is known for certain and the draw is made
            on the rest. {video: tracks} for several videos. Truth that a comparison has counts as such without being
            given again; labels win over it.
        file: JSON file that holds the question and follows every label; a verdict in it is taken up. If the question
            changed, a new one begins, which knows the labels, and a warning says so.

    Raises:
        InputError: Fewer than two trackers, a value that can't be, answers that aren't of one video, unknown metric.
        FormatError: The file holds something else.
        WriteError: The file can't be written.
    """
    given = clips_of(answers)
    clips, notes = given.clips, given.notes
    measure = find_measure(metric, given.family)
    check_answers(clips.values(), measure)
    count = len(next(iter(clips.values())).tracks)
    if guarantee and not measure.metric:
        able = ", ".join(m.name for m in MEASURES.values() if m.metric)
        raise InputError(
            f"guarantee=True: {measure.name!r} has no proven bound. Use metric= one of {able}, or False."
        )
    for name, value, whole in (
        ("within", within, False),
        ("level", level, False),
        ("budget", budget, True),
        ("seed", seed, True),
    ):
        number(name, value, whole=whole)
    sure = within == 0 and count <= _SURE_UP_TO and measure.metric if guarantee is None else guarantee
    counted = absent or (given.absent if measure.family == "sot" else None) or measure.absent
    question = Question(
        measure.name, float(within), float(level), int(budget), int(seed), bool(sure), counted
    )
    known = _known(clips, labels)
    if file is None:
        return _make(clips, question, known, notes=notes)
    return _from_file(Path(file), clips, question, known, notes)


def _make(
    clips: Mapping[str, Clip],
    question: Question,
    known: Mapping[str, Tracks],
    *,
    notes: Iterable[str],
    more: Mapping[str, Labels] | None = None,
) -> SavedVerdict:
    """A new verdict; what is known is read by the rules of labels."""
    made = SavedVerdict(clips, question, notes=notes)
    said = {name: made.read(name, clip.truth) for name, clip in clips.items() if clip.truth is not None}
    for name, older in (more or {}).items():
        said[name] = said.get(name, Labels()).joined(older)
    for name, tracks in known.items():
        said[name] = said.get(name, Labels()).joined(made.read(name, tracks))
    return SavedVerdict(clips, question, said, notes=notes) if said else made


def _from_file(
    path: Path, clips: Mapping[str, Clip], question: Question, known: Mapping[str, Tracks], notes: list[str]
) -> Verdict:
    """Take up the verdict in a file, or begin one that knows its labels."""
    old = store.Stored(path) if path.exists() else None
    found = old.all_labels() if old is not None else {}
    mine = {name: said for name, said in found.items() if name in clips}
    changed = old.changed(key_of(question, clips)) if old is not None else ""
    if old is not None and not changed and not known:
        frames = {name: clip.frames.tolist() for name, clip in clips.items()}
        order = old.draw(path, frames)
        order = None if question.guarantee else order  # a bet's follows from seed and labels
        made = SavedVerdict(clips, question, old.known, order=order, notes=notes)
        for name, said in old.labels.items():
            made.add(
                said.tracks.replace(meta={"annotated": sorted(said.looked)}), unsure=said.unsure, clip=name
            )
        made.second.update(old.second)
    else:
        made = _make(clips, question, known, notes=notes, more=mine)
        count = sum(len(said.looked) for said in mine.values())
        if count:
            text = (
                f"{path}: a new verdict begins ({changed or 'labels were given'}). The {count} frames labelled "
                "there are known to it; they are no part of its sample."
            )
            warnings.warn(text, VtlabWarning, stacklevel=3)
            made.notes.append(text)
    made.path = path
    store.write(made, path)
    return made


def _known(clips: Mapping[str, Clip], labels: Tracks | Mapping[str, Tracks] | None) -> dict[str, Tracks]:
    if labels is None:
        return {}
    if isinstance(labels, Tracks):
        if len(clips) > 1:
            raise InputError(
                f"Which video do the labels belong to? Give {{video: tracks}}: {', '.join(clips)}."
            )
        return {next(iter(clips)): labels}
    strange = [name for name in labels if name not in clips]
    if strange:
        raise InputError(f"labels: there is no video {strange[0]!r}. Known: {', '.join(clips)}.")
    return dict(labels)


def doubtful(answers: Answers, count: int = 20, *, metric: str | None = None) -> Doubts:
    """Frames on which the trackers differ most, for people to look at: clip, frame, disagreement (0 to 1), most first.

    A notebook shows the table with small pictures of the most doubtful places, where the footage is known; `.picture` is
    the same as an image.

    For review only: labels on these frames say nothing of the others (a mean over them is off by 0.16 and more), and
    frames on which all trackers share a mistake are not among them. For numbers ask `vtlab.verdict` which frames to
    label.

    Args:
        answers: As for `verdict`.
        count: Frames at most.
        metric: By which measure they differ; by default that of the family.

    Raises:
        InputError: As `verdict`, or a count that is no whole number.
    """
    from vtlab.decision.doubts import Doubts

    number("count", count, whole=True)
    given = clips_of(answers)
    question = Question(find_measure(metric, given.family).name, 0.0, 0.95, 80, 0, False)
    return Doubts.of(Verdict(given.clips, question, notes=given.notes), count)
