/**
 * Logs what finally failed with pino, or whatever logs in its way.
 *
 * It takes the program's logger by its shape, with its levels, serializers and `mixin`.
 */

import type { ReportContext, Reporter } from "../tasks/index.ts";

/** What is used of a pino logger. */
export interface PinoLike {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  /** With an asynchronous destination, the last lines are written by this. */
  flush?(done?: (error?: Error) => void): void;
}

/** A reporter that logs: `new Tasks({ reporter: pinoReporter(logger) })`. */
export function pinoReporter(logger: PinoLike): Reporter {
  return {
    report(err, about) {
      const { mechanism, level, handled: _handled, fingerprint: _fingerprint, ...fields } = about;
      const message = describe(mechanism, level);
      if (level === "warning") logger.warn({ err, ...fields }, message);
      else logger.error({ err, ...fields }, message);
    },
    async flush() {
      if (logger.flush === undefined) return true;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      logger.flush((error) => resolve(error === undefined || error === null));
      return promise;
    },
  };
}

function describe(mechanism: ReportContext["mechanism"], level: ReportContext["level"]): string {
  if (level === "warning") return "the event loop was held";
  if (mechanism === "store") return "the store of the queues failed";
  return mechanism === "job" ? "a job is dead" : "a task failed";
}
