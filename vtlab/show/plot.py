"""Plots: data and Axes in, Axes out. No plot computes a metric; `Comparison` and the notebooks put them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.show.draw import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vtlab.video import Alignment

# Okabe-Ito without the yellow and white that vanish on paper; line styles tell what colours can't.
_LINES = (
    *tuple(tuple(v / 255 for v in PALETTE[i]) for i in (4, 5, 2, 6, 0, 1)),
    (0.2, 0.2, 0.2),
    (0.5, 0.35, 0.2),
)
_STYLES = ("-", "--", "-.", ":")


POINTS_PER_INCH, NAME_WIDTH, NAME_HEIGHT = 72, 5.2, 12
"""Of small text: points that a letter is wide, and a line is high."""
_OFFSETS = (4, *(way for k in range(12) for way in (-12 - 12 * k, 16 + 12 * k)))
"""Points above a dot at which its name may stand."""
LONGEST_NAME, LEGEND_INSIDE = 26, 4
"""Letters of a name that plots show; curves up to which their legend lies among them."""


def style(index: int) -> dict[str, Any]:
    """Colour and line style of the n-th tracker, the same in all plots of a comparison."""
    return {"color": _LINES[index % len(_LINES)], "linestyle": _STYLES[index // len(_LINES) % len(_STYLES)]}


def short(name: str) -> str:
    """A name as plots show it: cut in the middle where it is long, so that its beginning and its end are read."""
    half = (LONGEST_NAME - 1) // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}\u2026{name[-half:]}"


def new_axes(width: float = 5.0, height: float = 3.6) -> Axes:
    """Axes of a new figure that is not shown twice in a notebook."""
    from vtlab.show.sheet import Sheet

    return Sheet(figsize=(width, height), layout="constrained").subplots()


def curves(
    ax: Axes,
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    *,
    summary: Mapping[str, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
) -> Axes:
    """Draw one curve for each tracker; the legend is ordered by `summary` (printed in per cent), best first."""
    names = list(lines)
    order = sorted(names, key=lambda n: -summary[n]) if summary else names
    for name in order:
        label = f"{short(name)}  [{100 * summary[name]:.1f}]" if summary else short(name)
        ax.plot(np.asarray(x), np.asarray(lines[name]), label=label, linewidth=2, **style(names.index(name)))
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, ylim=(0, 1.02), xlim=(np.min(x), np.max(x)))
    ax.grid(alpha=0.25)
    if len(names) <= LEGEND_INSIDE:
        ax.legend(fontsize="small", framealpha=0.85, edgecolor="none")  # a curve behind it stays legible
    else:
        ax.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            ncols=2,
            fontsize="x-small",
            frameon=False,
            columnspacing=1.0,
        )
    return ax


def pareto(
    ax: Axes,
    cost: Sequence[float],
    quality: Sequence[float],
    names: Sequence[str],
    *,
    xlabel: str = "latency per frame (ms, median)",
    ylabel: str = "quality",
    budget: float | None = None,
) -> Axes:
    """Quality (higher is better) against cost (lower is better) with the Pareto front and an optional budget."""
    from matplotlib.ticker import MaxNLocator

    cost_array, quality_array = np.asarray(cost, float), np.asarray(quality, float)
    front = pareto_front(cost_array, quality_array)
    order = front[np.argsort(cost_array[front])]
    ax.step(cost_array[order], quality_array[order], where="post", color="0.6", linewidth=1.5, zorder=1)
    for i in range(len(names)):
        best = i in front
        ax.scatter(
            cost_array[i],
            quality_array[i],
            s=70 if best else 45,
            color=style(i)["color"],
            edgecolor="black" if best else "none",
            zorder=3,
        )
    _scale_costs(ax, budget)
    ax.yaxis.set_major_locator(MaxNLocator(6, prune="lower"))  # the lowest would lie on the first one below
    bottom, top = ax.get_ylim()
    if top - bottom < 0.2:
        ax.set_ylim((bottom + top) / 2 - 0.1, (bottom + top) / 2 + 0.1)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title("Quality against cost; the line is the Pareto front", pad=None if budget is None else 20)
    if (whole := ax.get_figure(root=True)) is not None:
        whole.draw_without_rendering()  # names are placed where the layout puts the points
    _label_points(ax, cost_array, quality_array, names, front)
    ax.grid(alpha=0.25)
    return ax


def _scale_costs(ax: Axes, budget: float | None) -> None:
    """A scale of costs that spans a decade at least, so that small differences look small, with the budget on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.margins(x=0.18, y=0.12)
    low, high = ax.get_xlim()
    if high / low < 10:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
    if budget is not None:
        low, high = min(low, budget / 1.5), max(high, budget * 1.5)
        ax.axvline(budget, color="0.3", linestyle=":")
        right = np.log(budget / low) > np.log(high / low) / 2
        ax.annotate(
            f"budget {budget:g} ms",
            (budget, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize="small",
            color="0.3",
        )
    ax.set_xlim(low, high)
    decades = np.log10(high / low)
    ax.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if decades < 1.7 else (1, 3) if decades < 3 else (1,))
    )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def pareto_front(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the entries that no other one beats in both cost (lower) and quality (higher)."""
    ok = np.isfinite(cost) & np.isfinite(quality)
    better = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    strictly = (cost[None] < cost[:, None]) | (quality[None] > quality[:, None])
    beaten = (better & strictly & ok[None]).any(axis=1)
    return np.flatnonzero(ok & ~beaten)


def timeline(
    ax: Axes,
    lines: Mapping[str, NDArray[np.float64]],
    *,
    frames: NDArray[np.int64],
    ylabel: str = "overlap (IoU)",
    title: str = "",
) -> Axes:
    """Show a value per frame as a row of colour for each tracker: dark = bad, bright = good, white = no answer."""
    import matplotlib

    table = np.stack([np.asarray(v, float) for v in lines.values()])
    cmap = matplotlib.colormaps["viridis"].with_extremes(bad="white")
    image = ax.imshow(
        np.ma.masked_invalid(table),
        aspect="auto",
        interpolation="nearest",
        vmin=0,
        vmax=1,
        cmap=cmap,
        extent=(frames[0] - 0.5, frames[-1] + 0.5, len(lines) - 0.5, -0.5),
    )
    ax.hlines(np.arange(1, len(lines)) - 0.5, frames[0] - 0.5, frames[-1] + 0.5, color="white", linewidth=2)
    ax.set_yticks(range(len(lines)), [short(name) for name in lines])
    ax.set(xlabel="frame", title=title)
    if ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, label=ylabel, fraction=0.04, pad=0.02)
    return ax


def bars(ax: Axes, values: Mapping[str, float], *, xlabel: str = "", title: str = "") -> Axes:
    """Horizontal bars in the order given, as the table has them, values written beside them; NaN is written as 'n/a'."""
    names = order = list(values)
    heights = [np.nan_to_num(values[n]) for n in order]
    ax.barh(range(len(order)), heights, color=[style(names.index(n))["color"] for n in order], height=0.6)
    ax.set_yticks(range(len(order)), [short(name) for name in order])
    for i, name in enumerate(order):
        text = f"{values[name]:.3f}" if np.isfinite(values[name]) else "n/a"
        ax.text(heights[i], i, f" {text}", va="center", fontsize="small")
    ax.set_ylim(max(len(order), 4) - 0.5, -0.5)  # few bars stay slim
    ax.margins(x=0.2)  # for the values
    if min(heights, default=0.0) >= 0:
        ax.set_xlim(0, None if any(heights) else 1)
    ax.locator_params(axis="x", nbins=5)
    ax.set(xlabel=xlabel, title=title)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def alignment(ax: Axes, found: Alignment) -> Axes:
    """Draw which frame of a each frame of b shows, by time; what is not certain in another colour, what a lacks below."""
    table = found.to_frame()
    there, sure = found.matched, found.certain
    for label, rows, index in (("certain", there & sure, 0), ("not certain", there & ~sure, 1)):
        if rows.any():
            ax.scatter(
                table["time"][rows],
                table["time_a"][rows],
                s=6,
                label=label,
                color=style(index)["color"],
                linewidths=0,
            )
    if not there.all():
        ax.plot(
            table["time"][~there],
            np.zeros(int((~there).sum())),
            "|",
            label="not in a",
            color=style(3)["color"],
        )
    ax.set(
        xlabel=f"b: {found.b.name}, s",
        ylabel=f"a: {found.a.name}, s",
        title=f"{int(there.sum())} of {len(there)} frames of b are in a",
        ylim=(-0.03 * found.a.times[-1] - 1e-3, None),
    )
    ax.grid(alpha=0.25)
    ax.legend(fontsize="small", frameon=False)
    return ax


def _label_points(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str], front: NDArray[np.int64]
) -> None:
    """Write each name beside its point, where no other name or point is; farther off with a line to its point.

    A name that finds no place is left out, those of the front last: the table has all.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    dots = ax.transData.transform(np.stack([x[known], y[known]], axis=1)) * POINTS_PER_INCH / ax.figure.dpi
    (left, bottom), (right, top) = ax.transAxes.transform([(0, 0), (1, 1)]) * POINTS_PER_INCH / ax.figure.dpi
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in dots]
    for rank in np.lexsort((dots[:, 0], -dots[:, 1], ~np.isin(known, front))).tolist():
        i, (px, py) = int(known[rank]), dots[rank]
        width = NAME_WIDTH * len(short(names[i])) * (1.1 if i in front else 1.0)  # bold ones are wider
        places = [(side, dy) for dy in _OFFSETS for side in (6, -6)]
        boxes = [
            (x0 := px + side - (width if side < 0 else 0), py + dy - 1, x0 + width, py + dy + NAME_HEIGHT)
            for side, dy in places
        ]
        free = [
            k
            for k, box in enumerate(boxes)
            if left <= box[0]
            and box[2] <= right
            and bottom <= box[1]
            and box[3] <= top
            and not any(_meet(box, other) for other in taken)
        ]
        if not free:
            continue
        k = free[0]
        side, dy = places[k]
        taken.append(boxes[k])
        ax.annotate(
            short(names[i]),
            (x[i], y[i]),
            xytext=(side, dy),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            fontsize="small",
            fontweight="bold" if i in front else "normal",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 3} if k > 3 else None,
        )


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
