// @ts-check
// What an edit is about. The other end is handling.py.

export const DRAWS = new Set([
  "box",
  "click",
  "polygon",
  "paint",
  "points",
  "add_point",
  "nodes",
  "add_node",
]);
export const OF_OBJECT = new Set(["swap", "split", "merge", "track", "looks_right"]);
// those say themselves of whom
export const OF_FRAME = new Set([
  "delete",
  "duplicate",
  "absent",
  "gone",
  "occluded",
  "outside",
  "describe",
  "propagate",
  "track_frame",
]);
