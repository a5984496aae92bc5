import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HeapSampler, ProfileBusyError, profileCpu } from "./profiler.ts";
import type { HeapProfile } from "./v8-profiles.ts";

type HeapNode = HeapProfile["head"];

/** Bytes of all nodes whose function has that name, and of what they call. */
function bytesOf(node: HeapNode, name: string, within = false): number {
  const counts = within || node.callFrame.functionName === name;
  const below = (node.children ?? []).reduce((sum, child) => sum + bytesOf(child, name, counts), 0);
  return below + (counts ? node.selfSize : 0);
}

const never = new AbortController().signal;

test("a CPU profile has the function that was busy, and there is one at a time", async () => {
  const profile = profileCpu(400, never);
  await assert.rejects(profileCpu(400, never), ProfileBusyError);
  const busy = setInterval(function spin() {
    const until = performance.now() + 40;
    while (performance.now() < until);
  }, 50);
  const { nodes, samples = [] } = await profile;
  clearInterval(busy);
  const ids = new Set(nodes.filter((node) => node.callFrame.functionName === "spin").map(({ id }) => id));
  // Children come after their parents. The clock that it reads is what it does.
  for (const { id, children = [] } of nodes) if (ids.has(id)) for (const child of children) ids.add(child);
  const hits = samples.filter((id) => ids.has(id)).length;
  assert.ok(hits > 100, `${hits} of ${samples.length} samples`);
});

test("a CPU profile that nobody waits for any more ends at once, and the next one can begin", async () => {
  const leave = new AbortController();
  const profile = profileCpu(60_000, leave.signal);
  await sleep(50);
  leave.abort();
  await assert.rejects(profile, /Nobody waits/);
  const { nodes } = await profileCpu(20, never);
  assert.ok(nodes.length > 0);
});

test("what is held is in the heap profile, what was freed is not; allocations have both", async () => {
  const sampler = new HeapSampler();
  try {
    await sampler.read();
    assert.throws(() => new HeapSampler(), ProfileBusyError);
    const kept: unknown[] = [];
    (function keepMuch() {
      for (let i = 0; i < 300_000; i += 1) kept.push([i]);
    })();
    let dropped: unknown;
    (function dropMuch() {
      for (let i = 0; i < 300_000; i += 1) dropped = [i, dropped].length;
    })();
    const { head } = await sampler.read({ collect: true });
    assert.ok(bytesOf(head, "keepMuch") > 4e6, `${bytesOf(head, "keepMuch")} bytes of ${kept.length} are seen`);
    assert.equal(bytesOf(head, "dropMuch"), 0);
    const allocations = sampler.readAllocations(150, never);
    await assert.rejects(sampler.read(), ProfileBusyError);
    await sleep(50);
    (function dropAgain() {
      for (let i = 0; i < 300_000; i += 1) dropped = [i, dropped].length;
    })();
    assert.ok(bytesOf((await allocations).head, "dropAgain") > 4e6, String(dropped));
    assert.equal(bytesOf((await sampler.read()).head, "dropAgain") < 4e6, true);
  } finally {
    await sampler.close();
  }
});
