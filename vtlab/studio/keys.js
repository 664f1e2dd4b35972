// @ts-check
// The tools and what the help lists of keys.

/** @type {Record<string, {key: string, name: string, icon: string, hint: string, one?: string}>} */
export const TOOLS = {
  box: {
    key: "b",
    name: "Box",
    icon: "M2.5 4.5h11v7h-11z",
    hint:
      "Drag a box: a new object. The selected one moves by its inside, its handles, its knob; " +
      "Shift draws inside it, Alt draws it anew.",
    one:
      "Drag a box around the object, once more to draw it anew. " +
      "It moves by its inside, its handles, its knob.",
  },
  click: {
    key: "c",
    name: "Click",
    icon: "M8 1v5M8 10v5M1 8h5M10 8h5",
    hint: "Click on the object; right-click (or Alt) beside it. The mask follows.",
  },
  polygon: {
    key: "g",
    name: "Polygon",
    icon: "M8 1.5 14.5 6 12 14H4L1.5 6z",
    hint: "Click the outline; Enter, double-click or the first point closes it. Esc gives up.",
  },
  brush: {
    key: "p",
    name: "Brush",
    icon: "M13.5 2.5 6 10M6 10c-2 0-3 1-3.5 3.5C5 13 6 12 6 10z",
    hint: "Paint the mask. [ and ] change the size; Alt erases.",
  },
  eraser: {
    key: "e",
    name: "Eraser",
    icon: "M6 13 2 9l6.5-6.5 5 5L8 13zM6 13h8",
    hint: "Erase from the mask. [ and ] change the size.",
  },
  points: {
    key: "o",
    name: "Points",
    icon: "M4 5.5h.1M12 4h.1M8 12h.1",
    hint: "Click points to follow; drag one to move, right-click one to remove.",
  },
  skeleton: {
    key: "k",
    name: "Skeleton",
    icon: "M8 2v6M8 8l-4 6M8 8l4 6M4 5h8",
    hint: "Click the nodes in order; drag one to move, right-click one to mark it occluded.",
  },
};

export const KEYS = [
  ["b c g p e o k", "tools: box, click, polygon, brush, eraser, points, skeleton"],
  ["n", "new object"],
  ["1 … 9, ↑ ↓", "select an object: by its place, the one before or after"],
  ["l", "name the object"],
  ["h", "hide or show the object"],
  ["Delete", "delete its figures on this frame (Shift: everywhere)"],
  ["Alt+arrows", "nudge by 1 px (with Shift 10)"],
  [", .", "turn the box by 1° (with Shift 10°)"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["← →", "one frame (Shift: 10)"],
  ["Home End", "first, last frame"],
  ["j", "go to a frame by its number"],
  ["wheel, + − 0", "zoom, fit (the wheel once the widget has the focus)"],
  ["Space+drag", "pan (or the middle button)"],
  ["[ ]", "brush size"],
  ["Enter Esc", "close, give up a polygon"],
  ["?", "this list"],
];
export const COPY_KEYS = [
  ["d", "duplicate to the next frame"],
  ["Ctrl+C, Ctrl+V", "copy the object's figures, put them on another frame"],
]; // annotator
export const TRACK_KEYS = [
  ["f r t", "track forward, backward, both ways"],
  ["u", "all objects, or the selected one alone"],
  ["Shift+O", "swap and merge with the next other object"],
  ["s", "stop tracking"],
  ["a", "absent on this frame"],
  ["m", "fill between key figures"],
  ["Shift+A", "no longer exists from here on"],
  ["Shift+S, Shift+W, Shift+M", "split here; swap with the other object from here on; merge them"],
  ["Alt+S", "save"],
  ["w q", "next, previous doubtful place"],
  ["y", "it looks right"],
  ["PgDn PgUp", "next, previous key figure of the object"],
];
