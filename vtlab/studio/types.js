// @ts-check
// What the kernel says of a view, as far as several files read it. Nothing of it goes to the browser.

/**
 * @typedef {object} Item an object of the list
 * @property {number} id
 * @property {string} label
 * @property {string} colour
 * @property {boolean} shown
 * @property {number[]} frames frames with figures drawn by hand
 * @property {string} [note]
 * @property {boolean} [locked]
 * @property {boolean} [occluded]
 * @property {[number, number, string][]} [runs] first frame, end, and "tracked", "absent" or "stale"
 * @property {[number, number][]} [doubts] frame, and how doubtful from 0 to 1
 */

/**
 * @typedef {object} Tracking
 * @property {boolean} running
 * @property {number} done
 * @property {number} total
 * @property {boolean} [both]
 * @property {number} [left] seconds
 * @property {boolean} follow
 * @property {boolean} lead
 */

/**
 * @typedef {object} Figure in pixels of the full-size frame
 * @property {number} id of its object
 * @property {string} kind "box", "mask", "click", "stroke", "outline", "point" or "skeleton"
 * @property {number[]} [xyxy]
 * @property {number} [angle] radians
 * @property {number[][]} [points]
 * @property {number[][]} [polygon]
 */

/**
 * @typedef {object} View
 * @property {number} width
 * @property {number} height
 * @property {number} frame
 * @property {number} n_frames
 * @property {number} selected
 * @property {Item[]} objects
 * @property {Figure[]} figures
 * @property {Tracking | null} tracking
 */

export {};
