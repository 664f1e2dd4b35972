// @ts-check
// What an edit will change in the view, drawn until the kernel's answer is there. Masks come from the kernel
// alone: of them the clicks, the stroke or the outline is seen.

import { DRAWS } from "./edits.js";

/** @typedef {import("./types.js").View} View */
/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").At} At */
/** @typedef {import("./types.js").Kind} Kind */
/** @typedef {(v: View, e: Edit, at: At) => void} Rule what an edit changes in a view */

/** @type {Kind[]} */
export const REGIONS = ["box", "click", "mask"];

/** @type {Record<string, Rule>} */
export const PREDICTIONS = {
  select(v, e) {
    v.selected = e.object_id;
  },
  label(v, e) {
    const o = v.objects.find(o => o.id === e.object_id);
    if (o) o.label = e.text.trim();
  },
  show(v, e) {
    const o = v.objects.find(o => o.id === e.object_id);
    if (o) o.shown = e.shown;
    if (!e.shown) drop(v, e.object_id);
  },
  delete(v, e, at) {
    if (e.everywhere) v.objects = v.objects.filter(o => o.id !== e.object_id || o.id === v.selected);
    if (e.everywhere || at.frame === v.frame) drop(v, e.object_id, e.kind && [e.kind]);
  },
  absent: gone,
  gone,
  ...onFrame({
    box: (v, e, id) => {
      drop(v, id, has(v, id, "click") ? ["box"] : REGIONS);
      v.figures.push({ id, kind: "box", xyxy: e.xyxy, angle: e.angle ?? 0 });
    },
    click: (v, e, id) => {
      const old = has(v, id, "click");
      drop(v, id, ["click"]);
      v.figures.push({
        id,
        kind: "click",
        points: [...(old?.points ?? []), [e.x, e.y]],
        positive: [...(old?.positive ?? []), e.positive],
      });
    },
    polygon: (v, e, id) => {
      v.figures = v.figures.map(f => (f.id === id && f.kind === "mask" ? { ...f, polygon: e.points } : f));
      v.figures.push({ id, kind: "outline", points: [...e.points, e.points[0]] });
    },
    paint: (v, e, id) => {
      v.figures.push({ id, kind: "stroke", points: e.path, radius: e.radius, erase: e.erase });
    },
    points: (v, e, id) => {
      drop(v, id, ["point"]);
      if (e.points.length) v.figures.push({ id, kind: "point", points: e.points, shape: e.shape });
    },
    add_point: (v, e, id) => {
      const old = has(v, id, "point");
      drop(v, id, ["point"]);
      v.figures.push({
        shape: "points",
        ...old,
        id,
        kind: "point",
        points: [...(old?.points ?? []), [e.x, e.y]],
      });
    },
    nodes: (v, e, id) => skeleton(v, id, e.points, e.occluded),
    add_node: (v, e, id) => {
      const old = has(v, id, "skeleton");
      skeleton(v, id, [...(old?.points ?? []), [e.x, e.y]], old?.occluded);
    },
  }),
};

/**
 * Rules for figures of the frame that is shown.
 * @param {Record<string, (v: View, e: Edit, id: number) => void>} rules
 * @returns {Record<string, Rule>}
 */
export function onFrame(rules) {
  return Object.fromEntries(
    Object.entries(rules).map(([name, rule]) => [
      name,
      /** @type {Rule} */ (v, e, at) => {
        v.selected = at.object_id;
        if (at.frame === v.frame) rule(v, e, at.object_id);
      },
    ]),
  );
}
/**
 * @template {Kind} K
 * @param {import("./types.js").Figure} f
 * @param {K} kind
 * @returns {f is Extract<import("./types.js").Figure, {kind: K}>}
 */
const isOf = (f, kind) => f.kind === kind;
/**
 * @template {Kind} K
 * @param {View} v
 * @param {number} id
 * @param {K} kind
 */
export function has(v, id, kind) {
  return v.figures.filter(f => isOf(f, kind)).find(f => f.id === id);
}
/**
 * @param {View} v
 * @param {number} id
 * @param {Kind[] | null} kinds null: all
 */
export function drop(v, id, kinds = null) {
  v.figures = v.figures.filter(f => f.id !== id || (kinds && !kinds.includes(f.kind)));
}
/** @type {Rule} */
export function gone(v, e, at) {
  if (at?.frame === v.frame) drop(v, e.object_id);
}
/**
 * @param {View} v
 * @param {number} id
 * @param {number[][]} points
 * @param {boolean[]} occluded
 */
export function skeleton(v, id, points, occluded = []) {
  const names = v.skeleton?.names ?? [],
    edges = (v.skeleton?.edges ?? []).filter(e => Math.max(...e) < points.length);
  drop(v, id, ["skeleton"]);
  v.figures.push({ id, kind: "skeleton", points, names: names.slice(0, points.length), edges, occluded });
}

/**
 * The view once the edits are carried out; the view given stays as it is.
 * @param {View} view
 * @param {Edit[]} edits
 * @returns {View}
 */
export function predicted(view, edits) {
  if (!edits.length) return view;
  const v = { ...view, objects: view.objects.map(o => ({ ...o })), figures: [...view.figures] };
  for (const { at, ...edit } of edits) {
    const rule = PREDICTIONS[edit.do];
    if (!rule) continue;
    rule(v, edit, at);
    let o = v.objects.find(o => o.id === v.selected);
    if (!o) {
      v.objects.push(
        (o = {
          id: v.selected,
          label: "",
          colour: v.palette[(v.selected - 1) % v.palette.length],
          shown: true,
          frames: [],
        }),
      );
      v.objects.sort((a, b) => a.id - b.id);
    }
    if (DRAWS.has(edit.do) && !o.frames.includes(at.frame)) o.frames = [...o.frames, at.frame];
    v.undo = true;
  }
  return v;
}
