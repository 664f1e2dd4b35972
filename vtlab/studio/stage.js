// @ts-check
// The stage: a frame and the figures on it. Coordinates are those of the full-size frame; only `Stage.at` and
// `Stage.draw` know of zoom and device pixels.

import { context, make } from "./dom.js";
import { clamp, corners, handles, knob } from "./geometry.js";
import { dashes, dot, hatch, mark, marked, path, ring, square, words } from "./paint.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./types.js").Figure} Figure */

export class Stage {
  /** @param {() => void} onchange called when what is seen has changed */
  constructor(onchange) {
    this.canvas = make("canvas", { class: "vt-canvas", role: "img" });
    this.zoom = 1;
    /** @type {Point | null} what lies in the middle; null: the frame's middle */
    this.centre = null;
    /** @type {ImageBitmap | null} */
    this.image = null;
    /** @type {ImageBitmap | null} */
    this.mask = null;
    /** @type {import("./types.js").View | null} */
    this.view = null;
    this.filter = "none"; // of the picture, as CSS has it
    this.opacity = 1; // of the masks
    /** @type {((g: CanvasRenderingContext2D) => void) | null} draws on top of it all */
    this.after = null;
    /** @type {{id: number, x: number, y: number, width: number}[]} where names stand, in CSS pixels */
    this.captions = [];
    this.onchange = onchange;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.canvas);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const w = Math.round(this.canvas.clientWidth * ratio),
      h = Math.round(this.canvas.clientHeight * ratio);
    if (w !== this.canvas.width || h !== this.canvas.height) {
      this.canvas.width = w;
      this.canvas.height = h;
    }
    this.onchange();
  }

  get size() {
    return [this.view?.width ?? 1, this.view?.height ?? 1];
  }
  get scale() {
    // CSS pixels per pixel of the frame
    const [w, h] = this.size;
    return this.zoom * (Math.min(this.canvas.clientWidth / w, this.canvas.clientHeight / h) || 1);
  }
  get origin() {
    // where the frame's upper left corner lies, in CSS pixels of the canvas
    const [cx, cy] = this.centre ?? this.size.map(v => v / 2);
    return [this.canvas.clientWidth / 2 - cx * this.scale, this.canvas.clientHeight / 2 - cy * this.scale];
  }

  /**
   * Where the hand is.
   * @param {MouseEvent} event
   */
  at(event, inside = true) {
    const r = this.canvas.getBoundingClientRect(),
      [ox, oy] = this.origin,
      [w, h] = this.size;
    const x = ((event.clientX - r.left) * (this.canvas.clientWidth / r.width) - ox) / this.scale;
    const y = ((event.clientY - r.top) * (this.canvas.clientHeight / r.height) - oy) / this.scale;
    return inside ? [clamp(x, 0, w), clamp(y, 0, h)] : [x, y];
  }

  /**
   * @param {number} factor 0: all is seen
   * @param {Point | null} anchor what stays where it is
   */
  zoomBy(factor, anchor = null) {
    const old = this.scale,
      centre = this.centre ?? this.size.map(v => v / 2);
    this.zoom = clamp(this.zoom * factor, 1, 40);
    if (this.zoom === 1) this.centre = null;
    else {
      const p = anchor ?? centre,
        k = old / this.scale;
      this.moveTo([p[0] + (centre[0] - p[0]) * k, p[1] + (centre[1] - p[1]) * k]);
    }
    this.onchange();
  }
  /** @param {Point} centre */
  moveTo(centre) {
    this.centre = centre.map((v, i) => clamp(v, 0, this.size[i]));
  }

  /**
   * @param {Figure | null} draft
   * @param {{at: Point, radius: number} | null} brush
   */
  draw(draft, brush) {
    const g = context(this.canvas),
      view = this.view,
      ratio = this.canvas.width / (this.canvas.clientWidth || 1),
      [ox, oy] = this.origin,
      s = this.scale;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.captions = [];
    if (!view) return;
    g.setTransform(ratio * s, 0, 0, ratio * s, ratio * ox, ratio * oy);
    g.imageSmoothingEnabled = s < 2;
    g.filter = this.filter;
    if (this.image) g.drawImage(this.image, 0, 0, this.size[0], this.size[1]);
    g.filter = "none";
    g.globalAlpha = this.opacity;
    if (this.mask) g.drawImage(this.mask, 0, 0, this.size[0], this.size[1]);
    g.globalAlpha = 1;
    g.setTransform(ratio, 0, 0, ratio, ratio * ox, ratio * oy); // lines keep their width at any zoom
    /** @param {Figure} f */
    const redrawn = f =>
      draft && f.id === draft.id && f.kind === draft.kind && !["stroke", "outline"].includes(f.kind);
    /** @param {Figure} f */
    const chosen = f => f.id === view.selected; // on top of the others
    for (const figure of [...view.figures].sort((a, b) => Number(chosen(a)) - Number(chosen(b))))
      if (!redrawn(figure)) this.figure(g, view, figure);
    if (draft) this.figure(g, view, draft);
    if (brush) {
      ring(g, brush.at[0] * s, brush.at[1] * s, brush.radius * s, "#000", 3);
      ring(g, brush.at[0] * s, brush.at[1] * s, brush.radius * s, "#fff", 1);
    }
    this.after?.(g);
  }

  /**
   * @param {CanvasRenderingContext2D} g
   * @param {import("./types.js").View} view
   * @param {Figure} f
   */
  figure(g, view, f) {
    const colour = view.objects.find(o => o.id === f.id)?.colour ?? "#fff",
      chosen = f.id === view.selected,
      s = this.scale;
    /** @param {Point} p */
    const at = p => [p[0] * s, p[1] * s];
    g.setLineDash(f.dashed ? [6, 4] : []);
    if (f.stale && f.kind === "box") hatch(g, corners(f).map(at), colour);
    if (f.kind === "box") {
      const c = corners(f).map(at);
      path(g, c, true, colour, chosen ? 2.5 : 1.75);
      if (dashes(f.id).length) marked(g, c, f.id);
      this.caption(g, f, c[0], colour);
      if (chosen) {
        const k = knob(f, s, this.size).map(at);
        path(g, k, false, colour, 1.75);
        for (const p of handles(f).map(at)) square(g, p, colour);
        dot(g, k[1], "#fff", 5);
      }
    } else if (f.kind === "mask") {
      if (!view.figures.some(o => o.id === f.id && o.kind === "box")) this.caption(g, f, at(f.at), colour);
    } else if (f.kind === "click") f.points.forEach((p, i) => mark(g, at(p), f.positive[i]));
    else if (f.kind === "stroke")
      path(g, f.points.map(at), false, f.erase ? "rgba(0,0,0,.45)" : colour + "99", 2 * f.radius * s);
    else if (f.kind === "outline") {
      path(g, f.points.map(at), false, colour, 2);
      f.points.forEach(p => dot(g, at(p), colour, 4));
    } else this.dots(g, f, at, colour, chosen);
    g.setLineDash([]);
  }

  /**
   * @param {CanvasRenderingContext2D} g
   * @param {import("./types.js").Points | import("./types.js").Skeleton} f
   * @param {(p: Point) => Point} at
   * @param {string} colour
   * @param {boolean} chosen
   */
  dots(g, f, at, colour, chosen) {
    const { names } = f,
      edges =
        f.edges ??
        (f.shape === "points"
          ? []
          : f.points.map((_, i) => [i, i + 1]).slice(0, f.shape === "polygon" ? undefined : -1));
    for (const [a, b] of edges)
      if (f.points[a] && f.points[b % f.points.length])
        path(g, [at(f.points[a]), at(f.points[b % f.points.length])], false, colour, 2);
    f.points.forEach((p, i) => dot(g, at(p), colour, 4.5, f.occluded?.[i]));
    if (names && chosen) f.points.forEach((p, i) => words(g, names[i], at(p)[0] + 8, at(p)[1] - 6, colour));
    else if (f.points.length) this.caption(g, f, at(f.points[0]), colour);
  }

  /**
   * @param {CanvasRenderingContext2D} g
   * @param {Figure} f
   * @param {number[]} place in CSS pixels
   * @param {string} colour
   */
  caption(g, f, [x, y], colour) {
    const label = this.view?.objects.find(o => o.id === f.id)?.label;
    const middle = Math.max(y - 9, 9 - this.origin[1]),
      // not above the canvas
      width = words(g, [f.id, label, f.note].filter(Boolean).join(" "), x, middle, colour);
    this.captions.push({ id: f.id, x: x - 1, y: middle - 8, width });
  }

  /**
   * Id of the object whose caption lies at a place of the frame.
   * @param {Point} place
   */
  named([x, y]) {
    const s = this.scale;
    /** @param {{x: number, y: number, width: number}} c */
    const on = c => x * s >= c.x && x * s <= c.x + c.width && y * s >= c.y && y * s <= c.y + 16;
    return this.captions.findLast(on)?.id;
  }
}
