// Gestures of the tools: each gives {move, up}; `up` sends the edit.

const GRIP = 7; // half of what counts as hitting a handle, in CSS pixels

const GESTURES = {
  box(w, p, event) {
    const reach = GRIP / w.stage.scale, own = w.figure("box");
    if (event.altKey) return drawing(w, p, w.view.selected);
    const handle = own ? handles(own).findIndex(q => near(p, q, reach)) : -1;
    if (handle >= 0) return resizing(w, own, handle);
    if (own && near(p, knob(own, w.stage.scale, w.stage.size)[1], reach)) return turning(w, own, p);
    if (own && !w.redraw && inside(own, p, reach)) return moving(w, own, p); // what is selected moves, nothing else does
    return drawing(w, p, bare(w) ? w.view.selected : null);
  },
  click(w, p, event) {
    w.send({ do: "click", ...spot(p), positive: !(event.altKey || event.button === 2) });
  },
  polygon(w, p) {
    const points = w.outline ?? [];
    if (points.length > 2 && near(p, points[0], GRIP / w.stage.scale)) return w.close();
    w.outline = [...points, p.map(round)];
    w.draw();
  },
  brush: (w, p, event) => painting(w, p, event.altKey || event.button === 2),
  eraser: (w, p) => painting(w, p, true),
  points(w, p, event) {
    const own = w.figure("point"), points = own?.points ?? [], i = points.findIndex(q => near(p, q, (GRIP + 2) / w.stage.scale));
    const put = list => w.send({ do: "points", points: list, shape: own?.shape ?? "points" });
    if (event.button === 2) return i < 0 ? undefined : put(points.filter((_, k) => k !== i));
    return i < 0 ? w.send({ do: "add_point", ...spot(p) }) : dragging(w, own, i, put);
  },
  skeleton(w, p, event) {
    const own = w.figure("skeleton"), points = own?.points ?? [], hidden = own?.occluded ?? [], names = w.view.skeleton?.names ?? [];
    const i = points.findIndex(q => near(p, q, (GRIP + 2) / w.stage.scale));
    const put = (list, occluded = hidden) => w.send({ do: "nodes", points: list, occluded });
    if (event.button === 2) return i < 0 ? undefined : put(points, points.map((_, k) => (k === i) !== Boolean(hidden[k])));
    if (i >= 0) return dragging(w, own, i, put);
    if (points.length < names.length || !names.length) w.send({ do: "add_node", ...spot(p) });
  },
};

const spot = p => ({ x: round(p[0]), y: round(p[1]) });

function inside(figure, p, reach = 0) {
  const [x, y] = turn(p, middle(figure.xyxy), -(figure.angle ?? 0)), b = figure.xyxy;
  return x > b[0] - reach && x < b[2] + reach && y > b[1] - reach && y < b[3] + reach;
}

// A click selects what is named there, or the smallest box around it.
function pick(w, p) {
  const area = f => (f.xyxy[2] - f.xyxy[0]) * (f.xyxy[3] - f.xyxy[1]);
  const under = w.view.figures.filter(f => f.kind === "box" && inside(f, p, GRIP / w.stage.scale)).sort((a, b) => area(a) - area(b));
  w.select(w.stage.named(p) ?? under[0]?.id ?? w.view.selected);
}

// Whether the selected object waits for a box on this frame: it is nowhere yet, or is clicked and gets a box around it. A
// second box is a second object, but in a queue, whose objects are given.
function bare(w) {
  const id = w.view.selected, own = w.view.figures.filter(f => f.id === id && ["box", "mask", "click"].includes(f.kind));
  if (w.view.fixed || w.view.tracking?.led) return true; // the corrector asks for this one
  return (w.view.objects.find(o => o.id === id)?.shown ?? true) && (!own.length || (!own.some(f => f.kind === "box") && own.some(f => f.kind === "click")));
}

function drawing(w, start, object) { // object: id, or null for a new one
  const fresh = object === null || w.empty(object), id = () => object ?? w.nextId; // another view may make an object meanwhile
  const box = p => [Math.min(p[0], start[0]), Math.min(p[1], start[1]), Math.max(p[0], start[0]), Math.max(p[1], start[1])].map(round);
  const large = b => (b[2] - b[0]) * w.stage.scale > 3 && (b[3] - b[1]) * w.stage.scale > 3;
  return {
    move: p => (w.draft = large(box(p)) ? { id: id(), kind: "box", xyxy: box(p) } : null),
    up(p) {
      if (!large(box(p))) return pick(w, p);
      w.send({ do: "box", xyxy: box(p) }, id(), w.view.frame, fresh);
    },
  };
}

function moving(w, figure, start) {
  const c = corners(figure), b = figure.xyxy;
  const along = (axis, by) => { // its extent stays in the frame
    const low = Math.min(...c.map(q => q[axis])), high = Math.max(...c.map(q => q[axis]));
    return clamp(by, Math.min(-low, 0), Math.max(w.stage.size[axis] - high, 0));
  };
  const moved = p => { const dx = along(0, p[0] - start[0]), dy = along(1, p[1] - start[1]); return [b[0] + dx, b[1] + dy, b[2] + dx, b[3] + dy].map(round); };
  return {
    move: p => (w.draft = { ...figure, xyxy: moved(p) }),
    up(p) {
      if (!near(p, start, 1.5 / w.stage.scale)) return w.send({ do: "box", xyxy: moved(p), angle: figure.angle ?? 0 });
      w.draft = null;
      pick(w, p);
    },
  };
}

function resizing(w, figure, handle) {
  const [i, j] = EDGES[handle], m = middle(figure.xyxy);
  const sized = p => {
    const [x, y] = turn(p, m, -(figure.angle ?? 0)), b = [...figure.xyxy];
    if (i !== 1) b[i] = x;
    if (j !== 1) b[j + 1] = y;
    const c = middle(b), to = turn(c, m, figure.angle ?? 0), dx = to[0] - c[0], dy = to[1] - c[1]; // the far edge stays
    return [Math.min(b[0], b[2]) + dx, Math.min(b[1], b[3]) + dy, Math.max(b[0], b[2]) + dx, Math.max(b[1], b[3]) + dy].map(round);
  };
  return { move: p => (w.draft = { ...figure, xyxy: sized(p) }), up: p => w.send({ do: "box", xyxy: sized(p), angle: figure.angle ?? 0 }) };
}

function turning(w, figure, start) {
  const m = middle(figure.xyxy), direction = p => Math.atan2(p[1] - m[1], p[0] - m[0]);
  const turned = (p, e) => {
    const angle = (figure.angle ?? 0) + direction(p) - direction(start), step = Math.PI / 12;
    return Math.round((e?.shiftKey ? Math.round(angle / step) * step : angle) * 1e4) / 1e4; // Shift: steps of 15°
  };
  return { move: (p, e) => (w.draft = { ...figure, angle: turned(p, e) }), up: (p, e) => w.send({ do: "box", xyxy: figure.xyxy, angle: turned(p, e) }) };
}

function painting(w, start, erase) {
  const points = [start.map(round)], radius = w.radius;
  const stroke = () => (w.draft = { id: w.view.selected, kind: "stroke", points, radius, erase });
  stroke();
  return {
    move(p) { if (!near(p, points[points.length - 1], 1 / w.stage.scale)) points.push(p.map(round)); stroke(); },
    up: () => w.send({ do: "paint", path: points, radius, erase }),
  };
}

function dragging(w, figure, i, put) {
  const moved = p => figure.points.map((q, k) => (k === i ? p.map(round) : q));
  return { move: p => (w.draft = { ...figure, points: moved(p) }), up: p => put(moved(p), figure.occluded) };
}
