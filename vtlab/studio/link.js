// @ts-check
// The line to the kernel. Every edit has a number and is carried out once and in order; what has no answer
// yet is kept here and in the browser's storage, and sent again when the kernel is back. A silent kernel is
// said within 3 s. The other end is link.py.

import { button, make } from "./dom.js";

export const BEAT = 700,
  AGAIN = 5000,
  SILENT = 1900; // milliseconds: between signs of life asked for; asked again; called silent
export const ACTIVE = 30000,
  LEASE = 5000; // how long after the last touch the kernel is asked; after which another view takes over
export const PASSING = new Set([
  "go",
  "select",
  "show",
  "stop",
  "home",
  "key_figure",
  "doubt",
  "so_far",
  "which",
]); // looks, not work

/**
 * @typedef {object} Said what the kernel says to a view
 * @property {string} do
 * @property {string} client
 * @property {number} upto number of the last edit that had come when it was asked
 * @property {number} [answered]
 * @property {string} to
 * @property {Edit[]} left edits that can't be repeated
 */
/** @typedef {import("./types.js").Edit} Edit */

export class Link {
  /**
   * @param {import("./types.js").Model} model
   * @param {HTMLElement} root
   */
  constructor(model, root, room = "") {
    this.model = model;
    /** @type {(() => void) | null} called when the kernel is back */
    this.back = null;
    /** @type {HTMLTextAreaElement | undefined} edits as code, to be copied by hand */
    this.text = undefined;
    this.room = room && `vtlab/edits/${room}/`;
    this.client = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    /** @type {{n: number, seen: number, edit: Edit}[]} edits that have no answer */
    this.pending = [];
    this.met = false; // whether the kernel has ever answered
    this.number = this.answered = 0; // numbers: of the last edit sent, of the last one answered
    /** @type {number | null} when it was asked for what has no answer yet */
    this.asked = null;
    /** @type {number | null} when it was asked for a sign of life */
    this.beaten = null;
    /** @type {number | undefined} when it was asked for one last */
    this.last = undefined;
    /** @type {Edit[] | null} of an earlier view, which can't be repeated */
    this.left = null;
    this.touched = performance.now();
    this.searched = 0;
    this.words = make("span");
    this.copier = button(
      "Copy the edits that have no answer, as code for a cell (Alt+C)",
      null,
      () => this.copy(),
      "Copy edits",
    );
    this.closer = button(
      "Close (Esc)",
      null,
      () => {
        this.left = null;
        this.tell();
      },
      "Close",
    );
    this.notice = make(
      "div",
      { class: "vt-notice", role: "alert", hidden: true },
      this.words,
      this.copier,
      this.closer,
    );
    for (const event of ["pointerdown", "pointermove", "keydown", "focusin"])
      root.addEventListener(event, () => {
        this.touched = performance.now();
      });
    /** @param {Said} message */
    this.hears = message => this.hear(message);
    model.on("msg:custom", this.hears);
    this.timer = setInterval(() => this.tick(), 200);
  }

  /** @param {Edit} edit */
  send(edit) {
    const sent = { n: ++this.number, seen: this.answered, edit };
    this.pending.push(sent);
    this.store();
    this.post(sent);
  }

  /** @param {object} message */
  post(message) {
    this.asked ??= performance.now();
    const first = this.pending[0]?.n ?? this.number + 1;
    try {
      Promise.resolve(this.model.send({ link: this.client, first, ...message })).catch(() => {});
    } catch {
      /* the silence says it */
    }
  }

  /** @param {Said} message */
  hear(message) {
    if (message.do === "adopted") this.adopted(message);
    if (message.do !== "beat" && message.do !== "adopted") return;
    const lost =
      message.client === this.client &&
      this.pending.some(p => p.n <= message.upto && p.n > (message.answered ?? 0));
    if (message.do === "beat") this.beaten = null;
    this.alive();
    if (lost) for (const p of this.pending) this.post(p); // messages keep their order, so these never came
  }

  /**
   * A view came: what it answers needs to be kept no longer.
   * @param {Record<string, number> | undefined} answered
   */
  heard(answered) {
    this.answered = Math.max(this.answered, answered?.[this.client] ?? 0);
    const kept = this.pending.length;
    this.pending = this.pending.filter(p => p.n > this.answered);
    if (kept !== this.pending.length) this.store();
    this.alive();
  }

  alive() {
    if (this.silence) queueMicrotask(() => this.back?.());
    this.met = true;
    this.asked = this.pending.length || this.beaten !== null ? performance.now() : null;
    this.tell();
  }

  tick() {
    const now = performance.now(),
      waits = this.pending.length > 0;
    if (
      (waits || (now - this.touched < ACTIVE && !document.hidden)) &&
      now - (this.last ?? -BEAT) > (this.beaten === null ? BEAT : AGAIN)
    ) {
      this.last = this.beaten = now;
      this.post({ do: "beat", upto: this.number });
    }
    if (now - this.searched > 2000) {
      this.searched = now;
      if (waits) this.store();
      this.adopt();
    }
    this.tell();
  }

  get silence() {
    const s = this.asked === null ? 0 : performance.now() - this.asked;
    return s > SILENT ? s : 0;
  }

  tell() {
    const silent = this.silence,
      edits = this.unsaid().length;
    this.notice.hidden = !silent && !this.left;
    if (this.notice.hidden) return this.text?.remove();
    const many = edits === 1 ? "1 edit is" : `${edits} edits are`,
      gone =
        `The kernel has not answered for ${Math.round(silent / 1000)} s: ` +
        "it is busy, or gone (then run the cell again).";
    this.words.textContent = !silent
      ? `${edits} earlier edits can't be repeated by themselves.`
      : edits
        ? `${gone} ${many} kept here and sent when it answers.`
        : gone;
    this.copier.hidden = !edits;
    this.closer.hidden = Boolean(silent);
  }

  unsaid() {
    return [...(this.left ?? []), ...this.pending.filter(p => !PASSING.has(p.edit.do)).map(p => p.edit)];
  }

  /**
   * True when the key meant something here.
   * @param {KeyboardEvent} e
   */
  press(e) {
    if (this.notice.hidden) return false;
    if (e.altKey && e.code === "KeyC" && !this.copier.hidden) return (this.copy(), true);
    return e.key === "Escape" && !this.closer.hidden && (this.closer.click(), true);
  }

  copy() {
    const edits = JSON.stringify(this.unsaid()).replaceAll("'", "\\u0027");
    const text =
      "import json\n\nwidget = ...  # the annotator or corrector\n" +
      `for edit in json.loads(r'''${edits}'''):\n    widget.act(edit)\n`;
    this.text ??= make("textarea", { readonly: true, rows: 4, "aria-label": "Edits that have no answer" });
    this.notice.append(this.text);
    this.text.value = text;
    this.text.select();
    // not allowed everywhere: then it is there to be copied by hand
    navigator.clipboard?.writeText(text).catch(() => {});
  }

  // The browser's storage: what a tab leaves that was closed, or a cell that was run again, the next view
  // takes up

  get key() {
    return this.room + this.client;
  }

  store(time = Date.now()) {
    const edits = this.pending.filter(p => !PASSING.has(p.edit.do));
    if (!this.room) return;
    try {
      if (edits.length) localStorage.setItem(this.key, JSON.stringify({ time, edits }));
      else localStorage.removeItem(this.key);
    } catch {
      /* no storage, or none left: the edits are here */
    }
  }

  adopt() {
    if (!this.room || !this.met || this.silence) return;
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(this.room) || key === this.key) continue;
        const { time, edits } = JSON.parse(localStorage.getItem(key) ?? "{}");
        if (Date.now() - time < LEASE) continue; // its view is alive
        localStorage.setItem(key, JSON.stringify({ time: Date.now(), edits }));
        this.post({ do: "adopt", client: key.slice(this.room.length), edits });
      }
    } catch {
      /* no storage */
    }
  }

  /** @param {Said} message */
  adopted({ to, client, left }) {
    if (to !== this.client) return;
    try {
      localStorage.removeItem(this.room + client);
    } catch {
      /* no storage */
    }
    if (left.length) this.left = [...(this.left ?? []), ...left];
  }

  dispose() {
    clearInterval(this.timer);
    this.model.off("msg:custom", this.hears);
    this.store(0);
  }
}
