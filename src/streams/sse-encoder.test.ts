import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../../test/support/random.ts";
import { encodeComment, encodeEvent, encodeRetry, type SseEvent } from "./sse-encoder.ts";
import { SpecParser, type DispatchedEvent } from "../../test/support/event-stream-parser.ts";

function parse(...frames: readonly Buffer[]): DispatchedEvent[] {
  const parser = new SpecParser();
  for (const frame of frames) parser.push(frame);
  return parser.events;
}

test("an event is dispatched with its data, its name and its id", () => {
  const frame = encodeEvent({ data: "hello", event: "greeting", id: "7" });

  assert.deepEqual(parse(frame), [{ type: "greeting", data: "hello", lastEventId: "7" }]);
});

test("data that looks like other fields stays data", () => {
  const hostile = "one\r\nevent: admin\rid: 9\n\ndata: forged\n\n: comment";

  const events = parse(encodeEvent({ data: hostile, id: "1" }));

  assert.deepEqual(events, [{ type: "message", data: hostile.replaceAll(/\r\n|\r/g, "\n"), lastEventId: "1" }]);
});

test("a name or an id cannot become another field, and an id keeps no NUL", () => {
  const frame = encodeEvent({ data: "x", event: "a\ndata: forged", id: "1\r\n\r\ndata: forged\0" });

  assert.deepEqual(parse(frame), [{ type: "adata: forged", data: "x", lastEventId: "1data: forged" }]);
});

test("a comment and a time to wait dispatch nothing", () => {
  const parser = new SpecParser();
  parser.push(encodeComment("still\r\n\r\ndata: here"));
  parser.push(encodeRetry(1_500.4));

  assert.deepEqual(parser.events, []);
  assert.equal(parser.retryMs, 1_500);
});

test("an event without data only tells its id", () => {
  const events = parse(encodeEvent({ id: "4" }), encodeEvent({ data: "" }));

  assert.deepEqual(events, [{ type: "message", data: "", lastEventId: "4" }]);
});

test("what is no text is sent as JSON, and what has none as null", () => {
  const events = parse(
    encodeEvent({ data: { a: "1\n2" } }),
    encodeEvent({ data: null }),
    encodeEvent({ data: () => 1 }),
  );

  assert.deepEqual(
    events.map(({ data }) => data),
    ['{"a":"1\\n2"}', "null", "null"],
  );
});

const random = randomFrom();
const pieces = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  ":",
  " ",
  "data:",
  "id: 1",
  "event: x",
  "retry: 1",
  "é",
  "\u{1F600}",
  "\uFEFF",
  "a",
  "",
];

const clean = (text: string): string => text.replaceAll(/[\r\n\0]/g, "");

function randomText(): string {
  return Array.from({ length: random.below(8) }, () => random.pick(pieces)).join("");
}

test(`whatever is sent, the client gets those events and no others (seed ${random.seed})`, () => {
  for (let round = 0; round < 3_000; round += 1) {
    const sent: SseEvent[] = Array.from({ length: 1 + random.below(4) }, () => ({
      data: random.chance(0.9) ? randomText() : undefined,
      event: random.chance(0.5) ? randomText() : undefined,
      id: random.chance(0.5) ? randomText() : undefined,
    }));
    const bytes = Buffer.concat([
      encodeRetry(random.below(10_000)),
      ...sent.flatMap((event) => [encodeEvent(event), encodeComment(randomText())]),
    ]);

    const parser = new SpecParser();
    for (let at = 0; at < bytes.length;) {
      const next = at + 1 + random.below(9);
      parser.push(bytes.subarray(at, next));
      at = next;
    }

    let lastEventId = "";
    const expected = sent.flatMap(({ data, event = "", id }) => {
      if (id !== undefined) lastEventId = clean(id);
      if (typeof data !== "string") return [];
      return [{ type: clean(event) || "message", data: data.replaceAll(/\r\n|\r/g, "\n"), lastEventId }];
    });
    assert.deepEqual(parser.events, expected, `round ${round}`);
  }
});
