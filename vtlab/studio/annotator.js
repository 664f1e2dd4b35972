// Annotator and corrector: one stage, tools that turn gestures into edits, a list of objects, a scrubber. What there is
// lives in Python: an edit is sent as {do: name, ...}, and `view` says what to draw. Needs parts, stage and gestures.

const TOOLS = {
  box: { key: "b", name: "Box", icon: "M2.5 4.5h11v7h-11z", hint: "Drag a box: a new object. The selected one moves by its inside, its handles, its knob; Shift draws inside it, Alt draws it anew.", one: "Drag a box around the object, once more to draw it anew. It moves by its inside, its handles, its knob." },
  click: { key: "c", name: "Click", icon: "M8 1v5M8 10v5M1 8h5M10 8h5", hint: "Click on the object; right-click (or Alt) beside it. The mask follows." },
  polygon: { key: "g", name: "Polygon", icon: "M8 1.5 14.5 6 12 14H4L1.5 6z", hint: "Click the outline; Enter, double-click or the first point closes it. Esc gives up." },
  brush: { key: "p", name: "Brush", icon: "M13.5 2.5 6 10M6 10c-2 0-3 1-3.5 3.5C5 13 6 12 6 10z", hint: "Paint the mask. [ and ] change the size; Alt erases." },
  eraser: { key: "e", name: "Eraser", icon: "M6 13 2 9l6.5-6.5 5 5L8 13zM6 13h8", hint: "Erase from the mask. [ and ] change the size." },
  points: { key: "o", name: "Points", icon: "M4 5.5h.1M12 4h.1M8 12h.1", hint: "Click points to follow; drag one to move, right-click one to remove." },
  skeleton: { key: "k", name: "Skeleton", icon: "M8 2v6M8 8l-4 6M8 8l4 6M4 5h8", hint: "Click the nodes in order; drag one to move, right-click one to mark it occluded." },
};

const KEYS = [
  ["b c g p e o k", "tools: box, click, polygon, brush, eraser, points, skeleton"],
  ["n", "new object"], ["1 … 9, ↑ ↓", "select an object: by its place, the one before or after"], ["l", "name the object"], ["h", "hide or show the object"],
  ["Delete", "delete its figures on this frame (Shift: everywhere)"],
  ["Alt+arrows", "nudge by 1 px (with Shift 10)"], [", .", "turn the box by 1° (with Shift 10°)"], ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["← →", "one frame (Shift: 10)"], ["Home End", "first, last frame"], ["j", "go to a frame by its number"],
  ["wheel, + − 0", "zoom, fit (the wheel once the widget has the focus)"], ["Space+drag", "pan (or the middle button)"],
  ["[ ]", "brush size"], ["Enter Esc", "close, give up a polygon"], ["?", "this list"],
];
const COPY_KEYS = [["d", "duplicate to the next frame"], ["Ctrl+C, Ctrl+V", "copy the object's figures, put them on another frame"]]; // annotator
const TRACK_KEYS = [["f r t", "track forward, backward, both ways"], ["u", "all objects, or the selected one alone"], ["Shift+O", "swap and merge with the next other object"], ["s", "stop tracking"], ["a", "absent on this frame"],
  ["m", "fill between key figures"], ["Shift+A", "no longer exists from here on"], ["Shift+S, Shift+W, Shift+M", "split here; swap with the other object from here on; merge them"],
  ["Alt+S", "save"], ["w q", "next, previous doubtful place"], ["y", "it looks right"], ["PgDn PgUp", "next, previous key figure of the object"]];

const DRAWS = new Set(["box", "click", "polygon", "paint", "points", "add_point", "nodes", "add_node"]);
const OF_OBJECT = new Set(["swap", "split", "merge", "track", "looks_right"]);
const OF_FRAME = new Set(["delete", "duplicate", "absent", "gone"]); // those say themselves of whom

// Panels of other files, which are appended to this one: name in the view -> a class with `update(view)` and `key(event)`.
const PANELS = {};

class Annotator {
  constructor(model, el) {
    this.model = model;
    this.tool = "box"; this.draft = this.outline = this.gesture = this.hover = null; this.redraw = this.space = false;
    this.panels = {}; this.turn = 0; this.cache = {}; this.wanted = null; this.flying = false;
    this.stage = new Stage(() => this.draw());
    this.build(el);
    this.link = new Link(model, this.root, model.get("room"));
    this.root.querySelector(".vt-stage").append(this.link.notice);
    this.listen();
    this.refresh();
  }

  get view() { return this.stage.view; }
  get radius() { return this.brush ?? Math.max(Math.round(Math.min(...this.stage.size) / 40), 2); }
  figure(kind) { return this.view.figures.find(f => f.kind === kind && f.id === this.view.selected); }
  select(id) { this.send({ do: "select", object_id: id }); }

  // An edit is about what is seen while it is made: it says on which frame, and of which object. It is drawn at once.
  send(edit, id = this.view.selected, frame = this.view.frame, fresh = this.empty(id)) {
    const draws = DRAWS.has(edit.do), at = draws || OF_OBJECT.has(edit.do) ? { frame, object_id: id } : OF_FRAME.has(edit.do) ? { frame } : null;
    this.link.send({ ...edit, ...(at && { at }), ...(draws && fresh && { fresh: true }) });
    if (!this.gesture) this.draft = null;
    this.predict();
  }

  empty(id) { // an object that there is nothing of yet: drawing makes it, and another view may have made one of that id
    const o = this.view.objects.find(o => o.id === id);
    return !this.view.fixed && (!o || !(o.label || o.frames.length || o.runs?.length));
  }

  predict() {
    this.stage.view = predicted(this.base, this.link.pending.map(p => p.edit));
    this.update();
  }

  go(frame) { // the newest wish waits for the answer to the one before: scrubbing never queues up frames
    this.wanted = clamp(Math.round(frame) || 0, 0, this.view.n_frames - 1);
    this.place(this.wanted);
    if (this.flying) return;
    this.flying = this.wanted !== this.view.frame;
    if (this.flying) this.send({ do: "go", frame: this.wanted });
  }
  get frame() { return this.wanted ?? this.view.frame; }

  async decode(key) {
    const data = this.model.get(key), known = this.cache[key];
    if (known && known.data === data) return known.bitmap;
    const bitmap = data?.byteLength ? await createImageBitmap(new Blob([data])) : null;
    this.cache[key] = { data, bitmap };
    return bitmap;
  }

  async refresh() { // figures appear with their frame, never before it
    const view = this.model.get("view");
    if (this.gesture && (view.tracking?.running || view.tracking?.lead) && view.frame !== this.view.frame) return; // the picture stays under the hand
    const turn = ++this.turn;
    const [image, mask] = await Promise.all([this.decode("image"), this.decode("mask")]);
    if (turn !== this.turn) return;
    const old = [this.stage.image, this.stage.mask];
    this.base = view;
    this.link.heard(view.answered);
    Object.assign(this.stage, { view, image, mask });
    for (const bitmap of old) if (bitmap && bitmap !== image && bitmap !== mask) bitmap.close();
    if (!this.gesture) this.draft = null;
    if (this.flying && this.wanted !== view.frame) { if (!this.link.pending.some(p => p.edit.do === "go")) this.send({ do: "go", frame: this.wanted }); }
    else { this.flying = false; this.wanted = null; }
    this.predict();
  }

  // -- looks ---------------------------------------------------------------------------------------------------

  build(el) {
    const canvas = this.stage.canvas;
    this.buttons = {};
    for (const [name, t] of Object.entries(TOOLS)) {
      this.buttons[name] = button(`${t.name} (${t.key})`, t.icon, () => this.choose(name));
      this.buttons[name].dataset.tool = name;
    }
    this.undo = button("Undo (Ctrl+Z)", ICONS.undo, () => this.send({ do: "undo" }));
    this.redo = button("Redo (Ctrl+Shift+Z)", ICONS.redo, () => this.send({ do: "redo" }));
    this.percent = make("output", { class: "vt-percent" });
    const zoom = [button("Zoom out (−)", ICONS.minus, () => this.stage.zoomBy(1 / 1.5)), this.percent, button("Zoom in (+)", ICONS.plus, () => this.stage.zoomBy(1.5)), button("Fit (0)", ICONS.fit, () => this.stage.zoomBy(0))];
    this.help = make("div", { class: "vt-help", hidden: true, role: "dialog", "aria-label": "Keyboard shortcuts" });
    const help = button("Shortcuts (?)", null, () => this.toggleHelp(), "?");
    const bar = make("div", { class: "vt-bar", role: "toolbar" }, make("span", { class: "vt-group" }, ...Object.values(this.buttons)), make("span", { class: "vt-group" }, this.undo, this.redo), make("span", { class: "vt-group" }, ...zoom), make("span", { class: "vt-gap" }), help);
    this.list = make("div", { class: "vt-list", role: "listbox", "aria-label": "Objects" });
    const side = make("div", { class: "vt-side" }, make("div", { class: "vt-head" }, make("span", {}, "Objects"), button("New object (n)", ICONS.plus, () => this.newObject(), "New")), this.list);
    this.status = make("div", { class: "vt-status", role: "status", "aria-live": "polite" });
    this.root = make("div", { class: "vt-annotator", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "Annotator" }, bar,
      make("div", { class: "vt-main" }, make("div", { class: "vt-stage" }, canvas, this.help), side), this.scrubber(), this.status);
    el.append(this.root);
  }

  scrubber() {
    this.slider = make("input", { type: "range", min: 0, "aria-label": "Frame", oninput: () => this.go(+this.slider.value) });
    this.number = make("input", { type: "number", min: 0, class: "vt-number", "aria-label": "Frame number", title: "Frame number (j)", onchange: () => this.go(+this.number.value) });
    this.number.onkeydown = e => { if (e.key === "Enter") { this.go(+this.number.value); this.root.focus({ preventScroll: true }); e.stopPropagation(); } }; // JupyterLab swallows the change
    this.total = make("span", { class: "vt-total" });
    this.lanes = make("canvas", { class: "vt-lanes", "aria-hidden": "true", onpointerdown: e => { const r = this.lanes.getBoundingClientRect(); this.go(Math.floor(((e.clientX - r.left) / r.width) * this.view.n_frames)); } });
    this.strip = make("div", { class: "vt-strip" }, button("Previous frame (←)", ICONS.back, () => this.go(this.frame - 1)), make("div", { class: "vt-track" }, this.slider, this.lanes), button("Next frame (→)", ICONS.forth, () => this.go(this.frame + 1)), this.number, this.total);
    this.tracking = make("div", { hidden: true });
    return make("div", { class: "vt-scrub" }, this.strip, this.tracking);
  }

  buildTracking() {
    const run = direction => this.send({ do: "track", direction, everything: this.all.checked });
    this.run = run;
    this.all = make("input", { type: "checkbox" });
    this.runners = [button("Track backward (r)", ICONS.back, () => run("backward"), "Backward"), button("Track both ways, between two figures from either of them (t)", null, () => run("both"), "Both ways"), button("Track forward (f)", ICONS.forth, () => run("forward"), "Forward")];
    this.runners.push(button("Fill the frames between key figures by interpolation (m)", null, () => this.fill(), "Interpolate"));
    this.stop = button("Stop tracking (s)", null, () => this.send({ do: "stop" }), "Stop");
    this.progress = make("progress", { max: 1, value: 0, "aria-label": "Progress of tracking" });
    this.done = make("output", { class: "vt-done" });
    this.words = [button("Not visible on this frame (a)", null, () => this.say("absent"), "Absent here"), button("No longer exists from this frame on (Shift+A)", null, () => this.say("gone"), "Gone from here"),
      button("From this frame on it is another object (Shift+S)", null, () => this.send({ do: "split" }), "Split here")];
    this.other = make("select", { "aria-label": "The other object (Shift+O: the next)" });
    const pair = this.pair = what => !this.other.disabled && this.send({ do: what, other: +this.other.value });
    const places = [["Previous doubtful place (q)", ICONS.back, { do: "doubt", step: -1 }, ""], ["Next doubtful place (w)", ICONS.forth, { do: "doubt", step: 1 }, "Doubt"], ["It looks right (y)", null, { do: "looks_right" }, "Looks right"]];
    this.review = places.map(([name, path, edit, text]) => button(name, path, () => this.send(edit), text));
    this.pairs = [this.other, button("From this frame on each is the other (Shift+W)", null, () => pair("swap"), "Swap from here"), button("They are one object: the other one takes the id of this one (Shift+M)", null, () => pair("merge"), "Merge")];
    this.who = make("output", { class: "vt-who" });
    this.keep = button("Save the session (Alt+S)", ICONS.save, () => this.send({ do: "save" }));
    this.tracking.append(
      make("div", { class: "vt-tracking" }, make("span", {}, "Track"), make("span", { class: "vt-group" }, ...this.runners, this.stop), make("label", { class: "vt-check", title: "Track every object, not only the selected one (u)" }, this.all, "all objects"), this.progress, this.done),
      make("div", { class: "vt-tracking" }, this.who, make("span", { class: "vt-group" }, ...this.words), make("span", { class: "vt-group" }, make("span", {}, "with"), ...this.pairs), make("span", { class: "vt-group" }, ...this.review), make("span", { class: "vt-gap" }), this.keep));
    this.tracking.hidden = false;
    this.root.classList.add("vt-corrector");
  }
  fill() { this.send({ do: "interpolate", everything: this.all.checked }); }
  say(what, frame = this.view.frame) { this.send({ do: what, object_id: this.view.selected }, null, frame); }

  update() {
    const v = this.view, t = v.tracking;
    if (t && this.tracking.hidden) this.buildTracking();
    this.stage.canvas.style.aspectRatio = `${v.width} / ${v.height}`;
    for (const name in this.buttons) this.buttons[name].hidden = !v.tools.includes(name);
    if (!v.tools.includes(this.tool)) this.tool = v.tools[0];
    for (const name in PANELS) if (v[name]) (this.panels[name] ??= new PANELS[name](this)).update(v[name]);
    this.allow(v.undo, this.undo); this.allow(v.redo, this.redo);
    this.slider.max = this.number.max = v.n_frames - 1;
    this.total.textContent = `/ ${v.n_frames - 1}`;
    this.place(this.frame);
    this.rows();
    if (t) {
      const others = v.objects.map(o => o.id).filter(id => id !== v.selected), chosen = +this.other.value;
      this.other.replaceChildren(...others.map(id => make("option", { value: id, selected: id === chosen }, String(id))));
      this.who.textContent = `Object ${v.selected}`;
      this.allow(!t.running, ...this.runners, ...this.words, this.keep);
      this.allow(!t.running && others.length > 0, ...this.pairs);
      this.allow(t.running, this.stop);
      this.progress.value = t.total ? t.done / t.total : 0;
      this.done.textContent = t.running ? `${t.done} / ${t.total || "…"}${t.both ? " steps, there and back" : ""}${t.left ? ` · ${Math.ceil(t.left)} s left` : ""}` : "";
    }
    this.draw();
    this.root.dataset.frame = v.frame; // tells tests, and style sheets, what is shown
    this.root.dataset.ready = "true";
  }

  allow(allowed, ...controls) { // a control that is disabled would lose the focus, and then keys go to the notebook
    const active = this.root.getRootNode().activeElement;
    for (const control of controls) {
      if (!allowed && control === active) this.root.focus({ preventScroll: true });
      control.disabled = !allowed;
    }
  }

  place(frame) {
    this.slider.value = frame;
    if (this.number !== this.root.getRootNode().activeElement) this.number.value = frame;
  }

  draw() {
    if (!this.view) return;
    const paints = this.tool === "brush" || this.tool === "eraser", outline = this.outline && { id: this.view.selected, kind: "outline", points: this.hover ? [...this.outline, this.hover] : this.outline };
    this.stage.draw(this.draft ?? outline, paints && this.hover && !this.space ? { at: this.hover, radius: this.radius } : null);
    for (const name in this.buttons) this.buttons[name].setAttribute("aria-pressed", name === this.tool);
    this.percent.textContent = `${Math.round(this.stage.zoom * 100)}%`;
    this.status.textContent = this.view.message || ((this.view.fixed && TOOLS[this.tool]?.one) || (TOOLS[this.tool]?.hint ?? ""));
    this.status.classList.toggle("vt-said", Boolean(this.view.message));
    this.stage.canvas.style.cursor = this.space ? "grab" : paints ? "none" : "crosshair";
    const seen = this.view.figures.map(f => f.id), told = this.view.objects.filter(o => seen.includes(o.id)).map(o => `${o.id} ${o.label}`.trim() + (o.id === this.view.selected ? " (selected)" : ""));
    this.stage.canvas.setAttribute("aria-label", `Frame ${this.view.frame} of ${this.view.n_frames - 1}; objects: ${told.join(", ") || "none"}`);
    this.drawLanes();
  }

  drawLanes() {
    const c = this.lanes, ratio = window.devicePixelRatio || 1, n = this.view.n_frames, objects = this.view.objects;
    c.width = c.clientWidth * ratio; c.height = c.clientHeight * ratio;
    const g = c.getContext("2d"), lane = Math.min(c.height / Math.max(objects.length, 1), 15 * ratio), x = f => (f / n) * c.width;
    objects.forEach((o, row) => {
      const bar = (a, b, alpha) => { g.globalAlpha = alpha; g.fillRect(x(a), row * lane, Math.max(x(b) - x(a), 2 * ratio), Math.max(lane - ratio, 1)); };
      g.fillStyle = o.colour;
      for (const [a, b, kind] of o.runs ?? []) {
        bar(a, b, kind === "absent" ? 0.12 : kind === "stale" ? 0.2 : 0.45);
        if (kind !== "stale") continue;
        g.save(); g.globalAlpha = 0.9; g.beginPath(); g.rect(x(a), row * lane, x(b) - x(a), Math.max(lane - ratio, 1)); g.clip(); g.beginPath();
        for (let at = x(a) - lane; at < x(b); at += 5 * ratio) { g.moveTo(at, (row + 1) * lane); g.lineTo(at + lane, row * lane); }
        g.strokeStyle = o.colour; g.lineWidth = ratio; g.stroke(); g.restore();
      }
      for (const f of o.frames) bar(f, f + 1, 1);
      g.globalAlpha = 1;
      for (const [f, severity] of o.doubts ?? []) { // doubtful places, the higher the worse; a rim parts them from a lane of any colour
        const h = Math.max(lane * (0.5 + 0.5 * severity) - ratio, 2 * ratio), left = x(f + 0.5) - 1.5 * ratio, top = (row + 1) * lane - ratio - h;
        g.fillStyle = "#fff"; g.fillRect(left - ratio, top - ratio, 5 * ratio, h + ratio);
        g.fillStyle = "#d01c1c"; g.fillRect(left, top, 3 * ratio, h);
      }
    });
    g.globalAlpha = 1;
    g.fillStyle = getComputedStyle(this.root).color;
    g.fillRect(Math.round(x(this.view.frame + 0.5)), 0, ratio, c.height);
  }

  rows() { // rows are kept, so that a label being typed is not lost
    const known = new Map([...this.list.children].map(row => [+row.dataset.id, row]));
    const ids = new Set(this.view.objects.map(o => o.id));
    for (const [id, row] of known) if (!ids.has(id)) row.remove();
    for (const [i, o] of this.view.objects.entries()) {
      const row = known.get(o.id) ?? this.row(o.id);
      if (row !== this.list.children[i]) this.list.insertBefore(row, this.list.children[i] ?? null); // a row that moves loses the focus
      row.setAttribute("aria-selected", o.id === this.view.selected);
      row.style.setProperty("--vt-colour", o.colour);
      row.style.setProperty("--vt-dash", dashes(o.id).length ? dashColour(o.id) : o.colour);
      const [, , label, note, eye] = row.children;
      if (label !== this.root.getRootNode().activeElement) label.value = o.label;
      note.textContent = o.note ?? (o.frames.length ? `${o.frames.length} fr.` : "");
      note.title = o.note ?? `Figures on frames ${o.frames.join(", ") || "none"}`;
      eye.replaceChildren(icon(o.shown ? ICONS.eye : ICONS.hidden));
      eye.setAttribute("aria-pressed", o.shown);
      row.classList.toggle("vt-hidden", !o.shown);
    }
    this.labels();
  }

  row(id) {
    const label = make("input", { type: "text", placeholder: "label", "aria-label": `Label of object ${id}`, list: this.labels() });
    label.onblur = () => { // not `change`: it keeps still after a field's own undo
      const o = this.view.objects.find(o => o.id === id);
      if (o && o.label !== label.value.trim()) this.send({ do: "label", object_id: id, text: label.value });
    };
    const shown = () => this.view.objects.find(o => o.id === id).shown;
    const copy = button("Duplicate to the next frame (d)", ICONS.copy, () => this.duplicate(id));
    label.onkeydown = e => { e.stopPropagation(); if (e.key === "Enter" || e.key === "Escape") this.root.focus({ preventScroll: true }); };
    return make("div", { class: "vt-row", role: "option", "data-id": id, onclick: e => {
      if (e.target.closest("button")) return;
      if (id !== this.view.selected) this.select(id);
      if (e.target !== label) this.root.focus({ preventScroll: true });
    } },
      make("span", { class: "vt-swatch" }), make("span", { class: "vt-id" }, String(id)), label, make("span", { class: "vt-note" }),
      button("Show or hide (h)", ICONS.eye, () => this.send({ do: "show", object_id: id, shown: !shown() })), copy,
      button("Delete the object everywhere (Shift+Delete)", ICONS.trash, () => this.send({ do: "delete", object_id: id, everywhere: true })));
  }

  labels() { // offers the labels that are in use
    if (!this.known) { this.known = make("datalist", { id: `vt-labels-${Math.random().toString(36).slice(2)}` }); this.root.append(this.known); }
    this.known.replaceChildren(...[...new Set(this.view.labels)].map(value => make("option", { value })));
    return this.known.id;
  }

  newObject() { this.send({ do: "select", object_id: this.nextId, fresh: true }); }
  get nextId() { return Math.max(0, ...this.view.objects.map(o => o.id)) + 1; }

  duplicate(id) {
    const to = this.view.frame + 1;
    this.send({ do: "duplicate", object_id: id, frame: to });
    if (to < this.view.n_frames) this.go(to);
  }

  toggleHelp() {
    const table = make("table");
    for (const [key, what] of [...KEYS, ...(this.view.tracking ? TRACK_KEYS : COPY_KEYS), ...Object.values(this.panels).flatMap(p => p.keys)]) table.append(make("tr", {}, make("th", {}, key), make("td", {}, what)));
    this.help.replaceChildren(table);
    this.help.hidden = !this.help.hidden;
  }

  // -- hands ---------------------------------------------------------------------------------------------------

  choose(name) { this.tool = name; this.outline = null; this.draw(); }

  close() {
    const points = this.outline ?? [];
    this.outline = null;
    if (points.length > 2) this.send({ do: "polygon", points });
    this.draw();
  }

  listen() {
    const canvas = this.stage.canvas, root = this.root;
    canvas.onpointerdown = e => this.down(e);
    canvas.onpointermove = e => { this.hover = this.stage.at(e); this.gesture?.move?.(this.hover, e); this.draw(); };
    canvas.onpointerup = canvas.onpointercancel = e => {
      const gesture = this.gesture;
      this.gesture = null;
      if (e.type === "pointerup") gesture?.up?.(this.stage.at(e), e);
      else this.draft = null;
      if (this.view?.tracking?.running || this.view?.tracking?.lead) this.changed();
    };
    canvas.onpointerleave = () => { this.hover = null; this.draw(); };
    canvas.ondblclick = () => { if (this.tool === "polygon") { this.outline?.pop(); this.close(); } };
    canvas.oncontextmenu = e => { e.preventDefault(); e.stopPropagation(); }; // nor the notebook's menu
    canvas.addEventListener("wheel", e => {
      if (!e.ctrlKey && !root.contains(root.getRootNode().activeElement)) return; // the notebook scrolls
      e.preventDefault();
      this.stage.zoomBy(Math.exp(-clamp(e.deltaY, -200, 200) / 400), this.stage.at(e));
    }, { passive: false });
    root.onkeydown = e => { if (this.key(e)) { e.preventDefault(); e.stopPropagation(); } };
    root.addEventListener("focusout", () => { this.space = false; });
    root.onkeyup = e => { if (e.key === " ") { this.space = false; this.draw(); } };
    fieldHistories(root);
    let asked = false;
    this.model.on("change:view change:image change:mask", this.changed = () => {
      if (!asked) { asked = true; queueMicrotask(() => { asked = false; this.refresh(); }); }
    });
  }

  down(e) {
    this.root.focus({ preventScroll: true });
    if (!this.view) return;
    if (Object.values(this.panels).some(panel => panel.waits)) {
      this.status.textContent = "The next question is on its way. Nothing was drawn: draw it there.";
      return;
    }
    this.stage.canvas.setPointerCapture(e.pointerId);
    if (e.button === 1 || this.space) {
      e.preventDefault();
      const grabbed = this.stage.at(e, false), centre = () => this.stage.centre ?? this.stage.size.map(v => v / 2);
      this.gesture = { move: (_, f) => { const p = this.stage.at(f, false), c = centre(); this.stage.moveTo([c[0] + grabbed[0] - p[0], c[1] + grabbed[1] - p[1]]); } };
    } else if (e.button === 0 || e.button === 2) {
      this.redraw = e.shiftKey;
      const p = this.stage.at(e, false), [w, h] = this.stage.size;
      if (p[0] < 0 || p[1] < 0 || p[0] > w || p[1] > h) return;
      if (this.view.tracking?.running) this.send({ do: "go", frame: this.frame }); // and follows the tracking no longer
      this.gesture = GESTURES[this.tool]?.(this, p, e) ?? null;
      this.draw();
    }
  }

  step(by) { // to the object before or after in the list
    const ids = this.view.objects.map(o => o.id), at = clamp(ids.indexOf(this.view.selected) + by, 0, ids.length - 1);
    if (ids[at] !== this.view.selected) this.select(ids[at]);
    this.list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  nudge(dx, dy) {
    const shift = p => [round(p[0] + dx), round(p[1] + dy)], box = this.figure("box"), points = this.figure("point"), skeleton = this.figure("skeleton");
    if (this.tool === "points" && points) this.send({ do: "points", points: points.points.map(shift), shape: points.shape });
    else if (this.tool === "skeleton" && skeleton) this.send({ do: "nodes", points: skeleton.points.map(shift), occluded: skeleton.occluded });
    else if (box) this.send({ do: "box", xyxy: [...shift(box.xyxy), ...shift(box.xyxy.slice(2))], angle: box.angle ?? 0 });
  }

  rotate(degrees) {
    const box = this.figure("box");
    if (box) this.send({ do: "box", xyxy: box.xyxy, angle: Math.round(((box.angle ?? 0) + (degrees * Math.PI) / 180) * 1e4) / 1e4 });
  }

  key(e) { // true when the key meant something here
    const target = e.composedPath()[0], slides = target.type === "range" && target !== this.slider && /^(Arrow|Home|End|Page)/.test(e.key);
    if (!this.view || slides || ["text", "number", "textarea", "select-one"].includes(target.type)) { // a field keeps its keys
      return Boolean(this.view) && e.key === "Escape" && (this.root.focus({ preventScroll: true }), true);
    }
    if (this.link.press(e)) return true;
    if (Object.values(this.panels).some(panel => panel.key(e))) return true;
    const v = this.view, many = e.shiftKey ? 10 : 1, id = v.selected, step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (v.tracking && e.altKey && e.code === "KeyS") return this.send({ do: "save" }), true;
    if (step && e.altKey) return this.nudge(step[0] * many, step[1] * many), true;
    if (step) return step[0] ? this.go(this.frame + step[0] * many) : this.step(step[1]), true;
    if (e.ctrlKey || e.metaKey) {
      const key = e.key.toLowerCase(), name = { z: e.shiftKey ? "redo" : "undo", y: "redo" }[key];
      if (name) return this.send({ do: name }), true;
      if (v.tracking || target !== this.root) return false;
      if (key === "c") return (this.copied = { object_id: id, source: v.frame }), true;
      return key === "v" && this.copied ? (this.send({ do: "duplicate", ...this.copied, frame: v.frame }), true) : false;
    }
    if (e.key === "Enter" || e.key === " ") { // a focused button keeps its keys
      if (target !== this.root) return false;
      if (e.key === "Enter") return this.close(), true;
      return (this.space = true), this.draw(), true;
    }
    const tool = Object.keys(TOOLS).find(name => TOOLS[name].key === e.key && v.tools.includes(name));
    if (tool) return this.choose(tool), true;
    if (/^[1-9]$/.test(e.key)) return v.objects[e.key - 1] ? (this.select(v.objects[e.key - 1].id), true) : false;
    const track = v.tracking && { f: () => this.run("forward"), r: () => this.run("backward"), t: () => this.run("both"), s: () => this.send({ do: "stop" }), a: () => this.say("absent", this.frame),
      w: () => this.send({ do: "doubt", step: 1 }), q: () => this.send({ do: "doubt", step: -1 }), y: () => this.send({ do: "looks_right" }),
      u: () => { this.all.checked = !this.all.checked; }, O: () => { this.other.selectedIndex = (this.other.selectedIndex + 1) % (this.other.length || 1); },
      m: () => this.fill(), A: () => this.say("gone", this.frame), S: () => this.send({ do: "split" }), W: () => this.pair("swap"), M: () => this.pair("merge"),
      PageDown: () => this.send({ do: "key_figure", step: 1 }), PageUp: () => this.send({ do: "key_figure", step: -1 }) }[e.key];
    const remove = () => this.send({ do: "delete", object_id: id, everywhere: e.shiftKey }, null, this.frame); // where the keys went, though it isn't shown yet
    const act = track || {
      l: () => { const field = this.list.querySelector(`[data-id="${id}"] input`); field?.focus(); field?.select(); },
      j: () => { this.number.focus(); this.number.select(); },
      n: () => this.newObject(), d: () => !v.tracking && this.duplicate(id),
      h: () => this.send({ do: "show", object_id: id, shown: !v.objects.find(o => o.id === id).shown }),
      Delete: remove, Backspace: remove,
      Home: () => this.go(0), End: () => this.go(v.n_frames - 1),
      "+": () => this.stage.zoomBy(1.5), "=": () => this.stage.zoomBy(1.5), "-": () => this.stage.zoomBy(1 / 1.5), 0: () => this.stage.zoomBy(0),
      ",": () => this.rotate(-many), "<": () => this.rotate(-many), ".": () => this.rotate(many), ">": () => this.rotate(many),
      "[": () => this.size(1 / 1.25), "]": () => this.size(1.25), "?": () => this.toggleHelp(),
      Escape: () => { this.outline = this.draft = this.gesture = null; this.help.hidden = true; this.root.focus({ preventScroll: true }); this.draw(); },
    }[e.key];
    return act ? (act(), true) : false;
  }

  size(factor) { this.brush = clamp(this.radius * factor, 1, Math.max(...this.stage.size) / 2); this.draw(); }

  dispose() {
    this.link.dispose();
    this.model.off("change:view", this.changed); this.model.off("change:image", this.changed); this.model.off("change:mask", this.changed);
    this.stage.observer.disconnect();
    for (const { bitmap } of Object.values(this.cache)) bitmap?.close();
    this.root.remove();
  }
}

function render({ model, el }) {
  const annotator = new Annotator(model, el);
  return () => annotator.dispose();
}

export default { render };
