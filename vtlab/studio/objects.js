// @ts-check
// The list of objects: colour, number, label, what there is of each, and what can be done with it.

import { ICONS, button, focused, icon, make, the } from "./dom.js";
import { dashColour, dashes } from "./paint.js";

export class ObjectList {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    this.root = make("div", { class: "vt-list", role: "listbox", "aria-label": "Objects" });
    /** @type {HTMLDataListElement | undefined} labels that are in use */
    this.known = undefined;
  }

  /** @returns {HTMLElement[]} the rows that are there */
  get shown() {
    return [...this.root.querySelectorAll("div")].filter(row => row.parentElement === this.root);
  }

  update() {
    // rows are kept, so that a label being typed is not lost
    const known = new Map(this.shown.map(row => [Number(row.dataset.id), row]));
    const ids = new Set(this.annotator.view.objects.map(o => o.id));
    for (const [id, row] of known) if (!ids.has(id)) row.remove();
    for (const [i, o] of this.annotator.view.objects.entries()) {
      const row = known.get(o.id) ?? this.row(o.id);
      // a row that moves loses the focus
      if (row !== this.root.children[i]) this.root.insertBefore(row, this.root.children[i] ?? null);
      row.setAttribute("aria-selected", String(o.id === this.annotator.view.selected));
      row.style.setProperty("--vt-colour", o.colour);
      row.style.setProperty("--vt-dash", dashes(o.id).length ? dashColour(o.id) : o.colour);
      const label = the(row, "input"),
        note = the(row, "span.vt-note"),
        eye = the(row, "button");
      if (label !== focused(this.root)) label.value = o.label;
      note.textContent = o.note ?? (o.frames.length ? `${o.frames.length} fr.` : "");
      note.setAttribute("title", o.note ?? `Figures on frames ${o.frames.join(", ") || "none"}`);
      eye.replaceChildren(icon(o.shown ? ICONS.eye : ICONS.hidden));
      eye.setAttribute("aria-pressed", String(o.shown));
      row.classList.toggle("vt-hidden", !o.shown);
    }
    this.labels();
  }

  /** @param {number} id */
  row(id) {
    const label = make("input", {
      type: "text",
      placeholder: "label",
      "aria-label": `Label of object ${id}`,
      list: this.labels(),
    });
    label.onblur = () => {
      // not `change`: it keeps still after a field's own undo
      const o = this.annotator.view.objects.find(o => o.id === id);
      if (o && o.label !== label.value.trim())
        this.annotator.send({ do: "label", object_id: id, text: label.value });
    };
    const shown = () => this.annotator.view.objects.find(o => o.id === id)?.shown;
    const copy = button("Duplicate to the next frame (d)", ICONS.copy, () => this.annotator.duplicate(id));
    label.onkeydown = e => {
      e.stopPropagation();
      if (e.key === "Enter" || e.key === "Escape") this.annotator.root.focus({ preventScroll: true });
    };
    return make(
      "div",
      {
        class: "vt-row",
        role: "option",
        "data-id": id,
        /** @param {MouseEvent} e */
        onclick: e => {
          if (e.target instanceof Element && e.target.closest("button")) return;
          if (id !== this.annotator.view.selected) this.annotator.select(id);
          if (e.target !== label) this.annotator.root.focus({ preventScroll: true });
        },
      },
      make("span", { class: "vt-swatch" }),
      make("span", { class: "vt-id" }, String(id)),
      label,
      make("span", { class: "vt-note" }),
      button("Show or hide (h)", ICONS.eye, () =>
        this.annotator.send({ do: "show", object_id: id, shown: !shown() }),
      ),
      copy,
      button("Delete the object everywhere (Shift+Delete)", ICONS.trash, () =>
        this.annotator.send({ do: "delete", object_id: id, everywhere: true }),
      ),
    );
  }

  labels() {
    // offers the labels that are in use
    if (!this.known) {
      this.known = make("datalist", { id: `vt-labels-${Math.random().toString(36).slice(2)}` });
      this.annotator.root.append(this.known);
    }
    this.known.replaceChildren(
      ...[...new Set(this.annotator.view.labels)].map(value => make("option", { value })),
    );
    return this.known.id;
  }
}
