// @ts-check
// Marks on a canvas: words, lines, dots, handles.

/** @typedef {CanvasRenderingContext2D} Canvas */
/** @typedef {import("./geometry.js").Point} Point */

/**
 * White words with a dark rim on a dark ground reach 4.5:1 on any footage; the colour of their object stands
 * beside them. Returns the width.
 * @param {Canvas} g
 * @param {string} text
 * @param {number} x
 * @param {number} y middle of the line
 * @param {string} colour
 */
export function words(g, text, x, y, colour, size = 12) {
  if (!text) return 0;
  g.font = `600 ${size}px system-ui, sans-serif`;
  g.textBaseline = "middle";
  g.lineJoin = "round";
  const chip = size / 3,
    w = g.measureText(text).width + chip + 8,
    h = size + 4;
  g.fillStyle = "rgba(0,0,0,.78)";
  g.fillRect(x - 1, y - h / 2, w, h);
  g.fillStyle = colour;
  g.fillRect(x - 1, y - h / 2, chip, h);
  g.strokeStyle = "#000";
  g.lineWidth = size / 4;
  g.strokeText(text, x + chip + 2, y + 0.5);
  g.fillStyle = "#fff";
  g.fillText(text, x + chip + 2, y + 0.5);
  return w;
}

// There are 14 colours: from the 15th object on lines also carry light dashes, from the 29th on dark ones,
// and so on.
export const ROUND = 14;
/** @param {number} id */
export const dashes = id => [[], [2, 7], [2, 7], [7, 7], [7, 7]][Math.floor((id - 1) / ROUND) % 5];
/** @param {number} id */
export const dashColour = id => (Math.floor((id - 1) / ROUND) % 2 ? "#fff" : "#000");

/**
 * @param {Canvas} g
 * @param {Point[]} points in CSS pixels
 * @param {boolean} closed
 * @param {string} colour
 * @param {number} width
 */
export function path(g, points, closed, colour, width) {
  g.beginPath();
  points.forEach((p, i) => (i ? g.lineTo(p[0], p[1]) : g.moveTo(p[0], p[1])));
  if (points.length === 1) g.lineTo(points[0][0], points[0][1]);
  if (closed) g.closePath();
  g.lineJoin = g.lineCap = "round";
  if (width < 6) {
    g.strokeStyle = "rgba(0,0,0,.55)";
    g.lineWidth = width + 1.5;
    g.stroke();
  }
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.stroke();
}
/**
 * @param {Canvas} g
 * @param {Point[]} points in CSS pixels
 * @param {number} id
 */
export function marked(g, points, id) {
  // dashes along the outline, by which objects of one colour differ
  g.save();
  g.setLineDash(dashes(id));
  g.lineWidth = 1.75;
  g.lineCap = "butt";
  g.strokeStyle = dashColour(id);
  g.beginPath();
  points.forEach((p, i) => (i ? g.lineTo(p[0], p[1]) : g.moveTo(p[0], p[1])));
  g.closePath();
  g.stroke();
  g.restore();
}
/**
 * Slanted lines over a box that waits to be tracked again; masks come with theirs.
 * @param {Canvas} g
 * @param {Point[]} points in CSS pixels
 * @param {string} colour
 */
export function hatch(g, points, colour) {
  const xs = points.map(p => p[0]),
    ys = points.map(p => p[1]),
    x1 = Math.min(...xs),
    x2 = Math.max(...xs),
    y1 = Math.min(...ys),
    y2 = Math.max(...ys);
  g.save();
  g.beginPath();
  points.forEach((p, i) => (i ? g.lineTo(p[0], p[1]) : g.moveTo(p[0], p[1])));
  g.closePath();
  g.clip();
  g.setLineDash([]);
  g.beginPath();
  for (let x = x1 - (y2 - y1); x < x2; x += 12) {
    g.moveTo(x, y2);
    g.lineTo(x + y2 - y1, y1);
  }
  g.lineWidth = 3;
  g.strokeStyle = "rgba(0,0,0,.4)";
  g.stroke(); // seen on an object of the same colour, too
  g.lineWidth = 1.25;
  g.strokeStyle = colour;
  g.stroke();
  g.restore();
}
/**
 * @param {Canvas} g
 * @param {number} x in CSS pixels
 * @param {number} y
 * @param {number} r
 * @param {string} colour
 * @param {number} width
 */
export function ring(g, x, y, r, colour, width) {
  g.beginPath();
  g.arc(x, y, Math.max(r, 1), 0, 7);
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.stroke();
}
/**
 * @param {Canvas} g
 * @param {Point} place in CSS pixels
 * @param {string} colour
 * @param {number} r
 */
export function dot(g, [x, y], colour, r, hollow = false) {
  g.beginPath();
  g.arc(x, y, r, 0, 7);
  g.fillStyle = hollow ? "rgba(0,0,0,.5)" : colour;
  g.fill();
  g.lineWidth = 1.5;
  g.strokeStyle = hollow ? colour : "rgba(0,0,0,.8)";
  g.stroke();
}
/**
 * @param {Canvas} g
 * @param {Point} place in CSS pixels
 * @param {string} colour
 */
export function square(g, [x, y], colour) {
  g.setLineDash([]);
  g.fillStyle = "#fff";
  g.strokeStyle = "#000";
  g.lineWidth = 1;
  g.fillRect(x - 3.5, y - 3.5, 7, 7);
  g.strokeRect(x - 3.5, y - 3.5, 7, 7);
}
/**
 * @param {Canvas} g
 * @param {Point} place in CSS pixels
 * @param {boolean} positive
 */
export function mark(g, [x, y], positive) {
  dot(g, [x, y], positive ? "#009e73" : "#d55e00", 7);
  g.beginPath();
  g.moveTo(x - 3.5, y);
  g.lineTo(x + 3.5, y);
  if (positive) {
    g.moveTo(x, y - 3.5);
    g.lineTo(x, y + 3.5);
  }
  g.strokeStyle = "#fff";
  g.lineWidth = 2;
  g.stroke();
}
