/**
 * What runs in the worker thread of a SQLite store. It knows only its messages.
 *
 * Node 24 warns that `node:sqlite` is experimental. Whoever chose this store has chosen that too, so the warning of this
 * one module is left out, in this thread alone.
 */

import { parentPort, workerData } from "node:worker_threads";
import type { Orders, Report, WorkerSettings } from "./sqlite-protocol.ts";

const port = parentPort;
if (port === null) throw new Error("sqlite-worker is started by sqlite() as a worker thread, not by itself");
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- given by sqlite-link.ts
const settings = workerData as WorkerSettings;

// oxlint-disable-next-line typescript/unbound-method -- put back below, as it was
const emitWarning = process.emitWarning;
process.emitWarning = () => undefined;
const { Engine } = await import("./sqlite-engine.ts");
const { describeFailure } = await import("./sqlite-file.ts");
process.emitWarning = emitWarning;

const post = (report: Report): void => port.postMessage(report);
const empty: Report = { added: [], settled: [], deliveries: [], lost: [], answers: [] };
const engine = new Engine(settings, post);

try {
  await engine.start();
  port.on("message", (orders: Orders) => engine.take(orders));
  post({ ...empty, started: true });
} catch (error) {
  post({ ...empty, started: false, trouble: describeFailure(settings.path, error) });
}
