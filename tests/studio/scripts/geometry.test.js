import assert from "node:assert/strict";
import { test } from "node:test";

import * as geometry from "../../../vtlab/studio/geometry.js";

const close = (a, b, far = 1e-9) =>
  assert.ok(Math.max(...a.map((v, i) => Math.abs(v - b[i]))) <= far, `${a} is not ${b}`);
const SIZE = [100, 80];
const QUARTER = Math.PI / 2;

test("a quarter turn is clockwise on the screen, about the middle", () => {
  close(geometry.turn([10, 0], [0, 0], QUARTER), [0, 10]);
  close(geometry.corners({ xyxy: [0, 0, 20, 10], angle: QUARTER })[0], [15, -5]);
  close(geometry.turn(geometry.turn([3, 4], [1, 2], 0.7), [1, 2], -0.7), [3, 4]);
});

test("handles go clockwise from the upper left", () => {
  const found = geometry.handles({ xyxy: [0, 0, 20, 10] });
  assert.deepEqual(found[0], [0, 0]);
  assert.deepEqual(found[1], [10, 0]);
  assert.deepEqual(found[4], [20, 10]);
  assert.deepEqual(found[7], [0, 5]);
});

test("the knob stands above the box, or where there is room", () => {
  const at = xyxy => geometry.knob({ xyxy }, 1, SIZE)[1];
  assert.deepEqual(at([40, 40, 60, 60]), [50, 16]);
  assert.deepEqual(at([40, 5, 60, 30]), [50, 54]);
  assert.deepEqual(at([0, 0, 60, 80]), [84, 40]);
  assert.deepEqual(at([40, 0, 100, 80]), [16, 40]);
  assert.deepEqual(at([0, 0, 100, 80]), [50, 24]);
  assert.deepEqual(geometry.knob({ xyxy: [40, 40, 60, 60] }, 2, SIZE)[1], [50, 28]);
});

test("a turned box is hit where it is seen", () => {
  const box = { xyxy: [0, 40, 100, 50], angle: QUARTER };
  assert.ok(geometry.inside(box, [50, 5]));
  assert.ok(!geometry.inside(box, [5, 45]));
  assert.ok(geometry.inside(box, [57, 45], 3));
});

test("a box is drawn from any of its corners, in hundredths", () => {
  assert.deepEqual(geometry.spanned([9, 1.004], [2.006, 7]), [2.01, 1, 9, 7]);
});

test("a box that is moved stays in the frame", () => {
  const box = { xyxy: [10, 10, 30, 20] };
  assert.deepEqual(geometry.movedBox(box, [5, -3], SIZE), [15, 7, 35, 17]);
  assert.deepEqual(geometry.movedBox(box, [-50, 500], SIZE), [0, 70, 20, 80]);
  const outside = { xyxy: [-10, 10, 30, 20] };
  assert.deepEqual(geometry.movedBox(outside, [-5, 0], SIZE), [-10, 10, 30, 20]);
});

test("a handle moves its edges alone, and past the other side the box turns over", () => {
  const box = { xyxy: [10, 10, 30, 20] };
  assert.deepEqual(geometry.resizedBox(box, 0, [5, 6]), [5, 6, 30, 20]);
  assert.deepEqual(geometry.resizedBox(box, 3, [50, 99]), [10, 10, 50, 20]);
  assert.deepEqual(geometry.resizedBox(box, 0, [40, 25]), [30, 20, 40, 25]);
});

test("of a turned box that is resized the far corner stays", () => {
  const box = { xyxy: [10, 10, 30, 20], angle: 0.6 };
  const larger = { xyxy: geometry.resizedBox(box, 0, [2, 1]), angle: 0.6 };
  close(geometry.corners(larger)[2], geometry.corners(box)[2], 0.02);
  close(geometry.corners(larger)[0], [2, 1], 0.02);
});

test("the knob turns freely, with Shift in steps of 15 degrees", () => {
  const box = { xyxy: [0, 0, 20, 20], angle: 0 };
  assert.equal(geometry.turnedAngle(box, [10, 0], [20, 10]), 1.5708);
  assert.equal(geometry.turnedAngle(box, [10, 0], [12, 0], true), 0.2618);
  assert.equal(geometry.turnedAngle({ ...box, angle: 0.1 }, [10, 0], [10, 0]), 0.1);
});

test("an edge is hit between its ends alone", () => {
  assert.ok(geometry.onEdge([5, 2], [0, 0], [10, 0], 3));
  assert.ok(!geometry.onEdge([14, 0], [0, 0], [10, 0], 3));
  assert.ok(geometry.onEdge([1, 0], [0, 0], [0, 0], 3));
});
