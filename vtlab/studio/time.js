// @ts-check
// Times in words.

/**
 * Seconds as minutes:seconds in hundredths: 61.5 is "1:01.50".
 * @param {number} seconds
 */
export function clock(seconds) {
  const hundredths = Math.round(seconds * 100); // rounded first: 59.999 is 1:00.00, not 0:60.00
  return `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

/**
 * How far a run of tracking is, in words.
 * @param {{done: number, total: number, both?: boolean, left?: number}} run frames done, of all; seconds left
 */
export function progressOf({ done, total, both, left }) {
  const steps = both ? " steps, there and back" : "";
  return `${done} / ${total || "…"}${steps}${left ? ` · ${Math.ceil(left)} s left` : ""}`;
}
