import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { requirement } from "../../test/support/require.ts";
import { fromCpuProfile, fromHeapProfile, type CpuProfile } from "./v8-profiles.ts";

const frame = (functionName: string, lineNumber: number, url = "file:///srv/app.ts") => ({
  functionName,
  url,
  lineNumber,
  columnNumber: 0,
});

const cpuProfile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame("(root)", -1, ""), children: [2, 4] },
    { id: 2, callFrame: frame("serve", 9), children: [3] },
    { id: 3, callFrame: frame("hotLoop", 41) },
    { id: 4, callFrame: frame("(idle)", -1, "") },
  ],
  startTime: 0,
  endTime: 6_000_000,
  samples: [3, 3, 2, 4],
  timeDeltas: [1_500_000, 1_500_000, 1_000_000, 2_000_000],
};

/** What Debian's Go says of a profile. */
function goTool(t: TestContext, profile: Buffer, ...args: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-pprof-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "profile.pb.gz");
  writeFileSync(path, profile);
  const { stdout, stderr, status } = spawnSync("go", ["tool", "pprof", ...args, path], {
    encoding: "utf8",
    env: { ...process.env, PPROF_TMPDIR: folder, HOME: folder },
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("go tool pprof names the hot function of a CPU profile, its line, and leaves idle time out", async (t) => {
  if (!requirement(t, "go")) return;
  const profile = await fromCpuProfile(cpuProfile, { intervalMicros: 1_000, startedAt: Date.now() }).finish();
  const top = goTool(t, profile, "-top", "-lines");
  assert.match(top, /^Type: cpu$/m);
  assert.match(top, /Showing nodes accounting for 4s, 100% of 4s total/);
  assert.match(top, /^\s+3s 75\.00%.*hotLoop \/srv\/app\.ts:42$/m);
});

test("go tool pprof reads a heap profile, with the bytes of each stack", async (t) => {
  if (!requirement(t, "go")) return;
  const leaf = { callFrame: frame("keep", 6), selfSize: 3 * 2 ** 20 };
  const head = {
    callFrame: frame("(root)", -1, ""),
    selfSize: 0,
    children: [{ callFrame: frame("main", 1), selfSize: 2 ** 20, children: [leaf] }],
  };
  const profile = await fromHeapProfile({ head }, { intervalBytes: 32_768, startedAt: Date.now() }).finish();
  const top = goTool(t, profile, "-top");
  assert.match(top, /^Type: inuse_space$/m);
  assert.match(top, /^\s+3MB 75\.00%\s+75\.00%\s+3MB 75\.00%\s+keep/m);
  assert.match(top, /^\s+1MB 25\.00%\s+100%\s+4MB\s+100%\s+main/m);
});

test("a stack deeper than ours is no trouble, and numbers beyond 32 bits are kept", async () => {
  let node = { callFrame: frame("deep", 0), selfSize: 2 ** 45, children: [] as unknown[] };
  for (let depth = 0; depth < 300; depth += 1) {
    node = { callFrame: frame(`level ${depth}`, depth), selfSize: 0, children: [node] };
  }
  const head = { callFrame: frame("(root)", -1, ""), selfSize: 0, children: [node] } as never;
  const bytes = gunzipSync(await fromHeapProfile({ head }, { intervalBytes: 1, startedAt: 0 }).finish());
  // 2^45 as a varint: six groups of seven bits that are 0, then 2^(45 - 42).
  assert.ok(bytes.includes(Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08])));
});
