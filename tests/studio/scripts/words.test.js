import assert from "node:assert/strict";
import { test } from "node:test";

import { TextHistory } from "../../../vtlab/studio/history.js";
import { COPY_KEYS, KEYS, TOOLS, TRACK_KEYS } from "../../../vtlab/studio/keys.js";
import { dashColour, dashes } from "../../../vtlab/studio/paint.js";
import { clock, progressOf } from "../../../vtlab/studio/time.js";

test("a clock rounds before it carries", () => {
  assert.deepEqual([0, 61.5, 59.999, 3600].map(clock), ["0:00.00", "1:01.50", "1:00.00", "60:00.00"]);
});

test("progress says what is known", () => {
  assert.equal(progressOf({ done: 3, total: 0 }), "3 / …");
  assert.equal(
    progressOf({ done: 3, total: 8, both: true, left: 1.2 }),
    "3 / 8 steps, there and back · 2 s left",
  );
});

test("a field takes back and brings again what was typed", () => {
  const typed = new TextHistory("");
  for (const value of ["c", "ca", "cat"]) typed.put(value);
  assert.deepEqual([typed.step(-1), typed.step(-1), typed.step(1)], ["ca", "c", "ca"]);
  typed.put("car");
  assert.deepEqual([typed.step(1), typed.step(-9), typed.step(9)], ["car", "", "car"]);
});

test("no two tools have one key, and the help names each", () => {
  const keys = Object.values(TOOLS).map(tool => tool.key);
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(KEYS[0][0].split(" ").toSorted(), keys.toSorted());
});

test("no key of the corrector is one of a tool", () => {
  const tools = new Set(Object.values(TOOLS).map(tool => tool.key));
  const taken = [...TRACK_KEYS, ...COPY_KEYS]
    .flatMap(([key]) => key.split(" "))
    .filter(key => tools.has(key));
  assert.deepEqual(taken, []);
});

test("objects of one colour differ by their dashes", () => {
  assert.deepEqual(dashes(14), []);
  assert.deepEqual([dashes(15), dashColour(15)], [[2, 7], "#fff"]);
  assert.deepEqual([dashes(29), dashColour(29)], [[2, 7], "#000"]);
});
