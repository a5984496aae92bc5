/** What pino writes of failures: the real logger, with a stream that keeps its lines. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { pinoReporter } from "sluice/adapters/pino";
import { createContext, now, Registry } from "sluice/core";
import { requestIdKey, Tasks } from "sluice/tasks";

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly task: string;
  readonly requestId?: string;
  readonly err: { readonly type: string; readonly message: string; readonly stack: string };
}

test("a failure is an error line with its stack, its task and its request; a held loop is a warning", async (t) => {
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  const folder = mkdtempSync(join(tmpdir(), "sluice-pino-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "log");
  // Asynchronous, with a buffer: lines are written by `flush`, or lost.
  const destination = pino.destination({ dest: file, sync: false, minLength: 8_192 });
  const tasks = new Tasks({ registry: new Registry(), reporter: pinoReporter(pino(destination)), maxHold: 50 });

  const request = createContext().withValue(requestIdKey, "r-7");
  await request.run(() => tasks.run("audit", undefined, () => Promise.reject(new RangeError("log is full")))).done;
  await tasks.run("loop", undefined, () => {
    const endsAt = now() + 200;
    while (now() < endsAt);
  }).done;
  const { isFlushed } = await tasks.drain();

  const lines = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    // pino writes one object to a line.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    .map((line) => JSON.parse(line) as Line);
  assert.equal(isFlushed, true);
  assert.deepEqual(
    lines.map(({ level, msg, task, requestId, err }) => [level, msg, task, requestId, err.type]),
    [
      [50, "a task failed", "audit", "r-7", "RangeError"],
      [40, "the event loop was held", "loop", undefined, "EventLoopHeldError"],
    ],
  );
  assert.match(lines[0]?.err.stack ?? "", /pino\.test\.ts/);
});
