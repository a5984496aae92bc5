import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  background,
  context,
  ContextError,
  contextKey,
  createContext,
  createRoot,
  outside,
  RequestContexts,
  shutdown,
  traceparentKey,
  type Context,
  type RequestContext,
} from "./context.ts";
import { now } from "./clock.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Made here, since a closure made beside the objects under test would itself keep them in memory. */
const ignore = (): void => undefined;

/** The real proof that nothing holds an object: it is gone after a few collections. */
async function assertCollected(make: () => WeakRef<object>[], what: string): Promise<void> {
  const refs = make();
  for (let attempt = 0; attempt < 20 && refs.some((ref) => ref.deref() !== undefined); attempt += 1) {
    await nextTurn();
    collectGarbage();
  }
  assert.equal(refs.filter((ref) => ref.deref() !== undefined).length, 0, `${what}: still in memory`);
}

function codeOf(ctx: Context): string | undefined {
  return ctx.cause instanceof ContextError ? ctx.cause.code : undefined;
}

test("outside of any request the background is current: no deadline, no values, never done", () => {
  assert.equal(context(), background);
  assert.deepEqual([background.deadline, background.remaining(), background.done], [Infinity, Infinity, false]);
  assert.equal(background.signal.aborted, false);
});

test("run makes a context current in all that is awaited and started, and nowhere else", async () => {
  using request = createContext();
  const seen = await request.run(async () => {
    await sleep(1);
    const later = await new Promise((resolve) => setImmediate(() => resolve(context())));
    return [context(), later];
  });
  assert.deepEqual(
    seen.map((ctx) => ctx === request),
    [true, true],
  );
  assert.equal(context(), background);
});

test("a child is never later than its parent", () => {
  using parent = createContext({ timeout: "1s" });
  using longer = parent.child({ timeout: "1h" });
  using shorter = parent.child({ timeout: 10 });
  using later = parent.child({ deadline: Infinity });

  assert.equal(longer.deadline, parent.deadline);
  assert.equal(later.deadline, parent.deadline);
  assert.ok(shorter.deadline < parent.deadline);
  assert.ok(shorter.remaining() <= 10 && shorter.remaining() > 0);
});

test("of timeout and deadline the earlier one holds", () => {
  using ctx = createContext({ timeout: "1h", deadline: performance.now() + 100 });
  assert.ok(ctx.remaining() <= 100);
});

test("a passed deadline is seen at once by whoever looks, without any timer", () => {
  using parent = createContext({ deadline: performance.now() - 1 });
  using child = parent.child();

  assert.equal(child.done, true);
  assert.equal(codeOf(child), "ERR_DEADLINE_EXCEEDED");
  assert.equal(parent.cause, child.cause);
  assert.equal(child.remaining(), 0);
});

test("a deadline ends all below it with one cause, which says how much time was given", async () => {
  using parent = createContext({ timeout: 20 });
  using child = parent.child({ timeout: "1m" });
  const startedAt = performance.now();

  const cause = await new Promise((resolve) => void child.onDone(resolve));

  assert.ok(performance.now() - startedAt >= 19.9);
  assert.deepEqual([parent.done, parent.cause], [true, cause]);
  assert.match(String(cause), /ContextError: The deadline passed: 20 ms were given/);
});

test("a child's own deadline leaves its parent alone", async () => {
  using parent = createContext({ timeout: "1h" });
  using child = parent.child({ timeout: 5 });
  await new Promise((resolve) => void child.onDone(resolve));
  assert.deepEqual([child.done, parent.done], [true, false]);
});

test("cancelling ends all below with the same cause; everybody is done before anybody hears of it", () => {
  const parent = createContext();
  const child = parent.child();
  const grandchild = child.child();
  const reason = new Error("the client left");
  const heard: string[] = [];
  for (const [name, ctx] of Object.entries({ grandchild, child, parent })) {
    ctx.onDone((cause) =>
      heard.push(`${name} ${cause === reason} ${[parent, child, grandchild].every((c) => c.done)}`),
    );
  }

  parent.cancel(reason);
  parent.cancel(new Error("too late"));

  assert.deepEqual(heard, ["parent true true", "child true true", "grandchild true true"]);
  assert.equal(grandchild.cause, reason);
});

test("the end of a scope ends what was started in it, and nothing beside it", () => {
  using parent = createContext();
  using sibling = parent.child();
  let inner: Context;
  {
    using child = parent.child();
    inner = child.child();
  }
  assert.deepEqual([inner.done, codeOf(inner)], [true, "ERR_CANCELLED"]);
  assert.deepEqual([parent.done, sibling.done], [false, false]);
});

test("a child of a context that is done is done from the start, with its cause", () => {
  const parent = createContext();
  parent.cancel(new Error("gone"));
  const grandchild = parent.child().child({ timeout: "1h" });
  assert.equal(grandchild.done, true);
  assert.equal(grandchild.cause, parent.cause);
  assert.equal(grandchild.signal.reason, parent.cause);
});

test("the signal aborts with the cause, whether it was asked for before or after the end", () => {
  const ctx = createContext();
  const before = ctx.signal;
  const reason = new Error("gone");
  ctx.cancel(reason);
  assert.equal(before, ctx.signal);
  assert.deepEqual([before.aborted, before.reason], [true, reason]);

  const late = createContext();
  late.cancel();
  assert.equal(late.signal.reason, late.cause);
  assert.equal(createContext({ deadline: 0 }).signal.aborted, true);
});

test("the signal aborts at the deadline by itself", async () => {
  using ctx = createContext({ timeout: 10 });
  const { signal } = ctx;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  assert.equal((signal.reason as ContextError).code, "ERR_DEADLINE_EXCEEDED");
});

test("a foreign signal ends the child with its reason, and is left without a listener", () => {
  const foreign = new AbortController();
  const reason = new Error("user pressed stop");
  const followed = createContext({ signal: foreign.signal });
  const disposed = createContext({ signal: foreign.signal });
  disposed[Symbol.dispose]();
  assert.equal(getEventListeners(foreign.signal, "abort").length, 1);

  foreign.abort(reason);

  assert.deepEqual([followed.cause, codeOf(disposed)], [reason, "ERR_CANCELLED"]);
  assert.equal(getEventListeners(foreign.signal, "abort").length, 0);
  assert.equal(createContext({ signal: foreign.signal }).cause, reason);
});

test("listeners are called once, in order; one that was disposed of is not called", () => {
  const ctx = createContext();
  const order: number[] = [];
  ctx.onDone(() => order.push(1));
  ctx.onDone(() => order.push(2))[Symbol.dispose]();
  const doomed = { [Symbol.dispose]: (): void => undefined };
  ctx.onDone(() => {
    order.push(3);
    doomed[Symbol.dispose]();
  });
  doomed[Symbol.dispose] = ctx.onDone(() => order.push(4))[Symbol.dispose].bind(ctx.onDone(() => order.push(5)));

  ctx.cancel();

  assert.deepEqual(order, [1, 3, 4]);
});

test("a listener that comes late is called on a fresh microtask, unless disposed of before", async () => {
  const ctx = createContext();
  ctx.cancel();
  const heard: unknown[] = [];
  ctx.onDone((cause) => heard.push(cause));
  ctx.onDone(() => heard.push("disposed of"))[Symbol.dispose]();
  assert.deepEqual(heard, []);

  await Promise.resolve();

  assert.deepEqual(heard, [ctx.cause]);
});

test("a throwing listener becomes an uncaught exception and does not stop the others", async () => {
  const ctx = createContext();
  const failure = new Error("listener failed");
  const uncaught: unknown[] = [];
  let heard = false;
  ctx.onDone(() => {
    throw failure;
  });
  ctx.onDone(() => {
    heard = true;
  });
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  try {
    ctx.cancel();
    await nextTurn();
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
  assert.deepEqual([heard, uncaught], [true, [failure]]);
});

test("a detached context keeps the values and outlives its request, but not its own timeout", async () => {
  const request = createContext({ timeout: "1s" });
  const detached = request.withValue(traceparentKey, "00-abc").detach({ timeout: 30 });

  request.cancel(new ContextError("ERR_CLIENT_GONE"));

  assert.equal(detached.done, false);
  assert.equal(detached.value(traceparentKey), "00-abc");
  await new Promise((resolve) => void detached.onDone(resolve));
  assert.equal(codeOf(detached), "ERR_DEADLINE_EXCEEDED");
});

test("a shutdown reaches requests and what was detached from them; the background stays usable", () => {
  const request = createContext();
  const detached = request.detach({ timeout: "1h" });
  request[Symbol.dispose]();

  shutdown();

  assert.deepEqual([codeOf(detached), detached.signal.aborted], ["ERR_SHUTTING_DOWN", true]);
  assert.equal(background.done, false);
  using later = createContext();
  assert.equal(later.done, false);
});

test("the end of one root ends what was detached below it, and nothing of another root", () => {
  const [ends, stays] = [createRoot(), createRoot()];
  const detached = ends.child({ timeout: "1s" }).detach({ timeout: "1h" });
  using other = stays.child().detach({ timeout: "1h" });

  ends.cancel(new ContextError("ERR_SHUTTING_DOWN"));

  assert.deepEqual([codeOf(detached), other.done], ["ERR_SHUTTING_DOWN", false]);
  assert.equal(ends.child().detach({ timeout: "1h" }).done, true);
  stays[Symbol.dispose]();
});

test("values are inherited, the nearest one wins, and keys of the same name are two keys", () => {
  const user = contextKey<string>("user");
  const impostor = contextKey<string>("user");
  using request = createContext();
  const outer = request.withValue(user, "ann");
  using child = outer.child();
  const inner = child.withValue(user, "bob");

  assert.deepEqual([request.value(user), outer.value(user), child.value(user)], [undefined, "ann", "ann"]);
  assert.deepEqual([inner.value(user), outer.value(impostor)], ["bob", undefined]);
  child.cancel();
  assert.deepEqual([inner.done, outer.done], [true, false]);
});

test("a timeout of 0 and a deadline of NaN are refused by the name of the option", () => {
  assert.throws(() => background.child({ timeout: 0 }), {
    code: "ERR_OPTION",
    message: /^context\.child\.timeout must be/,
  });
  assert.throws(() => background.detach({ timeout: -1 }), { code: "ERR_OPTION", message: /^context\.detach\.timeout/ });
  assert.throws(() => createContext({ deadline: NaN }), { code: "ERR_OPTION", message: /^createContext\.deadline/ });
});

test("a chain of 200,000 children ends without exhausting the stack", () => {
  const top = createContext({ timeout: "1h" });
  let bottom = top.child();
  for (let depth = 0; depth < 200_000; depth += 1) bottom = bottom.child();
  bottom.onDone(() => undefined);

  top.cancel();

  assert.equal(bottom.cause, top.cause);
});

test("1,000,000 children made and disposed of under one parent leave its memory flat", () => {
  using parent = createContext({ timeout: "1h" });
  const churn = (times: number): void => {
    for (let index = 0; index < times; index += 1) {
      using child = parent.child({ timeout: "1m" });
      child.onDone(() => undefined);
    }
  };
  churn(10_000);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;

  churn(1_000_000);

  collectGarbage();
  const grownBytes = process.memoryUsage().heapUsed - before;
  assert.ok(grownBytes < 1_000_000, `grew by ${grownBytes} bytes`);
});

test("a disposed child is collected while its parent lives on", async () => {
  using parent = createContext({ timeout: "1h" });
  await assertCollected(() => {
    const child = parent.child({ timeout: "1m" });
    child.onDone(() => undefined);
    const refs = [new WeakRef<object>(child), new WeakRef<object>(child.signal)];
    child[Symbol.dispose]();
    return refs;
  }, "child");
});

test("a finished request is collected, though its deadline is an hour away and a detached task lives on", async () => {
  const kept: Context[] = [];
  await assertCollected(() => {
    const body = { big: new Uint8Array(1_000) };
    const request = createContext({ timeout: "1h" });
    request.run(() => {
      request.onDone(() => body.big.length);
      kept.push(request.withValue(traceparentKey, "00-abc").detach({ timeout: "1h" }));
      kept.at(-1)?.onDone(ignore);
    });
    const refs = [new WeakRef<object>(request), new WeakRef<object>(body), new WeakRef<object>(request.signal)];
    request[Symbol.dispose]();
    return refs;
  }, "request");
  assert.equal(kept[0]?.done, false);
  shutdown();
});

test("outside leaves every request's scope, also that of other libraries", () => {
  const foreign = new AsyncLocalStorage<string>();
  using request = createContext();
  const seen = foreign.run("pinned", () => request.run(() => outside(() => [foreign.getStore(), context()])));
  assert.deepEqual(seen, [undefined, background]);
});

test("a request's deadline that has become pointless is put off, for what was started below it too", async () => {
  const contexts = new RequestContexts();
  const request = contexts.create(now() + 30, { reconsiderDeadline: () => Infinity }, undefined);
  const child = request.child();
  const bounded = request.child({ timeout: 60 });
  const ended: string[] = [];
  child.onDone(() => ended.push("child"));
  bounded.onDone(() => ended.push("bounded"));
  await sleep(120);
  assert.deepEqual(ended, ["bounded"]);
  assert.equal(request.done, false);
  assert.equal(child.deadline, Infinity);
});

test("the deadline of a request ends it, and what was started below it, while its owner insists", () => {
  const contexts = new RequestContexts();
  const request = contexts.create(now() - 1, { reconsiderDeadline: (passed) => passed }, undefined);
  const child = request.child();
  assert.equal(child.done, true);
  assert.ok(child.cause instanceof ContextError && child.cause.code === "ERR_DEADLINE_EXCEEDED");
});

test("a released request is out of reach of its server's end; one that is not ends with it", () => {
  const contexts = new RequestContexts();
  const [first, second] = [undefined, undefined].map(() =>
    contexts.create(Infinity, { reconsiderDeadline: (passed) => passed }, undefined),
  );
  assert.ok(first && second);
  const below = first.child();
  first.release();
  contexts.endAll("ERR_SHUTTING_DOWN");
  assert.deepEqual([first.done, below.done, second.done], [false, false, true]);
});

test("a context detached from a request goes on when its server ends all requests", () => {
  const contexts = new RequestContexts();
  const request = contexts.create(Infinity, { reconsiderDeadline: (passed) => passed }, "00-trace");
  using detached = request.detach({ timeout: "1m" });
  contexts.endAll("ERR_SHUTTING_DOWN");
  assert.equal(request.done, true);
  assert.equal(detached.done, false);
  assert.equal(detached.value(traceparentKey), "00-trace");
});

test("a request's deadline is what its owner says now, also for what is started below it", () => {
  let deadline = now() + 60_000;
  const request = new RequestContexts().create(deadline, { reconsiderDeadline: () => deadline }, undefined);
  assert.ok(request.remaining() <= 60_000);
  deadline = Infinity;
  assert.equal(request.remaining(), Infinity);
  assert.equal(request.child({ timeout: "1h" }).remaining() > 3_599_000, true);
});

const stubborn = { reconsiderDeadline: (passed: number): number => passed };

test("what has happened to a request's context before anybody looked at it is what it says when asked", () => {
  const contexts = new RequestContexts();
  const make = (): RequestContext => contexts.create(Infinity, stubborn, undefined);
  const [ended, endedWithAll, released, releasedAfterwards, putOff] = [make(), make(), make(), make(), make()];
  ended.end("ERR_CLIENT_GONE");
  putOff.putOff(now() + 1_000);
  released.release();
  contexts.endAll("ERR_SHUTTING_DOWN");
  releasedAfterwards.release();
  const causes = [ended, endedWithAll, released, releasedAfterwards].map(({ cause }) =>
    cause instanceof ContextError ? cause.code : cause,
  );
  assert.deepEqual(causes, ["ERR_CLIENT_GONE", "ERR_SHUTTING_DOWN", undefined, "ERR_SHUTTING_DOWN"]);
  assert.equal(make().done, false);
  assert.equal(putOff.deadline < Infinity, true);
});

test("what is detached from a released request that nobody had looked at still ends at a shutdown", () => {
  const request = new RequestContexts().create(Infinity, stubborn, undefined);
  request.release();
  using detached = request.detach({ timeout: "1m" });
  shutdown();
  assert.equal(detached.done, true);
  assert.equal(request.done, false);
});

test("the values of a context outlive it and pin nothing of it, and a child of theirs ends by itself or in a shutdown", async () => {
  const key = contextKey<string>("tenant");
  const owner = { reconsiderDeadline: (before: number): number => before };
  let values: Context = background;

  await assertCollected(() => {
    const request = new RequestContexts().create(now() + 60_000, owner, "00-a");
    values = request.withValue(key, "acme").values();
    request.end("ERR_CLIENT_GONE");
    return [new WeakRef(request)];
  }, "a request whose values are kept");

  assert.deepEqual([values.value(key), values.value(traceparentKey)], ["acme", "00-a"]);
  assert.deepEqual([values.done, values.deadline], [false, Infinity]);
  const child = values.child();
  shutdown();
  assert.equal(codeOf(child), "ERR_SHUTTING_DOWN");
  assert.equal(values.done, false);
});
