// @ts-check
// The panel of a queue, above the annotator's tools: what is asked, how far it is, what may be said, and the
// answer. Texts, keys and edits come from Python (`queue` in the view).

import { PANELS } from "./annotator.js";
import { focused, make } from "./dom.js";

/** @typedef {import("./types.js").Queue} Asked */

class Asking {
  /** @param {import("./annotator.js").Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    this.title = make("span", { class: "vt-title" });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Answered" });
    this.left = make("span", { class: "vt-left" });
    this.ask = make("div", { class: "vt-ask" });
    this.pictures = make("span", { class: "vt-pictures" });
    this.away = make("span", { class: "vt-away" });
    this.choices = make("div", { class: "vt-choices", role: "group", "aria-label": "Answers" });
    this.answer = make("div", {
      class: "vt-answer",
      role: "region",
      "aria-label": "Answer",
      "aria-live": "polite",
      hidden: true,
    });
    /** @type {Asked | undefined} what is shown */
    this.shown = undefined;
    /** @type {number | undefined} number of the last answer that was sent */
    this.said = undefined;
    /** What was shown last, as text to compare. */
    this.item = this.words = "";
    this.root = make(
      "div",
      { class: "vt-queue" },
      this.pictures,
      make(
        "div",
        { class: "vt-asked" },
        make("div", { class: "vt-progress" }, this.title, this.bar, this.left, this.away),
        this.ask,
        this.choices,
      ),
    );
    annotator.root.prepend(this.root);
    annotator.around.append(this.answer);
    annotator.root.classList.add("vt-asks");
  }

  get keys() {
    return (this.shown?.choices ?? [])
      .map(c => [c.key, c.text])
      .concat([
        ["Home", "the frame that is asked"],
        ["Ctrl+Z", "undo; with nothing to undo, the answer before"],
      ]);
  }

  // Between an answer and the next question nothing is drawn: it would be of a frame that is no longer asked.
  get waits() {
    return this.annotator.link.answered < (this.said ?? 0);
  }

  /** @param {Asked} q */
  update(q) {
    const a = this.annotator,
      item = JSON.stringify([q.place, q.done, q.answer, q.ask]);
    if (item !== this.item) {
      a.outline = null;
      a.stage.zoom = 1;
      a.stage.centre = null;
    }
    this.item = item;
    this.shown = q;
    this.title.textContent = q.answer
      ? `${q.done} answered`
      : q.total === null
        ? `Number ${q.done + 1}`
        : `${Math.min(q.done + 1, q.total)} of ${q.total}`;
    this.bar.hidden = q.total === null;
    this.bar.value = q.total ? q.done / q.total : 1;
    this.left.textContent = q.left;
    this.ask.textContent = q.answer ? "" : q.ask;
    this.away.textContent =
      q.here || q.answer ? "" : `You look at frame ${a.view.frame}; frame ${q.place} is asked (Home).`;
    this.pictures.replaceChildren(
      ...(q.pictures ?? []).map(([src, caption]) =>
        make("figure", {}, make("img", { src, alt: caption }), make("figcaption", {}, caption)),
      ),
    );
    a.root.classList.toggle("vt-single", Boolean(a.view.fixed) && a.view.objects.length < 2);
    a.root.classList.toggle("vt-answered", q.answer);
    const words = JSON.stringify(q.choices);
    if (words !== this.words) {
      this.words = words;
      const held = this.choices.contains(focused(a.root));
      this.choices.replaceChildren(
        ...q.choices.map(c =>
          make(
            "button",
            {
              type: "button",
              class: c.main ? "vt-main-choice" : "",
              "aria-pressed": c.on ? "true" : null,
              title: `${c.text} (${c.key})`,
              onclick: () => this.say(c),
            },
            make("kbd", {}, c.key),
            c.text,
          ),
        ),
      );
      if (held) a.root.focus({ preventScroll: true });
    }
    this.answer.hidden = !q.answer;
    if (q.answer) this.answer.replaceChildren(...this.told(q));
  }

  /** @param {Asked} q */
  told(q) {
    const levels = make("div", {});
    levels.innerHTML = q.chart; // made by vtlab.show.intervals, names in it are escaped
    return [
      make("p", { class: "vt-sentence" }, q.sentence),
      levels,
      ...q.notes.map(n => make("p", { class: "vt-small" }, n)),
    ];
  }

  /**
   * Nor is anything said twice: the second word would answer a question that nobody has seen.
   * @param {import("./types.js").Choice} c
   */
  say(c) {
    if (this.waits) return;
    this.annotator.root.focus({ preventScroll: true });
    this.annotator.send(c.do);
    if (c.do.do !== "absent") this.said = this.annotator.link.number; // that one stays on its question
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const a = this.annotator;
    if (e.ctrlKey || e.metaKey || e.altKey || !this.shown) return false;
    if (e.key === "Home") return (a.send({ do: "home" }), true);
    // a button keeps its key, an outline is closed first
    if (e.key === "Enter" && (a.outline || e.composedPath()[0] !== a.root)) return false;
    const found = this.shown.choices.find(c => c.key === e.key);
    if (!found) return false;
    if (!e.repeat) this.say(found);
    return true;
  }
}

PANELS.queue = Asking;
