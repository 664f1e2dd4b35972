// @ts-check
// The timeline of the player: a row for each object of each tracker, and its events.

import { context, make } from "./dom.js";

/** @typedef {{frame: number, kind: string, text: string}} Event_ what happened to an object */
/**
 * @typedef {object} Line an object in the bins of the timeline
 * @property {number} id
 * @property {(number | null)[]} present
 * @property {(number | null)[]} score
 * @property {(number | null)[] | null} overlap
 * @property {Event_[]} events
 */

export class Timeline {
  /**
   * @param {{frames: number, bins: number, panels: string[], timelines: Record<string, Line[]>,
   *   objects: {id: number, label: string}[]}} info
   * @param {Record<number, string>} colours of objects
   * @param {(frame: number) => void} go shows a frame
   */
  constructor(info, colours, go) {
    const n = info.frames;
    this.cursor = make("div", { class: "vt-cursor" });
    /** @type {HTMLElement[]} */
    this.rows = [this.cursor];
    /** @type {(Event_ & {id: number, panel: string})[]} of all rows, in the order of time */
    this.events = [];
    /** @type {Map<Element, {canvas: HTMLCanvasElement, line: Line}>} */
    const rowOf = new Map();
    // Only rows that are in sight are painted: hundreds of objects would take as many megabytes.
    this.sight = new IntersectionObserver(found => {
      for (const { target, isIntersecting } of found) {
        const row = rowOf.get(target);
        if (row && isIntersecting) paintRow(row.canvas, row.line, n, info.bins, colours[row.line.id]);
        else if (row) row.canvas.width = 0;
      }
    });
    for (const panel of info.panels)
      for (const line of info.timelines[panel]) {
        const canvas = make("canvas", { width: 0, height: 40, "aria-hidden": "true" });
        const label =
          info.panels.length > 1
            ? `${panel} · ${line.id}`
            : `${line.id} ${(info.objects.find(o => o.id === line.id) || {}).label || ""}`;
        this.rows.push(make("div", { class: "vt-line" }, make("span", { title: label }, label), canvas));
        line.events.forEach(e => this.events.push({ ...e, id: line.id, panel }));
        /** @param {MouseEvent} e */
        const at = e => {
          const r = canvas.getBoundingClientRect();
          return ((e.clientX - r.left) / r.width) * n;
        };
        canvas.onclick = e => {
          const f = at(e),
            near = line.events
              .filter(v => Math.abs(v.frame - f) < n / 60)
              .sort((a, b) => Math.abs(a.frame - f) - Math.abs(b.frame - f))[0];
          go(near ? near.frame : Math.floor(f));
        };
        canvas.onmousemove = e => {
          const f = at(e),
            near = line.events.find(v => Math.abs(v.frame - f) < n / 60);
          canvas.title = near ? `frame ${near.frame}: ${near.text}` : `frame ${Math.floor(f)}`;
        };
        rowOf.set(canvas, { canvas, line });
        this.sight.observe(canvas);
      }
    this.events.sort((a, b) => a.frame - b.frame);
  }

  /** @param {number} at place of the cursor, 0 to 1 */
  place(at) {
    this.cursor.style.setProperty("--vt-at", String(at));
  }

  dispose() {
    this.sight.disconnect();
  }
}

/**
 * One row: height of the bar = score, brightness = overlap with truth (or full), marks = events.
 * @param {HTMLCanvasElement} canvas
 * @param {Line} line
 * @param {number} n frames
 * @param {number} bins columns of the row
 * @param {string} colour
 */
function paintRow(canvas, line, n, bins, colour) {
  canvas.width = 1200; // clears it
  const g = context(canvas),
    w = canvas.width,
    h = canvas.height;
  /** @param {number} k */
  const x = k => Math.round((k * w) / bins);
  g.fillStyle = "#8883";
  g.fillRect(0, h - 3, w, 3);
  for (let k = 0; k < bins; k++) {
    const there = line.present[k];
    if (there === null) continue;
    g.globalAlpha = line.overlap ? 0.15 + 0.85 * (line.overlap[k] ?? 0) : 0.9;
    g.fillStyle = there > 0 ? colour : "#888";
    const high = there > 0 ? Math.max(0.15, line.score[k] ?? 1) * (h - 8) : 4;
    g.fillRect(x(k), h - high, x(k + 1) - x(k), high);
  }
  g.globalAlpha = 1;
  /** @type {Record<string, string>} */
  const shade = {
    lost: "#d55e00",
    found: "#009e73",
    switched: "#cc79a7",
    corrected: "#0072b2",
    left: "#d55e00",
  };
  for (const e of line.events) {
    if (e.kind === "method") continue;
    const at = ((e.frame + 0.5) / n) * w;
    g.fillStyle = shade[e.kind] || "#777";
    g.beginPath();
    g.moveTo(at - 6, 0);
    g.lineTo(at + 6, 0);
    g.lineTo(at, 9);
    g.fill();
  }
}
