/** What a scrape costs the event loop, and whether Prometheus' own tool finds fault with it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { instruments } from "sluice/core";
import { observeRuntime, renderExposition } from "sluice/observe";
import { createServer } from "sluice/server";
import { Transport } from "sluice/client";
import { requirement } from "./support/require.ts";

test("promtool finds no fault with the metrics of a server, a Transport and the runtime", async (t) => {
  if (!requirement(t, "promtool")) return;
  using _runtime = observeRuntime(instruments);
  const server = createServer({}, (_req, res) => void res.end("ok"));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const transport = new Transport();
  const response = await transport.fetch(`http://127.0.0.1:${address.port}/`);
  assert.equal(await response.text(), "ok");
  const text = renderExposition(instruments);
  await transport.close();
  await server.drain();
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
});
