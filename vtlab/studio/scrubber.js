// @ts-check
// The row below the stage: a slider, the number of the frame, and a lane for each object.

import { ICONS, button, focused, make } from "./dom.js";
import { drawLanes } from "./lanes.js";

export class Scrubber {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    const a = annotator;
    this.annotator = a;
    this.slider = make("input", {
      type: "range",
      min: 0,
      "aria-label": "Frame",
      oninput: () => a.go(+this.slider.value),
    });
    this.number = make("input", {
      type: "number",
      min: 0,
      class: "vt-number",
      "aria-label": "Frame number",
      title: "Frame number (j)",
      onchange: () => a.go(+this.number.value),
    });
    this.number.onkeydown = e => {
      if (e.key === "Enter") {
        a.go(+this.number.value);
        a.root.focus({ preventScroll: true });
        e.stopPropagation();
      }
    }; // JupyterLab swallows the change
    this.total = make("span", { class: "vt-total" });
    this.lanes = make("canvas", { class: "vt-lanes", "aria-hidden": "true" });
    this.lanes.onpointerdown = e => {
      const r = this.lanes.getBoundingClientRect();
      a.go(Math.floor(((e.clientX - r.left) / r.width) * a.view.n_frames));
    };
    const strip = make(
      "div",
      { class: "vt-strip" },
      button("Previous frame (←)", ICONS.back, () => a.go(a.frame - 1)),
      make("div", { class: "vt-track" }, this.slider, this.lanes),
      button("Next frame (→)", ICONS.forth, () => a.go(a.frame + 1)),
      this.number,
      this.total,
    );
    /** What the corrector puts its controls into. */
    this.tracking = make("div", { hidden: true });
    this.root = make("div", { class: "vt-scrub" }, strip, this.tracking);
  }

  /** @param {number} frame */
  place(frame) {
    this.slider.value = String(frame);
    if (this.number !== focused(this.annotator.root)) this.number.value = String(frame);
  }

  update() {
    const last = String(this.annotator.view.n_frames - 1);
    this.slider.max = this.number.max = last;
    this.total.textContent = `/ ${last}`;
    this.place(this.annotator.frame);
  }

  draw() {
    drawLanes(this.lanes, this.annotator.view, getComputedStyle(this.annotator.root).color);
  }
}
