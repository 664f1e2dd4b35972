import assert from "node:assert/strict";
import { test } from "node:test";

import { predicted } from "../../../vtlab/studio/predict.js";

const at = { frame: 4, object_id: 1 };
const view = () => ({
  frame: 4,
  selected: 1,
  palette: ["#000", "#111"],
  objects: [{ id: 1, label: "", colour: "#000", shown: true, frames: [] }],
  figures: [],
});

test("a box is there before the kernel says so, and the view given is as it was", () => {
  const before = view();
  const after = predicted(before, [{ do: "box", xyxy: [1, 2, 3, 4], at }]);
  assert.deepEqual(after.figures, [{ id: 1, kind: "box", xyxy: [1, 2, 3, 4], angle: 0 }]);
  assert.deepEqual(after.objects[0].frames, [4]);
  assert.deepEqual(before, view());
});

test("what is drawn on another frame isn't seen on this one", () => {
  assert.deepEqual(
    predicted(view(), [{ do: "box", xyxy: [1, 2, 3, 4], at: { ...at, frame: 5 } }]).figures,
    [],
  );
});

test("points are added one by one", () => {
  const edits = [1, 2].map(x => ({ do: "add_point", x, y: 0, at }));
  assert.deepEqual(predicted(view(), edits).figures[0].points, [
    [1, 0],
    [2, 0],
  ]);
});

test("a new object takes its place and colour in the list", () => {
  const after = predicted(view(), [{ do: "select", object_id: 2 }]);
  assert.deepEqual(after.objects.at(-1), { id: 2, label: "", colour: "#111", shown: true, frames: [] });
});

test("an outline changes the polygon of its mask", () => {
  const before = { ...view(), figures: [{ id: 1, kind: "mask", polygon: [[0, 0]] }] };
  const points = [
    [0, 0],
    [4, 0],
    [4, 4],
  ];
  const after = predicted(before, [{ do: "polygon", points, at }]);
  assert.deepEqual(after.figures.find(f => f.kind === "mask").polygon, points);
});
