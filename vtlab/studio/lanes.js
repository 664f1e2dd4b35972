// @ts-check
// A lane for each object below the slider: where it was drawn, tracked, absent, and where it is doubtful.

import { context } from "./dom.js";

/**
 * @param {HTMLCanvasElement} c
 * @param {import("./types.js").View} view
 * @param {string} colour of the line at the present frame
 */
export function drawLanes(c, view, colour) {
  const ratio = window.devicePixelRatio || 1,
    n = view.n_frames,
    objects = view.objects;
  c.width = c.clientWidth * ratio;
  c.height = c.clientHeight * ratio;
  const g = context(c),
    lane = Math.min(c.height / Math.max(objects.length, 1), 15 * ratio);
  /** @param {number} f */
  const x = f => (f / n) * c.width;
  objects.forEach((o, row) => {
    /**
     * @param {number} a
     * @param {number} b
     * @param {number} alpha
     */
    const bar = (a, b, alpha) => {
      g.globalAlpha = alpha;
      g.fillRect(x(a), row * lane, Math.max(x(b) - x(a), 2 * ratio), Math.max(lane - ratio, 1));
    };
    g.fillStyle = o.colour;
    for (const [a, b, kind] of o.runs ?? []) {
      bar(a, b, kind === "absent" ? 0.12 : kind === "stale" ? 0.2 : 0.45);
      if (kind !== "stale") continue;
      g.save();
      g.globalAlpha = 0.9;
      g.beginPath();
      g.rect(x(a), row * lane, x(b) - x(a), Math.max(lane - ratio, 1));
      g.clip();
      g.beginPath();
      for (let at = x(a) - lane; at < x(b); at += 5 * ratio) {
        g.moveTo(at, (row + 1) * lane);
        g.lineTo(at + lane, row * lane);
      }
      g.strokeStyle = o.colour;
      g.lineWidth = ratio;
      g.stroke();
      g.restore();
    }
    for (const f of o.frames) bar(f, f + 1, 1);
    g.globalAlpha = 1;
    for (const [f, severity] of o.doubts ?? []) {
      // doubtful places, the higher the worse; a rim parts them from a lane of any colour
      const h = Math.max(lane * (0.5 + 0.5 * severity) - ratio, 2 * ratio),
        left = x(f + 0.5) - 1.5 * ratio,
        top = (row + 1) * lane - ratio - h;
      g.fillStyle = "#fff";
      g.fillRect(left - ratio, top - ratio, 5 * ratio, h + ratio);
      g.fillStyle = "#d01c1c";
      g.fillRect(left, top, 3 * ratio, h);
    }
  });
  g.globalAlpha = 1;
  g.fillStyle = colour;
  g.fillRect(Math.round(x(view.frame + 0.5)), 0, ratio, c.height);
}
