import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../../test/support/random.ts";
import { decodeEnvelope, encodeEnvelope } from "./envelope.ts";

const headers = {
  enqueuedAt: 1_795_434_598_085,
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

test("what JSON can hold comes back as it was, and what it leaves out stays out", () => {
  const data = {
    text: "Ünï 🦊 \u0000 \u2028",
    list: [1, -0.5, 1e300, null, true],
    nested: { "": {} },
    gone: undefined,
  };

  const read = decodeEnvelope(encodeEnvelope("mail", { headers: { ...headers, "x-request-id": "r" }, data }, 1_000));

  assert.deepEqual(read.headers, { ...headers, "x-request-id": "r" });
  assert.deepEqual(read.data, JSON.parse(JSON.stringify(data)));
  assert.equal(decodeEnvelope(encodeEnvelope("mail", { headers, data: undefined }, 1_000)).data, undefined);
});

function encode(text: string, most: number): string {
  return encodeEnvelope("mail", { headers: { enqueuedAt: 1 }, data: text }, most);
}

test("the limit is on bytes of UTF-8, and counts the whole body", () => {
  const bare = Buffer.byteLength(encode("", 1_000));

  for (const [text, bytes] of [
    ["a", 1],
    ["ü", 2],
    ["€", 3],
    ["🦊", 4],
  ] as const) {
    assert.equal(Buffer.byteLength(encode(text.repeat(10), bare + bytes * 10)), bare + bytes * 10, text);
    assert.throws(() => encode(text.repeat(10), bare + bytes * 10 - 1), { code: "ERR_JOB_PAYLOAD" }, text);
  }
});

test("headers of a foreign type are left out, and strange ones do no harm", () => {
  const read = decodeEnvelope(
    `{"v":1,"headers":{"enqueuedAt":5,"traceparent":7,"x-request-id":{},"other":1},"data":2}`,
  );

  assert.deepEqual(read, { headers: { enqueuedAt: 5 }, data: 2 });
});

test("a body that was damaged anywhere is either read or refused as an envelope, never anything else", (t) => {
  const random = randomFrom();
  t.diagnostic(`SEED=${random.seed}`);
  const whole = encodeEnvelope("mail", { headers, data: { to: ["a", "b"], n: 1 } }, 1_000);

  let refused = 0;
  for (let round = 0; round < 5_000; round += 1) {
    const at = random.below(whole.length);
    const junk = random.pick(["", '"', "{", "}", "null", "0", "\\", ":", "[", "é"]);
    const body = whole.slice(0, at) + junk + whole.slice(at + random.below(4));
    try {
      assert.equal(typeof decodeEnvelope(body).headers.enqueuedAt, "number");
    } catch (error) {
      assert.equal(Reflect.get(Object(error), "code"), "ERR_JOB_ENVELOPE", body);
      refused += 1;
    }
  }

  assert.ok(refused > 1_000);
});
