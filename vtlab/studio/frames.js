// @ts-check
// The pictures of a player and what is drawn on them, fetched ahead.

export const BATCH = 16,
  KEEP = 120,
  AHEAD = 32;

/** @typedef {import("./overlay.js").Overlaid} Overlaid */
/** @typedef {Overlaid & {picture: ImageBitmap}} Pictured */

/**
 * Pictures and overlays of frames: the newest KEEP are kept, requests are never sent twice. Few are on their
 * way at a time, so that scrubbing does not queue up frames that nobody waits for.
 */
export class Store {
  /**
   * @param {import("./link.js").Link} link
   * @param {number} count frames of the video
   * @param {() => void} changed
   */
  constructor(link, count, changed) {
    this.link = link;
    this.count = count;
    this.changed = changed;
    /** @type {Map<number, Pictured>} */
    this.known = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
  }
  /** @param {number} frame */
  get(frame) {
    const found = this.known.get(frame);
    if (found) {
      this.known.delete(frame);
      this.known.set(frame, found);
    }
    return found;
  }
  /**
   * @param {number} first
   * @param {number} n frames from it on
   */
  want(first, n) {
    if (this.asked.size > (n > 1 ? BATCH : 0)) return;
    const missing = [];
    for (let i = first; i < Math.min(first + n, this.count) && missing.length < BATCH; i++)
      if (!this.known.has(i) && !this.asked.has(i)) missing.push(i);
    if (!missing.length) return;
    missing.forEach(i => this.asked.add(i));
    this.link.post({ do: "frames", frames: missing });
  }
  /**
   * @param {Overlaid[]} overlays
   * @param {DataView<ArrayBuffer>[]} buffers a JPEG file for each
   */
  async take(overlays, buffers) {
    await Promise.all(
      overlays.map(async (overlay, k) => {
        const bytes = buffers[k];
        const picture = await createImageBitmap(
          new Blob(
            [bytes.buffer ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes],
            { type: "image/jpeg" },
          ),
        );
        this.asked.delete(overlay.frame);
        this.known.set(overlay.frame, { ...overlay, picture });
      }),
    );
    for (const [oldest, value] of this.known) {
      if (this.known.size <= KEEP) break;
      value.picture.close();
      this.known.delete(oldest);
    }
    this.changed();
  }
  failed() {
    this.asked.clear();
  }
  clear() {
    for (const v of this.known.values()) v.picture.close();
    this.known.clear();
    this.asked.clear();
  }
}
