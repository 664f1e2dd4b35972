// @ts-check
// What keys do in the annotator; panels are asked first.

import { TOOLS } from "./keys.js";

/**
 * Carries out what a key means; true when it meant something here.
 * @param {import("./annotator.js").Annotator} a
 * @param {KeyboardEvent} e
 */
export function press(a, e) {
  const target = /** @type {HTMLInputElement} */ (e.composedPath()[0]),
    slides = target.type === "range" && target !== a.scrubber.slider && /^(Arrow|Home|End|Page)/.test(e.key);
  if (!a.view || slides || ["text", "number", "textarea", "select-one"].includes(target.type)) {
    // a field keeps its keys
    return Boolean(a.view) && e.key === "Escape" && (a.root.focus({ preventScroll: true }), true);
  }
  if (a.link.press(e)) return true;
  if (Object.values(a.panels).some(panel => panel.key(e))) return true;
  const v = a.view,
    many = e.shiftKey ? 10 : 1,
    id = v.selected,
    step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
  if (step && e.altKey) return (a.nudge(step[0] * many, step[1] * many), true);
  if (step) return (step[0] ? a.go(a.frame + step[0] * many) : a.step(step[1]), true);
  if (e.ctrlKey || e.metaKey) {
    const key = e.key.toLowerCase(),
      name = { z: e.shiftKey ? "redo" : "undo", y: "redo" }[key];
    if (name) return (a.send({ do: name }), true);
    if (v.tracking || target !== a.root) return false;
    if (key === "c") return ((a.copied = { object_id: id, source: v.frame }), true);
    return key === "v" && a.copied ? (a.send({ do: "duplicate", ...a.copied, frame: v.frame }), true) : false;
  }
  if (e.key === "Enter" || e.key === " ") {
    // a focused button keeps its keys
    if (target !== a.root) return false;
    if (e.key === "Enter") return (a.close(), true);
    return ((a.space = true), a.draw(), true);
  }
  const tool = Object.keys(TOOLS).find(name => TOOLS[name].key === e.key && v.tools.includes(name));
  if (tool) return (a.choose(tool), true);
  if (/^[1-9]$/.test(e.key))
    return v.objects[+e.key - 1] ? (a.select(v.objects[+e.key - 1].id), true) : false;
  const remove = () => a.send({ do: "delete", object_id: id, everywhere: e.shiftKey }, id, a.frame);
  const act = {
    l: () => {
      const field = /** @type {HTMLInputElement | null} */ (a.list.querySelector(`[data-id="${id}"] input`));
      field?.focus();
      field?.select();
    },
    j: () => {
      a.scrubber.number.focus();
      a.scrubber.number.select();
    },
    n: () => a.newObject(),
    d: () => !v.tracking && a.duplicate(id),
    h: () => a.send({ do: "show", object_id: id, shown: !v.objects.find(o => o.id === id)?.shown }),
    Delete: remove,
    Backspace: remove,
    Home: () => a.go(0),
    End: () => a.go(v.n_frames - 1),
    "+": () => a.stage.zoomBy(1.5),
    "=": () => a.stage.zoomBy(1.5),
    "-": () => a.stage.zoomBy(1 / 1.5),
    0: () => a.stage.zoomBy(0),
    ",": () => a.rotate(-many),
    "<": () => a.rotate(-many),
    ".": () => a.rotate(many),
    ">": () => a.rotate(many),
    "[": () => a.size(1 / 1.25),
    "]": () => a.size(1.25),
    "?": () => a.toggleHelp(),
    Escape: () => {
      a.outline = a.draft = a.gesture = null;
      a.help.hidden = true;
      a.root.focus({ preventScroll: true });
      a.draw();
    },
  }[e.key];
  return act ? (act(), true) : false;
}
