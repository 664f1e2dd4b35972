// @ts-check
// How the picture is looked at: brightness, contrast, crosshair, playing, and pictures of the key figures.

import { button, make, the } from "./dom.js";
import { path, square, words } from "./paint.js";

export class Look {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    const a = annotator;
    this.annotator = annotator;
    this.playing = 0;
    this.cross = false;
    /** @type {string | undefined} the pictures that are there, as text to compare */
    this.shownThumbs = undefined;
    /**
     * @param {string} name
     * @param {number} low
     * @param {number} high
     * @param {number} step
     * @param {number} value
     * @param {(v: number) => void} set
     */
    const range = (name, low, high, step, value, set) => {
      const input = make("input", {
        type: "range",
        min: low,
        max: high,
        step,
        value,
        "aria-label": name,
        title: `${name} (double-click: as it was)`,
      });
      input.oninput = () => {
        set(+input.value);
        a.draw();
      };
      input.ondblclick = () => {
        input.value = String(value);
        input.dispatchEvent(new Event("input"));
      };
      return make("label", { class: "vt-look" }, make("span", {}, name), input);
    };
    const light = { brightness: 1, contrast: 1 },
      filter = () => {
        a.stage.filter = `brightness(${light.brightness}) contrast(${light.contrast})`;
      };
    const brightness = range("Brightness", 0.3, 3, 0.05, 1, v => {
      light.brightness = v;
      filter();
    });
    /** The first of the sliders. */
    this.first = the(brightness, "input");
    this.play = button("Play, pause (Shift+Space)", null, () => this.toggle(), "▶");
    this.time = make("output", { class: "vt-time" });
    this.crosshair = button("Crosshair with the size (x)", "M8 1v14M1 8h14", () =>
      this.setCross(!this.cross),
    );
    this.pictures = button(
      "Pictures of the key figures (Shift+K)",
      "M1.5 3.5h13v9h-13zM1.5 10l4-3.5 3.5 3 2-1.5 3.5 3",
      () => this.showPictures(),
    );
    this.strip = make("div", {
      class: "vt-thumbs",
      role: "group",
      "aria-label": "Key figures of the object",
      hidden: true,
    });
    const row = make(
      "div",
      { class: "vt-work" },
      this.play,
      this.time,
      make("span", { class: "vt-group" }, this.crosshair, this.pictures),
      make("span", { class: "vt-gap" }),
      brightness,
      range("Contrast", 0.3, 3, 0.05, 1, v => {
        light.contrast = v;
        filter();
      }),
      range("Masks", 0, 1, 0.05, 1, v => {
        a.stage.opacity = v;
      }),
    );
    a.scrubber.root.after(row, this.strip);
    a.stage.after = g => this.paint(g);
  }

  showPictures() {
    this.annotator.send({ do: "thumbnails", shown: this.strip.hidden });
  }
  toggle() {
    this.playing ? this.pause() : this.start();
  }
  start() {
    const a = this.annotator,
      begun = performance.now(),
      from = a.frame >= a.view.n_frames - 1 ? 0 : a.frame,
      fps = a.view.work?.fps ?? 25;
    const step = () => {
      const frame = from + Math.floor(((performance.now() - begun) / 1000) * fps);
      if (frame >= a.view.n_frames - 1) {
        this.pause();
        return a.go(a.view.n_frames - 1);
      }
      if (frame !== a.frame) a.go(frame); // those that come too late are passed over
      this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-pressed", "true");
  }
  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-pressed", "false");
  }
  /** @param {boolean} on */
  setCross(on) {
    this.cross = on;
    this.crosshair.setAttribute("aria-pressed", String(on));
    this.annotator.draw();
  }

  /**
   * On top of the stage: corners of the polygon that can be dragged, the crosshair and what it reads.
   * @param {CanvasRenderingContext2D} g
   */
  paint(g) {
    const a = this.annotator,
      s = a.stage.scale,
      own = a.tool === "polygon" && !a.outline && !a.draft ? a.figure("mask")?.polygon : null;
    const colour = a.view.objects.find(o => o.id === a.view.selected)?.colour ?? "#fff";
    /** @param {import("./geometry.js").Point} p */
    const at = p => [p[0] * s, p[1] * s];
    if (own) {
      path(g, own.map(at), true, colour, 2);
      for (const p of own) square(g, at(p), colour);
    }
    if (!this.cross || !a.hover) return;
    const [x, y] = at(a.hover),
      [w, h] = a.stage.size.map(v => v * s),
      b = a.draft?.kind === "box" ? a.draft.xyxy : null;
    /** @type {[string, number][]} dark below light: seen on any picture */
    const strokes = [
      ["rgba(0,0,0,.6)", 3],
      ["#fff", 1],
    ];
    for (const [colour, width] of strokes) {
      g.beginPath();
      g.moveTo(0, y);
      g.lineTo(w, y);
      g.moveTo(x, 0);
      g.lineTo(x, h);
      g.strokeStyle = colour;
      g.lineWidth = width;
      g.setLineDash([]);
      g.stroke();
    }
    const text = b
      ? `${Math.round(b[2] - b[0])} × ${Math.round(b[3] - b[1])} px`
      : `${Math.floor(a.hover[0])}, ${Math.floor(a.hover[1])}`;
    words(g, text, x + 10 > w - 90 ? x - 90 : x + 10, y + 16 > h - 10 ? y - 14 : y + 16, "#fff");
  }

  /** @param {import("./types.js").Work["thumbnails"]} found */
  thumbs(found) {
    this.strip.hidden = !found;
    this.pictures.setAttribute("aria-pressed", String(Boolean(found)));
    const shown = JSON.stringify([found, this.annotator.view.frame]);
    if (!found || shown === this.shownThumbs) return;
    this.shownThumbs = shown;
    this.strip.replaceChildren(
      ...found.map(t =>
        make(
          "button",
          {
            type: "button",
            title: `Frame ${t.frame}`,
            "aria-label": `Go to frame ${t.frame} (PgDn, PgUp)`,
            "aria-pressed": String(t.frame === this.annotator.view.frame),
            onclick: () => this.annotator.go(t.frame),
          },
          ...(t.src
            ? [make("img", { src: t.src, alt: "" })]
            : [make("span", { class: "vt-nothing" }, "absent")]),
          make("span", {}, String(t.frame)),
        ),
      ),
    );
    if (!found.length) this.strip.replaceChildren(make("span", { class: "vt-count" }, "No key figure yet."));
  }
}
