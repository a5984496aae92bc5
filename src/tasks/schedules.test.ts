/** When scheduled jobs are added, and that many processes add each of them once. Time is mocked: it is the subject. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { jobIdOf } from "./job-id.ts";
import { Schedule, type Tick } from "./schedules.ts";

const minute = 60_000;
/** 2026-11-23, 12:00:30 UTC. */
const startsAt = Date.UTC(2026, 10, 23, 12, 0, 30);

interface Added extends Tick {
  readonly at: string;
  readonly dueAt: string;
}

function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19);
}

function plan(
  t: TestContext,
  settings: { pattern: string; canDelay?: boolean; timezone?: string; add?: () => void },
): Added[] {
  const { pattern, canDelay = true, timezone = "UTC" } = settings;
  const added: Added[] = [];
  const schedule = new Schedule({
    queue: "mail",
    name: "digest",
    pattern,
    timezone,
    canDelay,
    async add(tick) {
      settings.add?.();
      added.push({ ...tick, at: clock(Date.now()), dueAt: clock(Date.now() + tick.delayMs) });
    },
  });
  t.after(() => schedule[Symbol.dispose]());
  return added;
}

/** Lets `ms` pass in small steps, as they do: what is awaited between two timers goes on. */
async function pass(t: TestContext, ms: number, stepMs = 500): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    t.mock.timers.tick(Math.min(stepMs, left));
    // oxlint-disable-next-line no-await-in-loop
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  }
}

function useTime(t: TestContext, now = startsAt): void {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now });
}

test("each job is added a minute ahead of its time, delayed until then", async (t) => {
  useTime(t);
  const added = plan(t, { pattern: "*/5 * * * *" });

  await pass(t, 11 * minute);

  assert.deepEqual(
    added.map(({ at, dueAt }) => [at, dueAt]),
    [
      ["12:04:00", "12:05:00"],
      ["12:09:00", "12:10:00"],
    ],
  );
  assert.equal(added[0]?.id, jobIdOf("mail\ndigest", Date.UTC(2026, 10, 23, 12, 5)));
});

test("a store that knows no delay gets each job at its time", async (t) => {
  useTime(t);
  const added = plan(t, { pattern: "*/5 * * * *", canDelay: false });

  await pass(t, 11 * minute);

  assert.deepEqual(
    added.map(({ at, delayMs }) => [at, delayMs]),
    [
      ["12:05:00", 0],
      ["12:10:00", 0],
    ],
  );
});

test("processes that plan the same schedule give the same job the same id, also those that start late", async (t) => {
  useTime(t);
  const first = plan(t, { pattern: "*/5 * * * *" });
  await pass(t, 4.2 * minute);
  const late = plan(t, { pattern: "*/5 * * * *" });

  await pass(t, 6 * minute);

  assert.equal(first.length, 2);
  assert.deepEqual(
    late.map(({ id }) => id),
    first.map(({ id }) => id),
  );
});

test("a pattern that comes oftener than a job is added ahead still adds each time once", async (t) => {
  useTime(t);
  const added = plan(t, { pattern: "*/10 * * * * *" });

  await pass(t, 2 * minute);

  const ids = new Set(added.map(({ id }) => id));
  assert.equal(ids.size, added.length);
  // Two minutes, and the one ahead.
  assert.ok(added.length >= 17 && added.length <= 19, `${added.length} jobs`);
});

test("an add that fails is tried again until its time is long past, and the next one comes all the same", async (t) => {
  useTime(t);
  let isDown = true;
  let tries = 0;
  const added = plan(t, {
    pattern: "*/5 * * * *",
    add() {
      tries += 1;
      if (isDown) throw new Error("the engine is down");
    },
  });

  await pass(t, 8 * minute);
  assert.ok(tries > 60, `${tries} tries`);
  assert.deepEqual(added, []);
  isDown = false;
  await pass(t, 3 * minute);

  assert.deepEqual(
    added.map(({ dueAt }) => dueAt),
    ["12:10:00"],
  );
});

test("hours are those of the time zone, and a day that has no such hour loses none of its jobs", async (t) => {
  // Europe/Berlin goes from 02:00 to 03:00 on 2026-03-29.
  useTime(t, Date.UTC(2026, 2, 28, 0, 0));
  const added = plan(t, { pattern: "30 2 * * *", timezone: "Europe/Berlin" });

  await pass(t, 60 * 60 * minute, minute / 2);

  assert.deepEqual(
    added.map(({ dueAt }) => dueAt),
    ["01:30:00", "01:00:00", "00:30:00"],
  );
});

test("disposed of, it adds nothing more", async (t) => {
  useTime(t);
  const added: Tick[] = [];
  const schedule = new Schedule({
    queue: "mail",
    name: "digest",
    pattern: "*/5 * * * *",
    timezone: "UTC",
    canDelay: true,
    add: async (tick) => void added.push(tick),
  });
  assert.equal(schedule.nextAt?.toISOString(), "2026-11-23T12:05:00.000Z");

  schedule[Symbol.dispose]();
  await pass(t, 11 * minute);

  assert.deepEqual(added, []);
});

test("what is no pattern is an error that shows one", () => {
  const settings = { queue: "mail", name: "x", timezone: "UTC", canDelay: true, add: async () => {} };

  for (const pattern of ["", "every day", "61 * * * *", "* * *"]) {
    assert.throws(
      () => new Schedule({ ...settings, pattern }),
      /must be a cron pattern such as "0 3 \* \* \*"/,
      pattern,
    );
  }
});
