import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import {
  connectTo,
  protocols,
  serveGuarded,
  type KeptConnection,
  type Protocol,
} from "../../test/support/kept-connection.ts";
import { lateCalls, lateCallsOf, type AnyResponse } from "../../test/support/late-calls.ts";
import { containLateWrites } from "./late-methods.ts";
import { LateWrites } from "./late-writes.ts";

/** How an answer is cut off. Afterwards its handler goes on. */
const cuts: Readonly<Record<string, (res: AnyResponse, client: KeptConnection) => unknown>> = {
  "the client has left": async (res, client) => {
    client.leave();
    await once(res, "close");
  },
  "the client has given up": async (res, client) => {
    client.giveUp();
    await once(res.req, "aborted");
  },
  "the connection was destroyed": (res) => destroyConnection(res),
  "the connection was destroyed, which a turn ago": async (res) => {
    destroyConnection(res);
    await sleep(5);
  },
  "the response was destroyed": (res) => res.destroy(),
  "the response was destroyed with an error": (res) => res.destroy(new Error("on purpose")),
};

function destroyConnection(res: AnyResponse): void {
  if ("stream" in res) (res.stream as { destroy(): void }).destroy();
  else res.req.socket.destroy();
}

/** A request whose answer has begun or not, and the client that has asked for it. */
async function begin(
  protocol: Protocol,
  begins: boolean,
): Promise<{ res: AnyResponse; client: KeptConnection; lateWrites: LateWrites } & AsyncDisposable> {
  const lateWrites = new LateWrites(() => {});
  const { promise, resolve } = Promise.withResolvers<AnyResponse>();
  const server = await serveGuarded(
    protocol,
    (response) => containLateWrites(response, { lateWrites }),
    (_req, res) => {
      if (begins) res.write("begun");
      resolve(res);
    },
  );
  const client = connectTo(protocol, server.port);
  client.send("/");
  // Nobody waits for an answer that is cut.
  client.answer().catch(() => {});
  return {
    res: await promise,
    client,
    lateWrites,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

for (const protocol of protocols) {
  for (const [cut, cutOff] of Object.entries(cuts)) {
    test(`${protocol}: a handler goes on after ${cut}, and nothing is late that it may not know of`, async () => {
      const names = lateCallsOf(protocol).filter((name) => lateCalls[name]?.isValid !== false);
      for (const name of [...names, "end"]) {
        await using request = await begin(protocol, false);
        const { res, client, lateWrites } = request;
        await cutOff(res, client);
        const { call } = lateCalls[name] ?? { call: () => res.end() };

        call(res);
        await sleep(1);

        // What Node throws at any time is no news.
        assert.equal(lateWrites.count, name === "pipe out of the response" ? 1 : 0, name);
      }
    });

    test(`${protocol}: a header that is too late does not throw after ${cut}, it is told`, async () => {
      const names = lateCallsOf(protocol).filter((name) => lateCalls[name]?.isValid !== false);
      for (const name of [...names, "end"]) {
        await using request = await begin(protocol, true);
        const { res, client, lateWrites } = request;
        await cutOff(res, client);
        const { call, ofHead } = lateCalls[name] ?? { call: () => res.end() };

        call(res);
        await sleep(1);

        assert.equal(lateWrites.count, ofHead === true || name === "pipe out of the response" ? 1 : 0, name);
      }
    });
  }
}
