"""One tracker on one sequence: what it needs, what it said, and how it failed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vtlab.comparison.proxies import Run
from vtlab.contracts import Card
from vtlab.errors import TrackingError, VtlabError, VtlabWarning
from vtlab.metrics.families import FAMILIES, judging
from vtlab.prompts import Prompts
from vtlab.prompts.fit import figures_taken, fitting_prompts, prompts_from
from vtlab.sequence import Sequence
from vtlab.trackers.loop import Direction, track
from vtlab.trackers.memory import settle
from vtlab.tracks import Tracks
from vtlab.video import Video


@dataclass(frozen=True)
class Trial:
    """One tracker on one sequence.

    Attributes:
        label: What results call it.
        card: Of the tracker.
        spec: Name, class or instance.
        params: Of its constructor.
        sequence: With prompts and truth.
        video: Its frames, where they are held decoded; else those of the sequence.
        direction: As in `track`.
        both_ways: Also back again from its last answer.
        progress: Show a bar.
    """

    label: str
    card: Card
    spec: Any
    params: dict[str, Any]
    sequence: Sequence
    video: Video
    direction: Direction = "forward"
    both_ways: bool = False
    progress: bool = False

    def run(self) -> Run:
        """Track; a failure is a run that is not `ok`, with what it had until then."""
        family = family_of(self.card, self.sequence)
        try:
            prompts, note = fitting_prompts(self.card, self.sequence.prompts, self.video)
            settle(self.card)
            with _collected() as notices:
                tracks = self._track(prompts, self.direction)
                backward = self._return(tracks) if self.both_ways and figures_taken(self.card) else None
            note = " ".join(filter(None, [note, self.card.notice, *dict.fromkeys(notices)]))
            return Run(self.label, self.sequence.name, family, tracks, note, True, backward)
        except TrackingError as error:
            return Run(self.label, self.sequence.name, family, _as_tracks(error.tracks), str(error), False)
        except VtlabError as error:
            return Run(self.label, self.sequence.name, family, None, str(error), False)

    def _track(self, prompts: Prompts, direction: Direction) -> Tracks:
        return track(
            self.video, prompts, self.spec, direction=direction, progress=self.progress, **self.params
        )

    def _return(self, tracks: Tracks) -> Tracks | None:
        prompts = prompts_from(tracks, int(tracks.frame[-1]), self.card) if len(tracks) else Prompts()
        if not len(prompts) or self.direction != "forward":
            return None
        try:
            return self._track(prompts, "backward")
        except VtlabError:
            return (
                None  # lost at the end: there is nothing to go back from, which the metric shows as missing
            )


@contextmanager
def _collected() -> Iterator[list[str]]:
    """Collect the texts of vtlab's own warnings, which become notes in the table; others are given as ever."""
    notices: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VtlabWarning)
        yield notices
    for w in caught:
        if issubclass(w.category, VtlabWarning):
            notices.append(str(w.message))
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def family_of(card: Card, sequence: Sequence) -> str:
    """The family by whose metrics a tracker is judged: its own, or for a composition that of what it gives; another's where
    truth asks for a rule of it (key points of skeletons, answered by trackers of points).
    """
    if card.family in FAMILIES:
        told = None if sequence.truth is None else sequence.truth.record.rule
        return judging(card.family, (told, sequence.benchmark))
    if "masks" in card.emits and sequence.truth is not None and sequence.truth.rle is not None:
        return "vos"
    return "mot"


def _as_tracks(tracks: object) -> Tracks | None:
    return tracks if isinstance(tracks, Tracks) and len(tracks) else None
