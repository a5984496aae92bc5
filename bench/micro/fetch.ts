/**
 * What `transport.fetch(url).then((r) => r.text())` costs this process, in CPU microseconds per request, beside the
 * bare dispatch below it, npm undici's fetch and built-in fetch:
 * `node --conditions=sluice-source bench/micro/fetch.ts`.
 *
 * The server is a process of its own. Every contender runs once in each round, in an order that moves on by one, so a
 * busy moment of the machine is shared; medians are printed. `--only name` runs one contender alone, for a profile.
 */

import { parseArgs } from "node:util";
import { Agent, fetch as undiciFetch, Pool } from "undici";
import type { Dispatcher } from "undici";
import { Transport } from "sluice/client";
import { Child, figure } from "../support/child.ts";
import { spreadOf } from "../support/statistics.ts";

const inFlight = 50;
const requestsPerBlock = 10_000;
const rounds = 9;

const { values } = parseArgs({ options: { only: { type: "string" } } });
await using target = Child.node(new URL("../whole/client/target.ts", import.meta.url));
const origin = `http://127.0.0.1:${figure(await target.ask("listen"), "port")}`;
const url = `${origin}/item?id=1`;

function dispatchOnce(dispatcher: Dispatcher): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    dispatcher.dispatch(
      { origin, path: "/item?id=1", method: "GET" },
      {
        onRequestStart: () => {
          // Nothing to keep: nobody aborts.
        },
        onResponseStart: () => {
          // The header is not looked at.
        },
        onResponseData: (_, chunk) => {
          text += chunk.toString();
        },
        onResponseEnd: () => resolve(text),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

const pool = new Pool(origin, { connections: inFlight });
const overPool = new Transport({ upstream: new Pool(origin, { connections: inFlight }) });
const transport = new Transport({ maxConnsPerHost: inFlight });
const agent = new Agent({ connections: inFlight });
const signal = new AbortController().signal;
const headers = { authorization: "Bearer token", accept: "application/json" };

const contenders: Readonly<Record<string, () => Promise<string>>> = {
  "pool.dispatch": () => dispatchOnce(pool),
  "transport.dispatch": () => dispatchOnce(transport),
  "fetch over a pool": () => overPool.fetch(url).then((response) => response.text()),
  "transport.fetch": () => transport.fetch(url).then((response) => response.text()),
  "transport.fetch, headers and signal": () => transport.fetch(url, { headers, signal }).then((r) => r.text()),
  "transport.fetch, headers read": () =>
    transport.fetch(url).then((r) => (r.headers.get("content-type") === null ? "" : r.text())),
  "transport.fetch, body stream": () => transport.fetch(url).then((r) => (r.body === null ? "" : r.text())),
  "undici.fetch": () => undiciFetch(url, { dispatcher: agent }).then((response) => response.text()),
  "built-in fetch": () => fetch(url).then((response) => response.text()),
};

async function runBlock(once: () => Promise<string>): Promise<number> {
  let left = requestsPerBlock;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      // oxlint-disable-next-line no-await-in-loop -- a lane has one request under way
      await once();
    }
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, lane));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / requestsPerBlock;
}

const names = Object.keys(contenders).filter((name) => values.only === undefined || name === values.only);
const readings = new Map(names.map((name) => [name, new Array<number>()]));
for (let round = -1; round < rounds; round += 1) {
  for (let place = 0; place < names.length; place += 1) {
    const name = names[(place + round + 1) % names.length] ?? "";
    const once = contenders[name];
    if (once === undefined) throw new Error(`No contender is named ${name}`);
    // oxlint-disable-next-line no-await-in-loop -- one at a time, or they would share the CPU
    const cpuUs = await runBlock(once);
    // The first round only warms up.
    if (round >= 0) readings.get(name)?.push(cpuUs);
  }
}
for (const [name, figures] of readings) {
  const { median, min, max } = spreadOf(figures);
  console.log(
    `${name.padEnd(38)} ${median.toFixed(1).padStart(6)} us  (${min.toFixed(1)} to ${max.toFixed(1)}) CPU per request`,
  );
}
await Promise.all([pool.destroy(), overPool.abort(), transport.abort(), agent.destroy()]);
