// @ts-check
// Player: frames come as JPEG pictures on demand; overlays are drawn here from track data, one canvas for
// each panel.

import { context } from "./dom.js";
import { AHEAD, Store } from "./frames.js";
import { Link } from "./link.js";
import { Overlay } from "./overlay.js";
import { clock } from "./time.js";
import { Timeline } from "./timeline.js";

/**
 * `make` sets attributes, this sets properties.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} properties
 * @param {(Node | string)[]} children
 */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name in node && name !== "list"
      ? Object.assign(node, { [name]: value })
      : node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * @typedef {object} Info what is known of a video before it is played
 * @property {number} frames
 * @property {number} width
 * @property {number} height
 * @property {number} scale of the pictures
 * @property {number} fps
 * @property {number} bins of the timeline
 * @property {string[]} panels names of trackers
 * @property {{id: number, label: string, colour: string}[]} objects
 * @property {Record<string, Record<number, number[][]>>} edges
 * @property {Record<string, import("./timeline.js").Line[]>} timelines
 */

/** @param {import("./types.js").Place} place */
function render({ model, el }) {
  /** @type {Info} */
  const info = model.get("info"),
    n = info.frames;
  const colours = Object.fromEntries(info.objects.map(o => [o.id, o.colour]));
  /** @type {Set<number>} */
  const hidden = new Set(),
    overlay = new Overlay(info, hidden);
  let current = Math.min(Math.max(model.get("frame"), 0), n - 1),
    drawn = -1,
    playing = false,
    speed = 1;
  /** @type {[number, number | null] | null} first and last frame of the loop */
  let range = null;
  let started = 0,
    startFrame = 0,
    timer = 0;

  const root = element("div", { className: "vt-player", tabIndex: 0 });
  root.dataset.lmSuppressShortcuts = "true";
  const columns = info.panels.length <= 3 ? info.panels.length : Math.ceil(Math.sqrt(info.panels.length));
  const panels = element("div", {
    className: "vt-panels",
    style: `grid-template-columns: repeat(${columns}, 1fr)`,
  });
  const views = info.panels.map(name => {
    const canvas = element("canvas", {
      className: "vt-panel",
      width: Math.round(info.width * info.scale),
      height: Math.round(info.height * info.scale),
      style: `aspect-ratio: ${info.width} / ${info.height}`,
    });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `video with the tracks of ${name}`);
    panels.append(canvas);
    return { name, canvas, g: context(canvas) };
  });

  /**
   * @param {string} text
   * @param {string} title
   * @param {() => void} act
   */
  const button = (text, title, act) =>
    element("button", { textContent: text, title, ariaLabel: title, onclick: act, type: "button" });
  const play = button("▶", "play or pause (space)", () => toggle());
  const back = button("‹", "one frame back (left)", () => go(current - 1));
  const next = button("›", "one frame on (right)", () => go(current + 1));
  const slider = element("input", {
    type: "range",
    min: 0,
    max: n - 1,
    value: current,
    oninput: () => go(+slider.value),
  });
  slider.setAttribute("aria-label", "frame");
  const number = element("input", {
    type: "number",
    min: 0,
    max: n - 1,
    value: current,
    onchange: () => go(+number.value),
  });
  number.onkeydown = e => {
    if (e.key === "Enter") {
      go(+number.value);
      root.focus({ preventScroll: true });
      e.stopPropagation();
    }
  }; // JupyterLab swallows the change
  number.setAttribute("aria-label", "frame number");
  const rate = element(
    "select",
    {
      title: "speed ([ and ])",
      ariaLabel: "speed ([ and ])",
      onchange: () => paced(),
    },
    ...[0.1, 0.25, 0.5, 1, 2, 4].map(v =>
      element("option", { value: v, textContent: `${v}×`, selected: v === 1 }),
    ),
  );
  const loop = button(
    "⟲",
    "loop: once for the start here, again for the end here, again to stop looping (l)",
    () => mark(),
  );
  const help = button("?", "keys (?)", () => {
    keys.hidden = !keys.hidden;
  });
  const time = element("span", { className: "vt-time" });
  const keys = element("div", {
    className: "vt-help",
    hidden: true,
    textContent:
      "space play/pause · ← → one frame · shift ← → ten frames · Home End · j frame by number · " +
      "l loop from/to/off · , . previous or next event · [ ] slower, faster · " +
      "1 … 9, 0 (and with shift, from the 11th on) show or hide an object · ? this\n" +
      "Timeline: height = score, brightness = overlap with the truth, gap = absent; " +
      "marks = lost, found, switched, corrected, left. Click to go there.",
  });
  const note = element("div", { className: "vt-note" });
  note.setAttribute("role", "status");
  const objects = element("div", { className: "vt-objects" });
  const chips = info.objects.map((o, i) => {
    const chip = element(
      "button",
      {
        type: "button",
        title: `show or hide this object${i < 20 ? ` (${i < 10 ? "" : "shift "}${(i + 1) % 10})` : ""}`,
      },
      element("span", { className: "vt-dot", style: `background: ${o.colour}` }),
      `${o.id} ${o.label}`.trim(),
    );
    chip.setAttribute("aria-pressed", "true");
    chip.onclick = () => {
      hidden.has(o.id) ? hidden.delete(o.id) : hidden.add(o.id);
      chip.setAttribute("aria-pressed", String(!hidden.has(o.id)));
      drawn = -1;
      draw();
    };
    return chip;
  });
  objects.append(...chips);
  const lines = element("div", { className: "vt-lines" });
  root.append(
    panels,
    element("div", { className: "vt-bar" }, back, play, next, slider, number, rate, loop, help, time),
    keys,
    objects,
    lines,
    note,
  );
  el.append(root);

  const link = new Link(model, root),
    store = new Store(link, n, () => draw());
  panels.append(link.notice);
  link.back = () => {
    store.failed();
    draw();
  }; // what was asked for meanwhile is asked again
  const times = new Timeline(info, colours, go);
  lines.append(...times.rows);
  const events = times.events;

  function draw() {
    slider.value = String(current);
    if (document.activeElement !== number) number.value = String(current);
    times.place((current + 0.5) / n);
    const s = current / info.fps;
    time.textContent = `${clock(s)} · ${current}/${n - 1}`;
    const item = store.get(current);
    if (!playing || !store.known.has(Math.min(current + AHEAD, n - 1)))
      store.want(current, playing ? AHEAD : 1);
    if (!item) {
      store.want(current, 1);
      return;
    }
    if (drawn === current) return;
    drawn = current;
    for (const { name, canvas, g } of views) {
      /** @type {import("./overlay.js").Trail} */
      const trail = frame => store.known.get(frame)?.panels[name].points;
      overlay.draw(g, canvas.width, item, name, { frame: current, trail, titled: views.length > 1 });
    }
    const now = events.filter(e => e.frame === current && e.kind !== "method");
    note.textContent = now
      .map(e => `${views.length > 1 ? e.panel + ", " : ""}object ${e.id}: ${e.text}`)
      .join(" · ");
    root.dataset.frame = String(current);
  }
  /** @param {number} frame */
  function go(frame) {
    if (!Number.isFinite(frame)) return;
    current = Math.min(Math.max(Math.round(frame), 0), n - 1);
    restart();
    draw();
    if (!playing) {
      model.set("frame", current);
      model.save_changes();
    }
  }
  function restart() {
    started = performance.now();
    startFrame = current;
  }
  function toggle() {
    playing = !playing;
    play.textContent = playing ? "⏸" : "▶";
    if (playing) {
      if (current >= n - 1) current = range ? range[0] : 0;
      restart();
      tick();
    } else {
      cancelAnimationFrame(timer);
      model.set("frame", current);
      model.save_changes();
    }
  }
  // The clock decides which frame is due; a frame that has not come yet holds the clock instead of being
  // skipped.
  function tick() {
    if (!playing) return;
    timer = requestAnimationFrame(tick);
    const loops = range !== null && range[1] !== null,
      first = range && loops ? range[0] : 0,
      last = range?.[1] ?? n - 1;
    const due = startFrame + Math.floor(((performance.now() - started) / 1000) * info.fps * speed);
    if (due > last) {
      if (loops) {
        current = first;
        restart();
        draw();
        return;
      }
      current = last;
      draw();
      toggle();
      return;
    }
    if (due !== current) {
      if (store.known.has(due)) current = due;
      else {
        store.want(due, AHEAD);
        restart();
      }
      draw();
    }
  }
  function paced() {
    speed = +rate.value;
    restart();
  }
  /** @param {number} by */
  function pace(by) {
    rate.selectedIndex = Math.min(Math.max(rate.selectedIndex + by, 0), rate.length - 1);
    paced();
  }
  function mark() {
    if (!range) range = [current, null];
    else if (range[1] === null && current > range[0]) range[1] = current;
    else range = null;
    loop.setAttribute("aria-pressed", String(!!range));
    note.textContent = !range
      ? "no loop"
      : range[1] === null
        ? `loop from ${range[0]} to ...`
        : `loop ${range[0]} to ${range[1]}`;
  }
  /**
   * 1 to 9 are the first nine objects, 0 is the tenth; with Shift the ten after them.
   * @param {KeyboardEvent} e
   */
  function nth(e) {
    const digit = /^Digit(\d)$/.exec(e.code)?.[1];
    return digit && chips[(+digit || 10) - 1 + (e.shiftKey ? 10 : 0)];
  }
  root.onkeydown = e => {
    const chip = nth(e);
    if (e.target === number || e.target === rate) return;
    const far = e.shiftKey ? 10 : 1;
    const act = {
      " ": toggle,
      ArrowRight: () => go(current + far),
      ArrowLeft: () => go(current - far),
      Home: () => go(0),
      End: () => go(n - 1),
      l: mark,
      "?": () => help.click(),
      j: () => {
        number.focus();
        number.select();
      },
      "[": () => pace(-1),
      "]": () => pace(1),
      ...(chip ? { [e.key]: () => chip.click() } : {}),
      ".": () => {
        const e2 = events.find(v => v.frame > current);
        if (e2) go(e2.frame);
      },
      ",": () => {
        const e2 = events.filter(v => v.frame < current).pop();
        if (e2) go(e2.frame);
      },
    }[e.key];
    if (!act) return;
    if (e.key === " " && e.target instanceof HTMLButtonElement) return;
    act();
    e.preventDefault();
    e.stopPropagation();
  };
  const onFrame = () => {
    const f = model.get("frame");
    if (f !== current && !playing) {
      current = Math.min(Math.max(f, 0), n - 1);
      draw();
    }
  };
  /**
   * @param {{do: string, overlays: import("./overlay.js").Overlaid[], text: string}} message
   * @param {DataView<ArrayBuffer>[]} buffers
   */
  const onMessage = (message, buffers) => {
    link.alive();
    if (message.do === "frames") store.take(message.overlays, buffers);
    else if (message.do === "error") {
      store.failed();
      note.textContent = message.text;
    }
  };
  const observer = new ResizeObserver(() => {
    // overlays are as sharp as the screen
    for (const { canvas } of views) {
      const ratio = window.devicePixelRatio || 1,
        w = Math.round(canvas.clientWidth * ratio),
        h = Math.round(canvas.clientHeight * ratio);
      if (w && h && (w !== canvas.width || h !== canvas.height)) {
        canvas.width = w;
        canvas.height = h;
        drawn = -1;
      }
    }
    draw();
  });
  for (const { canvas } of views) observer.observe(canvas);
  model.on("change:frame", onFrame);
  model.on("msg:custom", onMessage);
  draw();
  return () => {
    playing = false;
    link.dispose();
    observer.disconnect();
    times.dispose();
    cancelAnimationFrame(timer);
    model.off("change:frame", onFrame);
    model.off("msg:custom", onMessage);
    store.clear();
  };
}
export default { render };
