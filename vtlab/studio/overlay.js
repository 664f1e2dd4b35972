// @ts-check
// What the player draws on a picture: truth, outlines, boxes, points with their trails, names.

import { dashColour, dashes, words } from "./paint.js";

/** @typedef {{id: number, score: number, box: number[] | null, seen: boolean}} BoxOf of an object */
/** @typedef {{id: number, k: number, xy: number[] | null, seen: boolean}} PointOf the k-th of an object */
/**
 * @typedef {object} Tracked what one tracker says of a frame
 * @property {BoxOf[]} boxes
 * @property {PointOf[]} points
 * @property {{id: number, lines: number[][][]}[]} outlines of masks
 */
/**
 * @typedef {object} Overlaid what is drawn on a frame
 * @property {number} frame
 * @property {(number[] | null)[]} truth boxes
 * @property {Record<string, Tracked>} panels
 */
/** @typedef {(frame: number) => PointOf[] | undefined} Trail points of an earlier frame, if known */

/** Frames that a point leaves a trail of: half a second at 30 frames a second. */
const TRAIL = 15;

export class Overlay {
  /**
   * @param {{width: number, objects: {id: number, label: string, colour: string}[],
   *   edges: Record<string, Record<number, number[][]>>}} info
   * @param {Set<number>} hidden ids of objects that aren't drawn
   */
  constructor(info, hidden) {
    this.info = info;
    this.hidden = hidden;
    this.colours = Object.fromEntries(info.objects.map(o => [o.id, o.colour]));
    this.labels = Object.fromEntries(info.objects.map(o => [o.id, o.label]));
  }

  /**
   * A picture and the tracks of one panel on it.
   * @param {CanvasRenderingContext2D} g
   * @param {number} width of the canvas
   * @param {Overlaid & {picture: ImageBitmap}} item
   * @param {string} name of the panel
   * @param {{frame: number, trail: Trail, titled: boolean}} how
   */
  draw(g, width, item, name, { frame, trail, titled }) {
    g.drawImage(item.picture, 0, 0, width, g.canvas.height);
    const k = width / this.info.width,
      ratio = window.devicePixelRatio || 1,
      weight = 2 * ratio;
    g.lineWidth = weight;
    g.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    g.textBaseline = "bottom";
    g.strokeStyle = "#fff";
    g.setLineDash([]);
    for (const b of item.truth) if (b) g.strokeRect(b[0] * k, b[1] * k, (b[2] - b[0]) * k, (b[3] - b[1]) * k);
    const panel = item.panels[name];
    for (const m of panel.outlines) if (!this.hidden.has(m.id)) outline(g, m.lines, k, this.colours[m.id]);
    const masked = new Set(panel.outlines.map(m => m.id)),
      dotted = new Set(panel.points.map(p => p.id));
    for (const b of panel.boxes) {
      if (!b.box || this.hidden.has(b.id) || dotted.has(b.id)) continue;
      const [x1, y1, x2, y2] = b.box.map(v => v * k);
      g.strokeStyle = g.fillStyle = this.colours[b.id];
      g.setLineDash(b.seen ? [] : [5 * ratio, 5 * ratio]);
      if (!masked.has(b.id) || !b.seen) g.strokeRect(x1, y1, x2 - x1, y2 - y1);
      if (dashes(b.id).length) {
        g.setLineDash(dashes(b.id).map(v => v * ratio));
        g.strokeStyle = dashColour(b.id);
        g.strokeRect(x1, y1, x2 - x1, y2 - y1);
      }
      tag(g, this.caption(b), x1, y1, width, this.colours[b.id], ratio);
    }
    g.setLineDash([]);
    this.dots(g, panel, { name, k, weight, right: width, frame, trail });
    if (titled) tag(g, name, 0, 0, width, "#fff", ratio);
  }

  /** @param {{id: number, score: number}} row */
  caption({ id, score }) {
    return [id, this.labels[id], score < 1 ? score.toFixed(2) : ""].filter(Boolean).join(" ");
  }
  /**
   * @param {CanvasRenderingContext2D} g
   * @param {Tracked} panel
   * @param {{name: string, k: number, weight: number, right: number, frame: number, trail: Trail}} how
   */
  dots(g, { points, boxes }, { name, k, weight, right, frame, trail }) {
    /** @type {Set<number>} */
    const named = new Set();
    const rows = new Map(boxes.map(b => [b.id, b])),
      few = new Set(points.map(p => p.id)).size <= 50;
    for (const p of points) {
      if (!p.xy || this.hidden.has(p.id)) continue;
      const shade = this.info.objects.length > 1 ? this.colours[p.id] : Object.values(this.colours)[0];
      g.strokeStyle = g.fillStyle = shade;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(p.xy[0] * k, p.xy[1] * k);
      for (let f = frame - 1; f >= Math.max(0, frame - TRAIL); f--) {
        const q = trail(f)?.find(v => v.id === p.id && v.k === p.k);
        if (!q || !q.xy || !q.seen) break;
        g.lineTo(q.xy[0] * k, q.xy[1] * k);
      }
      g.stroke();
      g.globalAlpha = 1;
      g.beginPath();
      g.arc(p.xy[0] * k, p.xy[1] * k, 2 * weight, 0, 7);
      p.seen ? g.fill() : g.stroke();
      if (!named.has(p.id)) {
        named.add(p.id);
        const edges = this.info.edges[name][p.id];
        if (edges)
          joined(
            g,
            points.filter(q => q.id === p.id),
            edges,
            k,
          );
        if (few)
          tag(
            g,
            this.caption(rows.get(p.id) ?? { id: p.id, score: 1 }),
            p.xy[0] * k + 8,
            p.xy[1] * k - 6,
            right,
            shade,
            weight / 2,
          );
        g.fillStyle = shade;
      }
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} g
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number} right edge that the words stay left of
 * @param {string} shade
 * @param {number} ratio device pixels per CSS pixel
 */
function tag(g, text, x, y, right, shade, ratio) {
  g.save();
  const w = g.measureText(text).width + 14 * ratio,
    h = 16 * ratio;
  words(g, text, Math.max(1, Math.min(x, right - w)), Math.max(h, y) - h / 2, shade, 12 * ratio);
  g.restore();
}
/**
 * @param {CanvasRenderingContext2D} g
 * @param {number[][][]} contours indices of pixels
 * @param {number} k pixels of the canvas per pixel of the frame
 * @param {string} shade
 */
function outline(g, contours, k, shade) {
  g.beginPath();
  for (const c of contours) {
    c.forEach(([x, y], i) =>
      i ? g.lineTo((x + 0.5) * k, (y + 0.5) * k) : g.moveTo((x + 0.5) * k, (y + 0.5) * k),
    );
    g.closePath();
  }
  g.globalAlpha = 0.4;
  g.fillStyle = shade;
  g.fill("evenodd");
  g.globalAlpha = 1;
  g.strokeStyle = shade;
  g.stroke();
}

/**
 * Polygons, polylines, skeletons, oriented boxes.
 * @param {CanvasRenderingContext2D} g
 * @param {PointOf[]} points
 * @param {number[][]} edges pairs of points
 * @param {number} k pixels of the canvas per pixel of the frame
 */
function joined(g, points, edges, k) {
  for (const [a, b] of edges) {
    const p = points.find(q => q.k === a),
      q = points.find(r => r.k === b);
    if (!p?.xy || !q?.xy) continue;
    g.beginPath();
    g.moveTo(p.xy[0] * k, p.xy[1] * k);
    g.lineTo(q.xy[0] * k, q.xy[1] * k);
    g.stroke();
  }
}
