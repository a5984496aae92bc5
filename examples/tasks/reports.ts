/** Where failures and spans go: here to pino; Sentry and OpenTelemetry fit in the same places. */

import { pino } from "pino";
import { openTelemetryTracing } from "sluice/adapters/opentelemetry";
import { pinoReporter } from "sluice/adapters/pino";
import { createContext } from "sluice/core";
import { requestIdKey, Tasks } from "sluice/tasks";

const logger = pino({ timestamp: false, base: null, serializers: { err: (error: Error) => error.message } });
const tasks = new Tasks({
  reporter: pinoReporter(logger), // or sentryReporter(Sentry)
  tracing: openTelemetryTracing(),
  maxReportsPerMinute: 2,
});

const request = createContext().withValue(requestIdKey, "r-42");
const handles = request.run(() =>
  [1, 2, 3, 4].map((number) =>
    tasks.run("warm-cache", { timeout: "5s" }, async () => {
      throw new Error(`the catalog is down, ${number}`);
    }),
  ),
);
for (const { done } of handles) await done;
console.log(tasks.stats().tasks[0]?.outcomes.error, "failed");
await tasks.drain();
