import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { serve } from "../../test/support/node-http.ts";

/** Runs a program that has `transport` and the server's `url`, and resolves to what it has printed when it ends. */
async function run(url: string, program: string): Promise<string> {
  const script = `
    const { Transport } = await import("sluice/client");
    const transport = new Transport({ maxConnsPerHost: 1, poolTimeout: 50 });
    const url = process.argv[1];
    ${program}
  `;
  const args = ["--conditions=sluice-source", "--input-type=module", "--eval", script, url];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout.trim();
}

test("a program that waits behind a body which nobody reads is told so, and does not end in its await", async () => {
  await using served = await serve((_request, response) => response.end(Buffer.alloc(5_000_000)));

  const printed = await run(
    served.url,
    `await transport.request(url);
     await transport.request(url).catch((error) => console.log(error.code));`,
  );

  assert.equal(printed, "ERR_POOL_TIMEOUT");
});

test("a transport that nobody has closed does not hold the process, although somebody has waited", async () => {
  await using served = await serve((_request, response) => response.end("ok"));

  const printed = await run(
    served.url,
    `const both = [1, 2].map(async () => (await transport.request(url)).body.text());
     console.log(...(await Promise.all(both)), transport.stats().waitCount);`,
  );

  assert.equal(printed, "ok ok 2");
});
