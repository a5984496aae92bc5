/**
 * A guarded server in a thread of its own, whose event loop stands still for 300 ms of every second.
 *
 * It speaks in messages: its port once it listens, `blocked` with the time at the beginning of each standstill, and how
 * long one really took at its end. It is told `"drain"`, and answers with the report; and `"stats"`.
 */

import { parentPort, workerData } from "node:worker_threads";
import { Registry } from "sluice/core";
import { createServer, type ServerOptions } from "sluice/server";
import { serverCertificate } from "./certificates.ts";
import { listen } from "./loopback.ts";

export const blockedMs = 300;
export const everyMs = 1_000;

export interface BlockedServerData {
  readonly limits: ServerOptions;
  readonly secure: boolean;
}

/** What the thread says. */
export type BlockedServerMessage =
  | { readonly port: number }
  | { readonly blocked: number }
  | { readonly tookMs: number }
  | { readonly timeouts: Readonly<Record<string, number>> }
  | { readonly drained: { readonly tookMs: number; readonly cut: number } };

const big = Buffer.alloc(2 ** 24);
const still = new Int32Array(new SharedArrayBuffer(4));

async function run(tell: (message: BlockedServerMessage) => void, data: BlockedServerData): Promise<void> {
  const limits = { registry: new Registry(), ...data.limits };
  const server = data.secure ? createServer({ ...limits, tls: serverCertificate }) : createServer(limits);
  server.on("request", (req, res) => {
    if (req.url === "/big") res.end(big);
    else if (req.url === "/never") req.resume();
    else req.resume().on("end", () => res.end("ok"));
  });
  const { port } = await listen(server);
  setInterval(() => {
    tell({ blocked: Date.now() });
    const from = performance.now();
    Atomics.wait(still, 0, 0, blockedMs);
    tell({ tookMs: performance.now() - from });
  }, everyMs);
  parentPort?.on("message", (verb: unknown) => {
    if (verb === "stats") tell({ timeouts: server.stats().timeouts });
    else void server.drain().then((drained) => tell({ drained }));
  });
  tell({ port });
}

if (parentPort !== null) {
  const port = parentPort;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the test has put there
  await run((message) => port.postMessage(message), workerData as BlockedServerData);
}
