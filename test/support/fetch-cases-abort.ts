/** Rows about aborts at every stage of a request. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Socket } from "node:net";
import type { Bench, FetchCase } from "./fetch-case.ts";
import { settle } from "./fetch-case.ts";
import type { RawRequest } from "./wire-server.ts";

const silent = (): void => {
  // The server never answers.
};
const firstHalf = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
const half = (_: RawRequest, socket: Socket): void => void socket.write(firstHalf);

async function* failingSource(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array([65]);
  await delay(10);
  throw new RangeError("source");
}

/** A row that aborts at some stage of `use`. */
function aborts(
  name: string,
  answer: FetchCase["answer"],
  use: (bench: Bench, controller: AbortController) => Promise<unknown>,
): FetchCase {
  return { name, ...(answer === undefined ? {} : { answer }), run: (bench) => use(bench, new AbortController()) };
}

export const abortCases: readonly FetchCase[] = [
  aborts("aborted before the call", undefined, ({ fetch, at }) =>
    settle(fetch(at("/"), { signal: AbortSignal.abort() })),
  ),
  aborts("aborted before the call, with a reason", undefined, ({ fetch, at }) =>
    settle(fetch(at("/"), { signal: AbortSignal.abort("reason") })),
  ),
  aborts("an invalid call is a TypeError even if aborted", undefined, ({ fetch, at }) =>
    settle(fetch(at("/"), { signal: AbortSignal.abort(), method: "a b" })),
  ),
  aborts("aborted before the call, with a stream to send", undefined, async ({ fetch, at }) => {
    let cancelled: unknown = "no";
    const body = new ReadableStream({ cancel: (reason) => void (cancelled = reason) });
    const signal = AbortSignal.abort("reason");
    return [await settle(fetch(at("/"), { method: "POST", body, duplex: "half", signal })), cancelled];
  }),
  aborts("aborted in the same tick", silent, async ({ fetch, at }, controller) => {
    const pending = settle(fetch(at("/"), { signal: controller.signal }));
    controller.abort();
    return pending;
  }),
  aborts("aborted before the header", silent, async ({ fetch, at }, controller) => {
    const pending = settle(fetch(at("/"), { signal: controller.signal }));
    await delay(20);
    controller.abort(new RangeError("mine"));
    return pending;
  }),
  aborts("aborted by a Request's signal", silent, async ({ fetch, at, classes }, controller) => {
    const pending = settle(fetch(new classes.Request(at("/"), { signal: controller.signal })));
    await delay(20);
    controller.abort();
    return pending;
  }),
  aborts("a timeout before the header", silent, ({ fetch, at }) =>
    settle(fetch(at("/"), { signal: AbortSignal.timeout(300) })),
  ),
  aborts("aborted while the text is read", half, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    const pending = settle(response.text());
    await delay(10);
    controller.abort();
    return [await pending, response.bodyUsed];
  }),
  aborts("a timeout while the text is read", half, async ({ fetch, at }) => {
    const response = await fetch(at("/"), { signal: AbortSignal.timeout(300) });
    return settle(response.text());
  }),
  aborts("aborted while the body is streamed", half, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    controller.abort("reason");
    return [first?.value?.length, await settle(Promise.resolve(reader?.read())), await settle(Promise.resolve(reader?.closed))]; // prettier-ignore
  }),
  aborts("aborted between header and reading", half, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    await delay(10);
    controller.abort("reason");
    return [response.bodyUsed, await settle(response.text())];
  }),
  aborts("aborted after everything has arrived but before reading", undefined, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    await delay(10);
    controller.abort("reason");
    return settle(response.text());
  }),
  aborts("aborted after reading changes nothing", undefined, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    const text = await response.text();
    controller.abort();
    return [text, await settle(response.text())];
  }),
  aborts("aborted after a clone ends both", half, async ({ fetch, at }, controller) => {
    const response = await fetch(at("/"), { signal: controller.signal });
    const clone = response.clone();
    controller.abort("reason");
    return [await settle(response.text()), await settle(clone.text())];
  }),
  {
    ...aborts("aborted while a stream is sent", silent, async ({ fetch, at }, controller) => {
      let cancelled: unknown = "no";
      const body = new ReadableStream({
        start: (sink) => sink.enqueue(new Uint8Array([65])),
        cancel: (reason) => void (cancelled = reason),
      });
      const pending = settle(fetch(at("/"), { method: "POST", body, duplex: "half", signal: controller.signal }));
      await delay(30);
      controller.abort("reason");
      const outcome = await pending;
      await delay(5);
      return [outcome, cancelled];
    }),
    oursDiffers: {
      reason: "built-in fetch leaves the source of an aborted upload open; the standard cancels it, and so do we",
      check: (ours, builtIn): void => {
        const outcome = { threw: { thrown: "reason" } };
        assert.deepEqual(ours, { wire: builtIn.wire, seen: [outcome, "reason"] });
        assert.deepEqual(builtIn.seen, [outcome, "no"]);
      },
    },
  },
  aborts("a stream to send that fails", silent, async ({ fetch, at }) => {
    const body = new ReadableStream({ pull: () => Promise.reject(new RangeError("source")) });
    return settle(fetch(at("/"), { method: "POST", body, duplex: "half" }));
  }),
  aborts("a stream to send that fails half-way", silent, async ({ fetch, at }) => {
    const body = ReadableStream.from(failingSource());
    return settle(fetch(at("/"), { method: "POST", body, duplex: "half" }));
  }),
];
