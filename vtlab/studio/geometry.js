// @ts-check
// Geometry of boxes, points and clocks, without a page: what is here is tested by itself.

/** @typedef {number[]} Point [x, y] in pixels of the full-size frame */
/** @typedef {number[]} Box [x1, y1, x2, y2] in pixels of the full-size frame, edges continuous */
/** @typedef {{xyxy: Box, angle?: number}} Turned a box, turned about its middle by radians, clockwise */

/**
 * To hundredths of a pixel: finer than a hand at the largest zoom (40), and short in saved files.
 * @param {number} v
 */
export const round = v => Math.round(v * 100) / 100;

/**
 * @param {number} v
 * @param {number} low
 * @param {number} high
 */
export const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

/**
 * Whether two places are at most `r` apart.
 * @param {Point} a
 * @param {Point} b
 * @param {number} r
 */
export const near = (a, b, r) => Math.hypot(a[0] - b[0], a[1] - b[1]) <= r;

/** The handles of a box: column and row, 0 to 2, clockwise from the upper left. */
// prettier-ignore
export const EDGES = [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 2], [0, 2], [0, 1]];

/** @param {Box} b */
export const middle = b => [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2];

/**
 * A place turned about another.
 * @param {Point} p
 * @param {Point} about
 * @param {number} angle radians
 * @returns {Point}
 */
export function turn(p, [cx, cy], angle) {
  const c = Math.cos(angle),
    s = Math.sin(angle),
    x = p[0] - cx,
    y = p[1] - cy;
  return [cx + c * x - s * y, cy + s * x + c * y];
}

/** @param {Turned} box */
export function corners({ xyxy: [x1, y1, x2, y2], angle = 0 }) {
  const m = middle([x1, y1, x2, y2]);
  return [
    [x1, y1],
    [x2, y1],
    [x2, y2],
    [x1, y2],
  ].map(p => turn(p, m, angle));
}

/**
 * Where the handles lie, in the order of EDGES.
 * @param {Turned} box
 */
export function handles({ xyxy: b, angle = 0 }) {
  const [cx, cy] = middle(b),
    xs = [b[0], cx, b[2]],
    ys = [b[1], cy, b[3]];
  return EDGES.map(([i, j]) => turn([xs[i], ys[j]], [cx, cy], angle));
}

/**
 * Line from the middle of an edge to the knob that turns the box: above it, or where there is room.
 * @param {Turned} box
 * @param {number} scale CSS pixels per pixel of the frame
 * @param {number[]} size width and height of the frame
 */
export function knob({ xyxy: b, angle = 0 }, scale, [w, h]) {
  const m = middle(b),
    far = 24 / scale;
  const ways = [
    [m[0], b[1], 0, -far],
    [m[0], b[3], 0, far],
    [b[2], m[1], far, 0],
    [b[0], m[1], -far, 0],
  ];
  const lines = ways.map(([x, y, dx, dy]) => [turn([x, y], m, angle), turn([x + dx, y + dy], m, angle)]);
  // no room on any side: the box fills the frame, and the knob lies in it, below its upper edge
  const within = [turn([m[0], b[1]], m, angle), turn([m[0], b[1] + far], m, angle)];
  return lines.find(([, [x, y]]) => x > 0 && y > 0 && x < w && y < h) ?? within;
}

/** @param {Point} p */
export const spot = p => ({ x: round(p[0]), y: round(p[1]) });

/**
 * Whether a place lies in a box, or at most `reach` beside it.
 * @param {Turned} figure
 * @param {Point} p
 */
export function inside(figure, p, reach = 0) {
  const [x, y] = turn(p, middle(figure.xyxy), -(figure.angle ?? 0)),
    b = figure.xyxy;
  return x > b[0] - reach && x < b[2] + reach && y > b[1] - reach && y < b[3] + reach;
}

/**
 * Whether a place lies on the line from a to b.
 * @param {Point} p
 * @param {Point} a
 * @param {Point} b
 * @param {number} reach
 */
export function onEdge(p, a, b, reach) {
  const dx = b[0] - a[0],
    dy = b[1] - a[1],
    t = clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return near(p, [a[0] + t * dx, a[1] + t * dy], reach);
}

/**
 * The box of two opposite corners.
 * @param {Point} p
 * @param {Point} q
 * @returns {Box}
 */
export const spanned = (p, q) =>
  [Math.min(p[0], q[0]), Math.min(p[1], q[1]), Math.max(p[0], q[0]), Math.max(p[1], q[1])].map(round);

/**
 * A box moved with the hand, kept in the frame.
 * @param {Turned} figure
 * @param {Point} by
 * @param {number[]} size width and height of the frame
 * @returns {Box}
 */
export function movedBox(figure, by, size) {
  const c = corners(figure),
    b = figure.xyxy;
  /** @param {number} axis */
  const along = axis => {
    const low = Math.min(...c.map(q => q[axis])),
      high = Math.max(...c.map(q => q[axis]));
    return clamp(by[axis], Math.min(-low, 0), Math.max(size[axis] - high, 0));
  };
  const dx = along(0),
    dy = along(1);
  return [b[0] + dx, b[1] + dy, b[2] + dx, b[3] + dy].map(round);
}

/**
 * A box whose handle is at a place; the far edge stays.
 * @param {Turned} figure
 * @param {number} handle place in EDGES
 * @param {Point} p
 * @returns {Box}
 */
export function resizedBox(figure, handle, p) {
  const [i, j] = EDGES[handle],
    m = middle(figure.xyxy),
    angle = figure.angle ?? 0;
  const [x, y] = turn(p, m, -angle),
    b = [...figure.xyxy];
  if (i !== 1) b[i] = x;
  if (j !== 1) b[j + 1] = y;
  const c = middle(b),
    to = turn(c, m, angle), // a box turns about its own middle, which has moved
    dx = to[0] - c[0],
    dy = to[1] - c[1];
  return spanned([b[0] + dx, b[1] + dy], [b[2] + dx, b[3] + dy]);
}

/**
 * The angle of a box after the hand went round its middle from `start` to `p`: in 1e-4 rad, with `steps` in
 * steps of 15°.
 * @param {Turned} figure
 * @param {Point} start
 * @param {Point} p
 */
export function turnedAngle(figure, start, p, steps = false) {
  const m = middle(figure.xyxy),
    step = Math.PI / 12;
  /** @param {Point} q */
  const direction = q => Math.atan2(q[1] - m[1], q[0] - m[0]);
  const angle = (figure.angle ?? 0) + direction(p) - direction(start);
  return Math.round((steps ? Math.round(angle / step) * step : angle) * 1e4) / 1e4;
}
