/** Which pool a request belongs to, and in whose books it stands. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { assertNothingLeft } from "../../test/support/loopback.ts";
import { answer, rawServer } from "../../test/support/raw-server.ts";
import { ask, failure } from "../../test/support/send.ts";
import { openTransport } from "../../test/support/transport-checks.ts";

afterEach(assertNothingLeft);

const retry = { attempts: 1, backoff: { from: 1 } } as const;

test("a retry is counted however its origin is written, and whichever name its Host header asks for", async () => {
  const server = await rawServer((socket) => answer(socket));
  await server[Symbol.asyncDispose]();
  await using transport = openTransport({ retry });
  const secure = server.origin.replace("http:", "https:");

  await failure(ask(transport, { origin: `${server.origin}/` }));
  await failure(ask(transport, { origin: secure, headers: { host: "shop.test" } }));

  assert.deepEqual(
    transport.stats().origins.map(({ origin, retries }) => [origin, retries]),
    [
      [server.origin, 1],
      [secure, 1],
    ],
  );
});
