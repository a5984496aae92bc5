import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const program = `
  await import(process.argv[1]);
  console.log(process.moduleLoadList.filter((name) => name.includes("undici")).join());
`;

// An import of a value of `node:http` loads it, and takes 30 ms.
test("to import the server loads none of Node's own undici", async () => {
  const args = ["--input-type=module", "--eval", program, new URL("index.ts", import.meta.url).href];

  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });

  assert.equal(stdout.trim(), "");
});
