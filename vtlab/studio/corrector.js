// @ts-check
// What the corrector has beside the annotator: tracking, words about an object, doubtful places.

import { PANELS } from "./annotator.js";
import { ICONS, button, make } from "./dom.js";
import { TRACK_KEYS } from "./keys.js";
import { progressOf } from "./time.js";

class Tracking {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    this.root = annotator.scrubber.tracking;
    this.keys = TRACK_KEYS;
    /** @param {string} direction */
    const run = direction => this.annotator.send({ do: "track", direction, everything: this.all.checked });
    this.run = run;
    this.all = make("input", { type: "checkbox" });
    this.runners = [
      button("Track backward (r)", ICONS.back, () => run("backward"), "Backward"),
      button(
        "Track both ways, between two figures from either of them (t)",
        null,
        () => run("both"),
        "Both ways",
      ),
      button("Track forward (f)", ICONS.forth, () => run("forward"), "Forward"),
    ];
    this.runners.push(
      button(
        "Fill the frames between key figures by interpolation (m)",
        null,
        () => this.fill(),
        "Interpolate",
      ),
    );
    this.stop = button("Stop tracking (s)", null, () => this.annotator.send({ do: "stop" }), "Stop");
    this.progress = make("progress", { max: 1, value: 0, "aria-label": "Progress of tracking" });
    this.done = make("output", { class: "vt-done" });
    this.words = [
      button("Not visible on this frame (a)", null, () => this.say("absent"), "Absent here"),
      button("No longer exists from this frame on (Shift+A)", null, () => this.say("gone"), "Gone from here"),
      button(
        "From this frame on it is another object (Shift+S)",
        null,
        () => this.annotator.send({ do: "split" }),
        "Split here",
      ),
    ];
    this.other = make("select", { "aria-label": "The other object (Shift+O: the next)" });
    /** @param {"swap" | "merge"} what */
    const pair = what => {
      if (!this.other.disabled) this.annotator.send({ do: what, other: +this.other.value });
    };
    this.pair = pair;
    /** @type {[string, string | null, import("./types.js").Edit, string][]} */
    const places = [
      ["Previous doubtful place (q)", ICONS.back, { do: "doubt", step: -1 }, ""],
      ["Next doubtful place (w)", ICONS.forth, { do: "doubt", step: 1 }, "Doubt"],
      ["It looks right (y)", null, { do: "looks_right" }, "Looks right"],
    ];
    this.review = places.map(([name, path, edit, text]) =>
      button(name, path, () => this.annotator.send(edit), text),
    );
    this.pairs = [
      this.other,
      button("From this frame on each is the other (Shift+W)", null, () => pair("swap"), "Swap from here"),
      button(
        "They are one object: the other one takes the id of this one (Shift+M)",
        null,
        () => pair("merge"),
        "Merge",
      ),
    ];
    this.who = make("output", { class: "vt-who" });
    this.keep = button("Save the session (Alt+S)", ICONS.save, () => this.annotator.send({ do: "save" }));
    this.root.append(
      make(
        "div",
        { class: "vt-tracking" },
        make("span", {}, "Track"),
        make("span", { class: "vt-group" }, ...this.runners, this.stop),
        make(
          "label",
          { class: "vt-check", title: "Track every object, not only the selected one (u)" },
          this.all,
          "all objects",
        ),
        this.progress,
        this.done,
      ),
      make(
        "div",
        { class: "vt-tracking" },
        this.who,
        make("span", { class: "vt-group" }, ...this.words),
        make("span", { class: "vt-group" }, make("span", {}, "with"), ...this.pairs),
        make("span", { class: "vt-group" }, ...this.review),
        make("span", { class: "vt-gap" }),
        this.keep,
      ),
    );
    this.annotator.root.classList.add("vt-corrector");
    this.root.hidden = false;
  }

  fill() {
    this.annotator.send({ do: "interpolate", everything: this.all.checked });
  }
  /** @param {"absent" | "gone"} what */
  say(what, frame = this.annotator.view.frame) {
    const id = this.annotator.view.selected;
    this.annotator.send({ do: what, object_id: id }, id, frame);
  }

  /** @param {import("./types.js").Tracking} t */
  update(t) {
    const view = this.annotator.view;
    const others = view.objects.map(o => o.id).filter(id => id !== view.selected),
      chosen = +this.other.value;
    this.other.replaceChildren(
      ...others.map(id => make("option", { value: id, selected: id === chosen }, String(id))),
    );
    this.who.textContent = `Object ${view.selected}`;
    this.annotator.allow(!t.running, ...this.runners, ...this.words, this.keep);
    this.annotator.allow(!t.running && others.length > 0, ...this.pairs);
    this.annotator.allow(t.running, this.stop);
    this.progress.value = t.total ? t.done / t.total : 0;
    this.done.textContent = t.running ? progressOf(t) : "";
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    if (e.ctrlKey || e.metaKey) return false;
    if (e.altKey && e.code === "KeyS") return (this.annotator.send({ do: "save" }), true);
    const act = {
      f: () => this.run("forward"),
      r: () => this.run("backward"),
      t: () => this.run("both"),
      s: () => this.annotator.send({ do: "stop" }),
      a: () => this.say("absent", this.annotator.frame),
      w: () => this.annotator.send({ do: "doubt", step: 1 }),
      q: () => this.annotator.send({ do: "doubt", step: -1 }),
      y: () => this.annotator.send({ do: "looks_right" }),
      u: () => {
        this.all.checked = !this.all.checked;
      },
      O: () => {
        this.other.selectedIndex = (this.other.selectedIndex + 1) % (this.other.length || 1);
      },
      m: () => this.fill(),
      A: () => this.say("gone", this.annotator.frame),
      S: () => this.annotator.send({ do: "split" }),
      W: () => this.pair("swap"),
      M: () => this.pair("merge"),
      PageDown: () => this.annotator.send({ do: "key_figure", step: 1 }),
      PageUp: () => this.annotator.send({ do: "key_figure", step: -1 }),
    }[e.key];
    return act ? (act(), true) : false;
  }
}

PANELS.tracking = Tracking;
