/** The OpenAI SDK over a transport's fetch, against a small API of our own: plain answers, streams, aborts. */

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import OpenAI from "openai";
import { Transport } from "sluice/client";
import { until } from "../support/loopback.ts";
import { serve, type Served } from "../support/node-http.ts";
import { assertQuiet } from "../support/transport-checks.ts";
import { testPeer } from "../support/peer-contract.ts";

function clientOf(transport: Transport, baseURL: string): OpenAI {
  return new OpenAI({ apiKey: "none", baseURL, fetch: transport.fetch, maxRetries: 0, timeout: 5_000 });
}

testPeer("OpenAI SDK, fetch option", (transport) => ({
  get: async (url, signal) => {
    const { origin, pathname, search } = new URL(url);
    const answer = await clientOf(transport, origin)
      .get(pathname + search, { ...(signal && { signal }) })
      .asResponse();
    return answer.text();
  },
}));

async function sendEvents(response: ServerResponse, words: readonly string[]): Promise<void> {
  response.setHeader("content-type", "text/event-stream");
  for (const content of words) {
    const chunk = { id: "1", object: "chat.completion.chunk", created: 1, model: "m" };
    response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta: { content } }] })}\n\n`);
    // oxlint-disable-next-line no-await-in-loop -- a model speaks one word after the other
    await sleep(2);
    if (response.destroyed) return;
  }
  response.end("data: [DONE]\n\n");
}

/** Completes every chat with the same words, as a stream. */
function serveChat(words: readonly string[]): Promise<Served> {
  return serve((request, response) => {
    request.resume().on("end", () => void sendEvents(response, words));
  });
}

const ask: OpenAI.ChatCompletionCreateParamsStreaming = {
  model: "m",
  messages: [{ role: "user", content: "?" }],
  stream: true,
};

test("streamed completions come word by word, one after another over one connection", async () => {
  const words = ["one ", "two ", "three"];
  await using served = await serveChat(words);
  await using transport = new Transport();
  const client = clientOf(transport, served.url);
  for (let round = 0; round < 5; round += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    const stream = await client.chat.completions.create(ask);
    const heard: (string | null | undefined)[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    for await (const chunk of stream) heard.push(chunk.choices[0]?.delta.content);
    assert.deepEqual(heard, words);
    // The SDK stops at [DONE] and drops what is left of the body; the transport reads that much.
    // oxlint-disable-next-line no-await-in-loop -- one after another is the point
    await until(() => transport.stats().inUse === 0);
  }
  await assertQuiet(transport);
  assert.equal(served.accepted(), 1);
});

test("an abort in the middle of a stream closes its connection and nothing else", async () => {
  await using served = await serveChat(Array.from({ length: 10_000 }, (_, index) => `${index} `));
  await using transport = new Transport();
  const client = clientOf(transport, served.url);
  const stream = await client.chat.completions.create(ask);
  const kept = await client.chat.completions.create(ask);
  let heard = 0;
  for await (const _chunk of stream) {
    heard += 1;
    if (heard === 5) stream.controller.abort();
  }
  assert.equal(heard >= 5 && heard < 100, true);
  await until(() => transport.stats().inUse === 1);
  assert.equal(transport.stats().inUse, 1);
  for await (const _chunk of kept) break;
  await assertQuiet(transport);
  await until(() => served.server.connections.size === transport.stats().idle);
  assert.equal(served.server.connections.size, transport.stats().idle);
});
