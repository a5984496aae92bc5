/**
 * The examples run, and the documents show what is in them.
 *
 * A block of code in a document begins with the name of its file and holds lines of that file; `// ...` stands for
 * lines left out. A block of output begins with its command and holds all that the command prints.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { listen } from "./support/loopback.ts";

const root = new URL("../", import.meta.url);
const examples = ["examples/client/", "examples/server/", "examples/streams/"].flatMap((folder) =>
  readdirSync(new URL(folder, root)).flatMap((name) => (name.endsWith(".ts") ? folder + name : [])),
);
const documents = ["README.md", "docs/guide/client.md", "docs/guide/server.md", "docs/guide/streams.md"];

const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

/** Lines without their indentation: a block may show the inside of a function. */
const withoutIndent = (text: string): string => text.replaceAll(/^ +/gm, "").trim();

/** The blocks of one language, each as its first line and the rest. */
function blocksOf(document: string, language: string): [first: string, rest: string][] {
  const blocks = read(document).matchAll(new RegExp(`^\`\`\`${language}\n(.*)\n([^]*?)^\`\`\`$`, "gm"));
  return Array.from(blocks, ([, first = "", rest = ""]) => [first, rest]);
}

/** What the shop answers to the two addresses that the examples ask for. */
const server = createServer((request, response) => {
  const upstreams = { catalog: "up", stock: "up", reviews: "up" };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(request.url === "/healthz" ? { status: "ok", upstreams } : { id: "stoneware-mug" }));
});

async function run(example: string, shop: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const args = ["--conditions=sluice-source", fileURLToPath(new URL(example, root)), shop];
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NO_COLOR: "1", FORCE_COLOR: undefined };
  execFile(process.execPath, args, { timeout: 30_000, env }, (error, stdout, stderr) => {
    if (error === null) resolve(stripVTControlCharacters(stdout));
    else reject(new Error(`${example} failed: ${stderr}`, { cause: error }));
  });
  return promise;
}

test("each example ends by itself and prints what the documents say", async (t) => {
  await using shop = await listen(server);
  const shown = new Map(documents.flatMap((document) => blocksOf(document, "console")));

  for (const example of examples) {
    await t.test(example, async () => {
      const printed = await run(example, `http://127.0.0.1:${shop.port}`);

      const command = `$ npx node --conditions=sluice-source ${example}`;
      assert.notEqual(printed, "");
      assert.equal(printed, shown.get(command) ?? printed);
      shown.delete(command);
    });
  }
  assert.deepEqual([...shown.keys()], [], "a document shows the output of something that is no example");
});

for (const document of documents) {
  test(`every block of code in ${document} is in the example that it names`, () => {
    const blocks = blocksOf(document, "ts");

    assert.ok(blocks.length > 0);
    for (const [first, rest] of blocks) {
      const example = examples.find((name) => first === `// ${name}`);
      assert.ok(example !== undefined, `a block must begin with the name of its example; got ${first}`);
      let source = withoutIndent(read(example));
      for (const piece of rest.split(/^ *\/\/ \.\.\.$/m)) {
        const at = source.indexOf(withoutIndent(piece));
        assert.notEqual(at, -1, `${example} does not hold, at this place:\n${piece}`);
        source = source.slice(at);
      }
    }
  });
}
