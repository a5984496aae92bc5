/** Short runs of what `bench/shows` shows of the server at full size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { allowedMs, probeDeadlines, worstMissMs } from "../bench/shows/deadlines.ts";
import { measureHonest } from "../bench/shows/slow-attackers.ts";

const seed = Math.floor(Math.random() * 2 ** 31);

for (const config of ["whole", "flow"] as const) {
  test(`limits (${config}) are met beside other connections, over http and HTTP/2, and while the server drains`, async () => {
    for (const kind of ["http", "http2"] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { findings, lagMs, lost } = await probeDeadlines({ contender: "sluice", kind, config, others: 20 });

      // The kernel is asked about a reader before it is cut. On a busy machine that takes a while: a grace at the most.
      const slackMs = (probe: string): number => (probe.startsWith("reader") ? 1_000 : 0) + allowedMs + 3 * lagMs + 100;
      const missed = findings.filter((finding) => worstMissMs(finding) > slackMs(finding.probe));
      assert.deepEqual(missed, [], `lag ${lagMs} ms`);
      assert.equal(lost, 0, "of the others, somebody was cut");
    }
  });
}

test(`beside slow attackers no honest request fails (seed ${seed})`, async () => {
  const size = { attackers: 60, seconds: 7, backPerSecond: 20, megabytes: 8, seed };

  const { honest, cut, openAtFirst } = await measureHonest("sluice", "here", size);

  assert.deepEqual([honest["refused"], honest["broken"], openAtFirst], [0, 0, 60]);
  assert.ok(cut >= 30, `${cut} attackers were cut`);
});
