/** The process of one server: `node peer-process.ts ID`. It serves, and answers with what it has used. */

import { answerParent } from "../../support/child.ts";
import { readCompactMemory } from "../../support/memory.ts";
import { isMeasuredInNode, peers } from "./peers.ts";

const [id = ""] = process.argv.slice(2);
if (!isMeasuredInNode(id)) throw new Error(`No peer named ${id}`);
const peer = peers[id];

void answerParent({
  listen: async () => ({ port: await peer.listen() }),
  /** CPU time so far, of all threads: the collector's and the compiler's are part of the price. */
  usage: () => {
    const { user, system } = process.cpuUsage();
    return { cpuUs: user + system };
  },
  memory: async () => {
    const { rssBytes, heapBytes } = await readCompactMemory();
    return { rssBytes, heapBytes };
  },
});
