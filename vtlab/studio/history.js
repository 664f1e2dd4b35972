// @ts-check
// What was typed into one field, to take back and to bring again.

import { clamp } from "./geometry.js";

export class TextHistory {
  /** @param {string} value what the field holds when it is entered */
  constructor(value) {
    this.values = [value];
    this.at = 0;
  }

  /**
   * A new value; what was taken back before it is forgotten.
   * @param {string} value
   */
  put(value) {
    this.values.splice(++this.at, Infinity, value);
  }

  /**
   * The value so many steps on (1) or back (-1), or the last one on that side.
   * @param {number} by
   */
  step(by) {
    this.at = clamp(this.at + by, 0, this.values.length - 1);
    return this.values[this.at];
  }
}
