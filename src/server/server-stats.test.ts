/** Instruments of a server that are told by the kernel, or measured before there is a request. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listen } from "../../test/support/loopback.ts";
import { Registry, type CollectedFamily } from "../core/instruments.ts";
import { createServer } from "./server.ts";

function read(registry: Registry, name: string): CollectedFamily {
  const family = [...registry.collect()].find((each) => each.name === name);
  assert.ok(family !== undefined, `there is no ${name}`);
  return family;
}

function readDrops(): number {
  const [names = [], values = []] = readFileSync("/proc/self/net/netstat", "latin1")
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("ListenDrops")]);
}

test("what the kernel has dropped is told once, however many servers there are, and as long as there is one", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux tells");
  const registry = new Registry();
  const first = createServer({ registry, name: "first" });
  const second = createServer({ registry, name: "second" });
  await using _first = await listen(first);
  await using _second = await listen(second);
  const drops = (): number =>
    read(registry, "http_server_accept_queue_drops_total").samples.reduce(
      (sum, sample) => sum + ("value" in sample ? sample.value : NaN),
      0,
    );
  // Of the whole machine: others may add to it between two readings.
  const [least, seen, most] = [readDrops(), drops(), readDrops()];
  assert.ok(seen >= least && seen <= most, `${seen} is not between ${least} and ${most}`);
  await first.drain();
  assert.ok(drops() >= most);
  await second.drain();
  assert.equal(read(registry, "http_server_accept_queue_drops_total").samples.length, 0);
  return undefined;
});

test("the time for which a connection was held is recorded, and of one that was let in at once it is not", async () => {
  const registry = new Registry();
  const server = createServer({ registry, maxConns: 1, pendingTimeout: "10s" }, (_req, res) => res.end());
  await using listening = await listen(server);
  const held = (): { readonly count: number; readonly sum: number } => {
    const [sample] = read(registry, "http_server_connection_time_pending_seconds").samples;
    assert.ok(sample !== undefined && "count" in sample);
    return sample;
  };
  const first = connect(listening.port, "127.0.0.1");
  await once(first, "connect");
  while (server.stats().connections.new === 0) await sleep(5);
  const second = connect(listening.port, "127.0.0.1");
  while (server.stats().pending === 0) await sleep(5);
  assert.equal(held().count, 0);
  const since = performance.now();
  await sleep(100);
  first.destroy();
  while (held().count === 0) await sleep(5);
  const { count, sum } = held();
  assert.equal(count, 1);
  assert.ok(sum >= 0.09 && sum * 1_000 <= performance.now() - since + 50, `${sum} s`);
  second.destroy();
});
