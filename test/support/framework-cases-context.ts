/** Part of the contract of `framework-contract.ts`: the context of a request, and what is called from it. */

import assert from "node:assert/strict";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { Readable } from "node:stream";
import { background, context, type Context } from "sluice/core";
import { Transport } from "sluice/client";
import { controller } from "sluice/server";
import type { Open, RawExchange } from "./framework-contract.ts";
import { until } from "./loopback.ts";
import { answer, rawServer } from "./raw-server.ts";

/** Notes where the context is not the one of the request. */
class Witness {
  readonly wrong: string[] = [];
  readonly seen: string[] = [];

  look(where: string, expected: Context): void {
    this.seen.push(where);
    if (context() !== expected) this.wrong.push(where);
  }
}

function lookAtEvents(witness: Witness, { req, res }: RawExchange): Context {
  const { context: expected } = controller(res);
  witness.look("handler", expected);
  for (const event of ["finish", "close"]) res.on(event, () => witness.look(`res ${event}`, expected));
  for (const event of ["end", "close"]) req.once(event, () => witness.look(`req ${event}`, expected));
  return expected;
}

async function knowsItsContext(open: Open): Promise<void> {
  const witness = new Witness();
  await using stage = await open({
    answer: async (raw) => {
      const expected = lookAtEvents(witness, raw);
      await sleep(2);
      witness.look("after a timer", expected);
      await turn();
      witness.look("after a turn", expected);
      return "done";
    },
    source: (raw) => {
      const expected = lookAtEvents(witness, raw);
      let left = 3;
      return new Readable({
        read() {
          witness.look("read of the source", expected);
          left -= 1;
          setImmediate(() => this.push(left > 0 ? "piece" : null));
        },
      });
    },
    takeIn: async (body) => {
      const expected = context();
      for await (const chunk of body) witness.look(`chunk of ${chunk.length > 0 ? "some" : "no"} bytes`, expected);
      witness.look("after the body", expected);
      return "taken in";
    },
    name: (name) => {
      witness.look("after the body parser", expectedOfName ?? context());
      return String(name);
    },
  });
  let expectedOfName: Context | undefined;
  stage.app.server.prependListener("request", (...args: unknown[]) => {
    // Runs before the framework, in the context of the request.
    if (args.length > 0) expectedOfName = context();
  });
  const callers = [stage.call(), stage.call()];
  // Two connections at once, so that their contexts could be mixed up.
  await Promise.all(
    callers.map(async (caller) => {
      await caller.ask("/work");
      await caller.ask("/source");
      const headers = { "content-type": "application/octet-stream" };
      assert.equal((await caller.ask("/upload", { body: "x".repeat(200_000), headers })).body, "taken in");
    }),
  );
  await callers[0]?.ask("/json", { body: '{"name":1}', headers: { "content-type": "application/json" } });
  await until(() => witness.seen.filter((where) => where === "res close").length === 4);

  assert.deepEqual(witness.wrong, []);
  for (const where of [
    "res finish",
    "res close",
    "req close",
    "after a turn",
    "read of the source",
    "after the body",
  ]) {
    assert.ok(witness.seen.includes(where), `nobody looked at ${where}`);
  }
  assert.equal(context(), background);
}

async function stopsCallsOfClientsThatLeave(open: Open): Promise<void> {
  const endings: string[] = [];
  const ends: Record<string, () => void> = {};
  await using downstream = await rawServer(() => undefined, {
    onHead: (socket, { path }) => {
      ends[path] = () => answer(socket, "kept on");
      socket.on("close", () => endings.push(path));
    },
  });
  await using transport = new Transport({ propagate: { deadlineTo: [downstream.origin] } });
  const results: string[] = [];
  const note = async (call: Promise<Response>): Promise<void> => {
    const [result] = await Promise.allSettled([call.then((response) => response.text())]);
    results.push(result.status === "fulfilled" ? result.value : codeOf(result.reason));
  };
  await using stage = await open(
    {
      answer: async () => {
        const detached = context().detach({ timeout: "5s" });
        const child = detached.run(() => note(transport.fetch(`${downstream.origin}/detached`)));
        await Promise.all([note(transport.fetch(`${downstream.origin}/attached`)), child]);
        return "nobody reads this";
      },
    },
    { handlerTimeout: "5s" },
  );
  const sending = stage.call().send("/work");
  sending.body.end();
  const left = sending.answer.catch(() => undefined);
  await until(() => downstream.requests.length === 2);
  sending.leave();
  await left;
  await until(() => endings.includes("/attached"));
  assert.deepEqual(endings, ["/attached"], "the call of a client that has left was not stopped");
  ends["/detached"]?.();
  await until(() => results.length === 2);

  assert.deepEqual(results, ["ERR_CLIENT_GONE", "kept on"]);
  assertTimesTold(downstream.requests.map(({ path, headers }) => [path, Number(headers.get("x-request-timeout-ms"))]));
}

function assertTimesTold(told: readonly (readonly [path: string, ms: number])[]): void {
  assert.equal(told.length, 2);
  for (const [path, ms] of told) assert.ok(ms > 3_000 && ms <= 5_000, `${path} was told ${ms} ms`);
}

function codeOf(error: unknown): string {
  const cause = error instanceof TypeError ? error.cause : error;
  return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
}

async function answersBeforeItsHandlersFail(open: Open): Promise<void> {
  await using downstream = await rawServer(() => undefined);
  await using transport = new Transport();
  await using stage = await open(
    {
      answer: async ({ req }) => {
        if (req.headers["x-call"] !== undefined) return (await transport.fetch(downstream.origin)).text();
        return sleep(10_000, "never", { signal: context().signal });
      },
    },
    { handlerTimeout: 100 },
  );
  const caller = stage.call();
  for (const headers of [{}, { "x-call": "1" }]) {
    // oxlint-disable-next-line no-await-in-loop -- on one connection
    const { status, body } = await caller.ask("/work", { headers });
    assert.deepEqual([status, body], [503, "The answer took too long.\n"]);
  }
  assert.equal(stage.app.guarded.stats().timeouts.handler, 2);
  assert.equal(caller.opened, 1);
}

async function obeysTheCallersDeadline(open: Open): Promise<void> {
  const left: number[] = [];
  await using stage = await open({
    answer: () => {
      left.push(context().remaining());
      return "done";
    },
  });
  const caller = stage.call();
  await caller.ask("/work", { headers: { "x-request-timeout-ms": "700" } });
  await caller.ask("/work");
  const [short = 0, usual = 0] = left;
  assert.ok(short > 0 && short <= 700, `${short} ms were left of 700`);
  assert.ok(usual > 9_000 && usual <= 10_000, `${usual} ms were left of 10 s`);
}

export const contextCases: Readonly<Record<string, (open: Open) => Promise<void>>> = {
  "the context is the request's in handlers, after awaits, in streams and in events": knowsItsContext,
  "a client that leaves stops what was called for it, but not what is detached": stopsCallsOfClientsThatLeave,
  "at handlerTimeout the client gets 503, and not what a handler makes of it": answersBeforeItsHandlersFail,
  "a caller's deadline shortens the context's": obeysTheCallersDeadline,
};
