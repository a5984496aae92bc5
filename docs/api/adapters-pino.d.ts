// The interface of sluice/adapters/pino, printed by `npm run api`. Do not edit.

// adapters/pino.d.ts

/**
 * Logs what finally failed with pino, or whatever logs in its way.
 *
 * It takes the program's logger by its shape, with its levels, serializers and `mixin`.
 */
import type { Reporter } from "../tasks/index.ts";
/** What is used of a pino logger. */
export interface PinoLike {
    error(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    /** With an asynchronous destination, the last lines are written by this. */
    flush?(done?: (error?: Error) => void): void;
}
/** A reporter that logs: `new Tasks({ reporter: pinoReporter(logger) })`. */
export declare function pinoReporter(logger: PinoLike): Reporter;
