// @ts-check
// Pieces that every widget is made of: elements, icons, buttons, histories of text fields.

import { TextHistory } from "./history.js";

/**
 * An element with attributes; what begins with `on` is a handler.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k.startsWith("on")) Object.assign(node, { [k]: v });
    else if (v !== false && v !== null) node.setAttribute(k, v === true ? "" : String(v));
  }
  node.append(...children);
  return node;
}

/** @param {string} path as SVG has it */
export function icon(path) {
  const ns = "http://www.w3.org/2000/svg",
    svg = document.createElementNS(ns, "svg"),
    p = document.createElementNS(ns, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  p.setAttribute("d", path);
  svg.append(p);
  return svg;
}

export const ICONS = {
  undo: "M3 6h7a3.5 3.5 0 0 1 0 7H6M6 3 3 6l3 3",
  redo: "M13 6H6a3.5 3.5 0 0 0 0 7h4M10 3l3 3-3 3",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6.5v3",
  hidden: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM2.5 13.5l11-11",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  trash: "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5l.6 9h5.8l.6-9",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  back: "M10.5 3 5.5 8l5 5",
  forth: "M5.5 3l5 5-5 5",
  save: "M3 2.5h8l2.5 2.5v8.5H2.5v-11zM5 2.5v4h5v-4M5 13.5v-4h6v4",
};

/**
 * @param {string} name what it does, with its key
 * @param {string | null} path of its icon
 * @param {(event: MouseEvent) => unknown} onclick
 */
export const button = (name, path, onclick, text = "") =>
  make(
    "button",
    { type: "button", title: name, "aria-label": name, onclick },
    path ? icon(path) : text,
    ...(path && text ? [text] : []),
  );

/**
 * Undo of what is typed is each field's own. The browser keeps one history for the whole page: where a field
 * has nothing to take back, Ctrl+Z would take back what was typed elsewhere, the notebook's code for one.
 * @param {HTMLElement} root
 */
export function fieldHistories(root) {
  /** @type {WeakMap<HTMLInputElement, TextHistory>} */
  const histories = new WeakMap();
  /** @param {Event} e */
  const typed = e => {
    const field = e.composedPath()[0];
    return field instanceof HTMLInputElement && ["text", "number"].includes(field.type) ? field : null;
  };
  root.addEventListener("focusin", e => {
    const field = typed(e);
    if (field) histories.set(field, new TextHistory(field.value));
  });
  root.addEventListener("input", e => {
    const field = typed(e);
    if (field) histories.get(field)?.put(field.value);
  });
  root.addEventListener(
    "keydown",
    e => {
      const field = typed(e),
        h = field && histories.get(field),
        key = e.key.toLowerCase();
      if (!h || !(e.ctrlKey || e.metaKey) || !(key === "z" || key === "y")) return;
      e.preventDefault();
      e.stopPropagation();
      field.value = h.step(key === "y" || e.shiftKey ? 1 : -1);
    },
    true,
  );
}

/**
 * What has the focus on the page, or in the shadow root, that an element is in.
 * @param {Node} node
 */
export function focused(node) {
  const page = node.getRootNode();
  return page instanceof Document || page instanceof ShadowRoot ? page.activeElement : null;
}

/**
 * What a canvas is drawn with.
 * @param {HTMLCanvasElement} canvas
 */
export function context(canvas) {
  const g = canvas.getContext("2d");
  if (!g) throw new Error("The browser has no memory left for a canvas.");
  return g;
}

/**
 * The first element of a kind within another; it is there.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {ParentNode} within
 * @param {K | `${K}.${string}` | `${K}[${string}]`} query
 * @returns {HTMLElementTagNameMap[K]}
 */
export function the(within, query) {
  const found = within.querySelector(query);
  if (!found) throw new Error(`There is no ${query}.`);
  return /** @type {HTMLElementTagNameMap[K]} */ (found);
}
