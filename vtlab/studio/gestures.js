// @ts-check
// Gestures of the tools: each gives {move, up}; `up` sends the edit.

import {
  handles,
  inside,
  knob,
  movedBox,
  near,
  onEdge,
  resizedBox,
  round,
  spanned,
  spot,
  turnedAngle,
} from "./geometry.js";

/** @typedef {import("./annotator.js").Annotator} Annotator */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./types.js").Gesture} Gesture */
/** @typedef {import("./types.js").Box} Box */
/** @typedef {(w: Annotator, p: Point, event: PointerEvent) => Gesture | null | void} Tool */

export const GRIP = 7; // half of what counts as hitting a handle, in CSS pixels

/** @type {Record<string, Tool>} */
export const GESTURES = {
  box(w, p, event) {
    const reach = GRIP / w.stage.scale,
      own = w.figure("box");
    if (event.altKey) return drawing(w, p, w.view.selected);
    const handle = own ? handles(own).findIndex(q => near(p, q, reach)) : -1;
    if (own && handle >= 0) return resizing(w, own, handle);
    if (own && near(p, knob(own, w.stage.scale, w.stage.size)[1], reach)) return turning(w, own, p);
    // what is selected moves, nothing else does
    if (own && !w.redraw && inside(own, p, reach)) return moving(w, own, p);
    return drawing(w, p, bare(w) ? w.view.selected : null);
  },
  click(w, p, event) {
    w.send({ do: "click", ...spot(p), positive: !(event.altKey || event.button === 2) });
  },
  polygon(w, p, event) {
    const own = w.figure("mask");
    if (w.view.work && own?.polygon && !w.outline)
      return cornering(w, own.id, own.polygon, p, event) ?? outlining(w, p);
    return outlining(w, p);
  },
  brush: (w, p, event) => painting(w, p, event.altKey || event.button === 2),
  eraser: (w, p) => painting(w, p, true),
  points(w, p, event) {
    const own = w.figure("point"),
      points = own?.points ?? [],
      i = points.findIndex(q => near(p, q, (GRIP + 2) / w.stage.scale));
    /** @param {Point[]} list */
    const put = list => w.send({ do: "points", points: list, shape: own?.shape ?? "points" });
    if (event.button === 2) return i < 0 ? undefined : put(points.filter((_, k) => k !== i));
    return own && i >= 0 ? dragging(w, own, i, put) : w.send({ do: "add_point", ...spot(p) });
  },
  skeleton(w, p, event) {
    const own = w.figure("skeleton"),
      points = own?.points ?? [],
      hidden = own?.occluded ?? [],
      names = w.view.skeleton?.names ?? [];
    const i = points.findIndex(q => near(p, q, (GRIP + 2) / w.stage.scale));
    /** @param {Point[]} list */
    const put = (list, occluded = hidden) => w.send({ do: "nodes", points: list, occluded });
    if (event.button === 2)
      return i < 0
        ? undefined
        : put(
            points,
            points.map((_, k) => (k === i) !== Boolean(hidden[k])),
          );
    if (own && i >= 0) return dragging(w, own, i, put);
    if (points.length < names.length || !names.length) w.send({ do: "add_node", ...spot(p) });
  },
};

/**
 * A click selects what is named there, or the smallest box around it.
 * @param {Annotator} w
 * @param {Point} p
 */
export function pick(w, p) {
  /** @param {Box} f */
  const area = f => (f.xyxy[2] - f.xyxy[0]) * (f.xyxy[3] - f.xyxy[1]);
  const under = w.view.figures
    .filter(f => f.kind === "box")
    .filter(f => inside(f, p, GRIP / w.stage.scale))
    .sort((a, b) => area(a) - area(b));
  w.select(w.stage.named(p) ?? under[0]?.id ?? w.view.selected);
}

/**
 * Whether the selected object waits for a box on this frame: it is nowhere yet, or is clicked and gets a box
 * around it. A second box is a second object, but in a queue, whose objects are given.
 * @param {Annotator} w
 */
export function bare(w) {
  const id = w.view.selected,
    own = w.view.figures.filter(f => f.id === id && ["box", "mask", "click"].includes(f.kind));
  if (w.view.fixed || w.view.tracking?.led) return true; // the corrector asks for this one
  return (
    (w.view.objects.find(o => o.id === id)?.shown ?? true) &&
    (!own.length || (!own.some(f => f.kind === "box") && own.some(f => f.kind === "click")))
  );
}

/**
 * @param {Annotator} w
 * @param {Point} start
 * @param {number | null} object id, or null for a new one
 * @returns {Gesture}
 */
export function drawing(w, start, object) {
  const fresh = object === null || w.empty(object),
    id = () => object ?? w.nextId; // another view may make an object meanwhile
  /** @param {Point} p */
  const box = p => spanned(p, start);
  /** @param {number[]} b */
  const large = b => (b[2] - b[0]) * w.stage.scale > 3 && (b[3] - b[1]) * w.stage.scale > 3;
  return {
    move: p => (w.draft = large(box(p)) ? { id: id(), kind: "box", xyxy: box(p) } : null),
    up(p) {
      if (!large(box(p))) return pick(w, p);
      w.send({ do: "box", xyxy: box(p) }, id(), w.view.frame, fresh);
    },
  };
}

/**
 * @param {Annotator} w
 * @param {Box} figure
 * @param {Point} start
 * @returns {Gesture}
 */
export function moving(w, figure, start) {
  /** @param {Point} p */
  const moved = p => movedBox(figure, [p[0] - start[0], p[1] - start[1]], w.stage.size);
  return {
    move: p => (w.draft = { ...figure, xyxy: moved(p) }),
    up(p) {
      if (!near(p, start, 1.5 / w.stage.scale))
        return w.send({ do: "box", xyxy: moved(p), angle: figure.angle ?? 0 });
      w.draft = null;
      pick(w, p);
    },
  };
}

/**
 * @param {Annotator} w
 * @param {Box} figure
 * @param {number} handle place in EDGES
 * @returns {Gesture}
 */
export function resizing(w, figure, handle) {
  /** @param {Point} p */
  const sized = p => resizedBox(figure, handle, p);
  return {
    move: p => (w.draft = { ...figure, xyxy: sized(p) }),
    up: p => w.send({ do: "box", xyxy: sized(p), angle: figure.angle ?? 0 }),
  };
}

/**
 * @param {Annotator} w
 * @param {Box} figure
 * @param {Point} start
 * @returns {Gesture}
 */
export function turning(w, figure, start) {
  /**
   * @param {Point} p
   * @param {PointerEvent} e
   */
  const turned = (p, e) => turnedAngle(figure, start, p, e.shiftKey);
  return {
    move: (p, e) => (w.draft = { ...figure, angle: turned(p, e) }),
    up: (p, e) => w.send({ do: "box", xyxy: figure.xyxy, angle: turned(p, e) }),
  };
}

/**
 * @param {Annotator} w
 * @param {Point} start
 * @param {boolean} erase
 * @returns {Gesture}
 */
export function painting(w, start, erase) {
  const points = [start.map(round)],
    radius = w.radius;
  const stroke = () => (w.draft = { id: w.view.selected, kind: "stroke", points, radius, erase });
  stroke();
  return {
    move(p) {
      if (!near(p, points[points.length - 1], 1 / w.stage.scale)) points.push(p.map(round));
      stroke();
    },
    up: () => w.send({ do: "paint", path: points, radius, erase }),
  };
}

/**
 * @param {Annotator} w
 * @param {import("./types.js").Points | import("./types.js").Skeleton} figure
 * @param {number} i which of its points
 * @param {(points: Point[], occluded?: boolean[]) => void} put
 * @returns {Gesture}
 */
export function dragging(w, figure, i, put) {
  /** @param {Point} p */
  const moved = p => figure.points.map((q, k) => (k === i ? p.map(round) : q));
  return { move: p => (w.draft = { ...figure, points: moved(p) }), up: p => put(moved(p), figure.occluded) };
}

/**
 * @param {Annotator} w
 * @param {Point} p
 */
function outlining(w, p) {
  const points = w.outline ?? [];
  if (points.length > 2 && near(p, points[0], GRIP / w.stage.scale)) return w.close();
  w.outline = [...points, p.map(round)];
  w.draw();
}

/**
 * A polygon stays one: its corners are dragged, Alt takes one away, a click on an edge of it adds one there.
 * Anywhere else (null) a new outline begins.
 * @param {Annotator} w
 * @param {number} id of its object
 * @param {Point[]} points
 * @param {Point} p
 * @param {PointerEvent} event
 * @returns {Gesture | null}
 */
function cornering(w, id, points, p, event) {
  const reach = (GRIP + 1) / w.stage.scale;
  /** @param {Point[]} list */
  const put = list => w.send({ do: "polygon", points: list }),
    i = points.findIndex(q => near(p, q, reach));
  if (i >= 0 && (event.altKey || event.button === 2)) {
    if (points.length > 3) put(points.filter((_, k) => k !== i));
    return {};
  }
  const edge = i >= 0 ? -1 : points.findIndex((a, k) => onEdge(p, a, points[(k + 1) % points.length], reach));
  if (i < 0 && edge < 0) return null;
  const list = edge < 0 ? points : points.toSpliced(edge + 1, 0, p.map(round)),
    at = edge < 0 ? i : edge + 1;
  /** @param {Point} q */
  const moved = q => list.map((r, k) => (k === at ? q.map(round) : r));
  return {
    move: q => (w.draft = { id, kind: "outline", points: [...moved(q), moved(q)[0]] }),
    up: q => put(moved(q)),
  };
}
