"""The figure and the HTML report of a comparison. Nothing is measured here that the metrics did not measure."""

from __future__ import annotations

import base64
import html
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab import provenance
from vtlab.comparison import FAMILY_TITLES, MAIN_METRIC, PROXY_METRICS, SPEED_COLUMNS, Comparison, Run
from vtlab.errors import VtlabError
from vtlab.geometry import box_iou, paired_iou
from vtlab.sequence import Sequence
from vtlab.show import plot
from vtlab.tracks import Tracks
from vtlab.video import Image

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LOWER_IS_BETTER = frozenset({"latency_ms", "latency_p95_ms", "memory_mb", "IDSW", "FP", "FN", "Frag"})
_COUNTS = frozenset({"IDSW", "FP", "FN", "Frag", "MT", "PT", "ML", "cells", "tie_group"})
_VIDEO_LIMIT = 24 << 20
POINT_NEAR = 4.0
"""Pixels within which a point counts as right in the timeline (the metrics use all of their thresholds)."""


def figure(comparison: Comparison) -> Figure:
    """Draw for each family its quality, its quality against latency, and overlap over time (of the first sequence).

    Single-object trackers with truth have their success and precision curves above.
    """
    from vtlab.show.sheet import Sheet

    families = [f for f in comparison.families if _main_metric(comparison, f) is not None]
    curves = MAIN_METRIC["sot"] in comparison.table and "sot" in families
    heights = [4.2] * (len(families) + curves) or [1.0]
    sheet = Sheet(figsize=(15, sum(heights)), layout="constrained")
    rows = list(sheet.subfigures(len(heights), 1, squeeze=False)[:, 0])
    if not families:
        rows[0].text(0.5, 0.5, "no tracker has a score; the notes say why", ha="center", va="center")
    if curves:
        _draw_curves(rows.pop(0), comparison)
    for row, family in zip(rows, families, strict=False):
        left, middle, right = row.subplots(1, 3, width_ratios=(1, 1.1, 1.3))
        board, metric = comparison.leaderboard(family), str(_main_metric(comparison, family))
        values = board[metric].astype(float)
        plot.bars(
            left,
            {str(k): v for k, v in values.items()},
            xlabel=metric,
            title=f"{FAMILY_TITLES[family]}: {metric}",
        )
        budget = comparison.budget_ms
        plot.pareto(
            middle,
            board["latency_ms" if budget is None else "latency_p95_ms"].tolist(),
            values.tolist(),
            list(board.index),
            xlabel=f"latency per frame (ms, {'median' if budget is None else '95th percentile'})",
            ylabel=metric,
            budget=budget,
        )
        _draw_timeline(right, comparison, family)
    return sheet


def _main_metric(comparison: Comparison, family: str) -> str | None:
    board = comparison.leaderboard(family)
    return next((m for m in (MAIN_METRIC[family], *PROXY_METRICS) if m in board), None)


def _draw_curves(row: Any, comparison: Comparison) -> None:
    left, right = row.subplots(1, 2)
    board = comparison.leaderboard("sot")
    for ax, which, metric, label in (
        (left, "success", "success_auc", "overlap threshold"),
        (right, "precision", "precision_20px", "centre error threshold (px)"),
    ):
        x, lines = comparison.curves(which)
        order = [name for name in board.index if name in lines]
        summary = {name: float(board.loc[name, metric]) for name in order}
        title = f"{which.capitalize()} plot [{metric} in %]"
        plot.curves(
            ax,
            x,
            {n: lines[n] for n in order},
            summary=summary,
            xlabel=label,
            ylabel="share of frames",
            title=title,
        )


def _draw_timeline(ax: Any, comparison: Comparison, family: str) -> None:
    sequence = comparison.sequences[0]
    lines = {}
    for run in comparison.of_sequence(sequence.name):
        if run.family == family and run.tracks is not None:
            lines[run.tracker] = over_time(run, sequence)
    if not lines or all(np.isnan(v).all() for v in lines.values()):
        ax.axis("off")
        ax.text(0.5, 0.5, "no overlap over time", ha="center", va="center", color="0.4")
        return
    label = {"points": f"share of points within {POINT_NEAR:g} px"}.get(family, "mean overlap (IoU)")
    what = "with truth" if sequence.truth is not None else "score (no truth)"
    label = label if sequence.truth is not None else "tracker's score"
    frames = np.arange(len(next(iter(lines.values()))))
    plot.timeline(ax, lines, frames=frames, ylabel=label, title=f"{sequence.name}: over time, {what}")


def over_time(run: Run, sequence: Sequence) -> NDArray[np.float64]:
    """Mean over the objects of each frame, (frames,): overlap with truth, or the tracker's score without truth.

    Objects of trackers that find them by themselves are compared with the best true object of the frame; a true
    object without an answer counts as 0. NaN where there is nothing to compare.
    """
    tracks, truth, n = run.tracks, sequence.truth, len(sequence.video)
    values = np.full(n, np.nan)
    if tracks is None:
        return values
    for frame in range(n):
        now = tracks.at(frame)
        if truth is None:
            values[frame] = now.score.mean() if len(now) else np.nan
            continue
        there = truth.at(frame).seen()
        if run.family == "points":
            values[frame] = _points_near(now, there)
        elif len(there):
            values[frame] = _overlap(now.seen(), there, frame, run.family)
    return values


def _overlap(now: Tracks, there: Tracks, frame: int, family: str) -> float:
    if family == "mot":
        return float(box_iou(there.boxes, now.boxes).max(axis=1, initial=0).mean())
    if family == "vos":
        from vtlab.masks import iou

        mine, true = now.masks_at(frame), there.masks_at(frame)
        return (
            float(np.mean([iou(mine[i], m) if i in mine else 0.0 for i, m in true.items()]))
            if true
            else np.nan
        )
    found = {int(i): b for i, b in zip(now.object_id, now.boxes, strict=True)}
    return float(
        np.mean(
            [
                np.nan_to_num(paired_iou(found[int(i)], b)) if int(i) in found else 0.0
                for i, b in zip(there.object_id, there.boxes, strict=True)
            ]
        )
    )


def _points_near(now: Tracks, there: Tracks) -> float:
    answer = {
        (int(o), int(k)): xy
        for o, k, xy in zip(now.points.object_id, now.points.point_id, now.points.xy, strict=True)
    }
    true = there.points.take(there.points.visible)
    near = [
        float(np.hypot(*(answer[key] - xy)) < POINT_NEAR)
        for o, k, xy in zip(true.object_id, true.point_id, true.xy, strict=True)
        if (key := (int(o), int(k))) in answer
    ]
    return float(np.mean(near)) if near else np.nan


def styled(table: pd.DataFrame) -> Any:
    """The leaderboard of a family with arrows for direction, per cent for fractions, and the best in bold."""
    names = {c: heading(c) for c in table.columns}
    shown = table.rename(columns=names).rename_axis(None)
    if "note" in shown:
        shown["note"] = [_short(n) for n in shown["note"]]
    formats: dict[Any, Any] = {names[c]: number_format(c) for c in table.columns if c != "note"}
    style = shown.style.format(formats, na_rep="–", escape="html").format_index(escape="html")
    if "note" in shown:
        style = style.set_properties(
            subset=["note"], **{"text-align": "left", "font-size": "85%", "max-width": "28rem"}
        )
    for column in table.columns:
        values = table[column]
        if (
            column not in ("note", "tie_group", "ci_low", "ci_high")
            and values.notna().any()
            and len(table) > 1
        ):
            best = values.min() if column in LOWER_IS_BETTER else values.max()
            style = style.map(
                lambda v, best=best: "font-weight: 700" if v == best else "", subset=[names[column]]
            )
    return style


def _short(note: Any) -> str:
    """The first sentence of a note; the whole of it is in `Comparison.table`."""
    text = note if isinstance(note, str) else ""
    return text if len(text) < 100 else text.split(". ")[0].rstrip(".") + "."


def heading(column: str) -> str:
    """Heading of a column of a leaderboard: its name, unit and direction."""
    if column in ("note", "cells", "tie_group", "ci_low", "ci_high") or column.endswith("_std"):
        return column.replace("_std", " ±").replace("_", " ")
    arrow = "↓" if column in LOWER_IS_BETTER else "↑"
    unit = {"latency_ms": "latency ms", "latency_p95_ms": "p95 ms", "memory_mb": "memory MB", "fps": "fps"}
    return f"{unit.get(column, column)} {arrow}"


def number_format(column: str) -> str:
    """Format of a column of a leaderboard: per cent for fractions, plain for counts, speed and memory."""
    if column in _COUNTS:
        return "{:.0f}"
    if column in SPEED_COLUMNS:
        return {"fps": "{:.1f}", "memory_mb": "{:.0f}"}.get(column, "{:.2f}")
    return "{:.1%}"


def answer(comparison: Comparison) -> list[str]:
    """The decision in sentences: for each family the best tracker, what it costs, and the cheaper choice."""
    said = []
    for family in comparison.families:
        board = comparison.leaderboard(family)
        metric = _main_metric(comparison, family)
        if metric is None or board[metric].notna().sum() == 0:
            said.append(f"{FAMILY_TITLES[family]}: no tracker could be judged; the notes say why.")
            continue
        quality, latency = board[metric].astype(float), board["latency_ms"].astype(float)
        top = str(quality.idxmax())
        if quality[top] <= 0:
            said.append(f"{FAMILY_TITLES[family]}: no tracker found any of the objects ({metric} 0 %).")
            continue
        verb = "is best with" if quality.notna().sum() > 1 else "reaches"
        text = f"{FAMILY_TITLES[family]}: {top} {verb} {metric} {quality[top]:.1%} at {latency[top]:.2f} ms a frame"
        near = latency[(quality >= 0.95 * quality[top]) & (latency < 0.5 * latency[top])]
        if len(near):
            cheap = str(near.idxmin())
            text += f"; {cheap} comes within 5 % of it ({quality[cheap]:.1%}) at {latency[cheap]:.2f} ms"
        text += _choice_within(comparison, board, quality, top)
        if metric in PROXY_METRICS:
            text += " (a proxy: there is no ground truth)"
        said.append(text + ".")
    return said


def _choice_within(comparison: Comparison, board: pd.DataFrame, quality: pd.Series, top: str) -> str:
    """What the latency budget leaves to choose, as the tail of a sentence."""
    if comparison.budget_ms is None:
        return ""
    budget, slow = f"{comparison.budget_ms:g} ms on 95 of 100 frames", board["latency_p95_ms"].astype(float)
    fits = quality[comparison.within_budget(board)].dropna()
    if not len(fits):
        return f"; none stays within {budget}, the fastest is {slow.idxmin()} with {slow.min():.2f} ms"
    choice = str(fits.idxmax())
    if choice == top:
        return f"; it stays within {budget}"
    return f"; within {budget}, choose {choice} ({fits[choice]:.1%} at {slow[choice]:.2f} ms)"


def write_report(comparison: Comparison, path: str | Path, *, title: str, video: bool) -> Path:
    """Write the report as one HTML file that needs no network, whole or not at all; return its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    body = [f"<h1>{html.escape(title)}</h1>", _subtitle(comparison)]
    body.append(
        "<ul class=answer>" + "".join(f"<li>{html.escape(s)}</li>" for s in answer(comparison)) + "</ul>"
    )
    for family in comparison.families:
        board = comparison.leaderboard(family)
        body.append(f"<h2>{html.escape(FAMILY_TITLES[family])}</h2>")
        body.append(f"<div class=scroll>{styled(board).to_html()}</div>")
        body.append(_rules(comparison, family) + _notes(board))
    body.append("<h2>Plots</h2>" + _picture(_png(figure(comparison)), "Quality, cost and time"))
    body.append(_pictures(comparison))
    if video:
        body.append(_videos(comparison))
    body.append(_provenance(comparison))
    page = _PAGE.replace("{title}", html.escape(title)).replace("{body}", "\n".join(body))
    temporary = target.with_name(target.name + ".part")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        raise VtlabError(f"{target}: the report could not be written ({error}).") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _subtitle(comparison: Comparison) -> str:
    videos = ", ".join(
        f"{s.name} ({s.video.width} x {s.video.height}, {len(s.video)} frames, {s.video.fps:.4g} fps)"
        for s in comparison.sequences
    )
    truth = "measured against ground truth" if comparison.has_truth else "without ground truth: proxies only"
    return f"<p class=sub>{html.escape(videos)}; {truth}. vtlab {provenance.versions()['vtlab']}, {provenance.now()}.</p>"


def _rules(comparison: Comparison, family: str) -> str:
    scores = comparison.scores
    rules = sorted(set(scores.loc[scores["family"] == family, "protocol"].astype(str)))
    speed = (
        "Latency and fps are the tracker's own steps without decoding; memory is the peak that the run added."
    )
    return f"<p class=note>Rule: {html.escape('; '.join(rules) or 'none')}. {speed}</p>"


def _notes(board: pd.DataFrame) -> str:
    """What the column of notes cuts short, in full."""
    whole: dict[str, list[str]] = {}
    for name, note in board.get("note", {}).items():
        if isinstance(note, str) and _short(note) != note:
            whole.setdefault(note, []).append(str(name))
    items = "".join(
        f"<li><b>{html.escape(', '.join(names))}</b>: {html.escape(note)}</li>"
        for note, names in whole.items()
    )
    return f"<details class=note><summary>Notes in full</summary><ul>{items}</ul></details>" if items else ""


def _pictures(comparison: Comparison) -> str:
    parts = ["<h2>Frames</h2>"]
    for k, sequence in enumerate(comparison.sequences):
        n = len(sequence.video)
        for family in comparison.families:
            for frame in sorted({0, n // 2, n - 1}):
                try:
                    image = comparison.frame(frame, sequence=k, family=family, width=420)
                except VtlabError:
                    break
                caption = f"{sequence.name}, {FAMILY_TITLES[family]}, frame {frame}"
                parts.append(_picture(_jpeg(image), caption, "jpeg"))
    return "\n".join(parts)


def _videos(comparison: Comparison) -> str:
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for family in comparison.families:
            file = Path(folder) / f"{family}.mp4"
            try:
                comparison.save_video(file, family=family, width=400)
            except VtlabError:
                continue
            if file.stat().st_size > _VIDEO_LIMIT:
                parts.append(
                    f"<p class=note>The video of {family} is too large for this file: Comparison.save_video.</p>"
                )
                continue
            data = base64.b64encode(file.read_bytes()).decode("ascii")
            parts.append(
                f"<figure><video controls autoplay muted loop playsinline src='data:video/mp4;base64,{data}'></video>"
                f"<figcaption>{html.escape(FAMILY_TITLES[family])}, {html.escape(comparison.sequences[0].name)}"
                "</figcaption></figure>"
            )
    return "<h2>Side by side</h2>" + "\n".join(parts) if parts else ""


def _provenance(comparison: Comparison) -> str:
    runs = [
        {
            "tracker": r.tracker,
            "sequence": r.sequence,
            **{k: v for k, v in r.tracks.meta.items() if k != "hardware"},
        }
        for r in comparison.runs
        if r.tracks is not None
    ]
    facts = {"versions": provenance.versions(), "hardware": provenance.hardware(), "runs": runs}
    text = html.escape(json.dumps(provenance.plain(facts), indent=1))
    summary = "<summary>versions, hardware, parameters, weights</summary>"
    return f"<h2>Provenance</h2><details>{summary}<pre>{text}</pre></details>"


def _png(sheet: Figure) -> bytes:
    buffer = io.BytesIO()
    sheet.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _jpeg(image: Image) -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def _picture(data: bytes, caption: str, kind: str = "png") -> str:
    code = base64.b64encode(data).decode("ascii")
    text = html.escape(caption)
    return f"<figure><img alt='{text}' src='data:image/{kind};base64,{code}'><figcaption>{text}</figcaption></figure>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1280px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.sub, .note, figcaption { color: #777; font-size: .88rem }
.answer { background: var(--soft); border-radius: 8px; padding: .9rem 1rem .9rem 2rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right }
th:first-child { text-align: left }
th { white-space: nowrap }
figure { margin: 1rem 0 } img, video { max-width: 100%; height: auto; border-radius: 6px; background: #fff }
pre { background: var(--soft); padding: 1rem; overflow: auto; font-size: .78rem; border-radius: 8px }
</style></head><body>
{body}
</body></html>
"""
