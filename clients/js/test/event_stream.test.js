import assert from "node:assert/strict";
import { test } from "node:test";

import { eventReader } from "../dist/esm/event_stream.js";
import { randomOf } from "../support/random.js";

const TEXT = [
  ": a comment\n",
  "data: one\n\n",
  "event: close\r\ndata: {\"code\": 1012}\r\n\r\n",
  "id: 7\rdata:two\rdata: lines\r\r",
  "retry: 5\n\n",
  "event\ndata\n\n",
  "data: a\u{1f600}\n\n",
  "data: without an end",
].join("");
const EVENTS = [
  { type: "message", data: "one" },
  { type: "close", data: '{"code": 1012}' },
  { type: "message", data: "two\nlines" },
  { type: "message", data: "" },
  { type: "message", data: "a\u{1f600}" },
];

test("events are read as the standard says: all line ends, several data lines, comments, unknown fields, one leading space", () => {
  assert.deepEqual(eventReader()(TEXT), EVENTS);
});

test("it does not matter where the pieces end", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomOf(seed);
    const read = eventReader();
    const found = [];
    for (let from = 0; from < TEXT.length; ) {
      const to = from + Math.floor(random() * 5);
      found.push(...read(TEXT.slice(from, to)));
      from = to;
    }
    assert.deepEqual(found, EVENTS, `seed ${seed}`);
  }
});

test("an event without end is refused, and comments without end are not kept", () => {
  const read = eventReader(1_000);
  for (let n = 0; n < 1_000; n++) assert.deepEqual(read(": heartbeat\n"), []);
  assert.throws(() => {
    for (let n = 0; n < 300; n++) read("data: x\n");
  }, RangeError);
  assert.throws(() => eventReader(1_000)("x".repeat(1_001)), RangeError);
});

test("a long event in many pieces takes linear time", () => {
  const read = eventReader();
  read("data: ");
  // what is linear ends in a fraction of a second, and what grows with the square would take minutes
  for (let n = 0; n < 100_000; n++) assert.deepEqual(read("x".repeat(100)), []);
  assert.equal(read("\n\n")[0].data.length, 10_000_000);
});
