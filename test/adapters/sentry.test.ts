/** What arrives at Sentry: its own SDK, with a transport that keeps what it is given. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as Sentry from "@sentry/node";
import { sentryReporter } from "sluice/adapters/sentry";
import { Registry } from "sluice/core";
import { memory, Permanent, Tasks } from "sluice/tasks";
import { until } from "../support/queue-bench.ts";

interface SentryEvent {
  readonly level?: string;
  readonly tags?: Record<string, string>;
  readonly fingerprint?: string[];
  readonly contexts?: Record<string, Record<string, unknown>>;
  readonly exception?: {
    readonly values?: { type: string; value: string; mechanism?: { type: string; handled: boolean } }[];
  };
}

test("a failed task and a dead job are events with their names, and attempts that are tried again are not", async (t) => {
  const events: SentryEvent[] = [];
  Sentry.init({
    dsn: "http://key@127.0.0.1:9/1",
    defaultIntegrations: false,
    transport: () => ({
      send: async ([, items]) => {
        for (const [header, payload] of items) {
          // Of the kind that the header says.
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion
          if (header.type === "event") events.push(payload as SentryEvent);
        }
        return {};
      },
      flush: async () => true,
    }),
  });
  t.after(() => Sentry.close());
  const timer = setInterval(() => {}, 60_000);
  t.after(() => clearInterval(timer));
  const tasks = new Tasks({ store: memory(), registry: new Registry(), reporter: sentryReporter(Sentry) });
  const queue = tasks.queue<string>("mail", { attempts: 2, backoff: { from: 1 } }, ({ data }) => {
    throw data === "permanent" ? new Permanent("no such address") : new TypeError("mail is down");
  });

  await tasks.run("audit", undefined, () => Promise.reject(new RangeError("log is full", { cause: new Error("disk") })))
    .done;
  await tasks.run("cancelled", undefined, () => {}).done;
  await queue.add("permanent");
  const { id } = await queue.add("twice");
  await until(() => queue.stats().dead.attempts + queue.stats().dead.permanent === 2, "both are dead");
  const { isFlushed } = await tasks.drain();

  assert.equal(isFlushed, true);
  assert.deepEqual(
    events.map(({ tags, exception, fingerprint, level }) => [
      tags?.["task"] ?? tags?.["queue"],
      exception?.values?.at(-1)?.value,
      fingerprint,
      level,
    ]),
    [
      ["audit", "log is full", ["task", "audit", "{{ default }}"], "error"],
      ["mail", "no such address", ["job", "mail", "{{ default }}"], "error"],
      ["mail", "mail is down", ["job", "mail", "{{ default }}"], "error"],
    ],
  );
  assert.deepEqual(events[0]?.exception?.values?.at(-1)?.mechanism, { type: "auto.task", handled: true });
  assert.deepEqual([events[2]?.contexts?.["job"]?.["jobId"], events[2]?.contexts?.["job"]?.["attempt"]], [id, 2]);
});
