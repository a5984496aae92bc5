/** The contract of stores, kept by the one in NATS JetStream, on a server that other tests use too. */

import { randomUUID } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { startDeafProxy } from "../support/deaf-proxy.ts";
import { natsUrl, unlessAnswers } from "../support/engines.ts";
import { testStore, type StorePlace } from "../support/store-contract.ts";
import { natsPort, openStore } from "./jetstream-elsewhere.ts";

async function newPlace(): Promise<StorePlace> {
  const prefix = `test-${randomUUID()}`;
  const proxy = await startDeafProxy(natsPort);
  const at = (port: number): string => JSON.stringify({ servers: `127.0.0.1:${port}`, prefix });
  return {
    open: () => openStore(at(proxy.port)),
    elsewhere: { module: new URL("jetstream-elsewhere.ts", import.meta.url), argument: at(natsPort) },
    async silence() {
      proxy.silence();
      return async () => proxy.speak();
    },
    async refuse() {
      proxy.refuse();
      return async () => proxy.speak();
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await using nc = await connect({ port: natsPort });
      const { streams } = await jetstreamManager(nc);
      for await (const { config } of streams.list()) {
        if (config.name.startsWith(prefix)) await streams.delete(config.name);
      }
    },
  };
}

testStore({
  name: "JetStream",
  skip: await unlessAnswers(natsUrl),
  caps: {
    delay: true,
    priority: false,
    dedup: "window",
    transactions: false,
    sharedBy: "network",
    durable: true,
  },
  leaseMs: 2_000,
  slackMs: 2_000,
  hasEngine: true,
  newPlace,
});
