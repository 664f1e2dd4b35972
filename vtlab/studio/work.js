// What belongs to no single figure: classes, attributes, several objects at once, the look of the picture, playing, and
// pictures of key figures. Joined to the annotator as a panel; all that is kept lies in Python (`work` in the view).

const clock = s => `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")}`;

// A polygon stays one: its corners are dragged, Alt takes one away, a click on an edge of it adds one there.
const drawOutline = GESTURES.polygon;
GESTURES.polygon = (w, p, event) => {
  const own = w.figure("mask"), points = own?.polygon, reach = (GRIP + 1) / w.stage.scale;
  if (!points || w.outline) return drawOutline(w, p, event);
  const put = list => w.send({ do: "polygon", points: list }), i = points.findIndex(q => near(p, q, reach));
  if (i >= 0 && (event.altKey || event.button === 2)) return points.length > 3 ? put(points.filter((_, k) => k !== i)) : undefined;
  const edge = i >= 0 ? -1 : points.findIndex((a, k) => onEdge(p, a, points[(k + 1) % points.length], reach));
  if (i < 0 && edge < 0) return drawOutline(w, p, event);
  const list = edge < 0 ? points : points.toSpliced(edge + 1, 0, p.map(round)), at = edge < 0 ? i : edge + 1;
  const moved = q => list.map((r, k) => (k === at ? q.map(round) : r));
  return { move: q => (w.draft = { id: own.id, kind: "outline", points: [...moved(q), moved(q)[0]] }), up: q => put(moved(q)) };
};
function onEdge(p, a, b, reach) {
  const dx = b[0] - a[0], dy = b[1] - a[1], t = clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return near(p, [a[0] + t * dx, a[1] + t * dy], reach);
}

const predictOutline = PREDICTIONS.polygon;
PREDICTIONS.polygon = (v, e, at) => {
  predictOutline(v, e, at);
  if (at.frame === v.frame) v.figures = v.figures.map(f => (f.id === at.object_id && f.kind === "mask" ? { ...f, polygon: e.points } : f));
};
for (const name of ["occluded", "outside", "describe", "propagate", "track_frame"]) OF_FRAME.add(name); // meant on the frame that is seen

PANELS.work = class {
  constructor(annotator) {
    this.annotator = annotator;
    this.chosen = new Set();
    this.playing = 0; this.cross = false; this.rows = {};
    this.buildLook(); this.buildSide();
    annotator.stage.after = g => this.paint(g);
    annotator.list.addEventListener("click", e => this.pick(e), true);
    annotator.root.addEventListener("focusout", e => { if (!annotator.root.contains(e.relatedTarget)) this.pause(); });
  }

  get corrector() { return this.annotator.view.tracking; }
  get keys() {
    return [["Shift+Space", "play, pause"], ["PgDn PgUp", "next, previous key figure of the object"], ["Shift+L", "lock the object, or unlock it"],
      ["Shift+1 … 9", "give it the class"], ["Shift+↑ ↓, Ctrl+A", "choose several objects in the list (Ctrl+click), all; then h, Shift+L and Delete are about them"], ["x", "crosshair with the size"],
      ["Ctrl+C, Ctrl+V, d", "copy, put on another frame, duplicate to the next"], ["Shift+P", "copy to each frame up to one"], ["Shift+K", "pictures of the key figures"], ["Shift+C", "colour by object or by class"], ["Shift+B", "brightness, contrast, masks (Tab goes on, arrows change, Esc leaves)"],
      ...(this.corrector ? [["i", "occluded from here on, or no longer"], ["v", "out of view from here on, or back"], ["Shift+F", "track all objects of this frame"], ["Shift+D", "track ahead as I draw"], ["Shift+G", "and lead on to the frame that is the least sure"], ["Shift+E", "an attribute"]] : [])];
  }
  send(edit) { this.annotator.send(edit); }

  // -- the look of the picture, and playing ---------------------------------------------------------------------

  buildLook() {
    const a = this.annotator, range = (name, low, high, step, value, set) => {
      const input = make("input", { type: "range", min: low, max: high, step, value, "aria-label": name, title: `${name} (double-click: as it was)` });
      input.oninput = () => { set(+input.value); a.draw(); };
      input.ondblclick = () => { input.value = value; input.oninput(); };
      return make("label", { class: "vt-look" }, make("span", {}, name), input);
    };
    const light = { brightness: 1, contrast: 1 }, filter = () => { a.stage.filter = `brightness(${light.brightness}) contrast(${light.contrast})`; };
    this.play = button("Play, pause (Shift+Space)", null, () => this.toggle(), "▶");
    this.time = make("output", { class: "vt-time" });
    this.crosshair = button("Crosshair with the size (x)", "M8 1v14M1 8h14", () => this.setCross(!this.cross));
    this.pictures = button("Pictures of the key figures (Shift+K)", "M1.5 3.5h13v9h-13zM1.5 10l4-3.5 3.5 3 2-1.5 3.5 3", () => this.showPictures());
    this.strip = make("div", { class: "vt-thumbs", role: "group", "aria-label": "Key figures of the object", hidden: true });
    const row = make("div", { class: "vt-work" }, this.play, this.time, make("span", { class: "vt-group" }, this.crosshair, this.pictures), make("span", { class: "vt-gap" }),
      range("Brightness", 0.3, 3, 0.05, 1, v => { light.brightness = v; filter(); }), range("Contrast", 0.3, 3, 0.05, 1, v => { light.contrast = v; filter(); }),
      range("Masks", 0, 1, 0.05, 1, v => { a.stage.opacity = v; }));
    a.root.querySelector(".vt-scrub").after(row, this.strip);
  }
  showPictures() { this.send({ do: "thumbnails", shown: this.strip.hidden }); }
  toggle() { this.playing ? this.pause() : this.start(); }
  start() {
    const a = this.annotator, begun = performance.now(), from = a.frame >= a.view.n_frames - 1 ? 0 : a.frame, fps = a.view.work.fps;
    const step = () => {
      const frame = from + Math.floor(((performance.now() - begun) / 1000) * fps);
      if (frame >= a.view.n_frames - 1) { this.pause(); return a.go(a.view.n_frames - 1); }
      if (frame !== a.frame) a.go(frame); // those that come too late are passed over
      this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
    this.play.textContent = "❚❚"; this.play.setAttribute("aria-pressed", "true");
  }
  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = 0; this.play.textContent = "▶"; this.play.setAttribute("aria-pressed", "false");
  }
  setCross(on) { this.cross = on; this.crosshair.setAttribute("aria-pressed", on); this.annotator.draw(); }

  // On top of the stage: corners of the polygon that can be dragged, the crosshair and what it reads.
  paint(g) {
    const a = this.annotator, s = a.stage.scale, own = a.tool === "polygon" && !a.outline && !a.draft ? a.figure("mask")?.polygon : null;
    const colour = a.view.objects.find(o => o.id === a.view.selected)?.colour ?? "#fff", at = p => [p[0] * s, p[1] * s];
    if (own) { path(g, own.map(at), true, colour, 2); for (const p of own) square(g, at(p), colour); }
    if (!this.cross || !a.hover) return;
    const [x, y] = at(a.hover), [w, h] = a.stage.size.map(v => v * s), b = a.draft?.xyxy;
    for (const [colour, width] of [["rgba(0,0,0,.6)", 3], ["#fff", 1]]) {
      g.beginPath(); g.moveTo(0, y); g.lineTo(w, y); g.moveTo(x, 0); g.lineTo(x, h); g.strokeStyle = colour; g.lineWidth = width; g.setLineDash([]); g.stroke();
    }
    const text = b ? `${Math.round(b[2] - b[0])} × ${Math.round(b[3] - b[1])} px` : `${Math.floor(a.hover[0])}, ${Math.floor(a.hover[1])}`;
    words(g, text, x + 10 > w - 90 ? x - 90 : x + 10, y + 16 > h - 10 ? y - 14 : y + 16, "#fff");
  }

  // -- several objects, classes, attributes ---------------------------------------------------------------------

  buildSide() {
    const a = this.annotator, side = a.list.parentElement, ids = () => [...this.chosen];
    const many = (what, values = {}) => () => this.send({ do: "many", what, object_ids: ids(), ...values });
    this.count = make("span", { class: "vt-count" });
    this.group = make("div", { class: "vt-many", hidden: true, role: "group", "aria-label": "Chosen objects" }, this.count,
      button("Show the chosen objects (h)", ICONS.eye, many("show", { shown: true })), button("Hide the chosen objects (h)", ICONS.hidden, many("show", { shown: false })),
      button("Lock the chosen objects (Shift+L)", "M4 7h8v6.5H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2", many("lock", { locked: true })), button("Unlock the chosen objects (Shift+L)", "M4 7h8v6.5H4zM5.5 7V4.5a2.5 2.5 0 0 1 4.8-1", many("lock", { locked: false })),
      button("Delete the chosen objects everywhere (Delete)", ICONS.trash, many("delete", { everywhere: true })), button("Choose none (Esc)", null, () => this.choose([]), "none"));
    this.classes = make("div", { class: "vt-classes", role: "group", "aria-label": "Classes" });
    this.by = button("Colour by object or by class (Shift+C)", null, () => this.colourBy(), "colour: object");
    this.lock = button("Lock the object, or unlock it (Shift+L)", "M4 7h8v6.5H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2", () => this.lockOne());
    this.upto = button("Copy its figures to each frame up to the one given (Shift+P)", ICONS.copy, () => this.propagate(), "up to");
    this.far = make("input", { type: "number", min: 0, class: "vt-far", "aria-label": "Frame up to which figures are copied" });
    this.far.onkeydown = e => { if (e.key === "Enter") { this.propagate(); e.stopPropagation(); } };
    this.words = [button("Partly hidden from this frame on, or no longer (i)", null, () => this.say("occluded"), "Occluded"), button("Out of view from this frame on, or back (v)", null, () => this.say("outside"), "Out of view")];
    this.facts = make("div", { class: "vt-facts" });
    this.add = this.fact("", "", false);
    this.onwords = make("div", { class: "vt-attributes", hidden: true }, make("div", { class: "vt-head" }, make("span", {}, "Attributes"), make("span", { class: "vt-group" }, ...this.words)), this.facts);
    const tools = make("div", { class: "vt-one" }, this.lock, this.upto, this.far, make("span", { class: "vt-gap" }), this.by);
    side.append(this.group, this.classes, tools, this.onwords);
    a.root.classList.add("vt-works");
  }

  buildAhead() {
    const a = this.annotator;
    this.ahead = make("input", { type: "checkbox", onchange: () => this.follow() });
    this.guide = make("input", { type: "checkbox", onchange: () => this.lead() });
    this.whole = button("Take all that is on this frame as right and track it forward (Shift+F)", null, () => this.send({ do: "track_frame" }), "This frame's objects");
    a.tracking.firstElementChild.querySelector(".vt-check").after(this.whole, make("label", { class: "vt-check", title: "Track an object as soon as it is drawn or changed: ahead, and back to its figure before (Shift+D)" }, this.ahead, "as I draw"),
      make("label", { class: "vt-check", title: "Track as I draw, and then show the frame that is the least sure of the object: draw it, or say that it looks right with y (Shift+G)" }, this.guide, "and lead on"));
  }

  follow() { this.send({ do: "follow", on: this.ahead.checked }); }

  lead() { this.send({ do: "lead", on: this.guide.checked }); }

  fact(name, value, ofObject) { // a row: name, value, whether it is of the object or of the figure from here on
    const key = make("input", { type: "text", value: name, placeholder: "name", "aria-label": "Name of the attribute" });
    const field = make("input", { type: "text", value, placeholder: "value", "aria-label": `Value of ${name || "the new attribute"}` });
    const kind = make("select", { "aria-label": "Of what" }, make("option", { value: "", selected: !ofObject }, "from here"), make("option", { value: "1", selected: ofObject }, "object"));
    const row = make("div", { class: "vt-fact" }, key, field, kind);
    field.onblur = key.onblur = () => {
      if (!key.value.trim() || (key.value === name && field.value === String(value)) || (!name && !field.value.trim())) return;
      this.send({ do: "describe", object_id: this.annotator.view.selected, name: key.value.trim(), value: field.value, of_object: Boolean(kind.value) });
      if (!name) { key.value = field.value = ""; }
    };
    for (const input of [key, field]) input.onkeydown = e => { e.stopPropagation(); if (e.key === "Enter") this.annotator.root.focus({ preventScroll: true }); };
    key.disabled = kind.disabled = Boolean(name);
    return row;
  }

  update(work) {
    const a = this.annotator, v = a.view;
    if (this.corrector && !this.ahead) this.buildAhead();
    if (this.ahead) { this.ahead.checked = v.tracking.follow; this.guide.checked = v.tracking.lead; a.allow(!v.tracking.running, this.whole); }
    this.time.textContent = `${clock(work.seconds)} / ${clock(work.total)}`;
    this.thumbs(work.thumbnails);
    const known = new Set(v.objects.map(o => o.id));
    this.chosen = new Set([...this.chosen].filter(id => known.has(id)));
    queueMicrotask(() => this.marks());
    const now = v.objects.find(o => o.id === v.selected), classes = JSON.stringify([work.classes, now?.label]);
    if (classes !== this.shownClasses) {
      this.shownClasses = classes;
      this.classes.replaceChildren(...work.classes.map(([name, colour], i) => {
        const chip = button(i < 9 ? `${name} (Shift+${i + 1})` : `${name} (l, then its name)`, null, () => this.give(name), name);
        chip.style.setProperty("--vt-colour", colour);
        chip.setAttribute("aria-pressed", now?.label === name);
        return chip;
      }));
    }
    this.classes.hidden = !work.classes.length;
    this.by.textContent = `colour: ${work.by}`;
    this.by.hidden = !work.classes.length;
    this.lock.setAttribute("aria-pressed", Boolean(now?.locked));
    this.far.max = v.n_frames - 1;
    this.onwords.hidden = !this.corrector;
    this.words[0].setAttribute("aria-pressed", Boolean(now?.occluded));
    this.words[1].setAttribute("aria-pressed", now?.note === "outside");
    if (this.corrector) this.factsOf(v.selected, work);
  }

  factsOf(id, work) {
    const facts = JSON.stringify([id, work.figure, work.object]);
    if (facts === this.shownFacts) return;
    this.shownFacts = facts;
    const told = v => (typeof v === "string" ? v : JSON.stringify(v));
    const rows = [[work.object, true], [work.figure, false]].flatMap(([from, ofObject]) => Object.entries(from ?? {}).map(([name, value]) => this.fact(name, told(value), ofObject)));
    for (const row of [...this.facts.children]) if (row !== this.add) row.remove();
    this.facts.prepend(...rows);
    if (!this.add.isConnected) this.facts.append(this.add);
  }

  thumbs(found) {
    this.strip.hidden = !found;
    this.pictures.setAttribute("aria-pressed", Boolean(found));
    const shown = JSON.stringify([found, this.annotator.view.frame]);
    if (!found || shown === this.shownThumbs) return;
    this.shownThumbs = shown;
    this.strip.replaceChildren(...found.map(t => make("button", { type: "button", title: `Frame ${t.frame}`, "aria-label": `Go to frame ${t.frame} (PgDn, PgUp)`, "aria-pressed": String(t.frame === this.annotator.view.frame), onclick: () => this.annotator.go(t.frame) },
      ...(t.src ? [make("img", { src: t.src, alt: "" })] : [make("span", { class: "vt-nothing" }, "absent")]), make("span", {}, String(t.frame)))));
    if (!found.length) this.strip.replaceChildren(make("span", { class: "vt-count" }, "No key figure yet."));
  }

  // -- hands -----------------------------------------------------------------------------------------------------

  pick(e) {
    const row = e.target.closest(".vt-row");
    if (!row || e.target.closest("button")) return;
    const id = +row.dataset.id;
    if (e.ctrlKey || e.metaKey) {
      if (!this.chosen.size) this.chosen.add(this.annotator.view.selected);
      this.chosen.has(id) ? this.chosen.delete(id) : this.chosen.add(id);
    } else if (e.shiftKey) {
      const ids = this.annotator.view.objects.map(o => o.id), [i, j] = [ids.indexOf(this.annotator.view.selected), ids.indexOf(id)].sort((x, y) => x - y);
      for (const one of ids.slice(Math.max(i, 0), j + 1)) this.chosen.add(one);
    } else { this.choose([]); return; }
    e.stopPropagation(); e.preventDefault();
    this.annotator.root.focus({ preventScroll: true });
    this.marks();
  }
  choose(ids) { this.chosen = new Set(ids); this.marks(); }
  marks() {
    for (const row of this.annotator.list.children) {
      const o = this.annotator.view.objects.find(o => o.id === +row.dataset.id);
      row.classList.toggle("vt-chosen", this.chosen.has(+row.dataset.id));
      row.classList.toggle("vt-locked", Boolean(o?.locked));
    }
    this.group.hidden = this.chosen.size < 2;
    this.count.textContent = `${this.chosen.size} objects`;
  }
  give(name) {
    if (this.chosen.size > 1) this.send({ do: "many", what: "label", object_ids: [...this.chosen], text: name });
    else this.send({ do: "label", object_id: this.annotator.view.selected, text: name });
  }
  say(what) { this.send({ do: what, object_id: this.annotator.view.selected }); }
  colourBy() { this.send({ do: "colour_by", what: this.annotator.view.work.by === "class" ? "object" : "class" }); }
  more(by) { // the object before or after is chosen, too
    const a = this.annotator, v = a.view, ids = v.objects.map(o => o.id), next = ids[ids.indexOf(v.selected) + by];
    this.chosen.add(v.selected);
    if (next !== undefined) { this.chosen.add(next); a.step(by); }
    this.marks();
  }
  lockOne() {
    const objects = this.annotator.view.objects, several = objects.filter(o => this.chosen.has(o.id));
    if (several.length > 1) return this.send({ do: "many", what: "lock", object_ids: several.map(o => o.id), locked: !several.every(o => o.locked) });
    const o = objects.find(o => o.id === this.annotator.view.selected);
    this.send({ do: "lock", object_id: o.id, locked: !o.locked });
  }
  propagate() {
    if (this.far.value === "") { this.far.focus(); return; }
    this.send({ do: "propagate", object_id: this.annotator.view.selected, frame: +this.far.value });
  }

  key(e) {
    const a = this.annotator, v = a.view, root = e.composedPath()[0] === a.root, id = v.selected;
    if (v.queue) return false;
    if (e.ctrlKey || e.metaKey) {
      const key = e.key.toLowerCase();
      if (key === "a") return this.choose(v.objects.map(o => o.id)), true;
      if (!this.corrector || !root) return false; // the annotator has its own
      if (key === "c") return (a.copied = { object_id: id, source: v.frame }), true;
      return key === "v" && a.copied ? (this.send({ do: "duplicate", ...a.copied, frame: v.frame }), true) : false;
    }
    if (e.altKey) return false;
    const digit = e.shiftKey && /^Digit([1-9])$/.exec(e.code)?.[1], several = this.chosen.size > 1;
    if (digit) return v.work.classes[digit - 1] ? (this.give(v.work.classes[digit - 1][0]), true) : false;
    if (e.key === "Escape" && several) return this.choose([]), true;
    if (several && (e.key === "Delete" || e.key === "Backspace")) return this.send({ do: "many", what: "delete", object_ids: [...this.chosen], everywhere: true }), true;
    if (several && e.key === "h") {
      const shown = v.objects.some(o => this.chosen.has(o.id) && o.shown);
      return this.send({ do: "many", what: "show", object_ids: [...this.chosen], shown: !shown }), true;
    }
    const by = e.shiftKey && { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by) return this.more(by), true;
    const act = { K: () => this.showPictures(), C: () => v.work.classes.length && this.colourBy(), B: () => a.root.querySelector(".vt-look input").focus(),
      PageDown: () => this.send({ do: "key_figure", step: 1 }), PageUp: () => this.send({ do: "key_figure", step: -1 }), x: () => this.setCross(!this.cross),
      ...(root && e.shiftKey ? { " ": () => this.toggle() } : {}), L: () => this.lockOne(), P: () => this.propagate(),
      ...(this.corrector ? { i: () => this.say("occluded"), v: () => this.say("outside"), F: () => this.send({ do: "track_frame" }), D: () => { this.ahead.checked = !this.ahead.checked; this.follow(); }, G: () => { this.guide.checked = !this.guide.checked; this.lead(); }, E: () => this.add.querySelector("input").focus(), d: () => a.duplicate(id) } : {}) }[e.key];
    return act ? (act(), true) : false;
  }
};
