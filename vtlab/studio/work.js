// @ts-check
// What belongs to no single figure: classes, attributes, several objects at once, the look of the picture,
// playing, and pictures of key figures. Joined to the annotator as a panel; all that is kept lies in Python
// (`work` in the view).

import { PANELS } from "./annotator.js";
import "./corrector.js";
import { ICONS, button, make, the } from "./dom.js";
import { Look } from "./look.js";
import { clock } from "./time.js";

/** @typedef {import("./types.js").Work} Told */

class Working {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    /** @type {Set<number>} ids */
    this.chosen = new Set();
    this.look = new Look(annotator);
    this.ahead = make("input", { type: "checkbox", onchange: () => this.follow() });
    this.guide = make("input", { type: "checkbox", onchange: () => this.lead() });
    this.whole = button(
      "Take all that is on this frame as right and track it forward (Shift+F)",
      null,
      () => this.send({ do: "track_frame" }),
      "This frame's objects",
    );
    /** What was shown last, as text to compare. */
    this.shownClasses = this.shownFacts = "";
    const ids = () => [...this.chosen];
    /** @param {string} what */
    const many =
      (what, values = {}) =>
      () =>
        this.send({ do: "many", what, object_ids: ids(), ...values });
    this.count = make("span", { class: "vt-count" });
    this.group = make(
      "div",
      { class: "vt-many", hidden: true, role: "group", "aria-label": "Chosen objects" },
      this.count,
      button("Show the chosen objects (h)", ICONS.eye, many("show", { shown: true })),
      button("Hide the chosen objects (h)", ICONS.hidden, many("show", { shown: false })),
      button(
        "Lock the chosen objects (Shift+L)",
        "M4 7h8v6.5H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
        many("lock", { locked: true }),
      ),
      button(
        "Unlock the chosen objects (Shift+L)",
        "M4 7h8v6.5H4zM5.5 7V4.5a2.5 2.5 0 0 1 4.8-1",
        many("lock", { locked: false }),
      ),
      button(
        "Delete the chosen objects everywhere (Delete)",
        ICONS.trash,
        many("delete", { everywhere: true }),
      ),
      button("Choose none (Esc)", null, () => this.choose([]), "none"),
    );
    this.classes = make("div", { class: "vt-classes", role: "group", "aria-label": "Classes" });
    this.by = button("Colour by object or by class (Shift+C)", null, () => this.colourBy(), "colour: object");
    this.lock = button(
      "Lock the object, or unlock it (Shift+L)",
      "M4 7h8v6.5H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
      () => this.lockOne(),
    );
    this.upto = button(
      "Copy its figures to each frame up to the one given (Shift+P)",
      ICONS.copy,
      () => this.propagate(),
      "up to",
    );
    this.far = make("input", {
      type: "number",
      min: 0,
      class: "vt-far",
      "aria-label": "Frame up to which figures are copied",
    });
    this.far.onkeydown = e => {
      if (e.key === "Enter") {
        this.propagate();
        e.stopPropagation();
      }
    };
    this.words = [
      button(
        "Partly hidden from this frame on, or no longer (i)",
        null,
        () => this.say("occluded"),
        "Occluded",
      ),
      button("Out of view from this frame on, or back (v)", null, () => this.say("outside"), "Out of view"),
    ];
    this.facts = make("div", { class: "vt-facts" });
    this.add = this.fact("", "", false);
    this.onwords = make(
      "div",
      { class: "vt-attributes", hidden: true },
      make(
        "div",
        { class: "vt-head" },
        make("span", {}, "Attributes"),
        make("span", { class: "vt-group" }, ...this.words),
      ),
      this.facts,
    );
    const tools = make(
      "div",
      { class: "vt-one" },
      this.lock,
      this.upto,
      this.far,
      make("span", { class: "vt-gap" }),
      this.by,
    );
    annotator.side.append(this.group, this.classes, tools, this.onwords);
    annotator.root.classList.add("vt-works");
    annotator.list.addEventListener("click", e => this.pick(e), true);
    annotator.root.addEventListener("focusout", e => {
      const to = e.relatedTarget;
      if (!(to instanceof Node && annotator.root.contains(to))) this.look.pause();
    });
  }

  get corrector() {
    return this.annotator.view.tracking;
  }
  get keys() {
    return [
      ["Shift+Space", "play, pause"],
      ["PgDn PgUp", "next, previous key figure of the object"],
      ["Shift+L", "lock the object, or unlock it"],
      ["Shift+1 … 9", "give it the class"],
      [
        "Shift+↑ ↓, Ctrl+A",
        "choose several objects in the list (Ctrl+click), all; then h, Shift+L and Delete are about them",
      ],
      ["x", "crosshair with the size"],
      ["Ctrl+C, Ctrl+V, d", "copy, put on another frame, duplicate to the next"],
      ["Shift+P", "copy to each frame up to one"],
      ["Shift+K", "pictures of the key figures"],
      ["Shift+C", "colour by object or by class"],
      ["Shift+B", "brightness, contrast, masks (Tab goes on, arrows change, Esc leaves)"],
      ...(this.corrector
        ? [
            ["i", "occluded from here on, or no longer"],
            ["v", "out of view from here on, or back"],
            ["Shift+F", "track all objects of this frame"],
            ["Shift+D", "track ahead as I draw"],
            ["Shift+G", "and lead on to the frame that is the least sure"],
            ["Shift+E", "an attribute"],
          ]
        : []),
    ];
  }
  /** @param {import("./types.js").Edit} edit */
  send(edit) {
    this.annotator.send(edit);
  }

  /** Puts what belongs to tracking beside the corrector's controls. */
  placeAhead() {
    const words = (
      /** @type {string} */ title,
      /** @type {string} */ text,
      /** @type {HTMLElement} */ input,
    ) => make("label", { class: "vt-check", title }, input, text);
    the(this.annotator.scrubber.tracking, "label.vt-check").after(
      this.whole,
      words(
        "Track an object as soon as it is drawn or changed: ahead, and back to its figure before (Shift+D)",
        "as I draw",
        this.ahead,
      ),
      words(
        "Track as I draw, and then show the frame that is the least sure of the object: " +
          "draw it, or say that it looks right with y (Shift+G)",
        "and lead on",
        this.guide,
      ),
    );
  }

  follow() {
    this.send({ do: "follow", on: this.ahead.checked });
  }

  lead() {
    this.send({ do: "lead", on: this.guide.checked });
  }

  /**
   * A row of an attribute.
   * @param {string} name
   * @param {string} value
   * @param {boolean} ofObject whether it is of the object, or of the figure from here on
   */
  fact(name, value, ofObject) {
    const key = make("input", {
      type: "text",
      value: name,
      placeholder: "name",
      "aria-label": "Name of the attribute",
    });
    const field = make("input", {
      type: "text",
      value,
      placeholder: "value",
      "aria-label": `Value of ${name || "the new attribute"}`,
    });
    const kind = make(
      "select",
      { "aria-label": "Of what" },
      make("option", { value: "", selected: !ofObject }, "from here"),
      make("option", { value: "1", selected: ofObject }, "object"),
    );
    const row = make("div", { class: "vt-fact" }, key, field, kind);
    field.onblur = key.onblur = () => {
      if (
        !key.value.trim() ||
        (key.value === name && field.value === String(value)) ||
        (!name && !field.value.trim())
      )
        return;
      this.send({
        do: "describe",
        object_id: this.annotator.view.selected,
        name: key.value.trim(),
        value: field.value,
        of_object: Boolean(kind.value),
      });
      if (!name) {
        key.value = field.value = "";
      }
    };
    for (const input of [key, field])
      input.onkeydown = e => {
        e.stopPropagation();
        if (e.key === "Enter") this.annotator.root.focus({ preventScroll: true });
      };
    key.disabled = kind.disabled = Boolean(name);
    return row;
  }

  /** @param {Told} work */
  update(work) {
    const a = this.annotator,
      v = a.view;
    if (v.tracking && !this.whole.isConnected) this.placeAhead();
    if (v.tracking) {
      this.ahead.checked = v.tracking.follow;
      this.guide.checked = v.tracking.lead;
      a.allow(!v.tracking.running, this.whole);
    }
    this.look.time.textContent = `${clock(work.seconds)} / ${clock(work.total)}`;
    this.look.thumbs(work.thumbnails);
    const known = new Set(v.objects.map(o => o.id));
    this.chosen = new Set([...this.chosen].filter(id => known.has(id)));
    queueMicrotask(() => this.marks());
    const now = v.objects.find(o => o.id === v.selected),
      classes = JSON.stringify([work.classes, now?.label]);
    if (classes !== this.shownClasses) {
      this.shownClasses = classes;
      this.classes.replaceChildren(
        ...work.classes.map(([name, colour], i) => {
          const chip = button(
            i < 9 ? `${name} (Shift+${i + 1})` : `${name} (l, then its name)`,
            null,
            () => this.give(name),
            name,
          );
          chip.style.setProperty("--vt-colour", colour);
          chip.setAttribute("aria-pressed", String(now?.label === name));
          return chip;
        }),
      );
    }
    this.classes.hidden = !work.classes.length;
    this.by.textContent = `colour: ${work.by}`;
    this.by.hidden = !work.classes.length;
    this.lock.setAttribute("aria-pressed", String(Boolean(now?.locked)));
    this.far.max = String(v.n_frames - 1);
    this.onwords.hidden = !this.corrector;
    this.words[0].setAttribute("aria-pressed", String(Boolean(now?.occluded)));
    this.words[1].setAttribute("aria-pressed", String(now?.note === "outside"));
    if (this.corrector) this.factsOf(v.selected, work);
  }

  /**
   * @param {number} id of the object
   * @param {Told} work
   */
  factsOf(id, work) {
    const facts = JSON.stringify([id, work.figure, work.object]);
    if (facts === this.shownFacts) return;
    this.shownFacts = facts;
    /** @param {unknown} v */
    const told = v => (typeof v === "string" ? v : JSON.stringify(v));
    /** @type {[Record<string, unknown> | undefined, boolean][]} */
    const kinds = [
      [work.object, true],
      [work.figure, false],
    ];
    const rows = kinds.flatMap(([from, ofObject]) =>
      Object.entries(from ?? {}).map(([name, value]) => this.fact(name, told(value), ofObject)),
    );
    for (const row of [...this.facts.children]) if (row !== this.add) row.remove();
    this.facts.prepend(...rows);
    if (!this.add.isConnected) this.facts.append(this.add);
  }

  /** @param {MouseEvent} e */
  pick(e) {
    const row = e.target instanceof Element && e.target.closest("div.vt-row");
    if (!(row instanceof HTMLElement) || (e.target instanceof Element && e.target.closest("button"))) return;
    const id = Number(row.dataset.id);
    if (e.ctrlKey || e.metaKey) {
      if (!this.chosen.size) this.chosen.add(this.annotator.view.selected);
      this.chosen.has(id) ? this.chosen.delete(id) : this.chosen.add(id);
    } else if (e.shiftKey) {
      const ids = this.annotator.view.objects.map(o => o.id),
        [i, j] = [ids.indexOf(this.annotator.view.selected), ids.indexOf(id)].sort((x, y) => x - y);
      for (const one of ids.slice(Math.max(i, 0), j + 1)) this.chosen.add(one);
    } else {
      this.choose([]);
      return;
    }
    e.stopPropagation();
    e.preventDefault();
    this.annotator.root.focus({ preventScroll: true });
    this.marks();
  }
  /** @param {number[]} ids */
  choose(ids) {
    this.chosen = new Set(ids);
    this.marks();
  }
  marks() {
    for (const row of this.annotator.objects.shown) {
      const id = Number(row.dataset.id),
        o = this.annotator.view.objects.find(o => o.id === id);
      row.classList.toggle("vt-chosen", this.chosen.has(id));
      row.classList.toggle("vt-locked", Boolean(o?.locked));
    }
    this.group.hidden = this.chosen.size < 2;
    this.count.textContent = `${this.chosen.size} objects`;
  }
  /** @param {string} name of a class */
  give(name) {
    if (this.chosen.size > 1)
      this.send({ do: "many", what: "label", object_ids: [...this.chosen], text: name });
    else this.send({ do: "label", object_id: this.annotator.view.selected, text: name });
  }
  /** @param {"occluded" | "outside"} what */
  say(what) {
    this.send({ do: what, object_id: this.annotator.view.selected });
  }
  colourBy() {
    this.send({ do: "colour_by", what: this.annotator.view.work?.by === "class" ? "object" : "class" });
  }
  /**
   * The object before or after is chosen, too.
   * @param {number} by
   */
  more(by) {
    const a = this.annotator,
      v = a.view,
      ids = v.objects.map(o => o.id),
      next = ids[ids.indexOf(v.selected) + by];
    this.chosen.add(v.selected);
    if (next !== undefined) {
      this.chosen.add(next);
      a.step(by);
    }
    this.marks();
  }
  lockOne() {
    const objects = this.annotator.view.objects,
      several = objects.filter(o => this.chosen.has(o.id));
    if (several.length > 1)
      return this.send({
        do: "many",
        what: "lock",
        object_ids: several.map(o => o.id),
        locked: !several.every(o => o.locked),
      });
    const o = objects.find(o => o.id === this.annotator.view.selected);
    if (o) this.send({ do: "lock", object_id: o.id, locked: !o.locked });
  }
  propagate() {
    if (this.far.value === "") {
      this.far.focus();
      return;
    }
    this.send({ do: "propagate", object_id: this.annotator.view.selected, frame: +this.far.value });
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const a = this.annotator,
      v = a.view,
      root = e.composedPath()[0] === a.root,
      id = v.selected;
    if (v.queue) return false;
    if (e.ctrlKey || e.metaKey) {
      const key = e.key.toLowerCase();
      if (key === "a") return (this.choose(v.objects.map(o => o.id)), true);
      if (!this.corrector || !root) return false; // the annotator has its own
      if (key === "c") return ((a.copied = { object_id: id, source: v.frame }), true);
      return key === "v" && a.copied
        ? (this.send({ do: "duplicate", ...a.copied, frame: v.frame }), true)
        : false;
    }
    if (e.altKey) return false;
    const digit = e.shiftKey && /^Digit([1-9])$/.exec(e.code)?.[1],
      classes = v.work?.classes ?? [],
      several = this.chosen.size > 1;
    if (digit) return classes[+digit - 1] ? (this.give(classes[+digit - 1][0]), true) : false;
    if (e.key === "Escape" && several) return (this.choose([]), true);
    if (several && (e.key === "Delete" || e.key === "Backspace"))
      return (
        this.send({ do: "many", what: "delete", object_ids: [...this.chosen], everywhere: true }),
        true
      );
    if (several && e.key === "h") {
      const shown = v.objects.some(o => this.chosen.has(o.id) && o.shown);
      return (this.send({ do: "many", what: "show", object_ids: [...this.chosen], shown: !shown }), true);
    }
    const by = e.shiftKey && { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by) return (this.more(by), true);
    const act = {
      K: () => this.look.showPictures(),
      C: () => classes.length && this.colourBy(),
      B: () => this.look.first.focus(),
      PageDown: () => this.send({ do: "key_figure", step: 1 }),
      PageUp: () => this.send({ do: "key_figure", step: -1 }),
      x: () => this.look.setCross(!this.look.cross),
      ...(root && e.shiftKey ? { " ": () => this.look.toggle() } : {}),
      L: () => this.lockOne(),
      P: () => this.propagate(),
      ...(this.corrector
        ? {
            i: () => this.say("occluded"),
            v: () => this.say("outside"),
            F: () => this.send({ do: "track_frame" }),
            D: () => {
              this.ahead.checked = !this.ahead.checked;
              this.follow();
            },
            G: () => {
              this.guide.checked = !this.guide.checked;
              this.lead();
            },
            E: () => the(this.add, "input").focus(),
            d: () => a.duplicate(id),
          }
        : {}),
    }[e.key];
    return act ? (act(), true) : false;
  }
}

PANELS.work = Working;
