// @ts-check
// What the kernel says of a view, what an edit is, and what widgets are made of, as far as several files
// read it. Nothing of it goes to the browser.

/**
 * @typedef {object} Model the widget's end of what it shares with the kernel (anywidget)
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(message: object) => unknown} send
 * @property {(events: string, heard: (...told: any[]) => void) => void} on
 * @property {(events: string, heard: (...told: any[]) => void) => void} off
 */

/** @typedef {{model: Model, el: HTMLElement}} Place where a widget is shown, and its model */

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
 * @property {boolean} [led] it has led to the frame that is shown
 */

/**
 * @typedef {object} Work
 * @property {number} seconds of the frame that is shown
 * @property {number} total seconds
 * @property {number} fps
 * @property {[string, string][]} classes name and colour
 * @property {string} by "object" or "class": what colours tell
 * @property {{frame: number, src?: string}[] | null} thumbnails
 * @property {Record<string, unknown>} [object] attributes of the object
 * @property {Record<string, unknown>} [figure] attributes from a frame on
 */

/** @typedef {{key: string, text: string, do: Edit, main?: boolean, on?: boolean}} Choice a possible answer */

/**
 * @typedef {object} Queue
 * @property {number} place frame that is asked
 * @property {boolean} here whether it is shown
 * @property {number} done
 * @property {number | null} total
 * @property {string} left
 * @property {string} ask
 * @property {[string, string][]} [pictures] source and caption
 * @property {Choice[]} choices
 * @property {boolean} answer whether there is one
 * @property {string} sentence
 * @property {string} chart
 * @property {string[]} notes
 */

/** @typedef {{id: number, dashed?: boolean, stale?: boolean, note?: string}} Drawn of an object, and how */
/**
 * @typedef {object} Dots
 * @property {number[][]} points
 * @property {string} [shape]
 * @property {number[][]} [edges]
 * @property {boolean[]} [occluded]
 * @property {string[]} [names]
 */
/** @typedef {Drawn & {kind: "box", xyxy: number[], angle?: number}} Box turned by radians */
/** @typedef {Drawn & {kind: "mask", at: number[], polygon?: number[][]}} Mask and where its name stands */
/** @typedef {Drawn & {kind: "click", points: number[][], positive: boolean[]}} Clicks */
/** @typedef {Drawn & {kind: "stroke", points: number[][], radius: number, erase: boolean}} Stroke */
/** @typedef {Drawn & {kind: "outline", points: number[][]}} Outline */
/** @typedef {Drawn & Dots & {kind: "point"}} Points */
/** @typedef {Drawn & Dots & {kind: "skeleton"}} Skeleton */
/** @typedef {Box | Mask | Clicks | Stroke | Outline | Points | Skeleton} Figure in pixels of the frame */
/** @typedef {Figure["kind"]} Kind */

/**
 * @typedef {object} View
 * @property {number} width
 * @property {number} height
 * @property {number} frame
 * @property {number} n_frames
 * @property {number} selected
 * @property {Item[]} objects
 * @property {Figure[]} figures
 * @property {string[]} tools
 * @property {string[]} labels that are in use
 * @property {string[]} palette
 * @property {boolean} undo
 * @property {boolean} redo
 * @property {string} message
 * @property {boolean} [fixed] objects are given
 * @property {{names: string[], edges: number[][]}} [skeleton]
 * @property {Record<string, number>} answered number of each view's last edit that was carried out
 * @property {Tracking | null} [tracking]
 * @property {Work} [work]
 * @property {Queue} [queue]
 */

/** @typedef {{do: string, [value: string]: any}} Edit a name and what belongs to it; see handling.py */
/** @typedef {{frame: number, object_id: number}} At where an edit was made, and about which object */

/**
 * @typedef {object} Gesture
 * @property {(p: number[], event: PointerEvent) => unknown} [move]
 * @property {(p: number[], event: PointerEvent) => unknown} [up]
 */

/**
 * @typedef {object} Panel what other files add to the annotator
 * @property {string[][]} keys key and what it does, for the help
 * @property {boolean} [waits] whether nothing may be drawn now
 * @property {(told: any) => void} update
 * @property {(event: KeyboardEvent) => boolean} key whether the key meant something
 */

export {};
