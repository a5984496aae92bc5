import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Semaphore } from "./semaphore.ts";

test("a permit goes back when its scope ends by an exception", async () => {
  const semaphore = new Semaphore(1);

  await assert.rejects(async () => {
    using _permit = await semaphore.acquire();
    throw new Error("handler failed");
  }, /handler failed/);

  assert.equal(semaphore.inUse, 0);
});

test("waiters are served in the order in which they came", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const order: number[] = [];
  const waiters = [1, 2, 3].map(async (place) => {
    using _permit = await semaphore.acquire();
    order.push(place);
  });

  held.release();
  await Promise.all(waiters);

  assert.deepEqual(order, [1, 2, 3]);
});

test("a newcomer cannot overtake a waiter, not even in the turn in which a permit comes back", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const waiting = semaphore.acquire();

  held.release();

  assert.equal(semaphore.tryAcquire(), undefined);
  (await waiting).release();
  assert.notEqual(semaphore.tryAcquire(), undefined);
});

test("a waiter aborted in the queue leaves its place to the next one, and no listener behind", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const leaves = new AbortController();
  const abandoned = semaphore.acquire(leaves.signal);
  const stays = new AbortController();
  const next = semaphore.acquire(stays.signal);

  leaves.abort(new Error("client went away"));
  await assert.rejects(abandoned, /client went away/);
  assert.equal(semaphore.waiting, 1);
  held.release();

  using _permit = await next;
  assert.deepEqual({ inUse: semaphore.inUse, waiting: semaphore.waiting }, { inUse: 1, waiting: 0 });
  assert.equal(getEventListeners(leaves.signal, "abort").length, 0);
  assert.equal(getEventListeners(stays.signal, "abort").length, 0);
});

test("a signal that is aborted already takes no permit", async () => {
  const semaphore = new Semaphore(1);
  await assert.rejects(semaphore.acquire(AbortSignal.abort(new Error("too late"))), /too late/);
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [0, 0]);
});

test("beyond maxWaiting an acquire is refused at once, and one who leaves makes room", async () => {
  const semaphore = new Semaphore(1, { maxWaiting: 1 });
  const held = await semaphore.acquire();
  const leaves = new AbortController();
  const first = semaphore.acquire(leaves.signal);

  await assert.rejects(semaphore.acquire(), {
    code: "ERR_SEMAPHORE_FULL",
    name: "SemaphoreFullError",
    message: /All 1 permits are in use and 1 already wait/,
  });
  leaves.abort(new Error("left"));
  await assert.rejects(first, /left/);
  const second = semaphore.acquire();
  held.release();

  (await second).release();
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [0, 0]);
});

test("releasing twice frees one place, not two", async () => {
  const semaphore = new Semaphore(2);
  const permit = await semaphore.acquire();
  using _other = await semaphore.acquire();
  permit.release();
  permit.release();
  assert.equal(semaphore.inUse, 1);
});

test("a raised limit lets waiters in at once; a lowered one takes effect as permits come back", async () => {
  const semaphore = new Semaphore(1);
  const first = await semaphore.acquire();
  const second = semaphore.acquire();
  const third = semaphore.acquire();

  semaphore.limit = 2;
  const permit = await second;
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [2, 1]);
  semaphore.limit = 1;
  first.release();
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [1, 1]);
  permit.release();

  (await third).release();
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [0, 0]);
});

test("a limit of half a permit is refused", () => {
  assert.throws(() => new Semaphore(0.5), RangeError);
  assert.throws(() => new Semaphore(1, { maxWaiting: -1 }), RangeError);
});

test("50,000 waiters of whom every second leaves are all served or gone within two seconds of work", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  // One signal each: on a shared one, Node itself needs a time that grows with the square of its listeners.
  const leavers = Array.from({ length: 25_000 }, () => new AbortController());
  let [served, left] = [0, 0];
  const wait = async (signal?: AbortSignal): Promise<void> => {
    try {
      using _permit = await semaphore.acquire(signal);
      served += 1;
    } catch {
      left += 1;
    }
  };
  const startedAt = process.cpuUsage();
  const waiters = leavers.flatMap(({ signal }) => [wait(signal), wait()]);

  for (const leaver of leavers) leaver.abort();
  held.release();
  await Promise.all(waiters);

  assert.deepEqual([served, left, semaphore.inUse, semaphore.waiting], [25_000, 25_000, 0, 0]);
  const { user, system } = process.cpuUsage(startedAt);
  assert.ok(user + system < 2_000_000, `took ${user + system} us`);
});
