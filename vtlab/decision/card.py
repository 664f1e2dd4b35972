"""The card of a decision: one page for a pull request, with all that is needed to make it again."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtlab import provenance
from vtlab.comparison import Comparison
from vtlab.decision import conditions, store
from vtlab.errors import InputError
from vtlab.files import write_whole
from vtlab.metrics.records import added, figures
from vtlab.prompts import Prompts
from vtlab.show.board import Board
from vtlab.show.page import Page
from vtlab.trackers.measure import most_missed
from vtlab.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

    from vtlab.decision.answer import Verdict
    from vtlab.decision.limits import Limits
    from vtlab.decision.recommend import Decision, Option

ENDINGS = (".html", ".htm", ".md", ".json")
_MARKUP = str.maketrans({**{c: f"\\{c}" for c in "\\`*_{}[]#|~"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def shown(decision: Decision) -> Board:
    """The table as it is read: quality with interval, milliseconds with bounds, memory, licence, limits."""
    import pandas as pd

    rows = {str(label): _texts(row) for label, row in decision.table.iterrows()}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("tracker")
    g = decision.grades
    caption = (
        f"quality: {g.what}, {g.ground}; {g.level:.0%} intervals. Milliseconds: the tracker's own steps on this machine, "
        "without decoding; each bound holds with 95 %. Memory: what the run added (and what 1,000 further frames add)."
    )
    return Board(frame, "What was weighed", caption)


def profiles(decision: Decision) -> Board:
    """What each tracker costs in full: steps, missed deadlines, where and at what load it was measured."""
    import pandas as pd

    rows = {t: _profile(decision[t], decision.limits.budget_ms) for t in decision.table.index}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("tracker")
    caption = (
        "Milliseconds of a step; the first one stands apart. Missed: frames over the budget on the worst video, and the "
        "share that is not exceeded with 95 % confidence. Waited: the share of the time that other work kept the processor; "
        "above 5 % times are disturbed."
    )
    return Board(frame, "What it costs", caption)


def boards(decision: Decision) -> tuple[Board, ...]:
    """The tables of the card."""
    found = (shown(decision), profiles(decision))
    return (*found, conditions.board(decision.breaking)) if decision.breaking else found


def told(decision: Decision) -> list[str]:
    """The sentences below the first: what would change the choice, what the chosen one holds out, how it was timed."""
    return [*decision.changes, *decision.holds, *disturbed(decision)]


def page(decision: Decision) -> Page:
    """The card as a page."""
    return Page(
        f"Decision: {decision.chosen or 'none yet'}",
        f"vtlab {provenance.versions()['vtlab']}, {decision.repeat.get('created', '')}.",
        (decision.sentence, *told(decision)),
        boards(decision),
        code=str(decision.repeat.get("code", "")),
        facts={k: v for k, v in decision.repeat.items() if k != "code"},
    )


def fragment(decision: Decision) -> str:
    """The card as a cell's output."""
    points = "".join(f"<li>{html.escape(s)}</li>" for s in told(decision))
    return f"<p><b>{html.escape(decision.sentence)}</b></p>{shown(decision).to_html()}<ul>{points}</ul>"


def markdown(decision: Decision) -> str:
    """The card in GitHub's Markdown; what others named stands in it as text."""
    lines = [f"## Decision: {_plain(decision.chosen or 'none yet')}", "", _plain(decision.sentence), ""]
    lines += [f"- {_plain(s)}" for s in told(decision)]
    for board in boards(decision):
        names = [_plain(h) for h in board.headings]
        lines += ["", f"### {board.title}", "", f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
        lines += [f"| {' | '.join(_plain(c.whole or c.text) for c in row)} |" for row in board.rows()]
        lines += ["", _plain(board.caption)]
    lines += ["", "### Repeat it", "", "```python"]
    lines += [str(decision.repeat.get("code", "")).replace("`", "\\x60").replace("<", "\\x3c"), "```", ""]
    data = _json({k: v for k, v in decision.repeat.items() if k != "code"})
    lines += ["<details><summary>Footage, weights, versions, labels</summary>", "", "```json"]
    lines += [data.replace("`", "\\u0060").replace("<", "\\u003c"), "```", "", "</details>", ""]
    return "\n".join(lines)


def json_text(decision: Decision) -> str:
    """The card as data."""
    table = decision.table
    return _json(
        {
            "vtlab": "decision",
            "chosen": decision.chosen,
            "runner_up": decision.runner_up,
            "sure": decision.sure,
            "sentence": decision.sentence,
            "changes": told(decision),
            "breaking": [vars(p) for p in decision.breaking],
            "limits": vars(decision.limits),
            "trackers": table.reset_index().to_dict("records"),
            "costs": profiles(decision).frame.reset_index().to_dict("records"),
            "repeat": dict(decision.repeat),
        }
    )


def write(decision: Decision, path: Path) -> Path:
    """Write the card by the name's ending."""
    made = {".md": markdown, ".json": json_text}.get(path.suffix, lambda d: page(d).to_html())
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: can't write {path.suffix or 'no ending'!r}. Known: {', '.join(ENDINGS)}.")
    return write_whole(path, made(decision))


def disturbed(decision: Decision) -> list[str]:
    """A sentence where other work took the processor from what was timed."""
    waits = {o.label: o.cost.timing.waiting for o in decision.options if o.cost.timing.disturbed}
    told = ", ".join(f"{t} waited {share:.0%} of the time" for t, share in waits.items())
    return [f"Times disturbed by other work: {told}."] if told else []


def repeat(subject: Verdict | Comparison, limits: Limits, options: Sequence[Option]) -> dict[str, Any]:
    """Code, versions, machine, footage, prompts, trackers with the hashes of their weights, and the labels."""
    parts = _of_comparison(subject) if isinstance(subject, Comparison) else _of_verdict(subject)
    runs: dict[str, list[Tracks]] = parts.pop("runs")
    trackers = {o.label: _tracker(runs[o.label]) | {"licence": o.cost.licence} for o in options}
    asked = ", ".join(f"{k}={v!r}" for k, v in vars(limits).items() if v is not None)
    call = f"vtlab.decide(found{', ' if asked else ''}{asked})"
    named = [f"    {label!r}: ({t['name']!r}, {t['params']!r})," for label, t in trackers.items()]
    footage = parts["clips"]
    what = repr(next(iter(footage))) if len(footage) == 1 else "sequences"
    code = [
        "import vtlab",
        "",
        "# The footage is told by its digest; prompts and verdict are entries of this card's data.",
        "trackers = {",
        *named,
        "}",
        f"result = vtlab.compare({what}, trackers, prompts='prompts.json'{parts.pop('rule')})",
        parts.pop("ask"),
        f"print({call}.sentence)",
    ]
    return {
        "code": "\n".join(code),
        "created": provenance.now(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "trackers": trackers,
        **parts,
    }


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    q = verdict.question.to_dict()
    asked = ", ".join(f"{k}={v!r}" for k, v in q.items())
    clips = {
        name: {
            "video": _source(list(clip.tracks.values())),
            "prompts": _prompts(clip.prompts, list(clip.tracks.values())),
        }
        for name, clip in verdict.clips.items()
    }
    return {
        "runs": {t: [clip.tracks[t] for clip in verdict.clips.values()] for t in verdict.trackers},
        "rule": "",
        "ask": f"found = vtlab.verdict(result, {asked}, file='verdict.json')",
        "clips": clips,
        "verdict": store.content(verdict),
    }


def _of_comparison(comparison: Comparison) -> dict[str, Any]:
    runs = {t: [r.answers for r in comparison.runs if r.tracker == t] for t in comparison.trackers}
    clips = {
        s.name: {
            "video": _source([r.answers for r in comparison.of_sequence(s.name)]),
            "prompts": json.loads(s.prompts.to_json()),
            "truth": None if s.truth is None else _digest(s.truth),
        }
        for s in comparison.sequences
    }
    rule = f", rule={comparison.rule!r}" if comparison.rule is not None else ""
    return {"runs": runs, "rule": f", truth='truth.parquet'{rule}", "ask": "found = result", "clips": clips}


def _source(tracks: Sequence[Tracks]) -> Any:
    found = next((t.record.source for t in tracks if t.record.source is not None), None)
    return None if found is None else found.to_dict()


def _prompts(given: Prompts | None, tracks: Sequence[Tracks]) -> Any:
    """The prompts, or their hash where only that is known."""
    if given is not None:
        return json.loads(given.to_json())
    return {"sha256": next((t.record.prompts for t in tracks if t.record.prompts), None)}


def _tracker(runs: Sequence[Tracks]) -> dict[str, Any]:
    maker = next((t.record.tracker for t in runs if t.record.tracker is not None), None)
    if maker is None:
        return {"name": None, "params": {}, "weights": {}}
    return {"name": maker.name, "params": dict(maker.params or {}), "weights": dict(maker.weights or {})}


def _digest(tracks: Tracks) -> str:
    state = hashlib.sha256()
    for values in (tracks.frame, tracks.object_id, tracks.boxes, tracks.visible, tracks.points.xy):
        state.update(values.tobytes())
    return state.hexdigest()


def _texts(row: pd.Series) -> dict[str, str]:
    growth = f"\u00a0({added(row['memory_slope'])})" if isfinite(row["memory_slope"]) else ""
    keeps = row["keeps"] if row["keeps"] == "yes" else f"{row['keeps']}: {row['why']}"
    late = isnan(row["p50_ms"]) and isfinite(row["latency_ms"])
    return {
        "quality": _ranged(row["value"], row["low"], row["high"], "{:.1%}".format),
        "p50 ms": f"{figures(row['latency_ms'])} late"
        if late
        else _ranged(*row[["p50_ms", "p50_low", "p50_high"]]),
        "p95 ms": _ranged(*row[["p95_ms", "p95_low", "p95_high"]]),
        "memory MB": f"{figures(row['memory_mb'])}{growth}" if isfinite(row["memory_mb"]) else "–",
        "licence": str(row["licence"]),
        "keeps the limits": str(keeps),
    }


def _profile(option: Option, budget_ms: float | None) -> dict[str, str]:
    timing, row = option.cost.timing, {}
    row["first"] = figures(timing.first_ms)
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        row[name] = figures(timing.percentile_ms(share))
    row["max"] = figures(timing.max_ms)
    if budget_ms is not None:
        k, n = timing.over(budget_ms)
        known = n and not timing.offline
        row[f"missed {budget_ms:g} ms"] = f"{k} of {n} (at most {most_missed(k, n):.1%})" if known else "–"
    row["delay"] = figures(timing.delay_ms) if timing.offline else "–"
    row["device"] = ", ".join(timing.devices) or "–"
    row["threads"] = ", ".join(f"{k} {v}" for k, v in timing.threads.items()) or "–"
    row["waited"] = f"{timing.waiting:.0%}" if isfinite(timing.waiting) else "–"
    row["load"] = figures(timing.load)
    if option.cost.by_objects:
        row["by objects"] = ", ".join(f"{n}: {figures(ms)}" for n, ms in option.cost.by_objects.items())
    return row


def _ranged(value: float, low: float, high: float, text: Callable[[float], str] = figures) -> str:
    if not isfinite(value):
        return "–"
    if isnan(low) and isnan(high):
        return text(value)
    ends = [text(v) if isfinite(v) else "?" for v in (low, high)]
    return f"{text(value)}\u00a0[{ends[0]},\u00a0{ends[1]}]"


def _plain(text: str) -> str:
    """Text as Markdown shows it letter by letter, on one line."""
    return " ".join(text.translate(_MARKUP).split())


def _json(value: Any) -> str:
    """JSON that every reader takes: numbers that are none are null."""

    def strict(item: Any) -> Any:
        if isinstance(item, dict):
            return {k: strict(v) for k, v in item.items()}
        if isinstance(item, list):
            return [strict(v) for v in item]
        return None if isinstance(item, float) and not isfinite(item) else item

    return json.dumps(strict(provenance.plain(value)), indent=1, allow_nan=False)
