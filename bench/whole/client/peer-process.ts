/**
 * The process of one peer: `node peer-process.ts ID PORT`. Runs laps when it is told to and answers with its own CPU
 * time. The lap itself carries no clock and no counter beyond what it takes to know when it is over.
 */

import { answerParent } from "../../support/child.ts";
import { inFlight } from "../work.ts";
import type { Lap } from "../work.ts";
import { isMeasuredInNode, peers } from "./peers.ts";

const [id = "", port = ""] = process.argv.slice(2);
if (!isMeasuredInNode(id)) throw new Error(`No peer named ${id}`);
let lap: Lap = () => Promise.reject(new Error("The first thing to ask for is `warm`"));

void answerParent({
  /** Laps for `ms` milliseconds: compiles what is hot, opens the connections, and tells how fast this client is. */
  warm: async (ms) => {
    lap = await peers[id].open(`http://127.0.0.1:${port}`);
    const size = inFlight * 16;
    const from = performance.now();
    let count = 0;
    for (; performance.now() - from < ms; count += size) {
      // A lap has to be over before its time can be looked at.
      // oxlint-disable-next-line no-await-in-loop
      await lap(size);
    }
    return { rate: count / ((performance.now() - from) / 1000) };
  },
  /** One counted block. The short lap before it reopens what was closed while other peers had their turn. */
  block: async (count) => {
    await lap(inFlight * 4);
    const cpu = process.cpuUsage();
    const from = performance.now();
    await lap(count);
    const wallMs = performance.now() - from;
    const used = process.cpuUsage(cpu);
    return { cpuUs: used.user + used.system, wallMs };
  },
});
