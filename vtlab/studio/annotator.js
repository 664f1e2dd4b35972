// @ts-check
// Annotator and corrector: one stage, tools that turn gestures into edits, a list of objects, a scrubber.
// What there is lives in Python: an edit is sent as {do: name, ...}, and `view` says what to draw.

import { ICONS, button, fieldHistories, focused, make } from "./dom.js";
import { DRAWS, OF_FRAME, OF_OBJECT } from "./edits.js";
import { clamp, round } from "./geometry.js";
import { GESTURES } from "./gestures.js";
import { press } from "./keyboard.js";
import { COPY_KEYS, KEYS, TOOLS } from "./keys.js";
import { Link } from "./link.js";
import { ObjectList } from "./objects.js";
import { has, predicted } from "./predict.js";
import { Scrubber } from "./scrubber.js";
import { Stage } from "./stage.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./types.js").View} View */

/**
 * Panels of other files, which are appended to this one, by their name in the view.
 * @type {Record<string, new (annotator: Annotator) => import("./types.js").Panel>}
 */
export const PANELS = {};

export class Annotator {
  /**
   * @param {import("./types.js").Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    this.model = model;
    /** @type {{object_id: number, source: number} | null} whose figures were copied, on which frame */
    this.copied = null;
    this.tool = "box";
    /** @type {import("./types.js").Figure | null} what is being drawn */
    this.draft = null;
    /** @type {Point[] | null} a polygon that isn't closed */
    this.outline = null;
    /** @type {import("./types.js").Gesture | null} */
    this.gesture = null;
    /** @type {Point | null} where the hand is */
    this.hover = null;
    this.redraw = this.space = false;
    /** @type {number | undefined} */
    this.brush = undefined;
    /** @type {Record<string, import("./types.js").Panel>} */
    this.panels = {};
    this.turn = 0;
    /** @type {Record<string, {data: DataView<ArrayBuffer>, bitmap: ImageBitmap | null}>} */
    this.cache = {};
    /** @type {number | null} frame that was asked for */
    this.wanted = null;
    /** @type {View | null} what the kernel said last */
    this.base = null;
    this.flying = false;
    this.stage = new Stage(() => this.draw());
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = {};
    for (const [name, t] of Object.entries(TOOLS)) {
      this.buttons[name] = button(`${t.name} (${t.key})`, t.icon, () => this.choose(name));
      this.buttons[name].dataset.tool = name;
    }
    this.undo = button("Undo (Ctrl+Z)", ICONS.undo, () => this.send({ do: "undo" }));
    this.redo = button("Redo (Ctrl+Shift+Z)", ICONS.redo, () => this.send({ do: "redo" }));
    this.percent = make("output", { class: "vt-percent" });
    this.help = make("div", {
      class: "vt-help",
      hidden: true,
      role: "dialog",
      "aria-label": "Keyboard shortcuts",
    });
    this.objects = new ObjectList(this);
    this.list = this.objects.root;
    this.side = make(
      "div",
      { class: "vt-side" },
      make(
        "div",
        { class: "vt-head" },
        make("span", {}, "Objects"),
        button("New object (n)", ICONS.plus, () => this.newObject(), "New"),
      ),
      this.list,
    );
    this.scrubber = new Scrubber(this);
    this.status = make("div", { class: "vt-status", role: "status", "aria-live": "polite" });
    this.around = make("div", { class: "vt-stage" }, this.stage.canvas, this.help);
    this.root = make(
      "div",
      { class: "vt-annotator", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "Annotator" },
      this.bar(),
      make("div", { class: "vt-main" }, this.around, this.side),
      this.scrubber.root,
      this.status,
    );
    el.append(this.root);
    this.link = new Link(model, this.root, model.get("room"));
    this.around.append(this.link.notice);
    let asked = false;
    this.changed = () => {
      if (asked) return;
      asked = true;
      queueMicrotask(() => {
        asked = false;
        this.refresh();
      });
    };
    this.listen();
    this.refresh();
  }

  /** The view: there is one once the stage is ready. */
  get view() {
    return /** @type {View} */ (this.stage.view);
  }
  /** @returns {number} */
  get radius() {
    return this.brush ?? Math.max(Math.round(Math.min(...this.stage.size) / 40), 2);
  }
  /**
   * @template {import("./types.js").Kind} K
   * @param {K} kind
   */
  figure(kind) {
    return has(this.view, this.view.selected, kind);
  }
  /** @param {number} id */
  select(id) {
    this.send({ do: "select", object_id: id });
  }

  /**
   * An edit is about what is seen while it is made: it says on which frame, and of which object. It is drawn
   * at once.
   * @param {import("./types.js").Edit} edit
   */
  send(edit, id = this.view.selected, frame = this.view.frame, fresh = this.empty(id)) {
    const draws = DRAWS.has(edit.do),
      at =
        draws || OF_OBJECT.has(edit.do) ? { frame, object_id: id } : OF_FRAME.has(edit.do) ? { frame } : null;
    this.link.send({ ...edit, ...(at && { at }), ...(draws && fresh && { fresh: true }) });
    if (!this.gesture) this.draft = null;
    this.predict();
  }

  /**
   * Whether there is nothing of an object yet: drawing makes it, and another view may have made one of
   * that id.
   * @param {number} id
   */
  empty(id) {
    const o = this.view.objects.find(o => o.id === id);
    return !this.view.fixed && (!o || !(o.label || o.frames.length || o.runs?.length));
  }

  predict() {
    if (!this.base) return;
    this.stage.view = predicted(
      this.base,
      this.link.pending.map(p => p.edit),
    );
    this.update();
  }

  /** @param {number} frame */
  go(frame) {
    // the newest wish waits for the answer to the one before: scrubbing never queues up frames
    this.wanted = clamp(Math.round(frame) || 0, 0, this.view.n_frames - 1);
    this.scrubber.place(this.wanted);
    if (this.flying) return;
    this.flying = this.wanted !== this.view.frame;
    if (this.flying) this.send({ do: "go", frame: this.wanted });
  }
  get frame() {
    return this.wanted ?? this.view.frame;
  }

  /** @param {"image" | "mask"} key */
  async decode(key) {
    /** @type {DataView<ArrayBuffer>} */
    const data = this.model.get(key),
      known = this.cache[key];
    if (known && known.data === data) return known.bitmap;
    const bitmap = data?.byteLength ? await createImageBitmap(new Blob([data])) : null;
    this.cache[key] = { data, bitmap };
    return bitmap;
  }

  async refresh() {
    // figures appear with their frame, never before it
    /** @type {View} */
    const view = this.model.get("view");
    if (this.gesture && (view.tracking?.running || view.tracking?.lead) && view.frame !== this.view.frame)
      return; // the picture stays under the hand
    const turn = ++this.turn;
    const [image, mask] = await Promise.all([this.decode("image"), this.decode("mask")]);
    if (turn !== this.turn) return;
    const old = [this.stage.image, this.stage.mask];
    this.base = view;
    this.link.heard(view.answered);
    Object.assign(this.stage, { view, image, mask });
    for (const bitmap of old) if (bitmap && bitmap !== image && bitmap !== mask) bitmap.close();
    if (!this.gesture) this.draft = null;
    if (this.flying && this.wanted !== view.frame) {
      if (!this.link.pending.some(p => p.edit.do === "go")) this.send({ do: "go", frame: this.wanted });
    } else {
      this.flying = false;
      this.wanted = null;
    }
    this.predict();
  }

  bar() {
    const zoom = [
      button("Zoom out (−)", ICONS.minus, () => this.stage.zoomBy(1 / 1.5)),
      this.percent,
      button("Zoom in (+)", ICONS.plus, () => this.stage.zoomBy(1.5)),
      button("Fit (0)", ICONS.fit, () => this.stage.zoomBy(0)),
    ];
    return make(
      "div",
      { class: "vt-bar", role: "toolbar" },
      make("span", { class: "vt-group" }, ...Object.values(this.buttons)),
      make("span", { class: "vt-group" }, this.undo, this.redo),
      make("span", { class: "vt-group" }, ...zoom),
      make("span", { class: "vt-gap" }),
      button("Shortcuts (?)", null, () => this.toggleHelp(), "?"),
    );
  }

  update() {
    const v = this.view;
    this.stage.canvas.style.aspectRatio = `${v.width} / ${v.height}`;
    for (const name in this.buttons) this.buttons[name].hidden = !v.tools.includes(name);
    if (!v.tools.includes(this.tool)) this.tool = v.tools[0];
    for (const [name, Made] of Object.entries(PANELS)) {
      const told = /** @type {Record<string, unknown>} */ (v)[name];
      if (told) (this.panels[name] ??= new Made(this)).update(told);
    }
    this.allow(v.undo, this.undo);
    this.allow(v.redo, this.redo);
    this.scrubber.update();
    this.objects.update();
    this.draw();
    this.root.dataset.frame = String(v.frame); // tells tests, and style sheets, what is shown
    this.root.dataset.ready = "true";
  }

  /**
   * @param {boolean} allowed
   * @param {(HTMLButtonElement | HTMLSelectElement)[]} controls
   */
  allow(allowed, ...controls) {
    // a control that is disabled would lose the focus, and then keys go to the notebook
    const active = focused(this.root);
    for (const control of controls) {
      if (!allowed && control === active) this.root.focus({ preventScroll: true });
      control.disabled = !allowed;
    }
  }

  draw() {
    if (!this.view) return;
    const paints = this.tool === "brush" || this.tool === "eraser";
    /** @type {import("./types.js").Outline | null} */
    const outline = this.outline && {
      id: this.view.selected,
      kind: "outline",
      points: this.hover ? [...this.outline, this.hover] : this.outline,
    };
    this.stage.draw(
      this.draft ?? outline,
      paints && this.hover && !this.space ? { at: this.hover, radius: this.radius } : null,
    );
    for (const name in this.buttons)
      this.buttons[name].setAttribute("aria-pressed", String(name === this.tool));
    this.percent.textContent = `${Math.round(this.stage.zoom * 100)}%`;
    this.status.textContent =
      this.view.message || (this.view.fixed && TOOLS[this.tool]?.one) || (TOOLS[this.tool]?.hint ?? "");
    this.status.classList.toggle("vt-said", Boolean(this.view.message));
    this.stage.canvas.style.cursor = this.space ? "grab" : paints ? "none" : "crosshair";
    const seen = this.view.figures.map(f => f.id),
      told = this.view.objects
        .filter(o => seen.includes(o.id))
        .map(o => `${o.id} ${o.label}`.trim() + (o.id === this.view.selected ? " (selected)" : ""));
    this.stage.canvas.setAttribute(
      "aria-label",
      `Frame ${this.view.frame} of ${this.view.n_frames - 1}; objects: ${told.join(", ") || "none"}`,
    );
    this.scrubber.draw();
  }

  newObject() {
    this.send({ do: "select", object_id: this.nextId, fresh: true });
  }
  get nextId() {
    return Math.max(0, ...this.view.objects.map(o => o.id)) + 1;
  }

  /** @param {number} id */
  duplicate(id) {
    const to = this.view.frame + 1;
    this.send({ do: "duplicate", object_id: id, frame: to });
    if (to < this.view.n_frames) this.go(to);
  }

  toggleHelp() {
    const table = make("table");
    for (const [key, what] of [
      ...KEYS,
      ...(this.view.tracking ? [] : COPY_KEYS),
      ...Object.values(this.panels).flatMap(p => p.keys),
    ])
      table.append(make("tr", {}, make("th", {}, key), make("td", {}, what)));
    this.help.replaceChildren(table);
    this.help.hidden = !this.help.hidden;
  }

  /** @param {string} name */
  choose(name) {
    this.tool = name;
    this.outline = null;
    this.draw();
  }

  close() {
    const points = this.outline ?? [];
    this.outline = null;
    if (points.length > 2) this.send({ do: "polygon", points });
    this.draw();
  }

  listen() {
    const canvas = this.stage.canvas,
      root = this.root;
    canvas.onpointerdown = e => this.down(e);
    canvas.onpointermove = e => {
      const p = (this.hover = this.stage.at(e));
      this.gesture?.move?.(p, e);
      this.draw();
    };
    canvas.onpointerup = canvas.onpointercancel = e => {
      const gesture = this.gesture;
      this.gesture = null;
      if (e.type === "pointerup") gesture?.up?.(this.stage.at(e), e);
      else this.draft = null;
      if (this.view?.tracking?.running || this.view?.tracking?.lead) this.changed();
    };
    canvas.onpointerleave = () => {
      this.hover = null;
      this.draw();
    };
    canvas.ondblclick = () => {
      if (this.tool === "polygon") {
        this.outline?.pop();
        this.close();
      }
    };
    canvas.oncontextmenu = e => {
      e.preventDefault();
      e.stopPropagation();
    }; // nor the notebook's menu
    canvas.addEventListener(
      "wheel",
      e => {
        if (!e.ctrlKey && !root.contains(focused(root))) return; // the notebook scrolls
        e.preventDefault();
        this.stage.zoomBy(Math.exp(-clamp(e.deltaY, -200, 200) / 400), this.stage.at(e));
      },
      { passive: false },
    );
    root.onkeydown = e => {
      if (press(this, e)) {
        e.preventDefault();
        e.stopPropagation();
      }
    };
    root.addEventListener("focusout", () => {
      this.space = false;
    });
    root.onkeyup = e => {
      if (e.key === " ") {
        this.space = false;
        this.draw();
      }
    };
    fieldHistories(root);
    this.model.on("change:view change:image change:mask", this.changed);
  }

  /** @param {PointerEvent} e */
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
      const grabbed = this.stage.at(e, false),
        centre = () => this.stage.centre ?? this.stage.size.map(v => v / 2);
      this.gesture = {
        move: (_, f) => {
          const p = this.stage.at(f, false),
            c = centre();
          this.stage.moveTo([c[0] + grabbed[0] - p[0], c[1] + grabbed[1] - p[1]]);
        },
      };
    } else if (e.button === 0 || e.button === 2) {
      this.redraw = e.shiftKey;
      const p = this.stage.at(e, false),
        [w, h] = this.stage.size;
      if (p[0] < 0 || p[1] < 0 || p[0] > w || p[1] > h) return;
      // and follows the tracking no longer
      if (this.view.tracking?.running) this.send({ do: "go", frame: this.frame });
      this.gesture = GESTURES[this.tool]?.(this, p, e) ?? null;
      this.draw();
    }
  }

  /**
   * To the object before or after in the list.
   * @param {number} by
   */
  step(by) {
    const ids = this.view.objects.map(o => o.id),
      at = clamp(ids.indexOf(this.view.selected) + by, 0, ids.length - 1);
    if (ids[at] !== this.view.selected) this.select(ids[at]);
    this.list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {number} dx in pixels
   * @param {number} dy
   */
  nudge(dx, dy) {
    /** @param {Point} p */
    const shift = p => [round(p[0] + dx), round(p[1] + dy)];
    const box = this.figure("box"),
      points = this.figure("point"),
      skeleton = this.figure("skeleton");
    if (this.tool === "points" && points)
      this.send({ do: "points", points: points.points.map(shift), shape: points.shape });
    else if (this.tool === "skeleton" && skeleton)
      this.send({ do: "nodes", points: skeleton.points.map(shift), occluded: skeleton.occluded });
    else if (box)
      this.send({
        do: "box",
        xyxy: [...shift(box.xyxy), ...shift(box.xyxy.slice(2))],
        angle: box.angle ?? 0,
      });
  }

  /** @param {number} degrees */
  rotate(degrees) {
    const box = this.figure("box");
    if (box)
      this.send({
        do: "box",
        xyxy: box.xyxy,
        angle: Math.round(((box.angle ?? 0) + (degrees * Math.PI) / 180) * 1e4) / 1e4,
      });
  }

  /** @param {number} factor */
  size(factor) {
    this.brush = clamp(this.radius * factor, 1, Math.max(...this.stage.size) / 2);
    this.draw();
  }

  dispose() {
    this.link.dispose();
    this.model.off("change:view", this.changed);
    this.model.off("change:image", this.changed);
    this.model.off("change:mask", this.changed);
    this.stage.observer.disconnect();
    for (const { bitmap } of Object.values(this.cache)) bitmap?.close();
    this.root.remove();
  }
}

/** @param {import("./types.js").Place} place */
export function render({ model, el }) {
  const annotator = new Annotator(model, el);
  return () => annotator.dispose();
}

export default { render };
